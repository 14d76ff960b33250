//! Whether a server holds the transactions that a text names, without making memory for a text that is in order: selections
//! ask this for every client that wants to read its own writes.

use super::mariadb::MariaDbPosition;
use super::mysql::MySqlGtidSet;
use super::{Gtids, mariadb, mysql};
use crate::error::Result;

/// Refuses a text that is neither a MySQL set nor a MariaDB position.
///
/// # Errors
/// [`crate::ErrorCode::Invalid`], naming the byte; in the words of the form that the text resembles more.
pub fn check(text: &str) -> Result<()> {
    let Err(no_set) = mysql::walk(text, |_, _, _| true) else { return Ok(()) };
    match mariadb::walk(text, |_, _, _| true) {
        Ok(_) => Ok(()),
        Err(_) if text.contains(':') => Err(no_set),
        Err(no_position) => Err(no_position),
    }
}

impl Gtids {
    /// Whether all transactions of `text` are here. A text of the other kind of server, or none at all, is not.
    pub fn holds(&self, text: &str) -> bool {
        match self {
            Gtids::MySql(set) => holds_set(set, text),
            Gtids::MariaDb(position) => holds_position(position, text),
        }
    }
}

fn holds_set(set: &MySqlGtidSet, text: &str) -> bool {
    mysql::walk(text, |uuid, tag, interval| set.contains_interval(uuid, tag, interval)).unwrap_or(false)
}

fn holds_position(position: &MariaDbPosition, text: &str) -> bool {
    mariadb::walk(text, |domain, server, sequence| position.contains_gtid(domain, server, sequence))
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> Gtids {
        Gtids::parse_mysql(text).expect("a set")
    }

    #[test]
    fn sets_with_tags_in_any_spelling() {
        let known = set(&format!("{A}:1-5:7-9:blue:3-4"));
        for held in [
            format!("{A}:1-5"),
            format!("{A}:2:3:7-9"),
            format!("{A}:BLUE:3"),
            format!(" {A}:blue:3-4:1 , ,{}", ""),
            String::new(),
            format!("{A}:9-7"),
        ] {
            check(&held).expect("a set");
            let expected = known.contains(&set(&held)).expect("the same kind");
            assert_eq!(known.holds(&held), expected, "{held}");
        }
        for lacking in [format!("{A}:6"), format!("{A}:5-7"), format!("{A}:green:3"), format!("{A}:blue:5")] {
            assert!(!known.holds(&lacking), "{lacking}");
        }
    }

    #[test]
    fn garbage_is_named_and_held_by_nobody() {
        let known = set(&format!("{A}:1-5"));
        for (text, words) in [
            ("garbage", "expected"),
            ("0-1", "GTID position"),
            (&*format!("{A}:0-1"), "at least 1"),
            (&*format!("{A}:1-9223372036854775808"), "at most"),
            (&*format!("{A}:18446744073709551616"), "at most"),
            (&*format!("{A}:1-5x"), "GTID set"),
        ] {
            let error = check(text).expect_err(text);
            assert!(error.message().contains(words), "{text}: {error}");
            assert!(!known.holds(text));
        }
        // The other kind of server's.
        check("0-1-100").expect("a position");
        assert!(!known.holds("0-1-100"));
        assert!(!Gtids::parse_mariadb("0-1-100").expect("a position").holds(&format!("{A}:1")));
    }

    proptest! {
        #[test]
        fn a_walk_says_what_two_sets_say(
            known in proptest::collection::vec((0_u8..3, 0_u8..2, 1_u64..20, 0_u64..6), 0..6),
            asked in proptest::collection::vec((0_u8..3, 0_u8..2, 1_u64..20, 0_u64..6), 0..4),
        ) {
            let text = |parts: &[(u8, u8, u64, u64)]| {
                let part = |(uuid, tag, first, more): &(u8, u8, u64, u64)| {
                    let tag = if *tag == 0 { "" } else { ":tag" };
                    format!("3e11fa47-71ca-11e1-9e33-c80aa942956{uuid}{tag}:{first}-{}", first + more)
                };
                parts.iter().map(part).collect::<Vec<_>>().join(",")
            };
            let (known, asked) = (set(&text(&known)), text(&asked));
            prop_assert!(check(&asked).is_ok());
            prop_assert_eq!(known.holds(&asked), known.contains(&set(&asked)).expect("the same kind"));
        }

        #[test]
        fn and_of_positions(
            known in proptest::collection::vec((0_u32..3, 1_u32..3, 1_u64..9), 0..5),
            asked in proptest::collection::vec((0_u32..3, 1_u32..3, 1_u64..9), 0..3),
        ) {
            let text = |parts: &[(u32, u32, u64)]| {
                parts.iter().map(|(d, s, n)| format!("{d}-{s}-{n}")).collect::<Vec<_>>().join(",")
            };
            let known = Gtids::parse_mariadb_state(&text(&known)).expect("a state");
            let asked = text(&asked);
            prop_assert!(check(&asked).is_ok());
            // Asked for are single transactions: each of them must have been reached.
            let Gtids::MariaDb(position) = &known else { unreachable!() };
            let all = asked.split(',').filter(|one| !one.is_empty()).all(|one| {
                let mut parts = one.split('-').map(|n| n.parse::<u64>().expect("a number"));
                let mut next = || parts.next().expect("three parts");
                position.contains_gtid(next() as u32, next() as u32, next())
            });
            prop_assert_eq!(known.holds(&asked), all);
        }

        #[test]
        fn nothing_panics(text in ".{0,60}") {
            let _ = check(&text);
            let _ = set(&format!("{A}:1-5")).holds(&text);
        }
    }
}
