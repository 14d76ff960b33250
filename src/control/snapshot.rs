//! A snapshot read back from its document.

use super::document::{DOCUMENT, document};
use crate::engine::{CheckpointSnapshot, NodeSnapshot, PoolSnapshot, Snapshot};
use crate::error::{Error, ErrorCode, Result};
use crate::gtid::Gtids;
use crate::pool::{
    Freeze, MaintenanceRole, NodeOverride, NodeType, Override, PolicyName, PoolKind, PoolStatus, State,
    Status,
};
use crate::probe::{
    BackendSeen, Cause, Channel, CheckpointKind, Facts, Flavour, Group, GroupKind, GroupMember, PortServer,
    ServerVersion, ThreadState,
};
use core::time::Duration;
use serde_json::{Map, Value};

/// What a look at a running instance brings.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The state.
    pub snapshot: Snapshot,
    /// Fingerprint of the instance's configuration.
    pub fingerprint: u64,
    /// The process that the instance lives in.
    pub pid: u32,
}

impl Seen {
    /// The body.
    pub fn encode(&self) -> Value {
        let mut body = document(&self.snapshot);
        body.insert("configuration".into(), format!("{:016x}", self.fingerprint).into());
        body.insert("pid".into(), self.pid.into());
        Value::Object(body)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`] if a key is missing, or has a value that this version does not know.
    pub fn decode(body: &Value) -> Result<Seen> {
        let snapshot = read(body)?;
        let body = Object::of(body, "body")?;
        Ok(Seen {
            snapshot,
            fingerprint: u64::from_str_radix(body.text("configuration")?, 16)
                .map_err(|_| bad("configuration"))?,
            pid: body.number("pid")?,
        })
    }
}

/// Reads a document, whatever else stands beside its keys. What is derived from others is not looked at.
///
/// # Errors
/// As [`Seen::decode`].
pub fn read(document: &Value) -> Result<Snapshot> {
    let document = Object::of(document, "body")?;
    if document.number::<u64>("version")? != DOCUMENT {
        return Err(bad("version"));
    }
    let pools = document.list("pools")?.iter().map(read_pool).collect::<Result<_>>()?;
    Ok(Snapshot { wall_ms: document.number("wall_ms")?, pools })
}

pub(super) fn bad(key: &str) -> Error {
    Error::new(
        ErrorCode::Unsupported,
        format!(
            "the instance's answer has a \"{key}\" that this program does not read: use the command of the release that \
             the instance runs"
        ),
    )
}

fn read_pool(value: &Value) -> Result<PoolSnapshot> {
    let pool = Object::of(value, "pool")?;
    let nodes: Vec<NodeSnapshot> = pool.list("nodes")?.iter().map(read_node).collect::<Result<_>>()?;
    let active = pool.optional_word("active", |name| nodes.iter().position(|node| node.name == name))?;
    Ok(PoolSnapshot {
        name: pool.text("name")?.into(),
        kind: pool.word("kind", PoolKind::from_name)?,
        policy: pool.word("policy", PolicyName::from_name)?,
        status: pool.word("status", PoolStatus::from_name)?,
        epoch: pool.number("epoch")?,
        active,
        paused: pool.flag("paused")?,
        removed: pool.list("removed")?.iter().map(read_name).collect::<Result<_>>()?,
        frozen: pool.object("frozen", read_frozen)?,
        nodes,
    })
}

fn read_name(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| bad("removed"))
}

fn read_node(value: &Value) -> Result<NodeSnapshot> {
    let node = Object::of(value, "node")?;
    Ok(NodeSnapshot {
        name: node.text("name")?.into(),
        node_type: node.word("type", NodeType::from_name)?,
        state: node.word("state", State::from_name)?,
        status: node.word("status", Status::from_name)?,
        label: node.word("label", Status::from_name)?,
        count: node.optional("count", Value::as_u64)?,
        cause: node.optional_word("cause", Cause::from_name)?,
        errno: node.optional("errno", Value::as_u64)?.unwrap_or(0),
        message: node.text("message")?.into(),
        rule: node.optional("rule", Value::as_u64)?.unwrap_or(0),
        waits_for_recover: node.flag("waits_for_recover")?,
        observed_ms: node.optional("observed_ms", Value::as_u64)?.unwrap_or(0),
        changed_ms: node.optional("changed_ms", Value::as_u64)?.unwrap_or(0),
        weight: node.number("weight")?,
        site: node.text("site")?.into(),
        facts: read_facts(&node)?,
        override_: node.object("override", read_override)?,
        checkpoints: node.list("checkpoints")?.iter().map(read_checkpoint).collect::<Result<_>>()?,
    })
}

fn read_frozen(freeze: &Object<'_>) -> Result<Freeze> {
    Ok(Freeze {
        reason: freeze.text("reason")?.into(),
        since_ms: freeze.number("since_ms")?,
        until_ms: freeze.optional("until_ms", Value::as_u64)?,
    })
}

fn read_override(order: &Object<'_>) -> Result<NodeOverride> {
    Ok(NodeOverride {
        set: Override {
            state: order.optional_word("state", State::from_name)?,
            status: order.optional_word("status", Status::from_name)?,
            node_type: order.optional_word("type", NodeType::from_name)?,
            weight: order.optional("weight", Value::as_u64)?,
        },
        maintenance: order.optional_word("maintenance", MaintenanceRole::from_name)?,
        reason: order.text("reason")?.into(),
        since_ms: order.number("since_ms")?,
        until_ms: order.optional("until_ms", Value::as_u64)?,
    })
}

fn read_checkpoint(value: &Value) -> Result<CheckpointSnapshot> {
    let seen = Object::of(value, "checkpoint")?;
    Ok(CheckpointSnapshot {
        kind: seen.word("kind", CheckpointKind::from_name)?,
        target: seen.text("target")?.into(),
        answers: seen.optional_flag("answers")?,
        cause: seen.optional_word("cause", Cause::from_name)?,
        message: seen.text("message")?.into(),
        observed_ms: seen.optional("observed_ms", Value::as_u64)?.unwrap_or(0),
    })
}

fn read_facts(node: &Object<'_>) -> Result<Facts> {
    let channels = match node.0.get("channels") {
        None | Some(Value::Null) => None,
        Some(Value::Array(list)) => Some(list.iter().map(read_channel).collect::<Result<_>>()?),
        Some(_) => return Err(bad("channels")),
    };
    let flavour = node.optional_word("flavour", Flavour::from_name)?;
    Ok(Facts {
        flavour,
        version: node.optional_word("server_version", read_version)?,
        server_id: node.optional("server_id", Value::as_u64)?,
        server_uuid: node.optional_word("server_uuid", |text| Some(text.to_owned()))?,
        read_only: node.optional_flag("read_only")?,
        super_read_only: node.optional_flag("super_read_only")?,
        // Without the flavour nobody can tell how to read them.
        gtids: match flavour {
            Some(flavour) => node.optional_word("gtids", |text| read_gtids(flavour, text))?,
            None => None,
        },
        channels,
        group: node.object("group", read_group)?,
        threads_connected: node.optional("threads_connected", Value::as_u64)?,
        max_connections: node.optional("max_connections", Value::as_u64)?,
        round_trip: node.span("rtt_us")?,
        backend: node.object("backend", read_backend)?,
    })
}

fn read_backend(seen: &Object<'_>) -> Result<BackendSeen> {
    let server = |value: &Value| {
        let server = Object::of(value, "servers")?;
        Ok(PortServer {
            port: server.number("port")?,
            uuid: server.text("uuid")?.into(),
            host: server.text("host")?.into(),
            server_port: server.number("server_port")?,
            read_only: server.optional_flag("read_only")?,
        })
    };
    Ok(BackendSeen {
        good: seen.flag("good")?,
        words: seen.text("words")?.into(),
        servers: seen.list("servers")?.iter().map(server).collect::<Result<_>>()?,
    })
}

/// MySQL's sets and MariaDB's positions are written in ways of their own.
fn read_gtids(flavour: Flavour, text: &str) -> Option<Gtids> {
    match flavour {
        Flavour::MySql => Gtids::parse_mysql(text).ok(),
        Flavour::MariaDb => Gtids::parse_mariadb(text).ok(),
    }
}

fn read_channel(value: &Value) -> Result<Channel> {
    let channel = Object::of(value, "channel")?;
    Ok(Channel {
        name: channel.text("name")?.into(),
        source: channel.text("source")?.into(),
        io: channel.word("io", ThreadState::from_name)?,
        sql: channel.word("sql", ThreadState::from_name)?,
        io_errno: channel.number("io_errno")?,
        sql_errno: channel.number("sql_errno")?,
        error: channel.text("error")?.into(),
        lag: channel.span("lag_us")?,
        applied_all: channel.optional_flag("applied_all")?,
        // Of use to the engine alone.
        received: None,
    })
}

fn read_group(group: &Object<'_>) -> Result<Group> {
    let member = |value: &Value| {
        let member = Object::of(value, "members")?;
        Ok(GroupMember {
            id: member.text("id")?.into(),
            address: member.text("address")?.into(),
            state: member.text("state")?.into(),
            primary: member.flag("primary")?,
        })
    };
    Ok(Group {
        kind: group.word("kind", GroupKind::from_name)?,
        id: group.text("id")?.into(),
        view: group.number("view")?,
        state: group.text("state")?.into(),
        majority: group.flag("majority")?,
        size: group.number("size")?,
        ready: group.flag("ready")?,
        members: group.list("members")?.iter().map(member).collect::<Result<_>>()?,
    })
}

fn read_version(text: &str) -> Option<ServerVersion> {
    let mut parts = text.splitn(3, '.').map(|part| part.parse().ok());
    Some(ServerVersion(parts.next()??, parts.next()??, parts.next()??))
}

/// An object whose keys are read with an error that names them.
pub(super) struct Object<'a>(&'a Map<String, Value>);

impl<'a> Object<'a> {
    pub(super) fn of(value: &'a Value, what: &str) -> Result<Object<'a>> {
        value.as_object().map(Object).ok_or_else(|| bad(what))
    }

    fn get(&self, key: &str) -> Result<&'a Value> {
        self.0.get(key).ok_or_else(|| bad(key))
    }

    pub(super) fn text(&self, key: &str) -> Result<&'a str> {
        self.get(key)?.as_str().ok_or_else(|| bad(key))
    }

    pub(super) fn list(&self, key: &str) -> Result<&'a Vec<Value>> {
        self.get(key)?.as_array().ok_or_else(|| bad(key))
    }

    fn flag(&self, key: &str) -> Result<bool> {
        self.get(key)?.as_bool().ok_or_else(|| bad(key))
    }

    pub(super) fn number<T: TryFrom<u64>>(&self, key: &str) -> Result<T> {
        self.get(key)?.as_u64().and_then(|n| T::try_from(n).ok()).ok_or_else(|| bad(key))
    }

    pub(super) fn word<T>(&self, key: &str, read: impl Fn(&str) -> Option<T>) -> Result<T> {
        read(self.text(key)?).ok_or_else(|| bad(key))
    }

    fn optional<T: TryFrom<u64>>(
        &self,
        key: &str,
        read: impl Fn(&Value) -> Option<u64>,
    ) -> Result<Option<T>> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value).and_then(|n| T::try_from(n).ok()).map(Some).ok_or_else(|| bad(key)),
        }
    }

    fn optional_flag(&self, key: &str) -> Result<Option<bool>> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_bool().map(Some).ok_or_else(|| bad(key)),
        }
    }

    fn optional_word<T>(&self, key: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_str().and_then(read).map(Some).ok_or_else(|| bad(key)),
        }
    }

    /// An object that may be null, or left out.
    fn object<T>(&self, key: &str, read: impl Fn(&Object<'_>) -> Result<T>) -> Result<Option<T>> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(&Object::of(value, key)?).map(Some),
        }
    }

    fn span(&self, key: &str) -> Result<Option<Duration>> {
        Ok(self.optional(key, Value::as_u64)?.map(Duration::from_micros))
    }
}
