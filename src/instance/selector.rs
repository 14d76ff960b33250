//! A selector: where a client of one service goes, answered from what was published, without waiting for anybody.

use super::shared::Shared;
use crate::config::OnStale;
use crate::engine::ReportOutcome;
use crate::error::{Error, ErrorCode, Result};
use crate::io::board::Reader;
use crate::io::clock;
use crate::io::service_board::{ServiceBoard, Session};
use crate::select::backend::flags;
use crate::select::pick::{counts_clients, pick, pick_plain, pick_with};
use crate::select::{Backend, Closed, PickList, Picked, Position, ServiceTable, Wish};
use std::sync::Arc;

/// How a selector begins.
#[derive(Clone, Debug, Default)]
pub struct SelectorOptions {
    /// Makes its choices repeatable; random by default.
    pub seed: Option<u64>,
    /// Where its clients are, for services with `same_site_first`; the configuration's `site` by default.
    pub site: Option<String>,
}

/// Where clients of one service go. One for each thread.
#[derive(Debug)]
pub struct Selector {
    reader: Reader<ServiceTable>,
    board: Arc<ServiceBoard>,
    position: Position,
    freshness: Freshness,
    /// Which list of the table is read: one of a site, or all.
    list: Option<usize>,
    /// Nothing about sites has to be told with a backend.
    plain: bool,
    site: String,
    shared: Arc<Shared>,
}

/// Why there is no backend; [`Selector::reason`] says it in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Just the number; the words are the selector's.
    Code(ErrorCode),
    /// The client asked for something that is no wish.
    Wrong(Error),
}

/// Whether the table is still renewed, without reading the clock for every client where that is not asked for.
///
/// A service that refuses stale tables looks each time. Another one only marks what it gives, so a selector that is asked again
/// within a tick of the kernel's clock may skip up to `STRIDE` looks: the mark comes so many clients late at most.
#[derive(Debug, Default)]
struct Freshness {
    skip: u32,
    stride: u32,
    looked: u64,
    stale: bool,
}

/// Looks at the clock that are skipped at most.
const STRIDE: u32 = 64;

/// A selector that was not asked for so long looks each time again.
const SLOW_NS: u64 = 10_000_000;

impl Freshness {
    #[inline(always)]
    fn is_stale(&mut self, table: &ServiceTable, board: &ServiceBoard) -> bool {
        if self.skip > 0 && table.stale == OnStale::Serve {
            self.skip -= 1;
            return self.stale;
        }
        self.look(table, board)
    }

    #[inline(never)]
    fn look(&mut self, table: &ServiceTable, board: &ServiceBoard) -> bool {
        let now = clock::coarse_ns();
        self.stride = match now.saturating_sub(self.looked) {
            passed if passed > SLOW_NS => 0,
            0 => (self.stride * 2 + 1).min(STRIDE),
            _ => self.stride,
        };
        (self.looked, self.skip) = (now, self.stride);
        let age = u128::from(now.saturating_sub(board.pulse().turned()));
        self.stale = age > table.stale_after.as_nanos();
        self.stale
    }
}

impl Selector {
    pub(super) fn new(shared: Arc<Shared>, board: Arc<ServiceBoard>, site: String, seed: u64) -> Selector {
        let mut selector = Selector {
            reader: board.reader(),
            board,
            position: Position::new(seed),
            freshness: Freshness::default(),
            list: None,
            plain: true,
            site,
            shared,
        };
        selector.find_list();
        selector
    }

    fn find_list(&mut self) {
        let site = &self.site;
        let table = self.reader.last();
        self.list = match site.is_empty() {
            true => None,
            false => table.sites.iter().position(|(name, _)| name == site),
        };
        self.plain = self.list.is_some() || site.is_empty() || table.sites.is_empty();
    }

    /// The node for a client. Takes no lock, makes no memory, writes no memory that others read, except that services with
    /// `least-connections` and `two-choices` count, and that a trial is claimed.
    ///
    /// # Errors
    /// [`ErrorCode::NoBackend`], [`ErrorCode::Paused`], [`ErrorCode::Stale`], [`ErrorCode::Stopped`], [`ErrorCode::Panic`],
    /// [`ErrorCode::NotFound`] once the service has left the configuration.
    #[inline(always)]
    pub fn select_fast(&mut self, out: &mut Backend) -> core::result::Result<(), Refusal> {
        let changed = self.reader.get().1;
        if changed {
            self.find_list();
        }
        let table = self.reader.last();
        let list = list(table, self.list);
        let stale = self.freshness.is_stale(table, &self.board);
        if !stale
            && self.plain
            && let Some(entry) = pick_plain(table.strategy, list, &mut self.position)
        {
            copy(&entry.backend, out);
            return Ok(());
        }
        self.select_by_strategy(stale, out)
    }

    /// The strategies that weigh and compare, and what is not the plain case.
    #[inline(never)]
    fn select_by_strategy(&mut self, stale: bool, out: &mut Backend) -> core::result::Result<(), Refusal> {
        let table = self.reader.last();
        let list = list(table, self.list);
        match pick(table.strategy, list, &mut self.position, &*self.board) {
            Picked::Node(entry) if !stale && self.plain => {
                copy(&entry.backend, out);
                Ok(())
            }
            picked => self.finish(picked.backend(), stale, false, out),
        }
    }

    /// The node for a client with wishes.
    ///
    /// # Errors
    /// As [`Selector::select_fast`], and [`ErrorCode::GtidUnknown`], [`ErrorCode::Invalid`] for a set that is none.
    pub fn select_wish(&mut self, wish: &Wish<'_>, out: &mut Backend) -> core::result::Result<(), Refusal> {
        let changed = self.reader.get().1;
        if changed {
            self.find_list();
        }
        let table = self.reader.last();
        let list = list(table, self.list);
        let stale = self.freshness.is_stale(table, &self.board);
        let picked =
            pick_with(table, list, &mut self.position, &*self.board, wish).map_err(Refusal::Wrong)?;
        let unknown = matches!(picked, Picked::GtidUnknown);
        self.finish(picked.backend(), stale, unknown, out)
    }

    /// Everything that is not the plain case.
    #[cold]
    fn finish(
        &self,
        backend: Option<Backend>,
        stale: bool,
        unknown: bool,
        out: &mut Backend,
    ) -> core::result::Result<(), Refusal> {
        let table = self.reader.last();
        let refuse = |code| Err(Refusal::Code(code));
        match table.closed {
            Some(Closed::Stopped) => return refuse(ErrorCode::Stopped),
            Some(Closed::Gone) => return refuse(ErrorCode::NotFound),
            None => {}
        }
        let refused = match stale {
            true if self.board.pulse().is_broken() => Some(ErrorCode::Panic),
            true if table.stale == OnStale::Refuse => Some(ErrorCode::Stale),
            _ => None,
        };
        if let Some(code) = refused {
            if let Some(backend) = backend.filter(|_| counts_clients(table.strategy)) {
                self.board.release(backend.slot);
            }
            return refuse(code);
        }
        let Some(mut backend) = backend else {
            return refuse(match &table.nobody {
                Some(nobody) if nobody.paused => ErrorCode::Paused,
                _ if unknown => ErrorCode::GtidUnknown,
                _ => ErrorCode::NoBackend,
            });
        };
        if stale {
            backend.flags |= flags::STALE;
        }
        let site = table.slot(backend.slot).map_or("", |slot| slot.site.as_str());
        if !self.plain && site != self.site {
            backend.flags |= flags::OTHER_SITE;
        }
        *out = backend;
        Ok(())
    }

    /// The node for a client, or why there is none.
    ///
    /// # Errors
    /// As [`Selector::select_wish`], in words.
    pub fn select(&mut self, wish: &Wish<'_>) -> Result<Backend> {
        let mut out = Backend::EMPTY;
        match self.select_wish(wish, &mut out) {
            Ok(()) => Ok(out),
            Err(Refusal::Wrong(error)) => Err(error),
            Err(Refusal::Code(code)) => Err(Error::new(code, self.words(code))),
        }
    }

    /// A refusal in words, without making memory.
    pub(crate) fn words(&self, code: ErrorCode) -> &str {
        let table = self.reader.last();
        match (code, &table.nobody) {
            (ErrorCode::NoBackend | ErrorCode::Paused, Some(nobody)) => &nobody.text,
            (ErrorCode::NoBackend, None) => "every node that takes clients is among those to avoid",
            (ErrorCode::Stopped, _) => "the instance was stopped; make a new one",
            (ErrorCode::NotFound, _) => "the service has left the configuration",
            (ErrorCode::Panic, _) => {
                "the engine hit a defect of its own and decides no more; restart the program and report this"
            }
            (ErrorCode::Stale, _) => {
                "nobody renews the table of this service: the decider stands still, and the service says stale = \"refuse\""
            }
            (ErrorCode::GtidUnknown, _) => {
                "no node is known to hold these transactions; ask again after a probe, or allow stale reads"
            }
            _ => "no node takes clients",
        }
    }

    /// Who of the service gets clients and why, node by node.
    pub fn reason(&self) -> String {
        self.reader.last().explain()
    }

    /// A session ended that a selection began.
    pub fn release(&self, backend: &Backend) {
        if counts_clients(self.reader.last().strategy) {
            self.board.release(backend.slot);
        }
    }

    /// What becomes of a session. `None` once the instance has stopped.
    #[inline]
    pub fn session(&self, backend: &Backend) -> Option<Session> {
        self.board.session(backend.slot, backend.generation)
    }

    /// How the connect to a backend ended. News only takes a short lock.
    ///
    /// # Errors
    /// [`ErrorCode::Stopped`], [`ErrorCode::NotFound`] if the node has left.
    pub fn report(&self, backend: &Backend, outcome: ReportOutcome) -> Result<()> {
        let table = self.reader.last();
        let Some(slot) = table.slot(backend.slot) else {
            return Err(Error::new(
                ErrorCode::NotFound,
                format!("service {} has no slot {}", table.full_name(), backend.slot),
            ));
        };
        let news = outcome.is_connect_failure() || (outcome == ReportOutcome::Connected && slot.troubled);
        match (table.closed, news) {
            (Some(Closed::Stopped), _) => Err(Error::new(ErrorCode::Stopped, self.words(ErrorCode::Stopped))),
            (_, false) => Ok(()),
            (_, true) => self.shared.reported(table, &slot.node, outcome),
        }
    }

    /// What all selectors of the service share.
    pub(crate) fn board(&self) -> Arc<ServiceBoard> {
        Arc::clone(&self.board)
    }

    /// The name of a slot's node, as configured.
    pub fn node_name(&self, slot: u32) -> Option<&str> {
        self.reader.last().slot(slot).map(|slot| slot.node.as_str())
    }

    /// The service's name in full.
    pub fn service(&self) -> String {
        self.reader.last().full_name()
    }
}

#[inline(always)]
fn list(table: &ServiceTable, own: Option<usize>) -> &PickList {
    match own {
        None => &table.all,
        Some(at) => table.sites.get(at).map_or(&table.all, |(_, list)| list),
    }
}

/// What an IPv4 address needs; most backends have one.
const SHORT: u32 = 16;

/// Copies what counts: the bytes behind the address stay as they are.
#[inline(always)]
fn copy(from: &Backend, to: &mut Backend) {
    if from.addrlen > SHORT {
        *to = *from;
        return;
    }
    let Backend { size, slot, generation, epoch, token, flags, reason, addrlen, reserved, address } = from;
    (to.size, to.slot, to.generation, to.epoch) = (*size, *slot, *generation, *epoch);
    (to.token, to.flags, to.reason, to.addrlen, to.reserved) = (*token, *flags, *reason, *addrlen, *reserved);
    if let (Some(to), Some(from)) = (to.address.first_chunk_mut::<16>(), address.first_chunk::<16>()) {
        *to = *from;
    }
}
