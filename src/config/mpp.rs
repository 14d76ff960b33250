//! The pool string of MySQL Proxy Plus: `name:POOL;primary:H[:P];secondary:H[:P];…`.

use super::draft::{NodeDraft, Place, PoolDraft, Section, check_nodes};
use super::keys::Value;
use super::value::quote;
use crate::error::Result;
use crate::pool::Address;

/// Parses a pool string. Items may stand in any order and the last one may end in a semicolon; white space
/// around an item is no part of it. IPv6 stands in brackets, the port is 3306 by default.
///
/// # Errors
/// [`crate::ErrorCode::Config`]: two names or primaries, no name, no node, an unknown key, a bad address, a
/// node twice. The text gives the position in the string, in characters from 1.
pub(super) fn parse(spec: &str) -> Result<PoolDraft> {
    let mut name: Option<(&str, Place)> = None;
    let mut nodes = Vec::new();
    let mut start = 0;
    let items: Vec<&str> = spec.split(';').collect();
    for (index, item) in items.iter().enumerate() {
        let begin = start + (item.len() - item.trim_start().len());
        start += item.len() + 1;
        let item = item.trim();
        if item.is_empty() {
            if index + 1 == items.len() && index > 0 {
                continue;
            }
            return Err(place(spec, begin, "name")
                .error("an item is empty: write name:POOL;primary:HOST[:PORT];secondary:HOST[:PORT]"));
        }
        let Some((key, value)) = item.split_once(':') else {
            return Err(
                place(spec, begin, key_of(item)).error(format!("{} has no value after a colon", quote(item)))
            );
        };
        let at = place(spec, begin + key.len() + 1, key_of(key));
        match key {
            "name" if name.is_some() => {
                return Err(place(spec, begin, key).error("the pool has a name already"));
            }
            "name" => name = Some((value, at)),
            "primary" | "secondary" => nodes.push(node(key, value, at)?),
            _ => {
                return Err(place(spec, begin, key_of(key))
                    .error("unknown key; known here are name, primary, secondary"));
            }
        }
    }
    let Some((name, at)) = name else {
        return Err(place(spec, 0, "name").error("the pool has no name: begin with name:POOL;"));
    };
    let mut pool = PoolDraft::new(name, at.clone())?;
    check_nodes(&nodes, &at)?;
    pool.nodes = Some(nodes);
    Ok(pool)
}

fn node(key: &str, value: &str, place: Place) -> Result<NodeDraft> {
    let address = Address::parse(value).map_err(|problem| place.error(problem))?;
    let word = if key == "primary" { "primary" } else { "secondary" };
    let mut settings = Section::default();
    settings.set("type", Value::Word(word), place.clone());
    Ok(NodeDraft { address, place, settings, probe: Section::default(), checks: None })
}

fn place(spec: &str, byte: usize, key: &str) -> Place {
    let before = spec.get(..byte).unwrap_or(spec);
    Place::new(format!("pool string, position {}: ", before.chars().count() + 1), key)
}

/// A key for an error; an item without colon is its own key.
fn key_of(text: &str) -> &str {
    if text.is_empty() { "(empty)" } else { text }
}
