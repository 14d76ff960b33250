//! Following, proven over every reachable state of small pools: what members say, views, majorities, who takes writes.
//!
//! A summary is printed (`--nocapture`) and written to `target/exploration-follow.txt`.

mod mutants;
mod oracle;
mod properties;
mod search;
mod world;

use primacy::policy::follow::{FOLLOW, Names, Rank, Said, Word};
use primacy::pool::NodeType::{Primary, Secondary};
use search::{Checks, explore};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Mutex;
use world::{Letter, Pool, SETTINGS, any, good, silences, stale, word};

const EVERYTHING: Checks = Checks { properties: true, oracle: true, ends: true };

fn with_silences(words: Vec<Letter>) -> Vec<Letter> {
    silences().into_iter().chain(words).collect()
}

/// Group Replication with one primary: two nodes, two views, elections within a view, and a second group.
fn single_primary() -> Pool {
    let letters = |me: usize| {
        let mut words = silences();
        words.retain(|l| l.name != "refusing" && l.name != "blind");
        words.extend([
            good("view 1 names 0", word(1, 1, &[0], Rank::Full)),
            good("view 1 names 1", word(1, 1, &[1], Rank::Full)),
            good("view 2 names me", word(1, 2, &[me], Rank::Full)),
            good("view 2 names me, read-only", word(1, 2, &[me], Rank::ReadOnly)),
            stale(word(1, 2, &[me], Rank::Full)),
        ]);
        words
    };
    Pool {
        name: "one primary",
        types: &[Primary, Secondary],
        grouped: true,
        settings: SETTINGS,
        letters: vec![letters(0), letters(1)],
        commands: false,
        orders: false,
    }
}

/// Three members, one of which never has the role but speaks for the group.
fn with_a_third() -> Pool {
    let letters = |me: usize| {
        let mut words = silences();
        words.retain(|l| l.name == "gone" || l.name == "outside");
        words.push(good("view 1 names 0", word(1, 1, &[0], Rank::Full)));
        words.push(good("view 2 names 1", word(1, 2, &[1], Rank::Full)));
        if me == 2 {
            words.push(good("view 2 names nobody here", word(1, 2, &[], Rank::Full)));
        }
        words
    };
    Pool {
        name: "one primary of three",
        types: &[Primary, Secondary, Secondary],
        grouped: true,
        settings: SETTINGS,
        letters: vec![letters(0), letters(1), letters(2)],
        commands: false,
        orders: false,
    }
}

/// Two groups where there should be one.
fn two_groups() -> Pool {
    let letters = |me: usize| {
        with_silences(vec![
            good("group 1", word(1, 1, &[me], Rank::Full)),
            good("group 1, both", word(1, 1, &[0, 1], Rank::Full)),
            good("group 2", word(2, 1, &[me], Rank::Full)),
        ])
    };
    Pool { name: "two groups", letters: vec![letters(0), letters(1)], commands: true, ..single_primary() }
}

/// Operators freeze, fix and release.
fn ordered(grouped: bool) -> Pool {
    let letters = |me: usize| {
        let mut words = silences();
        words.retain(|l| l.name == "gone" || l.name == "outside");
        words.push(good("takes writes", word(if grouped { 1 } else { me as u64 }, 1, &[me], Rank::Full)));
        words
    };
    let name = if grouped { "a group under orders" } else { "replicated under orders" };
    Pool { name, grouped, letters: vec![letters(0), letters(1)], orders: true, ..single_primary() }
}

/// Galera: every member may write, some less well.
fn galera() -> Pool {
    let letters = || {
        let mut words = silences();
        words.retain(|l| l.name != "refusing" && l.name != "blind");
        words.extend([
            good("synced", any(1, Rank::Full)),
            good("synced, newer", any(2, Rank::Full)),
            good("donor", any(1, Rank::Donor)),
            good("read-only", any(1, Rank::ReadOnly)),
            stale(any(1, Rank::Full)),
        ]);
        words
    };
    Pool {
        name: "galera",
        letters: vec![letters(), letters()],
        types: &[Secondary, Primary],
        ..single_primary()
    }
}

fn galera_of_three() -> Pool {
    let letters = || {
        let mut words = silences();
        words.retain(|l| l.name == "gone" || l.name == "outside");
        words.push(good("synced", any(1, Rank::Full)));
        words.push(good("donor", any(1, Rank::Donor)));
        words
    };
    Pool { name: "galera of three", letters: vec![letters(), letters(), letters()], ..with_a_third() }
}

/// No group: whoever is writable.
fn replicated() -> Pool {
    let letters = |me: usize| {
        with_silences(vec![
            good("takes writes", word(me as u64, 0, &[me], Rank::Full)),
            stale(word(me as u64, 0, &[me], Rank::Full)),
            good("takes none", Said::Word(Word::Outside)),
        ])
    };
    Pool { name: "replicated", grouped: false, letters: vec![letters(0), letters(1)], ..single_primary() }
}

fn replicated_of_three() -> Pool {
    let letters = |me: usize| {
        let mut words = silences();
        words.retain(|l| l.name == "gone" || l.name == "blind");
        words.push(good("takes writes", word(me as u64, 0, &[me], Rank::Full)));
        words.push(good("takes none", Said::Word(Word::Outside)));
        words
    };
    Pool {
        name: "replicated of three",
        types: &[Primary, Secondary, Secondary],
        letters: vec![letters(0), letters(1), letters(2)],
        commands: false,
        ..replicated()
    }
}

fn alone(grouped: bool) -> Pool {
    let letters = with_silences(vec![
        good("takes writes", word(0, 1, &[0], Rank::Full)),
        good("read-only", word(0, 1, &[0], Rank::ReadOnly)),
        good(
            "names nobody",
            Said::Word(Word::Member { group: 0, view: 1, names: Names::These(vec![]), rank: Rank::Full }),
        ),
    ]);
    Pool {
        name: if grouped { "a group of one" } else { "a source alone" },
        types: &[Secondary],
        grouped,
        letters: vec![letters],
        commands: true,
        orders: true,
        ..single_primary()
    }
}

fn all_pools() -> Vec<Pool> {
    let mut ladder = single_primary();
    ladder.settings.fall = 2;
    ladder.settings.rise = 2;
    ladder.name = "one primary, fall 2";
    ladder
        .letters
        .iter_mut()
        .for_each(|l| l.retain(|l| !["blind", "refusing", "stale"].contains(&l.name.as_str())));
    vec![
        alone(true),
        alone(false),
        ordered(true),
        ordered(false),
        single_primary(),
        two_groups(),
        galera(),
        replicated(),
        with_a_third(),
        galera_of_three(),
        replicated_of_three(),
        ladder,
    ]
}

static SUMMARY: Mutex<String> = Mutex::new(String::new());

fn tell(text: &str) {
    println!("{text}");
    let mut all = SUMMARY.lock().unwrap_or_else(|e| e.into_inner());
    let _ = writeln!(all, "{text}");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let _ = std::fs::create_dir_all(&folder);
    let _ = std::fs::write(folder.join("exploration-follow.txt"), all.as_str());
}

#[test]
fn every_reachable_state_is_in_order() {
    let mut fired: BTreeMap<u16, u64> = BTreeMap::new();
    for pool in all_pools() {
        let began = std::time::Instant::now();
        let found = explore(&pool, FOLLOW, EVERYTHING);
        if let Some((name, how)) = &found.broken {
            panic!("{name} does not hold: {how}");
        }
        for (rule, n) in &found.fired {
            *fired.entry(*rule).or_default() += n;
        }
        tell(&format!(
            "{:<24} {:>8} states {:>9} transitions {:>6.1} s",
            pool.name,
            found.states,
            found.transitions,
            began.elapsed().as_secs_f64()
        ));
    }
    let all: BTreeSet<u16> = FOLLOW.iter().map(|r| r.number).collect();
    for rule in FOLLOW {
        tell(&format!("  {} {:>9}  {}", rule.number, fired.get(&rule.number).unwrap_or(&0), rule.condition));
    }
    let silent: Vec<_> = all.iter().filter(|rule| !fired.contains_key(rule)).collect();
    assert!(silent.is_empty(), "rules that never fired: {silent:?}");
}

/// Alterations that cannot change anything in any reachable state, each with its reason.
const EQUIVALENT: [(&str, &str); 0] = [];

#[test]
fn every_altered_rule_is_caught() {
    let (mutants, none) = mutants::all();
    let pools = all_pools();
    let judge = |some: &[mutants::Mutant]| -> Vec<(String, Option<String>)> {
        some.iter()
            .map(|m| {
                let by = m.run(|rows| {
                    let alone = Checks { oracle: false, ..EVERYTHING };
                    let checks = [alone, EVERYTHING];
                    checks.iter().find_map(|&c| {
                        // The properties alone have to catch it in the small pools; the prose looks at all.
                        let pools = if c.oracle { &pools[..] } else { &pools[..4] };
                        pools.iter().find_map(|p| explore(p, rows, c).broken.map(|b| b.0))
                    })
                });
                (m.name.clone(), by)
            })
            .collect()
    };
    let (left, right) = mutants.split_at(mutants.len() / 2);
    let verdicts: Vec<_> = std::thread::scope(|scope| {
        let second = scope.spawn(|| judge(right));
        let mut first = judge(left);
        first.extend(second.join().expect("the other half"));
        first
    });
    let mut by: BTreeMap<String, usize> = BTreeMap::new();
    for (_, verdict) in &verdicts {
        *by.entry(verdict.clone().unwrap_or_else(|| "not caught".into())).or_default() += 1;
    }
    tell(&format!("{} altered rules ({none} more alterations decide nothing otherwise)", verdicts.len()));
    by.iter().for_each(|(word, n)| tell(&format!("  {n:>4} {word}")));
    let equivalent: BTreeSet<&str> = EQUIVALENT.iter().map(|(name, _)| *name).collect();
    let survivors: BTreeSet<&str> =
        verdicts.iter().filter(|(_, by)| by.is_none()).map(|(name, _)| name.as_str()).collect();
    let caught: Vec<_> = equivalent.difference(&survivors).collect();
    assert!(caught.is_empty(), "called equivalent, but caught: {caught:?}");
    let survivors: Vec<_> = survivors.difference(&equivalent).collect();
    assert!(survivors.is_empty(), "survivors: {survivors:?}");
}
