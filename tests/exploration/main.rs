//! Policy `safe`, proven over every reachable state of pools of one to four nodes.
//!
//! The summary is printed (`--nocapture`) and written to `target/exploration.txt`.

mod classes;
mod mutants;
mod oracle;
mod orders;
mod properties;
mod search;
mod summary;
mod world;

use primacy::config::Failback;
use primacy::pool::NodeType::{self, Primary, Secondary};
use search::{Checks, Found, explore};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use world::{DUES, NONE, Pool, in_force, letters};

const PRIMARY: &[NodeType] = &[Primary];
const SECONDARY: &[NodeType] = &[Secondary];
const RING: &[NodeType] = &[Primary, Secondary];
const PEERS: &[NodeType] = &[Secondary, Secondary];
/// The PRIMARY is not the first in the configuration's order.
const THREE: &[NodeType] = &[Secondary, Primary, Secondary];
const FOUR: &[NodeType] = &[Primary, Secondary, Secondary, Secondary];

const EVERYTHING: Checks = Checks { properties: true, oracle: true, ends: true };

/// A pool with fewer letters.
fn fewer(pool: Pool, names: &[&str], constant: &[&str]) -> Pool {
    Pool { letters: letters(names), constant: letters(constant), ..pool }
}

/// Explores pools in force, and says what was found.
fn explore_all(section: &str, pools: &[Pool]) -> BTreeMap<u16, u64> {
    let mut fired = BTreeMap::new();
    let mut lines = Vec::new();
    for pool in pools {
        let began = Instant::now();
        let found = explore(pool, &in_force(), EVERYTHING);
        if let Some((name, how)) = &found.broken {
            panic!("{name} does not hold: {how}");
        }
        lines.push(line(pool, &found, began));
        for (rule, n) in found.fired {
            *fired.entry(rule).or_insert(0) += n;
        }
    }
    summary::pools(section, lines, &fired);
    fired
}

fn line(pool: &Pool, found: &Found, began: Instant) -> String {
    let s = &pool.settings;
    format!(
        "{:<28} fall {} rise {} {:<12} {:>2} letters {:>9} states {:>10} transitions {:>10} ends {:>6.1} s",
        pool.name,
        s.fall,
        s.rise,
        format!("{:?}", s.failback),
        pool.letters.len(),
        found.states,
        found.transitions,
        found.ends,
        began.elapsed().as_secs_f64()
    )
}

fn with(failback: Failback, mut pool: Pool) -> Pool {
    pool.settings.failback = failback;
    pool
}

#[test]
fn one_node() {
    let mut pools = Vec::new();
    for (fall, rise) in [(1, 1), (2, 3), (3, 2), (4, 4), (5, 4), (4, 7)] {
        for failback in [Failback::AfterRecover, Failback::Manual, Failback::Auto] {
            pools.push(with(failback, Pool::new("PRIMARY alone", PRIMARY, fall, rise)));
            pools.push(with(failback, Pool::new("SECONDARY alone", SECONDARY, fall, rise)));
        }
    }
    explore_all("1 node", &pools);
}

/// Routers: whatever failed heals by itself, and what is behind a node fails nobody and holds nobody back.
#[test]
fn routers() {
    let stateless = |mut pool: Pool| {
        pool.settings.stateless = true;
        pool
    };
    let pools = [
        stateless(with(Failback::Manual, Pool::new("router alone", PRIMARY, 1, 1))),
        stateless(with(Failback::Manual, fewer(Pool::new("router alone", PRIMARY, 4, 4), &ROUTER, &ROUTER))),
        stateless(with(Failback::Manual, fewer(Pool::new("routers", RING, 1, 1), &ROUTER, &ROUTER))),
        stateless(with(Failback::Auto, fewer(Pool::new("routers", PEERS, 2, 2), &ROUTER[..5], &ROUTER[..3]))),
    ];
    let fired = explore_all("routers", &pools);
    for rule in [296, 297, 227, 245] {
        assert!(fired.contains_key(&rule), "rule {rule} never fired");
    }
    // Nobody waits for an operator.
    for rule in [226, 246, 254, 294, 295] {
        assert!(!fired.contains_key(&rule), "rule {rule} fired");
    }
}

/// What can be seen of a router.
const ROUTER: [&str; 7] = ["good", "gone-exited", "good-backend-bad", "gone", "refusing", "hung", "blind"];

#[test]
fn two_nodes() {
    let pools = [
        Pool::new("ring", RING, 1, 1),
        with(Failback::Auto, Pool::new("ring", RING, 1, 1)),
        with(Failback::Manual, Pool::new("ring", RING, 1, 1)),
        Pool::new("two SECONDARYs", PEERS, 1, 1),
        Pool { dues: &[NONE], ..fewer(Pool::new("ring", RING, 2, 2), &MANY, &SOME) },
        Pool { dues: DUES, ..fewer(Pool::new("ring, every clock", RING, 2, 2), &DOUBT, &SOME) },
        Pool {
            restarts: true,
            dues: &[NONE],
            ..fewer(
                Pool::new("ring, restarts", RING, 2, 2),
                &["good", "gone", "refusing", "silent-not-due"],
                &SOME,
            )
        },
        Pool {
            remove: false,
            restarts: true,
            activate: false,
            dues: &[NONE],
            ..fewer(Pool::new("ring, restarts", RING, 4, 4), &["good", "gone"], &["gone", "good"])
        },
        Pool {
            remove: false,
            dues: &[NONE],
            ..fewer(
                Pool::new("ring, none removed", RING, 4, 4),
                &["good", "gone", "refusing", "lag-within", "repl-sql-stopped"],
                &["gone", "good"],
            )
        },
    ];
    let fired = explore_all("2 nodes", &pools);
    let of_orders = |rule: &u16| matches!(rule, 229 | 230 | 255..=258 | 270..=295);
    let all: BTreeSet<u16> =
        search::all_rules().into_iter().map(|(rule, _)| rule).filter(|rule| !of_orders(rule)).collect();
    let silent: Vec<_> = all.iter().filter(|rule| !fired.contains_key(rule)).collect();
    assert!(silent.is_empty(), "rules that never fired: {silent:?}");
}

/// One letter of each kind that rules tell apart.
const MANY: [&str; 16] = [
    "good",
    "good-stale",
    "gone",
    "silent-due",
    "silent-not-due",
    "silent-isolated",
    "gone-window",
    "gone-exited",
    "good-backend-bad",
    "refusing",
    "refusing-listed",
    "repl-sql-stopped",
    "repl-source-applying",
    "lag-beyond",
    "read-only",
    "blind",
];
/// What makes a doubt, holds it and ends it.
const DOUBT: [&str; 8] =
    ["good", "good-stale", "gone", "hung", "silent-due", "silent-not-due", "refusing-listed", "blind"];
const SOME: [&str; 4] = ["good", "gone", "refusing", "blind"];

/// Operators outrank rules: every override, freeze and maintenance at every moment, and every end of one.
#[test]
fn orders() {
    let two = ["good", "gone"];
    let ordered = |pool: Pool| Pool { orders: true, ..pool };
    let pools = [
        ordered(Pool::new("PRIMARY alone, orders", PRIMARY, 1, 1)),
        ordered(fewer(Pool::new("PRIMARY alone, orders", PRIMARY, 4, 4), &MANY, &SOME)),
        ordered(fewer(Pool::new("ring, orders", RING, 1, 1), &two, &two)),
        ordered(Pool { remove: false, ..fewer(Pool::new("ring, orders", RING, 1, 1), &ORDERED, &two) }),
        with(
            Failback::Auto,
            ordered(Pool { remove: false, ..fewer(Pool::new("ring, orders", RING, 1, 1), &two, &two) }),
        ),
    ];
    let fired = explore_all("orders", &pools);
    let silent: Vec<u16> =
        (270..288).chain([229, 230, 255, 256, 257, 258]).filter(|r| !fired.contains_key(r)).collect();
    assert_eq!(silent, [274, 275, 286], "what the engine decides without the tables");
}

/// One letter of each kind that matters where operators decide.
const ORDERED: [&str; 4] = ["good", "good-stale", "gone", "repl-sql-stopped"];

#[test]
fn three_nodes() {
    let seven = ["good", "good-stale", "gone", "refusing", "repl-sql-stopped", "read-only", "blind"];
    let pools = [
        Pool { dues: &[NONE], ..fewer(Pool::new("three", THREE, 1, 1), &seven, &["gone", "refusing"]) },
        Pool { dues: &[NONE], ..fewer(Pool::new("three", THREE, 2, 2), &["good", "gone"], &["gone"]) },
    ];
    explore_all("3 nodes", &pools);
}

#[test]
fn four_nodes() {
    let pools = [
        Pool { dues: &[NONE], ..fewer(Pool::new("four", FOUR, 1, 1), &["good", "gone"], &["gone"]) },
        Pool {
            dues: &[NONE],
            remove: false,
            ..fewer(
                Pool::new("four, none removed", FOUR, 1, 1),
                &["good", "gone", "good-stale", "repl-sql-stopped"],
                &["gone"],
            )
        },
    ];
    explore_all("4 nodes", &pools);
}

/// With `failback = manual` the role moves to the PRIMARY by an operator's word alone.
#[test]
fn manual_failback_is_manual() {
    let pool = Pool { activate: false, ..with(Failback::Manual, Pool::new("ring", RING, 1, 1)) };
    let found = explore(&pool, &in_force(), EVERYTHING);
    assert!(found.broken.is_none(), "{:?}", found.broken);
    assert!(!found.fired.contains_key(&251), "a hand-over began that nobody asked for");
}

/// States keep of the last observation only what rules read of it. Explored both ways, the same states turn up.
#[test]
fn the_short_form_of_the_last_observation_loses_nothing() {
    let checks = Checks { ends: false, ..EVERYTHING };
    let short = Pool { dues: &[NONE], ..Pool::new("ring", RING, 1, 1) };
    let full = Pool { full: true, ..short.clone() };
    let shorten = |pool: &Pool| {
        let mut found = explore(pool, &in_force(), checks);
        assert!(found.broken.is_none(), "{:?}", found.broken);
        let all = std::mem::take(&mut found.all);
        let states: BTreeSet<_> = all
            .into_iter()
            .map(|packed| {
                let (mut model, fails) = found.packer.unpack(pool, packed);
                model.members.iter_mut().for_each(|m| m.seen = m.seen.map(world::short));
                (model, fails)
            })
            .collect();
        (states, found.states)
    };
    let (of_short, _) = shorten(&short);
    let (of_full, states) = shorten(&full);
    println!("{states} states in full, {} in short", of_short.len());
    assert!(of_short == of_full, "the short form leads to other states");
}

/// Alterations that cannot change anything in any reachable state, each with its reason.
const EQUIVALENT: [(&str, &str); 4] = [
    (
        "227 for any lag_only",
        "a healed ladder means that the last step was up; own faults and lag never step up to OK",
    ),
    ("227 for every lag_only", "as above: nothing that is good for its lag alone is at OK"),
    ("227 for any source_in_doubt", "as above: a fault of the node's own steps down, never up to OK"),
    ("241 for any handing_over", "an heir is fit only if there is one: heir_fit implies handing_over"),
];

fn mutant_pools() -> Vec<Pool> {
    let five = ["good", "gone", "refusing", "repl-sql-stopped", "lag-within"];
    vec![
        Pool::new("PRIMARY alone", PRIMARY, 2, 2),
        Pool::new("PRIMARY alone", PRIMARY, 4, 4),
        fewer(Pool::new("ring", RING, 1, 1), &five, &["good", "gone"]),
        Pool {
            restarts: true,
            dues: &[NONE],
            ..fewer(Pool::new("ring, restarts", RING, 2, 2), &["good", "gone"], &["good", "gone"])
        },
        fewer(Pool::new("ring", RING, 2, 2), &["good", "gone"], &["good", "gone"]),
        Pool {
            dues: DUES,
            ..fewer(Pool::new("ring, every clock", RING, 1, 1), &["good", "gone", "hung"], &["good", "gone"])
        },
        Pool { constant: letters(&["good", "gone"]), ..Pool::new("ring", RING, 1, 1) },
        Pool { orders: true, ..fewer(Pool::new("PRIMARY alone, orders", PRIMARY, 1, 1), &five, &["gone"]) },
        Pool {
            orders: true,
            remove: false,
            ..fewer(Pool::new("ring, orders", RING, 1, 1), &["good", "gone"], &["gone"])
        },
    ]
}

#[test]
fn every_altered_rule_is_caught() {
    let (mutants, none) = mutants::all();
    let pools = mutant_pools();
    let half = mutants.len() / 2;
    let (left, right) = mutants.split_at(half);
    let judge = |mutants: &[mutants::Mutant]| -> Vec<(String, Option<(bool, String)>)> {
        let mut verdicts = Vec::new();
        for m in mutants {
            // First the properties alone on the small pools, then the prose as well on all.
            let alone = Checks { oracle: false, ..EVERYTHING };
            // Rows about orders show where there are some.
            let orders = ["229", "230", "255", "256", "257", "258"].iter().any(|row| m.name.starts_with(row));
            let small: Vec<&Pool> =
                if orders { pools[7..].iter().collect() } else { pools[..6].iter().collect() };
            let by = m.run(|tables| {
                let small = small.iter().find_map(|p| explore(p, tables, alone).broken);
                let property = small.map(|(name, _)| (true, name));
                property.or_else(|| {
                    let all = if orders {
                        pools[7..].iter().chain(&pools[..7])
                    } else {
                        pools[..].iter().chain(&[])
                    };
                    all.into_iter()
                        .find_map(|p| explore(p, tables, EVERYTHING).broken)
                        .map(|(name, _)| (false, name))
                })
            });
            verdicts.push((m.name.clone(), by));
        }
        verdicts
    };
    let verdicts: Vec<_> = std::thread::scope(|scope| {
        let second = scope.spawn(|| judge(right));
        let mut first = judge(left);
        first.extend(second.join().expect("the other half"));
        first
    });
    let survivors: BTreeSet<&str> =
        verdicts.iter().filter(|(_, by)| by.is_none()).map(|(name, _)| name.as_str()).collect();
    summary::mutants(&verdicts, none, &EQUIVALENT);
    let equivalent: BTreeSet<&str> = EQUIVALENT.iter().map(|(name, _)| *name).collect();
    let caught: Vec<_> = equivalent.difference(&survivors).collect();
    assert!(caught.is_empty(), "called equivalent, but caught: {caught:?}");
    let survivors: Vec<_> = survivors.difference(&equivalent).collect();
    assert!(survivors.is_empty(), "survivors: {survivors:?}");
}
