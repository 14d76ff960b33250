//! A board and its readers, beside what tests/loom.rs explores.

use crate::io::board::Board;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Order};

/// Counts how many of its like live.
struct Counted(u64, &'static AtomicUsize);

impl Counted {
    fn new(number: u64, alive: &'static AtomicUsize) -> Counted {
        alive.fetch_add(1, Order::SeqCst);
        Counted(number, alive)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Order::SeqCst);
    }
}

#[test]
fn a_value_lives_as_long_as_a_reader_holds_it() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    let board = Arc::new(Board::new(Arc::new(Counted::new(1, &ALIVE))));
    let mut reader = board.reader();
    assert_eq!(reader.get().0.0, 1);
    board.publish(Arc::new(Counted::new(2, &ALIVE)));
    board.publish(Arc::new(Counted::new(3, &ALIVE)));
    // 1 is held; 2 never was.
    assert_eq!((ALIVE.load(Order::SeqCst), board.retired(), reader.last().0), (2, 1, 1));
    let (value, changed) = reader.get();
    assert_eq!((value.0, changed), (3, true));
    assert!(!reader.get().1);
    // What a reader gave back goes with the next publication.
    board.publish(Arc::new(Counted::new(4, &ALIVE)));
    assert_eq!(ALIVE.load(Order::SeqCst), 2);
    drop(reader);
    let again = board.reader();
    assert_eq!(board.places(), 1, "the place is used again");
    drop(board);
    drop(again);
    assert_eq!(ALIVE.load(Order::SeqCst), 0);
}

#[test]
fn readers_in_threads_see_values_that_only_rise() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    let board = Arc::new(Board::new(Arc::new(Counted::new(0, &ALIVE))));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut reader = board.reader();
            scope.spawn(move || {
                let mut last = 0;
                while last < 20_000 {
                    let seen = reader.get().0.0;
                    assert!(seen >= last, "{seen} after {last}");
                    last = seen;
                }
            });
        }
        for number in 1..=20_000 {
            board.publish(Arc::new(Counted::new(number, &ALIVE)));
        }
    });
    assert!(board.retired() <= 4);
    drop(board);
    assert_eq!(ALIVE.load(Order::SeqCst), 0);
}
