//! Everything around an engine that bytes may decide, and what must hold whatever they decide.

use primacy::config::{Config, ConfigBuilder, LastResort, OnDoubt};
use primacy::engine::time::Duration;
use primacy::engine::{
    CheckRef, Command, Effect, Engine, EventKind, Input, NodeRef, Now, PoolSnapshot, ReportOutcome, Snapshot,
    Time,
};
use primacy::gtid::Gtids;
use primacy::pool::{MaintenanceRole, NodeType, Override, PolicyName, PoolStatus, State, Status};
use primacy::probe::{Cause, Channel, Class, Facts, Flavour, Observation, ThreadState};
use primacy::store::{Cache, StoredPool, decode, encode};
use std::collections::{BTreeMap, VecDeque};

/// One or two pools: how many nodes, the policy, its settings, who probes.
pub fn configuration(choices: &[u8; 4]) -> Config {
    let mut builder = ConfigBuilder::new();
    let mut pools = vec!["p"];
    if choices[3] & 1 == 1 {
        pools.push("q");
    }
    for (index, pool) in pools.into_iter().enumerate() {
        let [nodes, policy, settings, who] = choices.map(|c| c.rotate_right(index as u32 * 4));
        let first = if nodes & 4 == 0 { "primary" } else { "secondary" };
        let mut spec = format!("name:{pool};{first}:10.0.{index}.1");
        (2..=1 + nodes % 4).for_each(|n| spec.push_str(&format!(";secondary:10.0.{index}.{n}")));
        builder.add_pool(&spec).expect("a pool string");
        let mut set = |key: &str, value: &str| {
            builder.set(&format!("pool.{pool}.{key}"), value).expect(key);
        };
        if policy % 4 == 3 {
            set("policy", "mpp");
            set("levels", ["4", "1", "2", "7"][usize::from(settings) % 4]);
            set("hostile_takeover", if settings & 4 == 0 { "false" } else { "true" });
        } else {
            set("fall", ["4", "1", "2", "3"][usize::from(settings) % 4]);
            set("rise", ["4", "1", "2", "7"][usize::from(settings >> 2) % 4]);
            set("failback", ["after-recover", "auto", "manual"][usize::from(policy) % 4 % 3]);
            if settings & 16 != 0 {
                set("fail_on", "too_many_connections,auth_denied");
            }
            set("auto_recover", ["off", "off", "2/1m", "9/1m"][usize::from(settings >> 5) % 4]);
            set("last_resort", ["alarm", "alarm", "after=1m", "never"][usize::from(who >> 2) % 4]);
            // Together with `auto_recover` one is asked for.
            set("hold_down", if settings & 64 != 0 || who & 16 != 0 { "2s" } else { "0ms" });
            if who & 64 != 0 {
                set("on_doubt", "fail");
                set("doubt_deadline", "1s");
            }
        }
        set("probe", if who & 2 == 0 { "builtin" } else { "external" });
        if who & 2 == 0 && who & 32 != 0 {
            let node = format!("10.0.{index}.{}", 1 + settings % (1 + nodes % 4));
            let set_of = "internal = \"simple:10.9.0.1\", external = \"http:h\"";
            set("checkpoints", &format!("[ {{ node = \"{node}\", {set_of} }} ]"));
        }
    }
    builder.build().expect("a configuration")
}

/// An engine and its surroundings.
pub struct World {
    config: Config,
    engine: Engine,
    mono: Time,
    wall_ms: u64,
    /// The latest that the wall clock ever showed.
    latest_ms: u64,
    in_flight: BTreeMap<NodeRef, (u64, Time)>,
    looks: BTreeMap<CheckRef, (u64, Time)>,
    /// The last state that the engine asked to be written, those not confirmed yet, and the one on disk.
    asked: Option<Cache>,
    writing: VecDeque<(u64, Cache)>,
    disk: Option<Cache>,
    /// The epoch of each pool's last switch, over all lives.
    switched: Vec<u64>,
    /// The number of this life's last event.
    events: Option<u64>,
    /// An operator gave an order: its end leaves to the next look what it made possible, whatever is seen then.
    ordered: bool,
    before: Snapshot,
}

impl World {
    pub fn new(config: Config, cache: Option<Cache>) -> World {
        let now = Now { mono: Time::from_millis(1000), wall_ms: 1_700_000_000_000 };
        let engine = Engine::new(config.clone(), cache.as_ref(), 7, now);
        let mut world = World {
            before: engine.snapshot(now),
            switched: engine.snapshot(now).pools.iter().map(|p| p.epoch).collect(),
            config,
            engine,
            mono: now.mono,
            wall_ms: now.wall_ms,
            latest_ms: now.wall_ms,
            in_flight: BTreeMap::new(),
            looks: BTreeMap::new(),
            asked: None,
            writing: VecDeque::new(),
            disk: cache,
            events: None,
            ordered: false,
        };
        world.give(Input::Start);
        world.check(None);
        world
    }

    fn now(&self) -> Now {
        Now { mono: self.mono, wall_ms: self.wall_ms }
    }

    /// Lets one thing happen. A millisecond passes first: the epochs of a life whose last write was lost are kept apart
    /// by the clock.
    pub fn act(&mut self, act: u8, choice: [u8; 3]) {
        self.pass(1);
        let [a, b, c] = choice;
        let node = self.node(a);
        let mut command = None;
        match act % 16 {
            0..=4 => self.probed(node, b, c),
            5 => {
                // An answer to a probe that nobody waits for.
                let number = self.in_flight.get(&node).map_or(u64::from(c), |f| f.0 + 1 + u64::from(c));
                let seen = |s: &Snapshot| -> Vec<u64> {
                    s.pools.iter().flat_map(|p| p.nodes.iter().map(|n| n.observed_ms)).collect()
                };
                let observation = self.observation(node, b, c, self.mono);
                self.give(Input::Probed { node, probe: number, observation });
                assert_eq!(
                    seen(&self.before),
                    seen(&self.engine.snapshot(self.now())),
                    "an old answer counted"
                );
            }
            6 => self.timer(),
            7 => {
                self.pass(u64::from(b) << (c % 12));
                self.give(Input::Timer);
            }
            8 => {
                let observation =
                    self.observation(node, b, c, self.mono - Duration::from_millis(u64::from(c)));
                self.give(Input::Observed { node, observation });
            }
            9 if b & 1 == 0 => self.give(Input::ConnectionLost { node }),
            9 => {
                let outcome = ReportOutcome::ALL[usize::from(c) % ReportOutcome::ALL.len()];
                self.give(Input::Report { node, service: None, outcome });
            }
            10 => {
                let pool_status = [None, Some(PoolStatus::Ok), Some(PoolStatus::Fail)][usize::from(b % 3)];
                self.give(Input::Cycle { pool: node.pool, pool_status });
            }
            11 => {
                let reason = || "a reason".to_string();
                let limit =
                    [None, Some(1), Some(30), Some(120)][usize::from(c >> 6)].map(Duration::from_secs);
                let order = match b % 12 {
                    0 => Command::RecoverNode(node),
                    1 => Command::RecoverPool(node.pool),
                    2 => Command::ActivatePrimary(node.pool),
                    3 => Command::RemoveNode(node),
                    4 | 5 => {
                        let some = |bit: u8| (c >> bit & 1 == 1).then_some(usize::from(b >> 4));
                        let set = Override {
                            state: some(0).map(|n| State::ALL[n % State::ALL.len()]),
                            status: some(1).map(|n| Status::ALL[n % Status::ALL.len()]),
                            node_type: some(2).map(|n| NodeType::ALL[n % NodeType::ALL.len()]),
                            weight: some(3).map(|n| n as u32),
                        };
                        Command::Override { node, set, reason: reason(), limit }
                    }
                    6 | 7 => Command::ClearOverride(node),
                    8 => Command::Freeze { pool: node.pool, reason: reason(), limit },
                    9 => Command::Unfreeze(node.pool),
                    _ => {
                        let role = MaintenanceRole::ALL[usize::from(c & 1)];
                        Command::Maintenance { node, role, reason: reason(), limit }
                    }
                };
                let answer = self.engine.command(self.now(), order.clone());
                self.drain();
                if let Ok(answer) = answer {
                    self.ordered |= b % 12 > 3;
                    // During a write it is the next one.
                    let next = u64::from(!self.writing.is_empty());
                    let asked = self.asked.as_ref().map_or(0, |c| c.sequence) + next;
                    assert!(answer.sequence <= asked, "{order:?} waits for a write that nobody asked for");
                    command = Some(order);
                }
            }
            12 if b & 2 != 0 && self.looks.keys().any(|place| place.node == node) => self.checked(node, b, c),
            12 => {
                if let Some((sequence, cache)) = self.writing.pop_front() {
                    let outcome = if b & 1 == 0 { Ok(()) } else { Err("no space left".to_string()) };
                    if outcome.is_ok() {
                        self.disk = Some(cache);
                    }
                    self.give(Input::Persisted { sequence, outcome });
                }
            }
            13 => match b % 3 {
                0 => self.give(Input::Start),
                1 => {
                    self.give(Input::Stop);
                    self.in_flight.clear();
                    self.looks.clear();
                }
                _ => self.give(Input::RunOnce { pool: node.pool }),
            },
            14 => return self.restart(b, c),
            _ => self.wall_ms -= u64::from(b) * 100,
        }
        self.check(command);
    }

    /// A node, now and then one that there is not.
    fn node(&self, choice: u8) -> NodeRef {
        let pool = usize::from(choice >> 7).min(self.config.pools.len() - 1);
        let count = self.config.pools[pool].nodes.len();
        let node = usize::from(choice & 0x3f) % (count + 1);
        if choice & 0x40 == 0 { NodeRef { pool, node: node % count } } else { NodeRef { pool, node } }
    }

    fn pass(&mut self, ms: u64) {
        self.mono = self.mono + Duration::from_millis(ms);
        self.wall_ms += ms;
        self.latest_ms = self.latest_ms.max(self.wall_ms);
    }

    fn probed(&mut self, node: NodeRef, b: u8, c: u8) {
        let Some((probe, started)) = self.in_flight.remove(&node) else { return };
        let observation = self.observation(node, b, c, started);
        let blind = observation.class() == Class::Blind;
        self.give(Input::Probed { node, probe, observation });
        let (was, is) = (&self.before.pools[node.pool], &self.engine.snapshot(self.now()).pools[node.pool]);
        let pool = &self.config.pools[node.pool];
        let by_time = pool.on_doubt == OnDoubt::Fail || pool.last_resort != LastResort::Alarm;
        // A first ACTIVE may be found among the others once a node could not be looked at.
        let quiet = blind
            && !self.ordered
            && was.policy == PolicyName::Safe
            && was.active.is_some()
            && !was.paused
            && !by_time;
        assert!(!quiet || was.active == is.active, "what nobody saw moved the role: {was:?} {is:?}");
    }

    /// A look at a checkpoint ends; now and then with an answer that nobody waits for first.
    fn checked(&mut self, node: NodeRef, b: u8, c: u8) {
        let Some(place) = self.looks.keys().copied().find(|place| place.node == node) else { return };
        let Some((check, started)) = self.looks.remove(&place) else { return };
        let mut observation =
            Observation::new(Cause::ALL[usize::from(c) % Cause::ALL.len()], "why", self.mono);
        observation.started = started;
        if b & 4 != 0 {
            self.give(Input::Checked { place, check: check + 1, observation: observation.clone() });
            let there = CheckRef { index: 7, ..place };
            self.give(Input::Checked { place: there, check, observation: observation.clone() });
        }
        let states = |s: &Snapshot| -> Vec<_> {
            s.pools.iter().flat_map(|p| p.nodes.iter().map(|n| (n.state, n.status))).collect()
        };
        let was = self.engine.snapshot(self.now());
        self.give(Input::Checked { place, check, observation });
        let is = self.engine.snapshot(self.now());
        if self.config.pools[place.node.pool].policy == PolicyName::Safe {
            assert_eq!(states(&was), states(&is), "a checkpoint moved something under safe");
        }
    }

    fn observation(&self, node: NodeRef, b: u8, c: u8, started: Time) -> Observation {
        // Half of all is good.
        let cause = match b & 1 {
            0 => Cause::Ok,
            _ => Cause::ALL[usize::from(b >> 1) % Cause::ALL.len()],
        };
        let mut seen = Observation::new(cause, if cause == Cause::Ok { "" } else { "why" }, self.mono);
        (seen.started, seen.errno) = (started, u32::from(c));
        if matches!(cause.class(), Class::Ok | Class::Replication) && c != 0 {
            seen.facts = self.facts(node, c);
        }
        seen
    }

    fn facts(&self, node: NodeRef, c: u8) -> Facts {
        let thread =
            |n: u8| [ThreadState::Running, ThreadState::Stopped, ThreadState::Connecting][usize::from(n % 3)];
        let nodes = &self.config.pools[node.pool].nodes;
        let source = match c & 1 {
            0 => nodes[(node.node + 1) % nodes.len()].address.to_string(),
            _ => "elsewhere:3306".to_string(),
        };
        let channel = Channel {
            name: String::new(),
            source,
            io: thread(c >> 1),
            sql: thread(c >> 3),
            io_errno: [0, 1045, 2003][usize::from(c >> 4) % 3],
            sql_errno: 0,
            error: "words".into(),
            lag: [Some(0), None, Some(20), Some(90)][usize::from(c >> 5) % 4].map(Duration::from_secs),
            received: [None, Some(u64::from(c)), Some(self.mono.0)][usize::from(c >> 3) % 3],
            applied_all: [None, Some(true), Some(false)][usize::from(c >> 6) % 3],
        };
        let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let gtids = match c % 4 {
            0 => Gtids::parse_mysql(&format!("{uuid}:1-{}", 1 + c % 16)).ok(),
            1 => Gtids::parse_mysql(&format!("{uuid}:1-4:9-{}", 9 + c % 8)).ok(),
            2 => Gtids::parse_mariadb(&format!("0-1-{c}")).ok(),
            _ => None,
        };
        Facts {
            flavour: Some(if c % 4 == 2 { Flavour::MariaDb } else { Flavour::MySql }),
            read_only: [Some(false), None, Some(false), Some(true)][usize::from(c >> 2) % 4],
            channels: match c % 8 {
                6 => None,
                7 => Some(Vec::new()),
                _ => Some(vec![channel]),
            },
            gtids,
            ..Facts::default()
        }
    }

    fn timer(&mut self) {
        if let Some(at) = self.engine.poll_timeout() {
            let ms = at.since(self.mono).as_millis() as u64;
            self.pass(ms.min(1 << 40));
            self.mono = self.mono.max(at.min(Time(1 << 62)));
        }
        for _ in 0..3 {
            self.give(Input::Timer);
        }
        let next = self.engine.poll_timeout();
        assert!(
            next.is_none_or(|at| at > self.mono),
            "a timer at {next:?} that does not go away, it is {}",
            self.mono
        );
    }

    fn give(&mut self, input: Input) {
        self.engine.handle(self.now(), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Probe { node, probe, .. } => {
                    let pool = self.config.pools.get(node.pool).expect("a pool of the configuration");
                    assert!(node.node < pool.nodes.len(), "{node:?} is to be probed");
                    let other = self.in_flight.insert(node, (probe, self.mono));
                    assert!(other.is_none(), "{node:?} is probed twice at a time");
                }
                Effect::Check { place, check } => {
                    let pool = self.config.pools.get(place.node.pool).expect("a pool of the configuration");
                    let node = pool.nodes.get(place.node.node).expect("a node of the pool");
                    assert!(place.index < node.checkpoints.len(), "{place:?} is to be looked at");
                    let other = self.looks.insert(place, (check, self.mono));
                    assert!(other.is_none(), "{place:?} is looked at twice at a time");
                }
                Effect::Persist { sequence, cache } => {
                    assert!(
                        self.asked.as_ref().is_none_or(|a| a.sequence < sequence),
                        "write {sequence} goes back"
                    );
                    assert_eq!(cache.sequence, sequence);
                    let text = encode(&cache);
                    assert_eq!(decode(text.as_bytes(), "disk").as_ref(), Ok(&cache), "{text}");
                    self.asked = Some(cache.clone());
                    self.writing.push_back((sequence, cache));
                }
                Effect::Publish(_) => {}
                Effect::Emit(event) => {
                    let expected = self.events.map_or(event.sequence, |n| n + 1);
                    assert_eq!(event.sequence, expected, "{event:?}");
                    self.events = Some(expected);
                    let pool = self.config.pools.iter().position(|p| p.name == event.pool);
                    if let (Some(pool), EventKind::Switch) = (pool, event.kind) {
                        let last = self.switched[pool];
                        assert!(event.epoch > last || last == u64::MAX, "epoch {last}, then {event:?}");
                        self.switched[pool] = event.epoch;
                    }
                }
            }
        }
    }

    /// A new life: from what was last asked to be written, from what had reached the disk, or from nothing.
    fn restart(&mut self, how: u8, seed: u8) {
        self.pass(1000);
        let clean = how % 3 == 0 || self.wall_ms < self.latest_ms;
        let before = self.engine.snapshot(self.now());
        if clean {
            self.give(Input::Stop);
        }
        let cache = match how % 3 {
            _ if clean => self.asked.clone(),
            1 => self.disk.clone(),
            _ => None,
        };
        self.engine = Engine::new(self.config.clone(), cache.as_ref(), u64::from(seed), self.now());
        let after = self.engine.snapshot(self.now());
        for (was, is) in before.pools.iter().zip(&after.pools).filter(|_| clean) {
            assert_eq!((was.active, was.epoch), (is.active, is.epoch), "over a restart");
            let states = |p: &PoolSnapshot| -> Vec<_> {
                p.nodes.iter().map(|n| (n.name.clone(), n.state, n.waits_for_recover, n.node_type)).collect()
            };
            assert_eq!(states(was), states(is), "over a restart");
        }
        (self.in_flight, self.writing, self.looks) = Default::default();
        (self.asked, self.disk) = (cache.clone(), cache);
        self.events = None;
        self.before = after;
        self.give(Input::Start);
        self.check(None);
    }

    /// What holds after everything that happens.
    fn check(&mut self, command: Option<Command>) {
        let after = self.engine.snapshot(self.now());
        let asked = self.asked.as_ref().expect("a life begins with a write");
        for (i, (was, is)) in self.before.pools.iter().zip(&after.pools).enumerate() {
            let words = || format!("{command:?}: {was:#?} became {is:#?}");
            assert!(was.epoch <= is.epoch, "the epoch fell: {}", words());
            assert!(
                was.active == is.active || was.epoch < is.epoch || command.is_some() || is.epoch == u64::MAX,
                "a switch without an epoch: {}",
                words()
            );
            assert!(is.active.is_none_or(|a| a < is.nodes.len()), "{}", words());
            // What changes during a write goes out when that has ended.
            if self.writing.is_empty() {
                stored_is(&asked.pools[i], is, &words);
            }
            if is.policy == PolicyName::Safe {
                let by_itself = self.config.pools[i].auto_recover.is_some()
                    || matches!(self.config.pools[i].last_resort, LastResort::After(_));
                safe(was, is, i, &command, by_itself);
            }
        }
        self.before = after;
    }

    /// Why everything is as it is.
    pub fn explain(&self) {
        for pool in 0..self.config.pools.len() {
            assert!(!self.engine.explain(self.now(), pool).is_empty());
        }
    }
}

/// What was asked to be written says what the pool is.
fn stored_is(stored: &StoredPool, is: &PoolSnapshot, words: &dyn Fn() -> String) {
    assert!(is.epoch <= stored.epoch_reserved, "an epoch beyond the mark: {}", words());
    assert_eq!((stored.epoch, stored.status), (is.epoch, is.status), "not stored: {}", words());
    for n in &is.nodes {
        let kept = stored.nodes.iter().find(|s| s.name == n.name).map(|s| (s.state, s.waits_for_recover));
        assert_eq!(kept, Some((n.state, n.waits_for_recover)), "not stored: {}", words());
    }
}

/// What policy `safe` promises of two moments with one input between them; `by_itself` says that a node may stop
/// waiting without an operator.
fn safe(was: &PoolSnapshot, is: &PoolSnapshot, pool: usize, command: &Option<Command>, by_itself: bool) {
    let words = || format!("{command:?}: {was:#?} became {is:#?}");
    let active: Vec<usize> = (0..is.nodes.len()).filter(|&n| is.nodes[n].state == State::Active).collect();
    assert!(active.len() <= 1, "{} nodes are ACTIVE: {}", active.len(), words());
    assert_eq!(active.first().copied(), is.active, "{}", words());
    let taken_out = matches!(command, Some(Command::RemoveNode(r)) if r.pool == pool);
    assert!(
        was.active.is_none() || is.active.is_some() || taken_out,
        "the pool lost its ACTIVE node: {}",
        words()
    );
    let primaries = is.nodes.iter().filter(|n| n.node_type == NodeType::Primary).count();
    assert!(primaries <= 1, "{primaries} nodes are PRIMARY: {}", words());
    for n in &is.nodes {
        // Rules change nothing that an operator fixed.
        let fixed = n.override_.as_ref().and_then(|o| o.set.state);
        assert!(
            fixed.is_none_or(|state| state == n.state),
            "{} is not what it was fixed to: {}",
            n.name,
            words()
        );
        let frozen = was.frozen.is_some() && is.frozen.is_some() && command.is_none();
        let leaves = was.nodes.iter().any(|o| o.state == State::Active && o.override_.is_some());
        let state = was.nodes.iter().find(|o| o.name == n.name).map(|o| o.state);
        assert!(
            !frozen || leaves || state.is_none_or(|state| state == n.state),
            "{} changed in a frozen pool: {}",
            n.name,
            words()
        );
        assert!(
            !(n.waits_for_recover && n.state == State::Active),
            "a node that waits is ACTIVE: {}",
            words()
        );
        let Some(old) = was.nodes.iter().find(|o| o.name == n.name) else { continue };
        let recovered = by_itself
            || matches!(command, Some(Command::RecoverNode(r)) if r.pool == pool)
            || matches!(command, Some(Command::RecoverPool(p)) if *p == pool)
            || matches!(command, Some(Command::Override { node, .. }) if node.pool == pool);
        assert!(
            !old.waits_for_recover || n.waits_for_recover || recovered,
            "{} no longer waits: {}",
            n.name,
            words()
        );
    }
}
