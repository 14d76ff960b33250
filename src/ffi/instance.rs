//! `primacy_instance`: its life and the two ways to run it.

use super::config::{build, primacy_config};
use super::fork::Bond;
use super::guard::{call, caught, count};
use super::handle::{Handle, free, give, shell};
use super::slice::{handle_out, text};
use crate::error::{Error, ErrorCode, Result};
use crate::instance::Instance;
use core::ffi::c_char;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One engine with its pools, cache file and driver.
pub struct primacy_instance {
    _private: [u8; 0],
}

pub(super) struct InstanceHandle {
    instance: Instance,
    border: Arc<Border>,
}

/// What all handles to one instance share here: a child must not use any of them once one was started.
#[derive(Default)]
struct Border {
    bond: Arc<Bond>,
    /// The text of a panic that was caught in a call.
    poison: OnceLock<String>,
}

impl InstanceHandle {
    fn give(instance: Instance) -> Result<*mut primacy_instance> {
        let border = instance
            .border::<Border>()
            .ok_or_else(|| Error::new(ErrorCode::State, "the instance belongs to another border"))?;
        let bond = Arc::clone(&border.bond);
        Ok(give(InstanceHandle { instance, border }, bond))
    }
}

impl Handle for InstanceHandle {
    type Opaque = primacy_instance;
    const MAGIC: u64 = 0x8157_a2ce_f411_0fe5;
    const NAME: &'static str = "primacy_instance";
    type Watched = ();

    fn watched(&self) {}
}

/// What a call does with the instance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Takes hold of threads or descriptors.
    Runs,
    /// Changes the pools.
    Decides,
    /// Looks at the pools; works on a poisoned instance too.
    Reads,
    /// Ends it; works on a poisoned instance too.
    Ends,
}

/// Runs `body` on the instance behind a handle: checks fork and poison before, poisons it if `body` panics.
///
/// # Safety
/// As for [`shell`].
pub(super) unsafe fn enter<R>(
    handle: *const primacy_instance,
    usage: Use,
    body: impl FnOnce(&Instance, &Arc<Bond>) -> Result<R>,
) -> Result<R> {
    // SAFETY: the same condition.
    let shell = unsafe { shell::<InstanceHandle>(handle) }?;
    // The snapshots share the bond, as they belong to the same process.
    let (this, bond) = (shell.shared(), shell.bond());
    bond.check()?;
    if matches!(usage, Use::Runs | Use::Decides)
        && let Some(text) = this.border.poison.get()
    {
        return Err(Error::new(ErrorCode::Panic, text.clone()));
    }
    if usage == Use::Runs {
        bond.bind()?;
    }
    caught(|| body(&this.instance, bond)).inspect_err(|error| {
        if error.code() == ErrorCode::Panic {
            let _ = this.border.poison.set(error.message().to_owned());
        }
    })
}

/// Makes an instance: reads files with secrets and resolves names once.
///
/// It creates no socket, epoll descriptor, lock or thread, and so survives fork, chroot and setuid. Observations, cycles,
/// commands and snapshots work at once.
///
/// @param config  the configuration; it may be changed or freed after this
/// @param out     where to write the handle
/// @return        0; PRIMACY_E_CONFIG; PRIMACY_E_SECRET; PRIMACY_E_IO; PRIMACY_E_INVALID; PRIMACY_E_HANDLE; PRIMACY_E_BUSY
///
/// Ownership: the caller frees the handle with primacy_instance_free.
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_instance_new(
    config: *const primacy_config,
    out: *mut *mut primacy_instance,
) -> i32 {
    call(|| {
        handle_out(out, "out")?;
        // SAFETY: the contract of handles.
        let config = unsafe { build(config) }?;
        let instance = Instance::new(config)?;
        // SAFETY: checked above; the caller vouches that it can be written.
        unsafe { out.write(InstanceHandle::give(instance)?) };
        Ok(0)
    })
}

/// The open instance of the same cache in this process, one more reference; if there is none, a new one as by
/// primacy_instance_new.
///
/// Threads, interpreters and scripts that are run again share one engine this way. Without a cache file, configurations that mean
/// the same share an instance. One that was stopped is not found any more, nor is one that runs in a parent of this process.
///
/// @param config  the configuration; it may be changed or freed after this
/// @param out     where to write the handle
/// @return        0; PRIMACY_E_CONFIG_DIFFERS if the open instance of the cache has another configuration; PRIMACY_E_CONFIG;
///                PRIMACY_E_SECRET; PRIMACY_E_IO; PRIMACY_E_INVALID; PRIMACY_E_HANDLE; PRIMACY_E_BUSY; PRIMACY_E_FORKED
///
/// Ownership: the caller frees each handle with primacy_instance_free; the last one stops the instance.
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_open(config: *const primacy_config, out: *mut *mut primacy_instance) -> i32 {
    call(|| {
        handle_out(out, "out")?;
        // SAFETY: the contract of handles.
        let config = unsafe { build(config) }?;
        let instance = Instance::open(config)?;
        // SAFETY: checked above; the caller vouches that it can be written.
        unsafe { out.write(InstanceHandle::give(instance)?) };
        Ok(0)
    })
}

/// Gives up a reference to an instance. The last one stops it first if it runs, within a second, and frees it.
///
/// Snapshots and events that were taken from it stay usable. No other call on the handle may be under way. In a forked child of
/// the process that runs the instance it frees memory and closes descriptor numbers, nothing else.
///
/// @param p  the instance, or NULL
/// @return   0; PRIMACY_E_HANDLE
///
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_instance_free(p: *mut primacy_instance) -> i32 {
    if p.is_null() {
        return 0;
    }
    call(|| {
        // SAFETY: the contract of handles; the caller vouches that no call is under way.
        let parents = unsafe { shell::<InstanceHandle>(p) }?.bond().is_parents();
        // SAFETY: the same.
        let handle = unsafe { free::<InstanceHandle>(p) }?;
        if parents {
            handle.instance.abandon();
        } else {
            // The last reference stops it.
            drop(handle.instance);
        }
        Ok(0)
    })
}

/// Runs the driver in a thread of the library's own: probes, decides, writes the cache, tells the subscribers.
///
/// Idempotent. The thread blocks all signals but those that a fault raises. Binds the instance to this process.
///
/// @param p  the instance
/// @return   0; PRIMACY_E_STATE in the host's loop or after primacy_stop; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO;
///           PRIMACY_E_CONFIG_DIFFERS if the process to follow has another configuration; PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_HANDLE
///
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_start(p: *mut primacy_instance) -> i32 {
    // SAFETY: the contract of handles.
    call(|| unsafe { enter(p, Use::Runs, |instance, _| instance.start().map(|()| 0)) })
}

/// Ends probing and the library's threads, within a second.
///
/// Idempotent. Snapshots, explain, budget and events (until the queue is empty) work afterwards; an instance is not
/// started again.
///
/// @param p  the instance
/// @return   0; PRIMACY_E_FORKED; PRIMACY_E_HANDLE
///
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_stop(p: *mut primacy_instance) -> i32 {
    // SAFETY: the contract of handles.
    call(|| unsafe { enter(p, Use::Ends, |instance, _| instance.stop().map(|()| 0)) })
}

/// Takes a new configuration into force while the instance lives, in whatever way it runs.
///
/// Pools are the same by name, nodes by address; what is the same keeps state, status, count, epoch, observations and, where the
/// account is the same, its connection. New nodes begin as UNKNOWN, new pools too; what is not in the configuration any more
/// leaves. Files with passwords, keys and certificates are read again. On an error the configuration before stays in force as a
/// whole. PRIMACY_EVENT_RELOAD tells what changed.
///
/// @param p       the instance
/// @param config  the whole new configuration; it may be changed or freed after this
/// @return        0; PRIMACY_E_REFUSED if cache_file, control_socket, control_users, on_locked, or a pool's kind, policy or
///                probe.mode differs, or if the ACTIVE node would leave and nobody who stays may take over; PRIMACY_E_CONFIG;
///                PRIMACY_E_SECRET; PRIMACY_E_STATE during primacy_run_cycle; PRIMACY_E_STOPPED; PRIMACY_E_LOCKED;
///                PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_HANDLE; PRIMACY_E_BUSY
///
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_reload(p: *mut primacy_instance, config: *const primacy_config) -> i32 {
    call(|| {
        // SAFETY: the contract of handles. The instance is checked before the configuration.
        unsafe {
            enter(p, Use::Decides, |instance, _| {
                let config = build(config)?;
                instance.reload(config).map(|_| 0)
            })
        }
    })
}

/// For the host's loop: one descriptor to watch for input, level-triggered; then call primacy_dispatch.
///
/// Timers are inside. The first call begins probing and binds the instance to this process. Excludes primacy_start.
///
/// @param p  the instance
/// @return   the descriptor; PRIMACY_E_STATE if started; PRIMACY_E_STOPPED; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO;
///           PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_HANDLE
///
/// Ownership: the descriptor is the library's: watch it, never read, write or close it.
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_fd(p: *mut primacy_instance) -> i32 {
    // SAFETY: the contract of handles.
    call(|| unsafe { enter(p, Use::Runs, |instance, _| instance.fd()) })
}

/// For the host's loop: handles what is due.
///
/// Handles a bounded number of inputs; if more are due, the descriptor stays readable.
///
/// @param p  the instance
/// @return   how many inputs were handled; PRIMACY_E_STATE if started or without a call of primacy_fd before;
///           PRIMACY_E_STOPPED; PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_HANDLE
///
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_dispatch(p: *mut primacy_instance) -> i32 {
    // SAFETY: the contract of handles.
    call(|| unsafe { enter(p, Use::Runs, |instance, _| count(instance.dispatch()?)) })
}

/// Runs one cycle of a pool with the library's own probes, and the burst that a doubt asks for. For cron jobs and scripts.
///
/// @param p           the instance, which must not run in another way
/// @param pool        the pool's name
/// @param timeout_ms  the longest time to wait, in milliseconds
/// @return            0; PRIMACY_E_TIMEOUT; PRIMACY_E_STATE; PRIMACY_E_NOT_FOUND; PRIMACY_E_STOPPED; PRIMACY_E_LOCKED;
///                    PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_run_cycle(
    p: *mut primacy_instance,
    pool: *const c_char,
    timeout_ms: u32,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and strings. The handle is checked before the string.
        unsafe {
            enter(p, Use::Runs, |instance, _| {
                let pool = text(pool, "pool")?;
                instance.run_cycle(pool, Duration::from_millis(u64::from(timeout_ms))).map(|()| 0)
            })
        }
    })
}
