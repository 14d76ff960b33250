//! Nothing is lost over a restart; long random runs; the same inputs give the same effects.

use super::world::{World, ms, node};
use crate::engine::time::Duration;
use crate::engine::{Command, EventKind, Input};
use crate::pool::{State, Status};
use crate::probe::Cause;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// One thing that a test does to the world.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Fault(usize, Cause),
    Heal(usize),
    Sql(usize, bool),
    Latency(usize, u64),
    ReadOnly(usize, bool),
    Write(usize, u64),
    Recover(usize),
    RecoverPool,
    ActivatePrimary,
    Remove(usize),
    Disk(u64),
    /// A stop, and a new life from what the engine last asked to be written.
    Restart,
    /// A new life from what had reached the disk.
    Crash,
    Wait(u64),
}

pub(super) fn act(restarts: bool) -> impl Strategy<Value = Act> {
    let node = 0..4usize;
    let cause = proptest::sample::select(Cause::ALL.to_vec());
    let life = move |act: Act| if restarts { act } else { Act::Wait(300) };
    prop_oneof![
        6 => (node.clone(), cause).prop_map(|(n, c)| Act::Fault(n, c)),
        8 => node.clone().prop_map(Act::Heal),
        2 => (node.clone(), any::<bool>()).prop_map(|(n, on)| Act::Sql(n, on)),
        3 => (node.clone(), 0..600u64).prop_map(|(n, ms)| Act::Latency(n, ms)),
        1 => (node.clone(), any::<bool>()).prop_map(|(n, on)| Act::ReadOnly(n, on)),
        3 => (node.clone(), 1..50u64).prop_map(|(n, t)| Act::Write(n, t)),
        3 => node.clone().prop_map(Act::Recover),
        1 => Just(Act::RecoverPool),
        1 => Just(Act::ActivatePrimary),
        1 => node.prop_map(Act::Remove),
        1 => (0..3000u64).prop_map(Act::Disk),
        2 => Just(life(Act::Restart)),
        2 => Just(life(Act::Crash)),
        12 => (50..4000u64).prop_map(Act::Wait),
        4 => (1..200u64).prop_map(Act::Wait),
    ]
}

/// Does it, if it makes sense for this world; what must hold at every effect is checked by the world itself.
pub(super) fn apply(world: &mut World, act: &Act) {
    let count = world.servers.len();
    match *act {
        Act::Fault(n, cause) => world.set(n % count, cause),
        Act::Heal(n) => world.set(n % count, Cause::Ok),
        Act::Sql(n, on) => world.servers[n % count].sql = on,
        Act::Latency(n, span) => world.servers[n % count].rtt = ms(span) + Duration::from_micros(300),
        Act::ReadOnly(n, on) => world.servers[n % count].read_only = on,
        Act::Write(n, more) => world.servers[n % count].has[n % count] += more,
        Act::Recover(n) => drop(world.command(Command::RecoverNode(node(n % count)))),
        Act::RecoverPool => drop(world.command(Command::RecoverPool(0))),
        Act::ActivatePrimary => drop(world.command(Command::ActivatePrimary(0))),
        Act::Remove(n) => drop(world.command(Command::RemoveNode(node(n % count)))),
        Act::Disk(span) => world.disk = ms(span),
        Act::Restart => restart(world, false),
        Act::Crash => restart(world, true),
        Act::Wait(span) => {
            let (timers, probes) = (world.timers, world.probes.iter().sum::<u64>());
            world.run(ms(span));
            // A probe each 20 ms and node at most, and not much more than a timer for each of them.
            let rounds = span / 20 + 2;
            let made = world.probes.iter().sum::<u64>() - probes;
            assert!(made <= rounds * count as u64, "{made} probes in {span} ms");
            let woken = world.timers - timers;
            assert!(woken <= rounds * (count as u64 + 1) + 4, "{woken} timers in {span} ms");
        }
    }
}

fn restart(world: &mut World, crash: bool) {
    // A process takes its time to start.
    world.run(ms(1));
    let before = world.pool();
    if !crash {
        world.give(Input::Stop);
    }
    let cache = if crash { world.on_disk.clone() } else { world.asked.clone() };
    let held_on_disk: BTreeSet<String> = cache
        .iter()
        .flat_map(|c| &c.pools[0].nodes)
        .filter(|n| n.waits_for_recover)
        .map(|n| n.name.clone())
        .collect();
    let marks = |n: &&crate::store::StoredNode| n.intent && n.state == State::Active;
    let cache_marks = cache.iter().flat_map(|c| &c.pools[0].nodes).find(marks).map(|n| n.name.clone());
    world.clock = world.clock + ms(40);
    world.restart(cache);
    let after = world.pool();
    // Whose role the next bad observation could have taken waits for `recover`.
    let marked: Option<String> = cache_marks.filter(|_| before.nodes.len() > 1 || crash);
    for n in &after.nodes {
        if marked.as_ref() == Some(&n.name) {
            assert!(n.waits_for_recover || after.nodes.len() == 1, "{} was being failed", n.name);
            continue;
        }
        if held_on_disk.contains(&n.name) {
            assert!(n.waits_for_recover && n.state.is_failed(), "{} no longer waits", n.name);
        }
        let Some(was) = before.nodes.iter().find(|b| b.name == n.name).filter(|_| !crash) else { continue };
        assert_eq!((n.state, n.waits_for_recover), (was.state, was.waits_for_recover), "{} changed", n.name);
    }
    assert!(crash || before.nodes.len() == after.nodes.len(), "a removed node came back");
    assert!(crash || marked.is_some() || before.active == after.active, "the role moved over a restart");
}

pub(super) fn keys(choice: u8) -> Vec<(&'static str, &'static str)> {
    match choice % 6 {
        0 => vec![("failback", "auto")],
        1 => vec![("failback", "manual"), ("fail_on", "too_many_connections")],
        2 => vec![("fall", "1"), ("rise", "1")],
        3 => vec![("fall", "3"), ("rise", "7")],
        4 => vec![("probe.interval", "100ms"), ("probe.timeout", "50ms")],
        _ => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn long_random_runs_keep_to_the_rules(
        nodes in 1..=4usize,
        choice in any::<u8>(),
        acts in proptest::collection::vec(act(false), 1..120),
    ) {
        let mut world = World::new(nodes, &keys(choice));
        for act in &acts {
            apply(&mut world, act);
        }
        comes_to_rest(&mut world);
    }

    #[test]
    fn restarts_at_any_point_use_no_epoch_twice_and_release_nobody(
        nodes in 1..=4usize,
        choice in any::<u8>(),
        acts in proptest::collection::vec(act(true), 1..120),
    ) {
        let mut world = World::new(nodes, &keys(choice));
        for act in &acts {
            apply(&mut world, act);
        }
        comes_to_rest(&mut world);
    }

    #[test]
    fn the_same_inputs_give_the_same_effects(
        nodes in 1..=4usize,
        choice in any::<u8>(),
        acts in proptest::collection::vec(act(true), 1..40),
    ) {
        let run = || {
            let mut world = World::new(nodes, &keys(choice));
            acts.iter().for_each(|act| apply(&mut world, act));
            world.journal
        };
        prop_assert_eq!(run(), run());
    }
}

/// Whatever happened: once all servers are well, the pool is well, and what failed as ACTIVE waits.
fn comes_to_rest(world: &mut World) {
    for n in 0..world.servers.len() {
        let server = &mut world.servers[n];
        (server.sql, server.io, server.read_only, server.rtt) = (true, true, false, ms(1));
        world.set(n, Cause::Ok);
    }
    world.run(Duration::from_secs(20));
    let pool = world.pool();
    let held: Vec<&str> =
        pool.nodes.iter().filter(|n| n.waits_for_recover).map(|n| n.name.as_str()).collect();
    let active = pool.nodes.iter().find(|n| n.state == State::Active);
    let all_held = held.len() == pool.nodes.len();
    assert!(active.is_some() || all_held, "no ACTIVE though all is well: {pool:?}");
    for n in pool.nodes.iter().filter(|n| !n.waits_for_recover) {
        assert!(matches!(n.state, State::Active | State::Standby), "{} is {}", n.name, n.state);
        assert_eq!(n.status, Status::Ok, "{}", n.name);
    }
    // At rest nothing but probes at their pace.
    let (timers, events) = (world.timers, world.events.len());
    world.run(Duration::from_secs(10));
    let woken = world.timers - timers;
    let fastest = 130 * world.servers.len() as u64;
    assert!(woken <= fastest, "{woken} timers in 10 s of rest");
    let told = &world.events[events..];
    let quiet = told
        .iter()
        .all(|e| e.kind == EventKind::HandOver || e.kind == EventKind::Switch || e.kind == EventKind::State);
    assert!(quiet, "events at rest: {told:?}");
}

#[test]
fn a_restart_keeps_the_active_and_raises_no_epoch() {
    let mut world = World::new(2, &[]);
    world.run(ms(3000));
    let (epoch, told) = (world.pool().epoch, world.events.len());
    let cache = world.on_disk.clone();
    world.restart(cache);
    world.run(ms(3000));
    assert_eq!((world.active(), world.pool().epoch), (Some(0), epoch));
    assert!(world.told(told, EventKind::Switch).is_empty());
    world.set(0, Cause::Refused);
    world.run(ms(200));
    assert_eq!(world.active(), Some(1));
    assert!(world.pool().epoch > epoch);
}

#[test]
fn a_switch_that_never_reached_the_disk_leaves_no_epoch_to_use_again() {
    let mut world = World::new(2, &[]);
    world.run(ms(3000));
    let cache = world.on_disk.clone();
    // Three lives in a row fail over before their first write is done. The world refuses an epoch used twice.
    world.disk = Duration::from_secs(3600);
    for _ in 0..3 {
        world.servers[0].cause = Cause::Ok;
        world.restart(cache.clone());
        world.run(ms(20));
        assert_eq!(world.active(), Some(0));
        world.set(0, Cause::Refused);
        world.run(ms(200));
        assert_eq!(world.active(), Some(1));
    }
}

#[test]
fn a_lost_cache_starts_from_the_clock() {
    let mut world = World::new(2, &[]);
    world.run(ms(3000));
    world.set(0, Cause::Refused);
    world.run(ms(500));
    let epoch = world.pool().epoch;
    world.restart(None);
    world.run(ms(5000));
    assert!(world.pool().epoch > epoch);
}

#[test]
fn a_recovered_primary_gets_its_role_back_in_the_next_life_too() {
    let mut world = World::new(2, &[]);
    world.run(ms(3000));
    world.set(0, Cause::Refused);
    world.run(ms(500));
    assert_eq!(world.active(), Some(1));
    world.command(Command::RecoverNode(node(0))).expect("recover");
    world.run(ms(100));
    let cache = world.on_disk.clone();
    world.restart(cache);
    world.set(0, Cause::Ok);
    world.run(Duration::from_secs(20));
    assert_eq!(world.active(), Some(0));
}

#[test]
fn a_clock_that_was_set_back_gives_no_epoch_twice() {
    let mut world = World::new(2, &[]);
    world.run(ms(3000));
    for _ in 0..3 {
        // Each life begins a day before the last one.
        world.epoch_ms -= 86_400_000;
        world.servers[0].cause = Cause::Ok;
        let cache = world.on_disk.clone();
        world.restart(cache);
        world.run(ms(2000));
        let active = world.active().expect("an ACTIVE node");
        world.set(active, Cause::Refused);
        world.run(ms(200));
        assert_eq!(world.active(), Some(1 - active));
        world.servers[active].cause = Cause::Ok;
        world.command(Command::RecoverNode(node(active))).expect("recover");
        world.run(ms(20_000));
    }
}
