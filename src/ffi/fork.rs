//! Finding out in a forked child that an object belongs to the parent, at the price of a load.
//!
//! One page per process holds the process's mark; the kernel wipes it at fork. An object that takes hold of something a
//! child must not touch (threads, an epoll descriptor, a lock) keeps the mark of that moment.

use crate::error::{Error, ErrorCode, Result};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// The page; NULL until something is bound for the first time.
static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(core::ptr::null_mut());

/// The next mark. Copied by fork, so that a child's mark differs from those of its ancestors.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The mark of this process, made if there is none.
fn mark() -> Result<u64> {
    let mut page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        page = make_page()?;
    }
    // SAFETY: the page is never unmapped once it is published, and a wiped page is a valid zero.
    let word = unsafe { &*page };
    match word.load(Ordering::Acquire) {
        0 => {
            let new = NEXT.fetch_add(1, Ordering::Relaxed);
            Ok(word
                .compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire)
                .map_or_else(|old| old, |_| new))
        }
        mark => Ok(mark),
    }
}

fn make_page() -> Result<*mut AtomicU64> {
    let failed = |what: &str| {
        let error = std::io::Error::last_os_error();
        Error::new(ErrorCode::Io, format!("{what} for fork detection failed: {error} (it needs Linux 4.14)"))
    };
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no other memory.
    let page = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            size_of::<AtomicU64>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(failed("a page of memory"));
    }
    // SAFETY: our own page, mapped just now.
    if unsafe { libc::madvise(page, size_of::<AtomicU64>(), libc::MADV_WIPEONFORK) } != 0 {
        let error = failed("MADV_WIPEONFORK");
        // SAFETY: our own page, which nobody else has seen.
        unsafe { libc::munmap(page, size_of::<AtomicU64>()) };
        return Err(error);
    }
    let page = page.cast::<AtomicU64>();
    match PAGE.compare_exchange(core::ptr::null_mut(), page, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(page),
        Err(others) => {
            // SAFETY: another thread was faster; ours was seen by nobody.
            unsafe { libc::munmap(page.cast(), size_of::<AtomicU64>()) };
            Ok(others)
        }
    }
}

/// Whether an object is bound to a process, and to which.
#[derive(Debug, Default)]
pub(super) struct Bond(AtomicU64);

impl Bond {
    /// Binds the object to this process; a bond that is there stays.
    pub(super) fn bind(&self) -> Result<()> {
        if self.0.load(Ordering::Acquire) == 0 {
            let mark = mark()?;
            // A bond made by another thread in the meantime carries the same mark.
            self.0.store(mark, Ordering::Release);
        }
        Ok(())
    }

    /// Whether the object belongs to a parent of this process.
    #[inline(always)]
    pub(super) fn is_parents(&self) -> bool {
        let bound = self.0.load(Ordering::Acquire);
        if bound == 0 {
            return false;
        }
        let page = PAGE.load(Ordering::Acquire);
        // SAFETY: a bond was made, so there is a page, and it is never unmapped.
        bound != unsafe { &*page }.load(Ordering::Acquire)
    }

    /// An error in a child.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_parents() {
            return Err(Error::new(
                ErrorCode::Forked,
                "the object belongs to the parent process: make a new instance after fork, or start in the child only",
            ));
        }
        Ok(())
    }
}
