//! Column definitions that came before.
//!
//! A server describes the same sixty columns at every probe, in five times the bytes of their values. Bytes equal to
//! those of the last answer mean the same columns, and one comparison is much cheaper than reading them.

use super::packet::HEADER;
use std::sync::Arc;

/// Most bytes of definitions kept for one result; a probe's own take three thousand.
const MOST_BYTES: usize = 32 * 1024;

/// Most results of an answer whose definitions are kept.
const MOST_SETS: usize = 8;

/// The definitions of one result.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Definitions {
    /// The packets with their headers, as they came.
    pub packets: Vec<u8>,
    /// How many they are.
    pub columns: usize,
    /// Lengths of the columns' names.
    pub lengths: Vec<u32>,
    /// The names, one behind the other.
    pub names: Vec<u8>,
    /// What they take of an answer's bound.
    pub cost: usize,
}

/// What the bytes that came are to the definitions of the last answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// They begin with the same ones.
    Same,
    /// They are the front of the same ones, so far.
    Front,
    /// They are others.
    Others,
}

impl Definitions {
    /// Compares; `sequence` is the number that the first packet must have.
    pub fn compare(&self, bytes: &[u8], columns: usize, sequence: u8) -> Known {
        if self.columns != columns || columns == 0 || self.packets.get(HEADER - 1) != Some(&sequence) {
            Known::Others
        } else if bytes.len() < self.packets.len() {
            if self.packets.starts_with(bytes) { Known::Front } else { Known::Others }
        } else if bytes.starts_with(&self.packets) {
            Known::Same
        } else {
            Known::Others
        }
    }
}

/// The definitions of the last answer's results, in their order.
#[derive(Debug, Default)]
pub(super) struct Memory {
    sets: Vec<Arc<Definitions>>,
    /// Something was learnt that nobody else has been asked for yet.
    own: bool,
    /// What is being read anew, and its place; none if it is not worth keeping.
    learning: Option<(usize, Definitions)>,
}

impl Memory {
    /// What is known of a result's definitions.
    pub fn get(&self, set: usize) -> Option<&Definitions> {
        self.sets.get(set).map(Arc::as_ref)
    }

    /// A result begins whose definitions have to be read.
    pub fn begin(&mut self, set: usize) {
        self.learning = (set < MOST_SETS).then(|| (set, Definitions::default()));
    }

    /// One definition was read: the packet with its header, the name in it, and what it took of the bound.
    pub fn learn(&mut self, packet: &[u8], name: &[u8], cost: usize) {
        let Some((_, open)) = &mut self.learning else { return };
        if open.packets.len() + packet.len() > MOST_BYTES {
            self.learning = None;
            return;
        }
        open.packets.extend_from_slice(packet);
        open.columns += 1;
        open.lengths.push(name.len() as u32);
        open.names.extend_from_slice(name);
        open.cost += cost;
    }

    /// All definitions of the result were read.
    pub fn end(&mut self) {
        if let Some((set, learnt)) = self.learning.take() {
            if self.sets.len() <= set {
                self.sets.resize_with(set + 1, Arc::default);
            }
            if let Some(slot) = self.sets.get_mut(set) {
                *slot = Arc::new(learnt);
                self.own = true;
            }
        }
    }
}

/// Most definitions that are kept for all connections together; each version of a server brings a handful.
const MOST_SHARED: usize = 256;

/// Column definitions that connections to servers of one version have in common: equal ones are kept once.
#[derive(Debug, Default)]
pub struct SharedColumns {
    known: Vec<Arc<Definitions>>,
}

impl SharedColumns {
    /// Puts the common ones in place of a connection's own.
    pub(super) fn share(&mut self, memory: &mut Memory) {
        if !core::mem::take(&mut memory.own) {
            return;
        }
        for own in &mut memory.sets {
            match self.known.iter().find(|known| *known == own) {
                Some(known) => *own = Arc::clone(known),
                None => {
                    if self.known.len() >= MOST_SHARED {
                        self.known.retain(|known| Arc::strong_count(known) > 1);
                    }
                    if self.known.len() < MOST_SHARED {
                        self.known.push(Arc::clone(own));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
