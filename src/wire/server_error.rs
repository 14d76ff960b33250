//! The server's error packet, and our own word for what is not MySQL.

use core::fmt;

/// An error as the server sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// The server's error number, as in `ERROR 1045`.
    pub code: u16,
    /// The SQLSTATE; absent in errors that a server sends before it knows the client.
    pub sqlstate: Option<[u8; 5]>,
    /// The server's text, cut at 512 bytes, control characters replaced.
    pub message: String,
}

impl ServerError {
    const MOST: usize = 512;

    /// Reads an error packet's payload, its 0xFF included. `None` if it is too short to hold a number.
    ///
    /// Read here and not by `mysql_common`, which wants to know beforehand whether a SQLSTATE is there: before the
    /// handshake some servers send it and some do not.
    pub(super) fn parse(payload: &[u8]) -> Option<ServerError> {
        let &[0xFF, low, high, ref rest @ ..] = payload else { return None };
        let (sqlstate, text) = match rest {
            &[b'#', a, b, c, d, e, ref text @ ..] => (Some([a, b, c, d, e]), text),
            text => (None, text),
        };
        Some(ServerError::new(u16::from_le_bytes([low, high]), sqlstate, text))
    }

    /// An error of these parts; the text is cut and cleaned.
    pub(super) fn new(code: u16, sqlstate: Option<[u8; 5]>, text: &[u8]) -> ServerError {
        let text = String::from_utf8_lossy(&text[..text.len().min(Self::MOST)]);
        let message = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        ServerError { code, sqlstate, message }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}", self.code)?;
        if let Some(state) = self.sqlstate {
            write!(f, " ({})", state.escape_ascii())?;
        }
        write!(f, ": {}", self.message)
    }
}

/// What kind of end a connection came to by something else than a server's error packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireErrorKind {
    /// What came is not the MySQL protocol, or breaks a bound.
    Violation,
    /// The login needs something that we do not do or may not do.
    Login,
    /// The connection cannot be encrypted as it has to be.
    Tls,
}

/// Why the machine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    /// What kind of end it is.
    pub kind: WireErrorKind,
    /// One sentence: in which phase, what was expected, what came, what to do.
    pub message: String,
}

impl WireError {
    pub(super) fn violation(message: impl Into<String>) -> WireError {
        WireError { kind: WireErrorKind::Violation, message: message.into() }
    }

    pub(super) fn tls(message: impl Into<String>) -> WireError {
        WireError { kind: WireErrorKind::Tls, message: message.into() }
    }

    pub(super) fn login(message: impl Into<String>) -> WireError {
        WireError { kind: WireErrorKind::Login, message: message.into() }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WireError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_sqlstate() {
        let with = ServerError::parse(b"\xFF\x10\x04#08004Too many connections").unwrap();
        assert_eq!((with.code, with.sqlstate), (1040, Some(*b"08004")));
        assert_eq!(with.to_string(), "error 1040 (08004): Too many connections");
        let without = ServerError::parse(b"\xFF\x69\x04Host 'a' is blocked\n\x1b[31m").unwrap();
        assert_eq!((without.code, without.sqlstate), (1129, None));
        assert_eq!(without.message, "Host 'a' is blocked  [31m");
        assert_eq!(ServerError::parse(b"\xFF\x69"), None);
        assert_eq!(
            ServerError::parse(&[&b"\xFF\x69\x04"[..], &[b'x'; 9999]].concat()).unwrap().message.len(),
            512
        );
    }
}
