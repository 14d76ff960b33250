//! Pools: nodes, their health and role.

pub mod address;
pub mod state;

pub use address::{Address, DEFAULT_PORT, Host};
pub use state::{NodeType, PolicyName, PoolKind, PoolStatus, State, Status};
