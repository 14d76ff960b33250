//! A host that makes its instance, locks itself in by chroot, and starts it there: cache, lock and control socket are
//! where they were named, outside.

use crate::support::*;
use primacy::control::{Ask, Change, Seen};
use primacy::instance::control::{Client, new_id};
use primacy::instance::{HostObservation, Instance};
use primacy::pool::State;
use primacy::probe::{Cause, Facts};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const PLACE: &str = "PRIMACY_TEST_CHROOT_PLACE";
const HOST_LOOP: &str = "PRIMACY_TEST_CHROOT_LOOP";
const NODES: [&str; 2] = ["10.9.8.7:3306", "10.9.8.8:3306"];
const SECOND: Duration = Duration::from_secs(5);

fn make(place: &Path, socket: &str) -> Instance {
    let top = format!("cache_file = \"{}\"\n{socket}", place.join("state/cache").display());
    instance(&NODES.map(String::from), &top, "probe = \"external\"\npolicy = \"mpp\"")
}

fn socket_key(place: &Path, named: bool) -> String {
    let socket = place.join("run/control.sock");
    if named { format!("control_socket = \"{}\"", socket.display()) } else { String::new() }
}

#[test]
#[ignore = "runs in processes that another test makes"]
fn host_in_a_jail() {
    let place = std::path::PathBuf::from(std::env::var_os(PLACE).expect("started by another test"));
    let in_loop = std::env::var_os(HOST_LOOP).is_some();
    let instance = make(&place, &socket_key(&place, in_loop));
    // The first use comes after the chroot: nothing is locked yet.
    std::os::unix::fs::chroot(place.join("jail")).expect("chroot");
    std::env::set_current_dir("/").expect("the jail");
    assert!(!place.exists() && !Path::new("/proc").exists());
    let work = |instance: &Instance| {
        let seen =
            |cause| HostObservation { cause, errno: 0, message: String::new(), facts: Facts::default() };
        for (node, cause) in NODES.iter().zip([Cause::Refused, Cause::Ok]) {
            instance.observe("p", node, seen(cause)).expect("observe");
        }
        instance.cycle("p", None).expect("cycle");
    };
    let fd = if in_loop {
        Some(instance.fd().expect("fd"))
    } else {
        instance.start().map(|()| None).expect("start")
    };
    (0..5).for_each(|_| work(&instance));
    assert_eq!(
        std::env::current_dir().expect("where we are"),
        Path::new("/"),
        "the host's folder is its own"
    );
    println!("@ready");
    let mut word = String::new();
    let done = std::thread::spawn(move || std::io::stdin().read_line(&mut word));
    while !done.is_finished() {
        match fd {
            Some(fd) => {
                if readable(fd, Duration::from_millis(20)) {
                    instance.dispatch().expect("dispatch");
                }
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    instance.stop().expect("stop");
}

#[test]
fn an_instance_starts_in_a_jail() {
    let _alone = alone();
    for in_loop in [false, true] {
        let place = tempfile::tempdir().expect("a folder");
        for folder in ["state", "run", "jail"] {
            std::fs::create_dir(place.path().join(folder)).expect("a folder");
        }
        // SAFETY: no preconditions, cannot fail.
        let root = unsafe { libc::geteuid() } == 0;
        let binary = std::env::current_exe().expect("this program");
        let mut command = if root { Command::new(&binary) } else { Command::new("unshare") };
        if !root {
            command.arg("-r").arg(&binary);
        }
        command.args(["--exact", "chroot::host_in_a_jail", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(PLACE, place.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        if in_loop {
            command.env(HOST_LOOP, "1");
        }
        let mut host = command.spawn().expect("the host");
        let mut lines = BufReader::new(host.stdout.take().expect("its output")).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("@ready"));
        assert!(ready, "the host did not start: {:?}", host.wait());
        let socket = place.path().join(if in_loop { "run/control.sock" } else { "state/cache.sock" });
        let mut client = Client::connect(&socket, SECOND).expect("no trouble").expect("it listens");
        let mut ask = |what: Ask| {
            client.ask(new_id().expect("an id"), what, SECOND).expect("an answer").expect("no refusal")
        };
        let seen = Seen::decode(&ask(Ask::Snapshot { pool: None }).body).expect("a snapshot");
        assert_eq!(seen.snapshot.pools[0].nodes[0].state, State::FailedOffline);
        // Answered once it is on disk.
        let change = Change::Recover { pool: "p".into(), node: NODES[0].into() };
        ask(Ask::Change { change, wait: true });
        drop(host.stdin.take());
        assert!(host.wait().expect("its end").success());
        assert!(!socket.exists(), "the socket went with its instance");
        let cache = std::fs::read_to_string(place.path().join("state/cache")).expect("the cache");
        assert!(cache.contains("state = UNKNOWN") && cache.contains("state = ACTIVE"), "{cache}");
        assert!(place.path().join("state/cache.lock").exists());
        assert_eq!(std::fs::read_dir(place.path().join("jail")).expect("the jail").count(), 0);
    }
}
