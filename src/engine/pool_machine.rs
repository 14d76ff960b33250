//! One pool in motion: observations and commands pass the policy, and what it decides becomes events,
//! epochs and stored state.

use super::checkpoints::Checks;
use super::commands::Done;
use super::event::{EventKind, Severity};
use super::follow::Following;
use super::hand_over::{GateView, HandOverGate};
use super::input::Command;
use super::orders::Orders;
use super::outbox::Outbox;
use super::recovery::Bucket;
use super::telling::Before;
use super::time::{Now, Time};
use super::vantage::{Look, Vantage};
use crate::config::{LastResort, PoolConfig, ProbeMode};
use crate::metrics::PoolTally;
use crate::policy::follow::Owner;
use crate::policy::{mpp, reload, rule_sentence, safe};
use crate::pool::evidence::Surroundings;
use crate::pool::{Judge, Node, PoolKind, PoolStatus, State, Status};
use crate::probe::{Class, Observation};
use crate::select::PoolSelection;
use crate::store::{StoredNode, StoredPool};

/// Whether and for how long the library probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// Not at all.
    No,
    /// One cycle with its burst, begun at this time.
    Once(Time),
    /// Until stopped.
    Yes,
}

/// One pool.
#[derive(Clone, Debug)]
pub struct PoolMachine {
    /// Index of the pool.
    pub index: usize,
    /// How it is configured.
    pub config: PoolConfig,
    /// Who is what.
    pub judge: Judge,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// Raised at every change of the ACTIVE node.
    pub epoch: u64,
    /// Epochs up to this one may be used; the mark is on disk or on its way.
    pub epoch_reserved: u64,
    /// The next epoch is above this one.
    pub epoch_floor: u64,
    /// The pool as a whole.
    pub status: PoolStatus,
    /// Who probes.
    pub running: Running,
    /// When the ACTIVE node's first bad observation came, while it is in doubt.
    pub doubt_since: Option<Time>,
    /// Since when the ACTIVE node, at FAIL, is held in doubt.
    pub held_since: Option<Time>,
    /// Since when the ACTIVE node is at FAIL while a good one waits for `recover`.
    pub barred_since: Option<Time>,
    /// What is left of recoveries without an operator.
    pub bucket: Bucket,
    /// No node of the instance answers: nothing is to be gained by looking closely.
    pub cut_off: bool,
    /// The rules by which the alarm about a last node has been given.
    pub alarmed: Vec<u16>,
    /// What is known of its checkpoints.
    pub checks: Checks,
    /// What the nodes say about who takes writes, where the pool follows.
    pub following: Option<Following>,
    /// Who holds the pool's address, where that decides who is ACTIVE.
    pub owner: Option<Owner>,
    /// The gate of a planned hand-over.
    pub gate: HandOverGate,
    /// What is counted of its rules.
    pub tally: PoolTally,
    /// What operators ordered.
    pub orders: Orders,
    /// Where clients are sent.
    pub selection: PoolSelection,
    /// `mpp`: findings of the cycle under way, and when it began.
    pub findings: Vec<Option<mpp::Finding>>,
    /// `mpp`: when the cycle under way, or the last one, began.
    pub cycle_started: Option<Time>,
    /// `mpp`: probes of a cycle are under way.
    pub cycle_open: bool,
}

/// Epochs reserved ahead, so that a switch never waits for the disk. A life's epochs are above the mark that it found
/// and above the clock at its start: the mark holds if the clock is set back, the clock if the last write was lost.
pub const EPOCH_RESERVE: u64 = 16;

impl PoolMachine {
    /// Makes a pool, as it was stored or from nothing.
    /// `written_ms` is when the stored state was written.
    pub fn new(
        index: usize,
        config: PoolConfig,
        stored: Option<&StoredPool>,
        written_ms: u64,
        now: Now,
    ) -> PoolMachine {
        let nodes: Vec<Node> = config.nodes.iter().cloned().map(Node::new).collect();
        let found: Vec<Option<&StoredNode>> = nodes
            .iter()
            .map(|n| stored.and_then(|s| s.nodes.iter().find(|stored| stored.name == n.name)))
            .collect();
        let names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
        let orders = Orders::restore(&names, stored, written_ms, now);
        let judge = Judge::new(&config, &found, stored);
        let epoch = stored.map_or(now.wall_ms, |s| s.epoch);
        let floor = stored.map_or(0, |s| s.epoch_reserved).max(epoch).max(now.wall_ms);
        let mut pool = PoolMachine {
            index,
            judge,
            epoch,
            epoch_reserved: floor.saturating_add(EPOCH_RESERVE),
            epoch_floor: floor,
            status: stored.map_or(PoolStatus::Ok, |s| s.status),
            running: Running::No,
            doubt_since: None,
            held_since: None,
            barred_since: None,
            bucket: Bucket::default(),
            cut_off: false,
            alarmed: Vec::new(),
            checks: Checks::new(config.nodes.iter().map(|n| n.checkpoints.len())),
            following: Following::new(config.kind, nodes.len()),
            owner: None,
            gate: HandOverGate::default(),
            tally: PoolTally::default(),
            orders,
            selection: PoolSelection::new(&config.services),
            findings: vec![None; nodes.len()],
            cycle_started: None,
            cycle_open: false,
            nodes,
            config,
        };
        for (i, stored) in found.into_iter().enumerate() {
            let Some(stored) = stored else { continue };
            let node = &mut pool.nodes[i];
            node.rule = stored.rule;
            node.observed_ms = stored.observed_ms;
            node.changed_ms = stored.changed_ms;
            node.stored_message.clone_from(&stored.message);
            // How long it has been one already nobody knows.
            node.standby_since = (stored.state == State::Standby).then_some(now.mono);
        }
        if let Some(stored) = stored {
            for (i, node) in config_nodes(&pool.nodes) {
                if stored.removed.contains(&node) {
                    pool.judge.mark_removed(i);
                }
            }
        }
        pool
    }

    /// Takes in an observation; under `mpp` it waits for the cycle to close.
    pub fn observed(
        &mut self,
        now: Now,
        node: usize,
        mut observation: Observation,
        vantage: &mut Vantage,
        out: &mut Outbox,
    ) {
        if self.judge.is_removed(node) {
            return;
        }
        self.discard_if_late(now, node, &mut observation, out);
        self.nodes[node].tally.observe(&observation);
        let around = self.surroundings();
        let (class, note) = around.class(node, &observation, now.mono);
        if let Some(note) = note {
            observation.message = note;
        }
        let class = self.forgive_left_over(node, class, &mut observation);
        let (look, started) = (Look::of(&observation), observation.started);
        self.nodes[node].remember(observation, class, now.wall_ms);
        let isolated = self.is_isolated(now, node, look, vantage, out);
        // Only what a host acknowledged long ago told a server that hangs from one that is out of reach.
        let class = if isolated && class == Class::Hung { Class::Silent } else { class };
        match &self.judge {
            Judge::Mpp { .. } => {
                self.findings[node] = match class {
                    Class::Ok => Some(mpp::Finding::Healthy),
                    Class::Replication => Some(mpp::Finding::ReplicationFailed),
                    // The original knows no fault of its own: who cannot look has not looked.
                    Class::Blind => None,
                    Class::Gone | Class::Hung | Class::Silent | Class::Refusing => {
                        Some(mpp::Finding::ConnectFailed)
                    }
                };
                if self.cycle_open && self.findings[node] == Some(mpp::Finding::ConnectFailed) {
                    self.look_at_checkpoints(now, node, out);
                }
            }
            Judge::Safe { .. } => {
                self.listen(node, started);
                self.hear(node, class, started);
                let around = Surroundings { isolated, ..self.surroundings() };
                let mut evidence = around.evidence(node, class, now.mono);
                self.nodes[node].met_good |= evidence.is_good_standby();
                if !evidence.is_idle() {
                    let window = &mut self.nodes[node].window;
                    window.push(evidence.counts());
                    evidence.window_bad = window.is_bad();
                }
                self.count(node, class);
                self.evaluate(now, safe::Occasion::Observed(node, evidence), out);
                self.back_off(node, class, evidence.is_good_standby());
                self.look_at_the_waiting(now, out);
                self.try_proof(now, out);
            }
        }
    }

    /// Closes the library's own cycle once every node and every checkpoint that was asked for has been looked at.
    pub fn close_if_complete(&mut self, now: Now, out: &mut Outbox) {
        let present = |i: &usize| !self.judge.is_removed(*i);
        let probing =
            (0..self.nodes.len()).filter(present).any(|i| self.nodes[i].schedule.in_flight.is_some());
        if self.cycle_open && !probing && !self.is_checking() {
            self.close_cycle(now, None, out);
        }
    }

    /// Closes a cycle of policy `mpp`; nodes without a finding stay as they are.
    pub fn close_cycle(&mut self, now: Now, pool_status: Option<PoolStatus>, out: &mut Outbox) {
        self.cycle_open = false;
        let before = self.before();
        let findings = std::mem::take(&mut self.findings);
        self.findings = vec![None; self.nodes.len()];
        if !matches!(self.judge, Judge::Mpp { .. }) {
            return;
        }
        let cut_off = self.cut_off_node(&findings);
        // What the host's checkpoints found holds for this cycle alone; a FAIL of the library's own stays.
        let standing = self.standing_status();
        let status = match pool_status {
            Some(status) => status,
            None => self.status_of_cycle(standing, cut_off),
        };
        let would = self.cycle_without_orders(&findings, status);
        let Judge::Mpp { members, settings } = &mut self.judge else { return };
        let verdicts = mpp::cycle(members, &findings, *settings, status);
        for verdict in verdicts {
            self.nodes[verdict.node].rule = verdict.rule;
            self.tally.fired(verdict.rule);
        }
        self.status = status;
        self.tell(now, &before, out);
        if let Some(would) = would {
            self.tell_would(now, None, |i| would[i].0, |i| would[i].1, out);
        }
    }

    /// Runs the tables of `safe` on an occasion and carries out what they decide.
    pub fn evaluate(&mut self, now: Now, occasion: safe::Occasion, out: &mut Outbox) {
        let before = self.before();
        self.decide(now, occasion, &before, out);
        self.tell(now, &before, out);
    }

    /// Carries out an operator's command and what follows from it, as one change: a role that moves is never told
    /// as lost first.
    pub fn command(&mut self, now: Now, command: &Command, out: &mut Outbox) -> crate::Result<Done> {
        let before = self.before();
        let done = self.obey(now, command)?;
        self.tally.fired(done.rule);
        let draft = self.draft(EventKind::Command, done.severity, done.node, done.rule, done.message.clone());
        out.emit(now, draft);
        out.dirty = true;
        self.decide(now, safe::Occasion::Look, &before, out);
        self.tell(now, &before, out);
        Ok(done)
    }

    /// Nodes leave with the configuration; who stays may get the role, as one change.
    pub(super) fn leave(
        &mut self,
        now: Now,
        leaving: &[usize],
        out: &mut Outbox,
    ) -> Result<(), crate::policy::Refusal> {
        let before = self.before();
        let heir = reload::take_out(&mut self.judge, leaving)?;
        leaving.iter().for_each(|&node| self.blame(Some(node), reload::LEAVES));
        self.blame(heir, reload::INHERITS);
        self.decide(now, safe::Occasion::Look, &before, out);
        self.tell(now, &before, out);
        Ok(())
    }

    /// What clocks and counters say to the tables.
    pub(super) fn dues(&self, now: Time) -> safe::Dues {
        safe::Dues {
            hand_back: self.gate.is_due(now)
                && (self.is_leaving() || self.held_down_until().is_none_or(|until| until <= now)),
            heard: self.is_heard(now),
            doubt_over: self.doubt_is_over(now),
            last_resort: self.last_resort_is_due(now),
        }
    }

    /// `mpp`: the pool's status at the beginning of a cycle. What the host's checkpoints found holds for one cycle alone; a
    /// FAIL of the library's own stays.
    pub(super) fn standing_status(&self) -> PoolStatus {
        match self.config.probe_mode {
            ProbeMode::External => PoolStatus::Ok,
            ProbeMode::Builtin => self.status,
        }
    }

    fn decide(&mut self, now: Now, occasion: safe::Occasion, before: &Before, out: &mut Outbox) {
        if self.following.is_some() {
            return self.decide_by_following(now, occasion, before, out);
        }
        if let Some(owner) = self.owner {
            return self.decide_by_owner(now, owner, occasion, before, out);
        }
        let dues = self.dues(now.mono);
        let would = self.without_orders(dues, occasion);
        let Judge::Safe { model, settings, .. } = &mut self.judge else { return };
        let verdict = safe::evaluate(model, &safe::table::IN_FORCE, settings, dues, occasion);
        let in_doubt = model.in_doubt();
        let handing_over = model.hand_over.is_some();
        let decided = [verdict.charge, verdict.state].into_iter();
        decided.chain(verdict.roles.iter().map(|role| role.0)).for_each(|rule| self.tally.fired(rule));
        if let safe::Occasion::Observed(node, _) = occasion {
            let kept = before.nodes[node].0 == self.judge.state(node);
            let ordered = table_holds(verdict.state);
            self.nodes[node].rule = if kept && !ordered { verdict.charge } else { verdict.state };
        }
        // A doubt that holds the last resort back does not start its time anew.
        let barred = verdict.roles.last().is_some_and(|&(rule, action)| {
            let held = action == safe::RoleAction::KeepDoubted && self.barred_since.is_some();
            rule == safe::table::BARRED || rule == safe::table::NOBODY_BUT_BARRED || held
        });
        self.barred_since = if barred { self.barred_since.or(Some(now.mono)) } else { None };
        let active = self.judge.active();
        for &(rule, action) in &verdict.roles {
            self.carry_out(now, rule, action, before, out);
        }
        if let Some((model, free)) = would {
            let seen = match occasion {
                safe::Occasion::Observed(node, _) => Some(node),
                _ => None,
            };
            let role = free.roles.last().map_or(0, |r| r.0);
            let rule =
                |i: usize| if model.active() == Some(i) || active == Some(i) { role } else { free.state };
            self.tell_would(now, seen, |i| model.members[i].state, rule, out);
        }
        if !handing_over {
            self.gate.close();
        }
        self.tell_doubt(now, in_doubt, verdict.charge, before, out);
    }

    fn carry_out(
        &mut self,
        now: Now,
        rule: u16,
        action: safe::RoleAction,
        before: &Before,
        out: &mut Outbox,
    ) {
        let active = self.judge.active();
        match action {
            safe::RoleAction::Keep if self.active_failed() => {}
            safe::RoleAction::Keep => self.alarmed.clear(),
            safe::RoleAction::Elect => {
                self.alarmed.clear();
                self.blame(active, rule);
            }
            safe::RoleAction::TakeOver | safe::RoleAction::LastResort => {
                self.alarmed.clear();
                self.blame(before.active, rule);
                self.blame(active, rule);
            }
            safe::RoleAction::KeepLast => {
                // Nobody is woken while a stand-in may still turn out to be good.
                if !self.alarmed.contains(&rule) && !self.awaits_stand_in() {
                    self.alarmed.push(rule);
                    let mut text = rule_sentence(rule).unwrap_or_default().to_string();
                    for (name, bar) in self.bars() {
                        text.push_str(&format!("; {name}: {}", bar.sentence()));
                    }
                    let barred = matches!(rule, safe::table::BARRED | safe::table::NOBODY_BUT_BARRED);
                    let quiet = barred && self.config.last_resort == LastResort::Never;
                    let severity = if quiet { Severity::Warning } else { Severity::Alarm };
                    out.emit(now, self.draft(EventKind::LastNode, severity, active, rule, text));
                }
                self.blame(active, rule);
            }
            safe::RoleAction::KeepByOrder => {
                if !self.alarmed.contains(&rule) {
                    self.alarmed.push(rule);
                    let mut text = rule_sentence(rule).unwrap_or_default().to_string();
                    if let Some(name) = self.candidate() {
                        text.push_str(&format!("; {name} could take over"));
                    }
                    for (name, bar) in self.bars() {
                        text.push_str(&format!("; {name}: {}", bar.sentence()));
                    }
                    let severity = self.urgency(active, Severity::Alarm);
                    out.emit(now, self.draft(EventKind::LastNode, severity, active, rule, text));
                }
                self.blame(active, rule);
            }
            safe::RoleAction::KeepDoubted => {
                self.hold_in_doubt(now, rule, out);
                self.blame(active, rule);
            }
            safe::RoleAction::BeginHandOver | safe::RoleAction::BeginLeave => {
                let deadline = self.config.handback_deadline;
                self.gate.begin(now.mono, deadline);
                let heir = self.heir();
                self.tell_hand_over(now, Severity::Info, heir, rule, out);
            }
            safe::RoleAction::CompleteHandOver => {
                self.gate.complete();
                self.blame(before.active, rule);
                self.blame(active, rule);
                self.tell_hand_over(now, Severity::Info, active, rule, out);
            }
            safe::RoleAction::AbandonHandOver => {
                self.gate.abandon(now.mono);
                self.tell_hand_over(now, Severity::Warning, active, rule, out);
            }
        }
    }

    /// Whether the heir of a hand-over has proven itself; if so the role moves.
    fn try_proof(&mut self, now: Now, out: &mut Outbox) {
        let (Some(active), Some(heir)) = (self.judge.active(), self.heir()) else { return };
        let view = GateView {
            active: &self.nodes[active],
            heir: &self.nodes[heir],
            stateless: self.config.kind == PoolKind::Router,
        };
        if self.gate.is_proven(&view) {
            self.evaluate(now, safe::Occasion::Proven, out);
        }
    }

    fn is_leaving(&self) -> bool {
        matches!(&self.judge, Judge::Safe { model, .. } if model.is_leaving())
    }

    /// Who would take over if the ACTIVE node failed now.
    fn candidate(&self) -> Option<&str> {
        let Judge::Safe { model, .. } = &self.judge else { return None };
        model.candidate().map(|c| self.nodes[c].name.as_str())
    }

    /// Who is to get the role in a hand-over under way.
    pub fn heir(&self) -> Option<usize> {
        match &self.judge {
            Judge::Safe { model, .. } => model.hand_over.map(|h| h.to),
            Judge::Mpp { .. } => None,
        }
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            config: &self.config,
            nodes: &self.nodes,
            judge: &self.judge,
            doubt_since: self.doubt_since,
            isolated: false,
        }
    }

    fn count(&mut self, node: usize, class: Class) {
        if let Judge::Safe { counts, .. } = &mut self.judge {
            let n = counts[node].unwrap_or(0);
            counts[node] = Some(match class {
                Class::Ok => 0,
                Class::Blind => n,
                _ => n.saturating_add(1),
            });
        }
    }

    /// Why each node but the ACTIVE one may not take over.
    pub fn bars(&self) -> Vec<(&str, safe::Bar)> {
        let Judge::Safe { model, .. } = &self.judge else { return Vec::new() };
        let others = (0..self.nodes.len()).filter(|&i| Some(i) != model.active());
        others.filter_map(|i| model.bar(i).map(|bar| (self.nodes[i].name.as_str(), bar))).collect()
    }

    pub(super) fn active_failed(&self) -> bool {
        self.judge.active().is_some_and(|a| self.judge.status(a) == Status::Fail)
    }

    pub(super) fn blame(&mut self, node: Option<usize>, rule: u16) {
        if let Some(node) = node {
            self.nodes[node].rule = rule;
        }
    }
}

/// Whether the row cites an operator's order.
fn table_holds(rule: u16) -> bool {
    matches!(rule, safe::table::HELD_FIXED | safe::table::HELD_FROZEN)
}

pub(super) fn config_nodes(nodes: &[Node]) -> impl Iterator<Item = (usize, String)> + use<> {
    let names: Vec<String> = nodes.iter().map(|n| n.name.clone()).collect();
    names.into_iter().enumerate()
}
