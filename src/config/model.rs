//! The configuration as the engine and the driver read it: every default filled in, every value checked.

use crate::engine::time::Duration;
use crate::pool::{Address, NodeType, PolicyName, PoolKind};
use crate::probe::Cause;
use std::path::PathBuf;

/// What to do when another process holds the cache's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLocked {
    /// Fail with [`crate::ErrorCode::Locked`].
    Error,
    /// Wait until the lock falls free.
    Wait,
}

/// Who makes the observations of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeMode {
    /// The library probes.
    Builtin,
    /// The host measures health itself and calls `observe`.
    External,
}

/// When a recovered PRIMARY gets its role back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// As soon as it is healthy again after an operator's `recover`.
    AfterRecover,
    /// Only by `activate-primary`.
    Manual,
    /// As soon as it is healthy again.
    Auto,
}

/// How and how often a node is probed. Set for all pools, one pool or one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// The account's name.
    pub user: String,
    /// The file that holds the account's password; read at instance creation.
    pub password_file: Option<PathBuf>,
    /// An open descriptor to read the account's password from at instance creation; never set together with
    /// `password_file`.
    pub password_fd: Option<i32>,
    /// Allow a password by RSA key from the server over a plain connection.
    pub rsa_public_key: RsaPublicKey,
    /// From the start of one probe to the start of the next while all is well.
    pub interval: Duration,
    /// The same while a doubt is being settled.
    pub confirm_interval: Duration,
    /// For each phase of a probe: connect, handshake, each answer.
    pub timeout: Duration,
    /// For a probe as a whole.
    pub probe_timeout: Duration,
    /// How long a node must be silent before it counts as failed.
    pub silence: Duration,
    /// A kept connection is replaced by a fresh login after this time.
    pub login_interval: Duration,
}

/// Where the RSA key for `caching_sha2_password` on a plain connection comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RsaPublicKey {
    /// Never send a password by RSA: such a login fails and says what to set.
    Refuse,
    /// Ask the server for its key (open to a man in the middle).
    FromServer,
    /// A PEM file; read at instance creation.
    File(PathBuf),
}

/// Where commands of other processes reach a running instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlSocket {
    /// At the cache file's path with `.sock` behind it; nowhere without a cache file. An instance that cannot make
    /// it runs without.
    BesideCache,
    /// Nowhere.
    Off,
    /// At this path. An instance that cannot make it does not start.
    At(PathBuf),
}

/// One node of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Where it listens, canonical.
    pub address: Address,
    /// PRIMARY or SECONDARY.
    pub node_type: NodeType,
    /// Share of the clients where a strategy weighs; 0 drains.
    pub weight: u32,
    /// The site, for site preference; may be empty.
    pub site: String,
    /// How it is probed.
    pub probe: ProbeConfig,
}

/// One pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// The name, unique.
    pub name: String,
    /// How members relate.
    pub kind: PoolKind,
    /// The rule table.
    pub policy: PolicyName,
    /// Who observes.
    pub probe_mode: ProbeMode,
    /// `mpp`: bad cycles to FAIL (the original's M), 4.
    pub levels: u32,
    /// `mpp`: a PRIMARY takes the role from an ACTIVE SECONDARY.
    pub hostile_takeover: bool,
    /// `safe`: bad steps from OK to FAIL.
    pub fall: u32,
    /// `safe`: good steps from FAIL to OK.
    pub rise: u32,
    /// Lag above which a node is no backend and shows a warning.
    pub max_lag: Duration,
    /// Lag above which a node may not take over.
    pub max_takeover_lag: Duration,
    /// Refusing causes that nevertheless fail an ACTIVE.
    pub fail_on: Vec<Cause>,
    /// When the PRIMARY gets its role back.
    pub failback: Failback,
    /// How long routing may pause for a hand-back.
    pub handback_deadline: Duration,
    /// In configuration order.
    pub nodes: Vec<NodeConfig>,
}

/// The whole configuration of an instance, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where state outlives the process; none keeps it in memory alone.
    pub cache_file: Option<PathBuf>,
    /// What to do when the cache is held.
    pub on_locked: OnLocked,
    /// Where commands of other processes reach the running instance.
    pub control_socket: ControlSocket,
    /// Who may give them beside root and the instance's own user: names, or numbers in decimal.
    pub control_users: Vec<String>,
    /// In configuration order; at least one.
    pub pools: Vec<PoolConfig>,
}

impl Config {
    /// The path of the control socket; `None` if there is to be none.
    pub fn control_path(&self) -> Option<PathBuf> {
        match &self.control_socket {
            ControlSocket::Off => None,
            ControlSocket::At(path) => Some(path.clone()),
            ControlSocket::BesideCache => {
                let mut path = self.cache_file.clone()?.into_os_string();
                path.push(".sock");
                Some(path.into())
            }
        }
    }

    /// The pool of that name.
    pub fn pool(&self, name: &str) -> Option<&PoolConfig> {
        self.pools.iter().find(|pool| pool.name == name)
    }
}

impl PoolConfig {
    /// The node at that address.
    pub fn node(&self, address: &Address) -> Option<&NodeConfig> {
        self.nodes.iter().find(|node| node.address == *address)
    }
}
