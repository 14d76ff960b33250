use super::*;
use proptest::prelude::*;

#[test]
fn every_spelling_gives_the_canonical_one() {
    for (text, canonical) in [
        ("10.0.1.11:3306", "10.0.1.11:3306"),
        ("10.0.1.11", "10.0.1.11:3306"),
        ("10.0.1.11:3307", "10.0.1.11:3307"),
        ("10.0.1.11:03306", "10.0.1.11:3306"),
        ("127.0.0.1:65535", "127.0.0.1:65535"),
        ("[2001:db8::11]:3306", "[2001:db8::11]:3306"),
        ("[2001:DB8:0:0:0:0:0:11]", "[2001:db8::11]:3306"),
        ("[2001:0db8:0000::0011]:1", "[2001:db8::11]:1"),
        // RFC 5952, section 4.2.2 and 4.2.3: one group is not compressed; of two equal runs the first is.
        ("[2001:db8:0:1:1:1:1:1]", "[2001:db8:0:1:1:1:1:1]:3306"),
        ("[2001:db8:0:0:1:0:0:1]", "[2001:db8::1:0:0:1]:3306"),
        ("[::1]", "[::1]:3306"),
        ("[::ffff:10.0.1.11]:3306", "10.0.1.11:3306"),
        ("[::FFFF:0a00:10b]", "10.0.1.11:3306"),
        ("[64:ff9b::10.0.1.11]", "[64:ff9b::a00:10b]:3306"),
        ("db1", "db1:3306"),
        ("DB1.Example:3306", "db1.example:3306"),
        ("db1.example.", "db1.example:3306"),
        ("db1.example.:3307", "db1.example:3307"),
        ("_mysql.my_host", "_mysql.my_host:3306"),
        ("3com.example", "3com.example:3306"),
        ("10.0.1.11.in-addr", "10.0.1.11.in-addr:3306"),
        ("0xy", "0xy:3306"),
        ("unix:/run/mysqld/mysqld.sock", "unix:/run/mysqld/mysqld.sock"),
        ("UNIX:/Run/My SQL:1.sock", "unix:/Run/My SQL:1.sock"),
        ("unix://run/./mysqld//x.sock", "unix:/run/mysqld/x.sock"),
        ("unix:/run/../a.sock", "unix:/run/../a.sock"),
        ("unix:/run/å.sock", "unix:/run/å.sock"),
    ] {
        let address = Address::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(address.to_string(), canonical, "{text}");
        assert_eq!(canonical.parse::<Address>().as_ref(), Ok(&address), "{text}");
    }
}

#[test]
fn errors_say_what_and_where() {
    let label = "a".repeat(64);
    let name = vec!["abcdefgh"; 29].join(".");
    let path = format!("unix:/{}", "a".repeat(107));
    for (text, message) in [
        ("", "the address is empty: write host:port, [IPv6]:port or unix:/path"),
        (":3306", "address \":3306\": the host before the colon is missing"),
        ("db1:", "address \"db1:\": the port after the colon is missing"),
        ("db1:0", "address \"db1:0\": port \"0\" is not a number from 1 to 65535"),
        ("db1:65536", "address \"db1:65536\": port \"65536\" is not a number from 1 to 65535"),
        ("db1:+33", "address \"db1:+33\": port \"+33\" is not a number from 1 to 65535"),
        ("db1:3306x", "address \"db1:3306x\": port \"3306x\" is not a number from 1 to 65535"),
        ("db1 ", "address \"db1 \": character 4 is ' ': white space and control characters are not allowed"),
        (
            "d\u{7}",
            "address \"d\\u{7}\": character 2 is '\\u{7}': white space and control characters are not allowed",
        ),
        (
            "größe.example",
            "address \"größe.example\": character 3 is 'ö': only ASCII is allowed; write an international name in its xn-- form",
        ),
        (
            "root:hunter2@db1",
            "the address holds an @: write the host and port alone, the account belongs to the keys user and password_file",
        ),
        (
            "db1/x",
            "address \"db1/x\": '/' is not allowed in a name: letters, digits, hyphens, underscores and dots are",
        ),
        ("-db", "address \"-db\": the name's part \"-db\" begins or ends with a hyphen"),
        ("a..b", "address \"a..b\": the name has an empty part between its dots"),
        ("a..", "address \"a..\": the name has an empty part between its dots"),
        (".", "address \".\": a dot alone is no name"),
        ("[::1", "address \"[::1\": the bracket that opens an IPv6 address is not closed"),
        ("::1]", "address \"::1]\": a closing bracket without an opening one"),
        ("[::1]3306", "address \"[::1]3306\": after the bracket only a colon and a port may follow"),
        ("[10.0.1.11]", "address \"[10.0.1.11]\": what stands in brackets is not an IPv6 address"),
        (
            "2001:db8::11",
            "address \"2001:db8::11\": an IPv6 address stands in brackets: write [2001:db8::11] or [2001:db8::11]:3306",
        ),
        ("a:b:c", "address \"a:b:c\": more than one colon: write host:port, or an IPv6 address in brackets"),
        (
            "[fe80::1%eth0]:3306",
            "address \"[fe80::1%eth0]:3306\": zone ids (%) are not supported: use a global or unique local IPv6 address, or a name",
        ),
        (
            "fe80::1%eth0",
            "address \"fe80::1%eth0\": zone ids (%) are not supported: use a global or unique local IPv6 address, or a name",
        ),
        (
            "0.0.0.0",
            "address \"0.0.0.0\": 0.0.0.0 is no server's address: write the address that clients connect to",
        ),
        (
            "[::]:1",
            "address \"[::]:1\": :: is no server's address: write the address that clients connect to",
        ),
        ("224.0.0.18", "address \"224.0.0.18\": 224.0.0.18 is a group address, a node is one server"),
        (
            "255.255.255.255",
            "address \"255.255.255.255\": 255.255.255.255 is a group address, a node is one server",
        ),
        ("[ff02::1]", "address \"[ff02::1]\": ff02::1 is a group address, a node is one server"),
        ("unix:", "address \"unix:\": after unix: an absolute path must follow"),
        ("unix", "address \"unix\": a socket is written unix:/path"),
        ("unix:3306", "address \"unix:3306\": after unix: an absolute path must follow"),
        ("unix:@a", "address \"unix:@a\": abstract sockets are not supported: servers listen on a path"),
        ("unix:/run/", "address \"unix:/run/\": the path names a folder, not a socket"),
        ("unix:/", "address \"unix:/\": the path names a folder, not a socket"),
        ("unix:/a\0", "address \"unix:/a\\0\": the socket's path contains '\\0'"),
        (&path, &format!("address \"{path}\": the socket's path has 108 bytes, 107 are allowed")),
        (
            &label,
            &format!("address \"{label}\": the name's part \"{label}\" has 64 characters, 63 are allowed"),
        ),
        (&name, &format!("address \"{}…\": the name has 260 characters, 253 are allowed", &name[..120])),
    ] {
        assert_eq!(Address::parse(text), Err(message.to_string()), "{text:?}");
    }
}

#[test]
fn what_inet_aton_would_take_is_refused() {
    for text in [
        "10.0.1",
        "1.2.3.4.5",
        "167772171",
        "010.0.0.1",
        "256.0.0.1",
        "0x7f.1",
        "0x7f000001",
        "1",
        "10.0.0.0x1",
        "0x",
        "a.1",
        "1.2.3.4.",
        "1.2.3.04",
    ] {
        let error = Address::parse(text).expect_err(text);
        assert!(error.contains("neither an IPv4 address"), "{text}: {error}");
    }
}

fn any_host() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|b| Ipv4Addr::from(b).to_string()),
        any::<[u16; 8]>().prop_map(|g| format!("[{}]", Ipv6Addr::from(g))),
        // Zero-heavy groups, written out in full and in capitals.
        prop::collection::vec(prop_oneof![Just(0u16), any::<u16>()], 8).prop_map(|g| format!(
            "[{}]",
            g.iter().map(|x| format!("{x:04X}")).collect::<Vec<_>>().join(":")
        )),
        "[a-zA-Z_][a-zA-Z0-9_]{0,10}(\\.[a-zA-Z][a-zA-Z0-9]{0,10}){0,4}\\.?",
    ]
}

proptest! {
    #[test]
    fn random_text_never_panics_and_what_parses_is_a_fixed_point(text in "\\PC{0,40}|[\\[\\]0-9a-fx:.%unix/@-]{0,40}") {
        if let Ok(address) = Address::parse(&text) {
            prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
        }
    }

    #[test]
    fn display_round_trips_and_case_is_no_matter(host in any_host(), port in prop::option::of(1u16..)) {
        let text = match port { Some(port) => format!("{host}:{port}"), None => host };
        // Group and unspecified addresses are refused by design.
        if let Ok(address) = Address::parse(&text) {
            prop_assert_eq!(address.port, port.unwrap_or(DEFAULT_PORT));
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address.clone()));
            prop_assert_eq!(Address::parse(&text.to_uppercase()), Ok(address));
        } else {
            prop_assert!(text.starts_with("[FF") || text.starts_with("[ff") || text.starts_with("[0000:0000:0000:0000:0000:0000:0000:0000")
                || text.starts_with("[::]") || text.starts_with("[::ffff:") || text.starts_with(char::is_numeric), "{}", text);
        }
    }
}
