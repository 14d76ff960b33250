//! Why a pool is as it is.
use super::pool_machine::PoolMachine;
use super::time::Now;
/// The pool in words.
pub fn explain(_pool: &PoolMachine, _now: Now) -> String {
    String::new()
}
