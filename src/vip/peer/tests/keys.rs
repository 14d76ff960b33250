//! Keys: wrong ones, new ones, short ones.

use super::super::*;
use super::world::*;
use crate::wire::Secret;

const NEW: &str = "another key, of thirty-two bytes";

#[test]
fn a_key_is_changed_host_by_host_and_nobody_is_cut_off() {
    let mut world = World::settled();
    // First every host takes the new key beside the old one, then gives the old one up.
    for step in [keys(NEW, Some(KEY)), keys(NEW, None)] {
        for host in 0..3 {
            world.channels[host].set_keys(step.clone());
            let order = Order::ClearFailures { vip: "vip000".into(), host: name(host) };
            world.channels[host].order(world.now, &order).expect("an order");
            world.run(ms(5_000));
            assert!(world.agrees(), "after host {host}");
        }
    }
    for host in 0..3 {
        assert_eq!(world.told(host, |n| matches!(n, PeerInput::Lost { .. } | PeerInput::Trouble { .. })), 0);
    }
    assert!(world.sent.iter().any(|s| s.bytes[6] == 2), "both keys sealed");
    let view = world.channels[0].view(world.now);
    assert_eq!(view.hosts[1].key, Some("current"));
    let old = world.sent.iter().find(|s| s.bytes[6] == 1).expect("one seal of the old key").clone();
    world.deliver(old.from, old.to, &old.bytes);
    assert_eq!(world.rejects(old.to, old.from, Reject::Seal), 1, "the old key is worth nothing any more");
}

#[test]
fn a_host_starts_anew_while_a_key_is_changed() {
    for (starts, others) in [(keys(NEW, Some(KEY)), keys(KEY, None)), (keys(KEY, None), keys(NEW, Some(KEY)))]
    {
        let mut world = World::settled();
        (1..3).for_each(|host| world.channels[host].set_keys(others.clone()));
        world.channels[0] = world.start(0, 3, starts, Registers::default());
        world.run(ms(1_000));
        assert!(world.agrees());
        let words: Vec<_> = (0..3).map(|host| world.channels[host].view(world.now).hosts).collect();
        assert!(words.iter().flatten().all(|h| h.known));
    }
}

#[test]
fn a_wrong_key_is_one_event() {
    let mut world = World::settled();
    world.channels[0].set_keys(keys(NEW, None));
    world.run(ms(600_000));
    for host in [1, 2] {
        let told: Vec<_> = world
            .news
            .iter()
            .filter(|(at, n)| *at == host && matches!(n, PeerInput::Trouble { .. }))
            .collect();
        let [(_, PeerInput::Trouble { peer, words })] = &told[..] else { panic!("{told:?}") };
        assert!(peer == "rt1" && words.contains("key_file") && !words.contains(KEY), "{words}");
        assert!(world.rejects(host, 0, Reject::Seal) > 1_000);
    }
    assert_eq!(world.told(0, |n| matches!(n, PeerInput::Trouble { .. })), 2, "one for each of the others");
    // Mended, and wrong again later: told again.
    world.channels[0].set_keys(keys(KEY, None));
    world.run(ms(1_000));
    assert!(world.agrees());
    world.channels[0].set_keys(keys(NEW, None));
    world.run(ms(1_000));
    assert_eq!(world.told(1, |n| matches!(n, PeerInput::Trouble { .. })), 2);
}

#[test]
fn forged_ones_between_good_ones_are_told_once_a_minute_at_most() {
    let mut world = World::settled();
    world.run(ms(1_000));
    let good = world.sent.iter().find(|s| s.from == 0 && s.to == 1).expect("a datagram").bytes.clone();
    for _ in 0..300 {
        let forged = forged(&good, NEW, |_| (), b"");
        world.deliver(0, 1, &forged);
        world.run(ms(1_000));
    }
    let told = world.told(1, |n| matches!(n, PeerInput::Trouble { .. }));
    assert!((1..=6).contains(&told), "{told} in five minutes");
    assert_eq!(world.told(1, |n| matches!(n, PeerInput::Lost { .. })), 0);
}

#[test]
fn keys_are_checked_and_do_not_show_themselves() {
    let short = Keys::new(Secret::new("fifteen bytes.."), None).expect_err("too short");
    assert!(short.contains("key_file") && short.contains("15") && !short.contains("fifteen"), "{short}");
    let old = Keys::new(Secret::new(KEY), Some(Secret::new("short"))).expect_err("too short");
    assert!(old.contains("previous_key_file"), "{old}");
    assert!(Keys::new(Secret::new(KEY), Some(Secret::new(KEY))).is_err_and(|e| e.contains("same")));
    assert!(!format!("{:?}", keys(KEY, Some(NEW))).contains("key of"));
    let world = World::settled();
    assert_eq!(format!("{:?}", world.channels[0]), "Channel of rt1 with rt2, rt3");
}

#[test]
fn the_seal_is_the_one_of_the_standard() {
    // RFC 4231, test case 2, with its short key.
    let seal = super::super::seal::code(&Secret::new("Jefe"), b"what do ya want for nothing?");
    let hex: String = seal.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}
