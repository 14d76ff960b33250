//! Checkpoints: a witness of the prober's own path under `safe`, the pool's FAIL under `mpp`.

use super::world::{RING, World, ms, node};
use primacy::engine::{CheckRef, Command, EventKind, Input, NodeRef, Severity, Time};
use primacy::pool::{PoolStatus, State, Status};
use primacy::probe::{Cause, Observation};

const SINGLE: &str = "name:p;primary:10.0.0.1";
const SET: &str = "[ { node = \"10.0.0.1\", internal = \"simple:10.9.0.1\", edge = \"simple:gw.example:22\", external = \"http:h\" } ]";

fn safe(pools: &[&str]) -> World {
    World::new(pools, &[("pool.p.checkpoints", SET)])
}

fn mpp(set: &str) -> World {
    World::new(&[RING], &[("pool.p.policy", "mpp"), ("pool.p.checkpoints", set)])
}

fn status(w: &World) -> PoolStatus {
    w.engine.snapshot(w.now()).pools[0].status
}

#[test]
fn nobody_looks_while_all_is_well() {
    for policy in ["safe", "mpp"] {
        let mut w = World::new(&[RING], &[("pool.p.policy", policy), ("pool.p.checkpoints", SET)]);
        w.run(ms(60_000));
        // A node that answers, with whatever words, and one without a set.
        w.set(&[1], Cause::NoAck);
        w.run(ms(10_000));
        assert!(w.looks.is_empty(), "{policy}: {:?}", w.looks);
        assert!(
            w.explain().contains("internal checkpoint simple:10.9.0.1: not looked at yet"),
            "{}",
            w.explain()
        );
    }
    let mut w = safe(&[RING]);
    for cause in [Cause::Refused, Cause::NoReply, Cause::TooManyConnections, Cause::Dns] {
        w.set(&[0], cause);
        w.run(ms(2_000));
        assert!(w.looks.is_empty(), "{cause}");
    }
}

/// The only node over the network and its checkpoints say nothing: the prober is cut off, however long it lasts.
#[test]
fn with_checkpoints_one_node_is_enough_to_be_cut_off() {
    for cause in [Cause::NoAck, Cause::Unreachable] {
        let mut w = safe(&[SINGLE]);
        w.set(&[0], cause);
        w.checkpoints = vec![cause; 3];
        w.run(ms(60_000));
        assert_eq!(w.state(0), State::Active);
        assert!(w.node(0).status < Status::OkCritical, "{cause}: {}", w.explain());
        let told = w.told(EventKind::Isolated);
        assert_eq!((told.len(), told[0].severity, told[0].rule), (1, Severity::Alarm, 213));
        assert!(
            told[0]
                .message
                .contains("nor does any checkpoint: simple:10.9.0.1, simple:gw.example:22, http:h:80")
        );
        // Each is told once, and looked at every five seconds.
        assert_eq!(w.told(EventKind::Checkpoint).len(), 3);
        let since = w.clock;
        w.run(ms(60_000));
        let looks = w.looks.iter().filter(|(_, at)| *at >= since).count();
        assert!((3 * 9..=3 * 13).contains(&looks), "{cause}: {looks} looks in a minute");
        // The path is back, the node is not: the first checkpoint ends it, and the whole of `silence` counts from there.
        w.checkpoints.clear();
        w.run_until(ms(6_000), |w| w.told(EventKind::Isolated).len() == 2);
        assert!(
            w.told(EventKind::Isolated)[1].message.contains("checkpoint"),
            "{:?}",
            w.told(EventKind::Isolated)[1]
        );
        let took = w.run_until(ms(10_000), |w| w.node(0).status == Status::Fail);
        assert!((ms(2_400)..=ms(4_500)).contains(&took), "{cause}: {took:?}");
        assert!(w.told(EventKind::Switch).is_empty());
    }
}

/// A reply of any checkpoint, a refusal too, proves the path: a silent node is then silent by itself, and in time.
#[test]
fn any_reply_of_a_checkpoint_proves_the_path() {
    for cause in [Cause::Ok, Cause::Refused, Cause::QueryFailed, Cause::NoReply] {
        for takes in [5, 249] {
            let mut w = safe(&[RING]);
            w.look_takes = ms(takes);
            w.set(&[0, 1], Cause::NoAck);
            w.checkpoints = vec![Cause::NoAck, cause, Cause::NoAck];
            let took = w.run_until(ms(10_000), |w| w.node(0).status == Status::Fail);
            assert!((ms(3_000)..=ms(4_020)).contains(&took), "{cause} {takes}: {took:?}");
            assert!(w.told(EventKind::Isolated).is_empty());
            // Proven once in a silence, and that is that.
            assert_eq!(w.looks.len(), 3, "{cause}: {:?}", w.looks);
        }
    }
}

#[test]
fn what_cannot_be_looked_at_is_no_witness() {
    let mut w = safe(&[SINGLE]);
    w.set(&[0], Cause::NoAck);
    w.checkpoints = vec![Cause::Local, Cause::Dns, Cause::Local];
    let took = w.run_until(ms(10_000), |w| w.node(0).status == Status::Fail);
    assert!(took <= ms(4_020), "silence counts as it does without checkpoints: {took:?}");
    let told = w.told(EventKind::Checkpoint);
    assert_eq!(told.len(), 3);
    assert!(
        told.iter().all(|e| e.severity == Severity::Warning && e.message.contains("cannot be looked at"))
    );
    assert_eq!((told[1].cause, told[1].node.as_str()), (Cause::Dns, "10.0.0.1:3306"));
}

/// While a look is under way a silent node is held, and no longer.
#[test]
fn a_slow_reply_costs_no_more_than_the_look() {
    let mut w = safe(&[SINGLE]);
    w.look_takes = ms(900);
    w.set(&[0], Cause::NoAck);
    let took = w.run_until(ms(10_000), |w| w.node(0).status == Status::Fail);
    assert!((ms(3_000)..=ms(4_020)).contains(&took), "{took:?}");
    assert!(w.told(EventKind::Isolated).is_empty());
    // A prober that comes back too late to a look has heard nothing that counts.
    let mut w = safe(&[SINGLE]);
    w.set(&[0], Cause::NoAck);
    w.checkpoints = vec![Cause::NoAck; 3];
    w.run_until(ms(1_000), |w| !w.looks.is_empty());
    w.stall(ms(5_000));
    w.run(ms(1));
    let seen = w.node(0).checkpoints;
    assert!(seen.iter().all(|c| c.cause == Some(Cause::Local) && c.answers == Some(false)), "{seen:?}");
}

/// All checkpoints of an unreachable node fail: the pool has no ACTIVE node until an operator recovers it.
#[test]
fn the_original_pools_fail_is_sticky() {
    for cause in [Cause::NoAck, Cause::Refused] {
        let mut w = mpp(SET);
        w.checkpoints = vec![Cause::NoAck, Cause::Unreachable, Cause::QueryFailed];
        w.set(&[0], cause);
        let took = w.run_until(ms(2_000), |w| status(w) == PoolStatus::Fail);
        assert!(took <= ms(1_020), "in the first cycle that cannot reach it: {took:?}");
        assert_eq!((w.state(0), w.state(1), w.looks.len()), (State::Standby, State::Standby, 3));
        let told = w.told(EventKind::PoolStatus);
        assert_eq!((told[0].severity, told[0].rule), (Severity::Alarm, 141));
        assert!(
            told[0]
                .message
                .contains("10.0.0.1:3306: the node cannot be reached and all its checkpoints fail")
        );
        // The stand-in would take over; under a pool's FAIL nobody does, and nobody does when all is well again.
        w.run(ms(10_000));
        assert!(w.told(EventKind::Switch).is_empty() || w.state(1) != State::Active);
        assert!(
            w.explain()
                .contains("external checkpoint http:h:80 fails, though something replies (query_failed)")
        );
        w.set(&[0], Cause::Ok);
        w.checkpoints.clear();
        w.run(ms(10_000));
        assert_eq!(status(&w), PoolStatus::Fail);
        assert!([0, 1].iter().all(|&n| w.state(n) != State::Active), "{}", w.explain());
        assert!(w.explain().contains("`primacy recover pool:p` changes that"), "{}", w.explain());
        w.command(Command::RecoverPool(0)).expect("allowed");
        w.command(Command::RecoverNode(node(0))).expect("allowed");
        w.run(ms(2_000));
        assert_eq!((status(&w), w.state(0)), (PoolStatus::Ok, State::Active), "{}", w.explain());
    }
}

/// FAIL takes the ACTIVE role at once from whoever answers and has it.
#[test]
fn an_active_node_that_answers_gives_way_to_the_pools_fail() {
    let mut w = mpp("[ { node = \"10.0.0.2\", edge = \"simple:gw\" } ]");
    w.checkpoints = vec![Cause::NoAck];
    w.set(&[1], Cause::NoAck);
    w.run_until(ms(2_000), |w| w.state(0) == State::Standby);
    assert_eq!((status(&w), w.node(0).rule), (PoolStatus::Fail, 121));
}

#[test]
fn one_checkpoint_that_answers_or_cannot_be_looked_at_keeps_the_pool() {
    for cause in [Cause::Ok, Cause::Dns, Cause::Local] {
        for place in 0..3 {
            let mut w = mpp(SET);
            w.checkpoints = vec![Cause::NoAck; 3];
            w.checkpoints[place] = cause;
            w.set(&[0], Cause::NoAck);
            w.run_until(ms(10_000), |w| w.state(1) == State::Active);
            assert_eq!(status(&w), PoolStatus::Ok, "{cause}");
        }
    }
    // A set is its node's alone: the other one has none.
    let mut w = mpp(SET);
    w.checkpoints = vec![Cause::NoAck; 3];
    w.set(&[1], Cause::NoAck);
    w.run(ms(10_000));
    assert_eq!((status(&w), w.state(0), w.looks.len()), (PoolStatus::Ok, State::Active, 0));
    // A replication fault is no reason to look either.
    w.set(&[0, 1], Cause::ReplicationStopped);
    w.run(ms(10_000));
    assert!(w.looks.is_empty());
}

/// `mysql` asks whether a server answers; a refused login is an answer, a closed port is none.
#[test]
fn a_mysql_checkpoint_is_content_with_any_word_of_the_server() {
    for (cause, fails) in
        [(Cause::AuthDenied, false), (Cause::Ok, false), (Cause::Refused, true), (Cause::NoReply, true)]
    {
        let mut w = mpp("[ { node = \"10.0.0.1\", internal = \"mysql:10.0.0.9\" } ]");
        w.checkpoints = vec![cause];
        w.set(&[0], Cause::NoAck);
        w.run(ms(3_000));
        assert_eq!(status(&w) == PoolStatus::Fail, fails, "{cause}");
        assert_eq!(w.node(0).checkpoints[0].answers, Some(!fails));
    }
}

/// A cycle waits for its checkpoints, keeps its pace beside that, and takes no answer for another's.
#[test]
fn a_cycle_closes_with_the_last_look() {
    let mut w = mpp(SET);
    w.look_takes = ms(700);
    w.checkpoints = vec![Cause::NoReply; 3];
    w.set(&[0], Cause::Refused);
    w.run_until(ms(1_000), |w| w.looks.len() == 3);
    let at: Time = w.looks[0].1;
    let place = CheckRef { node: node(0), index: 0 };
    for check in [0, u64::MAX] {
        let observation = Observation::new(Cause::Ok, "", w.clock);
        w.give(Input::Checked { place, check, observation: observation.clone() });
        w.give(Input::Checked {
            place: CheckRef { index: 9, ..place },
            check,
            observation: observation.clone(),
        });
        let elsewhere = CheckRef { node: NodeRef { pool: 3, node: 0 }, index: 0 };
        w.give(Input::Checked { place: elsewhere, check, observation });
    }
    w.run(ms(690));
    assert_eq!((status(&w), w.probes_of(1, at + ms(1)).len()), (PoolStatus::Ok, 0), "the cycle is open");
    w.run(ms(11));
    assert_eq!(status(&w), PoolStatus::Fail);
    w.run(ms(1));
    assert_eq!(w.probes_of(1, at + ms(1)).len(), 1, "the next one is overdue");
    // A node that leaves takes its looks along.
    let mut w = mpp(SET);
    w.look_takes = ms(700);
    w.set(&[0], Cause::Refused);
    w.run_until(ms(1_000), |w| w.looks.len() == 3);
    w.command(Command::RemoveNode(node(0))).expect("allowed");
    let since = w.clock;
    w.run(ms(600));
    assert!(!w.probes_of(1, since).is_empty(), "the cycle does not wait for what nobody does");
}

#[test]
fn a_fail_outlives_the_process() {
    let mut w = mpp(SET);
    w.checkpoints = vec![Cause::NoAck; 3];
    w.set(&[0], Cause::Refused);
    w.run_until(ms(2_000), |w| status(w) == PoolStatus::Fail);
    let cache = w.engine.cache(w.now());
    let again = primacy::engine::Engine::new(w.engine.config().clone(), Some(&cache), 1, w.now());
    assert_eq!(again.snapshot(w.now()).pools[0].status, PoolStatus::Fail);
}

#[test]
fn the_budget_counts_the_looks_that_a_cycle_waits_for() {
    let of = |set: &str, policy: &str| {
        let w = super::world::config(
            &[RING],
            &[("pool.p.policy", policy), ("pool.p.checkpoints", set), ("pool.p.probe.interval", "300ms")],
        );
        primacy::policy::budget::budget(&w.pools[0])
    };
    let without = of("[]", "mpp").to_string();
    assert!(without.contains("levels 4 x interval 300ms + timeout 250ms + 20ms"), "{without}");
    assert!(!without.contains("checkpoints"), "{without}");
    let with = of(SET, "mpp").to_string();
    assert!(
        with.contains("interval 300ms + levels 4 x (timeout 250ms + checkpoints 500ms) + 20ms"),
        "{with}"
    );
    assert!(with.contains("interval 300ms + levels 4 x (checkpoints 500ms) + 20ms"), "{with}");
    assert!(with.contains("looked at for a node that cannot be reached: 3, within 500ms"), "{with}");
    // Under `safe` silence takes longer than any look.
    assert_eq!(of(SET, "safe").lines, of("[]", "safe").lines);
}
