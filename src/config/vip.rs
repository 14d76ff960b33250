//! Floating addresses: the tables `[vip.NAME]` as the tier reads them.

use crate::engine::time::Duration;
use crate::pool::state::words;
use core::fmt;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

words! {
    /// Which form of the VRRP checksum is sent over IPv4 in version 3; either is accepted.
    ChecksumV4 {
        /// With the pseudo-header, which keepalived 2.2 wants.
        Compat = 0 => "compat",
        /// Without it, as RFC 9568 has it, section 5.2.8.
        Rfc9568 = 1 => "rfc9568",
    }
}

words! {
    /// What becomes of the address while no host's service is in order.
    LastHost {
        /// It stays where it is.
        Hold = 0 => "hold",
        /// It is taken off.
        Release = 1 => "release",
    }
}

words! {
    /// What an owner by lease does once its lease ran out because the store cannot be reached.
    NoQuorum {
        /// It takes the address off: never two owners.
        Release = 0 => "release",
        /// It keeps the address: then nothing is claimed about one owner.
        Ignore = 1 => "ignore",
    }
}

words! {
    /// When `on_claim` runs.
    ClaimOrder {
        /// Beside the addition of the address.
        Beside = 0 => "beside",
        /// Before it: the address is added once the program ended well.
        Before = 1 => "before",
    }
}

words! {
    /// What follows when `on_claim` fails.
    HookFailure {
        /// An alarm.
        Alarm = 0 => "alarm",
        /// An alarm, and the address goes to another host.
        Release = 1 => "release",
    }
}

/// One address of a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VipAddress {
    /// The address.
    pub ip: IpAddr,
    /// Length of its prefix.
    pub prefix: u8,
}

impl VipAddress {
    /// Parses `10.0.0.101/16` or `2001:db8::101/64`; without a prefix it is 32 or 128.
    ///
    /// # Errors
    /// One sentence that says what to write.
    pub fn parse(text: &str) -> Result<VipAddress, String> {
        let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
        let wanted = "write IP/PREFIX, such as 10.0.0.101/16 or 2001:db8::101/64";
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| format!("\"{shown}\" is no address: {wanted}"))?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits
                .parse::<u8>()
                .ok()
                .filter(|n| (1..=longest).contains(n))
                .ok_or_else(|| format!("the prefix of \"{shown}\" is out of range: 1 to {longest}"))?,
            Some(_) => return Err(format!("\"{shown}\" has no prefix behind the slash: {wanted}")),
        };
        let floats = match ip {
            IpAddr::V4(ip) => {
                !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast())
            }
            IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast()),
        };
        if !floats {
            return Err(format!("\"{shown}\" is no address of one host that could move"));
        }
        Ok(VipAddress { ip, prefix })
    }
}

impl fmt::Display for VipAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// Ownership by VRRP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpConfig {
    /// The virtual router's number, for IPv4 and IPv6 alike.
    pub vrid: u8,
    /// 3, or 2 for peers that speak no other (IPv4 alone).
    pub version: u8,
    /// From one advert to the next.
    pub advert_interval: Duration,
    /// The form of the checksum.
    pub checksum_v4: ChecksumV4,
    /// File with the simple password of version 2 (auth type 1), of 1 to 8 bytes. Sent in clear: it keeps accidents away, nobody else.
    pub auth_password_file: Option<PathBuf>,
    /// Whom adverts are sent to; empty for multicast.
    pub unicast: Vec<IpAddr>,
    /// Priority 255, the owner of the address by configuration.
    pub address_owner: bool,
}

/// Ownership by a lease in etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// Where etcd answers: `http://HOST:PORT` or `https://…`, in the order in which they are tried.
    pub endpoints: Vec<String>,
    /// What the key begins with; the VIP's name follows.
    pub key_prefix: String,
    /// How long a lease lives without renewal.
    pub ttl: Duration,
    /// What the owner takes off the end; never less than 2 % of `ttl`.
    pub margin: Duration,
    /// What follows when the lease cannot be renewed.
    pub no_quorum: NoQuorum,
    /// Authority of the endpoints' certificates in PEM.
    pub ca: Option<PathBuf>,
    /// Certificate of this client in PEM, and its key; both or none.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Account in etcd; empty for none.
    pub user: String,
    /// File with its password.
    pub password_file: Option<PathBuf>,
}

/// What decides who owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnershipConfig {
    /// Adverts between the hosts.
    Vrrp(VrrpConfig),
    /// A lease that one of them holds.
    Lease(LeaseConfig),
}

/// Programs that are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookConfig {
    /// Run when the address comes to this host; program and arguments, empty for none.
    pub on_claim: Vec<String>,
    /// Run when it has left.
    pub on_release: Vec<String>,
    /// Run when something is wrong: the service failed, the address could not be added, a rival answers.
    pub on_fault: Vec<String>,
    /// When `on_claim` runs.
    pub order: ClaimOrder,
    /// How long one may run.
    pub timeout: Duration,
    /// What follows when `on_claim` fails.
    pub failure: HookFailure,
}

/// One floating address, or several that move together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipConfig {
    /// Its name, unique.
    pub name: String,
    /// The addresses, in the order in which adverts carry them; at least one.
    pub addresses: Vec<VipAddress>,
    /// The interface that gets them.
    pub interface: String,
    /// Whether the kernel makes a route for the prefix with the address.
    pub prefix_route: bool,
    /// Whether the kernel may take the address as the source of connections of its own.
    pub source: bool,
    /// The pool of kind `router` whose node on this host must be in order; `None` if the host reports it itself, or always is.
    pub pool: Option<String>,
    /// What decides who owns.
    pub ownership: OwnershipConfig,
    /// How long the kernel keeps the address without news of this process; `None` for the larger of 2 s and twice the down
    /// interval. Not read with a lease, which says so itself.
    pub self_fence: Option<Duration>,
    /// What happens while nobody is in order.
    pub last_host: LastHost,
    /// Failures of the service after which the host is left.
    pub migration_threshold: u32,
    /// How long a host is barred after a failure.
    pub failure_timeout: Duration,
    /// The score of hosts that `locations` does not name.
    pub location: u8,
    /// Scores by host.
    pub locations: BTreeMap<String, u8>,
    /// By how much another host must be better for the address to go back to it; 254 and above for never.
    pub stickiness: u8,
    /// How long it must have been better.
    pub preempt_delay: Duration,
    /// The program that brings a failed service back; program and arguments, empty for none.
    pub restart: Vec<String>,
    /// The least time from one run of it to the next.
    pub restart_interval: Duration,
    /// Programs that are told.
    pub hooks: HookConfig,
    /// How often an owner announces the address when nothing happens; zero for never.
    pub announce_interval: Duration,
}

impl VipConfig {
    /// The score of a host in good order.
    pub fn location_of(&self, host: &str) -> u8 {
        self.locations.get(host).copied().unwrap_or(self.location)
    }
}
