//! A pool as others see it: in a snapshot, and in the cache.

use super::pool_machine::{PoolMachine, config_nodes};
use super::snapshot::{NodeSnapshot, PoolSnapshot};
use crate::pool::{Judge, Node, NodeOverride};
use crate::store::{StoredNode, StoredPool};

impl PoolMachine {
    /// The pool as a snapshot shows it.
    pub fn snapshot(&self) -> PoolSnapshot {
        let node = |(i, n): (usize, &Node)| {
            let judged = n.last.is_some() && self.judge.count(i).is_some();
            NodeSnapshot {
                name: n.name.clone(),
                node_type: self.type_of(i),
                state: self.judge.state(i),
                status: self.status_of(i),
                count: self.judge.count(i),
                cause: n.last.as_ref().map(|o| o.cause),
                errno: n.last.as_ref().map_or(0, |o| o.errno),
                message: if judged { self.words(i) } else { n.stored_message.clone() },
                rule: n.rule,
                waits_for_recover: self.judge.waits_for_recover(i),
                observed_ms: n.observed_ms,
                changed_ms: n.changed_ms,
                weight: self.weight_of(i),
                site: n.config.site.clone(),
                facts: n.facts.clone(),
                checkpoints: self.checkpoint_views(i),
                override_: self.override_of(i),
            }
        };
        let present = |i: &usize| !self.judge.is_removed(*i);
        PoolSnapshot {
            name: self.config.name.clone(),
            kind: self.config.kind,
            policy: self.config.policy,
            status: self.status,
            epoch: self.epoch,
            active: self.judge.active().map(|a| (0..a).filter(present).count()),
            paused: self.heir().is_some(),
            frozen: self.orders.frozen.as_ref().map(|s| s.order.clone()),
            nodes: self.nodes.iter().enumerate().filter(|(i, _)| present(i)).map(node).collect(),
        }
    }

    fn override_of(&self, node: usize) -> Option<NodeOverride> {
        self.orders.nodes.get(node)?.as_ref().map(|s| s.order.clone())
    }

    /// The pool as the cache stores it.
    pub fn stored(&self) -> StoredPool {
        let node = |(i, n): (usize, &Node)| StoredNode {
            name: n.name.clone(),
            node_type: n.config.node_type,
            state: self.judge.state(i),
            status: self.judge.status(i),
            count: self.judge.count(i),
            waits_for_recover: self.judge.waits_for_recover(i),
            owed: self.judge.is_owed(i),
            intent: n.intent,
            rule: n.rule,
            observed_ms: n.observed_ms,
            changed_ms: n.changed_ms,
            message: n.last.as_ref().map_or_else(|| n.stored_message.clone(), |o| o.message.clone()),
            override_: self.override_of(i),
        };
        StoredPool {
            name: self.config.name.clone(),
            epoch: self.epoch,
            epoch_reserved: self.epoch_reserved,
            status: self.status,
            frozen: self.orders.frozen.as_ref().map(|s| s.order.clone()),
            failback_waits: matches!(&self.judge, Judge::Safe { model, .. } if model.failback_waits),
            removed: config_nodes(&self.nodes)
                .filter(|(i, _)| self.judge.is_removed(*i))
                .map(|(_, name)| name)
                .collect(),
            nodes: self.nodes.iter().enumerate().map(node).collect(),
        }
    }
}
