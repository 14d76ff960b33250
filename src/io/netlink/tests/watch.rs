//! Hearing of changes.

use super::super::{Change, Watch};
use super::address::spec;
use super::*;
use std::sync::mpsc::Receiver;

/// Watches a host from a thread of its own, which waits by poll(2).
fn watch(host: &Host) -> Receiver<Change> {
    let (told, changes) = channel();
    host.run(move || {
        let mut watch = Watch::open(&registry(), &mut kernel()).expect("a watch");
        thread::spawn(move || {
            loop {
                let mut entry = libc::pollfd { fd: watch.number(), events: libc::POLLIN, revents: 0 };
                // SAFETY: one live entry.
                unsafe { libc::poll(&mut entry, 1, 100) };
                while let Some(change) = watch.next() {
                    if told.send(change).is_err() {
                        return;
                    }
                }
            }
        });
    });
    changes
}

/// Waits for a change; what comes before it is passed over.
fn wait_for(changes: &Receiver<Change>, what: &str, wanted: impl Fn(&Change) -> bool) {
    let begun = Instant::now();
    let mut passed = Vec::new();
    while let Ok(change) = changes.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
        if wanted(&change) {
            return;
        }
        passed.push(change);
    }
    panic!("{what} was not told, but {passed:?}");
}

#[test]
fn addresses_come_and_go() {
    as_root(|| {
        let (host, _peer) = pair();
        let changes = watch(&host);
        for vip in [ip(VIP4), ip(VIP6)] {
            let index = host.with(move |kernel, eth0| {
                kernel.add_address(&spec(eth0, vip, Some(600))).expect("added");
                eth0.index
            });
            wait_for(
                &changes,
                "an address",
                |change| matches!(change, Change::Address(address) if address.ip == vip && address.index == index && address.is_marked()),
            );
            let gone = |change: &Change| matches!(change, Change::AddressGone { ip, .. } if *ip == vip);
            host.ip(&format!("addr del {vip}/{} dev eth0", if vip.is_ipv4() { 16 } else { 64 }));
            wait_for(&changes, "a removal by hand", gone);
            host.with(move |kernel, eth0| {
                kernel.add_address(&spec(eth0, vip, Some(1))).expect("added");
            });
            wait_for(&changes, "the end of a lifetime", gone);
        }
    });
}

#[test]
fn links_flap_are_renamed_and_go() {
    as_root(|| {
        let (host, peer) = pair();
        let changes = watch(&host);
        for _ in 0..3 {
            peer.ip("link set eth0 down");
            wait_for(
                &changes,
                "a pulled line",
                |change| matches!(change, Change::LinkState(link) if link.name == "eth0" && link.up && !link.running),
            );
            peer.ip("link set eth0 up");
            wait_for(
                &changes,
                "a line put back",
                |change| matches!(change, Change::LinkState(link) if link.name == "eth0" && link.running),
            );
        }
        host.ip("link set eth0 address 02:00:00:00:00:42");
        wait_for(
            &changes,
            "a hardware address",
            |change| matches!(change, Change::LinkMac(link) if link.mac == Some([2, 0, 0, 0, 0, 0x42])),
        );
        host.ip("link set eth0 down");
        wait_for(&changes, "a switch off", |change| matches!(change, Change::LinkState(link) if !link.up));
        host.ip("link set eth0 name wan0");
        wait_for(
            &changes,
            "a new name",
            |change| matches!(change, Change::LinkRenamed { from, interface } if from == "eth0" && interface.name == "wan0"),
        );
        host.ip("link del wan0");
        wait_for(
            &changes,
            "its end",
            |change| matches!(change, Change::LinkGone { name, .. } if name == "wan0"),
        );
        host.ip("link add eth0 type bridge");
        wait_for(
            &changes,
            "a new one",
            |change| matches!(change, Change::LinkAppeared(link) if link.name == "eth0"),
        );
    });
}

/// A bridge speaks of a port that it loses by the type that else means the end of the interface.
#[test]
fn a_port_that_leaves_its_bridge_has_not_gone() {
    as_root(|| {
        let (host, _peer) = pair();
        host.ip("link add br0 type bridge");
        let changes = watch(&host);
        host.ip("link set eth0 master br0");
        host.ip("link set eth0 nomaster");
        host.ip("link set eth0 down");
        let begun = Instant::now();
        loop {
            let change =
                changes.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())).expect("the switch off");
            assert!(!matches!(change, Change::LinkGone { .. }), "{change:?}");
            if matches!(&change, Change::LinkState(link) if link.name == "eth0" && !link.up) {
                break;
            }
        }
    });
}

#[test]
fn a_storm_says_look_again() {
    as_root(|| {
        let (host, _peer) = pair();
        host.with(|kernel, eth0| {
            let mut watch = Watch::open(&registry(), kernel).expect("a watch");
            // As small as the kernel allows, so that the storm need not be large.
            let room: i32 = 1;
            // SAFETY: pointer and length name `room`.
            let result = unsafe {
                libc::setsockopt(
                    watch.number(),
                    libc::SOL_SOCKET,
                    libc::SO_RCVBUF,
                    (&raw const room).cast(),
                    size_of::<i32>() as libc::socklen_t,
                )
            };
            assert_eq!(result, 0);
            let placed = kernel.add_address(&spec(eth0, ip(VIP4), Some(600))).expect("added");
            for seconds in 0..100 {
                kernel.refresh(&placed, Some(600 + seconds)).expect("refreshed");
            }
            run_ip("link set eth0 name wan0 down");
            let mut again = 0;
            while let Some(change) = watch.next() {
                again += u32::from(change == Change::LookAgain);
            }
            assert_eq!(again, 1, "once, and then silence");
            watch.compare(kernel.interfaces().expect("a listing"));
            let differs: Vec<Change> = std::iter::from_fn(|| watch.next()).collect();
            assert!(
                differs
                    .iter()
                    .any(|change| matches!(change, Change::LinkRenamed { from, .. } if from == "eth0")),
                "{differs:?}"
            );
            watch.compare(Vec::new());
            assert!(matches!(watch.next(), Some(Change::LinkGone { .. })));
        });
    });
}

/// ip(8) from a thread that is in the namespace already.
fn run_ip(words: &str) {
    let status = Command::new("ip").args(words.split_whitespace()).status().expect("ip runs");
    assert!(status.success(), "ip {words}");
}
