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
mod open;
#[cfg(feature = "testing")]
mod panics;
mod process_state;
mod real_server;
mod reload;
mod support;
