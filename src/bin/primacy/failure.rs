//! How the command ends.

use primacy::{Error, ErrorCode};

/// The exit codes, one meaning each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or yes.
    Done = 0,
    /// No.
    No = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// A rule, or what is there already, forbids it.
    Refused = 3,
    /// Cache, disk or server cannot be reached.
    Unreachable = 4,
    /// Another process holds the cache.
    Locked = 5,
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
