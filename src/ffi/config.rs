//! `primacy_config`: a configuration while it is being put together.

use super::guard::call;
use super::handle::{Handle, free_idle, give, shell};
use super::slice::{handle_out, text, text_of_length};
use crate::config::{Config, ConfigBuilder};
use crate::error::{Error, ErrorCode, Result};
use core::ffi::c_char;
use std::io::Read;
use std::sync::Arc;

/// A configuration while it is being put together.
pub struct primacy_config {
    _private: [u8; 0],
}

/// Longest text of a configuration: far above any real one, far below what would hurt.
const LONGEST: u64 = 16 << 20;

pub(super) struct ConfigHandle {
    builder: ConfigBuilder,
}

impl Handle for ConfigHandle {
    type Opaque = primacy_config;
    const MAGIC: u64 = 0x8c0f_1660_a11f_c0f1;
    const NAME: &'static str = "primacy_config";
    type Watched = ();

    fn watched(&self) {}
}

/// The checked configuration behind a handle.
///
/// # Safety
/// As for [`shell`].
pub(super) unsafe fn build(config: *const primacy_config) -> Result<Config> {
    // SAFETY: the same condition.
    unsafe { shell::<ConfigHandle>(config) }?.exclusive(|config| config.builder.build())
}

fn read_file(path: &str) -> Result<String> {
    let failed = |error: std::io::Error| {
        let hint =
            if error.kind() == std::io::ErrorKind::InvalidData { "; it must be UTF-8 text" } else { "" };
        Error::new(ErrorCode::Io, format!("{path}: cannot read the configuration: {error}{hint}"))
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LONGEST {
        return Err(Error::new(
            ErrorCode::Config,
            format!("{path}: longer than {} MiB; this is no configuration", LONGEST >> 20),
        ));
    }
    Ok(text)
}

/// Makes an empty configuration.
///
/// @param out  where to write the handle
/// @return     0; PRIMACY_E_INVALID
///
/// Ownership: the caller frees the handle with primacy_config_free.
/// Thread: any thread. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_config_new(out: *mut *mut primacy_config) -> i32 {
    call(|| {
        handle_out(out, "out")?;
        // SAFETY: checked above; the caller vouches that it can be written.
        unsafe { out.write(give(ConfigHandle { builder: ConfigBuilder::new() }, Arc::default())) };
        Ok(0)
    })
}

/// Frees a configuration. Instances made from it stay.
///
/// @param config  the configuration, or NULL
/// @return        0; PRIMACY_E_HANDLE; PRIMACY_E_BUSY and nothing is freed
///
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_config_free(config: *mut primacy_config) -> i32 {
    if config.is_null() {
        return 0;
    }
    call(|| {
        // SAFETY: the contract of handles.
        drop(unsafe { free_idle::<ConfigHandle>(config) }?);
        Ok(0)
    })
}

/// Adds what a configuration file says. What comes later wins.
///
/// @param config  the configuration; unchanged on failure
/// @param path    the file: TOML, at most 16 MiB
/// @return        0; PRIMACY_E_CONFIG and the text begins with FILE:LINE:COLUMN; PRIMACY_E_IO; PRIMACY_E_INVALID;
///                PRIMACY_E_HANDLE; PRIMACY_E_BUSY
///
/// Ownership: the path is copied.
/// Thread: one call at a time. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_config_load_file(config: *mut primacy_config, path: *const c_char) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and strings.
        let (shell, path) = unsafe { (shell::<ConfigHandle>(config)?, text(path, "path")?) };
        shell.exclusive(|config| config.builder.load_text(&read_file(path)?, path).map(|()| 0))
    })
}

/// Adds what a text in the form of a configuration file says. What comes later wins.
///
/// @param config  the configuration; unchanged on failure
/// @param text    TOML; need not end with NUL
/// @param len     its length in bytes
/// @param name    what errors call the text, most often where it came from; NULL for "text"
/// @return        0; PRIMACY_E_CONFIG and the error text begins with NAME:LINE:COLUMN; PRIMACY_E_INVALID; PRIMACY_E_HANDLE;
///                PRIMACY_E_BUSY
///
/// Ownership: the text is copied.
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_config_load_text(
    config: *mut primacy_config,
    text: *const c_char,
    len: usize,
    name: *const c_char,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and strings.
        let shell = unsafe { shell::<ConfigHandle>(config) }?;
        // SAFETY: the caller vouches for `len` bytes and for the name.
        let (text, name) =
            unsafe { (text_of_length(text, len, "text")?, super::slice::optional_text(name, "name")?) };
        if text.len() as u64 > LONGEST {
            return Err(Error::new(
                ErrorCode::Invalid,
                format!("`len`: a configuration has at most {} MiB", LONGEST >> 20),
            ));
        }
        shell.exclusive(|config| config.builder.load_text(text, name.unwrap_or("text")).map(|()| 0))
    })
}

/// Sets one key, as "probe.interval" to "100ms" or "pool.orders.policy" to "mpp".
///
/// @param config  the configuration; unchanged on failure
/// @param key     the key, with dots
/// @param value   the value as text
/// @return        0; PRIMACY_E_CONFIG and the text names the key; PRIMACY_E_INVALID; PRIMACY_E_HANDLE; PRIMACY_E_BUSY
///
/// Ownership: both strings are copied.
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_config_set(
    config: *mut primacy_config,
    key: *const c_char,
    value: *const c_char,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and strings.
        let (shell, key, value) =
            unsafe { (shell::<ConfigHandle>(config)?, text(key, "key")?, text(value, "value")?) };
        shell.exclusive(|config| config.builder.set(key, value).map(|()| 0))
    })
}

/// Adds a ring from a pool string: "name:POOL;primary:HOST[:PORT];secondary:HOST[:PORT];...".
///
/// @param config  the configuration; unchanged on failure
/// @param spec    the pool string; the port is 3306 by default, an IPv6 address stands in brackets
/// @return        0; PRIMACY_E_CONFIG and the text says where; PRIMACY_E_INVALID; PRIMACY_E_HANDLE; PRIMACY_E_BUSY
///
/// Ownership: the string is copied.
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_config_add_pool(config: *mut primacy_config, spec: *const c_char) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and strings.
        let (shell, spec) = unsafe { (shell::<ConfigHandle>(config)?, text(spec, "spec")?) };
        shell.exclusive(|config| config.builder.add_pool(spec).map(|()| 0))
    })
}
