//! Recovery, hand-back and operators' commands.

use super::world::{World, ms, node};
use crate::engine::time::Duration;
use crate::engine::{Command, EventKind};
use crate::error::ErrorCode;
use crate::pool::{State, Status};
use crate::probe::Cause;

/// A ring whose PRIMARY was killed with 40 of its transactions not replicated, and has come back.
fn with_a_failed_primary(keys: &[(&str, &str)]) -> World {
    let mut world = World::new(2, keys);
    world.servers[0].has[0] = 100;
    world.run(ms(3000));
    world.servers[1].io = false;
    world.servers[0].has[0] = 140;
    world.set(0, Cause::Refused);
    world.servers[1].io = true;
    world.run(ms(500));
    assert_eq!(world.active(), Some(1));
    world.servers[1].has[1] = 7;
    // Its replication is stopped, so that what it alone has stays with it.
    world.servers[0].io = false;
    world.servers[1].io = false;
    world.set(0, Cause::Ok);
    world.run(ms(3000));
    world
}

#[test]
fn a_failed_active_that_returns_is_held_and_its_transactions_are_counted() {
    let mut world = with_a_failed_primary(&[]);
    assert_eq!(world.active(), Some(1));
    assert!(world.node(0).waits_for_recover);
    assert!(world.node(0).state.is_failed());
    let stranded = world.told(0, EventKind::Stranded);
    assert_eq!(stranded.len(), 1, "once");
    assert_eq!(stranded[0].count, 40);
    assert!(stranded[0].message.contains("00000000-0000-0000-0000-000000000001:101-140"));
    world.servers[0].io = true;
    world.servers[1].io = true;
    world.run(Duration::from_secs(3600));
    assert!(world.node(0).state.is_failed(), "it waits as long as nobody recovers it");
    assert_eq!(world.active(), Some(1));
}

#[test]
fn the_only_good_node_waits_for_recover_and_the_alarm_says_so() {
    let mut world = with_a_failed_primary(&[]);
    let told = world.events.len();
    world.set(1, Cause::Refused);
    world.run(ms(5000));
    assert_eq!(world.active(), Some(1));
    let alarm = world.told(told, EventKind::LastNode);
    assert_eq!(alarm.len(), 1);
    assert_eq!(alarm[0].rule, 246);
    assert!(alarm[0].message.contains("waits for `recover`"), "{}", alarm[0].message);
    world.command(Command::RecoverNode(node(0))).expect("recover");
    world.run(ms(1000));
    assert_eq!(world.active(), Some(0));
}

#[test]
fn recover_hands_the_role_back_once_everything_is_applied() {
    let mut world = with_a_failed_primary(&[]);
    world.servers[0].io = true;
    world.servers[1].io = true;
    world.command(Command::RecoverNode(node(0))).expect("recover");
    assert_eq!((world.node(0).state, world.node(0).status), (State::Unknown, Status::OkWarn));
    let told = world.events.len();
    world.run_until(Duration::from_secs(10), |w| w.active() == Some(0));
    let steps = world.told(told, EventKind::HandOver);
    assert_eq!((steps[0].rule, steps[1].rule), (251, 241));
    let pause = steps[1].mono.since(steps[0].mono);
    assert!(pause <= ms(60), "routing paused for {pause:?}");
    assert!(!world.pool().paused);
    assert_eq!((world.node(1).state, world.node(1).status), (State::Standby, Status::Ok));
    world.run(ms(20_000));
    assert_eq!(world.active(), Some(0));
}

#[test]
fn a_hand_over_that_is_not_proven_moves_nothing_and_waits_longer_each_time() {
    let mut world = with_a_failed_primary(&[]);
    // The PRIMARY answers and its threads run, but node 2 writes on and the PRIMARY does not get it.
    world.servers[0].io = true;
    world.servers[1].io = true;
    world.servers[0].has[1] = 7;
    world.command(Command::RecoverNode(node(0))).expect("recover");
    let told = world.events.len();
    let mut lacking = 7;
    let end = world.clock + Duration::from_secs(400);
    let mut paused = Duration::ZERO;
    while world.clock < end {
        // What the ACTIVE gets between any two looks the heir has not.
        lacking += 1;
        world.servers[1].has[1] = lacking;
        world.servers[1].rtt = ms(1);
        world.cut_replication(0);
        let was = world.pool().paused;
        world.run(ms(1));
        if was {
            paused += ms(1);
        }
        assert_eq!(world.active(), Some(1), "the role moved without proof");
    }
    let steps = world.told(told, EventKind::HandOver);
    let begun: Vec<_> = steps.iter().filter(|e| e.rule == 251).map(|e| e.mono).collect();
    let ended: Vec<_> = steps.iter().filter(|e| e.rule == 244).map(|e| e.mono).collect();
    assert!(
        begun.len() >= 5 && begun.len() - ended.len() <= 1,
        "{} begun, {} ended",
        begun.len(),
        ended.len()
    );
    for (b, e) in begun.iter().zip(&ended) {
        assert_eq!(e.since(*b), ms(2000), "the pause is handback_deadline");
    }
    let waits: Vec<Duration> = ended.iter().zip(&begun[1..]).map(|(e, b)| b.since(*e)).collect();
    for (wait, expected) in waits.iter().zip([10, 20, 40, 80, 160]) {
        let expected = Duration::from_secs(expected);
        assert!(*wait >= expected && *wait <= expected + ms(600), "waited {wait:?}, not {expected:?}");
    }
    assert!(paused <= ms(2010) * begun.len() as u32);
    // An operator need not wait.
    world.replication_runs();
    world.command(Command::ActivatePrimary(0)).expect("activate-primary");
    world.run(ms(500));
    assert_eq!(world.active(), Some(0));
}

#[test]
fn a_doubt_ends_a_hand_over_and_the_rules_for_failures_decide() {
    let mut world = with_a_failed_primary(&[]);
    world.servers[0].io = true;
    world.servers[1].io = true;
    world.servers[0].rtt = ms(150);
    world.command(Command::RecoverNode(node(0))).expect("recover");
    world.run_until(Duration::from_secs(10), |w| w.pool().paused);
    world.set(1, Cause::Refused);
    world.run(ms(1500));
    assert_eq!(world.active(), Some(0));
    assert!(world.node(1).waits_for_recover, "it failed, it did not hand over");
    assert!(!world.pool().paused);
}

#[test]
fn manual_failback_waits_for_activate_primary() {
    let mut world = with_a_failed_primary(&[("failback", "manual")]);
    world.servers[0].io = true;
    world.servers[1].io = true;
    world.command(Command::RecoverNode(node(0))).expect("recover");
    world.run(Duration::from_secs(600));
    assert_eq!(world.active(), Some(1));
    assert_eq!(world.node(0).state, State::Standby);
    world.command(Command::ActivatePrimary(0)).expect("activate-primary");
    world.run(ms(500));
    assert_eq!(world.active(), Some(0));
    let again = world.command(Command::ActivatePrimary(0)).expect_err("it is ACTIVE");
    assert_eq!(again.code(), ErrorCode::Refused);
}

#[test]
fn automatic_failback_needs_no_recover_of_a_stand_in() {
    let mut world = World::new(2, &[("failback", "auto")]);
    world.set(0, Cause::Refused);
    world.run(ms(5000));
    assert_eq!(world.active(), Some(1));
    world.set(0, Cause::Ok);
    world.run(ms(10_000));
    assert_eq!(world.active(), Some(0));
}

#[test]
fn recover_of_what_did_not_fail_is_refused() {
    let mut world = World::new(2, &[]);
    world.run(ms(3000));
    for n in 0..2 {
        let error = world.command(Command::RecoverNode(node(n))).expect_err("it did not fail");
        assert_eq!(error.code(), ErrorCode::Refused);
        assert!(error.to_string().contains("rule 262"), "{error}");
    }
}

#[test]
fn a_removed_active_gives_its_role_away_and_the_last_one_stays() {
    let mut world = World::new(3, &[]);
    world.run(ms(3000));
    let told = world.events.len();
    world.command(Command::RemoveNode(node(0))).expect("remove");
    assert_eq!(world.active(), Some(0), "the second node is the first one left");
    assert_eq!(world.pool().nodes.len(), 2);
    assert_eq!(world.pool().nodes[0].name, "10.0.0.2:3306");
    assert!(!world.told(told, EventKind::Switch).is_empty());
    world.set(2, Cause::Refused);
    world.run(ms(3000));
    let error = world.command(Command::RemoveNode(node(1))).expect_err("it is the last one");
    assert_eq!(error.code(), ErrorCode::Refused);
    world.command(Command::RemoveNode(node(2))).expect("remove");
    let probes = world.probes.clone();
    world.run(ms(10_000));
    assert_eq!((world.probes[0], world.probes[2]), (probes[0], probes[2]), "nobody looks at a removed node");
}

#[test]
fn removing_either_side_of_a_hand_over_ends_it() {
    for removed in [0, 1] {
        let mut world = with_a_failed_primary(&[]);
        world.servers[0].io = true;
        world.servers[1].io = true;
        world.servers[0].rtt = ms(150);
        world.command(Command::RecoverNode(node(0))).expect("recover");
        world.run_until(Duration::from_secs(10), |w| w.pool().paused);
        world.command(Command::RemoveNode(node(removed))).expect("remove");
        assert!(!world.pool().paused);
        let timers = world.timers;
        world.run(Duration::from_secs(60));
        assert!(world.timers - timers < 400, "{} timers in a minute", world.timers - timers);
        assert_eq!(world.pool().nodes[0].state, State::Active);
    }
}

#[test]
fn an_active_that_says_nothing_proves_nothing() {
    let mut world = with_a_failed_primary(&[]);
    world.servers[0].io = true;
    world.servers[1].io = true;
    world.servers[0].rtt = ms(100);
    world.command(Command::RecoverNode(node(0))).expect("recover");
    world.run_until(Duration::from_secs(10), |w| w.pool().paused);
    // From here on the ACTIVE refuses the prober: what it holds is unknown.
    world.set(1, Cause::TooManyConnections);
    world.run(Duration::from_secs(30));
    assert_eq!(world.active(), Some(1));
    assert!(!world.pool().paused);
}

/// The role of a removed ACTIVE node moves in one evaluation: nobody is ever told that the pool has none.
#[test]
fn the_role_of_a_removed_node_moves_at_once() {
    let mut world = World::new(2, &[]);
    world.run(ms(3000));
    let (mark, epoch) = (world.events.len(), world.pool().epoch);
    world.command(Command::RemoveNode(node(0))).expect("the other may take over");
    world.run(ms(10));
    assert_eq!(world.told(mark, EventKind::Switch).len(), 1);
    assert_eq!(world.pool().epoch, epoch + 1);
}

/// What a returned node has replicated since the ACTIVE was last looked at is not stranded on it.
#[test]
fn a_returned_node_that_replicates_live_writes_holds_nothing_alone() {
    let mut world = World::new(2, &[]);
    world.servers[0].has[0] = 100;
    world.run(ms(3000));
    world.set(0, Cause::Refused);
    world.run(ms(500));
    assert_eq!(world.active(), Some(1));
    world.set(0, Cause::Ok);
    for _ in 0..300 {
        world.servers[1].has[1] += 1;
        world.run(ms(10));
    }
    let stranded = world.told(0, EventKind::Stranded);
    assert_eq!(stranded.iter().map(|e| e.count).collect::<Vec<_>>(), [0]);
    assert!(!world.engine.explain(world.now(), 0).contains("holds what"));
}
