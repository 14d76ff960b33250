//! Rule 6 where packets get lost: an answer that was lost looks like a server that hangs.

use super::world::{RING, World, ms};
use primacy::engine::EventKind;
use primacy::probe::Cause;

fn lose(w: &mut World, times: usize) {
    for _ in 0..times {
        w.set(&[0], Cause::NoAck);
        w.run_until(ms(2_000), |w| w.node(0).cause == Some(Cause::NoAck));
        w.set(&[0], Cause::Ok);
        w.run_until(ms(2_000), |w| w.node(0).status.name() == "OK");
    }
}

fn hang(w: &mut World) -> std::time::Duration {
    w.set(&[0], Cause::NoReply);
    w.run_until(ms(20_000), |w| !w.told(EventKind::Switch).is_empty())
}

/// `interval` 500 ms, `fall` 4, `timeout` 250 ms; `silence` is 3 s.
#[test]
fn a_hung_server_is_failed_soon() {
    assert!(hang(&mut World::new(&[RING], &[])) <= ms(1_520));
}

/// One look that went unacknowledged may be the first of a hang.
#[test]
fn one_silent_look_changes_nothing() {
    let mut w = World::new(&[RING], &[]);
    lose(&mut w, 1);
    assert!(hang(&mut w) <= ms(1_520));
    let mut w = World::new(&[RING], &[]);
    w.set(&[0], Cause::NoAck);
    w.run_until(ms(2_000), |w| w.node(0).cause == Some(Cause::NoAck));
    assert!(hang(&mut w) <= ms(1_520));
}

#[test]
fn where_packets_get_lost_hanging_takes_as_long_as_silence() {
    let mut w = World::new(&[RING], &[]);
    lose(&mut w, 2);
    let took = hang(&mut w);
    assert!(ms(2_900) < took && took <= ms(3_770), "{took:?}");
    assert!(w.node(0).message.contains("packets get lost"), "{}", w.node(0).message);
    // Answers lost and packets lost by turns, for a minute, with a good look before `silence` is over.
    let mut w = World::new(&[RING], &[]);
    lose(&mut w, 2);
    for turn in 0..30 {
        for (cause, span) in [(Cause::NoReply, 900), (Cause::NoAck, 600), (Cause::NoReply, 500)] {
            w.set(&[0], cause);
            w.run(ms(span));
        }
        w.set(&[0], Cause::Ok);
        w.run_until(ms(2_000), |w| w.node(0).cause == Some(Cause::Ok));
        assert!(w.told(EventKind::Switch).is_empty(), "turn {turn}: {}", w.explain());
    }
}

/// A server that greets in a probe whose rest is lost lives: silence is measured from there, and never gets long enough.
#[test]
fn a_server_that_is_heard_is_not_silent() {
    let mut w = World::new(&[RING], &[]);
    lose(&mut w, 2);
    w.greets = true;
    for _ in 0..30 {
        for cause in [Cause::NoReply, Cause::NoAck] {
            w.set(&[0], cause);
            w.run(ms(1_000));
        }
    }
    assert!(w.told(EventKind::Switch).is_empty(), "{}", w.explain());
    // It is heard no more.
    w.greets = false;
    let took = w.run_until(ms(20_000), |w| !w.told(EventKind::Switch).is_empty());
    assert!(took <= ms(3_770), "{took:?}");
}

/// What was lost a while ago says nothing of today.
#[test]
fn it_is_forgotten() {
    let mut w = World::new(&[RING], &[]);
    lose(&mut w, 2);
    w.run(ms(30_500));
    assert!(hang(&mut w) <= ms(1_520));
}
