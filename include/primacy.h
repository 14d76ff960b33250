/*
 * Primacy: embeddable MySQL and MariaDB failover.
 *
 * Copyright the Primacy authors. Licence: MIT OR Apache-2.0.
 * Generated from src/ffi by `make header`; do not edit.
 *
 * THREADS
 *   Calls on one primacy_instance may overlap, from any threads. A primacy_config, primacy_snapshot, primacy_events or primacy_selector takes one
 *   call at a time and may move between threads; an overlap that is seen answers PRIMACY_E_BUSY. Every function below says
 *   "Thread: any thread" or "Thread: one call at a time", and how long it may take: "Time: never blocks", "short lock", "disk" or
 *   "network".
 *
 * ERRORS
 *   Functions return 0, a count or a length on success and a negative PRIMACY_E_* on failure. Outputs are written only on
 *   success. primacy_last_error gives the text of the last failed call of the calling thread. Numbers are append-only:
 *   accept those that you do not know. No call raises a signal, prints, or lets a panic through; one that met a defect of the
 *   library answers PRIMACY_E_PANIC.
 *
 * OWNERSHIP
 *   What a function writes to a handle pointer is freed by the _free of its type; freeing NULL is fine. Strings that you pass
 *   are UTF-8 with a NUL and are copied. Strings in structures that you get belong to the snapshot, or to the queue of events until
 *   its next event. Texts go into your buffer: at most `len` bytes with the NUL, cut at a UTF-8 border; the answer is the length
 *   of the whole text without the NUL, so `NULL, 0` asks for it.
 *
 * STRUCTURES
 *   Set `size` to sizeof of the structure before every use and clear the rest of those that you pass: zero stands for the default.
 *
 * FORK
 *   A configuration, and an instance that was never run, survive fork. In a child of the process that ran it, every call that takes
 *   the instance, a snapshot or events of it answers PRIMACY_E_FORKED; only _free works.
 *
 * The whole contract: docs/c-contract.md.
 */


#ifndef PRIMACY_H
#define PRIMACY_H

#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/un.h>

/** Version of this header as text; primacy_version() is that of the loaded library. */
#define PRIMACY_VERSION "0.1.0"


/**
 * Major version of the header.
 */
#define PRIMACY_VERSION_MAJOR 0

/**
 * Minor version of the header.
 */
#define PRIMACY_VERSION_MINOR 1

/**
 * Patch version of the header.
 */
#define PRIMACY_VERSION_PATCH 0

/**
 * The contract that the header describes: raised by every release that adds to it.
 */
#define PRIMACY_ABI_VERSION 1

/**
 * Return before the outcome of a command is on disk.
 */
#define PRIMACY_NOWAIT 1

/**
 * The state of a node is set by an override.
 */
#define PRIMACY_OVERRIDE_STATE 1

/**
 * The status of a node is set by an override.
 */
#define PRIMACY_OVERRIDE_STATUS 2

/**
 * The type of a node is set by an override.
 */
#define PRIMACY_OVERRIDE_TYPE 4

/**
 * The weight of a node is set by an override.
 */
#define PRIMACY_OVERRIDE_WEIGHT 8

/**
 * The node is in maintenance. In snapshots alone: primacy_maintenance begins one.
 */
#define PRIMACY_OVERRIDE_MAINTENANCE 16

/**
 * `pool_status` of primacy_cycle_options is given.
 */
#define PRIMACY_CYCLE_POOL_STATUS 1

/**
 * The family of the server is known.
 */
#define PRIMACY_FACT_FLAVOUR 1

/**
 * The server's version is known.
 */
#define PRIMACY_FACT_VERSION 2

/**
 * `@@server_id` is known.
 */
#define PRIMACY_FACT_SERVER_ID 4

/**
 * `@@server_uuid` is known.
 */
#define PRIMACY_FACT_SERVER_UUID 8

/**
 * `@@read_only` is known.
 */
#define PRIMACY_FACT_READ_ONLY 16

/**
 * `@@super_read_only` is known.
 */
#define PRIMACY_FACT_SUPER_READ_ONLY 32

/**
 * The transactions that the server has are known.
 */
#define PRIMACY_FACT_GTIDS 64

/**
 * The replication channels are known; there may be none.
 */
#define PRIMACY_FACT_CHANNELS 128

/**
 * `Threads_connected` is known.
 */
#define PRIMACY_FACT_THREADS_CONNECTED 256

/**
 * `@@max_connections` is known.
 */
#define PRIMACY_FACT_MAX_CONNECTIONS 512

/**
 * The round-trip time is known.
 */
#define PRIMACY_FACT_ROUND_TRIP 1024

/**
 * The lag of a channel is known.
 */
#define PRIMACY_CHANNEL_LAG 1

/**
 * Whether all that was received has been applied is known.
 */
#define PRIMACY_CHANNEL_APPLIED_ALL 2

/**
 * primacy_select_options: if no node is known to hold `min_gtid`, any will do.
 */
#define PRIMACY_SELECT_STALE_OK 1

/**
 * primacy_backend: nobody has renewed the table of the service for `stale_after`. It may be marked up to 64 selections late.
 */
#define PRIMACY_BACKEND_STALE 1

/**
 * primacy_backend: the node has the fallback's role.
 */
#define PRIMACY_BACKEND_FALLBACK 2

/**
 * primacy_backend: the node is of another site than the selector.
 */
#define PRIMACY_BACKEND_OTHER_SITE 4

/**
 * primacy_backend: hosts could not reach the node for a while, and this client finds out: report how it went.
 */
#define PRIMACY_BACKEND_TRIAL 8

/**
 * The outcome of a call. Append-only.
 */
enum primacy_error
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It worked.
     */
    PRIMACY_OK = 0,
    /**
     * An argument is out of its range, or NULL where a value is needed.
     */
    PRIMACY_E_INVALID = -1,
    /**
     * The handle is of another type, or no handle at all.
     */
    PRIMACY_E_HANDLE = -2,
    /**
     * A structure's `size` is smaller than the first release's, ends within a field, or was not set.
     */
    PRIMACY_E_SIZE = -3,
    /**
     * Bytes or flags are set that this version does not know.
     */
    PRIMACY_E_UNSUPPORTED = -4,
    /**
     * Two calls at once on an object that takes one at a time.
     */
    PRIMACY_E_BUSY = -5,
    /**
     * The configuration is wrong; the text names key, line and column.
     */
    PRIMACY_E_CONFIG = -6,
    /**
     * No pool, node or rule of that name.
     */
    PRIMACY_E_NOT_FOUND = -7,
    /**
     * A rule forbids the command; the text names it.
     */
    PRIMACY_E_REFUSED = -8,
    /**
     * The call does not fit the object's life (started, not started, host loop).
     */
    PRIMACY_E_STATE = -9,
    /**
     * The instance was stopped.
     */
    PRIMACY_E_STOPPED = -10,
    /**
     * The object belongs to the parent process.
     */
    PRIMACY_E_FORKED = -11,
    /**
     * Another process holds the cache; the text names it.
     */
    PRIMACY_E_LOCKED = -12,
    /**
     * The cache file is torn, truncated or foreign; the text names file and byte.
     */
    PRIMACY_E_CACHE = -13,
    /**
     * The operating system refused: file, socket, memory.
     */
    PRIMACY_E_IO = -14,
    /**
     * Nothing answered within the time given.
     */
    PRIMACY_E_TIMEOUT = -15,
    /**
     * The library hit a defect of its own; the instance no longer decides.
     */
    PRIMACY_E_PANIC = -16,
    /**
     * A file with a secret cannot be read or is open to others.
     */
    PRIMACY_E_SECRET = -17,
    /**
     * The name does not resolve.
     */
    PRIMACY_E_RESOLVE = -18,
    /**
     * There is no element of that index.
     */
    PRIMACY_E_END = -19,
    /**
     * The open instance of the same cache has another configuration.
     */
    PRIMACY_E_CONFIG_DIFFERS = -20,
    /**
     * No node of the service takes clients; the text names nodes, time and reason.
     */
    PRIMACY_E_NO_BACKEND = -21,
    /**
     * The role is being handed over: ask again in a moment.
     */
    PRIMACY_E_PAUSED = -22,
    /**
     * Nobody has renewed the table of the service for `stale_after`, and it says `stale = "refuse"`.
     */
    PRIMACY_E_STALE = -23,
    /**
     * No node is known to hold the transactions that were asked for.
     */
    PRIMACY_E_GTID_UNKNOWN = -24,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_error primacy_error;
#else
typedef int32_t primacy_error;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a node is in its pool.
 */
enum primacy_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Not yet seen in good health.
     */
    PRIMACY_STATE_UNKNOWN = 0,
    /**
     * Healthy and waiting.
     */
    PRIMACY_STATE_STANDBY = 1,
    /**
     * Takes the clients.
     */
    PRIMACY_STATE_ACTIVE = 2,
    /**
     * Answers, but its replication failed.
     */
    PRIMACY_STATE_FAILED_ONLINE = 3,
    /**
     * Does not answer.
     */
    PRIMACY_STATE_FAILED_OFFLINE = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_state primacy_state;
#else
typedef int32_t primacy_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The health ladder, best first.
 */
enum primacy_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Nothing is wrong.
     */
    PRIMACY_STATUS_OK = 0,
    /**
     * One quarter of the way down.
     */
    PRIMACY_STATUS_OK_INFO = 1,
    /**
     * Half of the way down.
     */
    PRIMACY_STATUS_OK_WARN = 2,
    /**
     * One step before the end.
     */
    PRIMACY_STATUS_OK_CRITICAL = 3,
    /**
     * The node counts as failed.
     */
    PRIMACY_STATUS_FAIL = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_status primacy_status;
#else
typedef int32_t primacy_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The configured place of a node: who is preferred as ACTIVE.
 */
enum primacy_node_type
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The preferred one, at most one per pool.
     */
    PRIMACY_NODE_TYPE_PRIMARY = 0,
    /**
     * A stand-in, in the order of configuration.
     */
    PRIMACY_NODE_TYPE_SECONDARY = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_node_type primacy_node_type;
#else
typedef int32_t primacy_node_type;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How the members of a pool relate to each other.
 */
enum primacy_pool_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Members replicate to each other; ACTIVE is a routing decision.
     */
    PRIMACY_POOL_KIND_RING = 0,
    /**
     * One source, the rest replicas.
     */
    PRIMACY_POOL_KIND_REPLICATED = 1,
    /**
     * Group Replication or Galera elects; the pool follows.
     */
    PRIMACY_POOL_KIND_GROUP = 2,
    /**
     * Stateless routers.
     */
    PRIMACY_POOL_KIND_ROUTER = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_pool_kind primacy_pool_kind;
#else
typedef int32_t primacy_pool_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The rule table that judges a pool.
 */
enum primacy_policy
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Without the original's faults; the default.
     */
    PRIMACY_POLICY_SAFE = 0,
    /**
     * The original's decisions, exactly.
     */
    PRIMACY_POLICY_MPP = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_policy primacy_policy;
#else
typedef int32_t primacy_policy;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The status of a pool as a whole.
 */
enum primacy_pool_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The pool may have an ACTIVE node.
     */
    PRIMACY_POOL_STATUS_OK = 0,
    /**
     * All checkpoints fail: nobody may be ACTIVE.
     */
    PRIMACY_POOL_STATUS_FAIL = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_pool_status primacy_pool_status;
#else
typedef int32_t primacy_pool_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How one probe of a node ended.
 */
enum primacy_cause
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The node answered and its replication is in order.
     */
    PRIMACY_CAUSE_OK = 0,
    /**
     * Nothing listens on the port (ECONNREFUSED).
     */
    PRIMACY_CAUSE_REFUSED = 1,
    /**
     * The connection was reset while it was being made.
     */
    PRIMACY_CAUSE_RESET = 2,
    /**
     * The server's process is gone.
     */
    PRIMACY_CAUSE_PROCESS_EXIT = 3,
    /**
     * The server is shutting down (error 1053).
     */
    PRIMACY_CAUSE_SHUTTING_DOWN = 4,
    /**
     * The server is in offline mode (error 3032).
     */
    PRIMACY_CAUSE_OFFLINE_MODE = 5,
    /**
     * The peer's kernel acknowledges, the server says nothing.
     */
    PRIMACY_CAUSE_NO_REPLY = 6,
    /**
     * Nothing acknowledges.
     */
    PRIMACY_CAUSE_NO_ACK = 7,
    /**
     * The network says that there is no way to the host.
     */
    PRIMACY_CAUSE_UNREACHABLE = 8,
    /**
     * No connection is free (errors 1040 and 1203).
     */
    PRIMACY_CAUSE_TOO_MANY_CONNECTIONS = 9,
    /**
     * The server rejects the prober's account (error 1045 and its kin).
     */
    PRIMACY_CAUSE_AUTH_DENIED = 10,
    /**
     * The server blocks the prober's host (errors 1129 and 1130).
     */
    PRIMACY_CAUSE_HOST_BLOCKED = 11,
    /**
     * TLS could not be agreed on.
     */
    PRIMACY_CAUSE_TLS_ERROR = 12,
    /**
     * What came was not the MySQL protocol.
     */
    PRIMACY_CAUSE_PROTOCOL_ERROR = 13,
    /**
     * The server answered the probe's statement with an error.
     */
    PRIMACY_CAUSE_QUERY_FAILED = 14,
    /**
     * A replication thread stands still or reports an error.
     */
    PRIMACY_CAUSE_REPLICATION_STOPPED = 15,
    /**
     * The replica is further behind than allowed.
     */
    PRIMACY_CAUSE_REPLICATION_LAG = 16,
    /**
     * The node's name does not resolve and no address is known.
     */
    PRIMACY_CAUSE_DNS = 17,
    /**
     * The prober itself is at fault: descriptors, memory, local network.
     */
    PRIMACY_CAUSE_LOCAL = 18,
    /**
     * A program that was configured to look at the node says that it does not work.
     */
    PRIMACY_CAUSE_CHECK_FAILED = 19,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_cause primacy_cause;
#else
typedef int32_t primacy_cause;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a cause says about the node. Rules look at nothing finer.
 */
enum primacy_class
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Healthy.
     */
    PRIMACY_CLASS_OK = 0,
    /**
     * Proof that the server does not run or will not serve.
     */
    PRIMACY_CLASS_GONE = 1,
    /**
     * The host lives, the server does not react.
     */
    PRIMACY_CLASS_HUNG = 2,
    /**
     * No sign of the host.
     */
    PRIMACY_CLASS_SILENT = 3,
    /**
     * Alive, but it does not let the prober in.
     */
    PRIMACY_CLASS_REFUSING = 4,
    /**
     * Alive, its replication is not in order.
     */
    PRIMACY_CLASS_REPLICATION = 5,
    /**
     * The prober could not look: never counted against a node.
     */
    PRIMACY_CLASS_BLIND = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_class primacy_class;
#else
typedef int32_t primacy_class;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Which family of server answered.
 */
enum primacy_flavour
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * MySQL and its builds.
     */
    PRIMACY_FLAVOUR_MYSQL = 0,
    /**
     * MariaDB.
     */
    PRIMACY_FLAVOUR_MARIADB = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_flavour primacy_flavour;
#else
typedef int32_t primacy_flavour;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A replication thread as the server reports it.
 */
enum primacy_thread_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Not running.
     */
    PRIMACY_THREAD_STOPPED = 0,
    /**
     * The IO thread tries to reach its source.
     */
    PRIMACY_THREAD_CONNECTING = 1,
    /**
     * Running.
     */
    PRIMACY_THREAD_RUNNING = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_thread_state primacy_thread_state;
#else
typedef int32_t primacy_thread_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an event tells.
 */
enum primacy_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The ACTIVE node of a pool changed, to or from none too.
     */
    PRIMACY_EVENT_SWITCH = 1,
    /**
     * A node's state changed.
     */
    PRIMACY_EVENT_STATE = 2,
    /**
     * A node's status changed.
     */
    PRIMACY_EVENT_STATUS = 3,
    /**
     * The first bad observation of an ACTIVE node: a burst begins.
     */
    PRIMACY_EVENT_DOUBT = 4,
    /**
     * A doubt ended well.
     */
    PRIMACY_EVENT_RELIEF = 5,
    /**
     * The ACTIVE node is at FAIL and nobody may take over; the text says why, node by node.
     */
    PRIMACY_EVENT_LAST_NODE = 6,
    /**
     * An operator's command was carried out.
     */
    PRIMACY_EVENT_COMMAND = 7,
    /**
     * A planned hand-over began, ended or was given up.
     */
    PRIMACY_EVENT_HAND_OVER = 8,
    /**
     * A failed node answers and holds transactions that the ACTIVE lacks.
     */
    PRIMACY_EVENT_STRANDED = 9,
    /**
     * The status of a pool changed.
     */
    PRIMACY_EVENT_POOL_STATUS = 10,
    /**
     * The cache could not be written, or can be again.
     */
    PRIMACY_EVENT_STORE = 11,
    /**
     * Words for a log.
     */
    PRIMACY_EVENT_LOG = 12,
    /**
     * The subscriber was too slow: `count` events were dropped.
     */
    PRIMACY_EVENT_LOST = 13,
    /**
     * The prober's own loop is late again and again, and what it did not hear is discarded; or it is in time again.
     */
    PRIMACY_EVENT_LATE = 14,
    /**
     * No node answers at all: the prober itself may be cut off, and silence is not counted; or a node answers again.
     */
    PRIMACY_EVENT_ISOLATED = 15,
    /**
     * A checkpoint no longer answers or answers again, or could not be looked at.
     */
    PRIMACY_EVENT_CHECKPOINT = 16,
    /**
     * In a pool that follows: several nodes take writes that do not belong together, or none does; the text names them.
     */
    PRIMACY_EVENT_WRITERS = 17,
    /**
     * A proxy to which states are pushed takes them, or does not, or refuses something.
     */
    PRIMACY_EVENT_PROXY = 19,
    /**
     * A new configuration is in force.
     */
    PRIMACY_EVENT_RELOAD = 20,
    /**
     * The instance follows another process that decides for the cache, another one than before, or decides itself from now on.
     */
    PRIMACY_EVENT_FOLLOWS = 21,
    /**
     * A floating address came, left, or is in trouble; or an operator's order about one. The VIP's name stands in the pool's place, this
     * host's in the node's.
     */
    PRIMACY_EVENT_VIP = 22,
    /**
     * A host of the tier is heard, or is not heard any more.
     */
    PRIMACY_EVENT_PEER = 23,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_event_kind primacy_event_kind;
#else
typedef int32_t primacy_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How urgent an event is.
 */
enum primacy_severity
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * For the record.
     */
    PRIMACY_SEVERITY_INFO = 0,
    /**
     * Someone should look in the morning.
     */
    PRIMACY_SEVERITY_WARNING = 1,
    /**
     * Someone should look now.
     */
    PRIMACY_SEVERITY_ALARM = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_severity primacy_severity;
#else
typedef int32_t primacy_severity;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What becomes of the role when maintenance of the ACTIVE node begins.
 */
enum primacy_maintenance_role
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It is handed over, as soon as a node that may take over has proven that it has everything.
     */
    PRIMACY_MAINTENANCE_MOVE = 0,
    /**
     * The node keeps it, and its faults do not take it away.
     */
    PRIMACY_MAINTENANCE_STAY = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_maintenance_role primacy_maintenance_role;
#else
typedef int32_t primacy_maintenance_role;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How a host's own use of a node ended, as far as it says something about reaching the node.
 */
enum primacy_report_outcome
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * A session was made.
     */
    PRIMACY_REPORT_CONNECTED = 0,
    /**
     * The connection was refused, reset or found no way before a session was made.
     */
    PRIMACY_REPORT_CONNECT_FAILED = 1,
    /**
     * No session was made in the time that the host gives.
     */
    PRIMACY_REPORT_CONNECT_TIMED_OUT = 2,
    /**
     * The session was made, and ended later or had a query fail: says nothing about reaching the node.
     */
    PRIMACY_REPORT_SESSION_FAILED = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_report_outcome primacy_report_outcome;
#else
typedef int32_t primacy_report_outcome;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Why a node was chosen for a client.
 */
enum primacy_reason
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It has the service's role.
     */
    PRIMACY_REASON_ROLE = 1,
    /**
     * None of the role is in good order; the last look at this one was bad.
     */
    PRIMACY_REASON_SPARE = 2,
    /**
     * None of the role takes clients: the service's fallback.
     */
    PRIMACY_REASON_FALLBACK = 3,
    /**
     * Hosts could not reach it, but nobody else takes clients.
     */
    PRIMACY_REASON_HELD = 4,
    /**
     * Hosts could not reach it for a while: this client finds out whether it is back.
     */
    PRIMACY_REASON_TRIAL = 5,
    /**
     * It is known to hold the transactions that were asked for.
     */
    PRIMACY_REASON_GTID = 6,
    /**
     * Nobody of the service is known to hold the transactions that were asked for, but the ACTIVE node is.
     */
    PRIMACY_REASON_GTID_ACTIVE = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_reason primacy_reason;
#else
typedef int32_t primacy_reason;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What becomes of a session.
 */
enum primacy_session
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It must end now: its node lost the role, failed, or left.
     */
    PRIMACY_SESSION_ENDS = 0,
    /**
     * It stays.
     */
    PRIMACY_SESSION_STAYS = 1,
    /**
     * End it once it is idle; at the deadline it becomes PRIMACY_SESSION_ENDS.
     */
    PRIMACY_SESSION_DRAINS = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_session primacy_session;
#else
typedef int32_t primacy_session;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Holds an enumeration above against the engine's list: the same numbers, and none missing.
 * Where a floating address is, seen from this host. Append-only.
 */
enum primacy_vip_stage
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Not here.
     */
    PRIMACY_VIP_ABSENT = 0,
    /**
     * Owned; the network is asked first whether somebody has it.
     */
    PRIMACY_VIP_ASKING = 1,
    /**
     * Owned; on_claim runs first.
     */
    PRIMACY_VIP_HOOKING = 2,
    /**
     * Owned; it is being added.
     */
    PRIMACY_VIP_ADDING = 3,
    /**
     * Owned and here: clients reach this host.
     */
    PRIMACY_VIP_HELD = 4,
    /**
     * Not owned any more; it is being taken off.
     */
    PRIMACY_VIP_RELEASING = 5,
    /**
     * Not owned any more, and could not be taken off yet; its lifetime ends.
     */
    PRIMACY_VIP_STUCK = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum primacy_vip_stage primacy_vip_stage;
#else
typedef int32_t primacy_vip_stage;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A configuration while it is being put together.
 */
typedef struct primacy_config primacy_config;

/**
 * A queue of events for one consumer.
 */
typedef struct primacy_events primacy_events;

/**
 * One engine with its pools, cache file and driver.
 */
typedef struct primacy_instance primacy_instance;

/**
 * Where clients of one service go, for one thread.
 */
typedef struct primacy_selector primacy_selector;

/**
 * The state of all pools at one moment, detached from the instance.
 */
typedef struct primacy_snapshot primacy_snapshot;

/**
 * One replication channel of a node, as a row of SHOW REPLICA STATUS tells it. Both in and out.
 */
typedef struct primacy_channel {
    /**
     * sizeof(primacy_channel) of the caller.
     */
    uint32_t size;
    /**
     * PRIMACY_CHANNEL_*: which of the fields that may be unknown are known.
     */
    uint32_t known;
    /**
     * The thread that receives: a primacy_thread_state.
     */
    int32_t io_state;
    /**
     * The thread (or coordinator) that applies: a primacy_thread_state.
     */
    int32_t sql_state;
    /**
     * Last error of the IO thread, 0 for none.
     */
    uint32_t io_error;
    /**
     * Last error of the SQL thread, 0 for none.
     */
    uint32_t sql_error;
    /**
     * PRIMACY_CHANNEL_APPLIED_ALL: 1 if all that was received has been applied, else 0.
     */
    int32_t applied_all;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * PRIMACY_CHANNEL_LAG: behind the source as the server computes it, in milliseconds.
     */
    uint64_t lag_ms;
    /**
     * The channel's name; empty (in: or NULL) for the default one.
     */
    const char *name;
    /**
     * The source's address as host:port, as the replica was told.
     */
    const char *source;
    /**
     * Text of the last error; empty (in: or NULL) for none.
     */
    const char *error;
} primacy_channel;

/**
 * A health observation that the host made itself. In. Zero stands for the default of every field but `size`.
 */
typedef struct primacy_observation {
    /**
     * sizeof(primacy_observation) of the caller.
     */
    uint32_t size;
    /**
     * How the host's probe ended: a primacy_cause.
     */
    int32_t cause;
    /**
     * The number behind the cause: the server's error number, else the operating system's, else 0.
     */
    uint32_t error_number;
    /**
     * PRIMACY_FACT_FLAVOUR: a primacy_flavour.
     */
    int32_t flavour;
    /**
     * One sentence for people; NULL for none.
     */
    const char *message;
    /**
     * PRIMACY_FACT_*: which of the following fields are given.
     */
    uint64_t facts;
    /**
     * PRIMACY_FACT_VERSION: major * 10000 + minor * 100 + patch, as mysql_get_server_version() gives it.
     */
    uint32_t version;
    /**
     * PRIMACY_FACT_SERVER_ID: `@@server_id`.
     */
    uint32_t server_id;
    /**
     * PRIMACY_FACT_SERVER_UUID: `@@server_uuid` (MySQL).
     */
    const char *server_uuid;
    /**
     * PRIMACY_FACT_GTIDS, which needs PRIMACY_FACT_FLAVOUR: `@@gtid_executed` (MySQL) or `@@gtid_current_pos` (MariaDB).
     */
    const char *gtids;
    /**
     * PRIMACY_FACT_READ_ONLY: 1 or 0.
     */
    int32_t read_only;
    /**
     * PRIMACY_FACT_SUPER_READ_ONLY: 1 or 0 (MySQL).
     */
    int32_t super_read_only;
    /**
     * PRIMACY_FACT_CHANNELS: an array of pointers to `channel_count` channels; NULL if there are none.
     */
    const struct primacy_channel *const *channels;
    /**
     * PRIMACY_FACT_CHANNELS: how many channels, at most 256.
     */
    uint32_t channel_count;
    /**
     * PRIMACY_FACT_THREADS_CONNECTED: `Threads_connected`.
     */
    uint32_t threads_connected;
    /**
     * PRIMACY_FACT_MAX_CONNECTIONS: `@@max_connections`.
     */
    uint32_t max_connections;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * PRIMACY_FACT_ROUND_TRIP: from the statement's last byte out to the answer's first byte in, in microseconds.
     */
    uint64_t round_trip_us;
} primacy_observation;

/**
 * What a host adds when it closes a cycle. In.
 */
typedef struct primacy_cycle_options {
    /**
     * sizeof(primacy_cycle_options) of the caller.
     */
    uint32_t size;
    /**
     * PRIMACY_CYCLE_*.
     */
    uint32_t flags;
    /**
     * PRIMACY_CYCLE_POOL_STATUS: what the host's own checkpoints found, for this cycle only: a primacy_pool_status.
     */
    int32_t pool_status;
    /**
     * Zero.
     */
    uint32_t reserved;
} primacy_cycle_options;

/**
 * What an override of a node sets, why and how long. In. Zero stands for the default of every field but `size` and `reason`.
 */
typedef struct primacy_override_options {
    /**
     * sizeof(primacy_override_options) of the caller.
     */
    uint32_t size;
    /**
     * PRIMACY_OVERRIDE_*: which of the next four fields are set, at least one; the others are left to rules and configuration.
     */
    uint32_t set;
    /**
     * PRIMACY_OVERRIDE_STATE: a primacy_state, whatever is observed. ACTIVE moves the role to the node at once.
     */
    int32_t state;
    /**
     * PRIMACY_OVERRIDE_STATUS: a primacy_status, which is shown and decides who serves. Rules go on with what they count.
     */
    int32_t status;
    /**
     * PRIMACY_OVERRIDE_TYPE: a primacy_node_type. While a node is set to PRIMARY, the configured one counts as a SECONDARY.
     */
    int32_t node_type;
    /**
     * PRIMACY_OVERRIDE_WEIGHT: share of the clients; 0 takes none.
     */
    uint32_t weight;
    /**
     * Why, for everybody who meets it later: 1 to 1000 bytes without control characters.
     */
    const char *reason;
    /**
     * How long, 1000 (a second) to 31622400000 (366 days) milliseconds; 0 for no limit.
     */
    int64_t limit_ms;
} primacy_override_options;

/**
 * What a snapshot holds. Out.
 */
typedef struct primacy_snapshot_info {
    /**
     * sizeof(primacy_snapshot_info) of the caller.
     */
    uint32_t size;
    /**
     * How many pools, in configuration order.
     */
    uint32_t pool_count;
    /**
     * Wall-clock time of the snapshot, milliseconds since the Unix epoch.
     */
    uint64_t wall_ms;
} primacy_snapshot_info;

/**
 * One pool of a snapshot. Out.
 */
typedef struct primacy_pool {
    /**
     * sizeof(primacy_pool) of the caller.
     */
    uint32_t size;
    /**
     * How members relate: a primacy_pool_kind.
     */
    int32_t kind;
    /**
     * The rule table: a primacy_policy.
     */
    int32_t policy;
    /**
     * The pool as a whole: a primacy_pool_status.
     */
    int32_t status;
    /**
     * Raised at every change of the ACTIVE node.
     */
    uint64_t epoch;
    /**
     * Index of the node that takes the clients, also while routing pauses; -1 for none.
     */
    int32_t active;
    /**
     * 1 while routing pauses for a hand-over (send no new client to the ACTIVE node), else 0.
     */
    int32_t paused;
    /**
     * How many nodes, in configuration order.
     */
    uint32_t node_count;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The name.
     */
    const char *name;
    /**
     * 1 while an operator's freeze lets no rule change a state or the role, else 0.
     */
    int32_t frozen;
    /**
     * Zero.
     */
    uint32_t reserved2;
    /**
     * Wall-clock time of the freeze, milliseconds since the Unix epoch; 0 without one.
     */
    uint64_t frozen_since_ms;
    /**
     * Wall-clock time of its end; 0 without a limit.
     */
    uint64_t frozen_until_ms;
    /**
     * The operator's reason; empty without a freeze.
     */
    const char *frozen_reason;
} primacy_pool;

/**
 * One node of a snapshot. Out.
 */
typedef struct primacy_node {
    /**
     * sizeof(primacy_node) of the caller.
     */
    uint32_t size;
    /**
     * A primacy_node_type.
     */
    int32_t node_type;
    /**
     * Role and health as decided: a primacy_state.
     */
    int32_t state;
    /**
     * The ladder: a primacy_status.
     */
    int32_t status;
    /**
     * Bad observations in a row; -1 before the first probe.
     */
    int64_t count;
    /**
     * Cause of the last observation: a primacy_cause; -1 before the first.
     */
    int32_t cause;
    /**
     * Error number of the last observation.
     */
    uint32_t error_number;
    /**
     * The rule that last judged the node, 0 for none; see primacy_rule_text.
     */
    uint32_t rule;
    /**
     * 1 if the node failed as ACTIVE and waits for primacy_recover_node, else 0.
     */
    int32_t waits_for_recover;
    /**
     * Wall-clock time of the last observation, milliseconds since the Unix epoch; 0 before the first.
     */
    uint64_t observed_ms;
    /**
     * Wall-clock time of the last change of state, of an ACTIVE node also of its coming to FAIL and leaving it; 0 if it
     * never changed.
     */
    uint64_t changed_ms;
    /**
     * The canonical address.
     */
    const char *name;
    /**
     * The last observation's text, or the last rule's sentence if that was empty.
     */
    const char *message;
    /**
     * The site; may be empty.
     */
    const char *site;
    /**
     * Share of the clients.
     */
    uint32_t weight;
    /**
     * PRIMACY_FACT_FLAVOUR: a primacy_flavour.
     */
    int32_t flavour;
    /**
     * PRIMACY_FACT_*: which of the facts of the last successful probe are known.
     */
    uint64_t facts;
    /**
     * PRIMACY_FACT_VERSION: major * 10000 + minor * 100 + patch.
     */
    uint32_t version;
    /**
     * PRIMACY_FACT_SERVER_ID: `@@server_id`.
     */
    uint32_t server_id;
    /**
     * PRIMACY_FACT_SERVER_UUID: `@@server_uuid`; else empty.
     */
    const char *server_uuid;
    /**
     * PRIMACY_FACT_GTIDS: all transactions that the server has; else empty.
     */
    const char *gtids;
    /**
     * PRIMACY_FACT_READ_ONLY: 1 or 0.
     */
    int32_t read_only;
    /**
     * PRIMACY_FACT_SUPER_READ_ONLY: 1 or 0.
     */
    int32_t super_read_only;
    /**
     * PRIMACY_FACT_CHANNELS: how many replication channels; read them with primacy_snapshot_channel.
     */
    uint32_t channel_count;
    /**
     * PRIMACY_FACT_THREADS_CONNECTED: as of the last login.
     */
    uint32_t threads_connected;
    /**
     * PRIMACY_FACT_MAX_CONNECTIONS: as of the last login.
     */
    uint32_t max_connections;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * PRIMACY_FACT_ROUND_TRIP: in microseconds.
     */
    uint64_t round_trip_us;
    /**
     * PRIMACY_OVERRIDE_*: what an operator has set, or PRIMACY_OVERRIDE_MAINTENANCE; 0 for nothing. `node_type`, `status` and
     * `weight` above show what is set.
     */
    uint32_t override_set;
    /**
     * PRIMACY_OVERRIDE_STATE: a primacy_state.
     */
    int32_t override_state;
    /**
     * PRIMACY_OVERRIDE_STATUS: a primacy_status.
     */
    int32_t override_status;
    /**
     * PRIMACY_OVERRIDE_TYPE: a primacy_node_type.
     */
    int32_t override_type;
    /**
     * PRIMACY_OVERRIDE_WEIGHT: share of the clients.
     */
    uint32_t override_weight;
    /**
     * PRIMACY_OVERRIDE_MAINTENANCE: what it does with the role: a primacy_maintenance_role.
     */
    int32_t maintenance_role;
    /**
     * Wall-clock time of the override or maintenance, milliseconds since the Unix epoch; 0 without one.
     */
    uint64_t override_since_ms;
    /**
     * Wall-clock time of its end; 0 without a limit.
     */
    uint64_t override_until_ms;
    /**
     * The operator's reason; empty without one.
     */
    const char *override_reason;
} primacy_node;

/**
 * Which events a subscription takes. In. Zero means all.
 */
typedef struct primacy_event_filter {
    /**
     * sizeof(primacy_event_filter) of the caller.
     */
    uint32_t size;
    /**
     * The least severity: a primacy_severity.
     */
    int32_t severity;
    /**
     * Bits by number of primacy_event_kind (1 << kind); 0 for all. PRIMACY_EVENT_LOST always comes.
     */
    uint64_t kinds;
    /**
     * One pool alone; NULL for all.
     */
    const char *pool;
} primacy_event_filter;

/**
 * One event. Out. Events are hints; the snapshot is the truth.
 */
typedef struct primacy_event {
    /**
     * sizeof(primacy_event) of the caller.
     */
    uint32_t size;
    /**
     * What it tells: a primacy_event_kind.
     */
    int32_t kind;
    /**
     * How urgent it is: a primacy_severity.
     */
    int32_t severity;
    /**
     * The cause behind it: a primacy_cause.
     */
    int32_t cause;
    /**
     * Counts up by one with every event of the instance.
     */
    uint64_t sequence;
    /**
     * Monotonic time of the decision, in nanoseconds.
     */
    uint64_t mono_ns;
    /**
     * Wall-clock time, milliseconds since the Unix epoch.
     */
    uint64_t wall_ms;
    /**
     * The pool's epoch after the event.
     */
    uint64_t epoch;
    /**
     * A count where the kind has one: events lost, transactions stranded; else 0.
     */
    uint64_t count;
    /**
     * The node's state before: a primacy_state.
     */
    int32_t old_state;
    /**
     * The node's state after.
     */
    int32_t new_state;
    /**
     * The node's status before: a primacy_status.
     */
    int32_t old_status;
    /**
     * The node's status after.
     */
    int32_t new_status;
    /**
     * The rule that decided, 0 for none.
     */
    uint32_t rule;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Name of the pool; empty if the event is about the instance.
     */
    const char *pool;
    /**
     * Name of the node; empty if the event is about the pool.
     */
    const char *node;
    /**
     * One or two sentences.
     */
    const char *message;
} primacy_event;

/**
 * How a selector begins. In. Zero stands for the default of every field but `size`.
 */
typedef struct primacy_selector_options {
    /**
     * sizeof(primacy_selector_options) of the caller.
     */
    uint32_t size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Makes the choices repeatable; 0 for a random one.
     */
    uint64_t seed;
    /**
     * Where the clients are, for services with `same_site_first`; NULL for the configuration's `site`.
     */
    const char *site;
} primacy_selector_options;

/**
 * What a client asks for beside the service. In. Zero stands for the default of every field but `size`.
 */
typedef struct primacy_select_options {
    /**
     * sizeof(primacy_select_options) of the caller.
     */
    uint32_t size;
    /**
     * PRIMACY_SELECT_*.
     */
    uint32_t flags;
    /**
     * Transactions that the node must be known to hold, so that a client reads its own writes: a set as MySQL's
     * `@@gtid_executed` or a position as MariaDB's `@@gtid_current_pos`; NULL for none.
     */
    const char *min_gtid;
    /**
     * Slots that were tried in vain; NULL for none.
     */
    const uint32_t *avoid;
    /**
     * How many slots, at most 65536.
     */
    uint32_t avoid_count;
    /**
     * Zero.
     */
    uint32_t reserved;
} primacy_select_options;

/**
 * An address as connect(2) takes it. The family is in the first two bytes, as in every sockaddr.
 */
typedef union primacy_address {
    /**
     * IPv4.
     */
    struct sockaddr_in in4;
    /**
     * IPv6.
     */
    struct sockaddr_in6 in6;
    /**
     * A unix socket.
     */
    struct sockaddr_un un;
    /**
     * Its bytes.
     */
    uint8_t bytes[112];
} primacy_address;

/**
 * A node that a client goes to: plain data, which may be copied and kept. Out.
 */
typedef struct primacy_backend {
    /**
     * sizeof(primacy_backend) of the caller.
     */
    uint32_t size;
    /**
     * The node's number in the service, the same as long as the instance lives; primacy_node_name tells the name.
     */
    uint32_t slot;
    /**
     * Sessions of another generation of the slot must end; primacy_backend_current compares.
     */
    uint64_t generation;
    /**
     * The pool's epoch.
     */
    uint64_t epoch;
    /**
     * Says that this came from a selection.
     */
    uint64_t token;
    /**
     * PRIMACY_BACKEND_*.
     */
    uint32_t flags;
    /**
     * Why this node: a primacy_reason.
     */
    int32_t reason;
    /**
     * For connect(2): how many bytes of the address count. The others are not written.
     */
    uint32_t addrlen;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * For connect(2).
     */
    union primacy_address address;
} primacy_backend;

/**
 * A proxy that speaks MPP, and who logs in to it. In. Zero stands for the default of every field but `size` and `proxy`.
 */
typedef struct primacy_proxy_options {
    /**
     * sizeof(primacy_proxy_options) of the caller.
     */
    uint32_t size;
    /**
     * For the connection, for the login, and for the answer, in milliseconds; 0 for 1000.
     */
    uint32_t timeout_ms;
    /**
     * Where its admin plugin listens, as host:port, [IPv6]:port or unix:/path; the port is 4041 where none is given.
     */
    const char *proxy;
    /**
     * The account's name; NULL for `primacy`.
     */
    const char *user;
    /**
     * The file that holds its password, as in a configuration; NULL for none.
     */
    const char *password_file;
} primacy_proxy_options;

/**
 * This host's part in a floating address. Out.
 */
typedef struct primacy_vip {
    /**
     * sizeof(primacy_vip) of the caller.
     */
    uint32_t size;
    /**
     * 1 if this host owns the address, else 0.
     */
    int32_t owns;
    /**
     * Where the address is: a primacy_vip_stage.
     */
    int32_t stage;
    /**
     * This host's score, 0 to 255; 0: it may not own the address.
     */
    uint32_t score;
    /**
     * The rule that gave the score; see primacy_rule_text.
     */
    uint32_t score_rule;
    /**
     * The rule by which the address stays or leaves.
     */
    uint32_t place_rule;
    /**
     * Whether the service on this host is in order: 1, 0, or -1 if nobody said.
     */
    int32_t local;
    /**
     * Whether what it leads to is in order: 1, 0, or -1 if nobody said. It never moves the address.
     */
    int32_t backend;
    /**
     * Failures of the service that count now.
     */
    uint32_t failures;
    /**
     * How many hosts say that they own the address; more than 1 is a conflict.
     */
    uint32_t owner_count;
    /**
     * The number of this host's ownership, or of its last one.
     */
    uint64_t epoch;
    /**
     * The highest number that is known of any host.
     */
    uint64_t highest_epoch;
    /**
     * For how many milliseconds failures still bar this host; 0 if they do not.
     */
    uint64_t barred_ms;
    /**
     * How often the address came to this host since the start.
     */
    uint64_t claims;
    /**
     * How often it left.
     */
    uint64_t releases;
    /**
     * For how many milliseconds an owner may be silent before this host comes in.
     */
    uint64_t down_interval_ms;
} primacy_vip;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the loaded library, as "0.1.0".
 *
 * @return  a constant; never NULL
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_version(void);

/**
 * The contract that the loaded library keeps.
 *
 * A caller that was compiled against PRIMACY_ABI_VERSION runs with any library of the same soname whose answer is that
 * number or a higher one.
 *
 * @return  the number, at least 1
 *
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
uint32_t primacy_abi_version(void);

/**
 * Gives the text of the last failed call of this thread, on whatever handle.
 *
 * A successful call leaves the text alone; in a thread without a failed call it is empty. This function itself never
 * replaces the text. Texts longer than 4095 bytes were cut when they were stored.
 *
 * @param buf  where to write the text, cut at a UTF-8 border, and a NUL; may be NULL if `len` is 0
 * @param len  size of `buf` in bytes
 * @return     the length of the whole text without the NUL; PRIMACY_E_INVALID if `buf` is NULL and `len` is not 0
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
int32_t primacy_last_error(char *buf,
                           size_t len);

/**
 * Makes an empty configuration.
 *
 * @param out  where to write the handle
 * @return     0; PRIMACY_E_INVALID
 *
 * Ownership: the caller frees the handle with primacy_config_free.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
int32_t primacy_config_new(struct primacy_config **out);

/**
 * Frees a configuration. Instances made from it stay.
 *
 * @param config  the configuration, or NULL
 * @return        0; PRIMACY_E_HANDLE; PRIMACY_E_BUSY and nothing is freed
 *
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_config_free(struct primacy_config *config);

/**
 * Adds what a configuration file says. What comes later wins.
 *
 * @param config  the configuration; unchanged on failure
 * @param path    the file: TOML, at most 16 MiB
 * @return        0; PRIMACY_E_CONFIG and the text begins with FILE:LINE:COLUMN; PRIMACY_E_IO; PRIMACY_E_INVALID;
 *                PRIMACY_E_HANDLE; PRIMACY_E_BUSY
 *
 * Ownership: the path is copied.
 * Thread: one call at a time. Time: disk. Since: 0.1.
 */
int32_t primacy_config_load_file(struct primacy_config *config,
                                 const char *path);

/**
 * Adds what a text in the form of a configuration file says. What comes later wins.
 *
 * @param config  the configuration; unchanged on failure
 * @param text    TOML; need not end with NUL
 * @param len     its length in bytes
 * @param name    what errors call the text, most often where it came from; NULL for "text"
 * @return        0; PRIMACY_E_CONFIG and the error text begins with NAME:LINE:COLUMN; PRIMACY_E_INVALID; PRIMACY_E_HANDLE;
 *                PRIMACY_E_BUSY
 *
 * Ownership: the text is copied.
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_config_load_text(struct primacy_config *config,
                                 const char *text,
                                 size_t len,
                                 const char *name);

/**
 * Sets one key, as "probe.interval" to "100ms" or "pool.orders.policy" to "mpp".
 *
 * @param config  the configuration; unchanged on failure
 * @param key     the key, with dots
 * @param value   the value as text
 * @return        0; PRIMACY_E_CONFIG and the text names the key; PRIMACY_E_INVALID; PRIMACY_E_HANDLE; PRIMACY_E_BUSY
 *
 * Ownership: both strings are copied.
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_config_set(struct primacy_config *config,
                           const char *key,
                           const char *value);

/**
 * Adds a ring from a pool string: "name:POOL;primary:HOST[:PORT];secondary:HOST[:PORT];...".
 *
 * @param config  the configuration; unchanged on failure
 * @param spec    the pool string; the port is 3306 by default, an IPv6 address stands in brackets
 * @return        0; PRIMACY_E_CONFIG and the text says where; PRIMACY_E_INVALID; PRIMACY_E_HANDLE; PRIMACY_E_BUSY
 *
 * Ownership: the string is copied.
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_config_add_pool(struct primacy_config *config,
                                const char *spec);

/**
 * Makes an instance: reads files with secrets and resolves names once.
 *
 * It creates no socket, epoll descriptor, lock or thread, and so survives fork, chroot and setuid. Observations, cycles,
 * commands and snapshots work at once.
 *
 * @param config  the configuration; it may be changed or freed after this
 * @param out     where to write the handle
 * @return        0; PRIMACY_E_CONFIG; PRIMACY_E_SECRET; PRIMACY_E_IO; PRIMACY_E_INVALID; PRIMACY_E_HANDLE; PRIMACY_E_BUSY
 *
 * Ownership: the caller frees the handle with primacy_instance_free.
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_instance_new(const struct primacy_config *config,
                             struct primacy_instance **out);

/**
 * The open instance of the same cache in this process, one more reference; if there is none, a new one as by
 * primacy_instance_new.
 *
 * Threads, interpreters and scripts that are run again share one engine this way. Without a cache file, configurations that mean
 * the same share an instance. One that was stopped is not found any more, nor is one that runs in a parent of this process.
 *
 * @param config  the configuration; it may be changed or freed after this
 * @param out     where to write the handle
 * @return        0; PRIMACY_E_CONFIG_DIFFERS if the open instance of the cache has another configuration; PRIMACY_E_CONFIG;
 *                PRIMACY_E_SECRET; PRIMACY_E_IO; PRIMACY_E_INVALID; PRIMACY_E_HANDLE; PRIMACY_E_BUSY; PRIMACY_E_FORKED
 *
 * Ownership: the caller frees each handle with primacy_instance_free; the last one stops the instance.
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_open(const struct primacy_config *config,
                     struct primacy_instance **out);

/**
 * Gives up a reference to an instance. The last one stops it first if it runs, within a second, and frees it.
 *
 * Snapshots and events that were taken from it stay usable. No other call on the handle may be under way. In a forked child of
 * the process that runs the instance it frees memory and closes descriptor numbers, nothing else.
 *
 * @param p  the instance, or NULL
 * @return   0; PRIMACY_E_HANDLE
 *
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_instance_free(struct primacy_instance *p);

/**
 * Runs the driver in a thread of the library's own: probes, decides, writes the cache, tells the subscribers.
 *
 * Idempotent. The thread blocks all signals but those that a fault raises. Binds the instance to this process.
 *
 * @param p  the instance
 * @return   0; PRIMACY_E_STATE in the host's loop or after primacy_stop; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO;
 *           PRIMACY_E_CONFIG_DIFFERS if the process to follow has another configuration; PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_HANDLE
 *
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_start(struct primacy_instance *p);

/**
 * Ends probing and the library's threads, within a second.
 *
 * Idempotent. Snapshots, explain, budget and events (until the queue is empty) work afterwards; an instance is not
 * started again.
 *
 * @param p  the instance
 * @return   0; PRIMACY_E_FORKED; PRIMACY_E_HANDLE
 *
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_stop(struct primacy_instance *p);

/**
 * Takes a new configuration into force while the instance lives, in whatever way it runs.
 *
 * Pools are the same by name, nodes by address; what is the same keeps state, status, count, epoch, observations and, where the
 * account is the same, its connection. New nodes begin as UNKNOWN, new pools too; what is not in the configuration any more
 * leaves. Files with passwords, keys and certificates are read again. On an error the configuration before stays in force as a
 * whole. PRIMACY_EVENT_RELOAD tells what changed.
 *
 * @param p       the instance
 * @param config  the whole new configuration; it may be changed or freed after this
 * @return        0; PRIMACY_E_REFUSED if cache_file, control_socket, control_users, on_locked, or a pool's kind, policy or
 *                probe.mode differs, or if the ACTIVE node would leave and nobody who stays may take over; PRIMACY_E_CONFIG;
 *                PRIMACY_E_SECRET; PRIMACY_E_STATE during primacy_run_cycle; PRIMACY_E_STOPPED; PRIMACY_E_LOCKED;
 *                PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_HANDLE; PRIMACY_E_BUSY
 *
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_reload(struct primacy_instance *p,
                       const struct primacy_config *config);

/**
 * For the host's loop: one descriptor to watch for input, level-triggered; then call primacy_dispatch.
 *
 * Timers are inside. The first call begins probing and binds the instance to this process. Excludes primacy_start.
 *
 * @param p  the instance
 * @return   the descriptor; PRIMACY_E_STATE if started; PRIMACY_E_STOPPED; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO;
 *           PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_HANDLE
 *
 * Ownership: the descriptor is the library's: watch it, never read, write or close it.
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_fd(struct primacy_instance *p);

/**
 * For the host's loop: handles what is due.
 *
 * Handles a bounded number of inputs; if more are due, the descriptor stays readable.
 *
 * @param p  the instance
 * @return   how many inputs were handled; PRIMACY_E_STATE if started or without a call of primacy_fd before;
 *           PRIMACY_E_STOPPED; PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_HANDLE
 *
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
int32_t primacy_dispatch(struct primacy_instance *p);

/**
 * Runs one cycle of a pool with the library's own probes, and the burst that a doubt asks for. For cron jobs and scripts.
 *
 * @param p           the instance, which must not run in another way
 * @param pool        the pool's name
 * @param timeout_ms  the longest time to wait, in milliseconds
 * @return            0; PRIMACY_E_TIMEOUT; PRIMACY_E_STATE; PRIMACY_E_NOT_FOUND; PRIMACY_E_STOPPED; PRIMACY_E_LOCKED;
 *                    PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_run_cycle(struct primacy_instance *p,
                          const char *pool,
                          uint32_t timeout_ms);

/**
 * Hands in a health observation that the host made itself, for a pool with probe = "external".
 *
 * Under the policy `mpp` it counts when the cycle is closed; under `safe` it is judged at once.
 *
 * @param p            the instance
 * @param pool         the pool's name
 * @param node         the node's address in any spelling
 * @param observation  what the host found; `size` and `cause` are required
 * @return             0; PRIMACY_E_NOT_FOUND; PRIMACY_E_STATE if the library probes the pool; PRIMACY_E_STOPPED; PRIMACY_E_SIZE;
 *                     PRIMACY_E_UNSUPPORTED; PRIMACY_E_INVALID; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC;
 *                     PRIMACY_E_FORKED; PRIMACY_E_HANDLE
 *
 * Ownership: everything is copied.
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_observe(struct primacy_instance *p,
                        const char *pool,
                        const char *node,
                        const struct primacy_observation *observation);

/**
 * Closes a cycle of a pool with probe = "external": every node is judged by its observation, or by its absence.
 *
 * @param p        the instance
 * @param pool     the pool's name
 * @param options  what the host's own checkpoints found; NULL for nothing
 * @return         0; PRIMACY_E_NOT_FOUND; PRIMACY_E_STATE if the library probes the pool; PRIMACY_E_STOPPED; PRIMACY_E_SIZE;
 *                 PRIMACY_E_UNSUPPORTED; PRIMACY_E_INVALID; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC;
 *                 PRIMACY_E_FORKED; PRIMACY_E_HANDLE
 *
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_cycle(struct primacy_instance *p,
                      const char *pool,
                      const struct primacy_cycle_options *options);

/**
 * Takes a failed node back into the pool.
 *
 * The answer comes from the same rules that judge observations. Without PRIMACY_NOWAIT the call returns when the outcome is on disk.
 *
 * @param p      the instance
 * @param pool   the pool's name
 * @param node   the node's address in any spelling
 * @param flags  0 or PRIMACY_NOWAIT
 * @param buf    where to write the answer, one sentence and the rule's number; may be NULL if `len` is 0
 * @param len    size of `buf` in bytes
 * @return       the length of the whole answer; PRIMACY_E_REFUSED and the text names the rule; PRIMACY_E_NOT_FOUND;
 *               PRIMACY_E_STOPPED; PRIMACY_E_UNSUPPORTED; PRIMACY_E_INVALID; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO
 *               (carried out, but not on disk); PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_HANDLE
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_recover_node(struct primacy_instance *p,
                             const char *pool,
                             const char *node,
                             uint32_t flags,
                             char *buf,
                             size_t len);

/**
 * Takes back a pool whose status is FAIL.
 *
 * @param p      the instance
 * @param pool   the pool's name
 * @param flags  0 or PRIMACY_NOWAIT
 * @param buf    where to write the answer; may be NULL if `len` is 0
 * @param len    size of `buf` in bytes
 * @return       as for primacy_recover_node
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_recover_pool(struct primacy_instance *p,
                             const char *pool,
                             uint32_t flags,
                             char *buf,
                             size_t len);

/**
 * Gives the role to the pool's PRIMARY.
 *
 * @param p      the instance
 * @param pool   the pool's name
 * @param flags  0 or PRIMACY_NOWAIT
 * @param buf    where to write the answer; may be NULL if `len` is 0
 * @param len    size of `buf` in bytes
 * @return       as for primacy_recover_node
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_activate_primary(struct primacy_instance *p,
                                 const char *pool,
                                 uint32_t flags,
                                 char *buf,
                                 size_t len);

/**
 * Takes a node out of the pool until the configuration is read again.
 *
 * @param p      the instance
 * @param pool   the pool's name
 * @param node   the node's address in any spelling
 * @param flags  0 or PRIMACY_NOWAIT
 * @param buf    where to write the answer; may be NULL if `len` is 0
 * @param len    size of `buf` in bytes
 * @return       as for primacy_recover_node
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_remove_node(struct primacy_instance *p,
                            const char *pool,
                            const char *node,
                            uint32_t flags,
                            char *buf,
                            size_t len);

/**
 * Sets a node's state, status, type or weight above the rules; takes the place of the node's earlier override or maintenance.
 *
 * A state of ACTIVE moves the role at once, without the proof of a hand-over; another one on the ACTIVE node gives its role to a node
 * that may take over. 60 s before the limit an event warns. When it ends the node keeps its state and is counted anew: nothing switches by
 * that alone.
 *
 * @param p        the instance
 * @param pool     the pool's name
 * @param node     the node's address in any spelling
 * @param options  what is set, why and how long; `size`, `set` and `reason` are required
 * @param flags    0 or PRIMACY_NOWAIT
 * @param buf      where to write the answer; may be NULL if `len` is 0
 * @param len      size of `buf` in bytes
 * @return         as for primacy_recover_node; PRIMACY_E_REFUSED also for a second ACTIVE or PRIMARY, and if nobody may take the role
 *                 over; PRIMACY_E_SIZE
 *
 * Ownership: everything is copied.
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_override(struct primacy_instance *p,
                         const char *pool,
                         const char *node,
                         const struct primacy_override_options *options,
                         uint32_t flags,
                         char *buf,
                         size_t len);

/**
 * Ends a node's override or maintenance.
 *
 * @param p      the instance
 * @param pool   the pool's name
 * @param node   the node's address in any spelling
 * @param flags  0 or PRIMACY_NOWAIT
 * @param buf    where to write the answer; may be NULL if `len` is 0
 * @param len    size of `buf` in bytes
 * @return       as for primacy_recover_node; PRIMACY_E_REFUSED if there is nothing to end
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_clear_override(struct primacy_instance *p,
                               const char *pool,
                               const char *node,
                               uint32_t flags,
                               char *buf,
                               size_t len);

/**
 * Lets no rule change a state or the role of a pool. What is observed is shown and told as ever, and commands work.
 *
 * @param p         the instance
 * @param pool      the pool's name
 * @param reason    why: 1 to 1000 bytes without control characters
 * @param limit_ms  how long, 1000 (a second) to 31622400000 (366 days) milliseconds; 0 for no limit
 * @param flags     0 or PRIMACY_NOWAIT
 * @param buf       where to write the answer; may be NULL if `len` is 0
 * @param len       size of `buf` in bytes
 * @return          as for primacy_recover_node
 *
 * Ownership: the texts are copied.
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_freeze(struct primacy_instance *p,
                       const char *pool,
                       const char *reason,
                       int64_t limit_ms,
                       uint32_t flags,
                       char *buf,
                       size_t len);

/**
 * Ends a freeze; every node is counted anew.
 *
 * @param p      the instance
 * @param pool   the pool's name
 * @param flags  0 or PRIMACY_NOWAIT
 * @param buf    where to write the answer; may be NULL if `len` is 0
 * @param len    size of `buf` in bytes
 * @return       as for primacy_recover_node; PRIMACY_E_REFUSED if the pool is not frozen
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_unfreeze(struct primacy_instance *p, const char *pool, uint32_t flags, char *buf, size_t len);

/**
 * Takes a node out of the candidates and its faults out of the alarms, until primacy_clear_override; takes the place of the node's
 * earlier override.
 *
 * @param p         the instance
 * @param pool      the pool's name
 * @param node      the node's address in any spelling
 * @param role      what becomes of the role if the node is ACTIVE: a primacy_maintenance_role
 * @param reason    why: 1 to 1000 bytes without control characters
 * @param limit_ms  how long, 1000 (a second) to 31622400000 (366 days) milliseconds; 0 for no limit
 * @param flags     0 or PRIMACY_NOWAIT
 * @param buf       where to write the answer; may be NULL if `len` is 0
 * @param len       size of `buf` in bytes
 * @return          as for primacy_recover_node; PRIMACY_E_REFUSED also if the role is to move and nobody may take it over
 *
 * Ownership: the texts are copied.
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_maintenance(struct primacy_instance *p,
                            const char *pool,
                            const char *node,
                            int32_t role,
                            const char *reason,
                            int64_t limit_ms,
                            uint32_t flags,
                            char *buf,
                            size_t len);

/**
 * Tells how the host's own use of a node ended, as a proxy's connect did.
 *
 * A failed connect makes the next look at the node come early, at most once in `confirm_interval`, and counts for nothing itself.
 * Cheap enough to be called for every connect.
 *
 * @param p        the instance
 * @param pool     the pool's name
 * @param node     the node's address in any spelling
 * @param outcome  a primacy_report_outcome
 * @return         0; PRIMACY_E_NOT_FOUND; PRIMACY_E_STOPPED; PRIMACY_E_INVALID; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO;
 *                 PRIMACY_E_PANIC; PRIMACY_E_FORKED; PRIMACY_E_HANDLE
 *
 * Thread: any thread. Time: short lock. Since: 0.1.
 */
int32_t primacy_report_node(struct primacy_instance *p,
                            const char *pool,
                            const char *node,
                            int32_t outcome);

/**
 * Takes a snapshot of all pools.
 *
 * @param p    the instance
 * @param out  where to write the handle
 * @return     0; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: the caller frees the handle with primacy_snapshot_free; it may outlive the instance.
 * Thread: any thread. Time: short lock. Since: 0.1.
 */
int32_t primacy_snapshot_take(struct primacy_instance *p,
                              struct primacy_snapshot **out);

/**
 * Frees a snapshot and every string that came from it.
 *
 * @param snapshot  the snapshot, or NULL
 * @return          0; PRIMACY_E_HANDLE; PRIMACY_E_BUSY and nothing is freed
 *
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_snapshot_free(struct primacy_snapshot *snapshot);

/**
 * Says how many pools a snapshot has and when it was taken.
 *
 * @param snapshot  the snapshot
 * @param out       the structure to fill; its `size` is set
 * @return          0; PRIMACY_E_SIZE; PRIMACY_E_FORKED; PRIMACY_E_BUSY; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_snapshot_get(const struct primacy_snapshot *snapshot, struct primacy_snapshot_info *out);

/**
 * Reads one pool of a snapshot.
 *
 * @param snapshot  the snapshot
 * @param pool      index of the pool, from 0, in configuration order
 * @param out       the structure to fill; its `size` is set
 * @return          0; PRIMACY_E_END behind the last pool; PRIMACY_E_SIZE; PRIMACY_E_FORKED; PRIMACY_E_BUSY;
 *                  PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: strings belong to the snapshot.
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_snapshot_pool(const struct primacy_snapshot *snapshot,
                              uint32_t pool,
                              struct primacy_pool *out);

/**
 * Finds a pool of a snapshot by its name.
 *
 * @param snapshot  the snapshot
 * @param name      the pool's name
 * @return          its index; PRIMACY_E_NOT_FOUND; PRIMACY_E_FORKED; PRIMACY_E_BUSY; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_snapshot_find_pool(const struct primacy_snapshot *snapshot,
                                   const char *name);

/**
 * Reads one node of a snapshot.
 *
 * @param snapshot  the snapshot
 * @param pool      index of the pool, from 0
 * @param node      index of the node in it, from 0, in configuration order
 * @param out       the structure to fill; its `size` is set
 * @return          0; PRIMACY_E_END behind the last pool or node; PRIMACY_E_SIZE; PRIMACY_E_FORKED; PRIMACY_E_BUSY;
 *                  PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: strings belong to the snapshot.
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_snapshot_node(const struct primacy_snapshot *snapshot,
                              uint32_t pool,
                              uint32_t node,
                              struct primacy_node *out);

/**
 * Finds a node of a snapshot by its address.
 *
 * @param snapshot  the snapshot
 * @param pool      index of the pool, from 0
 * @param address   the node's address in any spelling
 * @return          its index; PRIMACY_E_NOT_FOUND; PRIMACY_E_END behind the last pool; PRIMACY_E_FORKED; PRIMACY_E_BUSY;
 *                  PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_snapshot_find_node(const struct primacy_snapshot *snapshot,
                                   uint32_t pool,
                                   const char *address);

/**
 * Reads the node of a pool that takes the clients.
 *
 * @param snapshot  the snapshot
 * @param pool      index of the pool, from 0
 * @param out       the structure to fill; its `size` is set
 * @return          1 and `out` is written; 0 if there is none, or routing pauses for a hand-over; PRIMACY_E_END behind the
 *                  last pool; PRIMACY_E_SIZE; PRIMACY_E_FORKED; PRIMACY_E_BUSY; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: strings belong to the snapshot.
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_snapshot_active(const struct primacy_snapshot *snapshot,
                                uint32_t pool,
                                struct primacy_node *out);

/**
 * Reads one replication channel of a node.
 *
 * @param snapshot  the snapshot
 * @param pool      index of the pool, from 0
 * @param node      index of the node in it, from 0
 * @param channel   index of the channel, from 0; primacy_node says how many there are
 * @param out       the structure to fill; its `size` is set
 * @return          0; PRIMACY_E_END behind the last pool, node or channel; PRIMACY_E_SIZE; PRIMACY_E_FORKED; PRIMACY_E_BUSY;
 *                  PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: strings belong to the snapshot.
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_snapshot_channel(const struct primacy_snapshot *snapshot,
                                 uint32_t pool,
                                 uint32_t node,
                                 uint32_t channel,
                                 struct primacy_channel *out);

/**
 * Writes a snapshot as JSON, names instead of numbers: the document of `primacy status --json`, whose keys docs/command.md
 * lists, without `source`, `cache` and `agent`.
 *
 * @param snapshot  the snapshot
 * @param buf       where to write the text; may be NULL if `len` is 0
 * @param len       size of `buf` in bytes
 * @return          the length of the whole text without the NUL; PRIMACY_E_FORKED; PRIMACY_E_BUSY; PRIMACY_E_INVALID;
 *                  PRIMACY_E_HANDLE
 *
 * Ownership: the text is copied.
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_snapshot_json(const struct primacy_snapshot *snapshot,
                              char *buf,
                              size_t len);

/**
 * Gives the address of the node of a pool that takes the clients now.
 *
 * @param p     the instance
 * @param pool  the pool's name
 * @param buf   where to write the address; may be NULL if `len` is 0
 * @param len   size of `buf` in bytes
 * @return      the length of the whole address; 0 if there is no such node, or routing pauses for a hand-over;
 *              PRIMACY_E_REFUSED if the ACTIVE node is at FAIL under policy safe: it is the last one and does not answer, and
 *              the error's text names it, since when and why; PRIMACY_E_NOT_FOUND; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_FORKED; PRIMACY_E_INVALID;
 *              PRIMACY_E_HANDLE
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: short lock. Since: 0.1.
 */
int32_t primacy_active(struct primacy_instance *p,
                       const char *pool,
                       char *buf,
                       size_t len);

/**
 * Says why a pool is as it is: rules, facts, and what would change the decision.
 *
 * @param p     the instance
 * @param pool  the pool's name
 * @param buf   where to write the text; may be NULL if `len` is 0
 * @param len   size of `buf` in bytes
 * @return      the length of the whole text; PRIMACY_E_NOT_FOUND; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO;
 *              PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: short lock. Since: 0.1.
 */
int32_t primacy_explain(struct primacy_instance *p,
                        const char *pool,
                        char *buf,
                        size_t len);

/**
 * Gives figures for monitoring as text in the exposition format 0.0.4 of Prometheus; docs/metrics.md names each metric.
 *
 * Counters begin with the instance. The text grows with the number of nodes, by about 5 KiB for each.
 *
 * @param p    the instance
 * @param buf  where to write the text; may be NULL if `len` is 0
 * @param len  size of `buf` in bytes
 * @return     the length of the whole text, which may be another one at the next call; PRIMACY_E_LOCKED; PRIMACY_E_CACHE;
 *             PRIMACY_E_IO; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: short lock. Since: 0.1.
 */
int32_t primacy_metrics_text(struct primacy_instance *p,
                             char *buf,
                             size_t len);

/**
 * Gives the worst case from fault to switch, one line for each kind of fault, computed from the configuration.
 *
 * @param p     the instance
 * @param pool  the pool's name
 * @param buf   where to write the text; may be NULL if `len` is 0
 * @param len   size of `buf` in bytes
 * @return      the length of the whole text; PRIMACY_E_NOT_FOUND; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: short lock. Since: 0.1.
 */
int32_t primacy_budget(struct primacy_instance *p,
                       const char *pool,
                       char *buf,
                       size_t len);

/**
 * The same figures as JSON: {"pool", "connections_per_node", "lines": [{"class", "fault", "worst", "worst_ms", "formula"}]}.
 *
 * "worst" is "within", and then "worst_ms" is the time; or "never", if this class never fails an ACTIVE node; or "hosts_pace", if
 * the host observes in its own time. In the latter two "worst_ms" is null.
 *
 * @param p     the instance
 * @param pool  the pool's name
 * @param buf   where to write the text; may be NULL if `len` is 0
 * @param len   size of `buf` in bytes
 * @return      as for primacy_budget
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: short lock. Since: 0.1.
 */
int32_t primacy_budget_json(struct primacy_instance *p,
                            const char *pool,
                            char *buf,
                            size_t len);

/**
 * Makes a queue of events.
 *
 * When the queue is full the oldest event falls out, and the next read is a PRIMACY_EVENT_LOST with the number of those that did.
 *
 * @param p         the instance
 * @param filter    which events; NULL for all
 * @param capacity  how many events the queue holds, from 1 to 1048576
 * @param out       where to write the handle
 * @return          0; PRIMACY_E_NOT_FOUND if there is no such pool; PRIMACY_E_IO; PRIMACY_E_SIZE; PRIMACY_E_UNSUPPORTED;
 *                  PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: the caller frees the handle with primacy_events_free; it may outlive the instance.
 * Thread: any thread. Time: short lock. Since: 0.1.
 */
int32_t primacy_events_new(struct primacy_instance *p,
                           const struct primacy_event_filter *filter,
                           uint32_t capacity,
                           struct primacy_events **out);

/**
 * Gives the descriptor of a queue, readable while the queue is not empty.
 *
 * @param events  the queue
 * @return        the descriptor; PRIMACY_E_FORKED; PRIMACY_E_BUSY; PRIMACY_E_HANDLE
 *
 * Ownership: the descriptor is the library's: watch it, never read, write or close it.
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_events_fd(const struct primacy_events *events);

/**
 * Takes the next event out of a queue.
 *
 * @param events  the queue
 * @param out     the structure to fill; its `size` is set
 * @return        1 and `out` is written; 0 if the queue is empty; PRIMACY_E_SIZE; PRIMACY_E_FORKED; PRIMACY_E_BUSY;
 *                PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: strings belong to the queue until the next call of this function on it, or primacy_events_free.
 * Thread: one call at a time. Time: short lock. Since: 0.1.
 */
int32_t primacy_events_next(struct primacy_events *events,
                            struct primacy_event *out);

/**
 * Frees a queue with the events in it. In a forked child it frees memory and closes the descriptor's number, nothing else.
 *
 * @param events  the queue, or NULL
 * @return        0; PRIMACY_E_HANDLE; PRIMACY_E_BUSY and nothing is freed
 *
 * Thread: one call at a time. Time: short lock. Since: 0.1.
 */
int32_t primacy_events_free(struct primacy_events *events);

/**
 * Makes a selector of a service: `POOL.SERVICE`, or `SERVICE` where one pool alone has one of that name.
 *
 * A selector answers one call at a time; a program makes one for each thread, event loop or interpreter, and for each service. It
 * belongs to the service as it was: if that leaves the configuration and comes back, it wants new selectors.
 *
 * @param p        the instance
 * @param service  the service's name
 * @param options  how it begins; NULL for the defaults
 * @param out      where to write the handle
 * @return         0; PRIMACY_E_NOT_FOUND; PRIMACY_E_STOPPED; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC;
 *                 PRIMACY_E_SIZE; PRIMACY_E_UNSUPPORTED; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: the caller frees the handle with primacy_selector_free; it may outlive the instance.
 * Thread: any thread. Time: short lock. Since: 0.1.
 */
int32_t primacy_selector_new(struct primacy_instance *p,
                             const char *service,
                             const struct primacy_selector_options *options,
                             struct primacy_selector **out);

/**
 * Frees a selector.
 *
 * @param selector  the selector, or NULL
 * @return          0; PRIMACY_E_BUSY; PRIMACY_E_HANDLE
 *
 * Thread: one call at a time. Time: short lock. Since: 0.1.
 */
int32_t primacy_selector_free(struct primacy_selector *selector);

/**
 * Chooses the node that a client goes to.
 *
 * It answers from memory: it takes no lock, makes no memory and writes none that others read; services with `least-connections` or
 * `two-choices` count the client until primacy_release. A refusal says what no node can do: PRIMACY_E_PAUSED passes within
 * `handback_deadline`, so a proxy lets the client wait and asks again; PRIMACY_E_NO_BACKEND is for the client, with the text of
 * primacy_last_error.
 *
 * @param selector  the selector
 * @param options   what the client asks for; NULL for nothing
 * @param out       the structure to fill; its `size` is set
 * @return          0; PRIMACY_E_NO_BACKEND; PRIMACY_E_PAUSED; PRIMACY_E_GTID_UNKNOWN; PRIMACY_E_STALE; PRIMACY_E_NOT_FOUND if the
 *                  service has left the configuration; PRIMACY_E_STOPPED; PRIMACY_E_PANIC; PRIMACY_E_SIZE; PRIMACY_E_UNSUPPORTED;
 *                  PRIMACY_E_BUSY; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_select(struct primacy_selector *selector,
                       const struct primacy_select_options *options,
                       struct primacy_backend *out);

/**
 * Says that a session ended which a selection began, so that `least-connections` and `two-choices` count one client less. Once for
 * each selection, on any selector of the service.
 *
 * @param selector  the selector
 * @param backend   what the selection gave
 * @return          0; PRIMACY_E_BUSY; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_release(struct primacy_selector *selector,
                        const struct primacy_backend *backend);

/**
 * Says how the connect to a backend ended.
 *
 * Failed connects make the next look at the node come early, and hold clients away from it after `quarantine_after` of them in a row.
 * A connect that worked is only heard where one failed before, and takes no lock else.
 *
 * @param selector  the selector
 * @param backend   what the selection gave
 * @param outcome   a primacy_report_outcome
 * @return          0; PRIMACY_E_NOT_FOUND if the node has left; PRIMACY_E_STOPPED; PRIMACY_E_PANIC; PRIMACY_E_BUSY;
 *                  PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Thread: one call at a time. Time: short lock. Since: 0.1.
 */
int32_t primacy_report(struct primacy_selector *selector,
                       const struct primacy_backend *backend,
                       int32_t outcome);

/**
 * Whether a session may stay where a selection sent it: ask before each statement, or when an event of the kinds switch or state
 * comes. One atomic read.
 *
 * @param selector  a selector of the service; any thread may use it for this call, while no other one frees it
 * @param backend   what the selection gave
 * @return          a primacy_session; PRIMACY_E_STOPPED; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
int32_t primacy_backend_current(const struct primacy_selector *selector,
                                const struct primacy_backend *backend);

/**
 * Gives the name of a slot's node, as configured.
 *
 * @param selector  the selector
 * @param slot      a backend's `slot`
 * @param buf       where to write the name; may be NULL if `len` is 0
 * @param len       size of `buf` in bytes
 * @return          the length of the whole name; PRIMACY_E_NOT_FOUND; PRIMACY_E_BUSY; PRIMACY_E_FORKED; PRIMACY_E_INVALID;
 *                  PRIMACY_E_HANDLE
 *
 * Ownership: the text is copied.
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_node_name(const struct primacy_selector *selector,
                          uint32_t slot,
                          char *buf,
                          size_t len);

/**
 * Says who of the service gets clients and who does not, node by node, with the rule for each.
 *
 * @param selector  the selector
 * @param buf       where to write the text; may be NULL if `len` is 0
 * @param len       size of `buf` in bytes
 * @return          the length of the whole text; PRIMACY_E_BUSY; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: the text is copied.
 * Thread: one call at a time. Time: never blocks. Since: 0.1.
 */
int32_t primacy_select_reason(const struct primacy_selector *selector,
                              char *buf,
                              size_t len);

/**
 * Gives one MPP command to a proxy whose script speaks MPP, over a connection of its own, and writes its answer.
 *
 * The commands are `MPP SHOW ALL`, `MPP INITIALIZE node TYPE type` and `MPP SET node TYPE|STATE|STATUS|WEIGHT value`; docs/mpp.md tells
 * what they do. The answer to the first is a line for each row, its cells (nodename, group, element, value) divided by tabs; to the
 * others it is `SUCCESS` and a newline. A running instance needs none of this: what its configuration has under `push` is told by itself.
 *
 * @param options  where, and who logs in; `size` and `proxy` are required
 * @param command  the command, in any case
 * @param buf      where to write the answer, cut at a UTF-8 border, and a NUL; may be NULL if `len` is 0
 * @param len      size of `buf` in bytes
 * @return         the length of the whole answer without the NUL; PRIMACY_E_INVALID for a text that is no command or no address;
 *                 PRIMACY_E_REFUSED with the proxy's words; PRIMACY_E_IO if the proxy cannot be reached, does not answer in time or
 *                 refuses the login; PRIMACY_E_SECRET; PRIMACY_E_SIZE; PRIMACY_E_UNSUPPORTED; PRIMACY_E_PANIC
 *
 * Ownership: everything is copied. Blocks for as long as a name takes to be resolved, and for at most `timeout_ms` each for the
 * connection to each of its addresses, the login, and the answer.
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_proxy_command(const struct primacy_proxy_options *options,
                              const char *command,
                              char *buf,
                              size_t len);

/**
 * Gives the whole tier as JSON, seen from this host: {"tier": {"own", "hosts": [...], "vips": [...]}, "vips": [...]}.
 *
 * "tier" is what all hosts say on the peer channel, "vips" this host's part in each floating address, in configuration order.
 * docs/vip.md names the keys; keys are only ever added.
 *
 * @param p    the instance
 * @param buf  where to write the text; may be NULL if `len` is 0
 * @param len  size of `buf` in bytes
 * @return     the length of the whole text, which may be another one at the next call; PRIMACY_E_NOT_FOUND if no VIP is configured;
 *             PRIMACY_E_STATE if the instance is not started; PRIMACY_E_LOCKED if another process decides, and owns the addresses;
 *             PRIMACY_E_STOPPED; PRIMACY_E_TIMEOUT; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC; PRIMACY_E_FORKED;
 *             PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: the text is copied. Waits for a second at most.
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_vip_status_json(struct primacy_instance *p,
                                char *buf,
                                size_t len);

/**
 * Gives this host's part in a floating address.
 *
 * @param p    the instance
 * @param vip  the VIP's name
 * @param out  where to write it; `size` is required
 * @return     0; PRIMACY_E_SIZE; otherwise as for primacy_vip_status_json
 *
 * Ownership: plain data, copied. Waits for a second at most.
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_vip_get(struct primacy_instance *p, const char *vip, struct primacy_vip *out);

/**
 * Gives the name of the host that owns a floating address, as far as this host knows.
 *
 * @param p    the instance
 * @param vip  the VIP's name
 * @param buf  where to write the name; may be NULL if `len` is 0
 * @param len  size of `buf` in bytes
 * @return     the length of the whole name; 0 if no owner is known; otherwise as for primacy_vip_status_json
 *
 * Ownership: the text is copied. Waits for a second at most.
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_vip_owner(struct primacy_instance *p, const char *vip, char *buf, size_t len);

/**
 * Moves a floating address to a host, and holds it there until primacy_vip_clear: if that host cannot have it, the others can.
 *
 * It returns once the move has begun. The order reaches all hosts, now or when they are heard again, and outlives restarts.
 *
 * @param p     the instance
 * @param vip   the VIP's name
 * @param host  the host's name, as in `[tier] hosts`
 * @return      0; PRIMACY_E_REFUSED for a VIP or host that is not known, and for a host that is not heard or could not own the VIP now;
 *              otherwise as for primacy_vip_status_json
 *
 * Ownership: everything is copied. Waits for a second at most.
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_vip_move(struct primacy_instance *p,
                         const char *vip,
                         const char *host);

/**
 * Ends a move, and forgets the failures of a floating address on all hosts, so that `failure_timeout` bars none.
 *
 * Nothing moves by that alone, unless the stickiness lets it.
 *
 * @param p    the instance
 * @param vip  the VIP's name
 * @return     0; otherwise as for primacy_vip_move
 *
 * Ownership: everything is copied. Waits for a second at most for each host.
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_vip_clear(struct primacy_instance *p,
                          const char *vip);

/**
 * Takes a host of the tier out, or lets it in again: in standby it owns no address, not even as the last one. Outlives restarts.
 *
 * @param p     the instance
 * @param host  the host's name, as in `[tier] hosts`
 * @param on    1 to take it out, 0 to let it in
 * @return      0; otherwise as for primacy_vip_move
 *
 * Ownership: everything is copied. Waits for a second at most.
 * Thread: any thread. Time: network. Since: 0.1.
 */
int32_t primacy_vip_standby(struct primacy_instance *p,
                            const char *host,
                            int32_t on);

/**
 * Says what the service on this host is, for a floating address without a pool; before the first report it counts as in order.
 *
 * @param p      the instance
 * @param vip    the VIP's name
 * @param good   1 if it is in order, 0 if it is not
 * @param words  one sentence for people; NULL for none
 * @return       0; PRIMACY_E_NOT_FOUND; PRIMACY_E_STATE for a VIP whose pool the library looks at, and if the instance is not started;
 *               PRIMACY_E_LOCKED; PRIMACY_E_STOPPED; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC; PRIMACY_E_FORKED;
 *               PRIMACY_E_INVALID; PRIMACY_E_HANDLE
 *
 * Ownership: everything is copied.
 * Thread: any thread. Time: disk. Since: 0.1.
 */
int32_t primacy_vip_report(struct primacy_instance *p,
                           const char *vip,
                           int32_t good,
                           const char *words);

/**
 * The name of an error number, as "PRIMACY_E_REFUSED".
 *
 * @param error  a primacy_error
 * @return       a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_error_name(int32_t error);

/**
 * The name of a state, as "FAILED_OFFLINE".
 *
 * @param state  a primacy_state
 * @return       a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_state_name(int32_t state);

/**
 * The name of a status, as "OK_WARN".
 *
 * @param status  a primacy_status
 * @return        a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_status_name(int32_t status);

/**
 * The name of a node's type, as "PRIMARY".
 *
 * @param node_type  a primacy_node_type
 * @return           a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_node_type_name(int32_t node_type);

/**
 * The name of a pool's kind, as "ring".
 *
 * @param kind  a primacy_pool_kind
 * @return      a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_pool_kind_name(int32_t kind);

/**
 * The name of a policy, as "safe".
 *
 * @param policy  a primacy_policy
 * @return        a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_policy_name(int32_t policy);

/**
 * The name of a pool's status, as "FAIL".
 *
 * @param status  a primacy_pool_status
 * @return        a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_pool_status_name(int32_t status);

/**
 * The name of a cause, as "refused".
 *
 * @param cause  a primacy_cause
 * @return       a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_cause_name(int32_t cause);

/**
 * The cause of a name, as "refused"; letter case does not matter.
 *
 * @param name  the name
 * @return      a primacy_cause; PRIMACY_E_NOT_FOUND; PRIMACY_E_INVALID
 *
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
int32_t primacy_cause_from_name(const char *name);

/**
 * The class of a cause: what rules look at.
 *
 * @param cause  a primacy_cause
 * @return       a primacy_class; PRIMACY_E_NOT_FOUND
 *
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
int32_t primacy_cause_class(int32_t cause);

/**
 * The name of a class, as "gone".
 *
 * @param class_  a primacy_class
 * @return        a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_class_name(int32_t class_);

/**
 * The name of a server's family, as "mariadb".
 *
 * @param flavour  a primacy_flavour
 * @return         a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_flavour_name(int32_t flavour);

/**
 * The name of a replication thread's state, as "running".
 *
 * @param state  a primacy_thread_state
 * @return       a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_thread_state_name(int32_t state);

/**
 * The name of an event's kind, as "switch".
 *
 * @param kind  a primacy_event_kind
 * @return      a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_event_kind_name(int32_t kind);

/**
 * The name of a severity, as "alarm".
 *
 * @param severity  a primacy_severity
 * @return          a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_severity_name(int32_t severity);

/**
 * The name of what maintenance does with the role, as "stay".
 *
 * @param role  a primacy_maintenance_role
 * @return      a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_maintenance_role_name(int32_t role);

/**
 * The name of a report's outcome, as "connect_failed".
 *
 * @param outcome  a primacy_report_outcome
 * @return         a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_report_outcome_name(int32_t outcome);

/**
 * The name of why a node was chosen, as "fallback".
 *
 * @param reason  a primacy_reason
 * @return        a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_reason_name(int32_t reason);

/**
 * The name of where an address is, as "held".
 *
 * @param stage  a primacy_vip_stage
 * @return       a constant; "?" for a number that this version does not know
 *
 * Ownership: the library's, for ever.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
const char *primacy_vip_stage_name(int32_t stage);

/**
 * The sentence of a rule: what it looks at and what it decides.
 *
 * @param rule  the rule's number
 * @param buf   where to write the text; may be NULL if `len` is 0
 * @param len   size of `buf` in bytes
 * @return      the length of the whole text; PRIMACY_E_NOT_FOUND; PRIMACY_E_INVALID
 *
 * Ownership: the text is copied.
 * Thread: any thread. Time: never blocks. Since: 0.1.
 */
int32_t primacy_rule_text(uint32_t rule, char *buf, size_t len);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PRIMACY_H */
