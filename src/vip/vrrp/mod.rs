//! VRRP: who owns the addresses of a virtual router, by advertisements (RFC 9568; RFC 3768 for peers of version 2).
//!
//! [`advert`] reads and writes packets, [`checksum`] knows the two forms of their checksum, [`reject`] why a packet is not heard;
//! [`machine`] is one virtual router, decided by the rows of [`table`]. Stated deviations from the RFC: the interface's own MAC
//! address is used, unicast peers are possible, stickiness refines Preempt_Mode, and hosts that are not in order stand with
//! priority 1 or 2.

pub mod advert;
pub mod checksum;
pub mod machine;
pub mod reject;
pub mod table;
#[cfg(test)]
mod tests;

pub use advert::{Advert, Family, Packet, Password, Unsendable, Version};
pub use checksum::{ChecksumV4, Form};
pub use machine::{Send, Setup, VirtualRouter};
pub use reject::{Reject, Rejects};
pub use table::State;

/// The virtual router that a packet speaks of, before anything of it is checked: to find whose [`VirtualRouter::packet`] to call.
pub fn vrid_of(bytes: &[u8]) -> Option<u8> {
    bytes.get(1).copied()
}
