//! The text and the page against the table.

use super::*;
use crate::engine::{EventKind, NodeRef, NodeSnapshot, PoolSnapshot, Snapshot, Time};
use crate::policy::rules;
use crate::pool::{NodeType, PolicyName, PoolKind, PoolStatus, State, Status};
use crate::probe::{BackendSeen, Cause, Channel, Facts, Flavour, Observation, ServerVersion, ThreadState};
use crate::vip::peer::{HostView, TierView, VipView};
use crate::vip::status::{LeaseStatus, RouterStatus, TierStatus, VipStatus};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const HEAD: &str = "# Metrics

`primacy metrics`, `primacy_metrics_text`, `Instance::metrics_text` and Python's `Instance.metrics()` give the figures of an
instance as text in the [exposition format 0.0.4 of Prometheus](https://prometheus.io/docs/instrumenting/exposition_formats/)
(`text/plain; version=0.0.4; charset=utf-8`). For node_exporter's textfile collector:

```
primacy metrics --require-agent > primacy.prom.new && mv primacy.prom.new primacy.prom
```

Durations and times are in seconds. Counters begin at 0 with the instance; a series that may exist in
advance is there with 0 from the beginning. How many series there are depends on the
configuration alone: about 60 for each node. Names and labels are only ever added. Nothing in the text is secret.

The command without an agent that answers gives what the cache knows, with `primacy_live` 0 and a warning on standard error;
with `--require-agent` it fails instead, exit code 4.

";

const TAIL: &str = "
The buckets of both histograms end at 100 µs, 250 µs, 500 µs, 1 ms, 2.5 ms, 5 ms, 10 ms, 25 ms, 50 ms, 100 ms, 250 ms, 500 ms,
1 s, 2.5 s and 5 s.

Alarms that are worth being woken for:

```
primacy_live == 0 or primacy_instance_failed == 1
sum by (pool) (primacy_node_serves) == 0                          # nobody takes the writes
primacy_node_waits_for_recover == 1
increase(primacy_cache_writes_total{outcome=\"failed\"}[5m]) > 0
```
";

const NASTY: &str = "a\"b\\c\nd";

fn node(name: &str, facts: Facts) -> NodeSnapshot {
    NodeSnapshot {
        name: name.into(),
        node_type: NodeType::Primary,
        state: State::Active,
        status: Status::OkWarn,
        label: Status::OkWarn,
        count: Some(3),
        cause: Some(Cause::Reset),
        errno: 104,
        message: "nothing of this is a label".into(),
        rule: 207,
        waits_for_recover: false,
        observed_ms: 1_700_000_000_123,
        changed_ms: 1_700_000_000_000,
        weight: 2,
        site: NASTY.into(),
        facts,
        override_: None,
        checkpoints: Vec::new(),
    }
}

/// Every figure is known.
/// A tier of two hosts, one of which is not heard.
fn tier() -> TierStatus {
    let host = |name: &str, known| HostView {
        name: name.into(),
        address: None,
        known,
        age_ms: None,
        agent: None,
        standby: false,
        stands_by: false,
        in_step: true,
        key: None,
        taken: 0,
        rejected: BTreeMap::new(),
    };
    let view = VipView { name: "front".into(), wanted: None, owners: vec![], conflict: true, hosts: vec![] };
    let router = |sent| RouterStatus {
        state: "active",
        sent,
        heard: 2,
        other_checksum: 0,
        rejected: BTreeMap::from([("checksum", 3)]),
        last_source: None,
        last_priority: None,
        last_age_ms: None,
    };
    let vip = VipStatus {
        name: "front".into(),
        owns: true,
        score: 150,
        local: Some(true),
        backend: Some(false),
        failures: 1,
        highest_epoch: 44,
        claims: 5,
        releases: 4,
        routers: vec![router(40), router(60)],
        lease: Some(LeaseStatus { valid_ms: Some(2500), trouble: None }),
        ..VipStatus::default()
    };
    TierStatus {
        tier: TierView {
            own: "rt1".into(),
            hosts: vec![host("rt1", true), host("rt2", false)],
            vips: vec![view],
        },
        vips: vec![vip],
    }
}

#[test]
fn the_tier_is_told() {
    let text = text(&figures());
    for line in [
        "primacy_vip_owned{vip=\"front\"} 1",
        "primacy_vip_score{vip=\"front\"} 150",
        "primacy_vip_local_good{vip=\"front\"} 1",
        "primacy_vip_backend_good{vip=\"front\"} 0",
        "primacy_vip_failures{vip=\"front\"} 1",
        "primacy_vip_epoch{vip=\"front\"} 44",
        "primacy_vip_claims_total{vip=\"front\"} 5",
        "primacy_vip_releases_total{vip=\"front\"} 4",
        "primacy_vrrp_adverts_sent_total{vip=\"front\"} 100",
        "primacy_vrrp_adverts_heard_total{vip=\"front\"} 4",
        "primacy_vrrp_packets_rejected_total{vip=\"front\",reason=\"checksum\"} 6",
        "primacy_vip_lease_valid_seconds{vip=\"front\"} 2.5",
        "primacy_tier_host_heard{host=\"rt1\"} 1",
        "primacy_tier_host_heard{host=\"rt2\"} 0",
        "primacy_vip_conflict{vip=\"front\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
}

fn figures() -> Figures {
    let channel = Channel {
        name: String::new(),
        source: "db2:3306".into(),
        io: ThreadState::Running,
        sql: ThreadState::Running,
        io_errno: 0,
        sql_errno: 0,
        error: String::new(),
        lag: Some(Duration::from_millis(2500)),
        applied_all: None,
        received: None,
    };
    let facts = Facts {
        flavour: Some(Flavour::MariaDb),
        version: Some(ServerVersion(10, 11, 6)),
        channels: Some(vec![channel]),
        threads_connected: Some(7),
        max_connections: Some(151),
        round_trip: Some(Duration::from_micros(420)),
        backend: Some(BackendSeen { good: false, ..BackendSeen::default() }),
        ..Facts::default()
    };
    let pool = PoolSnapshot {
        name: "orders".into(),
        kind: PoolKind::Ring,
        policy: PolicyName::Safe,
        status: PoolStatus::Ok,
        epoch: 1_763_700_000_123,
        active: Some(0),
        paused: false,
        removed: vec![],
        frozen: None,
        nodes: vec![node("a:3306", facts), NodeSnapshot { count: None, ..node("b:3306", Facts::default()) }],
    };
    let mut tally = NodeTally::default();
    let mut observation = Observation::new(Cause::NoReply, "", Time(0));
    observation.ended = Time::from_millis(250);
    tally.observe(&observation);
    let nodes = (0..2).map(|node| NodeFigures {
        node: NodeRef { pool: 0, node },
        tally: tally.clone(),
        stranded: (node == 0).then_some(17),
    });
    let mut rules = PoolTally { switches: 2, ..PoolTally::default() };
    (0..3).for_each(|_| rules.fired(245));
    let link = LinkTally { connects: 5, plain_logins: 1, tls_logins: 4, lost: 3 };
    let mut driver = DriverFigures { connections: 1, ..DriverFigures::default() };
    driver.links.insert(NodeRef { pool: 0, node: 0 }, link);
    driver.tally.late = 9;
    let proxy = crate::mpp::Tally { up: true, done: 5, refused: 1, initialized: 2, cycles: 3, failures: 4 };
    driver.proxies.insert("proxy:4041".into(), proxy);
    let mut events = EventTally::default();
    (events.lost, events.queues, events.withheld) = (4, 1, 6);
    events.emitted(EventKind::Switch);
    let desk = DeskTally {
        written: 11,
        requests: BTreeMap::from([(("recover", "refused"), 1)]),
        ..DeskTally::default()
    };
    let life = Life {
        pools: vec![PoolFigures { tally: rules, nodes: nodes.collect() }],
        driver,
        desk,
        events,
        failed: false,
        since_ms: 1_699_999_999_000,
        tier: Some(tier()),
    };
    Figures {
        snapshot: Snapshot { wall_ms: 9, pools: vec![pool] },
        written_ms: 1_700_000_000_001,
        life: Some(life),
    }
}

/// Names of the metrics in the text, in order, with the number of samples of each.
fn families(text: &str) -> Vec<(String, String, usize)> {
    let mut found: Vec<(String, String, usize)> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let name = help.split(' ').next().unwrap();
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).expect(line);
            found.push((name.into(), kind.into(), 0));
            continue;
        }
        let (name, kind, samples) = found.last_mut().expect("a head comes first");
        let sample = line.split(['{', ' ']).next().unwrap();
        let base = match kind.as_str() {
            "histogram" => {
                sample.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count")
            }
            _ => sample,
        };
        assert_eq!(base, name, "{line}");
        *samples += 1;
    }
    found
}

#[test]
fn the_text_has_every_metric_of_the_table_and_no_other() {
    let all = text(&figures());
    let found = families(&all);
    let listed: Vec<_> = METRICS.iter().map(|m| (m.name.to_string(), m.kind.name().to_string())).collect();
    assert_eq!(found.iter().map(|(n, k, _)| (n.clone(), k.clone())).collect::<Vec<_>>(), listed);
    for (name, _, samples) in &found {
        assert!(*samples > 0, "{name} has no sample in\n{all}");
    }
    assert!(all.ends_with('\n') && !all.contains("\n\n") && !all.contains('\r'));
    let stored = text(&Figures { life: None, ..figures() });
    let found: Vec<_> = families(&stored).into_iter().map(|(name, ..)| name).collect();
    let listed: Vec<_> = METRICS.iter().filter(|m| m.stored).map(|m| m.name).collect();
    assert_eq!(found, listed, "from a cache");
    assert!(!all.contains("nothing of this"), "words are no labels");
}

#[test]
fn samples_are_as_the_format_wants_them() {
    let all = text(&figures());
    for line in [
        "primacy_live 1",
        "primacy_start_time_seconds 1699999999",
        "primacy_cache_written_timestamp_seconds 1700000000.001",
        "primacy_pool_epoch{pool=\"orders\"} 1763700000123",
        "primacy_pool_active_info{pool=\"orders\",node=\"a:3306\"} 1",
        "primacy_node_info{pool=\"orders\",node=\"a:3306\",type=\"PRIMARY\",site=\"a\\\"b\\\\c\\nd\",flavour=\"mariadb\",version=\"10.11.6\"} 1",
        "primacy_node_state{pool=\"orders\",node=\"a:3306\",state=\"ACTIVE\"} 1",
        "primacy_node_state{pool=\"orders\",node=\"a:3306\",state=\"STANDBY\"} 0",
        "primacy_node_status{pool=\"orders\",node=\"b:3306\",status=\"OK_WARN\"} 1",
        "primacy_node_bad_observations{pool=\"orders\",node=\"a:3306\"} 3",
        "primacy_node_lag_seconds{pool=\"orders\",node=\"a:3306\"} 2.5",
        "primacy_node_backend_good{pool=\"orders\",node=\"a:3306\"} 0",
        "primacy_node_round_trip_seconds{pool=\"orders\",node=\"a:3306\"} 0.00042",
        "primacy_node_observed_timestamp_seconds{pool=\"orders\",node=\"a:3306\"} 1700000000.123",
        "primacy_node_stranded_transactions{pool=\"orders\",node=\"a:3306\"} 17",
        "primacy_rules_fired_total{pool=\"orders\",policy=\"safe\",rule=\"245\"} 3",
        "primacy_rules_fired_total{pool=\"orders\",policy=\"safe\",rule=\"262\"} 0",
        "primacy_observations_total{pool=\"orders\",node=\"b:3306\",cause=\"no_reply\"} 1",
        "primacy_probe_duration_seconds_bucket{pool=\"orders\",node=\"a:3306\",le=\"0.1\"} 0",
        "primacy_probe_duration_seconds_bucket{pool=\"orders\",node=\"a:3306\",le=\"0.25\"} 1",
        "primacy_probe_duration_seconds_bucket{pool=\"orders\",node=\"a:3306\",le=\"5\"} 1",
        "primacy_probe_duration_seconds_bucket{pool=\"orders\",node=\"a:3306\",le=\"+Inf\"} 1",
        "primacy_probe_duration_seconds_sum{pool=\"orders\",node=\"a:3306\"} 0.25",
        "primacy_probe_duration_seconds_count{pool=\"orders\",node=\"a:3306\"} 1",
        "primacy_loop_lateness_seconds_bucket{le=\"0.0001\"} 0",
        "primacy_loop_lateness_seconds_count 0",
        "primacy_probe_logins_total{pool=\"orders\",node=\"a:3306\",tls=\"yes\"} 4",
        "primacy_proxy_up{proxy=\"proxy:4041\"} 1",
        "primacy_proxy_commands_total{proxy=\"proxy:4041\",outcome=\"done\"} 5",
        "primacy_proxy_commands_total{proxy=\"proxy:4041\",outcome=\"refused\"} 1",
        "primacy_proxy_nodes_initialized_total{proxy=\"proxy:4041\"} 2",
        "primacy_proxy_cycles_total{proxy=\"proxy:4041\"} 3",
        "primacy_proxy_failures_total{proxy=\"proxy:4041\"} 4",
        "primacy_control_requests_total{command=\"recover\",outcome=\"refused\"} 1",
        "primacy_events_total{kind=\"switch\"} 1",
    ] {
        assert!(all.lines().any(|l| l == line), "{line} is not in\n{all}");
    }
    // Not known, or not this library's doing: no line at all.
    for part in [
        "primacy_node_bad_observations{pool=\"orders\",node=\"b:3306\"}",
        "primacy_node_lag_seconds{pool=\"orders\",node=\"b:3306\"}",
        "primacy_node_stranded_transactions{pool=\"orders\",node=\"b:3306\"}",
        "primacy_probe_connects_total{pool=\"orders\",node=\"b:3306\"}",
    ] {
        assert!(!all.contains(part), "{part} is in\n{all}");
    }
    let series: Vec<&str> =
        all.lines().filter(|l| !l.starts_with('#')).map(|l| l.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(series.iter().collect::<BTreeSet<_>>().len(), series.len(), "each series once");
}

#[test]
fn every_rule_of_a_policy_has_a_series() {
    let of_all = || PolicyName::ALL.iter().flat_map(|p| PoolKind::ALL.iter().map(|k| (*p, *k)));
    for (policy, kind) in of_all() {
        let listed: Vec<u16> = rules(policy, kind).collect();
        assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), listed.len(), "{policy}: each once");
        assert!(listed.iter().all(|rule| crate::policy::rule_sentence(*rule).is_some()), "{policy}");
    }
    // A reload is judged for the instance as a whole; the serve matrix and the services decide nothing in a pool.
    let of_pools = |n: &u16| {
        !(900..1000).contains(n) && !(500..800).contains(n) && crate::policy::rule_sentence(*n).is_some()
    };
    let known = (0..1000).filter(of_pools).count();
    let of_policies: BTreeSet<u16> = of_all().flat_map(|(p, k)| rules(p, k)).collect();
    assert_eq!(of_policies.len(), known, "no rule is left out");
}

#[test]
fn names_follow_the_conventions() {
    let mut names = BTreeSet::new();
    for metric in METRICS {
        assert!(names.insert(metric.name), "{} twice", metric.name);
        let good =
            |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
        assert!(metric.name.starts_with("primacy_") && good(metric.name), "{}", metric.name);
        assert!(metric.labels.iter().all(|label| good(label) && *label != "le"), "{}", metric.name);
        assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
        assert!(metric.kind != Kind::Histogram || metric.name.ends_with("_seconds"), "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}

/// `PRIMACY_WRITE_METRICS=1 cargo test --lib metrics` writes the page anew.
#[test]
fn the_page_is_printed_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let wanted = format!("{HEAD}{}{TAIL}", page());
    if std::env::var_os("PRIMACY_WRITE_METRICS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/metrics.md differs from the table: PRIMACY_WRITE_METRICS=1 cargo test --lib metrics"
    );
}
