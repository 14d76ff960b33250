//! One VIP: the steps in which its address comes and leaves, and what becomes of those that fail.

use crate::config::{
    ClaimOrder, HookConfig, HookFailure, LastHost, LeaseConfig, NoQuorum, OwnershipConfig, VipAddress,
    VipConfig,
};
use crate::engine::time::{Duration, Time};
use crate::vip::hooks::{HookEnd, HookKind};
use crate::vip::machine::{Effect, Peer, Stage, Vip};
use crate::vip::ownership::{Leaving, Output, Ownership, Score};
use crate::vip::step::{self, Step};
use std::collections::{BTreeMap, VecDeque};

/// An ownership that does as the test says, and keeps to the contract: `Own` and `Lose` alternate.
#[derive(Default)]
struct Script {
    owns: bool,
    released: u32,
    outputs: VecDeque<Output<()>>,
}

impl Script {
    fn own(&mut self, epoch: u64, until: Option<Time>) {
        self.owns = true;
        self.outputs.push_back(Output::Own { rule: 763, why: "free".into(), epoch: Some(epoch) });
        self.outputs.extend(until.map(|until| Output::Valid { until }));
    }

    fn lose(&mut self) {
        self.owns = false;
        self.outputs.push_back(Output::Lose { rule: 758, why: "over".into() });
    }
}

impl Ownership for Script {
    type Action = ();
    fn wish(&mut self, _: Time, score: Score) {
        if self.owns && !score.stands() {
            self.lose();
        }
    }
    fn leave(&mut self, _: Time, _: Leaving) {
        if self.owns {
            self.lose();
        }
    }
    fn released(&mut self, _: Time) {
        self.released += 1;
    }
    fn claim(&mut self, _: Time) {}
    fn handle_timer(&mut self, _: Time) {}
    fn poll(&mut self) -> Option<Output<()>> {
        self.outputs.pop_front()
    }
    fn poll_timeout(&self) -> Time {
        Time::NEVER
    }
    fn owns(&self) -> bool {
        self.owns
    }
    fn down_interval(&self) -> Duration {
        Duration::from_secs(1)
    }
}

const AT: fn(u64) -> Time = Time::from_millis;

fn config() -> VipConfig {
    VipConfig {
        name: "web".into(),
        addresses: vec![VipAddress::parse("10.0.0.101/16").unwrap()],
        interface: "eth0".into(),
        prefix_route: false,
        source: false,
        pool: None,
        ownership: OwnershipConfig::Lease(LeaseConfig {
            endpoints: vec!["http://10.0.0.1:2379".into()],
            key_prefix: "/primacy/vip/".into(),
            ttl: Duration::from_secs(5),
            margin: Duration::from_millis(100),
            no_quorum: NoQuorum::Release,
            ca: None,
            certificate: None,
            user: String::new(),
            password_file: None,
        }),
        self_fence: None,
        last_host: LastHost::Hold,
        migration_threshold: 1,
        failure_timeout: Duration::from_secs(60),
        location: 100,
        locations: BTreeMap::new(),
        stickiness: 0,
        preempt_delay: Duration::ZERO,
        restart: Vec::new(),
        restart_interval: Duration::from_secs(5),
        hooks: HookConfig {
            on_claim: vec!["claim".into()],
            on_release: vec!["release".into()],
            on_fault: vec!["fault".into()],
            order: ClaimOrder::Beside,
            timeout: Duration::from_secs(5),
            failure: HookFailure::Alarm,
        },
        announce_interval: Duration::from_secs(60),
    }
}

struct World {
    vip: Vip<()>,
    who: Script,
    now: Time,
    rows: Vec<u16>,
    /// Programs by number, that were begun.
    begun: Vec<(u64, HookKind)>,
}

impl World {
    /// Asked for at the start; nobody answered.
    fn new(config: VipConfig) -> World {
        let vip = Vip::new(config, "rt1", 1, Duration::from_secs(1));
        let mut world =
            World { vip, who: Script::default(), now: AT(1000), rows: Vec::new(), begun: Vec::new() };
        world.drive();
        assert_eq!(world.steps(), [Step::Ask]);
        world.at(1200);
        assert_eq!(world.steps(), []);
        world
    }

    fn drive(&mut self) {
        self.vip.drive(self.now, 1_000_000, &mut self.who);
    }

    fn at(&mut self, ms: u64) {
        self.now = AT(ms);
        self.drive();
    }

    /// The steps that are asked for; rows and programs are kept.
    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(effect) = self.vip.poll_effect() {
            match effect {
                Effect::Step(step) => steps.push(step),
                Effect::Tell(notice) => self.rows.push(notice.rule),
                Effect::Run { job, call } => self.begun.extend(job.map(|job| (job, call.kind))),
                _ => {}
            }
        }
        steps
    }

    fn done(&mut self, step: Step, outcome: Result<u32, String>) -> Vec<Step> {
        self.vip.stepped(self.now, 1_000_000, step, outcome, &mut self.who);
        self.steps()
    }

    fn own(&mut self, until_ms: u64) -> Vec<Step> {
        self.who.own(7, Some(AT(until_ms)));
        self.drive();
        self.steps()
    }
}

fn refused() -> Result<u32, String> {
    Err("EPERM".into())
}

#[test]
fn it_leaves_in_order_and_tells_only_then() {
    let mut w = World::new(config());
    let add = Step::Add { lifetime: 3 };
    assert_eq!(w.own(5000), [add], "3.8 s are left: whole seconds of it");
    assert_eq!(w.done(add, Ok(1)), [Step::Announce]);
    assert_eq!(w.begun, [(1, HookKind::Claim)]);
    w.vip.hook_ended(w.now, Some(1), &HookEnd::Exit(0, String::new()));
    w.who.lose();
    w.drive();
    assert_eq!(w.steps(), [Step::Block]);
    assert_eq!(w.done(Step::Block, Ok(1)), [Step::Destroy]);
    assert_eq!(w.done(Step::Destroy, Ok(3)), [Step::Remove]);
    assert_eq!(w.who.released, 0);
    assert_eq!(w.done(Step::Remove, Ok(1)), []);
    assert_eq!((w.who.released, w.vip.stage()), (1, Stage::Absent));
    assert_eq!(w.begun.last(), Some(&(2, HookKind::Release)));
}

#[test]
fn steps_of_a_release_that_fail_do_not_end_it() {
    let mut w = World::new(config());
    let add = Step::Add { lifetime: 3 };
    w.own(5000);
    w.done(add, Ok(1));
    w.who.lose();
    w.drive();
    w.steps();
    assert_eq!(w.done(Step::Block, refused()), [Step::Destroy]);
    assert_eq!(w.done(Step::Destroy, refused()), [Step::Remove]);
    assert_eq!(w.rows.iter().filter(|row| **row == step::RELEASE_FAILED).count(), 2);
    assert_eq!(w.done(Step::Remove, refused()), []);
    assert_eq!(
        (w.vip.stage(), w.who.released),
        (Stage::Stuck, 0),
        "the others are told nothing while it is here"
    );
    // It is tried again, and at the end of its lifetime it is gone without that.
    w.at(1300);
    assert_eq!(w.steps(), [Step::Remove]);
    w.done(Step::Remove, refused());
    assert_eq!(w.who.released, 0);
    w.at(4449);
    assert_eq!(w.steps(), [Step::Remove]);
    w.done(Step::Remove, refused());
    assert_eq!(w.who.released, 0, "3 s, and a quarter in which the kernel may be late");
    w.at(4550);
    w.steps();
    w.done(Step::Remove, refused());
    assert_eq!((w.who.released, w.vip.stage()), (1, Stage::Absent));
    assert_eq!(w.rows.iter().filter(|row| **row == step::REMOVE_FAILED).count(), 1, "told once");
}

#[test]
fn what_cannot_be_added_leaves_and_runs_no_on_claim() {
    let mut w = World::new(config());
    let add = Step::Add { lifetime: 3 };
    assert_eq!(w.own(5000), [add]);
    assert_eq!(w.done(add, refused()), [Step::Block]);
    assert_eq!(w.vip.score().1, 705);
    w.done(Step::Block, Ok(0));
    w.done(Step::Destroy, Ok(0));
    w.done(Step::Remove, Ok(0));
    assert_eq!(w.who.released, 1);
    assert!(w.begun.iter().all(|(_, kind)| *kind != HookKind::Claim), "{:?}", w.begun);
    assert!(w.rows.contains(&step::ADD_FAILED));
    // It stays away for failure_timeout, or until an operator clears it.
    w.at(61_100);
    assert_eq!(w.vip.score().1, 705);
    w.at(61_201);
    assert_eq!(w.vip.score().1, 712);
}

#[test]
fn the_kernel_never_keeps_it_longer_than_the_lease() {
    for until in (1300..8000).step_by(37) {
        let mut w = World::new(config());
        let steps = w.own(until);
        let left = until - 1200;
        match steps.as_slice() {
            [Step::Add { lifetime }] => {
                assert!(u64::from(*lifetime) * 1000 <= left, "{lifetime} s of {left} ms")
            }
            [] => assert!(left < 1000, "{left} ms are enough"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn with_less_than_a_second_it_is_added_with_the_next_renewal() {
    let mut w = World::new(config());
    assert_eq!(w.own(2100), []);
    assert_eq!(w.vip.stage(), Stage::Adding);
    w.now = AT(1500);
    w.who.outputs.push_back(Output::Valid { until: AT(4600) });
    w.drive();
    assert_eq!(w.steps(), [Step::Add { lifetime: 3 }]);
    assert_eq!(w.begun, []);
    w.done(Step::Add { lifetime: 3 }, Ok(1));
    assert_eq!(w.begun, [(1, HookKind::Claim)]);
    // One that is lost while it waits leaves as any other.
    let mut w = World::new(config());
    w.own(2100);
    w.who.lose();
    w.drive();
    assert_eq!(w.steps(), [Step::Block]);
}

#[test]
fn a_refresh_is_as_long_as_the_renewal_and_an_ended_lease_is_not_announced() {
    let mut w = World::new(config());
    w.own(5000);
    w.done(Step::Add { lifetime: 3 }, Ok(1));
    w.now = AT(2000);
    w.who.outputs.push_back(Output::Valid { until: AT(6900) });
    w.drive();
    assert!(w.steps().contains(&Step::Refresh { lifetime: 4 }));
    // The process was stopped, and its first input is not its timer.
    w.at(7000);
    assert_eq!(w.steps(), [], "nothing is announced that may be another's by now");
    w.vip.vanished(w.now, "10.0.0.101/16");
    w.drive();
    assert_eq!(w.steps(), [], "and nothing is added");
    assert!(!w.rows.contains(&step::VANISHED), "its lifetime was over");
}

#[test]
fn at_the_start_it_is_asked_for_first() {
    let vip = Vip::new(config(), "rt1", 1, Duration::from_secs(1));
    let mut w = World { vip, who: Script::default(), now: AT(1000), rows: Vec::new(), begun: Vec::new() };
    w.who.own(7, None);
    w.drive();
    assert_eq!(w.steps(), [Step::Ask]);
    assert_eq!(w.vip.stage(), Stage::Asking);
    w.vip.rival(AT(1050), "02:00:00:00:00:01");
    w.at(1200);
    assert_eq!(w.steps(), []);
    assert!(w.rows.contains(&step::ANSWERED));
    w.at(2200);
    assert_eq!(w.steps(), [Step::Ask]);
    w.vip.rival(AT(2250), "02:00:00:00:00:01");
    w.at(2400);
    assert_eq!(w.steps(), []);
    w.at(3400);
    w.steps();
    w.vip.rival(AT(3450), "02:00:00:00:00:01");
    // 2 s of a dead agent's lifetime and one more have passed next time.
    w.at(3600);
    w.steps();
    w.at(4600);
    w.steps();
    w.vip.rival(AT(4650), "02:00:00:00:00:01");
    w.at(4800);
    assert!(matches!(w.steps().as_slice(), [Step::Add { .. }]));
    assert!(w.rows.contains(&step::CLAIMED_ANYWAY));
}

#[test]
fn a_host_that_stands_by_takes_the_owners_answer_for_what_it_is() {
    let vip = Vip::new(config(), "rt1", 1, Duration::from_secs(1));
    let mut w = World { vip, who: Script::default(), now: AT(1000), rows: Vec::new(), begun: Vec::new() };
    w.drive();
    w.vip.rival(AT(1050), "02:00:00:00:00:01");
    w.at(1200);
    w.steps();
    assert!(!w.rows.contains(&step::ANSWERED));
    // And does not wait when the owner leaves the address to it.
    assert_eq!(w.own(5000), [Step::Add { lifetime: 3 }]);
}

fn peer(score: u8, heard: u64) -> Peer {
    Peer { name: "rt2".into(), score: Some(Score(score)), owns: None, epoch: 0, heard: AT(heard) }
}

#[test]
fn an_heir_must_have_been_heard_since_the_take_over() {
    let mut w = World::new(config());
    w.vip.set_peers(vec![peer(200, 1100)]);
    w.own(5000);
    w.done(Step::Add { lifetime: 3 }, Ok(1));
    assert_eq!(
        (w.vip.stage(), w.vip.place()),
        (Stage::Held, 750),
        "the better host may be the one that died"
    );
    assert!(w.vip.awaits_news());
    w.vip.set_peers(vec![peer(200, 1300)]);
    w.at(1300);
    assert_eq!(w.steps(), [Step::Announce, Step::Block], "an announcement was due, too");
    assert!(!w.who.owns);
}

#[test]
fn who_must_leave_names_an_heir_even_so() {
    let mut w = World::new(config());
    w.vip.set_peers(vec![peer(50, 1100)]);
    w.own(5000);
    w.done(Step::Add { lifetime: 3 }, Ok(1));
    w.vip.set_standby(true);
    w.drive();
    w.steps();
    w.done(Step::Block, Ok(0));
    w.done(Step::Destroy, Ok(0));
    w.vip.stepped(w.now, 1_000_000, Step::Remove, Ok(1), &mut w.who);
    let heirs: Vec<String> = core::iter::from_fn(|| w.vip.poll_effect())
        .filter_map(|effect| match effect {
            Effect::HandOver { heir, epoch: 7 } => Some(heir),
            _ => None,
        })
        .collect();
    assert_eq!(heirs, ["rt2"]);
}

#[test]
fn a_later_claim_elsewhere_is_answered_by_an_announcement() {
    let mut w = World::new(config());
    w.own(9000);
    w.done(Step::Add { lifetime: 7 }, Ok(1));
    w.vip.set_peers(vec![Peer { epoch: 9, ..peer(50, 1300) }]);
    assert_eq!(w.steps(), [Step::Announce]);
    assert!(w.rows.contains(&step::OUTRUN));
    w.vip.set_peers(vec![Peer { epoch: 9, ..peer(50, 1310) }]);
    assert_eq!(w.steps(), [], "once for each claim");
}

#[test]
fn two_that_say_that_they_own_it_are_told_of_and_the_one_that_stays_announces_again() {
    let mut w = World::new(config());
    w.own(9000);
    w.done(Step::Add { lifetime: 7 }, Ok(1));
    let owner = Peer { owns: Some(3), epoch: 3, ..peer(50, 1250) };
    w.vip.set_peers(vec![owner]);
    w.at(1201);
    w.at(3300);
    w.steps();
    assert!(w.rows.contains(&step::TWO_OWNERS));
    w.vip.set_peers(vec![peer(50, 3400)]);
    w.at(3400);
    assert_eq!(w.steps(), [Step::Announce]);
}
