//! What an instance reads: secrets, keys and names at creation, the cache on first use.

use super::shared::Core;
use crate::config::{
    CheckConfig, Config, NodeConfig, PoolConfig, ProbeConfig, ProbeMode, PushConfig, RsaPublicKey, TlsMode,
};
use crate::engine::{CheckRef, Engine, Input, NodeRef, Now, Severity};
use crate::error::{Error, ErrorCode, Result};
use crate::io::checkpoint::CheckSetup;
use crate::io::driver::NodeSetup;
use crate::io::file::{CacheFolder, read_public, read_secret, read_secret_descriptor};
use crate::io::hostname::hostname;
use crate::io::lock::CacheLock;
use crate::io::push::ProxySetup;
use crate::io::router_node::{PlannedCheck, PortCheck, RouterSetup};
use crate::io::tls::TlsConfig;
use crate::io::writer::Writer;
use crate::io::{clock, entropy, helper};
use crate::mpp::Account;
use crate::pool::{Host, PoolKind};
use crate::probe::{AddressBook, CheckMethod, Checkpoint, SessionConfig};
use crate::store::utc::format_utc;
use crate::wire::{Encryption, RsaPolicy, Secret, Transport};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Files that several nodes name are read once.
#[derive(Default)]
struct Files {
    passwords: BTreeMap<PathBuf, Secret>,
    handed: Handed,
    keys: BTreeMap<PathBuf, Vec<u8>>,
    tls: Vec<(ProbeConfig, Option<TlsConfig>)>,
    /// This host's name in the tier.
    host: String,
}

impl Files {
    /// Nodes with the same files share what was read.
    fn tls(&mut self, probe: &ProbeConfig) -> Result<Option<TlsConfig>> {
        let same = |known: &ProbeConfig| {
            (known.tls, &known.tls_ca, &known.tls_certificate)
                == (probe.tls, &probe.tls_ca, &probe.tls_certificate)
        };
        if let Some((_, tls)) = self.tls.iter().find(|(known, _)| same(known)) {
            return Ok(tls.clone());
        }
        let tls = TlsConfig::read(probe)?;
        self.tls.push((probe.clone(), tls.clone()));
        Ok(tls)
    }
}

/// Passwords that were handed in by descriptor, by its number: what a pipe held is gone once it was read.
pub(super) type Handed = BTreeMap<i32, Secret>;

/// Names of nodes that nobody probes are looked up no longer than this, and what one look at the resolver takes: clients cannot be sent
/// to the others until a reload.
const LOOKING_UP: Duration = Duration::from_secs(2);

/// Where names lead before anybody was reached there. Nobody probes the nodes of pools that the host observes, so their names are
/// looked up here; an address that is known stays. Blocks on the resolver.
pub(super) fn located(config: &Config, nodes: &[NodeSetup]) -> Vec<(NodeRef, IpAddr)> {
    let ends = clock::mono() + LOOKING_UP;
    let known = |node: NodeRef, name: &str, port: u16| {
        let setup = nodes.iter().find(|setup| setup.node == node);
        match setup {
            Some(setup) => setup.book.current().map(|address| address.ip()),
            None if clock::mono() >= ends => None,
            None => helper::resolve(name, port).ok()?.first().map(|address| address.ip()),
        }
    };
    let places = config.pools.iter().enumerate().flat_map(|(pool, pool_config)| {
        pool_config
            .nodes
            .iter()
            .enumerate()
            .map(move |(node, config)| (NodeRef { pool, node }, &config.address))
    });
    let named = places.filter_map(|(node, address)| match &address.host {
        Host::Name(name) => Some((node, known(node, name, address.port)?)),
        _ => None,
    });
    named.collect()
}

/// What is known of names, by name and port.
pub(super) type Names = BTreeMap<(String, u16), AddressBook>;

/// Reads what the driver needs of every node that the library probes, and of their checkpoints. Blocks on the resolver, for
/// names that are not known, and on descriptors in whose place nothing is in `handed`, where what they hold is kept.
pub(super) fn setups(
    config: &Config,
    mut known: Names,
    handed: &mut Handed,
) -> Result<(Vec<NodeSetup>, Vec<CheckSetup>)> {
    let host = match config.tier.host.as_str() {
        "" => hostname(),
        host => host.to_owned(),
    };
    let mut files = Files { handed: core::mem::take(handed), host, ..Files::default() };
    let outcome = read_setups(config, &mut files);
    *handed = files.handed;
    let (mut setups, mut checks) = outcome?;
    // After the files: a wrong path should not wait for a slow resolver to be told.
    for setup in setups.iter_mut().chain(checks.iter_mut().map(|check| &mut check.link)) {
        let Some(name) = &setup.name else { continue };
        let book = known.entry(name.clone()).or_insert_with(|| {
            let mut book = AddressBook::named();
            book.resolved(clock::mono(), helper::resolve(&name.0, name.1));
            book
        });
        setup.book = book.clone();
    }
    Ok((setups, checks))
}

fn read_setups(config: &Config, files: &mut Files) -> Result<(Vec<NodeSetup>, Vec<CheckSetup>)> {
    let (mut setups, mut checks) = (Vec::new(), Vec::new());
    for (pool, pool_config) in config.pools.iter().enumerate() {
        if pool_config.probe_mode == ProbeMode::External {
            continue;
        }
        for (node, node_config) in pool_config.nodes.iter().enumerate() {
            let node = NodeRef { pool, node };
            setups.push(setup(files, node, pool_config, node_config)?);
            for (index, checkpoint) in node_config.checkpoints.iter().enumerate() {
                let link = setup(files, node, pool_config, &stand_in(node_config, checkpoint))?;
                let place = CheckRef { node, index };
                checks.push(CheckSetup { place, checkpoint: checkpoint.clone(), link });
            }
        }
    }
    Ok((setups, checks))
}

/// The checkpoint as if it were a node: a `mysql` one is logged in to with the account of the node that it belongs to.
fn stand_in(node: &NodeConfig, checkpoint: &Checkpoint) -> NodeConfig {
    let mut probe = ProbeConfig { admin_port: None, ..(*node.probe).clone() };
    if checkpoint.method != CheckMethod::Mysql {
        // Nobody logs in, so that no secret is kept.
        probe.tls = TlsMode::Disabled;
        (probe.password_file, probe.password_fd) = (None, None);
        probe.rsa_public_key = RsaPublicKey::Refuse;
    }
    NodeConfig { address: checkpoint.address(), probe: Arc::new(probe), ..node.clone() }
}

/// The checks of a router that this host makes: what belongs to another host cannot be looked at from here.
fn planned(config: &NodeConfig, host: &str) -> RouterSetup {
    let own = config.host == host;
    let plan = |check: &CheckConfig| match check {
        CheckConfig::Tcp { port } => Some(PlannedCheck::Port(*port, PortCheck::Tcp)),
        CheckConfig::X { port } => Some(PlannedCheck::Port(*port, PortCheck::X)),
        CheckConfig::Router { port, role, protocol } => {
            Some(PlannedCheck::Port(*port, PortCheck::Router(*protocol, *role)))
        }
        CheckConfig::Process { pid_file } => own.then(|| PlannedCheck::Process(pid_file.clone())),
        CheckConfig::Exec { command, timeout, verdict } => {
            own.then(|| PlannedCheck::Exec { command: command.clone(), timeout: *timeout, verdict: *verdict })
        }
    };
    RouterSetup { checks: config.checks.iter().filter_map(plan).collect() }
}

fn setup(files: &mut Files, node: NodeRef, pool: &PoolConfig, config: &NodeConfig) -> Result<NodeSetup> {
    let probe = &*config.probe;
    let password = match (&probe.password_file, probe.password_fd) {
        (None, None) => None,
        (None, Some(number)) => Some(match files.handed.get(&number) {
            Some(known) => known.clone(),
            None => files.handed.entry(number).or_insert(read_secret_descriptor(number)?).clone(),
        }),
        (Some(path), _) => Some(match files.passwords.get(path) {
            Some(known) => known.clone(),
            None => files.passwords.entry(path.clone()).or_insert(read_secret(path)?).clone(),
        }),
    };
    let rsa = match &probe.rsa_public_key {
        RsaPublicKey::Refuse => RsaPolicy::Refuse,
        RsaPublicKey::FromServer => RsaPolicy::FromServer,
        RsaPublicKey::File(path) => RsaPolicy::Key(match files.keys.get(path) {
            Some(known) => known.clone(),
            None => files.keys.entry(path.clone()).or_insert(read_key(path)?).clone(),
        }),
    };
    let port = probe.admin_port.unwrap_or(config.address.port);
    let (unix, name, book) = match &config.address.host {
        Host::Unix(path) => (Some(PathBuf::from(path)), None, AddressBook::named()),
        Host::Ip(ip) => (None, None, AddressBook::literal((*ip, port).into())),
        Host::Name(name) => (None, Some((name.clone(), port)), AddressBook::named()),
    };
    let transport = if unix.is_some() { Transport::Unix } else { Transport::Plain };
    let tls = match unix {
        Some(_) => None,
        None => files.tls(probe)?.map(|tls| tls.to(&config.address.host)).transpose()?,
    };
    let encryption = match (&tls, probe.tls) {
        (None, _) => Encryption::Off,
        (Some(_), TlsMode::Preferred) => Encryption::IfOffered,
        (Some(_), _) => Encryption::Always,
    };
    let session = SessionConfig {
        user: probe.user.clone(),
        password,
        transport,
        encryption,
        rsa,
        group: pool.kind == PoolKind::Group,
        max_packet: SessionConfig::MAX_PACKET,
    };
    Ok(NodeSetup {
        node,
        unix,
        name,
        book,
        session,
        tls,
        timeout: probe.timeout,
        probe_timeout: probe.probe_timeout,
        max_lag: Some(pool.max_lag),
        router: (pool.kind == PoolKind::Router).then(|| planned(config, &files.host)),
        lane: None,
    })
}

/// Reads a public key in PEM.
pub(super) fn read_key(path: &Path) -> Result<Vec<u8>> {
    read_public(path).map_err(|what| {
        Error::new(ErrorCode::Secret, format!("RSA public key file {}: {what}", path.display()))
    })
}

/// Reads what the driver must know of the proxies that are pushed to. Blocks on the resolver, for names that are not `known`.
pub(super) fn proxies(config: &Config, known: &[ProxySetup]) -> Result<Vec<ProxySetup>> {
    let read = |push: &PushConfig| {
        let password = push.password_file.as_deref().map(read_secret).transpose()?;
        let proxy = push.address.to_string();
        let port = push.address.port;
        let (unix, name, book) = match &push.address.host {
            Host::Unix(path) => (Some(PathBuf::from(path)), None, AddressBook::named()),
            Host::Ip(ip) => (None, None, AddressBook::literal((*ip, port).into())),
            Host::Name(host) => {
                let book = known.iter().find(|setup| setup.proxy == proxy).map(|setup| setup.book.clone());
                let book = book.unwrap_or_else(|| {
                    let mut book = AddressBook::named();
                    book.resolved(clock::mono(), helper::resolve(host, port));
                    book
                });
                (None, Some((host.clone(), port)), book)
            }
        };
        let transport = if unix.is_some() { Transport::Unix } else { Transport::Plain };
        let account = Account { user: push.user.clone(), password, transport, timeout: push.timeout };
        let pools = push.pools.clone();
        Ok(ProxySetup { proxy, unix, name, book, account, interval: push.interval, pools })
    };
    config.push.iter().map(read).collect()
}

impl Core {
    /// Whether the engine exists and its cache is locked by this process.
    pub(super) fn is_open(&self) -> bool {
        self.engine.is_some() && (self.writer.is_none() || self.opened_by == Some(std::process::id()))
    }

    /// Tells the engine where the names of nodes lead.
    pub(super) fn locate(&mut self, now: Now) -> Result<()> {
        for (node, ip) in core::mem::take(&mut self.located) {
            self.guarded(|engine| engine.handle(now, Input::Located { node, ip }))?;
        }
        Ok(())
    }

    /// The folder of the cache, if there is one.
    pub(super) fn folder(&self) -> Option<Arc<CacheFolder>> {
        self.folder.clone()
    }

    /// Builds the engine, from the cache if there is one, whose lock is handed in.
    ///
    /// Done again in a child after fork: the lock belongs to the parent, and so does what the parent decided since.
    pub(super) fn open(&mut self, lock: Option<CacheLock>) -> Result<()> {
        let (writer, cache) = match (&self.folder, lock) {
            (Some(folder), Some(lock)) => {
                let cache = folder.read()?;
                (Some(Arc::new(Writer::new(Arc::clone(folder), lock))), cache)
            }
            _ => (None, None),
        };
        let seed = entropy::bytes::<8>()
            .map(u64::from_ne_bytes)
            .map_err(|e| Error::new(ErrorCode::Io, format!("the system gives no random bytes: {e}")))?;
        let now = clock::now();
        self.engine = Some(match self.folder {
            Some(_) => Engine::new(self.config.clone(), cache.as_ref(), seed, now),
            None => Engine::new(self.config.clone(), None, seed, now).without_store(),
        });
        let tables = self.inherited();
        if !tables.is_empty() {
            self.guarded(|engine| engine.adopt(now, &tables))?;
        }
        self.writer = writer;
        self.since_ms = now.wall_ms;
        self.tally.written_ms = cache.as_ref().map_or(0, |cache| cache.written_ms);
        if let (Some(cache), Some(folder)) = (&cache, &self.folder) {
            let text = format!(
                "the cache {} of an earlier life is taken over: change {} of {}",
                folder.path().display(),
                cache.sequence,
                format_utc(cache.written_ms).unwrap_or_else(|| "an unknown time".into())
            );
            self.hub.say(Severity::Info, (now.mono, now.wall_ms), ("", ""), text);
        }
        self.opened_by = Some(std::process::id());
        self.begin_sharing();
        self.locate(now)?;
        // The engine may have something to say about what it read.
        self.pump(now, usize::MAX)?;
        Ok(())
    }
}
