//! One node's probe connection as a pure machine.
//!
//! A session is kept across probes and keeps its connection across probes. Three rules make its observations
//! evidence:
//!
//! - The death of a kept connection is no proof of anything (somebody killed the session, a firewall forgot it):
//!   between probes it is a hint, within a probe the session connects anew and the fresh connection decides, within
//!   the same deadline.
//! - A server that closes before its greeting does not serve: `reset`. One that has greeted lives, whatever it does
//!   next: closing later is `protocol_error`, and if it is in fact dying, the next connect says so.
//! - A connection whose server does not answer while its kernel acknowledges stays open and is waited for by later
//!   probes, up to [`Session::PATIENCE`]: a new handshake per probe would fill the backlog of a stopped server and,
//!   when it wakes, count towards its max_connect_errors. Only a greeting that does not come is tried again at once,
//!   [`Session::RETRIES`] times, for where packets get lost the next connection fares better than the one in trouble.

use super::cause::Cause;
use super::exchange::{Action, PeerSign, ProbeRequest, SessionConfig};
use super::observation::{Facts, Flavour, Observation, ServerVersion};
use super::statements::{Reader, Reading, Statements, identify};
use super::verdict;
use crate::engine::time::{Duration, Time};
use crate::wire::{
    Answer, Client, ClientConfig, Phase, ServerError, SharedColumns, Transport, WireError, WireErrorKind,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    Connecting,
    Up,
}

/// What the driver has yet to be told.
#[derive(Debug)]
enum Step {
    Connect,
    Send,
    StartTls,
    Close,
    Lost,
    Done(Box<Observation>),
}

/// A probe under way.
#[derive(Debug)]
struct Probe {
    request: ProbeRequest,
    started: Time,
    phase_ends: Time,
    ends: Time,
    /// The connection is older than the probe, so its death proves nothing.
    kept: bool,
    /// When the server last said something since the probe began.
    heard: Option<Time>,
}

/// The probe machine of one node.
#[derive(Debug)]
pub struct Session {
    transport: Transport,
    group: bool,
    client: Client,
    link: Link,
    probe: Option<Probe>,
    /// The reader of this login; none before it.
    reader: Option<Reader>,
    /// The query that is out is the login's first.
    asked_first: bool,
    /// How many logins were made.
    logins: u64,
    /// A probe has had its answer by this login, if only an error.
    used: bool,
    asked: Time,
    round_trip: Option<Duration>,
    /// Since when the connection is waited for in vain.
    waiting_since: Option<Time>,
    /// When something was last sent on the connection, or came in; the peer's kernel acknowledges it later, if at all.
    moved: Time,
    /// Connections in a row that were given up because no greeting came.
    ungreeted: u32,
    /// The server said that it shuts down; whether it does shows at the next connect.
    shutdown_word: Option<ServerError>,
    steps: Vec<Step>,
}

impl Session {
    /// How long a connection that is acknowledged but not answered is waited for before a new one is made.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// How many connections in a row may be given up sooner, because no greeting came.
    pub const RETRIES: u32 = 8;

    /// A session without a connection.
    pub fn new(config: SessionConfig) -> Session {
        let transport = config.transport;
        let client = ClientConfig {
            user: config.user,
            password: config.password,
            transport,
            encryption: config.encryption,
            rsa: config.rsa,
            max_packet: config.max_packet,
        };
        Session {
            transport,
            group: config.group,
            client: Client::new(client, [0; 20]),
            link: Link::Down,
            probe: None,
            reader: None,
            asked_first: false,
            logins: 0,
            used: false,
            asked: Time::default(),
            round_trip: None,
            waiting_since: None,
            moved: Time::default(),
            ungreeted: 0,
            shutdown_word: None,
            steps: Vec::new(),
        }
    }

    /// Starts a probe. Ignored while one is running.
    pub fn begin(&mut self, now: Time, request: ProbeRequest) {
        if self.probe.is_some() {
            return;
        }
        let ends = now + request.probe_timeout;
        let phase_ends = (now + request.timeout).min(ends);
        self.probe =
            Some(Probe { request, started: now, phase_ends, ends, kept: self.link == Link::Up, heard: None });
        let patient = self.waiting_since.is_none_or(|since| now.since(since) < Self::PATIENCE);
        match (self.link, self.client.phase()) {
            // A login that no probe has used yet is fresh.
            (Link::Up, Phase::Idle) if !request.fresh || !self.used => self.ask(now),
            (Link::Up, Phase::Querying) if !request.fresh && patient => {}
            (Link::Up, Phase::AwaitGreeting) if patient && self.ungreeted < Self::RETRIES => {
                // It may be the greeting that was lost, and the server's kernel takes ever longer to send it again.
                self.ungreeted += 1;
                self.hang_up();
                self.connect(now);
            }
            (Link::Up, Phase::AwaitGreeting | Phase::StartingTls | Phase::Authenticating) if patient => {}
            _ => {
                self.hang_up();
                self.connect(now);
            }
        }
    }

    /// No probe is under way and all is drained: lets go of memory that is not needed until the next one.
    pub fn rest(&mut self, shared: &mut SharedColumns) {
        if self.probe.is_none() && self.steps.is_empty() {
            self.client.rest(shared);
        }
    }

    /// The connection that `Action::Connect` asked for is up. `seed` is 20 fresh unpredictable bytes; they pad
    /// a password that goes out by RSA.
    pub fn handle_connected(&mut self, now: Time, seed: [u8; 20]) {
        if self.link == Link::Connecting {
            self.link = Link::Up;
            self.moved = now;
            self.client.reconnect(seed);
            self.next_phase(now);
        }
    }

    /// The connection that `Action::Connect` asked for failed; `errno` as connect(2) or SO_ERROR gave it. Also for a
    /// socket that could not be made at all (EMFILE, ENOBUFS and so on). The driver has closed what there was.
    pub fn handle_connect_failed(&mut self, now: Time, errno: i32) {
        if self.link == Link::Connecting {
            self.link = Link::Down;
            let (cause, what) = verdict::of_errno(errno, self.transport);
            self.finish(
                now,
                cause,
                errno.unsigned_abs(),
                format!("{what} (errno {errno})"),
                Facts::default(),
            );
        }
    }

    /// Bytes came in; read what is there before judging a deadline.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        if self.link != Link::Up {
            return;
        }
        if let Some(probe) = &mut self.probe {
            probe.heard = Some(now);
        }
        self.moved = now;
        if self.client.phase() == Phase::Querying && self.round_trip.is_none() {
            self.round_trip = Some(now.since(self.asked));
        }
        let end = self.client.handle_bytes(bytes);
        if end.is_ok() {
            self.steps.push(Step::Send);
        }
        self.drain_answers(now);
        if let Err(error) = end {
            self.wire_failed(now, error);
        }
    }

    /// The TLS handshake that `Action::StartTls` asked for is complete.
    pub fn handle_tls_up(&mut self, now: Time) {
        if self.link != Link::Up || self.client.phase() != Phase::StartingTls {
            return;
        }
        self.moved = now;
        self.next_phase(now);
        let end = self.client.handle_tls_up();
        self.steps.push(Step::Send);
        if let Err(error) = end {
            self.wire_failed(now, error);
        }
    }

    /// TLS failed, in the handshake or later; the connection is of no more use. `what` is one sentence or two: what is
    /// wrong and what to change. A server that does not accept our certificate may say so as late as after its login.
    pub fn handle_tls_failed(&mut self, now: Time, what: &str) {
        self.wire_failed(now, WireError { kind: WireErrorKind::Tls, message: what.into() });
    }

    /// The peer closed its side.
    pub fn handle_eof(&mut self, now: Time) {
        self.broken(now, None);
    }

    /// Reading or writing failed with `errno`.
    pub fn handle_reset(&mut self, now: Time, errno: i32) {
        self.broken(now, Some(errno));
    }

    /// The time of `poll_timeout` came. Does nothing if it did not.
    pub fn handle_timeout(&mut self, now: Time, sign: PeerSign) {
        if self.poll_timeout().is_none_or(|ends| now < ends) {
            return;
        }
        let waited = self.probe.as_ref().map(|probe| now.since(probe.started)).unwrap_or_default();
        let waited = format!("{} ms", waited.as_millis());
        let silent = sign == PeerSign::NotAcknowledged || self.link == Link::Connecting;
        if silent && self.transport != Transport::Unix {
            let what = if self.link == Link::Connecting { "the connect" } else { "what was sent" };
            self.drop_link();
            let message = format!("nothing acknowledged {what} within {waited}");
            self.finish(now, Cause::NoAck, 0, message, Facts::default());
            return;
        }
        let missing = match (self.link, self.client.phase(), self.client.has_heard()) {
            (Link::Up, Phase::AwaitGreeting, false) => "did not greet",
            (Link::Up, Phase::AwaitGreeting, true) => "did not complete its greeting",
            (Link::Up, Phase::StartingTls, _) => "did not complete the TLS handshake",
            (Link::Up, Phase::Authenticating, _) => "did not complete the login",
            (Link::Up, _, _) if self.round_trip.is_some() => "did not complete its answer",
            (Link::Up, _, _) => "did not answer",
            _ => "did not accept the connection",
        };
        if self.link == Link::Up {
            self.waiting_since.get_or_insert(now);
        } else {
            self.drop_link();
        }
        // A probe that only waits sends nothing that could be acknowledged.
        let began = self.probe.as_ref().map_or(now, |probe| probe.started);
        let message = if self.moved >= began || self.transport == Transport::Unix {
            format!("the host acknowledges, the server {missing} within {waited}")
        } else {
            let before = began.since(self.moved).as_millis();
            format!(
                "the server still {missing} within {waited}; its host acknowledged what was sent {before} ms before that"
            )
        };
        self.finish(now, Cause::NoReply, 0, message, Facts::default());
    }

    /// Ends the session politely: COM_QUIT, close. A running probe ends without an observation.
    pub fn shut(&mut self) {
        self.probe = None;
        self.hang_up();
    }

    /// The next thing to do; drain until `None` after every input.
    pub fn poll_action(&mut self) -> Option<Action<'_>> {
        loop {
            if self.steps.is_empty() {
                return None;
            }
            match self.steps.remove(0) {
                Step::Connect => return Some(Action::Connect),
                Step::Close => return Some(Action::Close),
                Step::StartTls => return Some(Action::StartTls),
                Step::Lost => return Some(Action::Lost),
                Step::Done(observation) => return Some(Action::Done(*observation)),
                Step::Send if self.client.has_output() => {
                    return self.client.poll_transmit().map(Action::Send);
                }
                Step::Send => {}
            }
        }
    }

    /// When `handle_timeout` wants to be called; `None` while no probe is running.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.probe.as_ref().map(|probe| probe.phase_ends)
    }

    /// Whether a probe is running.
    pub fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// Whether a connection is being made or kept.
    pub fn has_connection(&self) -> bool {
        self.link != Link::Down
    }

    /// How many logins were made.
    pub fn logins(&self) -> u64 {
        self.logins
    }

    /// The family and the version of the server that greeted last, by its own word.
    pub fn server(&self) -> Option<(Flavour, Option<ServerVersion>)> {
        self.client.greeting().map(|greeting| identify(&greeting.version))
    }

    fn next_phase(&mut self, now: Time) {
        if let Some(probe) = &mut self.probe {
            probe.phase_ends = (now + probe.request.timeout).min(probe.ends);
        }
    }

    fn connect(&mut self, now: Time) {
        self.link = Link::Connecting;
        self.reader = None;
        if let Some(probe) = &mut self.probe {
            probe.kept = false;
        }
        self.next_phase(now);
        self.steps.push(Step::Connect);
    }

    /// Closes with a goodbye where one is due.
    fn hang_up(&mut self) {
        if self.link == Link::Up {
            self.client.quit();
            self.steps.push(Step::Send);
        }
        self.drop_link();
    }

    fn drop_link(&mut self) {
        if self.link != Link::Down {
            self.link = Link::Down;
            self.steps.push(Step::Close);
        }
        self.waiting_since = None;
    }

    fn ask(&mut self, now: Time) {
        let Some(reader) = &self.reader else { return };
        let sql = if self.asked_first { reader.statements().first() } else { reader.statements().again() };
        if self.client.query(sql) {
            self.asked = now;
            self.moved = now;
            self.round_trip = None;
            self.steps.push(Step::Send);
            self.next_phase(now);
        }
    }

    fn drain_answers(&mut self, now: Time) {
        loop {
            match self.client.poll_answer() {
                None => return,
                Some(Answer::StartTls) => {
                    self.steps.push(Step::StartTls);
                    self.next_phase(now);
                }
                Some(Answer::LoggedIn) => self.logged_in(now),
                Some(Answer::Refused(error)) => self.refused(now, error),
                Some(Answer::Farewell(error)) => {
                    self.note_shutdown(&error);
                    self.lose_kept();
                }
                Some(Answer::Results(results)) => {
                    let Some(reader) = &mut self.reader else { return };
                    let reading = reader.read(results, self.asked_first);
                    self.answered(now, reading);
                }
            }
        }
    }

    fn logged_in(&mut self, now: Time) {
        let Some(greeting) = self.client.greeting() else { return };
        let (flavour, version) = identify(&greeting.version);
        let several = greeting.multi_statements;
        self.reader = Some(Reader::new(Statements::new(flavour, version, self.group)));
        self.logins += 1;
        self.asked_first = true;
        self.used = false;
        self.waiting_since = None;
        self.ungreeted = 0;
        if !several {
            let message = "the server takes one statement at a time (no CLIENT_MULTI_STATEMENTS)".to_string();
            self.hang_up();
            self.finish(now, Cause::ProtocolError, 0, message, Facts::default());
        } else if self.probe.is_some() {
            self.ask(now);
        }
    }

    fn answered(&mut self, now: Time, reading: Reading) {
        let late = self.waiting_since.take().is_some();
        let Some(probe) = &self.probe else { return };
        let max_lag = probe.request.max_lag;
        // Grants, for one, are those of the login: an error may heal with the next one.
        self.used = true;
        if let Some(error) = reading.error {
            if verdict::ends_session(error.code) && self.retry_fresh(now, Some(&error)) {
                return;
            }
            let (mut cause, mut message) = verdict::of_server_error(&error, reading.facts.flavour);
            if let Some((its, why)) = verdict::of_unready_member(&error, &reading.facts) {
                (cause, message) = (its, format!("{why}; {message}"));
            }
            if verdict::ends_session(error.code)
                || !matches!(cause, Cause::QueryFailed | Cause::ReplicationStopped | Cause::ReplicationLag)
            {
                self.drop_link();
            }
            return self.finish(now, cause, u32::from(error.code), message, reading.facts);
        }
        if late {
            // The answer to an earlier probe's question says that the server lives, not how it is now.
            return self.ask(now);
        }
        self.asked_first = false;
        let mut facts = reading.facts;
        facts.round_trip = self.round_trip;
        let (cause, errno, message) = match reading.problem {
            Some(problem) => (Cause::QueryFailed, 0, problem),
            None => verdict::of_facts(&facts, max_lag),
        };
        self.finish(now, cause, errno, message, facts);
    }

    fn refused(&mut self, now: Time, error: ServerError) {
        if self.probe.is_none() {
            self.note_shutdown(&error);
            return self.lose_kept();
        }
        if verdict::ends_session(error.code) && self.retry_fresh(now, Some(&error)) {
            return;
        }
        let flavour = self.client.greeting().map(|greeting| identify(&greeting.version).0);
        let (cause, message) = verdict::of_server_error(&error, flavour);
        self.drop_link();
        self.finish(now, cause, u32::from(error.code), message, Facts::default());
    }

    fn wire_failed(&mut self, now: Time, error: WireError) {
        if self.link != Link::Up {
            return;
        }
        if self.probe.is_none() {
            return self.lose_kept();
        }
        if self.retry_fresh(now, None) {
            return;
        }
        self.drop_link();
        let kind = error.kind;
        let message = self.name_server(error);
        let cause = match kind {
            WireErrorKind::Violation => Cause::ProtocolError,
            WireErrorKind::Login => Cause::AuthDenied,
            WireErrorKind::Tls => Cause::TlsError,
        };
        self.finish(now, cause, 0, message, Facts::default());
    }

    /// The error's sentence; what fails in TLS depends on the server's version, so that one is named.
    fn name_server(&self, error: WireError) -> String {
        match self.client.greeting() {
            Some(greeting) if error.kind == WireErrorKind::Tls => {
                // MariaDB writes 5.5.5 before its version, for replicas that know no number above.
                let version = greeting.version.strip_prefix("5.5.5-").unwrap_or(&greeting.version);
                format!("TLS with server {version}: {}", error.message)
            }
            _ => error.message,
        }
    }

    /// The connection ended by EOF (no `errno`) or by an error.
    fn broken(&mut self, now: Time, errno: Option<i32>) {
        if self.link != Link::Up {
            return;
        }
        let unheard = self.client.phase() == Phase::AwaitGreeting && !self.client.has_heard();
        let end = self.client.handle_eof();
        if self.probe.is_none() {
            return self.lose_kept();
        }
        if self.retry_fresh(now, None) {
            return;
        }
        self.drop_link();
        let in_tls = end.as_ref().is_err_and(|e| e.kind == WireErrorKind::Tls);
        let closed = end
            .err()
            .map_or_else(|| "the server closed the connection".to_string(), |error| self.name_server(error));
        let number = errno.unwrap_or(0);
        let (cause, message) = match errno {
            Some(errno) if !verdict::is_reset(errno) => {
                let (cause, what) = verdict::of_errno(errno, self.transport);
                (cause, format!("{what} (errno {errno})"))
            }
            _ if unheard => (Cause::Reset, closed),
            _ if in_tls => (Cause::TlsError, closed),
            _ => (Cause::ProtocolError, closed),
        };
        self.finish(now, cause, number.unsigned_abs(), message, Facts::default());
    }

    /// If the connection is older than the probe, lets a fresh one decide.
    fn retry_fresh(&mut self, now: Time, word: Option<&ServerError>) -> bool {
        if !self.probe.as_ref().is_some_and(|probe| probe.kept) {
            return false;
        }
        if let Some(error) = word {
            self.note_shutdown(error);
        }
        self.drop_link();
        self.connect(now);
        true
    }

    fn note_shutdown(&mut self, error: &ServerError) {
        if error.code == verdict::SHUTDOWN {
            self.shutdown_word = Some(error.clone());
        }
    }

    fn lose_kept(&mut self) {
        if self.link != Link::Down {
            self.drop_link();
            self.steps.push(Step::Lost);
        }
    }

    fn finish(&mut self, now: Time, cause: Cause, errno: u32, message: String, facts: Facts) {
        let Some(probe) = self.probe.take() else { return };
        let mut end = Observation {
            cause,
            errno,
            message,
            facts,
            heard: probe.heard,
            reached: (cause == Cause::NoReply && self.transport != Transport::Unix).then_some(self.moved),
            started: probe.started,
            ended: now,
        };
        let word = self.shutdown_word.take();
        if let (Cause::Refused | Cause::Reset, Some(word)) = (cause, word) {
            end.cause = Cause::ShuttingDown;
            end.errno = u32::from(word.code);
            end.message = format!("{word}; then {}", end.message);
        }
        self.steps.push(Step::Done(Box::new(end)));
    }
}
