//! What callers ask and tell: observations, commands, snapshots, explanations.

use super::names;
use super::shared::{Core, Handle, Life};
use super::{Durability, EventFilter, HostObservation, Subscription};
use crate::config::{OnLocked, ProbeMode};
use crate::control::{Ask, Change, Done, Seen, Terms};
use crate::engine::{Answer, Engine, Input, ReportOutcome, Snapshot};
use crate::error::{Error, ErrorCode, Result};
use crate::io::clock;
use crate::policy::budget::Budget;
use crate::pool::{MaintenanceRole, Override, PoolStatus};
use crate::probe::Observation;
use parking_lot::MutexGuard;
use std::time::Duration;

/// How long a command waits for the disk.
const DURABLE: Duration = Duration::from_secs(5);

impl Handle {
    pub(super) fn observe(&self, pool: &str, node: &str, observation: HostObservation) -> Result<()> {
        let mut core = self.open()?;
        core.deciding()?;
        let node = names::node(&core.config, pool, node)?;
        let probe_mode = core.config.pools.get(node.pool).map(|p| p.probe_mode);
        observed_by_host(pool, probe_mode)?;
        let now = clock::now();
        let HostObservation { cause, errno, message, facts } = observation;
        let observation = Observation { errno, facts, ..Observation::new(cause, message, now.mono) };
        core.give(now, Input::Observed { node, observation })
    }

    pub(super) fn report(&self, pool: &str, node: &str, outcome: ReportOutcome) -> Result<()> {
        let mut core = self.open()?;
        if core.follower.is_some() {
            return core.pass_on(pool, node, None, outcome);
        }
        let node = names::node(&core.config, pool, node)?;
        core.give(clock::now(), Input::Report { node, service: None, outcome })
    }

    pub(super) fn cycle(&self, pool: &str, pool_status: Option<PoolStatus>) -> Result<()> {
        let mut core = self.open()?;
        core.deciding()?;
        let index = names::pool(&core.config, pool)?;
        let probe_mode = core.config.pools.get(index).map(|p| p.probe_mode);
        observed_by_host(pool, probe_mode)?;
        core.give(clock::now(), Input::Cycle { pool: index, pool_status })
    }

    pub(super) fn recover_node(&self, pool: &str, node: &str, durability: Durability) -> Result<Answer> {
        self.command(Change::Recover { pool: pool.into(), node: node.into() }, durability)
    }

    pub(super) fn recover_pool(&self, pool: &str, durability: Durability) -> Result<Answer> {
        self.command(Change::RecoverPool { pool: pool.into() }, durability)
    }

    pub(super) fn activate_primary(&self, pool: &str, durability: Durability) -> Result<Answer> {
        self.command(Change::ActivatePrimary { pool: pool.into() }, durability)
    }

    pub(super) fn remove_node(&self, pool: &str, node: &str, durability: Durability) -> Result<Answer> {
        self.command(Change::Remove { pool: pool.into(), node: node.into() }, durability)
    }

    pub(super) fn set_override(
        &self,
        pool: &str,
        node: &str,
        set: Override,
        reason: &str,
        limit: Option<Duration>,
        durability: Durability,
    ) -> Result<Answer> {
        let terms = Terms { reason: reason.into(), limit };
        self.command(Change::Override { pool: pool.into(), node: node.into(), set, terms }, durability)
    }

    pub(super) fn clear_override(&self, pool: &str, node: &str, durability: Durability) -> Result<Answer> {
        self.command(Change::ClearOverride { pool: pool.into(), node: node.into() }, durability)
    }

    pub(super) fn freeze(
        &self,
        pool: &str,
        reason: &str,
        limit: Option<Duration>,
        durability: Durability,
    ) -> Result<Answer> {
        let terms = Terms { reason: reason.into(), limit };
        self.command(Change::Freeze { pool: pool.into(), terms }, durability)
    }

    pub(super) fn unfreeze(&self, pool: &str, durability: Durability) -> Result<Answer> {
        self.command(Change::Unfreeze { pool: pool.into() }, durability)
    }

    pub(super) fn maintenance(
        &self,
        pool: &str,
        node: &str,
        role: MaintenanceRole,
        reason: &str,
        limit: Option<Duration>,
        durability: Durability,
    ) -> Result<Answer> {
        let terms = Terms { reason: reason.into(), limit };
        self.command(Change::Maintenance { pool: pool.into(), node: node.into(), role, terms }, durability)
    }

    fn command(&self, change: Change, durability: Durability) -> Result<Answer> {
        // What names nothing is refused here, whoever decides.
        let mut command = self.open()?.command_of(&change)?;
        let ask = Ask::Change { change, wait: durability == Durability::Wait };
        if let Some(done) = self.ask_decider(&ask)? {
            return Ok(Answer { message: done.message, rule: done.rule, sequence: 0 });
        }
        let mut core = self.open()?;
        if let Ask::Change { change, .. } = &ask {
            // A reload may have moved what it names.
            command = core.command_of(change)?;
        }
        let answer = core.carry_out(clock::now(), command)?;
        let writer = core.writer.clone();
        drop(core);
        if let (Durability::Wait, Some(writer), true) = (durability, writer, answer.sequence > 0) {
            // This thread may block, so it writes itself: the helper may be stuck in the resolver.
            // The change may be in the write that follows the one at hand.
            while let Some((sequence, outcome)) = writer.write() {
                let mut core = self.shared.core.lock();
                core.give(clock::now(), Input::Persisted { sequence, outcome })?;
                if sequence >= answer.sequence {
                    break;
                }
            }
            writer.wait(answer.sequence, DURABLE)?;
        }
        Ok(answer)
    }

    /// Asks the decider, if that is another process. After a stop there is nobody to ask.
    pub(super) fn ask_elsewhere(&self, ask: &Ask) -> Result<Option<Done>> {
        if self.shared.core.lock().config.on_locked != OnLocked::Follow {
            return Ok(None);
        }
        match self.ask_decider(ask) {
            Err(error) if error.code() == ErrorCode::Stopped => Ok(None),
            other => other,
        }
    }

    pub(super) fn snapshot(&self) -> Result<Snapshot> {
        if let Some(done) = self.ask_elsewhere(&Ask::Snapshot { pool: None })? {
            return Seen::decode(&done.body).map(|seen| seen.snapshot);
        }
        self.look(|engine| engine.snapshot(clock::now())).or_else(|error| {
            let copy = if error.code() == ErrorCode::Panic { self.shared.core.lock().copy() } else { None };
            copy.ok_or(error)
        })
    }

    pub(super) fn explain(&self, pool: &str) -> Result<String> {
        let index = {
            let core = self.shared.core.lock();
            names::pool(&core.config, pool).map_err(|unknown| match core.check() {
                // Whoever watches the engine by this has perhaps no pool to ask about.
                Err(error) if error.code() == ErrorCode::Panic => error,
                _ => unknown,
            })?
        };
        if let Some(done) = self.ask_elsewhere(&Ask::Explain { pool: pool.to_owned() })? {
            return Ok(done.message);
        }
        self.look(|engine| engine.explain(clock::now(), index))
    }

    /// Reads from the engine, also after a stop.
    fn look<T>(&self, read: impl FnOnce(&mut Engine) -> T) -> Result<T> {
        self.reading()?.guarded(read)
    }

    /// The lock, with an engine to read from behind it, also after a stop.
    pub(super) fn reading(&self) -> Result<MutexGuard<'_, Core>> {
        let mut core = self.shared.core.lock();
        if let Life::Stopped = core.life {
            if core.engine.is_none() {
                // Stopped before its first use: what it would have begun with, without touching the cache.
                core.engine = Some(Engine::new(core.config.clone(), None, 0, clock::now()));
            }
        } else {
            drop(core);
            core = self.open()?;
        }
        Ok(core)
    }

    pub(super) fn budget(&self, pool: &str) -> Result<Budget> {
        let core = self.shared.core.lock();
        let index = names::pool(&core.config, pool)?;
        let config = core.config.pools.get(index);
        config
            .map(crate::policy::budget::budget)
            .ok_or_else(|| Error::new(ErrorCode::NotFound, format!("no pool is named '{pool}'")))
    }

    pub(super) fn subscribe(&self, filter: EventFilter, capacity: usize) -> Result<Subscription> {
        if let Some(pool) = &filter.pool {
            names::pool(&self.shared.core.lock().config, pool)?;
        }
        self.shared.hub.subscribe(&self.shared.queue_descriptors, filter, capacity)
    }

    #[cfg(feature = "testing")]
    pub(super) fn plant_panic(&self, place: super::PanicPlace) -> Result<()> {
        if place == super::PanicPlace::Tier {
            return self.plant_tier_panic();
        }
        let mut core = self.open()?;
        match place {
            super::PanicPlace::Tier => Ok(()),
            super::PanicPlace::Engine => {
                core.plant_panic();
                Ok(())
            }
            super::PanicPlace::Session(pool, node) => {
                let node = names::node(&core.config, &pool, &node)?;
                core.plant_session_panic(node)
            }
        }
    }
}

fn observed_by_host(pool: &str, mode: Option<ProbeMode>) -> Result<()> {
    if mode == Some(ProbeMode::External) {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::State,
        format!(
            "the library probes pool '{pool}' itself; set pool.{pool}.probe = \"external\" to observe it"
        ),
    ))
}
