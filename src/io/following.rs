//! What a follower's loop waits for: the file of tables, and the answers of the decider.
//!
//! The connection to the decider's control socket carries one request at a time and never makes the loop wait. It is made when there is
//! something to ask, and made anew after it broke.

use super::descriptor::Registry;
use super::entropy;
use super::poller::{Poller, Ready};
use super::socket::{Progress, Received, Socket, Target};
use super::tables::{Seen, Watch};
use crate::control::{Answer, Ask, Done, FrameReader, Id, LARGEST_ANSWER, LARGEST_REQUEST, Request, frame};
use crate::engine::Time;
use crate::error::{Error, ErrorCode, Result};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Tokens of this room. No control connection, checkpoint or link has one with this lower half.
const WATCH: u64 = u64::MAX - 1;
const DECIDER: u64 = u64::MAX - 2;

/// For an answer.
const ANSWER: Duration = Duration::from_secs(5);

/// After a connection that broke or could not be made.
const PAUSE: Duration = Duration::from_millis(100);

/// The descriptors of a follower.
#[derive(Debug)]
pub(crate) struct Following {
    watch: Option<Watch>,
    registry: Arc<Registry>,
    path: Option<PathBuf>,
    line: Option<Line>,
    retry: Option<Time>,
    answer: Option<Result<Done>>,
}

/// The connection.
#[derive(Debug)]
struct Line {
    socket: Socket,
    reader: FrameReader,
    output: Vec<u8>,
    sent: usize,
    asked: Option<(Id, Time)>,
}

impl Following {
    /// Waits for the tables where the system allows it; `path` is the decider's control socket.
    pub(crate) fn new(registry: &Arc<Registry>, poller: &mut dyn Poller, path: Option<PathBuf>) -> Following {
        // Without it the loop looks by itself, often.
        let watch =
            Watch::new(registry).ok().filter(|watch| poller.add(watch.number(), WATCH, false).is_ok());
        Following { watch, registry: Arc::clone(registry), path, line: None, retry: None, answer: None }
    }

    /// Whether an event's token belongs here.
    pub(crate) fn owns(token: u64) -> bool {
        token == WATCH || token == DECIDER
    }

    /// Watches this file from now on. Whether that works.
    pub(crate) fn file(&mut self, file: &File) -> bool {
        self.watch.as_mut().is_some_and(|watch| watch.file(file).is_ok())
    }

    /// What happened to the file.
    pub(crate) fn seen(&self) -> Seen {
        self.watch.as_ref().map(Watch::take).unwrap_or_default()
    }

    /// Whether a request can be sent.
    pub(crate) fn is_idle(&self, now: Time) -> bool {
        self.path.is_some()
            && self.answer.is_none()
            && self.retry.is_none_or(|at| at <= now)
            && self.line.as_ref().is_none_or(|line| line.asked.is_none())
    }

    /// When something is due: a retry is worth a look, an answer is overdue.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.line.as_ref().and_then(|line| line.asked).map(|(_, until)| until)
    }

    /// When a request can be tried again after a failure.
    pub(crate) fn retry(&self) -> Option<Time> {
        self.retry
    }

    /// The answer to the request.
    pub(crate) fn answer(&mut self) -> Option<Result<Done>> {
        self.answer.take()
    }

    /// Sends a request. Its answer, or what became of it, comes later.
    pub(crate) fn ask(&mut self, poller: &mut dyn Poller, now: Time, ask: Ask) {
        if let Err(error) = self.try_ask(poller, now, ask) {
            self.broken(poller, now, error);
        }
    }

    fn try_ask(&mut self, poller: &mut dyn Poller, now: Time, ask: Ask) -> Result<()> {
        let failed = |text: String| Error::new(ErrorCode::Io, text);
        let id =
            entropy::bytes().map(Id).map_err(|e| failed(format!("the system gives no random bytes: {e}")))?;
        if self.line.is_none() {
            let Some(path) = self.path.clone() else {
                return Err(failed("there is no control socket".into()));
            };
            let (socket, progress) = Socket::connect(&self.registry, &Target::Unix(path))
                .map_err(|e| failed(format!("the decider's control socket cannot be reached: {e}")))?;
            if progress != Progress::Up {
                return Err(failed("the decider takes no connection".into()));
            }
            poller
                .add(socket.number(), DECIDER, false)
                .map_err(|e| failed(format!("the connection to the decider cannot be watched: {e}")))?;
            let reader = FrameReader::new(LARGEST_ANSWER);
            self.line = Some(Line { socket, reader, output: Vec::new(), sent: 0, asked: None });
        }
        let Some(line) = &mut self.line else { return Err(failed("there is no connection".into())) };
        line.output = frame(&Request { id, ask }.encode(), LARGEST_REQUEST)?;
        (line.sent, line.asked) = (0, Some((id, now + ANSWER)));
        self.flush(poller)
    }

    fn flush(&mut self, poller: &mut dyn Poller) -> Result<()> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let gone = |e| Error::new(ErrorCode::Io, format!("the connection to the decider broke: {e}"));
        line.sent += line.socket.send(line.output.get(line.sent..).unwrap_or_default()).map_err(gone)?;
        let more = line.sent < line.output.len();
        poller.change(line.socket.number(), DECIDER, more).map_err(gone)
    }

    /// Something happened at a descriptor.
    pub(crate) fn ready(&mut self, poller: &mut dyn Poller, buffer: &mut [u8], now: Time, event: Ready) {
        if event.token != DECIDER {
            return;
        }
        let outcome = match event.writable {
            true => self.flush(poller),
            false => Ok(()),
        };
        let outcome = outcome.and_then(|()| if event.readable { self.read(buffer) } else { Ok(()) });
        if let Err(error) = outcome {
            self.broken(poller, now, error);
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let bytes = match line.socket.receive(buffer) {
            Received::Bytes(count) => buffer.get(..count).unwrap_or_default(),
            Received::Nothing => return Ok(()),
            Received::End | Received::Broken(_) => {
                return Err(Error::new(ErrorCode::Io, "the decider closed the connection"));
            }
        };
        let Some(document) = line.reader.take(bytes)? else { return Ok(()) };
        let answer = Answer::decode(&document)?;
        match line.asked.take() {
            Some((id, _)) if answer.id.is_none_or(|other| other == id) => self.answer = Some(answer.outcome),
            _ => return Err(Error::new(ErrorCode::Io, "the decider answered what was not asked")),
        }
        Ok(())
    }

    /// Ends a wait for an answer that takes too long.
    pub(crate) fn judge(&mut self, poller: &mut dyn Poller, now: Time) {
        if self.deadline().is_some_and(|until| until <= now) {
            self.broken(poller, now, Error::new(ErrorCode::Timeout, "the decider did not answer in time"));
        }
    }

    fn broken(&mut self, poller: &mut dyn Poller, now: Time, error: Error) {
        // A connection that the decider closed because nothing was asked is no failure.
        let idle = self.line.as_ref().is_some_and(|line| line.asked.is_none());
        self.close(poller);
        if !idle {
            self.retry = Some(now + PAUSE);
            self.answer = Some(Err(error));
        }
    }

    fn close(&mut self, poller: &mut dyn Poller) {
        if let Some(line) = self.line.take() {
            poller.remove(line.socket.number());
            line.socket.shut();
        }
    }

    /// Another process decides now, or nobody: what was asked is not answered any more.
    pub(crate) fn hang_up(&mut self, poller: &mut dyn Poller) {
        self.close(poller);
        (self.retry, self.answer) = (None, None);
    }

    /// Lets go of everything.
    pub(crate) fn shut(&mut self, poller: &mut dyn Poller) {
        self.hang_up(poller);
        if let Some(watch) = self.watch.take() {
            poller.remove(watch.number());
        }
    }
}
