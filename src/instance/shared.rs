//! What the instance's lock guards, and the one drain rule: an input, then effects until there is none.

use super::control::{self, Desk};
use super::events::Hub;
use super::follower::Follower;
use super::open;
use super::selection::Services;
use super::tier::TierHandle;
use crate::config::Config;
use crate::engine::notice::{Limiter, Reason};
use crate::engine::{Effect, Engine, EventKind, Input, NodeRef, Now, PoolSnapshot, Snapshot, Time};
use crate::error::{Error, ErrorCode, Result};
use crate::io::checkpoint::CheckSetup;
use crate::io::clock;
use crate::io::control::{CLIENTS, ControlSetup};
use crate::io::descriptor::Registry;
use crate::io::driver::{Driver, NodeSetup};
use crate::io::file::CacheFolder;
use crate::io::link::panic_text;
use crate::io::push::ProxySetup;
use crate::io::tables::{PULSE, TablesWriter};
use crate::io::writer::Writer;
use crate::metrics::{DeskTally, DriverFigures};
use crate::store::Cache;
use parking_lot::{Condvar, Mutex};
use std::any::Any;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// Inputs handled in one turn of the driver.
pub(super) const BUDGET: usize = 64;

/// How old the copy may be that a snapshot after a panic shows.
const COPY_AGE: Duration = Duration::from_secs(1);

/// Descriptors beside the nodes' sockets (twice, for a reload may bring more nodes): epoll, timer, wake, the control socket with its connections, what a follower waits for; and those of an
/// earlier cycle whose helper hangs.
const SPARE_DESCRIPTORS: usize = 16 + 1 + 2 + CLIENTS;
/// The tier's: poller, wake-up, netlink, peer channel; and for each VIP sockets to its neighbours and peers, etcd, programs.
const TIER_DESCRIPTORS: usize = 12;
const VIP_DESCRIPTORS: usize = 24;

/// Who turns the driver.
#[derive(Debug)]
pub(super) enum Life {
    /// Nobody; callers' threads do everything.
    New,
    /// A thread of our own.
    Thread(Option<JoinHandle<()>>),
    /// The host's loop.
    Host,
    /// A thread inside `run_cycle`.
    Cycle,
    /// Nobody any more.
    Stopped,
}

/// What all references to an instance share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) core: Mutex<Core>,
    /// The thread or the cycle has ended.
    pub(super) ended: Condvar,
    pub(super) hub: Arc<Hub>,
    pub(super) services: Arc<Services>,
    pub(super) registry: Arc<Registry>,
    /// Of the event queues, whose handles the host drops by itself, in a forked child too.
    pub(super) queue_descriptors: Arc<Registry>,
    /// There are kernel objects; see `Instance::is_running`.
    pub(super) running: AtomicBool,
    /// How often the driver has turned.
    pub(super) turns: AtomicU64,
    /// Ends a wait for the cache's lock.
    pub(super) stopping: AtomicBool,
}

/// The users' side of [`Shared`]: when it is dropped, nobody can call any more.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
    /// See `Instance::border`.
    border: OnceLock<Arc<dyn Any + Send + Sync>>,
    /// In a forked child nothing may be stopped.
    abandoned: bool,
}

/// The engine with what surrounds it.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) fingerprint: u64,
    pub(super) control: Option<ControlSetup>,
    pub(super) desk: Desk,
    pub(super) nodes: Vec<NodeSetup>,
    pub(super) checks: Vec<CheckSetup>,
    pub(super) proxies: Vec<ProxySetup>,
    /// Something happened that proxies may have to hear of; and pools of which they have heard.
    pub(super) unpushed: bool,
    pub(super) pushed: BTreeSet<String>,
    /// Where names lead, until the engine was told.
    pub(super) located: Vec<(NodeRef, IpAddr)>,
    /// Passwords that came by descriptor.
    pub(super) handed: open::Handed,
    pub(super) folder: Option<Arc<CacheFolder>>,
    pub(super) writer: Option<Arc<Writer>>,
    pub(super) opened_by: Option<u32>,
    pub(super) engine: Option<Engine>,
    pub(super) driver: Option<Driver>,
    pub(super) life: Life,
    /// Asks the thread or the cycle to end.
    pub(super) stop: bool,
    /// The thread or the cycle has ended.
    pub(super) ended: bool,
    /// The words of the engine's panic.
    pub(super) poisoned: Option<String>,
    /// Nodes of the cycle's pool that were observed.
    pub(super) observed: Option<(usize, BTreeSet<usize>)>,
    /// Inputs that no driver brings.
    inputs: VecDeque<Input>,
    /// The last good copies of the pools, each with its age.
    pub(super) copies: Vec<(Time, PoolSnapshot)>,
    pub(super) hub: Arc<Hub>,
    /// Where clients are sent.
    pub(super) services: Arc<Services>,
    /// Another process decides, and this one shows what that one publishes.
    pub(super) follower: Option<Follower>,
    /// Where a decider publishes for others; they have not seen the tables of now; the last attempt failed.
    pub(super) tables: Option<TablesWriter>,
    pub(super) unshared: bool,
    pub(super) share_failed: bool,
    /// What the driver may say, and how often.
    pub(super) limiter: Limiter,
    pub(super) tally: DeskTally,
    /// The part that owns addresses.
    pub(super) tier: Option<TierHandle>,
    /// For what begins later.
    pub(super) registry: Arc<Registry>,
    /// What the drivers of earlier cycles counted.
    pub(super) counted: DriverFigures,
    /// When the engine was made, milliseconds since the Unix epoch.
    pub(super) since_ms: u64,
    #[cfg(feature = "testing")]
    planted: bool,
}

impl Handle {
    pub(super) fn new(config: Config) -> Result<Handle> {
        let folder = match &config.cache_file {
            Some(path) => Some(Arc::new(CacheFolder::open(path)?)),
            None => None,
        };
        let mut handed = open::Handed::new();
        let (nodes, checks) = open::setups(&config, open::Names::new(), &mut handed)?;
        let proxies = open::proxies(&config, &[])?;
        let tier = TIER_DESCRIPTORS + VIP_DESCRIPTORS * config.vips.len();
        let registry =
            Registry::new(2 * (nodes.len() + checks.len() + proxies.len()) + SPARE_DESCRIPTORS + tier);
        let hub = Arc::new(Hub::default());
        let services = Arc::new(Services::default());
        let core = Core {
            fingerprint: config.fingerprint(),
            control: control::setup(&config, folder.as_ref())?,
            desk: Desk::default(),
            located: open::located(&config, &nodes),
            config,
            nodes,
            checks,
            proxies,
            unpushed: true,
            pushed: BTreeSet::new(),
            handed,
            folder,
            writer: None,
            opened_by: None,
            engine: None,
            driver: None,
            life: Life::New,
            stop: false,
            ended: false,
            poisoned: None,
            observed: None,
            inputs: VecDeque::new(),
            copies: Vec::new(),
            hub: Arc::clone(&hub),
            services: Arc::clone(&services),
            follower: None,
            tables: None,
            unshared: false,
            share_failed: false,
            limiter: Limiter::default(),
            tally: DeskTally::default(),
            tier: None,
            registry: Arc::clone(&registry),
            counted: DriverFigures::default(),
            since_ms: 0,
            #[cfg(feature = "testing")]
            planted: false,
        };
        let shared = Shared {
            core: Mutex::new(core),
            ended: Condvar::new(),
            hub,
            services,
            registry,
            queue_descriptors: Registry::new(0),
            running: AtomicBool::new(false),
            turns: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        };
        Ok(Handle { shared: Arc::new(shared), border: OnceLock::new(), abandoned: false })
    }

    /// See `Instance::border`. `None` only if another type was asked for before.
    pub(super) fn border<T: Default + Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let kept = self.border.get_or_init(|| Arc::<T>::default());
        Arc::clone(kept).downcast().ok()
    }

    /// The folder of the cache, by device and inode, and the cache's name in it.
    pub(super) fn cache_place(&self) -> Result<Option<((u64, u64), Vec<u8>)>> {
        let folder = self.shared.core.lock().folder();
        folder.map(|folder| folder.place()).transpose()
    }

    /// The same of a configuration.
    pub(super) fn place_of(config: &Config) -> Result<Option<((u64, u64), Vec<u8>)>> {
        config.cache_file.as_deref().map(|path| CacheFolder::open(path)?.place()).transpose()
    }

    pub(super) fn is_running(&self) -> bool {
        self.shared.running.load(Ordering::Acquire)
    }

    /// See `Instance::abandon`.
    pub(super) fn abandon(mut self) {
        self.abandoned = true;
        let Some(mut core) = self.shared.core.try_lock() else {
            // A thread that does not exist here holds the lock, so what it guards may be half changed. Its memory is
            // left alone, its descriptors are closed by number.
            self.shared.registry.close_all();
            core::mem::forget(Arc::clone(&self.shared));
            return;
        };
        if let Life::Thread(thread) = &mut core.life {
            // Detaching a thread that does not exist here would touch memory that is no longer its.
            core::mem::forget(thread.take());
        }
        if let Some(driver) = core.driver.take() {
            driver.abandon();
        }
        core.tier.take().into_iter().for_each(TierHandle::abandon);
        core.engine = None;
        core.follower = None;
        core.tables = None;
        core.copies = Vec::new();
        // A clone in the helper's hands may hold its lock; only this reference is dropped.
        core.writer = None;
        // What only the threads of the parent still held.
        self.shared.registry.close_all();
        // Unlocking could wake threads that do not exist here.
        core::mem::forget(core);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.abandoned {
            // Nobody is left to be told; what did not end in time is left behind.
            let _ = self.stop();
        }
    }
}

/// The answer of everything that a poisoned instance refuses.
fn panicked(words: &str) -> Error {
    Error::new(
        ErrorCode::Panic,
        format!(
            "the engine hit a defect of its own and decides no more: {words}; restart the program and report this"
        ),
    )
}

impl Core {
    /// Refuses once the engine has panicked.
    pub(super) fn check(&self) -> Result<()> {
        self.poisoned.as_ref().map_or(Ok(()), |words| Err(panicked(words)))
    }

    /// Calls the engine. A panic in it poisons the instance.
    pub(super) fn guarded<T>(&mut self, call: impl FnOnce(&mut Engine) -> T) -> Result<T> {
        self.check()?;
        let Some(engine) = &mut self.engine else {
            return Err(Error::new(ErrorCode::State, "the instance was never used"));
        };
        #[cfg(feature = "testing")]
        let planted = core::mem::take(&mut self.planted);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(feature = "testing")]
            if planted {
                panic!("planted in the engine");
            }
            call(engine)
        }));
        outcome.map_err(|panic| self.poison(&panic_text(panic.as_ref())))
    }

    /// Ends all deciding: connections are closed, an alarm goes out, the last good copy stays.
    pub(super) fn poison(&mut self, words: &str) -> Error {
        let error = panicked(words);
        if self.poisoned.is_none() {
            self.poisoned = Some(words.to_owned());
            self.services.break_off();
            self.warn_tier();
            let now = clock::now();
            if let Some(driver) = &mut self.driver {
                driver.shut(now.mono);
            }
            self.hub.alarm(now.mono, now.wall_ms, error.message().to_owned());
        }
        error
    }

    /// Carries out effects until there is none.
    fn drain(&mut self, now: Now) -> Result<bool> {
        let mut changed = false;
        while let Some(effect) = self.guarded(Engine::poll_effect)? {
            match effect {
                Effect::Probe { node, probe, fresh } => {
                    if let Some(driver) = &mut self.driver {
                        driver.probe(now.mono, node, probe, fresh);
                    }
                }
                Effect::Check { place, check } => {
                    if let Some(driver) = &mut self.driver {
                        driver.check(now.mono, place, check);
                    }
                }
                Effect::Persist { sequence, cache } => self.persist(sequence, cache),
                Effect::Publish(table) => {
                    self.services.publish(table);
                    self.unshared = true;
                }
                Effect::Emit(event) => {
                    changed = true;
                    self.unpushed = true;
                    self.hub.publish(event);
                }
            }
        }
        Ok(changed)
    }

    /// With a driver the helper writes, without one this thread does; with no file the state is safe as it is.
    fn persist(&mut self, sequence: u64, cache: Cache) {
        let Some(writer) = &self.writer else {
            self.inputs.push_back(Input::Persisted { sequence, outcome: Ok(()) });
            return;
        };
        if !writer.submit(sequence, cache) && self.driver.is_none() {
            return;
        }
        match &mut self.driver {
            Some(driver) => driver.write(writer),
            None => {
                if let Some((sequence, outcome)) = writer.write() {
                    self.inputs.push_back(Input::Persisted { sequence, outcome });
                }
            }
        }
    }

    /// Drains, then feeds what came in, at most `budget` inputs, draining after each. Returns how many.
    pub(super) fn pump(&mut self, now: Now, budget: usize) -> Result<usize> {
        let mut handled = 0;
        self.services.beat(now.mono);
        let changed = self.drain(now)?;
        self.refresh_copies(now, changed)?;
        while handled < budget {
            let next = self.inputs.pop_front().or_else(|| self.driver.as_mut()?.next_input());
            let Some(input) = next else { break };
            if let (Input::Probed { node, .. }, Some((pool, seen))) = (&input, &mut self.observed) {
                if node.pool == *pool {
                    seen.insert(node.node);
                }
            }
            self.hear(now, &input);
            self.guarded(|engine| engine.handle(now, input))?;
            handled += 1;
            let changed = self.drain(now)?;
            self.refresh_copies(now, changed)?;
        }
        self.tell_notices(now);
        self.share(now);
        Ok(handled)
    }

    /// Says what the driver has to say, unless its like has just been said.
    pub(super) fn tell_notices(&mut self, now: Now) {
        while let Some(notice) = self.driver.as_mut().and_then(Driver::next_notice) {
            if notice.reason == Reason::Proxy {
                self.hub.tell(EventKind::Proxy, notice.severity, (now.mono, now.wall_ms), notice.message);
                continue;
            }
            let Some(notice) = self.limiter.pass(now.mono, notice) else { continue };
            let pool = notice.node.and_then(|node| self.config.pools.get(node.pool));
            let node =
                notice.node.and_then(|at| pool?.nodes.get(at.node)).map(|node| node.address.to_string());
            let place = (pool.map(|pool| pool.name.as_str()).unwrap_or_default(), node.unwrap_or_default());
            self.hub.say(notice.severity, (now.mono, now.wall_ms), (place.0, &place.1), notice.message);
        }
    }

    /// Gives one input at once, then all that follows from it.
    pub(super) fn give(&mut self, now: Now, input: Input) -> Result<()> {
        self.hear(now, &input);
        self.guarded(|engine| engine.handle(now, input))?;
        self.pump(now, usize::MAX)?;
        self.feed_proxies(now);
        self.feed_tier(now)?;
        self.set_deadline();
        Ok(())
    }

    /// One turn of the driver, after it was told what is ready. Returns the number of inputs handled.
    pub(super) fn turn(&mut self, now: Now) -> Result<usize> {
        if self.follower.is_some() {
            return self.follow(now);
        }
        self.serve(now);
        let mut handled = self.pump(now, BUDGET)?;
        if handled < BUDGET {
            // What could be read was read and judged; now the clock may speak.
            let now = clock::now();
            let judged = self.driver.as_mut().is_some_and(|driver| driver.judge_deadlines(now.mono));
            self.serve(now);
            handled += self.pump(now, BUDGET - handled)?;
            if judged && handled < BUDGET && self.engine_deadline().is_some_and(|at| at <= now.mono) {
                self.guarded(|engine| engine.handle(now, Input::Timer))?;
                handled += 1;
                handled += self.pump(now, BUDGET - handled)?;
            }
        }
        self.feed_proxies(now);
        self.feed_tier(now)?;
        self.set_deadline();
        Ok(handled)
    }

    /// A turn whose panics, wherever they come from, poison the instance.
    pub(super) fn safe_turn(&mut self, now: Now) -> Result<usize> {
        match catch_unwind(AssertUnwindSafe(|| self.turn(now))) {
            Ok(outcome) => outcome,
            Err(panic) => Err(self.poison(&panic_text(panic.as_ref()))),
        }
    }

    fn engine_deadline(&self) -> Option<Time> {
        self.engine.as_ref().filter(|_| self.poisoned.is_none())?.poll_timeout()
    }

    /// Tells the poller when the next turn is due.
    pub(super) fn set_deadline(&mut self) {
        let engine = match self.follower {
            Some(_) => self.follower_deadline(),
            None => self.engine_deadline(),
        };
        // Others must see that this one lives.
        let pulse = self.tables.as_ref().filter(|_| self.poisoned.is_none()).map(|_| clock::mono() + PULSE);
        let engine = engine.into_iter().chain(pulse).min();
        if let Some(driver) = &mut self.driver {
            driver.set_deadline(engine);
        }
    }

    /// Keeps the copy that a snapshot after a panic shows, of the pools at hand. Not at every probe: most change nothing
    /// but a time.
    fn refresh_copies(&mut self, now: Now, changed: bool) -> Result<()> {
        let mut copies = core::mem::take(&mut self.copies);
        let outcome = self.guarded(|engine| {
            for index in copies.len()..engine.config().pools.len() {
                copies.extend(engine.pool_snapshot(index).map(|pool| (now.mono, pool)));
            }
            for &index in engine.touched() {
                if !changed && copies.get(index).is_some_and(|(at, _)| now.mono.since(*at) < COPY_AGE) {
                    continue;
                }
                let (Some(copy), Some(pool)) = (copies.get_mut(index), engine.pool_snapshot(index)) else {
                    continue;
                };
                *copy = (now.mono, pool);
            }
        });
        self.copies = copies;
        outcome
    }

    /// The last good copy.
    pub(super) fn copy(&self) -> Option<Snapshot> {
        let pools: Vec<PoolSnapshot> = self.copies.iter().map(|(_, pool)| pool.clone()).collect();
        (!pools.is_empty()).then(|| Snapshot { wall_ms: clock::now().wall_ms, pools })
    }

    /// Ends probing: the engine is told, sockets are closed, the driver is given back to be dropped without the lock.
    pub(super) fn end_probing(&mut self) -> Option<Driver> {
        let now = clock::now();
        // In a forked child the cache is the parent's.
        if self.poisoned.is_none() && (self.driver.is_some() || self.is_open()) {
            // Only a panic can fail here, and that has raised its alarm already.
            let _ = self.give(now, Input::Stop);
        }
        self.dismiss(now);
        self.tell_notices(now);
        let mut driver = self.driver.take()?;
        driver.shut(now.mono);
        let mut counted = driver.figures();
        counted.connections = 0;
        self.counted.add(&counted);
        // What was learnt about names serves the next start or cycle.
        for (node, book) in driver.books() {
            if let Some(setup) = self.nodes.iter_mut().find(|setup| setup.node == node) {
                setup.book = book;
                setup.book.forget_question();
            }
        }
        for (place, book) in driver.check_books() {
            if let Some(check) = self.checks.iter_mut().find(|check| check.place == place) {
                check.link.book = book;
                check.link.book.forget_question();
            }
        }
        Some(driver)
    }

    /// The next call of the engine panics.
    #[cfg(feature = "testing")]
    pub(super) fn plant_panic(&mut self) {
        self.planted = true;
    }

    /// The next probe of the node panics.
    #[cfg(feature = "testing")]
    pub(super) fn plant_session_panic(&mut self, node: NodeRef) -> Result<()> {
        match &mut self.driver {
            Some(driver) => driver.plant_panic(node),
            None => return Err(Error::new(ErrorCode::State, "no driver runs")),
        }
        Ok(())
    }

    /// Closes what is kept for a node that left its pool.
    pub(super) fn forget_node(&mut self, now: Now, node: NodeRef) {
        if let Some(driver) = &mut self.driver {
            driver.forget(now.mono, node);
        }
    }
}
