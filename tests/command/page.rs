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

/// The commands that the program says it has.
fn commands(site: &Site) -> BTreeSet<String> {
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
    commands
}

/// Functions of the C ABI that do what a command does.
const IN_C: &[(&str, &[&str])] = &[
    ("check", &["config_load_file", "instance_new"]),
    ("init", &["instance_new", "snapshot_take"]),
    ("poll", &["run_cycle"]),
    ("run", &["start", "stop", "reload", "events_new", "events_next"]),
    ("metrics", &["metrics_text"]),
    ("status", &["snapshot_take", "snapshot_pool", "snapshot_node", "snapshot_json"]),
    ("report", &["snapshot_find_node", "snapshot_node"]),
    ("is-active", &["active", "snapshot_active"]),
    ("up", &["snapshot_find_node", "snapshot_node"]),
    ("recover", &["recover_node", "recover_pool"]),
    ("activate-primary", &["activate_primary"]),
    ("remove", &["remove_node"]),
    ("set", &["override"]),
    ("unset", &["clear_override"]),
    ("freeze", &["freeze"]),
    ("unfreeze", &["unfreeze"]),
    ("maintenance", &["maintenance"]),
    ("watch", &["snapshot_take", "events_new", "explain"]),
    ("explain", &["explain"]),
    ("route", &["selector_new", "select", "select_reason"]),
    ("budget", &["budget", "budget_json"]),
    ("vip", &["vip_status_json", "vip_get", "vip_owner", "vip_move", "vip_clear", "vip_standby"]),
    ("proxyadmin", &["proxy_command", "snapshot_node"]),
];

/// Whatever the command can do, the C ABI can do too, and every operator's move of the C ABI is a command.
#[test]
fn every_command_is_in_the_c_abi() {
    let listed = include_str!("../../docs/symbols-in-versions");
    let symbols: Vec<&str> = listed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next()?.strip_prefix("primacy_"))
        .collect();
    let named: BTreeSet<String> = IN_C.iter().map(|(command, _)| command.to_string()).collect();
    assert_eq!(
        named,
        commands(&Site::new("")),
        "a command without its functions of the C ABI, or the reverse"
    );
    for (command, functions) in IN_C {
        for function in *functions {
            assert!(symbols.contains(function), "primacy_{function} of `{command}` is not in the list");
        }
    }
    // A move is a function that takes flags and answers in words.
    let header = include_str!("../../include/primacy.h");
    let takes_flags = |name: &&&str| {
        let declared = header
            .split_once(&format!("\nint32_t primacy_{name}("))
            .and_then(|(_, rest)| rest.split_once(");"));
        declared.is_some_and(|(arguments, _)| arguments.contains("uint32_t flags"))
    };
    let moves: Vec<&&str> = symbols.iter().filter(takes_flags).collect();
    assert!(moves.len() >= 9, "{moves:?}");
    for function in moves {
        assert!(
            IN_C.iter().any(|(_, functions)| functions.contains(function)),
            "primacy_{function} has no command"
        );
    }
}

#[test]
fn the_page_lists_the_commands() {
    let site = Site::new("");
    let commands = commands(&site);
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
    let (pool, nodes) = gone_pool("orders");
    let site = Site::new(&pool);
    let mut agent = site.agent();
    agent.wait_for("ALARM");
    wait_until(|| site.run(&["status"]).out.contains("FAILED_OFFLINE"), || agent.log());
    // Keys that are there with an order alone.
    site.run(&["set", &nodes[1], "--weight", "2", "--reason", "r"]).exits(0);
    site.run(&["freeze", "--reason", "r"]).exits(0);
    let text = site.run(&["status", "--json"]).exits(0).out;
    let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut keys = BTreeSet::new();
    collect("", &whole, &mut keys);
    // The servers are gone: nobody could say what their channels and groups are, and there are neither checkpoints nor routers. A test of
    // the document knows those.
    let unknown = |key: &str| {
        ["channels[]", "checkpoints[]", "group.", "backend."].iter().any(|part| key.contains(part))
    };
    let listed: BTreeSet<String> = table("json").into_iter().filter(|key| !unknown(key)).collect();
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
