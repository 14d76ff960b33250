//! How the command ends.

use primacy::{Error, ErrorCode};

/// The exit codes, one meaning each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or yes.
    Done,
    /// No.
    No,
    /// The command line or the configuration is wrong.
    Usage,
    /// A rule, or what is there already, forbids it.
    Refused,
    /// Cache, disk or server cannot be reached.
    Unreachable,
    /// Another process holds the cache.
    Locked,
    /// A server's weight, as keepalived's MISC_CHECK reads it with misc_dynamic: the code is two more.
    Weight(u8),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::Unreachable => 4,
            Exit::Locked => 5,
            Exit::Weight(weight) => weight.saturating_add(2),
        }
    }
}

/// What is printed to standard error before the end.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub text: String,
}

impl Failure {
    pub fn new(exit: Exit, text: impl Into<String>) -> Failure {
        Failure { exit, text: text.into() }
    }

    pub fn usage(text: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::new(exit_of(error.code()), error.message())
    }
}

pub fn exit_of(code: ErrorCode) -> Exit {
    match code {
        ErrorCode::Invalid | ErrorCode::Config | ErrorCode::NotFound | ErrorCode::Secret => Exit::Usage,
        ErrorCode::Refused => Exit::Refused,
        ErrorCode::Locked | ErrorCode::Busy => Exit::Locked,
        _ => Exit::Unreachable,
    }
}
