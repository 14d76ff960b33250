//! Looks at checkpoints: an ICMP echo, a TCP connection, an HTTP GET, a MySQL login. One checker for each checkpoint; it
//! holds a socket only while a look lasts.
//!
//! `timeout` bounds each step of a look, the connection and the answer, and `probe_timeout` the whole. A name's
//! addresses share the connection's time, in order.

use super::driver::NodeSetup;
use super::echo::{Echo, NoEcho};
use super::link::{Context, Link, more_telling};
use super::poller::Ready;
use super::socket::{Progress, Received, Socket, Target};
use crate::engine::{CheckRef, Input, Time};
use crate::probe::checkpoint::proves_path;
use crate::probe::{AddressBook, Cause, CheckMethod, Checkpoint, Class, Observation};
use crate::wire::http::{self, StatusReader};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Tokens of this room have this bit in their lower half. No driver has as many links, and the control socket's
/// tokens, which have it too, are looked at before.
const TOKENS: u32 = 0x8000_0000;

/// Requests of one echo: a single packet may get lost on a healthy path.
const ECHOES: u16 = 2;

/// What to say where echoes are forbidden.
const FORBIDDEN: &str = "the system lets this process send no ICMP echo: put its group into net.ipv4.ping_group_range, \
     give it CAP_NET_RAW, or write simple:HOST:PORT to ask by TCP";

/// What the driver must know of a checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct CheckSetup {
    /// Which checkpoint.
    pub(crate) place: CheckRef,
    /// What it is.
    pub(crate) checkpoint: Checkpoint,
    /// Addresses and times; and for `mysql` who logs in.
    pub(crate) link: NodeSetup,
}

/// The checker of one checkpoint.
#[derive(Debug)]
pub(super) struct Checker {
    place: CheckRef,
    checkpoint: Checkpoint,
    way: Way,
    /// The number of the look at hand.
    running: Option<u64>,
}

#[derive(Debug)]
enum Way {
    /// By the probe machine.
    Login(Box<Link>),
    /// By a socket of our own.
    Plain(Box<Plain>),
}

#[derive(Debug)]
struct Plain {
    setup: NodeSetup,
    token: u32,
    /// Raised with every closed socket, so that an event of an old one is recognized.
    generation: u32,
    look: Option<Look>,
}

/// A look under way.
#[derive(Debug)]
struct Look {
    started: Time,
    /// When the whole must have ended.
    ends: Time,
    /// When the step at hand must have.
    step_ends: Time,
    /// When the address at hand has had its share of the step, or its echo is to be sent again.
    next: Option<Time>,
    addresses_left: usize,
    /// The most telling failure so far.
    errno: i32,
    io: Io,
}

#[derive(Debug)]
enum Io {
    None,
    Echo(Echo),
    Connecting(Socket),
    /// Waits for the status line.
    Reading(Socket, StatusReader),
}

impl Checker {
    /// `generation`: no checker that had the index before has come so far.
    pub(super) fn new(index: u32, generation: u32, setup: CheckSetup) -> Checker {
        let token = TOKENS | index;
        let way = match setup.checkpoint.method {
            CheckMethod::Mysql => Way::Login(Box::new(Link::of_generation(token, generation, setup.link))),
            CheckMethod::Simple | CheckMethod::Http => {
                Way::Plain(Box::new(Plain { setup: setup.link, token, generation, look: None }))
            }
        };
        Checker { place: setup.place, checkpoint: setup.checkpoint, way, running: None }
    }

    pub(super) fn place(&self) -> CheckRef {
        self.place
    }

    pub(super) fn book(&mut self) -> &mut AddressBook {
        match &mut self.way {
            Way::Login(link) => link.book(),
            Way::Plain(plain) => &mut plain.setup.book,
        }
    }

    /// Name and port to resolve.
    pub(super) fn name(&self) -> Option<(&str, u16)> {
        match &self.way {
            Way::Login(link) => link.name(),
            Way::Plain(plain) => plain.setup.name.as_ref().map(|(host, port)| (host.as_str(), *port)),
        }
    }

    /// The index of the checker that a token names, if it is one of this room's.
    pub(super) fn index_of(token: u64) -> Option<usize> {
        let low = token as u32;
        (low & TOKENS != 0).then_some((low & !TOKENS) as usize)
    }

    /// Whether an event's token is of the socket at hand.
    pub(super) fn owns(&self, token: u64) -> bool {
        match &self.way {
            Way::Login(link) => link.owns(token),
            Way::Plain(plain) => plain.look.is_some() && token == plain.token(),
        }
    }

    /// Begins a look. The engine asks for one at a time; one that it no longer waits for gives way.
    pub(super) fn begin(&mut self, context: &mut Context<'_>, check: u64) {
        self.shut(context);
        self.running = Some(check);
        self.step(context, |way, checkpoint, context| match way {
            Way::Login(link) => {
                link.begin(context, check, true);
                None
            }
            Way::Plain(plain) => plain.begin(context, checkpoint),
        });
    }

    /// Something happened at the socket.
    pub(super) fn ready(&mut self, context: &mut Context<'_>, event: Ready) {
        self.step(context, |way, checkpoint, context| match way {
            Way::Login(link) => {
                link.ready(context, event);
                None
            }
            Way::Plain(plain) => plain.ready(context, checkpoint, event),
        });
    }

    /// When [`Checker::timeout`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Time> {
        match &self.way {
            Way::Login(link) => link.deadline(),
            Way::Plain(plain) => plain
                .look
                .as_ref()
                .map(|look| look.next.map_or(look.step_ends, |next| next.min(look.step_ends))),
        }
    }

    /// A deadline has come.
    pub(super) fn timeout(&mut self, context: &mut Context<'_>) {
        self.step(context, |way, checkpoint, context| match way {
            Way::Login(link) => {
                link.timeout(context);
                None
            }
            Way::Plain(plain) => plain.timeout(context, checkpoint),
        });
    }

    /// Ends the look at hand without an answer.
    pub(super) fn shut(&mut self, context: &mut Context<'_>) {
        self.running = None;
        match &mut self.way {
            Way::Login(link) => link.shut(context),
            Way::Plain(plain) => plain.close(context),
        }
    }

    /// Runs something that may end the look, and tells the engine if it did.
    fn step(
        &mut self,
        context: &mut Context<'_>,
        run: impl FnOnce(&mut Way, &Checkpoint, &mut Context<'_>) -> Option<Observation>,
    ) {
        // What a link says is about its probe; it is told as the end of the look.
        let (mut said, mut unsaid) = (VecDeque::new(), VecDeque::new());
        let mut inner = Context {
            poller: &mut *context.poller,
            registry: context.registry,
            inputs: &mut said,
            notices: &mut unsaid,
            buffer: &mut *context.buffer,
            columns: &mut *context.columns,
            ends: &mut *context.ends,
            now: context.now,
        };
        let mut end = run(&mut self.way, &self.checkpoint, &mut inner);
        for input in said {
            if let Input::Probed { mut observation, .. } = input {
                observation.facts = Default::default();
                end = Some(observation);
            }
        }
        let Some(observation) = end else { return };
        let Some(check) = self.running else { return };
        // Nothing is kept between looks: they are rare, and the server is not ours.
        self.shut(context);
        context.inputs.push_back(Input::Checked { place: self.place, check, observation });
    }
}

impl Plain {
    fn token(&self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.token)
    }

    fn begin(&mut self, context: &mut Context<'_>, checkpoint: &Checkpoint) -> Option<Observation> {
        let now = context.now;
        let ends = now + self.setup.probe_timeout;
        let step_ends = (now + self.setup.timeout).min(ends);
        let addresses_left = self.setup.book.len();
        let errno = libc::EADDRNOTAVAIL;
        let look = Look { started: now, ends, step_ends, next: None, addresses_left, errno, io: Io::None };
        self.look = Some(look);
        if addresses_left == 0 {
            let words = match self.setup.book.error() {
                "" => "the name has not been resolved yet",
                words => words,
            };
            let words = words.to_owned();
            return self.end(context, Cause::Dns, 0, words);
        }
        self.try_next(context, checkpoint)
    }

    /// Tries the addresses in order until one is on its way.
    fn try_next(&mut self, context: &mut Context<'_>, checkpoint: &Checkpoint) -> Option<Observation> {
        loop {
            self.drop_io(context);
            let token = self.token();
            let look = self.look.as_mut()?;
            let Some(address) = self.setup.book.current().filter(|_| look.addresses_left > 0) else {
                let errno = look.errno;
                let (cause, words) = checkpoint.of_connect_error(errno);
                return self.end(context, cause, errno, words);
            };
            look.addresses_left -= 1;
            let left = u32::try_from(look.addresses_left).unwrap_or(u32::MAX);
            let share = look.step_ends.since(context.now) / left.saturating_add(1);
            let begun = match checkpoint.port {
                None => {
                    look.next = Some(context.now + share / u32::from(ECHOES));
                    echo(context, address, token)
                }
                Some(_) => {
                    look.next = (left > 0).then(|| context.now + share);
                    connect(context, address, token)
                }
            };
            match begun {
                Ok((io, up)) => {
                    look.io = io;
                    return if up { self.connected(context, checkpoint) } else { None };
                }
                Err(NoEcho::Forbidden) => return self.end(context, Cause::Local, 0, FORBIDDEN.into()),
                Err(NoEcho::Failed(errno)) => {
                    if let Some(end) = self.failed(context, checkpoint, errno) {
                        return Some(end);
                    }
                }
            }
        }
    }

    /// The address at hand failed. The end of the look, if that is as good as an answer.
    fn failed(
        &mut self,
        context: &mut Context<'_>,
        checkpoint: &Checkpoint,
        errno: i32,
    ) -> Option<Observation> {
        let (cause, words) = checkpoint.of_connect_error(errno);
        if cause == Cause::Ok {
            return self.end(context, cause, 0, words);
        }
        let look = self.look.as_mut()?;
        // Of several addresses, one that replied says most here: it proves the path.
        if !proves_path(checkpoint.of_connect_error(look.errno).0.class()) {
            look.errno = match proves_path(cause.class()) {
                true => errno,
                false => more_telling(look.errno, errno),
            };
        }
        self.setup.book.advance();
        None
    }

    fn ready(
        &mut self,
        context: &mut Context<'_>,
        checkpoint: &Checkpoint,
        event: Ready,
    ) -> Option<Observation> {
        let look = self.look.as_mut()?;
        match &mut look.io {
            Io::Connecting(socket) if event.writable => match socket.finish() {
                Ok(()) => self.connected(context, checkpoint),
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(libc::EIO);
                    match self.failed(context, checkpoint, errno) {
                        Some(end) => Some(end),
                        None => self.try_next(context, checkpoint),
                    }
                }
            },
            Io::None | Io::Connecting(_) => None,
            Io::Echo(_) | Io::Reading(..) => self.read(context, checkpoint),
        }
    }

    fn read(&mut self, context: &mut Context<'_>, checkpoint: &Checkpoint) -> Option<Observation> {
        let look = self.look.as_mut()?;
        match &mut look.io {
            Io::None | Io::Connecting(_) => None,
            Io::Echo(echo) => match echo.receive(context.buffer) {
                Ok(true) => self.end(context, Cause::Ok, 0, String::new()),
                Ok(false) => None,
                Err(errno) => match self.failed(context, checkpoint, errno) {
                    Some(end) => Some(end),
                    None => self.try_next(context, checkpoint),
                },
            },
            Io::Reading(socket, reader) => match socket.receive(context.buffer) {
                Received::Nothing => None,
                Received::Bytes(count) => {
                    match reader.take(context.buffer.get(..count).unwrap_or_default())? {
                        Ok(status) => {
                            let (cause, words) = Checkpoint::of_status(status);
                            self.end(context, cause, 0, words)
                        }
                        Err(words) => self.end(context, Cause::ProtocolError, 0, words.into()),
                    }
                }
                Received::End | Received::Broken(libc::ECONNRESET) => {
                    let words = "the server closed the connection before its status line";
                    let cause = if reader.is_empty() { Cause::Reset } else { Cause::ProtocolError };
                    self.end(context, cause, 0, words.into())
                }
                Received::Broken(errno) => {
                    let (cause, words) = checkpoint.of_connect_error(errno);
                    self.end(context, cause, errno, words)
                }
            },
        }
    }

    /// The connection is up: that is all that `simple` asks; `http` asks on.
    fn connected(&mut self, context: &mut Context<'_>, checkpoint: &Checkpoint) -> Option<Observation> {
        let token = self.token();
        let look = self.look.as_mut()?;
        if checkpoint.method == CheckMethod::Simple {
            return self.end(context, Cause::Ok, 0, String::new());
        }
        let Io::Connecting(socket) = core::mem::replace(&mut look.io, Io::None) else { return None };
        let request = http::get(&checkpoint.authority(), &checkpoint.path);
        // A fresh connection's buffer takes a request of a kilobyte at once.
        let sent = socket.send(&request).and_then(|sent| match sent == request.len() {
            true => context.poller.change(socket.number(), token, false),
            false => Err(std::io::Error::from_raw_os_error(libc::ENOBUFS)),
        });
        look.next = None;
        look.step_ends = (context.now + self.setup.timeout).min(look.ends);
        look.io = Io::Reading(socket, StatusReader::default());
        match sent {
            Ok(()) => None,
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                let (cause, words) = checkpoint.of_connect_error(errno);
                self.end(context, cause, errno, words)
            }
        }
    }

    /// A deadline has come. What the socket holds by now is read first: a late loop must not make a late answer.
    fn timeout(&mut self, context: &mut Context<'_>, checkpoint: &Checkpoint) -> Option<Observation> {
        let event = Ready { token: self.token(), readable: true, writable: false };
        if let Some(end) = self.ready(context, checkpoint, event) {
            return Some(end);
        }
        let now = context.now;
        let look = self.look.as_mut()?;
        if look.step_ends <= now {
            let took = now.since(look.started).as_millis();
            let earlier = checkpoint.of_connect_error(look.errno);
            let (cause, words) = match &look.io {
                Io::Echo(_) | Io::Connecting(_) | Io::None if proves_path(earlier.0.class()) => earlier,
                Io::Reading(socket, _) if socket.sign() == crate::probe::PeerSign::Acknowledged => (
                    Cause::NoReply,
                    format!("the host acknowledges, the server did not answer within {took} ms"),
                ),
                Io::Echo(echo) => {
                    (Cause::NoAck, format!("no reply to {} echo requests within {took} ms", echo.sent()))
                }
                _ => (Cause::NoAck, format!("nothing acknowledges within {took} ms")),
            };
            return self.end(context, cause, 0, words);
        }
        if look.next.is_none_or(|next| next > now) {
            return None;
        }
        look.next = None;
        if let Io::Echo(echo) = &mut look.io
            && echo.sent() < ECHOES
        {
            let left = u32::try_from(look.addresses_left).unwrap_or(u32::MAX);
            let share = look.step_ends.since(now) / left.saturating_mul(2).saturating_add(1);
            look.next = (left > 0).then(|| now + share);
            let errno = echo.send().err().map(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
            return match self.failed(context, checkpoint, errno) {
                Some(end) => Some(end),
                None => self.try_next(context, checkpoint),
            };
        }
        match self.failed(context, checkpoint, libc::ETIMEDOUT) {
            Some(end) => Some(end),
            None => self.try_next(context, checkpoint),
        }
    }

    fn end(
        &mut self,
        context: &mut Context<'_>,
        cause: Cause,
        errno: i32,
        words: String,
    ) -> Option<Observation> {
        let started = self.look.as_ref()?.started;
        self.close(context);
        match cause.class() {
            Class::Ok | Class::Blind => {}
            _ => {
                self.setup.book.probe_failed();
                self.setup.book.advance();
            }
        }
        let mut observation = Observation::new(cause, words, context.now);
        (observation.started, observation.errno) = (started, errno.unsigned_abs());
        Some(observation)
    }

    fn close(&mut self, context: &mut Context<'_>) {
        self.drop_io(context);
        self.look = None;
    }

    fn drop_io(&mut self, context: &mut Context<'_>) {
        let Some(look) = &mut self.look else { return };
        match core::mem::replace(&mut look.io, Io::None) {
            Io::None => return,
            Io::Echo(echo) => context.poller.remove(echo.number()),
            Io::Connecting(socket) | Io::Reading(socket, _) => {
                context.poller.remove(socket.number());
                socket.shut();
            }
        }
        self.generation = self.generation.wrapping_add(1);
    }
}

fn echo(context: &mut Context<'_>, to: SocketAddr, token: u64) -> Result<(Io, bool), NoEcho> {
    let echo = Echo::begin(context.registry, to)?;
    context.poller.add(echo.number(), token, false)?;
    Ok((Io::Echo(echo), false))
}

fn connect(context: &mut Context<'_>, to: SocketAddr, token: u64) -> Result<(Io, bool), NoEcho> {
    let (socket, progress) = Socket::connect(context.registry, &Target::Tcp(to))?;
    context.poller.add(socket.number(), token, progress == Progress::Pending)?;
    Ok((Io::Connecting(socket), progress == Progress::Up))
}
