//! Pools of kind `router`: their checks read, handed to their nodes, printed again, and every way to be ignored refused.

use super::*;
use crate::config::{CheckConfig, CheckVerdict, Failback, PortProtocol, PortRole};
use crate::pool::PoolKind;

const NODES: &str = "nodes = [ { address = \"10.0.0.1:6446\", host = \"rt1\" }, { address = \"10.0.0.2:6446\", host = \"rt2\" } ]";

fn pool(keys: &str) -> crate::Result<Config> {
    read(&format!("[pool.a]\nkind = \"router\"\n{NODES}\n{keys}"))
}

fn checks(config: &Config, node: usize) -> Vec<String> {
    config.pools[0].nodes[node].checks.iter().map(ToString::to_string).collect()
}

#[test]
fn a_pool_of_routers_has_defaults_of_its_own() {
    let config = pool("").expect("good");
    let own = &config.pools[0];
    assert_eq!((own.kind, own.failback), (PoolKind::Router, Failback::Manual));
    assert_eq!(own.nodes[1].host, "rt2");
    let one = CheckConfig::Router { port: 6446, role: PortRole::Rw, protocol: PortProtocol::Classic };
    assert_eq!(
        (own.nodes[0].checks.as_slice(), own.nodes[1].checks.as_slice()),
        (&[one.clone()][..], &[one][..])
    );
    assert_eq!(read(&config.dump()).as_ref(), Ok(&config), "{}", config.dump());
    assert_eq!(pool("failback = \"auto\"").map(|c| c.pools[0].failback), Ok(Failback::Auto));
    assert_eq!(pool("failback = \"after-recover\"").map(|c| c.pools[0].failback), Ok(Failback::AfterRecover));
    // Others have neither hosts nor checks, and what they dump is what it was.
    let ring = read(&format!("[pool.a]\n{PAIR}")).expect("good");
    assert!(!ring.dump().contains("checks") && !ring.dump().contains("host ="), "{}", ring.dump());
}

const ALL: &str = r#"checks = [
  { type = "tcp", port = 6446 },
  { type = "x", port = 33060 },
  { type = "router", port = 6447, role = "ro" },
  { type = "Router", port = 64460, role = "RW", protocol = "X" },
  { type = "router", port = 64470, protocol = "x", role = "ro-strict" },
  { type = "process", pid_file = "/run/mysqlrouter/mysqlrouter.pid" },
  { type = "exec", command = ["/bin/check", "-a", "b \"c\""], timeout = "900ms", verdict = "backend" },
  { type = "exec", command = ["check"] },
]"#;

#[test]
fn checks_are_their_nodes() {
    let config = pool(ALL).expect("good");
    let wanted = [
        "tcp 6446",
        "x 33060",
        "router 6447 ro",
        "router 64460 rw x",
        "router 64470 ro-strict x",
        "process /run/mysqlrouter/mysqlrouter.pid",
        "exec /bin/check",
        "exec check",
    ];
    assert_eq!(checks(&config, 0), wanted);
    assert_eq!(checks(&config, 1), wanted);
    let CheckConfig::Exec { timeout, verdict, command } = &config.pools[0].nodes[0].checks[6] else {
        panic!("no exec check")
    };
    assert_eq!((*timeout, *verdict), (std::time::Duration::from_millis(900), CheckVerdict::Backend));
    assert_eq!(command.as_slice(), ["/bin/check", "-a", "b \"c\""]);
    // Without a time of its own it has the probe's.
    let CheckConfig::Exec { timeout, verdict, .. } = &config.pools[0].nodes[0].checks[7] else {
        panic!("no exec check")
    };
    assert_eq!((*timeout, *verdict), (std::time::Duration::from_secs(1), CheckVerdict::Local));
    assert_eq!(read(&config.dump()).as_ref(), Ok(&config), "{}", config.dump());
    assert_eq!(read(&config.dump()).map(|c| c.fingerprint()), Ok(config.fingerprint()));
    // A node's own come first; `set` takes a list too, and what comes later wins.
    let own =
        "nodes = [ { address = \"h\", checks = [ { type = \"tcp\", port = 1 } ] }, { address = \"i\" } ]";
    let mut builder = ConfigBuilder::new();
    builder
        .load_text(
            &format!("[pool.a]\nkind = \"router\"\n{own}\nchecks = [ {{ type = \"x\", port = 2 }} ]"),
            "p",
        )
        .expect("good");
    let built = builder.build().expect("good");
    assert_eq!((checks(&built, 0), checks(&built, 1)), (vec!["tcp 1".into()], vec!["x 2".to_string()]));
    builder.set("pool.a.checks", "[ { type = \"tcp\", port = 3 } ]").expect("good");
    assert_eq!(checks(&builder.build().expect("good"), 1), ["tcp 3"]);
    for bad in ["[", "[]", "tcp"] {
        assert_eq!(builder.set("pool.a.checks", bad).expect_err(bad).code(), crate::ErrorCode::Config);
    }
}

#[test]
fn what_nobody_would_run_is_an_error() {
    let at = "p.toml:4";
    for (keys, message) in [
        ("checks = 3", ":10: key pool.a.checks: expected a list of checks, found the number 3"),
        (
            "checks = []",
            ":10: key pool.a.checks: the list is empty: leave the key out for one check of the node's own port",
        ),
        ("checks = [ 3 ]", ":12: key pool.a.checks[0]: expected a table, found the number 3"),
        (
            "checks = [ { port = 3 } ]",
            ":12: key pool.a.checks[0]: the check has no type: write type = one of tcp, x, router, process, exec",
        ),
        (
            "checks = [ { type = 3 } ]",
            ":21: key pool.a.checks[0].type: expected one word, found the number 3",
        ),
        (
            "checks = [ { type = \"tpc\" } ]",
            ":21: key pool.a.checks[0].type: \"tpc\" is no type of a check; did you mean tcp?",
        ),
        (
            "checks = [ { type = \"ping\" } ]",
            ":21: key pool.a.checks[0].type: \"ping\" is no type of a check; known are tcp, x, router, process, exec",
        ),
        (
            "checks = [ { type = \"tcp\" } ]",
            ":12: key pool.a.checks[0]: the check has no port: write port = 6446",
        ),
        ("checks = [ { type = \"tcp\", port = 0 } ]", ":35: key pool.a.checks[0].port: "),
        (
            "checks = [ { type = \"tcp\", port = 1, role = \"rw\" } ]",
            ":38: key pool.a.checks[0].role: a check of type tcp has no key \"role\"; it has port",
        ),
        (
            "checks = [ { type = \"router\", port = 1, role = \"wr\" } ]",
            ":48: key pool.a.checks[0].role: \"wr\" is not allowed: write one of rw, ro, ro-strict",
        ),
        (
            "checks = [ { type = \"router\", port = 1, protocol = \"y\" } ]",
            ":52: key pool.a.checks[0].protocol: \"y\" is not allowed: write one of classic, x",
        ),
        (
            "checks = [ { type = \"tcp\", port = 1 }, { type = \"tcp\", port = 1 } ]",
            ":40: key pool.a.checks[1]: tcp 1 stands in this list twice",
        ),
        (
            "checks = [ { type = \"process\" } ]",
            ":12: key pool.a.checks[0]: the check names no file: write pid_file = \"/run/mysqlrouter/mysqlrouter.pid\"",
        ),
        ("checks = [ { type = \"exec\" } ]", ":12: key pool.a.checks[0]: the check has no command: "),
        (
            "checks = [ { type = \"exec\", command = \"a b\" } ]",
            ":39: key pool.a.checks[0].command: expected a list of words, the program first, found text in quotes: no shell reads it",
        ),
        (
            "checks = [ { type = \"exec\", command = [] } ]",
            ":39: key pool.a.checks[0].command: the command is empty: the program comes first",
        ),
        (
            "checks = [ { type = \"exec\", command = [\"a\"], timeout = \"1ms\" } ]",
            ":56: key pool.a.checks[0].timeout: ",
        ),
        (
            "checks = [ { type = \"tcp\", port = 1 }, { type = \"exec\", command = [\"a\"], timeout = \"2s\" } ]",
            ":40: key pool.a.checks[1]: timeout (2s) must not be longer than probe_timeout (1s) of node 10.0.0.1:6446: set both",
        ),
        ("checks = [ { type = \"process\", pid_file = \"/p\" } ]", ""),
        (
            "fail_on = [\"auth_denied\"]",
            ":11: key pool.a.fail_on: routers hold no data, and what they refuse fails nobody: nothing reads this key: pool a has kind router",
        ),
        ("auto_recover = \"3/1h\"", ":16: key pool.a.auto_recover: routers hold no data"),
        ("policy = \"mpp\"", ":10: key pool.a.policy: policy mpp knows nothing of routers: leave policy out"),
        (
            "promotion = \"none\"",
            ":13: key pool.a.promotion: only kind replicated reads this key: pool a has kind router",
        ),
        (
            "probe.admin_port = 3",
            ":20: key pool.a.probe.admin_port: the checks of a router say which ports are looked at: leave this key out",
        ),
    ] {
        let error = pool(keys).expect_err(keys);
        let wanted = if message.is_empty() { String::new() } else { format!("{at}{message}") };
        assert!(error.message().starts_with(&wanted), "{keys}: {}", error.message());
    }
    // Whose place is a node's.
    let both =
        |nodes: &str, keys: &str| read(&format!("[pool.a]\n{keys}\nnodes = [ {nodes} ]")).expect_err(nodes);
    let router = "kind = \"router\"";
    for (nodes, keys, message) in [
        (
            "{ address = \"h\", host = \"rt1\" }, { address = \"i\", host = \"rt1\" }",
            router,
            "p.toml:3:68: key pool.a.nodes[1].host: host \"rt1\" has another node of this pool already",
        ),
        (
            "{ address = \"h\", host = \"rt1\" }",
            "kind = \"ring\"",
            "p.toml:3:35: key pool.a.nodes[0].host: only kind router reads this key: pool a has kind ring",
        ),
        (
            "{ address = \"h\", checks = [ { type = \"tcp\", port = 1 } ] }",
            "kind = \"ring\"",
            "p.toml:3:39: key pool.a.nodes[0].checks[0]: only kind router has checks: pool a has kind ring",
        ),
        (
            "{ address = \"h\", checks = [ { type = \"tcp\", port = 1 } ] }",
            "kind = \"router\"\nprobe = \"external\"",
            "p.toml:4:39: key pool.a.nodes[0].checks[0]: the host observes this pool: leave the checks out, or let the library probe",
        ),
        (
            "{ address = \"unix:/s\" }",
            router,
            "p.toml:3:23: key pool.a.nodes[0].address: a router listens at TCP ports, and this is a unix socket",
        ),
        (
            "{ address = \"h\", checks = [ { type = \"tcp\", port = 1 }, { type = \"process\", pid_file = \"/p\" } ] }",
            router,
            "p.toml:3:67: key pool.a.nodes[0].checks[1]: process /p runs on the node's own host alone, and node h:3306 names none: write host = \"rt1\" at the node",
        ),
        (
            "{ address = \"h\", host = \"a\", checks = [ { type = \"process\", pid_file = \"/p\" } ] }",
            router,
            "p.toml:3:23: key pool.a.nodes[0].address: all checks of h:3306 run on its own host alone, and the other hosts would know nothing of it: add one of type tcp, x or router",
        ),
    ] {
        assert_eq!(both(nodes, keys).message(), message);
    }
}
