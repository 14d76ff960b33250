//! One virtual router: the states of RFC 9568 section 6.4, driven by the rows of [`DECISIONS`].
//!
//! Time comes in with every call. A timer is judged only in [`Ownership::handle_timer`], and its caller promises that it has handed in
//! all packets that the socket held: a Backup that was late itself must not take the owner's advertisements, which wait in its
//! socket, for silence.

use super::advert::{Advert, Family, MIN_INTERVAL, Packet, Password, Unsendable, Version};
use super::checksum::{ChecksumV4, Form};
use super::reject::{Reject, Rejects};
use super::table::{
    Action, DECISIONS, Event, NOTICES, OTHER_ADDRESSES, OTHER_CHECKSUM, OTHER_SPEECH, State, View,
};
use crate::engine::time::{Duration, Time};
use crate::policy::safe::table::Rule;
use crate::vip::ownership::{Leaving, Notice, Output, Ownership, SCORE_LEAST, Score, Urgency};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

/// About so many senders people are told once of each oddity; more would be a flood.
const MOST_NOTICES: usize = 32;

/// Priority of a host that leaves.
const LEAVES: u8 = 0;
/// Priority of the owner of the addresses.
const OWNER: u8 = 255;

/// What a virtual router is told by configuration and system.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The version to speak. Packets of the other one are not heard.
    pub version: Version,
    /// The virtual router, 1 to 255.
    pub vrid: u8,
    /// Advertisement_Interval: 10 ms to 40.95 s, in version 2 whole seconds up to 255.
    pub interval: Duration,
    /// What is advertised, 1 to 255 addresses of the source's family. keepalived drops what has another number of them, and over
    /// IPv6 wants a link-local one first.
    pub addresses: Vec<IpAddr>,
    /// The interface's primary address, over IPv6 its link-local one: the source of advertisements, and what decides between
    /// equal priorities.
    pub source: IpAddr,
    /// Unicast peers; empty for the group.
    pub peers: Vec<IpAddr>,
    /// How the checksum of version 3 over IPv4 is sent.
    pub checksum_v4: ChecksumV4,
    /// The password of version 2, authentication type 1.
    pub password: Option<Password>,
    /// An owner is left in peace if its priority and this are at least ours: 0 is the RFC's Preempt_Mode true, 254 and more
    /// false. It protects nobody whose service is in worse order than ours.
    pub stickiness: u8,
    /// How long to be the better one before an owner of lower priority is not heard any more. The down interval comes after it.
    pub preempt_delay: Duration,
    /// Priority 255 may be advertised; else 254 is the most.
    pub address_owner: bool,
}

impl Setup {
    fn advert(&self, priority: u8, interval: Duration) -> Advert {
        Advert {
            version: self.version,
            vrid: self.vrid,
            priority,
            interval,
            addresses: self.addresses.clone(),
            password: self.password,
        }
    }

    fn destinations(&self) -> Vec<IpAddr> {
        if self.peers.is_empty() { vec![Family::of(self.source).group()] } else { self.peers.clone() }
    }
}

/// A packet to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// From this address; the checksum covers it.
    pub source: IpAddr,
    /// To this one.
    pub destination: IpAddr,
    /// The payload of protocol 112.
    pub bytes: Vec<u8>,
}

/// Who was heard last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its address.
    pub source: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// When.
    pub at: Time,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Advertisements handed out for sending.
    pub sent: u64,
    /// Advertisements heard.
    pub heard: u64,
    /// Of those, of priority 0.
    pub heard_zero: u64,
    /// Of those, whose checksum has the form that `checksum_v4` does not say.
    pub other_checksum: u64,
    /// Of those, that list other addresses than ours.
    pub other_addresses: u64,
    /// How often this host became Active.
    pub became_active: u64,
    /// What was not heard.
    pub rejects: Rejects,
}

/// One virtual router. Its outputs are taken by [`Ownership::poll`] until there is none after every call.
#[derive(Clone)]
pub struct VirtualRouter {
    setup: Setup,
    table: &'static [Rule<View, Action>],
    state: State,
    /// The last wish; meaningless while it does not stand.
    priority: u8,
    stands: bool,
    /// What was last advertised.
    advertised: u8,
    /// Active_Adver_Interval: what was learnt from the Active one, or our own.
    learnt: Duration,
    /// When Backup's timer was set, and whether it is the Skew time only.
    waits_since: Time,
    hurries: bool,
    /// The last advertisement that went out, and the one before it for [`VirtualRouter::send_failed`].
    last_sent: Time,
    sent_before: Time,
    /// Of its packets, those that could not be sent.
    failed: usize,
    next_advert: Time,
    answered: Option<Time>,
    rival_until: Option<Time>,
    superior_since: Option<Time>,
    /// Leaving, without a word.
    silent: bool,
    leaving: Leaving,
    /// Everything lost is off this host.
    released: bool,
    heard: Option<Heard>,
    counters: Counters,
    fired: BTreeMap<u16, u64>,
    told: BTreeSet<(u16, IpAddr)>,
    outputs: VecDeque<Output<Send>>,
}

impl VirtualRouter {
    /// A router in Initialize; an error if its advertisements could not be written.
    pub fn new(setup: Setup) -> Result<VirtualRouter, Unsendable> {
        VirtualRouter::with_table(setup, DECISIONS)
    }

    /// One that decides by another table: to show that every row is needed.
    pub fn with_table(
        setup: Setup,
        table: &'static [Rule<View, Action>],
    ) -> Result<VirtualRouter, Unsendable> {
        for destination in setup.destinations() {
            setup.advert(1, setup.interval).encode(setup.source, destination, setup.checksum_v4)?;
        }
        Ok(VirtualRouter {
            table,
            state: State::Initialize,
            priority: 1,
            stands: false,
            advertised: LEAVES,
            learnt: setup.interval,
            waits_since: Time(0),
            hurries: false,
            last_sent: Time(0),
            sent_before: Time(0),
            failed: 0,
            next_advert: Time(0),
            answered: None,
            rival_until: None,
            superior_since: None,
            silent: false,
            leaving: Leaving::ToAnyone,
            released: true,
            heard: None,
            counters: Counters::default(),
            fired: BTreeMap::new(),
            told: BTreeSet::new(),
            outputs: VecDeque::new(),
            setup,
        })
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whose advertisement was heard last; not our own.
    pub fn heard(&self) -> Option<Heard> {
        self.heard
    }

    /// How often each row decided.
    pub fn fired(&self) -> &BTreeMap<u16, u64> {
        &self.fired
    }

    /// The interface has another primary address from now on. An error changes nothing.
    pub fn set_source(&mut self, source: IpAddr) -> Result<(), Unsendable> {
        let setup = Setup { source, ..self.setup.clone() };
        for destination in setup.destinations() {
            setup.advert(1, setup.interval).encode(source, destination, setup.checksum_v4)?;
        }
        self.setup = setup;
        Ok(())
    }

    /// A packet of the advertisement handed out last could not be sent. If that is so for each of its destinations, nobody was told;
    /// if that lasts for the down interval, the address is given up. One peer that cannot be reached changes nothing.
    pub fn send_failed(&mut self) {
        self.failed = self.failed.saturating_add(1);
        if self.failed >= self.setup.peers.len().max(1) {
            self.last_sent = self.sent_before;
        }
    }

    /// A packet was received.
    pub fn packet(&mut self, now: Time, packet: &Packet<'_>) {
        match Advert::decode(packet)
            .and_then(|(advert, form)| self.admit(packet, &advert).map(|()| (advert, form)))
        {
            Ok((advert, form)) => self.advert(now, packet.source, &advert, form),
            Err(reject) => {
                self.counters.rejects.count(reject);
                let ours = super::vrid_of(packet.bytes) == Some(self.setup.vrid);
                if ours && matches!(reject, Reject::Version | Reject::Auth) {
                    self.tell(OTHER_SPEECH, Urgency::Warning, packet.source);
                }
            }
        }
    }

    /// Whether a packet that is in order concerns this router.
    fn admit(&self, packet: &Packet<'_>, advert: &Advert) -> Result<(), Reject> {
        let setup = &self.setup;
        if packet.family != Family::of(setup.source) {
            return Err(Reject::Family);
        }
        if advert.vrid != setup.vrid {
            return Err(Reject::ForeignVrid);
        }
        if packet.source == setup.source {
            return Err(Reject::Reflected);
        }
        let to_group = packet.destination == packet.family.group();
        if to_group != setup.peers.is_empty() {
            return Err(Reject::Destination);
        }
        if !to_group && !setup.peers.contains(&packet.source) {
            return Err(Reject::UnknownPeer);
        }
        if advert.version != setup.version {
            return Err(Reject::Version);
        }
        if advert.password != setup.password {
            return Err(Reject::Auth);
        }
        Ok(())
    }

    fn advert(&mut self, now: Time, source: IpAddr, advert: &Advert, form: Form) {
        self.counters.heard += 1;
        self.counters.heard_zero += u64::from(advert.priority == LEAVES);
        if form.contradicts(self.setup.checksum_v4) {
            self.counters.other_checksum += 1;
            self.tell(OTHER_CHECKSUM, Urgency::Warning, source);
        }
        // The order does not matter, and neither do repetitions.
        let listed: BTreeSet<&IpAddr> = advert.addresses.iter().collect();
        let same = advert.addresses.len() == self.setup.addresses.len()
            && self.setup.addresses.iter().all(|a| listed.contains(a));
        if !same {
            self.counters.other_addresses += 1;
            self.tell(OTHER_ADDRESSES, Urgency::Warning, source);
        }
        self.heard = Some(Heard { source, priority: advert.priority, at: now });
        self.run(now, Event::Advert, Some((source, advert)));
    }

    /// Tells once of each sender; of the first [`MOST_NOTICES`].
    fn tell(&mut self, rule: u16, urgency: Urgency, source: IpAddr) {
        if self.told.len() >= MOST_NOTICES || !self.told.insert((rule, source)) {
            return;
        }
        let sentence = NOTICES.iter().find(|n| n.0 == rule).map_or("", |n| n.1);
        let words = format!("virtual router {}, {source}: {sentence}", self.setup.vrid);
        self.outputs.push_back(Output::Notice(Notice { rule, urgency, words }));
    }

    /// Looks at an event until a row has settled it. Rows that only prepare (late, hushed) clear their own condition.
    fn run(&mut self, now: Time, event: Event, advert: Option<(IpAddr, &Advert)>) {
        for _ in 0..4 {
            let view = self.view(now, event, advert);
            let Some(row) = self.table.iter().find(|row| (row.when)(&view)) else { return };
            let count = self.fired.entry(row.number).or_default();
            *count = count.saturating_add(1);
            let settled = !matches!(row.then, Action::GoBack | Action::Hush);
            self.act(now, row, advert);
            // More than one timer may have run out.
            if settled && (event != Event::Timer || row.then == Action::Nothing) {
                return;
            }
        }
    }

    fn view(&self, now: Time, event: Event, advert: Option<(IpAddr, &Advert)>) -> View {
        let own = self.priority;
        let (source, theirs) = advert.map_or((self.setup.source, LEAVES), |(s, a)| (s, a.priority));
        let sticky = u16::from(theirs) + u16::from(self.setup.stickiness) >= u16::from(own)
            || self.setup.stickiness >= 254;
        let superior = self.superior_since.unwrap_or(now);
        // While it leaves, the priority that it advertises is what others compare with.
        let advertises = self.state == State::Leaving;
        let rank = if advertises { self.advertised } else { own };
        View {
            event,
            state: self.state,
            late: now.since(self.last_sent) > self.own_down_interval(),
            silent: self.silent,
            released: self.released,
            stands: self.stands,
            changed: own != self.advertised,
            owner: own == OWNER,
            zero: theirs == LEAVES,
            beats: theirs > rank || (theirs == rank && source > self.setup.source),
            unsound: theirs != LEAVES && order(theirs) < order(own),
            at_least: theirs >= own,
            sticky,
            delayed: now.since(superior) < self.setup.preempt_delay,
            answered: self.answered.is_some_and(|at| now.since(at) < MIN_INTERVAL),
            down: now >= self.down_at(),
            advert_due: now >= self.next_advert,
            rival_silent: self.rival_until.is_some_and(|until| now >= until),
        }
    }

    fn act(&mut self, now: Time, row: &Rule<View, Action>, advert: Option<(IpAddr, &Advert)>) {
        let rule = row.number;
        match row.then {
            Action::Nothing => {}
            Action::GoBack => {
                self.lose(row, None);
                self.learnt = self.setup.interval;
                self.back_up(now);
            }
            Action::Hush => {
                self.silent = true;
                self.learnt = self.setup.interval;
            }
            Action::HushFor => {
                self.silent = true;
                self.learn(advert);
            }
            Action::Assert => {
                self.rival_until = None;
                self.advertise(now);
            }
            Action::AssertSoon => {
                let soon = self.answered.unwrap_or(now) + MIN_INTERVAL;
                self.next_advert = self.next_advert.min(soon);
            }
            Action::AssertAndAnnounce => {
                self.answered = Some(now);
                let theirs = advert.map_or(self.setup.interval, |(_, a)| a.interval);
                let first = self.rival_until.replace(now + theirs * 4).is_none();
                self.advertise(now);
                self.outputs.push_back(Output::Announce { rule });
                if let Some((source, advert)) = advert.filter(|_| first) {
                    let words = format!(
                        "virtual router {}: {source} advertises priority {} against ours of {}: {}",
                        self.setup.vrid, advert.priority, self.priority, row.sentence
                    );
                    self.outputs.push_back(Output::Notice(Notice { rule, urgency: Urgency::Warning, words }));
                }
            }
            Action::RivalGone => {
                self.rival_until = None;
                self.outputs.push_back(Output::Announce { rule });
            }
            Action::GiveWay => {
                self.lose(row, advert);
                self.learn(advert);
                self.back_up(now);
            }
            Action::Hurry => {
                self.superior_since = None;
                // Never later than before: who repeats its farewell must not put us off.
                if now + self.skew() < self.down_at() {
                    self.waits_since = now;
                    self.hurries = true;
                }
            }
            Action::Heard => {
                self.learn(advert);
                self.back_up(now);
            }
            Action::Delay => {
                let since = self.superior_since.unwrap_or(now);
                self.learn(advert);
                self.back_up(now);
                self.superior_since = Some(since);
            }
            Action::Rise => {
                self.state = State::Active;
                self.counters.became_active += 1;
                self.answered = None;
                self.rival_until = None;
                self.superior_since = None;
                self.advertise(now);
                // Nothing older may count if this first one fails.
                self.sent_before = now;
                self.outputs.push_back(Output::Own { rule, why: row.sentence.to_string(), epoch: None });
            }
            Action::Advertise => self.advertise(now),
            Action::StandBy => {
                self.learnt = self.setup.interval;
                self.back_up(now);
            }
            Action::StandDown => self.state = State::Initialize,
            Action::Leave => {
                self.lose(row, None);
                self.state = State::Leaving;
                self.silent = false;
            }
            Action::Farewell => self.farewell(now),
        }
    }

    /// Writes that the address is not ours any more.
    fn lose(&mut self, row: &Rule<View, Action>, advert: Option<(IpAddr, &Advert)>) {
        self.released = false;
        let mut why = row.sentence.to_string();
        if let Some((source, advert)) = advert {
            why.push_str(&format!(" ({source}, priority {})", advert.priority));
        }
        self.outputs.push_back(Output::Lose { rule: row.number, why });
    }

    /// Backup, with the whole Active_Down time ahead.
    fn back_up(&mut self, now: Time) {
        self.state = State::Backup;
        self.waits_since = now;
        self.hurries = false;
        self.superior_since = None;
    }

    fn learn(&mut self, advert: Option<(IpAddr, &Advert)>) {
        if let Some((_, advert)) = advert {
            self.learnt = advert.interval;
        }
    }

    fn advertise(&mut self, now: Time) {
        if self.state != State::Leaving {
            self.advertised = self.priority;
        }
        self.send(self.advertised, self.setup.interval);
        self.sent_before = self.last_sent;
        self.last_sent = now;
        self.failed = 0;
        self.next_advert = now + self.setup.interval;
    }

    fn send(&mut self, priority: u8, interval: Duration) {
        let advert = self.setup.advert(priority, interval);
        for destination in self.setup.destinations() {
            let source = self.setup.source;
            // `new` has tried it: the priority alone decides nothing.
            if let Ok(bytes) = advert.encode(source, destination, self.setup.checksum_v4) {
                self.counters.sent += 1;
                self.outputs.push_back(Output::Do(Send { source, destination, bytes }));
            }
        }
    }

    /// What the others are told once the address is off this host. A backup waits for its Skew time after priority 0, and that is a
    /// share of the interval that it learnt last: so it is told the shortest one first, unless an heir is on its way. Version 2
    /// learns no interval.
    fn farewell(&mut self, now: Time) {
        if !self.silent {
            if self.leaving == Leaving::ToAnyone && self.setup.version == Version::V3 {
                self.send(self.advertised, MIN_INTERVAL);
            }
            self.send(LEAVES, self.setup.interval);
            self.learnt = self.setup.interval;
        }
        self.silent = false;
        self.back_up(now);
        if !self.stands {
            self.state = State::Initialize;
        }
    }

    /// Skew_Time: (256 - priority) / 256 of the Active one's interval (RFC 9568 section 6.1), in version 2 of a second.
    fn skew(&self) -> Duration {
        self.skew_of(self.learnt)
    }

    fn skew_of(&self, interval: Duration) -> Duration {
        let unit = if self.setup.version == Version::V2 { Duration::from_secs(1) } else { interval };
        unit * (256 - u32::from(self.priority)) / 256
    }

    fn own_down_interval(&self) -> Duration {
        self.setup.interval * 3 + self.skew_of(self.setup.interval)
    }

    /// When Backup's timer ends.
    fn down_at(&self) -> Time {
        let wait = if self.hurries { self.skew() } else { self.learnt * 3 + self.skew() };
        self.waits_since + wait
    }
}

/// The order in which a host's service is, by its priority: bad, barred, good.
fn order(priority: u8) -> u8 {
    priority.min(SCORE_LEAST)
}

impl Ownership for VirtualRouter {
    type Action = Send;

    fn wish(&mut self, now: Time, score: Score) {
        self.stands = score.stands();
        if self.stands {
            self.priority = if self.setup.address_owner { score.0 } else { score.0.min(OWNER - 1) };
        } else if self.state == State::Active {
            self.leaving = Leaving::ToAnyone;
        }
        self.run(now, Event::Wish, None);
    }

    fn leave(&mut self, now: Time, leaving: Leaving) {
        if self.state == State::Active {
            self.leaving = leaving;
        }
        self.run(now, Event::Leave, None);
    }

    fn released(&mut self, now: Time) {
        self.released = true;
        self.run(now, Event::Released, None);
    }

    fn claim(&mut self, now: Time) {
        self.run(now, Event::Claim, None);
    }

    fn handle_timer(&mut self, now: Time) {
        self.run(now, Event::Timer, None);
    }

    fn poll(&mut self) -> Option<Output<Send>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Time {
        match self.state {
            State::Initialize => Time::NEVER,
            // Until the address is off this host it cannot be owned again.
            State::Backup if !self.released => Time::NEVER,
            State::Backup => self.down_at(),
            State::Active => self.next_advert.min(self.rival_until.unwrap_or(Time::NEVER)),
            State::Leaving if self.silent => Time::NEVER,
            State::Leaving => self.next_advert,
        }
    }

    fn owns(&self) -> bool {
        self.state == State::Active
    }

    fn down_interval(&self) -> Duration {
        if self.state == State::Backup { self.learnt * 3 + self.skew() } else { self.own_down_interval() }
    }
}
