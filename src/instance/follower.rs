//! An instance that follows: another process holds the cache's lock and decides, this one shows its clients what that one publishes.
//!
//! The tables come from a file beside the cache (`io/tables.rs`) into boards of this process, so that a selection is the very same
//! one as where it was decided. Reports, commands and questions go to the decider's control socket; its events come from there.
//! Once the lock falls free whoever takes it first decides.

use super::shared::{Core, Handle};
use crate::config::OnLocked;
use crate::control::{Ask, Done, Told};
use crate::engine::{EventKind, Input, Now, ReportOutcome, Severity, Time};
use crate::error::{Error, ErrorCode, Result};
use crate::instance::control::Client;
use crate::instance::names;
use crate::io::clock;
use crate::io::control_client::new_id;
use crate::io::lock::CacheLock;
use crate::io::tables::{TablesReader, TablesWriter};
use crate::select::header::Header;
use crate::select::{ServiceTable, codec};
use parking_lot::MutexGuard;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often a follower looks that nothing tells, and how often it tries the lock of a decider that seems to be gone.
const LOOK: Duration = Duration::from_millis(100);
/// The same, while the decider's file cannot be watched.
const SHORT_LOOK: Duration = Duration::from_millis(3);
/// The lock falls free within moments of the file's last close.
const EAGER: Duration = Duration::from_millis(10);
const EAGER_TRIES: u32 = 30;
/// A decider whose pulse is younger holds its lock.
const SUSPICION: Duration = Duration::from_millis(350);
/// How long a start waits for the tables of a decider that has just begun.
const BEGIN: Duration = Duration::from_secs(3);
const BEGIN_LOOK: Duration = Duration::from_millis(5);
/// Reports that wait for the decider; older ones fall out, for a new one says more.
const REPORTS: usize = 64;
/// For a command or a question to the decider, which may wait for the disk itself.
const REQUEST: Duration = Duration::from_secs(6);
/// While there is a lock and no decider that answers, one of them is just beginning.
const AGAIN: Duration = Duration::from_secs(2);
const AGAIN_LOOK: Duration = Duration::from_millis(10);
/// After a take-over that failed.
const PENALTY: Duration = Duration::from_secs(1);

/// What was asked of the decider.
#[derive(Debug)]
enum Asked {
    Events,
    /// The report, should it have to be sent again.
    Report(Ask),
}

/// What an instance knows of the decider that it follows.
#[derive(Debug)]
pub(super) struct Follower {
    reader: TablesReader,
    /// Of the decider that was followed last.
    life: Header,
    watched: bool,
    look_at: Time,
    try_at: Time,
    eager: u32,
    /// The number of the decider's events to ask with.
    events: u64,
    asked: Option<Asked>,
    reports: VecDeque<Ask>,
    /// What has been told already and does not get better by being repeated.
    damaged: bool,
    unreachable: bool,
    failed: bool,
}

impl Handle {
    /// First use of an instance that may follow: the lock, or else the tables of whoever holds it.
    pub(super) fn open_or_follow<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
    ) -> Result<MutexGuard<'a, Core>> {
        let until = Instant::now() + BEGIN;
        loop {
            let Some(folder) = core.folder() else { return Ok(core) };
            let locked = match CacheLock::acquire(&folder) {
                Ok(lock) => {
                    core.follower = None;
                    core.open(Some(lock))?;
                    return Ok(core);
                }
                Err(error) if error.code() == ErrorCode::Locked => error,
                Err(error) => return Err(error),
            };
            let missing = match core.attach(clock::now()) {
                Ok(true) => return Ok(core),
                Ok(false) => {
                    let words =
                        locked.message().split_once("; ").map_or(locked.message(), |(words, _)| words);
                    let text = format!(
                        "{words}, and it publishes no tables to follow: give it the same configuration, with on_locked = \"follow\""
                    );
                    Error::new(ErrorCode::Locked, text)
                }
                Err(error) if error.code() == ErrorCode::ConfigDiffers => return Err(error),
                Err(error) => error,
            };
            if Instant::now() >= until {
                return Err(missing);
            }
            drop(core);
            if self.shared.stopping.load(Ordering::Acquire) {
                return Err(Error::new(ErrorCode::Stopped, "the instance was stopped; make a new one"));
            }
            std::thread::sleep(BEGIN_LOOK);
            core = self.shared.core.lock();
            // Another thread of this process may have been faster.
            if core.is_open() || !matches!(core.life, super::shared::Life::New) {
                return Ok(core);
            }
        }
    }

    /// Asks the decider, if that is another process; `None` if this one decides. Blocks.
    pub(super) fn ask_decider(&self, ask: &Ask) -> Result<Option<Done>> {
        let (until, id) = (Instant::now() + AGAIN, new_id()?);
        loop {
            let path = {
                let core = self.open()?;
                match &core.follower {
                    None => return Ok(None),
                    Some(_) => core.config.control_path(),
                }
            };
            // The same request with the same id: one that was carried out is not carried out twice.
            let missing = match request(path.as_deref(), id, ask.clone()) {
                Ok(outcome) => return outcome.map(Some),
                Err(error) => error,
            };
            if Instant::now() >= until || missing.code() == ErrorCode::Timeout {
                return Err(missing);
            }
            std::thread::sleep(AGAIN_LOOK);
        }
    }
}

/// One request to the control socket. The outer error says that nobody answered.
pub(super) fn request(path: Option<&Path>, id: crate::control::Id, ask: Ask) -> Result<Result<Done>> {
    let Some(path) = path else {
        let text = "another process decides for the cache, and control_socket = \"none\" keeps this one from asking it";
        return Ok(Err(Error::new(ErrorCode::State, text)));
    };
    match Client::connect(path, REQUEST)? {
        Ok(mut client) => client.ask(id, ask, REQUEST),
        Err(reason) => {
            let text = format!(
                "another process decides for the cache and cannot be asked at {}: {reason:?}; try again",
                path.display()
            );
            Err(Error::new(ErrorCode::Io, text))
        }
    }
}

impl Core {
    /// Refuses what only the decider can do.
    pub(super) fn deciding(&self) -> Result<()> {
        let Some(follower) = &self.follower else { return Ok(()) };
        let text = format!(
            "process {} decides for this cache, and this one follows: observations and cycles are that process's affair",
            follower.life.pid
        );
        Err(Error::new(ErrorCode::Locked, text))
    }

    /// Whether the decider has a configuration that means the same.
    pub(super) fn same_as_decider(&mut self, fingerprint: u64) -> Result<()> {
        self.look(clock::now())?;
        match &self.follower {
            Some(follower) if follower.life.fingerprint != fingerprint => {
                let text = format!(
                    "process {} decides for this cache, by another configuration: reload that one first",
                    follower.life.pid
                );
                Err(Error::new(ErrorCode::ConfigDiffers, text))
            }
            _ => Ok(()),
        }
    }

    /// Finds the tables of whoever holds the lock, and shows them. `false` if there are none yet, or those of an earlier decider.
    fn attach(&mut self, now: Now) -> Result<bool> {
        if self.follower.is_some() {
            self.look(now)?;
            return Ok(true);
        }
        let Some(folder) = self.folder() else { return Ok(false) };
        let (Some(holder), Some(reader)) = (CacheLock::holder(&folder)?, TablesReader::open(&folder)?) else {
            return Ok(false);
        };
        let life = *reader.header();
        // A holder outside of this PID namespace has no number here.
        if holder.pid != 0 && u64::from(holder.pid) != life.pid {
            return Ok(false);
        }
        if life.fingerprint != self.fingerprint {
            let text = format!(
                "process {} decides for the cache {} by another configuration; give both the same one",
                life.pid,
                folder.path().display()
            );
            return Err(Error::new(ErrorCode::ConfigDiffers, text));
        }
        self.follower = Some(Follower {
            reader,
            life,
            watched: false,
            look_at: now.mono,
            try_at: now.mono,
            eager: 0,
            events: life.events,
            asked: None,
            reports: VecDeque::new(),
            damaged: false,
            unreachable: false,
            failed: false,
        });
        if let Err(error) = self.look(now) {
            self.follower = None;
            return Err(error);
        }
        let text = format!(
            "process {} decides for the cache {}: this one follows",
            life.pid,
            folder.path().display()
        );
        self.tell_follows(now, Severity::Info, text);
        Ok(true)
    }

    fn tell_follows(&self, now: Now, severity: Severity, text: String) {
        self.hub.tell(EventKind::Follows, severity, (now.mono, now.wall_ms), text);
    }

    /// The driver of a follower begins.
    pub(super) fn begin_following(&mut self, now: Now) -> Result<()> {
        let path = self.config.control_path();
        if let Some(driver) = &mut self.driver {
            driver.follow(path);
        }
        self.watch_tables();
        self.follow(now).map(|_| ())
    }

    fn watch_tables(&mut self) {
        let (Some(follower), Some(driver)) = (&mut self.follower, &mut self.driver) else { return };
        let Some((following, _)) = driver.following() else { return };
        follower.watched = following.file(follower.reader.file());
    }

    /// Reads what the decider has published since the last look, and shows it.
    fn look(&mut self, now: Now) -> Result<()> {
        let Some(follower) = &mut self.follower else { return Ok(()) };
        let look = follower.reader.look()?;
        let header = *follower.reader.header();
        let before = core::mem::replace(&mut follower.life, header);
        let other = !header.same_life(&before);
        if other {
            follower.events = header.events_before;
            follower.asked = None;
        }
        for table in look.tables.into_iter().flatten() {
            self.services.publish_news(Arc::new(table));
        }
        // A pulse of the future is none.
        self.services.beat(Time(header.pulse.min(now.mono.0)));
        if look.reopened {
            self.watch_tables();
        }
        if other {
            if let Some((following, poller)) = self.driver.as_mut().and_then(|driver| driver.following()) {
                following.hang_up(poller);
            }
            self.tell_follows(
                now,
                Severity::Info,
                format!("process {} decides for the cache from now on", header.pid),
            );
        }
        if header.fingerprint != before.fingerprint && header.fingerprint != self.fingerprint {
            let text = format!(
                "process {} decides by another configuration than this one has: its decisions are followed; reload this one too",
                header.pid
            );
            self.tell_follows(now, Severity::Warning, text);
        }
        Ok(())
    }

    /// One turn of a follower's loop.
    pub(super) fn follow(&mut self, now: Now) -> Result<usize> {
        let seen = match self.driver.as_mut().and_then(|driver| driver.following()) {
            Some((following, poller)) => {
                following.judge(poller, now.mono);
                following.seen()
            }
            None => Default::default(),
        };
        let mut handled = usize::from(seen.news);
        if let Some(answer) = self.driver.as_mut().and_then(|driver| driver.following()?.0.answer()) {
            handled += 1;
            self.heard(now, answer);
        }
        let due = self.follower.as_ref().is_some_and(|follower| seen.news || follower.look_at <= now.mono);
        if due {
            let outcome = self.look(now);
            let Some(follower) = &mut self.follower else { return Ok(handled) };
            let pause = if follower.watched { LOOK } else { SHORT_LOOK };
            follower.look_at = now.mono + pause;
            let was = core::mem::replace(&mut follower.damaged, outcome.is_err());
            if let (Err(error), false) = (outcome, was) {
                let text = format!("{}; the last good tables stay until they are stale", error.message());
                self.hub.alarm(now.mono, now.wall_ms, text);
            }
        }
        if seen.closed
            && let Some(follower) = &mut self.follower
        {
            (follower.eager, follower.try_at) = (EAGER_TRIES, now.mono);
        }
        if self.try_to_lead(now)? {
            return Ok(handled + 1);
        }
        self.ask_next(now);
        self.set_deadline();
        Ok(handled)
    }

    /// When a follower's loop wants to turn.
    pub(super) fn follower_deadline(&mut self) -> Option<Time> {
        let follower = self.follower.as_ref()?;
        let wants_to_ask = follower.asked.is_none()
            && (!follower.reports.is_empty() || follower.life.events != follower.events);
        let tries = (follower.eager > 0).then_some(follower.try_at);
        let look = follower.look_at;
        let (answer, retry) = match self.driver.as_mut().and_then(|driver| driver.following()) {
            Some((following, _)) => (following.deadline(), following.retry().filter(|_| wants_to_ask)),
            None => (None, None),
        };
        [Some(look), tries, answer, retry].into_iter().flatten().min()
    }

    /// Takes the lock if it has fallen free, and decides from then on.
    fn try_to_lead(&mut self, now: Now) -> Result<bool> {
        let (Some(follower), Some(folder)) = (&mut self.follower, self.folder.clone()) else {
            return Ok(false);
        };
        let silent = now.mono.0.saturating_sub(follower.life.pulse) >= SUSPICION.as_nanos() as u64;
        if follower.try_at > now.mono || (follower.eager == 0 && !silent) {
            return Ok(false);
        }
        follower.eager = follower.eager.saturating_sub(1);
        follower.try_at = now.mono + if follower.eager > 0 { EAGER } else { LOOK };
        let lock = match CacheLock::acquire(&folder) {
            Ok(lock) => lock,
            Err(error) if error.code() == ErrorCode::Locked => {
                // Somebody decides, and not in the file that is watched here.
                if silent && follower.reader.find_again().unwrap_or(false) {
                    follower.look_at = now.mono;
                    self.watch_tables();
                }
                return Ok(false);
            }
            Err(error) => {
                self.cannot_lead(now, &error);
                return Ok(false);
            }
        };
        match self.take_over(now, lock) {
            Ok(()) => Ok(true),
            Err(error) if self.poisoned.is_some() => Err(error),
            Err(error) => {
                self.cannot_lead(now, &error);
                Ok(false)
            }
        }
    }

    fn cannot_lead(&mut self, now: Now, error: &Error) {
        let Some(follower) = &mut self.follower else { return };
        follower.try_at = now.mono + PENALTY;
        follower.eager = 0;
        if !core::mem::replace(&mut follower.failed, true) {
            let text = format!("nobody decides for the cache, and this process cannot: {}", error.message());
            self.hub.alarm(now.mono, now.wall_ms, text);
        }
    }

    fn take_over(&mut self, now: Now, lock: CacheLock) -> Result<()> {
        let Some(follower) = self.follower.take() else { return Ok(()) };
        let text =
            format!("process {} decides for the cache no more: this one does from now on", follower.life.pid);
        if let Err(error) = self.open(Some(lock)) {
            self.follower = Some(follower);
            return Err(error);
        }
        self.tell_follows(now, Severity::Warning, text);
        let (nodes, checks) = (self.nodes.clone(), self.checks.clone());
        if let Some(driver) = &mut self.driver {
            driver.lead(now.mono, nodes, checks);
        }
        self.begin_pushing();
        // Who follows already must not stop deciding for want of a socket.
        if let Err(error) = self.open_control(now) {
            let text = format!("no other process can give commands to this one: {}", error.message());
            self.hub.alarm(now.mono, now.wall_ms, text);
        }
        if let Err(error) = self.begin_tier() {
            let text = format!("no address can be owned by this process: {}", error.message());
            self.hub.alarm(now.mono, now.wall_ms, text);
        }
        self.give(now, Input::Start)?;
        for report in follower.reports {
            if let Ask::Report { pool, node, service, outcome } = report
                && let Ok(node) = names::node(&self.config, &pool, &node)
            {
                self.give(now, Input::Report { node, service, outcome })?;
            }
        }
        Ok(())
    }

    /// Keeps a report for the decider.
    pub(super) fn pass_on(
        &mut self,
        pool: &str,
        node: &str,
        service: Option<&str>,
        outcome: ReportOutcome,
    ) -> Result<()> {
        names::node(&self.config, pool, node)?;
        let Some(follower) = &mut self.follower else { return Ok(()) };
        if follower.reports.len() >= REPORTS {
            follower.reports.pop_front();
        }
        follower.reports.push_back(Ask::Report {
            pool: pool.to_owned(),
            node: node.to_owned(),
            service: service.map(str::to_owned),
            outcome,
        });
        if let Some(driver) = &self.driver {
            driver.wake();
        }
        Ok(())
    }

    /// Sends what is due: reports first, for they are what a client waits for.
    fn ask_next(&mut self, now: Now) {
        let (Some(follower), Some(driver)) = (&mut self.follower, &mut self.driver) else { return };
        let Some((following, poller)) = driver.following() else { return };
        if follower.asked.is_some() || !following.is_idle(now.mono) {
            return;
        }
        let (ask, asked) = match follower.reports.pop_front() {
            Some(report) => (report.clone(), Asked::Report(report)),
            None if follower.life.events != follower.events => {
                (Ask::Events { after: follower.events }, Asked::Events)
            }
            None => return,
        };
        follower.asked = Some(asked);
        following.ask(poller, now.mono, ask);
    }

    /// The decider has answered, or the connection broke.
    fn heard(&mut self, now: Now, answer: Result<Done>) {
        let Some(follower) = &mut self.follower else { return };
        let lost_line = |e: &Error| matches!(e.code(), ErrorCode::Io | ErrorCode::Timeout | ErrorCode::Busy);
        let was = follower.unreachable;
        follower.unreachable = answer.as_ref().is_err_and(lost_line);
        match (follower.asked.take(), answer) {
            (Some(Asked::Report(report)), Err(error)) if lost_line(&error) => {
                follower.reports.push_front(report);
                self.unreachable(now, was, &error);
            }
            (Some(Asked::Events), Err(error)) => self.unreachable(now, was, &error),
            (Some(Asked::Events), Ok(done)) => match Told::decode(&done.body) {
                Ok(told) => {
                    follower.events = told.next;
                    if told.lost > 0 {
                        let text = format!("{} events of the decider are not kept any more", told.lost);
                        self.hub.say(Severity::Warning, (now.mono, now.wall_ms), ("", ""), text);
                    }
                    // Whom the decider followed before is its own affair, and says "this one".
                    let of_the_pools =
                        told.events.into_iter().filter(|event| event.kind != EventKind::Follows);
                    of_the_pools.for_each(|event| self.hub.publish(event));
                }
                Err(error) => self.unreachable(now, was, &error),
            },
            _ => {}
        }
    }

    fn unreachable(&self, now: Now, was: bool, error: &Error) {
        // A decider that ends closes its connections first.
        let alive = self.follower.as_ref().is_some_and(|f| {
            now.mono.0.saturating_sub(f.life.pulse) < SUSPICION.as_nanos() as u64 && f.eager == 0
        });
        if alive && !was {
            let text = format!(
                "the decider is not reached: reports wait, its events come late: {}",
                error.message()
            );
            self.hub.say(Severity::Warning, (now.mono, now.wall_ms), ("", ""), text);
        }
    }

    /// The tables that an earlier decider of the cache published last; what this process has seen of them if they cannot be read.
    pub(super) fn inherited(&self) -> Vec<ServiceTable> {
        let read = || TablesReader::open(self.folder.as_ref()?).ok()??.look().ok()?.tables;
        let shared = self.config.on_locked == OnLocked::Follow;
        match shared.then(read).flatten() {
            Some(tables) => tables,
            None => self.services.tables().iter().map(|table| ServiceTable::clone(table)).collect(),
        }
    }

    /// A decider begins to publish for others, if they may follow.
    pub(super) fn begin_sharing(&mut self) {
        let shared = self.config.on_locked == OnLocked::Follow;
        self.tables = self
            .folder
            .clone()
            .filter(|_| shared)
            .map(|folder| TablesWriter::new(folder, self.fingerprint, self.since_ms, self.hub.count()));
        self.unshared = self.tables.is_some();
    }

    /// Publishes for others what changed since the last time, or just that this one lives.
    pub(super) fn share(&mut self, now: Now) {
        let events = self.hub.count();
        let Some(writer) = &mut self.tables else { return };
        let outcome = if core::mem::take(&mut self.unshared) {
            let tables = self.services.tables();
            writer.publish(now.mono, codec::encode(tables.iter().map(|table| &**table)), events)
        } else {
            writer.beat(now.mono, events)
        };
        let was = core::mem::replace(&mut self.share_failed, outcome.is_err());
        if let (Err(error), false) = (outcome, was) {
            self.hub.alarm(now.mono, now.wall_ms, error.message().to_owned());
        }
    }
}
