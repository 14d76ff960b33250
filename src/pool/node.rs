//! A node as the engine keeps it: configuration, last observation, and when to look again.

use crate::config::NodeConfig;
use crate::engine::time::{Duration, Time};
use crate::probe::{Class, Facts, Observation};

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// How it is configured.
    pub config: NodeConfig,
    /// Its canonical address as text.
    pub name: String,
    /// The last observation, with its text as amended by the rules; its facts are in `facts`.
    pub last: Option<Observation>,
    /// What the last observation that brought facts brought.
    pub facts: Facts,
    /// The last observation brought facts.
    told: bool,
    /// The last lag that the server could compute.
    pub last_lag: Option<Duration>,
    /// When the present silence began.
    pub silent_since: Option<Time>,
    /// Message as stored, until the first observation of this life.
    pub stored_message: String,
    /// The rule that last judged the node.
    pub rule: u16,
    /// Wall-clock time of the last observation; 0 for never.
    pub observed_ms: u64,
    /// Wall-clock time of the last change of state; 0 for never.
    pub changed_ms: u64,
    /// A failed node's stranded transactions have been reported.
    pub stranded_reported: bool,
    /// The schedule.
    pub schedule: Schedule,
}

/// When a node was and will be probed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Schedule {
    /// Number of the probe under way.
    pub in_flight: Option<u64>,
    /// When the last probe began.
    pub last_started: Option<Time>,
    /// When a login was last asked for; a connection that had to be made anew in between does not count.
    pub last_login: Option<Time>,
    /// The kept connection was lost: look soon.
    pub hint: bool,
    /// Taken off the interval, so that many probers do not march in step.
    pub jitter: Duration,
}

impl Node {
    /// A node that nobody has looked at.
    pub fn new(config: NodeConfig) -> Node {
        Node {
            name: config.address.to_string(),
            config,
            last: None,
            facts: Facts::default(),
            told: false,
            last_lag: None,
            silent_since: None,
            stored_message: String::new(),
            rule: 0,
            observed_ms: 0,
            changed_ms: 0,
            stranded_reported: false,
            schedule: Schedule::default(),
        }
    }

    /// Takes in an observation; the rules judge it afterwards.
    pub fn remember(&mut self, mut observation: Observation, wall_ms: u64) {
        match observation.class() {
            Class::Silent => {
                self.silent_since.get_or_insert(observation.started);
            }
            Class::Blind => {}
            _ => self.silent_since = None,
        }
        let facts = core::mem::take(&mut observation.facts);
        self.told = facts != Facts::default();
        if self.told {
            let lag = facts.channels.iter().flatten().filter_map(|c| c.lag).max();
            self.last_lag = lag.or(self.last_lag);
            self.facts = merge(facts, core::mem::take(&mut self.facts));
        }
        self.observed_ms = wall_ms;
        self.last = Some(observation);
    }

    /// What the last observation brought; none if it brought nothing.
    pub fn last_facts(&self) -> Option<&Facts> {
        self.told.then_some(&self.facts)
    }
}

/// What is only asked at a login keeps its value between logins.
fn merge(new: Facts, old: Facts) -> Facts {
    Facts {
        flavour: new.flavour.or(old.flavour),
        version: new.version.or(old.version),
        server_id: new.server_id.or(old.server_id),
        server_uuid: new.server_uuid.or(old.server_uuid),
        threads_connected: new.threads_connected.or(old.threads_connected),
        max_connections: new.max_connections.or(old.max_connections),
        ..new
    }
}
