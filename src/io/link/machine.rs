//! What a link drives: the session of a node, or the check of one port of a router. Both speak the same grammar.

use crate::engine::Time;
use crate::io::driver::NodeSetup;
use crate::probe::check::{Check, CheckEnd, CheckKind, CheckRequest, Verdict};
use crate::probe::{Action, Cause, Flavour, Observation, PeerSign, ProbeRequest, ServerVersion, Session};
use crate::wire::SharedColumns;

/// A machine without a socket.
#[derive(Debug)]
pub(super) enum Machine {
    /// A node's session, kept across probes.
    Session(Session),
    /// A check of one port.
    Check(Box<Check>),
}

/// What a machine brings home.
#[derive(Debug)]
pub(super) enum Ended {
    /// Of a session.
    Probe(Observation),
    /// Of a check.
    Check(CheckEnd),
}

/// Hands a call to whichever machine there is.
macro_rules! each {
    ($self:expr, $machine:ident => $call:expr) => {
        match $self {
            Machine::Session($machine) => $call,
            Machine::Check($machine) => $call,
        }
    };
}

impl Machine {
    pub(super) fn of(setup: &NodeSetup) -> Machine {
        match &setup.lane {
            None => Machine::Session(Session::new(setup.session.clone())),
            Some(lane) => Machine::Check(Box::new(lane.what.machine(setup.session.clone()))),
        }
    }

    pub(super) fn begin(&mut self, now: Time, request: ProbeRequest) {
        match self {
            Machine::Session(session) => session.begin(now, request),
            Machine::Check(check) => {
                let (timeout, check_timeout) = (request.timeout, request.probe_timeout);
                check.begin(now, CheckRequest { timeout, check_timeout });
            }
        }
    }

    /// The end of a probe that never began, for a name without an address or a machine that broke.
    pub(super) fn no_end(&self, cause: Cause, words: &str, now: Time) -> Ended {
        match self {
            Machine::Session(_) => Ended::Probe(Observation::new(cause, words, now)),
            Machine::Check(check) => Ended::Check(no_end(check.kind(), words, now)),
        }
    }

    pub(super) fn rest(&mut self, columns: &mut SharedColumns) {
        if let Machine::Session(session) = self {
            session.rest(columns);
        }
    }

    pub(super) fn logins(&self) -> u64 {
        match self {
            Machine::Session(session) => session.logins(),
            Machine::Check(_) => 0,
        }
    }

    pub(super) fn server(&self) -> Option<(Flavour, Option<ServerVersion>)> {
        match self {
            Machine::Session(session) => session.server(),
            Machine::Check(_) => None,
        }
    }

    pub(super) fn handle_connected(&mut self, now: Time, seed: [u8; 20]) {
        each!(self, machine => machine.handle_connected(now, seed))
    }

    pub(super) fn handle_connect_failed(&mut self, now: Time, errno: i32) {
        each!(self, machine => machine.handle_connect_failed(now, errno))
    }

    pub(super) fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        each!(self, machine => machine.handle_bytes(now, bytes))
    }

    pub(super) fn handle_tls_up(&mut self, now: Time) {
        each!(self, machine => machine.handle_tls_up(now))
    }

    pub(super) fn handle_tls_failed(&mut self, now: Time, what: &str) {
        each!(self, machine => machine.handle_tls_failed(now, what))
    }

    pub(super) fn handle_eof(&mut self, now: Time) {
        each!(self, machine => machine.handle_eof(now))
    }

    pub(super) fn handle_reset(&mut self, now: Time, errno: i32) {
        each!(self, machine => machine.handle_reset(now, errno))
    }

    pub(super) fn handle_timeout(&mut self, now: Time, sign: PeerSign) {
        each!(self, machine => machine.handle_timeout(now, sign))
    }

    pub(super) fn shut(&mut self) {
        each!(self, machine => machine.shut())
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        each!(self, machine => machine.poll_timeout())
    }

    pub(super) fn poll_action(&mut self) -> Option<Action<'_, Ended>> {
        match self {
            Machine::Session(session) => session.poll_action().map(|action| renamed(action, Ended::Probe)),
            Machine::Check(check) => check.poll_action().map(|action| renamed(action, Ended::Check)),
        }
    }
}

/// The end of a check that could not look: nothing is known, and the node is not blamed.
pub(crate) fn no_end(kind: CheckKind, words: &str, now: Time) -> CheckEnd {
    let end = CheckEnd::new(kind, Verdict::Unknown, Verdict::Unknown, Cause::Local, now);
    CheckEnd { message: words.to_owned(), ..end }
}

fn renamed<'a, E>(action: Action<'a, E>, ended: fn(E) -> Ended) -> Action<'a, Ended> {
    match action {
        Action::Connect => Action::Connect,
        Action::Send(bytes) => Action::Send(bytes),
        Action::StartTls => Action::StartTls,
        Action::Close => Action::Close,
        Action::Lost => Action::Lost,
        Action::Done(end) => Action::Done(ended(end)),
    }
}
