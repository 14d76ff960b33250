//! When an owner announces its address: several times after a claim, for a switch may be slow to forward and one frame may get lost; then
//! now and again; and while a rival is heard, and once more when it falls silent.

use crate::engine::time::{Duration, Time};

/// After a claim, counted from it; the first announcement is the claim's own.
const AFTER_CLAIM: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];

/// While a rival is heard, at most so often: two hosts that answer each other must not fill the network (RFC 5227 section 2.4 waits 10 s,
/// and gives the address up; an owner by election does not).
const AGAINST_RIVAL: Duration = Duration::from_millis(500);

/// A rival that was not heard for so long is silent.
const SILENT: Duration = Duration::from_secs(1);

/// Why an announcement is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// By the schedule.
    Schedule,
    /// A rival fell silent.
    RivalSilent,
}

/// The schedule of one owner.
#[derive(Clone, Debug, Default)]
pub struct Announcements {
    claimed: Option<Time>,
    /// How many of [`AFTER_CLAIM`] are done.
    done: usize,
    last: Time,
    rival: Option<Time>,
}

impl Announcements {
    /// The address was added and announced just now.
    pub fn claimed(&mut self, now: Time) {
        *self = Announcements { claimed: Some(now), done: 0, last: now, rival: None };
    }

    /// The address leaves.
    pub fn ended(&mut self) {
        *self = Announcements::default();
    }

    /// A rival was heard. Whether it is a new one, and whether to announce at once.
    pub fn rival(&mut self, now: Time) -> (bool, bool) {
        if self.claimed.is_none() {
            return (false, false);
        }
        let new = self.rival.is_none();
        self.rival = Some(now);
        let at_once = now.since(self.last) >= AGAINST_RIVAL || new;
        if at_once {
            self.last = now;
        }
        (new, at_once)
    }

    /// Announced out of turn.
    pub fn announced(&mut self, now: Time) {
        self.last = now;
    }

    /// When the next one is due. `interval` of zero: only those after the claim.
    pub fn due(&self, interval: Duration) -> Time {
        let Some(claimed) = self.claimed else { return Time::NEVER };
        let next = match AFTER_CLAIM.get(self.done) {
            Some(after) => claimed + *after,
            None if interval.is_zero() => Time::NEVER,
            None => self.last + interval,
        };
        self.rival.map_or(next, |heard| next.min(heard + SILENT))
    }

    /// Takes what is due at `now`.
    pub fn take(&mut self, now: Time, interval: Duration) -> Option<Due> {
        if self.due(interval) > now {
            return None;
        }
        self.last = now;
        if self.rival.is_some_and(|heard| heard + SILENT <= now) {
            self.rival = None;
            return Some(Due::RivalSilent);
        }
        if let Some(claimed) = self.claimed {
            // A late turn makes up for none that it missed.
            while AFTER_CLAIM.get(self.done).is_some_and(|after| claimed + *after <= now) {
                self.done += 1;
            }
        }
        Some(Due::Schedule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const AT: fn(u64) -> Time = Time::from_millis;

    #[test]
    fn several_after_a_claim_then_by_interval() {
        let mut a = Announcements::default();
        assert_eq!(a.due(MINUTE), Time::NEVER);
        a.claimed(AT(1000));
        for at in [1050, 1250, 2000, 4000, 9000] {
            assert_eq!(a.due(MINUTE), AT(at));
            assert_eq!(a.take(AT(at - 1), MINUTE), None);
            assert_eq!(a.take(AT(at), MINUTE), Some(Due::Schedule));
        }
        assert_eq!(a.due(MINUTE), AT(69_000));
        assert_eq!(a.due(Duration::ZERO), Time::NEVER);
        a.ended();
        assert_eq!(a.due(MINUTE), Time::NEVER);
    }

    #[test]
    fn a_rival_is_answered_but_not_in_a_storm_and_once_more_when_silent() {
        let mut a = Announcements::default();
        assert_eq!(a.rival(AT(1)), (false, false), "nobody to defend");
        a.claimed(AT(0));
        a.take(AT(20_000), MINUTE);
        assert_eq!(a.rival(AT(20_100)), (true, true));
        assert_eq!(a.rival(AT(20_150)), (false, false));
        assert_eq!(a.rival(AT(20_700)), (false, true));
        assert_eq!(a.due(MINUTE), AT(21_700));
        assert_eq!(a.take(AT(21_700), MINUTE), Some(Due::RivalSilent));
        assert_eq!(a.due(MINUTE), AT(81_700));
    }
}
