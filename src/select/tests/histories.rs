//! Random histories of a pool: states, looks, lag, weights, maintenance, reports and time, against what must always hold.

use super::super::quarantine::{Quarantine, Terms};
use super::super::slow_start;
use super::*;
use proptest::prelude::*;
use proptest::strategy::Strategy;

const NODES: usize = 5;

#[derive(Clone, Debug)]
enum Op {
    /// A node gets the role; the one that had it becomes that.
    Promote(usize, State),
    /// A node without the role.
    State(usize, State),
    Class(usize, Class),
    Status(usize, Status),
    Lag(usize, u64),
    Weight(usize, u32),
    Maintenance(usize, bool),
    Removed(usize, bool),
    Paused(bool),
    Report(usize, ReportOutcome),
    /// Milliseconds.
    Pass(u64),
    /// To the next moment at which time alone changes something.
    Deadline,
    /// So many clients come to every service.
    Clients(u32),
}

fn op() -> impl Strategy<Value = Op> {
    let state = prop_oneof![
        3 => Just(State::Standby),
        1 => Just(State::Unknown),
        1 => Just(State::FailedOnline),
        1 => Just(State::FailedOffline)
    ];
    let class = prop::sample::select(vec![
        Class::Ok,
        Class::Ok,
        Class::Gone,
        Class::Hung,
        Class::Silent,
        Class::Refusing,
        Class::Replication,
        Class::Blind,
    ]);
    let status = prop::sample::select(vec![Status::Ok, Status::OkWarn, Status::OkCritical, Status::Fail]);
    let outcome = prop::sample::select(vec![
        ReportOutcome::Connected,
        ReportOutcome::ConnectFailed,
        ReportOutcome::ConnectFailed,
        ReportOutcome::ConnectTimedOut,
        ReportOutcome::SessionFailed,
    ]);
    let node = 0..NODES;
    prop_oneof![
        2 => (node.clone(), state.clone()).prop_map(|(n, s)| Op::Promote(n, s)),
        2 => (node.clone(), state).prop_map(|(n, s)| Op::State(n, s)),
        2 => (node.clone(), class).prop_map(|(n, c)| Op::Class(n, c)),
        1 => (node.clone(), status).prop_map(|(n, s)| Op::Status(n, s)),
        1 => (node.clone(), 0_u64..4000).prop_map(|(n, l)| Op::Lag(n, l)),
        1 => (node.clone(), 0_u32..4).prop_map(|(n, w)| Op::Weight(n, w)),
        1 => (node.clone(), any::<bool>()).prop_map(|(n, m)| Op::Maintenance(n, m)),
        1 => (node.clone(), any::<bool>()).prop_map(|(n, r)| Op::Removed(n, r)),
        1 => any::<bool>().prop_map(Op::Paused),
        6 => (node, outcome).prop_map(|(n, o)| Op::Report(n, o)),
        3 => (0_u64..20_000).prop_map(Op::Pass),
        3 => Just(Op::Deadline),
        3 => (1_u32..9).prop_map(Op::Clients),
    ]
}

const DRAIN: Duration = Duration::from_secs(7);

fn services() -> Vec<ServiceConfig> {
    use crate::config::Strategy::{FirstAvailable, NextAvailable, RoundRobin, TwoChoices};
    let lossy = |name: &str, on_demotion| ServiceConfig {
        on_demotion,
        drain_deadline: DRAIN,
        ..service(name, Role::Active, FirstAvailable)
    };
    let reading = |name: &str, role, strategy| ServiceConfig {
        drain_deadline: DRAIN,
        max_lag: Duration::from_secs(2),
        quarantine_max: Duration::from_secs(3),
        ..service(name, role, strategy)
    };
    vec![
        lossy("auto", OnDemotion::Auto),
        lossy("kill", OnDemotion::Kill),
        lossy("drain", OnDemotion::Drain),
        reading("strict", Role::Standby, RoundRobin),
        ServiceConfig {
            fallback: Some(Role::Active),
            slow_start: Duration::from_secs(5),
            same_site_first: true,
            ..reading("ro", Role::Standby, RoundRobin)
        },
        reading("next", Role::Any, NextAvailable),
        ServiceConfig { same_site_first: true, ..reading("any", Role::Any, TwoChoices) },
    ]
}

/// A world with what is remembered of it from step to step.
struct History {
    world: World,
    books: BTreeMap<String, Book>,
    trials: std::collections::BTreeSet<(String, u32, u64)>,
    /// Since when a seat drains.
    draining: BTreeMap<(String, usize), Time>,
    lost: Vec<bool>,
}

impl History {
    fn new() -> History {
        let mut world = World::new(NODES, &services());
        for (i, node) in world.nodes.iter_mut().enumerate() {
            node.site = ["", "east", "west"][i % 3];
        }
        world.look();
        History {
            world,
            books: BTreeMap::new(),
            trials: Default::default(),
            draining: BTreeMap::new(),
            lost: vec![false; NODES],
        }
    }

    fn step(&mut self, op: &Op) -> core::result::Result<(), TestCaseError> {
        let before = self.world.tables.clone();
        let w = &mut self.world;
        match *op {
            Op::Promote(node, left) => {
                if let Some(old) = w.nodes.iter().position(|n| n.view.selected).filter(|old| *old != node) {
                    w.set(old, left);
                }
                w.set(node, State::Active);
            }
            Op::State(node, state) => w.set(node, state),
            Op::Class(node, class) => w.nodes[node].view.class = Some(class),
            Op::Status(node, status) => w.nodes[node].view.status = status,
            Op::Lag(node, ms) => w.nodes[node].lag = (ms > 0).then(|| Duration::from_millis(ms)),
            Op::Weight(node, weight) => w.nodes[node].weight = weight,
            Op::Maintenance(node, on) => w.nodes[node].maintenance = on,
            Op::Removed(node, on) => w.nodes[node].removed = on,
            Op::Paused(on) => w.nodes.iter_mut().for_each(|n| n.view.paused = on),
            Op::Report(node, outcome) => {
                let name = w.nodes[node].name.clone();
                w.selection.reported(w.now, &name, None, outcome);
            }
            Op::Pass(ms) => w.now = w.now + Duration::from_millis(ms),
            Op::Deadline => {
                if let Some(at) = w.selection.deadline(w.now) {
                    w.now = at;
                    prop_assert!(w.look() > 0, "nothing changed at the deadline");
                }
            }
            Op::Clients(count) => self.clients(count)?,
        }
        self.world.look();
        self.check(&before)?;
        prop_assert_eq!(self.world.look(), 0, "published without a change");
        let next = self.world.selection.deadline(self.world.now);
        prop_assert!(next.is_none_or(|at| at > self.world.now), "a deadline that has passed: {:?}", next);
        Ok(())
    }

    fn clients(&mut self, count: u32) -> core::result::Result<(), TestCaseError> {
        for (name, table) in &self.world.tables {
            let book = self.books.entry(name.clone()).or_default();
            for _ in 0..count {
                let picked = pick(table.strategy, &table.all, &mut self.world.position, book);
                let Some(backend) = picked.backend() else {
                    prop_assert!(table.all.entries.is_empty(), "{}: nobody, but {:?}", name, table.all);
                    continue;
                };
                let slot = &table.slots[backend.slot as usize];
                prop_assert_eq!(slot.seat, Seat::Serves, "{}: sent where no session may stay", name);
                prop_assert_eq!(backend.generation, slot.generation);
                prop_assert!(backend.is_genuine());
                if backend.flags & backend::flags::TRIAL != 0 {
                    let number = slot.trial.expect("a trial has a number");
                    let first = self.trials.insert((name.clone(), backend.slot, number));
                    prop_assert!(first, "{}: two clients are trial {}", name, number);
                }
            }
        }
        Ok(())
    }

    fn check(
        &mut self,
        before: &BTreeMap<String, Arc<ServiceTable>>,
    ) -> core::result::Result<(), TestCaseError> {
        let now = self.world.now;
        for (lost, node) in self.lost.iter_mut().zip(&self.world.nodes) {
            *lost = node.removed || node.view.state.is_failed();
        }
        for (name, table) in &self.world.tables {
            let old = &before[name];
            for (at, slot) in table.slots.iter().enumerate() {
                let was = &old.slots[at];
                let node = &self.world.nodes[at];
                let ended = was.seat != Seat::Ended && slot.seat == Seat::Ended;
                prop_assert_eq!(slot.generation, was.generation + u64::from(ended), "{} {}", name, at);
                if slot.seat == Seat::Drains {
                    let since = *self.draining.entry((name.clone(), at)).or_insert(now);
                    prop_assert!(now.since(since) < DRAIN, "{} {} drains for ever", name, at);
                } else {
                    self.draining.remove(&(name.clone(), at));
                }
                if self.lost[at] && !(name == "drain" && !node.removed) {
                    prop_assert_eq!(slot.seat, Seat::Ended, "{} {} was lost", name, at);
                }
                if table.role == Role::Active {
                    let has_it = node.view.selected && !node.removed;
                    prop_assert!(slot.seat != Seat::Serves || has_it, "{} {}: writes elsewhere", name, at);
                    prop_assert!(name != "kill" || slot.seat != Seat::Drains);
                } else {
                    let takes = slot.standing <= Standing::Held;
                    prop_assert!(!takes || slot.seat == Seat::Serves, "{} {}", name, at);
                }
            }
            let entries = &table.all.entries;
            let standing = |at: u32| table.slots[at as usize].standing;
            if table.role == Role::Active {
                prop_assert!(entries.len() <= 1, "{}: two for writers", name);
                prop_assert!(entries.iter().all(|e| self.world.nodes[e.backend.slot as usize].view.selected));
            }
            // Quarantine, bad looks and sites make others the better choice, and never leave nobody.
            let best = table.slots.iter().map(|slot| slot.standing).min();
            match &table.nobody {
                Some(nobody) => {
                    prop_assert!(entries.is_empty());
                    prop_assert!(nobody.paused || best > Some(Standing::Held), "{}: {:?}", name, best);
                }
                None => prop_assert!(!entries.is_empty()),
            }
            for entry in entries {
                let own = standing(entry.backend.slot);
                prop_assert!(own <= Standing::Held);
                prop_assert!(
                    own != Standing::Held || best == Some(Standing::Held),
                    "{}: held, in vain",
                    name
                );
                prop_assert!(
                    table.slots[entry.backend.slot as usize].weight > 0
                        || table.role == Role::Active
                        || entry.backend.reason == Reason::Fallback as i32
                );
            }
            for site in ["east", "west"] {
                let list = table.list(site);
                let own = |entry: &&super::super::table::Entry| {
                    self.world.nodes[entry.backend.slot as usize].site == site
                };
                let here = entries.iter().filter(own).filter(|entry| entry.trial == 0).count();
                prop_assert!(list.entries.is_empty() || list.entries.iter().any(|entry| entry.trial == 0));
                match here > 0 && matches!(name.as_str(), "ro" | "any") {
                    true => prop_assert_eq!(list.entries.iter().filter(own).count(), list.entries.len()),
                    false => prop_assert_eq!(list.entries.len(), entries.len()),
                }
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_must_always_hold(ops in prop::collection::vec(op(), 1..60)) {
        let mut history = History::new();
        for op in &ops {
            history.step(op)?;
        }
    }

    /// Holds begin with the first, at most double, keep to the cap, and begin anew after a long calm.
    #[test]
    fn holds_grow_to_a_cap_and_are_forgotten(
        first in 1_u64..2000, factor in 1_u64..40, after in 1_u32..5,
        steps in prop::collection::vec((0_u8..3, 0_u64..5000), 1..200),
    ) {
        let ms = Duration::from_millis;
        let terms = Terms { first: ms(first), longest: ms(first * factor), after };
        let (mut q, mut now) = (Quarantine::default(), Time(1));
        let (mut last, mut freed, mut failures): (Option<Duration>, Option<Time>, u32) = (None, None, 0);
        for (step, passed) in steps {
            now = now + ms(passed);
            q.pass(now);
            match step {
                0 => {
                    let was_trial = q.trial().is_some();
                    let was_held = q.is_held();
                    failures += 1;
                    if q.failed(now, &terms) {
                        prop_assert!(!was_held && q.is_held() && (was_trial || failures >= after));
                        let hold = q.deadline().expect("a hold ends").since(now);
                        let calm = freed.is_some_and(|at| last.is_some_and(|hold| now.since(at) >= hold * 10));
                        let expected = match last {
                            Some(last) if !calm => (last * 2).min(terms.longest),
                            _ => terms.first,
                        };
                        prop_assert_eq!(hold, expected);
                        (last, failures) = (Some(hold), 0);
                    }
                }
                1 => {
                    let was_trial = q.trial().is_some();
                    failures = 0;
                    prop_assert_eq!(q.reached(now), was_trial);
                    if was_trial {
                        prop_assert!(!q.is_held() && q.deadline().is_none());
                        freed = Some(now);
                    }
                }
                _ => {}
            }
            prop_assert!(q.deadline().is_none_or(|at| at > now));
            prop_assert!(!(q.is_held() && q.trial().is_some()));
        }
    }

    /// A share only grows, is never nothing, has as many turns as tenths, and says when it changes.
    #[test]
    fn a_share_grows_to_the_whole(ms in 0_u64..100_000, one in 0_u64..200_000, more in 0_u64..50_000) {
        let (since, slow_start) = (Time(7), Duration::from_millis(ms));
        let at = |passed: u64| since + Duration::from_millis(passed);
        let (share, next) = slow_start::share(since, slow_start, at(one));
        let (later, _) = slow_start::share(since, slow_start, at(one + more));
        prop_assert!((1..=slow_start::FULL).contains(&share) && later >= share);
        prop_assert_eq!((0..slow_start::FULL).filter(|round| slow_start::has_turn(share, *round)).count(), share as usize);
        if let Some(next) = next {
            prop_assert!(next > at(one));
            let then = slow_start::share(since, slow_start, next);
            prop_assert!(then.0 > share, "{:?}", then);
        }
    }
}
