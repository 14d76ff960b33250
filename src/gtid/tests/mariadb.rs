//! MariaDB positions and states against simulated binary logs.

use super::disturb;
use crate::gtid::{Basis, DomainGap, MariaDbPosition};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn position(text: &str) -> MariaDbPosition {
    MariaDbPosition::parse(text).unwrap_or_else(|e| panic!("{text:?}: {e}"))
}

fn state(text: &str) -> MariaDbPosition {
    MariaDbPosition::parse_state(text).unwrap_or_else(|e| panic!("{text:?}: {e}"))
}

fn gaps(a: &MariaDbPosition, b: &MariaDbPosition) -> String {
    a.subtract(b).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

const SERVERS: usize = 4;
const DOMAINS: usize = 2;

/// What servers with strict numbering do: write with the next number, or take over what another one has more.
#[derive(Clone, Debug)]
enum Step {
    Write { server: usize, domain: usize, skip: u64 },
    Replicate { from: usize, to: usize, domain: usize, at_most: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = (0..SERVERS, 0..DOMAINS, 0_u64..2);
    let replicate = (0..SERVERS, 0..SERVERS, 0..DOMAINS, 1_usize..6);
    let step = prop_oneof![
        write.prop_map(|(server, domain, skip)| Step::Write { server, domain, skip }),
        replicate.prop_map(|(from, to, domain, at_most)| Step::Replicate { from, to, domain, at_most }),
    ];
    prop::collection::vec(step, 0..60)
}

/// A server's log of one domain: (server, number) in the order of writing.
type Log = Vec<(u32, u64)>;

fn play(steps: &[Step]) -> Vec<Vec<Log>> {
    let mut logs = vec![vec![Log::new(); DOMAINS]; SERVERS];
    for step in steps {
        match *step {
            Step::Write { server, domain, skip } => {
                let log = &mut logs[server][domain];
                let next = log.last().map_or(0, |l| l.1) + 1 + skip;
                log.push((u32::try_from(server).unwrap_or(99), next));
            }
            Step::Replicate { from, to, domain, at_most } => {
                let source = logs[from][domain].clone();
                let own = &mut logs[to][domain];
                // A fork: the replica's last transaction is unknown to the source, which refuses.
                if source.starts_with(own) {
                    let have = own.len();
                    own.extend(source.into_iter().skip(have).take(at_most));
                }
            }
        }
    }
    logs
}

fn text_of_position(logs: &[Log]) -> String {
    let last = logs.iter().enumerate().filter_map(|(d, log)| log.last().map(|(s, n)| format!("{d}-{s}-{n}")));
    last.collect::<Vec<_>>().join(",")
}

fn text_of_state(logs: &[Log]) -> String {
    let mut all = Vec::new();
    for (d, log) in logs.iter().enumerate() {
        let last: BTreeMap<u32, u64> = log.iter().copied().collect();
        all.extend(last.iter().map(|(s, n)| format!("{d}-{s}-{n}")));
    }
    all.join(",")
}

fn transactions(logs: &[Log]) -> BTreeSet<(usize, u32, u64)> {
    logs.iter().enumerate().flat_map(|(d, log)| log.iter().map(move |&(s, n)| (d, s, n))).collect()
}

/// Every missing transaction lies in its domain's gap, and the gap ends at one of them.
fn covers(found: &[DomainGap], missing: &BTreeSet<(usize, u32, u64)>) -> bool {
    let in_gap =
        |g: &DomainGap, t: &(usize, u32, u64)| g.domain as usize == t.0 && g.first <= t.2 && t.2 <= g.last;
    missing.iter().all(|t| found.iter().any(|g| in_gap(g, t)))
        && found.iter().all(|g| missing.iter().any(|t| in_gap(g, t) && t.2 == g.last))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    /// States answer exactly, forks or not; gaps cover what is missing and are never empty for nothing.
    #[test]
    fn states_agree_with_the_logs(steps in steps()) {
        let logs = play(&steps);
        for (x, y) in (0..SERVERS).flat_map(|x| (0..SERVERS).map(move |y| (x, y))) {
            let (a, b) = (state(&text_of_state(&logs[x])), state(&text_of_state(&logs[y])));
            let (ta, tb) = (transactions(&logs[x]), transactions(&logs[y]));
            prop_assert_eq!(a.contains(&b), ta.is_superset(&tb), "{} and {}", a, b);
            let missing: BTreeSet<_> = ta.difference(&tb).copied().collect();
            prop_assert!(covers(&a.subtract(&b), &missing), "{} less {}: {}", a, b, gaps(&a, &b));
            prop_assert_eq!(a.subtract(&b).is_empty(), b.contains(&a));
            // A state also judges a position.
            let at = position(&text_of_position(&logs[y]));
            prop_assert_eq!(a.contains(&at), logs[y].iter().enumerate().all(|(d, log)| log.last().is_none_or(|l| logs[x][d].contains(l))));
            let both = a.union(&b);
            prop_assert!(both.contains(&a) && both.contains(&b));
            prop_assert!(a.is_empty() || b.is_empty() || both.basis() == Basis::State);
            prop_assert!(ta.iter().all(|&(d, s, n)| a.contains_gtid(u32::try_from(d).unwrap_or(9), s, n)));
        }
    }

    /// "Not contained" is always true of positions; "contained" where no domain has forked.
    #[test]
    fn positions_agree_with_the_logs_within_their_limits(steps in steps()) {
        let logs = play(&steps);
        for (x, y) in (0..SERVERS).flat_map(|x| (0..SERVERS).map(move |y| (x, y))) {
            let (a, b) = (position(&text_of_position(&logs[x])), position(&text_of_position(&logs[y])));
            let (ta, tb) = (transactions(&logs[x]), transactions(&logs[y]));
            let forked = (0..DOMAINS).any(|d| !logs[x][d].starts_with(&logs[y][d]) && !logs[y][d].starts_with(&logs[x][d]));
            prop_assert!(a.contains(&b) || !ta.is_superset(&tb));
            if !forked {
                prop_assert_eq!(a.contains(&b), ta.is_superset(&tb));
                let missing: BTreeSet<_> = ta.difference(&tb).copied().collect();
                prop_assert!(covers(&a.subtract(&b), &missing), "{} less {}: {}", a, b, gaps(&a, &b));
            }
            prop_assert_eq!(a.subtract(&b).is_empty(), b.contains(&a));
            let both = a.union(&b);
            prop_assert!(both.contains(&a) && both.contains(&b));
            prop_assert_eq!(&both, &b.union(&a));
        }
    }

    /// Any GTIDs at all, strict or not: the laws that need no meaning.
    #[test]
    fn laws_hold_for_any_numbers(
        a in prop::collection::vec((0_u32..3, 0_u32..3, 0_u64..6), 0..7),
        b in prop::collection::vec((0_u32..3, 0_u32..3, 0_u64..6), 0..7),
        bases in (any::<bool>(), any::<bool>()),
    ) {
        let read = |list: &[(u32, u32, u64)], as_state: bool| {
            let text: Vec<_> = list.iter().map(|(d, s, n)| format!("{d}-{s}-{n}")).collect();
            if as_state { state(&text.join(",")) } else { position(&text.join(",")) }
        };
        let (x, y) = (read(&a, bases.0), read(&b, bases.1));
        let again = if bases.0 { state(&x.to_string()) } else { position(&x.to_string()) };
        prop_assert_eq!(&again, &x);
        prop_assert!(x.contains(&x) && x.subtract(&x).is_empty());
        prop_assert_eq!(x.subtract(&y).is_empty(), y.contains(&x));
        let both = x.union(&y);
        prop_assert!(both.contains(&x) && both.contains(&y), "{} with {} is {}", x, y, both);
        if !x.is_empty() && !y.is_empty() {
            let states = x.basis() == Basis::State && y.basis() == Basis::State;
            prop_assert_eq!(both.basis() == Basis::State, states);
        }
        let empty = MariaDbPosition::default();
        prop_assert!(x.is_empty() || (x.union(&empty) == x && empty.union(&x) == x));
        for gap in x.subtract(&y) {
            prop_assert!(1 <= gap.first && gap.first <= gap.last && gap.count() >= 1);
        }
        // The naive count: the highest number of each domain.
        let top: BTreeMap<u32, u64> = a.iter().fold(BTreeMap::new(), |mut m, &(d, _, n)| {
            let e = m.entry(d).or_insert(0);
            *e = n.max(*e);
            m
        });
        prop_assert_eq!(x.count(), top.values().sum::<u64>());
    }
}

#[test]
fn a_fork_shows_in_states_and_not_in_positions() {
    let (crashed, successor) = ("0-1-105", "0-1-100,0-2-110");
    assert!(
        position("0-2-110").contains(&position(crashed)),
        "this is the limit that the type's text warns of"
    );
    let (a, b) = (state(crashed), state(successor));
    assert!(!b.contains(&a) && !a.contains(&b));
    assert_eq!(gaps(&a, &b), "0: 101-105");
    assert_eq!(gaps(&b, &a), "0: 101-110");
    assert_eq!(gaps(&position(crashed), &b), "0: 101-105");
    // The gap begins behind the latest shared transaction, whoever wrote it.
    assert_eq!(gaps(&state("0-1-90,0-2-100,0-3-103"), &state("0-1-90,0-2-100")), "0: 101-103");
    assert_eq!(gaps(&state("0-1-90,0-2-100,0-3-103"), &state("0-1-90,0-2-97,0-4-120")), "0: 98-103");
    // Not strict: server 2 is behind although something later is shared.
    assert_eq!(gaps(&state("0-1-100,0-2-60"), &state("0-1-100,0-2-50")), "0: 51-60");
    // The same number by two servers is a fork that positions do show.
    assert!(!position("0-2-101").contains(&position("0-1-101")));
    assert_eq!(gaps(&position("0-2-101"), &position("0-1-101")), "0: 101");
    assert_eq!(position("0-2-101").union(&position("0-1-101")).to_string(), "0-1-101,0-2-101");
}

#[test]
fn reads_as_the_server_does() {
    assert_eq!(position("1-2-5,0-1-100").to_string(), "0-1-100,1-2-5");
    assert_eq!(position("1-2-5,0-1-100").basis(), Basis::Position);
    assert_eq!(position("0-2-110,0-1-100").basis(), Basis::State);
    assert_eq!(position("0-1-5,0-1-7").to_string(), "0-1-7");
    assert_eq!(position(" 0-1-005\n,\t1-1-2 ").to_string(), "0-1-5,1-1-2");
    assert_eq!(position("0-0-5").to_string(), "0-0-5");
    assert!(position("").is_empty() && position(" \n").is_empty() && position("0-1-0").is_empty());
    let top = "4294967295-4294967295-18446744073709551615";
    assert_eq!(position(top).to_string(), top);
    assert_eq!(gaps(&position(top), &position("")), "4294967295: 1-18446744073709551615");
    assert_eq!(position(&format!("{top},0-1-1")).count(), u64::MAX);
    assert_eq!(position("0-1-7,1-1-3").union(&position("0-2-9")).to_string(), "0-2-9,1-1-3");
}

#[test]
fn errors_name_the_byte_and_what_was_expected() {
    let cases = [
        ("0-1-5,", 6, "a domain number, found the end of the text"),
        ("0-1-5,,1-1-1", 6, "a domain number"),
        (",", 0, "a domain number"),
        ("0-1", 3, "`-`"),
        ("0-1-", 4, "a sequence number"),
        ("0-x-1", 2, "a server number"),
        ("0-1--5", 4, "a sequence number"),
        ("0-1-5;", 5, "`,` or the end"),
        ("4294967296-1-1", 0, "of at most 4294967295"),
        ("1-4294967296-1", 2, "of at most 4294967295"),
        ("0-1-18446744073709551616", 4, "of at most 18446744073709551615"),
    ];
    for (text, byte, expected) in cases {
        for error in [MariaDbPosition::parse(text), MariaDbPosition::parse_state(text)] {
            let error = error.expect_err(text);
            let message = error.message();
            assert!(message.starts_with(&format!("GTID position at byte {byte}: ")), "{text}: {message}");
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}

#[test]
fn one_disturbed_byte_never_panics() {
    let (good, bad) = disturb("0-1-100, 4294967295-2-18446744073709551615", MariaDbPosition::parse);
    assert!(good > 300 && bad > 10_000, "{good} {bad}");
}
