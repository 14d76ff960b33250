//! Transaction identifiers as sets: MySQL's GTID sets and MariaDB's positions.

mod holds;
mod intervals;
pub mod mariadb;
pub mod mysql;
mod text;

#[cfg(test)]
mod tests;

pub use holds::check;
pub use intervals::Interval;
pub use mariadb::{Basis, DomainGap, MariaDbPosition};
pub use mysql::{MySqlGtidSet, Tsid};

use crate::error::Result;
use core::fmt;

/// All transactions a server has, in its own form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gtids {
    /// A MySQL server's set, such as `@@gtid_executed`.
    MySql(MySqlGtidSet),
    /// A MariaDB server's position or binary log state.
    MariaDb(MariaDbPosition),
}

impl Gtids {
    /// Reads a MySQL set; see [`MySqlGtidSet::parse`].
    ///
    /// # Errors
    /// `Invalid`, naming the byte.
    pub fn parse_mysql(text: &str) -> Result<Gtids> {
        MySqlGtidSet::parse(text).map(Gtids::MySql)
    }

    /// Reads a MariaDB position; see [`MariaDbPosition::parse`].
    ///
    /// # Errors
    /// `Invalid`, naming the byte.
    pub fn parse_mariadb(text: &str) -> Result<Gtids> {
        MariaDbPosition::parse(text).map(Gtids::MariaDb)
    }

    /// Reads a MariaDB server's `@@gtid_binlog_state`; see [`MariaDbPosition::parse_state`].
    ///
    /// # Errors
    /// `Invalid`, naming the byte.
    pub fn parse_mariadb_state(text: &str) -> Result<Gtids> {
        MariaDbPosition::parse_state(text).map(Gtids::MariaDb)
    }

    /// Whether there is no transaction.
    pub fn is_empty(&self) -> bool {
        match self {
            Gtids::MySql(set) => set.is_empty(),
            Gtids::MariaDb(position) => position.is_empty(),
        }
    }

    /// How many transactions there are, at most `u64::MAX`. For MariaDB an upper bound, see
    /// [`MariaDbPosition::count`].
    pub fn count(&self) -> u64 {
        match self {
            Gtids::MySql(set) => set.count(),
            Gtids::MariaDb(position) => position.count(),
        }
    }

    /// Whether all of `other` is here too; `None` between a MySQL and a MariaDB server, where nothing can be said.
    ///
    /// For MariaDB this is no proof without strict numbering, see [`MariaDbPosition`].
    pub fn contains(&self, other: &Gtids) -> Option<bool> {
        match (self, other) {
            (Gtids::MySql(a), Gtids::MySql(b)) => Some(a.contains(b)),
            (Gtids::MariaDb(a), Gtids::MariaDb(b)) => Some(a.contains(b)),
            _ => None,
        }
    }

    /// The union of both; `None` between a MySQL and a MariaDB server.
    pub fn union(&self, other: &Gtids) -> Option<Gtids> {
        match (self, other) {
            (Gtids::MySql(a), Gtids::MySql(b)) => Some(Gtids::MySql(a.union(b))),
            (Gtids::MariaDb(a), Gtids::MariaDb(b)) => Some(Gtids::MariaDb(a.union(b))),
            _ => None,
        }
    }

    /// The transactions that are here and that `other` lacks; `None` between a MySQL and a MariaDB server.
    pub fn missing_from(&self, other: &Gtids) -> Option<Missing> {
        match (self, other) {
            (Gtids::MySql(a), Gtids::MySql(b)) => Some(Missing::MySql(a.subtract(b))),
            (Gtids::MariaDb(a), Gtids::MariaDb(b)) => Some(Missing::MariaDb(a.subtract(b))),
            _ => None,
        }
    }
}

impl fmt::Display for Gtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gtids::MySql(set) => set.fmt(f),
            Gtids::MariaDb(position) => position.fmt(f),
        }
    }
}

/// Transactions that one server has and another lacks: still to be replicated, or stranded.
///
/// Prints like [`Missing::text`] with [`Missing::PARTS`] parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Missing {
    /// Exactly these.
    MySql(MySqlGtidSet),
    /// At most these, domain by domain; see [`MariaDbPosition::subtract`].
    MariaDb(Vec<DomainGap>),
}

impl Missing {
    /// How many intervals `{}` prints.
    pub const PARTS: usize = 8;

    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        match self {
            Missing::MySql(set) => set.is_empty(),
            Missing::MariaDb(gaps) => gaps.is_empty(),
        }
    }

    /// How many transactions are missing, at most `u64::MAX`; for MariaDB an upper bound.
    pub fn count(&self) -> u64 {
        match self {
            Missing::MySql(set) => set.count(),
            Missing::MariaDb(gaps) => gaps.iter().fold(0, |sum, gap| sum.saturating_add(gap.count())),
        }
    }

    /// The first `parts` intervals, then how many more there are: a GTID set for MySQL,
    /// `domain: first-last, domain: …` for MariaDB. Empty if nothing is missing.
    ///
    /// One part is at most 112 bytes long.
    pub fn text(&self, parts: usize) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut out, parts);
        out
    }

    fn write(&self, out: &mut dyn fmt::Write, parts: usize) -> fmt::Result {
        let left = match self {
            Missing::MySql(set) => set.write_some(out, ",", parts)?,
            Missing::MariaDb(gaps) => {
                for (at, gap) in gaps.iter().take(parts).enumerate() {
                    write!(out, "{}{gap}", if at > 0 { ", " } else { "" })?;
                }
                gaps.len().saturating_sub(parts)
            }
        };
        match (left, parts) {
            (0, _) => Ok(()),
            (more, 0) => write!(out, "{more} intervals"),
            (more, _) => write!(out, " … and {more} more"),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Missing::PARTS)
    }
}
