//! What failed as ACTIVE (rule 9 of the design): what it holds that nobody else has, and recovery without an operator, by
//! proof and not too often.

use super::event::{EventKind, Severity};
use super::outbox::Outbox;
use super::pool_machine::PoolMachine;
use super::time::{Duration, Now, Time};
use crate::config::{AutoRecover, Failback};
use crate::gtid::Missing;
use crate::policy::rule_sentence;
use crate::policy::safe::Occasion;
use crate::policy::safe::command::auto_recover;
use crate::pool::{Judge, NodeType, State};

/// A token bucket, kept as the time at which it will be full again (GCRA, ITU-T I.371): a burst of `count`, and one
/// more each `per / count`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Time,
    /// That it is empty has been told.
    told: bool,
}

impl Bucket {
    /// Whether a token is left.
    pub fn has_token(&self, now: Time, limit: AutoRecover) -> bool {
        self.full_at.since(now) + limit.pause() <= limit.per
    }

    fn take(&mut self, now: Time, limit: AutoRecover) {
        self.full_at = self.full_at.max(now) + limit.pause();
        self.told = false;
    }
}

impl PoolMachine {
    /// Looks at every node that waits for `recover` in the light of a new observation.
    pub(super) fn look_at_the_waiting(&mut self, now: Now, out: &mut Outbox) {
        for node in 0..self.nodes.len() {
            if self.judge.waits_for_recover(node) {
                self.report_stranded(now, node, out);
                self.try_auto_recover(now, node, out);
            } else {
                self.nodes[node].stranded = None;
            }
        }
    }

    /// Once a failed ACTIVE answers again: how much does it hold that the present ACTIVE lacks?
    ///
    /// A node that replicates again holds what the ACTIVE wrote a moment ago, so only an observation of the ACTIVE that
    /// began after the node's own had ended can say what it lacks.
    fn report_stranded(&mut self, now: Now, node: usize, out: &mut Outbox) {
        let Some(missing) = self.stranded(node) else { return };
        if self.nodes[node].stranded.replace(missing.clone()).is_some() {
            return;
        }
        let name = self.judge.active().map_or("", |active| self.nodes[active].name.as_str());
        let (severity, text) = if missing.count() == 0 {
            (Severity::Info, format!("the failed node answers; everything it holds is on {name} too"))
        } else {
            let count = missing.count();
            (
                Severity::Warning,
                format!(
                    "the failed node answers and holds {count} transactions that {name} lacks: {missing}"
                ),
            )
        };
        let mut draft = self.draft(EventKind::Stranded, severity, Some(node), self.nodes[node].rule, text);
        draft.count = missing.count();
        out.emit(now, draft);
    }

    /// What a node holds that the ACTIVE node lacks, if the last observations of both can tell.
    fn stranded(&self, node: usize) -> Option<Missing> {
        let active = self.judge.active().filter(|&active| active != node)?;
        let (mine, theirs) = (&self.nodes[node], &self.nodes[active]);
        if theirs.last.as_ref()?.started < mine.last.as_ref()?.ended {
            return None;
        }
        mine.last_facts()?.gtids.as_ref()?.missing_from(theirs.last_facts()?.gtids.as_ref()?)
    }

    /// Takes a node back that failed as ACTIVE, if the configuration wants that, its transactions prove that nothing
    /// would be lost, and it has not happened too often.
    pub(super) fn try_auto_recover(&mut self, now: Now, node: usize, out: &mut Outbox) {
        let Some(limit) = self.config.auto_recover.filter(|_| self.is_proven_whole(node)) else { return };
        let Judge::Safe { model, settings, .. } = &mut self.judge else { return };
        if !self.bucket.has_token(now.mono, limit) {
            // Told when it is the bucket alone that stands in the way.
            if auto_recover(&mut model.clone(), settings, node).is_ok()
                && !core::mem::replace(&mut self.bucket.told, true)
            {
                let text = format!(
                    "auto_recover has taken back {} nodes lately and stops here: \
                     something is wrong that it does not mend; the node waits for `recover`",
                    limit.count
                );
                out.emit(now, self.draft(EventKind::Stranded, Severity::Alarm, Some(node), 0, text));
            }
            return;
        }
        let outcome = self.change(now, out, |pool| {
            let Judge::Safe { model, settings, .. } = &mut pool.judge else { return None };
            let rule = auto_recover(model, settings, node).ok()?;
            pool.nodes[node].rule = rule;
            Some(rule)
        });
        if let Some(rule) = outcome {
            self.tally.fired(rule);
            self.bucket.take(now.mono, limit);
            let name = &self.nodes[node].name;
            let text = format!("{name}: {}", rule_sentence(rule).unwrap_or_default());
            out.emit(now, self.draft(EventKind::Command, Severity::Warning, Some(node), rule, text));
            out.dirty = true;
            self.evaluate(now, Occasion::Look, out);
        }
    }

    /// Whether the ACTIVE node is known to have every transaction that this one has.
    fn is_proven_whole(&self, node: usize) -> bool {
        self.judge.waits_for_recover(node)
            && self.doubt_since.is_none()
            && self.stranded(node).is_some_and(|missing| missing.is_empty())
    }

    /// Whether the PRIMARY has been a stand-in for `hold_down`, where it gets its role back by itself.
    pub(super) fn held_down_until(&self) -> Option<Time> {
        if self.config.failback != Failback::Auto || self.config.hold_down == Duration::ZERO {
            return None;
        }
        let primary = self.nodes.iter().position(|n| n.config.node_type == NodeType::Primary)?;
        let asked = matches!(&self.judge, Judge::Safe { model, .. } if model.members[primary].owed);
        if asked || self.judge.state(primary) != State::Standby {
            return None;
        }
        self.nodes[primary].standby_since.map(|since| since + self.config.hold_down)
    }
}
