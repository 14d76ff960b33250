//! The cache file on disk, and files that hold secrets.

use super::descriptor::owned;
use super::folder::{Folder, file_name};
use crate::error::{Error, ErrorCode, Result};
use crate::store::{self, Cache};
use crate::wire::Secret;
use parking_lot::Mutex;
use std::ffi::{CStr, CString};
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::RawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// A larger file is no cache: 1000 pools of 100 nodes with long messages stay below it.
const LARGEST_CACHE: u64 = 64 << 20;
/// A larger file is no password.
const LARGEST_SECRET: u64 = 4096;
/// A larger file is no key and no list of authorities.
const LARGEST_PEM: u64 = 1 << 20;
/// Owner writes, group reads: a cache holds no secrets, and monitoring reads it without the lock.
const MODE: u32 = 0o640;

/// The place of a cache file: its folder held open, so that reading and writing go on after chroot.
///
/// Reading needs no lock: a reader sees the old document or the new one. Only the holder of
/// [`super::lock::CacheLock`] may write.
#[derive(Debug)]
pub struct CacheFolder {
    folder: Folder,
    path: PathBuf,
    name: CString,
    temporary: CString,
    lock: CString,
    tables: [CString; 2],
    writing: Mutex<()>,
}

impl CacheFolder {
    /// Opens the folder of the cache file `path`; the file itself may be missing.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Io`] if the folder cannot be opened, [`ErrorCode::Invalid`] if `path` names no file.
    pub fn open(path: &Path) -> Result<CacheFolder> {
        let Some(name) = file_name(path) else {
            return Err(Error::new(
                ErrorCode::Invalid,
                format!(
                    "the cache file {} names no file: give a path that ends in a file's name",
                    path.display()
                ),
            ));
        };
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = Folder::open(parent).map_err(|e| {
            Error::new(
                ErrorCode::Io,
                format!(
                    "cannot open the folder of the cache file {}: {e}; create it with `mkdir -p` for the user that \
                     runs this program",
                    path.display()
                ),
            )
        })?;
        let temporary = with_suffix(&name, c".tmp");
        let lock = with_suffix(&name, c".lock");
        let tables = [with_suffix(&name, c".tables"), with_suffix(&name, c".tables.tmp")];
        Ok(CacheFolder {
            folder,
            path: path.to_owned(),
            name,
            temporary,
            lock,
            tables,
            writing: Mutex::new(()),
        })
    }

    /// The cache file's path as it was given to [`CacheFolder::open`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What identifies the cache in this machine: the folder's device and inode, and the name in it.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Io`] if the system does not tell.
    pub fn place(&self) -> Result<((u64, u64), Vec<u8>)> {
        let id = self.folder.id().map_err(|e| self.error(format_args!("cannot look at its folder: {e}")))?;
        Ok((id, self.name.as_bytes().to_vec()))
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The name of the lock file inside the folder.
    pub(super) fn lock_name(&self) -> &CStr {
        &self.lock
    }

    /// The name of the file of tables inside the folder, and the one under which it is made.
    pub(super) fn tables_names(&self) -> (&CStr, &CStr) {
        let [tables, temporary] = &self.tables;
        (tables, temporary)
    }

    /// Reads the document; `None` if there is no file.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Cache`] if the file is not a good document, [`ErrorCode::Io`] if it cannot be read.
    pub fn read(&self) -> Result<Option<Cache>> {
        let failed = |e: io::Error| self.error(format_args!("cannot read the cache: {}", words(&e)));
        let file = match self.folder.open_file(&self.name, libc::O_RDONLY, 0) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(self.error(format_args!("this is not a regular file; name another cache_file")));
        }
        let mut bytes = Vec::new();
        file.take(LARGEST_CACHE + 1).read_to_end(&mut bytes).map_err(failed)?;
        let origin = self.path.to_string_lossy();
        if bytes.len() as u64 > LARGEST_CACHE {
            return Err(Error::new(
                ErrorCode::Cache,
                format!(
                    "{origin}: byte {LARGEST_CACHE}: no cache is as large as this file; move it aside and run \
                     `primacy init`"
                ),
            ));
        }
        store::decode(&bytes, &origin).map(Some)
    }

    /// Replaces the document by `text`, as [`store::encode`] made it. When this returns `Ok`, the new document
    /// survives a power failure; a crash at any moment leaves the old or the new one. Blocks on the disk.
    ///
    /// Mode and owner of the file are kept. Only the holder of the lock may call this.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Io`]; the text says whether the old document is kept.
    pub fn write(&self, text: &str) -> Result<()> {
        let _one_at_a_time = self.writing.lock();
        if let Err(e) = self.prepare(text).and_then(|()| self.folder.rename(&self.temporary, &self.name)) {
            // Free what the full disk holds; if this fails too, the next write tries again.
            let _ = self.folder.remove(&self.temporary);
            return Err(self.error(format_args!(
                "cannot write the cache: {}; the old state in the file is kept",
                words(&e)
            )));
        }
        self.folder.sync().map_err(|e| {
            self.error(format_args!(
                "the new state is in the file, but the folder cannot be synced: {e}; a power failure may bring the \
                 old state back"
            ))
        })
    }

    /// Gives the document a second name that outlives its replacement, `CACHE.old.N` with the first free N from 1;
    /// `None` if there is no document.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Io`] if the file system refuses.
    pub fn keep_old(&self) -> Result<Option<PathBuf>> {
        for n in 1..=9999 {
            let mut old = self.path.clone().into_os_string();
            old.push(format!(".old.{n}"));
            match std::fs::hard_link(&self.path, &old) {
                Ok(()) => return Ok(Some(old.into())),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    return Err(
                        self.error(format_args!("cannot keep a copy of the old cache: {}", words(&e)))
                    );
                }
            }
        }
        Err(self.error(format_args!("there are 9999 old copies of the cache already; remove some")))
    }

    /// Brings the whole text to disk under the temporary name.
    fn prepare(&self, text: &str) -> io::Result<()> {
        // A leftover of a crashed writer; there is no live one, since this process holds the lock.
        self.folder.remove(&self.temporary)?;
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let mut file = self.folder.open_file(&self.temporary, flags, MODE)?;
        self.inherit(&file)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    /// Gives the new file the old one's mode and owner, so that a command run by root does not lock the service out.
    pub(super) fn inherit(&self, file: &File) -> io::Result<()> {
        match self.folder.open_file(&self.name, libc::O_RDONLY, 0).and_then(|old| old.metadata()) {
            Ok(old) => {
                adopt_owner(file, (old.uid(), old.gid()));
                file.set_permissions(Permissions::from_mode(old.mode() & 0o777))
            }
            // No old file (or one that cannot be looked at, which must not stop the state from being saved).
            Err(_) => {
                adopt_owner(file, self.folder.owner()?);
                Ok(())
            }
        }
    }

    fn error(&self, what: core::fmt::Arguments<'_>) -> Error {
        Error::new(ErrorCode::Io, format!("{}: {what}", self.path.display()))
    }
}

/// Hands a file that this process has just made to another owner, where it may (it runs as root). Where it may not,
/// the file stays its own, which is as it should be: it is the one that uses it.
pub(super) fn adopt_owner(file: &File, (uid, gid): (u32, u32)) {
    if file.metadata().is_ok_and(|m| (m.uid(), m.gid()) != (uid, gid)) {
        let _ = fchown(file, Some(uid), Some(gid));
    }
}

/// What the system said, and what to do where that is known.
fn words(e: &io::Error) -> String {
    match e.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => format!("{e}; free space on this file system"),
        Some(libc::ELOOP) => "this is a symbolic link; name the file that it leads to as cache_file".into(),
        Some(libc::EACCES) => {
            format!("{e}; the user that runs this program must be allowed to write in its folder")
        }
        _ => e.to_string(),
    }
}

fn with_suffix(name: &CStr, suffix: &CStr) -> CString {
    let mut bytes = name.to_bytes().to_vec();
    bytes.extend_from_slice(suffix.to_bytes());
    // Neither part holds a NUL, both come from C strings; so the default never shows.
    CString::new(bytes).unwrap_or_default()
}

/// Reads a password from a file: one line, whose end is not part of the password.
///
/// # Errors
///
/// [`ErrorCode::Secret`] if the file is missing, unreadable, open to all users, empty, of more than one line or larger
/// than 4096 bytes. The text never holds any of the content.
pub fn read_secret(path: &Path) -> Result<Secret> {
    let file = open_secret("password", path)?;
    read_password(file).map_err(|what| refused("password", path, &what))
}

/// Reads a password from a descriptor that the host has opened: up to its end, and once. It stays open and is the host's.
///
/// A pipe must be closed by its writer first, or this waits for it. A file is read from where the descriptor stands.
///
/// # Errors
///
/// [`ErrorCode::Secret`] if the descriptor is not open for reading, or holds what [`read_secret`] refuses in a file.
pub fn read_secret_descriptor(number: RawFd) -> Result<Secret> {
    let refused = |what: String| Error::new(ErrorCode::Secret, format!("password_fd {number}: {what}"));
    // A number of our own for the same open file: dropping it leaves the host's alone.
    // SAFETY: no pointer is passed; a number that is not open is an error.
    let own = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) };
    let own = owned(own).map_err(|e| refused(format!("it is no open descriptor: {e}")))?;
    read_password(File::from(own)).map_err(refused)
}

/// The password that is all of a file. The error is a sentence without any of its content.
fn read_password(file: File) -> core::result::Result<Secret, String> {
    // Room for all at once: a growing vector would leave copies behind in freed memory.
    let mut bytes = Vec::with_capacity(LARGEST_SECRET as usize + 1);
    let outcome = file.take(LARGEST_SECRET + 1).read_to_end(&mut bytes);
    let line = bytes.strip_suffix(b"\n").map_or(bytes.as_slice(), |l| l.strip_suffix(b"\r").unwrap_or(l));
    let secret = match outcome {
        Err(e) => Err(format!("cannot read it: {e}")),
        Ok(_) if bytes.len() as u64 > LARGEST_SECRET => {
            Err(format!("it is larger than {LARGEST_SECRET} bytes; it must hold the password alone"))
        }
        Ok(_) if line.is_empty() => {
            Err("it is empty; write the password into it, or leave the key out".to_string())
        }
        Ok(_) if line.iter().any(|b| matches!(b, b'\n' | 0)) => {
            Err("it holds more than one line or a NUL; it must hold the password alone".to_string())
        }
        Ok(_) => Ok(Secret::new(line)),
    };
    bytes.fill(0);
    core::hint::black_box(&bytes);
    secret
}

/// Reads the key of a peer channel: all bytes of the file, whatever they are, but for the end of its last line.
///
/// # Errors
///
/// As [`read_secret`]; how long a key must be is for who uses it to say.
pub(crate) fn read_shared_key(path: &Path) -> Result<Secret> {
    let file = open_secret("peer key", path)?;
    // Room for all at once, as for a password.
    let mut bytes = Vec::with_capacity(LARGEST_SECRET as usize + 1);
    let outcome = file.take(LARGEST_SECRET + 1).read_to_end(&mut bytes);
    let line = bytes.strip_suffix(b"\n").map_or(bytes.as_slice(), |l| l.strip_suffix(b"\r").unwrap_or(l));
    let secret = match outcome {
        Err(e) => Err(format!("cannot read it: {e}")),
        Ok(_) if bytes.len() as u64 > LARGEST_SECRET => {
            Err(format!("it is larger than {LARGEST_SECRET} bytes; it must hold the key alone"))
        }
        Ok(_) => Ok(Secret::new(line)),
    };
    bytes.fill(0);
    core::hint::black_box(&bytes);
    secret.map_err(|what| refused("peer key", path, &what))
}

/// Reads a private key in PEM, under the same conditions as a password.
#[cfg_attr(not(feature = "tls"), allow(dead_code))]
pub(crate) fn read_private_key(path: &Path) -> Result<Secret> {
    let mut file = open_secret("private key", path)?;
    let length = file.metadata().map_or(0, |metadata| metadata.len().min(LARGEST_PEM));
    let mut bytes = Vec::with_capacity(length as usize + 1);
    let outcome = (&mut file).take(LARGEST_PEM).read_to_end(&mut bytes);
    let secret = Secret::new(bytes);
    outcome.map(|_| secret).map_err(|e| refused("private key", path, &format!("cannot read it: {e}")))
}

/// Reads a file in PEM that is no secret; only its size is bounded. The error is a sentence without the file's name.
pub(crate) fn read_public(path: &Path) -> core::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    // A pipe that nobody writes must not hold up the caller.
    File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .and_then(|file| file.take(LARGEST_PEM + 1).read_to_end(&mut bytes))
        .map_err(|e| format!("cannot read it: {e}"))?;
    if bytes.len() as u64 > LARGEST_PEM {
        return Err(format!("it is larger than {LARGEST_PEM} bytes; it must hold PEM alone"));
    }
    Ok(bytes)
}

fn refused(kind: &str, path: &Path, what: &str) -> Error {
    Error::new(ErrorCode::Secret, format!("{kind} file {}: {what}", path.display()))
}

/// Opens a file that not every user may read.
fn open_secret(kind: &str, path: &Path) -> Result<File> {
    let refuse = |what: String| refused(kind, path, &what);
    // Symbolic links are followed: orchestrators mount secrets as links.
    let file =
        File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).map_err(
            |e| match e.kind() {
                io::ErrorKind::NotFound => refuse("there is no such file; create it with mode 0600".into()),
                io::ErrorKind::PermissionDenied => refuse(
                    "the user that runs this program may not read it; change its owner or group".into(),
                ),
                _ => refuse(format!("cannot open it: {e}")),
            },
        )?;
    let metadata = file.metadata().map_err(|e| refuse(format!("cannot look at it: {e}")))?;
    if !metadata.is_file() {
        return Err(refuse("this is not a regular file".into()));
    }
    if metadata.mode() & 0o006 != 0 {
        return Err(refuse(format!(
            "every user of this machine may read or change it (mode {:04o}); run `chmod o= {}`",
            metadata.mode() & 0o7777,
            path.display()
        )));
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
