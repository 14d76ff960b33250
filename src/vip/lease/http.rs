//! HTTP/1.1 as far as a gateway with JSON needs it: one POST, and an answer of known length, in chunks, or up to the end of the connection
//! (RFC 9112, sections 3, 6 and 7).

use crate::wire::http::StatusReader;

/// The most bytes of head, and of trailers.
const HEAD_MAX: usize = 16 * 1024;

/// A POST of JSON. `authority` and `path` come from the configuration and from us; the token from etcd.
pub fn post(authority: &str, path: &str, token: Option<&str>, body: &str) -> Vec<u8> {
    let token = token.filter(|token| token.bytes().all(|b| b.is_ascii_graphic()));
    let login = token.map_or(String::new(), |token| format!("Authorization: {token}\r\n"));
    format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: primacy/{}\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\n{login}Content-Length: {}\r\n\r\n{body}",
        env!("CARGO_PKG_VERSION"),
        body.len()
    )
    .into_bytes()
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether the connection may be used again.
    pub keep: bool,
}

/// Collects an answer piece by piece.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Vec<u8>,
    most: usize,
}

/// Where the body ends.
enum Length {
    Known(usize),
    Chunked,
    ToTheEnd,
}

impl Reader {
    /// One that takes a body of so many bytes at most.
    pub fn new(most: usize) -> Reader {
        Reader { bytes: Vec::new(), most }
    }

    /// Whether nothing has come yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes in bytes. The answer, once it is complete.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Reply>, &'static str> {
        self.bytes.extend_from_slice(bytes);
        self.read(false)
    }

    /// The peer has closed the connection.
    ///
    /// # Errors
    /// What is wrong with the answer, most often that it is not complete.
    pub fn end(&mut self) -> Result<Reply, &'static str> {
        self.read(true)?.ok_or("the connection was closed in the middle of the answer")
    }

    fn read(&self, ended: bool) -> Result<Option<Reply>, &'static str> {
        let mut rest = self.bytes.as_slice();
        loop {
            let Some((head, body)) = split_head(rest)? else { return Ok(None) };
            let (status, length, keep) = read_head(head)?;
            if status < 200 {
                // An interim answer; the real one follows.
                rest = body;
                continue;
            }
            let (body, keep) = match length {
                Length::Known(length) if length > self.most => return Err("the answer is too long"),
                Length::Known(length) => {
                    (body.get(..length).map(<[u8]>::to_vec), keep && body.len() == length)
                }
                Length::Chunked => match self.chunks(body)? {
                    Some((whole, used)) => (Some(whole), keep && body.len() == used),
                    None => (None, false),
                },
                Length::ToTheEnd if body.len() > self.most => return Err("the answer is too long"),
                Length::ToTheEnd => (ended.then(|| body.to_vec()), false),
            };
            return Ok(body.map(|body| Reply { status, body, keep }));
        }
    }

    /// The body behind its chunks, and how many bytes they took.
    fn chunks(&self, bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, &'static str> {
        let (mut whole, mut at) = (Vec::new(), 0);
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some((line, used)) = split_line(rest)? else { return Ok(None) };
            let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
            let size = hexadecimal(digits).ok_or("a chunk has no size")?;
            at += used;
            if size == 0 {
                // Trailers, up to an empty line.
                let from = at;
                loop {
                    let rest = bytes.get(at..).unwrap_or_default();
                    let Some((line, used)) = split_line(rest)? else { return Ok(None) };
                    at += used;
                    if line.is_empty() {
                        return Ok(Some((whole, at)));
                    }
                    if at - from > HEAD_MAX {
                        return Err("the answer's trailers are too long");
                    }
                }
            }
            if whole.len() + size > self.most {
                return Err("the answer is too long");
            }
            let Some(chunk) = bytes.get(at..at + size) else { return Ok(None) };
            whole.extend_from_slice(chunk);
            at += size;
            match bytes.get(at..at + 2) {
                Some(b"\r\n") => at += 2,
                Some(_) => return Err("a chunk is longer than its size says"),
                None => return Ok(None),
            }
        }
    }
}

/// Head and what follows.
fn split_head(bytes: &[u8]) -> Result<Option<(&[u8], &[u8])>, &'static str> {
    match bytes.windows(4).take(HEAD_MAX).position(|w| w == b"\r\n\r\n") {
        Some(at) => Ok(Some((bytes.get(..at).unwrap_or_default(), bytes.get(at + 4..).unwrap_or_default()))),
        None if bytes.len() > HEAD_MAX => Err("the answer's head is too long"),
        None => {
            // Who speaks something else is told from one who is slow.
            let known = bytes.len().min(PREFIX.len());
            if bytes.get(..known) == PREFIX.get(..known) {
                Ok(None)
            } else {
                Err("the answer is not HTTP/1.1")
            }
        }
    }
}

const PREFIX: &[u8] = b"HTTP/1.";

/// A line without its end, and how many bytes it took with it.
fn split_line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, &'static str> {
    match bytes.windows(2).take(HEAD_MAX).position(|w| w == b"\r\n") {
        Some(at) => Ok(Some((bytes.get(..at).unwrap_or_default(), at + 2))),
        None if bytes.len() > HEAD_MAX => Err("a line of the answer is too long"),
        None => Ok(None),
    }
}

fn read_head(head: &[u8]) -> Result<(u16, Length, bool), &'static str> {
    let mut lines = head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = [lines.next().unwrap_or_default(), b"\n"].concat();
    let status = StatusReader::default().take(&first).unwrap_or(Err("the answer is not HTTP/1.1"))?;
    let (mut length, mut chunked, mut keep) = (None, false, first.starts_with(b"HTTP/1.1"));
    for line in lines {
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            return Err("a line of the answer's head has no colon");
        };
        let name = line.get(..colon).unwrap_or_default().to_ascii_lowercase();
        let value = line.get(colon + 1..).unwrap_or_default().trim_ascii().to_ascii_lowercase();
        match name.as_slice() {
            b"content-length" => {
                let digits = core::str::from_utf8(&value).unwrap_or_default();
                let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<usize>().ok());
                let Some(Some(number)) = number else { return Err("the answer's length is no number") };
                if length.is_some_and(|before| before != number) {
                    return Err("the answer has two lengths");
                }
                length = Some(number);
            }
            b"transfer-encoding" if value == b"chunked" => chunked = true,
            b"transfer-encoding" => return Err("the answer comes in an encoding that was not asked for"),
            b"connection" if value == b"close" => keep = false,
            _ => {}
        }
    }
    let length = match (chunked, length) {
        (true, _) => Length::Chunked,
        (false, Some(length)) => Length::Known(length),
        (false, None) if matches!(status, 204 | 304) => Length::Known(0),
        (false, None) => Length::ToTheEnd,
    };
    Ok((status, length, keep))
}

fn hexadecimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 7 {
        return None;
    }
    digits.iter().try_fold(0, |n, digit| Some(n * 16 + char::from(*digit).to_digit(16)? as usize))
}

#[cfg(test)]
mod tests;
