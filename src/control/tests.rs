//! Every document reads back; nothing that comes in from outside panics.

use super::*;
use crate::engine::{CheckpointSnapshot, NodeSnapshot, PoolSnapshot, ReportOutcome, Snapshot};
use crate::error::{Error, ErrorCode};
use crate::gtid::Gtids;
use crate::pool::{
    Freeze, MaintenanceRole, NodeOverride, NodeType, Override, PolicyName, PoolKind, PoolStatus, State,
    Status,
};
use crate::probe::{
    BackendSeen, Cause, Channel, CheckpointKind, Facts, Flavour, Group, GroupKind, GroupMember, PortServer,
    ServerVersion, ThreadState,
};
use core::time::Duration;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One of a word list, or none.
fn maybe<T: Copy + core::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = Option<T>> {
    prop::option::of(prop::sample::select(all))
}

fn set() -> impl Strategy<Value = Override> {
    let weight = prop::option::of(any::<u32>());
    (maybe(State::ALL), maybe(Status::ALL), maybe(NodeType::ALL), weight)
        .prop_map(|(state, status, node_type, weight)| Override { state, status, node_type, weight })
}

fn terms() -> impl Strategy<Value = Terms> {
    let reason = "[a-z\"\\\\é][^\\p{Cc}]{0,60}";
    (reason, prop::option::of(any::<u64>().prop_map(Duration::from_millis)))
        .prop_map(|(reason, limit)| Terms { reason, limit })
}

fn ask() -> impl Strategy<Value = Ask> {
    let name = || "[a-z0-9.\\[\\]:\"\\\\é-]{1,40}";
    let change = prop_oneof![
        (name(), name()).prop_map(|(pool, node)| Change::Recover { pool, node }),
        name().prop_map(|pool| Change::RecoverPool { pool }),
        name().prop_map(|pool| Change::ActivatePrimary { pool }),
        (name(), name()).prop_map(|(pool, node)| Change::Remove { pool, node }),
        (name(), name(), set(), terms()).prop_map(|(pool, node, set, terms)| Change::Override {
            pool,
            node,
            set,
            terms
        }),
        (name(), name()).prop_map(|(pool, node)| Change::ClearOverride { pool, node }),
        (name(), terms()).prop_map(|(pool, terms)| Change::Freeze { pool, terms }),
        name().prop_map(|pool| Change::Unfreeze { pool }),
        (name(), name(), prop::sample::select(MaintenanceRole::ALL), terms())
            .prop_map(|(pool, node, role, terms)| Change::Maintenance { pool, node, role, terms }),
        (name(), name()).prop_map(|(vip, host)| Change::VipMove { vip, host }),
        name().prop_map(|vip| Change::VipClear { vip }),
        (name(), any::<bool>()).prop_map(|(host, standby)| Change::VipStandby { host, standby }),
    ];
    prop_oneof![
        prop::option::of(name()).prop_map(|pool| Ask::Snapshot { pool }),
        name().prop_map(|pool| Ask::Explain { pool }),
        Just(Ask::Metrics),
        Just(Ask::Vip),
        name().prop_map(|pool| Ask::Budget { pool }),
        (name(), 1_u32..=MOST_CLIENTS, prop::option::of(name()), prop::option::of(name()))
            .prop_map(|(service, count, min_gtid, site)| Ask::Route { service, count, min_gtid, site }),
        (name(), name(), prop::sample::select(ReportOutcome::ALL)).prop_map(|(pool, node, outcome)| {
            let service = node.len().is_multiple_of(2).then(|| "ro".to_owned());
            Ask::Report { pool, node, service, outcome }
        }),
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
    let group = Group {
        kind: GroupKind::Galera,
        id: "5f".into(),
        view: u64::MAX,
        state: "Synced".into(),
        majority: true,
        size: 3,
        ready: false,
        members: vec![GroupMember {
            id: "6a".into(),
            address: "[::1]:3306".into(),
            state: "ONLINE".into(),
            primary: true,
        }],
    };
    let facts = Facts {
        flavour: Some(Flavour::MariaDb),
        version: Some(ServerVersion(10, 11, 6)),
        server_id: Some(u32::MAX),
        server_uuid: Some("a-b".into()),
        read_only: Some(true),
        super_read_only: Some(false),
        gtids: Gtids::parse_mariadb("0-1-42,7-2-9").ok(),
        channels: Some(vec![channel]),
        group: Some(group),
        threads_connected: Some(7),
        max_connections: Some(151),
        round_trip: Some(Duration::from_micros(420)),
        backend: Some(BackendSeen {
            good: false,
            words: "port 6446: nobody".into(),
            servers: vec![PortServer {
                port: 6447,
                uuid: "a-b".into(),
                host: "db2".into(),
                server_port: 3306,
                read_only: Some(true),
            }],
        }),
    };
    let node = |name: &str, facts: Facts| NodeSnapshot {
        name: name.into(),
        node_type: NodeType::Primary,
        state: State::Active,
        status: Status::OkWarn,
        label: Status::OkCritical,
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
        override_: Some(NodeOverride {
            set: Override {
                state: Some(State::Active),
                status: Some(Status::OkInfo),
                node_type: Some(NodeType::Secondary),
                weight: Some(0),
            },
            maintenance: None,
            reason: "new \"disk\"".into(),
            since_ms: 5,
            until_ms: Some(u64::MAX),
        }),
    };
    let repaired = NodeOverride {
        set: Override::default(),
        maintenance: Some(MaintenanceRole::Stay),
        reason: "memory".into(),
        since_ms: 6,
        until_ms: None,
    };
    let unseen = NodeSnapshot {
        count: None,
        cause: None,
        errno: 0,
        rule: 0,
        observed_ms: 0,
        changed_ms: 0,
        override_: Some(repaired),
        checkpoints: vec![],
        ..node("b:3306", Facts::default())
    };
    let plain = NodeSnapshot { override_: None, ..node("c:3306", Facts::default()) };
    let pool = PoolSnapshot {
        name: "orders".into(),
        kind: PoolKind::Ring,
        policy: PolicyName::Safe,
        status: PoolStatus::Fail,
        epoch: u64::MAX,
        active: Some(1),
        paused: true,
        removed: vec!["d:3306".into(), "e:3306".into()],
        frozen: Some(Freeze { reason: "move".into(), since_ms: 7, until_ms: Some(8) }),
        nodes: vec![node("a:3306", facts), unseen, plain],
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
    for path in [
        "",
        "/pools/0",
        "/pools/0/frozen",
        "/pools/0/nodes/0",
        "/pools/0/nodes/0/override",
        "/pools/0/nodes/1/override",
        "/pools/0/nodes/0/channels/0",
        "/pools/0/nodes/0/checkpoints/0",
        "/pools/0/nodes/0/group",
        "/pools/0/nodes/0/group/members/0",
        "/pools/0/nodes/0/backend",
        "/pools/0/nodes/0/backend/servers/0",
    ] {
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
                    // An object is looked into: one that is wrong is told by the first key that it lacks.
                    let inner = match key.as_str() {
                        "group" => "kind",
                        "backend" => "good",
                        "frozen" | "override" => "reason",
                        key => key,
                    };
                    let named = [key.as_str(), inner];
                    let named = named.iter().any(|key| error.message().contains(&format!("\"{key}\"")));
                    assert!(named, "{path}/{key}: {error}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 100, "{tried}");
    let mut broken = body;
    broken["pools"][0]["active"] = json!("d:3306");
    assert!(Seen::decode(&broken).is_err(), "a name that is no node's");
    broken["pools"][0]["active"] = json!(null);
    assert_eq!(Seen::decode(&broken).map(|s| s.snapshot.pools[0].active), Ok(None));
    broken["version"] = json!(2);
    assert!(Seen::decode(&broken).is_err(), "another version");
}

/// Keys with their paths, as docs/command.md writes them.
fn keys(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys(&path, value, found);
                found.insert(path);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| keys(&format!("{path}[]"), value, found)),
        _ => {}
    }
}

#[test]
fn the_page_lists_the_keys_of_the_document_and_no_other() {
    let part = include_str!("../../docs/command.md").split("<!-- json -->").nth(1).expect("the table");
    let listed = part.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    // Where the state comes from is told by `status` alone; a test of the command holds these.
    let own = |key: &&str| ["source", "cache", "agent"].iter().any(|o| key.split('.').next() == Some(o));
    let listed: BTreeSet<String> = listed.filter(|key| !own(key)).map(str::to_owned).collect();
    let mut found = BTreeSet::new();
    keys("", &Value::Object(document(&seen().snapshot)), &mut found);
    assert_eq!(found, listed);
    // A node of which nothing is known has the same keys.
    let mut unseen = seen();
    unseen.snapshot.pools[0].nodes.remove(0);
    unseen.snapshot.pools[0].active = None;
    let mut of_unseen = BTreeSet::new();
    keys("", &Value::Object(document(&unseen.snapshot)), &mut of_unseen);
    let of_lists = ["channels[]", "group.", "backend."];
    found.retain(|key| !of_lists.iter().any(|list| key.contains(list)));
    assert_eq!(of_unseen, found);
}

#[test]
fn what_could_be_longer_than_all_else_is_left_out() {
    let text: Vec<String> = (1..1000).map(|n| format!("{n}-1-1")).collect();
    let mut seen = seen();
    seen.snapshot.pools[0].nodes[0].facts.gtids = Gtids::parse_mariadb(&text.join(",")).ok();
    assert!(seen.snapshot.pools[0].nodes[0].facts.gtids.is_some());
    let read = Seen::decode(&seen.encode()).expect("a body");
    assert_eq!(read.snapshot.pools[0].nodes[0].facts.gtids, None);
}

#[test]
fn an_instance_of_an_earlier_release_tells_of_no_orders() {
    let mut seen = seen();
    let mut body = seen.encode();
    body["pools"][0].as_object_mut().expect("a pool").remove("frozen");
    seen.snapshot.pools[0].frozen = None;
    for (n, node) in seen.snapshot.pools[0].nodes.iter_mut().enumerate() {
        body["pools"][0]["nodes"][n].as_object_mut().expect("a node").remove("override");
        node.override_ = None;
    }
    assert_eq!(Seen::decode(&body), Ok(seen));
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
        told_of(&told, text, code, part);
        let (told_id, _) = told(text);
        assert_eq!(told_id.is_some(), text.contains(id), "{text}");
    }
    // Orders: what is set, why, how long.
    let long = "x".repeat(1001);
    for (rest, part) in [
        (r#""command":"freeze","pool":"p""#.to_string(), "\"reason\""),
        (r#""command":"freeze","pool":"p","reason":7"#.into(), "\"reason\""),
        (r#""command":"freeze","pool":"p","reason":" ""#.into(), "empty"),
        (r#""command":"freeze","pool":"p","reason":"a\u0000b""#.into(), "control character at byte 1"),
        (r#""command":"freeze","pool":"p","reason":"a\nb""#.into(), "control character at byte 1"),
        (r#""command":"freeze","pool":"p","reason":"ab\u009b""#.into(), "control character at byte 2"),
        (format!(r#""command":"freeze","pool":"p","reason":"{long}""#), "1001 bytes"),
        (r#""command":"freeze","pool":"p","reason":"r","limit_ms":-1"#.into(), "\"limit_ms\""),
        (r#""command":"freeze","pool":"p","reason":"r","limit_ms":1.5"#.into(), "\"limit_ms\""),
        (r#""command":"freeze","pool":"p","reason":"r","limit_ms":"10m""#.into(), "\"limit_ms\""),
        (r#""command":"freeze","reason":"r""#.into(), "\"pool\""),
        (r#""command":"unfreeze""#.into(), "\"pool\""),
        (r#""command":"clear_override","pool":"p""#.into(), "\"node\""),
        (r#""command":"override","pool":"p","reason":"r""#.into(), "\"node\""),
        (r#""command":"override","pool":"p","node":"n""#.into(), "\"reason\""),
        (r#""command":"override","pool":"p","node":"n","reason":"r","state":"DEAD""#.into(), "FAILED_ONLINE"),
        (r#""command":"override","pool":"p","node":"n","reason":"r","state":2"#.into(), "\"state\""),
        (r#""command":"override","pool":"p","node":"n","reason":"r","status":"x""#.into(), "OK_CRITICAL"),
        (r#""command":"override","pool":"p","node":"n","reason":"r","type":"x""#.into(), "SECONDARY"),
        (r#""command":"override","pool":"p","node":"n","reason":"r","weight":-1"#.into(), "\"weight\""),
        (
            r#""command":"override","pool":"p","node":"n","reason":"r","weight":4294967296"#.into(),
            "\"weight\"",
        ),
        (r#""command":"maintenance","pool":"p","node":"n","reason":"r""#.into(), "move or stay"),
        (r#""command":"maintenance","pool":"p","node":"n","reason":"r","role":"go""#.into(), "move or stay"),
        (r#""command":"report","pool":"p","node":"n""#.into(), "connect_timed_out"),
        (r#""command":"report","pool":"p","node":"n","outcome":"bad""#.into(), "connect_timed_out"),
    ] {
        told_of(&told, &format!("{{\"version\":1,\"id\":\"{id}\",{rest}}}"), ErrorCode::Invalid, part);
    }
    let long = "x".repeat(513);
    let (_, error) =
        told(&format!("{{\"version\":1,\"id\":\"{id}\",\"command\":\"explain\",\"pool\":\"{long}\"}}"));
    assert!(!error.message().contains(&long), "{error}");
    // Deep nesting is refused by the parser, not by the stack.
    told(&"[".repeat(LARGEST_REQUEST));
    told(&"{\"a\":".repeat(LARGEST_REQUEST / 5));
}

#[track_caller]
fn told_of(told: &impl Fn(&str) -> (Option<Id>, Error), text: &str, code: ErrorCode, part: &str) {
    let (_, error) = told(text);
    assert_eq!(error.code(), code, "{text}: {error}");
    assert!(error.message().contains(part), "{text}: {error}");
    assert!(error.message().len() < 300, "{error}");
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
