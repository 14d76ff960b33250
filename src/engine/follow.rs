//! Pools that follow: what the nodes say of their group, or of `read_only`, decides who is ACTIVE.

use super::event::{EventKind, Severity};
use super::input::Command;
use super::outbox::Outbox;
use super::pool_machine::PoolMachine;
use super::telling::Before;
use super::time::{Now, Time};
use crate::policy::follow::voice::Bar;
use crate::policy::follow::{Action, FOLLOW, Names, Voices, Word, command, evaluate};
use crate::policy::safe::table::IN_FORCE;
use crate::policy::safe::{Occasion, Pin};
use crate::policy::{Refusal, rule_sentence};
use crate::pool::word;
use crate::pool::{Judge, MaintenanceRole, PoolKind};
use crate::probe::{Cause, Class, Observation};
use core::fmt::Write;

/// What a pool that follows keeps beside its nodes' health.
#[derive(Clone, Debug)]
pub struct Following {
    /// What the nodes say.
    pub voices: Voices,
    /// Since when the others are asked about an ACTIVE node that has lost its standing.
    asked_since: Option<Time>,
}

impl Following {
    /// For a pool of this kind; `None` if the kind does not follow.
    pub fn new(kind: PoolKind, nodes: usize) -> Option<Following> {
        match kind {
            PoolKind::Ring | PoolKind::Router => None,
            PoolKind::Replicated | PoolKind::Group => {
                let voices = Voices::new(nodes, kind == PoolKind::Group);
                Some(Following { voices, asked_since: None })
            }
        }
    }
}

impl PoolMachine {
    /// Replication that stands still on the node that takes the writes is left over from its time as a replica.
    pub(super) fn forgive_left_over(
        &self,
        node: usize,
        class: Class,
        observation: &mut Observation,
    ) -> Class {
        let writes = self.config.kind == PoolKind::Replicated
            && observation.cause == Cause::ReplicationStopped
            && word::takes_writes_by(&self.nodes, node, &observation.facts)
            && word::is_left_over(&self.nodes, node, &observation.facts);
        if !writes {
            return class;
        }
        observation.cause = Cause::Ok;
        observation.errno = 0;
        observation.message.clear();
        Class::Ok
    }

    /// Takes in what an observation, which is remembered already, says about who takes writes.
    pub(super) fn hear(&mut self, node: usize, class: Class, started: Time) {
        let said = word::said(self.config.kind, &self.nodes, node, class);
        if let Some(following) = &mut self.following {
            let asked = following.asked_since.is_some_and(|since| started >= since);
            following.voices.hear(node, said, asked);
        }
    }

    /// Whether the pool waits for a word of this node before the role moves.
    pub(super) fn is_to_be_asked(&self, node: usize) -> bool {
        self.following.as_ref().is_some_and(|f| f.voices.asking && !f.voices.nodes[node].asked)
    }

    /// Runs the tables on an occasion and carries out what they decide. Only an observation and a look mean anything.
    pub(super) fn decide_by_following(
        &mut self,
        now: Now,
        occasion: Occasion,
        before: &Before,
        out: &mut Outbox,
    ) {
        let Judge::Safe { model, settings, .. } = &mut self.judge else { return };
        let Some(following) = &mut self.following else { return };
        let observed = match occasion {
            Occasion::Observed(node, evidence) => Some((node, evidence)),
            Occasion::Look | Occasion::Proven | Occasion::Expired => None,
        };
        let voices = &mut following.voices;
        let verdict = evaluate(model, voices, &IN_FORCE, FOLLOW, settings, observed);
        let in_doubt = model.in_doubt();
        following.asked_since = match voices.asking {
            true => following.asked_since.or(Some(now.mono)),
            false => None,
        };
        let role = verdict.role.map(|(rule, _)| rule);
        [verdict.charge, verdict.state].into_iter().chain(role).for_each(|rule| self.tally.fired(rule));
        if let Some((node, _)) = observed {
            let kept = before.nodes[node].0 == self.judge.state(node);
            self.nodes[node].rule = if kept { verdict.charge } else { verdict.state };
        }
        if let Some((rule, action)) = verdict.role {
            self.carry_out_following(now, rule, action, before, out);
        }
        self.tell_doubt(now, in_doubt, verdict.charge, before, out);
    }

    fn carry_out_following(
        &mut self,
        now: Now,
        rule: u16,
        action: Action,
        before: &Before,
        out: &mut Outbox,
    ) {
        let active = self.judge.active();
        match action {
            // While the others are asked, nothing is over.
            Action::Keep if before.active.is_some() && self.is_asking() => {}
            Action::Keep => self.alarmed.clear(),
            Action::Elect | Action::Follow | Action::Drop => {
                self.alarmed.clear();
                self.blame(before.active, rule);
                self.blame(active, rule);
            }
            Action::KeepContested => {
                let writers = self.contestants();
                let what =
                    writers.iter().map(|&i| format!("; {} takes writes", self.nodes[i].name)).collect();
                self.alarm_once(now, EventKind::Writers, active, rule, what, out);
            }
            Action::KeepReadOnly => {
                self.alarm_once(now, EventKind::Writers, active, rule, self.bars_in_words(), out);
            }
            Action::KeepLast => {
                // Nobody is woken while another node may still turn out to be good.
                if !self.awaits_stand_in() {
                    self.alarm_once(now, EventKind::LastNode, active, rule, self.bars_in_words(), out);
                }
                self.blame(active, rule);
            }
        }
    }

    fn alarm_once(
        &mut self,
        now: Now,
        kind: EventKind,
        node: Option<usize>,
        rule: u16,
        what: String,
        out: &mut Outbox,
    ) {
        if !self.alarmed.contains(&rule) {
            self.alarmed.push(rule);
            let text = format!("{}{what}", rule_sentence(rule).unwrap_or_default());
            let severity = self.urgency(node, Severity::Alarm);
            out.emit(now, self.draft(kind, severity, node, rule, text));
        }
    }

    fn is_asking(&self) -> bool {
        self.following.as_ref().is_some_and(|f| f.voices.asking)
    }

    fn contestants(&self) -> Vec<usize> {
        match (&self.judge, &self.following) {
            (Judge::Safe { model, .. }, Some(following)) => {
                following.voices.contestants(model, self.active_failed())
            }
            _ => Vec::new(),
        }
    }

    /// Why each node but the ACTIVE one may not get the role.
    fn follow_bars(&self) -> Vec<(usize, Option<Bar>)> {
        let (Judge::Safe { model, .. }, Some(following)) = (&self.judge, &self.following) else {
            return Vec::new();
        };
        let others =
            (0..self.nodes.len()).filter(|&i| Some(i) != model.active() && !model.members[i].removed);
        others.map(|i| (i, following.voices.bar(model, i))).collect()
    }

    fn bars_in_words(&self) -> String {
        let bars = self.follow_bars();
        let words = bars.into_iter().filter_map(|(i, bar)| Some((i, bar?)));
        words.map(|(i, bar)| format!("; {}: {}", self.nodes[i].name, bar.sentence())).collect()
    }

    /// A command that means something else here; `None` if it does not.
    pub(super) fn obey_following(
        &mut self,
        command: &Command,
    ) -> Option<core::result::Result<(u16, Option<usize>), Refusal>> {
        let voices = &self.following.as_ref()?.voices;
        let Judge::Safe { model, .. } = &mut self.judge else { return None };
        match command {
            Command::ActivatePrimary(_) => Some(Err(command::activate_primary())),
            Command::RemoveNode(r) => {
                Some(command::remove(model, voices, r.node).map(|rule| (rule, Some(r.node))))
            }
            _ => None,
        }
    }

    /// Why a command cannot move the role here; `None` if it does not try.
    pub(super) fn cannot_move(&self, command: &Command) -> Option<Refusal> {
        match command {
            Command::Maintenance { node, role: MaintenanceRole::Move, .. }
                if self.following.is_some() && self.judge.active() == Some(node.node) =>
            {
                Some(command::leave())
            }
            _ => None,
        }
    }

    /// What would change who is ACTIVE, for `explain`.
    pub(super) fn explain_following(&self, text: &mut String) -> core::fmt::Result {
        let (frozen, fixed) = match &self.judge {
            Judge::Safe { model, .. } => {
                let fixed = model.active().filter(|&a| model.members[a].pin == Pin::Fixed);
                (model.frozen, fixed)
            }
            Judge::Mpp { .. } => (false, None),
        };
        if frozen {
            writeln!(text, "  an operator froze the pool: `primacy unfreeze` lets the role follow again")?;
        }
        if let Some(a) = fixed {
            let name = &self.nodes[a].name;
            writeln!(text, "  an operator fixed the role on {name}: `primacy unset {name}` changes that")?;
        }
        let Some(active) = self.judge.active() else {
            return self.explain_candidates(text);
        };
        let name = &self.nodes[active].name;
        match (&self.judge, &self.following) {
            (Judge::Safe { model, settings, .. }, Some(following)) => {
                let left = settings.fall.saturating_sub(model.members[active].ladder.steps(settings.rise));
                if following.voices.is_denied(model, active) {
                    writeln!(
                        text,
                        "  {name} does not take writes: the role moves as soon as another node does"
                    )?;
                } else if left == 0 {
                    writeln!(
                        text,
                        "  {name} has failed: the role moves as soon as another node takes writes"
                    )?;
                } else {
                    writeln!(
                        text,
                        "  {name} keeps the role until it, or its group, says that another takes writes"
                    )?;
                    writeln!(text, "  {left} more observations of class gone, hung or silent fail {name}")?;
                }
            }
            _ => {}
        }
        let contestants = self.contestants();
        if !contestants.is_empty() {
            let names: Vec<&str> = contestants.iter().map(|&i| self.nodes[i].name.as_str()).collect();
            writeln!(
                text,
                "  {} take writes and do not belong together: SET GLOBAL read_only = 1 on all but one changes that",
                names.join(" and ")
            )?;
        }
        self.explain_candidates(text)
    }

    fn explain_candidates(&self, text: &mut String) -> core::fmt::Result {
        for (i, bar) in self.follow_bars() {
            let name = &self.nodes[i].name;
            match bar {
                None => writeln!(text, "  {name} takes writes and may get the role")?,
                Some(bar) => {
                    writeln!(
                        text,
                        "  {name} may not get the role: {}; {}",
                        bar.sentence(),
                        self.remedy(bar, name)
                    )?;
                }
            }
        }
        Ok(())
    }

    fn remedy(&self, bar: Bar, name: &str) -> String {
        let grouped = self.config.kind == PoolKind::Group;
        match bar {
            Bar::NotSeen | Bar::Mute | Bar::NotFresh => "its next good observation changes that".into(),
            Bar::Pinned(_) => format!("`primacy unset {name}` changes that"),
            Bar::Removed => "a start with an empty cache changes that".into(),
            Bar::Outside => "its return to the majority of its group changes that".into(),
            Bar::NoWrites if grouped => "the group lets it write once it has applied what came before, or SET GLOBAL read_only = 0 does".into(),
            Bar::NoWrites => "SET GLOBAL read_only = 0 on a node that replicates from no other one changes that".into(),
            Bar::NotNamed => "an election of it changes that (group_replication_set_as_primary)".into(),
            Bar::OldView => "its next view of the group changes that".into(),
            Bar::WaitsForRecover => format!("`primacy recover {name}` changes that"),
            Bar::NotStandby(_) => "it heals by itself once it is good for as many steps as `rise` asks for".into(),
            Bar::NotGood => "a good observation changes that".into(),
        }
    }

    /// What a node says about its group, for `explain`.
    pub(super) fn explain_member(&self, text: &mut String, node: usize) -> core::fmt::Result {
        if let Some(group) = &self.nodes[node].facts.group {
            let majority = if group.majority { "with" } else { "without" };
            writeln!(
                text,
                "  {} member {} of group {}, view {}, {} members, {majority} a majority",
                group.kind,
                if group.state.is_empty() { "(none)" } else { &group.state },
                if group.id.is_empty() { "(none)" } else { &group.id },
                group.view,
                group.size
            )?;
        }
        let Some(following) = &self.following else { return Ok(()) };
        match &following.voices.nodes[node].word {
            Some(Word::Member { names: Names::These(named), .. }) => {
                let names: Vec<&str> = named.iter().map(|&i| self.nodes[i].name.as_str()).collect();
                let names = if names.is_empty() { "no node of this pool".into() } else { names.join(", ") };
                writeln!(text, "  says that writes go to {names}")
            }
            Some(Word::Member { names: Names::Any, .. }) => writeln!(text, "  says that it takes writes"),
            Some(Word::Outside) => writeln!(text, "  says that it takes no writes"),
            None => Ok(()),
        }
    }
}
