//! Primacy: embeddable MySQL and MariaDB failover.

pub mod config;
pub mod control;
pub mod engine;
pub mod error;
mod ffi;
pub mod gtid;
pub mod instance;
mod io;
pub mod metrics;
pub mod mpp;
pub mod policy;
pub mod pool;
pub mod probe;
pub mod respond;
pub mod select;
pub mod store;
pub mod vip;
pub mod wire;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub use io::console;

pub use error::{Error, ErrorCode, Result};
