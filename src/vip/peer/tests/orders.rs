//! The orders of operators: merging, the state file.

use super::super::*;
use super::world::*;
use crate::error::ErrorCode;

fn standby(host: usize, standby: bool) -> Order {
    Order::Standby { host: name(host), standby }
}

fn want(host: Option<usize>) -> Order {
    Order::Want { vip: "web".into(), host: host.map(name) }
}

/// Some orders of the three hosts, given without hearing of each other.
fn random_copies(random: &mut Random) -> [Registers; 3] {
    core::array::from_fn(|host| {
        let mut registers = Registers::default();
        for _ in 0..random.below(8) {
            let other = random.below(3) as usize;
            let order = match random.below(3) {
                0 => standby(other, random.below(2) == 0),
                1 => want([None, Some(other)][random.below(2) as usize]),
                _ => Order::ClearFailures { vip: "web".into(), host: name(other) },
            };
            registers.order(&name(host), &order).expect("an order");
        }
        registers
    })
}

#[test]
fn the_sequence_of_merges_does_not_matter() {
    for seed in 0..500 {
        let mut random = Random(seed);
        let copies = random_copies(&mut random);
        let merged = |order: [usize; 4]| {
            let mut all = Registers::default();
            for at in order {
                all.merge(&copies[at]);
            }
            all
        };
        let all = merged([0, 1, 2, 0]);
        for order in [[0, 2, 1, 1], [1, 0, 2, 2], [1, 2, 0, 1], [2, 0, 1, 0], [2, 1, 0, 2]] {
            assert_eq!(merged(order), all, "seed {seed}");
            assert_eq!(merged(order).digest(), all.digest(), "seed {seed}");
        }
        assert!(!all.clone().merge(&copies[1]), "seed {seed}: a second time changes something");
        let read = Registers::decode(all.encode().as_bytes(), "file").expect("it can be read");
        assert_eq!(read, all, "seed {seed}");
    }
}

#[test]
fn the_last_order_wins_and_a_tie_goes_by_name() {
    let (mut a, mut b) = (Registers::default(), Registers::default());
    a.order("rt1", &want(Some(0))).expect("an order");
    b.order("rt2", &want(Some(1))).expect("an order");
    a.merge(&b);
    assert_eq!(a.wanted("web"), Some("rt2"), "both are first orders");
    a.order("rt1", &want(None)).expect("an order");
    b.order("rt2", &standby(2, true)).expect("an order");
    b.merge(&a);
    assert_eq!((b.wanted("web"), b.standby("rt3"), b.standby("rt1")), (None, true, false));
    // Clearing twice is two numbers.
    assert_eq!(b.cleared("web", "rt1"), 0);
    let clear = Order::ClearFailures { vip: "web".into(), host: "rt1".into() };
    b.order("rt2", &clear).expect("an order");
    let first = b.cleared("web", "rt1");
    b.order("rt2", &clear).expect("an order");
    assert!(0 < first && first < b.cleared("web", "rt1"));
}

#[test]
fn orders_of_both_sides_of_a_split_meet() {
    let mut world = World::settled();
    world.cut.extend([(0, 1), (1, 0), (0, 2), (2, 0)]);
    world.channels[0].order(world.now, &standby(1, true)).expect("an order");
    let web = Order::Want { vip: "vip000".into(), host: Some(name(2)) };
    world.channels[2].order(world.now, &web).expect("an order");
    world.run(ms(5_000));
    assert!(world.channels[1].registers().wanted("vip000").is_some(), "one side agrees");
    assert!(!world.channels[1].registers().standby("rt2"));
    world.channels[1].order(world.now, &standby(1, false)).expect("an order");
    world.cut.clear();
    world.run(ms(700));
    assert!(world.agrees());
    for channel in &world.channels {
        // The one of rt2 saw the order of rt3 before, so it is the later one.
        assert!(!channel.registers().standby("rt2"));
        assert_eq!(channel.registers().wanted("vip000"), Some("rt3"));
    }
    assert!(world.told(0, |n| *n == PeerInput::Orders) >= 1);
    assert_eq!(world.told(2, |n| matches!(n, PeerInput::Trouble { .. })), 0);
}

#[test]
fn a_host_without_its_file_hears_the_orders_again() {
    let mut world = World::settled();
    world.channels[0].order(world.now, &standby(0, true)).expect("an order");
    world.run(ms(100));
    world.channels[0] = world.start(0, 3, keys(KEY, None), Registers::default());
    world.news.clear();
    world.run(ms(50));
    assert!(world.channels[0].registers().standby("rt1"));
    assert_eq!(world.told(0, |n| *n == PeerInput::Orders), 1);
}

#[test]
fn an_order_goes_out_at_once_in_three_copies() {
    let mut world = World::settled();
    world.delay = 0;
    world.channels[0].order(world.now, &standby(1, true)).expect("an order");
    world.run(ms(0));
    assert!(world.channels.iter().all(|c| c.registers().standby("rt2")));
    world.sent.clear();
    // Two of three are lost, and the third host passes nothing on.
    world.cut.extend([(0, 1), (2, 1)]);
    world.channels[0].order(world.now, &standby(1, false)).expect("an order");
    world.run(ms(59));
    world.cut.remove(&(0, 1));
    assert!(world.channels[1].registers().standby("rt2"));
    world.run(ms(1));
    assert!(!world.channels[1].registers().standby("rt2"));
}

#[test]
fn every_damage_to_the_file_is_found() {
    let mut registers = Registers::default();
    for order in [
        standby(0, true),
        want(Some(1)),
        want(None),
        Order::ClearFailures { vip: "web".into(), host: name(2) },
    ] {
        registers.order("rt1", &order).expect("an order");
    }
    let text = registers.encode();
    assert_eq!(
        text.lines().skip(2).take(3).collect::<Vec<_>>(),
        ["standby rt1 = yes @ 1 rt1", "wanted web free @ 3 rt1", "cleared web rt3 @ 4 rt1"]
    );
    for length in 0..text.len() {
        let error = Registers::decode(&text.as_bytes()[..length], "orders").expect_err("it is cut short");
        assert!(error.code() == ErrorCode::Cache && error.message().starts_with("orders: "), "{error}");
    }
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Registers::decode(&bytes, "orders").is_err(), "bit {bit}");
    }
    assert_eq!(
        Registers::decode(Registers::default().encode().as_bytes(), "orders"),
        Ok(Registers::default())
    );
}

#[test]
fn names_that_no_line_can_carry_are_refused() {
    let mut registers = Registers::default();
    for bad in ["", "a b", "a\nb", "=", "@", "über", &"x".repeat(65)] {
        assert!(
            registers.order("rt1", &Order::Standby { host: bad.into(), standby: true }).is_err(),
            "{bad}"
        );
        assert!(registers.order(bad, &standby(0, true)).is_err(), "{bad}");
        assert!(registers.order("rt1", &Order::Want { vip: bad.into(), host: None }).is_err(), "{bad}");
    }
    assert!(registers.is_empty());
    // As many as fit, and one more.
    for number in 0..4096 {
        let order = Order::Want { vip: format!("v{number}"), host: None };
        registers.order("rt1", &order).expect("an order");
    }
    assert!(registers.order("rt1", &standby(0, true)).is_err_and(|e| e.contains("4096")));
    registers.order("rt1", &Order::Want { vip: "v7".into(), host: Some(name(0)) }).expect("an old thing");
    assert_eq!(registers.len(), 4096);
}
