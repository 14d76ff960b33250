//! Two hosts on a real link: our sockets and machines with each other, and with keepalived.

mod keepalived;
mod link;

use super::*;
use crate::engine::time::{Duration, Time};
use crate::vip::ownership::{Leaving, Output, Ownership, Score};
use crate::vip::vrrp::machine::{Heard, Setup, VirtualRouter};
use crate::vip::vrrp::{ChecksumV4, Reject, Version};
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Two network namespaces with an `eth0` each, which are the ends of one wire: 10.0.0.1 and fe80::1, 10.0.0.2 and fe80::2.
struct Wire([Child; 2]);

impl Wire {
    fn new() -> Wire {
        let host = || {
            let mut command = Command::new("unshare");
            command.args(["--net", "sh", "-c", "echo ready; exec sleep 300"]);
            let mut child =
                command.stdout(Stdio::piped()).spawn().expect("a namespace (unshare, run as root)");
            let mut line = String::new();
            let output = child.stdout.take().expect("its output");
            BufReader::new(output).read_line(&mut line).expect("a line");
            assert_eq!(line, "ready\n", "no namespace: run as root");
            child
        };
        let wire = Wire([host(), host()]);
        let right = wire.pid(1);
        wire.run(0, &format!("ip link add eth0 type veth peer name eth0 netns {right}"));
        for side in [0, 1] {
            let n = side + 1;
            wire.run(
                side,
                &format!(
                    "echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad && ip link set lo up
                    ip link set eth0 addrgenmode none && ip link set eth0 up
                    ip addr add 10.0.0.{n}/16 dev eth0 && ip addr add fe80::{n}/64 dev eth0 nodad"
                ),
            );
        }
        // The wire carries something once both ends have noticed each other.
        wire.run(
            0,
            "for i in $(seq 100); do grep -q 1 /sys/class/net/eth0/carrier && exit; sleep 0.1; done; exit 1",
        );
        wire
    }

    fn pid(&self, side: usize) -> u32 {
        self.0[side].id()
    }

    /// The program that runs another one on a host.
    fn on(&self, side: usize) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.pid(side)));
        command
    }

    fn run(&self, side: usize, script: &str) {
        // /sys shows the namespace of whoever mounted it.
        let script = format!("set -e\nmount -t sysfs sys /sys\n{script}");
        let mut command = self.on(side);
        command.args(["unshare", "--mount", "--propagation", "private", "sh", "-c", &script]);
        let output = command.output().expect("a shell");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Calls a function on a host; what it opens stays there.
    fn within<T: Send>(&self, side: usize, call: impl FnOnce() -> T + Send) -> T {
        let path = format!("/proc/{}/ns/net", self.pid(side));
        let enter = || {
            let file = std::fs::File::open(&path).expect("the namespace");
            // SAFETY: no pointer is passed; only this thread moves, and it ends with the call.
            checked(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }).expect("to enter it");
            call()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().expect("the call"))
    }

    fn open(&self, side: usize, family: Family, group: bool) -> VrrpSocket {
        self.within(side, || VrrpSocket::open(&Registry::new(8), "eth0", family, group)).expect("a socket")
    }

    fn agent(&self, side: usize, priority: u8, change: impl FnOnce(&mut Setup)) -> Agent {
        let mut setup = Setup {
            version: Version::V3,
            vrid: 7,
            interval: Duration::from_millis(300),
            addresses: vec![ip("10.0.0.101")],
            source: ip(["10.0.0.1", "10.0.0.2"][side]),
            peers: Vec::new(),
            checksum_v4: ChecksumV4::Compat,
            password: None,
            stickiness: 0,
            preempt_delay: Duration::ZERO,
            address_owner: false,
        };
        change(&mut setup);
        let socket = self.open(side, Family::of(setup.source), setup.peers.is_empty());
        let began = Instant::now();
        let mut agent = Agent {
            router: VirtualRouter::new(setup).expect("a router"),
            socket,
            began,
            notices: Vec::new(),
        };
        agent.router.wish(agent.now(), Score(priority));
        agent
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A machine with its socket, driven by poll(2) as the tier drives it.
struct Agent {
    router: VirtualRouter,
    socket: VrrpSocket,
    began: Instant,
    notices: Vec<String>,
}

impl Agent {
    fn now(&self) -> Time {
        Time(1_000_000_000 + self.began.elapsed().as_nanos() as u64)
    }

    /// Reads all that waits, then judges timers, then says what there is to say.
    fn turn(&mut self) {
        loop {
            let now = self.now();
            let router = &mut self.router;
            let left = self.socket.receive(16, |packet| router.packet(now, packet)).expect("to receive");
            if left == Drained::Empty {
                break;
            }
        }
        let now = self.now();
        if self.router.poll_timeout() <= now {
            self.router.handle_timer(now);
        }
        while let Some(output) = self.router.poll() {
            match output {
                Output::Do(send) => {
                    self.socket.send(send.source, send.destination, &send.bytes).expect("to send")
                }
                Output::Lose { .. } => self.router.released(self.now()),
                Output::Notice(notice) => self.notices.push(notice.words),
                _ => {}
            }
        }
    }

    fn heard_from(&self, source: &str) -> Option<Heard> {
        self.router.heard().filter(|h| h.source == ip(source) && h.priority > 0)
    }
}

/// Turns agents until something holds; whether it came in time.
fn until(agents: &mut [&mut Agent], within: Duration, mut holds: impl FnMut(&[&mut Agent]) -> bool) -> bool {
    let end = Instant::now() + within;
    loop {
        agents.iter_mut().for_each(|a| a.turn());
        if holds(agents) {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        let next = agents.iter().map(|a| a.router.poll_timeout().since(a.now())).min().unwrap_or_default();
        // At least once in 20 ms, for what is looked at outside.
        let wait = next.min(Duration::from_millis(20)).as_micros().div_ceil(1000) as i32;
        let entry = |a: &&mut Agent| libc::pollfd { fd: a.socket.number(), events: libc::POLLIN, revents: 0 };
        let mut list: Vec<libc::pollfd> = agents.iter().map(entry).collect();
        // SAFETY: pointer and length name the list.
        unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, wait) };
    }
}

const LONG: Duration = Duration::from_secs(20);
