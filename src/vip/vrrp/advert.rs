//! An advertisement and its bytes: VRRP version 3 (RFC 9568 section 5), and version 2 (RFC 3768) for peers that speak it.
//!
//! ```text
//!  0                   1                   2                   3
//!  |Version| Type  | Virtual Rtr ID|   Priority    |Count IPvX Addr|
//!  v3 |(rsvd) |     Max Adver Int     |          Checksum             |
//!  v2 |   Auth Type   |   Adver Int   |          Checksum             |
//!  |                         IPvX Address(es)                      |
//!  v2 |                  Authentication Data, 8 bytes                  |
//! ```

use super::checksum::{ChecksumV4, Form, Sum};
use super::reject::Reject;
use crate::engine::time::Duration;
use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The group of all VRRP routers over IPv4 (RFC 9568 section 5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// The group of all VRRP routers over IPv6 (RFC 9568 section 5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// TTL and hop limit of every advertisement.
pub const HOPS: u8 = 255;
/// The shortest interval of version 3: one hundredth of a second.
pub const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// The longest interval of version 3: 4095 hundredths.
pub const MAX_INTERVAL: Duration = Duration::from_millis(40_950);
/// No advertisement is longer: 255 IPv6 addresses.
pub const MAX_LENGTH: usize = HEADER + 255 * 16;

const HEADER: usize = 8;
const AUTH_DATA: usize = 8;
const ADVERTISEMENT: u8 = 1;

/// Which IP an advertisement travels over, and of which its addresses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of an address.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The group to which advertisements go.
    pub const fn group(self) -> IpAddr {
        match self {
            Family::V4 => IpAddr::V4(GROUP_V4),
            Family::V6 => IpAddr::V6(GROUP_V6),
        }
    }

    const fn address_length(self) -> usize {
        match self {
            Family::V4 => 4,
            Family::V6 => 16,
        }
    }
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// RFC 3768; IPv4 only, intervals in seconds.
    V2,
    /// RFC 9568; intervals in hundredths of a second.
    #[default]
    V3,
}

/// The password of version 2, of at most 8 bytes, filled with zeros. It goes over the wire in the clear: it keeps
/// configurations apart and no attacker out (RFC 3768 section 10). It is never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password([u8; AUTH_DATA]);

impl Password {
    /// `None` if it is empty or longer than 8 bytes.
    pub fn new(text: &str) -> Option<Password> {
        let bytes = text.as_bytes();
        let mut filled = [0; AUTH_DATA];
        filled.get_mut(..bytes.len())?.copy_from_slice(bytes);
        (!bytes.is_empty()).then_some(Password(filled))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What an advertisement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The version it is written in.
    pub version: Version,
    /// The virtual router, 1 to 255.
    pub vrid: u8,
    /// The sender's priority: 255 owns the addresses, 0 leaves, 1 is not healthy.
    pub priority: u8,
    /// The sender's interval: 10 ms to 40.95 s in steps of 10 ms, in version 2 1 s to 255 s in steps of 1 s.
    pub interval: Duration,
    /// The addresses, 1 to 255 of one family. Over IPv6 keepalived wants a link-local one first.
    pub addresses: Vec<IpAddr>,
    /// The password, in version 2 with authentication of type 1.
    pub password: Option<Password>,
}

/// A packet as it came from the socket, without the IP header.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Of the socket.
    pub family: Family,
    /// From the IP header.
    pub source: IpAddr,
    /// From the IP header.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hops: u8,
    /// What follows the IP header.
    pub bytes: &'a [u8],
}

/// Why an advertisement cannot be written. Configuration keeps all of this from happening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsendable {
    /// Virtual router 0.
    VridZero,
    /// No address, or more than 255.
    AddressCount,
    /// Addresses, source and destination are not all of one family, or version 2 is to go over IPv6.
    Family,
    /// The interval is out of the version's range.
    Interval,
    /// A password in version 3, which knows none.
    Password,
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unsendable::VridZero => "an advertisement needs a virtual router of 1 to 255",
            Unsendable::AddressCount => "an advertisement carries 1 to 255 addresses",
            Unsendable::Family => {
                "an advertisement and its addresses are of one family, and version 2 knows IPv4 only"
            }
            Unsendable::Interval => {
                "the interval must be 10 ms to 40.95 s in version 3, 1 s to 255 s in version 2"
            }
            Unsendable::Password => "version 3 knows no password: use version 2 or leave the password out",
        })
    }
}

impl Advert {
    /// The bytes that follow the IP header. A version 3 interval is rounded to hundredths, one of version 2 to seconds.
    pub fn encode(
        &self,
        source: IpAddr,
        destination: IpAddr,
        checksum_v4: ChecksumV4,
    ) -> Result<Vec<u8>, Unsendable> {
        let family = Family::of(source);
        let foreign = |a: &IpAddr| Family::of(*a) != family;
        if foreign(&destination) || self.addresses.iter().any(foreign) {
            return Err(Unsendable::Family);
        }
        if self.vrid == 0 {
            return Err(Unsendable::VridZero);
        }
        let count = u8::try_from(self.addresses.len()).ok().filter(|n| *n > 0);
        let count = count.ok_or(Unsendable::AddressCount)?;
        let (version, timing) = match self.version {
            Version::V3 if self.password.is_some() => return Err(Unsendable::Password),
            Version::V3 => {
                let hundredths = (self.interval + Duration::from_millis(5)).as_millis() / 10;
                let hundredths = u16::try_from(hundredths).ok().filter(|n| (1..=0xfff).contains(n));
                (3, hundredths.ok_or(Unsendable::Interval)?.to_be_bytes())
            }
            Version::V2 if family == Family::V6 => return Err(Unsendable::Family),
            Version::V2 => {
                let seconds = (self.interval + Duration::from_millis(500)).as_secs();
                let seconds = u8::try_from(seconds).ok().filter(|n| *n > 0).ok_or(Unsendable::Interval)?;
                (2, [u8::from(self.password.is_some()), seconds])
            }
        };
        let mut bytes = Vec::with_capacity(HEADER + usize::from(count) * family.address_length() + AUTH_DATA);
        bytes.extend_from_slice(&[version << 4 | ADVERTISEMENT, self.vrid, self.priority, count]);
        bytes.extend_from_slice(&timing);
        bytes.extend_from_slice(&[0, 0]);
        for address in &self.addresses {
            match address {
                IpAddr::V4(a) => bytes.extend_from_slice(&a.octets()),
                IpAddr::V6(a) => bytes.extend_from_slice(&a.octets()),
            }
        }
        if self.version == Version::V2 {
            // Present with every type of authentication (RFC 3768 section 5.3.10).
            bytes.extend_from_slice(&self.password.map_or([0; AUTH_DATA], |p| p.0));
        }
        let plain =
            self.version == Version::V2 || (family == Family::V4 && checksum_v4 == ChecksumV4::Rfc9568);
        let sum = Sum::default().add(&bytes);
        let sum = if plain { sum } else { sum.pseudo_header(source, destination, bytes.len()) };
        if let Some(field) = bytes.get_mut(6..8) {
            field.copy_from_slice(&sum.checksum());
        }
        Ok(bytes)
    }

    /// Reads a packet, in the order of RFC 9568 section 7.1, and says which form its checksum has. Reserved bits are ignored.
    /// Whether the advertisement concerns this router is for the machine to say.
    pub fn decode(packet: &Packet<'_>) -> Result<(Advert, Form), Reject> {
        check_header(packet)?;
        let bytes = packet.bytes;
        let (&[first, vrid, priority, count, high, low, _, _], rest) =
            bytes.split_first_chunk::<HEADER>().ok_or(Reject::Truncated)?;
        let version = match (first >> 4, packet.family) {
            (3, _) => Version::V3,
            (2, Family::V4) => Version::V2,
            _ => return Err(Reject::Version),
        };
        // In version 2 the authentication data belong to the packet, but some leave them out where they mean nothing.
        let with_password = version == Version::V2 && high == 1;
        let listed = usize::from(count) * packet.family.address_length();
        let needed = listed + if with_password { AUTH_DATA } else { 0 };
        if rest.len() < needed {
            return Err(Reject::Truncated);
        }
        let form = form(packet, version).ok_or(Reject::Checksum)?;
        if first & 0xf != ADVERTISEMENT {
            return Err(Reject::Type);
        }
        if vrid == 0 {
            return Err(Reject::VridZero);
        }
        let (list, end) = rest.split_at_checked(listed).ok_or(Reject::Truncated)?;
        let may_follow = version == Version::V2 && end.len() == AUTH_DATA;
        if count == 0 || !(end.is_empty() || may_follow) {
            return Err(Reject::AddressCount);
        }
        let interval = match version {
            Version::V3 => Duration::from_millis(u64::from(u16::from_be_bytes([high, low]) & 0xfff) * 10),
            Version::V2 => Duration::from_secs(u64::from(low)),
        };
        if interval.is_zero() {
            return Err(Reject::IntervalZero);
        }
        let password = match (version, high) {
            (Version::V3, _) | (Version::V2, 0) => None,
            (Version::V2, 1) => end.first_chunk::<AUTH_DATA>().copied().map(Password),
            (Version::V2, _) => return Err(Reject::AuthType),
        };
        let addresses = match packet.family {
            Family::V4 => {
                list.chunks_exact(4).filter_map(|c| <[u8; 4]>::try_from(c).ok()).map(IpAddr::from).collect()
            }
            Family::V6 => {
                list.chunks_exact(16).filter_map(|c| <[u8; 16]>::try_from(c).ok()).map(IpAddr::from).collect()
            }
        };
        Ok((Advert { version, vrid, priority, interval, addresses, password }, form))
    }
}

/// What the IP header must say (RFC 9568 section 5.1).
fn check_header(packet: &Packet<'_>) -> Result<(), Reject> {
    if Family::of(packet.source) != packet.family || Family::of(packet.destination) != packet.family {
        return Err(Reject::Family);
    }
    if packet.hops != HOPS {
        return Err(Reject::HopLimit);
    }
    let to_group = packet.destination == packet.family.group();
    let broadcast = packet.destination == IpAddr::V4(Ipv4Addr::BROADCAST);
    if !to_group && (packet.destination.is_multicast() || packet.destination.is_unspecified() || broadcast) {
        return Err(Reject::Destination);
    }
    let distant = matches!(packet.source, IpAddr::V6(a) if to_group && !a.is_unicast_link_local());
    if distant
        || packet.source.is_unspecified()
        || packet.source.is_multicast()
        || packet.source == IpAddr::V4(Ipv4Addr::BROADCAST)
    {
        return Err(Reject::Source);
    }
    Ok(())
}

/// Which form the checksum has, if any.
fn form(packet: &Packet<'_>, version: Version) -> Option<Form> {
    let sum = Sum::default().add(packet.bytes);
    let plain = sum.is_right();
    if version == Version::V2 {
        return plain.then_some(Form::Only);
    }
    let with = sum.pseudo_header(packet.source, packet.destination, packet.bytes.len()).is_right();
    match (packet.family, with, plain) {
        (Family::V6, true, _) => Some(Form::Only),
        (Family::V4, true, true) => Some(Form::Either),
        (Family::V4, true, false) => Some(Form::Like(ChecksumV4::Compat)),
        (Family::V4, false, true) => Some(Form::Like(ChecksumV4::Rfc9568)),
        (Family::V6, false, _) | (Family::V4, false, false) => None,
    }
}
