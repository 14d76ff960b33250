//! ARP for IPv4 over Ethernet: whose address is it (RFC 826), asking before use and announcing (RFC 5227).

use std::net::Ipv4Addr;

/// Length of the packet, without the frame around it.
pub const LENGTH: usize = 28;

/// A hardware address of Ethernet.
pub type Mac = [u8; 6];

/// Hardware Ethernet (1), protocol IPv4 (0x0800), lengths of their addresses.
const HEAD: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// What a packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target's address?
    Request,
    /// The sender has it.
    Reply,
}

/// In which form an address is announced to everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As a request for the sender's own address, the form of RFC 5227, section 2.3.
    #[default]
    Request,
    /// As a reply that nobody asked for. Some switches and old systems heed only this one.
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Question or answer.
    pub operation: Operation,
    /// The hardware address that goes with `sender`.
    pub sender_mac: Mac,
    /// 0.0.0.0 in a probe, whose sender does not yet use an address.
    pub sender: Ipv4Addr,
    /// Zeros in a question; in an announcing reply the sender's own.
    pub target_mac: Mac,
    /// The address asked for.
    pub target: Ipv4Addr,
}

impl Packet {
    /// A probe: does anybody have this address? It says nothing about an owner, so no cache is changed by it
    /// (RFC 5227, section 2.1.1).
    pub const fn probe(mac: Mac, ip: Ipv4Addr) -> Packet {
        Packet {
            operation: Operation::Request,
            sender_mac: mac,
            sender: Ipv4Addr::UNSPECIFIED,
            target_mac: [0; 6],
            target: ip,
        }
    }

    /// An announcement: this address is at this hardware address.
    pub const fn announcement(form: Form, mac: Mac, ip: Ipv4Addr) -> Packet {
        let (operation, target_mac) = match form {
            Form::Request => (Operation::Request, [0; 6]),
            // A reply that names another target is not taken for gratuitous (RFC 2002, section 4.6; Linux heeds it).
            Form::Reply => (Operation::Reply, mac),
        };
        Packet { operation, sender_mac: mac, sender: ip, target_mac, target: ip }
    }

    /// The packet's bytes.
    pub fn write(&self) -> [u8; LENGTH] {
        let operation = match self.operation {
            Operation::Request => [0, 1],
            Operation::Reply => [0, 2],
        };
        let parts: [&[u8]; 6] = [
            &HEAD,
            &operation,
            &self.sender_mac,
            &self.sender.octets(),
            &self.target_mac,
            &self.target.octets(),
        ];
        let mut bytes = [0; LENGTH];
        for (to, from) in bytes.iter_mut().zip(parts.iter().flat_map(|part| part.iter())) {
            *to = *from;
        }
        bytes
    }

    /// Reads a packet. `None` for everything that is not ARP for IPv4 over Ethernet, or is cut off. Bytes behind it are the
    /// padding of a short frame.
    pub fn parse(bytes: &[u8]) -> Option<Packet> {
        let rest = bytes.strip_prefix(&HEAD)?;
        let operation = match rest.get(..2)? {
            [0, 1] => Operation::Request,
            [0, 2] => Operation::Reply,
            _ => return None,
        };
        Some(Packet {
            operation,
            sender_mac: array(rest, 2)?,
            sender: array::<4>(rest, 8)?.into(),
            target_mac: array(rest, 12)?,
            target: array::<4>(rest, 18)?.into(),
        })
    }

    /// The address that the sender uses, or wants to use, and whether it only asks. `None`: an ordinary question whose
    /// sender is nobody.
    pub fn claim(&self) -> Option<(Ipv4Addr, bool)> {
        match (self.operation, self.sender.is_unspecified()) {
            (_, false) => Some((self.sender, false)),
            (Operation::Request, true) => Some((self.target, true)),
            (Operation::Reply, true) => None,
        }
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 7];
    const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 101);

    #[test]
    fn as_the_rfcs_draw_it() {
        let bytes = Packet::announcement(Form::Request, MAC, IP).write();
        let drawn =
            [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 7, 10, 0, 0, 101, 0, 0, 0, 0, 0, 0, 10, 0, 0, 101];
        assert_eq!(bytes, drawn);
        let reply = Packet::announcement(Form::Reply, MAC, IP).write();
        assert_eq!(reply[6..8], [0, 2]);
        assert_eq!(reply[18..24], MAC);
        let probe = Packet::probe(MAC, IP).write();
        assert_eq!(probe[14..18], [0; 4], "a probe's sender is nobody");
        assert_eq!(probe[24..], IP.octets());
    }

    #[test]
    fn who_claims_what() {
        assert_eq!(Packet::probe(MAC, IP).claim(), Some((IP, true)));
        for form in [Form::Request, Form::Reply] {
            assert_eq!(Packet::announcement(form, MAC, IP).claim(), Some((IP, false)));
        }
        let asks =
            Packet { target: Ipv4Addr::new(10, 0, 0, 9), ..Packet::announcement(Form::Request, MAC, IP) };
        assert_eq!(asks.claim(), Some((IP, false)), "who asks for another uses its own");
        let nobody = Packet { operation: Operation::Reply, ..Packet::probe(MAC, IP) };
        assert_eq!(nobody.claim(), None);
    }

    #[test]
    fn cut_off_or_foreign_is_nothing() {
        let bytes = Packet::announcement(Form::Reply, MAC, IP).write();
        for length in 0..LENGTH {
            assert_eq!(Packet::parse(&bytes[..length]), None, "{length} bytes");
        }
        let mut padded = bytes.to_vec();
        padded.resize(46, 0xaa);
        assert_eq!(Packet::parse(&padded), Some(Packet::announcement(Form::Reply, MAC, IP)));
        for at in 0..8 {
            let mut other = bytes;
            other[at] ^= 0x10;
            assert_eq!(Packet::parse(&other), None, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(bytes in prop::collection::vec(any::<u8>(), 0..64), whole: bool) {
            let mut bytes = bytes;
            if whole {
                for (to, from) in bytes.iter_mut().zip(HEAD.iter().chain(&[0, 1])) {
                    *to = *from;
                }
            }
            if let Some(packet) = Packet::parse(&bytes) {
                prop_assert_eq!(&packet.write()[..], &bytes[..LENGTH]);
            }
        }
    }
}
