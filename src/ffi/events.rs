//! `primacy_events`: a queue of events for one consumer.

use super::fork::Bond;
use super::guard::call;
use super::handle::{Handle, free_idle, give, shell};
use super::instance::{Use, enter, primacy_instance};
use super::slice::{StructOut, c_string, handle_out, optional_struct_in, optional_text};
use super::structs::{primacy_event, primacy_event_filter};
use crate::engine::{Event, Severity};
use crate::error::{Error, ErrorCode, Result};
use crate::instance::{EventFilter, Subscription};
use std::ffi::CString;
use std::sync::Arc;

/// A queue of events for one consumer.
pub struct primacy_events {
    _private: [u8; 0],
}

/// More events than anybody should keep in memory.
const MOST: u32 = 1 << 20;

pub(super) struct EventsHandle {
    subscription: Subscription,
    /// The strings of the event that was read last.
    held: [CString; 3],
}

impl Handle for EventsHandle {
    type Opaque = primacy_events;
    const MAGIC: u64 = 0x8a11_f0e5_ee7e_47a3;
    const NAME: &'static str = "primacy_events";
    type Watched = ();

    fn watched(&self) {}
}

/// Runs `body` on the queue behind a handle.
///
/// # Safety
/// As for [`shell`].
unsafe fn read<R>(
    handle: *const primacy_events,
    body: impl FnOnce(&mut EventsHandle) -> Result<R>,
) -> Result<R> {
    // SAFETY: the same condition.
    unsafe { shell::<EventsHandle>(handle) }?.exclusive(body)
}

/// # Safety
/// The strings of `given` are as the header says.
unsafe fn filter(given: Option<primacy_event_filter>) -> Result<EventFilter> {
    let Some(given) = given else { return Ok(EventFilter::default()) };
    let severity = Severity::from_number(given.severity).ok_or_else(|| {
        Error::new(ErrorCode::Invalid, format!("`filter`: {} is no primacy_severity", given.severity))
    })?;
    Ok(EventFilter {
        kinds: if given.kinds == 0 { u64::MAX } else { given.kinds },
        severity,
        // SAFETY: the caller's word for the string.
        pool: unsafe { optional_text(given.pool, "filter.pool") }?.map(str::to_owned),
    })
}

/// Makes a queue of events.
///
/// When the queue is full the oldest event falls out, and the next read is a PRIMACY_EVENT_LOST with the number of those that did.
///
/// @param p         the instance
/// @param filter    which events; NULL for all
/// @param capacity  how many events the queue holds, from 1 to 1048576
/// @param out       where to write the handle
/// @return          0; PRIMACY_E_NOT_FOUND if there is no such pool; PRIMACY_E_IO; PRIMACY_E_SIZE; PRIMACY_E_UNSUPPORTED;
///                  PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: the caller frees the handle with primacy_events_free; it may outlive the instance.
/// Thread: any thread. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_events_new(
    p: *mut primacy_instance,
    filter: *const primacy_event_filter,
    capacity: u32,
    out: *mut *mut primacy_events,
) -> i32 {
    call(|| {
        handle_out(out, "out")?;
        // SAFETY: the contract of handles and structures; `out` is checked above.
        unsafe {
            let (events, bond) = enter(p, Use::Reads, |instance, _| {
                if capacity == 0 || capacity > MOST {
                    let text = format!("`capacity` is {capacity}; it must be from 1 to {MOST}");
                    return Err(Error::new(ErrorCode::Invalid, text));
                }
                let filter = self::filter(optional_struct_in(filter, "filter")?)?;
                // Bound from the start: the descriptor is shared with the parent.
                let bond = Arc::new(Bond::default());
                bond.bind()?;
                let subscription = instance.subscribe(filter, capacity as usize)?;
                Ok((EventsHandle { subscription, held: Default::default() }, bond))
            })?;
            out.write(give(events, bond));
        }
        Ok(0)
    })
}

/// Gives the descriptor of a queue, readable while the queue is not empty.
///
/// @param events  the queue
/// @return        the descriptor; PRIMACY_E_FORKED; PRIMACY_E_BUSY; PRIMACY_E_HANDLE
///
/// Ownership: the descriptor is the library's: watch it, never read, write or close it.
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_events_fd(events: *const primacy_events) -> i32 {
    // SAFETY: the contract of handles.
    call(|| unsafe { read(events, |events| Ok(events.subscription.fd())) })
}

fn convert(event: &Event, [pool, node, message]: &[CString; 3]) -> primacy_event {
    primacy_event {
        size: 0,
        kind: event.kind as i32,
        severity: event.severity as i32,
        cause: event.cause as i32,
        sequence: event.sequence,
        mono_ns: event.mono.0,
        wall_ms: event.wall_ms,
        epoch: event.epoch,
        count: event.count,
        old_state: event.old_state as i32,
        new_state: event.new_state as i32,
        old_status: event.old_status as i32,
        new_status: event.new_status as i32,
        rule: u32::from(event.rule),
        reserved: 0,
        pool: pool.as_ptr(),
        node: node.as_ptr(),
        message: message.as_ptr(),
    }
}

/// Takes the next event out of a queue.
///
/// @param events  the queue
/// @param out     the structure to fill; its `size` is set
/// @return        1 and `out` is written; 0 if the queue is empty; PRIMACY_E_SIZE; PRIMACY_E_FORKED; PRIMACY_E_BUSY;
///                PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: strings belong to the queue until the next call of this function on it, or primacy_events_free.
/// Thread: one call at a time. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_events_next(events: *mut primacy_events, out: *mut primacy_event) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and structures.
        unsafe {
            read(events, |this| {
                let out = StructOut::new(out, "out")?;
                let Some(event) = this.subscription.next() else { return Ok(0) };
                this.held = [c_string(&event.pool), c_string(&event.node), c_string(&event.message)];
                out.put(&convert(&event, &this.held));
                Ok(1)
            })
        }
    })
}

/// Frees a queue with the events in it. In a forked child it frees memory and closes the descriptor's number, nothing else.
///
/// @param events  the queue, or NULL
/// @return        0; PRIMACY_E_HANDLE; PRIMACY_E_BUSY and nothing is freed
///
/// Thread: one call at a time. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_events_free(events: *mut primacy_events) -> i32 {
    if events.is_null() {
        return 0;
    }
    call(|| {
        // SAFETY: the contract of handles. In a child too this frees memory and closes numbers, no more.
        drop(unsafe { free_idle::<EventsHandle>(events) }?);
        Ok(0)
    })
}
