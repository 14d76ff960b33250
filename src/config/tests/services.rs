//! Services: what a pool has without naming any, what each key means, and every way to contradict oneself.

use super::*;
use crate::config::foreign::{self, DEMOTIONS, ROLES, STRATEGIES};
use crate::config::keys::{self, Kind, Scope};
use crate::engine::time::Duration;
use crate::error::ErrorCode;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A pool `a` of two nodes whose services are these tables.
fn services(tables: &str) -> crate::Result<Vec<ServiceConfig>> {
    read(&format!("[pool.a]\n{PAIR}\n{tables}")).map(|mut config| config.pools.remove(0).services)
}

fn one(keys: &str) -> crate::Result<ServiceConfig> {
    services(&format!("[pool.a.service.x]\n{keys}")).map(|mut all| all.remove(0))
}

#[test]
fn a_pool_that_names_none_has_rw_and_ro() {
    let all = services("").expect("good");
    assert_eq!(all, ServiceConfig::defaults(ms(10_000)));
    let short: Vec<_> = all.iter().map(|s| (s.full_name("a"), s.role, s.fallback, s.strategy)).collect();
    assert_eq!(
        short,
        [
            ("a.rw".to_string(), Role::Active, None, Strategy::FirstAvailable),
            ("a.ro".to_string(), Role::Standby, Some(Role::Active), Strategy::RoundRobin),
        ]
    );
    // Written out, they are the same; the pool's lag is theirs.
    let written = "[pool.a.service.rw]\nrole = \"active\"\n[pool.a.service.ro]\nrole = \"standby\"\nfallback = \"active\"";
    assert_eq!(services(written), Ok(all));
    let lags = |text: &str| -> Vec<Duration> {
        let pool =
            read(&format!("[pool.a]\nmax_lag = \"7s\"\n{PAIR}\n{text}")).expect("good").pools.remove(0);
        pool.services.iter().map(|service| service.max_lag).collect()
    };
    assert_eq!((lags(""), lags(written)), (vec![ms(7_000); 2], vec![ms(7_000); 2]));
    // An empty table names none.
    assert_eq!(services("[pool.a.service]"), Ok(ServiceConfig::defaults(ms(10_000))));
}

#[test]
fn a_pool_that_names_some_has_just_those_in_their_order() {
    let all = services(
        "[pool.a.service.z]\nrole = \"any\"\n[pool.a.service.rw_x]\nrole = \"active\"\nport = 33060\n\
         [pool.a.service]\nB-2 = { role = \"standby\", strategy = \"round-robin-with-fallback\" }",
    );
    let all = all.expect("good");
    let short: Vec<_> =
        all.iter().map(|s| (s.name.as_str(), s.role, s.port, s.fallback, s.strategy)).collect();
    assert_eq!(
        short,
        [
            ("z", Role::Any, None, None, Strategy::RoundRobin),
            ("rw_x", Role::Active, Some(33060), None, Strategy::FirstAvailable),
            ("B-2", Role::Standby, None, Some(Role::Active), Strategy::RoundRobinWithFallback),
        ]
    );
}

#[test]
fn every_key_is_read() {
    let keys = "role = \"STANDBY\"\nport = 3307\nfallback = \"any\"\nstrategy = \"least-connections\"\n\
                on_demotion = \"keep\"\ndrain_deadline = \"10ms\"\nmax_lag = \"0s\"\nsame_site_first = true\n\
                slow_start = \"1h\"\nquarantine = \"0s\"\nquarantine_max = \"0s\"\nquarantine_after = 1000\n\
                stale = \"refuse\"\nstale_after = \"1s\"";
    let wanted = ServiceConfig {
        name: "x".into(),
        role: Role::Standby,
        port: Some(3307),
        fallback: Some(Role::Any),
        strategy: Strategy::LeastConnections,
        on_demotion: OnDemotion::Keep,
        drain_deadline: ms(10),
        max_lag: Duration::ZERO,
        same_site_first: true,
        slow_start: ms(3_600_000),
        quarantine: Duration::ZERO,
        quarantine_max: Duration::ZERO,
        quarantine_after: 1000,
        stale: OnStale::Refuse,
        stale_after: ms(1_000),
    };
    assert_eq!(one(keys), Ok(wanted));
    // The same keys one by one.
    let mut builder = ConfigBuilder::new();
    for line in keys.lines() {
        let (key, value) = line.split_once(" = ").expect("a line");
        builder.set(&format!("pool.a.service.x.{key}"), value.trim_matches('"')).expect(line);
    }
    builder.load_text(&format!("[pool.a]\n{PAIR}"), "p").expect("good");
    assert_eq!(Ok(builder.build().expect("good").pools.remove(0).services.remove(0)), one(keys));
    let config = read(&format!("site = \"ams\"\n[pool.a]\n{PAIR}")).expect("good");
    assert_eq!(config.site, "ams");
    let mut builder = ConfigBuilder::new();
    builder.set("site", "é").expect("good");
    builder.add_pool("name:a;primary:h").expect("good");
    assert_eq!(builder.build().expect("good").site, "é");
}

#[test]
fn the_words_are_those_of_the_model() {
    let words = |key: &str| match keys::find(Scope::Service, key).map(|key| &key.kind) {
        Some(Kind::Term { words, .. }) => words.to_vec(),
        Some(Kind::Word { landed, .. }) => landed.to_vec(),
        other => panic!("{key}: {other:?}"),
    };
    fn names<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
        all.iter().map(|value| name(*value)).collect()
    }
    assert_eq!(words("role"), names(Role::ALL, Role::name));
    assert_eq!(words("fallback")[1..], names(Role::ALL, Role::name));
    assert_eq!(words("strategy"), names(Strategy::ALL, Strategy::name));
    assert_eq!(words("on_demotion"), names(OnDemotion::ALL, OnDemotion::name));
    assert_eq!(words("stale"), names(OnStale::ALL, OnStale::name));
    // What is said to words of other routers names a word or a key that there is.
    for (table, key) in [(ROLES, "role"), (STRATEGIES, "strategy"), (DEMOTIONS, "on_demotion")] {
        for entry in table {
            let ours = entry.ours.split(' ').next().unwrap_or_default();
            assert!(words(key).contains(&ours), "{ours}");
            assert!(!words(key).contains(&entry.theirs), "{} is ours too", entry.theirs);
        }
    }
    for entry in foreign::KEYS.iter().filter(|entry| entry.theirs != "weight") {
        let ours = entry.ours.split(' ').next().unwrap_or_default();
        assert!(keys::find(Scope::Service, ours).is_some(), "{ours}");
        assert!(keys::find(Scope::Service, entry.theirs).is_none(), "{} is ours too", entry.theirs);
    }
}

#[test]
fn services_by_set() {
    let mut builder = ConfigBuilder::new();
    for name in ["a", "a.b"] {
        builder.add_pool(&format!("name:{name};primary:h")).expect("good");
    }
    for (key, value) in [
        ("pool.a.service.rw.role", "active"),
        ("pool.a.b.service.service.role", "standby"),
        ("pool.\"a.b\".service.probe.role", "any"),
        ("pool.a.service.rw.role", "any"),
    ] {
        builder.set(key, value).expect(key);
    }
    let config = builder.build().expect("good");
    let of = |pool: &str| -> Vec<(String, Role)> {
        let services = &config.pool(pool).expect(pool).services;
        services.iter().map(|service| (service.name.clone(), service.role)).collect()
    };
    assert_eq!(of("a"), [("rw".to_string(), Role::Any)]);
    assert_eq!(of("a.b"), [("service".to_string(), Role::Standby), ("probe".to_string(), Role::Any)]);
    // A text adds keys to a service that is there.
    builder
        .load_text("[pool.a.service.rw]\nport = 1\n[pool.a.service.ro]\nrole = \"standby\"", "x")
        .expect("good");
    let services = builder.build().expect("good").pools.remove(0).services;
    let short: Vec<_> = services.iter().map(|s| (s.name.as_str(), s.role, s.port)).collect();
    assert_eq!(short, [("rw", Role::Any, Some(1)), ("ro", Role::Standby, None)]);
    let long = format!("pool.a.service.{}.role", "x".repeat(65));
    const TABLE: &str = "this is a table: name a service and a key in it, as in pool.NAME.service.rw.role";
    for (key, value, message) in [
        ("pool.a.service", "x", TABLE),
        ("pool.a.service.rw", "x", TABLE),
        ("pool.b.service", "x", TABLE),
        ("pool.a.service.rw.rol", "active", "unknown key; did you mean role?"),
        (
            "pool.b.service.rw.policy",
            "mpp",
            "unknown key; known here are role, port, fallback, strategy, on_demotion, drain_deadline, max_lag, same_site_first, slow_start, quarantine, quarantine_max, quarantine_after, stale, stale_after",
        ),
        ("pool.a.service.rw.balance", "x", "unknown key; strategy is what HAProxy calls balance"),
        ("pool.b.service.rw.port", "0", "0 is out of range: 1 to 65535"),
        (
            "pool.b.service.r w.port",
            "1",
            "' ' is not allowed in a service's name: letters, digits, underscores and hyphens are",
        ),
        ("pool.b.service..port", "1", "the service's name is empty"),
        (&long, "any", "the service's name has 65 characters, 64 are allowed"),
        ("pool..service.rw.role", "any", "the pool's name is empty"),
    ] {
        let before = builder.build();
        let error = builder.set(key, value).expect_err(key);
        assert_eq!(error.message(), format!("key {key}: {message}"));
        assert_eq!(builder.build(), before, "{key} left something behind");
    }
}

#[test]
fn what_a_service_may_not_be() {
    for (text, message) in [
        ("service = 3", "3:11: key pool.a.service: expected a table, found the number 3"),
        ("[pool.a.service]\nrw = 3", "4:6: key pool.a.service.rw: expected a table, found the number 3"),
        (
            "[pool.a.service.\"r.w\"]\nrole = \"any\"",
            "3:17: key pool.a.service.r.w: '.' is not allowed in a service's name: letters, digits, underscores and hyphens are",
        ),
        ("[pool.a.service.\"\"]", "3:17: key pool.a.service.: the service's name is empty"),
        (
            "[pool.a.service.rw]\nport = 1",
            "3:17: key pool.a.service.rw: service rw has no role: write role = \"active\" for clients that write, \"standby\" for clients that only read, or \"any\"",
        ),
        (
            "[pool.a.rw]\nrole = \"any\"",
            "3:9: key pool.a.rw: unknown table; a service stands in [pool.a.service.rw]",
        ),
        (
            "[pool.a.services.rw]\nrole = \"any\"",
            "3:9: key pool.a.services: unknown key; did you mean service?",
        ),
        (
            "[pool.a.service.rw]\nrole = \"any\"\n[pool.a.service.rw]\nport = 1",
            "5:17: not valid TOML: duplicate key",
        ),
    ] {
        let text = format!("[pool.a]\n{PAIR}\n{text}");
        let error = read(&text).expect_err(&text);
        assert_eq!(
            (error.code(), error.message()),
            (ErrorCode::Config, &*format!("p.toml:{message}")),
            "{text}"
        );
    }
}

#[test]
fn words_of_other_routers_are_answered_with_ours() {
    const STRATEGY: &str = "one of first-available, next-available, round-robin, round-robin-with-fallback, weighted, least-connections, two-choices is allowed";
    for (line, column, message) in [
        (
            "role = \"PRIMARY\"",
            8,
            "role: \"PRIMARY\" is not known here: active is what MySQL Router calls PRIMARY; one of active, standby, any is allowed".to_string(),
        ),
        (
            "role = \"primary_and_secondary\"",
            8,
            "role: \"primary_and_secondary\" is not known here: any is what MySQL Router calls PRIMARY_AND_SECONDARY; one of active, standby, any is allowed".into(),
        ),
        ("role = \"stanby\"", 8, "role: \"stanby\" is not known here; did you mean standby?".into()),
        ("role = \"none\"", 8, "role: \"none\" is not known here: one of active, standby, any is allowed".into()),
        ("role = 1", 8, "role: expected one word in quotes, found the number 1".into()),
        (
            "fallback = \"SECONDARY\"",
            12,
            "fallback: \"SECONDARY\" is not known here: standby is what MySQL Router calls SECONDARY; one of none, active, standby, any is allowed".into(),
        ),
        (
            "strategy = \"leastconn\"",
            12,
            format!("strategy: \"leastconn\" is not known here: least-connections is what HAProxy calls leastconn; {STRATEGY}"),
        ),
        ("strategy = \"round_robin\"", 12, "strategy: \"round_robin\" is not known here; did you mean round-robin?".into()),
        (
            "strategy = \"source\"",
            12,
            format!("strategy: \"source\" is not known here: {STRATEGY}"),
        ),
        (
            "on_demotion = \"OFFLINE_SOFT\"",
            15,
            "on_demotion: \"OFFLINE_SOFT\" is not known here: drain is what ProxySQL calls OFFLINE_SOFT; one of auto, kill, drain, keep is allowed".into(),
        ),
        ("routing_strategy = \"x\"", 1, "routing_strategy: unknown key; strategy is what MySQL Router calls routing_strategy".into()),
        ("max_replication_lag = 1", 1, "max_replication_lag: unknown key; max_lag is what ProxySQL calls max_replication_lag".into()),
        ("weight = 1", 1, "weight: unknown key; a node's weight, beside its address, is what HAProxy calls weight".into()),
        ("stale = \"no\"", 9, "stale: \"no\" is not known here: one of serve, refuse is allowed".into()),
    ] {
        let error = one(line).expect_err(line);
        assert_eq!(error.message(), format!("p.toml:4:{column}: key pool.a.service.x.{message}"));
    }
}

#[test]
fn keys_of_a_service_that_contradict_each_other() {
    const RRF: &str = "strategy = \"round-robin-with-fallback\"";
    const STAYS: &str = "clients that stay on a node that is ACTIVE no more would write there while others write to the new one: write auto, kill or drain";
    for (keys, message) in [
        (
            "role = \"active\"\nfallback = \"active\"".to_string(),
            "5:12: key pool.a.service.x.fallback: the service has role \"active\" already, and falling back to the same nodes finds no other: leave fallback out".to_string(),
        ),
        (
            "role = \"any\"\nfallback = \"standby\"".into(),
            "5:12: key pool.a.service.x.fallback: role \"any\" holds every node that takes clients: a fallback would be ignored; leave it out".into(),
        ),
        (
            format!("role = \"any\"\n{RRF}"),
            "5:12: key pool.a.service.x.strategy: strategy round-robin-with-fallback goes from the stand-ins to the ACTIVE node and needs role = \"standby\", not \"any\": write strategy = \"round-robin\"".into(),
        ),
        (
            format!("role = \"standby\"\n{RRF}\nfallback = \"none\""),
            "6:12: key pool.a.service.x.fallback: strategy round-robin-with-fallback falls back to \"active\", not to \"none\": leave fallback out, or write strategy = \"round-robin\"".into(),
        ),
        (
            format!("role = \"standby\"\nfallback = \"any\"\n{RRF}"),
            "5:12: key pool.a.service.x.fallback: strategy round-robin-with-fallback falls back to \"active\", not to \"any\": leave fallback out, or write strategy = \"round-robin\"".into(),
        ),
        (
            "role = \"active\"\non_demotion = \"keep\"".into(),
            format!("5:15: key pool.a.service.x.on_demotion: the service is the ACTIVE node's, and {STAYS}"),
        ),
        (
            "role = \"any\"\non_demotion = \"keep\"".into(),
            format!("5:15: key pool.a.service.x.on_demotion: the service holds the ACTIVE node, and {STAYS}"),
        ),
        (
            "role = \"active\"\nslow_start = \"1s\"".into(),
            "5:14: key pool.a.service.x.slow_start: strategy first-available gives all clients to one node, so that slow_start would be ignored: leave it out, or choose a strategy that shares them out".into(),
        ),
        (
            "role = \"standby\"\nstrategy = \"next-available\"\nslow_start = \"1s\"".into(),
            "6:14: key pool.a.service.x.slow_start: strategy next-available gives all clients to one node, so that slow_start would be ignored: leave it out, or choose a strategy that shares them out".into(),
        ),
        (
            "role = \"any\"\nquarantine = \"2m\"".into(),
            "5:14: key pool.a.service.x.quarantine: quarantine (2m) must not be longer than quarantine_max (1m by default): set both".into(),
        ),
        (
            "role = \"any\"\nquarantine_max = \"0s\"".into(),
            "5:18: key pool.a.service.x.quarantine_max: quarantine (1s by default) must not be longer than quarantine_max (0s): set both".into(),
        ),
        (
            "role = \"any\"\nmax_lag = \"11s\"".into(),
            "5:11: key pool.a.service.x.max_lag: max_lag (11s) must not be longer than the pool's (10s), above which a node takes no clients of any service: lower this one, or raise max_lag of the pool".into(),
        ),
        (
            "role = \"any\"\nquarantine_after = 0".into(),
            "5:20: key pool.a.service.x.quarantine_after: 0 is out of range: 1 to 1000".into(),
        ),
        (
            "role = \"any\"\ndrain_deadline = \"9ms\"".into(),
            "5:18: key pool.a.service.x.drain_deadline: \"9ms\" is out of range: 10ms to 1h".into(),
        ),
        (
            "role = \"any\"\nmax_lag = 5".into(),
            "5:11: key pool.a.service.x.max_lag: 5 has no unit: write \"5ms\" or \"5s\"".into(),
        ),
    ] {
        let error = one(&keys).expect_err(&keys);
        assert_eq!((error.code(), error.message()), (ErrorCode::Config, &*format!("p.toml:{message}")), "{keys}");
    }
    // What says what holds anyway is no contradiction.
    for keys in [
        "role = \"active\"\nfallback = \"standby\"",
        "role = \"any\"\nfallback = \"none\"\non_demotion = \"drain\"",
        "role = \"standby\"\nfallback = \"active\"\nstrategy = \"round-robin-with-fallback\"\nslow_start = \"10s\"",
        "role = \"active\"\nslow_start = \"0s\"\nmax_lag = \"10s\"",
        "role = \"standby\"\non_demotion = \"keep\"",
    ] {
        one(keys).expect(keys);
    }
    let pool = |pool: &str, keys: &str| {
        read(&format!("[pool.a]\n{pool}\n[pool.a.service.x]\nrole = \"any\"\n{keys}"))
            .map(|_| ())
            .map_err(|e| e.message().to_owned())
    };
    let unix = "nodes = [ { address = \"h\" }, { address = \"unix:/s\" } ]";
    assert_eq!(
        pool(unix, "port = 3307").expect_err("a socket"),
        "p.toml:5:8: key pool.a.service.x.port: node unix:/s of this pool is a unix socket, which has no ports: leave this key out"
    );
    let group = format!("kind = \"group\"\n{PAIR}");
    assert_eq!(
        pool(&group, "max_lag = \"5s\"").expect_err("a group"),
        "p.toml:6:11: key pool.a.service.x.max_lag: the members of a group look after their lag themselves: leave this key out, the pool has kind group"
    );
    assert_eq!((pool(unix, ""), pool(&group, "max_lag = \"10s\"")), (Ok(()), Ok(())));
    let long = read(&format!("site = \"{}\"\n[pool.a]\n{PAIR}", "x".repeat(65))).expect_err("long");
    assert!(long.message().contains("has 65 characters, 0 to 64 are allowed"), "{long}");
}
