//! The engine: inputs in, effects out, no clock and no socket.
//!
//! Grammar: `handle` an input or give a `command`; then take effects from `poll_effect` until there is none;
//! then sleep until `poll_timeout` at most. Time comes in with every call.

pub mod change;
mod checkpoints;
pub mod commands;
pub mod deadlines;
mod doubt;
pub mod effect;
pub mod event;
mod explain;
mod follow;
mod hand_over;
pub mod input;
mod intent;
pub mod notice;
mod orders;
mod outbox;
mod owned;
mod pool_machine;
mod reconfigure;
mod recovery;
mod schedule;
mod selection;
pub mod snapshot;
mod telling;
#[cfg(test)]
mod tests;
pub mod time;
mod vantage;
pub mod verdicts;
mod views;
mod what_if;

pub use deadlines::Deadlines;
pub use effect::Effect;
pub use event::{Event, EventKind, Severity};
pub use input::{
    Answer, CheckRef, Command, Input, LONGEST_LIMIT, LONGEST_REASON, NodeRef, ReportOutcome, SHORTEST_LIMIT,
};
pub use reconfigure::Reconfigured;
pub use schedule::BACK_OFF;
pub use snapshot::{CheckpointSnapshot, NodeSnapshot, PoolSnapshot, Snapshot, Standing};
pub use time::{Now, Time};
pub use verdicts::LocalVerdict;

use crate::config::{Config, PoolConfig, ProbeMode};
use crate::metrics::PoolFigures;
use crate::policy::follow::Owner;
use crate::policy::safe::Occasion;
use crate::pool::{Judge, PoolKind};
use crate::select::ServiceTable;
use crate::store::Cache;
use outbox::{Draft, Outbox};
use pool_machine::{EPOCH_RESERVE, PoolMachine, Running};
use vantage::Vantage;

/// A pool of routers whose address a host owns elects nobody: who holds it is ACTIVE, once that is told.
fn owner_at_start(config: &Config, pool: &PoolConfig) -> Option<Owner> {
    let named = config.vips.iter().any(|vip| vip.pool.as_deref() == Some(pool.name.as_str()));
    (named && pool.kind == PoolKind::Router).then_some(Owner::Untold)
}

/// All pools of one instance.
#[derive(Clone, Debug)]
pub struct Engine {
    config: Config,
    pools: Vec<PoolMachine>,
    vantage: Vantage,
    out: Outbox,
    written: u64,
    /// Started, and the number of the write that is under way since.
    started: bool,
    writing: Option<u64>,
    store_failed: bool,
    /// Nothing is stored.
    unstored: bool,
    /// When each pool wants to be looked at.
    timers: Deadlines,
    /// Pools that the input or command at hand is about.
    touched: Vec<usize>,
    /// What all pools have been told about the observer.
    cut_off: bool,
    /// The highest epoch that a pool which has left the configuration may have used.
    retired: u64,
}

impl Engine {
    /// Makes an engine from a configuration and, if there is one, the state of an earlier life.
    ///
    /// `seed` feeds the jitter of the schedule. A lost cache starts its epochs from `now.wall_ms`.
    pub fn new(config: Config, cache: Option<&Cache>, seed: u64, now: Now) -> Engine {
        let mut out = Outbox::new(seed);
        let pools: Vec<PoolMachine> = config
            .pools
            .iter()
            .enumerate()
            .map(|(i, pool)| {
                let stored = cache.and_then(|c| c.pools.iter().find(|s| s.name == pool.name));
                let mut pool =
                    PoolMachine::new(i, pool.clone(), stored, cache.map_or(0, |c| c.written_ms), now);
                if let Some(stored) = stored {
                    pool.resume(now, stored, &mut out);
                }
                pool.owner = owner_at_start(&config, &pool.config);
                pool.select(now, &mut out);
                pool
            })
            .collect();
        let mut timers = Deadlines::default();
        for (i, pool) in pools.iter().enumerate() {
            timers.set(i, pool.next_timer(now.mono));
        }
        Engine {
            config,
            vantage: Vantage::new(&pools),
            pools,
            out,
            written: cache.map_or(0, |c| c.sequence),
            started: false,
            writing: None,
            store_failed: false,
            unstored: false,
            timers,
            touched: Vec::new(),
            cut_off: false,
            retired: 0,
        }
    }

    /// The same engine, for an instance without a cache: it asks for no writes.
    pub fn without_store(self) -> Engine {
        Engine { unstored: true, ..self }
    }

    /// Goes on where another decider of the same cache ended, by the tables that it published last: generations only rise, so a
    /// session that it let stay stays, and none that it ended revives. Before the first effect is taken.
    ///
    /// A crash may have lost the write of its last switch. Then the pool is as that write found it, and tells so by a higher epoch.
    pub fn adopt(&mut self, now: Now, tables: &[ServiceTable]) {
        self.out.withdraw_tables();
        for pool in &mut self.pools {
            let last =
                tables.iter().filter(|table| table.pool == pool.config.name).map(|table| table.epoch).max();
            if last.is_some_and(|last| last > pool.epoch) {
                pool.epoch_floor = pool.epoch_floor.max(last.unwrap_or(0));
                pool.epoch = pool.epoch_floor.saturating_add(1);
                pool.epoch_reserved = pool.epoch_reserved.max(pool.epoch.saturating_add(EPOCH_RESERVE));
                self.out.dirty = true;
            }
            pool.selection.adopt(now.mono, &pool.config.name, tables);
            pool.select(now, &mut self.out);
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.touched.clear();
        match input {
            Input::Start => {
                self.started = true;
                self.pools.iter_mut().for_each(|p| p.running = Running::Yes);
                self.touch_all();
            }
            Input::Stop => {
                self.started = false;
                self.pools.iter_mut().for_each(|p| {
                    p.running = Running::No;
                    p.nodes.iter_mut().for_each(|n| n.schedule.in_flight = None);
                    p.checks.forget();
                    p.cycle_open = false;
                    p.withdraw_intent(&mut self.out);
                });
                self.touch_all();
            }
            Input::RunOnce { pool } => {
                self.touched.push(pool);
                if let Some(p) = self.pools.get_mut(pool) {
                    p.running = Running::Once(now.mono);
                    self.vantage.begin_cycle(pool);
                }
            }
            Input::Timer => {}
            Input::Probed { node, probe, observation } => {
                self.touched.push(node.pool);
                self.probed(now, node, probe, observation);
            }
            Input::Checked { place, check, observation } => {
                self.touched.push(place.node.pool);
                if let Some(p) = self.pools.get_mut(place.node.pool)
                    && p.checked(now, place, check, observation, &mut self.vantage, &mut self.out)
                {
                    p.close_if_complete(now, &mut self.out);
                }
            }
            Input::Observed { node, observation } => {
                self.touched.push(node.pool);
                if let Some(p) = self.pools.get_mut(node.pool).filter(|p| node.node < p.nodes.len()) {
                    p.observed(now, node.node, observation, &mut self.vantage, &mut self.out);
                }
            }
            Input::ConnectionLost { node } => {
                self.touched.push(node.pool);
                if let Some(p) = self.pools.get_mut(node.pool) {
                    p.hint(node.node);
                }
            }
            Input::Report { node, service, outcome } => {
                self.touched.push(node.pool);
                if let Some(p) = self.pools.get_mut(node.pool).filter(|p| node.node < p.nodes.len()) {
                    let name = p.nodes[node.node].name.as_str();
                    p.selection.reported(now.mono, name, service.as_deref(), outcome);
                    if outcome.is_connect_failure() {
                        p.reported(node.node);
                    }
                }
            }
            Input::Located { node, ip } => {
                self.touched.push(node.pool);
                if let Some(n) = self.pools.get_mut(node.pool).and_then(|p| p.nodes.get_mut(node.node)) {
                    n.located = Some(ip);
                }
            }
            Input::Owner { pool, node } => {
                self.touched.push(pool);
                if let Some(p) = self.pools.get_mut(pool) {
                    p.owned(now, node, &mut self.out);
                }
            }
            Input::Cycle { pool, pool_status } => {
                self.touched.push(pool);
                // A cycle of the library's own closes with its last probe: the next one would ask for them again.
                if let Some(p) = self.pools.get_mut(pool).filter(|p| !p.cycle_open) {
                    p.close_cycle(now, pool_status, &mut self.out);
                }
            }
            Input::Persisted { sequence, outcome } => self.persisted(now, sequence, outcome),
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
        p.close_if_complete(now, &mut self.out);
    }

    fn persisted(&mut self, now: Now, sequence: u64, outcome: Result<(), String>) {
        self.writing = self.writing.filter(|&writing| writing > sequence);
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

    fn touch_all(&mut self) {
        self.touched = (0..self.pools.len()).collect();
    }

    /// Carries what time and decisions have made due. Only the pools at hand and those whose time has come are looked
    /// at: an instance may have thousands.
    fn settle(&mut self, now: Now) {
        if core::mem::replace(&mut self.cut_off, self.vantage.is_cut_off()) != self.cut_off {
            self.touch_all();
        }
        while let Some(pool) = self.timers.take_due(now.mono) {
            self.touched.push(pool);
        }
        for &index in &self.touched {
            let Some(pool) = self.pools.get_mut(index) else { continue };
            pool.run_out(now, &mut self.out);
            if pool.gate.deadline().is_some_and(|d| d <= now.mono) {
                pool.evaluate(now, Occasion::Expired, &mut self.out);
            }
            if pool.held_down_until().is_some_and(|at| at <= now.mono) && pool.heir().is_none() {
                pool.evaluate(now, Occasion::Look, &mut self.out);
            }
            if pool.doubt_is_due(now.mono) || pool.last_resort_is_due(now.mono) {
                pool.evaluate(now, Occasion::Look, &mut self.out);
            }
            pool.cut_off = self.cut_off;
            pool.ask_for_probes(now.mono, &mut self.out);
            pool.select(now, &mut self.out);
            self.timers.set(index, pool.next_timer(now.mono));
        }
        self.persist(now);
    }

    /// Has the state written if it changed. One write at a time while the instance runs: what changes during one goes
    /// out together with the next. Nobody brings the end of a write to an engine that has stopped.
    ///
    /// An intent that was not noted beforehand is asked to be written ahead of what was decided; where that has to wait,
    /// the next write holds the decision itself.
    fn persist(&mut self, now: Now) {
        let intents = core::mem::take(&mut self.out.intents);
        if self.unstored {
            // A document of thousands of nodes for nobody.
            self.out.dirty = false;
            return;
        }
        if !self.out.dirty || (self.started && self.writing.is_some()) {
            return;
        }
        if !intents.is_empty() {
            let mut cache = self.next_document(now);
            for (index, pool) in intents {
                if let Some(place) = cache.pools.get_mut(index) {
                    *place = pool;
                }
            }
            self.out.push_first(Effect::Persist { sequence: self.written, cache });
            if self.started {
                return;
            }
        }
        self.out.dirty = false;
        let cache = self.next_document(now);
        self.out.push(Effect::Persist { sequence: self.written, cache });
    }

    /// The state with the number of a write that begins.
    fn next_document(&mut self, now: Now) -> Cache {
        self.written += 1;
        self.writing = Some(self.written);
        self.cache(now)
    }

    /// Pools that the last input or command was about, or whose time had come with it; some perhaps more than once.
    pub fn touched(&self) -> &[usize] {
        &self.touched
    }

    /// The next effect, until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.out.pop()
    }

    /// When the engine wants [`Input::Timer`] at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.first()
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The state of all pools.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot { wall_ms: now.wall_ms, pools: self.pools.iter().map(PoolMachine::snapshot).collect() }
    }

    /// What was counted, by pool and node of [`Engine::snapshot`].
    pub fn figures(&self) -> Vec<PoolFigures> {
        self.pools.iter().map(PoolMachine::figures).collect()
    }

    /// The state of one pool.
    pub fn pool_snapshot(&self, pool: usize) -> Option<PoolSnapshot> {
        self.pools.get(pool).map(PoolMachine::snapshot)
    }

    /// What a load balancer may ask of one node; `None` if it was removed.
    pub fn standing(&self, node: NodeRef) -> Option<snapshot::Standing> {
        self.pools.get(node.pool)?.standing(node.node)
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

    /// What would change the decision, as data; [`Engine::explain`] prints its sentences from this.
    pub fn would_change(&self, now: Now, pool: usize) -> Vec<change::Change> {
        self.pools.get(pool).map_or_else(Vec::new, |p| p.would_change(now))
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
