//! Pools: nodes, their health and role.

pub mod address;
pub mod evidence;
pub mod judge;
pub mod node;
pub mod overrides;
pub mod state;
pub mod word;

pub use address::{Address, DEFAULT_PORT, Host};
pub use judge::Judge;
pub use node::Node;
pub use overrides::{Freeze, MaintenanceRole, NodeOverride, Override};
pub use state::{NodeType, PolicyName, PoolKind, PoolStatus, State, Status};
