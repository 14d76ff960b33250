//! What proxies are told: the state of all pools as MPP knows it.

use super::shared::Core;
use crate::engine::{Now, PoolSnapshot};
use crate::io::clock;
use crate::mpp::Evaluation;
use crate::pool::{Address, State};
use std::collections::BTreeMap;

/// Each node of a pool. Those that an operator took out take no clients, nor does a stand-in in maintenance.
pub fn evaluations(pool: &PoolSnapshot) -> Vec<Evaluation> {
    let nodes = pool.nodes.iter().filter_map(|node| {
        let maintenance = node.override_.as_ref().is_some_and(|order| order.maintenance.is_some());
        Some(Evaluation {
            node: Address::parse(&node.name).ok()?,
            node_type: node.node_type,
            state: node.state,
            status: node.status,
            weight: if maintenance && node.state != State::Active { 0 } else { node.weight },
        })
    });
    let removed = pool.removed.iter().filter_map(|name| Address::parse(name).ok());
    nodes.chain(removed.map(Evaluation::gone)).collect()
}

/// Whether there is something to say of a pool: who is ACTIVE, or that nobody can be. A new instance without a cache knows
/// neither, and a proxy may still know more than it.
fn is_settled(pool: &PoolSnapshot) -> bool {
    pool.active.is_some() || pool.nodes.iter().all(|node| node.count.is_some())
}

impl Core {
    /// Lets the driver connect to the proxies. Not for a single cycle, which would end in the middle of a push.
    pub(super) fn begin_pushing(&mut self) {
        if self.follower.is_some() {
            // The decider does.
            return;
        }
        let proxies = self.proxies.clone();
        if let Some(driver) = &mut self.driver {
            driver.set_proxies(clock::mono(), proxies);
        }
        self.unpushed = true;
    }

    /// Hands the state to all proxies, if it may have changed.
    pub(super) fn feed_proxies(&mut self, now: Now) {
        if !self.unpushed || self.poisoned.is_some() || self.engine.is_none() {
            return;
        }
        let Some(driver) = self.driver.as_mut().filter(|driver| driver.has_proxies()) else { return };
        let mut pools = BTreeMap::new();
        self.unpushed = false;
        for (_, pool) in &self.copies {
            if self.pushed.contains(&pool.name) || is_settled(pool) {
                self.pushed.insert(pool.name.clone());
                pools.insert(pool.name.clone(), evaluations(pool));
            } else {
                // Observed nodes do not tell of themselves: look again at the next turn.
                self.unpushed = true;
            }
        }
        driver.feed_proxies(now.mono, &pools);
        self.tell_notices(now);
    }
}
