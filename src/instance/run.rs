//! Three ways to turn the driver: a thread of our own, the host's loop, one cycle; and how they end.

use super::names;
use super::shared::{Core, Handle, Life, Shared};
use super::tier::end_tier;
use crate::config::ProbeMode;
use crate::engine::{Input, Now, Time};
use crate::error::{Error, ErrorCode, Result};
use crate::io::driver::{Driver, Mode};
use crate::io::lock::CacheLock;
use crate::io::poller::Waiter;
use crate::io::{clock, thread};
use parking_lot::MutexGuard;
use std::collections::BTreeSet;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Room for the deepest parse and its buffers, with much to spare.
const STACK: usize = 512 * 1024;

/// Stopping promises a second; the rest is for what comes after the thread's end.
const STOP: Duration = Duration::from_millis(800);

/// A helper without work ends in microseconds. One that hangs in the resolver is left behind.
const HELPER_END: Duration = Duration::from_millis(100);

/// After a wait that failed for reasons unknown: no spinning.
const PAUSE: Duration = Duration::from_millis(50);

/// How long asking for a turn may take.
const NUDGE: Duration = Duration::from_millis(10);

fn state(message: &str) -> Error {
    Error::new(ErrorCode::State, message)
}

fn os(what: &str, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::Io, format!("{what}: {error}"))
}

impl Handle {
    /// The lock, with an engine behind it. Opens the cache on first use.
    pub(super) fn open(&self) -> Result<MutexGuard<'_, Core>> {
        let mut core = self.shared.core.lock();
        loop {
            if let Life::Stopped = core.life {
                return Err(Error::new(ErrorCode::Stopped, "the instance was stopped; make a new one"));
            }
            // With a driver a fork cannot have come between: the child is kept out by its border.
            if !matches!(core.life, Life::New) || core.is_open() {
                return Ok(core);
            }
            let Some(folder) = core.folder() else {
                core.open(None)?;
                return Ok(core);
            };
            if core.config.on_locked == crate::config::OnLocked::Follow {
                return self.open_or_follow(core);
            }
            if core.config.on_locked == crate::config::OnLocked::Error {
                let lock = CacheLock::acquire(&folder)?;
                core.open(Some(lock))?;
                return Ok(core);
            }
            // Waiting takes as long as the other process likes: not under the lock, so that a stop can end it.
            drop(core);
            let lock = CacheLock::wait(&folder, None, &self.shared.stopping);
            core = self.shared.core.lock();
            match lock {
                Ok(lock) if matches!(core.life, Life::New) && !core.is_open() => {
                    core.open(Some(lock))?;
                    return Ok(core);
                }
                // Another thread of this process was faster.
                Ok(_) => {}
                Err(_) if core.is_open() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the driver and begins to probe.
    fn begin(&self, core: &mut Core, mode: Mode) -> Result<()> {
        core.check()?;
        let leads = core.follower.is_none();
        let nodes = if leads { core.nodes.clone() } else { Vec::new() };
        let mut driver = Driver::new(mode, &self.shared.registry, nodes)
            .map_err(|e| os("the system gives no descriptors for the driver", &e))?;
        if leads {
            driver.add_checkpoints(core.checks.clone());
        }
        core.driver = Some(driver);
        core.stop = false;
        core.ended = false;
        self.shared.running.store(true, Ordering::Release);
        Ok(())
    }

    /// Takes commands of other processes from now on, unless one of those decides.
    fn listen(&self, core: &mut Core) -> Result<()> {
        if core.follower.is_some() {
            return Ok(());
        }
        core.open_control(clock::now()).inspect_err(|_| drop(self.end(core)))
    }

    /// Begins to own addresses.
    fn own(&self, core: &mut Core) -> Result<()> {
        core.begin_tier().inspect_err(|_| drop(self.end(core)))
    }

    /// Undoes [`Handle::begin`] and what followed.
    fn end(&self, core: &mut Core) -> Option<Driver> {
        let driver = core.end_probing();
        self.shared.running.store(false, Ordering::Release);
        driver
    }

    pub(super) fn start(&self) -> Result<()> {
        let mut core = self.open().map_err(restarted)?;
        core.check()?;
        match core.life {
            Life::New => {}
            Life::Thread(_) => return Ok(()),
            Life::Host => {
                return Err(state("the host's loop runs this instance: fd() and start() exclude each other"));
            }
            Life::Cycle => return Err(state("run_cycle() is at work; start() when it has ended")),
            Life::Stopped => return Err(state("a stopped instance does not start again; make a new one")),
        }
        self.begin(&mut core, Mode::Thread)?;
        core.begin_pushing();
        self.listen(&mut core)?;
        self.own(&mut core)?;
        let Some(waiter) = core.driver.as_ref().map(Driver::waiter) else { return Err(state("no driver")) };
        let shared = Arc::clone(&self.shared);
        match thread::spawn("primacy", STACK, move || run(&shared, waiter)) {
            Ok(thread) => core.life = Life::Thread(Some(thread)),
            Err(error) => {
                drop(self.end(&mut core));
                return Err(os("the system gives no thread", &error));
            }
        }
        core.set_out(clock::now())
    }

    pub(super) fn fd(&self) -> Result<RawFd> {
        let mut core = self.open().map_err(restarted)?;
        core.check()?;
        match core.life {
            Life::New => {
                self.begin(&mut core, Mode::Host)?;
                core.begin_pushing();
                self.listen(&mut core)?;
                self.own(&mut core)?;
                core.life = Life::Host;
                core.set_out(clock::now())?;
            }
            Life::Host => {}
            Life::Thread(_) => {
                return Err(state(
                    "a thread of its own runs this instance: start() and fd() exclude each other",
                ));
            }
            Life::Cycle => return Err(state("run_cycle() is at work; call fd() when it has ended")),
            Life::Stopped => return Err(state("a stopped instance does not start again; make a new one")),
        }
        core.driver.as_ref().map(Driver::fd).ok_or_else(|| state("no driver"))
    }

    pub(super) fn dispatch(&self) -> Result<usize> {
        let mut core = self.shared.core.lock();
        match core.life {
            Life::Host => {}
            Life::Stopped => return Err(Error::new(ErrorCode::Stopped, "the instance was stopped")),
            _ => return Err(state("dispatch() is for the host's loop: call fd() first")),
        }
        let now = clock::now();
        if let Some(driver) = &mut core.driver {
            driver.poll(now.mono).map_err(|e| os("epoll failed", &e))?;
        }
        let handled = core.safe_turn(now)?;
        self.shared.turns.fetch_add(1, Ordering::AcqRel);
        Ok(handled)
    }

    pub(super) fn heartbeat(&self) -> u64 {
        // A loop that holds the lock for longer does not turn.
        if let Some(core) = self.shared.core.try_lock_for(NUDGE)
            && let Some(driver) = &core.driver
        {
            driver.wake();
        }
        self.shared.turns.load(Ordering::Acquire)
    }

    pub(super) fn run_cycle(&self, pool: &str, timeout: Duration) -> Result<()> {
        let deadline = clock::mono() + timeout;
        let mut core = self.open()?;
        core.deciding()?;
        let index = names::pool(&core.config, pool)?;
        if core.config.pools.get(index).is_some_and(|p| p.probe_mode == ProbeMode::External) {
            return Err(state("the host observes this pool: use observe() and cycle()"));
        }
        match core.life {
            Life::New => {}
            Life::Cycle => return Err(state("another thread is inside run_cycle()")),
            _ => {
                return Err(state(
                    "this instance runs by itself: run_cycle() is for one that is not started",
                ));
            }
        }
        self.begin(&mut core, Mode::Thread)?;
        let Some(waiter) = core.driver.as_ref().map(Driver::waiter) else { return Err(state("no driver")) };
        core.life = Life::Cycle;
        core.observed = Some((index, BTreeSet::new()));
        let (mut core, outcome) = self.cycle_until_settled(core, waiter, index, deadline);
        core.observed = None;
        let driver = self.end(&mut core);
        let writer = core.writer.clone();
        if !core.stop {
            core.life = Life::New;
        }
        core.ended = true;
        drop(core);
        self.shared.ended.notify_all();
        if let Some(mut driver) = driver {
            driver.end_helper(HELPER_END);
        }
        // A script's next line may read the file.
        if let Some((sequence, outcome)) = writer.and_then(|writer| writer.write()) {
            let mut core = self.shared.core.lock();
            if core.poisoned.is_none() {
                core.give(clock::now(), Input::Persisted { sequence, outcome })?;
            }
        }
        outcome
    }

    fn cycle_until_settled<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        mut waiter: Waiter,
        pool: usize,
        deadline: Time,
    ) -> (MutexGuard<'a, Core>, Result<()>) {
        let mut events = Vec::new();
        let mut outcome = core.give(clock::now(), Input::RunOnce { pool });
        while outcome.is_ok() {
            if core.stop {
                outcome = Err(Error::new(ErrorCode::Stopped, "the instance was stopped during the cycle"));
                break;
            }
            match core.guarded(|engine| engine.is_settled(pool)) {
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
                Ok(true) => break,
                Ok(false) if clock::mono() >= deadline => {
                    outcome = Err(core.unsettled(pool));
                    break;
                }
                Ok(false) => {}
            }
            let until = core.driver.as_mut().and_then(Driver::fall_asleep);
            let until = until.map_or(deadline, |at| at.min(deadline));
            let waited = MutexGuard::unlocked(&mut core, || waiter.wait(&mut events, Some(until)));
            let now = clock::now();
            match (waited, &mut core.driver) {
                (Ok(full), Some(driver)) => {
                    driver.take_ready(now.mono, &mut events, full);
                    outcome = core.safe_turn(now).map(|_| ());
                }
                (Err(error), _) => outcome = Err(os("epoll failed", &error)),
                (_, None) => outcome = Err(state("no driver")),
            }
        }
        (core, outcome)
    }

    pub(super) fn stop(&self) -> Result<()> {
        let until = Instant::now() + STOP;
        self.shared.stopping.store(true, Ordering::Release);
        let mut core = self.shared.core.lock();
        // First, while the engine still knows what it is about: clients go to other hosts.
        if let Some(tier) = core.tier.take() {
            MutexGuard::unlocked(&mut core, || end_tier(Some(tier)));
        }
        let mut thread = None;
        match &mut core.life {
            Life::Stopped => return Ok(()),
            Life::New | Life::Host => {}
            Life::Thread(handle) => thread = handle.take(),
            Life::Cycle => {}
        }
        if matches!(core.life, Life::Thread(_) | Life::Cycle) {
            core.stop = true;
            if let Some(driver) = &core.driver {
                driver.wake();
            }
            while !core.ended {
                if self.shared.ended.wait_until(&mut core, until).timed_out() && !core.ended {
                    return Err(Error::new(
                        ErrorCode::Timeout,
                        "the driver did not end in time; it ends as soon as what it waits for lets it",
                    ));
                }
            }
        }
        let driver = self.end(&mut core);
        core.life = Life::Stopped;
        core.services.stop();
        core.follower = None;
        let writer = core.writer.take();
        let tables = core.tables.take();
        drop(core);
        if let Some(thread) = thread {
            // It has said that it ended: it is on its last lines.
            let _ = thread.join();
        }
        if let Some(mut driver) = driver {
            driver.end_helper(HELPER_END);
        }
        if let Some(writer) = writer {
            if let Some((sequence, outcome)) = writer.close(until.saturating_duration_since(Instant::now())) {
                let mut core = self.shared.core.lock();
                if core.poisoned.is_none() {
                    let _ = core.give(clock::now(), Input::Persisted { sequence, outcome });
                }
            }
        }
        // Its end is what followers wait for, so it comes after that of the lock.
        drop(tables);
        Ok(())
    }
}

impl Core {
    /// The driver is there: begins to probe, or to follow.
    fn set_out(&mut self, now: Now) -> Result<()> {
        match self.follower {
            Some(_) => self.begin_following(now),
            None => self.give(now, Input::Start),
        }
    }

    /// What the pool's cycle still waits for.
    fn unsettled(&self, pool: usize) -> Error {
        let (name, nodes) = match self.config.pools.get(pool) {
            Some(pool) => (pool.name.as_str(), pool.nodes.as_slice()),
            None => ("", &[][..]),
        };
        let seen = |index| self.observed.as_ref().is_some_and(|(_, seen)| seen.contains(&index));
        let missing: Vec<String> = nodes
            .iter()
            .enumerate()
            .filter(|(index, _)| !seen(*index))
            .map(|(_, node)| node.address.to_string())
            .collect();
        let what = if missing.is_empty() {
            "a doubt is still open".to_owned()
        } else {
            format!("not observed: {}", missing.join(", "))
        };
        Error::new(
            ErrorCode::Timeout,
            format!("the cycle of pool '{name}' did not end in the time given; {what}"),
        )
    }
}

/// Starting again is a question of life, not of being stopped.
fn restarted(error: Error) -> Error {
    if error.code() == ErrorCode::Stopped {
        state("a stopped instance does not start again; make a new one")
    } else {
        error
    }
}

/// The body of the thread of our own.
fn run(shared: &Shared, mut waiter: Waiter) {
    let mut events = Vec::new();
    let mut full = false;
    let mut core = shared.core.lock();
    loop {
        let now = clock::now();
        if core.stop || core.poisoned.is_some() {
            break;
        }
        let Some(driver) = &mut core.driver else { break };
        driver.take_ready(now.mono, &mut events, full);
        if core.safe_turn(now).is_err() {
            break;
        }
        shared.turns.fetch_add(1, Ordering::AcqRel);
        let until = core.driver.as_mut().and_then(Driver::fall_asleep);
        full = MutexGuard::unlocked(&mut core, || match waiter.wait(&mut events, until) {
            Ok(full) => full,
            Err(_) => {
                std::thread::sleep(PAUSE);
                false
            }
        });
    }
    let driver = core.end_probing();
    core.ended = true;
    drop(core);
    shared.running.store(false, Ordering::Release);
    shared.ended.notify_all();
    if let Some(mut driver) = driver {
        driver.end_helper(HELPER_END);
    }
}
