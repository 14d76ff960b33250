//! The key `checks` of a pool of kind `router`, or of one of its nodes: reading it, handing it to the nodes, and printing
//! it again.
//!
//! A check that nobody would run is an error: nobody should believe to be guarded by it.

use super::document::{Item, in_order, table_of};
use super::draft::{NodeDraft, Origin, Place, PoolDraft};
use super::keys::{Kind, Value, nearest};
use super::model::{NodeConfig, ProbeMode};
use super::value::{Raw, describe, print_duration, quote, read};
use crate::engine::time::Duration;
use crate::error::Result;
use crate::pool::state::words;
use crate::pool::{Host, PoolKind};
pub use crate::probe::check::{Protocol as PortProtocol, Role as PortRole};
use core::fmt;
use std::path::PathBuf;
use toml::de::{DeTable, DeValue};

words! {
    /// Which verdict a program's answer is.
    CheckVerdict {
        /// On the node itself.
        Local = 0 => "local",
        /// On what it leads to.
        Backend = 1 => "backend",
    }
}

/// One check of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckConfig {
    /// A TCP connection to this port of the node.
    Tcp {
        /// The port.
        port: u16,
    },
    /// A login and a statement by the X protocol.
    X {
        /// The port.
        port: u16,
    },
    /// Through a port of a router: which server is behind it, and does it suit the port.
    Router {
        /// The port.
        port: u16,
        /// What it is for.
        role: PortRole,
        /// What it speaks.
        protocol: PortProtocol,
    },
    /// The process of which the number stands in this file; on the node's own host alone.
    Process {
        /// The file.
        pid_file: PathBuf,
    },
    /// A program that answers as monitoring plugins do; on the node's own host alone.
    Exec {
        /// The program and its arguments; no shell is in between.
        command: Vec<String>,
        /// How long it may take.
        timeout: Duration,
        /// What its answer is about.
        verdict: CheckVerdict,
    },
}

impl CheckConfig {
    /// Whether it can be run on the node's own host alone.
    pub fn is_of_host(&self) -> bool {
        matches!(self, CheckConfig::Process { .. } | CheckConfig::Exec { .. })
    }

    /// The port that it connects to, if it does.
    pub fn port(&self) -> Option<u16> {
        match self {
            CheckConfig::Tcp { port } | CheckConfig::X { port } | CheckConfig::Router { port, .. } => {
                Some(*port)
            }
            CheckConfig::Process { .. } | CheckConfig::Exec { .. } => None,
        }
    }
}

/// For people: `router 6446 rw`, `x 33060`, `process /run/mysqlrouter/mysqlrouter.pid`.
impl fmt::Display for CheckConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckConfig::Tcp { port } => write!(f, "tcp {port}"),
            CheckConfig::X { port } => write!(f, "x {port}"),
            CheckConfig::Router { port, role, protocol: PortProtocol::Classic } => {
                write!(f, "router {port} {role}")
            }
            CheckConfig::Router { port, role, protocol } => write!(f, "router {port} {role} {protocol}"),
            CheckConfig::Process { pid_file } => write!(f, "process {}", pid_file.display()),
            CheckConfig::Exec { command, .. } => {
                write!(f, "exec {}", command.first().map_or("", String::as_str))
            }
        }
    }
}

/// The most checks of a node.
const MOST: usize = 16;
/// The most words of a command, and the longest of them in bytes.
const WORDS: (usize, usize) = (64, 4095);
/// The range of an `exec` check's `timeout`.
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(60));

/// A check as it was read: an `exec` check without a `timeout` gets the node's `probe_timeout`.
#[derive(Clone, Debug)]
pub(super) struct CheckDraft {
    check: CheckConfig,
    timeout: Option<Duration>,
    place: Place,
}

/// Reads the list of checks.
pub(super) fn list(origin: &Origin<'_>, path: &str, value: &Item<'_>) -> Result<Vec<CheckDraft>> {
    let list = origin.place(value.span(), path);
    let DeValue::Array(items) = value.get_ref() else {
        return Err(list.error(format!("expected a list of checks, found {}", describe(value.get_ref()))));
    };
    if items.is_empty() {
        return Err(list.error("the list is empty: leave the key out for one check of the node's own port"));
    }
    if items.len() > MOST {
        return Err(list.error(format!("{} checks, {MOST} are allowed", items.len())));
    }
    let mut out: Vec<CheckDraft> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let draft = check(origin, &format!("{path}[{index}]"), item)?;
        if out.iter().any(|other| other.check == draft.check) {
            return Err(draft.place.error(format!("{} stands in this list twice", draft.check)));
        }
        out.push(draft);
    }
    Ok(out)
}

/// The keys of a check of each type, the required ones first.
const TYPES: [(&str, &[&str]); 5] = [
    ("tcp", &["port"]),
    ("x", &["port"]),
    ("router", &["port", "role", "protocol"]),
    ("process", &["pid_file"]),
    ("exec", &["command", "timeout", "verdict"]),
];

fn check(origin: &Origin<'_>, path: &str, item: &Item<'_>) -> Result<CheckDraft> {
    let table = table_of(origin, path, item)?;
    let place = origin.place(item.span(), path);
    let known = || TYPES.map(|(name, _)| name).join(", ");
    let Some(given) = table.get("type") else {
        return Err(place.error(format!("the check has no type: write type = one of {}", known())));
    };
    let at = origin.place(given.span(), &format!("{path}.type"));
    let DeValue::String(word) = given.get_ref() else {
        return Err(at.error(format!("expected one word, found {}", describe(given.get_ref()))));
    };
    let Some((kind, keys)) = TYPES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) else {
        let names = TYPES.map(|(name, _)| name);
        return Err(at.error(match nearest(&names, word) {
            Some(near) => format!("{} is no type of a check; did you mean {near}?", quote(word)),
            None => format!("{} is no type of a check; known are {}", quote(word), known()),
        }));
    };
    for (key, _) in in_order(table) {
        let name = key.get_ref().as_ref();
        if name != "type" && !keys.contains(&name) {
            let full = format!("{path}.{name}");
            let text =
                format!("a check of type {kind} has no key {}; it has {}", quote(name), keys.join(", "));
            return Err(origin.place(key.span(), &full).error(text));
        }
    }
    let reader = Reader { origin, path, table, place: &place };
    let mut timeout = None;
    let check = match *kind {
        "tcp" => CheckConfig::Tcp { port: reader.port()? },
        "x" => CheckConfig::X { port: reader.port()? },
        "router" => CheckConfig::Router {
            port: reader.port()?,
            role: reader.word("role", PortRole::Rw, PortRole::ALL, PortRole::name)?,
            protocol: reader.word(
                "protocol",
                PortProtocol::Classic,
                PortProtocol::ALL,
                PortProtocol::name,
            )?,
        },
        "process" => CheckConfig::Process { pid_file: reader.pid_file()? },
        _ => {
            timeout = reader.timeout()?;
            CheckConfig::Exec {
                command: reader.command()?,
                timeout: timeout.unwrap_or_default(),
                verdict: reader.word(
                    "verdict",
                    CheckVerdict::Local,
                    CheckVerdict::ALL,
                    CheckVerdict::name,
                )?,
            }
        }
    };
    Ok(CheckDraft { check, timeout, place })
}

/// Reads the keys of one check.
struct Reader<'a> {
    origin: &'a Origin<'a>,
    path: &'a str,
    table: &'a DeTable<'a>,
    place: &'a Place,
}

impl Reader<'_> {
    fn value(&self, name: &str, kind: &Kind) -> Result<Option<Value>> {
        let Some(item) = self.table.get(name) else { return Ok(None) };
        let place = self.origin.place(item.span(), &format!("{}.{name}", self.path));
        read(kind, Raw::Toml(item.get_ref())).map(Some).map_err(|problem| place.error(problem))
    }

    fn port(&self) -> Result<u16> {
        match self.value("port", &Kind::Port)? {
            Some(Value::Port(port)) => Ok(port),
            _ => Err(self.place.error("the check has no port: write port = 6446")),
        }
    }

    fn pid_file(&self) -> Result<PathBuf> {
        match self.value("pid_file", &Kind::Path)? {
            Some(Value::Text(path)) => Ok(path.into()),
            _ => Err(self
                .place
                .error("the check names no file: write pid_file = \"/run/mysqlrouter/mysqlrouter.pid\"")),
        }
    }

    fn timeout(&self) -> Result<Option<Duration>> {
        let (min, max) = TIMEOUT;
        Ok(match self.value("timeout", &Kind::Within { min, max })? {
            Some(Value::Span(span)) => Some(span),
            _ => None,
        })
    }

    fn word<T: Copy>(&self, key: &str, default: T, all: &[T], name: fn(T) -> &'static str) -> Result<T> {
        let Some(item) = self.table.get(key) else { return Ok(default) };
        let place = self.origin.place(item.span(), &format!("{}.{key}", self.path));
        let known = || all.iter().map(|&value| name(value)).collect::<Vec<_>>().join(", ");
        match item.get_ref() {
            DeValue::String(word) => {
                all.iter().copied().find(|&value| name(value).eq_ignore_ascii_case(word)).ok_or_else(|| {
                    place.error(format!("{} is not allowed: write one of {}", quote(word), known()))
                })
            }
            other => Err(place.error(format!("expected one word, found {}", describe(other)))),
        }
    }

    fn command(&self) -> Result<Vec<String>> {
        let Some(item) = self.table.get("command") else {
            return Err(self.place.error(
                "the check has no command: write command = [\"/usr/lib/nagios/plugins/check_x\", \"-a\"]",
            ));
        };
        let place = self.origin.place(item.span(), &format!("{}.command", self.path));
        let DeValue::Array(list) = item.get_ref() else {
            return Err(place.error(format!(
                "expected a list of words, the program first, found {}: no shell reads it",
                describe(item.get_ref())
            )));
        };
        let mut words = Vec::new();
        for word in list.iter() {
            match word.get_ref() {
                DeValue::String(text) if text.contains('\0') => {
                    return Err(place.error("a word of the command holds a NUL"));
                }
                DeValue::String(text) if text.len() > WORDS.1 => {
                    let text =
                        format!("a word of the command has {} bytes, {} are allowed", text.len(), WORDS.1);
                    return Err(place.error(text));
                }
                DeValue::String(text) => words.push(text.to_string()),
                other => {
                    return Err(place.error(format!("expected words in quotes, found {}", describe(other))));
                }
            }
        }
        match words.first().map(String::as_str) {
            None | Some("") => Err(place.error("the command is empty: the program comes first")),
            Some(_) if words.len() > WORDS.0 => {
                Err(place.error(format!("the command has {} words, {} are allowed", words.len(), WORDS.0)))
            }
            Some(_) => Ok(words),
        }
    }
}

/// Hands each node of a pool its checks: its own, else the pool's, else one of its own port.
pub(super) fn assign(
    pool: &PoolDraft,
    drafts: &[NodeDraft],
    kind: PoolKind,
    mode: ProbeMode,
    nodes: &mut [NodeConfig],
) -> Result<()> {
    let of_nodes = drafts.iter().filter_map(|node| node.checks.as_deref());
    let given = pool.checks.as_deref().into_iter().chain(of_nodes).flatten().next();
    if let Some(draft) = given {
        if kind != PoolKind::Router {
            let text = format!("only kind router has checks: pool {} has kind {kind}", pool.name);
            return Err(draft.place.error(text));
        }
        if mode == ProbeMode::External {
            let text = "the host observes this pool: leave the checks out, or let the library probe";
            return Err(draft.place.error(text));
        }
    }
    check_hosts(drafts, kind, pool)?;
    if kind != PoolKind::Router {
        return Ok(());
    }
    for (draft, node) in drafts.iter().zip(nodes) {
        if matches!(node.address.host, Host::Unix(_)) {
            return Err(draft.place.error("a router listens at TCP ports, and this is a unix socket"));
        }
        if mode == ProbeMode::External {
            continue;
        }
        node.checks = match draft.checks.as_deref().or(pool.checks.as_deref()) {
            Some(checks) => checks.iter().map(|check| complete(check, draft, node)).collect::<Result<_>>()?,
            None => vec![CheckConfig::Router {
                port: node.address.port,
                role: PortRole::Rw,
                protocol: PortProtocol::Classic,
            }],
        };
        if node.checks.iter().all(CheckConfig::is_of_host) {
            return Err(draft.place.error(format!(
                "all checks of {} run on its own host alone, and the other hosts would know nothing of it: add one of type \
                 tcp, x or router",
                node.address
            )));
        }
    }
    Ok(())
}

fn complete(check: &CheckDraft, draft: &NodeDraft, node: &NodeConfig) -> Result<CheckConfig> {
    if check.check.is_of_host() && node.host.is_empty() {
        return Err(check.place.error(format!(
            "{} runs on the node's own host alone, and node {} names none: write host = \"rt1\" at the node",
            check.check, node.address
        )));
    }
    let mut complete = check.check.clone();
    if let CheckConfig::Exec { timeout, .. } = &mut complete {
        let whole = node.probe.probe_timeout;
        *timeout = check.timeout.unwrap_or(whole.clamp(TIMEOUT.0, TIMEOUT.1));
        if *timeout > whole && check.timeout.is_some() {
            return Err(check.place.error(format!(
                "timeout ({}) must not be longer than probe_timeout ({}) of node {}: set both",
                print_duration(*timeout),
                print_duration(whole),
                draft.address
            )));
        }
    }
    Ok(complete)
}

/// A node's host is of use to a router alone, and each has its own.
fn check_hosts(drafts: &[NodeDraft], kind: PoolKind, pool: &PoolDraft) -> Result<()> {
    let mut seen: Vec<&str> = Vec::new();
    for setting in drafts.iter().filter_map(|node| node.settings.get("host")) {
        let Value::Text(host) = &setting.value else { continue };
        if kind != PoolKind::Router && !host.is_empty() {
            let text = format!("only kind router reads this key: pool {} has kind {kind}", pool.name);
            return Err(setting.place.error(text));
        }
        if seen.contains(&host.as_str()) {
            return Err(setting
                .place
                .error(format!("host {} has another node of this pool already", quote(host))));
        }
        if !host.is_empty() {
            seen.push(host);
        }
    }
    Ok(())
}

/// The key's value as [`list`] reads it; `string` quotes a text.
pub(super) fn print(checks: &[CheckConfig], string: impl Fn(&str) -> String) -> String {
    let one = |check: &CheckConfig| match check {
        CheckConfig::Tcp { port } => format!("{{ type = \"tcp\", port = {port} }}"),
        CheckConfig::X { port } => format!("{{ type = \"x\", port = {port} }}"),
        CheckConfig::Router { port, role, protocol } => {
            format!("{{ type = \"router\", port = {port}, role = \"{role}\", protocol = \"{protocol}\" }}")
        }
        CheckConfig::Process { pid_file } => {
            format!("{{ type = \"process\", pid_file = {} }}", string(&pid_file.to_string_lossy()))
        }
        CheckConfig::Exec { command, timeout, verdict } => {
            let words: Vec<String> = command.iter().map(|word| string(word)).collect();
            let (words, timeout) = (words.join(", "), string(&print_duration(*timeout)));
            format!(
                "{{ type = \"exec\", command = [{words}], timeout = {timeout}, verdict = \"{verdict}\" }}"
            )
        }
    };
    format!("[{}]", checks.iter().map(one).collect::<Vec<_>>().join(", "))
}
