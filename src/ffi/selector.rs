//! `primacy_selector`: where clients of a service go.

use super::guard::{call, caught};
use super::handle::{Handle, free_idle, give, known_shell, shell};
use super::instance::{Use, enter, primacy_instance};
use super::slice::{
    StructOut, TextOut, flags, handle_out, optional_struct_in, optional_text, struct_in, text,
};
use super::status::{keep, keep_text};
use super::structs::{
    PRIMACY_BACKEND_FALLBACK, PRIMACY_BACKEND_OTHER_SITE, PRIMACY_BACKEND_STALE, PRIMACY_BACKEND_TRIAL,
    PRIMACY_SELECT_STALE_OK, primacy_backend, primacy_select_options, primacy_selector_options,
};
use crate::engine::ReportOutcome;
use crate::error::{Error, ErrorCode, Result};
use crate::instance::{Refusal, Selector, SelectorOptions};
use crate::io::service_board::ServiceBoard;
use crate::select::{Backend, Wish, backend::flags as bits};
use core::ffi::c_char;
use std::sync::Arc;

/// Where clients of one service go, for one thread.
pub struct primacy_selector {
    _private: [u8; 0],
}

pub(super) struct SelectorHandle(Selector);

impl Handle for SelectorHandle {
    type Opaque = primacy_selector;
    const MAGIC: u64 = 0x93c5_e1ec_704d_f2b1;
    const NAME: &'static str = "primacy_selector";
    type Watched = Arc<ServiceBoard>;

    fn watched(&self) -> Arc<ServiceBoard> {
        self.0.board()
    }
}

/// More slots than a service can have.
const MOST: u32 = 65536;

/// The memory of both is the same: the header spells the address out for C.
const _: () = {
    use core::mem::offset_of;
    assert!(PRIMACY_BACKEND_STALE == bits::STALE && PRIMACY_BACKEND_FALLBACK == bits::FALLBACK);
    assert!(PRIMACY_BACKEND_OTHER_SITE == bits::OTHER_SITE && PRIMACY_BACKEND_TRIAL == bits::TRIAL);
    assert!(size_of::<Backend>() == size_of::<primacy_backend>());
    assert!(align_of::<Backend>() == align_of::<primacy_backend>());
    assert!(offset_of!(Backend, slot) == offset_of!(primacy_backend, slot));
    assert!(offset_of!(Backend, generation) == offset_of!(primacy_backend, generation));
    assert!(offset_of!(Backend, epoch) == offset_of!(primacy_backend, epoch));
    assert!(offset_of!(Backend, token) == offset_of!(primacy_backend, token));
    assert!(offset_of!(Backend, flags) == offset_of!(primacy_backend, flags));
    assert!(offset_of!(Backend, reason) == offset_of!(primacy_backend, reason));
    assert!(offset_of!(Backend, addrlen) == offset_of!(primacy_backend, addrlen));
    assert!(offset_of!(Backend, address) == offset_of!(primacy_backend, address));
};

/// Makes a selector of a service: `POOL.SERVICE`, or `SERVICE` where one pool alone has one of that name.
///
/// A selector answers one call at a time; a program makes one for each thread, event loop or interpreter, and for each service. It
/// belongs to the service as it was: if that leaves the configuration and comes back, it wants new selectors.
///
/// @param p        the instance
/// @param service  the service's name
/// @param options  how it begins; NULL for the defaults
/// @param out      where to write the handle
/// @return         0; PRIMACY_E_NOT_FOUND; PRIMACY_E_STOPPED; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC;
///                 PRIMACY_E_SIZE; PRIMACY_E_UNSUPPORTED; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: the caller frees the handle with primacy_selector_free; it may outlive the instance.
/// Thread: any thread. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_selector_new(
    p: *mut primacy_instance,
    service: *const c_char,
    options: *const primacy_selector_options,
    out: *mut *mut primacy_selector,
) -> i32 {
    call(|| {
        handle_out(out, "out")?;
        // SAFETY: the contract of handles, strings and structures; `out` is checked above.
        unsafe {
            let (selector, bond) = enter(p, Use::Decides, |instance, bond| {
                let service = text(service, "service")?;
                let given = optional_struct_in(options, "options")?;
                zero(given.as_ref().map_or(0, |given| given.reserved))?;
                let site = given.map_or(Ok(None), |given| optional_text(given.site, "options.site"))?;
                let options = SelectorOptions {
                    seed: given.map(|given| given.seed).filter(|seed| *seed != 0),
                    site: site.map(str::to_owned),
                };
                Ok((SelectorHandle(instance.selector(service, options)?), Arc::clone(bond)))
            })?;
            out.write(give(selector, bond));
        }
        Ok(0)
    })
}

/// Frees a selector.
///
/// @param selector  the selector, or NULL
/// @return          0; PRIMACY_E_BUSY; PRIMACY_E_HANDLE
///
/// Thread: one call at a time. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_selector_free(selector: *mut primacy_selector) -> i32 {
    if selector.is_null() {
        return 0;
    }
    // SAFETY: the contract of handles.
    call(|| unsafe { free_idle::<SelectorHandle>(selector) }.map(|_| 0))
}

/// Chooses the node that a client goes to.
///
/// It answers from memory: it takes no lock, makes no memory and writes none that others read; services with `least-connections` or
/// `two-choices` count the client until primacy_release. A refusal says what no node can do: PRIMACY_E_PAUSED passes within
/// `handback_deadline`, so a proxy lets the client wait and asks again; PRIMACY_E_NO_BACKEND is for the client, with the text of
/// primacy_last_error.
///
/// @param selector  the selector
/// @param options   what the client asks for; NULL for nothing
/// @param out       the structure to fill; its `size` is set
/// @return          0; PRIMACY_E_NO_BACKEND; PRIMACY_E_PAUSED; PRIMACY_E_GTID_UNKNOWN; PRIMACY_E_STALE; PRIMACY_E_NOT_FOUND if the
///                  service has left the configuration; PRIMACY_E_STOPPED; PRIMACY_E_PANIC; PRIMACY_E_SIZE; PRIMACY_E_UNSUPPORTED;
///                  PRIMACY_E_BUSY; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_select(
    selector: *mut primacy_selector,
    options: *const primacy_select_options,
    out: *mut primacy_backend,
) -> i32 {
    // SAFETY: the contract of handles and structures.
    unsafe {
        if options.is_null()
            && !out.is_null()
            && out.is_aligned()
            && (*out).size as usize == size_of::<primacy_backend>()
            && let Some(shell) = known_shell::<SelectorHandle>(selector)
        {
            let out = &mut *out.cast::<Backend>();
            // What can be reached from here has no way to panic; should one be found, extern "C" ends the process.
            match shell.quick(|this| this.0.select_fast(out).map_err(|refusal| refused(&this.0, refusal))) {
                Some(Ok(())) => return 0,
                Some(Err(code)) => return code,
                None => {}
            }
        }
        select(selector, options, out)
    }
}

/// A refusal as a return value.
#[cold]
fn refused(selector: &Selector, refusal: Refusal) -> i32 {
    match refusal {
        Refusal::Code(code) => keep_text(code, selector.words(code)),
        Refusal::Wrong(error) => keep(&error),
    }
}

/// [`primacy_select`] with everything that is not plain.
///
/// # Safety
/// As there.
#[cold]
unsafe fn select(
    selector: *mut primacy_selector,
    options: *const primacy_select_options,
    out: *mut primacy_backend,
) -> i32 {
    let outcome = caught(|| {
        // SAFETY: the same conditions.
        unsafe {
            shell::<SelectorHandle>(selector)?.exclusive(|this| {
                let to = StructOut::new(out, "out")?;
                let wish = wish(options)?;
                let mut backend = Backend::EMPTY;
                match this.0.select_wish(&wish, &mut backend) {
                    Ok(()) => {
                        // The same memory, as is asserted above.
                        to.put(&core::mem::transmute::<Backend, primacy_backend>(backend));
                        Ok(0)
                    }
                    Err(refusal) => Ok(refused(&this.0, refusal)),
                }
            })
        }
    });
    outcome.unwrap_or_else(|error| keep(&error))
}

/// # Safety
/// `options` is NULL or as the header says, for as long as the wish is used.
unsafe fn wish<'a>(options: *const primacy_select_options) -> Result<Wish<'a>> {
    if options.is_null() {
        return Ok(Wish::default());
    }
    // SAFETY: the caller's word.
    let given = unsafe { struct_in(options, "options") }?;
    flags(given.flags, PRIMACY_SELECT_STALE_OK, "options.flags")?;
    zero(given.reserved)?;
    let avoid = match given.avoid_count {
        0 => &[][..],
        n if n > MOST || given.avoid.is_null() || !given.avoid.is_aligned() => {
            let text =
                format!("`options.avoid`: {n} slots are not possible here; give an array of at most {MOST}");
            return Err(Error::new(ErrorCode::Invalid, text));
        }
        // SAFETY: not NULL, aligned, and the caller vouches for the length.
        n => unsafe { core::slice::from_raw_parts(given.avoid, n as usize) },
    };
    Ok(Wish {
        // SAFETY: the caller's word.
        min_gtid: unsafe { optional_text(given.min_gtid, "options.min_gtid") }?,
        stale_ok: given.flags & PRIMACY_SELECT_STALE_OK != 0,
        avoid,
    })
}

/// As [`backend`], without the making of an error.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn known_backend(from: *const primacy_backend) -> Option<Backend> {
    if from.is_null() || !from.is_aligned() {
        return None;
    }
    // SAFETY: not NULL, aligned; the fields before the address are there in every size that a selection filled.
    let (slot, generation, token) = unsafe { ((*from).slot, (*from).generation, (*from).token) };
    Some(Backend { slot, generation, token, ..Backend::EMPTY }).filter(Backend::is_genuine)
}

/// What a later version may give a meaning.
fn zero(reserved: u32) -> Result<()> {
    match reserved {
        0 => Ok(()),
        _ => Err(Error::new(ErrorCode::Unsupported, "`options`: `reserved` must be zero")),
    }
}

/// A backend from the caller.
///
/// # Safety
/// `from` is NULL or as the header says.
unsafe fn backend(from: *const primacy_backend) -> Result<Backend> {
    if from.is_null() || !from.is_aligned() {
        return Err(Error::new(ErrorCode::Invalid, "`backend` is NULL or not aligned"));
    }
    // SAFETY: the same condition.
    unsafe { known_backend(from) }
        .ok_or_else(|| Error::new(ErrorCode::Invalid, "`backend` was not filled by primacy_select"))
}

/// Says that a session ended which a selection began, so that `least-connections` and `two-choices` count one client less. Once for
/// each selection, on any selector of the service.
///
/// @param selector  the selector
/// @param backend   what the selection gave
/// @return          0; PRIMACY_E_BUSY; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_release(
    selector: *mut primacy_selector,
    backend: *const primacy_backend,
) -> i32 {
    // SAFETY: the contract of handles and structures.
    unsafe {
        if let Some(shell) = known_shell::<SelectorHandle>(selector)
            && let Some(backend) = known_backend(backend)
            && shell.quick(|this| this.0.release(&backend)).is_some()
        {
            return 0;
        }
    }
    call(|| {
        // SAFETY: the same.
        unsafe {
            shell::<SelectorHandle>(selector)?.exclusive(|this| {
                this.0.release(&self::backend(backend)?);
                Ok(0)
            })
        }
    })
}

/// Says how the connect to a backend ended.
///
/// Failed connects make the next look at the node come early, and hold clients away from it after `quarantine_after` of them in a row.
/// A connect that worked is only heard where one failed before, and takes no lock else.
///
/// @param selector  the selector
/// @param backend   what the selection gave
/// @param outcome   a primacy_report_outcome
/// @return          0; PRIMACY_E_NOT_FOUND if the node has left; PRIMACY_E_STOPPED; PRIMACY_E_PANIC; PRIMACY_E_BUSY;
///                  PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Thread: one call at a time. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_report(
    selector: *mut primacy_selector,
    backend: *const primacy_backend,
    outcome: i32,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and structures.
        unsafe {
            shell::<SelectorHandle>(selector)?.exclusive(|this| {
                let backend = self::backend(backend)?;
                let Some(outcome) = ReportOutcome::from_number(outcome) else {
                    let text = format!("`outcome`: {outcome} is no primacy_report_outcome of this version");
                    return Err(Error::new(ErrorCode::Invalid, text));
                };
                this.0.report(&backend, outcome).map(|()| 0)
            })
        }
    })
}

/// Whether a session may stay where a selection sent it: ask before each statement, or when an event of the kinds switch or state
/// comes. One atomic read.
///
/// @param selector  a selector of the service; any thread may use it for this call, while no other one frees it
/// @param backend   what the selection gave
/// @return          a primacy_session; PRIMACY_E_STOPPED; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_backend_current(
    selector: *const primacy_selector,
    backend: *const primacy_backend,
) -> i32 {
    // SAFETY: the contract of handles and structures.
    unsafe {
        if let Some(shell) = known_shell::<SelectorHandle>(selector)
            && !shell.bond().is_parents()
            && let Some(backend) = known_backend(backend)
            && let Some(session) = shell.watched().session(backend.slot, backend.generation)
        {
            return session as i32;
        }
    }
    // SAFETY: the same.
    let known = unsafe {
        shell::<SelectorHandle>(selector).and_then(|shell| {
            shell.bond().check()?;
            let backend = self::backend(backend)?;
            // Only what never changes of a selector is read, so a call of its own thread does no harm.
            Ok(shell.watched().session(backend.slot, backend.generation))
        })
    };
    match known {
        Ok(Some(session)) => session as i32,
        Ok(None) => keep_text(ErrorCode::Stopped, "the instance was stopped; make a new one"),
        Err(error) => keep(&error),
    }
}

/// Gives the name of a slot's node, as configured.
///
/// @param selector  the selector
/// @param slot      a backend's `slot`
/// @param buf       where to write the name; may be NULL if `len` is 0
/// @param len       size of `buf` in bytes
/// @return          the length of the whole name; PRIMACY_E_NOT_FOUND; PRIMACY_E_BUSY; PRIMACY_E_FORKED; PRIMACY_E_INVALID;
///                  PRIMACY_E_HANDLE
///
/// Ownership: the text is copied.
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_node_name(
    selector: *const primacy_selector,
    slot: u32,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles, and the caller vouches for `len` bytes.
        unsafe {
            shell::<SelectorHandle>(selector)?.exclusive(|this| {
                let out = TextOut::new(buf, len)?;
                match this.0.node_name(slot) {
                    Some(name) => out.put(name),
                    None => Err(Error::new(
                        ErrorCode::NotFound,
                        format!("service {} has no slot {slot}", this.0.service()),
                    )),
                }
            })
        }
    })
}

/// Says who of the service gets clients and who does not, node by node, with the rule for each.
///
/// @param selector  the selector
/// @param buf       where to write the text; may be NULL if `len` is 0
/// @param len       size of `buf` in bytes
/// @return          the length of the whole text; PRIMACY_E_BUSY; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: the text is copied.
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_select_reason(
    selector: *const primacy_selector,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles, and the caller vouches for `len` bytes.
        unsafe {
            shell::<SelectorHandle>(selector)?.exclusive(|this| {
                let out = TextOut::new(buf, len)?;
                out.put(&this.0.reason())
            })
        }
    })
}
