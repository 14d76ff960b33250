//! The checks of a router tier against real MySQL 9.7 servers behind a real MySQL Router 9.7.
#![cfg(feature = "tls")]

mod drive;
mod servers;

use Verdict::{Bad, Good, Unknown};
use drive::Driver;
use primacy::engine::time::Duration;
use primacy::probe::{Cause, Check, CheckEnd, CheckRequest, Protocol, Role, SessionConfig, Verdict, combine};
use primacy::wire::{Encryption, RsaPolicy, Secret, Transport};
use servers::{Tier, local, wait_for};

/// For answers that are to come: the machine may be busy.
const PATIENT: CheckRequest =
    CheckRequest { timeout: Duration::from_secs(10), check_timeout: Duration::from_secs(25) };
/// For answers that are not to come.
const SHORT: CheckRequest =
    CheckRequest { timeout: Duration::from_millis(400), check_timeout: Duration::from_millis(5_000) };

fn config(encryption: Encryption) -> SessionConfig {
    SessionConfig {
        group: false,
        user: "primacy".into(),
        password: Some(Secret::new("s3cret")),
        transport: Transport::Plain,
        encryption,
        rsa: RsaPolicy::Refuse,
        max_packet: SessionConfig::MAX_PACKET,
    }
}

fn router(port: u16, protocol: Protocol, role: Role, encryption: Encryption) -> Driver {
    Driver::new(Check::router(config(encryption), protocol, role), local(port))
}

fn classic(port: u16, role: Role) -> Driver {
    router(port, Protocol::Classic, role, Encryption::IfOffered)
}

fn x(port: u16) -> Driver {
    Driver::new(Check::x(config(Encryption::IfOffered)), local(port))
}

#[track_caller]
fn expect(end: &CheckEnd, local: Verdict, backend: Verdict, cause: Cause) {
    assert_eq!((end.local, end.backend, end.cause), (local, backend, cause), "{end:?}");
}

#[test]
fn a_tier() {
    let mut tier = Tier::start();
    healthy(&tier);
    logins_of_the_x_protocol(&tier);
    full(&tier);
    servers_stopped(&tier);
    router_stopped(&tier);
    servers_gone(&mut tier);
    router_gone(&mut tier);
}

fn healthy(tier: &Tier) {
    let ports = tier.ports;
    let mut uuids = Vec::new();
    for (port, server, role, backend) in [
        (ports.rw, 0, Role::Rw, Good),
        (ports.rw, 0, Role::RoStrict, Bad),
        (ports.own, 0, Role::Rw, Good),
        (ports.ro, 1, Role::Ro, Good),
        (ports.ro, 1, Role::RoStrict, Good),
        (ports.ro, 1, Role::Rw, Bad),
    ] {
        let end = classic(port, role).run(PATIENT);
        expect(&end, Good, backend, Cause::Ok);
        let seen = end.server.expect("a server");
        assert_eq!(seen.port, Some(tier.servers[server].port));
        assert_eq!(seen.writable(), Some(server == 0));
        uuids.push((server, seen.uuid.expect("a uuid")));
    }
    uuids.sort();
    uuids.dedup();
    assert_eq!(uuids.len(), 2, "each server says who it is: {uuids:?}");
    let end = Driver::new(Check::tcp(Transport::Plain), local(ports.rw)).run(PATIENT);
    expect(&end, Good, Unknown, Cause::Ok);
    // The same check again makes a new connection.
    let mut driver = classic(ports.rw, Role::Rw);
    for connects in 1..=3 {
        expect(&driver.run(PATIENT), Good, Good, Cause::Ok);
        assert_eq!(driver.connects, connects);
    }
}

fn logins_of_the_x_protocol(tier: &Tier) {
    let x_port = tier.servers[0].x_port;
    let clear = |port| router(port, Protocol::X, Role::Rw, Encryption::Off);
    let tls = |port| router(port, Protocol::X, Role::Rw, Encryption::Always);
    // In clear only once the server's cache has the account, which a login over TLS brings about.
    let end = clear(x_port).run(PATIENT);
    expect(&end, Good, Bad, Cause::AuthDenied);
    assert!(end.message.contains("over TLS"), "{end:?}");
    for port in [x_port, tier.ports.x_rw] {
        for mut driver in [tls(port), clear(port), x(port)] {
            let end = driver.run(PATIENT);
            expect(&end, Good, Good, Cause::Ok);
            let seen = end.server.map(|server| (server.port, server.writable()));
            assert!(seen.is_none_or(|s| s == (Some(tier.servers[0].port), Some(true))), "{seen:?}");
        }
    }
    // The wrong protocol at either port: nobody of ours owns it.
    let end = router(x_port, Protocol::Classic, Role::Rw, Encryption::Off).run(SHORT);
    expect(&end, Bad, Unknown, Cause::ProtocolError);
    let end = x(tier.servers[0].port).run(PATIENT);
    expect(&end, Bad, Unknown, Cause::ProtocolError);
    assert!(end.message.contains("classic protocol"), "{end:?}");
}

fn full(tier: &Tier) {
    let mut holder = std::net::TcpStream::connect(local(tier.ports.few)).expect("a connection");
    let mut greeting = [0; 64];
    std::io::Read::read(&mut holder, &mut greeting).expect("a greeting");
    let end = classic(tier.ports.few, Role::Rw).run(PATIENT);
    expect(&end, Good, Unknown, Cause::TooManyConnections);
    assert_eq!(end.errno, 1040);
}

/// Databases that hang: told at ports where the router speaks for itself, not told at the others.
fn servers_stopped(tier: &Tier) {
    let ports = tier.ports;
    let (mut rw, mut own, mut x_rw) =
        (classic(ports.rw, Role::Rw), classic(ports.own, Role::Rw), x(ports.x_rw));
    tier.servers.iter().for_each(|server| server.process.stop());
    let ends = [rw.run(SHORT), own.run(SHORT), x_rw.run(SHORT)];
    expect(&ends[0], Unknown, Unknown, Cause::NoReply);
    expect(&ends[1], Good, Bad, Cause::NoReply);
    expect(&ends[2], Good, Bad, Cause::NoReply);
    assert_eq!(x_rw.connects, 2, "the goodbye took a connection of its own");
    let all = combine(&ends);
    assert_eq!((all.local, all.backend, all.cause), (Good, Bad, Cause::Ok), "{all:?}");
    expect(&rw.run(SHORT), Unknown, Unknown, Cause::NoReply);
    assert_eq!(rw.connects, 1, "the connection in trouble is waited for");
    tier.servers.iter().for_each(|server| server.process.signal(libc::SIGCONT));
    wait_for("all is well again", || rw.run(PATIENT).backend == Good && own.run(PATIENT).local == Good);
    // Patience with the X port ends with the check's life; a new one sees at once.
    wait_for("X is well again", || x(ports.x_rw).run(PATIENT).backend == Good);
}

/// A router that hangs: told at an X port, not told at a classic one that passes TLS on.
fn router_stopped(tier: &Tier) {
    let ports = tier.ports;
    tier.router.stop();
    let ends = [classic(ports.rw, Role::Rw).run(SHORT), x(ports.x_rw).run(SHORT)];
    expect(&ends[0], Unknown, Unknown, Cause::NoReply);
    expect(&ends[1], Bad, Unknown, Cause::NoReply);
    // The kernel accepts for it.
    let tcp = Driver::new(Check::tcp(Transport::Plain), local(ports.rw)).run(SHORT);
    expect(&tcp, Good, Unknown, Cause::Ok);
    let all = combine(ends.iter().chain([&tcp]));
    assert_eq!((all.local, all.cause), (Bad, Cause::NoReply), "{all:?}");
    tier.router.signal(libc::SIGCONT);
    wait_for("the router is well again", || x(ports.x_rw).run(PATIENT).backend == Good);
}

/// No database at all: the router's own words, and a port that it closes.
fn servers_gone(tier: &mut Tier) {
    let ports = tier.ports;
    tier.servers.iter_mut().for_each(|server| server.process.kill());
    let (mut rw, mut ro, mut x_rw) =
        (classic(ports.rw, Role::Rw), classic(ports.ro, Role::Ro), x(ports.x_rw));
    wait_for("error 2003", || rw.run(PATIENT).errno == 2003);
    wait_for("the closed port", || ro.run(PATIENT).cause == Cause::Refused);
    let ends = [rw.run(PATIENT), ro.run(PATIENT), x_rw.run(PATIENT)];
    expect(&ends[0], Good, Bad, Cause::QueryFailed);
    expect(&ends[1], Bad, Unknown, Cause::Refused);
    expect(&ends[2], Good, Bad, Cause::QueryFailed);
    assert_eq!((ends[0].errno, ends[2].errno), (2003, 2026));
    let all = combine(&ends);
    assert_eq!((all.local, all.backend, all.cause), (Good, Bad, Cause::Ok), "{all:?}");
    assert!(all.backend_message.contains("a port is closed while the router lives"), "{all:?}");
}

fn router_gone(tier: &mut Tier) {
    let ports = tier.ports;
    tier.router.kill();
    let ends = [classic(ports.rw, Role::Rw).run(PATIENT), x(ports.x_rw).run(PATIENT)];
    expect(&ends[0], Bad, Unknown, Cause::Refused);
    expect(&ends[1], Bad, Unknown, Cause::Refused);
    let all = combine(&ends);
    assert_eq!((all.local, all.backend, all.cause), (Bad, Unknown, Cause::Refused), "{all:?}");
}
