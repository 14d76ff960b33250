//! Floating addresses: the tier's driver in a thread of its own, and the way to it.
//!
//! The engine says what this host's service is; the tier says who holds an address, which is who is ACTIVE in a pool of kind `router` that a VIP
//! names. Neither waits for the other.

use super::events::Hub;
use super::shared::{Core, Handle};
use crate::config::Config;
use crate::engine::{Event, EventKind, Input, Now, Severity};
use crate::error::{Error, ErrorCode, Result};
use crate::io::link::panic_text;
use crate::io::orders_file::OrdersFile;
use crate::io::tier::{Message, Opened, Outlet, host_of, open};
use crate::io::wake::Wake;
use crate::io::{clock, thread};
use crate::pool::{State, Status};
use crate::probe::Cause;
use crate::vip::ownership::{Notice, Urgency};
use crate::vip::peer::{Keys, Order, Registers};
use crate::vip::status::TierStatus;
use crate::vip::step;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Room for the deepest step and a datagram, with much to spare.
const STACK: usize = 512 * 1024;
/// How long an answer of the tier may take: its loop never blocks, but the machine may be busy.
const ANSWER: Duration = Duration::from_secs(1);
/// How long the tier's end may take.
const END: Duration = Duration::from_millis(750);

/// The way to the tier's thread.
#[derive(Debug)]
pub(super) struct TierHandle {
    outbox: Sender<Message>,
    wake: Arc<Wake>,
    thread: Option<JoinHandle<()>>,
    ended: Receiver<()>,
    owners: Receiver<(usize, Option<String>)>,
    host: String,
    /// The tier as it was a moment ago.
    seen: Arc<Mutex<Option<TierStatus>>>,
    /// What was said last of the service and what it leads to, for each VIP.
    told: Vec<(Option<(bool, String)>, Option<(bool, String)>)>,
}

/// What can be asked without the instance's lock.
#[derive(Clone, Debug)]
pub(super) struct Line {
    outbox: Sender<Message>,
    wake: Arc<Wake>,
}

impl Line {
    pub(super) fn send(&self, message: Message) -> Result<()> {
        self.outbox.send(message).map_err(|_| gone())?;
        self.wake.raise();
        Ok(())
    }

    fn ask<T>(&self, question: impl FnOnce(Sender<T>) -> Message) -> Result<T> {
        let (answer, answered) = bounded(1);
        self.send(question(answer))?;
        answered.recv_timeout(ANSWER).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                Error::new(ErrorCode::Timeout, "the part that owns addresses did not answer within a second")
            }
            RecvTimeoutError::Disconnected => gone(),
        })
    }
}

pub(super) fn gone() -> Error {
    Error::new(ErrorCode::Stopped, "the part that owns addresses has ended")
}

/// Writes operators' orders down, one after the other, the newest last.
#[derive(Debug)]
struct Keeper {
    file: OrdersFile,
    newest: AtomicU64,
    writing: Mutex<u64>,
}

impl Keeper {
    fn write(&self, number: u64, orders: &Registers) -> Result<()> {
        let mut written = self.writing.lock();
        if *written > number {
            return Ok(());
        }
        self.file.write(orders)?;
        *written = number;
        Ok(())
    }
}

/// What the tier says, to the instance's subscribers and its engine.
struct Voice {
    hub: Arc<Hub>,
    host: String,
    owners: Sender<(usize, Option<String>)>,
    driver: Arc<Wake>,
    keeper: Option<Arc<Keeper>>,
    seen: Arc<Mutex<Option<TierStatus>>>,
}

/// An event of the tier. The VIP's name stands where a pool's would, this host's where a node's would.
fn event(
    kind: EventKind,
    vip: &str,
    host: &str,
    epoch: u64,
    rule: u16,
    severity: Severity,
    message: String,
) -> Event {
    let now = clock::now();
    Event {
        kind,
        severity,
        sequence: 0,
        mono: now.mono,
        wall_ms: now.wall_ms,
        pool: vip.into(),
        node: host.into(),
        epoch,
        rule,
        old_state: State::Unknown,
        new_state: State::Unknown,
        old_status: Status::Ok,
        new_status: Status::Ok,
        cause: Cause::Ok,
        message,
        count: 0,
    }
}

impl Outlet for Voice {
    fn show(&mut self, status: TierStatus) {
        *self.seen.lock() = Some(status);
    }

    fn tell(&mut self, vip: Option<&str>, epoch: u64, notice: &Notice) {
        let kind = match notice.rule {
            step::PEER | step::PEER_TROUBLE => EventKind::Peer,
            _ => EventKind::Vip,
        };
        let severity = match notice.urgency {
            Urgency::Info => Severity::Info,
            Urgency::Warning => Severity::Warning,
            Urgency::Alarm => Severity::Alarm,
        };
        let name = vip.unwrap_or_default();
        // The event names the VIP in a field of its own.
        let words = notice.words.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
        let mut words = words.unwrap_or(&notice.words);
        if matches!(notice.rule, step::PEER | step::ORDERED) {
            // The sentence of these rows says less than what follows it.
            let rest =
                words.strip_prefix(step::sentence(notice.rule)).and_then(|rest| rest.strip_prefix(": "));
            words = rest.unwrap_or(words);
        }
        let words = words.to_string();
        self.hub.publish(event(kind, name, &self.host, epoch, notice.rule, severity, words));
    }

    fn owner(&mut self, vip: usize, owner: Option<&str>) {
        // The instance may have ended first.
        let _ = self.owners.send((vip, owner.map(str::to_string)));
        self.driver.raise();
    }

    fn answered(&mut self) {
        self.driver.raise();
    }

    fn save(&mut self, orders: Registers) {
        let Some(keeper) = self.keeper.clone() else { return };
        let number = keeper.newest.fetch_add(1, Ordering::AcqRel) + 1;
        let (hub, host) = (Arc::clone(&self.hub), self.host.clone());
        let write = {
            let keeper = Arc::clone(&keeper);
            move || {
                if let Err(error) = keeper.write(number, &orders) {
                    let words = format!(
                        "operators' orders could not be written down: {error}; they are lost when all agents end"
                    );
                    hub.publish(event(EventKind::Vip, "", &host, 0, step::ORDERED, Severity::Alarm, words));
                }
            }
        };
        // A file may take its time, and adverts may not wait for it.
        if let Err(error) = thread::spawn("primacy-orders", STACK, write) {
            let words = format!("operators' orders could not be written down: {error}");
            self.hub.publish(event(EventKind::Vip, "", &self.host, 0, step::ORDERED, Severity::Alarm, words));
        }
    }
}

impl Core {
    /// Begins to own addresses, where the configuration has any. Not for a follower: the one that decides owns them too.
    pub(super) fn begin_tier(&mut self) -> Result<()> {
        if self.config.vips.is_empty() || self.follower.is_some() || self.tier.is_some() {
            return Ok(());
        }
        let Some(driver) = self.driver.as_ref().map(crate::io::driver::Driver::waker) else { return Ok(()) };
        let host = host_of(&self.config)?;
        // With a name that the system gives, the configuration alone could not tell.
        for (vip, place) in self.config.vips.iter().zip(places(&self.config, &host)) {
            if let Some((_, None)) = place {
                let pool = vip.pool.as_deref().unwrap_or_default();
                let text = format!(
                    "vip {}: no node of pool {pool} is on this host: say host = \"{host}\" of the one that is",
                    vip.name
                );
                return Err(Error::new(ErrorCode::Config, text));
            }
        }
        let file = self.config.tier.state_file.as_deref().map(OrdersFile::open).transpose()?;
        let orders = file.as_ref().map_or_else(|| Ok(Registers::default()), OrdersFile::read)?;
        let (to_owners, owners) = unbounded();
        let seen = Arc::<Mutex<Option<TierStatus>>>::default();
        let voice = Voice {
            seen: Arc::clone(&seen),
            hub: Arc::clone(&self.hub),
            host: host.clone(),
            owners: to_owners,
            driver,
            keeper: file
                .map(|file| Arc::new(Keeper { file, newest: AtomicU64::new(0), writing: Mutex::new(0) })),
        };
        let Opened { mut driver, outbox, wake } =
            open(&self.config, &self.registry, orders, Box::new(voice))?;
        let (ending, ended) = bounded(1);
        let body = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| driver.run())) {
                driver.abandon(&panic_text(panic.as_ref()));
            }
            // Sockets and programs end before anybody is told.
            drop(driver);
            drop(ending);
        };
        let thread = thread::spawn("primacy-vip", STACK, body)
            .map_err(|e| Error::new(ErrorCode::Io, format!("the system gives no thread: {e}")))?;
        let told = vec![(None, None); self.config.vips.len()];
        self.tier = Some(TierHandle { outbox, wake, thread: Some(thread), ended, owners, host, seen, told });
        Ok(())
    }

    /// The engine has failed: nobody judges the service any more.
    pub(super) fn warn_tier(&self) {
        if let Some(tier) = &self.tier {
            // A tier that has ended owns nothing.
            let _ = Line { outbox: tier.outbox.clone(), wake: Arc::clone(&tier.wake) }
                .send(Message::EngineFailed);
        }
    }

    /// The keys of the peer channel were read anew.
    pub(super) fn renew_tier_keys(&self, keys: Option<Keys>) {
        if let (Some(tier), Some(keys)) = (&self.tier, keys) {
            // A tier that has ended speaks to nobody.
            let _ =
                Line { outbox: tier.outbox.clone(), wake: Arc::clone(&tier.wake) }.send(Message::Keys(keys));
        }
    }

    /// Says what this host's services are, where that changed, and hears who owns.
    pub(super) fn feed_tier(&mut self, now: Now) -> Result<()> {
        let Some(mut tier) = self.tier.take() else { return Ok(()) };
        let outcome = self.exchange(now, &mut tier);
        self.tier = Some(tier);
        outcome
    }

    fn exchange(&mut self, now: Now, tier: &mut TierHandle) -> Result<()> {
        let line = Line { outbox: tier.outbox.clone(), wake: Arc::clone(&tier.wake) };
        let places = places(&self.config, &tier.host);
        while let Ok((vip, owner)) = tier.owners.try_recv() {
            let Some(Some((pool, _))) = places.get(vip).copied() else { continue };
            let config = self.config.pools.get(pool);
            let node = owner.and_then(|host| config?.nodes.iter().position(|node| node.host == host));
            self.guarded(|engine| engine.handle(now, Input::Owner { pool, node }))?;
            self.pump(now, usize::MAX)?;
        }
        for (vip, place) in places.into_iter().enumerate() {
            let Some((pool, Some(node))) = place else { continue };
            let (local, backend) = self.guarded(|engine| {
                let local = engine.local_verdict(pool, node);
                (local, engine.backend_verdict(pool, node).map(|seen| (seen.good, seen.words.clone())))
            })?;
            let Some(told) = tier.told.get_mut(vip) else { continue };
            let local = Some((local.good, local.words));
            if told.0 != local {
                if let Some((good, words)) = local.clone() {
                    // A tier that has ended owns nothing.
                    let _ = line.send(Message::Local { vip, good: Some(good), words });
                }
                told.0 = local;
            }
            if told.1 != backend {
                let (good, words) =
                    backend.clone().map_or((None, String::new()), |(good, words)| (Some(good), words));
                let _ = line.send(Message::Backend { vip, good, words });
                told.1 = backend;
            }
        }
        Ok(())
    }

    pub(super) fn line(&self) -> Result<Line> {
        if self.config.vips.is_empty() {
            return Err(Error::new(ErrorCode::NotFound, "no vip is configured: add a table [vip.NAME]"));
        }
        match &self.tier {
            Some(tier) => Ok(Line { outbox: tier.outbox.clone(), wake: Arc::clone(&tier.wake) }),
            None if self.follower.is_some() => Err(Error::new(
                ErrorCode::Locked,
                "another process decides for this cache and owns the addresses: ask that one, by `primacy vip`",
            )),
            None => {
                Err(Error::new(ErrorCode::State, "addresses are owned by a started instance: start it first"))
            }
        }
    }
}

impl Core {
    /// The orders that end a move and forget failures, the first of which says what follows.
    pub(super) fn clearing(&self, vip: &str) -> Result<Vec<Order>> {
        self.line()?;
        if self.config.vip(vip).is_none() {
            return Err(no_vip(&self.config, vip));
        }
        let hosts: Vec<String> = self.config.tier.hosts.iter().map(|host| host.name.clone()).collect();
        let hosts = if hosts.is_empty() { vec![host_of(&self.config)?] } else { hosts };
        let mut orders = vec![Order::Want { vip: vip.into(), host: None }];
        orders.extend(hosts.into_iter().map(|host| Order::ClearFailures { vip: vip.into(), host }));
        Ok(orders)
    }
}

/// The pool of each VIP, and the node in it that is on this host.
fn places(config: &Config, host: &str) -> Vec<Option<(usize, Option<usize>)>> {
    let place = |vip: &crate::config::VipConfig| {
        let name = vip.pool.as_ref()?;
        let pool = config.pools.iter().position(|pool| pool.name == *name)?;
        let node = config.pools.get(pool)?.nodes.iter().position(|node| node.host == host);
        Some((pool, node))
    };
    config.vips.iter().map(place).collect()
}

/// The keys of the peer channel, where there is one.
pub(super) fn keys_of(config: &Config) -> Result<Option<Keys>> {
    let speaks = !config.vips.is_empty() && !config.tier.hosts.is_empty();
    speaks.then(|| crate::io::peer::keys(&config.tier)).transpose()
}

/// The end of the tier, under way without the instance's lock.
pub(super) fn end_tier(tier: Option<TierHandle>) {
    let Some(mut tier) = tier else { return };
    let line = Line { outbox: tier.outbox.clone(), wake: Arc::clone(&tier.wake) };
    if line.send(Message::Stop).is_ok() && tier.ended.recv_timeout(END) == Err(RecvTimeoutError::Timeout) {
        // It ends as soon as what it waits for lets it, and its addresses end by their lifetimes.
        return;
    }
    if let Some(thread) = tier.thread.take() {
        // It has said that it ended: it is on its last lines.
        let _ = thread.join();
    }
}

impl TierHandle {
    /// The tier as it was a second ago at most; none before it began.
    pub(super) fn seen(&self) -> Option<TierStatus> {
        self.seen.lock().clone()
    }

    /// In a forked child: the thread does not exist here.
    pub(super) fn abandon(mut self) {
        core::mem::forget(self.thread.take());
        core::mem::forget(self);
    }
}

impl Handle {
    fn tier_line(&self) -> Result<Line> {
        self.open()?.line()
    }

    pub(super) fn vip_status(&self) -> Result<TierStatus> {
        self.tier_line()?.ask(Message::Look)
    }

    /// Gives orders one after the other; the answer of the first one.
    pub(super) fn vip_order(&self, orders: &[Order]) -> Result<String> {
        let line = self.tier_line()?;
        let mut first = None;
        for order in orders {
            let answer = line.ask(|answer| Message::Order(order.clone(), answer))?;
            let words = answer.map_err(|why| Error::new(ErrorCode::Refused, why))?;
            first.get_or_insert(words);
        }
        Ok(first.unwrap_or_default())
    }

    pub(super) fn vip_clear(&self, vip: &str) -> Result<String> {
        let orders = self.open()?.clearing(vip)?;
        self.vip_order(&orders)
    }

    pub(super) fn vip_report(&self, name: &str, good: bool, words: &str) -> Result<()> {
        let core = self.open()?;
        let line = core.line()?;
        let vip = core
            .config
            .vips
            .iter()
            .position(|vip| vip.name == name)
            .ok_or_else(|| no_vip(&core.config, name))?;
        if core.config.vips.get(vip).is_some_and(|vip| vip.pool.is_some()) {
            return Err(Error::new(
                ErrorCode::State,
                format!("vip {name} names a pool: the library looks at the service itself"),
            ));
        }
        drop(core);
        line.send(Message::Local { vip, good: Some(good), words: words.into() })
    }

    #[cfg(feature = "testing")]
    pub(super) fn plant_tier_panic(&self) -> Result<()> {
        self.tier_line()?.send(Message::Panic)
    }
}

/// The answer to a name that is none.
fn no_vip(config: &Config, name: &str) -> Error {
    let known: Vec<&str> = config.vips.iter().map(|vip| vip.name.as_str()).collect();
    Error::new(ErrorCode::NotFound, format!("there is no vip '{name}'; vips are {}", known.join(", ")))
}
