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
pub(crate) mod verdict;

pub use addresses::AddressBook;
pub use cause::{Cause, Class};
pub use check::{
    Check, CheckAction, CheckEnd, CheckKind, CheckRequest, Combined, Protocol, Role, ServerSeen, Verdict,
    combine,
};
pub use checkpoint::{CheckMethod, Checkpoint, CheckpointKind};
pub use exchange::{Action, PeerSign, ProbeRequest, SessionConfig};
pub use membership::{Group, GroupKind, GroupMember};
pub use observation::{
    BackendSeen, Channel, Facts, Flavour, Observation, PortServer, ServerVersion, ThreadState,
};
pub use session::Session;
