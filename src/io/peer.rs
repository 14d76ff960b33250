//! The socket of the peer channel, whose machine is [`crate::vip::peer::Channel`], and what the configuration says of it.

use super::descriptor::{Fd, Registry, checked, owned};
use super::file::read_shared_key;
use super::socket::{RawAddress, Target};
use crate::config::tier::TierConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::vip::peer::{Keys, PeerAddress, Settings};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;
use std::sync::Arc;

/// CS6, network control (RFC 2474, RFC 4594 section 3.1), as keepalived marks its adverts.
const TRAFFIC_CLASS: i32 = 0xc0;

/// A UDP socket at this host's address.
#[derive(Debug)]
pub(crate) struct PeerSocket {
    fd: Fd,
}

impl PeerSocket {
    /// Binds it. What is sent goes out from this very address, by which the peers know the host.
    fn bind(registry: &Arc<Registry>, address: SocketAddr) -> io::Result<PeerSocket> {
        let raw = RawAddress::of(&Target::Tcp(address))?;
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no pointer is passed.
        let fd = registry.adopt(owned(unsafe { libc::socket(raw.family(), kind, 0) })?);
        let socket = PeerSocket { fd };
        let (level, name) = match address {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TOS),
            SocketAddr::V6(_) => {
                socket.set_option(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
            }
        };
        // A kernel that refuses the mark carries the datagrams all the same.
        let _ = socket.set_option(level, name, TRAFFIC_CLASS);
        // SAFETY: the address is a live structure of the length that is passed with it.
        checked(unsafe { libc::bind(socket.number(), raw.pointer(), raw.length) })?;
        Ok(socket)
    }

    /// The descriptor's number; readable while a datagram waits.
    pub(crate) fn number(&self) -> RawFd {
        self.fd.number()
    }

    /// The next datagram, if one waits. One that is longer than the buffer is cut to it.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
        loop {
            // SAFETY: sockaddr_storage is plain data for which all zeros is valid.
            let mut from: libc::sockaddr_storage = unsafe { core::mem::zeroed() };
            let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            // SAFETY: the pointers name the buffer, the address and its length, all of them live and of the sizes passed.
            let count = unsafe {
                libc::recvfrom(
                    self.number(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    libc::MSG_DONTWAIT,
                    (&raw mut from).cast(),
                    &mut length,
                )
            };
            match usize::try_from(count) {
                Ok(count) => match address(&from) {
                    Some(from) => return Ok(Some((count, from))),
                    None => continue,
                },
                Err(_) => {
                    let error = io::Error::last_os_error();
                    match error.kind() {
                        io::ErrorKind::Interrupted => continue,
                        io::ErrorKind::WouldBlock => return Ok(None),
                        _ => return Err(error),
                    }
                }
            }
        }
    }

    /// Sends a datagram. A full queue is as good as one lost on the way.
    pub(crate) fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let raw = RawAddress::of(&Target::Tcp(to))?;
        loop {
            // SAFETY: the pointers name the bytes and the address, with their lengths.
            let result = unsafe {
                libc::sendto(
                    self.number(),
                    bytes.as_ptr().cast(),
                    bytes.len(),
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                    raw.pointer(),
                    raw.length,
                )
            };
            match checked(result.min(0) as libc::c_int) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(()),
                other => return other,
            }
        }
    }

    fn set_option(&self, level: i32, name: i32, value: i32) -> io::Result<()> {
        let length = size_of::<i32>() as libc::socklen_t;
        // SAFETY: `value` is live and `length` is its length.
        checked(unsafe { libc::setsockopt(self.number(), level, name, (&raw const value).cast(), length) })
    }
}

/// The address that the kernel filled in.
fn address(from: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(from.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is a sockaddr_in, and sockaddr_storage is as large and aligned as any.
            let v4 = unsafe { &*(&raw const *from).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for a sockaddr_in6.
            let v6 = unsafe { &*(&raw const *from).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// What a channel is made with, from the configuration and the name of this host.
///
/// # Errors
/// [`ErrorCode::Config`] if the host is not among the tier's, if hosts have addresses of both families, or as [`Settings::check`].
pub(crate) fn settings(tier: &TierConfig, host: &str) -> Result<(SocketAddr, Settings)> {
    let wrong = |what: String| Error::new(ErrorCode::Config, format!("tier: {what}"));
    let own = tier.host(host).ok_or_else(|| {
        let known: Vec<&str> = tier.hosts.iter().map(|host| host.name.as_str()).collect();
        wrong(format!(
            "this host is called {host}, and hosts are {}; name it with the key host",
            known.join(", ")
        ))
    })?;
    let others = tier.hosts.iter().filter(|other| other.name != host);
    let peers =
        others.map(|other| PeerAddress { name: other.name.clone(), address: other.address }).collect();
    let settings = Settings { name: host.to_string(), peers, interval: tier.interval };
    settings.check().map_err(wrong)?;
    match settings.peers.iter().find(|peer| peer.address.is_ipv4() != own.address.is_ipv4()) {
        Some(peer) => Err(wrong(format!(
            "{host} has the address {} and {} has {}: all must be IPv4 or all IPv6",
            own.address, peer.name, peer.address
        ))),
        None => Ok((own.address, settings)),
    }
}

/// Reads the keys of the channel.
///
/// # Errors
/// [`ErrorCode::Secret`]; the text names the file or its key in the configuration, and nothing of its content.
pub(crate) fn keys(tier: &TierConfig) -> Result<Keys> {
    let missing = || Error::new(ErrorCode::Secret, "tier: the peer channel needs a key_file");
    let current = read_shared_key(tier.key_file.as_deref().ok_or_else(missing)?)?;
    let previous = tier.previous_key_file.as_deref().map(read_shared_key).transpose()?;
    Keys::new(current, previous).map_err(|what| Error::new(ErrorCode::Secret, format!("tier: {what}")))
}

/// Opens the socket of the channel at this host's address.
///
/// # Errors
/// [`ErrorCode::Io`] if it cannot be had: the text names the address and says what to do.
pub(crate) fn bind(registry: &Arc<Registry>, host: &str, address: SocketAddr) -> Result<PeerSocket> {
    PeerSocket::bind(registry, address).map_err(|e| refused(host, address, &e))
}

fn refused(host: &str, address: SocketAddr, error: &io::Error) -> Error {
    let what = match error.raw_os_error() {
        Some(libc::EADDRNOTAVAIL) => {
            format!("{error}; this machine has no such address: compare the address of {host} in tier.hosts")
        }
        Some(libc::EADDRINUSE) => format!("{error}; another agent runs here, or give {host} another port"),
        Some(libc::EACCES) => format!("{error}; ports below 1024 need CAP_NET_BIND_SERVICE"),
        _ => error.to_string(),
    };
    Error::new(ErrorCode::Io, format!("tier: cannot open the peer channel at {address}: {what}"))
}

#[cfg(test)]
mod tests;
