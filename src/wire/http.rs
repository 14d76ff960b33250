//! As much of HTTP/1.1 as it takes to ask whether a web server serves: one GET, and its status line (RFC 9112,
//! sections 3 and 4).

/// The longest status line that is read, its end included.
const LINE_MAX: usize = 1024;

/// A GET for `path` of the host named by `authority`. Both come from the configuration, which lets no white space or
/// control characters into them.
pub fn get(authority: &str, path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: primacy/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    )
    .into_bytes()
}

/// Reads a status line piece by piece.
#[derive(Clone, Debug, Default)]
pub struct StatusReader {
    line: Vec<u8>,
}

impl StatusReader {
    /// Takes in bytes. `None` until the line is complete; nothing more may be handed in after that.
    ///
    /// # Errors
    /// A sentence, if what came is no status line.
    pub fn take(&mut self, bytes: &[u8]) -> Option<Result<u16, &'static str>> {
        let end = bytes.iter().position(|b| *b == b'\n');
        let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        if self.line.len() + part.len() >= LINE_MAX {
            return Some(Err("the first line of the answer is too long for a status line"));
        }
        self.line.extend_from_slice(part);
        if end.is_some() {
            return Some(status(&self.line));
        }
        // Who speaks something else, and waits for us, is told from one who is slow.
        let known = self.line.len().min(PREFIX.len());
        match self.line.get(..known) == PREFIX.get(..known) {
            true => None,
            false => Some(Err(NO_HTTP)),
        }
    }

    /// Whether anything has come.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }
}

const PREFIX: &[u8] = b"HTTP/1.";
const NO_HTTP: &str = "the answer is not HTTP/1.0 or HTTP/1.1";

/// `HTTP/1.x SP 3DIGIT [SP reason]`. Some servers leave the space before an empty reason out.
fn status(line: &[u8]) -> Result<u16, &'static str> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some([minor, b' ', code @ ..]) = line.strip_prefix(PREFIX) else { return Err(NO_HTTP) };
    if !minor.is_ascii_digit() {
        return Err(NO_HTTP);
    }
    match code {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']
        | [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] => {
            Ok([a, b, c].iter().fold(0, |n, digit| n * 10 + u16::from(**digit - b'0')))
        }
        _ => Err("the status line has no status of three digits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Option<Result<u16, &'static str>> {
        StatusReader::default().take(bytes)
    }

    #[test]
    fn a_request() {
        let text = String::from_utf8(get("h:8080", "/x?y")).expect("ASCII");
        assert!(text.starts_with("GET /x?y HTTP/1.1\r\nHost: h:8080\r\n"), "{text}");
        assert!(
            text.ends_with("Connection: close\r\n\r\n") && text.contains("User-Agent: primacy/"),
            "{text}"
        );
    }

    #[test]
    fn status_lines() {
        for (line, status) in [
            ("HTTP/1.1 200 OK\r\n", 200),
            ("HTTP/1.0 404 Not Found\r\nContent", 404),
            ("HTTP/1.1 503\r\n", 503),
            ("HTTP/1.1 204 \n", 204),
        ] {
            assert_eq!(read(line.as_bytes()), Some(Ok(status)), "{line}");
        }
        for line in [
            "HTTP/2 200\r\n",
            "HTTP/1.1  200 OK\r\n",
            "HTTP/1.1 20 OK\r\n",
            "HTTP/1.1 2000 OK\r\n",
            "HTTP/1.1 099 x\r\n",
            "HTTP/1.x 200 OK\r\n",
            "\r\n",
            "HTTP/1.1 200OK\r\n",
            "http/1.1 200 OK\r\n",
            "5.5.5-10.11\0",
            "SSH-2.0-OpenSSH\r\n",
        ] {
            assert!(matches!(read(line.as_bytes()), Some(Err(_))), "{line:?}");
        }
        assert_eq!(read(b"HTTP/1.1 200 O"), None);
        assert!(matches!(read(format!("HTTP/1.1 200 {}", "x".repeat(1011)).as_bytes()), Some(Err(_))));
        assert_eq!(read(format!("HTTP/1.1 200 {}\n", "x".repeat(1010)).as_bytes()), Some(Ok(200)));
    }

    proptest! {
        #[test]
        fn pieces_read_as_the_whole(bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..1500),
            "HTTP/1\\.[0-9] [0-9]{2,4}( [ -~]{0,40})?\r?\n".prop_map(String::into_bytes),
        ], cuts in prop::collection::vec(1..40usize, 1..40)) {
            let whole = read(&bytes);
            let (mut reader, mut left, mut end) = (StatusReader::default(), &bytes[..], None);
            for cut in cuts.iter().cycle().take(2000) {
                if end.is_some() || left.is_empty() {
                    break;
                }
                let (piece, rest) = left.split_at((*cut).min(left.len()));
                (left, end) = (rest, reader.take(piece));
            }
            // An error may show before the line is complete; which one it is may differ where there are two.
            prop_assert_eq!(whole.map(|end| end.ok()), end.map(|end| end.ok()));
        }
    }
}
