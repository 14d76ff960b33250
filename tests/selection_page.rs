//! docs/selection.md is printed from the rows of selection. `PRIMACY_WRITE_SELECTION=1 cargo test --test selection_page` writes it
//! anew.

use primacy::select::Standing;
use primacy::select::standing::RULES;
use std::fmt::Write;
use std::path::Path;

const HEAD: &str = include_str!("selection_page.md");

/// What follows for new clients and for the sessions that are there.
fn follows(standing: Standing) -> (&'static str, &'static str) {
    match standing {
        Standing::Takes => ("come", "stay"),
        Standing::Spare => ("come if no node takes clients", "stay"),
        Standing::Held => ("come if nobody else is left", "stay"),
        Standing::Waits => ("wait: `PRIMACY_E_PAUSED`", "stay"),
        Standing::Stays => ("none", "stay"),
        Standing::Drains => ("none", "drain"),
        Standing::Ends => ("none", "end"),
    }
}

fn page() -> String {
    let (before, after) = HEAD.split_once("RULES\n").expect("the place of the table");
    let mut out = String::from(before);
    out.push_str("| rule | condition | new clients | sessions | why |\n|---|---|---|---|---|\n");
    for rule in RULES {
        let (clients, sessions) = follows(rule.then);
        let _ = writeln!(
            out,
            "| {} | {} | {clients} | {sessions} | {} |",
            rule.number, rule.condition, rule.sentence
        );
    }
    out.push_str(after);
    out
}

#[test]
fn the_page_is_what_the_rows_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/selection.md");
    let page = page();
    if std::env::var_os("PRIMACY_WRITE_SELECTION").is_some() {
        std::fs::write(&path, &page).expect("docs/selection.md");
    }
    let committed = std::fs::read_to_string(&path).expect("docs/selection.md");
    for (at, (is, should)) in committed.lines().zip(page.lines()).enumerate() {
        assert_eq!(
            is,
            should,
            "docs/selection.md:{}; set PRIMACY_WRITE_SELECTION=1 to write it anew",
            at + 1
        );
    }
    assert_eq!(committed.len(), page.len(), "docs/selection.md ends differently");
}

/// The page names every strategy, reason, flag and refusal that a host can meet.
#[test]
fn the_page_names_what_hosts_meet() {
    let page = page();
    for strategy in primacy::config::Strategy::ALL {
        assert!(page.contains(&format!("`{strategy}`")), "{strategy}");
    }
    for reason in primacy::select::Reason::ALL {
        assert!(page.contains(&format!("`{}`", reason.name())), "{}", reason.name());
    }
    for word in ["NO_BACKEND", "PAUSED", "GTID_UNKNOWN", "STALE", "STOPPED", "NOT_FOUND"]
        .map(|e| format!("PRIMACY_E_{e}"))
    {
        assert!(page.contains(&word), "{word}");
    }
    for word in ["STALE", "FALLBACK", "OTHER_SITE", "TRIAL"].map(|f| format!("PRIMACY_BACKEND_{f}")) {
        assert!(page.contains(&word), "{word}");
    }
}
