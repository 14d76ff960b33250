//! Checks of a router tier.

pub mod exec;
