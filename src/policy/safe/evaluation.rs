//! One evaluation: evidence about one node passes the three tables, each decision in force at once.

use super::ladder::Ladder;
use super::model::{Bar, Evidence, HandOver, Member, Model, Pin, Settings};
use super::table::{ChargeView, RoleAction, RoleView, Rule, StateView, Tables};
use crate::config::Failback;
use crate::pool::{NodeType, State, Status};
use crate::probe::Class;

/// What brings an evaluation about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Occasion {
    /// A node was observed.
    Observed(usize, Evidence),
    /// The heir of a hand-over is proven to have applied all that the ACTIVE node had.
    Proven,
    /// The time for a hand-over is up.
    Expired,
    /// A command changed the pool, or a waiting time ended.
    Look,
}

/// What clocks and counters of the engine say at an evaluation; the tables know none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dues {
    /// No waiting time forbids a planned hand-over.
    pub hand_back: bool,
    /// A replica has received something from the ACTIVE node since its first bad observation, and within `silence`.
    pub heard: bool,
    /// The ACTIVE node has been held in doubt for `doubt_deadline`, and `on_doubt` is `fail`.
    pub doubt_over: bool,
    /// The ACTIVE node has been at FAIL, with a good node waiting for `recover`, for as long as `last_resort` waits.
    pub last_resort: bool,
}

/// What an evaluation decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The row of `CHARGE` that counted, 0 without an observation.
    pub charge: u16,
    /// The row of `STATE` that decided, 0 without an observation.
    pub state: u16,
    /// The rows of `ROLE` that decided, in order, with the nodes whose role they moved.
    pub roles: Vec<(u16, RoleAction)>,
}

fn first<'a, V, T>(rules: &'a [Rule<V, T>], view: &V) -> Option<&'a Rule<V, T>> {
    rules.iter().find(|r| (r.when)(view))
}

/// Evaluates one occasion.
pub fn evaluate(
    model: &mut Model,
    tables: &Tables<'_>,
    settings: &Settings,
    dues: Dues,
    occasion: Occasion,
) -> Verdict {
    let mut verdict = Verdict::default();
    if let Occasion::Observed(node, evidence) = occasion {
        if model.members[node].removed {
            return verdict;
        }
        (verdict.charge, verdict.state) = take_in(model, tables, settings, node, evidence);
    }
    let mut once = (occasion == Occasion::Proven, occasion == Occasion::Expired);
    // Giving up a hand-over leaves the pool to the rules after it; two rounds always suffice.
    for _ in 0..2 {
        let view = role_view(model, settings, dues, once);
        let Some(rule) = first(tables.role, &view) else { break };
        verdict.roles.push((rule.number, rule.then));
        apply(model, settings, rule.then);
        if rule.then != RoleAction::AbandonHandOver || view.expired {
            break;
        }
        once = (false, false);
    }
    verdict
}

/// Lets what was observed of a node count and move its state, by the first two tables; the rows that decided. The role
/// stays where it is.
pub fn take_in(
    model: &mut Model,
    tables: &Tables<'_>,
    settings: &Settings,
    node: usize,
    evidence: Evidence,
) -> (u16, u16) {
    let was_in_doubt = model.in_doubt();
    let rows = observe(model, tables, settings, node, evidence);
    if !was_in_doubt && model.in_doubt() {
        // From here on only what is seen after the ACTIVE's first bad observation counts.
        for (_, m) in model.members.iter_mut().enumerate().filter(|(i, _)| *i != node) {
            if let Some(seen) = &mut m.seen {
                seen.fresh = false;
            }
        }
    }
    rows
}

fn observe(
    model: &mut Model,
    tables: &Tables<'_>,
    settings: &Settings,
    node: usize,
    evidence: Evidence,
) -> (u16, u16) {
    let mut rows = (0, 0);
    let (fall, rise) = (settings.fall, settings.rise);
    let member = &mut model.members[node];
    let view = ChargeView { evidence, active: member.state == State::Active };
    if let Some(rule) = first(tables.charge, &view) {
        rows.0 = rule.number;
        member.ladder.step(rule.then, fall, rise);
    }
    if evidence.class != Class::Blind {
        member.seen = Some(evidence);
    }
    if member.state == State::Unknown {
        member.tries = member.tries.saturating_add(1).min(u8::try_from(fall).unwrap_or(u8::MAX));
    }
    let view = StateView {
        evidence,
        state: member.state,
        held: member.held,
        failed: member.ladder.is_failed(fall, rise),
        // Without anything to catch up with, only what counts towards FAIL has to be made good.
        healed: member.ladder.status(fall, rise) == Status::Ok
            || (settings.stateless && !member.ladder.is_down()),
        pinned: member.pin == Pin::Fixed,
        frozen: model.frozen,
    };
    if let Some(rule) = first(tables.state, &view) {
        rows.1 = rule.number;
        if let Some(next) = rule.then {
            member.state = next;
            if next != State::Unknown {
                member.tries = 0;
            }
        }
    }
    rows
}

fn role_view(model: &Model, settings: &Settings, dues: Dues, once: (bool, bool)) -> RoleView {
    let active = model.active();
    let candidate = model.candidate();
    let heir = model.hand_over.map(|h| h.to);
    let primary = model.preference().next().filter(|&p| model.members[p].node_type == NodeType::Primary);
    let primary_due = active.is_some()
        && active != primary
        && !active.is_some_and(|a| model.members[a].pin == Pin::Fixed)
        && !model.failback_waits
        && dues.hand_back
        && primary.is_some_and(|p| {
            let m = &model.members[p];
            let wanted = m.owed || settings.failback == Failback::Auto;
            wanted && model.bar(p).is_none() && m.ladder == Ladder::default()
        });
    RoleView {
        has_active: active.is_some(),
        active_failed: active
            .is_some_and(|a| model.members[a].ladder.is_failed(settings.fall, settings.rise)),
        in_doubt: model.in_doubt(),
        candidate: candidate.is_some(),
        unheard: active
            .and_then(|a| model.members[a].seen)
            .is_some_and(|e| matches!(e.class, Class::Hung | Class::Silent)),
        heard: dues.heard,
        doubt_over: dues.doubt_over,
        settled: candidate
            == model.preference().find(|&i| !model.members[i].removed && model.members[i].pin == Pin::Free)
            || model.is_settled(settings),
        barred_by_recover: (0..model.members.len())
            .any(|i| model.bar(i) == Some(Bar::WaitsForRecover) && model.members[i].is_good()),
        last_resort: dues.last_resort && model.last_resort().is_some(),
        primary_due,
        handing_over: heir.is_some(),
        heir_fit: heir.is_some_and(|h| model.bar(h).is_none()),
        proven: once.0,
        expired: once.1,
        active_pinned: active.is_some_and(|a| model.members[a].pin == Pin::Fixed),
        frozen: model.frozen,
        leave_due: dues.hand_back && model.is_leaving(),
    }
}

fn apply(model: &mut Model, settings: &Settings, action: RoleAction) {
    match action {
        RoleAction::Keep | RoleAction::KeepLast | RoleAction::KeepDoubted | RoleAction::KeepByOrder => {}
        RoleAction::Elect => {
            if let Some(c) = model.candidate() {
                crown(model, c);
            }
        }
        RoleAction::TakeOver | RoleAction::LastResort => {
            let heir = if action == RoleAction::TakeOver { model.candidate() } else { model.last_resort() };
            if let (Some(a), Some(_)) = (model.active(), heir) {
                fail_active(&mut model.members[a], settings);
            }
            if let Some(c) = heir {
                crown(model, c);
            }
        }
        RoleAction::BeginHandOver => {
            let primary = model.members.iter().position(|m| m.node_type == NodeType::Primary);
            model.hand_over = primary.map(|to| HandOver { to });
        }
        RoleAction::BeginLeave => model.hand_over = model.candidate().map(|to| HandOver { to }),
        RoleAction::CompleteHandOver => {
            if let (Some(a), Some(h)) = (model.active(), model.hand_over.take()) {
                step_down(&mut model.members[a]);
                crown(model, h.to);
            }
        }
        RoleAction::AbandonHandOver => model.hand_over = None,
    }
}

/// The ACTIVE node has failed, and loses the role.
pub(super) fn fail_active(old: &mut Member, settings: &Settings) {
    let answers = old.seen.is_some_and(|e| e.class.answered());
    old.state = if answers { State::FailedOnline } else { State::FailedOffline };
    old.held = !settings.stateless;
    old.ladder = Ladder::failed(settings.fall, settings.rise);
    arrive(old);
}

/// The ACTIVE node loses the role as planned.
pub(super) fn step_down(old: &mut Member) {
    old.state = if old.pin == Pin::Free { State::Standby } else { State::Unknown };
    old.ladder.clear();
    arrive(old);
}

/// Who was to leave for maintenance is there now.
fn arrive(old: &mut Member) {
    if old.pin == Pin::Leave {
        old.pin = Pin::Fixed;
    }
}

/// Steps that were counted against a stand-in, for its replication say, must not fail it as ACTIVE.
pub(in crate::policy) fn crown(model: &mut Model, node: usize) {
    model.failback_waits = false;
    let member = &mut model.members[node];
    member.state = State::Active;
    member.held = false;
    member.owed = false;
    member.ladder.clear();
}
