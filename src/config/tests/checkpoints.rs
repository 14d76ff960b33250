//! Sets of checkpoints: read, handed to their nodes, printed again, and every way to be ignored refused.

use super::*;
use crate::probe::{CheckMethod, Checkpoint, CheckpointKind};
use proptest::prelude::*;

const SET: &str = "checkpoints = [ { node = \"10.0.1.11:3306\", internal = \"simple:10.0.1.1\", edge = \"simple:10.0.0.1\", external = \"http:status.example:80\" } ]";

fn pool(keys: &str) -> crate::Result<Config> {
    read(&format!("[pool.a]\n{PAIR}\n{keys}"))
}

fn texts(config: &Config, node: usize) -> Vec<String> {
    config.pools[0].nodes[node].checkpoints.iter().map(|c| format!("{} {c}", c.kind)).collect()
}

#[test]
fn a_set_is_its_nodes() {
    for policy in ["safe", "mpp"] {
        let config = pool(&format!("policy = \"{policy}\"\n{SET}")).expect("good");
        let expected =
            ["internal simple:10.0.1.1", "edge simple:10.0.0.1", "external http:status.example:80"];
        assert_eq!((texts(&config, 0), texts(&config, 1).len()), (expected.map(String::from).to_vec(), 0));
        assert_eq!(read(&config.dump()).as_ref(), Ok(&config), "{}", config.dump());
    }
    // Any spelling of the node, several of a kind, IPv6, in any order.
    let config = pool(
        "checkpoints = [ { external = [\"mysql:[2001:db8::5]\", \"simple:h:22\"], internal = \"simple:[2001:DB8::1]\", node = \"10.0.1.12\" } ]",
    )
    .expect("good");
    let expected =
        ["internal simple:[2001:db8::1]", "external mysql:[2001:db8::5]:3306", "external simple:h:22"];
    assert_eq!((texts(&config, 0).len(), texts(&config, 1)), (0, expected.map(String::from).to_vec()));
    assert_eq!(read(&config.dump()).as_ref(), Ok(&config));
    // One by one; what comes later wins, and an empty list has none.
    let mut builder = ConfigBuilder::new();
    builder.load_text(&format!("[pool.a]\n{PAIR}\n{SET}"), "p").expect("good");
    builder.set("pool.a.checkpoints", "[ { node = \"10.0.1.12\", edge = \"simple:h\" } ]").expect("good");
    assert_eq!(texts(&builder.build().expect("good"), 1), ["edge simple:h"]);
    builder.set("pool.a.checkpoints", "[]").expect("good");
    assert!(texts(&builder.build().expect("good"), 1).is_empty());
    assert_eq!(builder.set("pool.a.checkpoints", "[").expect_err("no TOML").code(), crate::ErrorCode::Config);
}

#[test]
fn a_set_that_would_be_ignored_is_an_error() {
    let node = "node = \"10.0.1.11\"";
    for (keys, message) in [
        (
            "checkpoints = 3".to_string(),
            "p.toml:3:15: key pool.a.checkpoints: expected a list of checkpoints, found the number 3",
        ),
        (
            "checkpoints = [ 3 ]".into(),
            "p.toml:3:17: key pool.a.checkpoints[0]: expected a table, found the number 3",
        ),
        (
            "checkpoints = [ { edge = \"simple:h\" } ]".into(),
            "p.toml:3:17: key pool.a.checkpoints[0]: the set names no node: write node = \"HOST:PORT\"",
        ),
        (
            format!("checkpoints = [ {{ {node} }} ]"),
            "p.toml:3:17: key pool.a.checkpoints[0]: the set is empty: give it internal, edge or external checkpoints",
        ),
        (
            format!("checkpoints = [ {{ {node}, edge = [] }} ]"),
            "p.toml:3:17: key pool.a.checkpoints[0]: the set is empty: give it internal, edge or external checkpoints",
        ),
        (
            "checkpoints = [ { node = \"10.0.1.13\", edge = \"simple:h\" } ]".into(),
            "p.toml:3:26: key pool.a.checkpoints[0].node: 10.0.1.13:3306 is no node of this pool",
        ),
        (
            format!("checkpoints = [ {{ {node}, edge = \"simple:h\" }}, {{ {node}, edge = \"simple:i\" }} ]"),
            "p.toml:3:69: key pool.a.checkpoints[1].node: node 10.0.1.11:3306 has a set of checkpoints already",
        ),
        (
            format!("checkpoints = [ {{ {node}, edg = \"simple:h\" }} ]"),
            "p.toml:3:39: key pool.a.checkpoints[0].edg: unknown key \"edg\"; known here are node, internal, edge, external",
        ),
        (
            format!("checkpoints = [ {{ {node}, edge = \"ping:h\" }} ]"),
            "p.toml:3:46: key pool.a.checkpoints[0].edge: \"ping\" is no method of a checkpoint: write simple:HOST, simple:HOST:PORT, http:HOST[:PORT][/PATH] or mysql:HOST[:PORT]",
        ),
        (
            format!("checkpoints = [ {{ {node}, edge = 3 }} ]"),
            "p.toml:3:46: key pool.a.checkpoints[0].edge: expected a checkpoint in quotes, found the number 3",
        ),
        (
            format!("checkpoints = [ {{ {node}, edge = [\"simple:h\", \"simple:H\"] }} ]"),
            "p.toml:3:59: key pool.a.checkpoints[0].edge: simple:h stands in this set twice",
        ),
        (
            format!("checkpoints = [ {{ {node}, edge = [{}] }} ]", "\"simple:h\",".repeat(9)),
            "p.toml:3:46: key pool.a.checkpoints[0].edge: 9 checkpoints, 8 of a kind are allowed",
        ),
        (
            format!("probe = \"external\"\ncheckpoints = [ {{ {node}, edge = \"simple:h\" }} ]"),
            "p.toml:4:26: key pool.a.checkpoints[0].node: the host observes this pool and brings its own checkpoints with each cycle: leave these out, or let the library probe",
        ),
        (
            format!("checkpoints = [ {{ {node}, edge = \"simple:127.0.0.1\" }} ]"),
            "p.toml:3:46: key pool.a.checkpoints[0].edge: simple:127.0.0.1 is on this machine and says nothing of the network: policy safe would ignore it",
        ),
        (
            format!("checkpoints = [ {{ {node}, edge = \"simple:10.0.1.11\" }} ]"),
            "p.toml:3:46: key pool.a.checkpoints[0].edge: simple:10.0.1.11 is the node's own host, which is the one in question: policy safe would ignore it",
        ),
    ] {
        let error = pool(&keys).expect_err(&keys);
        assert_eq!((error.code(), error.message()), (crate::ErrorCode::Config, message), "{keys}");
    }
    let local = "[pool.a]\nnodes = [ { address = \"127.0.0.1\" } ]\ncheckpoints = [ { node = \"127.0.0.1\", edge = \"simple:h\" } ]";
    let error = read(local).expect_err("local");
    assert!(error.message().contains("is on this machine: policy safe never asks"), "{error}");
    // The original's rule has a use for both.
    assert!(read(&format!("{local}\npolicy = \"mpp\"").replace("simple:h", "simple:127.0.0.1:9")).is_ok());
}

proptest! {
    #[test]
    fn sets_read_back(
        picks in prop::collection::btree_set((0..3usize, 0..3usize, 0..4usize, prop::option::of(1..=u16::MAX)), 1..12),
        path in "[!-\"$-~]{0,20}",
        mpp: bool,
    ) {
        let mut lists: [Vec<String>; 3] = Default::default();
        for (kind, method, host, port) in picks {
            let host = ["10.9.0.1", "[2001:db8::9]", "gw.example", "h"][host];
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            let (method, path) = (CheckMethod::ALL[method], if method == 1 { format!("/{path}") } else { String::new() });
            let text = format!("{method}:{host}{port}{path}");
            let parsed = Checkpoint::parse(CheckpointKind::ALL[kind], &text).expect(&text).to_string();
            if lists[kind].len() < 8 && !lists[kind].contains(&parsed) {
                lists[kind].push(parsed);
            }
        }
        let [internal, edge, external] = lists.clone().map(|list| {
            let quoted: Vec<String> = list.iter().map(|t| format!("\"{}\"", t.replace('\\', "\\\\").replace('"', "\\\""))).collect();
            format!("[{}]", quoted.join(", "))
        });
        let policy = if mpp { "mpp" } else { "safe" };
        let config = pool(&format!(
            "policy = \"{policy}\"\ncheckpoints = [ {{ node = \"10.0.1.12\", internal = {internal}, edge = {edge}, external = {external} }} ]"
        ));
        let config = config.expect("good");
        let kinds = CheckpointKind::ALL.iter().zip(&lists);
        let wanted: Vec<String> = kinds.flat_map(|(kind, list)| list.iter().map(move |t| format!("{kind} {t}"))).collect();
        prop_assert_eq!(texts(&config, 1), wanted);
        prop_assert_eq!(read(&config.dump()), Ok(config));
    }
}
