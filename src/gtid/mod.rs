//! Transaction identifiers as sets: MySQL's GTID sets and MariaDB's positions.

/// All transactions a server has, in its own form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Gtids {}
