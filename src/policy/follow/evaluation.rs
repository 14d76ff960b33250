//! One evaluation where the pool follows: the observed node by the tables of `safe`, the role by [`FOLLOW`].

use super::table::{Action, FollowView};
use super::voice::{Bar, Voices};
use crate::policy::safe::table::{Rule, Tables};
use crate::policy::safe::{Evidence, Ladder, Model, Pin, Settings, evaluation};
use crate::pool::{State, Status};

/// What an evaluation decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The row of `CHARGE` that counted, 0 without an observation.
    pub charge: u16,
    /// The row of `STATE` that decided, 0 without an observation.
    pub state: u16,
    /// The row of `FOLLOW` that decided.
    pub role: Option<(u16, Action)>,
}

/// Evaluates what was observed of a node, after its voice was heard; or, without one, looks again.
pub fn evaluate(
    model: &mut Model,
    voices: &mut Voices,
    tables: &Tables<'_>,
    follow: &[Rule<FollowView, Action>],
    settings: &Settings,
    observed: Option<(usize, Evidence)>,
) -> Verdict {
    let mut verdict = Verdict::default();
    if let Some((node, evidence)) = observed {
        if model.members[node].removed {
            return verdict;
        }
        (verdict.charge, verdict.state) = evaluation::take_in(model, tables, settings, node, evidence);
    }
    ask(model, voices);
    let view = view(model, voices, settings);
    if let Some(rule) = follow.iter().find(|r| (r.when)(&view)) {
        verdict.role = Some((rule.number, rule.then));
        apply(model, voices, settings, rule.then);
        ask(model, voices);
    }
    verdict
}

/// Once the ACTIVE node has lost its standing, what the others said before does not count as an answer.
fn ask(model: &Model, voices: &mut Voices) {
    let denied = model.active().is_some_and(|a| voices.is_denied(model, a));
    if denied != voices.asking {
        voices.asking = denied;
        voices.nodes.iter_mut().for_each(|voice| voice.asked = false);
    }
}

/// What the rows look at.
pub fn view(model: &Model, voices: &Voices, settings: &Settings) -> FollowView {
    let active = model.active();
    let active_failed = active.is_some_and(|a| model.status(a, settings) == Status::Fail);
    let candidate = voices.candidate(model);
    let rank = |node| voices.rank(node);
    let preferred = model.preference().find(|&i| Some(i) != active && !model.members[i].removed);
    let all_asked = voices.all_asked(model);
    let heard = if voices.asking { all_asked } else { voices.is_settled(model, settings.fall) };
    FollowView {
        ordered: model.frozen || active.is_some_and(|a| model.members[a].pin == Pin::Fixed),
        grouped: voices.grouped,
        has_active: active.is_some(),
        active_failed,
        denied: active.is_some_and(|a| voices.is_denied(model, a)),
        vouched: active.is_some_and(|a| voices.is_vouched_for(model, a)),
        candidate: candidate.is_some(),
        // Both have to be among those that may write: else one of the two words is out of date.
        better: active
            .zip(candidate)
            .is_some_and(|(a, c)| voices.names(c, a) && rank(a).is_some() && rank(c) > rank(a)),
        contested: !voices.contestants(model, active_failed).is_empty(),
        settled: heard
            || (voices.grouped
                && candidate.is_some_and(|c| voices.is_only_choice(c) || candidate == preferred)),
        all_asked,
        barred_by_recover: (0..model.members.len())
            .any(|i| voices.bar(model, i) == Some(Bar::WaitsForRecover)),
    }
}

fn apply(model: &mut Model, voices: &Voices, settings: &Settings, action: Action) {
    match action {
        Action::Keep | Action::KeepContested | Action::KeepReadOnly | Action::KeepLast => {}
        Action::Elect | Action::Follow => {
            if let Some(heir) = voices.candidate(model) {
                step_down(model, voices, settings);
                evaluation::crown(model, heir);
            }
        }
        Action::Drop => step_down(model, voices, settings),
    }
}

/// The ACTIVE node gives the role up. What counted against it goes on counting. In a group it heals by itself; without
/// one, a node that failed as ACTIVE may hold transactions that nobody else has.
fn step_down(model: &mut Model, voices: &Voices, settings: &Settings) {
    let Some(a) = model.active() else { return };
    let failed = model.status(a, settings) == Status::Fail;
    let old = &mut model.members[a];
    if failed {
        let answers = old.seen.is_some_and(|e| e.class.answered());
        old.state = if answers { State::FailedOnline } else { State::FailedOffline };
        old.held = !voices.grouped;
        old.ladder = Ladder::failed(settings.fall, settings.rise);
    } else {
        old.state = State::Standby;
    }
}
