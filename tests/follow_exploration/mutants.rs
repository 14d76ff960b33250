//! Every rule altered, one at a time: left out, with another outcome, with another condition; as for policy `safe`.

use super::world::Row;
use primacy::policy::follow::{Action, FOLLOW, FollowView};
use std::cell::Cell;

/// How a condition is altered.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Alter {
    Always,
    Reverse,
    /// It holds if it would for any value of this fact.
    AnyOf(usize),
    /// It holds if it would for every value of this fact.
    AllOf(usize),
}

thread_local! {
    static ALTERED: Cell<(usize, Alter)> = const { Cell::new((0, Alter::Always)) };
}

type Fact = (&'static str, fn(&mut FollowView, bool));

const FACTS: [Fact; 12] = [
    ("vouched", |v, on| v.vouched = on),
    ("ordered", |v, on| v.ordered = on),
    ("grouped", |v, on| v.grouped = on),
    ("has_active", |v, on| v.has_active = on),
    ("active_failed", |v, on| v.active_failed = on),
    ("denied", |v, on| v.denied = on),
    ("candidate", |v, on| v.candidate = on),
    ("better", |v, on| v.better = on),
    ("contested", |v, on| v.contested = on),
    ("settled", |v, on| v.settled = on),
    ("all_asked", |v, on| v.all_asked = on),
    ("barred_by_recover", |v, on| v.barred_by_recover = on),
];

fn view(bits: usize) -> FollowView {
    let mut view = FollowView {
        ordered: false,
        vouched: false,
        grouped: false,
        has_active: false,
        active_failed: false,
        denied: false,
        candidate: false,
        better: false,
        contested: false,
        settled: false,
        all_asked: false,
        barred_by_recover: false,
    };
    for (n, (_, set)) in FACTS.iter().enumerate() {
        set(&mut view, bits >> n & 1 == 1);
    }
    view
}

/// Views that can be: what presupposes something else comes with it.
fn can_be(v: &FollowView) -> bool {
    let of_active = !v.has_active && (v.active_failed || v.denied || v.better);
    !of_active && (!v.better || v.candidate) && (!v.vouched || v.denied)
}

fn altered(view: &FollowView) -> bool {
    let (row, alter) = ALTERED.get();
    let when = FOLLOW[row].when;
    let with = |fact: usize| {
        [false, true].map(|on| {
            let mut view = *view;
            FACTS[fact].1(&mut view, on);
            when(&view)
        })
    };
    match alter {
        Alter::Always => true,
        Alter::Reverse => !when(view),
        Alter::AnyOf(fact) => with(fact).contains(&true),
        Alter::AllOf(fact) => !with(fact).contains(&false),
    }
}

/// A table with one row altered.
pub struct Mutant {
    pub name: String,
    condition: Option<(usize, Alter)>,
    rows: Vec<Row>,
}

impl Mutant {
    /// Runs something under the altered table.
    pub fn run<T>(&self, run: impl FnOnce(&[Row]) -> T) -> T {
        if let Some(condition) = self.condition {
            ALTERED.set(condition);
        }
        run(&self.rows)
    }
}

/// All mutants, and how many alterations leave every decision and number as they are, view by view, and so are none.
pub fn all() -> (Vec<Mutant>, usize) {
    use Action::*;
    let mut list = Vec::new();
    for (row, rule) in FOLLOW.iter().enumerate() {
        let mut rows = FOLLOW.to_vec();
        rows.remove(row);
        list.push(Mutant { name: format!("{} left out", rule.number), condition: None, rows });
        for then in [Keep, KeepContested, KeepReadOnly, KeepLast, Elect, Follow, Drop] {
            // With and without an ACTIVE node, both do the same.
            let same = matches!((then, rule.then), (Elect, Follow) | (Follow, Elect));
            if then != rule.then && !same {
                let mut rows = FOLLOW.to_vec();
                rows[row].then = then;
                let name = format!("{} does {then:?} instead of {:?}", rule.number, rule.then);
                list.push(Mutant { name, condition: None, rows });
            }
        }
        let facts = (0..FACTS.len()).flat_map(|f| [Alter::AnyOf(f), Alter::AllOf(f)]);
        for alter in [Alter::Always, Alter::Reverse].into_iter().chain(facts) {
            let mut rows = FOLLOW.to_vec();
            rows[row].when = altered;
            let name = match alter {
                Alter::Always => format!("{} always", rule.number),
                Alter::Reverse => format!("{} reversed", rule.number),
                Alter::AnyOf(f) => format!("{} for any {}", rule.number, FACTS[f].0),
                Alter::AllOf(f) => format!("{} for every {}", rule.number, FACTS[f].0),
            };
            list.push(Mutant { name, condition: Some((row, alter)), rows });
        }
    }
    let count = list.len();
    list.retain(|mutant| mutant.run(differs));
    let none = count - list.len();
    (list, none)
}

/// Whether any view at all gets another number or another outcome.
fn differs(rows: &[Row]) -> bool {
    (0..1 << FACTS.len()).map(view).filter(can_be).any(|view| {
        let first = |rows: &[Row]| rows.iter().find(|r| (r.when)(&view)).map(|r| (r.number, r.then));
        first(rows) != first(FOLLOW)
    })
}
