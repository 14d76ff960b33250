//! The key `push`: proxies that are told of every node by MPP commands. Reading it, checking it against the pools, and printing it.

use super::check::Layers;
use super::document::{Item, in_order, setting, table_of};
use super::draft::{Origin, Place, Section};
use super::keys::{Scope, Value};
use super::model::{PoolConfig, PushConfig};
use super::value::{describe, print_duration};
use crate::error::Result;
use crate::mpp::{node_word, proxy_address};
use crate::pool::Address;
use std::collections::BTreeMap;
use toml::de::DeValue;

/// The most proxies.
const MOST: usize = 64;

/// One proxy.
#[derive(Clone, Debug)]
pub(super) struct PushDraft {
    address: Address,
    /// Where the proxy is named.
    place: Place,
    settings: Section,
}

/// Reads the list of proxies.
pub(super) fn list(origin: &Origin<'_>, path: &str, value: &Item<'_>) -> Result<Vec<PushDraft>> {
    let list = origin.place(value.span(), path);
    let DeValue::Array(items) = value.get_ref() else {
        return Err(list.error(format!("expected a list of proxies, found {}", describe(value.get_ref()))));
    };
    if items.len() > MOST {
        return Err(list.error(format!("{} proxies, {MOST} are allowed", items.len())));
    }
    let mut proxies: Vec<PushDraft> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let proxy = proxy(origin, &format!("{path}[{index}]"), item)?;
        if proxies.iter().any(|other| other.address == proxy.address) {
            return Err(proxy.place.error(format!("proxy {} stands here twice", proxy.address)));
        }
        proxies.push(proxy);
    }
    Ok(proxies)
}

fn proxy(origin: &Origin<'_>, path: &str, item: &Item<'_>) -> Result<PushDraft> {
    let table = table_of(origin, path, item)?;
    let (mut address, mut settings) = (None, Section::default());
    for (key, value) in in_order(table) {
        let full = format!("{path}.{}", key.get_ref());
        if key.get_ref().as_ref() == "address" {
            let place = origin.place(value.span(), &full);
            let parsed = match value.get_ref() {
                DeValue::String(text) => proxy_address(text),
                other => Err(format!("expected an address in quotes, found {}", describe(other))),
            };
            address = Some((parsed.map_err(|problem| place.error(problem))?, place));
        } else {
            setting(origin, Scope::Push, &full, key, value, &mut settings)?;
        }
    }
    match address {
        Some((address, place)) => Ok(PushDraft { address, place, settings }),
        None => Err(origin.place(item.span(), path).error("the proxy has no address")),
    }
}

/// Fills in the defaults, and holds the proxies against the pools.
pub(super) fn build(drafts: &[PushDraft], pools: &[PoolConfig]) -> Result<Vec<PushConfig>> {
    drafts.iter().map(|draft| build_one(draft, pools)).collect()
}

fn build_one(draft: &PushDraft, pools: &[PoolConfig]) -> Result<PushConfig> {
    let keys = Layers { scope: Scope::Push, sections: &[&draft.settings] };
    let wanted = match keys.value("pools") {
        Some(Value::Pools(names)) => names,
        _ => Vec::new(),
    };
    let place = keys.blame(["pools", "pools"], &draft.place);
    if let Some(name) = wanted.iter().find(|name| !pools.iter().any(|pool| pool.name == **name)) {
        let known: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
        return Err(place.error(format!("there is no pool {name}; pools are {}", known.join(", "))));
    }
    let push = PushConfig {
        address: draft.address.clone(),
        user: keys.text("user").unwrap_or_default(),
        password_file: keys.path("password_file"),
        pools: wanted,
        interval: keys.span("interval"),
        timeout: keys.span("timeout"),
    };
    // The proxy knows a node by its address alone.
    let mut seen: BTreeMap<&Address, &str> = BTreeMap::new();
    for pool in pools.iter().filter(|pool| push.wants(&pool.name)) {
        for node in &pool.nodes {
            if let Some(other) = seen.insert(&node.address, &pool.name) {
                return Err(place.error(format!(
                    "node {} is in the pools {other} and {}, and a proxy holds one state of it: name the pools for \
                     this proxy with pools = [\"{other}\"]",
                    node.address, pool.name
                )));
            }
            if node_word(&node.address).is_none() {
                return Err(place.error(format!(
                    "node {} of pool {} has a blank in its name, which no MPP command can carry: leave the pool out \
                     with pools = […]",
                    node.address, pool.name
                )));
            }
        }
    }
    Ok(push)
}

/// The proxies as tables that [`list`] reads; `string` quotes a text.
pub(super) fn print(proxies: &[PushConfig], string: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    for push in proxies {
        out.push_str(&format!("\n[[push]]\naddress = {}\n", string(&push.address.to_string())));
        out.push_str(&format!("user = {}\n", string(&push.user)));
        if let Some(path) = &push.password_file {
            out.push_str(&format!("password_file = {}\n", string(&path.to_string_lossy())));
        }
        let pools: Vec<String> = push.pools.iter().map(|name| string(name)).collect();
        out.push_str(&format!("pools = [{}]\n", pools.join(", ")));
        for (key, span) in [("interval", push.interval), ("timeout", push.timeout)] {
            out.push_str(&format!("{key} = {}\n", string(&print_duration(span))));
        }
    }
    out
}
