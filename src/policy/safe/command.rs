//! Operators' moves under policy `safe`: allowed or refused by rule, never by an `if` elsewhere.

use super::evaluation::crown;
use super::ladder::Ladder;
use super::model::{Bar, Model, Pin, Settings};
use super::table;
use crate::config::Failback;
use crate::policy::Refusal;
use crate::pool::{NodeType, State, Status};

fn refuse(rule: u16, reason: impl Into<String>) -> Refusal {
    Refusal { rule, reason: reason.into() }
}

/// Takes a failed node back: UNKNOWN at OK_WARN.
pub fn recover(model: &mut Model, settings: &Settings, node: usize) -> Result<u16, Refusal> {
    let m = &mut model.members[node];
    if m.pin == Pin::Fixed && !m.removed {
        return Err(refuse(table::FIXED_REFUSED, format!("the node is {}", m.state)));
    }
    if !m.state.is_failed() {
        return Err(refuse(table::RECOVER_REFUSED, format!("the node is {}, not FAILED_*", m.state)));
    }
    m.state = State::Unknown;
    m.held = false;
    // With `failback = manual` only `activate_primary` promises the role.
    m.owed |= m.node_type == NodeType::Primary && settings.failback != Failback::Manual;
    m.tries = 0;
    m.ladder = Ladder::warning(Status::OkWarn, settings.fall, settings.rise);
    model.failback_waits &= !model.members[node].owed;
    Ok(table::RECOVER)
}

/// Takes back a node that failed as ACTIVE, without an operator. The caller has the proof that the present ACTIVE node
/// lacks none of its transactions. No role is promised: only an operator does that.
pub fn auto_recover(model: &mut Model, settings: &Settings, node: usize) -> Result<u16, Refusal> {
    let m = &model.members[node];
    let in_order = m.is_good() && m.ladder == Ladder::default();
    let ordered = model.frozen || m.pin == Pin::Fixed;
    if !m.held || m.removed || ordered || !in_order || model.active().is_none() {
        return Err(refuse(table::AUTO_RECOVER_REFUSED, format!("the node is {}", m.state)));
    }
    let (owed, waits) = (m.owed, model.failback_waits);
    recover(model, settings, node)?;
    model.members[node].owed = owed;
    model.failback_waits = waits;
    Ok(table::AUTO_RECOVER)
}

/// Takes every failed node back; the others stay as they are.
pub fn recover_pool(model: &mut Model, settings: &Settings) -> u16 {
    for node in 0..model.members.len() {
        // A node that did not fail has nothing to recover.
        let _ = recover(model, settings, node);
    }
    table::RECOVER_POOL
}

/// Marks the PRIMARY as the one to get the role; the role table moves it, gated.
pub fn activate_primary(model: &mut Model) -> Result<u16, Refusal> {
    let no = |reason: String| Err(refuse(table::ACTIVATE_PRIMARY_REFUSED, reason));
    let Some(p) = model.members.iter().position(|m| m.node_type == NodeType::Primary) else {
        return no("the pool has no PRIMARY".into());
    };
    let fixed = model.active().is_some_and(|a| model.members[a].pin == Pin::Fixed);
    match (model.members[p].state, model.bar(p)) {
        (State::Active, _) => no("the PRIMARY is ACTIVE already".into()),
        _ if model.frozen => no("the pool is frozen: end that, or set the PRIMARY's state to ACTIVE".into()),
        _ if fixed => no("an operator fixed the role on another node: end that first".into()),
        (_, Some(bar)) => no(bar.sentence()),
        (_, None) => {
            model.members[p].owed = true;
            model.failback_waits = false;
            Ok(table::ACTIVATE_PRIMARY)
        }
    }
}

/// Takes a node out of the pool.
pub fn remove(model: &mut Model, node: usize) -> Result<u16, Refusal> {
    let m = &model.members[node];
    if m.removed {
        return Err(refuse(table::REMOVE_REFUSED, "the node is removed already"));
    }
    if m.state == State::Active && model.candidate().is_none() {
        return Err(refuse(table::REMOVE_REFUSED, "the node is ACTIVE and nobody may take over"));
    }
    let heir = model.candidate();
    let m = &mut model.members[node];
    let was_active = m.state == State::Active;
    m.removed = true;
    m.owed = false;
    m.pin = Pin::Free;
    m.state = State::Unknown;
    if was_active || model.hand_over.is_some_and(|h| h.to == node) {
        model.hand_over = None;
    }
    if let Some(heir) = heir.filter(|_| was_active) {
        crown(model, heir);
    }
    Ok(table::REMOVE)
}

/// Takes a node out for good. If it had the role, the most preferred node that may take over has it now. Returns that node.
pub fn leave(model: &mut Model, node: usize) -> Result<Option<usize>, Refusal> {
    let was_active = model.active() == Some(node);
    remove(model, node)?;
    Ok(model.active().filter(|_| was_active))
}

impl Bar {
    /// Why the node may not take over, for people.
    pub fn sentence(self) -> String {
        match self {
            Bar::NotSeen => "it has not been observed yet".into(),
            Bar::NotStandby(State::Active) => "it has the role".into(),
            Bar::NotStandby(state) => format!("it is {state}, not STANDBY"),
            Bar::WaitsForRecover => "it failed as ACTIVE and waits for `recover`".into(),
            Bar::NotGood(class) => format!("its last observation was not good ({class})"),
            Bar::NotFresh => "it has not been seen since the ACTIVE node's first bad observation".into(),
            Bar::NotApplying => "its applying (SQL) thread does not run".into(),
            Bar::Lag => "it is further behind than max_takeover_lag".into(),
            Bar::ReadOnly => "it is read-only".into(),
            Bar::Removed => "an operator removed it".into(),
            Bar::Pinned(state) => format!("an operator fixed it as {state}"),
        }
    }
}
