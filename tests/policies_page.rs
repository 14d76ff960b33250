//! docs/policies.md is printed from the rule tables. `PRIMACY_WRITE_POLICIES=1 cargo test --test policies_page` writes
//! it anew.

use primacy::policy::follow::{self, Action, FOLLOW, OWNER, OwnerAction};
use primacy::policy::mpp::{self, Finding, Member, Settings};
use primacy::policy::reload;
use primacy::policy::safe::ladder::Step;
use primacy::policy::safe::table::{self, CHARGE, COMMANDS, ROLE, STATE, StateView};
use primacy::policy::safe::{Evidence, RoleAction, restart::RESTART};
use primacy::pool::{NodeType, PoolStatus, State, Status};
use primacy::probe::Class;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

const HEAD: &str = "# Policies

A policy is a table of numbered rules. In each table the first row whose condition holds decides. A number never
changes its meaning; every event, `explain` and the snapshot cite it. This page is printed from the tables that the
engine runs on, and a test holds it to them.

";

const SAFE: &str = "## Policy `safe`

The default. An observation passes three tables: what it counts on the ladder of the observed node, what that node
becomes, and who is ACTIVE. Times (`silence`, `doubt_deadline`, `last_resort`) are measured by the engine and reach the
tables as plain facts.

Rule 213 asks whether anybody answers at all: since the node fell silent, has any node of any pool that is not on this
machine, or any checkpoint, brought a reply of any kind? It takes two such places to say so: two nodes, or one node and
its checkpoints. A server that hangs replies by its kernel's acknowledgements: they count as of their own time, also for itself once
a probe sends nothing because an earlier one's question is still unanswered. Checkpoints are looked at while a node is silent and nothing has proven the path yet, and never count
against a node; one that could not be looked at says nothing.

";

const ORDERS: &str = "### Operators outrank rules

An override, a freeze and a maintenance each have a reason and, if wanted, a time limit. They are in the cache, in the
snapshot and in `explain`, and outlive the process. They break nothing that the rules keep: there is one ACTIVE node, and
who has the role loses it only to a node that gets it in the same move. The diagram does not show what operators move.

- **Override of the state.** The node stays what it was set to, whatever is observed. Rules go on watching; `explain` and
  one event say what they would have done. *ACTIVE* moves the role at once, without the proof of a hand-over; the old
  ACTIVE node becomes STANDBY, or FAILED and waiting for `recover` if it had failed. It may be forced on a node that rules
  would not choose: the answer and the event say why they would not. If the node fails, it keeps the role at FAIL, with an
  alarm. *Any other state* on the ACTIVE node gives its role to a node that may take over, and is refused if there is none;
  FAILED_* makes the former ACTIVE node wait for `recover`, as if rules had failed it. A node that is set to anything but
  ACTIVE never takes over: if it is the only one left, that is said with the alarm.
- **Override of status, type or weight.** The status is for those who look and who send clients; rules go on with what they
  counted. A node that is set to PRIMARY takes the place of the configured one. Weight 0 takes no clients.
- **Maintenance.** The node is no candidate, and its faults alarm nobody. A STANDBY node becomes UNKNOWN for the time.
  On the ACTIVE node, *move* hands the role over with the proof of a hand-back, again and again until it succeeds; until then
  rules judge the node as ever. *Stay* keeps the role on it, and its faults do not take it away.
- **Freeze.** No rule changes a state or the role of the pool: no take-over, no first ACTIVE, no hand-back, no healing, no
  `auto_recover`, no `last_resort`. What rules would have done is told once for each node. Operators' commands work;
  `activate-primary` is refused, because the rules would carry it out. A maintenance with *move* goes on.
- **The end**, by command or by time, changes no state. Whom it concerned is counted anew: an ACTIVE node at FAIL must be
  seen bad `fall` times, a FAILED one be good for `rise`, an UNKNOWN one be seen once in good order; silence is measured
  anew. After a command the rules look at the pool at once; after the end of a time limit only with the next observation, and
  no hand-back begins before an operator asks (`recover`, `activate-primary`) or the role has moved. 60 s before the end an
  event warns; an order of less than that is told its end with the answer.
- **Time** is measured by the monotonic clock while the process lives. Over a restart the wall clock carries it; if that was
  set back since the last write of the cache, the order has what was left at that write. What ran out meanwhile ends at the
  start.
- **One for each node**: a later override or maintenance takes the place of the earlier, with all that it set. `remove` of a
  node ends its order.
- Under `mpp` the same words hold, with the original's manners: the role moves at once also in a maintenance, and after an
  order the table decides as it always does, so a PRIMARY that is STANDBY gets its role back from a SECONDARY.

";

const FOLLOWING: &str = "## Pools that follow

In a pool of kind `group` or `replicated` others decide who takes writes: the group, or whoever sets `read_only`. The health of
its nodes is judged by the first two tables of `safe`; who is ACTIVE, by this one in place of the third. Each node says, with
every good observation, whether it takes writes, and a member of a group whom its view names. It is believed if it is in order
itself and its view holds the majority; of two words of the same group, the one with the newer view holds. Without a group,
every node that takes writes stands for itself alone.

";

const ROUTERS: &str = "## Pools of routers

A pool of kind `router` is judged by the tables of `safe`. Nobody waits for `recover`, a node is healed once no step towards FAIL is
left, whatever is behind it, and a hand-over waits for one look at the heir alone. Rules 296 and 297 fire in such pools only.

Where a host holds an address for the pool, this table takes the place of the third: the owner is told from outside.

";

const MPP: &str = "## Policy `mpp`

The original's decisions, exactly. One cycle judges the PRIMARY first, then the SECONDARYs in configuration order, each
decision in force at once. `n` is the count before the cycle, `M` is `levels`, `H` is `hostile_takeover`, `P` the
PRIMARY and `S` a SECONDARY.

The checkpoints of a node that cannot be reached are looked at within the same cycle, which ends with the last of them.
If all of them fail, the pool's status is FAIL (141) in this cycle and until the pool is recovered. A checkpoint that
could not be looked at has not failed.

";

/// The last resort of a pool that has no ACTIVE node.
const NO_ACTIVE_LAST_RESORT: u16 = 294;
const RELOAD: &str = "## Reload

A new configuration for a running instance, under either policy. Pools are the same by name, nodes by address; what is the
same keeps its state. A row that refuses leaves everything as it was.

";

type Moves = BTreeMap<(State, State), BTreeSet<u16>>;

fn step(step: Step) -> String {
    match step {
        Step::Hold => "nothing is counted".into(),
        Step::Down => "one step down".into(),
        Step::Towards(status) => format!("one step towards {status}"),
        Step::Up => "one step up".into(),
        Step::Foot => "to FAIL at once".into(),
    }
}

fn role(action: RoleAction) -> &'static str {
    match action {
        RoleAction::Keep => "nothing moves",
        RoleAction::Elect => "the candidate becomes ACTIVE",
        RoleAction::TakeOver => "the ACTIVE node is failed, the candidate becomes ACTIVE",
        RoleAction::LastResort => "the ACTIVE node is failed, the one that waits becomes ACTIVE",
        RoleAction::KeepLast => "it stays ACTIVE at FAIL, with an alarm",
        RoleAction::KeepDoubted => "it stays ACTIVE at FAIL, with an alarm, while that holds",
        RoleAction::KeepByOrder => "it stays ACTIVE at FAIL, with an alarm",
        RoleAction::BeginHandOver | RoleAction::BeginLeave => "routing pauses for the hand-over",
        RoleAction::CompleteHandOver => "the heir becomes ACTIVE, the old one STANDBY",
        RoleAction::AbandonHandOver => "routing goes on as before",
    }
}

fn follow(action: Action) -> &'static str {
    match action {
        Action::Keep => "nothing moves",
        Action::KeepContested => "nothing moves, with an alarm",
        Action::KeepReadOnly => "it stays ACTIVE, with an alarm",
        Action::KeepLast => "it stays ACTIVE at FAIL, with an alarm",
        Action::Elect => "the candidate becomes ACTIVE",
        Action::Follow => "the candidate becomes ACTIVE, the old one STANDBY, or FAILED_* if it is at FAIL",
        Action::Drop => "the ACTIVE node becomes STANDBY, or FAILED_* if it is at FAIL; nobody is ACTIVE",
    }
}

fn owned(action: OwnerAction) -> &'static str {
    match action {
        OwnerAction::Keep => "nothing moves",
        OwnerAction::KeepLast => "it stays ACTIVE at FAIL, with an alarm",
        OwnerAction::Follow => {
            "the owner's node becomes ACTIVE, the old one STANDBY, or FAILED_* if it is at FAIL"
        }
        OwnerAction::Drop => {
            "the ACTIVE node becomes STANDBY, or FAILED_* if it is at FAIL; nobody is ACTIVE"
        }
    }
}

fn rows(out: &mut String, rows: impl Iterator<Item = (u16, String, String, String)>) {
    out.push_str("| rule | condition | what follows | why |\n|---|---|---|---|\n");
    for (number, condition, then, sentence) in rows {
        let _ = writeln!(out, "| {number} | {condition} | {then} | {sentence} |");
    }
    out.push('\n');
}

fn diagram(out: &mut String, moves: &Moves) {
    out.push_str("```mermaid\nstateDiagram-v2\n    [*] --> UNKNOWN\n");
    for ((from, to), rules) in moves {
        let rules: Vec<String> = rules.iter().map(u16::to_string).collect();
        let _ = writeln!(out, "    {from} --> {to}: {}", rules.join(", "));
    }
    out.push_str("```\n\n");
}

/// Every move of a node's state that the tables of `safe` allow, by looking at every view.
fn safe_moves() -> Moves {
    let mut moves = health_moves();
    let mut add = |from: State, to: State, rule: u16| {
        moves.entry((from, to)).or_default().insert(rule);
    };
    let failed = [State::FailedOnline, State::FailedOffline];
    for rule in ROLE {
        match rule.then {
            RoleAction::Elect => add(State::Standby, State::Active, rule.number),
            RoleAction::TakeOver | RoleAction::LastResort => {
                // The last row before an ACTIVE node is there has none to fail.
                if rule.number != NO_ACTIVE_LAST_RESORT {
                    failed.into_iter().for_each(|to| add(State::Active, to, rule.number));
                }
                let from = if rule.then == RoleAction::TakeOver { &[State::Standby][..] } else { &failed };
                from.iter().for_each(|&from| add(from, State::Active, rule.number));
            }
            RoleAction::CompleteHandOver => {
                add(State::Active, State::Standby, rule.number);
                add(State::Standby, State::Active, rule.number);
            }
            _ => {}
        }
    }
    for rule in RESTART {
        rule.then.into_iter().for_each(|to| add(State::Active, to, rule.number));
    }
    moves
}

/// The moves of a pool that follows. A failed node gets the role where its group has no other.
fn follow_moves() -> Moves {
    let mut moves = health_moves();
    let failed = [State::FailedOnline, State::FailedOffline];
    for rule in FOLLOW {
        let mut add = |from: State, to: State| {
            moves.entry((from, to)).or_default().insert(rule.number);
        };
        if matches!(rule.then, Action::Elect | Action::Follow) {
            [State::Standby].into_iter().chain(failed).for_each(|from| add(from, State::Active));
        }
        if matches!(rule.then, Action::Follow | Action::Drop) {
            [State::Standby].into_iter().chain(failed).for_each(|to| add(State::Active, to));
        }
    }
    moves
}

/// What the first two tables and the commands of `safe` do.
fn health_moves() -> Moves {
    let mut moves = Moves::new();
    let mut add = |from: State, to: State, rule: u16| {
        moves.entry((from, to)).or_default().insert(rule);
    };
    for &state in State::ALL {
        for &class in Class::ALL {
            for bits in 0..128u32 {
                let bit = |n: u32| bits >> n & 1 == 1;
                let evidence = Evidence {
                    lag_only: bit(0),
                    source_in_doubt: bit(1),
                    applies: bit(2),
                    within_takeover_lag: bit(3),
                    ..Evidence::of(class)
                };
                let view = StateView {
                    evidence,
                    state,
                    held: bit(4),
                    failed: bit(5),
                    healed: bit(6),
                    pinned: false,
                    frozen: false,
                };
                // A failed node alone waits for `recover`, and nothing is at the top and the foot at once.
                if (view.held && !state.is_failed()) || (view.failed && view.healed) {
                    continue;
                }
                let rule = STATE.iter().find(|r| (r.when)(&view)).expect("the last row always holds");
                if let Some(to) = rule.then.filter(|&to| to != state) {
                    add(state, to, rule.number);
                }
            }
        }
    }
    let failed = [State::FailedOnline, State::FailedOffline];
    for from in failed {
        for rule in [table::RECOVER, table::RECOVER_POOL, table::AUTO_RECOVER] {
            add(from, State::Unknown, rule);
        }
    }
    moves
}

/// Every move of a node's state that the table of `mpp` makes in pools of a PRIMARY and a SECONDARY.
fn mpp_moves() -> Moves {
    let mut moves = Moves::new();
    let findings = [Finding::Healthy, Finding::ConnectFailed, Finding::ReplicationFailed];
    let counts = [None, Some(0), Some(1), Some(3)];
    let mut members = Vec::new();
    for &state in State::ALL {
        for status in [Status::Ok, Status::OkWarn, Status::Fail] {
            for count in counts {
                members.push((state, status, count));
            }
        }
    }
    for p in &members {
        for s in &members {
            for bits in 0..36usize {
                let seen = [Some(findings[bits % 3]), Some(findings[bits / 3 % 3])];
                let hostile_takeover = bits / 9 % 2 == 1;
                let status = if bits / 18 == 1 { PoolStatus::Fail } else { PoolStatus::Ok };
                let member = |of: &(State, Status, Option<u32>), node_type| Member {
                    node_type,
                    state: of.0,
                    status: of.1,
                    count: of.2,
                    removed: false,
                    fixed: false,
                };
                let mut pool = [member(p, NodeType::Primary), member(s, NodeType::Secondary)];
                let verdicts = mpp::cycle(
                    &mut pool,
                    &seen,
                    Settings { levels: 4, hostile_takeover, frozen: false },
                    status,
                );
                for v in verdicts {
                    let (from, to) = ([p.0, s.0][v.node], pool[v.node].state);
                    if from != to {
                        moves.entry((from, to)).or_default().insert(v.rule);
                    }
                }
            }
        }
    }
    for from in [State::FailedOnline, State::FailedOffline] {
        moves.entry((from, State::Unknown)).or_default().insert(mpp::RECOVER);
    }
    moves.entry((State::Standby, State::Active)).or_default().insert(mpp::ACTIVATE_PRIMARY);
    moves
}

fn page() -> String {
    let mut out = String::from(HEAD);
    out.push_str(SAFE);
    diagram(&mut out, &safe_moves());
    out.push_str("### What an observation counts\n\n");
    rows(&mut out, CHARGE.iter().map(|r| (r.number, r.condition.into(), step(r.then), r.sentence.into())));
    out.push_str("### What the observed node becomes\n\n");
    let becomes = |to: Option<State>| to.map_or("stays".to_string(), |s| s.to_string());
    rows(&mut out, STATE.iter().map(|r| (r.number, r.condition.into(), becomes(r.then), r.sentence.into())));
    out.push_str("### Who is ACTIVE\n\n");
    rows(
        &mut out,
        ROLE.iter().map(|r| (r.number, r.condition.into(), role(r.then).into(), r.sentence.into())),
    );
    out.push_str(
        "### When a new life begins\n\nBefore a decision may fail the ACTIVE node, the cache notes that intent. Policy `mpp` \
         knows none: the original begins where its cache says.\n\n",
    );
    rows(
        &mut out,
        RESTART.iter().map(|r| (r.number, r.condition.into(), becomes(r.then), r.sentence.into())),
    );
    out.push_str("### Commands, and what is done in their stead\n\n| rule | what it says |\n|---|---|\n");
    for (number, sentence) in COMMANDS.into_iter().chain(table::NOTICES) {
        let _ = writeln!(out, "| {number} | {sentence} |");
    }
    out.push('\n');
    out.push_str(ORDERS);
    out.push_str(FOLLOWING);
    diagram(&mut out, &follow_moves());
    out.push_str("### Who is ACTIVE where the pool follows\n\n");
    rows(
        &mut out,
        FOLLOW.iter().map(|r| (r.number, r.condition.into(), follow(r.then).into(), r.sentence.into())),
    );
    out.push_str("### Commands where the pool follows\n\n| rule | what it says |\n|---|---|\n");
    for (number, sentence) in follow::table::COMMANDS {
        let _ = writeln!(out, "| {number} | {sentence} |");
    }
    out.push('\n');
    out.push_str(ROUTERS);
    out.push_str("### Who is ACTIVE where a host holds the address\n\n");
    rows(
        &mut out,
        OWNER.iter().map(|r| (r.number, r.condition.into(), owned(r.then).into(), r.sentence.into())),
    );
    out.push_str(RELOAD);
    out.push_str("| rule | when | what it says |\n|---|---|---|\n");
    for row in &reload::FIXED {
        let _ = writeln!(out, "| {} | {} | refused: {} |", row.number, row.condition, row.sentence);
    }
    for (number, sentence) in reload::STEPS {
        let _ = writeln!(out, "| {number} | | {sentence} |");
    }
    out.push('\n');
    out.push_str(MPP);
    diagram(&mut out, &mpp_moves());
    out.push_str("### One cycle\n\n");
    let then = |r: &mpp::Rule| {
        let state = r.state.map_or("same state".to_string(), |s| s.to_string());
        format!("{state}, status {}, exit {:?}", r.status, r.exit)
    };
    rows(&mut out, mpp::RULES.iter().map(|r| (r.number, r.condition.into(), then(r), r.sentence.into())));
    out.push_str("### Steps around the table, and commands\n\n| rule | what it says |\n|---|---|\n");
    for (number, sentence) in mpp::STEPS.into_iter().chain(mpp::orders::ORDERS) {
        let _ = writeln!(out, "| {number} | {sentence} |");
    }
    out
}

#[test]
fn the_page_is_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policies.md");
    let page = page();
    if std::env::var_os("PRIMACY_WRITE_POLICIES").is_some() {
        std::fs::write(&path, &page).expect("docs/policies.md");
    }
    let committed = std::fs::read_to_string(&path).expect("docs/policies.md");
    for (at, (is, should)) in committed.lines().zip(page.lines()).enumerate() {
        assert_eq!(is, should, "docs/policies.md:{}; set PRIMACY_WRITE_POLICIES=1 to write it anew", at + 1);
    }
    assert_eq!(committed.len(), page.len(), "docs/policies.md ends differently");
}

/// What a picture must not show: a way to the role but from STANDBY and by the last resort, and a healed failure that
/// nobody took back.
#[test]
fn the_diagrams_show_no_forbidden_move() {
    let safe = safe_moves();
    for ((from, to), rules) in &safe {
        if *to == State::Active && *from != State::Standby {
            assert_eq!(rules.iter().copied().collect::<Vec<_>>(), [254, 294], "{from} to ACTIVE");
        }
    }
    assert!(!safe.contains_key(&(State::Unknown, State::Active)));
    assert!(!follow_moves().contains_key(&(State::Unknown, State::Active)));
    let mpp = mpp_moves();
    let into_active: Vec<State> = mpp.keys().filter(|k| k.1 == State::Active).map(|k| k.0).collect();
    assert_eq!(into_active, [State::Standby]);
    assert!(mpp.keys().filter(|k| k.0.is_failed()).all(|k| k.1 == State::Unknown || k.1.is_failed()));
}
