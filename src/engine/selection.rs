//! Where a pool meets its services: after every change they look at its nodes, and what they make of them is published ahead of
//! the events that tell why.

use super::effect::Effect;
use super::outbox::Outbox;
use super::pool_machine::PoolMachine;
use super::time::Now;
use crate::policy::serving::{View, not_serving};
use crate::pool::Node;
use crate::select::{NodeSeen, PoolSeen};

impl PoolMachine {
    /// Publishes what changed for clients.
    pub(super) fn select(&mut self, now: Now, out: &mut Outbox) {
        // Taken out while the rest of the pool is looked at.
        let mut selection = core::mem::take(&mut self.selection);
        let active = self.judge.active();
        let paused = self.heir().is_some();
        let seen = |(i, node): (usize, &Node)| {
            let lag = node.facts.channels.iter().flatten().filter_map(|channel| channel.lag).max();
            (
                View {
                    policy: self.config.policy,
                    state: self.judge.state(i),
                    status: self.status_of(i),
                    class: node.last.as_ref().map(|observation| observation.cause.class()),
                    selected: active == Some(i),
                    paused,
                    maintenance: self.in_maintenance(i),
                },
                lag.or(node.last_lag),
                self.weight_of(i),
                self.in_maintenance(i),
                self.judge.is_removed(i),
            )
        };
        let views: Vec<_> = self.nodes.iter().enumerate().map(seen).collect();
        let nodes: Vec<NodeSeen<'_>> = self
            .nodes
            .iter()
            .zip(views)
            .map(|(node, (view, lag, weight, maintenance, removed))| NodeSeen {
                name: &node.name,
                address: &node.config.address,
                ip: node.located,
                view,
                lag,
                weight,
                site: &node.config.site,
                maintenance,
                removed,
                gtids: node.facts.gtids.as_ref(),
            })
            .collect();
        let silent = || not_serving(&self.snapshot());
        let pool =
            PoolSeen { name: &self.config.name, epoch: self.epoch, nodes: &nodes, not_serving: &silent };
        for table in selection.update(now.mono, &pool) {
            out.push_first(Effect::Publish(table));
        }
        self.selection = selection;
    }
}
