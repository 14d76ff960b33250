//! The seal of a datagram: HMAC-SHA-256 (RFC 2104, FIPS 180-4) with a key that all hosts of the tier share.
//!
//! While a key is changed a host holds two: it seals with both and takes either. So the new key reaches one host after the other,
//! with the old one as its second, and nobody is cut off on the way.

use super::message::SEAL;
use crate::wire::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The fewest bytes of a key. 32 random ones, from `openssl rand -hex 32`, are as good as the seal.
pub const SHORTEST_KEY: usize = 16;

/// The keys of this host. They are zeroed when dropped and never shown.
#[derive(Clone, Debug)]
pub struct Keys {
    current: Secret,
    previous: Option<Secret>,
}

/// Which of the keys made a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// That of `key_file`.
    Current,
    /// That of `previous_key_file`.
    Previous,
}

impl Which {
    /// The word of a view.
    pub const fn name(self) -> &'static str {
        match self {
            Which::Current => "current",
            Which::Previous => "previous",
        }
    }
}

impl Keys {
    /// Takes the key, and the one before it while it is being changed.
    ///
    /// # Errors
    /// A sentence that names the configuration key and no byte of a secret, if one has fewer than [`SHORTEST_KEY`] bytes or both are
    /// the same.
    pub fn new(current: Secret, previous: Option<Secret>) -> Result<Keys, String> {
        for (name, key) in [("key_file", Some(&current)), ("previous_key_file", previous.as_ref())] {
            if let Some(key) = key
                && key.expose().len() < SHORTEST_KEY
            {
                return Err(format!(
                    "{name}: the key has {} bytes, at least {SHORTEST_KEY} are needed; write the output of \
                     `openssl rand -hex 32` into it",
                    key.expose().len()
                ));
            }
        }
        if previous.as_ref() == Some(&current) {
            return Err("previous_key_file holds the same key as key_file; leave it out".to_string());
        }
        Ok(Keys { current, previous })
    }

    /// How many seals a datagram gets.
    pub(super) fn count(&self) -> usize {
        1 + usize::from(self.previous.is_some())
    }

    /// Puts the seals to the end of what is sealed.
    pub(super) fn seal(&self, bytes: &mut Vec<u8>) {
        let sealed = bytes.len();
        for key in [Some(&self.current), self.previous.as_ref()].into_iter().flatten() {
            let seal = code(key, bytes.get(..sealed).unwrap_or_default());
            bytes.extend_from_slice(&seal);
        }
    }

    /// Puts one seal to the end, of the key that is known to the receiver.
    pub(super) fn seal_with(&self, which: Which, bytes: &mut Vec<u8>) {
        let key = match (which, &self.previous) {
            (Which::Previous, Some(previous)) => previous,
            _ => &self.current,
        };
        let seal = code(key, bytes);
        bytes.extend_from_slice(&seal);
    }

    /// Which key made one of the seals, if any did. The comparison takes the same time wherever the difference is.
    pub(super) fn verify(&self, sealed: &[u8], seals: &[u8]) -> Option<Which> {
        let keys = [(Which::Current, Some(&self.current)), (Which::Previous, self.previous.as_ref())];
        keys.into_iter().filter_map(|(which, key)| Some((which, key?))).find_map(|(which, key)| {
            let mac = keyed(key.expose()).chain_update(sealed);
            let good = |seal: &[u8]| seal.len() == SEAL && mac.clone().verify_slice(seal).is_ok();
            seals.chunks(SEAL).any(good).then_some(which)
        })
    }
}

/// The message authentication code of `bytes`.
pub(super) fn code(key: &Secret, bytes: &[u8]) -> [u8; SEAL] {
    keyed(key.expose()).chain_update(bytes).finalize().into_bytes().into()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::new_from_slice(key) {
        Ok(mac) => mac,
        // HMAC takes keys of every length (RFC 2104, section 2).
        Err(_) => unreachable!("HMAC refused the length of a key"),
    }
}
