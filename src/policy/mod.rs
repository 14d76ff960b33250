//! The rule tables.

pub mod budget;
pub mod follow;
pub mod mpp;
pub mod reload;
pub mod safe;
pub mod serving;

use crate::pool::{PolicyName, PoolKind};

/// A command's refusal: the rule, and what stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule that refuses.
    pub rule: u16,
    /// What stands in the way, in words.
    pub reason: String,
}

/// The numbers of the rules that judge such a pool, refusals and steps outside the tables too.
pub fn rules(policy: PolicyName, kind: PoolKind) -> Box<dyn Iterator<Item = u16>> {
    let steps = |steps: &'static [(u16, &'static str)]| steps.iter().map(|step| step.0);
    match policy {
        PolicyName::Mpp => Box::new(
            (mpp::RULES.iter().map(|rule| rule.number))
                .chain(steps(&mpp::STEPS))
                .chain(steps(&mpp::orders::ORDERS)),
        ),
        PolicyName::Safe => {
            let health = (safe::table::CHARGE.iter().map(|rule| rule.number))
                .chain(safe::table::STATE.iter().map(|rule| rule.number))
                .chain(steps(&safe::table::COMMANDS))
                .chain(steps(&safe::table::NOTICES));
            if matches!(kind, PoolKind::Group | PoolKind::Replicated) {
                let role = follow::FOLLOW.iter().map(|rule| rule.number);
                Box::new(health.chain(role).chain(steps(&follow::table::COMMANDS)))
            } else {
                let role = safe::table::ROLE.iter().map(|rule| rule.number);
                let of_ring = health.chain(role).chain(safe::restart::RESTART.iter().map(|rule| rule.number));
                let owned = follow::OWNER.iter().map(|rule| rule.number);
                Box::new(of_ring.chain(owned.filter(move |_| kind == PoolKind::Router)))
            }
        }
    }
}

/// The sentence of a rule of either policy, of the serve matrix, of a service, or of a change of the configuration.
pub fn rule_sentence(number: u16) -> Option<&'static str> {
    let fixed = || reload::FIXED.iter().find(|r| r.number == number).map(|r| r.sentence);
    let in_steps = |steps: &[(u16, &'static str)]| steps.iter().find(|s| s.0 == number).map(|s| s.1);
    let mpp = mpp::RULES.iter().find(|r| r.number == number).map(|r| r.sentence);
    let charge = || safe::table::CHARGE.iter().find(|r| r.number == number).map(|r| r.sentence);
    let state = || safe::table::STATE.iter().find(|r| r.number == number).map(|r| r.sentence);
    let role = || safe::table::ROLE.iter().find(|r| r.number == number).map(|r| r.sentence);
    let restart = || safe::restart::RESTART.iter().find(|r| r.number == number).map(|r| r.sentence);
    let follow = || follow::FOLLOW.iter().find(|r| r.number == number).map(|r| r.sentence);
    let owner = || follow::OWNER.iter().find(|r| r.number == number).map(|r| r.sentence);
    let serving = || serving::RULES.iter().find(|r| r.number == number).map(|r| r.sentence);
    mpp.or_else(|| in_steps(&mpp::STEPS))
        .or_else(|| in_steps(&mpp::orders::ORDERS))
        .or_else(charge)
        .or_else(state)
        .or_else(role)
        .or_else(restart)
        .or_else(|| in_steps(&safe::table::COMMANDS))
        .or_else(|| in_steps(&safe::table::NOTICES))
        .or_else(follow)
        .or_else(owner)
        .or_else(|| in_steps(&follow::table::COMMANDS))
        .or_else(fixed)
        .or_else(|| in_steps(&reload::STEPS))
        .or_else(serving)
        .or_else(|| crate::select::standing::sentence(number))
}
