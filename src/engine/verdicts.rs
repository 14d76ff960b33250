//! The two verdicts on a router: is it in order itself, and does what it leads to work.
//!
//! Only the first may move an address. When all databases are down every router has a bad backend, and an address that
//! moved for it would wander or vanish with them.

use super::Engine;
use super::pool_machine::PoolMachine;
use crate::pool::{MaintenanceRole, State, Status};
use crate::probe::BackendSeen;

/// Whether a node is fit to hold an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalVerdict {
    /// It is.
    pub good: bool,
    /// Why not, in a few words; empty if it is.
    pub words: String,
}

impl LocalVerdict {
    fn bad(words: impl Into<String>) -> LocalVerdict {
        LocalVerdict { good: false, words: words.into() }
    }
}

impl Engine {
    /// Whether a node is fit to hold an address: it has been seen in good order in this life, is not at FAIL, has not
    /// failed, and is not in maintenance, unless it is to stay ACTIVE in that. A backend that does not work changes nothing. A pool or node that does not exist
    /// is not fit.
    pub fn local_verdict(&self, pool: usize, node: usize) -> LocalVerdict {
        match self.pools.get(pool).filter(|pool| node < pool.nodes.len()) {
            Some(pool) => pool.local_verdict(node),
            None => LocalVerdict::bad("there is no such node"),
        }
    }

    /// What the ports of a node lead to; `None` for a node that is no router, and while nobody can tell.
    pub fn backend_verdict(&self, pool: usize, node: usize) -> Option<&BackendSeen> {
        self.pools.get(pool)?.nodes.get(node)?.facts.backend.as_ref()
    }
}

impl PoolMachine {
    fn local_verdict(&self, node: usize) -> LocalVerdict {
        let state = self.judge.state(node);
        if self.judge.is_removed(node) {
            LocalVerdict::bad("an operator took the node out of the pool")
        } else if let Some(role) = self.maintenance_of(node) {
            // Who was told to stay keeps the address, and its faults do not take it away.
            match (role, state) {
                (MaintenanceRole::Stay, State::Active) => LocalVerdict { good: true, words: String::new() },
                _ => LocalVerdict::bad("the node is in maintenance"),
            }
        } else if self.status_of(node) == Status::Fail || state.is_failed() {
            LocalVerdict::bad(format!("{state}, {}: {}", self.status_of(node), self.words(node)))
        } else if !self.nodes[node].met_good {
            match &self.nodes[node].last {
                None => LocalVerdict::bad("not observed yet"),
                Some(_) => LocalVerdict::bad(format!("not yet seen in good order: {}", self.words(node))),
            }
        } else if state == State::Unknown {
            LocalVerdict::bad("not yet a stand-in")
        } else {
            LocalVerdict { good: true, words: String::new() }
        }
    }
}
