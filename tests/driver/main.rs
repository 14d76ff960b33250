//! The driver through the Rust API, against real sockets: causes, life, descriptors, signals, forks, panics.

mod causes;
mod checkpoints;
mod chroot;
mod control;
mod control_orders;
mod durability;
mod events;
mod followers;
mod fork;
mod killed;
mod life;
mod log;
mod metrics;
#[path = "../mpp_proxy/mod.rs"]
mod mpp_proxy;
mod open;
#[cfg(feature = "testing")]
mod panics;
mod process_state;
mod proxies;
mod real_server;
mod reload;
#[cfg(feature = "cli")]
mod respond;
mod support;
#[cfg(feature = "testing")]
mod tier;
