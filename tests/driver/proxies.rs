//! States pushed to proxies over real sockets: two at once, of which one is dead, slow, hostile or forgetful.

use crate::mpp_proxy::tcp::Front;
use crate::mpp_proxy::{Dialect, Proxy};
use crate::support::*;
use primacy::ErrorCode;
use primacy::config::{Config, ConfigBuilder};
use primacy::engine::{Event, EventKind};
use primacy::instance::{Durability, EventFilter, HostObservation, Instance, Subscription};
use primacy::probe::{Cause, Facts};
use std::time::{Duration, Instant};

const NODES: [&str; 2] = ["10.0.0.1:3306", "10.0.0.2:3306"];
const SOON: Duration = Duration::from_secs(20);

/// A pool that this test observes, and proxies; `more` are keys of each of them.
fn config(proxies: &[String], more: &str) -> Config {
    let mut text = format!(
        "[pool.p]\nprobe = \"external\"\npolicy = \"mpp\"\nnodes = [{{ address = \"{}\", type = \"primary\" }}, \
         {{ address = \"{}\", weight = 3 }}]\n",
        NODES[0], NODES[1]
    );
    for proxy in proxies {
        text.push_str(&format!("[[push]]\naddress = \"{proxy}\"\nuser = \"admin\"\n{more}\n"));
    }
    let mut builder = ConfigBuilder::new();
    builder.load_text(&text, "test.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
    builder.build().unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn front() -> Front {
    Front::start(Proxy::new(Dialect::Modern, &NODES))
}

fn name(front: &Front) -> String {
    front.address.to_string()
}

fn observe(instance: &Instance, causes: [Cause; 2]) {
    for (node, cause) in NODES.iter().zip(causes) {
        let observation =
            HostObservation { cause, errno: 0, message: String::new(), facts: Facts::default() };
        instance.observe("p", node, observation).expect("observe");
    }
    instance.cycle("p", None).expect("cycle");
}

/// An instance whose first node is ACTIVE.
fn begin(config: Config) -> (Instance, Subscription) {
    let instance = Instance::new(config).expect("an instance");
    let filter = EventFilter { kinds: 1 << EventKind::Proxy as u64, ..EventFilter::default() };
    let events = instance.subscribe(filter, 1000).expect("events");
    instance.start().expect("start");
    for _ in 0..3 {
        observe(&instance, [Cause::Ok; 2]);
    }
    assert_eq!(pool(&instance).active, Some(0));
    (instance, events)
}

/// The first node fails, the second takes over.
fn fail_over(instance: &Instance) -> Instant {
    for _ in 0..6 {
        observe(instance, [Cause::Refused, Cause::Ok]);
    }
    assert_eq!(pool(instance).active, Some(1));
    Instant::now()
}

fn wait_active(front: &Front, node: &str) {
    wait_for(&format!("{node} ACTIVE at {}", front.address), SOON, || {
        (front.proxy().active() == [node]).then_some(())
    });
}

/// Waits until the proxy holds these values of a node.
fn wait_holds(front: &Front, node: &str, values: &str) {
    let end = Instant::now() + SOON;
    while front.proxy().of(node) != values {
        assert!(Instant::now() < end, "{node} is {:?} and not {values:?}", front.proxy().of(node));
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn event(events: &Subscription, part: &str) -> Event {
    let mut seen = Vec::new();
    wait_for(&format!("an event with {part:?}"), SOON, || {
        let found = std::iter::from_fn(|| events.next()).find(|event| {
            seen.push(event.message.clone());
            event.message.contains(part)
        });
        assert!(seen.len() < 100, "{seen:#?}");
        found
    })
}

fn figure(instance: &Instance, series: &str, proxy: &Front, more: &str) -> f64 {
    let text = instance.metrics_text().expect("figures");
    let series = format!("{series}{{proxy=\"{}\"{more}}} ", proxy.address);
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().expect("a number")
}

#[test]
fn two_proxies_are_told_and_follow_a_switch() {
    let _alone = alone();
    let (one, two) = (front(), front());
    let (instance, events) = begin(config(&[name(&one), name(&two)], "interval = \"100ms\""));
    for proxy in [&one, &two] {
        wait_active(proxy, NODES[0]);
        wait_for("a whole cycle", SOON, || {
            (figure(&instance, "primacy_proxy_cycles_total", proxy, "") >= 2.0).then_some(())
        });
        assert_eq!(proxy.proxy().of(NODES[0]), "PRIMARY ACTIVE OK 1");
        assert_eq!(proxy.proxy().of(NODES[1]), "SECONDARY STANDBY OK 3");
        assert_eq!(figure(&instance, "primacy_proxy_up", proxy, ""), 1.0);
        assert_eq!(figure(&instance, "primacy_proxy_nodes_initialized_total", proxy, ""), 2.0);
        assert!(figure(&instance, "primacy_proxy_commands_total", proxy, ",outcome=\"done\"") >= 10.0);
        assert_eq!(figure(&instance, "primacy_proxy_failures_total", proxy, ""), 0.0);
    }
    let found = event(&events, "it takes what is pushed; 2 nodes were initialized");
    assert_eq!((found.kind, found.pool.as_str()), (EventKind::Proxy, ""));
    // A stand-in in maintenance takes no clients.
    let stay = primacy::pool::MaintenanceRole::Stay;
    instance.maintenance("p", NODES[1], stay, "a new disk", None, Durability::NoWait).expect("an order");
    wait_holds(&one, NODES[1], "SECONDARY UNKNOWN OK 0");
    instance.clear_override("p", NODES[1], Durability::NoWait).expect("its end");
    observe(&instance, [Cause::Ok; 2]);
    wait_holds(&one, NODES[1], "SECONDARY STANDBY OK 3");
    fail_over(&instance);
    for proxy in [&one, &two] {
        wait_active(proxy, NODES[1]);
        wait_for("the failed state", SOON, || {
            (proxy.proxy().of(NODES[0]) == "PRIMARY FAILED_OFFLINE FAIL 1").then_some(())
        });
    }
    // An operator's order goes out like a decision.
    let set = primacy::pool::Override { weight: Some(9), ..Default::default() };
    instance.set_override("p", NODES[1], set, "more clients", None, Durability::NoWait).expect("an order");
    wait_for("the weight", SOON, || two.proxy().of(NODES[1]).ends_with(" 9").then_some(()));
    // A node that is taken out takes no clients.
    instance.remove_node("p", NODES[0], Durability::NoWait).expect("removed");
    wait_for("the removed one", SOON, || {
        (one.proxy().of(NODES[0]).ends_with("UNKNOWN FAIL 0")).then_some(())
    });
    instance.stop().expect("stop");
    let before = one.proxy().log.len();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(one.proxy().log.len(), before, "a stopped instance says nothing");
    assert!(instance.metrics_text().expect("figures").contains("primacy_proxy_up"), "what was counted stays");
}

#[test]
fn changes_do_not_wait_for_the_interval_nor_for_other_proxies() {
    let _alone = alone();
    let (good, slow, silent) = (front(), front(), front());
    slow.slow(Duration::from_millis(150));
    silent.silent(true);
    let dead = refusing().to_string();
    let proxies = [name(&silent), dead.clone(), name(&slow), name(&good)];
    let (instance, events) = begin(config(&proxies, "interval = \"1h\"\ntimeout = \"2s\""));
    wait_active(&good, NODES[0]);
    wait_active(&slow, NODES[0]);
    let lost = event(&events, &format!("proxy {dead}: it does not take what is pushed"));
    assert!(lost.message.contains("connect: Connection refused"), "{}", lost.message);
    assert_eq!(lost.severity, primacy::engine::Severity::Warning);
    let switched = fail_over(&instance);
    wait_active(&good, NODES[1]);
    let took = switched.elapsed();
    assert!(took < Duration::from_millis(1500), "{took:?}: something waited for another proxy");
    wait_active(&slow, NODES[1]);
    let lost = event(&events, &format!("proxy {}: it does not take", silent.address));
    assert!(lost.message.contains("greeting: nothing came within 2000 ms"), "{}", lost.message);
    assert_eq!(figure(&instance, "primacy_proxy_up", &silent, ""), 0.0);
    // It wakes up and is told.
    silent.silent(false);
    silent.cut();
    wait_active(&silent, NODES[1]);
    event(&events, &format!("proxy {}: it takes what is pushed", silent.address));
}

#[test]
fn a_proxy_that_restarts_or_forgets_is_initialized_again() {
    let _alone = alone();
    let one = front();
    let address = one.address;
    let (instance, events) = begin(config(&[name(&one)], "interval = \"100ms\""));
    wait_active(&one, NODES[0]);
    event(&events, "2 nodes were initialized");
    one.proxy().forget();
    let forgotten = event(&events, "it had forgotten its nodes");
    assert!(forgotten.message.contains("uninitialized"), "{}", forgotten.message);
    wait_active(&one, NODES[0]);
    drop(one);
    event(&events, "it does not take what is pushed");
    fail_over(&instance);
    let again = Front::at(address, Proxy::new(Dialect::Original, &NODES));
    wait_active(&again, NODES[1]);
    event(&events, "2 nodes were initialized");
    assert_eq!(again.proxy().of(NODES[0]), "PRIMARY FAIL_OFFLINE FAIL 1", "in the original's words");
    assert_eq!(figure(&instance, "primacy_proxy_nodes_initialized_total", &again, ""), 6.0);
}

#[test]
fn hostile_answers_cost_a_connection_and_nothing_else() {
    let _alone = alone();
    let (bad, good) = (front(), front());
    let http = Server::start(Behaviour::Http);
    let proxies = [name(&bad), http.address.to_string(), name(&good)];
    bad.proxy().instead = Some(vec![0xff; 4096]);
    let (instance, events) = begin(config(&proxies, "interval = \"100ms\"\ntimeout = \"300ms\""));
    wait_active(&good, NODES[0]);
    let lost = event(&events, &format!("proxy {}: it does not take", http.address));
    assert!(lost.message.contains("expected a MySQL greeting, got 'HTTP/1.1"), "{}", lost.message);
    wait_for("attempts", SOON, || {
        (figure(&instance, "primacy_proxy_failures_total", &bad, "") >= 2.0).then_some(())
    });
    fail_over(&instance);
    wait_active(&good, NODES[1]);
    bad.proxy().instead = None;
    wait_active(&bad, NODES[1]);
    instance.stop().expect("stop");
}

#[test]
fn the_account_is_the_configured_one_and_its_password_is_told_to_nobody() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "hunter2-secret\n").expect("written");
    let text = format!("password_file = {:?}\ninterval = \"50ms\"", file);
    let one = front();
    one.proxy().user = "somebody else".into();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&file, open).expect("open to all");
    let error = Instance::new(config(&[name(&one)], &text)).expect_err("open to all");
    assert_eq!(error.code(), ErrorCode::Secret);
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, own).expect("for the owner");
    let (instance, events) = begin(config(&[name(&one)], &text));
    let lost = event(&events, "the login was refused: error 1045");
    let words = format!(
        "{lost:?} {error:?} {instance:?} {} {:?}",
        instance.metrics_text().expect("figures"),
        instance.snapshot()
    );
    assert!(!words.contains("hunter2"), "{words}");
    one.proxy().user = "admin".into();
    wait_active(&one, NODES[0]);
}

#[test]
fn a_reload_changes_proxies_and_leaves_those_that_stay() {
    let _alone = alone();
    let (one, two, three) = (front(), front(), front());
    let (instance, _events) = begin(config(&[name(&one), name(&two)], "interval = \"50ms\""));
    wait_active(&one, NODES[0]);
    wait_active(&two, NODES[0]);
    let changed =
        instance.reload(config(&[name(&three), name(&two)], "interval = \"50ms\"")).expect("a reload");
    assert_eq!(changed.rule, 910);
    wait_active(&three, NODES[0]);
    fail_over(&instance);
    wait_active(&two, NODES[1]);
    wait_active(&three, NODES[1]);
    assert_eq!(two.proxy().logins, 1, "the connection stayed");
    assert_eq!(one.proxy().active(), [NODES[0]], "nobody speaks to it any more");
    // By name, as the host's resolver has it; and in the host's own loop too.
    instance.stop().expect("stop");
    let by_name = format!("localhost:{}", two.address.port());
    let instance = Instance::new(config(&[by_name], "interval = \"50ms\"")).expect("an instance");
    let fd = instance.fd().expect("a descriptor");
    for _ in 0..3 {
        observe(&instance, [Cause::Ok; 2]);
    }
    wait_for("a push from the host's loop", SOON, || {
        readable(fd, Duration::from_millis(20));
        instance.dispatch().expect("a turn");
        (two.proxy().active() == [NODES[0]]).then_some(())
    });
}

#[test]
fn nothing_is_pushed_of_a_pool_that_nobody_has_looked_at() {
    let _alone = alone();
    let one = front();
    one.proxy().answer("MPP INITIALIZE 10.0.0.1:3306 TYPE PRIMARY");
    one.proxy().answer("MPP SET 10.0.0.1:3306 STATE ACTIVE");
    let instance = Instance::new(config(&[name(&one)], "interval = \"20ms\"")).expect("an instance");
    instance.start().expect("start");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        one.proxy().active(),
        [NODES[0]],
        "what an earlier life said holds until this one knows better"
    );
    for _ in 0..3 {
        observe(&instance, [Cause::Ok; 2]);
    }
    wait_for("the first push", SOON, || {
        one.proxy().of(NODES[1]).starts_with("SECONDARY STANDBY").then_some(())
    });
}
