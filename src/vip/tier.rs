//! This host's part of a tier: its VIPs, and what the other hosts say on the peer channel.
//!
//! Everything that happens comes in by [`Tier::handle`]; after it, effects are taken until there is none. Packets are handed in before the timer, for
//! silence is judged only of who has been listened to.

mod effect;
mod input;

use super::hooks::HookEnd;
use super::machine::{self, Peer, Stage, Vip};
use super::ownership::{Notice, Ownership, Score, Urgency};
use super::peer::{Channel, Health, Keys, Order, OwnState, PeerInput, Registers, Role, Verdict, VipState};
use super::status::{TierStatus, VipStatus};
use super::step;
use super::who::{Action, Who};
use crate::engine::Now;
use crate::engine::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

pub use self::effect::Effect;
pub use self::input::Input;

/// One VIP and what decides who owns it.
struct Held {
    vip: Vip<Action>,
    who: Who,
    /// The last order to clear that was carried out.
    cleared: u64,
    /// Something changed that the other hosts should know.
    changed: bool,
    /// Hosts that handed the address over, by the number of the ownership that they gave up. What they said before may still be what is
    /// known of them, for a datagram may overtake another: it must not send the address back.
    left: BTreeMap<String, u64>,
}

/// This host's part of a tier.
pub struct Tier {
    host: String,
    version: String,
    held: Vec<Held>,
    channel: Channel,
    started: bool,
    stopping: bool,
    effects: VecDeque<Effect>,
}

/// Why an operator's order was refused.
pub type Refused = String;

impl Tier {
    /// A tier of these VIPs. `channel` speaks to nobody where there are no other hosts.
    pub fn new(host: &str, version: &str, vips: Vec<(Vip<Action>, Who)>, channel: Channel) -> Tier {
        let mut held: Vec<Held> = vips
            .into_iter()
            .map(|(vip, who)| Held { vip, who, cleared: 0, changed: true, left: BTreeMap::new() })
            .collect();
        let registers = channel.registers();
        for one in &mut held {
            one.cleared = registers.cleared(&one.vip.config().name, host);
        }
        let mut tier = Tier {
            host: host.into(),
            version: version.into(),
            held,
            channel,
            started: false,
            stopping: false,
            effects: VecDeque::new(),
        };
        tier.obey();
        tier
    }

    /// This host's name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The VIPs, in configuration order.
    pub fn vips(&self) -> impl Iterator<Item = (&Vip<Action>, &Who)> {
        self.held.iter().map(|one| (&one.vip, &one.who))
    }

    /// What the tier is like, seen from here.
    pub fn status(&self, now: Time) -> TierStatus {
        let owned = |(at, one): (usize, &Held)| VipStatus::new(now, &one.vip, &one.who, self.owner(at));
        TierStatus { tier: self.channel.view(now), vips: self.held.iter().enumerate().map(owned).collect() }
    }

    /// The host that owns a VIP as far as this one knows.
    pub fn owner(&self, vip: usize) -> Option<String> {
        let one = self.held.get(vip)?;
        if one.vip.stage() == Stage::Held {
            return Some(self.host.clone());
        }
        one.vip
            .peers()
            .iter()
            .filter(|peer| peer.score.is_some() && peer.owns.is_some())
            .max_by_key(|p| p.owns)
            .map(|p| p.name.clone())
    }

    /// The keys of the peer channel are these from now on. Sessions go on.
    pub fn set_keys(&mut self, keys: Keys) {
        self.channel.set_keys(keys);
    }

    /// The sources of a VIP's advertisements, one for each family.
    ///
    /// # Errors
    /// One sentence, if one cannot be a source; it stays as it was.
    pub fn set_sources(&mut self, vip: usize, sources: &[IpAddr]) -> Result<(), String> {
        match self.held.get_mut(vip) {
            Some(Held { who: Who::Vrrp(group), .. }) => group.set_sources(sources),
            _ => Ok(()),
        }
    }

    /// Whether everything has ended after [`Input::Stop`]: no address here, no program running.
    pub fn is_over(&self) -> bool {
        self.stopping && self.effects.is_empty() && self.held.iter().all(|one| one.vip.is_idle())
    }

    /// What is to be done next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to hand in [`Input::Timer`].
    pub fn poll_timeout(&self) -> Time {
        if !self.started {
            return Time::NEVER;
        }
        let vips = self.held.iter().map(|one| one.vip.poll_timeout().min(one.who.poll_timeout()));
        vips.min().unwrap_or(Time::NEVER).min(self.channel.poll_timeout())
    }

    /// Something happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        let at = now.mono;
        match input {
            Input::Start => {
                self.started = true;
                self.drive_all(now);
            }
            Input::Timer => self.timer(now),
            Input::Packet { vip, packet } => {
                if let Some(Held { who: Who::Vrrp(group), .. }) = self.held.get_mut(vip) {
                    group.packet(at, &packet);
                }
                self.drive(now, vip);
            }
            Input::SendFailed { vip, source } => {
                if let Some(Held { who: Who::Vrrp(group), .. }) = self.held.get_mut(vip) {
                    group.send_failed(source);
                }
            }
            Input::Datagram { from, bytes } => {
                let news = self.channel.handle_datagram(at, from, bytes);
                if news.is_empty() && self.held.iter().any(|one| one.vip.awaits_news()) {
                    self.survey();
                    self.drive_all(now);
                }
                self.hear(now, news);
            }
            Input::Answered { vip, job, answer } => {
                if let Some(Held { who: Who::Lease(lease), .. }) = self.held.get_mut(vip) {
                    lease.handle_answer(at, job, answer);
                }
                self.drive(now, vip);
            }
            Input::Stepped { vip, step, outcome } => {
                if let Some(one) = self.held.get_mut(vip) {
                    one.vip.stepped(at, now.wall_ms, step, outcome, &mut one.who);
                    one.changed = true;
                }
                self.collect(now, vip);
            }
            Input::HookEnded { vip, job, end } => {
                self.with(now, vip, |one| one.vip.hook_ended(at, job, &end))
            }
            Input::Rival { vip, who } => self.with(now, vip, |one| one.vip.rival(at, &who)),
            Input::Vanished { vip, what } => self.with(now, vip, |one| one.vip.vanished(at, &what)),
            Input::Link { vip, usable, words } => self.with(now, vip, |one| one.vip.set_link(usable, &words)),
            Input::Local { vip, good, words } => {
                self.with(now, vip, |one| one.vip.set_local(at, good, &words))
            }
            Input::Backend { vip, good, words } => {
                self.with(now, vip, |one| one.vip.set_backend(good, &words))
            }
            Input::EngineFailed => {
                self.held.iter_mut().for_each(|one| one.vip.set_engine_failed());
                self.drive_all(now);
            }
            Input::Stop => {
                self.stopping = true;
                self.held.iter_mut().for_each(|one| one.vip.stop());
                self.drive_all(now);
            }
        }
        self.speak(now);
    }

    /// An operator's order, given on this host; the answer says what was done or begun.
    ///
    /// # Errors
    /// One sentence: a host or VIP that is not known, or a host that could not own the address.
    pub fn order(&mut self, now: Now, order: &Order) -> Result<String, Refused> {
        self.check(order)?;
        self.channel.order(now.mono, order)?;
        let told = match order {
            Order::Standby { host, standby: true } => {
                format!("{host} is out: its addresses go to other hosts")
            }
            Order::Standby { host, standby: false } => format!("{host} may own addresses again"),
            Order::Want { vip, host: Some(host) } => {
                format!("{vip} goes to {host}, and is held there until it is cleared")
            }
            Order::Want { vip, host: None } => {
                format!("{vip} is held nowhere: it stays until something better comes")
            }
            Order::ClearFailures { vip, host } => format!("the failures of {vip} on {host} are forgotten"),
        };
        self.tell(None, step::ORDERED, Urgency::Info, &format!(": {told}"));
        self.obey();
        self.effects.push_back(Effect::Save(self.channel.registers().clone()));
        self.drive_all(now);
        self.speak(now);
        Ok(told)
    }

    fn check(&self, order: &Order) -> Result<(), Refused> {
        let known = |name: &str| self.held.iter().any(|one| one.vip.config().name == name);
        let (vip, host) = match order {
            Order::Standby { host, .. } => (None, Some(host)),
            Order::Want { vip, host } => (Some(vip), host.as_ref()),
            Order::ClearFailures { vip, host } => (Some(vip), Some(host)),
        };
        if let Some(vip) = vip.filter(|vip| !known(vip)) {
            let names: Vec<&str> = self.held.iter().map(|one| one.vip.config().name.as_str()).collect();
            return Err(format!("there is no vip {vip}; vips are {}", names.join(", ")));
        }
        let is_host = |host: &str| host == self.host || self.channel.peers().any(|peer| peer == host);
        if let Some(host) = host.filter(|host| !is_host(host)) {
            let mut names: Vec<&str> = self.channel.peers().collect();
            names.push(&self.host);
            names.sort_unstable();
            return Err(format!("{host} is no host of this tier; hosts are {}", names.join(", ")));
        }
        if let Order::Want { vip, host: Some(host) } = order {
            let score = match *host == self.host {
                true => {
                    self.held.iter().find(|one| one.vip.config().name == *vip).map(|one| one.vip.score().0)
                }
                false => self.score_of(host, vip),
            };
            match score {
                None => return Err(format!("{host} is not heard: nobody knows whether it could own {vip}")),
                Some(score) if !score.is_good() => {
                    return Err(format!(
                        "{host} could not own {vip} now: its score is {score}; see `primacy vip status`"
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn score_of(&self, host: &str, vip: &str) -> Option<Score> {
        let said = self.channel.said(host)?;
        said.vips.get(vip).map(|(state, _)| Score(if state.eligible { state.score } else { 0 }))
    }

    fn tell(&mut self, vip: Option<usize>, rule: u16, urgency: Urgency, more: &str) {
        let words = format!("{}{more}", step::sentence(rule));
        self.effects.push_back(Effect::Tell { vip, notice: Notice { rule, urgency, words } });
    }

    /// Passes the operators' orders on to the VIPs.
    fn obey(&mut self) {
        let orders = self.channel.registers();
        let standby = orders.standby(&self.host);
        for one in &mut self.held {
            let name = one.vip.config().name.clone();
            one.vip.set_standby(standby);
            one.vip.set_wanted(orders.wanted(&name));
            let cleared = orders.cleared(&name, &self.host);
            if cleared > one.cleared {
                one.cleared = cleared;
                one.vip.clear();
            }
            one.changed = true;
        }
    }

    fn hear(&mut self, now: Now, news: Vec<PeerInput>) {
        if news.is_empty() {
            return;
        }
        let mut heirs: Vec<String> = Vec::new();
        for item in news {
            match &item {
                PeerInput::Found { peer, .. } => {
                    for one in &mut self.held {
                        // A new life counts anew.
                        one.left.remove(peer);
                        one.vip.peer_found();
                    }
                    self.tell(None, step::PEER, Urgency::Info, &format!(": {item}"));
                }
                PeerInput::Lost { .. } => self.tell(None, step::PEER, Urgency::Warning, &format!(": {item}")),
                PeerInput::Trouble { .. } => {
                    self.tell(None, step::PEER_TROUBLE, Urgency::Warning, &format!(": {item}"));
                }
                PeerInput::Changed { .. } => {}
                PeerInput::Orders => {
                    self.obey();
                    self.effects.push_back(Effect::Save(self.channel.registers().clone()));
                }
                PeerInput::HandOver { peer, vip, epoch } => {
                    for one in self.held.iter_mut().filter(|one| one.vip.config().name == *vip) {
                        one.left.insert(peer.clone(), *epoch);
                    }
                    heirs.push(vip.clone());
                }
            }
        }
        self.survey();
        for one in self.held.iter_mut().filter(|one| heirs.contains(&one.vip.config().name)) {
            one.vip.handed_over(now.mono);
            one.who.claim(now.mono);
        }
        self.drive_all(now);
    }

    /// Passes what the other hosts say on to the VIPs.
    fn survey(&mut self) {
        let names: Vec<String> = self.channel.peers().map(str::to_string).collect();
        for one in &mut self.held {
            let vip = &one.vip.config().name;
            let peers = names.iter().map(|name| {
                let said = self.channel.said(name).and_then(|said| said.vips.get(vip));
                let state = said.map(|(state, _)| state);
                let here = |s: &&VipState| matches!(s.role, Role::Claiming | Role::Owner | Role::Releasing);
                let left = one.left.get(name).copied().unwrap_or(0);
                let stale = state.is_some_and(|s| s.epoch < left || (here(&s) && s.epoch == left));
                // One that is still taking it off could not add it.
                let stands = |s: &VipState| s.eligible && !stale && s.role != Role::Releasing;
                Peer {
                    name: name.clone(),
                    score: state.map(|s| Score(if stands(s) { s.score } else { 0 })),
                    owns: state
                        .filter(|s| !stale && matches!(s.role, Role::Claiming | Role::Owner))
                        .map(|s| s.epoch),
                    epoch: state.map_or(0, |s| s.epoch),
                    heard: said.map_or(Time(0), |(_, at)| *at),
                }
            });
            let peers = peers.collect();
            one.vip.set_peers(peers);
        }
    }

    fn timer(&mut self, now: Now) {
        let at = now.mono;
        for vip in 0..self.held.len() {
            let Some(one) = self.held.get_mut(vip) else { continue };
            let due = one.who.poll_timeout() <= at;
            if due {
                one.who.handle_timer(at);
            }
            if due || one.vip.poll_timeout() <= at {
                self.drive(now, vip);
            }
        }
        if self.channel.poll_timeout() <= at {
            let news = self.channel.handle_timer(at);
            self.hear(now, news);
        }
    }

    fn with(&mut self, now: Now, vip: usize, change: impl FnOnce(&mut Held)) {
        if let Some(one) = self.held.get_mut(vip) {
            change(one);
            one.changed = true;
        }
        self.drive(now, vip);
    }

    fn drive_all(&mut self, now: Now) {
        for vip in 0..self.held.len() {
            self.drive(now, vip);
        }
    }

    fn drive(&mut self, now: Now, vip: usize) {
        if !self.started {
            return;
        }
        if let Some(one) = self.held.get_mut(vip) {
            let before = (one.vip.score(), one.vip.stage(), one.who.owns());
            one.vip.drive(now.mono, now.wall_ms, &mut one.who);
            one.changed |= before != (one.vip.score(), one.vip.stage(), one.who.owns());
        }
        self.collect(now, vip);
    }

    /// Passes the VIP's effects on.
    fn collect(&mut self, now: Now, vip: usize) {
        while let Some(effect) = self.held.get_mut(vip).and_then(|one| one.vip.poll_effect()) {
            let effect = match effect {
                machine::Effect::Step(step) => Effect::Step { vip, step },
                machine::Effect::Own(Action::Send(send)) => Effect::Advert { vip, send },
                machine::Effect::Own(Action::Ask(ask)) => Effect::Ask { vip, ask },
                machine::Effect::Run { job, call } => Effect::Run { vip, job, call },
                machine::Effect::Cancel { job } => {
                    // One that has not even begun is not run at all.
                    let begins = |e: &Effect| matches!(e, Effect::Run { vip: of, job: Some(it), .. } if (*of, *it) == (vip, job));
                    let Some(waiting) = self.effects.iter().position(begins) else {
                        self.effects.push_back(Effect::Cancel { vip, job });
                        continue;
                    };
                    self.effects.remove(waiting);
                    if let Some(one) = self.held.get_mut(vip) {
                        one.vip.hook_ended(now.mono, Some(job), &HookEnd::Cancelled);
                    }
                    continue;
                }
                machine::Effect::Tell(notice) => Effect::Tell { vip: Some(vip), notice },
                machine::Effect::HandOver { heir, epoch } => {
                    let name =
                        self.held.get(vip).map(|one| one.vip.config().name.clone()).unwrap_or_default();
                    // The state first: who has heard that it is free must not think that it is still here.
                    self.publish(now.mono);
                    let heard = self.channel.hand_over(now.mono, &name, &heir, epoch);
                    let rule = if heard { step::HANDED_OVER } else { step::HEIR_UNKNOWN };
                    let words = format!("{name}: {} ({heir})", step::sentence(rule));
                    self.transmit();
                    Effect::Tell { vip: Some(vip), notice: Notice { rule, urgency: Urgency::Info, words } }
                }
            };
            self.effects.push_back(effect);
        }
    }

    /// Tells the other hosts what changed.
    fn speak(&mut self, now: Now) {
        if self.held.iter().any(|one| one.changed) {
            self.publish(now.mono);
        }
        self.transmit();
    }

    fn transmit(&mut self) {
        while let Some((to, bytes)) = self.channel.poll_transmit() {
            self.effects.push_back(Effect::Datagram { to, bytes });
        }
    }

    fn publish(&mut self, now: Time) {
        let mut vips = BTreeMap::new();
        for one in &mut self.held {
            one.changed = false;
            vips.insert(one.vip.config().name.clone(), state(&self.host, &one.vip, &one.who));
        }
        let state = OwnState {
            agent: self.version.clone(),
            standby: self.channel.registers().standby(&self.host),
            vips,
        };
        // What is refused here is a name that the configuration let through: then the others know nothing of the VIP.
        if let Err(problem) = self.channel.set_state(now, state) {
            self.tell(None, step::PEER_TROUBLE, Urgency::Warning, &format!(": {problem}"));
        }
    }

    /// The orders of operators.
    pub fn orders(&self) -> &Registers {
        self.channel.registers()
    }
}

/// What this host says of a VIP.
fn state(host: &str, vip: &Vip<Action>, who: &Who) -> VipState {
    let health = |h: &machine::Health| Health {
        verdict: match h.good {
            Some(true) => Verdict::Ok,
            Some(false) => Verdict::Fail,
            None => Verdict::Unknown,
        },
        words: h.words.clone(),
    };
    let (score, row) = vip.score();
    let role = match vip.stage() {
        Stage::Held => Role::Owner,
        Stage::Asking | Stage::Hooking | Stage::Adding => Role::Claiming,
        Stage::Releasing(_) | Stage::Stuck => Role::Releasing,
        Stage::Absent if matches!(row, 703 | 705) => Role::Fault,
        Stage::Absent if score.stands() => Role::Backup,
        Stage::Absent => Role::Out,
    };
    let (own, highest) = vip.epoch();
    VipState {
        local: health(vip.local()),
        backend: health(vip.backend()),
        role,
        eligible: score.stands(),
        score: score.0,
        owner: who.owns().then(|| host.to_string()),
        epoch: if who.owns() { own } else { highest },
    }
}
