//! Events: what happened, by which rule, for people and programs.

use super::time::Time;
use crate::pool::state::words;
use crate::pool::{State, Status};
use crate::probe::Cause;
use core::fmt;

words! {
    /// What an event tells.
    EventKind {
        /// The ACTIVE node of a pool changed, to or from none too.
        Switch = 1 => "switch",
        /// A node's state changed.
        State = 2 => "state",
        /// A node's status changed.
        Status = 3 => "status",
        /// The first bad observation of an ACTIVE node: a burst begins.
        Doubt = 4 => "doubt",
        /// A doubt ended well.
        Relief = 5 => "relief",
        /// The ACTIVE node is at FAIL and nobody may take over; the text says why, node by node.
        LastNode = 6 => "last_node",
        /// An operator's command was carried out; or the time of an operator's order is about to run out, or has.
        Command = 7 => "command",
        /// A planned hand-over began, ended or was given up.
        HandOver = 8 => "hand_over",
        /// A failed node answers and holds transactions that the ACTIVE lacks.
        Stranded = 9 => "stranded",
        /// The status of a pool changed.
        PoolStatus = 10 => "pool_status",
        /// The cache could not be written, or can be again.
        Store = 11 => "store",
        /// Words for a log.
        Log = 12 => "log",
        /// The subscriber was too slow: this many events were dropped.
        Lost = 13 => "lost",
        /// The prober's own loop is late again and again, and what it did not hear is discarded; or it is in time again.
        Late = 14 => "late",
        /// No node answers at all: the prober itself may be cut off, and silence is not counted; or a node answers again.
        Isolated = 15 => "isolated",
        /// A checkpoint no longer answers or answers again, or could not be looked at.
        Checkpoint = 16 => "checkpoint",
        /// In a pool that follows: several nodes take writes that do not belong together, or none does; the text names them.
        Writers = 17 => "writers",
        /// A proxy to which states are pushed takes them, or does not, or refuses something.
        Proxy = 19 => "proxy",
        /// A new configuration is in force.
        Reload = 20 => "reload",
        /// The instance follows another process that decides for the cache, another one than before, or decides itself from now on.
        Follows = 21 => "follows",
        /// A floating address came, left, or is in trouble; or an operator's order about one. The VIP's name stands in the pool's place, this
        /// host's in the node's.
        Vip = 22 => "vip",
        /// A host of the tier is heard, or is not heard any more.
        Peer = 23 => "peer",
    }
}

words! {
    /// How urgent an event is.
    Severity {
        /// For the record.
        Info = 0 => "info",
        /// Someone should look in the morning.
        Warning = 1 => "warning",
        /// Someone should look now.
        Alarm = 2 => "alarm",
    }
}

/// One event. Events are hints; the snapshot is the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it tells.
    pub kind: EventKind,
    /// How urgent it is.
    pub severity: Severity,
    /// Counts up by one with every event of the instance.
    pub sequence: u64,
    /// Monotonic time of the decision.
    pub mono: Time,
    /// Wall-clock time, milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// Name of the pool; empty if the event is about the instance.
    pub pool: String,
    /// Name of the node; empty if the event is about the pool.
    pub node: String,
    /// The pool's epoch after the event.
    pub epoch: u64,
    /// The rule that decided, 0 for none.
    pub rule: u16,
    /// The node's state before.
    pub old_state: State,
    /// The node's state after.
    pub new_state: State,
    /// The node's status before.
    pub old_status: Status,
    /// The node's status after.
    pub new_status: Status,
    /// The cause behind it.
    pub cause: Cause,
    /// One or two sentences.
    pub message: String,
    /// A count where the kind has one: events lost, transactions stranded; else 0.
    pub count: u64,
}
