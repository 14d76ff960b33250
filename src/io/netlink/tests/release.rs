//! Block, destroy, remove: what clients see, what is left, and what a crash at each step leaves.

use super::super::Cleaned;
use super::address::spec;
use super::*;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, TryRecvError};

/// A server in a host that keeps every connection and tells of each.
struct Server {
    port: u16,
    accepted: Receiver<SocketAddr>,
}

/// Listens everywhere: in IPv4 alone, or in IPv6 with IPv4 behind it.
fn serve(host: &Host, everywhere: &'static str) -> Server {
    let (told, accepted) = channel();
    let port = host.run(move || {
        let listener = TcpListener::bind((ip(everywhere), 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        thread::spawn(move || {
            let mut kept = Vec::new();
            while let Ok((stream, peer)) = listener.accept() {
                kept.push(stream);
                if told.send(peer).is_err() {
                    break;
                }
            }
        });
        port
    });
    Server { port, accepted }
}

/// Connects, and blocks in a read: when it ended and how.
fn blocked_client(
    host: &Host,
    to: &'static str,
    server: &Server,
) -> JoinHandle<(Instant, std::io::Result<usize>)> {
    let target = SocketAddr::new(ip(to), server.port);
    let mut stream = host.run(move || TcpStream::connect_timeout(&target, PATIENCE).expect("connected"));
    server.accepted.recv_timeout(PATIENCE).expect("accepted");
    thread::spawn(move || {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let result = stream.read(&mut [0; 8]);
        (Instant::now(), result)
    })
}

fn add(host: &Host, vip: &'static str) {
    host.with(move |kernel, eth0| {
        kernel.add_address(&spec(eth0, ip(vip), Some(600))).expect("added");
    });
}

fn connects(host: &Host, to: &str, port: u16) -> bool {
    let target = SocketAddr::new(ip(to), port);
    host.run(move || TcpStream::connect_timeout(&target, Duration::from_millis(300)).is_ok())
}

#[test]
fn a_client_in_a_read_learns_it_at_once() {
    as_root(|| {
        for (vip, own, everywhere) in
            [(VIP4, "10.0.0.11", "0.0.0.0"), (VIP4, "10.0.0.11", "::"), (VIP6, "fd00::11", "::")]
        {
            let (host, peer) = pair();
            let before = host.traces();
            add(&host, vip);
            let server = serve(&host, everywhere);
            let clients: Vec<_> = (0..3).map(|_| blocked_client(&peer, vip, &server)).collect();
            let other = blocked_client(&peer, own, &server);
            host.with(move |kernel, eth0| {
                kernel.block(eth0, ip(vip)).expect("blocked");
                kernel.block(eth0, ip(vip)).expect("twice does no harm");
            });
            assert!(!connects(&peer, vip, server.port), "{vip} is blocked");
            assert!(!connects(&host, vip, server.port), "for local programs too");
            assert_eq!(server.accepted.try_recv(), Err(TryRecvError::Empty), "nobody came in");
            let destroyed = Instant::now();
            let count = host.with(move |kernel, _| kernel.destroy(ip(vip)).expect("destroyed"));
            assert_eq!(count, 3, "{vip} at {everywhere}");
            for client in clients {
                let (ended, result) = client.join().expect("a client");
                let error = result.expect_err("a reset");
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{vip} at {everywhere}");
                let took = ended.saturating_duration_since(destroyed);
                assert!(took < Duration::from_secs(1), "{vip} at {everywhere}: {took:?}");
            }
            host.with(move |kernel, eth0| {
                assert!(kernel.remove_address(eth0, ip(vip)).expect("removed"));
                assert!(kernel.unblock(eth0, ip(vip)).expect("unblocked"));
                assert!(!kernel.unblock(eth0, ip(vip)).expect("no error"), "it was no longer");
            });
            assert_eq!(host.traces(), before, "no trace of {vip}");
            // What listens goes on, and connections of other addresses were left alone.
            assert!(connects(&peer, own, server.port), "{own} at {everywhere}");
            assert!(!other.is_finished(), "{own} at {everywhere}");
            add(&host, vip);
            wait_until(&format!("{vip} is back"), || connects(&peer, vip, server.port));
            // Ends the client that still waits.
            host.with(move |kernel, _| kernel.destroy(ip(own)).expect("destroyed"));
            assert!(other.join().expect("a client").1.is_err());
        }
    });
}

#[test]
fn local_programs_learn_it_too() {
    as_root(|| {
        let (host, _peer) = pair();
        add(&host, VIP4);
        let server = serve(&host, "0.0.0.0");
        let client = blocked_client(&host, VIP4, &server);
        host.with(|kernel, eth0| {
            kernel.block(eth0, ip(VIP4)).expect("blocked");
            // Both ends are here; the reset of the first may be quicker than we are with the second.
            assert!((1..=2).contains(&kernel.destroy(ip(VIP4)).expect("destroyed")));
        });
        let error = client.join().expect("a client").1.expect_err("an end");
        assert!(matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset), "{error}");
    });
}

#[test]
fn unblocked_it_is_as_before() {
    as_root(|| {
        let (host, peer) = pair();
        for (vip, everywhere) in [(VIP4, "0.0.0.0"), (VIP6, "::")] {
            add(&host, vip);
            settle(&host, if vip == VIP6 { 4 } else { 3 });
            let before = host.traces();
            let server = serve(&host, everywhere);
            host.with(move |kernel, eth0| kernel.block(eth0, ip(vip)).expect("blocked"));
            assert!(!connects(&peer, vip, server.port));
            host.with(move |kernel, eth0| assert!(kernel.unblock(eth0, ip(vip)).expect("unblocked")));
            // The peer asks for the address once a second only, and nobody has answered while it was blocked.
            wait_until(&format!("{vip} is reached"), || connects(&peer, vip, server.port));
            settle(&host, if vip == VIP6 { 4 } else { 3 });
            assert_eq!(host.traces(), before, "{vip}");
        }
    });
}

#[test]
fn a_crash_at_any_step_is_cleaned_up() {
    as_root(|| {
        let (host, peer) = pair();
        host.ip("addr add 10.0.0.77/16 dev eth0");
        host.ip("route add prohibit 10.0.0.78 table local proto static");
        host.ip("addr add fd00::77/64 dev eth0 nodad");
        host.ip("route add prohibit fd00::78 table local proto static");
        settle(&host, 4);
        let before = host.traces();
        for vip in [VIP4, VIP6] {
            // Each step is a process's last: its sockets close, the kernel keeps what was done.
            for last in 0..4 {
                host.with(move |kernel, eth0| {
                    kernel.add_address(&spec(eth0, ip(vip), Some(600))).expect("added");
                    if last >= 1 {
                        kernel.block(eth0, ip(vip)).expect("blocked");
                    }
                    if last >= 2 {
                        kernel.destroy(ip(vip)).expect("destroyed");
                    }
                    if last >= 3 {
                        kernel.remove_address(eth0, ip(vip)).expect("removed");
                    }
                });
                assert_ne!(host.traces(), before);
                let cleaned = host.with(move |kernel, eth0| {
                    let all =
                        [vip, "10.0.0.77", "10.0.0.78", "fd00::77", "fd00::78", "10.0.0.11", "10.0.0.200"];
                    kernel.clean_up(eth0, &all.map(ip)).expect("cleaned up")
                });
                let addresses = if last < 3 { vec![ip(vip)] } else { vec![] };
                let blocks = if last >= 1 { vec![ip(vip)] } else { vec![] };
                assert_eq!(cleaned, Cleaned { addresses, blocks }, "{vip}, step {last}");
                assert_eq!(host.traces(), before, "{vip}, step {last}");
            }
        }
        // Half a block of IPv6: ours is there, and the kernel's still stands before it.
        add(&host, VIP6);
        let ours = format!("route add prohibit {VIP6} table local proto {}", super::super::MARK);
        host.ip(&ours);
        host.with(|kernel, eth0| kernel.clean_up(eth0, &[ip(VIP6)]).expect("cleaned up"));
        assert_eq!(host.traces(), before);
        // A new claim over the remains of a release.
        for (vip, everywhere) in [(VIP4, "0.0.0.0"), (VIP6, "::")] {
            host.with(move |kernel, eth0| {
                kernel.add_address(&spec(eth0, ip(vip), Some(600))).expect("added");
                kernel.block(eth0, ip(vip)).expect("blocked");
                kernel.remove_address(eth0, ip(vip)).expect("removed");
                kernel.add_address(&spec(eth0, ip(vip), Some(600))).expect("added");
                assert!(kernel.unblock(eth0, ip(vip)).expect("unblocked"));
            });
            let server = serve(&host, everywhere);
            wait_until(&format!("{vip} is reached"), || connects(&peer, vip, server.port));
        }
    });
}

#[test]
fn a_gone_interface_leaves_no_block() {
    as_root(|| {
        let (host, _peer) = pair();
        add(&host, VIP4);
        add(&host, VIP6);
        let eth0 = host.with(|kernel, eth0| {
            for vip in [VIP4, VIP6] {
                kernel.block(eth0, ip(vip)).expect("blocked");
            }
            eth0.clone()
        });
        host.ip("link del eth0");
        host.run(move || {
            let cleaned = kernel().clean_up(&eth0, &[ip(VIP4), ip(VIP6)]).expect("cleaned up");
            assert_eq!(cleaned.blocks, [ip(VIP4), ip(VIP6)]);
            assert!(!kernel().remove_address(&eth0, ip(VIP4)).expect("no error"));
        });
        assert!(!host.traces().contains("101"), "{}", host.traces());
    });
}

/// How long it takes, for whoever runs it with --nocapture; and that a hundred and more fit into the batches.
#[test]
fn a_hundred_connections() {
    as_root(|| {
        for (vip, everywhere) in [(VIP4, "0.0.0.0"), (VIP4, "::"), (VIP6, "::")] {
            let (host, peer) = pair();
            let took = host.with(move |kernel, eth0| {
                let begun = Instant::now();
                kernel.add_address(&spec(eth0, ip(vip), Some(600))).expect("added");
                begun.elapsed()
            });
            let server = serve(&host, everywhere);
            let target = SocketAddr::new(ip(vip), server.port);
            let mut clients = peer.run(move || {
                let connect = |_| TcpStream::connect_timeout(&target, PATIENCE).expect("connected");
                (0..150).map(connect).collect::<Vec<_>>()
            });
            for client in &mut clients {
                client.write_all(b"question").expect("written");
                server.accepted.recv_timeout(PATIENCE).expect("accepted");
            }
            let (block, destroy, remove, count) = host.with(move |kernel, eth0| {
                let begun = Instant::now();
                kernel.block(eth0, ip(vip)).expect("blocked");
                let block = begun.elapsed();
                let count = kernel.destroy(ip(vip)).expect("destroyed");
                let destroy = begun.elapsed() - block;
                kernel.remove_address(eth0, ip(vip)).expect("removed");
                kernel.unblock(eth0, ip(vip)).expect("unblocked");
                (block, destroy, begun.elapsed() - destroy - block, count)
            });
            println!(
                "{vip} at {everywhere}: add {took:?}, block {block:?}, destroy 150 {destroy:?}, remove and unblock {remove:?}"
            );
            assert_eq!(count, 150);
            for client in &mut clients {
                client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                let error = client.read(&mut [0; 8]).expect_err("a reset");
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            }
        }
    });
}
