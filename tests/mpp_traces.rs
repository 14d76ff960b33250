//! Every trace of the original, step by step, through the engine's border.

use primacy::ErrorCode;
use primacy::config::ConfigBuilder;
use primacy::engine::{Command, Engine, Input, NodeRef, Now, Time};
use primacy::pool::PoolStatus;
use primacy::probe::{Cause, Observation};
use serde_json::Value;

struct Trace {
    engine: Engine,
    names: Vec<String>,
    clock: u64,
}

impl Trace {
    fn new(trace: &Value) -> Trace {
        let nodes = trace["nodes"].as_array().expect("nodes");
        let names: Vec<String> = nodes.iter().map(|n| n["name"].as_str().expect("name").into()).collect();
        let mut spec = String::from("name:p");
        for node in nodes {
            let word = node["type"].as_str().expect("type").to_lowercase();
            spec.push_str(&format!(";{word}:{}.example", node["name"].as_str().expect("name")));
        }
        let mut builder = ConfigBuilder::new();
        builder.add_pool(&spec).expect("spec");
        for (key, value) in [
            ("policy", "mpp"),
            ("probe", "external"),
            ("hostile_takeover", if trace["hostile_takeover"] == true { "true" } else { "false" }),
        ] {
            builder.set(&format!("pool.p.{key}"), value).expect(key);
        }
        let engine = Engine::new(builder.build().expect("config"), None, 1, Now::default());
        Trace { engine, names, clock: 0 }
    }

    fn now(&mut self) -> Now {
        self.clock += 1000;
        Now { mono: Time::from_millis(self.clock), wall_ms: self.clock }
    }

    fn node(&self, name: &Value) -> NodeRef {
        let node = self.names.iter().position(|n| Some(n.as_str()) == name.as_str());
        NodeRef { pool: 0, node: node.expect("a node of the trace") }
    }

    fn step(&mut self, step: &Value) {
        let now = self.now();
        match step["op"].as_str().expect("op") {
            "init" => {}
            "cycle" => {
                for (name, seen) in step["in"].as_object().expect("in") {
                    let cause = match seen.as_str() {
                        Some("ok") => Cause::Ok,
                        Some("connect_failed") => Cause::Refused,
                        Some("replication_failed") => Cause::ReplicationStopped,
                        other => panic!("unknown finding {other:?}"),
                    };
                    let node = self.node(&Value::from(name.as_str()));
                    let observation = Observation::new(cause, "", now.mono);
                    self.engine.handle(now, Input::Observed { node, observation });
                }
                let pool_status = step["pool_status"].as_str().map(|s| PoolStatus::from_name(s).expect(s));
                self.engine.handle(now, Input::Cycle { pool: 0, pool_status });
            }
            op => {
                let command = match op {
                    "recover" => Command::RecoverNode(self.node(&step["node"])),
                    "recover_pool" => Command::RecoverPool(0),
                    "activate_primary" => Command::ActivatePrimary(0),
                    other => panic!("unknown step {other}"),
                };
                let answer = self.engine.command(now, command);
                match step["result"].as_str() {
                    Some("refused") => assert_eq!(answer.map_err(|e| e.code()), Err(ErrorCode::Refused)),
                    _ => assert!(answer.is_ok(), "{answer:?}"),
                }
            }
        }
        while self.engine.poll_effect().is_some() {}
    }

    fn check(&mut self, expect: &Value, place: &str) {
        let now = self.now();
        let snapshot = self.engine.snapshot(now);
        for (name, want) in expect.as_object().into_iter().flatten() {
            let node = &snapshot.pools[0].nodes[self.node(&Value::from(name.as_str())).node];
            let count = node.count.map_or(Value::Null, Value::from);
            assert_eq!(count, want["count"], "{place}: count of {name}");
            assert_eq!(node.status.name(), want["status"], "{place}: status of {name}");
            assert_eq!(node.state.name(), want["state"], "{place}: state of {name}");
        }
    }
}

#[test]
fn every_trace_of_the_original_is_reproduced() {
    let text = include_str!("data/mpp-traces.jsonl");
    let mut steps = 0;
    for line in text.lines().filter(|l| !l.is_empty()) {
        let trace: Value = serde_json::from_str(line).expect("a trace");
        let mut run = Trace::new(&trace);
        for step in trace["steps"].as_array().expect("steps") {
            run.step(step);
            let place = format!("trace {} step {} ({})", trace["trace"], step["label"], step["op"]);
            run.check(&step["expect"], &place);
            steps += 1;
        }
    }
    assert!(steps > 100, "only {steps} steps were checked");
}

/// What the host's checkpoints found holds for one cycle: nobody is ACTIVE in it, and the next one starts afresh.
#[test]
fn a_pool_status_from_the_host_holds_for_one_cycle() {
    let trace = serde_json::json!({"hostile_takeover": false,
        "nodes": [{"name": "A", "type": "PRIMARY"}, {"name": "B", "type": "SECONDARY"}]});
    let mut run = Trace::new(&trace);
    let good = serde_json::json!({"A": "ok", "B": "ok"});
    let mut cycle = |status: Option<&str>| {
        run.step(&serde_json::json!({"op": "cycle", "in": good, "pool_status": status}));
        let now = run.now();
        let pool = run.engine.snapshot(now).pools.remove(0);
        (pool.status.name(), pool.nodes[0].state.name())
    };
    assert_eq!(cycle(None), ("OK", "STANDBY"));
    assert_eq!(cycle(None), ("OK", "ACTIVE"));
    assert_eq!(cycle(Some("FAIL")), ("FAIL", "STANDBY"));
    assert_eq!(cycle(None), ("OK", "ACTIVE"));
}
