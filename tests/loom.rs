//! Publication under loom, which runs it in all orders that its threads and the memory model allow, with at most three switches
//! between threads that are not forced: `src/io/board.rs` as it is, over loom's atomics.
//!
//! Each value has a cell that loom tracks. Readers read it, and who frees the value writes it: a free that a look does not happen
//! before is a failure, as is a look after it.

// The board is part of the library; not all of it is used here.
#[allow(dead_code)]
#[path = "../src/io/board.rs"]
mod board;

/// What stands at the place of `src/io/sync.rs`.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicPtr, Ordering, fence};
    pub(super) use std::sync::Arc;

    /// A lock with the interface of parking_lot's.
    #[derive(Debug)]
    pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("nobody panics under the lock")
        }
    }
}

use board::{Board, Reader};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A published value: a number, and whether it is alive.
struct Value {
    number: usize,
    alive: UnsafeCell<bool>,
    /// How many there are; not loom's, for nothing is decided by it.
    count: Arc<AtomicUsize>,
}

// SAFETY: the cell is written by the one who drops the value; loom holds that to the same rule as the compiler would.
unsafe impl Send for Value {}
// SAFETY: the same.
unsafe impl Sync for Value {}

impl Value {
    fn new(number: usize, count: &Arc<AtomicUsize>) -> Arc<Value> {
        count.fetch_add(1, Ordering::SeqCst);
        Arc::new(Value { number, alive: UnsafeCell::new(true), count: Arc::clone(count) })
    }

    fn look(&self) -> usize {
        // SAFETY: loom fails the model if somebody writes meanwhile.
        assert!(self.alive.with(|alive| unsafe { *alive }), "a value that was freed");
        self.number
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: as above.
        self.alive.with_mut(|alive| unsafe { *alive = false });
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs all orders of a model, and counts them.
fn all_orders(at_least: usize, model: impl Fn(&Arc<AtomicUsize>) + Sync + Send + 'static) {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let count = Arc::new(AtomicUsize::new(0));
        model(&count);
        assert_eq!(count.load(Ordering::SeqCst), 0, "values are left, or were freed twice");
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let orders = orders.load(Ordering::SeqCst);
    assert!(orders >= at_least, "only {orders} orders");
}

/// Two looks of a reader: never back in time.
fn two_looks(reader: &mut Reader<Value>) -> usize {
    let (value, _) = reader.get();
    let first = value.look();
    let (value, changed) = reader.get();
    let second = value.look();
    assert!(second >= first && changed == (second > first), "{first}, then {second}");
    assert_eq!(reader.last().look(), second);
    second
}

#[test]
fn readers_see_living_values_and_the_last_one_at_the_end() {
    all_orders(100, |count| {
        let board = Arc::new(Board::new(Value::new(0, count)));
        let mut near = board.reader();
        let mut far = board.reader();
        let looking = thread::spawn(move || {
            two_looks(&mut far);
            far
        });
        board.publish(Value::new(1, count));
        two_looks(&mut near);
        board.publish(Value::new(2, count));
        let mut far = looking.join().expect("no panic");
        for reader in [&mut near, &mut far] {
            assert_eq!(reader.get().0.look(), 2, "a publication was lost");
        }
        // Each reader holds back one value at most.
        assert!(board.retired() <= 2);
        board.publish(Value::new(3, count));
        assert_eq!(board.retired(), 1, "both hold the same one");
        drop((near, far));
        board.publish(Value::new(4, count));
        assert_eq!(board.retired(), 0);
    });
}

#[test]
fn two_readers_look_while_two_values_are_published() {
    all_orders(1000, |count| {
        let board = Arc::new(Board::new(Value::new(0, count)));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let mut reader = board.reader();
                thread::spawn(move || two_looks(&mut reader))
            })
            .collect();
        board.publish(Value::new(1, count));
        board.publish(Value::new(2, count));
        for reader in readers {
            assert!(reader.join().expect("no panic") <= 2);
        }
        board.publish(Value::new(3, count));
        assert_eq!(board.retired(), 0, "nobody holds anything");
    });
}

#[test]
fn readers_come_and_go_while_values_are_published() {
    all_orders(1000, |count| {
        let board = Arc::new(Board::new(Value::new(0, count)));
        let comers: Vec<_> = (0..2)
            .map(|_| {
                let board = Arc::clone(&board);
                thread::spawn(move || {
                    let mut reader = board.reader();
                    let seen = reader.get().0.look();
                    drop(reader);
                    assert!(seen <= 1);
                })
            })
            .collect();
        board.publish(Value::new(1, count));
        for comer in comers {
            comer.join().expect("no panic");
        }
        // A place is used again: there are never more than readers at a time.
        let mut last = board.reader();
        assert!(board.places() <= 2, "{} places", board.places());
        assert_eq!(last.get().0.look(), 1);
        board.publish(Value::new(2, count));
        assert_eq!((last.get().0.look(), board.retired()), (2, 1));
    });
}

#[test]
fn a_place_that_is_left_and_taken_keeps_what_its_reader_holds() {
    all_orders(100, |count| {
        let board = Arc::new(Board::new(Value::new(0, count)));
        let first = board.reader();
        let other = Arc::clone(&board);
        let comer = thread::spawn(move || {
            let mut reader = other.reader();
            two_looks(&mut reader)
        });
        drop(first);
        board.publish(Value::new(1, count));
        assert!(comer.join().expect("no panic") <= 1);
    });
}
