//! The state as it is shown: from the cache, or from an engine in this process.

use crate::failure::Failure;
use crate::terminal;
use crate::{agent, load};
use primacy::config::{Config, NodeConfig, PoolConfig};
use primacy::control::Seen;
use primacy::engine::{NodeSnapshot, PoolSnapshot, Snapshot};
use primacy::instance::cache_file::Holder;
use primacy::policy::{mpp, rule_sentence};
use primacy::pool::overrides::types_in_force;
use primacy::pool::{NodeType, PolicyName, State, Status};
use primacy::probe::Facts;
use primacy::store::{Cache, StoredNode, StoredPool};
use std::path::PathBuf;

/// What is shown.
#[derive(Debug)]
pub struct View {
    pub snapshot: Snapshot,
    pub source: Source,
}

/// Where it comes from.
#[derive(Debug)]
pub enum Source {
    /// An engine in this process, that has just looked.
    Engine,
    /// A running agent.
    Agent {
        pid: u32,
        /// What its cache says beside, if that was looked at.
        cache: Option<CacheNote>,
        /// It has another configuration than this command.
        differs: bool,
    },
    /// The cache.
    Cache(CacheNote),
}

/// What is told about a cache.
#[derive(Debug)]
pub struct CacheNote {
    pub file: PathBuf,
    pub sequence: u64,
    pub written_ms: u64,
    /// Who keeps it up to date; `Err` if that cannot be told.
    pub agent: Result<Option<Holder>, String>,
}

impl View {
    /// The agent's view of one pool, or of all; without an agent the cache.
    pub fn of(config: &Config, pool: Option<usize>) -> Result<View, Failure> {
        let name = pool.map(|index| config.pools[index].name.as_str());
        match agent::seen(config, name) {
            Some(seen) => Ok(View::from_agent(config, seen)),
            None => View::from_cache(config),
        }
    }

    /// What the agent said, in this configuration's order.
    fn from_agent(config: &Config, seen: Seen) -> View {
        let differs = seen.fingerprint != config.fingerprint();
        let mut said = seen.snapshot.pools;
        let mut snapshot = snapshot(config, &Cache { sequence: 0, written_ms: 0, pools: Vec::new() });
        snapshot.wall_ms = seen.snapshot.wall_ms;
        for pool in &mut snapshot.pools {
            if let Some(at) = said.iter().position(|said| said.name == pool.name) {
                *pool = said.swap_remove(at);
            }
        }
        View { snapshot, source: Source::Agent { pid: seen.pid, cache: None, differs } }
    }

    /// Adds what the cache says beside; without one that can be read there is nothing to add.
    pub fn with_cache(mut self, config: &Config) -> View {
        if let Source::Agent { cache, .. } = &mut self.source
            && let Ok(View { source: Source::Cache(note), .. }) = View::from_cache(config)
        {
            *cache = Some(note);
        }
        self
    }

    /// The cache as it stands, read without its lock.
    pub fn from_cache(config: &Config) -> Result<View, Failure> {
        let file = load::cache(config)?;
        let cache = file.read()?;
        let agent = file.holder().map_err(|e| e.message().to_string());
        Ok(View {
            snapshot: snapshot(config, &cache),
            source: Source::Cache(CacheNote {
                file: file.path().to_owned(),
                sequence: cache.sequence,
                written_ms: cache.written_ms,
                agent,
            }),
        })
    }

    /// A node of a pool; `None` if an operator removed it.
    pub fn node(&self, pool: usize, name: &str) -> Option<(usize, &NodeSnapshot)> {
        self.snapshot.pools.get(pool)?.nodes.iter().enumerate().find(|(_, node)| node.name == name)
    }

    /// What is wrong with the source, if no agent keeps it up to date.
    pub fn staleness(&self) -> Option<String> {
        let Source::Cache(CacheNote { file, written_ms, agent, .. }) = &self.source else { return None };
        let as_of = format!("its last change is of {}", terminal::date(*written_ms));
        match agent {
            Ok(Some(_)) => None,
            Ok(None) => Some(format!("no agent keeps the cache {} up to date; {as_of}", file.display())),
            Err(e) => Some(format!("cannot tell whether an agent keeps the cache up to date ({e}); {as_of}")),
        }
    }
}

/// The stored state in the configuration's order. What the configuration does not name is left out, what the cache
/// does not hold has not been seen yet. Nothing is interpreted: an engine that starts may judge anew.
fn snapshot(config: &Config, cache: &Cache) -> Snapshot {
    let pools = config.pools.iter().map(|pool| {
        let stored = cache.pools.iter().find(|stored| stored.name == pool.name);
        let mut nodes: Vec<NodeSnapshot> = pool
            .nodes
            .iter()
            .map(|node| (node, node.address.to_string()))
            .filter(|(_, name)| !stored.is_some_and(|pool| pool.removed.contains(name)))
            .map(|(node, name)| node_snapshot(pool, node, name, stored))
            .collect();
        let types: Vec<_> =
            nodes.iter().map(|n| (n.node_type, n.override_.as_ref().and_then(|o| o.set.node_type))).collect();
        for (node, node_type) in nodes.iter_mut().zip(types_in_force(&types)) {
            node.node_type = node_type;
        }
        let active = |t| nodes.iter().position(|n| n.state == State::Active && n.node_type == t);
        PoolSnapshot {
            name: pool.name.clone(),
            kind: pool.kind,
            policy: pool.policy,
            status: stored.map_or(primacy::pool::PoolStatus::Ok, |pool| pool.status),
            epoch: stored.map_or(0, |pool| pool.epoch),
            // Two can be ACTIVE for one cycle under `mpp`; selection gives the PRIMARY.
            active: active(NodeType::Primary).or_else(|| active(NodeType::Secondary)),
            paused: false,
            removed: stored.map_or_else(Vec::new, |stored| stored.removed.clone()),
            // As with an override below.
            frozen: stored
                .and_then(|pool| pool.frozen.clone())
                .filter(|freeze| freeze.until_ms.is_none_or(|until| until > terminal::wall_ms())),
            nodes,
        }
    });
    Snapshot { wall_ms: terminal::wall_ms(), pools: pools.collect() }
}

fn node_snapshot(
    pool: &PoolConfig,
    node: &NodeConfig,
    name: String,
    stored: Option<&StoredPool>,
) -> NodeSnapshot {
    let stored: Option<&StoredNode> = stored.and_then(|pool| pool.nodes.iter().find(|n| n.name == name));
    let message = match stored {
        None => "not observed yet".to_string(),
        Some(s) if !s.message.is_empty() => s.message.clone(),
        Some(s) if s.rule != 0 => rule_sentence(s.rule).unwrap_or_default().to_string(),
        Some(s) if s.count.is_none() => "not observed yet".to_string(),
        Some(_) => String::new(),
    };
    // One whose time ran out while nobody was there to end it says nothing any more.
    let over = stored.and_then(|s| s.override_.clone()).filter(|o| o.holds_at(terminal::wall_ms()));
    let set = over.as_ref().map(|o| o.set).unwrap_or_default();
    let status = set.status.unwrap_or(stored.map_or(Status::Ok, |s| s.status));
    let count = stored.and_then(|s| s.count);
    let label = match pool.policy {
        PolicyName::Mpp => mpp::label(count, pool.levels),
        PolicyName::Safe => status,
    };
    NodeSnapshot {
        name,
        node_type: node.node_type,
        state: stored.map_or(State::Unknown, |s| s.state),
        status,
        label,
        count,
        cause: None,
        errno: 0,
        message,
        rule: stored.map_or(0, |s| s.rule),
        waits_for_recover: stored.is_some_and(|s| s.waits_for_recover),
        observed_ms: stored.map_or(0, |s| s.observed_ms),
        changed_ms: stored.map_or(0, |s| s.changed_ms),
        weight: set.weight.unwrap_or(node.weight),
        site: node.site.clone(),
        facts: Facts::default(),
        checkpoints: Vec::new(),
        override_: over,
    }
}
