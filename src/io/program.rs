//! Runs one program, a hook or a check, without waiting for it.
//!
//! No shell takes part. The program is leader of a process group of its own; it gets the environment it was given and
//! `PATH`, nothing of the host's; no signal is blocked or ignored; its standard input is empty, what it prints is kept
//! up to a bound; no other descriptor reaches it. Its working directory is `/`.
//!
//! Its end shows at a pidfd, and only that very process is waited for: children of the host are not touched, nor is
//! what the host does at SIGCHLD. A host that ignores SIGCHLD or waits for any child takes the exit code away; that is
//! told as [`How::Unknown`].
//!
//! The calling thread sleeps until the program is loaded, so it must lie on a local file system.

use super::descriptor::{Fd, Registry, checked, owned};
use crate::engine::Time;
use core::time::Duration;
use parking_lot::Mutex;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod spawn;
#[cfg(test)]
mod tests;

/// Where a program named without a slash is looked for, unless its environment has a `PATH` of its own.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Bytes kept of each of its two outputs.
pub(crate) const KEPT: usize = 64 * 1024;

/// How long a program is given between SIGTERM and SIGKILL, if nothing else is configured.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// How long its outputs are read on once the program has ended: what it wrote itself is there by then, so this is
/// for the last words of those it started.
const DRAIN: Duration = Duration::from_millis(50);

/// How long a process may take to vanish after SIGKILL. Only one that hangs in the kernel takes longer.
const VANISH: Duration = Duration::from_secs(1);

/// How long a drop waits for the process that it has killed.
const LAST_WAIT_MS: libc::c_int = 200;

/// Bytes and rounds of one reading: a program that prints without end must not hold the thread.
const CHUNK: usize = 16 * 1024;
const ROUNDS: usize = 16;

/// `PIDFD_SIGNAL_PROCESS_GROUP` of pidfd_send_signal(2), Linux 6.9: the whole group, whoever has reaped its leader.
const TO_GROUP: libc::c_uint = 1 << 2;

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// The program, by its path or by a name that is looked for in `PATH`, and its arguments.
    pub(crate) argv: Vec<String>,
    /// Its environment; `PATH` is added if it is not among them.
    pub(crate) environment: Vec<(String, String)>,
    /// How long it may run before it is asked to end.
    pub(crate) timeout: Duration,
    /// How long it may take to end when asked, before it is killed.
    pub(crate) grace: Duration,
}

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It ended by itself, with this code.
    Exited(u8),
    /// A signal of this number ended it.
    Signalled(i32),
    /// It has ended, but its exit code is not known: the host ignores SIGCHLD or waits for children that are not its
    /// own.
    Unknown,
    /// It was killed and is still there: it hangs in the kernel. It is reaped when it ends.
    Stuck,
}

/// Why the program was made to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Its time was up.
    Timeout,
    /// [`Program::stop`] was called.
    Asked,
}

/// What a program printed on one of its outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    /// The first [`KEPT`] bytes.
    pub(crate) kept: Vec<u8>,
    /// How many there were in all.
    pub(crate) total: u64,
}

impl Output {
    /// The first line, without its end; bytes that are not UTF-8 are replaced.
    pub(crate) fn first_line(&self) -> String {
        let line = self.kept.split(|b| *b == b'\n').next().unwrap_or_default();
        String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
    }
}

/// A program's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// How the process ended.
    pub(crate) how: How,
    /// Why it was made to end; `None` if it ended by itself.
    pub(crate) stopped: Option<Stopped>,
    /// From the start until the end was noticed.
    pub(crate) took: Duration,
    /// Its standard output.
    pub(crate) output: Output,
    /// Its standard error.
    pub(crate) errors: Output,
}

/// A running program. Dropped, it is killed with its whole group and reaped.
#[derive(Debug)]
pub(crate) struct Program {
    /// Holds the other three, so that a loop watches one descriptor.
    epoll: Fd,
    process: Option<OwnedPid>,
    output: Pipe,
    errors: Pipe,
    started: Time,
    /// When its time is up.
    until: Time,
    grace: Duration,
    stop: Option<Stop>,
    /// How it ended, and until when its outputs are read on.
    reaped: Option<(How, Time)>,
}

#[derive(Clone, Copy, Debug)]
struct Stop {
    why: Stopped,
    killed: bool,
    /// The end of its patience: then the group is killed, or given up.
    until: Time,
}

impl Program {
    /// Starts the program.
    ///
    /// # Errors
    /// The text names the program. `InvalidInput`: no program, or a zero byte in a string. `NotFound`: no such file, or
    /// none of that name in `PATH`. `PermissionDenied`: it may not be executed. ENOEXEC: it is neither a binary nor does
    /// it name its interpreter. `Unsupported`: the kernel has no pidfd.
    pub(crate) fn start(registry: &Arc<Registry>, spec: &Spec, now: Time) -> io::Result<Program> {
        reap_left();
        let name = spec.argv.first().map_or("", String::as_str);
        Program::begin(registry, spec, now)
            .map_err(|e| io::Error::new(e.kind(), format!("cannot run the program '{name}': {e}")))
    }

    fn begin(registry: &Arc<Registry>, spec: &Spec, now: Time) -> io::Result<Program> {
        let argv = spec.argv.iter().map(|s| c_string(s.clone())).collect::<io::Result<Vec<_>>>()?;
        let environment = environment(spec)?;
        let file = c_string(find(spec)?.as_os_str().as_bytes())?;
        let null = std::fs::File::open("/dev/null")?;
        let (output, output_end) = pipe(registry)?;
        let (errors, errors_end) = pipe(registry)?;
        let null = spawn::above_stdio(&null)?;
        // SAFETY: no pointer is passed.
        let epoll = registry.adopt(owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?);
        for fd in [&output, &errors] {
            watch(&epoll, fd)?;
        }
        let ends = [null.as_raw_fd(), output_end.as_raw_fd(), errors_end.as_raw_fd()];
        let spawned = spawn::spawn(&file, &argv, &environment, ends)?;
        let process = OwnedPid {
            pid: spawned.pid,
            fd: registry.adopt(spawned.pidfd),
            owner: std::process::id(),
            done: false,
        };
        // Should this fail, dropping `process` kills what was started.
        watch(&epoll, &process.fd)?;
        Ok(Program {
            epoll,
            process: Some(process),
            output: Pipe { fd: Some(output), output: Output::default() },
            errors: Pipe { fd: Some(errors), output: Output::default() },
            started: now,
            until: now + spec.timeout,
            grace: spec.grace,
            stop: None,
            reaped: None,
        })
    }

    /// The one descriptor to watch for input: readable when [`Program::turn`] has something to do.
    pub(crate) fn fd(&self) -> RawFd {
        self.epoll.number()
    }

    /// The number of the process and its group; `None` once it is reaped.
    #[cfg(test)]
    pub(crate) fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(|process| process.pid)
    }

    /// When [`Program::turn`] is due although nothing is readable. [`Time::NEVER`] after the end.
    pub(crate) fn deadline(&self) -> Time {
        match (&self.reaped, &self.stop) {
            (Some((_, until)), _) => *until,
            (None, Some(stop)) => stop.until,
            (None, None) => self.until,
        }
    }

    /// Asks the program to end, with its group, as if its time were up.
    pub(crate) fn stop(&mut self, now: Time) {
        if self.stop.is_none() && self.reaped.is_none() {
            self.ask(Stopped::Asked, now);
        }
    }

    /// Does what is to be done now. The end, once; nothing is to be called afterwards.
    pub(crate) fn turn(&mut self, now: Time) -> Option<Ended> {
        // Looked at before the outputs are read: all that an ended process wrote is found there then.
        let gone = self.process.as_ref().is_some_and(|process| process.ended(0));
        self.output.read(&self.epoll);
        self.errors.read(&self.epoll);
        let closed = self.output.fd.is_none() && self.errors.fd.is_none();
        if gone {
            self.process.as_ref().inspect(|process| unwatch(&self.epoll, &process.fd));
        }
        match (self.reaped, self.stop, gone) {
            (Some(_), ..) => {}
            (None, None, true) => self.reap(now),
            // Its number is kept until its group has ended too, or has had its time: SIGTERM went to all of them.
            (None, Some(stop), true) if stop.killed || closed || now >= stop.until => {
                self.signal(libc::SIGKILL);
                self.reap(now);
            }
            (None, Some(_), true) => {}
            (None, None, false) if now >= self.until => self.ask(Stopped::Timeout, now),
            (None, Some(stop), false) if now >= stop.until && !stop.killed => {
                self.signal(libc::SIGKILL);
                self.stop = Some(Stop { killed: true, until: now + VANISH, ..stop });
            }
            (None, Some(stop), false) if now >= stop.until => {
                self.process.take().into_iter().for_each(OwnedPid::leave);
                self.reaped = Some((How::Stuck, now));
            }
            (None, _, false) => {}
        }
        let (how, until) = self.reaped?;
        if !closed && now < until {
            return None;
        }
        self.reaped = Some((how, Time::NEVER));
        Some(Ended {
            how,
            stopped: self.stop.map(|stop| stop.why),
            took: now.since(self.started),
            output: core::mem::take(&mut self.output.output),
            errors: core::mem::take(&mut self.errors.output),
        })
    }

    fn ask(&mut self, why: Stopped, now: Time) {
        self.signal(libc::SIGTERM);
        self.stop = Some(Stop { why, killed: false, until: now + self.grace });
    }

    fn signal(&self, signal: libc::c_int) {
        self.process.as_ref().inspect(|process| process.signal_group(signal));
    }

    fn reap(&mut self, now: Time) {
        let how = self.process.take().map_or(How::Unknown, OwnedPid::reap);
        self.reaped = Some((how, now + DRAIN));
    }
}

/// A process that must be waited for. Dropped before, it is killed with its group.
#[derive(Debug)]
struct OwnedPid {
    pid: libc::pid_t,
    fd: Fd,
    /// Who started it: in a forked child it is no child.
    owner: u32,
    /// Reaped, or left to [`reap_left`].
    done: bool,
}

impl AsRawFd for OwnedPid {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.number()
    }
}

impl OwnedPid {
    /// Whether the process has ended, or ends within the time.
    fn ended(&self, timeout_ms: libc::c_int) -> bool {
        let mut poll = libc::pollfd { fd: self.fd.number(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, live and writable.
        unsafe { libc::poll(&mut poll, 1, timeout_ms) > 0 }
    }

    /// Sends a signal to the process's group. That nobody is left in it is no failure.
    fn signal_group(&self, signal: libc::c_int) {
        let info = core::ptr::null_mut::<libc::siginfo_t>();
        // SAFETY: a null `siginfo_t` is allowed.
        let sent =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.fd.number(), signal, info, TO_GROUP) };
        let unknown = sent < 0 && io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH);
        // Older kernels know the group by its number only, which is ours as long as its leader is not reaped.
        if unknown && spawn::wait(self, libc::WNOHANG | libc::WNOWAIT).is_ok() {
            // SAFETY: no pointer is passed.
            unsafe { libc::kill(-self.pid, signal) };
        }
    }

    /// How the ended process ended; nothing is left of it afterwards.
    fn reap(mut self) -> How {
        self.done = true;
        match spawn::wait(&self, libc::WNOHANG) {
            Ok(Some((libc::CLD_EXITED, code))) => How::Exited(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
            Ok(Some((_, signal))) => How::Signalled(signal),
            // Its descriptor says that it has ended.
            Ok(None) | Err(_) => How::Unknown,
        }
    }

    /// Leaves it to whoever comes by later.
    fn leave(mut self) {
        self.set_aside();
    }

    fn set_aside(&mut self) {
        self.done = true;
        if let Ok(fd) = spawn::above_stdio(self)
            && let Some(mut left) = LEFT.try_lock_for(Duration::from_millis(100))
        {
            left.push(fd);
        }
    }
}

impl Drop for OwnedPid {
    fn drop(&mut self) {
        if self.done || self.owner != std::process::id() {
            return;
        }
        self.signal_group(libc::SIGKILL);
        self.ended(LAST_WAIT_MS);
        if matches!(spawn::wait(self, libc::WNOHANG), Ok(None)) {
            self.set_aside();
        }
    }
}

/// Killed processes that hung in the kernel when they were given up.
static LEFT: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// Reaps those of them that have ended since; how many are left.
pub(crate) fn reap_left() -> usize {
    // A forked child may find the lock taken for ever.
    let Some(mut left) = LEFT.try_lock() else { return 0 };
    left.retain(|fd| matches!(spawn::wait(fd, libc::WNOHANG), Ok(None)));
    left.len()
}

/// The reading end of one output.
#[derive(Debug)]
struct Pipe {
    /// `None` once everybody has closed the other end.
    fd: Option<Fd>,
    output: Output,
}

impl Pipe {
    /// Takes in what is there, within bounds; closes at the end.
    fn read(&mut self, epoll: &Fd) {
        let Some(fd) = &self.fd else { return };
        let mut buffer = [0u8; CHUNK];
        let mut rounds = 0..ROUNDS;
        let at_end = loop {
            if rounds.next().is_none() {
                break false;
            }
            // SAFETY: pointer and length name the buffer.
            let count = unsafe { libc::read(fd.number(), buffer.as_mut_ptr().cast(), buffer.len()) };
            match usize::try_from(count) {
                Ok(0) => break true,
                Ok(count) => {
                    let room = KEPT - self.output.kept.len();
                    self.output.kept.extend(buffer.iter().take(count.min(room)));
                    self.output.total += count as u64;
                }
                Err(_) => match io::Error::last_os_error().kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => break false,
                    // A pipe has no other errors that would pass.
                    _ => break true,
                },
            }
        };
        if at_end {
            unwatch(epoll, fd);
            self.fd = None;
        }
    }
}

/// A pipe: the end to read, non-blocking, and the end for the child, which blocks as programs expect.
fn pipe(registry: &Arc<Registry>) -> io::Result<(Fd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the array has room for two descriptors.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    let (read, write) = (owned(ends[0])?, owned(ends[1])?);
    // SAFETY: no pointer is passed.
    checked(unsafe { libc::fcntl(read.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    Ok((registry.adopt(read), spawn::above_stdio(&write)?))
}

fn watch(epoll: &Fd, fd: &Fd) -> io::Result<()> {
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
    // SAFETY: `event` is a live variable.
    checked(unsafe { libc::epoll_ctl(epoll.number(), libc::EPOLL_CTL_ADD, fd.number(), &mut event) })
}

/// Needed before close: a forked child may hold the same open file.
fn unwatch(epoll: &Fd, fd: &Fd) {
    // SAFETY: a null event is allowed here. That it is not watched any more is no failure.
    unsafe { libc::epoll_ctl(epoll.number(), libc::EPOLL_CTL_DEL, fd.number(), core::ptr::null_mut()) };
}

fn c_string(text: impl Into<Vec<u8>>) -> io::Result<CString> {
    CString::new(text)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "an argument has a zero byte in it"))
}

fn environment(spec: &Spec) -> io::Result<Vec<CString>> {
    let path = [("PATH".to_owned(), PATH.to_owned())];
    let own = spec.environment.iter().any(|(name, _)| name == "PATH");
    let pairs = spec.environment.iter().chain(path.iter().filter(|_| !own));
    pairs.map(|(name, value)| c_string(format!("{name}={value}"))).collect()
}

/// The file that the first argument names.
fn find(spec: &Spec) -> io::Result<PathBuf> {
    let error = |kind, text| Err(io::Error::new(kind, text));
    let Some(name) = spec.argv.first().filter(|name| !name.is_empty()) else {
        return error(io::ErrorKind::InvalidInput, "no program is named");
    };
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let own = spec.environment.iter().find(|(name, _)| name == "PATH");
    let path = own.map_or(PATH, |(_, path)| path);
    let mut found = path.split(':').filter(|folder| folder.starts_with('/')).map(|f| Path::new(f).join(name));
    found
        .find(|file| is_executable(file))
        .map_or_else(|| error(io::ErrorKind::NotFound, "no executable of that name is in PATH"), Ok)
}

fn is_executable(file: &Path) -> bool {
    let Ok(name) = c_string(file.as_os_str().as_bytes()) else { return false };
    // SAFETY: a live string that ends in a zero byte.
    file.is_file() && unsafe { libc::access(name.as_ptr(), libc::X_OK) == 0 }
}
