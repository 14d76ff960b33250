//! A client that remembers the last answer's columns reads the next answer like one that does not.

use crate::wire::recording::{Event, SEED, recording};
use crate::wire::{Answer, Client, ClientConfig, Phase, RsaPolicy, Secret, Transport};
use proptest::prelude::*;

const RECORDINGS: [&str; 4] =
    ["mariadb-10.11-replica", "mariadb-10.11-eof", "mariadb-10.11-two-sources", "mysql-9.7-fast"];

/// The client of a recording, logged in, and the first answer to it.
fn logged_in(name: &str) -> (Client, Vec<u8>) {
    let config = ClientConfig {
        user: "primacy".into(),
        password: Some(Secret::new("s3cret")),
        transport: Transport::Plain,
        rsa: RsaPolicy::FromServer,
        max_packet: 1 << 20,
    };
    let mut client = Client::new(config, SEED);
    let mut answer = Vec::new();
    for event in recording(name) {
        match event {
            Event::Server(bytes) if client.phase() == Phase::Idle => answer.extend(bytes),
            Event::Server(bytes) => client.handle_bytes(&bytes).unwrap(),
            Event::Client(_) if !answer.is_empty() => break,
            _ => {}
        }
        while client.poll_transmit().is_some() {}
        while client.poll_answer().is_some() {}
    }
    assert!(client.phase() == Phase::Idle && !answer.is_empty(), "{name}");
    (client, answer)
}

/// Asks, hands the answer in by pieces, and tells everything that can be seen of the outcome.
fn ask(client: &mut Client, pieces: &[&[u8]]) -> String {
    let mut told = format!("{}", client.query("SELECT 1"));
    while client.poll_transmit().is_some() {}
    for piece in pieces {
        let end = client.handle_bytes(piece);
        while let Some(answer) = client.poll_answer() {
            if let Answer::Results(results) = answer {
                for set in results.sets() {
                    told += &format!("{:?};", String::from_utf8_lossy(set.names()));
                    for column in 0..set.columns() {
                        told += &format!("{:?}", set.name(column));
                        for row in 0..set.rows() {
                            told += &format!(",{:?}", set.value(row, column));
                        }
                    }
                }
                told += &format!("{:?}", results.error());
            } else {
                told += &format!("{answer:?}");
            }
        }
        if let Err(error) = end {
            return format!("{told}{error:?}{:?}", client.phase());
        }
    }
    format!("{told}{:?}", client.phase())
}

#[test]
fn the_same_answer_again_is_skipped_and_read_the_same_wherever_it_is_cut() {
    for name in RECORDINGS {
        let (mut client, answer) = logged_in(name);
        let first = ask(&mut client, &[&answer]);
        assert!(first.contains("Running"), "{name}: {first}");
        for at in 0..answer.len() {
            let (front, rest) = answer.split_at(at);
            assert_eq!(ask(&mut client, &[front, rest]), first, "{name} cut at {at}");
        }
        let bytes: Vec<&[u8]> = answer.chunks(1).collect();
        assert_eq!(ask(&mut client, &bytes), first, "{name} a byte at a time");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn other_answers_are_read_as_if_nothing_were_remembered(
        which in 0..RECORDINGS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut client, answer) = logged_in(RECORDINGS[which]);
        ask(&mut client, &[&answer]);
        let (mut forgetful, mut changed) = logged_in(RECORDINGS[which]);
        for (at, value) in damage {
            let at = at.index(changed.len());
            changed[at] = value;
        }
        let (front, rest) = changed.split_at(cut.index(changed.len()));
        prop_assert_eq!(ask(&mut client, &[front, rest]), ask(&mut forgetful, &[front, rest]));
    }
}
