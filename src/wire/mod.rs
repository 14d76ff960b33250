//! The MySQL protocol without a socket: bytes in, bytes out, answers.

pub mod auth;
pub mod secret;

pub use auth::{RsaPolicy, Transport};
pub use secret::Secret;
