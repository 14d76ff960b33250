//! Commands to a proxy that speaks MPP.

use super::guard::call;
use super::slice::{TextOut, optional_text, struct_in, text};
use super::structs::primacy_proxy_options;
use crate::error::{Error, ErrorCode, Result};
use crate::instance::proxy::{ProxyAdmin, ProxyLogin, read_password};
use crate::mpp::proxy_address;
use core::ffi::c_char;
use std::path::Path;
use std::time::Duration;

/// Without a limit of its own each step has this long.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The account that logs in without another name, as in a configuration.
const USER: &str = "primacy";

/// # Safety
/// The contract of strings in structures.
unsafe fn login(options: &primacy_proxy_options) -> Result<ProxyLogin> {
    let invalid = |words: String| Error::new(ErrorCode::Invalid, words);
    // SAFETY: the same condition.
    let (proxy, user, file) = unsafe {
        (
            text(options.proxy, "options.proxy")?,
            optional_text(options.user, "options.user")?,
            optional_text(options.password_file, "options.password_file")?,
        )
    };
    Ok(ProxyLogin {
        address: proxy_address(proxy).map_err(|words| invalid(format!("`options.proxy`: {words}")))?,
        user: user.unwrap_or(USER).to_owned(),
        password: file.map(|path| read_password(Path::new(path))).transpose()?,
        timeout: match options.timeout_ms {
            0 => TIMEOUT,
            ms => Duration::from_millis(ms.into()),
        },
    })
}

/// Gives one MPP command to a proxy whose script speaks MPP, over a connection of its own, and writes its answer.
///
/// The commands are `MPP SHOW ALL`, `MPP INITIALIZE node TYPE type` and `MPP SET node TYPE|STATE|STATUS|WEIGHT value`; docs/mpp.md tells
/// what they do. The answer to the first is a line for each row, its cells (nodename, group, element, value) divided by tabs; to the
/// others it is `SUCCESS` and a newline. A running instance needs none of this: what its configuration has under `push` is told by itself.
///
/// @param options  where, and who logs in; `size` and `proxy` are required
/// @param command  the command, in any case
/// @param buf      where to write the answer, cut at a UTF-8 border, and a NUL; may be NULL if `len` is 0
/// @param len      size of `buf` in bytes
/// @return         the length of the whole answer without the NUL; PRIMACY_E_INVALID for a text that is no command or no address;
///                 PRIMACY_E_REFUSED with the proxy's words; PRIMACY_E_IO if the proxy cannot be reached, does not answer in time or
///                 refuses the login; PRIMACY_E_SECRET; PRIMACY_E_SIZE; PRIMACY_E_UNSUPPORTED; PRIMACY_E_PANIC
///
/// Ownership: everything is copied. Blocks for as long as a name takes to be resolved, and for at most `timeout_ms` each for the
/// connection to each of its addresses, the login, and the answer.
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_proxy_command(
    options: *const primacy_proxy_options,
    command: *const c_char,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    call(|| {
        // SAFETY: the contract of strings, structures and buffers.
        unsafe {
            let out = TextOut::new(buf, len)?;
            let options = struct_in(options, "options")?;
            let command = text(command, "command")?;
            // A mistake is told before anybody is connected to.
            crate::mpp::Command::parse(command).map_err(|words| Error::new(ErrorCode::Invalid, words))?;
            let answer = ProxyAdmin::connect(login(&options)?)?.command(command)?;
            out.put(&answer)
        }
    })
}
