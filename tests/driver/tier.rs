//! Floating addresses in a network namespace of the test's own: what becomes of them when something in the library breaks, and at the end.

use crate::support::*;
use primacy::config::ConfigBuilder;
use primacy::engine::{EventKind, Severity};
use primacy::instance::{EventFilter, Instance, PanicPlace};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

fn ip(words: &str) -> String {
    let out = Command::new("ip").args(words.split(' ')).output().expect("ip");
    assert!(out.status.success(), "ip {words}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Runs the body in a thread with a network of its own, on an interface `d0`. Threads that it starts are there too.
fn alone_on_a_network(body: impl FnOnce() + Send + 'static) {
    let run = move || {
        // SAFETY: no pointer is passed; it changes this thread alone.
        assert_eq!(
            unsafe { libc::unshare(libc::CLONE_NEWNET) },
            0,
            "unshare: {}",
            std::io::Error::last_os_error()
        );
        ip("link set lo up");
        ip("link add d0 type veth peer name d1");
        ip("link set d1 up");
        ip("link set d0 up");
        ip("addr add 10.77.0.1/16 dev d0");
        body();
    };
    if let Err(panic) = std::thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

fn owner(pools: &str) -> Instance {
    let text = format!(
        "control_socket = \"none\"\n{pools}\n[vip.v]\naddresses = [\"10.77.0.100/16\", \"fe80::64/64\"]\ninterface = \"d0\"\nvrid = 9\nadvert_interval = \"200ms\""
    );
    let mut builder = ConfigBuilder::new();
    builder.load_text(&text, "t.toml").expect("valid");
    let instance = Instance::new(builder.build().expect("whole")).expect("an instance");
    instance.start().expect("started");
    wait_for("the address comes", PATIENCE, || is_here().then_some(()));
    instance
}

fn is_here() -> bool {
    let shown = ip("-o addr show dev d0");
    shown.contains("10.77.0.100/") && shown.contains("fe80::64/")
}

fn is_gone() -> bool {
    let shown = ip("-o addr show dev d0");
    !shown.contains("10.77.0.100/") && !shown.contains("fe80::64/")
}

#[test]
fn addresses_leave_with_the_instance() {
    alone_on_a_network(|| {
        let instance = owner("");
        let status = instance.vip_status().expect("a status");
        assert!(status.vips[0].owns && status.vips[0].stage == "held", "{status:?}");
        instance.stop().expect("stopped");
        assert!(is_gone(), "{}", ip("addr show dev d0"));
        assert_eq!(ip("route show table local type prohibit"), "", "nothing is left of the block");
        assert!(instance.vip_status().is_err());
    });
}

#[test]
fn a_panic_in_the_tier_takes_its_addresses_off() {
    alone_on_a_network(|| {
        let instance = owner("");
        let events = instance.subscribe(EventFilter::default(), 1000).expect("events");
        instance.plant_panic(PanicPlace::Tier).expect("planted");
        wait_for("the addresses leave", PATIENCE, || is_gone().then_some(()));
        let alarm = wait_for("an alarm", PATIENCE, || {
            events.next().filter(|e| e.kind == EventKind::Vip && e.severity == Severity::Alarm)
        });
        assert_eq!(alarm.rule, 798, "{}", alarm.message);
        assert!(alarm.message.contains("planted in the tier"), "{}", alarm.message);
        assert!(instance.vip_status().is_err(), "it has ended");
        instance.stop().expect("stopped");
    });
}

#[test]
fn a_panic_in_the_engine_takes_its_addresses_off() {
    alone_on_a_network(|| {
        let node = refusing();
        let instance = owner(&format!("[pool.p]\nnodes = [ {{ address = \"{node}\" }} ]"));
        instance.plant_panic(PanicPlace::Engine).expect("planted");
        wait_for("the addresses leave", PATIENCE, || is_gone().then_some(()));
        let status = instance.vip_status();
        assert!(
            status.is_err() || status.is_ok_and(|s| s.vips[0].score_rule == 702),
            "by the row of a failed engine"
        );
        instance.stop().expect("stopped");
    });
}

#[test]
fn a_host_that_reports_its_service_moves_the_address() {
    alone_on_a_network(|| {
        let instance = owner("");
        assert!(instance.vip_report("nobody", true, "").is_err());
        instance.vip_report("v", false, "the proxy hangs").expect("reported");
        wait_for("the address leaves", PATIENCE, || is_gone().then_some(()));
        // Nobody else is there, so the last host holds it: bad, but alone.
        wait_for("the address is back", PATIENCE, || is_here().then_some(()));
        let status = instance.vip_status().expect("a status");
        assert_eq!((status.vips[0].score, status.vips[0].local), (1, Some(false)), "{status:?}");
        instance.vip_report("v", true, "").expect("reported");
        instance.vip_clear("v").expect("cleared");
        wait_for("the score is back", PATIENCE, || {
            (instance.vip_status().expect("a status").vips[0].score == 100).then_some(())
        });
        instance.vip_standby(&status.tier.own, true).expect("out");
        wait_for("standby is obeyed", PATIENCE, || is_gone().then_some(()));
        instance.stop().expect("stopped");
    });
}
