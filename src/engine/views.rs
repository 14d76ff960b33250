//! A pool as others see it: in a snapshot, in figures, and in the cache.

use super::input::NodeRef;
use super::pool_machine::{PoolMachine, config_nodes};
use super::snapshot::{NodeSnapshot, PoolSnapshot, Standing};
use crate::gtid::Missing;
use crate::metrics::{NodeFigures, PoolFigures};
use crate::policy::mpp;
use crate::policy::serving::View;
use crate::pool::{Judge, Node, NodeOverride, Status};
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
                label: self.label(i),
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
            removed: self.removed(),
            frozen: self.orders.frozen.as_ref().map(|s| s.order.clone()),
            nodes: self.nodes.iter().enumerate().filter(|(i, _)| present(i)).map(node).collect(),
        }
    }

    /// What a load balancer may ask of one node; `None` if it was removed.
    pub fn standing(&self, node: usize) -> Option<Standing> {
        let n = self.nodes.get(node).filter(|_| !self.judge.is_removed(node))?;
        let judged = n.last.is_some() && self.judge.count(node).is_some();
        Some(Standing {
            pool: self.config.name.clone(),
            name: n.name.clone(),
            node_type: self.type_of(node),
            view: View {
                policy: self.config.policy,
                state: self.judge.state(node),
                status: self.status_of(node),
                class: n.last.as_ref().map(|o| o.cause.class()),
                selected: self.judge.active() == Some(node),
                paused: self.heir().is_some(),
                maintenance: self.in_maintenance(node),
            },
            rule: n.rule,
            message: if judged { self.words(node) } else { n.stored_message.clone() },
            weight: self.weight_of(node),
            lag: n.facts.channels.iter().flatten().filter_map(|channel| channel.lag).max().or(n.last_lag),
            observed_ms: n.observed_ms,
            changed_ms: n.changed_ms,
        })
    }

    /// What `report` prints first.
    fn label(&self, node: usize) -> Status {
        match &self.judge {
            Judge::Mpp { .. } => mpp::label(self.judge.count(node), self.config.levels),
            Judge::Safe { .. } => self.status_of(node),
        }
    }

    /// Names of nodes that an operator took out.
    fn removed(&self) -> Vec<String> {
        config_nodes(&self.nodes).filter(|(i, _)| self.judge.is_removed(*i)).map(|(_, name)| name).collect()
    }

    /// What was counted of the pool.
    pub fn figures(&self) -> PoolFigures {
        let node = |(i, n): (usize, &Node)| NodeFigures {
            node: NodeRef { pool: self.index, node: i },
            tally: n.tally.clone(),
            stranded: n.stranded.as_ref().map(Missing::count),
        };
        let present = self.nodes.iter().enumerate().filter(|(i, _)| !self.judge.is_removed(*i));
        PoolFigures { tally: self.tally.clone(), nodes: present.map(node).collect() }
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
            removed: self.removed(),
            nodes: self.nodes.iter().enumerate().map(node).collect(),
        }
    }
}
