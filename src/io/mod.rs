//! System calls: files, locks, sockets, clocks.

#[cfg(feature = "cli")]
pub mod console;
pub mod file;
mod folder;
pub mod lock;
