//! The text of the last failed call in a thread.

use super::slice::{TextOut, cut};
use crate::error::{Error, ErrorCode};
use core::ffi::c_char;
use std::cell::UnsafeCell;

/// Longest text that is kept, in bytes.
const CAPACITY: usize = 4095;

struct Last {
    length: usize,
    bytes: [u8; CAPACITY],
}

thread_local! {
    // Fixed and without a destructor: it answers during a thread's end too, and leaves nothing behind on dlclose.
    static LAST: UnsafeCell<Last> = const { UnsafeCell::new(Last { length: 0, bytes: [0; CAPACITY] }) };
}

/// Keeps the text of an error for [`primacy_last_error`] and returns its number.
pub(super) fn keep(error: &Error) -> i32 {
    keep_text(error.code(), error.message())
}

/// The same without an error made for it.
pub(super) fn keep_text(code: ErrorCode, text: &str) -> i32 {
    let text = cut(text, CAPACITY);
    LAST.with(|cell| {
        // SAFETY: the cell belongs to this thread and no reference to it leaves this file.
        let last = unsafe { &mut *cell.get() };
        // Texts come out as C strings: a NUL inside would hide the rest.
        for (to, from) in last.bytes.iter_mut().zip(text.bytes()) {
            *to = if from == 0 { b' ' } else { from };
        }
        last.length = text.len();
    });
    code as i32
}

/// Gives the text of the last failed call of this thread, on whatever handle.
///
/// A successful call leaves the text alone; in a thread without a failed call it is empty. This function itself never
/// replaces the text. Texts longer than 4095 bytes were cut when they were stored.
///
/// @param buf  where to write the text, cut at a UTF-8 border, and a NUL; may be NULL if `len` is 0
/// @param len  size of `buf` in bytes
/// @return     the length of the whole text without the NUL; PRIMACY_E_INVALID if `buf` is NULL and `len` is not 0
///
/// Ownership: the text is copied.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_last_error(buf: *mut c_char, len: usize) -> i32 {
    if buf.is_null() && len != 0 {
        return crate::ErrorCode::Invalid as i32;
    }
    LAST.with(|cell| {
        // SAFETY: as above.
        let last = unsafe { &*cell.get() };
        let text = core::str::from_utf8(&last.bytes[..last.length]).unwrap_or("");
        // SAFETY: the caller vouches for `len` bytes at `buf`; NULL was ruled out above.
        let out = unsafe { TextOut::unchecked(buf, len) };
        out.write(text);
        last.length as i32
    })
}
