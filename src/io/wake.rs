//! An eventfd: one thread makes another one's descriptor readable.

use super::descriptor::{Fd, Registry, owned};
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

/// A flag with a descriptor that is readable while the flag is up.
#[derive(Debug)]
pub(crate) struct Wake {
    fd: Fd,
}

impl Wake {
    /// Makes the descriptor; the flag is down.
    pub(crate) fn new(registry: &Arc<Registry>) -> io::Result<Wake> {
        // SAFETY: no pointer is passed.
        let fd = owned(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        Ok(Wake { fd: registry.adopt(fd) })
    }

    /// The descriptor to watch for input.
    pub(crate) fn fd(&self) -> RawFd {
        self.fd.number()
    }

    /// Raises the flag.
    pub(crate) fn raise(&self) {
        let one = 1u64;
        // SAFETY: eight bytes of a live variable. The one possible failure, a counter at its end, leaves the
        // descriptor readable, which is all that is wanted.
        unsafe { libc::write(self.fd.number(), (&raw const one).cast(), 8) };
    }

    /// Takes the flag down.
    pub(crate) fn lower(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes of a live variable. Failure means that the flag is down already.
        unsafe { libc::read(self.fd.number(), (&raw mut count).cast(), 8) };
    }
}
