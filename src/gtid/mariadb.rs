//! MariaDB's replication positions.

use super::text::Cursor;
use crate::error::Result;
use core::fmt;
use std::collections::BTreeMap;

/// How much a [`MariaDbPosition`] knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// The last transaction of each domain, such as `@@gtid_current_pos`, `@@gtid_slave_pos` or `@@gtid_binlog_pos`.
    #[default]
    Position,
    /// The last transaction of each server in each domain, `@@gtid_binlog_state`.
    State,
}

/// What a MariaDB server has, as GTIDs `domain-server-sequence`, for example `0-1-100,1-2-5` (MariaDB Knowledge
/// Base, "Global Transaction ID").
///
/// MariaDB has no sets of transactions. It knows, per domain, how far it came, and its numbers mean what they seem
/// to mean only while the numbers of a domain grow: `gtid_strict_mode` enforces that per domain. Without it, and
/// for transactions that were kept out of the binary log, a comparison here proves nothing about gaps.
///
/// # The two bases
/// A [`Basis::Position`] holds one GTID per domain, and positions compare by its number. That misses a fork: a
/// crashed server at `0-1-105` seems contained in a successor that took over at 100 and is now at `0-2-110`, though
/// the transactions 101 to 105 of server 1 exist nowhere else. A [`Basis::State`] also says where each server's
/// transactions end, and finds them: the successor's state is `0-1-100,0-2-110`. Read `@@gtid_binlog_state` (with
/// `log_slave_updates`) wherever a decision hangs on it.
///
/// Under strict numbering, "not contained" is certain from either basis. "Contained" is certain from a state as
/// long as no server wrote again, under its old server id and domain, after it had lost transactions (rebuilt from a
/// copy that lacked them, or crashed without `sync_binlog=1`): its later numbers then seem to cover the lost ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MariaDbPosition {
    basis: Basis,
    /// Sequence number by server by domain. No map is empty, no number is 0. Of a position, all numbers of a domain
    /// are equal: there is one, or several where a union met a fork at the same number.
    domains: BTreeMap<u32, BTreeMap<u32, u64>>,
}

/// Transactions of one domain that one side has and the other lacks: at most the numbers `first..=last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainGap {
    /// The replication domain.
    pub domain: u32,
    /// The lowest number that may be lacking.
    pub first: u64,
    /// The highest number that is lacking.
    pub last: u64,
}

impl DomainGap {
    /// How many transactions that may be; an upper bound, as numbers of a domain may be skipped.
    pub fn count(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

impl fmt::Display for DomainGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.domain, self.first)?;
        if self.last > self.first { write!(f, "-{}", self.last) } else { Ok(()) }
    }
}

impl MariaDbPosition {
    /// Reads the text of a position, or of a state where it cannot be a position.
    ///
    /// Two different numbers in one domain exist only in a binary log state, so such a text becomes a
    /// [`Basis::State`]. White space around each GTID is skipped. A sequence number of 0 means "nothing yet" and
    /// leaves no trace. Where one server stands twice in a domain, its highest number counts.
    ///
    /// # Errors
    /// `Invalid`: the text names the byte and what was expected there. Domain and server are 32-bit numbers, the
    /// sequence number has 64 bits. Empty parts between commas are errors, as for the server; an empty text is the
    /// empty position.
    pub fn parse(text: &str) -> Result<MariaDbPosition> {
        let mut position = MariaDbPosition::parse_state(text)?;
        if position.domains.values().all(|servers| {
            let top = highest(servers);
            servers.values().all(|&sequence| sequence == top)
        }) {
            position.basis = Basis::Position;
        }
        Ok(position)
    }

    /// Reads the text of `@@gtid_binlog_state`; otherwise like [`MariaDbPosition::parse`].
    ///
    /// # Errors
    /// As for [`MariaDbPosition::parse`].
    pub fn parse_state(text: &str) -> Result<MariaDbPosition> {
        let mut state = MariaDbPosition { basis: Basis::State, ..MariaDbPosition::default() };
        walk(text, |domain, server, sequence| {
            state.raise(domain, server, sequence);
            true
        })?;
        Ok(state)
    }

    fn raise(&mut self, domain: u32, server: u32, sequence: u64) {
        if sequence > 0 {
            let entry = self.domains.entry(domain).or_default().entry(server).or_default();
            *entry = sequence.max(*entry);
        }
    }

    /// How much this value knows.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// Whether no domain has a transaction.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// The highest numbers of all domains added up: how many transactions there are if no number was skipped, and an
    /// upper bound else. `u64::MAX` where the sum does not fit.
    pub fn count(&self) -> u64 {
        self.domains.values().fold(0, |sum, servers| sum.saturating_add(highest(servers)))
    }

    /// Every GTID as (domain, server, sequence number), in the order of print.
    pub fn gtids(&self) -> impl Iterator<Item = (u32, u32, u64)> {
        self.domains.iter().flat_map(|(&d, servers)| servers.iter().map(move |(&s, &n)| (d, s, n)))
    }

    /// Whether this one has reached the GTID.
    ///
    /// A state must name the server with this number or a higher one. A position must be beyond the number in this
    /// domain, or at it by the same server; the same number by another server is another transaction.
    pub fn contains_gtid(&self, domain: u32, server: u32, sequence: u64) -> bool {
        if sequence == 0 {
            return true;
        }
        let Some(servers) = self.domains.get(&domain) else { return false };
        let own = servers.get(&server).copied().unwrap_or(0);
        own >= sequence || (self.basis == Basis::Position && highest(servers) > sequence)
    }

    /// Whether this one has reached all that `other` has reached. See the type for what that proves.
    ///
    /// Always the same as `other.subtract(self)` being empty.
    pub fn contains(&self, other: &MariaDbPosition) -> bool {
        other.domains.iter().all(|(&domain, servers)| self.lacks(domain, servers).next().is_none())
    }

    /// The (server, number) pairs among `servers` that this one has not reached.
    fn lacks<'a>(
        &'a self,
        domain: u32,
        servers: &'a BTreeMap<u32, u64>,
    ) -> impl Iterator<Item = (u32, u64)> + 'a {
        let pairs = servers.iter().map(|(&server, &n)| (server, n));
        pairs.filter(move |&(server, n)| !self.contains_gtid(domain, server, n))
    }

    /// The union: what a server has that applied both. Per domain and server the highest number.
    ///
    /// Two states make a state. A position among them makes a position: per domain the highest number wins, and at
    /// equal numbers by different servers, which is a fork, both stay. An empty one adds nothing.
    pub fn union(&self, other: &MariaDbPosition) -> MariaDbPosition {
        if self.is_empty() || other.is_empty() {
            return if self.is_empty() { other.clone() } else { self.clone() };
        }
        let mut union = self.clone();
        for (domain, server, sequence) in other.gtids() {
            union.raise(domain, server, sequence);
        }
        union.basis = self.basis.min(other.basis);
        if union.basis == Basis::Position {
            for servers in union.domains.values_mut() {
                let top = highest(servers);
                servers.retain(|_, n| *n == top);
            }
        }
        union
    }

    /// What this one has that `other` lacks, one gap per domain.
    ///
    /// The gap ends at the highest number that `other` lacks. Against a position it begins behind that position's
    /// number. Against a state it begins behind the last transaction that both certainly share: of each server that
    /// both name, the lower number. Both are upper bounds under strict numbering, and say nothing without it.
    pub fn subtract(&self, other: &MariaDbPosition) -> Vec<DomainGap> {
        let nothing = BTreeMap::new();
        let mut gaps = Vec::new();
        for (&domain, servers) in &self.domains {
            let theirs = other.domains.get(&domain).unwrap_or(&nothing);
            let shared = match other.basis {
                Basis::Position => highest(theirs),
                Basis::State => {
                    let both = servers.iter().filter_map(|(server, &n)| Some(n.min(*theirs.get(server)?)));
                    both.max().unwrap_or(0)
                }
            };
            let mut gap: Option<DomainGap> = None;
            for (server, last) in other.lacks(domain, servers) {
                // A lacking number at or below a shared one disproves strict numbering, or is a fork at that very
                // number: then only what `other` has of this server counts as shared.
                let start = match other.basis {
                    _ if shared < last => shared,
                    Basis::Position => last - 1,
                    Basis::State => theirs.get(&server).copied().unwrap_or(0),
                };
                let found = DomainGap { domain, first: start + 1, last };
                gap = Some(gap.map_or(found, |g| DomainGap {
                    domain,
                    first: g.first.min(found.first),
                    last: g.last.max(found.last),
                }));
            }
            gaps.extend(gap);
        }
        gaps
    }
}

fn highest(servers: &BTreeMap<u32, u64>) -> u64 {
    servers.values().copied().max().unwrap_or(0)
}

fn parse_u32(cursor: &mut Cursor<'_>, expected: &str) -> Result<u32> {
    cursor.number(expected, u64::from(u32::MAX)).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}

fn dash(cursor: &mut Cursor<'_>) -> Result<()> {
    if cursor.eat(b'-') { Ok(()) } else { Err(cursor.error(cursor.at(), "`-`")) }
}

/// GTIDs by domain, then by server, as `0-1-100,1-2-5`. The server prints its own in no defined order.
impl fmt::Display for MariaDbPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (domain, server, sequence)) in self.gtids().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{domain}-{server}-{sequence}")?;
        }
        Ok(())
    }
}

impl core::str::FromStr for MariaDbPosition {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<MariaDbPosition> {
        MariaDbPosition::parse(text)
    }
}

/// Reads the text of a position or state, shows each GTID as it stands there, and keeps nothing. Whether `holds` was true of all;
/// reads to the end in any case.
pub(super) fn walk(text: &str, mut holds: impl FnMut(u32, u32, u64) -> bool) -> Result<bool> {
    let mut cursor = Cursor::new("GTID position", text);
    let mut all = true;
    cursor.skip_space();
    if cursor.peek().is_none() {
        return Ok(all);
    }
    loop {
        cursor.skip_space();
        let domain = parse_u32(&mut cursor, "a domain number")?;
        dash(&mut cursor)?;
        let server = parse_u32(&mut cursor, "a server number")?;
        dash(&mut cursor)?;
        let sequence = cursor.number("a sequence number", u64::MAX)?;
        all &= holds(domain, server, sequence);
        cursor.skip_space();
        if cursor.peek().is_none() {
            return Ok(all);
        }
        if !cursor.eat(b',') {
            return Err(cursor.error(cursor.at(), "`,` or the end"));
        }
    }
}
