//! The services of an instance, where clients are sent: published by the one who turns the engine, read by selectors.

use super::shared::{Handle, Life, Shared};
use super::{Selector, SelectorOptions, names};
use crate::control::Done;
use crate::engine::{Input, ReportOutcome, Time};
use crate::error::{Error, ErrorCode, Result};
use crate::io::service_board::{Pulse, ServiceBoard};
use crate::io::{clock, entropy};
use crate::select::pick::pick_with;
use crate::select::{Closed, Counts, Picked, Position, Reason, ServiceTable, Wish};
use parking_lot::RwLock;
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every service that was ever published, by its name in full.
#[derive(Debug, Default)]
pub(super) struct Services {
    boards: RwLock<BTreeMap<String, Published>>,
    pulse: Arc<Pulse>,
}

#[derive(Debug)]
struct Published {
    board: Arc<ServiceBoard>,
    last: Arc<ServiceTable>,
}

impl Services {
    /// Shows a table. A service that left and comes back is another one: it counts its slots and generations anew, so sessions of its
    /// first life must not be looked up in it.
    pub(super) fn publish(&self, table: Arc<ServiceTable>) {
        let name = table.full_name();
        let mut boards = self.boards.write();
        let here = |published: &&mut Published| published.last.closed != Some(Closed::Gone);
        match boards.get_mut(&name).filter(here) {
            Some(published) => {
                published.board.publish(Arc::clone(&table));
                published.last = table;
            }
            None => {
                let board = Arc::new(ServiceBoard::new(Arc::clone(&table), Arc::clone(&self.pulse)));
                boards.insert(name, Published { board, last: table });
            }
        }
    }

    /// Shows a table of another process, unless it is shown already: a service of which nothing changed keeps what its selectors hold.
    pub(super) fn publish_news(&self, table: Arc<ServiceTable>) {
        let known =
            self.boards.read().get(&table.full_name()).is_some_and(|published| *published.last == *table);
        if !known {
            self.publish(table);
        }
    }

    /// What is shown now.
    pub(super) fn tables(&self) -> Vec<Arc<ServiceTable>> {
        self.boards.read().values().map(|published| Arc::clone(&published.last)).collect()
    }

    /// The engine has turned.
    pub(super) fn beat(&self, now: Time) {
        self.pulse.beat(now.0);
    }

    /// The engine turns no more, for a defect of its own.
    pub(super) fn break_off(&self) {
        self.pulse.break_off();
    }

    /// Nobody selects any more.
    pub(super) fn stop(&self) {
        for published in self.boards.write().values_mut() {
            published.last = Arc::new(published.last.closed(Closed::Stopped));
            published.board.publish(Arc::clone(&published.last));
        }
    }

    /// Which backends so many clients would get, in words and as a document. What they would count and claim stays here.
    pub(super) fn route(
        &self,
        name: &str,
        count: u32,
        min_gtid: Option<&str>,
        site: &str,
        seed: u64,
    ) -> Result<Done> {
        let board = self.find(name)?;
        let reader = board.reader();
        let table = reader.last();
        let (counts, mut position) = (Onlooker::new(&board), Position::new(seed));
        let wish = Wish { min_gtid, ..Wish::default() };
        let (mut message, mut clients) = (String::new(), Vec::new());
        for _ in 0..count {
            let picked = pick_with(table, table.list(site), &mut position, &counts, &wish)?;
            let Some(backend) = picked.backend() else {
                let why = match (picked, &table.nobody) {
                    (Picked::GtidUnknown, _) => "no node is known to hold these transactions",
                    (_, Some(nobody)) => &nobody.text,
                    (_, None) => "no node takes clients",
                };
                message.push_str(&format!("nobody: {why}\n"));
                clients.push(json!({"node": null, "why": why}));
                continue;
            };
            let node = table.slot(backend.slot).map_or("", |slot| slot.node.as_str());
            let address = backend.address().map(|address| address.to_string()).unwrap_or_default();
            let reason = Reason::from_number(backend.reason).map_or("", Reason::name);
            message.push_str(&format!("{address} ({reason})\n"));
            clients.push(json!({"node": node, "address": address, "reason": reason}));
        }
        message.push('\n');
        message.push_str(&table.explain());
        let nodes: Vec<_> = table
            .slots
            .iter()
            .map(|slot| json!({"node": slot.node, "standing": slot.standing.name(), "rule": slot.rule}))
            .collect();
        let body =
            json!({"service": table.full_name(), "epoch": table.epoch, "clients": clients, "nodes": nodes});
        Ok(Done { message, body, ..Done::default() })
    }

    /// What was published last of a service, by its name in full.
    #[cfg(feature = "cli")]
    pub(super) fn table(&self, name: &str) -> Option<Arc<ServiceTable>> {
        let boards = self.boards.read();
        let published = boards.get(name).filter(|published| published.last.closed != Some(Closed::Gone))?;
        Some(Arc::clone(&published.last))
    }

    /// The board of a service.
    fn find(&self, name: &str) -> Result<Arc<ServiceBoard>> {
        let boards = self.boards.read();
        let open = || boards.iter().filter(|(_, published)| published.last.closed != Some(Closed::Gone));
        if let Some((_, published)) = open().find(|(full, _)| *full == name) {
            return Ok(Arc::clone(&published.board));
        }
        let alike: Vec<_> = open().filter(|(_, published)| published.last.service == name).collect();
        if let [(_, published)] = alike.as_slice() {
            return Ok(Arc::clone(&published.board));
        }
        let shown: Vec<&str> = match alike.is_empty() {
            true => open().map(|(full, _)| full.as_str()).take(SHOWN).collect(),
            false => alike.iter().map(|(full, _)| full.as_str()).take(SHOWN).collect(),
        };
        let problem = match alike.is_empty() {
            true => format!("no service is named '{name}'; there are: {}", shown.join(", ")),
            false => format!("several pools have a service '{name}': write {}", shown.join(" or ")),
        };
        Err(Error::new(ErrorCode::NotFound, problem))
    }
}

/// Sees the clients that there are, and counts its own for itself.
struct Onlooker<'b> {
    board: &'b ServiceBoard,
    own: RefCell<BTreeMap<u32, u32>>,
}

impl Onlooker<'_> {
    fn new(board: &ServiceBoard) -> Onlooker<'_> {
        Onlooker { board, own: RefCell::default() }
    }
}

impl Counts for Onlooker<'_> {
    fn clients(&self, slot: u32) -> u32 {
        let own = self.own.borrow().get(&slot).copied().unwrap_or(0);
        self.board.clients(slot).saturating_add(own)
    }

    fn add(&self, slot: u32) {
        *self.own.borrow_mut().entry(slot).or_default() += 1;
    }

    /// A trial is for a client.
    fn claim(&self, _slot: u32, _trial: u64) -> bool {
        false
    }
}

/// How many names an error lists.
const SHOWN: usize = 20;

impl Handle {
    pub(super) fn selector(&self, service: &str, options: SelectorOptions) -> Result<Selector> {
        let site = {
            let core = self.open()?;
            options.site.unwrap_or_else(|| core.config.site.clone())
        };
        let seed = match options.seed {
            Some(seed) => seed,
            None => entropy::bytes::<8>()
                .map(u64::from_ne_bytes)
                .map_err(|e| Error::new(ErrorCode::Io, format!("the system gives no random bytes: {e}")))?,
        };
        let board = self.shared.services.find(service)?;
        Ok(Selector::new(Arc::clone(&self.shared), board, site, seed))
    }
}

impl Shared {
    /// A host said how its connect ended that a selector sent it to.
    pub(super) fn reported(&self, table: &ServiceTable, node: &str, outcome: ReportOutcome) -> Result<()> {
        let mut core = self.core.lock();
        if let Life::Stopped = core.life {
            return Err(Error::new(ErrorCode::Stopped, "the instance was stopped; make a new one"));
        }
        if core.follower.is_some() {
            return core.pass_on(&table.pool, node, Some(&table.service), outcome);
        }
        let node = names::node(&core.config, &table.pool, node)?;
        core.give(clock::now(), Input::Report { node, service: Some(table.service.clone()), outcome })
    }
}
