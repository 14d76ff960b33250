//! Pools of kind `replicated` with `promotion = "none"`: the role follows whoever takes writes.

use super::world::{World, ms, node};
use primacy::engine::{Command, EventKind, Input, Severity};
use primacy::gtid::Gtids;
use primacy::pool::{State, Status};
use primacy::probe::{Cause, Channel, Facts, Flavour, ThreadState};

const THREE: &str = "name:p;primary:10.0.0.1;secondary:10.0.0.2;secondary:10.0.0.3";
const REPLICATED: &[(&str, &str)] = &[("pool.p.kind", "replicated"), ("pool.p.promotion", "none")];

fn channel(source: usize, runs: bool) -> Channel {
    let thread = if runs { ThreadState::Running } else { ThreadState::Stopped };
    Channel {
        name: String::new(),
        source: format!("10.0.0.{}:3306", source + 1),
        io: thread,
        sql: thread,
        io_errno: 0,
        sql_errno: 0,
        error: String::new(),
        lag: runs.then_some(ms(0)),
        applied_all: Some(true),
        received: None,
    }
}

fn facts(read_only: bool, channels: Vec<Channel>) -> Facts {
    Facts {
        flavour: Some(Flavour::MySql),
        read_only: Some(read_only),
        super_read_only: Some(read_only),
        channels: Some(channels),
        ..Facts::default()
    }
}

fn source() -> (Cause, Facts) {
    (Cause::Ok, facts(false, vec![]))
}

fn replica(of: usize) -> (Cause, Facts) {
    (Cause::Ok, facts(true, vec![channel(of, true)]))
}

impl World {
    fn tells(&mut self, of: usize, (cause, facts): (Cause, Facts)) {
        let server = self.servers.get_mut(&node(of)).expect("a node");
        (server.cause, server.facts) = (cause, facts);
    }

    fn has_role(&self) -> Option<usize> {
        (0..3).find(|&n| self.state(n) == State::Active)
    }
}

fn woken(answers: [(Cause, Facts); 3]) -> World {
    let mut w = World::asleep(&[THREE], REPLICATED);
    for (n, answer) in answers.into_iter().enumerate() {
        w.tells(n, answer);
    }
    w.give(Input::Start);
    w.run(ms(3_000));
    w
}

fn started() -> World {
    let mut w = woken([source(), replica(0), replica(0)]);
    assert_eq!(w.has_role(), Some(0), "{}", w.explain());
    w.events.clear();
    w
}

#[test]
fn the_one_that_takes_writes_is_active_whatever_its_type() {
    let w = woken([replica(1), source(), replica(1)]);
    assert_eq!((w.has_role(), w.node(1).rule), (Some(1), 212), "{}", w.explain());
    assert_eq!(w.told(EventKind::Switch)[0].rule, 312);
    assert_eq!((w.state(0), w.state(2)), (State::Standby, State::Standby));
}

#[test]
fn two_that_take_writes_at_the_start_are_an_alarm_and_nobody_is_chosen() {
    let w = woken([source(), source(), replica(0)]);
    assert_eq!(w.has_role(), None);
    let alarm = w.told(EventKind::Writers);
    assert_eq!((alarm.len(), alarm[0].rule, alarm[0].severity), (1, 302, Severity::Alarm));
    assert!(alarm[0].message.contains("10.0.0.1:3306") && alarm[0].message.contains("10.0.0.2:3306"));
}

/// Nobody is chosen before all have been asked: the second writer may be the slower one to answer.
#[test]
fn the_first_choice_waits_for_all() {
    let mut w = World::asleep(&[THREE], REPLICATED);
    w.tells(0, source());
    w.tells(1, replica(0));
    w.set(&[2], Cause::NoReply);
    w.give(Input::Start);
    w.run(ms(500));
    assert_eq!(w.has_role(), None);
    w.run(ms(2_000));
    assert_eq!(w.has_role(), Some(0), "the silent one has had its chances");
}

#[test]
fn a_switchover_by_hand_is_followed() {
    let mut w = started();
    // The old source stops taking writes; nobody takes any for a while.
    w.tells(0, (Cause::Ok, facts(true, vec![])));
    w.run(ms(3_000));
    assert_eq!((w.has_role(), w.node(0).status), (Some(0), Status::Ok));
    let alarm = w.told(EventKind::Writers);
    assert_eq!((alarm.len(), alarm[0].rule), (1, 311), "{alarm:?}");
    // The new one's replication is stopped, not forgotten.
    w.tells(1, (Cause::ReplicationStopped, facts(false, vec![channel(0, false)])));
    let took = w.run_until(ms(2_000), |w| w.has_role() == Some(1));
    assert!(took <= ms(540), "{took:?}");
    let switches = w.told(EventKind::Switch);
    assert_eq!((switches.len(), switches[0].rule, switches[0].severity), (1, 303, Severity::Info));
    assert_eq!((w.state(0), w.node(0).waits_for_recover), (State::Standby, false));
    w.tells(0, replica(1));
    w.tells(2, replica(1));
    w.run(ms(10_000));
    assert_eq!(
        (w.node(1).status, w.node(1).cause),
        (Status::Ok, Some(Cause::Ok)),
        "left-over threads are no fault"
    );
    assert_eq!((w.state(0), w.state(2)), (State::Standby, State::Standby), "{}", w.explain());
}

#[test]
fn two_that_take_writes_are_an_alarm_and_no_switch() {
    let mut w = started();
    w.tells(1, source());
    w.run(ms(10_000));
    assert_eq!((w.has_role(), w.told(EventKind::Switch).len()), (Some(0), 0));
    let alarm = w.told(EventKind::Writers);
    assert_eq!((alarm.len(), alarm[0].rule, alarm[0].severity), (1, 301, Severity::Alarm));
    assert!(w.explain().contains("10.0.0.1:3306 and 10.0.0.2:3306 take writes"), "{}", w.explain());
    // One probe of the ACTIVE node that fails is no reason to choose the other.
    w.set(&[0], Cause::Refused);
    w.run(ms(20));
    w.set(&[0], Cause::Ok);
    w.run(ms(3_000));
    assert_eq!((w.has_role(), w.told(EventKind::Switch).len()), (Some(0), 0));
    // Once the old one takes no writes, it is clear again.
    w.tells(0, (Cause::Ok, facts(true, vec![channel(1, true)])));
    w.run_until(ms(1_000), |w| w.has_role() == Some(1));
}

#[test]
fn a_failed_source_keeps_the_role_until_somebody_promotes_another() {
    let mut w = started();
    let lost = (
        Cause::Ok,
        facts(true, vec![Channel { io: ThreadState::Connecting, io_errno: 2003, ..channel(0, true) }]),
    );
    w.tells(1, lost.clone());
    w.tells(2, lost);
    w.set(&[0], Cause::Refused);
    w.run(ms(10_000));
    assert_eq!((w.has_role(), w.node(0).status), (Some(0), Status::Fail));
    let alarm = w.told(EventKind::LastNode);
    assert_eq!((alarm.len(), alarm[0].rule), (1, 310));
    w.tells(1, source());
    w.run_until(ms(1_000), |w| w.has_role() == Some(1));
    assert_eq!(w.told(EventKind::Switch)[0].rule, 304);
    assert_eq!((w.state(0), w.node(0).waits_for_recover), (State::FailedOffline, true));
    // It comes back and takes writes as before: an alarm, and the role stays.
    w.tells(0, source());
    w.run(ms(10_000));
    assert_eq!(w.has_role(), Some(1));
    assert_eq!(w.told(EventKind::Writers)[0].rule, 301);
    assert!(w.node(0).waits_for_recover);
    w.tells(0, replica(1));
    w.command(Command::RecoverNode(node(0))).expect("a failed node");
    w.run(ms(5_000));
    assert_eq!(w.state(0), State::Standby);
}

/// Only the one that waits for `recover` takes writes: the alarm says so, and `recover` lets the role follow.
#[test]
fn the_only_writer_may_wait_for_recover() {
    let mut w = started();
    w.set(&[0], Cause::Refused);
    w.run(ms(1_000));
    w.tells(1, source());
    w.run_until(ms(1_000), |w| w.has_role() == Some(1));
    w.set(&[1], Cause::Refused);
    w.tells(0, source());
    w.run(ms(10_000));
    assert_eq!((w.has_role(), w.node(1).status), (Some(1), Status::Fail));
    assert!(w.told(EventKind::LastNode).iter().any(|e| e.rule == 308), "{:?}", w.told(EventKind::LastNode));
    w.command(Command::RecoverNode(node(0))).expect("a failed node");
    w.run_until(ms(2_000), |w| w.has_role() == Some(0));
}

#[test]
fn a_replica_that_is_writable_by_mistake_is_no_source() {
    let mut w = woken([source(), (Cause::Ok, facts(false, vec![channel(0, true)])), replica(0)]);
    assert_eq!((w.has_role(), w.told(EventKind::Writers).len()), (Some(0), 0));
    // Even when one of its threads has stopped with an error.
    let half = Channel { sql: ThreadState::Stopped, sql_errno: 1062, ..channel(0, true) };
    w.tells(1, (Cause::ReplicationStopped, facts(false, vec![half])));
    w.run(ms(5_000));
    assert_eq!((w.has_role(), w.state(1)), (Some(0), State::FailedOnline));
}

#[test]
fn a_refused_login_moves_nothing() {
    let mut w = started();
    w.set(&[0], Cause::AuthDenied);
    w.run(ms(10_000));
    assert_eq!((w.has_role(), w.node(0).status), (Some(0), Status::OkCritical));
    // Whether it takes writes nobody knows; it did. So another one is a second one.
    w.tells(1, source());
    w.run(ms(5_000));
    assert_eq!(w.has_role(), Some(0));
    assert_eq!(w.told(EventKind::Writers)[0].rule, 301);
}

/// What a node has that failed as ACTIVE is counted, as in a ring.
#[test]
fn stranded_transactions_are_counted() {
    let mut w = started();
    let set = |n: u64| Gtids::parse_mysql(&format!("00000000-0000-0000-0000-000000000001:1-{n}")).ok();
    w.set(&[0], Cause::Refused);
    w.run(ms(500));
    w.tells(1, (Cause::Ok, Facts { gtids: set(5), ..facts(false, vec![]) }));
    w.run_until(ms(1_000), |w| w.has_role() == Some(1));
    w.tells(0, (Cause::Ok, Facts { gtids: set(8), ..facts(true, vec![channel(1, true)]) }));
    w.run(ms(10_000));
    let told = w.told(EventKind::Stranded);
    assert_eq!((told.len(), told[0].count), (1, 3), "{told:?}");
}
