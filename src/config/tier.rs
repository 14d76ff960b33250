//! The table `[tier]`: this host, its peers, and the channel between them.

use super::check::Layers;
use super::draft::{Place, Section};
use super::keys::{Scope, Value};
use super::value::print_duration;
use crate::engine::time::Duration;
use crate::error::Result;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// One host of the tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierHost {
    /// Its name, unique.
    pub name: String,
    /// Where its peer channel listens: UDP.
    pub address: SocketAddr,
}

/// This host among its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierConfig {
    /// This host's name. Empty for the name that the system gives; the driver fills it in.
    pub host: String,
    /// All hosts of the tier, this one too, by name. Empty without a peer channel.
    pub hosts: Vec<TierHost>,
    /// The file with the key of the peer channel; set if and only if there are hosts. Read at instance creation.
    pub key_file: Option<PathBuf>,
    /// The key before, accepted too while keys are being changed.
    pub previous_key_file: Option<PathBuf>,
    /// How often a host tells its state when nothing changes.
    pub interval: Duration,
    /// Where operators' orders outlive the process; beside the cache by default, `None` without a cache.
    pub state_file: Option<PathBuf>,
}

impl TierConfig {
    /// The tier where nothing is said of it: this host alone.
    pub fn plain(cache_file: Option<&Path>) -> TierConfig {
        TierConfig {
            host: String::new(),
            hosts: Vec::new(),
            key_file: None,
            previous_key_file: None,
            interval: Duration::from_millis(500),
            state_file: cache_file.map(beside),
        }
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Option<&TierHost> {
        self.hosts.iter().find(|host| host.name == name)
    }
}

/// `CACHE.tier`.
fn beside(cache_file: &Path) -> PathBuf {
    let mut path = cache_file.as_os_str().to_os_string();
    path.push(".tier");
    path.into()
}

/// Fills in the defaults.
pub(super) fn build(section: &Section, cache_file: Option<&Path>) -> Result<TierConfig> {
    let keys = Layers { scope: Scope::Tier, sections: &[section] };
    let hosts = match keys.value("hosts") {
        Some(Value::Hosts(hosts)) => hosts,
        _ => Vec::new(),
    };
    let fallback = Place::new("", "tier");
    let host = keys.text("host").unwrap_or_default();
    let place = |names| keys.blame(names, &fallback);
    if !host.is_empty() && !hosts.is_empty() && !hosts.iter().any(|known| known.name == host) {
        let known: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        return Err(place(["host", "hosts"])
            .error(format!("host {host} is not among hosts, which are {}", known.join(", "))));
    }
    let key_file = keys.path("key_file");
    if !hosts.is_empty() && key_file.is_none() {
        return Err(place(["hosts", "host"]).error(
            "the peer channel needs a key that all hosts share: put 32 random bytes into a file that only its owner can read, \
             and name that with key_file",
        ));
    }
    let previous_key_file = keys.path("previous_key_file");
    if previous_key_file.is_some() && key_file.is_none() {
        return Err(place(["previous_key_file", "hosts"]).error("there is no key_file that it went before"));
    }
    let state_file = keys.path("state_file").or_else(|| cache_file.map(beside));
    let interval = keys.span("interval");
    Ok(TierConfig { host, hosts, key_file, previous_key_file, interval, state_file })
}

/// The table as a text that reads back to the same; empty where nothing was set.
pub(super) fn print(tier: &TierConfig, plain: &TierConfig, string: impl Fn(&str) -> String) -> String {
    if tier == plain {
        return String::new();
    }
    let mut out = format!("\n[tier]\nhost = {}\n", string(&tier.host));
    let hosts: Vec<String> = tier
        .hosts
        .iter()
        .map(|h| format!("{} = {}", string(&h.name), string(&h.address.to_string())))
        .collect();
    out.push_str(&format!("hosts = {{ {} }}\n", hosts.join(", ")));
    for (key, path) in [
        ("key_file", &tier.key_file),
        ("previous_key_file", &tier.previous_key_file),
        ("state_file", &tier.state_file),
    ] {
        if let Some(path) = path {
            out.push_str(&format!("{key} = {}\n", string(&path.to_string_lossy())));
        }
    }
    out.push_str(&format!("interval = {}\n", string(&print_duration(tier.interval))));
    out
}
