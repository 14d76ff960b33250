//! The engine: inputs in, effects out, no clock and no socket.
//!
//! Grammar: `handle` an input or give a `command`; then take effects from `poll_effect` until there is none;
//! then sleep until `poll_timeout` at most. Time comes in with every call.

pub mod commands;
mod doubt;
pub mod effect;
pub mod event;
mod explain;
mod hand_over;
pub mod input;
mod outbox;
mod pool_machine;
mod reconfigure;
mod recovery;
mod schedule;
pub mod snapshot;
#[cfg(test)]
mod tests;
pub mod time;
mod vantage;
mod views;

pub use effect::Effect;
pub use event::{Event, EventKind, Severity};
pub use input::{Answer, Command, Input, NodeRef, ReportOutcome};
pub use reconfigure::Reconfigured;
pub use schedule::BACK_OFF;
pub use snapshot::{NodeSnapshot, PoolSnapshot, Snapshot};
pub use time::{Now, Time};

use crate::config::{Config, ProbeMode};
use crate::policy::safe::Occasion;
use crate::pool::Judge;
use crate::store::Cache;
use outbox::{Draft, Outbox};
use pool_machine::{PoolMachine, Running};
use vantage::Vantage;

/// All pools of one instance.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    pools: Vec<PoolMachine>,
    vantage: Vantage,
    out: Outbox,
    written: u64,
    store_failed: bool,
    now: Time,
    /// The highest epoch that a pool which has left the configuration may have used.
    retired: u64,
}

impl Engine {
    /// Makes an engine from a configuration and, if there is one, the state of an earlier life.
    ///
    /// `seed` feeds the jitter of the schedule. A lost cache starts its epochs from `now.wall_ms`.
    pub fn new(config: Config, cache: Option<&Cache>, seed: u64, now: Now) -> Engine {
        let pools: Vec<PoolMachine> = config
            .pools
            .iter()
            .enumerate()
            .map(|(i, pool)| {
                let stored = cache.and_then(|c| c.pools.iter().find(|s| s.name == pool.name));
                PoolMachine::new(i, pool.clone(), stored, now)
            })
            .collect();
        Engine {
            config,
            vantage: Vantage::new(&pools),
            pools,
            out: Outbox::new(seed),
            written: cache.map_or(0, |c| c.sequence),
            store_failed: false,
            now: now.mono,
            retired: 0,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = now.mono;
        match input {
            Input::Start => self.pools.iter_mut().for_each(|p| p.running = Running::Yes),
            Input::Stop => self.pools.iter_mut().for_each(|p| {
                p.running = Running::No;
                p.nodes.iter_mut().for_each(|n| n.schedule.in_flight = None);
                p.cycle_open = false;
            }),
            Input::RunOnce { pool } => {
                if let Some(p) = self.pools.get_mut(pool) {
                    p.running = Running::Once(now.mono);
                    self.vantage.begin_cycle(pool);
                }
            }
            Input::Timer => {}
            Input::Probed { node, probe, observation } => self.probed(now, node, probe, observation),
            Input::Observed { node, observation } => {
                if let Some(p) = self.pools.get_mut(node.pool).filter(|p| node.node < p.nodes.len()) {
                    p.observed(now, node.node, observation, &mut self.vantage, &mut self.out);
                }
            }
            Input::ConnectionLost { node } => {
                if let Some(p) = self.pools.get_mut(node.pool) {
                    p.hint(node.node);
                }
            }
            Input::Report { node, outcome } => {
                if let Some(p) = self.pools.get_mut(node.pool).filter(|_| outcome.is_connect_failure()) {
                    p.reported(node.node);
                }
            }
            Input::Cycle { pool, pool_status } => {
                // A cycle of the library's own closes with its last probe: the next one would ask for them again.
                if let Some(p) = self.pools.get_mut(pool).filter(|p| !p.cycle_open) {
                    p.close_cycle(now, pool_status, &mut self.out);
                }
            }
            Input::Persisted { outcome, .. } => self.persisted(now, outcome),
        }
        self.settle(now);
    }

    fn probed(&mut self, now: Now, node: NodeRef, probe: u64, observation: crate::probe::Observation) {
        let Some(p) = self.pools.get_mut(node.pool) else { return };
        let Some(n) = p.nodes.get_mut(node.node) else { return };
        if n.schedule.in_flight != Some(probe) {
            return;
        }
        n.schedule.in_flight = None;
        p.observed(now, node.node, observation, &mut self.vantage, &mut self.out);
        let in_flight = p.nodes.iter().any(|n| n.schedule.in_flight.is_some());
        if p.cycle_open && !in_flight {
            p.close_cycle(now, None, &mut self.out);
        }
    }

    fn persisted(&mut self, now: Now, outcome: Result<(), String>) {
        let failed = outcome.is_err();
        if failed == self.store_failed {
            return;
        }
        self.store_failed = failed;
        let (severity, message) = match outcome {
            Ok(()) => (Severity::Info, "the cache can be written again".to_string()),
            Err(text) => {
                (Severity::Alarm, format!("the cache was not written; decisions go on in memory: {text}"))
            }
        };
        self.out.emit(now, Draft::about_instance(EventKind::Store, severity, message));
        // What could not be written is written with the next change, and at the latest now that it can.
        self.out.dirty |= !failed;
    }

    /// Carries what time and decisions have made due.
    fn settle(&mut self, now: Now) {
        for pool in &mut self.pools {
            if pool.gate.deadline().is_some_and(|d| d <= now.mono) {
                pool.evaluate(now, Occasion::Expired, &mut self.out);
            }
            if pool.held_down_until().is_some_and(|at| at <= now.mono) && pool.heir().is_none() {
                pool.evaluate(now, Occasion::Look, &mut self.out);
            }
            if pool.doubt_is_due(now.mono) || pool.last_resort_is_due(now.mono) {
                pool.evaluate(now, Occasion::Look, &mut self.out);
            }
            pool.cut_off = self.vantage.is_cut_off();
            pool.ask_for_probes(now.mono, &mut self.out);
        }
        if std::mem::take(&mut self.out.dirty) {
            self.written += 1;
            let cache = self.cache(now);
            self.out.push(Effect::Persist { sequence: self.written, cache });
        }
    }

    /// The next effect, until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.out.pop()
    }

    /// When the engine wants [`Input::Timer`] at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.pools.iter().filter_map(|p| p.next_timer(self.now)).min()
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The state of all pools.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot { wall_ms: now.wall_ms, pools: self.pools.iter().map(PoolMachine::snapshot).collect() }
    }

    /// The state as the cache stores it.
    pub fn cache(&self, now: Now) -> Cache {
        Cache {
            sequence: self.written,
            written_ms: now.wall_ms,
            pools: self.pools.iter().map(PoolMachine::stored).collect(),
        }
    }

    /// Why the pool is as it is: rule, facts, and what would change the decision.
    pub fn explain(&self, now: Now, pool: usize) -> String {
        self.pools.get(pool).map_or_else(String::new, |p| explain::explain(p, now))
    }

    /// Whether every node of the pool has been judged in the current cycle (`mpp`), or no doubt is open (`safe`).
    pub fn is_settled(&self, pool: usize) -> bool {
        self.pools.get(pool).is_none_or(PoolMachine::is_settled)
    }

    /// Whether the library probes the pool itself.
    pub fn is_probed(&self, pool: usize) -> bool {
        self.pools.get(pool).is_some_and(|p| p.config.probe_mode == ProbeMode::Builtin)
    }

    /// Whether the pool is judged in cycles.
    pub fn has_cycles(&self, pool: usize) -> bool {
        self.pools.get(pool).is_some_and(|p| matches!(p.judge, Judge::Mpp { .. }))
    }
}
