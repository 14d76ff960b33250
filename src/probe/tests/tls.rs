//! The session between a server that offers TLS and a driver that does it.

use super::*;

/// A session that wants TLS, past the greeting of a server that offers it.
fn starting(encryption: Encryption) -> Rig {
    let mut rig =
        Rig::with(SessionConfig { encryption, ..config("primacy", Some("s3cret"), Transport::Plain) });
    rig.begin(PROBE).connected().play("mysql-9.7-fast", 0, 1);
    rig
}

#[test]
fn the_order_of_things() {
    let mut rig = starting(Encryption::Always);
    assert_eq!(rig.asks(), "connect send tls", "the request goes out before the handshake");
    rig.wait(MS(100)).tls_up();
    assert_eq!(rig.asks(), "send", "the login");
    assert_eq!(rig.sent[1][3], 2);
    // Each phase has its own time: the handshake's end began the login's.
    assert_eq!(rig.session.poll_timeout(), Some(rig.now + MS_250));
}

#[test]
fn a_failed_handshake_names_version_and_cause() {
    let mut rig = starting(Encryption::IfOffered);
    rig.tls_failed("the server's certificate has expired; renew it");
    let end = rig.take();
    assert_eq!(end.cause, Cause::TlsError);
    assert!(end.message.starts_with("TLS with server 9.7"), "{}", end.message);
    assert!(end.message.ends_with("certificate has expired; renew it"), "{}", end.message);
    assert_eq!(rig.asks(), "connect send tls close done", "no second attempt in clear");
    // As late as instead of the login's verdict: TLS 1.3 servers look at our certificate then.
    let mut rig = starting(Encryption::Always);
    rig.tls_up().tls_failed("the server does not accept our certificate");
    assert_eq!(rig.take().cause, Cause::TlsError);
    // Closing in the middle of it.
    let mut rig = starting(Encryption::Always);
    rig.eof();
    let end = rig.take();
    assert_eq!(end.cause, Cause::TlsError);
    assert!(end.message.contains("during the TLS handshake"), "{}", end.message);
    let mut rig = starting(Encryption::Always);
    assert_eq!(rig.reset(104).take().cause, Cause::TlsError);
}

#[test]
fn a_server_that_hangs_in_the_handshake_hangs() {
    let mut rig = starting(Encryption::Always);
    rig.late(PeerSign::Acknowledged);
    let end = rig.take();
    assert_eq!(end.cause, Cause::NoReply);
    assert!(end.message.contains("TLS handshake"), "{}", end.message);
    // The connection is waited for by the next probe, then goes on.
    assert_eq!(rig.asks(), "connect send tls done");
    rig.begin(FRESH).tls_up();
    assert_eq!(rig.asks(), "send");
}

#[test]
fn on_a_kept_connection_tls_errors_prove_nothing() {
    let mut rig = Rig::kept();
    rig.begin(PROBE).tls_failed("bad record");
    assert_eq!(rig.asks(), "send close connect", "a fresh connection decides");
    let mut rig = Rig::kept();
    rig.tls_failed("bad record");
    assert_eq!(rig.asks(), "close lost");
    // Notices of a driver that lags behind are no defect.
    rig.tls_up().tls_failed("again");
    assert_eq!(rig.asks(), "");
}
