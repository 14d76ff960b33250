//! Users of this machine: numbers of names, and who is at the other end of a unix socket.

use super::descriptor::checked;
use crate::error::{Error, ErrorCode, Result};
use std::ffi::CString;
use std::io;
use std::os::fd::RawFd;

/// Buffers for an entry of the user database: the first try, and where it ends.
const FIRST_BUFFER: usize = 1024;
const LAST_BUFFER: usize = 1 << 20;

/// The process at the other end of a unix socket, as the kernel knew it when the connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Process id; 0 if it lives in a PID namespace that is not visible here.
    pub(crate) pid: u32,
    /// Effective user.
    pub(crate) uid: u32,
}

/// The user that this process runs as.
pub(crate) fn own() -> u32 {
    // SAFETY: no preconditions, cannot fail.
    unsafe { libc::geteuid() }
}

/// The peer of a connected unix socket.
pub(crate) fn peer(fd: RawFd) -> io::Result<Peer> {
    let mut cred = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: both pointers are live and `length` is the length of `cred`.
    checked(unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut cred).cast(), &mut length)
    })?;
    Ok(Peer { pid: u32::try_from(cred.pid).unwrap_or(0), uid: cred.uid })
}

/// The numbers of users that the configuration names. Blocks on the system's user database.
///
/// # Errors
/// [`ErrorCode::Config`] for a name that nobody has, [`ErrorCode::Io`] if the database cannot be asked.
pub(crate) fn numbers(users: &[String]) -> Result<Vec<u32>> {
    users
        .iter()
        .map(|user| match user.parse() {
            Ok(number) => Ok(number),
            Err(_) => match of_name(user) {
                Ok(Some(number)) => Ok(number),
                Ok(None) => Err(Error::new(
                    ErrorCode::Config,
                    format!("key control_users: this machine has no user '{user}'"),
                )),
                Err(e) => Err(Error::new(
                    ErrorCode::Io,
                    format!("key control_users: user '{user}' cannot be looked up: {e}"),
                )),
            },
        })
        .collect()
}

fn of_name(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut buffer = vec![0u8; FIRST_BUFFER];
    loop {
        // SAFETY: passwd is numbers and pointers, for which all zeros is valid.
        let mut entry: libc::passwd = unsafe { core::mem::zeroed() };
        let mut found = core::ptr::null_mut();
        // SAFETY: the name ends with NUL; entry, buffer and result are live, and the buffer has the length given.
        let rc = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                &raw mut entry,
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &raw mut found,
            )
        };
        match rc {
            0 if found.is_null() => return Ok(None),
            0 => return Ok(Some(entry.pw_uid)),
            libc::ERANGE if buffer.len() < LAST_BUFFER => buffer.resize(buffer.len() * 4, 0),
            libc::EINTR => {}
            // What getpwnam(3) lists for a name that is not there.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}
