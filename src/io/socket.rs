//! One nonblocking stream connection to a server.
//!
//! Writes go out by sendmsg with MSG_NOSIGNAL only: a host that leaves SIGPIPE alone must not die because a server
//! did.

use super::descriptor::{Fd, Registry, checked, owned};
use crate::probe::PeerSign;
use core::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// How far a connection attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The connection is up.
    Up,
    /// The descriptor becomes writable when the attempt ends.
    Pending,
    /// A unix socket's backlog is full: the server does not accept. Nothing will tell when to try again.
    Full,
}

/// A connection, or an attempt at one.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: Fd,
    tcp: bool,
    /// Packets sent again, as of the last look at the peer's sign.
    retransmitted: Cell<u32>,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes are in the buffer.
    Bytes(usize),
    /// Nothing is there now.
    Nothing,
    /// The peer closed its side.
    End,
    /// The connection broke with this error number.
    Broken(i32),
}

impl Socket {
    /// Starts to connect.
    pub(crate) fn connect(registry: &Arc<Registry>, target: &Target) -> io::Result<(Socket, Progress)> {
        let raw = RawAddress::of(target)?;
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no pointer is passed.
        let fd = registry.adopt(owned(unsafe { libc::socket(raw.family(), kind, 0) })?);
        let socket = Socket { fd, tcp: matches!(target, Target::Tcp(_)), retransmitted: Cell::new(0) };
        if socket.tcp {
            socket.set_option(libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
        }
        // SAFETY: the address is a live structure of the length that is passed with it.
        match checked(unsafe { libc::connect(socket.number(), (&raw const raw.storage).cast(), raw.length) })
        {
            Ok(()) => {
                socket.refuse_self()?;
                Ok((socket, Progress::Up))
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EINPROGRESS | libc::EINTR) => Ok((socket, Progress::Pending)),
                Some(libc::EAGAIN) if !socket.tcp => Ok((socket, Progress::Full)),
                _ => Err(error),
            },
        }
    }

    /// A connection to a unix socket that was accepted.
    pub(super) fn accepted(fd: Fd) -> Socket {
        Socket { fd, tcp: false, retransmitted: Cell::new(0) }
    }

    /// Sends small pieces at once.
    #[cfg(feature = "cli")]
    pub(super) fn no_delay(&self) {
        // A unix socket has no such option and no delay.
        let _ = self.set_option(libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    }

    /// Tells the peer that nothing more will come.
    #[cfg(feature = "cli")]
    pub(super) fn finish_sending(&self) {
        // SAFETY: no pointer is passed. Failure means that there is no connection to end.
        unsafe { libc::shutdown(self.number(), libc::SHUT_WR) };
    }

    /// A TCP connection that a test has made.
    #[cfg(test)]
    pub(crate) fn from_connected(fd: Fd) -> Socket {
        Socket { fd, tcp: true, retransmitted: Cell::new(0) }
    }

    /// Tries again to connect to a unix socket whose backlog was full.
    pub(crate) fn retry(&self, target: &Target) -> io::Result<Progress> {
        let raw = RawAddress::of(target)?;
        // SAFETY: as in `connect`.
        match checked(unsafe { libc::connect(self.number(), (&raw const raw.storage).cast(), raw.length) }) {
            Ok(()) => Ok(Progress::Up),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => Ok(Progress::Full),
                Some(libc::EINPROGRESS | libc::EINTR) => Ok(Progress::Pending),
                Some(libc::EISCONN) => Ok(Progress::Up),
                _ => Err(error),
            },
        }
    }

    /// The descriptor's number.
    pub(crate) fn number(&self) -> RawFd {
        self.fd.number()
    }

    /// How an attempt that was pending ended, once the descriptor is writable.
    pub(crate) fn finish(&self) -> io::Result<()> {
        match self.option(libc::SOL_SOCKET, libc::SO_ERROR)? {
            0 => self.refuse_self(),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// A TCP port of this machine on which nobody listens can be connected to itself when the kernel picks that very
    /// port as our own. It would keep the server from binding its port, and nothing but us would ever answer.
    fn refuse_self(&self) -> io::Result<()> {
        if !self.tcp {
            return Ok(());
        }
        let own = self.name(libc::getsockname)?;
        // The peer may have reset the connection meanwhile; then it has no name any more.
        let peer =
            self.name(libc::getpeername).map_err(|_| io::Error::from_raw_os_error(libc::ECONNRESET))?;
        if own == peer { Err(io::Error::from_raw_os_error(libc::ECONNREFUSED)) } else { Ok(()) }
    }

    fn name(
        &self,
        call: unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int,
    ) -> io::Result<[u8; 28]> {
        // 28 bytes hold a sockaddr_in6; the kernel writes no more than the length says.
        let mut bytes = [0u8; 28];
        let mut length = bytes.len() as libc::socklen_t;
        // SAFETY: both pointers are live; the buffer is as long as `length` says. Its alignment does not matter to
        // the kernel, and the bytes are only compared.
        checked(unsafe { call(self.number(), bytes.as_mut_ptr().cast(), &mut length) })?;
        Ok(bytes)
    }

    /// Writes as much as the kernel takes; 0 if it takes nothing now.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            let mut part = libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() };
            // SAFETY: an all-zero msghdr is valid: no address, no control data. `part` names `rest`, which the
            // kernel only reads.
            let result = unsafe {
                let mut message: libc::msghdr = core::mem::zeroed();
                message.msg_iov = &mut part;
                message.msg_iovlen = 1;
                libc::sendmsg(self.number(), &message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
            };
            if result >= 0 {
                sent += result as usize;
                continue;
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => break,
                _ => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Reads what is there into the buffer.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Received {
        loop {
            // SAFETY: pointer and length name the buffer.
            let result = unsafe {
                libc::recv(self.number(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
            };
            match result {
                0 => return Received::End,
                n if n > 0 => return Received::Bytes(n as usize),
                _ => {}
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Received::Nothing,
                _ => return Received::Broken(error.raw_os_error().unwrap_or(libc::EIO)),
            }
        }
    }

    /// What the kernel knows of the peer. Only the client's own kernel is asked, so this never waits.
    ///
    /// Everything sent and acknowledged, and no answer: the host lives and the server hangs. A stopped server's
    /// kernel goes on acknowledging, and even completes handshakes while the backlog has room. It acknowledges what it
    /// gets within 40 ms: if something had to be sent again since the last look, packets get lost on the way, and the
    /// answer may be among them. And what it could not send, for the way out of this machine is gone, nobody has acknowledged.
    pub(crate) fn sign(&self) -> PeerSign {
        if !self.tcp {
            return PeerSign::Acknowledged;
        }
        // SAFETY: tcp_info is plain data for which all zeros is valid.
        let mut info: libc::tcp_info = unsafe { core::mem::zeroed() };
        let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
        // SAFETY: both pointers are live; older kernels fill in less and say so in `length`.
        let result = checked(unsafe {
            libc::getsockopt(
                self.number(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                (&raw mut info).cast(),
                &mut length,
            )
        });
        /// TCP_SYN_SENT of the kernel's tcp_states.h.
        const SYN_SENT: u8 = 2;
        match result {
            // No answer from our own kernel proves nothing about the host; take the sign that needs more time.
            Err(_) => PeerSign::NotAcknowledged,
            Ok(()) if info.tcpi_state == SYN_SENT => PeerSign::Connecting,
            Ok(()) if self.retransmitted.replace(info.tcpi_total_retrans) < info.tcpi_total_retrans => {
                PeerSign::NotAcknowledged
            }
            Ok(()) if info.tcpi_unacked > 0 || self.unsent() > 0 => PeerSign::NotAcknowledged,
            Ok(()) => PeerSign::Acknowledged,
        }
    }

    /// How many bytes wait to be sent for the first time; 0 where the kernel does not tell.
    fn unsent(&self) -> libc::c_int {
        /// SIOCOUTQNSD of linux/sockios.h.
        const UNSENT: u16 = 0x894b;
        let mut count: libc::c_int = 0;
        // SAFETY: `count` is live and of the size that the request writes.
        match unsafe { libc::ioctl(self.number(), UNSENT.into(), &raw mut count) } {
            0 => count,
            _ => 0,
        }
    }

    /// Ends the connection towards the peer, also where a forked child holds the same socket.
    pub(crate) fn shut(&self) {
        // SAFETY: no pointer is passed. Failure means that there is no connection to end.
        unsafe { libc::shutdown(self.number(), libc::SHUT_RDWR) };
    }

    fn set_option(&self, level: i32, name: i32, value: i32) -> io::Result<()> {
        let length = size_of::<i32>() as libc::socklen_t;
        // SAFETY: `value` is live and `length` is its length.
        checked(unsafe { libc::setsockopt(self.number(), level, name, (&raw const value).cast(), length) })
    }

    fn option(&self, level: i32, name: i32) -> io::Result<i32> {
        let mut value = 0i32;
        let mut length = size_of::<i32>() as libc::socklen_t;
        // SAFETY: both pointers are live and `length` is the length of `value`.
        checked(unsafe {
            libc::getsockopt(self.number(), level, name, (&raw mut value).cast(), &mut length)
        })?;
        Ok(value)
    }
}

/// An address as the kernel reads it.
pub(super) struct RawAddress {
    storage: Storage,
    pub(super) length: libc::socklen_t,
}

#[repr(C)]
union Storage {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
    unix: libc::sockaddr_un,
    family: libc::sa_family_t,
}

impl RawAddress {
    pub(super) fn of(target: &Target) -> io::Result<RawAddress> {
        Ok(match target {
            Target::Tcp(SocketAddr::V4(a)) => RawAddress {
                storage: Storage {
                    v4: libc::sockaddr_in {
                        sin_family: libc::AF_INET as libc::sa_family_t,
                        sin_port: a.port().to_be(),
                        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(a.ip().octets()) },
                        sin_zero: [0; 8],
                    },
                },
                length: size_of::<libc::sockaddr_in>() as libc::socklen_t,
            },
            Target::Tcp(SocketAddr::V6(a)) => RawAddress {
                storage: Storage {
                    v6: libc::sockaddr_in6 {
                        sin6_family: libc::AF_INET6 as libc::sa_family_t,
                        sin6_port: a.port().to_be(),
                        sin6_flowinfo: a.flowinfo(),
                        sin6_addr: libc::in6_addr { s6_addr: a.ip().octets() },
                        sin6_scope_id: a.scope_id(),
                    },
                },
                length: size_of::<libc::sockaddr_in6>() as libc::socklen_t,
            },
            Target::Unix(path) => Self::unix(path)?,
        })
    }

    /// Of a unix socket; the path has at most 107 bytes.
    pub(super) fn unix(path: &Path) -> io::Result<RawAddress> {
        let bytes = path.as_os_str().as_bytes();
        let mut unix =
            libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path: [0; 108] };
        // The last byte stays zero.
        if bytes.len() >= unix.sun_path.len() || bytes.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        for (to, from) in unix.sun_path.iter_mut().zip(bytes) {
            *to = *from as libc::c_char;
        }
        let length = size_of::<libc::sa_family_t>() + bytes.len() + 1;
        Ok(RawAddress { storage: Storage { unix }, length: length as libc::socklen_t })
    }

    /// The structure, as system calls take it.
    pub(super) fn pointer(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    pub(super) fn family(&self) -> i32 {
        // SAFETY: every member of the union begins with the family.
        i32::from(unsafe { self.storage.family })
    }
}
