//! A server's bytes, packet by packet, against the classic protocol's machine.
//!
//! The first byte chooses the connection's kind, the second how packets are cut. Whenever the connection is idle, a
//! query is asked. A second machine gets the same bytes in pieces and must come to the same end.

use super::input::Input;
use primacy::wire::{Answer, Client, ClientConfig, Encryption, Phase, RsaPolicy, Secret, Transport};

/// Long enough not to turn up by chance in what is sent.
const PASSWORD: &[u8] = b"s3cret-s3cret";

pub const SEED: [u8; 20] = [100; 20];

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (kind, cut) = (input.byte(), usize::from(input.byte()));
    let transport = if kind & 1 == 0 { Transport::Plain } else { Transport::Unix };
    let config = ClientConfig {
        user: "primacy".into(),
        password: if kind & 2 == 0 { Some(Secret::new(PASSWORD)) } else { None },
        transport,
        encryption: Encryption::Off,
        rsa: if kind & 4 == 0 { RsaPolicy::FromServer } else { RsaPolicy::Refuse },
        max_packet: if kind & 8 == 0 { 1 << 16 } else { 200 },
    };
    let mut whole = Side::new(config.clone());
    let mut pieces = Side::new(config);
    while !input.is_empty() && whole.client.phase() != Phase::Closed {
        if whole.client.phase() == Phase::Idle {
            whole.ask();
            pieces.ask();
        }
        let packet = input.packet();
        whole.hear(packet);
        let size = if cut == 0 { 1 } else { cut };
        packet.chunks(size).for_each(|piece| pieces.hear(piece));
        assert_eq!(whole, pieces);
        if transport == Transport::Plain {
            let leaked = whole.sent.windows(PASSWORD.len()).any(|w| w == PASSWORD);
            assert!(!leaked, "the password went out in clear");
        }
    }
    let shown = format!("{:?}", whole.client);
    assert!(!shown.contains("s3cret"), "{shown}");
    assert_eq!(whole.client.handle_eof().is_ok(), pieces.client.handle_eof().is_ok());
    assert_eq!(whole.client.phase(), Phase::Closed);
}

/// A machine and what it taught.
struct Side {
    client: Client,
    learnt: Vec<String>,
    sent: Vec<u8>,
    failed: bool,
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {} {:?} sent {:?}", self.client.phase(), self.failed, self.learnt, self.sent)
    }
}

impl PartialEq for Side {
    fn eq(&self, other: &Side) -> bool {
        (self.client.phase(), self.failed) == (other.client.phase(), other.failed)
            && self.learnt == other.learnt
            && self.sent == other.sent
    }
}

impl Side {
    fn new(config: ClientConfig) -> Side {
        Side { client: Client::new(config, SEED), learnt: Vec::new(), sent: Vec::new(), failed: false }
    }

    fn ask(&mut self) {
        self.client.query("SELECT 1; SHOW SLAVE STATUS");
        self.send();
    }

    fn send(&mut self) {
        if let Some(bytes) = self.client.poll_transmit() {
            assert!(!bytes.is_empty());
            self.sent.extend_from_slice(bytes);
        }
        assert!(self.client.poll_transmit().is_none(), "bytes go out once");
    }

    fn hear(&mut self, bytes: &[u8]) {
        let end = self.client.handle_bytes(bytes);
        if let Err(error) = end {
            assert!(!error.message.is_empty() && !error.message.contains("s3cret"), "{}", error.message);
            assert_eq!(self.client.phase(), Phase::Closed);
            self.failed = true;
        }
        self.send();
        while let Some(answer) = self.client.poll_answer() {
            self.learnt.push(match answer {
                Answer::Results(results) => {
                    let mut text = format!("{:?}", results.error());
                    for set in results.sets() {
                        text += &format!("[{}]", set.columns());
                        for (row, column) in
                            (0..=set.rows()).flat_map(|r| (0..=set.columns()).map(move |c| (r, c)))
                        {
                            text += &format!("{:?}={:?};", set.name(column), set.value(row, column));
                        }
                    }
                    text
                }
                other => format!("{other:?}"),
            });
        }
    }
}
