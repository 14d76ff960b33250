//! Whether the observer itself is the sick one (rule 12 of the design).

use super::checkpoints::Witness;
use super::event::{EventKind, Severity};
use super::input::NodeRef;
use super::outbox::{Draft, Outbox};
use super::pool_machine::PoolMachine;
use super::time::{Duration, Now, Time};
use crate::config::{ProbeConfig, print_duration};
use crate::policy::rule_sentence;
use crate::policy::safe::table::ISOLATED;
use crate::pool::Judge;
use crate::probe::{Cause, Class, Facts, Observation};
use std::collections::{BTreeMap, BTreeSet};

/// After so many discarded observations of a node in a row someone is told.
const LATE_ALARM: u32 = 3;

/// How long after its beginning the end of an unanswered probe was handled, if that is far beyond what it may take.
///
/// An answer counts however late it is read. What was not heard counts only if somebody was there to listen: a
/// process that was stopped, or did not get to run, finds its deadlines passed when it comes back, and a probe that
/// it had just begun to make must not end as the server's silence.
fn overrun(observation: &Observation, probe: &ProbeConfig, now: Now) -> Option<Duration> {
    if !matches!(observation.class(), Class::Hung | Class::Silent) {
        return None;
    }
    let took = now.mono.max(observation.ended).since(observation.started);
    Some(took).filter(|&took| took > probe.probe_timeout + probe.timeout)
}

/// Makes the end of a look that the prober was too late for a blind one, and says how late; `None` if it was in time.
pub(super) fn blind_if_late(
    observation: &mut Observation,
    probe: &ProbeConfig,
    now: Now,
) -> Option<Duration> {
    let took = overrun(observation, probe, now)?;
    observation.cause = Cause::Local;
    observation.errno = 0;
    observation.facts = Facts::default();
    observation.message = format!(
        "the prober itself was late: it came back to this probe after {}, which may take {}; \
         what it did not hear proves nothing",
        print_duration(Duration::from_millis(took.as_millis().try_into().unwrap_or(u64::MAX))),
        print_duration(probe.probe_timeout)
    );
    Some(took)
}

/// What the nodes of all pools together say about the observer's own network.
#[derive(Clone, Debug)]
pub struct Vantage {
    /// Different addresses that are reached over a network.
    remotes: usize,
    /// The latest time at which one of them is known to have been within reach.
    replied: Option<Time>,
    /// Nodes whose last observation proves that they were within reach while it was made.
    replying: BTreeSet<NodeRef>,
    /// Nobody answers, and that has been told.
    cut_off: bool,
}

impl Vantage {
    /// Nothing has been seen yet.
    pub fn new(pools: &[PoolMachine]) -> Vantage {
        Vantage { remotes: remotes(pools), replied: None, replying: BTreeSet::new(), cut_off: false }
    }

    /// Whether no node answers.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Something over the network has replied: that proves the path as it was at `proven`. `who` is its name.
    /// Whether the prober counted as cut off until now.
    pub(super) fn hear(&mut self, now: Now, proven: Time, who: &str, out: &mut Outbox) -> bool {
        self.replied = self.replied.max(Some(proven));
        let cut_off = core::mem::take(&mut self.cut_off);
        if cut_off {
            let text = format!("{who} answers: the prober is no longer cut off");
            out.emit(now, Draft::about_instance(EventKind::Isolated, Severity::Info, text));
        }
        cut_off
    }

    /// One pool is looked at: what others said before is no longer what they would say.
    pub fn begin_cycle(&mut self, pool: usize) {
        self.replying.retain(|n| n.pool == pool);
    }

    /// Nodes have new places, or none any more.
    pub fn moved(&mut self, places: &[(NodeRef, NodeRef)], pools: &[PoolMachine]) {
        let places: BTreeMap<NodeRef, NodeRef> = places.iter().copied().collect();
        self.replying = self.replying.iter().filter_map(|node| places.get(node).copied()).collect();
        self.remotes = remotes(pools);
    }

    /// A node left its pool.
    pub fn forget(&mut self, node: NodeRef, pools: &[PoolMachine]) {
        self.replying.remove(&node);
        self.remotes = remotes(pools);
    }
}

fn remotes(pools: &[PoolMachine]) -> usize {
    let mut addresses = BTreeSet::new();
    for pool in pools {
        for (i, node) in pool.nodes.iter().enumerate() {
            if !pool.judge.is_removed(i) && !node.config.address.is_local() {
                addresses.insert(&node.config.address);
            }
        }
    }
    addresses.len()
}

/// An observation as far as it speaks of the path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    class: Class,
    started: Time,
    proven: Option<Time>,
}

impl Look {
    /// What the observation says.
    pub(super) fn of(observation: &Observation) -> Look {
        Look {
            class: observation.class(),
            started: observation.started,
            proven: observation.proves_path_at(),
        }
    }
}

impl PoolMachine {
    /// Whether a silent node proves nothing, because nobody at all has answered since it fell silent.
    ///
    /// A first silent observation always counts: it makes the others be looked at closely. Any reply from any node
    /// over the network proves the path, a reset and a kernel's mere acknowledgement too; so does one from a checkpoint,
    /// which is one more witness where a pool has few nodes.
    ///
    /// A probe that waited for the answer to an earlier one's question sent nothing, so that nothing was acknowledged:
    /// what the kernel acknowledged before proves the path as it was then, and since then the node may be out of reach.
    pub(super) fn is_isolated(
        &mut self,
        now: Now,
        node: usize,
        look: Look,
        vantage: &mut Vantage,
        out: &mut Outbox,
    ) -> bool {
        let place = NodeRef { pool: self.index, node };
        let n = &mut self.nodes[node];
        let Look { class, started, proven } = look;
        if class == Class::Blind || n.config.address.is_local() {
            return false;
        }
        if let Some(proven) = proven.filter(|&at| at >= started) {
            vantage.replying.insert(place);
            let name = n.name.clone();
            vantage.hear(now, proven, &name, out);
            return false;
        }
        vantage.replying.remove(&place);
        let Some(since) = n.silent_since.or(proven) else { return false };
        if vantage.replied.is_some_and(|at| at >= since) {
            return false;
        }
        if matches!(self.judge, Judge::Safe { .. }) {
            self.look_for_a_path(now, node, vantage.cut_off, out);
        }
        let witness = self.witness(node, since);
        if since >= started || vantage.remotes + usize::from(witness != Witness::None) < 2 {
            return false;
        }
        // A node without checkpoints of its own waits for its pool's before anything is told.
        let waits = witness == Witness::None && !vantage.cut_off && self.is_checking();
        if witness == Witness::Pending || waits {
            // Its end says which it is; until then nothing is counted and nothing is told.
            return true;
        }
        // Whatever the node's own silence is, it is measured from where the path is known to be open.
        self.nodes[node].silent_since = Some(started);
        if vantage.replying.is_empty() && !core::mem::replace(&mut vantage.cut_off, true) {
            let mut text = rule_sentence(ISOLATED).unwrap_or_default().to_string();
            if witness == Witness::Silent {
                text.push_str(&format!("; nor does any checkpoint: {}", self.silent_checkpoints(node)));
            }
            let draft = Draft::about_instance(EventKind::Isolated, Severity::Alarm, text);
            out.emit(now, Draft { rule: ISOLATED, ..draft });
        }
        true
    }

    /// Makes an observation that the prober was too late for a blind one.
    pub(super) fn discard_if_late(
        &mut self,
        now: Now,
        node: usize,
        observation: &mut Observation,
        out: &mut Outbox,
    ) {
        let n = &mut self.nodes[node];
        if blind_if_late(observation, &n.config.probe, now).is_none() {
            let in_time = now.mono.since(observation.started) <= n.config.probe.probe_timeout;
            if in_time && core::mem::take(&mut n.late) >= LATE_ALARM {
                let text = "the prober's loop is in time again: observations count as ever".to_string();
                out.emit(now, self.draft(EventKind::Late, Severity::Info, Some(node), 0, text));
            }
            return;
        }
        n.late = n.late.saturating_add(1);
        n.tally.discarded += 1;
        // Nobody listened in the meantime: silence is measured anew.
        n.silent_since = None;
        if n.late == LATE_ALARM {
            let text = format!(
                "{LATE_ALARM} probes in a row were discarded because the prober's own loop is late: \
                 while that lasts, a node that hangs or is silent is not failed"
            );
            out.emit(now, self.draft(EventKind::Late, Severity::Alarm, Some(node), 0, text));
        }
    }
}
