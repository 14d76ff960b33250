//! Rule 9: recovery without an operator, by proof, and not too often.

use super::world::{RING, World, ms, node};
use primacy::engine::{EventKind, Severity};
use primacy::gtid::Gtids;
use primacy::pool::State;
use primacy::probe::{Cause, Facts};

const A: &str = "00000000-0000-0000-0000-00000000000a";
const B: &str = "00000000-0000-0000-0000-00000000000b";

fn has(w: &mut World, of: usize, set: &str) {
    let gtids = Some(Gtids::parse_mysql(set).expect(set));
    w.servers.get_mut(&node(of)).expect("a node").facts = Facts { gtids, ..Facts::default() };
}

/// The ACTIVE node fails and is back a moment later.
fn fail(w: &mut World, of: usize) {
    w.set(&[of], Cause::Refused);
    w.run_until(ms(30_000), |w| w.state(of).is_failed() && w.state(1 - of) == State::Active);
    w.set(&[of], Cause::Ok);
}

fn world(keys: &[(&str, &str)]) -> World {
    let mut w = World::new(&[RING], keys);
    has(&mut w, 0, &format!("{A}:1-10"));
    has(&mut w, 1, &format!("{A}:1-10,{B}:1-5"));
    w.run(ms(2_000));
    w
}

#[test]
fn off_is_the_default() {
    let mut w = world(&[]);
    fail(&mut w, 0);
    w.run(ms(600_000));
    assert!(w.node(0).waits_for_recover);
}

#[test]
fn a_node_that_holds_nothing_of_its_own_is_taken_back_without_the_role() {
    let mut w = world(&[("pool.p.auto_recover", "3/1h")]);
    fail(&mut w, 0);
    w.run(ms(60_000));
    assert_eq!((w.state(0), w.state(1)), (State::Standby, State::Active));
    let told = w.told(EventKind::Command);
    assert_eq!((told.len(), told[0].rule), (1, 268));
    assert!(!w.node(0).waits_for_recover);
}

#[test]
fn without_proof_it_waits() {
    for set in [Some(format!("{A}:1-11")), None] {
        let mut w = world(&[("pool.p.auto_recover", "3/1h")]);
        fail(&mut w, 0);
        match &set {
            Some(set) => has(&mut w, 0, set),
            None => w.servers.get_mut(&node(0)).expect("a node").facts = Facts::default(),
        }
        w.run(ms(600_000));
        assert!(w.node(0).waits_for_recover, "{set:?}");
        assert!(
            w.explain().contains("or until it is in good order and the ACTIVE node has all its transactions")
        );
    }
    // Nor is it taken back while it is not in order, whatever it has.
    let mut w = world(&[("pool.p.auto_recover", "3/1h")]);
    fail(&mut w, 0);
    w.set(&[0], Cause::ReplicationStopped);
    w.run(ms(600_000));
    assert!(w.node(0).waits_for_recover);
}

#[test]
fn the_bucket_empties_and_fills_again() {
    let mut w = world(&[("pool.p.auto_recover", "2/1h")]);
    let all = format!("{A}:1-10,{B}:1-5");
    has(&mut w, 0, &all);
    has(&mut w, 1, &all);
    w.run(ms(1_000));
    for round in 0..2 {
        fail(&mut w, round % 2);
        w.run(ms(30_000));
        assert_eq!(w.state(round % 2), State::Standby, "round {round}");
    }
    fail(&mut w, 0);
    w.run(ms(60_000));
    assert!(w.node(0).waits_for_recover);
    assert!(w.explain().contains("auto_recover (2/1h) is used up for now"), "{}", w.explain());
    let alarms = w.told(EventKind::Stranded).iter().filter(|e| e.severity == Severity::Alarm).count();
    assert_eq!(alarms, 1);
    // One more in half an hour.
    let took = w.run_until(ms(3_600_000), |w| !w.node(0).waits_for_recover);
    assert!((ms(1_500_000)..=ms(1_800_000)).contains(&took), "{took:?}");
}

#[test]
fn with_failback_auto_the_role_returns_after_the_hold_down() {
    let keys = [("pool.p.auto_recover", "3/1h"), ("pool.p.failback", "auto"), ("pool.p.hold_down", "10m")];
    let mut w = world(&keys);
    let all = format!("{A}:1-10,{B}:1-5");
    has(&mut w, 0, &all);
    fail(&mut w, 0);
    w.run_until(ms(60_000), |w| w.state(0) == State::Standby);
    let took = w.run_until(ms(3_600_000), |w| w.state(0) == State::Active);
    assert!((ms(600_000)..=ms(602_000)).contains(&took), "{took:?}");
}
