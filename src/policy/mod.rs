//! The rule tables.

pub mod budget;
