//! The pool as policy `safe` sees it: small, comparable, without clocks, so that every state can be explored.

use super::ladder::Ladder;
use crate::config::{Failback, PoolConfig};
use crate::pool::{NodeType, PoolKind, State, Status};
use crate::probe::Class;

/// What an observation means for the rules, after the engine has compared it with clock and pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Evidence {
    /// The class of the cause.
    pub class: Class,
    /// The configuration lists the cause in `fail_on`.
    pub fail_on: bool,
    /// `gone` only: the node's process is known to have ended, and the pool counts that as the whole ladder.
    pub exited: bool,
    /// `ok` only: the node works, what its ports lead to does not.
    pub backend_bad: bool,
    /// `silent` only: the share of `silence` that the next step needs has passed.
    pub silence_due: bool,
    /// `silent` only: no node of the instance has answered since this one fell silent, and there are several.
    pub isolated: bool,
    /// Of the last twenty observations that counted, this one included, 60 % were of a kind that fails an ACTIVE node.
    pub window_bad: bool,
    /// `replication` only: nothing is wrong but the lag.
    pub lag_only: bool,
    /// The receiving thread does not run, and its source in this pool is itself in doubt or failed.
    pub source_in_doubt: bool,
    /// Replication runs, or stands still for a source in doubt.
    pub applies: bool,
    /// The lag is within `max_takeover_lag`, or all that was received is applied.
    pub within_takeover_lag: bool,
    /// Clients may write (`read_only = 0`), or nobody said otherwise.
    pub writable: bool,
    /// The probe began after the ACTIVE's first bad observation, or there is no doubt.
    pub fresh: bool,
}

impl Evidence {
    /// The evidence of a healthy node.
    pub const GOOD: Evidence = Evidence {
        class: Class::Ok,
        fail_on: false,
        exited: false,
        backend_bad: false,
        silence_due: false,
        isolated: false,
        window_bad: false,
        lag_only: false,
        source_in_doubt: false,
        applies: true,
        within_takeover_lag: true,
        writable: true,
        fresh: true,
    };

    /// Evidence of a class and nothing else known.
    pub const fn of(class: Class) -> Evidence {
        Evidence { class, silence_due: true, applies: !matches!(class, Class::Replication), ..Evidence::GOOD }
    }
}

/// Why a node may not take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bar {
    /// Not observed since the start.
    NotSeen,
    /// Not STANDBY: never seen healthy, or failed and not yet healed.
    NotStandby(State),
    /// It failed as ACTIVE and waits for `recover`.
    WaitsForRecover,
    /// Its last observation is not good.
    NotGood(Class),
    /// It was not seen since the ACTIVE's first bad observation.
    NotFresh,
    /// Its applying thread does not run.
    NotApplying,
    /// It is too far behind.
    Lag,
    /// It is read-only.
    ReadOnly,
    /// An operator removed it.
    Removed,
    /// An override or a maintenance fixes its state.
    Pinned(State),
}

/// What operators say about a node's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pin {
    /// Rules decide.
    #[default]
    Free,
    /// The state stays what it is, by an override or a maintenance.
    Fixed,
    /// The ACTIVE node is to give its role away, planned; then it is fixed.
    Leave,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// PRIMARY or SECONDARY.
    pub node_type: NodeType,
    /// Role and health.
    pub state: State,
    /// The steps that can fail the node.
    pub ladder: Ladder,
    /// It failed as ACTIVE and waits for `recover`.
    pub held: bool,
    /// It was recovered and, as the PRIMARY, is to get the role back.
    pub owed: bool,
    /// An operator took it out of the pool.
    pub removed: bool,
    /// An operator decides about its state.
    pub pin: Pin,
    /// Observations while UNKNOWN, up to `fall`: after them it no longer delays the first choice.
    pub tries: u8,
    /// The last observation that was not blind; `None` before the first.
    pub seen: Option<Evidence>,
}

impl Member {
    /// A node that nobody has looked at.
    pub fn new(node_type: NodeType) -> Member {
        Member {
            node_type,
            state: State::Unknown,
            ladder: Ladder::default(),
            held: false,
            owed: false,
            removed: false,
            pin: Pin::Free,
            tries: 0,
            seen: None,
        }
    }

    /// Whether the last observation is one that a candidate may have.
    pub fn is_good(&self) -> bool {
        self.seen.is_some_and(|e| e.is_good_standby())
    }
}

impl Evidence {
    /// Healthy, or with no fault but one that is charged to the source.
    pub fn is_good_standby(&self) -> bool {
        match self.class {
            Class::Ok => true,
            Class::Replication => self.lag_only || (self.source_in_doubt && self.applies),
            _ => false,
        }
    }

    /// Whether it takes a step towards the fall of an ACTIVE node.
    pub fn counts(&self) -> bool {
        self.fails_active() && (self.class != Class::Silent || (self.silence_due && !self.isolated))
    }

    /// Whether it says nothing about the node: it neither counts nor clears.
    pub fn is_idle(&self) -> bool {
        self.class == Class::Blind || (self.class == Class::Silent && !self.counts())
    }

    /// Proof or lasting absence: what may fail an ACTIVE node.
    pub fn fails_active(&self) -> bool {
        matches!(self.class, Class::Gone | Class::Hung | Class::Silent)
            || (self.fail_on && self.class == Class::Refusing)
    }
}

/// A planned hand-over in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandOver {
    /// Who is to get the role.
    pub to: usize,
}

/// Settings of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bad steps from OK to FAIL.
    pub fall: u32,
    /// Good steps from FAIL to OK.
    pub rise: u32,
    /// When the PRIMARY gets the role back.
    pub failback: Failback,
    /// Nodes hold nothing that another one could lack (kind `router`): what failed as ACTIVE heals by itself.
    pub stateless: bool,
}

impl Settings {
    /// The settings of a pool.
    pub fn of(config: &PoolConfig) -> Settings {
        Settings {
            fall: config.fall,
            rise: config.rise,
            failback: config.failback,
            stateless: config.kind == PoolKind::Router,
        }
    }
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Model {
    /// In configuration order.
    pub members: Vec<Member>,
    /// A planned hand-over, while routing pauses.
    pub hand_over: Option<HandOver>,
    /// An operator lets no rule change a state or the role.
    pub frozen: bool,
    /// The time of an override, a freeze or a maintenance ran out: no hand-back begins until an operator says so or the
    /// role has moved.
    pub failback_waits: bool,
}

impl Model {
    /// A pool of these nodes that no operator has touched.
    pub fn new(members: Vec<Member>) -> Model {
        Model { members, hand_over: None, frozen: false, failback_waits: false }
    }

    /// Whether an operator wants the ACTIVE node to give its role away.
    pub fn is_leaving(&self) -> bool {
        self.active().is_some_and(|a| self.members[a].pin == Pin::Leave)
    }

    /// The ACTIVE node.
    pub fn active(&self) -> Option<usize> {
        self.members.iter().position(|m| m.state == State::Active)
    }

    /// The status of a node.
    pub fn status(&self, node: usize, settings: &Settings) -> Status {
        self.members.get(node).map_or(Status::Ok, |m| m.ladder.status(settings.fall, settings.rise))
    }

    /// Whether an ACTIVE node has a bad observation that may lead to its fall.
    pub fn in_doubt(&self) -> bool {
        self.active().is_some_and(|a| {
            self.members[a].ladder.is_down() && self.members[a].seen.is_some_and(|e| e.fails_active())
        })
    }

    /// The ACTIVE node, if the next bad observation of it could take its role: it is in doubt, one step from FAIL or
    /// there, and another node could have the role at once. `at_the_brink` says that for another reason than the ladder
    /// the next bad observation is the last one, `last_resort` that a node that waits for `recover` would do.
    pub fn intends_to_fail(
        &self,
        settings: &Settings,
        at_the_brink: bool,
        last_resort: bool,
    ) -> Option<usize> {
        let active = self.active().filter(|_| self.in_doubt() && !self.frozen)?;
        let ladder = &self.members[active].ladder;
        let close = at_the_brink || ladder.is_at_the_brink(settings.fall, settings.rise);
        let heir = self.candidate().is_some() || (last_resort && self.last_resort().is_some());
        let fixed = self.members[active].pin == Pin::Fixed;
        Some(active).filter(|_| close && heir && !fixed)
    }

    /// Why a node may not take over, or `None` if it may (rule 7 of the design).
    pub fn bar(&self, node: usize) -> Option<Bar> {
        let m = &self.members[node];
        if m.seen.is_none() {
            Some(Bar::NotSeen)
        } else if m.removed {
            Some(Bar::Removed)
        } else if m.pin == Pin::Fixed {
            Some(Bar::Pinned(m.state))
        } else if m.held {
            Some(Bar::WaitsForRecover)
        } else if m.state != State::Standby {
            Some(Bar::NotStandby(m.state))
        } else {
            self.bar_of_evidence(node)
        }
    }

    /// Why what was last seen of a node does not let it take over.
    fn bar_of_evidence(&self, node: usize) -> Option<Bar> {
        let Some(seen) = self.members[node].seen else { return Some(Bar::NotSeen) };
        if !seen.is_good_standby() {
            Some(Bar::NotGood(seen.class))
        } else if !seen.fresh {
            Some(Bar::NotFresh)
        } else if !seen.applies {
            Some(Bar::NotApplying)
        } else if !seen.within_takeover_lag {
            Some(Bar::Lag)
        } else if !seen.writable {
            Some(Bar::ReadOnly)
        } else {
            None
        }
    }

    /// Nodes in the order of preference: the PRIMARY, then the configuration's order.
    pub fn preference(&self) -> impl Iterator<Item = usize> + '_ {
        let of = |t: NodeType| (0..self.members.len()).filter(move |&i| self.members[i].node_type == t);
        of(NodeType::Primary).chain(of(NodeType::Secondary))
    }

    /// The most preferred node that may take over.
    pub fn candidate(&self) -> Option<usize> {
        self.preference().find(|&i| self.bar(i).is_none())
    }

    /// The most preferred node that could take over if it did not wait for `recover`.
    pub fn last_resort(&self) -> Option<usize> {
        self.preference().find(|&i| {
            let m = &self.members[i];
            m.held && !m.removed && m.pin == Pin::Free && self.bar_of_evidence(i).is_none()
        })
    }

    /// Whether no node still has to be waited for before the first choice of an ACTIVE.
    pub fn is_settled(&self, settings: &Settings) -> bool {
        self.members.iter().all(|m| {
            m.removed
                || m.pin == Pin::Fixed
                || m.state != State::Unknown
                || u32::from(m.tries) >= settings.fall.min(255)
        })
    }
}
