//! A small world for the engine: a clock, servers that replicate in a ring, probes that take their time, a disk.

use crate::config::{Config, ConfigBuilder};
use crate::engine::time::Duration;
use crate::engine::{
    Answer, Command, Effect, Engine, Event, EventKind, Input, NodeRef, NodeSnapshot, Now, PoolSnapshot,
    Reconfigured, Time,
};
use crate::error::Result;
use crate::gtid::Gtids;
use crate::pool::{PolicyName, State};
use crate::probe::{BackendSeen, Cause, Channel, Class, Facts, Flavour, Observation, ThreadState};
use crate::store::Cache;
use std::collections::BTreeMap;

/// How a server behaves.
#[derive(Clone, Debug)]
pub struct Server {
    /// How a probe of it ends; `Ok` leaves it to the replication.
    pub cause: Cause,
    /// From a probe's start to its answer, if it answers.
    pub rtt: Duration,
    /// Highest transaction of each server that this one has.
    pub has: Vec<u64>,
    /// The applying thread runs.
    pub sql: bool,
    /// The receiving thread runs, as long as its source does.
    pub io: bool,
    /// `@@read_only`.
    pub read_only: bool,
    /// A router's backend.
    pub backend: Option<bool>,
}

/// What left the engine for disk and people, in order.
#[derive(Clone, Debug)]
pub enum Trace {
    Asked(Cache),
    /// The write at hand has ended.
    Written,
    Told(Event),
}

/// Everything outside one engine.
pub struct World {
    pub engine: Engine,
    pub servers: Vec<Server>,
    /// Milliseconds since the start.
    pub clock: Time,
    /// Wall-clock time at the start.
    pub epoch_ms: u64,
    pub events: Vec<Event>,
    /// Every effect, in words, for comparisons.
    pub journal: Vec<String>,
    /// What this life has asked to be written and has told, in order.
    pub trace: Vec<Trace>,
    /// The last state that the engine asked to be written, and the last one that was.
    pub asked: Option<Cache>,
    pub on_disk: Option<Cache>,
    /// From a write's start to its end.
    pub disk: Duration,
    pub probes: Vec<u64>,
    pub timers: u64,
    pub highest_epoch: u64,
    under_way: BTreeMap<(Time, u64), (NodeRef, u64, Time)>,
    writing: BTreeMap<(Time, u64), Cache>,
    turn: u64,
    stopped: bool,
    config: Config,
    /// Feeds the engine's jitter.
    pub seed: u64,
    /// A node that gets nothing from its source, though its threads run.
    starved: Option<usize>,
}

const CONNECT_FAILED: u32 = 2003;

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A configuration of one ring of so many nodes.
pub fn config(nodes: usize, keys: &[(&str, &str)]) -> Config {
    let mut builder = ConfigBuilder::new();
    let mut spec = String::from("name:p;primary:10.0.0.1");
    for n in 2..=nodes {
        spec.push_str(&format!(";secondary:10.0.0.{n}"));
    }
    builder.add_pool(&spec).expect("a pool");
    for (key, value) in keys {
        builder.set(&format!("pool.p.{key}"), value).expect(key);
    }
    builder.build().expect("a configuration")
}

impl World {
    /// A running engine and healthy servers.
    pub fn new(nodes: usize, keys: &[(&str, &str)]) -> World {
        let config = config(nodes, keys);
        let server = Server {
            cause: Cause::Ok,
            rtt: ms(1),
            has: vec![0; nodes],
            sql: true,
            io: true,
            read_only: false,
            backend: None,
        };
        let now = Now { mono: Time::from_millis(1000), wall_ms: 1_700_000_000_000 };
        let mut world = World {
            engine: Engine::new(config.clone(), None, 7, now),
            servers: vec![server; nodes],
            clock: now.mono,
            epoch_ms: now.wall_ms - 1000,
            events: Vec::new(),
            journal: Vec::new(),
            trace: Vec::new(),
            asked: None,
            on_disk: None,
            disk: ms(5),
            probes: vec![0; nodes],
            timers: 0,
            highest_epoch: 0,
            under_way: BTreeMap::new(),
            writing: BTreeMap::new(),
            turn: 0,
            stopped: false,
            config,
            seed: 7,
            starved: None,
        };
        world.give(Input::Start);
        world
    }

    pub fn now(&self) -> Now {
        Now { mono: self.clock, wall_ms: self.epoch_ms + self.clock.0 / 1_000_000 }
    }

    pub fn pool(&self) -> PoolSnapshot {
        self.engine.snapshot(self.now()).pools.remove(0)
    }

    pub fn node(&self, node: usize) -> NodeSnapshot {
        self.pool().nodes.remove(node)
    }

    /// The index of the ACTIVE node.
    pub fn active(&self) -> Option<usize> {
        self.pool().nodes.iter().position(|n| n.state == State::Active)
    }

    /// Gives an input and carries out what follows.
    pub fn give(&mut self, input: Input) {
        match input {
            Input::Start => self.stopped = false,
            Input::Stop => self.stopped = true,
            _ => {}
        }
        self.engine.handle(self.now(), input);
        self.drain();
    }

    pub fn command(&mut self, command: Command) -> Result<Answer> {
        let answer = self.engine.command(self.now(), command);
        self.drain();
        answer
    }

    /// Lets the server behave so from now on; a server that ends closes its connections.
    pub fn set(&mut self, node: usize, cause: Cause) {
        self.servers[node].cause = cause;
        if cause.class() == Class::Gone {
            self.give(Input::ConnectionLost { node: NodeRef { pool: 0, node } });
        }
    }

    /// A new life of the engine, from a stored state.
    pub fn restart(&mut self, cache: Option<Cache>) {
        self.under_way.clear();
        self.writing.clear();
        self.turn += 1 << 32;
        self.trace.clear();
        self.engine = Engine::new(self.config.clone(), cache.as_ref(), self.seed, self.now());
        self.give(Input::Start);
    }

    /// A new configuration of the one pool. Servers go with their nodes; a new one is healthy.
    pub fn reload(&mut self, config: Config) -> Result<Reconfigured> {
        let count = config.pools[0].nodes.len();
        let done = self.engine.reconfigure(self.now(), config.clone())?;
        let length = self.servers.iter().map(|s| s.has.len()).max().unwrap_or(0).max(count);
        let fresh = Server {
            cause: Cause::Ok,
            rtt: ms(1),
            has: vec![0; length],
            sql: true,
            io: true,
            read_only: false,
            backend: None,
        };
        let was = |node: usize| done.moved.iter().find(|m| m.1.node == node).map(|m| m.0.node);
        self.servers = (0..count)
            .map(|i| was(i).map_or(fresh.clone(), |was| self.servers[was].clone()))
            .map(|server| Server { has: [server.has, vec![0; length]].concat()[..length].to_vec(), ..server })
            .collect();
        self.probes = (0..count).map(|i| was(i).map_or(0, |was| self.probes[was])).collect();
        let is = |node: NodeRef| done.moved.iter().find(|m| m.0 == node).map(|m| m.1);
        // A driver drops what it asked a node that has left.
        self.under_way =
            self.under_way.iter().filter_map(|(k, v)| Some((*k, (is(v.0)?, v.1, v.2)))).collect();
        self.starved = self.starved.and_then(|s| is(node(s))).map(|s| s.node);
        self.config = config;
        self.drain();
        Ok(done)
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.clock + span;
        while self.step(end) {}
        self.clock = end;
    }

    /// Lets time pass until something holds; returns how long it took.
    pub fn run_until(&mut self, longest: Duration, holds: impl Fn(&World) -> bool) -> Duration {
        let (start, end) = (self.clock, self.clock + longest);
        while !holds(self) {
            assert!(
                self.step(end),
                "it did not come to hold within {longest:?}:\n{}",
                self.engine.explain(self.now(), 0)
            );
        }
        self.clock.since(start)
    }

    /// The next thing that happens up to `end`; false if there is none.
    fn step(&mut self, end: Time) -> bool {
        let answer = self.under_way.keys().next().copied();
        let write = self.writing.keys().next().copied();
        let timer = self.engine.poll_timeout();
        let first = [answer.map(|a| a.0), write.map(|w| w.0), timer].into_iter().flatten().min();
        let Some(at) = first.filter(|&at| at <= end) else { return false };
        self.clock = self.clock.max(at);
        if let Some(key) = answer.filter(|a| a.0 == at)
            && let Some((node, probe, started)) = self.under_way.remove(&key)
        {
            self.replicate();
            let observation = self.observe(node.node, started);
            self.give(Input::Probed { node, probe, observation });
        } else if let Some(key) = write.filter(|w| w.0 == at)
            && let Some(cache) = self.writing.remove(&key)
        {
            let sequence = cache.sequence;
            self.on_disk = Some(cache);
            self.trace.push(Trace::Written);
            self.give(Input::Persisted { sequence, outcome: Ok(()) });
        } else {
            self.timers += 1;
            self.give(Input::Timer);
        }
        true
    }

    /// Carries out all effects, and holds the engine to what must be true after every input.
    fn drain(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            self.journal.push(format!("{} {effect:?}", self.clock));
            match effect {
                Effect::Probe { node, probe, .. } => {
                    assert!(self.under_way.values().all(|p| p.0 != node), "two probes of one node at a time");
                    self.probes[node.node] += 1;
                    self.turn += 1;
                    let ends = self.clock + self.time_of(node.node);
                    self.under_way.insert((ends, self.turn), (node, probe, self.clock));
                }
                Effect::Check { .. } => panic!("no checkpoint is configured"),
                Effect::Persist { cache, .. } => {
                    self.asked = Some(cache.clone());
                    self.trace.push(Trace::Asked(cache.clone()));
                    self.turn += 1;
                    assert!(self.writing.is_empty() || self.stopped, "two writes at a time");
                    let ends = self.clock + self.disk;
                    self.writing.insert((ends, self.turn), cache);
                }
                // What is published is looked at in select/tests.
                Effect::Publish(_) => {}
                Effect::Emit(event) => {
                    if event.kind == EventKind::Switch {
                        let (old, new) = (self.highest_epoch, event.epoch);
                        assert!(new > old, "epoch {new} after {old}: {event:?}");
                        self.highest_epoch = new;
                    }
                    self.trace.push(Trace::Told(event.clone()));
                    self.events.push(event);
                }
            }
        }
        let pool = self.pool();
        let active = pool.nodes.iter().filter(|n| n.state == State::Active).count();
        assert!(active <= 1 || pool.policy == PolicyName::Mpp, "{active} nodes are ACTIVE");
        let timer = self.engine.poll_timeout();
        assert!(
            timer.is_none_or(|t| t > self.clock),
            "a timer that is due already: {timer:?} at {}",
            self.clock
        );
    }

    fn time_of(&self, node: usize) -> Duration {
        let server = &self.servers[node];
        match server.cause.class() {
            Class::Hung | Class::Silent => ms(250),
            Class::Gone | Class::Blind => Duration::from_micros(200),
            _ => server.rtt,
        }
    }

    /// Every replica fetches what its source has, as far as both run.
    fn replicate(&mut self) {
        let count = self.servers.len();
        for _ in 0..count {
            for i in 0..count {
                let source = (i + count - 1) % count;
                let runs = self.servers[i].sql && self.servers[i].io && self.alive(i) && self.alive(source);
                if source != i && runs && self.starved != Some(i) {
                    let has = self.servers[source].has.clone();
                    for (mine, theirs) in self.servers[i].has.iter_mut().zip(has) {
                        *mine = theirs.max(*mine);
                    }
                }
            }
        }
    }

    /// The node gets nothing any more, and does not notice.
    pub fn cut_replication(&mut self, node: usize) {
        self.starved = Some(node);
    }

    pub fn replication_runs(&mut self) {
        self.starved = None;
    }

    fn alive(&self, node: usize) -> bool {
        !matches!(self.servers[node].cause.class(), Class::Gone | Class::Hung | Class::Silent)
    }

    /// What a probe finds.
    fn observe(&self, node: usize, started: Time) -> Observation {
        let server = &self.servers[node];
        let mut observation = Observation::new(server.cause, "", self.clock);
        observation.started = started;
        if server.cause != Cause::Ok {
            return observation;
        }
        let sets = server.has.iter().enumerate().filter(|(_, n)| **n > 0);
        let text: Vec<String> =
            sets.map(|(i, n)| format!("00000000-0000-0000-0000-00000000000{}:1-{n}", i + 1)).collect();
        let source = (node + self.servers.len() - 1) % self.servers.len();
        let reached = self.alive(source);
        let runs = |thread: bool| if thread { ThreadState::Running } else { ThreadState::Stopped };
        let io = if server.io && !reached { ThreadState::Connecting } else { runs(server.io) };
        let lag = (io == ThreadState::Running && server.sql).then_some(Duration::ZERO);
        let channel = Channel {
            name: String::new(),
            source: format!("10.0.0.{}:3306", source + 1),
            io,
            sql: runs(server.sql),
            io_errno: if io == ThreadState::Connecting { CONNECT_FAILED } else { 0 },
            sql_errno: if server.sql { 0 } else { 1062 },
            error: String::new(),
            lag,
            applied_all: Some(server.sql),
            received: None,
        };
        if !server.sql || !server.io {
            observation.cause = Cause::ReplicationStopped;
        }
        observation.facts = Facts {
            flavour: Some(Flavour::MySql),
            read_only: Some(server.read_only),
            gtids: Gtids::parse_mysql(&text.join(",")).ok(),
            channels: (source != node).then(|| vec![channel]),
            backend: server.backend.map(|good| BackendSeen {
                good,
                words: if good { String::new() } else { "port 3306 reaches nobody".into() },
                servers: Vec::new(),
            }),
            ..Facts::default()
        };
        observation
    }

    /// Events of a kind since a point of the list.
    pub fn told(&self, since: usize, kind: EventKind) -> Vec<&Event> {
        self.events[since..].iter().filter(|e| e.kind == kind).collect()
    }
}

pub fn node(node: usize) -> NodeRef {
    NodeRef { pool: 0, node }
}
