//! Every row of the two tables fires, and each is needed: without it another one decides otherwise, or nobody could say why.

use crate::config::LastHost;
use crate::vip::ownership::{SCORE_BAD, SCORE_BARRED, SCORE_OUT, SCORE_WANTED, Score};
use crate::vip::placement::{Given, PLACE, Place, PlaceView, Row, SCORE, ScoreView, first};

const GOOD: ScoreView = ScoreView {
    stopping: false,
    engine_failed: false,
    link: true,
    standby: false,
    address_failed: false,
    good: true,
    barred: false,
    last_host: LastHost::Hold,
    address_owner: false,
    wanted: false,
};

const OWNER: PlaceView = PlaceView {
    owner: true,
    score: Score(100),
    heir: Some(Score(100)),
    unheard: false,
    tried: false,
    outdone: false,
};

/// For each row a view that it is the first for, and what it gives.
fn scores() -> Vec<(u16, ScoreView, Given)> {
    let out = Given::Score(SCORE_OUT);
    vec![
        (701, ScoreView { stopping: true, wanted: true, ..GOOD }, out),
        (702, ScoreView { engine_failed: true, wanted: true, ..GOOD }, out),
        (703, ScoreView { link: false, wanted: true, ..GOOD }, out),
        (704, ScoreView { standby: true, wanted: true, ..GOOD }, out),
        (705, ScoreView { address_failed: true, wanted: true, ..GOOD }, out),
        (706, ScoreView { good: false, last_host: LastHost::Release, wanted: true, ..GOOD }, out),
        (707, ScoreView { good: false, barred: true, wanted: true, ..GOOD }, Given::Score(SCORE_BAD)),
        (708, ScoreView { barred: true, last_host: LastHost::Release, wanted: true, ..GOOD }, out),
        (709, ScoreView { barred: true, wanted: true, ..GOOD }, Given::Score(SCORE_BARRED)),
        (710, ScoreView { address_owner: true, wanted: true, ..GOOD }, Given::Score(255)),
        (711, ScoreView { wanted: true, ..GOOD }, Given::Score(SCORE_WANTED)),
        (712, GOOD, Given::Location),
    ]
}

fn places() -> Vec<(u16, PlaceView, Place)> {
    let out = Score(SCORE_OUT);
    let bad = Score(SCORE_BAD);
    vec![
        (713, PlaceView { owner: false, score: out, outdone: true, ..OWNER }, Place::StandBy),
        (714, PlaceView { score: out, ..OWNER }, Place::ToHeir),
        (715, PlaceView { score: out, heir: None, ..OWNER }, Place::ToAnyone),
        (716, PlaceView { score: bad, unheard: true, ..OWNER }, Place::ToHeir),
        (717, PlaceView { score: bad, heir: None, unheard: true, ..OWNER }, Place::ToAnyone),
        (718, PlaceView { score: bad, heir: None, outdone: true, ..OWNER }, Place::Keep),
        (719, PlaceView { heir: Some(Score(SCORE_WANTED)), ..OWNER }, Place::ToHeir),
        (720, PlaceView { outdone: true, ..OWNER }, Place::ToHeir),
        (750, OWNER, Place::Keep),
    ]
}

/// Each row decides its view as written; without it the view comes to another end. `same` are rows that differ from the next one by their
/// sentence alone, or that only a wider one follows.
fn check<V: Copy, A: Copy + PartialEq + core::fmt::Debug>(
    table: &[Row<V, A>],
    cases: &[(u16, V, A)],
    same: &[u16],
) {
    assert_eq!(cases.len(), table.len(), "a case for each row");
    for (number, view, then) in cases {
        let row = first(table, view).expect("the last row takes all");
        assert_eq!((row.number, row.then), (*number, *then));
        let rest: Vec<Row<V, A>> = table
            .iter()
            .filter(|row| row.number != *number)
            .map(|row| Row { then: row.then, ..*row })
            .collect();
        let without = first(&rest, view);
        let needed = without.is_none_or(|row| row.then != *then);
        assert_eq!(needed, !same.contains(number), "row {number}");
    }
}

#[test]
fn every_score_row_is_needed() {
    check(SCORE, &scores(), &[]);
}

#[test]
fn every_place_row_is_needed() {
    check(PLACE, &places(), &[]);
}

#[test]
fn no_view_is_without_a_row_and_numbers_rise() {
    let numbers: Vec<u16> = SCORE.iter().map(|r| r.number).chain(PLACE.iter().map(|r| r.number)).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    for bits in 0..1u16 << 10 {
        let bit = |n: u16| bits & 1 << n != 0;
        let view = ScoreView {
            stopping: bit(0),
            engine_failed: bit(1),
            link: bit(2),
            standby: bit(3),
            address_failed: bit(4),
            good: bit(5),
            barred: bit(6),
            last_host: if bit(7) { LastHost::Hold } else { LastHost::Release },
            address_owner: bit(8),
            wanted: bit(9),
        };
        let row = first(SCORE, &view).expect("a row");
        // Whoever is stopped, out or cut off never stands, whatever else is true.
        if view.stopping || view.engine_failed || !view.link || view.standby || view.address_failed {
            assert_eq!(row.then, Given::Score(SCORE_OUT), "row {}", row.number);
        }
    }
}
