//! The key `push`.

use super::*;
use crate::engine::time::Duration;

const POOLS: &str = "[pool.a]\nnodes = [ { address = \"h1\" }, { address = \"h2\" } ]\n[pool.b]\nnodes = [ { address = \"h3\" } ]\n";

fn build(text: &str) -> crate::Result<Config> {
    let mut builder = ConfigBuilder::new();
    builder.load_text(&format!("{text}\n{POOLS}"), "n")?;
    builder.build()
}

#[test]
fn defaults_and_every_key() {
    let config = build("push = [ { address = \"p1\" } ]").expect("a configuration");
    let [one] = &config.push[..] else { panic!("{config:?}") };
    assert_eq!((one.address.to_string().as_str(), one.user.as_str()), ("p1:4041", "primacy"));
    assert_eq!((one.interval, one.timeout), (Duration::from_secs(1), Duration::from_secs(1)));
    assert!(one.wants("a") && one.wants("b") && one.password_file.is_none());
    let text = "[[push]]\naddress = \"[2001:db8::1]\"\nuser = \"u\"\npassword_file = \"/p\"\npools = [\"b\"]\n\
                interval = \"250ms\"\ntimeout = \"50ms\"\n[[push]]\naddress = \"unix:/run/p\"\n";
    let config = build(text).expect("a configuration");
    let [one, two] = &config.push[..] else { panic!("{config:?}") };
    assert_eq!(one.address.to_string(), "[2001:db8::1]:4041");
    assert!(!one.wants("a") && one.wants("b"));
    assert_eq!(two.address.to_string(), "unix:/run/p");
    let mut builder = ConfigBuilder::new();
    builder.load_text(&config.dump(), "dump").expect("the dump");
    assert_eq!(builder.build().expect("the dump"), config);
    builder.set("push", "[ { address = \"other:1\" } ]").expect("a list");
    assert_eq!(
        builder.build().expect("set").push.len(),
        1,
        "a later list takes the place of the earlier one"
    );
    assert_ne!(builder.build().expect("set").fingerprint(), config.fingerprint());
}

#[test]
fn what_is_wrong_is_named() {
    let twice = "[pool.c]\nnodes = [ { address = \"H1:3306\" } ]";
    let blank = "[pool.c]\nnodes = [ { address = \"unix:/a b\" } ]";
    for (text, message) in [
        ("push = 3", "n:1:8: key push: expected a list of proxies, found the number 3"),
        ("push = [ 3 ]", "n:1:10: key push[0]: expected a table, found the number 3"),
        ("push = [ { user = \"u\" } ]", "n:1:10: key push[0]: the proxy has no address"),
        ("push = [ { address = 3 } ]", "n:1:22: key push[0].address: expected an address in quotes"),
        ("push = [ { address = \"p:0\" } ]", "n:1:22: key push[0].address: address \"p:0\""),
        ("push = [ { adress = \"p\" } ]", "n:1:12: key push[0].adress: unknown key; did you mean address?"),
        (
            "push = [ { address = \"p\", password = \"s3cret\" } ]",
            "n:1:27: key push[0].password: a password does not",
        ),
        (
            "push = [ { address = \"p\", interval = \"1ms\" } ]",
            "n:1:38: key push[0].interval: \"1ms\" is out of range",
        ),
        (
            "push = [ { address = \"p\" }, { address = \"P:4041\" } ]",
            "n:1:41: key push[1].address: proxy p:4041 stands here twice",
        ),
        (
            "push = [ { address = \"p\", pools = [\"c\"] } ]",
            "n:1:35: key push[0].pools: there is no pool c; pools are a, b",
        ),
        (
            "push = [ { address = \"p\", pools = [\"a\", \"a\"] } ]",
            "n:1:35: key push[0].pools: \"a\" stands in the list twice",
        ),
        (
            &format!("push = [ {{ address = \"p\" }} ]\n{twice}"),
            "n:1:22: key push[0].address: node h1:3306 is in the pools c and a",
        ),
        (
            &format!("push = [ {{ address = \"p\" }} ]\n{blank}"),
            "n:1:22: key push[0].address: node unix:/a b of pool c has a blank",
        ),
    ] {
        let error = build(text).expect_err(text);
        assert!(error.message().starts_with(message), "{text}:\n{error}");
        assert!(!error.message().contains("s3cret"), "{error}");
    }
    build(&format!("push = [ {{ address = \"p\", pools = [\"a\", \"b\"] }} ]\n{twice}"))
        .expect("one of the pools");
}
