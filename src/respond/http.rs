//! As much of HTTP/1.1 as a check needs: the head of a request in, the head of an answer out (RFC 9112; what the fields mean,
//! RFC 9110). Requests have no body.

use core::fmt::Write;

/// Longest head of a request, in bytes.
pub const HEAD_MAX: usize = 8192;

/// The methods that are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The answer with its text.
    Get,
    /// The answer without its text.
    Head,
    /// What HAProxy's `option httpchk` asks with if it is told nothing else: the status alone.
    Options,
}

/// A request that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// How it asks.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The connection stays for another request.
    pub keep: bool,
    /// The server that HAProxy checks, from `X-Haproxy-Server-State`.
    pub server: Option<String>,
}

/// Why a request is not answered: a status, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// 400 or above.
    pub status: u16,
    /// One sentence.
    pub text: String,
}

impl Fault {
    /// Makes one.
    pub fn new(status: u16, text: impl Into<String>) -> Fault {
        Fault { status, text: text.into() }
    }
}

/// Takes the next head out of what has come: the request and how many bytes it had. `None` until it is complete.
///
/// # Errors
/// The connection cannot go on after one: where the next request begins is not known.
pub(super) fn take(bytes: &[u8]) -> Option<Result<(Request, usize), Fault>> {
    // Empty lines ahead of a request are to be passed over (RFC 9112, section 2.2).
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    let head = bytes.get(start..).unwrap_or_default();
    let Some(length) = end_of(head) else {
        return match bytes.len() {
            0..HEAD_MAX => None,
            _ => Some(Err(Fault::new(431, format!("the request is longer than {HEAD_MAX} bytes")))),
        };
    };
    if start + length > HEAD_MAX {
        return Some(Err(Fault::new(431, format!("the request is longer than {HEAD_MAX} bytes"))));
    }
    let head = head.get(..length).unwrap_or_default();
    Some(read(head).map(|request| (request, start + length)))
}

/// The length of a head with the empty line that ends it.
fn end_of(bytes: &[u8]) -> Option<usize> {
    let mut last = None;
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'\n') {
        let line = bytes.get(last.map_or(0, |l: usize| l + 1)..at).unwrap_or_default();
        if line.is_empty() || line == b"\r" {
            return Some(at + 1);
        }
        last = Some(at);
    }
    None
}

fn read(head: &[u8]) -> Result<Request, Fault> {
    let bad = |text: &str| Fault::new(400, text);
    let text = core::str::from_utf8(head).map_err(|_| bad("the request is not UTF-8 text"))?;
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    if lines.clone().any(|line| line.contains(|c: char| c.is_control() && c != '\t')) {
        return Err(bad("the request holds a control character"));
    }
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad(
            "the first line is not a method, a target and a version with one space between them",
        ));
    };
    let minor = match version.strip_prefix("HTTP/1.") {
        Some("0") => 0,
        Some(digit) if digit.len() == 1 && digit.bytes().all(|b| b.is_ascii_digit()) => 1,
        _ if version.starts_with("HTTP/") => return Err(Fault::new(505, "HTTP/1.0 and HTTP/1.1 are spoken")),
        _ => return Err(bad("the first line does not end in HTTP/1.0 or HTTP/1.1")),
    };
    let target = origin_form(target).ok_or_else(|| bad("the target is no path"))?;
    let mut request =
        Request { method: Method::Get, target: target.to_owned(), keep: minor == 1, server: None };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header line has no colon"))?;
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(bad("a header's name is empty or holds white space"));
        }
        header(&mut request, name, value.trim_matches([' ', '\t']))?;
    }
    // Last: a method that is not answered is told so even if nothing else is wrong, and no sooner.
    request.method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "OPTIONS" => Method::Options,
        _ => return Err(Fault::new(405, "GET, HEAD and OPTIONS are answered")),
    };
    Ok(request)
}

/// Path and query of a target, which may be written with scheme and host (RFC 9112, section 3.2.2).
fn origin_form(target: &str) -> Option<&str> {
    if target.starts_with('/') {
        return Some(target);
    }
    let scheme = target.get(..7)?;
    if !scheme.eq_ignore_ascii_case("http://") {
        return None;
    }
    let rest = target.get(7..)?;
    Some(rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"))
}

fn header(request: &mut Request, name: &str, value: &str) -> Result<(), Fault> {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is("connection") {
        for word in value.split(',').map(str::trim) {
            if word.eq_ignore_ascii_case("close") {
                request.keep = false;
            } else if word.eq_ignore_ascii_case("keep-alive") {
                request.keep = true;
            }
        }
    } else if is("transfer-encoding") || (is("content-length") && value != "0") {
        // Read as a request of its own, a body could ask in somebody else's name.
        return Err(Fault::new(413, "a check has no body"));
    } else if is("x-haproxy-server-state") {
        request.server = server_of(value);
    }
    Ok(())
}

/// The server in HAProxy's words: `UP 2/3; address=10.0.1.11; port=3306; name=backend/server; …`.
fn server_of(state: &str) -> Option<String> {
    let word = |name: &str| {
        let mut words = state.split(';').filter_map(|part| part.trim().split_once('='));
        words.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let (address, port) = (word("address")?, word("port")?);
    Some(match address.contains(':') && !address.starts_with('[') {
        true => format!("[{address}]:{port}"),
        false => format!("{address}:{port}"),
    })
}

/// The head of an answer.
pub(super) fn head(status: u16, kind: &str, length: usize, keep: bool) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    };
    let mut out = format!("HTTP/1.1 {status} {reason}\r\n");
    // Writing to a String cannot fail.
    let _ = write!(out, "Content-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n");
    if matches!(status, 405) {
        out.push_str("Allow: GET, HEAD, OPTIONS\r\n");
    }
    let _ = write!(out, "Connection: {}\r\n\r\n", if keep { "keep-alive" } else { "close" });
    out.into_bytes()
}
