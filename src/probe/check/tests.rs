//! Checks against recorded routers and servers, and against every way in which a connection can end.

use super::*;
use crate::probe::cause::Cause;
use crate::wire::recording::{Event, SEED, recording};
use crate::wire::{Encryption, RsaPolicy, Secret};
use proptest::prelude::*;

const REQUEST: CheckRequest =
    CheckRequest { timeout: Duration::from_millis(250), check_timeout: Duration::from_millis(1000) };

fn config() -> SessionConfig {
    SessionConfig {
        group: false,
        user: "primacy".into(),
        password: Some(Secret::new("s3cret")),
        transport: Transport::Plain,
        encryption: Encryption::Off,
        rsa: RsaPolicy::Refuse,
        max_packet: SessionConfig::MAX_PACKET,
    }
}

fn router(role: Role) -> Check {
    Check::router(config(), Protocol::Classic, role)
}

fn router_x(role: Role) -> Check {
    Check::router(config(), Protocol::X, role)
}

/// A driver without a socket: it writes down what the check asks.
struct Rig {
    check: Check,
    now: Time,
    asked: Vec<&'static str>,
    sent: Vec<u8>,
    done: Vec<CheckEnd>,
}

impl Rig {
    fn new(check: Check) -> Rig {
        Rig { check, now: Time::from_millis(5000), asked: vec![], sent: vec![], done: vec![] }
    }

    fn act(&mut self, act: impl FnOnce(&mut Check, Time)) -> &mut Rig {
        act(&mut self.check, self.now);
        while let Some(action) = self.check.poll_action() {
            self.asked.push(match action {
                Action::Connect => "connect",
                Action::Send(bytes) => {
                    self.sent = bytes.to_vec();
                    "send"
                }
                Action::StartTls => "tls",
                Action::Close => "close",
                Action::Lost => "lost",
                Action::Done(end) => {
                    self.done.push(end);
                    "done"
                }
            });
        }
        self
    }

    fn begin(&mut self) -> &mut Rig {
        self.act(|check, now| check.begin(now, REQUEST))
    }

    fn connected(&mut self) -> &mut Rig {
        self.act(|check, now| check.handle_connected(now, SEED))
    }

    fn failed(&mut self, errno: i32) -> &mut Rig {
        self.act(|check, now| check.handle_connect_failed(now, errno))
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Rig {
        self.act(|check, now| check.handle_bytes(now, bytes))
    }

    fn eof(&mut self) -> &mut Rig {
        self.act(|check, now| check.handle_eof(now))
    }

    fn wait(&mut self, ms: u64) -> &mut Rig {
        self.now = self.now + Duration::from_millis(ms);
        self
    }

    /// Lets the deadline come.
    fn late(&mut self, sign: PeerSign) -> &mut Rig {
        self.now = self.check.poll_timeout().expect("a deadline");
        self.act(|check, now| check.handle_timeout(now, sign))
    }

    /// Plays what the server says in a recording, up to event `to`.
    fn play(&mut self, name: &str, to: usize) -> &mut Rig {
        for event in recording(name).into_iter().take(to) {
            match event {
                Event::Server(bytes) => self.bytes(&bytes),
                Event::Client(_) => self,
                Event::Close => self.eof(),
            };
        }
        self
    }

    fn end(&mut self) -> CheckEnd {
        let end = self.done.pop().expect("an end");
        assert!(self.done.is_empty() && !self.check.is_checking());
        assert!(end.started <= end.ended);
        end
    }

    fn verdicts(&mut self) -> (Verdict, Verdict, Cause) {
        let end = self.end();
        (end.local, end.backend, end.cause)
    }
}

use Verdict::{Bad, Good, Unknown};

#[test]
fn tcp() {
    let tcp = || Rig::new(Check::tcp(Transport::Plain));
    let mut rig = tcp();
    rig.begin().connected();
    assert_eq!(rig.asked, ["connect", "close", "done"]);
    assert_eq!(rig.verdicts(), (Good, Unknown, Cause::Ok));
    assert_eq!(tcp().begin().failed(111).verdicts(), (Bad, Unknown, Cause::Refused));
    assert_eq!(tcp().begin().failed(113).verdicts(), (Bad, Unknown, Cause::Unreachable));
    assert_eq!(tcp().begin().failed(24).verdicts(), (Unknown, Unknown, Cause::Local), "EMFILE is ours");
    let mut rig = tcp();
    rig.begin().late(PeerSign::Connecting);
    assert_eq!(rig.asked, ["connect", "close", "done"]);
    assert_eq!(rig.verdicts(), (Bad, Unknown, Cause::NoAck));
    let mut rig = tcp();
    rig.begin().act(|check, _| check.shut());
    assert_eq!(rig.asked, ["connect", "close"]);
    assert!(!rig.check.has_connection() && rig.check.poll_timeout().is_none());
}

#[test]
fn the_server_behind_a_port_is_named_and_judged() {
    let cases = [
        ("mysqlrouter-9.7-rw", Protocol::Classic, 27101, false),
        ("mysqlrouter-9.7-ro", Protocol::Classic, 27102, true),
        ("mysqlrouter-9.7-x", Protocol::X, 27101, false),
        ("mysqlrouter-9.7-x-own", Protocol::X, 27101, false),
        ("mysqlx-9.7-sha256", Protocol::X, 27101, false),
    ];
    for (name, protocol, port, read_only) in cases {
        for &role in Role::ALL {
            let mut rig = Rig::new(Check::router(config(), protocol, role));
            rig.begin().connected().play(name, usize::MAX);
            let end = rig.end();
            let server = end.server.clone().expect(name);
            assert_eq!(server.port, Some(port), "{name}");
            assert_eq!((server.read_only, server.super_read_only), (Some(read_only), Some(read_only)));
            assert_eq!(server.hostname.as_deref(), Some("vm"), "{name}");
            assert_eq!(server.uuid.as_deref().map(str::len), Some(36), "{name}");
            let backend = match role {
                Role::Ro => Good,
                Role::Rw => {
                    if read_only {
                        Bad
                    } else {
                        Good
                    }
                }
                Role::RoStrict => {
                    if read_only {
                        Good
                    } else {
                        Bad
                    }
                }
            };
            assert_eq!((end.local, end.backend, end.cause), (Good, backend, Cause::Ok), "{name}, {role}");
            assert_eq!(end.message.is_empty(), backend == Good, "{end:?}");
            assert_eq!(rig.asked[rig.asked.len() - 3..], ["send", "close", "done"], "a goodbye");
        }
    }
}

#[test]
fn recordings_cut_at_every_place() {
    for (name, protocol) in [
        ("mysqlrouter-9.7-rw", Protocol::Classic),
        ("mysqlrouter-9.7-nobody", Protocol::Classic),
        ("mysqlrouter-9.7-own-nobody", Protocol::Classic),
        ("mysqlrouter-9.7-x", Protocol::X),
        ("mysqlrouter-9.7-x-nobody", Protocol::X),
    ] {
        let fresh = || {
            let mut rig = Rig::new(Check::router(config(), protocol, Role::Rw));
            rig.begin().connected();
            rig
        };
        let whole = fresh().play(name, usize::MAX).end();
        let events = recording(name);
        let total: usize = events.iter().map(|e| if let Event::Server(b) = e { b.len() } else { 0 }).sum();
        for cut in 0..=total {
            // Split there.
            let (mut split, mut seen) = (fresh(), 0);
            // Ended there.
            let mut ended = fresh();
            for event in &events {
                let Event::Server(bytes) = event else { continue };
                let at = cut.saturating_sub(seen).min(bytes.len());
                split.bytes(&bytes[..at]).bytes(&bytes[at..]);
                if seen < cut {
                    ended.bytes(&bytes[..at]);
                }
                seen += bytes.len();
            }
            assert_eq!(split.end(), whole, "{name} split at {cut}");
            if ended.done.is_empty() {
                let end = ended.eof().end();
                assert_ne!(end.cause, Cause::Ok, "{name}: {cut} bytes were taken for the whole");
                let expected = if cut == 0 { Unknown } else { Good };
                assert_eq!(end.local, expected, "{name}, {cut} bytes: {end:?}");
            }
        }
    }
}

#[test]
fn what_a_router_says_for_itself_leaves_the_local_side_good() {
    let classic = |name: &str| Rig::new(router(Role::Rw)).begin().connected().play(name, usize::MAX).end();
    let x = |name: &str| Rig::new(router_x(Role::Rw)).begin().connected().play(name, usize::MAX).end();
    let cases = [
        (classic("mysqlrouter-9.7-nobody"), Bad, 2003),
        (classic("mysqlrouter-9.7-own-nobody"), Bad, 2003),
        (classic("mysqlrouter-9.7-full"), Unknown, 1040),
        (x("mysqlrouter-9.7-x-nobody"), Bad, 2026),
        (x("mysqlrouter-9.7-x-full"), Unknown, 1040),
    ];
    for (end, backend, errno) in cases {
        assert_eq!((end.local, end.backend, end.errno), (Good, backend, errno), "{end:?}");
        assert!(end.message.starts_with("the router answers by itself: error "), "{end:?}");
        assert_eq!(end.local_cause(), Cause::Ok);
    }
    let blocked = b"\x2f\x00\x00\x00\xFF\x69\x04Too many connection errors from 10.0.0.7:4711";
    let mut blocked = blocked.to_vec();
    blocked[0] = (blocked.len() - 4) as u8;
    let end = Rig::new(router(Role::Rw)).begin().connected().bytes(&blocked).end();
    assert_eq!((end.local, end.backend, end.cause), (Good, Unknown, Cause::HostBlocked), "{end:?}");
}

#[test]
fn what_a_server_says_is_the_backends_affair() {
    for (name, cause, errno) in [
        ("mysql-9.7-too-many", Cause::TooManyConnections, 1040),
        ("mysql-9.7-offline", Cause::OfflineMode, 3032),
        ("mariadb-10.11-denied", Cause::AuthDenied, 1045),
    ] {
        let end = Rig::new(router(Role::Rw)).begin().connected().play(name, usize::MAX).end();
        assert_eq!((end.local, end.backend, end.cause, end.errno), (Good, Bad, cause, errno), "{name}");
        assert!(end.message.starts_with("the server answers: error "), "{end:?}");
    }
    let mut rig = Rig::new(Check::x(config()));
    let end = rig.begin().connected().play("mysqlx-9.7-denied", usize::MAX).end();
    assert_eq!((end.kind, end.local, end.backend, end.cause), (CheckKind::X, Good, Bad, Cause::AuthDenied));
    let end =
        Rig::new(Check::x(config())).begin().connected().play("mysqlx-9.7-statement-error", usize::MAX).end();
    assert_eq!((end.local, end.backend, end.errno), (Good, Bad, 1193));
    let end = Rig::new(Check::x(config())).begin().connected().play("mysqlx-9.7-sha256", usize::MAX).end();
    assert_eq!((end.local, end.backend, end.cause, end.server), (Good, Good, Cause::Ok, None));
}

#[test]
fn tls_inside_the_x_protocol() {
    let config = SessionConfig { encryption: Encryption::Always, ..config() };
    let mut rig = Rig::new(Check::router(config.clone(), Protocol::X, Role::Rw));
    rig.begin().connected();
    for event in recording("mysqlx-9.7-tls") {
        if let Event::Server(bytes) = event {
            rig.bytes(&bytes);
            if rig.asked.last() == Some(&"tls") {
                rig.act(|check, now| check.handle_tls_up(now));
            }
        }
    }
    assert_eq!(rig.verdicts(), (Good, Good, Cause::Ok));
    let mut rig = Rig::new(Check::router(config, Protocol::X, Role::Rw));
    rig.begin()
        .connected()
        .play("mysqlx-9.7-tls", 4)
        .act(|check, now| check.handle_tls_failed(now, "expired"));
    assert_eq!(rig.asked.last(), Some(&"done"));
    assert_eq!(rig.verdicts(), (Good, Bad, Cause::TlsError));
}

#[test]
fn connects_that_fail() {
    for (errno, expected) in [
        (111, (Bad, Unknown, Cause::Refused)),
        (104, (Bad, Unknown, Cause::Reset)),
        (113, (Bad, Unknown, Cause::Unreachable)),
        (24, (Unknown, Unknown, Cause::Local)),
    ] {
        assert_eq!(Rig::new(router(Role::Rw)).begin().failed(errno).verdicts(), expected, "{errno}");
        assert_eq!(Rig::new(Check::x(config())).begin().failed(errno).verdicts(), expected, "{errno}");
    }
    let mut rig = Rig::new(router(Role::Rw));
    assert_eq!(rig.begin().late(PeerSign::Connecting).verdicts(), (Bad, Unknown, Cause::NoAck));
    let mut rig = Rig::new(router_x(Role::Rw));
    assert_eq!(
        rig.begin().connected().late(PeerSign::NotAcknowledged).verdicts(),
        (Bad, Unknown, Cause::NoAck)
    );
    assert_eq!(rig.asked, ["connect", "send", "close", "done"]);
}

#[test]
fn somebody_else_on_the_port() {
    for check in [router(Role::Rw), router_x(Role::Rw), Check::x(config())] {
        let end = Rig::new(check).begin().connected().bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n").end();
        assert_eq!((end.local, end.backend, end.cause), (Bad, Unknown, Cause::ProtocolError), "{end:?}");
    }
    let Event::Server(greeting) = recording("mysqlrouter-9.7-rw").remove(0) else { panic!("a greeting") };
    let end = Rig::new(router_x(Role::Rw)).begin().connected().bytes(&greeting).end();
    assert!(end.local == Bad && end.message.contains("speaks the classic protocol"), "{end:?}");
    let notice = b"\x05\x00\x00\x00\x0b\x08\x05\x1a\x00";
    let end = Rig::new(router(Role::Rw)).begin().connected().bytes(notice).end();
    assert!(end.local == Bad && !end.message.is_empty(), "{end:?}");
}

/// At a classic port a stopped router and a stopped server look the same: the connection stays, and is waited for.
#[test]
fn silence_at_a_classic_port() {
    let mut rig = Rig::new(router(Role::Rw));
    rig.begin().connected().late(PeerSign::Acknowledged);
    assert_eq!(rig.verdicts(), (Unknown, Unknown, Cause::NoReply));
    for _ in 0..3 {
        rig.wait(750).begin().late(PeerSign::Acknowledged);
        assert_eq!(rig.verdicts(), (Unknown, Unknown, Cause::NoReply));
    }
    assert_eq!(rig.asked.iter().filter(|&&a| a == "connect").count(), 1, "one connection in all");
    // It wakes between two checks: the login goes on, and the next check only asks.
    rig.asked.clear();
    rig.play("mysqlrouter-9.7-rw", 3);
    assert_eq!(rig.asked, ["send"]);
    rig.wait(750).begin();
    assert_eq!(rig.asked, ["send", "send"]);
    for event in recording("mysqlrouter-9.7-rw").into_iter().skip(4) {
        let Event::Server(bytes) = event else { continue };
        rig.bytes(&bytes);
    }
    assert_eq!(rig.verdicts(), (Good, Good, Cause::Ok));
    // Patience ends: a new connection, once.
    let mut rig = Rig::new(router(Role::Rw));
    rig.begin().connected().late(PeerSign::Acknowledged).wait(10_000).end();
    rig.asked.clear();
    rig.begin();
    assert_eq!(rig.asked, ["close", "connect"]);
}

/// Whoever has spoken in this check lives; the silence behind it is the backend's.
#[test]
fn silence_behind_a_router_that_greets() {
    let mut rig = Rig::new(router(Role::Rw));
    rig.begin().connected().play("mysqlrouter-9.7-own-nobody", 1).late(PeerSign::Acknowledged);
    assert_eq!(rig.verdicts(), (Good, Bad, Cause::NoReply));
    // In the next check nobody has.
    rig.wait(500).begin().late(PeerSign::Acknowledged);
    assert_eq!(rig.verdicts(), (Unknown, Unknown, Cause::NoReply));
}

/// At an X port a goodbye tells: the router answers it itself.
#[test]
fn silence_at_an_x_port() {
    let bye = b"\x07\x00\x00\x00\x00\x0a\x04bye!";
    let mut rig = Rig::new(router_x(Role::Rw));
    rig.begin().connected().late(PeerSign::Acknowledged).connected();
    assert_eq!(rig.asked, ["connect", "send", "close", "connect", "send"]);
    assert_eq!(rig.sent, [1, 0, 0, 0, 3]);
    rig.bytes(bye);
    assert_eq!(rig.verdicts(), (Good, Bad, Cause::NoReply));
    // As long as patience lasts nothing but the goodbye: each statement would leave a connection at the server.
    rig.asked.clear();
    rig.wait(500).begin().connected();
    assert_eq!((rig.sent.len(), &rig.asked[..]), (5, &["connect", "send"][..]));
    rig.late(PeerSign::Acknowledged);
    assert_eq!(rig.verdicts(), (Bad, Unknown, Cause::NoReply), "now the router is stopped too");
    rig.wait(10_000).begin().connected();
    assert_eq!(rig.sent, [1, 0, 0, 0, 1], "capabilities are asked for again");
    rig.play("mysqlrouter-9.7-x", usize::MAX);
    assert_eq!(rig.verdicts(), (Good, Good, Cause::Ok));
    rig.begin().connected();
    assert_eq!(rig.sent, [1, 0, 0, 0, 1], "and all is forgotten");
    // Closed without a word: perhaps it just died.
    let mut rig = Rig::new(router_x(Role::Rw));
    rig.begin().connected().late(PeerSign::Acknowledged).connected().eof();
    assert_eq!(rig.verdicts(), (Unknown, Unknown, Cause::Reset));
    // No time for the goodbye: it is not made up.
    let mut rig = Rig::new(router_x(Role::Rw));
    let short = CheckRequest { check_timeout: REQUEST.timeout, ..REQUEST };
    rig.act(|check, now| check.begin(now, short)).connected().late(PeerSign::Acknowledged);
    assert_eq!(rig.verdicts(), (Unknown, Unknown, Cause::NoReply));
}

#[test]
fn a_kept_connection_proves_nothing_by_its_death() {
    let mut rig = Rig::new(router(Role::Rw));
    rig.begin().connected().late(PeerSign::Acknowledged).end();
    rig.asked.clear();
    rig.wait(500).begin().eof();
    assert_eq!(rig.asked, ["close", "connect"]);
    assert_eq!(rig.failed(111).verdicts(), (Bad, Unknown, Cause::Refused), "the fresh one decides");
    // Between checks its end is nobody's business.
    let mut rig = Rig::new(router(Role::Rw));
    rig.begin().connected().late(PeerSign::Acknowledged).end();
    rig.eof();
    assert!(!rig.check.has_connection());
    rig.begin().connected().play("mysqlrouter-9.7-rw", usize::MAX);
    assert_eq!(rig.verdicts(), (Good, Good, Cause::Ok));
}

fn end(kind: CheckKind, local: Verdict, backend: Verdict, cause: Cause) -> CheckEnd {
    let message = if cause == Cause::Ok { "" } else { "words" };
    CheckEnd { message: message.into(), ..CheckEnd::new(kind, local, backend, cause, Time::default()) }
}

#[test]
fn neighbours_settle_what_is_ambiguous() {
    use CheckKind::{Exec, Process, Router, Tcp, X};
    let refused = end(Router, Bad, Unknown, Cause::Refused);
    let silent = end(Router, Unknown, Unknown, Cause::NoReply);
    let well = end(Router, Good, Good, Cause::Ok);
    let nobody = end(Router, Good, Bad, Cause::QueryFailed);
    let lives = end(Process, Good, Unknown, Cause::Ok);
    let listens = end(Tcp, Good, Unknown, Cause::Ok);
    let of = |ends: &[&CheckEnd]| {
        let all = combine(ends.iter().copied());
        assert_eq!(all.message.is_empty(), all.cause == Cause::Ok, "{all:?}");
        (all.local, all.backend, all.cause)
    };
    // A closed port is the router's death only where nothing shows that it lives.
    assert_eq!(of(&[&refused]), (Bad, Unknown, Cause::Refused));
    assert_eq!(of(&[&refused, &refused]), (Bad, Unknown, Cause::Refused));
    for alive in [&lives, &listens, &well, &nobody] {
        assert_eq!(of(&[&refused, alive]), (Good, Bad, Cause::Ok), "{alive:?}");
        assert_eq!(of(&[alive, &refused]), (Good, Bad, Cause::Ok), "{alive:?}");
    }
    // Silence is settled by a port that reacts, not by a process that exists: a stopped one does.
    assert_eq!(of(&[&silent, &lives, &listens]), (Unknown, Unknown, Cause::NoReply));
    assert_eq!(of(&[&silent, &well]), (Good, Good, Cause::Ok));
    assert_eq!(of(&[&silent, &end(X, Good, Bad, Cause::NoReply)]), (Good, Bad, Cause::Ok));
    assert_eq!(of(&[&silent, &end(X, Bad, Unknown, Cause::NoReply)]), (Bad, Unknown, Cause::NoReply));
    // The prober's own trouble counts for nothing.
    let ours = end(Router, Unknown, Unknown, Cause::Local);
    assert_eq!(of(&[&ours, &well]), (Good, Good, Cause::Ok));
    assert_eq!(of(&[&ours]), (Unknown, Unknown, Cause::Local));
    // A death that is known, and what a program says, are final.
    let dead = end(Process, Bad, Unknown, Cause::ProcessExit);
    assert_eq!(of(&[&well, &dead, &listens]), (Bad, Good, Cause::ProcessExit));
    assert_eq!(of(&[&well, &end(Exec, Bad, Unknown, Cause::QueryFailed)]), (Bad, Good, Cause::QueryFailed));
    assert_eq!(of(&[&well, &nobody]), (Good, Bad, Cause::Ok));
    assert_eq!(combine([]).local, Unknown);
}

proptest! {
    /// Whatever comes, in whatever order: one end for each check, no deadline behind the check's own, nothing asked
    /// that the connection cannot do, no password in clear, none in words.
    #[test]
    fn the_contract_holds(x: bool, acts: Vec<(u8, Vec<u8>)>) {
        let check = if x { router_x(Role::Rw) } else { router(Role::Rw) };
        let mut rig = Rig::new(check);
        let (mut begun, mut link) = (0, 0_i32);
        let mut ended = 0;
        for (act, bytes) in acts {
            let seen = rig.asked.len();
            match act % 8 {
                0 if !rig.check.is_checking() => { begun += 1; rig.begin(); }
                1 if link == 1 => { link = 2; rig.connected(); }
                2 if link == 1 => { link = 0; rig.failed(i32::from(act)); }
                3 => { rig.bytes(&bytes); }
                4 if link == 2 => { let name = if x { "mysqlrouter-9.7-x" } else { "mysqlrouter-9.7-rw" };
                    rig.play(name, usize::from(act) / 8 % 6); }
                5 if link == 2 => { rig.eof(); }
                6 if rig.check.is_checking() => { rig.late([PeerSign::Acknowledged, PeerSign::NotAcknowledged][usize::from(act) / 8 % 2]); }
                7 => { rig.wait(u64::from(act) * 50); }
                _ => {}
            }
            for asked in rig.asked[seen..].iter() {
                match *asked {
                    "connect" => { prop_assert_eq!(link, 0); link = 1; }
                    "send" => prop_assert_eq!(link, 2),
                    "close" => { prop_assert!(link != 0); link = 0; }
                    "done" => ended += 1,
                    other => prop_assert!(false, "{} asked", other),
                }
            }
            prop_assert_eq!(begun - ended, i32::from(rig.check.is_checking()));
            prop_assert_eq!(rig.check.has_connection(), link != 0);
            prop_assert!(!rig.sent.windows(6).any(|w| w == b"s3cret"));
        }
        for end in &rig.done {
            let shown = format!("{end:?}");
            prop_assert!(!shown.contains("s3cret"));
            prop_assert!(end.ended.since(end.started) <= REQUEST.check_timeout + Duration::from_secs(3600));
        }
    }
}
