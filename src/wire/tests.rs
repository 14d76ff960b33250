//! The machine against recorded servers, cut at every place, and against servers that misbehave.

use super::packet::push_frame;
use super::recording::{Event, SEED, recording};
use super::*;
use proptest::prelude::*;

const RECORDINGS: [(&str, Transport); 11] = [
    ("mariadb-10.11-replica", Transport::Plain),
    ("mariadb-10.11-eof", Transport::Plain),
    ("mariadb-10.11-denied", Transport::Plain),
    ("mariadb-10.11-no-grant", Transport::Plain),
    ("mariadb-10.11-too-many", Transport::Plain),
    ("mysql-9.7-rsa", Transport::Plain),
    ("mysql-9.7-fast", Transport::Plain),
    ("mysql-9.7-unix", Transport::Unix),
    ("mysql-9.7-no-grant", Transport::Plain),
    ("mysql-9.7-offline", Transport::Plain),
    ("mysql-9.7-too-many", Transport::Plain),
];

fn config(name: &str, transport: Transport) -> ClientConfig {
    let (user, password) = match name {
        name if name.contains("no-grant") => ("nog", None),
        name if name.contains("denied") => ("primacy", Some("wrong")),
        _ => ("primacy", Some("s3cret")),
    };
    let rsa = RsaPolicy::FromServer;
    let password = password.map(Secret::new);
    ClientConfig { user: user.into(), password, transport, rsa, max_packet: 1 << 20 }
}

/// What a conversation taught, as text: comparable and printable.
fn learn(client: &mut Client, into: &mut Vec<String>) {
    while let Some(answer) = client.poll_answer() {
        into.push(match answer {
            Answer::Results(results) => {
                let mut text = String::new();
                for set in results.sets() {
                    text += &format!("[{} columns]", set.columns());
                    for row in 0..set.rows() {
                        for column in 0..set.columns() {
                            let name = String::from_utf8_lossy(set.name(column).unwrap()).into_owned();
                            let value = set.value(row, column).map(String::from_utf8_lossy);
                            text += &format!("{name}={value:?};");
                        }
                    }
                }
                format!("{text}{:?}", results.error())
            }
            other => format!("{other:?}"),
        });
    }
}

/// Plays a recording, each burst of the server handed in as `cut` divides it.
fn play(name: &str, transport: Transport, cut: impl Fn(usize, &[u8]) -> Vec<Vec<u8>>) -> Vec<String> {
    let mut client = Client::new(config(name, transport), SEED);
    let mut learnt = Vec::new();
    for (index, event) in recording(name).into_iter().enumerate() {
        match event {
            Event::Server(burst) => {
                for piece in cut(index, &burst) {
                    client.handle_bytes(&piece).unwrap_or_else(|e| panic!("{name}, event {index}: {e}"));
                    learn(&mut client, &mut learnt);
                }
            }
            Event::Client(expected) => {
                if client.phase() == Phase::Idle {
                    let sql = String::from_utf8(expected[5..].to_vec()).unwrap();
                    assert!(client.query(&sql), "{name}");
                }
                let sent = client.poll_transmit().map(<[u8]>::to_vec);
                assert_eq!(sent, Some(expected), "{name}, event {index}");
            }
            Event::Close => {
                let _ = client.handle_eof();
            }
        }
    }
    assert!(client.poll_transmit().is_none(), "{name}: more to send than the recording has");
    learnt
}

#[test]
fn recorded_servers_are_understood() {
    for (name, transport) in RECORDINGS {
        let learnt = play(name, transport, |_, burst| vec![burst.to_vec()]);
        let all = learnt.join("\n");
        match name {
            "mariadb-10.11-replica" | "mariadb-10.11-eof" => {
                assert_eq!(learnt.len(), 3, "{name}");
                assert!(
                    all.contains("Slave_IO_Running=Some(\"Yes\");Slave_SQL_Running=Some(\"Yes\")"),
                    "{all}"
                );
                assert!(all.contains("SQL_Remaining_Delay=None;"), "{all}");
                assert_eq!(learnt[1].matches(" columns]").count(), 4);
                assert_eq!(learnt[2].matches(" columns]").count(), 2);
            }
            "mysql-9.7-rsa" | "mysql-9.7-fast" | "mysql-9.7-unix" => {
                assert!(all.contains("Replica_IO_Running=Some(\"Yes\")"), "{all}");
                assert_eq!(learnt[1].matches(" columns]").count(), 4);
            }
            "mariadb-10.11-denied" => assert!(all.contains("Refused(ServerError { code: 1045"), "{all}"),
            "mysql-9.7-offline" => assert!(all.contains("Refused(ServerError { code: 3032"), "{all}"),
            name if name.contains("too-many") => {
                assert!(all.contains("Refused(ServerError { code: 1040"), "{all}")
            }
            _ => assert!(all.contains("1227"), "{all}"),
        }
    }
}

#[test]
fn a_byte_at_a_time() {
    for (name, transport) in RECORDINGS {
        let whole = play(name, transport, |_, burst| vec![burst.to_vec()]);
        let bytes = play(name, transport, |_, burst| burst.iter().map(|&byte| vec![byte]).collect());
        assert_eq!(whole, bytes, "{name}");
    }
}

#[test]
fn every_split_point() {
    for (name, transport) in RECORDINGS {
        let whole = play(name, transport, |_, burst| vec![burst.to_vec()]);
        let longest =
            recording(name).iter().map(|e| if let Event::Server(b) = e { b.len() } else { 0 }).max();
        for at in 0..longest.unwrap() {
            let split = play(name, transport, |_, burst| {
                let at = at.min(burst.len());
                vec![burst[..at].to_vec(), burst[at..].to_vec()]
            });
            assert_eq!(whole, split, "{name} split at {at}");
        }
    }
}

/// Plays to event `last`, of which only `keep` bytes come; `then` decides how it ends.
fn play_until(
    name: &str,
    transport: Transport,
    last: usize,
    keep: usize,
) -> (Client, Vec<String>, Result<(), WireError>) {
    let mut client = Client::new(config(name, transport), SEED);
    let mut learnt = Vec::new();
    for (index, event) in recording(name).into_iter().enumerate().take(last + 1) {
        match event {
            Event::Server(burst) => {
                let keep = if index == last { keep } else { burst.len() };
                let end = client.handle_bytes(&burst[..keep]);
                learn(&mut client, &mut learnt);
                if end.is_err() {
                    return (client, learnt, end);
                }
            }
            Event::Client(bytes) => {
                if client.phase() == Phase::Idle {
                    client.query(std::str::from_utf8(&bytes[5..]).unwrap());
                }
                while client.poll_transmit().is_some() {}
            }
            Event::Close => {}
        }
    }
    (client, learnt, Ok(()))
}

#[test]
fn truncated_at_every_byte() {
    for (name, transport) in RECORDINGS {
        for (index, event) in recording(name).into_iter().enumerate() {
            let Event::Server(burst) = event else { continue };
            let (_, before, _) = play_until(name, transport, index, 0);
            for keep in 0..burst.len() {
                let (mut client, learnt, end) = play_until(name, transport, index, keep);
                end.unwrap_or_else(|e| panic!("{name}, event {index}, {keep} bytes: {e}"));
                assert_eq!(
                    learnt, before,
                    "{name}, event {index}: a part of an answer was taken for the whole"
                );
                let phase = client.phase();
                let end = client.handle_eof().expect_err(name);
                let word = match phase {
                    Phase::AwaitGreeting => "greeting",
                    Phase::Authenticating => "login",
                    _ => "answer",
                };
                assert!(end.message.contains(word), "{name}, {keep} bytes, {phase:?}: {end}");
                assert_eq!(client.phase(), Phase::Closed);
            }
        }
    }
}

fn fresh() -> Client {
    Client::new(config("", Transport::Plain), SEED)
}

fn violation(bytes: &[u8]) -> String {
    let mut client = fresh();
    let error = client.handle_bytes(bytes).expect_err("accepted");
    assert_eq!((error.kind, client.phase()), (WireErrorKind::Violation, Phase::Closed));
    assert!(client.poll_transmit().is_none() && client.poll_answer().is_none());
    error.message
}

#[test]
fn what_is_not_mysql_is_named() {
    let http = violation(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n");
    assert_eq!(http, "expected a MySQL greeting, got 'HTTP/1.1 400 Bad Request…'");
    assert_eq!(violation(b"SSH-2.0-OpenSSH_9.2"), "expected a MySQL greeting, got 'SSH-2.0-OpenSSH_9.2'");
    assert!(violation(b"\x05\0\0\0\x0b\x08\x05\x1a\0").contains("X protocol"));
    // 20 MB announced: over before a byte of it came.
    assert!(violation(&[0x00, 0x2D, 0x31]).contains("expected a MySQL greeting"));
    assert!(violation(&[0, 0, 0, 0]).contains("expected a MySQL greeting"));
    assert!(violation(b"\x02\0\0\0\x09a").contains("got '\\ta'"));
    assert!(violation(&[3, 0, 0, 1, 10, 0, 0]).contains("expected a MySQL greeting"));
}

fn greeting_with(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let Some(Event::Server(bytes)) = recording("mysql-9.7-fast").into_iter().next() else { panic!() };
    let mut payload = bytes[4..].to_vec();
    change(&mut payload);
    let mut out = Vec::new();
    push_frame(&mut out, 0, &payload);
    out
}

#[test]
fn every_nonce_length_is_survived() {
    let at = |payload: &[u8]| payload.iter().position(|&b| b == 0).unwrap() + 21;
    for length in 0..=255u8 {
        let mut client = fresh();
        let end = client.handle_bytes(&greeting_with(|p| {
            let at = at(p);
            p[at] = length;
        }));
        if length > 127 {
            assert!(end.unwrap_err().message.contains("impossible length"), "{length}");
        }
    }
}

#[test]
fn a_greeting_cut_inside_its_packet_is_an_error() {
    let whole = greeting_with(|_| {}).len() - 4;
    // Behind the nonce comes the plugin's name, whose end may be missing.
    for length in 0..whole - 22 {
        let mut client = fresh();
        assert!(client.handle_bytes(&greeting_with(|p| p.truncate(length))).is_err(), "{length} bytes");
    }
}

/// A client that has sent its handshake response to the greeting.
fn authenticating(config: ClientConfig) -> Client {
    let mut client = Client::new(config, SEED);
    client.handle_bytes(&greeting_with(|_| {})).unwrap();
    assert!(client.poll_transmit().is_some());
    client
}

fn say(client: &mut Client, sequence: u8, payload: &[u8]) -> Result<Option<Vec<u8>>, WireError> {
    let mut bytes = Vec::new();
    push_frame(&mut bytes, sequence, payload);
    client.handle_bytes(&bytes)?;
    Ok(client.poll_transmit().map(<[u8]>::to_vec))
}

fn data(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/wire/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    let text = text.trim();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn switch(plugin: &str) -> Vec<u8> {
    let nonce: Vec<u8> = (1..=20).chain([0]).collect();
    [&[0xFE], plugin.as_bytes(), &[0], &nonce].concat()
}

#[test]
fn auth_switches() {
    // Expected values from Python's hashlib: password s3cret, nonce 01 to 14.
    for (plugin, expected) in [
        ("mysql_native_password", "f66fdd3ff855d9349a0ddb50c4a1a535fb412465"),
        ("caching_sha2_password", "3f3a9a7786fd9be9a006eed686b4e6b76484fdc06dc15685df5f8793574b84fc"),
    ] {
        let mut client = authenticating(config("", Transport::Plain));
        let sent = say(&mut client, 2, &switch(plugin)).unwrap().unwrap();
        assert_eq!(sent[3], 3, "sequence");
        assert_eq!(&sent[4..], hex(expected), "{plugin}");
    }
    for (plugin, answer) in [("mysql_native_password", &[][..]), ("caching_sha2_password", &[0])] {
        let mut client = authenticating(ClientConfig { password: None, ..config("", Transport::Plain) });
        assert_eq!(
            &say(&mut client, 2, &switch(plugin)).unwrap().unwrap()[4..],
            answer,
            "{plugin}, no password"
        );
    }
    for plugin in ["mysql_clear_password", "sha256_password", "client_ed25519", "dialog"] {
        for transport in [Transport::Plain, Transport::Unix] {
            let error = say(&mut authenticating(config("", transport)), 2, &switch(plugin)).unwrap_err();
            assert_eq!(error.kind, WireErrorKind::Login);
            assert!(error.message.contains(plugin), "{error}");
        }
    }
    let old = say(&mut authenticating(config("", Transport::Plain)), 2, &[0xFE]).unwrap_err();
    assert!(old.message.contains("mysql_old_password"), "{old}");
    let short = say(&mut authenticating(config("", Transport::Plain)), 2, b"\xFEcaching_sha2_password\0abc");
    assert_eq!(short.unwrap_err().kind, WireErrorKind::Violation);

    let mut client = authenticating(config("", Transport::Plain));
    say(&mut client, 2, &switch("mysql_native_password")).unwrap();
    let again = say(&mut client, 4, &switch("mysql_native_password")).unwrap_err();
    assert_eq!(again.kind, WireErrorKind::Violation);
    assert!(again.message.contains("second time"), "{again}");
}

#[test]
fn noise_that_announces_a_long_packet_is_told_by_its_number() {
    let mut client = Client::new(config("", Transport::Plain), [0; 20]);
    let error = client.handle_bytes(&[0x00, 0x10, 0x00, 0xAB, 0xCD]).unwrap_err();
    assert!(error.message.contains("expected a MySQL greeting"), "{error}");
    let mut client = authenticating(config("", Transport::Plain));
    let error = client.handle_bytes(&[0x00, 0x10, 0x00, 77, 0x00]).unwrap_err();
    assert!(error.message.contains("packet number 2 expected, 77 came"), "{error}");
}

/// Goes to the point where the server wants the whole password under nonce 01 to 14.
fn full_login(rsa: RsaPolicy) -> (Client, Result<Option<Vec<u8>>, WireError>) {
    let mut client = authenticating(ClientConfig { rsa, ..config("", Transport::Plain) });
    say(&mut client, 2, &switch("caching_sha2_password")).unwrap();
    let end = say(&mut client, 4, &[1, 4]);
    (client, end)
}

#[test]
fn the_password_goes_out_by_rsa_only_where_allowed() {
    let refused = full_login(RsaPolicy::Refuse).1.unwrap_err();
    assert_eq!(refused.kind, WireErrorKind::Login);
    assert!(refused.message.contains("rsa_public_key"), "{refused}");

    // The ciphertext was computed by Python's integers from RFC 8017, with the same seed.
    let expected = hex(std::str::from_utf8(&data("rsa-2048-s3cret.hex")).unwrap());
    for pem in [data("rsa-2048-pkcs8.pem"), data("rsa-2048-pkcs1.pem")] {
        let (_, sent) = full_login(RsaPolicy::Key(pem.clone()));
        assert_eq!(&sent.unwrap().unwrap()[4..], expected);

        let (mut client, asked) = full_login(RsaPolicy::FromServer);
        assert_eq!(&asked.unwrap().unwrap()[4..], [2]);
        let sent = say(&mut client, 6, &[&[1], &pem[..]].concat()).unwrap().unwrap();
        assert_eq!((sent[3], &sent[4..]), (7, &expected[..]));
    }
    // A server that goes on asking gets nothing more.
    let (mut client, _) = full_login(RsaPolicy::Key(data("rsa-2048-pkcs8.pem")));
    assert_eq!(say(&mut client, 6, &[1, 4]).unwrap_err().kind, WireErrorKind::Violation);
}

#[test]
fn damaged_keys_are_refused_without_a_panic() {
    use mysql_common::crypto::der::pem_to_der;
    let base64 = |bytes: &[u8]| -> String {
        const TABLE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digit = |chunk: &[u8], i: usize| {
            let at = |k: usize| u32::from(*chunk.get(k).unwrap_or(&0));
            let word = at(0) << 16 | at(1) << 8 | at(2);
            if i <= chunk.len() { TABLE[(word >> (18 - 6 * i) & 63) as usize] as char } else { '=' }
        };
        bytes.chunks(3).flat_map(|chunk| (0..4).map(move |i| digit(chunk, i))).collect()
    };
    for (file, label) in [("rsa-2048-pkcs8.pem", "PUBLIC KEY"), ("rsa-2048-pkcs1.pem", "RSA PUBLIC KEY")] {
        let (der, _) = pem_to_der(data(file)).unwrap();
        let pem = |der: &[u8]| {
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", base64(der)).into_bytes()
        };
        assert!(full_login(RsaPolicy::Key(pem(&der))).1.is_ok());
        for length in 0..der.len() {
            assert!(full_login(RsaPolicy::Key(pem(&der[..length]))).1.is_err(), "{label} cut to {length}");
        }
        // The front is where the lengths are; the numbers behind it may be any.
        for at in 0..40 {
            for value in [0x00, 0x01, 0x02, 0x7F, 0x80, 0x81, 0x82, 0x84, 0x88, 0xFF] {
                let mut der = der.clone();
                der[at] = value;
                let _ = full_login(RsaPolicy::Key(pem(&der)));
            }
        }
    }
    assert!(full_login(RsaPolicy::Key(b"no key".to_vec())).1.unwrap_err().message.contains("rsa_public_key"));
}

/// A client with a query out, on a connection with DEPRECATE_EOF.
fn querying() -> Client {
    let mut client = authenticating(config("", Transport::Plain));
    say(&mut client, 2, &[0, 0, 0, 2, 0, 0, 0]).unwrap();
    assert_eq!(client.poll_answer(), Some(Answer::LoggedIn));
    assert!(client.query("SELECT 1"));
    assert!(client.poll_transmit().is_some());
    client
}

fn refused(packets: &[&[u8]]) -> String {
    let mut client = querying();
    let mut end = Ok(None);
    for (index, packet) in packets.iter().enumerate() {
        assert!(end.is_ok(), "refused before packet {index}");
        end = say(&mut client, index as u8 + 1, packet);
    }
    let error = end.expect_err("accepted");
    assert!(client.poll_answer().is_none());
    error.message
}

const COLUMN: &[u8] = b"\x03def\0\0\0\x01a\0\x0c\x21\0\x01\0\0\0\xfd\0\0\0\0\0";

#[test]
fn bad_answers_are_refused() {
    assert!(refused(&[b""]).contains("empty packet"));
    assert!(refused(&[b"\xFB/etc/passwd"]).contains("local file"));
    assert!(refused(&[b"\xFD\xFF\xFF\xFF"]).contains("expected a result"));
    assert!(refused(&[b"\x01\x01"]).contains("expected a result"));
    assert!(refused(&[b"\x01", b"\x03de"]).contains("column's definition"));
    assert!(refused(&[b"\x01", COLUMN, b"\x05ab"]).contains("expected a row"));
    assert!(refused(&[b"\x01", COLUMN, b"\x01ab"]).contains("1 bytes too many"));
    assert!(refused(&[b"\x01", COLUMN, b"\xFE\0"]).contains("expected a row"));
    assert!(refused(&[b"\xFF\x01"]).contains("expected a result"));
    let mut client = querying();
    let error = say(&mut client, 3, b"\x01").unwrap_err();
    assert_eq!(error.message, "answer: packet number 1 expected, 3 came");
    let error = querying().handle_bytes(&[1, 0, 0x10, 1]).unwrap_err();
    assert_eq!(error.message, "answer: a packet of 1048577 bytes is announced, at most 1048576 are accepted");
}

#[test]
fn an_endless_answer_has_an_end() {
    let mut client = querying();
    say(&mut client, 1, b"\x01").unwrap();
    say(&mut client, 2, COLUMN).unwrap();
    let mut sequence = 3u8;
    let rows = (0..10_000_000).find(|_| {
        let end = say(&mut client, sequence, b"\xFB");
        sequence = sequence.wrapping_add(1);
        end.is_err()
    });
    assert!(rows.expect("no bound") < 400_000);
    let mut client = querying();
    let sets = (1..1000u32).find(|&n| say(&mut client, n as u8, &[0, 0, 0, 8, 0, 0, 0]).is_err());
    assert_eq!(sets, Some(65));
}

#[test]
fn the_servers_last_word_is_heard() {
    let word = b"\xFF\x1D\x04#08S01Server shutdown in progress";
    let mut client = querying();
    // Written while the connection was idle, so with number 0, and read in place of the answer.
    say(&mut client, 0, word).unwrap();
    let Some(Answer::Results(results)) = client.poll_answer() else { panic!() };
    assert_eq!(results.error().map(|e| e.code), Some(1053));

    let mut client = querying();
    say(&mut client, 1, &[0, 0, 0, 2, 0, 0, 0]).unwrap();
    assert!(matches!(client.poll_answer(), Some(Answer::Results(_))));
    say(&mut client, 0, word).unwrap();
    let Some(Answer::Farewell(error)) = client.poll_answer() else { panic!() };
    assert_eq!((error.code, client.phase()), (1053, Phase::Closed));
    assert!(!client.query("SELECT 1"));
}

#[test]
fn goodbye_and_debug_output() {
    let mut client = querying();
    say(&mut client, 1, &[0, 0, 0, 2, 0, 0, 0]).unwrap();
    client.quit();
    assert_eq!(client.poll_transmit(), Some(&[1, 0, 0, 0, 1][..]));
    assert!(!format!("{client:?}").contains("s3cret") && !format!("{client:?}").contains("115, 51, 99"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(
        phase in 0..4usize,
        framed in any::<bool>(),
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8),
    ) {
        let mut client = match phase {
            0 => fresh(),
            1 => authenticating(config("", Transport::Plain)),
            2 => full_login(RsaPolicy::FromServer).0,
            _ => querying(),
        };
        let first = [0u8, 2, 6, 1][phase];
        for (index, packet) in packets.iter().enumerate() {
            let mut bytes = Vec::new();
            if framed { push_frame(&mut bytes, first.wrapping_add(index as u8), packet) } else { bytes.clone_from(packet) }
            let end = client.handle_bytes(&bytes);
            learn(&mut client, &mut Vec::new());
            while client.poll_transmit().is_some() {}
            prop_assert_eq!(end.is_err() && client.phase() != Phase::Closed, false);
        }
        let _ = client.handle_eof();
    }

    #[test]
    fn damaged_recordings_never_panic(
        which in 0..RECORDINGS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (name, transport) = RECORDINGS[which];
        let mut client = Client::new(config(name, transport), SEED);
        for event in recording(name) {
            match event {
                Event::Server(mut burst) => {
                    for (at, value) in &damage {
                        let at = at.index(burst.len());
                        burst[at] = *value;
                    }
                    let _ = client.handle_bytes(&burst);
                    learn(&mut client, &mut Vec::new());
                }
                Event::Client(bytes) if client.phase() == Phase::Idle && bytes.len() > 5 => {
                    client.query(&String::from_utf8_lossy(&bytes[5..]));
                }
                _ => {}
            }
            while client.poll_transmit().is_some() {}
        }
    }
}
