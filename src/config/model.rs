//! The configuration as the engine and the driver read it: every default filled in, every value checked.

use super::checks::CheckConfig;
use super::listen::Listen;
use super::service::ServiceConfig;
use super::tier::TierConfig;
use super::vip::VipConfig;
use crate::engine::time::Duration;
use crate::pool::{Address, NodeType, PolicyName, PoolKind};
use crate::probe::{Cause, Checkpoint};
use std::path::PathBuf;
use std::sync::Arc;

/// What to do when another process holds the cache's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLocked {
    /// Fail with [`crate::ErrorCode::Locked`].
    Error,
    /// Wait until the lock falls free.
    Wait,
    /// Select from what the process that holds it decides, and decide once it falls free.
    Follow,
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

/// What becomes of a hung or silent ACTIVE node that a replica still hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDoubt {
    /// It is held for as long as a replica hears it.
    Hold,
    /// It is failed after `doubt_deadline`.
    Fail,
}

/// How often a node that failed as ACTIVE may be taken back without an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoRecover {
    /// So many in a row.
    pub count: u32,
    /// So many in this time, on average.
    pub per: Duration,
}

impl AutoRecover {
    /// The time after which one more is allowed.
    pub fn pause(&self) -> Duration {
        self.per / self.count.max(1)
    }
}

impl core::fmt::Display for AutoRecover {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.count, super::print_duration(self.per))
    }
}

/// What becomes of a failed ACTIVE node while the only good node waits for `recover`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastResort {
    /// It keeps the role, and an alarm tells.
    Alarm,
    /// After this time the good node takes over.
    After(Duration),
    /// It keeps the role, and no alarm tells that a good node waits.
    Never,
}

/// Encryption of probe connections over TCP; a unix socket has no need of it. The names are those of MySQL's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disabled,
    /// If the server offers it. Whoever sits between can take the offer away.
    Preferred,
    /// Always, with whoever answers: nothing is verified.
    Required,
    /// Always, with a server whose certificate comes from the given authority.
    VerifyCa,
    /// The same, and the certificate must be for the name or address of the node.
    VerifyIdentity,
}

impl TlsMode {
    /// The word in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            TlsMode::Disabled => "disabled",
            TlsMode::Preferred => "preferred",
            TlsMode::Required => "required",
            TlsMode::VerifyCa => "verify-ca",
            TlsMode::VerifyIdentity => "verify-identity",
        }
    }

    /// Whether the server has to prove who it is.
    pub fn verifies(self) -> bool {
        matches!(self, TlsMode::VerifyCa | TlsMode::VerifyIdentity)
    }
}

/// A client certificate; both files are read at instance creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate in PEM, with its intermediates.
    pub chain: PathBuf,
    /// Its private key in PEM, not encrypted.
    pub key: PathBuf,
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
    /// Encryption.
    pub tls: TlsMode,
    /// The authorities' certificates in PEM; set if and only if `tls` verifies. Read at instance creation.
    pub tls_ca: Option<PathBuf>,
    /// The certificate to log in with; never set if `tls` is disabled.
    pub tls_certificate: Option<ClientCertificate>,
    /// The port to probe at in place of the node's own: MySQL's `admin_port`, MariaDB's `extra_port`.
    pub admin_port: Option<u16>,
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
    /// How it is probed; nodes that are probed alike share it.
    pub probe: Arc<ProbeConfig>,
    /// The host that it runs on, as `[tier]` names hosts; may be empty.
    pub host: String,
    /// How a router is looked at; empty in pools of other kinds, and where the host observes.
    pub checks: Vec<CheckConfig>,
    /// What is looked at when it is silent (`safe`) or cannot be reached (`mpp`), by kind.
    pub checkpoints: Vec<Checkpoint>,
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
    /// Whether, and how often, a node that failed as ACTIVE is taken back without an operator.
    pub auto_recover: Option<AutoRecover>,
    /// How long the PRIMARY must have been a stand-in before it gets its role back by [`Failback::Auto`].
    pub hold_down: Duration,
    /// What becomes of a failed ACTIVE node while the only good node waits for `recover`.
    pub last_resort: LastResort,
    /// What becomes of a hung or silent ACTIVE node that a replica still hears.
    pub on_doubt: OnDoubt,
    /// How long such a node is held with [`OnDoubt::Fail`].
    pub doubt_deadline: Duration,
    /// In configuration order.
    pub nodes: Vec<NodeConfig>,
    /// What clients may ask for, in configuration order; never empty.
    pub services: Vec<ServiceConfig>,
}

/// One proxy that is told of every node by MPP commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushConfig {
    /// Where its admin plugin listens, canonical; one for each address.
    pub address: Address,
    /// The account's name.
    pub user: String,
    /// The file that holds the account's password; read at instance creation.
    pub password_file: Option<PathBuf>,
    /// Whose nodes are pushed; empty for all pools.
    pub pools: Vec<String>,
    /// How often everything is pushed. What changes is pushed at once.
    pub interval: Duration,
    /// For the connection, the login, and each answer.
    pub timeout: Duration,
}

impl PushConfig {
    /// Whether the nodes of this pool are pushed to the proxy.
    pub fn wants(&self, pool: &str) -> bool {
        self.pools.is_empty() || self.pools.iter().any(|name| name == pool)
    }
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
    /// Where this machine stands, for services that send clients to their own site first; may be empty.
    pub site: String,
    /// Where `primacy run` answers load balancers; no other host of the library reads it.
    pub listen: Listen,
    /// This host among the hosts that share floating addresses.
    pub tier: TierConfig,
    /// Floating addresses, in configuration order.
    pub vips: Vec<VipConfig>,
    /// In configuration order; at least one where there is no VIP.
    pub pools: Vec<PoolConfig>,
    /// Proxies that are told of every node.
    pub push: Vec<PushConfig>,
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

    /// The VIP of that name.
    pub fn vip(&self, name: &str) -> Option<&VipConfig> {
        self.vips.iter().find(|vip| vip.name == name)
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
