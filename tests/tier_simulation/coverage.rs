//! Every row of every table fires often enough, or is listed here with the reason why it cannot.

use crate::world::Fired;
use primacy::vip::lease::rows;
use primacy::vip::placement::{PLACE, SCORE};
use primacy::vip::step::ADDRESS;
use primacy::vip::vrrp::table::{DECISIONS, NOTICES};
use std::collections::BTreeMap;

/// Rows that no schedule reaches.
const UNREACHABLE: [(u16, &str); 4] = [
    (
        743,
        "an owner whose score becomes 0 is told to leave (rows 714, 715) before it hears of its new score: row 746",
    ),
    (751, "the same with a lease: row 752"),
    (794, "told by the driver, which cleans up before the tier begins"),
    (798, "told by the driver, which catches the failure of the tier"),
];

/// How often a row fires in 100,000 schedules, at least.
const LEAST: u64 = 100;

fn all() -> BTreeMap<u16, &'static str> {
    let mut rows = BTreeMap::new();
    rows.extend(SCORE.iter().map(|row| (row.number, row.condition)));
    rows.extend(PLACE.iter().map(|row| (row.number, row.condition)));
    rows.extend(DECISIONS.iter().map(|row| (row.number, row.condition)));
    rows.extend(NOTICES);
    rows.extend(rows::OWNER.iter().map(|row| (row.number, row.condition)));
    rows.extend(rows::RIVAL.iter().map(|row| (row.number, row.condition)));
    rows.insert(rows::STORE, "the store does not answer, or does again");
    rows.extend(ADDRESS.iter().copied());
    rows
}

/// Prints the table, and fails if a row lacks, once the schedules are as many as are meant.
pub fn check(fired: &Fired, schedules: u64) {
    let (mut lack, mut surprise) = (Vec::new(), Vec::new());
    for (number, condition) in all() {
        let times = fired[usize::from(number - 700)];
        println!("rule {number}: {times:>9}  {condition}");
        match UNREACHABLE.iter().find(|(unreachable, _)| *unreachable == number) {
            Some(_) if times > 0 => surprise.push(number),
            Some((_, why)) => println!("          unreachable: {why}"),
            None if times < LEAST => lack.push(number),
            None => {}
        }
    }
    assert_eq!(surprise, [0u16; 0], "these rows fired, and are listed as unreachable");
    if schedules >= 100_000 {
        assert_eq!(lack, [0u16; 0], "these rows fired less than {LEAST} times");
    }
}
