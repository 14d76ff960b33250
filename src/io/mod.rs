//! System calls: files, locks, sockets, clocks.

pub mod file;
mod folder;
pub mod lock;
