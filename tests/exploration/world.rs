//! The pools that are explored: their letters (what can be seen of a node), their moves, and states packed small.

use primacy::config::Failback;
use primacy::policy::safe::{
    Dues, Evidence, HandOver, Ladder, Member, Model, Occasion, Pin, Settings, Tables, Verdict, evaluate,
};
use primacy::policy::safe::{command, orders};
use primacy::policy::{Refusal, safe};
use primacy::pool::{MaintenanceRole, NodeType, State};
use primacy::probe::Class;

const fn of(class: Class) -> Evidence {
    Evidence { class, ..Evidence::GOOD }
}

pub const GOOD: Evidence = Evidence::GOOD;
const STALE: Evidence = Evidence { fresh: false, ..GOOD };
const READ_ONLY: Evidence = Evidence { writable: false, ..GOOD };
const GONE: Evidence = of(Class::Gone);
const HUNG: Evidence = of(Class::Hung);
const REFUSING: Evidence = of(Class::Refusing);
const LISTED: Evidence = Evidence { fail_on: true, ..REFUSING };

/// Everything that can be seen of a node, as far as rules may look at it.
pub const LETTERS: [(&str, Evidence); 34] = [
    ("good", GOOD),
    ("good-stale", STALE),
    ("gone", GONE),
    ("hung", of(Class::Hung)),
    ("silent-due", Evidence { silence_due: true, ..of(Class::Silent) }),
    ("silent-not-due", of(Class::Silent)),
    ("silent-isolated", Evidence { silence_due: true, isolated: true, ..of(Class::Silent) }),
    ("refusing", REFUSING),
    ("refusing-listed", LISTED),
    ("repl-io-stopped", of(Class::Replication)),
    ("repl-sql-stopped", Evidence { applies: false, ..of(Class::Replication) }),
    ("repl-source-applying", Evidence { source_in_doubt: true, ..of(Class::Replication) }),
    (
        "repl-source-not-applying",
        Evidence { source_in_doubt: true, applies: false, ..of(Class::Replication) },
    ),
    ("lag-within", Evidence { lag_only: true, ..of(Class::Replication) }),
    ("lag-beyond", Evidence { lag_only: true, within_takeover_lag: false, ..of(Class::Replication) }),
    ("read-only", READ_ONLY),
    ("blind", of(Class::Blind)),
    ("gone-exited", Evidence { exited: true, ..GONE }),
    ("good-backend-bad", Evidence { backend_bad: true, ..GOOD }),
    ("gone-window", Evidence { window_bad: true, ..GONE }),
    ("silent-window", Evidence { window_bad: true, silence_due: true, ..of(Class::Silent) }),
    ("silent-window-not-due", Evidence { window_bad: true, ..of(Class::Silent) }),
    (
        "silent-window-isolated",
        Evidence { window_bad: true, silence_due: true, isolated: true, ..of(Class::Silent) },
    ),
    ("refusing-window", Evidence { window_bad: true, ..LISTED }),
    ("good-lag-beyond", Evidence { within_takeover_lag: false, ..GOOD }),
    ("good-not-applying", Evidence { applies: false, ..GOOD }),
    (
        "repl-source-beyond",
        Evidence { source_in_doubt: true, within_takeover_lag: false, ..of(Class::Replication) },
    ),
    ("repl-listed", Evidence { fail_on: true, ..of(Class::Replication) }),
    ("repl-source-read-only", Evidence { source_in_doubt: true, writable: false, ..of(Class::Replication) }),
    ("blind-listed", Evidence { fail_on: true, ..of(Class::Blind) }),
    // What belongs to another class must not matter.
    ("good-noise", Evidence { fail_on: true, ..noisy(Class::Ok) }),
    ("refusing-noise", noisy(Class::Refusing)),
    ("gone-noise", Evidence { fail_on: true, silence_due: false, ..noisy(Class::Gone) }),
    (
        "repl-io-stopped-noise",
        Evidence { lag_only: false, source_in_doubt: false, fail_on: true, ..noisy(Class::Replication) },
    ),
];

const fn noisy(class: Class) -> Evidence {
    Evidence {
        silence_due: true,
        isolated: true,
        // Only with what counts does the window matter.
        window_bad: !matches!(class, Class::Gone),
        // And only with its own class what a pool of routers adds.
        exited: !matches!(class, Class::Gone),
        backend_bad: !matches!(class, Class::Ok),
        lag_only: true,
        source_in_doubt: true,
        ..of(class)
    }
}

/// The letters of these names.
pub fn letters(names: &[&str]) -> Vec<usize> {
    let place = |name: &&str| LETTERS.iter().position(|l| l.0 == *name).expect("a letter's name");
    names.iter().map(place).collect()
}

pub fn all_letters() -> Vec<usize> {
    (0..LETTERS.len()).collect()
}

/// The last observation, reduced to what any rule reads of it later: may the node take over; is it good; did it
/// answer; may what was seen fail an ACTIVE, and is it proof. `the_short_form_of_the_last_observation_loses_nothing` holds this to account.
pub fn short(e: Evidence) -> Evidence {
    let good = e.is_good_standby();
    match (good, e.class) {
        (true, _) if !(e.applies && e.within_takeover_lag && e.writable) => READ_ONLY,
        (true, _) if !e.fresh => STALE,
        (true, _) => GOOD,
        (false, Class::Gone) => GONE,
        (false, Class::Hung | Class::Silent) => HUNG,
        (false, Class::Refusing) if e.fail_on => LISTED,
        (false, _) => REFUSING,
    }
}

const SHORT: [Evidence; 7] = [GOOD, STALE, READ_ONLY, GONE, HUNG, REFUSING, LISTED];

pub const NONE: Dues = Dues { hand_back: false, heard: false, doubt_over: false, last_resort: false };
pub const HAND_BACK: Dues = Dues { hand_back: true, ..NONE };
pub const HEARD: Dues = Dues { heard: true, ..NONE };
pub const DOUBT_OVER: Dues = Dues { doubt_over: true, ..HEARD };
pub const LAST_RESORT: Dues = Dues { last_resort: true, ..NONE };
pub const LAST_HEARD: Dues = Dues { last_resort: true, ..HEARD };
/// What clocks can say, as far as it makes a difference.
pub const DUES: &[Dues] = &[NONE, HAND_BACK, HEARD, DOUBT_OVER, LAST_RESORT, LAST_HEARD];

/// What is explored.
#[derive(Clone)]
pub struct Pool {
    pub name: &'static str,
    pub types: &'static [NodeType],
    pub settings: Settings,
    pub letters: Vec<usize>,
    /// What clocks say with observations; a look is always taken with all.
    pub dues: &'static [Dues],
    /// Operators may ask for the PRIMARY, and take nodes out.
    pub activate: bool,
    pub remove: bool,
    /// A life may end at any time, and another one begins from what is on record.
    pub restarts: bool,
    /// Operators may override states, freeze the pool and begin maintenance.
    pub orders: bool,
    /// Letters of the nodes that are not the good one, where the end of every path is looked at.
    pub constant: Vec<usize>,
    /// Keep the last observation in full.
    pub full: bool,
}

impl Pool {
    pub fn new(name: &'static str, types: &'static [NodeType], fall: u32, rise: u32) -> Pool {
        Pool {
            name,
            types,
            settings: Settings { fall, rise, failback: Failback::AfterRecover, stateless: false },
            letters: all_letters(),
            dues: &[NONE, HAND_BACK],
            activate: true,
            remove: true,
            restarts: false,
            orders: false,
            constant: all_letters(),
            full: false,
        }
    }

    pub fn start(&self) -> Model {
        Model::new(self.types.iter().map(|&t| Member::new(t)).collect())
    }

    pub fn moves(&self) -> Vec<Move> {
        let mut moves = vec![Move::Proven, Move::Expired, Move::RecoverPool];
        moves.extend(DUES.iter().map(|&dues| Move::Look(dues)));
        if self.activate {
            moves.push(Move::ActivatePrimary);
        }
        if self.restarts {
            moves.push(Move::Restart);
        }
        for node in 0..self.types.len() {
            for &letter in &self.letters {
                moves.extend(self.dues.iter().map(|&due| Move::Observe { node, letter, due }));
            }
            moves.push(Move::Recover(node));
            moves.push(Move::AutoRecover(node));
            if self.remove {
                moves.push(Move::Remove(node));
            }
            if self.orders {
                moves.extend(STATES.map(|state| Move::SetState(node, state)));
                moves.extend([MaintenanceRole::Move, MaintenanceRole::Stay].map(|r| Move::Maintain(node, r)));
                moves.extend([Move::End(node), Move::RunOut(node)]);
            }
        }
        if self.orders {
            moves.extend([Move::Freeze, Move::Unfreeze, Move::Thaw]);
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
        due: Dues,
    },
    Proven,
    Expired,
    Look(Dues),
    Recover(usize),
    AutoRecover(usize),
    RecoverPool,
    ActivatePrimary,
    Remove(usize),
    Restart,
    SetState(usize, State),
    Maintain(usize, MaintenanceRole),
    End(usize),
    /// The time of a node's order runs out.
    RunOut(usize),
    Freeze,
    Unfreeze,
    /// The time of the freeze runs out.
    Thaw,
}

impl Move {
    pub fn evidence(self) -> Option<(usize, Evidence)> {
        match self {
            Move::Observe { node, letter, .. } => Some((node, LETTERS[letter].1)),
            _ => None,
        }
    }

    pub fn dues(self) -> Dues {
        match self {
            Move::Observe { due, .. } | Move::Look(due) => due,
            // An operator's order does not wait.
            Move::Maintain(..) => HAND_BACK,
            _ => NONE,
        }
    }

    /// The end of an order by time: nothing looks at the pool.
    pub fn is_by_time(self) -> bool {
        matches!(self, Move::RunOut(_) | Move::Thaw)
    }

    /// An order, or the end of one.
    pub fn is_order(self) -> bool {
        let begins = matches!(self, Move::SetState(..) | Move::Maintain(..) | Move::Freeze);
        begins || self.is_by_time() || matches!(self, Move::End(_) | Move::Unfreeze)
    }

    /// Whether a planned hand-over may begin now.
    pub fn due(self) -> bool {
        self.dues().hand_back
    }

    pub fn occasion(self) -> Occasion {
        match self {
            Move::Observe { node, letter, .. } => Occasion::Observed(node, LETTERS[letter].1),
            Move::Proven => Occasion::Proven,
            Move::Expired => Occasion::Expired,
            _ => Occasion::Look,
        }
    }
}

/// A move and what came of it.
pub struct Transition<'a> {
    pub pool: &'a Pool,
    pub action: Move,
    pub before: &'a Model,
    /// After a command, before the rules looked at the pool.
    pub between: &'a Model,
    pub after: &'a Model,
    pub verdict: &'a Verdict,
    pub command: &'a Option<Result<u16, Refusal>>,
    /// Observations that may fail an ACTIVE since this one got the role, this one included.
    pub fails: u8,
}

/// Carries out a move as the engine does: a command first, then the rules look at the pool.
pub fn step(
    pool: &Pool,
    tables: &Tables<'_>,
    before: &Model,
    action: Move,
) -> (Model, Model, Verdict, Option<Result<u16, Refusal>>) {
    let mut model = before.clone();
    let settings = &pool.settings;
    let command = match action {
        Move::Recover(node) => Some(command::recover(&mut model, settings, node)),
        Move::AutoRecover(node) => Some(command::auto_recover(&mut model, settings, node)),
        Move::RecoverPool => Some(Ok(command::recover_pool(&mut model, settings))),
        Move::ActivatePrimary => Some(command::activate_primary(&mut model)),
        Move::Remove(node) => Some(command::remove(&mut model, node)),
        Move::Restart => restart(&mut model, settings).map(Ok),
        Move::SetState(node, state) => Some(orders::set_state(&mut model, settings, node, state)),
        Move::Maintain(node, role) => Some(orders::maintain(&mut model, settings, node, role)),
        Move::End(node) => Some(orders::end(&mut model, settings, node)),
        Move::RunOut(node) => Some(Ok(orders::run_out(&mut model, settings, node))),
        Move::Freeze => Some(Ok(orders::freeze(&mut model))),
        Move::Unfreeze => Some(orders::unfreeze(&mut model, settings)),
        Move::Thaw => Some(Ok(orders::thaw(&mut model, settings))),
        _ => None,
    };
    let between = model.clone();
    // A refused command is not followed by a look, nor is an end by time.
    if matches!(command, Some(Err(_))) || action.is_by_time() || action == Move::Restart {
        return (between, model, Verdict::default(), command);
    }
    let verdict = evaluate(&mut model, tables, settings, action.dues(), action.occasion());
    if !pool.full {
        for m in &mut model.members {
            m.seen = m.seen.map(short);
        }
    }
    (between, model, verdict, command)
}

/// A life ends without a farewell; the next one reads the record that was asked for last.
fn restart(model: &mut Model, settings: &Settings) -> Option<u16> {
    let intent = model.intends_to_fail(settings, false, false).is_some();
    let record: Vec<_> = (0..model.members.len()).map(|i| model.status(i, settings)).collect();
    for (m, status) in model.members.iter_mut().zip(record) {
        let old = m.clone();
        *m = safe::restart::restored(old.node_type, (old.state, status), (old.held, old.owed), settings);
        (m.removed, m.pin) = (old.removed, old.pin);
    }
    model.hand_over = None;
    safe::restart::resume(model, settings, intent).map(|(rule, _)| rule)
}

/// Packs states; ladders and observations are numbered as they turn up.
#[derive(Default)]
pub struct Packer {
    ladders: Vec<Ladder>,
    seen: Vec<Evidence>,
}

const STATES: [State; 5] =
    [State::Unknown, State::Standby, State::Active, State::FailedOnline, State::FailedOffline];

fn number<T: PartialEq + Copy>(list: &mut Vec<T>, item: T, bits: u32) -> u128 {
    let place = list.iter().position(|&l| l == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    });
    assert!(place + 1 < 1 << bits, "the packed form has {bits} bits for this");
    place as u128
}

/// Bits of one node: ladder 11, observation 6, tries 3, flags 3, pin 2, state 3.
const NODE: u32 = 28;
const PINS: [Pin; 3] = [Pin::Free, Pin::Fixed, Pin::Leave];

impl Packer {
    pub fn new() -> Packer {
        Packer { ladders: Vec::new(), seen: SHORT.to_vec() }
    }

    pub fn pack(&mut self, model: &Model, fails: u8) -> u128 {
        let orders = u128::from(model.frozen) | u128::from(model.failback_waits) << 1;
        let mut packed =
            orders << 6 | u128::from(fails & 7) << 3 | model.hand_over.map_or(0, |h| h.to as u128 + 1);
        for m in &model.members {
            let seen = m.seen.map_or(0, |e| number(&mut self.seen, e, 6) + 1);
            let flags = u128::from(m.held) | u128::from(m.owed) << 1 | u128::from(m.removed) << 2;
            let node = number(&mut self.ladders, m.ladder, 11)
                | seen << 11
                | u128::from(m.tries & 7) << 17
                | flags << 20
                | (m.pin as u128) << 23
                | (m.state as u128) << 25;
            packed = packed << NODE | node;
        }
        packed
    }

    pub fn unpack(&self, pool: &Pool, packed: u128) -> (Model, u8) {
        let count = pool.types.len() as u32;
        let mut model = pool.start();
        for (i, m) in (0..count).zip(model.members.iter_mut()) {
            let node = packed >> (NODE * (count - 1 - i));
            let part = |shift: u32, bits: u32| (node >> shift & ((1 << bits) - 1)) as usize;
            m.ladder = self.ladders[part(0, 11)];
            m.seen = part(11, 6).checked_sub(1).map(|s| self.seen[s]);
            m.tries = part(17, 3) as u8;
            (m.held, m.owed, m.removed) = (part(20, 1) == 1, part(21, 1) == 1, part(22, 1) == 1);
            m.pin = PINS[part(23, 2)];
            m.state = STATES[part(25, 3)];
        }
        let head = packed >> (NODE * count);
        model.hand_over = ((head & 7) as usize).checked_sub(1).map(|to| HandOver { to });
        (model.frozen, model.failback_waits) = (head >> 6 & 1 == 1, head >> 7 & 1 == 1);
        (model, (head >> 3 & 7) as u8)
    }
}

/// A state in words, for failures.
pub fn words(pool: &Pool, model: &Model) -> String {
    let mut text = String::new();
    for (i, m) in model.members.iter().enumerate() {
        let letter = m.seen.map_or("not seen", |e| LETTERS.iter().find(|l| l.1 == e).map_or("?", |l| l.0));
        text.push_str(&format!(
            "  {i} {} {} {}{}{}{} {:?} tries {} seen {letter} ladder {:?}\n",
            m.node_type,
            m.state,
            model.status(i, &pool.settings),
            if m.held { " held" } else { "" },
            if m.owed { " owed" } else { "" },
            if m.removed { " removed" } else { "" },
            m.pin,
            m.tries,
            m.ladder,
        ));
    }
    text.push_str(&format!("  frozen {}, failback waits {}\n", model.frozen, model.failback_waits));
    if let Some(h) = model.hand_over {
        text.push_str(&format!("  hand-over to {}\n", h.to));
    }
    text
}

/// The rules in force.
pub fn in_force() -> Tables<'static> {
    safe::table::IN_FORCE
}
