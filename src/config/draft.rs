//! What has been set so far, and where it came from.

use super::keys::Value;
use super::value::quote;
use super::{checkpoints, checks};
use crate::error::{Error, ErrorCode, Result};
use crate::pool::{Address, NodeType};
use core::ops::Range;
use std::collections::BTreeMap;

/// Where a key was set, for errors: `FILE:LINE:COL: `, `pool string, position N: ` or nothing for `set`.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    prefix: String,
    /// The key in full, such as `pool.orders.probe.interval`.
    pub key: String,
}

impl Place {
    pub fn new(prefix: impl Into<String>, key: impl Into<String>) -> Place {
        Place { prefix: prefix.into(), key: printable(&key.into()) }
    }

    /// The error about the key at this place.
    pub fn error(&self, problem: impl AsRef<str>) -> Error {
        let Place { prefix, key } = self;
        Error::new(ErrorCode::Config, format!("{prefix}key {key}: {}", problem.as_ref()))
    }
}

/// A caller's key on one line of bounded length.
fn printable(key: &str) -> String {
    const LONGEST: usize = 200;
    let mut out = String::new();
    for c in key.chars().take(LONGEST) {
        match c.is_control() {
            true => out.extend(c.escape_debug()),
            false => out.push(c),
        }
    }
    if key.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// What a key's bytes are counted in.
pub(super) enum Origin<'t> {
    /// A text with a name, often a file's, and the bytes at which its lines begin.
    Text { name: &'t str, text: &'t str, lines: Vec<usize> },
    /// The value of a `set`: no lines to speak of.
    Set,
}

impl<'t> Origin<'t> {
    pub fn text(name: &'t str, text: &'t str) -> Origin<'t> {
        let lines = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Origin::Text { name, text, lines }
    }

    /// `FILE:LINE:COL: ` of a byte; lines and columns count from 1, columns in characters.
    pub fn prefix(&self, byte: usize) -> String {
        match self {
            Origin::Set => String::new(),
            Origin::Text { name, text, lines } => {
                let line = lines.partition_point(|start| *start <= byte);
                let start = lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
                let before = text.get(start..byte).unwrap_or_default();
                // A byte order mark is no character to a reader.
                let column = before.chars().filter(|c| *c != '\u{feff}').count() + 1;
                format!("{name}:{line}:{column}: ")
            }
        }
    }

    pub fn place(&self, span: Range<usize>, key: &str) -> Place {
        Place::new(self.prefix(span.start), key)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub value: Value,
    pub place: Place,
}

/// The keys set in one scope.
#[derive(Clone, Debug, Default)]
pub(super) struct Section(BTreeMap<&'static str, Setting>);

impl Section {
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// Sets a key. The two sources of a password replace each other, and so do the two names of a port.
    pub fn set(&mut self, name: &'static str, value: Value, place: Place) {
        match name {
            "password_file" => drop(self.0.remove("password_fd")),
            "password_fd" => drop(self.0.remove("password_file")),
            "admin_port" => drop(self.0.remove("extra_port")),
            "extra_port" => drop(self.0.remove("admin_port")),
            _ => {}
        }
        self.0.insert(name, Setting { value, place });
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.0.iter().map(|(name, setting)| (*name, setting))
    }
}

#[derive(Clone, Debug)]
pub(super) struct NodeDraft {
    pub address: Address,
    pub place: Place,
    pub settings: Section,
    pub probe: Section,
    pub checks: Option<Vec<checks::CheckDraft>>,
}

impl NodeDraft {
    pub fn node_type(&self) -> NodeType {
        match self.settings.get("type").map(|s| &s.value) {
            Some(Value::Word("primary")) => NodeType::Primary,
            _ => NodeType::Secondary,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct PoolDraft {
    pub name: String,
    /// Where the pool was first named.
    pub place: Place,
    pub settings: Section,
    pub probe: Section,
    pub nodes: Option<Vec<NodeDraft>>,
    pub checkpoints: Vec<checkpoints::Set>,
    pub checks: Option<Vec<checks::CheckDraft>>,
    /// In the order in which they were first named.
    pub services: Vec<ServiceDraft>,
}

#[derive(Clone, Debug)]
pub(super) struct ServiceDraft {
    pub name: String,
    /// Where it was first named.
    pub place: Place,
    pub settings: Section,
}

impl PoolDraft {
    /// A pool without nodes yet.
    pub fn new(name: &str, place: Place) -> Result<PoolDraft> {
        check_name(name, "pool", true).map_err(|problem| place.error(problem))?;
        Ok(PoolDraft {
            name: name.into(),
            place,
            settings: Section::default(),
            probe: Section::default(),
            nodes: None,
            checkpoints: Vec::new(),
            checks: None,
            services: Vec::new(),
        })
    }

    /// The keys of the service of that name, of a new one if there is none.
    pub fn service_mut(&mut self, name: &str, place: Place) -> Result<&mut Section> {
        check_name(name, "service", false).map_err(|problem| place.error(problem))?;
        let index = match self.services.iter().position(|service| service.name == name) {
            Some(index) => index,
            None => {
                let settings = Section::default();
                self.services.push(ServiceDraft { name: name.into(), place, settings });
                self.services.len() - 1
            }
        };
        let missing = || Error::new(ErrorCode::Config, "a service vanished while it was configured");
        self.services.get_mut(index).map(|service| &mut service.settings).ok_or_else(missing)
    }
}

/// A pool's key as a text spells it: a name with a dot stands in quotes.
pub(super) fn pool_key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match bare {
        true => format!("pool.{name}"),
        false => format!("pool.{}", quote(name)),
    }
}

/// The name of a pool or a service. A service's has no dots: `POOL.SERVICE` ends at the last one.
pub(super) fn check_name(name: &str, what: &str, dots: bool) -> core::result::Result<(), String> {
    const LONGEST: usize = 64;
    if name.is_empty() {
        return Err(format!("the {what}'s name is empty"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-') || (dots && c == '.');
    if let Some(c) = name.chars().find(|c| !allowed(*c)) {
        return Err(format!(
            "'{}' is not allowed in a {what}'s name: letters, digits, underscores{} hyphens are",
            c.escape_debug(),
            if dots { ", dots and" } else { " and" }
        ));
    }
    match name.len() {
        0..=LONGEST => Ok(()),
        n => Err(format!("the {what}'s name has {n} characters, {LONGEST} are allowed")),
    }
}

/// At least one node, no address twice, at most one PRIMARY.
pub(super) fn check_nodes(nodes: &[NodeDraft], list: &Place) -> Result<()> {
    if nodes.is_empty() {
        return Err(list.error("a pool needs at least one node"));
    }
    let mut seen = BTreeMap::new();
    let mut primary: Option<&NodeDraft> = None;
    for node in nodes {
        if seen.insert(&node.address, ()).is_some() {
            return Err(node.place.error(format!("node {} stands in this pool twice", node.address)));
        }
        if node.node_type() == NodeType::Primary {
            if let Some(first) = primary {
                return Err(node.place.error(format!(
                    "{} is a second PRIMARY beside {}: a pool has at most one",
                    node.address, first.address
                )));
            }
            primary = Some(node);
        }
    }
    Ok(())
}
