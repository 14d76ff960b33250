//! From the draft to the checked configuration: defaults, and what keys say about each other.

use super::builder::ConfigBuilder;
use super::draft::{NodeDraft, Place, PoolDraft, Section, Setting};
use super::keys::{self, Scope, Value};
use super::model::{
    Config, ControlSocket, Failback, NodeConfig, OnLocked, PoolConfig, ProbeConfig, ProbeMode, RsaPublicKey,
};
use super::value::print_duration;
use crate::engine::time::Duration;
use crate::error::{Error, ErrorCode, Result};
use crate::pool::{PolicyName, PoolKind};
use crate::probe::Cause;
use std::path::PathBuf;

/// A key's value: from the first of the sections that has it, else its default.
struct Layers<'a> {
    scope: Scope,
    sections: &'a [&'a Section],
}

impl<'a> Layers<'a> {
    fn setting(&self, name: &str) -> Option<&'a Setting> {
        self.sections.iter().find_map(|section| section.get(name))
    }

    fn value(&self, name: &str) -> Option<Value> {
        match self.setting(name) {
            Some(setting) => Some(setting.value.clone()),
            None => keys::default_value(self.scope, name),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn word(&self, name: &str) -> &'static str {
        match self.value(name) {
            Some(Value::Word(word)) => word,
            _ => "",
        }
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Flag(true)))
    }

    fn count(&self, name: &str) -> u32 {
        match self.value(name) {
            Some(Value::Count(n)) => n,
            _ => 0,
        }
    }

    fn span(&self, name: &str) -> Duration {
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
    fn blame(&self, names: [&str; 2], fallback: &'a Place) -> &'a Place {
        let set = self.sections.iter().find_map(|s| names.iter().find_map(|name| s.get(name)));
        set.map_or(fallback, |setting| &setting.place)
    }
}

pub(super) fn build(draft: &ConfigBuilder) -> Result<Config> {
    let top = Layers { scope: Scope::Instance, sections: &[&draft.instance] };
    if draft.pools.is_empty() {
        return Err(Error::new(
            ErrorCode::Config,
            "no pool is configured: add a table [pool.NAME] with nodes, or a pool string",
        ));
    }
    let pools = draft.pools.iter().map(|pool| build_pool(draft, pool)).collect::<Result<_>>()?;
    Ok(Config {
        cache_file: top.text("cache_file").map(PathBuf::from),
        on_locked: match top.word("on_locked") {
            "wait" => OnLocked::Wait,
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
        pools,
    })
}

fn build_pool(draft: &ConfigBuilder, pool: &PoolDraft) -> Result<PoolConfig> {
    let Some(nodes) = &pool.nodes else {
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
    check_policy(pool, policy)?;
    let probe = Layers { scope: Scope::Probe, sections: &[&pool.probe, &draft.probe] };
    Ok(PoolConfig {
        name: pool.name.clone(),
        kind: PoolKind::from_name(keys.word("kind")).unwrap_or(PoolKind::Ring),
        policy,
        probe_mode: match probe.word("mode") {
            "external" => ProbeMode::External,
            _ => ProbeMode::Builtin,
        },
        levels: keys.count("levels"),
        hostile_takeover: keys.flag("hostile_takeover"),
        fall: keys.count("fall"),
        rise: keys.count("rise"),
        max_lag: keys.span("max_lag"),
        max_takeover_lag: keys.span("max_takeover_lag"),
        fail_on: keys.causes("fail_on"),
        failback: match keys.word("failback") {
            "manual" => Failback::Manual,
            "auto" => Failback::Auto,
            _ => Failback::AfterRecover,
        },
        handback_deadline: keys.span("handback_deadline"),
        nodes: nodes.iter().map(|node| build_node(draft, pool, node)).collect::<Result<_>>()?,
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

fn build_node(draft: &ConfigBuilder, pool: &PoolDraft, node: &NodeDraft) -> Result<NodeConfig> {
    let keys = Layers { scope: Scope::Node, sections: &[&node.settings] };
    let probe = Layers { scope: Scope::Probe, sections: &[&node.probe, &pool.probe, &draft.probe] };
    Ok(NodeConfig {
        address: node.address.clone(),
        node_type: node.node_type(),
        weight: keys.count("weight"),
        site: keys.text("site").unwrap_or_default(),
        probe: build_probe(&probe, &node.place)?,
    })
}

fn build_probe(keys: &Layers<'_>, node: &Place) -> Result<ProbeConfig> {
    for (short, long) in
        [("confirm_interval", "interval"), ("timeout", "probe_timeout"), ("timeout", "silence")]
    {
        if keys.span(short) > keys.span(long) {
            let told = |name| {
                let value = print_duration(keys.span(name));
                match keys.setting(name) {
                    Some(_) => value,
                    None => format!("{value} by default"),
                }
            };
            return Err(keys.blame([short, long], node).error(format!(
                "{short} ({}) must not be longer than {long} ({}): set both",
                told(short),
                told(long)
            )));
        }
    }
    let (password_file, password_fd) = password(keys);
    Ok(ProbeConfig {
        user: keys.text("user").unwrap_or_default(),
        password_file,
        password_fd,
        rsa_public_key: match keys.value("rsa_public_key") {
            Some(Value::PublicKey(key)) => key,
            _ => RsaPublicKey::Refuse,
        },
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
