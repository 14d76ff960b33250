//! What packages install beside the program: man pages, completions, the service manager's unit.

use crate::site::{PRIMACY, Site, said};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Every command, and its options.
fn commands(site: &Site) -> Vec<(String, BTreeSet<String>)> {
    let help = site.run(&["--help"]).exits(0).out;
    let names =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names
        .filter(|name| !name.is_empty() && *name != "help")
        .map(|name| {
            let help = site.run(&[name, "--help"]).exits(0).out;
            let words = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            (name.to_string(), words.filter(|word| word.starts_with("--")).map(String::from).collect())
        })
        .collect()
}

#[test]
fn every_command_has_its_man_page_with_every_option() {
    let site = Site::new("");
    let dir = site.path("man");
    site.run(&["generate", "man", dir.to_str().unwrap()]).exits(0);
    let commands = commands(&site);
    assert!(commands.len() > 10);
    let whole = fs::read_to_string(dir.join("primacy.1")).unwrap();
    let mut pages = BTreeSet::from(
        ["primacy.1", "primacy.toml.5", "is_server_up.1", "server_is_active.1"].map(String::from),
    );
    for (name, options) in &commands {
        let page = fs::read_to_string(dir.join(format!("primacy-{name}.1"))).unwrap().replace("\\-", "-");
        for option in options {
            assert!(page.contains(option), "{option} is not in the page of {name}");
        }
        assert!(whole.replace("\\-", "-").contains(&format!("primacy-{name}(1)")), "{name}");
        pages.insert(format!("primacy-{name}.1"));
        // Commands of a command have pages of their own.
        let help = site.run(&[name.as_str(), "--help"]).exits(0).out;
        let below =
            help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let words = below.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        pages.extend(
            words
                .filter(|word| !word.is_empty() && *word != "help")
                .map(|word| format!("primacy-{name}-{word}.1")),
        );
    }
    let made: BTreeSet<String> =
        fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(made, pages, "no page of what is not there, or is hidden");
    // The same pages again are the same: packages are to be built alike.
    let again = site.path("again");
    site.run(&["generate", "man", again.to_str().unwrap()]).exits(0);
    for page in &pages {
        assert_eq!(fs::read(dir.join(page)).unwrap(), fs::read(again.join(page)).unwrap());
    }
    site.run(&["generate", "man", "/dev/null/x"]).fails(4, &["/dev/null/x"]);
}

#[test]
fn shells_complete_every_command() {
    let site = Site::new("");
    let commands = commands(&site);
    for shell in ["bash", "zsh", "fish"] {
        let script = site.run(&["generate", "completions", shell]).exits(0).out;
        for (name, options) in &commands {
            assert!(script.contains(name.as_str()), "{shell} does not know {name}");
            for option in options {
                let bare = option.trim_start_matches('-');
                assert!(script.contains(bare), "{shell} does not know {option} of {name}");
            }
        }
    }
    site.run(&["generate", "completions", "tcsh"]).exits(2);

    // bash is everywhere: what it offers after a beginning.
    let script = site.path("primacy.bash");
    fs::write(&script, site.run(&["generate", "completions", "bash"]).out).unwrap();
    let offers = |words: &[&str]| -> BTreeSet<String> {
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let asked = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _primacy primacy '{last}' '{before}'; echo \"${{COMPREPLY[@]}}\"",
            script.display(),
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words.len() - 1
        );
        let said = said(Command::new("bash").args(["--norc", "-c", &asked])).exits(0);
        assert_eq!(said.err, "");
        said.out.split_whitespace().map(String::from).collect()
    };
    for (name, options) in &commands {
        assert!(offers(&["primacy", name]).contains(name), "{name}");
        let offered = offers(&["primacy", name, "--"]);
        assert!(offered.is_superset(options), "{name}: {offered:?} lacks some of {options:?}");
    }
}

/// The unit as `make install` writes it, in the eyes of the service manager's own checker.
#[test]
fn the_unit_file_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let site = Site::new("");
    let text = fs::read_to_string(root.join("primacy.service")).unwrap();
    fs::create_dir(site.path("bin")).unwrap();
    fs::copy(PRIMACY, site.path("bin/primacy")).unwrap();
    let text = text.replace("@PREFIX@", site.path("").to_str().unwrap().trim_end_matches('/'));
    assert!(
        !text.contains('@') || text.matches('@').count() == text.matches("@system-service").count() + 2,
        "{text}"
    );
    site.write("primacy.service", &text);
    let unit = site.path("primacy.service");
    let checked = said(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit));
    // It looks at the units that are installed too, and what it says of those is not ours.
    let ours: Vec<&str> =
        checked.err.lines().chain(checked.out.lines()).filter(|line| line.contains("primacy")).collect();
    assert_eq!(ours, [""; 0], "deps: systemd");
    let checked = checked.exits(0);
    drop(checked);
    // From 0, locked up, to 10, unprotected; services without any care have 9.6.
    let exposure = said(
        Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=20"]).arg(&unit),
    );
    exposure.exits(0);
    // What the agent was told to run is a command line that it understands.
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let (pool, _) = crate::site::gone_pool("orders");
    let named = words
        .iter()
        .map(|w| w.replace("/etc/primacy/primacy.toml", site.path("here.toml").to_str().unwrap()));
    site.write("here.toml", &pool);
    let mut agent = site.command().args(named).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut log = std::io::BufReader::new(agent.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("agent: watching") {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut log, &mut line).unwrap(), 0, "the agent ended");
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
}
