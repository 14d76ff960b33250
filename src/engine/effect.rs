//! What the engine asks of the outside.

use super::event::Event;
use super::input::{CheckRef, NodeRef};
use crate::select::ServiceTable;
use crate::store::Cache;
use std::sync::Arc;

/// One request. After every input the driver takes effects until there is none: the one drain rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Probe a node now; the answer is [`super::Input::Probed`] with the same number, exactly once.
    Probe {
        /// The node.
        node: NodeRef,
        /// Number of the probe.
        probe: u64,
        /// Make a fresh login even if a connection is kept.
        fresh: bool,
    },
    /// Look at a checkpoint now; the answer is [`super::Input::Checked`] with the same number, exactly once.
    Check {
        /// The checkpoint.
        place: CheckRef,
        /// Number of the look.
        check: u64,
    },
    /// Write the state to the cache; the answer is [`super::Input::Persisted`], and while the instance runs the next
    /// write is asked for after it.
    Persist {
        /// Number of the write. A later one replaces an earlier one that has not begun.
        sequence: u64,
        /// What to write.
        cache: Cache,
    },
    /// Clients of the service are sent where this says, from now on. Comes ahead of the events about the same change.
    Publish(Arc<ServiceTable>),
    /// Tell the subscribers.
    Emit(Event),
}
