//! A snapshot as JSON: the one document that the control socket, `primacy status --json` and the C ABI give.
//!
//! Names instead of numbers, whole numbers with their unit in the key, null for what is not known. docs/command.md
//! lists the keys; keys are only ever added.

use crate::engine::{CheckpointSnapshot, NodeSnapshot, PoolSnapshot, Snapshot};
use crate::gtid::Gtids;
use crate::policy::{rule_sentence, serving};
use crate::pool::{Freeze, MaintenanceRole, NodeOverride, NodeType, State, Status};
use crate::probe::{BackendSeen, Channel, Facts, Group, GroupMember, PortServer};
use core::time::Duration;
use serde_json::{Map, Value, json};

/// The version of the document.
pub const DOCUMENT: u64 = 1;

/// A set of transactions that is longer as text is left out: it could be longer than everything else together.
pub const LONGEST_GTIDS: usize = 4096;

/// The document. An answer or a page may add keys of its own beside these.
pub fn document(snapshot: &Snapshot) -> Map<String, Value> {
    let pools: Vec<Value> = snapshot.pools.iter().map(pool).collect();
    let mut map = Map::new();
    map.insert("version".into(), DOCUMENT.into());
    map.insert("wall_ms".into(), snapshot.wall_ms.into());
    map.insert("pools".into(), pools.into());
    map
}

fn pool(pool: &PoolSnapshot) -> Value {
    let nodes: Vec<Value> = pool.nodes.iter().enumerate().map(|(i, n)| node(pool, i, n)).collect();
    json!({
        "name": pool.name,
        "kind": pool.kind.name(),
        "policy": pool.policy.name(),
        "status": pool.status.name(),
        "epoch": pool.epoch,
        "active": pool.active.and_then(|at| pool.nodes.get(at)).map(|node| &node.name),
        "paused": pool.paused,
        "removed": pool.removed,
        "frozen": pool.frozen.as_ref().map(freeze),
        "nodes": nodes,
    })
}

fn node(pool: &PoolSnapshot, index: usize, node: &NodeSnapshot) -> Value {
    let mut value = json!({
        "name": node.name,
        "type": node.node_type.name(),
        "state": node.state.name(),
        "status": node.status.name(),
        "label": node.label.name(),
        "count": node.count,
        "cause": node.cause.map(|cause| cause.name()),
        "errno": node.cause.map(|_| node.errno),
        "message": node.message,
        "rule": Some(node.rule).filter(|rule| *rule != 0),
        "sentence": rule_sentence(node.rule),
        "waits_for_recover": node.waits_for_recover,
        "observed_ms": moment(node.observed_ms),
        "changed_ms": moment(node.changed_ms),
        "weight": node.weight,
        "site": node.site,
        "override": node.override_.as_ref().map(order),
        "checkpoints": node.checkpoints.iter().map(checkpoint).collect::<Vec<_>>(),
        "up": serving::is_up(pool.policy, node.state, node.status),
        "serves": serving::is_active(pool.policy, pool.active == Some(index), node.state, node.status),
    });
    if let (Value::Object(known), Value::Object(facts)) = (&mut value, facts(&node.facts)) {
        known.extend(facts);
    }
    value
}

/// A moment that never was is null, not 1970.
fn moment(ms: u64) -> Option<u64> {
    Some(ms).filter(|ms| *ms != 0)
}

fn facts(facts: &Facts) -> Value {
    let gtids = facts.gtids.as_ref().map(Gtids::to_string).filter(|text| text.len() <= LONGEST_GTIDS);
    let channels: Option<Vec<Value>> = facts.channels.as_ref().map(|list| list.iter().map(channel).collect());
    let lag = facts.channels.iter().flatten().filter_map(|channel| channel.lag).max();
    json!({
        "flavour": facts.flavour.map(|flavour| flavour.name()),
        "server_version": facts.version.map(|version| version.to_string()),
        "server_id": facts.server_id,
        "server_uuid": facts.server_uuid,
        "read_only": facts.read_only,
        "super_read_only": facts.super_read_only,
        "gtids": gtids,
        "threads_connected": facts.threads_connected,
        "max_connections": facts.max_connections,
        "lag_ms": lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
        "rtt_us": facts.round_trip.map(micros),
        "channels": channels,
        "group": facts.group.as_ref().map(group),
        "backend": facts.backend.as_ref().map(backend),
    })
}

/// What the ports of a router lead to.
fn backend(seen: &BackendSeen) -> Value {
    let server = |s: &PortServer| json!({ "port": s.port, "uuid": s.uuid, "host": s.host, "server_port": s.server_port, "read_only": s.read_only });
    json!({
        "good": seen.good,
        "words": seen.words,
        "servers": seen.servers.iter().map(server).collect::<Vec<_>>(),
    })
}

fn freeze(freeze: &Freeze) -> Value {
    json!({ "reason": freeze.reason, "since_ms": freeze.since_ms, "until_ms": freeze.until_ms })
}

/// An override or a maintenance.
fn order(order: &NodeOverride) -> Value {
    json!({
        "state": order.set.state.map(State::name),
        "status": order.set.status.map(Status::name),
        "type": order.set.node_type.map(NodeType::name),
        "weight": order.set.weight,
        "maintenance": order.maintenance.map(MaintenanceRole::name),
        "reason": order.reason,
        "since_ms": order.since_ms,
        "until_ms": order.until_ms,
    })
}

fn checkpoint(seen: &CheckpointSnapshot) -> Value {
    json!({
        "kind": seen.kind.name(),
        "target": seen.target,
        "answers": seen.answers,
        "cause": seen.cause.map(|cause| cause.name()),
        "message": seen.message,
        "observed_ms": moment(seen.observed_ms),
    })
}

fn group(group: &Group) -> Value {
    let member =
        |m: &GroupMember| json!({ "id": m.id, "address": m.address, "state": m.state, "primary": m.primary });
    json!({
        "kind": group.kind.name(),
        "id": group.id,
        "view": group.view,
        "state": group.state,
        "majority": group.majority,
        "size": group.size,
        "ready": group.ready,
        "members": group.members.iter().map(member).collect::<Vec<_>>(),
    })
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
