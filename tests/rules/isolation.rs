//! Rule 12: only silence, and from everybody: the observer itself may be cut off.

use super::world::{RING, World, ms};
use primacy::engine::{EventKind, NodeRef, Severity};
use primacy::pool::{State, Status};
use primacy::probe::Cause;

#[test]
fn a_prober_without_a_network_fails_nobody() {
    for cause in [Cause::NoAck, Cause::Unreachable] {
        let mut w = World::new(&[RING], &[]);
        w.set(&[0, 1], cause);
        w.run(ms(60_000));
        assert_eq!(w.state(0), State::Active);
        assert!(w.node(0).status < Status::OkCritical && w.node(1).status < Status::OkCritical);
        assert_eq!((w.node(0).rule, w.node(1).rule), (213, 213));
        assert!(w.explain().contains("the prober itself may be cut off: a reply from any node"));
        let told = w.told(EventKind::Isolated);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].severity, told[0].rule, told[0].pool.as_str()), (Severity::Alarm, 213, ""));
        // Nothing is to be gained by haste: once it is sure, probes keep the interval's pace.
        let since = w.clock;
        w.run(ms(10_000));
        assert!(w.probes_of(0, since).len() <= 24, "{}", w.probes_of(0, since).len());
        // The network is back, first to the stand-in: the ACTIVE node has the whole of `silence` from here on.
        w.set(&[1], Cause::Ok);
        let back = w.run_until(ms(1_000), |w| w.told(EventKind::Isolated).len() == 2);
        assert_eq!(w.told(EventKind::Isolated)[1].severity, Severity::Info);
        let took = w.run_until(ms(10_000), |w| w.state(1) == State::Active);
        assert!(took >= ms(2_400), "{cause}: failed {took:?} after the network was back ({back:?})");
        assert!(took <= ms(4_000), "{cause}: failed {took:?} after the network was back");
    }
}

#[test]
fn a_short_cut_of_the_observer_leaves_no_trace() {
    let mut w = World::new(&[RING], &[]);
    w.set(&[0, 1], Cause::NoAck);
    w.run(ms(30_000));
    w.set(&[0, 1], Cause::Ok);
    w.run(ms(3_000));
    assert_eq!((w.node(0).status, w.node(1).status), (Status::Ok, Status::Ok));
    assert!(w.told(EventKind::Switch).is_empty());
    assert_eq!(w.told(EventKind::Isolated).len(), 2);
}

/// A reset, an error packet and a kernel's acknowledgement prove the path; so does a node of another pool.
#[test]
fn any_reply_proves_the_path() {
    for cause in [Cause::Ok, Cause::Refused, Cause::TooManyConnections, Cause::NoReply] {
        let mut w = World::new(&["name:p;primary:10.0.0.1;secondary:10.0.0.2;secondary:10.0.0.3"], &[]);
        w.set(&[0], Cause::NoAck);
        w.set(&[1], cause);
        let took = w.run_until(ms(10_000), |w| w.state(0).is_failed());
        assert!((ms(3_000)..=ms(3_770)).contains(&took), "{cause}: {took:?}");
        assert!(w.told(EventKind::Isolated).is_empty(), "{cause}");
    }
    let mut w = World::new(&[RING, "name:q;primary:10.0.9.1"], &[]);
    w.set(&[0, 1], Cause::NoAck);
    w.run_until(ms(10_000), |w| w.node(0).status == Status::Fail);
    assert!(w.told(EventKind::Isolated).is_empty());
}

#[test]
fn a_reply_from_this_machine_proves_nothing_of_the_network() {
    for local in ["127.0.0.1:3307", "[::1]:3307", "localhost"] {
        let pool = format!("name:q;primary:{local}");
        let mut w = World::new(&[RING, &pool], &[]);
        w.set(&[0, 1], Cause::NoAck);
        w.run(ms(20_000));
        assert!(w.node(0).status < Status::OkCritical, "{local}");
        assert_eq!(w.told(EventKind::Isolated).len(), 1, "{local}");
    }
}

/// One node over the network, and local ones: silence is all that can be had of it, and counts.
#[test]
fn with_a_single_remote_node_silence_counts() {
    let mut w = World::new(&["name:p;primary:10.0.0.1;secondary:127.0.0.1"], &[]);
    w.set(&[0], Cause::NoAck);
    w.run_until(ms(3_770), |w| w.state(1) == State::Active);
    // The same node in two pools is one node.
    let mut w = World::new(&["name:p;primary:10.0.0.1;secondary:127.0.0.1", "name:q;primary:10.0.0.1"], &[]);
    w.set(&[0], Cause::NoAck);
    w.servers.get_mut(&NodeRef { pool: 1, node: 0 }).expect("a node").cause = Cause::NoAck;
    w.run_until(ms(3_770), |w| w.state(1) == State::Active);
}

#[test]
fn a_cycle_of_one_pool_ends_while_the_prober_is_cut_off() {
    let mut w = World::new(&[RING, "name:q;primary:10.0.9.1"], &[]);
    w.give(primacy::engine::Input::Stop);
    w.run(ms(1_000));
    w.set(&[0, 1], Cause::NoAck);
    w.give(primacy::engine::Input::RunOnce { pool: 0 });
    w.run_until(ms(5_000), |w| w.engine.is_settled(0));
    assert_eq!(w.state(0), State::Active);
    assert!(w.node(0).status < Status::OkCritical);
}

/// A probe that waits for an earlier question's answer sends nothing. That the question was acknowledged proves the path as
/// it was then, so a line that was cut afterwards still counts as cut.
#[test]
fn an_acknowledgement_proves_the_path_as_it_was_then() {
    for (pools, hung) in [
        (&[RING][..], NodeRef { pool: 0, node: 1 }),
        // One that hangs for long already, in another pool.
        (&["name:p;primary:10.0.0.1", "name:q;primary:10.0.9.1"][..], NodeRef { pool: 1, node: 0 }),
    ] {
        let mut w = World::new(pools, &[]);
        w.servers.get_mut(&hung).expect("a node").cause = Cause::NoReply;
        let cut = w.clock;
        w.waited_for.insert(hung, cut);
        w.set(&[0], Cause::NoAck);
        w.run(ms(30_000));
        assert_eq!(w.state(0), State::Active);
        assert_eq!(w.node(0).rule, 213, "{}", w.explain());
        assert!(w.node(0).status < Status::OkCritical, "{}", w.explain());
        let nodes = w.engine.snapshot(w.now()).pools.remove(hung.pool).nodes;
        assert!(
            nodes[hung.node].status < Status::OkCritical && nodes[hung.node].rule == 213,
            "{}",
            w.explain()
        );
        let told = w.told(EventKind::Isolated);
        assert_eq!((told.len(), told[0].severity), (1, Severity::Alarm));
        // Its kernel acknowledges something new: the path is open, and the other one's silence its own.
        w.waited_for.clear();
        w.run_until(ms(1_000), |w| w.told(EventKind::Isolated).len() == 2);
        let took = w.run_until(ms(10_000), |w| w.node(0).status == Status::Fail);
        assert!((ms(2_400)..=ms(4_000)).contains(&took), "{took:?}");
    }
}

/// As long as anybody else replies, a server that hangs is failed as soon as ever, on whatever its probes wait.
#[test]
fn a_server_that_is_waited_for_is_failed_in_time() {
    let mut w = World::new(&[RING], &[]);
    w.set(&[0], Cause::NoReply);
    w.waited_for.insert(NodeRef { pool: 0, node: 0 }, w.clock);
    let took = w.run_until(ms(10_000), |w| w.state(1) == State::Active);
    assert!(took <= ms(1_520), "{took:?}");
    assert!(w.told(EventKind::Isolated).is_empty());
}
