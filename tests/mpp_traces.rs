//! Every trace of the original, step by step, through the engine's border.

use primacy::ErrorCode;
use primacy::config::ConfigBuilder;
use primacy::engine::{Command, Effect, Engine, Input, NodeRef, Now, Time};
use primacy::pool::PoolStatus;
use primacy::probe::{Cause, Observation};
use serde_json::Value;

struct Trace {
    engine: Engine,
    /// The library probes; else the host observes and closes the cycles.
    builtin: bool,
    /// How looks at checkpoints end, and how many there were.
    checkpoint: Cause,
    looks: u32,
    names: Vec<String>,
    clock: u64,
}

impl Trace {
    fn new(trace: &Value, builtin: bool) -> Trace {
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
            ("probe", if builtin { "builtin" } else { "external" }),
            ("hostile_takeover", if trace["hostile_takeover"] == true { "true" } else { "false" }),
        ] {
            builder.set(&format!("pool.p.{key}"), value).expect(key);
        }
        if builtin {
            let set = |name| {
                format!("{{ node = \"{name}.example\", edge = \"simple:gw\", external = \"http:h\" }}")
            };
            let sets: Vec<String> = names.iter().map(set).collect();
            builder.set("pool.p.checkpoints", &format!("[ {} ]", sets.join(", "))).expect("checkpoints");
        }
        let mut engine = Engine::new(builder.build().expect("config"), None, 1, Now::default());
        if builtin {
            // One cycle at a time, when the trace has one.
            while engine.poll_effect().is_some() {}
        }
        Trace { engine, builtin, checkpoint: Cause::Ok, looks: 0, names, clock: 0 }
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
            "cycle" if self.builtin => self.cycle(&step["in"]),
            "cycle" => {
                for (name, seen) in step["in"].as_object().expect("in") {
                    let cause = cause(seen);
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

    /// A cycle of the library's own.
    fn cycle(&mut self, seen: &Value) {
        let mut now = self.now();
        self.engine.handle(now, Input::RunOnce { pool: 0 });
        while let Some(effect) = self.engine.poll_effect() {
            now = Now { mono: now.mono + std::time::Duration::from_millis(1), ..now };
            match effect {
                Effect::Probe { node, probe, .. } => {
                    // Whom the trace does not name nobody could look at.
                    let cause = seen.get(&self.names[node.node]).map_or(Cause::Dns, cause);
                    let observation = Observation::new(cause, "", now.mono);
                    self.engine.handle(now, Input::Probed { node, probe, observation });
                }
                Effect::Check { place, check } => {
                    self.looks += 1;
                    let observation = Observation::new(self.checkpoint, "", now.mono);
                    self.engine.handle(now, Input::Checked { place, check, observation });
                }
                Effect::Persist { .. } | Effect::Publish(_) | Effect::Emit(_) => {}
            }
        }
        assert!(self.engine.is_settled(0));
        self.engine.handle(now, Input::Stop);
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

fn cause(seen: &Value) -> Cause {
    match seen.as_str() {
        Some("ok") => Cause::Ok,
        Some("connect_failed") => Cause::Refused,
        Some("replication_failed") => Cause::ReplicationStopped,
        other => panic!("unknown finding {other:?}"),
    }
}

/// Runs all traces; how many steps were checked, and how many looks at checkpoints there were.
fn reproduce(builtin: bool) -> (u32, u32) {
    let text = include_str!("data/mpp-traces.jsonl");
    let (mut steps, mut looks) = (0, 0);
    for line in text.lines().filter(|l| !l.is_empty()) {
        let trace: Value = serde_json::from_str(line).expect("a trace");
        let mut run = Trace::new(&trace, builtin);
        for step in trace["steps"].as_array().expect("steps") {
            run.step(step);
            let place = format!("trace {} step {} ({})", trace["trace"], step["label"], step["op"]);
            run.check(&step["expect"], &place);
            steps += 1;
        }
        looks += run.looks;
    }
    (steps, looks)
}

#[test]
fn every_trace_of_the_original_is_reproduced() {
    let (steps, _) = reproduce(false);
    assert!(steps > 100, "only {steps} steps were checked");
}

/// The same with probes of the library's own. Checkpoints that answer change nothing, and are only looked at for nodes
/// that cannot be reached.
#[test]
fn every_trace_is_reproduced_beside_checkpoints_that_answer() {
    let (steps, looks) = reproduce(true);
    assert!(steps > 100, "only {steps} steps were checked");
    let text = include_str!("data/mpp-traces.jsonl");
    assert_eq!(looks as usize, 2 * text.matches("\"connect_failed\"").count());
}

/// Built-in checkpoints' FAIL stays until it is recovered, as the host's own does not.
#[test]
fn a_pool_status_of_the_librarys_own_stays() {
    let trace = serde_json::json!({"hostile_takeover": false,
        "nodes": [{"name": "A", "type": "PRIMARY"}, {"name": "B", "type": "SECONDARY"}]});
    let mut run = Trace::new(&trace, true);
    run.checkpoint = Cause::NoAck;
    let mut step = |what: Value| {
        run.step(&what);
        let now = run.now();
        let pool = run.engine.snapshot(now).pools.remove(0);
        (pool.status.name(), pool.nodes[0].state.name(), pool.nodes[1].state.name())
    };
    let cycle = |a: &str, b: &str| serde_json::json!({"op": "cycle", "in": {"A": a, "B": b}});
    assert_eq!(step(cycle("ok", "ok")), ("OK", "STANDBY", "STANDBY"));
    assert_eq!(step(cycle("ok", "ok")), ("OK", "ACTIVE", "STANDBY"));
    assert_eq!(step(cycle("ok", "replication_failed")), ("OK", "ACTIVE", "STANDBY"));
    assert_eq!(step(cycle("ok", "connect_failed")), ("FAIL", "STANDBY", "STANDBY"));
    assert_eq!(step(cycle("ok", "ok")), ("FAIL", "STANDBY", "STANDBY"));
    assert_eq!(step(serde_json::json!({"op": "recover_pool"})), ("OK", "STANDBY", "STANDBY"));
    assert_eq!(step(cycle("ok", "ok")), ("OK", "ACTIVE", "STANDBY"));
}

/// What the host's checkpoints found holds for one cycle: nobody is ACTIVE in it, and the next one starts afresh.
#[test]
fn a_pool_status_from_the_host_holds_for_one_cycle() {
    let trace = serde_json::json!({"hostile_takeover": false,
        "nodes": [{"name": "A", "type": "PRIMARY"}, {"name": "B", "type": "SECONDARY"}]});
    let mut run = Trace::new(&trace, false);
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
