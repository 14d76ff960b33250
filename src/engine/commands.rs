//! Operators' commands: judged by rules like everything else, told as events, stored like decisions.

use super::Engine;
use super::event::Severity;
use super::input::{Answer, Command, LONGEST_LIMIT, NodeRef, SHORTEST_LIMIT};
use super::pool_machine::PoolMachine;
use super::time::Now;
use crate::error::{Error, ErrorCode, Result};
use crate::policy::safe::command;
use crate::policy::safe::model::Model;
use crate::policy::{mpp, rule_sentence};
use crate::pool::overrides::reason_fault;
use crate::pool::{Judge, NodeType, PoolStatus};

/// What a command did.
pub struct Done {
    /// The rule that allowed it.
    pub rule: u16,
    /// The node it was about.
    pub node: Option<usize>,
    /// What was done, in words.
    pub message: String,
    /// How urgent it is that somebody knows.
    pub severity: Severity,
}

impl Engine {
    /// Carries out an operator's command, or refuses it by rule ([`ErrorCode::Refused`]).
    pub fn command(&mut self, now: Now, command: Command) -> Result<Answer> {
        let index = command.pool();
        let pool = self.pools.get_mut(index).ok_or_else(|| not_found("pool", index))?;
        if let Some(NodeRef { node, .. }) = command.node()
            && (node >= pool.nodes.len()
                || (pool.judge.is_removed(node) && matches!(command, Command::RecoverNode(_))))
        {
            return Err(not_found("node", node));
        }
        check_order(&command)?;
        let done = pool.command(now, &command, &mut self.out)?;
        self.touched.clear();
        self.touched.push(index);
        if let Command::RemoveNode(node) = command {
            // The driver lets go of what it does for the node: no answer comes that a cycle could wait for.
            pool.nodes[node.node].schedule.in_flight = None;
            pool.close_if_complete(now, &mut self.out);
            self.vantage.forget(node, &self.pools);
        }
        self.settle(now);
        Ok(Answer {
            message: done.message,
            rule: done.rule,
            sequence: self.written + u64::from(self.out.dirty),
        })
    }
}

fn not_found(what: &str, index: usize) -> Error {
    Error::new(ErrorCode::NotFound, format!("there is no {what} number {index}"))
}

/// Reason and time limit of an order, and that it orders something.
fn check_order(command: &Command) -> Result<()> {
    let (Command::Override { reason, limit, .. }
    | Command::Freeze { reason, limit, .. }
    | Command::Maintenance { reason, limit, .. }) = command
    else {
        return Ok(());
    };
    let invalid = |text: String| Err(Error::new(ErrorCode::Invalid, text));
    if matches!(command, Command::Override { set, .. } if set.is_empty()) {
        return invalid("the override sets nothing: give a state, a status, a type or a weight".into());
    }
    if let Some(fault) = reason_fault(reason) {
        return invalid(fault);
    }
    match limit {
        Some(limit) if !(SHORTEST_LIMIT..=LONGEST_LIMIT).contains(limit) => {
            invalid(format!("the time limit is {limit:?}: give one second to 366 days, or none"))
        }
        _ => Ok(()),
    }
}

fn refused(pool: &str, rule: u16, reason: &str) -> Error {
    let sentence = rule_sentence(rule).unwrap_or_default();
    Error::new(ErrorCode::Refused, format!("pool {pool}: refused by rule {rule}: {sentence}: {reason}"))
}

impl PoolMachine {
    pub(super) fn obey(&mut self, now: Now, command: &Command) -> Result<Done> {
        if let Some(no) = self.cannot_move(command) {
            return Err(refused(&self.config.name, no.rule, &no.reason));
        }
        match command {
            Command::RecoverNode(_)
            | Command::RecoverPool(_)
            | Command::ActivatePrimary(_)
            | Command::RemoveNode(_) => self.move_by_command(command),
            _ => {
                let name = self.config.name.clone();
                self.order(now, command).map_err(|no| {
                    self.tally.fired(no.rule);
                    refused(&name, no.rule, &no.reason)
                })
            }
        }
    }

    fn move_by_command(&mut self, command: &Command) -> Result<Done> {
        let active = self.judge.active();
        let name = self.config.name.clone();
        let elsewhere = self.obey_owned(command).or_else(|| self.obey_following(command));
        let answer = match (elsewhere, &mut self.judge) {
            (Some(answer), _) => answer,
            (None, Judge::Safe { model, settings, .. }) => match command {
                Command::RecoverNode(r) => {
                    command::recover(model, settings, r.node).map(|rule| (rule, Some(r.node)))
                }
                Command::RecoverPool(_) => Ok((command::recover_pool(model, settings), None)),
                Command::ActivatePrimary(_) => {
                    command::activate_primary(model).map(|rule| (rule, primary_of(model)))
                }
                Command::RemoveNode(r) => command::remove(model, r.node).map(|rule| (rule, Some(r.node))),
                _ => Ok((0, None)),
            },
            (None, Judge::Mpp { members, settings }) => match command {
                Command::RecoverNode(r) => {
                    mpp::recover(&mut members[r.node]).map(|rule| (rule, Some(r.node)))
                }
                Command::RecoverPool(_) => Ok((mpp::RECOVER_POOL, None)),
                Command::ActivatePrimary(_) => mpp::activate_primary(members, settings.frozen),
                Command::RemoveNode(r) => mpp::remove(members, r.node),
                _ => Ok((0, None)),
            },
        };
        let (rule, node) = answer.map_err(|no| {
            self.tally.fired(no.rule);
            refused(&name, no.rule, &no.reason)
        })?;
        match command {
            Command::ActivatePrimary(_) => self.gate.forget_waiting(),
            Command::RecoverPool(_) => self.status = PoolStatus::Ok,
            Command::RemoveNode(r) => self.forget_orders(r.node),
            _ => {}
        }
        let new = self.judge.active().filter(|&new| Some(new) != active);
        for node in [node, new].into_iter().flatten() {
            self.nodes[node].rule = rule;
        }
        let sentence = rule_sentence(rule).unwrap_or_default();
        let message = match node {
            Some(node) => format!("{}: {sentence}", self.nodes[node].name),
            None => format!("pool {name}: {sentence}"),
        };
        Ok(Done { rule, node, message, severity: Severity::Info })
    }
}

fn primary_of(model: &Model) -> Option<usize> {
    model.members.iter().position(|m| m.node_type == NodeType::Primary)
}
