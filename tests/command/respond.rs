//! The agent as load balancers see it: pages and agent-checks, reload, and clients that mean no good.

use crate::site::{Agent, Site, gone_pool, wait_until};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Place {
    site: Site,
    agent: Agent,
    nodes: [String; 2],
    http: u16,
    checks: u16,
}

impl Place {
    fn text(http: u16, checks: u16, more: &str) -> String {
        let (pool, _) = gone_pool("orders");
        format!("[listen]\nhttp = [\"{http}\"]\nagent_check = [\"127.0.0.1:{checks}\"]\n{more}\n{pool}")
    }

    fn new(more: &str) -> Place {
        let (http, checks) = (free_port(), free_port());
        let site = Site::new(&Place::text(http, checks, more));
        let mut agent = site.agent();
        agent.wait_for(&format!("answering HTTP at 127.0.0.1:{http}; agent-checks at 127.0.0.1:{checks}"));
        let (_, nodes) = gone_pool("orders");
        wait_until(|| site.run(&["status"]).out.matches("FAILED_OFFLINE").count() == 2, || agent.log());
        Place { site, agent, nodes, http, checks }
    }

    fn reload(&mut self, text: &str) {
        let text = format!("cache_file = {:?}\n{text}", self.site.path("cache"));
        self.site.write("primacy.toml", &text);
        // SAFETY: the child has not been waited for, so its number is its own.
        assert_eq!(unsafe { libc::kill(self.agent.child.id() as libc::pid_t, libc::SIGHUP) }, 0);
    }

    fn get(&self, path: &str) -> (u16, String) {
        ask(self.http, &format!("GET {path} HTTP/1.0\r\n\r\n"))
    }

    fn check(&self, line: &str) -> String {
        String::from_utf8(exchange(self.checks, line.as_bytes())).unwrap()
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Everything that comes back until the other side closes.
fn exchange(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(port);
    stream.write_all(bytes).unwrap();
    let mut out = Vec::new();
    stream.read_to_end(&mut out).unwrap();
    out
}

fn ask(port: u16, request: &str) -> (u16, String) {
    parts(&String::from_utf8(exchange(port, request.as_bytes())).unwrap())
}

fn parts(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
}

#[test]
fn pages_checks_and_their_errors() {
    let place = Place::new("");
    let node = &place.nodes[0];
    for page in ["primary", "read-write", "replica", "read-only", "health"] {
        let (status, body) = place.get(&format!("/{page}/{node}"));
        let told: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, &told["rule"], &told["state"]),
            (503, &508.into(), &"FAILED_OFFLINE".into()),
            "{body}"
        );
        assert_eq!(told["node"], node.as_str());
    }
    // With HAProxy's header, and as HAProxy asks if it is told nothing else.
    let header = "x-haproxy-server-state: UP 1/3; address=127.0.0.1; port=1; name=b/s; node=vm";
    let (status, body) =
        ask(place.http, &format!("OPTIONS /health?pool=orders HTTP/1.0\r\n{header}\r\n\r\n"));
    assert_eq!((status, body.as_str()), (503, ""));
    for (path, status, part) in [
        ("/primary", 400, "no node is named"),
        ("/primary/127.0.0.1:9", 404, "519"),
        ("/primary/127.0.0.1:1?pool=users", 404, "not in a pool users"),
        ("/primary/127.0.0.1", 404, "127.0.0.1:3306 is in no pool"),
        ("/primary/a%20b", 404, "white space"),
        ("/health", 200, "\"agent\":\"well\""),
        ("/liveness", 200, "\"pools\":1"),
        ("/", 404, "there are /primary"),
    ] {
        let (is, body) = place.get(path);
        assert_eq!(is, status, "{path}: {body}");
        assert!(body.contains(part), "{path}: {body}");
    }
    let (status, figures) = place.get("/metrics");
    assert_eq!(status, 200);
    assert!(figures.contains("primacy_live 1\n"), "{figures}");
    let (status, document) = place.get("/status");
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!((status, &document["pools"][0]["nodes"][1]["state"]), (200, &"FAILED_OFFLINE".into()));

    let line = place.check(&format!("{node} pool=orders role=primary\n"));
    assert!(
        line.starts_with("down #FAILED_OFFLINE FAIL, ") && line.contains("nothing listens on the port"),
        "{line}"
    );
    assert!(place.check("127.0.0.1:9\n").starts_with("down #node 127.0.0.1:9 is in no pool"));
    assert!(place.check("\n").starts_with("down #no node is named"), "{}", place.check("\n"));
    let line = place.check(&format!("{node} service=ro\n"));
    assert_eq!(line, "down #orders.ro: the node has failed\n");
    let line = place.check(&format!("{node} service=orders.rw\n"));
    assert!(line.starts_with("down #orders.rw: "), "{line}");
    let line = place.check(&format!("{node} service=other\n"));
    assert_eq!(line, format!("down #node {node} has no service orders.other\n"));
    let (status, body) = place.get(&format!("/backend/{node}?service=orders.ro"));
    assert!(status == 503 && body.contains("\"rule\":606") && body.contains("orders.ro"), "{body}");
    assert_eq!(place.get(&format!("/backend/{node}?service=users.ro")).0, 404);
    assert!(place.check("a role=master\n").starts_with("down #role is primary"));
    // An operator's word is in the next answer.
    place.site.run(&["remove", node]).exits(0);
    let (status, body) = place.get(&format!("/health/{node}"));
    assert_eq!(status, 503);
    assert!(body.contains("removed by an operator") && body.contains("518"), "{body}");
    assert_eq!(place.check(&format!("{node}\n")), format!("down #node {node} was removed by an operator\n"));
}

#[test]
fn a_node_of_its_own_needs_no_name() {
    let place = Place::new("node = \"127.0.0.2:1\"");
    let (status, body) = place.get("/primary");
    assert_eq!(status, 503);
    assert!(body.contains("\"node\":\"127.0.0.2:1\""), "{body}");
    assert_eq!(place.get("/health").0, 503, "with a node it is the node's health");
    assert_eq!(place.get("/liveness").0, 200);
    // Answered at once: HAProxy sends nothing and waits.
    let mut silent = connect(place.checks);
    let begin = Instant::now();
    let mut said = String::new();
    silent.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("down #FAILED_OFFLINE"), "{said}");
    assert!(begin.elapsed() < Duration::from_millis(1500), "it waited for a line");
}

#[test]
fn a_reload_moves_what_listens_or_leaves_all_as_it_was() {
    let mut place = Place::new("");
    let (old_http, old_checks) = (place.http, place.checks);
    let kept = connect(old_http);

    // Somebody else's port: nothing changes, the pools do not either.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    place.reload(&Place::text(port, old_checks, "").replace("[pool.orders]", "[pool.users]"));
    place.agent.wait_for(&format!("not reloaded, nothing has changed: cannot listen at 127.0.0.1:{port}"));
    assert_eq!(place.get("/liveness").0, 200);
    assert!(place.get("/status").1.contains("\"name\":\"orders\""));
    // A refused configuration gives the new address back.
    let free = free_port();
    place.reload(
        &Place::text(free, old_checks, "").replace("[pool.orders]\n", "[pool.orders]\npolicy = \"mpp\"\n"),
    );
    place.agent.wait_for("rule 906");
    wait_until(|| TcpStream::connect(("127.0.0.1", free)).is_err(), || "it still listens".into());
    assert_eq!(place.get("/liveness").0, 200);

    // The two change places, a unix socket comes, its mode is what was asked for, and a connection that is up goes on.
    let path = place.site.path("http.sock");
    std::os::unix::net::UnixListener::bind(&path).unwrap();
    let unix = format!(
        "[listen]\nhttp = [\"{old_checks}\", \"unix:{}\"]\nagent_check = [\"{old_http}\"]\nunix_mode = \"0660\"\n",
        path.display()
    );
    place.reload(&format!("{unix}{}", gone_pool("orders").0));
    place.agent.wait_for(&format!("answering HTTP at 127.0.0.1:{old_checks}, unix:"));
    assert_eq!(ask(old_checks, "GET /liveness HTTP/1.0\r\n\r\n").0, 200);
    assert!(String::from_utf8(exchange(old_http, b"127.0.0.1:1\n")).unwrap().starts_with("down #FAILED"));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    let mut local = UnixStream::connect(&path).unwrap();
    local.write_all(b"GET /liveness HTTP/1.0\r\n\r\n").unwrap();
    let mut said = String::new();
    local.read_to_string(&mut said).unwrap();
    assert_eq!(parts(&said).0, 200);
    (&kept).write_all(b"GET /liveness HTTP/1.0\r\n\r\n").unwrap();
    let mut said = String::new();
    (&kept).read_to_string(&mut said).unwrap();
    assert_eq!(parts(&said).0, 200, "it was made to speak HTTP");

    // Nothing listens any more, the socket's file is gone, and the agent goes on; and everything at its end.
    place.reload(&gone_pool("orders").0);
    place.agent.wait_for("answering load balancers nowhere");
    assert!(TcpStream::connect(("127.0.0.1", old_http)).is_err());
    assert!(!path.exists());
    place.reload(&format!("{unix}{}", gone_pool("orders").0));
    wait_until(|| path.exists(), || place.agent.log());
    assert_eq!(place.agent.end(libc::SIGTERM).0, Some(0));
    assert!(!path.exists(), "{}", place.agent.log());
}

#[test]
fn a_start_that_cannot_listen_says_where() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (pool, _) = gone_pool("orders");
    let site = Site::new(&format!("[listen]\nhttp = [\"{port}\"]\n{pool}"));
    let said = site.run(&["run"]).exits(4);
    assert!(said.err.contains(&format!("cannot listen at 127.0.0.1:{port}")), "{said:?}");
    for (listen, parts) in [
        ("http = [\"localhost:80\"]", &["primacy.toml:3:8", "key listen.http", "write IP:PORT"][..]),
        ("http = 8008", &["listen.http", "expected a list"]),
        (
            "http = [\"8008\"]\nagent_check = [\"127.0.0.1:8008\"]",
            &["listen.agent_check", "each protocol has its own"],
        ),
        ("node = \"10.9.9.9\"", &["listen.node", "not in any pool"]),
        ("unix_mode = \"0888\"", &["listen.unix_mode", "octal"]),
        ("port = 8008", &["listen.port", "unknown key"]),
    ] {
        let site = Site::new(&format!("[listen]\n{listen}\n{pool}"));
        site.run(&["check", "primacy.toml"]).fails(2, parts);
    }
}

/// While others hold every place, send nonsense, or take no answers, a check is still answered, and probing goes on.
#[test]
fn clients_that_mean_no_good_harm_nobody() {
    let place = Place::new("");
    let page = format!("/primary/{}", place.nodes[0]);
    // Idle connections give way.
    let idle: Vec<TcpStream> = (0..300)
        .map(|_| {
            let stream = connect(place.http);
            (&stream).write_all(b"GET /liveness HTTP/1.1\r\n\r\n").unwrap();
            let mut first = [0; 12];
            (&stream).read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            stream
        })
        .collect();
    assert_eq!(place.get(&page).0, 503);
    drop(idle);

    // Half a request in every place: the next one is sent away, and is served once those have run out of time.
    let slow: Vec<TcpStream> = (0..300)
        .map(|_| {
            let stream = connect(place.http);
            // Those beyond the places are closed.
            let _ = (&stream).write_all(b"GET /prim");
            stream
        })
        .collect();
    wait_until(
        || place.agent.log().contains("all 256 connections to the responder are in use"),
        || place.agent.log(),
    );
    let begin = Instant::now();
    wait_until(
        || {
            let mut stream = connect(place.http);
            let _ = stream.write_all(format!("GET {page} HTTP/1.0\r\n\r\n").as_bytes());
            let mut out = Vec::new();
            let _ = stream.read_to_end(&mut out);
            out.starts_with(b"HTTP/1.1 503")
        },
        || "the slow ones were not put out".into(),
    );
    assert!(begin.elapsed() < Duration::from_secs(15));
    let mut late = String::new();
    let _ = (&slow[0]).read_to_string(&mut late);
    assert!(late.is_empty() || late.starts_with("HTTP/1.1 408"), "{late}");
    drop(slow);

    // Garbage, a head without end, a request in a request.
    assert!(exchange(place.http, b"\x16\x03\x01\x02\x00\x01\x00\n\n").starts_with(b"HTTP/1.1 400"));
    let mut endless = connect(place.http);
    let _ = endless.write_all(&[b'a'; 9000]);
    let mut out = Vec::new();
    let _ = endless.read_to_end(&mut out);
    assert!(out.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&out));
    let smuggled = b"GET /liveness HTTP/1.1\r\nContent-Length: 30\r\n\r\nGET /status HTTP/1.1\r\n\r\n";
    let out = String::from_utf8(exchange(place.http, smuggled)).unwrap();
    assert!(out.starts_with("HTTP/1.1 413") && out.matches("HTTP/1.1 ").count() == 1, "{out}");
    assert_eq!(exchange(place.checks, &[b'x'; 600]), b"");

    // Somebody asks for everything and reads nothing.
    let greedy = connect(place.http);
    let many = b"GET /metrics HTTP/1.1\r\n\r\n".repeat(300);
    for _ in 0..50 {
        greedy.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        if (&greedy).write_all(&many).is_err() {
            break;
        }
    }
    let begin = Instant::now();
    assert_eq!(place.get(&page).0, 503);
    assert!(begin.elapsed() < Duration::from_secs(5));
    // The engine went on all the while: its nodes are looked at several times a second.
    let (_, liveness) = place.get("/liveness");
    let told: serde_json::Value = serde_json::from_str(&liveness).unwrap();
    assert!(told["turned_ms"].as_u64().unwrap() < 3000, "{liveness}");
    let _ = greedy.shutdown(Shutdown::Both);
}

#[test]
fn a_thousand_checks_cost_little() {
    let place = Place::new("");
    let page = format!("GET /primary/{} HTTP/1.1\r\n\r\n", place.nodes[1]);
    let mut stream = connect(place.http);
    let mut buffer = vec![0; 65536];
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", place.agent.child.id())).unwrap();
        let words: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
        words[12].parse::<u64>().unwrap() + words[13].parse::<u64>().unwrap()
    };
    let (before, begin) = (ticks(), Instant::now());
    for _ in 0..1000 {
        stream.write_all(page.as_bytes()).unwrap();
        let count = stream.read(&mut buffer).unwrap();
        assert!(buffer[..count].starts_with(b"HTTP/1.1 503"));
    }
    // In hundredths of a second; on a quiet machine it is two.
    let spent = ticks() - before;
    println!("1,000 checks on one connection: {spent} ticks of CPU, {:?}", begin.elapsed());
    assert!(spent < 100, "{spent} ticks");
}
