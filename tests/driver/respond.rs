//! An engine that stands still: checks fail, and an agent-check says nothing, so that a balancer keeps what it knows.

use primacy::config::ConfigBuilder;
use primacy::instance::Instance;
use primacy::instance::respond::Responder;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

fn exchange(port: u16, bytes: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
    stream.write_all(bytes.as_bytes()).expect("sent");
    let mut out = String::new();
    stream.read_to_string(&mut out).expect("an answer");
    out
}

#[test]
fn an_engine_that_stands_still_serves_nobody() {
    let port = || TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let (http, agent) = (port(), port());
    let mut builder = ConfigBuilder::new();
    let text = format!(
        "[listen]\nhttp = [\"{http}\"]\nagent_check = [\"{agent}\"]\n[pool.a]\nprobe = {{ interval = \"50ms\" }}\n\
         nodes = [ {{ address = \"127.0.0.1:1\" }} ]\n"
    );
    builder.load_text(&text, "t").expect("good");
    let config = builder.build().expect("good");
    let listen = config.listen.clone();
    let instance = Instance::new(config).expect("made");
    // In a host's loop, which is a loop that somebody must turn.
    instance.fd().expect("a descriptor");
    let responder = Responder::start(&instance, &listen).expect("listening");
    let turn_until = |wanted: &str, request: &str, port: u16| {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            instance.dispatch().expect("turned");
            let said = exchange(port, request);
            if said.contains(wanted) {
                return;
            }
            assert!(Instant::now() < end, "{wanted:?} is not in {said:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    turn_until("FAILED_OFFLINE", "GET /health/127.0.0.1:1 HTTP/1.0\r\n\r\n", http);
    turn_until("\"agent\":\"well\"", "GET /health HTTP/1.0\r\n\r\n", http);
    turn_until("down #FAILED_OFFLINE", "127.0.0.1:1\n", agent);

    // Nobody turns it any more. What was known is not told as if it were news.
    let end = Instant::now() + Duration::from_secs(20);
    while !exchange(http, "GET /liveness HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 503") {
        assert!(Instant::now() < end, "it was not noticed");
        std::thread::sleep(Duration::from_millis(50));
    }
    for page in ["primary", "replica", "read-only", "health"] {
        let said = exchange(http, &format!("GET /{page}/127.0.0.1:1 HTTP/1.0\r\n\r\n"));
        assert!(said.starts_with("HTTP/1.1 503") && said.contains("\"rule\":517"), "{said}");
        assert!(said.contains("has not turned for"), "{said}");
    }
    for page in ["health", "status", "metrics"] {
        let said = exchange(http, &format!("GET /{page} HTTP/1.0\r\n\r\n"));
        assert!(said.starts_with("HTTP/1.1 503"), "{said}");
    }
    assert_eq!(exchange(agent, "127.0.0.1:1\n"), "");

    // It turns again.
    turn_until("down #FAILED_OFFLINE", "127.0.0.1:1\n", agent);
    assert!(responder.is_well());
    responder.stop();
    assert!(TcpStream::connect(("127.0.0.1", http)).is_err());
    instance.stop().expect("stopped");
}
