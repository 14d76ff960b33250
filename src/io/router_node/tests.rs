//! Several checks of one node against sockets, processes and programs of this machine; and what their ends say together.

use super::*;
use crate::io::clock;
use crate::io::driver::{Driver, Mode, NodeSetup};
use crate::probe::AddressBook;
use crate::wire::{Encryption, RsaPolicy, Transport};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Instant;

const NODE: NodeRef = NodeRef { pool: 0, node: 0 };
const MOVED: NodeRef = NodeRef { pool: 0, node: 1 };

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn setup(node: NodeRef, checks: Vec<PlannedCheck>) -> NodeSetup {
    let address: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    NodeSetup {
        node,
        unix: None,
        name: None,
        book: AddressBook::literal(address),
        session: SessionConfig {
            group: false,
            user: "probe".into(),
            password: None,
            transport: Transport::Plain,
            encryption: Encryption::Off,
            rsa: RsaPolicy::Refuse,
            max_packet: SessionConfig::MAX_PACKET,
        },
        tls: None,
        timeout: ms(400),
        probe_timeout: ms(1500),
        max_lag: None,
        router: Some(RouterSetup { checks }),
        lane: None,
    }
}

struct Bench {
    driver: Driver,
    probe: u64,
}

impl Bench {
    fn new(checks: Vec<PlannedCheck>) -> Bench {
        let driver = Driver::new(Mode::Host, &Registry::new(256), vec![setup(NODE, checks)]);
        Bench { driver: driver.expect("descriptors"), probe: 0 }
    }

    fn begin(&mut self) {
        self.probe += 1;
        self.driver.probe(clock::mono(), NODE, self.probe, true);
    }

    /// Turns the loop until an input comes, for at most `longest`.
    fn next(&mut self, longest: Duration) -> Option<Input> {
        let until = Instant::now() + longest;
        loop {
            self.driver.poll(clock::mono()).expect("poll");
            self.driver.judge_deadlines(clock::mono());
            self.driver.set_deadline(None);
            if let Some(input) = self.driver.next_input() {
                return Some(input);
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(ms(1));
        }
    }

    fn ended(&mut self) -> Observation {
        match self.next(ms(15_000)) {
            Some(Input::Probed { probe, observation, .. }) => {
                assert_eq!(probe, self.probe);
                observation
            }
            other => panic!("no end of the probe: {other:?}"),
        }
    }

    fn look(&mut self) -> Observation {
        self.begin();
        self.ended()
    }
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

fn refused() -> u16 {
    listener().1
}

/// A process to watch, and its file.
struct Watched {
    child: Child,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Watched {
    fn new() -> Watched {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        Watched { child: sleeper(&file), file, _folder: folder }
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sleeper(file: &Path) -> Child {
    let child = Command::new("sleep").arg("600").spawn().expect("sleep");
    std::fs::write(file, format!("{}\n", child.id())).expect("written");
    child
}

#[test]
fn a_death_is_known_at_once() {
    let (_open, port) = listener();
    let mut watched = Watched::new();
    let checks = vec![PlannedCheck::Port(port, PortCheck::Tcp), PlannedCheck::Process(watched.file.clone())];
    let mut bench = Bench::new(checks);
    assert_eq!(bench.look().cause, Cause::Ok);
    assert_eq!(bench.next(ms(50)), None, "nothing to tell");
    watched.kill();
    let begun = Instant::now();
    let Some(Input::Observed { node, observation }) = bench.next(ms(5000)) else { panic!("no word") };
    assert!(begun.elapsed() < ms(100), "{:?}", begun.elapsed());
    assert_eq!((node, observation.cause), (NODE, Cause::ProcessExit));
    assert!(observation.message.contains("no process has the number"), "{}", observation.message);
    // Once; and from then on each probe says so at once.
    assert_eq!(bench.next(ms(50)), None);
    let begun = Instant::now();
    let end = bench.look();
    assert_eq!((end.cause, end.facts.backend), (Cause::ProcessExit, None));
    assert!(begun.elapsed() < ms(100));
    std::fs::remove_file(&watched.file).expect("removed");
    let end = bench.look();
    assert!(end.cause == Cause::ProcessExit && end.message.contains("does not exist"), "{end:?}");
    // A file that is about to be written says nothing.
    std::fs::write(&watched.file, "").expect("written");
    assert_eq!(bench.look().cause, Cause::Ok);
    // Started again: seen with the next probe, and watched again.
    watched.child = sleeper(&watched.file);
    assert_eq!(bench.look().cause, Cause::Ok);
    watched.kill();
    assert!(matches!(bench.next(ms(5000)), Some(Input::Observed { .. })));
}

#[test]
fn a_death_ends_the_probe_under_way() {
    // Accepted by the kernel, never answered.
    let (_silent, port) = listener();
    let mut watched = Watched::new();
    let checks = vec![PlannedCheck::Port(port, PortCheck::X), PlannedCheck::Process(watched.file.clone())];
    let mut bench = Bench::new(checks);
    bench.begin();
    assert_eq!(bench.next(ms(50)), None, "the port is waited for");
    watched.kill();
    let begun = Instant::now();
    assert_eq!(bench.ended().cause, Cause::ProcessExit);
    assert!(begun.elapsed() < ms(200), "{:?}", begun.elapsed());
    assert_eq!(bench.next(ms(600)), None, "what was broken off is not told later");
}

#[test]
fn the_worst_local_finding_counts() {
    let (_silent, silent) = listener();
    let (_open, open) = listener();
    let tcp = |port| PlannedCheck::Port(port, PortCheck::Tcp);
    let x = |port| PlannedCheck::Port(port, PortCheck::X);
    let end = Bench::new(vec![tcp(open)]).look();
    assert_eq!((end.cause, end.facts), (Cause::Ok, Facts::default()));
    let end = Bench::new(vec![x(silent), tcp(refused())]).look();
    assert_eq!((end.cause, end.errno), (Cause::Refused, libc::ECONNREFUSED as u32), "{end:?}");
    assert!(end.message.starts_with("port "), "{}", end.message);
    let begun = Instant::now();
    let end = Bench::new(vec![tcp(open), x(silent)]).look();
    assert_eq!(end.cause, Cause::NoReply, "{end:?}");
    assert!(begun.elapsed() < ms(1500 + 400), "{:?}", begun.elapsed());
}

fn exec(script: &str, verdict: CheckVerdict) -> PlannedCheck {
    let command = ["/bin/sh", "-c", script].map(String::from).to_vec();
    PlannedCheck::Exec { command, timeout: ms(600), verdict }
}

#[test]
fn a_programs_word_counts_for_the_side_it_looks_at() {
    let (_open, port) = listener();
    let look = |checks: Vec<PlannedCheck>| {
        let open = PlannedCheck::Port(port, PortCheck::Tcp);
        Bench::new([open].into_iter().chain(checks).collect()).look()
    };
    let (local, backend) = (CheckVerdict::Local, CheckVerdict::Backend);
    assert_eq!(look(vec![exec("echo fine; exit 0", local)]).cause, Cause::Ok);
    assert_eq!(look(vec![exec("echo slow; exit 1", local)]).cause, Cause::Ok);
    let end = look(vec![exec("echo 'no routes|a=1'; exit 2", local)]);
    assert_eq!((end.cause, end.message.as_str()), (Cause::CheckFailed, "no routes"));
    assert_eq!(look(vec![exec("exit 3", local)]).cause, Cause::Ok, "what says nothing fails nobody");
    assert_eq!(look(vec![exec("kill -9 $$", local)]).cause, Cause::Ok);
    let end = look(vec![exec("echo 'db1 is down'; exit 2", backend)]);
    let seen = end.facts.backend.clone().expect("seen");
    assert_eq!((end.cause, seen.good, seen.words.as_str()), (Cause::Ok, false, "db1 is down"));
    assert_eq!(end.message, "db1 is down");
    let end = look(vec![exec("exit 0", backend)]);
    assert_eq!(end.facts.backend, Some(BackendSeen { good: true, ..BackendSeen::default() }));
    // A program that does not end, and whose children hold on to its output, is given up in time and killed.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pid");
    let script = format!("sleep 60 & echo $! > {}; wait", file.display());
    let open = PlannedCheck::Port(port, PortCheck::Tcp);
    let mut bench = Bench::new(vec![open, exec(&script, local)]);
    let begun = Instant::now();
    let end = bench.look();
    assert_eq!(end.cause, Cause::NoReply, "{end:?}");
    assert!(begun.elapsed() < ms(1700), "{:?}", begun.elapsed());
    let child: i32 = std::fs::read_to_string(&file).expect("written").trim().parse().expect("a number");
    let until = Instant::now() + ms(10_000);
    // SAFETY: no pointer is passed.
    while unsafe { libc::kill(child, 0) } == 0 {
        assert!(Instant::now() < until, "the group lives on");
        bench.next(ms(20));
    }
    // One that does not exist is our own fault.
    let missing = PlannedCheck::Exec { command: vec!["/nowhere/x".into()], timeout: ms(100), verdict: local };
    assert_eq!(look(vec![missing]).cause, Cause::Ok);
}

#[test]
fn a_reload_answers_the_probe_under_way_for_the_new_place() {
    let (_silent, port) = listener();
    let (_open, open) = listener();
    let watched = Watched::new();
    let process = PlannedCheck::Process(watched.file.clone());
    let mut bench = Bench::new(vec![PlannedCheck::Port(port, PortCheck::X), process.clone()]);
    bench.begin();
    assert_eq!(bench.next(ms(20)), None);
    let next = vec![setup(MOVED, vec![PlannedCheck::Port(open, PortCheck::Tcp), process])];
    bench.driver.reconfigure(clock::mono(), next, Vec::new(), &[(NODE, MOVED)]);
    let Some(Input::Probed { node, probe, observation }) = bench.next(ms(5000)) else { panic!("no end") };
    assert_eq!((node, probe, observation.cause), (MOVED, 1, Cause::Ok));
    assert_eq!(bench.next(ms(600)), None, "the old check is not told");
    // A node that leaves is answered no more, and its process is watched no more.
    bench.driver.probe(clock::mono(), MOVED, 2, true);
    bench.driver.reconfigure(clock::mono(), Vec::new(), Vec::new(), &[]);
    drop(watched);
    assert_eq!(bench.next(ms(600)), None);
    bench.driver.shut(clock::mono());
}

fn end(kind: CheckKind, local: Verdict, backend: Verdict, cause: Cause, message: &str) -> CheckEnd {
    CheckEnd { message: message.into(), ..CheckEnd::new(kind, local, backend, cause, Time(0)) }
}

#[test]
fn what_is_behind_is_told_port_by_port() {
    use Verdict::{Bad, Good, Unknown};
    let server = ServerSeen {
        uuid: Some("u".into()),
        hostname: Some("db2".into()),
        port: Some(3306),
        read_only: Some(true),
        super_read_only: None,
    };
    let fine = CheckEnd { server: Some(server), ..end(CheckKind::Router, Good, Good, Cause::Ok, "") };
    let nobody = end(CheckKind::Router, Good, Bad, Cause::Refused, "nobody is reached");
    let said = observation(vec![(Some(6446), nobody), (Some(6447), fine)], Time(1), Time(2));
    let backend = said.facts.backend.expect("seen");
    assert_eq!((said.cause, said.started, said.ended), (Cause::Ok, Time(1), Time(2)));
    assert_eq!((backend.good, backend.words.as_str()), (false, "port 6446: nobody is reached"));
    let at = PortServer {
        port: 6447,
        uuid: "u".into(),
        host: "db2".into(),
        server_port: 3306,
        read_only: Some(true),
    };
    assert_eq!(backend.servers, [at]);
    // Silence at all ports is a hang, whoever hangs; silence at one of two is what is behind it.
    let silent = end(CheckKind::Router, Unknown, Unknown, Cause::NoReply, "no word");
    let said = observation(vec![(Some(1), silent.clone())], Time(1), Time(2));
    assert_eq!((said.cause, said.message.as_str()), (Cause::NoReply, "port 1: no word"));
    let fine = end(CheckKind::X, Good, Good, Cause::Ok, "");
    assert_eq!(observation(vec![(Some(1), silent), (Some(2), fine)], Time(1), Time(2)).cause, Cause::Ok);
    // The prober's own trouble is nobody's fault.
    let blind = end(CheckKind::Router, Unknown, Unknown, Cause::Local, "no descriptors");
    assert_eq!(observation(vec![(Some(1), blind)], Time(1), Time(2)).cause, Cause::Local);
    assert_eq!(observation(Vec::new(), Time(1), Time(2)).cause, Cause::Local);
}
