//! What a host tells an instance: observations, cycles, operators' commands.

use super::facts;
use super::guard::call;
use super::instance::{Use, enter, primacy_instance};
use super::slice::{TextOut, flags, optional_struct_in, optional_text, struct_in, text};
use super::structs::{PRIMACY_CYCLE_POOL_STATUS, PRIMACY_NOWAIT, primacy_cycle_options, primacy_observation};
use crate::engine::Answer;
use crate::error::{Error, ErrorCode, Result};
use crate::instance::{Durability, HostObservation, Instance};
use crate::pool::PoolStatus;
use crate::probe::Cause;
use core::ffi::c_char;

/// Hands in a health observation that the host made itself, for a pool with probe = "external".
///
/// Under the policy `mpp` it counts when the cycle is closed; under `safe` it is judged at once.
///
/// @param p            the instance
/// @param pool         the pool's name
/// @param node         the node's address in any spelling
/// @param observation  what the host found; `size` and `cause` are required
/// @return             0; PRIMACY_E_NOT_FOUND; PRIMACY_E_STATE if the library probes the pool; PRIMACY_E_STOPPED; PRIMACY_E_SIZE;
///                     PRIMACY_E_UNSUPPORTED; PRIMACY_E_INVALID; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC;
///                     PRIMACY_E_FORKED; PRIMACY_E_HANDLE
///
/// Ownership: everything is copied.
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_observe(
    p: *mut primacy_instance,
    pool: *const c_char,
    node: *const c_char,
    observation: *const primacy_observation,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles, strings and structures.
        unsafe {
            enter(p, Use::Decides, |instance, _| {
                let (pool, node) = (text(pool, "pool")?, text(node, "node")?);
                let given = struct_in(observation, "observation")?;
                let cause = Cause::from_number(given.cause).ok_or_else(|| {
                    let text = format!("`observation`: {} is no primacy_cause of this version", given.cause);
                    Error::new(ErrorCode::Invalid, text)
                })?;
                let observation = HostObservation {
                    cause,
                    errno: given.error_number,
                    message: optional_text(given.message, "message")?.unwrap_or("").to_owned(),
                    facts: facts::take(&given)?,
                };
                instance.observe(pool, node, observation).map(|()| 0)
            })
        }
    })
}

/// Closes a cycle of a pool with probe = "external": every node is judged by its observation, or by its absence.
///
/// @param p        the instance
/// @param pool     the pool's name
/// @param options  what the host's own checkpoints found; NULL for nothing
/// @return         0; PRIMACY_E_NOT_FOUND; PRIMACY_E_STATE if the library probes the pool; PRIMACY_E_STOPPED; PRIMACY_E_SIZE;
///                 PRIMACY_E_UNSUPPORTED; PRIMACY_E_INVALID; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC;
///                 PRIMACY_E_FORKED; PRIMACY_E_HANDLE
///
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_cycle(
    p: *mut primacy_instance,
    pool: *const c_char,
    options: *const primacy_cycle_options,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles, strings and structures.
        unsafe {
            enter(p, Use::Decides, |instance, _| {
                let pool = text(pool, "pool")?;
                let pool_status = match optional_struct_in(options, "options")? {
                    Some(options) => pool_status(&options)?,
                    None => None,
                };
                instance.cycle(pool, pool_status).map(|()| 0)
            })
        }
    })
}

fn pool_status(options: &primacy_cycle_options) -> Result<Option<PoolStatus>> {
    flags(options.flags, PRIMACY_CYCLE_POOL_STATUS, "options.flags")?;
    if options.reserved != 0 {
        return Err(Error::new(ErrorCode::Unsupported, "`options`: `reserved` must be zero"));
    }
    if options.flags & PRIMACY_CYCLE_POOL_STATUS == 0 {
        return Ok(None);
    }
    match PoolStatus::from_number(options.pool_status) {
        Some(status) => Ok(Some(status)),
        None => Err(Error::new(
            ErrorCode::Invalid,
            format!("`options`: {} is no primacy_pool_status of this version", options.pool_status),
        )),
    }
}

/// One operator's command: checks, carries it out, writes the answer.
///
/// # Safety
/// The contract of handles, and `buf` is NULL or points to `len` writable bytes.
pub(super) unsafe fn command(
    p: *mut primacy_instance,
    given: u32,
    buf: *mut c_char,
    len: usize,
    body: impl FnOnce(&Instance, Durability) -> Result<Answer>,
) -> i32 {
    call(|| {
        // SAFETY: the same conditions.
        unsafe {
            enter(p, Use::Decides, |instance, _| {
                flags(given, PRIMACY_NOWAIT, "flags")?;
                let out = TextOut::new(buf, len)?;
                let durability =
                    if given & PRIMACY_NOWAIT != 0 { Durability::NoWait } else { Durability::Wait };
                let answer = body(instance, durability)?;
                if answer.rule == 0 {
                    out.put(&answer.message)
                } else {
                    out.put(&format!("{} (rule {})", answer.message, answer.rule))
                }
            })
        }
    })
}

/// Takes a failed node back into the pool.
///
/// The answer comes from the same rules that judge observations. Without PRIMACY_NOWAIT the call returns when the outcome is on disk.
///
/// @param p      the instance
/// @param pool   the pool's name
/// @param node   the node's address in any spelling
/// @param flags  0 or PRIMACY_NOWAIT
/// @param buf    where to write the answer, one sentence and the rule's number; may be NULL if `len` is 0
/// @param len    size of `buf` in bytes
/// @return       the length of the whole answer; PRIMACY_E_REFUSED and the text names the rule; PRIMACY_E_NOT_FOUND;
///               PRIMACY_E_STOPPED; PRIMACY_E_UNSUPPORTED; PRIMACY_E_INVALID; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO
///               (carried out, but not on disk); PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_HANDLE
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_recover_node(
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
            instance.recover_node(text(pool, "pool")?, text(node, "node")?, durability)
        })
    }
}

/// Takes back a pool whose status is FAIL.
///
/// @param p      the instance
/// @param pool   the pool's name
/// @param flags  0 or PRIMACY_NOWAIT
/// @param buf    where to write the answer; may be NULL if `len` is 0
/// @param len    size of `buf` in bytes
/// @return       as for primacy_recover_node
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_recover_pool(
    p: *mut primacy_instance,
    pool: *const c_char,
    flags: u32,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the contract of handles and strings.
    unsafe {
        command(p, flags, buf, len, |instance, durability| {
            instance.recover_pool(text(pool, "pool")?, durability)
        })
    }
}

/// Gives the role to the pool's PRIMARY.
///
/// @param p      the instance
/// @param pool   the pool's name
/// @param flags  0 or PRIMACY_NOWAIT
/// @param buf    where to write the answer; may be NULL if `len` is 0
/// @param len    size of `buf` in bytes
/// @return       as for primacy_recover_node
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_activate_primary(
    p: *mut primacy_instance,
    pool: *const c_char,
    flags: u32,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the contract of handles and strings.
    unsafe {
        command(p, flags, buf, len, |instance, durability| {
            instance.activate_primary(text(pool, "pool")?, durability)
        })
    }
}

/// Takes a node out of the pool until the configuration is read again.
///
/// @param p      the instance
/// @param pool   the pool's name
/// @param node   the node's address in any spelling
/// @param flags  0 or PRIMACY_NOWAIT
/// @param buf    where to write the answer; may be NULL if `len` is 0
/// @param len    size of `buf` in bytes
/// @return       as for primacy_recover_node
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_remove_node(
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
            instance.remove_node(text(pool, "pool")?, text(node, "node")?, durability)
        })
    }
}
