//! Error numbers of the public interface and the error type that carries them.
//!
//! Numbers are append-only: a number never changes its meaning, a retired one is never reused.

use core::fmt;

/// What went wrong, as a stable number. The C names are `PRIMACY_E_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum ErrorCode {
    /// An argument is out of its range, or NULL where a value is needed.
    Invalid = -1,
    /// The handle is of another type, or no handle at all.
    Handle = -2,
    /// A structure's `size` is smaller than the first release's.
    Size = -3,
    /// Bytes or flags are set that this version does not know.
    Unsupported = -4,
    /// Two calls on an object that takes one at a time.
    Busy = -5,
    /// The configuration is wrong; the text names key, line and column.
    Config = -6,
    /// No pool, node, service or rule of that name.
    NotFound = -7,
    /// A rule or the object's state forbids the command; the text names the rule.
    Refused = -8,
    /// The call does not fit the object's life (started, not started, host loop).
    State = -9,
    /// The instance was stopped.
    Stopped = -10,
    /// The instance belongs to the parent process.
    Forked = -11,
    /// Another process holds the cache; the text names it.
    Locked = -12,
    /// The cache file is torn, truncated or foreign; the text names file and byte.
    Cache = -13,
    /// The operating system refused: file, socket, memory.
    Io = -14,
    /// Nothing answered within the time given.
    Timeout = -15,
    /// The engine hit a defect of its own; the instance no longer decides.
    Panic = -16,
    /// A file with a secret cannot be read or is open to others.
    Secret = -17,
    /// The name does not resolve.
    Resolve = -18,
    /// There is no next element.
    End = -19,
    /// The cache's open instance has another configuration.
    ConfigDiffers = -20,
    /// No node of the service takes clients; the text names nodes, time and reason.
    NoBackend = -21,
    /// The role is being handed over: ask again in a moment.
    Paused = -22,
    /// Nobody has renewed the table of the service for `stale_after`, and it says `stale = "refuse"`.
    Stale = -23,
    /// No node is known to hold the transactions that were asked for.
    GtidUnknown = -24,
}

impl ErrorCode {
    /// Every code, in the order of its number.
    pub const ALL: [ErrorCode; 24] = [
        ErrorCode::Invalid,
        ErrorCode::Handle,
        ErrorCode::Size,
        ErrorCode::Unsupported,
        ErrorCode::Busy,
        ErrorCode::Config,
        ErrorCode::NotFound,
        ErrorCode::Refused,
        ErrorCode::State,
        ErrorCode::Stopped,
        ErrorCode::Forked,
        ErrorCode::Locked,
        ErrorCode::Cache,
        ErrorCode::Io,
        ErrorCode::Timeout,
        ErrorCode::Panic,
        ErrorCode::Secret,
        ErrorCode::Resolve,
        ErrorCode::End,
        ErrorCode::ConfigDiffers,
        ErrorCode::NoBackend,
        ErrorCode::Paused,
        ErrorCode::Stale,
        ErrorCode::GtidUnknown,
    ];

    /// The name as C spells it.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorCode::Invalid => "PRIMACY_E_INVALID",
            ErrorCode::Handle => "PRIMACY_E_HANDLE",
            ErrorCode::Size => "PRIMACY_E_SIZE",
            ErrorCode::Unsupported => "PRIMACY_E_UNSUPPORTED",
            ErrorCode::Busy => "PRIMACY_E_BUSY",
            ErrorCode::Config => "PRIMACY_E_CONFIG",
            ErrorCode::NotFound => "PRIMACY_E_NOT_FOUND",
            ErrorCode::Refused => "PRIMACY_E_REFUSED",
            ErrorCode::State => "PRIMACY_E_STATE",
            ErrorCode::Stopped => "PRIMACY_E_STOPPED",
            ErrorCode::Forked => "PRIMACY_E_FORKED",
            ErrorCode::Locked => "PRIMACY_E_LOCKED",
            ErrorCode::Cache => "PRIMACY_E_CACHE",
            ErrorCode::Io => "PRIMACY_E_IO",
            ErrorCode::Timeout => "PRIMACY_E_TIMEOUT",
            ErrorCode::Panic => "PRIMACY_E_PANIC",
            ErrorCode::Secret => "PRIMACY_E_SECRET",
            ErrorCode::Resolve => "PRIMACY_E_RESOLVE",
            ErrorCode::End => "PRIMACY_E_END",
            ErrorCode::ConfigDiffers => "PRIMACY_E_CONFIG_DIFFERS",
            ErrorCode::NoBackend => "PRIMACY_E_NO_BACKEND",
            ErrorCode::Paused => "PRIMACY_E_PAUSED",
            ErrorCode::Stale => "PRIMACY_E_STALE",
            ErrorCode::GtidUnknown => "PRIMACY_E_GTID_UNKNOWN",
        }
    }
}

/// A typed failure: the number for programs, the text for people.
///
/// The text says what failed, where, and what to do. It never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: ErrorCode,
    message: String,
}

/// The result of everything that can fail.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// Makes an error; `message` is one sentence or two, without a final newline.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Error {
        Error { code, message: message.into() }
    }

    /// The number.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
