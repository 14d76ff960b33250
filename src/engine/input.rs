//! What the outside tells the engine.

use super::time::Duration;
use crate::pool::state::words;
use crate::pool::{MaintenanceRole, Override, PoolStatus};
use crate::probe::Observation;
use core::fmt;
use std::net::IpAddr;

pub use crate::pool::overrides::LONGEST_REASON;

words! {
    /// How a host's own use of a node ended, as far as it says something about reaching the node.
    ReportOutcome {
        /// A session was made.
        Connected = 0 => "connected",
        /// The connection was refused, reset or found no way before a session was made.
        ConnectFailed = 1 => "connect_failed",
        /// No session was made in the time that the host gives.
        ConnectTimedOut = 2 => "connect_timed_out",
        /// The session was made, and ended later or had a query fail: says nothing about reaching the node.
        SessionFailed = 3 => "session_failed",
    }
}

impl ReportOutcome {
    /// Whether it is worth to look at the node.
    pub const fn is_connect_failure(self) -> bool {
        matches!(self, ReportOutcome::ConnectFailed | ReportOutcome::ConnectTimedOut)
    }
}

/// A node by its place: index of the pool, index of the node in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeRef {
    /// Index of the pool in configuration order.
    pub pool: usize,
    /// Index of the node in configuration order.
    pub node: usize,
}

/// A checkpoint by its place: the node, and the index among the node's checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckRef {
    /// The node.
    pub node: NodeRef,
    /// Index in [`crate::config::NodeConfig::checkpoints`].
    pub index: usize,
}

/// Everything that can happen to an engine, apart from commands.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Probing begins: the driver runs and will carry out effects.
    Start,
    /// Probing ends: no more probes are asked for.
    Stop,
    /// One cycle of a pool, with its burst; [`super::Engine::is_settled`] tells when it is over.
    RunOnce {
        /// Index of the pool.
        pool: usize,
    },
    /// The time that `poll_timeout` named has come.
    Timer,
    /// A probe that the engine asked for has ended.
    Probed {
        /// The node that was probed.
        node: NodeRef,
        /// The number from [`super::Effect::Probe`]; an old one is ignored.
        probe: u64,
        /// What it brought.
        observation: Observation,
    },
    /// A look at a checkpoint that the engine asked for has ended.
    Checked {
        /// The checkpoint.
        place: CheckRef,
        /// The number from [`super::Effect::Check`]; an old one is ignored.
        check: u64,
        /// How it ended; without facts.
        observation: Observation,
    },
    /// The host measured a node's health itself (`probe = "external"`).
    Observed {
        /// The node.
        node: NodeRef,
        /// What the host found.
        observation: Observation,
    },
    /// A kept connection ended between probes: a hint to look early, never proof.
    ConnectionLost {
        /// The node.
        node: NodeRef,
    },
    /// The host tried to use a node for its own purposes. It may make a probe come early, and counts for nothing.
    Report {
        /// The node.
        node: NodeRef,
        /// The service through which the host came to it; `None` if it was through none, which is heard as through all.
        service: Option<String>,
        /// How the attempt ended.
        outcome: ReportOutcome,
    },
    /// A node that is configured by name was found at this address: clients are sent there.
    Located {
        /// The node.
        node: NodeRef,
        /// Where its name led.
        ip: IpAddr,
    },
    /// Who holds the address of a pool of kind `router`: from here on that node is ACTIVE, and nobody if it is `None`.
    /// Told at every change, and at least once. Ignored in pools of another kind.
    Owner {
        /// Index of the pool.
        pool: usize,
        /// Index of the node whose host holds the address; `None` for no host, or one without a node in the pool.
        node: Option<usize>,
    },
    /// The host closes a cycle of an externally observed pool. Ignored while the library's own probes of a cycle are
    /// under way.
    Cycle {
        /// Index of the pool.
        pool: usize,
        /// What the host's own checkpoints found, for this cycle only (`mpp`).
        pool_status: Option<PoolStatus>,
    },
    /// The outcome of [`super::Effect::Persist`].
    Persisted {
        /// The number from the effect.
        sequence: u64,
        /// `Err` holds the operating system's words.
        outcome: Result<(), String>,
    },
}

/// What operators ask for. Each is answered at once, by the same rules that judge observations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Takes a failed node back into the pool.
    RecoverNode(NodeRef),
    /// Takes back a pool whose status is FAIL.
    RecoverPool(usize),
    /// Gives the role to the pool's PRIMARY.
    ActivatePrimary(usize),
    /// Takes a node out of the pool until it leaves the configuration, and comes again with a later one.
    RemoveNode(NodeRef),
    /// Sets a node's state, status, type or weight above the rules. Takes the place of the node's earlier override or
    /// maintenance.
    Override {
        /// The node.
        node: NodeRef,
        /// What is set; something must be.
        set: Override,
        /// Why, for everybody who meets it later: 1 to [`LONGEST_REASON`] bytes.
        reason: String,
        /// How long; `None` until it is ended. From [`SHORTEST_LIMIT`] to [`LONGEST_LIMIT`].
        limit: Option<Duration>,
    },
    /// Ends an override or a maintenance of a node.
    ClearOverride(NodeRef),
    /// Lets no rule change a state or the role of a pool.
    Freeze {
        /// Index of the pool.
        pool: usize,
        /// Why.
        reason: String,
        /// How long; `None` until it is ended.
        limit: Option<Duration>,
    },
    /// Ends the freeze of a pool: the counts begin anew.
    Unfreeze(usize),
    /// Takes a node out of the candidates, and its faults out of the alarms, until that is ended. Takes the place of the
    /// node's earlier override or maintenance.
    Maintenance {
        /// The node.
        node: NodeRef,
        /// What becomes of the role, if the node is ACTIVE.
        role: MaintenanceRole,
        /// Why.
        reason: String,
        /// How long; `None` until it is ended.
        limit: Option<Duration>,
    },
}

/// The shortest time limit of an override, a freeze or a maintenance.
pub const SHORTEST_LIMIT: Duration = Duration::from_secs(1);

/// The longest time limit of an override, a freeze or a maintenance: who wants more gives none.
pub const LONGEST_LIMIT: Duration = Duration::from_secs(366 * 24 * 3600);

impl Command {
    /// Index of the pool that the command is about.
    pub fn pool(&self) -> usize {
        match self {
            Command::RecoverNode(node)
            | Command::RemoveNode(node)
            | Command::ClearOverride(node)
            | Command::Override { node, .. }
            | Command::Maintenance { node, .. } => node.pool,
            Command::RecoverPool(pool)
            | Command::ActivatePrimary(pool)
            | Command::Unfreeze(pool)
            | Command::Freeze { pool, .. } => *pool,
        }
    }

    /// The node that the command is about, if it is about one.
    pub fn node(&self) -> Option<NodeRef> {
        match self {
            Command::RecoverNode(node)
            | Command::RemoveNode(node)
            | Command::ClearOverride(node)
            | Command::Override { node, .. }
            | Command::Maintenance { node, .. } => Some(*node),
            _ => None,
        }
    }
}

/// The answer to a command that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// One sentence: what was done, or what has begun.
    pub message: String,
    /// The rule that allowed it.
    pub rule: u16,
    /// The state as it is persisted is complete once this number is confirmed; 0 if nothing changed.
    pub sequence: u64,
}
