//! The name of this host.

/// The kernel's name of this host, as `uname -n` shows it; empty if it cannot be read.
pub(crate) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}
