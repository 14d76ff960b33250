//! What is published of one service: everything that a selection reads, prepared.

use super::alias::{self, Column};
use super::backend::{Backend, BackendAddress, Reason, flags};
use super::slow_start;
use super::standing::{Standing, sentence};
use crate::config::{OnStale, Role, Strategy};
use crate::engine::time::Duration;
use crate::gtid::Gtids;
use std::sync::Arc;

/// What becomes of the sessions that a slot has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seat {
    /// They end: their generation is over.
    #[default]
    Ended,
    /// They stay.
    Serves,
    /// They end once they are idle; at the deadline at the latest.
    Drains,
}

/// One node in a service. Its number stays the same as long as the instance lives.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// The node's name, as configured.
    pub node: String,
    /// Where it listens for this service.
    pub address: Option<BackendAddress>,
    /// Raised when sessions must end.
    pub generation: u64,
    /// What becomes of sessions.
    pub seat: Seat,
    /// What becomes of new clients.
    pub standing: Standing,
    /// The row that says so.
    pub rule: u16,
    /// Share of the clients, where the strategy weighs.
    pub weight: u32,
    /// In tenths: a node that comes back gets less than its share.
    pub share: u32,
    /// The site, may be empty.
    pub site: String,
    /// The trial that one client may be.
    pub trial: Option<u64>,
    /// Hosts could not reach it lately: a report that one could is news.
    pub troubled: bool,
    /// The node is ACTIVE.
    pub active: bool,
    /// What it is known to hold.
    pub gtids: Option<Arc<Gtids>>,
}

/// Why a table gives nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The instance was stopped.
    Stopped,
    /// The service is no longer in the configuration.
    Gone,
}

/// Why a service has nobody for its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nobody {
    /// Waiting helps: the role is about to move.
    pub paused: bool,
    /// One or two sentences.
    pub text: String,
}

/// A node that takes clients, ready to be handed out. What a selection copies of an IPv4 backend is one cache line.
#[derive(Clone, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Entry {
    /// What the host gets.
    pub backend: Backend,
    /// Weight and share in one number.
    pub weight: u32,
    /// In tenths.
    pub share: u32,
    /// The trial that one client may be; 0 for none.
    pub trial: u64,
}

/// What a comparison of nodes reads: close together, for it may jump among a thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// What one client counts: the smaller, the more clients the node gets.
    pub cost: u64,
    /// Whose clients.
    pub slot: u32,
}

/// The nodes that take clients, in configuration order, with what the strategy needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PickList {
    /// The nodes.
    pub entries: Vec<Entry>,
    /// Round robin with nodes that start slowly: whose turn it is. Empty where all have their whole share.
    pub wheel: Vec<u32>,
    /// Weighted: the columns.
    pub columns: Vec<Column>,
    /// Strategies that compare: the loads of the entries.
    pub loads: Vec<Load>,
    /// Some entry is a trial.
    pub trials: bool,
}

/// One service as its clients see it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceTable {
    /// Name of the pool.
    pub pool: String,
    /// Name of the service.
    pub service: String,
    /// The pool's epoch.
    pub epoch: u64,
    /// Whom it sends clients to.
    pub role: Role,
    /// How it chooses.
    pub strategy: Strategy,
    /// What is answered while nobody renews it.
    pub stale: OnStale,
    /// When it counts as not renewed.
    pub stale_after: Duration,
    /// Every node that the service has or had; a node's number is its index.
    pub slots: Vec<Slot>,
    /// Who takes clients.
    pub all: PickList,
    /// Who comes next, for clients that could not reach any of those: best first.
    pub rest: Vec<Entry>,
    /// The same for clients of one site, where the service asks for that.
    pub sites: Vec<(String, PickList)>,
    /// The ACTIVE node, if the service could send clients to it at all; for transactions that nobody else holds.
    pub active: Option<Entry>,
    /// Why there is nobody, if `all` is empty.
    pub nobody: Option<Nobody>,
    /// It gives nothing any more.
    pub closed: Option<Closed>,
}

/// One client of a node with weight 1 at a tenth of its share costs this much.
const COST: u64 = 1 << 24;

impl Entry {
    /// A node, ready to be handed out; `None` if it has no address that fits.
    pub fn new(slot: &Slot, number: u32, epoch: u64, reason: Reason) -> Option<Entry> {
        let (address, addrlen) = slot.address.as_ref()?.sockaddr()?;
        let weight = slot.weight.max(1).saturating_mul(slot.share.clamp(1, slow_start::FULL));
        // To a node that hosts could not reach clients come only where nobody else is left: then all may try.
        let trial = slot.trial.filter(|_| reason != Reason::Held).unwrap_or(0);
        let fallback = if reason == Reason::Fallback { flags::FALLBACK } else { 0 };
        Some(Entry {
            backend: Backend {
                size: size_of::<Backend>() as u32,
                slot: number,
                generation: slot.generation,
                epoch,
                token: Backend::token(number, slot.generation),
                flags: if trial > 0 { fallback | flags::TRIAL } else { fallback },
                reason: if trial > 0 { Reason::Trial } else { reason } as i32,
                addrlen,
                reserved: 0,
                address,
            },
            weight,
            share: slot.share,
            trial,
        })
    }
}

impl PickList {
    /// Prepares a strategy for the nodes given.
    pub fn new(strategy: Strategy, entries: Vec<Entry>) -> PickList {
        let slow = entries.iter().any(|entry| entry.share < slow_start::FULL);
        let in_turn = matches!(strategy, Strategy::RoundRobin | Strategy::RoundRobinWithFallback);
        let wheel = match slow && in_turn {
            true => (0..slow_start::FULL)
                .flat_map(|round| {
                    let has_turn = move |entry: &Entry| slow_start::has_turn(entry.share, round);
                    let turns = entries.iter().enumerate().filter(move |(_, entry)| has_turn(entry));
                    turns.map(|(at, _)| at as u32).collect::<Vec<u32>>()
                })
                .collect(),
            false => Vec::new(),
        };
        let columns = match strategy {
            Strategy::Weighted => alias::columns(&entries.iter().map(|e| e.weight).collect::<Vec<u32>>()),
            _ => Vec::new(),
        };
        let load = |e: &Entry| Load { cost: COST / u64::from(e.weight.max(1)), slot: e.backend.slot };
        let loads = match strategy {
            Strategy::LeastConnections | Strategy::TwoChoices => entries.iter().map(load).collect(),
            _ => Vec::new(),
        };
        PickList { wheel, columns, loads, trials: entries.iter().any(|entry| entry.trial > 0), entries }
    }
}

impl ServiceTable {
    /// The name in full.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.pool, self.service)
    }

    /// The list for clients of a site.
    pub fn list(&self, site: &str) -> &PickList {
        let own = self.sites.iter().find(|(name, _)| !site.is_empty() && name == site);
        own.map_or(&self.all, |(_, list)| list)
    }

    /// The node of a slot.
    pub fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number as usize)
    }

    /// The same service without anybody, for its end.
    pub fn closed(&self, why: Closed) -> ServiceTable {
        let slots = self.slots.iter().map(|slot| Slot { seat: Seat::Ended, ..slot.clone() }).collect();
        ServiceTable {
            slots,
            all: PickList::default(),
            rest: Vec::new(),
            sites: Vec::new(),
            active: None,
            nobody: None,
            closed: Some(why),
            ..self.clone()
        }
    }

    /// Who gets clients and why, node by node, for people.
    pub fn explain(&self) -> String {
        let mut text = format!(
            "service {}: role {}, strategy {}, epoch {}\n",
            self.full_name(),
            self.role,
            self.strategy,
            self.epoch
        );
        for slot in self.slots.iter().filter(|slot| slot.rule != 601) {
            text.push_str(&format!(
                "{}: {} (rule {}: {})",
                slot.node,
                slot.standing.name(),
                slot.rule,
                sentence(slot.rule).unwrap_or_default()
            ));
            if let Some(address) = slot.address.as_ref().map(ToString::to_string).filter(|a| *a != slot.node)
            {
                text.push_str(&format!(", at {address}"));
            }
            if slot.trial.is_some() {
                text.push_str("; one client finds out whether hosts can reach it again");
            }
            if slot.share < slow_start::FULL {
                text.push_str(&format!("; it starts slowly, with {} % of its share", slot.share * 10));
            }
            text.push('\n');
        }
        match (&self.nobody, self.all.entries.first()) {
            (Some(nobody), _) => text.push_str(&format!("nobody takes clients: {}\n", nobody.text)),
            (None, Some(first)) if self.all.entries.len() == 1 => {
                let name = self.slot(first.backend.slot).map_or("", |slot| slot.node.as_str());
                let reason = Reason::from_number(first.backend.reason).map_or("", Reason::name);
                text.push_str(&format!("clients go to {name} ({reason})\n"));
            }
            (None, first) => {
                let reason =
                    first.and_then(|e| Reason::from_number(e.backend.reason)).map_or("", Reason::name);
                text.push_str(&format!("clients go to {} nodes ({reason})\n", self.all.entries.len()));
            }
        }
        text
    }
}
