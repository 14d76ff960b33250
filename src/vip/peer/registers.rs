//! The orders of operators, which every host keeps and merges: for each thing that can be ordered, the last order wins.
//!
//! An order has a version: a counter above all that its host had seen, and the host's name. The higher version wins, so hosts that hear
//! of each other's orders, in whatever sequence and however often, end with the same. Two orders given on both sides of a split are
//! resolved by counter, then by name.
//!
//! As text, in a message and in the state file alike, an order is one line:
//!
//! ```text
//! standby rt1 = yes @ 4 rt2        host rt1 stands by; the fourth order of all, given on rt2
//! wanted web = rt2 @ 5 rt1         the address web was moved to rt2
//! wanted web free @ 6 rt1          and set free again
//! cleared web rt1 @ 7 rt3          the failures of web on rt1 were cleared, for the time numbered 7
//! ```

use super::message::is_name;
use crate::error::{Error, ErrorCode, Result};
use crate::store::checksum::crc64;
use core::fmt;
use std::collections::BTreeMap;

/// The most things that can have been ordered. What comes beyond is refused.
pub const MOST: usize = 4096;
/// The highest counter that is believed: nobody gives so many orders, so a higher one is damage.
const HIGHEST: u64 = 1 << 53;

const MAGIC: &str = "primacy-tier-orders ";
const VERSION: u32 = 1;
const NOTE: &str =
    "# Written by Primacy. Do not edit: the last line is a checksum over all bytes before it.\n";
const CHECKSUM: &str = "checksum = crc64 ";

/// What an operator orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// `standby`, `unstandby`: whether a host keeps away from all addresses.
    Standby {
        /// The host.
        host: String,
        /// Whether it does.
        standby: bool,
    },
    /// `move`, and its end: which host shall own an address; `None` sets it free.
    Want {
        /// The address.
        vip: String,
        /// The host.
        host: Option<String>,
    },
    /// `clear`: the failures of an address on a host are forgotten.
    ClearFailures {
        /// The address.
        vip: String,
        /// The host.
        host: String,
    },
}

/// What can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Standby(String),
    Wanted(String),
    Cleared(String, String),
}

/// What was ordered. The version comes first, so that the greater entry wins; the same version with two values is no order of ours,
/// and still all hosts choose the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    counter: u64,
    by: String,
    value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Flag(bool),
    Host(Option<String>),
    Done,
}

/// All orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    entries: BTreeMap<Key, Entry>,
    digest: u64,
}

impl Registers {
    /// Whether a host was ordered to stand by.
    pub fn standby(&self, host: &str) -> bool {
        let key = Key::Standby(host.to_string());
        self.entries.get(&key).is_some_and(|entry| entry.value == Value::Flag(true))
    }

    /// The host to which an address was moved.
    pub fn wanted(&self, vip: &str) -> Option<&str> {
        match &self.entries.get(&Key::Wanted(vip.to_string()))?.value {
            Value::Host(host) => host.as_deref(),
            _ => None,
        }
    }

    /// The number of the last order to clear the failures of an address on a host; 0 before the first. Whoever sees it rise forgets
    /// the failures.
    pub fn cleared(&self, vip: &str, host: &str) -> u64 {
        let key = Key::Cleared(vip.to_string(), host.to_string());
        self.entries.get(&key).map_or(0, |entry| entry.counter)
    }

    /// A number over all orders: equal where they are the same.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many things were ordered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was ever ordered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes an order that was given on the host `by`.
    ///
    /// # Errors
    /// A sentence that names what is no name, or says that there are too many.
    pub fn order(&mut self, by: &str, order: &Order) -> core::result::Result<(), String> {
        let (key, value) = match order.clone() {
            Order::Standby { host, standby } => (Key::Standby(host), Value::Flag(standby)),
            Order::Want { vip, host } => (Key::Wanted(vip), Value::Host(host)),
            Order::ClearFailures { vip, host } => (Key::Cleared(vip, host), Value::Done),
        };
        let counter = self.entries.values().map(|entry| entry.counter).max().unwrap_or(0) + 1;
        let line = Line { key: &key, entry: &Entry { counter, by: by.to_string(), value } }.to_string();
        // What cannot be read back must not be kept.
        let (key, entry) = parse(&line).ok_or_else(|| {
            format!("`{line}` is no order: names have 1 to 64 letters, digits, `.`, `-` or `_`")
        })?;
        match self.put(key, entry) {
            Put::Full => Err(format!("{MOST} things were ordered already; no more fit")),
            _ => Ok(()),
        }
    }

    /// Takes one line of another host: whether it changed anything. `None` if it cannot be read or is one too many.
    pub(super) fn merge_line(&mut self, line: &str) -> Option<bool> {
        let (key, entry) = parse(line)?;
        match self.put(key, entry) {
            Put::New => Some(true),
            Put::Old => Some(false),
            Put::Full => None,
        }
    }

    /// Takes all orders of another copy: whether that changed anything.
    pub fn merge(&mut self, other: &Registers) -> bool {
        let mut changed = false;
        for (key, entry) in &other.entries {
            changed |= matches!(self.put(key.clone(), entry.clone()), Put::New);
        }
        changed
    }

    fn put(&mut self, key: Key, entry: Entry) -> Put {
        let sum = |key: &Key, entry: &Entry| crc64(Line { key, entry }.to_string().as_bytes());
        match self.entries.get(&key) {
            Some(old) if *old >= entry => return Put::Old,
            Some(old) => self.digest ^= sum(&key, old),
            None if self.entries.len() >= MOST => return Put::Full,
            None => {}
        }
        self.digest ^= sum(&key, &entry);
        self.entries.insert(key, entry);
        Put::New
    }

    /// Every order as its line.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.entries.iter().map(|(key, entry)| Line { key, entry }.to_string())
    }

    /// The state file. [`Registers::decode`] gives the same back.
    pub fn encode(&self) -> String {
        let mut out = format!("{MAGIC}{VERSION}\n{NOTE}");
        for line in self.lines() {
            out.push_str(&line);
            out.push('\n');
        }
        let sum = crc64(out.as_bytes());
        out.push_str(&format!("{CHECKSUM}{sum:016x}\n"));
        out
    }

    /// Reads a state file; `origin` names it in an error's text.
    ///
    /// # Errors
    /// [`ErrorCode::Cache`] if it is truncated, edited, foreign or of another version. The text says what to do: without the file a
    /// host starts with no orders, and hears them again from the others.
    pub fn decode(bytes: &[u8], origin: &str) -> Result<Registers> {
        read(bytes).map_err(|what| {
            let text = format!(
                "{origin}: {what}; move the file aside: the orders come back from the other hosts of the tier"
            );
            Error::new(ErrorCode::Cache, text)
        })
    }
}

enum Put {
    New,
    Old,
    Full,
}

struct Line<'a> {
    key: &'a Key,
    entry: &'a Entry,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key {
            Key::Standby(host) => write!(f, "standby {host}")?,
            Key::Wanted(vip) => write!(f, "wanted {vip}")?,
            Key::Cleared(vip, host) => write!(f, "cleared {vip} {host}")?,
        }
        match &self.entry.value {
            Value::Flag(flag) => write!(f, " = {}", if *flag { "yes" } else { "no" })?,
            Value::Host(Some(host)) => write!(f, " = {host}")?,
            Value::Host(None) => f.write_str(" free")?,
            Value::Done => {}
        }
        write!(f, " @ {} {}", self.entry.counter, self.entry.by)
    }
}

/// Reads a line; only the spelling that is written is taken.
fn parse(line: &str) -> Option<(Key, Entry)> {
    let name = |text: &str| is_name(text).then(|| text.to_string());
    let words: Vec<&str> = line.split(' ').collect();
    let (key, value, counter, by) = match *words {
        ["standby", host, "=", flag @ ("yes" | "no"), "@", counter, by] => {
            (Key::Standby(name(host)?), Value::Flag(flag == "yes"), counter, by)
        }
        ["wanted", vip, "free", "@", counter, by] => {
            (Key::Wanted(name(vip)?), Value::Host(None), counter, by)
        }
        ["wanted", vip, "=", host, "@", counter, by] => {
            (Key::Wanted(name(vip)?), Value::Host(Some(name(host)?)), counter, by)
        }
        ["cleared", vip, host, "@", counter, by] => {
            (Key::Cleared(name(vip)?, name(host)?), Value::Done, counter, by)
        }
        _ => return None,
    };
    let digits = counter.bytes().all(|b| b.is_ascii_digit()) && !counter.starts_with('0');
    let counter = counter.parse().ok().filter(|counter| digits && *counter <= HIGHEST)?;
    Some((key, Entry { counter, by: name(by)?, value }))
}

fn read(bytes: &[u8]) -> core::result::Result<Registers, String> {
    let text = core::str::from_utf8(bytes).map_err(|e| format!("byte {} is no UTF-8", e.valid_up_to()))?;
    let version = text.strip_prefix(MAGIC).ok_or("this is no file of the orders of a tier")?;
    let version = version.split('\n').next().unwrap_or_default();
    if version != VERSION.to_string() {
        return Err("it has another version".to_string());
    }
    // The last line, with its end.
    let at = text.strip_suffix('\n').and_then(|t| t.rfind('\n')).map(|at| at + 1).ok_or("it is cut short")?;
    let (body, last) = text.split_at(at);
    let sum = last
        .trim_end_matches('\n')
        .strip_prefix(CHECKSUM)
        .ok_or("it is cut short: the checksum is missing")?;
    if sum != format!("{:016x}", crc64(body.as_bytes())) {
        return Err("the checksum does not fit: it was edited or damaged".to_string());
    }
    let mut registers = Registers::default();
    for (number, line) in body.lines().enumerate().skip(1) {
        if line.starts_with('#') {
            continue;
        }
        if registers.merge_line(line) != Some(true) {
            return Err(format!("line {}: this is no order", number + 1));
        }
    }
    Ok(registers)
}
