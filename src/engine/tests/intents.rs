//! The intent to fail: what the cache knows of a decision before it is made, and what a new life makes of it.

use super::world::{Trace, World, config, ms, node};
use crate::engine::time::Duration;
use crate::engine::{Command, Engine, EventKind, Input, Now, Time};
use crate::pool::{PoolStatus, State};
use crate::probe::Cause;
use crate::store::Cache;
use proptest::prelude::*;

fn marked(cache: Option<&Cache>) -> Vec<String> {
    let nodes = cache.into_iter().flat_map(|c| &c.pools[0].nodes);
    nodes.filter(|n| n.intent).map(|n| n.name.clone()).collect()
}

/// A ring whose PRIMARY has three of four bad observations, so that the next one takes its role.
fn at_the_brink() -> World {
    let mut world = World::new(2, &[]);
    world.run(ms(3000));
    world.set(0, Cause::Refused);
    world.run_until(ms(500), |w| marked(w.asked.as_ref()).len() == 1);
    assert_eq!(world.active(), Some(0), "not failed yet");
    world
}

#[test]
fn after_a_crash_at_the_brink_the_node_waits_for_recover_and_says_why() {
    let mut world = at_the_brink();
    let (cache, told, epoch) = (world.asked.clone(), world.events.len(), world.pool().epoch);
    world.set(0, Cause::Ok);
    world.restart(cache);
    let pool = world.pool();
    assert_eq!((pool.nodes[0].state, pool.nodes[0].rule), (State::FailedOffline, 291));
    assert!(pool.nodes[0].waits_for_recover);
    assert!(pool.nodes[0].message.contains("was being failed when the last life ended"), "{pool:?}");
    assert!(pool.epoch > epoch, "the role was lost");
    let switch = &world.told(told, EventKind::Switch)[0];
    assert_eq!((switch.rule, switch.node.as_str()), (291, ""));
    world.run(ms(500));
    assert_eq!(world.active(), Some(1), "the other one takes the role");
    let first = world.node(0);
    assert!(first.message.contains("was being failed when the last life ended"), "{}", first.message);
    let text = world.engine.explain(world.now(), 0);
    assert!(text.contains("was being failed when the last life ended"), "{text}");
    // One more life still knows why, and `recover` ends it.
    let cache = world.on_disk.clone();
    world.restart(cache);
    assert!(world.node(0).waits_for_recover && world.node(0).message.contains("was being failed"));
    world.command(Command::RecoverNode(node(0))).expect("recover");
    world.run(Duration::from_secs(20));
    assert_eq!((world.active(), marked(world.asked.as_ref()).len()), (Some(0), 0));
}

#[test]
fn the_mark_is_withdrawn_when_the_node_climbs_back_and_at_an_orderly_stop() {
    let mut world = at_the_brink();
    let text = world.engine.explain(world.now(), 0);
    assert!(text.contains("on record"), "{text}");
    world.servers[0].cause = Cause::Ok;
    world.run(ms(30));
    assert_eq!((world.active(), marked(world.asked.as_ref()).len()), (Some(0), 0));
    let mut world = at_the_brink();
    world.give(Input::Stop);
    assert!(marked(world.asked.as_ref()).is_empty());
    let cache = world.asked.clone();
    world.restart(cache);
    assert_eq!(world.active(), Some(0), "whoever stops in good order has told of nobody else");
}

#[test]
fn what_cannot_take_the_role_leaves_no_mark() {
    // A password is rotated; replication breaks; the network of the node is gone, but there is nobody to take over.
    for (nodes, cause) in [(2, Cause::AuthDenied), (2, Cause::ReplicationStopped), (1, Cause::Refused)] {
        let mut world = World::new(nodes, &[]);
        world.run(ms(3000));
        world.set(0, cause);
        for _ in 0..100 {
            world.run(ms(100));
            assert!(marked(world.asked.as_ref()).is_empty(), "{cause:?}");
        }
        let cache = world.asked.clone();
        world.restart(cache);
        assert_eq!(world.active(), Some(0), "{cause:?} bars nobody");
    }
    // Both nodes die at once: nobody could have got the role.
    let mut world = World::new(2, &[]);
    world.run(ms(3000));
    world.servers[1].cause = Cause::NoReply;
    world.set(0, Cause::Refused);
    world.run(ms(3000));
    assert_eq!(marked(world.asked.as_ref()).len(), 0);
    let cache = world.asked.clone();
    world.restart(cache);
    assert_eq!(world.active(), Some(0));
}

#[test]
fn the_original_s_policy_has_no_intent() {
    let mut world = World::new(2, &[("policy", "mpp")]);
    world.run(ms(5000));
    world.set(0, Cause::Refused);
    while world.active() != Some(1) {
        world.run(ms(100));
        assert!(marked(world.asked.as_ref()).is_empty());
    }
}

#[test]
fn a_mark_costs_a_write_when_it_changes_and_none_else() {
    // The ACTIVE node is silent and a stand-in is there: it stays at the brink for as long as `silence` takes.
    let mut world = World::new(2, &[("probe.silence", "60s")]);
    world.run(ms(3000));
    world.set(0, Cause::NoAck);
    world.run_until(Duration::from_secs(120), |w| marked(w.asked.as_ref()).len() == 1);
    let (asked, seen) = (world.asked.as_ref().expect("a document").sequence, world.probes[0]);
    world.run(Duration::from_secs(10));
    assert!(world.probes[0] > seen + 10, "it is looked at again and again");
    assert_eq!(world.asked.as_ref().expect("a document").sequence, asked, "nothing has changed");
}

/// Neither the marked node nor any other one may have the role: last_resort decides, as for any pool whose only good node
/// waits for `recover`.
#[test]
fn nobody_left_but_the_barred_one_is_a_matter_of_last_resort() {
    for (keys, takes) in [(vec![], false), (vec![("last_resort", "after=5s")], true)] {
        let world = at_the_brink();
        let cache = world.asked.clone();
        let mut world = World::new(2, &keys);
        world.run(ms(500));
        world.set(1, Cause::Refused);
        world.clock = world.clock + ms(4000);
        let told = world.events.len();
        world.restart(cache);
        world.run(ms(3000));
        assert_eq!(world.active(), None);
        assert_eq!(world.pool().status, PoolStatus::Fail);
        let alarms = world.told(told, EventKind::LastNode);
        assert_eq!(alarms.iter().map(|e| e.rule).collect::<Vec<_>>(), [295], "one alarm that says so");
        world.run(ms(5000));
        assert_eq!(world.active(), takes.then_some(0), "{keys:?}");
        if takes {
            assert_eq!(world.told(told, EventKind::Switch).last().map(|e| e.rule), Some(294));
        } else {
            world.command(Command::RecoverNode(node(0))).expect("recover");
            world.run(ms(2000));
            assert_eq!(world.active(), Some(0));
        }
    }
}

#[test]
fn a_marked_node_that_has_become_the_only_one_keeps_the_role() {
    let mut cache = at_the_brink().asked.expect("a document");
    cache.pools[0].nodes.truncate(1);
    let now = Now { mono: Time::from_millis(9000), wall_ms: 1_700_000_009_000 };
    let engine = Engine::new(config(1, &[]), Some(&cache), 1, now);
    let pool = engine.snapshot(now).pools.remove(0);
    assert_eq!((pool.nodes[0].state, pool.nodes[0].rule), (State::Active, 292));
}

/// With one step from OK to FAIL there is no brink: the mark goes out ahead of all that the decision does.
#[test]
fn a_decision_without_a_mark_asks_for_it_first() {
    let mut world = World::new(2, &[("fall", "1"), ("rise", "1")]);
    world.disk = Duration::ZERO;
    world.run(ms(3000));
    let before = world.trace.len();
    world.set(0, Cause::Refused);
    world.run_until(ms(500), |w| w.active() == Some(1));
    world.run(ms(20));
    let trace = &world.trace[before..];
    let ask = trace.iter().position(|t| matches!(t, Trace::Asked(c) if marked(Some(c)).len() == 1));
    let told = trace.iter().position(|t| matches!(t, Trace::Told(e) if e.kind == EventKind::Switch));
    let done =
        trace.iter().position(|t| matches!(t, Trace::Asked(c) if c.pools[0].nodes[1].state == State::Active));
    assert!(ask.is_some() && ask < told && told < done, "{ask:?}, {told:?}, {done:?}");
}

#[derive(Clone, Debug)]
enum Act {
    Set(usize, Cause),
    Wait(u64),
    Recover(usize),
    Activate,
}

fn act() -> impl Strategy<Value = Act> {
    let causes = vec![Cause::Ok, Cause::Refused, Cause::NoReply, Cause::NoAck, Cause::AuthDenied];
    prop_oneof![
        6 => (0..3usize, proptest::sample::select(causes)).prop_map(|(n, c)| Act::Set(n, c)),
        8 => (1..120u64).prop_map(Act::Wait),
        4 => (500..6000u64).prop_map(Act::Wait),
        3 => (0..3usize).prop_map(Act::Recover),
        1 => Just(Act::Activate),
    ]
}

/// Crashes between any two effects of a life. The next life begins from the document asked for last before the crash:
/// whoever was told to have failed as ACTIVE is not ACTIVE again, and every epoch that was told lies within what that
/// document reserves. One thing alone can come between: a write was under way when the decision fell that no mark came
/// before; then the document after that write is the first to know.
fn crash_everywhere(nodes: usize, keys: &[(&str, &str)], trace: &[Trace], now: Now) {
    let mut last: Option<&Cache> = None;
    let (mut failed, mut highest, mut writing) = (Vec::new(), 0, false);
    for step in trace {
        match step {
            Trace::Asked(cache) => {
                (last, writing) = (Some(cache), true);
                failed.iter_mut().for_each(|(_, excused)| *excused = false);
            }
            Trace::Written => writing = false,
            Trace::Told(event) => {
                if event.kind == EventKind::Switch {
                    highest = event.epoch;
                }
                if event.kind == EventKind::State {
                    failed.retain(|(name, _)| *name != event.node || event.new_state.is_failed());
                    if event.old_state == State::Active && event.new_state.is_failed() {
                        let marked = last.is_some_and(|c| marked(Some(c)).contains(&event.node));
                        failed.push((event.node.clone(), writing && !marked));
                    }
                }
            }
        }
        let Some(cache) = last else { continue };
        assert!(cache.pools[0].epoch_reserved >= highest, "epoch {highest} lies above the mark");
        let engine = Engine::new(config(nodes, keys), Some(cache), 3, now);
        let pool = engine.snapshot(now).pools.remove(0);
        let again = pool.nodes.iter().find(|n| n.state == State::Active).map(|n| n.name.clone());
        if let Some(again) = again {
            let barred = failed.contains(&(again.clone(), false));
            assert!(!barred, "{again} failed as ACTIVE and is ACTIVE again after {step:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_between_any_two_effects_brings_no_failed_node_back(
        nodes in 2..=3usize,
        fall in 1..=4u32,
        acts in proptest::collection::vec(act(), 1..40),
    ) {
        let fall = fall.to_string();
        let keys = [("fall", fall.as_str())];
        let mut world = World::new(nodes, &keys);
        world.run(ms(3000));
        for act in acts {
            match act {
                Act::Set(n, cause) => world.set(n % nodes, cause),
                Act::Wait(span) => world.run(ms(span)),
                Act::Recover(n) => drop(world.command(Command::RecoverNode(node(n % nodes)))),
                Act::Activate => drop(world.command(Command::ActivatePrimary(0))),
            }
        }
        let now = world.now();
        crash_everywhere(nodes, &keys, &world.trace, now);
    }
}
