//! What the host's process must not notice: descriptors, signals, threads.

use crate::support::*;
use primacy::instance::EventFilter;
use std::time::Duration;

const FAST: &str = "interval = \"20ms\"\ntimeout = \"50ms\"\nprobe_timeout = \"200ms\"";

#[test]
fn no_descriptor_is_left() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let servers = [Behaviour::Silent, Behaviour::Reset, Behaviour::Close, Behaviour::Http].map(Server::start);
    let mut nodes: Vec<String> = servers.iter().map(|s| s.address.to_string()).collect();
    nodes.push("no-such-host.invalid:3306".into());
    nodes.push(format!("localhost:{}", refusing().port()));
    let top = format!("cache_file = \"{}\"", folder.path().join("cache").display());
    // The resolver and the servers' threads open what they open once.
    drop(instance(&nodes, "", FAST));
    let before = descriptors();
    let ours = |list: Vec<(i32, String)>| -> Vec<(i32, String)> {
        // The in-test servers keep what they accepted; everything else must be as before.
        list.into_iter().filter(|d| !before.contains(d) && !d.1.starts_with("socket")).collect()
    };
    for round in 0..6 {
        let instance = instance(&nodes, &top, FAST);
        assert_eq!(ours(descriptors()).len(), 1, "the cache's folder alone: {:?}", ours(descriptors()));
        let events = instance.subscribe(EventFilter::default(), 10).expect("events");
        match round % 3 {
            0 => {
                instance.start().expect("start");
                std::thread::sleep(Duration::from_millis(300));
            }
            1 => {
                let fd = instance.fd().expect("fd");
                for _ in 0..50 {
                    if readable(fd, Duration::from_millis(20)) {
                        instance.dispatch().expect("dispatch");
                    }
                }
            }
            _ => {
                let _ = instance.run_cycle("p", Duration::from_millis(500));
            }
        }
        assert!(descriptors().len() > before.len());
        for (fd, what) in descriptors().into_iter().filter(|d| !before.contains(d)) {
            // SAFETY: no pointer is passed.
            let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
            assert!(flags < 0 || flags & libc::FD_CLOEXEC != 0, "{what} would outlive exec");
        }
        drop(instance);
        drop(events);
        wait_for("the helper's end", Duration::from_secs(1), || ours(descriptors()).is_empty().then_some(()));
    }
    // Sockets last: the servers' side of them goes with the servers.
    drop(servers);
    let sockets = |list: &[(i32, String)]| list.iter().filter(|d| d.1.starts_with("socket")).count();
    wait_for("the sockets' end", Duration::from_secs(1), || {
        (sockets(&descriptors()) <= sockets(&before)).then_some(())
    });
}

#[test]
fn threads_take_no_signals_but_their_own_faults() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let top = format!("cache_file = \"{}\"", folder.path().join("cache").display());
    let instance = instance(&[refusing().to_string()], &top, FAST);
    let mask = |status: &str| {
        let line = status.lines().find(|l| l.starts_with("SigBlk:")).expect("a mask");
        u64::from_str_radix(line.trim_start_matches("SigBlk:").trim(), 16).expect("a number")
    };
    let own = || mask(&std::fs::read_to_string("/proc/thread-self/status").expect("/proc"));
    let before = own();
    instance.start().expect("start");
    assert_eq!(own(), before, "the caller's mask is as it was");
    let threads = wait_for("both threads", Duration::from_secs(2), || {
        let list: Vec<_> = threads().into_iter().filter(|(n, _)| n.starts_with("primacy")).collect();
        // A thread has its creator's name, and no signals at all, until it runs its first line.
        let named = |name: &str| list.iter().filter(|(n, _)| n == name).count();
        (named("primacy") == 1 && named("primacy-helper") == 1).then_some(list)
    });
    let faults =
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGSYS];
    for (name, status) in threads {
        let blocked = mask(&status);
        for signal in 1..=31 {
            let is_blocked = blocked & (1 << (signal - 1)) != 0;
            let may_be = faults.contains(&signal) || signal == libc::SIGKILL || signal == libc::SIGSTOP;
            assert_eq!(is_blocked, !may_be, "signal {signal} in thread {name}");
        }
    }
}
