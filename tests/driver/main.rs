//! The driver through the Rust API, against real sockets: causes, life, descriptors, signals, forks, panics.

mod causes;
mod control;
mod durability;
mod events;
mod fork;
mod life;
mod open;
#[cfg(feature = "testing")]
mod panics;
mod process_state;
mod real_server;
mod reload;
mod support;
