//! One ICMP echo: a socket of its own, connected to the host, and what comes back on it.
//!
//! Linux lets every user in `net.ipv4.ping_group_range` send echoes by a datagram socket, for IPv6 too; else a raw
//! socket needs CAP_NET_RAW (icmp(7), raw(7)).

use super::descriptor::{Fd, Registry, checked, owned};
use super::entropy;
use super::socket::{RawAddress, Received, Target};
use crate::wire::icmp::{Family, Nonce, is_reply, request};
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;

/// Messages read in a row: a raw socket hears every ICMP message of the machine.
const READS: usize = 32;

/// An echo under way.
#[derive(Debug)]
pub(super) struct Echo {
    fd: Fd,
    family: Family,
    raw: bool,
    nonce: Nonce,
    sent: u16,
}

/// Why an echo could not be begun.
#[derive(Debug)]
pub(super) enum NoEcho {
    /// The system forbids both kinds of socket.
    Forbidden,
    /// The error number of anything else.
    Failed(i32),
}

impl From<io::Error> for NoEcho {
    fn from(error: io::Error) -> NoEcho {
        NoEcho::Failed(number_of(&error))
    }
}

impl Echo {
    /// Makes the socket and sends the first request.
    pub(super) fn begin(registry: &Arc<Registry>, to: SocketAddr) -> Result<Echo, NoEcho> {
        let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
        // A port is no part of an echo; a raw socket of IPv6 takes none but 0.
        let address = RawAddress::of(&Target::Tcp(SocketAddr::new(to.ip(), 0)))?;
        let (fd, raw) = match socket(address.family(), family, libc::SOCK_DGRAM) {
            Err(NoEcho::Forbidden) => (socket(address.family(), family, libc::SOCK_RAW)?, true),
            other => (other?, false),
        };
        let mut echo = Echo { fd: registry.adopt(fd), family, raw, nonce: entropy::bytes()?, sent: 0 };
        // SAFETY: the address is a live structure of the length that is passed with it. Only messages from this host,
        // and errors about it, reach a connected socket.
        checked(unsafe { libc::connect(echo.number(), address.pointer(), address.length) })?;
        echo.send()?;
        Ok(echo)
    }

    /// The descriptor's number.
    pub(super) fn number(&self) -> RawFd {
        self.fd.number()
    }

    /// How many requests went out.
    pub(super) fn sent(&self) -> u16 {
        self.sent
    }

    /// Sends a request; the reply to any of them will do.
    pub(super) fn send(&mut self) -> io::Result<()> {
        self.sent = self.sent.wrapping_add(1);
        let message = request(self.family, self.sent, &self.nonce);
        // SAFETY: pointer and length name `message`. A host that leaves SIGPIPE alone is not hit by it.
        let result = unsafe {
            libc::send(
                self.number(),
                message.as_ptr().cast(),
                message.len(),
                libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
            )
        };
        match checked(result.min(0) as libc::c_int) {
            // The queue is full: as good as lost on the way.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other,
        }
    }

    /// Reads what is there: whether the reply was among it.
    ///
    /// # Errors
    /// The error number, if the network says that there is no way to the host.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<bool, i32> {
        for _ in 0..READS {
            // SAFETY: pointer and length name the buffer.
            let count = unsafe {
                libc::recv(self.number(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
            };
            let received = match usize::try_from(count) {
                Ok(count) => Received::Bytes(count),
                Err(_) => {
                    let error = io::Error::last_os_error();
                    match error.kind() {
                        io::ErrorKind::Interrupted => continue,
                        io::ErrorKind::WouldBlock => Received::Nothing,
                        _ => Received::Broken(number_of(&error)),
                    }
                }
            };
            match received {
                Received::Bytes(count) => {
                    let message = buffer.get(..count).unwrap_or_default();
                    if is_reply(self.family, self.raw, message, &self.nonce) {
                        return Ok(true);
                    }
                }
                Received::Broken(errno) => return Err(errno),
                Received::Nothing | Received::End => return Ok(false),
            }
        }
        Ok(false)
    }
}

fn number_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

fn socket(domain: i32, family: Family, kind: i32) -> Result<std::os::fd::OwnedFd, NoEcho> {
    let protocol = match family {
        Family::V4 => libc::IPPROTO_ICMP,
        Family::V6 => libc::IPPROTO_ICMPV6,
    };
    // SAFETY: no pointer is passed.
    let made =
        owned(unsafe { libc::socket(domain, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, protocol) });
    made.map_err(|error| match error.raw_os_error() {
        // EPROTONOSUPPORT: kernels without datagram sockets for this ICMP.
        Some(libc::EACCES | libc::EPERM | libc::EPROTONOSUPPORT) => NoEcho::Forbidden,
        _ => error.into(),
    })
}
