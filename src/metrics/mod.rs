//! Figures for monitoring: what is counted, the table of metrics, and the text that Prometheus reads.
//!
//! Engine and driver count in plain integers, each at its own place ([`tally`]); nothing of a metric's name is known
//! there. An instance gathers the numbers under its lock ([`Figures`]) and makes the text without it.
//!
//! Series are bounded by the configuration: pools, nodes, and the library's own words. Nothing that a server says
//! becomes a label but its flavour and version, of which a node has one at a time.

mod figures;
mod histogram;
mod table;
pub mod tally;
#[cfg(test)]
mod tests;
mod text;
mod tier;

pub use figures::{DriverFigures, Figures, Life, NodeFigures, PoolFigures};
pub use histogram::{BOUNDS, Histogram};
pub use table::{Kind, METRICS, Metric, page};
pub use tally::{DeskTally, EventTally, LinkTally, LoopTally, NodeTally, PoolTally};
pub use text::{CONTENT_TYPE, text};
