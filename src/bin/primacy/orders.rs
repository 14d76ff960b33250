//! Operators' orders above the rules: overrides, freezes, maintenance.
//!
//! The agent carries them out, as any change. Without one, those that may move the role look at the servers first, because
//! the rules ask who may take it; the others work on the stored state.

use crate::args::{Args, TermsArgs};
use crate::{Outcome, agent, find, live, load, offline};
use primacy::control::{Change, Terms};
use primacy::engine::Command;
use primacy::instance::Durability;
use primacy::pool::{MaintenanceRole, Override};

pub fn set(args: &Args, node: &str, in_pool: Option<&str>, set: Override, terms: &TermsArgs) -> Outcome {
    let config = load::config(args)?;
    let place = find::node(&config, node, in_pool)?;
    let (pool, node) = find::names(&config, place);
    let (reason, limit) = (terms.reason.clone(), terms.limit);
    let options: String = [
        set.state.map(|state| format!(" --state {state}")),
        set.status.map(|status| format!(" --status {status}")),
        set.node_type.map(|node_type| format!(" --type {node_type}")),
        set.weight.map(|weight| format!(" --weight {weight}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let words = format!("set {node} --pool {pool}{options}{}", again(terms));
    let change = Change::Override { pool: pool.clone(), node: node.clone(), set, terms: given(terms) };
    agent::change(&config, &change, || {
        let command = Command::Override { node: place, set, reason: reason.clone(), limit };
        if set.state.is_none() {
            return offline::carry_out(args, &config, &words, command);
        }
        live::act(args, &config, place.pool, &words, command, |instance| {
            instance.set_override(&pool, &node, set, &reason, limit, Durability::Wait)
        })
    })
}

pub fn unset(args: &Args, node: &str, in_pool: Option<&str>) -> Outcome {
    let config = load::config(args)?;
    let place = find::node(&config, node, in_pool)?;
    let (pool, node) = find::names(&config, place);
    let words = format!("unset {node} --pool {pool}");
    agent::change(&config, &Change::ClearOverride { pool, node }, || {
        offline::carry_out(args, &config, &words, Command::ClearOverride(place))
    })
}

pub fn freeze(args: &Args, target: Option<&str>, terms: &TermsArgs) -> Outcome {
    let config = load::config(args)?;
    let index = find::pool_of(&config, target)?;
    let pool = config.pools[index].name.clone();
    let words = format!("freeze {pool}{}", again(terms));
    agent::change(&config, &Change::Freeze { pool, terms: given(terms) }, || {
        let command = Command::Freeze { pool: index, reason: terms.reason.clone(), limit: terms.limit };
        offline::carry_out(args, &config, &words, command)
    })
}

pub fn unfreeze(args: &Args, target: Option<&str>) -> Outcome {
    let config = load::config(args)?;
    let index = find::pool_of(&config, target)?;
    let pool = config.pools[index].name.clone();
    let words = format!("unfreeze {pool}");
    agent::change(&config, &Change::Unfreeze { pool }, || {
        offline::carry_out(args, &config, &words, Command::Unfreeze(index))
    })
}

pub fn maintenance(
    args: &Args,
    node: &str,
    in_pool: Option<&str>,
    role: MaintenanceRole,
    terms: &TermsArgs,
) -> Outcome {
    let config = load::config(args)?;
    let place = find::node(&config, node, in_pool)?;
    let (pool, node) = find::names(&config, place);
    let (reason, limit) = (terms.reason.clone(), terms.limit);
    let words = format!("maintenance {node} --pool {pool} --{role}{}", again(terms));
    let change = Change::Maintenance { pool: pool.clone(), node: node.clone(), role, terms: given(terms) };
    agent::change(&config, &change, || {
        let command = Command::Maintenance { node: place, role, reason: reason.clone(), limit };
        match role {
            MaintenanceRole::Stay => offline::carry_out(args, &config, &words, command),
            MaintenanceRole::Move => live::act(args, &config, place.pool, &words, command, |instance| {
                instance.maintenance(&pool, &node, role, &reason, limit, Durability::Wait)
            }),
        }
    })
}

fn given(terms: &TermsArgs) -> Terms {
    Terms { reason: terms.reason.clone(), limit: terms.limit }
}

/// The terms as the operator would type them again.
fn again(terms: &TermsArgs) -> String {
    let quoted = terms.reason.replace('\'', "'\\''");
    let limit = terms.limit.map(|limit| format!(" --for {}ms", limit.as_millis())).unwrap_or_default();
    format!(" --reason '{quoted}'{limit}")
}
