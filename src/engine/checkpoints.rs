//! Checkpoints in motion: when they are looked at, and what their answers mean to each policy.
//!
//! They cost traffic, so that nobody looks at them while all is well. Under `mpp` a node that cannot be reached has its
//! set looked at within the same cycle, as in the original. Under `safe` a node that is silent has it looked at until
//! something has proven the prober's own path; checkpoints never count against a node there.

use super::effect::Effect;
use super::event::{EventKind, Severity};
use super::input::{CheckRef, NodeRef};
use super::outbox::{Draft, Outbox};
use super::pool_machine::PoolMachine;
use super::schedule::BACK_OFF;
use super::snapshot::CheckpointSnapshot;
use super::time::{Now, Time};
use super::vantage::Vantage;
use crate::policy::mpp::{self, Finding};
use crate::policy::rule_sentence;
use crate::pool::{PoolStatus, Status};
use crate::probe::checkpoint::answers;
use crate::probe::{Checkpoint, Class, Observation};

/// What is known of one checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Check {
    /// Number of the look under way.
    in_flight: Option<u64>,
    /// When it was last asked for.
    asked: Option<Time>,
    /// How the last look ended.
    last: Option<Observation>,
    /// Wall-clock time of that; 0 before the first.
    observed_ms: u64,
}

/// All checkpoints of a pool.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// Those of each node, in the order of its configuration.
    nodes: Vec<Vec<Check>>,
    /// `mpp`: the node whose checkpoints made the pool's status FAIL in this life.
    failed_by: Option<usize>,
}

impl Checks {
    /// Nothing has been looked at; `counts` says how many checkpoints each node has.
    pub fn new(counts: impl Iterator<Item = usize>) -> Checks {
        Checks { nodes: counts.map(|count| vec![Check::default(); count]).collect(), failed_by: None }
    }

    /// Nobody will answer any more.
    pub fn forget(&mut self) {
        self.nodes.iter_mut().flatten().for_each(|check| check.in_flight = None);
    }

    /// The same at new places. Nobody answers what was asked before; where the checkpoints of a node differ, `alike` is
    /// false and nothing is known of them.
    pub(super) fn moved(mut self, from: &[Option<usize>], counts: &[usize], alike: &[bool]) -> Checks {
        self.forget();
        let kept = |((was, &count), &alike): ((&Option<usize>, &usize), &bool)| {
            let known = was.filter(|_| alike).and_then(|was| self.nodes.get(was)).cloned();
            known.unwrap_or_else(|| vec![Check::default(); count])
        };
        let nodes = from.iter().zip(counts).zip(alike).map(kept).collect();
        let failed_by = self.failed_by.and_then(|node| from.iter().position(|was| *was == Some(node)));
        Checks { nodes, failed_by }
    }

    fn of(&self, node: usize) -> &[Check] {
        self.nodes.get(node).map_or(&[], Vec::as_slice)
    }
}

/// What a node's checkpoints say about the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Witness {
    /// There are none, or none could be looked at.
    None,
    /// A look is under way.
    Pending,
    /// At least one was looked at in vain. One that had replied would have proven the path.
    Silent,
}

impl PoolMachine {
    /// Asks for a look at every checkpoint of a node.
    pub(super) fn look_at_checkpoints(&mut self, now: Now, node: usize, out: &mut Outbox) {
        if !self.probes() || self.judge.is_removed(node) {
            return;
        }
        let pool = self.index;
        for (index, check) in self.checks.nodes.get_mut(node).into_iter().flatten().enumerate() {
            if check.in_flight.is_none() {
                let number = out.number();
                let place = CheckRef { node: NodeRef { pool, node }, index };
                out.push(Effect::Check { place, check: number });
                check.in_flight = Some(number);
                check.asked = Some(now.mono);
            }
        }
    }

    /// `safe`: a silent node whose path nothing has proven yet. At most one look in a `timeout`; one in the time of a
    /// back-off while it is known that nobody answers, or once the node is at FAIL.
    pub(super) fn look_for_a_path(&mut self, now: Now, node: usize, cut_off: bool, out: &mut Outbox) {
        let probe = &self.nodes[node].config.probe;
        let settled = cut_off || self.judge.status(node) == Status::Fail;
        let pause = if settled { BACK_OFF.max(probe.interval) } else { probe.timeout };
        let asked = self.checks.of(node).iter().filter_map(|check| check.asked).max();
        if asked.is_none_or(|at| now.mono.since(at) >= pause) {
            self.look_at_checkpoints(now, node, out);
        }
    }

    /// What a node's checkpoints say about the path since it fell silent. A look that has ended counts until the next
    /// one has.
    pub(super) fn witness(&self, node: usize, since: Time) -> Witness {
        let checks = self.checks.of(node);
        let class = |check: &Check| check.last.as_ref().map(Observation::class);
        let is_old = |check: &Check| check.last.as_ref().is_none_or(|last| last.started < since);
        if checks.iter().any(|c| class(c) == Some(Class::Silent) && !(is_old(c) && c.in_flight.is_some())) {
            Witness::Silent
        } else if checks.iter().any(|c| c.in_flight.is_some() && is_old(c)) {
            Witness::Pending
        } else {
            Witness::None
        }
    }

    /// Whether a look is under way at a checkpoint of a node that is still in the pool.
    pub(super) fn is_checking(&self) -> bool {
        let present = (0..self.nodes.len()).filter(|&i| !self.judge.is_removed(i));
        present.flat_map(|i| self.checks.of(i)).any(|check| check.in_flight.is_some())
    }

    /// A look has ended. Whether it was one that was asked for.
    pub(super) fn checked(
        &mut self,
        now: Now,
        place: CheckRef,
        number: u64,
        mut observation: Observation,
        vantage: &mut Vantage,
        out: &mut Outbox,
    ) -> bool {
        let (node, index) = (place.node.node, place.index);
        let Some(check) = self.checks.nodes.get_mut(node).and_then(|checks| checks.get_mut(index)) else {
            return false;
        };
        if check.in_flight != Some(number) {
            return false;
        }
        check.in_flight = None;
        if self.judge.is_removed(node) {
            return true;
        }
        super::vantage::blind_if_late(&mut observation, &self.nodes[node].config.probe, now);
        let Some(checkpoint) = self.nodes[node].config.checkpoints.get(index).cloned() else { return true };
        if let Some(proven) = observation.proves_path_at() {
            let who = format!("the {} checkpoint {checkpoint}", checkpoint.kind);
            if vantage.hear(now, proven, &who, out) {
                // A node that stays silent has the whole of `silence` from here on.
                let silences = self.nodes.iter_mut().filter_map(|n| n.silent_since.as_mut());
                silences.for_each(|since| *since = proven.max(*since));
            }
        }
        let was = check.last.as_ref().map(|o| (answers(checkpoint.method, o.class()), o.class()));
        let is = (answers(checkpoint.method, observation.class()), observation.class());
        let told = match was {
            // Whoever answers at the first look is no news.
            None => !is.0,
            Some(was) => was.0 != is.0 || (was.1 == Class::Blind) != (is.1 == Class::Blind),
        };
        let draft = told.then(|| {
            let severity = if is.0 { Severity::Info } else { Severity::Warning };
            let text = format!("{} checkpoint {}", checkpoint.kind, in_words(&checkpoint, &observation));
            let cause = observation.cause;
            Draft { cause, ..self.draft(EventKind::Checkpoint, severity, Some(node), 0, text) }
        });
        if let Some(check) = self.checks.nodes.get_mut(node).and_then(|checks| checks.get_mut(index)) {
            check.last = Some(observation);
            check.observed_ms = now.wall_ms;
        }
        if let Some(draft) = draft {
            out.emit(now, draft);
        }
        true
    }

    /// `mpp`: the node of this cycle, if there is one, that cannot be reached while all its checkpoints fail. One that
    /// could not be looked at has not failed.
    pub(super) fn cut_off_node(&self, findings: &[Option<Finding>]) -> Option<usize> {
        let unreachable = findings.iter().enumerate().filter(|(_, f)| **f == Some(Finding::ConnectFailed));
        unreachable.map(|(i, _)| i).find(|&i| {
            let checkpoints = &self.nodes[i].config.checkpoints;
            let mut looks = checkpoints.iter().zip(self.checks.of(i)).map(|(checkpoint, check)| {
                check.last.as_ref().is_some_and(|last| {
                    last.class() != Class::Blind && !answers(checkpoint.method, last.class())
                })
            });
            !checkpoints.is_empty() && !self.judge.is_removed(i) && looks.all(|failed| failed)
        })
    }

    /// `mpp`: the status with which a cycle is judged, from the one that stands and the node that is cut off.
    pub(super) fn status_of_cycle(&mut self, standing: PoolStatus, cut_off: Option<usize>) -> PoolStatus {
        match (standing, cut_off) {
            (PoolStatus::Ok, Some(node)) => {
                self.checks.failed_by = Some(node);
                PoolStatus::Fail
            }
            (PoolStatus::Ok, None) => {
                self.checks.failed_by = None;
                PoolStatus::Ok
            }
            (PoolStatus::Fail, _) => PoolStatus::Fail,
        }
    }

    /// The rule behind the pool's status, and what an event says about it.
    pub(super) fn status_in_words(&self) -> (u16, String) {
        let text = format!("the pool's status is {}", self.status);
        match self.checks.failed_by.filter(|_| self.status == PoolStatus::Fail) {
            Some(node) => {
                let why = rule_sentence(mpp::CHECKPOINTS_FAILED).unwrap_or_default();
                (mpp::CHECKPOINTS_FAILED, format!("{text}: {}: {why}", self.nodes[node].name))
            }
            None => (0, text),
        }
    }

    /// A node's checkpoints for a snapshot.
    pub(super) fn checkpoint_views(&self, node: usize) -> Vec<CheckpointSnapshot> {
        let view = |(checkpoint, check): (&Checkpoint, &Check)| CheckpointSnapshot {
            kind: checkpoint.kind,
            target: checkpoint.to_string(),
            answers: check.last.as_ref().map(|last| answers(checkpoint.method, last.class())),
            cause: check.last.as_ref().map(|last| last.cause),
            message: check.last.as_ref().map_or(String::new(), |last| last.message.clone()),
            observed_ms: check.observed_ms,
        };
        self.nodes[node].config.checkpoints.iter().zip(self.checks.of(node)).map(view).collect()
    }

    /// A node's checkpoints for `explain`, one line each.
    pub(super) fn checkpoint_lines(&self, node: usize, now: Time) -> Vec<String> {
        let line = |(checkpoint, check): (&Checkpoint, &Check)| {
            let seen = match &check.last {
                None => format!("{checkpoint}: not looked at yet"),
                Some(last) => {
                    format!("{}, {} ms ago", in_words(checkpoint, last), now.since(last.ended).as_millis())
                }
            };
            format!("{} checkpoint {seen}", checkpoint.kind)
        };
        self.nodes[node].config.checkpoints.iter().zip(self.checks.of(node)).map(line).collect()
    }

    /// The checkpoints of a node that were looked at in vain, in words; empty if there are none.
    pub(super) fn silent_checkpoints(&self, node: usize) -> String {
        let checkpoints = self.nodes[node].config.checkpoints.iter().zip(self.checks.of(node));
        let silent = checkpoints
            .filter(|(_, check)| check.last.as_ref().is_some_and(|last| last.class() == Class::Silent));
        silent.map(|(checkpoint, _)| checkpoint.to_string()).collect::<Vec<_>>().join(", ")
    }
}

fn in_words(checkpoint: &Checkpoint, seen: &Observation) -> String {
    let end = match (answers(checkpoint.method, seen.class()), seen.class()) {
        (true, _) => "answers",
        (false, Class::Silent) => "does not answer",
        (false, Class::Blind) => "cannot be looked at",
        (false, _) => "fails, though something replies",
    };
    match seen.message.as_str() {
        "" => format!("{checkpoint} {end} ({})", seen.cause),
        words => format!("{checkpoint} {end} ({}: {words})", seen.cause),
    }
}
