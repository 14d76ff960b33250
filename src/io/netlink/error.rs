//! What can go wrong in address work: what was to be done, what the kernel said, what to do about it.

use crate::error::{Error, ErrorCode};
use core::fmt;

/// A right that the process lacks (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capability {
    /// Addresses, routes, ending connections of others.
    NetAdmin,
    /// Sending and hearing ARP and neighbour discovery.
    NetRaw,
}

impl Capability {
    /// Its name as the manual spells it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Capability::NetAdmin => "CAP_NET_ADMIN",
            Capability::NetRaw => "CAP_NET_RAW",
        }
    }
}

/// Why a piece of address work failed. `task` is what was to be done, in words that follow "to".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetError {
    /// There is no interface of this name.
    NoInterface { name: String },
    /// A right is missing.
    Capability { needed: Capability, task: String },
    /// The kernel refused, with this error number and, where it gives one, its reason in words.
    Refused { task: String, errno: i32, reason: String },
    /// The kernel did not answer in time.
    NoAnswer { task: String },
    /// The kernel's answer makes no sense.
    Malformed { task: String },
    /// This kernel, or this kind of interface, cannot do it.
    Unsupported { task: String, reason: String },
    /// The request itself is wrong, before the kernel saw it.
    Invalid { task: String, reason: String },
}

pub(crate) type NetResult<T> = Result<T, NetError>;

impl NetError {
    /// The error number of a call that failed at a task for which this capability is needed.
    pub(super) fn of(task: fmt::Arguments<'_>, errno: i32, reason: String, needed: Capability) -> NetError {
        let task = task.to_string();
        match errno {
            // The kernel says EACCES for other reasons, IPv6 switched off on the interface among them.
            libc::EPERM => NetError::Capability { needed, task },
            _ => NetError::Refused { task, errno, reason },
        }
    }

    /// The same for a call of the C library.
    pub(crate) fn of_call(task: fmt::Arguments<'_>, error: &std::io::Error, needed: Capability) -> NetError {
        NetError::of(task, error.raw_os_error().unwrap_or(libc::EIO), String::new(), needed)
    }

    /// The kernel's error number, if it was the kernel that refused.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            NetError::Refused { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetError::NoInterface { name } => write!(f, "there is no network interface {name:?}"),
            NetError::Capability { needed, task } => write!(f, "{} is needed to {task}", needed.name()),
            NetError::Refused { task, errno, reason } => {
                write!(f, "cannot {task}: {}", std::io::Error::from_raw_os_error(*errno))?;
                if reason.is_empty() { Ok(()) } else { write!(f, "; the kernel says: {reason}") }
            }
            NetError::NoAnswer { task } => write!(f, "cannot {task}: the kernel did not answer in time"),
            NetError::Malformed { task } => write!(f, "cannot {task}: the kernel's answer is malformed"),
            NetError::Unsupported { task, reason } | NetError::Invalid { task, reason } => {
                write!(f, "cannot {task}: {reason}")
            }
        }
    }
}

impl std::error::Error for NetError {}

impl From<NetError> for Error {
    fn from(error: NetError) -> Error {
        let code = match &error {
            NetError::NoInterface { .. } => ErrorCode::NotFound,
            NetError::NoAnswer { .. } => ErrorCode::Timeout,
            NetError::Unsupported { .. } => ErrorCode::Unsupported,
            NetError::Invalid { .. } => ErrorCode::Invalid,
            NetError::Capability { .. } | NetError::Refused { .. } | NetError::Malformed { .. } => {
                ErrorCode::Io
            }
        };
        Error::new(code, error.to_string())
    }
}
