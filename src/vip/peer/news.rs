//! What the channel tells the tier.

use crate::engine::time::Duration;
use core::fmt;

/// News of the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerInput {
    /// A peer is heard, for the first time or again.
    Found {
        /// Its name.
        peer: String,
        /// Whether it started anew since it was heard before.
        restarted: bool,
    },
    /// A peer is not heard any more.
    Lost {
        /// Its name.
        peer: String,
        /// For how long.
        silent: Duration,
    },
    /// What a peer says of itself changed: see [`Channel::view`] and [`Channel::said`].
    Changed {
        /// Its name.
        peer: String,
    },
    /// The orders changed: act on them, and write [`Channel::registers`] down.
    Orders,
    /// The owner of an address left it to this host, and has taken it off already: claim it now.
    HandOver {
        /// Who left it.
        peer: String,
        /// The address.
        vip: String,
        /// The number of the ownership that ended.
        epoch: u64,
    },
    /// Somebody should look at a peer's configuration; told once for each trouble.
    Trouble {
        /// Its name.
        peer: String,
        /// One sentence.
        words: String,
    },
}

impl fmt::Display for PeerInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerInput::Found { peer, restarted: false } => write!(f, "{peer} is heard on the peer channel"),
            PeerInput::Found { peer, restarted: true } => write!(f, "{peer} was started anew"),
            PeerInput::Lost { peer, silent } => {
                write!(f, "{peer} has not been heard on the peer channel for {} ms", silent.as_millis())
            }
            PeerInput::Changed { peer } => write!(f, "{peer} has a new state"),
            PeerInput::Orders => f.write_str("the orders of the tier changed"),
            PeerInput::HandOver { peer, vip, epoch } => {
                write!(f, "{peer} leaves {vip} (epoch {epoch}) to this host")
            }
            PeerInput::Trouble { words, .. } => f.write_str(words),
        }
    }
}
