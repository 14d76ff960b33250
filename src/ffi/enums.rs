//! The numbers of the C contract: one enumeration for each word list of the engine, held against it at compile time.
//!
//! The engine's lists come out of a macro that the header's generator cannot read, so they are spelled again here.
#![allow(dead_code)]

use crate::engine::{EventKind, ReportOutcome, Severity};
use crate::error::ErrorCode;
use crate::pool::{MaintenanceRole, NodeType, PolicyName, PoolKind, PoolStatus, State, Status};
use crate::probe::{Cause, Class, Flavour, ThreadState};
use crate::select::Reason;
use crate::vip::status::VipStage;

/// The outcome of a call. Append-only.
#[repr(i32)]
pub enum primacy_error {
    /// It worked.
    PRIMACY_OK = 0,
    /// An argument is out of its range, or NULL where a value is needed.
    PRIMACY_E_INVALID = -1,
    /// The handle is of another type, or no handle at all.
    PRIMACY_E_HANDLE = -2,
    /// A structure's `size` is smaller than the first release's, ends within a field, or was not set.
    PRIMACY_E_SIZE = -3,
    /// Bytes or flags are set that this version does not know.
    PRIMACY_E_UNSUPPORTED = -4,
    /// Two calls at once on an object that takes one at a time.
    PRIMACY_E_BUSY = -5,
    /// The configuration is wrong; the text names key, line and column.
    PRIMACY_E_CONFIG = -6,
    /// No pool, node or rule of that name.
    PRIMACY_E_NOT_FOUND = -7,
    /// A rule forbids the command; the text names it.
    PRIMACY_E_REFUSED = -8,
    /// The call does not fit the object's life (started, not started, host loop).
    PRIMACY_E_STATE = -9,
    /// The instance was stopped.
    PRIMACY_E_STOPPED = -10,
    /// The object belongs to the parent process.
    PRIMACY_E_FORKED = -11,
    /// Another process holds the cache; the text names it.
    PRIMACY_E_LOCKED = -12,
    /// The cache file is torn, truncated or foreign; the text names file and byte.
    PRIMACY_E_CACHE = -13,
    /// The operating system refused: file, socket, memory.
    PRIMACY_E_IO = -14,
    /// Nothing answered within the time given.
    PRIMACY_E_TIMEOUT = -15,
    /// The library hit a defect of its own; the instance no longer decides.
    PRIMACY_E_PANIC = -16,
    /// A file with a secret cannot be read or is open to others.
    PRIMACY_E_SECRET = -17,
    /// The name does not resolve.
    PRIMACY_E_RESOLVE = -18,
    /// There is no element of that index.
    PRIMACY_E_END = -19,
    /// The open instance of the same cache has another configuration.
    PRIMACY_E_CONFIG_DIFFERS = -20,
    /// No node of the service takes clients; the text names nodes, time and reason.
    PRIMACY_E_NO_BACKEND = -21,
    /// The role is being handed over: ask again in a moment.
    PRIMACY_E_PAUSED = -22,
    /// Nobody has renewed the table of the service for `stale_after`, and it says `stale = "refuse"`.
    PRIMACY_E_STALE = -23,
    /// No node is known to hold the transactions that were asked for.
    PRIMACY_E_GTID_UNKNOWN = -24,
}

/// What a node is in its pool.
#[repr(i32)]
pub enum primacy_state {
    /// Not yet seen in good health.
    PRIMACY_STATE_UNKNOWN = 0,
    /// Healthy and waiting.
    PRIMACY_STATE_STANDBY = 1,
    /// Takes the clients.
    PRIMACY_STATE_ACTIVE = 2,
    /// Answers, but its replication failed.
    PRIMACY_STATE_FAILED_ONLINE = 3,
    /// Does not answer.
    PRIMACY_STATE_FAILED_OFFLINE = 4,
}

/// The health ladder, best first.
#[repr(i32)]
pub enum primacy_status {
    /// Nothing is wrong.
    PRIMACY_STATUS_OK = 0,
    /// One quarter of the way down.
    PRIMACY_STATUS_OK_INFO = 1,
    /// Half of the way down.
    PRIMACY_STATUS_OK_WARN = 2,
    /// One step before the end.
    PRIMACY_STATUS_OK_CRITICAL = 3,
    /// The node counts as failed.
    PRIMACY_STATUS_FAIL = 4,
}

/// The configured place of a node: who is preferred as ACTIVE.
#[repr(i32)]
pub enum primacy_node_type {
    /// The preferred one, at most one per pool.
    PRIMACY_NODE_TYPE_PRIMARY = 0,
    /// A stand-in, in the order of configuration.
    PRIMACY_NODE_TYPE_SECONDARY = 1,
}

/// How the members of a pool relate to each other.
#[repr(i32)]
pub enum primacy_pool_kind {
    /// Members replicate to each other; ACTIVE is a routing decision.
    PRIMACY_POOL_KIND_RING = 0,
    /// One source, the rest replicas.
    PRIMACY_POOL_KIND_REPLICATED = 1,
    /// Group Replication or Galera elects; the pool follows.
    PRIMACY_POOL_KIND_GROUP = 2,
    /// Stateless routers.
    PRIMACY_POOL_KIND_ROUTER = 3,
}

/// The rule table that judges a pool.
#[repr(i32)]
pub enum primacy_policy {
    /// Without the original's faults; the default.
    PRIMACY_POLICY_SAFE = 0,
    /// The original's decisions, exactly.
    PRIMACY_POLICY_MPP = 1,
}

/// The status of a pool as a whole.
#[repr(i32)]
pub enum primacy_pool_status {
    /// The pool may have an ACTIVE node.
    PRIMACY_POOL_STATUS_OK = 0,
    /// All checkpoints fail: nobody may be ACTIVE.
    PRIMACY_POOL_STATUS_FAIL = 1,
}

/// How one probe of a node ended.
#[repr(i32)]
pub enum primacy_cause {
    /// The node answered and its replication is in order.
    PRIMACY_CAUSE_OK = 0,
    /// Nothing listens on the port (ECONNREFUSED).
    PRIMACY_CAUSE_REFUSED = 1,
    /// The connection was reset while it was being made.
    PRIMACY_CAUSE_RESET = 2,
    /// The server's process is gone.
    PRIMACY_CAUSE_PROCESS_EXIT = 3,
    /// The server is shutting down (error 1053).
    PRIMACY_CAUSE_SHUTTING_DOWN = 4,
    /// The server is in offline mode (error 3032).
    PRIMACY_CAUSE_OFFLINE_MODE = 5,
    /// The peer's kernel acknowledges, the server says nothing.
    PRIMACY_CAUSE_NO_REPLY = 6,
    /// Nothing acknowledges.
    PRIMACY_CAUSE_NO_ACK = 7,
    /// The network says that there is no way to the host.
    PRIMACY_CAUSE_UNREACHABLE = 8,
    /// No connection is free (errors 1040 and 1203).
    PRIMACY_CAUSE_TOO_MANY_CONNECTIONS = 9,
    /// The server rejects the prober's account (error 1045 and its kin).
    PRIMACY_CAUSE_AUTH_DENIED = 10,
    /// The server blocks the prober's host (errors 1129 and 1130).
    PRIMACY_CAUSE_HOST_BLOCKED = 11,
    /// TLS could not be agreed on.
    PRIMACY_CAUSE_TLS_ERROR = 12,
    /// What came was not the MySQL protocol.
    PRIMACY_CAUSE_PROTOCOL_ERROR = 13,
    /// The server answered the probe's statement with an error.
    PRIMACY_CAUSE_QUERY_FAILED = 14,
    /// A replication thread stands still or reports an error.
    PRIMACY_CAUSE_REPLICATION_STOPPED = 15,
    /// The replica is further behind than allowed.
    PRIMACY_CAUSE_REPLICATION_LAG = 16,
    /// The node's name does not resolve and no address is known.
    PRIMACY_CAUSE_DNS = 17,
    /// The prober itself is at fault: descriptors, memory, local network.
    PRIMACY_CAUSE_LOCAL = 18,
    /// A program that was configured to look at the node says that it does not work.
    PRIMACY_CAUSE_CHECK_FAILED = 19,
}

/// What a cause says about the node. Rules look at nothing finer.
#[repr(i32)]
pub enum primacy_class {
    /// Healthy.
    PRIMACY_CLASS_OK = 0,
    /// Proof that the server does not run or will not serve.
    PRIMACY_CLASS_GONE = 1,
    /// The host lives, the server does not react.
    PRIMACY_CLASS_HUNG = 2,
    /// No sign of the host.
    PRIMACY_CLASS_SILENT = 3,
    /// Alive, but it does not let the prober in.
    PRIMACY_CLASS_REFUSING = 4,
    /// Alive, its replication is not in order.
    PRIMACY_CLASS_REPLICATION = 5,
    /// The prober could not look: never counted against a node.
    PRIMACY_CLASS_BLIND = 6,
}

/// Which family of server answered.
#[repr(i32)]
pub enum primacy_flavour {
    /// MySQL and its builds.
    PRIMACY_FLAVOUR_MYSQL = 0,
    /// MariaDB.
    PRIMACY_FLAVOUR_MARIADB = 1,
}

/// A replication thread as the server reports it.
#[repr(i32)]
pub enum primacy_thread_state {
    /// Not running.
    PRIMACY_THREAD_STOPPED = 0,
    /// The IO thread tries to reach its source.
    PRIMACY_THREAD_CONNECTING = 1,
    /// Running.
    PRIMACY_THREAD_RUNNING = 2,
}

/// What an event tells.
#[repr(i32)]
pub enum primacy_event_kind {
    /// The ACTIVE node of a pool changed, to or from none too.
    PRIMACY_EVENT_SWITCH = 1,
    /// A node's state changed.
    PRIMACY_EVENT_STATE = 2,
    /// A node's status changed.
    PRIMACY_EVENT_STATUS = 3,
    /// The first bad observation of an ACTIVE node: a burst begins.
    PRIMACY_EVENT_DOUBT = 4,
    /// A doubt ended well.
    PRIMACY_EVENT_RELIEF = 5,
    /// The ACTIVE node is at FAIL and nobody may take over; the text says why, node by node.
    PRIMACY_EVENT_LAST_NODE = 6,
    /// An operator's command was carried out.
    PRIMACY_EVENT_COMMAND = 7,
    /// A planned hand-over began, ended or was given up.
    PRIMACY_EVENT_HAND_OVER = 8,
    /// A failed node answers and holds transactions that the ACTIVE lacks.
    PRIMACY_EVENT_STRANDED = 9,
    /// The status of a pool changed.
    PRIMACY_EVENT_POOL_STATUS = 10,
    /// The cache could not be written, or can be again.
    PRIMACY_EVENT_STORE = 11,
    /// Words for a log.
    PRIMACY_EVENT_LOG = 12,
    /// The subscriber was too slow: `count` events were dropped.
    PRIMACY_EVENT_LOST = 13,
    /// The prober's own loop is late again and again, and what it did not hear is discarded; or it is in time again.
    PRIMACY_EVENT_LATE = 14,
    /// No node answers at all: the prober itself may be cut off, and silence is not counted; or a node answers again.
    PRIMACY_EVENT_ISOLATED = 15,
    /// A checkpoint no longer answers or answers again, or could not be looked at.
    PRIMACY_EVENT_CHECKPOINT = 16,
    /// In a pool that follows: several nodes take writes that do not belong together, or none does; the text names them.
    PRIMACY_EVENT_WRITERS = 17,
    /// A proxy to which states are pushed takes them, or does not, or refuses something.
    PRIMACY_EVENT_PROXY = 19,
    /// A new configuration is in force.
    PRIMACY_EVENT_RELOAD = 20,
    /// The instance follows another process that decides for the cache, another one than before, or decides itself from now on.
    PRIMACY_EVENT_FOLLOWS = 21,
    /// A floating address came, left, or is in trouble; or an operator's order about one. The VIP's name stands in the pool's place, this
    /// host's in the node's.
    PRIMACY_EVENT_VIP = 22,
    /// A host of the tier is heard, or is not heard any more.
    PRIMACY_EVENT_PEER = 23,
}

/// How urgent an event is.
#[repr(i32)]
pub enum primacy_severity {
    /// For the record.
    PRIMACY_SEVERITY_INFO = 0,
    /// Someone should look in the morning.
    PRIMACY_SEVERITY_WARNING = 1,
    /// Someone should look now.
    PRIMACY_SEVERITY_ALARM = 2,
}

/// What becomes of the role when maintenance of the ACTIVE node begins.
#[repr(i32)]
pub enum primacy_maintenance_role {
    /// It is handed over, as soon as a node that may take over has proven that it has everything.
    PRIMACY_MAINTENANCE_MOVE = 0,
    /// The node keeps it, and its faults do not take it away.
    PRIMACY_MAINTENANCE_STAY = 1,
}

/// How a host's own use of a node ended, as far as it says something about reaching the node.
#[repr(i32)]
pub enum primacy_report_outcome {
    /// A session was made.
    PRIMACY_REPORT_CONNECTED = 0,
    /// The connection was refused, reset or found no way before a session was made.
    PRIMACY_REPORT_CONNECT_FAILED = 1,
    /// No session was made in the time that the host gives.
    PRIMACY_REPORT_CONNECT_TIMED_OUT = 2,
    /// The session was made, and ended later or had a query fail: says nothing about reaching the node.
    PRIMACY_REPORT_SESSION_FAILED = 3,
}

/// Why a node was chosen for a client.
#[repr(i32)]
pub enum primacy_reason {
    /// It has the service's role.
    PRIMACY_REASON_ROLE = 1,
    /// None of the role is in good order; the last look at this one was bad.
    PRIMACY_REASON_SPARE = 2,
    /// None of the role takes clients: the service's fallback.
    PRIMACY_REASON_FALLBACK = 3,
    /// Hosts could not reach it, but nobody else takes clients.
    PRIMACY_REASON_HELD = 4,
    /// Hosts could not reach it for a while: this client finds out whether it is back.
    PRIMACY_REASON_TRIAL = 5,
    /// It is known to hold the transactions that were asked for.
    PRIMACY_REASON_GTID = 6,
    /// Nobody of the service is known to hold the transactions that were asked for, but the ACTIVE node is.
    PRIMACY_REASON_GTID_ACTIVE = 7,
}

/// What becomes of a session.
#[repr(i32)]
pub enum primacy_session {
    /// It must end now: its node lost the role, failed, or left.
    PRIMACY_SESSION_ENDS = 0,
    /// It stays.
    PRIMACY_SESSION_STAYS = 1,
    /// End it once it is idle; at the deadline it becomes PRIMACY_SESSION_ENDS.
    PRIMACY_SESSION_DRAINS = 2,
}

/// Holds an enumeration above against the engine's list: the same numbers, and none missing.
/// Where a floating address is, seen from this host. Append-only.
#[repr(i32)]
pub enum primacy_vip_stage {
    /// Not here.
    PRIMACY_VIP_ABSENT = 0,
    /// Owned; the network is asked first whether somebody has it.
    PRIMACY_VIP_ASKING = 1,
    /// Owned; on_claim runs first.
    PRIMACY_VIP_HOOKING = 2,
    /// Owned; it is being added.
    PRIMACY_VIP_ADDING = 3,
    /// Owned and here: clients reach this host.
    PRIMACY_VIP_HELD = 4,
    /// Not owned any more; it is being taken off.
    PRIMACY_VIP_RELEASING = 5,
    /// Not owned any more, and could not be taken off yet; its lifetime ends.
    PRIMACY_VIP_STUCK = 6,
}

macro_rules! same {
    ($c:ident, $engine:ident { $($cv:ident = $ev:ident),+ $(,)? }) => {
        const _: () = {
            $(assert!($c::$cv as i32 == $engine::$ev as i32);)+
            assert!([$($engine::$ev),+].len() == $engine::ALL.len());
        };
    };
}

same!(primacy_error, ErrorCode {
    PRIMACY_E_INVALID = Invalid, PRIMACY_E_HANDLE = Handle, PRIMACY_E_SIZE = Size,
    PRIMACY_E_UNSUPPORTED = Unsupported, PRIMACY_E_BUSY = Busy, PRIMACY_E_CONFIG = Config,
    PRIMACY_E_NOT_FOUND = NotFound, PRIMACY_E_REFUSED = Refused, PRIMACY_E_STATE = State,
    PRIMACY_E_STOPPED = Stopped, PRIMACY_E_FORKED = Forked, PRIMACY_E_LOCKED = Locked,
    PRIMACY_E_CACHE = Cache, PRIMACY_E_IO = Io, PRIMACY_E_TIMEOUT = Timeout, PRIMACY_E_PANIC = Panic,
    PRIMACY_E_SECRET = Secret, PRIMACY_E_RESOLVE = Resolve, PRIMACY_E_END = End,
    PRIMACY_E_CONFIG_DIFFERS = ConfigDiffers, PRIMACY_E_NO_BACKEND = NoBackend, PRIMACY_E_PAUSED = Paused,
    PRIMACY_E_STALE = Stale, PRIMACY_E_GTID_UNKNOWN = GtidUnknown,
});
same!(primacy_state, State {
    PRIMACY_STATE_UNKNOWN = Unknown, PRIMACY_STATE_STANDBY = Standby, PRIMACY_STATE_ACTIVE = Active,
    PRIMACY_STATE_FAILED_ONLINE = FailedOnline, PRIMACY_STATE_FAILED_OFFLINE = FailedOffline,
});
same!(primacy_status, Status {
    PRIMACY_STATUS_OK = Ok, PRIMACY_STATUS_OK_INFO = OkInfo, PRIMACY_STATUS_OK_WARN = OkWarn,
    PRIMACY_STATUS_OK_CRITICAL = OkCritical, PRIMACY_STATUS_FAIL = Fail,
});
same!(primacy_node_type, NodeType {
    PRIMACY_NODE_TYPE_PRIMARY = Primary, PRIMACY_NODE_TYPE_SECONDARY = Secondary,
});
same!(primacy_pool_kind, PoolKind {
    PRIMACY_POOL_KIND_RING = Ring, PRIMACY_POOL_KIND_REPLICATED = Replicated,
    PRIMACY_POOL_KIND_GROUP = Group, PRIMACY_POOL_KIND_ROUTER = Router,
});
same!(primacy_policy, PolicyName { PRIMACY_POLICY_SAFE = Safe, PRIMACY_POLICY_MPP = Mpp });
same!(primacy_pool_status, PoolStatus { PRIMACY_POOL_STATUS_OK = Ok, PRIMACY_POOL_STATUS_FAIL = Fail });
same!(primacy_cause, Cause {
    PRIMACY_CAUSE_OK = Ok, PRIMACY_CAUSE_REFUSED = Refused, PRIMACY_CAUSE_RESET = Reset,
    PRIMACY_CAUSE_PROCESS_EXIT = ProcessExit, PRIMACY_CAUSE_SHUTTING_DOWN = ShuttingDown,
    PRIMACY_CAUSE_OFFLINE_MODE = OfflineMode, PRIMACY_CAUSE_NO_REPLY = NoReply,
    PRIMACY_CAUSE_NO_ACK = NoAck, PRIMACY_CAUSE_UNREACHABLE = Unreachable,
    PRIMACY_CAUSE_TOO_MANY_CONNECTIONS = TooManyConnections, PRIMACY_CAUSE_AUTH_DENIED = AuthDenied,
    PRIMACY_CAUSE_HOST_BLOCKED = HostBlocked, PRIMACY_CAUSE_TLS_ERROR = TlsError,
    PRIMACY_CAUSE_PROTOCOL_ERROR = ProtocolError, PRIMACY_CAUSE_QUERY_FAILED = QueryFailed,
    PRIMACY_CAUSE_REPLICATION_STOPPED = ReplicationStopped,
    PRIMACY_CAUSE_REPLICATION_LAG = ReplicationLag, PRIMACY_CAUSE_DNS = Dns,
    PRIMACY_CAUSE_LOCAL = Local, PRIMACY_CAUSE_CHECK_FAILED = CheckFailed,
});
same!(primacy_class, Class {
    PRIMACY_CLASS_OK = Ok, PRIMACY_CLASS_GONE = Gone, PRIMACY_CLASS_HUNG = Hung,
    PRIMACY_CLASS_SILENT = Silent, PRIMACY_CLASS_REFUSING = Refusing,
    PRIMACY_CLASS_REPLICATION = Replication, PRIMACY_CLASS_BLIND = Blind,
});
same!(primacy_flavour, Flavour { PRIMACY_FLAVOUR_MYSQL = MySql, PRIMACY_FLAVOUR_MARIADB = MariaDb });
same!(primacy_thread_state, ThreadState {
    PRIMACY_THREAD_STOPPED = Stopped, PRIMACY_THREAD_CONNECTING = Connecting,
    PRIMACY_THREAD_RUNNING = Running,
});
same!(primacy_event_kind, EventKind {
    PRIMACY_EVENT_SWITCH = Switch, PRIMACY_EVENT_STATE = State, PRIMACY_EVENT_STATUS = Status,
    PRIMACY_EVENT_DOUBT = Doubt, PRIMACY_EVENT_RELIEF = Relief, PRIMACY_EVENT_LAST_NODE = LastNode,
    PRIMACY_EVENT_COMMAND = Command, PRIMACY_EVENT_HAND_OVER = HandOver,
    PRIMACY_EVENT_STRANDED = Stranded, PRIMACY_EVENT_POOL_STATUS = PoolStatus,
    PRIMACY_EVENT_STORE = Store, PRIMACY_EVENT_LOG = Log, PRIMACY_EVENT_LOST = Lost,
    PRIMACY_EVENT_LATE = Late,
    PRIMACY_EVENT_ISOLATED = Isolated,
    PRIMACY_EVENT_CHECKPOINT = Checkpoint,
    PRIMACY_EVENT_WRITERS = Writers,
    PRIMACY_EVENT_PROXY = Proxy,
    PRIMACY_EVENT_RELOAD = Reload,
    PRIMACY_EVENT_FOLLOWS = Follows,
    PRIMACY_EVENT_VIP = Vip,
    PRIMACY_EVENT_PEER = Peer,
});
same!(primacy_severity, Severity {
    PRIMACY_SEVERITY_INFO = Info, PRIMACY_SEVERITY_WARNING = Warning, PRIMACY_SEVERITY_ALARM = Alarm,
});
same!(primacy_maintenance_role, MaintenanceRole {
    PRIMACY_MAINTENANCE_MOVE = Move, PRIMACY_MAINTENANCE_STAY = Stay,
});
same!(primacy_report_outcome, ReportOutcome {
    PRIMACY_REPORT_CONNECTED = Connected, PRIMACY_REPORT_CONNECT_FAILED = ConnectFailed,
    PRIMACY_REPORT_CONNECT_TIMED_OUT = ConnectTimedOut, PRIMACY_REPORT_SESSION_FAILED = SessionFailed,
});
same!(primacy_reason, Reason {
    PRIMACY_REASON_ROLE = Role, PRIMACY_REASON_SPARE = Spare, PRIMACY_REASON_FALLBACK = Fallback,
    PRIMACY_REASON_HELD = Held, PRIMACY_REASON_TRIAL = Trial, PRIMACY_REASON_GTID = Gtid,
    PRIMACY_REASON_GTID_ACTIVE = GtidActive,
});
same!(primacy_vip_stage, VipStage {
    PRIMACY_VIP_ABSENT = Absent, PRIMACY_VIP_ASKING = Asking, PRIMACY_VIP_HOOKING = Hooking,
    PRIMACY_VIP_ADDING = Adding, PRIMACY_VIP_HELD = Held, PRIMACY_VIP_RELEASING = Releasing,
    PRIMACY_VIP_STUCK = Stuck,
});
