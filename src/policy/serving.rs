//! The serve matrix: what a node's state and status mean to those who send clients, for every answer that there is.
//!
//! One table of numbered rows; the first whose condition holds answers for the node, to everybody at once: selection by role,
//! `up`, `is-active`, an agent-check (HAProxy's words), `/primary`, and the bindings. So no two of them can disagree.
//! docs/serving.md is printed from it.
//!
//! `up`, `is-active`, the agent-check and `/primary` follow from state and status alone wherever they can: the cache, from which
//! checks are answered without an agent, holds no cause.

use crate::engine::PoolSnapshot;
use crate::pool::{PolicyName, PoolStatus, State, Status};
use crate::probe::Class;
use crate::store::utc::format_utc;
use core::fmt;

/// What is known of a node when somebody asks about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The pool's rule table.
    pub policy: PolicyName,
    /// What the node is in its pool.
    pub state: State,
    /// Where it stands on the ladder.
    pub status: Status,
    /// Class of the last observation; `None` where it is not known, as from a cache. Then nothing follows from it.
    pub class: Option<Class>,
    /// The node is the one that the pool gives as its ACTIVE. It matters under `mpp`, where two are ACTIVE for one cycle.
    pub selected: bool,
    /// Routing pauses for a hand-over.
    pub paused: bool,
    /// An operator has the node in maintenance. A cache is not asked for it: nothing that is answered from one depends on it.
    pub maintenance: bool,
}

impl View {
    /// A node of a snapshot; `None` if there is no such node.
    pub fn of(pool: &PoolSnapshot, node: usize) -> Option<View> {
        let n = pool.nodes.get(node)?;
        Some(View {
            policy: pool.policy,
            state: n.state,
            status: n.status,
            class: n.cause.map(|cause| cause.class()),
            selected: pool.active == Some(node),
            paused: pool.paused,
            maintenance: n.override_.as_ref().is_some_and(|order| order.maintenance.is_some()),
        })
    }

    fn answers(&self, worst: Status) -> bool {
        self.status <= worst
    }
}

/// What selection makes of a node for one role of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// It takes new clients.
    Takes,
    /// It takes new clients only where no other node of the role does.
    Spare,
    /// New clients wait: the role is about to move.
    Waits,
    /// It takes none.
    No,
    /// It has the role and does not answer: whoever asks gets an error that names node, time and reason.
    Error,
}

impl Selection {
    /// The word in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Selection::Takes => "takes",
            Selection::Spare => "spare",
            Selection::Waits => "waits",
            Selection::No => "no",
            Selection::Error => "error",
        }
    }
}

/// What a load balancer's agent-check is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentWord {
    /// New clients and old ones.
    Up,
    /// Old clients stay, no new ones.
    Drain,
    /// No clients.
    Down,
}

impl AgentWord {
    /// The word in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            AgentWord::Up => "up",
            AgentWord::Drain => "drain",
            AgentWord::Down => "down",
        }
    }

    /// The line for a node of a weight, without its end (HAProxy Configuration Manual, `agent-check`).
    ///
    /// `ready` takes back an earlier `drain`; the percentage is of the weight in the balancer's own configuration, and a
    /// node of weight 0 is drained.
    pub fn line(self, weight: u32) -> String {
        match (self, weight) {
            (AgentWord::Up, 1..) => format!("ready up {}%", u64::from(weight) * 100),
            (AgentWord::Up, 0) | (AgentWord::Drain, _) => "up drain".to_string(),
            (AgentWord::Down, _) => "down".to_string(),
        }
    }
}

impl fmt::Display for AgentWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Every answer about one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Selection for clients that want the ACTIVE node, and what the bindings' `active` gives: the node, nothing (waits, no),
    /// or an error.
    pub active: Selection,
    /// Selection for clients that want a STANDBY.
    pub standby: Selection,
    /// `up`: a load balancer may send clients to it.
    pub up: bool,
    /// `is-active`, and `/primary` with 200 or 503.
    pub is_active: bool,
    /// The agent-check.
    pub agent: AgentWord,
}

impl Answers {
    /// The HTTP status of `/primary`.
    pub const fn primary(&self) -> u16 {
        if self.is_active { 200 } else { 503 }
    }

    /// The HTTP status of `/replica`: whether selection gives it clients that want a STANDBY.
    pub const fn replica(&self) -> u16 {
        if matches!(self.standby, Selection::Takes | Selection::Spare) { 200 } else { 503 }
    }

    /// The HTTP status of `/read-only`: whether it takes clients that only read, as ACTIVE node or as STANDBY.
    pub const fn read_only(&self) -> u16 {
        if self.is_active { 200 } else { self.replica() }
    }

    /// The HTTP status of `/health`: whether the clients that it has may stay.
    pub const fn health(&self) -> u16 {
        if matches!(self.agent, AgentWord::Down) { 503 } else { 200 }
    }

    /// The agent-check's word for the server of a role. Who writes must leave a node that has lost the role; who reads may stay
    /// where he is.
    pub const fn agent_for(&self, role: Role) -> AgentWord {
        match (role, self.agent) {
            (Role::Any, word) => word,
            (Role::Primary, _) if self.is_active => AgentWord::Up,
            (Role::Primary, _) => AgentWord::Down,
            (Role::Replica, _) if self.replica() == 200 => AgentWord::Up,
            (Role::Replica, AgentWord::Down) => AgentWord::Down,
            (Role::Replica, _) => AgentWord::Drain,
        }
    }
}

/// What a load balancer wants a server for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Either.
    #[default]
    Any,
    /// Clients that write.
    Primary,
    /// Clients that want a STANDBY.
    Replica,
}

impl Role {
    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Role> {
        [Role::Any, Role::Primary, Role::Replica].into_iter().find(|role| role.name() == name)
    }

    /// The word of an agent-check's line.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Any => "any",
            Role::Primary => "primary",
            Role::Replica => "replica",
        }
    }
}

/// A row about what is no node in the pools' state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Never changes its meaning.
    pub number: u16,
    /// The condition in words.
    pub condition: &'static str,
    /// The HTTP status of every page that asks for a node.
    pub http: u16,
    /// The agent-check; `None` closes the connection without a word, which changes nothing in the balancer.
    pub agent: Option<AgentWord>,
    /// Why.
    pub sentence: &'static str,
}

/// The engine stands still.
pub const STILL: Absent = Absent {
    number: 517,
    condition: "the engine stands still",
    http: 503,
    agent: None,
    sentence: "nobody knows what the nodes are now: a check fails, and an agent-check says nothing, so that the balancer's own \
               checks decide",
};

/// The node was taken out.
pub const REMOVED: Absent = Absent {
    number: 518,
    condition: "the node was taken out of its pool by `remove`",
    http: 503,
    agent: Some(AgentWord::Down),
    sentence: "an operator took it out",
};

/// No such node.
pub const UNKNOWN: Absent = Absent {
    number: 519,
    condition: "no such node in the configuration in force",
    http: 404,
    agent: Some(AgentWord::Down),
    sentence: "a name that is misspelled, or has left the configuration, gets no clients",
};

/// All of them, in the order of their numbers.
pub const ABSENT: [&Absent; 3] = [&STILL, &REMOVED, &UNKNOWN];

const fn answers(
    active: Selection,
    standby: Selection,
    up: bool,
    is_active: bool,
    agent: AgentWord,
) -> Answers {
    Answers { active, standby, up, is_active, agent }
}

/// One row.
pub struct Rule {
    /// Never changes its meaning.
    pub number: u16,
    /// The policy that it belongs to.
    pub policy: PolicyName,
    /// The condition in words.
    pub condition: &'static str,
    /// The condition.
    pub when: fn(&View) -> bool,
    /// What is answered.
    pub then: Answers,
    /// Why.
    pub sentence: &'static str,
}

const fn rule(
    number: u16,
    policy: PolicyName,
    condition: &'static str,
    when: fn(&View) -> bool,
    then: Answers,
    sentence: &'static str,
) -> Rule {
    Rule { number, policy, condition, when, then, sentence }
}

/// The matrix. The last row of each policy always holds.
#[rustfmt::skip]
pub const RULES: &[Rule] = {
    use AgentWord::{Down, Drain, Up};
    use PolicyName::{Mpp, Safe};
    use Selection::{Error, No, Spare, Takes, Waits};
    use State::{Active, Standby};
    &[
        rule(501, Safe, "ACTIVE, FAIL", |v| v.state == Active && !v.answers(Status::OkCritical),
            answers(Error, No, false, false, Down),
            "the last node has the role and does not answer: the answer is an error that names node, time and reason"),
        rule(502, Safe, "ACTIVE, OK to OK_CRITICAL, routing pauses", |v| v.state == Active && v.paused,
            answers(Waits, No, true, true, Up),
            "the role is being handed back: new clients wait, for as long as `handback_deadline` at most; checks, which ask more seldom, see no gap"),
        rule(503, Safe, "ACTIVE, OK to OK_CRITICAL", |v| v.state == Active,
            answers(Takes, No, true, true, Up),
            "the ACTIVE node serves from OK to OK_CRITICAL, whatever the last observation was"),
        rule(504, Safe, "STANDBY, FAIL", |v| v.state == Standby && !v.answers(Status::OkCritical),
            answers(No, No, false, false, Down),
            "the node is about to be failed"),
        rule(505, Safe, "STANDBY, OK to OK_CRITICAL, replication", |v| v.state == Standby && v.class == Some(Class::Replication),
            answers(No, No, true, false, Drain),
            "it answers, but what it would show is older than `max_lag` allows, or stands still: it keeps its clients and gets no new ones"),
        rule(506, Safe, "STANDBY, OK to OK_CRITICAL, gone, hung, silent or refusing",
            |v| v.state == Standby && matches!(v.class, Some(Class::Gone | Class::Hung | Class::Silent | Class::Refusing)),
            answers(No, Spare, true, false, Up),
            "one bad look is no failure, but a node with a good one is the better choice"),
        rule(507, Safe, "STANDBY, OK to OK_CRITICAL", |v| v.state == Standby,
            answers(No, Takes, true, false, Up),
            "a stand-in in good order takes clients that only read"),
        rule(516, Safe, "UNKNOWN, in maintenance, last seen alive", |v| v.state == State::Unknown && v.maintenance
                && matches!(v.class, Some(Class::Ok | Class::Refusing | Class::Replication | Class::Blind)),
            answers(No, No, false, false, Drain),
            "an operator has it in maintenance: clients that it has may finish there, nobody new comes"),
        rule(508, Safe, "UNKNOWN, FAILED_ONLINE or FAILED_OFFLINE", |_| true,
            answers(No, No, false, false, Down),
            "nobody has seen it in good order, or it has failed"),
        rule(511, Mpp, "ACTIVE, given as ACTIVE, OK to OK_WARN", |v| v.state == Active && v.selected && v.answers(Status::OkWarn),
            answers(Takes, No, true, true, Up),
            "the ACTIVE node serves"),
        rule(512, Mpp, "ACTIVE, given as ACTIVE, OK_CRITICAL or FAIL", |v| v.state == Active && v.selected,
            answers(Takes, No, false, true, Down),
            "as in the original `is-active` looks at the state alone and `up` at the stored status alone"),
        rule(513, Mpp, "STANDBY, OK to OK_WARN", |v| v.state == Standby && v.answers(Status::OkWarn),
            answers(No, Takes, true, false, Up),
            "a stand-in in good order takes clients that only read"),
        rule(514, Mpp, "otherwise, OK to OK_WARN", |v| v.answers(Status::OkWarn),
            answers(No, No, true, false, Drain),
            "as in the original `up` does not look at the state; ours give it no new clients: it has failed, is not known yet, or gives way to the PRIMARY"),
        rule(515, Mpp, "otherwise", |_| true,
            answers(No, No, false, false, Down),
            "the node counts as failed"),
    ]
};

/// The row that answers for a node.
pub fn rule_for(view: &View) -> &'static Rule {
    let mut rows = RULES.iter().filter(|rule| rule.policy == view.policy);
    let last = &RULES[if view.policy == PolicyName::Safe { SAFE_LAST } else { RULES.len() - 1 }];
    rows.find(|rule| (rule.when)(view)).unwrap_or(last)
}

/// Place of the row that closes the table of `safe`.
const SAFE_LAST: usize = 8;

/// Every answer about a node.
pub fn serve(view: &View) -> Answers {
    rule_for(view).then
}

/// Whether a load balancer may send clients to the node (`up`).
pub fn is_up(policy: PolicyName, state: State, status: Status) -> bool {
    serve(&View { policy, state, status, class: None, selected: true, paused: false, maintenance: false }).up
}

/// Whether the node takes the clients that write (`is-active`). `selected`: the node is the one that the pool gives
/// as its ACTIVE.
pub fn is_active(policy: PolicyName, selected: bool, state: State, status: Status) -> bool {
    selected
        && serve(&View { policy, state, status, class: None, selected, paused: false, maintenance: false })
            .is_active
}

/// Why a pool has no node that takes the clients that write, with node, time and reason; `None` if it has one.
pub fn not_serving(pool: &PoolSnapshot) -> Option<String> {
    let active = pool.active.and_then(|at| Some((pool.nodes.get(at)?, View::of(pool, at)?)));
    let Some((active, view)) = active else {
        return Some(match (pool.policy, pool.status) {
            (PolicyName::Mpp, PoolStatus::Fail) => {
                format!(
                    "no node is ACTIVE: the pool's status is FAIL until `primacy recover pool:{}`",
                    pool.name
                )
            }
            (PolicyName::Safe, PoolStatus::Fail) => {
                "no node is ACTIVE and none may become it; `primacy explain` says why".to_string()
            }
            (_, PoolStatus::Ok) => "no node is ACTIVE".to_string(),
        });
    };
    if serve(&view).is_active {
        return None;
    }
    let reason: String = active.message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let reason = if reason.is_empty() { "no reason is known" } else { &reason };
    let since =
        format_utc(active.changed_ms).unwrap_or_else(|| format!("{} ms after 1970", active.changed_ms));
    Some(format!(
        "{} is ACTIVE but does not serve: status {} since {since}: {reason}",
        active.name, active.status
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_view() -> impl Iterator<Item = View> {
        let classes = || Class::ALL.iter().map(|c| Some(*c)).chain([None]);
        PolicyName::ALL.iter().flat_map(move |&policy| {
            State::ALL.iter().flat_map(move |&state| {
                Status::ALL.iter().flat_map(move |&status| {
                    classes().flat_map(move |class| {
                        (0..8).map(move |bits| View {
                            policy,
                            state,
                            status,
                            class,
                            selected: bits & 1 == 1,
                            paused: bits & 2 == 2,
                            maintenance: bits & 4 == 4,
                        })
                    })
                })
            })
        })
    }

    #[test]
    fn every_view_has_a_row_and_every_row_a_view() {
        let mut used = std::collections::BTreeSet::new();
        for view in every_view() {
            let found = RULES.iter().find(|r| r.policy == view.policy && (r.when)(&view)).expect("a row");
            assert_eq!(found.number, rule_for(&view).number);
            used.insert(found.number);
        }
        assert_eq!(used.len(), RULES.len(), "{used:?}");
        let mut numbers: Vec<u16> = RULES.iter().map(|r| r.number).chain(ABSENT.map(|a| a.number)).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|two| two[0] < two[1]), "{numbers:?}");
        assert_eq!(
            RULES[SAFE_LAST].number,
            RULES.iter().rfind(|r| r.policy == PolicyName::Safe).unwrap().number
        );
    }

    /// What must hold of every row: whom clients that write are sent to is `is-active`; whoever takes any clients is `up` and
    /// not told `down`; nobody takes clients of both kinds.
    #[test]
    fn the_answers_agree_with_each_other() {
        for view in every_view() {
            let a = serve(&view);
            assert!(a.active != Selection::Takes || a.is_active, "{view:?}");
            let some = [a.active, a.standby].iter().any(|s| matches!(s, Selection::Takes | Selection::Spare));
            if view.policy == PolicyName::Safe {
                assert!(!some || a.up && a.agent != AgentWord::Down, "{view:?}");
                assert!(!a.is_active || a.up, "{view:?}");
                assert_eq!(a.is_active, view.state == State::Active && view.status <= Status::OkCritical);
            }
            assert!(a.active == Selection::No || a.standby == Selection::No, "{view:?}");
            assert!(!a.up || a.agent != AgentWord::Down, "{view:?}");
            assert!(a.up || a.agent != AgentWord::Up, "{view:?}");
            assert_eq!(a.primary() == 200, a.is_active);
            assert_eq!(a.replica() == 200, matches!(a.standby, Selection::Takes | Selection::Spare));
            assert_eq!(a.read_only() == 200, a.is_active || a.replica() == 200);
            assert_eq!(a.health() == 200, a.agent != AgentWord::Down);
            // Who gets new clients by one kind of check gets them by the other.
            assert_eq!(a.agent_for(Role::Primary) == AgentWord::Up, a.primary() == 200, "{view:?}");
            assert_eq!(a.agent_for(Role::Replica) == AgentWord::Up, a.replica() == 200, "{view:?}");
            assert!(a.agent_for(Role::Replica) != AgentWord::Drain || a.health() == 200, "{view:?}");
            assert_eq!(a.agent_for(Role::Any), a.agent);
            assert!(view.state == State::Standby || a.standby == Selection::No, "{view:?}");
        }
    }

    /// A cache holds no cause: what the checks say must not hang on it.
    #[test]
    fn checks_do_not_depend_on_what_a_cache_does_not_hold() {
        for view in every_view() {
            let known = serve(&view);
            let cached = serve(&View { class: None, paused: false, maintenance: false, ..view });
            assert_eq!((known.up, known.is_active), (cached.up, cached.is_active), "{view:?}");
            assert_eq!(is_up(view.policy, view.state, view.status), known.up, "{view:?}");
        }
    }

    #[test]
    fn words_for_a_load_balancer() {
        assert_eq!(AgentWord::Up.line(1), "ready up 100%");
        assert_eq!(AgentWord::Up.line(3), "ready up 300%");
        assert_eq!(AgentWord::Up.line(0), "up drain");
        assert_eq!(AgentWord::Drain.line(5), "up drain");
        assert_eq!(AgentWord::Down.line(5), "down");
    }
}
