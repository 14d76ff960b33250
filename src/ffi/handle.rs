//! What stands behind a handle: a magic word, a busy flag, the object.

use super::fork::Bond;
use crate::error::{Error, ErrorCode, Result};
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The memory behind a handle. The magic word comes first in every one of them, so that it can be read before the type is
/// known.
#[repr(C)]
pub(super) struct Shell<T: Handle> {
    magic: AtomicU64,
    busy: AtomicBool,
    /// The process that the object belongs to; outside of it, as a child must not wait for its turn.
    bond: Arc<Bond>,
    watched: T::Watched,
    object: UnsafeCell<T>,
}

/// A type that crosses the border as a handle.
pub(super) trait Handle: Sized {
    /// The type of the handle in the header.
    type Opaque;
    /// Tells the handle from others; no valid text, number or pointer by accident.
    const MAGIC: u64;
    /// The name of the handle's type, for errors.
    const NAME: &'static str;
    /// What any thread may read at any time.
    type Watched: Sync;
    /// Taken from the object when the handle is made.
    fn watched(&self) -> Self::Watched;
}

/// What the magic word becomes when a handle is freed.
const FREED: u64 = 0xdead_0f12_eed0_bec7;

/// Makes a handle; [`free`] takes it back.
pub(super) fn give<T: Handle>(object: T, bond: Arc<Bond>) -> *mut T::Opaque {
    let shell = Shell {
        watched: object.watched(),
        magic: AtomicU64::new(T::MAGIC),
        busy: AtomicBool::new(false),
        bond,
        object: UnsafeCell::new(object),
    };
    Box::into_raw(Box::new(shell)).cast()
}

/// The shell behind a handle.
///
/// # Safety
/// `handle` is NULL or points to 8 readable bytes; if those are `T::MAGIC`, it came from [`give`] and was not freed, nor will be
/// during `'a`.
pub(super) unsafe fn shell<'a, T: Handle>(handle: *const T::Opaque) -> Result<&'a Shell<T>> {
    let wrong = |what: &str| Err(Error::new(ErrorCode::Handle, format!("{what}; a {} is needed", T::NAME)));
    let shell = handle.cast::<Shell<T>>();
    if shell.is_null() {
        return wrong("the handle is NULL");
    }
    if !shell.is_aligned() {
        return wrong("this is no handle");
    }
    // SAFETY: not NULL, aligned, and readable by the caller's word.
    let magic = unsafe { &*shell.cast::<AtomicU64>() }.load(Ordering::Relaxed);
    if magic == T::MAGIC {
        // SAFETY: the magic word says that `give` made it for this type.
        return Ok(unsafe { &*shell });
    }
    match (magic == FREED, name_of(magic)) {
        (true, _) => wrong("the handle was freed"),
        (_, Some(name)) => wrong(&format!("this is a {name}")),
        _ => wrong("this is no handle"),
    }
}

/// As [`shell`] for calls that are too short for the making of an error: `None` for everything that is no handle of the type.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn known_shell<'a, T: Handle>(handle: *const T::Opaque) -> Option<&'a Shell<T>> {
    let shell = handle.cast::<Shell<T>>();
    if shell.is_null() || !shell.is_aligned() {
        return None;
    }
    // SAFETY: not NULL, aligned, and readable by the caller's word.
    let magic = unsafe { &*shell.cast::<AtomicU64>() }.load(Ordering::Relaxed);
    // SAFETY: the magic word says that `give` made it for this type.
    (magic == T::MAGIC).then(|| unsafe { &*shell })
}

fn name_of(magic: u64) -> Option<&'static str> {
    use super::{
        config::ConfigHandle, events::EventsHandle, instance::InstanceHandle, selector::SelectorHandle,
        snapshot::SnapshotHandle,
    };
    let known = [
        (ConfigHandle::MAGIC, ConfigHandle::NAME),
        (InstanceHandle::MAGIC, InstanceHandle::NAME),
        (SnapshotHandle::MAGIC, SnapshotHandle::NAME),
        (EventsHandle::MAGIC, EventsHandle::NAME),
        (SelectorHandle::MAGIC, SelectorHandle::NAME),
    ];
    known.iter().find(|(other, _)| *other == magic).map(|(_, name)| *name)
}

/// Clears the busy flag at the end of a call, a panicking one too.
struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl<T: Handle> Shell<T> {
    /// The object, for types that any thread may use at any time.
    pub(super) fn shared(&self) -> &T
    where
        T: Sync,
    {
        // SAFETY: types that are used through `shared` are never used through `exclusive`: `InstanceHandle` here, all others
        // there. So no `&mut` exists.
        unsafe { &*self.object.get() }
    }

    /// What any thread may read of an object that takes one call at a time: it lies beside it and never changes.
    pub(super) fn watched(&self) -> &T::Watched {
        &self.watched
    }

    /// What binds the object to a process.
    pub(super) fn bond(&self) -> &Arc<Bond> {
        &self.bond
    }

    /// The object, for types that take one call at a time.
    pub(super) fn exclusive<R>(&self, body: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
        self.bond.check()?;
        if self.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return Err(Error::new(
                ErrorCode::Busy,
                format!("another thread is in a call on this {}; it takes one call at a time", T::NAME),
            ));
        }
        let _turn = Turn(&self.busy);
        // SAFETY: the flag admits one call at a time.
        body(unsafe { &mut *self.object.get() })
    }
}

impl<T: Handle> Shell<T> {
    /// As [`Shell::exclusive`] for calls that are too short for an exchange of the flag: an overlap may go unseen. `None` if it was
    /// seen, or in a child of fork.
    #[inline(always)]
    pub(super) fn quick<R>(&self, body: impl FnOnce(&mut T) -> R) -> Option<R> {
        if self.bond.is_parents() || self.busy.load(Ordering::Relaxed) {
            return None;
        }
        self.busy.store(true, Ordering::Relaxed);
        let _turn = Turn(&self.busy);
        // SAFETY: the caller's word that a handle takes one call at a time; the flag finds most that break it.
        Some(body(unsafe { &mut *self.object.get() }))
    }
}

/// Takes a handle back as [`free`] does, unless a call is under way. In a child the calls of the parent's threads never end, so
/// they do not count.
///
/// # Safety
/// As for [`shell`], and no call on the handle follows.
pub(super) unsafe fn free_idle<T: Handle>(handle: *mut T::Opaque) -> Result<T> {
    // SAFETY: the same condition.
    let shell = unsafe { shell::<T>(handle) }?;
    if !shell.bond.is_parents() {
        shell.exclusive(|_| Ok(()))?;
    }
    // SAFETY: the same condition, and no call is under way.
    unsafe { free::<T>(handle) }
}

/// Takes a handle back and gives the object out of it. In a test build the shell stays, so that a later use is found.
///
/// # Safety
/// As for [`shell`], and no call on the handle is under way or follows.
pub(super) unsafe fn free<T: Handle>(handle: *mut T::Opaque) -> Result<T> {
    // SAFETY: the same condition.
    unsafe { shell::<T>(handle) }?.magic.store(FREED, Ordering::Relaxed);
    let shell = handle.cast::<Shell<T>>();
    #[cfg(feature = "testing")]
    {
        // SAFETY: made by `give`, and nobody reads the object behind a freed magic word.
        let object = unsafe { core::ptr::read(core::ptr::addr_of!((*shell).object)) };
        Ok(object.into_inner())
    }
    #[cfg(not(feature = "testing"))]
    {
        // SAFETY: made by `Box::into_raw` in `give`, and taken back once.
        let shell = unsafe { Box::from_raw(shell) };
        Ok(shell.object.into_inner())
    }
}
