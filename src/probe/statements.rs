//! What to ask a server, by its flavour and version, and reading the rows that are not the replica status.
//!
//! Several statements travel in one query, so a probe on a kept connection is one round trip.

use super::membership;
use super::observation::{Facts, Flavour, ServerVersion};
use super::replica_status::Layout;
use crate::gtid::Gtids;
use crate::wire::{ResultSet, Results, ServerError};

/// Flavour and version by the text in a server's greeting.
///
/// MariaDB says `5.5.5-10.11.6-MariaDB-log` up to version 10: old replicas refused to follow a two-digit major.
pub fn identify(greeting: &str) -> (Flavour, Option<ServerVersion>) {
    let maria = greeting.to_ascii_lowercase().contains("mariadb");
    let number = if maria { greeting.strip_prefix("5.5.5-").unwrap_or(greeting) } else { greeting };
    let mut parts = number.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u16>().ok());
    let version = match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor), patch) => Some(ServerVersion(major, minor, patch.unwrap_or(0))),
        _ => None,
    };
    (if maria { Flavour::MariaDb } else { Flavour::MySql }, version)
}

/// A value that we select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    ServerId,
    ServerUuid,
    MaxConnections,
    GtidMode,
    LogBin,
    ReadOnly,
    SuperReadOnly,
    GtidExecuted,
    GtidBinlogState,
    GtidSlavePos,
}

impl Item {
    const fn variable(self) -> &'static str {
        match self {
            Item::ServerId => "server_id",
            Item::ServerUuid => "server_uuid",
            Item::MaxConnections => "max_connections",
            Item::GtidMode => "gtid_mode",
            Item::LogBin => "log_bin",
            Item::ReadOnly => "read_only",
            Item::SuperReadOnly => "super_read_only",
            Item::GtidExecuted => "gtid_executed",
            Item::GtidBinlogState => "gtid_binlog_state",
            Item::GtidSlavePos => "gtid_slave_pos",
        }
    }
}

/// The questions for one server, made once per login.
#[derive(Clone, Debug)]
pub struct Statements {
    flavour: Flavour,
    version: Option<ServerVersion>,
    identity: Vec<Item>,
    state: Vec<Item>,
    group: bool,
    first: String,
    again: String,
}

impl Statements {
    /// The questions for a server of this flavour and version; an unknown version is taken for a current one. `group`
    /// asks for its group too.
    pub fn new(flavour: Flavour, version: Option<ServerVersion>, group: bool) -> Statements {
        let since = |first| version.is_none_or(|v| v >= first);
        let mut identity = vec![Item::ServerId, Item::MaxConnections];
        let mut state = vec![Item::ReadOnly];
        let status = match flavour {
            Flavour::MySql => {
                if since(ServerVersion(5, 6, 5)) {
                    identity.extend([Item::ServerUuid, Item::GtidMode]);
                    state.push(Item::GtidExecuted);
                }
                if since(ServerVersion(5, 7, 8)) {
                    state.push(Item::SuperReadOnly);
                }
                if since(ServerVersion(8, 0, 22)) { "SHOW REPLICA STATUS" } else { "SHOW SLAVE STATUS" }
            }
            Flavour::MariaDb => {
                identity.push(Item::LogBin);
                state.extend([Item::GtidBinlogState, Item::GtidSlavePos]);
                // All connections of a multi-source replica, the unnamed one too.
                "SHOW ALL SLAVES STATUS"
            }
        };
        let mut again = format!("{}; {status}", select(&state));
        if group {
            // A member that is cut off from its group refuses everything but SHOW and SET (Galera), so this goes first.
            again = format!("{}; {again}", membership::statement(flavour, version));
        }
        let first = format!("{}; SHOW GLOBAL STATUS LIKE 'Threads_connected'; {again}", select(&identity));
        Statements { flavour, version, identity, state, group, first, again }
    }

    /// The first query of a login: who the server is, then the same as `again`.
    pub fn first(&self) -> &str {
        &self.first
    }

    /// The query of each further probe on a kept connection.
    pub fn again(&self) -> &str {
        &self.again
    }
}

fn select(items: &[Item]) -> String {
    let variables: Vec<String> = items.iter().map(|item| format!("@@global.{}", item.variable())).collect();
    format!("SELECT {}", variables.join(", "))
}

/// What a probe's answer says.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub facts: Facts,
    /// The error of the first statement that failed.
    pub error: Option<ServerError>,
    /// What is wrong with an answer without error.
    pub problem: Option<String>,
}

/// Reads answers of one server, keeping what was learnt at the login.
#[derive(Debug)]
pub(super) struct Reader {
    statements: Statements,
    identity: Facts,
    gtids_kept: bool,
    layout: Layout,
}

impl Reader {
    pub fn new(statements: Statements) -> Reader {
        let identity =
            Facts { flavour: Some(statements.flavour), version: statements.version, ..Facts::default() };
        Reader { statements, identity, gtids_kept: true, layout: Layout::default() }
    }

    pub fn statements(&self) -> &Statements {
        &self.statements
    }

    /// Reads an answer to `first` or to `again`.
    pub fn read(&mut self, results: &Results, first: bool) -> Reading {
        let mut sets = results.sets();
        if first {
            if let Some(set) = sets.next() {
                self.read_identity(&set);
            }
            if let Some(set) = sets.next() {
                self.identity.threads_connected = number(&set, 1);
            }
        }
        let mut reading = Reading { facts: self.identity.clone(), ..Reading::default() };
        if self.statements.group
            && let Some(set) = sets.next()
        {
            reading.facts.group = Some(membership::read(self.statements.flavour, &set));
        }
        if let Some(set) = sets.next() {
            self.read_state(&set, &mut reading.facts);
        }
        reading.error = results.error().cloned();
        match sets.next() {
            Some(set) => match self.layout.read(&set) {
                Ok(channels) => reading.facts.channels = Some(channels),
                Err(problem) => reading.problem = Some(problem),
            },
            None if reading.error.is_none() => {
                reading.problem = Some("the answer lacks the replica status".into())
            }
            None => {}
        }
        reading
    }

    fn read_identity(&mut self, set: &ResultSet<'_>) {
        for (column, item) in self.statements.identity.iter().enumerate() {
            match item {
                Item::ServerId => self.identity.server_id = number(set, column),
                Item::MaxConnections => self.identity.max_connections = number(set, column),
                Item::ServerUuid => self.identity.server_uuid = text(set, column).map(str::to_string),
                // A server that keeps no GTIDs must not look like one that has executed nothing.
                Item::GtidMode => self.gtids_kept = text(set, column).is_some_and(|mode| mode != "OFF"),
                Item::LogBin => self.gtids_kept = boolean(set, column).unwrap_or(false),
                _ => {}
            }
        }
    }

    fn read_state(&self, set: &ResultSet<'_>, facts: &mut Facts) {
        let mut positions = [None, None];
        for (column, item) in self.statements.state.iter().enumerate() {
            match item {
                Item::ReadOnly => facts.read_only = boolean(set, column),
                Item::SuperReadOnly => facts.super_read_only = boolean(set, column),
                Item::GtidExecuted | Item::GtidBinlogState => positions[0] = text(set, column),
                Item::GtidSlavePos => positions[1] = text(set, column),
                _ => {}
            }
        }
        if self.gtids_kept {
            facts.gtids = gtids(self.statements.flavour, positions[0], positions[1]);
        }
    }
}

/// The transactions that a server has, from the texts of its variables.
///
/// MySQL: `gtid_executed` alone. MariaDB: `gtid_binlog_state`, which holds the last transaction of each server in each
/// domain and so shows a fork that a position hides. It is complete only where replicated transactions are logged
/// (log_slave_updates): a server whose `gtid_slave_pos` is not in it is known by its positions alone.
fn gtids(flavour: Flavour, executed_or_state: Option<&str>, slave: Option<&str>) -> Option<Gtids> {
    let first = executed_or_state?;
    match flavour {
        Flavour::MySql => Gtids::parse_mysql(first).ok(),
        Flavour::MariaDb => {
            let logged = Gtids::parse_mariadb_state(first).ok()?;
            let replicated = Gtids::parse_mariadb(slave?).ok()?;
            if logged.contains(&replicated)? { Some(logged) } else { logged.union(&replicated) }
        }
    }
}

fn text<'a>(set: &ResultSet<'a>, column: usize) -> Option<&'a str> {
    core::str::from_utf8(set.value(0, column)?).ok()
}

fn number(set: &ResultSet<'_>, column: usize) -> Option<u32> {
    text(set, column)?.parse().ok()
}

/// Newer MariaDB has words for `read_only`; all of them but OFF mean that it is on.
fn boolean(set: &ResultSet<'_>, column: usize) -> Option<bool> {
    text(set, column).map(|word| !matches!(word, "0" | "OFF"))
}
