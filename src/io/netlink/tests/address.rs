//! Adding, refreshing, removing, listing; lifetimes; who is chosen as source.

use super::super::address::AddressSpec;
use super::super::{Interface, LABEL_MARK, MARK, NetError};
use super::*;
use std::net::{TcpListener, TcpStream};

pub(super) fn spec<'a>(interface: &'a Interface, ip: IpAddr, valid_lifetime: Option<u32>) -> AddressSpec<'a> {
    let prefix = if ip.is_ipv4() { 16 } else { 64 };
    AddressSpec { interface, ip, prefix, valid_lifetime, label: None, noprefixroute: false, source: false }
}

#[test]
fn an_address_comes_is_refreshed_and_goes() {
    as_root(|| {
        let (host, _peer) = pair();
        let before = host.traces();
        host.with(|kernel, eth0| {
            for vip in [ip(VIP4), ip(VIP6)] {
                let placed = kernel.add_address(&spec(eth0, vip, Some(30))).expect("added");
                assert_eq!((placed.ip(), placed.prefix()), (vip, if vip.is_ipv4() { 16 } else { 64 }));
                let found = |kernel: &mut Kernel| {
                    let all = kernel.addresses(Some(eth0.index)).expect("a listing");
                    let mut found = all.into_iter().filter(|address| address.ip == vip);
                    let address = found.next().expect("it is there");
                    assert!(found.next().is_none(), "once");
                    address
                };
                let address = found(kernel);
                assert!((29..=30).contains(&address.valid.expect("a lifetime")), "{address:?}");
                assert_eq!(address.preferred, Some(0), "{address:?}");
                assert_eq!(address.protocol, MARK, "{address:?}");
                assert!(address.is_marked());
                assert_eq!(address.is_secondary(), vip.is_ipv4(), "{address:?}");
                assert_eq!(address.flags & libc::IFA_F_TENTATIVE, 0, "no delay: {address:?}");
                if vip.is_ipv4() {
                    assert_eq!(address.label, Some(format!("eth0{LABEL_MARK}")));
                }
                kernel.refresh(&placed, Some(300)).expect("refreshed");
                assert!((299..=300).contains(&found(kernel).valid.expect("a lifetime")));
                kernel.add_address(&spec(eth0, vip, Some(600))).expect("added over it");
                assert!((599..=600).contains(&found(kernel).valid.expect("a lifetime")));
                kernel.refresh(&placed, None).expect("refreshed");
                assert_eq!(found(kernel).valid, None);
                assert!(kernel.is_present(eth0, vip).expect("a listing"));
                assert!(kernel.remove_address(eth0, vip).expect("removed"));
                assert!(!kernel.is_present(eth0, vip).expect("a listing"));
                assert!(!kernel.remove_address(eth0, vip).expect("no error"), "it was not there");
                // A refresh brings back what somebody removed.
                kernel.refresh(&placed, Some(60)).expect("refreshed");
                assert!(kernel.is_present(eth0, vip).expect("a listing"));
                kernel.remove_address(eth0, vip).expect("removed");
            }
        });
        assert_eq!(host.traces(), before);
    });
}

#[test]
fn the_kernel_ends_a_lifetime_in_time() {
    as_root(|| {
        let threads: Vec<_> = [VIP4, VIP6]
            .into_iter()
            .map(|vip| {
                thread::spawn(move || {
                    let (host, _peer) = pair();
                    host.with(move |kernel, eth0| {
                        let begun = Instant::now();
                        kernel.add_address(&spec(eth0, ip(vip), Some(1))).expect("added");
                        let added = Instant::now();
                        let mut seen = begun;
                        while kernel.is_present(eth0, ip(vip)).expect("a listing") {
                            seen = Instant::now();
                            assert!(added.elapsed() < PATIENCE, "{vip} is still there");
                            thread::sleep(Duration::from_millis(2));
                        }
                        let gone = begun.elapsed();
                        println!(
                            "{vip}: a lifetime of 1 s: there after {:?}, gone after {gone:?}",
                            seen - added
                        );
                        // Our look may be late: only what was seen counts.
                        assert!(
                            seen - added < Duration::from_millis(1300),
                            "{vip} was there after {:?}",
                            seen - added
                        );
                        assert!(gone > Duration::from_millis(900), "{vip} went after {gone:?}");
                    });
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("both in time");
        }
    });
}

/// The kernel looks no oftener than once a second after each change, so another address's refresh makes the end late.
#[test]
fn a_lifetime_beside_other_changes_ends_a_second_late_at_most() {
    as_root(|| {
        let (host, _peer) = pair();
        host.with(|kernel, eth0| {
            for (vip, other) in [(VIP4, "10.0.0.102"), (VIP6, "fd00::102")] {
                let placed = kernel.add_address(&spec(eth0, ip(other), Some(600))).expect("added");
                let added = Instant::now();
                kernel.add_address(&spec(eth0, ip(vip), Some(1))).expect("added");
                while added.elapsed() < Duration::from_millis(900) {
                    thread::sleep(Duration::from_millis(10));
                }
                kernel.refresh(&placed, Some(600)).expect("refreshed");
                let mut seen = added.elapsed();
                while kernel.is_present(eth0, ip(vip)).expect("a listing") {
                    seen = added.elapsed();
                    assert!(seen < PATIENCE, "{vip} is still there");
                    thread::sleep(Duration::from_millis(2));
                }
                println!("{vip}: a lifetime of 1 s beside a refresh at 0.9 s: there after {seen:?}");
                assert!(seen < Duration::from_millis(2300), "{vip} was there after {seen:?}");
            }
        });
    });
}

#[test]
fn labels() {
    as_root(|| {
        let (host, _peer) = pair();
        host.with(|kernel, eth0| {
            let vip = ip(VIP4);
            let labelled = |label| AddressSpec { label: Some(label), ..spec(eth0, vip, None) };
            kernel.add_address(&labelled("eth0:db")).expect("added");
            let all = kernel.addresses(Some(eth0.index)).expect("a listing");
            let address = all.iter().find(|address| address.ip == vip).expect("it is there");
            assert_eq!(address.label.as_deref(), Some("eth0:db"));
            assert!(address.is_marked(), "by its protocol number");
            for label in ["eth1:db", "eth0:0123456789x", "x"] {
                let error = kernel.add_address(&labelled(label)).expect_err("no such label");
                assert!(matches!(error, NetError::Invalid { .. }), "{error}");
                assert!(error.to_string().contains(label), "{error}");
            }
            kernel
                .add_address(&AddressSpec { label: Some("eth0"), ..spec(eth0, ip(VIP6), None) })
                .expect_err("IPv6");
            kernel.add_address(&AddressSpec { prefix: 33, ..spec(eth0, vip, None) }).expect_err("too long");
            kernel.add_address(&spec(eth0, vip, Some(0))).expect_err("no lifetime");
        });
        assert!(host.ip("addr show dev eth0").contains("eth0:db"));
    });
}

/// Where a connection to the peer comes from.
fn source(host: &Host, peer: &Host, to: &str) -> IpAddr {
    let to = ip(to);
    let listener = peer.run(move || TcpListener::bind((to, 0)).expect("a port"));
    let target = listener.local_addr().expect("an address");
    host.run(move || {
        TcpStream::connect_timeout(&target, PATIENCE).expect("connected").local_addr().expect("ours").ip()
    })
}

#[test]
fn it_is_never_a_source_unless_asked() {
    as_root(|| {
        let (host, peer) = pair();
        // A route that names no source, and one beyond a router.
        host.ip("route add default via 10.0.0.12");
        peer.ip("addr add 192.0.2.1/32 dev lo");
        let at = [("10.0.0.12", "10.0.0.11"), ("192.0.2.1", "10.0.0.11"), ("fd00::12", "fd00::11")];
        host.with(|kernel, eth0| {
            for vip in [VIP4, VIP6, "10.0.0.9", "fd00::9", "192.168.7.7"] {
                kernel.add_address(&spec(eth0, ip(vip), Some(600))).expect("added");
            }
        });
        for (to, from) in at {
            assert_eq!(source(&host, &peer, to), ip(from), "to {to}");
        }
        // The host's address goes and comes back: as with a lease that ends. It is no longer the first.
        host.ip("addr del 10.0.0.11/16 dev eth0");
        host.with(|kernel, eth0| {
            for vip in [VIP4, "192.168.7.7"] {
                kernel.add_address(&spec(eth0, ip(vip), Some(600))).expect("added again");
            }
        });
        host.ip("addr add 10.0.0.11/16 dev eth0");
        host.ip("route replace default via 10.0.0.12");
        for (to, from) in at {
            assert_eq!(source(&host, &peer, to), ip(from), "to {to} after the host's own address came back");
        }
    });
}

#[test]
fn alone_on_its_interface_it_is_reached_but_no_source() {
    as_root(|| {
        let (host, peer) = line();
        peer.ip("addr add 10.0.0.12/16 dev eth0");
        let placed =
            host.with(|kernel, eth0| kernel.add_address(&spec(eth0, ip(VIP4), Some(600))).expect("added"));
        assert_eq!(placed.prefix(), 32);
        assert!(!host.ip("route show").contains("10.0.0.0"), "no route names it as source");
        // The host's own address comes later and is neither refused nor second.
        host.ip("addr add 10.0.0.11/16 dev eth0");
        let shown = host.ip("addr show dev eth0");
        assert!(!shown.contains("secondary"), "{shown}");
        assert_eq!(source(&host, &peer, "10.0.0.12"), ip("10.0.0.11"));
        let listener = host.run(|| TcpListener::bind((ip(VIP4), 0)).expect("a port"));
        let target = listener.local_addr().expect("an address");
        peer.run(move || TcpStream::connect_timeout(&target, PATIENCE).expect("it is reached"));
        // Added once more, it stays as it is.
        host.with(|kernel, eth0| {
            kernel.add_address(&spec(eth0, ip(VIP4), Some(600))).expect("added");
            let all = kernel.addresses(Some(eth0.index)).expect("a listing");
            assert_eq!(all.iter().filter(|address| address.ip == ip(VIP4)).count(), 1, "{all:?}");
            assert!(kernel.remove_address(eth0, ip(VIP4)).expect("removed"));
        });
    });
}

#[test]
fn asked_for_it_is_a_source() {
    as_root(|| {
        let (host, peer) = line();
        peer.ip("addr add 10.0.0.12/16 dev eth0");
        peer.ip("addr add fd00::12/64 dev eth0 nodad");
        host.with(|kernel, eth0| {
            for vip in [VIP4, VIP6] {
                let asked = AddressSpec { source: true, ..spec(eth0, ip(vip), Some(600)) };
                kernel.add_address(&asked).expect("added");
            }
        });
        assert_eq!(source(&host, &peer, "10.0.0.12"), ip(VIP4));
        assert_eq!(source(&host, &peer, "fd00::12"), ip(VIP6));
        host.with(|kernel, eth0| {
            let bare = AddressSpec { source: true, noprefixroute: true, ..spec(eth0, ip("10.7.0.1"), None) };
            kernel.add_address(&bare).expect("added");
        });
        assert!(!host.ip("route show").contains("10.7.0.0"), "noprefixroute");
    });
}

#[test]
fn a_promoted_address_goes_back_to_being_none() {
    as_root(|| {
        let (host, _peer) = pair();
        host.run(|| {
            std::fs::write("/proc/sys/net/ipv4/conf/eth0/promote_secondaries", "1").expect("a setting")
        });
        host.with(|kernel, eth0| {
            kernel.add_address(&spec(eth0, ip(VIP4), Some(600))).expect("added");
        });
        host.ip("addr del 10.0.0.11/16 dev eth0");
        assert!(host.ip("route show").contains(VIP4), "the kernel has made it a primary");
        host.with(|kernel, eth0| {
            let placed = kernel.add_address(&spec(eth0, ip(VIP4), Some(600))).expect("added again");
            assert_eq!(placed.prefix(), 32);
        });
        let shown = host.ip("addr show dev eth0") + &host.ip("route show");
        assert!(
            shown.contains("10.0.0.101/32")
                && !shown.contains("10.0.0.101/16")
                && !shown.contains("10.0.0.0/16"),
            "{shown}"
        );
    });
}

/// Some kernels put an address's lifetime onto the route that it shares with the host's own address.
#[test]
fn a_lifetime_does_not_reach_the_host_s_own_route() {
    as_root(|| {
        let (host, _peer) = pair();
        let before = host.ip("-6 route show dev eth0");
        host.with(|kernel, eth0| {
            kernel.add_address(&spec(eth0, ip(VIP6), Some(600))).expect("added");
            kernel.add_address(&spec(eth0, ip("fd00::102"), Some(600))).expect("added");
        });
        assert_eq!(host.ip("-6 route show dev eth0"), before);
        host.with(|kernel, eth0| kernel.remove_address(eth0, ip(VIP6)).expect("removed"));
        assert_eq!(host.ip("-6 route show dev eth0"), before);
    });
}
