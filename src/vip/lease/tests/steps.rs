//! Scenes: single decisions, and how long they take.

use super::world::{MS, SECOND, World};
use crate::config::vip::NoQuorum;
use crate::engine::time::{Duration, Time};
use crate::vip::lease::etcd::failure;
use crate::vip::lease::{Answer, Ask, Holder, Lease, Request, Settings, Trouble};
use crate::vip::ownership::{Leaving, Output, Ownership, Score, Urgency};

fn settings(no_quorum: NoQuorum) -> Settings {
    Settings {
        key: "/primacy/vip/web".into(),
        host: "rt1".into(),
        place: "boot 1, net 1".into(),
        life: "a".into(),
        ttl: Duration::from_secs(5),
        margin: Duration::from_millis(100),
        no_quorum,
    }
}

/// A machine and what it has put out.
struct Scene {
    lease: Lease,
    now: Time,
    asked: Vec<Ask>,
    said: Vec<Output<Ask>>,
}

impl Scene {
    fn new(no_quorum: NoQuorum) -> Scene {
        let mut scene = Scene {
            lease: Lease::new(settings(no_quorum)),
            now: Time::from_millis(1_000_000),
            asked: Vec::new(),
            said: Vec::new(),
        };
        scene.tell(|lease, now| lease.wish(now, Score(100)));
        scene
    }

    fn tell(&mut self, call: impl FnOnce(&mut Lease, Time)) {
        call(&mut self.lease, self.now);
        while let Some(output) = self.lease.poll() {
            match output {
                Output::Do(ask) => self.asked.push(ask),
                other => self.said.push(other),
            }
        }
    }

    /// Answers the newest question of that kind.
    fn answer(&mut self, which: impl Fn(&Request) -> bool, answer: Answer) {
        let at = self.asked.iter().rposition(|ask| which(&ask.request));
        let at = at.unwrap_or_else(|| panic!("not asked: {:?}", self.asked));
        let ask = self.asked.remove(at);
        self.tell(|lease, now| lease.handle_answer(now, ask.job, answer));
    }

    fn pass(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while self.lease.poll_timeout() <= until {
            self.now = self.now.max(self.lease.poll_timeout());
            self.tell(|lease, now| lease.handle_timer(now));
        }
        self.now = until;
        self.tell(|lease, now| lease.handle_timer(now));
    }

    fn owner(no_quorum: NoQuorum) -> Scene {
        let mut scene = Scene::new(no_quorum);
        scene.answer(is_grant, granted(7));
        scene.answer(is_look, Answer::Free);
        scene.pass(400);
        scene.answer(is_claim, Answer::Claimed { revision: 12 });
        assert!(scene.lease.owns());
        scene
    }

    fn lost_by(&self) -> Option<u16> {
        self.said.iter().find_map(|output| match output {
            Output::Lose { rule, .. } => Some(*rule),
            _ => None,
        })
    }

    fn notices(&self) -> Vec<(u16, Urgency)> {
        self.said
            .iter()
            .filter_map(|output| match output {
                Output::Notice(notice) => Some((notice.rule, notice.urgency)),
                _ => None,
            })
            .collect()
    }
}

fn is_grant(request: &Request) -> bool {
    matches!(request, Request::Grant { .. })
}
fn is_look(request: &Request) -> bool {
    matches!(request, Request::Look { .. })
}
fn is_claim(request: &Request) -> bool {
    matches!(request, Request::Claim { .. })
}
fn is_keep(request: &Request) -> bool {
    matches!(request, Request::KeepAlive { .. })
}

fn granted(lease: i64) -> Answer {
    Answer::Granted { lease, ttl: Duration::from_secs(5) }
}

fn alive() -> Answer {
    Answer::Alive { ttl: Duration::from_secs(5) }
}

fn holder(host: &str, place: &str, life: &str, lease: i64) -> Answer {
    let value = format!("{{\"host\":\"{host}\",\"place\":\"{place}\",\"life\":\"{life}\"}}");
    Answer::Held(Holder { value, lease, revision: 11 })
}

fn unreachable() -> Answer {
    failure(Trouble::Unreachable, "connection refused")
}

#[test]
fn validity_counts_from_the_moment_of_sending() {
    let mut scene = Scene::new(NoQuorum::Release);
    let sent = scene.now;
    // The grant's answer takes a second.
    scene.pass(1000);
    scene.answer(is_grant, granted(7));
    scene.answer(is_look, Answer::Free);
    scene.pass(400);
    scene.answer(is_claim, Answer::Claimed { revision: 12 });
    let end = sent + Duration::from_millis(4900);
    assert_eq!(scene.lease.valid_until(), Some(end));
    assert_eq!(
        scene.said[0..2],
        [
            Output::Own { rule: 763, why: "nobody holds the key".into(), epoch: Some(12) },
            // The kernel may be a quarter of a second late.
            Output::Valid { until: end - Duration::from_millis(250) },
        ]
    );
    // A renewal whose answer is late counts from its sending, too.
    let renewed = scene.now;
    assert!(scene.now < sent + Duration::from_millis(1667), "not due yet");
    scene.pass(267);
    let renewed = scene.now.max(renewed);
    scene.pass(1000);
    scene.answer(is_keep, alive());
    let until = scene.lease.valid_until().expect("valid");
    assert!(until <= renewed + Duration::from_millis(4900) && until > end, "{until} {renewed}");
}

#[test]
fn an_answer_that_comes_after_the_end_revives_nothing() {
    let mut scene = Scene::owner(NoQuorum::Release);
    scene.pass(1700);
    let keep = scene.asked.iter().find(|ask| is_keep(&ask.request)).map(|ask| ask.job).expect("renewed");
    // The process was stopped, and finds the answer before its own timer.
    scene.now = scene.now + Duration::from_secs(60);
    scene.tell(|lease, now| lease.handle_answer(now, keep, alive()));
    assert_eq!(scene.lost_by(), Some(758));
    assert!(!scene.lease.owns());
}

#[test]
fn a_lease_that_is_not_renewed_is_lost_in_time_and_said_why() {
    let mut scene = Scene::owner(NoQuorum::Release);
    let end = scene.lease.valid_until().expect("valid");
    while scene.lost_by().is_none() {
        scene.pass(10);
        while let Some(at) = scene.asked.iter().position(|ask| is_keep(&ask.request) || is_look(&ask.request))
        {
            let ask = scene.asked.remove(at);
            scene.tell(|lease, now| lease.handle_answer(now, ask.job, unreachable()));
        }
        assert!(scene.now < end + Duration::from_millis(20));
    }
    assert_eq!(scene.lost_by(), Some(758));
    assert!(scene.now >= end);
    assert_eq!(scene.notices(), [(760, Urgency::Warning)], "told once");
    // Nothing that lets another host in before the address is off; then the lease is ended, and a new one asked for.
    assert!(scene.asked.iter().all(|ask| !matches!(ask.request, Request::Revoke { .. })));
    scene.asked.clear();
    scene.tell(|lease, now| lease.released(now));
    assert!(scene.asked.iter().any(|ask| ask.request == Request::Revoke { lease: 7 }), "{:?}", scene.asked);
    assert!(scene.asked.iter().any(|ask| is_grant(&ask.request)));
}

#[test]
fn a_lease_ended_by_hand_is_lost_at_once() {
    let mut scene = Scene::owner(NoQuorum::Release);
    scene.pass(1700);
    scene.answer(is_keep, Answer::NoLease);
    assert_eq!(scene.lost_by(), Some(755));
    let mut scene = Scene::owner(NoQuorum::Release);
    scene.pass(2000);
    scene.answer(is_look, Answer::Free);
    assert_eq!(scene.lost_by(), Some(756), "the key alone was removed");
    let mut scene = Scene::owner(NoQuorum::Ignore);
    scene.pass(2000);
    scene.answer(is_look, holder("rt2", "p", "b", 9));
    assert_eq!(scene.lost_by(), Some(753), "somebody put another");
}

#[test]
fn ignoring_a_store_that_is_gone() {
    let mut scene = Scene::owner(NoQuorum::Ignore);
    assert!(!scene.said.iter().any(|output| matches!(output, Output::Valid { .. })), "no end for the kernel");
    scene.pass(60_000);
    assert_eq!(scene.lost_by(), None);
    assert!(scene.lease.owns() && scene.lease.valid_until().is_none());
    assert_eq!(scene.notices(), [(757, Urgency::Alarm)], "told once");
    // The store is back, and has ended the lease: the owner takes a new one without leaving.
    let keep = scene.asked.iter().rposition(|ask| is_keep(&ask.request)).expect("still tried");
    let job = scene.asked.remove(keep).job;
    scene.asked.clear();
    scene.tell(|lease, now| lease.handle_answer(now, job, Answer::NoLease));
    scene.answer(is_grant, granted(8));
    scene.pass(600);
    scene.answer(is_claim, Answer::Claimed { revision: 40 });
    assert!(scene.lease.owns() && scene.lease.valid_until().is_some());
    assert_eq!(scene.lost_by(), None);
    // Had another claimed meanwhile, it is the owner.
    let mut scene = Scene::owner(NoQuorum::Ignore);
    scene.pass(60_000);
    let look = scene.asked.iter().rposition(|ask| is_look(&ask.request)).expect("still tried");
    let job = scene.asked.remove(look).job;
    scene.tell(|lease, now| lease.handle_answer(now, job, holder("rt2", "p", "b", 9)));
    assert_eq!(scene.lost_by(), Some(753));
}

#[test]
fn what_an_earlier_life_left() {
    let start = |answer: Answer| {
        let mut scene = Scene::new(NoQuorum::Release);
        scene.answer(is_grant, granted(7));
        scene.answer(is_look, answer);
        scene
    };
    // Since this machine's start, in this network namespace: nobody else can have the address by that key.
    let mut scene = start(holder("rt1", "boot 1, net 1", "earlier", 5));
    let over = |request: &Request| matches!(request, Request::TakeOver { lease: 7, revision: 11, .. });
    scene.answer(over, Answer::Claimed { revision: 13 });
    assert!(scene.lease.owns() && scene.lease.rule() == 759);
    // Before the machine's start, or on another machine of that name: waited for.
    let scene = start(holder("rt1", "boot 0, net 1", "earlier", 5));
    assert_eq!((scene.lease.rule(), scene.notices()), (767, vec![(767, Urgency::Warning)]));
    // A lease of this very process.
    let scene = start(holder("rt1", "boot 1, net 1", "a", 5));
    assert_eq!(scene.lease.rule(), 765);
    assert!(scene.asked.iter().any(|ask| ask.request == Request::Revoke { lease: 5 }));
    // The lease in stock: a claim went through.
    let scene = start(holder("rt1", "boot 1, net 1", "a", 7));
    assert!(scene.lease.owns());
    // Anything that is no word of ours belongs to another.
    for value in ["", "x", "[]", "{\"host\":7}"] {
        let scene = start(Answer::Held(Holder { value: value.into(), lease: 0, revision: 3 }));
        assert_eq!(scene.lease.rule(), 769);
    }
    // Two processes of one place do not take turns for ever.
    let mut scene = start(holder("rt2", "p", "b", 9));
    scene.pass(11_000);
    if !scene.asked.last().is_some_and(|ask| is_look(&ask.request)) {
        scene.answer(|r| *r == Request::Remaining { lease: 9 }, Answer::NoLease);
    }
    scene.answer(is_look, holder("rt1", "boot 1, net 1", "other", 5));
    assert_eq!(scene.lease.rule(), 767);
}

#[test]
fn troubles_are_told_once_and_by_their_weight() {
    let mut scene = Scene::new(NoQuorum::Release);
    scene.answer(is_grant, failure(Trouble::Denied, "etcd says: permission denied"));
    scene.answer(is_look, failure(Trouble::Denied, "etcd says: permission denied"));
    assert_eq!(scene.notices(), [(760, Urgency::Alarm)]);
    assert_eq!(scene.lease.trouble(), Some(Trouble::Denied));
    scene.pass(600);
    scene.answer(is_grant, granted(7));
    assert_eq!(scene.notices().last(), Some(&(760, Urgency::Info)));
    assert_eq!(scene.lease.trouble(), None);
}

#[test]
fn out_gives_everything_back() {
    let mut scene = Scene::owner(NoQuorum::Release);
    scene.tell(|lease, now| lease.wish(now, Score(0)));
    assert_eq!(scene.lost_by(), Some(751));
    scene.asked.clear();
    scene.tell(|lease, now| lease.released(now));
    assert_eq!(scene.asked.len(), 1);
    scene.answer(|r| *r == Request::Revoke { lease: 7 }, Answer::NoLease);
    scene.pass(60_000);
    assert!(scene.asked.is_empty(), "{:?}", scene.asked);
    assert_eq!(scene.lease.poll_timeout(), Time::NEVER);
}

fn settled(hosts: usize, ttl: u64) -> (World, usize) {
    let mut world = World::new(7, hosts, ttl, NoQuorum::Release);
    world.run(5 * SECOND).expect("one owner");
    let owner = world.hosts.iter().position(|host| host.owns()).expect("an owner");
    (world, owner)
}

/// How long nobody had the address, from now on.
fn outage(world: &mut World, at_most: u64) -> u64 {
    let begun = world.now;
    let mut free = world.hosts.iter().all(|host| host.address.is_none()).then_some(begun);
    while world.now < begun + at_most {
        world.run(MS / 2).expect("never two");
        let none = world.hosts.iter().all(|host| host.address.is_none());
        match (none, free) {
            (true, None) => free = Some(world.now),
            (false, Some(since)) => return world.now - since,
            _ => {}
        }
    }
    panic!("nobody took over within {} ms: {:#?}", at_most / MS, world.log);
}

#[test]
fn the_highest_score_comes_first() {
    for seed in 0..20 {
        let mut world = World::new(seed, 3, 5, NoQuorum::Release);
        for (host, score) in [(0, 100), (1, 200), (2, 30)] {
            world.wish(host, score);
        }
        world.run(5 * SECOND).expect("one owner");
        assert!(world.hosts[1].owns(), "seed {seed}: {:?}", world.log);
    }
}

#[test]
fn a_planned_move_takes_a_few_round_trips() {
    let (mut world, owner) = settled(3, 5);
    let heir = (owner + 2) % 3;
    world.delay = MS / 2;
    world.leave(owner, Some(heir));
    let took = outage(&mut world, SECOND);
    assert!(took < 20 * MS, "{} us", took / 1000);
    assert!(world.hosts[heir].owns(), "the heir has it");
    let named = world.log.iter().any(|line| line.contains("Own { rule: 761"));
    assert!(named, "and knows why: {:?}", world.log);
    world.run(20 * SECOND).expect("one owner");
    assert!(world.hosts[heir].owns(), "and keeps it");
}

#[test]
fn leaving_to_anyone_lets_others_come_first() {
    let (mut world, owner) = settled(2, 5);
    world.leave(owner, None);
    let took = outage(&mut world, 3 * SECOND);
    assert!(took < 1500 * MS, "{} ms", took / MS);
    assert!(world.hosts[1 - owner].owns());
    // Alone, it comes back.
    let (mut world, owner) = settled(1, 5);
    world.leave(owner, None);
    outage(&mut world, 5 * SECOND);
    assert!(world.hosts[owner].owns());
}

#[test]
fn a_crash_is_over_within_the_lease_and_a_second() {
    for ttl in [2, 5, 10] {
        for phase in 0..25 {
            let (mut world, owner) = settled(3, ttl);
            world.run(phase * 137 * MS).expect("one owner");
            world.crash(owner, true);
            let took = outage(&mut world, (ttl + 5) * SECOND);
            assert!(took <= (ttl + 1) * SECOND, "ttl {ttl}: {} ms", took / MS);
        }
    }
}

#[test]
fn a_leaver_is_not_told_of_its_leave_twice() {
    let (mut world, owner) = settled(2, 5);
    let other = 1 - owner;
    // Neither a leave of who owns nothing nor a claim of who owns changes anything.
    world.leave(other, None);
    let local = world.hosts[owner].local(world.now);
    let machine = world.hosts[owner].machine.as_mut().expect("lives");
    machine.claim(local);
    machine.released(local);
    machine.leave(local, Leaving::ToAnyone);
    machine.leave(local, Leaving::ToAnyone);
    let lost = std::iter::from_fn(|| machine.poll()).filter(|o| matches!(o, Output::Lose { .. })).count();
    assert_eq!(lost, 1);
}
