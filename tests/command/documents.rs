//! The C ABI, the control socket and `status --json` give the same document.

use crate::site::Site;
use primacy::config::ConfigBuilder;
use primacy::control::{Ask, Seen, document};
use primacy::gtid::Gtids;
use primacy::instance::control::{Client, new_id};
use primacy::instance::{HostObservation, Instance};
use primacy::probe::{Cause, Channel, Facts, Flavour, ServerVersion, ThreadState};
use serde_json::{Map, Value};
use std::ffi::{c_char, c_void};
use std::ptr::null_mut;
use std::time::Duration;

// SAFETY: as include/primacy.h declares them, with handles as plain pointers.
unsafe extern "C" {
    fn primacy_config_new(out: *mut *mut c_void) -> i32;
    fn primacy_config_load_text(
        cfg: *mut c_void,
        text: *const c_char,
        len: usize,
        name: *const c_char,
    ) -> i32;
    fn primacy_config_free(cfg: *mut c_void) -> i32;
    fn primacy_open(cfg: *mut c_void, out: *mut *mut c_void) -> i32;
    fn primacy_instance_free(p: *mut c_void) -> i32;
    fn primacy_snapshot_take(p: *mut c_void, out: *mut *mut c_void) -> i32;
    fn primacy_snapshot_json(snapshot: *const c_void, buf: *mut c_char, len: usize) -> i32;
    fn primacy_snapshot_free(snapshot: *mut c_void) -> i32;
    fn primacy_metrics_text(p: *mut c_void, buf: *mut c_char, len: usize) -> i32;
}

/// What C sees of the open instance of this configuration: the snapshot's document and the figures.
fn by_c(text: &str) -> (String, String) {
    let read = |write: &dyn Fn(*mut c_char, usize) -> i32| {
        let length = usize::try_from(write(null_mut(), 0)).expect("a length");
        let mut buffer = vec![0u8; length + 4096];
        let length = usize::try_from(write(buffer.as_mut_ptr().cast(), buffer.len())).expect("a length");
        buffer.truncate(length);
        String::from_utf8(buffer).expect("UTF-8")
    };
    let (mut config, mut instance, mut snapshot) = (null_mut(), null_mut(), null_mut());
    // SAFETY: the contract of the header: handles from their own functions, texts that end with NUL or have a length.
    unsafe {
        assert_eq!(primacy_config_new(&mut config), 0);
        assert_eq!(primacy_config_load_text(config, text.as_ptr().cast(), text.len(), c"text".as_ptr()), 0);
        assert_eq!(primacy_open(config, &mut instance), 0);
        assert_eq!(primacy_snapshot_take(instance, &mut snapshot), 0);
        let document = read(&|buf, len| primacy_snapshot_json(snapshot, buf, len));
        let figures = read(&|buf, len| primacy_metrics_text(instance, buf, len));
        assert_eq!((primacy_snapshot_free(snapshot), primacy_instance_free(instance)), (0, 0));
        assert_eq!(primacy_config_free(config), 0);
        (document, figures)
    }
}

fn facts() -> Facts {
    let channel = Channel {
        name: "east".into(),
        source: "db9:3306".into(),
        io: ThreadState::Running,
        sql: ThreadState::Running,
        io_errno: 0,
        sql_errno: 0,
        error: String::new(),
        lag: Some(Duration::from_millis(1500)),
        applied_all: Some(true),
        received: None,
    };
    Facts {
        flavour: Some(Flavour::MariaDb),
        version: Some(ServerVersion(10, 11, 6)),
        server_id: Some(7),
        server_uuid: None,
        read_only: Some(false),
        super_read_only: None,
        gtids: Gtids::parse_mariadb("0-7-42").ok(),
        channels: Some(vec![channel]),
        group: None,
        threads_connected: Some(3),
        max_connections: Some(151),
        round_trip: Some(Duration::from_micros(321)),
        backend: None,
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// Without the time and what only one border tells.
fn shared(mut map: Map<String, Value>, own: &[&str]) -> Map<String, Value> {
    for key in own {
        assert!(map.remove(*key).is_some(), "{key}");
    }
    assert!(map.remove("wall_ms").is_some_and(|ms| ms.as_u64() > Some(1_700_000_000_000)));
    map
}

#[test]
fn all_borders_give_the_same_document() {
    for policy in ["safe", "mpp"] {
        let nodes = "nodes = [ { address = \"10.0.0.1\", type = \"primary\", weight = 3, site = \"a\\\"b\" }, \
                     { address = \"10.0.0.2\" }, { address = \"10.0.0.3\" } ]";
        let site = Site::new(&format!("[pool.p]\nprobe = \"external\"\npolicy = \"{policy}\"\n{nodes}\n"));
        let text = std::fs::read_to_string(site.path("primacy.toml")).unwrap();
        let mut builder = ConfigBuilder::new();
        builder.load_text(&text, "text").unwrap();
        let instance = Instance::open(builder.build().unwrap()).unwrap();
        instance.start().unwrap();
        let observe = |node: &str, cause, facts| {
            let observation = HostObservation { cause, errno: 0, message: "a \"word\"".into(), facts };
            instance.observe("p", node, observation).unwrap();
        };
        for _ in 0..4 {
            observe("10.0.0.1:3306", Cause::Ok, facts());
            observe("10.0.0.2:3306", Cause::Refused, Facts::default());
            observe("10.0.0.3:3306", Cause::Ok, Facts::default());
            instance.cycle("p", None).unwrap();
        }
        instance.remove_node("p", "10.0.0.3", primacy::instance::Durability::Wait).unwrap();
        let snapshot = instance.snapshot().unwrap();
        assert_eq!(snapshot.pools[0].removed, ["10.0.0.3:3306"]);
        let expected = shared(document(&snapshot), &[]);

        let (by_c, figures) = by_c(&text);
        assert_eq!(shared(object(serde_json::from_str(&by_c).unwrap()), &[]), expected, "{policy}: C");

        let mut client = Client::connect(&site.path("cache.sock"), Duration::from_secs(5)).unwrap().unwrap();
        let ask = Ask::Snapshot { pool: None };
        let body = client.ask(new_id().unwrap(), ask, Duration::from_secs(5)).unwrap().unwrap().body;
        let seen = Seen::decode(&body).unwrap();
        assert_eq!(seen.snapshot.pools, snapshot.pools, "{policy}: and it reads back whole");
        assert_eq!(shared(object(body), &["configuration", "pid"]), expected, "{policy}: control socket");

        let said = site.run(&["status", "--json"]).exits(0).out;
        let status = object(serde_json::from_str(&said).unwrap());
        assert_eq!(status["source"], "agent", "{policy}");
        assert_eq!(shared(status, &["source", "cache", "agent"]), expected, "{policy}: status --json");

        // The same is true of the figures, but for what counts on.
        let said = site.run(&["metrics", "--require-agent"]).exits(0).out;
        let still = |text: &str| -> Vec<String> {
            let moving =
                ["primacy_loop_", "primacy_control_", "primacy_cache_", "primacy_events_total{kind=\"log\"}"];
            let stays = |line: &&str| !moving.iter().any(|m| line.starts_with(m));
            text.lines().filter(stays).map(str::to_owned).collect()
        };
        assert_eq!(still(&figures), still(&said), "{policy}");
        assert!(still(&said).len() > 100, "{said}");
        instance.stop().unwrap();
        // What the cache knows is what the cache says, and a warning tells where it comes from.
        let said = site.run(&["metrics"]).exits(0).complains(&["no agent keeps the cache"]).out;
        assert!(
            said.contains("primacy_live 0\n") && said.contains("primacy_pool_epoch{pool=\"p\"} "),
            "{said}"
        );
        site.run(&["metrics", "--require-agent"]).fails(4, &["no agent"]);
    }
}
