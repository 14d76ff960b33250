//! MySQL's GTID sets, with the tags of MySQL 8.3 and later.

use super::intervals::{self, Interval};
use super::text::Cursor;
use crate::error::Result;
use core::fmt;
use std::collections::BTreeMap;

/// The highest transaction number that the server gives out or accepts: 2^63 - 2.
///
/// MySQL Reference Manual, "GTID Format and Storage"; the server's `GNO_END` is the first number beyond.
pub const MAX_NUMBER: u64 = i64::MAX as u64 - 1;

/// The longest tag, in characters (MySQL Reference Manual, "GTID Format and Storage").
pub const MAX_TAG: usize = 32;

/// Where a transaction comes from: a server's UUID and, since MySQL 8.3, possibly a tag.
///
/// Ordered as the server prints them: by UUID, then by tag, transactions without tag first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tsid {
    /// The UUID, its first text digit in the highest bits.
    pub uuid: u128,
    /// The tag in lower case; empty for none.
    pub tag: String,
}

impl fmt::Display for Tsid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(f, self.uuid)?;
        if self.tag.is_empty() { Ok(()) } else { write!(f, ":{}", self.tag) }
    }
}

/// A set of MySQL transactions, such as `@@gtid_executed`.
///
/// Held as intervals, so that its size follows the length of its text, never the number of its transactions.
///
/// # Text
/// `uuid[:tag]:first[-last][:first[-last]…][:tag:…][,uuid:…]`, for example
/// `3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7,4350f323-7565-4e59-8763-4b1b83a0ce0e:1-20:blue:3`
/// (MySQL Reference Manual, "GTID Format and Storage").
///
/// `{}` prints the server's canonical form on one line; `{:#}` prints a line feed after each comma between UUIDs,
/// byte for byte as `@@gtid_executed` has it. The server accepts both.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MySqlGtidSet {
    /// Normal lists; none of them empty, so that equal sets are equal values.
    sources: BTreeMap<Tsid, Vec<Interval>>,
}

impl MySqlGtidSet {
    /// Reads the text of a set.
    ///
    /// Accepts what MySQL 9.7 accepts: white space around every element, any letter case, intervals in any order,
    /// overlapping or twice, UUIDs and tags twice or without intervals, empty parts between commas, intervals whose
    /// end is below their beginning, which hold nothing, and UUIDs with dashes, without, or in braces. One thing it
    /// refuses: leading zeros, as older servers read `010` as octal 8 and newer ones as 10.
    ///
    /// # Errors
    /// `Invalid`: the text names the byte and what was expected there. Numbers outside 1 to [`MAX_NUMBER`] are
    /// errors; only the end of an interval may be 0.
    pub fn parse(text: &str) -> Result<MySqlGtidSet> {
        let mut cursor = Cursor::new("GTID set", text);
        let mut set = MySqlGtidSet::default();
        loop {
            cursor.skip_space();
            if cursor.eat(b',') {
                continue;
            }
            if cursor.peek().is_none() {
                break;
            }
            set.parse_uuid_part(&mut cursor)?;
            if !matches!(cursor.peek(), None | Some(b',')) {
                return Err(cursor.error(cursor.at(), "`:`, `,` or the end"));
            }
        }
        for list in set.sources.values_mut() {
            intervals::normalise(list);
        }
        Ok(set)
    }

    /// Reads one UUID and all that follows up to the comma. Lists stay unsorted.
    fn parse_uuid_part(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let uuid = parse_uuid(cursor)?;
        let mut source = Tsid { uuid, tag: String::new() };
        let mut list = Vec::new();
        cursor.skip_space();
        while cursor.eat(b':') {
            cursor.skip_space();
            if let Some(tag) = parse_tag(cursor)? {
                let tag = tag.as_str().to_owned();
                self.append(core::mem::replace(&mut source, Tsid { uuid, tag }), core::mem::take(&mut list));
            } else if let Some(interval) = parse_interval(cursor)? {
                list.push(interval);
            }
            cursor.skip_space();
        }
        self.append(source, list);
        Ok(())
    }

    fn append(&mut self, source: Tsid, mut list: Vec<Interval>) {
        if !list.is_empty() {
            self.sources.entry(source).or_default().append(&mut list);
        }
    }

    /// Whether the set holds no transaction.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// How many transactions the set holds; `u64::MAX` where that does not fit.
    pub fn count(&self) -> u64 {
        self.intervals().fold(0, |sum: u64, (_, i)| sum.saturating_add(i.count()))
    }

    /// Every interval with its source, in the order of print.
    pub fn intervals(&self) -> impl Iterator<Item = (&Tsid, Interval)> {
        self.sources.iter().flat_map(|(source, list)| list.iter().map(move |&i| (source, i)))
    }

    /// Whether every transaction of `other` is in this set: `GTID_SUBSET(other, self)`.
    pub fn contains(&self, other: &MySqlGtidSet) -> bool {
        other.sources.iter().all(|(source, part)| {
            self.sources.get(source).is_some_and(|whole| intervals::contains(whole, part))
        })
    }

    /// Whether this one transaction is in the set.
    pub fn contains_gtid(&self, source: &Tsid, number: u64) -> bool {
        self.sources.get(source).is_some_and(|list| intervals::contains_number(list, number))
    }

    /// Whether all these transactions of one source are in the set. Makes no memory.
    pub(super) fn contains_interval(&self, uuid: u128, tag: &str, need: Interval) -> bool {
        let from = Tsid { uuid, tag: String::new() };
        let own = self.sources.range(from..).take_while(|(source, _)| source.uuid == uuid);
        own.filter(|(source, _)| source.tag == tag).any(|(_, list)| intervals::covers(list, need))
    }

    /// The transactions in either set.
    pub fn union(&self, other: &MySqlGtidSet) -> MySqlGtidSet {
        let mut sources = self.sources.clone();
        for (source, more) in &other.sources {
            let list = sources.entry(source.clone()).or_default();
            list.extend_from_slice(more);
            intervals::normalise(list);
        }
        MySqlGtidSet { sources }
    }

    /// The transactions of this set that are not in `other`: `GTID_SUBTRACT(self, other)`.
    pub fn subtract(&self, other: &MySqlGtidSet) -> MySqlGtidSet {
        let rest = self.sources.iter().map(|(source, list)| match other.sources.get(source) {
            Some(less) => (source, intervals::subtract(list, less)),
            None => (source, list.clone()),
        });
        MySqlGtidSet::collect(rest)
    }

    /// The transactions in both sets.
    pub fn intersect(&self, other: &MySqlGtidSet) -> MySqlGtidSet {
        let common = self.sources.iter().filter_map(|(source, list)| {
            other.sources.get(source).map(|more| (source, intervals::intersect(list, more)))
        });
        MySqlGtidSet::collect(common)
    }

    fn collect<'a>(parts: impl Iterator<Item = (&'a Tsid, Vec<Interval>)>) -> MySqlGtidSet {
        let kept = parts.filter(|(_, list)| !list.is_empty());
        MySqlGtidSet { sources: kept.map(|(source, list)| (source.clone(), list)).collect() }
    }

    /// Prints at most `limit` intervals; returns how many are left unprinted.
    pub(super) fn write_some(
        &self,
        out: &mut dyn fmt::Write,
        separator: &str,
        limit: usize,
    ) -> core::result::Result<usize, fmt::Error> {
        let mut before: Option<&Tsid> = None;
        for (source, interval) in self.intervals().take(limit) {
            match before {
                Some(b) if b == source => {}
                // The server does not repeat the UUID for its next tag.
                Some(b) if b.uuid == source.uuid => write!(out, ":{}", source.tag)?,
                Some(_) => write!(out, "{separator}{source}")?,
                None => write!(out, "{source}")?,
            }
            before = Some(source);
            write!(out, ":{}", interval.first)?;
            if interval.last > interval.first {
                write!(out, "-{}", interval.last)?;
            }
        }
        let all: usize = self.sources.values().map(Vec::len).sum();
        Ok(all.saturating_sub(limit))
    }
}

impl fmt::Display for MySqlGtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if f.alternate() { ",\n" } else { "," };
        self.write_some(f, separator, usize::MAX).map(|_| ())
    }
}

impl core::str::FromStr for MySqlGtidSet {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<MySqlGtidSet> {
        MySqlGtidSet::parse(text)
    }
}

fn write_uuid(f: &mut fmt::Formatter<'_>, uuid: u128) -> fmt::Result {
    let low = uuid & 0xffff_ffff_ffff;
    let [a, b, c, d] =
        [(96, 32), (80, 16), (64, 16), (48, 16)].map(|(at, bits)| uuid >> at & ((1 << bits) - 1));
    write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{low:012x}")
}

/// 32 hexadecimal digits, with dashes before the 9th, 13th, 17th and 21st or with none; with dashes also in braces.
fn parse_uuid(cursor: &mut Cursor<'_>) -> Result<u128> {
    let start = cursor.at();
    let braces = cursor.eat(b'{');
    let mut dashes = braces;
    let mut uuid = 0_u128;
    let mut fits = true;
    for place in 0..32 {
        if place == 8 && !braces {
            dashes = cursor.eat(b'-');
        } else if dashes && matches!(place, 8 | 12 | 16 | 20) {
            fits = fits && cursor.eat(b'-');
        }
        match cursor.eat_if(|b| b.is_ascii_hexdigit()) {
            Some(digit) if fits => uuid = uuid << 4 | u128::from((digit as char).to_digit(16).unwrap_or(0)),
            _ => fits = false,
        }
    }
    if fits && (!braces || cursor.eat(b'}')) { Ok(uuid) } else { Err(cursor.error(start, "a UUID")) }
}

/// A tag as it is read, in lower case.
#[derive(Clone, Copy, Default)]
pub(super) struct Tag {
    bytes: [u8; MAX_TAG],
    length: usize,
}

impl Tag {
    pub fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|tag| core::str::from_utf8(tag).ok()).unwrap_or_default()
    }
}

/// A tag, if a letter or underscore comes next: then up to 32 letters, digits and underscores.
fn parse_tag(cursor: &mut Cursor<'_>) -> Result<Option<Tag>> {
    let start = cursor.at();
    let mut tag = Tag::default();
    while let Some(byte) =
        cursor.eat_if(|b| b.is_ascii_alphabetic() || b == b'_' || (b.is_ascii_digit() && tag.length > 0))
    {
        let Some(place) = tag.bytes.get_mut(tag.length) else {
            return Err(cursor.error(start, "a tag of at most 32 characters"));
        };
        *place = byte.to_ascii_lowercase();
        tag.length += 1;
    }
    if tag.length == 0 {
        return Ok(None);
    }
    cursor.skip_space();
    match cursor.peek() {
        None | Some(b':' | b',') => Ok(Some(tag)),
        Some(_) => Err(cursor.error(cursor.at(), "`:`, `,` or the end after the tag")),
    }
}

/// Reads a text as [`MySqlGtidSet::parse`] does, shows each interval as it stands there, and keeps nothing. Whether `holds` was
/// true of all; reads to the end in any case.
pub(super) fn walk(text: &str, mut holds: impl FnMut(u128, &str, Interval) -> bool) -> Result<bool> {
    let mut cursor = Cursor::new("GTID set", text);
    let mut all = true;
    loop {
        cursor.skip_space();
        if cursor.eat(b',') {
            continue;
        }
        if cursor.peek().is_none() {
            return Ok(all);
        }
        let uuid = parse_uuid(&mut cursor)?;
        let mut tag = Tag::default();
        cursor.skip_space();
        while cursor.eat(b':') {
            cursor.skip_space();
            if let Some(next) = parse_tag(&mut cursor)? {
                tag = next;
            } else if let Some(interval) = parse_interval(&mut cursor)? {
                all &= holds(uuid, tag.as_str(), interval);
            }
            cursor.skip_space();
        }
        if !matches!(cursor.peek(), None | Some(b',')) {
            return Err(cursor.error(cursor.at(), "`:`, `,` or the end"));
        }
    }
}

/// `first` or `first-last`; nothing if it holds nothing.
fn parse_interval(cursor: &mut Cursor<'_>) -> Result<Option<Interval>> {
    let start = cursor.at();
    let first = parse_number(cursor, "a transaction number or a tag")?;
    if first == 0 {
        return Err(cursor.error(start, "a transaction number of at least 1"));
    }
    cursor.skip_space();
    let last = if cursor.eat(b'-') {
        cursor.skip_space();
        parse_number(cursor, "the interval's last number")?
    } else {
        first
    };
    Ok((first <= last).then_some(Interval { first, last }))
}

fn parse_number(cursor: &mut Cursor<'_>, expected: &str) -> Result<u64> {
    let start = cursor.at();
    let zero = cursor.peek() == Some(b'0');
    let value = cursor.number(expected, MAX_NUMBER)?;
    if zero && cursor.at() - start > 1 {
        return Err(
            cursor.error(start, "a decimal number without leading zeros (to some servers they mean octal)")
        );
    }
    Ok(value)
}
