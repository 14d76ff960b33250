//! Probes: what to ask a node, reading the answer, typing the cause.

pub mod cause;
pub mod observation;

pub use cause::{Cause, Class};
pub use observation::{Channel, Facts, Flavour, Observation, ServerVersion, ThreadState};
