//! The Rust API: one engine with its pools, cache and driver, behind a lock.
//!
//! The C ABI and the command are thin layers over this type.

pub mod cache_file;
pub mod secrets;

use crate::config::Config;
use crate::engine::{Answer, Event, Severity, Snapshot};
use crate::error::{Error, ErrorCode, Result};
use crate::pool::PoolStatus;
use crate::probe::{Cause, Facts};
use std::os::fd::RawFd;
use std::time::Duration;

/// A health observation that the host made itself.
#[derive(Clone, Debug, PartialEq)]
pub struct HostObservation {
    /// How the host's probe ended.
    pub cause: Cause,
    /// The number behind the cause, or 0.
    pub errno: u32,
    /// One sentence; may be empty.
    pub message: String,
    /// What the host learnt beside the cause; may be empty.
    pub facts: Facts,
}

/// Whether a command returns before its outcome is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Wait until the cache holds the outcome.
    Wait,
    /// Return at once.
    NoWait,
}

/// Which events a subscription takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter {
    /// Bits by number of [`crate::engine::EventKind`] (`1 << kind`); all by default.
    pub kinds: u64,
    /// The least severity.
    pub severity: Severity,
    /// One pool alone.
    pub pool: Option<String>,
}

impl Default for EventFilter {
    fn default() -> EventFilter {
        EventFilter { kinds: u64::MAX, severity: Severity::Info, pool: None }
    }
}

/// One engine with its pools, cache file and driver. Clones are references to the same one.
#[derive(Clone, Debug)]
pub struct Instance {}

/// A queue of events for one consumer.
#[derive(Debug)]
pub struct Subscription {}

fn not_built<T>() -> Result<T> {
    Err(Error::new(ErrorCode::State, "not built yet"))
}

#[allow(unused_variables, missing_docs)]
impl Instance {
    /// Reads secrets, resolves names once, opens the cache's folder. Makes no socket, epoll, lock or thread.
    pub fn new(config: Config) -> Result<Instance> {
        not_built()
    }
    /// Runs the driver in a thread of its own. Idempotent.
    pub fn start(&self) -> Result<()> {
        not_built()
    }
    /// Ends probing and the thread, within a second. Idempotent.
    pub fn stop(&self) -> Result<()> {
        not_built()
    }
    /// For the host's loop: the descriptor to watch for input, level-triggered. Excludes `start`.
    pub fn fd(&self) -> Result<RawFd> {
        not_built()
    }
    /// For the host's loop: handles what is due, never blocks; returns the number of inputs handled.
    pub fn dispatch(&self) -> Result<usize> {
        not_built()
    }
    /// One cycle of a pool, with its burst; blocks for at most `timeout`. For cron and scripts; not on a started instance.
    pub fn run_cycle(&self, pool: &str, timeout: Duration) -> Result<()> {
        not_built()
    }
    /// Hands in an observation of the host's own.
    pub fn observe(&self, pool: &str, node: &str, observation: HostObservation) -> Result<()> {
        not_built()
    }
    /// Closes a cycle of an externally observed pool.
    pub fn cycle(&self, pool: &str, pool_status: Option<PoolStatus>) -> Result<()> {
        not_built()
    }
    /// Takes a failed node back into the pool.
    pub fn recover_node(&self, pool: &str, node: &str, durability: Durability) -> Result<Answer> {
        not_built()
    }
    /// Takes back a pool whose status is FAIL.
    pub fn recover_pool(&self, pool: &str, durability: Durability) -> Result<Answer> {
        not_built()
    }
    /// Gives the role to the pool's PRIMARY.
    pub fn activate_primary(&self, pool: &str, durability: Durability) -> Result<Answer> {
        not_built()
    }
    /// Takes a node out of the pool.
    pub fn remove_node(&self, pool: &str, node: &str, durability: Durability) -> Result<Answer> {
        not_built()
    }
    /// The state of all pools.
    pub fn snapshot(&self) -> Result<Snapshot> {
        not_built()
    }
    /// Why a pool is as it is and what would change it.
    pub fn explain(&self, pool: &str) -> Result<String> {
        not_built()
    }
    /// The worst case from fault to switch, per class.
    pub fn budget(&self, pool: &str) -> Result<crate::policy::budget::Budget> {
        not_built()
    }
    /// A queue of events; `capacity` bounds it, the oldest fall out.
    pub fn subscribe(&self, filter: EventFilter, capacity: usize) -> Result<Subscription> {
        not_built()
    }
}

impl Subscription {
    /// Readable while the queue is not empty.
    pub fn fd(&self) -> RawFd {
        -1
    }
    /// The next event, `None` if there is none now.
    pub fn next(&self) -> Option<Event> {
        None
    }
}
