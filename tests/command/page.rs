//! `docs/command.md` tells what there is, no less and no more.

use crate::site::{Site, gone_pool, wait_until};
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../docs/command.md");

/// First words of the code spans that begin the rows of a marked table.
fn table(marker: &str) -> BTreeSet<String> {
    let marker = format!("<!-- {marker} -->");
    let part = PAGE.split(&marker).nth(1).unwrap_or_else(|| panic!("the page has no {marker}"));
    part.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(['`', ' ']).next())
        .map(str::to_string)
        .collect()
}

#[test]
fn the_page_lists_the_commands() {
    let site = Site::new("");
    let help = site.run(&["--help"]).exits(0).out;
    let commands: BTreeSet<String> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty() && *word != "help")
        .map(str::to_string)
        .collect();
    assert!(commands.len() > 10, "{help}");
    assert_eq!(table("commands"), commands);
    for command in &commands {
        let help = site.run(&[command, "--help"]).exits(0).out;
        let options = help.split_whitespace().map(|word| word.trim_matches(['[', ']', ',']));
        for option in options.filter(|word| word.starts_with("--") && *word != "--help") {
            let option = option.split(['=', ']']).next().unwrap();
            assert!(PAGE.contains(&format!("{option}")), "{option} of {command} is not in the page");
        }
    }
    assert!(site.run(&["--version"]).exits(0).out.starts_with("primacy "));
}

#[test]
fn the_page_lists_the_keys_of_the_json() {
    let (pool, _) = gone_pool("orders");
    let site = Site::new(&pool);
    let mut agent = site.agent();
    agent.wait_for("ALARM");
    wait_until(|| site.run(&["status"]).out.contains("FAILED_OFFLINE"), || agent.log());
    let text = site.run(&["status", "--json"]).exits(0).out;
    let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut keys = BTreeSet::new();
    collect("", &whole, &mut keys);
    // The servers are gone: nobody could say what their channels are. A test of the document knows those.
    let listed: BTreeSet<String> =
        table("json").into_iter().filter(|key| !key.contains("channels[]")).collect();
    assert_eq!(listed, keys);
    assert!(text.contains("\"FAILED_OFFLINE\""), "{text}");
    assert_eq!(whole["agent"]["pid"], agent.child.id());
}

fn collect(path: &str, value: &serde_json::Value, keys: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys.insert(path.clone());
                collect(&path, value, keys);
            }
        }
        serde_json::Value::Array(list) => {
            list.iter().for_each(|value| collect(&format!("{path}[]"), value, keys))
        }
        _ => {}
    }
}
