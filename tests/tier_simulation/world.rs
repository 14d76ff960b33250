//! The world of one schedule: hosts, a network, an etcd, clients, in virtual time.

mod acts;
mod kernel;

use crate::host::{Host, In, Kernel, tier, vip_name};
use crate::judge::Judge;
use crate::plan::{Act, Fault, MS, Plan, SECOND};
use crate::random::Random;
use crate::store::{Store, failed};
use primacy::engine::time::Time;
use primacy::vip::hooks::{HookEnd, HookKind};
use primacy::vip::lease::{Ask, Trouble};
use primacy::vip::machine::Stage;
use primacy::vip::step::{self, Step};
use primacy::vip::tier::{Effect, Input};
use primacy::vip::vrrp::{Family, Packet};
use primacy::vip::who::Who;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

/// How often each row fired, by number.
pub type Fired = [u64; 100];

pub struct World {
    pub plan: Plan,
    pub now: u64,
    pub r: Random,
    pub hosts: Vec<Host>,
    pub store: Store,
    pub judge: Judge,
    pub fired: Fired,
    pub log: Option<Vec<String>>,
    /// From each to each: hosts, etcd, clients.
    pub cut: Vec<Vec<bool>>,
    pub loss: u64,
    delay: u64,
    duplicate: u64,
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    sequence: u64,
    lives: u64,
    /// An agent that was stopped takes what piled up.
    resuming: bool,
    pub count: u64,
}

enum Event {
    In { host: usize, life: u64, input: In },
    Ask { host: usize, life: u64, vip: usize, ask: Ask, sent: u64 },
    HookOver { host: usize, life: u64, vip: usize, job: Option<u64>, end: HookEnd },
    Claimed { vip: usize, by: usize, to: usize },
    Timer { host: usize, generation: u64 },
    KernelEnd { host: usize, vip: usize, generation: u64 },
    Resume { host: usize, life: u64 },
    Act(Act),
    Sweep,
}

impl World {
    pub fn new(plan: Plan, verbose: bool) -> World {
        let mut r = Random(plan.seed.wrapping_mul(0x9e37_79b9).wrapping_add(17));
        let hosts: Vec<Host> = (0..plan.hosts).map(|index| Host::new(&plan, index, &mut r)).collect();
        let count = plan.hosts + 2;
        let mut world = World {
            now: SECOND,
            r,
            hosts,
            store: Store::default(),
            judge: Judge::new(&plan),
            fired: [0; 100],
            log: verbose.then(Vec::new),
            cut: vec![vec![false; count]; count],
            loss: 0,
            delay: plan.delay,
            duplicate: 0,
            heap: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            lives: 0,
            resuming: false,
            count: 0,
            plan,
        };
        world.store.frozen_revision = world.plan.fault == Fault::SameEpoch;
        world.store.generous = world.plan.fault == Fault::TwoHolders;
        for index in 0..world.plan.hosts {
            world.start(index);
        }
        for (at, act) in world.plan.acts.clone() {
            world.at(SECOND + at, Event::Act(act));
        }
        world.at(SECOND + world.plan.calm_at, Event::Act(Act::Heal));
        if world.plan.lease {
            world.at(world.now + SECOND / 2, Event::Sweep);
        }
        world
    }

    pub fn note(&mut self, words: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{:>6}.{:03} {}", self.now / MS, self.now % MS / 1000, words()));
        }
    }

    pub fn count_row(&mut self, rule: u16) {
        if let Some(count) = self.fired.get_mut(usize::from(rule.wrapping_sub(700))) {
            *count += 1;
        }
    }

    fn at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.events[slot] = Some(event);
                slot
            }
            None => {
                self.events.push(Some(event));
                self.events.len() - 1
            }
        };
        self.heap.push(Reverse((at, self.sequence, slot)));
    }

    /// Runs the schedule; what the judge objects to.
    pub fn run(&mut self) -> Result<(), String> {
        let end = SECOND + self.plan.end;
        while let Some(Reverse((at, _, slot))) = self.heap.pop() {
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            self.count += 1;
            let event = self.events[slot].take();
            self.free.push(slot);
            if let Some(event) = event {
                self.happen(event);
            }
            self.judge_now();
            if let Some(objection) = self.judge.objection.take() {
                return Err(objection);
            }
        }
        self.now = end;
        self.judge_end();
        for host in 0..self.hosts.len() {
            self.count_machines(host);
        }
        self.judge.objection.take().map_or(Ok(()), Err)
    }

    pub fn etcd(&self) -> usize {
        self.plan.hosts
    }

    /// Packets take longer than usual.
    pub fn slow(&self) -> bool {
        self.delay > self.plan.delay
    }

    pub fn clients(&self) -> usize {
        self.plan.hosts + 1
    }

    pub fn reaches(&self, from: usize, to: usize) -> bool {
        let link = |index: usize| self.hosts.get(index).is_none_or(|host| host.link);
        !self.cut[from][to] && link(from) && link(to)
    }

    /// When what is sent now arrives, if it does.
    fn way(&mut self, from: usize, to: usize) -> Option<u64> {
        if !self.reaches(from, to) || (self.loss > 0 && self.r.chance(self.loss)) {
            return None;
        }
        Some(self.now + 50_000 + self.r.below(self.delay))
    }

    fn send(&mut self, from: usize, to: usize, input: In) {
        let life = self.hosts[to].life;
        if self.duplicate > 0 && self.r.chance(self.duplicate) {
            if let Some(at) = self.way(from, to) {
                self.at(at, Event::In { host: to, life, input: input.clone() });
            }
        }
        if let Some(at) = self.way(from, to) {
            self.at(at, Event::In { host: to, life, input });
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::In { host, life, input } => {
                // Packets and datagrams reach whoever is there, all else only whom it was meant for.
                let any = matches!(input, In::Packet { .. } | In::Datagram { .. } | In::Rival { .. });
                if any || self.hosts[host].life == life {
                    self.deliver(host, input);
                }
            }
            Event::Ask { host, life, vip, ask, sent } => {
                let answer = self.store.answer(self.now, &ask.request);
                let Some(mut answer) = answer else { return };
                if let Some(mut at) = self.way(self.etcd(), host) {
                    if host == 0 && matches!(self.plan.fault, Fault::FromAnswer | Fault::SlowAnswers) {
                        at += 1180 * MS;
                    }
                    if self.plan.fault == Fault::FromAnswer
                        && let primacy::vip::lease::Answer::Alive { ttl } = &mut answer
                    {
                        *ttl += core::time::Duration::from_nanos(at - sent);
                    }
                    let input = In::Answered { vip, job: ask.job, answer };
                    self.at(at, Event::In { host, life, input });
                }
            }
            Event::HookOver { host, life, vip, job, end } => {
                if self.hosts[host].life != life {
                    return;
                }
                if let Some(job) = job {
                    let running = &mut self.hosts[host].running;
                    let before = running.len();
                    running.retain(|r| (r.vip, r.job) != (vip, job));
                    if running.len() == before {
                        return;
                    }
                }
                self.judge.disturbed(self.now);
                if job.is_none() && end.is_good() && self.r.chance(70) {
                    self.hosts[host].good = true;
                    self.deliver(host, In::Local(true));
                }
                self.deliver(host, In::HookEnded { vip, job, end });
            }
            Event::Claimed { vip, by, to } => {
                if to == self.clients() {
                    self.judge.believe(self.now, vip, by);
                } else if self.hosts[to].link {
                    self.deliver(to, In::Rival { vip });
                }
            }
            Event::Timer { host, generation } => {
                let it = &self.hosts[host];
                if it.timer == generation && it.runs(self.now) {
                    self.handle(host, None);
                }
            }
            Event::KernelEnd { host, vip, generation } => {
                let kernel = &mut self.hosts[host].kernel[vip];
                if kernel.generation == generation && kernel.until.is_some_and(|until| until <= self.now) {
                    kernel.until = None;
                    self.note(|| format!("rt{}: the kernel removes {}", host + 1, vip_name(vip)));
                    self.deliver(host, In::Vanished { vip });
                }
            }
            Event::Resume { host, life } => self.resume(host, life),
            Event::Act(act) => {
                self.note(|| format!("*** {act:?}"));
                self.judge.disturbed(self.now);
                self.act(act);
            }
            Event::Sweep => {
                self.store.sweep(self.now);
                self.at(self.now + SECOND / 2, Event::Sweep);
            }
        }
    }

    /// What piled up while the agent was stopped: by socket, the timer last.
    fn resume(&mut self, host: usize, life: u64) {
        let it = &mut self.hosts[host];
        if it.life != life || it.tier.is_none() || it.stalled > self.now {
            return;
        }
        it.stalled = 0;
        it.pause.1 = self.now;
        let mut inbox = core::mem::take(&mut it.inbox);
        self.judge.rough(self.now);
        self.note(|| format!("rt{} goes on, {} wait", host + 1, inbox.len()));
        if self.plan.fault == Fault::TimerFirst {
            self.handle(host, None);
        }
        if self.r.chance(50) {
            let salt = self.r.next();
            let kind = |input: &In| match input {
                In::Packet { .. } => salt & 3,
                In::Datagram { .. } => salt >> 2 & 3,
                In::Answered { .. } => salt >> 4 & 3,
                In::HookEnded { .. } => salt >> 6 & 3,
                _ => salt >> 8 & 3,
            };
            inbox.sort_by_key(kind);
        }
        self.resuming = true;
        for input in inbox {
            self.deliver(host, input);
        }
        self.resuming = false;
        if self.hosts[host].runs(self.now) {
            self.handle(host, None);
        }
    }

    fn deliver(&mut self, host: usize, input: In) {
        let it = &mut self.hosts[host];
        if it.tier.is_none() {
            return;
        }
        if it.stalled > self.now {
            it.inbox.push(input);
            return;
        }
        self.handle(host, Some(input));
    }

    /// Hands an input to the tier, a timer for `None`, and does what it asks for.
    fn handle(&mut self, host: usize, input: Option<In>) {
        // One that was stopped does with the first input what was due long before.
        let backend = matches!(input, Some(In::Backend(_))) && !self.resuming;
        let timer = input.is_none();
        let clock = self.hosts[host].clock(self.now);
        let Some(mut tier) = self.hosts[host].tier.take() else { return };
        let all = 0..self.plan.vips;
        match input {
            None => tier.handle(clock, Input::Timer),
            Some(In::Packet { vip, family, source, destination, bytes }) => {
                let packet = Packet { family, source, destination, hops: 255, bytes: &bytes };
                tier.handle(clock, Input::Packet { vip, packet });
            }
            Some(In::Datagram { from, bytes }) => tier.handle(clock, Input::Datagram { from, bytes: &bytes }),
            Some(In::Answered { vip, job, answer }) => {
                tier.handle(clock, Input::Answered { vip, job, answer })
            }
            Some(In::HookEnded { vip, job, end }) => tier.handle(clock, Input::HookEnded { vip, job, end }),
            Some(In::Rival { vip }) => {
                tier.handle(clock, Input::Rival { vip, who: "02:00:00:00:00:01".into() })
            }
            Some(In::Vanished { vip }) => {
                tier.handle(clock, Input::Vanished { vip, what: "10.0.0.101/16".into() })
            }
            Some(In::Link(usable)) => {
                all.for_each(|vip| tier.handle(clock, Input::Link { vip, usable, words: "carrier".into() }));
            }
            Some(In::Local(good)) => all.for_each(|vip| {
                tier.handle(clock, Input::Local { vip, good: Some(good), words: "probe".into() });
            }),
            Some(In::Backend(good)) => all.for_each(|vip| match self.plan.fault {
                Fault::BackendCounts => {
                    tier.handle(clock, Input::Local { vip, good: Some(good), words: "probe".into() });
                }
                _ => tier.handle(clock, Input::Backend { vip, good: Some(good), words: "probe".into() }),
            }),
            Some(In::EngineFailed) => tier.handle(clock, Input::EngineFailed),
            Some(In::Stop) => tier.handle(clock, Input::Stop),
        }
        self.hosts[host].tier = Some(tier);
        self.drain(host, backend);
        self.look(host);
        self.plan_timer(host, timer);
    }

    fn start(&mut self, host: usize) {
        if self.hosts[host].tier.is_some() {
            return;
        }
        self.lives += 1;
        let lives = self.lives;
        let it = &mut self.hosts[host];
        it.life = lives;
        it.boot = it.boot.max(1);
        it.stalled = 0;
        it.inbox.clear();
        it.running.clear();
        it.steps_fail = None;
        it.kill_at = None;
        it.ended = false;
        it.highest.fill(0);
        // Crash marks: what an earlier life left is cleaned up.
        for kernel in &mut it.kernel {
            *kernel = Kernel { generation: kernel.generation + 1, ..Kernel::default() };
        }
        let mut tier = tier(&self.plan, &self.hosts[host], host, self.now);
        let (clock, it) = (self.hosts[host].clock(self.now), &self.hosts[host]);
        for vip in 0..self.plan.vips {
            tier.handle(clock, Input::Link { vip, usable: it.link, words: "carrier".into() });
            tier.handle(clock, Input::Local { vip, good: Some(it.good), words: "probe".into() });
        }
        tier.handle(clock, Input::Start);
        self.hosts[host].tier = Some(tier);
        self.judge.rough(self.now);
        self.drain(host, false);
        self.look(host);
        self.plan_timer(host, false);
    }

    /// Notes what the agent's machines have become.
    fn look(&mut self, host: usize) {
        let Some(tier) = &self.hosts[host].tier else { return };
        let mut seen = Vec::new();
        for (vip, who) in tier.vips() {
            let lease = if let Who::Lease(lease) = who { lease.rule() } else { 0 };
            seen.push((vip.score().1, vip.place(), lease, vip.epoch().1));
        }
        for (at, (score, place, lease, highest)) in seen.into_iter().enumerate() {
            let before = self.hosts[host].counted[at];
            if before.0 != score {
                self.count_row(score);
                self.judge.disturbed(self.now);
                self.note(|| format!("rt{} {}: score row {score}", host + 1, vip_name(at)));
            }
            if before.1 != place {
                self.count_row(place);
                self.note(|| format!("rt{} {}: place row {place}", host + 1, vip_name(at)));
            }
            if before.2 != lease && lease != 0 {
                self.count_row(lease);
                self.note(|| format!("rt{} {}: lease row {lease}", host + 1, vip_name(at)));
            }
            self.hosts[host].counted[at] = (score, place, lease);
            let known = &mut self.hosts[host].highest[at];
            if highest < *known {
                self.judge.object(self.now, format!("rt{} forgets epoch {known} for {highest}", host + 1));
            } else {
                *known = highest;
            }
        }
    }

    fn plan_timer(&mut self, host: usize, after_timer: bool) {
        let it = &self.hosts[host];
        let Some(tier) = &it.tier else { return };
        let due = tier.poll_timeout();
        if due == Time::NEVER {
            return;
        }
        let at = it.world(due).max(self.now);
        let it = &mut self.hosts[host];
        it.timer += 1;
        let generation = it.timer;
        it.spins = if after_timer && at <= self.now { it.spins + 1 } else { 0 };
        if it.spins > 2 {
            let it = &self.hosts[host];
            let (clock, mut parts) = (it.clock(self.now).mono, Vec::new());
            for (vip, who) in it.tier.iter().flat_map(|tier| tier.vips()) {
                parts.push((vip.poll_timeout(), primacy::vip::ownership::Ownership::poll_timeout(who)));
            }
            let words = format!(
                "rt{} names a time in the past again and again: {due} at {clock}: {parts:?}",
                host + 1
            );
            self.judge.object(self.now, words);
        }
        self.at(at, Event::Timer { host, generation });
    }

    /// The rows of virtual routers that were counted by themselves.
    fn count_machines(&mut self, host: usize) {
        let mut rows = Vec::new();
        if let Some(tier) = &self.hosts[host].tier {
            for (_, who) in tier.vips() {
                if let Who::Vrrp(group) = who {
                    rows.extend(group.routers().flat_map(|r| r.fired().clone()));
                }
            }
        }
        for (rule, times) in rows {
            if let Some(count) = self.fired.get_mut(usize::from(rule - 700)) {
                *count += times;
            }
        }
    }

    /// The agent dies.
    fn kill(&mut self, host: usize) {
        self.count_machines(host);
        let held = (0..self.plan.vips).any(|vip| self.hosts[host].kernel[vip].until.is_some());
        if held {
            self.judge.excuse(self.now, self.now + self.plan.double_bound());
        }
        self.hosts[host].tier = None;
        self.hosts[host].running.clear();
        self.judge.rough(self.now);
    }

    /// Does what the agent asks for.
    fn drain(&mut self, host: usize, backend: bool) {
        for round in 0.. {
            let Some(effect) = self.hosts[host].tier.as_mut().and_then(|tier| tier.poll_effect()) else {
                return;
            };
            if round > 5000 {
                self.judge.object(self.now, format!("rt{}: effects without an end", host + 1));
                return;
            }
            match effect {
                Effect::Step { vip, step } => {
                    if backend && !matches!(step, Step::Refresh { .. } | Step::Announce | Step::Remove) {
                        self.judge.object(self.now, format!("rt{}: {step} because of the backend", host + 1));
                    }
                    if self.hosts[host].kill_at.is_some() && !matches!(step, Step::Ask | Step::Announce) {
                        let left = self.hosts[host].kill_at.take().unwrap_or(0);
                        if left == 0 {
                            self.note(|| format!("rt{} dies before {step}", host + 1));
                            self.kill(host);
                            return;
                        }
                        self.hosts[host].kill_at = Some(left - 1);
                    }
                    if let Some(outcome) = self.step(host, vip, step) {
                        let clock = self.hosts[host].clock(self.now);
                        if let Some(tier) = &mut self.hosts[host].tier {
                            tier.handle(clock, Input::Stepped { vip, step, outcome });
                        }
                    }
                }
                Effect::Advert { vip, send } => {
                    let bytes: Rc<[u8]> = send.bytes.into();
                    let (source, destination) = (send.source, send.destination);
                    let family = Family::of(source);
                    for to in (0..self.plan.hosts).filter(|to| *to != host) {
                        let bytes = bytes.clone();
                        self.send(host, to, In::Packet { vip, family, source, destination, bytes });
                    }
                }
                Effect::Ask { vip, ask } => {
                    let life = self.hosts[host].life;
                    let answer = failed(Trouble::Unreachable, "no answer in time");
                    let given_up = self.now + self.hosts[host].span(ask.timeout.as_nanos() as u64);
                    let input = In::Answered { vip, job: ask.job, answer };
                    self.at(given_up, Event::In { host, life, input });
                    if let Some(at) = self.way(host, self.etcd()) {
                        self.at(at, Event::Ask { host, life, vip, ask, sent: self.now });
                    }
                }
                Effect::Datagram { to, bytes } => {
                    let to = Host::index_of(to);
                    self.send(host, to, In::Datagram { from: Host::address(host), bytes: bytes.into() });
                }
                Effect::Run { vip, job, call } => self.run_hook(host, vip, job, &call),
                Effect::Cancel { vip, job } => {
                    let at = self.now + MS;
                    let life = self.hosts[host].life;
                    self.at(at, Event::HookOver { host, life, vip, job: Some(job), end: HookEnd::Cancelled });
                    if self.plan.fault == Fault::TwoHooks {
                        self.deliver_now(
                            host,
                            In::HookEnded { vip, job: Some(job), end: HookEnd::Cancelled },
                        );
                    }
                }
                Effect::Save(orders) => self.hosts[host].orders = orders,
                Effect::Tell { vip, notice } => {
                    // The rows of VRRP are counted by the routers, those of leases by their rule.
                    let counted = matches!(notice.rule, 721..=749) && !matches!(notice.rule, 723 | 729 | 740);
                    if !counted && !matches!(notice.rule, 751..=753 | 755..=759 | 761..=769) {
                        self.count_row(notice.rule);
                    }
                    self.note(|| format!("rt{}: {} {}", host + 1, notice.rule, notice.words));
                    // Rows that others overtake within the same call show in what they led to.
                    if matches!(notice.rule, step::RELEASED | step::CLAIMED)
                        && let Some((_, row)) = notice.words.rsplit_once("(rule ")
                        && let Ok(row @ (701..=720 | 751..=769)) = row.trim_end_matches(')').parse()
                    {
                        self.count_row(row);
                    }
                    if let Some(vip) = vip {
                        self.told(host, vip, &notice);
                    }
                }
            }
        }
    }

    fn deliver_now(&mut self, host: usize, input: In) {
        let at = self.now;
        let life = self.hosts[host].life;
        self.at(at, Event::In { host, life, input });
    }

    /// The stage of a VIP on a host.
    pub fn stage(&self, host: usize, vip: usize) -> Stage {
        let of = |tier: &primacy::vip::tier::Tier| tier.vips().nth(vip).map(|(vip, _)| vip.stage());
        self.hosts[host].tier.as_ref().and_then(of).unwrap_or(Stage::Absent)
    }
}

/// Programs that run at the same time on the same address.
pub fn beside(host: &Host, vip: usize) -> Option<HookKind> {
    host.running.iter().find(|r| r.vip == vip).map(|r| r.kind)
}
