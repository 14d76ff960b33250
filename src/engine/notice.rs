//! What the driver has to say for the log, and how often it may say it.
//!
//! A notice decides nothing. It becomes an event of the kind `log`; what is said of a proxy, one of the kind `proxy`.

use super::event::Severity;
use super::input::NodeRef;
use super::time::{Duration, Time};
use crate::pool::state::words;
use core::fmt;
use std::collections::BTreeMap;

words! {
    /// Why the driver speaks. A number never changes its meaning.
    Reason {
        /// A login was made whose server or encryption is not that of the login before.
        Login = 1 => "login",
        /// The server offers no TLS, and the configuration lets the login go on in clear.
        NoTls = 2 => "no_tls",
        /// A name has other addresses than before.
        Address = 3 => "address",
        /// A name does not resolve; the addresses that it had stay in use.
        Unresolved = 4 => "unresolved",
        /// A name resolves again.
        Resolved = 5 => "resolved",
        /// A kept connection ended between probes.
        ConnectionLost = 6 => "connection_lost",
        /// Somebody who may not was at the control socket.
        Stranger = 7 => "stranger",
        /// Too many were at the control socket at once.
        Crowded = 8 => "crowded",
        /// What blocks (names, the cache file) takes long, or is done at last.
        Slow = 9 => "slow",
        /// The probe machine hit a defect of its own.
        Defect = 10 => "defect",
        /// A proxy to which states are pushed was lost or found, or refuses something.
        Proxy = 11 => "proxy",
    }
}

/// Words for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The node that they are about; none if it is the instance as a whole.
    pub node: Option<NodeRef>,
    /// Why.
    pub reason: Reason,
    /// How urgent it is.
    pub severity: Severity,
    /// One sentence or two; nothing secret.
    pub message: String,
}

/// So many notices of a node and reason may come at once,
pub const BURST: u32 = 3;
/// and then one in each such time.
pub const PAUSE: Duration = Duration::from_secs(60);

/// Lets a few notices of each node and reason through: a token bucket, kept as the time at which it will be full again
/// (GCRA, ITU-T I.371).
#[derive(Clone, Debug, Default)]
pub struct Limiter {
    buckets: BTreeMap<(Option<NodeRef>, Reason), Bucket>,
    withheld: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: Time,
    withheld: u64,
}

impl Limiter {
    /// Whether a notice may be said now. The first after some that were not says how many those were.
    pub fn pass(&mut self, now: Time, mut notice: Notice) -> Option<Notice> {
        let bucket = self.buckets.entry((notice.node, notice.reason)).or_default();
        if bucket.full_at.since(now) + PAUSE > PAUSE * BURST {
            bucket.withheld += 1;
            self.withheld += 1;
            return None;
        }
        bucket.full_at = bucket.full_at.max(now) + PAUSE;
        match core::mem::take(&mut bucket.withheld) {
            0 => {}
            1 => notice.message.push_str(" (and once more since the last time that this was said)"),
            n => notice
                .message
                .push_str(&format!(" (and {n} times more since the last time that this was said)")),
        }
        Some(notice)
    }

    /// How many were withheld.
    pub fn withheld(&self) -> u64 {
        self.withheld
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(node: usize, reason: Reason) -> Notice {
        let node = Some(NodeRef { pool: 0, node });
        Notice { node, reason, severity: Severity::Info, message: "words".into() }
    }

    #[test]
    fn three_at_once_then_one_a_minute_and_each_reason_for_itself() {
        let mut limiter = Limiter::default();
        let at = |s: u64| Time::from_millis(1_000_000 + s * 1000);
        let mut say = |s, node, reason| limiter.pass(at(s), notice(node, reason)).map(|n| n.message);
        for _ in 0..3 {
            assert_eq!(say(0, 0, Reason::ConnectionLost).as_deref(), Some("words"));
        }
        for s in [0, 1, 59] {
            assert_eq!(say(s, 0, Reason::ConnectionLost), None);
        }
        assert_eq!(say(1, 1, Reason::ConnectionLost).as_deref(), Some("words"), "another node");
        assert_eq!(say(1, 0, Reason::Login).as_deref(), Some("words"), "another reason");
        let told = say(60, 0, Reason::ConnectionLost).expect("a minute is over");
        assert!(told.contains("3 times more"), "{told}");
        assert_eq!(say(61, 0, Reason::ConnectionLost), None);
        let told = say(120, 0, Reason::ConnectionLost).expect("another minute");
        assert!(told.contains("once more"), "{told}");
        for s in [1000, 1001, 1002] {
            assert_eq!(say(s, 0, Reason::ConnectionLost).as_deref(), Some("words"), "as at first");
        }
        assert_eq!(limiter.withheld(), 4);
    }
}
