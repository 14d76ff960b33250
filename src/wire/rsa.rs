//! A password under the server's RSA key, for `caching_sha2_password` without TLS.
//!
//! `mysql_common` does the arithmetic but panics on keys that are not well formed, and a key may come from the
//! network: it gets a key only after the walk below has found every length in bounds.

use super::handshake::NONCE;
use mysql_common::crypto::der::{PubKeyFileType, pem_to_der};
use mysql_common::crypto::rsa::{Pkcs1OaepPadding, PublicKey, Rng};

/// The seed of one OAEP padding; it can be drawn once.
struct Seed(Option<[u8; 20]>);

impl Rng for Seed {
    type Error = core::fmt::Error;

    fn fill(&mut self, into: &mut [u8]) -> Result<(), core::fmt::Error> {
        let seed = self.0.take().ok_or(core::fmt::Error)?;
        if into.len() != seed.len() {
            return Err(core::fmt::Error);
        }
        into.copy_from_slice(&seed);
        Ok(())
    }
}

/// The password with its end mark, covered by the nonce, under the key `pem` with OAEP (SHA-1) padding.
pub(super) fn encrypt(
    password: &[u8],
    nonce: &[u8; NONCE],
    pem: &[u8],
    seed: [u8; 20],
) -> Result<Vec<u8>, String> {
    let octets = check(pem)?;
    // OAEP takes two hashes and two bytes of the key's length (RFC 8017, 7.1.1).
    if password.len() + 1 > octets - 42 {
        return Err(format!(
            "a password of {} bytes is too long for a key of {} bits",
            password.len(),
            octets * 8
        ));
    }
    let covered: Vec<u8> =
        password.iter().chain(&[0]).zip(nonce.iter().cycle()).map(|(a, b)| a ^ b).collect();
    let key = PublicKey::from_pem(pem).map_err(|e| e.to_string())?;
    key.encrypt_block(covered, Pkcs1OaepPadding::new(Seed(Some(seed)))).map_err(|e| e.to_string())
}

/// The octets of the key's modulus, if the key is one that the arithmetic survives.
fn check(pem: &[u8]) -> Result<usize, String> {
    let (der, kind) = pem_to_der(pem).map_err(|e| e.to_string())?;
    let fields = match kind {
        PubKeyFileType::Pkcs1 => inside(0x30, &mut &der[..]),
        PubKeyFileType::Pkcs8 => subject_key(&der),
    };
    let (modulus, exponent) = fields
        .and_then(|mut fields| Some((inside(0x02, &mut fields)?, inside(0x02, &mut fields)?)))
        .ok_or("its DER is malformed")?;
    let (modulus, exponent) = (positive(modulus), positive(exponent));
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    // Shorter is broken, longer would cost a probe its deadline, and `mysql_common` miscounts 8n+1.
    if !(1024..=8192).contains(&bits) || bits % 8 == 1 {
        return Err(format!("a modulus of {bits} bits; 1024 to 8192 are supported"));
    }
    if exponent.is_empty() || exponent.len() > 8 || modulus.last().is_some_and(|byte| byte % 2 == 0) {
        return Err("its numbers are not those of an RSA key".into());
    }
    Ok(modulus.len())
}

/// The inner key of a SubjectPublicKeyInfo (RFC 5280, 4.1): algorithm, then the key as a bit string.
fn subject_key(der: &[u8]) -> Option<&[u8]> {
    let mut info = inside(0x30, &mut &der[..])?;
    inside(0x30, &mut info)?;
    let mut bits = inside(0x03, &mut info)?.strip_prefix(&[0])?;
    inside(0x30, &mut bits)
}

/// The content of the element of type `tag` at the front, which is taken off.
fn inside<'a>(tag: u8, der: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = match **der {
        [found, length @ 0..=0x7F, ref rest @ ..] if found == tag => (usize::from(length), rest),
        [found, 0x81, length, ref rest @ ..] if found == tag => (usize::from(length), rest),
        [found, 0x82, high, low, ref rest @ ..] if found == tag => {
            (usize::from(high) << 8 | usize::from(low), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *der = rest;
    Some(content)
}

fn positive(mut integer: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = integer {
        integer = rest;
    }
    integer
}
