//! `primacy proxyadmin` against proxies on real ports.

use crate::mpp_proxy::tcp::Front;
use crate::mpp_proxy::{Dialect, Proxy};
use crate::site::{Site, gone_pool};

fn front(dialect: Dialect, nodes: &[String]) -> Front {
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let mut proxy = Proxy::new(dialect, &nodes);
    proxy.user = "primacy".into();
    Front::start(proxy)
}

fn site(proxies: &[&Front]) -> (Site, [String; 2]) {
    let (pool, nodes) = gone_pool("orders");
    let pushes: String =
        proxies.iter().map(|front| format!("[[push]]\naddress = \"{}\"\n", front.address)).collect();
    let site = Site::new(&format!("{pool}{pushes}"));
    site.run(&["init"]).exits(0);
    (site, nodes)
}

#[test]
fn nodes_are_initialized_set_and_shown() {
    let nodes = gone_pool("orders").1;
    for dialect in [Dialect::Modern, Dialect::Original] {
        let (one, two) = (front(dialect, &nodes), front(dialect, &nodes));
        let (site, nodes) = site(&[&one, &two]);
        // Nobody keeps the cache up to date, which is said; the proxies of the configuration are meant.
        let said = site.run(&["proxyadmin", "--initialize-all"]).exits(0);
        assert_eq!(
            said.out,
            format!("{}: 2 nodes initialized\n{}: 2 nodes initialized\n", one.address, two.address)
        );
        assert_eq!(two.proxy().of(&nodes[0]), "PRIMARY UNKNOWN UNKNOWN 1");
        site.run(&["proxyadmin", "--set-all"]).exits(0);
        assert_eq!(two.proxy().of(&nodes[1]), "SECONDARY UNKNOWN OK 1");
        let proxy = one.address.to_string();
        let set = [
            "proxyadmin",
            "--proxy",
            &proxy,
            "--set",
            &nodes[1],
            "--state",
            "failed_online",
            "--status",
            "WARN",
        ];
        let said = site.run(&set).exits(0);
        assert_eq!(said.out, format!("{proxy}: {} set\n", nodes[1]));
        let word = if dialect == Dialect::Modern { "FAILED_ONLINE" } else { "FAIL_ONLINE" };
        assert_eq!(one.proxy().of(&nodes[1]), format!("SECONDARY {word} OK_WARN 1"));
        assert_eq!(two.proxy().of(&nodes[1]), "SECONDARY UNKNOWN OK 1", "only the one that was named");
        let said = site.run(&["proxyadmin", "--proxy", &proxy, "--show-nodes"]).exits(0);
        assert!(said.out.starts_with("| nodename    | group | element | value "), "{}", said.out);
        assert!(said.out.contains(&format!("| {} | mpp   | status  | OK_WARN ", nodes[1])), "{}", said.out);
        let said = site.run(&["proxyadmin", "--show-nodes"]).exits(0);
        assert!(
            said.out.contains(&format!("{}\n| nodename", two.address)),
            "several are told apart: {}",
            said.out
        );
        // Without elements one node is set as the state has it.
        site.run(&["proxyadmin", "--proxy", &proxy, "--set", &nodes[1]]).exits(0);
        assert_eq!(one.proxy().of(&nodes[1]), "SECONDARY UNKNOWN OK 1");
    }
}

#[test]
fn what_names_the_proxy_and_the_values_needs_no_configuration() {
    let nodes = gone_pool("orders").1;
    let one = front(Dialect::Modern, &nodes);
    let site = Site::new("");
    std::fs::remove_file(site.path("primacy.toml")).unwrap();
    let proxy = one.address.to_string();
    site.run(&["proxyadmin", "--proxy", &proxy, "--show-nodes"]).exits(0);
    let set = ["proxyadmin", "--proxy", &proxy, "--set", &nodes[0], "--weight", "7"];
    let said = site.run(&set).fails(3, &["uninitialized", "--initialize-all"]);
    assert!(said.err.contains(&proxy), "{}", said.err);
    site.run(&["proxyadmin", "--proxy", &proxy, "--initialize-all"]).fails(2, &["primacy.toml"]);
}

#[test]
fn a_proxy_that_is_gone_hinders_no_other() {
    let nodes = gone_pool("orders").1;
    let one = front(Dialect::Modern, &nodes);
    let gone = front(Dialect::Modern, &nodes);
    let (site, nodes) = site(&[&gone, &one]);
    let address = gone.address.to_string();
    drop(gone);
    let said = site.run(&["proxyadmin", "--initialize-all"]).exits(4);
    assert!(said.err.contains(&format!("proxy {address}: connect: Connection refused")), "{}", said.err);
    assert!(one.proxy().of(&nodes[0]).starts_with("PRIMARY"));
    one.silent(true);
    let proxy = one.address.to_string();
    let silent = ["proxyadmin", "--proxy", &proxy, "--timeout", "100ms", "--show-nodes"];
    site.run(&silent).fails(4, &["greeting: nothing came within 100 ms"]);
    one.silent(false);
    one.proxy().user = "root".into();
    site.run(&["proxyadmin", "--proxy", &proxy, "--show-nodes"]).fails(4, &["error 1045"]);
    site.run(&["proxyadmin", "--proxy", &proxy, "--user", "root", "--show-nodes"]).exits(0);
}

#[test]
fn mistakes_are_told_before_anybody_is_connected_to() {
    let nodes = gone_pool("orders").1;
    let one = front(Dialect::Modern, &nodes);
    let (site, nodes) = site(&[&one]);
    for (arguments, part) in [
        (&["proxyadmin"][..], "--show-nodes"),
        (&["proxyadmin", "--set", &nodes[0], "--state", "BAD"], "give UNKNOWN, STANDBY, ACTIVE"),
        (&["proxyadmin", "--set", &nodes[0], "--weight", "1001"], "from 0 to 1000"),
        (&["proxyadmin", "--set", "1.2.3", "--weight", "1"], "1.2.3"),
        (&["proxyadmin", "--set", "10.9.9.9"], "is in no pool that is pushed there (orders)"),
        (&["proxyadmin", "--state", "ACTIVE", "--show-nodes"], "--set"),
        (&["proxyadmin", "--set", &nodes[0], "--set-all"], "cannot be used with"),
        (&["proxyadmin", "--proxy", "p:0", "--show-nodes"], "p:0"),
        (&["proxyadmin", "--pool", "other", "--set-all"], "there is no pool \"other\""),
        (&["proxyadmin", "--password-file", "/nowhere", "--show-nodes"], "/nowhere"),
    ] {
        let said = site.run(arguments).exits(2);
        assert!(said.err.contains(part), "{arguments:?}: {}", said.err);
    }
    assert_eq!(one.proxy().logins, 0);
    let (pool, _) = gone_pool("orders");
    let bare = Site::new(&pool);
    bare.run(&["proxyadmin", "--show-nodes"])
        .fails(2, &["the configuration has no push: name a proxy by --proxy"]);
}
