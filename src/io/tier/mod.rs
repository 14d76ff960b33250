//! The driver of the tier: a thread of its own that turns [`crate::vip::tier::Tier`] with sockets, the kernel's addresses, programs and etcd.
//!
//! A thread of its own in every way an instance is run: an address must be announced in time, whatever probes cost and whatever the host's
//! loop does. Nothing that blocks runs in it: files are written, and etcd is asked, by other threads.
//!
//! Time is CLOCK_BOOTTIME here, which goes on while the machine is suspended: whoever sleeps past its lease or its adverts must know it.

mod ears;
mod open;
mod place;
mod refresher;

use self::ears::Ears;
use self::place::Place;
use self::refresher::Refresher;
use super::clock;
use super::descriptor::Registry;
use super::etcd::EtcdClient;
use super::netlink::{Change, Kernel, Watch};
use super::peer::PeerSocket;
use super::poller::{Epoll, Poller, Ready, Waiter};
use super::program::{Ended, How, Program, Spec, Stopped};
use crate::config::VipConfig;
use crate::engine::{Now, Time};
use crate::vip::hooks::{Call, HookEnd, HookKind};
use crate::vip::ownership::{Notice, Urgency};
use crate::vip::peer::{Keys, LARGEST, Order, Registers};
use crate::vip::status::TierStatus;
use crate::vip::step::{self, Step};
use crate::vip::tier::{Effect, Input, Tier};
use crate::vip::vrrp;
use crossbeam_channel::{Receiver, Sender};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use open::{Opened, host_of, open};

/// Rounds of reading before the clock is looked at all the same: a flood must not keep an owner from advertising.
const ROUNDS: usize = 4;
/// Adverts that are read in a row from one socket.
const ADVERTS: usize = 256;
/// How long the end waits for release hooks and others that are under way.
const LAST_WORDS: Duration = Duration::from_millis(600);
/// How often the tier is shown to who counts.
const SHOW: Duration = Duration::from_secs(1);
/// How long the end waits for a lease that is given back.
const GIVEN_BACK: Duration = Duration::from_millis(100);
/// Longest part of the first line of a program's output that is passed on.
const LINE: usize = 200;

/// What other threads ask of the tier.
#[derive(Debug)]
pub(crate) enum Message {
    /// What the service on this host is, for this VIP.
    Local { vip: usize, good: Option<bool>, words: String },
    /// What it leads to.
    Backend { vip: usize, good: Option<bool>, words: String },
    /// An operator's order; the answer is sent back.
    Order(Order, Sender<Result<String, String>>),
    /// The state of the tier as it is now.
    Look(Sender<TierStatus>),
    /// The keys of the peer channel were read again.
    Keys(Keys),
    /// The engine has failed: what is known of the service is nothing.
    EngineFailed,
    /// The end: addresses leave.
    Stop,
    /// The next turn panics.
    #[cfg(feature = "testing")]
    Panic,
}

/// Whom the tier tells.
pub(crate) trait Outlet: Send {
    /// The tier as it is now; about once a second.
    fn show(&mut self, status: TierStatus);
    /// Something that people should read; of a VIP by its name, or of the tier.
    fn tell(&mut self, vip: Option<&str>, epoch: u64, notice: &Notice);
    /// This host owns the VIP, another one does, or none is known to.
    fn owner(&mut self, vip: usize, owner: Option<&str>);
    /// The orders of operators, to be written down by another thread.
    fn save(&mut self, orders: Registers);
    /// A question was answered: who asked may be waiting for something else.
    fn answered(&mut self);
}

/// A program under way.
#[derive(Debug)]
struct Running {
    vip: usize,
    job: Option<u64>,
    kind: HookKind,
    program: Program,
}

/// Tokens of the poller: what is ready is found by number.
const WATCH: u64 = 1;
const PEER: u64 = 2;
const EAR: u64 = 1 << 32;
const NEIGHBOUR: u64 = 2 << 32;
const PROGRAM: u64 = 3 << 32;

/// The driver.
pub(crate) struct TierDriver {
    registry: Arc<Registry>,
    tier: Tier,
    configs: Vec<VipConfig>,
    places: Vec<Place>,
    ears: Ears,
    kernel: Kernel,
    watch: Watch,
    peer: Option<PeerSocket>,
    stores: Vec<Option<EtcdClient>>,
    refresher: Refresher,
    /// Whose refresh is under way.
    refreshing: BTreeSet<usize>,
    programs: BTreeMap<u64, Running>,
    last_program: u64,
    epoll: Epoll,
    inbox: Receiver<Message>,
    outlet: Box<dyn Outlet>,
    owners: Vec<Option<String>>,
    stopping: Option<Time>,
    /// Peers to whom nothing can be sent, and with which error.
    failing: BTreeMap<SocketAddr, i32>,
    /// When the tier was shown last.
    shown: Option<Time>,
    #[cfg(feature = "testing")]
    planted: bool,
}

impl TierDriver {
    /// What the thread waits with.
    pub(crate) fn waiter(&self) -> Waiter {
        self.epoll.waiter()
    }

    fn now(&self) -> Now {
        Now { mono: clock::boot(), wall_ms: clock::now().wall_ms }
    }

    /// Runs until the end that [`Message::Stop`] asks for.
    pub(crate) fn run(&mut self) {
        let mut waiter = self.waiter();
        let mut events = Vec::new();
        self.begin();
        loop {
            let now = self.now();
            if self.is_over(now.mono) {
                break;
            }
            // The poller sleeps on the monotonic clock; the two run alike while the machine is awake.
            let wait = self.deadline().since(now.mono);
            let until = clock::mono() + wait;
            events.clear();
            if waiter.wait(&mut events, Some(until)).is_err() {
                std::thread::sleep(Duration::from_millis(20));
            }
            self.turn(&events);
        }
        for store in self.stores.drain(..).flatten() {
            // A lease that was given back lets others in at once.
            store.end(GIVEN_BACK);
        }
    }

    /// After a defect: the addresses leave this host, whatever the machines think.
    pub(crate) fn abandon(&mut self, words: &str) {
        let notice = Notice {
            rule: step::TIER_FAILED,
            urgency: Urgency::Alarm,
            words: format!("{}: {words}", step::sentence(step::TIER_FAILED)),
        };
        for place in &mut self.places {
            for step in step::RELEASE {
                // What cannot be removed ends by its lifetime.
                let _ = place.carry_out(&mut self.kernel, step);
            }
        }
        self.outlet.tell(None, 0, &notice);
    }

    fn begin(&mut self) {
        let now = self.now();
        self.look_at_links(now);
        for (vip, place) in self.places.iter().enumerate() {
            match place.clean_up(&mut self.kernel) {
                Ok(cleaned) if cleaned.addresses.is_empty() && cleaned.blocks.is_empty() => {}
                Ok(cleaned) => {
                    let found: Vec<String> =
                        cleaned.addresses.iter().chain(&cleaned.blocks).map(IpAddr::to_string).collect();
                    let words = format!("{}: {}", step::sentence(step::CLEANED), found.join(", "));
                    let name = self.configs.get(vip).map(|config| config.name.as_str());
                    self.outlet.tell(
                        name,
                        0,
                        &Notice { rule: step::CLEANED, urgency: Urgency::Warning, words },
                    );
                }
                Err(error) => {
                    let words = format!("{}: {error}", step::sentence(step::RELEASE_FAILED));
                    let name = self.configs.get(vip).map(|config| config.name.as_str());
                    self.outlet.tell(
                        name,
                        0,
                        &Notice { rule: step::RELEASE_FAILED, urgency: Urgency::Alarm, words },
                    );
                }
            }
        }
        self.give(now, Input::Start);
    }

    fn is_over(&self, now: Time) -> bool {
        self.stopping.is_some_and(|until| until <= now || (self.tier.is_over() && self.programs.is_empty()))
    }

    fn deadline(&self) -> Time {
        let programs = self.programs.values().map(|running| running.program.deadline());
        let ends = programs.chain(self.stopping).chain([self.tier.poll_timeout()]);
        ends.min().unwrap_or(Time::NEVER)
    }

    /// One turn: what was received, then the clock, then what the kernel says, since only an owner that is in time may put back what it lost.
    fn turn(&mut self, events: &[Ready]) {
        let ready = |token: u64| events.iter().any(|event| event.token == token);
        self.read_inbox();
        #[cfg(feature = "testing")]
        if core::mem::take(&mut self.planted) {
            panic!("planted in the tier");
        }
        let mut more = true;
        for _ in 0..ROUNDS {
            if !more {
                break;
            }
            more = self.read_ears() | self.read_peer();
        }
        self.read_stores();
        self.read_refreshes();
        self.turn_programs();
        let now = self.now();
        if self.tier.poll_timeout() <= now.mono {
            self.give(now, Input::Timer);
        }
        self.read_neighbours(events);
        if ready(WATCH) {
            self.read_watch();
        }
        self.tell_owners();
        let now = self.now();
        if self.shown.is_none_or(|at| now.mono.since(at) >= SHOW) {
            self.shown = Some(now.mono);
            self.outlet.show(self.tier.status(now.mono));
        }
    }

    /// One input, and all that follows from it.
    fn give(&mut self, now: Now, input: Input<'_>) {
        self.tier.handle(now, input);
        self.drain(now);
    }

    fn drain(&mut self, now: Now) {
        while let Some(effect) = self.tier.poll_effect() {
            match effect {
                Effect::Step { vip, step: Step::Refresh { lifetime } } => self.refresh(now, vip, lifetime),
                Effect::Step { vip, step } => {
                    let outcome = match self.places.get_mut(vip) {
                        Some(place) => place.carry_out(&mut self.kernel, step),
                        None => Err("there is no such vip".into()),
                    };
                    // Asking and announcing have no answer that decides anything; what fails is told once by the link's state.
                    if !matches!(step, Step::Ask | Step::Announce) {
                        self.tier.handle(now, Input::Stepped { vip, step, outcome });
                    }
                }
                Effect::Advert { vip, send } => self.advertise(now, vip, &send),
                Effect::Ask { vip, ask } => {
                    if let Some(Some(store)) = self.stores.get(vip) {
                        store.ask(vip, ask);
                    }
                }
                Effect::Datagram { to, bytes } => self.send(to, &bytes),
                Effect::Run { vip, job, call } => self.start(now, vip, job, &call),
                Effect::Cancel { vip, job } => {
                    for running in self.programs.values_mut() {
                        if running.vip == vip && running.job == Some(job) {
                            running.program.stop(now.mono);
                        }
                    }
                }
                Effect::Save(orders) => self.outlet.save(orders),
                Effect::Tell { vip, notice } => {
                    let epoch =
                        vip.and_then(|vip| self.tier.vips().nth(vip)).map_or(0, |(vip, _)| vip.epoch().1);
                    let name = vip.and_then(|vip| self.configs.get(vip)).map(|config| config.name.as_str());
                    self.outlet.tell(name, epoch, &notice);
                }
            }
        }
    }

    /// Hands a refresh to the thread that may wait for the kernel; one at a time for each VIP, for the next one comes soon.
    fn refresh(&mut self, now: Now, vip: usize, lifetime: u32) {
        if !self.refreshing.contains(&vip)
            && let Some(place) = self.places.get(vip)
            && self.refresher.ask(place.refresh(vip, lifetime, now.mono))
        {
            self.refreshing.insert(vip);
        }
    }

    fn read_refreshes(&mut self) {
        while let Some(refreshed) = self.refresher.answer() {
            self.refreshing.remove(&refreshed.vip);
            let now = self.now();
            let step = Step::Refresh { lifetime: refreshed.lifetime };
            self.give(now, Input::Stepped { vip: refreshed.vip, step, outcome: refreshed.outcome });
        }
    }

    /// Sends a datagram of the peer channel. A peer to whom nothing can be sent is told of once, until it works again: what is lost is told
    /// anew by the next one.
    fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        let Some(peer) = &self.peer else { return };
        let Err(error) = peer.send(to, bytes) else {
            self.failing.remove(&to);
            return;
        };
        let number = error.raw_os_error().unwrap_or(libc::EIO);
        if self.failing.insert(to, number) != Some(number) {
            let words = format!("nothing can be sent to the peer at {to}: {error}");
            self.outlet.tell(None, 0, &Notice { rule: step::PEER_TROUBLE, urgency: Urgency::Warning, words });
        }
    }

    fn advertise(&mut self, now: Now, vip: usize, send: &vrrp::Send) {
        if self.ears.send(vip, send).is_err() {
            self.tier.handle(now, Input::SendFailed { vip, source: send.source });
        }
    }

    fn read_inbox(&mut self) {
        while let Ok(message) = self.inbox.try_recv() {
            let now = self.now();
            match message {
                Message::Local { vip, good, words } => self.give(now, Input::Local { vip, good, words }),
                Message::Backend { vip, good, words } => self.give(now, Input::Backend { vip, good, words }),
                Message::Order(order, answer) => {
                    let outcome = self.tier.order(now, &order);
                    self.drain(now);
                    // Who asked may have gone.
                    let _ = answer.send(outcome);
                    self.outlet.answered();
                }
                Message::Look(answer) => {
                    let _ = answer.send(self.tier.status(now.mono));
                    self.outlet.answered();
                }
                Message::Keys(keys) => self.tier.set_keys(keys),
                Message::EngineFailed => self.give(now, Input::EngineFailed),
                Message::Stop => {
                    if self.stopping.is_none() {
                        self.stopping = Some(now.mono + LAST_WORDS);
                        self.give(now, Input::Stop);
                    }
                }
                #[cfg(feature = "testing")]
                Message::Panic => self.planted = true,
            }
        }
    }

    /// Reads adverts; whether there may be more.
    fn read_ears(&mut self) -> bool {
        let Self { ears, tier, .. } = self;
        let mut now = Now { mono: clock::boot(), wall_ms: clock::now().wall_ms };
        let more = ears.receive(ADVERTS, |vip, packet| {
            now.mono = clock::boot();
            tier.handle(now, Input::Packet { vip, packet: *packet });
        });
        self.drain(now);
        more
    }

    fn read_peer(&mut self) -> bool {
        let mut buffer = [0u8; LARGEST + 1];
        let mut any = false;
        for _ in 0..64 {
            let Some(peer) = &self.peer else { return false };
            let Ok(Some((length, from))) = peer.receive(&mut buffer) else { return any };
            any = true;
            let now = self.now();
            self.give(now, Input::Datagram { from, bytes: buffer.get(..length).unwrap_or_default() });
        }
        any
    }

    fn read_stores(&mut self) {
        for vip in 0..self.stores.len() {
            while let Some(answered) = self.stores.get(vip).and_then(|store| store.as_ref()?.answer()) {
                let now = self.now();
                let (job, answer) = (answered.job, answered.answer);
                self.give(now, Input::Answered { vip: answered.vip, job, answer });
            }
        }
    }

    /// Only of who has something to say: fifty sockets asked in vain at each turn would cost more than all adverts.
    fn read_neighbours(&mut self, events: &[Ready]) {
        let mut heard = Vec::new();
        let ready = events
            .iter()
            .filter_map(|event| event.token.checked_sub(NEIGHBOUR))
            .filter(|at| *at < PROGRAM - NEIGHBOUR);
        for vip in ready.map(|at| (at >> 8) as usize) {
            let Some(place) = self.places.get(vip) else { continue };
            for neighbours in &place.neighbours {
                while let Some(claim) = neighbours.receive() {
                    if place.has(claim.ip) && !claim.asks {
                        heard.push((vip, claim));
                    }
                }
            }
        }
        for (vip, claim) in heard {
            let mac: Vec<String> = claim.mac.iter().map(|byte| format!("{byte:02x}")).collect();
            let now = self.now();
            self.give(now, Input::Rival { vip, who: format!("{} is at {}", claim.ip, mac.join(":")) });
        }
    }

    // Programs.

    fn start(&mut self, now: Now, vip: usize, job: Option<u64>, call: &Call) {
        let Some(config) = self.configs.get(vip) else { return };
        let argv = match call.kind {
            HookKind::Claim => &config.hooks.on_claim,
            HookKind::Release => &config.hooks.on_release,
            HookKind::Fault => &config.hooks.on_fault,
            HookKind::Restart => &config.restart,
        };
        let spec = Spec {
            argv: argv.clone(),
            environment: environment(config, self.tier.host(), call),
            timeout: config.hooks.timeout,
            grace: super::program::GRACE,
        };
        let end = match Program::start(&self.registry, &spec, now.mono) {
            Ok(program) => {
                self.last_program += 1;
                match self.epoll.add(program.fd(), PROGRAM + self.last_program, false) {
                    Ok(()) => {
                        let running = Running { vip, job, kind: call.kind, program };
                        self.programs.insert(self.last_program, running);
                        return;
                    }
                    Err(error) => HookEnd::Failed(format!("the program cannot be watched: {error}")),
                }
            }
            Err(error) => HookEnd::Failed(error.to_string()),
        };
        self.tier.handle(now, Input::HookEnded { vip, job, end });
    }

    fn turn_programs(&mut self) {
        let now = self.now();
        let mut over = Vec::new();
        for (number, running) in &mut self.programs {
            if let Some(ended) = running.program.turn(now.mono) {
                over.push((*number, end_of(&ended)));
            }
        }
        for (number, end) in over {
            if let Some(running) = self.programs.remove(&number) {
                self.epoll.remove(running.program.fd());
                let Running { vip, job, kind, .. } = running;
                debug_assert_eq!(job.is_none(), kind == HookKind::Restart);
                self.give(now, Input::HookEnded { vip, job, end });
            }
        }
    }

    // The kernel.

    fn read_watch(&mut self) {
        let mut links = false;
        let mut gone = Vec::new();
        while let Some(change) = self.watch.next() {
            match change {
                Change::LinkAppeared(_) | Change::LinkState(_) | Change::LinkMac(_) => links = true,
                Change::LinkRenamed { .. } | Change::LinkGone { .. } => links = true,
                Change::Address(address) => {
                    // A source of adverts may have come; our own come and are refreshed often.
                    links |= !self.places.iter().any(|place| place.has(address.ip));
                }
                Change::AddressGone { ip, .. } => {
                    links |= !self.places.iter().any(|place| place.has(ip));
                    gone.push(ip);
                }
                Change::LookAgain => {
                    links = true;
                    match self.kernel.interfaces() {
                        Ok(found) => self.watch.compare(found),
                        Err(_) => continue,
                    }
                    let all = self.configs.iter().flat_map(|config| &config.addresses);
                    gone.extend(all.map(|address| address.ip));
                }
            }
        }
        let now = self.now();
        if links {
            self.look_at_links(now);
        }
        if !gone.is_empty() {
            self.look_for(now, &gone);
        }
    }

    /// An address that was told to be gone may be back: the tier puts it back itself after a change of the interface's others.
    fn look_for(&mut self, now: Now, gone: &[IpAddr]) {
        for vip in 0..self.places.len() {
            let Some(place) = self.places.get(vip) else { continue };
            if !gone.iter().any(|ip| place.has(*ip)) {
                continue;
            }
            let Ok(missing) = place.missing(&mut self.kernel) else { continue };
            if !missing.is_empty() {
                let what: Vec<String> = missing.iter().map(IpAddr::to_string).collect();
                self.give(now, Input::Vanished { vip, what: what.join(", ") });
            }
        }
    }

    /// Brings interfaces, sockets and sources up to date, and tells the tier what can be used.
    fn look_at_links(&mut self, now: Now) {
        for vip in 0..self.places.len() {
            let (usable, words) = match self.look_at_link(vip) {
                Ok(words) => (true, words),
                Err(words) => (false, words),
            };
            self.give(now, Input::Link { vip, usable, words });
        }
    }

    fn look_at_link(&mut self, vip: usize) -> Result<String, String> {
        let (Some(config), Some(place)) = (self.configs.get(vip), self.places.get_mut(vip)) else {
            return Err("there is no such vip".into());
        };
        let found = self.kernel.interface(&config.interface);
        // Before they may be closed: a forked child of the host may hold the same open files.
        for neighbours in &place.neighbours {
            self.epoll.remove(neighbours.number());
        }
        let interface = match found {
            Ok(interface) => interface,
            Err(error) => {
                // Closing the sockets is all that can fail here, and it cannot.
                let _ = place.set_interface(&self.registry, None);
                self.ears.forget(&mut self.epoll, vip);
                return Err(error.to_string());
            }
        };
        let opened = place.set_interface(&self.registry, Some(interface.clone()));
        for (index, neighbours) in place.neighbours.iter().enumerate() {
            let token = NEIGHBOUR + ((vip as u64) << 8) + index as u64;
            self.epoll.add(neighbours.number(), token, false).map_err(|e| e.to_string())?;
        }
        opened.map_err(|e| e.to_string())?;
        if !(interface.up && interface.running) {
            return Err(if interface.up { "it has no carrier".into() } else { "it is down".to_string() });
        }
        let families = place.families();
        if self.ears.is_needed(vip) {
            let mut sources = Vec::new();
            for family in families {
                match place.source(&mut self.kernel, family).map_err(|e| e.to_string())? {
                    Some(source) => sources.push(source),
                    None => {
                        return Err(format!(
                            "it has no {} of its own to send adverts from",
                            if family == super::neighbour::Family::V4 {
                                "IPv4 address"
                            } else {
                                "link-local IPv6 address"
                            }
                        ));
                    }
                }
            }
            self.ears.open(&self.registry, &mut self.epoll, EAR, vip, &interface, &sources)?;
            self.tier.set_sources(vip, &sources)?;
        }
        Ok("it is there, up, and has a carrier".into())
    }

    /// Tells who owns each VIP, where that changed.
    fn tell_owners(&mut self) {
        for vip in 0..self.owners.len() {
            let owner = self.tier.owner(vip);
            if let Some(known) = self.owners.get_mut(vip)
                && *known != owner
            {
                self.outlet.owner(vip, owner.as_deref());
                *known = owner;
            }
        }
    }
}

/// What a program is told.
fn environment(config: &VipConfig, host: &str, call: &Call) -> Vec<(String, String)> {
    let addresses: Vec<String> = config.addresses.iter().map(ToString::to_string).collect();
    [
        ("PRIMACY_EVENT", call.kind.name().to_string()),
        ("PRIMACY_VIP", config.name.clone()),
        ("PRIMACY_HOST", host.to_string()),
        ("PRIMACY_INTERFACE", config.interface.clone()),
        ("PRIMACY_ADDRESSES", addresses.join(" ")),
        ("PRIMACY_EPOCH", call.epoch.to_string()),
        ("PRIMACY_RULE", call.rule.to_string()),
        ("PRIMACY_REASON", call.reason.clone()),
    ]
    .map(|(name, value)| (name.to_string(), value.replace('\0', " ")))
    .to_vec()
}

/// How a program ended, in the machine's words.
fn end_of(ended: &Ended) -> HookEnd {
    let mut line = ended.output.first_line();
    if line.is_empty() {
        line = ended.errors.first_line();
    }
    let line: String = line.chars().filter(|c| !c.is_control()).take(LINE).collect();
    match (ended.stopped, ended.how) {
        (Some(Stopped::Timeout), _) => HookEnd::TimedOut,
        (Some(Stopped::Asked), _) => HookEnd::Cancelled,
        (None, How::Exited(code)) => HookEnd::Exit(i32::from(code), line),
        (None, How::Signalled(signal)) => HookEnd::Failed(format!("signal {signal} ended it")),
        (None, How::Unknown) => {
            HookEnd::Failed("its exit code is not known: this program ignores SIGCHLD or waits for children that are not its own".into())
        }
        (None, How::Stuck) => HookEnd::Failed("it was killed and hangs in the kernel".into()),
    }
}
