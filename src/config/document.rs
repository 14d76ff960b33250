//! Reading a TOML text into the draft, with the line and column of everything that is wrong.

use super::builder::ConfigBuilder;
use super::draft::{NodeDraft, Origin, Place, PoolDraft, Section, check_nodes, pool_key};
use super::keys::{self, Scope};
use super::push;
use super::value::{Raw, describe, read};
use super::{checkpoints, checks};
use crate::error::{Error, ErrorCode, Result};
use crate::pool::Address;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

pub(super) type Name<'i> = Spanned<DeString<'i>>;
pub(super) type Item<'i> = Spanned<DeValue<'i>>;

/// Far above any real configuration; it keeps a wrong file from filling memory.
const TEXT_MAX: usize = 1 << 20;

/// Reads a whole text into the builder; on an error the builder may be half changed.
pub(super) fn load(builder: &mut ConfigBuilder, text: &str, name: &str) -> Result<()> {
    if text.len() > TEXT_MAX {
        let problem = format!("{name}: the text has {} bytes, {TEXT_MAX} are allowed", text.len());
        return Err(Error::new(ErrorCode::Config, problem));
    }
    let origin = &Origin::text(name, text);
    let document = DeTable::parse(text).map_err(|e| {
        let prefix = origin.prefix(e.span().map_or(0, |span| span.start));
        Error::new(ErrorCode::Config, format!("{prefix}not valid TOML: {}", one_line(e.message())))
    })?;
    for (key, value) in in_order(document.get_ref()) {
        match key.get_ref().as_ref() {
            "probe" => {
                let table = table_of(origin, "probe", value)?;
                section(origin, Scope::Probe, "probe", table, &mut builder.probe)?;
            }
            "listen" => {
                let table = table_of(origin, "listen", value)?;
                section(origin, Scope::Listen, "listen", table, &mut builder.listen)?;
            }
            "tier" => {
                let table = table_of(origin, "tier", value)?;
                section(origin, Scope::Tier, "tier", table, &mut builder.tier)?;
            }
            "vip" => {
                for (name, value) in in_order(table_of(origin, "vip", value)?) {
                    let path = format!("vip.{}", name.get_ref());
                    let settings = builder.vip_mut(name.get_ref(), origin.place(name.span(), &path))?;
                    section(origin, Scope::Vip, &path, table_of(origin, &path, value)?, settings)?;
                }
            }
            "pool" => {
                for (name, value) in in_order(table_of(origin, "pool", value)?) {
                    let path = pool_key(name.get_ref());
                    let place = origin.place(name.span(), &path);
                    let table = table_of(origin, &path, value)?;
                    pool(origin, &path, table, builder.pool_mut(name.get_ref(), place)?)?;
                }
            }
            "push" => builder.push = push::list(origin, "push", value)?,
            name => setting(origin, Scope::Instance, name, key, value, &mut builder.instance)?,
        }
    }
    Ok(())
}

/// The nodes of a pool from the text of a TOML list, as `set` takes it.
pub(super) fn nodes_from_text(text: &str, path: &str) -> Result<Vec<NodeDraft>> {
    let list = Place::new("", path);
    let value = DeValue::parse(text)
        .map_err(|e| list.error(format!("the value is not a TOML list: {}", one_line(e.message()))))?;
    nodes(&Origin::Set, path, &value)
}

/// A pool's sets of checkpoints from the text of a TOML list, as `set` takes it.
pub(super) fn checkpoints_from_text(text: &str, path: &str) -> Result<Vec<checkpoints::Set>> {
    let list = Place::new("", path);
    let value = DeValue::parse(text)
        .map_err(|e| list.error(format!("the value is not a TOML list: {}", one_line(e.message()))))?;
    checkpoints::list(&Origin::Set, path, &value)
}

/// The checks of a pool's nodes from the text of a TOML list, as `set` takes it.
pub(super) fn checks_from_text(text: &str, path: &str) -> Result<Vec<checks::CheckDraft>> {
    let list = Place::new("", path);
    let value = DeValue::parse(text)
        .map_err(|e| list.error(format!("the value is not a TOML list: {}", one_line(e.message()))))?;
    checks::list(&Origin::Set, path, &value)
}

/// The proxies from the text of a TOML list, as `set` takes it.
pub(super) fn proxies_from_text(text: &str) -> Result<Vec<push::PushDraft>> {
    let value = DeValue::parse(text).map_err(|e| {
        Place::new("", "push").error(format!("the value is not a TOML list: {}", one_line(e.message())))
    })?;
    push::list(&Origin::Set, "push", &value)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The entries as they stand in the text: the table itself may be sorted by name.
pub(super) fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a Name<'i>, &'a Item<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

pub(super) fn table_of<'a, 'i>(
    origin: &Origin<'_>,
    path: &str,
    value: &'a Item<'i>,
) -> Result<&'a DeTable<'i>> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        other => Err(origin
            .place(value.span(), path)
            .error(format!("expected a table, found {}", describe(other)))),
    }
}

fn pool(origin: &Origin<'_>, path: &str, table: &DeTable<'_>, draft: &mut PoolDraft) -> Result<()> {
    for (key, value) in in_order(table) {
        let full = format!("{path}.{}", key.get_ref());
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("probe", DeValue::Table(table)) => {
                section(origin, Scope::Probe, &full, table, &mut draft.probe)?;
            }
            ("probe", DeValue::String(_)) => {
                setting_as(origin, Scope::Probe, "mode", &full, value, &mut draft.probe)?;
            }
            ("probe", other) => {
                return Err(origin.place(value.span(), &full).error(format!(
                    "expected \"builtin\", \"external\" or a table, found {}",
                    describe(other)
                )));
            }
            ("service", _) => {
                for (name, value) in in_order(table_of(origin, &full, value)?) {
                    let full = format!("{full}.{}", name.get_ref());
                    let table = table_of(origin, &full, value)?;
                    let settings = draft.service_mut(name.get_ref(), origin.place(name.span(), &full))?;
                    section(origin, Scope::Service, &full, table, settings)?;
                }
            }
            ("nodes", _) => draft.nodes = Some(nodes(origin, &full, value)?),
            ("checkpoints", _) => draft.checkpoints = checkpoints::list(origin, &full, value)?,
            ("checks", _) => draft.checks = Some(checks::list(origin, &full, value)?),
            (name, DeValue::Table(inner)) if keys::find(Scope::Pool, name).is_none() => {
                // [pool.a.b] is the table b of the pool a: most likely a service or a name with a dot was meant.
                let has = |scope, name: &str| keys::find(scope, name).is_some();
                let problem = if inner.contains_key("role") {
                    format!("unknown table; a service stands in [{path}.service.{}]", name.escape_debug())
                } else if inner.keys().any(|key| has(Scope::Pool, key.get_ref())) {
                    "unknown table; a pool's name with a dot stands in quotes, as in [pool.\"a.b\"]".into()
                } else {
                    keys::unknown(Scope::Pool, name)
                };
                return Err(origin.place(key.span(), &full).error(problem));
            }
            _ => setting(origin, Scope::Pool, &full, key, value, &mut draft.settings)?,
        }
    }
    Ok(())
}

/// Reads all keys of a table that has only plain keys.
fn section(
    origin: &Origin<'_>,
    scope: Scope,
    path: &str,
    table: &DeTable<'_>,
    into: &mut Section,
) -> Result<()> {
    let mut password: Option<&Name<'_>> = None;
    for (key, value) in in_order(table) {
        let full = format!("{path}.{}", key.get_ref());
        setting(origin, scope, &full, key, value, into)?;
        if matches!(key.get_ref().as_ref(), "password_file" | "password_fd") {
            if let Some(first) = password {
                return Err(origin
                    .place(key.span(), &full)
                    .error(format!("{} is set too: a password has one source", first.get_ref())));
            }
            password = Some(key);
        }
    }
    Ok(())
}

pub(super) fn setting(
    origin: &Origin<'_>,
    scope: Scope,
    full: &str,
    key: &Name<'_>,
    value: &Item<'_>,
    into: &mut Section,
) -> Result<()> {
    let name = key.get_ref();
    match keys::find(scope, name) {
        None => Err(origin.place(key.span(), full).error(keys::unknown(scope, name))),
        Some(known) if !known.is_usable() => match read(&known.kind, Raw::Toml(value.get_ref())) {
            Err(problem) => Err(origin.place(key.span(), full).error(problem)),
            Ok(_) => Ok(()),
        },
        Some(known) => setting_as(origin, scope, known.name, full, value, into),
    }
}

fn setting_as(
    origin: &Origin<'_>,
    scope: Scope,
    name: &'static str,
    full: &str,
    value: &Item<'_>,
    into: &mut Section,
) -> Result<()> {
    let place = origin.place(value.span(), full);
    let Some(key) = keys::find(scope, name) else { return Err(place.error(keys::unknown(scope, name))) };
    let value = read(&key.kind, Raw::Toml(value.get_ref())).map_err(|problem| place.error(problem))?;
    into.set(name, value, place);
    Ok(())
}

fn nodes(origin: &Origin<'_>, path: &str, value: &Item<'_>) -> Result<Vec<NodeDraft>> {
    let list = origin.place(value.span(), path);
    let DeValue::Array(items) = value.get_ref() else {
        return Err(list.error(format!("expected a list of nodes, found {}", describe(value.get_ref()))));
    };
    let mut out = Vec::new();
    for (index, item) in items.iter().enumerate() {
        out.push(node(origin, &format!("{path}[{index}]"), item)?);
    }
    check_nodes(&out, &list)?;
    Ok(out)
}

fn node(origin: &Origin<'_>, path: &str, item: &Item<'_>) -> Result<NodeDraft> {
    let table = table_of(origin, path, item)?;
    let mut address = None;
    let mut settings = Section::default();
    let mut probe = Section::default();
    let mut checks = None;
    for (key, value) in in_order(table) {
        let full = format!("{path}.{}", key.get_ref());
        match key.get_ref().as_ref() {
            "address" => {
                let place = origin.place(value.span(), &full);
                let parsed = match value.get_ref() {
                    DeValue::String(text) => Address::parse(text),
                    other => Err(format!("expected an address in quotes, found {}", describe(other))),
                };
                address = Some((parsed.map_err(|problem| place.error(problem))?, place));
            }
            "probe" => {
                let table = table_of(origin, &full, value)?;
                section(origin, Scope::Probe, &full, table, &mut probe)?;
                if let Some(mode) = probe.get("mode") {
                    return Err(mode.place.error("who probes is set for a pool, not for one node"));
                }
            }
            "checks" => checks = Some(checks::list(origin, &full, value)?),
            _ => setting(origin, Scope::Node, &full, key, value, &mut settings)?,
        }
    }
    match address {
        Some((address, place)) => Ok(NodeDraft { address, place, settings, probe, checks }),
        None => Err(origin.place(item.span(), path).error("the node has no address")),
    }
}
