//! Whom the strategies choose.

use super::pick::pick_with;
use super::*;

fn spread_of(strategy: Strategy, weights: &[u32], clients: usize) -> Vec<usize> {
    let mut w = World::new(weights.len() + 1, &[service("ro", Role::Standby, strategy)]);
    for (node, weight) in w.nodes.iter_mut().skip(1).zip(weights) {
        node.weight = *weight;
    }
    w.look();
    w.spread("ro", clients).split_off(1)
}

#[test]
fn first_available_is_the_first() {
    assert_eq!(spread_of(Strategy::FirstAvailable, &[1, 9, 9], 10), [10, 0, 0]);
}

#[test]
fn round_robin_takes_turns_whatever_the_weights() {
    assert_eq!(spread_of(Strategy::RoundRobin, &[1, 5, 0, 2], 30), [10, 10, 0, 10]);
}

/// Within six standard deviations of what the weights say: one run in 500 million fails by chance, and the seed is fixed.
fn assert_share(counts: &[usize], weights: &[u32]) {
    let clients: usize = counts.iter().sum();
    let sum: u32 = weights.iter().sum();
    for (count, weight) in counts.iter().zip(weights) {
        let share = f64::from(*weight) / f64::from(sum);
        let expected = clients as f64 * share;
        let deviation = (expected * (1.0 - share)).sqrt();
        assert!((*count as f64 - expected).abs() <= 6.0 * deviation + 1e-9, "{counts:?} for {weights:?}");
    }
}

#[test]
fn weighted_keeps_to_the_weights() {
    for weights in [&[1, 2, 3, 4][..], &[1000, 1], &[5], &[1, 1, 1, 1, 1, 1, 1], &[0, 3, 7]] {
        assert_share(&spread_of(Strategy::Weighted, weights, 100_000), weights);
    }
    let many: Vec<u32> = (1..=999).collect();
    assert_share(&spread_of(Strategy::Weighted, &many, 500_000), &many);
}

#[test]
fn least_connections_are_exact_to_sixteen() {
    assert_eq!(spread_of(Strategy::LeastConnections, &[1, 2, 1], 40), [10, 20, 10]);
    let counts = spread_of(Strategy::LeastConnections, &[1; 16], 1600);
    assert!(counts.iter().all(|count| *count == 100), "{counts:?}");
}

#[test]
fn two_choices_stay_close_together() {
    for strategy in [Strategy::TwoChoices, Strategy::LeastConnections] {
        let counts = spread_of(strategy, &[1; 100], 10_000);
        let most = counts.iter().max().copied().unwrap_or_default();
        // Random throws alone would be up to 40 above; two choices stay within a few (log log n).
        assert!(most <= 105, "{counts:?}");
    }
    let counts = spread_of(Strategy::TwoChoices, &[1, 3], 4000);
    assert!(counts[0] < counts[1], "{counts:?}");
    assert_eq!(spread_of(Strategy::TwoChoices, &[1], 5), [5]);
}

#[test]
fn selectors_with_other_seeds_begin_elsewhere() {
    let mut w = World::new(9, &[service("ro", Role::Standby, Strategy::RoundRobin)]);
    let mut first = std::collections::BTreeSet::new();
    for seed in 0..64 {
        w.position = Position::new(seed);
        first.insert(w.pick("ro").expect("a node").slot);
    }
    assert_eq!(first.len(), 8);
}

#[test]
fn what_was_tried_in_vain_is_avoided() {
    for strategy in Strategy::ALL {
        let mut w = World::new(4, &[service("ro", Role::Standby, *strategy)]);
        let table = w.table("ro");
        let mut avoid = Vec::new();
        for _ in 0..3 {
            let wish = Wish { avoid: &avoid, ..Wish::default() };
            let picked = pick_with(&table, &table.all, &mut w.position, &w.book, &wish).expect("no garbage");
            let slot = picked.backend().expect("one is left").slot;
            assert!(!avoid.contains(&slot), "{strategy}");
            avoid.push(slot);
        }
        let wish = Wish { avoid: &avoid, ..Wish::default() };
        let picked = pick_with(&table, &table.all, &mut w.position, &w.book, &wish).expect("no garbage");
        // One strategy has a fallback by its name.
        let fallback = *strategy == Strategy::RoundRobinWithFallback;
        assert_eq!(picked.backend().map(|b| b.slot), fallback.then_some(0), "{strategy}");
    }
}
