//! Effects on their way out, and the numbers they carry.

use super::effect::Effect;
use super::event::{Event, EventKind, Severity};
use super::input::NodeRef;
use super::time::Now;
use crate::pool::{State, Status};
use crate::probe::Cause;
use crate::store::StoredPool;
use std::collections::VecDeque;

/// Collects what the pools ask of the outside.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    effects: VecDeque<Effect>,
    events: u64,
    probes: u64,
    random: u64,
    /// Pools, by index, as they are to be stored ahead of everything else: with a mark that no document holds yet.
    pub intents: Vec<(usize, StoredPool)>,
    /// The stored state differs from the last one written.
    pub dirty: bool,
}

/// What an event tells beside the numbers that the outbox adds.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it tells.
    pub kind: EventKind,
    /// How urgent it is.
    pub severity: Severity,
    /// Name of the pool.
    pub pool: String,
    /// Name of the node, may be empty.
    pub node: String,
    /// The pool's epoch.
    pub epoch: u64,
    /// The rule that decided.
    pub rule: u16,
    /// State before and after.
    pub state: (State, State),
    /// Status before and after.
    pub status: (Status, Status),
    /// The cause behind it.
    pub cause: Cause,
    /// One or two sentences.
    pub message: String,
    /// A count where the kind has one.
    pub count: u64,
}

impl Draft {
    /// A draft that is about no pool.
    pub fn about_instance(kind: EventKind, severity: Severity, message: String) -> Draft {
        Draft {
            kind,
            severity,
            pool: String::new(),
            node: String::new(),
            epoch: 0,
            rule: 0,
            state: (State::Unknown, State::Unknown),
            status: (Status::Ok, Status::Ok),
            cause: Cause::Ok,
            message,
            count: 0,
        }
    }
}

impl Outbox {
    /// An empty outbox; `seed` feeds the jitter.
    pub fn new(seed: u64) -> Outbox {
        // A life begins with a write: it reserves its epochs before it needs the first one.
        Outbox { random: seed, dirty: true, ..Outbox::default() }
    }

    /// The next effect.
    pub fn pop(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Queues an effect.
    pub fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// Queues an effect ahead of all others.
    pub fn push_first(&mut self, effect: Effect) {
        self.effects.push_front(effect);
    }

    /// Takes back tables that nobody has seen.
    pub fn withdraw_tables(&mut self) {
        self.effects.retain(|effect| !matches!(effect, Effect::Publish(_)));
    }

    /// Queues an event.
    pub fn emit(&mut self, now: Now, draft: Draft) {
        self.events += 1;
        self.effects.push_back(Effect::Emit(Event {
            kind: draft.kind,
            severity: draft.severity,
            sequence: self.events,
            mono: now.mono,
            wall_ms: now.wall_ms,
            pool: draft.pool,
            node: draft.node,
            epoch: draft.epoch,
            rule: draft.rule,
            old_state: draft.state.0,
            new_state: draft.state.1,
            old_status: draft.status.0,
            new_status: draft.status.1,
            cause: draft.cause,
            message: draft.message,
            count: draft.count,
        }));
    }

    /// The next number for a probe or a look at a checkpoint.
    pub fn number(&mut self) -> u64 {
        self.probes += 1;
        self.probes
    }

    /// Asks for a probe and returns its number.
    pub fn probe(&mut self, node: NodeRef, fresh: bool) -> u64 {
        let probe = self.number();
        self.effects.push_back(Effect::Probe { node, probe, fresh });
        probe
    }

    /// The next number below `bound` of a fixed sequence (splitmix64, Steele et al. 2014); 0 if `bound` is 0.
    pub fn random(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).checked_rem(bound).unwrap_or(0)
    }
}
