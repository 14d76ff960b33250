//! The worst case from fault to switch, computed from the configuration.

use crate::engine::time::Duration;
use crate::probe::Class;

/// One line of the budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetLine {
    /// The class of the fault.
    pub class: Class,
    /// What kind of fault, in words: "process killed, connection kept".
    pub fault: &'static str,
    /// Longest time from the fault to the switch; `None` if this class never fails an ACTIVE node.
    pub worst: Option<Duration>,
    /// How the figure comes about: "4 probes of 250ms …".
    pub formula: String,
}

/// The budget of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// One line for each kind of fault.
    pub lines: Vec<BudgetLine>,
    /// Connections that the prober keeps open at each node.
    pub connections_per_node: u32,
}
