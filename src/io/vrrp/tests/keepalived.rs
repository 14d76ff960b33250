//! keepalived on the other host, in each role.

use super::*;
use crate::vip::vrrp::Password;
use std::path::PathBuf;

/// A keepalived on the right host.
struct Keepalived {
    child: Child,
    folder: tempfile::TempDir,
}

/// What both sides are configured to.
struct Case {
    version: u8,
    interval: &'static str,
    addresses: &'static [&'static str],
    more: &'static str,
}

/// Our interval is 0.3 s: each learns the other's.
const IPV4: Case = Case { version: 3, interval: "0.2", addresses: &["10.0.0.101/16"], more: "" };
const IPV6: Case =
    Case { version: 3, interval: "0.3", addresses: &["fe80::101/64", "fd00::101/64"], more: "" };
/// With 20 addresses.
const UNICAST: Case = Case {
    interval: "0.3",
    addresses: &[
        "10.0.0.101/16",
        "10.0.0.102/16",
        "10.0.0.103/16",
        "10.0.0.104/16",
        "10.0.0.105/16",
        "10.0.0.106/16",
        "10.0.0.107/16",
        "10.0.0.108/16",
        "10.0.0.109/16",
        "10.0.0.110/16",
        "10.0.0.111/16",
        "10.0.0.112/16",
        "10.0.0.113/16",
        "10.0.0.114/16",
        "10.0.0.115/16",
        "10.0.0.116/16",
        "10.0.0.117/16",
        "10.0.0.118/16",
        "10.0.0.119/16",
        "10.0.0.120/16",
    ],
    more: "unicast_src_ip 10.0.0.2\n unicast_peer {\n 10.0.0.1\n }",
    ..IPV4
};
const VERSION_2: Case = Case {
    version: 2,
    interval: "1",
    more: "authentication {\n auth_type PASS\n auth_pass geheim\n }",
    ..IPV4
};

impl Case {
    fn setup(&self, setup: &mut Setup) {
        let plain = |a: &&str| ip(a.split('/').next().expect("an address"));
        setup.addresses = self.addresses.iter().map(plain).collect();
        if self.is_ipv6() {
            setup.source = ip("fe80::1");
        }
        if self.more.contains("unicast") {
            setup.peers = vec![ip("10.0.0.2")];
        }
        if self.version == 2 {
            setup.version = Version::V2;
            setup.interval = Duration::from_secs(1);
            setup.password = Password::new("geheim");
        }
    }

    fn is_ipv6(&self) -> bool {
        self.addresses[0].contains(':')
    }

    fn peer(&self) -> &'static str {
        if self.is_ipv6() { "fe80::2" } else { "10.0.0.2" }
    }
}

impl Keepalived {
    fn start(wire: &Wire, case: &Case, priority: u8) -> Keepalived {
        let folder = tempfile::tempdir().expect("a folder");
        let Case { version, interval, more, .. } = case;
        let text = format!(
            "global_defs {{\n vrrp_version {version}\n }}
            vrrp_instance V {{\n state BACKUP\n interface eth0\n virtual_router_id 7\n priority {priority}
            advert_int {interval}\n {more}
            virtual_ipaddress {{\n {}\n }}\n }}\n",
            case.addresses.join("\n ")
        );
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("conf"), text).expect("the configuration");
        let log = std::fs::File::create(file("log")).expect("the log");
        let mut command = wire.on(1);
        command.args(["keepalived", "-n", "-l", "-D", "-P", "-f"]).arg(file("conf"));
        command.arg("-p").arg(file("pid")).arg("-r").arg(file("vrrp.pid"));
        command.stderr(log.try_clone().expect("the log")).stdout(log);
        let child = command.spawn().expect("keepalived (tests/tools/deps.sh installs it)");
        Keepalived { child, folder }
    }

    fn log(&self) -> String {
        let path: PathBuf = self.folder.path().join("log");
        std::fs::read_to_string(path).expect("the log")
    }

    /// How often it entered a state, as its log has it.
    fn entered(&self, state: &str) -> usize {
        self.log().matches(&format!("Entering {state} STATE")).count()
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        // SAFETY: no pointer is passed; the child has not been waited for, so the number is still its.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        let _ = self.child.wait();
    }
}

/// keepalived hears us and stays BACKUP; takes over when we leave; gives way when we come back; and we hear it when it is the
/// higher one.
fn each_role(case: &Case, leaves_within: Duration) {
    let wire = Wire::new();
    let mut agent = wire.agent(0, 200, |s| case.setup(s));
    let peer = case.peer();
    assert!(until(&mut [&mut agent], LONG, |a| a[0].router.owns()));
    let other = Keepalived::start(&wire, case, 100);
    assert!(until(&mut [&mut agent], LONG, |_| other.entered("BACKUP") > 0), "{}", other.log());
    // More than its down interval, so it would have come.
    let down = agent.router.down_interval() + Duration::from_secs(1);
    assert!(!until(&mut [&mut agent], down, |_| other.entered("MASTER") > 0), "{}", other.log());
    assert!(agent.router.owns() && agent.heard_from(peer).is_none());

    agent.router.leave(agent.now(), Leaving::ToAnyone);
    let left = Instant::now();
    assert!(until(&mut [&mut agent], LONG, |a| a[0].heard_from(peer).is_some()), "{}", other.log());
    let took = left.elapsed();
    println!("keepalived of priority 100 took over after {took:?}");
    assert!(took < leaves_within, "{took:?}: {}", other.log());
    assert!(until(&mut [&mut agent], LONG, |_| other.entered("MASTER") == 1), "{}", other.log());

    // Ours is the higher priority, so it preempts.
    let before = other.entered("BACKUP");
    assert!(until(&mut [&mut agent], LONG, |a| a[0].router.owns()), "{}", other.log());
    assert!(until(&mut [&mut agent], LONG, |_| other.entered("BACKUP") > before), "{}", other.log());

    // Now it is the higher one: it preempts us, and we hear it.
    agent.router.wish(agent.now(), Score(50));
    assert!(until(&mut [&mut agent], LONG, |a| !a[0].router.owns()), "{}", other.log());
    let lost = agent.now();
    let hears = until(&mut [&mut agent], LONG, |a| a[0].heard_from(peer).is_some_and(|h| h.at > lost));
    assert!(hears && !agent.router.owns(), "{}", other.log());
    assert_eq!(agent.heard_from(peer).map(|h| h.priority), Some(100));
    let counters = agent.router.counters();
    assert_eq!((counters.rejects.total(), counters.other_checksum), (0, 0), "{counters:?}");
    assert_eq!(counters.other_addresses, 0);
    assert!(!other.log().contains("nvalid"), "{}", other.log());
    // And it is heard when it leaves.
    drop(other);
    assert!(until(&mut [&mut agent], LONG, |a| a[0].router.owns()));
    assert!(agent.router.counters().heard_zero > 0);
}

#[test]
fn in_each_role() {
    // With 50 priorities or more between, a leave towards keepalived takes a share of 10 ms; the rest is for a loaded machine.
    let soon = Duration::from_millis(250);
    // Version 2 learns no interval: (256 − 100) / 256 of a second.
    let cases = [(IPV4, soon), (IPV6, soon), (UNICAST, soon), (VERSION_2, Duration::from_millis(1500))];
    std::thread::scope(|scope| {
        for (case, soon) in &cases {
            scope.spawn(|| each_role(case, *soon));
        }
    });
}

#[test]
fn the_other_checksum_is_not_heard_by_it_but_by_us() {
    let wire = Wire::new();
    let mut agent = wire.agent(0, 200, |s| s.checksum_v4 = ChecksumV4::Rfc9568);
    assert!(until(&mut [&mut agent], LONG, |a| a[0].router.owns()));
    let other = Keepalived::start(&wire, &IPV4, 100);
    assert!(until(&mut [&mut agent], LONG, |a| a[0].heard_from("10.0.0.2").is_some()), "{}", other.log());
    assert!(agent.router.owns() && other.log().to_lowercase().contains("checksum"), "{}", other.log());
    let told: Vec<_> = agent.notices.iter().filter(|n| n.contains("checksum_v4")).collect();
    assert_eq!(told.len(), 1, "{:?}", agent.notices);
    assert!(agent.router.counters().other_checksum > 0);
}

/// What tshark shows of each packet; the last is 1 for a right checksum, 0 for a wrong one.
const FIELDS: [&str; 8] = [
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "ip.dsfield.dscp",
    "vrrp.version",
    "vrrp.prio",
    "vrrp.ip_addr",
    "vrrp.checksum.status",
];

#[test]
fn as_tshark_reads_both() {
    let wire = Wire::new();
    let folder = tempfile::tempdir().expect("a folder");
    let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    for (form, plain) in [(ChecksumV4::Compat, "FALSE"), (ChecksumV4::Rfc9568, "TRUE")] {
        let mut tshark = wire.on(1);
        // A checksum of version 3 counts as right with the pseudo-header, or without if "as in version 2" is said.
        tshark.args(["tshark", "-n", "-l", "-i", "eth0", "-f", "ip proto 112", "-a", "duration:60"]);
        tshark.args(["-o", &format!("vrrp.v3_checksum_as_in_v2:{plain}"), "-T", "fields"]);
        tshark.args(FIELDS.iter().flat_map(|field| ["-e", field]));
        let path = folder.path().join(form.name());
        let (output, error) = (path.with_extension("out"), path.with_extension("err"));
        tshark.stdout(std::fs::File::create(&output).expect("a file"));
        tshark.stderr(std::fs::File::create(&error).expect("a file"));
        let mut tshark = tshark.spawn().expect("tshark (tests/tools/deps.sh installs it)");
        let mut agent = wire.agent(0, 200, |s| s.checksum_v4 = form);
        let ours = "10.0.0.1\t224.0.0.18\t255\t48\t3\t200\t10.0.0.101\t1";
        let mut read = until(&mut [&mut agent], LONG, |_| text(&output).contains(ours));
        if read {
            // keepalived's: with the pseudo-header, not without.
            let _other = Keepalived::start(&wire, &IPV4, 250);
            let status = u8::from(form == ChecksumV4::Compat);
            let theirs = format!("10.0.0.2\t224.0.0.18\t255\t48\t3\t250\t10.0.0.101\t{status}");
            read = until(&mut [&mut agent], LONG, |_| text(&output).contains(&theirs));
        }
        // It ends its capturing child with itself when it is told so.
        // SAFETY: no pointer is passed; the child has not been waited for, so the number is still its.
        unsafe { libc::kill(tshark.id() as libc::pid_t, libc::SIGTERM) };
        let _ = tshark.wait();
        assert!(read, "{form}: {} {}", text(&output), text(&error));
    }
}
