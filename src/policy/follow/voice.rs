//! What the nodes say about who takes writes, and who of them is to be believed.
//!
//! A member of a group is believed if it is in order itself and its own view holds a majority of the members; the one
//! with the newer view of the same group outranks the other. A node is the one to follow only if it says so itself: a
//! named node that nobody can reach is of no use. In a pool without a group every node that takes writes is a group of
//! its own, so two of them contradict each other.

use crate::policy::safe::{Model, Pin};
use crate::pool::State;

/// Whom a member names as taking writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Names {
    /// Any member that says so itself: the group keeps no list (Galera).
    Any,
    /// These nodes of the pool, in ascending order.
    These(Vec<usize>),
}

impl Names {
    /// Whether the node is named.
    pub fn contains(&self, node: usize) -> bool {
        match self {
            Names::Any => true,
            Names::These(nodes) => nodes.contains(&node),
        }
    }

    /// Whether the node is the only one.
    pub fn is_only(&self, node: usize) -> bool {
        matches!(self, Names::These(nodes) if nodes.as_slice() == [node])
    }
}

/// How well a member that may take writes can do so at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rank {
    /// It is read-only: elected a moment ago, or kept so by an operator.
    ReadOnly,
    /// It sends its state to another member, or was taken out of step by an operator.
    Donor,
    /// Nothing stands in the way.
    Full,
}

/// What a node said last.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word {
    /// It takes no writes, and what it says about others is not believed: it is in no group, not in order, its view
    /// lacks the majority; or, in a pool without a group, it is a replica or read-only.
    Outside,
    /// It is in order and in the majority of its group.
    Member {
        /// Which group; only equal or not matters.
        group: u64,
        /// The age of its view: the larger one is newer, within a group.
        view: u64,
        /// Who takes writes.
        names: Names,
        /// How well it could do so itself.
        rank: Rank,
    },
}

impl Word {
    fn group(&self) -> Option<u64> {
        match self {
            Word::Outside => None,
            Word::Member { group, .. } => Some(*group),
        }
    }
}

/// What an observation brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The prober could not look: what was said before stands.
    Nothing,
    /// No word: it did not answer, or would not tell.
    Silence,
    /// A word.
    Word(Word),
}

/// What is known of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Voice {
    /// Its last word.
    pub word: Option<Word>,
    /// The last observation that was not blind brought it.
    pub speaks: bool,
    /// An observation of it has ended in this life, however.
    pub met: bool,
    /// An observation has ended that began after the ACTIVE node lost its standing.
    pub asked: bool,
}

/// What is known of all nodes of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Voices {
    /// In configuration order.
    pub nodes: Vec<Voice>,
    /// The members form a group and decide themselves; else whoever sets `read_only` does.
    pub grouped: bool,
    /// The ACTIVE node has lost its standing, and the others are asked about it.
    pub asking: bool,
}

impl Voices {
    /// Nobody has said anything.
    pub fn new(nodes: usize, grouped: bool) -> Voices {
        Voices { nodes: vec![Voice::default(); nodes], grouped, asking: false }
    }

    /// Takes in what an observation brought. `asked`: it began after the ACTIVE node lost its standing.
    pub fn hear(&mut self, node: usize, said: Said, asked: bool) {
        let Some(voice) = self.nodes.get_mut(node) else { return };
        voice.met = true;
        voice.asked |= asked;
        match said {
            Said::Nothing => {}
            Said::Silence => voice.speaks = false,
            Said::Word(word) => {
                voice.word = Some(word);
                voice.speaks = true;
            }
        }
    }

    /// The words that are believed: of members that speak now.
    fn believed<'a>(&'a self, model: &'a Model) -> impl Iterator<Item = (usize, u64, u64, &'a Names, Rank)> {
        self.nodes.iter().enumerate().filter_map(|(i, voice)| match &voice.word {
            Some(Word::Member { group, view, names, rank }) if voice.speaks && !model.members[i].removed => {
                Some((i, *group, *view, names, *rank))
            }
            _ => None,
        })
    }

    /// Whether a node's own last word, or a newer one of its group, says that it does not take writes.
    pub fn is_denied(&self, model: &Model, node: usize) -> bool {
        let voice = &self.nodes[node];
        match &voice.word {
            None => false,
            Some(Word::Outside) => true,
            Some(Word::Member { group, view, names, .. }) => {
                !names.contains(node)
                    || self.believed(model).any(|(other, its_group, its_view, its_names, _)| {
                        // While the node speaks, it may have learnt of an election in the same view before the other.
                        let later = if voice.speaks { its_view > *view } else { its_view >= *view };
                        other != node && its_group == *group && later && !its_names.contains(node)
                    })
            }
        }
    }

    /// Whether a node says now that it takes writes, and no newer word contradicts.
    pub fn is_writer(&self, model: &Model, node: usize) -> bool {
        self.believed(model).any(|(i, _, _, _, rank)| i == node && rank > Rank::ReadOnly)
            && !self.is_denied(model, node)
    }

    /// How well a node can take writes by its last word.
    pub fn rank(&self, node: usize) -> Option<Rank> {
        match &self.nodes[node].word {
            Some(Word::Member { rank, .. }) => Some(*rank),
            _ => None,
        }
    }

    /// Whether the last word of one node names another.
    pub fn names(&self, by: usize, node: usize) -> bool {
        matches!(&self.nodes[by].word, Some(Word::Member { names, .. }) if names.contains(node))
    }

    /// Whether a node that says it has no majority is still named by a member that has one: the group has not decided yet.
    pub fn is_vouched_for(&self, model: &Model, node: usize) -> bool {
        self.nodes[node].word == Some(Word::Outside)
            && self.believed(model).any(|(other, _, _, names, _)| {
                other != node && matches!(names, Names::These(named) if named.contains(&node))
            })
    }

    /// Whether it has the newest view of its group, as far as anybody who speaks knows.
    fn is_up_to_date(&self, model: &Model, node: usize) -> bool {
        let Some(Word::Member { group, view, .. }) = &self.nodes[node].word else { return false };
        self.believed(model).all(|(_, its_group, its_view, _, _)| its_group != *group || its_view <= *view)
    }

    /// Whether the node is all that its group has for writes.
    pub fn is_only_choice(&self, node: usize) -> bool {
        matches!(&self.nodes[node].word, Some(Word::Member { names, .. }) if names.is_only(node))
            && self.grouped
    }

    /// Why a node may not get the role, or `None` if it may.
    pub fn bar(&self, model: &Model, node: usize) -> Option<Bar> {
        let m = &model.members[node];
        let (Some(seen), Some(word)) = (m.seen, &self.nodes[node].word) else { return Some(Bar::NotSeen) };
        if m.removed {
            Some(Bar::Removed)
        } else if m.pin == Pin::Fixed && m.state != State::Active {
            Some(Bar::Pinned(m.state))
        } else if !self.nodes[node].speaks {
            Some(Bar::Mute)
        } else if *word == Word::Outside {
            Some(if self.grouped { Bar::Outside } else { Bar::NoWrites })
        } else if self.is_denied(model, node) {
            Some(Bar::NotNamed)
        } else if !self.is_up_to_date(model, node) {
            Some(Bar::OldView)
        } else if self.rank(node) == Some(Rank::ReadOnly) {
            Some(Bar::NoWrites)
        } else if m.held {
            Some(Bar::WaitsForRecover)
        } else if !matches!(m.state, State::Standby | State::Active) && !self.is_only_choice(node) {
            // What the group has nobody else for is followed at once, whatever it was before.
            Some(Bar::NotStandby(m.state))
        } else if !seen.is_good_standby() {
            Some(Bar::NotGood)
        } else if !seen.fresh || (self.asking && !self.nodes[node].asked) {
            Some(Bar::NotFresh)
        } else {
            None
        }
    }

    /// The node to follow, if it is not the ACTIVE one: the best that may get the role, by rank, then by type and order.
    pub fn candidate(&self, model: &Model) -> Option<usize> {
        let active = model.active();
        let mut best: Option<(Rank, usize)> = None;
        for node in model.preference().filter(|&i| Some(i) != active && self.bar(model, i).is_none()) {
            let rank = self.rank(node).unwrap_or(Rank::ReadOnly);
            if best.is_none_or(|(highest, _)| rank > highest) {
                best = Some((rank, node));
            }
        }
        best.map(|(_, node)| node)
    }

    /// All that say they take writes, if they do not belong together. An ACTIVE node that does not answer is taken at
    /// its last word until it has failed.
    pub fn contestants(&self, model: &Model, active_failed: bool) -> Vec<usize> {
        let active = model.active().filter(|_| !active_failed);
        let claims = |i: &usize| {
            let lasting = Some(*i) == active
                && !self.is_denied(model, *i)
                && self.nodes[*i].word.as_ref().is_some_and(|w| w.group().is_some());
            lasting || self.is_writer(model, *i)
        };
        let writers: Vec<usize> = (0..self.nodes.len()).filter(claims).collect();
        let group = |i: &usize| self.nodes[*i].word.as_ref().and_then(Word::group);
        let first = writers.first().and_then(group);
        if writers.iter().all(|i| group(i) == first) { Vec::new() } else { writers }
    }

    /// Whether every node that could know better has been asked since the ACTIVE node lost its standing.
    pub fn all_asked(&self, model: &Model) -> bool {
        let others = model.members.iter().enumerate().filter(|(_, m)| m.state != State::Active);
        others
            .filter(|(_, m)| !m.removed && m.pin == Pin::Free && !m.state.is_failed())
            .all(|(i, _)| self.nodes.get(i).is_none_or(|voice| voice.asked))
    }

    /// Whether every node was met in this life and, if it has not been good yet, had `fall` chances.
    pub fn is_settled(&self, model: &Model, fall: u32) -> bool {
        model.members.iter().zip(&self.nodes).all(|(m, voice)| {
            m.removed
                || m.pin == Pin::Fixed
                || (voice.met && (m.state != State::Unknown || u32::from(m.tries) >= fall.min(255)))
        })
    }
}

/// Why a node may not get the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bar {
    /// Not observed since the start, or it never said.
    NotSeen,
    /// An operator removed it.
    Removed,
    /// An override or a maintenance fixes its state.
    Pinned(State),
    /// Its last observation brought no word.
    Mute,
    /// It is in no group, not in order, or without the majority.
    Outside,
    /// It takes no writes: read-only, or a replica.
    NoWrites,
    /// It belongs to the majority, which names another one.
    NotNamed,
    /// Another member has a newer view of the group.
    OldView,
    /// It failed as ACTIVE and waits for `recover`.
    WaitsForRecover,
    /// It has failed and has not healed yet, and the group has others.
    NotStandby(State),
    /// Its last observation was not good.
    NotGood,
    /// It was not seen since the ACTIVE node's first bad observation, or since that lost its standing.
    NotFresh,
}

impl Bar {
    /// Why the node may not get the role, for people.
    pub fn sentence(self) -> String {
        match self {
            Bar::NotSeen => "it has not said yet whether it takes writes".into(),
            Bar::Removed => "an operator removed it".into(),
            Bar::Pinned(state) => format!("an operator fixed it as {state}"),
            Bar::Mute => "it does not answer, or does not tell whether it takes writes".into(),
            Bar::Outside => "it is not in order in the majority of a group".into(),
            Bar::NoWrites => "it takes no writes (read-only, or a replica)".into(),
            Bar::NotNamed => "its group names another node for writes".into(),
            Bar::OldView => "another member knows a newer view of the group".into(),
            Bar::WaitsForRecover => "it failed as ACTIVE and waits for `recover`".into(),
            Bar::NotStandby(state) => format!("it is {state}, and has not been good for long enough"),
            Bar::NotGood => "its last observation was not good".into(),
            Bar::NotFresh => "it has not been asked since the ACTIVE node came into doubt".into(),
        }
    }
}
