//! Random texts and configurations.

use super::*;
use crate::config::{Listen, ListenAddress};
use crate::engine::time::Duration;
use crate::pool::{Address, NodeType, PolicyName, PoolKind};
use crate::probe::{Cause, Class};
use proptest::prelude::*;
use proptest::strategy::Strategy;
use std::collections::BTreeSet;

/// Lines that are near to being a configuration, so that random texts get past the TOML parser.
fn line() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        prop::sample::select(crate::config::keys::KEYS.iter().map(|k| k.name.to_owned()).collect::<Vec<_>>()),
        prop::sample::select(vec![
            "probe.interval".to_owned(),
            "pool.a.fall".into(),
            "\"\"".into(),
            "pool".into()
        ]),
        "[a-z_]{1,8}",
    ];
    let value = prop_oneof![
        "[0-9]{1,20}",
        "-?[0-9]{1,4}\\.[0-9]{1,4}",
        "\"[0-9]{0,19}\\.?[0-9]{0,20}(us|ms|s|m|h|d|)\"",
        "\"\\PC{0,20}\"",
        Just("true".to_owned()),
        Just("[]".to_owned()),
        Just("{ a = 1 }".to_owned()),
        Just("[ { address = \"h\" } ]".to_owned()),
        Just(
            "[ { address = \"h\", probe = { silence = \"1s\" } }, { address = \"[::1]\", weight = 0 } ]"
                .to_owned()
        ),
        Just("\"mpp\"".to_owned()),
    ];
    let header = prop::sample::select(vec![
        "[pool.a.service.rw]\nrole = \"active\"",
        "[pool.a.service.ro]",
        "[probe]",
        "[pool.a]",
        "[pool.\"a.b\"]",
        "[[pool.a.nodes]]",
        "[pool.a.probe]",
    ]);
    prop_oneof![
        4 => (key, value).prop_map(|(k, v)| format!("{k} = {v}")),
        2 => header.prop_map(str::to_owned),
        1 => "\\PC{0,20}",
    ]
}

fn any_span(min_us: u64, max_us: u64) -> impl Strategy<Value = Duration> {
    (min_us..=max_us, prop::sample::select(vec![1u64, 1000, 1_000_000]))
        .prop_map(move |(us, unit)| Duration::from_micros((us / unit * unit).clamp(min_us, max_us)))
}

fn any_text(pattern: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![Just("x".to_owned()), pattern, Just("a\"b\\c'#".to_owned())]
}

fn any_probe() -> impl Strategy<Value = ProbeConfig> {
    let path = || any_text("/[^\\x00]{1,20}").prop_map(|t| std::path::PathBuf::from(format!("/{t}")));
    let password = prop_oneof![
        Just((None, None)),
        path().prop_map(|p| (Some(p), None)),
        (0..i32::MAX).prop_map(|fd| (None, Some(fd)))
    ];
    let rsa = prop_oneof![
        Just(RsaPublicKey::Refuse),
        Just(RsaPublicKey::FromServer),
        path().prop_map(RsaPublicKey::File)
    ];
    let spans = (
        any_span(60_000_000, 3_600_000_000),
        any_span(1_000, 60_000_000),
        any_span(1_000, 60_000_000),
        any_span(60_000_000, 600_000_000),
        any_span(60_000_000, 3_600_000_000),
        any_span(100_000, 86_400_000_000),
    );
    let certificate =
        move || prop::option::of((path(), path()).prop_map(|(chain, key)| ClientCertificate { chain, key }));
    let tls = prop_oneof![
        Just((TlsMode::Disabled, None, None)),
        (prop::sample::select(vec![TlsMode::Preferred, TlsMode::Required]), certificate())
            .prop_map(|(mode, own)| (mode, None, own)),
        (prop::sample::select(vec![TlsMode::VerifyCa, TlsMode::VerifyIdentity]), path(), certificate())
            .prop_map(|(mode, ca, own)| (mode, Some(ca), own)),
    ];
    let encryption =
        (tls, prop::option::of(1..=u16::MAX)).prop_map(|((mode, ca, own), port)| (mode, ca, own, port));
    (any_text("\\PC{1,20}"), password, rsa, encryption, spans).prop_map(
        |(user, password, rsa_public_key, encryption, spans)| ProbeConfig {
            user,
            password_file: password.0,
            password_fd: password.1,
            rsa_public_key,
            tls: encryption.0,
            tls_ca: encryption.1,
            tls_certificate: encryption.2,
            admin_port: encryption.3,
            interval: spans.0,
            confirm_interval: spans.1,
            timeout: spans.2,
            probe_timeout: spans.3,
            silence: spans.4,
            login_interval: spans.5,
        },
    )
}

/// A proxy for every pool whose nodes a command can name.
fn any_push(pools: &[PoolConfig]) -> Vec<PushConfig> {
    let mut push = Vec::new();
    for (index, pool) in pools.iter().enumerate() {
        if pool.nodes.iter().all(|node| !node.address.to_string().contains(' ')) {
            push.push(PushConfig {
                address: Address::parse(&format!("proxy{index}:4041")).expect("an address"),
                user: pool.name.clone(),
                password_file: Some(format!("/{}", pool.name).into()),
                pools: vec![pool.name.clone()],
                interval: Duration::from_millis(10 + u64::from(pool.fall)),
                timeout: Duration::from_millis(u64::from(pool.rise)),
            });
        }
    }
    push
}

fn any_nodes() -> impl Strategy<Value = Vec<NodeConfig>> {
    let node = (prop::option::weighted(0.3, any_probe()), 0..=1000u32, any_text("\\PC{0,20}"));
    let hosts =
        prop::sample::subsequence(vec!["h", "10.0.0.1:99", "[2001:db8::1]", "unix:/a b\"c.sock"], 1..=4);
    (any_probe(), prop::collection::vec(node, 4), hosts, 0..6usize).prop_map(
        |(shared, nodes, hosts, primary)| {
            let mut out = Vec::new();
            for (index, ((probe, weight, site), host)) in nodes.into_iter().zip(hosts).enumerate() {
                let mut probe = probe.unwrap_or_else(|| shared.clone());
                if host.starts_with("unix:") {
                    probe.admin_port = None;
                }
                out.push(NodeConfig {
                    address: Address::parse(host).expect(host),
                    node_type: if index == primary { NodeType::Primary } else { NodeType::Secondary },
                    weight,
                    site,
                    probe: probe.into(),
                    host: String::new(),
                    checks: Vec::new(),
                    checkpoints: Vec::new(),
                });
            }
            out
        },
    )
}

/// With a hold-down, so that every `failback` goes with it.
fn any_recovery() -> impl Strategy<Value = (Option<AutoRecover>, Duration)> {
    let rate = (1..=1000u32, any_span(60_000_000, 30 * 86_400_000_000))
        .prop_map(|(count, per)| AutoRecover { count, per });
    (prop::option::of(rate), any_span(1, 86_400_000_000))
}

fn any_resort() -> impl Strategy<Value = LastResort> {
    let after = any_span(1_000_000, 86_400_000_000).prop_map(LastResort::After);
    prop_oneof![Just(LastResort::Alarm), after, Just(LastResort::Never)]
}

/// Services that are good by themselves; the pool has its say in `with_fitting_services`.
fn any_services() -> impl Strategy<Value = Vec<ServiceConfig>> {
    use crate::config::Strategy as Choice;
    let roles = prop::sample::select(Role::ALL.to_vec());
    let spans = (
        any_span(10_000, 3_600_000_000),
        any_span(0, 365 * 86_400_000_000),
        any_span(0, 3_600_000_000),
        (any_span(0, 3_600_000_000), any_span(0, 86_400_000_000)),
        any_span(1_000_000, 3_600_000_000),
    );
    let words = (
        prop::sample::select(Choice::ALL.to_vec()),
        prop::sample::select(OnDemotion::ALL.to_vec()),
        prop::sample::select(OnStale::ALL.to_vec()),
    );
    let service = (
        roles.clone(),
        prop::option::of(roles),
        prop::option::of(1..=u16::MAX),
        words,
        spans,
        (any::<bool>(), 1..=1000u32),
    );
    let service =
        service.prop_map(|(role, fallback, port, words, spans, (same_site_first, quarantine_after))| {
            let strategy = match words.0 {
                Choice::RoundRobinWithFallback if role != Role::Standby => Choice::RoundRobin,
                other => other,
            };
            let one = matches!(strategy, Choice::FirstAvailable | Choice::NextAvailable);
            ServiceConfig {
                name: String::new(),
                role,
                port,
                fallback: match strategy {
                    Choice::RoundRobinWithFallback => Some(Role::Active),
                    _ => fallback.filter(|fallback| *fallback != role && role != Role::Any),
                },
                strategy,
                on_demotion: match words.1 {
                    OnDemotion::Keep if role != Role::Standby => OnDemotion::Kill,
                    other => other,
                },
                drain_deadline: spans.0,
                max_lag: spans.1,
                same_site_first,
                slow_start: if one { Duration::ZERO } else { spans.2 },
                quarantine: spans.3.0.min(spans.3.1),
                quarantine_max: spans.3.1,
                quarantine_after,
                stale: words.2,
                stale_after: spans.4,
            }
        });
    let names = prop::collection::btree_set("[a-zA-Z0-9_-]{1,8}", 1..4);
    (names, prop::collection::vec(service, 3)).prop_map(|(names, services)| {
        names
            .into_iter()
            .rev()
            .zip(services)
            .map(|(name, service)| ServiceConfig { name, ..service })
            .collect()
    })
}

/// No lag above the pool's, and no port on a unix socket.
fn with_fitting_services(mut pool: PoolConfig) -> PoolConfig {
    let unix = pool.nodes.iter().any(|node| matches!(node.address.host, crate::pool::Host::Unix(_)));
    for service in &mut pool.services {
        service.max_lag = match pool.kind {
            PoolKind::Group => pool.max_lag,
            _ => service.max_lag.min(pool.max_lag),
        };
        service.port = service.port.filter(|_| !unix);
    }
    pool
}

fn any_pool() -> impl Strategy<Value = PoolConfig> {
    let causes: Vec<Cause> =
        Cause::ALL.iter().copied().filter(|c| matches!(c.class(), Class::Refusing)).collect();
    let count = causes.len();
    let lag = || any_span(0, 365 * 86_400_000_000);
    let own = (
        1..=100u32,
        1..=100u32,
        lag(),
        (
            any_span(10_000, 300_000_000),
            any_span(10_000, 3_600_000_000),
            any::<bool>(),
            any_resort(),
            any_recovery(),
        ),
        prop::sample::subsequence(causes, 0..=count),
    );
    let failback = prop::sample::select(vec![Failback::AfterRecover, Failback::Manual, Failback::Auto]);
    let kind =
        prop::sample::select(vec![PoolKind::Ring, PoolKind::Replicated, PoolKind::Group, PoolKind::Router]);
    (any::<[bool; 3]>(), own, failback, lag(), any_nodes(), kind, any_services()).prop_map(
        |(flags, own, failback, max_lag, nodes, kind, services)| {
            let [mpp, external, hostile] = flags;
            let pick = |ours: bool, a, b| if ours { a } else { b };
            // Keys that the policy does not read have their defaults.
            let pool = PoolConfig {
                name: String::new(),
                kind: PoolKind::Ring,
                policy: if mpp { PolicyName::Mpp } else { PolicyName::Safe },
                probe_mode: if external { ProbeMode::External } else { ProbeMode::Builtin },
                levels: pick(mpp, own.0, 4),
                hostile_takeover: mpp && hostile,
                fall: pick(!mpp, own.0, 4),
                rise: pick(!mpp, own.1, 4),
                max_lag,
                max_takeover_lag: if mpp { Duration::from_secs(30) } else { own.2 },
                fail_on: if mpp { vec![] } else { own.4 },
                failback: if mpp { Failback::AfterRecover } else { failback },
                handback_deadline: if mpp { Duration::from_secs(2) } else { own.3.0 },
                auto_recover: if mpp { None } else { own.3.4.0 },
                hold_down: if mpp { Duration::ZERO } else { own.3.4.1 },
                last_resort: if mpp { LastResort::Alarm } else { own.3.3 },
                on_doubt: if !mpp && own.3.2 { OnDoubt::Fail } else { OnDoubt::Hold },
                doubt_deadline: if mpp { Duration::from_secs(3) } else { own.3.1 },
                nodes,
                services,
            };
            with_fitting_services(as_kind(kind, pool))
        },
    )
}

/// The same pool as one that follows: what it does not read has its default.
fn as_kind(kind: PoolKind, pool: PoolConfig) -> PoolConfig {
    if kind == PoolKind::Ring || pool.policy == PolicyName::Mpp {
        return pool;
    }
    if kind == PoolKind::Router {
        return as_routers(pool);
    }
    let grouped = kind == PoolKind::Group;
    PoolConfig {
        kind,
        failback: Failback::AfterRecover,
        handback_deadline: Duration::from_secs(2),
        hold_down: Duration::ZERO,
        last_resort: LastResort::Alarm,
        on_doubt: OnDoubt::Hold,
        doubt_deadline: Duration::from_secs(3),
        auto_recover: pool.auto_recover.filter(|_| !grouped),
        max_lag: if grouped { Duration::from_secs(10) } else { pool.max_lag },
        max_takeover_lag: if grouped { Duration::from_secs(30) } else { pool.max_takeover_lag },
        ..pool
    }
}

/// The same pool as one of routers: at TCP ports, with checks unless the host observes.
fn as_routers(pool: PoolConfig) -> PoolConfig {
    let external = pool.probe_mode == ProbeMode::External;
    let as_router = |(index, node): (usize, NodeConfig)| {
        let mut probe = (*node.probe).clone();
        probe.admin_port = None;
        let port = 1 + node.weight as u16;
        let network = match node.weight % 3 {
            0 => CheckConfig::Tcp { port },
            1 => CheckConfig::X { port },
            _ => CheckConfig::Router { port, role: PortRole::RoStrict, protocol: PortProtocol::X },
        };
        let local = [
            CheckConfig::Process { pid_file: "/a b\"c.pid".into() },
            CheckConfig::Exec {
                command: vec!["/p".into(), node.site.clone()],
                timeout: probe.probe_timeout.max(Duration::from_millis(10)),
                verdict: CheckVerdict::Backend,
            },
        ];
        // A program's shortest time may be longer than the probe's.
        let fits = probe.probe_timeout >= Duration::from_millis(10)
            && probe.probe_timeout <= Duration::from_secs(60);
        let of_host = if fits { &local[..] } else { &local[..1] };
        let checks = [network].into_iter().chain(of_host.iter().cloned());
        NodeConfig {
            host: format!("rt{index}"),
            checks: if external { vec![] } else { checks.collect() },
            probe: probe.into(),
            ..node
        }
    };
    let of_tcp = |node: &NodeConfig| !matches!(node.address.host, crate::pool::Host::Unix(_));
    let tcp = NodeConfig { address: Address::parse("r").expect("r"), ..pool.nodes[0].clone() };
    let mut nodes: Vec<NodeConfig> = pool.nodes.iter().filter(|node| of_tcp(node)).cloned().collect();
    if nodes.is_empty() {
        nodes.push(tcp);
    }
    PoolConfig {
        kind: PoolKind::Router,
        max_lag: Duration::from_secs(10),
        max_takeover_lag: Duration::from_secs(30),
        last_resort: LastResort::Alarm,
        on_doubt: OnDoubt::Hold,
        doubt_deadline: Duration::from_secs(3),
        auto_recover: None,
        fail_on: vec![],
        nodes: nodes.into_iter().enumerate().map(as_router).collect(),
        ..pool
    }
}

proptest! {
    #[test]
    fn near_texts_never_panic_and_errors_name_the_place(lines in prop::collection::vec(line(), 0..8)) {
        let text = lines.join("\n");
        let mut builder = ConfigBuilder::new();
        match builder.load_text(&text, "n") {
            Err(error) => prop_assert!(error.message().starts_with("n:"), "{}", error),
            Ok(()) => if let Ok(config) = builder.build() {
                prop_assert_eq!(read(&config.dump()), Ok(config));
            },
        }
    }

    #[test]
    fn random_texts_never_panic(text in "\\PC{0,60}|[\\[\\]{}a.=\"'\\\\\n,0-9]{0,40}", key in "(pool\\.|probe\\.)?[a-c.\"]{0,6}(\\.fall|\\.probe|\\.nodes)?\\PC{0,3}") {
        let mut builder = ConfigBuilder::new();
        let _ = builder.load_text(&text, "n");
        let _ = builder.set(&key, &text);
        let _ = builder.add_pool(&text);
        let _ = builder.add_pool(&format!("name:{key};primary:{text}"));
        let _ = builder.build();
        let _ = parse_duration(&text);
    }

    #[test]
    fn the_dump_reads_back(
        pools in prop::collection::vec(any_pool(), 1..3),
        names in prop::collection::btree_set("[a-zA-Z0-9_.-]{1,10}", 3),
        cache in prop::option::of(any_text("[^\\x00]{1,20}")),
        wait in 0..3usize,
        control in prop::option::of(any_text("[^\\x00]{1,20}")),
        control_users in prop::collection::vec(any_text("[a-z_][a-z0-9_-]{0,8}|[1-9][0-9]{0,6}"), 0..1),
        site in any_text("\\PC{0,20}"),
        listens in 0..8usize,
    ) {
        let names: BTreeSet<String> = names;
        let pools: Vec<PoolConfig> =
            pools.into_iter().zip(names).map(|(pool, name)| PoolConfig { name, ..pool }).collect();
        let node = pools.iter().flat_map(|p: &PoolConfig| &p.nodes).map(|n| n.address.clone()).nth(listens);
        let pick = |kind: usize| match (listens + kind) % 3 {
            0 => vec![],
            1 => vec![ListenAddress::parse(&format!("127.0.0.1:{}", 8000 + kind)).expect("an address")],
            _ => vec![
                ListenAddress::parse("[::]:99").expect("an address"),
                ListenAddress::parse(&format!("unix:/a\"b{kind}")).expect("an address"),
            ],
        };
        let listen = match listens {
            0 => Listen::default(),
            _ => Listen { http: pick(0), agent_check: pick(1), node, unix_mode: 0o600 | listens as u32 },
        };
        let on_locked = [OnLocked::Error, OnLocked::Wait, OnLocked::Follow][wait];
        let control_socket = match control {
            None => ControlSocket::BesideCache,
            Some(name) if name.len() % 5 == 0 => ControlSocket::Off,
            Some(name) => ControlSocket::At(format!("/{name}").into()),
        };
        let push = any_push(&pools);
        let cache_file: Option<std::path::PathBuf> = cache.map(Into::into);
        let tier = TierConfig::plain(cache_file.as_deref());
        let config = Config { cache_file, tier, vips: vec![], on_locked, control_socket, control_users, site, listen, pools, push };
        let text = config.dump();
        let again = read(&text);
        prop_assert_eq!(again.as_ref(), Ok(&config), "{}", text);
        prop_assert_eq!(again.map(|c| c.fingerprint()), Ok(config.fingerprint()));
    }
}
