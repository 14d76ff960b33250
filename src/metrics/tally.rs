//! What is counted, beside those who do it: plain integers, no names, no text.

use super::Histogram;
use crate::engine::EventKind;
use crate::probe::{Cause, Class, Observation};
use std::collections::BTreeMap;

/// How many causes there are.
const CAUSES: usize = Cause::ALL.len();

/// What is counted of one node where it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTally {
    observations: [u64; CAUSES],
    /// Observations that the prober was too late for; they are counted as `local`, too.
    pub discarded: u64,
    /// How long the library's own probes took, from the beginning to the end, good ones and bad ones. What the prober
    /// did not get to look at is left out, and so is what a host observed.
    pub times: Histogram,
}

impl Default for NodeTally {
    fn default() -> NodeTally {
        NodeTally { observations: [0; CAUSES], discarded: 0, times: Histogram::default() }
    }
}

impl NodeTally {
    /// Counts an observation as the rules see it.
    pub fn observe(&mut self, observation: &Observation) {
        if let Some(count) = self.observations.get_mut(observation.cause as usize) {
            *count += 1;
        }
        // A host's observation is a moment.
        if observation.ended > observation.started && observation.class() != Class::Blind {
            self.times.record(observation.ended.since(observation.started));
        }
    }

    /// How many observations had this cause.
    pub fn observations(&self, cause: Cause) -> u64 {
        self.observations.get(cause as usize).copied().unwrap_or(0)
    }
}

/// What is counted of one pool where it is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolTally {
    /// How often each rule decided, refusals too.
    pub rules: BTreeMap<u16, u64>,
    /// Changes of the ACTIVE node, to and from none too.
    pub switches: u64,
}

impl PoolTally {
    /// A rule decided; 0 is none.
    pub fn fired(&mut self, rule: u16) {
        if rule != 0 {
            *self.rules.entry(rule).or_default() += 1;
        }
    }
}

/// What the driver counts of one node's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkTally {
    /// Connections that were begun; each address of a name counts.
    pub connects: u64,
    /// Logins over a connection in clear.
    pub plain_logins: u64,
    /// Logins over TLS.
    pub tls_logins: u64,
    /// Kept connections that ended between probes.
    pub lost: u64,
}

impl LinkTally {
    /// Takes in what another one holds.
    pub fn add(&mut self, other: LinkTally) {
        self.connects += other.connects;
        self.plain_logins += other.plain_logins;
        self.tls_logins += other.tls_logins;
        self.lost += other.lost;
    }
}

/// What the driver counts beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopTally {
    /// How much later than it wanted the loop looked at its deadlines.
    pub lateness: Histogram,
    /// How often that was later than the shortest `timeout` of any node.
    pub late: u64,
    /// Answers of the resolver that had an address.
    pub resolved: u64,
    /// Those that had none.
    pub unresolved: u64,
    /// Callers at the control socket who were sent away because of who they are.
    pub strangers: u64,
    /// Those that were sent away because too many others were there.
    pub crowded: u64,
}

impl LoopTally {
    /// Takes in what another one holds.
    pub fn add(&mut self, other: &LoopTally) {
        self.lateness.add(&other.lateness);
        self.late += other.late;
        self.resolved += other.resolved;
        self.unresolved += other.unresolved;
        self.strangers += other.strangers;
        self.crowded += other.crowded;
    }
}

/// What the instance counts where inputs and requests pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeskTally {
    /// Writes of the cache that succeeded.
    pub written: u64,
    /// Those that failed.
    pub write_failures: u64,
    /// Wall-clock time of the last one that succeeded, milliseconds since the Unix epoch; 0 before the first.
    pub written_ms: u64,
    /// Requests at the control socket, by command and outcome.
    pub requests: BTreeMap<(&'static str, &'static str), u64>,
}

/// How many kinds of events there are.
const KINDS: usize = EventKind::ALL.len();

/// What is counted of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTally {
    kinds: [u64; KINDS],
    /// Events that fell out of full queues.
    pub lost: u64,
    /// Queues that somebody holds.
    pub queues: u64,
    /// Words for the log that were left out because their like had been said.
    pub withheld: u64,
}

impl Default for EventTally {
    fn default() -> EventTally {
        EventTally { kinds: [0; KINDS], lost: 0, queues: 0, withheld: 0 }
    }
}

impl EventTally {
    /// Counts an event.
    pub fn emitted(&mut self, kind: EventKind) {
        if let Some(count) =
            EventKind::ALL.iter().position(|k| *k == kind).and_then(|i| self.kinds.get_mut(i))
        {
            *count += 1;
        }
    }

    /// How many events of this kind there were.
    pub fn events(&self, kind: EventKind) -> u64 {
        EventKind::ALL.iter().position(|k| *k == kind).and_then(|i| self.kinds.get(i)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Time;

    #[test]
    fn every_cause_and_kind_has_a_place() {
        let (mut node, mut events) = (NodeTally::default(), EventTally::default());
        for (i, &cause) in Cause::ALL.iter().enumerate() {
            for _ in 0..=i {
                node.observe(&Observation::new(cause, "", Time(7)));
            }
        }
        for (i, &kind) in EventKind::ALL.iter().enumerate() {
            for _ in 0..=i {
                events.emitted(kind);
            }
        }
        for (i, &cause) in Cause::ALL.iter().enumerate() {
            assert_eq!(node.observations(cause), i as u64 + 1, "{cause}");
        }
        for (i, &kind) in EventKind::ALL.iter().enumerate() {
            assert_eq!(events.events(kind), i as u64 + 1, "{kind}");
        }
        assert_eq!(node.times.count(), 0, "a moment is no duration");
    }

    #[test]
    fn the_time_of_a_probe_counts_unless_nobody_looked() {
        let mut node = NodeTally::default();
        for cause in [Cause::Ok, Cause::NoAck, Cause::Dns, Cause::Local] {
            let mut observation = Observation::new(cause, "", Time::from_millis(1));
            observation.ended = Time::from_millis(3);
            node.observe(&observation);
        }
        assert_eq!((node.times.count(), node.times.sum()), (2, 4000));
    }
}
