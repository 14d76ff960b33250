//! Tests of the configuration as its callers see it.

mod checkpoints;
mod checks;
mod errors;
mod page;
mod push;
mod random;
mod services;
mod values;
mod vips;

use super::*;

/// A pool of two nodes, to which tests add keys.
pub(super) const PAIR: &str =
    "nodes = [ { address = \"10.0.1.11\", type = \"primary\" }, { address = \"10.0.1.12\" } ]";

/// Reads one text and builds it.
pub(super) fn read(text: &str) -> crate::Result<Config> {
    let mut builder = ConfigBuilder::new();
    builder.load_text(text, "p.toml")?;
    builder.build()
}
