//! A host that forks.

use crate::support::*;
use primacy::instance::{HostObservation, Instance};
use primacy::probe::{Cause, Facts};
use std::time::Duration;

/// Runs `child` in a forked child; its exit code.
fn in_child(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child calls `child` and ends without running anybody's destructors.
    match unsafe { libc::fork() } {
        0 => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(99);
            // SAFETY: ends the process.
            unsafe { libc::_exit(code) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: `status` is live; the child is ours.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            assert!(libc::WIFEXITED(status), "the child died by a signal: {status}");
            libc::WEXITSTATUS(status)
        }
    }
}

fn probes_go_on(instance: &Instance) {
    let before = node(instance, 0).observed_ms;
    wait_for("a newer observation", Duration::from_secs(2), || {
        (node(instance, 0).observed_ms > before + 200).then_some(())
    });
}

#[test]
fn a_child_gives_up_a_running_instance_and_the_parent_does_not_notice() {
    let _alone = alone();
    let server = Server::start(Behaviour::Silent);
    let fast = "interval = \"50ms\"\ntimeout = \"100ms\"\nprobe_timeout = \"400ms\"";
    for host_loop in [false, true] {
        let before = descriptors();
        let instance = instance(&[server.address.to_string()], "", fast);
        let fd = if host_loop {
            Some(instance.fd().expect("fd"))
        } else {
            instance.start().expect("start");
            probes_go_on(&instance);
            None
        };
        for _ in 0..20 {
            let child = instance.clone();
            let code = in_child(|| {
                // All references of the child go, as all handles of a host would.
                // SAFETY: the copy stands for the parent's reference, which the child never drops.
                let original = unsafe { std::ptr::read(&instance) };
                child.abandon();
                original.abandon();
                let left: Vec<_> = descriptors().into_iter().filter(|d| !before.contains(d)).collect();
                let ours = |what: &str| what.contains("event") || what.contains("timerfd");
                i32::from(left.iter().any(|(_, what)| ours(what)))
            });
            assert_eq!(code, 0, "descriptors of the instance are left in the child");
        }
        match fd {
            None => probes_go_on(&instance),
            Some(fd) => {
                wait_for("the host's loop goes on", Duration::from_secs(2), || {
                    if readable(fd, Duration::from_millis(300)) {
                        instance.dispatch().expect("dispatch");
                    }
                    node(&instance, 0).cause
                });
            }
        }
    }
}

#[test]
fn an_instance_that_is_not_started_survives_a_fork() {
    let _alone = alone();
    let refuses = refusing().to_string();
    let instance = instance(&[refuses], "", "interval = \"50ms\"");
    instance.snapshot().expect("used in the parent");
    let code = in_child(|| {
        instance.start().expect("start in the worker");
        let cause = wait_for("an observation", Duration::from_secs(2), || node(&instance, 0).cause);
        instance.stop().expect("stop");
        i32::from(cause != Cause::Refused)
    });
    assert_eq!(code, 0);
}

#[test]
fn a_cache_opened_in_the_parent_is_locked_anew_in_the_child() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let top = format!("cache_file = \"{}\"", folder.path().join("cache").display());
    let node_name = "10.9.8.7:3306";
    let make = || instance(&[node_name.into()], &top, "probe = \"external\"\npolicy = \"mpp\"");
    let observe = |instance: &Instance| {
        let (cause, facts) = (Cause::Ok, Facts::default());
        let observation = HostObservation { cause, errno: 0, message: String::new(), facts };
        instance.observe("p", node_name, observation)
    };
    let instance = make();
    observe(&instance).expect("in the parent");
    let code = in_child(|| match observe(&instance) {
        Err(e) if e.code() == primacy::ErrorCode::Locked => 0,
        other => {
            eprintln!("{other:?}");
            1
        }
    });
    assert_eq!(code, 0, "the parent holds the cache");
    observe(&instance).expect("the parent's lock outlived the child");
    let code =
        in_child(|| i32::from(make().snapshot().map_err(|e| e.code()) != Err(primacy::ErrorCode::Locked)));
    assert_eq!(code, 0, "and is still held");
}
