//! What a service makes of each node: one table of numbered rows; the first whose condition holds decides.
//!
//! The serve matrix (`policy/serving.rs`) says what state and health of a node mean for the service's role; these rows add what
//! the service itself asks for, and what becomes of sessions that are there already.

use crate::config::{OnDemotion, Role};
use crate::policy::serving::Selection;

/// What is known of a node when a service judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The role for which the node is judged: the service's own, or that of its fallback.
    pub role: Role,
    /// What the serve matrix says of the node for that role.
    pub served: Selection,
    /// The node is not in the pool any more.
    pub removed: bool,
    /// The node is ACTIVE.
    pub active: bool,
    /// The node is FAILED_ONLINE or FAILED_OFFLINE.
    pub failed: bool,
    /// What the service does about a lost role.
    pub on_demotion: OnDemotion,
    /// An operator keeps clients away from the node: maintenance.
    pub maintenance: bool,
    /// The node's weight is 0.
    pub weightless: bool,
    /// Its address is not known: its name has never resolved.
    pub unlocated: bool,
    /// It once took no clients, under `next-available`.
    pub discarded: bool,
    /// Its lag is above the service's `max_lag`.
    pub lags: bool,
    /// Hosts could not reach it.
    pub held: bool,
}

/// What follows for a node's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// New clients come, old ones stay.
    Takes,
    /// The same, but only where no other node takes any.
    Spare,
    /// As [`Standing::Spare`], after all other ways: hosts could not reach it.
    Held,
    /// New clients wait, old ones stay: the role is about to move.
    Waits,
    /// No new clients, old ones stay.
    Stays,
    /// No new clients; old ones end once they are idle, at the deadline at the latest.
    Drains,
    /// No clients: the sessions that are there end now.
    Ends,
}

impl Standing {
    /// The word in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Standing::Takes => "takes clients",
            Standing::Spare => "takes clients only if no other node does",
            Standing::Held => "is held back, unless nobody else is left",
            Standing::Waits => "lets new clients wait",
            Standing::Stays => "takes no new clients",
            Standing::Drains => "is drained",
            Standing::Ends => "takes no clients",
        }
    }
}

/// One row.
pub struct Rule {
    /// Never changes its meaning.
    pub number: u16,
    /// The condition in words.
    pub condition: &'static str,
    /// The condition.
    pub when: fn(&Case) -> bool,
    /// What follows.
    pub then: Standing,
    /// Why.
    pub sentence: &'static str,
}

const fn rule(
    number: u16,
    condition: &'static str,
    when: fn(&Case) -> bool,
    then: Standing,
    sentence: &'static str,
) -> Rule {
    Rule { number, condition, when, then, sentence }
}

/// A service for clients that write, whose node is not ACTIVE (any more).
fn demoted(c: &Case) -> bool {
    c.role == Role::Active && !c.active
}

/// The table. The last row always holds.
#[rustfmt::skip]
pub const RULES: &[Rule] = {
    use Standing::{Drains, Ends, Held, Spare, Stays, Takes, Waits};
    &[
        rule(601, "removed", |c| c.removed, Ends,
            "the node is no longer in the pool"),
        rule(602, "role active, not ACTIVE, `on_demotion = \"keep\"`", |c| demoted(c) && c.on_demotion == OnDemotion::Keep, Stays,
            "the node is not ACTIVE; the service keeps sessions where they are"),
        rule(603, "role active, failed, `on_demotion` `auto`", |c| demoted(c) && c.failed && c.on_demotion == OnDemotion::Auto, Ends,
            "the node failed: a session that stayed could write where nobody looks any more"),
        rule(604, "role active, not ACTIVE, `on_demotion = \"kill\"`", |c| demoted(c) && c.on_demotion == OnDemotion::Kill, Ends,
            "the node is not ACTIVE: its sessions must not write any more"),
        rule(605, "role active, not ACTIVE", demoted, Drains,
            "the role was moved on purpose: sessions end once they are idle, at `drain_deadline` at the latest"),
        rule(606, "failed", |c| c.failed, Ends,
            "the node has failed"),
        rule(607, "its name never resolved", |c| c.unlocated, Stays,
            "the node's address is not known: its name has never resolved"),
        rule(608, "maintenance, not ACTIVE", |c| c.maintenance && !c.active, Drains,
            "an operator keeps clients away: sessions end once they are idle, at `drain_deadline` at the latest"),
        rule(609, "weight 0, role standby or any", |c| c.weightless && c.role != Role::Active, Drains,
            "its weight is 0: sessions end once they are idle, at `drain_deadline` at the latest"),
        rule(610, "took none before, `next-available`", |c| c.discarded, Stays,
            "it once took no clients, and `next-available` does not come back to such a node"),
        rule(611, "the serve matrix says waits", |c| c.served == Selection::Waits, Waits,
            "the role is being handed over: new clients wait, for as long as `handback_deadline` at most"),
        rule(612, "the serve matrix says error", |c| c.served == Selection::Error, Stays,
            "it has the role and does not answer"),
        rule(613, "the serve matrix says no", |c| c.served == Selection::No, Stays,
            "the serve matrix gives it no new clients of this role"),
        rule(614, "not ACTIVE, lag above `max_lag`", |c| c.lags && !c.active, Stays,
            "its lag is above the service's `max_lag`"),
        rule(615, "hosts could not reach it", |c| c.held, Held,
            "hosts could not reach it: it is left alone for a while, unless nobody else is left"),
        rule(616, "the serve matrix says spare", |c| c.served == Selection::Spare, Spare,
            "the last look at it was bad: a node with a good one is the better choice"),
        rule(617, "otherwise", |_| true, Takes,
            "it has the service's role and is in order"),
    ]
};

/// The row for a case.
pub fn rule_for(case: &Case) -> &'static Rule {
    let last = &RULES[RULES.len() - 1];
    RULES.iter().find(|rule| (rule.when)(case)).unwrap_or(last)
}

/// The sentence of a row of this table.
pub fn sentence(number: u16) -> Option<&'static str> {
    RULES.iter().find(|rule| rule.number == number).map(|rule| rule.sentence)
}
