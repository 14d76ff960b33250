//! The language: what is written is read again, what is no command says why, answers of both dialects.

use crate::mpp::{Command, Element, Outcome, Reply, held, node_word, proxy_address};
use crate::pool::{Address, NodeType, State, Status};
use proptest::prelude::*;

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        "[a-z][a-z0-9]{0,8}(\\.[a-z]{1,5})?:[1-9][0-9]{0,3}",
        "1[0-9]\\.[1-9]\\.[1-9]\\.[1-9]:3306",
        "\\[2001:db8::[1-9a-f]\\]:[1-9][0-9]{0,3}",
        "unix:/run/[a-z]{1,8}",
    ]
    .prop_map(|text| Address::parse(&text).expect("an address"))
}

fn element() -> impl Strategy<Value = Element> {
    prop_oneof![
        prop::sample::select(NodeType::ALL).prop_map(Element::Type),
        prop::sample::select(State::ALL).prop_map(Element::State),
        prop::sample::select(Status::ALL).prop_map(Element::Status),
        (0u32..=1000).prop_map(Element::Weight),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        Just(Command::ShowAll),
        (address(), prop::sample::select(NodeType::ALL))
            .prop_map(|(node, node_type)| Command::Initialize { node, node_type }),
        (address(), element()).prop_map(|(node, element)| Command::Set { node, element }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_in_any_case_and_spacing(
        command in command(),
        upper in any::<bool>(),
        gap in "[ \t\r\n]{1,3}",
        end in prop::sample::select(&["", ";", " ; "][..]),
    ) {
        let text = command.to_string();
        prop_assert_eq!(Command::parse(&text), Ok(command.clone()));
        // A socket's path is the one thing whose case counts.
        let other = match (text.contains("unix:"), upper) {
            (true, _) => text,
            (false, true) => text.to_uppercase(),
            (false, false) => text.to_lowercase(),
        };
        let other = format!("{gap}{}{end}", other.replace(' ', &gap));
        prop_assert_eq!(Command::parse(&other), Ok(command), "{}", other);
    }

    #[test]
    fn garbage_is_an_error_of_one_line(text in "\\PC{0,80}") {
        if let Err(problem) = Command::parse(&text) {
            prop_assert!(!problem.is_empty() && problem.len() < 1500 && !problem.contains('\n'), "{}", problem);
        }
    }

    #[test]
    fn a_command_with_a_word_cut_off_or_put_in_is_none(command in command(), at in 0usize..5, word in "[!#%&*]{1,4}") {
        let text = command.to_string();
        let words: Vec<&str> = text.split(' ').collect();
        let mut fewer = words.clone();
        fewer.remove(at % words.len());
        prop_assert!(Command::parse(&fewer.join(" ")).is_err(), "{:?}", fewer);
        let mut more = words.clone();
        more.insert(at % (words.len() + 1), &word);
        prop_assert!(Command::parse(&more.join(" ")).is_err(), "{:?}", more);
    }
}

#[test]
fn errors_say_what_to_write() {
    for (text, part) in [
        ("", "it begins with MPP"),
        ("SELECT 1", "\"SELECT\" is no MPP command"),
        ("MPP", "SHOW ALL, INITIALIZE or SET follows"),
        ("MPP DROP x", "\"DROP\" is no MPP command; SHOW ALL, INITIALIZE and SET are"),
        ("MPP SHOW", "MPP SHOW ALL"),
        ("MPP SHOW NODES", "\"NODES\" cannot be shown"),
        ("MPP SHOW ALL NODES", "\"NODES\" is too much"),
        ("MPP SET", "the node is missing"),
        ("MPP SET db1", "the element is missing"),
        ("MPP SET db1 STATE", "the value of \"STATE\" is missing"),
        ("MPP SET db1 STATE BAD", "\"BAD\" is no STATE: give UNKNOWN, STANDBY, ACTIVE"),
        ("MPP SET db1 STATUS 7", "\"7\" is no STATUS"),
        ("MPP SET db1 WEIGHT -1", "\"-1\" is no WEIGHT: give a number from 0 to 1000"),
        ("MPP SET db1 WEIGHT 1001", "from 0 to 1000"),
        ("MPP SET db1 WEIGHT 99999999999999999999", "from 0 to 1000"),
        ("MPP SET db1 WEIGHT +1", "from 0 to 1000"),
        ("MPP SET db1 COLOUR red", "\"COLOUR\" is no element; TYPE, STATE, STATUS and WEIGHT are"),
        ("MPP SET db1 STATE ACTIVE now", "\"now\" is too much"),
        ("MPP SET db1:0 STATE ACTIVE", "db1:0"),
        ("MPP SET 1.2.3 STATE ACTIVE", "1.2.3"),
        ("MPP INITIALIZE", "the node is missing: MPP INITIALIZE node TYPE"),
        ("MPP INITIALIZE db1 STATE ACTIVE", "initialized by its TYPE, not by its STATE"),
        ("MPP INITIALIZE db1 TYPE TERTIARY", "give PRIMARY, SECONDARY"),
    ] {
        let problem = Command::parse(text).expect_err(text);
        assert!(problem.contains(part), "{text:?}: {problem}");
    }
    let long = format!("MPP SET {} STATE ACTIVE", "a".repeat(2000));
    assert!(Command::parse(&long).expect_err("long").contains("1024 are allowed"));
}

#[test]
fn the_originals_words_are_read() {
    let set = |element| Command::Set { node: Address::parse("db1").expect("a name"), element };
    for (text, element) in [
        ("mpp set DB1 state fail_online", Element::State(State::FailedOnline)),
        ("MPP SET db1:3306 STATE FAIL_OFFLINE", Element::State(State::FailedOffline)),
        ("MPP SET db1. STATUS WARN", Element::Status(Status::OkWarn)),
        ("MPP SET db1 STATUS critical", Element::Status(Status::OkCritical)),
    ] {
        assert_eq!(Command::parse(text), Ok(set(element)), "{text}");
    }
    // MySQL Proxy names a unix socket by its path alone.
    let socket = Command::parse("MPP SET /run/db.sock TYPE primary").expect("a socket");
    assert_eq!(socket.to_string(), "MPP SET unix:/run/db.sock TYPE PRIMARY");
}

fn reply(columns: &[&str], rows: &[&[&str]]) -> Reply {
    let owned = |words: &[&str]| words.iter().map(|word| word.to_string()).collect();
    Reply { columns: owned(columns), rows: rows.iter().map(|row| owned(row)).collect(), error: None }
}

#[test]
fn answers_of_both_dialects() {
    assert_eq!(Reply::default().outcome(), Outcome::Done, "a plain OK");
    assert_eq!(reply(&["SET a TYPE PRIMARY"], &[&["SUCCESS"]]).outcome(), Outcome::Done);
    // The column of a success is the command, which may hold a node of any name.
    assert_eq!(reply(&["SET errors.db STATE ACTIVE"], &[&["SUCCESS"]]).outcome(), Outcome::Done);
    let refused = |reply: Reply, word: &str| match reply.outcome() {
        Outcome::Refused(text) => assert!(text.contains(word), "{text}"),
        other => panic!("{other:?}"),
    };
    refused(reply(&["ERROR - SET a STATE B"], &[&["ERROR: STATE of B not valid."]]), "not valid");
    refused(reply(&["ERROR - SET a B C"], &[&["Unrecognized element B"]]), "Unrecognized");
    refused(reply(&["ERROR - x"], &[]), "ERROR - x");
    refused(Reply { error: Some("error 1064 (42000): no".into()), ..Reply::default() }, "1064");
    for reply in [
        reply(&["ERROR - SET a STATE ACTIVE"], &[&["Cannot set elements of an uninitialized node a."]]),
        Reply { error: Some("error 1105: node a is Uninitialized".into()), ..Reply::default() },
    ] {
        assert!(matches!(reply.outcome(), Outcome::Uninitialized(_)), "{reply:?}");
    }
}

#[test]
fn the_table_of_a_proxy() {
    let columns = ["value", "ELEMENT", "group", "nodename"];
    let rows: [&[&str]; 7] = [
        &["PRIMARY", "type", "mpp", "DB1:3306"],
        &["FAIL_ONLINE", "STATE", "MPP", "db1"],
        &["UNKNOWN", "status", "mpp", "db1"],
        &["7", "weight", "mpp", "db1"],
        &["BACKEND_STATE_UP", "state", "proxy", "db2"],
        &["uninitialized", "type", "mpp", "db2"],
        &["ACTIVE", "state", "mpp", "no address"],
    ];
    let rows = reply(&columns, &rows).shown().expect("a table");
    let nodes = held(&rows);
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["db1:3306", "db2:3306", "no address"]);
    let one = nodes["db1:3306"];
    assert_eq!((one.node_type, one.state), (Some(NodeType::Primary), Some(State::FailedOnline)));
    assert_eq!((one.status, one.weight), (None, Some(7)), "the original's UNKNOWN status says nothing");
    assert!(!nodes["db2:3306"].is_initialized(), "what the proxy says is not what MPP says");
    let lacking = reply(&["a", "b"], &[]).shown().expect_err("no such columns");
    assert!(lacking.contains("no column nodename; it has a, b"), "{lacking}");
    let error = Reply { error: Some("error 1064 (42000): syntax".into()), ..Reply::default() };
    assert!(error.shown().expect_err("an error").contains("does not answer MPP SHOW ALL: error 1064"));
}

#[test]
fn addresses_of_proxies_and_words_for_nodes() {
    for (text, address) in [
        ("10.0.0.1", "10.0.0.1:4041"),
        ("10.0.0.1:3306", "10.0.0.1:3306"),
        ("Proxy.Example", "proxy.example:4041"),
        ("[2001:db8::1]", "[2001:db8::1]:4041"),
        ("[2001:db8::1]:9", "[2001:db8::1]:9"),
        ("unix:/run/proxy", "unix:/run/proxy"),
    ] {
        assert_eq!(proxy_address(text).expect(text).to_string(), address);
    }
    assert!(proxy_address("2001:db8::1").is_err());
    let spaced = Address::parse("unix:/run/my db").expect("a path");
    assert_eq!(node_word(&spaced), None);
}
