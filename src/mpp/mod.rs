//! MPP, the language in which the mysql-poller family tells MySQL Proxy what it found: commands, answers, and the machine
//! that keeps a proxy's table up to date.
//!
//! Commands travel as text queries of MySQL's classic protocol, to the proxy's admin plugin or its data port. Source: MPP
//! 1.0.1 (2007), `mpp.lua` and `mysqlpool::host::mysqlproxy`.

pub mod answer;
pub mod command;
pub mod conversation;
pub mod push;
#[cfg(test)]
mod tests;

pub use answer::{Held, Outcome, Reply, Row, held};
pub use command::{Command, Element, LONGEST};
pub use conversation::{Account, Action, Conversation};
pub use push::{Evaluation, Pusher, Tally, Told};

use crate::pool::{Address, Host};

/// The port of MySQL Proxy's admin plugin where an address names none.
pub const DEFAULT_PORT: u16 = 4041;

/// Parses the address of a proxy: as a node's, but the port that may be left out is [`DEFAULT_PORT`].
///
/// # Errors
/// As [`Address::parse`].
pub fn proxy_address(text: &str) -> Result<Address, String> {
    let address = Address::parse(text)?;
    // A text that takes one more port had none.
    match &address.host {
        Host::Unix(_) => Ok(address),
        _ => Ok(Address::parse(&format!("{text}:{DEFAULT_PORT}")).unwrap_or(address)),
    }
}

/// The name of a node as a command can carry it: one word. `None` for a socket's path with white space in it.
pub fn node_word(address: &Address) -> Option<String> {
    let word = address.to_string();
    (!word.contains(char::is_whitespace)).then_some(word)
}
