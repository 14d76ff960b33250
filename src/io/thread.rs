//! Threads that a host does not notice: no signal lands on them, their stack is bounded, they carry a name.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Signals that a fault of the thread itself raises. Blocking them would turn a crash into a hang.
const SYNCHRONOUS: [libc::c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGSYS];

/// The caller's signal mask, restored when dropped.
pub(super) struct Mask {
    old: libc::sigset_t,
}

impl Mask {
    /// Blocks all but the synchronous signals in the calling thread; a thread made now inherits that.
    pub(super) fn block() -> io::Result<Mask> {
        // SAFETY: the sets are plain data that sigfillset and pthread_sigmask fill in; every pointer is live.
        unsafe {
            let mut all: libc::sigset_t = core::mem::zeroed();
            let mut old: libc::sigset_t = core::mem::zeroed();
            libc::sigfillset(&mut all);
            for signal in SYNCHRONOUS {
                libc::sigdelset(&mut all, signal);
            }
            match libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut old) {
                0 => Ok(Mask { old }),
                errno => Err(io::Error::from_raw_os_error(errno)),
            }
        }
    }
}

impl Drop for Mask {
    fn drop(&mut self) {
        // SAFETY: `old` was filled in by the call that made this value.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.old, core::ptr::null_mut()) };
    }
}

/// Starts a thread. `name` has at most 15 bytes (the kernel's limit), `stack` is in bytes.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    stack: usize,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    // Before creation, not inside the thread: a signal could land between its birth and its first line.
    let _mask = Mask::block()?;
    Builder::new().name(name.into()).stack_size(stack).spawn(body)
}
