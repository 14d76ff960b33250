//! The desk of the responder: finds the node that a load balancer asks about, under a lock held for as long as that takes.

use super::Instance;
use super::shared::{Core, Handle, Life};
use crate::config::{self, Config, Listen, ListenAddress};
use crate::control::Seen;
use crate::engine::{NodeRef, Severity, Standing, Time};
use crate::error::{Error, ErrorCode, Result};
use crate::io::clock;
use crate::io::descriptor::Registry;
use crate::io::respond::{CONNECTIONS, Desk, Listener, Order, Server};
use crate::metrics;
use crate::policy::serving::{REMOVED, STILL, UNKNOWN};
use crate::pool::Address;
use crate::respond::{
    Fault, Found, Known, Miss, Page, Protocol, Request, Response, Seated, Who, agent_ask, agent_line,
    http_ask, node_page, plain,
};
use crate::select::{self, Seat};
use parking_lot::{Mutex, MutexGuard};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// An engine that has not turned for so long stands still, asked to turn four times a second.
const STANDSTILL: Duration = Duration::from_secs(3);
/// How long a question waits for the engine's lock.
const PATIENCE: Duration = Duration::from_millis(250);
/// Names that were found are remembered up to this number.
const HINTS: usize = 4096;
/// Documents about everything are made anew after this time at the earliest, and take a tenth of it at most.
const FRESH: Duration = Duration::from_millis(50);
const SHARE: u32 = 10;
/// How often it is said that connections are closed for want of places.
const CROWDED: Duration = Duration::from_secs(60);

/// Answers load balancers for an instance, in a thread of its own, where `[listen]` says.
#[derive(Debug)]
pub struct Responder {
    instance: Instance,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: BTreeMap<ListenAddress, Arc<Listener>>,
    server: Option<Server<Clerk>>,
}

/// Sockets that listen already and are not answered at yet.
#[derive(Debug)]
pub struct Prepared {
    listen: Listen,
    open: BTreeMap<ListenAddress, Arc<Listener>>,
}

impl Responder {
    /// Listens and answers. Where nothing is to be listened at it does nothing, until a reload.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] for an address that cannot be taken; nothing listens then.
    pub fn start(instance: &Instance, listen: &Listen) -> Result<Responder> {
        let responder = Responder { instance: instance.clone(), state: Mutex::default() };
        let prepared = responder.prepare(listen)?;
        responder.adopt(prepared)?;
        Ok(responder)
    }

    /// Takes the addresses of another configuration that are not taken yet. Dropped, they are given back.
    ///
    /// # Errors
    /// As [`Responder::start`]; what listened before goes on.
    pub fn prepare(&self, listen: &Listen) -> Result<Prepared> {
        let state = self.state.lock();
        let registry = Registry::new(0);
        let mut open = BTreeMap::new();
        for address in listen.http.iter().chain(&listen.agent_check) {
            let listener = match state.open.get(address) {
                Some(known) => Arc::clone(known),
                None => Arc::new(Listener::open(&registry, address, listen.unix_mode)?),
            };
            open.insert(address.clone(), listener);
        }
        Ok(Prepared { listen: listen.clone(), open })
    }

    /// Answers there from now on, and nowhere else. Connections that are up are served on.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if the system gives no thread.
    pub fn adopt(&self, prepared: Prepared) -> Result<()> {
        let Prepared { listen, open } = prepared;
        let mut state = self.state.lock();
        open.values().for_each(|listener| listener.set_mode(listen.unix_mode));
        let of = |addresses: &[ListenAddress], protocol: Protocol| -> Vec<(Protocol, Arc<Listener>)> {
            addresses.iter().filter_map(|a| Some((protocol, Arc::clone(open.get(a)?)))).collect()
        };
        let agent = if listen.node.is_some() { Protocol::AgentOfOne } else { Protocol::Agent };
        let mut listeners = of(&listen.http, Protocol::Http);
        listeners.extend(of(&listen.agent_check, agent));
        let clerk = || Clerk::new(self.instance.clone(), listen.node.clone());
        match &state.server {
            _ if listeners.is_empty() => state.server = None,
            Some(server) => server.order(Order { listeners, desk: Some(clerk()) }),
            None => {
                let server = Server::start(clerk(), listeners).map_err(|e| {
                    let text = format!("the system gives no thread to answer load balancers: {e}");
                    Error::new(ErrorCode::Io, text)
                })?;
                state.server = Some(server);
            }
        }
        state.open = open;
        Ok(())
    }

    /// Whether it answers, or has nothing to. It stops by itself only by a defect.
    pub fn is_well(&self) -> bool {
        self.state.lock().server.as_ref().is_none_or(Server::is_running)
    }

    /// Ends it: connections are closed, addresses given back.
    pub fn stop(&self) {
        let state = core::mem::take(&mut *self.state.lock());
        drop(state.server);
        drop(state.open);
    }
}

/// A document about everything, shared by all who ask at the time.
#[derive(Default)]
struct Paced {
    text: Option<Arc<str>>,
    until: Time,
}

impl Paced {
    fn get(
        &mut self,
        now: Time,
        make: impl FnOnce() -> core::result::Result<String, Miss>,
    ) -> core::result::Result<Arc<str>, Miss> {
        if let Some(text) = self.text.as_ref().filter(|_| now < self.until) {
            return Ok(Arc::clone(text));
        }
        self.text = None;
        let begin = clock::mono();
        let text: Arc<str> = make()?.into();
        let end = clock::mono();
        self.until = end + FRESH.max(end.since(begin) * SHARE);
        self.text = Some(Arc::clone(&text));
        Ok(text)
    }
}

/// Who answers in the responder's thread.
pub(crate) struct Clerk {
    instance: Instance,
    /// The node of those who name none.
    node: Option<Address>,
    /// Where names were found, as long as the configuration is this one.
    hints: BTreeMap<Who, NodeRef>,
    fingerprint: u64,
    /// The engine's turns, and when they last were more than before.
    turns: u64,
    turned: Time,
    figures: Paced,
    status: Paced,
    complained: Option<Time>,
}

impl core::fmt::Debug for Clerk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Clerk").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Clerk {
    fn new(instance: Instance, node: Option<Address>) -> Clerk {
        Clerk {
            instance,
            node,
            hints: BTreeMap::new(),
            fingerprint: 0,
            turns: 0,
            turned: clock::mono(),
            figures: Paced::default(),
            status: Paced::default(),
            complained: None,
        }
    }

    /// The lock, if the engine turns.
    fn core(&self, now: Time) -> core::result::Result<MutexGuard<'_, Core>, Miss> {
        let still = now.since(self.turned);
        if still > STANDSTILL {
            let text = format!("the engine has not turned for {} ms", still.as_millis());
            return Err(Miss::Absent(&STILL, text));
        }
        let lock = self.instance.handle.shared.core.try_lock_for(PATIENCE);
        let core = lock.ok_or_else(|| {
            Miss::Absent(&STILL, format!("the engine was not free within {} ms", PATIENCE.as_millis()))
        })?;
        match (&core.poisoned, &core.life) {
            (Some(words), _) => {
                Err(Miss::Absent(&STILL, format!("the engine hit a defect of its own: {words}")))
            }
            (None, Life::Stopped) => Err(Miss::Absent(&STILL, "the agent stops".into())),
            (None, _) => Ok(core),
        }
    }

    fn find(&mut self, now: Time, who: &Who) -> Found {
        let mut hints = core::mem::take(&mut self.hints);
        let found = self.look(now, who, &mut hints);
        self.hints = hints;
        found
    }

    fn look(&mut self, now: Time, who: &Who, hints: &mut BTreeMap<Who, NodeRef>) -> Found {
        let (place, standing, fingerprint) = {
            let mut core = self.core(now)?;
            let fingerprint = core.fingerprint;
            let known = hints.get(who).copied().filter(|_| fingerprint == self.fingerprint);
            let place = match known {
                Some(place) => place,
                None => place_of(&core.config, who, self.node.as_ref())?,
            };
            let standing = core
                .guarded(|engine| engine.standing(place))
                .map_err(|e| Miss::Absent(&STILL, e.message().to_owned()))?;
            (place, standing, fingerprint)
        };
        if fingerprint != self.fingerprint || hints.len() >= HINTS {
            hints.clear();
            self.fingerprint = fingerprint;
        }
        hints.entry(who.clone()).or_insert(place);
        let node = standing.ok_or_else(|| {
            let name = who.node.clone().or_else(|| self.node.as_ref().map(Address::to_string));
            Miss::Absent(&REMOVED, format!("node {} was removed by an operator", name.unwrap_or_default()))
        })?;
        let seated = match &who.service {
            Some(service) => Some(self.seated(&node, service)?),
            None => None,
        };
        Ok(Known { node, seated })
    }

    /// What a service makes of a node, as it was published last.
    fn seated(&self, node: &Standing, service: &str) -> core::result::Result<Seated, Miss> {
        let full = match service.contains('.') {
            true => service.to_owned(),
            false => format!("{}.{service}", node.pool),
        };
        let table = self.instance.handle.shared.services.table(&full).filter(|table| table.pool == node.pool);
        let slot = table.as_ref().and_then(|table| {
            // A node that left and came back has a new number.
            table.slots.iter().enumerate().rev().find(|(_, slot)| slot.node == node.name)
        });
        let (Some(table), Some((number, slot))) = (&table, slot) else {
            return Err(Miss::Absent(&UNKNOWN, format!("node {} has no service {full}", node.name)));
        };
        let entry = table.all.entries.iter().find(|entry| entry.backend.slot as usize == number);
        let stays = slot.seat != Seat::Ended;
        // A hand-over pauses routing for two seconds at most: checks, which ask more seldom, see no gap.
        let waits = stays && slot.standing == select::Standing::Waits;
        // Who writes has one node to go to, whatever its weight; so has who falls back on a node of weight 0.
        let weight = if table.role == config::Role::Active { 1 } else { slot.weight.max(1) };
        Ok(Seated {
            takes: entry.is_some() || waits,
            stays,
            percent: u64::from(weight) * u64::from(slot.share) * 10,
            rule: slot.rule,
            sentence: select::standing::sentence(slot.rule).unwrap_or_default(),
            service: full,
        })
    }

    fn metrics(&mut self, now: Time) -> core::result::Result<Arc<str>, Miss> {
        let mut paced = core::mem::take(&mut self.figures);
        let outcome = paced.get(now, || {
            let figures = {
                let mut core = self.core(now)?;
                let snapshot = core.guarded(|engine| engine.snapshot(clock::now())).map_err(still)?;
                core.figures(snapshot)
            };
            // Thousands of lines are made without the lock.
            Ok(metrics::text(&figures))
        });
        self.figures = paced;
        outcome
    }

    fn document(&mut self, now: Time) -> core::result::Result<Arc<str>, Miss> {
        let mut paced = core::mem::take(&mut self.status);
        let outcome = paced.get(now, || {
            let seen = {
                let mut core = self.core(now)?;
                let snapshot = core.guarded(|engine| engine.snapshot(clock::now())).map_err(still)?;
                Seen { snapshot, fingerprint: core.fingerprint, pid: std::process::id() }
            };
            Ok(format!("{}\n", seen.encode()))
        });
        self.status = paced;
        outcome
    }

    fn liveness(&self, now: Time) -> Response {
        plain(self.core(now).map(|core| {
            json!({
                "agent": "well",
                "pid": std::process::id(),
                "version": env!("CARGO_PKG_VERSION"),
                "pools": core.config.pools.len(),
                "turned_ms": u64::try_from(now.since(self.turned).as_millis()).unwrap_or(u64::MAX),
            })
        }))
    }

    fn answer(&mut self, now: Time, request: &Request) -> core::result::Result<Response, Fault> {
        let (page, who, lag) = http_ask(request)?;
        let shared = |text: core::result::Result<Arc<str>, Miss>, then: fn(Arc<str>) -> Response| match text {
            Ok(text) => then(text),
            Err(miss) => plain(Err(miss)),
        };
        Ok(match page {
            Page::Metrics => shared(self.metrics(now), Response::figures),
            Page::Status => shared(self.document(now), Response::document),
            Page::Liveness => self.liveness(now),
            Page::Health if who == Who::default() && self.node.is_none() => self.liveness(now),
            page => node_page(page, &self.find(now, &who), lag),
        })
    }
}

fn still(error: Error) -> Miss {
    Miss::Absent(&STILL, error.message().to_owned())
}

/// The place of a node in the configuration.
fn place_of(config: &Config, who: &Who, default: Option<&Address>) -> core::result::Result<NodeRef, Miss> {
    let named = match &who.node {
        Some(text) => Some(Address::parse(text).map_err(|problem| Miss::Absent(&UNKNOWN, problem))?),
        None => None,
    };
    let Some(address) = named.as_ref().or(default) else {
        return Err(Miss::Unclear(
            "no node is named, and one answer for all of them would send writes to all of them: ask for /primary/NODE \
             or /primary?node=NODE, send HAProxy's http-check send-state, or set listen.node"
                .into(),
        ));
    };
    let pools = config.pools.iter().enumerate();
    // A service in full names its pool too.
    let of_service = who.service.as_ref().and_then(|service| service.rsplit_once('.')).map(|(pool, _)| pool);
    let wanted = who.pool.as_deref().or(of_service);
    let mut places =
        pools.filter(|(_, pool)| wanted.is_none_or(|name| *name == pool.name)).filter_map(|(index, pool)| {
            let node = pool.nodes.iter().position(|node| node.address == *address)?;
            Some(NodeRef { pool: index, node })
        });
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (Some(_), Some(_)) => {
            Err(Miss::Unclear(format!("node {address} is in several pools: say which by pool=NAME")))
        }
        (None, _) => Err(Miss::Absent(
            &UNKNOWN,
            match wanted {
                Some(pool) => format!("node {address} is not in a pool {pool}"),
                None => format!("node {address} is in no pool"),
            },
        )),
    }
}

impl Desk for Clerk {
    fn tick(&mut self, now: Time) {
        let turns = self.instance.heartbeat();
        if turns != self.turns {
            (self.turns, self.turned) = (turns, now);
        }
    }

    fn page(&mut self, now: Time, request: Request) -> Response {
        self.answer(now, &request).unwrap_or_else(|fault| Response::fault(&fault))
    }

    fn line(&mut self, now: Time, line: String) -> Option<String> {
        let ask = agent_ask(&line);
        let found = match &ask {
            Ok(ask) => self.find(now, &ask.who),
            Err(problem) => Err(Miss::Unclear(problem.clone())),
        };
        agent_line(&ask, &found)
    }

    fn crowded(&mut self, now: Time) {
        if self.complained.is_some_and(|at| now.since(at) < CROWDED) {
            return;
        }
        self.complained = Some(now);
        let text = format!(
            "load balancers' checks were sent away: all {CONNECTIONS} connections to the responder are in use"
        );
        self.instance.handle.say_log(Severity::Warning, text);
    }
}

impl Handle {
    /// A line of the log from outside the engine.
    fn say_log(&self, severity: Severity, text: String) {
        let now = clock::now();
        self.shared.hub.say(severity, (now.mono, now.wall_ms), ("", ""), text);
    }
}
