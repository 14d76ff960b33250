use super::checksum::crc64;
use super::{Cache, StoredNode, StoredPool, decode, encode};
use crate::ErrorCode;
use crate::pool::{Freeze, MaintenanceRole, NodeOverride, NodeType, Override, PoolStatus, State, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn sample() -> Cache {
    Cache {
        sequence: 42,
        written_ms: 1_763_724_297_123,
        pools: vec![
            StoredPool {
                name: "main".into(),
                epoch: u64::MAX,
                epoch_reserved: u64::MAX - 1,
                status: PoolStatus::Ok,
                frozen: Some(Freeze {
                    reason: "new \"switch\"".into(),
                    since_ms: 1_763_720_000_000,
                    until_ms: Some(1_763_723_600_000),
                }),
                failback_waits: true,
                removed: vec!["10.0.1.13:3306".into(), "unix:/run/a \"b\".sock".into()],
                nodes: vec![
                    StoredNode {
                        name: "10.0.1.11:3306".into(),
                        node_type: NodeType::Primary,
                        state: State::FailedOffline,
                        status: Status::Fail,
                        count: Some(u32::MAX),
                        waits_for_recover: true,
                        owed: false,
                        intent: false,
                        rule: 12,
                        observed_ms: 1_763_724_297_001,
                        changed_ms: u64::MAX,
                        message:
                            "Can't connect:\n\t\"[node \\x\"] 接続 é  # not a comment\r\u{1b}[31m\u{202e}"
                                .into(),
                        override_: None,
                    },
                    StoredNode {
                        name: "[2001:db8::12]:3306".into(),
                        node_type: NodeType::Secondary,
                        state: State::Active,
                        status: Status::Ok,
                        count: None,
                        waits_for_recover: false,
                        owed: true,
                        intent: false,
                        rule: 0,
                        observed_ms: 0,
                        changed_ms: 0,
                        message: String::new(),
                        override_: Some(NodeOverride {
                            reason: "no room".into(),
                            since_ms: 7,
                            until_ms: None,
                            maintenance: None,
                            set: Override {
                                state: Some(State::Active),
                                status: Some(Status::OkInfo),
                                node_type: Some(NodeType::Primary),
                                weight: Some(0),
                            },
                        }),
                    },
                ],
            },
            StoredPool {
                name: String::new(),
                epoch: 0,
                epoch_reserved: 0,
                status: PoolStatus::Fail,
                frozen: None,
                failback_waits: false,
                removed: vec![],
                nodes: vec![],
            },
        ],
    }
}

/// The text of the error that the bytes must give.
fn refusal(bytes: &[u8]) -> String {
    match decode(bytes, "/var/lib/primacy/cache") {
        Ok(cache) => panic!("taken as {cache:?}: {}", String::from_utf8_lossy(bytes)),
        Err(e) => {
            assert_eq!(e.code(), ErrorCode::Cache, "{e}");
            assert!(e.message().starts_with("/var/lib/primacy/cache: byte "), "{e}");
            assert!(e.message().ends_with("move the file aside and run `primacy init`"), "{e}");
            e.message().to_owned()
        }
    }
}

/// Closes a body with its right checksum.
fn sealed(body: &str) -> Vec<u8> {
    format!("{body}checksum = crc64 {:016x}\n", crc64(body.as_bytes())).into_bytes()
}

#[test]
fn the_text_is_as_documented() {
    let mut cache = sample();
    cache.pools.truncate(1);
    cache.pools[0].epoch = 7;
    cache.pools[0].epoch_reserved = 1007;
    let text = encode(&cache);
    let (body, last) = text.split_at(text.rfind("checksum").unwrap());
    assert_eq!(
        body,
        r#"primacy-cache 1
# Written by Primacy. Do not edit: the last line is a checksum over all bytes before it.
sequence = 42
written_ms = 1763724297123  # 2025-11-21T11:24:57.123Z

[pool "main"]
epoch = 7
epoch_reserved = 1007
status = OK
frozen = "new \"switch\""
frozen_since_ms = 1763720000000  # 2025-11-21T10:13:20.000Z
frozen_until_ms = 1763723600000  # 2025-11-21T11:13:20.000Z
failback_waits = yes
removed = "10.0.1.13:3306"
removed = "unix:/run/a \"b\".sock"

[node "10.0.1.11:3306"]
type = PRIMARY
state = FAILED_OFFLINE
status = FAIL
count = 4294967295
waits_for_recover = yes
owed = no
rule = 12
observed_ms = 1763724297001  # 2025-11-21T11:24:57.001Z
changed_ms = 18446744073709551615
message = "Can't connect:\n\t\"[node \\x\"] 接続 é  # not a comment\r\u{1b}[31m\u{202e}"

[node "[2001:db8::12]:3306"]
type = SECONDARY
state = ACTIVE
status = OK
count = none
waits_for_recover = no
owed = yes
rule = 0
observed_ms = 0
changed_ms = 0
message = ""
override = "no room"
override_since_ms = 7  # 1970-01-01T00:00:00.007Z
set_state = ACTIVE
set_status = OK_INFO
set_type = PRIMARY
set_weight = 0
"#
    );
    assert_eq!(last, format!("checksum = crc64 {:016x}\n", crc64(body.as_bytes())));
    assert_eq!(decode(text.as_bytes(), "x").unwrap(), cache);
}

#[test]
fn the_sample_survives() {
    assert_eq!(decode(encode(&sample()).as_bytes(), "x").unwrap(), sample());
    assert_eq!(decode(encode(&Cache::default()).as_bytes(), "x").unwrap(), Cache::default());
}

#[test]
fn every_truncation_is_refused() {
    let text = encode(&sample());
    for end in 0..text.len() {
        refusal(&text.as_bytes()[..end]);
    }
    assert!(refusal(b"").contains("byte 0: the file is empty"));
    assert!(refusal(b"primacy-").contains("byte 8: the file is cut off in its first line"));
    assert!(refusal(b"primacy-cache 1\nsequ").contains("byte 20: the file is cut off here"));
    assert!(
        refusal(b"primacy-cache 1\nsequence = 1\n")
            .contains("byte 29: the file ends here without its checksum")
    );
}

#[test]
fn every_flipped_bit_is_refused() {
    let bytes = encode(&sample()).into_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        refusal(&bad);
    }
}

/// Blocks of an older file in a newer one, and blocks of zeros: what a lost write leaves.
#[test]
fn torn_blocks_are_refused() {
    let old = encode(&sample()).into_bytes();
    let mut later = sample();
    later.sequence += 1;
    later.pools[0].nodes[0].status = Status::Ok;
    let new = encode(&later).into_bytes();
    for block in [16, 64, 512] {
        for start in (0..new.len()).step_by(block) {
            let end = (start + block).min(new.len());
            let mut zeros = new.clone();
            zeros[start..end].fill(0);
            refusal(&zeros);
            let mut mixed = new.clone();
            mixed.truncate(start);
            mixed.extend_from_slice(old.get(start..).unwrap_or_default());
            if mixed != old && mixed != new {
                refusal(&mixed);
            }
        }
    }
    let appended = [new.as_slice(), b"\n"].concat();
    refusal(&appended);
    refusal(&[new.as_slice(), old.as_slice()].concat());
}

#[test]
fn foreign_and_future_files_are_named() {
    assert!(refusal(b"[mysqld]\nport = 3306\n").contains("byte 0: this is no cache of Primacy"));
    assert!(refusal(b"primacy = true\n").contains("byte 7: this is no cache of Primacy"));
    let future = refusal(b"primacy-cache 2\nanything at all");
    assert!(future.contains("byte 14: the file has version 2 and this program reads version 1"), "{future}");
    for version in ["", "x", "+1", "1 ", "01x", "99999999999", &"1".repeat(100)] {
        assert!(
            refusal(format!("primacy-cache {version}\n").as_bytes()).contains("names no version"),
            "{version:?}"
        );
    }
}

#[test]
fn damage_is_located() {
    let text = encode(&sample());
    let at = text.find("FAILED_OFFLINE").unwrap();
    let said = refusal(text.replacen("FAILED_OFFLINE", "FAILED_OFFLIME", 1).as_bytes());
    assert!(said.contains(&format!("byte {at}: the file is damaged")), "{said}");
    let said = refusal(text.replacen("rule = 12", "rule = 13", 1).as_bytes());
    assert!(
        said.contains(&format!("byte {}: the file is damaged or edited", text.rfind("checksum").unwrap())),
        "{said}"
    );
    let mut bytes = text.clone().into_bytes();
    bytes[at] = 0xff;
    assert!(refusal(&bytes).contains(&format!("byte {at}: ")));
}

/// Nonsense under a right checksum: a defect of another writer, found all the same.
#[test]
fn wrong_text_with_a_right_checksum_is_refused() {
    let text = encode(&sample());
    let body = &text[..text.rfind("checksum").unwrap()];
    assert!(decode(&sealed(body), "x").is_ok());
    for (from, to, what) in [
        ("sequence = 42", "sequence = +42", "sequence is not a number"),
        ("sequence = 42", "sequence = 18446744073709551616", "sequence is not a number"),
        ("sequence = 42", "sequence =42", "expected sequence = "),
        ("sequence = 42\n", "", "expected sequence = "),
        ("[pool \"main\"]\n", "", "expected [pool"),
        ("[pool \"main\"]", "[pool main]", "expected a text in double quotes"),
        ("[pool \"main\"]", "[pool \"]", "expected a text in double quotes"),
        ("epoch = ", "epoch = -", "epoch is not a number"),
        ("status = OK\n", "status = ok\n", "status is not OK or FAIL"),
        ("type = PRIMARY", "type = TERTIARY", "type is not a node's type"),
        ("count = 4294967295", "count = 4294967296", "count is not a number below 2^32"),
        ("count = none", "count = ", "count is not a number"),
        ("owed = yes", "owed = true", "owed is not yes or no"),
        ("waits_for_recover = yes", "waits_for_recover = 1", "waits_for_recover is not yes or no"),
        ("owed = no", "owed = maybe", "owed is not yes or no"),
        ("rule = 12", "rule = 65536", "rule is not a rule's number"),
        ("message = \"\"", "message = \"a\"b\"", "a double quote inside a text"),
        ("message = \"\"", "message = \"\\x\"", "unknown escape"),
        ("message = \"\"", "message = \"\\\"", "unknown escape"),
        ("message = \"\"", "message = \"\\u{d800}\"", "\\u needs the number of a character"),
        ("message = \"\"", "message = \"\\u{}\"", "\\u needs the number of a character"),
        ("message = \"\"", "message = \"\\u{+41}\"", "\\u needs the number of a character"),
        ("message = \"\"", "message = \"\"\nextra = 1", "expected [pool"),
        ("message = \"\"\n", "", "expected message = "),
    ] {
        let bad = body.replacen(from, to, 1);
        assert_ne!(bad, body, "{from:?} is not in the sample");
        let said = refusal(&sealed(&bad));
        assert!(said.contains(what), "{to:?}: {said}");
    }
    let early =
        refusal(&sealed("primacy-cache 1\nsequence = 1\nwritten_ms = 1\n[node \"a\"]\ntype = PRIMARY\n"));
    assert!(early.contains("expected state = …, and the file ends"), "{early}");
    let orphan = body.replacen("\n[pool \"main\"]", "", 1);
    assert!(refusal(&sealed(&orphan)).contains("expected [pool"));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\\\\\"\n\r\t \\[\\]#=u{}a-f0-9\u{0}-\u{1f}é\u{2028}]{0,20}"]
}

fn node_override() -> impl Strategy<Value = NodeOverride> {
    let set = (
        option::of(select(State::ALL)),
        option::of(select(Status::ALL)),
        option::of(select(NodeType::ALL)),
        option::of(any::<u32>()),
    );
    (text(), any::<u64>(), option::of(any::<u64>()), option::of(select(MaintenanceRole::ALL)), set).prop_map(
        |(reason, since_ms, until_ms, maintenance, (state, status, node_type, weight))| NodeOverride {
            reason,
            since_ms,
            until_ms,
            maintenance,
            set: Override { state, status, node_type, weight },
        },
    )
}

fn freeze() -> impl Strategy<Value = Freeze> {
    (text(), any::<u64>(), option::of(any::<u64>())).prop_map(|(reason, since_ms, until_ms)| Freeze {
        reason,
        since_ms,
        until_ms,
    })
}

fn node() -> impl Strategy<Value = StoredNode> {
    (
        (text(), select(NodeType::ALL), select(State::ALL), select(Status::ALL), option::of(any::<u32>())),
        (any::<(bool, bool, bool)>(), any::<u16>(), any::<u64>(), any::<u64>(), text()),
        option::of(node_override()),
    )
        .prop_map(
            |(
                (name, node_type, state, status, count),
                ((waits, owed, intent), rule, observed_ms, changed_ms, message),
                override_,
            )| {
                StoredNode {
                    name,
                    node_type,
                    state,
                    status,
                    count,
                    waits_for_recover: waits,
                    owed,
                    intent,
                    rule,
                    observed_ms,
                    changed_ms,
                    message,
                    override_,
                }
            },
        )
}

fn cache() -> impl Strategy<Value = Cache> {
    let orders = (option::of(freeze()), any::<bool>());
    let numbers = (any::<u64>(), any::<u64>());
    let pool = (text(), numbers, select(PoolStatus::ALL), orders, vec(text(), 0..3), vec(node(), 0..4))
        .prop_map(|(name, (epoch, epoch_reserved), status, (frozen, failback_waits), removed, nodes)| {
            StoredPool { name, epoch, epoch_reserved, status, frozen, failback_waits, removed, nodes }
        });
    (any::<u64>(), any::<u64>(), vec(pool, 0..4)).prop_map(|(sequence, written_ms, pools)| Cache {
        sequence,
        written_ms,
        pools,
    })
}

proptest! {
    #[test]
    fn what_was_encoded_comes_back(cache in cache()) {
        let text = encode(&cache);
        prop_assert_eq!(decode(text.as_bytes(), "x").unwrap(), cache);
        prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(&bytes, "x").is_err());
    }

    #[test]
    fn random_text_under_a_right_checksum_never_panics(cache in cache(), at in any::<prop::sample::Index>(), noise in text()) {
        let text = encode(&cache);
        let mut body = text[..text.rfind("checksum").unwrap()].to_owned();
        let mut at = at.index(body.len());
        while !body.is_char_boundary(at) { at -= 1; }
        body.insert_str(at, &noise);
        // May be taken (noise in a message), must not panic.
        let _ = decode(&sealed(&body), "x");
    }
}
