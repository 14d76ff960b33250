//! What changed in a pool becomes epoch, events and a stored state.

use super::event::{EventKind, Severity};
use super::outbox::{Draft, Outbox};
use super::pool_machine::{EPOCH_RESERVE, PoolMachine};
use super::time::Now;
use crate::policy::rule_sentence;
use crate::policy::safe::restart::BARRED_BY_INTENT;
use crate::pool::node::Window;
use crate::pool::{Judge, PoolStatus, State, Status};
use crate::probe::Cause;

/// State, status and role of all nodes before a change, to tell afterwards what changed.
pub(super) struct Before {
    pub(super) nodes: Vec<(State, Status, Option<u32>)>,
    pub(super) active: Option<usize>,
    pub(super) epoch: u64,
    status: PoolStatus,
}

impl PoolMachine {
    /// A doubt about the ACTIVE node begins or ends: by the row of `CHARGE` given.
    pub(super) fn tell_doubt(
        &mut self,
        now: Now,
        in_doubt: bool,
        charge: u16,
        before: &Before,
        out: &mut Outbox,
    ) {
        let active = self.judge.active();
        match (self.doubt_since, in_doubt) {
            (None, true) => {
                self.doubt_since = Some(now.mono);
                self.forget_hearing();
                let text =
                    "first bad observation of the ACTIVE node: it and the stand-ins are looked at closely";
                out.emit(
                    now,
                    self.draft(
                        EventKind::Doubt,
                        self.urgency(active, Severity::Warning),
                        active,
                        charge,
                        text.into(),
                    ),
                );
            }
            (Some(_), false) => {
                self.doubt_since = None;
                self.forget_hearing();
                if before.active == active {
                    let text = "the ACTIVE node answers again".to_string();
                    out.emit(now, self.draft(EventKind::Relief, Severity::Info, active, charge, text));
                }
            }
            _ => {}
        }
    }

    pub(super) fn tell_hand_over(
        &self,
        now: Now,
        severity: Severity,
        node: Option<usize>,
        rule: u16,
        out: &mut Outbox,
    ) {
        let text = rule_sentence(rule).unwrap_or_default().to_string();
        out.emit(now, self.draft(EventKind::HandOver, severity, node, rule, text));
    }

    pub(super) fn before(&self) -> Before {
        let judge = &self.judge;
        Before {
            nodes: (0..judge.len()).map(|i| (judge.state(i), self.status_of(i), judge.count(i))).collect(),
            active: judge.active(),
            epoch: self.epoch,
            status: self.status,
        }
    }

    /// Carries out a change that is not an observation and tells what became of it.
    pub fn change<T>(&mut self, now: Now, out: &mut Outbox, change: impl FnOnce(&mut PoolMachine) -> T) -> T {
        let before = self.before();
        let answer = change(self);
        self.tell(now, &before, out);
        answer
    }

    /// Turns the difference to `before` into epoch, events and a stored state.
    pub(super) fn tell(&mut self, now: Now, before: &Before, out: &mut Outbox) {
        self.note_intent(now, before, out);
        let active = self.judge.active();
        if active != before.active {
            self.tally.switches += 1;
            self.epoch = self.epoch.max(self.epoch_floor).saturating_add(1);
            out.dirty = true;
        }
        if self.epoch.saturating_add(EPOCH_RESERVE / 2) > self.epoch_reserved {
            self.epoch_reserved = self.epoch.saturating_add(EPOCH_RESERVE);
            out.dirty = true;
        }
        self.settle_status();
        for (i, &(state, status, count)) in before.nodes.iter().enumerate() {
            let (new_state, new_status) = (self.judge.state(i), self.status_of(i));
            if new_state != state {
                self.nodes[i].standby_since = (new_state == State::Standby).then_some(now.mono);
            }
            // Whoever asks for an ACTIVE node that does not serve is told since when that is so.
            let silenced = (status == Status::Fail) != (new_status == Status::Fail);
            if new_state != state || new_state == State::Active && silenced {
                self.nodes[i].changed_ms = now.wall_ms;
            }
            if new_state != state || self.judge.status(i) == Status::Fail {
                // What led to this is settled by it.
                self.nodes[i].window = Window::default();
            }
            let stored_count = matches!(self.judge, Judge::Mpp { .. }) && count != self.judge.count(i);
            out.dirty |= new_state != state || new_status != status || stored_count;
            let kind = match (new_state != state, new_status != status) {
                (true, _) => EventKind::State,
                (false, true) => EventKind::Status,
                (false, false) => continue,
            };
            let severity = match (new_state.is_failed(), new_status) {
                (true, _) if kind == EventKind::State => Severity::Alarm,
                (_, Status::Fail) => Severity::Alarm,
                (_, Status::Ok | Status::OkInfo) => Severity::Info,
                _ => Severity::Warning,
            };
            let rule = self.nodes[i].rule;
            let mut draft = self.draft(kind, self.urgency(Some(i), severity), Some(i), rule, self.words(i));
            draft.state = (state, new_state);
            draft.status = (status, new_status);
            out.emit(now, draft);
        }
        if self.status != before.status {
            out.dirty = true;
            let severity = if self.status == PoolStatus::Fail { Severity::Alarm } else { Severity::Info };
            let (rule, text) = self.status_in_words();
            let severity = self.urgency(self.judge.active(), severity);
            out.emit(now, self.draft(EventKind::PoolStatus, severity, None, rule, text));
        }
        if active != before.active {
            self.tell_switch(now, before.active, active, out);
        }
    }

    pub(super) fn tell_switch(&mut self, now: Now, old: Option<usize>, new: Option<usize>, out: &mut Outbox) {
        let name = |i: Option<usize>| i.map_or("none", |i| self.nodes[i].name.as_str());
        let rule = new.or(old).map_or(0, |i| self.nodes[i].rule);
        let reason = rule_sentence(rule).unwrap_or("the ACTIVE node changed");
        let text = format!("ACTIVE was {}, is {}: {reason}", name(old), name(new));
        // A planned move wakes nobody: its old ACTIVE has not failed.
        let severity = match (old, new) {
            (Some(_), None) => Severity::Alarm,
            (Some(old), _) if self.judge.state(old).is_failed() => Severity::Alarm,
            _ => Severity::Info,
        };
        let mut draft = self.draft(EventKind::Switch, severity, new, rule, text);
        draft.cause = old.and_then(|i| self.nodes[i].last.as_ref()).map_or(Cause::Ok, |o| o.cause);
        out.emit(now, draft);
    }

    /// Under `safe` the pool's status follows from its nodes.
    pub(super) fn settle_status(&mut self) {
        if let Judge::Safe { model, settings, .. } = &self.judge {
            let fail = match model.active() {
                Some(a) => model.status(a, settings) == Status::Fail,
                None => model.is_settled(settings),
            };
            self.status = if fail { PoolStatus::Fail } else { PoolStatus::Ok };
        }
    }

    pub(super) fn words(&self, node: usize) -> String {
        let sentence = rule_sentence(self.nodes[node].rule).unwrap_or_default();
        let mut text = match self.nodes[node].last.as_ref().map(|o| o.message.as_str()) {
            None | Some("") => sentence.to_string(),
            Some(message) => format!("{sentence} ({message})"),
        };
        if self.nodes[node].intent
            && self.nodes[node].rule != BARRED_BY_INTENT
            && self.judge.waits_for_recover(node)
        {
            text.push_str("; ");
            text.push_str(rule_sentence(BARRED_BY_INTENT).unwrap_or_default());
        }
        text
    }

    /// What an event about a node, or about the pool, says.
    pub fn draft(
        &self,
        kind: EventKind,
        severity: Severity,
        node: Option<usize>,
        rule: u16,
        message: String,
    ) -> Draft {
        let state = node.map_or(State::Unknown, |i| self.judge.state(i));
        let status = node.map_or(Status::Ok, |i| self.status_of(i));
        Draft {
            kind,
            severity,
            pool: self.config.name.clone(),
            node: node.map_or(String::new(), |i| self.nodes[i].name.clone()),
            epoch: self.epoch,
            rule,
            state: (state, state),
            status: (status, status),
            cause: node.and_then(|i| self.nodes[i].last.as_ref()).map_or(Cause::Ok, |o| o.cause),
            message,
            count: 0,
        }
    }
}
