//! The outside: clock, sockets, threads, files. The only room that makes system calls.
//!
//! The driver carries out what the engine asks for; a thread of its own or the host's loop turns it.

pub(crate) mod board;
pub(crate) mod checkpoint;
pub(crate) mod clock;
#[cfg(feature = "cli")]
pub mod console;
pub(crate) mod control;
pub(crate) mod control_client;
mod control_listener;
pub(crate) mod descriptor;
pub(crate) mod driver;
mod echo;
pub(crate) mod entropy;
pub(crate) mod etcd;
pub mod file;
mod folder;
pub(crate) mod following;
pub(crate) mod helper;
pub(crate) mod hostname;
pub(crate) mod link;
pub mod lock;
pub(crate) mod neighbour;
pub(crate) mod netlink;
#[cfg(not(feature = "tls"))]
pub(crate) mod no_tls;
pub(crate) mod orders_file;
pub(crate) mod peer;
pub(crate) mod pidwatch;
pub(crate) mod place;
pub(crate) mod poller;
pub(crate) mod program;
pub(crate) mod proxy_client;
pub(crate) mod push;
#[cfg(feature = "cli")]
pub(crate) mod respond;
pub(crate) mod router_node;
pub(crate) mod service_board;
mod socket;
mod sync;
pub(crate) mod tables;
pub(crate) mod thread;
pub(crate) mod tier;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod users;
// Whole before the tier's driver that calls it.
#[allow(dead_code)]
pub(crate) mod vrrp;
pub(crate) mod wake;
pub(crate) mod writer;

#[cfg(not(feature = "tls"))]
pub(crate) use no_tls as tls;

#[cfg(test)]
mod tests;
