//! What the engine counts is what happened.

use super::world::{World, ms, node};
use crate::engine::{Command, EventKind, Input};
use crate::metrics::PoolFigures;
use crate::probe::{Cause, Observation};
use std::collections::BTreeMap;

fn figures(world: &World) -> PoolFigures {
    world.engine.figures().remove(0)
}

#[test]
fn observations_rules_and_switches_are_counted() {
    let mut world = World::new(2, &[]);
    world.servers[1].rtt = ms(20);
    world.run(ms(3000));
    world.set(0, Cause::Refused);
    world.run_until(ms(2000), |w| w.active() == Some(1));
    world.run(ms(1000));
    let counted = figures(&world);
    // Each probe that has ended, and no other: at most one of each node is under way.
    for (i, n) in counted.nodes.iter().enumerate() {
        let seen: u64 = Cause::ALL.iter().map(|cause| n.tally.observations(*cause)).sum();
        assert!(world.probes[i] - seen <= 1, "node {i}: {seen} of {}", world.probes[i]);
        assert_eq!(n.tally.times.count(), seen, "each has a time");
        assert_eq!(n.node, node(i));
    }
    let (first, second) = (&counted.nodes[0].tally, &counted.nodes[1].tally);
    assert!(first.observations(Cause::Refused) >= 4 && first.observations(Cause::Ok) > 0);
    assert_eq!(second.observations(Cause::Refused), 0);
    // A millisecond and 200 µs here, twenty milliseconds there.
    let below =
        |n: &crate::metrics::NodeTally, micros| n.times.up_to().find(|b| b.0 == micros).expect("a bound").1;
    assert_eq!(below(first, 1000), first.times.count());
    assert!(below(second, 10_000) <= 1, "the first probe began before the server became slow");
    assert_eq!(below(second, 25_000), second.times.count());
    assert_eq!(counted.tally.switches, world.told(0, EventKind::Switch).len() as u64);
    assert_eq!(counted.tally.rules.get(&245), Some(&1), "one take-over: {:?}", counted.tally.rules);
    assert_eq!(counted.tally.rules.get(&248), Some(&1), "one first ACTIVE");
    // Three tables see each observation; the role's table sees more occasions.
    let of =
        |rules: &BTreeMap<u16, u64>, from: u16, to: u16| rules.range(from..=to).map(|r| r.1).sum::<u64>();
    let observed: u64 = counted.nodes.iter().map(|n| n.tally.times.count()).sum();
    assert_eq!(of(&counted.tally.rules, 201, 219), observed);
    assert_eq!(of(&counted.tally.rules, 221, 239), observed);
    assert!(of(&counted.tally.rules, 241, 259) >= observed);
}

#[test]
fn commands_and_their_refusals_are_counted() {
    let mut world = World::new(2, &[]);
    world.run(ms(1000));
    world.command(Command::RecoverNode(node(1))).expect_err("it has not failed");
    world.command(Command::RemoveNode(node(1))).expect("it may go");
    let counted = figures(&world);
    assert_eq!((counted.tally.rules.get(&262), counted.tally.rules.get(&265)), (Some(&1), Some(&1)));
    assert_eq!(counted.nodes.len(), 1, "a removed node has no figures, as it has no snapshot");
}

#[test]
fn what_a_late_loop_missed_is_counted_apart() {
    let mut world = World::new(2, &[("probe", "external")]);
    let now = world.now().mono;
    let mut late = Observation::new(Cause::NoAck, "", now);
    late.started = crate::engine::Time(0);
    world.clock = now + ms(60_000);
    world.give(Input::Observed { node: node(0), observation: late });
    world.give(Input::Observed { node: node(0), observation: Observation::new(Cause::Ok, "", world.clock) });
    let tally = &figures(&world).nodes[0].tally;
    assert_eq!(
        (tally.discarded, tally.observations(Cause::Local), tally.observations(Cause::NoAck)),
        (1, 1, 0)
    );
    assert_eq!(tally.observations(Cause::Ok), 1);
    assert_eq!(tally.times.count(), 0, "neither was a probe of ours that told something");
}

#[test]
fn a_policy_of_cycles_counts_too() {
    let mut world = World::new(2, &[("policy", "mpp"), ("probe", "external")]);
    for _ in 0..3 {
        for i in 0..2 {
            let observation = Observation::new(Cause::Ok, "", world.clock);
            world.give(Input::Observed { node: node(i), observation });
        }
        world.give(Input::Cycle { pool: 0, pool_status: None });
    }
    let counted = figures(&world);
    assert_eq!(counted.tally.rules.values().sum::<u64>(), 6, "{:?}", counted.tally.rules);
    assert_eq!(counted.tally.switches, 1);
}

#[test]
fn stranded_transactions_are_a_figure_while_the_node_waits() {
    let mut world = World::new(2, &[]);
    world.run(ms(3000));
    world.cut_replication(1);
    world.servers[0].has[0] = 5;
    world.set(0, Cause::Refused);
    world.run_until(ms(2000), |w| w.active() == Some(1));
    assert_eq!(figures(&world).nodes[0].stranded, None, "nobody knows yet");
    world.servers[0].cause = Cause::Ok;
    world.run_until(ms(10_000), |w| figures(w).nodes[0].stranded.is_some());
    assert_eq!(figures(&world).nodes[0].stranded, Some(5));
    world.command(Command::RecoverNode(node(0))).expect("it waits");
    world.run(ms(1000));
    assert_eq!(figures(&world).nodes[0].stranded, None);
}
