//! What must hold at every transition, whatever the tables say, and where every path must end.

use super::oracle::{at_once, could_be_last_resort, fails, good, held_by_doubt, in_doubt, may_take_over};
use super::orders;
use super::world::{HEARD, LETTERS, Move, NONE, Pool, Transition, in_force};
use primacy::config::Failback;
use primacy::policy::safe::table;
use primacy::policy::safe::{Evidence, HandOver, Member, Model, Occasion, Pin, Step, Tables, evaluate};
use primacy::pool::{NodeType, State, Status};
use primacy::probe::Class;

/// A property that does not hold: its name, and how.
pub type Broken = (&'static str, String);

pub fn hold(name: &'static str, holds: bool, how: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err((name, how())) }
}

/// Properties of one transition.
pub fn check(t: &Transition<'_>) -> Result<(), Broken> {
    one_active(t)?;
    if t.action == Move::Restart {
        return restarted(t);
    }
    leaving(t)?;
    arriving(t)?;
    held(t)?;
    hand_over(t)?;
    commands(t)?;
    ladders(t)?;
    states(t)?;
    orders::check(t)?;
    rest(t)
}

fn one_active(t: &Transition<'_>) -> Result<(), Broken> {
    for model in [t.between, t.after] {
        let count = model.members.iter().filter(|m| m.state == State::Active).count();
        hold("P1 one ACTIVE", count <= 1, || format!("{count} nodes are ACTIVE"))?;
        for m in &model.members {
            let clean = m.state != State::Active || !(m.held || m.removed || m.owed);
            hold("P1 one ACTIVE", clean, || "the ACTIVE node is held, removed or owed the role".into())?;
        }
    }
    Ok(())
}

/// A new life: who was ACTIVE is so again, unless one more bad observation could have taken its role and another node
/// may have been told that it has it; then it waits for `recover`. Nobody else becomes anything.
fn restarted(t: &Transition<'_>) -> Result<(), Broken> {
    let name = "P16 a new life";
    let s = &t.pool.settings;
    for (i, (was, now)) in t.before.members.iter().zip(&t.after.members).enumerate() {
        let blank = now.seen.is_none() && now.tries == 0 && now.removed == was.removed;
        hold(name, blank, || format!("node {i} remembers what was seen"))?;
        if was.removed {
            hold(name, now.state == State::Unknown, || format!("removed node {i} became {}", now.state))?;
            continue;
        }
        let barred = was.state == State::Active && in_doubt(t.before) && {
            let mut model = t.before.clone();
            let gone = Evidence::of(Class::Gone);
            evaluate(&mut model, &in_force(), s, NONE, Occasion::Observed(i, gone));
            model.active() != Some(i)
        };
        if barred {
            let waits = now.held && now.state.is_failed() && t.after.status(i, s) == Status::Fail;
            hold(name, waits, || {
                format!("node {i} was being failed and is {}, held {}", now.state, now.held)
            })?;
            continue;
        }
        let same = (was.state, was.held, was.owed) == (now.state, now.held, now.owed);
        hold(name, same, || format!("node {i} was {}, held {}, and is {}", was.state, was.held, now.state))?;
    }
    Ok(())
}

/// How the role is lost: by failing evidence counted `fall` times, a proven hand-over, or `remove`.
fn leaving(t: &Transition<'_>) -> Result<(), Broken> {
    let Some(a) = t.before.active() else { return Ok(()) };
    let s = &t.pool.settings;
    let enough = u32::from(t.fails) >= s.fall.min(7);
    let kept = t.after.members[a].state == State::Active;
    if t.action != Move::Remove(a) {
        hold("P8 last node", t.after.active().is_some(), || "the pool lost its ACTIVE node".into())?;
        let leaving = t.before.members[a].pin == Pin::Leave;
        let down = if leaving { State::Unknown } else { State::Standby };
        let handed = t.action == Move::Proven && t.after.members[a].state == down;
        let failed = enough && t.after.members[a].state.is_failed() && t.after.members[a].held != s.stateless;
        let ordered = orders::moves_role(t);
        hold("P3 what fails an ACTIVE", kept || handed || failed || ordered, || {
            format!("node {a} lost the role after {} failing observations", t.fails)
        })?;
    }
    let status = t.after.status(a, s);
    hold("P3 what fails an ACTIVE", !kept || status != Status::Fail || enough, || {
        format!("node {a} is ACTIVE at FAIL after {} failing observations", t.fails)
    })?;
    let Some((_, e)) = t.action.evidence().filter(|(node, _)| *node == a) else { return Ok(()) };
    let (was, now) = (&t.before.members[a], &t.after.members[a]);
    let worst = match e.class {
        _ if fails(e) => {
            let more = if at_once(e) { s.fall } else { (was.ladder.steps(s.rise) + 1).min(s.fall) };
            return hold("P3 what fails an ACTIVE", !kept || now.ladder.steps(s.rise) == more, || {
                format!("a failing observation counted from {:?} to {:?}", was.ladder, now.ladder)
            });
        }
        Class::Refusing => t.before.status(a, s).max(Status::OkCritical).min(if enough {
            Status::Fail
        } else {
            Status::OkCritical
        }),
        Class::Replication => t.before.status(a, s).max(Status::OkWarn),
        Class::Ok if e.backend_bad => t.before.status(a, s).max(Status::OkWarn),
        Class::Blind | Class::Silent => t.before.status(a, s),
        _ => t.before.status(a, s),
    };
    hold("P3 what fails an ACTIVE", !kept || status <= worst, || {
        format!("{:?} brought the ACTIVE node from {} to {status}", e.class, t.before.status(a, s))
    })?;
    let shown = t.before.status(a, s) < Status::OkWarn && s.fall <= 4;
    hold(
        "P3 what fails an ACTIVE",
        e.class != Class::Ok || !e.backend_bad || !shown || status > t.before.status(a, s),
        || "a bad backend is not shown on the ACTIVE node".into(),
    )?;
    let idle = e.class == Class::Blind || (e.class == Class::Silent && !fails(e));
    hold("P3 what fails an ACTIVE", !idle || was.ladder == now.ladder, || {
        "what says nothing counted".into()
    })?;
    // With `fall` above four a step is less than a quarter.
    let short_step = s.fall > 4;
    if e.class == Class::Replication && t.before.status(a, s) < Status::OkWarn {
        hold("P3 what fails an ACTIVE", status > t.before.status(a, s) || short_step, || {
            "a replication fault is not shown on the ACTIVE node".into()
        })?;
    }
    if e.class == Class::Refusing && t.before.status(a, s) < Status::OkCritical {
        hold("P3 what fails an ACTIVE", status > t.before.status(a, s) || short_step, || {
            "a refusal is not shown on the ACTIVE node".into()
        })?;
    }
    Ok(())
}

/// Who may get the role.
fn arriving(t: &Transition<'_>) -> Result<(), Broken> {
    let (Some(new), old) = (t.after.active(), t.before.active()) else { return Ok(()) };
    if old == Some(new) {
        return Ok(());
    }
    let (was, now) = (&t.before.members[new], &t.after.members[new]);
    let proof =
        now.seen.is_some_and(|e| good(e) && e.fresh && e.writable && e.applies && e.within_takeover_lag);
    if t.action == Move::SetState(new, State::Active) {
        // The operator's word is enough.
        return Ok(());
    }
    hold("P7 who may take over", proof, || format!("node {new} took the role on {:?}", now.seen))?;
    let seen_now = t.action.evidence().is_some_and(|(node, _)| node == new);
    let stood_by = was.state == State::Standby || (seen_now && was.state != State::Active);
    // The last resort: the time is up, and nobody else may.
    let resort = t.action.dues().last_resort
        && could_be_last_resort(&Member { seen: now.seen, ..was.clone() })
        && !t.after.members.iter().any(may_take_over);
    hold("P7 who may take over", resort || (stood_by && !was.held && !was.removed), || {
        format!("node {new} took the role from {:?}", was.state)
    })?;
    let first = t.after.preference().find(|&i| i == new || may_take_over(&t.after.members[i]));
    let planned = t.action == Move::Proven && old.is_some();
    hold("P7 who may take over", planned || first == Some(new), || {
        format!("node {new} took the role before node {first:?}")
    })
}

/// A node that failed as ACTIVE waits for `recover`.
fn held(t: &Transition<'_>) -> Result<(), Broken> {
    for (i, (was, now)) in t.before.members.iter().zip(&t.after.members).enumerate() {
        let by_itself = t.action == Move::AutoRecover(i);
        let recovered = matches!(t.action, Move::RecoverPool) || t.action == Move::Recover(i) || by_itself;
        let resort = t.action.dues().last_resort && t.after.active() == Some(i);
        let ordered = matches!(t.action, Move::SetState(n, _) if n == i);
        let recovered = recovered || resort || (ordered && !now.state.is_failed());
        hold("P9 held", !was.held || now.held || recovered, || format!("node {i} no longer waits"))?;
        let idle = was.removed || was.state == now.state || now.state == State::FailedOnline;
        let may =
            idle || now.state == State::FailedOffline || (recovered && now.state == State::Unknown) || resort;
        let may = may || ordered;
        let taken_out = t.action == Move::Remove(i) && now.state == State::Unknown;
        hold("P9 held", !was.held || may || taken_out, || format!("held node {i} became {}", now.state))?;
        let lost = t.before.active() == Some(i) && now.state.is_failed();
        let waits = lost && !t.pool.settings.stateless;
        hold("P9 held", was.held || now.held == waits, || format!("node {i} held: {}", now.held))?;
    }
    Ok(())
}

/// What was held by a doubt may move at any look, for nobody may hear it any more.
fn may_be_released(t: &Transition<'_>) -> bool {
    let free = |a: &usize| t.before.members[*a].pin != Pin::Fixed && !t.before.frozen;
    t.before.active().filter(free).is_some_and(|a| {
        let silent = t.before.members[a].seen.is_some_and(|e| matches!(e.class, Class::Hung | Class::Silent));
        let failed = t.before.status(a, &t.pool.settings) == Status::Fail;
        let heir = |m: &Member| may_take_over(m) || (t.action.dues().last_resort && could_be_last_resort(m));
        failed && silent && t.before.members.iter().any(heir)
    })
}

fn hand_over(t: &Transition<'_>) -> Result<(), Broken> {
    let name = "P10 hand-over";
    let s = &t.pool.settings;
    if let Some(h) = t.after.hand_over {
        let heir = &t.after.members[h.to];
        let active = t.after.active();
        hold(name, active.is_some_and(|a| a != h.to), || "a hand-over between nobody".into())?;
        hold(name, may_take_over(heir), || "the heir may not take over".into())?;
        hold(name, !in_doubt(t.after), || "a hand-over while the ACTIVE node is in doubt".into())?;
        if t.before.hand_over.is_none() {
            let asked = t.between.members[h.to].owed || s.failback == Failback::Auto;
            let well = heir.ladder.status(s.fall, s.rise) == Status::Ok;
            let primary = heir.node_type == NodeType::Primary && !t.after.frozen && !t.after.failback_waits;
            let leaves = active.is_some_and(|a| t.after.members[a].pin == Pin::Leave);
            hold(name, t.action.due() && (leaves || (asked && well && primary)), || {
                "a hand-over began unasked".into()
            })?;
        }
    }
    let moved = t.before.active().is_some() && t.before.active() != t.after.active();
    match (t.action, t.before.hand_over) {
        (Move::Proven, Some(h)) => {
            hold(name, t.after.active() == Some(h.to), || "a proven hand-over did not move the role".into())
        }
        (Move::Proven | Move::Expired, None) if may_be_released(t) => Ok(()),
        (Move::Proven | Move::Expired, None) if t.pool.orders && orders::undone(t.before, s) => Ok(()),
        (Move::Proven, None) => hold(name, t.before == t.after, || "a proof without a hand-over".into()),
        (Move::Expired, over) => {
            let still = t.before.members == t.after.members && t.after.hand_over.is_none();
            hold(name, still && (over.is_some() || t.before == t.after), || {
                "something moved as the time for a hand-over ended".into()
            })
        }
        (_, Some(h)) if moved && t.after.active() == Some(h.to) => {
            let a = t.before.active().map(|a| &t.after.members[a]);
            let failed = a.is_some_and(|a| a.state.is_failed() || a.removed) || orders::moves_role(t);
            hold(name, failed, || "a hand-over ended without proof".into())
        }
        (action, Some(h)) if t.after.hand_over.is_none() && !moved => {
            let why = in_doubt(t.after)
                || !may_take_over(&t.after.members[h.to])
                || matches!(action, Move::Remove(_))
                || action.is_order();
            hold(name, why, || "a hand-over was given up for nothing".into())
        }
        _ => Ok(()),
    }
}

fn commands(t: &Transition<'_>) -> Result<(), Broken> {
    let name = "P13 commands";
    let Some(answer) = t.command else { return Ok(()) };
    if answer.is_err() {
        hold(name, t.before == t.after, || "a refused command changed the pool".into())?;
    }
    let is = |rule: u16| matches!(answer, Ok(r) if *r == rule);
    let no = |rule: u16| matches!(answer, Err(refusal) if refusal.rule == rule);
    match t.action {
        Move::Recover(i) => {
            let fixed = t.before.members[i].pin == Pin::Fixed;
            let want = if fixed {
                no(table::FIXED_REFUSED)
            } else if t.before.members[i].state.is_failed() {
                is(table::RECOVER)
            } else {
                no(table::RECOVER_REFUSED)
            };
            hold(name, want, || format!("recover of {:?}: {answer:?}", t.before.members[i].state))?;
            let owed = t.between.members[i].owed;
            let may = t.before.members[i].owed
                || (t.pool.settings.failback != Failback::Manual
                    && t.before.members[i].node_type == NodeType::Primary);
            hold(name, !owed || may, || "recover promised the role".into())?;
            let due = answer.is_ok() && may;
            hold(name, !due || owed, || "recover of the PRIMARY did not promise the role".into())?;
            let reset = t.between.members[i].state == State::Unknown && !t.between.members[i].held;
            hold(name, answer.is_err() || reset, || "recover did not start the node again".into())
        }
        Move::AutoRecover(i) => {
            let m = &t.before.members[i];
            let in_order = m.seen.is_some_and(good)
                && m.ladder.status(t.pool.settings.fall, t.pool.settings.rise) == Status::Ok;
            let ordered = m.pin == Pin::Fixed || t.before.frozen;
            let may = m.held && !m.removed && in_order && t.before.active().is_some() && !ordered;
            let want = if may { is(table::AUTO_RECOVER) } else { no(table::AUTO_RECOVER_REFUSED) };
            hold(name, want, || format!("a recovery by itself of {m:?}: {answer:?}"))?;
            let now = &t.between.members[i];
            let reset = now.state == State::Unknown && !now.held && now.owed == m.owed;
            hold(name, !may || reset, || {
                "a recovery by itself did not start the node again, or promised a role".into()
            })
        }
        Move::RecoverPool => {
            let free = |m: &&Member| m.pin != Pin::Fixed;
            let mut rest = t.between.members.iter().filter(free);
            let left = rest.any(|m| m.state.is_failed() || m.held && !m.removed);
            hold(name, is(table::RECOVER_POOL) && !left, || "a node is still failed".into())
        }
        Move::ActivatePrimary => {
            let primary = t.before.members.iter().find(|m| m.node_type == NodeType::Primary);
            let fixed = t.before.active().is_some_and(|a| t.before.members[a].pin == Pin::Fixed);
            let may = primary.is_some_and(may_take_over) && !fixed && !t.before.frozen;
            hold(name, may == answer.is_ok(), || format!("activate-primary: {answer:?}"))?;
            hold(name, answer.is_ok() || no(table::ACTIVATE_PRIMARY_REFUSED), || format!("{answer:?}"))?;
            let owed = t.between.members.iter().any(|m| m.node_type == NodeType::Primary && m.owed);
            hold(name, answer.is_err() || owed, || "the PRIMARY is promised nothing".into())
        }
        Move::Remove(i) => {
            let m = &t.before.members[i];
            let last = m.state == State::Active && !t.before.members.iter().any(may_take_over);
            let want = if m.removed || last { no(table::REMOVE_REFUSED) } else { is(table::REMOVE) };
            hold(name, want, || format!("remove: {answer:?}"))?;
            hold(name, t.between.members[i].removed, || "remove did not remove".into())
                .or_else(|broken| if answer.is_err() { Ok(()) } else { Err(broken) })
        }
        _ => Ok(()),
    }
}

fn ladders(t: &Transition<'_>) -> Result<(), Broken> {
    let name = "P12 ladder";
    let s = &t.pool.settings;
    for (i, (was, now)) in t.between.members.iter().zip(&t.after.members).enumerate() {
        let crowned = now.state == State::Active && was.state != State::Active;
        let dethroned = was.state == State::Active && now.state != State::Active;
        let (old, new) = (was.ladder.status(s.fall, s.rise), t.after.status(i, s));
        if crowned {
            hold(name, new == Status::Ok, || format!("node {i} got the role at {new}"))?;
            continue;
        }
        if dethroned {
            let want = if now.state.is_failed() { Status::Fail } else { Status::Ok };
            hold(name, new == want, || format!("node {i} lost the role at {new}"))?;
            continue;
        }
        let observed = t.action.evidence().filter(|(node, _)| *node == i);
        let Some((_, e)) = observed.filter(|_| !was.removed) else {
            hold(name, was.ladder == now.ladder, || format!("node {i} moved without being seen"))?;
            continue;
        };
        if s.fall >= 4 && s.rise >= 4 && !at_once(e) {
            let apart = (old as i32 - new as i32).abs();
            hold(name, apart <= 1, || format!("node {i} went from {old} to {new} at once"))?;
        }
        let in_order = (e.class == Class::Ok && !e.backend_bad)
            || (now.state != State::Active && good(e) && !e.lag_only && !e.backend_bad);
        if in_order {
            let mut up = was.ladder;
            up.step(Step::Up, s.fall, s.rise);
            hold(name, now.ladder == up, || {
                format!("good order counted from {:?} to {:?}", was.ladder, now.ladder)
            })?;
        }
        // A stand-in's own faults count against it; what is not its own, and mere lag, cannot fail it.
        let own = fails(e) || (e.class == Class::Replication && !good(e));
        if own && now.state != State::Active {
            let more = if at_once(e) { s.fall } else { (was.ladder.steps(s.rise) + 1).min(s.fall) };
            hold(name, now.ladder.steps(s.rise) == more, || {
                format!("{:?} of node {i} did not count", e.class)
            })?;
        } else {
            let steps = (was.ladder.steps(s.rise), now.ladder.steps(s.rise));
            hold(name, own || steps.1 <= steps.0, || format!("{:?} counted against node {i}", e.class))?;
        }
        let idle = e.class == Class::Blind || (e.class == Class::Silent && !fails(e));
        hold(name, !idle || was.ladder == now.ladder, || "what says nothing counted".into())?;
        let shown = match e.class {
            Class::Refusing if !e.fail_on => Status::OkCritical,
            Class::Replication if e.lag_only => Status::OkWarn,
            Class::Ok if e.backend_bad => Status::OkWarn,
            _ => continue,
        };
        let apart = |status: Status| (status as i32 - shown as i32).abs();
        // A step is at least a quarter unless `fall` is more than four, or `rise` more than `fall` on the way up.
        let short_step = s.fall > 4 || s.rise > s.fall;
        let near = apart(new) < apart(old) || (short_step && apart(new) == apart(old));
        let towards = old == shown || near || s.fall < 4;
        hold(name, towards, || format!("{:?} brought node {i} from {old} to {new}", e.class))?;
    }
    Ok(())
}

/// Nodes become what was seen of them, and nobody else becomes anything.
fn states(t: &Transition<'_>) -> Result<(), Broken> {
    let name = "P14 states";
    let s = &t.pool.settings;
    for (i, (was, now)) in t.between.members.iter().zip(&t.after.members).enumerate() {
        let role = was.state == State::Active || now.state == State::Active;
        let held = was.pin == Pin::Fixed || t.between.frozen;
        let observed = t.action.evidence().filter(|(node, _)| *node == i && !was.removed && !held);
        let Some((_, e)) = observed else {
            hold(name, role || was.state == now.state, || format!("unseen node {i} became {}", now.state))?;
            continue;
        };
        let answers = matches!(e.class, Class::Ok | Class::Refusing | Class::Replication);
        let at_fail = now.ladder.is_failed(s.fall, s.rise);
        let heals = !was.held && good(e) && e.applies && e.within_takeover_lag;
        // A router has nothing to catch up with: it is healed once nothing counts towards FAIL.
        let clean = s.stateless && !now.ladder.is_down();
        let healed = heals && (clean || now.ladder.status(s.fall, s.rise) == Status::Ok);
        let stands_by = matches!(now.state, State::Standby | State::Active);
        let right = match was.state {
            State::Active => true,
            State::Unknown if good(e) => stands_by,
            State::Unknown | State::Standby if at_fail && answers => now.state == State::FailedOnline,
            State::Unknown | State::Standby if at_fail => now.state == State::FailedOffline,
            State::Unknown => now.state == State::Unknown,
            State::Standby => stands_by,
            // `arriving` says whether it may.
            _ if was.held && t.action.dues().last_resort && now.state == State::Active => true,
            _ if healed => stands_by,
            State::FailedOffline if at_fail && e.class == Class::Replication => {
                now.state == State::FailedOnline
            }
            State::FailedOnline if at_fail && !answers && e.class != Class::Blind => {
                now.state == State::FailedOffline
            }
            State::FailedOnline | State::FailedOffline => now.state == was.state,
        };
        hold(name, right, || format!("node {i} went from {} to {} by {:?}", was.state, now.state, e.class))?;
    }
    Ok(())
}

/// No decision is left lying: a failed ACTIVE with a candidate has been replaced, an empty role filled, and a
/// second look at the same pool changes nothing.
fn rest(t: &Transition<'_>) -> Result<(), Broken> {
    let name = "P11 nothing left undone";
    let s = &t.pool.settings;
    let candidate = t.after.members.iter().any(may_take_over);
    let released = may_be_released(t);
    // The end of a time limit leaves to the next look what it made possible.
    let refused = matches!(t.command, Some(Err(_)));
    let nobody = t.action.evidence().is_some_and(|(node, _)| t.before.members[node].removed);
    let unlooked = t.pool.orders && (refused || nobody || t.action.is_by_time());
    let undone = t.pool.orders && orders::undone(t.before, s);
    hold(name, t.action != Move::Look(NONE) || released || undone || t.before == t.after, || {
        "a second look changed the pool".into()
    })?;
    if let (Some(a), true) = (t.before.active(), released) {
        let held = held_by_doubt(&t.before.members[a], t.action.dues());
        let moved = t.after.active() != Some(a);
        let looked = matches!(t.action, Move::Look(_));
        hold("P15 doubt", !looked || moved != held, || {
            format!("an ACTIVE node that says nothing, at FAIL: moved {moved}, heard by a replica {held}")
        })?;
    }
    match t.after.active() {
        Some(a) => {
            let doubted = held_by_doubt(&t.after.members[a], t.action.dues());
            let last = t.action.dues().last_resort && t.after.members.iter().any(could_be_last_resort);
            let ordered = t.after.frozen || t.after.members[a].pin == Pin::Fixed || unlooked;
            let left = t.after.status(a, s) == Status::Fail && (candidate || last) && !doubted && !refused;
            let left = left && !ordered;
            hold(name, !left, || "the ACTIVE node is at FAIL while another may take over".into())?;
            let began = t.after.hand_over.is_some() || t.before.hand_over.is_some();
            let primary = t.after.members.iter().find(|m| m.node_type == NodeType::Primary);
            let wanted = primary.is_some_and(|p| {
                let asked = p.owed || s.failback == Failback::Auto;
                asked && may_take_over(p) && p.ladder.status(s.fall, s.rise) == Status::Ok
            });
            let late = matches!(t.action, Move::Look(dues) if dues.hand_back)
                && wanted
                && !ordered
                && !t.after.failback_waits
                && !began
                && !in_doubt(t.after);
            let leaves = matches!(t.action, Move::Look(dues) if dues.hand_back)
                && t.after.members[a].pin == Pin::Leave
                && candidate
                && !began
                && !in_doubt(t.after);
            hold(name, !leaves, || "the ACTIVE node is to leave, and no hand-over began".into())?;
            hold(name, !late, || "the PRIMARY is to get the role, and no hand-over began".into())
        }
        None => {
            let waits = |m: &primacy::policy::safe::Member| {
                !m.removed && m.pin == Pin::Free && m.state == State::Unknown && u32::from(m.tries) < s.fall
            };
            let wait = t.after.members.iter().any(waits) || t.after.frozen || unlooked;
            hold(name, !candidate || wait, || "nobody is ACTIVE though a node may be".into())?;
            let refused = matches!(t.command, Some(Err(_)));
            let last = t.action.dues().last_resort && t.after.members.iter().any(could_be_last_resort);
            hold(name, !last || candidate || refused || t.after.frozen || unlooked, || {
                "the last resort is due, and nobody is ACTIVE".into()
            })
        }
    }
}

/// Even a hand-over that should not be open does not move the role in doubt, or to a node that may not have it.
pub fn forced_open(pool: &Pool, tables: &Tables<'_>, from: &Model) -> Result<(), Broken> {
    let primary = from.members.iter().position(|m| m.node_type == NodeType::Primary);
    let (Some(active), Some(to)) = (from.active(), primary) else { return Ok(()) };
    // With an order in force no hand-back is ever open; after one a take-over may be due.
    let undone = pool.orders && orders::undone(from, &pool.settings);
    if active == to || undone || from.frozen || from.members[active].pin == Pin::Fixed {
        return Ok(());
    }
    let mut model = from.clone();
    model.hand_over = Some(HandOver { to });
    let may = may_take_over(&model.members[to]) && !in_doubt(&model);
    // An ACTIVE node at FAIL that is held in doubt stays held.
    evaluate(&mut model, tables, &pool.settings, HEARD, Occasion::Proven);
    let moved = model.active() == Some(to);
    hold("P10 hand-over", moved == may, || {
        format!("a proof with a hand-over forced open moved the role: {moved}, right: {may}")
    })
}

/// P2: from this state, if one node keeps giving good evidence and each other one keeps its own kind, the pool has
/// an ACTIVE node that answers after a bounded number of rounds, and the good node is well.
pub fn ends_well(
    pool: &Pool,
    tables: &Tables<'_>,
    from: &Model,
    good_node: usize,
    others: &[usize],
) -> Result<(), Broken> {
    let fixed = |m: &Member| m.pin == Pin::Fixed;
    if from.frozen || from.members.iter().any(fixed) {
        // Where an order says so the pool may stand still; once its time has run out it must not.
        let mut released = from.clone();
        orders::all_run_out(&mut released, &pool.settings);
        ends_well(pool, tables, &released, good_node, others)?;
        if from.frozen || fixed(&from.members[good_node]) {
            return Ok(());
        }
    }
    let s = &pool.settings;
    let m = &from.members[good_node];
    if m.held || m.removed {
        return Ok(());
    }
    let mut model = from.clone();
    let mut letters = others.iter().map(|&l| LETTERS[l].1);
    let seen: Vec<_> =
        (0..model.members.len())
            .map(|i| {
                if i == good_node { super::world::GOOD } else { letters.next().unwrap_or(super::world::GOOD) }
            })
            .collect();
    // Down to FAIL, or up to OK, then seen once more since the doubt began.
    let bound = s.fall.max(s.rise) + 2;
    for _ in 0..bound {
        for (i, &e) in seen.iter().enumerate() {
            evaluate(&mut model, tables, s, NONE, Occasion::Observed(i, e));
        }
        let served = model.active().is_some_and(|a| {
            if fixed(&model.members[a]) {
                return true;
            }
            // Of a node that nobody can see nothing is known: it keeps what it has.
            let unseen = seen[a].class == Class::Blind || (seen[a].class == Class::Silent && !fails(seen[a]));
            unseen || seen[a].class == Class::Ok || (!fails(seen[a]) && seen[a].class.answered())
        });
        let g = &model.members[good_node];
        // What had failed as ACTIVE before it became good may be replaced first; it then waits for `recover`.
        let replaced = g.held && from.status(good_node, s) == Status::Fail;
        let well = replaced
            || matches!(g.state, State::Active | State::Standby) && model.status(good_node, s) == Status::Ok;
        if served && well {
            return Ok(());
        }
    }
    let names: Vec<&str> = others.iter().map(|&l| LETTERS[l].0).collect();
    Err((
        "P2 no dead end",
        format!("node {good_node} good, others {names:?}: after {bound} rounds {model:?}"),
    ))
}
