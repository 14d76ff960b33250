//! What a node's state and status mean to those who send clients: one matrix for every answer.
//!
//! Under `safe` a node serves from OK to OK_CRITICAL; an ACTIVE node at FAIL is the pool's last one and does not answer.
//! Under `mpp` the original's checks: `is_server_up` takes OK, OK_INFO and OK_WARN of the stored status and does not
//! look at the state; `server_is_active` takes the state ACTIVE.

use crate::pool::{PolicyName, State, Status};

/// Whether a load balancer may send clients to the node (`up`).
pub fn is_up(policy: PolicyName, state: State, status: Status) -> bool {
    match policy {
        PolicyName::Safe => matches!(state, State::Active | State::Standby) && status <= Status::OkCritical,
        PolicyName::Mpp => status <= Status::OkWarn,
    }
}

/// Whether the node takes the clients that write (`is-active`). `selected`: the node is the one that the pool gives
/// as its ACTIVE, which matters under `mpp`, where two can be ACTIVE for one cycle.
pub fn is_active(policy: PolicyName, selected: bool, state: State, status: Status) -> bool {
    let answers = match policy {
        PolicyName::Safe => status <= Status::OkCritical,
        PolicyName::Mpp => true,
    };
    selected && state == State::Active && answers
}
