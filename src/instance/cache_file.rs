//! The cache of an engine that does not run here: a look at it without its lock, and operators' commands on it under
//! the lock while no decider runs.

use crate::config::Config;
use crate::engine::{Answer, Command, Effect, Engine, Event, Now};
use crate::error::{Error, ErrorCode, Result};
use crate::io::file::CacheFolder;
use crate::io::lock::CacheLock;
pub use crate::io::lock::Holder;
use crate::store::{self, Cache};
use std::path::{Path, PathBuf};

/// A cache file, read without its lock: a reader sees the old document or the new one, never half of one.
#[derive(Debug)]
pub struct CacheFile {
    folder: CacheFolder,
}

/// A cache file under its lock: no other process decides while this lives.
#[derive(Debug)]
pub struct LockedCache {
    file: CacheFile,
    _lock: CacheLock,
}

impl CacheFile {
    /// Opens the folder of the cache file; the file itself may be missing.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if the folder cannot be opened.
    pub fn open(path: &Path) -> Result<CacheFile> {
        CacheFolder::open(path).map(|folder| CacheFile { folder })
    }

    /// The file's path as it was given.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Reads the document.
    ///
    /// # Errors
    /// [`ErrorCode::Cache`] if there is none, or if it is torn, truncated or foreign; [`ErrorCode::Io`] if the system
    /// refuses.
    pub fn read(&self) -> Result<Cache> {
        if let Some(cache) = self.folder.read()? {
            return Ok(cache);
        }
        let path = self.path().display();
        let text = match self.holder() {
            Ok(Some(holder)) if holder.pid != std::process::id() => format!(
                "there is no cache {path} yet: process {} has its lock and has not stored anything; try again",
                holder.pid
            ),
            _ => {
                format!("there is no cache {path}: start the agent with `primacy run`, or run `primacy init`")
            }
        };
        Err(Error::new(ErrorCode::Cache, text))
    }

    /// The process that holds the cache's lock: the decider, or a command for a moment; `None` if nobody does.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if the lock file cannot be read.
    pub fn holder(&self) -> Result<Option<Holder>> {
        CacheLock::holder(&self.folder)
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// [`ErrorCode::Locked`] if another process holds it; the text names it.
    pub fn lock(self) -> Result<LockedCache> {
        let lock = CacheLock::acquire(&self.folder)?;
        Ok(LockedCache { file: self, _lock: lock })
    }
}

impl LockedCache {
    /// Writes the cache of a fresh start. With `force` it replaces one that is there, which keeps a name of its own
    /// (the answer); epochs go on above those of the old one, if that can be read.
    ///
    /// # Errors
    /// [`ErrorCode::Refused`] if there is a cache and `force` is not set, [`ErrorCode::Io`] if the disk refuses.
    pub fn init(&self, config: &Config, force: bool, now: Now) -> Result<Option<PathBuf>> {
        let folder = &self.file.folder;
        let old = folder.read();
        if !force && !matches!(old, Ok(None)) {
            let path = folder.path().display();
            let what = match &old {
                Ok(_) => "it holds the state of its pools".to_string(),
                Err(e) => format!("it cannot be read ({e})"),
            };
            return Err(Error::new(
                ErrorCode::Refused,
                format!(
                    "the cache {path} exists: {what}; `primacy init --force` begins anew and keeps a copy"
                ),
            ));
        }
        let mut cache = Engine::new(config.clone(), None, 0, now).cache(now);
        for old in old.iter().flatten().flat_map(|old| &old.pools) {
            if let Some(pool) = cache.pools.iter_mut().find(|pool| pool.name == old.name) {
                pool.epoch = pool.epoch.max(old.epoch_reserved);
                pool.epoch_reserved = pool.epoch_reserved.max(pool.epoch);
            }
        }
        let kept = folder.keep_old()?;
        folder.write(&store::encode(&cache))?;
        Ok(kept)
    }

    /// Carries out an operator's command on the stored state and stores the outcome. The pool's nodes are not
    /// looked at: what needs an observation is refused by its rule.
    ///
    /// # Errors
    /// [`ErrorCode::Refused`] by a rule, [`ErrorCode::NotFound`]; [`ErrorCode::Io`] if the outcome cannot be stored,
    /// and then nothing has changed.
    pub fn command(&self, config: &Config, now: Now, command: Command) -> Result<(Answer, Vec<Event>)> {
        let stored = self.file.read()?;
        let mut engine = Engine::new(config.clone(), Some(&stored), 0, now);
        let answer = engine.command(now, command)?;
        let (mut outcome, mut events) = (None, Vec::new());
        while let Some(effect) = engine.poll_effect() {
            match effect {
                Effect::Persist { cache, .. } => outcome = Some(cache),
                Effect::Emit(event) => events.push(event),
                // Nobody selects from a file.
                Effect::Publish(_) => {}
                // Nobody probes here; the decider does when it starts.
                Effect::Probe { .. } | Effect::Check { .. } => {}
            }
        }
        if let Some(cache) = outcome {
            self.file.folder.write(&store::encode(&cache))?;
        }
        Ok((answer, events))
    }
}
