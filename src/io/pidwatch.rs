//! Watches a process that somebody else started and that wrote its number into a file: its death is known at once.
//!
//! The number alone proves little: the process may have died without removing the file, and its number may have gone to
//! another. So the pidfd is opened first, and then the kernel is asked about the process it stands for: its name, if
//! one is expected, else whether it is older than the file.

use super::clock;
use super::descriptor::{Fd, Registry, owned};
use core::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::RawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// More than any number and its line end.
const LARGEST: u64 = 64;

/// More than /proc/PID/stat has: 52 numbers and a name.
const LARGEST_STAT: u64 = 4096;

/// Bytes of a process's name that the kernel keeps (`TASK_COMM_LEN` without its end).
const COMM: usize = 15;

/// By how much a process may seem younger than the file it wrote: ticks of the kernel and of the file system.
const SLACK: Duration = Duration::from_secs(2);

/// Why there is no process to watch.
#[derive(Debug)]
pub(crate) enum NoProcess {
    /// The file does not exist.
    Missing(PathBuf),
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file holds something else than a process number. Empty files are of this kind: they are about to be written.
    Garbage(PathBuf, &'static str),
    /// No process has that number.
    Gone(PathBuf, u32),
    /// The number has gone to a process that is younger than the file.
    Reused(PathBuf, u32),
    /// The process has another name than the one expected.
    OtherName { file: PathBuf, pid: u32, found: String, expected: String },
    /// The system refuses: no pidfd (before Linux 5.3), no descriptors left, /proc not mounted.
    System(u32, io::Error),
}

impl fmt::Display for NoProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoProcess::Missing(file) => write!(f, "the pid file {} does not exist", file.display()),
            NoProcess::Unreadable(file, error) => {
                write!(f, "the pid file {} cannot be read: {error}", file.display())
            }
            NoProcess::Garbage(file, what) => {
                write!(f, "the pid file {} holds no process number: {what}", file.display())
            }
            NoProcess::Gone(file, pid) => write!(f, "no process has the number {pid} of {}", file.display()),
            NoProcess::Reused(file, pid) => write!(
                f,
                "process {pid} is younger than {}, so the number has gone to another one; if the clock was set, give \
                 the name of the process",
                file.display()
            ),
            NoProcess::OtherName { file, pid, found, expected } => {
                write!(f, "process {pid} of {} is '{found}', not '{expected}'", file.display())
            }
            NoProcess::System(pid, error) => write!(f, "cannot watch process {pid}: {error}"),
        }
    }
}

impl NoProcess {
    /// Whether the process is known to be dead, rather than not found out.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(
            self,
            NoProcess::Missing(_) | NoProcess::Gone(..) | NoProcess::Reused(..) | NoProcess::OtherName { .. }
        )
    }
}

/// A process that was alive when it was found.
#[derive(Debug)]
pub(crate) struct PidWatch {
    pid: u32,
    fd: Fd,
}

impl PidWatch {
    /// Finds the process that the file names. With a `name` the process must bear it (its first 15 bytes, as
    /// `ps -o comm` shows it); without, it must not be younger than the file, which a clock set forward by more than
    /// the time between the two makes it seem.
    pub(crate) fn open(
        registry: &Arc<Registry>,
        file: &Path,
        name: Option<&str>,
    ) -> Result<PidWatch, NoProcess> {
        let (pid, written) = read_file(file)?;
        let fd = registry.adopt(pidfd(pid).map_err(|error| match error.raw_os_error() {
            // The number of a thread that leads no process is told by EINVAL, since Linux 6.9 by ENOENT.
            Some(libc::ESRCH | libc::EINVAL | libc::ENOENT) => NoProcess::Gone(file.into(), pid),
            _ => NoProcess::System(pid, error),
        })?);
        let watch = PidWatch { pid, fd };
        let stat = read_stat(pid);
        // While it lives the number is its own, so what was read is about it.
        if watch.is_dead() {
            return Err(NoProcess::Gone(file.into(), pid));
        }
        let stat = stat.map_err(|error| NoProcess::System(pid, error))?;
        match name {
            Some(expected) if !bears(&stat.comm, expected) => {
                let (found, expected) = (String::from_utf8_lossy(&stat.comm).into_owned(), expected.into());
                Err(NoProcess::OtherName { file: file.into(), pid, found, expected })
            }
            None if started(stat.start).is_some_and(|started| started > written + SLACK) => {
                Err(NoProcess::Reused(file.into(), pid))
            }
            _ => Ok(watch),
        }
    }

    /// The descriptor to watch for input: readable once the process is dead, and for ever after.
    pub(crate) fn fd(&self) -> RawFd {
        self.fd.number()
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it is dead; a zombie is.
    pub(crate) fn is_dead(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.fd.number(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, live and writable.
        unsafe { libc::poll(&mut poll, 1, 0) > 0 }
    }
}

/// The number in the file, and when it was written.
fn read_file(path: &Path) -> Result<(u32, SystemTime), NoProcess> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => NoProcess::Missing(path.into()),
        _ => NoProcess::Unreadable(path.into(), error),
    };
    // O_NONBLOCK: a FIFO in its place must not hold us.
    let options = libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(options).open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    let garbage = |what| NoProcess::Garbage(path.into(), what);
    if !meta.is_file() {
        return Err(garbage("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let pid = number(&bytes).map_err(garbage)?;
    Ok((pid, meta.modified().map_err(unreadable)?))
}

fn number(bytes: &[u8]) -> Result<u32, &'static str> {
    if bytes.len() as u64 > LARGEST {
        return Err("it is too long");
    }
    let text = bytes.trim_ascii();
    if text.is_empty() {
        return Err("it is empty");
    }
    if !text.iter().all(u8::is_ascii_digit) {
        return Err("it has other characters than digits");
    }
    // The kernel's numbers are positive and fit 31 bits.
    let number = core::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.filter(|pid| (1..=i32::MAX as u32).contains(pid)).ok_or("the number is out of range")
}

fn pidfd(pid: u32) -> io::Result<std::os::fd::OwnedFd> {
    // SAFETY: no pointer is passed. The descriptor is close-on-exec by itself.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0u32) as libc::c_int })
}

/// What is asked of /proc/PID/stat (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    comm: Vec<u8>,
    /// Ticks from the machine's start.
    start: u64,
}

fn read_stat(pid: u32) -> io::Result<Stat> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/stat"))?.take(LARGEST_STAT).read_to_end(&mut bytes)?;
    parse_stat(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc is not as expected"))
}

fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    // A name may have blanks and brackets in it: it ends at the last one.
    let open = bytes.iter().position(|b| *b == b'(')?;
    let close = bytes.iter().rposition(|b| *b == b')')?;
    let comm = bytes.get(open + 1..close)?.to_vec();
    // What follows are fields 3 and on; the start is field 22.
    let start = bytes.get(close + 1..)?.trim_ascii().split(|b| *b == b' ').nth(22 - 3)?;
    Some(Stat { comm, start: core::str::from_utf8(start).ok()?.parse().ok()? })
}

fn bears(comm: &[u8], expected: &str) -> bool {
    comm == expected.as_bytes().get(..COMM).unwrap_or(expected.as_bytes())
}

/// The wall clock's time of so many ticks after the machine's start.
fn started(ticks: u64) -> Option<SystemTime> {
    // SAFETY: no pointer is passed.
    let rate = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok().filter(|rate| *rate > 0)?;
    let start = Duration::from_millis(ticks.saturating_mul(1000) / rate);
    let age = clock::boot().since(crate::engine::Time(0)).saturating_sub(start);
    // UNIX_EPOCH at the earliest: a clock that was never set is no reason to think a process dead.
    Some(SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH))
}

#[cfg(test)]
mod tests;
