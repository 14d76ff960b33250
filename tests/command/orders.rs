//! Operators' orders above the rules: overrides, freezes, maintenance; at a live instance, on the cache, over a restart.

use crate::site::{Said, Site, gone_pool, wait_until};
use primacy::instance::{HostObservation, Instance};
use primacy::pool::{MaintenanceRole, NodeOverride, State};
use primacy::probe::{Cause, Facts};
use primacy::store::{self, StoredNode};
use serde_json::{Value, json};
use std::fs;

const EXTERNAL: &str = "[pool.orders]\nprobe = \"external\"\nnodes = [\n  { address = \"db1\", type = \"primary\" },\n  { \
                        address = \"db2\" },\n]\n";

/// A host that observes two nodes itself and listens at its control socket.
struct Host(Instance);

impl Host {
    fn new(site: &Site) -> Host {
        let mut builder = primacy::config::ConfigBuilder::new();
        let text = fs::read_to_string(site.path("primacy.toml")).unwrap();
        builder.load_text(&text, "primacy.toml").unwrap();
        let instance = Instance::new(builder.build().unwrap()).unwrap();
        instance.start().unwrap();
        Host(instance)
    }

    fn cycles(&self, count: usize, causes: [Cause; 2]) {
        for _ in 0..count {
            for (node, cause) in ["db1", "db2"].iter().zip(causes) {
                let (message, facts) = (String::new(), Facts::default());
                self.0.observe("orders", node, HostObservation { cause, errno: 0, message, facts }).unwrap();
            }
            self.0.cycle("orders", None).unwrap();
        }
    }
}

fn json_of(site: &Site) -> Value {
    let whole: Value = serde_json::from_str(&site.run(&["status", "--json"]).exits(0).out).unwrap();
    whole["pools"][0].clone()
}

fn stored_node(site: &Site, node: usize) -> StoredNode {
    store::decode(&site.cache(), "cache").unwrap().pools[0].nodes[node].clone()
}

fn stored(site: &Site, node: usize) -> Option<NodeOverride> {
    stored_node(site, node).override_
}

#[track_caller]
fn says(said: &Said, parts: &[&str]) {
    for part in parts {
        assert!(said.out.contains(part), "{part:?} is missing: {said:?}");
    }
}

#[test]
fn overrides_reach_a_live_instance() {
    let site = Site::new(EXTERNAL);
    let host = Host::new(&site);
    host.cycles(6, [Cause::Ok, Cause::Ok]);
    assert_eq!(json_of(&site)["active"], "db1:3306");
    assert!(!site.run(&["status"]).exits(0).out.contains("ORDER"), "no column for what nobody ordered");

    let said = site.run(&["set", "DB2.:3306", "--weight", "0", "--reason", "slow disk"]).exits(0);
    says(&said, &["db2:3306", "weight 0", "slow disk", "(rule "]);
    assert_eq!(stored(&site, 1).unwrap().set.weight, Some(0), "in the cache when the command returns");
    let pool = json_of(&site);
    let order = &pool["nodes"][1]["override"];
    assert_eq!(
        (&order["weight"], &order["reason"], &order["state"]),
        (&json!(0), &json!("slow disk"), &Value::Null)
    );
    assert!(
        order["since_ms"].as_u64().unwrap() > 1_000_000_000_000 && order["until_ms"].is_null(),
        "{order}"
    );
    assert_eq!((&pool["nodes"][1]["weight"], &pool["nodes"][0]["override"]), (&json!(0), &Value::Null));
    let table = site.run(&["status"]).exits(0);
    says(&table, &["ORDER", "pool orders: db2:3306: override: weight 0 since 2", ": slow disk"]);

    // The words of another state take its place, and move the role.
    let words = ["set", "db2", "--state", "active", "--type", "secondary", "--reason", "r", "--for", "10m"];
    let said = site.run(&words).exits(0);
    says(&said, &["state ACTIVE", "type SECONDARY", "until 2"]);
    assert_eq!(site.run(&["is-active", "db2"]).exits(0).out, "OK\n");
    let order = json_of(&site)["nodes"][1]["override"].clone();
    let (since, until) = (order["since_ms"].as_u64().unwrap(), order["until_ms"].as_u64().unwrap());
    assert_eq!((until - since, &order["weight"]), (600_000, &Value::Null));
    says(&site.run(&["status"]).exits(0), &["m left): r"]);
    let line = site.run(&["report", "db2"]).exits(0).out;
    assert!(line.starts_with("OK/ACTIVE (SECONDARY) : "), "the line keeps its form: {line}");

    let before = site.cache();
    site.run(&["set", "db1", "--state", "ACTIVE", "--reason", "r"])
        .fails(3, &["refused by rule", "one ACTIVE"]);
    assert_eq!(site.cache(), before);
    says(&site.run(&["unset", "db2"]).exits(0), &["db2:3306", "(rule "]);
    site.run(&["unset", "db2", "--pool", "orders"]).fails(3, &["refused by rule"]);
    assert_eq!(json_of(&site)["active"], "db2:3306", "nothing switches by that alone");

    let said = site.run(&["set", "db1", "--status", "ok_critical", "--reason", "look at it"]).exits(0);
    says(&said, &["status OK_CRITICAL"]);
    assert!(site.run(&["report", "db1"]).exits(0).out.starts_with("OK_CRITICAL/"));
}

#[test]
fn a_freeze_reaches_a_live_instance() {
    let site = Site::new(EXTERNAL);
    let host = Host::new(&site);
    host.cycles(6, [Cause::Ok, Cause::Ok]);
    let said = site.run(&["freeze", "orders", "--reason", "network work", "--for", "90m"]).exits(0);
    says(&said, &["pool orders", "network work", "until 2"]);
    host.cycles(8, [Cause::Refused, Cause::Ok]);
    let pool = json_of(&site);
    assert_eq!((&pool["active"], &pool["frozen"]["reason"]), (&json!("db1:3306"), &json!("network work")));
    let since = pool["frozen"]["since_ms"].as_u64().unwrap();
    assert_eq!(pool["frozen"]["until_ms"], since + 5_400_000);
    says(
        &site.run(&["status"]).exits(0),
        &["ORDER", "frozen", "pool orders: frozen since 2", "m left): network work"],
    );
    assert!(site.run(&["explain"]).exits(0).out.contains("network work"));
    // Named by a node of it; the counts begin anew, and lead to the switch.
    says(&site.run(&["unfreeze", "db1"]).exits(0), &["pool orders"]);
    site.run(&["unfreeze", "pool:orders"]).fails(3, &["refused by rule"]);
    assert_eq!(json_of(&site)["active"], "db1:3306", "nothing switches by that alone");
    host.cycles(8, [Cause::Refused, Cause::Ok]);
    assert_eq!(json_of(&site)["active"], "db2:3306");
}

#[test]
fn maintenance_reaches_a_live_instance() {
    let site = Site::new(EXTERNAL);
    let host = Host::new(&site);
    host.cycles(6, [Cause::Ok, Cause::Ok]);
    let said = site.run(&["maintenance", "db1", "--stay", "--reason", "memory"]).exits(0);
    says(&said, &["db1:3306", "memory"]);
    host.cycles(8, [Cause::Refused, Cause::Ok]);
    let pool = json_of(&site);
    assert_eq!(
        (&pool["active"], &pool["nodes"][0]["override"]["maintenance"]),
        (&json!("db1:3306"), &json!("stay"))
    );
    says(&site.run(&["status"]).exits(0), &["maintenance, the role stays since 2"]);
    assert_eq!(stored(&site, 0).unwrap().maintenance, Some(MaintenanceRole::Stay));
    says(&site.run(&["unset", "db1"]).exits(0), &["db1:3306"]);
    host.cycles(8, [Cause::Refused, Cause::Ok]);
    assert_eq!(json_of(&site)["active"], "db2:3306");

    // The other one is dead: nobody may take the role over.
    let said = site.run(&["maintenance", "db2", "--move", "--reason", "memory"]);
    said.fails(3, &["refused by rule"]);
    assert_eq!(json_of(&site)["nodes"][1]["override"], Value::Null);
}

#[test]
fn what_is_no_order_is_usage() {
    let site = Site::new(EXTERNAL);
    let long = "x".repeat(1001);
    for (words, part) in [
        (&["set", "db1", "--weight", "1"][..], "--reason"),
        (&["freeze", "orders"], "--reason"),
        (&["maintenance", "db1", "--move"], "--reason"),
        (&["set", "db1", "--reason", "r"], "--state"),
        (&["set", "db1", "--state", "DEAD", "--reason", "r"], "FAILED_OFFLINE"),
        (&["set", "db1", "--status", "BAD", "--reason", "r"], "OK_CRITICAL"),
        (&["set", "db1", "--type", "REPLICA", "--reason", "r"], "SECONDARY"),
        (&["set", "db1", "--weight", "-1", "--reason", "r"], "-1"),
        (&["set", "db1", "--weight", "4294967296", "--reason", "r"], "4294967296"),
        (&["set", "db1", "--weight", "1", "--reason", "r", "--for", "10"], "--for"),
        (&["set", "db1", "--weight", "1", "--reason", "r", "--for", "20ms"], "one second"),
        (&["freeze", "--reason", "r", "--for", "9000h"], "366 days"),
        (&["freeze", "--reason", ""], "--reason"),
        (&["freeze", "--reason", "a\nb"], "control character"),
        (&["freeze", "--reason", &long], "1001 bytes"),
        (&["freeze", "nothing", "--reason", "r"], "no pool"),
        (&["unfreeze", "pool:nothing"], "no pool"),
        (&["maintenance", "db1", "--move", "--stay", "--reason", "r"], "--stay"),
        (&["maintenance", "db1", "--reason", "r"], "--move"),
        (&["maintenance", "db9", "--stay", "--reason", "r"], "db9:3306 is not in any pool"),
        (&["unset", "db9"], "db9"),
    ] {
        site.run(words).fails(2, &[part]);
    }
    assert!(!site.path("cache").exists());
    let two = format!("{EXTERNAL}{}", EXTERNAL.replace("orders", "stock").replace("db1", "db3"));
    let site = Site::new(&two);
    site.run(&["freeze", "--reason", "r"]).fails(2, &["several pools", "stock"]);
    site.run(&["freeze", "db2", "--reason", "r"]).fails(2, &["several pools"]);
    site.run(&["unset", "db2"]).fails(2, &["several pools"]);
}

/// Without an agent the commands work on the cache; the next agent takes the orders over, and ends them in time.
#[test]
fn orders_are_stored_and_outlive_every_process() {
    let (pool, [first, second]) = gone_pool("orders");
    let site = Site::new(&pool);
    site.run(&["init"]).exits(0);
    let said = site.run(&["set", &second, "--weight", "5", "--reason", "it's \"big\""]).exits(0);
    says(&said, &["weight 5", "(rule "]);
    said.complains(&["command", "it's \"big\""]);
    says(&site.run(&["freeze", "--reason", "night"]).exits(0), &["pool orders"]);
    says(
        &site.run(&["maintenance", &first, "--stay", "--reason", "disk", "--for", "1h"]).exits(0),
        &["disk"],
    );
    let table = site.run(&["status"]).exits(0);
    let maintained = format!("pool orders: {first}: maintenance, the role stays since 2");
    says(
        &table,
        &["maintenance+frozen", "override+frozen", &maintained, "pool orders: frozen since 2", "night"],
    );
    assert_eq!(json_of(&site)["nodes"][1]["weight"], 5);

    // An agent takes them over, and the next one after it was killed.
    drop(site.agent());
    let agent = site.agent();
    assert_eq!(json_of(&site)["frozen"]["reason"], "night");
    let order = json_of(&site)["nodes"][1]["override"].clone();
    assert_eq!((&order["weight"], &order["reason"]), (&json!(5), &json!("it's \"big\"")));
    assert_eq!(json_of(&site)["nodes"][0]["override"]["maintenance"], "stay");
    site.run(&["unfreeze"]).exits(0);
    site.run(&["unset", &first]).exits(0);
    wait_until(|| json_of(&site)["nodes"][0]["state"] == "FAILED_OFFLINE", || agent.log());
    // Its time runs out in the agent.
    site.run(&["set", &second, "--weight", "0", "--reason", "short", "--for", "1s"]).exits(0);
    assert_eq!(stored(&site, 1).unwrap().set.weight, Some(0));
    wait_until(|| json_of(&site)["nodes"][1]["override"].is_null(), || agent.log());
    assert_eq!(json_of(&site)["nodes"][1]["weight"], 1);
    wait_until(|| stored(&site, 1).is_none(), || agent.log());
    // Or while nobody is there to end it: nobody is told that it still holds.
    site.run(&["set", &second, "--weight", "0", "--reason", "short", "--for", "1s"]).exits(0);
    drop(agent);
    assert!(stored(&site, 1).is_some(), "killed before the end");
    wait_until(|| json_of(&site)["nodes"][1]["override"].is_null(), || "it is still told".into());
    let agent = site.agent();
    wait_until(|| stored(&site, 1).is_none(), || agent.log());
    drop(agent);

    site.run(&["unset", &second]).fails(3, &["refused by rule"]);
}

/// What may move the role looks at the servers first.
#[test]
fn a_state_is_set_without_an_agent() {
    let (pool, [first, second]) = gone_pool("orders");
    let site = Site::new(&pool);
    site.run(&["init"]).exits(0);
    let said = site.run(&["set", &first, "--state", "ACTIVE", "--reason", "it will come"]).exits(0);
    says(&said, &["state ACTIVE", "(rule "]);
    assert_eq!(stored_node(&site, 0).state, State::Active);
    let before = site.cache();
    let said = site.run(&["set", &first, "--state", "STANDBY", "--reason", "r"]).exits(3);
    said.complains(&["refused by rule"]);
    site.run(&["maintenance", &first, "--move", "--reason", "r"]).exits(3).complains(&["refused by rule"]);
    site.run(&["set", &second, "--state", "ACTIVE", "--reason", "r"]).exits(3).complains(&["one ACTIVE"]);
    let (before, after) =
        (store::decode(&before, "cache").unwrap(), store::decode(&site.cache(), "cache").unwrap());
    assert_eq!(before.pools[0].nodes[0].override_, after.pools[0].nodes[0].override_);
    site.run(&["unset", &first]).exits(0);
    assert_eq!(stored(&site, 0), None);
}
