//! Names of numbers, and the sentences of rules.

use super::guard::{call, count};
use super::slice::{TextOut, text};
use crate::engine::{EventKind, ReportOutcome, Severity};
use crate::error::{Error, ErrorCode};
use crate::pool::{MaintenanceRole, NodeType, PolicyName, PoolKind, PoolStatus, State, Status};
use crate::probe::{Cause, Class, Flavour, ThreadState};
use crate::select::Reason;
use crate::vip::status::VipStage;
use core::ffi::{CStr, c_char};

/// Longest name with its NUL.
const WIDTH: usize = 32;

/// A name with NUL bytes behind it; one that does not fit stops the compiler.
const fn padded(name: &str) -> [u8; WIDTH] {
    let mut bytes = [0; WIDTH];
    let mut at = 0;
    while at < name.len() {
        bytes[at] = name.as_bytes()[at];
        at += 1;
    }
    assert!(at < WIDTH);
    bytes
}

/// Of pools and of floating addresses.
fn sentence(rule: u16) -> Option<&'static str> {
    crate::policy::rule_sentence(rule).or_else(|| crate::vip::rules::sentence(rule))
}

/// The name of a number that this version does not know: callers print it, so it is no NULL.
const UNKNOWN: &CStr = c"?";

/// Finds the name of `number` in a table that is made of the engine's word list at compile time.
macro_rules! name_of {
    ($list:ident, $number:expr) => {{
        static NAMES: [(i32, [u8; WIDTH]); $list::ALL.len()] = {
            let mut names = [(0, [0; WIDTH]); $list::ALL.len()];
            let mut at = 0;
            while at < names.len() {
                names[at] = ($list::ALL[at] as i32, padded($list::ALL[at].name()));
                at += 1;
            }
            names
        };
        match NAMES.iter().find(|(number, _)| *number == $number) {
            Some((_, name)) => name.as_ptr().cast(),
            None => UNKNOWN.as_ptr(),
        }
    }};
}

/// The name of an error number, as "PRIMACY_E_REFUSED".
///
/// @param error  a primacy_error
/// @return       a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_error_name(error: i32) -> *const c_char {
    if error == 0 {
        return c"PRIMACY_OK".as_ptr();
    }
    name_of!(ErrorCode, error)
}

/// The name of a state, as "FAILED_OFFLINE".
///
/// @param state  a primacy_state
/// @return       a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_state_name(state: i32) -> *const c_char {
    name_of!(State, state)
}

/// The name of a status, as "OK_WARN".
///
/// @param status  a primacy_status
/// @return        a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_status_name(status: i32) -> *const c_char {
    name_of!(Status, status)
}

/// The name of a node's type, as "PRIMARY".
///
/// @param node_type  a primacy_node_type
/// @return           a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_node_type_name(node_type: i32) -> *const c_char {
    name_of!(NodeType, node_type)
}

/// The name of a pool's kind, as "ring".
///
/// @param kind  a primacy_pool_kind
/// @return      a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_pool_kind_name(kind: i32) -> *const c_char {
    name_of!(PoolKind, kind)
}

/// The name of a policy, as "safe".
///
/// @param policy  a primacy_policy
/// @return        a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_policy_name(policy: i32) -> *const c_char {
    name_of!(PolicyName, policy)
}

/// The name of a pool's status, as "FAIL".
///
/// @param status  a primacy_pool_status
/// @return        a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_pool_status_name(status: i32) -> *const c_char {
    name_of!(PoolStatus, status)
}

/// The name of a cause, as "refused".
///
/// @param cause  a primacy_cause
/// @return       a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_cause_name(cause: i32) -> *const c_char {
    name_of!(Cause, cause)
}

/// The cause of a name, as "refused"; letter case does not matter.
///
/// @param name  the name
/// @return      a primacy_cause; PRIMACY_E_NOT_FOUND; PRIMACY_E_INVALID
///
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_cause_from_name(name: *const c_char) -> i32 {
    call(|| {
        // SAFETY: the contract of strings.
        let name = unsafe { text(name, "name") }?;
        match Cause::from_name(name) {
            Some(cause) => Ok(cause as i32),
            None => {
                let all: Vec<&str> = Cause::ALL.iter().map(|cause| cause.name()).collect();
                Err(Error::new(
                    ErrorCode::NotFound,
                    format!("{name:?} is no cause; there are {}", all.join(", ")),
                ))
            }
        }
    })
}

/// The class of a cause: what rules look at.
///
/// @param cause  a primacy_cause
/// @return       a primacy_class; PRIMACY_E_NOT_FOUND
///
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_cause_class(cause: i32) -> i32 {
    call(|| match Cause::from_number(cause) {
        Some(cause) => Ok(cause.class() as i32),
        None => Err(Error::new(ErrorCode::NotFound, format!("{cause} is no primacy_cause of this version"))),
    })
}

/// The name of a class, as "gone".
///
/// @param class_  a primacy_class
/// @return        a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_class_name(class_: i32) -> *const c_char {
    name_of!(Class, class_)
}

/// The name of a server's family, as "mariadb".
///
/// @param flavour  a primacy_flavour
/// @return         a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_flavour_name(flavour: i32) -> *const c_char {
    name_of!(Flavour, flavour)
}

/// The name of a replication thread's state, as "running".
///
/// @param state  a primacy_thread_state
/// @return       a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_thread_state_name(state: i32) -> *const c_char {
    name_of!(ThreadState, state)
}

/// The name of an event's kind, as "switch".
///
/// @param kind  a primacy_event_kind
/// @return      a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_event_kind_name(kind: i32) -> *const c_char {
    name_of!(EventKind, kind)
}

/// The name of a severity, as "alarm".
///
/// @param severity  a primacy_severity
/// @return          a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_severity_name(severity: i32) -> *const c_char {
    name_of!(Severity, severity)
}

/// The name of what maintenance does with the role, as "stay".
///
/// @param role  a primacy_maintenance_role
/// @return      a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_maintenance_role_name(role: i32) -> *const c_char {
    name_of!(MaintenanceRole, role)
}

/// The name of a report's outcome, as "connect_failed".
///
/// @param outcome  a primacy_report_outcome
/// @return         a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_report_outcome_name(outcome: i32) -> *const c_char {
    name_of!(ReportOutcome, outcome)
}

/// The name of why a node was chosen, as "fallback".
///
/// @param reason  a primacy_reason
/// @return        a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_reason_name(reason: i32) -> *const c_char {
    name_of!(Reason, reason)
}

/// The name of where an address is, as "held".
///
/// @param stage  a primacy_vip_stage
/// @return       a constant; "?" for a number that this version does not know
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_vip_stage_name(stage: i32) -> *const c_char {
    name_of!(VipStage, stage)
}

/// The sentence of a rule: what it looks at and what it decides.
///
/// @param rule  the rule's number
/// @param buf   where to write the text; may be NULL if `len` is 0
/// @param len   size of `buf` in bytes
/// @return      the length of the whole text; PRIMACY_E_NOT_FOUND; PRIMACY_E_INVALID
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_rule_text(rule: u32, buf: *mut c_char, len: usize) -> i32 {
    call(|| {
        // SAFETY: the caller vouches for `len` bytes.
        let out = unsafe { TextOut::new(buf, len) }?;
        match u16::try_from(rule).ok().and_then(sentence) {
            Some(sentence) => {
                count(sentence.len())?;
                out.put(sentence)
            }
            None => Err(Error::new(ErrorCode::NotFound, format!("there is no rule {rule} in this version"))),
        }
    })
}
