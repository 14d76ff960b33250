//! A node's address in its canonical spelling.

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The port of a MySQL or MariaDB server where the address names none.
pub const DEFAULT_PORT: u16 = 3306;

/// Longest path of a unix socket on Linux: `sun_path` is 108 bytes with its final NUL (unix(7)).
const UNIX_PATH_MAX: usize = 107;

/// Longest name in its textual form, and longest label of one (RFC 1035, section 2.3.4).
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A literal address.
    Ip(IpAddr),
    /// A name to resolve, in lower case.
    Name(String),
    /// A unix socket's path.
    Unix(String),
}

/// A canonical address: any spelling that parses to an equal value is the same node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The host.
    pub host: Host,
    /// The port; 0 for a unix socket.
    pub port: u16,
}

impl Address {
    /// Whether packets to it never leave this machine: a socket's path, a loopback address, or `localhost`
    /// (RFC 6761, section 6.3).
    pub fn is_local(&self) -> bool {
        match &self.host {
            Host::Ip(ip) => ip.is_loopback(),
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Unix(_) => true,
        }
    }

    /// Parses `10.0.1.11:3306`, `[2001:db8::11]:3306`, `db1.example:3306`, `unix:/path`; the port may be left
    /// out and is 3306 then.
    ///
    /// - IPv4 is four decimal numbers; the shorter, octal and hexadecimal forms of inet_aton(3) are refused,
    ///   for they are more often a mistake than meant.
    /// - IPv6 stands in brackets, with a port or without; any spelling of RFC 4291, printed as RFC 5952 has it.
    ///   An IPv4-mapped address is the IPv4 address that it reaches. Zone ids (`%eth0`) are refused.
    /// - Names follow RFC 1123, section 2.1, and may contain underscores; they are put in lower case and lose a
    ///   final dot.
    /// - A socket's path is absolute and at most 107 bytes long; doubled slashes and `.` parts are removed.
    ///
    /// # Errors
    /// One sentence that quotes the text, names the part and says what to write.
    pub fn parse(text: &str) -> Result<Address, String> {
        if text.is_empty() {
            return Err("the address is empty: write host:port, [IPv6]:port or unix:/path".into());
        }
        let fail = |problem: String| Err(format!("address \"{}\": {problem}", shorten(text)));
        if let Some(path) = strip_prefix_any_case(text, "unix:") {
            return match unix_path(path) {
                Ok(path) => Ok(Address { host: Host::Unix(path), port: 0 }),
                Err(problem) => fail(problem),
            };
        }
        if text.contains('@') {
            // What stands before the @ may be a password: the text is not repeated.
            return Err("the address holds an @: write the host and port alone, \
                        the account belongs to the keys user and password_file"
                .into());
        }
        if let Some((at, c)) =
            text.chars().enumerate().find(|(_, c)| c.is_whitespace() || c.is_control() || !c.is_ascii())
        {
            let hint = match c.is_whitespace() || c.is_control() {
                true => "white space and control characters are not allowed",
                false => "only ASCII is allowed; write an international name in its xn-- form",
            };
            return fail(format!("character {} is '{}': {hint}", at + 1, c.escape_debug()));
        }
        match host_and_port(text) {
            Ok((host, port)) => Ok(Address { host, port }),
            Err(problem) => fail(problem),
        }
    }
}

impl FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> Result<Address, String> {
        Address::parse(text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Host::Ip(ip) => write!(f, "{ip}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

fn strip_prefix_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

/// Quotes a caller's text: escaped, and cut where it is absurdly long.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut out: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

fn host_and_port(text: &str) -> Result<(Host, u16), String> {
    if let Some(inner) = text.strip_prefix('[') {
        let Some((ip, rest)) = inner.split_once(']') else {
            return Err("the bracket that opens an IPv6 address is not closed".into());
        };
        let port = match rest.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if rest.is_empty() => DEFAULT_PORT,
            None => return Err("after the bracket only a colon and a port may follow".into()),
        };
        return Ok((Host::Ip(bracketed(ip)?), port));
    }
    if text.contains(']') {
        return Err("a closing bracket without an opening one".into());
    }
    if text.bytes().filter(|b| *b == b':').count() > 1 {
        // "::1:3306" could end in a port or in a group: only brackets tell.
        let bare = text.split('%').next().unwrap_or_default();
        return Err(match bare.parse::<Ipv6Addr>() {
            Ok(_) if text.contains('%') => ZONE.into(),
            Ok(ip) => format!("an IPv6 address stands in brackets: write [{ip}] or [{ip}]:{DEFAULT_PORT}"),
            Err(_) => "more than one colon: write host:port, or an IPv6 address in brackets".into(),
        });
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, parse_port(port)?),
        None => (text, DEFAULT_PORT),
    };
    if host.is_empty() {
        return Err("the host before the colon is missing".into());
    }
    Ok((plain_host(host)?, port))
}

const ZONE: &str = "zone ids (%) are not supported: use a global or unique local IPv6 address, or a name";

fn bracketed(text: &str) -> Result<IpAddr, String> {
    if text.contains('%') {
        return Err(ZONE.into());
    }
    match text.parse::<Ipv6Addr>() {
        Ok(ip) => check_ip(ip.to_canonical()),
        Err(_) => Err("what stands in brackets is not an IPv6 address".into()),
    }
}

/// Refuses what cannot be one server.
fn check_ip(ip: IpAddr) -> Result<IpAddr, String> {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if ip.is_unspecified() {
        Err(format!("{ip} is no server's address: write the address that clients connect to"))
    } else if ip.is_multicast() || broadcast {
        Err(format!("{ip} is a group address, a node is one server"))
    } else {
        Ok(ip)
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    if text.is_empty() {
        return Err("the port after the colon is missing".into());
    }
    // Only digits: u16's own parser would take "+3306".
    let digits = text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(format!("port \"{}\" is not a number from 1 to 65535", shorten(text))),
    }
}

fn plain_host(text: &str) -> Result<Host, String> {
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(check_ip(IpAddr::V4(ip))?));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err("a dot alone is no name".into());
    }
    if name.eq_ignore_ascii_case("unix") {
        return Err("a socket is written unix:/path".into());
    }
    if name.len() > NAME_MAX {
        return Err(format!("the name has {} characters, {NAME_MAX} are allowed", name.len()));
    }
    let mut last = "";
    for label in name.split('.') {
        check_label(label)?;
        last = label;
    }
    if is_number(last) {
        // inet_aton(3), which resolvers try first, would read 10.0.1 as 10.0.0.1.
        return Err("neither an IPv4 address (four decimal numbers from 0 to 255, no leading zeros) \
                    nor a name (the last part of a name is not a number)"
            .into());
    }
    Ok(Host::Name(name.to_ascii_lowercase()))
}

fn check_label(label: &str) -> Result<(), String> {
    if label.is_empty() {
        return Err("the name has an empty part between its dots".into());
    }
    if label.len() > LABEL_MAX {
        return Err(format!(
            "the name's part \"{}\" has {} characters, {LABEL_MAX} are allowed",
            shorten(label),
            label.len()
        ));
    }
    if let Some(c) = label.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '-' || *c == '_')) {
        return Err(format!(
            "'{}' is not allowed in a name: letters, digits, hyphens, underscores and dots are",
            c.escape_debug()
        ));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(format!("the name's part \"{label}\" begins or ends with a hyphen"));
    }
    Ok(())
}

/// Whether inet_aton(3) takes the label for a number: decimal, octal, or hexadecimal after 0x.
fn is_number(label: &str) -> bool {
    match strip_prefix_any_case(label, "0x") {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

fn unix_path(path: &str) -> Result<String, String> {
    if path.starts_with('@') {
        return Err("abstract sockets are not supported: servers listen on a path".into());
    }
    if !path.starts_with('/') {
        return Err("after unix: an absolute path must follow".into());
    }
    if let Some(c) = path.chars().find(|c| c.is_control()) {
        return Err(format!("the socket's path contains '{}'", c.escape_debug()));
    }
    if path.ends_with('/') || path.ends_with("/.") {
        return Err("the path names a folder, not a socket".into());
    }
    // ".." stays: what it means depends on symbolic links.
    let mut out = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        out.push('/');
        out.push_str(part);
    }
    if out.len() > UNIX_PATH_MAX {
        return Err(format!("the socket's path has {} bytes, {UNIX_PATH_MAX} are allowed", out.len()));
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
