//! Tests of the answers and of the machine of a connection.

use super::http::take;
use super::*;
use crate::engine::{Standing, Time};
use crate::policy::serving::{self, Role, View};
use crate::pool::{NodeType, PolicyName, State, Status};
use crate::probe::Class;
use core::time::Duration;
use proptest::prelude::*;

const T0: Time = Time(1_000_000_000);

fn standing(state: State, status: Status, class: Class) -> Standing {
    Standing {
        pool: "orders".into(),
        name: "10.0.1.11:3306".into(),
        node_type: NodeType::Primary,
        view: View {
            policy: PolicyName::Safe,
            state,
            status,
            class: Some(class),
            selected: state == State::Active,
            paused: false,
            maintenance: false,
        },
        rule: 203,
        message: "all is well".into(),
        weight: 2,
        lag: Some(Duration::from_millis(1500)),
        observed_ms: 5,
        changed_ms: 0,
    }
}

fn request(text: &str) -> Result<Request, Fault> {
    let (request, length) = take(text.as_bytes()).expect("complete")?;
    assert_eq!(length, text.len());
    Ok(request)
}

fn get(target: &str) -> Result<(Page, Who, Option<Duration>), Fault> {
    http_ask(&request(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"))?)
}

#[test]
fn a_node_is_named_by_path_parameter_or_balancer() {
    let node = |target: &str| get(target).expect(target).1.node;
    assert_eq!(node("/primary/10.0.1.11:3306").as_deref(), Some("10.0.1.11:3306"));
    assert_eq!(node("/primary?node=10.0.1.11").as_deref(), Some("10.0.1.11"));
    assert_eq!(node("/health/unix:/run/a.sock").as_deref(), Some("unix:/run/a.sock"));
    assert_eq!(node("/replica?node=%5b2001:db8::1%5D:3306").as_deref(), Some("[2001:db8::1]:3306"));
    assert_eq!(node("http://agent:8008/primary?node=a").as_deref(), Some("a"));
    assert_eq!(node("/primary"), None);
    let (page, who, lag) = get("/read-only?node=a&pool=orders&lag=1.5s").unwrap();
    assert_eq!(
        (page, who.pool.as_deref(), lag),
        (Page::ReadOnly, Some("orders"), Some(Duration::from_millis(1500)))
    );
    assert_eq!(get("/read-write/a").unwrap().0, Page::Primary);
    assert_eq!(get("/metrics?x=1").unwrap().0, Page::Metrics);

    let state = "UP 1/3; address=10.0.1.11; port=3306; name=ro/s1; node=vm; weight=10/10; scur=0/0; qcur=0";
    let asked =
        request(&format!("GET /primary HTTP/1.0\r\nx-haproxy-server-state: {state}\r\n\r\n")).unwrap();
    assert_eq!(http_ask(&asked).unwrap().1.node.as_deref(), Some("10.0.1.11:3306"));
    let asked =
        request(&format!("GET /primary/b HTTP/1.0\r\nX-HAProxy-Server-State: {state}\r\n\r\n")).unwrap();
    assert_eq!(http_ask(&asked).unwrap().1.node.as_deref(), Some("b"), "what is said outright counts");
    let v6 = state.replace("10.0.1.11", "2001:db8::1");
    let asked = request(&format!("GET /primary HTTP/1.0\r\nx-haproxy-server-state: {v6}\r\n\r\n")).unwrap();
    assert_eq!(asked.server.as_deref(), Some("[2001:db8::1]:3306"));
}

#[test]
fn a_request_that_cannot_be_meant_is_told_so() {
    for (target, status, part) in [
        ("/", 404, "no such page"),
        ("/master", 404, "/primary, /read-write"),
        ("/metrics/a", 404, "below /metrics"),
        ("/primary?host=a", 400, "node and pool alone"),
        ("/primary?lag=1s", 400, "node and pool alone"),
        ("/replica?lag=5", 400, "no unit"),
        ("/replica?node=a&node=b", 400, "twice"),
        ("/replica/a?node=b", 400, "twice"),
        ("/primary/%4", 400, "percent"),
        ("/primary/%ff", 400, "percent"),
        ("primary", 400, "no path"),
        ("/backend/a", 400, "no service"),
        ("/backend/a?service=ro&lag=1s", 400, "node, pool and service alone"),
        ("/primary/a?service=ro", 400, "node and pool alone"),
    ] {
        let fault = get(target).expect_err(target);
        assert_eq!(fault.status, status, "{target}: {fault:?}");
        assert!(fault.text.contains(part), "{target}: {fault:?}");
    }
    for (text, status) in [
        ("GET /primary\r\n\r\n", 400),
        ("GET  /primary HTTP/1.1\r\n\r\n", 400),
        ("GET /primary HTTP/2.0\r\n\r\n", 505),
        ("GET /primary HTTP/1.1 x\r\n\r\n", 400),
        ("GET /primary HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        ("GET /primary HTTP/1.1\r\n: x\r\n\r\n", 400),
        ("GET /primary HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        ("GET /primary HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("GET /pri\0mary HTTP/1.1\r\n\r\n", 400),
        ("GET /pri\rmary HTTP/1.1\r\n\r\n", 400),
        ("POST /primary HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        ("BREW /primary HTTP/1.1\r\n\r\n", 405),
        ("GET /primary HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 413),
        ("GET /primary HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        ("get /primary HTTP/1.1\r\n\r\n", 405),
    ] {
        let status_of = request(text).map_or_else(|fault| fault.status, |_| 200);
        assert_eq!(status_of, status, "{text:?}");
    }
}

/// What a session says to bytes that come at once, answering each question by `ok`.
fn converse(session: &mut Session, now: Time, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    session.handle_bytes(now, bytes);
    loop {
        while let Some(question) = session.poll_question(now) {
            match question {
                Question::Http(request) => {
                    session.answer(now, Response::figures(request.target.as_str().into()));
                    assert_eq!(session.poll_question(now), None, "one answer at a time");
                    break;
                }
                Question::Agent(line) => session.answer_line(now, Some(format!("got {line}\n"))),
            }
        }
        let part = session.poll_transmit().to_vec();
        if part.is_empty() {
            return String::from_utf8(out).unwrap();
        }
        // A socket takes what it likes.
        let count = part.len().min(7);
        out.extend_from_slice(&part[..count]);
        session.handle_sent(now, count);
    }
}

#[test]
fn a_connection_is_kept_as_its_version_and_words_have_it() {
    for (text, keeps) in [
        ("GET /a HTTP/1.1\r\n\r\n", true),
        ("GET /a HTTP/1.1\r\nConnection: x, Close\r\n\r\n", false),
        ("GET /a HTTP/1.0\r\n\r\n", false),
        ("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("\r\n\r\nGET /a HTTP/1.1\n\n", true),
    ] {
        let mut session = Session::new(Protocol::Http, T0);
        let said = converse(&mut session, T0, text.as_bytes());
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\n/a"), "{said}");
        assert_eq!(said.contains("Connection: keep-alive\r\n"), keeps, "{text:?}: {said}");
        assert_eq!(session.is_ending(), !keeps);
        assert!(session.is_idle(), "it may give way to others");
    }
    // Two in a row, and half of a third.
    let mut session = Session::new(Protocol::Http, T0);
    let said = converse(&mut session, T0, b"GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nOPTIONS /c HTT");
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 2);
    assert!(said.contains("/a") && !said.contains("/b"), "{said}");
    assert_eq!(
        said.matches("Content-Length: 2\r\n").count(),
        2,
        "HEAD tells the length of what GET gives: {said}"
    );
    assert!(!session.is_idle());
    let said = converse(&mut session, T0, b"P/1.1\r\n\r\n");
    assert!(said.contains("Content-Length: 0\r\n") && said.ends_with("\r\n\r\n"), "{said}");
    // After an error nobody knows where the next request begins.
    let said = converse(&mut session, T0, b"NONSENSE\r\n\r\nGET /a HTTP/1.1\r\n\r\n");
    assert!(said.starts_with("HTTP/1.1 400") && said.matches("HTTP/1.1").count() == 1, "{said}");
    assert!(session.is_ending());
    session.handle_end();
    assert!(session.is_over());
}

#[test]
fn nobody_is_waited_for_for_ever_or_without_bounds() {
    let later = |s: u64| T0 + Duration::from_secs(s);
    // Nothing at all, then a request drop by drop.
    let mut session = Session::new(Protocol::Http, T0);
    session.handle_timeout(later(4));
    assert!(!session.is_over());
    assert_eq!(converse(&mut session, later(4), b"GET"), "");
    session.handle_timeout(later(5));
    assert!(converse(&mut session, later(5), b"").starts_with("HTTP/1.1 408"));
    session.handle_timeout(later(7));
    assert!(session.is_over());
    // An idle connection is kept for a minute; the next request has its own time.
    let mut session = Session::new(Protocol::Http, T0);
    converse(&mut session, T0, b"GET /a HTTP/1.1\r\n\r\n");
    session.handle_timeout(later(59));
    converse(&mut session, later(59), b"GET /a");
    session.handle_timeout(later(63));
    assert!(!session.is_over() && !session.is_idle());
    // An answer that nobody takes.
    session.handle_bytes(later(63), b" HTTP/1.1\r\n\r\n");
    assert!(matches!(session.poll_question(later(63)), Some(Question::Http(_))));
    session.answer(later(63), Response::figures("x".into()));
    assert_eq!(session.room(), 0, "no more is read meanwhile");
    session.handle_timeout(later(73));
    assert!(session.is_over());
    // A head without end.
    let mut session = Session::new(Protocol::Http, T0);
    let mut said = String::new();
    while said.is_empty() {
        let room = session.room();
        assert!((1..=HEAD_MAX).contains(&room));
        said = converse(&mut session, T0, &vec![b'a'; room]);
    }
    assert!(said.starts_with("HTTP/1.1 431"), "{said}");
    // An agent-check that says nothing, says too much, or leaves.
    let mut session = Session::new(Protocol::Agent, T0);
    session.handle_timeout(later(2));
    assert!(session.is_over());
    let mut session = Session::new(Protocol::Agent, T0);
    assert_eq!(converse(&mut session, T0, &[b'a'; 600]), "");
    assert!(session.is_over());
    let mut session = Session::new(Protocol::Agent, T0);
    session.handle_end();
    assert_eq!(converse(&mut session, T0, b""), "");
    assert!(session.is_over());
}

#[test]
fn an_agent_check_is_a_line_for_a_line() {
    let mut session = Session::new(Protocol::Agent, T0);
    assert_eq!(converse(&mut session, T0, b"a pool"), "");
    assert_eq!(converse(&mut session, T0, b"=b\r\nmore"), "got a pool=b\r\n");
    assert!(session.is_ending());
    let mut session = Session::new(Protocol::Agent, T0);
    session.handle_bytes(T0, b"a");
    session.handle_end();
    assert_eq!(converse(&mut session, T0, b""), "got a\n", "whoever closes has said all");
    assert!(session.is_over());
    let mut session = Session::new(Protocol::AgentOfOne, T0);
    assert_eq!(converse(&mut session, T0, b""), "got \n", "it waits for nothing");

    let ask = |line: &str| agent_ask(line);
    let all = ask(" 10.0.1.11:3306  pool=orders role=replica lag=5s\r").unwrap();
    assert_eq!((all.who.node.as_deref(), all.who.pool.as_deref()), (Some("10.0.1.11:3306"), Some("orders")));
    assert_eq!((all.role, all.lag), (Role::Replica, Some(Duration::from_secs(5))));
    assert_eq!(ask("").unwrap(), AgentAsk::default());
    for (line, part) in [
        ("a b", "two nodes"),
        ("a role=x", "role is"),
        ("a lag=5", "lag: "),
        ("a mode=x", "alone"),
        ("a service=ro role=any", "leave role"),
    ] {
        assert!(ask(line).unwrap_err().contains(part), "{line}");
    }
}

#[test]
fn pages_and_lines_are_what_the_matrix_says() {
    let active = Ok(standing(State::Active, Status::Ok, Class::Ok).into());
    let page = node_page(Page::Primary, &active, None);
    assert_eq!(page.status, 200);
    let told: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(
        (&told["node"], &told["state"], &told["rule"]),
        (&"10.0.1.11:3306".into(), &"ACTIVE".into(), &503.into())
    );
    assert_eq!((&told["lag_ms"], &told["changed_ms"]), (&1500.into(), &serde_json::Value::Null));
    assert_eq!(node_page(Page::Replica, &active, None).status, 503);
    assert_eq!(node_page(Page::ReadOnly, &active, Some(Duration::ZERO)).status, 200, "it is behind nobody");

    let standby = Ok(standing(State::Standby, Status::Ok, Class::Ok).into());
    assert_eq!(node_page(Page::Primary, &standby, None).status, 503);
    for (limit, status) in [(2000, 200), (1500, 200), (1499, 503)] {
        let limit = Some(Duration::from_millis(limit));
        assert_eq!(node_page(Page::Replica, &standby, limit).status, status);
        let page = node_page(Page::ReadOnly, &standby, limit);
        assert_eq!(page.status, status);
        assert_eq!(page.body.contains("its lag of 1500 ms is above"), status == 503, "{}", page.body);
    }
    let unknown = Ok(Standing { lag: None, ..standing(State::Standby, Status::Ok, Class::Ok) }.into());
    assert_eq!(node_page(Page::Replica, &unknown, Some(Duration::from_secs(9))).status, 503);
    assert_eq!(node_page(Page::Replica, &unknown, None).status, 200);

    let line = |text: &str, found: &Found| agent_line(&agent_ask(text), found);
    assert_eq!(line("a", &active).as_deref(), Some("ready up 200%\n"));
    assert_eq!(line("a role=primary", &active).as_deref(), Some("ready up 100%\n"));
    assert_eq!(line("a role=replica", &active).as_deref(), Some("up drain\n"));
    assert_eq!(line("a", &standby).as_deref(), Some("ready up 200%\n"));
    assert_eq!(
        line("a role=primary", &standby).as_deref(),
        Some("down #STANDBY OK, it is not the node that takes writes\n")
    );
    assert_eq!(line("a role=replica lag=1s", &standby).as_deref(), Some("up drain\n"));
    let failed = Standing {
        message: "no\n#way \u{e9}".into(),
        ..standing(State::FailedOffline, Status::Fail, Class::Gone)
    };
    assert_eq!(
        line("a role=replica", &Ok(failed.clone().into())).as_deref(),
        Some("down #FAILED_OFFLINE FAIL, no  way\n")
    );
    assert_eq!(node_page(Page::Health, &Ok(failed.into()), None).status, 503);

    // In maintenance the clients that it has may finish.
    let mut quiet = standing(State::Unknown, Status::OkWarn, Class::Ok);
    quiet.view.maintenance = true;
    let quiet = Ok(quiet.into());
    assert_eq!(node_page(Page::Health, &quiet, None).status, 200);
    assert_eq!(node_page(Page::Replica, &quiet, None).status, 503);
    assert_eq!(line("a role=replica", &quiet).as_deref(), Some("up drain\n"));
    assert_eq!(line("a role=primary", &quiet).unwrap().split(' ').next(), Some("down"));

    // A service has its own word, with fallback, lag, slow start and what it does about a lost role.
    let seated = |takes, stays| Seated {
        service: "orders.ro".into(),
        takes,
        stays,
        percent: 70,
        rule: 613,
        sentence: "the serve matrix gives it no new clients of this role",
    };
    for (takes, stays, said, status) in [
        (true, true, "ready up 70%\n", 200),
        (false, true, "up drain\n", 503),
        (false, false, "down #orders.ro: the serve matrix gives it no new clients of this role\n", 503),
    ] {
        let node = standing(State::Active, Status::Ok, Class::Ok);
        let found = Ok(Known { node, seated: Some(seated(takes, stays)) });
        assert_eq!(line("a service=ro", &found).as_deref(), Some(said));
        let page = node_page(Page::Backend, &found, None);
        assert_eq!(page.status, status);
        assert!(
            page.body.contains("\"service\":\"orders.ro\"") && page.body.contains("613"),
            "{}",
            page.body
        );
    }

    // What is no node.
    let miss = |row| Err(Miss::Absent(row, "about it".into()));
    assert_eq!(line("a", &miss(&serving::STILL)), None, "the balancer's own checks decide");
    assert_eq!(line("a", &miss(&serving::REMOVED)).as_deref(), Some("down #about it\n"));
    assert_eq!(line("a", &miss(&serving::UNKNOWN)).as_deref(), Some("down #about it\n"));
    assert_eq!(line("a b", &active).unwrap(), "down #two nodes are named\n");
    for (row, status) in [(&serving::STILL, 503), (&serving::REMOVED, 503), (&serving::UNKNOWN, 404)] {
        let page = node_page(Page::Health, &miss(row), None);
        assert_eq!(page.status, status);
        assert!(page.body.contains(&format!("\"rule\":{}", row.number)), "{}", page.body);
    }
    assert_eq!(node_page(Page::Primary, &Err(Miss::Unclear("name it".into())), None).status, 400);
}

proptest! {
    #[test]
    fn whatever_comes_is_answered_or_refused_within_bounds(
        parts in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "(GET|HEAD|PUT) /(primary|status|x)(/[a-z:%0-9]{0,6})?(\\?[a-z=&]{0,9})? HTTP/1\\.[01]\r\n".prop_map(String::into_bytes),
            "(Connection: (close|keep-alive)|Host: x|X-Haproxy-Server-State: [a-z;= ]{0,30}|: )?\r\n".prop_map(String::into_bytes),
            Just(vec![b'a'; 5000]),
        ], 0..12),
        agent in any::<bool>(),
        ends in any::<bool>(),
    ) {
        let mut session = Session::new(if agent { Protocol::Agent } else { Protocol::Http }, T0);
        for part in &parts {
            let room = session.room();
            converse(&mut session, T0, &part[..part.len().min(room)]);
            prop_assert!(session.room() <= HEAD_MAX);
        }
        if ends {
            session.handle_end();
            converse(&mut session, T0, b"");
            prop_assert!(session.is_over());
        }
        // At the latest, everything ends by time alone.
        for n in 1..5u64 {
            let now = T0 + Duration::from_secs(100 * n);
            session.handle_timeout(now);
            converse(&mut session, now, b"");
        }
        prop_assert!(session.is_over());
    }
}
