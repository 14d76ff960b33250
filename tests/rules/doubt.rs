//! Rule 11: an ACTIVE node that says nothing to the prober, and speaks to a replica.

use super::world::{World, ms, node};
use primacy::config::ConfigBuilder;
use primacy::engine::{EventKind, Severity};
use primacy::policy::budget::{Worst, budget};
use primacy::pool::{State, Status};
use primacy::probe::{Cause, Channel, Class, Facts, ThreadState};
use std::time::Duration;

const THREE: &str = "name:p;primary:10.0.0.1;secondary:10.0.0.2;secondary:10.0.0.3";

/// A replica of the first node that has received so much.
fn replica(received: Option<u64>) -> Facts {
    let channel = Channel {
        name: String::new(),
        source: "10.0.0.1:3306".into(),
        io: ThreadState::Running,
        sql: ThreadState::Running,
        io_errno: 0,
        sql_errno: 0,
        error: String::new(),
        lag: Some(Duration::ZERO),
        applied_all: Some(true),
        received,
    };
    Facts { channels: Some(vec![channel]), ..Facts::default() }
}

/// Three nodes; while the first says nothing, the third receives something every so often.
fn lets_hear(w: &mut World, span: Duration, every: Duration) {
    let end = w.clock + span;
    let mut received = w.clock.0;
    while w.clock < end {
        received += 1;
        w.servers.get_mut(&node(2)).expect("a node").facts = replica(Some(received));
        w.run(every.min(end.since(w.clock)));
    }
}

fn world(keys: &[(&str, &str)]) -> World {
    let mut w = World::new(&[THREE], keys);
    for n in 1..3 {
        w.servers.get_mut(&node(n)).expect("a node").facts = replica(Some(7));
    }
    w.run(ms(2_000));
    w
}

#[test]
fn what_a_replica_still_hears_is_held() {
    for cause in [Cause::NoReply, Cause::NoAck] {
        let mut w = world(&[]);
        w.set(&[0], cause);
        lets_hear(&mut w, ms(60_000), ms(100));
        assert_eq!(
            (w.state(0), w.node(0).status, w.node(0).rule),
            (State::Active, Status::Fail, 253),
            "{cause}"
        );
        let alarms: Vec<_> =
            w.told(EventKind::Doubt).into_iter().filter(|e| e.severity == Severity::Alarm).collect();
        assert_eq!(alarms.len(), 1, "{alarms:?}");
        assert_eq!(alarms[0].rule, 253);
        assert!(alarms[0].message.contains("heard by 10.0.0.3:3306;"), "{}", alarms[0].message);
        assert!(w.explain().contains("has failed, but is heard by 10.0.0.3:3306"), "{}", w.explain());
        // Nothing is received any more: it is failed as soon as `silence` has passed without a sign.
        let took = w.run_until(ms(10_000), |w| w.state(1) == State::Active);
        assert!((ms(1_900)..=ms(3_100)).contains(&took), "{cause} {took:?}");
    }
}

#[test]
fn it_answers_again_and_nothing_has_moved() {
    let mut w = world(&[]);
    w.set(&[0], Cause::NoReply);
    lets_hear(&mut w, ms(20_000), ms(200));
    w.set(&[0], Cause::Ok);
    w.run(ms(5_000));
    assert_eq!((w.state(0), w.node(0).status), (State::Active, Status::Ok));
    assert!(w.told(EventKind::Switch).is_empty());
    // A second doubt alarms anew.
    w.set(&[0], Cause::NoReply);
    lets_hear(&mut w, ms(10_000), ms(200));
    let alarms = w.told(EventKind::Doubt).into_iter().filter(|e| e.severity == Severity::Alarm).count();
    assert_eq!(alarms, 2);
}

#[test]
fn proof_ends_the_doubt_at_once() {
    let mut w = world(&[]);
    w.set(&[0], Cause::NoReply);
    lets_hear(&mut w, ms(10_000), ms(100));
    assert_eq!(w.state(0), State::Active);
    w.set(&[0], Cause::Refused);
    lets_hear(&mut w, ms(600), ms(50));
    assert_eq!(w.state(1), State::Active);
}

#[test]
fn after_the_deadline_on_doubt_fails_it() {
    let mut w = world(&[("pool.p.on_doubt", "fail"), ("pool.p.doubt_deadline", "2s")]);
    let config = {
        let mut b = ConfigBuilder::new();
        b.add_pool(THREE).expect("a pool");
        b.set("pool.p.on_doubt", "fail").expect("a key");
        b.set("pool.p.doubt_deadline", "2s").expect("a key");
        b.build().expect("a configuration")
    };
    let lines = budget(&config.pools[0]).lines;
    let line = lines.iter().find(|l| l.fault.contains("still hears")).expect("the line");
    let Worst::Within(worst) = line.worst else { panic!("{line:?}") };
    let start = w.clock;
    w.set(&[0], Cause::NoAck);
    let mut held = None;
    while w.state(0) == State::Active {
        lets_hear(&mut w, ms(50), ms(50));
        if w.node(0).rule == 253 {
            held.get_or_insert(w.clock);
        }
        assert!(w.clock.since(start) < ms(20_000));
    }
    let took = w.clock.since(held.expect("it was held"));
    assert!((ms(1_900)..=ms(2_100)).contains(&took), "{took:?}");
    assert!(w.clock.since(start) <= worst, "{:?} of {worst:?}", w.clock.since(start));
}

/// Old news is no evidence, nor is a replica that hears from somebody else or has lost its source.
#[test]
fn without_fresh_evidence_there_is_no_delay() {
    let mut plain = World::new(&[THREE], &[]);
    plain.set(&[0], Cause::NoReply);
    let usual = plain.run_until(ms(5_000), |w| w.state(1) == State::Active);
    for case in 0..4 {
        let mut w = world(&[]);
        w.set(&[0], Cause::NoReply);
        let start = w.clock;
        let mut received = 100;
        while w.state(0) == State::Active && w.clock.since(start) < ms(5_000) {
            received += 1;
            let mut facts = replica(Some(received));
            match (&mut facts.channels, case) {
                // What was received does not change.
                (_, 0) => facts = replica(Some(7)),
                // The server tells nothing of it.
                (_, 1) => facts = replica(None),
                (Some(channels), 2) => channels[0].source = "10.0.0.2:3306".into(),
                (Some(channels), _) => channels[0].io = ThreadState::Connecting,
                _ => {}
            }
            w.servers.get_mut(&node(2)).expect("a node").facts = facts;
            w.run(ms(50));
        }
        let took = w.clock.since(start);
        assert!(took <= usual + ms(550), "case {case}: {took:?}, usually {usual:?}");
        assert_eq!(w.state(1), State::Active, "case {case}");
    }
}

/// A change that was received before the doubt says nothing: both looks must lie after its beginning.
#[test]
fn what_was_received_before_the_doubt_is_no_evidence() {
    let mut w = world(&[]);
    lets_hear(&mut w, ms(10_000), ms(20));
    w.set(&[0], Cause::NoReply);
    let took = w.run_until(ms(5_000), |w| w.state(1) == State::Active);
    assert!(took <= ms(1_800), "{took:?}");
    assert_eq!(w.node(0).cause.map(Cause::class), Some(Class::Hung));
}

#[test]
fn a_node_that_is_gone_is_failed_whoever_heard_it() {
    let mut w = world(&[]);
    w.set(&[0], Cause::Refused);
    lets_hear(&mut w, ms(700), ms(10));
    assert_eq!(w.state(1), State::Active);
}
