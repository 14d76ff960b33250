//! What good configurations mean.

use super::*;
use crate::engine::time::Duration;
use crate::pool::{Address, NodeType, PolicyName, PoolKind};
use crate::probe::Cause;
use std::path::PathBuf;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn defaults_are_those_of_the_design() {
    let mut builder = ConfigBuilder::new();
    builder.add_pool("name:orders;primary:10.0.1.11:3306;secondary:10.0.1.12:3306").expect("good");
    let config = builder.build().expect("good");
    let probe = ProbeConfig {
        user: "primacy".into(),
        password_file: None,
        password_fd: None,
        rsa_public_key: RsaPublicKey::Refuse,
        tls: TlsMode::Preferred,
        tls_ca: None,
        tls_certificate: None,
        admin_port: None,
        interval: ms(500),
        confirm_interval: ms(20),
        timeout: ms(250),
        probe_timeout: ms(1000),
        silence: ms(3000),
        login_interval: ms(10_000),
    };
    let node = |text: &str, node_type| NodeConfig {
        address: Address::parse(text).expect("good"),
        node_type,
        weight: 1,
        site: String::new(),
        probe: probe.clone().into(),
        host: String::new(),
        checks: vec![],
        checkpoints: vec![],
    };
    let pool = PoolConfig {
        name: "orders".into(),
        kind: PoolKind::Ring,
        policy: PolicyName::Safe,
        probe_mode: ProbeMode::Builtin,
        levels: 4,
        hostile_takeover: false,
        fall: 4,
        rise: 4,
        max_lag: ms(10_000),
        max_takeover_lag: ms(30_000),
        fail_on: vec![],
        failback: Failback::AfterRecover,
        handback_deadline: ms(2000),
        auto_recover: None,
        hold_down: Duration::ZERO,
        last_resort: LastResort::Alarm,
        on_doubt: OnDoubt::Hold,
        doubt_deadline: ms(3000),
        nodes: vec![node("10.0.1.11", NodeType::Primary), node("10.0.1.12", NodeType::Secondary)],
        services: ServiceConfig::defaults(ms(10_000)),
    };
    let wanted = Config {
        cache_file: None,
        on_locked: OnLocked::Error,
        control_socket: ControlSocket::BesideCache,
        control_users: vec![],
        site: String::new(),
        listen: Listen::default(),
        pools: vec![pool],
        push: vec![],
        tier: TierConfig::plain(None),
        vips: vec![],
    };
    assert_eq!(config, wanted);
    assert_eq!(config.control_path(), None);
    let path = |top: &str| {
        read(&format!("{top}\n[pool.a]\nnodes = [ {{ address = \"h\" }} ]")).map(|c| c.control_path())
    };
    assert_eq!(path("cache_file = \"/a/b\""), Ok(Some("/a/b.sock".into())));
    assert_eq!(path("cache_file = \"/a/b\"\ncontrol_socket = \"none\""), Ok(None));
    assert_eq!(path("control_socket = \"./c\""), Ok(Some("./c".into())));
    let users = |list: &str| {
        read(&format!("control_users = {list}\n[pool.a]\nnodes = [ {{ address = \"h\" }} ]"))
            .map(|c| c.control_users)
    };
    assert_eq!(users("[\"dba\", 1001, \"dba\", 0x10]"), Ok(vec!["dba".into(), "1001".into(), "16".into()]));
}

/// The example of the reference page.
const EXAMPLE: &str = r#"
cache_file = "/var/lib/primacy/cache"
on_locked  = "error"               # error | wait | follow
control_socket = "beside-cache"    # beside-cache | none | a path

[probe]                            # defaults for every pool; each key may be set per pool or node
user = "primacy"
password_file = "/etc/primacy/probe.password"
interval = "500ms"
confirm_interval = "20ms"
timeout = "250ms"                  # per phase
probe_timeout = "1s"
silence = "3s"
login_interval = "10s"

[pool.orders]
kind = "ring"
policy = "safe"                    # safe | mpp (levels, hostile_takeover)
fall = 4
rise = 4
max_lag = "10s"
failback = "after-recover"
nodes = [
  { address = "10.0.1.11:3306", type = "primary" },
  { address = "[2001:db8::12]:3306", type = "secondary", weight = 2, site = "ams" },
]

[pool.orders.service.rw]           # what clients ask for; without any, a pool has rw and ro
role = "active"                    # active | standby | any
on_demotion = "kill"               # auto | kill | drain | keep

[pool.orders.service.ro]
role = "standby"
fallback = "active"
strategy = "round-robin"
"#;

#[test]
fn the_example_of_the_page_is_read() {
    assert!(
        super::page::PAGE.contains(EXAMPLE.trim()),
        "the page shows another example than this test reads"
    );
    let config = read(EXAMPLE).expect("the example");
    assert_eq!(config.cache_file, Some(PathBuf::from("/var/lib/primacy/cache")));
    let pool = config.pool("orders").expect("the pool");
    let second = pool.node(&Address::parse("[2001:DB8::12]").expect("good")).expect("the node");
    assert_eq!((second.node_type, second.weight, second.site.as_str()), (NodeType::Secondary, 2, "ams"));
    assert_eq!(second.probe.password_file, Some(PathBuf::from("/etc/primacy/probe.password")));
}

#[test]
fn the_nearest_setting_wins() {
    let config = read(
        r#"
        [probe]
        user = "all"
        password_file = "/all"
        interval = "1s"
        mode = "external"
        [pool.b]
        probe = "builtin"
        nodes = [ { address = "b1" } ]
        [pool.a]
        nodes = [
            { address = "a1", probe = { interval = "3s", password_fd = 7, rsa_public_key = "from-server" } },
            { address = "a2" },
        ]
        [pool.a.probe]
        interval = "2s"
        user = "mine"
        rsa_public_key = "/etc/key.pem"
        "#,
    )
    .expect("good");
    // Pools keep the order of the text.
    assert_eq!(
        config.pools.iter().map(|p| (p.name.as_str(), p.probe_mode)).collect::<Vec<_>>(),
        [("b", ProbeMode::Builtin), ("a", ProbeMode::External)]
    );
    let probes: Vec<_> = config.pools.iter().flat_map(|p| &p.nodes).map(|n| &n.probe).collect();
    assert_eq!(probes.iter().map(|p| p.interval).collect::<Vec<_>>(), [ms(1000), ms(3000), ms(2000)]);
    assert_eq!(probes.iter().map(|p| p.user.as_str()).collect::<Vec<_>>(), ["all", "mine", "mine"]);
    assert_eq!(probes.iter().map(|p| p.password_fd).collect::<Vec<_>>(), [None, Some(7), None]);
    let file = Some(PathBuf::from("/all"));
    assert_eq!(
        probes.iter().map(|p| p.password_file.clone()).collect::<Vec<_>>(),
        [file.clone(), None, file]
    );
    assert_eq!(
        probes.iter().map(|p| p.rsa_public_key.clone()).collect::<Vec<_>>(),
        [RsaPublicKey::Refuse, RsaPublicKey::FromServer, RsaPublicKey::File("/etc/key.pem".into())]
    );
}

#[test]
fn what_comes_later_wins() {
    let mut builder = ConfigBuilder::new();
    builder.set("pool.a.policy", "mpp").expect("before the pool is there");
    builder.set("probe.password_file", "/p").expect("good");
    builder
        .add_pool(" name:a ; primary:[2001:db8::1]:3307 ; secondary:h ; secondary:unix:/run/x.sock; ")
        .expect("good");
    builder.load_text("[pool.a]\nlevels = 3\nfall = 2\n", "x").expect("good");
    builder.set("pool.a.levels", "7").expect("good");
    builder.set("pool.a.fall", "4").expect("the default is allowed anywhere");
    builder.set("pool.a.hostile_takeover", "true").expect("good");
    builder.set("pool.a.probe", "external").expect("good");
    builder.set("pool.a.probe.interval", "1.5s").expect("good");
    builder.set("probe.password_fd", "0").expect("good");
    builder.set("cache_file", "c").expect("good");
    builder.set("on_locked", "wait").expect("good");
    let config = builder.build().expect("good");
    assert_eq!((config.cache_file.clone(), config.on_locked), (Some("c".into()), OnLocked::Wait));
    let pool = config.pool("a").expect("the pool");
    assert_eq!((pool.policy, pool.levels, pool.hostile_takeover), (PolicyName::Mpp, 7, true));
    assert_eq!(pool.probe_mode, ProbeMode::External);
    let addresses: Vec<String> = pool.nodes.iter().map(|n| n.address.to_string()).collect();
    assert_eq!(addresses, ["[2001:db8::1]:3307", "h:3306", "unix:/run/x.sock"]);
    let probe = &pool.nodes[0].probe;
    assert_eq!((probe.interval, &probe.password_file, probe.password_fd), (ms(1500), &None, Some(0)));
    // A text replaces nodes as a whole; a set does, too.
    builder.load_text("[pool.a]\nnodes = [ { address = \"z\" } ]", "x").expect("good");
    assert_eq!(builder.build().expect("good").pools[0].nodes.len(), 1);
    builder
        .set("pool.a.nodes", "[ { address = \"y\" }, { address = \"x\", type = \"PRIMARY\" } ]")
        .expect("good");
    let nodes = builder.build().expect("good").pools.remove(0).nodes;
    assert_eq!(
        nodes.iter().map(|n| n.node_type).collect::<Vec<_>>(),
        [NodeType::Secondary, NodeType::Primary]
    );
    // A text with an error anywhere changes nothing.
    let before = builder.build().expect("good");
    builder
        .load_text("on_locked = \"error\"\n[pool.b]\nnodes = [ { address = \"b\" } ]\nx = 1", "x")
        .expect_err("x");
    assert_eq!(builder.build().expect("good"), before);
}

#[test]
fn pool_names_with_dots() {
    let mut builder = ConfigBuilder::new();
    for name in ["a", "a.b", "a.probe", "x.policy"] {
        builder.add_pool(&format!("name:{name};primary:h")).expect("good");
    }
    let mut check = |key: &str, pool: &str| {
        let before = builder.build().expect("good");
        let value = if key.ends_with("interval") { "7s" } else { "9" };
        builder.set(key, value).unwrap_or_else(|e| panic!("{key}: {e}"));
        let after = builder.build().expect("good");
        let changed: Vec<&str> =
            after.pools.iter().filter(|p| before.pool(&p.name) != Some(p)).map(|p| p.name.as_str()).collect();
        assert_eq!(changed, [pool], "{key}");
        builder
            .load_text("[pool.a]\nfall=4\n[pool.\"a.b\"]\nfall=4\n[pool.\"x.policy\"]\nfall=4", "x")
            .expect("good");
    };
    check("pool.a.fall", "a");
    check("pool.a.b.fall", "a.b");
    check("pool.a.b.probe.interval", "a.b");
    check("pool.a.probe.interval", "a");
    check("pool.a.probe.fall", "a.probe");
    check("pool.a.probe.probe.interval", "a.probe");
    check("pool.x.policy.fall", "x.policy");
    check("pool.\"a.b\".fall", "a.b");
    // A pool that does not exist: the key is found from its end.
    builder.set("pool.new.pool.probe.interval", "1s").expect("good");
    let error = builder.build().expect_err("no nodes");
    assert_eq!(
        error.message(),
        "key pool.new.pool.probe.interval: pool new.pool has no nodes; pools with nodes are a, a.b, a.probe, x.policy"
    );
}

#[test]
fn lists_and_causes() {
    for (text, expected) in [
        ("", vec![]),
        ("[]", vec![]),
        ("auth_denied", vec![Cause::AuthDenied]),
        (
            "query_failed, too_many_connections,query_failed",
            vec![Cause::TooManyConnections, Cause::QueryFailed],
        ),
        ("[\"auth_denied\"]", vec![Cause::AuthDenied]),
    ] {
        let mut builder = ConfigBuilder::new();
        builder.add_pool("name:a;primary:h").expect("good");
        builder.set("pool.a.fail_on", text).expect(text);
        assert_eq!(builder.build().expect("good").pools[0].fail_on, expected, "{text}");
    }
    let config =
        read(&format!("[pool.a]\nfail_on = [\"auth_denied\", \"tls_error\"]\n{PAIR}")).expect("good");
    assert_eq!(config.pools[0].fail_on, [Cause::AuthDenied, Cause::TlsError]);
}

#[test]
fn one_node_in_two_pools_is_fine() {
    let config =
        read("[pool.a]\nnodes = [{address = \"h\"}]\n[pool.b]\nnodes = [{address = \"h\"}]").expect("good");
    assert_eq!(config.pools.len(), 2);
}

#[test]
fn durations() {
    for (text, micros, printed) in [
        ("500ms", 500_000, "500ms"),
        ("1s", 1_000_000, "1s"),
        ("1.5s", 1_500_000, "1500ms"),
        ("1.50000000s", 1_500_000, "1500ms"),
        ("0.25ms", 250, "250us"),
        ("0s", 0, "0s"),
        ("0.0ms", 0, "0s"),
        ("90s", 90_000_000, "90s"),
        ("120s", 120_000_000, "2m"),
        ("2m", 120_000_000, "2m"),
        ("1.5h", 5_400_000_000, "90m"),
        ("48h", 172_800_000_000, "2d"),
        ("0.00000005m", 3, "3us"),
        ("213503982d", 18_446_744_044_800_000_000, "213503982d"),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_micros(micros)), "{text}");
        assert_eq!(print_duration(Duration::from_micros(micros)), printed);
        assert_eq!(parse_duration(printed), Ok(Duration::from_micros(micros)));
    }
    for (text, problem) in [
        ("", "is not a duration"),
        ("ms", "is not a duration"),
        (".5s", "is not a duration"),
        ("5.s", "is not a duration"),
        ("1.2.3s", "is not a duration"),
        ("-1s", "is not a duration"),
        ("1 s", "is not a duration"),
        ("1S", "is not a duration"),
        ("1m30s", "is not a duration"),
        ("1e3ms", "is not a duration"),
        ("1µs", "is not a duration"),
        ("100", "100 has no unit"),
        ("1.5", "1.5 has no unit"),
        ("0.5us", "is finer than a microsecond"),
        ("0.000000001m", "is finer than a microsecond"),
        ("213503983d", "is too long"),
        ("9999999999999999999s", "has too many digits"),
        ("999999999999999999d", "is too long"),
    ] {
        let error = parse_duration(text).expect_err(text);
        assert!(error.contains(problem), "{text}: {error}");
    }
}

#[test]
fn the_fingerprint_follows_the_meaning() {
    let base = read(EXAMPLE).expect("good");
    // Written differently, with defaults left out: the same meaning.
    let same = read(
        r#"
        cache_file = "/var/lib/primacy/cache"
        [pool.orders]
        nodes = [
          { type = "PRIMARY", address = "10.0.1.11" },
          { address = "[2001:db8:0::12]", weight = 2, site = "ams", probe = { interval = "0.5s" } },
        ]
        [pool.orders.probe]
        password_file = "/etc/primacy/probe.password"
        [pool.orders.service]
        rw = { role = "Active", strategy = "first-available", on_demotion = "kill" }
        ro = { role = "standby", fallback = "active", max_lag = "10s" }
        "#,
    )
    .expect("good");
    assert_eq!(same, base);
    assert_eq!(same.fingerprint(), base.fingerprint());
    // Fixed: a changed canonical text must be noticed, for it makes every cache look like another configuration's.
    assert_eq!(format!("{:016x}", base.fingerprint()), "3b4717160918e4b8");
    for (from, to) in [
        ("fall = 4", "fall = 5"),
        ("silence = \"3s\"", "silence = \"4s\""),
        ("weight = 2", "weight = 3"),
        ("orders", "order"),
        ("cache_file = \"/var", "cache_file = \"/usr"),
        ("probe.password", "probe.passwd"),
        ("10.0.1.11:3306", "10.0.1.11:3307"),
        ("on_demotion = \"kill\" ", "on_demotion = \"drain\""),
        ("service.rw", "service.rx"),
        ("on_locked", "site = \"ams\"\non_locked"),
    ] {
        let other = read(&EXAMPLE.replace(from, to)).expect(to);
        assert_ne!(other.fingerprint(), base.fingerprint(), "{to}");
    }
}

#[test]
fn what_happens_to_failed_nodes_is_read() {
    let pool = |keys: &str| read(&format!("[pool.a]\n{keys}\n{PAIR}")).expect(keys).pools.remove(0);
    let resorts = [
        ("alarm", LastResort::Alarm),
        ("Never", LastResort::Never),
        ("after=10m", LastResort::After(ms(600_000))),
        ("after = 1.5h", LastResort::After(ms(5_400_000))),
    ];
    for (text, expected) in resorts {
        assert_eq!(pool(&format!("last_resort = \"{text}\"")).last_resort, expected);
    }
    let rate = |count, per| Some(AutoRecover { count, per: ms(per) });
    for (text, expected) in [("off", None), ("3/1h", rate(3, 3_600_000)), ("1 / 60s", rate(1, 60_000))] {
        assert_eq!(pool(&format!("auto_recover = \"{text}\"")).auto_recover, expected);
    }
    let doubt = pool("on_doubt = \"fail\"\ndoubt_deadline = \"5s\"");
    assert_eq!((doubt.on_doubt, doubt.doubt_deadline), (OnDoubt::Fail, ms(5_000)));
    let held = pool("auto_recover = \"1/1d\"\nfailback = \"auto\"\nhold_down = \"1us\"");
    assert_eq!((held.failback, held.hold_down), (Failback::Auto, Duration::from_micros(1)));
}

#[test]
fn encryption_and_ports_by_the_nearest_setting() {
    let config = read(
        r#"
        [probe]
        tls = "verify-identity"
        tls_ca = "/ca"
        tls_cert = "/cert"
        tls_key = "/key"
        admin_port = 33062
        [pool.a]
        nodes = [
            { address = "a1" },
            { address = "a2", probe = { tls = "required", extra_port = 3308 } },
            { address = "a3", probe = { tls = "disabled" } },
            { address = "a4", probe = { tls_ca = "/other" } },
            { address = "unix:/s" },
        ]
        "#,
    )
    .expect("good");
    let probes: Vec<&ProbeConfig> = config.pools[0].nodes.iter().map(|n| &*n.probe).collect();
    let modes: Vec<&str> = probes.iter().map(|p| p.tls.name()).collect();
    assert_eq!(modes, ["verify-identity", "required", "disabled", "verify-identity", "verify-identity"]);
    let authorities: Vec<_> = probes.iter().map(|p| p.tls_ca.as_ref().and_then(|p| p.to_str())).collect();
    // A mode that is set nearer than the authority may do without it.
    assert_eq!(authorities, [Some("/ca"), None, None, Some("/other"), Some("/ca")]);
    let certificates: Vec<bool> = probes.iter().map(|p| p.tls_certificate.is_some()).collect();
    assert_eq!(certificates, [true, true, false, true, true]);
    let ports: Vec<Option<u16>> = probes.iter().map(|p| p.admin_port).collect();
    assert_eq!(ports, [Some(33062), Some(3308), Some(33062), Some(33062), None]);
    assert_eq!(read(&config.dump()), Ok(config));
}
