//! The structures of the C contract, and the proof that they have no padding.

use core::ffi::c_char;
use libc::{sockaddr_in, sockaddr_in6, sockaddr_un};

/// Return before the outcome of a command is on disk.
pub const PRIMACY_NOWAIT: u32 = 1;

/// The state of a node is set by an override.
pub const PRIMACY_OVERRIDE_STATE: u32 = 1;
/// The status of a node is set by an override.
pub const PRIMACY_OVERRIDE_STATUS: u32 = 2;
/// The type of a node is set by an override.
pub const PRIMACY_OVERRIDE_TYPE: u32 = 4;
/// The weight of a node is set by an override.
pub const PRIMACY_OVERRIDE_WEIGHT: u32 = 8;
/// The node is in maintenance. In snapshots alone: primacy_maintenance begins one.
pub const PRIMACY_OVERRIDE_MAINTENANCE: u32 = 16;

/// `pool_status` of primacy_cycle_options is given.
pub const PRIMACY_CYCLE_POOL_STATUS: u32 = 1;

/// The family of the server is known.
pub const PRIMACY_FACT_FLAVOUR: u64 = 1;
/// The server's version is known.
pub const PRIMACY_FACT_VERSION: u64 = 2;
/// `@@server_id` is known.
pub const PRIMACY_FACT_SERVER_ID: u64 = 4;
/// `@@server_uuid` is known.
pub const PRIMACY_FACT_SERVER_UUID: u64 = 8;
/// `@@read_only` is known.
pub const PRIMACY_FACT_READ_ONLY: u64 = 16;
/// `@@super_read_only` is known.
pub const PRIMACY_FACT_SUPER_READ_ONLY: u64 = 32;
/// The transactions that the server has are known.
pub const PRIMACY_FACT_GTIDS: u64 = 64;
/// The replication channels are known; there may be none.
pub const PRIMACY_FACT_CHANNELS: u64 = 128;
/// `Threads_connected` is known.
pub const PRIMACY_FACT_THREADS_CONNECTED: u64 = 256;
/// `@@max_connections` is known.
pub const PRIMACY_FACT_MAX_CONNECTIONS: u64 = 512;
/// The round-trip time is known.
pub const PRIMACY_FACT_ROUND_TRIP: u64 = 1024;

/// The lag of a channel is known.
pub const PRIMACY_CHANNEL_LAG: u32 = 1;
/// Whether all that was received has been applied is known.
pub const PRIMACY_CHANNEL_APPLIED_ALL: u32 = 2;

/// primacy_select_options: if no node is known to hold `min_gtid`, any will do.
pub const PRIMACY_SELECT_STALE_OK: u32 = 1;

/// primacy_backend: nobody has renewed the table of the service for `stale_after`. It may be marked up to 64 selections late.
pub const PRIMACY_BACKEND_STALE: u32 = 1;
/// primacy_backend: the node has the fallback's role.
pub const PRIMACY_BACKEND_FALLBACK: u32 = 2;
/// primacy_backend: the node is of another site than the selector.
pub const PRIMACY_BACKEND_OTHER_SITE: u32 = 4;
/// primacy_backend: hosts could not reach the node for a while, and this client finds out: report how it went.
pub const PRIMACY_BACKEND_TRIAL: u32 = 8;

/// One replication channel of a node, as a row of SHOW REPLICA STATUS tells it. Both in and out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_channel {
    /// sizeof(primacy_channel) of the caller.
    pub size: u32,
    /// PRIMACY_CHANNEL_*: which of the fields that may be unknown are known.
    pub known: u32,
    /// The thread that receives: a primacy_thread_state.
    pub io_state: i32,
    /// The thread (or coordinator) that applies: a primacy_thread_state.
    pub sql_state: i32,
    /// Last error of the IO thread, 0 for none.
    pub io_error: u32,
    /// Last error of the SQL thread, 0 for none.
    pub sql_error: u32,
    /// PRIMACY_CHANNEL_APPLIED_ALL: 1 if all that was received has been applied, else 0.
    pub applied_all: i32,
    /// Zero.
    pub reserved: u32,
    /// PRIMACY_CHANNEL_LAG: behind the source as the server computes it, in milliseconds.
    pub lag_ms: u64,
    /// The channel's name; empty (in: or NULL) for the default one.
    pub name: *const c_char,
    /// The source's address as host:port, as the replica was told.
    pub source: *const c_char,
    /// Text of the last error; empty (in: or NULL) for none.
    pub error: *const c_char,
}

/// A health observation that the host made itself. In. Zero stands for the default of every field but `size`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_observation {
    /// sizeof(primacy_observation) of the caller.
    pub size: u32,
    /// How the host's probe ended: a primacy_cause.
    pub cause: i32,
    /// The number behind the cause: the server's error number, else the operating system's, else 0.
    pub error_number: u32,
    /// PRIMACY_FACT_FLAVOUR: a primacy_flavour.
    pub flavour: i32,
    /// One sentence for people; NULL for none.
    pub message: *const c_char,
    /// PRIMACY_FACT_*: which of the following fields are given.
    pub facts: u64,
    /// PRIMACY_FACT_VERSION: major * 10000 + minor * 100 + patch, as mysql_get_server_version() gives it.
    pub version: u32,
    /// PRIMACY_FACT_SERVER_ID: `@@server_id`.
    pub server_id: u32,
    /// PRIMACY_FACT_SERVER_UUID: `@@server_uuid` (MySQL).
    pub server_uuid: *const c_char,
    /// PRIMACY_FACT_GTIDS, which needs PRIMACY_FACT_FLAVOUR: `@@gtid_executed` (MySQL) or `@@gtid_current_pos` (MariaDB).
    pub gtids: *const c_char,
    /// PRIMACY_FACT_READ_ONLY: 1 or 0.
    pub read_only: i32,
    /// PRIMACY_FACT_SUPER_READ_ONLY: 1 or 0 (MySQL).
    pub super_read_only: i32,
    /// PRIMACY_FACT_CHANNELS: an array of pointers to `channel_count` channels; NULL if there are none.
    pub channels: *const *const primacy_channel,
    /// PRIMACY_FACT_CHANNELS: how many channels, at most 256.
    pub channel_count: u32,
    /// PRIMACY_FACT_THREADS_CONNECTED: `Threads_connected`.
    pub threads_connected: u32,
    /// PRIMACY_FACT_MAX_CONNECTIONS: `@@max_connections`.
    pub max_connections: u32,
    /// Zero.
    pub reserved: u32,
    /// PRIMACY_FACT_ROUND_TRIP: from the statement's last byte out to the answer's first byte in, in microseconds.
    pub round_trip_us: u64,
}

/// What a host adds when it closes a cycle. In.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_cycle_options {
    /// sizeof(primacy_cycle_options) of the caller.
    pub size: u32,
    /// PRIMACY_CYCLE_*.
    pub flags: u32,
    /// PRIMACY_CYCLE_POOL_STATUS: what the host's own checkpoints found, for this cycle only: a primacy_pool_status.
    pub pool_status: i32,
    /// Zero.
    pub reserved: u32,
}

/// What an override of a node sets, why and how long. In. Zero stands for the default of every field but `size` and `reason`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_override_options {
    /// sizeof(primacy_override_options) of the caller.
    pub size: u32,
    /// PRIMACY_OVERRIDE_*: which of the next four fields are set, at least one; the others are left to rules and configuration.
    pub set: u32,
    /// PRIMACY_OVERRIDE_STATE: a primacy_state, whatever is observed. ACTIVE moves the role to the node at once.
    pub state: i32,
    /// PRIMACY_OVERRIDE_STATUS: a primacy_status, which is shown and decides who serves. Rules go on with what they count.
    pub status: i32,
    /// PRIMACY_OVERRIDE_TYPE: a primacy_node_type. While a node is set to PRIMARY, the configured one counts as a SECONDARY.
    pub node_type: i32,
    /// PRIMACY_OVERRIDE_WEIGHT: share of the clients; 0 takes none.
    pub weight: u32,
    /// Why, for everybody who meets it later: 1 to 1000 bytes without control characters.
    pub reason: *const c_char,
    /// How long, 1000 (a second) to 31622400000 (366 days) milliseconds; 0 for no limit.
    pub limit_ms: i64,
}

/// A proxy that speaks MPP, and who logs in to it. In. Zero stands for the default of every field but `size` and `proxy`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_proxy_options {
    /// sizeof(primacy_proxy_options) of the caller.
    pub size: u32,
    /// For the connection, for the login, and for the answer, in milliseconds; 0 for 1000.
    pub timeout_ms: u32,
    /// Where its admin plugin listens, as host:port, [IPv6]:port or unix:/path; the port is 4041 where none is given.
    pub proxy: *const c_char,
    /// The account's name; NULL for `primacy`.
    pub user: *const c_char,
    /// The file that holds its password, as in a configuration; NULL for none.
    pub password_file: *const c_char,
}

/// What a snapshot holds. Out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_snapshot_info {
    /// sizeof(primacy_snapshot_info) of the caller.
    pub size: u32,
    /// How many pools, in configuration order.
    pub pool_count: u32,
    /// Wall-clock time of the snapshot, milliseconds since the Unix epoch.
    pub wall_ms: u64,
}

/// One pool of a snapshot. Out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_pool {
    /// sizeof(primacy_pool) of the caller.
    pub size: u32,
    /// How members relate: a primacy_pool_kind.
    pub kind: i32,
    /// The rule table: a primacy_policy.
    pub policy: i32,
    /// The pool as a whole: a primacy_pool_status.
    pub status: i32,
    /// Raised at every change of the ACTIVE node.
    pub epoch: u64,
    /// Index of the node that takes the clients, also while routing pauses; -1 for none.
    pub active: i32,
    /// 1 while routing pauses for a hand-over (send no new client to the ACTIVE node), else 0.
    pub paused: i32,
    /// How many nodes, in configuration order.
    pub node_count: u32,
    /// Zero.
    pub reserved: u32,
    /// The name.
    pub name: *const c_char,
    /// 1 while an operator's freeze lets no rule change a state or the role, else 0.
    pub frozen: i32,
    /// Zero.
    pub reserved2: u32,
    /// Wall-clock time of the freeze, milliseconds since the Unix epoch; 0 without one.
    pub frozen_since_ms: u64,
    /// Wall-clock time of its end; 0 without a limit.
    pub frozen_until_ms: u64,
    /// The operator's reason; empty without a freeze.
    pub frozen_reason: *const c_char,
}

/// One node of a snapshot. Out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_node {
    /// sizeof(primacy_node) of the caller.
    pub size: u32,
    /// A primacy_node_type.
    pub node_type: i32,
    /// Role and health as decided: a primacy_state.
    pub state: i32,
    /// The ladder: a primacy_status.
    pub status: i32,
    /// Bad observations in a row; -1 before the first probe.
    pub count: i64,
    /// Cause of the last observation: a primacy_cause; -1 before the first.
    pub cause: i32,
    /// Error number of the last observation.
    pub error_number: u32,
    /// The rule that last judged the node, 0 for none; see primacy_rule_text.
    pub rule: u32,
    /// 1 if the node failed as ACTIVE and waits for primacy_recover_node, else 0.
    pub waits_for_recover: i32,
    /// Wall-clock time of the last observation, milliseconds since the Unix epoch; 0 before the first.
    pub observed_ms: u64,
    /// Wall-clock time of the last change of state, of an ACTIVE node also of its coming to FAIL and leaving it; 0 if it
    /// never changed.
    pub changed_ms: u64,
    /// The canonical address.
    pub name: *const c_char,
    /// The last observation's text, or the last rule's sentence if that was empty.
    pub message: *const c_char,
    /// The site; may be empty.
    pub site: *const c_char,
    /// Share of the clients.
    pub weight: u32,
    /// PRIMACY_FACT_FLAVOUR: a primacy_flavour.
    pub flavour: i32,
    /// PRIMACY_FACT_*: which of the facts of the last successful probe are known.
    pub facts: u64,
    /// PRIMACY_FACT_VERSION: major * 10000 + minor * 100 + patch.
    pub version: u32,
    /// PRIMACY_FACT_SERVER_ID: `@@server_id`.
    pub server_id: u32,
    /// PRIMACY_FACT_SERVER_UUID: `@@server_uuid`; else empty.
    pub server_uuid: *const c_char,
    /// PRIMACY_FACT_GTIDS: all transactions that the server has; else empty.
    pub gtids: *const c_char,
    /// PRIMACY_FACT_READ_ONLY: 1 or 0.
    pub read_only: i32,
    /// PRIMACY_FACT_SUPER_READ_ONLY: 1 or 0.
    pub super_read_only: i32,
    /// PRIMACY_FACT_CHANNELS: how many replication channels; read them with primacy_snapshot_channel.
    pub channel_count: u32,
    /// PRIMACY_FACT_THREADS_CONNECTED: as of the last login.
    pub threads_connected: u32,
    /// PRIMACY_FACT_MAX_CONNECTIONS: as of the last login.
    pub max_connections: u32,
    /// Zero.
    pub reserved: u32,
    /// PRIMACY_FACT_ROUND_TRIP: in microseconds.
    pub round_trip_us: u64,
    /// PRIMACY_OVERRIDE_*: what an operator has set, or PRIMACY_OVERRIDE_MAINTENANCE; 0 for nothing. `node_type`, `status` and
    /// `weight` above show what is set.
    pub override_set: u32,
    /// PRIMACY_OVERRIDE_STATE: a primacy_state.
    pub override_state: i32,
    /// PRIMACY_OVERRIDE_STATUS: a primacy_status.
    pub override_status: i32,
    /// PRIMACY_OVERRIDE_TYPE: a primacy_node_type.
    pub override_type: i32,
    /// PRIMACY_OVERRIDE_WEIGHT: share of the clients.
    pub override_weight: u32,
    /// PRIMACY_OVERRIDE_MAINTENANCE: what it does with the role: a primacy_maintenance_role.
    pub maintenance_role: i32,
    /// Wall-clock time of the override or maintenance, milliseconds since the Unix epoch; 0 without one.
    pub override_since_ms: u64,
    /// Wall-clock time of its end; 0 without a limit.
    pub override_until_ms: u64,
    /// The operator's reason; empty without one.
    pub override_reason: *const c_char,
}

/// Which events a subscription takes. In. Zero means all.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_event_filter {
    /// sizeof(primacy_event_filter) of the caller.
    pub size: u32,
    /// The least severity: a primacy_severity.
    pub severity: i32,
    /// Bits by number of primacy_event_kind (1 << kind); 0 for all. PRIMACY_EVENT_LOST always comes.
    pub kinds: u64,
    /// One pool alone; NULL for all.
    pub pool: *const c_char,
}

/// One event. Out. Events are hints; the snapshot is the truth.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_event {
    /// sizeof(primacy_event) of the caller.
    pub size: u32,
    /// What it tells: a primacy_event_kind.
    pub kind: i32,
    /// How urgent it is: a primacy_severity.
    pub severity: i32,
    /// The cause behind it: a primacy_cause.
    pub cause: i32,
    /// Counts up by one with every event of the instance.
    pub sequence: u64,
    /// Monotonic time of the decision, in nanoseconds.
    pub mono_ns: u64,
    /// Wall-clock time, milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// The pool's epoch after the event.
    pub epoch: u64,
    /// A count where the kind has one: events lost, transactions stranded; else 0.
    pub count: u64,
    /// The node's state before: a primacy_state.
    pub old_state: i32,
    /// The node's state after.
    pub new_state: i32,
    /// The node's status before: a primacy_status.
    pub old_status: i32,
    /// The node's status after.
    pub new_status: i32,
    /// The rule that decided, 0 for none.
    pub rule: u32,
    /// Zero.
    pub reserved: u32,
    /// Name of the pool; empty if the event is about the instance.
    pub pool: *const c_char,
    /// Name of the node; empty if the event is about the pool.
    pub node: *const c_char,
    /// One or two sentences.
    pub message: *const c_char,
}

/// How a selector begins. In. Zero stands for the default of every field but `size`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_selector_options {
    /// sizeof(primacy_selector_options) of the caller.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// Makes the choices repeatable; 0 for a random one.
    pub seed: u64,
    /// Where the clients are, for services with `same_site_first`; NULL for the configuration's `site`.
    pub site: *const c_char,
}

/// What a client asks for beside the service. In. Zero stands for the default of every field but `size`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_select_options {
    /// sizeof(primacy_select_options) of the caller.
    pub size: u32,
    /// PRIMACY_SELECT_*.
    pub flags: u32,
    /// Transactions that the node must be known to hold, so that a client reads its own writes: a set as MySQL's
    /// `@@gtid_executed` or a position as MariaDB's `@@gtid_current_pos`; NULL for none.
    pub min_gtid: *const c_char,
    /// Slots that were tried in vain; NULL for none.
    pub avoid: *const u32,
    /// How many slots, at most 65536.
    pub avoid_count: u32,
    /// Zero.
    pub reserved: u32,
}

/// An address as connect(2) takes it. The family is in the first two bytes, as in every sockaddr.
#[repr(C)]
#[derive(Clone, Copy)]
pub union primacy_address {
    /// IPv4.
    pub in4: sockaddr_in,
    /// IPv6.
    pub in6: sockaddr_in6,
    /// A unix socket.
    pub un: sockaddr_un,
    /// Its bytes.
    pub bytes: [u8; 112],
}

/// A node that a client goes to: plain data, which may be copied and kept. Out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_backend {
    /// sizeof(primacy_backend) of the caller.
    pub size: u32,
    /// The node's number in the service, the same as long as the instance lives; primacy_node_name tells the name.
    pub slot: u32,
    /// Sessions of another generation of the slot must end; primacy_backend_current compares.
    pub generation: u64,
    /// The pool's epoch.
    pub epoch: u64,
    /// Says that this came from a selection.
    pub token: u64,
    /// PRIMACY_BACKEND_*.
    pub flags: u32,
    /// Why this node: a primacy_reason.
    pub reason: i32,
    /// For connect(2): how many bytes of the address count. The others are not written.
    pub addrlen: u32,
    /// Zero.
    pub reserved: u32,
    /// For connect(2).
    pub address: primacy_address,
}

/// This host's part in a floating address. Out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct primacy_vip {
    /// sizeof(primacy_vip) of the caller.
    pub size: u32,
    /// 1 if this host owns the address, else 0.
    pub owns: i32,
    /// Where the address is: a primacy_vip_stage.
    pub stage: i32,
    /// This host's score, 0 to 255; 0: it may not own the address.
    pub score: u32,
    /// The rule that gave the score; see primacy_rule_text.
    pub score_rule: u32,
    /// The rule by which the address stays or leaves.
    pub place_rule: u32,
    /// Whether the service on this host is in order: 1, 0, or -1 if nobody said.
    pub local: i32,
    /// Whether what it leads to is in order: 1, 0, or -1 if nobody said. It never moves the address.
    pub backend: i32,
    /// Failures of the service that count now.
    pub failures: u32,
    /// How many hosts say that they own the address; more than 1 is a conflict.
    pub owner_count: u32,
    /// The number of this host's ownership, or of its last one.
    pub epoch: u64,
    /// The highest number that is known of any host.
    pub highest_epoch: u64,
    /// For how many milliseconds failures still bar this host; 0 if they do not.
    pub barred_ms: u64,
    /// How often the address came to this host since the start.
    pub claims: u64,
    /// How often it left.
    pub releases: u64,
    /// For how many milliseconds an owner may be silent before this host comes in.
    pub down_interval_ms: u64,
}

/// A structure that crosses the border.
///
/// # Safety
/// `repr(C)`, begins with `size: u32`, has no padding, every bit pattern of zero bytes is a value, and `ENDS` lists the offset
/// behind each field.
pub(super) unsafe trait Border: Copy {
    /// Offset behind each field, ascending; the last is the size of the structure.
    const ENDS: &'static [usize];
    /// The smallest size of an out structure: the first release's.
    const LEAST_OUT: usize;
    /// The smallest size of an in structure: up to the last required field.
    const LEAST_IN: usize;
}

/// Offset behind one field of a list.
macro_rules! end_of {
    ($name:ident, $wanted:ident { $($field:ident: $type:ty),+ }) => {{
        let wanted = core::mem::offset_of!($name, $wanted);
        let mut end = 0;
        $(if core::mem::offset_of!($name, $field) == wanted { end = wanted + size_of::<$type>(); })+
        end
    }};
}

macro_rules! border {
    ($name:ident, in = $in:ident, out = $out:ident, { $($field:ident: $type:ty),+ $(,)? }) => {
        // SAFETY: the assertions below are the conditions of the trait: fields lie without gaps, `size` first; numbers and
        // raw pointers take zero bytes.
        unsafe impl Border for $name {
            const ENDS: &'static [usize] = &[$(core::mem::offset_of!($name, $field) + size_of::<$type>()),+];
            const LEAST_OUT: usize = end_of!($name, $out { $($field: $type),+ });
            const LEAST_IN: usize = end_of!($name, $in { $($field: $type),+ });
        }
        const _: () = {
            let mut end = 0;
            $(
                assert!(core::mem::offset_of!($name, $field) == end, "implicit padding");
                end += size_of::<$type>();
            )+
            assert!(end == size_of::<$name>(), "padding at the end, or a field left out");
            assert!(core::mem::offset_of!($name, size) == 0);
        };
    };
}

border!(primacy_channel, in = sql_state, out = error, {
    size: u32, known: u32, io_state: i32, sql_state: i32, io_error: u32, sql_error: u32, applied_all: i32,
    reserved: u32, lag_ms: u64, name: *const c_char, source: *const c_char, error: *const c_char,
});
border!(primacy_observation, in = cause, out = round_trip_us, {
    size: u32, cause: i32, error_number: u32, flavour: i32, message: *const c_char, facts: u64, version: u32,
    server_id: u32, server_uuid: *const c_char, gtids: *const c_char, read_only: i32, super_read_only: i32,
    channels: *const *const primacy_channel, channel_count: u32, threads_connected: u32,
    max_connections: u32, reserved: u32, round_trip_us: u64,
});
border!(primacy_cycle_options, in = size, out = reserved, { size: u32, flags: u32, pool_status: i32, reserved: u32 });
border!(primacy_snapshot_info, in = size, out = wall_ms, { size: u32, pool_count: u32, wall_ms: u64 });
border!(primacy_pool, in = size, out = name, {
    size: u32, kind: i32, policy: i32, status: i32, epoch: u64, active: i32, paused: i32, node_count: u32,
    reserved: u32, name: *const c_char, frozen: i32, reserved2: u32, frozen_since_ms: u64, frozen_until_ms: u64,
    frozen_reason: *const c_char,
});
border!(primacy_node, in = size, out = round_trip_us, {
    size: u32, node_type: i32, state: i32, status: i32, count: i64, cause: i32, error_number: u32, rule: u32,
    waits_for_recover: i32, observed_ms: u64, changed_ms: u64, name: *const c_char, message: *const c_char,
    site: *const c_char, weight: u32, flavour: i32, facts: u64, version: u32, server_id: u32,
    server_uuid: *const c_char, gtids: *const c_char, read_only: i32, super_read_only: i32,
    channel_count: u32, threads_connected: u32, max_connections: u32, reserved: u32, round_trip_us: u64,
    override_set: u32, override_state: i32, override_status: i32, override_type: i32, override_weight: u32,
    maintenance_role: i32, override_since_ms: u64, override_until_ms: u64, override_reason: *const c_char,
});
border!(primacy_override_options, in = reason, out = limit_ms, {
    size: u32, set: u32, state: i32, status: i32, node_type: i32, weight: u32, reason: *const c_char,
    limit_ms: i64,
});
border!(primacy_proxy_options, in = proxy, out = password_file, {
    size: u32, timeout_ms: u32, proxy: *const c_char, user: *const c_char, password_file: *const c_char,
});
border!(primacy_event_filter, in = size, out = pool, { size: u32, severity: i32, kinds: u64, pool: *const c_char });
border!(primacy_event, in = size, out = message, {
    size: u32, kind: i32, severity: i32, cause: i32, sequence: u64, mono_ns: u64, wall_ms: u64, epoch: u64,
    count: u64, old_state: i32, new_state: i32, old_status: i32, new_status: i32, rule: u32, reserved: u32,
    pool: *const c_char, node: *const c_char, message: *const c_char,
});
border!(primacy_selector_options, in = size, out = site, { size: u32, reserved: u32, seed: u64, site: *const c_char });
border!(primacy_select_options, in = size, out = reserved, {
    size: u32, flags: u32, min_gtid: *const c_char, avoid: *const u32, avoid_count: u32, reserved: u32,
});
border!(primacy_backend, in = size, out = address, {
    size: u32, slot: u32, generation: u64, epoch: u64, token: u64, flags: u32, reason: i32, addrlen: u32,
    reserved: u32, address: primacy_address,
});
border!(primacy_vip, in = size, out = down_interval_ms, {
    size: u32, owns: i32, stage: i32, score: u32, score_rule: u32, place_rule: u32, local: i32, backend: i32,
    failures: u32, owner_count: u32, epoch: u64, highest_epoch: u64, barred_ms: u64, claims: u64, releases: u64,
    down_interval_ms: u64,
});
