//! The caller's side of a control socket: one request, one answer, with a limit of time. Blocks.

use super::descriptor::{Registry, checked};
use super::entropy;
use super::socket::{Progress, Received, Socket, Target};
use super::users;
use crate::control::{Answer, Ask, Done, FrameReader, Id, LARGEST_ANSWER, LARGEST_REQUEST, Request, frame};
use crate::error::{Error, ErrorCode, Result};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a full backlog is tried again.
const RETRY: Duration = Duration::from_millis(5);

/// A connection to a running instance, in this process or another one on this machine.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    reader: FrameReader,
    path: PathBuf,
    pid: u32,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoClient {
    /// Nobody listens: there is no socket, or a dead one.
    Nobody,
    /// The socket is not for this user.
    Forbidden,
    /// It listens and takes no connection in time.
    Silent,
}

/// Fresh random bytes for a request.
///
/// # Errors
/// [`ErrorCode::Io`] if the system gives none.
pub fn new_id() -> Result<Id> {
    entropy::bytes().map(Id).map_err(|e| failed(&format!("the system gives no random bytes: {e}")))
}

fn failed(text: &str) -> Error {
    Error::new(ErrorCode::Io, text)
}

impl Client {
    /// Connects to the control socket at `path`.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if the system refuses for other reasons than [`NoClient`] has.
    pub fn connect(path: &Path, timeout: Duration) -> Result<core::result::Result<Client, NoClient>> {
        let until = Instant::now() + timeout;
        let registry = Registry::new(0);
        loop {
            return match Socket::connect(&registry, &Target::Unix(path.to_owned())) {
                Ok((socket, Progress::Up)) => {
                    let pid = users::peer(socket.number()).map_or(0, |peer| peer.pid);
                    Ok(Ok(Client {
                        socket,
                        reader: FrameReader::new(LARGEST_ANSWER),
                        path: path.to_owned(),
                        pid,
                    }))
                }
                Ok(_) if Instant::now() >= until => Ok(Err(NoClient::Silent)),
                Ok(_) => {
                    std::thread::sleep(RETRY);
                    continue;
                }
                Err(e) => match e.raw_os_error() {
                    Some(libc::ENOENT | libc::ENOTDIR | libc::ECONNREFUSED | libc::ENAMETOOLONG) => {
                        Ok(Err(NoClient::Nobody))
                    }
                    Some(libc::EACCES | libc::EPERM) => Ok(Err(NoClient::Forbidden)),
                    _ => {
                        Err(failed(&format!("cannot connect to the control socket {}: {e}", path.display())))
                    }
                },
            };
        }
    }

    /// The process that listens; 0 if it lives in a PID namespace that is not visible here.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a request and waits for its answer. After an error of this side the connection is of no more use; the
    /// same request with the same id may be sent over another one.
    ///
    /// # Errors
    /// The outer ones are this side's: [`ErrorCode::Timeout`] without an answer in time, [`ErrorCode::Io`] if the
    /// connection breaks, [`ErrorCode::Unsupported`] for what is no answer. The inner one is the instance's.
    pub fn ask(&mut self, id: Id, ask: Ask, timeout: Duration) -> Result<Result<Done>> {
        let until = Instant::now() + timeout;
        let bytes = frame(&Request { id, ask }.encode(), LARGEST_REQUEST)?;
        self.send(&bytes, until)?;
        let document = self.receive(until)?;
        let answer = Answer::decode(&document)?;
        // A refusal of the connection itself has no id.
        if answer.id.is_some_and(|other| other != id) {
            return Err(failed(&format!("the answer at {} is another request's", self.path.display())));
        }
        Ok(answer.outcome)
    }

    fn send(&self, bytes: &[u8], until: Instant) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.socket.send(rest) {
                Ok(0) => self.wait(libc::POLLOUT, until)?,
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                // It may have refused us and closed: why is still to be read.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    fn receive(&mut self, until: Instant) -> Result<Vec<u8>> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.socket.receive(&mut buffer) {
                Received::Bytes(count) => {
                    if let Some(document) = self.reader.take(buffer.get(..count).unwrap_or_default())? {
                        return Ok(document);
                    }
                }
                Received::Nothing => self.wait(libc::POLLIN, until)?,
                Received::End | Received::Broken(_) => {
                    return Err(failed(&format!("{} closed the connection before it answered", self.who())));
                }
            }
        }
    }

    fn who(&self) -> String {
        match self.pid {
            0 => format!("the instance at {}", self.path.display()),
            pid => format!("process {pid} at {}", self.path.display()),
        }
    }

    fn wait(&self, events: libc::c_short, until: Instant) -> Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::new(ErrorCode::Timeout, format!("{} did not answer in time", self.who())));
        }
        let ms = i32::try_from(left.as_millis()).unwrap_or(i32::MAX).saturating_add(1);
        let mut poll = libc::pollfd { fd: self.socket.number(), events, revents: 0 };
        // SAFETY: one live structure.
        match checked(unsafe { libc::poll(&raw mut poll, 1, ms) }) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(failed(&format!("poll failed: {e}"))),
            _ => Ok(()),
        }
    }
}
