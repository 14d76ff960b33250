//! The machine against recorded servers and routers, cut at every place, and against servers that misbehave.

use super::message::{Frame, first_frame};
use super::*;
use crate::wire::recording::{Event, recording};
use crate::wire::server_error::WireErrorKind;
use proptest::prelude::*;

const SQL: &str = "SELECT @@server_uuid, @@hostname, @@port, @@read_only, @@super_read_only";

const RECORDINGS: [&str; 8] = [
    "mysqlx-9.7-tls",
    "mysqlx-9.7-sha256",
    "mysqlx-9.7-denied",
    "mysqlx-9.7-statement-error",
    "mysqlrouter-9.7-x",
    "mysqlrouter-9.7-x-own",
    "mysqlrouter-9.7-x-full",
    "mysqlrouter-9.7-x-nobody",
];

fn config(encryption: Encryption) -> XConfig {
    XConfig {
        user: "primacy".into(),
        password: Some(Secret::new("s3cret")),
        transport: Transport::Plain,
        encryption,
        max_message: 1 << 16,
    }
}

fn client(name: &str) -> XClient {
    let tls = name.ends_with("-tls");
    XClient::new(config(if tls { Encryption::Always } else { Encryption::Off }))
}

/// What a conversation taught, as text; a TLS handshake succeeds at once.
fn learn(client: &mut XClient, into: &mut Vec<String>) {
    let mut up = false;
    while let Some(answer) = client.poll_answer() {
        up |= answer == XAnswer::StartTls;
        into.push(format!("{answer:?}"));
    }
    if up {
        client.handle_tls_up().unwrap();
    }
}

/// Plays a recording, each burst of the server handed in as `cut` divides it.
fn play(name: &str, cut: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> Vec<String> {
    let sql = if name.contains("statement-error") { "SELECT @@nope" } else { SQL };
    let mut client = client(name);
    let mut learnt = Vec::new();
    for (index, event) in recording(name).into_iter().enumerate() {
        match event {
            Event::Server(burst) => {
                for piece in cut(&burst) {
                    client.handle_bytes(&piece).unwrap_or_else(|e| panic!("{name}, event {index}: {e}"));
                    learn(&mut client, &mut learnt);
                }
            }
            Event::Client(expected) => {
                if client.phase() == XPhase::Idle {
                    if expected == [1, 0, 0, 0, 3] {
                        client.quit();
                    } else {
                        assert!(client.query(sql), "{name}");
                    }
                }
                let sent = client.poll_transmit().map(<[u8]>::to_vec);
                assert_eq!(sent, Some(expected), "{name}, event {index}");
            }
            Event::Close => client.handle_eof().unwrap(),
        }
    }
    assert!(client.poll_transmit().is_none(), "{name}: more to send than the recording has");
    learnt
}

fn whole(burst: &[u8]) -> Vec<Vec<u8>> {
    vec![burst.to_vec()]
}

#[test]
fn recorded_servers_are_understood() {
    for name in RECORDINGS {
        let all = play(name, whole).join("\n");
        match name {
            "mysqlx-9.7-tls" | "mysqlx-9.7-sha256" | "mysqlrouter-9.7-x" | "mysqlrouter-9.7-x-own" => {
                assert_eq!(all.contains("StartTls"), name == "mysqlx-9.7-tls");
                assert!(all.contains("LoggedIn\nResult("), "{name}: {all}");
                assert!(
                    all.contains("Unsigned(27101), Signed(0), Signed(0)]), rows: 1, error: None"),
                    "{all}"
                );
            }
            "mysqlx-9.7-denied" => {
                assert!(all.starts_with("Refused(ServerError { code: 1045, "), "{all}");
                assert!(all.contains("only after it did so over TLS"), "{all}");
            }
            "mysqlx-9.7-statement-error" => {
                assert!(all.contains("error: Some(ServerError { code: 1193"), "{all}");
            }
            "mysqlrouter-9.7-x-full" => {
                assert!(all.contains("code: 1040") && all.contains("to MySQL Router"), "{all}");
            }
            _ => assert!(all.contains("code: 2026") && all.contains("connecting to backend failed"), "{all}"),
        }
    }
}

#[test]
fn every_split_point() {
    for name in RECORDINGS {
        let expected = play(name, whole);
        assert_eq!(expected, play(name, |burst| burst.iter().map(|&byte| vec![byte]).collect()), "{name}");
        let lengths = recording(name).into_iter().map(|e| if let Event::Server(b) = e { b.len() } else { 0 });
        for at in 0..lengths.max().unwrap() {
            let split = play(name, |burst| {
                let (front, back) = burst.split_at(at.min(burst.len()));
                vec![front.to_vec(), back.to_vec()]
            });
            assert_eq!(expected, split, "{name} split at {at}");
        }
    }
}

/// Plays up to event `last`, of which only `keep` bytes come.
fn play_until(name: &str, last: usize, keep: usize) -> (XClient, Vec<String>) {
    let mut client = client(name);
    let mut learnt = Vec::new();
    for (index, event) in recording(name).into_iter().enumerate().take(last + 1) {
        match event {
            Event::Server(burst) => {
                let keep = if index == last { keep } else { burst.len() };
                client.handle_bytes(&burst[..keep]).unwrap();
                learn(&mut client, &mut learnt);
            }
            Event::Client(bytes) => {
                match client.phase() {
                    XPhase::Idle if bytes == [1, 0, 0, 0, 3] => client.quit(),
                    XPhase::Idle => assert!(client.query(SQL)),
                    _ => {}
                }
                while client.poll_transmit().is_some() {}
            }
            Event::Close => {}
        }
    }
    (client, learnt)
}

#[test]
fn truncated_at_every_byte() {
    for name in ["mysqlx-9.7-tls", "mysqlx-9.7-sha256", "mysqlx-9.7-denied", "mysqlrouter-9.7-x-nobody"] {
        for (index, event) in recording(name).into_iter().enumerate() {
            let Event::Server(burst) = event else { continue };
            let complete = play_until(name, index, burst.len()).1;
            for keep in 0..burst.len() {
                let (mut client, learnt) = play_until(name, index, keep);
                assert!(complete.starts_with(&learnt), "{name}, event {index}, {keep} bytes");
                let awaited = match client.phase() {
                    XPhase::AwaitCapabilities => "capabilities",
                    XPhase::AwaitTls => "TLS",
                    XPhase::Authenticating => "login",
                    XPhase::Querying => "answer",
                    // The goodbye's answer, which nobody waits for, and whole messages before the cut.
                    XPhase::Idle | XPhase::Closed | XPhase::StartingTls => continue,
                };
                let end = client.handle_eof().expect_err(name);
                assert!(end.message.contains(awaited), "{name}, {keep} bytes: {end}");
                assert_eq!(client.phase(), XPhase::Closed);
            }
        }
    }
}

fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut all = (payload.len() as u32 + 1).to_le_bytes().to_vec();
    all.push(kind);
    all.extend_from_slice(payload);
    all
}

/// Capabilities that offer these mechanisms, and TLS.
fn capabilities(tls: bool, mechanisms: &[&str]) -> Vec<u8> {
    use super::protobuf::{push_bytes, push_number};
    let mut array = Vec::new();
    for name in mechanisms {
        let (mut string, mut scalar, mut any) = (Vec::new(), Vec::new(), Vec::new());
        push_bytes(&mut string, 1, name.as_bytes());
        push_number(&mut scalar, 1, 8);
        push_bytes(&mut scalar, 9, &string);
        push_number(&mut any, 1, 1);
        push_bytes(&mut any, 2, &scalar);
        push_bytes(&mut array, 1, &any);
    }
    let mut value = Vec::new();
    push_number(&mut value, 1, 3);
    push_bytes(&mut value, 4, &array);
    let mut all = Vec::new();
    let names: [(&[u8], bool); 2] = [(b"tls", tls), (b"authentication.mechanisms", true)];
    for (name, _) in names.into_iter().filter(|(_, there)| *there) {
        let mut capability = Vec::new();
        push_bytes(&mut capability, 1, name);
        push_bytes(&mut capability, 2, &value);
        push_bytes(&mut all, 1, &capability);
    }
    message(2, &all)
}

fn error(code: u64, fatal: bool) -> Vec<u8> {
    use super::protobuf::{push_bytes, push_number};
    let mut all = Vec::new();
    push_number(&mut all, 1, u64::from(fatal));
    push_number(&mut all, 2, code);
    push_bytes(&mut all, 3, b"no");
    push_bytes(&mut all, 4, b"HY000");
    message(1, &all)
}

fn challenge() -> Vec<u8> {
    let mut all = vec![0x0A, 20];
    all.extend(1..=20);
    message(3, &all)
}

fn sent(client: &mut XClient) -> String {
    client.poll_transmit().unwrap_or_default().escape_ascii().to_string()
}

#[test]
fn a_refused_challenge_is_followed_by_the_other_kind() {
    let mut client = XClient::new(config(Encryption::Off));
    client.handle_bytes(&capabilities(true, &["MYSQL41", "SHA256_MEMORY"])).unwrap();
    assert!(sent(&mut client).contains("SHA256_MEMORY"));
    client.handle_bytes(&challenge()).unwrap();
    sent(&mut client);
    client.handle_bytes(&error(1045, false)).unwrap();
    assert_eq!(client.poll_answer(), None);
    assert!(sent(&mut client).contains("MYSQL41"));
    client.handle_bytes(&challenge()).unwrap();
    assert!(sent(&mut client).contains("primacy\\x00*"));
    client.handle_bytes(&message(4, &[])).unwrap();
    assert_eq!(client.poll_answer(), Some(XAnswer::LoggedIn));
    // What worked is tried first next time, for each refusal counts against the account.
    client.reconnect();
    sent(&mut client);
    client.handle_bytes(&capabilities(true, &["MYSQL41", "SHA256_MEMORY"])).unwrap();
    assert!(sent(&mut client).contains("MYSQL41"));
    client.handle_bytes(&challenge()).unwrap();
    client.handle_bytes(&error(1045, true)).unwrap();
    assert!(matches!(client.poll_answer(), Some(XAnswer::Refused(_))), "a fatal error ends the connection");
    assert_eq!(client.phase(), XPhase::Closed);
}

#[test]
fn the_password_goes_out_under_tls_only() {
    let plain = |client: &mut XClient| sent(client).contains("s3cret");
    // Offered or not, in clear nothing but challenges.
    for encryption in [Encryption::Off, Encryption::IfOffered] {
        let mut client = XClient::new(config(encryption));
        client.handle_bytes(&capabilities(false, &["PLAIN", "MYSQL41"])).unwrap();
        assert!(!plain(&mut client));
        assert_eq!(client.phase(), XPhase::Authenticating);
    }
    // Refused TLS: in clear only if that is allowed.
    for (encryption, goes_on) in [(Encryption::IfOffered, true), (Encryption::Always, false)] {
        let mut client = XClient::new(config(encryption));
        client.handle_bytes(&capabilities(true, &["SHA256_MEMORY"])).unwrap();
        sent(&mut client);
        let end = client.handle_bytes(&error(5001, false));
        assert_eq!(end.is_ok(), goes_on);
        assert_eq!(end.map_err(|e| e.kind).err(), (!goes_on).then_some(WireErrorKind::Tls));
        assert!(!plain(&mut client));
    }
    let mut client = XClient::new(config(Encryption::Always));
    assert_eq!(client.handle_bytes(&capabilities(false, &[])).unwrap_err().kind, WireErrorKind::Tls);
    // Behind the handshake it does, and a refused PLAIN is final.
    let mut client = XClient::new(config(Encryption::Always));
    client.handle_bytes(&capabilities(true, &["SHA256_MEMORY"])).unwrap();
    sent(&mut client);
    client.handle_bytes(&message(0, &[])).unwrap();
    assert_eq!(client.poll_answer(), Some(XAnswer::StartTls));
    client.handle_tls_up().unwrap();
    assert!(plain(&mut client));
    assert!(!format!("{client:?}").contains("s3cret"));
    client.handle_bytes(&error(1045, false)).unwrap();
    assert!(matches!(client.poll_answer(), Some(XAnswer::Refused(error)) if error.code == 1045));
    // What is said in clear behind the agreement would count as said under TLS.
    let mut client = XClient::new(config(Encryption::Always));
    client.handle_bytes(&capabilities(true, &[])).unwrap();
    let both = [message(0, &[]), message(0, &[])].concat();
    assert!(client.handle_bytes(&both).unwrap_err().message.contains("in clear"));
}

#[test]
fn hostile_servers_are_bounded() {
    let violation = |bytes: &[u8]| {
        let mut client = XClient::new(config(Encryption::Off));
        let end = client.handle_bytes(bytes).expect_err("a violation");
        assert_eq!((end.kind, client.phase()), (WireErrorKind::Violation, XPhase::Closed), "{end}");
        assert!(client.handle_bytes(bytes).is_ok(), "closed is closed");
        end.message
    };
    assert!(violation(b"HTTP/1.1 400 Bad Request\r\n").contains("'HTTP/1.1"));
    assert!(violation(&[0, 0, 0, 0]).contains("expected the X protocol"));
    assert!(violation(&[1, 0, 1, 0]).contains("expected the X protocol"), "65537 bytes are one too many");
    let greeting = b"\x4b\x00\x00\x00\x0a9.7.4-2\x00";
    assert!(violation(greeting).contains("speaks the classic protocol"), "told from a part of the greeting");
    assert!(violation(&message(99, b"abc")).contains("type 99"));
    for kind in [0, 3, 4, 12, 13, 14, 17] {
        // Well-formed enough to be read, but nothing that may come now.
        let bytes = message(kind, if kind == 3 { &[0x0A, 0] } else { &[0x08, 1] });
        assert!(violation(&bytes).contains("while a list of capabilities was expected"), "{kind}");
    }
    assert!(violation(&message(2, &[0x0A, 99])).contains("malformed"));
    assert!(violation(&message(1, &[0x08, 0])).contains("malformed"), "an error without a number");

    // Notices without end: the bound is four messages' worth.
    let mut client = XClient::new(config(Encryption::Off));
    let notice = message(11, &[0x08, 5]);
    let mut taken = 0;
    let end = loop {
        match client.handle_bytes(&notice) {
            Ok(()) => taken += notice.len() + 16,
            Err(end) => break end,
        }
        assert!(taken <= 4 << 16, "endless notices");
    };
    assert!(end.message.contains("larger than the bound"), "{end}");

    // Rows without end, columns without end, a row that does not go with its columns.
    let idle = || {
        let mut client = XClient::new(config(Encryption::Off));
        client.handle_bytes(&capabilities(false, &[])).unwrap();
        client.handle_bytes(&challenge()).unwrap();
        client.handle_bytes(&message(4, &[])).unwrap();
        assert!(client.query(SQL));
        client
    };
    let column = message(12, &[0x08, 7, 0x12, 1, b'a']);
    let mut client = idle();
    assert!((0..=MOST_COLUMNS).any(|_| client.handle_bytes(&column).is_err()));
    let mut client = idle();
    client.handle_bytes(&column).unwrap();
    let row = message(13, &[0x0A, 2, b'x', 0]);
    assert!((0..20_000).any(|_| client.handle_bytes(&row).is_err()));
    for bad in [&[][..], &[0x0A, 1, b'x'], &[0x0A, 2, b'x', 0, 0x0A, 0], &[0x08, 1]] {
        let mut client = idle();
        client.handle_bytes(&column).unwrap();
        assert!(client.handle_bytes(&message(13, bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn a_last_word_on_an_idle_connection() {
    let mut client = XClient::new(config(Encryption::Off));
    client.handle_bytes(&capabilities(false, &[])).unwrap();
    client.handle_bytes(&challenge()).unwrap();
    client.handle_bytes(&message(4, &[])).unwrap();
    assert_eq!(client.poll_answer(), Some(XAnswer::LoggedIn));
    client.handle_bytes(&error(1053, true)).unwrap();
    assert!(matches!(client.poll_answer(), Some(XAnswer::Farewell(error)) if error.code == 1053));
    assert!(client.handle_eof().is_ok());
    assert!(!client.query(SQL));
}

proptest! {
    #[test]
    fn noise_never_panics_and_cuts_do_not_matter(bytes: Vec<u8>, at: usize) {
        let mut one = XClient::new(config(Encryption::Off));
        let mut two = XClient::new(config(Encryption::Off));
        let (front, back) = bytes.split_at(at % (bytes.len() + 1));
        let first = one.handle_bytes(&bytes).is_err();
        let second = two.handle_bytes(front).is_err() | two.handle_bytes(back).is_err();
        prop_assert_eq!((first, one.phase()), (second, two.phase()));
    }

    #[test]
    fn frames_are_bounded(bytes: Vec<u8>, cap in 1_usize..100) {
        match first_frame(&bytes, cap) {
            Frame::Whole { payload, used, .. } => prop_assert!(payload.len() < cap && used <= bytes.len()),
            Frame::Partial => prop_assert!(bytes.len() < cap + LENGTH),
            Frame::Absurd { declared } => prop_assert!(declared == 0 || declared as usize > cap),
        }
    }
}
