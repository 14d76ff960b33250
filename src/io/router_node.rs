//! One node of a pool of routers: its checks are made at the same time, and what they say together is one observation.
//!
//! Checks of ports are links of the driver, each with a machine of its own. What belongs to the node's own host is
//! here: its process, whose death is known at once and ends or makes an observation, and programs.

use super::descriptor::Registry;
use super::link::machine::no_end;
use super::pidwatch::{NoProcess, PidWatch};
use super::poller::{Poller, Ready};
use super::program::{Ended, How, Program, Spec, Stopped};
use crate::config::CheckVerdict;
use crate::engine::{Input, NodeRef, Time};
use crate::probe::check::exec::{self, PluginEnd, PluginStatus};
use crate::probe::check::{
    Check, CheckEnd, CheckKind, Combined, Protocol, Role, ServerSeen, Verdict, combine,
};
use crate::probe::{BackendSeen, Cause, Class, Facts, Observation, PortServer, SessionConfig};
use core::time::Duration;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// Bit of the tokens of this room.
const TOKENS: u32 = 0x2000_0000;
/// The bits beside it that belong to others.
const OTHERS: u32 = 0xc000_0000;

/// How long a program whose time is up may take to end before it is killed.
const GRACE: Duration = Duration::from_millis(200);

/// The checks of a node.
#[derive(Clone, Debug)]
pub(crate) struct RouterSetup {
    /// In configuration order.
    pub(crate) checks: Vec<PlannedCheck>,
}

/// One check that this host makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlannedCheck {
    /// Of a port.
    Port(u16, PortCheck),
    /// Of the process whose number is in this file.
    Process(PathBuf),
    /// By a program.
    Exec {
        /// The program and its arguments.
        command: Vec<String>,
        /// How long it may take.
        timeout: Duration,
        /// What its answer is about.
        verdict: CheckVerdict,
    },
}

/// What is looked at through a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortCheck {
    /// Whether it accepts connections.
    Tcp,
    /// The X protocol and a statement.
    X,
    /// The server behind it.
    Router(Protocol, Role),
}

impl PortCheck {
    /// The machine.
    pub(crate) fn machine(self, session: SessionConfig) -> Check {
        match self {
            PortCheck::Tcp => Check::tcp(session.transport),
            PortCheck::X => Check::x(session),
            PortCheck::Router(protocol, role) => Check::router(session, protocol, role),
        }
    }
}

/// What makes a link one of a router's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lane {
    /// The place among the node's checks of ports.
    pub(crate) check: usize,
    /// What is looked at.
    pub(crate) what: PortCheck,
}

/// What a router node works with; it belongs to the driver.
pub(super) struct RouterContext<'a> {
    pub(super) poller: &'a mut dyn Poller,
    pub(super) registry: &'a Arc<Registry>,
    pub(super) inputs: &'a mut VecDeque<Input>,
    pub(super) now: Time,
}

/// One check in motion.
#[derive(Debug)]
enum Part {
    Port { link: usize, port: u16 },
    Process { file: PathBuf, watch: Option<(PidWatch, u64)> },
    Exec { spec: Spec, verdict: CheckVerdict, running: Option<(Program, u64)> },
}

/// A probe under way.
#[derive(Debug)]
struct Round {
    probe: u64,
    started: Time,
    ends: Time,
    found: Vec<Option<CheckEnd>>,
}

/// What the driver has to do for a node.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Todo {
    /// Links whose check begins, with the number of the probe.
    pub(super) begin: Vec<(usize, u64)>,
    /// Links whose check is no longer waited for.
    pub(super) shut: Vec<usize>,
}

/// One node.
#[derive(Debug)]
pub(super) struct RouterNode {
    node: NodeRef,
    index: u32,
    /// So that an event of an old descriptor is recognised.
    serial: u32,
    probe_timeout: Duration,
    parts: Vec<Part>,
    round: Option<Round>,
    /// Probes asked for while one was running.
    waiting: VecDeque<u64>,
}

impl RouterNode {
    /// `links` are the driver's, one for each check of a port, in order. `serial` is above all that were used before.
    pub(super) fn new(
        (node, index, serial): (NodeRef, u32, u32),
        probe_timeout: Duration,
        setup: RouterSetup,
        links: impl IntoIterator<Item = usize>,
    ) -> RouterNode {
        let mut links = links.into_iter();
        let part = |check: PlannedCheck| match check {
            PlannedCheck::Port(port, _) => links.next().map(|link| Part::Port { link, port }),
            PlannedCheck::Process(file) => Some(Part::Process { file, watch: None }),
            PlannedCheck::Exec { command, timeout, verdict } => {
                let spec = Spec { argv: command, environment: Vec::new(), timeout, grace: GRACE };
                Some(Part::Exec { spec, verdict, running: None })
            }
        };
        let parts = setup.checks.into_iter().filter_map(part).collect();
        RouterNode { node, index, serial, probe_timeout, parts, round: None, waiting: VecDeque::new() }
    }

    pub(super) fn node(&self) -> NodeRef {
        self.node
    }

    /// The last serial that was used.
    pub(super) fn serial(&self) -> u32 {
        self.serial
    }

    /// The links of its checks.
    pub(super) fn links(&self) -> impl Iterator<Item = usize> + '_ {
        self.parts.iter().filter_map(|part| match part {
            Part::Port { link, .. } => Some(*link),
            _ => None,
        })
    }

    /// Whether an event's token is of this room.
    pub(super) fn is_token(token: u64) -> bool {
        let low = token as u32;
        low & OTHERS == 0 && low & TOKENS != 0
    }

    /// The index of the node that a token names.
    pub(super) fn index_of(token: u64) -> usize {
        (token as u32 & !TOKENS) as usize
    }

    fn token(&mut self) -> u64 {
        self.serial = self.serial.wrapping_add(1);
        u64::from(self.serial) << 32 | u64::from(TOKENS | self.index)
    }

    /// Starts a probe, or keeps it until the one at hand has ended.
    pub(super) fn begin(&mut self, context: &mut RouterContext<'_>, probe: u64) -> Todo {
        if self.round.is_some() {
            self.waiting.push_back(probe);
            return Todo::default();
        }
        let now = context.now;
        let found = self.parts.iter().map(|_| None).collect();
        self.round = Some(Round { probe, started: now, ends: now + self.probe_timeout, found });
        for place in 0..self.parts.len() {
            let end = match self.parts.get(place) {
                Some(Part::Process { .. }) => self.look_at_process(context, place),
                Some(Part::Exec { .. }) => self.run(context, place),
                Some(Part::Port { .. }) | None => None,
            };
            if let Some(end) = end {
                self.note(place, end);
            }
        }
        // A process that is gone says all there is to say.
        if self.is_over() {
            return self.finish(context);
        }
        Todo { begin: self.links().map(|link| (link, probe)).collect(), shut: Vec::new() }
    }

    /// The check of a port has ended.
    pub(super) fn ended(
        &mut self,
        context: &mut RouterContext<'_>,
        link: usize,
        probe: u64,
        end: CheckEnd,
    ) -> Todo {
        let place =
            self.parts.iter().position(|part| matches!(part, Part::Port { link: l, .. } if *l == link));
        let (Some(place), Some(round)) = (place, &self.round) else { return Todo::default() };
        // One that was begun for an earlier probe says nothing about this one.
        if round.probe != probe {
            return Todo::default();
        }
        self.note(place, end);
        if self.is_over() { self.finish(context) } else { Todo::default() }
    }

    /// Something happened at a descriptor.
    pub(super) fn ready(&mut self, context: &mut RouterContext<'_>, event: Ready) -> Todo {
        let found = self.parts.iter().position(|part| match part {
            Part::Process { watch: Some((_, token)), .. } => *token == event.token,
            Part::Exec { running: Some((_, token)), .. } => *token == event.token,
            _ => false,
        });
        let Some(place) = found else { return Todo::default() };
        match self.parts.get(place) {
            Some(Part::Process { watch: Some((watch, _)), .. }) if watch.is_dead() => {
                self.died(context, place)
            }
            Some(Part::Exec { .. }) => self.turn(context, place),
            _ => Todo::default(),
        }
    }

    /// When [`RouterNode::timeout`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Time> {
        let programs = self.parts.iter().filter_map(|part| match part {
            Part::Exec { running: Some((program, _)), .. } => Some(program.deadline()),
            _ => None,
        });
        programs.chain(self.round.as_ref().map(|round| round.ends)).min()
    }

    /// A deadline has come.
    pub(super) fn timeout(&mut self, context: &mut RouterContext<'_>) -> Todo {
        let mut todo = Todo::default();
        for place in 0..self.parts.len() {
            let due = |part: &Part| match part {
                Part::Exec { running: Some((program, _)), .. } => program.deadline() <= context.now,
                _ => false,
            };
            if self.parts.get(place).is_some_and(due) {
                merge(&mut todo, self.turn(context, place));
            }
        }
        if self.round.as_ref().is_some_and(|round| round.ends <= context.now) {
            merge(&mut todo, self.finish(context));
        }
        todo
    }

    /// Ends everything without an observation; the probes that are still waited for.
    pub(super) fn shut(&mut self, poller: &mut dyn Poller) -> Vec<u64> {
        for part in &mut self.parts {
            match part {
                Part::Process { watch, .. } => {
                    if let Some((watch, _)) = watch.take() {
                        poller.remove(watch.fd());
                    }
                }
                Part::Exec { running, .. } => {
                    if let Some((program, _)) = running.take() {
                        poller.remove(program.fd());
                    }
                }
                Part::Port { .. } => {}
            }
        }
        let round = self.round.take().map(|round| round.probe);
        round.into_iter().chain(core::mem::take(&mut self.waiting)).collect()
    }

    /// The process, by its file; it is watched from here on if it lives.
    fn look_at_process(&mut self, context: &mut RouterContext<'_>, place: usize) -> Option<CheckEnd> {
        let token = self.token();
        let Some(Part::Process { file, watch }) = self.parts.get_mut(place) else { return None };
        let now = context.now;
        if let Some((old, _)) = watch.take_if(|(watch, _)| watch.is_dead()) {
            context.poller.remove(old.fd());
        }
        if watch.is_none() {
            match PidWatch::open(context.registry, file, None) {
                Ok(found) => {
                    // Without the event its death shows at the next probe.
                    let _ = context.poller.add(found.fd(), token, false);
                    *watch = Some((found, token));
                }
                Err(why) => return Some(no_process(&why, now)),
            }
        }
        Some(CheckEnd::new(CheckKind::Process, Verdict::Good, Verdict::Unknown, Cause::Ok, now))
    }

    /// The watched process has ended: that is known before any probe asks.
    fn died(&mut self, context: &mut RouterContext<'_>, place: usize) -> Todo {
        let Some(Part::Process { file, watch }) = self.parts.get_mut(place) else { return Todo::default() };
        let Some((dead, _)) = watch.take() else { return Todo::default() };
        context.poller.remove(dead.fd());
        let end = no_process(&NoProcess::Gone(file.clone(), dead.pid()), context.now);
        if self.round.is_some() {
            self.note(place, end);
            return self.finish(context);
        }
        let observation = Observation {
            cause: end.cause,
            message: end.message,
            ..Observation::new(Cause::ProcessExit, "", context.now)
        };
        context.inputs.push_back(Input::Observed { node: self.node, observation });
        Todo::default()
    }

    /// Starts the program; its end if that did not work, or if the last one does not end.
    fn run(&mut self, context: &mut RouterContext<'_>, place: usize) -> Option<CheckEnd> {
        let token = self.token();
        let Some(Part::Exec { spec, verdict, running }) = self.parts.get_mut(place) else { return None };
        let now = context.now;
        if running.is_some() {
            return Some(said(*verdict, &PluginEnd::TimedOut(spec.timeout), "", "", now));
        }
        let started = Program::start(context.registry, spec, now).and_then(|program| {
            context.poller.add(program.fd(), token, false)?;
            Ok(program)
        });
        match started {
            Ok(program) => {
                *running = Some((program, token));
                None
            }
            Err(error) => Some(said(*verdict, &PluginEnd::NotStarted(error.to_string()), "", "", now)),
        }
    }

    /// A program has something to say, or its time is up.
    fn turn(&mut self, context: &mut RouterContext<'_>, place: usize) -> Todo {
        let Some(Part::Exec { spec, verdict, running }) = self.parts.get_mut(place) else {
            return Todo::default();
        };
        let Some((program, _)) = running else { return Todo::default() };
        let Some(ended) = program.turn(context.now) else { return Todo::default() };
        context.poller.remove(program.fd());
        *running = None;
        let (output, errors) = (ended.output.first_line(), ended.errors.first_line());
        let end = said(*verdict, &how(&ended, spec.timeout), &output, &errors, context.now);
        // A probe that went without its answer has ended, or has it already.
        let wanted = self.round.as_ref().is_some_and(|r| r.found.get(place).is_some_and(Option::is_none));
        if wanted {
            self.note(place, end);
        }
        if wanted && self.is_over() { self.finish(context) } else { Todo::default() }
    }

    fn note(&mut self, place: usize, end: CheckEnd) {
        let started = self.round.as_ref().map_or(end.started, |round| round.started);
        if let Some(slot) = self.round.as_mut().and_then(|round| round.found.get_mut(place)) {
            *slot = Some(CheckEnd { started, ..end });
        }
    }

    /// Whether nothing more has to be waited for.
    fn is_over(&self) -> bool {
        let Some(round) = &self.round else { return false };
        let gone = |end: &CheckEnd| end.cause == Cause::ProcessExit;
        round.found.iter().flatten().any(gone) || round.found.iter().all(Option::is_some)
    }

    /// The probe ends with what has been found, and the next one begins if one waits.
    fn finish(&mut self, context: &mut RouterContext<'_>) -> Todo {
        let Some(round) = self.round.take() else { return Todo::default() };
        let mut todo = Todo::default();
        let mut found: Vec<(Option<u16>, CheckEnd)> = Vec::new();
        for (part, end) in self.parts.iter().zip(round.found) {
            let port = match part {
                Part::Port { port, .. } => Some(*port),
                _ => None,
            };
            match (part, end) {
                (_, Some(end)) => found.push((port, end)),
                (Part::Port { link, .. }, None) => todo.shut.push(*link),
                (Part::Exec { spec, verdict, .. }, None) => {
                    let end = said(*verdict, &PluginEnd::TimedOut(spec.timeout), "", "", context.now);
                    found.push((None, end));
                }
                (Part::Process { .. }, None) => {}
            }
        }
        let observation = observation(found, round.started, context.now);
        context.inputs.push_back(Input::Probed { node: self.node, probe: round.probe, observation });
        if let Some(next) = self.waiting.pop_front() {
            merge(&mut todo, self.begin(context, next));
        }
        todo
    }
}

fn merge(todo: &mut Todo, more: Todo) {
    todo.begin.extend(more.begin);
    todo.shut.extend(more.shut);
}

fn no_process(why: &NoProcess, now: Time) -> CheckEnd {
    if !why.is_dead() {
        return no_end(CheckKind::Process, &why.to_string(), now);
    }
    let end = CheckEnd::new(CheckKind::Process, Verdict::Bad, Verdict::Unknown, Cause::ProcessExit, now);
    CheckEnd { message: why.to_string(), ..end }
}

fn how(ended: &Ended, timeout: Duration) -> PluginEnd {
    match (ended.stopped, ended.how) {
        (Some(Stopped::Timeout | Stopped::Asked), _) | (None, How::Stuck) => PluginEnd::TimedOut(timeout),
        (None, How::Exited(code)) => PluginEnd::Exited(code),
        (None, How::Signalled(signal)) => PluginEnd::Signalled(signal),
        (None, How::Unknown) => PluginEnd::Lost,
    }
}

/// What a program's end says of the side that it looks at.
fn said(about: CheckVerdict, end: &PluginEnd, output: &str, errors: &str, now: Time) -> CheckEnd {
    let word = exec::read(end, output, errors);
    let verdict = match word.status.works() {
        Some(true) => Verdict::Good,
        Some(false) => Verdict::Bad,
        None => Verdict::Unknown,
    };
    let (local, backend) = match about {
        CheckVerdict::Local => (verdict, Verdict::Unknown),
        CheckVerdict::Backend => (Verdict::Unknown, verdict),
    };
    let cause = match (about, word.status, end) {
        (CheckVerdict::Local, PluginStatus::Critical, PluginEnd::TimedOut(_)) => Cause::NoReply,
        (CheckVerdict::Local, PluginStatus::Critical, _) => Cause::CheckFailed,
        (CheckVerdict::Local, PluginStatus::Unknown, _) => Cause::Local,
        _ => Cause::Ok,
    };
    let fine = matches!(word.status, PluginStatus::Ok);
    let message = if fine { String::new() } else { word.text };
    CheckEnd { message, ..CheckEnd::new(CheckKind::Exec, local, backend, cause, now) }
}

/// What the checks say together.
///
/// The worst local finding counts: an ended process, then what proves that nothing runs, then a hang, then silence. A
/// router that has not reacted at any port, while its host acknowledges, counts as one that hangs: whether it is the router or
/// what is behind a port that passes everything on cannot be told then, and another port would have settled it.
fn observation(found: Vec<(Option<u16>, CheckEnd)>, started: Time, now: Time) -> Observation {
    let mut found: Vec<(Option<u16>, CheckEnd)> = found
        .into_iter()
        .map(|(port, mut end)| {
            if let (Some(port), false) = (port, end.message.is_empty()) {
                end.message = format!("port {port}: {}", end.message);
            }
            (port, end)
        })
        .collect();
    // The first of several findings that are equally certain is the one that is told.
    found.sort_by_key(|(_, end)| match (end.cause, end.cause.class()) {
        (Cause::ProcessExit, _) => 0,
        (_, Class::Gone) => 1,
        (_, Class::Hung) => 2,
        (_, Class::Silent) => 3,
        (_, Class::Refusing | Class::Replication | Class::Ok) => 4,
        (_, Class::Blind) => 5,
    });
    let all = combine(found.iter().map(|(_, end)| end));
    let (cause, message) = match all.local {
        Verdict::Good => (Cause::Ok, behind(&all)),
        Verdict::Bad | Verdict::Unknown if all.cause != Cause::Ok => (all.cause, all.message.clone()),
        Verdict::Bad | Verdict::Unknown => {
            let words = if all.message.is_empty() { "no check could tell" } else { &all.message };
            (Cause::Local, words.to_owned())
        }
    };
    let errno = if cause == Cause::Ok { 0 } else { all.errno };
    let facts = Facts { backend: backend(&all, &found), ..Facts::default() };
    Observation { errno, facts, started, ..Observation::new(cause, message, now) }
}

fn behind(all: &Combined) -> String {
    match all.backend {
        Verdict::Bad if all.backend_message.is_empty() => "what is behind it does not work".into(),
        Verdict::Bad => all.backend_message.clone(),
        Verdict::Good | Verdict::Unknown => String::new(),
    }
}

/// What lies behind a router that was reached.
fn backend(all: &Combined, found: &[(Option<u16>, CheckEnd)]) -> Option<BackendSeen> {
    if all.local != Verdict::Good || all.backend == Verdict::Unknown {
        return None;
    }
    let mut servers: Vec<PortServer> =
        found.iter().filter_map(|(port, end)| Some(server_at((*port)?, end.server.as_ref()?))).collect();
    servers.sort_by_key(|server| server.port);
    Some(BackendSeen { good: all.backend == Verdict::Good, words: behind(all), servers })
}

fn server_at(port: u16, seen: &ServerSeen) -> PortServer {
    PortServer {
        port,
        uuid: seen.uuid.clone().unwrap_or_default(),
        host: seen.hostname.clone().unwrap_or_default(),
        server_port: seen.port.unwrap_or_default(),
        read_only: seen.writable().map(|writable| !writable),
    }
}

#[cfg(test)]
mod tests;
