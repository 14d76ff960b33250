//! The share of a node that comes back: a tenth at once, a tenth more with every tenth of `slow_start`, so
//! the whole after nine of them.

use crate::engine::time::{Duration, Time};

/// A whole share.
pub const FULL: u32 = 10;

/// The share in tenths, and when it changes; `None` once it is whole.
pub fn share(since: Time, slow_start: Duration, now: Time) -> (u32, Option<Time>) {
    let step = slow_start / FULL;
    if step.is_zero() {
        return (FULL, None);
    }
    let passed = (now.since(since).as_nanos() / step.as_nanos()).min(u128::from(FULL)) as u32;
    match passed + 1 >= FULL {
        true => (FULL, None),
        false => (passed + 1, Some(since + step * (passed + 1))),
    }
}

/// Whether a node with this share has its turn in the round; in `FULL` rounds it has as many turns as tenths, spread evenly.
pub fn has_turn(share: u32, round: u32) -> bool {
    (round + 1) * share / FULL > round * share / FULL
}
