//! The Internet checksum over an advertisement, and the two ways in which IPv4 takes it (RFC 9568 section 5.2.8).
//!
//! RFC 5798 left open whether the checksum of version 3 over IPv4 covers a pseudo-header; RFC 9568 says that it does not.
//! keepalived 2.2 sends it with one and drops what comes without. Over IPv6 it always does, in version 2 never.

pub use crate::config::ChecksumV4;
use std::net::IpAddr;

/// IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;

/// Which form a received checksum has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The only one that there is: IPv6 (with pseudo-header), version 2 (without).
    Only,
    /// Version 3 over IPv4 in the form of this setting, and not of the other.
    Like(ChecksumV4),
    /// Version 3 over IPv4, and the packet is such that both forms come to the same.
    Either,
}

impl Form {
    /// Whether the sender's setting certainly is not this one.
    pub fn contradicts(self, own: ChecksumV4) -> bool {
        matches!(self, Form::Like(other) if other != own)
    }
}

/// A sum in one's complement of 16-bit words in network order. Of what is added only the last part may be of odd length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum(u64);

impl Sum {
    pub(super) fn add(mut self, bytes: &[u8]) -> Sum {
        for pair in bytes.chunks(2) {
            // An odd end counts as if a zero followed (RFC 1071).
            let word = match *pair {
                [high, low] => u16::from_be_bytes([high, low]),
                [high] => u16::from_be_bytes([high, 0]),
                _ => 0,
            };
            self.0 += u64::from(word);
        }
        self
    }

    /// Source, destination, length of the payload, protocol: RFC 8200 section 8.1, for IPv4 as keepalived has it.
    pub(super) fn pseudo_header(self, source: IpAddr, destination: IpAddr, length: usize) -> Sum {
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        self.address(source).address(destination).add(&length).add(&[0, PROTOCOL])
    }

    fn address(self, address: IpAddr) -> Sum {
        match address {
            IpAddr::V4(a) => self.add(&a.octets()),
            IpAddr::V6(a) => self.add(&a.octets()),
        }
    }

    /// The words folded to 16 bits: 0xffff for a packet whose checksum is right.
    pub(super) fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    pub(super) fn is_right(self) -> bool {
        self.folded() == 0xffff
    }

    /// What goes into the packet, whose field was zero while it was summed.
    pub(super) fn checksum(self) -> [u8; 2] {
        (!self.folded()).to_be_bytes()
    }
}
