//! A listening socket for load balancers: TCP, or a unix socket with a mode of its own.

use super::super::descriptor::{Fd, Registry, checked, owned};
use super::super::place::Place;
use super::super::socket::{Progress, RawAddress, Socket, Target};
use crate::config::ListenAddress;
use crate::error::{Error, ErrorCode, Result};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;

/// Connections that wait to be taken.
const BACKLOG: libc::c_int = 256;

/// The socket. Dropping it ends listening and removes a unix socket's file, unless it has become another one's.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: Fd,
    file: Option<(Place, (u64, u64))>,
}

impl Listener {
    /// Binds and listens. `mode` is for unix sockets.
    pub(crate) fn open(registry: &Arc<Registry>, address: &ListenAddress, mode: u32) -> Result<Listener> {
        let failed = |e: io::Error| {
            let hint = match e.raw_os_error() {
                Some(libc::EADDRINUSE) => "; another process listens there, stop it or name another address",
                Some(libc::EADDRNOTAVAIL) => "; it is not an address of this machine",
                Some(libc::EACCES | libc::EPERM) => {
                    "; the user that runs this program may not: take a port above 1023, or a folder that it may write"
                }
                Some(libc::ENOENT) => "; create its folder",
                Some(libc::EEXIST) => "; there is a file of that name that is no socket, move it aside",
                _ => "",
            };
            Error::new(ErrorCode::Io, format!("cannot listen at {address}: {e}{hint}"))
        };
        match address {
            ListenAddress::Tcp(address) => tcp(registry, *address),
            ListenAddress::Unix(path) => unix(registry, path, mode),
        }
        .map_err(failed)
    }

    /// The descriptor.
    pub(crate) fn number(&self) -> RawFd {
        self.fd.number()
    }

    /// Gives a unix socket's file another mode.
    pub(crate) fn set_mode(&self, mode: u32) {
        if let Some((place, file)) = &self.file
            && place.look().ok().flatten().is_some_and(|(id, _)| id == *file)
        {
            // A folder that has become closed to us leaves the mode that it had.
            let _ = place.set_mode(mode);
        }
    }

    /// The next connection; `None` if none waits.
    pub(crate) fn accept(&self, registry: &Arc<Registry>) -> io::Result<Option<Socket>> {
        loop {
            let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            // SAFETY: the peer's address is not asked for, so both pointers may be null.
            let fd =
                unsafe { libc::accept4(self.number(), core::ptr::null_mut(), core::ptr::null_mut(), flags) };
            match owned(fd) {
                Ok(fd) => {
                    let socket = Socket::accepted(registry.adopt(fd));
                    if self.file.is_none() {
                        socket.no_delay();
                    }
                    return Ok(Some(socket));
                }
                Err(e) => match e.raw_os_error() {
                    // accept(2): errors of the network that belong to the connection that is gone.
                    Some(
                        libc::EINTR
                        | libc::ECONNABORTED
                        | libc::ENETDOWN
                        | libc::EPROTO
                        | libc::EHOSTDOWN
                        | libc::EHOSTUNREACH
                        | libc::ENETUNREACH
                        | libc::ENONET,
                    ) => {}
                    Some(libc::EAGAIN) => return Ok(None),
                    _ => return Err(e),
                },
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some((place, file)) = &self.file
            && place.look().ok().flatten().is_some_and(|(id, _)| id == *file)
        {
            // What cannot be removed refuses, and the next start replaces it.
            let _ = place.remove();
        }
    }
}

fn socket(family: libc::c_int) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointer is passed.
    owned(unsafe { libc::socket(family, kind, 0) })
}

fn bind(fd: &OwnedFd, raw: &RawAddress) -> io::Result<()> {
    // SAFETY: the address is a live structure of the length that is passed with it.
    checked(unsafe { libc::bind(fd.as_raw_fd(), raw.pointer(), raw.length) })
}

fn listen(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    checked(unsafe { libc::listen(fd.as_raw_fd(), BACKLOG) })
}

fn switch_on(fd: &OwnedFd, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `on` is live and `length` is its length.
    checked(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const on).cast(), length) })
}

fn tcp(registry: &Arc<Registry>, address: SocketAddr) -> io::Result<Listener> {
    let raw = RawAddress::of(&Target::Tcp(address))?;
    let fd = socket(raw.family())?;
    // A restart is not to wait for connections of the one before.
    switch_on(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR)?;
    if address.is_ipv6() {
        // [::] and 0.0.0.0 go side by side.
        switch_on(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)?;
    }
    bind(&fd, &raw)?;
    listen(&fd)?;
    Ok(Listener { fd: registry.adopt(fd), file: None })
}

fn unix(registry: &Arc<Registry>, path: &Path, mode: u32) -> io::Result<Listener> {
    let place = Place::at(path.to_owned()).settle()?;
    RawAddress::unix(path)?;
    make_room(&place)?;
    let fd = socket(libc::AF_UNIX)?;
    // The file takes the mode of the descriptor, less the umask: nobody else can use it from the first moment.
    // SAFETY: no pointer is passed.
    checked(unsafe { libc::fchmod(fd.as_raw_fd(), 0o600) })?;
    let fd = place.with_path(move |path| bind(&fd, &RawAddress::unix(path)?).map(|()| fd))?;
    let (file, _) = place.look()?.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
    let listener = Listener { fd: registry.adopt(fd), file: Some((place, file)) };
    if let Some((place, _)) = &listener.file {
        place.set_mode(mode)?;
    }
    // SAFETY: no pointer is passed.
    checked(unsafe { libc::listen(listener.number(), BACKLOG) })?;
    Ok(listener)
}

/// Removes the socket that a dead process has left.
fn make_room(place: &Place) -> io::Result<()> {
    let Some((_, mode)) = place.look()? else { return Ok(()) };
    if mode & libc::S_IFMT != libc::S_IFSOCK {
        return Err(io::Error::from_raw_os_error(libc::EEXIST));
    }
    let attempt = place.with_path(|path| {
        Socket::connect(&Registry::new(0), &Target::Unix(path.to_owned())).map(|(_, progress)| progress)
    });
    match attempt {
        Ok(Progress::Up | Progress::Pending | Progress::Full) => {
            Err(io::Error::from_raw_os_error(libc::EADDRINUSE))
        }
        Err(e) if matches!(e.raw_os_error(), Some(libc::ECONNREFUSED | libc::ENOENT)) => place.remove(),
        Err(e) => Err(e),
    }
}
