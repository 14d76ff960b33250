//! A snapshot as the body of an answer, and back.
//!
//! Sets of transactions are left out: they can be longer than everything else together, and no view shows them.

use crate::engine::{CheckpointSnapshot, NodeSnapshot, PoolSnapshot, Snapshot};
use crate::error::{Error, ErrorCode, Result};
use crate::pool::{NodeType, PolicyName, PoolKind, PoolStatus, State, Status};
use crate::probe::{Cause, Channel, CheckpointKind, Facts, Flavour, ServerVersion, ThreadState};
use core::time::Duration;
use serde_json::{Map, Value, json};

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
        let pools: Vec<Value> = self.snapshot.pools.iter().map(pool).collect();
        json!({
            "wall_ms": self.snapshot.wall_ms,
            "configuration": format!("{:016x}", self.fingerprint),
            "pid": self.pid,
            "pools": pools,
        })
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`] if a key is missing, or has a value that this version does not know.
    pub fn decode(body: &Value) -> Result<Seen> {
        let body = Object::of(body, "body")?;
        let pools = body.list("pools")?.iter().map(read_pool).collect::<Result<_>>()?;
        Ok(Seen {
            snapshot: Snapshot { wall_ms: body.number("wall_ms")?, pools },
            fingerprint: u64::from_str_radix(body.text("configuration")?, 16)
                .map_err(|_| bad("configuration"))?,
            pid: body.number("pid")?,
        })
    }
}

fn pool(pool: &PoolSnapshot) -> Value {
    let nodes: Vec<Value> = pool.nodes.iter().map(node).collect();
    json!({
        "name": pool.name,
        "kind": pool.kind.name(),
        "policy": pool.policy.name(),
        "status": pool.status.name(),
        "epoch": pool.epoch,
        "active": pool.active,
        "paused": pool.paused,
        "nodes": nodes,
    })
}

fn node(node: &NodeSnapshot) -> Value {
    json!({
        "name": node.name,
        "type": node.node_type.name(),
        "state": node.state.name(),
        "status": node.status.name(),
        "count": node.count,
        "cause": node.cause.map(|cause| cause.name()),
        "errno": node.errno,
        "message": node.message,
        "rule": node.rule,
        "waits_for_recover": node.waits_for_recover,
        "observed_ms": node.observed_ms,
        "changed_ms": node.changed_ms,
        "weight": node.weight,
        "site": node.site,
        "facts": facts(&node.facts),
        "checkpoints": node.checkpoints.iter().map(checkpoint).collect::<Vec<_>>(),
    })
}

fn checkpoint(seen: &CheckpointSnapshot) -> Value {
    json!({
        "kind": seen.kind.name(),
        "target": seen.target,
        "answers": seen.answers,
        "cause": seen.cause.map(|cause| cause.name()),
        "message": seen.message,
        "observed_ms": seen.observed_ms,
    })
}

fn facts(facts: &Facts) -> Value {
    let channels = facts.channels.as_ref().map(|list| list.iter().map(channel).collect::<Vec<_>>());
    let mut map = Map::new();
    let known = [
        ("flavour", json!(facts.flavour.map(|flavour| flavour.name()))),
        ("version", json!(facts.version.map(|version| version.to_string()))),
        ("server_id", json!(facts.server_id)),
        ("server_uuid", json!(facts.server_uuid)),
        ("read_only", json!(facts.read_only)),
        ("super_read_only", json!(facts.super_read_only)),
        ("channels", json!(channels)),
        ("threads_connected", json!(facts.threads_connected)),
        ("max_connections", json!(facts.max_connections)),
        ("round_trip_us", json!(facts.round_trip.map(micros))),
    ];
    map.extend(
        known.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.into(), value)),
    );
    Value::Object(map)
}

fn channel(channel: &Channel) -> Value {
    json!({
        "name": channel.name,
        "source": channel.source,
        "io": channel.io.name(),
        "sql": channel.sql.name(),
        "io_errno": channel.io_errno,
        "sql_errno": channel.sql_errno,
        "error": channel.error,
        "lag_us": channel.lag.map(micros),
        "applied_all": channel.applied_all,
    })
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
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
    let active: Option<usize> = pool.optional("active", Value::as_u64)?;
    if active.is_some_and(|index| index >= nodes.len()) {
        return Err(bad("active"));
    }
    Ok(PoolSnapshot {
        name: pool.text("name")?.into(),
        kind: pool.word("kind", PoolKind::from_name)?,
        policy: pool.word("policy", PolicyName::from_name)?,
        status: pool.word("status", PoolStatus::from_name)?,
        epoch: pool.number("epoch")?,
        active,
        paused: pool.flag("paused")?,
        frozen: None,
        nodes,
    })
}

fn read_node(value: &Value) -> Result<NodeSnapshot> {
    let node = Object::of(value, "node")?;
    Ok(NodeSnapshot {
        name: node.text("name")?.into(),
        node_type: node.word("type", NodeType::from_name)?,
        state: node.word("state", State::from_name)?,
        status: node.word("status", Status::from_name)?,
        count: node.optional("count", Value::as_u64)?,
        cause: node.optional_word("cause", Cause::from_name)?,
        errno: node.number("errno")?,
        message: node.text("message")?.into(),
        rule: node.number("rule")?,
        waits_for_recover: node.flag("waits_for_recover")?,
        observed_ms: node.number("observed_ms")?,
        changed_ms: node.number("changed_ms")?,
        weight: node.number("weight")?,
        site: node.text("site")?.into(),
        facts: read_facts(node.get("facts")?)?,
        checkpoints: node.list("checkpoints")?.iter().map(read_checkpoint).collect::<Result<_>>()?,
        override_: None,
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
        observed_ms: seen.number("observed_ms")?,
    })
}

fn read_facts(value: &Value) -> Result<Facts> {
    let facts = Object::of(value, "facts")?;
    let channels = match facts.0.get("channels") {
        None | Some(Value::Null) => None,
        Some(Value::Array(list)) => Some(list.iter().map(read_channel).collect::<Result<_>>()?),
        Some(_) => return Err(bad("channels")),
    };
    Ok(Facts {
        flavour: facts.optional_word("flavour", Flavour::from_name)?,
        version: facts.optional_word("version", read_version)?,
        server_id: facts.optional("server_id", Value::as_u64)?,
        server_uuid: facts.optional_word("server_uuid", |text| Some(text.to_owned()))?,
        read_only: facts.optional_flag("read_only")?,
        super_read_only: facts.optional_flag("super_read_only")?,
        gtids: None,
        channels,
        threads_connected: facts.optional("threads_connected", Value::as_u64)?,
        max_connections: facts.optional("max_connections", Value::as_u64)?,
        round_trip: facts.span("round_trip_us")?,
    })
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

    fn span(&self, key: &str) -> Result<Option<Duration>> {
        Ok(self.optional(key, Value::as_u64)?.map(Duration::from_micros))
    }
}
