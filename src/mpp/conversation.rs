//! One connection to a proxy: login, then one command at a time, each with its deadline.
//!
//! The owner of the socket hands in what happens and carries out [`Action`]s until there is none, after every input.

use super::answer::{Reply, printable};
use super::command::Command;
use crate::engine::time::{Duration, Time};
use crate::wire::{Answer, Client, ClientConfig, Encryption, Phase, RsaPolicy, Secret, Transport};
use std::collections::VecDeque;

/// A table of ten thousand nodes has eight rows for each of them; a packet of it is a row.
const MAX_PACKET: usize = 1 << 20;

/// Who talks to a proxy, and how long it may take for each answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account's name.
    pub user: String,
    /// Its password; none and an empty one are the same.
    pub password: Option<Secret>,
    /// Over TCP or a unix socket.
    pub transport: Transport,
    /// For the connection, for the login, and for each answer.
    pub timeout: Duration,
}

/// What the conversation asks of the owner of its socket.
#[derive(Debug, PartialEq)]
pub enum Action<'a> {
    /// Open a connection. Answered by `handle_connected` or `handle_failed`.
    Connect,
    /// Write these bytes, keeping what the socket does not take yet.
    Send(&'a [u8]),
    /// Try to write what is kept, then close the connection, or stop connecting.
    Close,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The login succeeded: commands may be asked.
    Ready,
    /// The answer to the command.
    Answer(Reply),
    /// The connection is over, for this reason; [`Conversation::begin`] makes a new one.
    Lost(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    Connecting,
    Up,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connect,
    Send,
    Close,
}

/// The machine of one connection after the other.
#[derive(Debug)]
pub struct Conversation {
    client: Client,
    timeout: Duration,
    link: Link,
    deadline: Option<Time>,
    steps: VecDeque<Step>,
    heard: VecDeque<Heard>,
}

impl Conversation {
    /// Without a connection. MySQL Proxy speaks no TLS, so none is asked for, and no password goes out but by a scramble.
    pub fn new(account: Account) -> Conversation {
        let timeout = account.timeout;
        let config = ClientConfig {
            user: account.user,
            password: account.password,
            transport: account.transport,
            encryption: Encryption::Off,
            rsa: RsaPolicy::Refuse,
            max_packet: MAX_PACKET,
        };
        Conversation {
            client: Client::new(config, [0; 20]),
            timeout,
            link: Link::Down,
            deadline: None,
            steps: VecDeque::new(),
            heard: VecDeque::new(),
        }
    }

    /// Asks for a connection. Ignored while there is one.
    pub fn begin(&mut self, now: Time) {
        if self.link == Link::Down {
            self.link = Link::Connecting;
            self.deadline = Some(now + self.timeout);
            self.steps.push_back(Step::Connect);
        }
    }

    /// Whether a command may be asked.
    pub fn is_ready(&self) -> bool {
        self.link == Link::Up && self.client.phase() == Phase::Idle
    }

    /// Whether a connection is on its way.
    pub fn is_connecting(&self) -> bool {
        self.link == Link::Connecting
    }

    /// Whether there is no connection, and none on its way.
    pub fn is_down(&self) -> bool {
        self.link == Link::Down
    }

    /// Asks a command; false unless ready.
    pub fn ask(&mut self, now: Time, command: &Command) -> bool {
        self.ask_text(now, &command.to_string())
    }

    /// The same with a text, whatever it says.
    pub fn ask_text(&mut self, now: Time, text: &str) -> bool {
        if self.link != Link::Up || !self.client.query(text) {
            return false;
        }
        self.deadline = Some(now + self.timeout);
        self.steps.push_back(Step::Send);
        true
    }

    /// The connection that [`Action::Connect`] asked for is up. `seed`: 20 fresh unpredictable bytes.
    pub fn handle_connected(&mut self, now: Time, seed: [u8; 20]) {
        if self.link == Link::Connecting {
            self.link = Link::Up;
            self.client.reconnect(seed);
            self.deadline = Some(now + self.timeout);
        }
    }

    /// The connection could not be made, or broke, in the system's words. The owner has closed what there was.
    pub fn handle_failed(&mut self, words: &str) {
        if self.link != Link::Down {
            let during = self.during();
            self.lose(format!("{during}: {words}"));
        }
    }

    /// Bytes came in.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        if self.link != Link::Up {
            return;
        }
        let before = self.client.phase();
        let end = self.client.handle_bytes(bytes);
        if end.is_ok() {
            self.steps.push_back(Step::Send);
        }
        let mut last_word = None;
        while let Some(answer) = self.client.poll_answer() {
            match answer {
                // Never, for none is asked for.
                Answer::StartTls => {}
                Answer::LoggedIn => self.heard.push_back(Heard::Ready),
                Answer::Results(results) => self.heard.push_back(Heard::Answer(Reply::of(results))),
                Answer::Refused(error) => last_word = Some(format!("the login was refused: {error}")),
                Answer::Farewell(error) => last_word = Some(format!("it ended the connection: {error}")),
            }
        }
        match (end, last_word) {
            // The machine below is shared with the probes, and speaks of their account.
            (Err(error), _) => self.lose(error.message.replace("the probe's account", "the account")),
            (Ok(()), Some(words)) => self.lose(words),
            (Ok(()), None) if self.client.phase() == Phase::Idle => self.deadline = None,
            // A step further: its time begins anew. Within a step it does not, however slowly bytes trickle in.
            (Ok(()), None) if self.client.phase() != before => self.deadline = Some(now + self.timeout),
            (Ok(()), None) => {}
        }
    }

    /// The peer closed its side.
    pub fn handle_eof(&mut self) {
        if self.link == Link::Up {
            let words = match self.client.handle_eof() {
                Err(error) => error.message,
                Ok(()) => "it closed the connection".to_string(),
            };
            self.lose(words);
        }
    }

    /// When [`Conversation::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.deadline
    }

    /// The deadline has come, and what there was to read was read.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.deadline.is_some_and(|at| at <= now) {
            let during = self.during();
            self.lose(format!("{during}: nothing came within {} ms", self.timeout.as_millis()));
        }
    }

    /// Says goodbye. The connection is over without a word about it.
    pub fn quit(&mut self) {
        if self.link == Link::Up && self.client.phase() == Phase::Idle {
            self.client.quit();
            self.steps.push_back(Step::Send);
        }
        self.close();
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action<'_>> {
        loop {
            match self.steps.pop_front()? {
                Step::Connect => return Some(Action::Connect),
                Step::Close => return Some(Action::Close),
                Step::Send if self.client.has_output() => {
                    return self.client.poll_transmit().map(Action::Send);
                }
                Step::Send => {}
            }
        }
    }

    /// The next thing that was heard.
    pub fn poll_heard(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    fn during(&self) -> &'static str {
        match (self.link, self.client.phase()) {
            (Link::Down | Link::Connecting, _) => "connect",
            (Link::Up, Phase::AwaitGreeting) => "greeting",
            (Link::Up, Phase::StartingTls | Phase::Authenticating) => "login",
            (Link::Up, Phase::Querying) => "answer",
            (Link::Up, Phase::Idle | Phase::Closed) => "idle",
        }
    }

    fn lose(&mut self, words: String) {
        self.close();
        self.heard.push_back(Heard::Lost(printable(&words)));
    }

    fn close(&mut self) {
        if self.link != Link::Down {
            self.link = Link::Down;
            self.deadline = None;
            self.steps.push_back(Step::Close);
        }
    }
}
