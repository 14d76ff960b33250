//! Rule 13: operators outrank rules, and cannot break what the rules keep.

use super::oracle::may_take_over;
use super::properties::{Broken, hold};
use super::world::{Move, Transition};
use primacy::policy::safe::orders::{run_out, thaw};
use primacy::policy::safe::{Ladder, Member, Model, Pin, Settings, table};
use primacy::pool::{MaintenanceRole, State, Status};

/// Whether the move is an order that took the role from one node and gave it to another.
pub fn moves_role(t: &Transition<'_>) -> bool {
    matches!(t.action, Move::SetState(..)) && t.command.as_ref().is_some_and(Result::is_ok)
}

/// What the next look will do, because the end of a time limit did not.
pub fn undone(model: &Model, s: &Settings) -> bool {
    let candidate = model.members.iter().any(may_take_over);
    !model.frozen
        && candidate
        && match model.active() {
            Some(a) => model.members[a].pin != Pin::Fixed && model.status(a, s) == Status::Fail,
            None => true,
        }
}

/// The time of every order runs out.
pub fn all_run_out(model: &mut Model, s: &Settings) {
    thaw(model, s);
    (0..model.members.len()).for_each(|node| _ = run_out(model, s, node));
}

pub fn check(t: &Transition<'_>) -> Result<(), Broken> {
    fixed(t)?;
    frozen(t)?;
    if let Some(answer) = t.command
        && t.action.is_order()
    {
        refusals(t, answer.as_ref().map_or_else(|no| Err(no.rule), |rule| Ok(*rule)))?;
        if answer.is_ok() {
            begun(t)?;
            ended(t)?;
        }
    }
    Ok(())
}

/// No rule changes a state that an operator fixed, or unfixes it; an ACTIVE node that leaves is fixed once it has left.
fn fixed(t: &Transition<'_>) -> Result<(), Broken> {
    let name = "P16 fixed";
    for (i, (was, now)) in t.between.members.iter().zip(&t.after.members).enumerate() {
        let left = was.pin == Pin::Leave && now.state != State::Active;
        let want = if left { Pin::Fixed } else { was.pin };
        hold(name, now.pin == want, || format!("node {i} was {:?} and is {:?}", was.pin, now.pin))?;
        let still = was.pin != Pin::Fixed || was.state == now.state;
        hold(name, still, || format!("a rule made fixed node {i} {}", now.state))?;
        let nonsense = now.pin == Pin::Leave && now.state != State::Active;
        hold(name, !nonsense, || format!("node {i} is to leave, and is {}", now.state))?;
        hold(name, !now.removed || now.pin == Pin::Free, || format!("removed node {i} is {:?}", now.pin))?;
    }
    let heir = t.after.hand_over.map(|h| &t.after.members[h.to]);
    hold(name, heir.is_none_or(|h| h.pin == Pin::Free), || "a hand-over to a fixed node".into())?;
    let active = t.after.active().map(|a| t.after.members[a].pin);
    let open = t.after.hand_over.is_some();
    hold(name, !open || active != Some(Pin::Fixed), || "a hand-over from a fixed node".into())
}

/// In a frozen pool no rule changes a state or the role; only what an operator wants moves it.
fn frozen(t: &Transition<'_>) -> Result<(), Broken> {
    let name = "P17 frozen";
    hold(name, t.between.frozen == t.after.frozen, || "a rule froze or unfroze".into())?;
    if !t.between.frozen {
        return Ok(());
    }
    let leaving = t.between.is_leaving();
    let open = t.after.hand_over.is_some();
    hold(name, leaving || !open, || "a hand-over in a frozen pool".into())?;
    let same = t.between.members.iter().zip(&t.after.members).all(|(was, now)| was.state == now.state);
    let handed = leaving && t.action == Move::Proven;
    hold(name, same || handed, || "a rule changed a state in a frozen pool".into())
}

/// Refused, and by which rule, exactly where an order would break something.
fn refusals(t: &Transition<'_>, answer: Result<u16, u16>) -> Result<(), Broken> {
    let before = t.before;
    let active = before.active();
    let heir = before.members.iter().any(may_take_over);
    let last = |i: usize| active == Some(i) && !heir;
    let want = match t.action {
        Move::SetState(i, _) | Move::Maintain(i, _) if before.members[i].removed => Err(table::TAKEN_OUT),
        Move::SetState(i, State::Active) => {
            let other = |(j, m): (usize, &Member)| j != i && m.state == State::Active && m.pin == Pin::Fixed;
            match before.members.iter().enumerate().any(other) {
                true => Err(table::SECOND_ACTIVE),
                false => Ok(table::MADE_ACTIVE),
            }
        }
        Move::SetState(i, _) if last(i) => Err(table::ROLE_REFUSED),
        Move::SetState(..) => Ok(table::FIXED),
        Move::Maintain(i, MaintenanceRole::Move) if last(i) => Err(table::ROLE_REFUSED),
        Move::Maintain(i, role) if active == Some(i) => match role {
            MaintenanceRole::Move => Ok(table::LEAVING),
            MaintenanceRole::Stay => Ok(table::STAYING),
        },
        Move::Maintain(..) => Ok(table::MAINTAINED),
        Move::End(i) if before.members[i].pin == Pin::Free => Err(table::NOTHING_SET),
        Move::End(_) => Ok(table::ENDED),
        Move::Freeze => Ok(table::FROZEN),
        Move::Unfreeze if !before.frozen => Err(table::NOT_FROZEN),
        Move::Unfreeze => Ok(table::UNFROZEN),
        _ => Ok(table::RUN_OUT),
    };
    hold("P18 orders", answer == want, || format!("{answer:?}, not {want:?}"))?;
    hold("P18 orders", answer.is_ok() || t.before == t.after, || "a refused order changed the pool".into())
}

/// What an order does, and that it does nothing else.
fn begun(t: &Transition<'_>) -> Result<(), Broken> {
    let name = "P18 orders";
    let (before, between) = (t.before, t.between);
    let node = match t.action {
        Move::SetState(i, state) => {
            let m = &between.members[i];
            hold(name, m.state == state && m.pin == Pin::Fixed, || format!("node {i} is {m:?}"))?;
            let waits = state.is_failed() && (before.members[i].held || before.active() == Some(i));
            hold(name, m.held == waits, || format!("node {i} waits for recover: {}", m.held))?;
            // The old ACTIVE node is a stand-in, unless it had failed or was to leave.
            if let Some(old) = before.active().filter(|&old| state == State::Active && old != i) {
                let (was, old) = (&before.members[old], &between.members[old]);
                let had_failed = was.ladder.is_failed(t.pool.settings.fall, t.pool.settings.rise);
                let right = match (had_failed, was.pin) {
                    (true, _) => old.state.is_failed() && old.held,
                    (false, Pin::Leave) => old.state == State::Unknown,
                    (false, _) => old.state == State::Standby,
                };
                hold(name, right, || format!("the old ACTIVE node is {old:?}"))?;
            }
            hold(name, between.hand_over.is_none_or(|h| h.to != i), || "a hand-over to it goes on".into())?;
            Some(i)
        }
        Move::Maintain(i, role) => {
            let (was, m) = (&before.members[i], &between.members[i]);
            let state = if was.state == State::Standby { State::Unknown } else { was.state };
            let leaves = was.state == State::Active && role == MaintenanceRole::Move;
            let pin = if leaves { Pin::Leave } else { Pin::Fixed };
            let right = m.state == state && m.pin == pin && m.held == was.held;
            hold(name, right, || format!("node {i} is {m:?}"))?;
            Some(i)
        }
        Move::Freeze => {
            hold(name, between.frozen, || "it is not frozen".into())?;
            None
        }
        _ => return Ok(()),
    };
    hold(name, before.active().is_none() || between.active().is_some(), || "the role is lost".into())?;
    let concerned = [node, before.active(), between.active()];
    for (i, (was, now)) in before.members.iter().zip(&between.members).enumerate() {
        let moved = node.is_some() && before.active() != between.active();
        let same = *was == Member { owed: was.owed, ..now.clone() };
        let may = node == Some(i) || (moved && concerned.contains(&Some(i)));
        hold(name, same || may, || format!("node {i} became {now:?}"))?;
        let promised = was.owed == now.owed || node.is_some();
        hold(name, promised, || format!("node {i} owed the role: {}", now.owed))?;
    }
    Ok(())
}

/// The end of an order moves nothing, and counts anew whom it concerned.
fn ended(t: &Transition<'_>) -> Result<(), Broken> {
    let name = "P19 the end of an order";
    let s = &t.pool.settings;
    let all = t.before.frozen;
    let (node, concerned): (Option<usize>, bool) = match t.action {
        Move::End(i) | Move::RunOut(i) => (Some(i), t.before.members[i].pin == Pin::Fixed),
        Move::Unfreeze | Move::Thaw => (None, all),
        _ => return Ok(()),
    };
    let by_time = t.action.is_by_time();
    let last = if by_time { t.after } else { t.between };
    hold(name, t.before.active() == last.active(), || "the role moved".into())?;
    hold(name, last.hand_over.is_none() || last.hand_over == t.before.hand_over, || "a hand-over".into())?;
    let any = node.map_or(all, |i| t.before.members[i].pin != Pin::Free);
    let waits = t.before.failback_waits || (by_time && any);
    hold(name, last.failback_waits == waits, || format!("failback waits: {}", last.failback_waits))?;
    for (i, (was, now)) in t.before.members.iter().zip(&last.members).enumerate() {
        hold(name, was.state == now.state && was.held == now.held, || format!("node {i} became {now:?}"))?;
        let mine = node.is_none_or(|n| n == i) && concerned;
        let pin = if node == Some(i) { Pin::Free } else { was.pin };
        hold(name, now.pin == pin, || format!("node {i} is {:?}", now.pin))?;
        if !mine {
            hold(name, was.ladder == now.ladder, || format!("node {i} was counted anew"))?;
            continue;
        }
        let status = was.ladder.status(s.fall, s.rise).min(Status::OkCritical);
        let want = match was.state.is_failed() {
            true => Ladder::failed(s.fall, s.rise),
            false => Ladder::warning(status, s.fall, s.rise),
        };
        hold(name, now.ladder == want && now.tries == 0, || {
            format!("node {i} counts from {:?}", now.ladder)
        })?;
        let steps = now.ladder.is_down();
        hold(name, was.state.is_failed() || !steps, || format!("node {i} has steps left: {:?}", now.ladder))?;
    }
    Ok(())
}
