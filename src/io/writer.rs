//! The one writer of a cache file: the newest state wins, and whoever must know waits for its number.
//!
//! Holds no engine state but the document that is next to be written. The helper thread writes while a driver
//! runs; without one the caller writes.

use super::file::CacheFolder;
use super::lock::CacheLock;
use crate::error::{Error, ErrorCode, Result};
use crate::store::{self, Cache};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A write that ended: its number, and the system's words if it failed.
pub(crate) type Outcome = (u64, core::result::Result<(), String>);

/// Writes documents to one cache file, whose lock it holds.
#[derive(Debug)]
pub(crate) struct Writer {
    folder: Arc<CacheFolder>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    lock: Option<CacheLock>,
    pending: Option<(u64, Cache)>,
    writing: bool,
    confirmed: u64,
    failed: Option<(u64, String)>,
    closed: bool,
}

impl Writer {
    /// For the holder of the lock.
    pub(crate) fn new(folder: Arc<CacheFolder>, lock: CacheLock) -> Writer {
        let state = State {
            lock: Some(lock),
            pending: None,
            writing: false,
            confirmed: 0,
            failed: None,
            closed: false,
        };
        Writer { folder, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Hands in a document. It replaces one that has not begun. Whether somebody must call [`Writer::write`].
    pub(crate) fn submit(&self, sequence: u64, cache: Cache) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        state.pending = Some((sequence, cache));
        !state.writing
    }

    /// Writes the document that is pending, if there is one, after whoever is writing now. Blocks on the disk.
    ///
    /// It waits for its turn: a document that was handed in during somebody else's write must not be left behind.
    pub(crate) fn write(&self) -> Option<Outcome> {
        let mut state = self.state.lock();
        while state.writing {
            self.changed.wait(&mut state);
        }
        self.write_pending(state)
    }

    fn write_pending(&self, mut state: MutexGuard<'_, State>) -> Option<Outcome> {
        let (sequence, cache) = state.pending.take()?;
        state.writing = true;
        let in_force = state.lock.as_ref().is_some_and(|lock| lock.is_in_force(&self.folder));
        drop(state);
        let outcome = if in_force {
            self.folder.write(&store::encode(&cache)).map_err(|e| e.message().to_owned())
        } else {
            Err(format!(
                "the lock file of {} was removed or replaced, so another process may own the cache: this one's state \
                 stays in memory; restart it",
                self.folder.path().display()
            ))
        };
        let mut state = self.state.lock();
        state.writing = false;
        match &outcome {
            Ok(()) => state.confirmed = state.confirmed.max(sequence),
            Err(words) => state.failed = Some((sequence, words.clone())),
        }
        if state.closed {
            state.lock = None;
        }
        drop(state);
        self.changed.notify_all();
        Some((sequence, outcome))
    }

    /// Waits until the state of this number, or a newer one, is on disk.
    pub(crate) fn wait(&self, sequence: u64, timeout: Duration) -> Result<()> {
        let until = Instant::now() + timeout;
        let mut state = self.state.lock();
        loop {
            if state.confirmed >= sequence {
                return Ok(());
            }
            if let Some((_, words)) = state.failed.as_ref().filter(|(failed, _)| *failed >= sequence) {
                return Err(Error::new(
                    ErrorCode::Io,
                    format!("the command is in force, but only in memory: {words}"),
                ));
            }
            if state.closed {
                return Err(Error::new(
                    ErrorCode::Stopped,
                    "the command was in force, but the instance stopped before it was on disk",
                ));
            }
            if self.changed.wait_until(&mut state, until).timed_out() && state.confirmed < sequence {
                return Err(Error::new(
                    ErrorCode::Timeout,
                    format!(
                        "the command is in force, but {} did not take it within {timeout:?}; look at the disk",
                        self.folder.path().display()
                    ),
                ));
            }
        }
    }

    /// Writes what is pending within `timeout`, then gives the lock back. A write that hangs keeps the lock until it
    /// ends: nobody may write beside it.
    pub(crate) fn close(&self, timeout: Duration) -> Option<Outcome> {
        let until = Instant::now() + timeout;
        let mut state = self.state.lock();
        while state.writing {
            if self.changed.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        let outcome = if state.writing {
            drop(state);
            None
        } else {
            self.write_pending(state)
        };
        let mut state = self.state.lock();
        state.closed = true;
        state.pending = None;
        if !state.writing {
            state.lock = None;
        }
        drop(state);
        self.changed.notify_all();
        outcome
    }
}
