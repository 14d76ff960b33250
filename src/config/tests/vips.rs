//! `[tier]` and `[vip.NAME]`: what is read, refused, and printed again.

use crate::config::{ConfigBuilder, LastHost, OwnershipConfig};
use crate::engine::time::Duration;

const GOOD: &str = r#"
[tier]
host = "rt1"
hosts = { rt1 = "10.0.1.1:6470", rt2 = "10.0.1.2:6470" }
key_file = "/etc/primacy/tier.key"

[vip.front]
addresses = ["10.0.0.101/16", "fe80::65/64", "2001:db8::101/64"]
interface = "eth0"
vrid = 51
advert_interval = "100ms"
locations = { rt1 = 150 }
restart = ["/bin/systemctl", "restart", "a, b"]

[vip.back]
addresses = "10.0.0.102"
interface = "eth0"
ownership = "lease"
etcd = ["http://10.0.1.1:2379"]
last_host = "release"
"#;

fn refused(text: &str) -> String {
    let mut builder = ConfigBuilder::new();
    match builder.load_text(text, "t.toml").and_then(|()| builder.build()) {
        Ok(_) => panic!("not refused:\n{text}"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn a_tier_without_pools_is_read_and_printed_again() {
    let mut builder = ConfigBuilder::new();
    builder.load_text(GOOD, "t.toml").expect("valid");
    let config = builder.build().expect("whole");
    let front = config.vip("front").expect("there");
    assert_eq!(front.addresses.len(), 3);
    assert_eq!((front.location_of("rt1"), front.location_of("rt2")), (150, 100));
    assert_eq!(front.restart, ["/bin/systemctl", "restart", "a, b"]);
    let OwnershipConfig::Vrrp(vrrp) = &front.ownership else { panic!("vrrp is the default") };
    assert_eq!((vrrp.vrid, vrrp.advert_interval), (51, Duration::from_millis(100)));
    let back = config.vip("back").expect("there");
    assert_eq!((back.addresses[0].prefix, back.last_host), (32, LastHost::Release));
    assert_eq!(config.tier.host("rt2").expect("there").address.port(), 6470);

    let dumped = config.dump();
    let mut again = ConfigBuilder::new();
    again.load_text(&dumped, "dump").unwrap_or_else(|e| panic!("{e}\n{dumped}"));
    assert_eq!(again.build().expect("whole"), config);
}

#[test]
fn keys_are_set_one_by_one_too() {
    let mut builder = ConfigBuilder::new();
    for (key, value) in [
        ("tier.host", "a"),
        ("tier.hosts", r#"{ a = "10.0.1.1:1", b = "[2001:db8::2]:1" }"#),
        ("tier.key_file", "/k"),
        ("vip.x.addresses", "10.0.0.9/24,10.0.0.10/24"),
        ("vip.x.interface", "eth1"),
        ("vip.x.vrid", "7"),
        ("vip.x.on_claim", r#"["/bin/true", "x y"]"#),
        ("vip.x.unicast", "10.0.1.2"),
    ] {
        builder.set(key, value).unwrap_or_else(|e| panic!("{key}: {e}"));
    }
    let config = builder.build().expect("whole");
    assert_eq!(config.vips[0].hooks.on_claim, ["/bin/true", "x y"]);
    assert!(builder.set("vip.x.nothing", "1").is_err());
    assert!(builder.set("vip", "1").is_err());
    assert!(builder.set("vip.x", "1").is_err());
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let vip = |more: &str| format!("[vip.v]\ninterface = \"eth0\"\n{more}\n");
    let vrrp = |more: &str| vip(&format!("addresses = \"10.0.0.1/8\"\nvrid = 1\n{more}"));
    let lease = |more: &str| vip(&format!("addresses = \"10.0.0.1/8\"\nownership = \"lease\"\n{more}"));
    for (text, wanted) in [
        (vip("vrid = 1"), "has no addresses"),
        (vip("addresses = \"10.0.0.1/8\""), "has no vrid"),
        ("[vip.v]\naddresses = \"10.0.0.1\"\nvrid = 1".into(), "has no interface"),
        (
            "[vip.v]\naddresses = \"10.0.0.1\"\ninterface = \"a-name-too-long-for\"\nvrid = 1".into(),
            "no name of an interface",
        ),
        (vrrp("vrid = 2"), "not valid TOML"),
        (vip("vrid = 0"), "out of range"),
        (vip("addresses = \"127.0.0.1/8\""), "could move"),
        (vip("addresses = \"10.0.0.1/33\""), "1 to 32"),
        (vip("addresses = \"10.0.0.1/\""), "no prefix behind"),
        (vip("addresses = \"nonsense\""), "no address"),
        (vip("addresses = [\"2001:db8::1/64\"]\nvrid = 1"), "link-local"),
        (vip("addresses = [\"10.0.0.1\", \"10.0.0.1\"]\nvrid = 1"), "twice"),
        (vrrp("advert_interval = \"0ms\""), "out of range"),
        (vrrp("advert_interval = \"15ms\""), "multiple of 10ms"),
        (vrrp("version = 2\nadvert_interval = \"100ms\""), "whole seconds"),
        (vrrp("auth_password_file = \"/x\""), "only version 2"),
        (vrrp("unicast = [\"2001:db8::1\"]"), "no peer has an IPv4"),
        (vrrp("ttl = \"5s\""), "only lease reads this"),
        (vrrp("pool = \"nowhere\""), "no pool nowhere"),
        (format!("{}\n[pool.p]\nnodes = [ {{ address = \"h\" }} ]", vrrp("pool = \"p\"")), "is of kind ring"),
        (
            format!(
                "[tier]\nhost = \"a\"\n[pool.p]\nkind = \"router\"\nnodes = [ {{ address = \"h\", host = \"b\" }} ]\n{}",
                vrrp("pool = \"p\"")
            ),
            "say host = \"a\"",
        ),
        (vrrp("on_claim = [\"program\"]"), "whole path"),
        (vrrp("location = 255"), "out of range"),
        (vrrp("locations = { a = 1 }"), "3 to 253"),
        (vrrp("intreface = 1"), "did you mean interface"),
        (lease(""), "needs etcd"),
        (lease("vrid = 1"), "only vrrp reads this"),
        (lease("etcd = [\"ftp://x\"]"), "http://HOST:PORT"),
        (lease("etcd = [\"http://u:secret@x\"]"), "without a user"),
        (lease("etcd = [\"http://x\"]\nmargin = \"4s\""), "half of ttl"),
        (lease("etcd = [\"http://x\"]\netcd_cert = \"/c\""), "needs its etcd_key"),
        (lease("etcd = [\"http://x\"]\netcd_user = \"u\""), "stand together"),
        (
            format!("{}\n[vip.w]\naddresses = \"10.0.0.1\"\ninterface = \"eth1\"\nvrid = 1", vrrp("")),
            "belongs to vip v too",
        ),
        (
            format!("{}\n[vip.w]\naddresses = \"10.0.0.2\"\ninterface = \"eth0\"\nvrid = 1", vrrp("")),
            "vrid 1 is that of vip v",
        ),
        (format!("[tier]\nhosts = {{ a = \"10.0.0.1:1\" }}\n{}", vrrp("")), "needs a key"),
        (
            format!(
                "[tier]\nhost = \"c\"\nkey_file = \"/k\"\nhosts = {{ a = \"10.0.0.1:1\" }}\n{}",
                vrrp("")
            ),
            "c is not among hosts",
        ),
        (format!("[tier]\nhosts = {{ a = \"10.0.0.1\" }}\n{}", vrrp("")), "no address with a port"),
        (
            format!("[tier]\nhosts = {{ a = \"10.0.0.1:1\", b = \"10.0.0.1:1\" }}\n{}", vrrp("")),
            "the same address",
        ),
    ] {
        let said = refused(&text);
        assert!(said.contains(wanted), "wanted {wanted:?}, got {said:?} for\n{text}");
        assert!(!said.contains("secret"), "{said}");
    }
}
