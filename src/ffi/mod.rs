//! The C ABI: checks, one call of the Rust API, one conversion. `docs/c-contract.md` is the contract.
//!
//! The body of every function is a closure that returns [`crate::Result`]; [`guard`] turns it into a C return in one place.
//! The header is generated from this folder, so documentation here is written for C programmers.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]

mod commands;
mod config;
mod enums;
mod events;
mod facts;
mod fork;
mod guard;
mod handle;
mod instance;
mod json;
mod names;
mod orders;
mod proxy;
mod read;
mod selector;
mod slice;
mod snapshot;
mod status;
mod structs;
#[cfg(feature = "testing")]
mod testing;
#[cfg(test)]
mod tests;
mod version;
mod vip;
