//! Starting, stopping, the host's loop, one cycle.

use crate::support::*;
use primacy::ErrorCode;
use primacy::engine::EventKind;
use primacy::instance::{Durability, EventFilter, HostObservation};
use primacy::probe::{Cause, Facts};
use std::time::{Duration, Instant};

const FAST: &str = "interval = \"50ms\"\ntimeout = \"100ms\"\nprobe_timeout = \"400ms\"";

#[test]
fn start_and_stop_are_idempotent_and_exclude_the_rest() {
    let _alone = alone();
    let server = Server::start(Behaviour::Silent);
    let instance = instance(&[server.address.to_string()], "", FAST);
    assert!(!instance.is_running());
    instance.start().expect("start");
    instance.start().expect("start again");
    assert!(instance.is_running());
    assert_eq!(instance.fd().expect_err("fd").code(), ErrorCode::State);
    assert_eq!(instance.dispatch().expect_err("dispatch").code(), ErrorCode::State);
    assert_eq!(instance.run_cycle("p", Duration::from_secs(1)).expect_err("cycle").code(), ErrorCode::State);
    wait_for("an observation", Duration::from_secs(2), || node(&instance, 0).cause);
    let start = Instant::now();
    instance.stop().expect("stop");
    assert!(start.elapsed() < Duration::from_secs(1), "stop took {:?}", start.elapsed());
    instance.stop().expect("stop again");
    assert!(!instance.is_running());
    assert_eq!(node(&instance, 0).cause, Some(Cause::NoReply), "the snapshot works after the stop");
    assert!(!instance.explain("p").expect("explain").is_empty());
    let stopped = |e: primacy::Error| assert_eq!(e.code(), ErrorCode::Stopped, "{e}");
    let refused =
        HostObservation { cause: Cause::Refused, errno: 0, message: String::new(), facts: Facts::default() };
    stopped(instance.recover_pool("p", Durability::Wait).expect_err("a command"));
    stopped(instance.dispatch().expect_err("dispatch"));
    stopped(instance.observe("p", &server.address.to_string(), refused).expect_err("observe"));
    assert_eq!(instance.start().expect_err("start").code(), ErrorCode::State);
}

#[test]
fn stopped_before_its_first_use() {
    let _alone = alone();
    let instance = instance(&[refusing().to_string()], "", FAST);
    instance.stop().expect("stop");
    assert_eq!(pool(&instance).nodes.len(), 1);
    assert_eq!(instance.start().expect_err("start").code(), ErrorCode::State);
}

#[test]
fn the_last_reference_stops_it() {
    let _alone = alone();
    let server = Server::start(Behaviour::Silent);
    let first = instance(&[server.address.to_string()], "", FAST);
    let second = first.clone();
    first.start().expect("start");
    drop(first);
    wait_for("an observation", Duration::from_secs(2), || node(&second, 0).cause);
    let start = Instant::now();
    drop(second);
    assert!(start.elapsed() < Duration::from_secs(1), "took {:?}", start.elapsed());
    assert!(!threads().iter().any(|(name, _)| name.starts_with("primacy")), "no thread is left");
}

#[test]
fn the_hosts_loop_never_blocks() {
    let _alone = alone();
    let silent = Server::start(Behaviour::Silent);
    let nodes = [silent.address.to_string(), refusing().to_string()];
    let instance = instance(&nodes, "", FAST);
    let fd = instance.fd().expect("fd");
    assert_eq!(instance.fd().expect("fd again"), fd);
    assert_eq!(instance.start().expect_err("start").code(), ErrorCode::State);
    let events = instance.subscribe(EventFilter::default(), 100).expect("events");
    let (mut longest, mut idle, mut turns) = (Duration::ZERO, 0, 0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1500) {
        // No dispatch but when the descriptor says so: whatever is due must show there.
        assert!(readable(fd, Duration::from_millis(700)), "nothing to do for 700 ms");
        let before = Instant::now();
        let handled = instance.dispatch().expect("dispatch");
        longest = longest.max(before.elapsed());
        assert!(handled <= 64);
        turns += 1;
        idle += usize::from(handled == 0);
    }
    assert!(longest < Duration::from_millis(20), "one dispatch took {longest:?}");
    assert_eq!(node(&instance, 0).cause, Some(Cause::NoReply));
    assert_eq!(node(&instance, 1).cause, Some(Cause::Refused));
    assert!(node(&instance, 1).count > Some(3), "{:?}", node(&instance, 1).count);
    assert!(turns < 600 && idle < turns, "{turns} turns, {idle} of them idle: it spins");
    assert!(readable(events.fd(), Duration::ZERO));
    assert_eq!(threads().iter().filter(|(name, _)| name.starts_with("primacy")).count(), 0);
    instance.stop().expect("stop");
}

#[test]
fn a_dispatch_handles_at_most_its_budget() {
    let _alone = alone();
    // All at once, so that no two have the same port; then all are gone: 150 refusals.
    let listeners: Vec<_> =
        (0..150).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let nodes: Vec<String> =
        listeners.iter().map(|l| l.local_addr().expect("an address").to_string()).collect();
    drop(listeners);
    let instance =
        instance(&nodes, "", "interval = \"100ms\"\nconfirm_interval = \"100ms\"\npolicy = \"mpp\"");
    let fd = instance.fd().expect("fd");
    let mut most = 0;
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(600) {
        if readable(fd, Duration::from_millis(200)) {
            let handled = instance.dispatch().expect("dispatch");
            assert!(handled <= 64, "{handled}");
            if handled == 64 {
                assert!(readable(fd, Duration::from_millis(5)), "what is left over keeps it readable");
            }
            most = most.max(handled);
        }
    }
    assert_eq!(most, 64, "the budget was reached");
    assert!(pool(&instance).nodes.iter().all(|n| n.cause == Some(Cause::Refused)));
}

#[test]
fn one_cycle_in_the_calling_thread() {
    let _alone = alone();
    let silent = Server::start(Behaviour::Silent);
    let nodes = [silent.address.to_string(), refusing().to_string()];
    for policy in ["mpp", "safe"] {
        let instance = instance(&nodes, "", &format!("{FAST}\npolicy = \"{policy}\""));
        let error = instance.run_cycle("p", Duration::from_millis(30)).expect_err("too short");
        assert_eq!(error.code(), ErrorCode::Timeout);
        assert!(error.message().contains(&nodes[0]), "{error}");
        instance.run_cycle("p", Duration::from_secs(5)).expect("a cycle");
        assert!(!instance.is_running());
        assert_eq!(node(&instance, 0).cause, Some(Cause::NoReply));
        assert_eq!(node(&instance, 1).cause, Some(Cause::Refused));
        instance.run_cycle("p", Duration::from_secs(5)).expect("another");
        assert_eq!(instance.run_cycle("q", Duration::ZERO).expect_err("no pool").code(), ErrorCode::NotFound);
    }
}

#[test]
fn a_stop_ends_a_cycle() {
    let _alone = alone();
    let silent = Server::start(Behaviour::Silent);
    let instance = instance(&[silent.address.to_string()], "", "timeout = \"2s\"\nprobe_timeout = \"9s\"");
    let other = instance.clone();
    let cycle = std::thread::spawn(move || other.run_cycle("p", Duration::from_secs(10)));
    wait_for("the cycle", Duration::from_secs(1), || instance.is_running().then_some(()));
    let start = Instant::now();
    instance.stop().expect("stop");
    let error = cycle.join().expect("the thread").expect_err("stopped");
    assert_eq!(error.code(), ErrorCode::Stopped);
    assert!(start.elapsed() < Duration::from_secs(1), "took {:?}", start.elapsed());
}

#[test]
fn events_tell_the_story() {
    let _alone = alone();
    let instance = instance(&[refusing().to_string()], "", FAST);
    let events = instance.subscribe(EventFilter::default(), 1000).expect("events");
    instance.start().expect("start");
    wait_for("a change of status", Duration::from_secs(3), || {
        std::iter::from_fn(|| events.next()).find(|e| e.kind == EventKind::Status)
    });
}
