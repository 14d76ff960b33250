//! All rows of the tier by number, 701 to 799: for people who meet a number in an event.

use super::lease::rows::{OWNER, RIVAL, STORE};
use super::placement::{PLACE, SCORE};
use super::step::ADDRESS;
use super::vrrp::table::{DECISIONS, NOTICES};

/// What [`STORE`] tells of.
const STORE_SENTENCE: &str = "the store cannot be asked, or can be asked again";

/// Number and sentence of every row, ascending.
pub fn all() -> Vec<(u16, &'static str)> {
    let mut rows: Vec<(u16, &'static str)> = SCORE.iter().map(|row| (row.number, row.sentence)).collect();
    rows.extend(PLACE.iter().map(|row| (row.number, row.sentence)));
    rows.extend(DECISIONS.iter().map(|row| (row.number, row.sentence)));
    rows.extend(NOTICES);
    rows.extend(OWNER.iter().map(|row| (row.number, row.sentence)));
    rows.push((STORE, STORE_SENTENCE));
    rows.extend(RIVAL.iter().map(|row| (row.number, row.sentence)));
    rows.extend(ADDRESS);
    rows.sort_unstable_by_key(|row| row.0);
    rows
}

/// The sentence of a row.
pub fn sentence(number: u16) -> Option<&'static str> {
    all().into_iter().find(|row| row.0 == number).map(|row| row.1)
}

#[cfg(test)]
mod tests {
    use super::{all, sentence};

    #[test]
    fn numbers_are_unique_and_within_their_range() {
        let rows = all();
        for pair in rows.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} is there twice", pair[0].0);
        }
        assert!(rows.iter().all(|row| (701..=799).contains(&row.0) && !row.1.is_empty()));
        assert_eq!(sentence(712), Some("the service on this host is in order"));
        assert_eq!(sentence(700), None);
    }
}
