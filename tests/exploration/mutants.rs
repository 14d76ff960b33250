//! Every rule altered, one at a time: left out, with another outcome, with another condition.
//!
//! A condition is altered as a whole (always, reversed) and fact by fact: it no longer looks at one of the facts it
//! looks at, and holds if it would for any value of that fact, or only if it would for all of them.

use primacy::policy::safe::table::{CHARGE, ChargeView, ROLE, RoleView, Rule, STATE, StateView, Tables};
use primacy::policy::safe::{Evidence, RoleAction, Step};
use primacy::pool::{State, Status};
use primacy::probe::Class;
use std::cell::Cell;
use std::fmt::Debug;

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

/// A fact of a view: its name, its number of values, and how to set it.
struct Fact<V: 'static> {
    name: &'static str,
    values: usize,
    set: fn(&mut V, usize),
}

const STATES: [State; 5] =
    [State::Unknown, State::Standby, State::Active, State::FailedOnline, State::FailedOffline];

macro_rules! facts {
    ($name:ident: $view:ty { $($word:literal, $values:expr, $set:expr;)+ }) => {
        static $name: &[Fact<$view>] = &[$(Fact { name: $word, values: $values, set: $set }),+];
    };
}

facts! { CHARGE_FACTS: ChargeView {
    "class", 7, |v, n| v.evidence.class = Class::ALL[n];
    "active", 2, |v, n| v.active = n == 1;
    "fail_on", 2, |v, n| v.evidence.fail_on = n == 1;
    "exited", 2, |v, n| v.evidence.exited = n == 1;
    "backend_bad", 2, |v, n| v.evidence.backend_bad = n == 1;
    "silence_due", 2, |v, n| v.evidence.silence_due = n == 1;
    "isolated", 2, |v, n| v.evidence.isolated = n == 1;
    "window_bad", 2, |v, n| v.evidence.window_bad = n == 1;
    "lag_only", 2, |v, n| v.evidence.lag_only = n == 1;
    "source_in_doubt", 2, |v, n| v.evidence.source_in_doubt = n == 1;
    "applies", 2, |v, n| v.evidence.applies = n == 1;
    "within_takeover_lag", 2, |v, n| v.evidence.within_takeover_lag = n == 1;
    "writable", 2, |v, n| v.evidence.writable = n == 1;
    "fresh", 2, |v, n| v.evidence.fresh = n == 1;
} }

facts! { STATE_FACTS: StateView {
    "class", 7, |v, n| v.evidence.class = Class::ALL[n];
    "state", 5, |v, n| v.state = STATES[n];
    "held", 2, |v, n| v.held = n == 1;
    "failed", 2, |v, n| v.failed = n == 1;
    "healed", 2, |v, n| v.healed = n == 1;
    "lag_only", 2, |v, n| v.evidence.lag_only = n == 1;
    "source_in_doubt", 2, |v, n| v.evidence.source_in_doubt = n == 1;
    "applies", 2, |v, n| v.evidence.applies = n == 1;
    "within_takeover_lag", 2, |v, n| v.evidence.within_takeover_lag = n == 1;
    "pinned", 2, |v, n| v.pinned = n == 1;
    "frozen", 2, |v, n| v.frozen = n == 1;
} }

facts! { ROLE_FACTS: RoleView {
    "has_active", 2, |v, n| v.has_active = n == 1;
    "active_failed", 2, |v, n| v.active_failed = n == 1;
    "in_doubt", 2, |v, n| v.in_doubt = n == 1;
    "candidate", 2, |v, n| v.candidate = n == 1;
    "unheard", 2, |v, n| v.unheard = n == 1;
    "heard", 2, |v, n| v.heard = n == 1;
    "last_resort", 2, |v, n| v.last_resort = n == 1;
    "doubt_over", 2, |v, n| v.doubt_over = n == 1;
    "settled", 2, |v, n| v.settled = n == 1;
    "barred_by_recover", 2, |v, n| v.barred_by_recover = n == 1;
    "primary_due", 2, |v, n| v.primary_due = n == 1;
    "handing_over", 2, |v, n| v.handing_over = n == 1;
    "heir_fit", 2, |v, n| v.heir_fit = n == 1;
    "proven", 2, |v, n| v.proven = n == 1;
    "expired", 2, |v, n| v.expired = n == 1;
    "active_pinned", 2, |v, n| v.active_pinned = n == 1;
    "frozen", 2, |v, n| v.frozen = n == 1;
    "leave_due", 2, |v, n| v.leave_due = n == 1;
} }

/// A view of any of the three tables.
trait View: Copy + 'static {
    type Then: Copy + PartialEq + Debug + 'static;
    const BLANK: Self;
    fn table() -> &'static [Rule<Self, Self::Then>];
    fn facts() -> &'static [Fact<Self>];
    fn outcomes() -> Vec<Self::Then>;
}

impl View for ChargeView {
    type Then = Step;
    const BLANK: Self = ChargeView { evidence: Evidence::GOOD, active: false };
    fn table() -> &'static [Rule<Self, Step>] {
        CHARGE
    }
    fn facts() -> &'static [Fact<Self>] {
        CHARGE_FACTS
    }
    fn outcomes() -> Vec<Step> {
        let towards = [Status::OkWarn, Status::OkCritical].map(Step::Towards);
        [Step::Hold, Step::Down, Step::Up, Step::Foot].into_iter().chain(towards).collect()
    }
}

impl View for StateView {
    type Then = Option<State>;
    const BLANK: Self = StateView {
        evidence: Evidence::GOOD,
        state: State::Unknown,
        held: false,
        failed: false,
        healed: false,
        pinned: false,
        frozen: false,
    };
    fn table() -> &'static [Rule<Self, Option<State>>] {
        STATE
    }
    fn facts() -> &'static [Fact<Self>] {
        STATE_FACTS
    }
    fn outcomes() -> Vec<Option<State>> {
        STATES.into_iter().map(Some).chain([None]).collect()
    }
}

impl View for RoleView {
    type Then = RoleAction;
    const BLANK: Self = RoleView {
        has_active: false,
        active_failed: false,
        in_doubt: false,
        candidate: false,
        unheard: false,
        heard: false,
        doubt_over: false,
        last_resort: false,
        settled: false,
        barred_by_recover: false,
        primary_due: false,
        handing_over: false,
        heir_fit: false,
        proven: false,
        expired: false,
        active_pinned: false,
        frozen: false,
        leave_due: false,
    };
    fn table() -> &'static [Rule<Self, RoleAction>] {
        ROLE
    }
    fn facts() -> &'static [Fact<Self>] {
        ROLE_FACTS
    }
    fn outcomes() -> Vec<RoleAction> {
        use RoleAction::*;
        vec![
            Keep,
            Elect,
            TakeOver,
            LastResort,
            KeepLast,
            KeepDoubted,
            KeepByOrder,
            BeginHandOver,
            BeginLeave,
            CompleteHandOver,
            AbandonHandOver,
        ]
    }
}

/// The condition of the altered row.
fn altered<V: View>(view: &V) -> bool {
    let (row, alter) = ALTERED.get();
    let when = V::table()[row].when;
    let with = |fact: usize| {
        (0..V::facts()[fact].values).map(move |n| {
            let mut view = *view;
            (V::facts()[fact].set)(&mut view, n);
            when(&view)
        })
    };
    match alter {
        Alter::Always => true,
        Alter::Reverse => !when(view),
        Alter::AnyOf(fact) => with(fact).any(|holds| holds),
        Alter::AllOf(fact) => with(fact).all(|holds| holds),
    }
}

type Row<V> = Rule<V, <V as View>::Then>;

/// One altered table.
struct Altered<V: View> {
    name: String,
    /// How the row's condition is altered, if it is.
    condition: Option<(usize, Alter)>,
    rows: Vec<Row<V>>,
}

/// A set of tables with one row altered.
pub struct Mutant {
    pub name: String,
    condition: Option<(usize, Alter)>,
    charge: Vec<Row<ChargeView>>,
    state: Vec<Row<StateView>>,
    role: Vec<Row<RoleView>>,
}

impl Mutant {
    /// Runs something under the altered tables.
    pub fn run<T>(&self, run: impl FnOnce(&Tables<'_>) -> T) -> T {
        if let Some(condition) = self.condition {
            ALTERED.set(condition);
        }
        run(&Tables { charge: &self.charge, state: &self.state, role: &self.role })
    }
}

/// All mutants, and how many alterations leave every decision and number as they are, view by view, and so are none.
pub fn all() -> (Vec<Mutant>, usize) {
    let (charge, a) = alterations::<ChargeView>();
    let (state, b) = alterations::<StateView>();
    let (role, c) = alterations::<RoleView>();
    let copy = |name: String, condition| Mutant {
        name,
        condition,
        charge: CHARGE.to_vec(),
        state: STATE.to_vec(),
        role: ROLE.to_vec(),
    };
    let mut mutants = Vec::new();
    for m in charge {
        mutants.push(Mutant { charge: m.rows, ..copy(m.name, m.condition) });
    }
    for m in state {
        mutants.push(Mutant { state: m.rows, ..copy(m.name, m.condition) });
    }
    for m in role {
        mutants.push(Mutant { role: m.rows, ..copy(m.name, m.condition) });
    }
    (mutants, a + b + c)
}

fn alterations<V: View>() -> (Vec<Altered<V>>, usize) {
    let table = V::table();
    let mut list: Vec<Altered<V>> = Vec::new();
    for (row, rule) in table.iter().enumerate() {
        let mut rows = table.to_vec();
        rows.remove(row);
        list.push(Altered { name: format!("{} left out", rule.number), condition: None, rows });
        for then in V::outcomes().into_iter().filter(|&then| then != rule.then) {
            let mut rows = table.to_vec();
            rows[row].then = then;
            let name = format!("{} does {then:?} instead of {:?}", rule.number, rule.then);
            list.push(Altered { name, condition: None, rows });
        }
        // What a condition does not look at cannot be altered in it.
        let read = (0..V::facts().len()).filter(|&f| reads::<V>(rule.when, f));
        let facts = read.flat_map(|f| [Alter::AnyOf(f), Alter::AllOf(f)]);
        for alter in [Alter::Always, Alter::Reverse].into_iter().chain(facts) {
            let mut rows = table.to_vec();
            rows[row].when = altered::<V>;
            let name = match alter {
                Alter::Always => format!("{} always", rule.number),
                Alter::Reverse => format!("{} reversed", rule.number),
                Alter::AnyOf(f) => format!("{} for any {}", rule.number, V::facts()[f].name),
                Alter::AllOf(f) => format!("{} for every {}", rule.number, V::facts()[f].name),
            };
            list.push(Altered { name, condition: Some((row, alter)), rows });
        }
    }
    let count = list.len();
    list.retain(|altered| {
        if let Some(condition) = altered.condition {
            ALTERED.set(condition);
        }
        differs::<V>(&altered.rows)
    });
    let none = count - list.len();
    (list, none)
}

/// Whether a condition looks at a fact.
fn reads<V: View>(when: fn(&V) -> bool, fact: usize) -> bool {
    let facts = V::facts();
    let total: usize = facts.iter().map(|f| f.values).product();
    (0..total).any(|mut n| {
        let mut view = V::BLANK;
        for fact in facts {
            (fact.set)(&mut view, n % fact.values);
            n /= fact.values;
        }
        let was = when(&view);
        (0..facts[fact].values).any(|value| {
            (facts[fact].set)(&mut view, value);
            when(&view) != was
        })
    })
}

/// Whether any view at all gets another number or another outcome.
fn differs<V: View>(rows: &[Row<V>]) -> bool {
    let facts = V::facts();
    let total: usize = facts.iter().map(|f| f.values).product();
    (0..total).any(|mut n| {
        let mut view = V::BLANK;
        for fact in facts {
            (fact.set)(&mut view, n % fact.values);
            n /= fact.values;
        }
        let first = |rows: &[Row<V>]| rows.iter().find(|r| (r.when)(&view)).map(|r| (r.number, r.then));
        first(rows) != first(V::table())
    })
}
