//! The rule tables.

pub mod budget;

/// The sentence of a rule.
pub fn rule_sentence(_rule: u16) -> Option<&'static str> { None }
