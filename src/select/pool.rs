//! The services of one pool in motion: what the pool's nodes are becomes seats, generations and tables.

use super::backend::{BackendAddress, Reason};
use super::quarantine::{Quarantine, Terms};
use super::slow_start;
use super::standing::{Case, Rule, Standing, rule_for, sentence};
use super::table::{Closed, Entry, Nobody, PickList, Seat, ServiceTable, Slot};
use crate::config::{Role, ServiceConfig, Strategy};
use crate::engine::input::ReportOutcome;
use crate::engine::time::{Duration, Time};
use crate::gtid::Gtids;
use crate::policy::serving::{Selection, View, serve};
use crate::pool::{Address, Host, State, Status};
use std::net::IpAddr;
use std::sync::Arc;

/// A node as the engine knows it.
#[derive(Clone, Debug)]
pub struct NodeSeen<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it listens, as configured.
    pub address: &'a Address,
    /// What its name resolved to when it was last reached; `None` for a name that never resolved.
    pub ip: Option<IpAddr>,
    /// What the serve matrix looks at.
    pub view: View,
    /// Its lag, where it has one.
    pub lag: Option<Duration>,
    /// Share of the clients.
    pub weight: u32,
    /// Its site.
    pub site: &'a str,
    /// An operator keeps clients away.
    pub maintenance: bool,
    /// An operator took it out of the pool.
    pub removed: bool,
    /// What it is known to hold.
    pub gtids: Option<&'a Gtids>,
}

/// A pool as the engine knows it.
pub struct PoolSeen<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its epoch.
    pub epoch: u64,
    /// In configuration order.
    pub nodes: &'a [NodeSeen<'a>],
    /// Why it has no node for clients that write, for people. Asked only if it matters.
    pub not_serving: &'a dyn Fn() -> Option<String>,
}

/// All services of a pool.
#[derive(Clone, Debug, Default)]
pub struct PoolSelection {
    services: Vec<Service>,
}

#[derive(Clone, Debug)]
struct Service {
    config: ServiceConfig,
    seats: Vec<SeatState>,
    /// Somebody has taken clients before.
    settled: bool,
    table: Option<Arc<ServiceTable>>,
}

/// One node of a service, over time.
#[derive(Clone, Debug, Default)]
struct SeatState {
    node: String,
    generation: u64,
    seat: Seat,
    drain_until: Option<Time>,
    /// It takes clients, or would if it were its turn.
    took: bool,
    /// When it came back.
    since: Option<Time>,
    share: u32,
    discarded: bool,
    quarantine: Quarantine,
    gtids: Option<Arc<Gtids>>,
    own: Judged,
    fallback: Option<Judged>,
    shown: Option<Shown>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Judged {
    standing: Standing,
    rule: u16,
}

impl Default for Judged {
    fn default() -> Judged {
        Judged { standing: Standing::Ends, rule: 601 }
    }
}

impl From<&Rule> for Judged {
    fn from(rule: &Rule) -> Judged {
        Judged { standing: rule.then, rule: rule.number }
    }
}

/// What of a seat shows in a table; if nothing of it changes, nothing is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    generation: u64,
    seat: Seat,
    own: Judged,
    fallback: Option<Judged>,
    share: u32,
    trial: Option<u64>,
    troubled: bool,
    weight: u32,
    status: Option<Status>,
    active: bool,
    ip: Option<IpAddr>,
}

impl PoolSelection {
    /// The services of a pool, before anything is known of its nodes.
    pub fn new(services: &[ServiceConfig]) -> PoolSelection {
        PoolSelection { services: services.iter().cloned().map(Service::new).collect() }
    }

    /// Goes on where another decider ended: generations only rise.
    pub fn adopt(&mut self, now: Time, pool: &str, tables: &[ServiceTable]) {
        for service in &mut self.services {
            let name = &service.config.name;
            let Some(table) = tables.iter().find(|t| t.pool == pool && t.service == *name) else { continue };
            service.seats = table
                .slots
                .iter()
                .map(|slot| SeatState {
                    node: slot.node.clone(),
                    generation: slot.generation,
                    seat: slot.seat,
                    // How long sessions have been draining nobody knows: they have the whole time.
                    drain_until: (slot.seat == Seat::Drains).then(|| now + service.config.drain_deadline),
                    quarantine: Quarantine::resumed(now),
                    ..SeatState::default()
                })
                .collect();
            service.table = None;
        }
    }

    /// Takes another list of services into force; what has the same name keeps its seats. Returns the end of those that left.
    pub fn reconfigure(&mut self, services: &[ServiceConfig]) -> Vec<Arc<ServiceTable>> {
        let mut before = core::mem::take(&mut self.services);
        for config in services {
            let known = before.iter().position(|service| service.config.name == config.name);
            self.services.push(match known {
                // Without its last table the next one is published, whatever it holds.
                Some(at) => {
                    let kept = before.swap_remove(at);
                    let table = kept.table.filter(|_| kept.config == *config);
                    Service { config: config.clone(), table, ..kept }
                }
                None => Service::new(config.clone()),
            });
        }
        self.close_all(before)
    }

    /// The end of all services: their pool left the configuration.
    pub fn end(&mut self) -> Vec<Arc<ServiceTable>> {
        let services = core::mem::take(&mut self.services);
        self.close_all(services)
    }

    fn close_all(&self, services: Vec<Service>) -> Vec<Arc<ServiceTable>> {
        let tables = services.into_iter().filter_map(|service| service.table);
        tables.map(|table| Arc::new(table.closed(Closed::Gone))).collect()
    }

    /// A host said how its connect to a node ended; `service` names the service through which, if it was through one.
    pub fn reported(&mut self, now: Time, node: &str, service: Option<&str>, outcome: ReportOutcome) {
        let through = |s: &&mut Service| service.is_none_or(|name| s.config.name == name);
        for service in self.services.iter_mut().filter(through) {
            let terms = service.terms();
            let Some(seat) = service.seats.iter_mut().find(|seat| seat.node == node) else { continue };
            match outcome {
                ReportOutcome::Connected => seat.quarantine.reached(now),
                ReportOutcome::ConnectFailed | ReportOutcome::ConnectTimedOut => {
                    seat.quarantine.failed(now, &terms)
                }
                ReportOutcome::SessionFailed => false,
            };
        }
    }

    /// Looks at the pool; returns the tables that are not the last ones.
    pub fn update(&mut self, now: Time, pool: &PoolSeen<'_>) -> Vec<Arc<ServiceTable>> {
        self.services.iter_mut().filter_map(|service| service.update(now, pool)).collect()
    }

    /// When time alone changes something.
    pub fn deadline(&self, now: Time) -> Option<Time> {
        let first = self.services.iter().map(|service| service.deadline(now)).fold(Time::NEVER, Time::min);
        (first != Time::NEVER).then_some(first)
    }

    /// The tables in force.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<ServiceTable>> {
        self.services.iter().filter_map(|service| service.table.as_ref())
    }
}

/// What a service's role, or that of its fallback, makes of a node.
fn judge(config: &ServiceConfig, role: Role, node: &NodeSeen<'_>, discarded: bool, held: bool) -> Judged {
    let answers = serve(&node.view);
    let active = node.view.state == State::Active && node.view.selected;
    let served = match role {
        Role::Active => answers.active,
        Role::Standby => answers.standby,
        Role::Any if answers.active == Selection::No => answers.standby,
        Role::Any => answers.active,
    };
    Judged::from(rule_for(&Case {
        role,
        served,
        removed: node.removed,
        active,
        failed: node.view.state.is_failed(),
        on_demotion: config.on_demotion,
        maintenance: node.maintenance,
        weightless: node.weight == 0,
        unlocated: node.ip.is_none() && matches!(node.address.host, Host::Name(_)),
        discarded,
        lags: node.lag.is_some_and(|lag| lag > config.max_lag),
        held,
    }))
}

impl SeatState {
    /// What becomes of the sessions; a generation ends where they must.
    fn sit(&mut self, now: Time, standing: Standing, drain: Duration) {
        match standing {
            Standing::Ends => self.end(),
            Standing::Drains if self.seat == Seat::Serves => {
                self.seat = Seat::Drains;
                self.drain_until = Some(now + drain);
            }
            Standing::Drains => {
                if self.drain_until.is_some_and(|until| until <= now) {
                    self.end();
                }
            }
            Standing::Takes | Standing::Spare | Standing::Held => {
                (self.seat, self.drain_until) = (Seat::Serves, None);
            }
            // Whoever is there stays; there may be nobody.
            Standing::Waits | Standing::Stays => {
                if self.seat == Seat::Drains {
                    (self.seat, self.drain_until) = (Seat::Serves, None);
                }
            }
        }
    }

    fn end(&mut self) {
        if self.seat != Seat::Ended {
            (self.seat, self.drain_until) = (Seat::Ended, None);
            self.generation += 1;
        }
    }
}

impl Service {
    fn new(config: ServiceConfig) -> Service {
        Service { config, seats: Vec::new(), settled: false, table: None }
    }

    fn terms(&self) -> Terms {
        Terms {
            first: self.config.quarantine,
            longest: self.config.quarantine_max.max(self.config.quarantine),
            after: self.config.quarantine_after,
        }
    }

    /// When time alone changes something; [`Time::NEVER`] if it does not.
    fn deadline(&self, now: Time) -> Time {
        let of = |seat: &SeatState| {
            let ramp = seat.since.and_then(|since| slow_start::share(since, self.config.slow_start, now).1);
            let times = [seat.drain_until, ramp, seat.quarantine.deadline()];
            times.into_iter().fold(Time::NEVER, |first, next| first.min(next.unwrap_or(Time::NEVER)))
        };
        self.seats.iter().map(of).fold(Time::NEVER, Time::min)
    }

    fn fallback(&self) -> Option<Role> {
        match (self.config.strategy, self.config.fallback) {
            (Strategy::RoundRobinWithFallback, None) => Some(Role::Active),
            (_, fallback) => fallback,
        }
    }

    fn update(&mut self, now: Time, pool: &PoolSeen<'_>) -> Option<Arc<ServiceTable>> {
        for node in pool.nodes {
            if !self.seats.iter().any(|seat| seat.node == node.name) {
                self.seats.push(SeatState {
                    node: node.name.to_owned(),
                    generation: 1,
                    ..SeatState::default()
                });
            }
        }
        let places: Vec<Option<usize>> =
            self.seats.iter().map(|seat| pool.nodes.iter().position(|n| n.name == seat.node)).collect();
        let node_of = |at: usize| places.get(at).copied().flatten().and_then(|i| pool.nodes.get(i));
        self.judge_all(now, &node_of);
        self.discard(now, &node_of);
        let mut changed = self.table.as_ref().is_none_or(|table| table.epoch != pool.epoch);
        let settled = self.settled;
        let in_force = self.fallback_is_in_force();
        for (at, seat) in self.seats.iter_mut().enumerate() {
            let node = node_of(at);
            let fate = match seat.fallback {
                Some(fallback) if self.config.role != Role::Active || in_force => {
                    seat.own.standing.min(fallback.standing)
                }
                _ => seat.own.standing,
            };
            seat.sit(now, fate, self.config.drain_deadline);
            let takes = matches!(fate, Standing::Takes | Standing::Spare | Standing::Held | Standing::Waits);
            if takes && !seat.took && settled {
                seat.since = Some(now);
            }
            seat.took = takes;
            self.settled |= takes;
            (seat.share, seat.since) = match seat.since.filter(|_| takes) {
                Some(since) => match slow_start::share(since, self.config.slow_start, now) {
                    (share, Some(_)) => (share, Some(since)),
                    (share, None) => (share, None),
                },
                None => (slow_start::FULL, None),
            };
            let gtids = node.and_then(|node| node.gtids);
            if seat.gtids.as_deref() != gtids {
                seat.gtids = gtids.cloned().map(Arc::new);
                changed = true;
            }
            let shown = Shown {
                generation: seat.generation,
                seat: seat.seat,
                own: seat.own,
                fallback: seat.fallback,
                share: seat.share,
                trial: seat.quarantine.trial(),
                troubled: seat.quarantine.is_troubled(),
                weight: node.map_or(0, |node| node.weight),
                status: node.map(|node| node.view.status),
                active: node.is_some_and(|n| n.view.state == State::Active && n.view.selected),
                ip: node.and_then(|node| node.ip),
            };
            changed |= seat.shown.replace(shown) != Some(shown);
            let slot = self.table.as_ref().and_then(|table| table.slots.get(at));
            changed |= slot.is_some_and(|slot| slot.site != node.map_or("", |node| node.site));
        }
        if !changed {
            return None;
        }
        let table = Arc::new(self.build(pool, &node_of));
        self.table = Some(Arc::clone(&table));
        Some(table)
    }

    fn judge_all<'a>(&mut self, now: Time, node_of: &impl Fn(usize) -> Option<&'a NodeSeen<'a>>) {
        let fallback = self.fallback();
        for (at, seat) in self.seats.iter_mut().enumerate() {
            seat.quarantine.pass(now);
            let Some(node) = node_of(at) else {
                (seat.own, seat.fallback) = (Judged::default(), None);
                continue;
            };
            if node.view.state.is_failed() || node.removed {
                seat.quarantine.forget();
            }
            let held = seat.quarantine.is_held();
            seat.own = judge(&self.config, self.config.role, node, seat.discarded, held);
            seat.fallback = fallback.map(|role| judge(&self.config, role, node, seat.discarded, held));
        }
    }

    /// `next-available` does not come back to a node that once took no clients, until that is true of all.
    fn discard<'a>(&mut self, now: Time, node_of: &impl Fn(usize) -> Option<&'a NodeSeen<'a>>) {
        if self.config.strategy != Strategy::NextAvailable {
            return;
        }
        let takes_none =
            |seat: &SeatState| seat.took && seat.own.standing >= Standing::Stays && !seat.discarded;
        if self.seats.iter().any(takes_none) {
            self.seats.iter_mut().filter(|seat| takes_none(seat)).for_each(|seat| seat.discarded = true);
            self.judge_all(now, node_of);
        }
        if self.seats.iter().all(|seat| seat.own.standing >= Standing::Stays) {
            self.seats.iter_mut().for_each(|seat| seat.discarded = false);
            self.judge_all(now, node_of);
        }
    }

    /// Nobody of the service's own role takes clients, nor is about to.
    fn fallback_is_in_force(&self) -> bool {
        self.seats
            .iter()
            .all(|seat| seat.own.standing >= Standing::Held && seat.own.standing != Standing::Waits)
    }

    fn build<'a>(
        &self,
        pool: &PoolSeen<'_>,
        node_of: &impl Fn(usize) -> Option<&'a NodeSeen<'a>>,
    ) -> ServiceTable {
        let slots: Vec<Slot> =
            self.seats.iter().enumerate().map(|(at, seat)| self.slot(seat, node_of(at))).collect();
        let paused = self.seats.iter().any(|seat| seat.own.standing == Standing::Waits);
        let own = |wanted: Standing| move |seat: &SeatState| seat.own.standing == wanted;
        let other =
            |wanted: Standing| move |seat: &SeatState| seat.fallback.is_some_and(|f| f.standing == wanted);
        let tiers: [(&dyn Fn(&SeatState) -> bool, Reason); 6] = [
            (&own(Standing::Takes), Reason::Role),
            (&own(Standing::Spare), Reason::Spare),
            (&other(Standing::Takes), Reason::Fallback),
            (&other(Standing::Spare), Reason::Fallback),
            (&own(Standing::Held), Reason::Held),
            (&other(Standing::Held), Reason::Held),
        ];
        let members = |tier: &(&dyn Fn(&SeatState) -> bool, Reason)| -> Vec<Entry> {
            let seats = self.seats.iter().zip(&slots).enumerate().filter(|(_, (seat, _))| tier.0(seat));
            seats.filter_map(|(at, (_, slot))| Entry::new(slot, at as u32, pool.epoch, tier.1)).collect()
        };
        // While the role is about to move nobody stands in for it.
        let reach = if paused { 2 } else { tiers.len() };
        // The first tier that has somebody; where these are trials, which are for one client each, the next ones as well.
        let (mut entries, mut rest): (Vec<Entry>, Vec<Entry>) = (Vec::new(), Vec::new());
        for tier in tiers.iter().take(reach) {
            let enough =
                entries.iter().any(|entry| entry.trial == 0) || tier.1 == Reason::Held && !entries.is_empty();
            for entry in members(tier) {
                // Held for the role and for the fallback.
                if !entries.iter().chain(&rest).any(|known| known.backend.slot == entry.backend.slot) {
                    if enough { rest.push(entry) } else { entries.push(entry) }
                }
            }
        }
        // Where nobody else is left, everybody may try.
        if entries.iter().all(|entry| entry.trial > 0) {
            let for_all = |entry: &Entry| {
                let number = entry.backend.slot;
                Entry::new(slots.get(number as usize)?, number, pool.epoch, Reason::Held)
            };
            entries = entries.iter().filter_map(for_all).collect();
        }
        let nobody = entries.is_empty().then(|| self.nobody(pool, paused));
        let strategy = self.config.strategy;
        let sites = match self.config.same_site_first {
            true => self.by_site(&slots, &entries),
            false => Vec::new(),
        };
        let active = self.seats.iter().zip(&slots).enumerate().find(|(_, (seat, slot))| {
            slot.active && seat.shown.is_some_and(|s| s.status <= Some(Status::OkCritical))
        });
        ServiceTable {
            pool: pool.name.to_owned(),
            service: self.config.name.clone(),
            epoch: pool.epoch,
            role: self.config.role,
            strategy,
            stale: self.config.stale,
            stale_after: self.config.stale_after,
            active: active
                .filter(|_| !paused)
                .and_then(|(at, (_, slot))| Entry::new(slot, at as u32, pool.epoch, Reason::GtidActive)),
            all: PickList::new(strategy, entries),
            rest,
            sites,
            nobody,
            closed: None,
            slots,
        }
    }

    /// For each site that has somebody, a trial aside: its own nodes.
    fn by_site(&self, slots: &[Slot], entries: &[Entry]) -> Vec<(String, PickList)> {
        let site =
            |entry: &Entry| slots.get(entry.backend.slot as usize).map_or("", |slot| slot.site.as_str());
        let for_all = entries.iter().filter(|entry| entry.trial == 0);
        let mut names: Vec<&str> = for_all.map(site).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        let own = |name: &str| entries.iter().filter(|entry| site(entry) == name).cloned().collect();
        names
            .into_iter()
            .map(|name| (name.to_owned(), PickList::new(self.config.strategy, own(name))))
            .collect()
    }

    fn slot(&self, seat: &SeatState, node: Option<&NodeSeen<'_>>) -> Slot {
        let shown = match seat.fallback {
            Some(fallback) if fallback.standing < seat.own.standing => fallback,
            _ => seat.own,
        };
        Slot {
            node: seat.node.clone(),
            address: node.and_then(|node| self.address(node)),
            generation: seat.generation,
            seat: seat.seat,
            standing: shown.standing,
            rule: shown.rule,
            weight: node.map_or(0, |node| node.weight),
            share: seat.share,
            site: node.map_or(String::new(), |node| node.site.to_owned()),
            trial: seat.quarantine.trial(),
            troubled: seat.quarantine.is_troubled(),
            active: seat.shown.is_some_and(|shown| shown.active),
            gtids: seat.gtids.clone(),
        }
    }

    fn address(&self, node: &NodeSeen<'_>) -> Option<BackendAddress> {
        let port = self.config.port.unwrap_or(node.address.port);
        match &node.address.host {
            Host::Unix(path) => Some(BackendAddress::Unix(path.clone())),
            Host::Ip(ip) => Some(BackendAddress::Ip(*ip, port)),
            Host::Name(_) => Some(BackendAddress::Ip(node.ip?, port)),
        }
    }

    fn nobody(&self, pool: &PoolSeen<'_>, paused: bool) -> Nobody {
        if paused {
            let text = format!("pool {}: the role is being handed over: ask again in a moment", pool.name);
            return Nobody { paused, text };
        }
        let reason = match self.config.role {
            Role::Active => (pool.not_serving)(),
            _ => None,
        };
        let text = reason.unwrap_or_else(|| {
            let words =
                |seat: &SeatState| format!("{}: {}", seat.node, sentence(seat.own.rule).unwrap_or_default());
            let seats: Vec<String> =
                self.seats.iter().filter(|seat| seat.own.rule != 601).map(words).collect();
            match seats.is_empty() {
                true => "it has no nodes".to_owned(),
                false => seats.join("; "),
            }
        });
        Nobody { paused, text: format!("pool {}, service {}: {text}", pool.name, self.config.name) }
    }
}
