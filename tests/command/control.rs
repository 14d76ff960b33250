//! Commands that reach the running agent.

use crate::site::{Site, gone_pool, wait_until};
use primacy::store;
use std::path::Path;
use std::time::{Duration, Instant};

/// A site whose agent has found both nodes dead.
fn failed(more: &str) -> (Site, [String; 2], crate::site::Agent) {
    let (pool, nodes) = gone_pool("orders");
    let site = Site::new(&format!("{more}\n{pool}"));
    let agent = site.agent();
    wait_until(|| site.run(&["status"]).out.matches("FAILED_OFFLINE").count() == 2, || agent.log());
    (site, nodes, agent)
}

fn commands(log: &str) -> usize {
    log.lines().filter(|line| line.contains(" command ")).count()
}

#[test]
fn recover_reaches_the_live_agent() {
    let (site, nodes, mut agent) = failed("");
    let said = site.run(&["recover", &nodes[0]]).exits(0);
    assert!(said.out.contains(&nodes[0]) && said.out.contains("rule"), "{said:?}");
    assert!(said.err.is_empty(), "the events are the agent's: {said:?}");
    agent.wait_for(" command ");
    // The agent goes on and finds the node dead again.
    wait_until(|| site.run(&["status"]).out.matches("FAILED_OFFLINE").count() == 2, || agent.log());
    let said = site.run(&["recover", "pool:orders"]).exits(0);
    assert!(said.out.contains("pool orders"), "{said:?}");
    // The event is told by another thread than the answer.
    wait_until(|| commands(&agent.log()) == 2, || agent.log());
    // Refused by a rule, with its number and sentence; and what the agent does not know.
    site.run(&["activate-primary"]).fails(3, &["refused by rule"]);
    site.run(&["recover", "pool:other"]).fails(2, &["other"]);
    let said = site.run(&["remove", &nodes[1]]).exits(0);
    assert!(said.out.contains(&nodes[1]), "{said:?}");
    // It is in the cache when the command returns.
    assert_eq!(store::decode(&site.cache(), "cache").unwrap().pools[0].removed, [nodes[1].clone()]);
    let status = site.run(&["status"]).exits(0).out;
    assert!(status.contains(&format!("removed by an operator: {}", nodes[1])), "{status}");
    site.run(&["report", &nodes[1]]).exits(0).out.contains("removed by an operator");
    wait_until(|| site.run(&["report", &nodes[0]]).out.contains("FAILED_OFFLINE"), || agent.log());
    assert_eq!(agent.end(libc::SIGTERM).0, Some(0));
    assert!(!site.path("cache.sock").exists());
    // The same command without the agent.
    site.run(&["recover", &nodes[0]]).exits(0).complains(&["command"]);
}

#[test]
fn readers_show_what_the_agent_knows_now() {
    let (site, nodes, agent) = failed("");
    let status = site.run(&["status"]).exits(0).out;
    assert!(status.contains("SEEN"), "a cache does not know when a node was last seen: {status}");
    assert!(status.contains(&format!("agent: process {} (primacy)", agent.child.id())), "{status}");
    let json = |site: &Site| -> serde_json::Value {
        serde_json::from_str(&site.run(&["status", "--json"]).exits(0).out).unwrap()
    };
    let first = json(&site);
    assert_eq!(first["source"], "agent");
    assert_eq!(first["agent"]["pid"], agent.child.id());
    let node = &first["pools"][0]["nodes"][0];
    assert_eq!((&node["cause"], &node["errno"]), (&"refused".into(), &111.into()), "{node}");
    wait_until(
        || json(&site)["pools"][0]["nodes"][0]["observed_ms"].as_u64() > node["observed_ms"].as_u64(),
        || agent.log(),
    );
    let explained = site.run(&["explain"]).exits(0).out;
    assert!(!explained.contains("as of the last change") && explained.contains(&nodes[0]), "{explained}");
    for (command, out) in [("up", "DOWN\n"), ("is-active", "NO\n")] {
        let mut times: Vec<Duration> = (0..11)
            .map(|_| {
                let begin = Instant::now();
                let said = site.run(&[command, "--require-agent", &nodes[0]]).exits(1);
                assert_eq!(said.out, out);
                begin.elapsed()
            })
            .collect();
        times.sort();
        println!("{command} from the agent: median {:?}, fastest {:?}", times[5], times[0]);
        assert!(times[0] < Duration::from_millis(200), "{times:?}");
    }
    // Another configuration than the agent's is told.
    let text = std::fs::read_to_string(site.path("primacy.toml")).unwrap();
    site.write("primacy.toml", &format!("{text}\n[pool.new]\nnodes = [ {{ address = \"10.0.0.1\" }} ]\n"));
    let status = site.run(&["status"]).exits(0).out;
    assert!(status.contains("another configuration") && status.contains("10.0.0.1"), "{status}");
    // A pool that the agent does not have comes from the cache, with the reason.
    site.run(&["up", "10.0.0.1"]).exits(1).complains(&["no pool is named 'new'"]);
}

#[test]
fn an_agent_that_hangs_does_not_hang_the_checks() {
    let (site, nodes, agent) = failed("");
    // SAFETY: the child has not been waited for, so its number is its own.
    assert_eq!(unsafe { libc::kill(agent.child.id() as libc::pid_t, libc::SIGSTOP) }, 0);
    let begin = Instant::now();
    let said = site.run(&["up", &nodes[0]]).exits(1).complains(&["did not answer in time", "cache"]);
    assert_eq!(said.out, "DOWN\n");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    // A change is not carried out behind the agent's back.
    let before = site.cache();
    let process = format!("process {}", agent.child.id());
    site.run(&["recover", &nodes[0]]).fails(4, &[&process, "did not answer in time", "primacy status"]);
    assert_eq!(site.cache(), before);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::kill(agent.child.id() as libc::pid_t, libc::SIGCONT) }, 0);
    // What lay in the socket is carried out now, for its caller may still have been there; it is not repeated.
    wait_until(|| site.run(&["recover", &nodes[0]]).code == Some(0), || agent.log());
}

#[test]
fn a_socket_of_ones_own_and_none() {
    let place = tempfile::TempDir::new().unwrap();
    let socket = place.path().join("control.sock");
    let (site, nodes, agent) = failed(&format!("control_socket = {socket:?}"));
    assert!(agent.log().contains(&format!("commands at {}", socket.display())), "{}", agent.log());
    site.run(&["recover", &nodes[0]]).exits(0);
    assert!(!site.path("cache.sock").exists());
    wait_until(
        || String::from_utf8_lossy(&site.cache()).matches("FAILED_OFFLINE").count() == 2,
        || agent.log(),
    );
    drop(agent);
    // Killed, so its socket lies dead: commands see that nobody listens, and the next agent takes its place.
    assert!(socket.exists());
    site.run(&["recover", &nodes[0]]).exits(0);
    let agent = site.agent();
    wait_until(|| site.run(&["status"]).out.matches("FAILED_OFFLINE").count() == 2, || agent.log());
    site.run(&["recover", &nodes[0]]).exits(0);
    assert_eq!(commands(&agent.log()), 1);

    let (site, nodes, agent) = failed("control_socket = \"none\"");
    assert!(agent.log().contains("no commands from other processes"), "{}", agent.log());
    site.run(&["recover", &nodes[0]]).fails(5, &["is held by", "control_socket", "nothing was changed"]);
    assert!(site.run(&["status"]).exits(0).out.contains("FAILED_OFFLINE"));
}

#[test]
fn operators_at_once_are_all_served() {
    let (site, nodes, agent) = failed("");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (site, nodes) = (&site, &nodes);
            scope.spawn(move || {
                for _ in 0..3 {
                    match n % 2 {
                        0 => drop(site.run(&["recover", "pool:orders"]).exits(0)),
                        _ => drop(site.run(&["up", "--require-agent", &nodes[1]]).exits(1)),
                    }
                }
            });
        }
    });
    wait_until(|| commands(&agent.log()) == 12, || agent.log());
}

/// Who may read the cache and not use the socket is answered from the cache, and is told why a change is not for it.
#[test]
fn another_user_reads_the_cache_and_changes_nothing() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let (site, nodes, agent) = failed("");
    // What the agent says is in the cache a moment later; a write after the next lines would undo them.
    wait_until(
        || String::from_utf8_lossy(&site.cache()).matches("FAILED_OFFLINE").count() == 2,
        || agent.log(),
    );
    for (name, mode) in [("cache", 0o444), ("cache.lock", 0o666), ("primacy.toml", 0o444), ("", 0o777)] {
        set_permissions(site.path(name), Permissions::from_mode(mode)).unwrap();
    }
    let copy = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let path = copy.path().join("primacy");
    std::fs::copy(crate::site::PRIMACY, &path).unwrap();
    set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    let run = |path: &Path, words: &[&str]| {
        let mut command = site.command_as(path);
        command.args(words).uid(65534).gid(65534);
        // A process that another test is just forking may hold the copy open for writing for a moment.
        wait_until(
            || !matches!(command.output(), Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy),
            || "the copy stays busy".into(),
        );
        crate::site::said(&mut command)
    };
    assert_eq!(run(&path, &["up", "--require-agent", &nodes[0]]).exits(1).out, "DOWN\n");
    let holder = format!("process {}", agent.child.id());
    run(&path, &["recover", &nodes[0]]).fails(5, &["is not for this user", "control_users", &holder]);
    assert_eq!(commands(&agent.log()), 0);
}
