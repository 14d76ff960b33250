//! Address work in the kernel, by netlink: interfaces, addresses with a lifetime, blocking an address, ending the
//! connections of one, hearing of changes (rtnetlink(7), sock_diag(7)).
//!
//! Everything acts in the network namespace in which the calling thread was when it opened its [`Kernel`] or
//! [`Watch`]. Every call is a request and its acknowledgement, most of them tens of microseconds; an answer is
//! waited for a second at most. (The kernel works on a request within the call that sends it, and there it may wait
//! for whoever else changes the network's configuration just then: nothing bounds that but the kernel.)
//!
//! What is made here carries marks, so that the next start can clean up after a crash: addresses the protocol
//! number [`MARK`] (kernels since 5.18), IPv4 addresses a label besides, routes the same number as their origin.

mod address;
mod diag;
mod error;
mod link;
mod message;
mod route;
mod socket;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use address::{AddressSpec, Placed};
pub(crate) use error::{Capability, NetError, NetResult};
pub(crate) use link::Interface;
pub(crate) use watch::{Change, Watch};

use super::descriptor::Registry;
use socket::{Netlink, Protocol};
use std::net::IpAddr;
use std::sync::Arc;

/// What marks addresses (IFA_PROTO) and routes (rtm_protocol) as ours. No routing daemon uses this number
/// (iproute2, rt_protos).
pub(crate) const MARK: u8 = 0xc7;

/// The end of the label by which our IPv4 addresses are known where the kernel keeps no protocol number.
pub(crate) const LABEL_MARK: &str = ":pvip";

/// The way to the kernel's interfaces, addresses, routes and sockets.
#[derive(Debug)]
pub(crate) struct Kernel {
    route: Netlink,
    diag: Netlink,
}

/// What [`Kernel::clean_up`] found and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cleaned {
    pub(crate) addresses: Vec<IpAddr>,
    /// Addresses that had been blocked.
    pub(crate) blocks: Vec<IpAddr>,
}

impl Kernel {
    /// Opens both sockets. Needs no right; the work does.
    ///
    /// # Errors
    /// [`NetError::Refused`] where the kernel has no netlink or no sock_diag.
    pub(crate) fn open(registry: &Arc<Registry>) -> NetResult<Kernel> {
        Ok(Kernel {
            route: Netlink::open(registry, Protocol::Route)?,
            diag: Netlink::open(registry, Protocol::Diag)?,
        })
    }

    /// Removes what a crash left: of these addresses those on this interface that carry our mark, and the blocks of
    /// all of them. An address that somebody else has set up stays. The address goes before its block, so that
    /// nobody connects in between.
    ///
    /// On kernels before 5.18 an IPv6 address carries no mark; there its lifetime removes it.
    pub(crate) fn clean_up(&mut self, interface: &Interface, ips: &[IpAddr]) -> NetResult<Cleaned> {
        let mut cleaned = Cleaned::default();
        let there = self.addresses(Some(interface.index))?;
        for address in there.iter().filter(|address| address.is_marked() && ips.contains(&address.ip)) {
            if self.delete(&interface.name, address)? {
                cleaned.addresses.push(address.ip);
            }
        }
        for ip in ips {
            if self.remove_block(*ip)? {
                cleaned.blocks.push(*ip);
            }
        }
        Ok(cleaned)
    }
}
