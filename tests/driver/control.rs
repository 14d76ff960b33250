//! The control socket of a running instance, over real connections: who may come, what they are answered, and what
//! becomes of those who misbehave.

use crate::support::*;
use primacy::ErrorCode;
use primacy::config::Config;
use primacy::control::{Answer, Ask, Change, FrameReader, LARGEST_ANSWER, Seen, frame};
use primacy::engine::{Event, EventKind, Severity};
use primacy::instance::control::{Client, NoClient, new_id};
use primacy::instance::{Durability, EventFilter, HostObservation, Instance};
use primacy::pool::State;
use primacy::probe::{Cause, Facts};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
pub const LONG: Duration = Duration::from_secs(8);
const NODE: &str = "10.9.8.7:3306";
pub const OTHER: &str = "10.9.8.8:3306";

/// A folder with a cache of an externally observed pool of two nodes.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place { folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("cache.sock")
    }

    fn config(&self, more: &str) -> Config {
        let top = format!("cache_file = {:?}\n{more}", self.path("cache"));
        config(&[NODE.into(), OTHER.into()], &top, "probe = \"external\"\npolicy = \"mpp\"")
    }

    pub fn instance(&self, more: &str) -> Instance {
        Instance::new(self.config(more)).expect("an instance")
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket(), SECOND).expect("no trouble").expect("somebody listens")
    }

    fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).expect("a connection");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        stream
    }
}

/// Who turns the instance.
pub struct Running {
    pub instance: Instance,
    stop: std::sync::Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    pub fn start(instance: Instance, host_loop: bool) -> Running {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let thread = if host_loop {
            let fd = instance.fd().expect("fd");
            let (instance, stop) = (instance.clone(), std::sync::Arc::clone(&stop));
            Some(std::thread::spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    if readable(fd, Duration::from_millis(50)) {
                        let begin = Instant::now();
                        instance.dispatch().expect("dispatch");
                        assert!(begin.elapsed() < SECOND, "dispatch took {:?}", begin.elapsed());
                    }
                }
            }))
        } else {
            instance.start().expect("start");
            None
        };
        Running { instance, stop, thread }
    }

    /// The first node fails: three bad cycles and one more.
    pub fn fail_first(&self) {
        for _ in 0..5 {
            for (node, cause) in [(NODE, Cause::Refused), (OTHER, Cause::Ok)] {
                let observation =
                    HostObservation { cause, errno: 0, message: String::new(), facts: Facts::default() };
                self.instance.observe("p", node, observation).expect("observe");
            }
            self.instance.cycle("p", None).expect("cycle");
        }
        assert_eq!(node(&self.instance, 0).state, State::FailedOffline);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the host's loop");
            }
        }
        self.instance.stop().expect("stop");
    }
}

pub fn recover() -> Ask {
    let change = Change::Recover { pool: "p".into(), node: NODE.into() };
    Ask::Change { change, wait: true }
}

/// What is said on a connection until its end.
fn answers(stream: &mut UnixStream) -> Vec<Answer> {
    let mut bytes = Vec::new();
    // A connection that was closed with bytes unread ends with an error after its last bytes.
    let _ = stream.read_to_end(&mut bytes);
    let mut reader = FrameReader::new(LARGEST_ANSWER);
    let mut out = Vec::new();
    let mut next = reader.take(&bytes).expect("frames");
    while let Some(document) = next {
        out.push(Answer::decode(&document).expect("an answer"));
        next = reader.take(&[]).expect("frames");
    }
    out
}

#[test]
fn both_loops_show_and_recover_and_store_before_they_answer() {
    let _alone = alone();
    for host_loop in [false, true] {
        let place = Place::new();
        let running = Running::start(place.instance(""), host_loop);
        running.fail_first();
        let mut client = place.client();
        assert_eq!(client.pid(), std::process::id());
        let done = client.ask(new_id().unwrap(), Ask::Snapshot { pool: None }, LONG).expect("an answer");
        let seen = Seen::decode(&done.expect("a snapshot").body).expect("a body");
        assert_eq!(seen.fingerprint, place.config("").fingerprint());
        let mut own = running.instance.snapshot().expect("the instance's own");
        own.wall_ms = seen.snapshot.wall_ms;
        assert_eq!(seen.snapshot, own);
        // On the same connection: who recovers finds it in the cache when the answer comes.
        let done = client.ask(new_id().unwrap(), recover(), LONG).expect("an answer").expect("recovered");
        assert!(done.message.contains(NODE) && done.rule > 0, "{done:?}");
        let text = std::fs::read_to_string(place.path("cache")).expect("the cache");
        let cache = primacy::store::decode(text.as_bytes(), "cache").expect("whole");
        assert_eq!(cache.pools[0].nodes[0].state, State::Unknown, "host_loop {host_loop}");
        assert_eq!(node(&running.instance, 0).state, State::Unknown);
        let asks = [Ask::Explain { pool: "p".into() }, Ask::Budget { pool: "p".into() }, Ask::Metrics];
        for ask in asks {
            let done = client.ask(new_id().unwrap(), ask, LONG).expect("an answer").expect("words");
            assert!(!done.message.is_empty());
        }
        let wrong = Change::ActivatePrimary { pool: "q".into() };
        let ask = Ask::Change { change: wrong, wait: false };
        let error = client.ask(new_id().unwrap(), ask, LONG).expect("an answer").expect_err("no pool q");
        assert_eq!(error.code(), ErrorCode::NotFound);
        // UNKNOWN, so `mpp` refuses: the rule's sentence crosses.
        let ask = Ask::Change { change: Change::ActivatePrimary { pool: "p".into() }, wait: true };
        let error = client.ask(new_id().unwrap(), ask, LONG).expect("an answer").expect_err("not STANDBY");
        assert_eq!(error.code(), ErrorCode::Refused);
        assert!(error.message().contains("rule"), "{error}");
        // What was asked is counted, and the text is the same by either way.
        let text = running.instance.metrics_text().expect("figures");
        for (command, outcome, count) in [
            ("snapshot", "ok", 1),
            ("recover", "ok", 1),
            ("metrics", "ok", 1),
            ("activate_primary", "error", 1),
            ("activate_primary", "refused", 1),
        ] {
            let pair = format!("command=\"{command}\",outcome=\"{outcome}\"");
            let line = format!("primacy_control_requests_total{{{pair}}} {count}");
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        let done = client.ask(new_id().unwrap(), Ask::Metrics, LONG).expect("an answer").expect("figures");
        let lines = |text: &str| text.lines().filter(|l| l.starts_with('#')).count();
        assert_eq!(lines(&done.message), lines(&text));
    }
}

#[test]
fn the_same_id_is_the_same_command() {
    let _alone = alone();
    let place = Place::new();
    let running = Running::start(place.instance(""), false);
    running.fail_first();
    let commands = running
        .instance
        .subscribe(EventFilter { kinds: 1 << EventKind::Command as u64, ..EventFilter::default() }, 100)
        .expect("events");
    let id = new_id().unwrap();
    let first = place.client().ask(id, recover(), LONG).expect("an answer").expect("recovered");
    running.fail_first();
    // Another connection, as after a broken one. Carried out again it would recover the node a second time.
    let second = place.client().ask(id, recover(), LONG).expect("an answer").expect("the first answer");
    assert_eq!(first, second);
    assert_eq!(node(&running.instance, 0).state, State::FailedOffline, "not recovered again");
    assert_eq!(std::iter::from_fn(|| commands.next()).count(), 1);
    // A refusal is remembered too, and an id is not for two commands.
    let refused = new_id().unwrap();
    let ask = Ask::Change { change: Change::ActivatePrimary { pool: "p".into() }, wait: true };
    let error = place.client().ask(refused, ask.clone(), LONG).expect("an answer").expect_err("refused");
    assert_eq!(place.client().ask(refused, ask.clone(), LONG).expect("an answer"), Err(error));
    let error = place.client().ask(id, ask, LONG).expect("an answer").expect_err("another's id");
    assert_eq!(error.code(), ErrorCode::Invalid);
    // A fresh one recovers.
    place.client().ask(new_id().unwrap(), recover(), LONG).expect("an answer").expect("recovered");
    assert_eq!(node(&running.instance, 0).state, State::Unknown);
}

#[test]
fn what_is_no_request_is_told_so_and_harms_nobody() {
    let _alone = alone();
    for host_loop in [false, true] {
        let place = Place::new();
        let running = Running::start(place.instance(""), host_loop);
        let mut good = place.client();
        let cases: Vec<(Vec<u8>, ErrorCode, &str)> = vec![
            (frame("garbage", 100).unwrap(), ErrorCode::Invalid, "no request"),
            (u32::MAX.to_be_bytes().to_vec(), ErrorCode::Unsupported, "65536"),
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), ErrorCode::Unsupported, "65536"),
            (frame("{\"version\":7}", 100).unwrap(), ErrorCode::Unsupported, "version 1"),
            (
                [frame("{}", 9).unwrap(), frame("{}", 9).unwrap()].concat(),
                ErrorCode::Invalid,
                "second request",
            ),
        ];
        for (bytes, code, part) in cases {
            let mut stream = place.raw();
            stream.write_all(&bytes).expect("it reads");
            let said = answers(&mut stream);
            let [Answer { id: None, outcome: Err(error) }] = said.as_slice() else { panic!("{said:?}") };
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains(part), "{error}");
        }
        // A connection that is cut anywhere, and random bytes, leave the others alone.
        for n in 0..60u8 {
            let mut stream = place.raw();
            let bytes: Vec<u8> = (0..n).map(|i| i.wrapping_mul(n).wrapping_add(n / 3)).collect();
            let _ = stream.write_all(&bytes);
        }
        // A known id comes back with the error, so the connection goes on.
        let mut stream = place.raw();
        let request = "{\"version\":1,\"id\":\"00112233445566778899aabbccddeeff\",\"command\":\"drop\"}";
        for _ in 0..2 {
            stream.write_all(&frame(request, 200).unwrap()).expect("it reads");
            let mut header = [0; 4];
            stream.read_exact(&mut header).expect("an answer");
            let mut body = vec![0; u32::from_be_bytes(header) as usize];
            stream.read_exact(&mut body).expect("an answer");
            let answer = Answer::decode(&body).expect("an answer");
            assert_eq!(answer.outcome.map_err(|e| e.code()), Err(ErrorCode::Unsupported));
        }
        good.ask(new_id().unwrap(), Ask::Snapshot { pool: None }, LONG).expect("an answer").expect("good");
        drop(running);
    }
}

#[test]
fn slow_clients_lose_their_place_and_nobody_waits_for_them() {
    let _alone = alone();
    let place = Place::new();
    let _running = Running::start(place.instance(""), false);
    // One byte a second does not keep a connection: the whole request has five.
    let mut drip = place.raw();
    drip.write_all(&100u32.to_be_bytes()).expect("it reads");
    let mut silent: Vec<UnixStream> = (0..31).map(|_| place.raw()).collect();
    let start = Instant::now();
    // All 32 places are taken by those who have not said anything: the next one is told so.
    let busy = wait_for("a refusal", LONG, || {
        let outcome = place.client().ask(new_id().unwrap(), Ask::Snapshot { pool: None }, SECOND);
        outcome.ok()?.err()
    });
    assert_eq!(busy.code(), ErrorCode::Busy);
    let end = wait_for("the end of the drip", LONG, || {
        if drip.write_all(&[0]).is_err() {
            return Some(start.elapsed());
        }
        std::thread::sleep(Duration::from_millis(300));
        None
    });
    assert!(end > Duration::from_secs(4) && end < Duration::from_secs(7), "{end:?}");
    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0; 1]).expect("closed"), 0);
    }
    // Those who have been answered and are idle make room for others.
    let mut idle: Vec<Client> = (0..40).map(|_| place.client()).collect();
    let mut lost = 0;
    for client in &mut idle {
        let answer = client.ask(new_id().unwrap(), Ask::Snapshot { pool: None }, LONG);
        lost += usize::from(!matches!(answer, Ok(Ok(_))));
    }
    assert!(lost <= 40 - 32, "{lost} of 40 were not answered");
    let mut later = place.client();
    later.ask(new_id().unwrap(), Ask::Snapshot { pool: None }, LONG).expect("room").expect("an answer");
}

#[test]
fn an_answer_that_nobody_takes_is_dropped() {
    let _alone = alone();
    let place = Place::new();
    // Long names make an answer that no socket buffer holds.
    let nodes: Vec<String> = (0..900).map(|n| format!("{}.{n}.example:3306", "x".repeat(60))).collect();
    let top = format!("cache_file = {:?}", place.path("cache"));
    let config = config(&nodes, &top, "probe = \"external\"\npolicy = \"mpp\"");
    let _running = Running::start(Instance::new(config).expect("an instance"), false);
    let mut lazy = place.raw();
    let request = primacy::control::Request { id: new_id().unwrap(), ask: Ask::Snapshot { pool: None } };
    let bytes = frame(&request.encode(), 1000).unwrap();
    lazy.write_all(&bytes).expect("it reads");
    let begin = Instant::now();
    let mut other = place.client();
    let done =
        other.ask(new_id().unwrap(), Ask::Snapshot { pool: None }, LONG).expect("an answer").expect("good");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!(Seen::decode(&done.body).expect("a body").snapshot.pools[0].nodes.len(), 900);
    std::thread::sleep(Duration::from_secs(6));
    let mut rest = Vec::new();
    let _ = lazy.read_to_end(&mut rest);
    assert!(rest.len() > 10_000 && rest.len() < done.body.to_string().len(), "{} bytes", rest.len());
}

#[test]
fn nobody_else_can_use_the_socket_at_any_moment() {
    let _alone = alone();
    // The loosest mask: what is left is what we ask for. Not even between bind and chmod may it be open.
    // SAFETY: the mask is put back below; the tests of this process run one at a time.
    let old = unsafe { libc::umask(0) };
    let place = Place::new();
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let (path, watch) = (place.socket(), std::sync::Arc::clone(&stop));
    let watcher = std::thread::spawn(move || {
        let mut modes = std::collections::BTreeSet::new();
        while !watch.load(Ordering::Acquire) {
            if let Ok(metadata) = path.symlink_metadata() {
                modes.insert(metadata.permissions().mode() & 0o777);
            }
        }
        modes
    });
    for _ in 0..50 {
        let instance = place.instance("");
        instance.start().expect("start");
        assert!(place.socket().symlink_metadata().expect("there").file_type().is_socket());
        instance.stop().expect("stop");
        assert!(!place.socket().exists(), "a stop takes it away");
    }
    stop.store(true, Ordering::Release);
    let modes = watcher.join().expect("the watcher");
    // SAFETY: as above.
    unsafe { libc::umask(old) };
    assert_eq!(modes.into_iter().collect::<Vec<_>>(), [0o600]);
}

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

fn is_root() -> bool {
    // SAFETY: no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// In a child of another user: 0 answered, 1 not for it, 2 refused by the instance, else 9.
fn as_user(uid: u32, socket: &Path) -> i32 {
    in_child(|| {
        // SAFETY: changes the identity of the child alone, which has one thread.
        if unsafe { libc::syscall(libc::SYS_setuid, uid) } != 0 {
            return 8;
        }
        match Client::connect(socket, SECOND) {
            Ok(Ok(mut client)) => match client.ask(new_id().unwrap(), Ask::Snapshot { pool: None }, LONG) {
                Ok(Ok(_)) => 0,
                Ok(Err(e)) if e.code() == ErrorCode::Refused && e.message().contains("control_users") => 2,
                other => {
                    eprintln!("{other:?}");
                    9
                }
            },
            Ok(Err(NoClient::Forbidden)) => 1,
            other => {
                eprintln!("{other:?}");
                9
            }
        }
    })
}

#[test]
fn the_kernel_says_who_calls() {
    let _alone = alone();
    if !is_root() {
        println!("only root can be another user; the rest of the file holds for oneself");
        return;
    }
    let place = Place::new();
    std::fs::set_permissions(place.folder.path(), std::fs::Permissions::from_mode(0o755)).expect("root");
    {
        let running = Running::start(place.instance(""), false);
        let events = running.instance.subscribe(EventFilter::default(), 100).expect("events");
        assert_eq!(as_user(0, &place.socket()), 0);
        assert_eq!(as_user(65534, &place.socket()), 1, "the mode keeps others out");
        // Should the mode be loosened by somebody, the kernel's word still counts.
        std::fs::set_permissions(place.socket(), std::fs::Permissions::from_mode(0o666)).expect("root");
        assert_eq!(as_user(65534, &place.socket()), 2);
        // Whoever was sent away is told of in the log, a few times, and counted always.
        for _ in 0..4 {
            assert_eq!(as_user(65534, &place.socket()), 2);
        }
        let told: Vec<_> =
            std::iter::from_fn(|| events.next()).filter(|e| e.kind == EventKind::Log).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        let good = |e: &Event| e.severity == Severity::Warning && e.message.contains("user 65534");
        assert!(told.iter().all(good), "{told:?}");
        let text = running.instance.metrics_text().expect("figures");
        for line in
            ["primacy_control_connections_refused_total{reason=\"user\"} 5", "primacy_log_withheld_total 2"]
        {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
    {
        let _running = Running::start(place.instance("control_users = [\"nobody\", 4711]"), true);
        for (uid, outcome) in [(0, 0), (65534, 0), (4711, 0), (4712, 2)] {
            assert_eq!(as_user(uid, &place.socket()), outcome, "user {uid}");
        }
    }
    let error = Instance::new(place.config("control_users = [\"no-such-user\"]")).expect_err("nobody's name");
    assert_eq!(error.code(), ErrorCode::Config);
    assert!(error.message().contains("no-such-user"), "{error}");
}

#[test]
fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
    let _alone = alone();
    let place = Place::new();
    // A dead one: bound once, and nobody listens any more.
    drop(UnixListener::bind(place.socket()).expect("bind"));
    assert!(place.socket().exists(), "the file stays");
    let dead = place.path("named.sock");
    drop(UnixListener::bind(&dead).expect("bind"));
    {
        let _running = Running::start(place.instance(""), false);
        place.client();
    }
    let named = format!("control_socket = {dead:?}");
    {
        let running = Running::start(place.instance(&named), false);
        Client::connect(&dead, SECOND).expect("no trouble").expect("it listens");
        assert!(!place.socket().exists());
        // Another cache that names the same socket: the first one keeps it, and keeps answering.
        let second = Place::new();
        for start in [Instance::start, |instance: &Instance| instance.fd().map(|_| ())] {
            let instance = second.instance(&named);
            let error = start(&instance).expect_err("it is taken");
            assert_eq!(error.code(), ErrorCode::Io);
            let who = format!("process {} listens there", std::process::id());
            assert!(error.message().contains(&who), "{error}");
            assert!(!instance.is_running());
            instance.snapshot().expect("the rest works");
            instance.stop().expect("stop");
        }
        let mut client = Client::connect(&dead, SECOND).expect("no trouble").expect("it listens");
        client.ask(new_id().unwrap(), Ask::Snapshot { pool: None }, LONG).expect("an answer").expect("good");
        drop(running);
        assert!(!dead.exists());
    }
    // What is no socket stays: an error where the path was named, a warning beside the cache.
    for (path, more) in [(&dead, named.as_str()), (&place.socket(), "")] {
        std::fs::write(path, "precious").expect("a file");
        let instance = place.instance(more);
        let events = instance.subscribe(EventFilter::default(), 100).expect("events");
        let started = instance.start();
        assert_eq!(started.as_ref().err().map(|e| e.code()), (!more.is_empty()).then_some(ErrorCode::Io));
        if more.is_empty() {
            let warning = std::iter::from_fn(|| events.next()).find(|e| e.severity == Severity::Warning);
            let warning = warning.expect("a warning").message;
            assert!(warning.contains("no socket") && warning.contains("cache.sock"), "{warning}");
            assert!(instance.is_running());
        }
        instance.stop().expect("stop");
        assert_eq!(std::fs::read_to_string(path).expect("still there"), "precious");
        std::fs::remove_file(path).expect("a file");
    }
    // A successor's socket is not taken away.
    let running = Running::start(place.instance(""), false);
    std::fs::remove_file(place.socket()).expect("somebody removes it");
    let other = UnixListener::bind(place.socket()).expect("and makes another one");
    drop(running);
    assert!(place.socket().exists());
    drop(other);
}

#[test]
fn a_path_beside_the_cache_that_is_too_long_is_a_warning() {
    let _alone = alone();
    let place = Place::new();
    let deep = place.path(&"d".repeat(100));
    std::fs::create_dir(&deep).expect("a folder");
    let top = format!("cache_file = {:?}", deep.join("cache"));
    let instance =
        Instance::new(config(&[NODE.into()], &top, "probe = \"external\"\npolicy = \"mpp\"")).expect("new");
    let events = instance.subscribe(EventFilter::default(), 100).expect("events");
    instance.start().expect("it starts");
    let warning =
        std::iter::from_fn(|| events.next()).find(|e| e.severity == Severity::Warning).expect("one");
    assert!(warning.message.contains("at most 107 bytes"), "{}", warning.message);
    instance.stop().expect("stop");
}

#[test]
fn none_means_none() {
    let _alone = alone();
    let place = Place::new();
    let _running = Running::start(place.instance("control_socket = \"none\""), false);
    assert!(!place.socket().exists());
    assert!(matches!(Client::connect(&place.socket(), SECOND), Ok(Err(NoClient::Nobody))));
}

#[test]
fn a_stop_ends_connections_and_leaves_nothing() {
    let _alone = alone();
    let place = Place::new();
    let before = descriptors();
    for host_loop in [false, true] {
        let running = Running::start(place.instance(""), host_loop);
        let mut stream = place.raw();
        let mut client = place.client();
        client.ask(new_id().unwrap(), Ask::Snapshot { pool: None }, LONG).expect("an answer").expect("good");
        drop(running);
        assert_eq!(stream.read(&mut [0; 1]).expect("closed"), 0);
        let error = client.ask(new_id().unwrap(), recover(), LONG).expect_err("closed");
        assert_eq!(error.code(), ErrorCode::Io);
        drop((stream, client));
        let left: Vec<_> = descriptors().into_iter().filter(|d| !before.contains(d)).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_forked_child_closes_and_the_parent_goes_on() {
    let _alone = alone();
    for host_loop in [false, true] {
        let place = Place::new();
        let before = descriptors();
        let running = Running::start(place.instance(""), host_loop);
        let mut client = place.client();
        client.ask(new_id().unwrap(), Ask::Snapshot { pool: None }, LONG).expect("an answer").expect("good");
        let code = in_child(|| {
            // Every reference of the child goes: the test's own, and the one that its thread would hold.
            // SAFETY: the copies stand for the parent's references, which the child never drops.
            let copies =
                (0..if host_loop { 2 } else { 1 }).map(|_| unsafe { std::ptr::read(&running.instance) });
            copies.collect::<Vec<_>>().into_iter().for_each(Instance::abandon);
            let left: Vec<_> = descriptors().into_iter().filter(|d| !before.contains(d)).collect();
            // The client of this test is one socket; the instance's listener and its end of it are two more.
            let sockets = left.iter().filter(|(_, what)| what.contains("socket")).count();
            i32::from(sockets > 1)
        });
        assert_eq!(code, 0, "sockets of the instance are left in the child");
        assert!(place.socket().exists(), "a child takes nothing away");
        client
            .ask(new_id().unwrap(), recover(), LONG)
            .expect("the parent answers on the old connection")
            .ok();
        place
            .client()
            .ask(new_id().unwrap(), Ask::Snapshot { pool: None }, LONG)
            .expect("and on a new one")
            .ok();
        drop(running);
        // A child that keeps everything open does not keep the parent's clients waiting.
        let running = Running::start(place.instance(""), host_loop);
        let mut client = place.client();
        // SAFETY: the child only sleeps and ends.
        let child = match unsafe { libc::fork() } {
            0 => unsafe {
                libc::sleep(30);
                libc::_exit(0)
            },
            pid => pid,
        };
        client.ask(new_id().unwrap(), Ask::Snapshot { pool: None }, LONG).expect("an answer").expect("good");
        drop(running);
        let begin = Instant::now();
        client.ask(new_id().unwrap(), recover(), LONG).expect_err("closed");
        assert!(begin.elapsed() < SECOND);
        // SAFETY: the child is ours and not waited for yet.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
    }
}

#[test]
fn many_at_once_are_all_answered() {
    let _alone = alone();
    let place = Place::new();
    let running = Running::start(place.instance(""), true);
    running.fail_first();
    std::thread::scope(|scope| {
        for n in 0..16 {
            let place = &place;
            scope.spawn(move || {
                let mut client = place.client();
                for _ in 0..50 {
                    let ask = match n % 4 {
                        0 => recover(),
                        1 => Ask::Explain { pool: "p".into() },
                        _ => Ask::Snapshot { pool: Some("p".into()) },
                    };
                    client.ask(new_id().unwrap(), ask, LONG).expect("an answer").expect("good");
                }
            });
        }
        for _ in 0..50 {
            running.instance.recover_node("p", NODE, Durability::Wait).expect("the host's own command");
        }
    });
}

#[test]
fn a_full_disk_is_told_to_the_caller() {
    let _alone = alone();
    let place = Place::new();
    let running = Running::start(place.instance(""), false);
    running.fail_first();
    let mut client = place.client();
    client.ask(new_id().unwrap(), recover(), LONG).expect("an answer").expect("while there is room");
    // The temporary file cannot be made where a folder of its name stands.
    std::fs::create_dir(place.path("cache.tmp")).expect("a folder");
    running.fail_first();
    let id = new_id().unwrap();
    let error = client.ask(id, recover(), LONG).expect("an answer").expect_err("not stored");
    assert_eq!(error.code(), ErrorCode::Io);
    assert!(error.message().contains("in force"), "{error}");
    assert_eq!(node(&running.instance, 0).state, State::Unknown, "it is in force");
    let ask = Ask::Change { change: Change::Recover { pool: "p".into(), node: NODE.into() }, wait: false };
    client.ask(new_id().unwrap(), ask, LONG).expect("an answer").expect("who does not wait does not care");
    std::fs::remove_dir(place.path("cache.tmp")).expect("room again");
    // Asked again, the first outcome as it stands now: stored, once the next write succeeded.
    let other = client.ask(new_id().unwrap(), recover(), LONG).expect("an answer");
    other.expect("stored again");
    client.ask(id, recover(), LONG).expect("an answer").expect("and so is the first");
}
