//! Each row of the table, and that none can be left out.

use super::*;
use crate::vip::vrrp::table::{DECISIONS, NOTICES};
use std::collections::BTreeSet;

type Table = &'static [Rule<View, Action>];

/// What scenarios show: what was said, and which rows decided.
type Shown = (Vec<String>, BTreeSet<u16>);

fn shown(rigs: Vec<Rig>) -> Shown {
    let mut shown = Shown::default();
    for rig in rigs {
        shown.1.extend(rig.router.fired().keys());
        shown.0.push(format!("{:?}", rig.router.state()));
        shown.0.extend(rig.log);
    }
    shown
}

fn life(table: Table) -> Shown {
    let mut plain = Rig::new(table, |_| ());
    plain.wish(100);
    plain.pass(5000);
    plain.wish(150);
    plain.leave(Leaving::ToAnyone);
    plain.pass(1500);
    plain.released();
    plain.pass(2000);
    plain.claim();
    plain.pass(1500);
    plain.wish(0);
    plain.released();
    plain.wish(100);
    plain.wish(0);
    plain.pass(9000);
    let mut owner = Rig::new(table, |s| s.address_owner = true);
    owner.wish(255);
    owner.pass(1500);
    shown(vec![plain, owner])
}

fn actives(table: Table) -> Shown {
    let mut rig = Rig::new(table, |_| ()).active(100);
    rig.hear(50);
    rig.hear(50);
    rig.pass(5500);
    rig.hear(0);
    rig.hear(100);
    rig.pass(9000);
    let mut late = Rig::new(table, |_| ()).active(100);
    late.stall(3700);
    late.timer();
    late.released();
    late.pass(4000);
    late.leave(Leaving::ToAnyone);
    late.stall(3700);
    late.timer();
    late.released();
    let mut beaten = Rig::new(table, |_| ()).active(100);
    beaten.leave(Leaving::ToAnyone);
    beaten.hear(200);
    beaten.pass(1000);
    beaten.released();
    shown(vec![rig, late, beaten])
}

fn backups(table: Table) -> Shown {
    let heard = |stickiness: u8, delay: u64, own: u8, priority: u8| {
        let mut rig = Rig::new(table, |s| (s.stickiness, s.preempt_delay) = (stickiness, MS(delay)));
        rig.wish(own);
        for _ in 0..8 {
            rig.pass(1000);
            rig.hear(priority);
        }
        rig
    };
    let mut zero = heard(0, 0, 100, 100);
    zero.hear(0);
    zero.pass(1000);
    shown(vec![
        zero,
        heard(0, 0, 100, 100),
        heard(0, 0, 101, 100),
        heard(50, 0, 101, 100),
        heard(254, 0, 101, 1),
        heard(0, 4000, 101, 100),
    ])
}

fn all(table: Table) -> Shown {
    let (mut a, b, c) = (life(table), actives(table), backups(table));
    for part in [b, c] {
        a.0.extend(part.0);
        a.1.extend(part.1);
    }
    a
}

#[test]
fn every_row_fires_and_none_can_be_left_out() {
    let (said, fired) = all(DECISIONS);
    let numbers: BTreeSet<u16> = DECISIONS.iter().map(|r| r.number).collect();
    assert_eq!(fired, numbers, "rows that never fired, or fired without being there");
    for (at, row) in DECISIONS.iter().enumerate() {
        // What 732 does follows from 733 too, what 735 does from 749, for other reasons. What no row says is nothing, as in 749.
        if [732, 735, 749].contains(&row.number) {
            continue;
        }
        let mut rest = DECISIONS.to_vec();
        rest.remove(at);
        let (without, _) = all(Box::leak(rest.into_boxed_slice()));
        assert_ne!(without, said, "row {} could be left out", row.number);
    }
}

#[test]
fn numbers_and_sentences() {
    let mut numbers: Vec<u16> = DECISIONS.iter().map(|r| r.number).collect();
    assert!(numbers.is_sorted());
    numbers.extend(NOTICES.map(|n| n.0));
    let distinct: BTreeSet<u16> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len());
    assert!(distinct.iter().all(|n| (721..=749).contains(n)));
    let sentences: BTreeSet<&str> =
        DECISIONS.iter().map(|r| r.sentence).chain(NOTICES.map(|n| n.1)).collect();
    assert_eq!(sentences.len(), numbers.len());
}

#[test]
fn rises_after_the_down_interval_of_the_rfc() {
    // 3 × 1 s + (256 − 100) / 256 × 1 s.
    let mut rig = Rig::new(DECISIONS, |_| ());
    rig.wish(100);
    assert_eq!(rig.router.down_interval(), Duration::from_nanos(3_609_375_000));
    rig.pass(3609);
    assert_eq!(rig.said(), [""; 0]);
    rig.pass(1);
    assert_eq!(rig.said(), ["3609 advert 100 every 1s to 224.0.0.18", "3609 own"]);
    rig.pass(1000);
    assert_eq!(rig.said(), ["4609 advert 100 every 1s to 224.0.0.18"]);
}

#[test]
fn the_interval_is_learnt() {
    let mut rig = Rig::new(DECISIONS, |_| ());
    rig.wish(100);
    rig.hear_from("10.0.0.3", |a| (a.priority, a.interval) = (100, MS(100)));
    assert_eq!(rig.router.down_interval(), Duration::from_nanos(360_937_500));
    rig.pass(361);
    assert_eq!(rig.said(), ["360 advert 100 every 1s to 224.0.0.18", "360 own"]);
}

#[test]
fn leaving_towards_anyone_and_towards_an_heir() {
    let mut rig = Rig::new(DECISIONS, |_| ()).active(100);
    rig.leave(Leaving::ToAnyone);
    assert_eq!(rig.said(), ["4000 lose"]);
    assert!(!rig.router.owns());
    rig.pass(5);
    rig.released();
    assert_eq!(
        rig.said(),
        ["4005 advert 100 every 10ms to 224.0.0.18", "4005 advert 0 every 1s to 224.0.0.18"]
    );
    let mut rig = Rig::new(DECISIONS, |_| ()).active(100);
    rig.leave(Leaving::ToHeir);
    rig.released();
    assert_eq!(rig.said(), ["4000 lose", "4000 advert 0 every 1s to 224.0.0.18"]);
    // It stands by, and comes back if nobody comes.
    rig.pass(3600);
    assert_eq!(rig.said(), [""; 0]);
    rig.pass(100);
    assert_eq!(rig.said(), ["7609 advert 100 every 1s to 224.0.0.18", "7609 own"]);
}

#[test]
fn version_2_leaves_by_priority_0_alone() {
    let mut rig = Rig::new(DECISIONS, |s| s.version = Version::V2).active(100);
    rig.leave(Leaving::ToAnyone);
    rig.released();
    assert_eq!(rig.said(), ["4000 lose", "4000 advert 0 every 1s to 224.0.0.18"]);
}

#[test]
fn the_higher_address_decides_between_equals() {
    let mut rig = Rig::new(DECISIONS, |_| ()).active(100);
    rig.hear_from("10.0.0.1", |_| ());
    assert_eq!(rig.said(), ["4000 advert 100 every 1s to 224.0.0.18", "4000 announce", "4000 notice"]);
    rig.hear_from("10.0.0.3", |_| ());
    assert_eq!(rig.said(), ["4000 lose"]);
    rig.released();
    assert_eq!(rig.said(), [""; 0], "nobody is told to come who is there");
}

#[test]
fn packets_are_handed_in_before_a_timer_is_judged() {
    let mut rig = Rig::new(DECISIONS, |_| ());
    rig.wish(100);
    rig.stall(60_000);
    rig.hear(100);
    rig.timer();
    assert_eq!(rig.said(), [""; 0]);
}

#[test]
fn who_can_tell_nobody_gives_up_and_who_misses_one_peer_does_not() {
    let peers = [vec![], vec![ip("10.0.0.3"), ip("10.0.0.4")], vec![ip("10.0.0.3"), ip("10.0.0.4")]];
    for (peers, failures, lost) in
        peers.into_iter().zip([1, 1, 2]).map(|(p, f)| (p.clone(), f, f >= p.len().max(1)))
    {
        let mut rig = Rig::new(DECISIONS, |s| s.peers = peers).active(100);
        for _ in 0..5 {
            let due = rig.router.poll_timeout().min(rig.now + MS(1000));
            rig.now = due;
            rig.router.handle_timer(due);
            rig.drain();
            (0..failures).for_each(|_| rig.router.send_failed());
        }
        assert_eq!(
            rig.said().iter().any(|l| l.ends_with("lose")),
            lost,
            "{failures} of {:?}",
            rig.setup.peers
        );
        assert_eq!(rig.router.owns(), !lost);
    }
}

#[test]
fn nothing_is_owned_again_before_it_is_off_this_host() {
    let mut rig = Rig::new(DECISIONS, |_| ()).active(100);
    rig.hear(200);
    rig.claim();
    rig.pass(20_000);
    assert_eq!(rig.said(), ["4000 lose"]);
    rig.released();
    rig.pass(0);
    assert_eq!(rig.said(), ["24000 advert 100 every 1s to 224.0.0.18", "24000 own"]);
}

#[test]
fn priority_255_is_for_the_configuration() {
    let mut rig = Rig::new(DECISIONS, |_| ());
    rig.wish(255);
    rig.pass(5000);
    assert!(rig.said()[0].contains("advert 254"));
}

#[test]
fn an_owner_in_worse_order_is_followed_in_turn() {
    for (theirs, own, after) in [(1, 100, Some(610)), (2, 100, Some(610)), (1, 2, Some(993)), (1, 1, None)] {
        let mut rig = Rig::new(DECISIONS, |s| s.stickiness = 255);
        rig.wish(own);
        for _ in 0..20 {
            rig.hear(theirs);
            rig.pass(100);
        }
        let rose = rig.log.iter().position(|l| l.ends_with("own"));
        assert_eq!(rose.is_some(), after.is_some(), "{theirs} {own} {:?}", rig.log);
        if let Some((after, at)) = after.zip(rose) {
            let at: u64 = rig.log[at].split(' ').next().unwrap().parse().unwrap();
            assert!(at <= after && at + 2 >= after, "{theirs} {own}: {at}");
        }
    }
}

#[test]
fn who_is_not_heard() {
    let mut rig = Rig::new(DECISIONS, |_| ());
    rig.wish(100);
    rig.hear_from("10.0.0.2", |_| ());
    rig.hear_from("10.0.0.3", |a| a.vrid = 8);
    rig.hear_from("10.0.0.3", |a| a.version = Version::V2);
    rig.hear_from("10.0.0.3", |a| a.version = Version::V2);
    let counters = *rig.router.counters();
    let met: Vec<_> = counters.rejects.iter().filter(|(_, n)| *n > 0).collect();
    assert_eq!(met, [(Reject::Version, 2), (Reject::ForeignVrid, 1), (Reject::Reflected, 1)]);
    assert_eq!((counters.heard, counters.rejects.total()), (0, 4));
    assert_eq!(rig.said(), ["0 notice"], "once of each peer");

    let mut rig = Rig::new(DECISIONS, |s| s.peers = vec![ip("10.0.0.4")]);
    rig.hear_from("10.0.0.3", |_| ());
    rig.hear_from("10.0.0.4", |_| ());
    assert_eq!(rig.router.counters().rejects.of(Reject::UnknownPeer), 1);
    assert_eq!(rig.router.counters().heard, 1);

    let mut rig = Rig::new(DECISIONS, |s| (s.version, s.password) = (Version::V2, Password::new("a")));
    rig.hear_from("10.0.0.3", |a| a.password = Password::new("b"));
    rig.hear_from("10.0.0.3", |a| a.password = None);
    assert_eq!(rig.router.counters().rejects.of(Reject::Auth), 2);
    assert_eq!(rig.said(), ["0 notice"]);
}

#[test]
fn other_forms_and_addresses_are_heard_and_told_once() {
    let mut rig = Rig::new(DECISIONS, |s| s.checksum_v4 = ChecksumV4::Rfc9568);
    rig.wish(100);
    rig.hear(100);
    rig.hear(100);
    assert_eq!(rig.said(), ["0 notice"]);
    rig.hear_from("10.0.0.3", |a| a.addresses.push(ip("10.0.0.102")));
    assert_eq!(rig.said(), ["0 notice"]);
    let counters = rig.router.counters();
    assert_eq!((counters.heard, counters.other_checksum, counters.other_addresses), (3, 3, 1));
}

#[test]
fn unicast_goes_to_each_peer() {
    let mut rig = Rig::new(DECISIONS, |s| s.peers = vec![ip("10.0.0.3"), ip("10.0.0.4")]);
    rig.wish(100);
    rig.pass(3700);
    assert_eq!(
        rig.said(),
        ["3609 advert 100 every 1s to 10.0.0.3", "3609 advert 100 every 1s to 10.0.0.4", "3609 own"]
    );
}
