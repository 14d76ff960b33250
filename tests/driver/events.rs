//! Event queues.

use crate::support::*;
use primacy::ErrorCode;
use primacy::engine::{EventKind, Severity};
use primacy::instance::{EventFilter, HostObservation, Instance};
use primacy::probe::{Cause, Facts};
use std::time::Duration;

fn observe(instance: &Instance, cause: Cause) {
    let name = node(instance, 0).name;
    let observation =
        HostObservation { cause, errno: 0, message: cause.name().into(), facts: Facts::default() };
    instance.observe("p", &name, observation).expect("observe");
    instance.cycle("p", None).expect("cycle");
}

fn external() -> Instance {
    instance(&["10.9.8.7:3306".into()], "", "probe = \"external\"\npolicy = \"mpp\"")
}

#[test]
fn an_overflow_drops_the_oldest_and_says_how_many() {
    let instance = external();
    let all = instance.subscribe(EventFilter::default(), 10_000).expect("events");
    let few = instance.subscribe(EventFilter::default(), 3).expect("events");
    assert!(!readable(few.fd(), Duration::ZERO), "empty at first");
    for i in 0..12 {
        observe(&instance, if i % 2 == 0 { Cause::Refused } else { Cause::Ok });
    }
    let all: Vec<_> = std::iter::from_fn(|| all.next()).collect();
    assert!(all.len() > 6, "{}", all.len());
    assert!(all.windows(2).all(|w| w[1].sequence == w[0].sequence + 1), "numbers count up by one");
    assert!(readable(few.fd(), Duration::ZERO));
    let lost = few.next().expect("the notice");
    assert_eq!((lost.kind, lost.count), (EventKind::Lost, all.len() as u64 - 3));
    let rest: Vec<_> = std::iter::from_fn(|| few.next()).collect();
    assert_eq!(rest, all[all.len() - 3..]);
    assert!(!readable(few.fd(), Duration::ZERO), "empty again");
    observe(&instance, Cause::Refused);
    assert!(readable(few.fd(), Duration::ZERO));
}

#[test]
fn filters_by_kind_severity_and_pool() {
    let instance = external();
    let kind = EventKind::Status;
    let filter = EventFilter { kinds: 1 << kind as u32, ..EventFilter::default() };
    let status = instance.subscribe(filter, 100).expect("events");
    let alarms = EventFilter { severity: Severity::Alarm, ..EventFilter::default() };
    let alarms = instance.subscribe(alarms, 100).expect("events");
    let all = instance.subscribe(EventFilter::default(), 100).expect("events");
    let nowhere = EventFilter { pool: Some("q".into()), ..EventFilter::default() };
    assert_eq!(instance.subscribe(nowhere, 1).expect_err("no pool").code(), ErrorCode::NotFound);
    assert_eq!(instance.subscribe(EventFilter::default(), 0).expect_err("0").code(), ErrorCode::Invalid);
    for _ in 0..6 {
        observe(&instance, Cause::Refused);
    }
    let all: Vec<_> = std::iter::from_fn(|| all.next()).collect();
    let expected: Vec<_> = all.iter().filter(|e| e.kind == kind).cloned().collect();
    assert!(!expected.is_empty() && expected.len() < all.len());
    assert_eq!(std::iter::from_fn(|| status.next()).collect::<Vec<_>>(), expected);
    let expected: Vec<_> = all.iter().filter(|e| e.severity == Severity::Alarm).cloned().collect();
    assert_eq!(std::iter::from_fn(|| alarms.next()).collect::<Vec<_>>(), expected);
    // The queue outlives the instance.
    let last = instance.subscribe(EventFilter::default(), 100).expect("events");
    observe(&instance, Cause::Ok);
    drop(instance);
    assert!(last.next().is_some());
}
