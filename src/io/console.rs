//! What the command asks of its terminal and its process: end signals as a descriptor, waiting, the width of a line.

use crate::error::{Error, ErrorCode, Result};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// SIGTERM, SIGINT and SIGHUP of this process, read from a descriptor instead of ending it.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks the signals in this thread and opens the descriptor. Threads made later inherit the mask; those that
    /// run already must block the signals themselves, as the library's do.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if the system refuses.
    pub fn take() -> Result<Signals> {
        let failed = |e: io::Error| Error::new(ErrorCode::Io, format!("cannot take the end signals: {e}"));
        // SAFETY: `sigset_t` is plain numbers, filled by sigemptyset before it is used; the pointers are to locals that
        // outlive the calls; the signal numbers are valid.
        let (rc, set) = unsafe {
            let mut set: libc::sigset_t = core::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(&raw mut set, signal);
            }
            (libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, core::ptr::null_mut()), set)
        };
        if rc != 0 {
            return Err(failed(io::Error::from_raw_os_error(rc)));
        }
        // SAFETY: the set was filled above; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(failed(io::Error::last_os_error()));
        }
        // SAFETY: signalfd has just made this descriptor; nobody else owns it.
        Ok(Signals(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The descriptor, readable while a signal waits.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// The name of the next signal, `None` if none waits.
    pub fn next(&self) -> Option<&'static str> {
        let mut info = core::mem::MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer has the size that is named; the kernel writes whole records only.
        let read = unsafe { libc::read(self.fd(), info.as_mut_ptr().cast(), size) };
        if usize::try_from(read) != Ok(size) {
            return None;
        }
        // SAFETY: the kernel filled the whole record.
        let info = unsafe { info.assume_init() };
        Some(match i32::try_from(info.ssi_signo) {
            Ok(libc::SIGTERM) => "SIGTERM",
            Ok(libc::SIGINT) => "SIGINT",
            _ => "SIGHUP",
        })
    }
}

/// CLOCK_MONOTONIC in microseconds, as the service manager wants it with a reload.
pub fn monotonic_us() -> u64 {
    super::clock::mono().0 / 1000
}

/// Sleeps until one of the descriptors is readable or the time is over.
pub fn wait(fds: &[RawFd], timeout: Duration) {
    let mut polled: Vec<libc::pollfd> =
        fds.iter().map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    let ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer and the number describe the vector, which outlives the call. An interrupted or refused wait
    // ends early, and the caller looks at everything anyway.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, ms) };
}

/// Characters in a line of the terminal behind standard output; `None` if it is no terminal.
pub fn width() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one `winsize` to the pointer, which is to a local.
    let rc = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (rc == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}
