//! One face for both policies: who is what, whatever table decided.

use crate::config::PoolConfig;
use crate::policy::{mpp, safe};
use crate::pool::{PolicyName, State, Status};
use crate::store::StoredNode;

/// The decision state of a pool under its policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Judge {
    /// The original's table.
    Mpp {
        /// In configuration order.
        members: Vec<mpp::Member>,
        /// The table's settings.
        settings: mpp::Settings,
    },
    /// The default tables.
    Safe {
        /// The pool as the tables see it.
        model: safe::Model,
        /// The tables' settings.
        settings: safe::Settings,
        /// Bad observations in a row, for people; the tables use the ladder.
        counts: Vec<Option<u32>>,
    },
}

impl Judge {
    /// The state before anything was seen, or as it was stored.
    pub fn new(config: &PoolConfig, stored: &[Option<&StoredNode>]) -> Judge {
        match config.policy {
            PolicyName::Mpp => Judge::mpp(config, stored),
            PolicyName::Safe => Judge::safe(config, stored),
        }
    }

    fn mpp(config: &PoolConfig, stored: &[Option<&StoredNode>]) -> Judge {
        let members = config
            .nodes
            .iter()
            .zip(stored)
            .map(|(node, stored)| mpp::Member {
                node_type: node.node_type,
                state: stored.map_or(State::Unknown, |s| s.state),
                // The original stores three of the five words only.
                status: match stored.map_or(Status::Ok, |s| s.status) {
                    Status::Ok => Status::Ok,
                    Status::Fail => Status::Fail,
                    _ => Status::OkWarn,
                },
                count: stored.and_then(|s| s.count),
                removed: false,
            })
            .collect();
        let settings = mpp::Settings { levels: config.levels, hostile_takeover: config.hostile_takeover };
        Judge::Mpp { members, settings }
    }

    fn safe(config: &PoolConfig, stored: &[Option<&StoredNode>]) -> Judge {
        let settings = safe::Settings { fall: config.fall, rise: config.rise, failback: config.failback };
        let mut model = safe::Model { members: Vec::new(), hand_over: None };
        for (node, stored) in config.nodes.iter().zip(stored) {
            let member = stored.map_or(safe::Member::new(node.node_type), |s| {
                let marks = (s.waits_for_recover, s.owed);
                safe::restart::restored(node.node_type, (s.state, s.status), marks, &settings)
            });
            model.members.push(member);
        }
        // A document written under `mpp` may hold two ACTIVE nodes; selection gave the PRIMARY, else the first.
        let active = model.preference().find(|&i| model.members[i].state == State::Active);
        for (i, m) in model.members.iter_mut().enumerate() {
            if m.state == State::Active && Some(i) != active {
                m.state = State::Standby;
            }
        }
        let counts = stored.iter().map(|s| s.and_then(|s| s.count)).collect();
        Judge::Safe { model, settings, counts }
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        match self {
            Judge::Mpp { members, .. } => members.len(),
            Judge::Safe { model, .. } => model.members.len(),
        }
    }

    /// Whether the pool has no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state of a node.
    pub fn state(&self, node: usize) -> State {
        match self {
            Judge::Mpp { members, .. } => members[node].state,
            Judge::Safe { model, .. } => model.members[node].state,
        }
    }

    /// The status of a node.
    pub fn status(&self, node: usize) -> Status {
        match self {
            Judge::Mpp { members, .. } => members[node].status,
            Judge::Safe { model, settings, .. } => model.status(node, settings),
        }
    }

    /// Bad observations in a row.
    pub fn count(&self, node: usize) -> Option<u32> {
        match self {
            Judge::Mpp { members, .. } => members[node].count,
            Judge::Safe { counts, .. } => counts[node],
        }
    }

    /// Whether the node failed as ACTIVE and waits for `recover`.
    pub fn waits_for_recover(&self, node: usize) -> bool {
        match self {
            // Under `mpp` every failed node waits.
            Judge::Mpp { members, .. } => members[node].state.is_failed(),
            Judge::Safe { model, .. } => model.members[node].held,
        }
    }

    /// Whether the role is owed to the node.
    pub fn is_owed(&self, node: usize) -> bool {
        match self {
            Judge::Mpp { .. } => false,
            Judge::Safe { model, .. } => model.members[node].owed,
        }
    }

    /// Whether an operator took the node out of the pool.
    pub fn is_removed(&self, node: usize) -> bool {
        match self {
            Judge::Mpp { members, .. } => members[node].removed,
            Judge::Safe { model, .. } => model.members[node].removed,
        }
    }

    /// Marks a node as taken out, as it was stored.
    pub fn mark_removed(&mut self, node: usize) {
        match self {
            Judge::Mpp { members, .. } => {
                members[node].removed = true;
                members[node].state = State::Unknown;
            }
            Judge::Safe { model, .. } => {
                model.members[node].removed = true;
                model.members[node].state = State::Unknown;
            }
        }
    }

    /// The node that takes the clients.
    pub fn active(&self) -> Option<usize> {
        match self {
            Judge::Mpp { members, .. } => mpp::selected(members),
            Judge::Safe { model, .. } => model.active(),
        }
    }
}
