//! What the documentation says in prose about following, written down a second time: who is believed, who may get the
//! role, and what is decided.

use super::world::{World, active};
use primacy::policy::follow::{Action, Names, Rank, Word};
use primacy::policy::safe::{Pin, Settings};
use primacy::pool::{NodeType, State, Status};
use primacy::probe::Class;

fn has(names: &Names, node: usize) -> bool {
    match names {
        Names::Any => true,
        Names::These(list) => list.contains(&node),
    }
}

/// The member's word of a node: group, view, names, rank.
pub fn member(w: &World, node: usize) -> Option<(u64, u64, &Names, Rank)> {
    match w.voices.nodes[node].word.as_ref()? {
        Word::Outside => None,
        Word::Member { group, view, names, rank } => Some((*group, *view, names, *rank)),
    }
}

/// "Its own word, or a newer one of its group, says that it does not take writes." Of a node that says nothing now, a word
/// of the same view is newer.
pub fn denied(w: &World, node: usize) -> bool {
    let voice = &w.voices.nodes[node];
    let Some(word) = &voice.word else { return false };
    let Word::Member { group, view, names, .. } = word else { return true };
    if !has(names, node) {
        return true;
    }
    (0..w.voices.nodes.len()).filter(|&i| i != node).any(|i| {
        let speaks = w.voices.nodes[i].speaks && !w.model.members[i].removed;
        member(w, i).is_some_and(|(g, v, n, _)| {
            let newer = v > *view || (v == *view && !voice.speaks);
            speaks && g == *group && newer && !has(n, node)
        })
    })
}

/// "A member is believed if it is in order and in the majority; it says itself that it takes writes, and can."
pub fn claims(w: &World, node: usize) -> bool {
    let speaks = w.voices.nodes[node].speaks && !w.model.members[node].removed;
    speaks && !denied(w, node) && member(w, node).is_some_and(|(_, _, _, rank)| rank != Rank::ReadOnly)
}

/// All that take writes, the ACTIVE one by its last word unless it has failed, of groups that are not the same.
pub fn contest(w: &World, s: &Settings) -> bool {
    let a = active(&w.model);
    let lasting = |i: usize| {
        Some(i) == a && w.model.status(i, s) != Status::Fail && !denied(w, i) && member(w, i).is_some()
    };
    let groups: Vec<u64> = (0..w.voices.nodes.len())
        .filter(|&i| claims(w, i) || lasting(i))
        .filter_map(|i| member(w, i).map(|m| m.0))
        .collect();
    groups.windows(2).any(|pair| pair[0] != pair[1])
}

/// "The role follows only to a node that says itself that it takes writes", with the newest view that anybody knows, in
/// order, and asked since the ACTIVE node came into doubt.
pub fn may_get_it(w: &World, node: usize) -> bool {
    fit(w, node) && !w.model.members[node].held
}

fn fit(w: &World, node: usize) -> bool {
    let m = &w.model.members[node];
    let only = w.voices.grouped
        && member(w, node).is_some_and(|(_, _, names, _)| *names == Names::These(vec![node]));
    let ready = matches!(m.state, State::Standby | State::Active) || m.held || only;
    let newest = member(w, node).is_some_and(|(group, view, _, _)| {
        (0..w.voices.nodes.len()).all(|i| {
            let speaks = w.voices.nodes[i].speaks && !w.model.members[i].removed;
            !speaks || member(w, i).is_none_or(|(g, v, _, _)| g != group || v <= view)
        })
    });
    let seen = m.seen.is_some_and(|e| e.class == Class::Ok && e.fresh);
    let asked = !w.voices.asking || w.voices.nodes[node].asked;
    let free = m.pin == Pin::Free || m.state == State::Active;
    claims(w, node) && ready && newest && seen && asked && free
}

/// "A node that says it has no majority is still named by a member that has one."
pub fn vouched(w: &World, node: usize) -> bool {
    let itself = w.voices.nodes[node].word == Some(Word::Outside);
    let by = |i: usize| {
        let speaks = w.voices.nodes[i].speaks && !w.model.members[i].removed;
        speaks && member(w, i).is_some_and(|m| *m.2 != Names::Any && has(m.2, node))
    };
    itself && (0..w.voices.nodes.len()).any(|i| i != node && by(i))
}

/// The best: Full before Donor, then the PRIMARY, then the order of configuration.
pub fn heir(w: &World) -> Option<usize> {
    let fits = |i: &usize| Some(*i) != active(&w.model) && may_get_it(w, *i);
    let order = |i: &usize| {
        let full = member(w, *i).is_some_and(|m| m.3 == Rank::Full);
        let primary = w.model.members[*i].node_type == NodeType::Primary;
        (!full, !primary, *i)
    };
    (0..w.voices.nodes.len()).filter(fits).min_by_key(order)
}

/// The row and what it does, in the words of the documentation. `w` is the pool after everything was heard and counted.
pub fn decides(w: &World, s: &Settings) -> (u16, Action) {
    let a = active(&w.model);
    let heir = heir(w);
    let group = w.voices.grouped;
    let others = |of: &dyn Fn(usize) -> bool| {
        (0..w.voices.nodes.len()).filter(|&i| Some(i) != a && !w.model.members[i].removed).all(of)
    };
    let out = |i: usize| w.model.members[i].state.is_failed() || w.model.members[i].pin != Pin::Free;
    let all_asked = others(&|i| out(i) || w.voices.nodes[i].asked);
    let all_met = (0..w.voices.nodes.len()).all(|i| {
        let m = &w.model.members[i];
        let tried = m.state != State::Unknown || u32::from(m.tries) >= s.fall;
        m.removed || m.pin == Pin::Fixed || (w.voices.nodes[i].met && tried)
    });
    let preferred = {
        let left: Vec<usize> =
            (0..w.voices.nodes.len()).filter(|&i| Some(i) != a && !w.model.members[i].removed).collect();
        let primary = left.iter().copied().find(|&i| w.model.members[i].node_type == NodeType::Primary);
        primary.or(left.first().copied())
    };
    let nobody_better = heir.is_some_and(|h| {
        let only = member(w, h).is_some_and(|(_, _, names, _)| *names == Names::These(vec![h]));
        group && (only || preferred == Some(h))
    });
    let heard = if w.voices.asking { all_asked } else { all_met };
    let waits_for_recover =
        (0..w.voices.nodes.len()).any(|i| w.model.members[i].held && barred_by_recover(w, i));
    // "Operators outrank the rules."
    let ordered = w.model.frozen || a.is_some_and(|a| w.model.members[a].pin == Pin::Fixed);
    let at_fail = a.is_some_and(|a| w.model.status(a, s) == Status::Fail);
    if ordered {
        return if at_fail { (316, Action::KeepLast) } else { (317, Action::Keep) };
    }
    if contest(w, s) {
        return if a.is_some() { (301, Action::KeepContested) } else { (302, Action::KeepContested) };
    }
    let Some(a) = a else {
        return match heir {
            None => (314, Action::Keep),
            Some(_) if heard || nobody_better => (312, Action::Elect),
            Some(_) => (313, Action::Keep),
        };
    };
    let failed = w.model.status(a, s) == Status::Fail;
    let taken = denied(w, a);
    if taken && heir.is_some() && (heard || nobody_better) {
        return (303, Action::Follow);
    }
    if failed && heir.is_some() {
        return (304, Action::Follow);
    }
    let handicap = member(w, a)
        .map(|m| m.3)
        .filter(|_| heir.is_some_and(|h| member(w, h).is_some_and(|(_, _, names, _)| has(names, a))));
    if heir.is_some_and(|h| handicap.is_some_and(|rank| member(w, h).is_some_and(|m| m.3 > rank))) {
        return (305, Action::Follow);
    }
    match (taken, failed) {
        (true, _) if !all_asked => (306, Action::Keep),
        (true, _) if group && vouched(w, a) => (318, Action::KeepReadOnly),
        (true, _) if group => (307, Action::Drop),
        (_, true) if waits_for_recover => (308, Action::KeepLast),
        (_, true) if group => (309, Action::KeepLast),
        (_, true) => (310, Action::KeepLast),
        (true, false) => (311, Action::KeepReadOnly),
        (false, false) => (315, Action::Keep),
    }
}

fn barred_by_recover(w: &World, node: usize) -> bool {
    let m = &w.model.members[node];
    let newest_and_claims = claims(w, node) && !m.removed && m.pin == Pin::Free;
    newest_and_claims
        && member(w, node).is_some_and(|(group, view, _, _)| {
            (0..w.voices.nodes.len()).all(|i| {
                let speaks = w.voices.nodes[i].speaks && !w.model.members[i].removed;
                !speaks || member(w, i).is_none_or(|(g, v, _, _)| g != group || v <= view)
            })
        })
}
