//! From an observation to what the rules of `safe` may look at.

use super::address::Address;
use super::judge::Judge;
use super::node::Node;
use super::state::PoolKind;
use super::word::takes_writes_by;
use crate::config::PoolConfig;
use crate::engine::time::{Duration, Time};
use crate::policy::safe::Evidence;
use crate::probe::{Cause, Channel, Class, Facts, Observation, ThreadState};

/// The pool around an observed node.
pub struct Surroundings<'a> {
    /// The pool's configuration.
    pub config: &'a PoolConfig,
    /// Its nodes.
    pub nodes: &'a [Node],
    /// Their states.
    pub judge: &'a Judge,
    /// When the ACTIVE node's first bad observation came, while it is in doubt.
    pub doubt_since: Option<Time>,
    /// No node of the instance has answered since the observed one fell silent.
    pub isolated: bool,
}

/// Errors of a receiving thread that tell of its source or the way to it, not of the replica:
/// the client library's connection errors (2002 to 2013), and a source that is full, shutting down or cuts the line.
/// Source: MySQL Error Message Reference, "Client Error Message Reference" and "Server Error Message Reference".
fn is_source_errno(errno: u32) -> bool {
    matches!(errno, 0 | 1040 | 1053 | 1152..=1161 | 1203 | 2002..=2006 | 2013 | 3032)
}

impl Surroundings<'_> {
    /// The class of an observation once replication faults, and lost packets, are charged to their cause.
    ///
    /// Two faults hide behind a good probe: a node that replicates from nobody while another is ACTIVE, and a
    /// receiving thread that for ever tries to reach a healthy source which rejects it. And where packets get lost, an
    /// answer that was lost looks like a server that hangs: it counts as silence, which takes longer.
    pub fn class(&self, node: usize, observation: &Observation, now: Time) -> (Class, Option<String>) {
        let class = observation.class();
        if class == Class::Hung && self.nodes[node].is_losing(now) {
            let words =
                format!("{}; packets get lost on the way, so it counts as silence", observation.message);
            return (Class::Silent, Some(words));
        }
        if self.config.kind == PoolKind::Router {
            // What replicates, or does not, is behind the router.
            return match class {
                Class::Replication => (Class::Ok, Some(observation.message.clone())),
                class => (class, None),
            };
        }
        if self.config.kind == PoolKind::Group {
            // What members receive from each other is the group's affair.
            return (class, None);
        }
        let writes =
            self.config.kind == PoolKind::Replicated && takes_writes_by(self.nodes, node, &observation.facts);
        if writes || class != Class::Ok || self.judge.active().is_none_or(|a| a == node) {
            return (class, None);
        }
        match observation.facts.channels.as_deref() {
            Some([]) if self.nodes.len() > 1 => {
                (Class::Replication, Some("the node replicates from nobody".into()))
            }
            Some(channels) => {
                let rejected = channels.iter().find(|c| {
                    c.io == ThreadState::Connecting
                        && !is_source_errno(c.io_errno)
                        && !self.source_in_doubt(node, c)
                });
                match rejected {
                    Some(c) => {
                        (Class::Replication, Some(format!("{} rejects the replica: {}", c.source, c.error)))
                    }
                    None => (class, None),
                }
            }
            None => (class, None),
        }
    }

    /// The evidence for policy `safe` in the node's last observation, `class` being its class.
    pub fn evidence(&self, node: usize, class: Class, now: Time) -> Evidence {
        let none = Facts::default();
        let facts = self.nodes[node].last_facts().unwrap_or(&none);
        let (cause, started) = match &self.nodes[node].last {
            Some(last) => (last.cause, last.started),
            None => (Cause::Ok, now),
        };
        // What a router tells of read_only and replication is told of the servers behind it.
        let router = self.config.kind == PoolKind::Router;
        let asked = !router && self.config.kind != PoolKind::Group;
        let channels = facts.channels.as_deref().filter(|_| asked).unwrap_or_default();
        let sql_runs = channels.iter().all(|c| c.sql != ThreadState::Stopped);
        let told = facts.channels.is_some() && asked;
        let nobody = told && channels.is_empty();
        Evidence {
            class,
            fail_on: self.config.fail_on.contains(&cause),
            silence_due: self.silence_due(node, now),
            exited: router && cause == Cause::ProcessExit,
            backend_bad: router && facts.backend.as_ref().is_some_and(|backend| !backend.good),
            isolated: self.isolated,
            window_bad: false,
            lag_only: cause == Cause::ReplicationLag,
            source_in_doubt: told
                && channels.iter().any(|c| c.io != ThreadState::Running)
                && channels
                    .iter()
                    .filter(|c| c.io != ThreadState::Running)
                    .all(|c| self.source_in_doubt(node, c)),
            applies: match class {
                Class::Replication if !told => cause == Cause::ReplicationLag,
                Class::Replication if nobody => false,
                _ => sql_runs,
            },
            within_takeover_lag: self.within_takeover_lag(node, channels),
            writable: router || facts.read_only != Some(true) && facts.super_read_only != Some(true),
            fresh: self.doubt_since.is_none_or(|since| started >= since),
        }
    }

    /// Whether the source of a channel is a member of this pool that is in doubt or has failed.
    fn source_in_doubt(&self, node: usize, channel: &Channel) -> bool {
        source_of(self.nodes, node, channel).is_some_and(|s| {
            self.judge.state(s).is_failed()
                || self.judge.waits_for_recover(s)
                || self.nodes[s].last.as_ref().is_some_and(|o| !o.class().answered())
        })
    }

    /// A silent node takes its k-th of `fall` steps once (k - 1) / (fall - 1) of `silence` has passed.
    fn silence_due(&self, node: usize, now: Time) -> bool {
        let Some(since) = self.nodes[node].silent_since else { return self.config.fall > 1 };
        let taken = match self.judge {
            Judge::Safe { model, settings, .. } => model.members[node].ladder.steps(settings.rise),
            Judge::Mpp { .. } => 0,
        };
        let silence = self.nodes[node].config.probe.silence;
        let needed = match self.config.fall {
            0 | 1 => silence,
            fall => silence.saturating_mul(taken) / (fall - 1),
        };
        now.since(since) >= needed.min(silence)
    }

    fn within_takeover_lag(&self, node: usize, channels: &[Channel]) -> bool {
        let limit = self.config.max_takeover_lag;
        let within = |lag: Option<Duration>| lag.is_none_or(|l| l <= limit);
        channels.iter().all(|c| match (c.lag, c.applied_all) {
            (Some(lag), _) => lag <= limit,
            // The server computes no lag while it has no source; what it has received may be applied all the same.
            (None, Some(true)) => true,
            (None, _) => within(self.nodes[node].last_lag),
        })
    }
}

/// The member of the pool from which a channel of this node receives.
pub fn source_of(nodes: &[Node], node: usize, channel: &Channel) -> Option<usize> {
    let address = Address::parse(&channel.source).ok();
    let source = nodes
        .iter()
        .position(|n| Some(&n.config.address) == address.as_ref())
        // In a ring of two the source is the other one, whatever name the replica knows it by.
        .or(if nodes.len() == 2 { Some(1 - node) } else { None });
    source.filter(|&s| s != node)
}
