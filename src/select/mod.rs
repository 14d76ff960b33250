//! Backend selection: which node a client of a service goes to.
//!
//! The engine asks [`PoolSelection`] after every change of a pool; what it says about each node of each service is a row of
//! [`standing::RULES`]. The outcome is a [`ServiceTable`], in which everything is prepared: whoever asks for a backend calls
//! [`pick::pick`] on it, which reads no clock, takes no lock and makes no memory.

pub mod alias;
pub mod backend;
pub mod codec;
pub mod header;
pub mod pick;
pub mod pool;
pub mod quarantine;
pub mod slow_start;
pub mod standing;
pub mod table;

#[cfg(test)]
mod tests;

pub use backend::{Backend, BackendAddress, Reason};
pub use pick::{Counts, Picked, Position, Wish};
pub use pool::{NodeSeen, PoolSeen, PoolSelection};
pub use standing::Standing;
pub use table::{Closed, PickList, Seat, ServiceTable, Slot};
