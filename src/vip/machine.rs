//! One VIP on this host: from facts to a score, from ownership to the steps that move the address.
//!
//! The machine of ownership (VRRP, a lease) is handed in with every call; this one tells it the wish, takes what it says, and asks its driver for
//! [`Effect`]s. A step is carried out at once and answered by [`Vip::stepped`]; everything else comes back when it comes.

mod moves;
mod news;

use super::announce::{Announcements, Due};
use super::hooks::{Call, HookAction, HookKind, Hooks};
use super::ownership::{Leaving, Notice, Output, Ownership, SCORE_OUT, Score, Urgency};
use super::placement::{Given, PLACE, Place, PlaceView, SCORE, ScoreView, first};
use super::status::VipStage;
use super::step::{self, Step};
use crate::config::VipConfig;
use crate::engine::time::{Duration, Time};
use std::collections::{BTreeMap, VecDeque};

/// How long an address is asked for at start-up.
const ASK: Duration = Duration::from_millis(200);
/// The pause before it is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// From one attempt to take an address off to the next, while it fails.
const REMOVE_AGAIN: Duration = Duration::from_millis(100);
/// For so long two hosts may say that they own an address before people are told: what they say is a little old.
const TWO_OWNERS_FOR: Duration = Duration::from_secs(2);
/// How much later than its lifetime the kernel takes an address off, at most: ADDRCONF_TIMER_FUZZ of net/addrconf.h, HZ / 4.
const KERNEL_LATE: Duration = Duration::from_millis(250);

/// What is asked of the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<M> {
    /// Do that to the addresses, and answer with [`Vip::stepped`].
    Step(Step),
    /// What the machine of ownership asks for.
    Own(M),
    /// Run a program; answer with [`Vip::hook_ended`].
    Run {
        /// Its number; `None` for the one that restarts the service.
        job: Option<u64>,
        /// Which one and why.
        call: Call,
    },
    /// End a program.
    Cancel {
        /// Its number.
        job: u64,
    },
    /// Tell the heir on the peer channel that the address is off this host.
    HandOver {
        /// Its name.
        heir: String,
        /// The ownership that ended.
        epoch: u64,
    },
    /// Tell people.
    Tell(Notice),
}

/// Another host of the tier, as the peer channel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its score, if it was heard lately.
    pub score: Option<Score>,
    /// Whether it says that it owns the address, and since which epoch.
    pub owns: Option<u64>,
    /// The highest epoch that it knows.
    pub epoch: u64,
    /// When it said so.
    pub heard: Time,
}

/// Where the address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not here.
    Absent,
    /// Owned; the network is asked first.
    Asking,
    /// Owned; `on_claim` runs first.
    Hooking,
    /// Owned; it is being added.
    Adding,
    /// Owned and here.
    Held,
    /// Not owned any more; this step of [`RELEASE`] is under way.
    Releasing(usize),
    /// Not owned any more, and could not be taken off yet.
    Stuck,
}

impl Stage {
    /// The word in views.
    pub const fn name(self) -> &'static str {
        self.word().name()
    }

    /// The same without the step.
    pub const fn word(self) -> VipStage {
        match self {
            Stage::Absent => VipStage::Absent,
            Stage::Asking => VipStage::Asking,
            Stage::Hooking => VipStage::Hooking,
            Stage::Adding => VipStage::Adding,
            Stage::Held => VipStage::Held,
            Stage::Releasing(_) => VipStage::Releasing,
            Stage::Stuck => VipStage::Stuck,
        }
    }
}

/// What the service is said to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// In order or not; `None` if nobody said.
    pub good: Option<bool>,
    /// One sentence.
    pub words: String,
}

/// One VIP on this host.
#[derive(Clone, Debug)]
pub struct Vip<M> {
    config: VipConfig,
    host: String,
    /// Hosts of the tier beside this one.
    others: usize,
    stopping: bool,
    engine_failed: bool,
    link: bool,
    standby: bool,
    wanted: Option<String>,
    local: Health,
    backend: Health,
    failures: u32,
    last_failure: Option<Time>,
    /// When the next failure is counted, or the next restart is due, while the service is bad.
    next_failure: Time,
    address_failed: Option<Time>,
    tried: bool,
    outdone_since: Option<Time>,
    peers: Vec<Peer>,
    score: Option<(Score, u16)>,
    place: u16,
    heir: Option<String>,
    stage: Stage,
    /// What the machine of ownership said last, while a release is under way.
    owned_again: Option<(u16, String)>,
    epoch: u64,
    highest: u64,
    valid: Option<Time>,
    fence: Duration,
    /// When the kernel takes the address off by itself.
    kernel: Option<Time>,
    /// What is left of a lease is too short for the kernel's seconds: the address is added with its next renewal.
    waits: bool,
    /// `on_claim` is run once the address is added.
    hook_due: bool,
    /// When this ownership began.
    claimed_at: Time,
    next_refresh: Time,
    started: Option<Time>,
    ask_until: Option<Time>,
    asks_again: Option<Time>,
    answered: bool,
    asked: bool,
    stuck_until: Time,
    announcements: Announcements,
    /// The latest ownership of another host for which the address was announced again, by the host that told of it.
    outrun: BTreeMap<String, u64>,
    /// Since when another host says that it owns the address, too; and whether people were told.
    two_since: Option<Time>,
    two_told: bool,
    hooks: Hooks,
    restarting: bool,
    release_reason: (u16, String),
    claims: u64,
    releases: u64,
    effects: VecDeque<Effect<M>>,
}

impl<M> Vip<M> {
    /// A VIP of this host, with `others` more hosts in its tier. `down_interval` is that of its machine of ownership.
    pub fn new(config: VipConfig, host: &str, others: usize, down_interval: Duration) -> Vip<M> {
        let fence = config.self_fence.unwrap_or_else(|| (down_interval * 2).max(Duration::from_secs(2)));
        let local = Health { good: config.pool.is_none().then_some(true), words: String::new() };
        Vip {
            config,
            host: host.into(),
            others,
            stopping: false,
            engine_failed: false,
            link: true,
            standby: false,
            wanted: None,
            local,
            backend: Health::default(),
            failures: 0,
            last_failure: None,
            next_failure: Time::NEVER,
            address_failed: None,
            tried: false,
            outdone_since: None,
            peers: Vec::new(),
            score: None,
            place: 0,
            heir: None,
            stage: Stage::Absent,
            owned_again: None,
            epoch: 0,
            highest: 0,
            valid: None,
            fence,
            kernel: None,
            waits: false,
            hook_due: false,
            claimed_at: Time(0),
            next_refresh: Time::NEVER,
            started: None,
            ask_until: None,
            asks_again: None,
            answered: false,
            asked: false,
            stuck_until: Time::NEVER,
            announcements: Announcements::default(),
            outrun: BTreeMap::new(),
            two_since: None,
            two_told: false,
            hooks: Hooks::default(),
            restarting: false,
            release_reason: (0, String::new()),
            claims: 0,
            releases: 0,
            effects: VecDeque::new(),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &VipConfig {
        &self.config
    }

    /// Where the address is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// This host's score and the row behind it; 0 before the start.
    pub fn score(&self) -> (Score, u16) {
        self.score.unwrap_or((Score(SCORE_OUT), 0))
    }

    /// The row of [`PLACE`] that decided last.
    pub fn place(&self) -> u16 {
        self.place
    }

    /// What the service is said to be.
    pub fn local(&self) -> &Health {
        &self.local
    }

    /// What it leads to.
    pub fn backend(&self) -> &Health {
        &self.backend
    }

    /// Failures that count, and until when they bar the host.
    pub fn failures(&self) -> (u32, Option<Time>) {
        (self.failures, self.last_failure.map(|at| at + self.config.failure_timeout))
    }

    /// The epoch of this host's ownership, the last one's if it owns nothing; and the highest that any host is known to have had.
    pub fn epoch(&self) -> (u64, u64) {
        (self.epoch, self.highest)
    }

    /// The other hosts, as they were told of last.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// Times that the address came and left.
    pub fn moves(&self) -> (u64, u64) {
        (self.claims, self.releases)
    }

    /// Whether an owner waits for a peer to be heard before it could leave the address to it.
    pub fn awaits_news(&self) -> bool {
        let score = self.score().0;
        self.stage != Stage::Absent
            && self.peers.iter().any(|p| p.heard < self.claimed_at && p.score.is_some_and(|s| s > score))
    }

    /// Whether nothing is under way: no release, no program.
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Absent && self.hooks.is_idle() && self.effects.is_empty()
    }

    /// What is to be done next.
    pub fn poll_effect(&mut self) -> Option<Effect<M>> {
        self.effects.pop_front()
    }

    /// When to look again.
    pub fn poll_timeout(&self) -> Time {
        let settled = self.started.is_some();
        let barred = self.last_failure.map(|at| at + self.config.failure_timeout);
        let outdone = self.outdone_since.map(|at| at + self.config.preempt_delay);
        [
            self.ask_until,
            self.asks_again,
            Some(self.next_failure),
            barred,
            outdone.filter(|_| self.stage == Stage::Held),
            self.address_failed,
            Some(self.next_refresh).filter(|_| self.stage == Stage::Held),
            Some(self.announcements.due(self.config.announce_interval)),
            self.two_since.filter(|_| !self.two_told).map(|since| since + TWO_OWNERS_FOR),
            Some(self.stuck_until).filter(|_| self.stage == Stage::Stuck),
        ]
        .into_iter()
        .flatten()
        .filter(|_| settled)
        .min()
        .unwrap_or(Time::NEVER)
    }

    fn tell(&mut self, rule: u16, urgency: Urgency, more: impl AsRef<str>) {
        let words = format!("{}: {}{}", self.config.name, step::sentence(rule), more.as_ref());
        self.effects.push_back(Effect::Tell(Notice { rule, urgency, words }));
    }

    fn call(&mut self, kind: HookKind, rule: u16, reason: &str) {
        let program = match kind {
            HookKind::Claim => &self.config.hooks.on_claim,
            HookKind::Release => &self.config.hooks.on_release,
            HookKind::Fault => &self.config.hooks.on_fault,
            HookKind::Restart => &self.config.restart,
        };
        if program.is_empty() {
            return;
        }
        let call = Call { kind, epoch: self.epoch, rule, reason: reason.into() };
        match kind {
            HookKind::Restart => self.effects.push_back(Effect::Run { job: None, call }),
            _ => self.hooks.call(call),
        }
        self.pass_hooks();
    }

    fn pass_hooks(&mut self) {
        while let Some(action) = self.hooks.poll() {
            self.effects.push_back(match action {
                HookAction::Run(job, call) => Effect::Run { job: Some(job), call },
                HookAction::Cancel(job) => Effect::Cancel { job },
            });
        }
    }

    /// Looks at everything anew: call it after any change, and at [`Vip::poll_timeout`] after the machine of ownership was driven.
    pub fn drive<W: Ownership<Action = M>>(&mut self, now: Time, wall_ms: u64, who: &mut W) {
        if self.started.is_none() {
            self.started = Some(now);
            self.ask(now);
        }
        // An owner that slept is judged before it touches kernel or network again: it would put back and announce what is another's by now.
        self.listen(now, wall_ms, who);
        if who.poll_timeout() > now {
            self.timers(now);
        }
        // Each round may answer the one before; none of them waits for the outside.
        for _ in 0..8 {
            self.decide(now, who);
            if !self.listen(now, wall_ms, who) {
                return;
            }
        }
    }

    fn timers(&mut self, now: Time) {
        if self.local.good == Some(false) && self.next_failure <= now {
            if self.failures < self.config.migration_threshold {
                self.fail(now);
            }
            self.restart(now);
        }
        if self.last_failure.is_some_and(|at| at + self.config.failure_timeout <= now) {
            (self.failures, self.last_failure) = (0, None);
        }
        if self.address_failed.is_some_and(|until| until <= now) {
            self.address_failed = None;
        }
        if self.ask_until.is_some_and(|until| until <= now) {
            self.ask_until = None;
            let patience = self.started.is_some_and(|at| now.since(at) < self.fence + ASK_AGAIN);
            // While this host only stands by it is the owner that answers, as it should.
            let troubled = self.answered && self.stage == Stage::Asking;
            if troubled && patience {
                self.asks_again = Some(now + ASK_AGAIN);
                self.tell(step::ANSWERED, Urgency::Warning, "");
            } else {
                self.asked = true;
                if troubled {
                    self.tell(step::CLAIMED_ANYWAY, Urgency::Alarm, "");
                }
            }
            if self.asked && self.stage == Stage::Asking {
                self.begin_claim(now);
            }
        }
        if self.asks_again.is_some_and(|at| at <= now) {
            self.asks_again = None;
            self.ask(now);
        }
        let two = self.stage == Stage::Held
            && self.peers.iter().any(|peer| peer.score.is_some() && peer.owns.is_some());
        match self.two_since {
            _ if !two => {
                if self.two_since.take().is_some() && self.stage == Stage::Held {
                    // The other one may have been the last that clients heard.
                    self.effects.push_back(Effect::Step(Step::Announce));
                }
                self.two_told = false;
            }
            None => self.two_since = Some(now),
            Some(since) if !self.two_told && since + TWO_OWNERS_FOR <= now => {
                self.two_told = true;
                self.tell(step::TWO_OWNERS, Urgency::Alarm, "");
            }
            Some(_) => {}
        }
        if self.stage == Stage::Held && self.next_refresh <= now {
            self.refresh(now);
        }
        // An owner whose lease has ended must not be believed for an instant more, although it has not been told yet.
        let sound = self.valid.is_none_or(|until| until > now);
        match self.announcements.take(now, self.config.announce_interval).filter(|_| sound) {
            Some(Due::RivalSilent) => {
                self.tell(step::RIVAL_SILENT, Urgency::Info, "");
                self.effects.push_back(Effect::Step(Step::Announce));
            }
            Some(Due::Schedule) => self.effects.push_back(Effect::Step(Step::Announce)),
            None => {}
        }
        if self.stage == Stage::Stuck && self.stuck_until <= now {
            self.stuck_until = Time::NEVER;
            self.effects.push_back(Effect::Step(Step::Remove));
        }
    }

    fn ask(&mut self, now: Time) {
        self.answered = false;
        self.ask_until = Some(now + ASK);
        self.effects.push_back(Effect::Step(Step::Ask));
    }

    /// Score and place.
    fn decide<W: Ownership<Action = M>>(&mut self, now: Time, who: &mut W) {
        let tolerated = self.local.good == Some(false) && self.failures < self.config.migration_threshold;
        let owner_by_configuration = match &self.config.ownership {
            crate::config::OwnershipConfig::Vrrp(vrrp) => vrrp.address_owner,
            crate::config::OwnershipConfig::Lease(_) => false,
        };
        let view = ScoreView {
            stopping: self.stopping,
            engine_failed: self.engine_failed,
            link: self.link,
            standby: self.standby,
            address_failed: self.address_failed.is_some(),
            good: self.local.good == Some(true) || tolerated,
            barred: self.failures >= self.config.migration_threshold,
            last_host: self.config.last_host,
            address_owner: owner_by_configuration,
            wanted: self.wanted.as_deref() == Some(self.host.as_str()),
        };
        let Some(row) = first(SCORE, &view) else { return };
        let score = Score(match row.then {
            Given::Score(score) => score,
            Given::Location => self.config.location_of(&self.host),
        });
        let changed = self.score.map(|(score, _)| score) != Some(score);
        if changed && self.score.is_some() {
            self.tell(step::SCORED, Urgency::Info, format!(" to {score}: {}", row.sentence));
        }
        self.score = Some((score, row.number));
        self.settle(now, score, who);
        if changed {
            who.wish(now, score);
        }
    }

    /// Whether an owner keeps the address, and for whom it leaves.
    fn settle<W: Ownership<Action = M>>(&mut self, now: Time, score: Score, who: &mut W) {
        // Who has not been heard since this host took over may be as dead as the owner before, and gets nothing that could stay here.
        let since = match (who.owns(), self.stage) {
            (false, _) => Time(0),
            // It took over just now, and has not been listened to yet.
            (true, Stage::Absent) => now,
            (true, _) => self.claimed_at,
        };
        let heir = self.best(since).or_else(|| self.best(Time(0)).filter(|_| !score.stands()));
        let beats = |(_, theirs): &(String, Score)| {
            self.config.stickiness < 254
                && u16::from(theirs.0) > u16::from(score.0) + u16::from(self.config.stickiness)
        };
        let owner = who.owns();
        self.outdone_since = match heir.as_ref().filter(|heir| owner && beats(heir)) {
            Some(_) => self.outdone_since.or(Some(now)),
            None => None,
        };
        let view = PlaceView {
            owner,
            score,
            heir: heir.as_ref().map(|heir| heir.1),
            unheard: self.others == 0 || self.peers.iter().any(|peer| peer.score.is_none()),
            tried: self.tried,
            outdone: self.outdone_since.is_some_and(|since| since + self.config.preempt_delay <= now),
        };
        let Some(row) = first(PLACE, &view) else { return };
        self.place = row.number;
        match row.then {
            Place::Keep | Place::StandBy => {}
            Place::ToHeir => {
                self.heir = heir.map(|heir| heir.0);
                self.release_reason = (row.number, row.sentence.into());
                who.leave(now, Leaving::ToHeir);
            }
            Place::ToAnyone => {
                self.heir = None;
                self.tried = true;
                self.release_reason = (row.number, row.sentence.into());
                who.leave(now, Leaving::ToAnyone);
            }
        }
    }

    /// The best of the others that were heard since then and stand; of equals the first by name.
    fn best(&self, since: Time) -> Option<(String, Score)> {
        let mut best: Option<(&str, Score)> = None;
        for peer in &self.peers {
            let Some(score) = peer.score.filter(|score| score.stands() && peer.heard >= since) else {
                continue;
            };
            if best.is_none_or(|(name, most)| score > most || (score == most && peer.name.as_str() < name)) {
                best = Some((&peer.name, score));
            }
        }
        best.map(|(name, score)| (name.to_string(), score))
    }

    /// Takes what the machine of ownership says; whether it said anything.
    fn listen<W: Ownership<Action = M>>(&mut self, now: Time, wall_ms: u64, who: &mut W) -> bool {
        let mut any = false;
        // What a new ownership is good for is said right after it, and the address is not added before that is known.
        let mut owned = None;
        while let Some(output) = who.poll() {
            any = true;
            match output {
                Output::Own { rule, why, epoch } => {
                    (self.valid, self.claimed_at) = (None, now);
                    self.epoch = epoch.unwrap_or_else(|| (self.highest + 1).max(wall_ms).max(self.epoch + 1));
                    self.highest = self.highest.max(self.epoch);
                    owned = Some((rule, why));
                }
                Output::Valid { until } => {
                    self.valid = Some(until);
                    match self.stage {
                        Stage::Held => self.refresh(now),
                        Stage::Adding if self.waits => self.add(now),
                        _ => {}
                    }
                }
                Output::Lose { rule, why } => {
                    if self.release_reason.0 == 0 {
                        self.release_reason = (rule, why);
                    }
                    (owned, self.owned_again) = (None, None);
                    self.lose(now, who);
                }
                Output::Announce { .. } => {
                    if self.stage == Stage::Held {
                        self.announcements.announced(now);
                        self.effects.push_back(Effect::Step(Step::Announce));
                    }
                }
                Output::Do(action) => self.effects.push_back(Effect::Own(action)),
                Output::Notice(notice) => self.effects.push_back(Effect::Tell(Notice {
                    words: format!("{}: {}", self.config.name, notice.words),
                    ..notice
                })),
            }
        }
        if let Some((rule, why)) = owned {
            match self.stage {
                Stage::Absent => self.own(now, rule, &why),
                _ => self.owned_again = Some((rule, why)),
            }
        }
        any
    }
}
