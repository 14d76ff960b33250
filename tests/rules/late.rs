//! Rule 12: what a late loop did not hear proves nothing.

use super::world::{RING, World, ms};
use primacy::engine::{EventKind, Severity};
use primacy::pool::{State, Status};
use primacy::probe::{Cause, Class};

#[test]
fn a_stopped_prober_discards_what_it_did_not_hear() {
    for cause in [Cause::NoReply, Cause::NoAck] {
        let mut w = World::new(&[RING], &[]);
        // A probe is under way as the process is stopped for five seconds.
        w.run_until(ms(2_000), |w| {
            w.state(1) == State::Standby && w.asked.iter().any(|a| a.at == w.clock && a.node.node == 0)
        });
        w.set(&[0, 1], cause);
        w.stall(ms(5_000));
        let n = w.node(0);
        assert_eq!(n.cause.map(Cause::class), Some(Class::Blind), "{n:?}");
        assert!(
            n.message.contains("the prober itself was late: it came back to this probe after 5"),
            "{n:?}"
        );
        assert_eq!((n.rule, n.status), (201, Status::Ok), "{n:?}");
        w.set(&[0, 1], Cause::Ok);
        w.run(ms(3_000));
        assert_eq!(w.state(0), State::Active);
        assert!(
            w.told(EventKind::Switch).is_empty() && w.told(EventKind::Status).is_empty(),
            "{:?}",
            w.events
        );
        assert!(w.told(EventKind::Late).is_empty(), "one late probe wakes nobody");
    }
}

/// Time that nobody measured is no silence: after it the whole `silence` must pass anew.
#[test]
fn silence_is_measured_anew_after_a_stop() {
    let mut w = World::new(&[RING], &[]);
    w.set(&[0], Cause::NoAck);
    w.run_until(ms(1_000), |w| w.node(0).status == Status::OkInfo);
    w.run(ms(100));
    w.stall(ms(30_000));
    let took = w.run_until(ms(10_000), |w| w.state(1) == State::Active);
    assert!(took >= ms(2_900), "failed {took:?} after the stop");
}

#[test]
fn an_answer_counts_however_late_it_is_read() {
    let mut w = World::new(&[RING], &[]);
    w.set(&[0], Cause::Refused);
    w.run_until(ms(600), |w| w.asked.iter().any(|a| a.at == w.clock && a.node.node == 0));
    w.stall(ms(20_000));
    assert_eq!(w.node(0).cause, Some(Cause::Refused));
    w.run(ms(200));
    assert_eq!(w.state(1), State::Active);
}

#[test]
fn a_loop_that_is_late_for_ever_alarms_once_and_says_when_it_is_over() {
    let mut w = World::new(&[RING], &[]);
    w.set(&[0], Cause::NoReply);
    for _ in 0..10 {
        w.run_until(ms(1_000), |w| w.asked.iter().any(|a| a.at + ms(1) > w.clock && a.node.node == 0));
        w.stall(ms(2_000));
    }
    let told = w.told(EventKind::Late);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].severity, told[0].node.as_str()), (Severity::Alarm, "10.0.0.1:3306"));
    assert_eq!(w.state(0), State::Active);
    // In time again: the hung server is failed as ever, and the alarm ends.
    w.run_until(ms(3_000), |w| w.state(1) == State::Active);
    let told = w.told(EventKind::Late);
    assert_eq!((told.len(), told[1].severity), (2, Severity::Info));
}

/// A probe that ends a little late, as it does on a busy machine, counts.
#[test]
fn a_little_lateness_is_no_excuse() {
    let mut w = World::new(&[RING], &[]);
    w.set(&[0], Cause::NoReply);
    for _ in 0..4 {
        w.run_until(ms(1_000), |w| w.asked.iter().any(|a| a.at + ms(1) > w.clock && a.node.node == 0));
        w.stall(ms(1_200));
    }
    assert_eq!(w.state(1), State::Active, "{}", w.explain());
    assert!(w.told(EventKind::Late).is_empty());
}
