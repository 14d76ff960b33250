//! A socket's place in the file system: a name in a folder that is held open, so that it can still be made after chroot.
//!
//! `bind` and `connect` take a path and know no folder descriptor. Where the path still leads to the folder it is used.
//! Elsewhere a thread of its own goes there: with a working directory that it shares with no other thread, it uses the
//! bare name.

use super::file::CacheFolder;
use super::folder::{FileId, Folder, file_name};
use super::thread;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A system call and an answer.
const STACK: usize = 64 * 1024;

/// A name in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: PathBuf,
    folder: Held,
}

#[derive(Clone, Debug)]
enum Held {
    /// The cache's folder, which is open as it is.
    Cache(Arc<CacheFolder>),
    Own(Arc<Folder>),
    /// It could not be opened when the place was named; it may be there by the time it is needed.
    Later,
}

impl Place {
    /// A place beside a cache.
    pub(crate) fn beside(path: PathBuf, cache: Arc<CacheFolder>) -> Place {
        Place { path, folder: Held::Cache(cache) }
    }

    /// Any other place. Its folder is opened now if it is there.
    pub(crate) fn at(path: PathBuf) -> Place {
        let folder = Folder::open(parent(&path)).map_or(Held::Later, |folder| Held::Own(Arc::new(folder)));
        Place { path, folder }
    }

    /// The path as it was named.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that the folder is open.
    ///
    /// # Errors
    /// Those of open(2).
    pub(crate) fn settle(&self) -> io::Result<Place> {
        let folder = match &self.folder {
            Held::Later => Held::Own(Arc::new(Folder::open(parent(&self.path))?)),
            held => held.clone(),
        };
        Ok(Place { path: self.path.clone(), folder })
    }

    fn folder(&self) -> io::Result<&Folder> {
        match &self.folder {
            Held::Cache(cache) => Ok(cache.folder()),
            Held::Own(folder) => Ok(folder),
            Held::Later => Err(io::Error::from_raw_os_error(libc::ENOENT)),
        }
    }

    fn name(&self) -> io::Result<CString> {
        file_name(&self.path).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
    }

    /// The file that is there and its mode; `None` if there is none. A symbolic link is not followed.
    pub(crate) fn look(&self) -> io::Result<Option<(FileId, libc::mode_t)>> {
        self.folder()?.look(&self.name()?)
    }

    /// Removes the file; no file is no error.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.folder()?.remove(&self.name()?)
    }

    /// Sets the file's mode.
    pub(crate) fn set_mode(&self, mode: libc::mode_t) -> io::Result<()> {
        self.folder()?.set_mode(&self.name()?, mode)
    }

    /// Does something that takes a path.
    pub(crate) fn with_path<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let folder = self.folder()?;
        let reached = Folder::open(parent(&self.path)).and_then(|found| Ok(found.id()? == folder.id()?));
        if matches!(reached, Ok(true)) {
            return work(&self.path);
        }
        let name = PathBuf::from(self.path.file_name().unwrap_or_default());
        let folder = folder.as_fd().try_clone_to_owned()?;
        let there = thread::spawn("primacy-place", STACK, move || go_to(&folder).and_then(|()| work(&name)))?;
        there
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that was to go to the folder broke")))
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the folder the working directory of the calling thread and of no other one.
fn go_to(folder: &OwnedFd) -> io::Result<()> {
    // SAFETY: no pointer is passed. CLONE_FS alone needs no privilege, and concerns the calling thread alone.
    super::descriptor::checked(unsafe { libc::unshare(libc::CLONE_FS) })?;
    // SAFETY: the descriptor is open. The working directory is this thread's own since the call above.
    super::descriptor::checked(unsafe { libc::fchdir(folder.as_raw_fd()) })
}
