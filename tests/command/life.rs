//! The stored state from `init` over faults to operators' moves.

use crate::site::{Site, gone_pool};
use primacy::instance::{Durability, HostObservation, Instance};
use primacy::probe::{Cause, Facts};
use primacy::store;
use std::fs;

fn stored(site: &Site) -> store::Cache {
    store::decode(&site.cache(), "cache").unwrap()
}

#[test]
fn init_never_overwrites_unasked() {
    let (pool, _) = gone_pool("orders");
    let site = Site::new(&pool);
    let said = site.run(&["init"]).exits(0);
    assert!(said.out.contains(site.path("cache").to_str().unwrap()), "{said:?}");
    let first = site.cache();
    site.run(&["init"]).fails(3, &["exists", "--force"]);
    assert_eq!(site.cache(), first);
    assert!(!site.path("cache.old.1").exists());

    // An epoch far ahead of the clock must not come down by beginning anew.
    let mut ahead = stored(&site);
    ahead.pools[0].epoch = 1 << 50;
    ahead.pools[0].epoch_reserved = (1 << 50) + 1000;
    fs::write(site.path("cache"), store::encode(&ahead)).unwrap();
    site.run(&["init", "--force"]).exits(0).complains(&["cache.old.1"]);
    assert_eq!(fs::read(site.path("cache.old.1")).unwrap(), store::encode(&ahead).as_bytes());
    assert_eq!(stored(&site).pools[0].epoch, (1 << 50) + 1000);
    site.run(&["init", "--force"]).exits(0).complains(&["cache.old.2"]);
}

#[test]
fn poll_finds_dead_servers_and_operators_take_them_back() {
    let (pool, [first, second]) = gone_pool("orders");
    let site = Site::new(&pool);
    let said = site.run(&["poll"]).exits(1).complains(&["orders/", " rule ", "ALARM", "no node is ACTIVE"]);
    assert!(said.out.is_empty(), "events are no output: {said:?}");
    for line in said.err.lines().filter(|line| line.contains(" rule ")) {
        assert!(line.as_bytes()[10] == b'T' && line.contains("Z "), "begins with a time: {line}");
    }
    let again = site.run(&["poll", "--pool", "orders"]).exits(1);
    assert_eq!(again.err.lines().count(), 1, "nothing changed, so nothing but the outcome: {again:?}");
    let table = site.run(&["poll", "-v"]).exits(1).out;
    assert!(table.contains("SEEN") && table.contains("FAILED_OFFLINE"), "{table}");

    let status = site.run(&["status"]).exits(0).out;
    assert_eq!(status.matches("FAILED_OFFLINE").count(), 2, "{status}");
    assert!(status.contains("nobody watches") && !status.contains('\x1b'), "{status}");
    let report = site.run(&["report", &first]).exits(0).complains(&["no agent keeps"]).out;
    assert!(report.starts_with("FAIL/FAILED_OFFLINE (PRIMARY) : "), "{report}");
    assert_eq!(site.run(&["is-active", &first]).exits(1).out, "NO\n");
    assert_eq!(site.run(&["up", &second]).exits(1).out, "DOWN\n");
    site.run(&["up", "--require-agent", &second]).fails(4, &["no agent keeps"]);

    let said = site.run(&["recover", &first]).exits(0).complains(&["command", &first]);
    assert!(said.out.contains(&first) && said.out.contains("rule"), "{said:?}");
    let before = site.cache();
    site.run(&["recover", &first]).exits(3).complains(&["refused by rule", "UNKNOWN"]);
    assert_eq!(site.cache(), before, "a refused command changes nothing");
    let (host, port) = second.split_once(':').unwrap();
    assert!(site.run(&["report", host, port]).exits(0).out.contains("FAILED_OFFLINE"));
    site.run(&["recover", "pool:orders"]).exits(0);
    assert!(site.run(&["report", &second]).exits(0).out.contains("/UNKNOWN"));

    // The rules look at the servers first: both are dead.
    site.run(&["activate-primary"]).exits(3).complains(&["refused by rule"]);
    site.run(&["remove", &second]).exits(0);
    site.run(&["remove", &second]).exits(3).complains(&["removed already"]);
    assert_eq!(stored(&site).pools[0].removed, [second.clone()]);
    let status = site.run(&["status"]).exits(0).out;
    assert!(status.contains(&format!("removed by an operator: {second}")), "{status}");
    assert_eq!(site.run(&["up", &second]).exits(1).out, "DOWN\n");
    assert!(site.run(&["report", &second]).exits(0).out.contains("removed by an operator"));

    let why = site.run(&["explain"]).exits(0).out;
    assert!(why.contains("pool orders") && why.contains(&first) && why.contains("would change"), "{why}");
    let times = site.run(&["budget", "orders"]).exits(0).out;
    assert!(times.contains("gone") && times.contains("silent") && times.contains("never"), "{times}");
}

#[test]
fn a_name_that_does_not_resolve_counts_against_nobody() {
    let site = Site::new("[pool.orders]\nnodes = [ { address = \"db.invalid\", type = \"primary\" } ]\n");
    let said = site.run(&["poll", "-v"]).exits(1).complains(&["pool orders: no node is ACTIVE"]);
    assert!(said.out.contains("UNKNOWN") && !said.err.contains("not in the cache"), "{said:?}");
}

const EXTERNAL: &str = "[pool.orders]\npolicy = \"mpp\"\nprobe = \"external\"\nnodes = [\n  { address = \"DB1.example\", \
                        type = \"primary\" },\n  { address = \"[2001:db8::2]:3307\" },\n]\n";

fn host(site: &Site) -> Instance {
    let mut builder = primacy::config::ConfigBuilder::new();
    let text = fs::read_to_string(site.path("primacy.toml")).unwrap();
    builder.load_text(&text, "primacy.toml").unwrap();
    Instance::new(builder.build().unwrap()).unwrap()
}

fn cycle(instance: &Instance, causes: [Cause; 2]) {
    for (node, cause) in ["db1.example", "[2001:db8::2]:3307"].iter().zip(causes) {
        let facts = Facts::default();
        let observation = HostObservation { cause, errno: 0, message: String::new(), facts };
        instance.observe("orders", node, observation).unwrap();
    }
    instance.cycle("orders", None).unwrap();
}

/// What `recover` promises must outlive the process that heard it: here every step is a process of its own.
#[test]
fn a_recovered_primary_is_owed_the_role_across_processes() {
    let site = Site::new(&EXTERNAL.replace("policy = \"mpp\"\n", "failback = \"manual\"\n"));
    let owed = || stored(&site).pools[0].nodes[0].owed;
    let instance = host(&site);
    (0..6).for_each(|_| cycle(&instance, [Cause::Ok, Cause::Ok]));
    (0..6).for_each(|_| cycle(&instance, [Cause::Refused, Cause::Ok]));
    instance.stop().unwrap();
    assert_eq!(site.run(&["is-active", "2001:db8::2", "3307"]).exits(0).out, "OK\n");
    site.run(&["recover", "db1.example"]).exits(0);
    assert!(!owed(), "failback = manual: nothing is owed");

    let text = fs::read_to_string(site.path("primacy.toml")).unwrap();
    site.write("primacy.toml", &text.replace("manual", "after-recover"));
    let instance = host(&site);
    (0..6).for_each(|_| cycle(&instance, [Cause::Refused, Cause::Ok]));
    instance.stop().unwrap();
    site.run(&["recover", "db1.example"]).exits(0);
    assert!(owed(), "failback = after-recover");
    site.run(&["recover", "pool:orders"]).exits(0);
    assert!(owed(), "read and written again");
}

#[test]
fn a_host_s_decisions_are_read_while_it_holds_the_cache() {
    let site = Site::new(EXTERNAL);
    let instance = host(&site);
    instance.snapshot().unwrap();
    site.run(&["status"]).fails(4, &["has not stored anything", &std::process::id().to_string()]);
    cycle(&instance, [Cause::Ok, Cause::Ok]);
    cycle(&instance, [Cause::Ok, Cause::Ok]);

    let said = site.run(&["is-active", "DB1.EXAMPLE.:3306"]).exits(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("OK\n", ""), "an agent keeps the cache: no warning");
    let second = site.run(&["is-active", "2001:DB8:0::2", "3307"]).exits(1);
    assert_eq!(second.out, "NO\n");
    assert_eq!(site.run(&["up", "--require-agent", "[2001:db8::2]:3307"]).exits(0).out, "UP\n");
    let pid = format!("process {}", std::process::id());
    let status = site.run(&["status"]).exits(0).out;
    assert!(status.contains(&pid), "{status}");

    let before = site.cache();
    let commands = [
        (&["recover", "db1.example"][..], "recover db1.example`"),
        (&["recover", "pool:orders"], "recover pool:orders`"),
        (&["activate-primary"], "activate-primary --pool orders`"),
        (&["remove", "db1.example"], "remove db1.example:3306 --pool orders`"),
        (
            &["set", "db1.example", "--weight", "2", "--reason", "it's slow", "--for", "1m"],
            "set db1.example:3306 --pool orders --weight 2 --reason 'it'\\''s slow' --for 60000ms`",
        ),
        (&["unset", "db1.example"], "unset db1.example:3306 --pool orders`"),
        (&["freeze", "--reason", "r"], "freeze orders --reason 'r'`"),
        (&["unfreeze"], "unfreeze orders`"),
        (
            &["maintenance", "db1.example", "--move", "--reason", "r"],
            "maintenance db1.example:3306 --pool orders --move --reason 'r'`",
        ),
        (&["init", "--force"], "init`"),
    ];
    for (command, again) in commands {
        site.run(command).fails(5, &[&pid, "nothing was changed", again]);
        assert_eq!(site.cache(), before, "{command:?}");
    }
    site.run(&["poll"]).fails(2, &["external"]);

    instance.remove_node("orders", "[2001:db8::2]:3307", Durability::Wait).unwrap();
    let said = site.run(&["up", "[2001:db8::2]:3307"]).exits(1);
    assert_eq!(said.out, "DOWN\n");
    instance.stop().unwrap();
    drop(instance);
    site.run(&["is-active", "db1.example"]).exits(0).complains(&["warning", "no agent keeps"]);
}

#[test]
fn under_mpp_the_original_s_checks() {
    let site = Site::new(EXTERNAL);
    let instance = host(&site);
    // UNKNOWN, STANDBY, ACTIVE with a warning, ACTIVE.
    (0..3).for_each(|_| cycle(&instance, [Cause::Ok, Cause::Ok]));
    let labels = ["OK_INFO", "OK_WARN", "OK_CRITICAL", "FAIL"];
    for (n, label) in labels.iter().enumerate() {
        cycle(&instance, [Cause::Refused, Cause::Ok]);
        let failed = n == 3;
        let report = site.run(&["report", "db1.example"]).exits(0).out;
        let state = if failed { "FAILED_OFFLINE" } else { "ACTIVE" };
        assert!(report.starts_with(&format!("{label}/{state} (PRIMARY) :")), "{report}");
        site.run(&["up", "db1.example"]).exits(i32::from(failed));
        site.run(&["is-active", "db1.example"]).exits(i32::from(failed));
    }
    assert_eq!(site.run(&["is-active", "2001:db8::2", "3307"]).exits(0).out, "OK\n");
    drop(instance);

    // The agent is gone: moves work on the stored state, by the same rules.
    site.run(&["activate-primary"]).exits(3).complains(&["refused by rule 125", "FAILED_OFFLINE"]);
    assert!(site.run(&["recover", "db1.example"]).exits(0).out.contains("(rule 122)"));
    let instance = host(&site);
    cycle(&instance, [Cause::Ok, Cause::Ok]);
    drop(instance);
    assert!(site.run(&["activate-primary"]).exits(0).out.contains("(rule 123)"));
    site.run(&["is-active", "db1.example"]).exits(0);
}
