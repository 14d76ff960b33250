//! The control protocol: frames however they are cut, requests, answers, and the snapshot in an answer.

use primacy::control::{Answer, Ask, Change, FrameReader, LARGEST_REQUEST, Request, Seen};
use primacy::pool::overrides::LONGEST_REASON;

pub fn run(data: &[u8]) {
    request(data);
    answer(data);
    let documents = frames(data, data.len().max(1));
    assert_eq!(documents, frames(data, 1), "the same however it is cut");
    for document in documents.iter().flatten() {
        request(document);
        answer(document);
    }
}

/// The documents up to the first frame that is too long.
fn frames(data: &[u8], piece: usize) -> Vec<Option<Vec<u8>>> {
    let mut reader = FrameReader::new(LARGEST_REQUEST);
    let mut documents = Vec::new();
    for piece in data.chunks(piece) {
        let mut next = reader.take(piece);
        loop {
            match next {
                Ok(None) => break,
                Ok(document) => documents.push(document),
                Err(_) => {
                    documents.push(None);
                    return documents;
                }
            }
            next = reader.take(&[]);
        }
    }
    documents
}

fn request(data: &[u8]) {
    match Request::decode(data) {
        Ok(request) => {
            let text = request.encode();
            assert_eq!(Request::decode(text.as_bytes()).as_ref(), Ok(&request), "{text}");
            if let Ask::Change {
                change:
                    Change::Override { terms, .. }
                    | Change::Freeze { terms, .. }
                    | Change::Maintenance { terms, .. },
                ..
            } = request.ask
            {
                assert!((1..=LONGEST_REASON).contains(&terms.reason.len()), "{text}");
                assert!(!terms.reason.contains(char::is_control), "{text}");
            }
        }
        Err((_, error)) => {
            let text = error.message();
            assert!(!text.is_empty() && text.len() < 1000 && !text.contains(char::is_control), "{text:?}");
        }
    }
}

fn answer(data: &[u8]) {
    let Ok(answer) = Answer::decode(data) else { return };
    let text = answer.encode();
    assert_eq!(Answer::decode(text.as_bytes()).as_ref(), Ok(&answer), "{text}");
    let Ok(done) = &answer.outcome else { return };
    if let Ok(seen) = Seen::decode(&done.body) {
        assert_eq!(Seen::decode(&seen.encode()).as_ref(), Ok(&seen), "{text}");
    }
}
