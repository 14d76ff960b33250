//! What a new life makes of the node that was ACTIVE when the last one ended.
//!
//! Before a decision may fail the ACTIVE node, the cache notes that intent. A life that ends with the note in force may
//! have published another ACTIVE node whose record was never written.

use super::evaluation::fail_active;
use super::ladder::Ladder;
use super::model::{Member, Model, Settings};
use super::table::Rule;
use crate::pool::{NodeType, State, Status};

/// What the conditions of [`RESTART`] look at: the node that was ACTIVE.
#[derive(Clone, Copy, Debug)]
pub struct RestartView {
    /// The cache holds the intent to fail it.
    pub intent: bool,
    /// The pool has another node, which may have got the role.
    pub others: bool,
}

/// What becomes of the node that was ACTIVE; `None` leaves it.
pub static RESTART: &[Rule<RestartView, Option<State>>] = &[
    Rule {
        number: BARRED_BY_INTENT,
        condition: "was ACTIVE, its intent to fail is on record, the pool has another node",
        when: |v| v.intent && v.others,
        then: Some(State::FailedOffline),
        sentence: "the node was being failed when the last life ended, so another may have had its role: it waits for `recover`",
    },
    Rule {
        number: 292,
        condition: "was ACTIVE, its intent to fail is on record, the pool has no other node",
        when: |v| v.intent,
        then: None,
        sentence: "the node was being failed when the last life ended, but there is no other in the pool: it keeps the role",
    },
    Rule {
        number: 293,
        condition: "otherwise",
        when: |_| true,
        then: None,
        sentence: "the node has the role as it had when the last life ended",
    },
];

/// Number of the row that bars a node.
pub const BARRED_BY_INTENT: u16 = 291;

/// A node as the last life left it: its state, what its status was, whether it waits for `recover` and is owed the role.
/// Steps towards FAIL do not outlive a life: what was seen then proves nothing now.
pub fn restored(
    node_type: NodeType,
    (state, status): (State, Status),
    (held, owed): (bool, bool),
    settings: &Settings,
) -> Member {
    Member {
        state,
        // Only a failed node can wait for `recover`, and be recovered.
        held: held && state.is_failed() && !settings.stateless,
        ladder: if state.is_failed() {
            Ladder::failed(settings.fall, settings.rise)
        } else {
            Ladder::warning(status, settings.fall, settings.rise)
        },
        owed: owed && state != State::Active && node_type == NodeType::Primary,
        ..Member::new(node_type)
    }
}

/// Decides about the node that was ACTIVE: the row, and the node. `intent` says whether the cache holds the intent to
/// fail it.
pub fn resume(model: &mut Model, settings: &Settings, intent: bool) -> Option<(u16, usize)> {
    let active = model.active()?;
    let others = (0..model.members.len()).any(|i| i != active && !model.members[i].removed);
    let view = RestartView { intent, others };
    let rule = RESTART.iter().find(|rule| (rule.when)(&view))?;
    if let Some(state) = rule.then {
        fail_active(&mut model.members[active], settings);
        model.members[active].state = state;
    }
    Some((rule.number, active))
}
