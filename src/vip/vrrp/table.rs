//! What a virtual router does with what happens (RFC 9568 section 6.4, with the choices that the sentences state). First match wins;
//! rules 721 to 749.

use crate::policy::safe::table::Rule;

/// The state of a virtual router (RFC 9568 section 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Does not stand.
    Initialize,
    /// Listens to the Active one, or waits for the end of its silence.
    Backup,
    /// Owns the addresses and advertises.
    Active,
    /// Does not own them any more, but still advertises until they are off this host.
    Leaving,
}

impl State {
    /// The word in views.
    pub const fn name(self) -> &'static str {
        match self {
            State::Initialize => "initialize",
            State::Backup => "backup",
            State::Active => "active",
            State::Leaving => "leaving",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An advertisement of this virtual router was received.
    Advert,
    /// A timer may have run out, and everything received before has been handed in.
    Timer,
    /// The host's score is this.
    Wish,
    /// The ownership is to be given up.
    Leave,
    /// This host was named as the heir, and the addresses are off the host that left.
    Claim,
    /// The addresses are off this host.
    Released,
}

/// What the conditions of [`DECISIONS`] look at.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// What happened.
    pub event: Event,
    /// The state before.
    pub state: State,
    /// No advertisement of ours has gone out for longer than our own down interval.
    pub late: bool,
    /// Whoever leaves does so without a word.
    pub silent: bool,
    /// What was lost is off this host.
    pub released: bool,
    /// The score lets the host stand.
    pub stands: bool,
    /// The priority is another one than was last advertised.
    pub changed: bool,
    /// The priority is 255.
    pub owner: bool,
    /// The advertisement has priority 0.
    pub zero: bool,
    /// Its priority is higher than ours, or the same and its source the higher address.
    pub beats: bool,
    /// Its sender is in worse order than we: bad (1), barred (2), good (3 and above).
    pub unsound: bool,
    /// Its priority is at least ours.
    pub at_least: bool,
    /// Its priority and the stickiness are at least ours.
    pub sticky: bool,
    /// `preempt_delay` has not passed since we were first found the better one.
    pub delayed: bool,
    /// We have answered a lower advertisement less than the shortest interval ago.
    pub answered: bool,
    /// The Active_Down timer has run out, or the Skew timer in its place.
    pub down: bool,
    /// It is time for the next advertisement.
    pub advert_due: bool,
    /// A rival that was heard has been silent for its own down interval.
    pub rival_silent: bool,
}

/// What a row of [`DECISIONS`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// From Active to Backup; then the event is looked at again.
    GoBack,
    /// Leave without a word; then the event is looked at again.
    Hush,
    /// Advertise at once.
    Assert,
    /// Advertise once the shortest interval since the last answer has passed: who has risen since then has not heard that one.
    AssertSoon,
    /// Advertise at once, and announce the addresses.
    AssertAndAnnounce,
    /// Announce the addresses; the rival is forgotten.
    RivalGone,
    /// From Active to Backup, for a better one.
    GiveWay,
    /// Leave without a word, for there is a better one.
    HushFor,
    /// The Active one may be replaced after the Skew time.
    Hurry,
    /// The Active one was heard: wait anew.
    Heard,
    /// The same; the time of `preempt_delay` runs.
    Delay,
    /// Become Active.
    Rise,
    /// Advertise, for it is time.
    Advertise,
    /// Become Backup.
    StandBy,
    /// Stand no more.
    StandDown,
    /// Give the ownership up.
    Leave,
    /// Say farewell, and stand by or stand no more.
    Farewell,
}

macro_rules! table {
    ($(#[$meta:meta])* $name:ident { $( $number:literal, $condition:literal, $when:expr, $next:expr, $sentence:literal; )+ }) => {
        $(#[$meta])*
        pub static $name: &[Rule<View, Action>] = &[$( Rule {
            number: $number, condition: $condition, when: $when, then: $next, sentence: $sentence,
        } ),+];
    };
}

use State::{Active, Backup, Initialize};

table! {
    /// What becomes of a virtual router.
    DECISIONS {
    721, "Active, and nothing was advertised for our own down interval", |v| v.state == Active && v.late,
        Action::GoBack, "no advertisement of this host went out for its whole down interval, so another may own the address: it gives it up and listens first";
    722, "leaving, and nothing was advertised for our own down interval", |v| v.state == State::Leaving && v.late && !v.silent,
        Action::Hush, "no advertisement of this host went out for its whole down interval while it left, so another may own the address: it leaves without a word";
    724, "advert of priority 0, Active", |v| v.advert() && v.state == Active && v.zero,
        Action::Assert, "another host leaves: this one tells those who would wait for its place that the address is owned";
    725, "better advert, Active", |v| v.advert() && v.state == Active && v.beats,
        Action::GiveWay, "another host advertises the address with a higher priority, or with the same and the higher address: this one gives way";
    726, "lower advert, Active, answered less than 10 ms ago", |v| v.advert() && v.state == Active && v.answered,
        Action::AssertSoon, "a lower advertisement has just been answered: one answer in 10 ms is enough, and the next one is sent then";
    727, "lower advert, Active", |v| v.advert() && v.state == Active,
        Action::AssertAndAnnounce, "another host advertises the address with less right: this one advertises and announces again";
    728, "better advert, leaving", |v| v.advert() && v.state == State::Leaving && v.beats && !v.zero,
        Action::HushFor, "another host owns the address before this one has left: it leaves without a word";
    730, "advert of priority 0, Backup", |v| v.advert() && v.state == Backup && v.zero,
        Action::Hurry, "the owner leaves: this host waits only for its turn";
    731, "advert of a host in worse order, Backup", |v| v.advert() && v.state == Backup && v.unsound,
        Action::Hurry, "the owner says that its service is not in order, and this host's is in better order: it waits only for its turn, stickiness or not";
    732, "advert of at least our priority, Backup", |v| v.advert() && v.state == Backup && v.at_least,
        Action::Heard, "the owner was heard";
    733, "lower advert within the stickiness, Backup", |v| v.advert() && v.state == Backup && v.sticky,
        Action::Heard, "the owner was heard: its priority is lower, but not by more than the stickiness";
    734, "lower advert, `preempt_delay` not over, Backup", |v| v.advert() && v.state == Backup && v.delayed,
        Action::Delay, "the owner was heard: its priority is lower, but preempt_delay is not over";
    735, "lower advert, Backup", |v| v.advert() && v.state == Backup,
        Action::Nothing, "the owner's priority is lower: this host takes over when its timer ends";
    736, "Active_Down over, Backup", |v| v.timer() && v.state == Backup && v.down && v.released,
        Action::Rise, "nobody with more right has advertised the address for the down interval: this host takes it over";
    737, "rival silent, Active", |v| v.timer() && v.state == Active && v.rival_silent,
        Action::RivalGone, "a rival has fallen silent: this host announces the address again, for the rival's announcement may have been the last";
    738, "advertisement due, Active", |v| v.timer() && v.state == Active && v.advert_due,
        Action::Advertise, "it is time to advertise";
    739, "advertisement due, leaving", |v| v.timer() && v.state == State::Leaving && v.advert_due && !v.silent,
        Action::Advertise, "the address is not off this host yet: it goes on advertising, so that nobody comes in too early";
    741, "priority 255 in Initialize", |v| v.event == Event::Wish && v.state == Initialize && v.stands && v.owner && v.released,
        Action::Rise, "the configuration says that the address is this host's own (priority 255): it owns it at once";
    742, "stands, Initialize", |v| v.event == Event::Wish && v.state == Initialize && v.stands,
        Action::StandBy, "this host stands from now on, and listens first";
    743, "stands no more, Active", |v| v.event == Event::Wish && v.state == Active && !v.stands,
        Action::Leave, "this host does not stand any more: it leaves the address to others";
    744, "stands no more, Backup", |v| v.event == Event::Wish && v.state == Backup && !v.stands,
        Action::StandDown, "this host does not stand any more";
    745, "another priority, Active", |v| v.event == Event::Wish && v.state == Active && v.changed,
        Action::Assert, "the priority of the owner is another one: it tells so at once";
    746, "told to leave, Active", |v| v.event == Event::Leave && v.state == Active,
        Action::Leave, "this host was told to give the address up";
    747, "named as the heir, Backup", |v| v.event == Event::Claim && v.state == Backup && v.released,
        Action::Rise, "the owner left and named this host as its heir: it takes over at once";
    748, "address off this host, leaving", |v| v.event == Event::Released && v.state == State::Leaving,
        Action::Farewell, "the address is off this host: the others are told";
    749, "otherwise", |_| true,
        Action::Nothing, "nothing follows";
    }
}

impl View {
    fn advert(&self) -> bool {
        self.event == Event::Advert
    }

    fn timer(&self) -> bool {
        self.event == Event::Timer
    }
}

/// Number of the notice that a peer's checksum has the other form.
pub const OTHER_CHECKSUM: u16 = 723;
/// Number of the notice that a peer advertises other addresses.
pub const OTHER_ADDRESSES: u16 = 729;
/// Number of the notice that somebody speaks of our virtual router in another version or with another password.
pub const OTHER_SPEECH: u16 = 740;

/// Rows that only tell, with their sentences.
pub const NOTICES: [(u16, &str); 3] = [
    (
        OTHER_CHECKSUM,
        "a peer sends the other form of the checksum: it is heard, but may drop what this host sends; set checksum_v4 alike on all hosts",
    ),
    (
        OTHER_ADDRESSES,
        "a peer advertises other addresses for this virtual router: it is heard, but keepalived would drop what this host sends if their number differs",
    ),
    (
        OTHER_SPEECH,
        "somebody advertises this virtual router in another version or with another password, and is not heard: both may own the address; set version and password alike on all hosts",
    ),
];
