//! A node as the engine keeps it: configuration, last observation, and when to look again.

use crate::config::NodeConfig;
use crate::engine::time::{Duration, Time};
use crate::gtid::Missing;
use crate::metrics::NodeTally;
use crate::probe::{Class, Facts, Observation};
use std::net::IpAddr;

/// Two silent observations tell for this many times `silence` that packets get lost.
const LOSING_FOR: u32 = 10;

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// How it is configured.
    pub config: NodeConfig,
    /// Its canonical address as text.
    pub name: String,
    /// The last observation, with its text as amended by the rules; its facts are in `facts`.
    pub last: Option<Observation>,
    /// It was seen in good order in this life.
    pub met_good: bool,
    /// What the last observation that brought facts brought.
    pub facts: Facts,
    /// The last observation brought facts.
    told: bool,
    /// Where its name led when it was last resolved or reached.
    pub located: Option<IpAddr>,
    /// The last lag that the server could compute.
    pub last_lag: Option<Duration>,
    /// When the present silence began.
    pub silent_since: Option<Time>,
    /// When the last two silent observations began, the later one first.
    silences: [Option<Time>; 2],
    /// Observations in a row that were discarded because the prober itself was late.
    pub late: u32,
    /// The last observations that counted.
    pub window: Window,
    /// What it hears of the ACTIVE node while that is in doubt.
    pub hearing: Hearing,
    /// Since when it is a stand-in, in this life.
    pub standby_since: Option<Time>,
    /// Message as stored, until the first observation of this life.
    pub stored_message: String,
    /// The rule that last judged the node.
    pub rule: u16,
    /// Wall-clock time of the last observation; 0 for never.
    pub observed_ms: u64,
    /// Wall-clock time of the last change of state; 0 for never.
    pub changed_ms: u64,
    /// What it was found to hold that the ACTIVE node lacks, while it waits for `recover`; the event was given.
    pub stranded: Option<Missing>,
    /// ACTIVE: the next bad observation could take its role, and the cache notes that. Failed: it waits for `recover`
    /// because such a note was found at the start.
    pub intent: bool,
    /// What is counted of it.
    pub tally: NodeTally,
    /// The schedule.
    pub schedule: Schedule,
}

/// The last twenty observations that said something, the latest in the lowest bit; bad ones are 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    bits: u32,
    filled: u32,
}

impl Window {
    /// How many observations it holds.
    pub const LENGTH: u32 = 20;
    /// So many bad ones of a full window are too many.
    pub const BAD: u32 = 12;

    /// Takes one in.
    pub fn push(&mut self, bad: bool) {
        self.bits = (self.bits << 1 | u32::from(bad)) & ((1 << Window::LENGTH) - 1);
        self.filled = (self.filled + 1).min(Window::LENGTH);
    }

    /// Whether one more bad one would be too many.
    pub fn is_at_the_brink(mut self) -> bool {
        self.push(true);
        self.is_bad()
    }

    /// Whether it is full and 60 % of it are bad.
    pub fn is_bad(&self) -> bool {
        self.filled == Window::LENGTH && self.bits.count_ones() >= Window::BAD
    }
}

/// What a replica has heard of the ACTIVE node since that came into doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hearing {
    /// Good observations that began after the ACTIVE node's first bad one.
    pub looks: u32,
    /// The token of what was received by the last of them, and when that one began.
    pub last: Option<(u64, Time)>,
    /// The latest time after which something is known to have been received.
    pub heard: Option<Time>,
}

/// When a node was and will be probed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Schedule {
    /// Number of the probe under way.
    pub in_flight: Option<u64>,
    /// When the last probe began.
    pub last_started: Option<Time>,
    /// When a probe with a fresh login was last asked for.
    pub last_login: Option<Time>,
    /// Taken off the time until the next fresh login, as with `jitter`.
    pub login_jitter: Duration,
    /// The kept connection was lost: look soon.
    pub hint: bool,
    /// Probes in a row that a lost connection brought about.
    pub hints: u32,
    /// A host could not reach it: look soon.
    pub reported: bool,
    /// How long a failed node is left alone; zero for no longer than any other.
    pub back_off: Duration,
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
            met_good: false,
            facts: Facts::default(),
            told: false,
            located: None,
            last_lag: None,
            silent_since: None,
            silences: [None; 2],
            late: 0,
            standby_since: None,
            hearing: Hearing::default(),
            window: Window::default(),
            stored_message: String::new(),
            rule: 0,
            observed_ms: 0,
            changed_ms: 0,
            stranded: None,
            intent: false,
            tally: NodeTally::default(),
            schedule: Schedule::default(),
        }
    }

    /// Whether packets get lost on the way to the node: it was silent twice within a short time, and not for good.
    pub fn is_losing(&self, now: Time) -> bool {
        let lately = self.config.probe.silence.saturating_mul(LOSING_FOR);
        self.silences[1].is_some_and(|at| now.since(at) < lately)
    }

    /// Takes in an observation and what it is charged to; the rules judge it afterwards.
    pub fn remember(&mut self, mut observation: Observation, class: Class, wall_ms: u64) {
        if observation.class() == Class::Silent {
            self.silences = [Some(observation.started), self.silences[0]];
        }
        match class {
            // Where packets get lost a server may be heard in a probe that ends in silence: that is measured from there.
            Class::Silent => {
                let since = self.silent_since.unwrap_or(observation.started);
                self.silent_since = Some(observation.heard.map_or(since, |heard| heard.max(since)));
            }
            Class::Blind => {}
            _ => self.silent_since = None,
        }
        let facts = core::mem::take(&mut observation.facts);
        self.told = facts != Facts::default();
        if !self.told && class != Class::Blind {
            // What is behind a router that nobody reached is not known.
            self.facts.backend = None;
        }
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
