//! The cache document: the state of all pools as text, with a checksum.

use crate::pool::{Freeze, NodeOverride, NodeType, PoolStatus, State, Status};

/// One node as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNode {
    /// Canonical address.
    pub name: String,
    /// PRIMARY or SECONDARY, as configured.
    pub node_type: NodeType,
    /// State at the time of writing.
    pub state: State,
    /// Status at the time of writing, as the rules have it.
    pub status: Status,
    /// Bad observations in a row; `None` before the first probe.
    pub count: Option<u32>,
    /// The node failed as ACTIVE and waits for `recover`.
    pub waits_for_recover: bool,
    /// The role is owed to the node: an operator recovered it or asked for it, and the hand-over has not come yet.
    pub owed: bool,
    /// ACTIVE: the next bad observation could take its role, so that a new life must not take it for the ACTIVE node.
    /// Failed: it waits for `recover` because such a note was found.
    pub intent: bool,
    /// Rule that last judged the node.
    pub rule: u16,
    /// Wall-clock time of the last observation, milliseconds since the Unix epoch.
    pub observed_ms: u64,
    /// Wall-clock time of the last change of state.
    pub changed_ms: u64,
    /// The last observation's text.
    pub message: String,
    /// An operator's override or maintenance.
    pub override_: Option<NodeOverride>,
}

/// One pool as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPool {
    /// The name.
    pub name: String,
    /// The pool's epoch.
    pub epoch: u64,
    /// No epoch above this one may be used before a higher mark is on disk.
    pub epoch_reserved: u64,
    /// Status of the pool; FAIL stays until recovered.
    pub status: PoolStatus,
    /// An operator's freeze.
    pub frozen: Option<Freeze>,
    /// The time of an override, a freeze or a maintenance ran out: a hand-back waits for an operator or a new ACTIVE node.
    pub failback_waits: bool,
    /// Nodes that an operator removed, by canonical address.
    pub removed: Vec<String>,
    /// In configuration order.
    pub nodes: Vec<StoredNode>,
}

/// The whole document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// Counts the writes of this cache.
    pub sequence: u64,
    /// Wall-clock time of writing, milliseconds since the Unix epoch.
    pub written_ms: u64,
    /// In configuration order.
    pub pools: Vec<StoredPool>,
}
