//! The rows of ownership by a lease: 751 to 769. First match wins in each table; a number never changes its meaning.

/// One row.
pub struct Row<V, T> {
    /// Its number.
    pub number: u16,
    /// The condition in words.
    pub condition: &'static str,
    /// The condition.
    pub when: fn(&V) -> bool,
    /// What follows.
    pub then: T,
    /// The reason, for people.
    pub sentence: &'static str,
}

/// What an owner looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerView {
    /// The last wish was "out".
    pub out: bool,
    /// It was told to leave.
    pub leave: bool,
    /// The store said that somebody else holds the key.
    pub other_holds: bool,
    /// The store said that there is no such lease.
    pub lease_gone: bool,
    /// The store said that nobody holds the key.
    pub key_gone: bool,
    /// It owns without a valid lease already, because it was told to ignore that.
    pub detached: bool,
    /// The validity has ended.
    pub over: bool,
    /// `no_quorum = "ignore"`.
    pub ignore: bool,
}

/// What an owner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerAction {
    /// It loses the address.
    Lose,
    /// It goes on without a valid lease, with an alarm.
    Detach,
    /// It goes on and claims the key anew.
    Reclaim,
    /// It goes on.
    Keep,
}

/// What one who waits looks at, when the store has said who holds the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RivalView {
    /// Nobody holds it.
    pub free: bool,
    /// An owner that left named this host.
    pub heir: bool,
    /// This host has just left itself, and others have the first choice.
    pub holding_back: bool,
    /// It is bound to the lease that this host has now.
    pub own_lease: bool,
    /// It was put by this very life of this host.
    pub own_life: bool,
    /// It was put on this host, in this network namespace, since the machine's start.
    pub own_place: bool,
    /// It bears this host's name.
    pub own_name: bool,
}

/// What one who waits does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RivalAction {
    /// It claims now.
    Claim,
    /// It claims after the pause that goes with its score.
    ClaimByRank,
    /// It owns already.
    Own,
    /// It ends the lease that the key hangs on.
    Revoke,
    /// It puts the key anew, if nobody else has meanwhile.
    TakeOver,
    /// It looks again in a moment.
    Again,
    /// It looks again when it is time.
    Wait,
}

macro_rules! table {
    ($(#[$meta:meta])* $name:ident: $view:ty, $action:ty { $( $number:literal, $condition:literal, $when:expr, $next:expr, $sentence:literal; )+ }) => {
        $(#[$meta])*
        pub static $name: &[Row<$view, $action>] = &[$( Row {
            number: $number, condition: $condition, when: $when, then: $next, sentence: $sentence,
        } ),+];
    };
}

table! {
    /// What becomes of an ownership.
    OWNER: OwnerView, OwnerAction {
    751, "owner, the wish is \"out\"", |v| v.out,
        OwnerAction::Lose, "this host is to own nothing: it gives the lease back";
    752, "owner, told to leave", |v| v.leave,
        OwnerAction::Lose, "this host leaves: it gives the lease back once the address is gone";
    753, "owner, the store names another", |v| v.other_holds,
        OwnerAction::Lose, "the store says that another host holds the key";
    754, "owner without a valid lease, which it ignores; the store answers again and the lease or the key is gone",
        |v| v.detached && (v.lease_gone || v.key_gone),
        OwnerAction::Reclaim, "the store is back and nobody holds the key: the owner that ignored its absence takes a new lease";
    755, "owner, the store knows no such lease", |v| v.lease_gone,
        OwnerAction::Lose, "the store does not know the lease any more: it ran out there or was revoked by hand";
    756, "owner, the key is gone although the lease lives", |v| v.key_gone,
        OwnerAction::Lose, "the key was removed by hand: others may take it";
    757, "owner, the validity has ended, to be ignored", |v| v.over && v.ignore,
        OwnerAction::Detach, "the lease could not be renewed in time; no_quorum = \"ignore\" keeps the address here, and another host may have it, too";
    758, "owner, the validity has ended", |v| v.over,
        OwnerAction::Lose, "the lease could not be renewed in time: the address goes before the store gives it to another";
    759, "owner, otherwise", |_| true,
        OwnerAction::Keep, "the lease is valid";
    }
}

/// The row of notices about the store: it cannot be asked, or can again.
pub const STORE: u16 = 760;

table! {
    /// What follows from what the store said of the key.
    RIVAL: RivalView, RivalAction {
    761, "free, and the owner that left named this host", |v| v.free && v.heir,
        RivalAction::Claim, "the owner left and named this host";
    762, "free, but this host has just left itself", |v| v.free && v.holding_back,
        RivalAction::Again, "nobody holds the key, but this host has just left: others come first";
    763, "free", |v| v.free,
        RivalAction::ClaimByRank, "nobody holds the key";
    764, "held by the lease of this host", |v| v.own_lease,
        RivalAction::Own, "the key is bound to this host's lease: a claim went through whose answer was lost";
    765, "held by a lease that this process had before", |v| v.own_life,
        RivalAction::Revoke, "the key hangs on a lease that this process gave up: it is ended";
    766, "held by an earlier process in the same place", |v| v.own_place,
        RivalAction::TakeOver, "the key was left by an earlier process in this very place: this one takes it over";
    767, "held under this host's name, but elsewhere or before its last start", |v| v.own_name,
        RivalAction::Wait, "the key bears this host's name, but was put elsewhere or before its last start: it must run out first";
    768, "held by another, and this host was named heir", |v| v.heir,
        RivalAction::Again, "the owner that named this host still holds the key: its lease is about to end";
    769, "held by another", |_| true,
        RivalAction::Wait, "another host holds the key";
    }
}

/// The first row that matches; the last one always does.
pub fn first<V, T>(table: &'static [Row<V, T>], view: &V) -> Option<&'static Row<V, T>> {
    table.iter().find(|row| (row.when)(view))
}
