//! The MySQL protocol without a socket: bytes in, bytes out, answers.

pub mod arp;
pub mod auth;
pub mod classic;
mod definitions;
pub mod handshake;
pub mod http;
pub mod icmp;
pub mod ndp;
mod packet;
#[cfg(test)]
pub(crate) mod recording;
mod rsa;
pub mod secret;
pub mod server_error;
#[cfg(test)]
mod tests;
pub mod text_result;
pub mod x;

pub use auth::{Encryption, RsaPolicy, Transport};
pub use classic::{Answer, Client, ClientConfig, Phase};
pub use definitions::SharedColumns;
pub use handshake::Greeting;
pub use secret::Secret;
pub use server_error::{ServerError, WireError, WireErrorKind};
pub use text_result::{ResultSet, Results};
pub use x::{XAnswer, XClient, XConfig, XPhase, XResult, XValue};
