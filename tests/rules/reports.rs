//! Rule 14: what a host reports makes a probe come early, and moves nothing itself.

use super::world::{RING, World, config, ms, node};
use primacy::ErrorCode;
use primacy::engine::{EventKind, Input, ReportOutcome};
use primacy::instance::Instance;
use primacy::pool::{State, Status};
use primacy::probe::Cause;

fn report(w: &mut World, of: usize, outcome: ReportOutcome) {
    w.give(Input::Report { node: node(of), service: None, outcome });
}

#[test]
fn reports_never_move_the_ladder() {
    let mut w = World::new(&[RING], &[]);
    for _ in 0..2_000 {
        for &outcome in ReportOutcome::ALL {
            report(&mut w, 0, outcome);
        }
        w.run(ms(5));
    }
    assert_eq!((w.state(0), w.node(0).status), (State::Active, Status::Ok));
    assert!(w.events.is_empty(), "{:?}", w.events);
}

#[test]
fn reports_bring_at_most_one_probe_per_confirm_interval_and_one_login_per_interval() {
    let mut w = World::new(&[RING], &[]);
    let since = w.clock;
    for _ in 0..10_000 {
        report(&mut w, 0, ReportOutcome::ConnectFailed);
        w.run(ms(1));
    }
    let probes = w.probes_of(0, since);
    assert!((450..=501).contains(&probes.len()), "{}", probes.len());
    assert!(probes.windows(2).all(|p| p[1].since(p[0]) >= ms(20)));
    let logins = w.asked.iter().filter(|a| a.node == node(0) && a.fresh).count();
    assert!((18..=21).contains(&logins), "{logins}");
    assert!(w.probes_of(1, since).len() <= 23, "the other node keeps its pace");
}

#[test]
fn a_report_finds_a_failure_early() {
    let mut w = World::new(&[RING], &[]);
    let since = w.clock;
    w.run_until(ms(600), |w| !w.probes_of(0, since).is_empty());
    w.run(ms(30));
    w.set(&[0], Cause::Refused);
    report(&mut w, 0, ReportOutcome::ConnectTimedOut);
    let took = w.run_until(ms(1_000), |w| w.state(1) == State::Active);
    assert!(took <= ms(85), "{took:?}");
}

#[test]
fn only_failures_to_connect_count() {
    for outcome in [ReportOutcome::Connected, ReportOutcome::SessionFailed] {
        let mut w = World::new(&[RING], &[]);
        let since = w.clock;
        for _ in 0..100 {
            report(&mut w, 0, outcome);
            w.run(ms(100));
        }
        assert!(w.probes_of(0, since).len() <= 23, "{outcome}");
    }
}

#[test]
fn a_failed_node_is_not_looked_at_for_reports() {
    let mut w = World::new(&[RING], &[]);
    w.set(&[1], Cause::Refused);
    w.run_until(ms(5_000), |w| w.state(1).is_failed());
    w.run(ms(30_000));
    let since = w.clock;
    for _ in 0..200 {
        report(&mut w, 1, ReportOutcome::ConnectFailed);
        w.run(ms(100));
    }
    assert!(w.probes_of(1, since).len() <= 4);
    assert!(w.told(EventKind::Switch).is_empty());
}

#[test]
fn reports_of_nobody_are_ignored() {
    let mut w = World::new(&[RING], &[]);
    let lost = primacy::engine::NodeRef { pool: 7, node: 9 };
    w.give(Input::Report { node: lost, service: None, outcome: ReportOutcome::ConnectFailed });
    report(&mut w, 9, ReportOutcome::ConnectFailed);
    w.run(ms(1_000));
    assert_eq!(w.state(0), State::Active);
}

#[test]
fn the_api_takes_reports_by_name() {
    let instance = Instance::new(config(&[RING], &[])).expect("an instance");
    instance.report("p", "10.0.0.1", ReportOutcome::ConnectFailed).expect("a known node");
    for (pool, of) in [("p", "10.0.0.9"), ("q", "10.0.0.1")] {
        let error = instance.report(pool, of, ReportOutcome::ConnectFailed).expect_err("nobody");
        assert_eq!(error.code(), ErrorCode::NotFound);
    }
}
