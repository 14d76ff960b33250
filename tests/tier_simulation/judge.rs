//! What must hold at every instant of every schedule.

use crate::host::{Host, vip_name};
use crate::plan::{MS, Plan, SECOND};
use crate::world::{World, beside};
use primacy::vip::hooks::{Call, HookKind};
use primacy::vip::machine::Stage;
use primacy::vip::ownership::{Notice, SCORE_LEAST, SCORE_WANTED};
use primacy::vip::step;

/// What is known of one address.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// The hosts that have it in their kernels, by bits.
    holders: u32,
    since: u64,
    /// Since when two have it without an excuse.
    double_since: u64,
    /// Since when nobody has it although somebody could.
    nobody_since: Option<u64>,
    /// It was handed to an heir at that time.
    handed: Option<u64>,
    last_epoch: u64,
    /// When clients began to believe somebody else.
    turned: u64,
    /// An announcement to the clients was lost since it came.
    missed: bool,
}

pub struct Judge {
    pub objection: Option<String>,
    /// Where clients send packets for an address to.
    pub cache: Vec<Option<usize>>,
    seen: Vec<Seen>,
    /// Spans in which two hosts may have an address with VRRP.
    excuses: Vec<(u64, u64)>,
    /// Until then nothing is claimed of leases.
    meddled: u64,
    disturbed: u64,
    rough: u64,
    impaired: u64,
    store_bad: u64,
    told_standby: Vec<String>,
    /// The longest that was seen, in nanoseconds: nobody, double, planned move.
    pub longest: [u64; 3],
}

impl Judge {
    pub fn new(plan: &Plan) -> Judge {
        Judge {
            objection: None,
            cache: vec![None; plan.vips],
            seen: vec![Seen::default(); plan.vips],
            excuses: Vec::new(),
            meddled: 0,
            disturbed: 0,
            rough: 0,
            impaired: 0,
            store_bad: 0,
            told_standby: Vec::new(),
            longest: [0; 3],
        }
    }

    pub fn object(&mut self, now: u64, words: String) {
        if self.objection.is_none() {
            self.objection = Some(format!("{} ms: {words}", now / MS));
        }
    }

    /// Something happened that may cost a bound once.
    pub fn disturbed(&mut self, now: u64) {
        self.disturbed = now;
    }

    /// Something happened after which a planned move is none.
    pub fn rough(&mut self, now: u64) {
        self.rough = now;
        self.disturbed = now;
    }

    pub fn excuse(&mut self, from: u64, to: u64) {
        self.excuses.push((from, to));
    }

    pub fn meddled(&mut self, until: u64) {
        self.meddled = self.meddled.max(until);
    }

    /// Clients hear an announcement.
    pub fn believe(&mut self, now: u64, vip: usize, by: usize) {
        if self.cache[vip] != Some(by) {
            self.seen[vip].turned = now;
        }
        self.cache[vip] = Some(by);
    }

    pub fn missed(&mut self, vip: usize) {
        self.seen[vip].missed = true;
    }

    pub fn ordered_standby(&mut self, host: &str, standby: bool) {
        self.told_standby.retain(|h| h != host);
        if standby {
            self.told_standby.push(host.into());
        }
    }
}

impl World {
    fn impaired(&self) -> bool {
        self.loss > 0
            || self.slow()
            || self.hosts.iter().any(|host| !host.link)
            || self.cut.iter().take(self.plan.hosts).any(|row| row.iter().any(|cut| *cut))
    }

    /// A host that could have the address: it runs, stands, and nothing keeps it from its peers, clients and etcd.
    fn could(&self, host: usize, vip: usize) -> bool {
        let it = &self.hosts[host];
        let etcd = !self.plan.lease || (self.reaches(host, self.etcd()) && self.reaches(self.etcd(), host));
        it.runs(self.now) && it.link && etcd && it.score(vip) >= 1
    }

    pub fn judge_now(&mut self) {
        let now = self.now;
        if self.impaired() {
            self.judge.impaired = now;
        }
        if self.store.down || self.store.leaderless {
            self.judge.store_bad = now;
        }
        for vip in 0..self.plan.vips {
            let mut holders = 0u32;
            let mut reachable = 0u32;
            for (index, host) in self.hosts.iter().enumerate() {
                if host.kernel[vip].until.is_some() {
                    holders |= 1 << index;
                    reachable |= u32::from(host.link) << index;
                }
            }
            self.judge_change(vip, holders);
            self.judge_double(vip, holders);
            self.judge_nobody(vip, reachable);
            self.judge_cache(vip, holders);
        }
        self.judge_standby();
    }

    fn judge_change(&mut self, vip: usize, holders: u32) {
        let now = self.now;
        let seen = &mut self.judge.seen[vip];
        if seen.holders == holders {
            return;
        }
        if holders != 0
            && seen.holders == 0
            && let Some(handed) = seen.handed.take()
        {
            let gap = now - handed;
            let quiet = self.judge.rough + 6 * SECOND < handed && self.judge.impaired + 3 * SECOND < handed;
            let quiet = quiet && self.judge.store_bad + 6 * SECOND < handed && self.judge.meddled < handed;
            let before = self.plan.hooks && self.plan.order == primacy::config::ClaimOrder::Before;
            let bound =
                if self.plan.lease { 16 * self.plan.delay + 40 * MS } else { 2 * self.plan.delay + MS };
            // One that changes its mind meanwhile is no heir.
            let steady = self.judge.disturbed <= handed + MS;
            if quiet && !before && steady && self.plan.odd == 0 && !self.plan.ignore {
                self.judge.longest[2] = self.judge.longest[2].max(gap);
                if gap > bound {
                    let words = format!(
                        "a planned move of {} took {} ms, at most {}",
                        vip_name(vip),
                        gap / MS,
                        bound / MS
                    );
                    self.judge.object(now, words);
                }
            }
        }
        let seen = &mut self.judge.seen[vip];
        seen.holders = holders;
        seen.since = now;
        seen.double_since = now;
        seen.missed = false;
    }

    fn judge_double(&mut self, vip: usize, holders: u32) {
        let now = self.now;
        if holders.count_ones() < 2 {
            return;
        }
        if self.plan.lease {
            if !self.plan.ignore && now > self.judge.meddled {
                self.judge
                    .object(now, format!("{} is on {} hosts by lease", vip_name(vip), holders.count_ones()));
            }
            return;
        }
        // A version that the others do not hear is a split network.
        let healing = self.judge.impaired + 2 * self.plan.interval * MS + 500 * MS;
        let split = self.judge.impaired > 0 && now <= healing;
        let excused = self.plan.odd == 3
            || split
            || self.judge.excuses.iter().any(|(from, to)| (*from..=*to).contains(&now));
        // A second owner comes by a change of scores, a start or a loss, and not later than that takes to have its effect.
        let settled = 2 * self.plan.down(1) + self.plan.preempt_delay * MS + 500 * MS;
        let nothing = self.judge.disturbed.max(self.judge.impaired) + settled < now;
        let seen = &mut self.judge.seen[vip];
        if nothing && !excused && seen.since == now {
            self.judge.object(now, format!("{} has two owners although nothing happened", vip_name(vip)));
            return;
        }
        if excused {
            seen.double_since = now;
            return;
        }
        let overlap = now - seen.double_since;
        self.judge.longest[1] = self.judge.longest[1].max(overlap);
        // An advert on its way, the answer, and the 10 ms in which an answer is not repeated.
        if overlap > self.plan.overlap_bound() {
            self.judge
                .object(now, format!("{} is on hosts {holders:#b} for {} ms", vip_name(vip), overlap / MS));
        }
    }

    fn judge_nobody(&mut self, vip: usize, reachable: u32) {
        let now = self.now;
        let somebody = (0..self.plan.hosts).any(|host| self.could(host, vip));
        let store = self.plan.lease && (self.store.down || self.store.leaderless || self.impaired());
        let seen = &mut self.judge.seen[vip];
        if reachable != 0 || !somebody || store {
            seen.nobody_since = None;
            return;
        }
        let since = *seen.nobody_since.get_or_insert(now);
        let span = now - since.max(self.judge.disturbed);
        self.judge.longest[0] = self.judge.longest[0].max(span);
        if span > self.plan.nobody_bound() {
            let words = format!(
                "nobody has {} for {} ms, at most {}",
                vip_name(vip),
                span / MS,
                self.plan.nobody_bound() / MS
            );
            self.judge.object(now, words);
        }
    }

    /// Clients find the owner: at once, or after a rival when its silence is noticed.
    fn judge_cache(&mut self, vip: usize, holders: u32) {
        let now = self.now;
        let seen = &self.judge.seen[vip];
        if holders.count_ones() != 1 || seen.missed || self.plan.odd == 3 {
            return;
        }
        let owner = holders.trailing_zeros() as usize;
        let bound = (4 * self.plan.interval * MS).max(SECOND) + 300 * MS;
        // Whoever gave way without having been heard is known by the peer channel, which begins anew after it was cut.
        let bound = bound + if self.judge.impaired > 0 { 2 * self.plan.peers * SECOND / 2 } else { 0 };
        let since = seen.since.max(seen.turned).max(self.judge.impaired).max(self.judge.rough);
        let there = self.hosts[owner].runs(now)
            && self.hosts[owner].owns(vip)
            && self.stage(owner, vip) == Stage::Held;
        if there && now > since + bound && self.judge.cache[vip] != Some(owner) {
            let words = format!(
                "clients believe {:?} to have {}, not rt{}",
                self.judge.cache[vip],
                vip_name(vip),
                owner + 1
            );
            self.judge.object(now, words);
        }
    }

    fn judge_standby(&mut self) {
        let now = self.now;
        for index in 0..self.plan.hosts {
            let host = &self.hosts[index];
            if !host.runs(now) {
                continue;
            }
            let Some(tier) = &host.tier else { continue };
            let out = tier.orders().standby(&host.name) || self.judge.told_standby.contains(&host.name);
            if !out {
                continue;
            }
            for vip in 0..self.plan.vips {
                let there = host.kernel[vip].until.is_some() && self.stage(index, vip) != Stage::Stuck;
                if host.owns(vip) || there {
                    self.judge
                        .object(now, format!("rt{} is in standby and has {}", index + 1, vip_name(vip)));
                }
            }
        }
    }

    /// What an agent told its people.
    pub fn told(&mut self, host: usize, vip: usize, notice: &Notice) {
        let now = self.now;
        match notice.rule {
            step::CLAIMED => {
                let Some(tier) = &self.hosts[host].tier else { return };
                let Some(epoch) = tier.vips().nth(vip).map(|(vip, _)| vip.epoch().0) else { return };
                self.judge_rise(host, vip);
                let own = &mut self.hosts[host].epochs[vip];
                let before = core::mem::replace(own, epoch);
                if epoch <= before {
                    self.judge.object(now, format!("rt{} claims epoch {epoch} after {before}", host + 1));
                }
                let last = self.judge.seen[vip].last_epoch;
                self.judge.seen[vip].last_epoch = last.max(epoch);
                if self.plan.lease && epoch <= last {
                    self.judge
                        .object(now, format!("rt{} claims epoch {epoch}, another had {last}", host + 1));
                }
            }
            step::HANDED_OVER => {
                // One that cannot take it, which the leaver could not know yet, costs more.
                let heir =
                    (0..self.plan.hosts).find(|index| notice.words.ends_with(&format!("(rt{})", index + 1)));
                let good = heir
                    .filter(|heir| self.could(*heir, vip) && self.stage(*heir, vip) == Stage::Absent)
                    .is_some_and(|heir| self.hosts[heir].score(vip) >= SCORE_LEAST);
                self.judge.seen[vip].handed = good.then_some(now);
            }
            _ => {}
        }
    }

    /// Who was stopped must not take over, as the first thing it does, from an owner of at least its own right that was there all the time:
    /// the owner's adverts wait in its socket.
    fn judge_rise(&mut self, host: usize, vip: usize) {
        let now = self.now;
        let it = &self.hosts[host];
        if self.plan.lease || it.pause.1 != now || self.judge.impaired >= it.pause.0 || self.plan.odd == 3 {
            return;
        }
        let seen = &self.judge.seen[vip];
        let long = seen.since < it.pause.0;
        let other = (0..self.plan.hosts).find(|other| {
            let there = seen.holders & (1 << *other) != 0 && self.hosts[*other].owns(vip);
            *other != host
                && there
                && self.hosts[*other].runs(now)
                && self.hosts[*other].score(vip) >= it.score(vip)
        });
        let stopped = other.is_some_and(|other| self.hosts[other].pause.1 > it.pause.0);
        if let Some(other) = other.filter(|_| long && !stopped) {
            let words = format!("rt{} goes on, and takes {} from rt{}", host + 1, vip_name(vip), other + 1);
            self.judge.object(now, words);
        }
    }

    pub fn judge_hook(&mut self, host: usize, vip: usize, call: &Call) {
        let now = self.now;
        if let Some(kind) = beside(&self.hosts[host], vip) {
            let words = format!("rt{}: on_{} is run beside on_{}", host + 1, call.kind.name(), kind.name());
            self.judge.object(now, words);
        }
        let it = &self.hosts[host];
        let Some(tier) = &it.tier else { return };
        let epoch = tier.vips().nth(vip).map_or(0, |(vip, _)| vip.epoch().0);
        match call.kind {
            HookKind::Claim if call.epoch != epoch || !it.owns(vip) => {
                let words = format!("rt{}: on_claim for epoch {}, which is over", host + 1, call.epoch);
                self.judge.object(now, words);
            }
            HookKind::Release if it.owns(vip) => {
                let words = format!("rt{}: on_release of what it has claimed again", host + 1);
                self.judge.object(now, words);
            }
            _ => {}
        }
    }

    /// A step that failed is done as far as the order of steps goes.
    pub fn judge_failed_step(&mut self, host: usize, vip: usize, step: primacy::vip::step::Step) {
        let kernel = &mut self.hosts[host].kernel[vip];
        match step {
            step::Step::Block => kernel.blocked = true,
            step::Step::Destroy => kernel.destroyed = true,
            _ => {}
        }
    }

    pub fn judge_remove(&mut self, host: usize, vip: usize) {
        let kernel = &self.hosts[host].kernel[vip];
        if kernel.until.is_some() && !(kernel.blocked && kernel.destroyed) {
            let words = format!("rt{}: removes an address whose connections still live", host + 1);
            self.judge.object(self.now, words);
        }
    }

    /// At the end of the calm.
    pub fn judge_end(&mut self) {
        let now = self.now;
        for vip in 0..self.plan.vips {
            let holders = self.judge.seen[vip].holders;
            for host in 0..self.plan.hosts {
                let wanted = vip == 0 && self.could(host, vip) && self.hosts[host].score(vip) == SCORE_WANTED;
                let others = (0..self.plan.hosts)
                    .any(|other| other != host && self.hosts[other].score(vip) >= SCORE_WANTED);
                if wanted && !others && holders & (1 << host) == 0 && self.settled(host) {
                    self.judge.object(
                        now,
                        format!("{} was moved to rt{}, and is on {holders:#b}", vip_name(vip), host + 1),
                    );
                }
            }
        }
    }

    /// Nothing has happened for long enough.
    fn settled(&self, host: usize) -> bool {
        let standing = self.plan.nobody_bound() + self.plan.preempt_delay * MS;
        self.judge.disturbed + standing < self.now && Host::address(host).port() != 0 && self.plan.odd < 3
    }
}
