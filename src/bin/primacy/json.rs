//! `status --json`: the keys are a contract, documented in docs/command.md; keys are only ever added.

use crate::view::{CacheNote, Source, View};
use primacy::config::Config;
use primacy::engine::{NodeSnapshot, PoolSnapshot};
use primacy::policy::{mpp, rule_sentence, serving};
use primacy::pool::PolicyName;
use serde_json::{Value, json};

/// The whole view as one JSON text.
pub fn status(config: &Config, view: &View) -> String {
    let pools: Vec<Value> = (0..view.snapshot.pools.len()).map(|i| pool(config, view, i)).collect();
    let (source, cache, agent) = match &view.source {
        Source::Engine => ("engine", Value::Null, Value::Null),
        Source::Agent { cache: Some(note), .. } => ("agent", cache(note), holder(note)),
        Source::Agent { pid, .. } => {
            ("agent", Value::Null, json!({"pid": pid, "program": "", "since_ms": 0}))
        }
        Source::Cache(note) => ("cache", cache(note), holder(note)),
    };
    let whole = json!({
        "version": 1,
        "source": source,
        "cache": cache,
        "agent": agent,
        "wall_ms": view.snapshot.wall_ms,
        "pools": pools,
    });
    format!("{whole:#}\n")
}

fn cache(note: &CacheNote) -> Value {
    json!({
        "file": note.file.to_string_lossy(),
        "sequence": note.sequence,
        "written_ms": note.written_ms,
    })
}

fn holder(note: &CacheNote) -> Value {
    match &note.agent {
        Ok(Some(h)) => json!({"pid": h.pid, "program": h.program, "since_ms": h.since_ms}),
        Ok(None) | Err(_) => Value::Null,
    }
}

fn pool(config: &Config, view: &View, index: usize) -> Value {
    let pool = &view.snapshot.pools[index];
    let active = pool.active.and_then(|i| pool.nodes.get(i)).map(|node| &node.name);
    let levels = config.pool(&pool.name).map_or(4, |pool| pool.levels);
    let nodes: Vec<Value> = (0..pool.nodes.len()).map(|i| node(pool, i, levels, &view.source)).collect();
    json!({
        "name": pool.name,
        "kind": pool.kind.name(),
        "policy": pool.policy.name(),
        "status": pool.status.name(),
        "epoch": pool.epoch,
        "active": active,
        "removed": view.removed.get(index),
        "nodes": nodes,
    })
}

fn node(pool: &PoolSnapshot, index: usize, levels: u32, source: &Source) -> Value {
    let NodeSnapshot { name, node_type, state, status, facts, .. } = &pool.nodes[index];
    let node = &pool.nodes[index];
    let lag = facts.channels.iter().flatten().filter_map(|c| c.lag).max();
    let label = match pool.policy {
        PolicyName::Mpp => mpp::label(node.count, levels),
        PolicyName::Safe => *status,
    };
    // A moment that never was is null, not 1970.
    let moment = |ms: u64| Some(ms).filter(|ms| *ms != 0);
    json!({
        "name": name,
        "type": node_type.name(),
        "state": state.name(),
        "status": status.name(),
        "label": label.name(),
        "count": node.count,
        "rule": Some(node.rule).filter(|r| *r != 0),
        "sentence": rule_sentence(node.rule),
        "message": node.message,
        "cause": node.cause.map(|c| c.name()),
        "errno": if matches!(source, Source::Cache(_)) { None } else { Some(node.errno) },
        "waits_for_recover": node.waits_for_recover,
        "changed_ms": moment(node.changed_ms),
        "observed_ms": moment(node.observed_ms),
        "weight": node.weight,
        "site": node.site,
        "up": serving::is_up(pool.policy, *state, *status),
        "serves": serving::is_active(pool.policy, pool.active == Some(index), *state, *status),
        "lag_ms": lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
        "rtt_us": facts.round_trip.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
        "flavour": facts.flavour.map(|f| f.name()),
        "server_version": facts.version.map(|v| v.to_string()),
        "checkpoints": node.checkpoints.iter().map(|c| json!({
            "kind": c.kind.name(),
            "target": c.target,
            "answers": c.answers,
            "cause": c.cause.map(|cause| cause.name()),
            "message": c.message,
            "observed_ms": moment(c.observed_ms),
        })).collect::<Vec<_>>(),
    })
}
