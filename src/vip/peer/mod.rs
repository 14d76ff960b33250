//! The peer channel: what the hosts of a tier tell each other, by authenticated unicast datagrams.
//!
//! It carries each host's state, the orders of operators and the naming of an heir. It decides nothing: losing it changes no ownership.
//!
//! - [`message`]: the layout of a datagram and of what is in it; at most [`LARGEST`] bytes.
//! - [`seal`]: HMAC-SHA-256 with a key that all hosts share, or with two while it is changed.
//! - [`session`]: protection against replays, by challenges instead of clocks.
//! - [`registers`]: the orders of operators, which all hosts merge to the same.
//! - [`channel`]: the machine that joins these, a [`Channel`]; `intake` is its half that reads.
//! - [`view`]: the whole tier as this host sees it.

pub mod channel;
pub mod message;
pub mod registers;
pub mod seal;
pub mod session;
pub mod view;

mod intake;
mod news;
mod pages;
mod reject;
mod settings;
mod trouble;

#[cfg(test)]
mod tests;

pub use channel::{Channel, Said};
pub use message::{Health, LARGEST, OwnState, Role, Verdict, VipState, is_name};
pub use news::PeerInput;
pub use registers::{Order, Registers};
pub use reject::{Reject, Rejects};
pub use seal::Keys;
pub use session::Life;
pub use settings::{PeerAddress, Settings};
pub use view::{HostView, Standing, TierView, VipView};
