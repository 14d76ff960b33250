//! Telling the neighbours on an Ethernet where an address is, asking them whether they have it, and hearing who says so:
//! ARP for IPv4, neighbour discovery for IPv6.
//!
//! Packet sockets (packet(7)) for both, because they send before the address is ours, and name the hardware address of
//! whoever sent. Packet filters of the host see neither.

use super::descriptor::{Fd, Registry, checked, owned};
use super::netlink::{Capability, Interface, NetError, NetResult};
use crate::wire::arp::{self, Form, Mac};
use crate::wire::ndp;
use core::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::sync::Arc;

const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const BROADCAST: Mac = [0xff; 6];
/// More than a packet of either kind has; what is longer is cut off, and then dropped.
const LONGEST: usize = 256;
/// Frames read in a row that were nobody's claim, before the caller gets a turn.
const READS: usize = 64;

/// For which kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// ARP.
    V4,
    /// Neighbour discovery.
    V6,
}

impl Family {
    /// That of an address.
    pub(crate) fn of(ip: IpAddr) -> Family {
        if ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    fn ethertype(self) -> u16 {
        match self {
            Family::V4 => ETHERTYPE_ARP,
            Family::V6 => ETHERTYPE_IPV6,
        }
    }
}

/// What another host said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) ip: IpAddr,
    /// Where it said it from.
    pub(crate) mac: Mac,
    /// It only asks whether it may use the address; else it uses it.
    pub(crate) asks: bool,
}

/// A nonblocking socket to the neighbours on one interface, for one family.
#[derive(Debug)]
pub(crate) struct Neighbours {
    fd: Fd,
    index: u32,
    interface: String,
    mac: Mac,
    family: Family,
}

impl Neighbours {
    /// Opens the socket. To be opened again when the interface's hardware address has changed.
    ///
    /// # Errors
    /// [`NetError::Capability`] without CAP_NET_RAW; [`NetError::Unsupported`] where the interface is no Ethernet.
    pub(crate) fn open(
        registry: &Arc<Registry>,
        interface: &Interface,
        family: Family,
    ) -> NetResult<Neighbours> {
        let name = &interface.name;
        let task = format_args!("speak to the neighbours on {name}");
        let Some(mac) = interface.mac else {
            return Err(NetError::Unsupported {
                task: task.to_string(),
                reason: "the interface is no Ethernet".to_owned(),
            });
        };
        let failed = |error: io::Error| NetError::of_call(task, &error, Capability::NetRaw);
        // Protocol 0: nothing comes in before filter and interface are set.
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no pointer is passed.
        let fd = owned(unsafe { libc::socket(libc::AF_PACKET, kind, 0) }).map_err(failed)?;
        let fd = registry.adopt(fd);
        if family == Family::V6 {
            only_neighbour_discovery(&fd).map_err(failed)?;
        }
        let neighbours = Neighbours { fd, index: interface.index, interface: name.clone(), mac, family };
        let address = neighbours.address(BROADCAST);
        // SAFETY: the address is a live structure of the length that is passed with it.
        checked(unsafe {
            libc::bind(
                neighbours.number(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        })
        .map_err(failed)?;
        Ok(neighbours)
    }

    /// For a poller: readable while somebody may have said something.
    pub(crate) fn number(&self) -> RawFd {
        self.fd.number()
    }

    /// Tells everybody on the link that this address is here: gratuitous ARP in this form, or an unsolicited neighbour
    /// advertisement, which has but one.
    ///
    /// # Errors
    /// [`NetError::Refused`], for instance with ENETDOWN while the interface is down.
    pub(crate) fn announce(&self, ip: IpAddr, form: Form) -> NetResult<()> {
        let task = format_args!("announce {ip} on {}", self.interface);
        match ip {
            IpAddr::V4(ip) => {
                self.send(task, Family::V4, &arp::Packet::announcement(form, self.mac, ip).write(), BROADCAST)
            }
            IpAddr::V6(ip) => {
                let packet = ndp::Packet::announcement(self.mac, ip);
                self.send(task, Family::V6, &packet.write(), ndp::multicast_mac(packet.destination))
            }
        }
    }

    /// Asks everybody on the link whether they have this address, without saying that we do: an ARP probe, or a
    /// neighbour solicitation from nobody. Answers come by [`Neighbours::receive`].
    pub(crate) fn ask(&self, ip: IpAddr) -> NetResult<()> {
        let task = format_args!("ask for {ip} on {}", self.interface);
        match ip {
            IpAddr::V4(ip) => {
                self.send(task, Family::V4, &arp::Packet::probe(self.mac, ip).write(), BROADCAST)
            }
            IpAddr::V6(ip) => {
                let packet = ndp::Packet::probe(ip);
                self.send(task, Family::V6, &packet.write(), ndp::multicast_mac(packet.destination))
            }
        }
    }

    /// The next claim of another host to any address. `None`: there is none now, or after many frames none yet; then the
    /// descriptor is still readable.
    ///
    /// A claim to an address that is ours, from any other hardware address, is a rival (RFC 5227, section 2.4).
    pub(crate) fn receive(&self) -> Option<Heard> {
        let mut buffer = [0u8; LONGEST];
        for _ in 0..READS {
            // SAFETY: all zeros are a valid sockaddr_ll.
            let mut from: libc::sockaddr_ll = unsafe { core::mem::zeroed() };
            let mut length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            // SAFETY: the pointers name live memory of the lengths that are passed with them.
            let got = unsafe {
                libc::recvfrom(
                    self.number(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                    (&raw mut from).cast(),
                    &mut length,
                )
            };
            let Ok(got) = usize::try_from(got) else {
                match io::Error::last_os_error().kind() {
                    // An interface that goes down says so once; whoever watches it knows.
                    io::ErrorKind::Interrupted | io::ErrorKind::NetworkDown => continue,
                    _ => return None,
                }
            };
            if from.sll_pkttype == libc::PACKET_OUTGOING {
                continue;
            }
            let [a, b, c, d, e, f, ..] = from.sll_addr;
            let sender = [a, b, c, d, e, f];
            let heard = claim(self.family, buffer.get(..got).unwrap_or_default(), sender);
            // Bridges and bonds may give us back what we sent.
            if let Some(heard) = heard.filter(|heard| heard.mac != self.mac && sender != self.mac) {
                return Some(heard);
            }
        }
        None
    }

    fn send(&self, task: fmt::Arguments<'_>, family: Family, packet: &[u8], to: Mac) -> NetResult<()> {
        if family != self.family {
            return Err(NetError::Invalid {
                task: task.to_string(),
                reason: "the socket is for the other family".to_owned(),
            });
        }
        let address = self.address(to);
        loop {
            // SAFETY: the pointers name live memory of the lengths that are passed with them; the kernel only reads.
            let sent = unsafe {
                libc::sendto(
                    self.number(),
                    packet.as_ptr().cast(),
                    packet.len(),
                    libc::MSG_DONTWAIT,
                    (&raw const address).cast(),
                    size_of::<libc::sockaddr_ll>() as libc::socklen_t,
                )
            };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(NetError::of_call(task, &error, Capability::NetRaw));
            }
        }
    }

    fn address(&self, to: Mac) -> libc::sockaddr_ll {
        // SAFETY: all zeros are a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { core::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = self.family.ethertype().to_be();
        address.sll_ifindex = self.index as i32;
        address.sll_halen = 6;
        for (to, from) in address.sll_addr.iter_mut().zip(to) {
            *to = from;
        }
        address
    }
}

/// Reads a packet. The hardware address is the one that it tells, for that is where caches will look; only an
/// advertisement may tell none.
fn claim(family: Family, packet: &[u8], sender: Mac) -> Option<Heard> {
    match family {
        Family::V4 => {
            let packet = arp::Packet::parse(packet)?;
            let (ip, asks) = packet.claim()?;
            Some(Heard { ip: ip.into(), mac: packet.sender_mac, asks })
        }
        Family::V6 => {
            let packet = ndp::Packet::parse(packet)?;
            let (ip, asks) = packet.claim();
            let (ndp::Message::Solicitation { mac, .. } | ndp::Message::Advertisement { mac, .. }) =
                packet.message;
            Some(Heard { ip: ip.into(), mac: mac.unwrap_or(sender), asks })
        }
    }
}

/// Lets in only ICMPv6 of the two types, straight behind the header: an interface carries much IPv6 else.
fn only_neighbour_discovery(fd: &Fd) -> io::Result<()> {
    let load = |at: u32| (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, at);
    let equal = |value: u32, yes: u8, no: u8| (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes, no, value);
    let back = |value: u32| (libc::BPF_RET | libc::BPF_K, 0, 0, value);
    // Next header; the type of the message; take all of it, or nothing.
    let steps =
        [load(6), equal(58, 0, 4), load(40), equal(135, 1, 0), equal(136, 0, 1), back(u32::MAX), back(0)];
    let mut code = steps.map(|(code, jt, jf, k)| libc::sock_filter { code: code as u16, jt, jf, k });
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    // SAFETY: the program is a live structure that names `code` and its length; the kernel copies both.
    checked(unsafe {
        libc::setsockopt(
            fd.number(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    })
}
