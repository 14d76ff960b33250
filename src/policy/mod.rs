//! The rule tables.
