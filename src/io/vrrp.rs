//! Raw sockets for VRRP: protocol 112 over IPv4 and IPv6, on one interface, to the group or to unicast peers.
//!
//! One socket serves all virtual routers of a family on an interface. What the kernel tells beside the payload (source, destination,
//! TTL or hop limit) comes with each packet, since the rules of RFC 9568 section 7.1 look at it. Sockets stay in the network namespace in
//! which they were opened.

use super::descriptor::{Fd, Registry, checked, owned};
use crate::vip::vrrp::advert::{GROUP_V4, GROUP_V6, HOPS, MAX_LENGTH};
use crate::vip::vrrp::checksum::PROTOCOL;
use crate::vip::vrrp::{Family, Packet};
use core::fmt;
use core::mem::{size_of, zeroed};
use std::ffi::CString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;
use std::sync::Arc;

/// DSCP CS6, as RFC 4594 has it for protocols of the network itself, in the upper bits of the octet.
const TRAFFIC_CLASS: i32 = 0xc0;
/// TC_PRIO_CONTROL of linux/pkt_sched.h: ahead of all other packets that wait in the interface's queue.
const PRIORITY: i32 = 7;
/// What the socket may hold while nobody reads; the kernel may grant less.
const RECEIVE_BUFFER: i32 = 1 << 20;
/// The longest IPv4 header, the longest payload, and one byte that tells what is longer.
const BUFFER: usize = 60 + MAX_LENGTH + 1;

/// Why a socket cannot be opened or used.
#[derive(Debug)]
pub(crate) enum VrrpError {
    /// A capability is missing.
    Capability {
        /// Its name.
        name: &'static str,
        /// What it is needed for.
        task: String,
    },
    /// There is no interface of this name, or not any more.
    Gone {
        /// Its name.
        interface: String,
    },
    /// The interface that had this name when the socket was opened has another one.
    Renamed {
        /// The name that it had.
        interface: String,
        /// The name that it has.
        now: String,
    },
    /// The interface is there, but down.
    Down {
        /// Its name.
        interface: String,
    },
    /// The source is not an address of this host, or not usable yet.
    Source {
        /// The address.
        source: IpAddr,
        /// The interface.
        interface: String,
    },
    /// The kernel takes no more now; the next advertisement may go.
    Full {
        /// The interface.
        interface: String,
    },
    /// Anything else.
    System {
        /// What was tried.
        task: String,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for VrrpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VrrpError::Capability { name, task } => write!(
                f,
                "{name} is needed to {task}: run as root, or give it to the program (setcap, AmbientCapabilities= of systemd)"
            ),
            VrrpError::Gone { interface } => write!(f, "there is no interface {interface}"),
            VrrpError::Renamed { interface, now } => {
                write!(f, "the interface {interface} is now called {now}: name it so in the configuration")
            }
            VrrpError::Down { interface } => write!(f, "the interface {interface} is down"),
            VrrpError::Source { source, interface } => {
                write!(f, "{source} is no usable address of {interface}: nothing can be sent from it")
            }
            VrrpError::Full { interface } => write!(f, "the queue of {interface} is full"),
            VrrpError::System { task, error } => write!(f, "cannot {task}: {error}"),
        }
    }
}

impl std::error::Error for VrrpError {}

/// What a turn of reading left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Nothing: timers may be judged.
    Empty,
    /// More packets wait: read on before any timer is judged.
    More,
}

/// A socket on one interface.
#[derive(Debug)]
pub(crate) struct VrrpSocket {
    fd: Fd,
    family: Family,
    interface: String,
    index: u32,
}

impl VrrpSocket {
    /// Opens a socket on an interface. It hears the group if `group`, else only what is sent to an address of this host.
    ///
    /// # Errors
    /// [`VrrpError::Capability`] names CAP_NET_RAW if that is missing, [`VrrpError::Gone`] an interface that does not exist.
    pub(crate) fn open(
        registry: &Arc<Registry>,
        interface: &str,
        family: Family,
        group: bool,
    ) -> Result<VrrpSocket, VrrpError> {
        let index = index_of(interface).ok_or_else(|| VrrpError::Gone { interface: interface.into() })?;
        let domain = match family {
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
        };
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no pointer is passed.
        let fd = owned(unsafe { libc::socket(domain, kind, i32::from(PROTOCOL)) })
            .map_err(|error| cannot(interface, "open a raw socket for VRRP", error))?;
        let socket = VrrpSocket { fd: registry.adopt(fd), family, interface: interface.into(), index };
        socket.prepare(group).map_err(|error| cannot(interface, "set up a raw socket for VRRP", error))?;
        Ok(socket)
    }

    fn prepare(&self, group: bool) -> io::Result<()> {
        let name = CString::new(self.interface.as_str())?;
        self.set(libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes_with_nul())?;
        // Whatever the kernel grants will do.
        let _ = self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, &RECEIVE_BUFFER);
        let hops = i32::from(HOPS);
        match self.family {
            Family::V4 => {
                self.set(libc::IPPROTO_IP, libc::IP_PKTINFO, &1)?;
                self.set(libc::IPPROTO_IP, libc::IP_TTL, &hops)?;
                self.set(libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, &hops)?;
                self.set(libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, &0)?;
                // Only groups that this socket joined, not those of the whole machine.
                self.set(libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, &0)?;
                self.set(libc::IPPROTO_IP, libc::IP_TOS, &TRAFFIC_CLASS)?;
            }
            Family::V6 => {
                self.set(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &1)?;
                self.set(libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, &1)?;
                self.set(libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, &hops)?;
                self.set(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, &hops)?;
                self.set(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, &0)?;
                self.set(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_ALL, &0)?;
                self.set(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &TRAFFIC_CLASS)?;
            }
        }
        // After the traffic class, which sets a priority of its own.
        self.set(libc::SOL_SOCKET, libc::SO_PRIORITY, &PRIORITY)?;
        if group { self.join() } else { Ok(()) }
    }

    fn join(&self) -> io::Result<()> {
        match self.family {
            Family::V4 => {
                let request = libc::ip_mreqn {
                    imr_multiaddr: v4(GROUP_V4),
                    imr_address: v4(Ipv4Addr::UNSPECIFIED),
                    imr_ifindex: self.index as i32,
                };
                self.set(libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &request)
            }
            Family::V6 => {
                let request =
                    libc::ipv6_mreq { ipv6mr_multiaddr: v6(GROUP_V6), ipv6mr_interface: self.index };
                self.set(libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, &request)
            }
        }
    }

    fn set<T: ?Sized>(&self, level: i32, option: i32, value: &T) -> io::Result<()> {
        let length = size_of_val(value) as libc::socklen_t;
        // SAFETY: pointer and length name `value`, plain data that the kernel copies.
        checked(unsafe { libc::setsockopt(self.number(), level, option, (value as *const T).cast(), length) })
    }

    /// The descriptor's number, readable when packets wait.
    pub(crate) fn number(&self) -> RawFd {
        self.fd.number()
    }

    /// The family.
    pub(crate) fn family(&self) -> Family {
        self.family
    }

    /// The interface's index.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Whether the interface is still there under its name. To be asked when the kernel tells of a change of links: a
    /// socket whose interface is gone reports nothing by itself.
    pub(crate) fn check(&self) -> Result<(), VrrpError> {
        match self.name_now() {
            Some(now) if now == self.interface => Ok(()),
            Some(now) => Err(VrrpError::Renamed { interface: self.interface.clone(), now }),
            None => Err(VrrpError::Gone { interface: self.interface.clone() }),
        }
    }

    /// The interface's name now, as the socket's own network namespace has it; `None` if it is gone.
    fn name_now(&self) -> Option<String> {
        // SAFETY: an all-zero ifreq is valid.
        let mut request: libc::ifreq = unsafe { zeroed() };
        request.ifr_ifru.ifru_ifindex = self.index as i32;
        self.ask(libc::SIOCGIFNAME, &mut request).ok()?;
        let name: Vec<u8> = request.ifr_name.iter().take_while(|c| **c != 0).map(|c| *c as u8).collect();
        Some(String::from_utf8_lossy(&name).into_owned())
    }

    /// Whether the interface is set up.
    fn is_up(&self) -> bool {
        // SAFETY: an all-zero ifreq is valid.
        let mut request: libc::ifreq = unsafe { zeroed() };
        let Some(name) = self.name_now() else { return false };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IF_NAMESIZE - 1)) {
            *to = from as libc::c_char;
        }
        // SAFETY: the call has filled in the flags if it says so.
        self.ask(libc::SIOCGIFFLAGS, &mut request).is_ok()
            && i32::from(unsafe { request.ifr_ifru.ifru_flags }) & libc::IFF_UP != 0
    }

    fn ask(&self, what: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: both requests take an ifreq, read it and write into it.
        checked(unsafe { libc::ioctl(self.number(), what, &raw mut *request) })
    }

    /// Hands in at most `most` packets that wait. Timers must not be judged before this has said [`Drained::Empty`].
    ///
    /// # Errors
    /// What the system says of the socket; packets handed in before stay so.
    pub(crate) fn receive(
        &self,
        most: usize,
        mut take: impl FnMut(&Packet<'_>),
    ) -> Result<Drained, VrrpError> {
        let mut buffer = [0u8; BUFFER];
        for _ in 0..most {
            match self.receive_one(&mut buffer) {
                Ok(Some(header)) => {
                    if let Some(packet) = header.packet(self.family, &buffer) {
                        take(&packet);
                    }
                }
                Ok(None) => return Ok(Drained::Empty),
                Err(error) => return Err(cannot(&self.interface, "receive VRRP", error)),
            }
        }
        Ok(Drained::More)
    }

    fn receive_one(&self, buffer: &mut [u8]) -> io::Result<Option<Header>> {
        loop {
            let mut control = Control::default();
            // SAFETY: an all-zero sockaddr_storage is valid.
            let mut from: libc::sockaddr_storage = unsafe { zeroed() };
            let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            // SAFETY: an all-zero msghdr is valid; every pointer put into it names a live buffer of the length beside it.
            let (count, message) = unsafe {
                let mut message: libc::msghdr = zeroed();
                message.msg_name = (&raw mut from).cast();
                message.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
                message.msg_iov = &mut part;
                message.msg_iovlen = 1;
                message.msg_control = control.0.as_mut_ptr().cast();
                message.msg_controllen = size_of::<Control>();
                let count = libc::recvmsg(self.number(), &mut message, libc::MSG_DONTWAIT);
                (count, message)
            };
            if let Ok(length) = usize::try_from(count) {
                let mut header = Header { length, source: ip_of(&from), ..Header::default() };
                read_control(&message, &mut header);
                return Ok(Some(header));
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Ok(None),
                _ => return Err(error),
            }
        }
    }

    /// Sends one advertisement.
    ///
    /// # Errors
    /// Nothing went out. [`VrrpError::Gone`], [`VrrpError::Down`] and [`VrrpError::Source`] are for the watcher of links to
    /// follow up; [`VrrpError::Full`] passes.
    pub(crate) fn send(&self, source: IpAddr, destination: IpAddr, bytes: &[u8]) -> Result<(), VrrpError> {
        loop {
            match self.send_once(source, destination, bytes) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(self.why_not(source, error));
                }
            }
        }
    }

    /// The kernel's word for a missing interface, one that is down and a strange source may be the same.
    fn why_not(&self, source: IpAddr, error: io::Error) -> VrrpError {
        let interface = self.interface.clone();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOBUFS) => VrrpError::Full { interface },
            Some(libc::EPERM | libc::EACCES) => cannot(&interface, "send VRRP", error),
            _ if self.name_now().is_none() => VrrpError::Gone { interface },
            _ if !self.is_up() => VrrpError::Down { interface },
            Some(libc::EADDRNOTAVAIL | libc::EINVAL | libc::ENETUNREACH) => {
                VrrpError::Source { source, interface }
            }
            _ => cannot(&interface, "send VRRP", error),
        }
    }

    fn send_once(&self, source: IpAddr, destination: IpAddr, bytes: &[u8]) -> io::Result<()> {
        let mut control = Control::default();
        let to = Storage::of(destination, self.index);
        let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: an all-zero msghdr is valid. Every pointer put into it names a live buffer of the length beside it, which the
        // kernel only reads; `control` is aligned for a cmsghdr and has room for the one message that is written.
        let sent = unsafe {
            let mut message: libc::msghdr = zeroed();
            message.msg_name = (&raw const to.storage).cast_mut().cast();
            message.msg_namelen = to.length;
            message.msg_iov = &mut part;
            message.msg_iovlen = 1;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = size_of::<Control>();
            let used = match source {
                IpAddr::V4(source) => {
                    let info = libc::in_pktinfo {
                        ipi_ifindex: self.index as i32,
                        ipi_spec_dst: v4(source),
                        ipi_addr: v4(Ipv4Addr::UNSPECIFIED),
                    };
                    put(&message, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
                }
                IpAddr::V6(source) => {
                    let info = libc::in6_pktinfo { ipi6_addr: v6(source), ipi6_ifindex: self.index };
                    put(&message, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
                }
            };
            message.msg_controllen = used;
            libc::sendmsg(self.number(), &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
        };
        checked(sent.min(0) as libc::c_int)
    }
}

/// What came beside a packet.
#[derive(Debug, Default)]
struct Header {
    length: usize,
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    hops: Option<u8>,
}

impl Header {
    /// The packet in the buffer, the IPv4 header taken off; `None` if the kernel did not tell what belongs to it.
    fn packet<'a>(&self, family: Family, buffer: &'a [u8]) -> Option<Packet<'a>> {
        let bytes = buffer.get(..self.length)?;
        match family {
            Family::V4 => {
                let &[first, _, _, _, _, _, _, _, hops, ..] = bytes else { return None };
                let [source, destination] = [12, 16].map(|at| bytes.get(at..at + 4));
                let payload = bytes.get(usize::from(first & 0xf) * 4..)?;
                let address = |octets: &[u8]| <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
                Some(Packet {
                    family,
                    source: address(source?)?,
                    destination: address(destination?)?,
                    hops,
                    bytes: payload,
                })
            }
            Family::V6 => Some(Packet {
                family,
                source: self.source?,
                destination: self.destination?,
                hops: self.hops?,
                bytes,
            }),
        }
    }
}

/// Room for control messages, aligned as they need it.
#[derive(Default)]
struct Control([u64; 16]);

/// A destination as the kernel takes it.
struct Storage {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl Storage {
    fn of(address: IpAddr, index: u32) -> Storage {
        // SAFETY: an all-zero sockaddr_storage is valid.
        let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
        let length = match address {
            IpAddr::V4(a) => {
                let raw = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: 0,
                    sin_addr: v4(a),
                    sin_zero: [0; 8],
                };
                // SAFETY: a sockaddr_storage is large enough and aligned for every address.
                unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(raw) };
                size_of::<libc::sockaddr_in>()
            }
            IpAddr::V6(a) => {
                let raw = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: 0,
                    sin6_flowinfo: 0,
                    sin6_addr: v6(a),
                    sin6_scope_id: index,
                };
                // SAFETY: as above.
                unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(raw) };
                size_of::<libc::sockaddr_in6>()
            }
        };
        Storage { storage, length: length as libc::socklen_t }
    }
}

/// The address in a structure that the kernel filled in.
fn ip_of(storage: &libc::sockaddr_storage) -> Option<IpAddr> {
    let pointer = &raw const *storage;
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure it is; storage is aligned for it.
            let raw = unsafe { pointer.cast::<libc::sockaddr_in>().read() };
            let raw = SocketAddrV4::new(Ipv4Addr::from(raw.sin_addr.s_addr.to_ne_bytes()), 0);
            Some(SocketAddr::V4(raw).ip())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let raw = unsafe { pointer.cast::<libc::sockaddr_in6>().read() };
            let raw = SocketAddrV6::new(Ipv6Addr::from(raw.sin6_addr.s6_addr), 0, 0, 0);
            Some(SocketAddr::V6(raw).ip())
        }
        _ => None,
    }
}

/// Writes the first control message; returns the length in use.
///
/// # Safety
/// `msg_control` and `msg_controllen` name a live buffer, aligned for a cmsghdr, with room for one message of `T`.
unsafe fn put<T>(message: &libc::msghdr, level: i32, kind: i32, value: T) -> usize {
    let size = size_of::<T>() as u32;
    // SAFETY: the caller's promise; the data may not be aligned for `T`, hence the unaligned write.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(message);
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        libc::CMSG_SPACE(size) as usize
    }
}

/// Destination and hop limit of an IPv6 packet; of IPv4 they are in the packet itself.
fn read_control(message: &libc::msghdr, header: &mut Header) {
    // SAFETY: the kernel has just filled in the control buffer and its length, and the macros stay within it. What is read
    // is no longer than the message says, and unaligned reads are used.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(message);
        while !at.is_null() {
            let (level, kind, length) = ((*at).cmsg_level, (*at).cmsg_type, (*at).cmsg_len as usize);
            let holds = |size: usize| length >= libc::CMSG_LEN(size as u32) as usize;
            if level == libc::IPPROTO_IPV6
                && kind == libc::IPV6_PKTINFO
                && holds(size_of::<libc::in6_pktinfo>())
            {
                let info = libc::CMSG_DATA(at).cast::<libc::in6_pktinfo>().read_unaligned();
                header.destination = Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
            }
            if level == libc::IPPROTO_IPV6 && kind == libc::IPV6_HOPLIMIT && holds(size_of::<i32>()) {
                let hops = libc::CMSG_DATA(at).cast::<i32>().read_unaligned();
                header.hops = u8::try_from(hops).ok();
            }
            at = libc::CMSG_NXTHDR(message, at);
        }
    }
}

fn v4(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) }
}

fn v6(address: Ipv6Addr) -> libc::in6_addr {
    libc::in6_addr { s6_addr: address.octets() }
}

/// The index of an interface in this thread's network namespace.
fn index_of(interface: &str) -> Option<u32> {
    let name = CString::new(interface).ok()?;
    // SAFETY: the name is a live C string.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

fn cannot(interface: &str, task: &str, error: io::Error) -> VrrpError {
    let task = format!("{task} on {interface}");
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => VrrpError::Capability { name: "CAP_NET_RAW", task },
        Some(libc::ENODEV | libc::ENXIO) => VrrpError::Gone { interface: interface.into() },
        Some(libc::ENETDOWN) => VrrpError::Down { interface: interface.into() },
        _ => VrrpError::System { task, error },
    }
}

#[cfg(test)]
mod tests;
