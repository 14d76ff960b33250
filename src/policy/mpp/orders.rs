//! Operators' orders under policy `mpp`: the original's `MPP SET`, with a reason and an end, and one ACTIVE node.
//!
//! There is no gate here: the role moves at once, as with everything that the original does.

use super::{Member, Refusal};
use crate::pool::{MaintenanceRole, NodeType, State, Status};

/// Number of the step for a node whose state an operator fixed.
pub const HELD_FIXED: u16 = 128;
/// Number of the step for a frozen pool.
pub const HELD_FROZEN: u16 = 129;
/// Number of the step for a node that would become ACTIVE beside one that is fixed as ACTIVE.
pub const HELD_ROLE: u16 = 130;
/// Number of an override of the state.
pub const FIXED: u16 = 131;
/// Number of an override to ACTIVE.
pub const MADE_ACTIVE: u16 = 132;
/// Number of the refusal of a second one.
pub const SECOND_ACTIVE: u16 = 133;
/// Number of the refusal to take the role from the ACTIVE node.
pub const ROLE_REFUSED: u16 = 134;
/// Number of an override of status, type or weight alone.
pub const SET: u16 = 135;
/// Number of the refusal of a second PRIMARY.
pub const SECOND_PRIMARY: u16 = 136;
/// Number of the end of an override or a maintenance.
pub const ENDED: u16 = 137;
/// Number of the refusal to end what is not there.
pub const NOTHING_SET: u16 = 138;
/// Number of the freeze.
pub const FROZEN: u16 = 139;
/// Number of its end.
pub const UNFROZEN: u16 = 140;
/// Number of the refusal to end what is not there.
pub const NOT_FROZEN: u16 = 141;
/// Number of the maintenance of a node that loses the role, or has none.
pub const MAINTAINED: u16 = 142;
/// Number of the maintenance of the ACTIVE node that keeps the role.
pub const STAYING: u16 = 143;
/// Number of the refusal of commands about a node that an operator fixed.
pub const FIXED_REFUSED: u16 = 144;
/// Number of the end of a time limit.
pub const RUN_OUT: u16 = 145;
/// Number of the warning before it.
pub const RUNS_OUT: u16 = 146;
/// Number of the refusal of orders about a removed node.
pub const TAKEN_OUT: u16 = 147;

/// The rows with their sentences.
pub const ORDERS: [(u16, &str); 20] = [
    (HELD_FIXED, "an operator fixed the node's state: the table watches and changes nothing"),
    (HELD_FROZEN, "an operator froze the pool: the table watches and changes no state"),
    (HELD_ROLE, "an operator fixed the role on another node: this one does not take it"),
    (FIXED, "an operator fixed the node's state; if the node was ACTIVE another has the role now"),
    (MADE_ACTIVE, "an operator made the node ACTIVE: the role moved at once, and no rule takes it away"),
    (SECOND_ACTIVE, "an operator fixed the role on another node: end that first"),
    (ROLE_REFUSED, "the node is ACTIVE, and it can be taken out only while another may take over"),
    (SET, "an operator set status, type or weight: the table goes on deciding the state"),
    (SECOND_PRIMARY, "another node is set to PRIMARY: end that override first"),
    (ENDED, "an operator ended the override or maintenance: the node keeps its state and is counted anew"),
    (NOTHING_SET, "the node has no override and no maintenance"),
    (FROZEN, "an operator froze the pool: the table changes no state"),
    (UNFROZEN, "an operator ended the freeze: every node is counted anew"),
    (NOT_FROZEN, "the pool is not frozen"),
    (MAINTAINED, "an operator began maintenance: the node takes no role, and its faults alarm nobody"),
    (STAYING, "an operator began maintenance of the ACTIVE node: it keeps the role"),
    (FIXED_REFUSED, "an override or a maintenance fixes the node: end that first"),
    (
        RUN_OUT,
        "the time of an operator's order has run out: states and role stay, every node concerned is counted anew",
    ),
    (RUNS_OUT, "the time of an operator's order is about to run out: it ends without a switch"),
    (TAKEN_OUT, "an operator took the node out of the pool"),
];

fn refuse<T>(rule: u16, reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { rule, reason: reason.into() })
}

fn present(members: &[Member], node: usize) -> Result<(), Refusal> {
    match members[node].removed {
        true => refuse(TAKEN_OUT, "a start with an empty cache brings it back"),
        false => Ok(()),
    }
}

/// Who gets the role of a node that loses it by an order: a stand-in whose last cycle was good, the PRIMARY first.
pub fn heir(members: &[Member]) -> Option<usize> {
    let fit = |m: &Member| {
        m.state == State::Standby && !m.removed && !m.fixed && m.status != Status::Fail && m.count == Some(0)
    };
    let of = |t: NodeType| members.iter().position(|m| m.node_type == t && fit(m));
    of(NodeType::Primary).or_else(|| of(NodeType::Secondary))
}

/// Fixes a node's state.
pub fn set_state(members: &mut [Member], node: usize, state: State) -> Result<u16, Refusal> {
    present(members, node)?;
    if state != State::Active {
        leave(members, node, state)?;
        members[node].fixed = true;
        return Ok(FIXED);
    }
    if members.iter().enumerate().any(|(i, m)| i != node && m.fixed && m.state == State::Active) {
        return refuse(SECOND_ACTIVE, "one pool has one ACTIVE node");
    }
    for m in members.iter_mut().filter(|m| m.state == State::Active) {
        m.state = State::Standby;
    }
    members[node].state = State::Active;
    members[node].fixed = true;
    Ok(MADE_ACTIVE)
}

/// Takes a node out of the candidates; the ACTIVE node gives the role away, or keeps it.
pub fn maintain(members: &mut [Member], node: usize, role: MaintenanceRole) -> Result<u16, Refusal> {
    present(members, node)?;
    let rule = match (members[node].state, role) {
        (State::Active, MaintenanceRole::Stay) => STAYING,
        (State::Active | State::Standby, _) => {
            leave(members, node, State::Unknown)?;
            MAINTAINED
        }
        _ => MAINTAINED,
    };
    members[node].fixed = true;
    Ok(rule)
}

/// The node takes another state; the role goes to an heir in the same move, unless another node has it too.
fn leave(members: &mut [Member], node: usize, state: State) -> Result<(), Refusal> {
    let active = |(i, m): (usize, &Member)| i != node && m.state == State::Active;
    let alone = members[node].state == State::Active && !members.iter().enumerate().any(active);
    let heir = heir(members);
    if alone && heir.is_none() {
        return refuse(ROLE_REFUSED, "wait until a stand-in is healthy, or set another node to ACTIVE");
    }
    members[node].state = state;
    if let Some(heir) = heir.filter(|_| alone) {
        members[heir].state = State::Active;
    }
    Ok(())
}

/// Ends an override of the state or a maintenance: the node is counted anew.
pub fn release(member: &mut Member) {
    member.fixed = false;
    restart(member);
}

/// No cycle that was counted before counts any more.
pub fn restart(member: &mut Member) {
    member.count = member.count.map(|_| 0);
}

#[cfg(test)]
mod tests {
    use super::super::{Finding, Settings, cycle};
    use super::*;
    use crate::pool::PoolStatus;
    use State::{Active, FailedOffline, Standby, Unknown};

    fn pool(states: [State; 3]) -> Vec<Member> {
        let types = [NodeType::Primary, NodeType::Secondary, NodeType::Secondary];
        let member = |(node_type, state)| Member {
            node_type,
            state,
            status: Status::Ok,
            count: Some(0),
            removed: false,
            fixed: false,
        };
        types.into_iter().zip(states).map(member).collect()
    }

    fn states(members: &[Member]) -> Vec<State> {
        members.iter().map(|m| m.state).collect()
    }

    fn run(members: &mut [Member], findings: [Finding; 3], hostile_takeover: bool, frozen: bool) -> Vec<u16> {
        let settings = Settings { levels: 2, hostile_takeover, frozen };
        let verdicts = cycle(members, &findings.map(Some), settings, PoolStatus::Ok);
        verdicts.iter().map(|v| v.rule).collect()
    }

    const GOOD: [Finding; 3] = [Finding::Healthy; 3];
    const DOWN: [Finding; 3] = [Finding::ConnectFailed; 3];

    /// Every state that a node can be fixed in stays, through every row of the table, with and without hostile takeover;
    /// and nobody becomes ACTIVE beside one that is fixed as ACTIVE.
    #[test]
    fn what_is_fixed_stays_whatever_the_table_says() {
        for hostile in [false, true] {
            for node in 0..3 {
                for &state in State::ALL {
                    let mut members = pool([Active, Standby, Standby]);
                    set_state(&mut members, node, state).expect("there is an heir");
                    assert!(states(&members).iter().filter(|s| **s == Active).count() == 1);
                    for findings in [GOOD, DOWN, DOWN, DOWN, GOOD, GOOD] {
                        run(&mut members, findings, hostile, false);
                        assert_eq!(members[node].state, state);
                        let active = states(&members).iter().filter(|s| **s == Active).count();
                        assert!(state != Active || active == 1, "{:?}", states(&members));
                    }
                }
            }
        }
    }

    #[test]
    fn a_fixed_primary_does_not_keep_the_others_from_the_role() {
        // It is healthy and STANDBY, and by the table the SECONDARY would give way to it, or wait for it.
        let mut members = pool([Active, Standby, Standby]);
        set_state(&mut members, 0, Standby).expect("an heir");
        for _ in 0..4 {
            run(&mut members, GOOD, false, false);
            assert_eq!(states(&members), [Standby, Active, Standby]);
        }
        for _ in 0..3 {
            run(&mut members, [Finding::Healthy, Finding::ConnectFailed, Finding::Healthy], false, false);
        }
        assert_eq!(states(&members), [Standby, FailedOffline, Active]);
    }

    #[test]
    fn the_last_one_keeps_the_role() {
        let mut members = pool([Active, FailedOffline, Unknown]);
        for state in [Standby, FailedOffline, Unknown] {
            let no = set_state(&mut members, 0, state).expect_err("nobody may take over");
            assert_eq!(no.rule, ROLE_REFUSED);
        }
        let no = maintain(&mut members, 0, MaintenanceRole::Move).expect_err("nobody may take over");
        assert_eq!(no.rule, ROLE_REFUSED);
        assert_eq!(states(&members), [Active, FailedOffline, Unknown]);
        assert_eq!(maintain(&mut members, 0, MaintenanceRole::Stay), Ok(STAYING));
        run(&mut members, DOWN, false, false);
        run(&mut members, DOWN, false, false);
        assert_eq!((members[0].state, members[0].status), (Active, Status::Fail));
    }

    #[test]
    fn maintenance_ends_as_unknown_and_a_healthy_cycle_brings_the_node_back() {
        let mut members = pool([Active, Standby, Standby]);
        assert_eq!(maintain(&mut members, 0, MaintenanceRole::Move), Ok(MAINTAINED));
        assert_eq!(states(&members), [Unknown, Active, Standby]);
        run(&mut members, GOOD, false, false);
        assert_eq!(states(&members), [Unknown, Active, Standby]);
        release(&mut members[0]);
        run(&mut members, GOOD, false, false);
        assert_eq!(members[0].state, Standby);
    }

    #[test]
    fn a_frozen_pool_counts_and_changes_no_state() {
        let mut members = pool([Active, Standby, Unknown]);
        for _ in 0..3 {
            run(&mut members, [Finding::ConnectFailed, Finding::Healthy, Finding::Healthy], true, true);
        }
        assert_eq!(states(&members), [Active, Standby, Unknown]);
        assert_eq!(members[0].count, Some(3));
        members.iter_mut().for_each(restart);
        run(&mut members, [Finding::ConnectFailed, Finding::Healthy, Finding::Healthy], false, false);
        assert_eq!(members[0].state, Active, "it must be seen bad as often as ever");
    }
}
