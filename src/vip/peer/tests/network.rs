//! Loss, doubling, delay, splits: what the hosts know of each other in the end.

use super::super::*;
use super::world::*;
use crate::engine::time::Time;

#[test]
fn hosts_find_each_other_and_know_all_within_a_few_round_trips() {
    let mut world = World::new(3, 7);
    world.run(ms(30));
    assert!(world.agrees());
    for host in 0..3 {
        assert_eq!(world.told(host, |n| matches!(n, PeerInput::Found { restarted: false, .. })), 2);
    }
    world.run(ms(60_000));
    assert_eq!(
        world
            .news
            .iter()
            .filter(|(_, n)| !matches!(n, PeerInput::Found { .. } | PeerInput::Changed { .. }))
            .count(),
        0
    );
}

#[test]
fn a_change_goes_out_at_once_and_a_storm_of_changes_in_steps() {
    let mut world = World::settled();
    world.run(ms(137));
    world.delay = 0;
    world.channels[0].set_state(world.now, state(2, Role::Owner, 9)).expect("a state");
    world.run(ms(0));
    assert!(world.agrees(), "no time passed");
    world.sent.clear();
    for round in 0..1_000 {
        world.channels[0].set_state(world.now, state(2, Role::Owner, 10 + round)).expect("a state");
        world.run(ms(1));
    }
    world.run(ms(20));
    assert!(world.agrees());
    let sent = world.sent.iter().filter(|s| s.from == 0 && s.to == 1).count();
    assert!((48..=53).contains(&sent), "{sent} in a second");
    // What does not change sends nothing.
    world.sent.clear();
    let same = world.channels[0].state().clone();
    world.channels[0].set_state(world.now, same).expect("a state");
    world.run(ms(0));
    assert!(world.sent.is_empty());
}

#[test]
fn three_intervals_of_silence_make_a_peer_unknown() {
    let mut world = World::settled();
    let began = world.now;
    world.cut.extend([(0, 1), (0, 2)]);
    world.run(ms(3_000));
    for host in [1, 2] {
        let lost: Vec<_> =
            world.news.iter().filter(|(at, n)| *at == host && matches!(n, PeerInput::Lost { .. })).collect();
        let [(_, PeerInput::Lost { peer, silent })] = &lost[..] else { panic!("{lost:?}") };
        assert_eq!((peer.as_str(), *silent), ("rt1", ms(1_500)));
        assert!(world.channels[host].said("rt1").is_none());
        let view = world.channels[host].view(world.now);
        let rt1 = &view.hosts[0];
        assert!(!rt1.known && rt1.age_ms.is_some_and(|age| (2_900..=3_500).contains(&age)), "{rt1:?}");
        let standing = &view.vips[0].hosts[0];
        assert!(!standing.known && standing.host == "rt1", "what it said last is still shown: {standing:?}");
    }
    assert!(world.now.since(began) >= ms(3_000));
    world.cut.clear();
    world.run(ms(600));
    assert!(world.agrees());
    assert_eq!(world.told(1, |n| matches!(n, PeerInput::Found { restarted: false, .. })), 1);
}

#[test]
fn hosts_with_different_intervals_wait_for_the_slower_one() {
    let mut world = World::settled();
    let mut slow = settings(0, 3);
    slow.interval = ms(5_000);
    world.channels[0].set_peers(world.now, slow).expect("settings");
    world.run(ms(60_000));
    assert_eq!(world.told(1, |n| matches!(n, PeerInput::Lost { .. })), 0);
    world.down.insert(0);
    world.run(ms(14_900 - 5_000));
    assert_eq!(world.told(1, |n| matches!(n, PeerInput::Lost { .. })), 0);
    world.run(ms(5_200));
    assert_eq!(world.told(1, |n| matches!(n, PeerInput::Lost { .. })), 1);
}

#[test]
fn lost_doubled_and_overtaking_datagrams_end_in_agreement() {
    for seed in 0..120 {
        let mut world = World::new(3, seed);
        (world.loss, world.twice, world.delay) = (30, 20, 80);
        let mut epoch = 1;
        for _ in 0..25 {
            let host = world.random.below(3) as usize;
            let other = world.random.below(3) as usize;
            match world.random.below(6) {
                0 => {
                    epoch += 1;
                    let vips = world.random.below(30) as usize;
                    world.channels[host]
                        .set_state(world.now, state(vips, Role::Owner, epoch))
                        .expect("a state");
                }
                1 => {
                    let order = Order::Standby { host: name(other), standby: world.random.below(2) == 0 };
                    world.channels[host].order(world.now, &order).expect("an order");
                }
                2 => {
                    let order = Order::Want { vip: "vip001".into(), host: Some(name(other)) };
                    world.channels[host].order(world.now, &order).expect("an order");
                }
                3 => world.restart(host),
                4 => {
                    let order = Order::ClearFailures { vip: "vip001".into(), host: name(other) };
                    world.channels[host].order(world.now, &order).expect("an order");
                }
                _ => {
                    world.cut.clear();
                    for _ in 0..world.random.below(4) {
                        let (from, to) = (world.random.below(3) as usize, world.random.below(3) as usize);
                        world.cut.insert((from, to));
                    }
                }
            }
            let pause = world.random.below(900);
            world.run(ms(pause));
        }
        world.cut.clear();
        let mut waited = 0;
        while !world.agrees() {
            world.run(ms(100));
            waited += 1;
            assert!(waited < 300, "seed {seed}: they do not agree after half a minute");
        }
        for news in &world.news {
            assert!(!matches!(news.1, PeerInput::Trouble { .. }), "seed {seed}: {news:?}");
        }
    }
}

#[test]
fn a_hand_over_arrives_once_though_datagrams_are_lost_and_doubled() {
    let (mut arrived, rounds) = (0, 300);
    for seed in 0..rounds {
        let mut world = World::new(2, seed);
        world.run(ms(1_000));
        world.news.clear();
        (world.loss, world.twice, world.delay) = (20, 30, 40);
        assert!(world.channels[0].hand_over(world.now, "vip000", "rt2", 3));
        world.run(ms(200));
        let count = world.told(1, |n| matches!(n, PeerInput::HandOver { .. }));
        assert!(count <= 1, "seed {seed}: {count}");
        arrived += count;
    }
    // All three of a hand-over are lost once in 125.
    assert!(arrived >= 280, "{arrived} of {rounds}");
}

#[test]
fn a_restart_is_noticed_at_once_and_forgets_what_was_said() {
    let mut world = World::settled();
    world.channels[0].set_state(world.now, state(3, Role::Owner, 8)).expect("a state");
    world.run(ms(100));
    world.news.clear();
    world.restart(0);
    world.run(ms(20));
    for host in [1, 2] {
        assert_eq!(world.told(host, |n| matches!(n, PeerInput::Found { restarted: true, .. })), 1);
        let said = world.channels[host].said("rt1").expect("it is known");
        assert!(said.vips.len() == 2 && said.vips.values().all(|(vip, _)| vip.role == Role::Backup));
    }
}

#[test]
fn the_view_shows_conflicts_between_hosts_that_are_heard() {
    let mut world = World::settled();
    world.channels[0].set_state(world.now, state(1, Role::Owner, 8)).expect("a state");
    world.channels[1].set_state(world.now, state(1, Role::Owner, 9)).expect("a state");
    let order = Order::Want { vip: "vip000".into(), host: Some("rt3".into()) };
    world.channels[2].order(world.now, &order).expect("an order");
    world.run(ms(100));
    for host in 0..3 {
        let view = world.channels[host].view(world.now);
        let vip = view.conflicts().next().expect("a conflict");
        assert_eq!(
            (vip.name.as_str(), &vip.owners[..]),
            ("vip000", &["rt1".to_string(), "rt2".to_string()][..])
        );
        assert_eq!(vip.wanted.as_deref(), Some("rt3"));
        assert!(view.hosts.iter().all(|h| h.known && h.in_step));
        let json: serde_json::Value = serde_json::from_str(&view.to_json()).expect("JSON");
        assert_eq!(json["own"], name(host));
        assert_eq!(json["vips"][0]["conflict"], true);
        assert_eq!(json["vips"][0]["hosts"][1]["backend"]["words"], "nobody takes writes");
        assert_eq!(json["vips"][0]["hosts"][1]["role"], "owner");
    }
    // Who is not heard any more is no rival.
    world.down.insert(0);
    world.run(ms(2_000));
    let view = world.channels[2].view(world.now);
    assert_eq!(view.conflicts().count(), 0);
    assert_eq!(view.vips[0].owners, ["rt2"]);
}

#[test]
fn peers_come_and_go_with_a_new_configuration() {
    let mut world = World::settled();
    world.channels[0].set_peers(world.now, settings(0, 2)).expect("settings");
    assert_eq!(world.channels[0].peers().collect::<Vec<_>>(), ["rt2"]);
    assert!(world.channels[0].said("rt2").is_some(), "the session goes on");
    world.run(ms(2_000));
    assert!(world.channels[2].said("rt1").is_none());
    world.channels[0].set_peers(world.now, settings(0, 3)).expect("settings");
    world.run(ms(1_500));
    assert!(world.agrees());
    let mut bad = settings(0, 3);
    bad.name = "other".into();
    assert!(world.channels[0].set_peers(world.now, bad).is_err_and(|e| e.contains("restart")));
    assert_eq!(world.channels[0].peers().count(), 2);
    let alone = Settings { peers: Vec::new(), ..settings(0, 1) };
    world.channels[0].set_peers(world.now, alone).expect("settings");
    assert_eq!(world.channels[0].poll_timeout(), Time::NEVER);
}

#[test]
fn an_overtaken_state_does_not_undo_the_newer_one() {
    let mut world = World::settled();
    world.cut.insert((0, 1));
    for epoch in [50, 51] {
        world.channels[0].set_state(world.now, state(2, Role::Owner, epoch)).expect("a state");
        world.run(ms(30));
    }
    let sent: Vec<_> = world.sent.iter().filter(|s| s.from == 0 && s.to == 1).cloned().collect();
    let [older, newer] = &sent[..] else { panic!("{} datagrams", sent.len()) };
    let refused = world.refused(1, 0);
    world.deliver(0, 1, &newer.bytes);
    assert_eq!(world.deliver(0, 1, &older.bytes), []);
    assert_eq!(world.refused(1, 0), refused, "both are good");
    let said = world.channels[1].said("rt1").expect("it is known");
    assert!(said.vips.values().all(|(vip, _)| vip.epoch == 51), "{said:?}");
}
