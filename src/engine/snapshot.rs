//! The state of all pools at one moment, detached from the engine.

use crate::engine::time::Duration;
use crate::policy::serving::View;
use crate::pool::{Freeze, NodeOverride, NodeType, PolicyName, PoolKind, PoolStatus, State, Status};
use crate::probe::{Cause, CheckpointKind, Facts};

/// One node in a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSnapshot {
    /// Canonical address.
    pub name: String,
    /// PRIMARY or SECONDARY, as configured or set by an override.
    pub node_type: NodeType,
    /// Role and health as decided.
    pub state: State,
    /// The ladder, or what an override sets.
    pub status: Status,
    /// What `report` prints first: under `mpp` the label of the count, else the status.
    pub label: Status,
    /// Bad observations in a row; `None` before the first probe.
    pub count: Option<u32>,
    /// Cause of the last observation; `None` before the first.
    pub cause: Option<Cause>,
    /// Error number of the last observation.
    pub errno: u32,
    /// The last observation's text, or the last rule's sentence if that was empty.
    pub message: String,
    /// The rule that last judged the node, 0 for none.
    pub rule: u16,
    /// Whether the node failed as ACTIVE and waits for `recover`.
    pub waits_for_recover: bool,
    /// Wall-clock time of the last observation, milliseconds since the Unix epoch; 0 before the first.
    pub observed_ms: u64,
    /// Wall-clock time of the last change of state, of an ACTIVE node also of its coming to FAIL and leaving it; 0 if it
    /// never changed.
    pub changed_ms: u64,
    /// Share of clients, as configured or set by an override.
    pub weight: u32,
    /// Site, may be empty.
    pub site: String,
    /// What the last successful probe learnt.
    pub facts: Facts,
    /// Its checkpoints, in the order of their kinds.
    pub checkpoints: Vec<CheckpointSnapshot>,
    /// An operator's override or maintenance.
    pub override_: Option<NodeOverride>,
}

/// One checkpoint in a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointSnapshot {
    /// Where it lies.
    pub kind: CheckpointKind,
    /// Method and target as the configuration spells them.
    pub target: String,
    /// Whether it was found in order when it was last looked at; `None` before the first time. Nobody looks while all
    /// is well.
    pub answers: Option<bool>,
    /// How that ended.
    pub cause: Option<Cause>,
    /// The same in words, may be empty.
    pub message: String,
    /// Wall-clock time of that, milliseconds since the Unix epoch; 0 before the first time.
    pub observed_ms: u64,
}

/// What is known of one node when a load balancer asks: the cheap part of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its pool.
    pub pool: String,
    /// Canonical address.
    pub name: String,
    /// PRIMARY or SECONDARY, as configured or set by an override.
    pub node_type: NodeType,
    /// What the serve matrix looks at.
    pub view: View,
    /// The rule that last judged the node, 0 for none.
    pub rule: u16,
    /// The last observation's text, or the last rule's sentence if that was empty.
    pub message: String,
    /// Share of clients, as configured or set by an override.
    pub weight: u32,
    /// Lag of the slowest channel, where it is known.
    pub lag: Option<Duration>,
    /// As in [`NodeSnapshot`].
    pub observed_ms: u64,
    /// As in [`NodeSnapshot`].
    pub changed_ms: u64,
}

/// One pool in a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSnapshot {
    /// The name.
    pub name: String,
    /// How members relate.
    pub kind: PoolKind,
    /// The rule table.
    pub policy: PolicyName,
    /// The pool as a whole.
    pub status: PoolStatus,
    /// Raised at every change of the ACTIVE node.
    pub epoch: u64,
    /// Index of the node that takes the clients, also while routing pauses.
    pub active: Option<usize>,
    /// Routing pauses for a hand-over: no new client should be sent to the ACTIVE node.
    pub paused: bool,
    /// Names of nodes that an operator took out.
    pub removed: Vec<String>,
    /// An operator's freeze.
    pub frozen: Option<Freeze>,
    /// In configuration order, without the removed ones.
    pub nodes: Vec<NodeSnapshot>,
}

/// All pools of an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Wall-clock time, milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// In configuration order.
    pub pools: Vec<PoolSnapshot>,
}
