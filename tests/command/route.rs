//! `primacy route`: whom clients of a service would get.

use crate::site::{Site, gone_pool, wait_until};

#[test]
fn route_tells_who_would_get_clients_and_why() {
    let (pool, nodes) = gone_pool("orders");
    let site = Site::new(&pool);
    site.run(&["route", "rw"]).fails(4, &["no agent"]);
    let mut agent = site.agent();
    wait_until(|| site.run(&["status"]).out.matches("FAILED_OFFLINE").count() == 2, || agent.log());
    let nobody = site.run(&["route", "orders.rw"]).exits(1).out;
    assert!(nobody.starts_with("nobody: pool orders"), "{nobody}");
    assert!(nobody.contains(&format!("{}: takes no clients (rule 60", nodes[0])), "{nobody}");
    site.run(&["route", "readers"]).fails(2, &["no service is named 'readers'", "orders.ro, orders.rw"]);
    site.run(&["route", "rw", "-n", "0"]).fails(2, &["1..=1000"]);
    site.run(&["route", "rw", "--min-gtid", "garbage"]).fails(2, &["GTID"]);

    // An operator's word makes a node serve, whatever is observed.
    site.run(&["set", &nodes[1], "--state", "ACTIVE", "--status", "OK", "--reason", "test"]).exits(0);
    let told = site.run(&["route", "rw", "-n", "2", "--site", "nowhere"]).exits(0).out;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[..3],
        [&*format!("{} (role)", nodes[1]), &*format!("{} (role)", nodes[1]), ""],
        "{told}"
    );
    assert!(told.contains(&format!("{}: takes clients (rule 617", nodes[1])), "{told}");
    // Readers have no stand-in.
    let text = site.run(&["route", "ro", "--json"]).exits(0).out;
    let whole: serde_json::Value = serde_json::from_str(&text).expect("a document");
    assert_eq!(whole["service"], "orders.ro");
    assert_eq!(whole["clients"][0]["address"], nodes[1]);
    assert_eq!(whole["clients"][0]["reason"], "fallback");
    assert_eq!(whole["nodes"].as_array().map(Vec::len), Some(2));
    let unknown = site.run(&["route", "ro", "--min-gtid", "0-1-42"]).exits(1).out;
    assert!(unknown.starts_with("nobody: no node is known to hold"), "{unknown}");
    assert_eq!(agent.end(libc::SIGTERM).0, Some(0));
}
