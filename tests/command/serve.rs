//! The agent under a service manager: reload, readiness, the watchdog, the journal, and an end that is asked for twice.

use crate::site::{Agent, Site, gone_pool, wait_until};
use std::collections::BTreeMap;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn signal(agent: &Agent, signal: i32) {
    // SAFETY: the child has not been waited for, so its number is its own.
    assert_eq!(unsafe { libc::kill(agent.child.id() as libc::pid_t, signal) }, 0);
}

fn status(site: &Site) -> serde_json::Value {
    serde_json::from_str(&look(site, &["--json"])).unwrap()
}

/// Asks the agent, whatever its configuration file has become.
fn look(site: &Site, more: &[&str]) -> String {
    let file = site.path("look.toml");
    if !file.exists() {
        std::fs::copy(site.path("primacy.toml"), &file).unwrap();
    }
    let words = [&["-c", file.to_str().unwrap(), "status"], more].concat();
    site.run(&words).exits(0).out
}

/// The configuration as `Site::new` writes it.
fn configure(site: &Site, text: &str) {
    site.write("primacy.toml", &format!("cache_file = {:?}\n{text}", site.path("cache")));
}

#[test]
fn sighup_takes_the_configuration_into_force_or_leaves_all_as_it_was() {
    let (pool, nodes) = gone_pool("orders");
    let site = Site::new(&pool);
    let mut agent = site.agent();
    wait_until(|| site.run(&["status"]).out.matches("FAILED_OFFLINE").count() == 2, || agent.log());
    let before = status(&site);

    // Each of these is a line with the place or the rule, and changes nothing.
    for (text, parts) in [
        (pool.replace("interval = \"50ms\"", "interval = 50"), &["primacy.toml:3:", "no unit", "50ms"][..]),
        (pool.replace("[pool", "[[pool"), &["primacy.toml:2:"]),
        (format!("{pool}policy = \"mpp\"\n"), &["rule 906", "pool.orders.policy"]),
        (format!("control_socket = \"none\"\n{pool}"), &["rule 902", "control_socket"]),
        (
            pool.replace("{ interval =", "{ password_file = \"/nowhere/secret\", interval ="),
            &["/nowhere/secret", "no such file"],
        ),
    ] {
        configure(&site, &text);
        let told = agent.log().matches("not reloaded").count();
        signal(&agent, libc::SIGHUP);
        wait_until(|| agent.log().matches("not reloaded").count() > told, || agent.log());
        let log = agent.log();
        let line = log.lines().filter(|line| line.contains("not reloaded")).next_back().unwrap();
        assert!(line.contains(" ALARM   - agent: ") && line.contains("nothing has changed"), "{line}");
        for part in parts {
            assert!(log[log.rfind("not reloaded").unwrap()..].contains(part), "{part} is missing: {log}");
        }
        let now = status(&site);
        assert_eq!(now["pools"][0]["epoch"], before["pools"][0]["epoch"]);
        assert_eq!(now["pools"][0]["policy"], "safe");
    }
    let mut file = std::fs::File::options().append(true).open(site.path("primacy.toml")).unwrap();
    std::io::Write::write_all(&mut file, b"\xff").unwrap();
    signal(&agent, libc::SIGHUP);
    agent.wait_for("not UTF-8");

    // A new node in front, a new pool in front: the old ones have other places and keep their state.
    let (users, _) = gone_pool("users");
    let orders = pool.replace("nodes = [", "nodes = [ { address = \"127.0.0.3:1\" },");
    configure(&site, &format!("{users}{orders}"));
    signal(&agent, libc::SIGHUP);
    agent.wait_for("pool users comes; pool orders: 127.0.0.3:1 comes");
    agent.wait_for("agent: reloaded (rule 910)");
    std::fs::remove_file(site.path("look.toml")).unwrap();
    wait_until(|| look(&site, &[]).matches("FAILED_OFFLINE").count() == 5, || agent.log());
    let now = status(&site);
    assert_eq!(now["pools"][0]["name"], "users");
    let (was, is) = (&before["pools"][0]["nodes"], &now["pools"][1]["nodes"]);
    for (i, node) in nodes.iter().enumerate() {
        assert_eq!(is[i + 1]["name"], node.as_str());
        assert_eq!(is[i + 1]["changed_ms"], was[i]["changed_ms"], "it did not fail anew");
    }
    // Commands find nodes at their new places, and the configuration on disk is the one that runs.
    site.run(&["recover", &nodes[1], "--pool", "orders"]).exits(0);
    wait_until(
        || status(&site)["pools"][1]["nodes"][2]["changed_ms"] != was[1]["changed_ms"],
        || agent.log(),
    );
    assert!(!site.run(&["status"]).out.contains("another configuration"));

    // A pool that has left is gone from status and cache; the agent goes on with the rest.
    configure(&site, &users);
    signal(&agent, libc::SIGHUP);
    agent.wait_for("pool orders leaves");
    wait_until(|| !String::from_utf8_lossy(&site.cache()).contains("orders"), || agent.log());
    assert_eq!(agent.end(libc::SIGTERM).0, Some(0), "{}", agent.log());
}

/// Many at once, while files change: every reload ends, the last state of the file is in force.
#[test]
fn a_hail_of_signals_ends_in_the_last_configuration() {
    let (pool, _) = gone_pool("orders");
    let site = Site::new(&pool);
    let mut agent = site.agent();
    for n in 0..60 {
        let extra = format!("nodes = [ {{ address = \"127.0.1.{n}:1\" }},");
        configure(&site, &pool.replace("nodes = [", &extra));
        signal(&agent, libc::SIGHUP);
        sleep(Duration::from_millis(5));
    }
    wait_until(|| status(&site)["pools"][0]["nodes"][0]["name"] == "127.0.1.59:1", || agent.log());
    assert_eq!(status(&site)["pools"][0]["nodes"].as_array().unwrap().len(), 3);
    assert_eq!(agent.end(libc::SIGTERM).0, Some(0), "{}", agent.log());
}

#[test]
fn a_second_signal_spoils_nothing() {
    let (pool, _) = gone_pool("orders");
    let site = Site::new(&pool);
    let mut agent = site.agent();
    agent.wait_for("ALARM");
    signal(&agent, libc::SIGTERM);
    signal(&agent, libc::SIGINT);
    let (code, time) = agent.end(libc::SIGTERM);
    assert_eq!(code, Some(0), "{}", agent.log());
    assert!(time < Duration::from_secs(3), "{time:?}");
    assert!(agent.log().ends_with("agent: stopped\n"), "{}", agent.log());
    assert!(site.run(&["status"]).exits(0).out.contains("FAILED_OFFLINE"));
}

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    name: String,
}

impl Manager {
    fn new(site: &Site, is_abstract: bool) -> Manager {
        let path = site.path("notify");
        let name = path.to_str().unwrap().to_string();
        let (socket, name) = if is_abstract {
            let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
            (UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}"))
        } else {
            (UnixDatagram::bind(&path).unwrap(), name)
        };
        Manager { socket, name }
    }

    /// The next message, as assignments.
    fn next(&self, limit: Duration) -> Option<BTreeMap<String, String>> {
        self.socket.set_read_timeout(Some(limit)).unwrap();
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(text.ends_with('\n'), "{text:?}");
        Some(
            text.lines()
                .map(|line| line.split_once('=').unwrap())
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
        )
    }

    /// The next message with that key.
    #[track_caller]
    fn until(&self, key: &str) -> BTreeMap<String, String> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let message = self.next(left).unwrap_or_else(|| panic!("{key} did not come"));
            if message.contains_key(key) {
                return message;
            }
        }
    }

    /// How often the watchdog is fed in this time.
    fn fed(&self, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut count = 0;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            count += self.next(left).map_or(0, |message| usize::from(message.contains_key("WATCHDOG")));
        }
        count
    }

    fn drain(&self) {
        while self.next(Duration::from_millis(1)).is_some() {}
    }
}

#[test]
fn the_service_manager_is_told_of_start_reload_and_end() {
    for is_abstract in [false, true] {
        let (pool, _) = gone_pool("orders");
        let site = Site::new(&pool);
        let manager = Manager::new(&site, is_abstract);
        let mut agent = site.agent_with(|command, _| {
            command.env("NOTIFY_SOCKET", &manager.name);
        });
        assert_eq!(manager.until("READY")["READY"], "1");
        let told = manager.until("STATUS");
        assert_eq!(told["STATUS"], "orders: nobody is ACTIVE");
        for text in [pool.clone(), pool.replace("interval", "unknown")] {
            configure(&site, &text);
            manager.drain();
            let before = monotonic_us();
            signal(&agent, libc::SIGHUP);
            let began = manager.until("RELOADING");
            let at: u64 = began["MONOTONIC_USEC"].parse().unwrap();
            assert!((before..=monotonic_us()).contains(&at), "{before} {began:?}");
            assert_eq!(began["RELOADING"], "1");
            // A reload that failed is over too; the log says how it ended.
            assert_eq!(manager.until("READY")["READY"], "1");
        }
        agent.wait_for("not reloaded");
        manager.drain();
        assert_eq!(agent.end(libc::SIGTERM).0, Some(0));
        assert_eq!(manager.until("STOPPING")["STOPPING"], "1");
    }
}

fn monotonic_us() -> u64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is live.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut ts) };
    ts.tv_sec as u64 * 1_000_000 + ts.tv_nsec as u64 / 1000
}

#[test]
fn the_watchdog_is_fed_by_the_engines_loop_alone() {
    const LIMIT: Duration = Duration::from_millis(800);
    // Probes are an hour apart: the loop has to be asked to turn.
    let (pool, _) = gone_pool("orders");
    let site = Site::new(&pool.replace("interval = \"50ms\"", "interval = \"1h\""));
    let manager = Manager::new(&site, false);
    let agent = site.agent_with(|command, _| {
        command.env("NOTIFY_SOCKET", &manager.name).env("WATCHDOG_USEC", LIMIT.as_micros().to_string());
    });
    manager.until("READY");
    let fed = manager.fed(LIMIT * 5);
    assert!((5..=14).contains(&fed), "fed {fed} times in five times its limit");

    let engine = stop_the_engine(agent.child.id());
    // The turn before that may be on its way to the watchdog.
    assert!(manager.fed(LIMIT) <= 1);
    let switches = || context_switches(agent.child.id());
    let before = switches();
    assert_eq!(manager.fed(LIMIT * 2), 0, "the engine's loop stands still");
    assert!(switches() > before, "while the rest of the process goes on");
    engine.go_on();
    assert!(manager.fed(LIMIT * 3) > 0, "and now it turns again");
}

#[test]
fn another_process_s_watchdog_is_not_fed() {
    let (pool, _) = gone_pool("orders");
    let site = Site::new(&pool);
    let manager = Manager::new(&site, false);
    let _agent = site.agent_with(|command, _| {
        command.env("NOTIFY_SOCKET", &manager.name).env("WATCHDOG_USEC", "200000").env("WATCHDOG_PID", "1");
    });
    manager.until("READY");
    assert_eq!(manager.fed(Duration::from_secs(1)), 0);
}

/// How often the first thread of a process has gone to sleep.
fn context_switches(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

/// One thread that a debugger holds.
struct Held(libc::pid_t);

impl Held {
    fn go_on(self) {
        drop(self);
    }
}

impl Drop for Held {
    /// Also when a test fails: a process does not end while one of its threads is held.
    fn drop(&mut self) {
        // SAFETY: the thread is ours to trace; one that is gone by now needs nothing.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, 0, 0) };
    }
}

/// Stops the thread of the engine where it waits, with no lock in its hands; the others go on.
fn stop_the_engine(pid: u32) -> Held {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap().path());
    let engine = tasks
        .filter(|task| std::fs::read_to_string(task.join("comm")).unwrap() == "primacy\n")
        .find(|task| task.file_name().unwrap().to_str().unwrap() != pid.to_string())
        .expect("the engine's thread");
    let thread: libc::pid_t = engine.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let waits = [libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2];
    // SAFETY: no pointer is passed; the thread is of our own child.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, thread, 0, 0) };
    assert_eq!(seized, 0, "{}", std::io::Error::last_os_error());
    let held = Held(thread);
    for _ in 0..200 {
        let mut how = 0;
        // SAFETY: the thread is traced by this one; the pointer is to a local.
        unsafe {
            assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, thread, 0, 0), 0);
            assert_eq!(libc::waitpid(thread, &mut how, libc::__WALL), thread);
        }
        assert!(libc::WIFSTOPPED(how), "{how:x}");
        let call = std::fs::read_to_string(engine.join("syscall")).expect("CONFIG_HAVE_ARCH_TRACEHOOK");
        let number = call.split(' ').next().and_then(|word| word.parse().ok());
        if number.is_some_and(|number: libc::c_long| waits.contains(&number)) {
            return held;
        }
        // SAFETY: the thread is stopped by us.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_CONT, thread, 0, 0) }, 0);
        sleep(Duration::from_millis(5));
    }
    panic!("the engine's thread never waits");
}

#[test]
fn lines_for_the_journal_carry_their_severity() {
    let (pool, _) = gone_pool("orders");
    for (into_journal, broken) in [(true, false), (false, true)] {
        let site = Site::new(&pool);
        let mut agent = site.agent_with(|command, log| {
            let file = log.metadata().unwrap();
            let inode = file.ino() + u64::from(broken);
            command.env("JOURNAL_STREAM", format!("{}:{inode}", file.dev()));
        });
        agent.wait_for("ALARM");
        configure(&site, &pool.replace("interval", "unknown"));
        signal(&agent, libc::SIGHUP);
        agent.wait_for("not reloaded");
        assert_eq!(agent.end(libc::SIGTERM).0, Some(0));
        let log = agent.log();
        for line in log.lines() {
            assert_eq!(line.starts_with('<'), into_journal, "{line}");
            if into_journal && line.contains('Z') && line.contains(" - agent: ") {
                let level = if line.contains(" ALARM ") { "<2>" } else { "<6>" };
                assert!(line.starts_with(level), "{line}");
            }
        }
        assert!(!into_journal || log.contains("\n<2>") && log.contains("<6>"), "{log}");
    }
}
