//! Agents' channels over real sockets, each in a thread of its own, as they run in processes.

use super::*;
use crate::engine::Time;
use crate::io::{clock, entropy};
use crate::vip::peer::{Channel, LARGEST, Order, OwnState, PeerInput, Registers, Role, VipState};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A channel with its socket, without the tier that it belongs to.
#[derive(Debug)]
struct PeerPort {
    socket: PeerSocket,
    channel: Channel,
    buffer: Box<[u8; LARGEST + 1]>,
}

impl PeerPort {
    fn open(
        registry: &Arc<Registry>,
        now: Time,
        tier: &TierConfig,
        host: &str,
        registers: Registers,
    ) -> Result<PeerPort> {
        let (address, settings) = settings(tier, host)?;
        let keys = keys(tier)?;
        let socket = bind(registry, host, address)?;
        let seed = entropy::bytes().expect("random bytes");
        let channel = Channel::new(now, settings, keys, registers, seed).expect("a channel");
        Ok(PeerPort { socket, channel, buffer: Box::new([0; LARGEST + 1]) })
    }

    fn number(&self) -> RawFd {
        self.socket.number()
    }

    fn channel(&mut self) -> &mut Channel {
        &mut self.channel
    }

    fn deadline(&self) -> Time {
        self.channel.poll_timeout()
    }

    /// Reads what came in, lets the machine judge the time, and sends.
    fn turn(&mut self, now: Time) -> Vec<PeerInput> {
        let mut news = Vec::new();
        loop {
            match self.socket.receive(self.buffer.as_mut_slice()) {
                Ok(Some((count, from))) => {
                    news.extend(self.channel.handle_datagram(now, from, &self.buffer[..count]));
                }
                Ok(None) => break,
                Err(_) => {}
            }
        }
        if self.channel.poll_timeout() <= now {
            news.extend(self.channel.handle_timer(now));
        }
        self.flush();
        news
    }

    fn flush(&mut self) {
        while let Some((to, bytes)) = self.channel.poll_transmit() {
            let _ = self.socket.send(to, &bytes);
        }
    }
}

/// For a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Free ports of the loopback address; held by nobody, so a test that loses one to somebody else tells so.
fn addresses(ip: &str, count: usize) -> Vec<SocketAddr> {
    let sockets: Vec<UdpSocket> =
        (0..count).map(|_| UdpSocket::bind(format!("{ip}:0")).expect("a port")).collect();
    sockets.iter().map(|socket| socket.local_addr().expect("an address")).collect()
}

fn tier(folder: &Path, addresses: &[SocketAddr]) -> TierConfig {
    let key = folder.join("key");
    // With what no password may hold.
    std::fs::write(&key, b"\0sixteen\nbytes\xff of a key").expect("a file");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let mut tier = TierConfig::plain(None);
    let host = |(n, address): (usize, &SocketAddr)| crate::config::tier::TierHost {
        name: format!("rt{}", n + 1),
        address: *address,
    };
    tier.hosts = addresses.iter().enumerate().map(host).collect();
    tier.key_file = Some(key);
    tier.interval = Duration::from_millis(50);
    tier
}

/// Waits until a datagram comes or the deadline is there.
fn wait(port: &PeerPort) {
    let mut watched = libc::pollfd { fd: port.number(), events: libc::POLLIN, revents: 0 };
    let until = port.deadline().since(clock::mono()).min(Duration::from_millis(20));
    // SAFETY: one live structure.
    unsafe { libc::poll(&mut watched, 1, until.as_millis() as libc::c_int + 1) };
}

fn state(owner: bool) -> OwnState {
    let role = if owner { Role::Owner } else { Role::Backup };
    let vip = VipState { role, eligible: true, score: 100, ..VipState::default() };
    OwnState {
        agent: "0.1.0".into(),
        standby: false,
        vips: (0..50).map(|n| (format!("vip{n}"), vip.clone())).collect(),
    }
}

/// Three hosts: the first owns, orders, and hands over to the second.
fn three_agents(ip: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let addresses = addresses(ip, 3);
    let tier = tier(folder.path(), &addresses);
    let handed = AtomicBool::new(false);
    let done: Vec<AtomicBool> = (0..3).map(|_| AtomicBool::new(false)).collect();
    std::thread::scope(|scope| {
        for host in 0..3 {
            let (tier, handed, done) = (&tier, &handed, &done);
            scope.spawn(move || {
                let name = format!("rt{}", host + 1);
                let registry = Registry::new(4);
                let mut port = PeerPort::open(&registry, clock::mono(), tier, &name, Registers::default())
                    .expect("a channel");
                port.channel().set_state(clock::mono(), state(host == 0)).expect("a state");
                let (mut ordered, mut hand_overs) = (false, 0);
                let began = Instant::now();
                while !done.iter().all(|d| d.load(Ordering::SeqCst)) {
                    assert!(
                        began.elapsed() < PATIENCE,
                        "{name}: {}",
                        port.channel().view(clock::mono()).to_json()
                    );
                    for news in port.turn(clock::mono()) {
                        match news {
                            PeerInput::HandOver { peer, vip, epoch } => {
                                assert_eq!((peer.as_str(), vip.as_str(), epoch), ("rt1", "vip7", 3));
                                hand_overs += 1;
                                handed.store(true, Ordering::SeqCst);
                            }
                            PeerInput::Trouble { words, .. } => panic!("{name}: {words}"),
                            _ => {}
                        }
                    }
                    let view = port.channel().view(clock::mono());
                    let all = view.hosts.iter().all(|h| h.known && h.in_step)
                        && view.vips.len() == 50
                        && view.vips.iter().all(|vip| vip.hosts.len() == 3 && vip.owners == ["rt1"]);
                    if all && host == 0 && !ordered {
                        ordered = true;
                        let now = clock::mono();
                        let order = Order::Standby { host: "rt3".into(), standby: true };
                        port.channel().order(now, &order).expect("an order");
                        assert!(port.channel().hand_over(now, "vip7", "rt2", 3));
                        port.flush();
                    }
                    let heard = port.channel().registers().standby("rt3");
                    if all && heard && handed.load(Ordering::SeqCst) {
                        done[host].store(true, Ordering::SeqCst);
                    }
                    wait(&port);
                }
                assert_eq!(hand_overs, u32::from(host == 1));
            });
        }
    });
}

#[test]
fn three_agents_over_ipv4() {
    three_agents("127.0.0.1");
}

#[test]
fn three_agents_over_ipv6() {
    three_agents("[::1]");
}

#[test]
fn foreign_and_oversized_datagrams_do_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let addresses = addresses("127.0.0.1", 3);
    let tier = tier(folder.path(), &addresses);
    let registry = Registry::new(4);
    let mut port =
        PeerPort::open(&registry, clock::mono(), &tier, "rt1", Registers::default()).expect("a channel");
    let rt2 = UdpSocket::bind(addresses[1]).expect("the peer's address");
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for bytes in [vec![0; 0], vec![7; 100], vec![b'P'; LARGEST], vec![b'P'; 9_000]] {
        rt2.send_to(&bytes, addresses[0]).expect("sent");
        stranger.send_to(&bytes, addresses[0]).expect("sent");
    }
    let began = Instant::now();
    while port.channel().strangers() < 4 || port.channel().rejects("rt2").is_some_and(|r| r.total() < 4) {
        assert!(began.elapsed() < PATIENCE, "{:?}", port.channel().rejects("rt2"));
        assert_eq!(port.turn(clock::mono()), []);
        wait(&port);
    }
    let rejects = port.channel().rejects("rt2").expect("a peer");
    assert_eq!(rejects.of(crate::vip::peer::Reject::TooLong), 1);
    // Nobody is at rt3's port: the refusals that the kernel reports end nothing.
    let before = port.channel().view(clock::mono());
    for _ in 0..20 {
        port.turn(clock::mono());
        wait(&port);
    }
    assert_eq!(port.channel().view(clock::mono()).hosts.len(), before.hosts.len());
}

#[test]
fn what_is_wrong_with_the_configuration_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let addresses = addresses("127.0.0.1", 2);
    let good = tier(folder.path(), &addresses);
    let registry = Registry::new(4);
    let open = |tier: &TierConfig, host: &str| {
        PeerPort::open(&registry, clock::mono(), tier, host, Registers::default()).expect_err("it is wrong")
    };
    let error = open(&good, "other");
    assert!(error.code() == ErrorCode::Config && error.message().contains("rt1, rt2"), "{error}");

    let _held = UdpSocket::bind(addresses[0]).expect("the address");
    let error = open(&good, "rt1");
    assert!(error.code() == ErrorCode::Io && error.message().contains("another agent"), "{error}");

    let mut bad = good.clone();
    // TEST-NET-1 of RFC 5737.
    bad.hosts[0].address = "192.0.2.1:5405".parse().expect("an address");
    let error = open(&bad, "rt1");
    assert!(error.code() == ErrorCode::Io && error.message().contains("192.0.2.1:5405"), "{error}");
    bad.hosts[0].address = "[::1]:5405".parse().expect("an address");
    let error = open(&bad, "rt1");
    assert!(error.code() == ErrorCode::Config && error.message().contains("all IPv6"), "{error}");

    let key = good.key_file.clone().expect("a key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let error = open(&good, "rt2");
    assert!(error.code() == ErrorCode::Secret && error.message().contains("chmod"), "{error}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    std::fs::write(&key, "too short\n").expect("a file");
    let error = open(&good, "rt2");
    assert!(error.code() == ErrorCode::Secret && error.message().contains("9 bytes"), "{error}");
    assert!(!error.message().contains("too short"), "{error}");
    std::fs::write(&key, vec![b'k'; 5_000]).expect("a file");
    let error = open(&good, "rt2");
    assert!(error.code() == ErrorCode::Secret && error.message().contains("larger"), "{error}");
}
