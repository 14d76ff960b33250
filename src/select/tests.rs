//! A pool of three nodes and its services, from views to backends.

use super::pick::{Counts, pick};
use super::*;
use crate::config::{OnDemotion, Role, ServiceConfig, Strategy};
use crate::engine::input::ReportOutcome;
use crate::engine::time::{Duration, Time};
use crate::policy::serving::View;
use crate::pool::{Address, PolicyName, State, Status};
use crate::probe::Class;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

mod codec;
mod histories;
mod rows;
mod services;
mod strategies;

/// Counters without threads.
#[derive(Default)]
pub struct Book {
    clients: RefCell<BTreeMap<u32, u32>>,
    trials: RefCell<BTreeMap<u32, u64>>,
}

impl Counts for Book {
    fn clients(&self, slot: u32) -> u32 {
        self.clients.borrow().get(&slot).copied().unwrap_or(0)
    }

    fn add(&self, slot: u32) {
        *self.clients.borrow_mut().entry(slot).or_default() += 1;
    }

    fn claim(&self, slot: u32, trial: u64) -> bool {
        let mut trials = self.trials.borrow_mut();
        let last = trials.entry(slot).or_default();
        let free = *last < trial;
        *last = trial.max(*last);
        free
    }
}

/// A node whose look can be changed.
#[derive(Clone)]
pub struct Fake {
    name: String,
    address: Address,
    view: View,
    lag: Option<Duration>,
    weight: u32,
    site: &'static str,
    maintenance: bool,
    removed: bool,
}

/// A pool under test, with its clock.
pub struct World {
    pub nodes: Vec<Fake>,
    pub selection: PoolSelection,
    pub now: Time,
    pub tables: BTreeMap<String, Arc<ServiceTable>>,
    pub book: Book,
    pub position: Position,
}

pub fn service(name: &str, role: Role, strategy: Strategy) -> ServiceConfig {
    let [rw, _] = ServiceConfig::defaults(Duration::from_secs(10)).try_into().expect("two");
    ServiceConfig { name: name.into(), role, strategy, ..rw }
}

impl World {
    /// The first node is ACTIVE, the others are stand-ins, all in order.
    pub fn new(count: usize, services: &[ServiceConfig]) -> World {
        let node = |i: usize| {
            let name = format!("10.0.{}.{}:3306", i / 250, i % 250 + 1);
            let state = if i == 0 { State::Active } else { State::Standby };
            Fake {
                address: Address::parse(&name).expect("an address"),
                name,
                view: View {
                    policy: PolicyName::Safe,
                    state,
                    status: Status::Ok,
                    class: Some(Class::Ok),
                    selected: i == 0,
                    paused: false,
                    maintenance: false,
                },
                lag: None,
                weight: 1,
                site: "",
                maintenance: false,
                removed: false,
            }
        };
        let mut world = World {
            nodes: (0..count).map(node).collect(),
            selection: PoolSelection::new(services),
            now: Time(1_000_000_000),
            tables: BTreeMap::new(),
            book: Book::default(),
            position: Position::new(7),
        };
        world.look();
        world
    }

    /// The services look at the pool.
    pub fn look(&mut self) -> usize {
        let seen: Vec<NodeSeen<'_>> = self
            .nodes
            .iter()
            .map(|n| NodeSeen {
                name: &n.name,
                address: &n.address,
                ip: None,
                view: n.view,
                lag: n.lag,
                weight: n.weight,
                site: n.site,
                maintenance: n.maintenance,
                removed: n.removed,
                gtids: None,
            })
            .collect();
        let silent = || Some("the last node does not answer".to_owned());
        let pool = PoolSeen { name: "orders", epoch: 9, nodes: &seen, not_serving: &silent };
        let tables = self.selection.update(self.now, &pool);
        let count = tables.len();
        for table in tables {
            self.tables.insert(table.service.clone(), table);
        }
        count
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.look();
    }

    pub fn set(&mut self, node: usize, state: State) {
        let selected = state == State::Active;
        let status = if state.is_failed() { Status::Fail } else { Status::Ok };
        let view = &mut self.nodes[node].view;
        (view.state, view.status, view.selected) = (state, status, selected);
    }

    pub fn switch(&mut self, from: usize, left: State, to: usize) {
        self.set(from, left);
        self.set(to, State::Active);
        self.look();
    }

    pub fn table(&self, service: &str) -> Arc<ServiceTable> {
        Arc::clone(&self.tables[service])
    }

    pub fn pick(&mut self, service: &str) -> Option<Backend> {
        let table = self.table(service);
        pick(table.strategy, &table.all, &mut self.position, &self.book).backend()
    }

    /// Whom so many clients went to, by node.
    pub fn spread(&mut self, service: &str, clients: usize) -> Vec<usize> {
        let mut counts = vec![0; self.nodes.len()];
        for _ in 0..clients {
            if let Some(backend) = self.pick(service) {
                counts[backend.slot as usize] += 1;
            }
        }
        counts
    }

    pub fn report(&mut self, node: usize, outcome: ReportOutcome) {
        let name = self.nodes[node].name.clone();
        self.selection.reported(self.now, &name, None, outcome);
        self.look();
    }

    pub fn seat(&self, service: &str, node: usize) -> (Seat, u64) {
        let table = self.table(service);
        let slot = &table.slots[node];
        (slot.seat, slot.generation)
    }
}
