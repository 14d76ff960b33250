//! One node's link: its probe session, its socket, its addresses.
//!
//! The session decides what to do; this file does it. A panic in the session ends that probe alone.

use super::descriptor::Registry;
use super::driver::NodeSetup;
use super::poller::{Poller, Ready};
use super::socket::Socket;
use super::tls::Stream;
use crate::engine::notice::{Notice, Reason};
use crate::engine::{Input, NodeRef, Severity, Time};
use crate::metrics::LinkTally;
use crate::probe::check::CheckEnd;
use crate::probe::{Action, AddressBook, Cause, Class, Flavour, PeerSign, ProbeRequest, ServerVersion};
use crate::wire::SharedColumns;
use std::any::Any;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

mod bytes;
pub(super) mod machine;
mod told;
mod way;

use bytes::{send, send_rest};
use machine::{Ended, Machine};
use way::Attempt;
pub(super) use way::more_telling;

/// What a link works with; it belongs to the driver.
pub(super) struct Context<'a> {
    pub(super) poller: &'a mut dyn Poller,
    pub(super) registry: &'a Arc<Registry>,
    pub(super) inputs: &'a mut VecDeque<Input>,
    pub(super) notices: &'a mut VecDeque<Notice>,
    pub(super) buffer: &'a mut [u8],
    pub(super) columns: &'a mut SharedColumns,
    /// Ends of checks: the link, the probe, the end.
    pub(super) ends: &'a mut Vec<(usize, u64, CheckEnd)>,
    pub(super) now: Time,
}

/// One node's link.
#[derive(Debug)]
pub(super) struct Link {
    setup: NodeSetup,
    session: Machine,
    index: u32,
    /// Raised with every closed socket, so that an event of an old one is recognized.
    generation: u32,
    socket: Option<Socket>,
    /// The attempt at a connection, while there is one.
    attempt: Option<Attempt>,
    /// What the socket has not taken yet; encrypted, where there is TLS.
    outgoing: Vec<u8>,
    tls: Option<Box<Stream>>,
    /// The connection at hand began to encrypt.
    encrypted: bool,
    tally: LinkTally,
    /// How many logins of the session are in the tally.
    counted_logins: u64,
    /// Server and encryption of the last login that was told.
    told: Option<(Flavour, Option<ServerVersion>, bool)>,
    /// Where the name led when a connection was last made.
    located: Option<IpAddr>,
    /// That the name does not resolve was told.
    pub(super) unresolved: bool,
    /// The probe at hand.
    running: Option<u64>,
    /// It makes a connection or logs in.
    logging_in: bool,
    /// Probes asked for while one was running.
    waiting: VecDeque<(u64, bool)>,
    /// What the node is to be probed with once the probe at hand has ended.
    next: Option<Box<NodeSetup>>,
    #[cfg(feature = "testing")]
    planted: bool,
}

impl Link {
    pub(super) fn new(index: u32, setup: NodeSetup) -> Link {
        let session = Machine::of(&setup);
        Link {
            setup,
            session,
            index,
            generation: 0,
            socket: None,
            attempt: None,
            outgoing: Vec::new(),
            tls: None,
            encrypted: false,
            tally: LinkTally::default(),
            counted_logins: 0,
            told: None,
            located: None,
            unresolved: false,
            running: None,
            logging_in: false,
            waiting: VecDeque::new(),
            next: None,
            #[cfg(feature = "testing")]
            planted: false,
        }
    }

    /// A link for another node in the place of this one, whose sockets are closed. Events of those are still recognized.
    pub(super) fn replaced_by(&mut self, setup: NodeSetup) {
        *self = Link::of_generation(self.index, self.generation.wrapping_add(1), setup);
    }

    /// A link whose sockets are told from those of others that had its index.
    pub(super) fn of_generation(index: u32, generation: u32, setup: NodeSetup) -> Link {
        Link { generation, ..Link::new(index, setup) }
    }

    /// The node has a new place, and may be probed in another way. A kept connection stays where address and account are
    /// the same; else the probe at hand ends as it began, and the next one logs in anew.
    pub(super) fn reconfigure(&mut self, context: &mut Context<'_>, setup: NodeSetup) {
        self.setup.node = setup.node;
        self.next = Some(Box::new(setup));
        if self.running.is_none() || self.is_like_next() {
            self.enter(context, |link, context| link.adopt(context));
        }
    }

    fn is_like_next(&self) -> bool {
        let (is, next) = (&self.setup, self.next.as_deref());
        next.is_some_and(|next| {
            self.has_address_of(next) && is.session == next.session && is.lane == next.lane
        })
    }

    fn has_address_of(&self, other: &NodeSetup) -> bool {
        let is = &self.setup;
        let literal = is.name.is_some() || is.book.current() == other.book.current();
        is.unix == other.unix && is.name == other.name && literal
    }

    /// From here on the node is probed by its new setup.
    fn adopt(&mut self, context: &mut Context<'_>) {
        let alike = self.is_like_next();
        let Some(mut setup) = self.next.take() else { return };
        if self.has_address_of(&setup) {
            // What is known of a name is not asked for again.
            setup.book = self.setup.book.clone();
        }
        if !alike {
            self.session.shut();
            self.drain(context);
            self.close(context);
            self.session = Machine::of(&setup);
        }
        self.setup = *setup;
    }

    pub(super) fn node(&self) -> NodeRef {
        self.setup.node
    }

    pub(super) fn book(&mut self) -> &mut AddressBook {
        &mut self.setup.book
    }

    /// What was counted.
    pub(super) fn tally(&self) -> LinkTally {
        self.tally
    }

    /// Whether another link of the same node tells what becomes of its name.
    pub(super) fn is_beside(&self) -> bool {
        self.setup.lane.as_ref().is_some_and(|lane| lane.check > 0)
    }

    /// Whether it is of a router's check.
    pub(super) fn is_lane(&self) -> bool {
        self.setup.lane.is_some()
    }

    /// Whether there is a socket.
    pub(super) fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Name and port to resolve.
    pub(super) fn name(&self) -> Option<(&str, u16)> {
        self.setup.name.as_ref().map(|(host, port)| (host.as_str(), *port))
    }

    /// The next panic of this link's session is planted.
    #[cfg(feature = "testing")]
    pub(super) fn plant_panic(&mut self) {
        self.planted = true;
    }

    /// Whether an event's token is of the socket at hand.
    pub(super) fn owns(&self, token: u64) -> bool {
        self.socket.is_some() && token == self.token()
    }

    fn token(&self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Whether a probe begun now would make a connection.
    pub(super) fn needs_login(&self, fresh: bool) -> bool {
        fresh || self.socket.is_none()
    }

    /// Whether a probe is at hand that makes a connection, or found that it has to.
    pub(super) fn is_logging_in(&self) -> bool {
        self.running.is_some() && self.logging_in
    }

    /// The index of the link that a token names.
    pub(super) fn index_of(token: u64) -> usize {
        (token & 0xffff_ffff) as usize
    }

    /// Starts a probe, or keeps it until the one at hand has ended.
    pub(super) fn begin(&mut self, context: &mut Context<'_>, probe: u64, fresh: bool) {
        self.waiting.push_back((probe, fresh));
        self.enter(context, |_, _| {});
    }

    /// Something happened at the socket.
    pub(super) fn ready(&mut self, context: &mut Context<'_>, event: Ready) {
        self.enter(context, |link, context| {
            if link.attempt.is_some() {
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

    /// When [`Link::timeout`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Time> {
        let attempt = self.attempt.as_ref().and_then(|a| a.retry_at.or(a.next_at));
        match (self.session.poll_timeout(), attempt) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// A deadline has come. What the socket holds by now is read first: a late loop must not make a late server.
    pub(super) fn timeout(&mut self, context: &mut Context<'_>) {
        self.enter(context, |link, context| {
            if link.attempt.as_ref().is_some_and(|a| a.retry_at.is_some_and(|at| at <= context.now)) {
                link.retry(context);
            }
            match &link.attempt {
                None => link.read(context),
                Some(attempt) if attempt.next_at.is_some_and(|at| at <= context.now) => {
                    link.give_up_address(context);
                }
                Some(_) => {}
            }
            link.drain(context);
            if link.session.poll_timeout().is_some_and(|at| at <= context.now) {
                let sign = link.socket.as_ref().map_or(PeerSign::Connecting, Socket::sign);
                link.session.handle_timeout(context.now, sign);
            }
        });
    }

    /// Ends the session politely and forgets its probes.
    pub(super) fn shut(&mut self, context: &mut Context<'_>) {
        self.waiting.clear();
        self.running = None;
        self.next = None;
        self.enter(context, |link, _| link.session.shut());
        self.close(context);
    }

    /// Runs something that touches the session, then does what the session asks for.
    fn enter(&mut self, context: &mut Context<'_>, step: impl FnOnce(&mut Link, &mut Context<'_>)) {
        let mut step = Some(step);
        loop {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                if let Some(step) = step.take() {
                    step(self, context);
                }
                self.drain(context);
                while self.running.is_none() && self.start_next(context) {
                    self.drain(context);
                }
            }));
            match outcome {
                Ok(()) => {
                    if self.running.is_none() {
                        self.session.rest(context.columns);
                    }
                    return;
                }
                // Once more, for the probes that wait behind the broken one.
                Err(panic) => self.broken(context, &panic_text(panic.as_ref())),
            }
        }
    }

    /// Takes the next probe from the queue; whether there was one.
    fn start_next(&mut self, context: &mut Context<'_>) -> bool {
        self.adopt(context);
        let Some((probe, fresh)) = self.waiting.pop_front() else { return false };
        self.running = Some(probe);
        self.logging_in = self.needs_login(fresh);
        #[cfg(feature = "testing")]
        if core::mem::take(&mut self.planted) {
            panic!("planted in a probe session");
        }
        if self.setup.name.is_some() && self.setup.book.is_empty() && self.socket.is_none() {
            let words = match self.setup.book.error() {
                "" => "the name has not been resolved yet",
                words => words,
            };
            let end = self.session.no_end(Cause::Dns, words, context.now);
            self.done(context, end);
            return true;
        }
        let request = ProbeRequest {
            fresh,
            timeout: self.setup.timeout,
            probe_timeout: self.setup.probe_timeout,
            max_lag: self.setup.max_lag,
        };
        self.session.begin(context.now, request);
        true
    }

    fn drain(&mut self, context: &mut Context<'_>) {
        enum Step {
            Connect,
            Sent(Result<(), i32>),
            StartTls,
            Close,
            Lost,
            Done(Ended),
        }
        loop {
            let step = match self.session.poll_action() {
                None => return,
                Some(Action::Connect) => Step::Connect,
                Some(Action::Send(bytes)) => Step::Sent(match (&self.socket, &mut self.tls) {
                    (Some(socket), None) if self.outgoing.is_empty() => {
                        send(socket, bytes, &mut self.outgoing)
                    }
                    (Some(_), None) => {
                        self.outgoing.extend_from_slice(bytes);
                        Ok(())
                    }
                    (Some(socket), Some(tls)) => match tls.write(bytes, &mut self.outgoing) {
                        true => send_rest(socket, &mut self.outgoing),
                        false => Err(libc::EPROTO),
                    },
                    (None, _) => Err(libc::ENOTCONN),
                }),
                Some(Action::StartTls) => Step::StartTls,
                Some(Action::Close) => Step::Close,
                Some(Action::Lost) => Step::Lost,
                Some(Action::Done(end)) => Step::Done(end),
            };
            match step {
                Step::Connect => self.connect(context),
                Step::Sent(Ok(())) => self.watch_output(context),
                Step::Sent(Err(errno)) => self.session.handle_reset(context.now, errno),
                Step::StartTls => self.start_tls(context),
                Step::Close => self.close(context),
                Step::Lost => {
                    self.tally.lost += 1;
                    let text = "the kept connection ended between probes: the node is looked at early";
                    self.notice(context, Reason::ConnectionLost, Severity::Info, text.into());
                    context.inputs.push_back(Input::ConnectionLost { node: self.setup.node });
                }
                Step::Done(end) => self.done(context, end),
            }
        }
    }

    /// A probe has ended.
    fn done(&mut self, context: &mut Context<'_>, end: Ended) {
        self.count_logins(context);
        let class = match &end {
            Ended::Probe(observation) => observation.class(),
            Ended::Check(end) => end.cause.class(),
        };
        match class {
            Class::Ok | Class::Replication | Class::Blind => {}
            Class::Refusing => self.setup.book.probe_failed(),
            Class::Gone | Class::Hung | Class::Silent => {
                self.setup.book.probe_failed();
                self.setup.book.advance();
            }
        }
        let Some(probe) = self.running.take() else { return };
        match end {
            Ended::Probe(observation) => {
                context.inputs.push_back(Input::Probed { node: self.setup.node, probe, observation });
            }
            Ended::Check(end) => context.ends.push((self.index as usize, probe, end)),
        }
    }

    fn broken(&mut self, context: &mut Context<'_>, text: &str) {
        self.close(context);
        self.session = Machine::of(&self.setup);
        // The new machine counts from 0.
        self.counted_logins = 0;
        let message = format!("internal error in the probe machine, please report it: {text}");
        self.notice(context, Reason::Defect, Severity::Alarm, message.clone());
        let end = self.session.no_end(Cause::ProtocolError, &message, context.now);
        self.done(context, end);
    }

    fn close_if(&mut self, context: &mut Context<'_>, generation: u32) {
        if self.generation == generation {
            self.close(context);
        }
    }

    fn close(&mut self, context: &mut Context<'_>) {
        if let Some(socket) = self.socket.take() {
            if let Some(mut tls) = self.tls.take() {
                tls.close(&mut self.outgoing);
            }
            if !self.outgoing.is_empty() {
                // Best effort, as the session's contract says.
                let _ = socket.send(&self.outgoing);
            }
            context.poller.remove(socket.number());
            socket.shut();
            self.generation = self.generation.wrapping_add(1);
        }
        self.attempt = None;
        self.tls = None;
        self.outgoing.clear();
    }
}

/// The words of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "without words".into()
    }
}
