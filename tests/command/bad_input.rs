//! Bad input: one clear message, the right exit code, nothing lost.

use crate::site::{PRIMACY, Site, gone_pool, said};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const POOL: &str = "[pool.orders]\nnodes = [ { address = \"10.0.1.11\", type = \"primary\" } ]\n";

#[test]
fn a_bad_configuration_shows_the_line_and_a_caret() {
    // Text, what the message holds, and the text that the caret points at.
    let cases = [
        ("speed = 3\n", "unknown", "speed = 3"),
        ("[probe]\ninterval = 500\n", "500 has no unit", "500"),
        ("[probe]\n\tinterval = \"5 fortnights\"\n", "fortnights", "\"5 fortnights\""),
        (
            "[pool.a]\nnodes = [\n  { address = \"a\", type = \"primary\" },\n  { address = \"b\", type = \"primary\" },\n]\n",
            "PRIMARY",
            "",
        ),
        ("[pool.a]\nnodes = [ { address = \"a\" }, { address = \"A:3306\" } ]\n", "a:3306", ""),
        ("[pool.a\nnodes = 1\n", "not valid TOML", ""),
        ("[probe]\npassword = \"secret-word\"\n", "password_file", "password"),
        ("# no pool\n", "pool", ""),
    ];
    for (text, part, pointed) in cases {
        let site = Site::new("");
        site.write("bad.toml", text);
        let path = site.path("bad.toml");
        let said = site.run(&["check", path.to_str().unwrap()]).fails(2, &[part]);
        assert!(!said.err.contains("secret-word"), "{said:?}");
        let lines: Vec<&str> = said.err.lines().collect();
        if pointed.is_empty() {
            continue;
        }
        let [first, shown, caret] = lines.as_slice() else { panic!("no picture: {said:?}") };
        let place = first.strip_prefix(&format!("primacy: {}:", path.display())).unwrap();
        let line: usize = place.split(':').next().unwrap().parse().unwrap();
        let source = text.lines().nth(line - 1).unwrap().replace('\t', " ").replace("\"secret-word\"", "…");
        assert!(shown.ends_with(&format!("{line} | {source}")), "{said:?}");
        let column = caret.find('^').unwrap();
        assert!(shown[column..].starts_with(pointed), "the caret is elsewhere: {said:?}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read() {
    let site = Site::new("");
    let missing = site.path("none.toml");
    site.run(&["-c", missing.to_str().unwrap(), "status"]).fails(2, &["none.toml", "--config"]);
    fs::write(site.path("latin1.toml"), b"# caf\xe9\n").unwrap();
    site.run(&["check", "latin1.toml"]).fails(2, &["latin1.toml", "byte 5", "UTF-8"]);
}

#[test]
fn a_secret_that_is_missing_or_open() {
    let (pool, nodes) = gone_pool("orders");
    let site = Site::new(&pool);
    site.run(&["init"]).exits(0);
    let before = site.cache();
    let password = site.path("password");
    let text = fs::read_to_string(site.path("primacy.toml")).unwrap();
    site.write(
        "primacy.toml",
        &text.replace("probe = {", &format!("probe = {{ password_file = {password:?},")),
    );

    let missing = ["password file", "there is no such file", "0600"];
    site.run(&["check", "primacy.toml"]).fails(2, &missing).complains(&[&nodes[0], "orders"]);
    site.run(&["check", "--text-only", "primacy.toml"]).exits(0);
    site.run(&["poll"]).fails(2, &missing);
    site.run(&["run"]).fails(2, &missing);
    assert_eq!(site.cache(), before);

    fs::write(&password, "hush-hush\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();
    let said = site.run(&["check", "primacy.toml"]).fails(2, &["every user", "chmod"]);
    assert!(!said.err.contains("hush-hush"));
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    site.run(&["check", "primacy.toml"]).exits(0);
    // What does not log in needs no password.
    fs::remove_file(&password).unwrap();
    site.run(&["status"]).exits(0);
    site.run(&["report", &nodes[0]]).exits(0);
}

#[test]
fn a_cache_cut_short_is_named_and_kept() {
    let (pool, nodes) = gone_pool("orders");
    let site = Site::new(&pool);
    site.run(&["init"]).exits(0);
    let whole = site.cache();
    for length in [0, 1, 20, whole.len() / 2, whole.len() - 1] {
        let torn = &whole[..length];
        fs::write(site.path("cache"), torn).unwrap();
        for command in [
            &["status"][..],
            &["status", "--json"],
            &["report", &nodes[0]],
            &["up", &nodes[0]],
            &["is-active", &nodes[0]],
            &["explain"],
            &["recover", &nodes[0]],
            &["recover", "pool:orders"],
            &["activate-primary"],
            &["remove", &nodes[1]],
            &["poll"],
            &["run"],
        ] {
            site.run(command).fails(4, &[site.path("cache").to_str().unwrap(), "byte"]);
            assert_eq!(site.cache(), torn, "{command:?} changed a torn cache");
        }
        site.run(&["init"]).fails(3, &["--force"]);
        assert_eq!(site.cache(), torn);
    }
    let torn = site.cache();
    let said = site.run(&["init", "--force"]).exits(0).complains(&["cache.old.1"]);
    assert!(said.out.contains("created"), "{said:?}");
    assert_eq!(fs::read(site.path("cache.old.1")).unwrap(), torn, "the torn cache is kept");
    site.run(&["status"]).exits(0);
}

#[test]
fn words_that_name_nothing() {
    let (pool, nodes) = gone_pool("orders");
    let site = Site::new(&format!("{pool}{}", pool.replace("pool.orders", "pool.books")));
    site.run(&["init"]).exits(0);
    let before = site.cache();
    site.run(&["report", "10.9.9.9"]).fails(2, &["10.9.9.9:3306", &nodes[0]]);
    site.run(&["report", "a b"]).fails(2, &["a b"]);
    site.run(&["up", "db1", "mysql"]).fails(2, &["mysql", "HOST PORT"]);
    site.run(&["up", &nodes[0]]).fails(2, &["--pool", "orders, books"]);
    site.run(&["up", "--pool", "shop", &nodes[0]]).fails(2, &["shop", "orders, books"]);
    site.run(&["recover", "pool:shop"]).fails(2, &["shop", "orders, books"]);
    site.run(&["recover", "pool:orders", "--pool", "books"]).fails(2, &["--pool"]);
    site.run(&["activate-primary"]).fails(2, &["--pool", "orders, books"]);
    site.run(&["explain", "shop"]).fails(2, &["shop"]);
    for wrong in [&["reload"][..], &["up"], &["status", "--fast"], &[]] {
        let said = site.run(wrong).exits(2).complains(&["Usage"]);
        assert!(said.out.is_empty() && (said.err.starts_with("primacy: ") || wrong.is_empty()), "{said:?}");
    }
    site.run(&["poll", "--timeout", "3"]).exits(2).complains(&["--timeout", "3 has no unit"]);
    assert_eq!(site.cache(), before);

    site.write("primacy.toml", POOL);
    for command in [&["status"][..], &["init"], &["poll"], &["recover", "10.0.1.11"]] {
        site.run(command).fails(2, &["cache_file", "--cache"]);
    }
    let other = site.path("elsewhere");
    site.run(&["--cache", other.to_str().unwrap(), "init"]).exits(0);
    assert!(other.exists());
}

#[test]
fn a_cache_that_is_not_there() {
    let (pool, nodes) = gone_pool("orders");
    let site = Site::new(&pool);
    for command in [&["status"][..], &["up", &nodes[0]], &["recover", &nodes[0]]] {
        site.run(command).fails(4, &["there is no cache", "primacy init"]);
    }
    let gone = site.path("no-such-folder/cache");
    site.run(&["--cache", gone.to_str().unwrap(), "init"]).fails(4, &["no-such-folder", "mkdir"]);
}

/// In a mount namespace of its own, the cache's folder is a file system of 64 KiB, filled to the last byte.
#[test]
fn a_full_disk_loses_nothing() {
    let (pool, nodes) = gone_pool("orders");
    let site = Site::new(&pool);
    fs::create_dir(site.path("small")).unwrap();
    let text = fs::read_to_string(site.path("primacy.toml")).unwrap();
    site.write("primacy.toml", &text.replacen("/cache\"", "/small/cache\"", 1));
    let script = r#"
        set -u
        mount -t tmpfs -o size=64k none small || exit 99
        "$PRIMACY" poll 2>poll.1; echo "poll $?"
        cp small/cache before
        cat /dev/zero >small/filler 2>/dev/null
        "$PRIMACY" recover "$NODE" 2>recover.err; echo "recover $?"
        cmp before small/cache && echo same
        "$PRIMACY" status >/dev/null; echo "status $?"
        "$PRIMACY" init --force 2>init.err; echo "init $?"
        cmp before small/cache && echo same
        rm small/filler
        "$PRIMACY" recover "$NODE" >/dev/null 2>&1; echo "recover $?"
        cat /dev/zero >small/filler 2>/dev/null
        cp small/cache before
        "$PRIMACY" poll 2>poll.2; echo "poll $?"
        cmp before small/cache && echo same
        ls small | grep -v -e filler -e '\.old\.'
    "#;
    let mut command = Command::new("unshare");
    command.current_dir(site.path("")).args(["--mount", "--propagation", "private"]);
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["sh", "-c", script]).env("PRIMACY", PRIMACY).env("NODE", &nodes[0]);
    command.env("PRIMACY_CONFIG", site.path("primacy.toml"));
    let all = said(&mut command);
    let outline =
        "poll 1\nrecover 4\nsame\nstatus 0\ninit 4\nsame\nrecover 0\npoll 4\nsame\ncache\ncache.lock\n";
    assert_eq!(all.out, outline, "{all:?}");
    let err = |name| fs::read_to_string(site.path(name)).unwrap();
    for name in ["recover.err", "init.err"] {
        let text = err(name);
        assert!(
            text.contains("No space left") && text.contains("the old state in the file is kept"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    let polled = err("poll.2");
    assert!(polled.contains("the outcome is not in the cache"), "{polled}");
}
