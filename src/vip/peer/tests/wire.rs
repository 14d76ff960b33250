//! Damaged, foreign and unreadable datagrams; what a datagram holds.

use super::super::message::{HAND_OVER, HELLO, ORDERS, STATE, decode};
use super::super::*;
use super::world::*;
use crate::engine::time::Time;

/// One fresh datagram of each kind from rt1 to rt2, none of which has arrived.
fn one_of_each(world: &mut World) -> Vec<Vec<u8>> {
    world.cut.insert((0, 1));
    let order = Order::Standby { host: name(2), standby: true };
    world.channels[0].order(world.now, &order).expect("an order");
    assert!(world.channels[0].hand_over(world.now, "vip000", &name(1), 7));
    world.run(ms(100));
    let mut found = Vec::new();
    for wanted in [STATE, HAND_OVER, ORDERS] {
        let sent = world.sent.iter().find(|s| s.from == 0 && s.to == 1 && kind(&s.bytes) == wanted);
        found.push(sent.expect("a datagram of each kind").bytes.clone());
    }
    let hello = forged(&found[0], KEY, |head| (head.kind, head.counter) = (HELLO, 1_000), b"");
    found.push(hello);
    found
}

#[test]
fn every_truncation_is_rejected_and_changes_nothing() {
    let mut world = World::settled();
    for datagram in one_of_each(&mut world) {
        let before = world.known(1);
        for length in 0..datagram.len() {
            let rejected = world.rejects(1, 0, Reject::Truncated);
            let news = world.deliver(0, 1, &datagram[..length]);
            assert_eq!(news, [], "{length} bytes");
            assert_eq!(world.rejects(1, 0, Reject::Truncated), rejected + 1, "{length} bytes");
        }
        let mut longer = datagram.clone();
        longer.push(0);
        assert_eq!(world.deliver(0, 1, &longer), []);
        assert_eq!(world.known(1), before);
        world = World::settled();
        one_of_each(&mut world);
    }
}

#[test]
fn every_flipped_bit_is_rejected_and_the_whole_one_taken_afterwards() {
    let mut world = World::settled();
    for datagram in one_of_each(&mut world) {
        let before = world.known(1);
        for bit in 0..datagram.len() * 8 {
            let mut damaged = datagram.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let rejected = world.refused(1, 0);
            let news = world.deliver(0, 1, &damaged);
            assert!(news.iter().all(|n| matches!(n, PeerInput::Trouble { .. })), "bit {bit}: {news:?}");
            assert_eq!(world.refused(1, 0), rejected + 1, "bit {bit}");
        }
        assert_eq!(world.known(1), before);
        let rejected = world.refused(1, 0);
        world.deliver(0, 1, &datagram);
        assert_eq!(world.refused(1, 0), rejected, "the datagram itself is good");
    }
    // Most of them are told by the seal, and that is told once.
    assert!(world.rejects(1, 0, Reject::Seal) > 5_000);
    assert_eq!(world.told(1, |n| matches!(n, PeerInput::Trouble { .. })), 1);
}

#[test]
fn random_bytes_and_sealed_nonsense_are_rejected() {
    let seed = 20_261_121;
    let mut world = World::settled();
    let datagram = one_of_each(&mut world).remove(0);
    let mut random = Random(seed);
    let before = world.known(1);
    for round in 0..2_000u64 {
        let mut body: Vec<u8> = match random.below(3) {
            0 => (0..random.below(300)).map(|_| random.below(256) as u8).collect(),
            _ => decode(&datagram).expect("a datagram").body.to_vec(),
        };
        for _ in 0..random.below(6) {
            let at = random.below(body.len() as u64) as usize;
            match random.below(3) {
                0 => body.truncate(at),
                _ if body.is_empty() => {}
                1 => body[at] = random.below(256) as u8,
                _ => {
                    body.remove(at);
                }
            }
        }
        let kind = [STATE, HAND_OVER, ORDERS, 77][random.below(4) as usize];
        // With the right key: only what is inside can be wrong.
        let sealed = forged(&datagram, KEY, |head| (head.kind, head.counter) = (kind, 1_000 + round), &body);
        world.deliver(0, 1, &sealed);
        let (before, after) = (world.refused(1, 0), world.deliver(0, 1, &body));
        assert!(after.iter().all(|n| matches!(n, PeerInput::Trouble { .. })), "seed {seed} round {round}");
        assert_eq!(world.refused(1, 0), before + 1, "seed {seed} round {round}");
    }
    assert!(world.rejects(1, 0, Reject::Body) > 500, "seed {seed}");
    assert!(world.rejects(1, 0, Reject::Kind) > 100, "seed {seed}");
    assert!(world.known(1).len() < before.len() + 200_000);
}

#[test]
fn what_is_unknown_is_ignored() {
    let mut world = World::settled();
    let datagram = one_of_each(&mut world).remove(0);
    let body = br#"{"revision":900,"interval_ms":500,"digest":0,"agent":"9.0","standby":true,"count":1,
        "colour":"blue","vips":{"web":{"local":{"verdict":"superb","since":4},"backend":{"verdict":"ok"},
        "role":"dancing","mood":[1,2]}}}"#;
    let news = world.deliver(0, 1, &forged(&datagram, KEY, |_| (), body));
    assert_eq!(news, [PeerInput::Changed { peer: name(0) }]);
    let said = world.channels[1].said(&name(0)).expect("rt1 is known");
    let (vip, _) = &said.vips["web"];
    assert_eq!(
        (vip.role, vip.local.verdict, vip.backend.verdict),
        (Role::Unknown, Verdict::Unknown, Verdict::Ok)
    );
    assert!(said.standby);
    // One page holds all names, so the two that were there before are gone.
    assert_eq!(said.vips.len(), 1);
}

#[test]
fn names_outside_a_page_and_bad_names_are_rejected() {
    let mut world = World::settled();
    let datagram = one_of_each(&mut world).remove(0);
    let before = world.known(1);
    let row = r#"{"local":{"verdict":"ok"},"backend":{"verdict":"ok"},"role":"owner""#;
    for (number, (rest, name, owner)) in [
        (r#""after":"m","#, "a", "rt1"),
        (r#""until":"m","#, "z", "rt1"),
        (r#""after":"m","until":"n","#, "m", "rt1"),
        ("", "a b", "rt1"),
        ("", "", "rt1"),
        ("", "web", "\\u001b[2J"),
    ]
    .into_iter()
    .enumerate()
    {
        let body = format!(
            r#"{{"revision":900,"interval_ms":500,"digest":0,"agent":"x","standby":false,"count":1,{rest}"vips":{{"{name}":{row},"owner":"{owner}"}}}}}}"#
        );
        let sealed = forged(&datagram, KEY, |head| head.counter = 1_000 + number as u64, body.as_bytes());
        world.deliver(0, 1, &sealed);
        assert_eq!(world.rejects(1, 0, Reject::Body), number as u64 + 1, "{body}");
    }
    assert_eq!(world.known(1), before);
}

#[test]
fn as_many_addresses_as_a_tier_may_have_arrive_on_pages() {
    let mut world = World::settled();
    let long = |start: &str| format!("{start}{}", "n".repeat(64 - start.len()));
    let mut big = state(0, Role::Owner, 0);
    big.agent = "\"".repeat(500);
    let words = |c: char| Health { verdict: Verdict::Warning, words: c.to_string().repeat(400) };
    for number in 0..256 {
        let vip = VipState {
            local: words(['"', '\\', 'ä', '\n', '\u{2028}'][number % 5]),
            backend: words(['x', '\u{7f}', '\u{10ffff}'][number % 3]),
            role: Role::Releasing,
            eligible: false,
            score: 255,
            owner: Some(long("o")),
            epoch: u64::MAX,
        };
        big.vips.insert(long(&format!("{number:03}")), vip);
    }
    // More than a window of datagrams; here they stay in order.
    world.delay = 0;
    world.channels[0].set_state(world.now, big.clone()).expect("256 addresses");
    world.run(ms(10));
    assert!(world.agrees(), "all pages arrive at once");
    let pages = world.sent.iter().filter(|s| s.from == 0 && s.to == 1 && kind(&s.bytes) == STATE).count();
    assert!(pages > 50, "{pages} pages");
    let said = world.channels[1].said(&name(0)).expect("rt1 is known");
    assert!(
        said.vips.values().all(|(vip, _)| !vip
            .local
            .words
            .chars()
            .any(|c| c.is_control() || c == '\u{2028}'))
    );

    // Fewer now: what is gone goes from every page, though some pages do not arrive.
    big.vips = big.vips.into_iter().filter(|(name, _)| name.as_bytes()[2] != b'7').collect();
    world.loss = 50;
    world.channels[0].set_state(world.now, big.clone()).expect("a state");
    world.run(ms(20_000));
    assert_eq!(world.channels[1].said(&name(0)).map(|said| said.vips.len()), Some(big.vips.len()));

    big.vips.insert("one-more".into(), VipState::default());
    (0..40).for_each(|n| drop(big.vips.insert(format!("more{n}"), VipState::default())));
    assert!(world.channels[0].set_state(world.now, big).is_err_and(|e| e.contains("256")));
}

#[test]
fn fifty_addresses_need_few_datagrams_and_no_orders_while_all_have_the_same() {
    let mut world = World::settled();
    world.channels[0].set_state(world.now, state(50, Role::Owner, 3)).expect("a state");
    let order = Order::Want { vip: "vip001".into(), host: Some(name(2)) };
    world.channels[2].order(world.now, &order).expect("an order");
    world.run(ms(2_000));
    assert!(world.agrees());
    world.sent.clear();
    world.run(ms(10_000));
    let to_one = world.sent.iter().filter(|s| s.from == 0 && s.to == 1).count();
    assert!((20 * 8..=21 * 14).contains(&to_one), "{to_one} in ten seconds");
    assert!(world.sent.iter().all(|s| kind(&s.bytes) == STATE));
}

#[test]
fn what_a_host_cannot_say_is_refused() {
    let mut world = World::settled();
    let mut bad = state(1, Role::Backup, 1);
    bad.vips.insert("two words".into(), VipState::default());
    let channel = &mut world.channels[0];
    assert!(channel.set_state(Time::from_millis(9), bad).is_err_and(|e| e.contains("two words")));
    assert_eq!(channel.state().vips.len(), 2, "the old state stays");
    let order = |host: &str| Order::Standby { host: host.into(), standby: true };
    assert!(channel.order(Time::from_millis(9), &order("rt9")).is_err_and(|e| e.contains("rt1, rt2, rt3")));
    assert!(!channel.hand_over(Time::from_millis(9), "vip000", "rt9", 1));
    assert!(!channel.hand_over(Time::from_millis(9), "vip 0", "rt2", 1));
}

#[test]
fn settings_are_checked() {
    let good = settings(0, 3);
    assert_eq!(good.check(), Ok(()));
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad.check().expect_err("it is wrong")
    };
    assert!(with(&|s| s.name = "rt 1".into()).contains("`rt 1`"));
    assert!(with(&|s| s.name = "".into()).contains("``"));
    assert!(with(&|s| s.name = "rt2".into()).contains("rt2"));
    assert!(with(&|s| s.peers[0].name = "rt3".into()).contains("two hosts"));
    assert!(with(&|s| s.peers[0].address = address(2)).contains("two peers"));
    assert!(with(&|s| s.peers[0].address.set_port(0)).contains(":0"));
    assert!(with(&|s| s.peers[0].address = "0.0.0.0:1".parse().expect("an address")).contains("0.0.0.0"));
    assert!(with(&|s| s.interval = ms(49)).contains("interval"));
    assert!(with(&|s| s.interval = ms(60_001)).contains("interval"));
}
