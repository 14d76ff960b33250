//! The outside: clock, sockets, threads, files. The only room that makes system calls.
//!
//! The driver carries out what the engine asks for; a thread of its own or the host's loop turns it.

pub(crate) mod clock;
#[cfg(feature = "cli")]
pub mod console;
pub(crate) mod control;
pub(crate) mod control_client;
mod control_listener;
pub(crate) mod descriptor;
pub(crate) mod driver;
pub(crate) mod entropy;
pub mod file;
mod folder;
pub(crate) mod helper;
pub(crate) mod link;
pub mod lock;
pub(crate) mod poller;
mod socket;
pub(crate) mod thread;
pub(crate) mod users;
pub(crate) mod wake;
pub(crate) mod writer;

#[cfg(test)]
mod tests;
