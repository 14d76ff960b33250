//! What is fuzzed: one function of bytes for each parser and for the engine.
//!
//! A function takes whatever it is given and panics if something does not hold. `tests/fuzz.rs` runs them over the
//! corpus and seeded mutations of it, `fuzz/main.rs` under libFuzzer.

mod address;
mod cache;
mod check;
mod checkpoint;
mod config;
mod control;
mod engine;
mod engine_world;
mod gtid;
mod input;
mod mpp;
mod peer;
mod session;
mod tables;
mod vrrp;
mod wire;
mod x;

/// A target's name, which is its corpus' folder too, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 16] = [
    ("wire", wire::run),
    ("session", session::run),
    ("x", x::run),
    ("check", check::run),
    ("gtid", gtid::run),
    ("config", config::run),
    ("pool_string", config::run_pool_string),
    ("address", address::run),
    ("cache", cache::run),
    ("control", control::run),
    ("checkpoint", checkpoint::run),
    ("tables", tables::run),
    ("mpp", mpp::run),
    ("peer", peer::run),
    ("vrrp", vrrp::run),
    ("engine", engine::run),
];
