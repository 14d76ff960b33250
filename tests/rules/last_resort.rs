//! Rule 8: the last node keeps the role, unless `last_resort` says that a node that waits for `recover` may have it.

use super::world::{RING, World, ms};
use primacy::engine::{EventKind, Severity};
use primacy::pool::{State, Status};
use primacy::probe::Cause;

/// The first node has failed as ACTIVE and is good again; then the second one fails as well.
fn both_failed(keys: &[(&str, &str)]) -> World {
    let mut w = World::new(&[RING], keys);
    w.set(&[0], Cause::Refused);
    w.run_until(ms(2_000), |w| w.state(1) == State::Active);
    w.set(&[0], Cause::Ok);
    w.run(ms(10_000));
    assert!(w.node(0).waits_for_recover);
    w.events.clear();
    w.set(&[1], Cause::Refused);
    w.run_until(ms(2_000), |w| w.node(1).status == Status::Fail);
    w
}

#[test]
fn by_default_an_alarm_says_whom_to_recover() {
    let mut w = both_failed(&[]);
    w.run(ms(3_600_000));
    assert_eq!((w.state(1), w.node(1).rule), (State::Active, 246));
    let told = w.told(EventKind::LastNode);
    let told = told.last().expect("an alarm");
    assert_eq!((told.severity, told.rule), (Severity::Alarm, 246));
    assert!(w.explain().contains("last_resort = \"after=…\" would in time"), "{}", w.explain());
}

#[test]
fn never_is_a_warning() {
    let mut w = both_failed(&[("pool.p.last_resort", "never")]);
    w.run(ms(3_600_000));
    assert_eq!(w.state(1), State::Active);
    assert!(w.told(EventKind::LastNode).iter().any(|e| e.severity == Severity::Warning && e.rule == 246));
}

#[test]
fn after_its_time_the_good_node_takes_over() {
    let mut w = both_failed(&[("pool.p.last_resort", "after=30s")]);
    let since = w.clock;
    w.run(ms(10_000));
    assert!(w.explain().contains("last_resort lets a good node that waits for `recover` take over in"));
    w.run_until(ms(60_000), |w| w.state(0) == State::Active);
    let took = w.clock.since(since);
    assert!((ms(29_900)..=ms(31_000)).contains(&took), "{took:?}");
    assert_eq!(w.node(0).rule, 254);
    assert!(!w.node(0).waits_for_recover && w.node(1).waits_for_recover && w.state(1).is_failed());
    assert_eq!(w.told(EventKind::Switch).len(), 1);
}

#[test]
fn a_node_that_comes_back_in_time_keeps_the_role() {
    let mut w = both_failed(&[("pool.p.last_resort", "after=30s")]);
    w.run(ms(29_000));
    w.set(&[1], Cause::Ok);
    w.run(ms(5_000));
    w.set(&[1], Cause::Refused);
    // The time begins anew.
    w.run(ms(29_000));
    assert_eq!(w.state(1), State::Active);
    w.run_until(ms(3_000), |w| w.state(0) == State::Active);
}

/// What waits for `recover` must be fit all the same.
#[test]
fn an_unfit_node_is_no_resort() {
    let mut w = both_failed(&[("pool.p.last_resort", "after=30s")]);
    w.set(&[0], Cause::TooManyConnections);
    w.run(ms(120_000));
    assert_eq!(w.state(1), State::Active);
    w.set(&[0], Cause::Ok);
    let took = w.run_until(ms(60_000), |w| w.state(0) == State::Active);
    assert!(took >= ms(29_900), "{took:?}");
}
