//! Services: what a client asks for, as the ports of MySQL Router and the host groups of ProxySQL are.

use crate::engine::time::Duration;
use crate::pool::state::words;
use core::fmt;

words! {
    /// Which nodes of the pool a service sends its clients to.
    Role {
        /// The ACTIVE node: clients that write. MySQL Router's PRIMARY, ProxySQL's writer host group.
        Active = 1 => "active",
        /// The stand-ins in good order: clients that only read. MySQL Router's SECONDARY, ProxySQL's reader host group.
        Standby = 2 => "standby",
        /// Both: MySQL Router's PRIMARY_AND_SECONDARY.
        Any = 3 => "any",
    }
}

words! {
    /// How a service chooses among the nodes that may take a client. The first four mean what MySQL Router means by them.
    Strategy {
        /// The first one in configuration order.
        FirstAvailable = 1 => "first-available",
        /// The same, but a node that once took no clients is not used again as long as the instance lives. Once all were, the list
        /// begins anew.
        NextAvailable = 2 => "next-available",
        /// One after the other.
        RoundRobin = 3 => "round-robin",
        /// One after the other; where none of the role takes clients, the ACTIVE node.
        RoundRobinWithFallback = 4 => "round-robin-with-fallback",
        /// At random, in proportion to the weights.
        Weighted = 5 => "weighted",
        /// The one with the fewest clients for its weight, of at most 16 nodes; above that as two-choices.
        LeastConnections = 6 => "least-connections",
        /// Of two at random, the one with fewer clients for its weight.
        TwoChoices = 7 => "two-choices",
    }
}

words! {
    /// What becomes of the clients of a node that loses the service's role.
    OnDemotion {
        /// They end at once if the node failed, and drain if its role was moved on purpose.
        Auto = 0 => "auto",
        /// They end at once.
        Kill = 1 => "kill",
        /// They end once they are idle, at the deadline at the latest.
        Drain = 2 => "drain",
        /// They stay.
        Keep = 3 => "keep",
    }
}

words! {
    /// What a selection answers while nobody renews the table that it reads.
    OnStale {
        /// The node, marked as stale.
        Serve = 0 => "serve",
        /// An error.
        Refuse = 1 => "refuse",
    }
}

/// One service of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Its name, unique in the pool.
    pub name: String,
    /// Whom it sends clients to.
    pub role: Role,
    /// The port on the node; `None` for the node's own. Never set where a node is a unix socket.
    pub port: Option<u16>,
    /// Whom it sends them to while none of the role takes any.
    pub fallback: Option<Role>,
    /// How it chooses.
    pub strategy: Strategy,
    /// What becomes of clients whose node loses the role.
    pub on_demotion: OnDemotion,
    /// How long they may drain.
    pub drain_deadline: Duration,
    /// Lag above which a node gets no new clients; at most the pool's.
    pub max_lag: Duration,
    /// Nodes of the client's own site come first.
    pub same_site_first: bool,
    /// How long a node that comes back gets less than its share.
    pub slow_start: Duration,
    /// The first hold of a node that hosts report; zero switches quarantine off.
    pub quarantine: Duration,
    /// The longest hold.
    pub quarantine_max: Duration,
    /// So many failed connects in a row put a node into quarantine.
    pub quarantine_after: u32,
    /// What is answered while nobody renews the table.
    pub stale: OnStale,
    /// How old the last turn of the decider may be.
    pub stale_after: Duration,
}

impl ServiceConfig {
    /// The name in full: `POOL.SERVICE`.
    pub fn full_name(&self, pool: &str) -> String {
        format!("{pool}.{}", self.name)
    }

    /// What a pool has that names no service: `rw` for the ACTIVE node; `ro` for the stand-ins in turn, else the ACTIVE node.
    pub fn defaults(max_lag: Duration) -> Vec<ServiceConfig> {
        let rw = ServiceConfig {
            name: "rw".into(),
            role: Role::Active,
            port: None,
            fallback: None,
            strategy: Strategy::FirstAvailable,
            on_demotion: OnDemotion::Auto,
            drain_deadline: Duration::from_secs(30),
            max_lag,
            same_site_first: false,
            slow_start: Duration::ZERO,
            quarantine: Duration::from_secs(1),
            quarantine_max: Duration::from_secs(60),
            quarantine_after: 3,
            stale: OnStale::Serve,
            stale_after: Duration::from_secs(5),
        };
        let ro = ServiceConfig {
            name: "ro".into(),
            role: Role::Standby,
            fallback: Some(Role::Active),
            strategy: Strategy::RoundRobin,
            ..rw.clone()
        };
        vec![rw, ro]
    }
}
