//! A cursor over GTID text: numbers, blanks, and errors that name the byte.

use crate::error::{Error, ErrorCode, Result};

/// Reads a text byte by byte.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    what: &'static str,
}

impl<'a> Cursor<'a> {
    /// Begins at the first byte; `what` names the text in errors.
    pub fn new(what: &'static str, text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0, what }
    }

    /// The next byte, if there is one.
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes the next byte if it is `byte`.
    pub fn eat(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        if is {
            self.at += 1;
        }
        is
    }

    /// Takes the next byte if `test` holds for it.
    pub fn eat_if(&mut self, test: impl Fn(u8) -> bool) -> Option<u8> {
        let byte = self.peek().filter(|&b| test(b))?;
        self.at += 1;
        Some(byte)
    }

    /// Skips what C's `isspace` calls white space in the C locale.
    pub fn skip_space(&mut self) {
        while self.eat_if(|b| matches!(b, b' ' | b'\t'..=b'\r')).is_some() {}
    }

    /// Where the cursor stands, in bytes from the beginning.
    pub fn at(&self) -> usize {
        self.at
    }

    /// A decimal number of at most `max`.
    pub fn number(&mut self, expected: &str, max: u64) -> Result<u64> {
        let start = self.at;
        let mut value = Some(0_u64);
        while let Some(digit) = self.eat_if(|b| b.is_ascii_digit()) {
            value = value.and_then(|v| v.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
        }
        match value {
            Some(v) if self.at > start && v <= max => Ok(v),
            _ if self.at > start => Err(self.error(start, &format!("{expected} of at most {max}"))),
            _ => Err(self.error(start, expected)),
        }
    }

    /// The error that at byte `at` the text holds something else than `expected`.
    pub fn error(&self, at: usize, expected: &str) -> Error {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        let found = if rest.is_empty() {
            String::from("the end of the text")
        } else {
            // A text of unknown origin may be long and hold anything.
            let shown = rest.get(..24).unwrap_or(rest);
            format!("`{}`{}", shown.escape_ascii(), if rest.len() > 24 { "…" } else { "" })
        };
        Error::new(
            ErrorCode::Invalid,
            format!("{} at byte {at}: expected {expected}, found {found}", self.what),
        )
    }
}
