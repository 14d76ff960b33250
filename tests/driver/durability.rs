//! What outlives the process, and what a command promises.

use crate::support::*;
use primacy::ErrorCode;
use primacy::engine::EventKind;
use primacy::instance::{Durability, EventFilter, HostObservation, Instance};
use primacy::pool::State;
use primacy::probe::{Cause, Facts};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const NODES: [&str; 2] = ["10.9.8.7:3306", "10.9.8.8:3306"];

fn external(cache: &Path) -> Instance {
    let top = format!("cache_file = \"{}\"", cache.display());
    instance(&NODES.map(String::from), &top, "probe = \"external\"\npolicy = \"mpp\"")
}

fn cycle(instance: &Instance, first: Cause, second: Cause) {
    for (node, cause) in NODES.iter().zip([first, second]) {
        let observation =
            HostObservation { cause, errno: 0, message: String::new(), facts: Facts::default() };
        instance.observe("p", node, observation).expect("observe");
    }
    instance.cycle("p", None).expect("cycle");
}

#[test]
fn state_outlives_the_instance_and_the_lock_keeps_others_out() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let first = external(&cache);
    assert!(!folder.path().join("cache.lock").exists(), "nothing is locked before the first use");
    for _ in 0..5 {
        cycle(&first, Cause::Refused, Cause::Ok);
    }
    assert_eq!(node(&first, 0).state, State::FailedOffline);
    assert_eq!(node(&first, 1).state, State::Active);
    let second = external(&cache);
    assert_eq!(second.snapshot().expect_err("locked").code(), ErrorCode::Locked);
    let answer = first.recover_node("p", NODES[0], Durability::Wait).expect("recover");
    assert!(answer.sequence > 0 && cache.exists());
    let epoch = pool(&first).epoch;
    drop(first);
    assert_eq!(node(&second, 0).state, State::Unknown, "recovered, and read from the file");
    assert_eq!(node(&second, 1).state, State::Active);
    assert_eq!(pool(&second).epoch, epoch);
}

#[test]
fn a_cache_that_cannot_be_written_is_an_error_and_an_alarm_but_the_command_holds() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let instance = external(&folder.path().join("cache"));
    for _ in 0..5 {
        cycle(&instance, Cause::Refused, Cause::Ok);
    }
    let events = instance.subscribe(EventFilter::default(), 100).expect("events");
    // Root may write anywhere, so the way is blocked by a folder where the temporary file belongs.
    let blocker = folder.path().join("cache.tmp");
    std::fs::create_dir(&blocker).expect("a folder");
    std::fs::write(blocker.join("full"), b"").expect("a file");
    for start in [false, true] {
        if start {
            instance.start().expect("start");
            for _ in 0..5 {
                cycle(&instance, Cause::Refused, Cause::Ok);
            }
        }
        let error = instance.recover_node("p", NODES[0], Durability::Wait).expect_err("not on disk");
        assert_eq!(error.code(), ErrorCode::Io, "{error}");
        assert_eq!(node(&instance, 0).state, State::Unknown, "in force all the same");
    }
    let alarm = std::iter::from_fn(|| events.next()).find(|e| e.kind == EventKind::Store);
    assert!(alarm.is_some(), "an event of the store");
    std::fs::remove_dir_all(&blocker).expect("removal");
    for _ in 0..5 {
        cycle(&instance, Cause::Refused, Cause::Ok);
    }
    instance.recover_node("p", NODES[0], Durability::Wait).expect("on disk again");
}

#[test]
fn a_started_instance_writes_in_the_background_and_at_the_stop() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let first = external(&cache);
    first.start().expect("start");
    for _ in 0..5 {
        cycle(&first, Cause::Refused, Cause::Ok);
    }
    first.recover_node("p", NODES[0], Durability::Wait).expect("recover");
    cycle(&first, Cause::Refused, Cause::Refused);
    first.recover_node("p", NODES[0], Durability::NoWait).map(drop).unwrap_or_default();
    let shown = pool(&first);
    first.stop().expect("stop");
    let second = external(&cache);
    let read = pool(&second);
    assert_eq!(shown.epoch, read.epoch);
    for (a, b) in shown.nodes.iter().zip(&read.nodes) {
        assert_eq!((a.state, a.status, a.count), (b.state, b.status, b.count), "{}", a.name);
    }
}

#[test]
fn a_waiting_instance_gets_the_lock_and_a_stop_ends_the_wait() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    // Another process holds the lock: within one process it is an error at once.
    let lock = folder.path().join("cache.lock");
    let script = "import fcntl,sys,time; f=open(sys.argv[1],'w'); fcntl.lockf(f,fcntl.LOCK_EX); \
                  print('held',flush=True); sys.stdin.read()";
    let mut holder = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(&lock)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3");
    let mut line = String::new();
    let out = holder.stdout.as_mut().expect("its output");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("its word");
    let top = format!("cache_file = \"{}\"\non_locked = \"wait\"", cache.display());
    let make = || instance(&NODES.map(String::from), &top, "probe = \"external\"\npolicy = \"mpp\"");
    let stopped = make();
    let clone = stopped.clone();
    let waiting = std::thread::spawn(move || clone.snapshot().map(|_| ()));
    std::thread::sleep(Duration::from_millis(150));
    assert!(!waiting.is_finished());
    stopped.stop().expect("stop");
    assert_eq!(waiting.join().expect("the thread").expect_err("stopped").code(), ErrorCode::Stopped);
    let gets = make();
    let clone = gets.clone();
    let waiting = std::thread::spawn(move || clone.snapshot().map(|_| ()));
    std::thread::sleep(Duration::from_millis(150));
    assert!(!waiting.is_finished());
    drop(holder.stdin.take());
    holder.wait().expect("its end");
    waiting.join().expect("the thread").expect("the lock");
}

#[test]
fn secrets_are_checked_at_creation() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    let top = format!("[probe]\nuser = \"x\"\npassword_file = \"{}\"", file.display());
    let make = || Instance::new(config(&["10.9.8.7:3306".into()], &top, ""));
    let missing = make().expect_err("missing");
    assert_eq!(missing.code(), ErrorCode::Secret);
    assert!(missing.message().contains("password"), "{missing}");
    std::fs::write(&file, "s3cret\n").expect("a file");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let open = make().expect_err("open to all");
    assert_eq!(open.code(), ErrorCode::Secret);
    assert!(open.message().contains("chmod") && !open.message().contains("s3cret"), "{open}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("a mode");
    let instance = make().expect("fine");
    assert!(!format!("{instance:?}").contains("s3cret"), "no secret in debug output");
    let nowhere = "cache_file = \"/nowhere/at/all/cache\"";
    let error = Instance::new(config(&["10.9.8.7:3306".into()], nowhere, "")).expect_err("no folder");
    assert_eq!(error.code(), ErrorCode::Io);
    assert!(error.message().contains("/nowhere/at/all"), "{error}");
}
