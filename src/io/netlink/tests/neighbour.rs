//! What neighbours believe, and what they say.

use super::address::spec;
use super::*;
use crate::io::neighbour::{Family, Heard, Neighbours};
use crate::wire::arp::{Form, Mac};

fn open(family: Family) -> Neighbours {
    let interface = kernel().interface("eth0").expect("eth0");
    Neighbours::open(&registry(), &interface, family).expect("a socket")
}

fn mac(host: &Host) -> Mac {
    host.with(|_, eth0| eth0.mac.expect("an Ethernet"))
}

fn written(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Waits for what another says of this address, asking again and again as `ask` does.
fn hear(neighbours: &Neighbours, ip: IpAddr, patience: Duration, mut ask: impl FnMut()) -> Option<Heard> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        ask();
        let turn = Instant::now();
        while turn.elapsed() < Duration::from_millis(50) {
            while let Some(heard) = neighbours.receive() {
                if heard.ip == ip {
                    return Some(heard);
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
    None
}

#[test]
fn announcements_change_what_neighbours_believe() {
    as_root(|| {
        let (host, peer) = pair();
        let ours = written(mac(&host));
        for (vip, form) in [(VIP4, Form::Request), (VIP4, Form::Reply), (VIP6, Form::default())] {
            host.with(move |kernel, eth0| {
                kernel.add_address(&spec(eth0, ip(vip), Some(600))).expect("added");
            });
            // Where the address was before.
            peer.ip(&format!("neigh replace {vip} lladdr 02:00:00:00:00:99 dev eth0 nud reachable"));
            assert!(!peer.ip(&format!("neigh show {vip}")).contains(&ours));
            host.run(move || open(Family::of(ip(vip))).announce(ip(vip), form).expect("announced"));
            wait_until(&format!("the neighbour believes {vip} to be here ({form:?})"), || {
                peer.ip(&format!("neigh show {vip}")).contains(&ours)
            });
        }
    });
}

#[test]
fn who_asks_first_finds_the_owner() {
    as_root(|| {
        let (host, peer) = pair();
        let theirs = mac(&peer);
        for (taken, free) in [("10.0.0.12", "10.0.0.200"), ("fd00::12", "fd00::200")] {
            host.run(move || {
                let neighbours = open(Family::of(ip(taken)));
                let ask =
                    |address| move |neighbours: &Neighbours| neighbours.ask(ip(address)).expect("asked");
                let found = hear(&neighbours, ip(taken), PATIENCE, || ask(taken)(&neighbours));
                assert_eq!(found, Some(Heard { ip: ip(taken), mac: theirs, asks: false }));
                let none = hear(&neighbours, ip(free), Duration::from_millis(150), || ask(free)(&neighbours));
                assert_eq!(none, None, "nobody has {free}");
            });
            let cached = peer.ip("neigh show");
            assert!(!cached.contains(free), "asking has changed no cache: {cached}");
        }
    });
}

#[test]
fn a_rival_is_heard() {
    as_root(|| {
        let (host, peer) = pair();
        let theirs = mac(&peer);
        for vip in [VIP4, VIP6] {
            let neighbours = host.run(move || open(Family::of(ip(vip))));
            let rival = peer.run(move || open(Family::of(ip(vip))));
            for form in [Form::Request, Form::Reply] {
                let heard = hear(&neighbours, ip(vip), PATIENCE, || {
                    rival.announce(ip(vip), form).expect("announced")
                });
                assert_eq!(heard, Some(Heard { ip: ip(vip), mac: theirs, asks: false }));
            }
            // One from before may still be under way.
            let begun = Instant::now();
            loop {
                let heard = hear(&neighbours, ip(vip), PATIENCE, || rival.ask(ip(vip)).expect("asked"));
                let heard = heard.expect("the question");
                assert_eq!(heard.mac, theirs);
                if heard.asks {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE);
            }
            // Our own words do not come back as a rival's.
            while neighbours.receive().is_some() {}
            neighbours.announce(ip(vip), Form::Request).expect("announced");
            let own = hear(&neighbours, ip(vip), Duration::from_millis(100), || ());
            assert!(own.is_none_or(|heard| heard.mac == theirs), "{own:?}");
        }
    });
}

#[test]
fn a_host_that_looks_for_others_shows_its_own_address() {
    as_root(|| {
        let (host, peer) = pair();
        let theirs = mac(&peer);
        for (vip, other) in [(VIP4, "10.0.0.200"), (VIP6, "fd00::200")] {
            let neighbours = host.run(move || open(Family::of(ip(vip))));
            // The rival has the address and looks for somebody from it.
            peer.with(move |kernel, eth0| {
                kernel.add_address(&spec(eth0, ip(vip), None)).expect("added");
            });
            let peer_ref = &peer;
            let heard = hear(&neighbours, ip(vip), PATIENCE, || {
                peer_ref.run(move || {
                    let socket = std::net::UdpSocket::bind((ip(vip), 0)).expect("a socket");
                    let _ = socket.send_to(b"x", (ip(other), 9));
                });
            });
            assert_eq!(heard, Some(Heard { ip: ip(vip), mac: theirs, asks: false }));
        }
    });
}

#[test]
fn a_dead_line_and_no_ethernet_are_clear_errors() {
    as_root(|| {
        let (host, _peer) = pair();
        host.run(|| {
            let lo = kernel().interface("lo").expect("lo");
            let error = Neighbours::open(&registry(), &lo, Family::V4).expect_err("no Ethernet");
            assert_eq!(
                error.to_string(),
                "cannot speak to the neighbours on lo: the interface is no Ethernet"
            );
        });
        let neighbours = host.run(|| open(Family::V4));
        let error = neighbours.announce(ip(VIP6), Form::Request).expect_err("the other family");
        assert!(error.to_string().contains("family"), "{error}");
        host.ip("link set eth0 down");
        let error = neighbours.announce(ip(VIP4), Form::Request).expect_err("no line");
        assert_eq!(error.errno(), Some(libc::ENETDOWN));
        assert!(error.to_string().starts_with("cannot announce 10.0.0.101 on eth0: "), "{error}");
        assert_eq!(neighbours.receive(), None, "and nothing is heard");
        host.ip("link set eth0 up");
        wait_until("the socket lives on", || neighbours.announce(ip(VIP4), Form::Request).is_ok());
    });
}
