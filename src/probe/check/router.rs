//! The check `router`: through one port of MySQL Router, which server is behind it, and whether it suits the port.
//!
//! What MySQL Router 9.7 does with static routes, and what is made of it. Measured, but for the line on blocked hosts, which is
//! from the router's sources, and of the server's errors all but 1045:
//!
//! | what happened | at a classic port | at an X port | local | backend |
//! |---|---|---|---|---|
//! | server killed or stopped cleanly | error 2003 (a `round-robin` route: refused, see [`combine`](super::combine)) | error 2026 | good | bad |
//! | server answers with an error (1040, 1045, 1053, 3032) | passed on | passed on | good | bad |
//! | route full | 1040, "… to MySQL Router" | the same | good | unknown |
//! | our host blocked by the route | 1129, "Too many connection errors from …" | the same | good | unknown |
//! | server stopped by SIGSTOP | silence, for more than 30 s | silence; a goodbye on a new connection is answered | X: good, classic: unknown | X: bad, classic: unknown |
//! | router stopped by SIGSTOP | silence | silence, the goodbye too | X: bad, classic: unknown | unknown |
//! | router's process gone | refused | refused | bad | unknown |
//!
//! A route that does its own TLS (`client_ssl_mode` other than PASSTHROUGH) greets by itself, so the router is heard whatever
//! became of the server. One that passes TLS on does not. Router knows no client of its own: whatever is
//! relayed of the server proves that the router lived in that moment. A static X route whose only server was
//! out of reach once went on to answer 2026 for the minute that it was watched, although the server was back, and was well once
//! the router was started anew: that is bad for the backend, and so it is reported.

use super::conversation::{Conversation, Question, Talk};
use super::verdict::{CheckKind, ServerSeen, Verdict};
use super::x;
use crate::pool::state::words;
use crate::probe::exchange::SessionConfig;
use crate::probe::observation::Flavour;
use crate::wire::{Client, ClientConfig, Results, ServerError, XResult, XValue};
use core::fmt;

words! {
    /// What a router's port is for.
    Role {
        /// Writes: the server behind has to take them.
        Rw = 0 => "rw",
        /// Reads: any server will do, as where a router falls back to the primary.
        Ro = 1 => "ro",
        /// Reads from replicas only: the server behind has to be read-only.
        RoStrict = 2 => "ro-strict",
    }
}

words! {
    /// What is spoken on a router's port.
    Protocol {
        /// MySQL's classic protocol.
        Classic = 0 => "classic",
        /// The X protocol.
        X = 1 => "x",
    }
}

pub(super) fn conversation(config: SessionConfig, protocol: Protocol, role: Role) -> Conversation {
    let transport = config.transport;
    let talk = match protocol {
        Protocol::X => x::talk(config),
        Protocol::Classic => {
            let config = ClientConfig {
                user: config.user,
                password: config.password,
                transport,
                encryption: config.encryption,
                rsa: config.rsa,
                max_packet: config.max_packet,
            };
            Talk::Classic(Client::new(config, [0; 20]))
        }
    };
    Conversation::new(CheckKind::Router, talk, transport, Question::Identify(role))
}

/// The question, for a server of this family. MariaDB has neither `server_uuid` nor `super_read_only`.
pub(super) const fn identify(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::MySql => "SELECT @@server_uuid, @@hostname, @@port, @@read_only, @@super_read_only",
        Flavour::MariaDb => "SELECT NULL, @@hostname, @@port, @@read_only, NULL",
    }
}

/// Columns of the answer.
const COLUMNS: usize = 5;

/// The server by the answer of the classic protocol.
pub(super) fn seen(results: &Results) -> Option<ServerSeen> {
    let set = results.sets().next().filter(|set| set.rows() == 1 && set.columns() == COLUMNS)?;
    let flag = |column| set.value(0, column).and_then(flag);
    let number = |column| core::str::from_utf8(set.value(0, column)?).ok()?.parse().ok();
    Some(ServerSeen {
        uuid: set.value(0, 0).map(text),
        hostname: set.value(0, 1).map(text),
        port: number(2),
        read_only: flag(3),
        super_read_only: flag(4),
    })
}

/// The server by the answer of the X protocol.
pub(super) fn seen_x(result: &XResult) -> Option<ServerSeen> {
    let row = result.row.as_deref().filter(|row| result.rows == 1 && row.len() == COLUMNS)?;
    let words = |column: usize| match row.get(column) {
        Some(XValue::Bytes(bytes)) => Some(text(bytes)),
        _ => None,
    };
    let number = |column: usize| match row.get(column) {
        Some(&XValue::Signed(number)) => u64::try_from(number).ok(),
        Some(&XValue::Unsigned(number)) => Some(number),
        _ => None,
    };
    let truth = |column: usize| match row.get(column) {
        Some(XValue::Bytes(bytes)) => flag(bytes),
        _ => number(column).map(|number| number != 0),
    };
    Some(ServerSeen {
        uuid: words(0),
        hostname: words(1),
        port: number(2).and_then(|port| u16::try_from(port).ok()),
        read_only: truth(3),
        super_read_only: truth(4),
    })
}

/// MariaDB has kinds of read-only beside 1; only 0 and OFF let writes in.
fn flag(value: &[u8]) -> Option<bool> {
    Some(!(value == b"0" || value.eq_ignore_ascii_case(b"OFF")))
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(255)]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether a server suits a port of this role, and the words if not.
pub(super) fn suits(role: Role, server: &ServerSeen) -> (Verdict, String) {
    match (role, server.writable()) {
        (Role::Ro, _) | (Role::Rw, Some(true)) | (Role::RoStrict, Some(false)) => {
            (Verdict::Good, String::new())
        }
        (Role::Rw, Some(false)) => {
            (Verdict::Bad, format!("the port for writes leads to {server}, which is read-only"))
        }
        (Role::RoStrict, Some(true)) => {
            (Verdict::Bad, format!("the port for reads leads to {server}, which takes writes"))
        }
        (_, None) => (Verdict::Unknown, format!("{server} does not say whether it is read-only")),
    }
}

/// An error that a router sends for itself, and what it says of the servers behind. `None` for a server's error.
///
/// Numbers from 2000 on are those of clients, which a router is to its servers; no server sends them.
pub(super) fn routers_word(error: &ServerError) -> Option<Verdict> {
    match error.code {
        2000..=2999 => Some(Verdict::Bad),
        1040 if error.message.contains("MySQL Router") => Some(Verdict::Unknown),
        1129 if error.message.starts_with("Too many connection errors") => Some(Verdict::Unknown),
        _ => None,
    }
}
