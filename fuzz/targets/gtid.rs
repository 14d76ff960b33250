//! MySQL's GTID sets, MariaDB's positions and states. The first byte says how the two texts after it, divided by `|`,
//! are read.

use primacy::error::Result;
use primacy::gtid::{Gtids, Missing};

type Parse = fn(&str) -> Result<Gtids>;

const READINGS: [(Parse, Parse); 5] = [
    (Gtids::parse_mysql, Gtids::parse_mysql),
    (Gtids::parse_mariadb, Gtids::parse_mariadb),
    (Gtids::parse_mariadb_state, Gtids::parse_mariadb_state),
    (Gtids::parse_mariadb_state, Gtids::parse_mariadb),
    (Gtids::parse_mysql, Gtids::parse_mariadb),
];

pub fn run(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let (left, right) = text.split_once('|').unwrap_or((text, ""));
    let reading = READINGS[usize::from(choice) % READINGS.len()];
    let (a, b) = (reading.0(left), reading.1(right));
    for (parse, parsed) in [(reading.0, &a), (reading.1, &b)] {
        if let Ok(gtids) = parsed {
            let printed = gtids.to_string();
            let again = parse(&printed).unwrap_or_else(|e| panic!("{printed:?}: {e}"));
            assert_eq!(&again, gtids, "{printed:?}");
            assert_eq!(gtids.contains(gtids), Some(true), "{printed:?}");
            assert_eq!(gtids.is_empty(), gtids.count() == 0, "{printed:?}");
        }
    }
    if let (Ok(a), Ok(b)) = (a, b) {
        relate(&a, &b);
        relate(&b, &a);
    }
}

fn relate(a: &Gtids, b: &Gtids) {
    let (Some(union), Some(missing), Some(contains)) = (a.union(b), a.missing_from(b), b.contains(a)) else {
        assert!(a.contains(b).is_none(), "{a} and {b} belong to different servers");
        return;
    };
    assert_eq!(missing.is_empty(), contains, "{b} contains {a}, missing {missing}");
    assert_eq!(missing.is_empty(), missing.count() == 0, "{missing}");
    assert!(missing.count() <= a.count(), "{missing} of {a}");
    assert!(missing.text(8).len() <= 9 * 112, "{missing}");
    assert_eq!(union.contains(a), Some(true), "{union} and {a}");
    assert_eq!(union.contains(b), Some(true), "{union} and {b}");
    if let (Missing::MySql(lacking), Gtids::MySql(b), Gtids::MySql(a)) = (&missing, b, a) {
        assert!(lacking.intersect(b).is_empty(), "{lacking} is in {b}");
        assert_eq!(&lacking.union(&a.intersect(b)), a, "{a} and {b}");
        let exact = lacking.count().checked_add(b.count());
        assert!(exact.is_none_or(|n| union.count() == n), "{a} and {b}");
    }
}
