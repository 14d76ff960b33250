//! The agent: its log, its end, and what other processes are told while it holds the cache.

use crate::site::{Site, gone_pool, wait_until};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

#[test]
fn the_agent_logs_decides_and_ends_on_a_signal() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let (pool, nodes) = gone_pool("orders");
        let site = Site::new(&pool);
        let mut agent = site.agent();
        agent.wait_for("ALARM");
        agent.wait_for(&format!("orders/{} ", nodes[0]));
        let status = site.run(&["status"]).exits(0).out;
        assert!(status.contains(&format!("agent: process {} (primacy)", agent.child.id())), "{status}");
        let (code, time) = agent.end(signal);
        assert_eq!(code, Some(0), "{}", agent.log());
        assert!(time < Duration::from_secs(2), "{time:?}");
        assert!(agent.log().ends_with("agent: stopped\n"), "{}", agent.log());
        assert!(site.run(&["status"]).exits(0).out.contains("FAILED_OFFLINE"), "the state is kept");
    }
}

#[test]
fn commands_name_the_agent_that_holds_the_cache_and_listens_to_nobody() {
    let (pool, nodes) = gone_pool("orders");
    let site = Site::new(&format!("control_socket = \"none\"\n{pool}"));
    let mut agent = site.agent();
    // Both have failed, so that the cache comes to rest.
    wait_until(|| site.run(&["status"]).out.matches("FAILED_OFFLINE").count() == 2, || agent.log());
    let before = site.cache();
    let holder = format!("process {} (primacy)", agent.child.id());
    for command in [
        &["init"][..],
        &["init", "--force"],
        &["poll"],
        &["recover", &nodes[0]],
        &["recover", "pool:orders"],
        &["activate-primary"],
        &["remove", &nodes[1]],
        &["run"],
    ] {
        site.run(command).fails(5, &["is held by", &holder]);
        assert_eq!(site.cache(), before, "{command:?}");
    }
    // The way that the message names.
    assert_eq!(agent.end(libc::SIGTERM).0, Some(0));
    site.run(&["recover", &nodes[0]]).exits(0);
    let mut agent = site.agent();
    agent.wait_for(&nodes[0]);
}

#[test]
fn a_killed_agent_leaves_a_cache_that_says_so() {
    let (pool, nodes) = gone_pool("orders");
    let site = Site::new(&pool);
    let mut agent = site.agent();
    agent.wait_for("ALARM");
    assert_eq!(agent.end(libc::SIGKILL).0, None);
    site.run(&["up", &nodes[0]]).exits(1).complains(&["no agent keeps the cache"]);
    assert!(site.run(&["status"]).exits(0).out.contains("agent: none"));
    site.run(&["poll"]).exits(1);
}

#[test]
fn a_waiting_agent_takes_over_and_can_be_told_to_give_up() {
    let (pool, _) = gone_pool("orders");
    let site = Site::new(&format!("on_locked = \"wait\"\n{pool}"));
    let mut first = site.agent();
    let mut given_up = site.command().arg("run").stderr(Stdio::null()).spawn().unwrap();
    let mut second = site.command().arg("run").stderr(Stdio::null()).spawn().unwrap();
    sleep(Duration::from_millis(300));
    assert_eq!(given_up.try_wait().unwrap(), None, "it waits");
    // SAFETY: the child has not been waited for, so its number is its own.
    assert_eq!(unsafe { libc::kill(given_up.id() as libc::pid_t, libc::SIGTERM) }, 0);
    assert!(!given_up.wait().unwrap().success());
    assert_eq!(first.end(libc::SIGTERM).0, Some(0));
    let heir = format!("process {} (primacy)", second.id());
    wait_until(|| site.run(&["status"]).out.contains(&heir), || "nobody took over".into());
    // A command does not wait, whatever on_locked says: cron would pile up its jobs.
    site.run(&["poll"]).fails(5, &[&heir]);
    second.kill().unwrap();
    second.wait().unwrap();
}

/// Monitoring may run as another user that can read the cache and nothing else.
#[test]
fn a_reader_needs_no_right_to_write() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    let (pool, nodes) = gone_pool("orders");
    let site = Site::new(&pool);
    let mut agent = site.agent();
    agent.wait_for("ALARM");
    // At rest: no write is under way that would bring back the old mode.
    wait_until(|| site.run(&["status"]).out.matches("FAILED_OFFLINE").count() == 2, || agent.log());
    for (name, mode) in [("cache", 0o444), ("cache.lock", 0o444), ("primacy.toml", 0o444), ("", 0o555)] {
        set_permissions(site.path(name), Permissions::from_mode(mode)).unwrap();
    }
    let mut command = site.command();
    command.args(["up", "--require-agent", &nodes[0]]);
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(65534).gid(65534);
        // The build's folder may be closed to that user; the program is opened before the identity changes.
        let program = std::fs::File::open(crate::site::PRIMACY).unwrap();
        let copy = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let path = copy.path().join("primacy");
        std::io::copy(&mut &program, &mut std::fs::File::create(&path).unwrap()).unwrap();
        set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let mut other = site.command_as(&path);
        other.args(["up", "--require-agent", &nodes[0]]).uid(65534).gid(65534);
        // A process that another test is just forking may hold the copy open for writing for a moment.
        wait_until(
            || !matches!(other.output(), Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy),
            || "the copy stays busy".into(),
        );
        let said = crate::site::said(&mut other).exits(1);
        assert_eq!(said.out, "DOWN\n", "{said:?}");
    } else {
        assert_eq!(crate::site::said(&mut command).exits(1).out, "DOWN\n");
    }
    set_permissions(site.path(""), Permissions::from_mode(0o755)).unwrap();
}
