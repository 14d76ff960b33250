//! Ownership by a lease in etcd: who holds the key of a VIP owns it.
//!
//! [`machine`] decides, by the rows of [`rows`]; [`etcd`] says how the store is asked and reads its answers. Who carries the questions to
//! the store is outside.

pub mod etcd;
pub mod http;
pub mod machine;
pub mod rows;
#[cfg(test)]
mod tests;

pub use etcd::{Answer, Failure, Holder, Request, Trouble};
pub use machine::{Ask, Lease, Settings};
