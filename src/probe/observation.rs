//! What one probe brought home.

use super::cause::{Cause, Class};
use super::checkpoint::proves_path;
use super::membership::Group;
use crate::engine::time::{Duration, Time};
use crate::gtid::Gtids;
use crate::pool::state::words;
use core::fmt;

words! {
    /// Which family of server answered.
    Flavour {
        /// MySQL and its builds.
        MySql = 0 => "mysql",
        /// MariaDB.
        MariaDb = 1 => "mariadb",
    }
}

words! {
    /// A replication thread as the server reports it.
    ThreadState {
        /// Not running.
        Stopped = 0 => "stopped",
        /// The IO thread tries to reach its source.
        Connecting = 1 => "connecting",
        /// Running.
        Running = 2 => "running",
    }
}

/// A server's version: major, minor, patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerVersion(pub u16, pub u16, pub u16);

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// One replication channel of a node, from one row of `SHOW REPLICA STATUS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The channel's name; empty for the default one.
    pub name: String,
    /// The source's address as `host:port`, as the replica was told.
    pub source: String,
    /// The thread that receives.
    pub io: ThreadState,
    /// The thread (or coordinator) that applies.
    pub sql: ThreadState,
    /// Last error of the IO thread, 0 for none.
    pub io_errno: u32,
    /// Last error of the SQL thread, 0 for none.
    pub sql_errno: u32,
    /// Text of the last error that is set, the SQL thread's first.
    pub error: String,
    /// Seconds behind the source as the server computes them; absent while it cannot.
    pub lag: Option<Duration>,
    /// Whether all that was received has been applied, where the server tells.
    pub applied_all: Option<bool>,
    /// A token of what was received so far, heartbeats included where the server counts them: if it changes, the
    /// source has been heard in between. Nothing else can be told from it.
    pub received: Option<u64>,
}

/// What a probe learnt beside the cause. Everything may be unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Family of the server.
    pub flavour: Option<Flavour>,
    /// Version of the server.
    pub version: Option<ServerVersion>,
    /// `@@server_id`.
    pub server_id: Option<u32>,
    /// `@@server_uuid` (MySQL only).
    pub server_uuid: Option<String>,
    /// `@@read_only`.
    pub read_only: Option<bool>,
    /// `@@super_read_only` (MySQL only).
    pub super_read_only: Option<bool>,
    /// All transactions that the server has: executed (MySQL) or current position (MariaDB).
    pub gtids: Option<Gtids>,
    /// The replication channels; `None` if not asked or not answered, empty if the node replicates from nobody.
    pub channels: Option<Vec<Channel>>,
    /// `Threads_connected`, as of the last login.
    pub threads_connected: Option<u32>,
    /// `@@max_connections`, as of the last login.
    pub max_connections: Option<u32>,
    /// The server's group; `None` if not asked (the pool is of another kind) or not answered.
    pub group: Option<Group>,
    /// From the statement's last byte out to the answer's first byte in.
    pub round_trip: Option<Duration>,
    /// A router's: what its ports lead to; `None` for everybody else, and where no check could tell.
    pub backend: Option<BackendSeen>,
}

/// What the ports of a router lead to: a status, never a reason to move an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendSeen {
    /// Every port that was looked through led to a server that suits it.
    pub good: bool,
    /// What is wrong, port by port; empty if nothing is.
    pub words: String,
    /// The servers that were seen, in the order of the checks.
    pub servers: Vec<PortServer>,
}

/// The server behind one port of a router, by its own word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortServer {
    /// The router's port.
    pub port: u16,
    /// `@@server_uuid`; empty if it did not say.
    pub uuid: String,
    /// `@@hostname`; empty if it did not say.
    pub host: String,
    /// `@@port`; 0 if it did not say.
    pub server_port: u16,
    /// `@@read_only`, or `@@super_read_only`.
    pub read_only: Option<bool>,
}

impl fmt::Display for PortServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.is_empty() { "a server" } else { &self.host };
        f.write_str(host)?;
        if self.server_port != 0 {
            write!(f, ":{}", self.server_port)?;
        }
        if !self.uuid.is_empty() {
            write!(f, " ({})", self.uuid)?;
        }
        match self.read_only {
            Some(true) => f.write_str(", read-only"),
            Some(false) => f.write_str(", writable"),
            None => Ok(()),
        }
    }
}

/// The cause-typed end of one probe, plus facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// How the probe ended.
    pub cause: Cause,
    /// The number behind the cause: the server's error number, else the operating system's, else 0.
    pub errno: u32,
    /// One sentence for people; empty when all is well.
    pub message: String,
    /// What the probe learnt.
    pub facts: Facts,
    /// When the server itself last said something during the probe, if not what it was asked: then it lived.
    pub heard: Option<Time>,
    /// A probe that went unanswered while the host acknowledges: when something was last sent that it has acknowledged, or
    /// last came from it. That is before the probe began if the probe waited for the answer to an earlier one's question.
    pub reached: Option<Time>,
    /// When the probe began.
    pub started: Time,
    /// When the probe ended.
    pub ended: Time,
}

impl Observation {
    /// An observation without facts, as a host reports it.
    pub fn new(cause: Cause, message: impl Into<String>, at: Time) -> Observation {
        Observation {
            cause,
            errno: 0,
            message: message.into(),
            facts: Facts::default(),
            heard: None,
            reached: None,
            started: at,
            ended: at,
        }
    }

    /// When the path to the host was open at the latest, as far as this observation proves it; none if nothing replied.
    pub fn proves_path_at(&self) -> Option<Time> {
        proves_path(self.class()).then(|| self.reached.map_or(self.started, |at| at.min(self.started)))
    }

    /// The class of the cause.
    pub fn class(&self) -> Class {
        self.cause.class()
    }
}
