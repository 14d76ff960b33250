//! Names with several addresses, against sockets of the kernel: one that nobody acknowledges, one that nobody listens
//! on, one that answers.

use super::{Driver, Mode, NodeSetup};
use crate::engine::notice::Reason;
use crate::engine::{Input, NodeRef, Severity};
use crate::io::clock;
use crate::io::descriptor::Registry;
use crate::probe::{AddressBook, Cause, Observation, SessionConfig};
use crate::wire::{Encryption, RsaPolicy, Transport};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

const NODE: NodeRef = NodeRef { pool: 0, node: 0 };
const TIMEOUT: Duration = Duration::from_millis(600);

fn driver(addresses: &[SocketAddr]) -> Driver {
    let mut book = AddressBook::named();
    book.resolved(clock::mono(), Ok(addresses.to_vec()));
    let setup = NodeSetup {
        node: NODE,
        unix: None,
        name: Some(("several.invalid".into(), 3306)),
        book,
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
        timeout: TIMEOUT,
        probe_timeout: TIMEOUT * 2,
        max_lag: None,
        router: None,
        lane: None,
    };
    Driver::new(Mode::Host, &Registry::new(64), vec![setup]).expect("descriptors")
}

fn probe(driver: &mut Driver, number: u64) -> Observation {
    driver.probe(clock::mono(), NODE, number, true);
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        driver.poll(clock::mono()).expect("poll");
        driver.judge_deadlines(clock::mono());
        while let Some(input) = driver.next_input() {
            if let Input::Probed { probe, observation, .. } = input {
                assert_eq!(probe, number);
                return observation;
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("no observation");
}

/// A listener whose queue is full: further SYNs are dropped, as by a host that is gone. Lives as long as what is
/// returned with it.
fn silent() -> (SocketAddr, impl Drop) {
    struct Kept(#[allow(dead_code)] TcpListener, #[allow(dead_code)] Vec<TcpStream>);
    impl Drop for Kept {
        fn drop(&mut self) {}
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    // SAFETY: no pointer is passed. A second listen(2) makes the queue shorter.
    assert_eq!(unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 0) }, 0);
    let mut filling = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        filling.push(stream);
        assert!(filling.len() < 100, "the queue does not fill");
    }
    (address, Kept(listener, filling))
}

fn refusing() -> SocketAddr {
    // Bound and not listening: nobody else gets the port while the test runs, nearly surely.
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port")
}

/// Says "Too many connections" to everybody.
fn answering() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = (&stream).write_all(b"\x17\0\0\0\xff\x10\x04Too many connections");
        }
    });
    address
}

#[test]
fn a_silent_address_leaves_time_for_the_next_one() {
    let (silent, _kept) = silent();
    let good = answering();
    for addresses in [vec![silent, good], vec![refusing(), silent, good]] {
        let mut driver = driver(&addresses);
        let begun = Instant::now();
        let end = probe(&mut driver, 1);
        assert_eq!(end.cause, Cause::TooManyConnections, "{end:?}");
        assert!(begun.elapsed() < TIMEOUT, "inside one deadline: {:?}", begun.elapsed());
        // The one that answered is the first to try from now on.
        let begun = Instant::now();
        assert_eq!(probe(&mut driver, 2).cause, Cause::TooManyConnections);
        assert!(begun.elapsed() < TIMEOUT / 4, "at once: {:?}", begun.elapsed());
    }
}

#[test]
fn silence_outweighs_a_refusal() {
    let (silent, _kept) = silent();
    // The server may live where nobody acknowledged; a refusal elsewhere must not fail it fast.
    for addresses in [[silent, refusing()], [refusing(), silent]] {
        let mut driver = driver(&addresses);
        for number in 1..4 {
            let end = probe(&mut driver, number);
            assert_eq!(end.cause, Cause::NoAck, "probe {number}: {end:?}");
        }
    }
    let mut driver = driver(&[refusing(), refusing()]);
    assert_eq!(probe(&mut driver, 1).cause, Cause::Refused);
}

#[test]
fn a_resolver_outage_takes_nothing_away() {
    // "several.invalid" never resolves (RFC 6761); the driver asks as soon as its answer is old enough.
    let mut driver = driver(&[answering()]);
    let until = Instant::now() + Duration::from_millis(1500);
    let mut number = 0;
    while Instant::now() < until {
        number += 1;
        assert_eq!(probe(&mut driver, number).cause, Cause::TooManyConnections);
        std::thread::sleep(Duration::from_millis(50));
    }
    // A refusal by the server put the name in doubt, so it was asked within this time, in vain.
    let (_, book) = driver.books().remove(0);
    assert!(book.is_asked() || !book.error().is_empty(), "{book:?}");
    assert_eq!(book.len(), 1);
}

#[test]
fn what_changes_in_a_name_is_told_once() {
    let address = |text: &str| -> SocketAddr { text.parse().expect("a literal") };
    let (first, second) = (address("10.0.0.1:3306"), address("10.0.0.2:3306"));
    let mut driver = driver(&[first]);
    let mut told = |answer: Result<Vec<SocketAddr>, String>| {
        driver.resolved(clock::mono(), 0, answer);
        let told: Vec<_> = std::iter::from_fn(|| driver.next_notice()).collect();
        assert!(told.iter().all(|notice| notice.node == Some(NODE)), "{told:?}");
        told
    };
    assert_eq!(told(Ok(vec![first])), []);
    let moved = told(Ok(vec![second, first]));
    assert_eq!((moved.len(), moved[0].reason, moved[0].severity), (1, Reason::Address, Severity::Warning));
    assert!(moved[0].message.contains("10.0.0.1, 10.0.0.2 now; it was 10.0.0.1"), "{moved:?}");
    assert_eq!(told(Ok(vec![first, second])), [], "another order is no other address");
    let failed = told(Err("no such host".into()));
    assert_eq!((failed.len(), failed[0].reason), (1, Reason::Unresolved));
    assert!(
        failed[0].message.contains("no such host") && failed[0].message.contains("10.0.0.1"),
        "{failed:?}"
    );
    assert_eq!(told(Err("no such host".into())), [], "it was told");
    let again = told(Ok(vec![first, second]));
    assert_eq!((again.len(), again[0].reason, again[0].severity), (1, Reason::Resolved, Severity::Info));
    let figures = driver.figures();
    assert_eq!((figures.tally.resolved, figures.tally.unresolved), (4, 2));
}

#[test]
fn a_helper_that_does_not_get_on_is_told_and_its_end_too() {
    let mut driver = driver(&[answering()]);
    driver.helper().expect("a thread").resolve(0, "several.invalid".into(), 3306);
    let asked = clock::mono();
    driver.watch_helper(asked + Duration::from_secs(1));
    assert_eq!(driver.next_notice(), None);
    // Its answer is not taken, which is the same as if it had not come.
    driver.watch_helper(asked + Duration::from_secs(3));
    let told = driver.next_notice().expect("a word");
    assert_eq!((told.reason, told.severity, told.node), (Reason::Slow, Severity::Warning, None));
    driver.watch_helper(asked + Duration::from_secs(4));
    assert_eq!(driver.next_notice(), None, "once");
    let until = Instant::now() + Duration::from_secs(20);
    let told = loop {
        driver.take_results(clock::mono());
        if let Some(told) =
            std::iter::from_fn(|| driver.next_notice()).find(|notice| notice.reason == Reason::Slow)
        {
            break told;
        }
        assert!(Instant::now() < until, "the resolver does not answer");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(told.severity, Severity::Info);
}
