//! Configuration: its model and the texts it is read from.

pub mod model;

pub use model::{Config, Failback, NodeConfig, OnLocked, PoolConfig, ProbeConfig, ProbeMode, RsaPublicKey};
mod builder;
pub use builder::ConfigBuilder;
