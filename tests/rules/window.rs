//! Rule 5: twelve bad ones of the last twenty are enough, though never `fall` in a row.

use super::world::{RING, config};
use primacy::engine::{Effect, Engine, Event, EventKind, Input, NodeRef, Now, Time};
use primacy::pool::{State, Status};
use primacy::probe::{Cause, Observation};

/// A pool that the host observes; `fall` is far away.
struct Host {
    engine: Engine,
    ms: u64,
    events: Vec<Event>,
}

impl Host {
    fn new() -> Host {
        let keys = [("pool.p.probe", "external"), ("pool.p.fall", "100"), ("pool.p.rise", "1")];
        let mut host = Host {
            engine: Engine::new(config(&[RING], &keys), None, 1, Now::default()),
            ms: 0,
            events: vec![],
        };
        host.see(0, Cause::Ok);
        host.see(1, Cause::Ok);
        host
    }

    fn see(&mut self, node: usize, cause: Cause) -> (State, Status, u16) {
        self.ms += 500;
        let now = Now { mono: Time::from_millis(self.ms), wall_ms: self.ms };
        let observation = Observation::new(cause, "", now.mono);
        self.engine.handle(now, Input::Observed { node: NodeRef { pool: 0, node }, observation });
        while let Some(effect) = self.engine.poll_effect() {
            if let Effect::Emit(event) = effect {
                self.events.push(event);
            }
        }
        let node = &self.engine.snapshot(now).pools[0].nodes[node];
        (node.state, node.status, node.rule)
    }
}

/// `rise` is 1, so each good observation clears the ladder.
#[test]
fn a_half_dead_node_fails_at_twelve_of_twenty() {
    for bad in [Cause::Refused, Cause::NoReply] {
        let mut h = Host::new();
        // Two bad ones for each good one; the stand-in stays good.
        for n in 1..=40 {
            let (state, status, _) = h.see(0, if n % 3 == 0 { Cause::Ok } else { bad });
            h.see(1, Cause::Ok);
            match n {
                ..=19 => assert_eq!((state, status == Status::Fail), (State::Active, false), "{bad} {n}"),
                20 => assert_eq!(status, Status::Fail, "{bad}"),
                _ => break,
            }
        }
        let told = |kind, rule| h.events.iter().any(|e| e.kind == kind && e.rule == rule);
        assert!(told(EventKind::Switch, 245), "{bad}");
    }
}

#[test]
fn eleven_of_twenty_fail_nobody() {
    let mut h = Host::new();
    for n in 0..200 {
        let bad = n % 20 < 11;
        let (state, status, _) = h.see(0, if bad { Cause::Refused } else { Cause::Ok });
        h.see(1, Cause::Ok);
        assert_eq!(state, State::Active, "{n}");
        assert_ne!(status, Status::Fail, "{n}");
    }
}

#[test]
fn what_fails_nobody_fills_no_window() {
    for cause in [Cause::TooManyConnections, Cause::ReplicationStopped, Cause::Dns, Cause::Local] {
        let mut h = Host::new();
        for _ in 0..100 {
            assert_eq!(h.see(0, cause).0, State::Active, "{cause}");
        }
    }
}

/// What led to a fall is forgotten with it: the healed node starts with an empty window.
#[test]
fn a_healed_node_starts_anew() {
    let mut h = Host::new();
    h.see(1, Cause::Refused);
    let mut n = 0;
    while !h.see(1, if n % 3 == 0 { Cause::Ok } else { Cause::Refused }).0.is_failed() {
        n += 1;
        assert!(n < 30);
    }
    assert_eq!(h.see(1, Cause::Ok).0, State::Standby, "rise is 1");
    for _ in 0..10 {
        assert_eq!(h.see(1, Cause::Refused).0, State::Standby);
    }
}
