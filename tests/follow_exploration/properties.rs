//! What must hold at every transition whatever the table says, and where every path must end.

use super::oracle::{claims, contest, denied, may_get_it, vouched};
use super::world::{Move, Pool, Row, Transition, World, active, step};
use primacy::policy::follow::{Action, Rank, Said, Word};
use primacy::policy::safe::Pin;
use primacy::pool::{State, Status};
use primacy::probe::Class;

/// A property that does not hold: its name, and how.
pub type Broken = (&'static str, String);

fn hold(name: &'static str, holds: bool, how: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err((name, how())) }
}

/// Properties of one transition.
pub fn check(t: &Transition<'_>) -> Result<(), Broken> {
    let s = &t.pool.settings;
    let after = &t.after.model;
    let count = after.members.iter().filter(|m| m.state == State::Active).count();
    hold("one ACTIVE", count <= 1, || format!("{count} nodes are ACTIVE"))?;
    for (i, m) in after.members.iter().enumerate() {
        let clean = m.state != State::Active || !(m.held || m.removed);
        hold("one ACTIVE", clean, || "the ACTIVE node is held or removed".into())?;
        let was = &t.before.model.members[i];
        let began = m.held && !was.held;
        hold("groups heal", !(m.held && t.pool.grouped), || {
            format!("node {i} waits for recover in a group")
        })?;
        hold("who waits", !began || (was.state == State::Active && m.state.is_failed()), || {
            format!("node {i} waits for recover, and has not failed as ACTIVE")
        })?;
        hold("who waits", began || m.held || !was.held || matches!(t.action, Move::Recover(_)), || {
            format!("node {i} no longer waits, and nobody recovered it")
        })?;
        let failed_now = was.state == State::Active && m.state.is_failed();
        hold("what fails", !failed_now || t.between.model.status(i, s) == Status::Fail, || {
            format!("the ACTIVE node {i} is {} without being at FAIL", m.state)
        })?;
        let replaced = failed_now && !m.held && !t.pool.grouped;
        hold("who waits", !replaced, || format!("node {i} failed as ACTIVE and does not wait"))?;
    }
    let (old, new) = (active(&t.between.model), active(after));
    let about = &t.between;
    if new != old {
        let ordered = about.model.frozen || old.is_some_and(|o| about.model.members[o].pin == Pin::Fixed);
        hold("operators outrank the rules", !ordered, || "the role moved".into())?;
        if let Some(n) = new {
            hold("only whom the group names", may_get_it(about, n), || format!("node {n} got the role"))?;
            hold("nobody chooses between two", !contest(about, s), || format!("node {n} got the role"))?;
        }
        if let Some(o) = old.filter(|&o| !about.model.members[o].removed) {
            let speaks = about.voices.nodes[o].speaks;
            let fine =
                claims(about, o) && full(about, o) && about.model.status(o, s) != Status::Fail && speaks;
            hold("who takes writes keeps the role", !fine, || format!("node {o} lost the role"))?;
            hold("nobody chooses between two", !contest(about, s), || format!("node {o} lost the role"))?;
            hold(
                "doubt alone moves nothing",
                denied(about, o)
                    || about.model.status(o, s) == Status::Fail
                    || new.is_some_and(|n| rank(about, n) > rank(about, o)),
                || format!("node {o} lost the role"),
            )?;
            let dropped = new.is_none();
            hold("a pool without a group keeps its ACTIVE node", !dropped || t.pool.grouped, || {
                format!("node {o} lost the role to nobody")
            })?;
            hold("a role is dropped by the group's word alone", !dropped || denied(about, o), || {
                format!("node {o} lost the role to nobody")
            })?;
            hold("the majority's word holds", !dropped || !vouched(about, o), || {
                format!("node {o} lost the role while the majority names it")
            })?;
            hold("nobody is dropped for the next to come", !dropped || everybody_asked(about, o), || {
                format!("node {o} lost the role before the others were asked")
            })?;
        }
    }
    if let Some(no) = &t.refused {
        let removes_active = matches!(t.action, Move::Remove(n) if old == Some(n));
        hold("what is refused", no.rule != 322 || removes_active, || no.reason.clone())?;
        return hold("what is refused", t.before.model == t.after.model, || "yet something changed".into());
    }
    alarms(t)
}

fn rank(w: &World, node: usize) -> Option<Rank> {
    super::oracle::member(w, node).map(|m| m.3)
}

fn full(w: &World, node: usize) -> bool {
    matches!(w.voices.nodes[node].word, Some(Word::Member { rank: Rank::Full, .. }))
}

fn everybody_asked(w: &World, but: usize) -> bool {
    (0..w.voices.nodes.len()).filter(|&i| i != but).all(|i| {
        let m = &w.model.members[i];
        m.removed || m.pin == Pin::Fixed || m.state.is_failed() || w.voices.nodes[i].asked
    })
}

/// What is wrong is told: a contest, an ACTIVE node at FAIL, and in a pool without a group one that takes no writes.
fn alarms(t: &Transition<'_>) -> Result<(), Broken> {
    let s = &t.pool.settings;
    let Some((rule, action)) = t.verdict.role else { return Ok(()) };
    let alarm = matches!(action, Action::KeepContested | Action::KeepReadOnly | Action::KeepLast);
    let ordered =
        |w: &World| w.model.frozen || active(&w.model).is_some_and(|a| w.model.members[a].pin == Pin::Fixed);
    if ordered(&t.between) {
        let failed = active(&t.after.model).is_some_and(|a| t.after.model.status(a, s) == Status::Fail);
        let told = if failed { Action::KeepLast } else { Action::Keep };
        return hold("an order is told", action == told, || format!("rule {rule}"));
    }
    let contested = contest(&t.between, s);
    hold("a contest is told", contested == (action == Action::KeepContested), || format!("rule {rule}"))?;
    let Some(a) = active(&t.after.model) else { return Ok(()) };
    let failed = t.after.model.status(a, s) == Status::Fail;
    let idle = !t.pool.grouped && denied(&t.after, a) && everybody_asked(&t.after, a);
    hold(
        "a failure is told",
        !failed || alarm || !everybody_asked(&t.after, a) || !denied(&t.after, a) || t.pool.grouped,
        || format!("rule {rule}"),
    )?;
    hold("a failure is told", !failed || alarm || denied(&t.after, a), || format!("rule {rule}"))?;
    hold("no writer is told", !idle || alarm, || format!("rule {rule}"))?;
    let fine = !failed && !denied(&t.after, a) && !contested;
    hold("no false alarm", !fine || !alarm, || format!("rule {rule}"))
}

/// Where a path must end if from now on one node says in the newest view that it alone takes writes, and all others are
/// gone or outside: that node is ACTIVE, unless an operator stands in the way.
pub fn ends_well(pool: &Pool, rows: &[Row], from: &World, good: usize, rest: &[usize]) -> Result<(), Broken> {
    let mut w = from.clone();
    let letters = &pool.letters;
    let best = letters[good].iter().position(|l| match &l.said {
        Said::Word(Word::Member { names, rank: Rank::Full, view, .. }) => {
            l.evidence.class == Class::Ok && l.evidence.fresh && names.contains(good) && newest(pool, *view)
        }
        _ => false,
    });
    let Some(best) = best else { return Ok(()) };
    let ordered = w.model.frozen || w.model.members.iter().any(|m| m.pin == Pin::Fixed);
    if ordered || w.model.members[good].removed {
        return Ok(());
    }
    // A stand-in heals within `rise` of its own observations; the others need at most `fall` each.
    for _ in 0..2 + pool.settings.fall + pool.settings.rise {
        for node in 0..letters.len() {
            let letter = if node == good { best } else { rest[node.min(rest.len() - 1)] };
            w = step(pool, rows, &w, Move::Observe { node, letter, late: false }).after;
        }
    }
    if w.model.members[good].held {
        return hold("who waits is told", active(&w.model) != Some(good), || "it has the role".into());
    }
    hold("no dead end", active(&w.model) == Some(good), || {
        format!("node {good} alone takes writes, and ends as {}", w.model.members[good].state)
    })
}

fn newest(pool: &Pool, view: u64) -> bool {
    pool.letters.iter().flatten().all(|l| match &l.said {
        Said::Word(Word::Member { view: other, .. }) => *other <= view,
        _ => true,
    })
}

/// In a group nobody is ACTIVE for long whose own word says no, with nobody else to ask.
pub fn nobody_stays_outside(pool: &Pool, rows: &[Row], from: &World) -> Result<(), Broken> {
    let ordered = from.model.frozen || from.model.members.iter().any(|m| m.pin == Pin::Fixed);
    if !pool.grouped || ordered {
        return Ok(());
    }
    let mut w = from.clone();
    for _ in 0..3 {
        for (node, letters) in pool.letters.iter().enumerate() {
            let name = if Some(node) == active(&from.model) { "outside" } else { "gone" };
            let letter = letters.iter().position(|l| l.name == name).expect("every alphabet has it");
            w = step(pool, rows, &w, Move::Observe { node, letter, late: false }).after;
        }
    }
    let left = active(from_model(from)).is_some_and(|a| active(&w.model) == Some(a));
    hold("a minority has no ACTIVE node", !left, || "it kept the role".into())
}

fn from_model(w: &World) -> &primacy::policy::safe::Model {
    &w.model
}
