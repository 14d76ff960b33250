//! Choosing a node: the strategies, over what the table has prepared. Reads no clock, locks nothing, makes no memory.

use super::alias;
use super::backend::{Backend, Reason};
use super::table::{Entry, Load, PickList, ServiceTable};
use crate::config::Strategy;
use crate::error::Result;

/// How many nodes `least-connections` compares one by one.
pub const EXACT: usize = 16;

/// The counters beside the table, which all selectors share.
pub trait Counts {
    /// How many clients a slot has.
    fn clients(&self, slot: u32) -> u32;
    /// One more.
    fn add(&self, slot: u32);
    /// Whether this client is the trial of that number; at most one is.
    fn claim(&self, slot: u32, trial: u64) -> bool;
}

/// Where a selector stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    next: u32,
    random: u64,
}

impl Position {
    /// A place to begin; selectors with different seeds begin at different nodes.
    pub fn new(seed: u64) -> Position {
        // splitmix64 (Steele et al. 2014), once: near seeds must not give near numbers, and xorshift must not begin at 0.
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        Position { next: (z >> 40) as u32, random: z | 1 }
    }

    /// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016).
    #[inline]
    fn random(&mut self) -> u64 {
        let mut x = self.random;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random = x;
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next of `bound` in turn.
    #[inline]
    fn turn(&mut self, bound: usize) -> usize {
        let mut at = self.next as usize;
        if at >= bound {
            at = if bound == 0 { 0 } else { at % bound };
        }
        self.next = at as u32 + 1;
        at
    }
}

/// What a client asks for beside the service.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// Transactions that the node must be known to hold.
    pub min_gtid: Option<&'a str>,
    /// If nobody is known to hold them, anybody will do.
    pub stale_ok: bool,
    /// Slots that were tried in vain.
    pub avoid: &'a [u32],
}

/// The outcome of a choice.
#[derive(Clone, Copy, Debug)]
pub enum Picked<'t> {
    /// This node.
    Node(&'t Entry),
    /// This node, for the transactions that it holds.
    ForGtid(&'t Entry, Reason),
    /// Nobody takes clients, or the slots to avoid are all there are.
    Nobody,
    /// Nobody is known to hold the transactions.
    GtidUnknown,
}

impl<'t> Picked<'t> {
    /// The node, if there is one.
    pub fn entry(&self) -> Option<&'t Entry> {
        match self {
            Picked::Node(entry) | Picked::ForGtid(entry, _) => Some(entry),
            _ => None,
        }
    }

    /// What the host gets.
    pub fn backend(&self) -> Option<Backend> {
        let backend = self.entry()?.backend;
        Some(match self {
            Picked::ForGtid(_, reason) => Backend { reason: *reason as i32, ..backend },
            _ => backend,
        })
    }
}

/// The strategy's choice: an index into the entries, of which there is at least one.
#[inline(always)]
fn choose(strategy: Strategy, list: &PickList, position: &mut Position, counts: &impl Counts) -> usize {
    let entries = &list.entries;
    match strategy {
        Strategy::FirstAvailable | Strategy::NextAvailable => 0,
        Strategy::RoundRobin | Strategy::RoundRobinWithFallback => match list.wheel.is_empty() {
            true => position.turn(entries.len()),
            false => list.wheel.get(position.turn(list.wheel.len())).map_or(0, |at| *at as usize),
        },
        Strategy::Weighted => alias::choose(&list.columns, position.random()),
        Strategy::LeastConnections if entries.len() <= EXACT => least(&list.loads, position, counts),
        Strategy::LeastConnections | Strategy::TwoChoices => two_choices(&list.loads, position, counts),
    }
}

#[inline]
fn load(load: &Load, counts: &impl Counts) -> u64 {
    (u64::from(counts.clients(load.slot)) + 1) * load.cost
}

/// The one with the fewest clients for its weight; equal ones in turn.
fn least(entries: &[Load], position: &mut Position, counts: &impl Counts) -> usize {
    let begin = position.turn(entries.len());
    let in_turn = (begin..entries.len()).chain(0..begin);
    let loads = in_turn.filter_map(|at| Some((load(entries.get(at)?, counts), at)));
    loads.reduce(|best, next| if next.0 < best.0 { next } else { best }).map_or(0, |(_, at)| at)
}

/// `first` if `is_first` is 1, `second` if it is 0, without a branch.
#[inline(always)]
pub(super) fn one_of(is_first: usize, first: usize, second: usize) -> usize {
    let mask = is_first.wrapping_neg();
    (first & mask) | (second & !mask)
}

/// Of two at random, the one with fewer clients for its weight (M. Mitzenmacher, "The power of two choices in randomized load
/// balancing", 2001).
#[inline]
fn two_choices(entries: &[Load], position: &mut Position, counts: &impl Counts) -> usize {
    let bits = position.random();
    let count = entries.len() as u64;
    let one = (((bits >> 32) * count) >> 32) as usize;
    let mut other = (((bits & 0xffff_ffff) * count.saturating_sub(1)) >> 32) as usize;
    other += usize::from(other >= one);
    match (entries.get(one), entries.get(other)) {
        (Some(a), Some(b)) => one_of(usize::from(load(b, counts) < load(a, counts)), other, one),
        _ => one,
    }
}

/// Whether selections of the strategy count clients.
#[inline]
pub const fn counts_clients(strategy: Strategy) -> bool {
    matches!(strategy, Strategy::LeastConnections | Strategy::TwoChoices)
}

/// The choice where it is no more than a look: the first, or the next in turn. `None` for all other cases; nothing is counted then.
#[inline(always)]
pub fn pick_plain<'t>(strategy: Strategy, list: &'t PickList, position: &mut Position) -> Option<&'t Entry> {
    if list.trials {
        return None;
    }
    match strategy {
        Strategy::FirstAvailable | Strategy::NextAvailable => list.entries.first(),
        Strategy::RoundRobin | Strategy::RoundRobinWithFallback if list.wheel.is_empty() => {
            list.entries.get(position.turn(list.entries.len()))
        }
        _ => None,
    }
}

/// Chooses a node for a client without wishes.
#[inline(always)]
pub fn pick<'t>(
    strategy: Strategy,
    list: &'t PickList,
    position: &mut Position,
    counts: &impl Counts,
) -> Picked<'t> {
    if list.trials || list.entries.is_empty() {
        return search(strategy, list, position, counts, &mut |_| true);
    }
    let at = choose(strategy, list, position, counts);
    match list.entries.get(at) {
        Some(entry) => {
            if counts_clients(strategy) {
                counts.add(entry.backend.slot);
            }
            Picked::Node(entry)
        }
        None => Picked::Nobody,
    }
}

/// From the strategy's choice on in configuration order, the first node that will do.
#[cold]
fn search<'t>(
    strategy: Strategy,
    list: &'t PickList,
    position: &mut Position,
    counts: &impl Counts,
    will_do: &mut dyn FnMut(&Entry) -> bool,
) -> Picked<'t> {
    let entries = &list.entries;
    if entries.is_empty() {
        return Picked::Nobody;
    }
    let first = choose(strategy, list, position, counts);
    let mut in_turn = (first..entries.len()).chain(0..first).filter_map(|at| entries.get(at));
    let free = |entry: &&Entry| entry.trial == 0 || counts.claim(entry.backend.slot, entry.trial);
    match in_turn.find(|entry| will_do(entry) && free(entry)) {
        Some(entry) => {
            if counts_clients(strategy) {
                counts.add(entry.backend.slot);
            }
            Picked::Node(entry)
        }
        None => Picked::Nobody,
    }
}

/// For a client that could not reach any of the nodes it should go to: the best of the others.
fn next_best<'t>(
    table: &'t ServiceTable,
    counts: &impl Counts,
    avoided: &dyn Fn(&Entry) -> bool,
) -> Picked<'t> {
    let free = |entry: &Entry| entry.trial == 0 || counts.claim(entry.backend.slot, entry.trial);
    match table.rest.iter().find(|entry| !avoided(entry) && free(entry)) {
        Some(entry) => {
            if counts_clients(table.strategy) {
                counts.add(entry.backend.slot);
            }
            Picked::Node(entry)
        }
        None => Picked::Nobody,
    }
}

/// Chooses a node for a client with wishes.
///
/// # Errors
/// [`crate::ErrorCode::Invalid`] if `min_gtid` is no set of transactions.
pub fn pick_with<'t>(
    table: &'t ServiceTable,
    list: &'t PickList,
    position: &mut Position,
    counts: &impl Counts,
    wish: &Wish<'_>,
) -> Result<Picked<'t>> {
    let avoided = |entry: &Entry| wish.avoid.contains(&entry.backend.slot);
    let Some(wanted) = wish.min_gtid else {
        return Ok(match search(table.strategy, list, position, counts, &mut |entry| !avoided(entry)) {
            // Nodes of other sites are behind those of the own one.
            Picked::Nobody if table.sites.is_empty() => next_best(table, counts, &avoided),
            Picked::Nobody => {
                match search(table.strategy, &table.all, position, counts, &mut |e| !avoided(e)) {
                    Picked::Nobody => next_best(table, counts, &avoided),
                    picked => picked,
                }
            }
            picked => picked,
        });
    };
    crate::gtid::check(wanted)?;
    let holds = |entry: &Entry| {
        let known = table.slot(entry.backend.slot).and_then(|slot| slot.gtids.as_deref());
        known.is_some_and(|gtids| gtids.holds(wanted))
    };
    let others = (!table.sites.is_empty()).then_some(&table.all);
    for list in core::iter::once(list).chain(others) {
        if let Picked::Node(entry) =
            search(table.strategy, list, position, counts, &mut |entry| !avoided(entry) && holds(entry))
        {
            return Ok(Picked::ForGtid(entry, Reason::Gtid));
        }
    }
    if let Some(active) = table.active.as_ref().filter(|entry| !avoided(entry) && holds(entry)) {
        if counts_clients(table.strategy) {
            counts.add(active.backend.slot);
        }
        return Ok(Picked::ForGtid(active, Reason::GtidActive));
    }
    match wish.stale_ok {
        true => Ok(search(table.strategy, list, position, counts, &mut |entry| !avoided(entry))),
        false if list.entries.is_empty() => Ok(Picked::Nobody),
        false => Ok(Picked::GtidUnknown),
    }
}
