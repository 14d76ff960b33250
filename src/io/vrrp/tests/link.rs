//! Our sockets among themselves, and what becomes of them when something is missing.

use super::*;
use crate::vip::vrrp::Advert;

/// The higher one owns, the lower one hears it; when it leaves, the lower one comes.
fn hear_each_other(wire: &Wire, change: impl Fn(usize, &mut Setup)) {
    let mut left = wire.agent(0, 200, |s| change(0, s));
    let mut right = wire.agent(1, 100, |s| change(1, s));
    let source = if left.socket.family() == Family::V4 { "10.0.0.1" } else { "fe80::1" };
    let settled = |a: &[&mut Agent]| a[0].router.owns() && a[1].heard_from(source).is_some();
    assert!(until(&mut [&mut left, &mut right], LONG, settled));
    assert!(!right.router.owns());
    left.router.wish(left.now(), Score(0));
    assert!(until(&mut [&mut left, &mut right], LONG, |a| a[1].router.owns()));
    for agent in [&left, &right] {
        let rejects = &agent.router.counters().rejects;
        assert_eq!(rejects.total(), 0, "{rejects:?}");
    }
    assert!(right.router.counters().heard_zero > 0, "the farewell was heard");
    assert!(left.notices.is_empty() && right.notices.is_empty(), "{:?} {:?}", left.notices, right.notices);
}

#[test]
fn by_the_group_of_ipv4() {
    hear_each_other(&Wire::new(), |_, _| ());
}

#[test]
fn by_the_group_of_ipv6() {
    hear_each_other(&Wire::new(), |side, setup| {
        setup.source = ip(["fe80::1", "fe80::2"][side]);
        setup.addresses = vec![ip("fe80::101"), ip("fd00::101")];
    });
}

#[test]
fn by_unicast() {
    let wire = Wire::new();
    hear_each_other(&wire, |side, setup| setup.peers = vec![ip(["10.0.0.2", "10.0.0.1"][side])]);
    hear_each_other(&wire, |side, setup| {
        setup.source = ip(["fe80::1", "fe80::2"][side]);
        setup.peers = vec![ip(["fe80::2", "fe80::1"][side])];
        setup.addresses = vec![ip("fe80::101")];
    });
}

#[test]
fn a_lower_hop_limit_is_told_by_the_kernel_and_rejected() {
    let wire = Wire::new();
    for family in [Family::V4, Family::V6] {
        let (left, right) = (wire.open(0, family, true), wire.open(1, family, true));
        let source = ip(if family == Family::V4 { "10.0.0.1" } else { "fe80::1" });
        let hops = 254;
        match family {
            Family::V4 => left.set(libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, &hops),
            Family::V6 => left.set(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, &hops),
        }
        .expect("the option");
        left.send(source, family.group(), &[0x31; 20]).expect("to send");
        let end = Instant::now() + LONG;
        let mut seen = Vec::new();
        while seen.is_empty() && Instant::now() < end {
            let take = |p: &Packet<'_>| {
                seen.push((p.source, p.destination, p.hops, p.bytes.to_vec(), Advert::decode(p)));
            };
            assert_eq!(right.receive(4, take).expect("to receive"), Drained::Empty);
            std::thread::yield_now();
        }
        assert_eq!(seen, [(source, family.group(), 254, vec![0x31; 20], Err(Reject::HopLimit))]);
        // Nothing of what a host sends comes back to it.
        assert_eq!(left.receive(4, |p| panic!("{p:?}")).expect("to receive"), Drained::Empty);
    }
}

#[test]
fn a_turn_is_bounded() {
    let wire = Wire::new();
    let (left, right) = (wire.open(0, Family::V4, true), wire.open(1, Family::V4, true));
    for _ in 0..10 {
        left.send(ip("10.0.0.1"), Family::V4.group(), b"nonsense").expect("to send");
    }
    let (mut count, mut turns) = (0, 0);
    let end = Instant::now() + LONG;
    while count < 10 && Instant::now() < end {
        let before = count;
        let left = right.receive(4, |_| count += 1).expect("to receive");
        assert!(count - before <= 4);
        turns += usize::from(left == Drained::More);
    }
    assert_eq!(count, 10);
    assert!(turns >= 1);
}

#[test]
fn without_the_capability_the_error_names_it() {
    /// Of linux/capability.h.
    const VERSION_3: u32 = 0x2008_0522;
    const CAP_NET_RAW: u32 = 13;
    let wire = Wire::new();
    let error = wire.within(0, || {
        let header = [VERSION_3, 0];
        let mut sets = [0u32; 6];
        // SAFETY: the header and both halves of the sets are as long as version 3 says; only this thread is changed.
        let results = unsafe {
            let got = libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr());
            sets[0] &= !(1 << CAP_NET_RAW);
            (got, libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()))
        };
        assert_eq!(results, (0, 0));
        VrrpSocket::open(&Registry::new(8), "eth0", Family::V4, true)
            .expect_err("a socket without CAP_NET_RAW")
    });
    assert!(matches!(error, VrrpError::Capability { name: "CAP_NET_RAW", .. }), "{error:?}");
    let words = error.to_string();
    assert!(words.starts_with("CAP_NET_RAW is needed to open a raw socket for VRRP on eth0"), "{words}");
}

#[test]
fn an_interface_that_is_down_renamed_gone_or_missing() {
    let wire = Wire::new();
    let missing = wire.within(0, || VrrpSocket::open(&Registry::new(8), "eth7", Family::V6, true));
    assert!(matches!(&missing, Err(VrrpError::Gone { interface }) if interface == "eth7"), "{missing:?}");
    let socket = wire.open(0, Family::V4, true);
    let send = |source: &str| socket.send(ip(source), Family::V4.group(), b"nonsense");
    assert!(wire.within(0, || socket.check()).is_ok());
    let strange = send("10.9.9.9");
    assert!(matches!(strange, Err(VrrpError::Source { .. })), "{strange:?}");
    wire.run(0, "ip link set eth0 down");
    let down = send("10.0.0.1");
    assert!(matches!(down, Err(VrrpError::Down { .. })), "{down:?}");
    wire.run(0, "ip link set eth0 name eth9");
    let renamed = wire.within(0, || socket.check());
    assert!(matches!(&renamed, Err(VrrpError::Renamed { now, .. }) if now == "eth9"), "{renamed:?}");
    wire.run(0, "ip link delete eth9");
    let gone = wire.within(0, || socket.check());
    assert!(matches!(gone, Err(VrrpError::Gone { .. })), "{gone:?}");
    let gone = send("10.0.0.1");
    assert!(matches!(gone, Err(VrrpError::Gone { .. })), "{gone:?}");
}
