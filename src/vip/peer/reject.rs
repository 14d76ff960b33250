//! Why a datagram was not taken, and how often.

use crate::pool::state::words;
use core::fmt;

words! {
    /// Why a datagram was not taken.
    Reject {
        /// It came from an address that no configured peer has.
        Stranger = 0 => "stranger",
        /// It ends before its own lengths say so.
        Truncated = 1 => "truncated",
        /// It is longer than any of ours.
        TooLong = 2 => "too_long",
        /// It is no datagram of this channel.
        Foreign = 3 => "foreign",
        /// It has a version that this one does not speak.
        Version = 4 => "version",
        /// Its lengths or names contradict the layout.
        Malformed = 5 => "malformed",
        /// It names this host as its sender: an own one came back.
        Reflected = 6 => "reflected",
        /// It names a sender other than the peer at its address.
        Sender = 7 => "sender",
        /// It was meant for another host.
        Receiver = 8 => "receiver",
        /// No key of ours made its seal.
        Seal = 9 => "seal",
        /// It does not echo a challenge that is good now: it is old, or its sender has not heard from this life yet.
        Stale = 10 => "stale",
        /// It was taken before, or is older than all that is remembered.
        Replay = 11 => "replay",
        /// The seal is good, but what is inside cannot be read.
        Body = 12 => "body",
        /// The seal is good, and this version has no such kind of message.
        Kind = 13 => "kind",
        /// The seal is good, but more is named than a tier may have.
        Bounds = 14 => "bounds",
    }
}

/// How often each of them happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejects([u64; Reject::ALL.len()]);

impl Rejects {
    /// Counts one.
    pub(super) fn count(&mut self, reject: Reject) {
        if let Some(count) = self.0.get_mut(reject as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// How often it happened.
    pub fn of(&self, reject: Reject) -> u64 {
        self.0.get(reject as usize).copied().unwrap_or_default()
    }

    /// Every reason with its count, those that never happened included.
    pub fn iter(&self) -> impl Iterator<Item = (Reject, u64)> {
        Reject::ALL.iter().map(|reject| (*reject, self.of(*reject)))
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}
