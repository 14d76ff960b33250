//! From the keys of `[vip.NAME]` to a checked VIP, and back to a text.

use super::check::Layers;
use super::draft::{Place, Section};
use super::keys::{Scope, Value};
use super::model::PoolConfig;
use super::tier::TierConfig;
use super::value::{print_duration, quote};
use super::vip::{
    ChecksumV4, ClaimOrder, HookConfig, HookFailure, LastHost, LeaseConfig, NoQuorum, OwnershipConfig,
    VipAddress, VipConfig, VrrpConfig,
};
use crate::engine::time::Duration;
use crate::error::Result;
use crate::pool::PoolKind;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// One VIP while it is put together.
#[derive(Clone, Debug)]
pub(super) struct VipDraft {
    pub name: String,
    /// Where it was first named.
    pub place: Place,
    pub settings: Section,
}

/// Longest name of an interface (IFNAMSIZ of Linux, less the final NUL).
const INTERFACE_MAX: usize = 15;
/// Addresses that one advert carries, and a VIP therefore has, at most; keepalived sends up to 20.
const ADDRESSES_MAX: usize = 20;

/// Keys that only one way of ownership reads.
const VRRP_KEYS: [&str; 9] = [
    "vrid",
    "version",
    "advert_interval",
    "checksum_v4",
    "auth_password_file",
    "unicast",
    "address_owner",
    "self_fence",
    "preempt_delay",
];
const LEASE_KEYS: [&str; 10] = [
    "etcd",
    "key_prefix",
    "ttl",
    "margin",
    "no_quorum",
    "etcd_ca",
    "etcd_cert",
    "etcd_key",
    "etcd_user",
    "etcd_password_file",
];

/// Fills in the defaults, and holds the VIPs against each other, the pools and the tier.
pub(super) fn build(drafts: &[VipDraft], pools: &[PoolConfig], tier: &TierConfig) -> Result<Vec<VipConfig>> {
    let mut out: Vec<VipConfig> = Vec::new();
    for draft in drafts {
        let vip = build_one(draft, pools, tier)?;
        for other in &out {
            let twice = vip.addresses.iter().find(|a| other.addresses.iter().any(|b| a.ip == b.ip));
            if let Some(address) = twice {
                return Err(draft.place.error(format!("{} belongs to vip {} too", address.ip, other.name)));
            }
            if let (OwnershipConfig::Vrrp(a), OwnershipConfig::Vrrp(b)) = (&vip.ownership, &other.ownership)
                && a.vrid == b.vrid
                && vip.interface == other.interface
            {
                return Err(draft.place.error(format!(
                    "vrid {} is that of vip {} on {} too: each virtual router of an interface has its own",
                    a.vrid, other.name, vip.interface
                )));
            }
        }
        out.push(vip);
    }
    Ok(out)
}

fn build_one(draft: &VipDraft, pools: &[PoolConfig], tier: &TierConfig) -> Result<VipConfig> {
    let keys = Layers { scope: Scope::Vip, sections: &[&draft.settings] };
    let at = |name| keys.blame([name, name], &draft.place);
    let addresses = match keys.value("addresses") {
        Some(Value::VipAddresses(list)) if !list.is_empty() => list,
        _ => return Err(at("addresses").error(format!("vip {} has no addresses", draft.name))),
    };
    if addresses.len() > ADDRESSES_MAX {
        return Err(
            at("addresses").error(format!("{} addresses, {ADDRESSES_MAX} are allowed", addresses.len()))
        );
    }
    let interface = keys.text("interface").unwrap_or_default();
    if interface.is_empty() || interface.len() > INTERFACE_MAX || interface.contains(['/', ' ', ':']) {
        return Err(at("interface").error(match interface.is_empty() {
            true => "the vip has no interface: name the one that gets the addresses".to_string(),
            false => format!("{} is no name of an interface", quote(&interface)),
        }));
    }
    let pool = keys.text("pool").filter(|name| !name.is_empty());
    if let Some(name) = &pool
        && !pools.iter().any(|pool| pool.name == *name)
    {
        return Err(at("pool").error(format!("there is no pool {name}")));
    }
    let of_pool = pool.as_ref().and_then(|name| pools.iter().find(|pool| pool.name == *name));
    if let Some(pool) = of_pool.filter(|pool| pool.kind != PoolKind::Router) {
        return Err(at("pool").error(format!(
            "pool {} is of kind {}: an address goes with a pool of kind router, whose nodes are the services on the hosts",
            pool.name,
            pool.kind.name()
        )));
    }
    if let Some(pool) = of_pool
        && !tier.host.is_empty()
        && !pool.nodes.iter().any(|node| node.host == tier.host)
    {
        return Err(at("pool").error(format!(
            "no node of pool {} is on this host: say host = \"{}\" of the one that is",
            pool.name, tier.host
        )));
    }
    let locations: BTreeMap<String, u8> = match keys.value("locations") {
        Some(Value::Scores(scores)) => scores,
        _ => BTreeMap::new(),
    };
    if let Some(name) = locations.keys().find(|name| !tier.hosts.is_empty() && tier.host(name).is_none()) {
        return Err(at("locations").error(format!("{name} is no host of the tier")));
    }
    let list = |name| match keys.value(name) {
        Some(Value::Texts(list)) => list,
        _ => Vec::new(),
    };
    for name in ["restart", "on_claim", "on_release", "on_fault"] {
        if list(name).first().is_some_and(|program| !program.starts_with('/')) {
            return Err(
                at(name).error("the program is named by its whole path, since there is no PATH to look in")
            );
        }
    }
    let lease = keys.word("ownership") == "lease";
    let others: &[&str] = if lease { &VRRP_KEYS } else { &LEASE_KEYS };
    if let Some(name) = others.iter().find(|name| draft.settings.get(name).is_some()) {
        let (way, other) = if lease { ("lease", "vrrp") } else { ("vrrp", "lease") };
        return Err(at(name).error(format!(
            "ownership is {way}, and only {other} reads this: take it out, or set ownership = \"{other}\""
        )));
    }
    let ownership = match lease {
        true => OwnershipConfig::Lease(build_lease(&keys, draft)?),
        false => OwnershipConfig::Vrrp(build_vrrp(&keys, draft, &addresses)?),
    };
    Ok(VipConfig {
        name: draft.name.clone(),
        addresses,
        interface,
        prefix_route: keys.flag("prefix_route"),
        source: keys.flag("source"),
        pool,
        ownership,
        self_fence: match keys.value("self_fence") {
            Some(Value::Span(span)) => Some(span),
            _ => None,
        },
        last_host: LastHost::from_name(keys.word("last_host")).unwrap_or(LastHost::Hold),
        migration_threshold: keys.count("migration_threshold"),
        failure_timeout: keys.span("failure_timeout"),
        location: u8::try_from(keys.count("location")).unwrap_or(100),
        locations,
        stickiness: u8::try_from(keys.count("stickiness")).unwrap_or(255),
        preempt_delay: keys.span("preempt_delay"),
        restart: list("restart"),
        restart_interval: keys.span("restart_interval"),
        hooks: HookConfig {
            on_claim: list("on_claim"),
            on_release: list("on_release"),
            on_fault: list("on_fault"),
            order: ClaimOrder::from_name(keys.word("claim_order")).unwrap_or(ClaimOrder::Beside),
            timeout: keys.span("hook_timeout"),
            failure: HookFailure::from_name(keys.word("on_hook_failure")).unwrap_or(HookFailure::Alarm),
        },
        announce_interval: keys.span("announce_interval"),
    })
}

fn build_vrrp(keys: &Layers<'_>, draft: &VipDraft, addresses: &[VipAddress]) -> Result<VrrpConfig> {
    let at = |name| keys.blame([name, name], &draft.place);
    let Some(Value::Count(vrid)) = draft.settings.get("vrid").map(|s| s.value.clone()) else {
        return Err(draft.place.error(
            "the vip has no vrid: give each virtual router of a network its own number from 1 to 255",
        ));
    };
    let version = keys.count("version") as u8;
    let interval = keys.span("advert_interval");
    if version == 2 {
        if let Some(v6) = addresses.iter().find(|a| a.ip.is_ipv6()) {
            return Err(
                at("version").error(format!("version 2 knows no IPv6, and {v6} is an address of this vip"))
            );
        }
        if interval.subsec_nanos() != 0 {
            return Err(at("advert_interval").error("version 2 counts whole seconds"));
        }
    } else if interval.subsec_nanos() % 10_000_000 != 0 {
        return Err(
            at("advert_interval").error("adverts count hundredths of a second: write a multiple of 10ms")
        );
    }
    let auth_password_file = keys.path("auth_password_file");
    if auth_password_file.is_some() && version != 2 {
        return Err(at("auth_password_file").error("only version 2 knows a password"));
    }
    let unicast: Vec<IpAddr> = match keys.value("unicast") {
        Some(Value::Ips(list)) => list,
        _ => Vec::new(),
    };
    for family in [true, false] {
        let wanted = addresses.iter().any(|a| a.ip.is_ipv4() == family);
        if !unicast.is_empty() && wanted && !unicast.iter().any(|ip| ip.is_ipv4() == family) {
            let name = if family { "IPv4" } else { "IPv6" };
            return Err(at("unicast").error(format!("no peer has an {name} address, and the vip has one")));
        }
    }
    let first_v6 = addresses.iter().find_map(|a| match a.ip {
        IpAddr::V6(ip) => Some(ip),
        IpAddr::V4(_) => None,
    });
    if let Some(first) = first_v6
        && first.segments()[0] & 0xffc0 != 0xfe80
    {
        return Err(at("addresses").error(format!(
            "the first IPv6 address of a virtual router is link-local (RFC 9568, section 5.2.9), and {first} is not: \
             put one such as fe80::{vrid:x}/64 before it"
        )));
    }
    Ok(VrrpConfig {
        vrid: vrid as u8,
        version,
        advert_interval: interval,
        checksum_v4: ChecksumV4::from_name(keys.word("checksum_v4")).unwrap_or(ChecksumV4::Compat),
        auth_password_file,
        unicast,
        address_owner: keys.flag("address_owner"),
    })
}

fn build_lease(keys: &Layers<'_>, draft: &VipDraft) -> Result<LeaseConfig> {
    let at = |name| keys.blame([name, name], &draft.place);
    let endpoints = match keys.value("etcd") {
        Some(Value::Texts(list)) if !list.is_empty() => list,
        _ => {
            return Err(at("etcd")
                .error("a lease needs etcd: name where it answers, as in [\"http://10.0.1.1:2379\"]"));
        }
    };
    for endpoint in &endpoints {
        let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['@', ' '])) {
            // Not repeated: it may hold a password.
            return Err(at("etcd").error("write http://HOST:PORT or https://HOST:PORT, without a user"));
        }
    }
    let certificate = match (keys.path("etcd_cert"), keys.path("etcd_key")) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => return Err(at("etcd_cert").error("a certificate needs its etcd_key")),
        (None, Some(_)) => return Err(at("etcd_key").error("a key needs its etcd_cert")),
    };
    let user = keys.text("etcd_user").unwrap_or_default();
    let password_file = keys.path("etcd_password_file");
    if user.is_empty() != password_file.is_none() {
        return Err(at("etcd_user").error("etcd_user and etcd_password_file stand together"));
    }
    let (ttl, margin) = (keys.span("ttl"), keys.span("margin"));
    if margin * 2 > ttl {
        return Err(at("margin").error(format!(
            "margin ({}) must not be more than half of ttl ({})",
            print_duration(margin),
            print_duration(ttl)
        )));
    }
    Ok(LeaseConfig {
        endpoints,
        key_prefix: keys.text("key_prefix").unwrap_or_default(),
        ttl,
        margin,
        no_quorum: NoQuorum::from_name(keys.word("no_quorum")).unwrap_or(NoQuorum::Release),
        ca: keys.path("etcd_ca"),
        certificate,
        user,
        password_file,
    })
}

/// The VIPs as tables that read back to the same; `string` quotes a text.
pub(super) fn print(vips: &[VipConfig], string: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    for vip in vips {
        print_one(&mut out, vip, &string);
    }
    out
}

fn print_one(out: &mut String, vip: &VipConfig, string: &impl Fn(&str) -> String) {
    let list = |items: &mut dyn Iterator<Item = String>| {
        format!("[{}]", items.map(|item| string(&item)).collect::<Vec<_>>().join(", "))
    };
    let span = |span: Duration| string(&print_duration(span));
    let mut line = |key: &str, value: String| out.push_str(&format!("{key} = {value}\n"));
    line(
        &format!("\n[vip.{}]\naddresses", vip.name),
        list(&mut vip.addresses.iter().map(VipAddress::to_string)),
    );
    line("interface", string(&vip.interface));
    line("prefix_route", vip.prefix_route.to_string());
    line("source", vip.source.to_string());
    if let Some(pool) = &vip.pool {
        line("pool", string(pool));
    }
    match &vip.ownership {
        OwnershipConfig::Vrrp(vrrp) => {
            line("ownership", string("vrrp"));
            line("vrid", vrrp.vrid.to_string());
            line("version", vrrp.version.to_string());
            line("advert_interval", span(vrrp.advert_interval));
            line("checksum_v4", string(vrrp.checksum_v4.name()));
            if let Some(path) = &vrrp.auth_password_file {
                line("auth_password_file", string(&path.to_string_lossy()));
            }
            line("unicast", list(&mut vrrp.unicast.iter().map(IpAddr::to_string)));
            line("address_owner", vrrp.address_owner.to_string());
            if let Some(fence) = vip.self_fence {
                line("self_fence", span(fence));
            }
            line("preempt_delay", span(vip.preempt_delay));
        }
        OwnershipConfig::Lease(lease) => {
            line("ownership", string("lease"));
            line("etcd", list(&mut lease.endpoints.iter().cloned()));
            line("key_prefix", string(&lease.key_prefix));
            line("ttl", span(lease.ttl));
            line("margin", span(lease.margin));
            line("no_quorum", string(lease.no_quorum.name()));
            let mut path = |key: &str, path: &std::path::Path| line(key, string(&path.to_string_lossy()));
            if let Some(ca) = &lease.ca {
                path("etcd_ca", ca);
            }
            if let Some((cert, key)) = &lease.certificate {
                path("etcd_cert", cert);
                path("etcd_key", key);
            }
            if let Some(password) = &lease.password_file {
                path("etcd_password_file", password);
                line("etcd_user", string(&lease.user));
            }
        }
    }
    line("last_host", string(vip.last_host.name()));
    line("migration_threshold", vip.migration_threshold.to_string());
    line("failure_timeout", span(vip.failure_timeout));
    line("location", vip.location.to_string());
    let scores: Vec<String> =
        vip.locations.iter().map(|(host, score)| format!("{} = {score}", string(host))).collect();
    line("locations", format!("{{ {} }}", scores.join(", ")));
    line("stickiness", vip.stickiness.to_string());
    line("restart", list(&mut vip.restart.iter().cloned()));
    line("restart_interval", span(vip.restart_interval));
    line("on_claim", list(&mut vip.hooks.on_claim.iter().cloned()));
    line("on_release", list(&mut vip.hooks.on_release.iter().cloned()));
    line("on_fault", list(&mut vip.hooks.on_fault.iter().cloned()));
    line("claim_order", string(vip.hooks.order.name()));
    line("hook_timeout", span(vip.hooks.timeout));
    line("on_hook_failure", string(vip.hooks.failure.name()));
    line("announce_interval", span(vip.announce_interval));
}
