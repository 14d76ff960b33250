//! All that the text is made of, taken at one moment.

use super::tally::{DeskTally, EventTally, LinkTally, LoopTally, NodeTally, PoolTally};
use crate::engine::{NodeRef, Snapshot};
use crate::mpp;
use crate::vip::status::TierStatus;
use std::collections::BTreeMap;

/// The state of all pools, and what a running instance has counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// The state.
    pub snapshot: Snapshot,
    /// When the state was last stored, milliseconds since the Unix epoch; 0 for never.
    pub written_ms: u64,
    /// What was counted; none if the state comes from a cache.
    pub life: Option<Life>,
}

/// What an instance has counted since it was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Life {
    /// By pool and node of the snapshot; empty after a defect of the engine.
    pub pools: Vec<PoolFigures>,
    /// What the driver counted.
    pub driver: DriverFigures,
    /// Writes and requests.
    pub desk: DeskTally,
    /// Events.
    pub events: EventTally,
    /// The engine hit a defect and decides no more.
    pub failed: bool,
    /// When the engine was made, milliseconds since the Unix epoch; 0 if it was not yet.
    pub since_ms: u64,
    /// Floating addresses, as of a second ago at most; none if there are none.
    pub tier: Option<TierStatus>,
}

/// One pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolFigures {
    /// What its rules did.
    pub tally: PoolTally,
    /// In the order of the snapshot.
    pub nodes: Vec<NodeFigures>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFigures {
    /// Its place in the configuration.
    pub node: NodeRef,
    /// What was observed.
    pub tally: NodeTally,
    /// Transactions that it holds and the ACTIVE node lacks; none if it did not fail as ACTIVE, or nobody can tell.
    pub stranded: Option<u64>,
}

/// What the driver hands over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriverFigures {
    /// The loop, the resolver and the control socket.
    pub tally: LoopTally,
    /// Connections to nodes that are open or being made.
    pub connections: u64,
    /// By node; none for a node that the host observes.
    pub links: BTreeMap<NodeRef, LinkTally>,
    /// By the address of a proxy that is pushed to.
    pub proxies: BTreeMap<String, mpp::Tally>,
}

impl DriverFigures {
    /// Takes in what an earlier driver of the same instance counted. Its connections are closed.
    pub fn add(&mut self, earlier: &DriverFigures) {
        self.tally.add(&earlier.tally);
        for (&node, &tally) in &earlier.links {
            self.links.entry(node).or_default().add(tally);
        }
        for (proxy, tally) in &earlier.proxies {
            self.proxies.entry(proxy.clone()).or_default().add(tally);
        }
    }
}
