//! Unpredictable bytes from the kernel.

use std::io;

/// `N` fresh bytes. Fails only where the kernel has no getrandom(2) or a filter forbids it.
pub(crate) fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut buffer = [0u8; N];
    let mut filled = 0;
    while filled < N {
        // SAFETY: the pointer and the length name the rest of `buffer`.
        let n = unsafe { libc::getrandom(buffer.as_mut_ptr().add(filled).cast(), N - filled, 0) };
        if n > 0 {
            filled += n as usize;
        } else {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
    Ok(buffer)
}
