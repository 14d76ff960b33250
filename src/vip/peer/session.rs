//! Whether a datagram of a peer is new: protection against replays without clocks.
//!
//! Each start of a host is a [`Life`] with a random name. Towards each peer it counts its datagrams, and asks by a random
//! [`Challenge`] that every datagram of the peer must echo.
//!
//! - A life is believed once it echoed the current challenge. Then the challenge is changed at once, so what earlier lives of the peer
//!   ever sent echoes an old one. What was sent to an earlier life of this host echoes a challenge that this life never made.
//! - Of the believed life each counter is taken once; it may come late by [`WINDOW`] datagrams.
//! - The challenge is changed every few intervals and the one before it stays good until the next change. So nothing is taken that was
//!   held back for longer than two such spans, and a few lost datagrams cut nobody off.

use super::reject::Reject;
use crate::engine::time::{Duration, Time};
use core::fmt;

/// So many counters below the highest one are remembered.
pub const WINDOW: u64 = 128;

/// The random name of one start of a host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Life(pub [u8; 16]);

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The front is enough to tell lives apart.
        write!(
            f,
            "{:016x}",
            u64::from_be_bytes(core::array::from_fn(|i| self.0.get(i).copied().unwrap_or(0)))
        )
    }
}

/// A random number that the other side must echo.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Challenge(pub [u8; 16]);

impl Challenge {
    /// Echoed by who has not heard a challenge yet; none of ours is that.
    pub const NONE: Challenge = Challenge([0; 16]);
}

/// What a datagram that was taken means for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is the believed life's.
    Same,
    /// It begins a new life, or the first.
    New,
}

/// The session with one peer.
pub(super) struct Session {
    /// The challenge of this side, and since when.
    ours: Challenge,
    since: Time,
    /// The one before, which the believed life may still echo.
    before: Option<Challenge>,
    /// The peer's life, and what was taken of it.
    life: Option<Life>,
    highest: u64,
    taken: u128,
    /// The peer's challenge.
    theirs: Challenge,
    /// The last counter that was used towards the peer.
    sent: u64,
}

impl Session {
    /// A session in which nobody is believed. `sent` is a counter that this life has not passed yet towards the peer: it may know
    /// the life from before the peer left the configuration and came back.
    pub fn new(now: Time, challenge: Challenge, sent: u64) -> Session {
        Session {
            ours: challenge,
            since: now,
            before: None,
            life: None,
            highest: 0,
            taken: 0,
            theirs: Challenge::NONE,
            sent,
        }
    }

    /// The believed life.
    pub fn life(&self) -> Option<Life> {
        self.life
    }

    /// What the next datagram asks with.
    pub fn ours(&self) -> Challenge {
        self.ours
    }

    /// What the next datagram echoes.
    pub fn theirs(&self) -> Challenge {
        self.theirs
    }

    /// The next counter.
    pub fn count(&mut self) -> u64 {
        self.sent = self.sent.saturating_add(1);
        self.sent
    }

    /// Whether the challenge is older than `span`.
    pub fn is_stale(&self, now: Time, span: Duration) -> bool {
        now.since(self.since) >= span
    }

    /// Changes the challenge.
    pub fn renew(&mut self, now: Time, challenge: Challenge) {
        self.before = Some(core::mem::replace(&mut self.ours, challenge));
        self.since = now;
    }

    /// Whether a datagram with a good seal is new. After [`Taken::New`] the challenge must be renewed.
    pub fn take(
        &mut self,
        life: Life,
        counter: u64,
        challenge: Challenge,
        echo: Challenge,
    ) -> Result<Taken, Reject> {
        if self.life == Some(life) {
            if echo != self.ours && Some(echo) != self.before {
                return Err(Reject::Stale);
            }
            if counter > self.highest {
                let ahead = counter - self.highest;
                self.taken = if ahead >= WINDOW { 1 } else { self.taken << ahead | 1 };
                self.highest = counter;
                self.theirs = challenge;
                return Ok(Taken::Same);
            }
            let behind = self.highest - counter;
            if behind >= WINDOW || self.taken >> behind & 1 == 1 {
                return Err(Reject::Replay);
            }
            self.taken |= 1 << behind;
            return Ok(Taken::Same);
        }
        if echo != self.ours {
            return Err(Reject::Stale);
        }
        self.life = Some(life);
        self.highest = counter;
        self.taken = 1;
        self.theirs = challenge;
        Ok(Taken::New)
    }
}
