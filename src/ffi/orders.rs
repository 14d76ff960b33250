//! What operators order above the rules: overrides, freezes, maintenance; and what hosts report of their own use of nodes.

use super::commands::command;
use super::guard::call;
use super::instance::{Use, enter, primacy_instance};
use super::slice::{flags, struct_in, text};
use super::structs::{
    PRIMACY_OVERRIDE_MAINTENANCE, PRIMACY_OVERRIDE_STATE, PRIMACY_OVERRIDE_STATUS, PRIMACY_OVERRIDE_TYPE,
    PRIMACY_OVERRIDE_WEIGHT, primacy_node, primacy_override_options,
};
use crate::engine::ReportOutcome;
use crate::error::{Error, ErrorCode, Result};
use crate::pool::{MaintenanceRole, NodeOverride, NodeType, Override, State, Status};
use core::ffi::c_char;
use std::time::Duration;

/// What can be set.
const SETTABLE: u32 =
    PRIMACY_OVERRIDE_STATE | PRIMACY_OVERRIDE_STATUS | PRIMACY_OVERRIDE_TYPE | PRIMACY_OVERRIDE_WEIGHT;

/// Shows an order in the structure of its node; the reason is there already.
pub(super) fn fill(out: &mut primacy_node, order: &NodeOverride) {
    let NodeOverride { set, maintenance, since_ms, until_ms, .. } = order;
    let mut mask = 0;
    if let Some(state) = set.state {
        (mask, out.override_state) = (mask | PRIMACY_OVERRIDE_STATE, state as i32);
    }
    if let Some(status) = set.status {
        (mask, out.override_status) = (mask | PRIMACY_OVERRIDE_STATUS, status as i32);
    }
    if let Some(node_type) = set.node_type {
        (mask, out.override_type) = (mask | PRIMACY_OVERRIDE_TYPE, node_type as i32);
    }
    if let Some(weight) = set.weight {
        (mask, out.override_weight) = (mask | PRIMACY_OVERRIDE_WEIGHT, weight);
    }
    if let Some(role) = maintenance {
        (mask, out.maintenance_role) = (mask | PRIMACY_OVERRIDE_MAINTENANCE, *role as i32);
    }
    out.override_set = mask;
    out.override_since_ms = *since_ms;
    out.override_until_ms = until_ms.unwrap_or(0);
}

fn invalid<T>(text: String) -> Result<T> {
    Err(Error::new(ErrorCode::Invalid, text))
}

/// A number of a word list, if its flag says that it is given.
fn given<T>(set: u32, flag: u32, word: Option<T>, number: i32, what: &str) -> Result<Option<T>> {
    match (set & flag != 0, word) {
        (false, _) => Ok(None),
        (true, Some(word)) => Ok(Some(word)),
        (true, None) => invalid(format!("`options`: {number} is no primacy_{what} of this version")),
    }
}

fn override_of(options: &primacy_override_options) -> Result<Override> {
    let set = options.set;
    flags(set, SETTABLE, "options.set")?;
    let (state, status, node_type) = (options.state, options.status, options.node_type);
    Ok(Override {
        state: given(set, PRIMACY_OVERRIDE_STATE, State::from_number(state), state, "state")?,
        status: given(set, PRIMACY_OVERRIDE_STATUS, Status::from_number(status), status, "status")?,
        node_type: given(
            set,
            PRIMACY_OVERRIDE_TYPE,
            NodeType::from_number(node_type),
            node_type,
            "node_type",
        )?,
        weight: Some(options.weight).filter(|_| set & PRIMACY_OVERRIDE_WEIGHT != 0),
    })
}

/// A time limit; 0 for none. The engine knows its range.
fn limit(ms: i64, name: &str) -> Result<Option<Duration>> {
    match u64::try_from(ms) {
        Ok(0) => Ok(None),
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) => invalid(format!("`{name}` is {ms}: give milliseconds, or 0 for no limit")),
    }
}

/// Sets a node's state, status, type or weight above the rules; takes the place of the node's earlier override or maintenance.
///
/// A state of ACTIVE moves the role at once, without the proof of a hand-over; another one on the ACTIVE node gives its role to a node
/// that may take over. 60 s before the limit an event warns. When it ends the node keeps its state and is counted anew: nothing switches by
/// that alone.
///
/// @param p        the instance
/// @param pool     the pool's name
/// @param node     the node's address in any spelling
/// @param options  what is set, why and how long; `size`, `set` and `reason` are required
/// @param flags    0 or PRIMACY_NOWAIT
/// @param buf      where to write the answer; may be NULL if `len` is 0
/// @param len      size of `buf` in bytes
/// @return         as for primacy_recover_node; PRIMACY_E_REFUSED also for a second ACTIVE or PRIMARY, and if nobody may take the role
///                 over; PRIMACY_E_SIZE
///
/// Ownership: everything is copied.
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_override(
    p: *mut primacy_instance,
    pool: *const c_char,
    node: *const c_char,
    options: *const primacy_override_options,
    flags: u32,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the contract of handles, strings and structures.
    unsafe {
        command(p, flags, buf, len, |instance, durability| {
            let (pool, node) = (text(pool, "pool")?, text(node, "node")?);
            let options = struct_in(options, "options")?;
            let set = override_of(&options)?;
            let reason = text(options.reason, "options.reason")?;
            let limit = limit(options.limit_ms, "options.limit_ms")?;
            instance.set_override(pool, node, set, reason, limit, durability)
        })
    }
}

/// Ends a node's override or maintenance.
///
/// @param p      the instance
/// @param pool   the pool's name
/// @param node   the node's address in any spelling
/// @param flags  0 or PRIMACY_NOWAIT
/// @param buf    where to write the answer; may be NULL if `len` is 0
/// @param len    size of `buf` in bytes
/// @return       as for primacy_recover_node; PRIMACY_E_REFUSED if there is nothing to end
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_clear_override(
    p: *mut primacy_instance,
    pool: *const c_char,
    node: *const c_char,
    flags: u32,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the contract of handles and strings.
    unsafe {
        command(p, flags, buf, len, |instance, durability| {
            instance.clear_override(text(pool, "pool")?, text(node, "node")?, durability)
        })
    }
}

/// Lets no rule change a state or the role of a pool. What is observed is shown and told as ever, and commands work.
///
/// @param p         the instance
/// @param pool      the pool's name
/// @param reason    why: 1 to 1000 bytes without control characters
/// @param limit_ms  how long, 1000 (a second) to 31622400000 (366 days) milliseconds; 0 for no limit
/// @param flags     0 or PRIMACY_NOWAIT
/// @param buf       where to write the answer; may be NULL if `len` is 0
/// @param len       size of `buf` in bytes
/// @return          as for primacy_recover_node
///
/// Ownership: the texts are copied.
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_freeze(
    p: *mut primacy_instance,
    pool: *const c_char,
    reason: *const c_char,
    limit_ms: i64,
    flags: u32,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the contract of handles and strings.
    unsafe {
        command(p, flags, buf, len, |instance, durability| {
            let (pool, reason) = (text(pool, "pool")?, text(reason, "reason")?);
            instance.freeze(pool, reason, limit(limit_ms, "limit_ms")?, durability)
        })
    }
}

/// Ends a freeze; every node is counted anew.
///
/// @param p      the instance
/// @param pool   the pool's name
/// @param flags  0 or PRIMACY_NOWAIT
/// @param buf    where to write the answer; may be NULL if `len` is 0
/// @param len    size of `buf` in bytes
/// @return       as for primacy_recover_node; PRIMACY_E_REFUSED if the pool is not frozen
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_unfreeze(
    p: *mut primacy_instance,
    pool: *const c_char,
    flags: u32,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the contract of handles and strings.
    unsafe {
        command(p, flags, buf, len, |instance, durability| instance.unfreeze(text(pool, "pool")?, durability))
    }
}

/// Takes a node out of the candidates and its faults out of the alarms, until primacy_clear_override; takes the place of the node's
/// earlier override.
///
/// @param p         the instance
/// @param pool      the pool's name
/// @param node      the node's address in any spelling
/// @param role      what becomes of the role if the node is ACTIVE: a primacy_maintenance_role
/// @param reason    why: 1 to 1000 bytes without control characters
/// @param limit_ms  how long, 1000 (a second) to 31622400000 (366 days) milliseconds; 0 for no limit
/// @param flags     0 or PRIMACY_NOWAIT
/// @param buf       where to write the answer; may be NULL if `len` is 0
/// @param len       size of `buf` in bytes
/// @return          as for primacy_recover_node; PRIMACY_E_REFUSED also if the role is to move and nobody may take it over
///
/// Ownership: the texts are copied.
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_maintenance(
    p: *mut primacy_instance,
    pool: *const c_char,
    node: *const c_char,
    role: i32,
    reason: *const c_char,
    limit_ms: i64,
    flags: u32,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the contract of handles and strings.
    unsafe {
        command(p, flags, buf, len, |instance, durability| {
            let (pool, node) = (text(pool, "pool")?, text(node, "node")?);
            let Some(role) = MaintenanceRole::from_number(role) else {
                return invalid(format!("`role`: {role} is no primacy_maintenance_role of this version"));
            };
            let reason = text(reason, "reason")?;
            instance.maintenance(pool, node, role, reason, limit(limit_ms, "limit_ms")?, durability)
        })
    }
}

/// Tells how the host's own use of a node ended, as a proxy's connect did.
///
/// A failed connect makes the next look at the node come early, at most once in `confirm_interval`, and counts for nothing itself.
/// Cheap enough to be called for every connect.
///
/// @param p        the instance
/// @param pool     the pool's name
/// @param node     the node's address in any spelling
/// @param outcome  a primacy_report_outcome
/// @return         0; PRIMACY_E_NOT_FOUND; PRIMACY_E_STOPPED; PRIMACY_E_INVALID; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO;
///                 PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_HANDLE
///
/// Thread: any thread. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_report_node(
    p: *mut primacy_instance,
    pool: *const c_char,
    node: *const c_char,
    outcome: i32,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and strings.
        unsafe {
            enter(p, Use::Decides, |instance, _| {
                let (pool, node) = (text(pool, "pool")?, text(node, "node")?);
                let Some(outcome) = ReportOutcome::from_number(outcome) else {
                    return invalid(format!(
                        "`outcome`: {outcome} is no primacy_report_outcome of this version"
                    ));
                };
                instance.report(pool, node, outcome).map(|()| 0)
            })
        }
    })
}
