//! Address work on the real kernel: each test has network namespaces of its own, one thread for each "host" in it.

mod address;
mod neighbour;
mod parsing;
mod refusals;
mod release;
mod watch;

use super::{Interface, Kernel};
use crate::io::descriptor::Registry;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

type Job = Box<dyn FnOnce() + Send>;

/// Long enough for anything that happens at all on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) const VIP4: &str = "10.0.0.101";
pub(super) const VIP6: &str = "fd00::101";

/// Runs a test that makes namespaces. Whoever is not root runs it again in a user namespace, where he is.
pub(super) fn as_root(test: impl FnOnce()) {
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        return test();
    }
    let name = thread::current().name().expect("a test's thread has its name").to_owned();
    let program = std::env::current_exe().expect("the test program");
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(program)
        .args(["--exact", &name, "--nocapture"])
        .status()
        .expect("unshare runs");
    assert!(status.success(), "{name} in a user namespace");
}

/// A network namespace, and the thread that lives in it.
#[derive(Debug)]
pub(super) struct Host {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    id: libc::pid_t,
}

impl Host {
    fn new() -> Host {
        let (jobs, received) = channel::<Job>();
        let (told, id) = channel();
        let thread = thread::spawn(move || {
            // SAFETY: no pointers; the thread alone moves.
            let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            assert_eq!(result, 0, "a network namespace: {}", std::io::Error::last_os_error());
            // SAFETY: gettid has no preconditions.
            told.send(unsafe { libc::gettid() }).expect("who waits for it");
            for job in received {
                job();
            }
        });
        let id = id.recv().expect("a network namespace");
        let host = Host { jobs: Some(jobs), thread: Some(thread), id };
        host.ip("link set lo up");
        host
    }

    /// Runs something in the namespace; threads and processes begun there stay there.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = channel();
        let job = Box::new(move || {
            let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
        });
        self.jobs.as_ref().expect("alive").send(job).expect("the host's thread");
        result.recv().expect("a result").unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs ip(8) with these words, which must succeed, and returns what it says.
    pub(super) fn ip(&self, words: &str) -> String {
        let words = words.to_owned();
        self.run(move || {
            let output = Command::new("ip").args(words.split_whitespace()).output().expect("ip runs");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
            said
        })
    }

    /// Runs something with the way to this host's kernel, and its interface eth0.
    pub(super) fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Kernel, &Interface) -> T + Send + 'static,
    ) -> T {
        self.run(move || {
            let mut kernel = kernel();
            let interface = kernel.interface("eth0").expect("eth0");
            work(&mut kernel, &interface)
        })
    }

    /// All addresses and routes, as ip(8) shows them, without what counts down.
    pub(super) fn traces(&self) -> String {
        let all =
            ["addr show", "route show table all", "-6 route show table all", "rule show", "-6 rule show"];
        let said: String = all.iter().map(|words| self.ip(words)).collect();
        said.lines()
            .filter(|line| !line.contains("valid_lft"))
            .fold(String::new(), |all, line| all + line + "\n")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // Its panic has been told already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Two hosts on one line: 10.0.0.11/16 and fd00::11/64, 10.0.0.12/16 and fd00::12/64, both on eth0.
pub(super) fn pair() -> (Host, Host) {
    let (one, two) = line();
    for (host, number) in [(&one, 11), (&two, 12)] {
        host.ip(&format!("addr add 10.0.0.{number}/16 dev eth0"));
        host.ip(&format!("addr add fd00::{number}/64 dev eth0 nodad"));
        settle(host, 3);
    }
    (one, two)
}

/// Two hosts on one line, without addresses.
pub(super) fn line() -> (Host, Host) {
    let (one, two) = (Host::new(), Host::new());
    one.ip(&format!("link add eth0 type veth peer name eth0 netns {}", two.id));
    for host in [&one, &two] {
        host.run(|| std::fs::write("/proc/sys/net/ipv6/conf/eth0/accept_dad", "0").expect("a setting"));
        host.ip("link set eth0 up");
    }
    wait_until("the line is up", || {
        [&one, &two].iter().all(|host| host.with(|_, interface| interface.running))
    });
    (one, two)
}

/// The kernel makes the routes of IPv6 addresses a moment after them: waits for so many, that of ::1 included.
pub(super) fn settle(host: &Host, count: usize) {
    wait_until("the routes of all addresses are there", || {
        host.ip("-6 route show table local type local").lines().count() >= count
    });
}

pub(super) fn registry() -> Arc<Registry> {
    Registry::new(16)
}

/// The way to the kernel of the calling thread's namespace.
pub(super) fn kernel() -> Kernel {
    Kernel::open(&registry()).expect("netlink sockets")
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(super) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}
