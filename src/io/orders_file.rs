//! The file in which operators' orders for a tier outlive the process.

use super::folder::{Folder, file_name};
use crate::error::{Error, ErrorCode, Result};
use crate::vip::peer::Registers;
use std::ffi::CString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A larger file holds no orders: the most that fit into [`Registers`] stay below it.
const LARGEST: u64 = 2 << 20;
/// Owner writes, group reads: there is no secret in it.
const MODE: libc::mode_t = 0o640;

/// The place of the file: its folder held open, so that it is found after chroot.
#[derive(Debug)]
pub(crate) struct OrdersFile {
    folder: Folder,
    path: PathBuf,
    name: CString,
    temporary: CString,
}

impl OrdersFile {
    /// Opens the folder of `path`; the file itself may be missing.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if the folder cannot be opened, [`ErrorCode::Invalid`] if `path` names no file.
    pub(crate) fn open(path: &Path) -> Result<OrdersFile> {
        let nameless =
            || Error::new(ErrorCode::Invalid, format!("state_file {} names no file", path.display()));
        let name = file_name(path).ok_or_else(nameless)?;
        let mut temporary = name.as_bytes().to_vec();
        temporary.extend_from_slice(b".new");
        let temporary = CString::new(temporary).map_err(|_| nameless())?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = Folder::open(parent).map_err(|e| {
            let text =
                format!("state_file {}: cannot open its folder {}: {e}", path.display(), parent.display());
            Error::new(ErrorCode::Io, text)
        })?;
        Ok(OrdersFile { folder, path: path.to_path_buf(), name, temporary })
    }

    /// Reads the orders; none if there is no file yet.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if it cannot be read, [`ErrorCode::Cache`] as [`Registers::decode`].
    pub(crate) fn read(&self) -> Result<Registers> {
        let file = match self.folder.open_file(&self.name, libc::O_RDONLY, 0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Registers::default()),
            other => other.map_err(|e| self.error("cannot read it", &e))?,
        };
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| self.error("cannot read it", &e))?;
        // One that is larger is cut, which its checksum tells.
        Registers::decode(&bytes, &self.path.display().to_string())
    }

    /// Writes the orders: a reader, and a crash at any moment, finds the old ones or the new ones. May wait for the disk.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if it cannot be written; then the old file stays.
    pub(crate) fn write(&self, registers: &Registers) -> Result<()> {
        let written = || {
            // What a crash has left may belong to anybody.
            self.folder.remove(&self.temporary)?;
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
            let mut file = self.folder.open_file(&self.temporary, flags, MODE)?;
            file.write_all(registers.encode().as_bytes())?;
            file.sync_all()?;
            self.folder.rename(&self.temporary, &self.name)?;
            self.folder.sync()
        };
        written().map_err(|e| {
            let _ = self.folder.remove(&self.temporary);
            self.error("cannot write it", &e)
        })
    }

    fn error(&self, what: &str, error: &io::Error) -> Error {
        Error::new(ErrorCode::Io, format!("state_file {}: {what}: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vip::peer::Order;

    #[test]
    fn orders_outlive_the_process_and_damage_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cache.tier");
        let file = OrdersFile::open(&path).expect("the folder is there");
        let mut orders = file.read().expect("no file yet");
        assert!(orders.is_empty());
        for standby in [true, false] {
            orders.order("rt1", &Order::Standby { host: "rt2".into(), standby }).expect("an order");
            file.write(&orders).expect("it is written");
            assert_eq!(file.read().expect("it is read"), orders);
        }
        // A temporary file of a crash is in nobody's way.
        std::fs::write(folder.path().join("cache.tier.new"), "half").expect("a file");
        file.write(&orders).expect("it is written");
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1);

        let text = std::fs::read(&path).expect("the file");
        std::fs::write(&path, &text[..text.len() - 2]).expect("a file");
        let error = file.read().expect_err("it is cut short");
        assert!(error.code() == ErrorCode::Cache && error.message().contains("cache.tier"), "{error}");
        std::fs::write(&path, vec![b'x'; LARGEST as usize * 2]).expect("a file");
        assert_eq!(file.read().expect_err("it is too large").code(), ErrorCode::Cache);
    }

    #[test]
    fn a_place_that_cannot_be_used_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("none/cache.tier");
        assert_eq!(OrdersFile::open(&missing).expect_err("no folder").code(), ErrorCode::Io);
        assert_eq!(OrdersFile::open(Path::new("/")).expect_err("no file").code(), ErrorCode::Invalid);
        // A folder stands where the file should: nothing can replace it.
        let path = folder.path().join("cache.tier");
        std::fs::create_dir(&path).expect("a folder");
        let file = OrdersFile::open(&path).expect("the folder is there");
        let error = file.write(&Registers::default()).expect_err("it cannot be written");
        assert!(error.code() == ErrorCode::Io && error.message().contains("cache.tier"), "{error}");
        assert!(file.read().is_err());
    }
}
