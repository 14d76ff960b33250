//! MySQL sets against a naive model and against recorded answers of a server.

use super::{MAX, U, V, disturb};
use crate::gtid::{MySqlGtidSet, Tsid};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn set(text: &str) -> MySqlGtidSet {
    MySqlGtidSet::parse(text).unwrap_or_else(|e| panic!("{text:?}: {e}"))
}

/// One transaction of a small universe: which UUID, which tag, which number.
type Naive = BTreeSet<(u8, u8, u64)>;

const TAGS: [&str; 3] = ["", "_", "blue_1"];
const NUMBERS: u64 = 24;

fn uuid(which: u8) -> u128 {
    [1, u128::MAX >> 1, 0xab << 120][usize::from(which)]
}

fn tsid(which: u8, tag: u8) -> Tsid {
    Tsid { uuid: uuid(which), tag: TAGS[usize::from(tag)].into() }
}

/// What a text holds: parts of UUID, then groups of tag and intervals (which may be reversed).
type Parts = Vec<(u8, Vec<(u8, Vec<(u64, u64)>)>)>;

fn parts() -> impl Strategy<Value = Parts> {
    let interval = (1..=NUMBERS, 0_u64..6).prop_map(|(first, more)| match more {
        5 => (first, first - 1),
        _ => (first, (first + more).min(NUMBERS)),
    });
    let group = (0_u8..3, prop::collection::vec(interval, 0..4));
    prop::collection::vec((0_u8..3, prop::collection::vec(group, 0..4)), 0..4)
}

/// The text and, separately, every transaction of it one by one.
fn spell(parts: &Parts, blank: &str, upper: bool) -> (String, Naive) {
    let (mut text, mut naive) = (String::new(), Naive::new());
    for (which, groups) in parts {
        let hex = format!("{:032x}", uuid(*which));
        text +=
            &format!("{blank}{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        let mut current = 0;
        for (tag, intervals) in groups {
            // No text leads back to the transactions without tag within one part.
            if *tag > 0 {
                text += &format!("{blank}:{blank}{}", TAGS[usize::from(*tag)]);
                current = *tag;
            }
            for &(first, last) in intervals {
                text += &match first == last {
                    true => format!("{blank}:{blank}{first}"),
                    false => format!("{blank}:{blank}{first}{blank}-{blank}{last}"),
                };
                naive.extend((first..=last).map(|n| (*which, current, n)));
            }
        }
        text += blank;
        text += if *which == 0 { ",," } else { "," };
    }
    (if upper { text.to_uppercase() } else { text }, naive)
}

fn enumerate(set: &MySqlGtidSet) -> Naive {
    let one = |(source, i): (&Tsid, crate::gtid::Interval)| {
        let which = (0..3).find(|&w| uuid(w) == source.uuid).expect("a UUID of the universe");
        let tag = TAGS.iter().position(|t| *t == source.tag).expect("a tag of the universe");
        (i.first..=i.last).map(move |n| (which, u8::try_from(tag).unwrap_or(9), n)).collect::<Vec<_>>()
    };
    set.intervals().flat_map(one).collect()
}

/// Normal form: no two neighbours touch, so that equal sets are equal values.
fn assert_normal(set: &MySqlGtidSet) {
    let all: Vec<_> = set.intervals().collect();
    for (source, i) in &all {
        assert!(1 <= i.first && i.first <= i.last && i.last <= MAX, "{source} {i:?}");
    }
    for pair in all.windows(2) {
        assert!(
            pair[0].0 < pair[1].0 || (pair[0].0 == pair[1].0 && pair[0].1.last + 1 < pair[1].1.first),
            "{set}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn parse_and_print_agree_with_the_model(
        parts in parts(), blank in prop::sample::select(vec!["", " ", "\n\t", "\r\n \x0b\x0c"]), upper: bool
    ) {
        let (text, naive) = spell(&parts, blank, upper);
        let parsed = set(&text);
        assert_normal(&parsed);
        prop_assert_eq!(&enumerate(&parsed), &naive);
        prop_assert_eq!(parsed.count(), naive.len() as u64);
        prop_assert_eq!(parsed.is_empty(), naive.is_empty());
        prop_assert_eq!(&set(&parsed.to_string()), &parsed);
        prop_assert_eq!(&set(&format!("{parsed:#}")), &parsed);
        prop_assert_eq!(format!("{parsed:#}").replace('\n', ""), parsed.to_string());
        for (which, tag) in (0..3).flat_map(|w| (0..3).map(move |t| (w, t))) {
            for n in 0..=NUMBERS + 1 {
                prop_assert_eq!(parsed.contains_gtid(&tsid(which, tag), n), naive.contains(&(which, tag, n)));
            }
        }
    }

    #[test]
    fn operations_agree_with_the_model(a in parts(), b in parts(), nest: bool) {
        let (mut left, b) = (a, b);
        if nest {
            left.extend(b.iter().cloned());
        }
        let ((ta, na), (tb, nb)) = (spell(&left, "", false), spell(&b, "", false));
        let (a, b) = (set(&ta), set(&tb));
        let results = [
            (a.union(&b), &na | &nb),
            (a.subtract(&b), &na - &nb),
            (b.subtract(&a), &nb - &na),
            (a.intersect(&b), &na & &nb),
        ];
        for (got, expected) in results {
            assert_normal(&got);
            prop_assert_eq!(&enumerate(&got), &expected);
            prop_assert_eq!(got.count(), expected.len() as u64);
        }
        prop_assert_eq!(a.contains(&b), na.is_superset(&nb));
        prop_assert_eq!(b.contains(&a), nb.is_superset(&na));
        prop_assert_eq!(a == b, na == nb);
    }

    #[test]
    fn any_text_parses_or_says_where(text in "[0-9a-f:,\\-_ tT{}]{0,60}") {
        match MySqlGtidSet::parse(&text) {
            Ok(parsed) => prop_assert_eq!(&set(&parsed.to_string()), &parsed),
            Err(error) => prop_assert!(error.message().starts_with("GTID set at byte ")),
        }
    }
}

fn unescape(text: &str) -> String {
    let escapes = [("\\n", "\n"), ("\\t", "\t"), ("\\v", "\x0b"), ("\\f", "\x0c"), ("\\\\", "\\")];
    escapes.iter().fold(text.to_string(), |t, (from, to)| t.replace(from, to))
}

/// The file holds what a real server said to the same texts.
#[test]
fn agrees_with_a_recorded_server() {
    let (mut parses, mut pairs, mut leading_zeros) = (0, 0, 0);
    for line in include_str!("mysql-9.7.4.tsv").lines().filter(|l| !l.starts_with('#')) {
        let fields: Vec<String> = line.split('\t').map(unescape).collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        match fields[..] {
            // The one refusal of our own, see `MySqlGtidSet::parse`.
            ["parse", text, "=3e11fa47-71ca-11e1-9e33-c80aa9429562:10"] => {
                assert!(MySqlGtidSet::parse(text).unwrap_err().message().contains("leading zeros"));
                leading_zeros += 1;
            }
            ["parse", text, "error"] => {
                assert!(MySqlGtidSet::parse(text).is_err(), "{line}");
                parses += 1;
            }
            ["parse", text, answer] => {
                assert_eq!(format!("={:#}", set(text)), answer, "{line}");
                parses += 1;
            }
            ["pair", a, b, subset, a_less_b, b_less_a] => {
                let (a, b) = (set(a), set(b));
                assert_eq!(b.contains(&a), subset == "1", "{line}");
                assert_eq!(format!("={:#}", a.subtract(&b)), a_less_b, "{line}");
                assert_eq!(format!("={:#}", b.subtract(&a)), b_less_a, "{line}");
                pairs += 1;
            }
            _ => panic!("not a line of this file: {line}"),
        }
    }
    assert!(parses >= 50 && pairs == 250 && leading_zeros == 1, "{parses} {pairs} {leading_zeros}");
}

#[test]
fn errors_name_the_byte_and_what_was_expected() {
    let cases = [
        (format!("{U}:0"), 37, "at least 1"),
        (format!("{U}:1-{}", MAX + 1), 39, "of at most 9223372036854775806"),
        (format!("{U}:{}", u64::MAX), 37, "of at most"),
        (format!("{U}:1:99999999999999999999999999"), 39, "of at most"),
        (format!("{U}:1x"), 38, "`:`, `,` or the end"),
        (format!("{U}:"), 37, "a transaction number or a tag, found the end of the text"),
        (format!("{U}:1,{V}:-1"), 76, "a transaction number or a tag"),
        (format!("{U}:1-"), 39, "the interval's last number"),
        (format!("{U}:007"), 37, "leading zeros"),
        (format!("{U}:{}:1", "t".repeat(33)), 37, "a tag of at most 32 characters"),
        (format!("{U}:tag 1"), 41, "after the tag"),
        (format!("  {}:1", &U[1..]), 2, "a UUID, found `e11fa47-"),
        (format!("{{{U}:1"), 0, "a UUID"),
        ("é".into(), 0, "a UUID, found `\\xc3\\xa9`"),
    ];
    for (text, byte, expected) in cases {
        let error = MySqlGtidSet::parse(&text).expect_err(&text);
        let message = error.message();
        assert_eq!(error.code(), crate::ErrorCode::Invalid);
        assert!(message.starts_with(&format!("GTID set at byte {byte}: ")), "{text}: {message}");
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn one_disturbed_byte_never_panics() {
    let valid = format!("{U}:1-5:7:tag:20 ,{{{V}}}:1-{MAX}");
    let (good, bad) = disturb(&valid, MySqlGtidSet::parse);
    assert!(good > 1000 && bad > 10_000, "{good} {bad}");
}

#[test]
fn counts_saturate_and_never_enumerate() {
    let whole = set(&format!("{U}:1-{MAX}"));
    assert_eq!(whole.count(), MAX);
    assert_eq!(set(&format!("{U}:1-{MAX}:a:1-{MAX}:b:1-{MAX}")).count(), u64::MAX);
    assert_eq!(whole.subtract(&set(&format!("{U}:5"))).to_string(), format!("{U}:1-4:6-{MAX}"));
    assert!(whole.subtract(&whole).is_empty() && whole.contains(&whole));
    assert_eq!(set(&format!("{U}:{MAX}:{}", MAX - 1)).to_string(), format!("{U}:{}-{MAX}", MAX - 1));
}

/// Quadratic work on these would take minutes; what is checked is that it ends, and right.
#[test]
fn long_sets_stay_cheap() {
    const N: u64 = 200_000;
    let odd: String = (0..N).rev().map(|n| format!(":{}", 2 * n + 1)).collect();
    let even: String = (0..N).map(|n| format!(":{}", 2 * n + 2)).collect();
    let (odd, even) = (set(&format!("{U}{odd}")), set(&format!("{U}{even}")));
    let all = set(&format!("{U}:1-{}", 2 * N));
    assert_eq!((odd.count(), even.count()), (N, N));
    assert_eq!(odd.union(&even), all);
    assert_eq!(all.subtract(&even), odd);
    assert_eq!(odd.subtract(&even), odd);
    assert!(odd.intersect(&even).is_empty() && all.contains(&odd) && !odd.contains(&even));
    let scattered: String = (0..N).map(|n| format!("{U}:{},", 3 * (n * 7919 % N) + 1)).collect();
    assert_eq!(set(&scattered).count(), N);
}
