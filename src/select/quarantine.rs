//! Quarantine: a node that hosts cannot reach, though the prober can, gets no clients for a while.
//!
//! So many failed connects in a row begin a hold. At its end one client is a trial: if it gets through, the node is back; if not,
//! the next hold is twice as long, up to a cap. What went before is forgotten once the node has been free for ten times its last hold.

use crate::engine::time::{Duration, Time};

/// How the holds of a service are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The first hold; zero switches quarantine off.
    pub first: Duration,
    /// The longest hold.
    pub longest: Duration,
    /// So many failed connects in a row begin a hold.
    pub after: u32,
}

/// Failed connects further apart than this are not in a row.
const ROW: Duration = Duration::from_secs(10);

/// A client that does not report has this long, or as long as the hold.
const TRIAL: Duration = Duration::from_secs(5);

/// What was said stays known for this many times the last hold.
const MEMORY: u32 = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Free,
    /// No clients until then.
    Held(Time),
    /// One client finds out; another one if nothing was heard by then.
    Trial(Time),
}

/// What hosts said about one node of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quarantine {
    stage: Stage,
    failures: u32,
    last_failure: Option<Time>,
    /// The last hold, and when it ended for good.
    hold: Duration,
    freed: Option<Time>,
    trials: u64,
}

impl Quarantine {
    /// What hosts said to another decider is not known; the numbers of its trials are below this one's, for it made fewer of them
    /// than nanoseconds passed.
    pub fn resumed(now: Time) -> Quarantine {
        Quarantine { trials: now.0, ..Quarantine::default() }
    }

    /// Whether new clients stay away.
    pub fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held(_))
    }

    /// Whether it would matter that a host reached the node.
    pub fn is_troubled(&self) -> bool {
        self.failures > 0 || self.stage != Stage::Free
    }

    /// The number of the trial that one client may be.
    pub fn trial(&self) -> Option<u64> {
        matches!(self.stage, Stage::Trial(_)).then_some(self.trials)
    }

    /// When time alone changes something.
    pub fn deadline(&self) -> Option<Time> {
        match self.stage {
            Stage::Free => None,
            Stage::Held(until) | Stage::Trial(until) => Some(until),
        }
    }

    /// Lets time pass. Whether something changed.
    pub fn pass(&mut self, now: Time) -> bool {
        let due = self.deadline().is_some_and(|at| at <= now);
        if due {
            self.trials += 1;
            self.stage = Stage::Trial(now + self.hold.max(TRIAL));
        }
        due
    }

    /// A host reached the node. Whether something changed.
    pub fn reached(&mut self, now: Time) -> bool {
        (self.failures, self.last_failure) = (0, None);
        match self.stage {
            // Whoever still gets in during a hold began before it, or had nowhere else to go.
            Stage::Free | Stage::Held(_) => false,
            Stage::Trial(_) => {
                (self.stage, self.freed) = (Stage::Free, Some(now));
                true
            }
        }
    }

    /// A host could not reach the node. Whether something changed.
    pub fn failed(&mut self, now: Time, terms: &Terms) -> bool {
        if terms.first.is_zero() {
            return false;
        }
        match self.stage {
            Stage::Held(_) => false,
            Stage::Trial(_) => {
                self.begin(now, terms);
                true
            }
            Stage::Free => {
                let in_a_row = self.last_failure.is_some_and(|last| now.since(last) <= ROW);
                self.failures = if in_a_row { self.failures.saturating_add(1) } else { 1 };
                self.last_failure = Some(now);
                if self.failures < terms.after {
                    return false;
                }
                self.begin(now, terms);
                true
            }
        }
    }

    fn begin(&mut self, now: Time, terms: &Terms) {
        let forgotten = self.freed.is_some_and(|freed| now.since(freed) >= self.hold * MEMORY);
        self.hold = match self.hold.is_zero() || forgotten {
            true => terms.first,
            false => (self.hold * 2).min(terms.longest),
        };
        (self.failures, self.last_failure) = (0, None);
        self.stage = Stage::Held(now + self.hold);
    }

    /// Everything that hosts said is forgotten: the node failed or came back by the pool's own rules.
    pub fn forget(&mut self) {
        *self = Quarantine { trials: self.trials, ..Quarantine::default() };
    }
}
