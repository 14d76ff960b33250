//! The instances of this process, so that a cache is opened once.

use super::shared::Handle;
use crate::config::Config;
use crate::error::{Error, ErrorCode, Result};
use parking_lot::{Mutex, MutexGuard};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The table is held for microseconds, or as long as an instance takes to end. Only a child forked at just that time finds
/// it held for ever.
const TABLE_TIMEOUT: Duration = Duration::from_secs(5);

/// What two configurations must share to mean the same instance.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// The cache: device and inode of its folder, and its name there.
    Cache((u64, u64), Vec<u8>),
    /// No cache: the whole configuration, by its fingerprint.
    Alike(u64),
}

#[derive(Debug)]
struct Entry {
    key: Key,
    fingerprint: u64,
    pid: u32,
    handle: Weak<Handle>,
}

static OPENED: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

fn table() -> Result<MutexGuard<'static, Vec<Entry>>> {
    let mut table = OPENED.try_lock_for(TABLE_TIMEOUT).ok_or_else(|| {
        Error::new(
            ErrorCode::Forked,
            "this process was forked while its parent was making an instance; make it before forking or after exec",
        )
    })?;
    table.retain(|entry| entry.handle.strong_count() > 0);
    Ok(table)
}

fn key(handle: &Handle, fingerprint: u64) -> Result<Key> {
    match handle.cache_place()? {
        Some((folder, name)) => Ok(Key::Cache(folder, name)),
        None => Ok(Key::Alike(fingerprint)),
    }
}

fn entry(handle: &Arc<Handle>, fingerprint: u64) -> Result<Entry> {
    let key = key(handle, fingerprint)?;
    Ok(Entry { key, fingerprint, pid: std::process::id(), handle: Arc::downgrade(handle) })
}

/// Notes an instance that was made.
pub(super) fn note(handle: &Arc<Handle>, fingerprint: u64) -> Result<()> {
    let entry = entry(handle, fingerprint)?;
    table()?.push(entry);
    Ok(())
}

/// The instance has another configuration from now on.
pub(super) fn changed(handle: &Handle, fingerprint: u64) -> Result<()> {
    for entry in table()?.iter_mut().filter(|entry| std::ptr::eq(entry.handle.as_ptr(), handle)) {
        entry.fingerprint = fingerprint;
        if let Key::Alike(key) = &mut entry.key {
            *key = fingerprint;
        }
    }
    Ok(())
}

/// Whether the caller may share it: not stopped, and not at work in a parent of this process.
fn is_usable(entry: &Entry, handle: &Handle) -> bool {
    let stopped = handle.shared.stopping.load(Ordering::Acquire);
    !stopped && (entry.pid == std::process::id() || !handle.is_running())
}

/// See `Instance::open`.
pub(super) fn open(config: Config) -> Result<Arc<Handle>> {
    let fingerprint = config.fingerprint();
    let path = config.cache_file.clone().unwrap_or_default();
    let wanted = match Handle::place_of(&config)? {
        Some((folder, name)) => Key::Cache(folder, name),
        None => Key::Alike(fingerprint),
    };
    if let Some(found) = find(&table()?, &wanted) {
        return share(found, fingerprint, &path);
    }
    // Names are resolved here, which may take its time: not with the table in hand.
    let handle = Arc::new(Handle::new(config)?);
    let entry = entry(&handle, fingerprint)?;
    let mut table = table()?;
    let found = find(&table, &wanted);
    if found.is_none() {
        table.push(entry);
    }
    drop(table);
    // Another thread may have been faster; then ours, which has done nothing yet, goes.
    found.map_or(Ok(handle), |found| share(found, fingerprint, &path))
}

/// The open instance of that key, with the fingerprint of its configuration.
fn find(table: &[Entry], wanted: &Key) -> Option<(Arc<Handle>, u64)> {
    table.iter().filter(|entry| entry.key == *wanted).find_map(|entry| {
        let handle = entry.handle.upgrade().filter(|handle| is_usable(entry, handle))?;
        Some((handle, entry.fingerprint))
    })
}

fn share((handle, has): (Arc<Handle>, u64), wanted: u64, path: &Path) -> Result<Arc<Handle>> {
    if has == wanted {
        return Ok(handle);
    }
    Err(Error::new(
        ErrorCode::ConfigDiffers,
        format!(
            "this process has opened the cache {} with another configuration; open it with the same one, or stop that \
             instance first",
            path.display()
        ),
    ))
}
