//! The control socket: connections of operators' commands, inside the driver's epoll.
//!
//! It understands frames and requests and decides nothing: requests come out by [`ControlServer::next`], answers go in
//! by [`ControlServer::answer`]. Nothing here waits; a client that is slow, silent or broken costs a slot until its
//! deadline, and no more memory than one request and one answer.

use super::control_listener::Listener;
use super::descriptor::Registry;
use super::place::Place;
use super::poller::{Poller, Ready};
use super::socket::{Received, Socket};
use super::users::{self, Peer};
use crate::control::{Answer, FrameReader, Id, LARGEST_ANSWER, LARGEST_REQUEST, Request, frame};
use crate::engine::notice::{Notice, Reason};
use crate::engine::{Severity, Time};
use crate::error::{Error, ErrorCode, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Connections at once.
pub(crate) const CLIENTS: usize = 32;
/// For a request to come whole, and for an answer to be taken.
const MESSAGE: Duration = Duration::from_secs(5);
/// Between an answer and the next request.
const IDLE: Duration = Duration::from_secs(60);
/// After the system had no descriptor for a connection.
const PAUSE: Duration = Duration::from_secs(1);
/// Connections taken in one turn; more keep the descriptor readable.
const ACCEPTED: usize = 8;
/// The lower half of the tokens of this room: the listener's, and one for each slot after it. No driver has as many
/// links.
const FIRST_TOKEN: u32 = 0xffff_0000;

/// What the driver must know to open a control socket.
#[derive(Clone, Debug)]
pub(crate) struct ControlSetup {
    /// Where.
    pub(crate) place: Place,
    /// The configuration names it, so that nothing starts without; else it lies beside a cache whose lock is ours.
    pub(crate) named: bool,
    /// Who may connect, beside root and ourselves.
    pub(crate) users: Vec<u32>,
}

/// A connection, for the answer to find its way. It is never another one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientId(u64);

/// What the socket brings.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A request, or why it is none, with its id if that could be read. Wants an answer or [`ControlServer::hold`].
    Request(ClientId, core::result::Result<Request, (Option<Id>, Error)>),
    /// The time of [`ControlServer::hold`] is over. Wants an answer.
    Overdue(ClientId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A request comes in, or none yet.
    Reading,
    /// A request was handed out.
    Asked,
    /// An answer goes out; `last`: the connection ends after it.
    Answering { last: bool },
}

#[derive(Debug)]
struct Client {
    id: ClientId,
    socket: Socket,
    reader: FrameReader,
    stage: Stage,
    output: Vec<u8>,
    sent: usize,
    deadline: Option<Time>,
    /// An answer was taken and nothing has come since.
    idle_since: Option<Time>,
}

/// The listening socket and its connections.
#[derive(Debug)]
pub(crate) struct ControlServer {
    listener: Listener,
    users: Vec<u32>,
    clients: Vec<Option<Client>>,
    asked: VecDeque<Asked>,
    registry: Arc<Registry>,
    connections: u32,
    notices: VecDeque<Notice>,
    strangers: u64,
    crowded: u64,
    /// The listener is not watched until then.
    paused: Option<Time>,
}

/// Room for what came in, and where descriptors are watched.
pub(crate) struct ControlContext<'a> {
    pub(crate) poller: &'a mut dyn Poller,
    pub(crate) buffer: &'a mut [u8],
    pub(crate) now: Time,
}

impl ControlServer {
    /// Listens.
    ///
    /// # Errors
    /// [`ErrorCode::Io`], with the path and what to do.
    pub(crate) fn open(
        registry: &Arc<Registry>,
        poller: &mut dyn Poller,
        setup: &ControlSetup,
    ) -> Result<ControlServer> {
        let listener = Listener::open(registry, setup)?;
        if let Err(e) = poller.add(listener.number(), u64::from(FIRST_TOKEN), false) {
            listener.close();
            return Err(Error::new(
                ErrorCode::Io,
                format!("the control socket {} cannot be watched: {e}", setup.place.path().display()),
            ));
        }
        Ok(ControlServer {
            listener,
            users: setup.users.clone(),
            clients: (0..CLIENTS).map(|_| None).collect(),
            asked: VecDeque::new(),
            registry: Arc::clone(registry),
            connections: 0,
            notices: VecDeque::new(),
            strangers: 0,
            crowded: 0,
            paused: None,
        })
    }

    /// Whether an event's token belongs to a control socket.
    pub(crate) fn owns(token: u64) -> bool {
        slot_of(token).is_some()
    }

    /// Something happened at a descriptor.
    pub(crate) fn ready(&mut self, context: &mut ControlContext<'_>, event: Ready) {
        match slot_of(event.token) {
            Some(0) => self.accept(context),
            Some(slot) => {
                let index = slot - 1;
                let client = self.clients.get(index).and_then(Option::as_ref);
                // The connection that the event was about may be gone and another one in its place.
                if client.is_none_or(|client| client.id.0 != event.token) {
                    return;
                }
                if event.writable {
                    self.flush(context.poller, index, context.now);
                }
                if event.readable {
                    self.read(context, index);
                }
            }
            None => {}
        }
    }

    /// The next words for the log.
    pub(crate) fn next_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// How many were sent away: for who they are, and because too many others were there.
    pub(crate) fn turned_away(&self) -> (u64, u64) {
        (self.strangers, self.crowded)
    }

    /// The next request.
    pub(crate) fn next(&mut self) -> Option<Asked> {
        self.asked.pop_front()
    }

    /// When [`ControlServer::judge_deadlines`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.clients.iter().flatten().filter_map(|client| client.deadline).chain(self.paused).min()
    }

    /// Ends what has taken too long.
    pub(crate) fn judge_deadlines(&mut self, poller: &mut dyn Poller, now: Time) {
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = match poller.add(self.listener.number(), u64::from(FIRST_TOKEN), false) {
                Ok(()) => None,
                Err(_) => Some(now + PAUSE),
            };
        }
        for index in 0..self.clients.len() {
            let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) else { continue };
            if client.deadline.is_none_or(|at| at > now) {
                continue;
            }
            if client.stage == Stage::Asked {
                client.deadline = None;
                self.asked.push_back(Asked::Overdue(client.id));
            } else {
                self.close(poller, index);
            }
        }
    }

    /// The answer comes later, at `until` at the latest.
    pub(crate) fn hold(&mut self, id: ClientId, until: Time) {
        if let Some(client) = self.clients.iter_mut().flatten().find(|client| client.id == id) {
            client.deadline = Some(until);
        }
    }

    /// Sends the answer. A connection that has gone away is not missed.
    pub(crate) fn answer(&mut self, poller: &mut dyn Poller, now: Time, id: ClientId, answer: &Answer) {
        let Some(index) = self.clients.iter().position(|c| c.as_ref().is_some_and(|c| c.id == id)) else {
            return;
        };
        let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) else { return };
        // Bytes that are no request leave no place where the next one begins.
        let last = answer.id.is_none();
        client.output = framed(answer);
        client.sent = 0;
        client.stage = Stage::Answering { last };
        client.deadline = Some(now + MESSAGE);
        self.flush(poller, index, now);
    }

    /// Removes the socket and ends all connections; what their buffers take of an answer is sent.
    pub(crate) fn shut(&mut self, poller: &mut dyn Poller) {
        for index in 0..self.clients.len() {
            self.close(poller, index);
        }
        if self.paused.is_none() {
            poller.remove(self.listener.number());
        }
        self.listener.close();
        self.asked.clear();
    }

    fn accept(&mut self, context: &mut ControlContext<'_>) {
        for _ in 0..ACCEPTED {
            match self.listener.accept(&self.registry) {
                Ok(Some(socket)) => self.admit(context, socket),
                Ok(None) => return,
                Err(_) => {
                    // Level-triggered: a connection that cannot be taken would wake us for ever.
                    context.poller.remove(self.listener.number());
                    self.paused = Some(context.now + PAUSE);
                    return;
                }
            }
        }
    }

    fn admit(&mut self, context: &mut ControlContext<'_>, socket: Socket) {
        let refusal = match users::peer(socket.number()) {
            Ok(Peer { uid, .. }) if uid == 0 || uid == users::own() || self.users.contains(&uid) => None,
            Ok(Peer { uid, .. }) => Some(Error::new(
                ErrorCode::Refused,
                format!(
                    "user {uid} may not give commands to this instance: its control_users does not name it"
                ),
            )),
            Err(e) => Some(Error::new(ErrorCode::Io, format!("the kernel does not say who calls: {e}"))),
        };
        let slot = if refusal.is_none() { self.free_slot(context.poller) } else { None };
        let Some(index) = slot else {
            let reason = match &refusal {
                Some(_) => {
                    self.strangers += 1;
                    Reason::Stranger
                }
                None => {
                    self.crowded += 1;
                    Reason::Crowded
                }
            };
            let refusal = refusal.unwrap_or_else(|| {
                Error::new(ErrorCode::Busy, format!("{CLIENTS} others are at the control socket; try again"))
            });
            let message = format!("a caller at the control socket was sent away: {}", refusal.message());
            self.notices.push_back(Notice { node: None, reason, severity: Severity::Warning, message });
            // A fresh connection takes a short answer at once.
            let _ = socket.send(&framed(&Answer { id: None, outcome: Err(refusal) }));
            socket.shut();
            return;
        };
        self.connections = self.connections.wrapping_add(1);
        let token = (u64::from(self.connections) << 32) | (u64::from(FIRST_TOKEN) + 1 + index as u64);
        if context.poller.add(socket.number(), token, false).is_err() {
            return;
        }
        if let Some(place) = self.clients.get_mut(index) {
            *place = Some(Client {
                id: ClientId(token),
                socket,
                reader: FrameReader::new(LARGEST_REQUEST),
                stage: Stage::Reading,
                output: Vec::new(),
                sent: 0,
                deadline: Some(context.now + MESSAGE),
                idle_since: None,
            });
        }
    }

    /// A free slot, or that of the connection which has been idle for longest.
    fn free_slot(&mut self, poller: &mut dyn Poller) -> Option<usize> {
        if let Some(free) = self.clients.iter().position(Option::is_none) {
            return Some(free);
        }
        let idle = |index: usize, client: &Option<Client>| Some((client.as_ref()?.idle_since?, index));
        let (_, index) = self.clients.iter().enumerate().filter_map(|(i, client)| idle(i, client)).min()?;
        self.close(poller, index);
        Some(index)
    }

    fn read(&mut self, context: &mut ControlContext<'_>, index: usize) {
        let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) else { return };
        let received = client.socket.receive(context.buffer);
        let bytes = match received {
            Received::Nothing => return,
            Received::Bytes(count) => context.buffer.get(..count).unwrap_or_default(),
            Received::End | Received::Broken(_) => return self.close(context.poller, index),
        };
        if client.stage != Stage::Reading {
            // It does not wait for its answer, so it does not want it.
            return self.close(context.poller, index);
        }
        if client.idle_since.take().is_some() {
            client.deadline = Some(context.now + MESSAGE);
        }
        let request = match client.reader.take(bytes) {
            Ok(None) => return,
            Ok(Some(_)) if !client.reader.is_empty() => Err((
                None,
                Error::new(ErrorCode::Invalid, "a second request came before the answer to the first"),
            )),
            Ok(Some(document)) => Request::decode(&document),
            Err(error) => Err((None, error)),
        };
        client.stage = Stage::Asked;
        client.deadline = None;
        self.asked.push_back(Asked::Request(client.id, request));
    }

    /// Sends what the kernel takes.
    fn flush(&mut self, poller: &mut dyn Poller, index: usize, now: Time) {
        let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) else { return };
        let Stage::Answering { last } = client.stage else { return };
        let rest = client.output.get(client.sent..).unwrap_or_default();
        let Ok(sent) = client.socket.send(rest) else { return self.close(poller, index) };
        client.sent += sent;
        let complete = client.sent >= client.output.len();
        if poller.change(client.socket.number(), client.id.0, !complete).is_err() || (complete && last) {
            return self.close(poller, index);
        }
        if complete {
            client.output = Vec::new();
            client.stage = Stage::Reading;
            client.deadline = Some(now + IDLE);
            client.idle_since = Some(now);
        }
    }

    fn close(&mut self, poller: &mut dyn Poller, index: usize) {
        if let Some(client) = self.clients.get_mut(index).and_then(Option::take) {
            poller.remove(client.socket.number());
            // A forked child may hold the connection too; the peer is to see its end nevertheless.
            client.socket.shut();
            self.asked.retain(|asked| match asked {
                Asked::Request(id, _) | Asked::Overdue(id) => *id != client.id,
            });
        }
    }
}

fn slot_of(token: u64) -> Option<usize> {
    let slot = (token as u32).checked_sub(FIRST_TOKEN)? as usize;
    (slot <= CLIENTS).then_some(slot)
}

/// The bytes of an answer; one that is too long becomes an error that says so.
fn framed(answer: &Answer) -> Vec<u8> {
    frame(&answer.encode(), LARGEST_ANSWER)
        .or_else(|error| frame(&Answer { id: answer.id, outcome: Err(error) }.encode(), LARGEST_ANSWER))
        .unwrap_or_default()
}
