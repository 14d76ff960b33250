//! From the draft to the checked configuration: defaults, and what keys say about each other.

use super::builder::ConfigBuilder;
use super::draft::{NodeDraft, Place, PoolDraft, Section, Setting};
use super::keys::{self, Scope, Value};
use super::listen::Listen;
use super::model::{
    ClientCertificate, Config, ControlSocket, Failback, LastResort, NodeConfig, OnDoubt, OnLocked,
    PoolConfig, ProbeConfig, ProbeMode, RsaPublicKey, TlsMode,
};
use super::service_check;
use super::value::print_duration;
use super::{checkpoints, checks};
use super::{push, tier, vip_check};
use crate::engine::time::Duration;
use crate::error::{Error, ErrorCode, Result};
use crate::pool::{Host, PolicyName, PoolKind};
use crate::probe::Cause;
use std::path::PathBuf;
use std::sync::Arc;

/// A key's value: from the first of the sections that has it, else its default.
pub(super) struct Layers<'a> {
    pub(super) scope: Scope,
    pub(super) sections: &'a [&'a Section],
}

impl<'a> Layers<'a> {
    pub(super) fn setting(&self, name: &str) -> Option<&'a Setting> {
        self.sections.iter().find_map(|section| section.get(name))
    }

    pub(super) fn value(&self, name: &str) -> Option<Value> {
        match self.setting(name) {
            Some(setting) => Some(setting.value.clone()),
            None => keys::default_value(self.scope, name),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// How far the nearest section is that has the key; larger is farther, none is farthest.
    fn distance(&self, name: &str) -> usize {
        let found = self.sections.iter().position(|section| section.get(name).is_some());
        found.unwrap_or(self.sections.len())
    }

    pub(super) fn word(&self, name: &str) -> &'static str {
        match self.value(name) {
            Some(Value::Word(word)) => word,
            _ => "",
        }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Flag(true)))
    }

    pub(super) fn count(&self, name: &str) -> u32 {
        match self.value(name) {
            Some(Value::Count(n)) => n,
            _ => 0,
        }
    }

    pub(super) fn span(&self, name: &str) -> Duration {
        match self.value(name) {
            Some(Value::Span(span)) => span,
            _ => Duration::ZERO,
        }
    }

    fn causes(&self, name: &str) -> Vec<Cause> {
        match self.value(name) {
            Some(Value::Causes(causes)) => causes,
            _ => Vec::new(),
        }
    }

    /// Where the first of the keys was set that was set at all, most specific section first.
    pub(super) fn blame(&self, names: [&str; 2], fallback: &'a Place) -> &'a Place {
        let set = self.sections.iter().find_map(|s| names.iter().find_map(|name| s.get(name)));
        set.map_or(fallback, |setting| &setting.place)
    }

    /// Refuses a duration that is longer than the one that bounds it.
    pub(super) fn in_order(&self, short: &str, long: &str, place: &'a Place) -> Result<()> {
        if self.span(short) <= self.span(long) {
            return Ok(());
        }
        let told = |name| {
            let value = print_duration(self.span(name));
            match self.setting(name) {
                Some(_) => value,
                None => format!("{value} by default"),
            }
        };
        Err(self.blame([short, long], place).error(format!(
            "{short} ({}) must not be longer than {long} ({}): set both",
            told(short),
            told(long)
        )))
    }
}

pub(super) fn build(draft: &ConfigBuilder) -> Result<Config> {
    let top = Layers { scope: Scope::Instance, sections: &[&draft.instance] };
    if draft.pools.is_empty() && draft.vips.is_empty() {
        return Err(Error::new(
            ErrorCode::Config,
            "no pool is configured: add a table [pool.NAME] with nodes, or a pool string, or a [vip.NAME]",
        ));
    }
    let mut pools: Vec<PoolConfig> =
        draft.pools.iter().map(|pool| build_pool(draft, pool)).collect::<Result<_>>()?;
    share_probes(&mut pools);
    let listen = listen(&draft.listen, &pools)?;
    let cache_file = top.text("cache_file").map(PathBuf::from);
    let tier = tier::build(&draft.tier, cache_file.as_deref())?;
    let vips = vip_check::build(&draft.vips, &pools, &tier)?;
    Ok(Config {
        push: push::build(&draft.push, &pools)?,
        cache_file,
        on_locked: match top.word("on_locked") {
            "wait" => OnLocked::Wait,
            "follow" => OnLocked::Follow,
            _ => OnLocked::Error,
        },
        control_socket: match top.value("control_socket") {
            Some(Value::ControlSocket(socket)) => socket,
            _ => ControlSocket::BesideCache,
        },
        control_users: match top.value("control_users") {
            Some(Value::Users(users)) => users,
            _ => Vec::new(),
        },
        site: top.text("site").unwrap_or_default(),
        listen,
        tier,
        vips,
        pools,
    })
}

/// What `[listen]` says; the node that it names must be in a pool.
fn listen(section: &Section, pools: &[PoolConfig]) -> Result<Listen> {
    let keys = Layers { scope: Scope::Listen, sections: &[section] };
    let addresses = |name| match keys.value(name) {
        Some(Value::Listen(addresses)) => addresses,
        _ => Vec::new(),
    };
    let (http, agent_check) = (addresses("http"), addresses("agent_check"));
    let fallback = Place::default();
    if let Some(both) = http.iter().find(|address| agent_check.contains(address)) {
        let place = keys.blame(["agent_check", "http"], &fallback);
        return Err(place.error(format!("{both} is an address of http too: each protocol has its own")));
    }
    let node = match keys.value("node") {
        Some(Value::Address(address)) => Some(address),
        _ => None,
    };
    if let Some(node) = &node
        && !pools.iter().any(|pool| pool.node(node).is_some())
    {
        let place = keys.blame(["node", "node"], &fallback);
        return Err(place.error(format!("{node} is not in any pool of this configuration")));
    }
    let unix_mode = match keys.value("unix_mode") {
        Some(Value::Mode(mode)) => mode,
        _ => 0o600,
    };
    Ok(Listen { http, agent_check, node, unix_mode })
}

fn build_pool(draft: &ConfigBuilder, pool: &PoolDraft) -> Result<PoolConfig> {
    let Some(drafts) = &pool.nodes else {
        let others: Vec<&str> =
            draft.pools.iter().filter(|p| p.nodes.is_some()).map(|p| p.name.as_str()).collect();
        let known = match others.is_empty() {
            true => String::new(),
            false => format!("; pools with nodes are {}", others.join(", ")),
        };
        return Err(pool.place.error(format!("pool {} has no nodes{known}", pool.name)));
    };
    let keys = Layers { scope: Scope::Pool, sections: &[&pool.settings] };
    let policy = PolicyName::from_name(keys.word("policy")).unwrap_or(PolicyName::Safe);
    let kind = PoolKind::from_name(keys.word("kind")).unwrap_or(PoolKind::Ring);
    check_policy(pool, policy)?;
    check_kind(pool, &keys, kind, policy)?;
    check_flapping(pool, &keys)?;
    let probe = Layers { scope: Scope::Probe, sections: &[&pool.probe, &draft.probe] };
    let probe_mode = match probe.word("mode") {
        "external" => ProbeMode::External,
        _ => ProbeMode::Builtin,
    };
    let mut nodes: Vec<NodeConfig> =
        drafts.iter().map(|node| build_node(draft, pool, node, kind)).collect::<Result<_>>()?;
    checkpoints::assign(&pool.checkpoints, policy, probe_mode, &mut nodes)?;
    checks::assign(pool, drafts, kind, probe_mode, &mut nodes)?;
    let services = service_check::build(pool, kind, keys.span("max_lag"), &nodes)?;
    Ok(PoolConfig {
        name: pool.name.clone(),
        kind,
        policy,
        probe_mode,
        levels: keys.count("levels"),
        hostile_takeover: keys.flag("hostile_takeover"),
        fall: keys.count("fall"),
        rise: keys.count("rise"),
        max_lag: keys.span("max_lag"),
        max_takeover_lag: keys.span("max_takeover_lag"),
        fail_on: keys.causes("fail_on"),
        failback: match keys.word("failback") {
            // Nothing is gained by moving a router's clients once more.
            _ if kind == PoolKind::Router && keys.setting("failback").is_none() => Failback::Manual,
            "manual" => Failback::Manual,
            "auto" => Failback::Auto,
            _ => Failback::AfterRecover,
        },
        handback_deadline: keys.span("handback_deadline"),
        auto_recover: match keys.value("auto_recover") {
            Some(Value::Rate(rate)) => rate,
            _ => None,
        },
        hold_down: keys.span("hold_down"),
        last_resort: match keys.value("last_resort") {
            Some(Value::LastResort(last_resort)) => last_resort,
            _ => LastResort::Alarm,
        },
        on_doubt: match keys.word("on_doubt") {
            "fail" => OnDoubt::Fail,
            _ => OnDoubt::Hold,
        },
        doubt_deadline: keys.span("doubt_deadline"),
        nodes,
        services,
    })
}

/// A key that the pool's policy would ignore is an error, unless it says what holds anyway.
fn check_policy(pool: &PoolDraft, policy: PolicyName) -> Result<()> {
    for (name, setting) in pool.settings.iter() {
        let Some(key) = keys::find(Scope::Pool, name) else { continue };
        let Some(only) = key.policy else { continue };
        if only != policy && Some(&setting.value) != key.kind.default_value().as_ref() {
            return Err(setting.place.error(format!(
                "only policy {only} reads this key, and pool {} has policy {policy}: \
                 set the policy or leave the key out",
                pool.name
            )));
        }
    }
    Ok(())
}

/// What only a pool that chooses its ACTIVE node itself reads.
const CHOOSERS: [&str; 6] =
    ["failback", "handback_deadline", "hold_down", "last_resort", "on_doubt", "doubt_deadline"];
/// And what a group looks after itself.
const NOT_IN_GROUPS: [&str; 3] = ["auto_recover", "max_lag", "max_takeover_lag"];
/// And what has no meaning without replication, or where what a router refuses fails nobody.
const NOT_IN_ROUTERS: [&str; 7] =
    ["auto_recover", "max_lag", "max_takeover_lag", "last_resort", "on_doubt", "doubt_deadline", "fail_on"];

/// A key that the pool's kind would ignore is an error, unless it says what holds anyway.
fn check_kind(pool: &PoolDraft, keys: &Layers<'_>, kind: PoolKind, policy: PolicyName) -> Result<()> {
    let follows = matches!(kind, PoolKind::Replicated | PoolKind::Group);
    if follows && policy == PolicyName::Mpp {
        let place = keys.blame(["policy", "kind"], &pool.place);
        return Err(place.error(format!(
            "policy mpp chooses the ACTIVE node itself, and a pool of kind {kind} follows its members: leave policy out"
        )));
    }
    if kind == PoolKind::Router && policy == PolicyName::Mpp {
        let place = keys.blame(["policy", "kind"], &pool.place);
        return Err(place.error("policy mpp knows nothing of routers: leave policy out"));
    }
    for (name, setting) in pool.settings.iter() {
        let why = match name {
            "promotion" if kind != PoolKind::Replicated => "only kind replicated reads this key",
            _ if follows && CHOOSERS.contains(&name) => {
                "only a pool that chooses its ACTIVE node itself reads this key, and this one follows"
            }
            _ if kind == PoolKind::Group && NOT_IN_GROUPS.contains(&name) => {
                "the members of a group look after this themselves"
            }
            _ if kind == PoolKind::Router && NOT_IN_ROUTERS.contains(&name) => {
                "routers hold no data, and what they refuse fails nobody: nothing reads this key"
            }
            _ => continue,
        };
        let default = keys::default_value(Scope::Pool, name);
        if name == "promotion" || Some(&setting.value) != default.as_ref() {
            return Err(setting.place.error(format!("{why}: pool {} has kind {kind}", pool.name)));
        }
    }
    Ok(())
}

/// A node that fails, is taken back by itself and gets its role back by itself would do so for ever.
fn check_flapping(pool: &PoolDraft, keys: &Layers<'_>) -> Result<()> {
    let recovers = matches!(keys.value("auto_recover"), Some(Value::Rate(Some(_))));
    if recovers && keys.word("failback") == "auto" && keys.span("hold_down").is_zero() {
        let place = keys.blame(["auto_recover", "failback"], &pool.place);
        return Err(place.error(
            "auto_recover together with failback = \"auto\" needs a hold_down, such as hold_down = \"10m\", \
             else a node that fails again and again takes the role back each time",
        ));
    }
    Ok(())
}

fn build_node(
    draft: &ConfigBuilder,
    pool: &PoolDraft,
    node: &NodeDraft,
    kind: PoolKind,
) -> Result<NodeConfig> {
    let keys = Layers { scope: Scope::Node, sections: &[&node.settings] };
    let probe = Layers { scope: Scope::Probe, sections: &[&node.probe, &pool.probe, &draft.probe] };
    if kind == PoolKind::Router {
        let keys = ["admin_port", "extra_port"];
        if let Some(setting) = keys.iter().find_map(|key| node.probe.get(key).or_else(|| pool.probe.get(key)))
        {
            return Err(setting
                .place
                .error("the checks of a router say which ports are looked at: leave this key out"));
        }
    }
    Ok(NodeConfig {
        address: node.address.clone(),
        node_type: node.node_type(),
        weight: keys.count("weight"),
        site: keys.text("site").unwrap_or_default(),
        probe: Arc::new(build_probe(&probe, &node.place, matches!(node.address.host, Host::Unix(_)))?),
        host: keys.text("host").unwrap_or_default(),
        checks: Vec::new(),
        checkpoints: Vec::new(),
    })
}

/// Different settings that are remembered while equal ones are looked for: most configurations have a handful.
const REMEMBERED: usize = 64;

/// Keeps equal settings once, whatever the number of nodes.
fn share_probes(pools: &mut [PoolConfig]) {
    let mut known: Vec<Arc<ProbeConfig>> = Vec::new();
    for node in pools.iter_mut().flat_map(|pool| &mut pool.nodes) {
        match known.iter().find(|known| **known == node.probe) {
            Some(known) => node.probe = Arc::clone(known),
            None if known.len() < REMEMBERED => known.push(Arc::clone(&node.probe)),
            None => {}
        }
    }
}

fn build_probe(keys: &Layers<'_>, node: &Place, unix: bool) -> Result<ProbeConfig> {
    for (short, long) in
        [("confirm_interval", "interval"), ("timeout", "probe_timeout"), ("timeout", "silence")]
    {
        keys.in_order(short, long, node)?;
    }
    let (password_file, password_fd) = password(keys);
    let tls = tls_mode(keys);
    Ok(ProbeConfig {
        user: keys.text("user").unwrap_or_default(),
        password_file,
        password_fd,
        rsa_public_key: match keys.value("rsa_public_key") {
            Some(Value::PublicKey(key)) => key,
            _ => RsaPublicKey::Refuse,
        },
        tls,
        tls_ca: tls_ca(keys, tls, node)?,
        tls_certificate: tls_certificate(keys, tls, node)?,
        admin_port: admin_port(keys, unix)?,
        interval: keys.span("interval"),
        confirm_interval: keys.span("confirm_interval"),
        timeout: keys.span("timeout"),
        probe_timeout: keys.span("probe_timeout"),
        silence: keys.span("silence"),
        login_interval: keys.span("login_interval"),
    })
}

/// The password's source is one of two keys: the most specific section that has either decides.
fn password(keys: &Layers<'_>) -> (Option<PathBuf>, Option<i32>) {
    for section in keys.sections {
        let value = |name| section.get(name).map(|setting| &setting.value);
        if let Some(Value::Text(path)) = value("password_file") {
            return (Some(PathBuf::from(path)), None);
        }
        if let Some(Value::Descriptor(fd)) = value("password_fd") {
            return (None, Some(*fd));
        }
    }
    (None, None)
}

fn tls_mode(keys: &Layers<'_>) -> TlsMode {
    let modes = [TlsMode::Disabled, TlsMode::Required, TlsMode::VerifyCa, TlsMode::VerifyIdentity];
    let word = keys.word("tls");
    modes.into_iter().find(|mode| mode.name() == word).unwrap_or(TlsMode::Preferred)
}

/// Whoever names an authority expects that it is asked: a mode that does not ask must have been set nearer to the node.
fn tls_ca(keys: &Layers<'_>, tls: TlsMode, node: &Place) -> Result<Option<PathBuf>> {
    let blame = |name| keys.blame([name, name], node);
    match (tls.verifies(), keys.path("tls_ca")) {
        (true, None) => Err(blame("tls").error(format!(
            "tls = \"{}\" needs tls_ca, the file with the certificate of the authority that signed the server's",
            tls.name()
        ))),
        (true, ca) => Ok(ca),
        (false, Some(_)) if keys.distance("tls_ca") <= keys.distance("tls") => {
            Err(blame("tls_ca").error(format!(
                "tls = \"{}\" verifies nothing and would ignore tls_ca: set tls to \"verify-ca\" or \
                 \"verify-identity\", or leave tls_ca out",
                tls.name()
            )))
        }
        (false, _) => Ok(None),
    }
}

fn tls_certificate(keys: &Layers<'_>, tls: TlsMode, node: &Place) -> Result<Option<ClientCertificate>> {
    let blame = keys.blame(["tls_cert", "tls_key"], node);
    let distance = keys.distance("tls_cert").min(keys.distance("tls_key"));
    match (keys.path("tls_cert"), keys.path("tls_key")) {
        (Some(_), None) => Err(blame.error("tls_cert needs tls_key, the file with its private key")),
        (None, Some(_)) => Err(blame.error("tls_key needs tls_cert, the file with the certificate")),
        (None, None) => Ok(None),
        (Some(_), Some(_)) if tls == TlsMode::Disabled && distance <= keys.distance("tls") => {
            Err(blame.error("tls = \"disabled\" shows no certificate: leave tls_cert and tls_key out"))
        }
        (Some(_), Some(_)) if tls == TlsMode::Disabled => Ok(None),
        (Some(chain), Some(key)) => Ok(Some(ClientCertificate { chain, key })),
    }
}

/// The port of the server's side entrance, under either name: the most specific section that has one decides.
fn admin_port(keys: &Layers<'_>, unix: bool) -> Result<Option<u16>> {
    for (distance, section) in keys.sections.iter().enumerate() {
        let Some(setting) = section.get("admin_port").or_else(|| section.get("extra_port")) else { continue };
        return match &setting.value {
            Value::Port(_) if unix && distance == 0 => {
                Err(setting.place.error("the node is a unix socket, which has no ports: leave this key out"))
            }
            Value::Port(port) if !unix => Ok(Some(*port)),
            _ => Ok(None),
        };
    }
    Ok(None)
}
