//! What comes from outside for checkpoints: their text in a configuration, a web server's answer, ICMP messages.

use super::input::Input;
use primacy::probe::{Checkpoint, CheckpointKind};
use primacy::wire::http::{StatusReader, get};
use primacy::wire::icmp::{Family, Nonce, is_reply, request};

/// The first byte chooses, the rest is the text, the answer or the message.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.byte();
    let rest = input.take(usize::MAX);
    match choice % 3 {
        0 => text(rest),
        1 => status(rest, usize::from(choice / 3) % 40 + 1),
        _ => echo(rest, choice & 4 != 0, choice & 8 != 0),
    }
}

fn text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Checkpoint::parse(CheckpointKind::Edge, &text) {
        Err(problem) => assert!(!problem.is_empty() && problem.len() < 2000, "{problem}"),
        Ok(checkpoint) => {
            let canonical = checkpoint.to_string();
            assert_eq!(
                Checkpoint::parse(CheckpointKind::Edge, &canonical).as_ref(),
                Ok(&checkpoint),
                "{canonical}"
            );
            // Nothing that the configuration says becomes a line of its own.
            let request = get(&checkpoint.authority(), &checkpoint.path);
            assert_eq!(request.iter().filter(|b| **b == b'\n').count(), 6, "{}", request.escape_ascii());
            assert!(request.len() < 2048);
        }
    }
}

fn status(bytes: &[u8], cut: usize) {
    let whole = StatusReader::default().take(bytes);
    let (mut reader, mut end) = (StatusReader::default(), None);
    for piece in bytes.chunks(cut) {
        end = reader.take(piece);
        if end.is_some() {
            break;
        }
    }
    assert_eq!(whole.map(Result::ok), end.map(Result::ok));
    if let Some(Ok(status)) = end {
        assert!((100..1000).contains(&status), "{status}");
    }
}

fn echo(bytes: &[u8], six: bool, header: bool) {
    let family = if six { Family::V6 } else { Family::V4 };
    let nonce: Nonce = *b"a nonce of ours.";
    let replied = is_reply(family, header, bytes, &nonce);
    assert!(!replied || bytes.windows(16).any(|w| w == nonce), "a reply without our nonce");
    assert!(!is_reply(family, false, &request(family, 1, &nonce), &nonce), "a request is no reply");
}
