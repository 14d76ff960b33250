//! Policy `mpp`: the original's decisions, exactly.
//!
//! One cycle judges the PRIMARY first, then the SECONDARYs in configuration order, each decision in force at
//! once. The first row of [`RULES`] whose condition holds decides. `n` is the count before the cycle, `M` the
//! number of levels, `H` hostile takeover.

pub mod orders;

use super::Refusal;
use crate::pool::{NodeType, PoolStatus, State, Status};

/// What a cycle found out about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It answers and its replication runs.
    Healthy,
    /// It cannot be reached.
    ConnectFailed,
    /// It answers, its replication does not run.
    ReplicationFailed,
}

/// The outcome that decides about the count: OK sets it to zero, the others add one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok,
    /// Something is not as it should be.
    Warn,
    /// The node failed.
    Fail,
}

/// One node as the table sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// PRIMARY or SECONDARY.
    pub node_type: NodeType,
    /// Role and health.
    pub state: State,
    /// Only OK, OK_WARN and FAIL occur.
    pub status: Status,
    /// Bad cycles in a row; `None` before the first.
    pub count: Option<u32>,
    /// An operator took it out of the pool: nobody looks at it.
    pub removed: bool,
    /// An override or a maintenance fixes its state.
    pub fixed: bool,
}

/// Settings of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The original's `M`: bad cycles to FAIL.
    pub levels: u32,
    /// The original's `H`: a PRIMARY takes the role from an ACTIVE SECONDARY.
    pub hostile_takeover: bool,
    /// An operator lets the table change no state.
    pub frozen: bool,
}

/// What a row's condition can look at.
#[derive(Clone, Copy, Debug)]
pub struct View {
    finding: Finding,
    primary: bool,
    state: State,
    /// The count before this cycle.
    n: u32,
    /// `n >= M - 1`: this is the last bad cycle that the node is given.
    last_chance: bool,
    hostile: bool,
    /// State of the pool's PRIMARY, if it has one.
    primary_state: Option<State>,
    /// Whether a SECONDARY is ACTIVE.
    lower_active: bool,
    /// Whether a node before this one has status OK or OK_WARN.
    above_ok: bool,
}

/// One row: a condition, what follows, and the sentence that events and `explain` cite.
pub struct Rule {
    /// Its number, which never changes its meaning.
    pub number: u16,
    /// The condition in the table's words.
    pub condition: &'static str,
    /// The condition.
    pub when: fn(&View) -> bool,
    /// The next state; `None` leaves it.
    pub state: Option<State>,
    /// The next status.
    pub status: Status,
    /// What happens to the count.
    pub exit: Exit,
    /// The reason, for people.
    pub sentence: &'static str,
}

/// Number of the step before the table: two nodes are ACTIVE, the SECONDARY gives way.
pub const TWO_ACTIVE: u16 = 101;
/// Number of the step after the table: the pool's status is FAIL, nobody may be ACTIVE.
pub const POOL_FAILED: u16 = 121;
/// Number of the operator's `recover`.
pub const RECOVER: u16 = 122;
/// Number of the operator's `activate-primary`.
pub const ACTIVATE_PRIMARY: u16 = 123;
/// Number of the operator's `recover` of a pool.
pub const RECOVER_POOL: u16 = 124;

/// Number of the refusal of `activate-primary`.
pub const ACTIVATE_PRIMARY_REFUSED: u16 = 125;
/// Number of the operator's `remove`.
pub const REMOVE: u16 = 126;
/// Number of the refusal of `remove`.
pub const REMOVE_REFUSED: u16 = 127;
/// Number of the step that makes the pool's status FAIL.
pub const CHECKPOINTS_FAILED: u16 = 141;

/// The rows that stand outside the table, with their sentences.
pub const STEPS: [(u16, &str); 9] = [
    (TWO_ACTIVE, "PRIMARY and SECONDARY are both ACTIVE: the SECONDARY is judged as a STANDBY"),
    (POOL_FAILED, "the pool's status is FAIL: no node may be ACTIVE until the pool is recovered"),
    (RECOVER, "an operator recovered the node: it starts again as UNKNOWN"),
    (ACTIVATE_PRIMARY, "an operator made the PRIMARY ACTIVE; the SECONDARY gives way in the next cycle"),
    (RECOVER_POOL, "an operator recovered the pool: its status is OK again"),
    (ACTIVATE_PRIMARY_REFUSED, "only a PRIMARY that is STANDBY can be made ACTIVE"),
    (REMOVE, "an operator took the node out of the pool"),
    (REMOVE_REFUSED, "only a member of the pool can be removed"),
    (
        CHECKPOINTS_FAILED,
        "the node cannot be reached and all its checkpoints fail: the pool's status is FAIL until it is recovered",
    ),
];

macro_rules! rules {
    ($( $number:literal, $condition:literal, $when:expr, $state:expr, $status:ident, $exit:ident, $sentence:literal; )+) => {
        /// The table. First match wins.
        pub static RULES: &[Rule] = &[$( Rule {
            number: $number, condition: $condition, when: $when, state: $state,
            status: Status::$status, exit: Exit::$exit, sentence: $sentence,
        } ),+];
    };
}

use Finding::{ConnectFailed, Healthy, ReplicationFailed};
use State::{Active, FailedOffline, FailedOnline, Standby, Unknown};

rules! {
    102, "connect failed, n >= M-1", |v| v.finding == ConnectFailed && v.last_chance,
        Some(FailedOffline), Fail, Fail, "the node could not be reached for the last cycle it was given";
    103, "connect failed, n < M-1", |v| v.finding == ConnectFailed,
        None, OkWarn, Warn, "the node could not be reached; it keeps its state for now";
    104, "replication failed, n >= M-1, ACTIVE", |v| v.finding == ReplicationFailed && v.last_chance && v.state == Active,
        None, OkWarn, Warn, "replication failed, but an ACTIVE node is never failed for that";
    105, "replication failed, n >= M-1, not ACTIVE", |v| v.finding == ReplicationFailed && v.last_chance,
        Some(FailedOnline), Fail, Fail, "replication failed for the last cycle the node was given";
    106, "replication failed, n < M-1", |v| v.finding == ReplicationFailed,
        None, OkWarn, Warn, "replication failed; the node keeps its state for now";
    107, "P ACTIVE, H on and a lower node ACTIVE", |v| v.primary && v.state == Active && v.hostile && v.lower_active,
        None, OkWarn, Warn, "the PRIMARY is ACTIVE and takes the role from an ACTIVE SECONDARY";
    108, "P ACTIVE", |v| v.primary && v.state == Active,
        None, Ok, Ok, "the PRIMARY is ACTIVE and healthy";
    109, "P STANDBY, no lower node ACTIVE", |v| v.primary && v.state == Standby && !v.lower_active,
        Some(Active), OkWarn, Warn, "no other node is ACTIVE: the PRIMARY takes the role";
    110, "P STANDBY, a lower node ACTIVE, H on", |v| v.primary && v.state == Standby && v.hostile,
        Some(Active), OkWarn, Warn, "a SECONDARY is ACTIVE, and hostile takeover is on: the PRIMARY takes the role";
    111, "P STANDBY, a lower node ACTIVE, H off", |v| v.primary && v.state == Standby,
        None, OkWarn, Ok, "a SECONDARY is ACTIVE: the PRIMARY waits until it gives way";
    112, "P or S UNKNOWN, healthy", |v| v.state == Unknown,
        Some(Standby), Ok, Ok, "the node is healthy for the first time";
    113, "P FAILED_*, healthy", |v| v.primary && v.state.is_failed(),
        None, OkWarn, Ok, "the PRIMARY is healthy again, but an operator must recover it";
    114, "S ACTIVE, P ACTIVE (or P STANDBY with H on)",
        |v| v.state == Active && (v.primary_state == Some(Active) || (v.hostile && v.primary_state == Some(Standby))),
        Some(Standby), OkWarn, Warn, "the PRIMARY has or takes the role: the SECONDARY gives way";
    115, "S ACTIVE, P STANDBY, n = 0", |v| v.state == Active && v.primary_state == Some(Standby) && v.n == 0,
        None, OkWarn, Warn, "the PRIMARY is back: the SECONDARY stays ACTIVE for one more cycle";
    116, "S ACTIVE, P STANDBY, n >= 1", |v| v.state == Active && v.primary_state == Some(Standby),
        Some(Standby), OkWarn, Ok, "the PRIMARY is back: the SECONDARY gives way";
    117, "S ACTIVE, P otherwise", |v| v.state == Active,
        None, Ok, Ok, "the SECONDARY is ACTIVE and healthy";
    118, "S STANDBY, a node above it has status OK or OK_WARN", |v| v.state == Standby && v.above_ok,
        None, Ok, Ok, "a node above is in order: the SECONDARY waits";
    119, "S STANDBY, no node above it has status OK or OK_WARN", |v| v.state == Standby,
        Some(Active), OkWarn, Warn, "no node above is in order: the SECONDARY takes the role";
    120, "S FAILED_*, healthy", |v| v.finding == Healthy,
        None, Ok, Ok, "the SECONDARY is healthy again, but an operator must recover it";
}

/// What one cycle decided about one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Index of the node.
    pub node: usize,
    /// The row or step that had the last word.
    pub rule: u16,
}

/// Judges one cycle. `findings[i]` is `None` for a node that nobody looked at; such a node stays as it is.
pub fn cycle(
    members: &mut [Member],
    findings: &[Option<Finding>],
    settings: Settings,
    pool_status: PoolStatus,
) -> Vec<Verdict> {
    let mut order: Vec<usize> = (0..members.len()).filter(|&i| !members[i].removed).collect();
    order.sort_by_key(|&i| members[i].node_type);
    let mut verdicts = Vec::with_capacity(order.len());
    for (place, &i) in order.iter().enumerate() {
        let Some(finding) = findings.get(i).copied().flatten() else { continue };
        // A PRIMARY that an operator keeps from the role is nobody to give way to.
        let barred = |m: &Member| m.fixed && m.state == State::Standby;
        let primary_state = order
            .first()
            .map(|&p| &members[p])
            .filter(|p| p.node_type == NodeType::Primary)
            .map(|p| if barred(p) { Unknown } else { p.state });
        let still = members[i].fixed || settings.frozen;
        let secondary = members[i].node_type == NodeType::Secondary;
        let gave_way = secondary
            && !still
            && members[i].state == Active
            && primary_state == Some(Active)
            && finding != Finding::Healthy;
        if gave_way {
            members[i].state = Standby;
        }
        let n = members[i].count.unwrap_or(0);
        let view = View {
            finding,
            primary: !secondary,
            state: members[i].state,
            n,
            last_chance: n + 1 >= settings.levels,
            hostile: settings.hostile_takeover,
            primary_state,
            lower_active: members
                .iter()
                .any(|m| m.node_type == NodeType::Secondary && m.state == State::Active && !m.removed),
            above_ok: order[..place]
                .iter()
                .map(|&a| &members[a])
                .any(|m| matches!(m.status, Status::Ok | Status::OkWarn) && (!m.fixed || m.state == Active)),
        };
        let Some(rule) = RULES.iter().find(|r| (r.when)(&view)) else { continue };
        let role_fixed =
            members.iter().enumerate().any(|(j, m)| j != i && m.fixed && m.state == Active && !m.removed);
        let member = &mut members[i];
        let wanted = rule.state.unwrap_or(member.state);
        let ordered = match wanted {
            wanted if wanted == member.state => None,
            _ if member.fixed => Some(orders::HELD_FIXED),
            _ if settings.frozen => Some(orders::HELD_FROZEN),
            Active if role_fixed => Some(orders::HELD_ROLE),
            _ => None,
        };
        if ordered.is_none() {
            member.state = wanted;
        }
        member.status = rule.status;
        member.count = Some(match rule.exit {
            Exit::Ok => 0,
            Exit::Warn | Exit::Fail => n.saturating_add(1),
        });
        let mut number = if gave_way && rule.state.is_none() { TWO_ACTIVE } else { rule.number };
        number = ordered.unwrap_or(number);
        if pool_status == PoolStatus::Fail && member.state == Active && !still {
            member.state = Standby;
            number = POOL_FAILED;
        }
        verdicts.push(Verdict { node: i, rule: number });
    }
    verdicts
}

/// The label of a count, as `report` prints it: 0 is OK, `levels` and above FAIL, quarters between.
pub fn label(count: Option<u32>, levels: u32) -> Status {
    match count {
        None | Some(0) => Status::Ok,
        Some(n) if n >= levels => Status::Fail,
        Some(n) => match (u64::from(n) * 4).div_ceil(u64::from(levels)) {
            0 | 1 => Status::OkInfo,
            2 => Status::OkWarn,
            _ => Status::OkCritical,
        },
    }
}

/// The node that selection gives while two are ACTIVE: the PRIMARY, else the first in order.
pub fn selected(members: &[Member]) -> Option<usize> {
    let active = |t: NodeType| members.iter().position(|m| m.state == Active && m.node_type == t);
    active(NodeType::Primary).or_else(|| active(NodeType::Secondary))
}

/// Operator's `recover`: UNKNOWN, OK_WARN, count 0, whatever the node was.
pub fn recover(member: &mut Member) -> Result<u16, Refusal> {
    if member.fixed {
        let reason = format!("the node is {}", member.state);
        return Err(Refusal { rule: orders::FIXED_REFUSED, reason });
    }
    member.state = Unknown;
    member.status = Status::OkWarn;
    member.count = Some(0);
    Ok(RECOVER)
}

/// Operator's `activate-primary`: refused unless the PRIMARY is STANDBY.
pub fn activate_primary(members: &mut [Member], frozen: bool) -> Result<(u16, Option<usize>), Refusal> {
    let primary = members.iter().position(|m| m.node_type == NodeType::Primary && !m.removed);
    let fixed = |m: &Member| m.fixed && m.state == Active;
    if members.iter().any(fixed) || primary.is_some_and(|p| members[p].fixed) {
        let reason = "an operator fixed the PRIMARY, or the role on another node: end that first".into();
        return Err(Refusal { rule: ACTIVATE_PRIMARY_REFUSED, reason });
    }
    match primary.map(|p| (p, members[p].state)) {
        Some((p, Standby)) => {
            // In a frozen pool no cycle would make the SECONDARY give way.
            members.iter_mut().filter(|m| frozen && m.state == Active).for_each(|m| m.state = Standby);
            members[p].state = Active;
            Ok((ACTIVATE_PRIMARY, Some(p)))
        }
        Some((_, state)) => Err(Refusal {
            rule: ACTIVATE_PRIMARY_REFUSED,
            reason: format!("the PRIMARY is {state}, not STANDBY"),
        }),
        None => Err(Refusal { rule: ACTIVATE_PRIMARY_REFUSED, reason: "the pool has no PRIMARY".into() }),
    }
}

/// Operator's `remove`: nobody looks at the node any more.
pub fn remove(members: &mut [Member], node: usize) -> Result<(u16, Option<usize>), Refusal> {
    if members[node].removed {
        return Err(Refusal { rule: REMOVE_REFUSED, reason: "the node is removed already".into() });
    }
    members[node].removed = true;
    members[node].fixed = false;
    members[node].state = Unknown;
    Ok((REMOVE, Some(node)))
}
