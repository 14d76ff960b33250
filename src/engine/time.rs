//! Time as the engine sees it: a number that the caller hands in with every input.

use core::fmt;
use core::ops::{Add, Sub};
pub use core::time::Duration;

/// A point on the caller's monotonic clock, in nanoseconds from an origin of its choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// The time that never comes.
    pub const NEVER: Time = Time(u64::MAX);

    /// Milliseconds from the origin, for tests and simulations.
    pub const fn from_millis(ms: u64) -> Time {
        Time(ms * 1_000_000)
    }

    /// The time passed since `earlier`; zero if `earlier` lies ahead.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000 / 1_000)
    }
}

/// The moment of an input: the monotonic clock decides, the wall clock is only written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time, the only one that rules look at.
    pub mono: Time,
    /// Milliseconds since the Unix epoch, for events, snapshots and the cache.
    pub wall_ms: u64,
}
