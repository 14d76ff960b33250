//! Datagrams that were good once.

use super::super::message::{HAND_OVER, STATE};
use super::super::*;
use super::world::*;

/// A minute of talk with changes and orders, all of it recorded.
fn recorded() -> World {
    let mut world = World::settled();
    for round in 0..20 {
        world.channels[round % 3].set_state(world.now, state(3, Role::Owner, round as u64)).expect("a state");
        let order = Order::Standby { host: name((round + 1) % 3), standby: round % 2 == 0 };
        world.channels[round % 3].order(world.now, &order).expect("an order");
        world.channels[0].hand_over(world.now, "vip000", &name(1), round as u64);
        world.run(ms(700));
    }
    world
}

#[test]
fn a_second_copy_in_the_same_life_is_rejected() {
    let mut world = recorded();
    let before = world.known(1);
    let all: Vec<_> = world.sent.iter().filter(|s| s.from == 0 && s.to == 1).cloned().collect();
    assert!(all.len() > 60);
    for sent in &all {
        let rejected = world.refused(1, 0);
        assert_eq!(world.deliver(0, 1, &sent.bytes), []);
        assert_eq!(world.refused(1, 0), rejected + 1);
    }
    assert!(world.rejects(1, 0, Reject::Replay) > 0 && world.rejects(1, 0, Reject::Stale) > 0);
    assert_eq!(world.known(1), before);
}

#[test]
fn an_earlier_life_of_the_sender_is_rejected_even_where_nothing_of_it_arrived() {
    let mut world = recorded();
    // The last words of the first life are held back by whoever is on the wire.
    world.cut.insert((0, 1));
    world.channels[0].set_state(world.now, state(3, Role::Owner, 999)).expect("a state");
    world.channels[0].hand_over(world.now, "vip000", &name(1), 999);
    world.run(ms(100));
    world.cut.clear();
    world.restart(0);
    world.run(ms(300));
    assert_eq!(world.told(1, |n| matches!(n, PeerInput::Found { restarted: true, .. })), 1);
    let before = world.known(1);
    let earlier: Vec<_> = world.sent.iter().filter(|s| s.from == 0 && s.to == 1).cloned().collect();
    let held = earlier.iter().filter(|s| s.lost).count();
    assert!(held >= 4, "{held}");
    for sent in earlier {
        let rejected = world.refused(1, 0);
        assert_eq!(world.deliver(0, 1, &sent.bytes), []);
        assert_eq!(world.refused(1, 0), rejected + 1);
    }
    assert_eq!(world.known(1), before);
    assert_eq!(world.told(1, |n| matches!(n, PeerInput::HandOver { epoch: 999, .. })), 0);
}

#[test]
fn what_was_sent_to_an_earlier_life_of_the_receiver_is_rejected() {
    let mut world = recorded();
    world.down.insert(0);
    world.restart(1);
    let before = world.known(1);
    for sent in world.sent.clone().into_iter().filter(|s| s.from == 0 && s.to == 1) {
        assert_eq!(world.deliver(0, 1, &sent.bytes), []);
    }
    assert_eq!(world.known(1), before);
    assert!(world.channels[1].said(&name(0)).is_none(), "the dead host was not believed");
    assert_eq!(world.rejects(1, 0, Reject::Stale), world.refused(1, 0));
}

#[test]
fn a_datagram_comes_back_or_is_led_to_another_host() {
    let mut world = recorded();
    world.cut.insert((0, 1));
    world.run(ms(600));
    let fresh = world.sent.iter().rfind(|s| s.from == 0 && s.to == 1).expect("a datagram").clone();
    assert!(fresh.lost, "nobody has taken it yet");
    // To its sender, as from the one that it was meant for, and as from the third.
    for as_from in [1, 2] {
        let before = world.rejects(0, as_from, Reject::Reflected);
        assert_eq!(world.deliver(as_from, 0, &fresh.bytes), []);
        assert_eq!(world.rejects(0, as_from, Reject::Reflected), before + 1);
    }
    // To the third host, from its sender's address.
    let news = world.deliver(0, 2, &fresh.bytes);
    assert!(matches!(&news[..], [PeerInput::Trouble { peer, .. }] if *peer == name(0)), "{news:?}");
    assert_eq!(world.rejects(2, 0, Reject::Receiver), 1);
    // To the right one, but from the third host's address.
    world.deliver(2, 1, &fresh.bytes);
    assert_eq!(world.rejects(1, 2, Reject::Sender), 1);
    // And it was good.
    let refused = world.refused(1, 0);
    world.deliver(0, 1, &fresh.bytes);
    assert_eq!(world.refused(1, 0), refused);
}

#[test]
fn what_was_held_back_for_long_is_rejected_within_one_life() {
    let mut world = World::settled();
    world.cut.insert((0, 1));
    world.channels[0].hand_over(world.now, "vip000", &name(1), 5);
    world.run(ms(100));
    let held = world.sent.iter().find(|s| kind(&s.bytes) == HAND_OVER).expect("a hand-over").bytes.clone();
    world.cut.clear();
    // Two spans of the challenge, four intervals each, and one interval until the next sending.
    world.run(ms(5_000));
    let stale = world.rejects(1, 0, Reject::Stale);
    assert_eq!(world.deliver(0, 1, &held), []);
    assert_eq!(world.rejects(1, 0, Reject::Stale), stale + 1);
}

#[test]
fn a_flood_gets_few_small_answers_and_strangers_none() {
    let mut world = recorded();
    world.down.insert(0);
    world.restart(1);
    world.run(ms(1));
    world.sent.clear();
    let recorded =
        recorded().sent.into_iter().filter(|s| s.from == 0 && s.to == 1 && kind(&s.bytes) == STATE);
    let flood: Vec<_> = recorded.collect();
    let smallest = flood.iter().map(|s| s.bytes.len()).min().expect("a flood");
    // Of another world, so of lives that this one never knew; but the key is the same.
    for round in 0..10_000usize {
        world.deliver(0, 1, &flood[round % flood.len()].bytes);
        if round % 10 == 0 {
            world.run(ms(1));
        }
    }
    let answers: Vec<_> = world.sent.iter().filter(|s| s.from == 1 && s.to == 0).collect();
    // In a second: ten answers, and two or three hellos of its own.
    assert!((8..=14).contains(&answers.len()), "{}", answers.len());
    assert!(answers.iter().all(|s| s.bytes.len() <= smallest), "an answer is larger than its question");

    let stranger = "192.0.2.7:5405".parse().expect("an address");
    world.run(ms(0));
    for sent in &flood {
        assert_eq!(world.channels[1].handle_datagram(world.now, stranger, &sent.bytes), []);
    }
    assert_eq!(world.channels[1].strangers(), flood.len() as u64);
    assert!(world.channels[1].poll_transmit().is_none());
    // Another port of a peer's host is a stranger too.
    let mut port = address(0);
    port.set_port(9);
    assert_eq!(world.channels[1].handle_datagram(world.now, port, &flood[0].bytes), []);
    assert_eq!(world.channels[1].strangers(), flood.len() as u64 + 1);
}

#[test]
fn a_hand_over_is_acted_on_once_and_only_by_its_heir() {
    let mut world = World::settled();
    let acted = |world: &World, host| world.told(host, |n| matches!(n, PeerInput::HandOver { .. }));
    assert!(world.channels[0].hand_over(world.now, "vip000", &name(1), 5));
    world.run(ms(1_000));
    assert_eq!(world.sent.iter().filter(|s| kind(&s.bytes) == HAND_OVER).count(), 3, "three copies");
    assert_eq!((acted(&world, 0), acted(&world, 1), acted(&world, 2)), (0, 1, 0));
    // The same ownership again: it was acted on. The next one: again.
    world.channels[0].hand_over(world.now, "vip000", &name(1), 5);
    world.run(ms(1_000));
    assert_eq!(acted(&world, 1), 1);
    world.channels[0].hand_over(world.now, "vip000", &name(1), 6);
    world.channels[0].hand_over(world.now, "vip001", &name(1), 6);
    world.run(ms(1_000));
    assert_eq!(acted(&world, 1), 3);
    // A member that names a third one as heir is not obeyed.
    let last = world.sent.iter().rfind(|s| s.from == 0 && s.to == 1).expect("a datagram").bytes.clone();
    let body = br#"{"vip":"vip000","heir":"rt3","epoch":9}"#;
    world.deliver(0, 1, &forged(&last, KEY, |head| (head.kind, head.counter) = (HAND_OVER, 500), body));
    assert_eq!(world.rejects(1, 0, Reject::Body), 1);
    assert_eq!(acted(&world, 1), 3);
    // Nobody is there to hear it.
    world.down.insert(1);
    world.run(ms(2_000));
    assert!(!world.channels[0].hand_over(world.now, "vip000", &name(1), 7));
}
