//! Why a probe ended as it did, and the classes that rules look at.

use crate::pool::state::words;
use core::fmt;

words! {
    /// The cause-typed end of one probe.
    Cause {
        /// The node answered and its replication is in order.
        Ok = 0 => "ok",
        /// Nothing listens on the port (ECONNREFUSED).
        Refused = 1 => "refused",
        /// The connection was reset while it was being made.
        Reset = 2 => "reset",
        /// The server's process is gone.
        ProcessExit = 3 => "process_exit",
        /// The server is shutting down (error 1053).
        ShuttingDown = 4 => "shutting_down",
        /// The server is in offline mode (error 3032).
        OfflineMode = 5 => "offline_mode",
        /// The peer's kernel acknowledges, the server says nothing.
        NoReply = 6 => "no_reply",
        /// Nothing acknowledges.
        NoAck = 7 => "no_ack",
        /// The network says that there is no way to the host.
        Unreachable = 8 => "unreachable",
        /// No connection is free (errors 1040 and 1203).
        TooManyConnections = 9 => "too_many_connections",
        /// The server rejects the prober's account (error 1045 and its kin).
        AuthDenied = 10 => "auth_denied",
        /// The server blocks the prober's host (error 1129, 1130).
        HostBlocked = 11 => "host_blocked",
        /// TLS could not be agreed on.
        TlsError = 12 => "tls_error",
        /// What came was not the MySQL protocol.
        ProtocolError = 13 => "protocol_error",
        /// The server answered the probe's statement with an error.
        QueryFailed = 14 => "query_failed",
        /// A replication thread stands still or reports an error.
        ReplicationStopped = 15 => "replication_stopped",
        /// The replica is further behind than allowed.
        ReplicationLag = 16 => "replication_lag",
        /// The node's name does not resolve and no address is known.
        Dns = 17 => "dns",
        /// The prober itself is at fault: descriptors, memory, local network.
        Local = 18 => "local",
        /// A program that was configured to look at the node says that it does not work.
        CheckFailed = 19 => "check_failed",
    }
}

words! {
    /// What a cause says about the node. Rules look at nothing finer.
    Class {
        /// Healthy.
        Ok = 0 => "ok",
        /// Proof that the server does not run or will not serve.
        Gone = 1 => "gone",
        /// The host lives, the server does not react.
        Hung = 2 => "hung",
        /// No sign of the host.
        Silent = 3 => "silent",
        /// Alive, but it does not let the prober in.
        Refusing = 4 => "refusing",
        /// Alive, its replication is not in order.
        Replication = 5 => "replication",
        /// The prober could not look: never counted against a node.
        Blind = 6 => "blind",
    }
}

impl Cause {
    /// The class of the cause.
    pub const fn class(self) -> Class {
        match self {
            Cause::Ok => Class::Ok,
            Cause::Refused
            | Cause::Reset
            | Cause::ProcessExit
            | Cause::ShuttingDown
            | Cause::OfflineMode
            | Cause::CheckFailed => Class::Gone,
            Cause::NoReply => Class::Hung,
            Cause::NoAck | Cause::Unreachable => Class::Silent,
            Cause::TooManyConnections
            | Cause::AuthDenied
            | Cause::HostBlocked
            | Cause::TlsError
            | Cause::ProtocolError
            | Cause::QueryFailed => Class::Refusing,
            Cause::ReplicationStopped | Cause::ReplicationLag => Class::Replication,
            Cause::Dns | Cause::Local => Class::Blind,
        }
    }
}

impl Class {
    /// Whether a server process answered, with whatever words.
    pub const fn answered(self) -> bool {
        matches!(self, Class::Ok | Class::Refusing | Class::Replication)
    }
}
