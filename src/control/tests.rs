//! Every document reads back; nothing that comes in from outside panics.

use super::*;
use crate::engine::{CheckpointSnapshot, NodeSnapshot, PoolSnapshot, Snapshot};
use crate::error::{Error, ErrorCode};
use crate::pool::{NodeType, PolicyName, PoolKind, PoolStatus, State, Status};
use crate::probe::{Cause, Channel, CheckpointKind, Facts, Flavour, ServerVersion, ThreadState};
use core::time::Duration;
use proptest::prelude::*;
use serde_json::{Value, json};

fn ask() -> impl Strategy<Value = Ask> {
    let name = || "[a-z0-9.\\[\\]:\"\\\\é-]{1,40}";
    let change = prop_oneof![
        (name(), name()).prop_map(|(pool, node)| Change::Recover { pool, node }),
        name().prop_map(|pool| Change::RecoverPool { pool }),
        name().prop_map(|pool| Change::ActivatePrimary { pool }),
        (name(), name()).prop_map(|(pool, node)| Change::Remove { pool, node }),
    ];
    prop_oneof![
        prop::option::of(name()).prop_map(|pool| Ask::Snapshot { pool }),
        name().prop_map(|pool| Ask::Explain { pool }),
        name().prop_map(|pool| Ask::Budget { pool }),
        any::<u64>().prop_map(|after| Ask::Events { after }),
        (change, any::<bool>()).prop_map(|(change, wait)| Ask::Change { change, wait }),
    ]
}

fn seen() -> Seen {
    let channel = Channel {
        name: "east".into(),
        source: "db2:3306".into(),
        io: ThreadState::Running,
        sql: ThreadState::from_number(0).expect("a state"),
        io_errno: 2003,
        sql_errno: 1062,
        error: "duplicate \"entry\"\n".into(),
        lag: Some(Duration::from_millis(2500)),
        applied_all: Some(false),
        received: None,
    };
    let facts = Facts {
        flavour: Some(Flavour::MariaDb),
        version: Some(ServerVersion(10, 11, 6)),
        server_id: Some(u32::MAX),
        server_uuid: Some("a-b".into()),
        read_only: Some(true),
        super_read_only: Some(false),
        gtids: None,
        channels: Some(vec![channel]),
        threads_connected: Some(7),
        max_connections: Some(151),
        round_trip: Some(Duration::from_micros(420)),
    };
    let node = |name: &str, facts: Facts| NodeSnapshot {
        name: name.into(),
        node_type: NodeType::Primary,
        state: State::Active,
        status: Status::OkWarn,
        count: Some(3),
        cause: Some(Cause::Reset),
        errno: 104,
        message: "ü".into(),
        rule: 207,
        waits_for_recover: true,
        observed_ms: 1,
        changed_ms: u64::MAX,
        weight: 2,
        site: "ams".into(),
        facts,
        checkpoints: vec![
            CheckpointSnapshot {
                kind: CheckpointKind::Edge,
                target: "simple:[2001:db8::1]".into(),
                answers: Some(false),
                cause: Some(Cause::NoAck),
                message: "ü".into(),
                observed_ms: 7,
            },
            CheckpointSnapshot {
                kind: CheckpointKind::External,
                target: "http:h:80".into(),
                answers: None,
                cause: None,
                message: String::new(),
                observed_ms: 0,
            },
        ],
        override_: None,
    };
    let unseen =
        NodeSnapshot { count: None, cause: None, checkpoints: vec![], ..node("b:3306", Facts::default()) };
    let pool = PoolSnapshot {
        name: "orders".into(),
        kind: PoolKind::Ring,
        policy: PolicyName::Safe,
        status: PoolStatus::Fail,
        epoch: u64::MAX,
        active: Some(1),
        paused: true,
        frozen: None,
        nodes: vec![node("a:3306", facts), unseen],
    };
    Seen { snapshot: Snapshot { wall_ms: 9, pools: vec![pool] }, fingerprint: u64::MAX - 1, pid: 42 }
}

#[test]
fn a_snapshot_reads_back_and_each_missing_key_is_named() {
    let seen = seen();
    let body = seen.encode();
    assert_eq!(Seen::decode(&body), Ok(seen));
    // Every key of every object, taken out or given a wrong type: an error that names it, or a fact that is unknown.
    let mut tried = 0;
    for path in
        ["", "/pools/0", "/pools/0/nodes/0", "/pools/0/nodes/0/facts", "/pools/0/nodes/0/facts/channels/0"]
    {
        let keys: Vec<String> =
            body.pointer(path).and_then(Value::as_object).expect(path).keys().cloned().collect();
        for key in keys {
            for wrong in [None, Some(json!({"a": 1})), Some(json!(-1)), Some(json!("x"))] {
                let mut broken = body.clone();
                let object = broken.pointer_mut(path).and_then(Value::as_object_mut).expect(path);
                match wrong {
                    None => object.remove(&key),
                    Some(value) => object.insert(key.clone(), value),
                };
                if let Err(error) = Seen::decode(&broken) {
                    assert!(error.message().contains(&format!("\"{key}\"")), "{path}/{key}: {error}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 100, "{tried}");
    let mut broken = body;
    broken["pools"][0]["active"] = json!(2);
    assert!(Seen::decode(&broken).is_err(), "an index that is no node's");
}

#[test]
fn wrong_requests_are_told_what_is_wrong() {
    let id = "00112233445566778899aabbccddeeff";
    let told = |text: &str| Request::decode(text.as_bytes()).expect_err(text);
    for (text, code, part) in [
        ("", ErrorCode::Invalid, "no request"),
        ("[]", ErrorCode::Invalid, "no request"),
        ("{}", ErrorCode::Invalid, "\"version\""),
        (&format!("{{\"version\":2,\"id\":\"{id}\"}}"), ErrorCode::Unsupported, "version 1"),
        ("{\"version\":1}", ErrorCode::Invalid, "\"id\""),
        ("{\"version\":1,\"id\":\"+0112233445566778899aabbccddeeff\"}", ErrorCode::Invalid, "\"id\""),
        (&format!("{{\"version\":1,\"id\":\"{id}\"}}"), ErrorCode::Invalid, "\"command\""),
        (
            &format!("{{\"version\":1,\"id\":\"{id}\",\"command\":\"drop\"}}"),
            ErrorCode::Unsupported,
            "\"drop\"",
        ),
        (
            &format!("{{\"version\":1,\"id\":\"{id}\",\"command\":\"explain\"}}"),
            ErrorCode::Invalid,
            "\"pool\"",
        ),
        (
            &format!("{{\"version\":1,\"id\":\"{id}\",\"command\":\"recover\",\"pool\":\"p\",\"node\":7}}"),
            ErrorCode::Invalid,
            "\"node\"",
        ),
        (
            &format!(
                "{{\"version\":1,\"id\":\"{id}\",\"command\":\"recover_pool\",\"pool\":\"p\",\"wait\":1}}"
            ),
            ErrorCode::Invalid,
            "\"wait\"",
        ),
    ] {
        let (told_id, error) = told(text);
        assert_eq!(error.code(), code, "{text}: {error}");
        assert!(error.message().contains(part), "{text}: {error}");
        assert_eq!(told_id.is_some(), text.contains(id), "{text}");
    }
    let long = "x".repeat(513);
    let (_, error) =
        told(&format!("{{\"version\":1,\"id\":\"{id}\",\"command\":\"explain\",\"pool\":\"{long}\"}}"));
    assert!(!error.message().contains(&long), "{error}");
    // Deep nesting is refused by the parser, not by the stack.
    told(&"[".repeat(LARGEST_REQUEST));
    told(&"{\"a\":".repeat(LARGEST_REQUEST / 5));
}

#[test]
fn an_error_of_a_later_release_keeps_its_name() {
    let text = r#"{"version":1,"id":null,"error":{"code":-9999,"name":"PRIMACY_E_NEW","text":"words"}}"#;
    let error = Answer::decode(text.as_bytes()).expect("an answer").outcome.expect_err("an error");
    assert_eq!((error.code(), error.message()), (ErrorCode::Unsupported, "PRIMACY_E_NEW: words"));
    for text in
        ["", "7", "{}", r#"{"version":1}"#, r#"{"version":1,"ok":{},"error":{}}"#, r#"{"version":9,"ok":{}}"#]
    {
        Answer::decode(text.as_bytes()).expect_err(text);
    }
}

#[test]
fn the_memory_is_bounded_and_knows_a_stolen_id() {
    let change = |n: u32| Change::RecoverPool { pool: n.to_string() };
    let id = |n: u32| Id(u128::from(n).to_be_bytes());
    let mut memory = Memory::default();
    for n in 0..300 {
        memory.keep(id(n), change(n), n);
    }
    assert_eq!(memory.recall(id(299), &change(299)), Ok(Some(299)));
    assert_eq!(memory.recall(id(44), &change(44)), Ok(Some(44)));
    assert_eq!(memory.recall(id(43), &change(43)), Ok(None), "the oldest fell out");
    assert_eq!(memory.recall(id(299), &change(1)).expect_err("stolen").code(), ErrorCode::Invalid);
}

proptest! {
    #[test]
    fn requests_read_back(id in any::<[u8; 16]>(), ask in ask()) {
        let request = Request { id: Id(id), ask };
        prop_assert_eq!(Request::decode(request.encode().as_bytes()), Ok(request));
    }

    #[test]
    fn answers_read_back(id in prop::option::of(any::<[u8; 16]>()), text in "\\PC{0,80}", rule in any::<u16>(), code in prop::sample::select(ErrorCode::ALL.to_vec()), good in any::<bool>()) {
        let outcome = match good {
            true => Ok(Done { message: text.clone(), rule, body: json!([rule, text]) }),
            false => Err(Error::new(code, text)),
        };
        let answer = Answer { id: id.map(Id), outcome };
        prop_assert_eq!(Answer::decode(answer.encode().as_bytes()), Ok(answer));
    }

    #[test]
    fn frames_come_whole_however_they_are_cut(documents in prop::collection::vec("\\PC{0,60}", 0..6), cuts in prop::collection::vec(1usize..9, 1..200)) {
        let stream: Vec<u8> = documents.iter().flat_map(|d| frame(d, 400).expect("short")).collect();
        let mut reader = FrameReader::new(400);
        let (mut rest, mut out) = (stream.as_slice(), Vec::new());
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*cuts.next().expect("a cycle")).min(rest.len()));
            rest = later;
            let mut next = reader.take(now).expect("within the limit");
            while let Some(document) = next {
                out.push(String::from_utf8(document).expect("as it went in"));
                next = reader.take(&[]).expect("within the limit");
            }
        }
        prop_assert!(reader.is_empty());
        prop_assert_eq!(out, documents);
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_comes(length in 401u32.., limit in 0usize..=400) {
        let mut reader = FrameReader::new(limit);
        prop_assert!(reader.take(&length.to_be_bytes()).is_err());
        prop_assert!(frame(&"x".repeat(limit + 1), limit).is_err());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[{}\\[\\]\":,a-z0-9-]{0,200}") {
        for bytes in [&bytes, text.as_bytes()] {
            let _ = Request::decode(bytes);
            let _ = Answer::decode(bytes);
            let _ = FrameReader::new(100).take(bytes);
            if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
                let _ = Seen::decode(&value);
            }
        }
    }

    #[test]
    fn a_changed_byte_never_panics(ask in ask(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = Request { id: Id([7; 16]), ask }.encode().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Request::decode(&bytes);
    }
}

#[test]
fn events_read_back() {
    use crate::engine::{Event, EventKind, Severity, Time};
    let events: Vec<Event> = EventKind::ALL
        .iter()
        .map(|&kind| Event {
            kind,
            severity: Severity::Alarm,
            sequence: u64::MAX,
            mono: Time(7),
            wall_ms: 1_700_000_000_000,
            pool: "p\"".into(),
            node: "[::1]:3306".into(),
            epoch: 9,
            rule: 245,
            old_state: State::Active,
            new_state: State::FailedOffline,
            old_status: Status::OkCritical,
            new_status: Status::Fail,
            cause: Cause::NoAck,
            message: "no\nreply \u{1b}[2J".into(),
            count: 3,
        })
        .collect();
    let told = Told { events, next: 77, lost: 5 };
    let mut body = told.encode();
    assert_eq!(Told::decode(&body).expect("it reads back"), told);
    // What a later version may tell is at least shown.
    body["events"][0]["kind"] = json!("eclipse");
    assert_eq!(Told::decode(&body).expect("it reads").events[0].kind, EventKind::Log);
    for key in ["events", "next", "lost"] {
        let mut less = body.clone();
        less.as_object_mut().expect("an object").remove(key);
        let error = Told::decode(&less).expect_err(key);
        assert!(error.code() == ErrorCode::Unsupported && error.message().contains(key), "{error}");
    }
    let request = |after: Value| {
        let document = json!({"version": 1, "id": "0".repeat(32), "command": "events", "after": after});
        Request::decode(document.to_string().as_bytes())
    };
    assert_eq!(request(Value::Null).expect("none").ask, Ask::Events { after: 0 });
    assert!(request(json!(-1)).is_err() && request(json!("1")).is_err());
}
