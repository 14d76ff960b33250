//! The tables of policy `safe`. First match wins in each; a number never changes its meaning.
//!
//! An observation passes three tables: [`CHARGE`] says what it counts on the node's ladder, [`STATE`] what the
//! observed node becomes, [`ROLE`] who is ACTIVE. Rules 201 to 219, 221 to 239 and 241 to 259; 294 to 297.

use super::ladder::Step;
use super::model::Evidence;
use crate::pool::{State, Status};
use crate::probe::Class;

/// What the conditions of [`CHARGE`] look at.
#[derive(Clone, Copy, Debug)]
pub struct ChargeView {
    /// The observation.
    pub evidence: Evidence,
    /// The observed node is ACTIVE.
    pub active: bool,
}

/// What the conditions of [`STATE`] look at, after the ladder has moved.
#[derive(Clone, Copy, Debug)]
pub struct StateView {
    /// The observation.
    pub evidence: Evidence,
    /// The node's state.
    pub state: State,
    /// It waits for `recover`.
    pub held: bool,
    /// It is at the ladder's foot.
    pub failed: bool,
    /// It is at the ladder's top.
    pub healed: bool,
    /// An override or a maintenance fixes its state.
    pub pinned: bool,
    /// The pool is frozen.
    pub frozen: bool,
}

/// What the conditions of [`ROLE`] look at, after the node's state is settled.
#[derive(Clone, Copy, Debug)]
pub struct RoleView {
    /// The pool has an ACTIVE node.
    pub has_active: bool,
    /// The ACTIVE node is at FAIL.
    pub active_failed: bool,
    /// The ACTIVE node has a bad observation that may lead to its fall.
    pub in_doubt: bool,
    /// A node may take over.
    pub candidate: bool,
    /// The ACTIVE node's last sign was none: hung or silent. Proof that it is gone leaves no doubt.
    pub unheard: bool,
    /// A replica has heard from the ACTIVE node since its first bad observation, and lately.
    pub heard: bool,
    /// The time for a doubt is up, and the configuration wants the node failed then.
    pub doubt_over: bool,
    /// The most preferred node of all may take over, or every node has had its chance to be seen.
    pub settled: bool,
    /// A good node is barred only because it waits for `recover`.
    pub barred_by_recover: bool,
    /// The time after which `last_resort` lets such a node take over is up, and it could.
    pub last_resort: bool,
    /// The PRIMARY is healthy, may take over, is to get the role back and now is the time.
    pub primary_due: bool,
    /// A hand-over is going on.
    pub handing_over: bool,
    /// The node that is to get the role may still take over.
    pub heir_fit: bool,
    /// The heir is proven to have applied all that the ACTIVE node had.
    pub proven: bool,
    /// The time for the hand-over is up.
    pub expired: bool,
    /// An override or a maintenance fixes the ACTIVE node.
    pub active_pinned: bool,
    /// The pool is frozen.
    pub frozen: bool,
    /// The ACTIVE node is to leave for maintenance, and now is the time.
    pub leave_due: bool,
}

/// What a row of [`ROLE`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleAction {
    /// Nothing moves.
    Keep,
    /// The candidate becomes the first ACTIVE node.
    Elect,
    /// The ACTIVE node is failed and the candidate takes over, in one evaluation.
    TakeOver,
    /// The ACTIVE node is failed, and a node that waits for `recover` takes over, in one evaluation.
    LastResort,
    /// The ACTIVE node keeps its role at FAIL, with an alarm.
    KeepLast,
    /// The ACTIVE node keeps its role at FAIL although another may take over, with an alarm.
    KeepDoubted,
    /// The ACTIVE node keeps its role at FAIL because an operator said so, with an alarm.
    KeepByOrder,
    /// Routing pauses and the PRIMARY must prove itself.
    BeginHandOver,
    /// Routing pauses and the candidate must prove itself.
    BeginLeave,
    /// The heir becomes ACTIVE, the old one STANDBY, in one evaluation.
    CompleteHandOver,
    /// Routing goes on as before.
    AbandonHandOver,
}

/// One row: a condition, what follows, and the sentence that events and `explain` cite.
pub struct Rule<V, T> {
    /// Its number.
    pub number: u16,
    /// The condition in the table's words.
    pub condition: &'static str,
    /// The condition.
    pub when: fn(&V) -> bool,
    /// What follows.
    pub then: T,
    /// The reason, for people.
    pub sentence: &'static str,
}

impl<V, T: Copy> Clone for Rule<V, T> {
    fn clone(&self) -> Self {
        Rule { then: self.then, ..*self }
    }
}

/// The three tables together; the exploration runs on altered copies.
#[derive(Clone, Copy)]
pub struct Tables<'a> {
    /// What an observation counts.
    pub charge: &'a [Rule<ChargeView, Step>],
    /// What the observed node becomes; `None` leaves it.
    pub state: &'a [Rule<StateView, Option<State>>],
    /// Who is ACTIVE.
    pub role: &'a [Rule<RoleView, RoleAction>],
}

/// The tables as they are in force.
pub static IN_FORCE: Tables<'static> = Tables { charge: CHARGE, state: STATE, role: ROLE };

macro_rules! table {
    ($(#[$meta:meta])* $name:ident: $view:ty => $then:ty { $( $number:literal, $condition:literal, $when:expr, $next:expr, $sentence:literal; )+ }) => {
        $(#[$meta])*
        pub static $name: &[Rule<$view, $then>] = &[$( Rule {
            number: $number, condition: $condition, when: $when, then: $next, sentence: $sentence,
        } ),+];
    };
}

use State::{FailedOffline, FailedOnline, Standby, Unknown};

table! {
    /// What an observation counts on the ladder.
    CHARGE: ChargeView => Step {
    201, "blind", |v| v.evidence.class == Class::Blind,
        Step::Hold, "the prober could not look: nothing is counted against the node";
    296, "gone, the process is known to have ended", |v| v.evidence.class == Class::Gone && v.evidence.exited,
        Step::Foot, "the node's process has ended, which is a fact: there is nothing to confirm";
    214, "bad, and 60 % of the last 20 were", |v| v.evidence.window_bad && v.evidence.counts(),
        Step::Foot, "most of the last twenty observations were bad: a node that is half dead counts as failed";
    202, "a cause listed in fail_on", |v| v.evidence.fail_on && v.evidence.class == Class::Refusing,
        Step::Down, "the configuration lists this cause in fail_on: it counts as a failure";
    203, "gone", |v| v.evidence.class == Class::Gone,
        Step::Down, "the server does not run or will not serve";
    204, "hung", |v| v.evidence.class == Class::Hung,
        Step::Down, "the host answers, the server does not";
    213, "silent, and no node answers at all", |v| v.evidence.class == Class::Silent && v.evidence.isolated,
        Step::Hold, "no node answers at all: the prober itself may be cut off, so nothing is counted";
    205, "silent, this step's share of `silence` has passed", |v| v.evidence.class == Class::Silent && v.evidence.silence_due,
        Step::Down, "nothing answers, and has not for long enough to count";
    206, "silent, not yet for long enough", |v| v.evidence.class == Class::Silent,
        Step::Hold, "nothing answers, but not for long enough to count: a short cut fails nobody";
    207, "refusing", |v| v.evidence.class == Class::Refusing,
        Step::Towards(Status::OkCritical), "the server is alive but refuses the prober: that fails nobody";
    208, "replication, on the ACTIVE node", |v| v.evidence.class == Class::Replication && v.active,
        Step::Towards(Status::OkWarn), "a replication fault never fails an ACTIVE node";
    209, "replication, nothing but lag", |v| v.evidence.class == Class::Replication && v.evidence.lag_only,
        Step::Towards(Status::OkWarn), "the replica is behind: a number for selection and take-over, not a failure";
    210, "replication, the source is in doubt or failed and the node applies what it has",
        |v| v.evidence.class == Class::Replication && v.evidence.source_in_doubt && v.evidence.applies,
        Step::Up, "the fault is its source's: the node itself is in order";
    211, "replication", |v| v.evidence.class == Class::Replication,
        Step::Down, "replication stands still on this node while its source is in order";
    297, "good, but not what is behind it", |v| v.evidence.class == Class::Ok && v.evidence.backend_bad,
        Step::Towards(Status::OkWarn), "the router works, what its ports lead to does not: that fails nobody and moves nothing";
    212, "good", |v| v.evidence.class == Class::Ok,
        Step::Up, "the node is in order";
    }
}

table! {
    /// What the observed node becomes.
    STATE: StateView => Option<State> {
    229, "an operator fixed the state", |v| v.pinned,
        None, "an operator fixed the node's state: rules watch and change nothing";
    230, "the pool is frozen", |v| v.frozen,
        None, "an operator froze the pool: rules watch and change nothing";
    221, "UNKNOWN, good", |v| v.state == Unknown && v.evidence.is_good_standby(),
        Some(Standby), "seen in good order: the node is a stand-in";
    222, "UNKNOWN or STANDBY, at FAIL, replication",
        |v| matches!(v.state, Unknown | Standby) && v.failed && v.evidence.class.answered(),
        Some(FailedOnline), "the node answers, but it has failed as a stand-in";
    223, "UNKNOWN or STANDBY, at FAIL", |v| matches!(v.state, Unknown | Standby) && v.failed,
        Some(FailedOffline), "the node has not answered for as many steps as it is given";
    224, "FAILED_OFFLINE, at FAIL, answers with a replication fault",
        |v| v.state == FailedOffline && v.failed && v.evidence.class == Class::Replication,
        Some(FailedOnline), "the failed node answers again, but its replication does not run";
    225, "FAILED_ONLINE, at FAIL, does not answer",
        |v| v.state == FailedOnline && v.failed && !v.evidence.class.answered() && v.evidence.class != Class::Blind,
        Some(FailedOffline), "the failed node no longer answers";
    226, "failed as ACTIVE, good", |v| v.held && v.evidence.is_good_standby(),
        None, "it failed as ACTIVE and may hold transactions that nobody else has: it waits for `recover`";
    227, "FAILED_*, healed, replication in order, lag within bounds",
        |v| v.state.is_failed() && !v.held && v.healed && v.evidence.is_good_standby() && v.evidence.applies && v.evidence.within_takeover_lag,
        Some(Standby), "good for as many steps as are asked for: the node is a stand-in again";
    228, "otherwise", |_| true,
        None, "the node stays what it is";
    }
}

table! {
    /// Who is ACTIVE.
    ROLE: RoleView => RoleAction {
    241, "hand-over, proven, the heir is fit, no doubt", |v| v.handing_over && v.proven && v.heir_fit && !v.in_doubt,
        RoleAction::CompleteHandOver, "the heir has applied all that the ACTIVE node had: the role moves";
    242, "hand-over, the ACTIVE node is in doubt", |v| v.handing_over && v.in_doubt,
        RoleAction::AbandonHandOver, "the ACTIVE node is in doubt: the hand-over is given up and the rules for failures decide";
    243, "hand-over, the heir is not fit", |v| v.handing_over && !v.heir_fit,
        RoleAction::AbandonHandOver, "the heir may no longer take over: nothing moves";
    244, "hand-over, time is up", |v| v.handing_over && v.expired,
        RoleAction::AbandonHandOver, "the heir did not catch up in time: nothing moves";
    255, "ACTIVE at FAIL, an operator fixed it", |v| v.active_failed && v.active_pinned,
        RoleAction::KeepByOrder, "the ACTIVE node has failed, and an operator fixed the role on it: no rule moves it";
    256, "ACTIVE to leave for maintenance, in order, a node may take over", |v| v.leave_due && v.candidate && !v.handing_over && !v.in_doubt,
        RoleAction::BeginLeave, "the ACTIVE node is to leave for maintenance: routing pauses while the heir proves that it has everything";
    257, "the pool is frozen, ACTIVE at FAIL", |v| v.frozen && v.active_failed,
        RoleAction::KeepByOrder, "the ACTIVE node has failed, and an operator froze the pool: no rule moves the role";
    258, "the pool is frozen", |v| v.frozen,
        RoleAction::Keep, "an operator froze the pool: no rule moves the role";
    253, "ACTIVE at FAIL, hung or silent, a node may take over, but a replica still hears the ACTIVE node",
        |v| v.active_failed && (v.candidate || v.last_resort) && v.unheard && v.heard && !v.doubt_over,
        RoleAction::KeepDoubted, "the ACTIVE node does not answer the prober, but a replica still hears it: the prober's word alone does not fail it";
    245, "ACTIVE at FAIL, a node may take over", |v| v.active_failed && v.candidate,
        RoleAction::TakeOver, "the ACTIVE node has failed and a good node takes over";
    254, "ACTIVE at FAIL, a good node waits for `recover`, the time of last_resort is up, nobody else",
        |v| v.active_failed && v.last_resort,
        RoleAction::LastResort, "the ACTIVE node has failed, and for as long as last_resort waits nobody came: a good node that waits for `recover` takes over";
    246, "ACTIVE at FAIL, a good node waits for `recover`", |v| v.active_failed && v.barred_by_recover,
        RoleAction::KeepLast, "the ACTIVE node has failed, and the only good node waits for `recover`: recover it to let it take over";
    247, "ACTIVE at FAIL, nobody may take over", |v| v.active_failed,
        RoleAction::KeepLast, "the ACTIVE node has failed, but nobody may take over: the last node is not failed away";
    248, "no ACTIVE, a node may take over, nobody better to wait for", |v| !v.has_active && v.candidate && v.settled,
        RoleAction::Elect, "the pool has no ACTIVE node: the most preferred good one takes the role";
    249, "no ACTIVE, but a better node may still appear", |v| !v.has_active && v.candidate,
        RoleAction::Keep, "the pool has no ACTIVE node yet: a more preferred node is still being looked at";
    294, "no ACTIVE, a good node waits for `recover`, the time of last_resort is up, nobody else",
        |v| !v.has_active && v.last_resort,
        RoleAction::LastResort, "the pool has no ACTIVE node, and for as long as last_resort waits nobody came: a good node that waits for `recover` takes the role";
    295, "no ACTIVE, a good node waits for `recover`, nobody better to wait for",
        |v| !v.has_active && v.barred_by_recover && v.settled,
        RoleAction::KeepLast, "the pool has no ACTIVE node, and the only good node waits for `recover`: recover it to let it take the role";
    250, "no ACTIVE, nobody may take over", |v| !v.has_active,
        RoleAction::Keep, "the pool has no ACTIVE node and nobody may take the role";
    251, "the PRIMARY is to get the role, the ACTIVE node is in order",
        |v| v.primary_due && !v.handing_over && !v.in_doubt,
        RoleAction::BeginHandOver, "the PRIMARY is to get its role back: routing pauses while it proves that it has everything";
    252, "otherwise", |_| true,
        RoleAction::Keep, "the ACTIVE node keeps the role";
    }
}

/// Number of the row for a failed ACTIVE node while a good one waits for `recover`.
pub const BARRED: u16 = 246;
/// Number of the row for a pool without an ACTIVE node while a good one waits for `recover`.
pub const NOBODY_BUT_BARRED: u16 = 295;
/// Number of the row for a node that an operator fixed.
pub const HELD_FIXED: u16 = 229;
/// Number of the row for a frozen pool.
pub const HELD_FROZEN: u16 = 230;
/// Number of the row for an observer that may be cut off.
pub const ISOLATED: u16 = 213;

/// Number of the operator's `recover`.
pub const RECOVER: u16 = 261;
/// Number of the refusal of `recover`.
pub const RECOVER_REFUSED: u16 = 262;
/// Number of the operator's `activate-primary`.
pub const ACTIVATE_PRIMARY: u16 = 263;
/// Number of the refusal of `activate-primary`.
pub const ACTIVATE_PRIMARY_REFUSED: u16 = 264;
/// Number of the operator's `remove`.
pub const REMOVE: u16 = 265;
/// Number of the refusal of `remove`.
pub const REMOVE_REFUSED: u16 = 266;
/// Number of the operator's `recover` of a pool.
pub const RECOVER_POOL: u16 = 267;
/// Number of a `recover` without an operator.
pub const AUTO_RECOVER: u16 = 268;
/// Number of its refusal.
pub const AUTO_RECOVER_REFUSED: u16 = 269;

/// Number of an override of the state.
pub const FIXED: u16 = 270;
/// Number of an override to ACTIVE.
pub const MADE_ACTIVE: u16 = 271;
/// Number of the refusal of a second one.
pub const SECOND_ACTIVE: u16 = 272;
/// Number of the refusal to take the role from the ACTIVE node.
pub const ROLE_REFUSED: u16 = 273;
/// Number of an override of status, type or weight alone.
pub const SET: u16 = 274;
/// Number of the refusal of a second PRIMARY.
pub const SECOND_PRIMARY: u16 = 275;
/// Number of the end of an override or a maintenance.
pub const ENDED: u16 = 276;
/// Number of the refusal to end what is not there.
pub const NOTHING_SET: u16 = 277;
/// Number of the freeze.
pub const FROZEN: u16 = 278;
/// Number of its end.
pub const UNFROZEN: u16 = 279;
/// Number of the refusal to end what is not there.
pub const NOT_FROZEN: u16 = 280;
/// Number of the maintenance of a node that is not ACTIVE.
pub const MAINTAINED: u16 = 281;
/// Number of the maintenance of the ACTIVE node that hands the role over.
pub const LEAVING: u16 = 282;
/// Number of the maintenance of the ACTIVE node that keeps the role.
pub const STAYING: u16 = 283;
/// Number of the refusal to recover a node that an operator fixed.
pub const FIXED_REFUSED: u16 = 284;
/// Number of the end of a time limit.
pub const RUN_OUT: u16 = 285;
/// Number of the warning before it.
pub const RUNS_OUT: u16 = 286;
/// Number of the refusal of orders about a removed node.
pub const TAKEN_OUT: u16 = 287;

/// Orders that do not reach the tables: rules go on as before.
pub const NOTICES: [(u16, &str); 3] = [
    (SET, "an operator set status, type or weight: rules go on deciding the state"),
    (SECOND_PRIMARY, "another node is set to PRIMARY: end that override first"),
    (RUNS_OUT, "the time of an operator's order is about to run out: it ends without a switch"),
];

/// Operators' rows, with their sentences, and what is done in their stead.
pub const COMMANDS: [(u16, &str); 24] = [
    (RECOVER, "an operator recovered the node: it starts again as UNKNOWN"),
    (RECOVER_REFUSED, "only a failed node can be recovered"),
    (ACTIVATE_PRIMARY, "an operator wants the PRIMARY to have the role"),
    (ACTIVATE_PRIMARY_REFUSED, "the PRIMARY may not take the role now"),
    (REMOVE, "an operator took the node out of the pool"),
    (REMOVE_REFUSED, "the ACTIVE node can be removed only while another may take over"),
    (RECOVER_POOL, "an operator recovered the pool: every failed node starts again as UNKNOWN"),
    (
        AUTO_RECOVER,
        "good for as many steps as are asked for, and the ACTIVE node has all that it has: auto_recover takes it back",
    ),
    (
        AUTO_RECOVER_REFUSED,
        "auto_recover takes back only what failed as ACTIVE and has been in good order since",
    ),
    (
        FIXED,
        "an operator fixed the node's state: no rule changes it; if the node was ACTIVE another has the role now",
    ),
    (MADE_ACTIVE, "an operator made the node ACTIVE: the role moved at once, and no rule takes it away"),
    (SECOND_ACTIVE, "an operator fixed the role on another node: end that first"),
    (ROLE_REFUSED, "the node is ACTIVE, and it can be taken out only while another may take over"),
    (ENDED, "an operator ended the override or maintenance: the node keeps its state and is counted anew"),
    (NOTHING_SET, "the node has no override and no maintenance"),
    (FROZEN, "an operator froze the pool: no rule changes a state or the role"),
    (UNFROZEN, "an operator ended the freeze: every node is counted anew"),
    (NOT_FROZEN, "the pool is not frozen"),
    (MAINTAINED, "an operator began maintenance: the node takes no role, and its faults alarm nobody"),
    (LEAVING, "an operator began maintenance of the ACTIVE node: the role is handed over first"),
    (
        STAYING,
        "an operator began maintenance of the ACTIVE node: it keeps the role, and its faults do not take it away",
    ),
    (FIXED_REFUSED, "an override or a maintenance fixes the node: end that first"),
    (
        RUN_OUT,
        "the time of an operator's order has run out: states and role stay, every node concerned is counted anew",
    ),
    (TAKEN_OUT, "an operator took the node out of the pool"),
];
