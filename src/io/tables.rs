//! The file of tables beside a cache: what the decider publishes for other processes, and how they read it.
//!
//! The decider writes and others read by plain calls; nobody maps the file, so that one which is cut short hurts nobody
//! (a mapping would raise SIGBUS). See `select/header.rs` for what makes a read whole.

use super::descriptor::checked;
use super::file::CacheFolder;
use super::folder::{FileId, file_id};
use crate::engine::Time;
use crate::error::{Error, ErrorCode, Result};
use crate::select::header::{Header, LARGEST, ROOM, SIZE};
use crate::select::{ServiceTable, codec};
use crate::store::checksum::crc64;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// How often the decider says that it turns.
pub(crate) const PULSE: Duration = Duration::from_millis(100);

/// How often it looks whether the file is still there.
const LOOK: Duration = Duration::from_secs(1);

/// The smallest half.
const SMALLEST: u64 = 16 * 1024;

/// A reader that comes in the midst of a write looks again; a write takes microseconds.
const TRIES: u32 = 20;

/// The decider's side. Its owner holds the cache's lock.
#[derive(Debug)]
pub(crate) struct TablesWriter {
    folder: Arc<CacheFolder>,
    file: Option<(File, FileId)>,
    header: Header,
    /// The tables in force, for a file that has to be made anew.
    last: Vec<u8>,
    beaten: Option<Time>,
    looked: Option<Time>,
}

impl TablesWriter {
    /// The life of a decider begins. The file is made with the first tables.
    pub(crate) fn new(
        folder: Arc<CacheFolder>,
        fingerprint: u64,
        since_ms: u64,
        events: u64,
    ) -> TablesWriter {
        let header = Header {
            fingerprint,
            pid: u64::from(std::process::id()),
            since_ms,
            events_before: events,
            events,
            ..Header::default()
        };
        TablesWriter { folder, file: None, header, last: Vec::new(), beaten: None, looked: None }
    }

    /// Another configuration is in force.
    pub(crate) fn set_fingerprint(&mut self, fingerprint: u64) {
        self.header.fingerprint = fingerprint;
        self.beaten = None;
    }

    /// Shows tables from now on.
    pub(crate) fn publish(&mut self, now: Time, bytes: Vec<u8>, events: u64) -> Result<()> {
        self.last = bytes;
        self.header.events = events;
        let outcome = match &self.file {
            Some((file, _)) if self.last.len() as u64 <= self.header.capacity => {
                let mut next = self.header;
                next.sequence += 1;
                fill(file, &mut next, &self.last, now).map(|()| self.header = next)
            }
            _ => self.make(now),
        };
        (self.beaten, self.looked) = (Some(now), self.looked.or(Some(now)));
        outcome.map_err(|e| self.failed(&e))
    }

    /// Says that the decider turns, and how many events it has had; at most every [`PULSE`], unless there are new ones.
    pub(crate) fn beat(&mut self, now: Time, events: u64) -> Result<()> {
        let Some((file, id)) = &self.file else {
            // The last attempt failed, or there was none.
            return match self.last.is_empty() || self.beaten.is_some_and(|at| now.since(at) < LOOK) {
                true => Ok(()),
                false => self.publish(now, self.last.clone(), events),
            };
        };
        let due = self.beaten.is_none_or(|at| now.since(at) >= PULSE);
        if !due && events == self.header.events {
            return Ok(());
        }
        if self.looked.is_none_or(|at| now.since(at) >= LOOK) {
            self.looked = Some(now);
            if self.folder.folder().id_of(self.folder.tables_names().0).ok().flatten() != Some(*id) {
                // Somebody removed or replaced it: who comes now would find no tables, or old ones.
                self.header.events = events;
                self.beaten = Some(now);
                return self.make(now).map_err(|e| self.failed(&e));
            }
        }
        self.header.events = events;
        self.header.pulse = now.0;
        self.beaten = Some(now);
        file.write_all_at(&self.header.encode(), 0).map_err(|e| self.failed(&e))
    }

    /// A new file in place of the one that is there, which is told of it.
    fn make(&mut self, now: Time) -> io::Result<()> {
        let folder = self.folder.folder();
        let (name, temporary) = self.folder.tables_names();
        let wanted = (self.last.len() as u64).max(SMALLEST / 2) * 2;
        if self.last.len() as u64 > LARGEST {
            return Err(io::Error::other("the tables are larger than 64 MiB"));
        }
        folder.remove(temporary)?;
        let file = folder.open_file(temporary, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o640)?;
        self.folder.inherit(&file)?;
        let mut next = self.header;
        (next.capacity, next.sequence) = (wanted.min(LARGEST), self.header.sequence + 1);
        // A full disk is found now, not at a switch.
        let size = ROOM + 2 * next.capacity;
        // SAFETY: the descriptor is open as long as `file`; no pointer is passed.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, size as libc::off_t) } {
            0 => {}
            libc::EOPNOTSUPP | libc::EINVAL => file.set_len(size)?,
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
        fill(&file, &mut next, &self.last, now)?;
        let old = folder.open_file(name, libc::O_RDWR, 0).ok();
        folder.rename(temporary, name)?;
        // Its own one may no longer be the one that has the name.
        let own = self.file.take().map(|(file, _)| file);
        for old in old.iter().chain(&own) {
            tell_moved(old);
        }
        self.header = next;
        self.file = Some((file, FileId::default()));
        if let Some((file, id)) = &mut self.file {
            *id = file_id(file)?;
        }
        Ok(())
    }

    fn failed(&self, e: &io::Error) -> Error {
        let path = self.folder.path().display();
        Error::new(
            ErrorCode::Io,
            format!("{path}.tables: other processes see no new tables: {e}; decisions go on in this one"),
        )
    }
}

/// Writes the half that is not in force, then the header that puts it in force.
fn fill(file: &File, header: &mut Header, bytes: &[u8], now: Time) -> io::Result<()> {
    header.length = bytes.len() as u64;
    header.checksum = crc64(bytes);
    header.pulse = now.0;
    file.write_all_at(bytes, header.half(header.sequence))?;
    file.write_all_at(&header.encode(), 0)
}

/// Readers of a file that was replaced look at its name again. What is no such file is left alone.
fn tell_moved(old: &File) {
    let mut bytes = [0; SIZE];
    let header = old.read_exact_at(&mut bytes, 0).ok().and_then(|()| Header::decode(&bytes).ok());
    if let Some(header) = header {
        // Whoever misses it finds that the pulse has stopped.
        let _ = old.write_all_at(&Header { moved: true, ..header }.encode(), 0);
    }
}

/// A follower's side.
#[derive(Debug)]
pub(crate) struct TablesReader {
    folder: Arc<CacheFolder>,
    file: File,
    header: Header,
    read: bool,
}

/// What a look brought.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// The tables, if they are others than at the last look.
    pub(crate) tables: Option<Vec<ServiceTable>>,
    /// It is another file than at the last look.
    pub(crate) reopened: bool,
}

impl TablesReader {
    /// Opens the file; `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if it cannot be opened; [`ErrorCode::Cache`] or [`ErrorCode::Unsupported`] if it is no such file.
    pub(crate) fn open(folder: &Arc<CacheFolder>) -> Result<Option<TablesReader>> {
        let Some(file) = open(folder)? else { return Ok(None) };
        let header = header(folder, &file)?;
        Ok(Some(TablesReader { folder: Arc::clone(folder), file, header, read: false }))
    }

    /// What the last look found.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The file, to be watched.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Looks whether another file has the name by now, for the case that nobody could mark this one.
    ///
    /// # Errors
    /// As [`TablesReader::open`].
    pub(crate) fn find_again(&mut self) -> Result<bool> {
        let Some(file) = open(&self.folder)? else { return Ok(false) };
        let other = file_id(&file).ok() != file_id(&self.file).ok();
        if other {
            // Only one that can be read takes the place of this one.
            header(&self.folder, &file)?;
            (self.file, self.read) = (file, false);
        }
        Ok(other)
    }

    /// Looks for news.
    ///
    /// # Errors
    /// As [`TablesReader::open`], for a file that is damaged too. What was read before stays good.
    pub(crate) fn look(&mut self) -> Result<Look> {
        let mut look = Look::default();
        let mut damage = None;
        for _ in 0..TRIES {
            let next = header(&self.folder, &self.file)?;
            if next.moved {
                // Between the rename and the mark nobody else can be there; if nobody is, the old one is all there is.
                if let Some(file) = open(&self.folder)?
                    && file_id(&file).ok() != file_id(&self.file).ok()
                {
                    (self.file, self.read, look.reopened) = (file, false, true);
                    continue;
                }
            }
            let known = self.read && next.same_life(&self.header) && next.sequence == self.header.sequence;
            if known {
                self.header = next;
                return Ok(look);
            }
            match self.half(&next) {
                Ok(tables) => {
                    (self.header, self.read, look.tables) = (next, true, Some(tables));
                    return Ok(look);
                }
                // A half is only written to once another header is in force. One that has the same header still is damaged.
                Err(error) => {
                    let after = header(&self.folder, &self.file)?;
                    if (after.sequence, after.moved) == (next.sequence, next.moved) && after.same_life(&next)
                    {
                        return Err(error);
                    }
                    damage = Some(error);
                }
            }
            std::thread::yield_now();
        }
        Err(damage.unwrap_or_else(|| damaged(&self.folder, "it is replaced again and again")))
    }

    fn half(&self, header: &Header) -> Result<Vec<ServiceTable>> {
        let at = header.half(header.sequence);
        let length = self.file.metadata().map_or(0, |metadata| metadata.len());
        if at + header.length > length {
            return Err(damaged(&self.folder, "it was cut short"));
        }
        let mut bytes = vec![0; header.length as usize];
        self.file.read_exact_at(&mut bytes, at).map_err(|e| damaged(&self.folder, &e.to_string()))?;
        if crc64(&bytes) != header.checksum {
            return Err(damaged(&self.folder, "the tables do not have the checksum that its header names"));
        }
        codec::decode(&bytes).map_err(|e| damaged(&self.folder, e.message()))
    }
}

fn open(folder: &Arc<CacheFolder>) -> Result<Option<File>> {
    let failed = |e: io::Error| {
        Error::new(ErrorCode::Io, format!("cannot read {}.tables: {e}", folder.path().display()))
    };
    let file = match folder.folder().open_file(folder.tables_names().0, libc::O_RDONLY, 0) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    match file.metadata().map_err(failed)?.is_file() {
        true => Ok(Some(file)),
        false => Err(damaged(folder, "this is not a regular file")),
    }
}

/// The header, read until no write is in its midst.
fn header(folder: &Arc<CacheFolder>, file: &File) -> Result<Header> {
    let mut outcome = Err(damaged(folder, "it is shorter than its header"));
    for _ in 0..TRIES {
        let mut bytes = [0; SIZE];
        if let Err(e) = file.read_exact_at(&mut bytes, 0) {
            if e.kind() == io::ErrorKind::UnexpectedEof {
                return outcome;
            }
            return Err(Error::new(
                ErrorCode::Io,
                format!("cannot read {}.tables: {e}", folder.path().display()),
            ));
        }
        match Header::decode(&bytes) {
            Ok(header) => return Ok(header),
            Err(error) => {
                let text = format!("{}.tables: {}", folder.path().display(), error.message());
                outcome = Err(Error::new(error.code(), text));
            }
        }
        std::thread::yield_now();
    }
    outcome
}

fn damaged(folder: &CacheFolder, what: &str) -> Error {
    Error::new(ErrorCode::Cache, format!("{}.tables: {what}", folder.path().display()))
}

/// Tells that a file was written to, or that its last writer has closed it.
#[derive(Debug)]
pub(crate) struct Watch {
    fd: super::descriptor::Fd,
    watched: Option<i32>,
}

/// What a watch has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Somebody wrote, or did something else to the file.
    pub(crate) news: bool,
    /// A writer closed it, perhaps by its end.
    pub(crate) closed: bool,
}

impl Watch {
    /// Watches nothing yet.
    pub(crate) fn new(registry: &Arc<super::descriptor::Registry>) -> io::Result<Watch> {
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
        Ok(Watch { fd: registry.adopt(super::descriptor::owned(fd)?), watched: None })
    }

    /// The descriptor to wait for.
    pub(crate) fn number(&self) -> i32 {
        self.fd.number()
    }

    /// Watches this file and no other one.
    pub(crate) fn file(&mut self, file: &File) -> io::Result<()> {
        if let Some(before) = self.watched.take() {
            // SAFETY: no pointer is passed.
            unsafe { libc::inotify_rm_watch(self.fd.number(), before) };
        }
        // By descriptor: the name may lead to another file by now, and after chroot nowhere.
        let path = format!("/proc/self/fd/{}\0", file.as_raw_fd());
        let kinds = libc::IN_MODIFY | libc::IN_CLOSE_WRITE | libc::IN_ATTRIB | libc::IN_MOVE_SELF;
        // SAFETY: the path ends with NUL and outlives the call.
        let watch = unsafe { libc::inotify_add_watch(self.fd.number(), path.as_ptr().cast(), kinds) };
        checked(watch)?;
        self.watched = Some(watch);
        Ok(())
    }

    /// Takes what was seen since the last call.
    pub(crate) fn take(&self) -> Seen {
        let mut seen = Seen::default();
        let mut buffer = [0u8; 4096];
        loop {
            // SAFETY: the buffer is live and as long as is said.
            let count = unsafe { libc::read(self.fd.number(), buffer.as_mut_ptr().cast(), buffer.len()) };
            let Some(mut events) = usize::try_from(count).ok().and_then(|count| buffer.get(..count)) else {
                return seen;
            };
            if events.is_empty() {
                return seen;
            }
            // inotify(7): wd, mask, cookie and the length of a name, 32 bits each, then the name.
            while let Some((event, rest)) = events.split_first_chunk::<16>() {
                let word = |at: usize| {
                    event.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
                };
                seen.news = true;
                seen.closed |= word(4) & libc::IN_CLOSE_WRITE != 0;
                events = rest.get(word(12) as usize..).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests;
