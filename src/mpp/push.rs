//! Keeps the table of one proxy like ours: connects, looks, initializes what the proxy does not know, sets what differs at once
//! and everything in each cycle.
//!
//! A slow, dead or hostile proxy costs its own connection and nothing else. What a proxy does that has not heard from us for long is
//! the affair of its script.

use super::answer::{Held, Outcome, held, printable};
use super::command::{Command, Element};
use super::conversation::{Account, Action, Conversation, Heard};
use crate::engine::time::{Duration, Time};
use crate::pool::{Address, NodeType, State, Status};
use std::collections::{BTreeSet, VecDeque};

/// The pause before the second attempt at a connection; it doubles up to [`LONGEST_PAUSE`].
pub const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest one.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Losses of a proxy that are told at once,
const BURST: u32 = 3;
/// and then one in each such time.
const PACE: Duration = Duration::from_secs(60);

/// What is pushed of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The node.
    pub node: Address,
    /// Its type.
    pub node_type: NodeType,
    /// Its state.
    pub state: State,
    /// Its status.
    pub status: Status,
    /// Its share of the clients.
    pub weight: u32,
}

impl Evaluation {
    /// Of a node that left its pool: MPP has no word to take one out, so no client is sent there.
    pub fn gone(node: Address) -> Evaluation {
        Evaluation {
            node,
            node_type: NodeType::Secondary,
            state: State::Unknown,
            status: Status::Fail,
            weight: 0,
        }
    }
}

/// Something to tell of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It takes what is pushed, for the first time or again; so many nodes had to be initialized.
    Found {
        /// How many.
        initialized: usize,
    },
    /// It does not take what is pushed, for this reason.
    Lost(String),
    /// It had forgotten nodes while connected, and they were initialized again; the first of them.
    Forgotten(String),
    /// It refuses to hear of a node, or an element, in these words.
    Refused(String),
}

/// What was counted of one proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whether it is connected and knows all.
    pub up: bool,
    /// Commands that it carried out.
    pub done: u64,
    /// Commands that it refused.
    pub refused: u64,
    /// Nodes that were initialized.
    pub initialized: u64,
    /// Cycles in which all was pushed.
    pub cycles: u64,
    /// Connections that failed or were lost.
    pub failures: u64,
}

impl Tally {
    /// Takes in what an earlier connection to the same proxy counted.
    pub fn add(&mut self, earlier: &Tally) {
        self.done += earlier.done;
        self.refused += earlier.refused;
        self.initialized += earlier.initialized;
        self.cycles += earlier.cycles;
        self.failures += earlier.failures;
    }
}

/// Which element of a node; in the order in which a new node hears of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Initialize,
    Status,
    Weight,
    Type,
    State,
}

/// What is asked, of the node at an index of the table.
type Item = (usize, Part);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// No connection; the next attempt is at that time.
    Down(Time),
    /// On the way to a login.
    Logging,
    /// MPP SHOW ALL is out.
    Looking,
    /// A command is out.
    Asking(Item, Command),
    /// Nothing is out.
    Idle,
}

/// The machine of one proxy.
#[derive(Debug)]
pub struct Pusher {
    conversation: Conversation,
    interval: Duration,
    table: Vec<Evaluation>,
    /// What the proxy holds, by the table's indices.
    held: Vec<Held>,
    stage: Stage,
    queue: VecDeque<Item>,
    /// When the next cycle begins; whether one is under way.
    cycle_at: Time,
    cycling: bool,
    /// Nodes that were initialized and have taken nothing since; those that the proxy refused in this cycle; and how many it
    /// had forgotten in it.
    renewed: BTreeSet<usize>,
    refused: BTreeSet<usize>,
    forgotten: usize,
    /// The original's script takes no weights, and spells failed states in its own way.
    no_weights: bool,
    short_states: bool,
    /// Attempts in a row that came to nothing.
    failures: u32,
    /// Whether the last word about the proxy was that it is lost.
    told_lost: Option<bool>,
    told_refusals: BTreeSet<(Part, Option<Address>)>,
    /// When the bucket of losses to tell will be full again.
    full_at: Time,
    initialized: usize,
    told: VecDeque<Told>,
    tally: Tally,
}

impl Pusher {
    /// Without a table nothing is connected to.
    pub fn new(account: Account, interval: Duration) -> Pusher {
        Pusher {
            conversation: Conversation::new(account),
            interval,
            table: Vec::new(),
            held: Vec::new(),
            stage: Stage::Down(Time(0)),
            queue: VecDeque::new(),
            cycle_at: Time(0),
            cycling: false,
            renewed: BTreeSet::new(),
            refused: BTreeSet::new(),
            forgotten: 0,
            no_weights: false,
            short_states: false,
            failures: 0,
            told_lost: None,
            told_refusals: BTreeSet::new(),
            full_at: Time(0),
            initialized: 0,
            told: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    /// What is to be pushed from now on. Nodes of the table before that are not in it any more stay as [`Evaluation::gone`].
    pub fn set_table(&mut self, now: Time, table: &[Evaluation]) {
        let mut table = table.to_vec();
        let known: BTreeSet<&Address> = table.iter().map(|is| &is.node).collect();
        let gone: Vec<Evaluation> = self
            .table
            .iter()
            .filter(|was| !known.contains(&was.node))
            .map(|was| Evaluation { node_type: was.node_type, ..Evaluation::gone(was.node.clone()) })
            .collect();
        table.extend(gone);
        if table == self.table {
            return;
        }
        let same = table.len() == self.table.len()
            && table.iter().zip(&self.table).all(|(is, was)| is.node == was.node);
        self.table = table;
        match self.stage {
            Stage::Down(_) => {}
            Stage::Idle | Stage::Asking(..) if same => self.urge(),
            Stage::Logging | Stage::Looking if same => {}
            // Other nodes at other places: what is known goes by place, so the proxy is looked at anew.
            _ => {
                self.conversation.quit();
                self.stage = Stage::Down(now);
            }
        }
        self.go_on(now);
    }

    /// The connection is up; see [`Conversation::handle_connected`].
    pub fn handle_connected(&mut self, now: Time, seed: [u8; 20]) {
        self.conversation.handle_connected(now, seed);
    }

    /// It could not be made, or broke.
    pub fn handle_failed(&mut self, now: Time, words: &str) {
        self.conversation.handle_failed(words);
        self.hear(now);
    }

    /// Bytes came in.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        self.conversation.handle_bytes(now, bytes);
        self.hear(now);
    }

    /// The peer closed its side.
    pub fn handle_eof(&mut self, now: Time) {
        self.conversation.handle_eof();
        self.hear(now);
    }

    /// When [`Pusher::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Time> {
        match self.stage {
            _ if self.table.is_empty() => None,
            Stage::Down(at) => Some(at),
            Stage::Idle => Some(self.cycle_at),
            Stage::Logging | Stage::Looking | Stage::Asking(..) => self.conversation.poll_timeout(),
        }
    }

    /// A deadline has come, and what there was to read was read.
    pub fn handle_timeout(&mut self, now: Time) {
        self.conversation.handle_timeout(now);
        self.hear(now);
    }

    /// Says goodbye and forgets the table.
    pub fn shut(&mut self) {
        self.conversation.quit();
        self.table.clear();
        self.stage = Stage::Down(Time(0));
        self.tally.up = false;
    }

    /// The next thing for the owner of the socket to do.
    pub fn poll_action(&mut self) -> Option<Action<'_>> {
        self.conversation.poll_action()
    }

    /// The next thing to tell.
    pub fn poll_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    /// What was counted.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn hear(&mut self, now: Time) {
        while let Some(heard) = self.conversation.poll_heard() {
            match (heard, core::mem::replace(&mut self.stage, Stage::Idle)) {
                (Heard::Lost(words), _) => self.lost(now, words),
                (Heard::Ready, Stage::Logging) => {
                    self.stage = Stage::Looking;
                    self.conversation.ask(now, &Command::ShowAll);
                }
                (Heard::Answer(reply), Stage::Looking) => match reply.shown() {
                    Ok(rows) => {
                        let rows = held(&rows);
                        let of = |is: &Evaluation| rows.get(&is.node.to_string()).copied();
                        self.held = self.table.iter().map(|is| of(is).unwrap_or_default()).collect();
                        (self.no_weights, self.short_states, self.initialized) = (false, false, 0);
                        self.begin_cycle(now);
                    }
                    Err(words) => {
                        self.conversation.quit();
                        self.lost(now, words);
                    }
                },
                (Heard::Answer(reply), Stage::Asking(item, command)) => {
                    self.answered(item, &command, reply.outcome());
                }
                // Nothing was asked: the conversation hands out no such thing.
                (Heard::Ready | Heard::Answer(_), stage) => self.stage = stage,
            }
        }
        self.go_on(now);
    }

    /// Connects if it is time, or asks what is next if nothing is out.
    fn go_on(&mut self, now: Time) {
        match self.stage {
            Stage::Down(at) if at <= now && !self.table.is_empty() => {
                self.stage = Stage::Logging;
                self.conversation.begin(now);
            }
            Stage::Idle => {
                if !self.cycling && self.cycle_at <= now {
                    self.begin_cycle(now);
                }
                while let Some(item) = self.queue.pop_front() {
                    let Some(command) = self.command(item) else { continue };
                    let mut text = command.to_string();
                    if self.short_states {
                        text = text.replace(" STATE FAILED_", " STATE FAIL_");
                    }
                    self.conversation.ask_text(now, &text);
                    self.stage = Stage::Asking(item, command);
                    return;
                }
                if core::mem::take(&mut self.cycling) {
                    self.complete();
                }
            }
            _ => {}
        }
    }

    /// All that is known goes out, whatever the proxy holds: it may count the time since it heard of us.
    fn begin_cycle(&mut self, now: Time) {
        self.cycling = true;
        self.cycle_at = now + self.interval;
        self.renewed.clear();
        self.refused.clear();
        self.forgotten = 0;
        self.queue.clear();
        self.urge();
        let urgent: BTreeSet<Item> = self.queue.iter().copied().collect();
        let parts = [Part::Status, Part::Weight, Part::Type, Part::State];
        let all = (0..self.table.len()).flat_map(|node| parts.map(|part| (node, part)));
        self.queue.extend(all.filter(|item| !urgent.contains(item)));
    }

    /// Puts what differs before everything else, in an order in which the proxy never has two ACTIVE nodes and a node takes
    /// clients only once all is known of it.
    fn urge(&mut self) {
        let mut urgent: Vec<(u8, Item)> = Vec::new();
        for (node, (is, has)) in self.table.iter().zip(&self.held).enumerate() {
            if self.refused.contains(&node) {
                continue;
            }
            let active = is.state == State::Active;
            let known = has.is_initialized();
            let state = if active { 3 } else { 1 };
            for (phase, part, differs) in [
                (0, Part::Initialize, !known),
                (state, Part::State, has.state != Some(is.state)),
                (2, Part::Status, has.status != Some(is.status)),
                (2, Part::Weight, has.weight != Some(is.weight)),
                (2, Part::Type, known && has.node_type != Some(is.node_type)),
            ] {
                if differs {
                    urgent.push((phase, (node, part)));
                }
            }
        }
        urgent.sort_unstable();
        let ahead: BTreeSet<Item> = urgent.iter().map(|(_, item)| *item).collect();
        let rest = self.queue.iter().copied().filter(|item| !ahead.contains(item));
        self.queue = urgent.iter().map(|(_, item)| *item).chain(rest).collect();
    }

    /// What to say; nothing of a node or element that the proxy does not want to hear of.
    fn command(&self, (index, part): Item) -> Option<Command> {
        let (is, has) = (self.table.get(index)?, self.held.get(index)?);
        let node = is.node.clone();
        let element = match part {
            _ if has.is_initialized() == (part == Part::Initialize) => return None,
            Part::Initialize => return Some(Command::Initialize { node, node_type: is.node_type }),
            Part::Weight if self.no_weights => return None,
            Part::Weight => Element::Weight(is.weight),
            Part::Type => Element::Type(is.node_type),
            Part::State => Element::State(is.state),
            Part::Status => Element::Status(is.status),
        };
        Some(Command::Set { node, element })
    }

    fn answered(&mut self, item: Item, said: &Command, outcome: Outcome) {
        let (index, part) = item;
        let Some(has) = self.held.get_mut(index) else { return };
        match outcome {
            Outcome::Done => {
                self.tally.done += 1;
                if let (false, Some(is)) = (self.told_refusals.is_empty(), self.table.get(index)) {
                    self.told_refusals.remove(&(part, Some(is.node.clone())));
                }
                match said {
                    Command::ShowAll => {}
                    Command::Initialize { node_type, .. } => {
                        *has = Held { node_type: Some(*node_type), ..Held::default() };
                        self.renewed.insert(index);
                        self.initialized += 1;
                        self.tally.initialized += 1;
                    }
                    Command::Set { element, .. } => {
                        self.renewed.remove(&index);
                        match *element {
                            Element::Type(it) => has.node_type = Some(it),
                            Element::State(it) => has.state = Some(it),
                            Element::Status(it) => has.status = Some(it),
                            Element::Weight(it) => has.weight = Some(it),
                        }
                    }
                }
                // The table may have changed since it was asked. What a new node is to hear stands in the queue already.
                let stale = match said {
                    Command::Initialize { node_type, .. } => {
                        self.table.get(index).is_some_and(|is| is.node_type != *node_type)
                    }
                    _ => self.command(item).as_ref() != Some(said),
                };
                if stale {
                    self.urge();
                }
            }
            Outcome::Uninitialized(words) if part != Part::Initialize => {
                self.tally.refused += 1;
                *has = Held::default();
                self.forgotten += 1;
                if self.renewed.contains(&index) || self.forgotten > 2 * self.table.len() {
                    // It has just been initialized, in vain: not again in this cycle.
                    self.refused((index, Part::Initialize), &words);
                } else {
                    if self.forgotten == 1 {
                        self.told.push_back(Told::Forgotten(words));
                    }
                    self.urge();
                }
            }
            Outcome::Uninitialized(words) | Outcome::Refused(words) => {
                self.tally.refused += 1;
                self.refused(item, &words);
            }
        }
    }

    fn refused(&mut self, item: Item, words: &str) {
        let (index, part) = item;
        let Some(is) = self.table.get(index) else { return };
        let what = match part {
            Part::State if is.state.is_failed() && !self.short_states => {
                self.short_states = true;
                self.queue.push_front(item);
                return;
            }
            Part::Initialize => {
                self.refused.insert(index);
                format!("it does not take node {}", is.node)
            }
            Part::Weight => {
                self.no_weights = true;
                "it takes no weights".to_string()
            }
            Part::Type => format!("it does not take the type of {}", is.node),
            Part::State => format!("it does not take the state of {}", is.node),
            Part::Status => format!("it does not take the status of {}", is.node),
        };
        // Once: a refusal that stays is no news.
        let about = (part, Some(is.node.clone()).filter(|_| part != Part::Weight));
        if self.told_refusals.insert(about) {
            self.told.push_back(Told::Refused(printable(&format!("{what}: {words}"))));
        }
    }

    fn complete(&mut self) {
        self.failures = 0;
        self.tally.cycles += 1;
        self.tally.up = true;
        let initialized = core::mem::take(&mut self.initialized);
        if self.told_lost.replace(false) != Some(false) {
            self.told.push_back(Told::Found { initialized });
        }
    }

    fn lost(&mut self, now: Time, words: String) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.stage = Stage::Down(now + pause);
        self.cycling = false;
        self.tally.failures += 1;
        self.tally.up = false;
        if self.told_lost == Some(true) || self.full_at.since(now) + PACE > PACE * BURST {
            return;
        }
        self.full_at = self.full_at.max(now) + PACE;
        self.told_lost = Some(true);
        self.told.push_back(Told::Lost(words));
    }
}
