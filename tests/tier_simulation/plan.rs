//! What happens in one schedule: the tier, its settings, and the disturbances, all from the seed.

use crate::random::Random;
use primacy::config::{ClaimOrder, HookFailure, LastHost};

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1000 * MS;

/// A fault of agent, kernel or network that the judge must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The kernel keeps addresses for a minute, whatever lifetime was asked for.
    NoLifetime,
    /// `Remove` is done before `Destroy`.
    RemoveFirst,
    /// No announcement leaves the host.
    NoAnnouncement,
    /// The end of `Remove` is never told.
    NoReleased,
    /// `Remove` is told and not done.
    NotRemoved,
    /// Validity counts from the answer; and the same world, where it does not.
    FromAnswer,
    SlowAnswers,
    /// etcd's revisions stand still.
    SameEpoch,
    /// etcd gives the key although another holds it.
    TwoHolders,
    /// The timer is judged before what the socket holds.
    TimerFirst,
    /// A clock that is a third too fast, for a skew that is too short.
    FastClock,
    /// A cancelled program goes on beside the next.
    TwoHooks,
    /// What the backend is counts for the service.
    BackendCounts,
    /// Orders of operators do not arrive.
    DeafToOrders,
    /// The row of that number is not in the table of VRRP.
    Without(u16),
}

/// What happens from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// What the first sends does not reach the second; etcd is the host behind the last one.
    Cut(usize, usize),
    /// The host hears and reaches nobody; etcd too with `true`.
    Isolate(usize, bool),
    Heal,
    Loss(u64),
    Delay(u64),
    Duplicate(u64),
    /// The agent does nothing for so many milliseconds.
    Stall(usize, u64),
    /// The agent dies, the kernel lives.
    Kill(usize),
    /// The agent dies at that step of a claim or release from now on.
    KillAtStep(usize, u32),
    /// The host dies.
    Crash(usize),
    Start(usize),
    Local(usize, bool),
    Backend(usize, bool),
    Move(usize),
    Unmove,
    Standby(usize, bool),
    Clear(usize),
    Link(usize, bool),
    /// So many of the next steps fail: `add`, `refresh`, `block`, `remove`.
    StepsFail(usize, &'static str, u32),
    /// The address is removed by hand.
    RemoveByHand(usize),
    /// Somebody else answers for the address.
    Stranger(u64),
    EngineFails(usize),
    Stop(usize),
    StoreDown(bool),
    Leaderless(bool),
    NewLeader,
    RevokeByHand,
    DeleteByHand,
}

/// One schedule.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub hosts: usize,
    pub vips: usize,
    pub lease: bool,
    pub ignore: bool,
    pub v4: bool,
    pub v6: bool,
    /// Milliseconds from one advert to the next.
    pub interval: u64,
    /// Seconds of a lease.
    pub ttl: u64,
    pub scores: Vec<u8>,
    pub stickiness: u8,
    pub preempt_delay: u64,
    pub last_host: LastHost,
    pub threshold: u32,
    /// Milliseconds.
    pub failure_timeout: u64,
    pub restart_interval: u64,
    pub hooks: bool,
    pub restart: bool,
    /// Somebody else answers for the address from the start.
    pub stranger: bool,
    /// Seconds from one state on the peer channel to the next, in halves.
    pub peers: u64,
    pub order: ClaimOrder,
    pub failure: HookFailure,
    /// Milliseconds that programs run, and percent of them that fail or hang.
    pub hook_time: u64,
    pub hook_bad: u64,
    /// Host 0 has priority 255.
    pub address_owner: bool,
    /// Host 0 speaks otherwise than the others: 1 checksum, 2 addresses, 3 version, 4 key of the peer channel.
    pub odd: u8,
    /// Parts in a million by which clocks run fast.
    pub ppm: Vec<i64>,
    /// Nanoseconds of the longest way.
    pub delay: u64,
    pub acts: Vec<(u64, Act)>,
    /// When the disturbances end, and the schedule.
    pub calm_at: u64,
    pub end: u64,
    pub fault: Fault,
}

impl Plan {
    /// How long an own hold lasts without news, in nanoseconds.
    pub fn fence(&self) -> u64 {
        (2 * self.down(1)).max(2 * SECOND)
    }

    /// The down interval at that score.
    pub fn down(&self, score: u8) -> u64 {
        let adver = self.interval * MS;
        if self.lease {
            self.ttl * SECOND + 500 * MS + self.retry()
        } else {
            adver * 3 + adver * (256 - u64::from(score)) / 256
        }
    }

    pub fn retry(&self) -> u64 {
        (self.ttl * SECOND / 5).min(500 * MS)
    }

    /// How long a program may run.
    pub fn hook_timeout(&self) -> u64 {
        800 * MS
    }

    /// For how long nobody may have the address while a host that could is there and nothing else happens:
    ///
    /// - vrrp: the down interval of the lowest score, once more if what a leaver said was lost or its heir is dead, once more if who takes over is
    ///   not in order and lets go for who may be better (row 717);
    /// - lease: its length as etcd counts it, its look-through, three retries of standing off, a question that timed out and the look after it;
    /// - both: asking at the start, which waits for a dead agent's address to go (`self_fence` + 1 s, then 1.2 s), a program before the claim.
    pub fn nobody_bound(&self) -> u64 {
        let hook = if self.hooks && self.order == ClaimOrder::Before { 2 * self.hook_timeout() } else { 0 };
        let one = match self.lease {
            false => 3 * self.down(1) + 100 * MS,
            true => {
                self.ttl * SECOND * 3 / 2 + 500 * MS + 8 * self.retry() + self.ttl * SECOND / 2 + 1000 * MS
            }
        };
        let asking = if self.stranger { self.fence() + 2500 * MS } else { 0 };
        one + hook + asking + 250 * MS
    }

    /// For how long a lost, killed or stalled agent may leave the address beside another's.
    pub fn double_bound(&self) -> u64 {
        self.fence() + SECOND + 250 * MS
    }

    /// For how long two may have an address while one takes it over from the other on a sound network.
    pub fn overlap_bound(&self) -> u64 {
        3 * self.delay + 12 * MS
    }

    pub fn new(seed: u64, fault: Fault) -> Plan {
        let mut r = Random(seed ^ 0x5eed_71e5);
        let hosts = r.pick(&[2, 2, 3, 3, 3, 4]);
        let lease = r.chance(45);
        let ignore = lease && r.chance(15);
        let (v4, v6) = r.pick(&[(true, false), (true, false), (true, false), (false, true), (true, true)]);
        let interval = r.pick(&[300, 500, 1000]);
        let kind = r.below(24);
        let scores = (0..hosts)
            .map(|i| if r.chance(50) { 200 - 50 * i as u8 } else { 100 + r.below(3) as u8 })
            .collect();
        let mut plan = Plan {
            seed,
            hosts,
            vips: if r.chance(8) { 2 } else { 1 },
            lease,
            ignore,
            v4,
            v6,
            interval,
            ttl: r.pick(&[2, 3, 5]),
            scores,
            stickiness: r.pick(&[0, 0, 10, 254]),
            preempt_delay: r.pick(&[0, 0, 700]),
            last_host: if r.chance(20) { LastHost::Release } else { LastHost::Hold },
            threshold: r.pick(&[1, 1, 2]),
            failure_timeout: r.pick(&[2000, 6000, 60_000]),
            restart_interval: 1000,
            hooks: r.chance(35),
            restart: r.chance(20),
            stranger: kind == 22,
            peers: if kind == 23 { 1 } else { 4 },
            order: if r.chance(40) { ClaimOrder::Before } else { ClaimOrder::Beside },
            failure: if r.chance(30) { HookFailure::Release } else { HookFailure::Alarm },
            hook_time: r.pick(&[5, 50, 300]),
            hook_bad: r.pick(&[0, 10, 50]),
            address_owner: !lease && r.chance(4),
            odd: if r.chance(6) { if lease { 4 } else { r.between(1, 4) as u8 } } else { 0 },
            // One percent either way of etcd's clock, which is within the margin of 2 % of the lease and more; two percent of each other.
            ppm: (0..hosts).map(|_| r.below(20_001) as i64 - 10_000).collect(),
            delay: r.pick(&[MS, MS, 4 * MS]),
            acts: Vec::new(),
            calm_at: 0,
            end: 0,
            fault,
        };
        let slow = matches!(fault, Fault::FromAnswer | Fault::SlowAnswers);
        if slow {
            // The owner has long ways back from etcd, on which it matters, and is cut off from it.
            (plan.lease, plan.ignore, plan.ttl, plan.odd) = (true, false, 5, 0);
            plan.scores = (0..hosts).map(|i| 200 - 50 * i as u8).collect();
            plan.acts = vec![(6 * SECOND + r.below(4000) * MS, Act::Cut(0, hosts))];
            (plan.calm_at, plan.end) = (20 * SECOND, 22 * SECOND);
        }
        if fault == Fault::FastClock {
            plan.ppm[0] = 330_000;
        }
        if plan.odd == 3 {
            plan.interval = 1000;
            (plan.v4, plan.v6) = (true, false);
        }
        if !slow {
            plan.acts(&mut r, kind);
        }
        plan
    }

    /// Disturbances of some kind, often the same one several times.
    fn acts(&mut self, r: &mut Random, kind: u64) {
        let mut at = 2 * SECOND + r.below(2 * SECOND);
        if self.lease || self.interval == 1000 {
            at += 2 * SECOND;
        }
        let count = r.between(1, 5);
        for _ in 0..count {
            let host = r.below(self.hosts as u64) as usize;
            // Most disturbances hit the one who is most likely to own.
            let host = if r.chance(40) { 0 } else { host };
            let other = r.below(self.hosts as u64 + u64::from(self.lease)) as usize;
            let soon = at + r.between(50, 3000) * MS;
            let mut add = |at: u64, act: Act| self.acts.push((at, act));
            let which = if r.chance(70) { kind } else { r.below(24) };
            match which {
                0 => add(at, Act::Cut(host, other)),
                1 => add(at, Act::Isolate(host, r.chance(50))),
                2 => {
                    add(at, Act::Loss(r.pick(&[5, 20, 60])));
                    add(soon, Act::Loss(0));
                }
                3 => {
                    add(at, Act::Delay(r.pick(&[20, 100, 400]) * MS));
                    add(at, Act::Duplicate(r.pick(&[0, 30])));
                    add(soon, Act::Delay(self.delay));
                }
                4 => add(at, Act::Stall(host, r.pick(&[50, 300, 1000, 2500, 4000, 7000, 10_000]))),
                5 => {
                    add(at, Act::Kill(host));
                    add(soon, Act::Start(host));
                }
                6 => {
                    add(at, Act::Crash(host));
                    add(soon + r.below(4) * SECOND, Act::Start(host));
                }
                7 | 8 => {
                    add(at, Act::Local(host, false));
                    if r.chance(70) {
                        add(soon, Act::Local(host, true));
                    }
                    if r.chance(20) {
                        add(soon + 300 * MS, Act::Clear(host));
                    }
                }
                9 => {
                    add(at, Act::Backend(host, false));
                    add(soon, Act::Backend(host, true));
                }
                10 => {
                    add(at, Act::Move(host));
                    if r.chance(40) {
                        add(soon, Act::Unmove);
                    }
                }
                11 => {
                    add(at, Act::Standby(host, true));
                    if r.chance(60) {
                        add(soon, Act::Standby(host, false));
                    }
                }
                12 => {
                    add(at, Act::Link(host, false));
                    add(soon, Act::Link(host, true));
                }
                13 => {
                    let count = r.between(1, 4) as u32;
                    add(
                        at,
                        Act::StepsFail(
                            host,
                            r.pick(&["add", "refresh", "block", "destroy", "remove", "remove"]),
                            count,
                        ),
                    );
                    add(
                        at + MS,
                        if r.chance(50) {
                            Act::Move(other.min(self.hosts - 1))
                        } else {
                            Act::Local(host, false)
                        },
                    );
                    if r.chance(50) {
                        add(at + 100 * MS, Act::Crash(other.min(self.hosts - 1)));
                    }
                }
                14 => {
                    add(at, Act::KillAtStep(host, r.below(8) as u32));
                    add(
                        at + MS,
                        if r.chance(50) {
                            Act::Move(other.min(self.hosts - 1))
                        } else {
                            Act::Local(host, false)
                        },
                    );
                    add(soon + SECOND, Act::Start(host));
                }
                15 => add(at, if r.chance(50) { Act::RemoveByHand(host) } else { Act::Stranger(8) }),
                16 => add(at, if r.chance(70) { Act::Stop(host) } else { Act::EngineFails(host) }),
                20 => {
                    // It cannot be taken off, and the agent is stopped meanwhile.
                    add(at, Act::StepsFail(host, "remove", 200));
                    add(
                        at + MS,
                        if r.chance(50) { Act::Standby(host, true) } else { Act::Local(host, false) },
                    );
                    add(at + 200 * MS, Act::Stall(host, 4 * self.interval + 300));
                    add(at + 9 * SECOND, Act::Standby(host, false));
                }
                21 => {
                    // It cannot be taken off, and a better one comes.
                    add(at, Act::StepsFail(host, "remove", 200));
                    add(
                        at + MS,
                        if r.chance(50) { Act::Standby(host, true) } else { Act::Local(host, false) },
                    );
                    add(at + 300 * MS, Act::Move(other.min(self.hosts - 1)));
                }
                22 => add(at, Act::Stranger(8)),
                23 => {
                    // It cannot be taken off before its heir is gone.
                    add(at, Act::StepsFail(host, "remove", 200));
                    add(at + MS, Act::Standby(host, true));
                    for index in (0..self.hosts).filter(|index| *index != host) {
                        add(at + 100 * MS, Act::Crash(index));
                        add(at + 12 * SECOND, Act::Start(index));
                    }
                    add(at + 12 * SECOND, Act::Standby(host, false));
                }
                17 if self.lease => {
                    let act = r.pick(&[Act::StoreDown(true), Act::Leaderless(true), Act::NewLeader]);
                    add(at, act);
                    let back = soon + r.pick(&[0, 2, 6]) * SECOND;
                    add(back, Act::StoreDown(false));
                    add(back, Act::Leaderless(false));
                }
                18 if self.lease => add(at, r.pick(&[Act::RevokeByHand, Act::DeleteByHand])),
                _ => {
                    if self.lease && r.chance(50) {
                        // Questions arrive, answers do not.
                        let etcd = self.hosts;
                        (0..self.hosts).for_each(|to| add(at - MS, Act::Cut(etcd, to)));
                        add(at + r.between(100, 900) * MS, Act::Heal);
                    }
                    // A host goes, and the next by name with it: what the first said of its heir is stale.
                    add(at, Act::Local(host, false));
                    add(at + 20 * MS, Act::Move(other.min(self.hosts - 1)));
                    add(soon, Act::Local(host, true));
                    add(soon, Act::Clear(host));
                }
            }
            at += r.between(100, 4000) * MS;
            if r.chance(40) {
                self.acts.push((at, Act::Heal));
            }
        }
        if self.stranger {
            self.acts.push((1, Act::Stranger((self.fence() + 2 * SECOND) / (150 * MS))));
        }
        let last = self.acts.iter().map(|(at, _)| *at).max().unwrap_or(at);
        self.calm_at = last + r.between(100, 1000) * MS;
        self.end = self.calm_at + self.nobody_bound() + 2 * SECOND;
        if r.chance(15) {
            self.end += self.failure_timeout.min(6000) * MS;
        }
        self.acts.sort_by_key(|(at, _)| *at);
    }
}
