//! The connections to proxies that are told of every node: sockets for the machine in `mpp/push.rs`, in the driver's loop.
//!
//! One connection each. A proxy that is slow, dead or broken costs its own connection; a defect of its machine costs that one alone.

use super::descriptor::Registry;
use super::entropy;
use super::link::panic_text;
use super::poller::{Poller, Ready};
use super::socket::{Progress, Received, Socket, Target};
use crate::engine::notice::{Notice, Reason};
use crate::engine::{Severity, Time};
use crate::mpp::{Account, Action, Evaluation, Pusher, Tally, Told};
use crate::probe::AddressBook;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Tokens of this room have this bit in their lower half, and not the one above it. No driver has as many links.
const TOKENS: u32 = 0x4000_0000;
const MASK: u32 = 0xc000_0000;

/// Reads of one socket in a row; a proxy that pours must not starve the others.
const READS: usize = 8;

/// What the driver must know of a proxy.
#[derive(Clone, Debug)]
pub(crate) struct ProxySetup {
    /// Its canonical address, which names it.
    pub(crate) proxy: String,
    /// The path, for a unix socket.
    pub(crate) unix: Option<PathBuf>,
    /// Name and port, for a name.
    pub(crate) name: Option<(String, u16)>,
    /// What is known of its addresses; empty for a unix socket.
    pub(crate) book: AddressBook,
    /// Who talks to it.
    pub(crate) account: Account,
    /// How often everything is pushed.
    pub(crate) interval: Duration,
    /// Whose nodes; empty for all pools.
    pub(crate) pools: Vec<String>,
}

impl ProxySetup {
    /// Whether a connection made by the one serves the other.
    fn is_like(&self, other: &ProxySetup) -> bool {
        (&self.proxy, &self.account, self.interval) == (&other.proxy, &other.account, other.interval)
    }
}

/// Where descriptors are watched, words go, and bytes are read into.
pub(super) struct ProxyContext<'a> {
    pub(super) poller: &'a mut dyn Poller,
    pub(super) registry: &'a Arc<Registry>,
    pub(super) notices: &'a mut VecDeque<Notice>,
    pub(super) buffer: &'a mut [u8],
    pub(super) now: Time,
}

/// The connection to one proxy.
#[derive(Debug)]
pub(super) struct ProxyLink {
    setup: ProxySetup,
    pusher: Pusher,
    slot: u32,
    /// Raised with every closed socket, so that an event of an old one is recognized.
    generation: u32,
    socket: Option<Socket>,
    /// The attempt at a connection: how many addresses are left.
    connecting: Option<usize>,
    outgoing: Vec<u8>,
    /// The machine hit a defect; nothing is pushed any more.
    broken: bool,
}

impl ProxyLink {
    /// `slot` is no other link's of this driver.
    pub(super) fn new(slot: u32, setup: ProxySetup) -> ProxyLink {
        let pusher = Pusher::new(setup.account.clone(), setup.interval);
        ProxyLink {
            setup,
            pusher,
            slot,
            generation: 0,
            socket: None,
            connecting: None,
            outgoing: Vec::new(),
            broken: false,
        }
    }

    /// Whether an event's token is of this room.
    pub(super) fn is_token(token: u64) -> bool {
        token as u32 & MASK == TOKENS
    }

    /// Whether an event's token is of the socket at hand.
    pub(super) fn owns(&self, token: u64) -> bool {
        self.socket.is_some() && token == self.token()
    }

    fn token(&self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(TOKENS | self.slot & !MASK)
    }

    /// The proxy's name.
    pub(super) fn proxy(&self) -> &str {
        &self.setup.proxy
    }

    /// Goes on with a setup that means the same connection; false if it means another one.
    pub(super) fn keep_as(&mut self, setup: &ProxySetup) -> bool {
        let same = self.setup.is_like(setup) && !self.broken;
        if same {
            self.setup.pools.clone_from(&setup.pools);
        }
        same
    }

    pub(super) fn book(&mut self) -> &mut AddressBook {
        &mut self.setup.book
    }

    /// Name and port to resolve.
    pub(super) fn name(&self) -> Option<(&str, u16)> {
        self.setup.name.as_ref().map(|(host, port)| (host.as_str(), *port))
    }

    /// What was counted.
    pub(super) fn tally(&self) -> Tally {
        self.pusher.tally()
    }

    /// What the proxy is to hold, by pool.
    pub(super) fn feed(&mut self, context: &mut ProxyContext<'_>, pools: &BTreeMap<String, Vec<Evaluation>>) {
        let wanted = &self.setup.pools;
        let of = |name: &String| wanted.is_empty() || wanted.contains(name);
        let table: Vec<Evaluation> =
            pools.iter().filter(|(name, _)| of(name)).flat_map(|(_, nodes)| nodes.iter().cloned()).collect();
        let now = context.now;
        self.enter(context, |link, _| link.pusher.set_table(now, &table));
    }

    /// Something happened at the socket.
    pub(super) fn ready(&mut self, context: &mut ProxyContext<'_>, event: Ready) {
        self.enter(context, |link, context| {
            if link.connecting.is_some() {
                if event.writable {
                    link.attempt_ended(context);
                }
                return;
            }
            if event.writable {
                link.flush(context);
            }
            if event.readable {
                link.read(context);
            }
        });
    }

    /// When [`ProxyLink::timeout`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Time> {
        if self.broken { None } else { self.pusher.poll_timeout() }
    }

    /// A deadline has come. What the socket holds by now is read first: a late loop must not make a late proxy.
    pub(super) fn timeout(&mut self, context: &mut ProxyContext<'_>) {
        self.enter(context, |link, context| {
            if link.connecting.is_none() {
                link.read(context);
                link.drain(context);
            }
            link.pusher.handle_timeout(context.now);
        });
    }

    /// Says goodbye.
    pub(super) fn shut(&mut self, context: &mut ProxyContext<'_>) {
        self.enter(context, |link, _| link.pusher.shut());
        self.close(context);
    }

    /// Runs something that touches the machine, then does what it asks for.
    fn enter(
        &mut self,
        context: &mut ProxyContext<'_>,
        step: impl FnOnce(&mut ProxyLink, &mut ProxyContext<'_>),
    ) {
        if self.broken {
            return;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            step(self, context);
            self.drain(context);
        }));
        if let Err(panic) = outcome {
            self.broken = true;
            self.close(context);
            let words = panic_text(panic.as_ref());
            let text =
                format!("a defect ended the pushing to it until the next reload; please report it: {words}");
            self.tell(context, Severity::Alarm, &text);
        }
    }

    fn drain(&mut self, context: &mut ProxyContext<'_>) {
        enum Step {
            Connect,
            Sent(Result<(), std::io::Error>),
            Close,
        }
        loop {
            while let Some(told) = self.pusher.poll_told() {
                let (severity, text) = words(told);
                self.tell(context, severity, &text);
            }
            let step = match self.pusher.poll_action() {
                None => return,
                Some(Action::Connect) => Step::Connect,
                Some(Action::Send(bytes)) => Step::Sent(match &self.socket {
                    Some(socket) if self.outgoing.is_empty() => socket.send(bytes).map(|sent| {
                        self.outgoing.extend_from_slice(bytes.get(sent..).unwrap_or_default());
                    }),
                    Some(_) => {
                        self.outgoing.extend_from_slice(bytes);
                        Ok(())
                    }
                    None => Ok(()),
                }),
                Some(Action::Close) => Step::Close,
            };
            match step {
                Step::Connect => self.connect(context),
                Step::Sent(Ok(())) => self.watch_output(context),
                Step::Sent(Err(error)) => self.fail(context, &error),
                Step::Close => {
                    // A silent address gives way to the next one.
                    if self.connecting.is_some() {
                        self.setup.book.probe_failed();
                        self.setup.book.advance();
                    }
                    self.close(context);
                }
            }
        }
    }

    fn tell(&self, context: &mut ProxyContext<'_>, severity: Severity, text: &str) {
        let message = format!("proxy {}: {text}", self.setup.proxy);
        context.notices.push_back(Notice { node: None, reason: Reason::Proxy, severity, message });
    }

    fn connect(&mut self, context: &mut ProxyContext<'_>) {
        let addresses = if self.setup.unix.is_some() { 1 } else { self.setup.book.len() };
        if addresses == 0 {
            let words = match self.setup.book.error() {
                "" => "the name has not been resolved yet".to_string(),
                words => words.to_string(),
            };
            return self.pusher.handle_failed(context.now, &words);
        }
        self.connect_next(context, addresses);
    }

    /// Tries the addresses in order until one is on its way.
    fn connect_next(&mut self, context: &mut ProxyContext<'_>, mut left: usize) {
        loop {
            self.close(context);
            let target = match (&self.setup.unix, self.setup.book.current()) {
                (Some(path), _) => Target::Unix(path.clone()),
                (None, Some(address)) => Target::Tcp(address),
                (None, None) => return self.pusher.handle_failed(context.now, "the name has no address"),
            };
            left = left.saturating_sub(1);
            let outcome = Socket::connect(context.registry, &target).and_then(|(socket, progress)| {
                if progress == Progress::Full {
                    return Err(std::io::Error::from_raw_os_error(libc::EAGAIN));
                }
                context.poller.add(socket.number(), self.token(), progress == Progress::Pending)?;
                Ok((socket, progress))
            });
            match outcome {
                Ok((socket, progress)) => {
                    self.socket = Some(socket);
                    match progress {
                        Progress::Up => self.established(context),
                        _ => self.connecting = Some(left),
                    }
                    return;
                }
                Err(error) if left == 0 => return self.fail(context, &error),
                Err(_) => self.setup.book.advance(),
            }
        }
    }

    fn attempt_ended(&mut self, context: &mut ProxyContext<'_>) {
        let (Some(left), Some(socket)) = (self.connecting.take(), &self.socket) else { return };
        let outcome =
            socket.finish().and_then(|()| context.poller.change(socket.number(), self.token(), false));
        match outcome {
            Ok(()) => self.established(context),
            Err(error) if left == 0 => self.fail(context, &error),
            Err(_) => {
                self.setup.book.advance();
                self.connect_next(context, left);
            }
        }
    }

    fn established(&mut self, context: &mut ProxyContext<'_>) {
        match entropy::bytes::<20>() {
            Ok(seed) => self.pusher.handle_connected(context.now, seed),
            Err(error) => self.fail(context, &error),
        }
    }

    /// The connection broke, or could not be made.
    fn fail(&mut self, context: &mut ProxyContext<'_>, error: &std::io::Error) {
        self.close(context);
        self.setup.book.probe_failed();
        self.setup.book.advance();
        self.pusher.handle_failed(context.now, &error.to_string());
    }

    fn read(&mut self, context: &mut ProxyContext<'_>) {
        let generation = self.generation;
        for _ in 0..READS {
            let Some(socket) = self.socket.as_ref().filter(|_| self.generation == generation) else { return };
            match socket.receive(context.buffer) {
                Received::Nothing => return,
                Received::Bytes(count) => {
                    let bytes = context.buffer.get(..count).unwrap_or_default();
                    self.pusher.handle_bytes(context.now, bytes);
                    self.drain(context);
                }
                Received::End => {
                    self.pusher.handle_eof(context.now);
                    return self.drain(context);
                }
                Received::Broken(errno) => {
                    return self.fail(context, &std::io::Error::from_raw_os_error(errno));
                }
            }
        }
    }

    fn flush(&mut self, context: &mut ProxyContext<'_>) {
        let Some(socket) = &self.socket else { return };
        match socket.send(&self.outgoing) {
            Ok(sent) => {
                self.outgoing.drain(..sent.min(self.outgoing.len()));
                if self.outgoing.is_empty() {
                    // Cannot fail for a descriptor that is registered; if it does, an event too many comes.
                    let _ = context.poller.change(socket.number(), self.token(), false);
                }
            }
            Err(error) => self.fail(context, &error),
        }
    }

    fn watch_output(&mut self, context: &mut ProxyContext<'_>) {
        if let (false, Some(socket)) = (self.outgoing.is_empty(), &self.socket) {
            if let Err(error) = context.poller.change(socket.number(), self.token(), true) {
                self.fail(context, &error);
            }
        }
    }

    fn close(&mut self, context: &mut ProxyContext<'_>) {
        self.connecting = None;
        self.outgoing.clear();
        if let Some(socket) = self.socket.take() {
            context.poller.remove(socket.number());
            // A forked child may hold the connection too; the peer is to see its end nevertheless.
            socket.shut();
            self.generation = self.generation.wrapping_add(1);
        }
    }
}

fn words(told: Told) -> (Severity, String) {
    match told {
        Told::Found { initialized: 0 } => {
            (Severity::Info, "it takes what is pushed and knew all nodes".into())
        }
        Told::Found { initialized } => {
            (Severity::Info, format!("it takes what is pushed; {initialized} nodes were initialized"))
        }
        Told::Lost(why) => (
            Severity::Warning,
            format!("it does not take what is pushed, and is tried again and again: {why}"),
        ),
        Told::Forgotten(why) => {
            (Severity::Warning, format!("it had forgotten its nodes, which are initialized again: {why}"))
        }
        Told::Refused(why) => (Severity::Warning, why),
    }
}
