//! A server's bytes, message by message, against the X protocol's machine.
//!
//! The first byte chooses the connection's kind, the second how messages are cut. Whenever the connection is idle, a
//! statement is asked; a TLS handshake succeeds at once. A second machine gets the same bytes in pieces and must come
//! to the same end.

use super::input::Input;
use primacy::wire::{Encryption, Secret, Transport, XAnswer, XClient, XConfig, XPhase};

/// Long enough not to turn up by chance in what is sent.
const PASSWORD: &[u8] = b"s3cret-s3cret";

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (kind, cut) = (input.byte(), usize::from(input.byte()));
    let config = XConfig {
        user: "primacy".into(),
        password: if kind & 2 == 0 { Some(Secret::new(PASSWORD)) } else { None },
        transport: if kind & 1 == 0 { Transport::Plain } else { Transport::Unix },
        encryption: match kind >> 2 & 3 {
            0 => Encryption::Off,
            1 => Encryption::Always,
            _ => Encryption::IfOffered,
        },
        max_message: if kind & 16 == 0 { 1 << 16 } else { 200 },
    };
    let transport = config.transport;
    let mut whole = Side::new(config.clone());
    let mut pieces = Side::new(config);
    whole.send();
    pieces.send();
    while !input.is_empty() && whole.client.phase() != XPhase::Closed {
        if whole.client.phase() == XPhase::Idle {
            whole.ask();
            pieces.ask();
        }
        let message = message(&mut input);
        whole.hear(message);
        let size = if cut == 0 { 1 } else { cut };
        message.chunks(size).for_each(|piece| pieces.hear(piece));
        assert_eq!(whole, pieces);
    }
    if transport == Transport::Plain {
        let leaked = whole.clear.windows(PASSWORD.len()).any(|w| w == PASSWORD);
        assert!(!leaked, "the password went out in clear");
    }
    let shown = format!("{:?}", whole.client);
    assert!(!shown.contains("s3cret"), "{shown}");
    assert_eq!(whole.client.handle_eof().is_ok(), pieces.client.handle_eof().is_ok());
    assert_eq!(whole.client.phase(), XPhase::Closed);
}

/// The whole message at the front with its length, or all there is.
fn message<'a>(input: &mut Input<'a>) -> &'a [u8] {
    let length = match input.0 {
        &[a, b, c, d, ..] => u32::from_le_bytes([a, b, c, d]) as usize,
        _ => input.0.len(),
    };
    input.take(length.saturating_add(4))
}

/// A machine and what it taught.
struct Side {
    client: XClient,
    learnt: Vec<String>,
    sent: Vec<u8>,
    /// What was sent before TLS.
    clear: Vec<u8>,
    encrypted: bool,
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
    fn new(config: XConfig) -> Side {
        Side {
            client: XClient::new(config),
            learnt: Vec::new(),
            sent: Vec::new(),
            clear: Vec::new(),
            encrypted: false,
            failed: false,
        }
    }

    fn ask(&mut self) {
        self.client.query("SELECT @@server_uuid, @@read_only");
        self.send();
    }

    fn send(&mut self) {
        if let Some(bytes) = self.client.poll_transmit() {
            assert!(!bytes.is_empty());
            self.sent.extend_from_slice(bytes);
            if !self.encrypted {
                self.clear.extend_from_slice(bytes);
            }
        }
        assert!(self.client.poll_transmit().is_none(), "bytes go out once");
    }

    fn hear(&mut self, bytes: &[u8]) {
        let end = self.client.handle_bytes(bytes);
        self.judge(end);
        self.send();
        let mut up = false;
        while let Some(answer) = self.client.poll_answer() {
            up |= answer == XAnswer::StartTls;
            self.learnt.push(format!("{answer:?}"));
        }
        if up {
            self.encrypted = true;
            let end = self.client.handle_tls_up();
            self.judge(end);
            self.send();
        }
    }

    fn judge(&mut self, end: Result<(), primacy::wire::WireError>) {
        if let Err(error) = end {
            assert!(!error.message.is_empty() && !error.message.contains("s3cret"), "{}", error.message);
            assert_eq!(self.client.phase(), XPhase::Closed);
            self.failed = true;
        }
    }
}
