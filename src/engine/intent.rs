//! The intent to fail (DESIGN: persistence): what the cache holds of a decision that may come at any moment.
//!
//! A switch never waits for the disk, so a process can die after others have seen the new ACTIVE node and before the
//! cache knows of it. The ACTIVE node whose role the next bad observation could take is therefore marked beforehand, in
//! the background; a new life that finds the mark lets the node wait for `recover`. A decision that comes without a mark
//! before it, because one observation was enough, asks for the mark ahead of everything else that it does.

use super::event::{EventKind, Severity};
use super::outbox::Outbox;
use super::pool_machine::PoolMachine;
use super::telling::Before;
use super::time::Now;
use crate::policy::rule_sentence;
use crate::policy::safe::restart::{self, BARRED_BY_INTENT};
use crate::pool::{Judge, PoolKind, State};
use crate::store::StoredPool;

impl PoolMachine {
    /// Brings the mark of every node up to date; a change of it is written.
    pub(super) fn note_intent(&mut self, now: Now, before: &Before, out: &mut Outbox) {
        // In a pool that follows, the nodes themselves say who has the role, after a crash too. And a router holds nothing
        // that another one could lack: whoever had its role, it may have it again.
        if self.has_no_use_for_marks() {
            return;
        }
        let Judge::Safe { model, settings, .. } = &self.judge else { return };
        let brink = model.active().is_some_and(|a| self.nodes[a].window.is_at_the_brink());
        let doomed = model.intends_to_fail(settings, brink, self.last_resort_is_due(now.mono));
        if let Some(unmarked) = self.failed_without_mark(before) {
            out.intents.push((self.index, unmarked));
        }
        for i in 0..self.nodes.len() {
            let kept = self.judge.waits_for_recover(i) && self.judge.state(i).is_failed();
            let node = &mut self.nodes[i];
            // A failed node keeps the mark that it came with: it tells why the node waits. What fails in this life waits
            // for what was seen of it.
            let mark = doomed == Some(i) || (node.intent && kept && before.nodes[i].0 != State::Active);
            out.dirty |= core::mem::replace(&mut node.intent, mark) != mark;
        }
    }

    fn has_no_use_for_marks(&self) -> bool {
        self.following.is_some() || self.config.kind == PoolKind::Router
    }

    /// The pool as it was, with the mark, if its ACTIVE node has just been failed and bore none.
    fn failed_without_mark(&self, before: &Before) -> Option<StoredPool> {
        let old =
            before.active.filter(|&old| !self.nodes[old].intent && self.judge.state(old).is_failed())?;
        let mut pool = self.stored();
        pool.epoch = before.epoch;
        for (i, node) in pool.nodes.iter_mut().enumerate() {
            (node.state, node.status, node.count) = before.nodes[i];
        }
        let node = pool.nodes.get_mut(old)?;
        (node.intent, node.waits_for_recover) = (true, false);
        Some(pool)
    }

    /// Probing ends in good order, so nothing is decided that is not on record: no mark is needed.
    pub(super) fn withdraw_intent(&mut self, out: &mut Outbox) {
        let Some(active) = self.judge.active() else { return };
        out.dirty |= core::mem::take(&mut self.nodes[active].intent);
    }

    /// Decides what becomes of the node that was ACTIVE when the last life ended.
    pub(super) fn resume(&mut self, now: Now, stored: &StoredPool, out: &mut Outbox) {
        if self.has_no_use_for_marks() {
            return;
        }
        let marked = |name: &str| stored.nodes.iter().find(|n| n.intent && n.name == name);
        for i in 0..self.nodes.len() {
            let mark = self.judge.waits_for_recover(i) && marked(&self.nodes[i].name).is_some();
            self.nodes[i].intent = mark;
            if mark {
                self.begin_message(i, BARRED_BY_INTENT);
            }
        }
        let before = self.before();
        let Judge::Safe { model, settings, .. } = &mut self.judge else { return };
        let intent = model.active().and_then(|a| marked(&self.nodes[a].name)).is_some();
        let Some((rule, node)) = restart::resume(model, settings, intent).filter(|_| intent) else { return };
        // The document that was read bears it.
        self.nodes[node].intent = true;
        self.nodes[node].rule = rule;
        self.begin_message(node, rule);
        if rule == BARRED_BY_INTENT {
            self.tell(now, &before, out);
            self.nodes[node].intent = true;
        } else {
            self.nodes[node].intent = false;
            let text = format!("{}: {}", self.nodes[node].name, rule_sentence(rule).unwrap_or_default());
            out.emit(now, self.draft(EventKind::LastNode, Severity::Warning, Some(node), rule, text));
        }
        out.dirty = true;
    }

    /// The stored message of a node says first what a new life made of it.
    fn begin_message(&mut self, node: usize, rule: u16) {
        let sentence = rule_sentence(rule).unwrap_or_default();
        let message = &mut self.nodes[node].stored_message;
        if message.is_empty() {
            sentence.clone_into(message);
        } else if !message.starts_with(sentence) {
            *message = format!("{sentence} ({message})");
        }
    }
}
