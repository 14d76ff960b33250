//! The machine of the peer channel: datagrams and time in, datagrams and news out.
//!
//! - Each host sends its state to each peer in every interval, and at once when it changes. Who has not heard from a peer says hello instead.
//! - A datagram with a good seal that is not new to its session is answered by a hello with the challenge that it should have echoed: at
//!   most one in [`ANSWER_PACE`] to a peer, to its configured address alone, and never longer than the question.
//! - Orders go to a peer for as long as its state says that it knows others than we do. So nothing has to be acknowledged.
//! - What is urgent goes out three times ([`COPIES`]), for a datagram may be lost. The copies differ in their counters, and
//!   the second that arrives changes nothing.

use super::message::{
    self, HAND_OVER, HELLO, HandOverBody, Head, MOST_VIPS, ORDERS, OwnState, STATE, VipState, clean, is_name,
};
use super::news::PeerInput;
use super::pages;
use super::registers::{Order, Registers};
use super::reject::Rejects;
use super::seal::{Keys, Which, code};
use super::session::{Challenge, Life, Session};
use super::settings::{PeerAddress, Settings};
use super::trouble::Troubles;
use crate::engine::time::{Duration, Time};
use crate::wire::Secret;
use core::fmt;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

/// A peer is unknown after so many intervals of silence.
pub const SILENT_INTERVALS: u32 = 3;
/// When the copies of what is urgent go out.
pub const COPIES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(60)];
/// At most one hello to a peer answers what came from it in each such time.
pub const ANSWER_PACE: Duration = Duration::from_millis(100);
/// Changes that come faster than this go out together.
pub const CHANGE_PACE: Duration = Duration::from_millis(20);
/// A challenge is renewed after so many intervals, but not within a second.
const CHALLENGE_INTERVALS: u32 = 4;
/// The most datagrams that wait for the socket; nobody comes near who sends what is polled.
const LONGEST_OUTBOX: usize = 4096;

/// What a peer said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The version of its agent.
    pub agent: String,
    /// Whether it says that it stands by.
    pub standby: bool,
    /// Its addresses by name, with the time at which it said so.
    pub vips: BTreeMap<String, (VipState, Time)>,
    pub(super) revision: u64,
    pub(super) interval: Duration,
    pub(super) digest: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Urgent {
    HandOver(HandOverBody),
    State,
}

pub(super) struct Peer {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) session: Session,
    pub(super) heard: Option<Time>,
    pub(super) known: bool,
    pub(super) said: Option<Said>,
    pub(super) key: Option<Which>,
    pub(super) due: Time,
    pub(super) stated: Option<Time>,
    pub(super) answered: Option<Time>,
    pub(super) urgent: Vec<(Time, Urgent)>,
    pub(super) taken: u64,
    pub(super) rejects: Rejects,
    pub(super) troubles: Troubles,
}

/// The channel of one host.
pub struct Channel {
    pub(super) name: String,
    pub(super) interval: Duration,
    pub(super) keys: Keys,
    pub(super) seed: Secret,
    pub(super) drawn: u64,
    /// All datagrams of this life.
    pub(super) sent: u64,
    pub(super) life: Life,
    pub(super) peers: Vec<Peer>,
    pub(super) state: OwnState,
    pub(super) revision: u64,
    pub(super) bodies: Vec<Vec<u8>>,
    pub(super) orders: Vec<Vec<u8>>,
    pub(super) registers: Registers,
    pub(super) acted: BTreeMap<String, VecDeque<u64>>,
    pub(super) strangers: u64,
    pub(super) outbox: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peers: Vec<&str> = self.peers.iter().map(|peer| peer.name.as_str()).collect();
        write!(f, "Channel of {} with {}", self.name, peers.join(", "))
    }
}

impl Channel {
    /// A channel that begins to say hello at `now`. `registers` are the orders that were kept from an earlier start; `seed` is fresh
    /// randomness, from which this life's name and its challenges are made, and which nobody else may know.
    ///
    /// # Errors
    /// As [`Settings::check`].
    pub fn new(
        now: Time,
        settings: Settings,
        keys: Keys,
        registers: Registers,
        seed: [u8; 32],
    ) -> Result<Channel, String> {
        settings.check()?;
        let mut channel = Channel {
            name: settings.name.clone(),
            interval: settings.interval,
            keys,
            seed: Secret::new(seed),
            drawn: 0,
            sent: 0,
            life: Life([0; 16]),
            peers: Vec::new(),
            state: OwnState::default(),
            revision: 0,
            bodies: Vec::new(),
            orders: Vec::new(),
            registers,
            acted: BTreeMap::new(),
            strangers: 0,
            outbox: VecDeque::new(),
        };
        channel.life = Life(channel.draw().0);
        channel.renew_bodies();
        channel.set_peers(now, settings)?;
        Ok(channel)
    }

    /// Takes new peers and a new interval. Sessions with peers whose name and address stay go on. The name of this host stays.
    ///
    /// # Errors
    /// As [`Settings::check`]; then all stays as it was.
    pub fn set_peers(&mut self, now: Time, settings: Settings) -> Result<(), String> {
        settings.check()?;
        if settings.name != self.name {
            return Err(format!("the host is called {}; another name wants a restart", self.name));
        }
        let mut old = core::mem::take(&mut self.peers);
        for PeerAddress { name, address } in settings.peers {
            let peer = match old.iter().position(|peer| peer.name == name && peer.address == address) {
                Some(at) => old.swap_remove(at),
                None => Peer {
                    session: Session::new(now, self.draw(), self.sent),
                    name,
                    address,
                    heard: None,
                    known: false,
                    said: None,
                    key: None,
                    due: now,
                    stated: None,
                    answered: None,
                    urgent: Vec::new(),
                    taken: 0,
                    rejects: Rejects::default(),
                    troubles: Troubles::default(),
                },
            };
            self.peers.push(peer);
        }
        self.peers.sort_by(|a, b| a.name.cmp(&b.name));
        self.interval = settings.interval;
        self.renew_bodies();
        Ok(())
    }

    /// Takes new keys. Sessions go on.
    pub fn set_keys(&mut self, keys: Keys) {
        self.keys = keys;
    }

    /// What this host says of itself from now on; goes out at once if it differs.
    ///
    /// # Errors
    /// A sentence that names the address, if one cannot be called so or names an owner that cannot be one, or if they are more than
    /// [`MOST_VIPS`]; then the state stays as it was.
    pub fn set_state(&mut self, now: Time, state: OwnState) -> Result<(), String> {
        let mut vips = BTreeMap::new();
        for (name, vip) in &state.vips {
            match vip.cleaned() {
                Some(vip) if is_name(name) => vips.insert(name.clone(), vip),
                _ => {
                    return Err(format!(
                        "address `{name}`, or its owner, has a name that no message can carry"
                    ));
                }
            };
        }
        if vips.len() > MOST_VIPS {
            return Err(format!("{} addresses, {MOST_VIPS} are allowed", vips.len()));
        }
        let state = OwnState { agent: clean(&state.agent), standby: state.standby, vips };
        if state != self.state {
            self.state = state;
            self.revision += 1;
            self.renew_bodies();
            self.state_soon(now);
        }
        Ok(())
    }

    /// Takes an operator's order, and tells the others at once.
    ///
    /// # Errors
    /// A sentence, if the order names a host that is not of this tier, or as [`Registers::order`].
    pub fn order(&mut self, now: Time, order: &Order) -> Result<(), String> {
        let host = match order {
            Order::Standby { host, .. } | Order::ClearFailures { host, .. } => Some(host),
            Order::Want { host, .. } => host.as_ref(),
        };
        if let Some(host) = host
            && *host != self.name
            && !self.peers.iter().any(|peer| peer.name == *host)
        {
            let hosts: Vec<&str> = self.hosts().into_iter().collect();
            return Err(format!("no host of this tier is called {host}; its hosts are {}", hosts.join(", ")));
        }
        let name = self.name.clone();
        self.registers.order(&name, order)?;
        self.renew_bodies();
        for at in 0..self.peers.len() {
            self.urgent(now, at, &Urgent::State);
        }
        Ok(())
    }

    /// Names the heir of an address that is off this host now; `epoch` is the number of the ownership that ended. Whether the heir was
    /// heard lately: else nobody may come, and the ordinary way of leaving must be taken.
    pub fn hand_over(&mut self, now: Time, vip: &str, heir: &str, epoch: u64) -> bool {
        let Some(at) = self.peers.iter().position(|peer| peer.name == heir) else { return false };
        if !is_name(vip) || !self.peers.get(at).is_some_and(|peer| peer.known) {
            return false;
        }
        let body = HandOverBody { vip: vip.to_string(), heir: heir.to_string(), epoch };
        self.urgent(now, at, &Urgent::HandOver(body));
        true
    }

    /// Sends what is due. Call it at [`Channel::poll_timeout`], after what was received before was handed in.
    pub fn handle_timer(&mut self, now: Time) -> Vec<PeerInput> {
        let mut news = Vec::new();
        for at in 0..self.peers.len() {
            let Some(peer) = self.peers.get_mut(at) else { continue };
            if let (true, Some(heard)) = (peer.known, peer.heard)
                && now.since(heard) >= silence(self.interval, peer)
            {
                peer.known = false;
                news.push(PeerInput::Lost { peer: peer.name.clone(), silent: now.since(heard) });
            }
            let (due, later) =
                core::mem::take(&mut peer.urgent).into_iter().partition(|(time, _)| *time <= now);
            peer.urgent = later;
            let periodic = peer.due <= now;
            let due: Vec<(Time, Urgent)> = due;
            let mut stated = false;
            for (_, urgent) in due {
                match urgent {
                    Urgent::HandOver(body) => self.send_hand_over(at, &body),
                    Urgent::State => {
                        stated = true;
                        self.send_state(now, at);
                    }
                }
            }
            if periodic && !stated {
                self.send_state(now, at);
            }
        }
        news
    }

    /// When to call [`Channel::handle_timer`].
    pub fn poll_timeout(&self) -> Time {
        let of = |peer: &Peer| {
            let silent = match (peer.known, peer.heard) {
                (true, Some(heard)) => heard + silence(self.interval, peer),
                _ => Time::NEVER,
            };
            peer.urgent.iter().map(|(time, _)| *time).chain([peer.due, silent]).min()
        };
        self.peers.iter().filter_map(of).min().unwrap_or(Time::NEVER)
    }

    /// The next datagram to send, and where to.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.outbox.pop_front()
    }

    /// The orders of operators.
    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    /// What this host says of itself, as the others read it.
    pub fn state(&self) -> &OwnState {
        &self.state
    }

    /// The peers, by name.
    pub fn peers(&self) -> impl Iterator<Item = &str> {
        self.peers.iter().map(|peer| peer.name.as_str())
    }

    /// The peer at an address.
    pub fn peer_at(&self, address: SocketAddr) -> Option<&str> {
        self.peers.iter().find(|peer| peer.address == address).map(|peer| peer.name.as_str())
    }

    /// What a peer said last, if it was heard lately.
    pub fn said(&self, peer: &str) -> Option<&Said> {
        self.peers.iter().find(|p| p.name == peer && p.known)?.said.as_ref()
    }

    /// How many datagrams came from addresses of no peer.
    pub fn strangers(&self) -> u64 {
        self.strangers
    }

    /// Why datagrams of a peer were not taken, and how often.
    pub fn rejects(&self, peer: &str) -> Option<Rejects> {
        self.peers.iter().find(|p| p.name == peer).map(|p| p.rejects)
    }

    fn hosts(&self) -> BTreeSet<&str> {
        self.peers.iter().map(|peer| peer.name.as_str()).chain([self.name.as_str()]).collect()
    }

    /// Numbers that nobody can guess who does not know the seed.
    pub(super) fn draw(&mut self) -> Challenge {
        self.drawn += 1;
        let code = code(&self.seed, &self.drawn.to_be_bytes());
        Challenge(core::array::from_fn(|i| code.get(i).copied().unwrap_or(0)))
    }

    /// Makes the bodies anew that all peers get alike.
    pub(super) fn renew_bodies(&mut self) {
        self.bodies = pages::state(&pages::Front {
            revision: self.revision,
            interval_ms: milliseconds(self.interval),
            digest: self.registers.digest(),
            state: &self.state,
        });
        self.orders = pages::orders(self.registers.lines());
    }

    pub(super) fn state_soon(&mut self, now: Time) {
        for at in 0..self.peers.len() {
            self.soon(now, at);
        }
    }

    /// Sends the state now, or as soon as the pace allows.
    pub(super) fn soon(&mut self, now: Time, at: usize) {
        let Some(peer) = self.peers.get_mut(at) else { return };
        let free = peer.stated.map_or(now, |stated| stated + CHANGE_PACE);
        if free <= now {
            self.send_state(now, at);
        } else {
            peer.due = peer.due.min(free);
        }
    }

    fn urgent(&mut self, now: Time, at: usize, what: &Urgent) {
        let Some(peer) = self.peers.get_mut(at) else { return };
        // The later copies of an older one are covered by these.
        peer.urgent.retain(|(_, other)| match (other, what) {
            (Urgent::State, Urgent::State) => false,
            (Urgent::HandOver(a), Urgent::HandOver(b)) => a.vip != b.vip,
            _ => true,
        });
        peer.urgent.extend(COPIES.iter().skip(1).map(|after| (now + *after, what.clone())));
        match what {
            Urgent::HandOver(body) => self.send_hand_over(at, body),
            Urgent::State => self.send_state(now, at),
        }
    }

    fn send_hand_over(&mut self, at: usize, body: &HandOverBody) {
        self.send(at, HAND_OVER, &pages::json(body));
    }

    /// The state, with the orders if the peer has others; or a hello, if it was not heard yet.
    pub(super) fn send_state(&mut self, now: Time, at: usize) {
        let span = (self.interval * CHALLENGE_INTERVALS).max(Duration::from_secs(1));
        let interval = self.interval;
        let Some(peer) = self.peers.get_mut(at) else { return };
        peer.due = now + interval;
        peer.stated = Some(now);
        let heard = peer.session.life().is_some();
        let apart = peer.said.as_ref().is_none_or(|said| said.digest != self.registers.digest());
        if heard && peer.session.is_stale(now, span) {
            let challenge = self.draw();
            if let Some(peer) = self.peers.get_mut(at) {
                peer.session.renew(now, challenge);
            }
        }
        if !heard {
            self.send(at, HELLO, &[]);
            return;
        }
        let bodies = core::mem::take(&mut self.bodies);
        bodies.iter().for_each(|body| self.send(at, STATE, body));
        self.bodies = bodies;
        if apart {
            let orders = core::mem::take(&mut self.orders);
            orders.iter().for_each(|body| self.send(at, ORDERS, body));
            self.orders = orders;
        }
    }

    /// One datagram with all our seals.
    fn send(&mut self, at: usize, kind: u8, body: &[u8]) {
        let Some(peer) = self.peers.get_mut(at) else { return };
        self.sent += 1;
        let counter = peer.session.count();
        let head = Head {
            kind,
            life: self.life,
            counter,
            challenge: peer.session.ours(),
            echo: peer.session.theirs(),
            from: &self.name,
            to: &peer.name,
        };
        let mut bytes = message::encode(&head, body, self.keys.count());
        self.keys.seal(&mut bytes);
        let address = peer.address;
        self.transmit(address, bytes);
    }

    /// Says the challenge that should have been echoed, and echoes the one of the question, which is kept nowhere: it may be an old one.
    pub(super) fn answer(&mut self, now: Time, at: usize, key: Which, theirs: Challenge, question: usize) {
        let Some(peer) = self.peers.get_mut(at) else { return };
        if peer.answered.is_some_and(|last| now.since(last) < ANSWER_PACE) {
            return;
        }
        self.sent += 1;
        let counter = peer.session.count();
        let head = Head {
            kind: HELLO,
            life: self.life,
            counter,
            challenge: peer.session.ours(),
            echo: theirs,
            from: &self.name,
            to: &peer.name,
        };
        // One seal: the question may have had no more.
        let mut bytes = message::encode(&head, &[], 1);
        self.keys.seal_with(key, &mut bytes);
        if bytes.len() <= question {
            peer.answered = Some(now);
            let address = peer.address;
            self.transmit(address, bytes);
        }
    }

    fn transmit(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        if self.outbox.len() >= LONGEST_OUTBOX {
            self.outbox.pop_front();
        }
        self.outbox.push_back((to, bytes));
    }
}

/// For how long a peer may be silent: by the slower of both.
fn silence(interval: Duration, peer: &Peer) -> Duration {
    peer.said.as_ref().map_or(interval, |said| said.interval.max(interval)) * SILENT_INTERVALS
}

pub(super) fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
