//! Budgets as text.

use crate::policy::budget::{Budget, Worst};
use serde_json::{Value, json};
use std::time::Duration;

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A budget as one JSON object.
pub(super) fn budget(budget: &Budget) -> String {
    let lines: Vec<Value> = budget
        .lines
        .iter()
        .map(|line| {
            let (kind, worst) = match line.worst {
                Worst::Within(time) => ("within", Some(millis(time))),
                Worst::Never => ("never", None),
                Worst::HostsPace => ("hosts_pace", None),
            };
            json!({
                "class": line.class.name(),
                "fault": line.fault,
                "worst": kind,
                "worst_ms": worst,
                "formula": line.formula,
            })
        })
        .collect();
    json!({
        "pool": budget.pool,
        "connections_per_node": budget.connections_per_node,
        "lines": lines,
    })
    .to_string()
}
