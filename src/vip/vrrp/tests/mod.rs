//! Packets, rows, and several routers in virtual time.

mod codec;
mod network;
mod rows;

use super::machine::{Send, Setup, VirtualRouter};
use super::table::{Action, View};
use super::*;
use crate::engine::time::{Duration, Time};
use crate::policy::safe::table::Rule;
use crate::vip::ownership::{Leaving, Output, Ownership, Score};
use std::net::IpAddr;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// 10.0.0.2, priority 100, 1 s.
fn setup() -> Setup {
    Setup {
        version: Version::V3,
        vrid: 7,
        interval: MS(1000),
        addresses: vec![ip("10.0.0.101")],
        source: ip("10.0.0.2"),
        peers: Vec::new(),
        checksum_v4: ChecksumV4::Compat,
        password: None,
        stickiness: 0,
        preempt_delay: Duration::ZERO,
        address_owner: false,
    }
}

/// One router, its clock, and what it put out.
struct Rig {
    router: VirtualRouter,
    setup: Setup,
    now: Time,
    log: Vec<String>,
}

impl Rig {
    fn new(table: &'static [Rule<View, Action>], change: impl FnOnce(&mut Setup)) -> Rig {
        let mut setup = setup();
        change(&mut setup);
        let router = VirtualRouter::with_table(setup.clone(), table).expect("a router");
        Rig { router, setup, now: Time::from_millis(1_000_000), log: Vec::new() }
    }

    fn drain(&mut self) {
        while let Some(output) = self.router.poll() {
            let at = self.now.since(Time::from_millis(1_000_000)).as_millis();
            let words = match output {
                Output::Do(send) => {
                    let advert = decoded(&send);
                    format!("advert {} every {:?} to {}", advert.priority, advert.interval, send.destination)
                }
                Output::Own { .. } => "own".into(),
                Output::Lose { .. } => "lose".into(),
                Output::Announce { .. } => "announce".into(),
                Output::Notice(_) => "notice".into(),
                Output::Valid { .. } => panic!("VRRP knows no validity"),
            };
            self.log.push(format!("{at} {words}"));
        }
    }

    /// Lets time pass, with every timer on time.
    fn pass(&mut self, ms: u64) {
        let end = self.now + MS(ms);
        while self.router.poll_timeout() <= end {
            self.now = self.now.max(self.router.poll_timeout());
            self.router.handle_timer(self.now);
            self.drain();
            if self.router.poll_timeout() <= self.now {
                // A timer that nobody answers: only without its row.
                self.log.push("stuck".into());
                break;
            }
        }
        self.now = end;
    }

    /// Lets time pass with nobody looking.
    fn stall(&mut self, ms: u64) {
        self.now = self.now + MS(ms);
    }

    fn timer(&mut self) {
        self.router.handle_timer(self.now);
        self.drain();
    }

    fn hear_from(&mut self, source: &str, change: impl FnOnce(&mut Advert)) {
        let mut advert = Advert {
            version: self.setup.version,
            vrid: 7,
            priority: 100,
            interval: self.setup.interval,
            addresses: self.setup.addresses.clone(),
            password: self.setup.password,
        };
        change(&mut advert);
        let (source, to) =
            (ip(source), self.setup.peers.first().map_or(ip("224.0.0.18"), |_| self.setup.source));
        let bytes = advert.encode(source, to, ChecksumV4::Compat).expect("an advert");
        let packet = Packet { family: Family::V4, source, destination: to, hops: 255, bytes: &bytes };
        self.router.packet(self.now, &packet);
        self.drain();
    }

    fn hear(&mut self, priority: u8) {
        self.hear_from("10.0.0.3", |a| a.priority = priority);
    }

    fn wish(&mut self, score: u8) {
        self.router.wish(self.now, Score(score));
        self.drain();
    }

    fn leave(&mut self, leaving: Leaving) {
        self.router.leave(self.now, leaving);
        self.drain();
    }

    fn released(&mut self) {
        self.router.released(self.now);
        self.drain();
    }

    fn claim(&mut self) {
        self.router.claim(self.now);
        self.drain();
    }

    /// Active with this score, by silence of all others; the log begins anew.
    fn active(mut self, score: u8) -> Rig {
        self.wish(score);
        self.pass(4000);
        self.log.clear();
        if !self.router.owns() {
            self.log.push("never Active".into());
        }
        self
    }

    /// The log since the last call.
    fn said(&mut self) -> Vec<String> {
        core::mem::take(&mut self.log)
    }
}

fn decoded(send: &Send) -> Advert {
    let family = Family::of(send.source);
    let (source, destination) = (send.source, send.destination);
    Advert::decode(&Packet { family, source, destination, hops: 255, bytes: &send.bytes })
        .expect("our own packet")
        .0
}
