//! What scripts and load balancers are answered: the matrix, names, colours, pipes, time.

use crate::site::{PRIMACY, Site, gone_pool, read_all, said};
use primacy::policy::serving;
use primacy::pool::{NodeType, PolicyName, PoolStatus, State, Status};
use primacy::store::{self, Cache, StoredNode, StoredPool};
use std::fs::{self, File};
use std::os::fd::FromRawFd;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::Instant;

fn site(policy: PolicyName) -> Site {
    Site::new(&format!(
        "[pool.orders]\npolicy = \"{policy}\"\nnodes = [ {{ address = \"db1\", type = \"primary\" }} ]\n"
    ))
}

fn put(site: &Site, state: State, status: Status) {
    let node = StoredNode {
        name: "db1:3306".into(),
        node_type: NodeType::Primary,
        state,
        status,
        count: Some(2),
        waits_for_recover: false,
        owed: false,
        intent: false,
        rule: 203,
        observed_ms: 1_763_724_297_123,
        changed_ms: 1_763_724_297_123,
        message: "a \"server\"\x1b[2J speaks of many things at great length".into(),
        override_: None,
    };
    let pool = StoredPool {
        name: "orders".into(),
        epoch: 7,
        epoch_reserved: 1007,
        status: PoolStatus::Ok,
        frozen: None,
        failback_waits: false,
        removed: Vec::new(),
        nodes: vec![node],
    };
    let cache = Cache { sequence: 3, written_ms: 1_763_724_297_123, pools: vec![pool] };
    fs::write(site.path("cache"), store::encode(&cache)).unwrap();
}

/// A row of the matrix in the page: policy, state, statuses, answers.
fn rows() -> Vec<(PolicyName, Option<State>, Vec<Status>, bool, bool)> {
    let page = include_str!("../../docs/command.md");
    let table = page.split("<!-- matrix -->").nth(1).expect("the page has the matrix");
    let mut rows = Vec::new();
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [policy, states, statuses, up, active] = cells.as_slice() else { panic!("{line}") };
        let policy = PolicyName::from_name(policy.trim_matches('`')).expect(line);
        let statuses: Vec<Status> = statuses
            .split(", ")
            .map(|s| Status::from_name(s).unwrap_or_else(|| panic!("{s} in {line}")))
            .collect();
        for state in states.split(", ") {
            let state = if state == "any other" { None } else { Some(State::from_name(state).expect(line)) };
            rows.push((policy, state, statuses.clone(), *up == "UP", *active == "OK"));
        }
    }
    rows
}

#[test]
fn the_page_and_the_command_give_the_answers_of_the_one_matrix() {
    let rows = rows();
    for &policy in PolicyName::ALL {
        let site = site(policy);
        for &state in State::ALL {
            for &status in Status::ALL {
                let of = |wanted: Option<State>| {
                    rows.iter().find(|r| r.0 == policy && r.1 == wanted && r.2.contains(&status))
                };
                let row = of(Some(state)).or_else(|| of(None));
                let (.., up, active) = row.unwrap_or_else(|| panic!("no row for {policy} {state} {status}"));
                assert_eq!(serving::is_up(policy, state, status), *up, "{policy} {state} {status}");
                assert_eq!(
                    serving::is_active(policy, true, state, status),
                    *active,
                    "{policy} {state} {status}"
                );
                assert!(!serving::is_active(policy, false, state, status));
                put(&site, state, status);
                let said = site.run(&["up", "db1"]).exits(i32::from(!up));
                assert_eq!(said.out, if *up { "UP\n" } else { "DOWN\n" });
                let said = site.run(&["is-active", "db1"]).exits(i32::from(!active));
                assert_eq!(said.out, if *active { "OK\n" } else { "NO\n" });
            }
        }
    }
}

#[test]
fn a_last_node_that_does_not_answer_says_since_when_and_why() {
    let site = site(PolicyName::Safe);
    put(&site, State::Active, Status::Fail);
    let parts = ["db1:3306 is ACTIVE but does not serve", "2025-11-21T11:24:57.123Z", "speaks"];
    site.run(&["up", "db1"]).exits(1).complains(&parts);
    site.run(&["is-active", "db1"]).exits(1).complains(&parts);
    let status = site.run(&["status"]).exits(0).out;
    assert!(parts.iter().all(|part| status.contains(part)) && !status.contains('\x1b'), "{status:?}");
    let report = site.run(&["report", "db1"]).exits(0).out;
    assert_eq!(report, "FAIL/ACTIVE (PRIMARY) : a \"server\" [2J speaks of many things at great length\n");
}

#[test]
fn called_by_the_old_names_it_is_the_old_checks() {
    let site = site(PolicyName::Safe);
    put(&site, State::Standby, Status::OkWarn);
    for name in ["is_server_up", "server_is_active"] {
        symlink(PRIMACY, site.path(name)).unwrap();
    }
    let call = |name: &str, words: &[&str]| said(site.command_as(&site.path(name)).args(words));
    assert_eq!(call("is_server_up", &["db1", "3306"]).exits(0).out, "UP\n");
    assert_eq!(call("is_server_up", &["db1:3306"]).exits(0).out, "UP\n");
    // HAProxy's external check: its own address and port, then the server's.
    assert_eq!(call("is_server_up", &["10.0.0.1", "80", "db1", "3306"]).exits(0).out, "UP\n");
    assert_eq!(call("server_is_active", &["db1", "3306"]).exits(1).out, "NO\n");
    put(&site, State::Active, Status::OkCritical);
    assert_eq!(call("server_is_active", &["db1"]).exits(0).out, "OK\n");
    put(&site, State::Standby, Status::Ok);
    // keepalived's MISC_CHECK with misc_dynamic: 2 and the weight; an error is no weight.
    for (words, code, out) in [
        (&["db1", "--misc-dynamic"][..], 3, "UP\n"),
        (&["db1", "--misc-dynamic", "--role", "replica"], 3, "UP\n"),
        (&["db1", "--misc-dynamic", "--role", "primary"], 1, "DOWN\n"),
        (&["db1", "--role", "replica"], 0, "UP\n"),
        (&["db1", "--role", "primary"], 1, "DOWN\n"),
        (&["db2", "--misc-dynamic"], 1, ""),
        (&["db1", "--misc-dynamic", "--require-agent"], 1, ""),
        (&["db1", "--misc-dynamic", "--nonsense"], 1, ""),
        (&["db1", "--role", "master"], 2, ""),
        (&["db1", "--nonsense"], 2, ""),
    ] {
        assert_eq!(call("is_server_up", words).exits(code).out, out, "{words:?}");
    }
    site.write("wrong.toml", "[pool");
    site.run(&["-c", "wrong.toml", "up", "db1", "--misc-dynamic"]).exits(1);
    put(&site, State::Active, Status::OkCritical);
    assert_eq!(call("is_server_up", &["db1", "--misc-dynamic", "--role", "replica"]).exits(2).out, "DRAIN\n");
    assert_eq!(call("is_server_up", &["db1", "--role", "replica"]).exits(1).out, "DRAIN\n");
    put(&site, State::FailedOffline, Status::Fail);
    assert_eq!(call("is_server_up", &["db1", "--misc-dynamic"]).exits(1).out, "DOWN\n");
    call("is_server_up", &["db1", "3307"]).exits(2);
    call("is_server_up", &[]).exits(2);
}

#[test]
fn colours_on_a_terminal_alone_and_cut_to_its_width() {
    let site = site(PolicyName::Safe);
    put(&site, State::Active, Status::OkWarn);
    let plain = site.run(&["status"]).exits(0).out;
    assert!(!plain.contains('\x1b'));
    let coloured = on_terminal(&site, None);
    assert!(
        coloured.contains("\x1b[1;32mACTIVE\x1b[0m") && coloured.contains("\x1b[33mOK_WARN"),
        "{coloured}"
    );
    assert!(coloured.contains('…') && !coloured.contains("length"), "cut at 100 columns: {coloured}");
    let refused = on_terminal(&site, Some("1"));
    assert!(!refused.contains('\x1b'), "{refused}");
    assert!(refused.lines().take(2).all(|line| line.trim_end().chars().count() <= 100), "{refused}");
}

/// The output of `status` on a pseudo-terminal of 100 columns.
fn on_terminal(site: &Site, no_color: Option<&str>) -> String {
    let (mut master, mut slave) = (0, 0);
    let size = libc::winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the two descriptors go to locals, the size is read only, name and settings may be NULL.
    let rc = unsafe {
        libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null_mut(), &raw const size)
    };
    assert_eq!(rc, 0);
    // SAFETY: openpty has just made both descriptors; nobody else owns them.
    let (mut master, slave) = unsafe { (File::from_raw_fd(master), File::from_raw_fd(slave)) };
    let mut command = site.command();
    command.arg("status").env("TERM", "xterm").stdin(Stdio::null()).stderr(Stdio::null()).stdout(slave);
    if let Some(value) = no_color {
        command.env("NO_COLOR", value);
    }
    let mut child = command.spawn().unwrap();
    // The command holds the other end; it must be the last one.
    drop(command);
    let mut bytes = Vec::new();
    // The end of a terminal is an error (EIO), not an end of file.
    let _ = std::io::Read::read_to_end(&mut master, &mut bytes);
    assert!(child.wait().unwrap().success());
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let (pool, _) = gone_pool("orders");
    let site = Site::new(&pool);
    site.run(&["init"]).exits(0);
    let mut ends = [0; 2];
    // SAFETY: pipe writes two descriptors to the array.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: pipe has just made both descriptors; nobody else owns them.
    let (reader, writer) = unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) };
    drop(reader);
    let mut child = site.command().arg("status").stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let err = read_all(child.stderr.take().unwrap());
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
    // A device that is full is one.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut child = site.command().arg("status").stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let err = read_all(child.stderr.take().unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert!(err.contains("standard output"), "{err}");
}

#[test]
fn a_check_starts_in_milliseconds() {
    let site = site(PolicyName::Safe);
    put(&site, State::Active, Status::Ok);
    let mut times: Vec<_> = (0..21)
        .map(|_| {
            let begin = Instant::now();
            site.run(&["up", "db1"]).exits(0);
            begin.elapsed()
        })
        .collect();
    times.sort();
    println!("primacy up: median {:?}, fastest {:?}, slowest {:?}", times[10], times[0], times[20]);
    // An unoptimised build on a busy machine; a start that reads names, secrets or servers takes longer.
    assert!(times[0].as_millis() < 50, "{times:?}");
}
