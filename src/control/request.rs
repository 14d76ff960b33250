//! Requests.

use super::VERSION;
use crate::engine::ReportOutcome;
use crate::error::{Error, ErrorCode, Result};
use crate::pool::overrides::reason_fault;
use crate::pool::{MaintenanceRole, NodeType, Override, State, Status};
use core::fmt;
use core::time::Duration;
use serde_json::{Map, Value, json};

/// Longest name of a pool or node in bytes.
const LONGEST_NAME: usize = 512;
/// Digits of an id.
const ID_DIGITS: usize = 32;

/// Names one request of one caller: 16 random bytes. The same id again is the same request again, not a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

impl Id {
    pub(super) fn parse(text: &str) -> Option<Id> {
        if text.len() != ID_DIGITS || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|n| Id(n.to_be_bytes()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A command that changes the pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Takes a failed node back.
    Recover {
        /// The pool's name.
        pool: String,
        /// The node's address.
        node: String,
    },
    /// Takes back a pool whose status is FAIL.
    RecoverPool {
        /// The pool's name.
        pool: String,
    },
    /// Gives the role to the pool's PRIMARY.
    ActivatePrimary {
        /// The pool's name.
        pool: String,
    },
    /// Takes a node out of its pool.
    Remove {
        /// The pool's name.
        pool: String,
        /// The node's address.
        node: String,
    },
    /// Sets a node's state, status, type or weight above the rules.
    Override {
        /// The pool's name.
        pool: String,
        /// The node's address.
        node: String,
        /// What is set.
        set: Override,
        /// Why and how long.
        terms: Terms,
    },
    /// Ends an override or a maintenance.
    ClearOverride {
        /// The pool's name.
        pool: String,
        /// The node's address.
        node: String,
    },
    /// Lets no rule change a pool.
    Freeze {
        /// The pool's name.
        pool: String,
        /// Why and how long.
        terms: Terms,
    },
    /// Ends a freeze.
    Unfreeze {
        /// The pool's name.
        pool: String,
    },
    /// Takes a node out of the candidates.
    Maintenance {
        /// The pool's name.
        pool: String,
        /// The node's address.
        node: String,
        /// What becomes of the role, if the node is ACTIVE.
        role: MaintenanceRole,
        /// Why and how long.
        terms: Terms,
    },
    /// Moves a floating address to a host.
    VipMove {
        /// The VIP's name.
        vip: String,
        /// The host's name.
        host: String,
    },
    /// Ends a move, and forgets failures.
    VipClear {
        /// The VIP's name.
        vip: String,
    },
    /// Takes a host of the tier out, or lets it in again.
    VipStandby {
        /// The host's name.
        host: String,
        /// Whether it is out.
        standby: bool,
    },
}

/// What an operator says with an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Why: one line of at most [`crate::pool::overrides::LONGEST_REASON`] bytes.
    pub reason: String,
    /// How long, in whole milliseconds; `None` until it is ended.
    pub limit: Option<Duration>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The state: of one pool, or of all.
    Snapshot {
        /// The pool's name.
        pool: Option<String>,
    },
    /// Why a pool is as it is.
    Explain {
        /// The pool's name.
        pool: String,
    },
    /// Figures for monitoring.
    Metrics,
    /// The worst case from fault to switch.
    Budget {
        /// The pool's name.
        pool: String,
    },
    /// Which backends clients of a service would get. Nobody is counted, and no trial is taken.
    Route {
        /// The service, with or without its pool.
        service: String,
        /// How many clients.
        count: u32,
        /// Transactions that the node must be known to hold.
        min_gtid: Option<String>,
        /// Where the clients are; the configuration's `site` by default.
        site: Option<String>,
    },
    /// How a host's own use of a node ended. It makes no more than a look come early, so one that comes twice does no
    /// harm, and none takes the place of a change in the memory of ids.
    Report {
        /// The pool's name.
        pool: String,
        /// The node's address.
        node: String,
        /// The service through which it was reached; none for a host that chose by itself.
        service: Option<String>,
        /// How it ended.
        outcome: ReportOutcome,
    },
    /// What happened: the events kept, after a number that an answer named before.
    Events {
        /// The number; 0 for all that are kept.
        after: u64,
    },
    /// The tier of floating addresses.
    Vip,
    /// A change of the pools.
    Change {
        /// Which one.
        change: Change,
        /// Whether the answer waits until the outcome is in the cache.
        wait: bool,
    },
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the caller.
    pub id: Id,
    /// What is asked.
    pub ask: Ask,
}

/// More clients than anybody reads of.
pub const MOST_CLIENTS: u32 = 1000;

impl Ask {
    /// The command's word.
    pub fn name(&self) -> &'static str {
        match self {
            Ask::Snapshot { .. } => "snapshot",
            Ask::Explain { .. } => "explain",
            Ask::Events { .. } => "events",
            Ask::Metrics => "metrics",
            Ask::Budget { .. } => "budget",
            Ask::Route { .. } => "route",
            Ask::Report { .. } => "report",
            Ask::Vip => "vip",
            Ask::Change { change, .. } => change.name(),
        }
    }
}

impl Change {
    fn name(&self) -> &'static str {
        match self {
            Change::Recover { .. } => "recover",
            Change::RecoverPool { .. } => "recover_pool",
            Change::ActivatePrimary { .. } => "activate_primary",
            Change::Remove { .. } => "remove",
            Change::Override { .. } => "override",
            Change::ClearOverride { .. } => "clear_override",
            Change::Freeze { .. } => "freeze",
            Change::Unfreeze { .. } => "unfreeze",
            Change::Maintenance { .. } => "maintenance",
            Change::VipMove { .. } => "vip_move",
            Change::VipClear { .. } => "vip_clear",
            Change::VipStandby { .. } => "vip_standby",
        }
    }

    fn encode(&self) -> Value {
        let name = self.name();
        match self {
            Change::Recover { pool, node }
            | Change::Remove { pool, node }
            | Change::ClearOverride { pool, node } => json!({"command": name, "pool": pool, "node": node}),
            Change::RecoverPool { pool } | Change::ActivatePrimary { pool } | Change::Unfreeze { pool } => {
                json!({"command": name, "pool": pool})
            }
            Change::Override { pool, node, set, terms } => json!({
                "command": name, "pool": pool, "node": node,
                "state": set.state.map(State::name),
                "status": set.status.map(Status::name),
                "type": set.node_type.map(NodeType::name),
                "weight": set.weight,
                "reason": terms.reason, "limit_ms": terms.limit.map(millis),
            }),
            Change::Freeze { pool, terms } => {
                json!({"command": name, "pool": pool, "reason": terms.reason, "limit_ms": terms.limit.map(millis)})
            }
            Change::Maintenance { pool, node, role, terms } => json!({
                "command": name, "pool": pool, "node": node, "role": role.name(),
                "reason": terms.reason, "limit_ms": terms.limit.map(millis),
            }),
            Change::VipMove { vip, host } => json!({"command": name, "vip": vip, "host": host}),
            Change::VipClear { vip } => json!({"command": name, "vip": vip}),
            Change::VipStandby { host, standby } => {
                json!({"command": name, "host": host, "standby": standby})
            }
        }
    }
}

impl Request {
    /// The document.
    pub fn encode(&self) -> String {
        let id = self.id.to_string();
        let document = match &self.ask {
            Ask::Snapshot { pool } => json!({"command": "snapshot", "pool": pool}),
            Ask::Explain { pool } => json!({"command": "explain", "pool": pool}),
            Ask::Metrics => json!({"command": "metrics"}),
            Ask::Budget { pool } => json!({"command": "budget", "pool": pool}),
            Ask::Route { service, count, min_gtid, site } => {
                json!({"command": "route", "service": service, "count": count, "min_gtid": min_gtid, "site": site})
            }
            Ask::Report { pool, node, service, outcome } => {
                json!({"command": "report", "pool": pool, "node": node, "service": service, "outcome": outcome.name()})
            }
            Ask::Events { after } => json!({"command": "events", "after": after}),
            Ask::Vip => json!({"command": "vip"}),
            Ask::Change { change, wait } => {
                let mut document = change.encode();
                if let Some(document) = document.as_object_mut() {
                    document.insert("wait".into(), (*wait).into());
                }
                document
            }
        };
        let mut whole = Map::new();
        whole.insert("version".into(), VERSION.into());
        whole.insert("id".into(), id.into());
        if let Value::Object(rest) = document {
            whole.extend(rest.into_iter().filter(|(_, value)| !value.is_null()));
        }
        Value::Object(whole).to_string()
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for bytes that are no request; [`ErrorCode::Unsupported`] for another version of the
    /// protocol or an unknown command. With it comes the id, if that could be read.
    pub fn decode(bytes: &[u8]) -> core::result::Result<Request, (Option<Id>, Error)> {
        let invalid = |text: String| Error::new(ErrorCode::Invalid, text);
        let document: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|e| (None, invalid(format!("this is no request: {e}"))))?;
        let id = document.get("id").and_then(Value::as_str).and_then(Id::parse);
        read(&document, id).map_err(|error| (id, error))
    }
}

fn read(document: &Map<String, Value>, id: Option<Id>) -> Result<Request> {
    match document.get("version").and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(other) => {
            return Err(Error::new(
                ErrorCode::Unsupported,
                format!(
                    "this instance speaks version {VERSION} of the control protocol, not {other}: use the command of \
                     the release that it runs ({})",
                    env!("CARGO_PKG_VERSION")
                ),
            ));
        }
        None => return Err(wrong("version", "a number")),
    }
    let Some(id) = id else { return Err(wrong("id", "32 hexadecimal digits")) };
    let command = document.get("command").and_then(Value::as_str).ok_or_else(|| wrong("command", "text"))?;
    let change = |change: Change| -> Result<Ask> {
        let wait = match document.get("wait") {
            None | Some(Value::Null) => true,
            Some(Value::Bool(wait)) => *wait,
            Some(_) => return Err(wrong("wait", "true or false")),
        };
        Ok(Ask::Change { change, wait })
    };
    let pool = || required(document, "pool");
    let node = || required(document, "node");
    let ask = match command {
        "snapshot" => Ask::Snapshot { pool: name(document, "pool")? },
        "explain" => Ask::Explain { pool: pool()? },
        "metrics" => Ask::Metrics,
        "budget" => Ask::Budget { pool: pool()? },
        "route" => Ask::Route {
            service: required(document, "service")?,
            count: match document.get("count") {
                None | Some(Value::Null) => 1,
                Some(value) => value
                    .as_u64()
                    .and_then(|count| u32::try_from(count).ok())
                    .filter(|count| (1..=MOST_CLIENTS).contains(count))
                    .ok_or_else(|| wrong("count", &format!("a number from 1 to {MOST_CLIENTS}")))?,
            },
            min_gtid: match document.get("min_gtid") {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(_) => return Err(wrong("min_gtid", "text")),
            },
            site: name(document, "site")?,
        },
        "events" => Ask::Events {
            after: match document.get("after") {
                None | Some(Value::Null) => 0,
                Some(value) => value.as_u64().ok_or_else(|| wrong("after", "a number"))?,
            },
        },
        "report" => Ask::Report {
            pool: pool()?,
            node: node()?,
            service: name(document, "service")?,
            outcome: word(document, "outcome", ReportOutcome::from_name, ReportOutcome::ALL)?
                .ok_or_else(|| wrong("outcome", &one_of(ReportOutcome::ALL)))?,
        },
        "recover" => change(Change::Recover { pool: pool()?, node: node()? })?,
        "recover_pool" => change(Change::RecoverPool { pool: pool()? })?,
        "activate_primary" => change(Change::ActivatePrimary { pool: pool()? })?,
        "remove" => change(Change::Remove { pool: pool()?, node: node()? })?,
        "override" => change(Change::Override {
            pool: pool()?,
            node: node()?,
            set: read_override(document)?,
            terms: terms(document)?,
        })?,
        "clear_override" => change(Change::ClearOverride { pool: pool()?, node: node()? })?,
        "freeze" => change(Change::Freeze { pool: pool()?, terms: terms(document)? })?,
        "unfreeze" => change(Change::Unfreeze { pool: pool()? })?,
        "maintenance" => change(Change::Maintenance {
            pool: pool()?,
            node: node()?,
            role: word(document, "role", MaintenanceRole::from_name, MaintenanceRole::ALL)?
                .ok_or_else(|| wrong("role", &one_of(MaintenanceRole::ALL)))?,
            terms: terms(document)?,
        })?,
        "vip" => Ask::Vip,
        "vip_move" => {
            change(Change::VipMove { vip: required(document, "vip")?, host: required(document, "host")? })?
        }
        "vip_clear" => change(Change::VipClear { vip: required(document, "vip")? })?,
        "vip_standby" => change(Change::VipStandby {
            host: required(document, "host")?,
            standby: document
                .get("standby")
                .and_then(Value::as_bool)
                .ok_or_else(|| wrong("standby", "true or false"))?,
        })?,
        other => {
            let shown: String = other.chars().take(40).flat_map(char::escape_debug).collect();
            return Err(Error::new(
                ErrorCode::Unsupported,
                format!(
                    "this instance, of version {}, does not know the command \"{shown}\"",
                    env!("CARGO_PKG_VERSION")
                ),
            ));
        }
    };
    Ok(Request { id, ask })
}

fn wrong(key: &str, what: &str) -> Error {
    Error::new(ErrorCode::Invalid, format!("the request's \"{key}\" must be {what}"))
}

/// A name that may be missing.
fn name(document: &Map<String, Value>, key: &str) -> Result<Option<String>> {
    match document.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= LONGEST_NAME => Ok(Some(text.clone())),
        Some(_) => Err(wrong(key, &format!("text of 1 to {LONGEST_NAME} bytes"))),
    }
}

fn required(document: &Map<String, Value>, key: &str) -> Result<String> {
    name(document, key)?.ok_or_else(|| wrong(key, &format!("text of 1 to {LONGEST_NAME} bytes")))
}

/// A word of a list that may be missing.
fn word<T: fmt::Display>(
    document: &Map<String, Value>,
    key: &str,
    read: fn(&str) -> Option<T>,
    all: &[T],
) -> Result<Option<T>> {
    match document.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().and_then(read).map(Some).ok_or_else(|| wrong(key, &one_of(all))),
    }
}

fn one_of<T: fmt::Display>(all: &[T]) -> String {
    let words: Vec<String> = all.iter().map(T::to_string).collect();
    words.join(" or ")
}

fn read_override(document: &Map<String, Value>) -> Result<Override> {
    let weight = match document.get("weight") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let weight = value.as_u64().and_then(|n| u32::try_from(n).ok());
            Some(weight.ok_or_else(|| wrong("weight", "a number from 0 to 4294967295"))?)
        }
    };
    Ok(Override {
        state: word(document, "state", State::from_name, State::ALL)?,
        status: word(document, "status", Status::from_name, Status::ALL)?,
        node_type: word(document, "type", NodeType::from_name, NodeType::ALL)?,
        weight,
    })
}

fn terms(document: &Map<String, Value>) -> Result<Terms> {
    let reason = document.get("reason").and_then(Value::as_str).ok_or_else(|| wrong("reason", "text"))?;
    if let Some(fault) = reason_fault(reason) {
        return Err(Error::new(
            ErrorCode::Invalid,
            format!("the request's \"reason\" cannot be taken: {fault}"),
        ));
    }
    let limit = match document.get("limit_ms") {
        None | Some(Value::Null) => None,
        Some(value) => Some(value.as_u64().ok_or_else(|| wrong("limit_ms", "a number of milliseconds"))?),
    };
    Ok(Terms { reason: reason.to_owned(), limit: limit.map(Duration::from_millis) })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
