//! The key `checkpoints` of a pool: reading it, handing each set to its node, and printing it again.
//!
//! A set that would be ignored is an error: nobody should believe to be guarded by what nobody looks at.

use super::document::{Item, in_order, table_of};
use super::draft::{Origin, Place};
use super::model::{NodeConfig, ProbeMode};
use super::value::{describe, quote};
use crate::error::Result;
use crate::pool::{Address, PolicyName};
use crate::probe::{Checkpoint, CheckpointKind};
use toml::de::DeValue;

/// The most checkpoints of one kind in a set.
const MOST: usize = 8;

/// One set, for one node.
#[derive(Clone, Debug)]
pub(super) struct Set {
    node: Address,
    /// Where the node is named.
    place: Place,
    checkpoints: Vec<(Checkpoint, Place)>,
}

/// Reads the list of sets.
pub(super) fn list(origin: &Origin<'_>, path: &str, value: &Item<'_>) -> Result<Vec<Set>> {
    let list = origin.place(value.span(), path);
    let DeValue::Array(items) = value.get_ref() else {
        return Err(
            list.error(format!("expected a list of checkpoints, found {}", describe(value.get_ref())))
        );
    };
    let mut sets: Vec<Set> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let set = set(origin, &format!("{path}[{index}]"), item)?;
        if sets.iter().any(|other| other.node == set.node) {
            return Err(set.place.error(format!("node {} has a set of checkpoints already", set.node)));
        }
        sets.push(set);
    }
    Ok(sets)
}

fn set(origin: &Origin<'_>, path: &str, item: &Item<'_>) -> Result<Set> {
    let table = table_of(origin, path, item)?;
    let mut node = None;
    let mut checkpoints: Vec<(Checkpoint, Place)> = Vec::new();
    for (key, value) in in_order(table) {
        let full = format!("{path}.{}", key.get_ref());
        let place = origin.place(value.span(), &full);
        if key.get_ref().as_ref() == "node" {
            let parsed = match value.get_ref() {
                DeValue::String(text) => Address::parse(text),
                other => Err(format!("expected a node's address in quotes, found {}", describe(other))),
            };
            node = Some((parsed.map_err(|problem| place.error(problem))?, place));
            continue;
        }
        // Keys are spelled in lower case everywhere.
        let kind = CheckpointKind::ALL.iter().find(|kind| kind.name() == key.get_ref().as_ref());
        let Some(kind) = kind else {
            let known = "known here are node, internal, edge, external";
            return Err(origin
                .place(key.span(), &full)
                .error(format!("unknown key {}; {known}", quote(key.get_ref()))));
        };
        let one = core::slice::from_ref(value);
        let values = match value.get_ref() {
            DeValue::Array(list) => list.iter().collect(),
            _ => one.iter().collect::<Vec<_>>(),
        };
        if values.len() > MOST {
            return Err(place.error(format!("{} checkpoints, {MOST} of a kind are allowed", values.len())));
        }
        for value in values {
            let place = origin.place(value.span(), &full);
            let parsed = match value.get_ref() {
                DeValue::String(text) => Checkpoint::parse(*kind, text),
                other => Err(format!("expected a checkpoint in quotes, found {}", describe(other))),
            };
            let checkpoint = parsed.map_err(|problem| place.error(problem))?;
            if checkpoints.iter().any(|(other, _)| *other == checkpoint) {
                return Err(place.error(format!("{checkpoint} stands in this set twice")));
            }
            checkpoints.push((checkpoint, place));
        }
    }
    let whole = origin.place(item.span(), path);
    let Some((node, place)) = node else {
        return Err(whole.error("the set names no node: write node = \"HOST:PORT\""));
    };
    if checkpoints.is_empty() {
        return Err(whole.error("the set is empty: give it internal, edge or external checkpoints"));
    }
    checkpoints.sort_by_key(|(checkpoint, _)| checkpoint.kind);
    Ok(Set { node, place, checkpoints })
}

/// Hands each set to its node.
pub(super) fn assign(
    sets: &[Set],
    policy: PolicyName,
    mode: ProbeMode,
    nodes: &mut [NodeConfig],
) -> Result<()> {
    for set in sets {
        let place = &set.place;
        if mode == ProbeMode::External {
            return Err(place.error(
                "the host observes this pool and brings its own checkpoints with each cycle: \
                 leave these out, or let the library probe",
            ));
        }
        let Some(node) = nodes.iter_mut().find(|node| node.address == set.node) else {
            return Err(place.error(format!("{} is no node of this pool", set.node)));
        };
        if policy == PolicyName::Safe {
            check_safe(set, node)?;
        }
        node.checkpoints = set.checkpoints.iter().map(|(checkpoint, _)| checkpoint.clone()).collect();
    }
    Ok(())
}

/// Under `safe` a checkpoint is a witness of the prober's own network and nothing else: what cannot be one is ignored.
fn check_safe(set: &Set, node: &NodeConfig) -> Result<()> {
    if node.address.is_local() {
        return Err(set.place.error(format!(
            "{} is on this machine: policy safe never asks whether its silence is the network's, and would ignore \
             the set",
            set.node
        )));
    }
    for (checkpoint, place) in &set.checkpoints {
        if checkpoint.address().is_local() {
            return Err(place.error(format!(
                "{checkpoint} is on this machine and says nothing of the network: policy safe would ignore it"
            )));
        }
        if checkpoint.host == node.address.host {
            return Err(place.error(format!(
                "{checkpoint} is the node's own host, which is the one in question: policy safe would ignore it"
            )));
        }
    }
    Ok(())
}

/// The key's value as [`list`] reads it, if there is any; `string` quotes a text.
pub(super) fn print(nodes: &[NodeConfig], string: impl Fn(&str) -> String) -> Option<String> {
    let set = |node: &NodeConfig| {
        let mut entries = vec![format!("node = {}", string(&node.address.to_string()))];
        for kind in CheckpointKind::ALL {
            let of = node.checkpoints.iter().filter(|checkpoint| checkpoint.kind == *kind);
            let texts: Vec<String> = of.map(|checkpoint| string(&checkpoint.to_string())).collect();
            match texts.as_slice() {
                [] => {}
                [one] => entries.push(format!("{kind} = {one}")),
                several => entries.push(format!("{kind} = [{}]", several.join(", "))),
            }
        }
        format!("{{ {} }}", entries.join(", "))
    };
    let sets: Vec<String> = nodes.iter().filter(|node| !node.checkpoints.is_empty()).map(set).collect();
    (!sets.is_empty()).then(|| format!("[\n  {},\n]", sets.join(",\n  ")))
}
