//! The lock of a cache: one deciding process for each cache file.
//!
//! A classic fcntl lock (`F_SETLK`): it belongs to the process, so a forked worker does not inherit it and keep it after
//! the parent's end, as it would with flock(2) and open-file-description locks. Its price: closing *any* descriptor of
//! the file drops the lock. Therefore nothing but this module opens `CACHE.lock`, and a table for the whole process
//! keeps this module from opening it a second time.
//!
//! The file is never removed: a remover could pull it from under a process that waits at it.

use super::file::{CacheFolder, adopt_owner};
use super::folder::{FileId, file_id};
use crate::error::{Error, ErrorCode, Result};
use crate::store::utc::format_utc;
use parking_lot::{Mutex, MutexGuard};
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Locks held by this process: file and process id. An entry of another process id came in by fork and counts nothing.
static HELD: Mutex<Vec<(FileId, u32)>> = Mutex::new(Vec::new());

/// How often a waiter tries. Each try is short and whole under [`HELD`], so no waiter has the file open meanwhile.
const RETRY: Duration = Duration::from_millis(100);
/// The table is held for microseconds. Only a child forked at just that time finds it held for ever.
const TABLE_TIMEOUT: Duration = Duration::from_secs(5);
/// More than our own lines ever take.
const LARGEST_NOTE: usize = 512;
const LONGEST_PROGRAM: usize = 64;

/// Who holds a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Process id; 0 if it lives in a PID namespace that this process does not see.
    pub pid: u32,
    /// Name of the program; empty if unknown.
    pub program: String,
    /// Since when, milliseconds since the Unix epoch; 0 if unknown.
    pub since_ms: u64,
}

/// The lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct CacheLock {
    /// Closing it gives the lock up.
    file: ManuallyDrop<File>,
    id: FileId,
    pid: u32,
}

/// How one try ended, apart from failure.
enum Try {
    Locked(CacheLock),
    /// By another process.
    Held(Holder),
    /// By this process.
    Ours,
}

impl CacheLock {
    /// Takes the lock, or says at once who has it.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Locked`] if another process or another instance of this process holds the lock; the text names
    /// it. [`ErrorCode::Io`] if the lock file cannot be opened or its file system has no locks.
    pub fn acquire(cache: &CacheFolder) -> Result<CacheLock> {
        match try_lock(cache)? {
            Try::Locked(lock) => Ok(lock),
            Try::Held(holder) => Err(held(cache.path(), &holder)),
            Try::Ours => Err(ours(cache.path())),
        }
    }

    /// Takes the lock as soon as it is free. Looks ten times a second, so it ends within a tenth of a second after
    /// `stop` was set. Blocks: for the helper thread, not for an event loop.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Stopped`] once `stop` is set; [`ErrorCode::Locked`] at the deadline, and at once if it is this
    /// very process that holds the lock; [`ErrorCode::Io`] as with [`CacheLock::acquire`].
    pub fn wait(cache: &CacheFolder, deadline: Option<Instant>, stop: &AtomicBool) -> Result<CacheLock> {
        loop {
            if stop.load(Ordering::Acquire) {
                return Err(Error::new(
                    ErrorCode::Stopped,
                    format!("stopped while waiting for the lock of the cache {}", cache.path().display()),
                ));
            }
            let holder = match try_lock(cache)? {
                Try::Locked(lock) => return Ok(lock),
                Try::Ours => return Err(ours(cache.path())),
                Try::Held(holder) => holder,
            };
            let pause = match deadline {
                None => RETRY,
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => left.min(RETRY),
                    _ => return Err(held(cache.path(), &holder)),
                },
            };
            thread::sleep(pause);
        }
    }

    /// Who holds the lock now; `None` if nobody does.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Io`] if the lock file cannot be read.
    pub fn holder(cache: &CacheFolder) -> Result<Option<Holder>> {
        let failed = |e: io::Error| failed(cache.path(), &e);
        let held = table(cache.path())?;
        let Some(id) = cache.folder().id_of(cache.lock_name()).map_err(failed)? else {
            return Ok(None);
        };
        if is_ours(&held, id) {
            return Ok(Some(Holder { pid: std::process::id(), program: program(), since_ms: 0 }));
        }
        // Asking needs no right to write: monitoring may look without it.
        let file = cache.folder().open_file(cache.lock_name(), libc::O_RDONLY, 0).map_err(failed)?;
        let file = guard_raced(file, &held).map_err(failed)?;
        let holder = blocking_pid(&file).map_err(failed)?.map(|pid| read_note(&file, pid));
        Ok(holder)
    }

    /// Whether the lock still guards the cache: `false` if someone removed or replaced the lock file, after which
    /// another process can lock the new one; or if this process is a fork of the one that locked.
    pub fn is_in_force(&self, cache: &CacheFolder) -> bool {
        self.pid == std::process::id()
            && cache.folder().id_of(cache.lock_name()).is_ok_and(|id| id == Some(self.id))
    }
}

impl Drop for CacheLock {
    fn drop(&mut self) {
        // In a forked child the lock is the parent's; closing the file there could drop a lock that the child has
        // taken itself. One descriptor stays open in such a child, until exec or exit.
        if self.pid != std::process::id() {
            return;
        }
        // Table and descriptor go together, or another thread could lock in between and lose it by our close.
        let mut held = HELD.lock();
        // SAFETY: the file is taken out once, here; nothing uses the field after drop.
        drop(unsafe { ManuallyDrop::take(&mut self.file) });
        held.retain(|entry| *entry != (self.id, self.pid));
    }
}

fn table(path: &Path) -> Result<MutexGuard<'static, Vec<(FileId, u32)>>> {
    HELD.try_lock_for(TABLE_TIMEOUT).ok_or_else(|| {
        Error::new(
            ErrorCode::Forked,
            format!(
                "cannot lock the cache {}: this process was forked while its parent was at a lock; open the \
                 instance before forking or after exec",
                path.display()
            ),
        )
    })
}

fn is_ours(held: &[(FileId, u32)], id: FileId) -> bool {
    held.contains(&(id, std::process::id()))
}

/// A file that was opened although this process holds a lock on it (someone renamed it between two calls) must never
/// be closed.
fn guard_raced(file: File, held: &[(FileId, u32)]) -> io::Result<File> {
    if is_ours(held, file_id(&file)?) {
        std::mem::forget(file);
        return Err(io::Error::other("the lock file was replaced just now"));
    }
    Ok(file)
}

fn try_lock(cache: &CacheFolder) -> Result<Try> {
    let failed = |e: io::Error| failed(cache.path(), &e);
    let mut held = table(cache.path())?;
    loop {
        if cache.folder().id_of(cache.lock_name()).map_err(failed)?.is_some_and(|id| is_ours(&held, id)) {
            return Ok(Try::Ours);
        }
        let file = open_lock_file(cache).and_then(|file| guard_raced(file, &held)).map_err(failed)?;
        let id = file_id(&file).map_err(failed)?;
        if !set_lock(&file).map_err(failed)? {
            match blocking_pid(&file).map_err(failed)? {
                Some(pid) => return Ok(Try::Held(read_note(&file, pid))),
                // It fell free between the two calls.
                None => continue,
            }
        }
        // Someone may have removed the file between opening and locking: then the lock guards nothing.
        if cache.folder().id_of(cache.lock_name()).map_err(failed)? != Some(id) {
            continue;
        }
        // The note is for people. A full disk must not keep a decider from deciding.
        let _ = write_note(&file);
        let pid = std::process::id();
        held.push((id, pid));
        return Ok(Try::Locked(CacheLock { file: ManuallyDrop::new(file), id, pid }));
    }
}

fn open_lock_file(cache: &CacheFolder) -> io::Result<File> {
    let (folder, name) = (cache.folder(), cache.lock_name());
    loop {
        match folder.open_file(name, libc::O_RDWR, 0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        match folder.open_file(name, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o640) {
            Ok(file) => {
                // A command run by root must not lock the service out of a file that it made.
                adopt_owner(&file, folder.owner()?);
                return Ok(file);
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
}

fn whole_file() -> libc::flock {
    // SAFETY: `flock` is plain numbers; all zero is a valid value, and a length of 0 means "to the end".
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock
}

fn fcntl(file: &File, command: libc::c_int, lock: &mut libc::flock) -> io::Result<()> {
    loop {
        // SAFETY: the descriptor is open as long as `file`; both lock commands take a pointer to a `flock`.
        if unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut *lock) } != -1 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Tries to lock; `false` if another process has the lock.
fn set_lock(file: &File) -> io::Result<bool> {
    match fcntl(file, libc::F_SETLK, &mut whole_file()) {
        Ok(()) => Ok(true),
        // POSIX allows both for a lock that is held.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Process id of the holder as the kernel knows it; `None` if nobody holds the lock.
fn blocking_pid(file: &File) -> io::Result<Option<u32>> {
    let mut lock = whole_file();
    fcntl(file, libc::F_GETLK, &mut lock)?;
    if libc::c_int::from(lock.l_type) == libc::F_UNLCK as libc::c_int {
        return Ok(None);
    }
    // 0 for a holder in another PID namespace, -1 for one on another machine.
    Ok(Some(u32::try_from(lock.l_pid).unwrap_or(0)))
}

fn write_note(file: &File) -> io::Result<()> {
    let ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    let date = format_utc(ms).unwrap_or_default();
    let note = format!("pid = {}\nprogram = {}\nsince_ms = {ms}  # {date}\n", std::process::id(), program());
    file.set_len(0)?;
    file.write_all_at(note.as_bytes(), 0)
}

/// What the holder wrote about itself, believed only if it does not contradict the kernel.
fn read_note(file: &File, pid: u32) -> Holder {
    let mut bytes = [0; LARGEST_NOTE];
    let len = file.read_at(&mut bytes, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(bytes.get(..len).unwrap_or_default());
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
        Some(line.split_once("  #").map_or(line, |(value, _)| value).to_owned())
    };
    let noted: Option<u32> = value("pid").and_then(|pid| pid.parse().ok());
    if pid != 0 && noted != Some(pid) {
        return Holder { pid, ..Holder::default() };
    }
    Holder {
        pid,
        program: clean(&value("program").unwrap_or_default()),
        since_ms: value("since_ms").and_then(|ms| ms.parse().ok()).unwrap_or(0),
    }
}

/// The name of this program: the file part of its first argument, else what the kernel calls it.
fn program() -> String {
    let argument = std::env::args_os().next();
    let name =
        argument.as_deref().and_then(|path| Path::new(path).file_name()).map(|name| name.to_string_lossy());
    match name {
        Some(name) => clean(&name),
        // A library is not given the arguments on every platform.
        None => clean(std::fs::read_to_string("/proc/self/comm").unwrap_or_default().trim_end()),
    }
}

/// A name that neither breaks its line nor commands a terminal.
fn clean(name: &str) -> String {
    name.chars().take(LONGEST_PROGRAM).map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn held(path: &Path, holder: &Holder) -> Error {
    let mut text = format!("the cache {} is held by ", path.display());
    match holder.pid {
        0 => text.push_str("a process outside of this PID namespace"),
        pid => text.push_str(&format!("process {pid}")),
    }
    if !holder.program.is_empty() {
        text.push_str(&format!(" ({})", holder.program));
    }
    if let Some(date) = format_utc(holder.since_ms).filter(|_| holder.since_ms > 0) {
        text.push_str(&format!(" since {date}"));
    }
    text.push_str("; stop it, or set on_locked = \"wait\" or \"follow\"");
    Error::new(ErrorCode::Locked, text)
}

fn ours(path: &Path) -> Error {
    Error::new(
        ErrorCode::Locked,
        format!(
            "the cache {} is held by another instance of this process ({}, {}); share that instance, or give this \
             one a cache of its own",
            path.display(),
            std::process::id(),
            program()
        ),
    )
}

fn failed(path: &Path, e: &io::Error) -> Error {
    let hint = match e.raw_os_error() {
        Some(libc::EACCES | libc::EROFS) => "; the user that runs this program must be allowed to write it",
        Some(libc::ENOLCK | libc::EOPNOTSUPP) => "; put the cache on a local file system",
        Some(libc::ELOOP) => "; it is a symbolic link: remove it",
        Some(libc::ENOSPC | libc::EDQUOT) => "; free space on this file system",
        _ => "",
    };
    Error::new(ErrorCode::Io, format!("cannot lock {}.lock: {e}{hint}", path.display()))
}

#[cfg(test)]
mod tests;
