//! A conversation with a proxy that blocks: for a command, which has nothing else to do.

use super::clock;
use super::descriptor::{Registry, checked};
use super::entropy;
use super::helper;
use super::socket::{Progress, Received, Socket, Target};
use crate::error::{Error, ErrorCode, Result};
use crate::mpp::conversation::Heard;
use crate::mpp::{Account, Action, Conversation, Reply};
use crate::pool::{Address, Host};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A connection that is logged in.
#[derive(Debug)]
pub(crate) struct ProxyClient {
    conversation: Conversation,
    targets: Vec<Target>,
    socket: Option<Socket>,
    outgoing: Vec<u8>,
    proxy: String,
}

impl ProxyClient {
    /// Connects and logs in; each of a name's addresses is tried in order, with the whole of the timeout.
    ///
    /// # Errors
    /// [`ErrorCode::Io`]: no connection, or the login was refused.
    pub(crate) fn connect(address: &Address, account: Account) -> Result<ProxyClient> {
        let proxy = address.to_string();
        let targets = match &address.host {
            Host::Unix(path) => vec![Target::Unix(PathBuf::from(path))],
            Host::Ip(ip) => vec![Target::Tcp(SocketAddr::new(*ip, address.port))],
            Host::Name(name) => helper::resolve(name, address.port)
                .map_err(|words| failed(&proxy, &words))?
                .into_iter()
                .map(Target::Tcp)
                .collect(),
        };
        let conversation = Conversation::new(account);
        let mut client = ProxyClient { conversation, targets, socket: None, outgoing: Vec::new(), proxy };
        client.targets.reverse();
        let mut last = failed(&client.proxy, "the name has no address");
        while !client.targets.is_empty() {
            client.conversation.begin(clock::mono());
            match client.wait() {
                Ok(_) => return Ok(client),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sends one command and waits for its answer.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if the connection breaks or nothing comes in time, [`ErrorCode::Invalid`] for a text that is too
    /// long. After an error the connection is of no more use.
    pub(crate) fn ask(&mut self, command: &str) -> Result<Reply> {
        if !self.conversation.ask_text(clock::mono(), command) {
            return Err(match self.conversation.is_down() {
                true => failed(&self.proxy, "the connection is closed"),
                false => Error::new(ErrorCode::Invalid, "the command is too long"),
            });
        }
        match self.wait()? {
            Heard::Answer(reply) => Ok(reply),
            _ => Err(failed(&self.proxy, "it logged us in twice")),
        }
    }

    /// Turns until something was heard.
    fn wait(&mut self) -> Result<Heard> {
        loop {
            self.act();
            match self.conversation.poll_heard() {
                Some(Heard::Lost(words)) => return Err(failed(&self.proxy, &words)),
                Some(heard) => return Ok(heard),
                None => {}
            }
            let now = clock::mono();
            let until = self.conversation.poll_timeout().unwrap_or(now);
            let Some(socket) = &self.socket else {
                self.conversation.handle_failed("no connection");
                continue;
            };
            let connecting = self.conversation.is_connecting();
            let events = match connecting || !self.outgoing.is_empty() {
                true => libc::POLLIN | libc::POLLOUT,
                false => libc::POLLIN,
            };
            let ready = match poll(socket, events, until.since(now)) {
                Ok(ready) => ready,
                Err(error) => {
                    self.fail(&error);
                    continue;
                }
            };
            if connecting && ready != 0 {
                match socket.finish() {
                    Ok(()) => self.established(),
                    Err(error) => self.fail(&error),
                }
            } else if ready != 0 {
                self.transfer();
            }
            self.conversation.handle_timeout(clock::mono());
        }
    }

    fn act(&mut self) {
        enum Step {
            Connect,
            Flush,
            Close,
        }
        loop {
            let step = match self.conversation.poll_action() {
                None => return,
                Some(Action::Connect) => Step::Connect,
                Some(Action::Send(bytes)) => {
                    self.outgoing.extend_from_slice(bytes);
                    Step::Flush
                }
                Some(Action::Close) => Step::Close,
            };
            match step {
                Step::Connect => self.open(),
                Step::Flush => self.flush(),
                Step::Close => {
                    self.socket = None;
                    self.outgoing.clear();
                }
            }
        }
    }

    fn open(&mut self) {
        let Some(target) = self.targets.pop() else { return };
        match Socket::connect(&Registry::new(0), &target) {
            Ok((socket, Progress::Up)) => {
                self.socket = Some(socket);
                self.established();
            }
            Ok((socket, Progress::Pending)) => self.socket = Some(socket),
            Ok((_, Progress::Full)) => self.fail(&io::Error::from_raw_os_error(libc::EAGAIN)),
            Err(error) => self.fail(&error),
        }
    }

    fn established(&mut self) {
        match entropy::bytes::<20>() {
            Ok(seed) => self.conversation.handle_connected(clock::mono(), seed),
            Err(error) => self.fail(&error),
        }
    }

    fn transfer(&mut self) {
        if !self.outgoing.is_empty() {
            self.flush();
        }
        let mut buffer = [0; 16 * 1024];
        let Some(socket) = &self.socket else { return };
        match socket.receive(&mut buffer) {
            Received::Nothing => {}
            Received::Bytes(count) => {
                self.conversation.handle_bytes(clock::mono(), buffer.get(..count).unwrap_or_default());
            }
            Received::End => self.conversation.handle_eof(),
            Received::Broken(errno) => self.fail(&io::Error::from_raw_os_error(errno)),
        }
    }

    fn flush(&mut self) {
        let Some(socket) = &self.socket else { return };
        match socket.send(&self.outgoing) {
            Ok(sent) => drop(self.outgoing.drain(..sent.min(self.outgoing.len()))),
            // What it said before it closed is still to be read.
            Err(_) => self.outgoing.clear(),
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.conversation.handle_failed(&error.to_string());
    }
}

impl Drop for ProxyClient {
    fn drop(&mut self) {
        self.conversation.quit();
        self.act();
    }
}

fn failed(proxy: &str, words: &str) -> Error {
    Error::new(ErrorCode::Io, format!("proxy {proxy}: {words}"))
}

/// Waits for one of the events, an end or an error included; 0 if the time is over.
fn poll(socket: &Socket, events: libc::c_short, time: std::time::Duration) -> io::Result<libc::c_short> {
    let ms = i32::try_from(time.as_millis()).unwrap_or(i32::MAX).saturating_add(1);
    let mut poll = libc::pollfd { fd: socket.number(), events, revents: 0 };
    // SAFETY: one live structure.
    match checked(unsafe { libc::poll(&raw mut poll, 1, ms) }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(poll.revents),
    }
}
