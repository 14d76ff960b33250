//! The check `x`: a login by the X protocol and one statement, at a server's own port (33060) or behind a router's.
//!
//! The local verdict is good when whoever owns the port says anything of the X protocol in this check; the backend's when
//! the statement is answered. After silence a second connection says goodbye as its first word: a router answers
//! that itself, whatever became of the server behind it (measured with MySQL Router 9.7), so here a stopped router is told
//! from a stopped server, which a classic port cannot do.

use super::conversation::{Conversation, Question, Talk};
use super::verdict::CheckKind;
use crate::probe::exchange::SessionConfig;
use crate::wire::{XClient, XConfig};

pub(super) fn conversation(config: SessionConfig) -> Conversation {
    let transport = config.transport;
    Conversation::new(CheckKind::X, talk(config), transport, Question::Answer)
}

pub(super) fn talk(config: SessionConfig) -> Talk {
    Talk::X(XClient::new(XConfig {
        user: config.user,
        password: config.password,
        transport: config.transport,
        encryption: config.encryption,
        max_message: config.max_packet,
    }))
}
