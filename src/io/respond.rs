//! The thread that answers load balancers: listening sockets and their connections around the machines of `respond`.
//!
//! A thread of its own, not the driver's loop: whoever may connect could otherwise take turns from probing, and who asks is
//! to be told that the engine stands still when it does. What it may use is bounded: connections, bytes and seconds of
//! each, and the time that answers of any size may take (the desk's matter).

mod listener;

use super::clock;
use super::descriptor::Registry;
use super::poller::{Epoll, Poller, Ready, Waiter};
use super::socket::{Received, Socket};
use super::thread;
use super::wake::Wake;
use crate::engine::Time;
use crate::respond::{HEAD_MAX, Protocol, Question, Response, Session};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) use listener::Listener;

/// Connections at once; the next one takes the place of an idle one, or is closed.
pub(crate) const CONNECTIONS: usize = 256;
/// Connections taken from one listener in a turn.
const ACCEPTED: usize = 32;
/// How long no connections are taken while the system has no descriptors.
const SHORTAGE: Duration = Duration::from_millis(100);
/// How often the desk looks after itself.
const TICK: Duration = Duration::from_millis(250);
const STACK: usize = 512 * 1024;

/// Who knows the answers.
pub(crate) trait Desk: Send + 'static {
    /// Called every 250 ms.
    fn tick(&mut self, now: Time);
    /// Answers a request.
    fn page(&mut self, now: Time, request: crate::respond::Request) -> Response;
    /// Answers an agent-check; `None` closes without a word.
    fn line(&mut self, now: Time, line: String) -> Option<String>;
    /// A connection was closed because all places are taken.
    fn crowded(&mut self, now: Time);
}

/// What is to be listened at from now on, and who answers.
pub(crate) struct Order<D> {
    pub(crate) listeners: Vec<(Protocol, Arc<Listener>)>,
    /// `None`: the one before.
    pub(crate) desk: Option<D>,
}

/// The thread, as those who started it see it.
#[derive(Debug)]
pub(crate) struct Server<D> {
    orders: Sender<Option<Order<D>>>,
    wake: Arc<Wake>,
    thread: Option<JoinHandle<()>>,
}

impl<D: Desk> Server<D> {
    /// Starts it.
    pub(crate) fn start(desk: D, listeners: Vec<(Protocol, Arc<Listener>)>) -> io::Result<Server<D>> {
        let registry = Registry::new(0);
        let wake = Arc::new(Wake::new(&registry)?);
        let epoll = Epoll::for_thread(&registry, Arc::clone(&wake))?;
        let (orders, inbox) = unbounded();
        let waiter = epoll.waiter();
        let room = Room {
            desk,
            epoll,
            registry,
            listeners: BTreeMap::new(),
            clients: BTreeMap::new(),
            next: 0,
            short_until: None,
        };
        let flag = Arc::clone(&wake);
        let thread =
            thread::spawn("primacy-respond", STACK, move || room.run(waiter, &inbox, &flag, listeners))?;
        Ok(Server { orders, wake, thread: Some(thread) })
    }

    /// Gives an order; it is carried out at once, in another thread.
    pub(crate) fn order(&self, order: Order<D>) {
        // It fails only if the thread has ended, which `is_running` tells.
        let _ = self.orders.send(Some(order));
        self.wake.raise();
    }

    /// Whether the thread lives.
    pub(crate) fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl<D> Drop for Server<D> {
    fn drop(&mut self) {
        let _ = self.orders.send(None);
        self.wake.raise();
        if let Some(thread) = self.thread.take() {
            // It ends with its turn. That it broke was told by `is_running`.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Client {
    socket: Socket,
    session: Session,
    /// What is watched: input, output.
    watched: (bool, bool),
}

struct Room<D> {
    desk: D,
    epoll: Epoll,
    registry: Arc<Registry>,
    listeners: BTreeMap<u64, (Protocol, Arc<Listener>)>,
    clients: BTreeMap<u64, Client>,
    next: u64,
    short_until: Option<Time>,
}

impl<D: Desk> Room<D> {
    fn run(
        mut self,
        mut waiter: Waiter,
        orders: &Receiver<Option<Order<D>>>,
        wake: &Wake,
        listeners: Vec<(Protocol, Arc<Listener>)>,
    ) {
        self.listen(listeners);
        let mut events: Vec<Ready> = Vec::new();
        let mut tick = clock::mono();
        loop {
            wake.lower();
            while let Ok(order) = orders.try_recv() {
                let Some(order) = order else { return };
                if let Some(desk) = order.desk {
                    self.desk = desk;
                }
                self.listen(order.listeners);
            }
            let now = clock::mono();
            if now >= tick {
                self.desk.tick(now);
                tick = now + TICK;
            }
            for ready in events.drain(..) {
                self.ready(clock::mono(), ready);
            }
            let now = clock::mono();
            self.expire(now);
            let next = self.clients.values().map(|client| client.session.poll_timeout()).min();
            let until = next.into_iter().chain(self.short_until).fold(tick, Time::min);
            if waiter.wait(&mut events, Some(until)).is_err() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Listens where it is told and nowhere else. Connections that are up stay.
    fn listen(&mut self, listeners: Vec<(Protocol, Arc<Listener>)>) {
        for (_, listener) in self.listeners.values() {
            self.epoll.remove(listener.number());
        }
        self.listeners.clear();
        for (protocol, listener) in listeners {
            let token = self.token();
            // A listener that cannot be watched would be one that nobody answers at.
            if self.epoll.watch(listener.number(), token, (true, false), true).is_ok() {
                self.listeners.insert(token, (protocol, listener));
            }
        }
    }

    fn token(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn ready(&mut self, now: Time, ready: Ready) {
        if self.listeners.contains_key(&ready.token) {
            self.accept(now, ready.token);
        } else if let Some(mut client) = self.clients.remove(&ready.token) {
            if self.serve(now, &mut client, ready.readable) && self.watch(ready.token, &mut client, false) {
                self.clients.insert(ready.token, client);
            } else {
                self.epoll.remove(client.socket.number());
            }
        }
    }

    fn accept(&mut self, now: Time, token: u64) {
        for _ in 0..ACCEPTED {
            let Some((protocol, listener)) = self.listeners.get(&token) else { return };
            let (protocol, listener) = (*protocol, Arc::clone(listener));
            match listener.accept(&self.registry) {
                Ok(Some(socket)) => self.welcome(now, protocol, socket),
                Ok(None) => return,
                Err(_) => {
                    // No descriptors or no memory: the listener would be ready for ever.
                    self.short_until = Some(now + SHORTAGE);
                    self.mute(true);
                    return;
                }
            }
        }
    }

    fn mute(&mut self, mute: bool) {
        for (token, (_, listener)) in &self.listeners {
            // Fails only for a descriptor that is not watched.
            let _ = self.epoll.watch(listener.number(), *token, (!mute, false), false);
        }
    }

    fn welcome(&mut self, now: Time, protocol: Protocol, socket: Socket) {
        if self.clients.len() >= CONNECTIONS {
            let idle = self.clients.iter().filter(|(_, client)| client.session.is_idle());
            match idle.min_by_key(|(_, client)| client.session.poll_timeout()).map(|(token, _)| *token) {
                Some(token) => self.close(token),
                None => {
                    self.desk.crowded(now);
                    return;
                }
            }
        }
        let token = self.token();
        let mut client = Client { socket, session: Session::new(protocol, now), watched: (false, false) };
        if self.serve(now, &mut client, true) && self.watch(token, &mut client, true) {
            self.clients.insert(token, client);
        }
    }

    fn close(&mut self, token: u64) {
        if let Some(client) = self.clients.remove(&token) {
            self.epoll.remove(client.socket.number());
        }
    }

    /// Watches what the session waits for. `false` if that cannot be.
    fn watch(&mut self, token: u64, client: &mut Client, first: bool) -> bool {
        let wanted = (client.session.room() > 0, !client.session.poll_transmit().is_empty());
        if !first && wanted == client.watched {
            return true;
        }
        client.watched = wanted;
        self.epoll.watch(client.socket.number(), token, wanted, first).is_ok()
    }

    /// Reads once, answers what was asked, writes what the peer takes. `false` if it is over.
    fn serve(&mut self, now: Time, client: &mut Client, readable: bool) -> bool {
        let Client { socket, session, .. } = client;
        if readable {
            let mut buffer = [0u8; HEAD_MAX];
            let room = session.room();
            match socket.receive(&mut buffer[..room.clamp(1, HEAD_MAX)]) {
                // Told although it is not watched: both sides have ended.
                Received::Bytes(_) if room == 0 => return false,
                Received::Bytes(count) => {
                    session.handle_bytes(now, buffer.get(..count).unwrap_or_default());
                }
                Received::Nothing => {}
                Received::End => session.handle_end(),
                Received::Broken(_) => return false,
            }
        }
        loop {
            if let Some(question) = session.poll_question(now) {
                match question {
                    Question::Http(request) => session.answer(now, self.desk.page(now, request)),
                    Question::Agent(line) => session.answer_line(now, self.desk.line(now, line)),
                }
            }
            let rest = session.poll_transmit();
            if rest.is_empty() {
                break;
            }
            match socket.send(rest) {
                Ok(0) => break,
                Ok(count) => session.handle_sent(now, count),
                Err(_) => return false,
            }
            if session.is_ending() {
                socket.finish_sending();
            }
        }
        !session.is_over()
    }

    fn expire(&mut self, now: Time) {
        if self.short_until.is_some_and(|until| until <= now) {
            self.short_until = None;
            self.mute(false);
        }
        let due: Vec<u64> = self
            .clients
            .iter()
            .filter(|(_, client)| client.session.poll_timeout() <= now)
            .map(|(token, _)| *token)
            .collect();
        for token in due {
            let Some(mut client) = self.clients.remove(&token) else { continue };
            client.session.handle_timeout(now);
            if self.serve(now, &mut client, false) && self.watch(token, &mut client, false) {
                self.clients.insert(token, client);
            } else {
                self.epoll.remove(client.socket.number());
            }
        }
    }
}
