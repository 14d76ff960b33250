//! Hearing of changes to interfaces and addresses as they happen (rtnetlink(7), multicast groups).

use super::Kernel;
use super::address::Address;
use super::error::NetResult;
use super::link::Interface;
use super::message::Message;
use super::socket::Netlink;
use crate::io::descriptor::Registry;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::sync::Arc;

/// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A new interface.
    LinkAppeared(Interface),
    /// An interface can carry packets from now on, or no longer: see `running`. (`up` alone says that its administrator
    /// wants it to.)
    LinkState(Interface),
    /// It has another name; the index is the same.
    LinkRenamed { from: String, interface: Interface },
    /// It has another hardware address.
    LinkMac(Interface),
    /// It has gone, or has moved to another namespace.
    LinkGone { index: u32, name: String },
    /// An address was added, or its flags or lifetime have changed.
    Address(Address),
    /// An address was removed, by whomever, or its lifetime has ended.
    AddressGone { index: u32, ip: IpAddr, prefix: u8 },
    /// Messages were lost: list interfaces ([`Watch::compare`]) and addresses anew.
    LookAgain,
}

/// A nonblocking descriptor that is readable while there is news.
#[derive(Debug)]
pub(crate) struct Watch {
    socket: Netlink,
    known: BTreeMap<u32, Interface>,
    heard: VecDeque<Change>,
    /// The last read failed: said once, so that nobody turns in circles over it.
    failed: bool,
}

impl Watch {
    /// Begins to watch the calling thread's network namespace. `kernel`, of the same namespace, tells what there is
    /// now.
    pub(crate) fn open(registry: &Arc<Registry>, kernel: &mut Kernel) -> NetResult<Watch> {
        // First the ear, then the look around: what changes in between is heard.
        let socket = Netlink::listen(registry, GROUPS)?;
        let mut watch = Watch { socket, known: BTreeMap::new(), heard: VecDeque::new(), failed: false };
        for interface in kernel.interfaces()? {
            watch.known.insert(interface.index, interface);
        }
        Ok(watch)
    }

    /// For a poller.
    pub(crate) fn number(&self) -> RawFd {
        self.socket.number()
    }

    /// The next change; `None`: nothing is there now.
    pub(crate) fn next(&mut self) -> Option<Change> {
        loop {
            if let Some(change) = self.heard.pop_front() {
                return Some(change);
            }
            let Watch { socket, known, heard, failed } = self;
            match socket.hear(|message| take(known, heard, message)) {
                Ok(Some(())) => *failed = false,
                Ok(None) => return None,
                // ENOBUFS. No other error is documented; looking again is right for it too.
                Err(_) => {
                    *failed = !*failed;
                    return failed.then_some(Change::LookAgain);
                }
            }
        }
    }

    /// Takes a new listing of all interfaces after [`Change::LookAgain`]: what differs comes out of [`Watch::next`].
    pub(crate) fn compare(&mut self, now: Vec<Interface>) {
        let Watch { known, heard, .. } = self;
        let gone: Vec<u32> =
            known.keys().copied().filter(|index| now.iter().all(|link| link.index != *index)).collect();
        for index in gone {
            forget(known, heard, index);
        }
        for interface in now {
            learn(known, heard, interface);
        }
    }
}

fn take(known: &mut BTreeMap<u32, Interface>, heard: &mut VecDeque<Change>, message: &Message<'_>) {
    match message.kind {
        libc::RTM_NEWLINK => {
            if let Some(interface) = Interface::of(message) {
                learn(known, heard, interface);
            }
        }
        libc::RTM_DELLINK => {
            if let Some(interface) = Interface::of(message) {
                forget(known, heard, interface.index);
            }
        }
        libc::RTM_NEWADDR => heard.extend(Address::of(message).map(Change::Address)),
        libc::RTM_DELADDR => {
            heard.extend(Address::of(message).map(|Address { index, ip, prefix, .. }| Change::AddressGone {
                index,
                ip,
                prefix,
            }))
        }
        _ => {}
    }
}

/// Tells what is new about an interface. The kernel sends the whole of it at every small change.
fn learn(known: &mut BTreeMap<u32, Interface>, heard: &mut VecDeque<Change>, interface: Interface) {
    let Some(before) = known.insert(interface.index, interface.clone()) else {
        heard.push_back(Change::LinkAppeared(interface));
        return;
    };
    if before.name != interface.name {
        heard.push_back(Change::LinkRenamed { from: before.name, interface: interface.clone() });
    }
    if before.mac != interface.mac {
        heard.push_back(Change::LinkMac(interface.clone()));
    }
    if (before.up, before.running) != (interface.up, interface.running) {
        heard.push_back(Change::LinkState(interface));
    }
}

fn forget(known: &mut BTreeMap<u32, Interface>, heard: &mut VecDeque<Change>, index: u32) {
    if let Some(Interface { index, name, .. }) = known.remove(&index) {
        heard.push_back(Change::LinkGone { index, name });
    }
}
