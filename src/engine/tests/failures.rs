//! What faults lead to, and how soon.

use super::world::{World, ms};
use crate::engine::time::Duration;
use crate::engine::{EventKind, Input, NodeRef};
use crate::pool::{State, Status};
use crate::probe::{Cause, Class};

fn settled(nodes: usize, keys: &[(&str, &str)]) -> World {
    let mut world = World::new(nodes, keys);
    world.run(ms(3000));
    assert_eq!(world.active(), Some(0), "the PRIMARY has the role");
    world
}

#[test]
fn a_start_gives_the_role_to_the_primary() {
    let mut world = World::new(3, &[]);
    let time = world.run_until(ms(500), |w| w.active().is_some());
    assert!(time <= ms(5), "{time:?}");
    assert_eq!(world.active(), Some(0));
    let switches = world.told(0, EventKind::Switch);
    assert_eq!(switches.len(), 1);
    assert_eq!(switches[0].rule, 248);
}

#[test]
fn a_start_without_the_primary_waits_for_it_a_while() {
    let mut world = World::new(2, &[]);
    world.servers[0].cause = Cause::NoReply;
    world.restart(None);
    let time = world.run_until(ms(5000), |w| w.active().is_some());
    assert_eq!(world.active(), Some(1));
    assert!(time >= ms(1000) && time <= ms(1300), "{time:?}: four timeouts of the PRIMARY");
}

#[test]
fn a_killed_active_is_replaced_within_three_confirm_intervals() {
    for nodes in [2, 3] {
        let mut world = settled(nodes, &[]);
        let told = world.events.len();
        world.set(0, Cause::Refused);
        let time = world.run_until(ms(2000), |w| w.active() != Some(0));
        assert!(time <= ms(80), "{time:?} from the lost connection");
        let doubt = world.told(told, EventKind::Doubt)[0].mono;
        let switch = world.told(told, EventKind::Switch)[0];
        // The candidate's own answer may come last.
        assert!(switch.mono.since(doubt) <= ms(62), "{:?}", switch.mono.since(doubt));
        assert_eq!((switch.rule, world.active()), (245, Some(1)));
        assert_eq!(world.node(0).state, State::FailedOffline);
        assert_eq!(world.node(0).status, Status::Fail);
        assert!(world.node(0).waits_for_recover);
        assert!(world.told(told, EventKind::LastNode).is_empty(), "no alarm about a last node");
        assert_eq!(world.told(told, EventKind::Doubt).len(), 1);
    }
}

#[test]
fn events_of_a_take_over_come_in_order() {
    let mut world = settled(2, &[]);
    let told = world.events.len();
    world.set(0, Cause::Refused);
    world.run(ms(200));
    let kinds: Vec<EventKind> = world.events[told..].iter().map(|e| e.kind).collect();
    use EventKind::{Doubt, Status as Ladder, Switch};
    let expected = [Doubt, Ladder, Ladder, Ladder, EventKind::State, EventKind::State, Switch];
    assert_eq!(kinds, expected);
    let numbers: Vec<u64> = world.events.iter().map(|e| e.sequence).collect();
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "{numbers:?}");
}

#[test]
fn a_hung_active_costs_a_timeout_a_step() {
    let mut world = settled(2, &[]);
    world.set(0, Cause::NoReply);
    let told = world.events.len();
    world.run_until(ms(5000), |w| w.active() != Some(0));
    let doubt = world.told(told, EventKind::Doubt)[0].mono;
    let time = world.clock.since(doubt);
    assert!(time >= ms(750) && time <= ms(760), "{time:?} after the first step");
}

#[test]
fn a_silent_active_is_not_failed_before_its_time() {
    let mut world = settled(2, &[]);
    world.set(0, Cause::NoAck);
    let time = world.run_until(ms(9000), |w| w.active() != Some(0));
    assert!(time >= ms(3000), "{time:?}");
    assert!(time <= ms(500 + 3000 + 500), "{time:?}");
    // A short cut fails nobody.
    let mut world = settled(2, &[]);
    world.set(0, Cause::NoAck);
    world.run(ms(2500));
    world.set(0, Cause::Ok);
    world.run(ms(10_000));
    assert_eq!(world.active(), Some(0));
    assert_eq!(world.node(0).status, Status::Ok);
}

#[test]
fn one_lost_probe_switches_nothing() {
    for cause in [Cause::NoReply, Cause::NoAck, Cause::Refused, Cause::Dns, Cause::AuthDenied] {
        let mut world = settled(2, &[]);
        let told = world.events.len();
        let seen = world.probes[0];
        world.servers[0].cause = cause;
        world.run_until(ms(2000), |w| w.probes[0] > seen);
        world.run(if cause.class() == Class::Hung || cause.class() == Class::Silent {
            ms(250)
        } else {
            ms(1)
        });
        world.servers[0].cause = Cause::Ok;
        world.run(ms(20_000));
        assert_eq!(world.active(), Some(0), "{cause}");
        assert_eq!(world.node(0).status, Status::Ok, "{cause}");
        assert!(world.told(told, EventKind::Switch).is_empty());
    }
}

#[test]
fn what_was_seen_of_the_candidate_before_the_doubt_does_not_suffice() {
    // The candidate's probe is on its way when the ACTIVE dies, and takes longer than the ACTIVE's fall.
    let mut world = settled(2, &[]);
    world.servers[1].rtt = ms(200);
    let seen = world.probes[1];
    world.run_until(ms(2000), |w| w.probes[1] > seen);
    let told = world.events.len();
    world.set(0, Cause::Refused);
    world.run(ms(150));
    assert_eq!(world.active(), Some(0), "the last good observation is older than the doubt");
    let time = world.run_until(ms(2000), |w| w.active() == Some(1));
    // 200 ms for the stale probe and 200 ms for the next, which starts at once.
    assert!(time <= ms(280), "{time:?}: the candidate is looked at again without delay");
    assert!(
        world.told(told, EventKind::LastNode).is_empty(),
        "nobody is woken while a candidate is looked at"
    );
}

#[test]
fn refusing_for_an_hour_switches_nothing() {
    for cause in [Cause::TooManyConnections, Cause::AuthDenied, Cause::HostBlocked, Cause::TlsError] {
        let mut world = settled(2, &[]);
        let told = world.events.len();
        world.set(0, cause);
        world.run(Duration::from_secs(3600));
        assert_eq!(world.active(), Some(0), "{cause}");
        assert_eq!(world.node(0).status, Status::OkCritical, "{cause}");
        assert!(world.told(told, EventKind::Switch).is_empty());
        // One reset after all that is one step, not the last one.
        let seen = world.probes[0];
        world.servers[0].cause = Cause::Reset;
        world.run_until(ms(2000), |w| w.probes[0] > seen);
        world.run(ms(1));
        world.servers[0].cause = cause;
        world.run(ms(60_000));
        assert_eq!(world.active(), Some(0), "{cause}");
        world.set(0, Cause::Ok);
        world.run(ms(60_000));
        assert_eq!(world.node(0).status, Status::Ok, "{cause}");
    }
}

#[test]
fn a_cause_in_fail_on_fails_an_active() {
    let mut world = settled(2, &[("fail_on", "too_many_connections")]);
    world.set(0, Cause::AuthDenied);
    world.run(ms(10_000));
    assert_eq!(world.active(), Some(0));
    world.set(0, Cause::TooManyConnections);
    world.run(ms(1000));
    assert_eq!(world.active(), Some(1));
    assert_eq!(world.node(0).state, State::FailedOnline);
}

#[test]
fn a_replication_fault_caps_an_active_and_fails_a_stand_in() {
    let mut world = settled(2, &[]);
    world.servers[0].sql = false;
    world.run(Duration::from_secs(600));
    assert_eq!((world.active(), world.node(0).status), (Some(0), Status::OkWarn));
    world.servers[1].sql = false;
    world.run(ms(10_000));
    assert_eq!((world.node(1).state, world.node(1).status), (State::FailedOnline, Status::Fail));
    world.servers[1].sql = true;
    world.run(ms(10_000));
    assert_eq!((world.node(1).state, world.node(1).status), (State::Standby, Status::Ok));
    // Its applying thread stands still: it may not take over.
    world.servers[1].sql = false;
    world.run(ms(600));
    world.set(0, Cause::Refused);
    world.run(ms(10_000));
    assert_eq!(world.active(), Some(0));
}

#[test]
fn a_read_only_stand_in_does_not_take_over() {
    let mut world = settled(2, &[]);
    world.servers[1].read_only = true;
    world.set(0, Cause::Refused);
    world.run(ms(5000));
    assert_eq!(world.active(), Some(0));
    let alarm = world.told(0, EventKind::LastNode);
    assert!(alarm[0].message.contains("10.0.0.2:3306: it is read-only"), "{}", alarm[0].message);
    world.servers[1].read_only = false;
    world.run(ms(1000));
    assert_eq!(world.active(), Some(1));
}

#[test]
fn the_last_node_keeps_the_role_with_one_alarm_and_heals() {
    let mut world = settled(3, &[]);
    world.set(2, Cause::AuthDenied);
    world.set(1, Cause::Refused);
    world.run(ms(10_000));
    let told = world.events.len();
    world.set(0, Cause::Refused);
    world.run(Duration::from_secs(600));
    assert_eq!(world.active(), Some(0));
    assert_eq!(world.node(0).status, Status::Fail);
    let alarms = world.told(told, EventKind::LastNode);
    assert_eq!(alarms.len(), 1, "one alarm in ten minutes");
    // Whoever asks is told since when it does not serve, not since when it is ACTIVE.
    let fell =
        world.told(told, EventKind::Status).into_iter().rfind(|e| e.new_status == Status::Fail).unwrap();
    assert_eq!(world.node(0).changed_ms, fell.wall_ms);
    let why = crate::policy::serving::not_serving(&world.pool()).expect("nobody serves");
    assert!(why.contains("10.0.0.1:3306 is ACTIVE but does not serve: status FAIL since "), "{why}");
    assert_eq!(alarms[0].rule, 247);
    for word in
        ["10.0.0.2:3306: it is FAILED_OFFLINE", "10.0.0.3:3306: its last observation was not good (refusing)"]
    {
        assert!(alarms[0].message.contains(word), "{}", alarms[0].message);
    }
    assert_eq!(world.pool().status.name(), "FAIL");
    world.set(0, Cause::Ok);
    world.run(ms(10_000));
    assert_eq!((world.active(), world.node(0).status), (Some(0), Status::Ok));
    assert!(world.told(told, EventKind::Switch).is_empty());
    assert_eq!(world.pool().status.name(), "OK");
    assert!(crate::policy::serving::not_serving(&world.pool()).is_none());
}

#[test]
fn a_stand_in_restarted_switches_nothing_and_heals() {
    let mut world = settled(2, &[]);
    let told = world.events.len();
    world.set(1, Cause::Refused);
    world.run(ms(5000));
    assert_eq!(world.node(1).state, State::FailedOffline);
    world.set(1, Cause::Ok);
    world.run(ms(5000));
    assert_eq!(world.node(1).state, State::Standby);
    assert!(world.told(told, EventKind::Switch).is_empty());
    assert!(!world.node(1).waits_for_recover);
}

#[test]
fn mpp_with_built_in_probes_keeps_its_pace() {
    let mut world = World::new(2, &[("policy", "mpp")]);
    world.run(Duration::from_secs(5));
    assert_eq!(world.active(), Some(0));
    let (probes, timers) = (world.probes.clone(), world.timers);
    world.set(0, Cause::Refused);
    world.set(0, Cause::Reset);
    let time = world.run_until(ms(4000), |w| w.active() == Some(1));
    assert!(time >= ms(1500) && time <= ms(2000), "{time:?}: four cycles of 500 ms");
    world.run(Duration::from_secs(60) - time);
    for node in 0..2 {
        let made = world.probes[node] - probes[node];
        assert!((119..=121).contains(&made), "{made} probes in a minute");
    }
    assert!(world.timers - timers <= 125);
}

/// A server that closes each connection after its answer is looked at early, but not at `confirm_interval` for ever.
#[test]
fn lost_connections_without_end_are_no_reason_to_log_in_without_end() {
    let mut world = settled(2, &[]);
    let before = world.probes[0];
    for _ in 0..500 {
        world.give(Input::ConnectionLost { node: NodeRef { pool: 0, node: 0 } });
        world.run(ms(10));
    }
    let probes = world.probes[0] - before;
    assert!((10..=18).contains(&probes), "{probes} probes in 5 s");
}
