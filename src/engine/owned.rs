//! Pools of routers whose address somebody owns: who holds it is ACTIVE.

use super::event::{EventKind, Severity};
use super::input::Command;
use super::outbox::Outbox;
use super::pool_machine::PoolMachine;
use super::telling::Before;
use super::time::Now;
use crate::policy::follow::{OWNER, Owner, OwnerAction, evaluate_owned};
use crate::policy::safe::table::{ACTIVATE_PRIMARY_REFUSED, IN_FORCE};
use crate::policy::safe::{Occasion, Pin};
use crate::policy::{Refusal, rule_sentence};
use crate::pool::{Judge, PoolKind};
use core::fmt::Write;

impl PoolMachine {
    /// From here on the node of the host that holds the address is ACTIVE. Ignored in a pool of another kind.
    pub(super) fn owned(&mut self, now: Now, node: Option<usize>, out: &mut Outbox) {
        if self.config.kind != PoolKind::Router {
            return;
        }
        let known = node.filter(|&node| node < self.nodes.len());
        let owner = known.map_or(Owner::Nobody, Owner::Node);
        if self.owner.replace(owner) != Some(owner) {
            self.gate.close();
            self.evaluate(now, Occasion::Look, out);
        }
    }

    /// Runs the tables on an occasion and carries out what they decide. Only an observation and a look mean anything.
    pub(super) fn decide_by_owner(
        &mut self,
        now: Now,
        owner: Owner,
        occasion: Occasion,
        before: &Before,
        out: &mut Outbox,
    ) {
        let Judge::Safe { model, settings, .. } = &mut self.judge else { return };
        let observed = match occasion {
            Occasion::Observed(node, evidence) => Some((node, evidence)),
            Occasion::Look | Occasion::Proven | Occasion::Expired => None,
        };
        let verdict = evaluate_owned(model, owner, &IN_FORCE, OWNER, settings, observed);
        let in_doubt = model.in_doubt();
        let role = verdict.role.map(|(rule, _)| rule);
        [verdict.charge, verdict.state].into_iter().chain(role).for_each(|rule| self.tally.fired(rule));
        if let Some((node, _)) = observed {
            let kept = before.nodes[node].0 == self.judge.state(node);
            self.nodes[node].rule = if kept { verdict.charge } else { verdict.state };
        }
        let active = self.judge.active();
        match verdict.role {
            Some((rule, OwnerAction::Follow | OwnerAction::Drop)) => {
                self.alarmed.clear();
                self.blame(before.active, rule);
                self.blame(active, rule);
            }
            Some((rule, OwnerAction::KeepLast)) => {
                if !self.alarmed.contains(&rule) {
                    self.alarmed.push(rule);
                    let text = rule_sentence(rule).unwrap_or_default().to_string();
                    let severity = self.urgency(active, Severity::Alarm);
                    out.emit(now, self.draft(EventKind::LastNode, severity, active, rule, text));
                }
            }
            Some((_, OwnerAction::Keep)) if self.active_failed() => {}
            Some((_, OwnerAction::Keep)) => self.alarmed.clear(),
            None => {}
        }
        self.tell_doubt(now, in_doubt, verdict.charge, before, out);
    }

    /// A command that means something else here; `None` if it does not.
    pub(super) fn obey_owned(
        &self,
        command: &Command,
    ) -> Option<core::result::Result<(u16, Option<usize>), Refusal>> {
        self.owner?;
        match command {
            Command::ActivatePrimary(_) => Some(Err(Refusal {
                rule: ACTIVATE_PRIMARY_REFUSED,
                reason: "who holds the address is ACTIVE: move the address to the PRIMARY's host instead"
                    .into(),
            })),
            _ => None,
        }
    }

    /// What would change who is ACTIVE, for `explain`.
    pub(super) fn explain_owned(&self, text: &mut String) -> core::fmt::Result {
        let Judge::Safe { model, .. } = &self.judge else { return Ok(()) };
        if model.frozen {
            writeln!(
                text,
                "  an operator froze the pool: `primacy unfreeze` lets the role follow the address"
            )?;
        }
        if let Some(a) = model.active().filter(|&a| model.members[a].pin == Pin::Fixed) {
            let name = &self.nodes[a].name;
            writeln!(text, "  an operator fixed the role on {name}: `primacy unset {name}` changes that")?;
        }
        match self.owner {
            Some(Owner::Node(node)) => {
                let name = self.nodes.get(node).map_or("", |node| node.name.as_str());
                writeln!(text, "  the host of {name} holds the address: the role moves when the address does")
            }
            Some(Owner::Nobody) => {
                writeln!(
                    text,
                    "  no host of this pool holds the address: a claim by one of them changes that"
                )
            }
            Some(Owner::Untold) | None => {
                writeln!(
                    text,
                    "  it is not known yet who holds the address: the first word of its owner changes that"
                )
            }
        }
    }
}
