//! From the names that callers use to places in the configuration.

use crate::config::{Config, PoolConfig};
use crate::engine::NodeRef;
use crate::error::{Error, ErrorCode, Result};
use crate::pool::Address;

/// The index of a pool.
pub(super) fn pool(config: &Config, name: &str) -> Result<usize> {
    config.pools.iter().position(|p| p.name == name).ok_or_else(|| {
        let known: Vec<&str> = config.pools.iter().map(|p| p.name.as_str()).collect();
        Error::new(ErrorCode::NotFound, format!("no pool is named '{name}'; there are: {}", known.join(", ")))
    })
}

/// A node, by any spelling of its address.
pub(super) fn node(config: &Config, pool_name: &str, name: &str) -> Result<NodeRef> {
    let pool = pool(config, pool_name)?;
    let nodes = config.pools.get(pool).map(|p: &PoolConfig| p.nodes.as_slice()).unwrap_or_default();
    // The canonical spelling needs no parser, and is what snapshots and events give back.
    let exact = nodes.iter().position(|n| n.address.to_string() == name);
    let found = exact.or_else(|| {
        let address = Address::parse(name).ok()?;
        nodes.iter().position(|n| n.address == address)
    });
    found.map(|node| NodeRef { pool, node }).ok_or_else(|| {
        let known: Vec<String> = nodes.iter().map(|n| n.address.to_string()).collect();
        Error::new(
            ErrorCode::NotFound,
            format!("pool '{pool_name}' has no node '{name}'; there are: {}", known.join(", ")),
        )
    })
}
