//! What operators set above the rules: overrides of a node, its maintenance, the freeze of a pool (rule 13 of the design).

use super::state::words;
use super::{NodeType, State, Status};
use core::fmt;

/// The longest reason, in bytes.
pub const LONGEST_REASON: usize = 1000;

/// What is wrong with a reason: it goes into events, logs and tables as it is. `None` if it can be taken.
pub fn reason_fault(reason: &str) -> Option<String> {
    if reason.trim().is_empty() {
        return Some("the reason is empty: say why, for everybody who meets this later".into());
    }
    if reason.len() > LONGEST_REASON {
        return Some(format!("the reason has {} bytes: give 1 to {LONGEST_REASON}", reason.len()));
    }
    let control = reason.char_indices().find(|(_, c)| c.is_control());
    control.map(|(at, _)| format!("the reason has a control character at byte {at}: give one line of text"))
}

/// What an override sets; what it does not set is left to rules and configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Override {
    /// The node's state, whatever is observed. ACTIVE moves the role to it at once.
    pub state: Option<State>,
    /// The status that is shown and that decides who serves. Rules go on with what they count.
    pub status: Option<Status>,
    /// PRIMARY or SECONDARY: who is preferred. While a node is set to PRIMARY, the configured one counts as a SECONDARY.
    pub node_type: Option<NodeType>,
    /// Share of clients; 0 takes none.
    pub weight: Option<u32>,
}

impl Override {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Override::default()
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.state.map(|state| format!("state {state}")));
        parts.extend(self.status.map(|status| format!("status {status}")));
        parts.extend(self.node_type.map(|node_type| format!("type {node_type}")));
        parts.extend(self.weight.map(|weight| format!("weight {weight}")));
        f.write_str(&parts.join(", "))
    }
}

words! {
    /// What becomes of the role when maintenance of the ACTIVE node begins.
    MaintenanceRole {
        /// The role is handed over, as soon as a node that may take over has proven that it has everything.
        Move = 0 => "move",
        /// The node keeps the role, and its faults do not take it away.
        Stay = 1 => "stay",
    }
}

/// An override or a maintenance of one node. A node has one of them at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOverride {
    /// What is set; nothing while the node is in maintenance.
    pub set: Override,
    /// The node is in maintenance: no candidate, and its faults alarm nobody.
    pub maintenance: Option<MaintenanceRole>,
    /// The operator's reason.
    pub reason: String,
    /// Wall-clock time of the command, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Wall-clock time of its end as of the command, or of the last start of an instance; `None` without a limit.
    pub until_ms: Option<u64>,
}

/// The freeze of a pool: no rule changes a state or the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// The operator's reason.
    pub reason: String,
    /// Wall-clock time of the command, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Wall-clock time of its end, as with [`NodeOverride`].
    pub until_ms: Option<u64>,
}

impl NodeOverride {
    /// Whether a reader of a cache that no instance keeps up to date may still believe it.
    pub fn holds_at(&self, wall_ms: u64) -> bool {
        self.until_ms.is_none_or(|until| until > wall_ms)
    }
}

impl fmt::Display for NodeOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.maintenance {
            Some(MaintenanceRole::Move) => f.write_str("maintenance"),
            Some(MaintenanceRole::Stay) => f.write_str("maintenance, the role stays"),
            None => write!(f, "override: {}", self.set),
        }
    }
}

/// The types that are in force: at most one PRIMARY. A node that is set to PRIMARY takes the place of the configured one.
pub fn types_in_force(nodes: &[(NodeType, Option<NodeType>)]) -> Vec<NodeType> {
    let chosen = nodes.iter().position(|n| n.1 == Some(NodeType::Primary));
    let place = |(i, &(configured, set)): (usize, &(NodeType, Option<NodeType>))| match chosen {
        Some(c) if c == i => NodeType::Primary,
        Some(_) => NodeType::Secondary,
        None => set.unwrap_or(configured),
    };
    nodes.iter().enumerate().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use NodeType::{Primary, Secondary};

    #[test]
    fn there_is_never_more_than_one_primary() {
        let sets = [None, Some(Primary), Some(Secondary)];
        for a in sets {
            for b in sets {
                let types = types_in_force(&[(Primary, a), (Secondary, b)]);
                let primaries = types.iter().filter(|t| **t == Primary).count();
                assert!(primaries <= 1, "{a:?} {b:?}: {types:?}");
                assert_eq!(primaries == 0, a == Some(Secondary) && b != Some(Primary), "{a:?} {b:?}");
            }
        }
        let swapped = types_in_force(&[(Primary, None), (Secondary, Some(Primary))]);
        assert_eq!(swapped, [Secondary, Primary]);
    }

    #[test]
    fn a_reason_is_one_line_of_text() {
        for (reason, part) in [
            ("", "empty"),
            (" \u{a0}", "empty"),
            ("a\nb", "byte 1"),
            ("\u{e9}\u{9b}31m", "byte 2"),
            (&"x".repeat(1001), "1001 bytes"),
            (&"\u{e9}".repeat(501), "1002 bytes"),
        ] {
            let fault = reason_fault(reason).unwrap_or_else(|| panic!("{reason:?} was taken"));
            assert!(fault.contains(part), "{fault}");
        }
        for reason in ["r", "new disk: \"slot 3\" \u{e9}\u{1f511}", &"x".repeat(1000)] {
            assert_eq!(reason_fault(reason), None, "{reason}");
        }
    }

    #[test]
    fn an_override_says_what_it_sets() {
        let set = Override { state: Some(State::Standby), weight: Some(0), ..Override::default() };
        assert_eq!(set.to_string(), "state STANDBY, weight 0");
        assert!(Override::default().is_empty() && !set.is_empty());
    }
}
