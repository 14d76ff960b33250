//! Logins of the X protocol: which mechanism, and what it sends.
//!
//! Source: MySQL Internals, "X Protocol: Authentication". Measured against MySQL 9.7: `SHA256_MEMORY` lets an account
//! of `caching_sha2_password` in only if the X plugin's own cache holds it, which a login by `PLAIN` over TLS fills (one
//! by the classic protocol does not) and a restart of the server empties; a refused mechanism may be followed by
//! another on the same connection.

use crate::wire::secret::Secret;
use crate::wire::server_error::WireError;
use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::auth::plugins::mysql_native_password::scramble_native;

/// An authentication mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself: never but over TLS or a unix socket.
    Plain,
    /// A challenge, for accounts of `caching_sha2_password` that are in the server's cache.
    Sha256Memory,
    /// A challenge, for accounts of `mysql_native_password`.
    Mysql41,
}

impl Mechanism {
    /// The name that the server knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Sha256Memory => "SHA256_MEMORY",
            Mechanism::Mysql41 => "MYSQL41",
        }
    }

    /// The mechanisms to try in order. `offered` are the names that the server gave, none if it gave none; `private`: nobody
    /// listens in.
    ///
    /// Over TLS the list is not asked for anew: PLAIN is what TLS adds to it.
    pub fn plan(
        offered: &[String],
        private: bool,
        worked: Option<Mechanism>,
    ) -> Result<Vec<Mechanism>, WireError> {
        let mut plan = Vec::with_capacity(3);
        if private {
            plan.push(Mechanism::Plain);
        }
        for challenge in [Mechanism::Sha256Memory, Mechanism::Mysql41] {
            if offered.is_empty() || offered.iter().any(|name| name == challenge.name()) {
                plan.push(challenge);
            }
        }
        if plan.is_empty() {
            return Err(WireError::login(format!(
                "X protocol: of what the server offers to log in by ({}) nothing may go over a connection in clear; use TLS",
                offered
                    .iter()
                    .take(8)
                    .map(|name| name.escape_debug().to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            )));
        }
        // Every refusal counts against the account: what worked last time is tried first.
        if let Some(at) = worked.and_then(|worked| plan.iter().position(|&mechanism| mechanism == worked)) {
            plan[..=at].rotate_right(1);
        }
        Ok(plan)
    }

    /// What goes out first, beside the name.
    pub fn opening(self, user: &str, password: Option<&Secret>) -> Option<Vec<u8>> {
        match self {
            Mechanism::Plain => {
                let password = password.map(Secret::expose).unwrap_or_default();
                Some([b"\0", user.as_bytes(), b"\0", password].concat())
            }
            Mechanism::Sha256Memory | Mechanism::Mysql41 => None,
        }
    }

    /// The answer to a challenge: schema, user and scramble in hexadecimal digits, divided by zero bytes.
    pub fn answer(
        self,
        challenge: &[u8],
        user: &str,
        password: Option<&Secret>,
    ) -> Result<Vec<u8>, WireError> {
        const LENGTH: usize = 20;
        let nonce: [u8; LENGTH] = challenge.try_into().map_err(|_| {
            WireError::violation(format!(
                "X protocol: a challenge of {LENGTH} bytes was expected, one of {} came",
                challenge.len()
            ))
        })?;
        let password = password.map(Secret::expose).unwrap_or_default();
        let mut answer = [b"\0", user.as_bytes(), b"\0"].concat();
        match self {
            Mechanism::Plain => return Err(WireError::violation("X protocol: PLAIN has no challenge")),
            Mechanism::Sha256Memory => {
                if let Some(scramble) = scramble_sha256(&nonce, password) {
                    push_hex(&mut answer, &scramble);
                }
            }
            Mechanism::Mysql41 => {
                if let Some(scramble) = scramble_native(&nonce, password) {
                    answer.push(b'*');
                    push_hex(&mut answer, &scramble);
                }
            }
        }
        Ok(answer)
    }
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.into()).collect()
    }

    /// Computed by a program of its own (hashlib).
    #[test]
    fn answers() {
        let nonce: Vec<u8> = (1..=20).collect();
        let secret = Secret::new("s3cret");
        let text = |mechanism: Mechanism, password| {
            String::from_utf8(mechanism.answer(&nonce, "primacy", password).unwrap()).unwrap()
        };
        assert_eq!(
            text(Mechanism::Mysql41, Some(&secret)),
            "\0primacy\0*F66FDD3FF855D9349A0DDB50C4A1A535FB412465"
        );
        assert_eq!(
            text(Mechanism::Sha256Memory, Some(&secret)),
            "\0primacy\03F3A9A7786FD9BE9A006EED686B4E6B76484FDC06DC15685DF5F8793574B84FC"
        );
        assert_eq!(text(Mechanism::Mysql41, None), "\0primacy\0");
        assert_eq!(text(Mechanism::Sha256Memory, None), "\0primacy\0");
        for wrong in [&nonce[..19], &[0; 21], &[]] {
            assert!(Mechanism::Sha256Memory.answer(wrong, "primacy", None).is_err());
        }
        assert!(Mechanism::Plain.answer(&nonce, "primacy", None).is_err());
        assert_eq!(Mechanism::Plain.opening("u", Some(&secret)).unwrap(), b"\0u\0s3cret");
    }

    #[test]
    fn plans() {
        use Mechanism::{Mysql41, Plain, Sha256Memory};
        let plan = |offered: &[&str], private, worked| Mechanism::plan(&names(offered), private, worked);
        assert_eq!(plan(&["SHA256_MEMORY"], false, None), Ok(vec![Sha256Memory]));
        assert_eq!(plan(&["MYSQL41", "PLAIN"], false, None), Ok(vec![Mysql41]), "PLAIN never goes in clear");
        assert_eq!(plan(&[], false, None), Ok(vec![Sha256Memory, Mysql41]));
        assert_eq!(
            plan(&["MYSQL41", "SHA256_MEMORY"], false, Some(Mysql41)),
            Ok(vec![Mysql41, Sha256Memory])
        );
        assert_eq!(plan(&["SHA256_MEMORY"], false, Some(Plain)), Ok(vec![Sha256Memory]));
        assert_eq!(plan(&["FIDO"], true, None), Ok(vec![Plain]));
        let refused = plan(&["FIDO", "PLAIN"], false, None).unwrap_err();
        assert!(refused.message.contains("FIDO, PLAIN") && refused.message.contains("TLS"), "{refused}");
    }
}
