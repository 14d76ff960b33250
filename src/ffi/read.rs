//! Texts about a pool, and the name of its ACTIVE node.

use super::guard::call;
use super::instance::{Use, enter, primacy_instance};
use super::json;
use super::slice::{TextOut, text};
use crate::error::{Error, ErrorCode, Result};
use crate::instance::Instance;
use core::ffi::c_char;

/// One text about a pool.
///
/// # Safety
/// The contract of handles and strings, and `buf` is NULL or points to `len` writable bytes.
unsafe fn pool_text(
    p: *mut primacy_instance,
    pool: *const c_char,
    buf: *mut c_char,
    len: usize,
    body: impl FnOnce(&Instance, &str) -> Result<String>,
) -> i32 {
    call(|| {
        // SAFETY: the same conditions.
        unsafe {
            enter(p, Use::Reads, |instance, _| {
                let (pool, out) = (text(pool, "pool")?, TextOut::new(buf, len)?);
                out.put(&body(instance, pool)?)
            })
        }
    })
}

/// Gives the address of the node of a pool that takes the clients now.
///
/// @param p     the instance
/// @param pool  the pool's name
/// @param buf   where to write the address; may be NULL if `len` is 0
/// @param len   size of `buf` in bytes
/// @return      the length of the whole address; 0 if there is no such node, or routing pauses for a hand-over;
///              PRIMACY_E_NOT_FOUND; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_FORKED; PRIMACY_E_INVALID;
///              PRIMACY_E_HANDLE
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_active(
    p: *mut primacy_instance,
    pool: *const c_char,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the contract of handles and strings.
    unsafe {
        pool_text(p, pool, buf, len, |instance, name| {
            let snapshot = instance.snapshot()?;
            let Some(pool) = snapshot.pools.iter().find(|pool| pool.name == name) else {
                return Err(Error::new(ErrorCode::NotFound, format!("there is no pool {name:?}")));
            };
            let active = pool.active.filter(|_| !pool.paused).and_then(|at| pool.nodes.get(at));
            Ok(active.map(|node| node.name.clone()).unwrap_or_default())
        })
    }
}

/// Says why a pool is as it is: rules, facts, and what would change the decision.
///
/// @param p     the instance
/// @param pool  the pool's name
/// @param buf   where to write the text; may be NULL if `len` is 0
/// @param len   size of `buf` in bytes
/// @return      the length of the whole text; PRIMACY_E_NOT_FOUND; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO;
///              PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_explain(
    p: *mut primacy_instance,
    pool: *const c_char,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the contract of handles and strings.
    unsafe { pool_text(p, pool, buf, len, |instance, pool| instance.explain(pool)) }
}

/// Gives figures for monitoring as text in the exposition format 0.0.4 of Prometheus; docs/metrics.md names each metric.
///
/// Counters begin with the instance. The text grows with the number of nodes, by about 5 KiB for each.
///
/// @param p    the instance
/// @param buf  where to write the text; may be NULL if `len` is 0
/// @param len  size of `buf` in bytes
/// @return     the length of the whole text, which may be another one at the next call; PRIMACY_E_LOCKED; PRIMACY_E_CACHE;
///             PRIMACY_E_IO; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_metrics_text(p: *mut primacy_instance, buf: *mut c_char, len: usize) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and texts.
        unsafe { enter(p, Use::Reads, |instance, _| TextOut::new(buf, len)?.put(&instance.metrics_text()?)) }
    })
}

/// Gives the worst case from fault to switch, one line for each kind of fault, computed from the configuration.
///
/// @param p     the instance
/// @param pool  the pool's name
/// @param buf   where to write the text; may be NULL if `len` is 0
/// @param len   size of `buf` in bytes
/// @return      the length of the whole text; PRIMACY_E_NOT_FOUND; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_budget(
    p: *mut primacy_instance,
    pool: *const c_char,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the contract of handles and strings.
    unsafe { pool_text(p, pool, buf, len, |instance, pool| Ok(instance.budget(pool)?.to_string())) }
}

/// The same figures as JSON: {"pool", "connections_per_node", "lines": [{"class", "fault", "worst", "worst_ms", "formula"}]}.
///
/// "worst" is "within", and then "worst_ms" is the time; or "never", if this class never fails an ACTIVE node; or "hosts_pace", if
/// the host observes in its own time. In the latter two "worst_ms" is null.
///
/// @param p     the instance
/// @param pool  the pool's name
/// @param buf   where to write the text; may be NULL if `len` is 0
/// @param len   size of `buf` in bytes
/// @return      as for primacy_budget
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_budget_json(
    p: *mut primacy_instance,
    pool: *const c_char,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the contract of handles and strings.
    unsafe { pool_text(p, pool, buf, len, |instance, pool| Ok(json::budget(&instance.budget(pool)?))) }
}
