//! Event queues: one for each subscriber, bounded, with a descriptor that is readable while it is not empty.

use super::EventFilter;
use crate::control::Told;
use crate::engine::{Event, EventKind, Severity, Time};
use crate::error::{Error, ErrorCode, Result};
use crate::io::descriptor::Registry;
use crate::io::wake::Wake;
use crate::metrics::EventTally;
use crate::pool::{State, Status};
use crate::probe::Cause;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::{Arc, Weak};

/// Events kept for who comes to look.
const RECENT: usize = 256;
/// Events in one answer.
const TOLD: usize = 64;

/// The largest queue.
const LARGEST: usize = 1 << 20;

/// Hands events to all subscribers.
#[derive(Debug, Default)]
pub(super) struct Hub {
    state: Mutex<HubState>,
}

#[derive(Debug, Default)]
struct HubState {
    queues: Vec<Weak<Queue>>,
    /// Number of the last event. The engine counts its own; here those that do not come from it count too.
    sequence: u64,
    tally: EventTally,
    /// The last events, for who comes to look, and how many there have been.
    recent: VecDeque<Event>,
    count: u64,
}

/// A queue of events for one consumer. It outlives its instance.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    filter: EventFilter,
    capacity: usize,
    wake: Wake,
    state: Mutex<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    events: VecDeque<Event>,
    /// How many fell out since the last notice, and the last of them.
    lost: u64,
    last_lost: Option<(u64, Time, u64)>,
}

impl Hub {
    /// Makes a queue.
    pub(super) fn subscribe(
        &self,
        registry: &Arc<Registry>,
        filter: EventFilter,
        capacity: usize,
    ) -> Result<Subscription> {
        if capacity == 0 || capacity > LARGEST {
            return Err(Error::new(
                ErrorCode::Invalid,
                format!("the capacity of an event queue is 1 to {LARGEST}, not {capacity}"),
            ));
        }
        let wake = Wake::new(registry).map_err(|e| {
            Error::new(ErrorCode::Io, format!("the system gives no descriptor for an event queue: {e}"))
        })?;
        let queue = Arc::new(Queue { filter, capacity, wake, state: Mutex::default() });
        self.state.lock().queues.push(Arc::downgrade(&queue));
        Ok(Subscription { queue })
    }

    /// Gives the event to all who want it, with the next number.
    pub(super) fn publish(&self, mut event: Event) {
        let mut state = self.state.lock();
        state.sequence += 1;
        event.sequence = state.sequence;
        state.tally.emitted(event.kind);
        state.count += 1;
        if state.recent.len() >= RECENT {
            state.recent.pop_front();
        }
        state.recent.push_back(event.clone());
        let mut lost = 0;
        state.queues.retain(|queue| match queue.upgrade() {
            None => false,
            Some(queue) => {
                lost += u64::from(queue.push(&event));
                true
            }
        });
        state.tally.lost += lost;
    }

    /// How many events there have been.
    pub(super) fn count(&self) -> u64 {
        self.state.lock().count
    }

    /// What was counted so far.
    pub(super) fn tally(&self) -> EventTally {
        let state = self.state.lock();
        let mut tally = state.tally;
        tally.queues = state.queues.iter().filter(|queue| queue.strong_count() > 0).count() as u64;
        tally
    }

    /// The events after a number that was given before, as many as an answer holds; from 0, all that are kept.
    pub(super) fn told(&self, after: u64) -> Told {
        let state = self.state.lock();
        let first = state.count - state.recent.len() as u64;
        // A number of another life is none.
        let after = if after > state.count { 0 } else { after };
        let skipped = usize::try_from(after.saturating_sub(first)).unwrap_or(usize::MAX);
        let events: Vec<Event> = state.recent.iter().skip(skipped).take(TOLD).cloned().collect();
        let lost = if after == 0 { 0 } else { first.saturating_sub(after) };
        Told { next: after.max(first) + events.len() as u64, events, lost }
    }

    /// Publishes words that do not come from the engine.
    pub(super) fn alarm(&self, mono: Time, wall_ms: u64, message: String) {
        self.say(Severity::Alarm, (mono, wall_ms), ("", ""), message);
    }

    /// The same, as urgent as the caller says, about a pool and a node or neither.
    pub(super) fn say(
        &self,
        severity: Severity,
        (mono, wall_ms): (Time, u64),
        place: (&str, &str),
        message: String,
    ) {
        let mut event = plain(EventKind::Log, severity, (0, mono, wall_ms), message);
        (event.pool, event.node) = (place.0.into(), place.1.into());
        self.publish(event);
    }
}

impl Hub {
    /// Publishes words of a kind of their own that do not come from the engine.
    pub(super) fn tell(
        &self,
        kind: EventKind,
        severity: Severity,
        (mono, wall_ms): (Time, u64),
        message: String,
    ) {
        self.publish(plain(kind, severity, (0, mono, wall_ms), message));
    }
}

fn plain(
    kind: EventKind,
    severity: Severity,
    (sequence, mono, wall_ms): (u64, Time, u64),
    message: String,
) -> Event {
    Event {
        kind,
        severity,
        sequence,
        mono,
        wall_ms,
        pool: String::new(),
        node: String::new(),
        epoch: 0,
        rule: 0,
        old_state: State::Unknown,
        new_state: State::Unknown,
        old_status: Status::Ok,
        new_status: Status::Ok,
        cause: Cause::Ok,
        message,
        count: 0,
    }
}

impl EventFilter {
    fn wants(&self, event: &Event) -> bool {
        self.kinds & 1u64.checked_shl(event.kind as u32).unwrap_or(0) != 0
            && event.severity >= self.severity
            && self.pool.as_ref().is_none_or(|pool| *pool == event.pool)
    }
}

impl Queue {
    /// Takes the event in, if it is wanted. Whether another one fell out for it.
    fn push(&self, event: &Event) -> bool {
        if !self.filter.wants(event) {
            return false;
        }
        let mut state = self.state.lock();
        let full = state.events.len() >= self.capacity;
        if full {
            if let Some(old) = state.events.pop_front() {
                state.lost += 1;
                state.last_lost = Some((old.sequence, old.mono, old.wall_ms));
            }
        }
        let was_empty = state.events.is_empty();
        state.events.push_back(event.clone());
        if was_empty {
            self.wake.raise();
        }
        full
    }
}

impl Subscription {
    /// Readable while the queue is not empty.
    pub fn fd(&self) -> RawFd {
        self.queue.wake.fd()
    }

    /// The next event, `None` if there is none now. After an overflow the first one is [`EventKind::Lost`] with the
    /// number of events that fell out; sequence and times are those of the last of them.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&self) -> Option<Event> {
        let mut state = self.queue.state.lock();
        if let Some(last) = state.last_lost.take() {
            let count = core::mem::take(&mut state.lost);
            let message =
                format!("{count} events were dropped because nobody read them; the snapshot is complete");
            let mut event = plain(EventKind::Lost, Severity::Warning, last, message);
            event.pool = self.queue.filter.pool.clone().unwrap_or_default();
            event.count = count;
            return Some(event);
        }
        let event = state.events.pop_front();
        if state.events.is_empty() {
            self.queue.wake.lower();
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use super::{Hub, RECENT, Severity, TOLD, Time};

    #[test]
    fn who_comes_to_look_misses_nothing_that_is_kept() {
        let hub = Hub::default();
        let say =
            |n: usize| (0..n).for_each(|i| hub.say(Severity::Info, (Time(0), 0), ("", ""), i.to_string()));
        let first = hub.told(0);
        assert_eq!((first.events.len(), first.next, first.lost), (0, 0, 0));
        say(3);
        let told = hub.told(0);
        assert_eq!(told.events.iter().map(|e| e.message.as_str()).collect::<Vec<_>>(), ["0", "1", "2"]);
        assert_eq!((told.next, hub.told(told.next).events.len()), (3, 0));
        // More than an answer holds: the rest comes with the next ones.
        say(TOLD + 5);
        let told = hub.told(told.next);
        assert_eq!((told.events.len(), told.lost), (TOLD, 0));
        assert_eq!(hub.told(told.next).events.len(), 5);
        // More than is kept: what fell out is counted.
        say(RECENT + 10);
        let (next, mut seen) = (told.next + 5, Vec::new());
        let mut told = hub.told(next);
        assert_eq!(told.lost, 10);
        while !told.events.is_empty() {
            seen.extend(told.events.iter().map(|e| e.message.clone()));
            told = hub.told(told.next);
            assert_eq!(told.lost, 0);
        }
        assert_eq!((seen.len(), seen.first().map(String::as_str)), (RECENT, Some("10")));
        // A number that another life gave.
        assert_eq!(hub.told(u64::MAX).events.len(), TOLD);
    }
}
