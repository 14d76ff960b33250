//! What all selectors of a service share: its table, a word for each slot, and the counters of clients.
//!
//! Words and counters stay at their place for as long as a selector may look at them, so they lie in chunks that are added and
//! never moved.

use super::board::{Board, Padded, Reader};
use crate::select::{Closed, Counts, Seat, ServiceTable};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Slots in the first chunk; each further one has twice as many as the one before.
const FIRST: usize = 64;

/// Enough for 65 536 nodes, more than a configuration can hold.
const CHUNKS: usize = 11;

/// A list that grows without moving.
#[derive(Debug)]
struct Chunks<T> {
    chunks: [OnceLock<Box<[T]>>; CHUNKS],
}

impl<T: Default> Chunks<T> {
    fn new() -> Chunks<T> {
        Chunks { chunks: [const { OnceLock::new() }; CHUNKS] }
    }

    #[inline]
    fn place(at: usize) -> (usize, usize) {
        if at < FIRST {
            return (0, at);
        }
        let chunk = (at / FIRST).ilog2() as usize + 1;
        (chunk, at - (FIRST << (chunk - 1)))
    }

    #[inline]
    fn get(&self, at: usize) -> Option<&T> {
        let (chunk, offset) = Chunks::<T>::place(at);
        self.chunks.get(chunk)?.get()?.get(offset)
    }

    /// Makes room for so many.
    fn grow(&self, count: usize) {
        for (number, chunk) in self.chunks.iter().enumerate() {
            let (begin, length) = match number {
                0 => (0, FIRST),
                n => (FIRST << (n - 1), FIRST << (n - 1)),
            };
            if begin < count {
                chunk.get_or_init(|| (0..length).map(|_| T::default()).collect());
            }
        }
    }
}

/// A slot's counters; selections write them under `least-connections` and `two-choices` alone.
#[derive(Debug)]
struct Counter {
    clients: AtomicU32,
    /// The highest trial that a client has taken.
    trial: AtomicU64,
}

impl Default for Padded<Counter> {
    fn default() -> Padded<Counter> {
        Padded(Counter { clients: AtomicU32::new(0), trial: AtomicU64::new(0) })
    }
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// It must end now.
    Ends = 0,
    /// It stays.
    Stays = 1,
    /// It should end once it is idle; it will have to at the deadline.
    Drains = 2,
}

/// Low bits of a slot's word; the generation is above them.
const ENDED: u64 = 0;
const SERVES: u64 = 1;
const DRAINS: u64 = 2;
const CLOSED: u64 = 3;
const BITS: u32 = 2;

/// What is known of the decider's life, shared by all services of an instance.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Monotonic nanoseconds of the last turn.
    turned: AtomicU64,
    /// The engine has panicked.
    broken: AtomicBool,
}

impl Pulse {
    /// The decider lives.
    pub fn beat(&self, now_ns: u64) {
        // Readers share the line: it is not written more often than anybody can tell.
        const STEP: u64 = 10_000_000;
        if now_ns.saturating_sub(self.turned.load(Ordering::Relaxed)) >= STEP {
            self.turned.store(now_ns, Ordering::Relaxed);
        }
    }

    /// The decider decides no more.
    pub fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// When it turned last.
    pub fn turned(&self) -> u64 {
        self.turned.load(Ordering::Relaxed)
    }

    /// Whether it decides no more.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}

/// One service of an instance.
#[derive(Debug)]
pub struct ServiceBoard {
    table: Arc<Board<ServiceTable>>,
    words: Chunks<AtomicU64>,
    counters: Chunks<Padded<Counter>>,
    pulse: Arc<Pulse>,
}

impl ServiceBoard {
    /// A board that shows its first table.
    pub fn new(first: Arc<ServiceTable>, pulse: Arc<Pulse>) -> ServiceBoard {
        let board = ServiceBoard {
            table: Arc::new(Board::new(Arc::clone(&first))),
            words: Chunks::new(),
            counters: Chunks::new(),
            pulse,
        };
        board.set_words(&first);
        board
    }

    /// Shows another table. Sessions that must end see that before anybody is sent to another node.
    pub fn publish(&self, table: Arc<ServiceTable>) {
        self.set_words(&table);
        self.table.publish(table);
    }

    fn set_words(&self, table: &ServiceTable) {
        self.words.grow(table.slots.len());
        self.counters.grow(table.slots.len());
        for (at, slot) in table.slots.iter().enumerate() {
            let seat = match (table.closed, slot.seat) {
                (Some(Closed::Stopped), _) => CLOSED,
                (_, Seat::Ended) => ENDED,
                (_, Seat::Serves) => SERVES,
                (_, Seat::Drains) => DRAINS,
            };
            if let Some(word) = self.words.get(at) {
                word.store(slot.generation << BITS | seat, Ordering::Release);
            }
        }
    }

    /// A reader of its tables.
    pub fn reader(&self) -> Reader<ServiceTable> {
        self.table.reader()
    }

    /// The decider's life.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// What becomes of a session; `None` once the instance has stopped.
    #[inline]
    pub fn session(&self, slot: u32, generation: u64) -> Option<Session> {
        let Some(word) = self.words.get(slot as usize) else { return Some(Session::Ends) };
        let word = word.load(Ordering::Acquire);
        match word & CLOSED {
            CLOSED => None,
            ENDED => Some(Session::Ends),
            _ if word >> BITS != generation => Some(Session::Ends),
            SERVES => Some(Session::Stays),
            _ => Some(Session::Drains),
        }
    }

    /// A session that was counted has ended. More ends than beginnings count for nothing.
    pub fn release(&self, slot: u32) {
        if let Some(Padded(counter)) = self.counters.get(slot as usize) {
            let _ = counter
                .clients
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |clients| clients.checked_sub(1));
        }
    }
}

impl Counts for ServiceBoard {
    #[inline]
    fn clients(&self, slot: u32) -> u32 {
        self.counters.get(slot as usize).map_or(0, |counter| counter.0.clients.load(Ordering::Relaxed))
    }

    #[inline]
    fn add(&self, slot: u32) {
        if let Some(Padded(counter)) = self.counters.get(slot as usize) {
            counter.clients.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn claim(&self, slot: u32, trial: u64) -> bool {
        let Some(Padded(counter)) = self.counters.get(slot as usize) else { return false };
        counter.trial.fetch_max(trial, Ordering::AcqRel) < trial
    }
}
