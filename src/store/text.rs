//! The stored document as text: one `key = value` a line, in a fixed order, closed by a checksum.
//!
//! ```text
//! primacy-cache 1
//! # Written by Primacy. Do not edit: the last line is a checksum over all bytes before it.
//! sequence = 42
//! written_ms = 1763724297123  # 2025-11-21T11:24:57.123Z
//!
//! [pool "main"]
//! epoch = 7
//! epoch_reserved = 1007
//! status = OK
//! removed = "10.0.1.13:3306"
//!
//! [node "10.0.1.11:3306"]
//! type = PRIMARY
//! state = ACTIVE
//! status = OK
//! count = 0
//! waits_for_recover = no
//! owed = no
//! rule = 12
//! observed_ms = 1763724297001  # 2025-11-21T11:24:57.001Z
//! changed_ms = 1763720000000  # 2025-11-21T10:13:20.000Z
//! message = "replication runs, no lag"
//! checksum = crc64 0123456789abcdef
//! ```
//!
//! `intent = yes` stands before `rule` where a node's intent to fail is on record, and is left out elsewhere.
//! A `[node …]` belongs to the `[pool …]` before it; `removed` comes once for every removed node. `count` is `none`
//! before the first probe. Keys and their order belong to the version in the first line: another key is another version.
//!
//! What operators set stands only where something is set. In a pool, after `status`:
//!
//! ```text
//! frozen = "a reason"
//! frozen_since_ms = 1763720000000  # 2025-11-21T10:13:20.000Z
//! frozen_until_ms = 1763723600000  # 2025-11-21T11:13:20.000Z
//! failback_waits = yes
//! ```
//!
//! and in a node, after `message`; `until_ms` only with a time limit:
//!
//! ```text
//! override = "a reason"
//! override_since_ms = 1763720000000  # 2025-11-21T10:13:20.000Z
//! override_until_ms = 1763723600000  # 2025-11-21T11:13:20.000Z
//! maintenance = move
//! set_state = STANDBY
//! set_status = OK
//! set_type = PRIMARY
//! set_weight = 0
//! ```
//!
//! Strings stand in double quotes; `\"`, `\\`, `\n`, `\r`, `\t` and `\u{hex}` are the escapes, so a string never ends its line.

use super::cache::{Cache, StoredNode, StoredPool};
use super::checksum::crc64;
use super::utc::format_utc;
use crate::error::{Error, ErrorCode, Result};
use crate::pool::{Freeze, MaintenanceRole, NodeOverride, NodeType, Override, PoolStatus, State, Status};
use core::fmt::Write;

const MAGIC: &str = "primacy-cache ";
const VERSION: u32 = 1;
const NOTE: &str =
    "# Written by Primacy. Do not edit: the last line is a checksum over all bytes before it.\n";
const CHECKSUM: &str = "checksum = crc64 ";
/// A version line longer than this belongs to no version of ours.
const LONGEST_VERSION_LINE: usize = 32;

/// Writes the document as text. [`decode`] gives an equal document back.
pub fn encode(cache: &Cache) -> String {
    let mut out = format!("{MAGIC}{VERSION}\n{NOTE}");
    put(&mut out, "sequence", cache.sequence);
    put_ms(&mut out, "written_ms", cache.written_ms);
    for pool in &cache.pools {
        put_section(&mut out, "pool", &pool.name);
        put(&mut out, "epoch", pool.epoch);
        put(&mut out, "epoch_reserved", pool.epoch_reserved);
        put(&mut out, "status", pool.status);
        if let Some(frozen) = &pool.frozen {
            put_text(&mut out, "frozen", &frozen.reason);
            put_ms(&mut out, "frozen_since_ms", frozen.since_ms);
            frozen.until_ms.into_iter().for_each(|until| put_ms(&mut out, "frozen_until_ms", until));
        }
        if pool.failback_waits {
            put(&mut out, "failback_waits", yes_no(true));
        }
        for node in &pool.removed {
            put_text(&mut out, "removed", node);
        }
        for node in &pool.nodes {
            put_node(&mut out, node);
        }
    }
    let sum = crc64(out.as_bytes());
    // Writing to a String cannot fail; so it is with all `write!` here.
    let _ = writeln!(out, "{CHECKSUM}{sum:016x}");
    out
}

fn put_node(out: &mut String, node: &StoredNode) {
    put_section(out, "node", &node.name);
    put(out, "type", node.node_type);
    put(out, "state", node.state);
    put(out, "status", node.status);
    match node.count {
        Some(count) => put(out, "count", count),
        None => put(out, "count", "none"),
    }
    put(out, "waits_for_recover", yes_no(node.waits_for_recover));
    put(out, "owed", yes_no(node.owed));
    if node.intent {
        put(out, "intent", yes_no(true));
    }
    put(out, "rule", node.rule);
    put_ms(out, "observed_ms", node.observed_ms);
    put_ms(out, "changed_ms", node.changed_ms);
    put_text(out, "message", &node.message);
    if let Some(over) = &node.override_ {
        put_override(out, over);
    }
}

fn put_override(out: &mut String, over: &NodeOverride) {
    put_text(out, "override", &over.reason);
    put_ms(out, "override_since_ms", over.since_ms);
    over.until_ms.into_iter().for_each(|until| put_ms(out, "override_until_ms", until));
    over.maintenance.into_iter().for_each(|role| put(out, "maintenance", role));
    over.set.state.into_iter().for_each(|state| put(out, "set_state", state));
    over.set.status.into_iter().for_each(|status| put(out, "set_status", status));
    over.set.node_type.into_iter().for_each(|node_type| put(out, "set_type", node_type));
    over.set.weight.into_iter().for_each(|weight| put(out, "set_weight", weight));
}

fn yes_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

fn put(out: &mut String, key: &str, value: impl core::fmt::Display) {
    let _ = writeln!(out, "{key} = {value}");
}

/// The comment is for the reader at night; 0 means "never" and gets none.
fn put_ms(out: &mut String, key: &str, ms: u64) {
    match format_utc(ms) {
        Some(date) if ms > 0 => put(out, key, format_args!("{ms}  # {date}")),
        _ => put(out, key, ms),
    }
}

fn put_text(out: &mut String, key: &str, value: &str) {
    put(out, key, Quoted(value));
}

fn put_section(out: &mut String, kind: &str, name: &str) {
    let _ = writeln!(out, "\n[{kind} {}]", Quoted(name));
}

struct Quoted<'a>(&'a str);

impl core::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if hides(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// Characters that a terminal obeys instead of showing: controls, line and paragraph separators, marks of direction.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Reads a document; `origin` names it in the error's text, usually the file's path.
///
/// # Errors
///
/// [`ErrorCode::Cache`] if the document is empty, truncated, torn, edited, foreign or of another version.
/// The text names `origin`, the byte (counted from 0) and what to do.
pub fn decode(bytes: &[u8], origin: &str) -> Result<Cache> {
    read(bytes).map_err(|fault| {
        Error::new(
            ErrorCode::Cache,
            format!(
                "{origin}: byte {}: {}; move the file aside and run `primacy init`",
                fault.at, fault.what
            ),
        )
    })
}

/// What is wrong and where.
struct Fault {
    at: usize,
    what: String,
}

fn fault<T>(at: usize, what: impl Into<String>) -> core::result::Result<T, Fault> {
    Err(Fault { at, what: what.into() })
}

type Read<T> = core::result::Result<T, Fault>;

fn read(bytes: &[u8]) -> Read<Cache> {
    let start = read_version(bytes)?;
    let (body, stated) = split_checksum(bytes)?;
    let sum = crc64(body);
    let parsed = match core::str::from_utf8(body) {
        Ok(text) => Reader { text, at: start }.cache(),
        Err(e) => fault(e.valid_up_to(), "this is not UTF-8"),
    };
    if sum == stated {
        return parsed;
    }
    // The checksum knows only that bytes differ; where the text makes no sense is a better place to look.
    match parsed {
        Err(Fault { at, what }) => {
            fault(at, format!("the file is damaged (its checksum does not match): {what}"))
        }
        Ok(_) => fault(
            body.len(),
            format!(
                "the file is damaged or edited: its checksum says {stated:016x}, the bytes before give {sum:016x}"
            ),
        ),
    }
}

/// Checks the first line; gives the place after it.
fn read_version(bytes: &[u8]) -> Read<usize> {
    if bytes.is_empty() {
        return fault(0, "the file is empty");
    }
    let magic = MAGIC.as_bytes();
    if let Some(at) = magic.iter().zip(bytes).position(|(ours, theirs)| ours != theirs) {
        return fault(at, "this is no cache of Primacy");
    }
    let head = bytes.get(..LONGEST_VERSION_LINE).unwrap_or(bytes);
    let Some(end) = head.iter().position(|b| *b == b'\n') else {
        return match bytes.len() < LONGEST_VERSION_LINE {
            true => fault(bytes.len(), "the file is cut off in its first line"),
            false => fault(magic.len(), "the first line names no version"),
        };
    };
    let word = head.get(magic.len()..end).unwrap_or_default();
    match core::str::from_utf8(word).ok().and_then(number::<u32>) {
        Some(VERSION) => Ok(end + 1),
        Some(other) => fault(
            magic.len(),
            format!(
                "the file has version {other} and this program reads version {VERSION}: \
                 use the program that wrote it, or start anew"
            ),
        ),
        None => fault(magic.len(), "the first line names no version"),
    }
}

/// Splits off the last line; gives the bytes before it and the checksum in it.
fn split_checksum(bytes: &[u8]) -> Read<(&[u8], u64)> {
    let Some((b'\n', lines)) = bytes.split_last() else {
        return fault(bytes.len(), "the file is cut off here");
    };
    let start = lines.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let (body, line) = lines.split_at(start);
    let sum = line.strip_prefix(CHECKSUM.as_bytes()).filter(|hex| {
        // Lower case alone, so that no flipped bit turns one spelling into another.
        hex.len() == 16 && hex.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    });
    match sum.and_then(|hex| core::str::from_utf8(hex).ok()).and_then(|hex| u64::from_str_radix(hex, 16).ok())
    {
        Some(sum) => Ok((body, sum)),
        None if line.starts_with(b"checksum") => fault(start, "the checksum in the last line is damaged"),
        None => fault(bytes.len(), "the file ends here without its checksum: it is cut off"),
    }
}

/// Digits alone: no sign, no blanks.
fn number<T: core::str::FromStr>(word: &str) -> Option<T> {
    word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}

/// A word that must stand as it is written by [`encode`].
fn exactly<T: Copy>(all: &[T], name: fn(T) -> &'static str, word: &str) -> Option<T> {
    all.iter().copied().find(|value| name(*value) == word)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn cache(&mut self) -> Read<Cache> {
        let sequence = self.number("sequence")?;
        let written_ms = self.number("written_ms")?;
        let mut pools: Vec<StoredPool> = Vec::new();
        while let Some((at, line)) = self.line() {
            if let Some(name) = section(line, "pool") {
                let name = unquote(at + "[pool ".len(), name)?;
                pools.push(self.pool(name)?);
            } else if let Some(name) = section(line, "node") {
                let name = unquote(at + "[node ".len(), name)?;
                let node = self.node(name)?;
                match pools.last_mut() {
                    Some(pool) => pool.nodes.push(node),
                    None => return fault(at, "a node stands before the first pool"),
                }
            } else {
                return fault(at, "expected [pool \"…\"] or [node \"…\"]");
            }
        }
        Ok(Cache { sequence, written_ms, pools })
    }

    fn pool(&mut self, name: String) -> Read<StoredPool> {
        let epoch = self.number("epoch")?;
        let epoch_reserved = self.number("epoch_reserved")?;
        let status =
            self.parsed("status", "OK or FAIL", |word| exactly(PoolStatus::ALL, PoolStatus::name, word))?;
        let frozen = match self.has("frozen") {
            true => Some(Freeze {
                reason: self.quoted("frozen")?,
                since_ms: self.number("frozen_since_ms")?,
                until_ms: self.optional("frozen_until_ms", Reader::number)?,
            }),
            false => None,
        };
        let failback_waits = self.optional("failback_waits", Reader::flag)?.unwrap_or(false);
        let mut removed = Vec::new();
        while self.has("removed") {
            removed.push(self.quoted("removed")?);
        }
        let nodes = Vec::new();
        Ok(StoredPool { name, epoch, epoch_reserved, status, frozen, failback_waits, removed, nodes })
    }

    fn node_override(&mut self) -> Read<Option<NodeOverride>> {
        if !self.has("override") {
            return Ok(None);
        }
        Ok(Some(NodeOverride {
            reason: self.quoted("override")?,
            since_ms: self.number("override_since_ms")?,
            until_ms: self.optional("override_until_ms", Reader::number)?,
            maintenance: self.optional("maintenance", |r, key| {
                r.parsed(key, "move or stay", |word| {
                    exactly(MaintenanceRole::ALL, MaintenanceRole::name, word)
                })
            })?,
            set: Override {
                state: self.optional("set_state", Reader::state)?,
                status: self.optional("set_status", Reader::status)?,
                node_type: self.optional("set_type", Reader::node_type)?,
                weight: self.optional("set_weight", |r, key| r.parsed(key, "a number below 2^32", number))?,
            },
        }))
    }

    /// Whether the next line has this key.
    fn has(&self, key: &str) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.strip_prefix(key).is_some_and(|rest| rest.starts_with(" = "))
    }

    fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Read<T>,
    ) -> Read<Option<T>> {
        if self.has(key) { read(self, key).map(Some) } else { Ok(None) }
    }

    fn quoted(&mut self, key: &str) -> Read<String> {
        let (at, value) = self.value(key)?;
        unquote(at, value)
    }

    fn state(&mut self, key: &'static str) -> Read<State> {
        self.parsed(key, "a node's state", |word| exactly(State::ALL, State::name, word))
    }

    fn status(&mut self, key: &'static str) -> Read<Status> {
        self.parsed(key, "a node's status", |word| exactly(Status::ALL, Status::name, word))
    }

    fn node_type(&mut self, key: &'static str) -> Read<NodeType> {
        self.parsed(key, "a node's type", |word| exactly(NodeType::ALL, NodeType::name, word))
    }

    fn flag(&mut self, key: &'static str) -> Read<bool> {
        self.parsed(key, "yes or no", |word| match word {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        })
    }

    fn node(&mut self, name: String) -> Read<StoredNode> {
        Ok(StoredNode {
            name,
            node_type: self.node_type("type")?,
            state: self.state("state")?,
            status: self.status("status")?,
            count: self.parsed("count", "a number below 2^32 or none", |word| match word {
                "none" => Some(None),
                word => number(word).map(Some),
            })?,
            waits_for_recover: self.flag("waits_for_recover")?,
            owed: self.flag("owed")?,
            intent: self.has("intent")
                && self.parsed("intent", "yes", |word| (word == "yes").then_some(true))?,
            rule: self.parsed("rule", "a rule's number", number)?,
            observed_ms: self.number("observed_ms")?,
            changed_ms: self.number("changed_ms")?,
            message: self.quoted("message")?,
            override_: self.node_override()?,
        })
    }

    /// The next line that says something, with its place.
    fn line(&mut self) -> Option<(usize, &'a str)> {
        loop {
            let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
            let at = self.at;
            let line = match rest.split_once('\n') {
                Some((line, _)) => line,
                None => rest,
            };
            self.at += line.len() + 1;
            if !line.is_empty() && !line.starts_with('#') {
                return Some((at, line));
            }
        }
    }

    fn value(&mut self, key: &str) -> Read<(usize, &'a str)> {
        let Some((at, line)) = self.line() else {
            return fault(self.text.len(), format!("expected {key} = …, and the file ends"));
        };
        match line.strip_prefix(key).and_then(|rest| rest.strip_prefix(" = ")) {
            Some(value) => Ok((at + line.len() - value.len(), value)),
            None => fault(at, format!("expected {key} = …")),
        }
    }

    fn parsed<T>(&mut self, key: &str, wanted: &str, parse: impl Fn(&str) -> Option<T>) -> Read<T> {
        let (at, value) = self.value(key)?;
        let word = value.split_once("  #").map_or(value, |(word, _)| word);
        match parse(word) {
            Some(value) => Ok(value),
            None => fault(at, format!("{key} is not {wanted}")),
        }
    }

    fn number(&mut self, key: &'static str) -> Read<u64> {
        self.parsed(key, "a number below 2^64", number)
    }
}

/// The quoted name in `[kind "name"]`.
fn section<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    line.strip_prefix('[')?.strip_prefix(kind)?.strip_prefix(' ')?.strip_suffix(']')
}

/// Takes quotes and escapes off a string that begins at byte `at`.
fn unquote(at: usize, quoted: &str) -> Read<String> {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else {
        return fault(at, "expected a text in double quotes");
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.char_indices();
    while let Some((offset, c)) = chars.next() {
        let here = at + 1 + offset;
        match c {
            '"' => return fault(here, "a double quote inside a text needs a backslash"),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some(c @ ('"' | '\\')) => out.push(c),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('u') => {
                    let rest = chars.as_str();
                    let hex =
                        rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(hex, _)| hex);
                    let c = hex
                        .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
                        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                        .and_then(char::from_u32);
                    let (Some(hex), Some(c)) = (hex, c) else {
                        return fault(here, "\\u needs the number of a character in braces");
                    };
                    out.push(c);
                    // Skips the digits and both braces.
                    chars.nth(hex.len() + 1);
                }
                _ => return fault(here, "unknown escape"),
            },
            c => out.push(c),
        }
    }
    Ok(out)
}
