//! Why a packet is not heard, and how often each reason was.

use core::fmt;

macro_rules! rejects {
    ($( $(#[$meta:meta])* $name:ident = $key:literal; )+) => {
        /// Why a received packet is dropped. None of these changes any state.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reject { $( $(#[$meta])* $name ),+ }

        impl Reject {
            /// Every reason, in the order in which they are looked for.
            pub const ALL: &'static [Reject] = &[$( Reject::$name ),+];

            /// The key of its counter.
            pub const fn key(self) -> &'static str {
                match self { $( Reject::$name => $key ),+ }
            }
        }
    };
}

rejects! {
    /// Source and destination are not of the family of the socket.
    Family = "family";
    /// TTL or hop limit is not 255: the packet was sent by nobody on this link (RFC 9568 section 5.1.1.3, 5.1.2.3).
    HopLimit = "hop_limit";
    /// Sent to an address where no advertisement belongs: not the group, and not an own address of an agent with unicast peers.
    Destination = "destination";
    /// No address to answer to, or over IPv6 to the group not a link-local one (section 5.1.2.1).
    Source = "source";
    /// Shorter than its header, or than its own count of addresses needs.
    Truncated = "truncated";
    /// Neither version 2 nor 3; version 2 over IPv6, which does not exist; or not the version that this router speaks.
    Version = "version";
    /// The checksum fits neither form.
    Checksum = "checksum";
    /// No advertisement, the only type there is.
    Type = "type";
    /// Virtual router 0, which does not exist.
    VridZero = "vrid_zero";
    /// No address, or more bytes than the count says.
    AddressCount = "address_count";
    /// An interval of 0, at which nobody could advertise (section 5.2.7 leaves it out; such an Active could never be waited for).
    IntervalZero = "interval_zero";
    /// A type of authentication that is not 0 or 1 (version 2).
    AuthType = "auth_type";
    /// Another virtual router's.
    ForeignVrid = "foreign_vrid";
    /// It has our own source address: a reflection, or somebody with our address.
    Reflected = "reflected";
    /// Not one of the unicast peers.
    UnknownPeer = "unknown_peer";
    /// Without the configured password, with another, or with one where none is configured (version 2).
    Auth = "auth";
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// How often each reason was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejects([u64; Reject::ALL.len()]);

impl Rejects {
    /// Counts one.
    pub fn count(&mut self, reason: Reject) {
        if let Some(n) = self.0.get_mut(reason as usize) {
            *n = n.saturating_add(1);
        }
    }

    /// How often this reason was met.
    pub fn of(&self, reason: Reject) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Each reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Reject, u64)> + '_ {
        Reject::ALL.iter().map(|r| (*r, self.of(*r)))
    }
}
