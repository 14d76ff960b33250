//! Connections that fail, close, or say that something is wrong.

use super::*;

#[test]
fn connects_that_fail() {
    for (errno, cause) in [
        (111, Cause::Refused),
        (104, Cause::Reset),
        (103, Cause::Reset),
        (110, Cause::NoAck),
        (113, Cause::Unreachable),
        (101, Cause::Unreachable),
        (24, Cause::Local),
        (23, Cause::Local),
        (12, Cause::Local),
        (99, Cause::Local),
        (100, Cause::Local),
        (105, Cause::Local),
        (1, Cause::Local),
        (13, Cause::Local),
        (2, Cause::Local),
        (11, Cause::Local),
    ] {
        let mut rig = Rig::new();
        assert_eq!(rig.begin(PROBE).failed(errno).cause(), (cause, errno as u32), "errno {errno}");
        assert_eq!(rig.asks(), "connect done");
        assert!(!rig.session.has_connection());
    }
    for (errno, cause) in
        [(2, Cause::Refused), (111, Cause::Refused), (11, Cause::NoReply), (13, Cause::Local)]
    {
        let mut rig = Rig::with(config("a", None, Transport::Unix));
        assert_eq!(rig.begin(PROBE).failed(errno).cause().0, cause, "errno {errno} on a unix socket");
    }
}

#[test]
fn closed_in_every_phase_of_a_fresh_connection() {
    let start = |events| {
        let mut rig = Rig::new();
        rig.begin(PROBE).connected().play("mariadb-10.11-replica", 0, events);
        rig
    };
    // Before the greeting it is proof, after it it is none.
    assert_eq!(start(0).eof().cause(), (Cause::Reset, 0));
    assert_eq!(start(0).reset(104).cause(), (Cause::Reset, 104));
    assert_eq!(start(0).bytes(b"J\0\0").eof().cause(), (Cause::ProtocolError, 0));
    assert_eq!(start(1).eof().cause(), (Cause::ProtocolError, 0));
    assert_eq!(start(1).reset(104).cause(), (Cause::ProtocolError, 104));
    assert_eq!(start(3).eof().cause(), (Cause::ProtocolError, 0));
    assert_eq!(start(3).bytes(&[1]).eof().cause(), (Cause::ProtocolError, 0));
    assert_eq!(start(3).reset(32).cause(), (Cause::ProtocolError, 32));
    // The network's own words stay what they are.
    assert_eq!(start(1).reset(110).cause(), (Cause::NoAck, 110));
    assert_eq!(start(3).reset(113).cause(), (Cause::Unreachable, 113));
    for events in [0, 1, 3] {
        let mut rig = start(events);
        rig.eof();
        assert!(rig.asks().ends_with("close done"));
    }
}

#[test]
fn what_is_not_mysql() {
    for garbage in [&b"HTTP/1.1 400 Bad Request\r\n"[..], &[0xFF; 64], &[0, 0x2D, 0x31, 0], &[0; 64]] {
        let mut rig = Rig::new();
        assert_eq!(rig.begin(PROBE).connected().bytes(garbage).cause(), (Cause::ProtocolError, 0));
        assert!(rig.asks().ends_with("close done"));
    }
}

#[test]
fn a_kept_connection_lost_between_probes_is_a_hint() {
    let word: &[u8] = b"\x22\0\0\0\xFF\xBF\x0F#HY000disconnected by the server";
    for lose in [
        |r: &mut Rig| {
            r.eof();
        },
        |r: &mut Rig| {
            r.reset(104);
        },
        |r: &mut Rig| {
            r.bytes(b"garbage");
        },
    ] {
        let mut rig = Rig::kept();
        lose(&mut rig);
        assert_eq!(rig.asks(), "close lost");
        assert!(rig.done.is_empty());
        rig.begin(PROBE);
        assert_eq!(rig.asks(), "connect");
    }
    let mut rig = Rig::kept();
    rig.bytes(&[&[word.len() as u8 - 4], &word[1..]].concat());
    assert_eq!(rig.asks(), "close lost");
}

fn error(sequence: u8, code: u16) -> Vec<u8> {
    let [low, high] = code.to_le_bytes();
    let mut bytes = vec![0, 0, 0, sequence, 0xFF, low, high];
    bytes.extend_from_slice(b"#HY000words");
    bytes[0] = bytes.len() as u8 - 4;
    bytes
}

#[test]
fn a_kept_connection_that_dies_within_a_probe_proves_nothing() {
    let ends: [fn(&mut Rig); 8] = [
        |rig| {
            rig.eof();
        },
        |rig| {
            rig.reset(104);
        },
        |rig| {
            rig.reset(110);
        },
        |rig| {
            rig.bytes(&error(1, 1317));
        },
        |rig| {
            rig.bytes(&error(1, 1927));
        },
        |rig| {
            rig.bytes(&error(0, 4031));
        },
        |rig| {
            rig.bytes(&error(1, 1053));
        },
        |rig| {
            rig.bytes(b"HTTP/1.1 400");
        },
    ];
    for (index, end) in ends.into_iter().enumerate() {
        let mut rig = Rig::kept();
        rig.begin(PROBE);
        rig.sent.clear();
        end(&mut rig);
        assert_eq!(rig.asks(), "send close connect", "case {index}");
        rig.connected().play("mysql-9.7-fast", 0, 5);
        assert_eq!(rig.cause(), (Cause::Ok, 0), "case {index}: the fresh connection decides");

        let mut rig = Rig::kept();
        rig.begin(PROBE);
        end(&mut rig);
        let shut = index == 6;
        let expected = if shut { (Cause::ShuttingDown, 1053) } else { (Cause::Refused, 111) };
        assert_eq!(rig.failed(111).cause(), expected, "case {index}");

        // The second death in a probe is that of a fresh connection.
        let mut rig = Rig::kept();
        rig.begin(PROBE);
        end(&mut rig);
        let expected = if shut { (Cause::ShuttingDown, 1053) } else { (Cause::Reset, 0) };
        assert_eq!(rig.connected().eof().cause(), expected, "case {index}");
    }
    // Said between two probes it counts as well, once.
    let mut rig = Rig::kept();
    rig.bytes(&error(0, 1053)).asks();
    assert_eq!(rig.begin(PROBE).failed(111).cause(), (Cause::ShuttingDown, 1053));
    assert_eq!(rig.begin(PROBE).failed(111).cause(), (Cause::Refused, 111));
    // Said by a fresh connection it is a verdict.
    let mut rig = Rig::new();
    rig.begin(PROBE).connected().play("mariadb-10.11-replica", 0, 4);
    assert_eq!(rig.bytes(&error(1, 1053)).cause(), (Cause::ShuttingDown, 1053));
}

#[test]
fn errors_by_number() {
    for (code, cause) in [
        (1040, Cause::TooManyConnections),
        (1203, Cause::TooManyConnections),
        (1044, Cause::AuthDenied),
        (1698, Cause::AuthDenied),
        (1862, Cause::AuthDenied),
        (3118, Cause::AuthDenied),
        (1129, Cause::HostBlocked),
        (1130, Cause::HostBlocked),
        (1053, Cause::ShuttingDown),
        (3032, Cause::OfflineMode),
        (1205, Cause::QueryFailed),
    ] {
        let mut rig = Rig::new();
        rig.begin(PROBE).connected();
        assert_eq!(rig.bytes(&error(0, code)).cause(), (cause, u32::from(code)));
        assert!(rig.asks().ends_with("close done"));
    }
    // An error that is not about the connection leaves it as it is.
    let mut rig = Rig::kept();
    rig.begin(PROBE).bytes(&error(1, 1205));
    assert_eq!((rig.cause().0, rig.asks().as_str()), (Cause::QueryFailed, "send done"));
    rig.begin(PROBE);
    assert_eq!(rig.asks(), "send");
}
