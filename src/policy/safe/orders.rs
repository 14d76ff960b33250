//! Rule 13 of the design under policy `safe`: overrides, freeze, maintenance. Operators outrank the rules, and cannot break
//! that one node is ACTIVE.
//!
//! Who has the role loses it only to a node that gets it in the same move. When an order ends the node keeps its state,
//! and is counted anew: nothing switches by that alone.

use super::evaluation::{crown, fail_active, step_down};
use super::ladder::Ladder;
use super::model::{Member, Model, Pin, Settings};
use super::table;
use crate::policy::Refusal;
use crate::pool::{MaintenanceRole, State};

fn refuse<T>(rule: u16, reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { rule, reason: reason.into() })
}

/// Fixes a node's state.
pub fn set_state(model: &mut Model, settings: &Settings, node: usize, state: State) -> Result<u16, Refusal> {
    present(model, node)?;
    if state == State::Active {
        return set_active(model, settings, node);
    }
    let was_active = model.members[node].state == State::Active;
    let heir = model.candidate();
    if was_active && heir.is_none() {
        return refuse(table::ROLE_REFUSED, "set another node to ACTIVE, or wait until one may take over");
    }
    if was_active || model.hand_over.is_some_and(|h| h.to == node) {
        model.hand_over = None;
    }
    let m = &mut model.members[node];
    // A FAILED node that had the role may hold what nobody else has, as if rules had failed it.
    m.held = state.is_failed() && (m.held || was_active) && !settings.stateless;
    m.owed &= state.is_failed();
    m.tries = 0;
    m.state = state;
    m.pin = Pin::Fixed;
    if state.is_failed() {
        m.ladder = Ladder::failed(settings.fall, settings.rise);
    }
    if let Some(heir) = heir.filter(|_| was_active) {
        crown(model, heir);
    }
    Ok(table::FIXED)
}

fn set_active(model: &mut Model, settings: &Settings, node: usize) -> Result<u16, Refusal> {
    let active = model.active();
    if active.is_some_and(|a| a != node && model.members[a].pin == Pin::Fixed) {
        return refuse(table::SECOND_ACTIVE, "one pool has one ACTIVE node");
    }
    model.hand_over = None;
    if active != Some(node) {
        if let Some(old) = active.map(|a| &mut model.members[a]) {
            match old.ladder.is_failed(settings.fall, settings.rise) {
                true => fail_active(old, settings),
                false => step_down(old),
            }
        }
        // The last word counts: no earlier promise takes the role away again.
        model.members.iter_mut().for_each(|m| m.owed = false);
        crown(model, node);
    }
    let m = &mut model.members[node];
    m.tries = 0;
    m.pin = Pin::Fixed;
    Ok(table::MADE_ACTIVE)
}

/// Takes a node out of the candidates; the ACTIVE node hands the role over first, or keeps it.
pub fn maintain(
    model: &mut Model,
    settings: &Settings,
    node: usize,
    role: MaintenanceRole,
) -> Result<u16, Refusal> {
    present(model, node)?;
    if model.members[node].state == State::Active {
        if role == MaintenanceRole::Stay {
            model.hand_over = None;
            model.members[node].pin = Pin::Fixed;
            return Ok(table::STAYING);
        }
        if model.candidate().is_none() {
            return refuse(table::ROLE_REFUSED, "wait until a node may take over, or let the role stay");
        }
        // Until it has given the role away rules judge it as ever.
        release(model, settings, node);
        model.members[node].pin = Pin::Leave;
        return Ok(table::LEAVING);
    }
    if model.hand_over.is_some_and(|h| h.to == node) {
        model.hand_over = None;
    }
    let m = &mut model.members[node];
    if m.state == State::Standby {
        m.state = State::Unknown;
    }
    m.tries = 0;
    m.pin = Pin::Fixed;
    Ok(table::MAINTAINED)
}

/// Ends an override of the state, or a maintenance.
pub fn end(model: &mut Model, settings: &Settings, node: usize) -> Result<u16, Refusal> {
    if model.members[node].pin == Pin::Free {
        return refuse(table::NOTHING_SET, "there is nothing to end");
    }
    release(model, settings, node);
    Ok(table::ENDED)
}

/// The time of an override or a maintenance has run out: as [`end`], and no hand-back follows from it alone.
pub fn run_out(model: &mut Model, settings: &Settings, node: usize) -> u16 {
    if model.members[node].pin != Pin::Free {
        release(model, settings, node);
        model.failback_waits = true;
    }
    table::RUN_OUT
}

/// Lets no rule change a state or the role. What an operator ordered goes on.
pub fn freeze(model: &mut Model) -> u16 {
    if !model.is_leaving() {
        model.hand_over = None;
    }
    model.frozen = true;
    table::FROZEN
}

/// Ends a freeze; every node is counted anew.
pub fn unfreeze(model: &mut Model, settings: &Settings) -> Result<u16, Refusal> {
    if !model.frozen {
        return refuse(table::NOT_FROZEN, "there is nothing to end");
    }
    model.frozen = false;
    model.members.iter_mut().for_each(|m| restart(m, settings));
    Ok(table::UNFROZEN)
}

/// The time of a freeze has run out: as [`unfreeze`], and no hand-back follows from it alone.
pub fn thaw(model: &mut Model, settings: &Settings) -> u16 {
    if unfreeze(model, settings).is_ok() {
        model.failback_waits = true;
    }
    table::RUN_OUT
}

fn present(model: &Model, node: usize) -> Result<(), Refusal> {
    match model.members[node].removed {
        true => refuse(table::TAKEN_OUT, "a start with an empty cache brings it back"),
        false => Ok(()),
    }
}

fn release(model: &mut Model, settings: &Settings, node: usize) {
    let m = &mut model.members[node];
    match core::mem::take(&mut m.pin) {
        Pin::Free => {}
        Pin::Fixed => restart(m, settings),
        Pin::Leave => model.hand_over = None,
    }
}

/// No step that was counted before counts any more; what is shown stays until the node is seen again.
fn restart(m: &mut Member, settings: &Settings) {
    let (fall, rise) = (settings.fall, settings.rise);
    m.tries = 0;
    m.ladder = match m.state.is_failed() {
        true => Ladder::failed(fall, rise),
        false => Ladder::warning(m.ladder.status(fall, rise), fall, rise),
    };
}
