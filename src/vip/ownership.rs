//! What decides which host of a tier owns an address: one face for VRRP and for a lease.
//!
//! A machine of ownership says when this host owns the address and when it does not any more; who moves the address in and
//! out of the kernel is above it (`vip.rs`). It is told what this host wishes, and answers with [`Output`]s, which are
//! taken until there is none after every call.
//!
//! # Life of an ownership
//!
//! `Own` → the address is added and announced → … → `Lose` → the address is taken off this host → [`Ownership::released`].
//! After `Lose` the machine does nothing that would let another host come in by its doing until `released`: what tells the others
//! (an advert of priority 0, the end of a lease) is sent from there. `Own` and `Lose` alternate.

use crate::engine::time::{Duration, Time};
use core::fmt;

/// The score of a host that must not own the address, not even as the last one.
pub const SCORE_OUT: u8 = 0;
/// The score of a host whose service is not in order: it owns the address only while nobody better is there.
pub const SCORE_BAD: u8 = 1;
/// The score of a host whose service works again but is still barred by `failure_timeout`.
pub const SCORE_BARRED: u8 = 2;
/// The lowest score of a host in good order: what `location` may say begins here.
pub const SCORE_LEAST: u8 = 3;
/// The highest score that `location` may give.
pub const SCORE_MOST: u8 = 253;
/// The score of the host to which an operator moved the address.
pub const SCORE_WANTED: u8 = 254;

/// What this host wishes, as its score: 0 for "out", else the VRRP priority, or the rank among those who wait for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(pub u8);

impl Score {
    /// Whether the host may own the address at all.
    pub const fn stands(self) -> bool {
        self.0 != SCORE_OUT
    }

    /// Whether the host is in good order: not bad, not barred.
    pub const fn is_good(self) -> bool {
        self.0 >= SCORE_LEAST
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// For whom an owner leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leaving {
    /// An heir of this tier was named, and is told by the peer channel as soon as the address is off this host: it claims at once, and
    /// nobody else should hurry.
    ToHeir,
    /// Whoever comes first: hosts that are known only by their adverts.
    ToAnyone,
}

/// How urgent a notice is; the words of [`crate::engine::Severity`], which the tier makes an event of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Urgency {
    /// For the record.
    Info,
    /// Someone should look in the morning.
    Warning,
    /// Someone should look now.
    Alarm,
}

/// Something that people should read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The row behind it.
    pub rule: u16,
    /// How urgent it is.
    pub urgency: Urgency,
    /// One or two sentences.
    pub words: String,
}

/// What a machine of ownership answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<M> {
    /// This host owns the address from now on: add it and announce it.
    Own {
        /// The row that decided.
        rule: u16,
        /// Why, one sentence.
        why: String,
        /// A number that orders ownerships over all hosts as a fact (a lease has one); without it the tier counts itself.
        epoch: Option<u64>,
    },
    /// The ownership is good until then, and the kernel may be told so: at its end the address goes, whatever became of this process.
    /// A machine that never says this leaves the lifetime to `self_fence`.
    Valid {
        /// The end, margins already taken off.
        until: Time,
    },
    /// This host does not own the address any more: take it off, then call [`Ownership::released`].
    Lose {
        /// The row that decided.
        rule: u16,
        /// Why, one sentence.
        why: String,
    },
    /// Announce the address again (gratuitous ARP, neighbour advertisement): a rival was heard, and may have been believed.
    Announce {
        /// The row that decided.
        rule: u16,
    },
    /// What is the machine's own: an advert to send, a question to the store.
    Do(M),
    /// Tell people.
    Notice(Notice),
}

/// A machine that decides who owns. Packets and answers, in which machines differ, come in by functions of their own.
pub trait Ownership {
    /// What the machine asks its driver for.
    type Action;

    /// This host's wish from now on. The first one begins the machine; [`SCORE_OUT`] of an owner is a [`Ownership::leave`] to anyone.
    fn wish(&mut self, now: Time, score: Score);

    /// Gives the ownership up, and stands by with the last wish's score afterwards. Without effect on who owns nothing.
    fn leave(&mut self, now: Time, leaving: Leaving);

    /// The address is off this host: others may be told. Called once after each [`Output::Lose`], however late.
    fn released(&mut self, now: Time);

    /// An owner that leaves named this host as its heir, and its address is off that host: own it now.
    /// Without effect on who owns it already, or does not stand.
    fn claim(&mut self, now: Time);

    /// The time has come that [`Ownership::poll_timeout`] named, and everything that was received before is handed in.
    fn handle_timer(&mut self, now: Time);

    /// What is to be done next.
    fn poll(&mut self) -> Option<Output<Self::Action>>;

    /// When to call [`Ownership::handle_timer`]; [`Time::NEVER`] if nothing is due.
    fn poll_timeout(&self) -> Time;

    /// Whether this host owns, as of the last [`Output::Own`] or [`Output::Lose`] that was put into the queue.
    fn owns(&self) -> bool;

    /// How long nobody may be heard before this host comes in by itself: what the bound of an outage is made of.
    fn down_interval(&self) -> Duration;
}
