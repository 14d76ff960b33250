//! Breadth first over everything that a pool can come to.

use super::world::{Move, Pool, Row, World, step, words};
use super::{oracle, properties};
use primacy::policy::follow::{Voice, Voices};
use primacy::policy::safe::{Member, Model};
use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// How often each rule was cited.
    pub fired: BTreeMap<u16, u64>,
    /// The first thing that does not hold: which, and how.
    pub broken: Option<(String, String)>,
}

/// States as numbers: each node's part is numbered as it turns up.
#[derive(Default)]
struct Packer {
    parts: Vec<(Member, Voice)>,
    numbers: HashMap<(Member, Voice), u64>,
}

impl Packer {
    fn pack(&mut self, world: World) -> u64 {
        let mut packed = u64::from(world.voices.asking) | u64::from(world.model.frozen) << 1;
        for part in world.model.members.into_iter().zip(world.voices.nodes) {
            let number = match self.numbers.get(&part) {
                Some(number) => *number,
                None => {
                    let number = self.parts.len() as u64;
                    assert!(number < 1 << 16, "the packed form has 16 bits for a node");
                    self.parts.push(part.clone());
                    self.numbers.insert(part, number);
                    number
                }
            };
            packed = packed << 16 | number;
        }
        packed
    }

    fn unpack(&self, pool: &Pool, packed: u64) -> World {
        let count = pool.types.len();
        let mut model = Model::new(Vec::with_capacity(count));
        let mut nodes = Vec::with_capacity(count);
        for i in 0..count {
            let number = packed >> (16 * (count - 1 - i)) & 0xffff;
            let (member, voice) = self.parts[number as usize].clone();
            model.members.push(member);
            nodes.push(voice);
        }
        let asking = packed >> (16 * count) & 1 == 1;
        model.frozen = packed >> (16 * count) & 2 == 2;
        World { model, voices: Voices { nodes, grouped: pool.grouped, asking } }
    }
}

/// Explores all that can happen to the pool; stops at the first thing that does not hold.
pub fn explore(pool: &Pool, rows: &[Row], checks: Checks) -> Found {
    let mut found = Found::default();
    let mut packer = Packer::default();
    let mut known = HashSet::new();
    let start = packer.pack(pool.start());
    known.insert(start);
    let mut all = vec![start];
    let moves = pool.moves();
    let mut next = 0;
    while next < all.len() {
        let before = packer.unpack(pool, all[next]);
        next += 1;
        if checks.ends
            && let Err((name, how)) = every_end(pool, rows, &before)
        {
            let text = format!("{how}\npool {}, from\n{}", pool.name, words(&before, &pool.settings));
            found.broken = Some((name.to_string(), text));
            break;
        }
        for &action in &moves {
            // Lateness is of consequence only while the others are asked.
            if matches!(action, Move::Observe { late: true, .. }) && !before.voices.asking {
                continue;
            }
            let t = step(pool, rows, &before, action);
            found.transitions += 1;
            if let Some((rule, _)) = t.verdict.role {
                *found.fired.entry(rule).or_default() += 1;
            }
            let mut broken = None;
            if checks.properties {
                broken = properties::check(&t).err().map(|(name, how)| (name.to_string(), how));
            }
            if broken.is_none() && checks.oracle && t.verdict.role.is_some() {
                let want = oracle::decides(&t.between, &pool.settings);
                if t.verdict.role != Some(want) {
                    broken = Some(("the prose".to_string(), format!("expected {want:?}")));
                }
            }
            if let Some((name, how)) = broken {
                let text = format!(
                    "{how}\npool {}, {}\nbefore\n{}between\n{}after\n{}verdict {:?}",
                    pool.name,
                    move_words(pool, action),
                    words(&before, &pool.settings),
                    words(&t.between, &pool.settings),
                    words(&t.after, &pool.settings),
                    t.verdict
                );
                found.broken = Some((name, text));
                found.states = all.len();
                return found;
            }
            let packed = packer.pack(t.after);
            if known.insert(packed) {
                all.push(packed);
            }
        }
    }
    found.states = all.len();
    found
}

fn every_end(pool: &Pool, rows: &[Row], from: &World) -> Result<(), properties::Broken> {
    properties::nobody_stays_outside(pool, rows, from)?;
    for good in 0..pool.types.len() {
        let place = |name: &str| pool.letters[good].iter().position(|l| l.name == name);
        for rest in ["gone", "outside"] {
            if let Some(letter) = place(rest) {
                properties::ends_well(pool, rows, from, good, &[letter])?;
            }
        }
    }
    Ok(())
}

fn move_words(pool: &Pool, action: Move) -> String {
    match action {
        Move::Observe { node, letter, late } => {
            let late = if late { " (a late probe)" } else { "" };
            format!("node {node} seen {}{late}", pool.letters[node][letter].name)
        }
        other => format!("{other:?}"),
    }
}
