//! Figures of a running instance.

use crate::support::*;
use primacy::engine::EventKind;
use primacy::instance::{EventFilter, HostObservation, Instance};
use primacy::probe::{Cause, Facts};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const QUICK: &str = "interval = \"20ms\"\ntimeout = \"50ms\"";

/// The value of one series.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap_or_else(|e| panic!("{series} {line}: {e}")))
}

fn get(instance: &Instance, series: &str) -> f64 {
    let text = instance.metrics_text().expect("figures");
    value(&text, series).unwrap_or_else(|| panic!("{series} is not in\n{text}"))
}

#[test]
fn what_the_driver_does_is_counted_and_outlives_it() {
    let _alone = alone();
    let server = Server::start(Behaviour::Silent);
    let (here, gone) = (server.address.to_string(), refusing().to_string());
    let instance = instance(&[here.clone(), gone.clone()], "", QUICK);
    let at = |name: &str, node: &str| format!("{name}{{pool=\"p\",node=\"{node}\"}}");
    assert_eq!(get(&instance, "primacy_live"), 1.0);
    assert_eq!(get(&instance, "primacy_loop_lateness_seconds_count"), 0.0, "no loop yet");
    instance.start().expect("start");
    let refused = format!("primacy_observations_total{{pool=\"p\",node=\"{gone}\",cause=\"refused\"}}");
    let hung = format!("primacy_observations_total{{pool=\"p\",node=\"{here}\",cause=\"no_reply\"}}");
    wait_for("observations", SOON, || {
        (get(&instance, &refused) >= 4.0 && get(&instance, &hung) >= 4.0).then_some(())
    });
    let text = instance.metrics_text().expect("figures");
    let of = |series: &str| value(&text, series).unwrap_or_else(|| panic!("{series} is not in\n{text}"));
    assert!(of(&at("primacy_probe_connects_total", &gone)) >= of(&refused));
    assert!(of(&at("primacy_probe_connects_total", &here)) >= 1.0);
    assert_eq!(of(&at("primacy_probe_duration_seconds_count", &gone)), of(&refused));
    // A server that hangs costs the whole timeout.
    let quick = format!("primacy_probe_duration_seconds_bucket{{pool=\"p\",node=\"{here}\",le=\"0.025\"}}");
    assert_eq!(of(&quick), 0.0);
    assert!(of("primacy_loop_lateness_seconds_count") > 0.0);
    assert!(of("primacy_connections") >= 1.0, "the hanging one is kept");
    assert!(of("primacy_start_time_seconds") > 1.7e9);
    let state = format!("primacy_node_state{{pool=\"p\",node=\"{gone}\",state=\"FAILED_OFFLINE\"}}");
    wait_for("the failed state", SOON, || (get(&instance, &state) == 1.0).then_some(()));
    instance.stop().expect("stop");
    // The driver is gone, its counts are not; and nothing counts any more.
    let after = instance.metrics_text().expect("figures after a stop");
    let before = of(&at("primacy_probe_connects_total", &gone));
    assert!(value(&after, &at("primacy_probe_connects_total", &gone)).expect("still there") >= before);
    assert_eq!(value(&after, "primacy_connections"), Some(0.0));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(instance.metrics_text().expect("figures"), after);
}

#[test]
fn events_and_losses_are_counted() {
    let instance = instance(&["10.9.8.7:3306".into()], "", "probe = \"external\"\npolicy = \"mpp\"");
    let few = instance.subscribe(EventFilter::default(), 2).expect("events");
    let all = instance.subscribe(EventFilter::default(), 1000).expect("events");
    assert_eq!(get(&instance, "primacy_event_subscribers"), 2.0);
    for i in 0..8 {
        let cause = if i % 2 == 0 { Cause::Refused } else { Cause::Ok };
        let observation =
            HostObservation { cause, errno: 0, message: String::new(), facts: Facts::default() };
        instance.observe("p", "10.9.8.7:3306", observation).expect("observe");
        instance.cycle("p", None).expect("cycle");
    }
    let mut told = 0.0;
    for &kind in EventKind::ALL {
        told += get(&instance, &format!("primacy_events_total{{kind=\"{}\"}}", kind.name()));
    }
    let read = std::iter::from_fn(|| all.next()).count();
    assert_eq!(told, read as f64);
    assert_eq!(get(&instance, "primacy_events_lost_total"), told - 2.0);
    assert_eq!(few.next().map(|e| (e.kind, e.count)), Some((EventKind::Lost, read as u64 - 2)));
    drop(few);
    assert_eq!(get(&instance, "primacy_event_subscribers"), 1.0);
    // A host's observation is a moment: counted by cause, not by time.
    let node = "{pool=\"p\",node=\"10.9.8.7:3306\"";
    assert_eq!(get(&instance, &format!("primacy_observations_total{node},cause=\"refused\"}}")), 4.0);
    assert_eq!(get(&instance, &format!("primacy_probe_duration_seconds_count{node}}}")), 0.0);
    assert!(
        !instance.metrics_text().expect("figures").contains("primacy_probe_connects_total{"),
        "not probed here"
    );
}

#[test]
fn the_cache_is_counted_and_its_age_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let top = format!("cache_file = {:?}", folder.path().join("cache"));
    let host = |top: &str| instance(&["10.9.8.7:3306".into()], top, "probe = \"external\"");
    let first = host(&top);
    let observation =
        HostObservation { cause: Cause::Ok, errno: 0, message: String::new(), facts: Facts::default() };
    first.observe("p", "10.9.8.7:3306", observation).expect("observe");
    assert!(get(&first, "primacy_cache_writes_total{outcome=\"ok\"}") >= 1.0);
    assert_eq!(get(&first, "primacy_cache_writes_total{outcome=\"failed\"}"), 0.0);
    let written = get(&first, "primacy_cache_written_timestamp_seconds");
    assert!(written > 1.7e9);
    let epoch = get(&first, "primacy_pool_epoch{pool=\"p\"}");
    drop(first);
    // The next life knows it from the file, says so in the log, and counts from 0.
    let second = host(&top);
    let events = second.subscribe(EventFilter::default(), 10).expect("events");
    assert_eq!(get(&second, "primacy_pool_epoch{pool=\"p\"}"), epoch);
    assert!(get(&second, "primacy_cache_written_timestamp_seconds") >= written - 1.0);
    assert_eq!(get(&second, "primacy_pool_switches_total{pool=\"p\"}"), 0.0);
    let log =
        std::iter::from_fn(|| events.next()).find(|e| e.kind == EventKind::Log).expect("a word about it");
    assert!(log.message.contains("taken over"), "{}", log.message);
    assert!(
        get(&host(""), "primacy_cache_writes_total{outcome=\"ok\"}") == 0.0,
        "without a file nothing is written"
    );
}
