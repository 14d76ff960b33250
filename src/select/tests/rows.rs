//! The rows of `standing`, all cases: what must hold of every answer, and that each row is needed for it.

use super::super::standing::{Case, RULES, Rule, rule_for, sentence};
use super::*;
use crate::policy::serving::Selection;

fn cases() -> impl Iterator<Item = Case> {
    let roles = [Role::Active, Role::Standby, Role::Any];
    let demotions = [OnDemotion::Auto, OnDemotion::Kill, OnDemotion::Drain, OnDemotion::Keep];
    let answers = [Selection::Takes, Selection::Spare, Selection::Waits, Selection::No, Selection::Error];
    roles.into_iter().flat_map(move |role| {
        demotions.into_iter().flat_map(move |on_demotion| {
            answers.into_iter().flat_map(move |served| {
                (0..1_u32 << 9).map(move |bits| {
                    let bit = |n: u32| bits >> n & 1 == 1;
                    Case {
                        role,
                        served,
                        removed: bit(0),
                        active: bit(1),
                        failed: bit(2),
                        on_demotion,
                        maintenance: bit(3),
                        weightless: bit(4),
                        unlocated: bit(5),
                        discarded: bit(6),
                        lags: bit(7),
                        held: bit(8),
                    }
                })
            })
        })
    })
}

/// What an answer must not be, whatever the rows say; `None` if it is right.
fn wrong(c: &Case, then: Standing) -> Option<&'static str> {
    use Standing::*;
    let gives = then <= Waits;
    let lost = c.role == Role::Active && !c.active;
    let told = |wrong: bool, what: &'static str| wrong.then_some(what);
    told(c.removed && then != Ends, "a removed node keeps sessions")
        .or(told(c.unlocated && then <= Held, "a client is sent to no address"))
        .or(told(lost && gives, "a writer is sent to a node that is not ACTIVE"))
        .or(told(c.failed && gives, "a client is sent to a failed node"))
        .or(told(matches!(c.served, Selection::No | Selection::Error) && gives, "the serve matrix says no"))
        .or(told(c.served == Selection::Waits && then <= Held, "nobody waits for a hand-over"))
        .or(told(c.served == Selection::Spare && then == Takes, "a bad look makes no difference"))
        .or(told(c.held && then <= Spare, "a node that hosts cannot reach is the first choice"))
        .or(told(c.discarded && gives, "next-available comes back"))
        .or(told(c.lags && !c.active && gives && then != Waits, "a node that lags gets clients"))
        .or(told(c.maintenance && !c.active && gives, "maintenance gets clients"))
        .or(told(c.weightless && c.role != Role::Active && gives, "weight 0 gets clients"))
        .or({
            // Sessions, where the node is there at all.
            let kept = c.on_demotion == OnDemotion::Keep;
            let ends = c.on_demotion == OnDemotion::Kill || c.failed && c.on_demotion == OnDemotion::Auto;
            match (c.removed, lost) {
                (true, _) => None,
                (_, true) if kept => told(then != Stays, "kept sessions do not stay"),
                (_, true) if ends => told(then != Ends, "a session may still write"),
                (_, true) => told(then != Drains, "a planned move does not drain"),
                _ if c.failed => told(then != Ends, "sessions stay on a failed node"),
                _ if c.unlocated => None,
                _ if c.maintenance && !c.active || c.weightless && c.role != Role::Active => {
                    told(then != Drains, "an operator's wish does not drain")
                }
                _ => told(then > Stays, "sessions end without a reason"),
            }
        })
        .or({
            let plain = c.served == Selection::Takes && !c.removed && !c.failed && !c.unlocated && !lost;
            let free = !c.maintenance && !c.weightless && !c.discarded && !c.lags && !c.held;
            told(plain && free && then != Takes, "a node in order gets no clients")
        })
        .or({
            let waits = c.served == Selection::Waits && !c.removed && !c.failed && !c.unlocated && !lost;
            let free = !c.maintenance && !c.weightless && !c.discarded;
            told(waits && free && then != Waits, "a client is refused that could wait")
        })
}

#[test]
fn every_answer_is_right_and_every_row_fires() {
    let mut fired = BTreeMap::new();
    for case in cases() {
        let rule = rule_for(&case);
        assert_eq!(wrong(&case, rule.then), None, "rule {}: {case:?}", rule.number);
        *fired.entry(rule.number).or_insert(0) += 1;
    }
    assert_eq!(fired.keys().copied().collect::<Vec<u16>>(), (601..=617).collect::<Vec<u16>>(), "{fired:?}");
}

#[test]
fn no_row_can_be_left_out() {
    for gone in RULES {
        let rest: Vec<&Rule> = RULES.iter().filter(|rule| rule.number != gone.number).collect();
        let caught = cases().any(|case| match rest.iter().find(|rule| (rule.when)(&case)) {
            Some(rule) => wrong(&case, rule.then).is_some(),
            None => true,
        });
        assert!(caught, "nobody misses rule {}", gone.number);
    }
}

#[test]
fn rows_have_numbers_and_sentences_of_their_own() {
    assert!(RULES.windows(2).all(|pair| pair[0].number < pair[1].number));
    for rule in RULES {
        assert_eq!(sentence(rule.number), Some(rule.sentence));
        assert_eq!(crate::policy::rule_sentence(rule.number), Some(rule.sentence));
        assert!(!rule.sentence.ends_with('.') && rule.sentence.len() > 15, "{}", rule.number);
    }
    assert_eq!((sentence(600), sentence(618)), (None, None));
}
