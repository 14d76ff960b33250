//! Planted panics: what becomes of the rest.

use crate::support::*;
use primacy::ErrorCode;
use primacy::engine::{EventKind, Severity};
use primacy::instance::{Durability, EventFilter, PanicPlace};
use primacy::probe::Cause;
use std::time::Duration;

const FAST: &str = "interval = \"30ms\"\ntimeout = \"100ms\"\nprobe_timeout = \"400ms\"";

#[test]
fn a_panic_in_a_session_ends_that_probe_alone() {
    let _alone = alone();
    let nodes = [refusing().to_string(), refusing().to_string()];
    let instance = instance(&nodes, "", "policy = \"mpp\"\ninterval = \"100ms\"");
    let fd = instance.fd().expect("fd");
    instance.plant_panic(PanicPlace::Session("p".into(), nodes[1].clone())).expect("planted");
    let broken = wait_for("the broken probe", Duration::from_secs(2), || {
        if readable(fd, Duration::from_millis(200)) {
            instance.dispatch().expect("dispatch");
        }
        Some(node(&instance, 1)).filter(|n| n.cause == Some(Cause::ProtocolError))
    });
    assert!(broken.message.contains("internal"), "{}", broken.message);
    assert_eq!(node(&instance, 0).cause, Some(Cause::Refused), "its neighbour is untouched");
    wait_for("the next probe is sound again", Duration::from_secs(2), || {
        if readable(fd, Duration::from_millis(200)) {
            instance.dispatch().expect("dispatch");
        }
        (node(&instance, 1).cause == Some(Cause::Refused)).then_some(())
    });
}

#[test]
fn a_panic_in_the_engine_poisons_the_instance() {
    let _alone = alone();
    for way in ["thread", "host", "command"] {
        let before = descriptors();
        let silent = Server::start(Behaviour::Silent);
        let nodes = [silent.address.to_string(), refusing().to_string()];
        let instance = instance(&nodes, "", FAST);
        let events = instance.subscribe(EventFilter::default(), 1000).expect("events");
        match way {
            "thread" => {
                instance.start().expect("start");
                wait_for("an observation", Duration::from_secs(2), || node(&instance, 1).cause);
                instance.plant_panic(PanicPlace::Engine).expect("planted");
            }
            "host" => {
                let fd = instance.fd().expect("fd");
                wait_for("an observation", Duration::from_secs(2), || {
                    let _ = readable(fd, Duration::from_millis(100)) && instance.dispatch().is_ok();
                    node(&instance, 1).cause
                });
                instance.plant_panic(PanicPlace::Engine).expect("planted");
                wait_for("the panic", Duration::from_secs(2), || {
                    readable(fd, Duration::from_millis(100)).then(|| instance.dispatch().err()).flatten()
                });
                assert!(!readable(fd, Duration::from_millis(300)), "nothing is due any more");
                assert_eq!(instance.dispatch().expect_err("dispatch").code(), ErrorCode::Panic);
            }
            _ => {
                instance.snapshot().expect("a snapshot");
                instance.plant_panic(PanicPlace::Engine).expect("planted");
                let error = instance.recover_pool("p", Durability::Wait).expect_err("the panic");
                assert_eq!(error.code(), ErrorCode::Panic, "{error}");
            }
        }
        let alarm = wait_for("the alarm", Duration::from_secs(2), || {
            std::iter::from_fn(|| events.next())
                .find(|e| e.severity == Severity::Alarm && e.kind == EventKind::Log)
        });
        assert!(alarm.message.contains("planted in the engine"), "{}", alarm.message);
        let code = |e: primacy::Error| e.code();
        assert_eq!(instance.start().map_err(code), Err(ErrorCode::Panic));
        assert_eq!(
            instance.recover_pool("p", Durability::NoWait).map_err(code).err(),
            Some(ErrorCode::Panic)
        );
        assert_eq!(instance.explain("p").map_err(code).err(), Some(ErrorCode::Panic));
        assert_eq!(pool(&instance).nodes.len(), 2, "the last good copy");
        if way != "command" {
            assert_eq!(node(&instance, 1).cause, Some(Cause::Refused));
        }
        instance.stop().expect("stop");
        assert_eq!(pool(&instance).nodes.len(), 2, "after the stop, too");
        drop((instance, events, silent));
        assert_eq!(descriptors().len(), before.len());
    }
}
