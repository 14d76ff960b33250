//! Whether the observer itself is the sick one (rule 12 of the design).

use super::event::{EventKind, Severity};
use super::outbox::Outbox;
use super::pool_machine::PoolMachine;
use super::time::{Duration, Now};
use crate::config::{ProbeConfig, print_duration};
use crate::probe::{Cause, Class, Facts, Observation};

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

impl PoolMachine {
    /// Makes an observation that the prober was too late for a blind one.
    pub(super) fn discard_if_late(
        &mut self,
        now: Now,
        node: usize,
        observation: &mut Observation,
        out: &mut Outbox,
    ) {
        let n = &mut self.nodes[node];
        let Some(took) = overrun(observation, &n.config.probe, now) else {
            let in_time = now.mono.since(observation.started) <= n.config.probe.probe_timeout;
            if in_time && core::mem::take(&mut n.late) >= LATE_ALARM {
                let text = "the prober's loop is in time again: observations count as ever".to_string();
                out.emit(now, self.draft(EventKind::Late, Severity::Info, Some(node), 0, text));
            }
            return;
        };
        n.late = n.late.saturating_add(1);
        // Nobody listened in the meantime: silence is measured anew.
        n.silent_since = None;
        observation.cause = Cause::Local;
        observation.errno = 0;
        observation.facts = Facts::default();
        observation.message = format!(
            "the prober itself was late: it came back to this probe after {}, which may take {}; \
             what it did not hear proves nothing",
            print_duration(Duration::from_millis(took.as_millis().try_into().unwrap_or(u64::MAX))),
            print_duration(n.config.probe.probe_timeout)
        );
        if n.late == LATE_ALARM {
            let text = format!(
                "{LATE_ALARM} probes in a row were discarded because the prober's own loop is late: \
                 while that lasts, a node that hangs or is silent is not failed"
            );
            out.emit(now, self.draft(EventKind::Late, Severity::Alarm, Some(node), 0, text));
        }
    }
}
