//! From an observation to what the node says about who takes writes, where the pool follows.

use super::address::Address;
use super::evidence::source_of;
use super::node::Node;
use super::state::PoolKind;
use crate::policy::follow::{Names, Rank, Said, Word};
use crate::probe::{Class, Facts, Group, GroupKind, ThreadState};

/// What the last observation of a node, of this class, says.
pub fn said(kind: PoolKind, nodes: &[Node], node: usize, class: Class) -> Said {
    match class {
        Class::Blind => return Said::Nothing,
        Class::Ok | Class::Replication => {}
        Class::Gone | Class::Hung | Class::Silent | Class::Refusing => return Said::Silence,
    }
    let Some(facts) = nodes[node].last_facts() else { return Said::Silence };
    match (kind, &facts.group) {
        (PoolKind::Group, Some(group)) => Said::Word(of_member(nodes, node, facts, group)),
        (PoolKind::Group, None) => of_host(facts),
        _ => match facts.read_only {
            None => Said::Silence,
            Some(_) if takes_writes_by(nodes, node, facts) => Said::Word(Word::Member {
                // Nodes that take writes and are in no group have nothing to do with each other.
                group: node as u64,
                view: 0,
                names: Names::These(vec![node]),
                rank: Rank::Full,
            }),
            Some(_) => Said::Word(Word::Outside),
        },
    }
}

fn is_read_only(facts: &Facts) -> bool {
    facts.read_only == Some(true) || facts.super_read_only == Some(true)
}

fn of_member(nodes: &[Node], node: usize, facts: &Facts, group: &Group) -> Word {
    if !group.is_believed() {
        return Word::Outside;
    }
    let names = match group.kind {
        GroupKind::Galera => Names::Any,
        GroupKind::GroupReplication => {
            let primaries = group.members.iter().filter(|m| m.primary);
            let mut named: Vec<usize> =
                primaries.filter_map(|m| member_node(nodes, node, &m.id, &m.address, facts)).collect();
            named.sort_unstable();
            named.dedup();
            Names::These(named)
        }
    };
    let rank = if is_read_only(facts) {
        Rank::ReadOnly
    } else if group.is_donor() {
        Rank::Donor
    } else {
        Rank::Full
    };
    Word::Member { group: number(&group.id), view: group.view, names, rank }
}

/// The node of the pool that a member of the group is: by its id, else by the address that it gives itself.
fn member_node(nodes: &[Node], asked: usize, id: &str, address: &str, facts: &Facts) -> Option<usize> {
    if facts.server_uuid.as_deref() == Some(id) {
        return Some(asked);
    }
    let by_id = nodes.iter().position(|n| n.facts.server_uuid.as_deref() == Some(id));
    by_id.or_else(|| {
        let address = Address::parse(address).ok()?;
        nodes.iter().position(|n| n.config.address == address)
    })
}

/// A host that observes for itself tells by `read_only` alone who may write; who may, belongs together.
fn of_host(facts: &Facts) -> Said {
    match facts.read_only {
        None => Said::Silence,
        Some(_) if is_read_only(facts) => Said::Word(Word::Outside),
        Some(_) => Said::Word(Word::Member { group: 0, view: 0, names: Names::Any, rank: Rank::Full }),
    }
}

/// Whether a node with these facts lets clients write and replicates from no other member of the pool.
pub fn takes_writes_by(nodes: &[Node], node: usize, facts: &Facts) -> bool {
    let replicates = facts.channels.iter().flatten().any(|c| {
        source_of(nodes, node, c).is_some() && (c.io != ThreadState::Stopped || c.sql != ThreadState::Stopped)
    });
    facts.read_only == Some(false) && !is_read_only(facts) && !replicates
}

/// Whether everything that stands still on a node comes from members of the pool: left over from its time as a replica.
pub fn is_left_over(nodes: &[Node], node: usize, facts: &Facts) -> bool {
    facts.channels.iter().flatten().all(|c| source_of(nodes, node, c).is_some())
}

/// A number for a group (FNV-1a, 64 bits): only equal or not matters.
fn number(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
