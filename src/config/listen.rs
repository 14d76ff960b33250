//! Where `primacy run` answers load balancers.

use crate::pool::{Address, Host};
use core::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// An address to listen at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenAddress {
    /// TCP. `[::]` takes IPv6 alone, beside `0.0.0.0`.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Parses `127.0.0.1:8008`, `[::1]:8008`, `8008` (this machine alone, 127.0.0.1) or `unix:/path`.
    ///
    /// # Errors
    /// One sentence that says what to write.
    pub fn parse(text: &str) -> Result<ListenAddress, String> {
        const WANTED: &str = "write IP:PORT, [IPv6]:PORT, a port of 127.0.0.1 alone, or unix:/path";
        let refused = |why: &str| format!("\"{}\" {why}: {WANTED}", shown(text));
        if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
            return match text.parse::<u16>() {
                Ok(port) if port > 0 => Ok(ListenAddress::Tcp((Ipv4Addr::LOCALHOST, port).into())),
                _ => Err(refused("is no port from 1 to 65535")),
            };
        }
        if text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("unix:")) {
            // The same spelling rules as for a node's socket.
            return match Address::parse(text)? {
                Address { host: Host::Unix(path), .. } => Ok(ListenAddress::Unix(path.into())),
                _ => Err(refused("is no path of a socket")),
            };
        }
        match text.parse::<SocketAddr>() {
            Ok(SocketAddr::V6(a)) if a.scope_id() != 0 => Err(refused("has a zone")),
            Ok(address) if address.port() == 0 => Err(refused("has port 0")),
            Ok(address) => Ok(ListenAddress::Tcp(address)),
            // A name could mean another address at each start.
            Err(_) if text.parse::<IpAddr>().is_ok() => Err(refused("has no port")),
            Err(_) => Err(refused("is no address to listen at")),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => write!(f, "{address}"),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The table `[listen]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where HTTP is answered.
    pub http: Vec<ListenAddress>,
    /// Where agent-checks are answered.
    pub agent_check: Vec<ListenAddress>,
    /// The node that is meant where a request names none.
    pub node: Option<Address>,
    /// The mode of unix sockets.
    pub unix_mode: u32,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen { http: Vec::new(), agent_check: Vec::new(), node: None, unix_mode: 0o600 }
    }
}

impl Listen {
    /// Whether nothing listens.
    pub fn is_off(&self) -> bool {
        self.http.is_empty() && self.agent_check.is_empty()
    }
}

/// What was written, on one line of bounded length.
fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    text.chars().take(LONGEST).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_are_printed() {
        for (text, printed) in [
            ("127.0.0.1:8008", "127.0.0.1:8008"),
            ("8008", "127.0.0.1:8008"),
            ("[::1]:8008", "[::1]:8008"),
            ("[::]:1", "[::]:1"),
            ("UNIX:/run//primacy/./http.sock", "unix:/run/primacy/http.sock"),
        ] {
            let address = ListenAddress::parse(text).expect(text);
            assert_eq!(address.to_string(), printed);
            assert_eq!(ListenAddress::parse(printed), Ok(address));
        }
    }

    #[test]
    fn what_is_no_address_says_what_to_write() {
        for (text, why) in [
            ("", "is no address"),
            ("0", "is no port"),
            ("65536", "is no port"),
            ("127.0.0.1", "has no port"),
            ("127.0.0.1:0", "has port 0"),
            ("localhost:8008", "is no address"),
            ("::1:8008", "has no port"),
            ("[fe80::1%3]:80", "has a zone"),
            ("unix:relative", "absolute path"),
            ("/run/x.sock", "is no address"),
            ("*:8008", "is no address"),
        ] {
            let problem = ListenAddress::parse(text).expect_err(text);
            assert!(problem.contains(why), "{text}: {problem}");
        }
    }
}
