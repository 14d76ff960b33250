//! When to look at which node.

use super::input::NodeRef;
use super::outbox::Outbox;
use super::pool_machine::{PoolMachine, Running};
use super::time::{Duration, Time};
use crate::config::ProbeMode;
use crate::pool::{Judge, State};
use crate::probe::Class;

/// The longest time that a failed node is left alone, unless `interval` is longer.
pub const BACK_OFF: Duration = Duration::from_secs(5);

/// How a due probe is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Due {
    at: Time,
    /// A doubt is being settled: a fresh login proves that clients can connect.
    fresh: bool,
}

impl PoolMachine {
    pub(super) fn probes(&self) -> bool {
        self.running != Running::No && self.config.probe_mode == ProbeMode::Builtin
    }

    /// When the pool wants a timer at the latest.
    pub fn next_timer(&self, now: Time) -> Option<Time> {
        let probe = if !self.probes() {
            None
        } else if matches!(self.judge, Judge::Mpp { .. }) {
            self.next_cycle(now)
        } else {
            (0..self.nodes.len()).filter_map(|i| self.due(i)).map(|d| d.at).min()
        };
        let waiting = self.gate.waits_until(now);
        let held_down = self.held_down_until().filter(|&at| at > now);
        let held = [self.doubt_timer(now), self.last_resort_timer(now), held_down, self.orders_timer()]
            .into_iter()
            .flatten()
            .min();
        let selection = self.selection.deadline(now);
        [probe, self.gate.deadline(), waiting, held, selection].into_iter().flatten().min()
    }

    /// Asks for every probe that is due.
    pub fn ask_for_probes(&mut self, now: Time, out: &mut Outbox) {
        if !self.probes() {
            return;
        }
        if matches!(self.judge, Judge::Mpp { .. }) {
            if self.next_cycle(now).is_some_and(|at| at <= now) {
                self.cycle_started = Some(now);
                let nodes: Vec<usize> =
                    (0..self.nodes.len()).filter(|&i| !self.judge.is_removed(i)).collect();
                // A cycle closes with its last probe.
                self.cycle_open = !nodes.is_empty();
                for node in nodes {
                    self.ask(now, node, false, out);
                }
            }
            return;
        }
        for node in 0..self.nodes.len() {
            if let Some(due) = self.due(node).filter(|d| d.at <= now) {
                self.ask(now, node, due.fresh, out);
            }
        }
    }

    fn ask(&mut self, now: Time, node: usize, fresh: bool, out: &mut Outbox) {
        let interval = u64::try_from(self.nodes[node].config.probe.interval.as_nanos()).unwrap_or(u64::MAX);
        // After its first look a node falls out of step with all others that were looked at in the same moment.
        let first = self.nodes[node].schedule.last_started.is_none();
        let jitter = Duration::from_nanos(out.random(if first { interval } else { interval / 10 }));
        // A kept connection hides what a new client would meet: a changed password, no connection free.
        let login_interval = self.nodes[node].config.probe.login_interval;
        let last = self.nodes[node].schedule.last_login;
        let early = self.nodes[node].schedule.login_jitter;
        let fresh = fresh || last.is_none_or(|at| now.since(at) + early >= login_interval);
        let range = u64::try_from(login_interval.as_nanos()).unwrap_or(u64::MAX);
        let login_jitter = out.random(if last.is_none() { range } else { range / 10 });
        let probe = out.probe(NodeRef { pool: self.index, node }, fresh);
        let schedule = &mut self.nodes[node].schedule;
        if fresh {
            schedule.last_login = Some(now);
            schedule.login_jitter = Duration::from_nanos(login_jitter);
        }
        schedule.in_flight = Some(probe);
        schedule.last_started = Some(now);
        schedule.hints = if schedule.hint { schedule.hints.saturating_add(1) } else { 0 };
        schedule.hint = false;
        schedule.reported = false;
        schedule.jitter = jitter;
    }

    /// `mpp`: cycles keep the original's even pace, whatever happens in between.
    fn next_cycle(&self, now: Time) -> Option<Time> {
        if self.cycle_open {
            return None;
        }
        let interval = self.nodes.iter().map(|n| n.config.probe.interval).min()?;
        match (self.running, self.cycle_started) {
            (Running::Once(since), Some(started)) if started >= since => None,
            (_, None) | (Running::Once(_), _) => Some(now),
            (_, Some(started)) => Some(started + interval),
        }
    }

    /// `safe`: when a node is due, `None` while a probe is under way or none is wanted.
    fn due(&self, node: usize) -> Option<Due> {
        let n = &self.nodes[node];
        if n.schedule.in_flight.is_some() || self.judge.is_removed(node) {
            return None;
        }
        let Some(last) = n.schedule.last_started else { return Some(Due { at: Time(0), fresh: false }) };
        let doubtful = self.in_question(node);
        if doubtful {
            return Some(Due { at: last + n.config.probe.confirm_interval, fresh: true });
        }
        if self.proving(node) {
            let at = self.proves_at(node, last + n.config.probe.confirm_interval)?;
            return Some(Due { at, fresh: false });
        }
        if n.schedule.hint {
            // A server that closes every connection after its answer must not be logged in to without end.
            let probe = &n.config.probe;
            let pause = probe.confirm_interval.saturating_mul(1 << n.schedule.hints.min(16));
            return Some(Due { at: last + pause.min(probe.interval), fresh: false });
        }
        if n.schedule.reported {
            // What new clients meet shows at a login. Reports may come for ever, so logins keep the interval's pace.
            let at = last + n.config.probe.confirm_interval;
            let login = n.schedule.last_login.map(|login| login + n.config.probe.interval);
            return Some(Due { at, fresh: login.is_none_or(|login| login <= at) });
        }
        match self.running {
            Running::Once(since) if last >= since => None,
            Running::Once(since) => Some(Due { at: since, fresh: false }),
            _ => {
                let failed = self.judge.state(node).is_failed();
                let back_off = if failed { n.schedule.back_off } else { Duration::ZERO };
                let pause = n.config.probe.interval.max(back_off);
                Some(Due { at: last + pause.saturating_sub(n.schedule.jitter), fresh: false })
            }
        }
    }

    /// A failed node is looked at ever more slowly, until it is good once or something tells of it.
    pub(super) fn back_off(&mut self, node: usize, class: Class, good: bool) {
        let failed = self.judge.state(node).is_failed();
        let n = &mut self.nodes[node];
        let pause = &mut n.schedule.back_off;
        *pause = match class {
            Class::Blind => *pause,
            _ if good || !failed => Duration::ZERO,
            // A member that answers may be the group's next choice at any time.
            Class::Ok | Class::Replication if self.following.is_some() => Duration::ZERO,
            _ => (n.config.probe.interval.max(*pause) * 2).min(BACK_OFF),
        };
    }

    /// A host could not reach the node: look early. What has failed already is not worth a look.
    pub(super) fn reported(&mut self, node: usize) {
        if node < self.nodes.len() && !self.judge.state(node).is_failed() {
            self.nodes[node].schedule.reported = true;
        }
    }

    /// Something tells that it is worth to look at the node: a lost connection.
    pub(super) fn hint(&mut self, node: usize) {
        if let Some(n) = self.nodes.get_mut(node) {
            n.schedule.hint = true;
            n.schedule.back_off = Duration::ZERO;
        }
    }

    /// Whether a decision waits for this node: it is in doubt itself, may take over, or may be the first ACTIVE.
    pub(super) fn in_question(&self, node: usize) -> bool {
        let Judge::Safe { model, settings, .. } = &self.judge else { return false };
        if self.cut_off {
            return false;
        }
        let member = &model.members[node];
        let failed =
            model.active().is_some_and(|a| model.members[a].ladder.is_failed(settings.fall, settings.rise));
        match member.state {
            State::Standby | State::Unknown if self.is_to_be_asked(node) => true,
            State::Active => model.in_doubt() && !failed,
            // After the ACTIVE node's fall each stand-in is still looked at once, however that ends.
            State::Standby if failed => model.in_doubt() && !self.seen_since_doubt(node),
            State::Standby => {
                let seen = member.seen.is_some_and(|e| e.fresh && e.is_good_standby());
                model.in_doubt() && (!seen || self.owes_hearing(node))
            }
            State::Unknown => model.active().is_none() && u32::from(member.tries) < settings.fall.min(255),
            // The alarm is to say whether `recover` would help.
            State::FailedOnline | State::FailedOffline => {
                failed && member.held && model.in_doubt() && !self.seen_since_doubt(node)
            }
        }
    }

    /// Whether a probe of the node has ended that began after the ACTIVE node's first bad observation.
    fn seen_since_doubt(&self, node: usize) -> bool {
        let last = self.nodes[node].last.as_ref();
        last.zip(self.doubt_since).is_some_and(|(o, since)| o.started >= since)
    }

    /// Whether a stand-in still has to be looked at before it is certain that nobody may take over.
    pub(super) fn awaits_stand_in(&self) -> bool {
        let stand_in = |i: &usize| Some(*i) != self.judge.active() && !self.judge.is_removed(*i);
        let unseen = |i: usize| self.judge.active().is_none() && self.nodes[i].last.is_none();
        self.probes() && (0..self.nodes.len()).filter(stand_in).any(|i| self.in_question(i) || unseen(i))
    }

    /// Whether a hand-over waits for this node's proof.
    fn proving(&self, node: usize) -> bool {
        self.heir().is_some_and(|h| h == node || self.judge.active() == Some(node))
    }

    /// The two sides of a hand-over are looked at in turn: only what was seen of the heir after the ACTIVE node had
    /// answered can show that it has all that the other had, however fast either of them answers.
    fn proves_at(&self, node: usize, at: Time) -> Option<Time> {
        let (active, heir) = (self.judge.active()?, self.heir()?);
        let since = self.gate.since()?;
        let had = self.nodes[active].last.as_ref().filter(|o| o.started >= since).map(|o| o.ended);
        let compared =
            had.is_some_and(|ended| self.nodes[heir].last.as_ref().is_some_and(|o| o.started >= ended));
        match had {
            Some(ended) if node == heir && !compared => Some(at.max(ended)),
            Some(_) if node != heir && compared => Some(at),
            None if node != heir => Some(at),
            _ => None,
        }
    }

    /// Whether one cycle with its burst has come to its end.
    pub fn is_settled(&self) -> bool {
        let Running::Once(since) = self.running else {
            return !self.cycle_open && !(0..self.nodes.len()).any(|i| self.in_question(i));
        };
        let in_flight = self.nodes.iter().any(|n| n.schedule.in_flight.is_some());
        let open = match self.judge {
            Judge::Mpp { .. } => self.cycle_open || self.cycle_started.is_none_or(|s| s < since),
            Judge::Safe { .. } => {
                (0..self.nodes.len()).any(|i| self.due(i).is_some()) || self.heir().is_some()
            }
        };
        !in_flight && !open
    }
}
