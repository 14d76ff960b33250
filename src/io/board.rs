//! Publication: one writer shows a value to any number of readers, who see it at the price of one load.
//!
//! Each reader has a place of its own in which it marks the value that it holds (M. Michael, "Hazard pointers: safe memory reclamation for
//! lock-free objects", 2004). A reader marks anew only when another value was published; between that it compares one pointer. What
//! no reader marks any more is freed by the next publication, never by a reader. Locks are taken by publications and by readers that
//! come and go.
//!
//! `tests/loom.rs` runs this file under loom: that is why the atomics come from `sync`.

use super::sync::{Arc, AtomicBool, AtomicPtr, Mutex, Ordering, fence};

/// A word in a cache line of its own, and in one of the pair that processors fetch together.
#[derive(Debug)]
#[repr(align(128))]
pub struct Padded<T>(pub T);

/// What is shown to readers.
#[derive(Debug)]
pub struct Board<T> {
    /// From `Arc::into_raw`; never NULL.
    current: Padded<AtomicPtr<T>>,
    shared: Mutex<Backstage<T>>,
}

#[derive(Debug)]
struct Backstage<T> {
    /// The places of readers. A place whose reader is gone is used again.
    marks: Vec<Arc<Mark<T>>>,
    /// Values that some reader may still hold.
    retired: Vec<*mut T>,
}

#[derive(Debug)]
struct Mark<T> {
    /// What the reader holds; NULL before its first look.
    held: Padded<AtomicPtr<T>>,
    /// A reader has this place.
    taken: AtomicBool,
}

// SAFETY: values are owned by the board and only lent out as `&T`; who frees them is the thread that publishes or drops the board,
// so they must be fit to be sent to it.
unsafe impl<T: Send + Sync> Send for Board<T> {}
// SAFETY: the same; the pointers in `Backstage` are reached under its lock alone.
unsafe impl<T: Send + Sync> Sync for Board<T> {}

/// One reader. It may move between threads, and is used by one at a time.
#[derive(Debug)]
pub struct Reader<T> {
    board: Arc<Board<T>>,
    mark: Arc<Mark<T>>,
    /// What `mark` says; kept here so that nobody else's memory is read for it.
    held: *const T,
}

// SAFETY: `held` points to a value that the board keeps for as long as the mark stands; see `Board`.
unsafe impl<T: Send + Sync> Send for Reader<T> {}
// SAFETY: a shared reader only lends out `&T`.
unsafe impl<T: Send + Sync> Sync for Reader<T> {}

impl<T> Board<T> {
    /// A board that shows `first`.
    pub fn new(first: Arc<T>) -> Board<T> {
        Board {
            current: Padded(AtomicPtr::new(Arc::into_raw(first).cast_mut())),
            shared: Mutex::new(Backstage { marks: Vec::new(), retired: Vec::new() }),
        }
    }

    /// Shows `next` from now on, and frees what nobody holds any more.
    pub fn publish(&self, next: Arc<T>) {
        let mut shared = self.shared.lock();
        let old = self.current.0.swap(Arc::into_raw(next).cast_mut(), Ordering::AcqRel);
        shared.retired.push(old);
        // Pairs with the fence of `Reader::renew`.
        fence(Ordering::SeqCst);
        let Backstage { marks, retired } = &mut *shared;
        retired.retain(|value| {
            let held = marks.iter().any(|mark| mark.held.0.load(Ordering::Acquire) == *value);
            if !held {
                // SAFETY: it is no longer current, and whoever marks a value looks afterwards whether it still is; as no mark
                // shows it, nobody holds it or ever will. It came from `Arc::into_raw` and leaves the list here.
                drop(unsafe { Arc::from_raw(*value) });
            }
            held
        });
    }

    /// A reader more.
    pub fn reader(self: &Arc<Self>) -> Reader<T> {
        let mut shared = self.shared.lock();
        let free = shared.marks.iter().find(|mark| !mark.taken.load(Ordering::Acquire)).cloned();
        let mark = free.unwrap_or_else(|| {
            let held = Padded(AtomicPtr::new(core::ptr::null_mut()));
            let mark = Arc::new(Mark { held, taken: AtomicBool::new(false) });
            shared.marks.push(Arc::clone(&mark));
            mark
        });
        // Under the lock, so nobody else takes it.
        mark.taken.store(true, Ordering::Relaxed);
        drop(shared);
        let mut reader = Reader { board: Arc::clone(self), mark, held: core::ptr::null() };
        reader.renew();
        reader
    }

    /// How many places there are for readers.
    #[cfg(test)]
    pub fn places(&self) -> usize {
        self.shared.lock().marks.len()
    }

    /// How many values are kept for readers that hold them.
    #[cfg(test)]
    pub fn retired(&self) -> usize {
        self.shared.lock().retired.len()
    }
}

impl<T> Drop for Board<T> {
    fn drop(&mut self) {
        let current = self.current.0.swap(core::ptr::null_mut(), Ordering::AcqRel);
        let retired = core::mem::take(&mut self.shared.lock().retired);
        for value in retired.into_iter().chain([current]) {
            // SAFETY: every reader has a reference to the board, so there is none; each value is in one place once.
            drop(unsafe { Arc::from_raw(value) });
        }
    }
}

impl<T> Reader<T> {
    /// What is shown now, and whether it is another value than last time.
    #[inline(always)]
    pub fn get(&mut self) -> (&T, bool) {
        let changed = !core::ptr::eq(self.board.current.0.load(Ordering::Acquire), self.held);
        if changed {
            self.renew();
        }
        // SAFETY: marked by `renew`, which looked afterwards that it was still current; the mark stands until the next call, which the
        // borrow of `self` keeps away.
        (unsafe { &*self.held }, changed)
    }

    /// What the last [`Reader::get`] showed.
    #[inline(always)]
    pub fn last(&self) -> &T {
        // SAFETY: the same.
        unsafe { &*self.held }
    }

    #[cold]
    fn renew(&mut self) {
        loop {
            let value = self.board.current.0.load(Ordering::Acquire);
            self.mark.held.0.store(value, Ordering::Release);
            // Whoever retires a value swaps first and looks at the marks afterwards: either it sees this mark, or this sees its value.
            fence(Ordering::SeqCst);
            if self.board.current.0.load(Ordering::Acquire) == value {
                self.held = value;
                return;
            }
        }
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.mark.held.0.store(core::ptr::null_mut(), Ordering::Release);
        self.mark.taken.store(false, Ordering::Release);
    }
}
