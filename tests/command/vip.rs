//! The tier of floating addresses at the command line: one agent in a network namespace of its own, without pools.

use crate::site::{PRIMACY, Said, Site, gone_pool, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

/// A network namespace that ends with this value.
struct Net(String);

impl Net {
    fn new(name: &str) -> Net {
        let net = Net(format!("prv{name}{}", std::process::id()));
        net.ip(&["netns", "add", &net.0]);
        // A pair, so that the link has a carrier.
        net.ip(&["-n", &net.0, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
        for link in ["lo", "eth0", "eth1"] {
            net.ip(&["-n", &net.0, "link", "set", link, "up"]);
        }
        net.ip(&["-n", &net.0, "addr", "add", "10.9.0.1/24", "dev", "eth0"]);
        net
    }

    fn ip(&self, words: &[&str]) {
        let done = Command::new("ip").args(words).output().expect("iproute2");
        assert!(
            done.status.success(),
            "ip {words:?}: {} (these tests want root)",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    fn addresses(&self) -> String {
        let done =
            Command::new("ip").args(["-n", &self.0, "-o", "addr", "show", "dev", "eth0"]).output().unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

struct Tier {
    // Ends first.
    child: Child,
    site: Site,
    net: Net,
}

impl Drop for Tier {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const HOSTS: &str =
    "[tier]\nhost = \"h1\"\nhosts = { h1 = \"10.9.0.1:6470\", h2 = \"10.9.0.2:6470\" }\nkey_file = \"key\"\n";
const FRONT: &str = "[vip.front]\naddresses = [\"10.9.0.101/24\"]\ninterface = \"eth0\"\nvrid = 51\nadvert_interval = \"100ms\"\n";

impl Tier {
    fn new(name: &str, config: &str) -> Tier {
        let net = Net::new(name);
        let site = Site::new("");
        let key = site.path("key");
        fs::write(&key, [7; 32]).unwrap();
        fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
        let config = config.replace("key_file = \"key\"", &format!("key_file = {key:?}"));
        site.write("primacy.toml", &format!("cache_file = {:?}\n{config}", site.path("cache")));
        let log = fs::File::create(site.path("agent.log")).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", &net.0, PRIMACY, "run"])
            .env("PRIMACY_CONFIG", site.path("primacy.toml"))
            .env_remove("NOTIFY_SOCKET")
            .env_remove("JOURNAL_STREAM")
            .stderr(Stdio::from(log))
            .stdin(Stdio::null())
            .spawn()
            .expect("ip");
        Tier { child, site, net }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.site.path("agent.log")).unwrap_or_default()
    }

    fn vip(&self, words: &[&str]) -> Said {
        self.site.run(&[&["vip"], words].concat())
    }

    fn owns(&self) {
        wait_until(|| self.vip(&["status"]).out.contains("owner h1"), || self.log());
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for, so its number is its own.
        assert_eq!(unsafe { libc::kill(self.child.id() as libc::pid_t, signal) }, 0);
    }
}

#[test]
fn an_agent_without_pools_owns_an_address_and_obeys_orders() {
    let mut tier = Tier::new("own", &format!("{HOSTS}{FRONT}"));
    tier.owns();
    wait_until(|| tier.net.addresses().contains("10.9.0.101/24"), || tier.log());
    assert!(tier.log().contains("sharing the floating address front"), "{}", tier.log());
    // The event names host and VIP once.
    let claimed = tier.log().lines().find(|line| line.contains("rule 770")).expect("a claim").to_string();
    assert!(claimed.contains(" front/h1 vip rule 770: this host owns the address"), "{claimed}");

    let status = tier.vip(&["status"]).exits(0).out;
    for part in ["hosts, seen from h1", "not heard", "front: 10.9.0.101/24 on eth0, vrrp", "here held"] {
        assert!(status.contains(part), "{part} is missing: {status}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&tier.vip(&["status", "--json"]).exits(0).out).unwrap();
    assert_eq!(json["tier"]["own"], "h1");
    assert_eq!((&json["vips"][0]["owns"], &json["vips"][0]["stage"]), (&true.into(), &"held".into()));
    assert_eq!(json["tier"]["hosts"].as_array().map(Vec::len), Some(2));

    // Held here; then a host that nobody hears, which is refused, and words that are none.
    let said = tier.vip(&["move", "h1"]).exits(0);
    assert!(said.out.contains("front goes to h1") && said.out.contains("(rule 791)"), "{said:?}");
    assert!(tier.vip(&["status"]).exits(0).out.contains("moved to h1 by an operator"));
    tier.vip(&["move", "h2"]).fails(3, &["h2"]);
    tier.vip(&["move", "h9"]).fails(2, &["h9", "h1, h2"]);
    tier.vip(&["move", "h1", "--vip", "back"]).fails(2, &["back", "front"]);
    tier.vip(&["clear", "--vip", "front"]).exits(0);
    assert!(!tier.vip(&["status"]).exits(0).out.contains("moved to"));

    tier.vip(&["standby"]).exits(0);
    wait_until(|| !tier.net.addresses().contains("10.9.0.101"), || tier.log());
    let status = tier.vip(&["status"]).exits(0).out;
    assert!(status.contains("standby") && status.contains("no owner is known"), "{status}");
    tier.vip(&["unstandby", "h1"]).exits(0);
    tier.owns();
    let figures = tier.site.run(&["metrics", "--require-agent"]).exits(0).out;
    assert!(
        figures.contains("primacy_control_requests_total{command=\"vip_move\",outcome=\"refused\"} 1"),
        "{figures}"
    );

    // What an agent was started to own stays; the agent too.
    tier.site.write(
        "primacy.toml",
        &fs::read_to_string(tier.site.path("primacy.toml")).unwrap().replace("100ms", "200ms"),
    );
    tier.signal(libc::SIGHUP);
    wait_until(|| tier.log().contains("rule 912"), || tier.log());
    let refused = tier.log().lines().find(|line| line.contains("rule 912")).unwrap().to_string();
    assert!(refused.contains("vip.front") && refused.contains("restart the agent"), "{refused}");
    tier.owns();
    tier.signal(libc::SIGTERM);
    assert_eq!(tier.child.wait().unwrap().code(), Some(0), "{}", tier.log());
    assert!(!tier.net.addresses().contains("10.9.0.101"), "{}", tier.log());
    tier.vip(&["status"]).fails(4, &["no agent answers"]);
    tier.vip(&["standby", "h1"]).fails(4, &["no agent answers"]);
}

#[test]
fn a_tier_of_several_addresses_wants_a_name() {
    let back = FRONT.replace("front", "back").replace("101", "102").replace("51", "52");
    let tier = Tier::new("two", &format!("[tier]\nhost = \"h1\"\n{FRONT}{back}"));
    wait_until(|| tier.vip(&["status"]).out.matches("owner h1").count() == 2, || tier.log());
    tier.vip(&["clear"]).fails(2, &["--vip", "front, back"]);
    tier.vip(&["move", "h1"]).fails(2, &["--vip"]);
    tier.vip(&["move", "h1", "--vip", "back"]).exits(0);
    // A host alone knows itself by the name that it was given.
    tier.vip(&["standby", "h2"]).fails(3, &["h2"]);
    Site::new("").run(&["vip", "status"]).fails(2, &["[vip.NAME]"]);
}

/// Runs the resource agent; its exit code and what it said.
fn ocf(site: &Site, action: &str, more: &[(&str, &str)]) -> (Option<i32>, String) {
    let done = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/ocf/primacy"))
        .arg(action)
        .env("OCF_ROOT", "/usr/lib/ocf")
        .env("OCF_RESOURCE_INSTANCE", format!("primacy-test-{}", std::process::id()))
        .env("OCF_RESKEY_config", site.path("primacy.toml"))
        .env("OCF_RESKEY_binary", PRIMACY)
        .env("OCF_RESKEY_logfile", site.path("agent.log"))
        .env("HA_RSCTMP", site.path(""))
        .envs(more.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn the_resource_agent_answers_with_the_codes_of_the_ocf() {
    let site = Site::new(&gone_pool("p").0);
    let code = |action: &str, more: &[(&str, &str)]| {
        let (code, said) = ocf(&site, action, more);
        code.unwrap_or_else(|| panic!("{action}: {said}"))
    };
    assert_eq!((code("validate-all", &[]), code("monitor", &[]), code("stop", &[])), (0, 7, 0));
    assert_eq!(code("start", &[]), 0, "{}", fs::read_to_string(site.path("agent.log")).unwrap_or_default());
    assert_eq!((code("start", &[]), code("monitor", &[]), code("reload", &[])), (0, 0, 0));
    // One that hangs is found; another start puts a new one in its place.
    let pid: i32 = fs::read_dir(site.path(""))
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path().with_extension("pid")).ok())
        .find_map(|text| text.trim().parse().ok())
        .expect("a pid file");
    // SAFETY: the agent was started by this test and runs.
    unsafe { libc::kill(pid, libc::SIGSTOP) };
    assert_eq!(code("monitor", &[]), 1);
    assert_eq!((code("stop", &[]), code("monitor", &[])), (0, 7));
    // Dead without a word.
    assert_eq!(code("start", &[]), 0);
    assert_eq!(code("monitor", &[("OCF_RESKEY_answers", "false")]), 0);
    assert_eq!((code("stop", &[]), code("monitor", &[]), code("stop", &[])), (0, 7, 0));
    // What is wrong, and where.
    assert_eq!(code("validate-all", &[("OCF_RESKEY_answers", "perhaps")]), 2);
    assert_eq!(code("start", &[("OCF_RESKEY_binary", "/nowhere/primacy")]), 5);
    assert_eq!(code("validate-all", &[("OCF_RESKEY_config", "/nowhere/primacy.toml")]), 6);
    site.write("bad.toml", "[pool.p]\nnodes = 3\n");
    let bad = site.path("bad.toml");
    assert_eq!(code("start", &[("OCF_RESKEY_config", bad.to_str().unwrap())]), 6);
    assert_eq!(code("promote", &[]), 3);
}

#[test]
fn ocf_tester_finds_nothing_wrong() {
    let site = Site::new(&gone_pool("p").0);
    let log = site.path("agent.log");
    let options = [
        format!("config={}", site.path("primacy.toml").display()),
        format!("binary={PRIMACY}"),
        format!("logfile={}", log.display()),
    ];
    let mut command = Command::new("/usr/sbin/ocf-tester");
    command.args(["-v", "-n", &format!("primacy-tester-{}", std::process::id())]);
    for option in &options {
        command.args(["-o", option]);
    }
    let done = command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/ocf/primacy"))
        .env("OCF_ROOT", "/usr/lib/ocf")
        .stdin(Stdio::null())
        .output()
        .expect("/usr/sbin/ocf-tester of the package resource-agents (make deps)");
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(
        done.status.success() && said.contains("passed all tests"),
        "{said}\n{}",
        fs::read_to_string(&log).unwrap_or_default()
    );
    // It leaves nothing behind.
    wait_until(
        || fs::read_to_string(&log).is_ok_and(|log| log.ends_with("agent: stopped\n")),
        || said.clone(),
    );
}
