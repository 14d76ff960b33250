//! Operators' orders in force: overrides, maintenance and freezes, their time limits, and what rules would do without them
//! (rule 13 of the design).

use super::commands::Done;
use super::event::{EventKind, Severity};
use super::input::Command;
use super::outbox::Outbox;
use super::pool_machine::PoolMachine;
use super::time::{Duration, Now, Time};
use crate::policy::mpp::orders as mpp_orders;
use crate::policy::safe::{Pin, orders as safe_orders, table};
use crate::policy::{Refusal, mpp, rule_sentence, safe};
use crate::pool::node::Window;
use crate::pool::overrides::types_in_force;
use crate::pool::{Freeze, Judge, MaintenanceRole, NodeOverride, NodeType, Override, State, Status};
use crate::store::StoredPool;
use crate::store::utc::format_utc;

/// So long before its end an order warns.
const WARNING: Duration = Duration::from_secs(60);

/// An order and its end on the monotonic clock, which alone decides.
#[derive(Clone, Debug)]
pub struct Standing<T> {
    /// What was ordered.
    pub order: T,
    /// When it ends.
    until: Option<Time>,
    /// That it is about to end has been told.
    warned: bool,
}

impl<T> Standing<T> {
    fn new(order: T, now: Time, left: Option<Duration>) -> Standing<T> {
        let until = left.map(|left| now + left);
        // Who gave it less than that long was told its end with the answer.
        Standing { order, until, warned: left.is_some_and(|left| left <= WARNING) }
    }

    fn is_over(&self, now: Time) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether the warning is due, which is given once.
    fn warn(&mut self, now: Time) -> bool {
        let due = self.until.is_some_and(|until| until - WARNING <= now);
        due && !core::mem::replace(&mut self.warned, true)
    }

    fn timer(&self) -> Option<Time> {
        self.until.map(|until| if self.warned { until } else { until - WARNING })
    }

    /// How long it still holds; `None` without a limit.
    pub fn left(&self, now: Time) -> Option<Duration> {
        self.until.map(|until| until.since(now))
    }
}

/// What operators ordered in one pool.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// One override or maintenance for each node.
    pub nodes: Vec<Option<Standing<NodeOverride>>>,
    /// A freeze.
    pub frozen: Option<Standing<Freeze>>,
    /// What rules would have made of each node, and which: the event was given.
    pub would: Vec<Option<(u16, State)>>,
}

/// What is left of a stored order's time.
///
/// The wall clock carries it over a restart. A clock that was set back since the last write is not believed: the order
/// does not hold longer than what was left when it was written.
fn left(since_ms: u64, until_ms: Option<u64>, written_ms: u64, now: Now) -> Option<Duration> {
    let clock = now.wall_ms.max(written_ms).max(since_ms);
    until_ms.map(|until| Duration::from_millis(until.saturating_sub(clock)))
}

fn wall_after(now: Now, left: Option<Duration>) -> Option<u64> {
    let ms = u64::try_from(left?.as_millis()).unwrap_or(u64::MAX);
    Some(now.wall_ms.saturating_add(ms))
}

impl Orders {
    /// The orders as they were stored. `names` are the pool's nodes.
    pub fn restore(names: &[&str], stored: Option<&StoredPool>, written_ms: u64, now: Now) -> Orders {
        let node = |name: &&str| {
            let stored = stored.filter(|s| !s.removed.iter().any(|removed| removed == name))?;
            let mut order = stored.nodes.iter().find(|s| s.name == **name)?.override_.clone()?;
            let left = left(order.since_ms, order.until_ms, written_ms, now);
            order.until_ms = wall_after(now, left);
            Some(Standing::new(order, now.mono, left))
        };
        let frozen = stored.and_then(|s| s.frozen.clone()).map(|mut freeze| {
            let left = left(freeze.since_ms, freeze.until_ms, written_ms, now);
            freeze.until_ms = wall_after(now, left);
            Standing::new(freeze, now.mono, left)
        });
        Orders { nodes: names.iter().map(node).collect(), frozen, would: vec![None; names.len()] }
    }

    fn timer(&self) -> Option<Time> {
        let nodes = self.nodes.iter().flatten().filter_map(Standing::timer);
        nodes.chain(self.frozen.as_ref().and_then(Standing::timer)).min()
    }

    fn set(&self, node: usize) -> Override {
        self.nodes.get(node).and_then(Option::as_ref).map(|s| s.order.set).unwrap_or_default()
    }
}

/// The numbers of one policy for the same thing.
struct Rules {
    set: u16,
    second_primary: u16,
    ended: u16,
    nothing_set: u16,
    frozen: u16,
    unfrozen: u16,
    not_frozen: u16,
    run_out: u16,
    runs_out: u16,
    taken_out: u16,
}

const SAFE: Rules = Rules {
    set: table::SET,
    second_primary: table::SECOND_PRIMARY,
    ended: table::ENDED,
    nothing_set: table::NOTHING_SET,
    frozen: table::FROZEN,
    unfrozen: table::UNFROZEN,
    not_frozen: table::NOT_FROZEN,
    run_out: table::RUN_OUT,
    runs_out: table::RUNS_OUT,
    taken_out: table::TAKEN_OUT,
};

const MPP: Rules = Rules {
    set: mpp_orders::SET,
    second_primary: mpp_orders::SECOND_PRIMARY,
    ended: mpp_orders::ENDED,
    nothing_set: mpp_orders::NOTHING_SET,
    frozen: mpp_orders::FROZEN,
    unfrozen: mpp_orders::UNFROZEN,
    not_frozen: mpp_orders::NOT_FROZEN,
    run_out: mpp_orders::RUN_OUT,
    runs_out: mpp_orders::RUNS_OUT,
    taken_out: mpp_orders::TAKEN_OUT,
};

fn refuse<T>(rule: u16, reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { rule, reason: reason.into() })
}

impl PoolMachine {
    fn rules(&self) -> &'static Rules {
        match self.judge {
            Judge::Safe { .. } => &SAFE,
            Judge::Mpp { .. } => &MPP,
        }
    }

    /// The status as everybody sees it.
    pub fn status_of(&self, node: usize) -> Status {
        self.orders.set(node).status.unwrap_or(self.judge.status(node))
    }

    /// PRIMARY or SECONDARY, as it is in force.
    pub fn type_of(&self, node: usize) -> NodeType {
        match &self.judge {
            Judge::Safe { model, .. } => model.members[node].node_type,
            Judge::Mpp { members, .. } => members[node].node_type,
        }
    }

    /// The share of clients in force.
    pub fn weight_of(&self, node: usize) -> u32 {
        self.orders.set(node).weight.unwrap_or(self.nodes[node].config.weight)
    }

    /// Whether the node's faults alarm nobody.
    pub fn in_maintenance(&self, node: usize) -> bool {
        let order = self.orders.nodes.get(node).and_then(Option::as_ref);
        // Until it has given the role away it serves, and its faults matter.
        let leaving =
            matches!(&self.judge, Judge::Safe { model, .. } if model.members[node].pin == Pin::Leave);
        order.is_some_and(|s| s.order.maintenance.is_some()) && !leaving
    }

    /// What becomes of the role in the node's maintenance, if it is in one or on its way there.
    pub(super) fn maintenance_of(&self, node: usize) -> Option<MaintenanceRole> {
        self.orders.nodes.get(node)?.as_ref()?.order.maintenance
    }

    /// A fault of the node, as urgent as it is outside a maintenance.
    pub(super) fn urgency(&self, node: Option<usize>, severity: Severity) -> Severity {
        if node.is_some_and(|n| self.in_maintenance(n)) { Severity::Info } else { severity }
    }

    /// Carries out an order, or says by which rule not.
    pub(super) fn order(&mut self, now: Now, command: &Command) -> Result<Done, Refusal> {
        let active = self.judge.active();
        let mut severity = Severity::Info;
        let (rule, node, words) = match command {
            Command::Override { node, set, reason, limit } => {
                let node = node.node;
                let bar = self.forced(node, set.state);
                let rule = self.set_override(node, set)?;
                let order = self.new_order(now, *set, None, reason, *limit);
                let mut words = format!("{order}{}", end_words(&order.reason, order.until_ms));
                if let Some(bar) = bar {
                    severity = Severity::Warning;
                    words.push_str(&format!("; by the rules it could not take over: {bar}"));
                }
                self.orders.nodes[node] = Some(Standing::new(order, now.mono, *limit));
                (rule, Some(node), words)
            }
            Command::Maintenance { node, role, reason, limit } => {
                let node = node.node;
                let rule = self.begin_maintenance(node, *role)?;
                let order = self.new_order(now, Override::default(), Some(*role), reason, *limit);
                let words = end_words(&order.reason, order.until_ms);
                self.orders.nodes[node] = Some(Standing::new(order, now.mono, *limit));
                self.gate.forget_waiting();
                (rule, Some(node), words)
            }
            Command::ClearOverride(node) => {
                let node = node.node;
                let rules = self.rules();
                let Some(standing) = self.orders.nodes[node].take() else {
                    return refuse(rules.nothing_set, self.nodes[node].name.clone());
                };
                self.release(node);
                (rules.ended, Some(node), format!("it was {}", standing.order))
            }
            Command::Freeze { reason, limit, .. } => {
                match &mut self.judge {
                    Judge::Safe { model, .. } => _ = safe_orders::freeze(model),
                    Judge::Mpp { settings, .. } => settings.frozen = true,
                }
                let until_ms = wall_after(now, *limit);
                let words = end_words(reason, until_ms);
                let freeze = Freeze { reason: reason.clone(), since_ms: now.wall_ms, until_ms };
                self.orders.frozen = Some(Standing::new(freeze, now.mono, *limit));
                (self.rules().frozen, None, words)
            }
            Command::Unfreeze(_) => {
                let rules = self.rules();
                if self.orders.frozen.take().is_none() {
                    return refuse(rules.not_frozen, "there is nothing to end");
                }
                self.unfreeze();
                (rules.unfrozen, None, String::new())
            }
            Command::RecoverNode(_)
            | Command::RecoverPool(_)
            | Command::ActivatePrimary(_)
            | Command::RemoveNode(_) => return refuse(0, "no order"),
        };
        if let Some(node) = node {
            self.settle_types();
            self.orders.would[node] = None;
        }
        let new = self.judge.active().filter(|&new| Some(new) != active);
        for node in [node, new].into_iter().flatten() {
            self.nodes[node].rule = rule;
        }
        let sentence = rule_sentence(rule).unwrap_or_default();
        let mut message = match node {
            Some(node) => format!("{}: {sentence}", self.nodes[node].name),
            None => format!("pool {}: {sentence}", self.config.name),
        };
        if !words.is_empty() {
            message.push_str(&format!(" ({words})"));
        }
        if let Some(new) = new.filter(|&new| Some(new) != node) {
            message.push_str(&format!("; {} is ACTIVE now", self.nodes[new].name));
        }
        Ok(Done { rule, node, message, severity })
    }

    fn new_order(
        &self,
        now: Now,
        set: Override,
        maintenance: Option<MaintenanceRole>,
        reason: &str,
        limit: Option<Duration>,
    ) -> NodeOverride {
        let until_ms = wall_after(now, limit);
        NodeOverride { set, maintenance, reason: reason.to_string(), since_ms: now.wall_ms, until_ms }
    }

    /// Why rules would not give the role to a node that an operator makes ACTIVE.
    fn forced(&self, node: usize, state: Option<State>) -> Option<String> {
        let Judge::Safe { model, .. } = &self.judge else { return None };
        let new = state == Some(State::Active) && model.members[node].state != State::Active;
        model.bar(node).filter(|_| new).map(safe::Bar::sentence)
    }

    fn set_override(&mut self, node: usize, set: &Override) -> Result<u16, Refusal> {
        let rules = self.rules();
        if self.judge.is_removed(node) {
            return refuse(rules.taken_out, "a start with an empty cache brings it back");
        }
        let primary = |i: &usize| *i != node && self.orders.set(*i).node_type == Some(NodeType::Primary);
        if set.node_type == Some(NodeType::Primary)
            && let Some(other) = (0..self.nodes.len()).find(primary)
        {
            return refuse(rules.second_primary, self.nodes[other].name.clone());
        }
        let Some(state) = set.state else {
            self.release(node);
            return Ok(rules.set);
        };
        match &mut self.judge {
            Judge::Safe { model, settings, .. } => safe_orders::set_state(model, settings, node, state),
            Judge::Mpp { members, .. } => mpp_orders::set_state(members, node, state),
        }
    }

    fn begin_maintenance(&mut self, node: usize, role: MaintenanceRole) -> Result<u16, Refusal> {
        match &mut self.judge {
            Judge::Safe { model, settings, .. } => safe_orders::maintain(model, settings, node, role),
            Judge::Mpp { members, .. } => mpp_orders::maintain(members, node, role),
        }
    }

    /// Rules decide about the node again, and count anew.
    fn release(&mut self, node: usize) {
        let fixed = match &mut self.judge {
            Judge::Safe { model, settings, .. } => {
                let fixed = model.members[node].pin == Pin::Fixed;
                // A node that nothing fixes has nothing to end.
                let _ = safe_orders::end(model, settings, node);
                fixed
            }
            Judge::Mpp { members, .. } => {
                let fixed = members[node].fixed;
                if fixed {
                    mpp_orders::release(&mut members[node]);
                }
                fixed
            }
        };
        if fixed {
            self.count_anew(node);
        }
        self.end_stale_doubt();
    }

    fn unfreeze(&mut self) {
        match &mut self.judge {
            Judge::Safe { model, settings, .. } => {
                let _ = safe_orders::unfreeze(model, settings);
            }
            Judge::Mpp { members, settings } => {
                settings.frozen = false;
                members.iter_mut().for_each(mpp_orders::restart);
            }
        }
        (0..self.nodes.len()).for_each(|node| self.count_anew(node));
        self.end_stale_doubt();
    }

    /// What was seen before says nothing any more about how long a fault has lasted.
    fn count_anew(&mut self, node: usize) {
        let n = &mut self.nodes[node];
        n.window = Window::default();
        n.silent_since = None;
        self.orders.would[node] = None;
        if let Judge::Safe { counts, .. } = &mut self.judge {
            counts[node] = counts[node].map(|_| 0);
        }
    }

    /// A doubt that ended because the counts began anew ended neither well nor badly.
    fn end_stale_doubt(&mut self) {
        if matches!(&self.judge, Judge::Safe { model, .. } if !model.in_doubt()) {
            self.doubt_since = None;
            self.forget_hearing();
        }
        self.barred_since = None;
        self.alarmed.clear();
    }

    /// Brings the types in force to the tables.
    pub(super) fn settle_types(&mut self) {
        let sets: Vec<(NodeType, Option<NodeType>)> = (0..self.nodes.len())
            .map(|i| (self.nodes[i].config.node_type, self.orders.set(i).node_type))
            .collect();
        let types = types_in_force(&sets);
        match &mut self.judge {
            Judge::Mpp { members, .. } => {
                members.iter_mut().zip(types).for_each(|(m, node_type)| m.node_type = node_type);
            }
            Judge::Safe { model, .. } => {
                if model.members.iter().zip(&types).all(|(m, t)| m.node_type == *t) {
                    return;
                }
                for (m, node_type) in model.members.iter_mut().zip(types) {
                    m.node_type = node_type;
                    m.owed &= node_type == NodeType::Primary;
                }
                // A hand-back goes to the PRIMARY; who that is has changed.
                if !model.is_leaving() {
                    model.hand_over = None;
                }
            }
        }
    }

    /// A node was taken out: orders about it are void.
    pub(super) fn forget_orders(&mut self, node: usize) {
        self.orders.nodes[node] = None;
        self.orders.would[node] = None;
        self.settle_types();
    }

    /// When an order has to be looked at again.
    pub(super) fn orders_timer(&self) -> Option<Time> {
        self.orders.timer()
    }

    /// Warns of orders that are about to end, and ends those whose time is up. Nothing switches by that alone: no rule
    /// looks at the pool before something is observed.
    pub(super) fn run_out(&mut self, now: Now, out: &mut Outbox) {
        if self.orders.timer().is_none_or(|at| at > now.mono) {
            return;
        }
        let rules = self.rules();
        for node in 0..self.nodes.len() {
            let Some(standing) = &mut self.orders.nodes[node] else { continue };
            let words = format!("{}{}", standing.order, end_words(&standing.order.reason, None));
            if standing.is_over(now.mono) {
                self.change(now, out, |pool| pool.end_by_time(node));
                self.tell_order(now, Some(node), rules.run_out, words, out);
            } else if standing.warn(now.mono) {
                self.tell_order(now, Some(node), rules.runs_out, words, out);
            }
        }
        let Some(standing) = &mut self.orders.frozen else { return };
        let words = format!("freeze{}", end_words(&standing.order.reason, None));
        if standing.is_over(now.mono) {
            self.orders.frozen = None;
            self.change(now, out, |pool| {
                pool.unfreeze();
                pool.failback_waits();
            });
            self.tell_order(now, None, rules.run_out, words, out);
        } else if standing.warn(now.mono) {
            self.tell_order(now, None, rules.runs_out, words, out);
        }
    }

    fn end_by_time(&mut self, node: usize) {
        let Some(standing) = self.orders.nodes[node].take() else { return };
        let order = standing.order;
        self.release(node);
        self.settle_types();
        self.nodes[node].rule = self.rules().run_out;
        if order.maintenance.is_some() || order.set.state.is_some() || order.set.node_type.is_some() {
            self.failback_waits();
        }
    }

    /// Who has the role keeps it although the PRIMARY could have it back: that would be a switch by a clock.
    fn failback_waits(&mut self) {
        if let Judge::Safe { model, .. } = &mut self.judge {
            model.failback_waits = true;
        }
    }

    fn tell_order(&mut self, now: Now, node: Option<usize>, rule: u16, words: String, out: &mut Outbox) {
        let sentence = rule_sentence(rule).unwrap_or_default();
        let text = format!("{sentence}: {words}");
        self.tally.fired(rule);
        out.emit(now, self.draft(EventKind::Command, Severity::Warning, node, rule, text));
        out.dirty = true;
    }

    /// What rules would do if no operator had ordered anything, on this occasion, under `safe`; taken before they look.
    pub(super) fn without_orders(
        &self,
        dues: safe::Dues,
        occasion: safe::Occasion,
    ) -> Option<(safe::Model, safe::Verdict)> {
        let Judge::Safe { model, settings, .. } = &self.judge else { return None };
        let fixed = model.members.iter().any(|m| m.pin == Pin::Fixed);
        if !model.frozen && !fixed {
            return None;
        }
        let mut model = model.clone();
        model.frozen = false;
        model.members.iter_mut().for_each(|m| m.pin = Pin::Free);
        let verdict = safe::evaluate(&mut model, &table::IN_FORCE, settings, dues, occasion);
        Some((model, verdict))
    }

    /// Tells once what rules would have made of a node. `seen` is the node that was observed.
    pub(super) fn tell_would(
        &mut self,
        now: Now,
        seen: Option<usize>,
        would: impl Fn(usize) -> State,
        rule: impl Fn(usize) -> u16,
        out: &mut Outbox,
    ) {
        for node in 0..self.nodes.len() {
            let state = would(node);
            let other = (state != self.judge.state(node)).then(|| (rule(node), state));
            if other.is_none() && seen.is_some_and(|seen| seen != node) {
                continue;
            }
            let told = core::mem::replace(&mut self.orders.would[node], other);
            let Some((rule, state)) = other.filter(|_| told != other && !self.in_maintenance(node)) else {
                continue;
            };
            let sentence = rule_sentence(rule).unwrap_or_default();
            let text = format!("but for an operator's order it would be {state} by rule {rule}: {sentence}");
            self.tally.fired(rule);
            out.emit(now, self.draft(EventKind::Log, Severity::Warning, Some(node), rule, text));
        }
    }

    /// What the table of `mpp` would make of the nodes if no operator had ordered anything.
    pub(super) fn cycle_without_orders(
        &self,
        findings: &[Option<mpp::Finding>],
        status: crate::pool::PoolStatus,
    ) -> Option<Vec<(State, u16)>> {
        let Judge::Mpp { members, settings } = &self.judge else { return None };
        if !settings.frozen && !members.iter().any(|m| m.fixed) {
            return None;
        }
        let mut members = members.clone();
        members.iter_mut().for_each(|m| m.fixed = false);
        let settings = mpp::Settings { frozen: false, ..*settings };
        let verdicts = mpp::cycle(&mut members, findings, settings, status);
        let rule = |i: usize| verdicts.iter().find(|v| v.node == i).map_or(0, |v| v.rule);
        Some(members.iter().enumerate().map(|(i, m)| (m.state, rule(i))).collect())
    }
}

/// The reason, and the end if there is one.
pub(super) fn end_words(reason: &str, until_ms: Option<u64>) -> String {
    let reason = format!(", reason: {reason}");
    match until_ms.and_then(format_utc) {
        Some(end) => format!("{reason}; until {end}"),
        None => reason,
    }
}
