//! What would change a decision, as data: inputs, and what follows from them. `explain` prints its sentences from this.

use super::time::Duration;
use crate::config::print_duration;
use crate::policy::rule_sentence;
use crate::pool::{PoolStatus, State, Status};
use core::fmt::Write;

/// How a node would be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// In good order: replication in order, writable.
    Good,
    /// In a way that fails an ACTIVE node: class gone or hung; silent if that has lasted for its share of `silence`.
    Bad,
}

/// One thing that would happen to the pool. Nodes are indices in configuration order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many observations in a row of a node; under `mpp` so many cycles, in which nobody else is looked at.
    Seen {
        /// The node.
        node: usize,
        /// How it would be seen.
        sight: Sight,
        /// How often.
        times: u32,
    },
    /// An operator recovers a node.
    Recover(usize),
    /// An operator recovers the pool.
    RecoverPool,
    /// An operator asks for the PRIMARY.
    ActivatePrimary,
    /// This much time passes, and nothing else changes.
    Wait(Duration),
}

/// What would follow, with the rule that decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The role moves to a node.
    Active(usize),
    /// The ACTIVE node reaches FAIL and keeps its role.
    KeptAtFail(usize),
    /// A node's state changes.
    Becomes(usize, State),
    /// A node's status changes.
    Reaches(usize, Status),
    /// A node may take over.
    MayTakeOver(usize),
    /// A planned hand-over to a node begins.
    HandOver(usize),
    /// The pool's status changes.
    Pool(PoolStatus),
}

/// A statement: these inputs, in this order and nothing else in between, lead to this. The last step is needed: without
/// it, or with one observation less, the outcome is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The inputs.
    pub steps: Vec<Step>,
    /// What follows.
    pub then: Outcome,
    /// The rule that decides; 0 where none does.
    pub rule: u16,
}

impl Change {
    /// The statement in words; `names` are the nodes' names in configuration order, `cycles` says that the pool is judged
    /// in cycles.
    pub fn sentence(&self, names: &[&str], cycles: bool) -> String {
        let name = |node: usize| names.get(node).copied().unwrap_or_default();
        let mut text = String::new();
        for (i, step) in self.steps.iter().enumerate() {
            text.push_str(if i == 0 { "" } else { ", then " });
            // Writing to a string cannot fail.
            let _ = match *step {
                Step::Seen { node, sight, times } => {
                    write!(text, "{}", seen(name(node), sight, times, cycles))
                }
                Step::Recover(node) => write!(text, "`primacy recover {}`", name(node)),
                Step::RecoverPool => write!(text, "`primacy recover` of the pool"),
                Step::ActivatePrimary => write!(text, "`primacy activate-primary`"),
                Step::Wait(time) => write!(text, "{}", print_duration(time)),
            };
        }
        let then = match self.then {
            Outcome::Active(node) => format!("{} is ACTIVE", name(node)),
            Outcome::KeptAtFail(node) => format!("{} stays ACTIVE at FAIL", name(node)),
            Outcome::Becomes(node, state) => format!("{} is {state}", name(node)),
            Outcome::Reaches(node, status) => format!("{} is at {status}", name(node)),
            Outcome::MayTakeOver(node) => format!("{} may take over", name(node)),
            Outcome::HandOver(node) => format!("a hand-over to {} begins", name(node)),
            Outcome::Pool(status) => format!("the pool's status is {status}"),
        };
        let _ = write!(text, ": {then}");
        if let Some(sentence) = rule_sentence(self.rule) {
            let _ = write!(text, " (rule {}: {sentence})", self.rule);
        }
        text
    }
}

fn seen(name: &str, sight: Sight, times: u32, cycles: bool) -> String {
    let plural = if times == 1 { "" } else { "s" };
    match (sight, cycles) {
        (Sight::Good, false) => format!("{times} good observation{plural} of {name}"),
        (Sight::Good, true) => format!("{times} healthy cycle{plural} of {name}"),
        (Sight::Bad, false) => {
            format!(
                "{times} more observation{plural} of {name} of class gone, hung, or silent for long enough"
            )
        }
        (Sight::Bad, true) => format!("{times} more cycle{plural} without a connection to {name}"),
    }
}
