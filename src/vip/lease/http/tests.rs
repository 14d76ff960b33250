use super::*;
use proptest::prelude::*;

fn whole(bytes: &[u8]) -> Result<Option<Reply>, &'static str> {
    Reader::new(100).take(bytes)
}

fn reply(status: u16, body: &str, keep: bool) -> Reply {
    Reply { status, body: body.into(), keep }
}

/// As etcd 3.4.23 sends a refusal, trailers and all.
const CHUNKED: &str = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nTrailer: Grpc-Trailer-Content-Type\r\n\
    Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n3;x=y\r\n 1}\r\n0\r\nGrpc-Trailer-Content-Type: application/grpc\r\n\r\n";

const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}";

#[test]
fn a_question() {
    let text = String::from_utf8(post("h:2379", "/v3/kv/range", Some("abc.1"), "{}")).expect("ASCII");
    assert!(text.starts_with("POST /v3/kv/range HTTP/1.1\r\nHost: h:2379\r\n"), "{text}");
    assert!(
        text.contains("\r\nAuthorization: abc.1\r\n") && text.ends_with("Content-Length: 2\r\n\r\n{}"),
        "{text}"
    );
    let text = String::from_utf8(post("h", "/", Some("a\r\nEvil: 1"), "")).expect("ASCII");
    assert!(!text.contains("Evil"), "{text}");
}

#[test]
fn answers_of_every_form() {
    assert_eq!(whole(PLAIN.as_bytes()), Ok(Some(reply(200, "{\"a\":1}", true))));
    assert_eq!(whole(CHUNKED.as_bytes()), Ok(Some(reply(404, "{\"a\": 1}", true))));
    assert_eq!(
        whole(format!("HTTP/1.1 100 Continue\r\n\r\n{PLAIN}").as_bytes()),
        Ok(Some(reply(200, "{\"a\":1}", true)))
    );
    assert_eq!(whole(format!("{PLAIN}more").as_bytes()), Ok(Some(reply(200, "{\"a\":1}", false))));
    let closing = PLAIN.replace("Content-Length", "Connection: close\r\nContent-Length");
    assert_eq!(whole(closing.as_bytes()), Ok(Some(reply(200, "{\"a\":1}", false))));
    let mut reader = Reader::new(100);
    assert_eq!(reader.take(b"HTTP/1.0 200 OK\r\n\r\n{}"), Ok(None));
    assert_eq!(reader.end(), Ok(reply(200, "{}", false)));
}

#[test]
fn what_is_no_answer() {
    for bytes in [
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
    ] {
        assert!(whole(bytes.as_bytes()).is_err(), "{bytes:?}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(20_000));
    assert!(whole(endless.as_bytes()).is_err());
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(101));
    assert!(whole(endless.as_bytes()).is_err());
    let endless =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}", "a: b\r\n".repeat(4000));
    assert!(whole(endless.as_bytes()).is_err());
}

#[test]
fn cut_anywhere_it_is_not_complete() {
    for text in [PLAIN, CHUNKED] {
        for cut in 0..text.len() {
            let mut reader = Reader::new(100);
            assert_eq!(reader.take(&text.as_bytes()[..cut]), Ok(None), "cut at {cut}");
            assert!(reader.end().is_err(), "cut at {cut}");
        }
    }
}

proptest! {
    #[test]
    fn pieces_read_as_the_whole(chunked in any::<bool>(), cuts in prop::collection::vec(1..40usize, 1..40)) {
        let text = if chunked { CHUNKED } else { PLAIN };
        let (mut reader, mut rest, mut got) = (Reader::new(100), text.as_bytes(), None);
        for cut in cuts.iter().cycle() {
            let (piece, left) = rest.split_at((*cut).min(rest.len()));
            rest = left;
            got = reader.take(piece).expect("well formed");
            if rest.is_empty() {
                break;
            }
            prop_assert_eq!(&got, &None);
        }
        prop_assert_eq!(Ok(got), whole(text.as_bytes()));
    }

    #[test]
    fn anything_is_survived(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..400),
        "HTTP/1\\.1 200 OK\r\n(Transfer-Encoding: chunked\r\n|Content-Length: [0-9]{0,3}\r\n|[a-zA-Z]: ?\r\n){0,3}\r\n([0-9a-f]{0,3}(\r\n)?[a-z]{0,9}(\r\n)?){0,9}".prop_map(String::into_bytes),
    ]) {
        let mut reader = Reader::new(100);
        if let Ok(Some(reply)) = reader.take(&bytes) {
            prop_assert!(reply.body.len() <= 100);
        }
        let _ = reader.end();
    }
}
