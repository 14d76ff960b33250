//! Requests.

use super::VERSION;
use crate::error::{Error, ErrorCode, Result};
use core::fmt;
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
    /// The worst case from fault to switch.
    Budget {
        /// The pool's name.
        pool: String,
    },
    /// What happened: the events kept, after a number that an answer named before.
    Events {
        /// The number; 0 for all that are kept.
        after: u64,
    },
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

impl Change {
    fn name(&self) -> &'static str {
        match self {
            Change::Recover { .. } => "recover",
            Change::RecoverPool { .. } => "recover_pool",
            Change::ActivatePrimary { .. } => "activate_primary",
            Change::Remove { .. } => "remove",
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
            Ask::Budget { pool } => json!({"command": "budget", "pool": pool}),
            Ask::Events { after } => json!({"command": "events", "after": after}),
            Ask::Change { change, wait } => {
                let (pool, node) = match change {
                    Change::Recover { pool, node } | Change::Remove { pool, node } => (pool, Some(node)),
                    Change::RecoverPool { pool } | Change::ActivatePrimary { pool } => (pool, None),
                };
                json!({"command": change.name(), "pool": pool, "node": node, "wait": wait})
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
    let ask = match command {
        "snapshot" => Ask::Snapshot { pool: name(document, "pool")? },
        "explain" => Ask::Explain { pool: required(document, "pool")? },
        "events" => Ask::Events {
            after: match document.get("after") {
                None | Some(Value::Null) => 0,
                Some(value) => value.as_u64().ok_or_else(|| wrong("after", "a number"))?,
            },
        },
        "budget" => Ask::Budget { pool: required(document, "pool")? },
        "recover" => {
            change(Change::Recover { pool: required(document, "pool")?, node: required(document, "node")? })?
        }
        "recover_pool" => change(Change::RecoverPool { pool: required(document, "pool")? })?,
        "activate_primary" => change(Change::ActivatePrimary { pool: required(document, "pool")? })?,
        "remove" => {
            change(Change::Remove { pool: required(document, "pool")?, node: required(document, "node")? })?
        }
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
