//! What the exploration found, for people: on the terminal and in `target/exploration.txt`.

use super::search::all_rules;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;

#[derive(Default)]
struct Summary {
    sections: BTreeMap<String, String>,
    fired: BTreeMap<u16, BTreeMap<String, u64>>,
}

static SUMMARY: Mutex<Option<Summary>> = Mutex::new(None);

/// The pools of one test, and how often each rule was cited in them.
pub fn pools(section: &str, lines: Vec<String>, fired: &BTreeMap<u16, u64>) {
    record(|summary| {
        summary.sections.insert(section.to_string(), lines.join("\n"));
        for (rule, n) in fired {
            summary.fired.entry(*rule).or_default().insert(section.to_string(), *n);
        }
    });
}

/// What became of the mutants: caught by which property, or by the comparison with the prose.
pub fn mutants(verdicts: &[(String, Option<(bool, String)>)], none: usize, equivalent: &[(&str, &str)]) {
    let mut by = BTreeMap::new();
    for (_, verdict) in verdicts {
        let word = match verdict {
            None => "not caught".to_string(),
            Some((true, name)) => format!("caught by {name}"),
            Some((false, name)) if name == "oracle" => "caught by comparison with the prose".to_string(),
            Some((false, name)) => format!("caught by {name}, in the larger pools"),
        };
        *by.entry(word).or_insert(0) += 1;
    }
    let mut text =
        format!("{} altered rules ({none} more alterations decide nothing otherwise)", verdicts.len());
    for (word, n) in by {
        let _ = write!(text, "\n  {n:>4} {word}");
    }
    for (name, reason) in equivalent {
        let _ = write!(text, "\n  equivalent: {name}: {reason}");
    }
    let survivors =
        verdicts.iter().filter(|(name, by)| by.is_none() && !equivalent.iter().any(|(e, _)| e == name));
    let _ = write!(text, "\n  {} survivors", survivors.count());
    record(|summary| {
        summary.sections.insert("altered rules".into(), text);
    });
}

fn record(change: impl FnOnce(&mut Summary)) {
    let Ok(mut guard) = SUMMARY.lock() else { return };
    let summary = guard.get_or_insert_with(Summary::default);
    change(summary);
    let mut text = String::from("Exploration of policy safe\n");
    for (section, lines) in &summary.sections {
        let _ = write!(text, "\n{section}\n{lines}\n");
    }
    let _ = writeln!(text, "\nhow often each rule was cited");
    for (rule, condition) in all_rules() {
        let counts = summary.fired.get(&rule);
        let total: u64 = counts.iter().flat_map(|c| c.values()).sum();
        let _ = writeln!(text, "  {rule} {total:>11}  {condition}");
    }
    println!("{text}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let written =
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join("exploration.txt"), text));
    if let Err(e) = written {
        println!("target/exploration.txt: {e}");
    }
}
