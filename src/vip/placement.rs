//! Where an address belongs: this host's score, and whether an owner keeps it. Two tables; first match wins.
//!
//! Words of Pacemaker, in our sense: `location` is the score of a host in good order; `stickiness` what must be won by moving back; `standby` takes a
//! host out; `move` gives one the highest score until `clear`; `migration-threshold` and `failure-timeout` bar a host after failures.

use super::ownership::{SCORE_BAD, SCORE_BARRED, SCORE_OUT, SCORE_WANTED, Score};
use crate::config::LastHost;

/// One row: number, condition in words, the condition, what follows, one sentence.
#[derive(Clone, Copy, Debug)]
pub struct Row<V, A> {
    /// Never changes its meaning.
    pub number: u16,
    /// The condition in words.
    pub condition: &'static str,
    /// The condition.
    pub when: fn(&V) -> bool,
    /// What follows.
    pub then: A,
    /// One sentence for people.
    pub sentence: &'static str,
}

/// What the rows of [`SCORE`] look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreView {
    /// The agent ends.
    pub stopping: bool,
    /// The engine that judges the service has failed.
    pub engine_failed: bool,
    /// The interface is there, up, and has a carrier.
    pub link: bool,
    /// An operator took the host out.
    pub standby: bool,
    /// The kernel refused the address, or `on_claim` failed and that counts, within `failure_timeout`.
    pub address_failed: bool,
    /// The service is in order, or its failures are still tolerated.
    pub good: bool,
    /// It was not, within `failure_timeout`, as often as `migration_threshold` says.
    pub barred: bool,
    /// What happens while nobody is in order.
    pub last_host: LastHost,
    /// Priority 255 by configuration.
    pub address_owner: bool,
    /// An operator moved the address here.
    pub wanted: bool,
}

/// What a row of [`SCORE`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// That score.
    Score(u8),
    /// What `location` says.
    Location,
}

macro_rules! rows {
    ($(#[$meta:meta])* $name:ident: $view:ty => $action:ty { $( $number:literal, $condition:literal, $when:expr, $then:expr, $sentence:literal; )+ }) => {
        $(#[$meta])*
        pub static $name: &[Row<$view, $action>] = &[$( Row {
            number: $number, condition: $condition, when: $when, then: $then, sentence: $sentence,
        } ),+];
    };
}

rows! {
    /// This host's score.
    SCORE: ScoreView => Given {
    701, "the agent ends", |v| v.stopping,
        Given::Score(SCORE_OUT), "the agent ends: the address leaves this host";
    702, "the engine has failed", |v| v.engine_failed,
        Given::Score(SCORE_OUT), "the engine that judges the service has failed: nothing is known of it, and the address leaves this host";
    703, "no usable interface", |v| !v.link,
        Given::Score(SCORE_OUT), "the interface is gone or down: nobody could reach the address here";
    704, "standby", |v| v.standby,
        Given::Score(SCORE_OUT), "an operator set this host to standby";
    705, "the address could not be had", |v| v.address_failed,
        Given::Score(SCORE_OUT), "the address could not be had on this host: it is tried again after failure_timeout, or after `clear`";
    706, "service not in order, last_host = release", |v| !v.good && v.last_host == LastHost::Release,
        Given::Score(SCORE_OUT), "the service on this host is not in order";
    707, "service not in order", |v| !v.good,
        Given::Score(SCORE_BAD), "the service on this host is not in order: it has the address only while nobody better is there";
    708, "barred, last_host = release", |v| v.barred && v.last_host == LastHost::Release,
        Given::Score(SCORE_OUT), "the service on this host failed lately: it stays away until failure_timeout has passed, or until `clear`";
    709, "barred", |v| v.barred,
        Given::Score(SCORE_BARRED), "the service on this host failed lately: it has the address only while nobody better is there, until failure_timeout has passed, or `clear`";
    710, "owner of the address by configuration", |v| v.address_owner,
        Given::Score(255), "the address belongs to this host by configuration";
    711, "an operator moved the address here", |v| v.wanted,
        Given::Score(SCORE_WANTED), "an operator moved the address here";
    712, "otherwise", |_| true,
        Given::Location, "the service on this host is in order";
    }
}

/// What the rows of [`PLACE`] look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceView {
    /// This host owns the address.
    pub owner: bool,
    /// This host's score.
    pub score: Score,
    /// The score of the best of the other hosts that were heard and stand.
    pub heir: Option<Score>,
    /// Other hosts may exist of which nothing is known: they were not heard, or there is no peer channel.
    pub unheard: bool,
    /// The address was let go for whoever comes since the service failed, and came back.
    pub tried: bool,
    /// The best of the others has been better by more than `stickiness` for `preempt_delay`.
    pub outdone: bool,
}

/// What a row of [`PLACE`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing moves.
    Keep,
    /// The address goes to the heir.
    ToHeir,
    /// The address goes to whoever comes.
    ToAnyone,
    /// Not the owner: the machine of ownership decides when this host's turn comes.
    StandBy,
}

rows! {
    /// Whether an owner keeps the address.
    PLACE: PlaceView => Place {
    713, "not the owner", |v| !v.owner,
        Place::StandBy, "this host stands by";
    714, "owner, out, another host stands", |v| !v.score.stands() && v.heir.is_some(),
        Place::ToHeir, "this host must not have the address: it goes to the best of the others";
    715, "owner, out, nobody is known to stand", |v| !v.score.stands(),
        Place::ToAnyone, "this host must not have the address: it is let go for whoever comes";
    716, "owner, not in good order, another host is better", |v| !v.score.is_good() && v.heir.is_some_and(|h| h > v.score),
        Place::ToHeir, "the service on this host is not in order, and another host is better: the address goes there";
    717, "owner, service bad, nothing is known of others, not tried yet", |v| v.score.0 == SCORE_BAD && v.unheard && !v.tried,
        Place::ToAnyone, "the service on this host is not in order, and others may be better: the address is let go for whoever comes";
    718, "owner, not in good order", |v| !v.score.is_good(),
        Place::Keep, "the service on this host is not in order, but nobody is better: the address stays";
    719, "owner, an operator moved the address to a host that stands", |v| v.score.0 < SCORE_WANTED && v.heir.is_some_and(|h| h.0 == SCORE_WANTED),
        Place::ToHeir, "an operator moved the address to another host";
    720, "owner, outdone", |v| v.outdone,
        Place::ToHeir, "another host is better by more than the stickiness: the address goes back there";
    750, "owner otherwise", |_| true,
        Place::Keep, "the address stays";
    }
}

/// The first row that applies; the last one of each table always does.
pub fn first<'t, V, A>(table: &'t [Row<V, A>], view: &V) -> Option<&'t Row<V, A>> {
    table.iter().find(|row| (row.when)(view))
}
