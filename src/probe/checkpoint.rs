//! Checkpoints: places that say something about the prober's own network, and what the end of a look at one means.

use super::cause::{Cause, Class};
use super::verdict;
use crate::pool::state::words;
use crate::pool::{Address, Host};
use crate::wire::Transport;
use core::fmt;

words! {
    /// Where a checkpoint lies, as MySQL Proxy Plus has it.
    CheckpointKind {
        /// In the node's own network.
        Internal = 0 => "internal",
        /// Where that network ends.
        Edge = 1 => "edge",
        /// Beyond it.
        External = 2 => "external",
    }
}

words! {
    /// How a checkpoint is looked at.
    CheckMethod {
        /// Is the host there: an ICMP echo, or with a port a TCP connection of which any reply will do.
        Simple = 0 => "simple",
        /// An HTTP/1.1 GET: a status line below 500.
        Http = 1 => "http",
        /// A MySQL or MariaDB server: any answer of the server, a refusal too.
        Mysql = 2 => "mysql",
    }
}

/// The port of an HTTP checkpoint that names none.
const HTTP_PORT: u16 = 80;

/// The longest path of an HTTP checkpoint.
const PATH_MAX: usize = 1024;

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where it lies.
    pub kind: CheckpointKind,
    /// How it is looked at.
    pub method: CheckMethod,
    /// A literal address or a name.
    pub host: Host,
    /// The TCP port; `None` asks by an ICMP echo.
    pub port: Option<u16>,
    /// What a GET asks for; `/` unless the configuration says otherwise, and of no meaning to other methods.
    pub path: String,
}

impl Checkpoint {
    /// Parses `simple:HOST`, `simple:HOST:PORT`, `http:HOST[:PORT][/PATH]` or `mysql:HOST[:PORT]`. IPv6 stands in
    /// brackets; the ports are 80 and 3306 by default.
    ///
    /// # Errors
    /// A sentence that says what to write.
    pub fn parse(kind: CheckpointKind, text: &str) -> Result<Checkpoint, String> {
        let methods = "write simple:HOST, simple:HOST:PORT, http:HOST[:PORT][/PATH] or mysql:HOST[:PORT]";
        let Some((word, target)) = text.split_once(':') else {
            return Err(format!("the method is missing: {methods}"));
        };
        let Some(method) = CheckMethod::from_name(word) else {
            let word: String = word.chars().take(40).flat_map(char::escape_debug).collect();
            return Err(format!("\"{word}\" is no method of a checkpoint: {methods}"));
        };
        let (target, path) = match method {
            CheckMethod::Http if target.starts_with("//") => {
                return Err("write http:HOST[:PORT][/PATH], without // before the host".into());
            }
            CheckMethod::Http => match target.find('/') {
                Some(at) => target.split_at(at),
                None => (target, "/"),
            },
            CheckMethod::Simple | CheckMethod::Mysql => (target, "/"),
        };
        if path.len() > PATH_MAX {
            return Err(format!("the path has {} bytes, {PATH_MAX} are allowed", path.len()));
        }
        // Visible ASCII without the fragment, which is never sent (RFC 9110, section 7.1).
        if let Some(c) = path.chars().find(|c| !c.is_ascii_graphic() || *c == '#') {
            return Err(format!("'{}' is not allowed in a path: write it as %XX", c.escape_debug()));
        }
        let address = Address::parse(target)?;
        if matches!(address.host, Host::Unix(_)) {
            return Err("a checkpoint is reached over the network: a unix socket is none".into());
        }
        let port = match (method, names_port(target)) {
            (CheckMethod::Simple, false) => None,
            (CheckMethod::Http, false) => Some(HTTP_PORT),
            _ => Some(address.port),
        };
        Ok(Checkpoint { kind, method, host: address.host, port, path: path.into() })
    }

    /// Host and port; the port is of no meaning to an echo.
    pub fn address(&self) -> Address {
        Address { host: self.host.clone(), port: self.port.unwrap_or(0) }
    }

    /// The `Host` field of a GET (RFC 9110, section 7.2): the port stands in it unless it is the default.
    pub fn authority(&self) -> String {
        match self.port {
            None | Some(HTTP_PORT) => self.host_text(),
            Some(port) => format!("{}:{port}", self.host_text()),
        }
    }

    fn host_text(&self) -> String {
        match &self.host {
            Host::Ip(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
            Host::Unix(path) => path.clone(),
        }
    }

    /// How a look ends whose connection attempt failed with this error number: the cause and a sentence.
    ///
    /// A refusal proves that the host is there, and that is all that `simple` asks.
    pub fn of_connect_error(&self, errno: i32) -> (Cause, String) {
        let (cause, what) = verdict::of_errno(errno, Transport::Plain);
        match (self.method, cause) {
            (CheckMethod::Simple, Cause::Refused | Cause::Reset) => {
                (Cause::Ok, format!("the host is there: {what}"))
            }
            _ => (cause, format!("{what} (errno {errno})")),
        }
    }

    /// How a look ends that brought this HTTP status.
    pub fn of_status(status: u16) -> (Cause, String) {
        match status {
            0..500 => (Cause::Ok, format!("HTTP status {status}")),
            _ => (Cause::QueryFailed, format!("HTTP status {status}: 500 and above count as a failure")),
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.method, self.host_text())?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if self.method == CheckMethod::Http && self.path != "/" {
            f.write_str(&self.path)?;
        }
        Ok(())
    }
}

/// Whether the text of a good address names its port.
fn names_port(text: &str) -> bool {
    match text.split_once(']') {
        Some((_, rest)) => rest.starts_with(':'),
        None => text.contains(':'),
    }
}

/// Whether a look that ended so proves that the prober's own network carries packets: any reply does.
pub fn proves_path(class: Class) -> bool {
    !matches!(class, Class::Silent | Class::Blind)
}

/// Whether a look of this method that ended so found the checkpoint in order. `mysql` asks whether a server answers,
/// with whatever words.
pub fn answers(method: CheckMethod, class: Class) -> bool {
    match method {
        CheckMethod::Simple | CheckMethod::Http => class == Class::Ok,
        CheckMethod::Mysql => class.answered(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Checkpoint, String> {
        Checkpoint::parse(CheckpointKind::Edge, text)
    }

    #[test]
    fn every_spelling_prints_its_canonical_one() {
        for (text, canonical, port, authority) in [
            ("simple:10.0.0.1", "simple:10.0.0.1", None, "10.0.0.1"),
            ("SIMPLE:10.0.0.1:22", "simple:10.0.0.1:22", Some(22), "10.0.0.1:22"),
            ("simple:[2001:DB8::1]", "simple:[2001:db8::1]", None, "[2001:db8::1]"),
            ("simple:[2001:db8::1]:22", "simple:[2001:db8::1]:22", Some(22), "[2001:db8::1]:22"),
            ("simple:Gw.Example.", "simple:gw.example", None, "gw.example"),
            ("http:status.example", "http:status.example:80", Some(80), "status.example"),
            ("http:status.example:80/", "http:status.example:80", Some(80), "status.example"),
            ("http:h:8080/a/b?c=d", "http:h:8080/a/b?c=d", Some(8080), "h:8080"),
            ("http:[::1]/x", "http:[::1]:80/x", Some(80), "[::1]"),
            ("mysql:db1", "mysql:db1:3306", Some(3306), "db1:3306"),
        ] {
            let checkpoint = parse(text).expect(text);
            assert_eq!(checkpoint.to_string(), canonical);
            assert_eq!((checkpoint.port, checkpoint.authority()), (port, authority.into()), "{text}");
            assert_eq!(parse(canonical), Ok(checkpoint), "{canonical}");
        }
    }

    #[test]
    fn every_mistake_says_what_to_write() {
        for (text, words) in [
            ("", "the method is missing"),
            ("10.0.0.1", "the method is missing"),
            ("ping:10.0.0.1", "\"ping\" is no method of a checkpoint: write simple:HOST"),
            ("simple:", "the address is empty"),
            ("simple:::1", "stands in brackets"),
            ("simple:10.0.0.1:0", "is not a number from 1 to 65535"),
            ("simple:unix:/tmp/s", "a unix socket is none"),
            ("http://h/", "without //"),
            ("http:h/a b", "' ' is not allowed in a path"),
            ("http:h/a#b", "'#' is not allowed in a path"),
            ("http:h/\r\nX: y", "'\\r' is not allowed in a path"),
            ("http:/x", "the address is empty"),
            ("mysql:0.0.0.0", "is no server's address"),
            ("mysql:u:p@h", "holds an @"),
        ] {
            let problem = parse(text).expect_err(text);
            assert!(problem.contains(words), "{text}: {problem}");
        }
        assert!(parse(&format!("http:h/{}", "x".repeat(1024))).is_err());
    }

    #[test]
    fn what_an_end_means() {
        let simple = parse("simple:h:9").expect("good");
        let http = parse("http:h").expect("good");
        assert_eq!(simple.of_connect_error(111).0, Cause::Ok);
        assert_eq!(simple.of_connect_error(104).0, Cause::Ok);
        assert_eq!(http.of_connect_error(111).0, Cause::Refused);
        for checkpoint in [simple, http] {
            assert_eq!(checkpoint.of_connect_error(113).0, Cause::Unreachable);
            assert_eq!(checkpoint.of_connect_error(24).0, Cause::Local);
        }
        for (status, cause) in
            [(100, Cause::Ok), (404, Cause::Ok), (499, Cause::Ok), (500, Cause::QueryFailed)]
        {
            assert_eq!(Checkpoint::of_status(status).0, cause, "{status}");
        }
        for class in Class::ALL {
            let (path, ok) = (proves_path(*class), answers(CheckMethod::Mysql, *class));
            assert!(path || !ok, "an answer is a reply: {class}");
            assert_eq!(path, !matches!(class, Class::Silent | Class::Blind));
            assert_eq!(answers(CheckMethod::Http, *class), *class == Class::Ok);
        }
        assert!(answers(CheckMethod::Mysql, Class::Refusing) && !answers(CheckMethod::Mysql, Class::Gone));
    }
}
