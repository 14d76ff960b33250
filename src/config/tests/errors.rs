//! Every mistake has one message that names place and key and says what to write.

use super::*;
use crate::error::ErrorCode;

/// A text's error, with `#` standing for the pair of nodes.
fn check(cases: &[(&str, &str)]) {
    for (text, message) in cases {
        let text = text.replace('#', PAIR);
        let error = read(&text).expect_err(&text);
        assert_eq!(error.code(), ErrorCode::Config, "{text}");
        assert_eq!(error.message(), *message, "{text}");
    }
}

#[test]
fn shape_of_the_text() {
    check(&[
        ("", "no pool is configured: add a table [pool.NAME] with nodes, or a pool string, or a [vip.NAME]"),
        (
            "[pool.a]\nfall = 3\n[pool.b]\n#",
            "p.toml:1:7: key pool.a: pool a has no nodes; pools with nodes are b",
        ),
        ("[pool.a]", "p.toml:1:7: key pool.a: pool a has no nodes"),
        (
            "x = 1\n[pool.a]\n#",
            "p.toml:1:1: key x: unknown key; known here are cache_file, on_locked, control_socket, control_users, push, site, listen, probe, pool, tier, vip",
        ),
        ("[pool.a]\n  polcy = \"mpp\"\n#", "p.toml:2:3: key pool.a.polcy: unknown key; did you mean policy?"),
        ("[prob]\nuser = \"x\"", "p.toml:1:2: key prob: unknown key; did you mean probe?"),
        (
            "[probe]\npassword_fil = 1",
            "p.toml:2:1: key probe.password_fil: unknown key; did you mean password_file?",
        ),
        (
            "[pool.a.b]\npolicy = \"mpp\"\n#",
            "p.toml:1:9: key pool.a.b: unknown table; a pool's name with a dot stands in quotes, as in [pool.\"a.b\"]",
        ),
        (
            "[pool.\"a b\"]\n#",
            "p.toml:1:7: key pool.\"a b\": ' ' is not allowed in a pool's name: letters, digits, underscores, dots and hyphens are",
        ),
        ("[pool.\"\"]\n#", "p.toml:1:7: key pool.\"\": the pool's name is empty"),
        ("pool = 3", "p.toml:1:8: key pool: expected a table, found the number 3"),
        ("pool.a = \"x\"", "p.toml:1:10: key pool.a: expected a table, found text in quotes"),
        ("probe = \"external\"", "p.toml:1:9: key probe: expected a table, found text in quotes"),
        (
            "[pool.a]\nprobe = 1\n#",
            "p.toml:2:9: key pool.a.probe: expected \"builtin\", \"external\" or a table, found the number 1",
        ),
        ("[pool.a]\nnodes = [\n", "p.toml:2:10: not valid TOML: unclosed array, expected `]`"),
        ("ü = 1", "p.toml:1:1: not valid TOML: invalid unquoted key, expected letters, numbers, `-`, `_`"),
        (
            "cache_file = \"ü\" x",
            "p.toml:1:18: not valid TOML: unexpected key or value, expected newline, `#`",
        ),
        ("[probe]\nuser = \"a\"\nuser = \"b\"", "p.toml:3:1: not valid TOML: duplicate key"),
    ]);
}

#[test]
fn texts_that_are_no_texts() {
    // Lines of other systems and a byte order mark move no column.
    check(&[
        (
            "\u{feff}x = 1",
            "p.toml:1:1: key x: unknown key; known here are cache_file, on_locked, control_socket, control_users, push, site, listen, probe, pool, tier, vip",
        ),
        (
            "[probe]\r\nuser = 1\r\n",
            "p.toml:2:8: key probe.user: expected text in quotes, found the number 1",
        ),
    ]);
    let error = read(&"[".repeat(200_000)).expect_err("brackets");
    assert!(error.message().starts_with("p.toml:1:"), "{error}");
    let error = read(&format!("x = {}", "[".repeat(200_000))).expect_err("nested lists");
    assert!(error.message().starts_with("p.toml:1:"), "{error}");
    let error = read(&format!("x = {}", "{a=".repeat(200_000))).expect_err("nested tables");
    assert!(error.message().starts_with("p.toml:1:"), "{error}");
    let error = read(&format!("{} = 1", "a.".repeat(200_000))).expect_err("a long key");
    assert!(error.message().starts_with("p.toml:1:"), "{error}");
    let error = read(&format!("[{}b]\nx = 1", "a.".repeat(200_000))).expect_err("a long header");
    assert!(error.message().starts_with("p.toml:1:"), "{error}");
    check(&[(
        "\"a\\nb\" = 1",
        "p.toml:1:1: key a\\nb: unknown key; known here are cache_file, on_locked, control_socket, control_users, push, site, listen, probe, pool, tier, vip",
    )]);
    let error = read(&format!("{} = 1", "a".repeat(200_000))).expect_err("a long name");
    assert!(error.message().len() < 400, "{error}");
    let error = read(&"#".repeat((1 << 20) + 1)).expect_err("too long");
    assert_eq!(error.message(), "p.toml: the text has 1048577 bytes, 1048576 are allowed");
}

#[test]
fn types_and_ranges() {
    check(&[
        (
            "[probe]\ninterval = 500",
            "p.toml:2:12: key probe.interval: 500 has no unit: write \"500ms\" or \"500s\"",
        ),
        (
            "[probe]\ninterval = 0.5",
            "p.toml:2:12: key probe.interval: 0.5 has no unit: write \"0.5ms\" or \"0.5s\"",
        ),
        (
            "[probe]\ninterval = \"500\"",
            "p.toml:2:12: key probe.interval: 500 has no unit: write \"500ms\" or \"500s\"",
        ),
        (
            "[probe]\ninterval = \"soon\"",
            "p.toml:2:12: key probe.interval: \"soon\" is not a duration: write a number and a unit (us, ms, s, m, h, d), such as \"500ms\"",
        ),
        (
            "[probe]\ninterval = true",
            "p.toml:2:12: key probe.interval: expected a duration such as \"500ms\" in quotes, found true",
        ),
        (
            "[probe]\ninterval = \"9ms\"",
            "p.toml:2:12: key probe.interval: \"9ms\" is out of range: 10ms to 1h",
        ),
        ("[probe]\nsilence = \"2h\"", "p.toml:2:11: key probe.silence: \"2h\" is out of range: 10ms to 1h"),
        (
            "[pool.a]\nfall = \"4\"\n#",
            "p.toml:2:8: key pool.a.fall: expected a whole number without quotes, found text in quotes",
        ),
        ("[pool.a]\nfall = 0\n#", "p.toml:2:8: key pool.a.fall: 0 is out of range: 1 to 100"),
        ("[pool.a]\nrise = 0x65\n#", "p.toml:2:8: key pool.a.rise: 0x65 is out of range: 1 to 100"),
        (
            "[pool.a]\nfall = 99999999999999999999\n#",
            "p.toml:2:8: key pool.a.fall: 99999999999999999999 is out of range: 1 to 100",
        ),
        (
            "[pool.a]\nfall = 4.0\n#",
            "p.toml:2:8: key pool.a.fall: expected a whole number without quotes, found the number 4.0",
        ),
        (
            "[pool.a]\nhostile_takeover = \"true\"\n#",
            "p.toml:2:20: key pool.a.hostile_takeover: expected true or false without quotes, found text in quotes",
        ),
        (
            "[pool.a]\npolicy = \"best\"\n#",
            "p.toml:2:10: key pool.a.policy: \"best\" is not known here: one of safe, mpp is allowed",
        ),
        (
            "[pool.a]\nprobe = \"extern\"\n#",
            "p.toml:2:9: key pool.a.probe: \"extern\" is not known here: one of builtin, external is allowed",
        ),
        ("cache_file = \"\"", "p.toml:1:14: key cache_file: the path is empty"),
        (
            "control_socket = \"sock\"",
            "p.toml:1:18: key control_socket: \"sock\" is not known here: write none, beside-cache or a path with a slash in it",
        ),
        ("control_users = [\"a b\"]", "p.toml:1:17: key control_users: \"a b\" is no user's name or number"),
        ("control_users = [4294967296]", "p.toml:1:17: key control_users: 4294967296 is no user's number"),
        (
            "control_users = \"dba\"",
            "p.toml:1:17: key control_users: expected a list of users, found text in quotes",
        ),
        (
            "cache_file = 1979-05-27",
            "p.toml:1:14: key cache_file: expected a path in quotes, found a date or time",
        ),
        ("[probe]\nuser = \"\"", "p.toml:2:8: key probe.user: \"\" has 0 characters, 1 to 80 are allowed"),
        ("[probe]\nuser = \"a\\nb\"", "p.toml:2:8: key probe.user: \"a\\nb\" holds a control character"),
        (
            "[probe]\npassword_fd = -1",
            "p.toml:2:15: key probe.password_fd: a file descriptor is a number from 0 to 2147483647",
        ),
        (
            "[probe]\nrsa_public_key = \"yes\"",
            "p.toml:2:18: key probe.rsa_public_key: \"yes\" is not known here: write refuse, from-server or the path of a PEM file, with a slash in it",
        ),
        (
            "[pool.a]\nfail_on = [\"auth\"]\n#",
            "p.toml:2:11: key pool.a.fail_on: \"auth\" is not a cause: allowed are too_many_connections, auth_denied, host_blocked, tls_error, protocol_error, query_failed",
        ),
        (
            "[pool.a]\nfail_on = [\"refused\"]\n#",
            "p.toml:2:11: key pool.a.fail_on: \"refused\" fails an ACTIVE node anyway: allowed are too_many_connections, auth_denied, host_blocked, tls_error, protocol_error, query_failed",
        ),
        (
            "[pool.a]\nfail_on = [\"dns\"]\n#",
            "p.toml:2:11: key pool.a.fail_on: \"dns\" never fails a node: allowed are too_many_connections, auth_denied, host_blocked, tls_error, protocol_error, query_failed",
        ),
        (
            "[pool.a]\nlast_resort = \"soon\"",
            "p.toml:2:15: key pool.a.last_resort: \"soon\" is not known here: write alarm, never, or a time such as after=10m",
        ),
        (
            "[pool.a]\nlast_resort = \"after=10ms\"",
            "p.toml:2:15: key pool.a.last_resort: \"after=10ms\" is out of range: after=1s to after=1d",
        ),
        (
            "[pool.a]\nauto_recover = \"often\"",
            "p.toml:2:16: key pool.a.auto_recover: \"often\" is not known here: write off, or a number per time such as 3/1h",
        ),
        (
            "[pool.a]\nauto_recover = \"0/1h\"",
            "p.toml:2:16: key pool.a.auto_recover: \"0\" is no number from 1 to 1000: write a number per time such as 3/1h",
        ),
        (
            "[pool.a]\nauto_recover = \"3/1s\"",
            "p.toml:2:16: key pool.a.auto_recover: \"3/1s\" is out of range: the time is 1m to 30d",
        ),
        (
            "[pool.a]\nnodes = [ { address = \"h\" } ]\nauto_recover = \"3/1h\"\nfailback = \"auto\"",
            "p.toml:3:16: key pool.a.auto_recover: auto_recover together with failback = \"auto\" needs a hold_down, such as hold_down = \"10m\", else a node that fails again and again takes the role back each time",
        ),
        (
            "[pool.a]\nfail_on = \"dns\"\n#",
            "p.toml:2:11: key pool.a.fail_on: expected a list of causes, found text in quotes",
        ),
    ]);
}

#[test]
fn nodes() {
    check(&[
        ("[pool.a]\nnodes = []", "p.toml:2:9: key pool.a.nodes: a pool needs at least one node"),
        (
            "[pool.a]\nnodes = \"10.0.1.11\"",
            "p.toml:2:9: key pool.a.nodes: expected a list of nodes, found text in quotes",
        ),
        (
            "[pool.a]\nnodes = [ \"10.0.1.11\" ]",
            "p.toml:2:11: key pool.a.nodes[0]: expected a table, found text in quotes",
        ),
        (
            "[pool.a]\nnodes = [ { type = \"primary\" } ]",
            "p.toml:2:11: key pool.a.nodes[0]: the node has no address",
        ),
        (
            "[pool.a]\nnodes = [ { address = \"10.0.1\" } ]",
            "p.toml:2:23: key pool.a.nodes[0].address: address \"10.0.1\": neither an IPv4 address (four decimal numbers from 0 to 255, no leading zeros) nor a name (the last part of a name is not a number)",
        ),
        (
            "[pool.a]\nnodes = [\n  { address = \"[2001:db8::1]\" },\n  { address = \"[2001:DB8:0::1]:3306\" },\n]",
            "p.toml:4:15: key pool.a.nodes[1].address: node [2001:db8::1]:3306 stands in this pool twice",
        ),
        (
            "[pool.a]\nnodes = [ { address = \"a\", type = \"primary\" },\n { address = \"b\", type = \"primary\" } ]",
            "p.toml:3:14: key pool.a.nodes[1].address: b:3306 is a second PRIMARY beside a:3306: a pool has at most one",
        ),
        (
            "[pool.a]\nnodes = [ { address = \"a\", wieght = 1 } ]",
            "p.toml:2:28: key pool.a.nodes[0].wieght: unknown key; did you mean weight?",
        ),
        (
            "[pool.a]\nnodes = [ { address = \"a\", weight = 1001 } ]",
            "p.toml:2:37: key pool.a.nodes[0].weight: 1001 is out of range: 0 to 1000",
        ),
        (
            "[[pool.a.nodes]]\naddress = \"a\"\ntype = \"master\"",
            "p.toml:3:8: key pool.a.nodes[0].type: \"master\" is not known here: one of secondary, primary is allowed",
        ),
        (
            "[pool.a]\nnodes = [ { address = \"a\", probe = { mode = \"external\" } } ]",
            "p.toml:2:45: key pool.a.nodes[0].probe.mode: who probes is set for a pool, not for one node",
        ),
    ]);
}

#[test]
fn keys_that_contradict_each_other() {
    check(&[
        (
            "[probe]\ninterval = \"10ms\"\n[pool.a]\n#",
            "p.toml:2:12: key probe.interval: confirm_interval (20ms by default) must not be longer than interval (10ms): set both",
        ),
        (
            "[probe]\ntimeout = \"2s\"\n[pool.a]\n#\n[pool.a.probe]\nprobe_timeout = \"1500ms\"",
            "p.toml:6:17: key pool.a.probe.probe_timeout: timeout (2s) must not be longer than probe_timeout (1500ms): set both",
        ),
        (
            "[pool.a]\nnodes = [ { address = \"a\", probe = { silence = \"100ms\" } } ]",
            "p.toml:2:48: key pool.a.nodes[0].probe.silence: timeout (250ms by default) must not be longer than silence (100ms): set both",
        ),
        (
            "[pool.a]\nhostile_takeover = true\n#",
            "p.toml:2:20: key pool.a.hostile_takeover: only policy mpp reads this key, and pool a has policy safe: set the policy or leave the key out",
        ),
        (
            "[pool.a]\npolicy = \"mpp\"\nfall = 3\n#",
            "p.toml:3:8: key pool.a.fall: only policy safe reads this key, and pool a has policy mpp: set the policy or leave the key out",
        ),
        (
            "[probe]\npassword_file = \"/p\"\npassword_fd = 3\n[pool.a]\n#",
            "p.toml:3:1: key probe.password_fd: password_file is set too: a password has one source",
        ),
    ]);
}

#[test]
fn what_has_not_landed_says_so() {
    let later = |key: &str| {
        format!("key {key}: this key has not landed in version {}: leave it out", env!("CARGO_PKG_VERSION"))
    };
    for (text, key) in [("helper = \"inline\"", "helper"), ("dispatch_budget = \"1ms\"", "dispatch_budget")] {
        let error = read(text).expect_err(text);
        let (place, rest) = error.message().split_once(": ").expect("a place");
        assert!(place.starts_with("p.toml:"), "{error}");
        assert_eq!(rest, later(key));
    }
    let mut builder = ConfigBuilder::new();
    let error = builder.set("helper.path", "inline").expect_err("not landed");
    assert_eq!(error.message(), later("helper.path"));
    for (text, message) in [(
        "[pool.a]\nkind = \"replicated\"\npromotion = \"automatic\"",
        "p.toml:3:13: key pool.a.promotion: \"automatic\" has not landed in version V: only \"none\" is allowed",
    )] {
        let error = read(text).expect_err(text);
        assert_eq!(error.message(), message.replace('V', env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_password_is_refused_and_never_repeated() {
    const WHY: &str = "a password does not stand in a configuration: put it into a file that only its owner can read \
                       and name that with password_file, or hand it over by password_fd";
    check(&[
        ("[probe]\npassword = \"hunter2\"", &format!("p.toml:2:1: key probe.password: {WHY}")),
        (
            "[pool.a]\nnodes = [ { address = \"a\", probe = { password = \"hunter2\" } } ]",
            &format!("p.toml:2:38: key pool.a.nodes[0].probe.password: {WHY}"),
        ),
    ]);
    let mut builder = ConfigBuilder::new();
    let error = builder.set("pool.a.probe.password", "hunter2").expect_err("a password");
    assert_eq!(error.message(), format!("key pool.a.probe.password: {WHY}"));
    // Where a password stands by mistake, or the line is broken.
    for text in [
        "[probe]\npassword = hunter2",
        "[probe]\npassword = \"hunter2",
        "[probe]\npassword = 'hunter2\n'",
        "[probe]\npassword_fd = \"hunter2\"",
        "[probe]\npasswd = \"hunter2\"",
        "[probe]\npassword_file = [\"hunter2\"]",
        "[probe]\ntimeout = { x = \"hunter2\" }",
        "probe = \"hunter2\"",
        "[pool.a]\nnodes = [ { address = \"root:hunter2@db1\" } ]",
    ] {
        let error = read(text).expect_err(text);
        assert!(!error.message().contains("hunter2"), "{error}");
    }
    let error = builder.set("probe.password_fd", "hunter2").expect_err("no number");
    assert!(!error.message().contains("hunter2"), "{error}");
}

#[test]
fn keys_by_set() {
    for (key, value, message) in [
        (
            "",
            "1",
            "key : unknown key; known here are cache_file, on_locked, control_socket, control_users, push, site, listen, probe, pool, tier, vip",
        ),
        ("probe", "x", "key probe: this is a table: name a key in it, as in probe.interval"),
        ("pool", "x", "key pool: this is a table: name a key in it, as in pool.NAME.policy"),
        ("pool.a", "x", "key pool.a: this names a pool: a key must follow, as in pool.NAME.policy"),
        (
            "pool.a.",
            "x",
            "key pool.a.: unknown key; known here are kind, promotion, policy, nodes, max_lag, fall, rise, max_takeover_lag, fail_on, failback, handback_deadline, auto_recover, hold_down, last_resort, on_doubt, doubt_deadline, levels, hostile_takeover, checkpoints, checks, probe, service",
        ),
        ("pool..fall", "3", "key pool..fall: the pool's name is empty"),
        ("pool.a.polcy", "mpp", "key pool.a.polcy: unknown key; did you mean policy?"),
        ("pool.a.probe.intervall", "1s", "key pool.a.probe.intervall: unknown key; did you mean interval?"),
        (
            "pool.a.probe.interval",
            "100",
            "key pool.a.probe.interval: 100 has no unit: write \"100ms\" or \"100s\"",
        ),
        (
            "pool.a.probe",
            "internal",
            "key pool.a.probe: \"internal\" is not known here: one of builtin, external is allowed",
        ),
        ("pool.a.fall", "-3", "key pool.a.fall: -3 is out of range: 1 to 100"),
        ("pool.a.fall", "3x", "key pool.a.fall: \"3x\" is not a whole number"),
        ("pool.a.fall", "", "key pool.a.fall: \"\" is not a whole number"),
        ("pool.a.hostile_takeover", "yes", "key pool.a.hostile_takeover: \"yes\" is neither true nor false"),
        ("pool.a.nodes", "10.0.1.11", "key pool.a.nodes: the value is not a TOML list: X"),
        (
            "pool.a.nodes",
            "[ { address = \"a:0\" } ]",
            "key pool.a.nodes[0].address: address \"a:0\": port \"0\" is not a number from 1 to 65535",
        ),
        ("pool.a.nodes", "[]", "key pool.a.nodes: a pool needs at least one node"),
    ] {
        let mut builder = ConfigBuilder::new();
        let error = builder.set(key, value).expect_err(key);
        assert_eq!(error.code(), ErrorCode::Config);
        match message.strip_suffix('X') {
            Some(head) => assert!(error.message().starts_with(head), "{error}"),
            None => assert_eq!(error.message(), message),
        }
        // A refused call leaves nothing behind, not even the pool's name.
        assert_eq!(
            builder.build().expect_err("empty").message().split(':').next(),
            Some("no pool is configured"),
            "{key}"
        );
    }
}

#[test]
fn pool_strings() {
    let long = format!("name:{};primary:a", "x".repeat(65));
    for (spec, message) in [
        (
            "",
            "position 1: key name: an item is empty: write name:POOL;primary:HOST[:PORT];secondary:HOST[:PORT]",
        ),
        (
            ";name:a",
            "position 1: key name: an item is empty: write name:POOL;primary:HOST[:PORT];secondary:HOST[:PORT]",
        ),
        (
            "name:a;;primary:a",
            "position 8: key name: an item is empty: write name:POOL;primary:HOST[:PORT];secondary:HOST[:PORT]",
        ),
        ("primary:a", "position 1: key name: the pool has no name: begin with name:POOL;"),
        ("name:;primary:a", "position 6: key name: the pool's name is empty"),
        (
            "name:a b;primary:a",
            "position 6: key name: ' ' is not allowed in a pool's name: letters, digits, underscores, dots and hyphens are",
        ),
        (&long, "position 6: key name: the pool's name has 65 characters, 64 are allowed"),
        ("name:a;name:b;primary:a", "position 8: key name: the pool has a name already"),
        ("name:a", "position 6: key name: a pool needs at least one node"),
        ("name:a;primary", "position 8: key primary: \"primary\" has no value after a colon"),
        (
            "name:a;primary:",
            "position 16: key primary: the address is empty: write host:port, [IPv6]:port or unix:/path",
        ),
        (
            "name:a;primary::3306",
            "position 16: key primary: address \":3306\": the host before the colon is missing",
        ),
        (
            "name:a;primary:h:70000",
            "position 16: key primary: address \"h:70000\": port \"70000\" is not a number from 1 to 65535",
        ),
        (
            "name:a;primary:h; secondary:2001:db8::1",
            "position 29: key secondary: address \"2001:db8::1\": an IPv6 address stands in brackets: write [2001:db8::1] or [2001:db8::1]:3306",
        ),
        (
            "name:a;primary:h;primary:i",
            "position 26: key primary: i:3306 is a second PRIMARY beside h:3306: a pool has at most one",
        ),
        (
            "name:a;primary:h;secondary:H:3306;",
            "position 28: key secondary: node h:3306 stands in this pool twice",
        ),
        (
            "name:ä;tertiary:h",
            "position 8: key tertiary: unknown key; known here are name, primary, secondary",
        ),
        (
            "name:a;internal:simple:h;primary:h",
            "position 8: key internal: unknown key; known here are name, primary, secondary",
        ),
        ("name:a;Primary:h", "position 8: key Primary: unknown key; known here are name, primary, secondary"),
    ] {
        let error = ConfigBuilder::new().add_pool(spec).expect_err(spec);
        assert_eq!(error.code(), ErrorCode::Config);
        assert_eq!(error.message(), format!("pool string, {message}"), "{spec}");
    }
    let mut builder = ConfigBuilder::new();
    builder.add_pool("name:a;primary:h").expect("good");
    let error = builder.add_pool("name:a;primary:i").expect_err("twice");
    assert_eq!(error.message(), "pool string, position 6: key name: a pool a exists already");
}

#[test]
fn tls_and_ports() {
    check(&[
        (
            "[probe]\ntls = \"on\"\n[pool.a]\n#",
            "p.toml:2:7: key probe.tls: \"on\" is not known here: one of preferred, disabled, required, verify-ca, verify-identity is allowed",
        ),
        (
            "[probe]\ntls = \"Verify-CA\"\n[pool.a]\n#",
            "p.toml:2:7: key probe.tls: tls = \"verify-ca\" needs tls_ca, the file with the certificate of the authority that signed the server's",
        ),
        (
            "[probe]\ntls_ca = \"/ca\"\n[pool.a]\n#",
            "p.toml:2:10: key probe.tls_ca: tls = \"preferred\" verifies nothing and would ignore tls_ca: set tls to \"verify-ca\" or \"verify-identity\", or leave tls_ca out",
        ),
        (
            "[probe]\ntls = \"required\"\n[pool.a.probe]\ntls_ca = \"/ca\"\n[pool.a]\n#",
            "p.toml:4:10: key pool.a.probe.tls_ca: tls = \"required\" verifies nothing and would ignore tls_ca: set tls to \"verify-ca\" or \"verify-identity\", or leave tls_ca out",
        ),
        (
            "[probe]\ntls_cert = \"/c\"\n[pool.a]\n#",
            "p.toml:2:12: key probe.tls_cert: tls_cert needs tls_key, the file with its private key",
        ),
        (
            "[probe]\ntls_key = \"/k\"\n[pool.a]\n#",
            "p.toml:2:11: key probe.tls_key: tls_key needs tls_cert, the file with the certificate",
        ),
        (
            "[probe]\ntls = \"disabled\"\ntls_cert = \"/c\"\ntls_key = \"/k\"\n[pool.a]\n#",
            "p.toml:3:12: key probe.tls_cert: tls = \"disabled\" shows no certificate: leave tls_cert and tls_key out",
        ),
        (
            "[probe]\nadmin_port = 0\n[pool.a]\n#",
            "p.toml:2:14: key probe.admin_port: 0 is out of range: 1 to 65535",
        ),
        (
            "[probe]\nextra_port = 65536\n[pool.a]\n#",
            "p.toml:2:14: key probe.extra_port: 65536 is out of range: 1 to 65535",
        ),
        (
            "[pool.a]\nnodes = [ { address = \"unix:/s\", probe = { admin_port = 1 } } ]",
            "p.toml:2:57: key pool.a.nodes[0].probe.admin_port: the node is a unix socket, which has no ports: leave this key out",
        ),
    ]);
}
