//! Both families through one type, and the laws that hold for either.

mod mariadb;
mod mysql;

use super::*;

const U: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const MAX: u64 = super::mysql::MAX_NUMBER;
const V: &str = "4350f323-7565-4e59-8763-4b1b83a0ce0e";

/// Every text that differs from `valid` in one byte, lacks one, or has one more. What parses must print and parse
/// back to the same value, whatever `read` reads.
fn disturb<T: PartialEq + fmt::Debug + fmt::Display>(
    valid: &str,
    read: fn(&str) -> Result<T>,
) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    let mut check = |bytes: &[u8]| match read(&String::from_utf8_lossy(bytes)) {
        Ok(value) => {
            assert_eq!(read(&value.to_string()).as_ref(), Ok(&value), "{:?}", String::from_utf8_lossy(bytes));
            good += 1;
        }
        Err(error) => {
            assert!(error.message().contains("at byte"), "{error}");
            bad += 1;
        }
    };
    for at in 0..=valid.len() {
        let (head, tail) = valid.as_bytes().split_at(at);
        check(head);
        check(tail);
        for byte in 0..=255 {
            check(&[head, &[byte], tail].concat());
            if let Some((_, rest)) = tail.split_first() {
                check(&[head, &[byte], rest].concat());
            }
        }
    }
    (good, bad)
}

#[test]
fn flavours_do_not_compare() {
    let mysql = Gtids::parse_mysql(&format!("{U}:1-5")).unwrap();
    let mariadb = Gtids::parse_mariadb("0-1-5").unwrap();
    assert_eq!(mysql.contains(&mariadb), None);
    assert_eq!(mariadb.contains(&mysql), None);
    assert_eq!(mysql.union(&mariadb), None);
    assert_eq!(mariadb.missing_from(&mysql), None);
    assert_eq!((mysql.count(), mariadb.count()), (5, 5));
    assert!(!mysql.is_empty() && Gtids::parse_mysql(" ,").unwrap().is_empty());
}

#[test]
fn missing_counts_and_prints_within_bounds() {
    let ours = Gtids::parse_mysql(&format!("{U}:1-10:20-30:40:50,{V}:7:tag:1-3")).unwrap();
    let theirs = Gtids::parse_mysql(&format!("{U}:1-8:22")).unwrap();
    assert_eq!((ours.contains(&theirs), theirs.contains(&ours)), (Some(true), Some(false)));
    let missing = ours.missing_from(&theirs).unwrap();
    assert_eq!(missing.count(), 2 + 10 + 2 + 1 + 3);
    assert_eq!(missing.to_string(), format!("{U}:9-10:20-21:23-30:40:50,{V}:7:tag:1-3"));
    assert_eq!(missing.text(6), format!("{U}:9-10:20-21:23-30:40:50,{V}:7 … and 1 more"));
    assert_eq!(missing.text(2), format!("{U}:9-10:20-21 … and 5 more"));
    assert_eq!(missing.text(0), "7 intervals");

    let covered = Gtids::parse_mysql(&format!("{U}:9")).unwrap().missing_from(&ours).unwrap();
    assert!(covered.is_empty());
    assert_eq!((covered.count(), covered.to_string().as_str(), covered.text(0).as_str()), (0, "", ""));
}

#[test]
fn text_of_many_gaps_is_bounded() {
    let tag = "t".repeat(32);
    let many: String = (0..5000_u64).map(|n| format!("{n:032x}:{tag}:{}-{},", MAX - n, MAX)).collect();
    let set = Gtids::parse_mysql(&many).unwrap();
    let missing = set.missing_from(&Gtids::parse_mysql("").unwrap()).unwrap();
    let text = missing.to_string();
    assert!(text.ends_with(" … and 4992 more") && text.len() < 112 * Missing::PARTS + 24, "{text}");

    let many: Vec<String> =
        (0..5000_u32).map(|n| format!("{}-{}-{}", u32::MAX - n, u32::MAX, u64::MAX)).collect();
    let position = Gtids::parse_mariadb(&many.join(",")).unwrap();
    let missing = position.missing_from(&Gtids::parse_mariadb("").unwrap()).unwrap();
    assert_eq!(missing.count(), u64::MAX);
    let text = missing.to_string();
    assert!(text.ends_with(" … and 4992 more") && text.len() < 112 * Missing::PARTS + 24, "{text}");
}
