//! Conversations with real servers, for tests: one packet a line, `S` from the server, `C` from the client, `E` the
//! server's close. The client's side was computed by a program of its own (hashlib, cryptography), not by this crate.

/// One line of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes from the server; neighbouring packets are joined.
    Server(Vec<u8>),
    /// The packet that the client has to send now.
    Client(Vec<u8>),
    /// The server closes.
    Close,
}

/// A recording by the name of its file.
pub(crate) fn recording(name: &str) -> Vec<Event> {
    let path = format!("{}/tests/data/wire/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut events: Vec<Event> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (who, hex) = line.split_at(1);
        let hex = hex.trim();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        match (who, events.last_mut()) {
            ("S", Some(Event::Server(burst))) => burst.extend(bytes),
            ("S", _) => events.push(Event::Server(bytes)),
            ("C", _) => events.push(Event::Client(bytes)),
            ("E", _) => events.push(Event::Close),
            _ => panic!("{path}: {line}"),
        }
    }
    events
}

/// The padding seed that the recordings were made with.
pub(crate) const SEED: [u8; 20] = {
    let mut seed = [0; 20];
    let mut i = 0;
    while i < 20 {
        seed[i] = 100 + i as u8;
        i += 1;
    }
    seed
};
