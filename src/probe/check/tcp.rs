//! The check `tcp`: whether a port accepts connections.
//!
//! The kernel accepts for a process that listens, stopped or not: a good end says that the process exists and listens,
//! not that it reacts. At a port of MySQL's this check is a handshake broken off, which the server counts towards
//! its max_connect_errors and a router passes on to the server behind: configuration has to ask for that.

use super::verdict::{CheckEnd, CheckKind, Verdict};
use super::{CheckAction, CheckRequest};
use crate::engine::time::Time;
use crate::probe::cause::{Cause, Class};
use crate::probe::exchange::{Action, PeerSign};
use crate::probe::verdict;
use crate::wire::Transport;

#[derive(Debug)]
enum Step {
    Connect,
    Close,
    Done(Box<CheckEnd>),
}

/// The machine of one port.
#[derive(Debug)]
pub(super) struct TcpCheck {
    transport: Transport,
    connecting: bool,
    /// When the check under way began, and when it ends.
    running: Option<(Time, Time)>,
    steps: Vec<Step>,
}

impl TcpCheck {
    pub fn new(transport: Transport) -> TcpCheck {
        TcpCheck { transport, connecting: false, running: None, steps: Vec::new() }
    }

    pub fn begin(&mut self, now: Time, request: CheckRequest) {
        if self.running.is_none() {
            self.running = Some((now, now + request.timeout.min(request.check_timeout)));
            self.connecting = true;
            self.steps.push(Step::Connect);
        }
    }

    pub fn handle_connected(&mut self, now: Time, _seed: [u8; 20]) {
        if core::mem::take(&mut self.connecting) {
            self.steps.push(Step::Close);
            self.finish(now, Verdict::Good, Cause::Ok, 0, String::new());
        }
    }

    pub fn handle_connect_failed(&mut self, now: Time, errno: i32) {
        if core::mem::take(&mut self.connecting) {
            let (cause, what) = verdict::of_errno(errno, self.transport);
            let local = of_failed_connect(cause);
            self.finish(now, local, cause, errno.unsigned_abs(), format!("{what} (errno {errno})"));
        }
    }

    pub fn handle_timeout(&mut self, now: Time, _sign: PeerSign) {
        let Some((started, ends)) = self.running else { return };
        if now < ends {
            return;
        }
        self.drop_link();
        let message =
            format!("nothing acknowledged the connect within {} ms", now.since(started).as_millis());
        self.finish(now, Verdict::Bad, Cause::NoAck, 0, message);
    }

    pub fn shut(&mut self) {
        self.running = None;
        self.drop_link();
    }

    pub fn poll_action(&mut self) -> Option<CheckAction<'_>> {
        if self.steps.is_empty() {
            return None;
        }
        Some(match self.steps.remove(0) {
            Step::Connect => Action::Connect,
            Step::Close => Action::Close,
            Step::Done(end) => Action::Done(*end),
        })
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        self.running.map(|(_, ends)| ends)
    }

    pub fn has_connection(&self) -> bool {
        self.connecting
    }

    fn drop_link(&mut self) {
        if core::mem::take(&mut self.connecting) {
            self.steps.push(Step::Close);
        }
    }

    fn finish(&mut self, now: Time, local: Verdict, cause: Cause, errno: u32, message: String) {
        let Some((started, _)) = self.running.take() else { return };
        let end = CheckEnd::new(CheckKind::Tcp, local, Verdict::Unknown, cause, now);
        self.steps.push(Step::Done(Box::new(CheckEnd { errno, message, started, ..end })));
    }
}

/// What a failed connect says of the process that should own the port: nothing, if the prober could not even try or the
/// process may be alive behind a full queue.
pub(super) fn of_failed_connect(cause: Cause) -> Verdict {
    match cause.class() {
        Class::Blind | Class::Hung => Verdict::Unknown,
        _ => Verdict::Bad,
    }
}
