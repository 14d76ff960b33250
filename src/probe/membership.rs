//! What a server says of its group: the statement that asks, and reading the answer.
//!
//! Sources: MySQL manual, "The replication_group_members Table" and "The replication_group_member_stats Table"; Galera
//! Cluster documentation, "Galera Status Variables".

use super::cause::Cause;
use super::observation::{Flavour, ServerVersion};
use crate::pool::state::words;
use crate::wire::ResultSet;
use core::fmt;

words! {
    /// How members of a group agree.
    GroupKind {
        /// MySQL Group Replication.
        GroupReplication = 0 => "group_replication",
        /// Galera.
        Galera = 1 => "galera",
    }
}

/// A member as another one, or it itself, sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Its `server_uuid`.
    pub id: String,
    /// Where clients find it, `host:port`, as it says itself.
    pub address: String,
    /// Its state in the server's word: `ONLINE`, `RECOVERING`, `UNREACHABLE`, `OFFLINE`, `ERROR`.
    pub state: String,
    /// It is (one of) the primary member(s).
    pub primary: bool,
}

/// What a server says of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How the members agree.
    pub kind: GroupKind,
    /// Which group: what stays the same from its beginning to its end. Empty if the server is in none.
    pub id: String,
    /// The age of the server's view of the group; it grows with each change of the members.
    pub view: u64,
    /// The server's own state in its own words, such as `ONLINE` or `Synced`.
    pub state: String,
    /// Its view holds a majority of the members (Galera: its component is the Primary one).
    pub majority: bool,
    /// How many members its view has.
    pub size: u32,
    /// It takes statements (Galera: `wsrep_ready`).
    pub ready: bool,
    /// The members of its view; empty where the server keeps no list (Galera).
    pub members: Vec<GroupMember>,
}

impl Group {
    /// The server is in order and in the majority: what it says of the group is believed.
    pub fn is_believed(&self) -> bool {
        let in_order = match self.kind {
            GroupKind::GroupReplication => self.state == "ONLINE",
            GroupKind::Galera => self.state == "Synced" || self.is_donor(),
        };
        in_order && self.majority && self.ready
    }

    /// It sends its state to another member, or was taken out of step by an operator (`wsrep_desync`).
    pub fn is_donor(&self) -> bool {
        self.kind == GroupKind::Galera && self.state.starts_with("Donor")
    }

    /// It belongs to the group and catches up with it.
    fn is_catching_up(&self) -> bool {
        let joins = match self.kind {
            GroupKind::GroupReplication => self.state == "RECOVERING",
            GroupKind::Galera => self.state.starts_with("Join") || self.state.starts_with("Waiting"),
        };
        joins && self.majority
    }

    /// The cause, number and sentence that the membership amounts to.
    pub(super) fn verdict(&self) -> (Cause, u32, String) {
        if self.is_believed() {
            return (Cause::Ok, 0, String::new());
        }
        let mut state: String = self.state.chars().filter(|c| !c.is_control()).take(40).collect();
        if state.is_empty() {
            // While the plugin starts or stops.
            state.push_str("of no state");
        }
        if self.is_catching_up() {
            return (
                Cause::ReplicationLag,
                0,
                format!("the member is {state}: it catches up with its group"),
            );
        }
        let text = match self.kind {
            GroupKind::GroupReplication if self.size == 0 => {
                "the server is in no group: the plugin group_replication is not active".to_string()
            }
            GroupKind::GroupReplication if self.state != "ONLINE" => {
                format!("the member is {state} in its group: START GROUP_REPLICATION brings it back")
            }
            GroupKind::GroupReplication => format!(
                "the member's view lacks the majority: {} of {} members are reachable, itself included",
                self.reachable(),
                self.size
            ),
            GroupKind::Galera if self.id.is_empty() => {
                "the server is in no cluster: wsrep_on is OFF, or wsrep_provider is none".to_string()
            }
            GroupKind::Galera if !self.majority => {
                format!("the member is not in the Primary component of its cluster ({state})")
            }
            GroupKind::Galera if !self.ready => format!("wsrep_ready is OFF ({state})"),
            GroupKind::Galera => format!("the member is {state}, not Synced"),
        };
        (Cause::ReplicationStopped, 0, text)
    }

    fn reachable(&self) -> usize {
        self.members.iter().filter(|m| is_reachable(&m.state)).count()
    }
}

/// Who is reachable has a vote; ONLINE is not asked for, since a member that recovers votes too.
fn is_reachable(state: &str) -> bool {
    matches!(state, "ONLINE" | "RECOVERING")
}

/// The statement that asks for the group.
///
/// Without the columns MEMBER_ROLE (MySQL before 8.0.2) the primary is a status variable, empty in multi-primary mode.
pub(super) fn statement(flavour: Flavour, version: Option<ServerVersion>) -> String {
    match flavour {
        Flavour::MySql => {
            let role = if version.is_none_or(|v| v >= ServerVersion(8, 0, 2)) {
                "m.MEMBER_ROLE"
            } else {
                "(SELECT IF(VARIABLE_VALUE IN ('', m.MEMBER_ID), 'PRIMARY', 'SECONDARY') \
                 FROM performance_schema.global_status \
                 WHERE VARIABLE_NAME = 'group_replication_primary_member')"
            };
            format!(
                "SELECT m.MEMBER_ID, m.MEMBER_HOST, m.MEMBER_PORT, m.MEMBER_STATE, {role}, s.VIEW_ID, @@global.server_uuid \
                 FROM performance_schema.replication_group_members m \
                 LEFT JOIN performance_schema.replication_group_member_stats s ON s.MEMBER_ID = m.MEMBER_ID"
            )
        }
        Flavour::MariaDb => {
            format!("SHOW GLOBAL STATUS WHERE Variable_name IN ('{}')", VARIABLES.join("', '"))
        }
    }
}

const VARIABLES: [&str; 7] = [
    "wsrep_cluster_state_uuid",
    "wsrep_cluster_conf_id",
    "wsrep_cluster_size",
    "wsrep_cluster_status",
    "wsrep_ready",
    "wsrep_local_state",
    "wsrep_local_state_comment",
];

/// What a grant would have to be if the server lets the probe's account not look at its group.
pub(super) const GRANT: &str = "; grant SELECT ON performance_schema.replication_group_members and \
     SELECT ON performance_schema.replication_group_member_stats to the probe's account";

/// Reads the answer to [`statement`].
pub(super) fn read(flavour: Flavour, set: &ResultSet<'_>) -> Group {
    match flavour {
        Flavour::MySql => read_group_replication(set),
        Flavour::MariaDb => read_galera(set),
    }
}

fn text<'a>(set: &ResultSet<'a>, row: usize, column: usize) -> &'a str {
    set.value(row, column).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
}

fn read_group_replication(set: &ResultSet<'_>) -> Group {
    let (mut id, mut view, mut state) = (String::new(), 0, String::new());
    let mut members = Vec::new();
    for row in 0..set.rows() {
        let host = text(set, row, 1);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
        let member = GroupMember {
            id: text(set, row, 0).to_string(),
            address: format!("{host}:{}", text(set, row, 2)),
            state: text(set, row, 3).to_string(),
            primary: text(set, row, 4) == "PRIMARY",
        };
        if member.id == text(set, row, 6) {
            state.clone_from(&member.state);
        }
        // A part that is fixed when the group is begun, and a number that counts the views.
        if let Some((fixed, number)) = text(set, row, 5).split_once(':') {
            id = fixed.to_string();
            view = number.parse().unwrap_or(0);
        }
        members.push(member);
    }
    let reachable = members.iter().filter(|m| is_reachable(&m.state)).count();
    Group {
        kind: GroupKind::GroupReplication,
        id,
        view,
        state,
        majority: 2 * reachable > members.len(),
        size: u32::try_from(members.len()).unwrap_or(u32::MAX),
        ready: true,
        members,
    }
}

fn read_galera(set: &ResultSet<'_>) -> Group {
    let value = |name: &str| {
        let row = (0..set.rows()).find(|&row| text(set, row, 0).eq_ignore_ascii_case(name));
        row.map_or("", |row| text(set, row, 1))
    };
    // What the words mean stands in the number; the words are for people and may come with details.
    let state = match value("wsrep_local_state") {
        "4" => "Synced",
        "2" => "Donor/Desynced",
        "1" => "Joining",
        "3" => "Joined",
        _ => value("wsrep_local_state_comment"),
    };
    Group {
        kind: GroupKind::Galera,
        id: value("wsrep_cluster_state_uuid").to_string(),
        // While it is in no component, a server says 2^64 - 1.
        view: value("wsrep_cluster_conf_id").parse().ok().filter(|&view| view != u64::MAX).unwrap_or(0),
        state: state.to_string(),
        majority: value("wsrep_cluster_status") == "Primary",
        size: value("wsrep_cluster_size").parse().unwrap_or(0),
        ready: value("wsrep_ready") == "ON",
        members: Vec::new(),
    }
}
