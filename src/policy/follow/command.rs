//! Operators' moves that mean something else where the pool follows.

use super::table;
use super::voice::Voices;
use crate::policy::Refusal;
use crate::policy::safe::Model;
use crate::pool::State;

/// `activate-primary` has no place here.
pub fn activate_primary() -> Refusal {
    Refusal {
        rule: table::ACTIVATE_PRIMARY_REFUSED,
        reason: "move the writes there (group_replication_set_as_primary, wsrep_desync, read_only), and the pool follows".into(),
    }
}

/// `maintenance --move` of the ACTIVE node has none either.
pub fn leave() -> Refusal {
    Refusal { rule: table::MOVE_REFUSED, reason: "the node is ACTIVE".into() }
}

/// Takes a node out of the pool. The ACTIVE one only while another takes writes.
pub fn remove(model: &mut Model, voices: &Voices, node: usize) -> Result<u16, Refusal> {
    use crate::policy::safe::table::{REMOVE, REMOVE_REFUSED};
    let m = &model.members[node];
    if m.removed {
        return Err(Refusal { rule: REMOVE_REFUSED, reason: "the node is removed already".into() });
    }
    if m.state == State::Active && voices.candidate(model).is_none() {
        return Err(Refusal { rule: table::REMOVE_REFUSED, reason: "no other node takes writes".into() });
    }
    let m = &mut model.members[node];
    m.removed = true;
    m.owed = false;
    m.state = State::Unknown;
    Ok(REMOVE)
}
