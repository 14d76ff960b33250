//! What a probe's end is called, by what the server's side does.

use crate::support::*;
use primacy::probe::Cause;
use std::time::{Duration, Instant};

const FAST: &str = "interval = \"50ms\"\ntimeout = \"100ms\"\nprobe_timeout = \"400ms\"";

fn first_cause(address: &str) -> (Cause, String) {
    let instance = instance(&[address.to_owned()], "", FAST);
    instance.start().expect("start");
    let node = wait_for("the first observation", Duration::from_secs(3), || {
        Some(node(&instance, 0)).filter(|n| n.cause.is_some())
    });
    (node.cause.expect("a cause"), node.message)
}

#[test]
fn nobody_listens() {
    let _alone = alone();
    assert_eq!(first_cause(&refusing().to_string()).0, Cause::Refused);
}

#[test]
fn accepts_and_says_nothing() {
    let _alone = alone();
    let server = Server::start(Behaviour::Silent);
    let start = Instant::now();
    let (cause, message) = first_cause(&server.address.to_string());
    assert_eq!(cause, Cause::NoReply, "{message}");
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(100) && took < Duration::from_millis(500), "took {took:?}");
}

#[test]
fn resets_after_accept() {
    let _alone = alone();
    let server = Server::start(Behaviour::Reset);
    let (cause, message) = first_cause(&server.address.to_string());
    assert_eq!(cause, Cause::Reset, "{message}");
}

#[test]
fn speaks_http() {
    let _alone = alone();
    let server = Server::start(Behaviour::Http);
    let (cause, message) = first_cause(&server.address.to_string());
    assert_eq!(cause, Cause::ProtocolError, "{message}");
}

#[test]
fn a_unix_socket_without_a_server() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mysqld.sock");
    let (cause, message) = first_cause(&format!("unix:{}", path.display()));
    assert_eq!(cause.class(), primacy::probe::Class::Gone, "{cause} {message}");
}

#[test]
fn a_unix_socket_whose_server_does_not_accept() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mysqld.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
    // SAFETY: no pointer is passed. The backlog of 0 leaves room for one connection.
    assert_eq!(unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 0) }, 0);
    let _fills_the_backlog = std::os::unix::net::UnixStream::connect(&path).expect("connect");
    let (cause, message) = first_cause(&format!("unix:{}", path.display()));
    assert_eq!(cause, Cause::NoReply, "{message}");
}

#[test]
fn a_backlog_that_empties_in_time_does_no_harm() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mysqld.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
    // SAFETY: no pointer is passed.
    assert_eq!(unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 0) }, 0);
    let _fills_the_backlog = std::os::unix::net::UnixStream::connect(&path).expect("connect");
    let accepting = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        let first = listener.accept().expect("the filler").0;
        let mut probe = listener.accept().expect("the probe").0;
        std::io::Write::write_all(&mut probe, b"not MySQL at all\r\n").expect("a write");
        (first, probe, listener)
    });
    let (cause, message) = first_cause(&format!("unix:{}", path.display()));
    assert_eq!(cause, Cause::ProtocolError, "the words of the server have arrived: {message}");
    accepting.join().expect("the server");
}

#[test]
fn a_name_without_an_address_is_blind() {
    let _alone = alone();
    let (cause, message) = first_cause("no-such-host.invalid:3306");
    assert_eq!(cause, Cause::Dns);
    assert!(message.contains("no-such-host.invalid"), "{message}");
}

#[test]
fn a_name_resolves_to_all_its_addresses() {
    let _alone = alone();
    let server = Server::start(Behaviour::Http);
    // Where localhost is ::1 too, nobody listens there, and the second address is tried in the same probe.
    let (cause, message) = first_cause(&format!("localhost:{}", server.address.port()));
    assert_eq!(cause, Cause::ProtocolError, "{message}");
}
