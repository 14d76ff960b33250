//! Descriptors, and the list of their numbers that a forked child closes.
//!
//! A child after fork inherits every descriptor but none of the threads, so it may find the instance's lock held
//! by a thread that does not exist. The numbers are therefore kept in plain atomics beside it: closing them needs
//! no lock. Dropping a descriptor is close(2) and nothing else, because an epoll or timer call in the child
//! would reach the parent's objects.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

const FREE: RawFd = -1;

/// The numbers of all open descriptors of one instance.
#[derive(Debug)]
pub(crate) struct Registry {
    slots: Box<[AtomicI32]>,
}

impl Registry {
    /// Room for `capacity` descriptors at once; those beyond work, but a child cannot always close them.
    pub(crate) fn new(capacity: usize) -> Arc<Registry> {
        Arc::new(Registry { slots: (0..capacity).map(|_| AtomicI32::new(FREE)).collect() })
    }

    /// Takes over the ownership of a descriptor.
    pub(crate) fn adopt(self: &Arc<Registry>, fd: OwnedFd) -> Fd {
        let number = fd.as_raw_fd();
        let slot = self.slots.iter().position(|slot| {
            slot.compare_exchange(FREE, number, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        });
        Fd { fd: Some(fd), slot, registry: Arc::clone(self) }
    }

    /// For a child after fork: closes every number. The owners of the descriptors must never be dropped afterwards.
    pub(crate) fn close_all(&self) {
        for slot in &self.slots {
            let number = slot.swap(FREE, Ordering::AcqRel);
            if number != FREE {
                // SAFETY: the caller leaks the owner, so the number is closed once, by this call.
                unsafe { libc::close(number) };
            }
        }
    }

    /// How many descriptors are open.
    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.slots.iter().filter(|slot| slot.load(Ordering::Acquire) != FREE).count()
    }
}

/// One open descriptor.
#[derive(Debug)]
pub(crate) struct Fd {
    fd: Option<OwnedFd>,
    slot: Option<usize>,
    registry: Arc<Registry>,
}

impl Fd {
    /// Its number.
    pub(crate) fn number(&self) -> RawFd {
        self.fd.as_ref().map_or(FREE, AsRawFd::as_raw_fd)
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // The slot is freed first: were it freed after, a child born in between could close a stranger's number.
        if let Some(slot) = self.slot.and_then(|i| self.registry.slots.get(i)) {
            slot.store(FREE, Ordering::Release);
        }
        drop(self.fd.take());
    }
}

/// Turns the result of a call that makes a descriptor into an owned one.
pub(crate) fn owned(result: libc::c_int) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

/// Turns the result of a call that answers 0 or -1 into a `Result`.
pub(crate) fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
