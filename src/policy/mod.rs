//! The rule tables.

pub mod budget;
pub mod mpp;
pub mod reload;
pub mod safe;
pub mod serving;

/// A command's refusal: the rule, and what stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule that refuses.
    pub rule: u16,
    /// What stands in the way, in words.
    pub reason: String,
}

/// The sentence of a rule of either policy, or of a change of the configuration.
pub fn rule_sentence(number: u16) -> Option<&'static str> {
    let fixed = || reload::FIXED.iter().find(|r| r.number == number).map(|r| r.sentence);
    let in_steps = |steps: &[(u16, &'static str)]| steps.iter().find(|s| s.0 == number).map(|s| s.1);
    let mpp = mpp::RULES.iter().find(|r| r.number == number).map(|r| r.sentence);
    let charge = || safe::table::CHARGE.iter().find(|r| r.number == number).map(|r| r.sentence);
    let state = || safe::table::STATE.iter().find(|r| r.number == number).map(|r| r.sentence);
    let role = || safe::table::ROLE.iter().find(|r| r.number == number).map(|r| r.sentence);
    let restart = || safe::restart::RESTART.iter().find(|r| r.number == number).map(|r| r.sentence);
    mpp.or_else(|| in_steps(&mpp::STEPS))
        .or_else(|| in_steps(&mpp::orders::ORDERS))
        .or_else(charge)
        .or_else(state)
        .or_else(role)
        .or_else(restart)
        .or_else(|| in_steps(&safe::table::COMMANDS))
        .or_else(|| in_steps(&safe::table::NOTICES))
        .or_else(fixed)
        .or_else(|| in_steps(&reload::STEPS))
}
