//! Tables as bytes, for processes that select from what another one decided.
//!
//! Little endian; texts and lists are led by their count in 32 bits. What follows from the rest (addresses as the system takes them,
//! costs, wheels, columns) is not written but made anew by who reads, so bytes from a stranger can name no address that is not
//! in a slot, and no slot that is not there.

use super::backend::{BackendAddress, Reason, flags};
use super::standing::Standing;
use super::table::{Closed, Entry, Nobody, PickList, Seat, ServiceTable, Slot};
use crate::config::{OnStale, Role, Strategy};
use crate::engine::time::Duration;
use crate::error::{Error, ErrorCode, Result};
use crate::gtid::{Basis, Gtids};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Raised when bytes of before mean something else.
pub const FORMAT: u32 = 1;

/// More slots than a service can have.
const MOST_SLOTS: usize = 65_536;

/// `standing` by its number in the bytes.
const STANDINGS: [Standing; 7] = [
    Standing::Takes,
    Standing::Spare,
    Standing::Held,
    Standing::Waits,
    Standing::Stays,
    Standing::Drains,
    Standing::Ends,
];

const SEATS: [Seat; 3] = [Seat::Ended, Seat::Serves, Seat::Drains];

/// The bytes of all tables of an instance. A table that says the instance was stopped is left out: that is true of one process.
pub fn encode<'a>(tables: impl IntoIterator<Item = &'a ServiceTable>) -> Vec<u8> {
    let tables: Vec<&ServiceTable> =
        tables.into_iter().filter(|table| table.closed != Some(Closed::Stopped)).collect();
    let mut out = Out::default();
    // Services of one pool know the same sets: each is written once.
    let mut places: BTreeMap<&Gtids, u32> = BTreeMap::new();
    for gtids in tables.iter().flat_map(|table| &table.slots).filter_map(|slot| slot.gtids.as_deref()) {
        let next = places.len() as u32;
        places.entry(gtids).or_insert(next);
    }
    let mut sets: Vec<(&Gtids, u32)> = places.iter().map(|(gtids, at)| (*gtids, *at)).collect();
    sets.sort_unstable_by_key(|(_, at)| *at);
    out.count(sets.len());
    for (gtids, _) in sets {
        out.u8(match gtids {
            Gtids::MySql(_) => 1,
            Gtids::MariaDb(position) if position.basis() == Basis::Position => 2,
            Gtids::MariaDb(_) => 3,
        });
        out.text(&gtids.to_string());
    }
    out.count(tables.len());
    for table in tables {
        out.table(table, &places);
    }
    out.0
}

/// The tables in `bytes`.
///
/// # Errors
/// [`ErrorCode::Cache`], naming the byte and what is wrong there. Memory is taken for bytes that are there, never for a count.
pub fn decode(bytes: &[u8]) -> Result<Vec<ServiceTable>> {
    let mut from = In { bytes, at: 0 };
    let mut sets = Vec::new();
    for _ in 0..from.count()? {
        let (kind, text) = (from.u8()?, from.text()?);
        let set = match kind {
            1 => Gtids::parse_mysql(&text),
            2 => Gtids::parse_mariadb(&text),
            3 => Gtids::parse_mariadb_state(&text),
            _ => return Err(from.bad("a kind of transaction set that is none")),
        };
        sets.push(Arc::new(set.map_err(|_| from.bad("a transaction set that is none"))?));
    }
    let mut tables = Vec::new();
    for _ in 0..from.count()? {
        tables.push(from.table(&sets)?);
    }
    match from.bytes.len() == from.at {
        true => Ok(tables),
        false => Err(from.bad("bytes after the last table")),
    }
}

#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn table(&mut self, table: &ServiceTable, sets: &BTreeMap<&Gtids, u32>) {
        self.text(&table.pool);
        self.text(&table.service);
        self.u64(table.epoch);
        self.u8(table.role as u8);
        self.u8(table.strategy as u8);
        self.u8(table.stale as u8);
        self.u64(u64::try_from(table.stale_after.as_nanos()).unwrap_or(u64::MAX));
        self.u8(u8::from(table.closed.is_some()));
        match &table.nobody {
            None => self.u8(0),
            Some(nobody) => {
                self.u8(1 + u8::from(nobody.paused));
                self.text(&nobody.text);
            }
        }
        self.count(table.slots.len());
        for slot in &table.slots {
            self.slot(slot, sets);
        }
        self.entries(&table.all.entries);
        self.entries(&table.rest);
        self.count(table.sites.len());
        for (site, list) in &table.sites {
            self.text(site);
            self.entries(&list.entries);
        }
        self.u32(table.active.as_ref().map_or(u32::MAX, |entry| entry.backend.slot));
    }

    fn slot(&mut self, slot: &Slot, sets: &BTreeMap<&Gtids, u32>) {
        self.text(&slot.node);
        match &slot.address {
            None => self.u8(0),
            Some(BackendAddress::Ip(IpAddr::V4(ip), port)) => {
                self.u8(1);
                self.0.extend_from_slice(&ip.octets());
                self.u32(u32::from(*port));
            }
            Some(BackendAddress::Ip(IpAddr::V6(ip), port)) => {
                self.u8(2);
                self.0.extend_from_slice(&ip.octets());
                self.u32(u32::from(*port));
            }
            Some(BackendAddress::Unix(path)) => {
                self.u8(3);
                self.text(path);
            }
        }
        self.u64(slot.generation);
        self.u8(SEATS.iter().position(|seat| *seat == slot.seat).unwrap_or(0) as u8);
        self.u8(STANDINGS.iter().position(|standing| *standing == slot.standing).unwrap_or(6) as u8);
        self.u32(u32::from(slot.rule));
        self.u32(slot.weight);
        self.u32(slot.share);
        self.text(&slot.site);
        match slot.trial {
            None => self.u8(0),
            Some(trial) => {
                self.u8(1);
                self.u64(trial);
            }
        }
        self.u8(u8::from(slot.troubled) | u8::from(slot.active) << 1);
        let set = slot.gtids.as_deref().and_then(|gtids| sets.get(gtids).copied());
        self.u32(set.unwrap_or(u32::MAX));
    }

    fn entries(&mut self, entries: &[Entry]) {
        self.count(entries.len());
        for entry in entries {
            self.u32(entry.backend.slot);
            // A trial hides what the node is else; only whether it is a fallback shows.
            let reason = match Reason::from_number(entry.backend.reason) {
                Some(Reason::Trial) if entry.backend.flags & flags::FALLBACK != 0 => Reason::Fallback,
                Some(Reason::Trial) | None => Reason::Role,
                Some(reason) => reason,
            };
            self.u8(reason as u8);
        }
    }
}

struct In<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl In<'_> {
    fn bad(&self, what: &str) -> Error {
        Error::new(ErrorCode::Cache, format!("byte {}: {what}", self.at))
    }

    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return Err(self.bad("the tables end too early")) };
        let taken = self.bytes.get(self.at..end).unwrap_or_default();
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of things that take a byte each at least.
    fn count(&mut self) -> Result<usize> {
        let count = self.u32()? as usize;
        match count <= self.bytes.len() - self.at {
            true => Ok(count),
            false => Err(self.bad("a count that is too large")),
        }
    }

    fn text(&mut self) -> Result<String> {
        let count = self.count()?;
        let text = core::str::from_utf8(self.take(count)?).map(str::to_owned);
        text.map_err(|_| self.bad("a text that is not UTF-8"))
    }

    fn word<T>(&mut self, read: impl Fn(i32) -> Option<T>, what: &str) -> Result<T> {
        let number = self.u8()?;
        read(i32::from(number)).ok_or_else(|| self.bad(what))
    }

    fn flag(&mut self) -> Result<bool> {
        self.word(|n| [false, true].get(n as usize).copied(), "a flag that is neither 0 nor 1")
    }

    fn table(&mut self, sets: &[Arc<Gtids>]) -> Result<ServiceTable> {
        let (pool, service, epoch) = (self.text()?, self.text()?, self.u64()?);
        let role = self.word(Role::from_number, "a role that is none")?;
        let strategy = self.word(Strategy::from_number, "a strategy that is none")?;
        let stale = self.word(OnStale::from_number, "a word for `stale` that is none")?;
        let stale_after = Duration::from_nanos(self.u64()?);
        let closed = self.flag()?.then_some(Closed::Gone);
        let nobody = match self.u8()? {
            0 => None,
            paused @ 1..=2 => Some(Nobody { paused: paused == 2, text: self.text()? }),
            _ => return Err(self.bad("a flag that is none")),
        };
        let count = self.count()?;
        if count > MOST_SLOTS {
            return Err(self.bad("more slots than a service can have"));
        }
        let mut slots = Vec::new();
        for _ in 0..count {
            slots.push(self.slot(sets)?);
        }
        let all = PickList::new(strategy, self.entries(&slots, epoch)?);
        let rest = self.entries(&slots, epoch)?;
        let mut sites = Vec::new();
        for _ in 0..self.count()? {
            sites.push((self.text()?, PickList::new(strategy, self.entries(&slots, epoch)?)));
        }
        let active = match self.u32()? {
            u32::MAX => None,
            number => Some(self.entry(&slots, number, epoch, Reason::GtidActive)?),
        };
        Ok(ServiceTable {
            pool,
            service,
            epoch,
            role,
            strategy,
            stale,
            stale_after,
            slots,
            all,
            rest,
            sites,
            active,
            nobody,
            closed,
        })
    }

    fn slot(&mut self, sets: &[Arc<Gtids>]) -> Result<Slot> {
        let node = self.text()?;
        let address = match self.u8()? {
            0 => None,
            1 => Some(BackendAddress::Ip(IpAddr::from(self.array::<4>()?), self.port()?)),
            2 => Some(BackendAddress::Ip(IpAddr::from(self.array::<16>()?), self.port()?)),
            3 => Some(BackendAddress::Unix(self.text()?)),
            _ => return Err(self.bad("a kind of address that is none")),
        };
        let generation = self.u64()?;
        let seat = self.word(|n| SEATS.get(n as usize).copied(), "a seat that is none")?;
        let standing = self.word(|n| STANDINGS.get(n as usize).copied(), "a standing that is none")?;
        let rule = u16::try_from(self.u32()?).map_err(|_| self.bad("a rule's number that is none"))?;
        let (weight, share, site) = (self.u32()?, self.u32()?, self.text()?);
        let trial = match self.flag()? {
            true => Some(self.u64()?),
            false => None,
        };
        let bits = self.u8()?;
        if bits > 3 {
            return Err(self.bad("bits that mean nothing"));
        }
        let gtids = match self.u32()? {
            u32::MAX => None,
            at => Some(sets.get(at as usize).ok_or_else(|| self.bad("a transaction set that is not there"))?),
        };
        Ok(Slot {
            node,
            address,
            generation,
            seat,
            standing,
            rule,
            weight,
            share,
            site,
            trial,
            troubled: bits & 1 != 0,
            active: bits & 2 != 0,
            gtids: gtids.cloned(),
        })
    }

    fn port(&mut self) -> Result<u16> {
        u16::try_from(self.u32()?).map_err(|_| self.bad("a port that is none"))
    }

    fn entries(&mut self, slots: &[Slot], epoch: u64) -> Result<Vec<Entry>> {
        let count = self.count()?;
        if count > slots.len() {
            return Err(self.bad("more nodes than slots"));
        }
        let mut entries = Vec::new();
        for _ in 0..count {
            let number = self.u32()?;
            let reason = self.word(Reason::from_number, "a reason that is none")?;
            entries.push(self.entry(slots, number, epoch, reason)?);
        }
        Ok(entries)
    }

    fn entry(&self, slots: &[Slot], number: u32, epoch: u64, reason: Reason) -> Result<Entry> {
        let slot = slots.get(number as usize).ok_or_else(|| self.bad("a slot that is not there"))?;
        Entry::new(slot, number, epoch, reason).ok_or_else(|| self.bad("a node without an address"))
    }
}
