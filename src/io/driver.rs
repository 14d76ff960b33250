//! The driver: carries out the engine's effects and brings back what happened.
//!
//! It decides nothing. One lock, the instance's, guards it together with the engine; only the wait of the thread of
//! our own happens outside that lock.

use super::checkpoint::{CheckSetup, Checker};
use super::clock;
use super::control::{Asked, ClientId, ControlContext, ControlServer, ControlSetup};
use super::descriptor::Registry;
use super::following::Following;
use super::helper::Helper;
use super::link::{Context, Link};
use super::poller::{Epoll, Poller, Ready, Waiter};
use super::push::{ProxyContext, ProxyLink, ProxySetup};
use super::router_node::{Lane, RouterNode, RouterSetup};
use super::tls::TlsSetup;
use super::wake::Wake;
use super::writer::Writer;
use crate::control::Answer;
use crate::engine::notice::Notice;
use crate::engine::{CheckRef, Deadlines, Input, NodeRef, Time};
use crate::metrics::{DriverFigures, LinkTally, LoopTally};
use crate::mpp::Evaluation;
use crate::probe::check::CheckEnd;
use crate::probe::{AddressBook, SessionConfig};
use crate::wire::SharedColumns;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

mod errands;
mod routers;
#[cfg(test)]
mod tests;

/// One buffer serves all sockets: what a read brought is handed in before the next.
const BUFFER: usize = 16 * 1024;

/// For an instance that probes nobody itself, in place of the shortest `timeout` of its nodes.
const TIMEOUT: Duration = Duration::from_millis(250);

/// Connections made at a time. Thousands at once would all be late together; one after the other each is in time.
const LOGINS: usize = 1024;

/// Who waits for the descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A thread of our own, by a [`Waiter`].
    Thread,
    /// The host's loop.
    Host,
}

/// What the driver must know of a node.
#[derive(Clone, Debug)]
pub(crate) struct NodeSetup {
    /// Which node.
    pub(crate) node: NodeRef,
    /// The path, for a unix socket.
    pub(crate) unix: Option<PathBuf>,
    /// Name and port, for a name.
    pub(crate) name: Option<(String, u16)>,
    /// What is known of its addresses; empty for a unix socket.
    pub(crate) book: AddressBook,
    /// Who probes.
    pub(crate) session: SessionConfig,
    /// How to encrypt, if the session asks for it.
    pub(crate) tls: Option<TlsSetup>,
    /// For each phase of a probe.
    pub(crate) timeout: Duration,
    /// For a probe as a whole.
    pub(crate) probe_timeout: Duration,
    /// Lag above this is a replication fault.
    pub(crate) max_lag: Option<Duration>,
    /// A router's checks; it is looked at by them alone.
    pub(crate) router: Option<RouterSetup>,
    /// The link is that of one of them.
    pub(crate) lane: Option<Lane>,
}

/// Sockets, sessions, deadlines and the helper thread of a running instance.
#[derive(Debug)]
pub(crate) struct Driver {
    poller: Epoll,
    wake: Arc<Wake>,
    registry: Arc<Registry>,
    links: Vec<Link>,
    /// Index of the link by pool and node; none for a node that the host observes.
    places: Vec<Vec<Option<usize>>>,
    /// Indices of links whose nodes have left.
    free: Vec<usize>,
    /// In the order of their places.
    checkers: Vec<Checker>,
    /// Proxies that are told of every node.
    proxies: Vec<ProxyLink>,
    proxy_slots: u32,
    /// How often there was a new configuration.
    reloads: u32,
    inputs: VecDeque<Input>,
    /// Words for the log.
    notices: VecDeque<Notice>,
    tally: LoopTally,
    /// A loop that is later than this may have missed answers.
    late: Duration,
    /// The deadline that the poller knows.
    due: Option<Time>,
    /// The helper was told to be slow, since then.
    slow_since: Option<Time>,
    buffer: Box<[u8]>,
    columns: SharedColumns,
    /// Nodes that are looked at by several checks, and ends of those that have not been taken in.
    routers: Vec<RouterNode>,
    /// Tokens of processes and programs up to this one were used.
    router_serial: u32,
    ends: Vec<(usize, u64, CheckEnd)>,
    /// Probes that make a connection, and those that have to wait until one of them has ended.
    logins: usize,
    queue: VecDeque<(usize, u64, bool)>,
    ready: Vec<Ready>,
    helper: Option<Helper>,
    control: Option<ControlServer>,
    /// What a follower waits for.
    following: Option<Following>,
    /// When each link wants to be looked at, and after all links each checker.
    timers: Deadlines,
    /// The last batch of events was full: timers wait until the rest was read.
    more: bool,
}

impl Driver {
    /// Makes the descriptors. Connects to nobody yet.
    pub(crate) fn new(mode: Mode, registry: &Arc<Registry>, nodes: Vec<NodeSetup>) -> io::Result<Driver> {
        let wake = Arc::new(Wake::new(registry)?);
        let poller = match mode {
            Mode::Thread => Epoll::for_thread(registry, Arc::clone(&wake))?,
            Mode::Host => Epoll::for_host(registry, &wake)?,
        };
        let late = nodes.iter().map(|setup| setup.timeout).min().unwrap_or(TIMEOUT);
        let (nodes, routers): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|setup| setup.router.is_none());
        let links = nodes.into_iter().enumerate().map(|(index, setup)| Link::new(index as u32, setup));
        let mut driver = Driver {
            poller,
            wake,
            registry: Arc::clone(registry),
            links: links.collect(),
            places: Vec::new(),
            free: Vec::new(),
            checkers: Vec::new(),
            proxies: Vec::new(),
            proxy_slots: 0,
            reloads: 0,
            inputs: VecDeque::new(),
            notices: VecDeque::new(),
            tally: LoopTally::default(),
            late,
            due: None,
            slow_since: None,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            columns: SharedColumns::default(),
            routers: Vec::new(),
            router_serial: 0,
            ends: Vec::new(),
            logins: 0,
            queue: VecDeque::new(),
            ready: Vec::new(),
            helper: None,
            control: None,
            following: None,
            timers: Deadlines::default(),
            more: false,
        };
        driver.add_routers(routers);
        driver.note_places();
        Ok(driver)
    }

    /// Where each node's link is.
    fn note_places(&mut self) {
        self.places.clear();
        let links = self.links.iter().enumerate();
        for (index, link) in links.filter(|(index, link)| !self.free.contains(index) && !link.is_lane()) {
            let NodeRef { pool, node } = link.node();
            self.places.resize(self.places.len().max(pool + 1), Vec::new());
            if let Some(place) = self.places.get_mut(pool) {
                place.resize(place.len().max(node + 1), None);
                if let Some(slot) = place.get_mut(node) {
                    *slot = Some(index);
                }
            }
        }
    }

    /// New places, nodes and ways to probe; `moved` names the nodes that stay, by their place before and now. All inputs
    /// were taken before: they speak of the places before. A probe under way goes on, and is answered for the new place.
    /// Looks at checkpoints end: the engine asks anew.
    pub(crate) fn reconfigure(
        &mut self,
        now: Time,
        nodes: Vec<NodeSetup>,
        checks: Vec<CheckSetup>,
        moved: &[(NodeRef, NodeRef)],
    ) {
        self.reloads = self.reloads.wrapping_add(1);
        // Their timers come after those of all links, however many there will be.
        for index in 0..self.checkers.len() {
            self.with_checker(now, index, |checker, context| checker.shut(context));
            self.timers.set(self.links.len() + index, None);
        }
        self.checkers.clear();
        let stay: BTreeMap<NodeRef, usize> =
            moved.iter().filter_map(|(was, is)| Some((*is, self.place(*was)?))).collect();
        let staying: BTreeSet<usize> = stay.values().copied().collect();
        for index in (0..self.links.len()).filter(|index| !staying.contains(index)) {
            if !self.free.contains(&index) {
                self.queue.retain(|waiting| waiting.0 != index);
                self.with_link(now, index, |link, context| link.shut(context));
                self.free.push(index);
            }
        }
        self.inputs.clear();
        let asked = self.shut_routers(moved);
        let (nodes, routers): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|setup| setup.router.is_none());
        for setup in nodes {
            if let Some(&index) = stay.get(&setup.node) {
                self.with_link(now, index, |link, context| link.reconfigure(context, setup));
                continue;
            }
            self.add_link(setup);
        }
        self.add_routers(routers);
        self.note_places();
        self.add_checkpoints(checks);
        // A probe under way begins anew: the engine waits for its end.
        for (node, probe) in asked {
            self.begin_router(now, node, probe);
        }
        self.admit(now);
    }

    /// Begins to follow another process; `control` is its control socket.
    pub(crate) fn follow(&mut self, control: Option<PathBuf>) {
        self.following = Some(Following::new(&self.registry, &mut self.poller, control));
    }

    /// What a follower waits for, and where it is watched.
    pub(crate) fn following(&mut self) -> Option<(&mut Following, &mut dyn Poller)> {
        Some((self.following.as_mut()?, &mut self.poller))
    }

    /// Follows no longer: takes in the nodes and begins to probe.
    pub(crate) fn lead(&mut self, now: Time, nodes: Vec<NodeSetup>, checks: Vec<CheckSetup>) {
        if let Some(mut following) = self.following.take() {
            following.shut(&mut self.poller);
        }
        self.late = nodes.iter().map(|setup| setup.timeout).min().unwrap_or(TIMEOUT);
        self.reconfigure(now, nodes, checks, &[]);
    }

    /// Takes in the checkpoints; before the first effect, and anew with each configuration.
    pub(crate) fn add_checkpoints(&mut self, mut setups: Vec<CheckSetup>) {
        setups.sort_by_key(|setup| setup.place);
        let indexed = setups.into_iter().enumerate();
        self.checkers =
            indexed.map(|(index, setup)| Checker::new(index as u32, self.reloads << 20, setup)).collect();
    }

    /// Takes in the proxies that are pushed to. A connection stays where address and account are the same.
    pub(crate) fn set_proxies(&mut self, now: Time, setups: Vec<ProxySetup>) {
        let mut before = core::mem::take(&mut self.proxies);
        for setup in setups {
            let kept =
                before.iter_mut().position(|link| link.keep_as(&setup)).map(|at| before.swap_remove(at));
            self.proxies.push(kept.unwrap_or_else(|| {
                // Never another one's: events may still be on their way.
                self.proxy_slots = self.proxy_slots.wrapping_add(1);
                ProxyLink::new(self.proxy_slots, setup)
            }));
        }
        for mut link in before {
            let mut context = ProxyContext {
                poller: &mut self.poller,
                registry: &self.registry,
                notices: &mut self.notices,
                buffer: &mut self.buffer,
                now,
            };
            link.shut(&mut context);
        }
    }

    /// Whether somebody is pushed to.
    pub(crate) fn has_proxies(&self) -> bool {
        !self.proxies.is_empty()
    }

    /// Hands each proxy what it is to hold, by pool.
    pub(crate) fn feed_proxies(&mut self, now: Time, pools: &BTreeMap<String, Vec<Evaluation>>) {
        for index in 0..self.proxies.len() {
            self.with_proxy(now, index, |link, context| link.feed(context, pools));
        }
    }

    /// Begins to take operators' commands.
    ///
    /// # Errors
    /// [`crate::ErrorCode::Io`] if the socket cannot be made.
    pub(crate) fn open_control(&mut self, setup: &ControlSetup) -> crate::Result<()> {
        self.control = Some(ControlServer::open(&self.registry, &mut self.poller, setup)?);
        Ok(())
    }

    /// The next request of an operator's command.
    pub(crate) fn next_asked(&mut self) -> Option<Asked> {
        self.control.as_mut()?.next()
    }

    /// Answers a request.
    pub(crate) fn answer(&mut self, now: Time, client: ClientId, answer: &Answer) {
        if let Some(control) = &mut self.control {
            control.answer(&mut self.poller, now, client, answer);
        }
    }

    /// The answer comes later, at `until` at the latest.
    pub(crate) fn hold(&mut self, client: ClientId, until: Time) {
        if let Some(control) = &mut self.control {
            control.hold(client, until);
        }
    }

    /// The descriptor that is readable while there is something to do.
    pub(crate) fn fd(&self) -> RawFd {
        self.poller.fd()
    }

    /// What the thread of our own waits with.
    pub(crate) fn waiter(&self) -> Waiter {
        self.poller.waiter()
    }

    /// What ends the driver's sleep, for another thread.
    pub(crate) fn waker(&self) -> Arc<Wake> {
        Arc::clone(&self.wake)
    }

    /// Ends the thread's sleep.
    pub(crate) fn wake(&self) {
        self.wake.raise();
    }

    /// Starts a probe. A node without a link, which the engine never asks for, is not answered.
    pub(crate) fn probe(&mut self, now: Time, node: NodeRef, probe: u64, fresh: bool) {
        if self.begin_router(now, node, probe) {
            return;
        }
        let Some(index) = self.place(node) else { return };
        if self.logins >= LOGINS && self.links.get(index).is_some_and(|link| link.needs_login(fresh)) {
            self.queue.push_back((index, probe, fresh));
        } else {
            self.begin(now, index, probe, fresh);
        }
    }

    fn begin(&mut self, now: Time, index: usize, probe: u64, fresh: bool) {
        self.resolve_if_due(now, index);
        // Names of checkpoints are kept fresh too: once one is looked at it may be too late to ask.
        for checker in
            self.links.get(index).map(Link::node).map(|node| self.checkers_of(node)).unwrap_or_default()
        {
            self.resolve_if_due(now, self.links.len() + checker);
        }
        self.with_link(now, index, |link, context| link.begin(context, probe, fresh));
    }

    /// Looks at a checkpoint. One that was not configured, which the engine never asks for, is not answered.
    pub(crate) fn check(&mut self, now: Time, place: CheckRef, check: u64) {
        if let Ok(index) = self.checkers.binary_search_by_key(&place, Checker::place) {
            self.resolve_if_due(now, self.links.len() + index);
            self.with_checker(now, index, |checker, context| checker.begin(context, check));
        }
    }

    /// The indices of a node's checkers.
    fn checkers_of(&self, node: NodeRef) -> core::ops::Range<usize> {
        let first = self.checkers.partition_point(|checker| checker.place().node < node);
        first..self.checkers.partition_point(|checker| checker.place().node <= node)
    }

    /// Begins probes that had to wait.
    fn admit(&mut self, now: Time) {
        while self.logins < LOGINS {
            let Some((index, probe, fresh)) = self.queue.pop_front() else { return };
            self.begin(now, index, probe, fresh);
        }
    }

    /// Closes what is kept for a node that left its pool.
    pub(crate) fn forget(&mut self, now: Time, node: NodeRef) {
        if let Some(index) = self.place(node) {
            self.queue.retain(|waiting| waiting.0 != index);
            self.with_link(now, index, |link, context| link.shut(context));
            self.admit(now);
        }
        self.forget_router(now, node);
        for index in self.checkers_of(node) {
            self.with_checker(now, index, |checker, context| checker.shut(context));
        }
    }

    /// Gives the pending document of the writer to the helper. Without a helper (no thread to be had) it is written
    /// here and now.
    pub(crate) fn write(&mut self, writer: &Arc<Writer>) {
        match self.helper() {
            Ok(helper) => helper.write(Arc::clone(writer)),
            Err(_) => {
                if let Some((sequence, outcome)) = writer.write() {
                    self.inputs.push_back(Input::Persisted { sequence, outcome });
                }
            }
        }
    }

    /// The thread goes to sleep: until when. `None` is for ever.
    pub(crate) fn fall_asleep(&mut self) -> Option<Time> {
        self.poller.fall_asleep()
    }

    /// Takes over what the thread's wait brought.
    pub(crate) fn take_ready(&mut self, now: Time, events: &mut Vec<Ready>, full: bool) {
        self.poller.wake_up();
        self.measure(now);
        self.more = full;
        for event in events.drain(..) {
            self.handle(now, event);
        }
        self.take_results(now);
        self.admit(now);
    }

    /// Looks what is ready, without waiting.
    pub(crate) fn poll(&mut self, now: Time) -> io::Result<()> {
        self.measure(now);
        let mut events = core::mem::take(&mut self.ready);
        let outcome = self.poller.poll(&mut events);
        for event in events.drain(..) {
            self.handle(now, event);
        }
        self.ready = events;
        self.more = outcome?;
        self.take_results(now);
        self.admit(now);
        Ok(())
    }

    /// Judges the deadlines that have passed. Only after a batch of events that was not full: what can be read is read
    /// first.
    pub(crate) fn judge_deadlines(&mut self, now: Time) -> bool {
        if self.more {
            return false;
        }
        if let Some(control) = &mut self.control {
            control.judge_deadlines(&mut self.poller, now);
        }
        // Once each: a deadline that is set anew for now or earlier must not keep the loop.
        let mut due = Vec::new();
        while let Some(index) = self.timers.take_due(now) {
            due.push(index);
        }
        for index in due {
            match index.checked_sub(self.links.len()) {
                None => self.with_link(now, index, |link, context| link.timeout(context)),
                Some(index) => self.with_checker(now, index, |checker, context| checker.timeout(context)),
            }
        }
        self.judge_routers(now);
        for index in 0..self.proxies.len() {
            if self.proxies.get(index).and_then(ProxyLink::deadline).is_some_and(|at| at <= now) {
                // A name is asked for before it is needed: an attempt at a connection is never far.
                self.resolve_if_due(now, self.links.len() + self.checkers.len() + index);
                self.with_proxy(now, index, |link, context| link.timeout(context));
            }
        }
        self.admit(now);
        true
    }

    /// How late this turn comes, if it comes for a deadline.
    fn measure(&mut self, now: Time) {
        if let Some(due) = self.due.take_if(|due| *due <= now) {
            let lateness = now.since(due);
            self.tally.lateness.record(lateness);
            self.tally.late += u64::from(lateness > self.late);
        }
    }

    /// The next words for the log.
    pub(crate) fn next_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front().or_else(|| self.control.as_mut()?.next_notice())
    }

    /// What was counted so far.
    pub(crate) fn figures(&self) -> DriverFigures {
        let mut tally = self.tally;
        if let Some(control) = &self.control {
            (tally.strangers, tally.crowded) = control.turned_away();
        }
        // A router's links are counted together.
        let mut links = BTreeMap::new();
        for link in &self.links {
            let sum: &mut LinkTally = links.entry(link.node()).or_default();
            sum.add(link.tally());
        }
        DriverFigures {
            tally,
            connections: self.links.iter().filter(|link| link.is_connected()).count() as u64,
            links,
            proxies: self.proxies.iter().map(|link| (link.proxy().to_owned(), link.tally())).collect(),
        }
    }

    /// The next thing to tell the engine.
    pub(crate) fn next_input(&mut self) -> Option<Input> {
        self.inputs.pop_front()
    }

    /// Sees to it that the next turn comes at `engine`'s deadline or the links' own, whichever is first, and at once
    /// if inputs are left.
    pub(crate) fn set_deadline(&mut self, engine: Option<Time>) {
        let at = if self.inputs.is_empty() && !self.more {
            let control = self.control.as_ref().and_then(ControlServer::deadline);
            let proxies = self.proxies.iter().filter_map(ProxyLink::deadline);
            let routers = self.routers.iter().filter_map(RouterNode::deadline);
            let at = self.timers.first().into_iter().chain(engine).chain(control).chain(proxies);
            let at = at.chain(routers).min();
            self.due = at;
            at
        } else {
            // Work is left over from this turn; the next one is not late.
            self.due = None;
            Some(clock::mono())
        };
        if self.poller.set_deadline(at).is_err() {
            // A timer that cannot be armed would put the host to sleep for ever; being woken too often is better.
            self.wake.raise();
        }
    }

    /// Ends all sessions and closes all sockets. The helper ends after the job at hand.
    pub(crate) fn shut(&mut self, now: Time) {
        self.queue.clear();
        self.shut_routers(&[]);
        for index in 0..self.links.len() {
            self.with_link(now, index, |link, context| link.shut(context));
        }
        for index in 0..self.checkers.len() {
            self.with_checker(now, index, |checker, context| checker.shut(context));
        }
        for index in 0..self.proxies.len() {
            self.with_proxy(now, index, |link, context| link.shut(context));
        }
        if let Some(mut control) = self.control.take() {
            (self.tally.strangers, self.tally.crowded) = control.turned_away();
            control.shut(&mut self.poller);
        }
        if let Some(mut following) = self.following.take() {
            following.shut(&mut self.poller);
        }
        self.inputs.clear();
    }

    /// Lets go of the helper; waits for its end for at most `timeout`.
    pub(crate) fn end_helper(&mut self, timeout: Duration) {
        if let Some(helper) = self.helper.take() {
            helper.end(timeout);
        }
    }

    /// The address books as they are now, by node.
    pub(crate) fn books(&mut self) -> Vec<(NodeRef, AddressBook)> {
        let links = self.links.iter_mut().enumerate();
        // A book holds addresses with ports: those of a router's links are their own.
        let links = links.filter(|(index, link)| !self.free.contains(index) && !link.is_lane());
        links.map(|(_, link)| (link.node(), link.book().clone())).collect()
    }

    /// The address books of the checkpoints as they are now.
    pub(crate) fn check_books(&mut self) -> Vec<(CheckRef, AddressBook)> {
        self.checkers.iter_mut().map(|checker| (checker.place(), checker.book().clone())).collect()
    }

    /// In a child after fork: drops memory and descriptors, and touches neither epoll nor the threads that the child
    /// does not have.
    pub(crate) fn abandon(mut self) {
        if let Some(helper) = self.helper.take() {
            // Its channels may be locked for ever by a thread that does not exist here.
            core::mem::forget(helper);
        }
    }

    /// The next probe of the node panics.
    #[cfg(feature = "testing")]
    pub(crate) fn plant_panic(&mut self, node: NodeRef) {
        if let Some(link) = self.place(node).and_then(|i| self.links.get_mut(i)) {
            link.plant_panic();
        }
    }

    fn place(&self, node: NodeRef) -> Option<usize> {
        self.places.get(node.pool)?.get(node.node).copied().flatten()
    }

    fn handle(&mut self, now: Time, event: Ready) {
        if Following::owns(event.token) {
            if let Some(following) = &mut self.following {
                following.ready(&mut self.poller, &mut self.buffer, now, event);
            }
            return;
        }
        if ControlServer::owns(event.token) {
            if let Some(control) = &mut self.control {
                let mut context = ControlContext { poller: &mut self.poller, buffer: &mut self.buffer, now };
                control.ready(&mut context, event);
            }
            return;
        }
        if let Some(index) = Checker::index_of(event.token) {
            if self.checkers.get(index).is_some_and(|checker| checker.owns(event.token)) {
                self.with_checker(now, index, |checker, context| checker.ready(context, event));
            }
            return;
        }
        if ProxyLink::is_token(event.token) {
            if let Some(index) = self.proxies.iter().position(|link| link.owns(event.token)) {
                self.with_proxy(now, index, |link, context| link.ready(context, event));
            }
            return;
        }
        if RouterNode::is_token(event.token) {
            return self.router_ready(now, event);
        }
        let index = Link::index_of(event.token);
        if self.links.get(index).is_some_and(|link| link.owns(event.token)) {
            self.with_link(now, index, |link, context| link.ready(context, event));
        }
    }

    fn with_link(&mut self, now: Time, index: usize, step: impl FnOnce(&mut Link, &mut Context<'_>)) {
        if let Some(link) = self.links.get_mut(index) {
            let mut context = Context {
                poller: &mut self.poller,
                registry: &self.registry,
                inputs: &mut self.inputs,
                notices: &mut self.notices,
                buffer: &mut self.buffer,
                columns: &mut self.columns,
                ends: &mut self.ends,
                now,
            };
            let before = link.is_logging_in();
            step(link, &mut context);
            self.logins = self.logins - usize::from(before) + usize::from(link.is_logging_in());
            self.timers.set(index, link.deadline());
        }
        self.take_ends(now);
    }

    fn with_proxy(
        &mut self,
        now: Time,
        index: usize,
        step: impl FnOnce(&mut ProxyLink, &mut ProxyContext<'_>),
    ) {
        if let Some(link) = self.proxies.get_mut(index) {
            let mut context = ProxyContext {
                poller: &mut self.poller,
                registry: &self.registry,
                notices: &mut self.notices,
                buffer: &mut self.buffer,
                now,
            };
            step(link, &mut context);
        }
    }

    fn with_checker(&mut self, now: Time, index: usize, step: impl FnOnce(&mut Checker, &mut Context<'_>)) {
        if let Some(checker) = self.checkers.get_mut(index) {
            let mut context = Context {
                poller: &mut self.poller,
                registry: &self.registry,
                inputs: &mut self.inputs,
                notices: &mut self.notices,
                buffer: &mut self.buffer,
                columns: &mut self.columns,
                ends: &mut self.ends,
                now,
            };
            step(checker, &mut context);
            self.timers.set(self.links.len() + index, checker.deadline());
        }
    }
}
