//! Only the class of a cause matters: causes of one class lead to the same decisions, through the engine's border.

use primacy::config::ConfigBuilder;
use primacy::engine::{Effect, Engine, Input, NodeRef, Now, Time};
use primacy::pool::{State, Status};
use primacy::probe::{Cause, Class, Observation};

/// What can be told from a run: for each step, each node's state, status, count and rule, and the events' kinds.
type Course = Vec<(Vec<(State, Status, Option<u32>, u16)>, Vec<i32>)>;

/// A ring in which a node meets the cause `bad`, over and over, between good times.
fn course(victim: usize, bad: Cause) -> Course {
    let mut builder = ConfigBuilder::new();
    builder.add_pool("name:p;primary:10.0.0.1;secondary:10.0.0.2").expect("a pool");
    builder.set("pool.p.probe", "external").expect("external");
    let mut engine = Engine::new(builder.build().expect("a configuration"), None, 1, Now::default());
    let mut course = Vec::new();
    let mut ms = 0;
    // Single faults, doubled ones, and a long row with the return.
    let script = [3, 0, 2, 1, 6, 2, 9, 12, 9];
    let mut causes = Vec::new();
    for (i, &count) in script.iter().enumerate() {
        causes.extend(std::iter::repeat_n(if i % 2 == 1 { bad } else { Cause::Ok }, count));
    }
    for cause in causes {
        for node in [victim, 1 - victim] {
            ms += 500;
            let now = Now { mono: Time::from_millis(ms), wall_ms: ms };
            let cause = if node == victim { cause } else { Cause::Ok };
            let node = NodeRef { pool: 0, node };
            engine.handle(now, Input::Observed { node, observation: Observation::new(cause, "", now.mono) });
            let mut events = Vec::new();
            while let Some(effect) = engine.poll_effect() {
                if let Effect::Emit(event) = effect {
                    events.push(event.kind as i32);
                }
            }
            let pool = engine.snapshot(now).pools.remove(0);
            let nodes = pool.nodes.iter().map(|n| (n.state, n.status, n.count, n.rule)).collect();
            course.push((nodes, events));
        }
    }
    course
}

#[test]
fn causes_of_one_class_lead_to_the_same_decisions() {
    let mut classes: Vec<(Class, usize, Course)> = Vec::new();
    for &cause in Cause::ALL {
        for victim in 0..2 {
            // Lag is told apart from a fault by rule 209, as the design has it.
            if cause == Cause::ReplicationLag {
                continue;
            }
            let course = course(victim, cause);
            match classes.iter().find(|(class, v, _)| *class == cause.class() && *v == victim) {
                Some((_, _, known)) => {
                    assert!(*known == course, "{cause} is not like its class, node {victim}")
                }
                None => classes.push((cause.class(), victim, course)),
            }
        }
    }
    assert_eq!(classes.len(), 2 * Class::ALL.len());
    // And the classes do differ, but for gone and hung, whose difference is time.
    for (i, (a, v, one)) in classes.iter().enumerate() {
        for (b, w, other) in &classes[i + 1..] {
            let alike = v != w || (*a == Class::Gone && *b == Class::Hung);
            assert!(alike || one != other, "{a} and {b} lead to the same course, node {v}");
        }
    }
}
