//! One connection as a machine without a socket: bytes in, questions out, answers in, bytes out, and when to give up.

use super::answer::Response;
use super::http::{self, Fault, HEAD_MAX, Method, Request};
use crate::engine::Time;
use core::time::Duration;
use std::sync::Arc;

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// One line in, one line out.
    Agent,
    /// One line out, at once.
    AgentOfOne,
}

/// What a connection wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A request.
    Http(Request),
    /// The line of an agent-check; empty where none is read.
    Agent(String),
}

/// For a whole request, from its first byte or the connection's beginning.
const REQUEST: Duration = Duration::from_secs(5);
/// For the line of an agent-check.
const LINE: Duration = Duration::from_secs(2);
/// Between two requests.
const IDLE: Duration = Duration::from_secs(60);
/// For taking a whole answer.
const TAKE: Duration = Duration::from_secs(10);
/// After the last answer, for the peer to close: a connection that is closed over unread bytes takes the answer with it.
const LINGER: Duration = Duration::from_secs(1);
/// A text up to this length goes out together with its head.
const TOGETHER: usize = 4096;
/// Longest line of an agent-check, in bytes.
const LINE_MAX: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waits for a request, or the rest of one.
    Asking,
    /// A question was given out.
    Asked { method: Method, keep: bool },
    /// An answer goes out.
    Telling { keep: bool },
    /// Everything is said; waits for the peer to close.
    Ending,
    /// Over.
    Over,
}

/// The machine of a connection.
#[derive(Debug)]
pub struct Session {
    protocol: Protocol,
    stage: Stage,
    input: Vec<u8>,
    head: Vec<u8>,
    body: Arc<str>,
    /// Bytes of head and body that have gone out.
    sent: usize,
    deadline: Time,
    /// The peer will send no more.
    ended: bool,
    /// Between two requests, with nothing of the next one.
    idle: bool,
}

impl Session {
    /// A connection that was accepted now.
    pub fn new(protocol: Protocol, now: Time) -> Session {
        let wait = if protocol == Protocol::Http { REQUEST } else { LINE };
        Session {
            protocol,
            stage: Stage::Asking,
            input: Vec::new(),
            head: Vec::new(),
            body: Arc::from(""),
            sent: 0,
            deadline: now + wait,
            ended: false,
            idle: false,
        }
    }

    /// How many bytes it takes now; 0 while an answer is under way, so that nobody's requests pile up.
    pub fn room(&self) -> usize {
        match self.stage {
            Stage::Asking => HEAD_MAX.saturating_sub(self.input.len()).max(1),
            // What comes after the end is read and forgotten.
            Stage::Ending => HEAD_MAX,
            _ => 0,
        }
    }

    /// Takes in what came.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        if self.stage != Stage::Asking {
            return;
        }
        if self.idle && !bytes.is_empty() {
            self.idle = false;
            self.deadline = now + REQUEST;
        }
        self.input.extend_from_slice(bytes);
    }

    /// The peer has closed its side. Who has asked may still want the answer.
    pub fn handle_end(&mut self) {
        self.ended = true;
        if self.stage == Stage::Ending {
            self.stage = Stage::Over;
        }
    }

    /// Gives up what takes too long.
    pub fn handle_timeout(&mut self, now: Time) {
        if now < self.deadline || self.stage == Stage::Over {
            return;
        }
        if self.stage == Stage::Asking && self.protocol == Protocol::Http && !self.input.is_empty() {
            self.refuse(now, &Fault::new(408, "the request did not come in time"));
            return;
        }
        self.stage = Stage::Over;
    }

    /// When [`Session::handle_timeout`] is wanted.
    pub fn poll_timeout(&self) -> Time {
        self.deadline
    }

    /// The next question, once it is complete. It is answered by [`Session::answer`] or [`Session::answer_line`] before
    /// anything else.
    pub fn poll_question(&mut self, now: Time) -> Option<Question> {
        if self.stage != Stage::Asking {
            return None;
        }
        match self.protocol {
            Protocol::Http => self.request(now),
            Protocol::AgentOfOne => {
                self.stage = Stage::Asked { method: Method::Get, keep: false };
                Some(Question::Agent(String::new()))
            }
            Protocol::Agent => self.line(),
        }
    }

    fn request(&mut self, now: Time) -> Option<Question> {
        match http::take(&self.input) {
            Some(Ok((request, length))) => {
                self.input.drain(..length.min(self.input.len()));
                self.stage = Stage::Asked { method: request.method, keep: request.keep };
                return Some(Question::Http(request));
            }
            Some(Err(fault)) => self.refuse(now, &fault),
            None if self.ended => self.stage = Stage::Over,
            None => {}
        }
        None
    }

    fn line(&mut self) -> Option<Question> {
        let end = self.input.iter().position(|b| *b == b'\n');
        let line = match end {
            Some(end) => self.input.get(..end),
            // A line without its end is one whose sender has closed.
            None if self.ended && !self.input.is_empty() => Some(self.input.as_slice()),
            None if self.ended || self.input.len() > LINE_MAX => {
                self.stage = Stage::Over;
                None
            }
            None => None,
        }?;
        let line =
            String::from_utf8_lossy(line.get(..line.len().min(LINE_MAX)).unwrap_or_default()).into_owned();
        self.stage = Stage::Asked { method: Method::Get, keep: false };
        Some(Question::Agent(line))
    }

    /// Answers a request.
    pub fn answer(&mut self, now: Time, response: Response) {
        let Stage::Asked { method, keep } = self.stage else { return };
        self.tell(now, response, method, keep);
    }

    /// Answers an agent-check; `None` closes without a word.
    pub fn answer_line(&mut self, now: Time, line: Option<String>) {
        let Some(line) = line else {
            self.stage = Stage::Over;
            return;
        };
        self.head = line.into_bytes();
        self.body = Arc::from("");
        self.sent = 0;
        self.stage = Stage::Telling { keep: false };
        self.deadline = now + TAKE;
    }

    fn refuse(&mut self, now: Time, fault: &Fault) {
        self.tell(now, Response::fault(fault), Method::Get, false);
    }

    fn tell(&mut self, now: Time, response: Response, method: Method, keep: bool) {
        let keep = keep && !self.ended;
        let length = if method == Method::Options { 0 } else { response.body.len() };
        self.head = http::head(response.status, response.kind, length, keep);
        self.body = if method == Method::Get { response.body } else { Arc::from("") };
        if self.body.len() <= TOGETHER {
            // One packet instead of two.
            self.head.extend_from_slice(self.body.as_bytes());
            self.body = Arc::from("");
        }
        self.sent = 0;
        self.stage = Stage::Telling { keep };
        self.deadline = now + TAKE;
    }

    /// What is to be sent next; empty if nothing is.
    pub fn poll_transmit(&self) -> &[u8] {
        if !matches!(self.stage, Stage::Telling { .. }) {
            return &[];
        }
        match self.head.get(self.sent..).filter(|rest| !rest.is_empty()) {
            Some(rest) => rest,
            None => {
                self.body.as_bytes().get(self.sent - self.head.len().min(self.sent)..).unwrap_or_default()
            }
        }
    }

    /// So many bytes of that have gone out.
    pub fn handle_sent(&mut self, now: Time, count: usize) {
        let Stage::Telling { keep } = self.stage else { return };
        self.sent += count;
        if self.sent < self.head.len() + self.body.len() {
            return;
        }
        self.body = Arc::from("");
        if keep && !self.ended {
            self.stage = Stage::Asking;
            self.idle = self.input.is_empty();
            self.deadline = now + if self.idle { IDLE } else { REQUEST };
        } else {
            self.input = Vec::new();
            self.stage = if self.ended { Stage::Over } else { Stage::Ending };
            self.deadline = now + LINGER;
        }
    }

    /// Everything was said, and the peer is to be told so by closing this side.
    pub fn is_ending(&self) -> bool {
        self.stage == Stage::Ending
    }

    /// The connection is to be closed.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// It waits for nothing but a next request, and may be closed where others want its place.
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Ending || (self.stage == Stage::Asking && self.idle)
    }
}
