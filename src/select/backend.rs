//! A backend as hosts get it: plain data with an address that connect(2) takes.

use crate::pool::state::words;
use core::fmt;
use std::net::{IpAddr, SocketAddr};

words! {
    /// Why this node was chosen.
    Reason {
        /// It has the service's role.
        Role = 1 => "role",
        /// None of the role is in good order; the last look at this one was bad.
        Spare = 2 => "spare",
        /// None of the role takes clients: the service's fallback.
        Fallback = 3 => "fallback",
        /// Hosts could not reach it, but nobody else takes clients.
        Held = 4 => "held",
        /// Hosts could not reach it for a while: this client finds out whether it is back.
        Trial = 5 => "trial",
        /// It is known to hold the transactions that were asked for.
        Gtid = 6 => "gtid",
        /// Nobody of the service is known to hold the transactions that were asked for, but the ACTIVE node is.
        GtidActive = 7 => "gtid_active",
    }
}

/// Bits of [`Backend::flags`].
pub mod flags {
    /// The table is older than `stale_after`: nobody renews it.
    pub const STALE: u32 = 1;
    /// The node has the fallback's role.
    pub const FALLBACK: u32 = 2;
    /// The node is of another site than the selector.
    pub const OTHER_SITE: u32 = 4;
    /// The client is a trial of a node that hosts could not reach: report how it went.
    pub const TRIAL: u32 = 8;
}

/// Address families and the length of `sun_path` of Linux (bits/socket.h, sys/un.h): pure rooms name no libc; a test of `ffi`
/// compares.
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const SUN_PATH: usize = 108;

/// Where a node listens, with names resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackendAddress {
    /// Address and port.
    Ip(IpAddr, u16),
    /// Path of a unix socket.
    Unix(String),
}

impl BackendAddress {
    /// The bytes of a `sockaddr_in`, `sockaddr_in6` or `sockaddr_un` (ip(7), ipv6(7), unix(7)) and how many count; `None` for a
    /// path that does not fit.
    pub fn sockaddr(&self) -> Option<([u8; Backend::ADDRESS], u32)> {
        let mut bytes = [0; Backend::ADDRESS];
        let mut length = 0;
        let mut put = |part: &[u8]| {
            bytes.get_mut(length..length + part.len())?.copy_from_slice(part);
            length += part.len();
            Some(())
        };
        match self {
            BackendAddress::Ip(IpAddr::V4(ip), port) => {
                put(&AF_INET.to_ne_bytes())?;
                put(&port.to_be_bytes())?;
                put(&ip.octets())?;
                put(&[0; 8])?;
            }
            BackendAddress::Ip(IpAddr::V6(ip), port) => {
                put(&AF_INET6.to_ne_bytes())?;
                put(&port.to_be_bytes())?;
                put(&[0; 4])?;
                put(&ip.octets())?;
                put(&[0; 4])?;
            }
            BackendAddress::Unix(path) => {
                // The NUL counts.
                if path.len() >= SUN_PATH {
                    return None;
                }
                put(&AF_UNIX.to_ne_bytes())?;
                put(path.as_bytes())?;
                put(&[0])?;
            }
        }
        Some((bytes, length as u32))
    }
}

impl fmt::Display for BackendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackendAddress::Ip(ip, port) => SocketAddr::from((*ip, *port)).fmt(f),
            BackendAddress::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// A node that a client goes to. The memory is that of `primacy_backend` in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Backend {
    /// Size of the structure.
    pub size: u32,
    /// The node's slot in the service.
    pub slot: u32,
    /// The slot's generation: sessions of another one must end.
    pub generation: u64,
    /// The pool's epoch.
    pub epoch: u64,
    /// For `release` and `report`.
    pub token: u64,
    /// Bits of [`flags`].
    pub flags: u32,
    /// A [`Reason`].
    pub reason: i32,
    /// How many bytes of the address count.
    pub addrlen: u32,
    /// Zero.
    pub reserved: u32,
    /// A `sockaddr_in`, `sockaddr_in6` or `sockaddr_un`.
    pub address: [u8; Backend::ADDRESS],
}

impl Backend {
    /// Room for the longest address.
    pub const ADDRESS: usize = 112;

    /// The address as text: `10.0.0.1:3306`, `[::1]:3306`, `unix:/path`.
    pub fn address(&self) -> Option<BackendAddress> {
        let bytes = |range: core::ops::Range<usize>| self.address.get(range);
        let family = u16::from_ne_bytes(bytes(0..2)?.try_into().ok()?);
        let port = u16::from_be_bytes(bytes(2..4)?.try_into().ok()?);
        match family {
            AF_INET => Some(BackendAddress::Ip(<[u8; 4]>::try_from(bytes(4..8)?).ok()?.into(), port)),
            AF_INET6 => Some(BackendAddress::Ip(<[u8; 16]>::try_from(bytes(8..24)?).ok()?.into(), port)),
            AF_UNIX => {
                let path = bytes(2..self.addrlen as usize)?;
                Some(BackendAddress::Unix(core::str::from_utf8(path.strip_suffix(&[0])?).ok()?.into()))
            }
            _ => None,
        }
    }
}

impl Backend {
    /// What says that a backend of this slot and generation came from a selection.
    pub const fn token(slot: u32, generation: u64) -> u64 {
        // Any odd number; what is all zeros, or half of another one, came from nowhere.
        ((slot as u64 + 1) ^ generation.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Whether it came from a selection, as far as it shows.
    pub const fn is_genuine(&self) -> bool {
        self.token == Backend::token(self.slot, self.generation)
    }

    /// Nobody.
    pub const EMPTY: Backend = Backend {
        size: size_of::<Backend>() as u32,
        slot: 0,
        generation: 0,
        epoch: 0,
        token: 0,
        flags: 0,
        reason: 0,
        addrlen: 0,
        reserved: 0,
        address: [0; Backend::ADDRESS],
    };
}
