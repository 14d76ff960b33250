use super::*;
use proptest::prelude::*;

/// What etcd 3.4.23 answered, as it stood on the wire.
const HEADER: &str = r#""header":{"cluster_id":"324952591200643719","member_id":"3319814642761637952","revision":"3","raft_term":"2"}"#;

fn wire(rest: &str) -> Vec<u8> {
    format!("{{{HEADER}{rest}}}").into_bytes()
}

fn failed(answer: &Answer) -> Option<Trouble> {
    match answer {
        Answer::Failed(failure) => Some(failure.trouble),
        _ => None,
    }
}

fn look() -> Request {
    Request::Look { key: "/p/a".into() }
}

fn claim() -> Request {
    Request::Claim { key: "/p/a".into(), value: "{\"h\":1}".into(), lease: 2324035528854877191 }
}

#[test]
fn questions_as_the_gateway_reads_them() {
    let (path, body) = claim().encode();
    assert_eq!(path, "/v3/kv/txn");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        body,
        json!({
            "compare": [{ "key": "L3AvYQ==", "target": "CREATE", "result": "EQUAL", "create_revision": "0" }],
            "success": [{ "request_put": { "key": "L3AvYQ==", "value": "eyJoIjoxfQ==", "lease": "2324035528854877191" } }],
            "failure": [{ "request_range": { "key": "L3AvYQ==" } }],
        })
    );
    assert_eq!(Request::Grant { seconds: 5 }.encode(), ("/v3/lease/grant", r#"{"TTL":"5"}"#.into()));
    assert_eq!(Request::KeepAlive { lease: 7 }.encode(), ("/v3/lease/keepalive", r#"{"ID":"7"}"#.into()));
}

#[test]
fn answers_as_recorded() {
    let ttl = Duration::from_secs(5);
    let granted =
        Request::Grant { seconds: 5 }.decode(200, &wire(r#","ID":"2324035528854877191","TTL":"5""#));
    assert_eq!(granted, Answer::Granted { lease: 2324035528854877191, ttl });
    let keep = Request::KeepAlive { lease: 2324035528854877191 };
    let alive = format!("{{\"result\":{{{HEADER},\"ID\":\"2324035528854877191\",\"TTL\":\"5\"}}}}\n");
    assert_eq!(keep.decode(200, alive.as_bytes()), Answer::Alive { ttl });
    let gone = format!("{{\"result\":{{{HEADER},\"ID\":\"2324035528854877191\"}}}}\n");
    assert_eq!(keep.decode(200, gone.as_bytes()), Answer::NoLease);
    let other = format!("{{\"result\":{{{HEADER},\"ID\":\"8\",\"TTL\":\"5\"}}}}\n");
    assert_eq!(failed(&keep.decode(200, other.as_bytes())), Some(Trouble::Garbage), "somebody else's lease");
    assert_eq!(Request::Revoke { lease: 7 }.decode(200, &wire("")), Answer::NoLease);
    let left = Request::Remaining { lease: 7 };
    assert_eq!(left.decode(200, &wire(r#","ID":"7","TTL":"-1""#)), Answer::NoLease);
    assert_eq!(
        left.decode(200, &wire(r#","ID":"7","TTL":"4","grantedTTL":"5""#)),
        Answer::Left { time: Duration::from_secs(4) }
    );
    assert_eq!(
        left.decode(200, &wire(r#","ID":"7","grantedTTL":"5""#)),
        Answer::Left { time: Duration::ZERO }
    );
    let kv = r#"{"key":"L3AvYQ==","create_revision":"2","mod_revision":"2","version":"1","value":"eyJoIjoxfQ==","lease":"2324035528854877191"}"#;
    let holder = Answer::Held(Holder { value: "{\"h\":1}".into(), lease: 2324035528854877191, revision: 2 });
    assert_eq!(look().decode(200, &wire(&format!(r#","kvs":[{kv}],"count":"1""#))), holder);
    assert_eq!(look().decode(200, &wire("")), Answer::Free);
    assert_eq!(failed(&look().decode(200, b"{}")), Some(Trouble::Garbage), "an empty object frees no key");
    let lost = format!(
        r#","responses":[{{"response_range":{{"header":{{"revision":"2"}},"kvs":[{kv}],"count":"1"}}}}]"#
    );
    assert_eq!(claim().decode(200, &wire(&lost)), holder);
    let won = r#","succeeded":true,"responses":[{"response_put":{"header":{"revision":"3"}}}]"#;
    assert_eq!(claim().decode(200, &wire(won)), Answer::Claimed { revision: 3 });
}

#[test]
fn refusals_are_told_apart() {
    let said = |status: u16, code: i64, words: &str| {
        let body = json!({ "error": words, "message": words, "code": code }).to_string();
        claim().decode(status, body.as_bytes())
    };
    assert_eq!(said(404, 5, "etcdserver: requested lease not found"), Answer::NoLease);
    for (status, code, words, trouble) in [
        (503, 14, "etcdserver: request timed out", Trouble::NoQuorum),
        (500, 2, "etcdserver: request timed out, possibly due to previous leader failure", Trouble::NoQuorum),
        (503, 14, "etcdserver: leader changed", Trouble::NoQuorum),
        (503, 14, "etcdserver: no leader", Trouble::NoQuorum),
        (429, 8, "etcdserver: too many requests", Trouble::NoQuorum),
        (401, 16, "etcdserver: invalid auth token", Trouble::Denied),
        (403, 7, "etcdserver: permission denied", Trouble::Denied),
        (400, 3, "etcdserver: authentication failed, invalid user ID or password", Trouble::Denied),
        (400, 3, "etcdserver: user name is empty", Trouble::Denied),
        (400, 11, "etcdserver: mvcc: required revision has been compacted", Trouble::Refused),
        (404, 5, "something else not found", Trouble::Refused),
    ] {
        assert_eq!(failed(&said(status, code, words)), Some(trouble), "{words}");
    }
    // A stream wraps its error, and old gateways name the code otherwise.
    let wrapped = br#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Service Unavailable"}}"#;
    assert_eq!(failed(&Request::KeepAlive { lease: 1 }.decode(200, wrapped)), Some(Trouble::NoQuorum));
    for (status, body) in
        [(404, &b"Not Found\n"[..]), (200, b""), (200, b"<html>"), (200, b"[]"), (200, b"3"), (500, b"{}")]
    {
        assert_eq!(failed(&claim().decode(status, body)), Some(Trouble::Garbage), "{status} {body:?}");
    }
}

#[test]
fn a_login() {
    assert_eq!(login::encode("root", "a\"b").1, r#"{"name":"root","password":"a\"b"}"#);
    assert_eq!(login::decode(200, &wire(r#","token":"abc.12""#)), Ok("abc.12".into()));
    let denied = br#"{"error":"etcdserver: authentication failed, invalid user ID or password","code":3}"#;
    assert_eq!(failed(&login::decode(400, denied).expect_err("denied")), Some(Trouble::Denied));
    assert!(login::decode(200, b"").is_err());
}

fn requests() -> impl Strategy<Value = Request> {
    let (key, value) = ("[ -~]{0,9}", any::<String>());
    (0..7, any::<i64>(), key, value, any::<u64>()).prop_map(|(kind, lease, key, value, n)| match kind {
        0 => Request::Grant { seconds: n },
        1 => Request::KeepAlive { lease },
        2 => Request::Revoke { lease },
        3 => Request::Remaining { lease },
        4 => Request::Look { key },
        5 => Request::Claim { key, value, lease },
        _ => Request::TakeOver { key, value, lease, revision: n },
    })
}

proptest! {
    #[test]
    fn base64_there_and_back(text in any::<String>()) {
        prop_assert_eq!(from_base64(&base64(&text)), Some(text.into_bytes()));
    }

    #[test]
    fn no_answer_of_any_kind_breaks_anything(request in requests(), status in any::<u16>(), body in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[{}\\[\\]:,\"a-zA-Z0-9= -]{0,200}".prop_map(String::into_bytes),
    ]) {
        request.encode();
        // A key is never free, and never ours, by chance.
        let answer = request.decode(status, &body);
        prop_assert!(!matches!(answer, Answer::Free | Answer::Claimed { .. } | Answer::Alive { .. }), "{:?}", answer);
    }

    #[test]
    fn a_cut_answer_is_none(at in 0usize..1000) {
        let won = wire(r#","succeeded":true,"responses":[{"response_put":{"header":{"revision":"3"}}}]"#);
        let cut = at % won.len();
        prop_assert_eq!(failed(&claim().decode(200, &won[..cut])), Some(Trouble::Garbage));
    }

    #[test]
    fn fields_of_any_type_are_survived(name in "ID|TTL|kvs|responses|succeeded|result|header|error|message|code", value in prop_oneof![
        Just(json!(null)), Just(json!([])), Just(json!({})), Just(json!("x")), Just(json!(-1)), Just(json!(1e300)),
        Just(json!([{}])), Just(json!([[1]])), Just(json!("99999999999999999999")), Just(json!(true)),
    ], request in requests(), ok in any::<bool>()) {
        let mut body: Value = serde_json::from_slice(&wire(r#","ID":"7","TTL":"5","kvs":[],"succeeded":true"#)).expect("JSON");
        if let Some(object) = body.as_object_mut() {
            object.insert(name, value);
        }
        request.decode(if ok { 200 } else { 400 }, body.to_string().as_bytes());
    }
}
