//! One face for both policies: who is what, whatever table decided.

use crate::config::PoolConfig;
use crate::policy::{mpp, safe};
use crate::pool::{MaintenanceRole, NodeOverride, NodeType, PolicyName, State, Status};
use crate::store::{StoredNode, StoredPool};

use super::overrides::types_in_force;

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
    pub fn new(config: &PoolConfig, stored: &[Option<&StoredNode>], pool: Option<&StoredPool>) -> Judge {
        let taken_out = |s: &StoredNode| pool.is_some_and(|p| p.removed.contains(&s.name));
        let there = stored.iter().map(|s| s.filter(|s| !taken_out(s)));
        let orders: Vec<Option<&NodeOverride>> =
            there.map(|s| s.and_then(|s| s.override_.as_ref())).collect();
        let configured = config.nodes.iter().zip(&orders);
        let sets: Vec<_> = configured.map(|(n, o)| (n.node_type, o.and_then(|o| o.set.node_type))).collect();
        let types = types_in_force(&sets);
        let mut judge = match config.policy {
            PolicyName::Mpp => Judge::mpp(config, &types, stored),
            PolicyName::Safe => Judge::safe(config, &types, stored),
        };
        judge.restore_orders(&orders, pool);
        judge
    }

    /// Fixes what operators had fixed. What they said of a state holds, whatever else was stored.
    fn restore_orders(&mut self, orders: &[Option<&NodeOverride>], pool: Option<&StoredPool>) {
        let frozen = pool.is_some_and(|p| p.frozen.is_some());
        let active = orders.iter().position(|o| o.is_some_and(|o| o.set.state == Some(State::Active)));
        let state = |i: usize, was: State| match orders[i] {
            // One ACTIVE node alone, and the first one that was ordered.
            _ if active == Some(i) => State::Active,
            Some(o) if o.set.state == Some(State::Active) => State::Standby,
            Some(o) if o.maintenance.is_some() && was == State::Standby => State::Unknown,
            Some(o) => o.set.state.unwrap_or(if active.is_some() { off_duty(was) } else { was }),
            None if active.is_some() => off_duty(was),
            None => was,
        };
        let fixed = |i: usize| orders[i].is_some_and(|o| o.maintenance.is_some() || o.set.state.is_some());
        match self {
            Judge::Mpp { members, settings } => {
                settings.frozen = frozen;
                for (i, m) in members.iter_mut().enumerate() {
                    (m.state, m.fixed) = (state(i, m.state), fixed(i));
                }
            }
            Judge::Safe { model, .. } => {
                model.frozen = frozen;
                model.failback_waits = pool.is_some_and(|p| p.failback_waits);
                for (i, m) in model.members.iter_mut().enumerate() {
                    m.state = state(i, m.state);
                    m.held &= m.state.is_failed();
                    m.owed &= m.state != State::Active;
                    let leaves = |o: &NodeOverride| o.maintenance == Some(MaintenanceRole::Move);
                    m.pin = match fixed(i) {
                        true if m.state == State::Active && orders[i].is_some_and(leaves) => safe::Pin::Leave,
                        true => safe::Pin::Fixed,
                        false => safe::Pin::Free,
                    };
                }
            }
        }
    }

    fn mpp(config: &PoolConfig, types: &[NodeType], stored: &[Option<&StoredNode>]) -> Judge {
        let members = config
            .nodes
            .iter()
            .zip(types)
            .zip(stored)
            .map(|((_, &node_type), stored)| mpp::Member {
                node_type,
                state: stored.map_or(State::Unknown, |s| s.state),
                // The original stores three of the five words only.
                status: match stored.map_or(Status::Ok, |s| s.status) {
                    Status::Ok => Status::Ok,
                    Status::Fail => Status::Fail,
                    _ => Status::OkWarn,
                },
                count: stored.and_then(|s| s.count),
                removed: false,
                fixed: false,
            })
            .collect();
        let settings =
            mpp::Settings { levels: config.levels, hostile_takeover: config.hostile_takeover, frozen: false };
        Judge::Mpp { members, settings }
    }

    fn safe(config: &PoolConfig, types: &[NodeType], stored: &[Option<&StoredNode>]) -> Judge {
        let settings = safe::Settings::of(config);
        let mut model = safe::Model::new(Vec::new());
        for (&node_type, stored) in types.iter().zip(stored) {
            let member = stored.map_or(safe::Member::new(node_type), |s| {
                let marks = (s.waits_for_recover, s.owed);
                safe::restart::restored(node_type, (s.state, s.status), marks, &settings)
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

/// What becomes of a node that was stored as ACTIVE beside one that an operator made ACTIVE.
fn off_duty(was: State) -> State {
    if was == State::Active { State::Standby } else { was }
}
