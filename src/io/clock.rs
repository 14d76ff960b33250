//! The clocks.
//!
//! CLOCK_MONOTONIC, not CLOCK_BOOTTIME, is the time of every deadline: it stands still while the machine is
//! suspended, and so does the prober. On a clock that runs on, all deadlines would have passed at the moment of
//! resuming, and every node would be charged with a silence that was our own.

use crate::engine::{Now, Time};

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is valid for writing. With these clocks the call has no way to fail.
    unsafe { libc::clock_gettime(clock, &mut ts) };
    ts
}

/// Monotonic time; the origin is the machine's start.
pub(crate) fn mono() -> Time {
    let ts = read(libc::CLOCK_MONOTONIC);
    Time((ts.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(ts.tv_nsec as u64))
}

/// Monotonic time, at most a tick of the kernel old, for a fraction of the price: in nanoseconds.
pub(crate) fn coarse_ns() -> u64 {
    let ts = read(libc::CLOCK_MONOTONIC_COARSE);
    (ts.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(ts.tv_nsec as u64)
}

/// The moment of an input.
pub(crate) fn now() -> Now {
    let wall = read(libc::CLOCK_REALTIME);
    let wall_ms = (wall.tv_sec.max(0) as u64).saturating_mul(1000) + (wall.tv_nsec as u64) / 1_000_000;
    Now { mono: mono(), wall_ms }
}

/// Time since the machine's start, in which it was suspended too (CLOCK_BOOTTIME): for what others count on while we
/// sleep, as the validity of a lease.
pub(crate) fn boot() -> Time {
    let ts = read(libc::CLOCK_BOOTTIME);
    Time((ts.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(ts.tv_nsec as u64))
}
