//! The table of metrics. docs/metrics.md is printed from it; names and labels are a contract: they are only added.

use core::fmt::Write;

/// What a number means over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, from 0 at the beginning of the instance's life.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts in buckets, cumulative.
    Histogram,
}

impl Kind {
    /// The word of the format.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name; durations and times are in seconds.
    pub name: &'static str,
    /// What its numbers mean over time.
    pub kind: Kind,
    /// Its labels, in their order. A histogram's buckets have `le` behind them.
    pub labels: &'static [&'static str],
    /// Whether it can be told from a cache, without a running instance.
    pub stored: bool,
    /// One or two sentences.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $name:literal, $kind:ident, [$($label:literal),*], $stored:literal, $help:literal;)+) => {
        $(pub(super) const $id: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            stored: $stored,
            help: $help,
        };)+

        /// Every metric, in the order of the text.
        pub const METRICS: &[Metric] = &[$($id),+];
    };
}

metrics! {
    BUILD = "primacy_build_info", Gauge, ["version", "tls"], true,
        "Always 1; the labels say which library it is and whether TLS is built in.";
    LIVE = "primacy_live", Gauge, [], true,
        "1 if a running instance tells, 0 if its figures are what the cache knows.";
    FAILED = "primacy_instance_failed", Gauge, [], false,
        "1 once the engine has hit a defect of its own: the state stands still, what the engine counted is left out.";
    SINCE = "primacy_start_time_seconds", Gauge, [], false,
        "When the instance began, seconds since the Unix epoch.";
    WRITTEN = "primacy_cache_written_timestamp_seconds", Gauge, [], true,
        "When the cache was last written, seconds since the Unix epoch. It is written when something changes.";
    WRITES = "primacy_cache_writes_total", Counter, ["outcome"], false,
        "Writes of the cache: ok or failed.";
    LATENESS = "primacy_loop_lateness_seconds", Histogram, [], false,
        "How much later than it wanted the driver's loop looked at its deadlines.";
    LATE = "primacy_loop_late_total", Counter, [], false,
        "How often that was later than the shortest timeout of any node, so that answers may have been missed.";
    CONNECTIONS = "primacy_connections", Gauge, [], false,
        "Connections to nodes that are open or being made.";
    RESOLVER = "primacy_resolver_answers_total", Counter, ["outcome"], false,
        "Answers of the resolver since the instance began to probe: ok or failed. A node keeps the address that it had.";
    REQUESTS = "primacy_control_requests_total", Counter, ["command", "outcome"], false,
        "Requests at the control socket: ok, refused by a rule, or error. A pair appears with its first request.";
    REFUSED = "primacy_control_connections_refused_total", Counter, ["reason"], false,
        "Callers at the control socket who were sent away: user (control_users does not name it) or crowded.";
    EVENTS = "primacy_events_total", Counter, ["kind"], false,
        "Events, by kind.";
    LOST = "primacy_events_lost_total", Counter, [], false,
        "Events that fell out of full queues before they were read, over all subscribers.";
    SUBSCRIBERS = "primacy_event_subscribers", Gauge, [], false,
        "Event queues that somebody holds.";
    WITHHELD = "primacy_log_withheld_total", Counter, [], false,
        "Words for the log that were left out because their like had just been said.";
    POOL = "primacy_pool_info", Gauge, ["pool", "kind", "policy"], true,
        "Always 1; one for each pool.";
    POOL_FAILED = "primacy_pool_failed", Gauge, ["pool"], true,
        "1 if the pool's status is FAIL.";
    EPOCH = "primacy_pool_epoch", Gauge, ["pool"], true,
        "Rises at every change of the ACTIVE node, also from life to life. A double holds it exactly.";
    PAUSED = "primacy_pool_paused", Gauge, ["pool"], false,
        "1 while routing pauses for a planned hand-over.";
    ACTIVE = "primacy_pool_active_info", Gauge, ["pool", "node"], true,
        "Always 1; names the ACTIVE node. Absent while there is none.";
    SWITCHES = "primacy_pool_switches_total", Counter, ["pool"], false,
        "Changes of the ACTIVE node, to and from none too.";
    RULES = "primacy_rules_fired_total", Counter, ["pool", "policy", "rule"], false,
        "How often each rule decided, refusals of commands too; docs/policies.md says what each rule is.";
    NODE = "primacy_node_info", Gauge, ["pool", "node", "type", "site", "flavour", "version"], true,
        "Always 1; what is known of the node beside its health. Unknown is empty.";
    STATE = "primacy_node_state", Gauge, ["pool", "node", "state"], true,
        "1 for the state that the node is in, 0 for the others.";
    STATUS = "primacy_node_status", Gauge, ["pool", "node", "status"], true,
        "1 for the status that the node has, 0 for the others.";
    UP = "primacy_node_up", Gauge, ["pool", "node"], true,
        "1 if the node may have clients, as `primacy up` answers.";
    SERVES = "primacy_node_serves", Gauge, ["pool", "node"], true,
        "1 if the node takes the clients that write, as `primacy is-active` answers.";
    BAD = "primacy_node_bad_observations", Gauge, ["pool", "node"], true,
        "Bad observations in a row. Absent before the first one of any kind.";
    WAITS = "primacy_node_waits_for_recover", Gauge, ["pool", "node"], true,
        "1 if the node failed as ACTIVE and waits for `recover`.";
    OBSERVED = "primacy_node_observed_timestamp_seconds", Gauge, ["pool", "node"], true,
        "When the node was last observed, seconds since the Unix epoch. Absent before the first time.";
    CHANGED = "primacy_node_changed_timestamp_seconds", Gauge, ["pool", "node"], true,
        "When the node's state last changed, seconds since the Unix epoch. Absent before the first time.";
    LAG = "primacy_node_lag_seconds", Gauge, ["pool", "node"], false,
        "Replication lag, of the slowest channel. Absent while the server cannot tell.";
    ROUND_TRIP = "primacy_node_round_trip_seconds", Gauge, ["pool", "node"], false,
        "From the probe's question to the first byte of the answer, the last time. Absent before the first answer.";
    BACKEND = "primacy_node_backend_good", Gauge, ["pool", "node"], false,
        "1 if the ports of a router lead to servers that suit them, 0 if not. Absent for nodes of other kinds, and while nobody can tell.";
    STRANDED = "primacy_node_stranded_transactions", Gauge, ["pool", "node"], false,
        "Transactions that a node which failed as ACTIVE holds and the ACTIVE node lacks; for MariaDB an upper bound. Absent for others, and while nobody can tell.";
    THREADS = "primacy_node_threads_connected", Gauge, ["pool", "node"], false,
        "Threads_connected as of the last login. Absent while unknown.";
    CAPACITY = "primacy_node_max_connections", Gauge, ["pool", "node"], false,
        "max_connections as of the last login. Absent while unknown.";
    OBSERVATIONS = "primacy_observations_total", Counter, ["pool", "node", "cause"], false,
        "Observations by cause, the host's own too. What was discarded counts as local.";
    DISCARDED = "primacy_observations_discarded_total", Counter, ["pool", "node"], false,
        "Observations that prove nothing because the prober itself was late.";
    TIMES = "primacy_probe_duration_seconds", Histogram, ["pool", "node"], false,
        "How long probes took, good ones and bad ones, a login included where one was made.";
    CONNECTS = "primacy_probe_connects_total", Counter, ["pool", "node"], false,
        "Connections that were begun; each address of a name counts.";
    LOGINS = "primacy_probe_logins_total", Counter, ["pool", "node", "tls"], false,
        "Logins, by whether the connection was encrypted.";
    CUT = "primacy_probe_connections_lost_total", Counter, ["pool", "node"], false,
        "Kept connections that ended between probes.";
    PROXY = "primacy_proxy_up", Gauge, ["proxy"], false,
        "1 while a proxy to which states are pushed is connected and has been told all.";
    PROXY_COMMANDS = "primacy_proxy_commands_total", Counter, ["proxy", "outcome"], false,
        "MPP commands that the proxy carried out (done) or refused.";
    PROXY_INITIALIZED = "primacy_proxy_nodes_initialized_total", Counter, ["proxy"], false,
        "Nodes that the proxy did not know and that were initialized there.";
    PROXY_CYCLES = "primacy_proxy_cycles_total", Counter, ["proxy"], false,
        "Cycles in which the proxy was told everything.";
    PROXY_FAILURES = "primacy_proxy_failures_total", Counter, ["proxy"], false,
        "Connections to the proxy that failed or were lost.";
    VIP = "primacy_vip_owned", Gauge, ["vip"], false,
        "1 if this host owns the floating address.";
    VIP_SCORE = "primacy_vip_score", Gauge, ["vip"], false,
        "This host's score for the address: 0 out, 1 bad, 2 barred, else in good order.";
    VIP_LOCAL = "primacy_vip_local_good", Gauge, ["vip"], false,
        "1 if the service on this host is in order, 0 if not. Absent while nobody can tell.";
    VIP_BACKEND = "primacy_vip_backend_good", Gauge, ["vip"], false,
        "1 if what the service leads to works, 0 if not; never moves the address. Absent while nobody can tell.";
    VIP_FAILURES = "primacy_vip_failures", Gauge, ["vip"], false,
        "Failures of the service on this host that still count.";
    VIP_EPOCH = "primacy_vip_epoch", Gauge, ["vip"], false,
        "The highest number of an ownership that is known.";
    VIP_CLAIMS = "primacy_vip_claims_total", Counter, ["vip"], false,
        "How often the address came to this host.";
    VIP_RELEASES = "primacy_vip_releases_total", Counter, ["vip"], false,
        "How often the address left this host.";
    VRRP_SENT = "primacy_vrrp_adverts_sent_total", Counter, ["vip"], false,
        "Advertisements that went out, of both families.";
    VRRP_HEARD = "primacy_vrrp_adverts_heard_total", Counter, ["vip"], false,
        "Advertisements of others that were heard, of both families.";
    VRRP_REJECTED = "primacy_vrrp_packets_rejected_total", Counter, ["vip", "reason"], false,
        "Packets that were not heard, by reason. A reason appears with its first packet.";
    LEASE = "primacy_vip_lease_valid_seconds", Gauge, ["vip"], false,
        "For how long this host's lease is still good. Absent for who holds none.";
    TIER_HOST = "primacy_tier_host_heard", Gauge, ["host"], false,
        "1 for each host of the tier that is heard on the peer channel, this one too; 0 for the others.";
    TIER_CONFLICT = "primacy_vip_conflict", Gauge, ["vip"], false,
        "1 while two hosts say that they own the address.";
}

/// The table of docs/metrics.md.
pub fn page() -> String {
    let mut text =
        String::from("| metric | kind | labels | from a cache | meaning |\n|---|---|---|---|---|\n");
    for metric in METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let stored = if metric.stored { "yes" } else { "no" };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {stored} | {} |",
            metric.name,
            metric.kind.name(),
            labels.join(", "),
            metric.help
        );
    }
    text
}
