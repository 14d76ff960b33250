//! What outlives the process.

pub mod cache;
pub(crate) mod checksum;
pub mod text;
pub mod utc;

#[cfg(test)]
mod tests;

pub use cache::{Cache, StoredNode, StoredPool};
pub use text::{decode, encode};
