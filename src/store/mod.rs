//! What outlives the process.

pub mod cache;

pub use cache::{Cache, StoredNode, StoredPool};
