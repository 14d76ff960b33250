//! What the driver says in the log.

use crate::support::*;
use primacy::engine::{Event, EventKind, Severity};
use primacy::instance::{Durability, EventFilter, Instance, Subscription};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

fn log(instance: &Instance) -> Subscription {
    let filter = EventFilter { kinds: 1 << EventKind::Log as u32, ..EventFilter::default() };
    instance.subscribe(filter, 1000).expect("events")
}

fn said(events: &Subscription, part: &str) -> Event {
    let mut others = Vec::new();
    wait_for(part, SOON, || {
        let event = events.next()?;
        let found = event.message.contains(part);
        others.push(event.message.clone());
        found.then_some(event)
    })
}

#[test]
fn a_name_that_does_not_resolve_is_told_once() {
    let _alone = alone();
    // RFC 6761: this name never resolves.
    let instance = instance(&["nowhere.invalid:3306".into()], "", "interval = \"50ms\"");
    let events = log(&instance);
    instance.start().expect("start");
    let event = said(&events, "nowhere.invalid");
    assert_eq!((event.severity, event.pool.as_str()), (Severity::Warning, "p"));
    assert_eq!(event.node, "nowhere.invalid:3306");
    let text = wait_for("two failed answers", SOON, || {
        let text = instance.metrics_text().expect("figures");
        let failed = "primacy_resolver_answers_total{outcome=\"failed\"} ";
        let count: u64 = text.lines().find_map(|l| l.strip_prefix(failed))?.parse().ok()?;
        (count >= 2).then_some(text)
    });
    assert!(text.contains("primacy_resolver_answers_total{outcome=\"ok\"} 0"), "{text}");
    assert_eq!(std::iter::from_fn(|| events.next()).count(), 0, "it was said already");
}

#[test]
fn numbers_of_events_count_up_by_one_wherever_they_come_from() {
    let _alone = alone();
    let nodes = [refusing().to_string(), "nowhere.invalid:3306".into()];
    let instance = instance(&nodes, "", "interval = \"20ms\"");
    let all = instance.subscribe(EventFilter::default(), 10_000).expect("events");
    instance.start().expect("start");
    let mut seen: Vec<Event> = Vec::new();
    wait_for("a word for the log", SOON, || {
        seen.extend(std::iter::from_fn(|| all.next()));
        seen.iter().any(|e| e.kind == EventKind::Log).then_some(())
    });
    // What comes from the engine afterwards goes on from there.
    instance.remove_node("p", &nodes[1], Durability::NoWait).expect("it may go");
    seen.extend(std::iter::from_fn(|| all.next()));
    assert_ne!(seen.last().map(|e| e.kind), Some(EventKind::Log));
    let numbers: Vec<u64> = seen.iter().map(|e| e.sequence).collect();
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "{numbers:?}");
}

#[test]
fn queues_have_the_room_that_is_promised() {
    let instance = instance(&["10.9.8.7:3306".into()], "", "probe = \"external\"");
    assert!(instance.subscribe(EventFilter::default(), 1 << 20).is_ok());
    assert!(instance.subscribe(EventFilter::default(), (1 << 20) + 1).is_err());
}
