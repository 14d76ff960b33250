//! Breadth first over everything that a pool can come to.

use super::oracle;
use super::properties;
use super::world::{LETTERS, Move, Packer, Pool, Transition, step, words};
use primacy::policy::safe::{Pin, Tables, table};
use primacy::pool::{MaintenanceRole, State};
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// States are numbers without a pattern that an adversary chose: one multiplication spreads them.
#[derive(Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.write_u128(u128::from(b));
        }
    }
    fn write_u128(&mut self, n: u128) {
        let folded = (n as u64 ^ self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n >> 64) as u64;
        let mixed = folded.wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.0 = mixed ^ mixed >> 32;
    }
}

pub type States = HashSet<u128, BuildHasherDefault<Spread>>;

/// What is held against the transitions.
#[derive(Clone, Copy)]
pub struct Checks {
    pub properties: bool,
    pub oracle: bool,
    pub ends: bool,
}

/// What an exploration found.
#[derive(Default)]
pub struct Found {
    pub states: usize,
    pub transitions: u64,
    pub ends: u64,
    /// How often each rule was cited.
    pub fired: BTreeMap<u16, u64>,
    /// The first thing that does not hold: which, and how.
    pub broken: Option<(String, String)>,
    /// Every state, for comparisons.
    pub all: Vec<u128>,
    pub packer: Packer,
}

/// Explores all that can happen to the pool; stops at the first thing that does not hold.
pub fn explore(pool: &Pool, tables: &Tables<'_>, checks: Checks) -> Found {
    let mut found = Found { packer: Packer::new(), ..Found::default() };
    let mut known = States::default();
    let start = found.packer.pack(&pool.start(), 0);
    known.insert(start);
    found.all.push(start);
    let moves = pool.moves();
    let mut fired = [0u64; 300];
    let mut next = 0;
    while next < found.all.len() {
        let (before, counted) = found.packer.unpack(pool, found.all[next]);
        next += 1;
        if checks.properties
            && let Err((name, how)) = properties::forced_open(pool, tables, &before)
        {
            let text = format!("{how}\npool {}, from\n{}", pool.name, words(pool, &before));
            found.broken = Some((name.to_string(), text));
            found.states = found.all.len();
            return found;
        }
        for &action in &moves {
            let (between, after, verdict, command) = step(pool, tables, &before, action);
            found.transitions += 1;
            let fails = fails_so_far(&before, action, counted);
            let t = Transition {
                pool,
                action,
                before: &before,
                between: &between,
                after: &after,
                verdict: &verdict,
                command: &command,
                fails,
            };
            for rule in [verdict.charge, verdict.state].into_iter().chain(verdict.roles.iter().map(|r| r.0)) {
                fired[usize::from(rule)] += 1;
            }
            if let Some(answer) = &command {
                fired[usize::from(answer.as_ref().map_or_else(|no| no.rule, |rule| *rule))] += 1;
            }
            let mut broken = None;
            if checks.properties {
                broken = properties::check(&t).err().map(|(name, how)| (name.to_string(), how));
            }
            if broken.is_none() && checks.oracle {
                broken = oracle::check(&t).err().map(|how| ("oracle".to_string(), how));
            }
            if let Some((name, how)) = broken {
                let text = format!(
                    "{how}\npool {}, {}\nbefore\n{}after\n{}verdict {verdict:?}",
                    pool.name,
                    move_words(action),
                    words(pool, &before),
                    words(pool, &after)
                );
                found.broken = Some((name, text));
                found.states = found.all.len();
                return found;
            }
            let same_role = before.active() == after.active() && !counted_anew(&before, action, &command);
            let packed = found.packer.pack(&after, if same_role { fails } else { 0 });
            if known.insert(packed) {
                found.all.push(packed);
            }
        }
    }
    drop(known);
    found.states = found.all.len();
    found.fired = (0u16..).zip(fired).filter(|(rule, n)| *rule != 0 && *n > 0).collect();
    if checks.ends {
        every_end(pool, tables, &mut found);
    }
    found
}

/// The counts of the ACTIVE node began anew.
fn counted_anew(
    before: &primacy::policy::safe::Model,
    action: Move,
    command: &Option<Result<u16, primacy::policy::Refusal>>,
) -> bool {
    let fixed = |node: usize| before.active() == Some(node) && before.members[node].pin == Pin::Fixed;
    let ended = match action {
        Move::End(node) | Move::RunOut(node) | Move::Maintain(node, MaintenanceRole::Move) => fixed(node),
        Move::Unfreeze | Move::Thaw => before.frozen,
        _ => false,
    };
    ended && matches!(command, Some(Ok(_)))
}

fn fails_so_far(before: &primacy::policy::safe::Model, action: Move, counted: u8) -> u8 {
    if action == Move::Restart {
        return 0;
    }
    match action.evidence() {
        Some((node, e)) if before.members[node].state == State::Active && oracle::fails(e) => {
            // The window stands for twelve of the last twenty.
            if oracle::at_once(e) { 7 } else { (counted + 1).min(7) }
        }
        _ => counted,
    }
}

fn every_end(pool: &Pool, tables: &Tables<'_>, found: &mut Found) {
    let others = pool.types.len() - 1;
    let choices = pool.constant.len().pow(others as u32);
    // The count of failing observations is no part of the model.
    let mut models = States::default();
    for &packed in &found.all {
        let (model, _) = found.packer.unpack(pool, packed);
        if !models.insert(found.packer.pack(&model, 0)) {
            continue;
        }
        for good in 0..pool.types.len() {
            for choice in 0..choices {
                let mut rest = choice;
                let mut letters = [0; 4];
                for letter in &mut letters[..others] {
                    *letter = pool.constant[rest % pool.constant.len()];
                    rest /= pool.constant.len();
                }
                found.ends += 1;
                if let Err((name, how)) =
                    properties::ends_well(pool, tables, &model, good, &letters[..others])
                {
                    let text = format!("{how}\npool {}, from\n{}", pool.name, words(pool, &model));
                    found.broken = Some((name.to_string(), text));
                    return;
                }
            }
        }
    }
}

fn move_words(action: Move) -> String {
    match action {
        Move::Observe { node, letter, due } => format!("node {node} seen {}, {due:?}", LETTERS[letter].0),
        other => format!("{other:?}"),
    }
}

/// The numbers of all rules that must fire.
pub fn all_rules() -> Vec<(u16, &'static str)> {
    let charge = table::CHARGE.iter().map(|r| (r.number, r.condition));
    let state = table::STATE.iter().map(|r| (r.number, r.condition));
    let role = table::ROLE.iter().map(|r| (r.number, r.condition));
    // 292 needs a configuration that has lost a node between two lives: src/engine/tests/intents.rs has it.
    let restart = primacy::policy::safe::restart::RESTART.iter().filter(|r| r.number != 292);
    let restart = restart.map(|r| (r.number, r.condition));
    charge.chain(state).chain(role).chain(table::COMMANDS).chain(restart).collect()
}
