//! Neighbour discovery of IPv6: whose address is it, asking before use, announcing (RFC 4861; RFC 4862, section 5.4).
//!
//! Packets with their IPv6 header: it carries the hop limit of 255 by which nothing from beyond a router is believed, and
//! the checksum covers its addresses.

use super::arp::Mac;
use std::net::Ipv6Addr;

/// Length of an IPv6 header.
const HEADER: usize = 40;
/// ICMPv6 as next header.
const ICMPV6: u8 = 58;
/// No router has forwarded it (RFC 4861, section 7.1).
const HOP_LIMIT: u8 = 255;
/// Types, and the options that tell a hardware address.
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
/// Flags of an advertisement.
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// Every node on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A question or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Who has the target?
    Solicitation {
        /// The address asked for.
        target: Ipv6Addr,
        /// The asking host's hardware address; none in a question before use.
        mac: Option<Mac>,
    },
    /// The sender has the target.
    Advertisement {
        /// The address that is told of.
        target: Ipv6Addr,
        /// Its hardware address; may be left out in the answer to a question that was sent to one host.
        mac: Option<Mac>,
        /// R: the sender is a router.
        router: bool,
        /// S: an answer.
        solicited: bool,
        /// O: what a cache knew is to be replaced.
        replaces: bool,
    },
}

/// A packet of neighbour discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sends it; `::` before it uses an address.
    pub source: Ipv6Addr,
    /// To whom.
    pub destination: Ipv6Addr,
    /// What it says.
    pub message: Message,
}

impl Packet {
    /// A question before use: does anybody have this address? It changes no cache (RFC 4862, section 5.4.2).
    pub fn probe(ip: Ipv6Addr) -> Packet {
        Packet {
            source: Ipv6Addr::UNSPECIFIED,
            destination: solicited_node(ip),
            message: Message::Solicitation { target: ip, mac: None },
        }
    }

    /// An announcement to all: this address is at this hardware address from now on; O set, S clear
    /// (RFC 4861, section 7.2.6).
    pub fn announcement(mac: Mac, ip: Ipv6Addr) -> Packet {
        let message = Message::Advertisement {
            target: ip,
            mac: Some(mac),
            router: false,
            solicited: false,
            replaces: true,
        };
        Packet { source: ip, destination: ALL_NODES, message }
    }

    /// The packet's bytes, from the IPv6 header on.
    pub fn write(&self) -> Vec<u8> {
        let (kind, flags, target, option) = match self.message {
            Message::Solicitation { target, mac } => {
                (SOLICITATION, 0, target, mac.map(|mac| (SOURCE_LINK_LAYER, mac)))
            }
            Message::Advertisement { target, mac, router, solicited, replaces } => {
                let flags = [(router, ROUTER), (solicited, SOLICITED), (replaces, OVERRIDE)];
                let flags = flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag);
                (ADVERTISEMENT, flags, target, mac.map(|mac| (TARGET_LINK_LAYER, mac)))
            }
        };
        // Type, code, checksum, flags, reserved.
        let mut body = vec![kind, 0, 0, 0, flags, 0, 0, 0];
        body.extend_from_slice(&target.octets());
        if let Some((option, mac)) = option {
            // Lengths of options are told in units of eight bytes.
            body.extend_from_slice(&[option, 1]);
            body.extend_from_slice(&mac);
        }
        let sum = checksum(self.source, self.destination, &body).to_be_bytes();
        for (to, from) in body.iter_mut().skip(2).zip(sum) {
            *to = from;
        }
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&[ICMPV6, HOP_LIMIT]);
        bytes.extend_from_slice(&self.source.octets());
        bytes.extend_from_slice(&self.destination.octets());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads a packet. `None` for everything else, for what is cut off, and for what RFC 4861 (7.1.1, 7.1.2) tells to
    /// drop. Bytes behind the packet are the padding of a short frame.
    pub fn parse(bytes: &[u8]) -> Option<Packet> {
        let (header, rest) = bytes.split_at_checked(HEADER)?;
        let [version, _, _, _, long, short, next, hops, ..] = header else { return None };
        if version >> 4 != 6 || *next != ICMPV6 || *hops != HOP_LIMIT {
            return None;
        }
        let body = rest.get(..usize::from(u16::from_be_bytes([*long, *short])))?;
        let source = Ipv6Addr::from(array::<16>(header, 8)?);
        let destination = Ipv6Addr::from(array::<16>(header, 24)?);
        let (fixed, options) = body.split_at_checked(24)?;
        let [kind, 0, _, _, flags, ..] = fixed else { return None };
        let target = Ipv6Addr::from(array::<16>(fixed, 8)?);
        if checksum(source, destination, body) != 0 || target.is_multicast() || source.is_multicast() {
            return None;
        }
        let message = match *kind {
            SOLICITATION => {
                let mac = link_layer(options, SOURCE_LINK_LAYER)?;
                // A question before use goes to the target's group and tells no hardware address.
                if source.is_unspecified() && (destination != solicited_node(target) || mac.is_some()) {
                    return None;
                }
                Message::Solicitation { target, mac }
            }
            ADVERTISEMENT => {
                let solicited = flags & SOLICITED != 0;
                if source.is_unspecified() || (destination.is_multicast() && solicited) {
                    return None;
                }
                Message::Advertisement {
                    target,
                    mac: link_layer(options, TARGET_LINK_LAYER)?,
                    router: flags & ROUTER != 0,
                    solicited,
                    replaces: flags & OVERRIDE != 0,
                }
            }
            _ => return None,
        };
        Some(Packet { source, destination, message })
    }

    /// The address that the sender uses, or wants to use, and whether it only asks.
    pub fn claim(&self) -> (Ipv6Addr, bool) {
        match self.message {
            Message::Advertisement { target, .. } => (target, false),
            Message::Solicitation { target, .. } if self.source.is_unspecified() => (target, true),
            Message::Solicitation { .. } => (self.source, false),
        }
    }
}

/// The group in which whoever has the address listens (RFC 4291, section 2.7.1).
pub fn solicited_node(ip: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = ip.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

/// Where a frame for a group goes (RFC 2464, section 7).
pub fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// The hardware address among the options. The outer `None`: they are malformed (an option of length 0, or cut off).
fn link_layer(mut options: &[u8], wanted: u8) -> Option<Option<Mac>> {
    let mut found = None;
    while !options.is_empty() {
        let [kind, units, ..] = options else { return None };
        let length = usize::from(*units) * 8;
        let (option, rest) = options.split_at_checked(length).filter(|_| length > 0)?;
        if *kind == wanted && length == 8 {
            found = array(option, 2);
        }
        options = rest;
    }
    Some(found)
}

/// ICMPv6's checksum over the pseudo-header and the message (RFC 8200, section 8.1): 0 over a message that carries the
/// right one.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, body: &[u8]) -> u16 {
    let pseudo = [u32::from(ICMPV6), body.len() as u32];
    let addresses = source.segments().into_iter().chain(destination.segments()).map(u32::from);
    let words = body.chunks(2).map(|pair| match pair {
        [a, b] => u32::from(u16::from_be_bytes([*a, *b])),
        [a] => u32::from(u16::from_be_bytes([*a, 0])),
        _ => 0,
    });
    // At most 65,535 bytes: the sum fits.
    let mut sum: u32 = pseudo.into_iter().chain(addresses).chain(words).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 7];

    fn ip() -> Ipv6Addr {
        "fd00::101".parse().expect("an address")
    }

    #[test]
    fn as_the_rfc_draws_it() {
        let bytes = Packet::announcement(MAC, ip()).write();
        assert_eq!(bytes[..8], [0x60, 0, 0, 0, 0, 32, 58, 255]);
        assert_eq!(bytes[8..24], ip().octets());
        assert_eq!(bytes[24..40], ALL_NODES.octets());
        assert_eq!(bytes[40..42], [136, 0]);
        assert_eq!(bytes[44..48], [0x20, 0, 0, 0], "O set, S and R clear");
        assert_eq!(bytes[48..64], ip().octets());
        assert_eq!(bytes[64..], [2, 1, 2, 0, 0, 0, 0, 7]);
        // Summed up by hand: 4 x fd00.0101 in pairs, the group, the type, flags, option, length and next header.
        let words = [0xfd00u32, 0x101, 0xff02, 1, 32, 58, 0x8800, 0x2000, 0xfd00, 0x101, 0x201, 0x200, 0, 7];
        let sum: u32 = words.iter().sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        assert_eq!(bytes[42..44], (!(sum as u16)).to_be_bytes());
    }

    #[test]
    fn groups() {
        let ip: Ipv6Addr = "2001:db8::1:abcd:ef01".parse().expect("an address");
        assert_eq!(solicited_node(ip).to_string(), "ff02::1:ffcd:ef01");
        assert_eq!(multicast_mac(solicited_node(ip)), [0x33, 0x33, 0xff, 0xcd, 0xef, 1]);
        assert_eq!(multicast_mac(ALL_NODES), [0x33, 0x33, 0, 0, 0, 1]);
    }

    #[test]
    fn who_claims_what() {
        assert_eq!(Packet::probe(ip()).claim(), (ip(), true));
        assert_eq!(Packet::announcement(MAC, ip()).claim(), (ip(), false));
        let other: Ipv6Addr = "fd00::9".parse().expect("an address");
        let asks = Packet {
            source: ip(),
            destination: solicited_node(other),
            message: Message::Solicitation { target: other, mac: Some(MAC) },
        };
        assert_eq!(asks.claim(), (ip(), false), "who asks for another uses its own");
        assert_eq!(Packet::parse(&asks.write()), Some(asks));
    }

    #[test]
    fn cut_off_or_wrong_is_nothing() {
        for packet in [Packet::announcement(MAC, ip()), Packet::probe(ip())] {
            let bytes = packet.write();
            assert_eq!(Packet::parse(&bytes), Some(packet));
            for length in 0..bytes.len() {
                assert_eq!(Packet::parse(&bytes[..length]), None, "{length} bytes");
            }
            let mut padded = bytes.clone();
            padded.resize(bytes.len() + 6, 0xaa);
            assert_eq!(Packet::parse(&padded), Some(packet), "padding");
            // Traffic class and flow label are in no checksum and mean nothing here.
            for at in (0..bytes.len()).filter(|at| !(1..4).contains(at)) {
                let mut other = bytes.clone();
                other[at] ^= 0x10;
                assert_eq!(Packet::parse(&other), None, "byte {at}");
            }
        }
    }

    #[test]
    fn what_the_rfc_tells_to_drop() {
        let Message::Advertisement { target, mac, router, .. } = Packet::announcement(MAC, ip()).message
        else {
            panic!("an advertisement")
        };
        let message = Message::Advertisement { target, mac, router, solicited: true, replaces: true };
        let answer = Packet { source: ip(), destination: ALL_NODES, message };
        assert_eq!(Packet::parse(&answer.write()), None, "an answer to all");
        let probe = Packet { destination: ALL_NODES, ..Packet::probe(ip()) };
        assert_eq!(Packet::parse(&probe.write()), None, "a question before use to all");
        let target = ALL_NODES;
        let group = Packet { message: Message::Solicitation { target, mac: None }, source: ip(), ..probe };
        assert_eq!(Packet::parse(&group.write()), None, "a group has no owner");
        // An option of length 0 would never end.
        assert_eq!(link_layer(&[2, 0, 1, 2, 3, 4, 5, 6], 2), None);
        assert_eq!(link_layer(&[9, 1, 0, 0, 0, 0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 7], 2), Some(Some(MAC)));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..120), whole: bool) {
            let mut bytes = bytes;
            if whole {
                // As far as the checksum, at least.
                for (to, from) in bytes.iter_mut().zip([0x60, 0, 0, 0, 0, 32, 58, 255]) {
                    *to = from;
                }
            }
            if let Some(packet) = Packet::parse(&bytes) {
                prop_assert!(!packet.source.is_multicast());
            }
        }
    }
}
