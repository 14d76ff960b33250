//! A connection of the X protocol as a pure machine.
//!
//! The same grammar as [`super::classic`]: bytes go in by [`XClient::handle_bytes`], bytes to send come out of
//! [`XClient::poll_transmit`], what was learnt out of [`XClient::poll_answer`]; drain both after every input. It knows no
//! time, and of TLS only when.
//!
//! We speak first, although the server's first message is a notice: MySQL Router reads a client's first message before it
//! passes on anything of the server behind it, so who waits for the notice there waits for ever (measured with 9.7).
//! Sources: MySQL Internals, "X Protocol"; the files `mysqlx*.proto` of MySQL.

mod login;
mod message;
mod protobuf;
#[cfg(test)]
mod tests;

use super::auth::{Encryption, Transport};
use super::packet::shown;
use super::secret::Secret;
use super::server_error::{ServerError, WireError};
use core::fmt;
pub use login::Mechanism;
pub use message::{Capabilities, XValue};
use message::{Frame, LENGTH, Message, first_frame};

/// Who logs in, and over what.
#[derive(Clone, Debug)]
pub struct XConfig {
    /// The account's name.
    pub user: String,
    /// Its password; none and an empty one are the same.
    pub password: Option<Secret>,
    /// What the bytes travel over.
    pub transport: Transport,
    /// Whether TLS is asked for; a unix socket has no need of it.
    pub encryption: Encryption,
    /// The largest message that is accepted, in bytes; all that comes in answer to one of ours may be four times that.
    pub max_message: usize,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XPhase {
    /// The capabilities were asked for.
    AwaitCapabilities,
    /// TLS was asked for, the server has not agreed.
    AwaitTls,
    /// TLS was agreed on and is not up yet.
    StartingTls,
    /// A login is under way.
    Authenticating,
    /// Logged in, nothing asked.
    Idle,
    /// A statement is out, its answer is not complete.
    Querying,
    /// Over: by an error, a violation, or our goodbye.
    Closed,
}

/// What the server had to say.
#[derive(Debug, PartialEq)]
pub enum XAnswer<'a> {
    /// Send what is there to send, then encrypt: [`XClient::handle_tls_up`] goes on.
    StartTls,
    /// The login succeeded; the connection is idle.
    LoggedIn,
    /// An error in place of the capabilities or of the login's end; the connection is over.
    Refused(ServerError),
    /// The answer to a statement; the connection is idle, or over if the server said so.
    Result(&'a XResult),
    /// An error that nobody asked for, on an idle connection: the server's last word.
    Farewell(ServerError),
}

/// The answer to one statement: its first row, or its error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XResult {
    /// The columns' names, as the server spells them.
    pub names: Vec<Vec<u8>>,
    /// The first row, a value for each column.
    pub row: Option<Vec<XValue>>,
    /// How many rows there were.
    pub rows: usize,
    /// The statement's error.
    pub error: Option<ServerError>,
}

/// What the login waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Challenge,
    Verdict,
}

/// Bytes on their way out. They may hold a password.
#[derive(Default)]
struct Outgoing(Vec<u8>);

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.0.fill(0);
    }
}

/// One connection.
#[derive(Debug)]
pub struct XClient {
    config: XConfig,
    phase: XPhase,
    capabilities: Option<Capabilities>,
    encrypted: bool,
    /// Mechanisms still to try; the first is the one under way.
    plan: Vec<Mechanism>,
    step: Step,
    /// The mechanism of the last login that succeeded, on this connection or one before.
    worked: Option<Mechanism>,
    /// The front of a message whose rest has not come.
    pending: Vec<u8>,
    /// Something came since the connection was made.
    heard: bool,
    /// What may still come until we say something, in bytes: notices of a hostile server have no end.
    room: usize,
    out: Outgoing,
    out_taken: bool,
    kinds: Vec<u64>,
    result: XResult,
    result_ready: bool,
    tls_wanted: bool,
    logged_in: bool,
    last_word: Option<XLastWord>,
}

#[derive(Debug)]
enum XLastWord {
    Refused(ServerError),
    Farewell(ServerError),
}

/// More columns than a check asks for.
const MOST_COLUMNS: usize = 64;
/// A login's refusal.
const ACCESS_DENIED: u16 = 1045;
/// The mechanism is not known, or not allowed on this connection.
const INVALID_MECHANISM: u16 = 1251;

impl XClient {
    /// A connection that has just been made; what it sends first is ready.
    pub fn new(config: XConfig) -> XClient {
        let mut client = XClient {
            config,
            phase: XPhase::AwaitCapabilities,
            capabilities: None,
            encrypted: false,
            plan: Vec::new(),
            step: Step::Challenge,
            worked: None,
            pending: Vec::new(),
            heard: false,
            room: 0,
            out: Outgoing::default(),
            out_taken: false,
            kinds: Vec::new(),
            result: XResult::default(),
            result_ready: false,
            tls_wanted: false,
            logged_in: false,
            last_word: None,
        };
        client.send(|out, _| message::push_capabilities_get(out));
        client
    }

    /// Forgets the connection for a new one of the same account; what worked to log in is remembered.
    pub fn reconnect(&mut self) {
        let worked = self.worked;
        *self = XClient::new(self.config.clone());
        self.worked = worked;
    }

    /// Where the connection stands.
    pub fn phase(&self) -> XPhase {
        self.phase
    }

    /// What the server can do, once it said so.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.capabilities.as_ref()
    }

    /// The mechanism that the last login was by.
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.worked
    }

    /// Whether the server has said anything since the connection was made.
    pub fn has_heard(&self) -> bool {
        self.heard
    }

    /// TLS is up: bytes in and out are from now on those inside. An error is the end of the connection.
    pub fn handle_tls_up(&mut self) -> Result<(), WireError> {
        if self.phase != XPhase::StartingTls {
            return Ok(());
        }
        self.encrypted = true;
        let end = self.begin_login();
        self.close_on_error(end)
    }

    /// Asks one statement. False unless idle, or if it is too long to be sent.
    pub fn query(&mut self, sql: &str) -> bool {
        if self.phase != XPhase::Idle || sql.len() >= self.config.max_message.min(1 << 16) {
            return false;
        }
        self.phase = XPhase::Querying;
        self.kinds.clear();
        self.result = XResult::default();
        self.result_ready = false;
        self.send(|out, _| message::push_statement(out, sql));
        true
    }

    /// Says goodbye, where the protocol has a word for it; the connection is over.
    pub fn quit(&mut self) {
        if self.phase == XPhase::Idle {
            self.send(|out, _| message::push_close(out));
        }
        self.phase = XPhase::Closed;
    }

    /// Whether `poll_transmit` has bytes.
    pub fn has_output(&self) -> bool {
        !self.out_taken && !self.out.0.is_empty()
    }

    /// Bytes to send, once.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        if !self.has_output() {
            return None;
        }
        self.out_taken = true;
        Some(&self.out.0)
    }

    /// The next thing learnt.
    pub fn poll_answer(&mut self) -> Option<XAnswer<'_>> {
        if core::mem::take(&mut self.tls_wanted) {
            return Some(XAnswer::StartTls);
        }
        if core::mem::take(&mut self.logged_in) {
            return Some(XAnswer::LoggedIn);
        }
        if core::mem::take(&mut self.result_ready) {
            return Some(XAnswer::Result(&self.result));
        }
        Some(match self.last_word.take()? {
            XLastWord::Refused(error) => XAnswer::Refused(error),
            XLastWord::Farewell(error) => XAnswer::Farewell(error),
        })
    }

    /// Takes in what came. An error is the end of the connection.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        if self.phase == XPhase::Closed {
            return Ok(());
        }
        self.heard |= !bytes.is_empty();
        let mut pending = core::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        let end = self.read_messages(&pending).map(|used| {
            pending.drain(..used);
            self.pending = pending;
        });
        self.close_on_error(end)
    }

    /// The peer closed its side. An error says what was awaited; on an idle or closed connection there is none.
    pub fn handle_eof(&mut self) -> Result<(), WireError> {
        let phase = core::mem::replace(&mut self.phase, XPhase::Closed);
        let cut = if self.pending.is_empty() { "" } else { " in the middle of a message" };
        self.pending = Vec::new();
        let awaited = match phase {
            XPhase::AwaitCapabilities => "before its capabilities",
            XPhase::AwaitTls => "instead of agreeing on TLS",
            XPhase::StartingTls => {
                return Err(WireError::tls("the server closed the connection during the TLS handshake"));
            }
            XPhase::Authenticating => "during the login",
            XPhase::Querying => "instead of an answer",
            XPhase::Idle | XPhase::Closed => return Ok(()),
        };
        Err(WireError::violation(format!("X protocol: the server closed the connection{cut} {awaited}")))
    }

    fn close_on_error(&mut self, end: Result<(), WireError>) -> Result<(), WireError> {
        if end.is_err() || self.phase == XPhase::Closed {
            self.phase = XPhase::Closed;
            self.pending = Vec::new();
            self.tls_wanted = false;
        }
        end
    }

    /// Says something, which opens room for an answer.
    fn send(&mut self, write: impl FnOnce(&mut Vec<u8>, &XConfig)) {
        if self.out_taken {
            self.out.0.fill(0);
            self.out.0.clear();
            self.out_taken = false;
        }
        self.room = self.config.max_message.saturating_mul(4);
        write(&mut self.out.0, &self.config);
    }

    /// Reads the whole messages at the front; how many bytes they take.
    fn read_messages(&mut self, bytes: &[u8]) -> Result<usize, WireError> {
        /// What a message costs beside its bytes.
        const COST: usize = 16;
        let mut used = 0;
        while self.phase != XPhase::Closed {
            let rest = &bytes[used..];
            if self.phase == XPhase::StartingTls && !rest.is_empty() {
                // What came in clear would count as said under TLS.
                return Err(WireError::violation(format!(
                    "X protocol: {} came in clear where the TLS handshake begins",
                    shown(rest)
                )));
            }
            match first_frame(rest, self.config.max_message) {
                // Noise may announce a message that never ends; the type is told from the first byte on.
                Frame::Partial => {
                    if let Some(&kind) = rest.get(LENGTH) {
                        message::expect_kind(kind, rest)?;
                    }
                    return Ok(used);
                }
                Frame::Absurd { .. } if self.capabilities.is_none() => {
                    return Err(WireError::violation(format!(
                        "expected the X protocol, got {}",
                        shown(rest)
                    )));
                }
                Frame::Absurd { declared } => {
                    return Err(WireError::violation(format!(
                        "X protocol: a message of {declared} bytes is announced, from 1 to {} are accepted",
                        self.config.max_message
                    )));
                }
                Frame::Whole { kind, payload, used: length } => {
                    self.room = self.room.checked_sub(length + COST).ok_or_else(|| {
                        WireError::violation("X protocol: the answer is larger than the bound on an answer")
                    })?;
                    let message = message::read(kind, payload)?;
                    self.take(message)?;
                    used += length;
                }
            }
        }
        Ok(bytes.len())
    }

    fn take(&mut self, message: Message<'_>) -> Result<(), WireError> {
        match (self.phase, message) {
            (_, Message::Notice) | (XPhase::Closed, _) => Ok(()),
            (XPhase::AwaitCapabilities, Message::Capabilities(capabilities)) => self.greeted(capabilities),
            (XPhase::AwaitTls, Message::Ok) => {
                self.phase = XPhase::StartingTls;
                self.tls_wanted = true;
                Ok(())
            }
            (XPhase::AwaitTls, Message::Error { fatal: false, .. })
                if self.config.encryption == Encryption::IfOffered =>
            {
                self.begin_login()
            }
            (XPhase::AwaitTls, Message::Error { error, .. }) => {
                Err(WireError::tls(format!("the server does not start TLS: {error}")))
            }
            (XPhase::Authenticating, Message::AuthenticateContinue(challenge))
                if self.step == Step::Challenge =>
            {
                let mechanism = self.plan.first().copied().unwrap_or(Mechanism::Sha256Memory);
                let answer = mechanism.answer(challenge, &self.config.user, self.config.password.as_ref())?;
                self.step = Step::Verdict;
                self.send(|out, _| message::push_authenticate_continue(out, &answer));
                Ok(())
            }
            (XPhase::Authenticating, Message::AuthenticateOk) if self.step == Step::Verdict => {
                self.worked = self.plan.first().copied();
                self.phase = XPhase::Idle;
                self.logged_in = true;
                Ok(())
            }
            (XPhase::Authenticating, Message::Error { error, fatal }) => {
                self.refused(error, fatal);
                Ok(())
            }
            (XPhase::AwaitCapabilities, Message::Error { error, .. }) => {
                self.end(XLastWord::Refused(error));
                Ok(())
            }
            (XPhase::Idle, Message::Error { error, .. }) => {
                self.end(XLastWord::Farewell(error));
                Ok(())
            }
            (XPhase::Querying, message) => self.take_answer(message),
            (phase, message) => Err(WireError::violation(format!(
                "X protocol: while {} was expected, {} came",
                awaited(phase, self.step),
                message.name()
            ))),
        }
    }

    fn greeted(&mut self, capabilities: Capabilities) -> Result<(), WireError> {
        let encryption = match self.config.transport {
            Transport::Unix => Encryption::Off,
            Transport::Plain => self.config.encryption,
        };
        let tls = capabilities.tls;
        self.capabilities = Some(capabilities);
        match (encryption, tls) {
            (Encryption::Off, _) | (Encryption::IfOffered, false) => self.begin_login(),
            (Encryption::IfOffered | Encryption::Always, true) => {
                self.phase = XPhase::AwaitTls;
                self.send(|out, _| message::push_tls_request(out));
                Ok(())
            }
            (Encryption::Always, false) => Err(WireError::tls(
                "the server does not offer TLS to the X protocol; turn it on there (mysqlx_ssl_cert, mysqlx_ssl_key; for a \
                 router client_ssl_mode), or set tls = \"preferred\"",
            )),
        }
    }

    fn begin_login(&mut self) -> Result<(), WireError> {
        if self.config.user.contains('\0') {
            return Err(WireError::login(
                "the probe's user name holds a zero byte, which the protocol cannot carry",
            ));
        }
        let private = self.encrypted || self.config.transport == Transport::Unix;
        let offered = self.capabilities.as_ref().map_or(&[][..], |all| &all.mechanisms);
        self.plan = Mechanism::plan(offered, private, self.worked)?;
        self.phase = XPhase::Authenticating;
        self.try_mechanism();
        Ok(())
    }

    fn try_mechanism(&mut self) {
        let Some(&mechanism) = self.plan.first() else { return };
        let opening = mechanism.opening(&self.config.user, self.config.password.as_ref());
        self.step = if opening.is_some() { Step::Verdict } else { Step::Challenge };
        self.send(|out, _| message::push_authenticate_start(out, mechanism.name(), opening.as_deref()));
        if let Some(mut opening) = opening {
            opening.fill(0);
        }
    }

    fn refused(&mut self, mut error: ServerError, fatal: bool) {
        let mechanism = self.plan.first().copied();
        // A password that PLAIN brought was looked at; a scramble may have been of the wrong kind.
        let other = match error.code {
            INVALID_MECHANISM => true,
            ACCESS_DENIED => mechanism != Some(Mechanism::Plain),
            _ => false,
        };
        if other && !fatal && self.plan.len() > 1 {
            self.plan.remove(0);
            return self.try_mechanism();
        }
        if error.code == ACCESS_DENIED && mechanism != Some(Mechanism::Plain) {
            error.message.push_str(
                "; in clear an account of caching_sha2_password logs in only after it did so over TLS, since the server's start",
            );
        }
        self.end(XLastWord::Refused(error));
    }

    fn take_answer(&mut self, message: Message<'_>) -> Result<(), WireError> {
        match message {
            Message::Column { kind, name } if self.result.rows == 0 && self.kinds.len() < MOST_COLUMNS => {
                self.kinds.push(kind);
                self.result.names.push(name.to_vec());
            }
            Message::Column { .. } => {
                return Err(WireError::violation(format!(
                    "X protocol: a column behind a row, or more than {MOST_COLUMNS} columns"
                )));
            }
            Message::Row(payload) => {
                let row = message::row(payload, &self.kinds)?;
                self.result.rows += 1;
                self.result.row.get_or_insert(row);
            }
            Message::FetchDone => {}
            Message::StatementDone => {
                self.phase = XPhase::Idle;
                self.result_ready = true;
            }
            Message::Error { error, fatal } => {
                self.phase = if fatal { XPhase::Closed } else { XPhase::Idle };
                self.result.error = Some(error);
                self.result_ready = true;
            }
            other => {
                return Err(WireError::violation(format!(
                    "X protocol: while an answer was expected, {} came",
                    other.name()
                )));
            }
        }
        Ok(())
    }

    fn end(&mut self, word: XLastWord) {
        self.last_word = Some(word);
        self.phase = XPhase::Closed;
    }
}

fn awaited(phase: XPhase, step: Step) -> &'static str {
    match (phase, step) {
        (XPhase::AwaitCapabilities, _) => "a list of capabilities",
        (XPhase::AwaitTls | XPhase::StartingTls, _) => "TLS",
        (XPhase::Authenticating, Step::Challenge) => "a challenge",
        (XPhase::Authenticating, Step::Verdict) => "the login's end",
        (XPhase::Idle | XPhase::Closed, _) => "nothing",
        (XPhase::Querying, _) => "an answer",
    }
}
