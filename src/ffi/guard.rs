//! The panic boundary: a closure that returns `Result` becomes a C return, in one place.

use super::status;
use crate::error::{Error, ErrorCode, Result};
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Longest text of a panic that is kept.
const PANIC_TEXT: usize = 512;

/// Where the hook leaves the text of a panic for the frame that catches it. Without a destructor, so that it lives as long
/// as the thread.
struct PanicText {
    length: usize,
    bytes: [u8; PANIC_TEXT],
}

thread_local! {
    static LAST_PANIC: UnsafeCell<PanicText> =
        const { UnsafeCell::new(PanicText { length: 0, bytes: [0; PANIC_TEXT] }) };
}

/// Formats into a fixed buffer; what does not fit is dropped.
impl core::fmt::Write for PanicText {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.bytes.len() - self.length;
        let take = super::slice::cut(text, room).len();
        self.bytes[self.length..self.length + take].copy_from_slice(&text.as_bytes()[..take]);
        self.length += take;
        Ok(())
    }
}

/// Sets the hook of this library's own copy of std: it keeps the text and prints nothing.
///
/// Only calls through the C ABI come here, so a Rust host that uses the crate as an rlib keeps its hook. Unit tests keep
/// theirs too, or they would lose the texts of failed assertions.
fn install_hook() {
    #[cfg(not(test))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        if ONCE.is_completed() {
            return;
        }
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|info| {
                use core::fmt::Write;
                LAST_PANIC.with(|cell| {
                    // SAFETY: the cell belongs to this thread, and nothing below calls back into code that borrows it; a
                    // panic inside of a panic hook aborts.
                    let text = unsafe { &mut *cell.get() };
                    text.length = 0;
                    let _ = write!(text, "{info}");
                });
            }));
        });
    }
}

/// The text of the panic that was just caught in this thread.
fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let hooked = LAST_PANIC.with(|cell| {
        // SAFETY: as in the hook: one thread, no call back.
        let text = unsafe { &mut *cell.get() };
        let owned = String::from_utf8_lossy(&text.bytes[..text.length]).into_owned();
        text.length = 0;
        owned
    });
    if !hooked.is_empty() {
        return hooked.replace('\n', " ");
    }
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without text".to_owned()
    }
}

/// Runs `body`; a panic in it becomes [`ErrorCode::Panic`].
pub(super) fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    install_hook();
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => {
            let text = panic_text(&*payload);
            // A payload whose destructor panics would cross the border.
            core::mem::forget(payload);
            Err(Error::new(
                ErrorCode::Panic,
                format!("a defect of the library: {text}; please report it with this text"),
            ))
        }
    }
}

/// The body of a function that returns a count, a length or nothing.
pub(super) fn call(body: impl FnOnce() -> Result<i32>) -> i32 {
    match caught(body) {
        Ok(count) => count,
        Err(error) => status::keep(&error),
    }
}

/// A length or count as a return value.
pub(super) fn count(n: usize) -> Result<i32> {
    i32::try_from(n).map_err(|_| Error::new(ErrorCode::Invalid, "the result is longer than 2 GiB"))
}
