//! A connection of MySQL's classic protocol as a pure machine.
//!
//! Bytes go in by [`Client::handle_bytes`], bytes to send come out of [`Client::poll_transmit`], and what was learnt
//! out of [`Client::poll_answer`]; drain both after every input. The machine knows no time: deadlines are its
//! user's. Of TLS it knows when: between the greeting and our answer to it, it asks for it by [`Answer::StartTls`] and
//! waits for [`Client::handle_tls_up`]; the bytes here are always plain.

use super::auth::{Credentials, Encryption, Login, RsaPolicy, Transport};
use super::definitions::SharedColumns;
use super::handshake::{Greeting, parse_greeting};
use super::packet::{Frame, HEADER, first_frame, push_frame, shown};
use super::secret::Secret;
use super::server_error::{ServerError, WireError};
use super::text_result::{ResultReader, Results, ok_status};

/// Who logs in, and over what.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The account's name.
    pub user: String,
    /// Its password; none and an empty one are the same.
    pub password: Option<Secret>,
    /// What the bytes travel over.
    pub transport: Transport,
    /// Whether TLS is asked for; a unix socket has no need of it.
    pub encryption: Encryption,
    /// Whether a password may go out by RSA.
    pub rsa: RsaPolicy,
    /// The largest packet that is accepted, in bytes; an answer as a whole may be four times that.
    pub max_packet: usize,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The server speaks first; it has not yet.
    AwaitGreeting,
    /// TLS was asked for and is not up yet.
    StartingTls,
    /// The greeting came, the verdict on the login did not.
    Authenticating,
    /// Logged in, nothing asked.
    Idle,
    /// A query is out, its answer is not complete.
    Querying,
    /// Over: by an error packet, a violation, or COM_QUIT.
    Closed,
}

/// What the server had to say.
#[derive(Debug, PartialEq)]
pub enum Answer<'a> {
    /// Send what is there to send, then encrypt: [`Client::handle_tls_up`] goes on.
    StartTls,
    /// The login succeeded; the connection is idle.
    LoggedIn,
    /// An error packet in place of the greeting or of the login's OK; the connection is over.
    Refused(ServerError),
    /// The answer to a query; the connection is idle.
    Results(&'a Results),
    /// An error packet that nobody asked for, on an idle connection: the server's last word.
    Farewell(ServerError),
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    seed: [u8; 20],
    phase: Phase,
    greeting: Option<Greeting>,
    login: Option<Login>,
    /// The sequence number of the next packet, ours or the server's.
    sequence: u8,
    /// The front of a packet whose rest has not come.
    pending: Vec<u8>,
    out: Vec<u8>,
    out_taken: bool,
    tls_wanted: bool,
    encrypted: bool,
    reader: ResultReader,
    results_ready: bool,
    logged_in: bool,
    last_word: Option<ServerError>,
}

const COM_QUIT: u8 = 0x01;
const COM_QUERY: u8 = 0x03;

impl Client {
    /// A connection that has just been made. `seed`: 20 fresh unpredictable bytes, for the padding of a password
    /// that goes out by RSA.
    pub fn new(config: ClientConfig, seed: [u8; 20]) -> Client {
        Client {
            config,
            seed,
            phase: Phase::AwaitGreeting,
            greeting: None,
            login: None,
            sequence: 0,
            pending: Vec::new(),
            out: Vec::new(),
            out_taken: false,
            tls_wanted: false,
            encrypted: false,
            reader: ResultReader::new(),
            results_ready: false,
            logged_in: false,
            last_word: None,
        }
    }

    /// Forgets the connection for a new one of the same account.
    pub fn reconnect(&mut self, seed: [u8; 20]) {
        self.seed = seed;
        self.phase = Phase::AwaitGreeting;
        self.greeting = None;
        self.login = None;
        self.sequence = 0;
        self.pending.clear();
        self.out.clear();
        self.out_taken = false;
        self.tls_wanted = false;
        self.encrypted = false;
        self.results_ready = false;
        self.logged_in = false;
        self.last_word = None;
    }

    /// Nothing will come for a while: lets go of memory that is not needed until then. Not before the last answer was
    /// read.
    pub fn rest(&mut self, shared: &mut SharedColumns) {
        if self.phase == Phase::Idle && !self.results_ready {
            self.reader.rest(shared);
            self.pending = Vec::new();
            if self.out_taken {
                self.out = Vec::new();
                self.out_taken = false;
            }
        }
    }

    /// Where the connection stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What the server said of itself, once it did.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.greeting.as_ref()
    }

    /// Whether the server has said anything since the connection was made.
    pub fn has_heard(&self) -> bool {
        self.greeting.is_some() || !self.pending.is_empty() || self.last_word.is_some()
    }

    /// TLS is up: bytes in and out are from now on those inside. An error is the end of the connection.
    pub fn handle_tls_up(&mut self) -> Result<(), WireError> {
        if self.phase != Phase::StartingTls {
            return Ok(());
        }
        self.encrypted = true;
        let Some(greeting) = self.greeting.take() else { return Ok(()) };
        let end = self.begin_login(&greeting);
        self.greeting = Some(greeting);
        if end.is_err() {
            self.phase = Phase::Closed;
        }
        end
    }

    /// Asks; one or more statements, divided by `;` if the greeting allows several. False unless idle.
    pub fn query(&mut self, sql: &str) -> bool {
        if self.phase != Phase::Idle || sql.len() >= self.config.max_packet.min(0xFF_FFFF) {
            return false;
        }
        self.phase = Phase::Querying;
        self.results_ready = false;
        self.reader.restart(self.config.max_packet.saturating_mul(4));
        self.renew_out();
        let [a, b, c, _] = (sql.len() as u32 + 1).to_le_bytes();
        self.out.extend_from_slice(&[a, b, c, 0, COM_QUERY]);
        self.out.extend_from_slice(sql.as_bytes());
        self.sequence = 1;
        true
    }

    /// Says goodbye, where the protocol has a word for it; the connection is over.
    pub fn quit(&mut self) {
        if self.phase == Phase::Idle {
            self.renew_out();
            push_frame(&mut self.out, 0, &[COM_QUIT]);
        }
        self.phase = Phase::Closed;
    }

    /// Whether `poll_transmit` has bytes.
    pub fn has_output(&self) -> bool {
        !self.out_taken && !self.out.is_empty()
    }

    /// Bytes to send, once.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        if !self.has_output() {
            return None;
        }
        self.out_taken = true;
        Some(&self.out)
    }

    /// The next thing learnt.
    pub fn poll_answer(&mut self) -> Option<Answer<'_>> {
        if core::mem::take(&mut self.tls_wanted) {
            return Some(Answer::StartTls);
        }
        if core::mem::take(&mut self.logged_in) {
            return Some(Answer::LoggedIn);
        }
        if core::mem::take(&mut self.results_ready) {
            return Some(Answer::Results(self.reader.results()));
        }
        let error = self.last_word.take()?;
        Some(if self.login.is_none() { Answer::Farewell(error) } else { Answer::Refused(error) })
    }

    /// Takes in what came. An error is the end of the connection.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let end = if self.pending.is_empty() {
            self.read_packets(bytes).map(|used| self.pending.extend_from_slice(&bytes[used..]))
        } else {
            let mut pending = core::mem::take(&mut self.pending);
            pending.extend_from_slice(bytes);
            self.read_packets(&pending).map(|used| {
                pending.drain(..used);
                self.pending = pending;
            })
        };
        if end.is_err() || self.phase == Phase::Closed {
            self.phase = Phase::Closed;
            self.pending.clear();
            self.tls_wanted = false;
        }
        end
    }

    /// The peer closed its side. An error says what was awaited; on an idle or closed connection there is none.
    pub fn handle_eof(&mut self) -> Result<(), WireError> {
        let phase = core::mem::replace(&mut self.phase, Phase::Closed);
        let cut = if self.pending.is_empty() { "" } else { " in the middle of a packet" };
        self.pending.clear();
        match phase {
            Phase::AwaitGreeting => Err(WireError::violation(format!(
                "the server closed the connection{cut} before its greeting"
            ))),
            Phase::StartingTls => {
                Err(WireError::tls("the server closed the connection during the TLS handshake"))
            }
            Phase::Authenticating => {
                Err(WireError::violation(format!("the server closed the connection{cut} during the login")))
            }
            Phase::Querying => Err(WireError::violation(format!(
                "the server closed the connection{cut} instead of an answer"
            ))),
            Phase::Idle | Phase::Closed => Ok(()),
        }
    }

    fn renew_out(&mut self) {
        if self.out_taken {
            self.out.clear();
            self.out_taken = false;
        }
    }

    /// Reads the whole packets at the front; how many bytes they take.
    fn read_packets(&mut self, bytes: &[u8]) -> Result<usize, WireError> {
        let mut used = 0;
        while self.phase != Phase::Closed {
            let rest = &bytes[used..];
            if self.phase == Phase::StartingTls && !rest.is_empty() {
                // What came in clear would count as said under TLS.
                return Err(WireError::violation(format!(
                    "login: {} came in clear where the TLS handshake begins",
                    shown(rest)
                )));
            }
            if self.phase == Phase::Querying {
                let deprecate_eof = self.deprecates_eof();
                match self.reader.skip_known(rest, self.sequence, deprecate_eof) {
                    Some((0, _)) => return Ok(used),
                    Some((length, packets)) => {
                        self.sequence = self.sequence.wrapping_add(packets as u8);
                        used += length;
                        continue;
                    }
                    None => {}
                }
            }
            match first_frame(rest, self.config.max_packet) {
                Frame::Partial => {
                    // Noise may announce a packet that never ends.
                    if let &[_, _, _, sequence, first, ..] = rest
                        && !self.fits(sequence, Some(first))
                    {
                        return Err(self.out_of_sequence(sequence, rest));
                    }
                    return Ok(used);
                }
                Frame::OverCap { .. } if self.phase == Phase::AwaitGreeting => return Err(no_greeting(rest)),
                Frame::OverCap { declared } => {
                    return Err(WireError::violation(format!(
                        "{}: a packet of {declared} bytes is announced, at most {} are accepted",
                        self.awaiting(),
                        self.config.max_packet
                    )));
                }
                Frame::Whole { sequence, payload, used: length } => {
                    self.check_sequence(sequence, payload, rest)?;
                    self.read_packet(payload, rest)?;
                    used += length;
                }
            }
        }
        Ok(bytes.len())
    }

    fn check_sequence(&mut self, sequence: u8, payload: &[u8], raw: &[u8]) -> Result<(), WireError> {
        if self.fits(sequence, payload.first().copied()) {
            self.sequence = sequence.wrapping_add(1);
            return Ok(());
        }
        Err(self.out_of_sequence(sequence, raw))
    }

    /// Whether a packet of this number, whose payload begins so, may come now.
    fn fits(&self, sequence: u8, first: Option<u8>) -> bool {
        // A server that ends an idle connection writes an error with number 0 whenever it likes; a query of ours
        // may already be under way then.
        let last_word = sequence == 0 && first == Some(0xFF);
        sequence == self.sequence || last_word || self.phase == Phase::Idle
    }

    fn out_of_sequence(&self, sequence: u8, raw: &[u8]) -> WireError {
        if self.phase == Phase::AwaitGreeting {
            return no_greeting(raw);
        }
        WireError::violation(format!(
            "{}: packet number {} expected, {sequence} came",
            self.awaiting(),
            self.sequence
        ))
    }

    fn read_packet(&mut self, payload: &[u8], raw: &[u8]) -> Result<(), WireError> {
        match self.phase {
            Phase::AwaitGreeting => self.read_greeting(payload, raw),
            Phase::Authenticating => self.read_login(payload),
            Phase::Querying => {
                let deprecate_eof = self.deprecates_eof();
                let packet = raw.get(..HEADER + payload.len()).unwrap_or_default();
                if self.reader.read(packet, deprecate_eof)? {
                    self.results_ready = true;
                    self.phase = Phase::Idle;
                }
                Ok(())
            }
            Phase::Idle => match ServerError::parse(payload) {
                Some(error) => {
                    self.last_word = Some(error);
                    self.phase = Phase::Closed;
                    Ok(())
                }
                None => Err(WireError::violation(format!(
                    "idle: nothing was asked and the server sent {}",
                    shown(payload)
                ))),
            },
            Phase::StartingTls | Phase::Closed => Ok(()),
        }
    }

    fn read_greeting(&mut self, payload: &[u8], raw: &[u8]) -> Result<(), WireError> {
        if payload.first() == Some(&0xFF) {
            let error = ServerError::parse(payload).ok_or_else(|| no_greeting(raw))?;
            self.login = Some(Login::new([0; 20], self.seed));
            return self.refused(error);
        }
        let mut greeting = parse_greeting(payload)
            .map_err(|what| WireError::violation(format!("expected a MySQL greeting: {what}")))?;
        let encryption = match self.config.transport {
            Transport::Unix => Encryption::Off,
            Transport::Plain => self.config.encryption,
        };
        match (encryption, greeting.tls) {
            (Encryption::Off, _) | (Encryption::IfOffered, false) => {
                let end = self.begin_login(&greeting);
                self.greeting = Some(greeting);
                end
            }
            (Encryption::IfOffered | Encryption::Always, true) => {
                self.phase = Phase::StartingTls;
                self.tls_wanted = true;
                let request = greeting.tls_request(self.config.max_packet);
                self.greeting = Some(greeting);
                self.send(&request);
                Ok(())
            }
            (Encryption::Always, false) => {
                self.greeting = Some(greeting);
                Err(WireError::tls(
                    "the server does not offer TLS; turn it on there (ssl_cert and ssl_key), or set tls = \"preferred\"",
                ))
            }
        }
    }

    fn begin_login(&mut self, greeting: &Greeting) -> Result<(), WireError> {
        self.phase = Phase::Authenticating;
        let mut login = Login::new(greeting.nonce, self.seed);
        let plugin = Login::opening(&greeting.plugin);
        let answer = login.begin(plugin, &self.credentials())?;
        let response = greeting.response(&self.config.user, plugin, &answer, self.config.max_packet)?;
        self.login = Some(login);
        self.send(&response);
        Ok(())
    }

    fn read_login(&mut self, payload: &[u8]) -> Result<(), WireError> {
        let Some(mut login) = self.login.take() else {
            return Err(WireError::violation("login: no login is under way"));
        };
        let answer = match payload {
            [0xFF, ..] => {
                self.login = Some(login);
                return match ServerError::parse(payload) {
                    Some(error) => self.refused(error),
                    None => Err(WireError::violation("login: an error packet is cut short")),
                };
            }
            [0x00, ..] if ok_status(payload).is_some() => {
                self.phase = Phase::Idle;
                self.logged_in = true;
                return Ok(());
            }
            [0xFE, request @ ..] => Some(login.switch(request, &self.credentials())?),
            [0x01, data @ ..] => login.more(data, &self.credentials())?,
            other => {
                return Err(WireError::violation(format!(
                    "login: expected OK, an error or the plugin's next word, got {}",
                    shown(other)
                )));
            }
        };
        self.login = Some(login);
        if let Some(answer) = answer {
            self.send(&answer);
        }
        Ok(())
    }

    fn refused(&mut self, error: ServerError) -> Result<(), WireError> {
        self.last_word = Some(error);
        self.phase = Phase::Closed;
        Ok(())
    }

    fn send(&mut self, payload: &[u8]) {
        self.renew_out();
        push_frame(&mut self.out, self.sequence, payload);
        self.sequence = self.sequence.wrapping_add(1);
    }

    fn credentials(&self) -> Credentials<'_> {
        Credentials {
            password: self.config.password.as_ref(),
            transport: self.config.transport,
            encrypted: self.encrypted,
            rsa: &self.config.rsa,
        }
    }

    fn deprecates_eof(&self) -> bool {
        self.greeting.as_ref().is_some_and(Greeting::deprecates_eof)
    }

    fn awaiting(&self) -> &'static str {
        match self.phase {
            Phase::AwaitGreeting => "greeting",
            Phase::StartingTls | Phase::Authenticating => "login",
            Phase::Idle | Phase::Closed => "idle",
            Phase::Querying => "answer",
        }
    }
}

/// The sentence for bytes that do not even look like a greeting: from the packet's header on, which is where other
/// protocols have their text.
fn no_greeting(raw: &[u8]) -> WireError {
    let raw = if raw.len() > HEADER && raw[..HEADER] == [0; HEADER] { &raw[HEADER..] } else { raw };
    WireError::violation(format!("expected a MySQL greeting, got {}", shown(raw)))
}
