//! Hosts and a network, in virtual time.

use super::super::message::{self, Head};
use super::super::*;
use crate::engine::time::{Duration, Time};
use crate::wire::Secret;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

pub const KEY: &str = "a key of sixteen";

/// Random numbers of a seed (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

pub fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub fn keys(current: &str, previous: Option<&str>) -> Keys {
    Keys::new(Secret::new(current), previous.map(Secret::new)).expect("keys")
}

pub fn name(host: usize) -> String {
    format!("rt{}", host + 1)
}

/// The even hosts have IPv4 addresses, the odd ones IPv6.
pub fn address(host: usize) -> SocketAddr {
    let text = if host % 2 == 0 {
        format!("10.0.0.{}:5405", host + 1)
    } else {
        format!("[fd00::{}]:5405", host + 1)
    };
    text.parse().expect("an address")
}

pub fn settings(host: usize, hosts: usize) -> Settings {
    let peers = (0..hosts).filter(|peer| *peer != host);
    Settings {
        name: name(host),
        peers: peers.map(|peer| PeerAddress { name: name(peer), address: address(peer) }).collect(),
        interval: ms(500),
    }
}

/// A state with so many addresses.
pub fn state(vips: usize, role: Role, epoch: u64) -> OwnState {
    let health = |verdict, words: &str| Health { verdict, words: words.to_string() };
    let vip = VipState {
        local: health(Verdict::Ok, "the router answers"),
        backend: health(Verdict::Fail, "nobody takes writes"),
        role,
        eligible: true,
        score: 100,
        owner: Some("rt1".to_string()),
        epoch,
    };
    OwnState {
        agent: "0.1.0".to_string(),
        standby: false,
        vips: (0..vips).map(|number| (format!("vip{number:03}"), vip.clone())).collect(),
    }
}

/// What went over the wire.
#[derive(Clone)]
pub struct Sent {
    pub from: usize,
    pub to: usize,
    pub bytes: Vec<u8>,
    pub lost: bool,
}

pub struct World {
    pub now: Time,
    pub channels: Vec<Channel>,
    pub news: Vec<(usize, PeerInput)>,
    pub sent: Vec<Sent>,
    /// From whom to whom nothing goes.
    pub cut: BTreeSet<(usize, usize)>,
    /// Hosts that do not run.
    pub down: BTreeSet<usize>,
    /// Of a hundred: lost, doubled.
    pub loss: u64,
    pub twice: u64,
    /// The longest delay in milliseconds.
    pub delay: u64,
    pub random: Random,
    flying: BTreeMap<(Time, u64), (usize, usize, Vec<u8>)>,
    number: u64,
}

impl World {
    pub fn new(hosts: usize, seed: u64) -> World {
        let mut world = World {
            now: Time::from_millis(1_000),
            channels: Vec::new(),
            news: Vec::new(),
            sent: Vec::new(),
            cut: BTreeSet::new(),
            down: BTreeSet::new(),
            loss: 0,
            twice: 0,
            delay: 1,
            random: Random(seed),
            flying: BTreeMap::new(),
            number: 0,
        };
        for host in 0..hosts {
            let channel = world.start(host, hosts, keys(KEY, None), Registers::default());
            world.channels.push(channel);
        }
        world
    }

    /// Three hosts that know each other.
    pub fn settled() -> World {
        let mut world = World::new(3, 1);
        world.run(ms(2_000));
        world.sent.clear();
        world.news.clear();
        world
    }

    pub fn start(&mut self, host: usize, hosts: usize, keys: Keys, registers: Registers) -> Channel {
        let seed = core::array::from_fn(|_| self.random.below(256) as u8);
        let mut channel =
            Channel::new(self.now, settings(host, hosts), keys, registers, seed).expect("a channel");
        channel.set_state(self.now, state(2, Role::Backup, 1)).expect("a state");
        channel
    }

    /// A new life with the orders of the old one.
    pub fn restart(&mut self, host: usize) {
        let registers = self.channels[host].registers().clone();
        self.channels[host] = self.start(host, self.channels.len(), keys(KEY, None), registers);
    }

    pub fn host_at(&self, at: SocketAddr) -> usize {
        (0..self.channels.len())
            .find(|host| address(*host) == at)
            .expect("only configured addresses are spoken to")
    }

    fn drain(&mut self) {
        for from in 0..self.channels.len() {
            while let Some((to, bytes)) = self.channels[from].poll_transmit() {
                assert!(bytes.len() <= LARGEST, "{} bytes", bytes.len());
                let to = self.host_at(to);
                let gone = self.down.contains(&from) || self.cut.contains(&(from, to));
                let lost = gone || self.random.below(100) < self.loss;
                self.sent.push(Sent { from, to, bytes: bytes.clone(), lost });
                let copies = 1 + usize::from(self.random.below(100) < self.twice);
                for _ in 0..if lost { 0 } else { copies } {
                    let at = self.now + ms(self.random.below(self.delay + 1));
                    self.number += 1;
                    self.flying.insert((at, self.number), (from, to, bytes.clone()));
                }
            }
        }
    }

    /// Lets so much time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.drain();
            let timers = self.channels.iter().enumerate().filter(|(host, _)| !self.down.contains(host));
            let timer = timers.map(|(_, channel)| channel.poll_timeout()).min().unwrap_or(Time::NEVER);
            let arrival = self.flying.keys().next().map_or(Time::NEVER, |key| key.0);
            let next = timer.min(arrival);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (from, to, bytes) = entry.remove();
                if !self.down.contains(&to) {
                    self.deliver(from, to, &bytes);
                }
            }
            for host in (0..self.channels.len()).filter(|host| !self.down.contains(host)).collect::<Vec<_>>()
            {
                if self.channels[host].poll_timeout() <= self.now {
                    let news = self.channels[host].handle_timer(self.now);
                    self.news.extend(news.into_iter().map(|news| (host, news)));
                    assert!(self.channels[host].poll_timeout() > self.now, "the timer stands still");
                }
            }
        }
    }

    /// Hands a datagram to `to`, as from the address of `from`: what the host says of it.
    pub fn deliver(&mut self, from: usize, to: usize, bytes: &[u8]) -> Vec<PeerInput> {
        let news = self.channels[to].handle_datagram(self.now, address(from), bytes);
        self.news.extend(news.iter().map(|news| (to, news.clone())));
        news
    }

    /// How often `to` refused something from `from` for that reason.
    pub fn rejects(&self, to: usize, from: usize, reject: Reject) -> u64 {
        self.channels[to].rejects(&name(from)).expect("a peer").of(reject)
    }

    /// How much `to` refused of `from`.
    pub fn refused(&self, to: usize, from: usize) -> u64 {
        self.channels[to].rejects(&name(from)).expect("a peer").total()
    }

    /// Everything that matters of what a host knows, without ages and counts.
    pub fn known(&self, host: usize) -> String {
        let view = self.channels[host].view(self.now);
        let hosts: Vec<_> =
            view.hosts.iter().map(|h| (&h.name, h.known, &h.agent, h.standby, h.stands_by)).collect();
        let vips: Vec<_> = view
            .vips
            .iter()
            .flat_map(|vip| {
                vip.hosts.iter().map(move |s| (&vip.name, &vip.wanted, &s.host, s.role, s.epoch, &s.local))
            })
            .collect();
        format!("{hosts:?} {vips:?} {:?}", self.channels[host].registers())
    }

    /// Whether every host knows of every other what that one says, and all have the same orders.
    pub fn agrees(&self) -> bool {
        let all = 0..self.channels.len();
        all.clone().all(|host| {
            all.clone().filter(|peer| *peer != host).all(|peer| {
                let (own, other) = (&self.channels[host], &self.channels[peer]);
                let Some(said) = own.said(&name(peer)) else { return false };
                let vips: BTreeMap<_, _> =
                    said.vips.iter().map(|(n, (vip, _))| (n.clone(), vip.clone())).collect();
                vips == other.state().vips
                    && said.agent == other.state().agent
                    && own.registers() == other.registers()
            })
        })
    }

    pub fn told(&self, host: usize, what: impl Fn(&PeerInput) -> bool) -> usize {
        self.news.iter().filter(|(at, news)| *at == host && what(news)).count()
    }
}

/// The kind of a datagram.
pub fn kind(bytes: &[u8]) -> u8 {
    bytes[5]
}

/// The same datagram with another body, sealed with that key: what only a member of the tier can do.
pub fn forged(bytes: &[u8], key: &str, change: impl FnOnce(&mut Head<'_>), body: &[u8]) -> Vec<u8> {
    let packet = message::decode(bytes).expect("a datagram");
    let mut head = packet.head;
    change(&mut head);
    let mut out = message::encode(&head, body, 1);
    keys(key, None).seal(&mut out);
    out
}
