//! Servers that answer as they are told, probes that take their time, and a prober that can be stopped.

use primacy::config::{Config, ConfigBuilder};
use primacy::engine::{
    Answer, CheckRef, Command, Effect, Engine, Event, EventKind, Input, NodeRef, NodeSnapshot, Now, Time,
};
use primacy::pool::State;
use primacy::probe::{Cause, Class, Facts, Observation};
use std::collections::BTreeMap;
use std::time::Duration;

/// How a server behaves.
#[derive(Clone, Debug)]
pub struct Server {
    /// How a probe of it ends.
    pub cause: Cause,
    /// What it tells, if it answers.
    pub facts: Facts,
}

/// A probe that was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    pub node: NodeRef,
    pub at: Time,
    pub fresh: bool,
}

pub struct World {
    pub engine: Engine,
    pub servers: BTreeMap<NodeRef, Server>,
    pub clock: Time,
    pub events: Vec<Event>,
    pub asked: Vec<Asked>,
    /// How looks at checkpoints end, by their index in the set; those beyond the list end well.
    pub checkpoints: Vec<Cause>,
    /// The looks that were asked for.
    pub looks: Vec<(CheckRef, Time)>,
    /// Servers say something at the beginning of every probe, however it ends.
    pub greets: bool,
    /// Nodes whose probes send nothing, for they wait for the answer to an earlier one's question, and when that was
    /// acknowledged.
    pub waited_for: BTreeMap<NodeRef, Time>,
    /// How long a look takes that brings a reply.
    pub look_takes: Duration,
    under_way: BTreeMap<(Time, u64), (NodeRef, u64, Time)>,
    looking: BTreeMap<(Time, u64), (CheckRef, u64, Time)>,
    turn: u64,
}

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub const fn node(node: usize) -> NodeRef {
    NodeRef { pool: 0, node }
}

/// A configuration from pool strings and keys.
pub fn config(pools: &[&str], keys: &[(&str, &str)]) -> Config {
    let mut builder = ConfigBuilder::new();
    for pool in pools {
        builder.add_pool(pool).expect(pool);
    }
    for (key, value) in keys {
        builder.set(key, value).expect(key);
    }
    builder.build().expect("a configuration")
}

pub const RING: &str = "name:p;primary:10.0.0.1;secondary:10.0.0.2";

impl World {
    /// A running engine, healthy servers, and an ACTIVE node in each pool.
    pub fn new(pools: &[&str], keys: &[(&str, &str)]) -> World {
        let mut world = World::asleep(pools, keys);
        world.give(Input::Start);
        world.run(ms(3_000));
        assert_eq!(world.state(0), State::Active, "{}", world.explain());
        world.events.clear();
        world.asked.clear();
        world
    }

    /// An engine that has not been started, and healthy servers.
    pub fn asleep(pools: &[&str], keys: &[(&str, &str)]) -> World {
        let config = config(pools, keys);
        let healthy = Server { cause: Cause::Ok, facts: Facts::default() };
        let nodes = config
            .pools
            .iter()
            .enumerate()
            .flat_map(|(pool, p)| (0..p.nodes.len()).map(move |node| NodeRef { pool, node }));
        let servers = nodes.map(|node| (node, healthy.clone())).collect();
        let clock = Time::from_millis(60_000);
        let engine = Engine::new(config, None, 7, Now { mono: clock, wall_ms: 1 });
        World {
            engine,
            servers,
            clock,
            events: Vec::new(),
            asked: Vec::new(),
            checkpoints: Vec::new(),
            looks: Vec::new(),
            greets: false,
            waited_for: BTreeMap::new(),
            look_takes: ms(5),
            under_way: BTreeMap::new(),
            looking: BTreeMap::new(),
            turn: 0,
        }
    }

    pub fn now(&self) -> Now {
        Now { mono: self.clock, wall_ms: 1_700_000_000_000 + self.clock.0 / 1_000_000 }
    }

    pub fn explain(&self) -> String {
        self.engine.explain(self.now(), 0)
    }

    pub fn node(&self, node: usize) -> NodeSnapshot {
        self.engine.snapshot(self.now()).pools.remove(0).nodes.remove(node)
    }

    pub fn state(&self, node: usize) -> State {
        self.node(node).state
    }

    pub fn give(&mut self, input: Input) {
        self.engine.handle(self.now(), input);
        self.drain();
    }

    pub fn command(&mut self, command: Command) -> primacy::Result<Answer> {
        let answer = self.engine.command(self.now(), command);
        self.drain();
        answer
    }

    /// From now on probes of these nodes of the first pool end so.
    pub fn set(&mut self, nodes: &[usize], cause: Cause) {
        for &n in nodes {
            self.servers.get_mut(&node(n)).expect("a node").cause = cause;
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.clock + span;
        while self.step(end) {}
        self.clock = end;
    }

    /// Lets time pass until something holds; how long it took.
    pub fn run_until(&mut self, longest: Duration, holds: impl Fn(&World) -> bool) -> Duration {
        let (start, end) = (self.clock, self.clock + longest);
        while !holds(self) {
            assert!(self.step(end), "it did not come to hold within {longest:?}:\n{}", self.explain());
        }
        self.clock.since(start)
    }

    /// The prober's process stands still: what falls due meanwhile is handled at the end.
    pub fn stall(&mut self, span: Duration) {
        self.clock = self.clock + span;
        while self.step(self.clock) {}
    }

    fn step(&mut self, end: Time) -> bool {
        let answer = self.under_way.keys().next().copied();
        let timer = self.engine.poll_timeout();
        let look = self.looking.keys().next().copied();
        let first = [answer.map(|a| a.0), look.map(|l| l.0), timer].into_iter().flatten().min();
        let Some(at) = first.filter(|&at| at <= end) else { return false };
        self.clock = self.clock.max(at);
        if let Some((place, check, started)) =
            look.filter(|l| l.0 == at).and_then(|key| self.looking.remove(&key))
        {
            let mut observation = Observation::new(self.checkpoint(place), "", self.clock);
            observation.started = started;
            self.give(Input::Checked { place, check, observation });
            return true;
        }
        let ended = answer.filter(|a| a.0 == at).and_then(|key| self.under_way.remove(&key));
        match ended {
            Some((node, probe, started)) => {
                let server = &self.servers[&node];
                let mut observation = Observation::new(server.cause, "", self.clock);
                observation.heard = self.greets.then_some(started);
                observation.started = started;
                observation.reached = self.waited_for.get(&node).copied();
                if server.cause.class().answered() {
                    observation.facts = server.facts.clone();
                }
                self.give(Input::Probed { node, probe, observation });
            }
            None => self.give(Input::Timer),
        }
        true
    }

    fn checkpoint(&self, place: CheckRef) -> Cause {
        self.checkpoints.get(place.index).copied().unwrap_or(Cause::Ok)
    }

    fn drain(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Probe { node, probe, fresh } => {
                    self.asked.push(Asked { node, at: self.clock, fresh });
                    self.turn += 1;
                    let takes = match self.servers[&node].cause.class() {
                        Class::Hung => ms(250),
                        Class::Silent if self.servers[&node].cause == Cause::NoAck => ms(250),
                        _ => ms(1),
                    };
                    self.under_way.insert((self.clock + takes, self.turn), (node, probe, self.clock));
                }
                Effect::Check { place, check } => {
                    assert!(
                        self.looking.values().all(|l| l.0 != place),
                        "two looks at one checkpoint at a time"
                    );
                    self.looks.push((place, self.clock));
                    self.turn += 1;
                    let takes = match self.checkpoint(place) {
                        Cause::NoAck => ms(250),
                        _ => self.look_takes,
                    };
                    self.looking.insert((self.clock + takes, self.turn), (place, check, self.clock));
                }
                Effect::Publish(_) => {}
                Effect::Emit(event) => self.events.push(event),
                Effect::Persist { .. } => {}
            }
        }
        for pool in self.engine.snapshot(self.now()).pools {
            let active = pool.nodes.iter().filter(|n| n.state == State::Active).count();
            assert!(active <= 1, "{active} nodes are ACTIVE");
        }
        let timer = self.engine.poll_timeout();
        assert!(timer.is_none_or(|t| t > self.clock), "a timer that is due already");
    }

    /// Events of a kind.
    pub fn told(&self, kind: EventKind) -> Vec<&Event> {
        self.events.iter().filter(|e| e.kind == kind).collect()
    }

    /// When the node was probed, from a point of time on.
    pub fn probes_of(&self, of: usize, since: Time) -> Vec<Time> {
        self.asked.iter().filter(|a| a.node == node(of) && a.at >= since).map(|a| a.at).collect()
    }
}
