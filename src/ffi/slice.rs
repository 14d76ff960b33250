//! What crosses the border as bytes: strings in, texts out, structures both ways.

use super::structs::Border;
use crate::error::{Error, ErrorCode, Result};
use core::ffi::{CStr, c_char};
use core::marker::PhantomData;
use std::ffi::CString;

/// A `size` above this is no size but an unset field.
const LARGEST: usize = 65536;

fn invalid<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorCode::Invalid, text))
}

/// The longest beginning of `text` of at most `room` bytes that ends at a character's border.
pub(super) fn cut(text: &str, room: usize) -> &str {
    let mut end = room.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A string from the caller; NULL is an error that names the argument.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that outlives the call.
pub(super) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: the same condition.
    match unsafe { optional_text(text, name) }? {
        Some(text) => Ok(text),
        None => invalid(format!("`{name}` is NULL; a string is needed")),
    }
}

/// A string from the caller that may be left out.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn optional_text<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and the caller vouches for the rest.
    match unsafe { CStr::from_ptr(text) }.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(error) => invalid(format!("`{name}` is not UTF-8 from byte {}", error.valid_up_to())),
    }
}

/// A text from the caller with its length.
///
/// # Safety
/// `text` is NULL or points to `len` bytes that outlive the call.
pub(super) unsafe fn text_of_length<'a>(text: *const c_char, len: usize, name: &str) -> Result<&'a str> {
    if text.is_null() {
        return if len == 0 {
            Ok("")
        } else {
            invalid(format!("`{name}` is NULL; {len} bytes were promised"))
        };
    }
    if len > isize::MAX as usize {
        return invalid(format!("`{name}`: a length of {len} bytes is not possible"));
    }
    // SAFETY: not NULL, not too long, and the caller vouches for the rest.
    let bytes = unsafe { core::slice::from_raw_parts(text.cast::<u8>(), len) };
    core::str::from_utf8(bytes)
        .or_else(|error| invalid(format!("`{name}` is not UTF-8 from byte {}", error.valid_up_to())))
}

/// A caller's buffer for a text.
pub(super) struct TextOut {
    buf: *mut c_char,
    len: usize,
}

impl TextOut {
    /// Checks the buffer, before any work is done for it.
    ///
    /// # Safety
    /// `buf` is NULL or points to `len` writable bytes.
    pub(super) unsafe fn new(buf: *mut c_char, len: usize) -> Result<TextOut> {
        if buf.is_null() && len != 0 {
            return invalid(format!(
                "`buf` is NULL, but `len` is {len}; to ask for the length give NULL and 0"
            ));
        }
        // SAFETY: the same condition, NULL with a length ruled out.
        Ok(unsafe { TextOut::unchecked(buf, len) })
    }

    /// The same for a buffer that was checked.
    ///
    /// # Safety
    /// `buf` points to `len` writable bytes; it may be NULL if `len` is 0.
    pub(super) unsafe fn unchecked(buf: *mut c_char, len: usize) -> TextOut {
        TextOut { buf, len }
    }

    /// Writes the text, cut at a character's border, and a NUL.
    pub(super) fn write(self, text: &str) {
        if self.len == 0 {
            return;
        }
        let text = cut(text, self.len - 1);
        // SAFETY: `new` had the caller's word for `len` bytes; `text` is shorter than that, and its memory is ours.
        unsafe {
            core::ptr::copy_nonoverlapping(text.as_ptr(), self.buf.cast::<u8>(), text.len());
            self.buf.add(text.len()).write(0);
        }
    }

    /// Writes the text and returns its whole length.
    pub(super) fn put(self, text: &str) -> Result<i32> {
        let length = super::guard::count(text.len())?;
        self.write(text);
        Ok(length)
    }
}

/// A text of ours as a C string. A NUL inside, which no text should have, becomes a blank.
pub(super) fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| CString::new(text.replace('\0', " ")).unwrap_or_default())
}

/// Reads the `size` that a caller's structure begins with.
unsafe fn size_of_callers<T: Border>(at: *const T, name: &str, least: usize) -> Result<usize> {
    if at.is_null() {
        return invalid(format!("`{name}` is NULL"));
    }
    if !at.is_aligned() {
        return invalid(format!("`{name}` is not aligned to {} bytes", align_of::<T>()));
    }
    // SAFETY: not NULL, aligned, and every structure of the contract begins with its size.
    let size = unsafe { at.cast::<u32>().read() } as usize;
    if size < least || size > LARGEST {
        return Err(Error::new(
            ErrorCode::Size,
            format!(
                "`{name}`: size is {size}; set it to sizeof of the structure, {} in this version",
                size_of::<T>()
            ),
        ));
    }
    Ok(size)
}

/// A caller's structure to fill: checked first, written last.
pub(super) struct StructOut<T> {
    to: *mut T,
    size: usize,
    _type: PhantomData<T>,
}

impl<T: Border> StructOut<T> {
    /// Checks address and size, before any work is done for it.
    ///
    /// # Safety
    /// `to` is NULL or points to as many writable bytes as its field `size` says.
    pub(super) unsafe fn new(to: *mut T, name: &str) -> Result<StructOut<T>> {
        // SAFETY: the same condition.
        let size = unsafe { size_of_callers(to, name, T::LEAST_OUT) }?;
        Ok(StructOut { to, size, _type: PhantomData })
    }

    /// Writes as many whole fields as fit, zeroes the rest, and leaves the caller's `size` alone.
    pub(super) fn put(self, value: &T) {
        let whole = T::ENDS.iter().copied().filter(|end| *end <= self.size).max().unwrap_or(0);
        let first = size_of::<u32>();
        // SAFETY: `new` had the caller's word for `size` bytes at `to`, of which `whole` is no more than `size`, nor more
        // than the structure itself, as it is one of `ENDS`. T has no padding, so every byte of it is initialized.
        unsafe {
            let (from, to) = (core::ptr::from_ref(value).cast::<u8>(), self.to.cast::<u8>());
            if whole > first {
                core::ptr::copy_nonoverlapping(from.add(first), to.add(first), whole - first);
            }
            let begun = whole.max(first);
            if self.size > begun {
                core::ptr::write_bytes(to.add(begun), 0, self.size - begun);
            }
        }
    }
}

/// A structure from the caller: missing fields are zero, unknown bytes must be.
///
/// # Safety
/// `from` is NULL or points to as many readable bytes as its field `size` says.
pub(super) unsafe fn struct_in<T: Border>(from: *const T, name: &str) -> Result<T> {
    // SAFETY: the same condition.
    let size = unsafe { size_of_callers(from, name, T::LEAST_IN) }?;
    let known = size.min(size_of::<T>());
    if !T::ENDS.contains(&known) {
        return Err(Error::new(
            ErrorCode::Size,
            format!("`{name}`: a size of {size} ends within a field; set it to sizeof of the structure"),
        ));
    }
    // SAFETY: the caller vouches for `size` readable bytes.
    let bytes = unsafe { core::slice::from_raw_parts(from.cast::<u8>(), size) };
    if let Some(at) = bytes[known..].iter().position(|byte| *byte != 0) {
        return Err(Error::new(
            ErrorCode::Unsupported,
            format!(
                "`{name}`: byte {} is set, but this version knows {} bytes only",
                known + at,
                size_of::<T>()
            ),
        ));
    }
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: `known` is no more than either side holds, and all-zero bytes with some of the caller's over them are a value
    // of T, which is made of numbers and raw pointers.
    unsafe {
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), value.as_mut_ptr().cast::<u8>(), known);
        Ok(value.assume_init())
    }
}

/// A structure from the caller that may be NULL for all defaults.
///
/// # Safety
/// As for [`struct_in`].
pub(super) unsafe fn optional_struct_in<T: Border>(from: *const T, name: &str) -> Result<Option<T>> {
    if from.is_null() {
        return Ok(None);
    }
    // SAFETY: the same condition.
    unsafe { struct_in(from, name) }.map(Some)
}

/// A pointer to write a handle to, checked before any work is done for it.
pub(super) fn handle_out<T>(out: *mut *mut T, name: &str) -> Result<()> {
    if out.is_null() || !out.is_aligned() {
        return invalid(format!("`{name}` is NULL or not aligned; give the address of a pointer"));
    }
    Ok(())
}

/// Flags, of which only `known` may be set.
pub(super) fn flags(given: u32, known: u32, name: &str) -> Result<()> {
    match given & !known {
        0 => Ok(()),
        unknown => Err(Error::new(
            ErrorCode::Unsupported,
            format!("`{name}`: this version does not know the flag {unknown:#x}"),
        )),
    }
}
