//! Long random runs of pools that are too large to explore: what must hold at every transition holds there too.

use super::properties;
use super::world::{self, Letter, Move, Pool, SETTINGS, good, silences, stale, step, word, words};
use primacy::policy::follow::{FOLLOW, Rank, Said, Word};
use primacy::pool::NodeType::{Primary, Secondary};
use proptest::prelude::*;

/// Five nodes that may say nearly anything.
fn pool(grouped: bool) -> Pool {
    let letters = |me: usize| {
        let mut letters: Vec<Letter> = silences();
        if grouped {
            for view in 1..4 {
                for named in [0, 1, 4] {
                    letters.push(good(
                        format!("view {view} names {named}"),
                        word(1, view, &[named], Rank::Full),
                    ));
                }
                letters.push(good("two primaries", word(1, view, &[0, me], Rank::Full)));
                letters.push(good("another group", word(2, view, &[me], Rank::Full)));
                letters.push(good("read-only", word(1, view, &[me], Rank::ReadOnly)));
                letters.push(good("galera", world::any(view, Rank::Full)));
                letters.push(good("galera, donor", world::any(view, Rank::Donor)));
            }
            letters.push(stale(word(1, 3, &[me], Rank::Full)));
        } else {
            letters.push(good("takes writes", word(me as u64, 0, &[me], Rank::Full)));
            letters.push(stale(word(me as u64, 0, &[me], Rank::Full)));
            letters.push(good("takes none", Said::Word(Word::Outside)));
        }
        letters
    };
    let mut settings = SETTINGS;
    (settings.fall, settings.rise) = (3, 2);
    Pool {
        name: "five at random",
        types: &[Secondary, Primary, Secondary, Secondary, Secondary],
        grouped,
        settings,
        letters: (0..5).map(letters).collect(),
        commands: true,
        orders: true,
    }
}

fn any_move() -> impl Strategy<Value = Move> {
    let observe = || {
        (0..5usize, 0..64usize, any::<bool>()).prop_map(|(node, letter, late)| Move::Observe {
            node,
            letter,
            late,
        })
    };
    prop_oneof![
        60 => observe(),
        1 => Just(Move::Look),
        1 => (0..5usize).prop_map(Move::Recover),
        1 => (0..5usize).prop_map(Move::Fix),
        2 => (0..5usize).prop_map(Move::End),
        1 => Just(Move::Freeze),
        2 => Just(Move::Unfreeze),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_must_hold_holds_at_random(grouped in any::<bool>(), moves in prop::collection::vec(any_move(), 1..300)) {
        let pool = pool(grouped);
        let mut world = pool.start();
        for action in moves {
            let action = match action {
                Move::Observe { node, letter, late } => {
                    Move::Observe { node, letter: letter % pool.letters[node].len(), late }
                }
                other => other,
            };
            let t = step(&pool, FOLLOW, &world, action);
            if let Err((name, how)) = properties::check(&t) {
                prop_assert!(false, "{name}: {how}\nbefore\n{}after\n{}{:?}", words(&world, &pool.settings), words(&t.after, &pool.settings), t.verdict);
            }
            world = t.after;
        }
    }
}
