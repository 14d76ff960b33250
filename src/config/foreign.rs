//! What other routers call the things that a service is made of: an error for their word names ours.
//!
//! Sources: MySQL Router, *Configuration File Options*; ProxySQL, *Main database tables* and *Global variables*; HAProxy,
//! *Configuration Manual*, `balance` and server options; ipvsadm(8). The page of the configuration shows the same table.

/// A word of another router.
#[derive(Clone, Copy, Debug)]
pub(super) struct Foreign {
    /// The word; letter case does not matter.
    pub theirs: &'static str,
    /// Who uses it.
    pub whose: &'static str,
    /// What to write here.
    pub ours: &'static str,
}

const fn router(theirs: &'static str, ours: &'static str) -> Foreign {
    Foreign { theirs, whose: "MySQL Router", ours }
}
const fn proxysql(theirs: &'static str, ours: &'static str) -> Foreign {
    Foreign { theirs, whose: "ProxySQL", ours }
}
const fn haproxy(theirs: &'static str, ours: &'static str) -> Foreign {
    Foreign { theirs, whose: "HAProxy", ours }
}
const fn lvs(theirs: &'static str, ours: &'static str) -> Foreign {
    Foreign { theirs, whose: "LVS", ours }
}

/// For `role` and `fallback`.
pub(super) static ROLES: &[Foreign] = &[
    router("PRIMARY", "active"),
    router("SECONDARY", "standby"),
    router("PRIMARY_AND_SECONDARY", "any"),
    router("read-write", "active"),
    router("read-only", "standby"),
    proxysql("writer_hostgroup", "active"),
    proxysql("reader_hostgroup", "standby"),
    proxysql("writer", "active"),
    proxysql("reader", "standby"),
];

/// For `strategy`; the four of MySQL Router are called the same here.
pub(super) static STRATEGIES: &[Foreign] = &[
    proxysql("weight", "weighted"),
    haproxy("first", "first-available"),
    haproxy("roundrobin", "round-robin (weighted, where weights differ)"),
    haproxy("static-rr", "round-robin (weighted, where weights differ)"),
    haproxy("leastconn", "least-connections"),
    haproxy("random", "two-choices (weighted is a single draw)"),
    lvs("rr", "round-robin"),
    lvs("wrr", "weighted"),
    lvs("lc", "least-connections"),
    lvs("wlc", "least-connections"),
];

/// For `on_demotion`.
pub(super) static DEMOTIONS: &[Foreign] = &[
    proxysql("OFFLINE_HARD", "kill"),
    proxysql("OFFLINE_SOFT", "drain"),
    haproxy("shutdown-sessions", "kill"),
];

/// For the keys themselves.
pub(super) static KEYS: &[Foreign] = &[
    router("routing_strategy", "strategy"),
    router("destinations", "role"),
    router("mode", "role"),
    router("protocol", "port (33060 is that of the X protocol)"),
    router("disconnect_on_promoted_to_primary", "on_demotion"),
    router("error_quarantine_threshold", "quarantine_after"),
    router("error_quarantine_interval", "quarantine"),
    proxysql("hostgroup", "role"),
    proxysql("writer_is_also_reader", "role = \"any\""),
    proxysql("max_replication_lag", "max_lag"),
    proxysql("mysql-shun_on_failures", "quarantine_after"),
    proxysql("mysql-shun_recovery_time_sec", "quarantine"),
    haproxy("balance", "strategy"),
    haproxy("backup", "fallback"),
    haproxy("weight", "a node's weight, beside its address,"),
    haproxy("slowstart", "slow_start"),
    haproxy("on-marked-down", "on_demotion"),
];

/// What to say about a word that is none of ours.
pub(super) fn hint(table: &[Foreign], word: &str) -> Option<String> {
    let same = |a: u8, b: u8| a.eq_ignore_ascii_case(&b) || matches!((a, b), (b'-', b'_') | (b'_', b'-'));
    let alike = |theirs: &str| {
        theirs.len() == word.len() && theirs.bytes().zip(word.bytes()).all(|(a, b)| same(a, b))
    };
    let Foreign { theirs, whose, ours } = table.iter().find(|entry| alike(entry.theirs))?;
    Some(format!("{ours} is what {whose} calls {theirs}"))
}
