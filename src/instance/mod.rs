//! The Rust API: one engine with its pools, cache and driver, behind a lock.
//!
//! The C ABI and the command are thin layers over this type.
//!
//! # Life
//!
//! [`Instance::new`] makes no kernel object but the descriptor of the cache's folder. Commands, observations and
//! snapshots work at once; the cache is locked and read on first use. [`Instance::start`] runs the driver in a thread
//! of its own; or the host watches [`Instance::fd`] and calls [`Instance::dispatch`]; or [`Instance::run_cycle`]
//! drives one cycle in the calling thread. After [`Instance::stop`], and after the last clone is dropped, nothing of
//! it runs any more; snapshot, explanation and queued events can still be read.
//!
//! # Followers
//!
//! With `on_locked = "follow"` an instance whose cache is held by another process follows that one: selectors show what it decides, snapshots,
//! explanations, figures and commands are asked of it (which blocks, for up to six seconds), reports are passed on, and observations and cycles
//! are refused with [`crate::ErrorCode::Locked`]. Once the lock falls free a started follower decides.
//!
//! # Threads
//!
//! Every function may be called from any thread. All but `new`, `stop`, `run_cycle`, a command that waits for
//! durability and the first use of an instance with a cache hold a short lock only.

pub mod cache_file;
mod commands;
pub mod control;
mod events;
mod follower;
mod metrics;
mod names;
mod open;
mod opened;
pub mod proxy;
mod push;
mod reload;
#[cfg(feature = "cli")]
pub mod respond;
mod run;
pub mod secrets;
mod selection;
mod selector;
mod shared;
mod tier;
mod tier_desk;

use self::shared::Handle;
use crate::config::Config;
use crate::engine::{Answer, ReportOutcome, Severity, Snapshot};
use crate::error::Result;
use crate::policy::budget::Budget;
use crate::pool::{MaintenanceRole, Override, PoolStatus};
use crate::probe::{Cause, Facts};
use crate::vip::peer::Order;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

pub use self::events::Subscription;
pub use self::selector::{Refusal, Selector, SelectorOptions};
pub use crate::vip::status::TierStatus;

/// A health observation that the host made itself.
#[derive(Clone, Debug, PartialEq)]
pub struct HostObservation {
    /// How the host's probe ended.
    pub cause: Cause,
    /// The number behind the cause, or 0.
    pub errno: u32,
    /// One sentence; may be empty.
    pub message: String,
    /// What the host learnt beside the cause; may be empty.
    pub facts: Facts,
}

/// Whether a command returns before its outcome is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Wait until the cache holds the outcome, for at most five seconds.
    Wait,
    /// Return at once.
    NoWait,
}

/// Which events a subscription takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter {
    /// Bits by number of [`crate::engine::EventKind`] (`1 << kind`); all by default. The notice of lost events always
    /// comes.
    pub kinds: u64,
    /// The least severity.
    pub severity: Severity,
    /// One pool alone; events of the instance as a whole do not come then.
    pub pool: Option<String>,
}

impl Default for EventFilter {
    fn default() -> EventFilter {
        EventFilter { kinds: u64::MAX, severity: Severity::Info, pool: None }
    }
}

/// Where to plant a panic.
#[cfg(feature = "testing")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PanicPlace {
    /// In the next call of the engine.
    Engine,
    /// In the next probe of this node: pool and node.
    Session(String, String),
    /// In the next turn of the part that owns addresses.
    Tier,
}

/// One engine with its pools, cache file and driver. Clones are references to the same one; dropping the last one
/// stops it, within a second.
#[derive(Clone, Debug)]
pub struct Instance {
    handle: Arc<Handle>,
}

impl Instance {
    /// Reads secrets, resolves names once, opens the cache's folder. Makes no socket, epoll, lock or thread.
    ///
    /// A name that does not resolve is no error: its node is observed as `dns` until it does. Blocks on the resolver.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorCode::Secret`] for a password or key file that is missing, unreadable or open to every user,
    /// [`crate::ErrorCode::Io`] for a cache folder that cannot be opened.
    pub fn new(config: Config) -> Result<Instance> {
        let fingerprint = config.fingerprint();
        let handle = Arc::new(Handle::new(config)?);
        opened::note(&handle, fingerprint)?;
        Ok(Instance { handle })
    }

    /// The open instance of the same cache in this process, one more reference; if there is none, a new one as by
    /// [`Instance::new`]. Without a cache, configurations that mean the same share an instance. One that was stopped is
    /// not found any more, nor is one that runs in a parent of this process.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorCode::ConfigDiffers`] if the open one has another configuration; those of [`Instance::new`].
    pub fn open(config: Config) -> Result<Instance> {
        Ok(Instance { handle: opened::open(config)? })
    }

    /// Runs the driver in a thread of its own. Idempotent.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorCode::State`] in the host's loop, during [`Instance::run_cycle`] and after a stop; those of the
    /// first use (below); [`crate::ErrorCode::Io`] if the system gives no thread or descriptors.
    ///
    /// First use: [`crate::ErrorCode::Locked`] if another process holds the cache, [`crate::ErrorCode::ConfigDiffers`] if that one is to be
    /// followed and has another configuration, [`crate::ErrorCode::Cache`] if the file is damaged. Every function but `new`, `stop`, `budget` and `subscribe` can be the first.
    pub fn start(&self) -> Result<()> {
        self.handle.start()
    }

    /// Ends probing and the thread, within a second, and gives the cache's lock back. Idempotent. The descriptor of the
    /// host's loop is closed by this: stop watching it first.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorCode::Timeout`] if something did not end in time; it is left behind.
    pub fn stop(&self) -> Result<()> {
        self.handle.stop()
    }

    /// Takes a new configuration into force while the instance lives, in whatever way it runs. Pools are the same by name,
    /// nodes by address; what is the same keeps state, status, count, epoch, observations and, where the account is the
    /// same, its connection. New nodes begin as UNKNOWN. Files with passwords, keys and certificates are read again, and so
    /// is one that is named as before. Names that were not known are resolved, which blocks; nothing waits for that.
    ///
    /// The answer says what changed; its rule is 910. The cache follows as with [`Durability::NoWait`].
    ///
    /// # Errors
    ///
    /// All of them leave the configuration before in force. [`crate::ErrorCode::Refused`] with the rule: `cache_file`,
    /// `control_socket`, `control_users`, `on_locked`, or a pool's `kind`, `policy` or `probe.mode` differs, or the ACTIVE
    /// node would leave while nobody who stays may take over; [`crate::ErrorCode::Secret`];
    /// [`crate::ErrorCode::State`] during [`Instance::run_cycle`]; [`crate::ErrorCode::Stopped`]; those of the first use.
    pub fn reload(&self, config: Config) -> Result<Answer> {
        self.handle.reload(config)
    }

    /// For the host's loop: the descriptor to watch for input, level-triggered. Excludes `start`. The first call begins
    /// to probe; later ones give the same number.
    ///
    /// # Errors
    ///
    /// As [`Instance::start`].
    pub fn fd(&self) -> Result<RawFd> {
        self.handle.fd()
    }

    /// For the host's loop: handles what is due, never blocks; returns the number of inputs handled, at most 64. What is
    /// left over keeps the descriptor readable.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorCode::State`] before [`Instance::fd`], [`crate::ErrorCode::Stopped`] after a stop.
    pub fn dispatch(&self) -> Result<usize> {
        self.handle.dispatch()
    }

    /// For a watchdog: asks the driver to turn, and says how often it has turned so far. A number that does not rise from
    /// one call to another, a second or more later, is that of a loop that hangs. Waits for 10 ms at most.
    pub fn heartbeat(&self) -> u64 {
        self.handle.heartbeat()
    }

    /// One cycle of a pool, with its burst; blocks for at most `timeout`. For cron and scripts; not on a started
    /// instance.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorCode::Timeout`] if the pool was not settled in time, [`crate::ErrorCode::State`] on a started
    /// instance and for a pool that the host observes.
    pub fn run_cycle(&self, pool: &str, timeout: Duration) -> Result<()> {
        self.handle.run_cycle(pool, timeout)
    }

    /// Hands in an observation of the host's own.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorCode::State`] for a pool that the library probes, [`crate::ErrorCode::NotFound`].
    pub fn observe(&self, pool: &str, node: &str, observation: HostObservation) -> Result<()> {
        self.handle.observe(pool, node, observation)
    }

    /// Says how the host's own attempt to use a node ended. A failure to connect makes the next probe come early, at
    /// most one per `confirm_interval`; it is never counted itself. Without effect on a node that has failed, under
    /// policy `mpp`, and in a pool that the host observes.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorCode::NotFound`]; those of the first use.
    pub fn report(&self, pool: &str, node: &str, outcome: ReportOutcome) -> Result<()> {
        self.handle.report(pool, node, outcome)
    }

    /// Closes a cycle of an externally observed pool.
    ///
    /// # Errors
    ///
    /// As [`Instance::observe`].
    pub fn cycle(&self, pool: &str, pool_status: Option<PoolStatus>) -> Result<()> {
        self.handle.cycle(pool, pool_status)
    }

    /// Takes a failed node back into the pool.
    ///
    /// # Errors
    ///
    /// Of all commands: [`crate::ErrorCode::Refused`] with the rule's sentence, [`crate::ErrorCode::NotFound`];
    /// with [`Durability::Wait`] also [`crate::ErrorCode::Io`] and [`crate::ErrorCode::Timeout`]: the command is in
    /// force, the cache does not hold it.
    pub fn recover_node(&self, pool: &str, node: &str, durability: Durability) -> Result<Answer> {
        self.handle.recover_node(pool, node, durability)
    }

    /// Takes back a pool whose status is FAIL. Errors as [`Instance::recover_node`].
    pub fn recover_pool(&self, pool: &str, durability: Durability) -> Result<Answer> {
        self.handle.recover_pool(pool, durability)
    }

    /// Gives the role to the pool's PRIMARY. Errors as [`Instance::recover_node`].
    pub fn activate_primary(&self, pool: &str, durability: Durability) -> Result<Answer> {
        self.handle.activate_primary(pool, durability)
    }

    /// Takes a node out of the pool. Errors as [`Instance::recover_node`].
    pub fn remove_node(&self, pool: &str, node: &str, durability: Durability) -> Result<Answer> {
        self.handle.remove_node(pool, node, durability)
    }

    /// Sets a node's state, status, type or weight above the rules, until `limit` has passed or it is ended; takes the
    /// place of the node's earlier override or maintenance. A state of ACTIVE moves the role at once, without the proof of
    /// a hand-over; another one on the ACTIVE node gives its role to a node that may take over.
    ///
    /// `reason` is 1 to 1000 bytes, `limit` a second to 366 days; 60 s before its end an event warns. When it ends the node
    /// keeps its state and is counted anew: nothing switches by that alone.
    ///
    /// # Errors
    ///
    /// As [`Instance::recover_node`]: [`crate::ErrorCode::Refused`] for a second ACTIVE or PRIMARY, and if nobody may take
    /// the role over; [`crate::ErrorCode::Invalid`] for an override that sets nothing, a reason or a limit out of range.
    pub fn set_override(
        &self,
        pool: &str,
        node: &str,
        set: Override,
        reason: &str,
        limit: Option<Duration>,
        durability: Durability,
    ) -> Result<Answer> {
        self.handle.set_override(pool, node, set, reason, limit, durability)
    }

    /// Ends a node's override or maintenance. Errors as [`Instance::recover_node`].
    pub fn clear_override(&self, pool: &str, node: &str, durability: Durability) -> Result<Answer> {
        self.handle.clear_override(pool, node, durability)
    }

    /// Lets no rule change a state or the role of a pool; what is observed is shown and told as ever, and operators'
    /// commands work. `reason` and `limit` as in [`Instance::set_override`]. Errors as there.
    pub fn freeze(
        &self,
        pool: &str,
        reason: &str,
        limit: Option<Duration>,
        durability: Durability,
    ) -> Result<Answer> {
        self.handle.freeze(pool, reason, limit, durability)
    }

    /// Ends a freeze; every node is counted anew. Errors as [`Instance::recover_node`].
    pub fn unfreeze(&self, pool: &str, durability: Durability) -> Result<Answer> {
        self.handle.unfreeze(pool, durability)
    }

    /// Takes a node out of the candidates and its faults out of the alarms until that is ended by
    /// [`Instance::clear_override`]; takes the place of the node's earlier override. `role` says what becomes of the role
    /// if the node is ACTIVE. `reason` and `limit` as in [`Instance::set_override`]. Errors as there.
    pub fn maintenance(
        &self,
        pool: &str,
        node: &str,
        role: MaintenanceRole,
        reason: &str,
        limit: Option<Duration>,
        durability: Durability,
    ) -> Result<Answer> {
        self.handle.maintenance(pool, node, role, reason, limit, durability)
    }

    /// The state of all pools. After a defect of the engine: the last good copy, at most a second older than the defect.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.handle.snapshot()
    }

    /// Why a pool is as it is and what would change it.
    pub fn explain(&self, pool: &str) -> Result<String> {
        self.handle.explain(pool)
    }

    /// The tier of floating addresses, seen from this host: every host and VIP as the peer channel knows them, and this host's part in each VIP.
    /// Waits for a second at most.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorCode::NotFound`] if no VIP is configured, [`crate::ErrorCode::State`] on an instance that is not started,
    /// [`crate::ErrorCode::Locked`] on a follower, [`crate::ErrorCode::Stopped`], [`crate::ErrorCode::Timeout`]; those of the first use.
    pub fn vip_status(&self) -> Result<TierStatus> {
        self.handle.vip_status()
    }

    /// Moves a VIP to a host, and holds it there until [`Instance::vip_clear`]: if that host cannot have it, the others can. The answer says
    /// what has begun. The order reaches all hosts, now or when they are heard again. Waits for a second at most.
    ///
    /// # Errors
    ///
    /// As [`Instance::vip_status`]; [`crate::ErrorCode::Refused`] for a VIP or host that is not known, and for a host that is not heard or
    /// could not own the VIP now.
    pub fn vip_move(&self, vip: &str, host: &str) -> Result<String> {
        self.handle.vip_order(&[Order::Want { vip: vip.into(), host: Some(host.into()) }])
    }

    /// Ends a move, and forgets the failures of the VIP on all hosts, so that `failure_timeout` bars none. Nothing moves by that alone, unless
    /// the stickiness lets it. Errors as [`Instance::vip_move`].
    pub fn vip_clear(&self, vip: &str) -> Result<String> {
        self.handle.vip_clear(vip)
    }

    /// Takes a host out, or lets it in again: in standby it owns no address, not even as the last one. Outlives restarts. Errors as
    /// [`Instance::vip_move`].
    pub fn vip_standby(&self, host: &str, standby: bool) -> Result<String> {
        self.handle.vip_order(&[Order::Standby { host: host.into(), standby }])
    }

    /// Says what the service on this host is, for a VIP without a pool; without a word it counts as in order. Never waits.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorCode::NotFound`], [`crate::ErrorCode::State`] for a VIP whose pool the library looks at and on an instance that is not
    /// started.
    pub fn vip_report(&self, vip: &str, good: bool, words: &str) -> Result<()> {
        self.handle.vip_report(vip, good, words)
    }

    /// The worst case from fault to switch, per class.
    pub fn budget(&self, pool: &str) -> Result<Budget> {
        self.handle.budget(pool)
    }

    /// Figures for monitoring, as text in the exposition format 0.0.4 of Prometheus; docs/metrics.md names each metric.
    /// Counters begin with the instance. After a defect of the engine what it counted is left out.
    ///
    /// # Errors
    ///
    /// Those of the first use.
    pub fn metrics_text(&self) -> Result<String> {
        self.handle.metrics_text()
    }

    /// A queue of events; `capacity` bounds it (1 to 1 048 576), the oldest fall out.
    pub fn subscribe(&self, filter: EventFilter, capacity: usize) -> Result<Subscription> {
        self.handle.subscribe(filter, capacity)
    }

    /// A selector of a service: `POOL.SERVICE`, or `SERVICE` where one pool alone has one of that name. Its choices never wait for
    /// anything; it belongs to one thread at a time, so a program makes one for each.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorCode::NotFound`]; [`crate::ErrorCode::Stopped`]; those of the first use.
    pub fn selector(&self, service: &str, options: SelectorOptions) -> Result<Selector> {
        self.handle.selector(service, options)
    }

    /// What a border keeps with the instance, one for all references to it; made on first use.
    pub(crate) fn border<T: Default + Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.handle.border()
    }

    /// Whether the instance has kernel objects that a forked child must not touch: it is started, in a host's loop or in
    /// a cycle. A plain load.
    pub fn is_running(&self) -> bool {
        self.handle.is_running()
    }

    /// Gives up a reference in a child after fork of a running instance: frees memory and closes descriptor numbers, and
    /// does nothing that the parent would notice. Nothing else may be called there.
    pub fn abandon(self) {
        if let Some(handle) = Arc::into_inner(self.handle) {
            handle.abandon();
        }
    }

    /// Plants a panic, to test what becomes of the rest.
    #[cfg(feature = "testing")]
    pub fn plant_panic(&self, place: PanicPlace) -> Result<()> {
        self.handle.plant_panic(place)
    }
}
