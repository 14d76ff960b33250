//! A listening unix socket in the file system: nobody can reach it before its mode is right, no dead one stays in
//! its way, and nobody else's is taken away.

use super::control::ControlSetup;
use super::descriptor::{Fd, Registry, checked, owned};
use super::place::Place;
use super::socket::{Progress, RawAddress, Socket, Target};
use super::users;
use crate::error::{Error, ErrorCode, Result};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;

/// Connections that wait to be taken.
const BACKLOG: libc::c_int = 64;
/// For ourselves and root.
const OWN: libc::mode_t = 0o600;
/// Where others may come the kernel tells who it is; the mode alone cannot.
const OTHERS: libc::mode_t = 0o666;

/// The socket.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: Fd,
    place: Place,
    /// Device and inode, so that a successor's socket is not removed.
    file: Option<(u64, u64)>,
}

impl Listener {
    /// Binds and listens.
    pub(crate) fn open(registry: &Arc<Registry>, setup: &ControlSetup) -> Result<Listener> {
        let path = setup.place.path();
        let failed = |e: &io::Error| {
            let hint = match e.raw_os_error() {
                Some(libc::ENAMETOOLONG) => "; set control_socket to a shorter path, at most 107 bytes",
                Some(libc::ENOENT) => "; create its folder",
                Some(libc::EACCES | libc::EROFS | libc::EPERM) => {
                    "; the user that runs this program must be allowed to write its folder"
                }
                Some(libc::EOPNOTSUPP | libc::ENOSYS) => "; name one on a local file system",
                _ => "",
            };
            Error::new(ErrorCode::Io, format!("cannot make the control socket {}: {e}{hint}", path.display()))
        };
        let place = setup.place.settle().map_err(|e| failed(&e))?;
        // The place may be reached by its bare name, but those who come need a path that fits.
        RawAddress::unix(path).map_err(|e| failed(&e))?;
        make_room(&place, setup.named, &failed)?;
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no pointer is passed.
        let fd = owned(unsafe { libc::socket(libc::AF_UNIX, kind, 0) }).map_err(|e| failed(&e))?;
        let fd = place.with_path(move |path| bind(&fd, path).map(|()| fd)).map_err(|e| failed(&e))?;
        let file = id_of(&place);
        let listener = Listener { fd: registry.adopt(fd), place, file };
        listener.listen(!setup.users.is_empty()).map_err(|e| {
            listener.close();
            failed(&e)
        })?;
        Ok(listener)
    }

    /// The descriptor.
    pub(crate) fn number(&self) -> RawFd {
        self.fd.number()
    }

    /// The next connection; `None` if none waits.
    pub(crate) fn accept(&self, registry: &Arc<Registry>) -> io::Result<Option<Socket>> {
        loop {
            let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            // SAFETY: the peer's address is not asked for, so both pointers may be null.
            let fd =
                unsafe { libc::accept4(self.number(), core::ptr::null_mut(), core::ptr::null_mut(), flags) };
            match owned(fd) {
                Ok(fd) => return Ok(Some(Socket::accepted(registry.adopt(fd)))),
                Err(e) => match e.raw_os_error() {
                    Some(libc::EINTR | libc::ECONNABORTED) => {}
                    Some(libc::EAGAIN) => return Ok(None),
                    _ => return Err(e),
                },
            }
        }
    }

    /// Ends listening and removes the file, unless it has become another one's. A forked child that holds the same
    /// socket does not keep it alive.
    pub(crate) fn close(&self) {
        // SAFETY: no pointer is passed. Failure means that there is nothing to end.
        unsafe { libc::shutdown(self.number(), libc::SHUT_RDWR) };
        if self.file.is_some() && id_of(&self.place) == self.file {
            // A folder that has become closed to us keeps a socket that refuses; the next start replaces it.
            let _ = self.place.remove();
        }
    }

    fn listen(&self, others: bool) -> io::Result<()> {
        if others {
            // The umask has cut the mode at bind. Nobody can connect before listen.
            self.place.set_mode(OTHERS)?;
        }
        // SAFETY: no pointer is passed.
        checked(unsafe { libc::listen(self.number(), BACKLOG) })
    }
}

/// Binds with a mode that nobody else can use from the first moment: a socket's file takes the mode of the
/// descriptor, less the umask (`unix_bind` in the kernel).
fn bind(fd: &OwnedFd, path: &Path) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    checked(unsafe { libc::fchmod(fd.as_raw_fd(), OWN) })?;
    let raw = RawAddress::unix(path)?;
    // SAFETY: the address is a live structure of the length that is passed with it.
    checked(unsafe { libc::bind(fd.as_raw_fd(), raw.pointer(), raw.length) })
}

/// Removes what a dead process has left.
fn make_room(place: &Place, named: bool, failed: &dyn Fn(&io::Error) -> Error) -> Result<()> {
    let path = place.path();
    let taken = |what: String| {
        Error::new(ErrorCode::Io, format!("cannot make the control socket {}: {what}", path.display()))
    };
    let Some((_, mode)) = place.look().map_err(|e| failed(&e))? else { return Ok(()) };
    if mode & libc::S_IFMT != libc::S_IFSOCK {
        return Err(taken(
            "there is a file of that name that is no socket; move it aside or name another path".into(),
        ));
    }
    // Beside a cache whose lock is ours nobody else has a right to listen, though a forked child of the dead
    // may still hold its socket open.
    if named {
        let attempt = place.with_path(|path| {
            let (socket, progress) = Socket::connect(&Registry::new(0), &Target::Unix(path.to_owned()))?;
            let pid = if progress == Progress::Up { users::peer(socket.number())?.pid } else { 0 };
            Ok((progress, pid))
        });
        match attempt {
            Ok((Progress::Up, who)) => {
                return Err(taken(format!("process {who} listens there; stop it or name another path")));
            }
            Ok(_) => return Err(taken("another process listens there; stop it or name another path".into())),
            Err(e) if matches!(e.raw_os_error(), Some(libc::ECONNREFUSED | libc::ENOENT)) => {}
            Err(e) => return Err(failed(&e)),
        }
    }
    place.remove().map_err(|e| failed(&e))
}

fn id_of(place: &Place) -> Option<(u64, u64)> {
    place.look().ok().flatten().map(|(id, _)| id)
}
