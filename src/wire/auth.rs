//! Which password may go out how: the authentication plugins and the policy that guards them.
//!
//! Sources: MySQL Internals, "Authentication Methods"; MySQL manual, "Caching SHA-2 Pluggable Authentication".

use super::handshake::NONCE;
use super::rsa;
use super::secret::Secret;
use super::server_error::WireError;
use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::auth::plugins::mysql_native_password::scramble_native;

/// The kind of connection that the bytes travel over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A unix socket: nobody listens in, a password may go out in clear.
    Unix,
    /// TCP without TLS: no password in clear.
    Plain,
}

/// Whether `caching_sha2_password` may send the password by RSA over a plain connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RsaPolicy {
    /// Never; such a login fails and says what to set.
    Refuse,
    /// With the key that the server sends (open to a man in the middle).
    FromServer,
    /// With this key, in PEM.
    Key(Vec<u8>),
}

const NATIVE: &str = "mysql_native_password";
const SHA2: &str = "caching_sha2_password";

/// Bytes of `caching_sha2_password` after its first answer.
const REQUEST_KEY: u8 = 2;
const FAST_SUCCESS: u8 = 3;
const FULL_LOGIN: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing more than OK or an error may come.
    Verdict,
    /// `caching_sha2_password`: found in the server's cache, or not.
    CacheState,
    /// `caching_sha2_password`: the server's key, as we asked for it.
    Key,
}

/// One login, from the plugin's first answer to the server's verdict.
#[derive(Clone, Debug)]
pub(super) struct Login {
    step: Step,
    nonce: [u8; NONCE],
    /// The server has switched to another plugin.
    switched: bool,
    seed: [u8; 20],
}

/// What a login is made of.
pub(super) struct Credentials<'a> {
    pub password: Option<&'a Secret>,
    pub transport: Transport,
    pub rsa: &'a RsaPolicy,
}

impl Credentials<'_> {
    fn password(&self) -> &[u8] {
        self.password.map(Secret::expose).unwrap_or_default()
    }
}

impl Login {
    /// `seed`: fresh unpredictable bytes for RSA's padding.
    pub fn new(nonce: [u8; NONCE], seed: [u8; 20]) -> Login {
        Login { step: Step::Verdict, nonce, seed, switched: false }
    }

    /// The plugin to begin with when the server's default is `offered`. The server asks for the account's own
    /// plugin by an auth switch, so the guess costs a round trip at most.
    pub fn opening(offered: &str) -> &'static str {
        if offered == SHA2 { SHA2 } else { NATIVE }
    }

    /// `plugin`'s first answer, in the handshake response.
    pub fn begin(&mut self, plugin: &str, with: &Credentials<'_>) -> Result<Vec<u8>, WireError> {
        let password = with.password();
        match plugin {
            NATIVE => {
                self.step = Step::Verdict;
                Ok(scramble_native(&self.nonce, password).map(Vec::from).unwrap_or_default())
            }
            SHA2 => match scramble_sha256(&self.nonce, password) {
                Some(scramble) => {
                    self.step = Step::CacheState;
                    Ok(scramble.into())
                }
                // No password is a zero byte, not an empty answer, as the server's own client has it.
                None => {
                    self.step = Step::Verdict;
                    Ok(vec![0])
                }
            },
            "mysql_clear_password" => Err(WireError::login(
                "the server asks for the password in clear (mysql_clear_password), which is never sent; \
                 give the probe's account caching_sha2_password or mysql_native_password",
            )),
            other => Err(WireError::login(format!(
                "the server asks for the authentication plugin '{}', which is not supported; give the probe's account \
                 caching_sha2_password or mysql_native_password, or make it, for an unknown account MySQL asks for any \
                 plugin",
                other.chars().take(64).collect::<String>().escape_debug()
            ))),
        }
    }

    /// The server switches to another plugin with a nonce of its own: the payload behind 0xFE.
    pub fn switch(&mut self, request: &[u8], with: &Credentials<'_>) -> Result<Vec<u8>, WireError> {
        // Once, as in the servers' own client; a second one would only let a peer ask for scrambles without end.
        if core::mem::replace(&mut self.switched, true) {
            return Err(WireError::violation("login: the server switches to another plugin a second time"));
        }
        let Some(end) = request.iter().position(|&byte| byte == 0) else {
            return Err(WireError::login(
                "the server asks for the login of before MySQL 4.1 (mysql_old_password), which is not supported; \
                 set the account's password anew",
            ));
        };
        let plugin = String::from_utf8_lossy(&request[..end]);
        if plugin == NATIVE || plugin == SHA2 {
            // Servers put a terminator behind the nonce, compatible ones may not.
            match request[end + 1..].get(..NONCE).and_then(|nonce| nonce.try_into().ok()) {
                Some(nonce) => self.nonce = nonce,
                None => {
                    return Err(WireError::violation(format!("login: the nonce for {plugin} is cut short")));
                }
            }
        }
        self.begin(&plugin, with)
    }

    /// More data for the plugin: the payload behind 0x01. `None`: nothing to answer, the verdict follows.
    pub fn more(&mut self, data: &[u8], with: &Credentials<'_>) -> Result<Option<Vec<u8>>, WireError> {
        match (self.step, data) {
            (Step::CacheState, [FAST_SUCCESS]) => {
                self.step = Step::Verdict;
                Ok(None)
            }
            (Step::CacheState, [FULL_LOGIN]) => self.full(with),
            (Step::Key, pem) => {
                self.step = Step::Verdict;
                rsa::encrypt(with.password(), &self.nonce, pem, self.seed)
                    .map(Some)
                    .map_err(|what| WireError::login(format!("the server's RSA key is unusable: {what}")))
            }
            (step, data) => Err(WireError::violation(format!(
                "login: expected {}, got {} more bytes for the plugin",
                if step == Step::Verdict { "OK or an error" } else { "the state of the password cache" },
                data.len()
            ))),
        }
    }

    /// The server does not have the password's hash in its cache and wants the password itself.
    fn full(&mut self, with: &Credentials<'_>) -> Result<Option<Vec<u8>>, WireError> {
        self.step = Step::Verdict;
        match (with.transport, with.rsa) {
            (Transport::Unix, _) => Ok(Some([with.password(), &[0]].concat())),
            (Transport::Plain, RsaPolicy::Key(pem)) => {
                rsa::encrypt(with.password(), &self.nonce, pem, self.seed).map(Some).map_err(|what| {
                    WireError::login(format!("the RSA key of rsa_public_key is unusable: {what}"))
                })
            }
            (Transport::Plain, RsaPolicy::FromServer) => {
                self.step = Step::Key;
                Ok(Some(vec![REQUEST_KEY]))
            }
            (Transport::Plain, RsaPolicy::Refuse) => Err(WireError::login(
                "the server wants the whole password (caching_sha2_password, not in its cache), which does not go \
                 over plain TCP; set rsa_public_key to the server's public key file (or to \"from-server\" on a network \
                 that you trust), or probe over a unix socket",
            )),
        }
    }
}
