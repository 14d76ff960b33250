//! Versions of the library, its contract and its header.

use core::ffi::{CStr, c_char};

/// Major version of the header.
pub const PRIMACY_VERSION_MAJOR: u32 = 0;
/// Minor version of the header.
pub const PRIMACY_VERSION_MINOR: u32 = 1;
/// Patch version of the header.
pub const PRIMACY_VERSION_PATCH: u32 = 0;
/// The contract that the header describes: raised by every release that adds to it.
pub const PRIMACY_ABI_VERSION: u32 = 1;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(text) => text,
    Err(_) => panic!("a NUL in the version"),
};

const fn number(text: &str) -> u32 {
    let mut value = 0;
    let mut at = 0;
    while at < text.len() {
        value = value * 10 + (text.as_bytes()[at] - b'0') as u32;
        at += 1;
    }
    value
}

const _: () = assert!(
    number(env!("CARGO_PKG_VERSION_MAJOR")) == PRIMACY_VERSION_MAJOR
        && number(env!("CARGO_PKG_VERSION_MINOR")) == PRIMACY_VERSION_MINOR
        && number(env!("CARGO_PKG_VERSION_PATCH")) == PRIMACY_VERSION_PATCH,
    "the header's version is not the package's"
);

/// The version of the loaded library, as "0.1.0".
///
/// @return  a constant; never NULL
///
/// Ownership: the library's, for ever.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The contract that the loaded library keeps.
///
/// A caller that was compiled against PRIMACY_ABI_VERSION runs with any library of the same soname whose answer is that
/// number or a higher one.
///
/// @return  the number, at least 1
///
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn primacy_abi_version() -> u32 {
    PRIMACY_ABI_VERSION
}
