//! The control protocol: how another process on this machine looks at a running instance and gives it commands.
//!
//! A connection carries frames, each a length (32 bits, big endian) and a JSON document of that length. The client
//! sends a [`Request`], the instance sends one [`Answer`], then the next request may follow. A client that sends
//! more before its answer has come, or closes its side, has given up. Both documents begin with the protocol's
//! version; keys that are not known are ignored, so that keys can be added within a version.
//!
//! The room opens no socket: bytes come in as arguments.

mod answer;
mod document;
mod events;
mod frame;
mod memory;
mod request;
mod snapshot;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Done};
pub use document::{DOCUMENT, LONGEST_GTIDS, document};
pub use events::Told;
pub use frame::{FrameReader, LARGEST_ANSWER, LARGEST_REQUEST, frame};
pub use memory::Memory;
pub use request::{Ask, Change, Id, MOST_CLIENTS, Request, Terms};
pub use snapshot::{Seen, read};

/// The version of the protocol.
pub const VERSION: u64 = 1;
