//! Doubt (rule 11 of the design): the ACTIVE node is not failed for saying nothing to us while it speaks to a replica; and the
//! last resort (rule 8), which waits too.

use super::event::{EventKind, Severity};
use super::outbox::Outbox;
use super::pool_machine::PoolMachine;
use super::time::{Now, Time};
use crate::config::{LastResort, OnDoubt};
use crate::policy::rule_sentence;
use crate::pool::evidence::source_of;
use crate::pool::node::Hearing;
use crate::probe::{Class, ThreadState};

impl PoolMachine {
    /// Takes in what an observation of a replica says about the ACTIVE node in doubt.
    ///
    /// Only a change between two observations that both began after the ACTIVE node's first bad one is evidence; it
    /// happened after the first of the two began.
    pub(super) fn listen(&mut self, node: usize, started: Time) {
        let (Some(active), Some(since)) = (self.judge.active(), self.doubt_since) else { return };
        if node == active || started < since {
            return;
        }
        let n = &self.nodes[node];
        let channels = n.last_facts().and_then(|facts| facts.channels.as_deref()).unwrap_or_default();
        let answered = n.last.as_ref().is_some_and(|last| last.class().answered());
        let from_active = channels
            .iter()
            .filter(|c| c.io == ThreadState::Running && source_of(&self.nodes, node, c) == Some(active));
        // Several channels from one source do not occur; if they did, all of them must say something.
        let token = from_active.map(|c| c.received).reduce(|a, b| Some(a? ^ b?.rotate_left(1))).flatten();
        let hearing = &mut self.nodes[node].hearing;
        hearing.looks += u32::from(answered);
        let before = hearing.last;
        hearing.last = token.map(|token| (token, started));
        if let (Some((old, began)), Some(new)) = (before, token)
            && old != new
        {
            hearing.heard = Some(began);
        }
    }

    /// The doubt began or ended: what was heard before says nothing about the next one.
    pub(super) fn forget_hearing(&mut self) {
        self.nodes.iter_mut().for_each(|n| n.hearing = Hearing::default());
        self.held_since = None;
    }

    /// The replicas that hear the ACTIVE node in doubt, each with the time until which that counts.
    fn hearers(&self, now: Time) -> impl Iterator<Item = (usize, Time)> + '_ {
        let silence = self.judge.active().map(|a| self.nodes[a].config.probe.silence).unwrap_or_default();
        let nodes = self.nodes.iter().enumerate().filter(|(i, _)| !self.judge.is_removed(*i));
        nodes
            .filter_map(move |(i, n)| Some((i, n.hearing.heard? + silence)))
            .filter(move |(_, until)| *until > now)
    }

    /// Whether any replica hears the ACTIVE node in doubt.
    pub(super) fn is_heard(&self, now: Time) -> bool {
        self.hearers(now).next().is_some()
    }

    /// Whether the ACTIVE node has been held in doubt for as long as the configuration has it.
    pub(super) fn doubt_is_over(&self, now: Time) -> bool {
        self.config.on_doubt == OnDoubt::Fail
            && self.held_since.is_some_and(|since| now.since(since) >= self.config.doubt_deadline)
    }

    /// When a doubt in which the ACTIVE node is held has to be looked at again.
    pub(super) fn doubt_timer(&self, now: Time) -> Option<Time> {
        let since = self.held_since?;
        let deadline = (self.config.on_doubt == OnDoubt::Fail).then(|| since + self.config.doubt_deadline);
        let heard_until = self.hearers(now).map(|(_, until)| until).max();
        deadline.into_iter().chain(heard_until).filter(|&at| at > now).min()
    }

    /// Whether a held ACTIVE node is to be judged anew, for the reason to hold it has gone.
    pub(super) fn doubt_is_due(&self, now: Time) -> bool {
        self.held_since.is_some() && (!self.is_heard(now) || self.doubt_is_over(now))
    }

    /// The rules hold the ACTIVE node in doubt: one alarm says who hears it.
    pub(super) fn hold_in_doubt(&mut self, now: Now, rule: u16, out: &mut Outbox) {
        let active = self.judge.active();
        if self.held_since.is_none() {
            self.held_since = Some(now.mono);
            let text =
                format!("{}: {}", rule_sentence(rule).unwrap_or_default(), self.hearers_in_words(now.mono));
            out.emit(now, self.draft(EventKind::Doubt, Severity::Alarm, active, rule, text));
        }
    }

    /// Who hears the ACTIVE node, and what becomes of it.
    pub(super) fn hearers_in_words(&self, now: Time) -> String {
        let names: Vec<&str> = self.hearers(now).map(|(i, _)| self.nodes[i].name.as_str()).collect();
        let then = match self.config.on_doubt {
            OnDoubt::Hold => "it is held for as long as that lasts".to_string(),
            OnDoubt::Fail => format!("it is held for at most {:?}", self.config.doubt_deadline),
        };
        format!("heard by {}; {then}", names.join(", "))
    }

    /// Whether a stand-in has yet to say twice what it hears: the ACTIVE node in doubt says nothing itself.
    pub(super) fn owes_hearing(&self, node: usize) -> bool {
        let last = self.judge.active().and_then(|a| self.nodes[a].last.as_ref());
        last.is_some_and(|o| matches!(o.class(), Class::Hung | Class::Silent))
            && self.nodes[node].hearing.looks < 2
    }

    /// When a good node that waits for `recover` may take over after all.
    fn last_resort_at(&self) -> Option<Time> {
        match self.config.last_resort {
            LastResort::After(wait) => Some(self.barred_since? + wait),
            LastResort::Alarm | LastResort::Never => None,
        }
    }

    /// Whether that time has come.
    pub(super) fn last_resort_is_due(&self, now: Time) -> bool {
        self.last_resort_at().is_some_and(|at| at <= now)
    }

    /// The timer for it.
    pub(super) fn last_resort_timer(&self, now: Time) -> Option<Time> {
        self.last_resort_at().filter(|&at| at > now)
    }
}
