//! The engine: inputs in, effects out, no clock and no socket.
//!
//! Grammar: `handle` an input or give a `command`; then take effects from `poll_effect` until there is none;
//! then sleep until `poll_timeout` at most. Time comes in with every call.

pub mod effect;
pub mod event;
pub mod input;
pub mod snapshot;
pub mod time;

pub use effect::Effect;
pub use event::{Event, EventKind, Severity};
pub use input::{Answer, Command, Input, NodeRef};
pub use snapshot::{NodeSnapshot, PoolSnapshot, Snapshot};
pub use time::{Now, Time};

use crate::config::Config;
use crate::error::Result;
use crate::store::Cache;

/// All pools of one instance.
#[derive(Debug)]
pub struct Engine {
    config: Config,
}

impl Engine {
    /// Makes an engine from a configuration and, if there is one, the state of an earlier life.
    ///
    /// `seed` feeds the jitter of the schedule. A lost cache starts its epochs from `now.wall_ms`.
    pub fn new(config: Config, cache: Option<&Cache>, seed: u64, now: Now) -> Engine {
        let _ = (cache, seed, now);
        Engine { config }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input) {
        let _ = (now, input);
    }

    /// Carries out an operator's command, or refuses it by rule ([`crate::ErrorCode::Refused`]).
    pub fn command(&mut self, now: Now, command: Command) -> Result<Answer> {
        let _ = (now, command);
        Err(crate::Error::new(crate::ErrorCode::Refused, ""))
    }

    /// The next effect, until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        None
    }

    /// When the engine wants [`Input::Timer`] at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        None
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The state of all pools.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot { wall_ms: now.wall_ms, pools: Vec::new() }
    }

    /// The state as the cache stores it.
    pub fn cache(&self, now: Now) -> Cache {
        Cache { written_ms: now.wall_ms, ..Cache::default() }
    }

    /// Why the pool is as it is: rule, facts, and what would change the decision.
    pub fn explain(&self, now: Now, pool: usize) -> String {
        let _ = (now, pool);
        String::new()
    }

    /// Whether every node of the pool has been judged in the current cycle (`mpp`), or no doubt is open (`safe`).
    pub fn is_settled(&self, pool: usize) -> bool {
        let _ = pool;
        true
    }
}
