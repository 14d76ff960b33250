//! A login and one statement through one port, and what each way in which that can end says of either side.
//!
//! A server that hangs behind a router is not asked again and again: each connection that is given up leaves one from the
//! router to the server behind, and the router counts it towards its max_connect_errors. So, like a probe session:
//!
//! - a connection of the classic protocol whose greeting or login does not come stays open and is waited for by later
//!   checks, up to [`Session::PATIENCE`];
//! - at a port of the X protocol such a connection is given up, and for as long only the goodbye is sent that a router
//!   answers itself.

use super::router::{self, Role};
use super::tcp::of_failed_connect;
use super::verdict::{CheckEnd, CheckKind, ServerSeen, Verdict};
use super::{CheckAction, CheckRequest};
use crate::engine::time::Time;
use crate::probe::cause::Cause;
use crate::probe::exchange::{Action, PeerSign};
use crate::probe::observation::Flavour;
use crate::probe::session::Session;
use crate::probe::statements::identify;
use crate::probe::verdict;
use crate::wire::{
    Answer, Client, Phase, ServerError, Transport, WireError, WireErrorKind, XAnswer, XClient, XPhase,
};

/// The protocol's machine.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in each conversation, which is boxed")]
pub(super) enum Talk {
    Classic(Client),
    X(XClient),
}

/// What is asked once logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Anything, to be answered.
    Answer,
    /// Who the server is, for a port of this role.
    Identify(Role),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    Connecting,
    Up,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The statement.
    Ask,
    /// Whether anybody lives: a goodbye of the X protocol as the first word.
    Alive,
}

/// What the driver has yet to be told.
#[derive(Debug)]
enum Step {
    Connect,
    Send,
    Goodbye,
    StartTls,
    Close,
    Done(Box<CheckEnd>),
}

/// A check under way.
#[derive(Debug)]
struct Running {
    request: CheckRequest,
    started: Time,
    phase_ends: Time,
    ends: Time,
    /// The connection is older than the check, so its death proves nothing.
    kept: bool,
    /// Something was said to us since the check began.
    heard: bool,
}

/// What the protocol's machine learnt, whichever it is.
enum Learnt {
    StartTls,
    LoggedIn,
    Refused(ServerError),
    Answered(Result<Option<ServerSeen>, ServerError>),
}

/// X's `Connection.Close`, the whole message.
const GOODBYE: &[u8] = &[1, 0, 0, 0, 3];

/// The machine of one port.
#[derive(Debug)]
pub(super) struct Conversation {
    kind: CheckKind,
    transport: Transport,
    talk: Talk,
    question: Question,
    link: Link,
    purpose: Purpose,
    running: Option<Running>,
    /// Since when a connection was waited for in vain.
    silent_since: Option<Time>,
    steps: Vec<Step>,
}

impl Conversation {
    pub fn new(kind: CheckKind, talk: Talk, transport: Transport, question: Question) -> Conversation {
        Conversation {
            kind,
            transport,
            talk,
            question,
            link: Link::Down,
            purpose: Purpose::Ask,
            running: None,
            silent_since: None,
            steps: Vec::new(),
        }
    }

    pub fn kind(&self) -> CheckKind {
        self.kind
    }

    pub fn begin(&mut self, now: Time, request: CheckRequest) {
        if self.running.is_some() {
            return;
        }
        let ends = now + request.check_timeout;
        let phase_ends = (now + request.timeout).min(ends);
        let kept = self.link == Link::Up;
        self.running = Some(Running { request, started: now, phase_ends, ends, kept, heard: false });
        let patient = self.silent_since.is_some_and(|since| now.since(since) < Session::PATIENCE);
        if !patient {
            self.silent_since = None;
        }
        match (&self.talk, self.link) {
            (Talk::Classic(client), Link::Up) if client.phase() == Phase::Idle => self.ask(now),
            (Talk::Classic(_), Link::Up) if patient && self.is_waiting() => {}
            (Talk::X(_), _) if patient => {
                self.hang_up();
                self.connect(now, Purpose::Alive);
            }
            _ => {
                self.hang_up();
                self.connect(now, Purpose::Ask);
            }
        }
    }

    pub fn handle_connected(&mut self, now: Time, seed: [u8; 20]) {
        if self.link != Link::Connecting {
            return;
        }
        self.link = Link::Up;
        self.next_phase(now);
        if self.purpose == Purpose::Alive {
            return self.steps.push(Step::Goodbye);
        }
        match &mut self.talk {
            Talk::Classic(client) => client.reconnect(seed),
            Talk::X(client) => {
                client.reconnect();
                self.steps.push(Step::Send);
            }
        }
    }

    pub fn handle_connect_failed(&mut self, now: Time, errno: i32) {
        if self.link != Link::Connecting {
            return;
        }
        self.link = Link::Down;
        let (cause, what) = verdict::of_errno(errno, self.transport);
        let message = format!("{what} (errno {errno})");
        let end = self.end(of_failed_connect(cause), Verdict::Unknown, cause, message);
        self.finish(now, CheckEnd { errno: errno.unsigned_abs(), ..end });
    }

    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        if self.link != Link::Up || bytes.is_empty() {
            return;
        }
        if let Some(running) = &mut self.running {
            running.heard = true;
        }
        if self.purpose == Purpose::Alive {
            return self.lives(now);
        }
        let end = match &mut self.talk {
            Talk::Classic(client) => client.handle_bytes(bytes),
            Talk::X(client) => client.handle_bytes(bytes),
        };
        if end.is_ok() {
            self.steps.push(Step::Send);
        }
        self.drain_answers(now);
        if let Err(error) = end {
            self.wire_failed(now, error);
        }
    }

    pub fn handle_tls_up(&mut self, now: Time) {
        if self.link != Link::Up {
            return;
        }
        let end = match &mut self.talk {
            Talk::Classic(client) if client.phase() == Phase::StartingTls => client.handle_tls_up(),
            Talk::X(client) if client.phase() == XPhase::StartingTls => client.handle_tls_up(),
            _ => return,
        };
        if let Some(running) = &mut self.running {
            running.heard = true;
        }
        self.next_phase(now);
        self.steps.push(Step::Send);
        if let Err(error) = end {
            self.wire_failed(now, error);
        }
    }

    pub fn handle_tls_failed(&mut self, now: Time, what: &str) {
        self.wire_failed(now, WireError { kind: WireErrorKind::Tls, message: what.into() });
    }

    /// The connection ended by EOF (no `errno`) or by an error.
    pub fn broken(&mut self, now: Time, errno: Option<i32>) {
        if self.link != Link::Up {
            return;
        }
        let unheard = !self.has_greeted();
        let words = match &mut self.talk {
            _ if self.purpose == Purpose::Alive => None,
            Talk::Classic(client) => client.handle_eof().err(),
            Talk::X(client) => client.handle_eof().err(),
        };
        self.drop_link();
        let Some(running) = &self.running else { return };
        if running.kept {
            return self.connect(now, Purpose::Ask);
        }
        let words =
            words.map_or_else(|| "the connection was closed without an answer".into(), |error| error.message);
        let (cause, message) = match errno {
            Some(errno) if !verdict::is_reset(errno) => {
                let (cause, what) = verdict::of_errno(errno, self.transport);
                (cause, format!("{what} (errno {errno})"))
            }
            _ if unheard => (Cause::Reset, words),
            _ => (Cause::ProtocolError, words),
        };
        let (local, backend) = match unheard || cause == Cause::Local {
            // A router that dies closes its connections like one that has nothing to say.
            true => (Verdict::Unknown, Verdict::Unknown),
            false => (Verdict::Good, Verdict::Bad),
        };
        let end = self.end(local, backend, cause, message);
        self.finish(now, CheckEnd { errno: errno.unwrap_or(0).unsigned_abs(), ..end });
    }

    pub fn handle_timeout(&mut self, now: Time, sign: PeerSign) {
        let Some(running) = &self.running else { return };
        if now < running.phase_ends {
            return;
        }
        let (started, ends, heard) = (running.started, running.ends, running.heard);
        let waited = format!("{} ms", now.since(started).as_millis());
        if self.transport != Transport::Unix
            && (self.link == Link::Connecting || sign == PeerSign::NotAcknowledged)
        {
            let what = if self.link == Link::Connecting { "the connect" } else { "what was sent" };
            self.drop_link();
            let message = format!("nothing acknowledged {what} within {waited}");
            let end = self.end(Verdict::Bad, Verdict::Unknown, Cause::NoAck, message);
            return self.finish(now, end);
        }
        let missing = self.missing();
        if self.purpose == Purpose::Alive {
            self.drop_link();
            let message = format!(
                "the host acknowledges, but within {waited} neither the check nor a goodbye, which needs no server, was answered"
            );
            let end = self.end(Verdict::Bad, Verdict::Unknown, Cause::NoReply, message);
            return self.finish(now, end);
        }
        self.silent_since.get_or_insert(now);
        if matches!(self.talk, Talk::X(_)) {
            self.drop_link();
            if !heard && now < ends {
                return self.connect(now, Purpose::Alive);
            }
        } else if !self.is_waiting() {
            self.drop_link();
        }
        let (local, backend, who) = match heard {
            true => (Verdict::Good, Verdict::Bad, "the port reacts, but what is behind it"),
            false => (
                Verdict::Unknown,
                Verdict::Unknown,
                "the host acknowledges, the router or the server behind it",
            ),
        };
        let end = self.end(local, backend, Cause::NoReply, format!("{who} {missing} within {waited}"));
        self.finish(now, end);
    }

    pub fn shut(&mut self) {
        self.running = None;
        self.silent_since = None;
        self.hang_up();
    }

    pub fn poll_action(&mut self) -> Option<CheckAction<'_>> {
        loop {
            if self.steps.is_empty() {
                return None;
            }
            match self.steps.remove(0) {
                Step::Connect => return Some(Action::Connect),
                Step::Close => return Some(Action::Close),
                Step::StartTls => return Some(Action::StartTls),
                Step::Goodbye => return Some(Action::Send(GOODBYE)),
                Step::Done(end) => return Some(Action::Done(*end)),
                Step::Send => {
                    let has = match &self.talk {
                        Talk::Classic(client) => client.has_output(),
                        Talk::X(client) => client.has_output(),
                    };
                    if has {
                        let bytes = match &mut self.talk {
                            Talk::Classic(client) => client.poll_transmit(),
                            Talk::X(client) => client.poll_transmit(),
                        };
                        return bytes.map(Action::Send);
                    }
                }
            }
        }
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        self.running.as_ref().map(|running| running.phase_ends)
    }

    pub fn has_connection(&self) -> bool {
        self.link != Link::Down
    }

    /// A greeting or a login is awaited, which later checks may go on waiting for.
    fn is_waiting(&self) -> bool {
        match &self.talk {
            Talk::Classic(client) => {
                matches!(client.phase(), Phase::AwaitGreeting | Phase::StartingTls | Phase::Authenticating)
            }
            Talk::X(_) => false,
        }
    }

    /// Whether the connection at hand has brought anything.
    fn has_greeted(&self) -> bool {
        match &self.talk {
            _ if self.purpose == Purpose::Alive => false,
            Talk::Classic(client) => client.has_heard(),
            Talk::X(client) => client.has_heard(),
        }
    }

    fn missing(&self) -> &'static str {
        match &self.talk {
            Talk::Classic(client) => match client.phase() {
                Phase::AwaitGreeting => "did not greet",
                Phase::StartingTls => "did not complete the TLS handshake",
                Phase::Authenticating => "did not complete the login",
                Phase::Idle | Phase::Querying | Phase::Closed => "did not answer the statement",
            },
            Talk::X(client) => match client.phase() {
                XPhase::AwaitCapabilities => "did not say what it can do",
                XPhase::AwaitTls | XPhase::StartingTls => "did not complete the TLS handshake",
                XPhase::Authenticating => "did not complete the login",
                XPhase::Idle | XPhase::Querying | XPhase::Closed => "did not answer the statement",
            },
        }
    }

    fn next_phase(&mut self, now: Time) {
        if let Some(running) = &mut self.running {
            running.phase_ends = (now + running.request.timeout).min(running.ends);
        }
    }

    fn connect(&mut self, now: Time, purpose: Purpose) {
        self.link = Link::Connecting;
        self.purpose = purpose;
        if let Some(running) = &mut self.running {
            running.kept = false;
        }
        self.next_phase(now);
        self.steps.push(Step::Connect);
    }

    /// Closes with a goodbye where one is due.
    fn hang_up(&mut self) {
        if self.link == Link::Up && self.purpose == Purpose::Ask {
            match &mut self.talk {
                Talk::Classic(client) => client.quit(),
                Talk::X(client) => client.quit(),
            }
            self.steps.push(Step::Send);
        }
        self.drop_link();
    }

    fn drop_link(&mut self) {
        if self.link != Link::Down {
            self.link = Link::Down;
            self.steps.push(Step::Close);
        }
    }

    fn ask(&mut self, now: Time) {
        let asked = match &mut self.talk {
            Talk::Classic(client) => {
                let flavour =
                    client.greeting().map_or(Flavour::MySql, |greeting| identify(&greeting.version).0);
                client.query(self.question.sql(flavour))
            }
            Talk::X(client) => client.query(self.question.sql(Flavour::MySql)),
        };
        if asked {
            self.next_phase(now);
            self.steps.push(Step::Send);
        }
    }

    fn drain_answers(&mut self, now: Time) {
        while let Some(learnt) = self.poll_learnt() {
            match learnt {
                Learnt::StartTls => {
                    self.steps.push(Step::StartTls);
                    self.next_phase(now);
                }
                Learnt::LoggedIn => {
                    self.silent_since = None;
                    if self.running.is_some() {
                        self.ask(now);
                    }
                }
                Learnt::Refused(error) | Learnt::Answered(Err(error)) => self.refused(now, error),
                Learnt::Answered(Ok(server)) => self.answered(now, server),
            }
        }
    }

    fn poll_learnt(&mut self) -> Option<Learnt> {
        let identifies = matches!(self.question, Question::Identify(_));
        Some(match &mut self.talk {
            Talk::Classic(client) => match client.poll_answer()? {
                Answer::StartTls => Learnt::StartTls,
                Answer::LoggedIn => Learnt::LoggedIn,
                Answer::Refused(error) | Answer::Farewell(error) => Learnt::Refused(error),
                Answer::Results(results) => Learnt::Answered(match results.error() {
                    Some(error) => Err(error.clone()),
                    None => Ok(router::seen(results).filter(|_| identifies)),
                }),
            },
            Talk::X(client) => match client.poll_answer()? {
                XAnswer::StartTls => Learnt::StartTls,
                XAnswer::LoggedIn => Learnt::LoggedIn,
                XAnswer::Refused(error) | XAnswer::Farewell(error) => Learnt::Refused(error),
                XAnswer::Result(result) => Learnt::Answered(match &result.error {
                    Some(error) => Err(error.clone()),
                    None => Ok(router::seen_x(result).filter(|_| identifies)),
                }),
            },
        })
    }

    fn answered(&mut self, now: Time, server: Option<ServerSeen>) {
        self.hang_up();
        let (backend, cause, message) = match (self.question, &server) {
            (Question::Answer, _) => (Verdict::Good, Cause::Ok, String::new()),
            (Question::Identify(role), Some(server)) => {
                let (backend, message) = router::suits(role, server);
                (backend, Cause::Ok, message)
            }
            (Question::Identify(_), None) => {
                (Verdict::Bad, Cause::ProtocolError, "the server's answer is not one row about itself".into())
            }
        };
        let end = self.end(Verdict::Good, backend, cause, message);
        self.finish(now, CheckEnd { server, ..end });
    }

    /// An error packet or message, the router's or the server's.
    fn refused(&mut self, now: Time, error: ServerError) {
        self.hang_up();
        let Some(running) = &self.running else { return };
        if running.kept {
            return self.connect(now, Purpose::Ask);
        }
        let (cause, words) = verdict::of_server_error(&error, None);
        let (backend, message) = match router::routers_word(&error) {
            Some(backend) => (backend, format!("the router answers by itself: {error}")),
            None => (Verdict::Bad, format!("the server answers: {words}")),
        };
        let end = self.end(Verdict::Good, backend, cause, message);
        self.finish(now, CheckEnd { errno: u32::from(error.code), ..end });
    }

    fn wire_failed(&mut self, now: Time, error: WireError) {
        if self.link != Link::Up {
            return;
        }
        let spoken = match &self.talk {
            Talk::Classic(client) => client.greeting().is_some(),
            Talk::X(client) => client.capabilities().is_some(),
        };
        self.drop_link();
        let Some(running) = &self.running else { return };
        if running.kept {
            return self.connect(now, Purpose::Ask);
        }
        let (cause, local) = match error.kind {
            WireErrorKind::Violation if !spoken => (Cause::ProtocolError, Verdict::Bad),
            WireErrorKind::Violation => (Cause::ProtocolError, Verdict::Good),
            WireErrorKind::Login => (Cause::AuthDenied, Verdict::Good),
            WireErrorKind::Tls => (Cause::TlsError, Verdict::Good),
        };
        let backend = if local == Verdict::Good { Verdict::Bad } else { Verdict::Unknown };
        let end = self.end(local, backend, cause, error.message);
        self.finish(now, end);
    }

    /// Somebody answered the goodbye.
    fn lives(&mut self, now: Time) {
        self.drop_link();
        let since = self.silent_since.map_or(0, |since| now.since(since).as_millis());
        let message = format!(
            "the port answers a goodbye, which needs no server, but what is behind it has not answered for {since} ms"
        );
        let end = self.end(Verdict::Good, Verdict::Bad, Cause::NoReply, message);
        self.finish(now, end);
    }

    fn end(&self, local: Verdict, backend: Verdict, cause: Cause, message: String) -> CheckEnd {
        CheckEnd { message, ..CheckEnd::new(self.kind, local, backend, cause, Time::default()) }
    }

    fn finish(&mut self, now: Time, end: CheckEnd) {
        let Some(running) = self.running.take() else { return };
        if self.purpose == Purpose::Ask && end.cause != Cause::NoReply {
            self.silent_since = None;
        }
        self.steps.push(Step::Done(Box::new(CheckEnd { started: running.started, ended: now, ..end })));
    }
}

impl Question {
    fn sql(self, flavour: Flavour) -> &'static str {
        match self {
            Question::Answer => "SELECT 1",
            Question::Identify(_) => router::identify(flavour),
        }
    }
}
