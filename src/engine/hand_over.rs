//! The gate of a planned hand-over: the heir must have applied all that the ACTIVE node had when routing paused.

use super::time::{Duration, Time};
use crate::pool::Node;
use crate::probe::{Class, ThreadState};

/// The first waiting time after a hand-over that was given up; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(10);
/// The longest waiting time.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// State of the gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandOverGate {
    /// When routing paused, and until when it may.
    open: Option<(Time, Time)>,
    /// Not before this time may another one begin.
    not_before: Time,
    /// The present waiting time; zero before the first.
    retry: Duration,
}

/// The two nodes of a hand-over.
pub struct GateView<'a> {
    /// Who has the role.
    pub active: &'a Node,
    /// Who is to get it.
    pub heir: &'a Node,
    /// Neither holds anything that the other could lack.
    pub stateless: bool,
}

impl HandOverGate {
    /// Whether no waiting time forbids a hand-over.
    pub fn is_due(&self, now: Time) -> bool {
        now >= self.not_before
    }

    /// Routing pauses now, for at most `deadline`.
    pub fn begin(&mut self, now: Time, deadline: Duration) {
        self.open = Some((now, now + deadline));
    }

    /// The role has moved.
    pub fn complete(&mut self) {
        *self = HandOverGate::default();
    }

    /// Nothing moved; the next attempt waits.
    pub fn abandon(&mut self, now: Time) {
        self.open = None;
        self.retry = if self.retry.is_zero() { FIRST_RETRY } else { (self.retry * 2).min(LAST_RETRY) };
        self.not_before = now + self.retry;
    }

    /// The hand-over is no more, for one of its nodes was taken out: nothing waits.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// An operator asks: no waiting time holds.
    pub fn forget_waiting(&mut self) {
        self.not_before = Time(0);
        self.retry = Duration::ZERO;
    }

    /// When the pause began.
    pub fn since(&self) -> Option<Time> {
        self.open.map(|(since, _)| since)
    }

    /// When the pause must end.
    pub fn deadline(&self) -> Option<Time> {
        self.open.map(|(_, until)| until)
    }

    /// When a hand-over may begin that has to wait.
    pub fn waits_until(&self, now: Time) -> Option<Time> {
        Some(self.not_before).filter(|&t| t > now)
    }

    /// Whether what was seen since the pause began proves that the heir has everything.
    ///
    /// With transaction identifiers of both: the heir's set contains the ACTIVE node's. Without (a host that
    /// observes health alone): both are good, and the heir reports no lag. An ACTIVE node that answers without
    /// telling what it has, because it refuses the prober say, proves nothing. Where nodes hold nothing, a look at the heir that began
    /// since is proof enough: a hand-over goes on only while it is fit.
    pub fn is_proven(&self, view: &GateView<'_>) -> bool {
        let Some((since, _)) = self.open else { return false };
        let (Some(active), Some(heir)) = (&view.active.last, &view.heir.last) else { return false };
        if view.stateless {
            return heir.started >= since;
        }
        if active.started < since || heir.started < since || heir.class() != Class::Ok {
            return false;
        }
        let (had, has) = (view.active.last_facts(), view.heir.last_facts());
        match (had.and_then(|f| f.gtids.as_ref()), has.and_then(|f| f.gtids.as_ref())) {
            (Some(had), Some(has)) => heir.started >= active.ended && has.contains(had) == Some(true),
            _ if active.class() != Class::Ok => false,
            _ => has.and_then(|f| f.channels.as_deref()).unwrap_or_default().iter().all(|c| {
                c.io == ThreadState::Running
                    && c.sql == ThreadState::Running
                    && c.lag.is_none_or(|l| l.is_zero())
                    && c.applied_all != Some(false)
            }),
        }
    }
}
