//! Finds what would change a decision: the rules run on a copy of the pool's model with the inputs that come to mind,
//! and what they lead to is stated. Nothing is stated that the rules do not say.

use super::change::{Change, Outcome, Sight, Step};
use super::pool_machine::PoolMachine;
use super::time::Now;
use crate::policy::mpp::{self, Finding};
use crate::policy::safe::{self, Bar, Dues, Evidence, Model, Occasion, RoleAction, Settings, command, table};
use crate::pool::node::Window;
use crate::pool::{Judge, NodeType, PoolStatus, State, Status};
use crate::probe::Class;

/// More observations than any ladder has steps are not tried.
const MOST: u32 = 1000;

impl PoolMachine {
    /// What would change the decision, most telling first. Nothing where the pool follows: others decide there.
    pub(super) fn would_change(&self, now: Now) -> Vec<Change> {
        match &self.judge {
            // Others decide; what they would have to say, `explain` says in its own words.
            Judge::Safe { .. } if self.following.is_some() || self.owner.is_some() => Vec::new(),
            Judge::Safe { model, settings, .. } => safe_changes(self, model, settings, now),
            Judge::Mpp { members, settings } => mpp_changes(self, members, *settings),
        }
    }
}

/// A copy of a pool under `safe`, on which inputs are tried.
#[derive(Clone)]
struct Trial<'a> {
    model: Model,
    windows: Vec<Window>,
    settings: &'a Settings,
    dues: Dues,
}

impl Trial<'_> {
    /// The rules look at an occasion; gives the row about the role.
    fn look(&mut self, occasion: Occasion) -> (safe::Verdict, u16) {
        let before: Vec<State> = self.model.members.iter().map(|m| m.state).collect();
        let verdict = safe::evaluate(&mut self.model, &table::IN_FORCE, self.settings, self.dues, occasion);
        for (i, was) in before.iter().enumerate() {
            if self.model.members[i].state != *was || self.model.status(i, self.settings) == Status::Fail {
                self.windows[i] = Window::default();
            }
        }
        let role = verdict.roles.last().map_or(0, |&(rule, _)| rule);
        (verdict, role)
    }

    fn see(&mut self, node: usize, sight: Sight) -> (safe::Verdict, u16) {
        let class = match sight {
            Sight::Good => Class::Ok,
            Sight::Bad => Class::Gone,
        };
        let mut evidence = Evidence::of(class);
        self.windows[node].push(evidence.counts());
        evidence.window_bad = self.windows[node].is_bad();
        self.look(Occasion::Observed(node, evidence))
    }

    /// Sees a node until something holds; how often that took, and what the last evaluation decided.
    fn see_until(
        &mut self,
        node: usize,
        sight: Sight,
        holds: impl Fn(&Trial<'_>) -> bool,
    ) -> Option<(Step, safe::Verdict, u16)> {
        for times in 1..=self.most() {
            let (verdict, role) = self.see(node, sight);
            if holds(self) {
                return Some((Step::Seen { node, sight, times }, verdict, role));
            }
        }
        None
    }

    fn most(&self) -> u32 {
        (4 * (self.settings.fall + self.settings.rise)).min(MOST)
    }

    fn status(&self, node: usize) -> Status {
        self.model.status(node, self.settings)
    }

    /// Who is ACTIVE after the steps, other than before.
    fn crowned(&self, before: Option<usize>, rule: u16, steps: Vec<Step>) -> Option<Change> {
        let active = self.model.active().filter(|&a| Some(a) != before)?;
        Some(Change { steps, then: Outcome::Active(active), rule })
    }
}

fn safe_changes(pool: &PoolMachine, model: &Model, settings: &Settings, now: Now) -> Vec<Change> {
    let trial = Trial {
        model: model.clone(),
        windows: pool.nodes.iter().map(|n| n.window).collect(),
        settings,
        dues: pool.dues(now.mono),
    };
    let mut changes = Vec::new();
    let others: Vec<usize> =
        model.preference().filter(|&i| Some(i) != model.active() && !model.members[i].removed).collect();
    if let Some(active) = model.active() {
        about_active(&mut changes, &trial, active, &others);
    }
    if let Some(left) = pool.last_resort_timer(now.mono).map(|at| at.since(now.mono)) {
        let mut t = trial.clone();
        t.dues.last_resort = true;
        let (_, rule) = t.look(Occasion::Look);
        changes.extend(t.crowned(model.active(), rule, vec![Step::Wait(left)]));
    }
    for node in others {
        about_other(&mut changes, &trial, node);
    }
    let mut t = trial.clone();
    if command::activate_primary(&mut t.model).is_ok() {
        t.dues.hand_back = true;
        let (verdict, rule) = t.look(Occasion::Look);
        let begins = verdict.roles.iter().any(|(_, action)| *action == RoleAction::BeginHandOver);
        if let Some(heir) = t.model.hand_over.filter(|_| begins) {
            changes.push(Change {
                steps: vec![Step::ActivatePrimary],
                then: Outcome::HandOver(heir.to),
                rule,
            });
        }
    }
    changes
}

fn about_active(changes: &mut Vec<Change>, trial: &Trial<'_>, active: usize, others: &[usize]) {
    let mut t = trial.clone();
    let mut steps = Vec::new();
    let moved = |t: &Trial<'_>| t.model.active() != Some(active);
    if trial.status(active) != Status::Fail || trial.model.candidate().is_some() {
        // Where another may take over already, a doubt holds the node: proof that it is gone ends that.
        let at_the_end = |t: &Trial<'_>| moved(t) || t.status(active) == Status::Fail;
        let Some((step, _, rule)) = t.see_until(active, Sight::Bad, at_the_end) else { return };
        steps.push(step);
        let then = t.model.active().filter(|&a| a != active);
        let then = then.map_or(Outcome::KeptAtFail(active), Outcome::Active);
        changes.push(Change { steps: steps.clone(), then, rule });
    }
    if !moved(&t) {
        for &node in others {
            let mut t = t.clone();
            let (_, rule) = t.see(node, Sight::Good);
            let seen = Step::Seen { node, sight: Sight::Good, times: 1 };
            let steps = steps.iter().copied().chain([seen]).collect();
            changes.extend(t.crowned(Some(active), rule, steps));
        }
    }
    // A hand-over that ends meanwhile would take the role away, and what was counted with it.
    if trial.status(active) != Status::Ok && trial.model.hand_over.is_none() {
        let mut t = trial.clone();
        let well = |t: &Trial<'_>| t.status(active) == Status::Ok;
        if let Some((step, verdict, _)) = t.see_until(active, Sight::Good, well) {
            let then = Outcome::Reaches(active, Status::Ok);
            // What another row says about the role does not come about by an observation of the ACTIVE node in good order.
            if t.model.active() == Some(active) {
                changes.push(Change { steps: vec![step], then, rule: verdict.charge });
            }
        }
    }
}

fn about_other(changes: &mut Vec<Change>, trial: &Trial<'_>, node: usize) {
    let before = trial.model.active();
    let member = &trial.model.members[node];
    if let Some(bar) = trial.model.bar(node) {
        let mut t = trial.clone();
        let mut steps = Vec::new();
        let recovers =
            bar == Bar::WaitsForRecover && command::recover(&mut t.model, t.settings, node).is_ok();
        if recovers {
            steps.push(Step::Recover(node));
            t.look(Occasion::Look);
        }
        let free = |t: &Trial<'_>| t.model.bar(node).is_none() || t.model.active() == Some(node);
        if let Some((step, verdict, rule)) = t.see_until(node, Sight::Good, free) {
            steps.push(step);
            if t.model.active() == Some(node) {
                // The way by which a failed ACTIVE node is followed has been stated already.
                if before.is_none() || recovers {
                    changes.extend(t.crowned(before, rule, steps));
                }
            } else if member.state != State::Standby && t.model.members[node].state == State::Standby {
                let rule = verdict.state;
                changes.push(Change { steps, then: Outcome::Becomes(node, State::Standby), rule });
            } else {
                changes.push(Change { steps, then: Outcome::MayTakeOver(node), rule: 0 });
            }
        }
    } else if before.is_none() {
        // It may, and waits for a better one.
        let mut t = trial.clone();
        let holds = |t: &Trial<'_>| t.model.active() == Some(node);
        if let Some((step, _, rule)) = t.see_until(node, Sight::Good, holds) {
            changes.extend(t.crowned(before, rule, vec![step]));
        }
    }
    if matches!(member.state, State::Standby | State::Unknown) {
        let mut t = trial.clone();
        let failed = |t: &Trial<'_>| t.model.members[node].state.is_failed();
        if let Some((step, verdict, _)) = t.see_until(node, Sight::Bad, failed) {
            let then = Outcome::Becomes(node, t.model.members[node].state);
            changes.push(Change { steps: vec![step], then, rule: verdict.state });
        }
    }
}

fn mpp_changes(pool: &PoolMachine, members: &[mpp::Member], settings: mpp::Settings) -> Vec<Change> {
    let mut changes = Vec::new();
    if pool.status == PoolStatus::Fail {
        let then = Outcome::Pool(PoolStatus::Ok);
        changes.push(Change { steps: vec![Step::RecoverPool], then, rule: mpp::RECOVER_POOL });
    }
    let status = pool.standing_status();
    // Cycles that find this of one node and look at no other, until something holds.
    let cycles = |members: &mut Vec<mpp::Member>,
                  node: usize,
                  sight: Sight,
                  holds: &dyn Fn(&[mpp::Member]) -> bool| {
        let finding = if sight == Sight::Good { Finding::Healthy } else { Finding::ConnectFailed };
        for times in 1..=settings.levels.saturating_add(2).min(MOST) {
            let mut findings = vec![None; members.len()];
            findings[node] = Some(finding);
            let verdicts = mpp::cycle(members, &findings, settings, status);
            let rule = verdicts.iter().find(|v| v.node == node).map_or(0, |v| v.rule);
            if holds(members) {
                return Some((Step::Seen { node, sight, times }, rule));
            }
        }
        None
    };
    for (node, member) in members.iter().enumerate().filter(|(_, m)| !m.removed) {
        let mut after = members.to_vec();
        let becomes = |state: State| move |m: &[mpp::Member]| m[node].state == state;
        let mut steps = Vec::new();
        let found = match member.state {
            State::Active => cycles(&mut after, node, Sight::Bad, &becomes(State::FailedOffline)),
            State::Unknown => cycles(&mut after, node, Sight::Good, &becomes(State::Standby)),
            State::FailedOnline | State::FailedOffline => {
                mpp::recover(&mut after[node]).ok().map(|rule| (Step::Recover(node), rule))
            }
            State::Standby if member.node_type == NodeType::Primary => {
                mpp::activate_primary(&mut after, settings.frozen)
                    .ok()
                    .map(|(rule, _)| (Step::ActivatePrimary, rule))
            }
            State::Standby => {
                let above =
                    |i: usize| (members[i].node_type, i) < (member.node_type, node) && !members[i].removed;
                for other in (0..members.len()).filter(|&i| above(i)) {
                    if matches!(after[other].status, Status::Ok | Status::OkWarn) {
                        let failed = |m: &[mpp::Member]| m[other].status == Status::Fail;
                        let step = cycles(&mut after, other, Sight::Bad, &failed);
                        steps.extend(step.map(|(step, _)| step));
                    }
                }
                cycles(&mut after, node, Sight::Good, &becomes(State::Active))
            }
        };
        if let Some((step, rule)) = found {
            steps.push(step);
            changes.push(Change { steps, then: Outcome::Becomes(node, after[node].state), rule });
        }
    }
    changes
}
