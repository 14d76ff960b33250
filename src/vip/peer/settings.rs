//! Who is on the channel, and how often it speaks.

use super::message::is_name;
use crate::engine::time::Duration;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// The most peers.
pub const MOST_PEERS: usize = 31;
/// The shortest and the longest interval.
pub const INTERVALS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(60));

/// Where a peer is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Its name.
    pub name: String,
    /// Its address and port, from which it sends too.
    pub address: SocketAddr,
}

/// What a channel is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name of this host.
    pub name: String,
    /// The others.
    pub peers: Vec<PeerAddress>,
    /// How often the state goes out, within [`INTERVALS`]; 500 ms by default.
    pub interval: Duration,
}

impl Settings {
    /// Whether a channel can be made with them.
    ///
    /// # Errors
    /// One sentence that names what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::from([self.name.as_str()]);
        let mut addresses = BTreeSet::new();
        for name in [&self.name].into_iter().chain(self.peers.iter().map(|peer| &peer.name)) {
            if !is_name(name) {
                return Err(format!(
                    "`{name}` cannot be the name of a host: 1 to 64 letters, digits, `.`, `-` or `_`"
                ));
            }
        }
        if self.peers.len() > MOST_PEERS {
            return Err(format!("{} peers, {MOST_PEERS} are allowed", self.peers.len()));
        }
        for peer in &self.peers {
            if !names.insert(&peer.name) {
                return Err(format!("two hosts are called {}", peer.name));
            }
            if peer.address.port() == 0
                || peer.address.ip().is_unspecified()
                || peer.address.ip().is_multicast()
            {
                return Err(format!("{} is no address of one host, for peer {}", peer.address, peer.name));
            }
            if !addresses.insert(plain(peer.address)) {
                return Err(format!("two peers have the address {}", peer.address));
            }
        }
        if self.interval < INTERVALS.0 || self.interval > INTERVALS.1 {
            return Err(format!("interval is {:?}: from 50 ms to 60 s are allowed", self.interval));
        }
        Ok(())
    }
}

/// An address as two spellings of it are compared: without flow label, and without the scope that only link-local ones have.
pub(super) fn plain(address: SocketAddr) -> (std::net::IpAddr, u16, u32) {
    match address {
        SocketAddr::V4(v4) => ((*v4.ip()).into(), v4.port(), 0),
        SocketAddr::V6(v6) => (v6.ip().to_canonical(), v6.port(), v6.scope_id()),
    }
}
