//! One host's part in the ownership of one VIP by a lease.
//!
//! **The clock.** All times are of one clock that goes on while the machine is suspended (CLOCK_BOOTTIME): etcd's goes on, too, and on a
//! clock that stands still an owner would wake up believing in a lease that ran out hours ago.
//!
//! **Validity** counts from the moment a renewal was *sent*: etcd cannot have counted from an earlier one. Its end is taken forward by a margin,
//! of which 2 % of the length are for clocks that do not run alike. Whatever comes late, an answer or our own timer, is judged by
//! the end that was known before.
//!
//! A host that waits has a lease in stock, kept alive, so that its claim is one round trip. A lease that was given up is ended and never
//! used again. A claim whose answer is lost does no harm: either the key shows up bound to the lease in stock, or that lease ends.

use super::etcd::{Answer, Failure, Holder, Request, Trouble};
use super::rows::{self, OWNER, OwnerAction, OwnerView, RIVAL, RivalAction, RivalView, STORE};
use crate::config::vip::NoQuorum;
use crate::engine::time::{Duration, Time};
use crate::vip::ownership::{Leaving, Notice, Output, Ownership, SCORE_BARRED, SCORE_WANTED, Score, Urgency};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// How soon an heir asks again when the one who named it still holds the key.
const EAGER: Duration = Duration::from_millis(4);

/// How long it does.
const EAGER_FOR: Duration = Duration::from_secs(1);

/// The longest pause between two looks at the key.
const RETRY_MOST: Duration = Duration::from_millis(500);

/// etcd looks twice a second which leases have run out.
const EXPIRY: Duration = Duration::from_millis(500);

/// How late the kernel may remove an address whose lifetime has ended: ADDRCONF_TIMER_FUZZ of net/addrconf.h, HZ / 4.
const KERNEL: Duration = Duration::from_millis(250);

/// How long after its time an answer is waited for that the client owes.
const LATE: Duration = Duration::from_millis(500);

/// What one lease is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The key.
    pub key: String,
    /// This host's name, unique in the tier.
    pub host: String,
    /// Machine start and network namespace: two processes with the same word share their addresses, so one may take over what the
    /// other left.
    pub place: String,
    /// A random word of this process.
    pub life: String,
    /// Length of the lease; rounded up to seconds.
    pub ttl: Duration,
    /// What is taken off its end; at least 2 % of the length, at most half of it.
    pub margin: Duration,
    /// What follows when it cannot be renewed.
    pub no_quorum: NoQuorum,
}

impl Settings {
    fn seconds(&self) -> u64 {
        (self.ttl.as_nanos().div_ceil(1_000_000_000) as u64).max(1)
    }

    fn length(&self) -> Duration {
        Duration::from_secs(self.seconds())
    }

    /// The pause between two looks at the key, and between two tries.
    pub fn retry(&self) -> Duration {
        (self.length() / 5).min(RETRY_MOST)
    }

    /// For how much of a lease of this length its owner believes in it.
    pub fn validity(&self, ttl: Duration) -> Duration {
        ttl - self.margin.max(ttl / 50).min(ttl / 2)
    }

    fn value(&self) -> String {
        json!({ "host": self.host, "place": self.place, "life": self.life }).to_string()
    }
}

/// A question for the store; its answer comes back by [`Lease::handle_answer`], a failure too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Its number.
    pub job: u64,
    /// The question.
    pub request: Request,
    /// When it is to be answered, if need be by a failure.
    pub timeout: Duration,
}

/// A lease that etcd granted.
#[derive(Clone, Copy, Debug)]
struct Grant {
    id: i64,
    ttl: Duration,
    /// When the last renewal was sent that went through.
    sent: Time,
    renew_at: Time,
}

/// A lease to be ended.
#[derive(Clone, Copy, Debug)]
struct Doomed {
    id: i64,
    /// When etcd has ended it by itself.
    until: Time,
    again_at: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Grant,
    KeepAlive,
    Revoke,
    /// Who holds the key, or how long its lease has left.
    Look,
    /// By this row.
    Claim(u16),
}

#[derive(Clone, Copy, Debug)]
struct Job {
    kind: Kind,
    lease: i64,
    sent: Time,
    /// When the answer is given up.
    until: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It does not stand.
    Aside,
    Waiting,
    /// The key was ours at that time; `detached` if it may not be any more.
    Owner {
        since: Time,
        detached: bool,
    },
    /// The address is being taken off.
    Leaving,
}

/// The machine.
#[derive(Debug)]
pub struct Lease {
    settings: Settings,
    score: Score,
    role: Role,
    lease: Option<Grant>,
    doomed: Vec<Doomed>,
    jobs: BTreeMap<u64, Job>,
    last_job: u64,
    grant_at: Time,
    look_at: Time,
    /// When to claim, and by which row.
    claim: Option<(Time, u16)>,
    /// The lease of who holds the key, for every other look.
    rival: Option<i64>,
    /// Its owner has missed a renewal.
    overdue: bool,
    /// Until then this process may take over what an earlier one left.
    young_until: Option<Time>,
    /// Until then this host is heir.
    eager_until: Time,
    /// Until then others come first.
    hold_until: Time,
    trouble: Option<Trouble>,
    /// The row of the last decision.
    rule: u16,
    /// The holder that bears our name was told of.
    told_namesake: bool,
    outputs: VecDeque<Output<Ask>>,
}

impl Lease {
    /// A machine that stands aside until its first wish.
    pub fn new(settings: Settings) -> Lease {
        Lease {
            settings,
            score: Score(0),
            role: Role::Aside,
            lease: None,
            doomed: Vec::new(),
            jobs: BTreeMap::new(),
            last_job: 0,
            grant_at: Time(0),
            look_at: Time(0),
            claim: None,
            rival: None,
            overdue: false,
            young_until: None,
            eager_until: Time(0),
            hold_until: Time(0),
            trouble: None,
            rule: 0,
            told_namesake: false,
            outputs: VecDeque::new(),
        }
    }

    /// Until when the ownership is good; `None` for who owns nothing, or owns in spite of a lost lease.
    pub fn valid_until(&self) -> Option<Time> {
        match self.role {
            Role::Owner { detached: false, .. } => self.lease.map(|lease| self.end(&lease)),
            _ => None,
        }
    }

    /// The row by which it is as it is; 0 before the first.
    pub fn rule(&self) -> u16 {
        self.rule
    }

    /// What the store was found to be at; `None` if it answers.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// The answer to a question.
    pub fn handle_answer(&mut self, now: Time, job: u64, answer: Answer) {
        // By what was known before: an ownership that ran out stays lost, whatever the answer says.
        self.judge(now, OwnerView::default());
        if let Some(job) = self.jobs.remove(&job) {
            self.note(now, &job, &answer);
            self.answered(now, job, answer);
        }
        self.step(now);
    }

    fn answered(&mut self, now: Time, job: Job, answer: Answer) {
        let current = self.lease.filter(|lease| lease.id == job.lease);
        match (job.kind, answer) {
            (Kind::Grant, Answer::Granted { lease: id, ttl }) => {
                let lease = Grant { id, ttl, sent: job.sent, renew_at: job.sent + ttl / 3 };
                if self.lease.is_some() || matches!(self.role, Role::Aside | Role::Leaving) {
                    self.doom(now, &lease);
                } else {
                    self.lease = Some(lease);
                    self.hurry(now);
                }
            }
            (Kind::KeepAlive, Answer::Alive { ttl }) if current.is_some() => self.renewed(now, &job, ttl),
            (Kind::KeepAlive | Kind::Claim(_), Answer::NoLease) if current.is_some() => self.lost_lease(now),
            (Kind::Revoke, Answer::NoLease) => self.doomed.retain(|doomed| doomed.id != job.lease),
            (Kind::Claim(rule), Answer::Claimed { revision }) => match (current, self.role) {
                (Some(lease), Role::Waiting) if now < self.end(&lease) => self.own(now, rule, revision),
                (Some(_), Role::Owner { detached: true, .. }) => self.attach(now),
                // It comes too late to be of use. The lease in stock may hold the key now: the next look will tell.
                (Some(_), _) => self.look_at = now,
                // The lease was given up and is being ended, or was lost: the key goes with it.
                (None, _) => {}
            },
            (Kind::Look | Kind::Claim(_), Answer::Held(holder)) => self.held(now, &job, &holder),
            (Kind::Look | Kind::Claim(_), Answer::Free) => self.free(now, &job),
            (Kind::Look, Answer::Left { time }) => {
                // An owner renews when a third has gone. One that is down to half has missed it.
                self.overdue = time < self.settings.length() / 2;
                self.look_at = job.sent + self.look_pause();
            }
            (Kind::Look, Answer::NoLease) => {
                self.rival = None;
                self.look_at = now;
            }
            (Kind::Claim(rule), Answer::Failed(_)) => {
                let pause = self.settings.retry() / 5;
                self.look_at = self.look_at.min(now + pause);
                if now < self.eager_until {
                    self.claim = Some((now + pause, rule));
                }
            }
            // A failure, or an answer to another question: tried again when its time comes.
            _ => {}
        }
    }

    fn renewed(&mut self, now: Time, job: &Job, ttl: Duration) {
        let Some(lease) = &mut self.lease else { return };
        lease.sent = lease.sent.max(job.sent);
        lease.ttl = ttl;
        lease.renew_at = lease.sent + ttl / 3;
        match self.role {
            Role::Owner { detached: true, .. } => self.attach(now),
            Role::Owner { .. } => self.tell_validity(),
            _ => self.hurry(now),
        }
    }

    /// A claim that waited for the lease need not wait any longer.
    fn hurry(&mut self, now: Time) {
        if let Some((_, rule)) = self.claim
            && now < self.eager_until
        {
            self.claim = Some((now, rule));
        }
    }

    /// The store knows no such lease as the current one.
    fn lost_lease(&mut self, now: Time) {
        self.lease = None;
        self.grant_at = now;
        self.judge(now, OwnerView { lease_gone: true, ..OwnerView::default() });
    }

    fn held(&mut self, now: Time, job: &Job, holder: &Holder) {
        let value: Value = serde_json::from_str(&holder.value).unwrap_or_default();
        let is = |name: &str, own: &str| value.get(name).and_then(Value::as_str) == Some(own);
        let own_name = is("host", &self.settings.host);
        let own_lease = self.lease.is_some_and(|lease| lease.id == holder.lease);
        if let Role::Owner { since, .. } = self.role {
            if job.sent >= since && !own_lease {
                self.judge(now, OwnerView { other_holds: true, ..OwnerView::default() });
            }
            return;
        }
        if self.role != Role::Waiting {
            return;
        }
        let view = RivalView {
            free: false,
            heir: now < self.eager_until,
            holding_back: now < self.hold_until,
            own_lease,
            own_life: own_name && is("life", &self.settings.life),
            own_place: own_name
                && is("place", &self.settings.place)
                && self.young_until.is_some_and(|until| now < until),
            own_name,
        };
        self.rival = Some(holder.lease).filter(|lease| *lease != 0);
        self.act(now, &view, Some(holder));
    }

    fn free(&mut self, now: Time, job: &Job) {
        match self.role {
            Role::Owner { since, .. } if job.sent >= since => {
                self.judge(now, OwnerView { key_gone: true, ..OwnerView::default() });
            }
            Role::Waiting => {
                self.rival = None;
                let view = RivalView {
                    free: true,
                    heir: now < self.eager_until,
                    holding_back: now < self.hold_until,
                    ..RivalView::default()
                };
                self.act(now, &view, None);
            }
            _ => {}
        }
    }

    /// What the key's state means for one who waits.
    fn act(&mut self, now: Time, view: &RivalView, holder: Option<&Holder>) {
        let Some(row) = rows::first(RIVAL, view) else { return };
        self.rule = row.number;
        let retry = self.settings.retry();
        self.overdue &= !view.free;
        self.look_at = now + self.look_pause();
        match (row.then, holder) {
            (RivalAction::Claim, _) => self.claim = Some((now, row.number)),
            (RivalAction::ClaimByRank, _) => {
                let at = now + self.stand_off();
                self.claim =
                    Some(self.claim.filter(|(planned, _)| *planned <= at).unwrap_or((at, row.number)));
            }
            (RivalAction::Own, Some(holder)) => match self.lease {
                Some(lease) if now < self.end(&lease) => self.own(now, row.number, holder.revision),
                _ => {}
            },
            (RivalAction::Revoke, Some(holder)) => {
                let until = now + self.settings.length();
                self.doom(
                    now,
                    &Grant { id: holder.lease, ttl: Duration::ZERO, sent: until, renew_at: until },
                );
            }
            (RivalAction::TakeOver, Some(holder)) => {
                if let Some(lease) = self.fresh(now) {
                    let (key, value) = (self.settings.key.clone(), self.settings.value());
                    let request = Request::TakeOver { key, value, lease, revision: holder.revision };
                    self.ask(now, Kind::Claim(row.number), lease, request);
                } else {
                    self.look_at = now + retry / 5;
                }
            }
            (RivalAction::Again, Some(_)) => self.claim = Some((now + EAGER, HEIR)),
            (RivalAction::Again, None) => self.look_at = (now + retry).min(self.hold_until),
            (RivalAction::Wait, _) => {
                self.claim = None;
                if view.own_name && !self.told_namesake {
                    self.told_namesake = true;
                    self.notice(row.number, Urgency::Warning, row.sentence.into());
                }
            }
            (RivalAction::Own | RivalAction::Revoke | RivalAction::TakeOver, None) => {}
        }
    }

    /// Runs the owner's table; `seen` holds what has just been learnt, the rest is filled in.
    fn judge(&mut self, now: Time, seen: OwnerView) {
        let Role::Owner { since, detached } = self.role else { return };
        let over = !detached && self.lease.is_none_or(|lease| now >= self.end(&lease));
        let ignore = self.settings.no_quorum == NoQuorum::Ignore;
        let view = OwnerView { out: !self.score.stands(), detached, over, ignore, ..seen };
        let Some(row) = rows::first(OWNER, &view) else { return };
        self.rule = row.number;
        match row.then {
            OwnerAction::Keep => {}
            OwnerAction::Lose => {
                self.role = Role::Leaving;
                self.claim = None;
                self.eager_until = now;
                if row.number == LEAVES {
                    self.hold_until = now + self.settings.retry() * 4;
                }
                self.outputs.push_back(Output::Lose { rule: row.number, why: row.sentence.into() });
            }
            OwnerAction::Detach => {
                self.role = Role::Owner { since, detached: true };
                self.look_at = now;
                self.notice(row.number, Urgency::Alarm, row.sentence.into());
            }
            OwnerAction::Reclaim if self.claim.is_some() => {}
            OwnerAction::Reclaim => {
                // A lease that lives while its key is gone serves as well as a new one.
                self.claim = Some((now, row.number));
                self.notice(row.number, Urgency::Info, row.sentence.into());
            }
        }
    }

    fn own(&mut self, now: Time, rule: u16, revision: u64) {
        self.role = Role::Owner { since: now, detached: false };
        self.claim = None;
        self.rival = None;
        self.eager_until = now;
        self.hold_until = now;
        self.look_at = now + self.settings.length() / 3;
        let why = RIVAL.iter().find(|row| row.number == rule).map_or("", |row| row.sentence);
        self.outputs.push_back(Output::Own { rule, why: why.into(), epoch: Some(revision) });
        self.tell_validity();
    }

    /// An owner that had lost touch has a valid lease again.
    fn attach(&mut self, now: Time) {
        if let Some(lease) = self.lease
            && now < self.end(&lease)
        {
            self.role = Role::Owner { since: now, detached: false };
            self.look_at = now;
            self.tell_validity();
        }
    }

    fn tell_validity(&mut self) {
        // One that is kept without a lease must not vanish at a lease's end.
        if self.settings.no_quorum == NoQuorum::Release
            && let Some(until) = self.valid_until()
        {
            self.outputs.push_back(Output::Valid { until: until - KERNEL });
        }
    }

    /// Does what is due.
    fn step(&mut self, now: Time) {
        self.judge(now, OwnerView::default());
        self.jobs.retain(|_, job| now < job.until);
        self.keep_lease(now);
        self.end_doomed(now);
        let owner = match self.role {
            Role::Owner { detached, .. } => Some(detached),
            Role::Waiting => None,
            Role::Aside | Role::Leaving => return,
        };
        if let Some((at, rule)) = self.claim
            && now >= at
            && !self.asking(|job| matches!(job.kind, Kind::Claim(_)))
        {
            self.claim = None;
            if let Some(lease) = self.fresh(now) {
                let (key, value) = (self.settings.key.clone(), self.settings.value());
                self.ask(now, Kind::Claim(rule), lease, Request::Claim { key, value, lease });
            } else {
                // It is being granted or renewed.
                self.claim = Some((now + self.settings.retry() / 10, rule));
                self.lease.iter_mut().for_each(|lease| lease.renew_at = lease.renew_at.min(now));
                self.keep_lease(now);
            }
        }
        if now >= self.look_at && !self.asking(|job| matches!(job.kind, Kind::Look | Kind::Claim(_))) {
            let key = self.settings.key.clone();
            // Every other look asks how its lease stands; the key may be gone although the lease is not.
            let request = match self.rival.take().filter(|_| owner.is_none()) {
                Some(lease) => Request::Remaining { lease },
                None => Request::Look { key },
            };
            let pause = if owner == Some(false) { self.settings.length() / 3 } else { self.settings.retry() };
            self.look_at = now + pause;
            self.ask(now, Kind::Look, 0, request);
        }
    }

    fn keep_lease(&mut self, now: Time) {
        if self.role == Role::Waiting && self.lease.is_some_and(|lease| now >= self.end(&lease)) {
            // Not ended on purpose: the store could not be reached, and it ends by itself.
            self.lease = None;
            self.grant_at = now;
        }
        let pause = self.settings.retry() / 2;
        match self.lease {
            Some(lease) => {
                let renewing = |job: &Job| job.kind == Kind::KeepAlive && job.lease == lease.id;
                if now >= lease.renew_at && !self.asking(renewing) {
                    if let Some(lease) = &mut self.lease {
                        lease.renew_at = now + pause;
                    }
                    self.ask(now, Kind::KeepAlive, lease.id, Request::KeepAlive { lease: lease.id });
                }
            }
            None => {
                let wanted = matches!(self.role, Role::Waiting | Role::Owner { .. });
                if wanted && now >= self.grant_at && !self.asking(|job| job.kind == Kind::Grant) {
                    self.grant_at = now + pause;
                    self.ask(now, Kind::Grant, 0, Request::Grant { seconds: self.settings.seconds() });
                }
            }
        }
    }

    fn doom(&mut self, now: Time, lease: &Grant) {
        if self.doomed.iter().all(|doomed| doomed.id != lease.id) {
            // Twice its length: a renewal may be under way.
            let until = lease.sent + lease.ttl * 2 + EXPIRY;
            self.doomed.push(Doomed { id: lease.id, until, again_at: now });
        }
    }

    fn end_doomed(&mut self, now: Time) {
        let pause = self.settings.retry() / 2;
        self.doomed.retain(|doomed| now < doomed.until);
        let due: Vec<i64> = self.doomed.iter().filter(|d| now >= d.again_at).map(|d| d.id).collect();
        for id in due {
            if !self.asking(|job| job.kind == Kind::Revoke && job.lease == id) {
                self.ask(now, Kind::Revoke, id, Request::Revoke { lease: id });
            }
            self.doomed.iter_mut().filter(|d| d.id == id).for_each(|d| d.again_at = now + pause);
        }
    }

    /// The lease to claim with, if it is good for long enough to be of use.
    fn fresh(&self, now: Time) -> Option<i64> {
        let lease = self.lease.as_ref()?;
        (now + lease.ttl / 4 < self.end(lease)).then_some(lease.id)
    }

    fn end(&self, lease: &Grant) -> Time {
        lease.sent + self.settings.validity(lease.ttl)
    }

    /// How long this host lets others go first.
    fn stand_off(&self) -> Duration {
        let retry = self.settings.retry();
        if self.score.is_good() {
            retry * u32::from(SCORE_WANTED.saturating_sub(self.score.0)) / u32::from(SCORE_WANTED)
        } else if self.score.0 == SCORE_BARRED {
            retry * 2
        } else {
            retry * 3
        }
    }

    fn look_pause(&self) -> Duration {
        let retry = self.settings.retry();
        if self.overdue { retry / 5 } else { retry }
    }

    fn asking(&self, which: impl Fn(&Job) -> bool) -> bool {
        self.jobs.values().any(which)
    }

    fn ask(&mut self, now: Time, kind: Kind, lease: i64, request: Request) {
        self.last_job += 1;
        let timeout = self.settings.length() / 4;
        self.jobs.insert(self.last_job, Job { kind, lease, sent: now, until: now + timeout + LATE });
        self.outputs.push_back(Output::Do(Ask { job: self.last_job, request, timeout }));
    }

    fn notice(&mut self, rule: u16, urgency: Urgency, words: String) {
        self.outputs.push_back(Output::Notice(Notice { rule, urgency, words }));
    }

    /// Tells once that the store cannot be asked, and once that it can again.
    fn note(&mut self, now: Time, job: &Job, answer: &Answer) {
        let Answer::Failed(Failure { trouble, words }) = answer else {
            if self.trouble.take().is_some() {
                self.notice(STORE, Urgency::Info, "the store answers again".into());
            }
            return;
        };
        let urgency = |trouble| match trouble {
            Trouble::Unreachable | Trouble::NoQuorum => Urgency::Warning,
            Trouble::Denied | Trouble::Garbage | Trouble::Refused => Urgency::Alarm,
        };
        let before = self.trouble.map(urgency);
        self.trouble = Some(*trouble);
        let urgency = urgency(*trouble);
        if before == Some(urgency) || job.kind == Kind::Revoke {
            return;
        }
        let rest = self.valid_until().map_or(String::new(), |until| {
            format!("; the ownership is good for another {} ms", until.since(now).as_millis())
        });
        self.notice(STORE, urgency, format!("the store does not answer as it should: {words}{rest}"));
    }
}

/// The row after which others come first.
const LEAVES: u16 = 752;
/// The row by which an heir claims.
const HEIR: u16 = 761;

impl Ownership for Lease {
    type Action = Ask;

    fn wish(&mut self, now: Time, score: Score) {
        self.score = score;
        self.young_until.get_or_insert(now + self.settings.length() * 2);
        match self.role {
            Role::Aside if score.stands() => {
                self.role = Role::Waiting;
                self.look_at = now;
                self.grant_at = now;
            }
            Role::Waiting if !score.stands() => {
                self.role = Role::Aside;
                self.claim = None;
                self.eager_until = now;
                if let Some(lease) = self.lease.take() {
                    self.doom(now, &lease);
                }
            }
            _ => {}
        }
        self.step(now);
    }

    fn leave(&mut self, now: Time, _leaving: Leaving) {
        self.judge(now, OwnerView { leave: true, ..OwnerView::default() });
        self.step(now);
    }

    fn released(&mut self, now: Time) {
        if self.role == Role::Leaving {
            self.role = if self.score.stands() { Role::Waiting } else { Role::Aside };
            self.grant_at = now;
            self.look_at = now + self.settings.retry();
            if let Some(lease) = self.lease.take() {
                self.doom(now, &lease);
            }
        }
        self.step(now);
    }

    fn claim(&mut self, now: Time) {
        if self.role == Role::Waiting {
            self.eager_until = now + EAGER_FOR;
            self.hold_until = now;
            self.claim = Some((now, HEIR));
        }
        self.step(now);
    }

    fn handle_timer(&mut self, now: Time) {
        self.step(now);
    }

    fn poll(&mut self) -> Option<Output<Ask>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Time {
        let mut at = self.jobs.values().map(|job| job.until).min().unwrap_or(Time::NEVER);
        at = self.doomed.iter().map(|doomed| doomed.again_at.min(doomed.until)).fold(at, Time::min);
        if let Some(end) = self.valid_until() {
            at = at.min(end);
        }
        let stands = matches!(self.role, Role::Waiting | Role::Owner { .. });
        match self.lease {
            Some(lease) => {
                if !self.asking(|job| job.kind == Kind::KeepAlive && job.lease == lease.id) {
                    at = at.min(lease.renew_at);
                }
                if self.role == Role::Waiting {
                    at = at.min(self.end(&lease));
                }
            }
            None if stands && !self.asking(|job| job.kind == Kind::Grant) => at = at.min(self.grant_at),
            None => {}
        }
        if !stands {
            return at;
        }
        let claiming = self.asking(|job| matches!(job.kind, Kind::Claim(_)));
        if let (Some((claim_at, _)), false) = (self.claim, claiming) {
            at = at.min(claim_at);
        }
        if !claiming && !self.asking(|job| job.kind == Kind::Look) {
            at = at.min(self.look_at);
        }
        at
    }

    fn owns(&self) -> bool {
        matches!(self.role, Role::Owner { .. })
    }

    fn down_interval(&self) -> Duration {
        self.settings.length() + EXPIRY + self.settings.retry()
    }
}
