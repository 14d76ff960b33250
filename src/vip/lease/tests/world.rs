//! Hosts, their kernels, a network and an etcd, in virtual time.

use crate::config::vip::NoQuorum;
use crate::engine::time::{Duration, Time};
use crate::vip::lease::etcd::failure;
use crate::vip::lease::{Answer, Ask, Holder, Lease, Request, Settings, Trouble};
use crate::vip::ownership::{Leaving, Output, Ownership, Score};
use std::collections::{BTreeMap, BTreeSet};

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1000 * MS;

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The store: leases that end by its own clock, which is the world's.
#[derive(Default)]
pub struct Store {
    leases: BTreeMap<i64, (u64, u64)>,
    pub key: Option<Holder>,
    pub revision: u64,
    last: i64,
    pub down: bool,
}

impl Store {
    fn answer(&mut self, now: u64, request: &Request) -> Answer {
        let held = |key: &Option<Holder>| key.clone().map_or(Answer::Free, Answer::Held);
        match request {
            Request::Grant { seconds } => {
                self.last += 1;
                self.leases.insert(self.last, (now + seconds * SECOND, seconds * SECOND));
                Answer::Granted { lease: self.last, ttl: Duration::from_secs(*seconds) }
            }
            Request::KeepAlive { lease } => match self.leases.get_mut(lease) {
                Some((until, ttl)) if now < *until => {
                    *until = now + *ttl;
                    Answer::Alive { ttl: Duration::from_nanos(*ttl) }
                }
                _ => Answer::NoLease,
            },
            Request::Revoke { lease } => {
                self.end(*lease);
                Answer::NoLease
            }
            Request::Remaining { lease } => self.leases.get(lease).map_or(Answer::NoLease, |(until, _)| {
                Answer::Left { time: Duration::from_secs(until.saturating_sub(now) / SECOND) }
            }),
            Request::Look { .. } => held(&self.key),
            Request::Claim { value, lease, .. } if self.key.is_none() => self.put(value, *lease),
            Request::TakeOver { value, lease, revision, .. }
                if self.key.as_ref().is_some_and(|k| k.revision == *revision) =>
            {
                self.put(value, *lease)
            }
            Request::Claim { .. } | Request::TakeOver { .. } => held(&self.key),
        }
    }

    fn put(&mut self, value: &str, lease: i64) -> Answer {
        // One that has run out and was not swept up yet still takes a key.
        if !self.leases.contains_key(&lease) {
            return Answer::NoLease;
        }
        self.revision += 1;
        self.key = Some(Holder { value: value.to_owned(), lease, revision: self.revision });
        Answer::Claimed { revision: self.revision }
    }

    pub fn end(&mut self, lease: i64) {
        self.leases.remove(&lease);
        if self.key.as_ref().is_some_and(|key| key.lease == lease) {
            self.key = None;
            self.revision += 1;
        }
    }

    /// Twice a second the store ends what has run out.
    fn sweep(&mut self, now: u64) {
        let over: Vec<i64> = self.leases.iter().filter(|(_, l)| l.0 <= now).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|lease| self.end(lease));
    }

    /// A new leader gives every lease its whole time again.
    pub fn extend(&mut self, now: u64) {
        self.leases.values_mut().for_each(|(until, ttl)| *until = now + *ttl);
    }
}

pub struct Host {
    pub name: String,
    pub machine: Option<Lease>,
    life: u64,
    /// Parts in a million by which its clock runs fast.
    pub ppm: i64,
    /// Until when its process does nothing.
    pub stalled: u64,
    /// The address is in the kernel, until then (the world's time).
    pub address: Option<u64>,
    pub fence: bool,
    valid: Option<Time>,
    pub score: u8,
    /// The network is cut.
    pub cut: bool,
}

impl Host {
    pub fn local(&self, now: u64) -> Time {
        let shift = (i128::from(now) * i128::from(self.ppm) / 1_000_000) as i64;
        Time((now + 1000 * SECOND).saturating_add_signed(shift))
    }

    /// The world's time at which this host's clock will have come to `at`.
    fn world(&self, at: Time) -> u64 {
        if at == Time::NEVER {
            return u64::MAX;
        }
        let local = i128::from(at.0) - i128::from(1000 * SECOND);
        let world = local * 1_000_000 / (1_000_000 + i128::from(self.ppm));
        u64::try_from(world.max(0)).unwrap_or(u64::MAX).saturating_add(1)
    }

    pub fn owns(&self) -> bool {
        self.machine.as_ref().is_some_and(Lease::owns)
    }
}

#[derive(Debug)]
enum Event {
    /// A question reaches the store.
    Ask { host: usize, life: u64, ask: Ask },
    /// An answer reaches its host.
    Answer { host: usize, life: u64, job: u64, answer: Answer },
    /// The address is off, as the machine wanted.
    Released { host: usize, life: u64 },
    /// The heir is told.
    Heir { host: usize },
}

pub struct World {
    pub now: u64,
    pub random: Random,
    pub store: Store,
    pub hosts: Vec<Host>,
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
    answered: BTreeSet<(usize, u64, u64)>,
    swept: u64,
    pub ttl: u64,
    /// Percent of the packets that are lost, and the longest delay of the others.
    pub loss: u64,
    pub delay: u64,
    pub no_quorum: NoQuorum,
    pub heir: Option<usize>,
    /// Somebody meddles with the store, or its absence is ignored: then nothing is claimed about one owner.
    pub two_allowed: bool,
    /// How often each row was the last one.
    pub fired: BTreeMap<u16, u64>,
    pub log: Vec<String>,
    /// Since when nobody has the address.
    pub nobody_since: Option<u64>,
    pub last_epoch: u64,
}

impl World {
    pub fn new(seed: u64, hosts: usize, ttl: u64, no_quorum: NoQuorum) -> World {
        let mut world = World {
            now: SECOND,
            random: Random(seed),
            store: Store::default(),
            hosts: Vec::new(),
            events: BTreeMap::new(),
            count: 0,
            answered: BTreeSet::new(),
            swept: 0,
            ttl,
            loss: 0,
            delay: 3 * MS,
            no_quorum,
            heir: None,
            two_allowed: false,
            fired: BTreeMap::new(),
            log: Vec::new(),
            nobody_since: Some(0),
            last_epoch: 0,
        };
        for index in 0..hosts {
            // Half of a percent either way.
            let ppm = world.random.below(10_000) as i64 - 5000;
            world.hosts.push(Host {
                name: format!("rt{}", index + 1),
                machine: None,
                life: 0,
                ppm,
                stalled: 0,
                address: None,
                fence: true,
                valid: None,
                score: 0,
                cut: false,
            });
            world.start(index, 100 + index as u8);
        }
        world
    }

    fn settings(&self, host: usize, life: u64) -> Settings {
        let name = self.hosts[host].name.clone();
        Settings {
            key: "/primacy/vip/web".into(),
            place: format!("place of {name}"),
            host: name,
            life: life.to_string(),
            ttl: Duration::from_secs(self.ttl),
            margin: Duration::from_millis(100),
            no_quorum: self.no_quorum,
        }
    }

    pub fn start(&mut self, host: usize, score: u8) {
        self.count += 1;
        let life = self.count;
        let settings = self.settings(host, life);
        let it = &mut self.hosts[host];
        it.life = life;
        it.machine = Some(Lease::new(settings));
        // Marks of a crash are removed.
        it.address = None;
        it.valid = None;
        it.score = score;
        self.tell(host, |machine, now| machine.wish(now, Score(score)));
    }

    /// Its process ends; with `whole` the host does, and its address.
    pub fn crash(&mut self, host: usize, whole: bool) {
        let it = &mut self.hosts[host];
        it.machine = None;
        it.stalled = 0;
        if whole {
            it.address = None;
        }
    }

    pub fn wish(&mut self, host: usize, score: u8) {
        self.hosts[host].score = score;
        self.tell(host, |machine, now| machine.wish(now, Score(score)));
    }

    pub fn leave(&mut self, host: usize, heir: Option<usize>) {
        self.heir = heir;
        let leaving = if heir.is_some() { Leaving::ToHeir } else { Leaving::ToAnyone };
        self.tell(host, |machine, now| machine.leave(now, leaving));
    }

    /// Calls a machine, unless it is dead; a stalled one is called when it goes on (by its timer).
    fn tell(&mut self, host: usize, call: impl FnOnce(&mut Lease, Time)) {
        let it = &mut self.hosts[host];
        if self.now < it.stalled {
            return;
        }
        let now = it.local(self.now);
        if let Some(machine) = &mut it.machine {
            call(machine, now);
        }
        self.drain(host);
    }

    fn drain(&mut self, host: usize) {
        loop {
            let now = self.now;
            let it = &mut self.hosts[host];
            let Some(machine) = &mut it.machine else { return };
            let Some(output) = machine.poll() else { break };
            let rule = match &output {
                Output::Own { rule, .. } | Output::Lose { rule, .. } => *rule,
                Output::Notice(notice) => notice.rule,
                _ => machine.rule(),
            };
            *self.fired.entry(rule).or_default() += 1;
            if !matches!(output, Output::Do(_) | Output::Valid { .. }) {
                self.log.push(format!("{} {}: {output:?}", now / MS, it.name));
            }
            match output {
                Output::Own { epoch, .. } => {
                    let epoch = epoch.expect("a lease has a number");
                    assert!(epoch > self.last_epoch, "the term went from {} to {epoch}", self.last_epoch);
                    self.last_epoch = epoch;
                    it.address = Some(u64::MAX);
                    it.valid = None;
                }
                Output::Valid { until } => {
                    it.valid = Some(until);
                    // One that the kernel removed in the last fraction of a second comes back with the renewal.
                    if it.address.is_none() && it.owns() {
                        it.address = Some(u64::MAX);
                    }
                }
                Output::Lose { .. } => {
                    let after = self.random.below(20) * MS;
                    let life = self.hosts[host].life;
                    self.at(now + after, Event::Released { host, life });
                }
                Output::Do(ask) => {
                    let life = self.hosts[host].life;
                    let (sent, job) = (now, ask.job);
                    let timeout = ask.timeout.as_nanos() as u64;
                    if let Some(after) = self.way(host) {
                        self.at(sent + after, Event::Ask { host, life, ask });
                    }
                    let answer = failure(Trouble::Unreachable, "no answer in time");
                    self.at(sent + timeout, Event::Answer { host, life, job, answer });
                }
                Output::Announce { .. } | Output::Notice(_) => {}
            }
        }
        let it = &mut self.hosts[host];
        if let (Some(_), Some(valid), true) = (it.address, it.valid, it.fence) {
            // The driver gave the kernel whole seconds; the kernel may be a quarter late.
            let now = it.local(self.now);
            let whole = valid.since(now).as_secs();
            it.address = Some(it.world(now + Duration::from_secs(whole)) + self.random.below(100) * MS);
        }
    }

    fn way(&mut self, host: usize) -> Option<u64> {
        let lost = self.hosts[host].cut || self.random.chance(self.loss);
        let long = self.random.chance(2);
        let delay = if long { self.delay * 20 } else { self.delay };
        (!lost).then(|| MS / 2 + self.random.below(delay))
    }

    fn at(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    /// What happens next, and when.
    fn next(&self) -> u64 {
        let mut at = self.events.keys().next().map_or(u64::MAX, |(at, _)| *at);
        at = at.min(self.swept + SECOND / 2);
        for host in &self.hosts {
            if let Some(machine) = &host.machine {
                at = at.min(host.world(machine.poll_timeout()).max(host.stalled).max(self.now));
            }
            at = at.min(host.address.unwrap_or(u64::MAX));
        }
        at.max(self.now)
    }

    /// Goes on for so long. An error: two hosts have the address.
    pub fn run(&mut self, nanos: u64) -> Result<(), String> {
        let until = self.now + nanos;
        let mut here = 0;
        loop {
            let next = self.next();
            if next > until {
                self.now = until;
                return Ok(());
            }
            here = if next == self.now { here + 1 } else { 0 };
            assert!(here < 1000, "time stands still at {} ms: {:?}", self.now / MS, self.log.last());
            self.now = next;
            self.turn();
            let owners: Vec<&str> =
                self.hosts.iter().filter(|h| h.address.is_some()).map(|h| h.name.as_str()).collect();
            match owners.len() {
                0 => self.nobody_since = self.nobody_since.or(Some(self.now)),
                1 => self.nobody_since = None,
                _ if self.two_allowed => self.nobody_since = None,
                _ => return Err(format!("{} ms: the address is on {}", self.now / MS, owners.join(" and "))),
            }
        }
    }

    fn turn(&mut self) {
        let now = self.now;
        for host in &mut self.hosts {
            if host.address.is_some_and(|until| until <= now) {
                host.address = None;
                self.log.push(format!("{} {}: the kernel removes the address", now / MS, host.name));
            }
        }
        if now >= self.swept + SECOND / 2 {
            self.swept = now;
            if !self.store.down {
                self.store.sweep(now);
            }
        }
        if let Some(entry) = self.events.first_entry()
            && entry.key().0 <= now
        {
            let event = entry.remove();
            self.happen(event);
            return;
        }
        for host in 0..self.hosts.len() {
            let it = &self.hosts[host];
            let due = it.machine.as_ref().is_some_and(|m| it.world(m.poll_timeout()) <= now);
            if due && now >= it.stalled {
                self.tell(host, |machine, now| machine.handle_timer(now));
            }
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Ask { host, life, ask } => {
                if self.store.down {
                    return;
                }
                let answer = self.store.answer(now, &ask.request);
                if let Some(after) = self.way(host) {
                    self.at(now + after, Event::Answer { host, life, job: ask.job, answer });
                }
            }
            Event::Answer { host, life, job, answer } => {
                let it = &self.hosts[host];
                if it.life != life || !self.answered.insert((host, life, job)) {
                    return;
                }
                if now < it.stalled {
                    let at = it.stalled;
                    self.answered.remove(&(host, life, job));
                    self.at(at, Event::Answer { host, life, job, answer });
                    return;
                }
                self.tell(host, |machine, now| machine.handle_answer(now, job, answer));
            }
            Event::Released { host, life } => {
                let it = &mut self.hosts[host];
                if it.life != life || it.machine.is_none() {
                    return;
                }
                if now < it.stalled {
                    let at = it.stalled;
                    self.at(at, Event::Released { host, life });
                    return;
                }
                it.address = None;
                it.valid = None;
                self.tell(host, |machine, now| machine.released(now));
                if let Some(heir) = self.heir.take() {
                    self.at(now + MS, Event::Heir { host: heir });
                }
            }
            Event::Heir { host } => self.tell(host, |machine, now| machine.claim(now)),
        }
    }
}
