//! docs/vip.md ends with the rows of the tier's tables. `PRIMACY_WRITE_VIP=1 cargo test --test vip_page` writes that part anew.

use primacy::vip::lease::rows::{OWNER, RIVAL, STORE};
use primacy::vip::placement::{Given, PLACE, Place, SCORE};
use primacy::vip::rules::sentence;
use primacy::vip::status::VipStage;
use primacy::vip::step::ADDRESS;
use primacy::vip::vrrp::table::{DECISIONS, NOTICES};
use std::fmt::Write;
use std::path::Path;

const MARK: &str = "<!-- rows: printed from the tables, see tests/vip_page.rs -->\n";

fn rows() -> String {
    let mut out = String::from(MARK);
    out.push_str("\n### This host's score\n\nThe first row that holds. 0: out; 1 and 2: only while nobody better is there.\n\n");
    out.push_str("| rule | when | score | why |\n|---|---|---|---|\n");
    for row in SCORE {
        let score = match row.then {
            Given::Score(score) => score.to_string(),
            Given::Location => "`locations`, else `location`".to_string(),
        };
        let _ = writeln!(out, "| {} | {} | {score} | {} |", row.number, row.condition, row.sentence);
    }
    out.push_str("\n### Whether an owner keeps the address\n\n| rule | when | what follows | why |\n|---|---|---|---|\n");
    for row in PLACE {
        let then = match row.then {
            Place::Keep => "it stays",
            Place::ToHeir => "it goes to the best of the others",
            Place::ToAnyone => "it is let go for whoever comes",
            Place::StandBy => "nothing",
        };
        let _ = writeln!(out, "| {} | {} | {then} | {} |", row.number, row.condition, row.sentence);
    }
    out.push_str("\n### Ownership by VRRP\n\n| rule | when | why |\n|---|---|---|\n");
    for row in DECISIONS {
        let _ = writeln!(out, "| {} | {} | {} |", row.number, row.condition, row.sentence);
    }
    for (number, sentence) in NOTICES {
        let _ = writeln!(out, "| {number} | tells alone | {sentence} |");
    }
    out.push_str("\n### Ownership by lease\n\n| rule | when | why |\n|---|---|---|\n");
    for row in OWNER {
        let _ = writeln!(out, "| {} | {} | {} |", row.number, row.condition, row.sentence);
    }
    let _ = writeln!(out, "| {STORE} | tells alone | {} |", sentence(STORE).expect("the row of the store"));
    for row in RIVAL {
        let _ = writeln!(out, "| {} | {} | {} |", row.number, row.condition, row.sentence);
    }
    out.push_str("\n### What happens to an address\n\n| rule | what it says |\n|---|---|\n");
    for (number, sentence) in ADDRESS {
        let _ = writeln!(out, "| {number} | {sentence} |");
    }
    out
}

#[test]
fn the_page_ends_with_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/vip.md");
    let committed = std::fs::read_to_string(&path).expect("docs/vip.md");
    let (words, printed) = committed.split_once(MARK).expect("the mark of the rows");
    let rows = rows();
    if std::env::var_os("PRIMACY_WRITE_VIP").is_some() {
        std::fs::write(&path, format!("{words}{rows}")).expect("docs/vip.md");
        return;
    }
    let should = rows.strip_prefix(MARK).unwrap_or_default();
    for (is, should) in printed.lines().zip(should.lines()) {
        assert_eq!(is, should, "set PRIMACY_WRITE_VIP=1 to write the rows anew");
    }
    assert_eq!(printed.len(), should.len(), "docs/vip.md ends differently");
}

/// Every word of the status is in the page.
#[test]
fn the_page_names_every_stage() {
    let page = include_str!("../docs/vip.md");
    for stage in VipStage::ALL {
        assert!(page.contains(&format!("`{}`", stage.name())), "{stage} is not in the page");
    }
}
