//! The outside: clock, sockets, threads, files. The only room that makes system calls.
//!
//! [`driver`] carries out what the engine asks for; [`thread`] and the host's own loop are the two ways to run it.

pub(crate) mod clock;
pub(crate) mod descriptor;
pub(crate) mod driver;
pub(crate) mod entropy;
pub(crate) mod helper;
mod link;
pub(crate) mod poller;
pub(crate) mod secrets;
mod socket;
pub(crate) mod thread;
pub(crate) mod wake;
pub(crate) mod writer;

#[cfg(test)]
mod tests;
