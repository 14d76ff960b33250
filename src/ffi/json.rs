//! Snapshots and budgets as text.

use crate::engine::Snapshot;
use crate::engine::snapshot::{CheckpointSnapshot, NodeSnapshot, PoolSnapshot};
use crate::gtid::Gtids;
use crate::policy::budget::{Budget, Worst};
use crate::probe::{Channel, Facts};
use serde_json::{Value, json};
use std::time::Duration;

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A snapshot as one JSON object.
pub(super) fn snapshot(snapshot: &Snapshot) -> String {
    let pools: Vec<Value> = snapshot.pools.iter().map(pool).collect();
    json!({ "wall_ms": snapshot.wall_ms, "pools": pools }).to_string()
}

fn pool(pool: &PoolSnapshot) -> Value {
    let nodes: Vec<Value> = pool.nodes.iter().map(node).collect();
    json!({
        "name": pool.name,
        "kind": pool.kind.name(),
        "policy": pool.policy.name(),
        "status": pool.status.name(),
        "epoch": pool.epoch,
        "active": pool.active.and_then(|at| pool.nodes.get(at)).map(|node| &node.name),
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
        "error_number": node.errno,
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
    json!({
        "flavour": facts.flavour.map(|flavour| flavour.name()),
        "version": facts.version.map(|version| version.to_string()),
        "server_id": facts.server_id,
        "server_uuid": facts.server_uuid,
        "read_only": facts.read_only,
        "super_read_only": facts.super_read_only,
        "gtids": facts.gtids.as_ref().map(Gtids::to_string),
        "channels": facts.channels.as_ref().map(|channels| channels.iter().map(channel).collect::<Vec<_>>()),
        "threads_connected": facts.threads_connected,
        "max_connections": facts.max_connections,
        "round_trip_ms": facts.round_trip.map(millis),
    })
}

fn channel(channel: &Channel) -> Value {
    json!({
        "name": channel.name,
        "source": channel.source,
        "io": channel.io.name(),
        "sql": channel.sql.name(),
        "io_error": channel.io_errno,
        "sql_error": channel.sql_errno,
        "error": channel.error,
        "lag_ms": channel.lag.map(millis),
        "applied_all": channel.applied_all,
    })
}

/// A budget as one JSON object.
pub(super) fn budget(budget: &Budget) -> String {
    let lines: Vec<Value> = budget
        .lines
        .iter()
        .map(|line| {
            let (kind, worst) = match line.worst {
                Worst::Within(time) => ("within", Some(millis(time))),
                Worst::Never => ("never", None),
                Worst::HostsPace => ("hosts_pace", None),
            };
            json!({
                "class": line.class.name(),
                "fault": line.fault,
                "worst": kind,
                "worst_ms": worst,
                "formula": line.formula,
            })
        })
        .collect();
    json!({
        "pool": budget.pool,
        "connections_per_node": budget.connections_per_node,
        "checkpoints": budget.checkpoints,
        "check_time_ms": millis(budget.check_time),
        "lines": lines,
    })
    .to_string()
}
