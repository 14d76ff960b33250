//! The two verdicts of a check, and what the checks of one node amount to together.
//!
//! *Local* is about the process that owns the port: only it may move an address. *Backend* is about what the port leads
//! to: status and metric, for when the databases are down the address must not wander with them.

use crate::engine::time::{Duration, Time};
use crate::pool::state::words;
use crate::probe::cause::{Cause, Class};
use core::fmt;

words! {
    /// What a check can say of one side.
    Verdict {
        /// It works.
        Good = 0 => "good",
        /// It does not.
        Bad = 1 => "bad",
        /// The check cannot tell.
        Unknown = 2 => "unknown",
    }
}

words! {
    /// What a check looks at.
    CheckKind {
        /// Whether a port accepts connections.
        Tcp = 0 => "tcp",
        /// Whether the X protocol is spoken and a statement answered.
        X = 1 => "x",
        /// Which server is behind a router's port, and whether it suits the port.
        Router = 2 => "router",
        /// Whether a process lives.
        Process = 3 => "process",
        /// What a program says.
        Exec = 4 => "exec",
    }
}

/// The server behind a router's port, by its own word. What is absent the server did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSeen {
    /// `@@server_uuid` (MySQL only).
    pub uuid: Option<String>,
    /// `@@hostname`.
    pub hostname: Option<String>,
    /// `@@port`: the port of its classic protocol, whichever protocol asked.
    pub port: Option<u16>,
    /// `@@read_only`.
    pub read_only: Option<bool>,
    /// `@@super_read_only` (MySQL only).
    pub super_read_only: Option<bool>,
}

impl ServerSeen {
    /// Whether it takes writes; `None` if it did not say.
    pub fn writable(&self) -> Option<bool> {
        match (self.read_only, self.super_read_only) {
            (Some(true), _) | (_, Some(true)) => Some(false),
            (Some(false), _) => Some(true),
            (None, _) => None,
        }
    }
}

impl fmt::Display for ServerSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hostname.as_deref().unwrap_or("a server without a name"))?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match &self.uuid {
            Some(uuid) => write!(f, " ({uuid})"),
            None => Ok(()),
        }
    }
}

/// The end of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckEnd {
    /// What was looked at.
    pub kind: CheckKind,
    /// Of the process that owns the port.
    pub local: Verdict,
    /// Of what the port leads to.
    pub backend: Verdict,
    /// How the check ended. If `local` is good, anything but `ok` is about what lies behind; a server that answers well
    /// but does not suit the port is `ok` with a bad `backend`.
    pub cause: Cause,
    /// The number behind the cause: the server's or the router's error number, else the operating system's, else 0.
    pub errno: u32,
    /// One or two sentences for people; empty when all is well.
    pub message: String,
    /// The server behind the port, if it was reached and asked.
    pub server: Option<ServerSeen>,
    /// When the check began.
    pub started: Time,
    /// When the check ended.
    pub ended: Time,
}

impl CheckEnd {
    /// An end without a server, for checks that talk to nobody.
    pub fn new(kind: CheckKind, local: Verdict, backend: Verdict, cause: Cause, at: Time) -> CheckEnd {
        CheckEnd {
            kind,
            local,
            backend,
            cause,
            errno: 0,
            message: String::new(),
            server: None,
            started: at,
            ended: at,
        }
    }

    /// The cause as far as the local side is concerned: `ok` if that is good.
    pub fn local_cause(&self) -> Cause {
        if self.local == Verdict::Good { Cause::Ok } else { self.cause }
    }

    /// How long the check took.
    pub fn took(&self) -> Duration {
        self.ended.since(self.started)
    }
}

/// What all checks of a node say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combined {
    /// Bad if any check says so for certain; unknown if one is open that no other settles.
    pub local: Verdict,
    /// Bad if any port does not lead where it should; else good if one does.
    pub backend: Verdict,
    /// The cause behind `local`; `ok` if that is good.
    pub cause: Cause,
    /// The number behind the cause, or 0.
    pub errno: u32,
    /// The words behind `local`; empty if that is good.
    pub message: String,
    /// The words behind `backend`; empty if that is good.
    pub backend_message: String,
}

/// What one check leaves of its local verdict, given the others.
enum Left {
    Good,
    Bad,
    Open,
    /// Another check has settled it, or it says nothing of the local side.
    Settled,
    /// Settled, and what it means is that nothing is behind the port.
    PortClosed,
}

/// The word of several checks that looked at one node at about the same time.
///
/// Two things are ambiguous for the check that meets them and are settled by its neighbours:
///
/// - A refused port. MySQL Router closes the port of a route all of whose servers are out of reach, except for a static
///   route with `first-available`, which stays open and answers with error 2003 (measured with 9.7: a static route with
///   `round-robin` is closed at the first refused connection and opened again within a second of the server's return).
///   So a refused port is the router's death only if nothing else shows that the router's process exists.
/// - Silence. A stopped router and a stopped server behind it look the same at a classic port. If another port of
///   the router reacts, it is the server. That the process exists proves nothing here: a stopped one exists too.
pub fn combine<'a>(ends: impl IntoIterator<Item = &'a CheckEnd>) -> Combined {
    let ends: Vec<&CheckEnd> = ends.into_iter().collect();
    let reacts = ends
        .iter()
        .any(|end| end.local == Verdict::Good && matches!(end.kind, CheckKind::X | CheckKind::Router));
    let exists = reacts
        || ends
            .iter()
            .any(|end| end.local == Verdict::Good && matches!(end.kind, CheckKind::Tcp | CheckKind::Process));
    let mut all = Combined {
        local: Verdict::Unknown,
        backend: Verdict::Unknown,
        cause: Cause::Ok,
        errno: 0,
        message: String::new(),
        backend_message: String::new(),
    };
    let mut worst = None;
    for &end in &ends {
        let (rank, backend) = match left(end, exists, reacts) {
            Left::Good => (1, end.backend),
            Left::Bad => (3, end.backend),
            Left::Open => (2, end.backend),
            Left::Settled => (0, end.backend),
            Left::PortClosed => (0, Verdict::Bad),
        };
        if worst.is_none_or(|(worst, _)| rank > worst) {
            worst = Some((rank, end));
        }
        match backend {
            Verdict::Good if all.backend == Verdict::Unknown => all.backend = Verdict::Good,
            Verdict::Bad => {
                all.backend = Verdict::Bad;
                let words = if end.local == Verdict::Bad && end.cause == Cause::Refused {
                    "a port is closed while the router lives: none of its servers is within reach"
                } else {
                    &end.message
                };
                if !all.backend_message.is_empty() && !words.is_empty() {
                    all.backend_message.push_str("; ");
                }
                all.backend_message.push_str(words);
            }
            _ => {}
        }
    }
    match worst {
        Some((1, _)) => all.local = Verdict::Good,
        Some((rank, end)) => {
            all.local = if rank == 3 { Verdict::Bad } else { Verdict::Unknown };
            (all.cause, all.errno, all.message) = (end.cause, end.errno, end.message.clone());
        }
        None => {}
    }
    all
}

fn left(end: &CheckEnd, exists: bool, reacts: bool) -> Left {
    let port = matches!(end.kind, CheckKind::X | CheckKind::Router);
    match (end.local, end.cause) {
        (Verdict::Good, _) => Left::Good,
        (Verdict::Bad, Cause::Refused) if port && exists => Left::PortClosed,
        (Verdict::Bad, _) => Left::Bad,
        // The prober's own trouble says nothing of the node.
        (Verdict::Unknown, cause) if cause.class() == Class::Blind => Left::Settled,
        (Verdict::Unknown, Cause::NoReply | Cause::Reset) if reacts => Left::Settled,
        (Verdict::Unknown, Cause::Ok) => Left::Settled,
        (Verdict::Unknown, _) => Left::Open,
    }
}
