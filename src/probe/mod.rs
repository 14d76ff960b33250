//! Probes: what to ask a node, reading the answer, typing the cause.

pub mod addresses;
pub mod cause;
pub mod check;
pub mod checkpoint;
pub mod exchange;
pub mod membership;
pub mod observation;
mod replica_status;
pub mod session;
pub mod statements;
#[cfg(test)]
mod tests;
mod verdict;

pub use addresses::AddressBook;
pub use cause::{Cause, Class};
pub use checkpoint::{CheckMethod, Checkpoint, CheckpointKind};
pub use exchange::{Action, PeerSign, ProbeRequest, SessionConfig};
pub use membership::{Group, GroupKind, GroupMember};
pub use observation::{Channel, Facts, Flavour, Observation, ServerVersion, ThreadState};
pub use session::Session;
