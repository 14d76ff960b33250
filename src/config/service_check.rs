//! From the draft of a pool's services to the checked ones: defaults, and what a service may not say together.

use super::check::Layers;
use super::draft::{PoolDraft, ServiceDraft};
use super::keys::{Scope, Value};
use super::model::NodeConfig;
use super::service::{OnDemotion, OnStale, Role, ServiceConfig, Strategy};
use super::value::print_duration;
use crate::engine::time::Duration;
use crate::error::Result;
use crate::pool::{Host, PoolKind};

/// The services of a pool: those that it names, else the two that every pool has. `max_lag` is the pool's.
pub(super) fn build(
    pool: &PoolDraft,
    kind: PoolKind,
    max_lag: Duration,
    nodes: &[NodeConfig],
) -> Result<Vec<ServiceConfig>> {
    if pool.services.is_empty() {
        return Ok(ServiceConfig::defaults(max_lag));
    }
    pool.services.iter().map(|service| build_one(service, kind, max_lag, nodes)).collect()
}

fn build_one(
    draft: &ServiceDraft,
    kind: PoolKind,
    max_lag: Duration,
    nodes: &[NodeConfig],
) -> Result<ServiceConfig> {
    let sections = [&draft.settings];
    let keys = Layers { scope: Scope::Service, sections: &sections };
    let Some(role) = Role::from_name(keys.word("role")) else {
        return Err(draft.place.error(format!(
            "service {} has no role: write role = \"active\" for clients that write, \"standby\" for clients that only \
             read, or \"any\"",
            draft.name
        )));
    };
    // As MySQL Router does: readers are shared out, writers go to one node anyway.
    let strategy = Strategy::from_name(keys.word("strategy")).unwrap_or(match role {
        Role::Active => Strategy::FirstAvailable,
        Role::Standby | Role::Any => Strategy::RoundRobin,
    });
    keys.in_order("quarantine", "quarantine_max", &draft.place)?;
    check_slow_start(&keys, draft, strategy)?;
    Ok(ServiceConfig {
        name: draft.name.clone(),
        role,
        port: port(&keys, nodes)?,
        fallback: fallback(&keys, draft, role, strategy)?,
        strategy,
        on_demotion: on_demotion(&keys, draft, role)?,
        drain_deadline: keys.span("drain_deadline"),
        max_lag: own_max_lag(&keys, kind, max_lag)?,
        same_site_first: keys.flag("same_site_first"),
        slow_start: keys.span("slow_start"),
        quarantine: keys.span("quarantine"),
        quarantine_max: keys.span("quarantine_max"),
        quarantine_after: keys.count("quarantine_after"),
        stale: OnStale::from_name(keys.word("stale")).unwrap_or(OnStale::Serve),
        stale_after: keys.span("stale_after"),
    })
}

/// Whom the service falls back to, which must be more than it has anyway.
fn fallback(keys: &Layers<'_>, draft: &ServiceDraft, role: Role, strategy: Strategy) -> Result<Option<Role>> {
    let given = keys.setting("fallback").map(|_| Role::from_name(keys.word("fallback")));
    let blame = |names| keys.blame(names, &draft.place);
    if strategy == Strategy::RoundRobinWithFallback {
        if role != Role::Standby {
            return Err(blame(["strategy", "role"]).error(format!(
                "strategy round-robin-with-fallback goes from the stand-ins to the ACTIVE node and needs \
                 role = \"standby\", not \"{role}\": write strategy = \"round-robin\""
            )));
        }
        return match given.unwrap_or(Some(Role::Active)) {
            Some(Role::Active) => Ok(Some(Role::Active)),
            other => Err(blame(["fallback", "strategy"]).error(format!(
                "strategy round-robin-with-fallback falls back to \"active\", not to \"{}\": leave fallback out, or write \
                 strategy = \"round-robin\"",
                other.map_or("none", Role::name)
            ))),
        };
    }
    let fallback = given.flatten();
    match fallback {
        Some(fallback) if fallback == role => Err(blame(["fallback", "role"]).error(format!(
            "the service has role \"{role}\" already, and falling back to the same nodes finds no other: leave fallback out"
        ))),
        Some(_) if role == Role::Any => Err(blame(["fallback", "role"])
            .error("role \"any\" holds every node that takes clients: a fallback would be ignored; leave it out")),
        _ => Ok(fallback),
    }
}

/// Clients may stay on a node that lost the role only where nobody writes through the service.
fn on_demotion(keys: &Layers<'_>, draft: &ServiceDraft, role: Role) -> Result<OnDemotion> {
    let on_demotion = OnDemotion::from_name(keys.word("on_demotion")).unwrap_or(OnDemotion::Auto);
    let holds = match role {
        Role::Active => "is the ACTIVE node's",
        Role::Any => "holds the ACTIVE node",
        Role::Standby => return Ok(on_demotion),
    };
    if on_demotion != OnDemotion::Keep {
        return Ok(on_demotion);
    }
    Err(keys.blame(["on_demotion", "role"], &draft.place).error(format!(
        "the service {holds}, and clients that stay on a node that is ACTIVE no more would write there while others write to \
         the new one: write auto, kill or drain"
    )))
}

fn check_slow_start(keys: &Layers<'_>, draft: &ServiceDraft, strategy: Strategy) -> Result<()> {
    let shares = !matches!(strategy, Strategy::FirstAvailable | Strategy::NextAvailable);
    if shares || keys.span("slow_start").is_zero() {
        return Ok(());
    }
    Err(keys.blame(["slow_start", "strategy"], &draft.place).error(format!(
        "strategy {strategy} gives all clients to one node, so that slow_start would be ignored: leave it out, or choose a \
         strategy that shares them out"
    )))
}

fn port(keys: &Layers<'_>, nodes: &[NodeConfig]) -> Result<Option<u16>> {
    let Some(setting) = keys.setting("port") else { return Ok(None) };
    let Value::Port(port) = setting.value else { return Ok(None) };
    match nodes.iter().find(|node| matches!(node.address.host, Host::Unix(_))) {
        None => Ok(Some(port)),
        Some(node) => Err(setting.place.error(format!(
            "node {} of this pool is a unix socket, which has no ports: leave this key out",
            node.address
        ))),
    }
}

/// Lag beyond the pool's has taken the node out of every role before the service is asked.
fn own_max_lag(keys: &Layers<'_>, kind: PoolKind, pools: Duration) -> Result<Duration> {
    let Some(setting) = keys.setting("max_lag") else { return Ok(pools) };
    let own = keys.span("max_lag");
    if kind == PoolKind::Group && own != pools {
        return Err(setting.place.error(
            "the members of a group look after their lag themselves: leave this key out, the pool has kind group",
        ));
    }
    if own > pools {
        return Err(setting.place.error(format!(
            "max_lag ({}) must not be longer than the pool's ({}), above which a node takes no clients of any service: lower \
             this one, or raise max_lag of the pool",
            print_duration(own),
            print_duration(pools)
        )));
    }
    Ok(own)
}
