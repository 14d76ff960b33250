//! Which password may go out how: the authentication plugins and the policy that guards them.

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
