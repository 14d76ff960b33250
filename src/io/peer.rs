//! The socket of the peer channel, and the turn that joins it with the machine ([`crate::vip::peer::Channel`]).

use super::descriptor::{Fd, Registry, checked, owned};
use super::entropy;
use super::file::read_shared_key;
use super::socket::{RawAddress, Target};
use crate::config::tier::TierConfig;
use crate::engine::Time;
use crate::error::{Error, ErrorCode, Result};
use crate::vip::peer::{Channel, Keys, LARGEST, PeerAddress, PeerInput, Registers, Settings};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;
use std::sync::Arc;

/// Datagrams read in one turn: a flood must not keep the loop from everything else.
const READS: usize = 256;

/// CS6, network control (RFC 2474, RFC 4594 section 3.1), as keepalived marks its adverts.
const TRAFFIC_CLASS: i32 = 0xc0;

/// A UDP socket at this host's address.
#[derive(Debug)]
pub(crate) struct PeerSocket {
    fd: Fd,
}

impl PeerSocket {
    /// Binds it. What is sent goes out from this very address, by which the peers know the host.
    pub(crate) fn bind(registry: &Arc<Registry>, address: SocketAddr) -> io::Result<PeerSocket> {
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

/// The channel of this host with its socket.
#[derive(Debug)]
pub(crate) struct PeerPort {
    socket: PeerSocket,
    address: SocketAddr,
    channel: Channel,
    /// To whom sending fails, and with which error.
    failing: BTreeMap<SocketAddr, i32>,
    buffer: Box<[u8; LARGEST + 1]>,
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

impl PeerPort {
    /// Opens the socket and begins a life on the channel.
    ///
    /// # Errors
    /// [`ErrorCode::Config`] as [`settings`], [`ErrorCode::Secret`] as [`keys`], [`ErrorCode::Io`] if the socket cannot be had: the text
    /// names the address and says what to do.
    pub(crate) fn open(
        registry: &Arc<Registry>,
        now: Time,
        tier: &TierConfig,
        host: &str,
        registers: Registers,
    ) -> Result<PeerPort> {
        let (address, settings) = settings(tier, host)?;
        let keys = keys(tier)?;
        let socket = PeerSocket::bind(registry, address).map_err(|e| refused(host, address, &e))?;
        let seed = entropy::bytes()
            .map_err(|e| Error::new(ErrorCode::Io, format!("tier: no random bytes from the system: {e}")))?;
        let channel = Channel::new(now, settings, keys, registers, seed)
            .map_err(|what| Error::new(ErrorCode::Config, format!("tier: {what}")))?;
        let buffer = Box::new([0; LARGEST + 1]);
        Ok(PeerPort { socket, address, channel, failing: BTreeMap::new(), buffer })
    }

    /// Takes a new configuration: keys, peers, interval, and another address if this host got one. Sessions with peers that stay go on.
    /// Whether [`PeerPort::number`] is another one now.
    ///
    /// # Errors
    /// As [`PeerPort::open`]; then all stays as it was.
    pub(crate) fn reload(
        &mut self,
        registry: &Arc<Registry>,
        now: Time,
        tier: &TierConfig,
        host: &str,
    ) -> Result<bool> {
        let (address, settings) = settings(tier, host)?;
        let keys = keys(tier)?;
        let moved = address != self.address;
        let socket = match moved {
            true => Some(PeerSocket::bind(registry, address).map_err(|e| refused(host, address, &e))?),
            false => None,
        };
        self.channel
            .set_peers(now, settings)
            .map_err(|what| Error::new(ErrorCode::Config, format!("tier: {what}")))?;
        self.channel.set_keys(keys);
        if let Some(socket) = socket {
            self.socket = socket;
            self.address = address;
        }
        self.failing.clear();
        Ok(moved)
    }

    /// The descriptor to watch for input.
    pub(crate) fn number(&self) -> RawFd {
        self.socket.number()
    }

    /// The machine, to give orders and to look at. [`PeerPort::flush`] sends what came of it.
    pub(crate) fn channel(&mut self) -> &mut Channel {
        &mut self.channel
    }

    /// When the next turn is due, if nothing comes in before.
    pub(crate) fn deadline(&self) -> Time {
        self.channel.poll_timeout()
    }

    /// Reads what came in, lets the machine judge the time, and sends: what there is to tell.
    pub(crate) fn turn(&mut self, now: Time) -> Vec<PeerInput> {
        let mut news = Vec::new();
        for _ in 0..READS {
            match self.socket.receive(self.buffer.as_mut_slice()) {
                Ok(Some((count, from))) => {
                    let bytes = self.buffer.get(..count).unwrap_or_default();
                    news.extend(self.channel.handle_datagram(now, from, bytes));
                }
                Ok(None) => break,
                // An error that the network reported for something sent earlier; the silence of the peer tells the same.
                Err(_) => {}
            }
        }
        if self.channel.poll_timeout() <= now {
            news.extend(self.channel.handle_timer(now));
        }
        news.extend(self.flush());
        news
    }

    /// Sends what waits. A peer to whom nothing can be sent is told of once, until it works again.
    pub(crate) fn flush(&mut self) -> Vec<PeerInput> {
        let mut news = Vec::new();
        while let Some((to, bytes)) = self.channel.poll_transmit() {
            let Err(error) = self.socket.send(to, &bytes) else {
                self.failing.remove(&to);
                continue;
            };
            let number = error.raw_os_error().unwrap_or(libc::EIO);
            if self.failing.insert(to, number) != Some(number) {
                let peer = self.channel.peer_at(to).unwrap_or_default().to_string();
                let words = format!("nothing can be sent to {peer} at {to}: {error}");
                news.push(PeerInput::Trouble { peer, words });
            }
        }
        news
    }
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
