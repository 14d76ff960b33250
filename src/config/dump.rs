//! The canonical text of a configuration, and its fingerprint.

use super::listen::{Listen, ListenAddress};
use super::model::{
    Config, ControlSocket, Failback, LastResort, NodeConfig, OnDoubt, OnLocked, PoolConfig, ProbeConfig,
    ProbeMode, RsaPublicKey,
};
use super::service::ServiceConfig;
use super::tier::TierConfig;
use super::value::print_duration;
use super::{checkpoints, checks};
use super::{push, tier, vip_check};
use crate::pool::PoolKind;
use core::fmt::Write;

/// Initial value and prime of FNV-1a, 64 bits (draft-eastlake-fnv, section 5).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

type Entry = (&'static str, String);

impl Config {
    /// The configuration as a TOML text that reads back to an equal one: every key with its value, defaults too,
    /// in a fixed order. It holds no secret, only the names of files.
    pub fn dump(&self) -> String {
        let mut out = String::new();
        let mut top = Vec::new();
        if let Some(path) = &self.cache_file {
            top.push(("cache_file", string(&path.to_string_lossy())));
        }
        let on_locked = match self.on_locked {
            OnLocked::Error => "error",
            OnLocked::Wait => "wait",
            OnLocked::Follow => "follow",
        };
        top.push(("on_locked", string(on_locked)));
        top.push(match &self.control_socket {
            ControlSocket::BesideCache => ("control_socket", string("beside-cache")),
            ControlSocket::Off => ("control_socket", string("none")),
            ControlSocket::At(path) => ("control_socket", string(&path.to_string_lossy())),
        });
        let users: Vec<String> = self.control_users.iter().map(|user| string(user)).collect();
        top.push(("control_users", format!("[{}]", users.join(", "))));
        top.push(("site", string(&self.site)));
        lines(&mut out, &top);
        dump_listen(&mut out, &self.listen);
        for pool in &self.pools {
            dump_pool(&mut out, pool);
        }
        out.push_str(&push::print(&self.push, string));
        out.push_str(&tier::print(&self.tier, &TierConfig::plain(self.cache_file.as_deref()), string));
        out.push_str(&vip_check::print(&self.vips, string));
        out
    }

    /// A number that two configurations share if and (nearly) only if they mean the same: FNV-1a of
    /// [`Config::dump`]. It is the same in every process of one version.
    pub fn fingerprint(&self) -> u64 {
        self.dump().bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
    }
}

/// Left out where nothing listens, so that a fingerprint stays what it was before the table came.
fn dump_listen(out: &mut String, listen: &Listen) {
    if *listen == Listen::default() {
        return;
    }
    let list = |addresses: &[ListenAddress]| {
        let items: Vec<String> = addresses.iter().map(|a| string(&a.to_string())).collect();
        format!("[{}]", items.join(", "))
    };
    out.push_str("\n[listen]\n");
    lines(out, &[("http", list(&listen.http)), ("agent_check", list(&listen.agent_check))]);
    if let Some(node) = &listen.node {
        lines(out, &[("node", string(&node.to_string()))]);
    }
    lines(out, &[("unix_mode", string(&format!("{:04o}", listen.unix_mode)))]);
}

/// The pool's table: a name with a dot stands in quotes, in full (what errors quote is cut).
fn table_name(name: &str) -> String {
    match name.contains('.') {
        true => format!("pool.{}", string(name)),
        false => format!("pool.{name}"),
    }
}

fn dump_pool(out: &mut String, pool: &PoolConfig) {
    let header = table_name(&pool.name);
    let fail_on: Vec<String> = pool.fail_on.iter().map(|cause| string(cause.name())).collect();
    let failback = match pool.failback {
        Failback::AfterRecover => "after-recover",
        Failback::Manual => "manual",
        Failback::Auto => "auto",
    };
    let auto_recover = pool.auto_recover.map_or("off".to_string(), |rate| rate.to_string());
    let last_resort = match pool.last_resort {
        LastResort::Alarm => "alarm".to_string(),
        LastResort::After(wait) => format!("after={}", print_duration(wait)),
        LastResort::Never => "never".to_string(),
    };
    let on_doubt = match pool.on_doubt {
        OnDoubt::Hold => "hold",
        OnDoubt::Fail => "fail",
    };
    let mode = match pool.probe_mode {
        ProbeMode::Builtin => "builtin",
        ProbeMode::External => "external",
    };
    out.push_str(&format!("\n[{header}]\n"));
    lines(out, &[("kind", string(pool.kind.name()))]);
    if pool.kind == PoolKind::Replicated {
        lines(out, &[("promotion", string("none"))]);
    }
    lines(
        out,
        &[
            ("policy", string(pool.policy.name())),
            ("max_lag", string(&print_duration(pool.max_lag))),
            ("fall", pool.fall.to_string()),
            ("rise", pool.rise.to_string()),
            ("max_takeover_lag", string(&print_duration(pool.max_takeover_lag))),
            ("fail_on", format!("[{}]", fail_on.join(", "))),
            ("failback", string(failback)),
            ("handback_deadline", string(&print_duration(pool.handback_deadline))),
            ("auto_recover", string(&auto_recover)),
            ("hold_down", string(&print_duration(pool.hold_down))),
            ("last_resort", string(&last_resort)),
            ("on_doubt", string(on_doubt)),
            ("doubt_deadline", string(&print_duration(pool.doubt_deadline))),
            ("levels", pool.levels.to_string()),
            ("hostile_takeover", pool.hostile_takeover.to_string()),
        ],
    );
    // What all nodes share stands once, in the pool's table.
    let probes: Vec<Vec<Entry>> = pool.nodes.iter().map(|node| probe_entries(&node.probe)).collect();
    let shared: Vec<Entry> = probes
        .first()
        .into_iter()
        .flatten()
        .filter(|entry| probes.iter().all(|probe| probe.contains(entry)))
        .cloned()
        .collect();
    out.push_str("nodes = [\n");
    for (node, probe) in pool.nodes.iter().zip(&probes) {
        let own: Vec<&Entry> = probe.iter().filter(|entry| !shared.contains(entry)).collect();
        out.push_str(&format!("  {{ {} }},\n", node_entries(node, &own).join(", ")));
    }
    out.push_str("]\n");
    if let Some(sets) = checkpoints::print(&pool.nodes, string) {
        lines(out, &[("checkpoints", sets)]);
    }
    out.push_str(&format!("\n[{header}.probe]\n"));
    lines(out, &[("mode", string(mode))]);
    lines(out, &shared);
    for service in &pool.services {
        out.push_str(&format!("\n[{header}.service.{}]\n", service.name));
        lines(out, &service_entries(service));
    }
}

fn service_entries(service: &ServiceConfig) -> Vec<Entry> {
    let span = |span| string(&print_duration(span));
    let mut entries = vec![("role", string(service.role.name()))];
    if let Some(port) = service.port {
        entries.push(("port", port.to_string()));
    }
    entries.extend([
        ("fallback", string(service.fallback.map_or("none", |role| role.name()))),
        ("strategy", string(service.strategy.name())),
        ("on_demotion", string(service.on_demotion.name())),
        ("drain_deadline", span(service.drain_deadline)),
        ("max_lag", span(service.max_lag)),
        ("same_site_first", service.same_site_first.to_string()),
        ("slow_start", span(service.slow_start)),
        ("quarantine", span(service.quarantine)),
        ("quarantine_max", span(service.quarantine_max)),
        ("quarantine_after", service.quarantine_after.to_string()),
        ("stale", string(service.stale.name())),
        ("stale_after", span(service.stale_after)),
    ]);
    entries
}

fn node_entries(node: &NodeConfig, own: &[&Entry]) -> Vec<String> {
    let mut entries = vec![
        format!("address = {}", string(&node.address.to_string())),
        format!("type = {}", string(&node.node_type.name().to_ascii_lowercase())),
        format!("weight = {}", node.weight),
        format!("site = {}", string(&node.site)),
    ];
    if !node.host.is_empty() {
        entries.push(format!("host = {}", string(&node.host)));
    }
    if !node.checks.is_empty() {
        entries.push(format!("checks = {}", checks::print(&node.checks, string)));
    }
    if !own.is_empty() {
        let own: Vec<String> = own.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        entries.push(format!("probe = {{ {} }}", own.join(", ")));
    }
    entries
}

fn probe_entries(probe: &ProbeConfig) -> Vec<Entry> {
    let mut entries = vec![("user", string(&probe.user))];
    if let Some(path) = &probe.password_file {
        entries.push(("password_file", string(&path.to_string_lossy())));
    }
    if let Some(fd) = probe.password_fd {
        entries.push(("password_fd", fd.to_string()));
    }
    let key = match &probe.rsa_public_key {
        RsaPublicKey::Refuse => string("refuse"),
        RsaPublicKey::FromServer => string("from-server"),
        RsaPublicKey::File(path) => string(&path.to_string_lossy()),
    };
    entries.push(("rsa_public_key", key));
    entries.push(("tls", string(probe.tls.name())));
    if let Some(path) = &probe.tls_ca {
        entries.push(("tls_ca", string(&path.to_string_lossy())));
    }
    if let Some(certificate) = &probe.tls_certificate {
        entries.push(("tls_cert", string(&certificate.chain.to_string_lossy())));
        entries.push(("tls_key", string(&certificate.key.to_string_lossy())));
    }
    if let Some(port) = probe.admin_port {
        entries.push(("admin_port", port.to_string()));
    }
    for (name, span) in [
        ("interval", probe.interval),
        ("confirm_interval", probe.confirm_interval),
        ("timeout", probe.timeout),
        ("probe_timeout", probe.probe_timeout),
        ("silence", probe.silence),
        ("login_interval", probe.login_interval),
    ] {
        entries.push((name, string(&print_duration(span))));
    }
    entries
}

fn lines(out: &mut String, entries: &[Entry]) {
    for (key, value) in entries {
        out.push_str(&format!("{key} = {value}\n"));
    }
}

/// A basic string of TOML 1.0: quotes, backslashes and control characters are escaped.
fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
