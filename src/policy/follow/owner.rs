//! Pools of routers whose address somebody owns: the node of the host that holds the address is ACTIVE.
//!
//! Who holds it is decided elsewhere, by election or lease; the pool follows, as this agent is told. So "at most one is
//! ACTIVE" is this agent's view: only a lease makes it a fact. Rules 324 to 329.

use crate::policy::safe::table::{Rule, Tables};
use crate::policy::safe::{Evidence, Ladder, Member, Model, Pin, Settings, evaluation};
use crate::pool::{State, Status};

/// Who holds the pool's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// Nobody has told yet.
    Untold,
    /// No host does, or one that has no node in the pool.
    Nobody,
    /// The host of this node.
    Node(usize),
}

/// What the conditions of [`OWNER`] look at, after the observed node's state is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerView {
    /// An operator froze the pool, or fixed the ACTIVE node.
    pub ordered: bool,
    /// Somebody has told who holds the address, if only that nobody does.
    pub told: bool,
    /// A host holds it that has a node in the pool, which no operator took out or fixed as something else.
    pub held: bool,
    /// That node is ACTIVE.
    pub owner_active: bool,
    /// The pool has an ACTIVE node.
    pub has_active: bool,
    /// The ACTIVE node is at FAIL.
    pub active_failed: bool,
}

/// What a row of [`OWNER`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerAction {
    /// Nothing moves.
    Keep,
    /// The ACTIVE node keeps its role at FAIL, with an alarm.
    KeepLast,
    /// The owner's node becomes ACTIVE, the old one STANDBY, or FAILED_* if it is at FAIL, in one evaluation.
    Follow,
    /// The ACTIVE node becomes STANDBY, or FAILED_* if it is at FAIL, and nobody is ACTIVE.
    Drop,
}

macro_rules! table {
    ($(#[$meta:meta])* $name:ident { $( $number:literal, $condition:literal, $when:expr, $next:expr, $sentence:literal; )+ }) => {
        $(#[$meta])*
        pub static $name: &[Rule<OwnerView, OwnerAction>] = &[$( Rule {
            number: $number, condition: $condition, when: $when, then: $next, sentence: $sentence,
        } ),+];
    };
}

table! {
    /// Who is ACTIVE where a host owns the pool's address. First match wins.
    OWNER {
    324, "frozen, or an operator fixed the ACTIVE node", |v| v.ordered,
        OwnerAction::Keep, "an operator keeps the role where it is, whoever holds the address";
    325, "nobody has told who holds the address", |v| !v.told,
        OwnerAction::Keep, "it is not known yet who holds the address: nothing moves";
    326, "the owner's node is ACTIVE and at FAIL", |v| v.owner_active && v.active_failed,
        OwnerAction::KeepLast, "the router has failed, but its host holds the address: it is ACTIVE until the address moves";
    327, "another node's host holds the address", |v| v.held && !v.owner_active,
        OwnerAction::Follow, "the host of this node holds the address now: the role follows";
    328, "nobody holds the address, a node is ACTIVE", |v| !v.held && v.has_active,
        OwnerAction::Drop, "no host of this pool holds the address: nobody is ACTIVE";
    329, "otherwise", |_| true,
        OwnerAction::Keep, "who is ACTIVE is who holds the address";
    }
}

/// What an evaluation decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerVerdict {
    /// The row of `CHARGE` that counted, 0 without an observation.
    pub charge: u16,
    /// The row of `STATE` that decided, 0 without an observation.
    pub state: u16,
    /// The row of [`OWNER`] that decided.
    pub role: Option<(u16, OwnerAction)>,
}

/// Evaluates what was observed of a node; or, without an observation, looks again.
pub fn evaluate_owned(
    model: &mut Model,
    owner: Owner,
    tables: &Tables<'_>,
    rows: &[Rule<OwnerView, OwnerAction>],
    settings: &Settings,
    observed: Option<(usize, Evidence)>,
) -> OwnerVerdict {
    let mut verdict = OwnerVerdict::default();
    // A hand-over that an earlier configuration had begun has no meaning here.
    model.hand_over = None;
    if let Some((node, evidence)) = observed {
        if model.members.get(node).is_none_or(|m| m.removed) {
            return verdict;
        }
        (verdict.charge, verdict.state) = evaluation::take_in(model, tables, settings, node, evidence);
    }
    let view = view(model, owner, settings);
    if let Some(rule) = rows.iter().find(|r| (r.when)(&view)) {
        verdict.role = Some((rule.number, rule.then));
        match rule.then {
            OwnerAction::Keep | OwnerAction::KeepLast => {}
            OwnerAction::Follow => {
                step_down(model, settings);
                crown(model, owner);
            }
            OwnerAction::Drop => step_down(model, settings),
        }
    }
    verdict
}

/// What the rows look at.
pub fn view(model: &Model, owner: Owner, settings: &Settings) -> OwnerView {
    let active = model.active();
    // What an operator took out, or fixed as something else, does not get the role by holding the address.
    let may = |n: &usize| {
        let fixed = |m: &Member| m.pin == Pin::Fixed && active != Some(*n);
        model.members.get(*n).is_some_and(|m| !m.removed && !fixed(m))
    };
    let node = match owner {
        Owner::Node(node) => Some(node).filter(may),
        Owner::Untold | Owner::Nobody => None,
    };
    OwnerView {
        ordered: model.frozen || active.is_some_and(|a| model.members[a].pin == Pin::Fixed),
        told: owner != Owner::Untold,
        held: node.is_some(),
        owner_active: node.is_some() && node == active,
        has_active: active.is_some(),
        active_failed: active.is_some_and(|a| model.status(a, settings) == Status::Fail),
    }
}

/// The role goes to the owner's node. What counts against it goes on counting: that its host holds the address does not
/// make its router good.
fn crown(model: &mut Model, owner: Owner) {
    let Owner::Node(node) = owner else { return };
    model.failback_waits = false;
    if let Some(m) = model.members.get_mut(node) {
        m.state = State::Active;
        (m.held, m.owed) = (false, false);
    }
}

/// The ACTIVE node gives the role up. It heals by itself.
fn step_down(model: &mut Model, settings: &Settings) {
    let Some(a) = model.active() else { return };
    let failed = model.status(a, settings) == Status::Fail;
    let old = &mut model.members[a];
    if failed {
        let answers = old.seen.is_some_and(|e| e.class.answered());
        old.state = if answers { State::FailedOnline } else { State::FailedOffline };
        old.ladder = Ladder::failed(settings.fall, settings.rise);
    } else {
        let good = old.pin == Pin::Free && old.is_good();
        old.state = if good { State::Standby } else { State::Unknown };
    }
    // Who was to leave for maintenance is there now.
    if old.pin == Pin::Leave {
        old.pin = Pin::Fixed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Failback;
    use crate::policy::safe::table::IN_FORCE;
    use crate::pool::NodeType;
    use crate::probe::Class;
    use std::collections::BTreeSet;

    const SETTINGS: Settings = Settings { fall: 1, rise: 1, failback: Failback::Manual, stateless: true };

    /// Every way in which a node can stand, as far as the rows look at it.
    fn members() -> Vec<Member> {
        let mut out = Vec::new();
        for &state in State::ALL {
            for pin in [Pin::Free, Pin::Fixed, Pin::Leave] {
                for failed in [false, true] {
                    for removed in [false, true] {
                        let ladder = if failed { Ladder::failed(1, 1) } else { Ladder::default() };
                        let seen = Some(Evidence::of(if failed { Class::Gone } else { Class::Ok }));
                        let member = Member::new(NodeType::Secondary);
                        out.push(Member { state, pin, ladder, seen, removed, ..member });
                    }
                }
            }
        }
        // A removed node is UNKNOWN, and only an ACTIVE one is to leave.
        out.retain(|m| !m.removed || m.state == State::Unknown);
        out.retain(|m| m.pin != Pin::Leave || m.state == State::Active);
        out
    }

    #[test]
    fn who_holds_the_address_is_active_and_nobody_else() {
        let mut fired = BTreeSet::new();
        let all = members();
        let mut models = Vec::new();
        for a in &all {
            for b in &all {
                if a.state == State::Active && b.state == State::Active {
                    continue;
                }
                for frozen in [false, true] {
                    models.push(Model { frozen, ..Model::new(vec![a.clone(), b.clone()]) });
                }
            }
        }
        for model in models {
            for owner in [Owner::Untold, Owner::Nobody, Owner::Node(0), Owner::Node(1), Owner::Node(2)] {
                let mut after = model.clone();
                let verdict = evaluate_owned(&mut after, owner, &IN_FORCE, OWNER, &SETTINGS, None);
                let (rule, action) = verdict.role.expect("the last row always holds");
                fired.insert(rule);
                let was = model.active();
                let fixed = was.is_some_and(|a| model.members[a].pin == Pin::Fixed);
                let wanted = match owner {
                    _ if model.frozen || fixed => was,
                    Owner::Untold => was,
                    Owner::Node(n) => {
                        let free = |m: &&Member| !m.removed && (m.pin != Pin::Fixed || was == Some(n));
                        model.members.get(n).filter(free).map(|_| n)
                    }
                    Owner::Nobody => None,
                };
                let how = format!("{owner:?} {model:?}");
                assert_eq!(after.active(), wanted, "{how}");
                assert_eq!(
                    after.active() == was,
                    matches!(action, OwnerAction::Keep | OwnerAction::KeepLast),
                    "{how}"
                );
                for (i, (old, new)) in model.members.iter().zip(&after.members).enumerate() {
                    assert!(!new.held || old.held, "{how}");
                    if old.state == State::Active && new.state != State::Active {
                        let failed = old.ladder.is_failed(1, 1);
                        assert_eq!(new.state.is_failed(), failed, "{how}");
                        assert_eq!(new.ladder.is_failed(1, 1), failed, "{how}");
                        assert!(new.pin != Pin::Leave, "who left is there: {how}");
                    } else if wanted != Some(i) {
                        assert_eq!(old, new, "{how}");
                    } else {
                        assert_eq!(old.ladder, new.ladder, "the address makes nobody better: {how}");
                    }
                }
                // Said again, it changes nothing.
                let mut again = after.clone();
                evaluate_owned(&mut again, owner, &IN_FORCE, OWNER, &SETTINGS, None);
                assert_eq!(again, after, "{how}");
            }
        }
        assert_eq!(fired.into_iter().collect::<Vec<_>>(), [324, 325, 326, 327, 328, 329]);
    }
}
