//! The table of keys: where each one may stand, its type, range and default.

use super::foreign::{self, Foreign};
use crate::config::{
    AutoRecover, ControlSocket, LastResort, ListenAddress, RsaPublicKey, TierHost, VipAddress,
};
use crate::engine::time::Duration;
use crate::pool::{Address, PolicyName};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Where a key may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Top level of the text.
    Instance,
    /// `[probe]`, `[pool.NAME.probe]` and the `probe` table of a node.
    Probe,
    /// `[pool.NAME]`.
    Pool,
    /// An element of a pool's `nodes`.
    Node,
    /// An element of `push`.
    Push,
    /// `[pool.NAME.service.SERVICE]`.
    Service,
    /// `[listen]`.
    Listen,
    /// `[tier]`.
    Tier,
    /// `[vip.NAME]`.
    Vip,
}

/// A key's type, with its range and default.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Text of bounded length, in characters.
    Text { min: usize, max: usize, default: &'static str },
    /// A path.
    Path,
    /// One word of a few; `later` are words whose behaviour has not landed. The first one landed is the default.
    Word { landed: &'static [&'static str], later: &'static [&'static str] },
    /// One word of a few that other routers have words of their own for. Without a default it must be given, or
    /// follows from other keys.
    Term { words: &'static [&'static str], default: Option<&'static str>, foreign: &'static [Foreign] },
    /// `true` or `false`; false by default.
    Flag,
    /// A whole number.
    Count { min: u32, max: u32, default: u32 },
    /// A duration.
    Span { min: Duration, max: Duration, default: Duration },
    /// A duration whose default is a key of the pool.
    Within { min: Duration, max: Duration },
    /// A list of causes; empty by default.
    Causes,
    /// Where an RSA key comes from.
    PublicKey,
    /// `off` or `COUNT/DURATION`.
    Rate,
    /// `alarm`, `after=DURATION` or `never`.
    LastResort,
    /// Where the control socket is.
    ControlSocket,
    /// A list of users of this machine; empty by default.
    Users,
    /// The number of an open file descriptor.
    Descriptor,
    /// A TCP port.
    Port,
    /// A node's address.
    Address,
    /// The address of a node of one of the pools.
    NodeName,
    /// Addresses to listen at; empty by default.
    Listen,
    /// The mode of a file, in octal digits.
    Mode { default: u32 },
    /// The nodes of a pool.
    Nodes,
    /// The sets of checkpoints of a pool; empty by default.
    Checkpoints,
    /// The checks of a router; one of its own port by default.
    Checks,
    /// Proxies to push to; empty by default.
    Proxies,
    /// Names of pools; empty, which is all, by default.
    Pools,
    /// The hosts of a tier: a table of names and addresses; empty by default.
    Hosts,
    /// Scores by host: a table of names and numbers in this range; empty by default.
    Scores { min: u8, max: u8 },
    /// Addresses with prefixes.
    VipAddresses,
    /// Addresses without prefix or port; empty by default.
    Ips,
    /// A list of so many texts, such as a program with its arguments; empty by default.
    Texts { max: usize },
    /// A key that is known and never allowed; the text says what to write instead.
    Refused(&'static str),
    /// A key whose behaviour has not landed.
    Later,
}

/// One key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub scope: Scope,
    pub name: &'static str,
    pub kind: Kind,
    /// The policy that alone reads it, if only one does.
    pub policy: Option<PolicyName>,
}

impl Key {
    const fn new(scope: Scope, name: &'static str, kind: Kind) -> Key {
        Key { scope, name, kind, policy: None }
    }

    const fn only(mut self, policy: PolicyName) -> Key {
        self.policy = Some(policy);
        self
    }

    /// Whether a configuration may hold the key today.
    pub fn is_usable(&self) -> bool {
        !matches!(self.kind, Kind::Later | Kind::Refused(_))
    }
}

/// A checked value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Word(&'static str),
    Flag(bool),
    Count(u32),
    Span(Duration),
    Causes(Vec<crate::probe::Cause>),
    PublicKey(RsaPublicKey),
    LastResort(LastResort),
    Rate(Option<AutoRecover>),
    ControlSocket(ControlSocket),
    Users(Vec<String>),
    Pools(Vec<String>),
    Descriptor(i32),
    Port(u16),
    Address(Address),
    Listen(Vec<ListenAddress>),
    Mode(u32),
    Hosts(Vec<TierHost>),
    Scores(BTreeMap<String, u8>),
    VipAddresses(Vec<VipAddress>),
    Ips(Vec<IpAddr>),
    Texts(Vec<String>),
}

impl Kind {
    /// The value where the configuration gives none; absent where that means "unset".
    pub fn default_value(&self) -> Option<Value> {
        match self {
            Kind::Text { default, .. } => Some(Value::Text((*default).into())),
            Kind::Word { landed, .. } => landed.first().map(|word| Value::Word(word)),
            Kind::Term { default, .. } => default.map(Value::Word),
            Kind::Flag => Some(Value::Flag(false)),
            Kind::Count { default, .. } => Some(Value::Count(*default)),
            Kind::Span { default, .. } => Some(Value::Span(*default)),
            Kind::Causes => Some(Value::Causes(Vec::new())),
            Kind::PublicKey => Some(Value::PublicKey(RsaPublicKey::Refuse)),
            Kind::ControlSocket => Some(Value::ControlSocket(ControlSocket::BesideCache)),
            Kind::Users => Some(Value::Users(Vec::new())),
            Kind::Pools => Some(Value::Pools(Vec::new())),
            Kind::Rate => Some(Value::Rate(None)),
            Kind::LastResort => Some(Value::LastResort(LastResort::Alarm)),
            Kind::Listen => Some(Value::Listen(Vec::new())),
            Kind::Mode { default } => Some(Value::Mode(*default)),
            Kind::Hosts => Some(Value::Hosts(Vec::new())),
            Kind::Scores { .. } => Some(Value::Scores(BTreeMap::new())),
            Kind::Ips => Some(Value::Ips(Vec::new())),
            Kind::Texts { .. } => Some(Value::Texts(Vec::new())),
            Kind::Path
            | Kind::VipAddresses
            | Kind::Within { .. }
            | Kind::Descriptor
            | Kind::Port
            | Kind::Address
            | Kind::NodeName
            | Kind::Nodes
            | Kind::Checkpoints
            | Kind::Checks
            | Kind::Proxies
            | Kind::Refused(_)
            | Kind::Later => None,
        }
    }
}

const fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}
const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

const NO_PASSWORD: &str = "a password does not stand in a configuration: put it into a file that only its owner can read \
     and name that with password_file, or hand it over by password_fd";

const NO_PASSWORD_IN_PUSH: &str = "a password does not stand in a configuration: put it into a file that only its owner can \
     read and name that with password_file";

/// Every key, in the order of the reference page.
pub(super) static KEYS: &[Key] = &[
    Key::new(Scope::Instance, "cache_file", Kind::Path),
    Key::new(Scope::Instance, "on_locked", Kind::Word { landed: &["error", "wait", "follow"], later: &[] }),
    Key::new(Scope::Instance, "control_socket", Kind::ControlSocket),
    Key::new(Scope::Instance, "control_users", Kind::Users),
    Key::new(Scope::Instance, "push", Kind::Proxies),
    Key::new(Scope::Instance, "site", Kind::Text { min: 0, max: 64, default: "" }),
    Key::new(Scope::Instance, "dispatch_budget", Kind::Later),
    Key::new(Scope::Instance, "helper", Kind::Later),
    // Who logs in, and how.
    Key::new(Scope::Probe, "user", Kind::Text { min: 1, max: 80, default: "primacy" }),
    Key::new(Scope::Probe, "password_file", Kind::Path),
    Key::new(Scope::Probe, "password_fd", Kind::Descriptor),
    Key::new(Scope::Probe, "password", Kind::Refused(NO_PASSWORD)),
    Key::new(Scope::Probe, "rsa_public_key", Kind::PublicKey),
    Key::new(
        Scope::Probe,
        "tls",
        Kind::Word {
            landed: &["preferred", "disabled", "required", "verify-ca", "verify-identity"],
            later: &[],
        },
    ),
    Key::new(Scope::Probe, "tls_ca", Kind::Path),
    Key::new(Scope::Probe, "tls_cert", Kind::Path),
    Key::new(Scope::Probe, "tls_key", Kind::Path),
    Key::new(Scope::Probe, "admin_port", Kind::Port),
    Key::new(Scope::Probe, "extra_port", Kind::Port),
    // How often and how long.
    Key::new(Scope::Probe, "interval", Kind::Span { min: ms(10), max: s(HOUR), default: ms(500) }),
    Key::new(Scope::Probe, "confirm_interval", Kind::Span { min: ms(1), max: s(60), default: ms(20) }),
    Key::new(Scope::Probe, "timeout", Kind::Span { min: ms(1), max: s(60), default: ms(250) }),
    Key::new(Scope::Probe, "probe_timeout", Kind::Span { min: ms(1), max: s(600), default: s(1) }),
    Key::new(Scope::Probe, "silence", Kind::Span { min: ms(10), max: s(HOUR), default: s(3) }),
    Key::new(Scope::Probe, "login_interval", Kind::Span { min: ms(100), max: s(DAY), default: s(10) }),
    Key::new(Scope::Probe, "mode", Kind::Word { landed: &["builtin", "external"], later: &[] }),
    // A pool's rules.
    Key::new(
        Scope::Pool,
        "kind",
        Kind::Word { landed: &["ring", "replicated", "group", "router"], later: &[] },
    ),
    Key::new(Scope::Pool, "promotion", Kind::Word { landed: &["none"], later: &["manual", "automatic"] }),
    Key::new(Scope::Pool, "policy", Kind::Word { landed: &["safe", "mpp"], later: &[] }),
    Key::new(Scope::Pool, "nodes", Kind::Nodes),
    Key::new(Scope::Pool, "max_lag", Kind::Span { min: us(0), max: s(365 * DAY), default: s(10) }),
    Key::new(Scope::Pool, "fall", Kind::Count { min: 1, max: 100, default: 4 }).only(PolicyName::Safe),
    Key::new(Scope::Pool, "rise", Kind::Count { min: 1, max: 100, default: 4 }).only(PolicyName::Safe),
    Key::new(Scope::Pool, "max_takeover_lag", Kind::Span { min: us(0), max: s(365 * DAY), default: s(30) })
        .only(PolicyName::Safe),
    Key::new(Scope::Pool, "fail_on", Kind::Causes).only(PolicyName::Safe),
    Key::new(
        Scope::Pool,
        "failback",
        Kind::Word { landed: &["after-recover", "manual", "auto"], later: &[] },
    )
    .only(PolicyName::Safe),
    Key::new(Scope::Pool, "handback_deadline", Kind::Span { min: ms(10), max: s(300), default: s(2) })
        .only(PolicyName::Safe),
    Key::new(Scope::Pool, "auto_recover", Kind::Rate).only(PolicyName::Safe),
    Key::new(Scope::Pool, "hold_down", Kind::Span { min: us(0), max: s(DAY), default: us(0) })
        .only(PolicyName::Safe),
    Key::new(Scope::Pool, "last_resort", Kind::LastResort).only(PolicyName::Safe),
    Key::new(Scope::Pool, "on_doubt", Kind::Word { landed: &["hold", "fail"], later: &[] })
        .only(PolicyName::Safe),
    Key::new(Scope::Pool, "doubt_deadline", Kind::Span { min: ms(10), max: s(HOUR), default: s(3) })
        .only(PolicyName::Safe),
    Key::new(Scope::Pool, "levels", Kind::Count { min: 1, max: 100, default: 4 }).only(PolicyName::Mpp),
    Key::new(Scope::Pool, "hostile_takeover", Kind::Flag).only(PolicyName::Mpp),
    Key::new(Scope::Pool, "checkpoints", Kind::Checkpoints),
    Key::new(Scope::Pool, "checks", Kind::Checks),
    // One node.
    Key::new(Scope::Node, "address", Kind::Address),
    Key::new(Scope::Node, "type", Kind::Word { landed: &["secondary", "primary"], later: &[] }),
    Key::new(Scope::Node, "weight", Kind::Count { min: 0, max: 1000, default: 1 }),
    Key::new(Scope::Node, "site", Kind::Text { min: 0, max: 64, default: "" }),
    Key::new(Scope::Node, "host", Kind::Text { min: 0, max: 64, default: "" }),
    Key::new(Scope::Node, "checks", Kind::Checks),
    // One proxy that is told of all nodes.
    Key::new(Scope::Push, "address", Kind::Address),
    Key::new(Scope::Push, "user", Kind::Text { min: 1, max: 80, default: "primacy" }),
    Key::new(Scope::Push, "password_file", Kind::Path),
    Key::new(Scope::Push, "password", Kind::Refused(NO_PASSWORD_IN_PUSH)),
    Key::new(Scope::Push, "pools", Kind::Pools),
    Key::new(Scope::Push, "interval", Kind::Span { min: ms(10), max: s(HOUR), default: s(1) }),
    Key::new(Scope::Push, "timeout", Kind::Span { min: ms(1), max: s(60), default: s(1) }),
    // What clients ask for.
    Key::new(
        Scope::Service,
        "role",
        Kind::Term { words: &["active", "standby", "any"], default: None, foreign: foreign::ROLES },
    ),
    Key::new(Scope::Service, "port", Kind::Port),
    Key::new(
        Scope::Service,
        "fallback",
        Kind::Term {
            words: &["none", "active", "standby", "any"],
            default: Some("none"),
            foreign: foreign::ROLES,
        },
    ),
    Key::new(
        Scope::Service,
        "strategy",
        Kind::Term {
            words: &[
                "first-available",
                "next-available",
                "round-robin",
                "round-robin-with-fallback",
                "weighted",
                "least-connections",
                "two-choices",
            ],
            default: None,
            foreign: foreign::STRATEGIES,
        },
    ),
    Key::new(
        Scope::Service,
        "on_demotion",
        Kind::Term {
            words: &["auto", "kill", "drain", "keep"],
            default: Some("auto"),
            foreign: foreign::DEMOTIONS,
        },
    ),
    Key::new(Scope::Service, "drain_deadline", Kind::Span { min: ms(10), max: s(HOUR), default: s(30) }),
    Key::new(Scope::Service, "max_lag", Kind::Within { min: us(0), max: s(365 * DAY) }),
    Key::new(Scope::Service, "same_site_first", Kind::Flag),
    Key::new(Scope::Service, "slow_start", Kind::Span { min: us(0), max: s(HOUR), default: us(0) }),
    Key::new(Scope::Service, "quarantine", Kind::Span { min: us(0), max: s(HOUR), default: s(1) }),
    Key::new(Scope::Service, "quarantine_max", Kind::Span { min: us(0), max: s(DAY), default: s(60) }),
    Key::new(Scope::Service, "quarantine_after", Kind::Count { min: 1, max: 1000, default: 3 }),
    Key::new(Scope::Service, "stale", Kind::Word { landed: &["serve", "refuse"], later: &[] }),
    Key::new(Scope::Service, "stale_after", Kind::Span { min: s(1), max: s(HOUR), default: s(5) }),
    // Where `primacy run` answers load balancers.
    Key::new(Scope::Listen, "http", Kind::Listen),
    Key::new(Scope::Listen, "agent_check", Kind::Listen),
    Key::new(Scope::Listen, "node", Kind::NodeName),
    Key::new(Scope::Listen, "unix_mode", Kind::Mode { default: 0o600 }),
    // This host among its peers.
    Key::new(Scope::Tier, "host", Kind::Text { min: 0, max: 64, default: "" }),
    Key::new(Scope::Tier, "hosts", Kind::Hosts),
    Key::new(Scope::Tier, "key_file", Kind::Path),
    Key::new(Scope::Tier, "previous_key_file", Kind::Path),
    Key::new(Scope::Tier, "interval", Kind::Span { min: ms(50), max: s(60), default: ms(500) }),
    Key::new(Scope::Tier, "state_file", Kind::Path),
    // A floating address.
    Key::new(Scope::Vip, "addresses", Kind::VipAddresses),
    Key::new(Scope::Vip, "interface", Kind::Text { min: 0, max: 60, default: "" }),
    Key::new(Scope::Vip, "prefix_route", Kind::Flag),
    Key::new(Scope::Vip, "source", Kind::Flag),
    Key::new(Scope::Vip, "pool", Kind::Text { min: 0, max: 64, default: "" }),
    Key::new(Scope::Vip, "ownership", Kind::Word { landed: &["vrrp", "lease"], later: &[] }),
    // Required with vrrp: the default is never taken.
    Key::new(Scope::Vip, "vrid", Kind::Count { min: 1, max: 255, default: 1 }),
    Key::new(Scope::Vip, "version", Kind::Count { min: 2, max: 3, default: 3 }),
    Key::new(Scope::Vip, "advert_interval", Kind::Span { min: ms(10), max: ms(40_950), default: s(1) }),
    Key::new(Scope::Vip, "checksum_v4", Kind::Word { landed: &["compat", "rfc9568"], later: &[] }),
    Key::new(Scope::Vip, "auth_password_file", Kind::Path),
    Key::new(Scope::Vip, "unicast", Kind::Ips),
    Key::new(Scope::Vip, "address_owner", Kind::Flag),
    // The default follows from the adverts.
    Key::new(Scope::Vip, "self_fence", Kind::Within { min: s(1), max: s(HOUR) }),
    Key::new(Scope::Vip, "etcd", Kind::Texts { max: 16 }),
    Key::new(Scope::Vip, "key_prefix", Kind::Text { min: 1, max: 200, default: "/primacy/vip/" }),
    Key::new(Scope::Vip, "ttl", Kind::Span { min: s(2), max: s(HOUR), default: s(5) }),
    Key::new(Scope::Vip, "margin", Kind::Span { min: us(0), max: s(60), default: ms(100) }),
    Key::new(Scope::Vip, "no_quorum", Kind::Word { landed: &["release", "ignore"], later: &[] }),
    Key::new(Scope::Vip, "etcd_ca", Kind::Path),
    Key::new(Scope::Vip, "etcd_cert", Kind::Path),
    Key::new(Scope::Vip, "etcd_key", Kind::Path),
    Key::new(Scope::Vip, "etcd_user", Kind::Text { min: 0, max: 80, default: "" }),
    Key::new(Scope::Vip, "etcd_password_file", Kind::Path),
    Key::new(Scope::Vip, "last_host", Kind::Word { landed: &["hold", "release"], later: &[] }),
    Key::new(Scope::Vip, "migration_threshold", Kind::Count { min: 1, max: 1000, default: 1 }),
    Key::new(Scope::Vip, "failure_timeout", Kind::Span { min: us(0), max: s(DAY), default: s(60) }),
    Key::new(Scope::Vip, "location", Kind::Count { min: 3, max: 253, default: 100 }),
    Key::new(Scope::Vip, "locations", Kind::Scores { min: 3, max: 253 }),
    Key::new(Scope::Vip, "stickiness", Kind::Count { min: 0, max: 255, default: 255 }),
    Key::new(Scope::Vip, "preempt_delay", Kind::Span { min: us(0), max: s(HOUR), default: us(0) }),
    Key::new(Scope::Vip, "restart", Kind::Texts { max: 32 }),
    Key::new(Scope::Vip, "restart_interval", Kind::Span { min: ms(100), max: s(HOUR), default: s(5) }),
    Key::new(Scope::Vip, "on_claim", Kind::Texts { max: 32 }),
    Key::new(Scope::Vip, "on_release", Kind::Texts { max: 32 }),
    Key::new(Scope::Vip, "on_fault", Kind::Texts { max: 32 }),
    Key::new(Scope::Vip, "claim_order", Kind::Word { landed: &["beside", "before"], later: &[] }),
    Key::new(Scope::Vip, "hook_timeout", Kind::Span { min: ms(100), max: s(600), default: s(10) }),
    Key::new(Scope::Vip, "on_hook_failure", Kind::Word { landed: &["alarm", "release"], later: &[] }),
    Key::new(Scope::Vip, "announce_interval", Kind::Span { min: us(0), max: s(HOUR), default: s(60) }),
];

/// The key of that name in that scope.
pub(super) fn find(scope: Scope, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.scope == scope && key.name == name)
}

/// The default of a key.
pub(super) fn default_value(scope: Scope, name: &str) -> Option<Value> {
    find(scope, name)?.kind.default_value()
}

/// What to say about a key that is not in the table: the nearest one, or all that may stand there.
pub(super) fn unknown(scope: Scope, name: &str) -> String {
    let table = match scope {
        Scope::Instance => &["listen", "probe", "pool", "tier", "vip"][..],
        Scope::Pool => &["probe", "service"],
        Scope::Node => &["probe"],
        Scope::Probe | Scope::Push | Scope::Service | Scope::Listen | Scope::Tier | Scope::Vip => &[],
    };
    if let (Scope::Service, Some(hint)) = (scope, foreign::hint(foreign::KEYS, name)) {
        return format!("unknown key; {hint}");
    }
    let mut known: Vec<&str> =
        KEYS.iter().filter(|key| key.scope == scope && key.is_usable()).map(|key| key.name).collect();
    known.extend(table);
    match nearest(&known, name) {
        Some(near) => format!("unknown key; did you mean {near}?"),
        None => format!("unknown key; known here are {}", known.join(", ")),
    }
}

/// The word that was most likely meant.
pub(super) fn nearest<'k>(known: &[&'k str], name: &str) -> Option<&'k str> {
    // Long texts are no misspelling, and their distance would cost time.
    let near = (name.len() <= 40).then(|| known.iter().map(|k| (distance(k, name), *k)).min()).flatten();
    near.filter(|(d, k)| *d <= 2 && *d < k.len()).map(|(_, near)| near)
}

/// How many characters must be put in, taken out or changed to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut previous = i + 1;
        let mut next = vec![previous];
        for (cb, above) in b.iter().zip(row.windows(2)) {
            if let [diagonal, up] = above {
                previous = (diagonal + usize::from(ca != *cb)).min(up + 1).min(previous + 1);
            }
            next.push(previous);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
