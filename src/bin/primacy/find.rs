//! From the words of the command line to pools and nodes.

use crate::failure::Failure;
use primacy::config::Config;
use primacy::engine::NodeRef;
use primacy::pool::Address;

/// The index of a pool.
pub fn pool(config: &Config, name: &str) -> Result<usize, Failure> {
    config.pools.iter().position(|pool| pool.name == name).ok_or_else(|| {
        Failure::usage(format!(
            "there is no pool {name:?}; there is {}",
            list(config.pools.iter().map(|p| &p.name))
        ))
    })
}

/// The pool of that name, or the only one.
pub fn pool_or_only(config: &Config, name: Option<&str>) -> Result<usize, Failure> {
    match (name, config.pools.as_slice()) {
        (Some(name), _) => pool(config, name),
        (None, [_]) => Ok(0),
        (None, pools) => Err(Failure::usage(format!(
            "there are several pools: say which by --pool ({})",
            list(pools.iter().map(|p| &p.name))
        ))),
    }
}

/// The pool that a word means: its name, `pool:` and its name, or a node that is in no other pool. Without a word the
/// only one.
pub fn pool_of(config: &Config, word: Option<&str>) -> Result<usize, Failure> {
    let Some(word) = word else {
        return match config.pools.as_slice() {
            [_] => Ok(0),
            pools => Err(Failure::usage(format!(
                "there are several pools: say which ({})",
                list(pools.iter().map(|p| &p.name))
            ))),
        };
    };
    let name = word.strip_prefix("pool:").unwrap_or(word);
    let unknown = match pool(config, name) {
        Err(unknown) if name == word => unknown,
        known => return known,
    };
    let address = Address::parse(word).ok();
    let mut holders = (0..config.pools.len())
        .filter(|&i| config.pools[i].nodes.iter().any(|node| Some(&node.address) == address.as_ref()));
    match (holders.next(), holders.next()) {
        (None, _) => Err(unknown),
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(Failure::usage(format!("node {word} is in several pools: name the pool"))),
    }
}

/// The pool of that name, or all.
pub fn pools(config: &Config, name: Option<&str>) -> Result<Vec<usize>, Failure> {
    match name {
        Some(name) => Ok(vec![pool(config, name)?]),
        None => Ok((0..config.pools.len()).collect()),
    }
}

/// The names of a pool and of a node in it.
pub fn names(config: &Config, place: NodeRef) -> (String, String) {
    let pool = &config.pools[place.pool];
    (pool.name.clone(), pool.nodes[place.node].address.to_string())
}

/// A node by any spelling of its address.
pub fn node(config: &Config, text: &str, in_pool: Option<&str>) -> Result<NodeRef, Failure> {
    let address =
        Address::parse(text).map_err(|e| Failure::usage(format!("{text:?} is no node's address: {e}")))?;
    let mut found = Vec::new();
    for index in pools(config, in_pool)? {
        let nodes = &config.pools[index].nodes;
        if let Some(node) = nodes.iter().position(|node| node.address == address) {
            found.push(NodeRef { pool: index, node });
        }
    }
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            let places = in_pool.map_or_else(|| "any pool".to_string(), |pool| format!("pool {pool}"));
            let known = pools(config, in_pool)?.into_iter().flat_map(|i| &config.pools[i].nodes);
            Err(Failure::usage(format!(
                "node {address} is not in {places} of this configuration; there is {}",
                list(known.map(|n| n.address.to_string()))
            )))
        }
        several => Err(Failure::usage(format!(
            "node {address} is in several pools: say which by --pool ({})",
            list(several.iter().map(|r| &config.pools[r.pool].name))
        ))),
    }
}

/// One address from the words of a check: `NODE`, `HOST PORT`, or HAProxy's four.
pub fn address(words: &[String]) -> Result<String, Failure> {
    match words {
        [node] => Ok(node.clone()),
        [host, port] | [_, _, host, port] => {
            if port.parse::<u16>().is_err() {
                return Err(Failure::usage(format!("{port:?} is no port: give NODE, or HOST PORT")));
            }
            let bare_v6 = host.contains(':') && !host.starts_with('[');
            Ok(if bare_v6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
        }
        _ => Err(Failure::usage("give NODE, or HOST PORT")),
    }
}

fn list<T: ToString>(names: impl Iterator<Item = T>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::address;

    fn of(words: &[&str]) -> Option<String> {
        address(&words.iter().map(|w| w.to_string()).collect::<Vec<_>>()).ok()
    }

    #[test]
    fn a_node_is_one_word_or_host_and_port() {
        assert_eq!(of(&["db1:3306"]).as_deref(), Some("db1:3306"));
        assert_eq!(of(&["db1", "3307"]).as_deref(), Some("db1:3307"));
        assert_eq!(of(&["2001:db8::1", "3307"]).as_deref(), Some("[2001:db8::1]:3307"));
        assert_eq!(of(&["10.0.0.1", "80", "db1", "3307"]).as_deref(), Some("db1:3307"));
        assert_eq!(of(&["db1", "mysql"]), None);
        assert_eq!(of(&["a", "1", "b"]), None);
    }
}
