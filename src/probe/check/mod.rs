//! Checks of a router tier: pure machines that look at one port and give the *local* and the *backend* verdict.
//!
//! A check speaks the grammar of a probe session: the driver answers [`Action`](super::Action)s and drains them after every
//! input. Unlike a session it makes a new connection each time: a router chooses the server when a connection is made, so
//! only a new one tells where the port leads now.

mod conversation;
pub mod exec;
pub mod router;
pub mod tcp;
#[cfg(test)]
mod tests;
pub mod verdict;
pub mod x;

use super::exchange::{Action, PeerSign, SessionConfig};
use crate::engine::time::{Duration, Time};
use crate::wire::Transport;
use conversation::Conversation;
pub use router::{Protocol, Role};
use tcp::TcpCheck;
pub use verdict::{CheckEnd, CheckKind, Combined, ServerSeen, Verdict, combine};

/// What a check asks of its driver; see [`Action`]. `Lost` is never asked.
pub type CheckAction<'a> = Action<'a, CheckEnd>;

/// The times of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckRequest {
    /// For each phase: connect, handshake, login, answer.
    pub timeout: Duration,
    /// For the check as a whole. Checks of the X protocol use what lies between the two, after silence, to ask the port
    /// whether anybody lives: twice `timeout` or more makes that certain.
    pub check_timeout: Duration,
}

/// The check of one port, made once and begun as often as wanted.
#[derive(Debug)]
pub struct Check {
    machine: Machine,
}

#[derive(Debug)]
enum Machine {
    Tcp(TcpCheck),
    Talk(Box<Conversation>),
}

/// Hands a call to whichever machine there is.
macro_rules! each {
    ($self:expr, $machine:ident => $call:expr) => {
        match &mut $self.machine {
            Machine::Tcp($machine) => $call,
            Machine::Talk($machine) => $call,
        }
    };
}

impl Check {
    /// Whether the port accepts connections; see [`tcp`].
    pub fn tcp(transport: Transport) -> Check {
        Check { machine: Machine::Tcp(TcpCheck::new(transport)) }
    }

    /// Whether the X protocol is spoken on the port and a statement answered; see [`x`]. `rsa` and `group` of the
    /// configuration mean nothing here.
    pub fn x(config: SessionConfig) -> Check {
        Check { machine: Machine::Talk(Box::new(x::conversation(config))) }
    }

    /// Which server is behind a router's port, and whether it suits the port; see [`router`]. `group` of the
    /// configuration means nothing here.
    pub fn router(config: SessionConfig, protocol: Protocol, role: Role) -> Check {
        Check { machine: Machine::Talk(Box::new(router::conversation(config, protocol, role))) }
    }

    /// What the check looks at.
    pub fn kind(&self) -> CheckKind {
        match &self.machine {
            Machine::Tcp(_) => CheckKind::Tcp,
            Machine::Talk(talk) => talk.kind(),
        }
    }

    /// Starts a check. Ignored while one is running.
    pub fn begin(&mut self, now: Time, request: CheckRequest) {
        each!(self, m => m.begin(now, request))
    }

    /// The connection that `Action::Connect` asked for is up. `seed` is 20 fresh unpredictable bytes; they pad a
    /// password that goes out by RSA.
    pub fn handle_connected(&mut self, now: Time, seed: [u8; 20]) {
        each!(self, m => m.handle_connected(now, seed))
    }

    /// The connection that `Action::Connect` asked for failed; `errno` as connect(2) or SO_ERROR gave it. The driver
    /// has closed what there was.
    pub fn handle_connect_failed(&mut self, now: Time, errno: i32) {
        each!(self, m => m.handle_connect_failed(now, errno))
    }

    /// Bytes came in; read what is there before judging a deadline.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        if let Machine::Talk(talk) = &mut self.machine {
            talk.handle_bytes(now, bytes);
        }
    }

    /// The TLS handshake that `Action::StartTls` asked for is complete.
    pub fn handle_tls_up(&mut self, now: Time) {
        if let Machine::Talk(talk) = &mut self.machine {
            talk.handle_tls_up(now);
        }
    }

    /// TLS failed, in the handshake or later. `what`: what is wrong and what to change.
    pub fn handle_tls_failed(&mut self, now: Time, what: &str) {
        if let Machine::Talk(talk) = &mut self.machine {
            talk.handle_tls_failed(now, what);
        }
    }

    /// The peer closed its side.
    pub fn handle_eof(&mut self, now: Time) {
        if let Machine::Talk(talk) = &mut self.machine {
            talk.broken(now, None);
        }
    }

    /// Reading or writing failed with `errno`.
    pub fn handle_reset(&mut self, now: Time, errno: i32) {
        if let Machine::Talk(talk) = &mut self.machine {
            talk.broken(now, Some(errno));
        }
    }

    /// The time of `poll_timeout` came. Does nothing if it did not.
    pub fn handle_timeout(&mut self, now: Time, sign: PeerSign) {
        each!(self, m => m.handle_timeout(now, sign))
    }

    /// Ends the connection, politely where one is idle. A running check ends without an end.
    pub fn shut(&mut self) {
        each!(self, m => m.shut())
    }

    /// The next thing to do; drain until `None` after every input.
    pub fn poll_action(&mut self) -> Option<CheckAction<'_>> {
        each!(self, m => m.poll_action())
    }

    /// When `handle_timeout` wants to be called; `None` while no check is running.
    pub fn poll_timeout(&self) -> Option<Time> {
        match &self.machine {
            Machine::Tcp(check) => check.poll_timeout(),
            Machine::Talk(talk) => talk.poll_timeout(),
        }
    }

    /// Whether a check is running.
    pub fn is_checking(&self) -> bool {
        self.poll_timeout().is_some()
    }

    /// Whether a connection is being made or kept.
    pub fn has_connection(&self) -> bool {
        match &self.machine {
            Machine::Tcp(check) => check.has_connection(),
            Machine::Talk(talk) => talk.has_connection(),
        }
    }
}
