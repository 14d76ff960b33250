//! The reference page and the table of keys say the same.

use crate::config::foreign::{self, DEMOTIONS, Foreign, ROLES, STRATEGIES};
use crate::config::keys::{KEYS, Key, Kind, Scope, Value};
use crate::config::print_duration;

pub(super) const PAGE: &str = include_str!("../../../docs/configuration.md");

/// The first four cells of a key's row: key, type, range, default.
fn row(key: &Key) -> String {
    let words = |list: &[&str]| list.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
    let (kind, range) = match &key.kind {
        Kind::Text { min, max, .. } => ("text", format!("{min} to {max} characters")),
        Kind::Path => ("path", "up to 4095 bytes".into()),
        Kind::Word { landed, .. } => ("word", words(landed)),
        Kind::Term { words: known, .. } => ("word", words(known)),
        Kind::Flag => ("flag", "`true`, `false`".into()),
        Kind::Count { min, max, .. } => ("number", format!("{min} to {max}")),
        Kind::Span { min, max, .. } | Kind::Within { min, max } => {
            ("duration", format!("{} to {}", print_duration(*min), print_duration(*max)))
        }
        Kind::Causes => ("list", "causes".into()),
        Kind::Rate => {
            let (most, min, max) = crate::config::value::RATE;
            let (min, max) = (print_duration(min), print_duration(max));
            ("text", format!("`off`, or 1 to {most} per {min} to {max}: `3/1h`"))
        }
        Kind::LastResort => {
            let (min, max) = crate::config::value::LAST_RESORT;
            let times = format!("`after={}` to `after={}`", print_duration(min), print_duration(max));
            ("text", format!("`alarm`, {times}, `never`"))
        }
        Kind::PublicKey => ("text", "`refuse`, `from-server` or a path".into()),
        Kind::ControlSocket => ("text", "`none`, `beside-cache` or a path of up to 107 bytes".into()),
        Kind::Users => ("list", "users".into()),
        Kind::Descriptor => ("number", "0 to 2147483647".into()),
        Kind::Port => ("number", "1 to 65535".into()),
        Kind::Address => ("address", "see below".into()),
        Kind::Nodes => ("list", "1 or more".into()),
        Kind::Checkpoints | Kind::Checks | Kind::Proxies => ("list", "see below".into()),
        Kind::Pools => ("list", "pools".into()),
        Kind::NodeName => ("address", "a node of a pool".into()),
        Kind::Listen => ("list", "see below".into()),
        Kind::Mode { .. } => ("text", "`0600` to `0777`".into()),
        Kind::Hosts => ("table", "host = address".into()),
        Kind::Scores { min, max } => ("table", format!("host = {min} to {max}")),
        Kind::VipAddresses => ("list", "addresses with prefix".into()),
        Kind::Ips => ("list", "IP addresses".into()),
        Kind::Texts { max } => ("list", format!("up to {max} texts")),
        Kind::Refused(_) | Kind::Later => panic!("{} has no row", key.name),
    };
    let default = match key.kind.default_value() {
        None if matches!(key.kind, Kind::Address | Kind::Nodes) => "required".into(),
        _ if key.scope == Scope::Vip && matches!(key.name, "addresses" | "interface") => "required".into(),
        _ if key.scope == Scope::Vip && matches!(key.name, "vrid" | "etcd") => "required by the way".into(),
        None if key.name == "self_fence" => "by the adverts".into(),
        None if key.name == "state_file" => "beside the cache".into(),
        None if matches!(key.kind, Kind::Checkpoints | Kind::Proxies) => "empty".into(),
        None if matches!(key.kind, Kind::Checks) && key.scope == Scope::Node => "the pool's".into(),
        None if matches!(key.kind, Kind::Checks) => "the node's port".into(),
        None if key.scope == Scope::Service => match key.name {
            "role" => "required".into(),
            "port" => "the node's".into(),
            "strategy" => "by role".into(),
            "max_lag" => "the pool's".into(),
            name => panic!("{name} has no default"),
        },
        None => "none".into(),
        Some(Value::Text(text)) if text.is_empty() => "empty".into(),
        Some(Value::Text(text)) => format!("`{text}`"),
        Some(Value::Word(word)) => format!("`{word}`"),
        Some(Value::Flag(flag)) => format!("`{flag}`"),
        Some(Value::Count(n)) => n.to_string(),
        Some(Value::Span(span)) => format!("`{}`", print_duration(span)),
        Some(Value::Causes(_) | Value::Users(_) | Value::Pools(_)) => "empty".into(),
        Some(Value::Hosts(_) | Value::Scores(_) | Value::Ips(_) | Value::Texts(_)) => "empty".into(),
        Some(Value::VipAddresses(_)) => panic!("no address is the default"),
        Some(Value::ControlSocket(_)) => "`beside-cache`".into(),
        Some(Value::Rate(_)) => "`off`".into(),
        Some(Value::LastResort(_)) => "`alarm`".into(),
        Some(Value::PublicKey(_)) => "`refuse`".into(),
        Some(Value::Descriptor(n)) => n.to_string(),
        Some(Value::Port(n)) => n.to_string(),
        Some(Value::Listen(_)) => "empty".into(),
        Some(Value::Mode(mode)) => format!("`{mode:04o}`"),
        Some(Value::Address(_)) => panic!("no node is the default"),
    };
    format!("| `{}` | {kind} | {range} | {default} |", key.name)
}

fn section(scope: Scope) -> &'static str {
    let title = match scope {
        Scope::Instance => "## Top level",
        Scope::Probe => "## Probe",
        Scope::Pool => "## Pool",
        Scope::Node => "## Node",
        Scope::Push => "## Push",
        Scope::Service => "## Service",
        Scope::Listen => "## Listen",
        Scope::Tier => "## Tier",
        Scope::Vip => "## Vip",
    };
    let (_, rest) = PAGE.split_once(&format!("\n{title}\n")).unwrap_or_else(|| panic!("no heading {title}"));
    rest.split("\n## ").next().unwrap_or_default()
}

#[test]
fn every_key_of_the_code_is_on_the_page_as_the_code_has_it() {
    for key in KEYS.iter().filter(|key| key.is_usable()) {
        let row = row(key);
        assert!(section(key.scope).contains(&row), "the page lacks, or says otherwise:\n{row}");
    }
    let later = PAGE.split_once("\n## Not landed\n").expect("the heading").1;
    for key in KEYS.iter().filter(|key| matches!(key.kind, Kind::Later)) {
        assert!(
            later.contains(&format!("`{}`", key.name)),
            "the list of what has not landed lacks {}",
            key.name
        );
    }
}

#[test]
fn every_key_of_the_page_is_in_the_code() {
    let mut rows = 0;
    let scopes = [
        Scope::Instance,
        Scope::Probe,
        Scope::Pool,
        Scope::Node,
        Scope::Push,
        Scope::Service,
        Scope::Listen,
        Scope::Tier,
        Scope::Vip,
    ];
    for scope in scopes {
        for line in section(scope).lines().filter(|line| line.starts_with("| `")) {
            let name = line.split('`').nth(1).unwrap_or_default();
            assert!(
                KEYS.iter().any(|key| key.scope == scope && key.name == name && key.is_usable()),
                "the page has {name}, the code has not"
            );
            assert_eq!(line.matches('|').count(), 6, "{line}");
            rows += 1;
        }
    }
    assert_eq!(rows, KEYS.iter().filter(|key| key.is_usable()).count());
    let later = PAGE.split_once("\n## Not landed\n").expect("the heading").1;
    for line in later.lines().filter(|line| line.starts_with("- `")) {
        let name = line.split('`').nth(1).unwrap_or_default();
        let known = KEYS.iter().any(|key| {
            key.name == name
                && match &key.kind {
                    Kind::Later => true,
                    Kind::Word { later, .. } => !later.is_empty(),
                    _ => false,
                }
        });
        assert!(known, "the page lists {name} as not landed, the code does not");
    }
}

#[test]
fn the_words_of_other_routers_are_on_the_page_as_the_code_has_them() {
    let table = PAGE.split_once("\n### Coming from another router\n").expect("the heading").1;
    let table = table.split("\n## ").next().unwrap_or_default();
    let mut wanted = Vec::new();
    for (words, key) in
        [(ROLES, "role"), (STRATEGIES, "strategy"), (DEMOTIONS, "on_demotion"), (foreign::KEYS, "")]
    {
        for Foreign { theirs, whose, ours } in words {
            // Our word is the first one; what follows it explains.
            let (word, more) = ours.split_at(ours.find([' ', ',']).unwrap_or(ours.len()));
            let ours = match (key, *theirs) {
                ("", "weight") => "`weight` of a node".into(),
                ("", "writer_is_also_reader") => "`role = \"any\"`".into(),
                ("", _) => format!("`{word}`{more}"),
                _ => format!("`{key} = \"{word}\"`{more}"),
            };
            wanted.push(format!("| {whose} | `{theirs}` | {ours} |"));
        }
    }
    for row in &wanted {
        assert!(table.contains(row), "the page lacks, or says otherwise:\n{row}");
    }
    assert_eq!(table.lines().filter(|line| line.contains("| `")).count(), wanted.len());
}

#[test]
fn defaults_lie_in_their_ranges() {
    for key in KEYS {
        match &key.kind {
            Kind::Span { min, max, default } => assert!(min <= default && default <= max, "{}", key.name),
            Kind::Count { min, max, default } => assert!(min <= default && default <= max, "{}", key.name),
            Kind::Text { min, max, default } => {
                assert!((*min..=*max).contains(&default.len()), "{}", key.name)
            }
            _ => {}
        }
    }
}
