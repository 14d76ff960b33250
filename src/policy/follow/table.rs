//! The table of who is ACTIVE where the pool follows. First match wins; rules 301 to 319, commands from 321.

use crate::policy::safe::table::Rule;

/// What the conditions of [`FOLLOW`] look at, after the observed node's state is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowView {
    /// An operator froze the pool, or fixed the ACTIVE node.
    pub ordered: bool,
    /// The members form a group and decide themselves; else whoever sets `read_only` does.
    pub grouped: bool,
    /// The pool has an ACTIVE node.
    pub has_active: bool,
    /// The ACTIVE node is at FAIL.
    pub active_failed: bool,
    /// Its own word, or a newer one of its group, says that the ACTIVE node does not take writes.
    pub denied: bool,
    /// The ACTIVE node says that it takes none, but a member with a majority still names it.
    pub vouched: bool,
    /// Another node says that it takes writes, is believed, and is in order.
    pub candidate: bool,
    /// That node can do so better than the ACTIVE one, which is a donor or read-only.
    pub better: bool,
    /// Nodes say that they take writes that do not belong together.
    pub contested: bool,
    /// There is no better candidate to wait for.
    pub settled: bool,
    /// Everybody has been asked since the ACTIVE node lost its standing.
    pub all_asked: bool,
    /// A node that takes writes is barred only because it waits for `recover`.
    pub barred_by_recover: bool,
}

/// What a row of [`FOLLOW`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing moves.
    Keep,
    /// Nothing moves, with an alarm: nobody chooses between nodes that contradict each other.
    KeepContested,
    /// The ACTIVE node keeps its role although it takes no writes, with an alarm.
    KeepReadOnly,
    /// The ACTIVE node keeps its role at FAIL, with an alarm.
    KeepLast,
    /// The candidate becomes the first ACTIVE node.
    Elect,
    /// The candidate becomes ACTIVE, the old one STANDBY, or FAILED_* if it is at FAIL, in one evaluation.
    Follow,
    /// The ACTIVE node becomes STANDBY, or FAILED_* if it is at FAIL, and nobody is ACTIVE.
    Drop,
}

macro_rules! table {
    ($(#[$meta:meta])* $name:ident { $( $number:literal, $condition:literal, $when:expr, $next:expr, $sentence:literal; )+ }) => {
        $(#[$meta])*
        pub static $name: &[Rule<FollowView, Action>] = &[$( Rule {
            number: $number, condition: $condition, when: $when, then: $next, sentence: $sentence,
        } ),+];
    };
}

table! {
    /// Who is ACTIVE.
    FOLLOW {
    316, "frozen, or an operator fixed the ACTIVE node; ACTIVE at FAIL", |v| v.ordered && v.active_failed,
        Action::KeepLast, "the ACTIVE node has failed, but an operator keeps the role where it is";
    317, "frozen, or an operator fixed the ACTIVE node", |v| v.ordered,
        Action::Keep, "an operator keeps the role where it is";
    301, "ACTIVE, and nodes take writes that do not belong together", |v| v.has_active && v.contested,
        Action::KeepContested, "nodes take writes that do not belong together: nobody chooses between them, and the ACTIVE node keeps the role";
    302, "no ACTIVE, and nodes take writes that do not belong together", |v| v.contested,
        Action::KeepContested, "nodes take writes that do not belong together: nobody chooses between them, and nobody gets the role";
    303, "ACTIVE takes no writes by its own or a newer word, another does, nobody better to wait for",
        |v| v.denied && v.candidate && v.settled,
        Action::Follow, "another node takes the writes now: the role follows";
    304, "ACTIVE at FAIL, another takes writes", |v| v.active_failed && v.candidate,
        Action::Follow, "the ACTIVE node has failed, and another one takes writes: the role follows";
    305, "ACTIVE is a donor or read-only, another takes writes and is not", |v| v.better && v.candidate,
        Action::Follow, "the ACTIVE node is a donor or read-only, and another one takes writes without that: the role follows";
    306, "ACTIVE takes no writes by its own or a newer word, others have not been asked since",
        |v| v.denied && !v.all_asked,
        Action::Keep, "the ACTIVE node takes no writes: the others are asked who does before the role moves";
    318, "group, ACTIVE takes no writes by its own word, but a member with a majority still names it",
        |v| v.grouped && v.denied && v.vouched,
        Action::KeepReadOnly, "the ACTIVE node takes no writes, but the majority still names it: the role waits for the group's decision";
    307, "group, ACTIVE takes no writes by its own or a newer word, and nobody else does", |v| v.grouped && v.denied,
        Action::Drop, "the group does not let the ACTIVE node take writes, and no other one that answers: nobody is ACTIVE until the group decides";
    308, "ACTIVE at FAIL, one that takes writes waits for `recover`", |v| v.active_failed && v.barred_by_recover,
        Action::KeepLast, "the ACTIVE node has failed, and the only one that takes writes waits for `recover`: recover it to let the role follow";
    309, "group, ACTIVE at FAIL", |v| v.grouped && v.active_failed,
        Action::KeepLast, "the ACTIVE node has failed, and the group names nobody else yet: it keeps the role at FAIL until the group decides";
    310, "ACTIVE at FAIL", |v| v.active_failed,
        Action::KeepLast, "the ACTIVE node has failed, and no other one takes writes: it keeps the role at FAIL until somebody makes one";
    311, "ACTIVE takes no writes by its own word", |v| v.denied,
        Action::KeepReadOnly, "no node takes writes: the ACTIVE node keeps the role until one does";
    312, "no ACTIVE, a node takes writes, nobody better to wait for", |v| !v.has_active && v.candidate && v.settled,
        Action::Elect, "the pool has no ACTIVE node: the one that takes writes, of several the most preferred, gets the role";
    313, "no ACTIVE, a node takes writes, but others have not been heard", |v| !v.has_active && v.candidate,
        Action::Keep, "the pool has no ACTIVE node yet: others are still to say whether they take writes";
    314, "no ACTIVE, nobody takes writes", |v| !v.has_active,
        Action::Keep, "the pool has no ACTIVE node, and no node that answers takes writes";
    315, "otherwise", |_| true,
        Action::Keep, "the ACTIVE node keeps the role";
    }
}

/// Number of the refusal of `activate-primary`.
pub const ACTIVATE_PRIMARY_REFUSED: u16 = 321;
/// Number of the refusal of `remove` for the ACTIVE node.
pub const REMOVE_REFUSED: u16 = 322;

/// Number of the refusal of a maintenance that is to move the role.
pub const MOVE_REFUSED: u16 = 323;

/// Operators' rows that following adds to those of `safe`, with their sentences.
pub const COMMANDS: [(u16, &str); 3] = [
    (
        ACTIVATE_PRIMARY_REFUSED,
        "this pool follows: who takes writes is decided by the group, or by whoever sets read_only",
    ),
    (
        MOVE_REFUSED,
        "a pool that follows cannot move the role for a maintenance: move the writes to another node first, or let the role stay",
    ),
    (REMOVE_REFUSED, "the ACTIVE node can be removed only while another one takes writes"),
];
