//! A new configuration while sockets are open and probes under way.

use crate::real_server::{MariaDb, good};
use crate::support::*;
use primacy::ErrorCode;
use primacy::config::{Config, ConfigBuilder};
use primacy::engine::EventKind;
use primacy::instance::{EventFilter, Instance};
use primacy::pool::State;
use primacy::probe::Cause;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FAST: &str = "interval = \"50ms\"\ntimeout = \"100ms\"\nprobe_timeout = \"400ms\"";

/// Pools by name with their nodes, all with the same timing.
fn pools(top: &str, pools: &[(&str, &[String])]) -> Config {
    let mut text = format!("{top}\n");
    for (name, nodes) in pools {
        let list: Vec<String> = nodes.iter().map(|node| format!("{{ address = \"{node}\" }}")).collect();
        text.push_str(&format!(
            "[pool.{name}]\nnodes = [{}]\n[pool.{name}.probe]\n{FAST}\n",
            list.join(", ")
        ));
    }
    let mut builder = ConfigBuilder::new();
    builder.load_text(&text, "test.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
    builder.build().unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// The cause last seen of a node.
fn cause(instance: &Instance, pool: &str, node: &str) -> Option<Cause> {
    let snapshot = instance.snapshot().expect("a snapshot");
    let pool = snapshot.pools.into_iter().find(|p| p.name == pool)?;
    pool.nodes.into_iter().find(|n| n.name == node)?.cause
}

#[test]
fn a_connection_stays_with_its_account_and_ends_with_it() {
    let _alone = alone();
    let server = MariaDb::start();
    let address = format!("127.0.0.1:{}", server.port);
    let top = server.top();
    let slow = "interval = \"30ms\"\nlogin_interval = \"1d\"";
    let instance = Instance::new(server.config(slow)).expect("new");
    let events = instance.subscribe(EventFilter::default(), 1000).expect("events");
    instance.start().expect("start");
    good(&instance);
    wait_for("the role", Duration::from_secs(5), || {
        (node(&instance, 0).state == State::Active).then_some(())
    });
    let (sessions, epoch) = (server.sessions(), pool(&instance).epoch);
    assert_eq!(sessions.len(), 1);

    // Other timing, another place, another pool before it: the same connection, the same state.
    let other = refusing().to_string();
    let mut first = config(&[other.clone()], &top, slow);
    first.pools[0].name = "before".into();
    let mut second =
        config(&[address.clone(), other.clone()], &top, "interval = \"20ms\"\nlogin_interval = \"1d\"");
    second.pools[0].nodes.reverse();
    second.pools.insert(0, first.pools.remove(0));
    for _ in 0..20 {
        instance.reload(second.clone()).expect("a reload");
    }
    let seen = instance.snapshot().expect("a snapshot").pools.remove(1).nodes.remove(1);
    assert_eq!((seen.name, seen.state), (address.clone(), State::Active));
    let since = seen.observed_ms;
    wait_for("probes at the new place", Duration::from_secs(5), || {
        (instance.snapshot().ok()?.pools[1].nodes[1].observed_ms > since + 100).then_some(())
    });
    assert_eq!(server.sessions(), sessions, "the same connection");
    assert_eq!(instance.snapshot().expect("a snapshot").pools[1].epoch, epoch);

    // The password is rotated and the file with it: nothing in the configuration differs.
    server.sql("SET PASSWORD FOR primacy@'127.0.0.1' = PASSWORD('n3w')");
    std::fs::write(server.password(), "n3w\n").expect("a file");
    instance.reload(second.clone()).expect("a reload");
    wait_for("a new login", Duration::from_secs(5), || {
        let now = server.sessions();
        (now.len() == 1 && now != sessions).then_some(())
    });
    assert_eq!(cause(&instance, "p", &address), Some(Cause::Ok));
    // One that nobody may read any more: everything goes on with what was read before.
    std::fs::remove_file(server.password()).expect("remove");
    let error = instance.reload(second.clone()).expect_err("no file");
    assert_eq!(error.code(), ErrorCode::Secret);
    // The ACTIVE node cannot leave: the other one refuses connections.
    let error = instance.reload(pools("", &[("p", &[other.clone()])])).expect_err("nobody stays");
    assert_eq!(error.code(), ErrorCode::Refused);
    assert!(error.message().contains("rule 908") && error.message().contains(&address), "{error}");
    assert_eq!(instance.snapshot().expect("a snapshot").pools.len(), 2);
    let switches =
        std::iter::from_fn(|| events.next()).filter(|e| e.kind == EventKind::Switch && e.pool == "p");
    assert_eq!(switches.count(), 1, "no switch but the first");

    // The pool leaves, and its connection says goodbye.
    instance.reload(pools("", &[("before", &[other])])).expect("a reload");
    wait_for("the session's end", Duration::from_secs(2), || server.sessions().is_empty().then_some(()));
    assert_eq!(server.sql("SHOW GLOBAL STATUS LIKE 'Aborted_clients'"), "Aborted_clients\t0", "it said QUIT");
}

#[test]
fn probes_under_way_end_at_their_new_place_or_with_their_node() {
    let _alone = alone();
    let silent = Server::start(Behaviour::Silent);
    let http = Server::start(Behaviour::Http);
    let (silent, http) = (silent.address.to_string(), http.address.to_string());
    let gone = refusing().to_string();
    let orders: [&[(&str, &[String])]; 4] = [
        &[("p", &[silent.clone(), http.clone()]), ("q", &[gone.clone()])],
        &[("q", &[gone.clone(), silent.clone()]), ("p", &[http.clone(), silent.clone()])],
        &[("p", &[http.clone(), gone.clone(), silent.clone()])],
        &[("r", &[silent.clone()]), ("q", &[http.clone()]), ("p", &[silent.clone()])],
    ];
    let expected = |node: &str| match node {
        n if n == silent => Cause::NoReply,
        n if n == http => Cause::ProtocolError,
        _ => Cause::Refused,
    };
    for host in [false, true] {
        let instance = Instance::new(pools("", orders[0])).expect("new");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            if host {
                let fd = instance.fd().expect("fd");
                let (instance, stop) = (&instance, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        if readable(fd, Duration::from_millis(50)) {
                            instance.dispatch().expect("dispatch");
                        }
                    }
                });
            } else {
                instance.start().expect("start");
            }
            for round in 0..60u64 {
                let order = orders[round as usize % orders.len()];
                instance.reload(pools("", order)).expect("a reload");
                // Whatever was seen by now was seen of the right node.
                for pool in instance.snapshot().expect("a snapshot").pools {
                    for node in pool.nodes {
                        let right = node.cause.is_none_or(|cause| cause == expected(&node.name));
                        assert!(right, "{} {:?}", node.name, node.cause);
                    }
                }
                std::thread::sleep(Duration::from_millis(7 * (round % 9)));
            }
            // Every node is observed at last: nothing waits for an answer that never comes.
            for (pool, nodes) in orders[(60 - 1) % 4] {
                for node in *nodes {
                    let seen = || cause(&instance, pool, node).filter(|c| *c == expected(node));
                    wait_for("an observation", Duration::from_secs(5), seen);
                }
            }
            // Of servers that keep nothing themselves: what is open after many is what was open after one.
            let mut counts = Vec::new();
            for round in 0..40u64 {
                let nodes = [http.clone(), gone.clone()];
                instance.reload(pools("", &[("p", &nodes[..1 + round as usize % 2])])).expect("a reload");
                std::thread::sleep(Duration::from_millis(3));
                counts.push(descriptors().len());
            }
            assert!(counts[39] < counts[1] + 4, "descriptors leak: {counts:?}");
            stop.store(true, Ordering::Relaxed);
        });
        let start = Instant::now();
        instance.stop().expect("stop");
        assert!(start.elapsed() < Duration::from_secs(1));
        let error = instance.reload(pools("", orders[0])).expect_err("stopped");
        assert_eq!(error.code(), ErrorCode::Stopped);
    }
}

#[test]
fn before_its_start_and_in_the_eyes_of_open() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let top = format!("cache_file = {:?}\ncontrol_socket = \"none\"", folder.path().join("cache"));
    let (a, b) = (refusing().to_string(), refusing().to_string());
    let (old, new) = (pools(&top, &[("p", &[a.clone()])]), pools(&top, &[("p", &[a, b.clone()])]));
    let instance = Instance::open(old.clone()).expect("open");
    instance.reload(new.clone()).expect("a reload is a first use like any other");
    assert_eq!(pool(&instance).nodes.len(), 2);
    assert_eq!(Instance::open(old).expect_err("another one").code(), ErrorCode::ConfigDiffers);
    let same = Instance::open(new).expect("the same one");
    same.run_cycle("p", Duration::from_secs(10)).expect("a cycle");
    assert_eq!(cause(&instance, "p", &b), Some(Cause::Refused));
    drop((instance, same));

    // Without a cache the configuration itself is the name.
    let (old, new) = (pools("", &[("p", &[b.clone()])]), pools("", &[("x", &[b.clone()])]));
    let instance = Instance::open(old.clone()).expect("open");
    instance.reload(new.clone()).expect("a reload");
    assert_eq!(pool(&Instance::open(new).expect("the same one")).name, "x");
    instance.start().expect("start");
    let other = Instance::open(old).expect("a new one");
    assert!(!other.is_running() && instance.is_running());
    let turns = instance.heartbeat();
    wait_for("a turn", Duration::from_secs(5), || (instance.heartbeat() > turns).then_some(()));
}

/// A cycle counts who was observed by place, so it is not to be disturbed.
#[test]
fn not_during_a_cycle() {
    let _alone = alone();
    let silent = Server::start(Behaviour::Silent);
    let mut config = pools("", &[("p", &[silent.address.to_string()])]);
    for node in &mut config.pools[0].nodes {
        std::sync::Arc::make_mut(&mut node.probe).timeout = Duration::from_millis(700);
        std::sync::Arc::make_mut(&mut node.probe).probe_timeout = Duration::from_millis(700);
    }
    let instance = Instance::new(config.clone()).expect("new");
    std::thread::scope(|scope| {
        let cycle = scope.spawn(|| instance.run_cycle("p", Duration::from_secs(20)));
        wait_for("the cycle", Duration::from_secs(5), || instance.is_running().then_some(()));
        let error = instance.reload(config.clone()).expect_err("a cycle is at work");
        assert_eq!(error.code(), ErrorCode::State);
        cycle.join().expect("the cycle's thread").expect("the cycle");
    });
    instance.reload(config).expect("a reload");
}
