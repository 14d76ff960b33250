//! Operators' commands: judged by rules like everything else, told as events, stored like decisions.

use super::Engine;
use super::input::{Answer, Command, NodeRef};
use super::pool_machine::PoolMachine;
use super::time::Now;
use crate::error::{Error, ErrorCode, Result};
use crate::policy::safe::command;
use crate::policy::safe::model::Model;
use crate::policy::{mpp, rule_sentence};
use crate::pool::{Judge, NodeType, PoolStatus};

/// What a command did.
pub struct Done {
    /// The rule that allowed it.
    pub rule: u16,
    /// The node it was about.
    pub node: Option<usize>,
    /// What was done, in words.
    pub message: String,
}

impl Engine {
    /// Carries out an operator's command, or refuses it by rule ([`ErrorCode::Refused`]).
    pub fn command(&mut self, now: Now, command: Command) -> Result<Answer> {
        let index = match &command {
            Command::RecoverNode(r) | Command::RemoveNode(r) => r.pool,
            Command::RecoverPool(pool) | Command::ActivatePrimary(pool) => *pool,
        };
        let pool = self.pools.get_mut(index).ok_or_else(|| not_found("pool", index))?;
        if let Command::RecoverNode(NodeRef { node, .. }) | Command::RemoveNode(NodeRef { node, .. }) =
            command
            && (node >= pool.nodes.len()
                || (pool.judge.is_removed(node) && matches!(command, Command::RecoverNode(_))))
        {
            return Err(not_found("node", node));
        }
        let done = pool.command(now, &command, &mut self.out)?;
        self.touched.clear();
        self.touched.push(index);
        if let Command::RemoveNode(node) = command {
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

fn refused(pool: &str, rule: u16, reason: &str) -> Error {
    let sentence = rule_sentence(rule).unwrap_or_default();
    Error::new(ErrorCode::Refused, format!("pool {pool}: refused by rule {rule}: {sentence}: {reason}"))
}

impl PoolMachine {
    pub(super) fn obey(&mut self, command: &Command) -> Result<Done> {
        let name = self.config.name.clone();
        let answer = match &mut self.judge {
            Judge::Safe { model, settings, .. } => match command {
                Command::RecoverNode(r) => {
                    command::recover(model, settings, r.node).map(|rule| (rule, Some(r.node)))
                }
                Command::RecoverPool(_) => Ok((command::recover_pool(model, settings), None)),
                Command::ActivatePrimary(_) => {
                    command::activate_primary(model).map(|rule| (rule, primary_of(model)))
                }
                Command::RemoveNode(r) => command::remove(model, r.node).map(|rule| (rule, Some(r.node))),
            },
            Judge::Mpp { members, .. } => match command {
                Command::RecoverNode(r) => Ok((mpp::recover(&mut members[r.node]), Some(r.node))),
                Command::RecoverPool(_) => Ok((mpp::RECOVER_POOL, None)),
                Command::ActivatePrimary(_) => mpp::activate_primary(members),
                Command::RemoveNode(r) => mpp::remove(members, r.node),
            },
        };
        let (rule, node) = answer.map_err(|no| {
            self.tally.fired(no.rule);
            refused(&name, no.rule, &no.reason)
        })?;
        match command {
            Command::ActivatePrimary(_) => self.gate.forget_waiting(),
            Command::RecoverPool(_) => self.status = PoolStatus::Ok,
            Command::RecoverNode(_) | Command::RemoveNode(_) => {}
        }
        if let Some(node) = node {
            self.nodes[node].rule = rule;
        }
        let sentence = rule_sentence(rule).unwrap_or_default();
        let message = match node {
            Some(node) => format!("{}: {sentence}", self.nodes[node].name),
            None => format!("pool {name}: {sentence}"),
        };
        Ok(Done { rule, node, message })
    }
}

fn primary_of(model: &Model) -> Option<usize> {
    model.members.iter().position(|m| m.node_type == NodeType::Primary)
}
