//! A folder held open: what is done in it still works after chroot and after the folder was renamed.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The descriptor of a folder.
#[derive(Debug)]
pub struct Folder(File);

/// Which file a name stands for: device and inode.
pub type FileId = (u64, u64);

/// A file's name inside a folder.
pub fn file_name(path: &Path) -> Option<CString> {
    CString::new(path.file_name()?.as_bytes()).ok()
}

/// Device and inode of an open file.
pub fn file_id(file: &File) -> io::Result<FileId> {
    file.metadata().map(|m| (m.dev(), m.ino()))
}

impl Folder {
    /// Opens the folder at `path`.
    pub fn open(path: &Path) -> io::Result<Folder> {
        File::options().read(true).custom_flags(libc::O_DIRECTORY).open(path).map(Folder)
    }

    /// Opens a file in the folder. A symbolic link is refused (ELOOP), a FIFO does not block; the descriptor
    /// does not outlive exec. `flags` as in open(2).
    pub fn open_file(&self, name: &CStr, flags: libc::c_int, mode: libc::mode_t) -> io::Result<File> {
        let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        loop {
            // SAFETY: the descriptor is open as long as `self`, the name ends with NUL, and the variadic mode has
            // the type that the kernel interface takes.
            let fd =
                unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags, libc::c_uint::from(mode)) };
            if fd >= 0 {
                // SAFETY: openat has just made this descriptor; nobody else owns it.
                return Ok(unsafe { File::from_raw_fd(fd) });
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Gives `to` the content of `from`: atomic for every reader.
    pub fn rename(&self, from: &CStr, to: &CStr) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        // SAFETY: the descriptor is open as long as `self`; both names end with NUL.
        result(unsafe { libc::renameat(fd, from.as_ptr(), fd, to.as_ptr()) })
    }

    /// Removes a file; no file is no error.
    pub fn remove(&self, name: &CStr) -> io::Result<()> {
        // SAFETY: the descriptor is open as long as `self`; the name ends with NUL.
        match result(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) }) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Device and inode behind a name, without opening it; `None` if there is no such file.
    pub fn id_of(&self, name: &CStr) -> io::Result<Option<FileId>> {
        Ok(self.look(name)?.map(|(id, _)| id))
    }

    /// Device, inode and mode behind a name, without opening it; `None` if there is no such file.
    pub fn look(&self, name: &CStr) -> io::Result<Option<(FileId, libc::mode_t)>> {
        let mut stat = core::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the descriptor is open as long as `self`, the name ends with NUL, and the buffer has the size of
        // the structure that the kernel fills.
        let rc = unsafe {
            libc::fstatat(self.0.as_raw_fd(), name.as_ptr(), stat.as_mut_ptr(), libc::AT_SYMLINK_NOFOLLOW)
        };
        match result(rc) {
            Ok(()) => {
                // SAFETY: fstatat succeeded, so it filled the structure.
                let stat = unsafe { stat.assume_init() };
                Ok(Some(((stat.st_dev, stat.st_ino), stat.st_mode)))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Sets a file's mode.
    pub fn set_mode(&self, name: &CStr, mode: libc::mode_t) -> io::Result<()> {
        // SAFETY: the descriptor is open as long as `self`; the name ends with NUL.
        result(unsafe { libc::fchmodat(self.0.as_raw_fd(), name.as_ptr(), mode, 0) })
    }

    /// Waits until the folder's entries are on disk.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    /// Device and inode of the folder.
    pub fn id(&self) -> io::Result<FileId> {
        file_id(&self.0)
    }

    /// Owner and group of the folder.
    pub fn owner(&self) -> io::Result<(u32, u32)> {
        self.0.metadata().map(|m| (m.uid(), m.gid()))
    }
}

fn result(rc: libc::c_int) -> io::Result<()> {
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
