//! The pools that are explored: what can be seen and heard of a node, what can happen, and states packed small.

use primacy::config::Failback;
use primacy::policy::Refusal;
use primacy::policy::follow::{
    Action, FollowView, Names, Rank, Said, Verdict, Voices, Word, command, evaluate,
};
use primacy::policy::safe::orders;
use primacy::policy::safe::table::{IN_FORCE, Rule};
use primacy::policy::safe::{self, Evidence, Member, Model, Settings};
use primacy::pool::{MaintenanceRole, NodeType, State};
use primacy::probe::Class;

pub type Row = Rule<FollowView, Action>;

/// What an observation can bring: a name, what the ladder sees of it, and what the node says.
#[derive(Clone, Debug)]
pub struct Letter {
    pub name: String,
    pub evidence: Evidence,
    pub said: Said,
}

fn letter(name: impl Into<String>, class: Class, said: Said) -> Letter {
    Letter { name: name.into(), evidence: Evidence { class, ..Evidence::GOOD }, said }
}

/// A word of a member: of group 1 or 2, with a view, naming nodes.
pub fn word(group: u64, view: u64, names: &[usize], rank: Rank) -> Said {
    Said::Word(Word::Member { group, view, names: Names::These(names.to_vec()), rank })
}

pub fn any(view: u64, rank: Rank) -> Said {
    Said::Word(Word::Member { group: 1, view, names: Names::Any, rank })
}

/// What is no word of a member.
pub fn silences() -> Vec<Letter> {
    vec![
        letter("gone", Class::Gone, Said::Silence),
        letter("refusing", Class::Refusing, Said::Silence),
        letter("blind", Class::Blind, Said::Nothing),
        letter("outside", Class::Replication, Said::Word(Word::Outside)),
    ]
}

pub fn good(name: impl Into<String>, said: Said) -> Letter {
    letter(name, Class::Ok, said)
}

/// Seen well, but by a probe that began before the ACTIVE node came into doubt.
pub fn stale(said: Said) -> Letter {
    let mut letter = good("stale", said);
    letter.evidence.fresh = false;
    letter
}

/// What is explored.
#[derive(Clone)]
pub struct Pool {
    pub name: &'static str,
    pub types: &'static [NodeType],
    pub grouped: bool,
    pub settings: Settings,
    /// What can be seen and heard, by node.
    pub letters: Vec<Vec<Letter>>,
    /// Operators recover and remove nodes.
    pub commands: bool,
    /// Operators freeze the pool, and fix nodes where they are.
    pub orders: bool,
}

pub const SETTINGS: Settings =
    Settings { fall: 1, rise: 1, failback: Failback::AfterRecover, stateless: false };

impl Pool {
    pub fn start(&self) -> World {
        let members = self.types.iter().map(|&t| Member::new(t)).collect();
        World { model: Model::new(members), voices: Voices::new(self.types.len(), self.grouped) }
    }

    pub fn moves(&self) -> Vec<Move> {
        let mut moves = vec![Move::Look];
        if self.orders {
            moves.extend([Move::Freeze, Move::Unfreeze]);
        }
        for (node, letters) in self.letters.iter().enumerate() {
            for letter in 0..letters.len() {
                moves.push(Move::Observe { node, letter, late: false });
                // A probe that was under way when the others came to be asked.
                moves.push(Move::Observe { node, letter, late: true });
            }
            if self.commands {
                moves.extend([Move::Recover(node), Move::Remove(node)]);
            }
            if self.orders {
                moves.extend([Move::Fix(node), Move::End(node)]);
            }
        }
        moves
    }
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Observe {
        node: usize,
        letter: usize,
        late: bool,
    },
    Look,
    Recover(usize),
    Remove(usize),
    Freeze,
    Unfreeze,
    /// Maintenance; the role stays.
    Fix(usize),
    End(usize),
}

/// A state of the pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub model: Model,
    pub voices: Voices,
}

/// A move and what came of it.
pub struct Transition<'a> {
    pub pool: &'a Pool,
    pub action: Move,
    pub before: &'a World,
    /// After what was seen was heard and counted, or the command was carried out, as the rows find it.
    pub between: World,
    pub after: World,
    pub verdict: Verdict,
    pub refused: Option<Refusal>,
}

/// Carries out a move as the engine does.
pub fn step<'a>(pool: &'a Pool, rows: &[Row], before: &'a World, action: Move) -> Transition<'a> {
    let settings = &pool.settings;
    let mut world = before.clone();
    let mut observed = None;
    let command = match action {
        Move::Observe { node, letter, late } => {
            let letter = &pool.letters[node][letter];
            let asked = before.voices.asking && !late;
            if !before.model.members[node].removed {
                world.voices.hear(node, letter.said.clone(), asked);
                observed = Some((node, letter.evidence));
            }
            None
        }
        Move::Look => None,
        Move::Recover(node) => Some(safe::command::recover(&mut world.model, settings, node)),
        Move::Remove(node) => Some(command::remove(&mut world.model, &world.voices, node)),
        Move::Freeze => Some(Ok(orders::freeze(&mut world.model))),
        Move::Unfreeze => Some(orders::unfreeze(&mut world.model, settings)),
        Move::Fix(node) => Some(orders::maintain(&mut world.model, settings, node, MaintenanceRole::Stay)),
        Move::End(node) => Some(orders::end(&mut world.model, settings, node)),
    };
    let mut between = world.clone();
    if let Some((node, evidence)) = observed {
        safe::evaluation::take_in(&mut between.model, &IN_FORCE, settings, node, evidence);
    }
    ask(&mut between);
    let refused = command.and_then(Result::err);
    if refused.is_some() {
        return Transition {
            pool,
            action,
            before,
            between,
            after: world,
            verdict: Verdict::default(),
            refused,
        };
    }
    let verdict = evaluate(&mut world.model, &mut world.voices, &IN_FORCE, rows, settings, observed);
    for m in &mut world.model.members {
        m.seen = m.seen.map(short);
    }
    Transition { pool, action, before, between, after: world, verdict, refused }
}

/// The last observation, reduced to what is read of it later: is it good, is it fresh, did it answer, may it fail an
/// ACTIVE node.
pub fn short(e: Evidence) -> Evidence {
    let fresh = e.fresh || !e.is_good_standby();
    let class = match e.class {
        Class::Hung | Class::Silent => Class::Gone,
        class => class,
    };
    Evidence { class, fresh, ..Evidence::GOOD }
}

/// A state in words.
pub fn words(world: &World, settings: &Settings) -> String {
    let mut text = String::new();
    for (i, (m, v)) in world.model.members.iter().zip(&world.voices.nodes).enumerate() {
        text.push_str(&format!(
            "  {i} {} {} {}{}{}{} tries {} seen {:?}{} {}{}{} said {:?}\n",
            m.node_type,
            m.state,
            world.model.status(i, settings),
            if m.held { " held" } else { "" },
            if m.removed { " removed" } else { "" },
            if m.pin == primacy::policy::safe::Pin::Fixed { " fixed" } else { "" },
            m.tries,
            m.seen.map(|e| e.class),
            if m.seen.is_some_and(|e| !e.fresh) { " stale" } else { "" },
            if v.met { "met " } else { "" },
            if v.asked { "asked " } else { "" },
            if v.speaks { "speaks" } else { "mute" },
            v.word
        ));
    }
    text.push_str(&format!("  asking {}, frozen {}\n", world.voices.asking, world.model.frozen));
    text
}

pub fn active(model: &Model) -> Option<usize> {
    model.members.iter().position(|m| m.state == State::Active)
}

/// "Once the ACTIVE node has lost its standing, what the others said before does not count as an answer."
fn ask(world: &mut World) {
    let denied = active(&world.model).is_some_and(|a| super::oracle::denied(world, a));
    if denied != world.voices.asking {
        world.voices.asking = denied;
        world.voices.nodes.iter_mut().for_each(|v| v.asked = false);
    }
}
