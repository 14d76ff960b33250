//! The health ladder: two positions, so that only evidence that may fail a node can bring it to FAIL.
//!
//! `hard` counts the steps of evidence that fails a node, from 0 to FAIL. `soft` is moved by what only warns and
//! stops short of FAIL. The status is the worse of the two. So a node that refuses logins for an hour is at
//! OK_CRITICAL, and yet one single reset after it does not fail it.

use crate::pool::Status;

/// A node's place on the ladder, in parts of `fall * rise` per quarter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ladder {
    hard: u32,
    soft: u32,
}

/// How one observation moves a node on the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Nothing is counted.
    Hold,
    /// One step towards FAIL.
    Down,
    /// One step towards this status, from either side; the steps towards FAIL are taken back one by one.
    Towards(Status),
    /// One step towards OK.
    Up,
    /// To FAIL at once.
    Foot,
}

impl Ladder {
    /// The ladder's foot, for a node that is known to have failed.
    pub fn failed(fall: u32, rise: u32) -> Ladder {
        Ladder { hard: full(fall, rise), soft: 0 }
    }

    /// A position that has the given status by warning alone.
    pub fn warning(status: Status, fall: u32, rise: u32) -> Ladder {
        Ladder { hard: 0, soft: quarter(fall, rise) * (status as u32).min(3) }
    }

    /// Moves one step.
    pub fn step(&mut self, step: Step, fall: u32, rise: u32) {
        let (down, up, full) = (4 * rise, 4 * fall, full(fall, rise));
        match step {
            Step::Hold => {}
            Step::Down => self.hard = (self.hard + down).min(full),
            Step::Foot => self.hard = full,
            Step::Up => {
                self.hard = self.hard.saturating_sub(up);
                self.soft = self.soft.saturating_sub(up);
            }
            Step::Towards(status) => {
                let cap = quarter(fall, rise) * (status as u32).min(3);
                // Coming from FAIL, the node is alive: the warning takes over where the steps leave off.
                let was = self.hard.max(self.soft);
                self.hard = self.hard.saturating_sub(up);
                self.soft = if was > cap { was.saturating_sub(up).max(cap) } else { (was + down).min(cap) };
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Ladder::default();
    }

    /// The same place on a ladder of other lengths. The status stays, and nobody fails by it.
    pub fn rescaled(self, (fall, rise): (u32, u32), (new_fall, new_rise): (u32, u32)) -> Ladder {
        if self.is_failed(fall, rise) {
            return Ladder::failed(new_fall, new_rise);
        }
        let (old, new) = (u64::from(quarter(fall, rise)), u64::from(quarter(new_fall, new_rise)));
        let scaled = |steps: u32| u32::try_from((u64::from(steps) * new).div_ceil(old)).unwrap_or(u32::MAX);
        let below = full(new_fall, new_rise).saturating_sub(1);
        Ladder { hard: scaled(self.hard).min(below), soft: scaled(self.soft).min(below) }
    }

    /// The status: quarters of the way to FAIL.
    pub fn status(&self, fall: u32, rise: u32) -> Status {
        match self.hard.max(self.soft).div_ceil(quarter(fall, rise)) {
            _ if self.is_failed(fall, rise) => Status::Fail,
            0 => Status::Ok,
            1 => Status::OkInfo,
            2 => Status::OkWarn,
            // Within the last quarter, where `rise` is not a multiple of `fall`: FAIL is its very end.
            _ => Status::OkCritical,
        }
    }

    /// Whether a step towards FAIL is counted.
    pub fn is_down(&self) -> bool {
        self.hard > 0
    }

    /// Whether the node is at FAIL.
    pub fn is_failed(&self, fall: u32, rise: u32) -> bool {
        self.hard >= full(fall, rise)
    }

    /// Whether one more step towards FAIL is the last one.
    pub fn is_at_the_brink(&self, fall: u32, rise: u32) -> bool {
        self.is_down() && self.hard + 4 * rise >= full(fall, rise)
    }

    /// Steps towards FAIL taken so far, rounded up.
    pub fn steps(&self, rise: u32) -> u32 {
        self.hard.div_ceil(4 * rise)
    }
}

fn quarter(fall: u32, rise: u32) -> u32 {
    fall * rise
}

fn full(fall: u32, rise: u32) -> u32 {
    4 * fall * rise
}
