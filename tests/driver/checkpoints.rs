//! Looks at checkpoints against real servers and the kernel: what each method finds, and what it leaves open.

use crate::support::*;
use primacy::engine::CheckpointSnapshot;
use primacy::instance::Instance;
use primacy::pool::PoolStatus;
use primacy::probe::Cause;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Python's own web server, over IPv4 or IPv6.
struct Web {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Web {
    fn start(bind: &str) -> Web {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("status"), "well\n").expect("a file");
        let port = TcpListener::bind((bind, 0)).and_then(|l| l.local_addr()).expect("a port").port();
        let process = Command::new("python3")
            .args(["-m", "http.server", "--bind", bind, &port.to_string()])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3");
        wait_for("the web server", LIMIT, || std::net::TcpStream::connect((bind, port)).ok());
        Web { process, port, _folder: folder }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A pool of policy `mpp` whose only node refuses, with these checkpoints.
fn watching(checkpoints: &[String]) -> Instance {
    let node = refusing();
    let quoted: Vec<String> = checkpoints.iter().map(|c| format!("\"{c}\"")).collect();
    let more = format!(
        "policy = \"mpp\"\ncheckpoints = [ {{ node = \"{node}\", external = [ {} ] }} ]\ninterval = \"100ms\"\ntimeout = \"100ms\"\nprobe_timeout = \"300ms\"\n",
        quoted.join(", ")
    );
    let instance = instance(&[node.to_string()], "", &more);
    instance.start().expect("start");
    instance
}

/// What one look finds.
fn look(checkpoints: &[String]) -> Vec<CheckpointSnapshot> {
    let instance = watching(checkpoints);
    wait_for("every checkpoint's first look", LIMIT, || {
        let seen = node(&instance, 0).checkpoints;
        seen.iter().all(|c| c.answers.is_some()).then_some(seen)
    })
}

fn causes(checkpoints: &[String]) -> Vec<(String, Option<bool>, Option<Cause>)> {
    look(checkpoints)
        .into_iter()
        .map(|c| (format!("{}: {}", c.target, c.message), c.answers, c.cause))
        .collect()
}

#[test]
fn tcp_any_reply_will_do() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listener6 = TcpListener::bind("[::1]:0").expect("a port");
    let seen = causes(&[
        format!("simple:{}", listener.local_addr().expect("bound")),
        format!("simple:{}", listener6.local_addr().expect("bound")),
        format!("simple:{}", refusing()),
        format!("simple:localhost:{}", listener.local_addr().expect("bound").port()),
    ]);
    for (target, answers, cause) in seen {
        assert_eq!((answers, cause), (Some(true), Some(Cause::Ok)), "{target}");
    }
    let seen = causes(&["simple:nowhere.invalid:80".into(), "http:nowhere.invalid".into()]);
    for (target, answers, cause) in seen {
        assert_eq!((answers, cause), (Some(false), Some(Cause::Dns)), "{target}");
        assert!(target.contains("nowhere.invalid does not resolve"), "{target}");
    }
}

#[test]
fn http_asks_for_a_status() {
    let _alone = alone();
    let (web, web6) = (Web::start("127.0.0.1"), Web::start("::1"));
    let silent = Server::start(Behaviour::Silent);
    let reset = Server::start(Behaviour::Reset);
    let close = Server::start(Behaviour::Close);
    let seen = causes(&[
        format!("http:127.0.0.1:{}/status", web.port),
        format!("http:[::1]:{}/no/such/thing?x=%20", web6.port),
        format!("http:localhost:{}", web.port),
        format!("http:{}", silent.address),
        format!("http:{}", reset.address),
        format!("http:{}", close.address),
        format!("http:{}", refusing()),
    ]);
    let wanted = [
        ("HTTP status 200", true, Cause::Ok),
        ("HTTP status 404", true, Cause::Ok),
        ("HTTP status 200", true, Cause::Ok),
        ("the host acknowledges, the server did not answer within", false, Cause::NoReply),
        ("before its status line", false, Cause::Reset),
        ("before its status line", false, Cause::Reset),
        ("nothing listens on the port", false, Cause::Refused),
    ];
    for ((target, answers, cause), (words, good, expected)) in seen.into_iter().zip(wanted) {
        assert_eq!((answers, cause), (Some(good), Some(expected)), "{target}");
        assert!(target.contains(words), "{target}");
    }
}

/// The tests run as root in a network namespace that may forbid echoes by datagram sockets, so that both kinds of
/// socket are tried by the scenario in `tests/real`; here whichever the system allows.
#[test]
fn an_echo_of_this_machine() {
    let _alone = alone();
    let seen = causes(&["simple:127.0.0.1".into(), "simple:[::1]".into(), "simple:localhost".into()]);
    for (target, answers, cause) in seen {
        let forbidden = cause == Some(Cause::Local) && target.contains("net.ipv4.ping_group_range");
        // SAFETY: no pointer is passed.
        let root = unsafe { libc::geteuid() } == 0;
        assert!(
            (answers, cause) == (Some(true), Some(Cause::Ok)) || (forbidden && !root),
            "{target} {cause:?}"
        );
    }
}

#[test]
fn mysql_asks_for_a_servers_word() {
    let _alone = alone();
    let silent = Server::start(Behaviour::Silent);
    let http = Server::start(Behaviour::Http);
    let server = crate::real_server::MariaDb::start();
    let seen = causes(&[
        format!("mysql:127.0.0.1:{}", server.port),
        format!("mysql:{}", silent.address),
        format!("mysql:{}", http.address),
        format!("mysql:{}", refusing()),
    ]);
    let wanted = [
        // The account has a password, and the pool none: a refusal is a server's answer.
        (true, Cause::AuthDenied),
        (false, Cause::NoReply),
        (true, Cause::ProtocolError),
        (false, Cause::Refused),
    ];
    for ((target, answers, cause), (good, expected)) in seen.into_iter().zip(wanted) {
        assert_eq!((answers, cause), (Some(good), Some(expected)), "{target}");
    }
    assert!(server.sessions().is_empty(), "no session is kept");
}

/// Looks again and again, and nothing stays open; the pool's FAIL comes with the last checkpoint that falls.
#[test]
fn nothing_is_left_open() {
    let _alone = alone();
    let before = descriptors();
    {
        let web = Web::start("127.0.0.1");
        let silent = Server::start(Behaviour::Silent);
        let instance = watching(&[
            format!("http:127.0.0.1:{}/status", web.port),
            format!("http:{}", silent.address),
            format!("mysql:{}", silent.address),
            "http:nowhere.invalid".into(),
        ]);
        let looks = |n: usize| node(&instance, 0).checkpoints[n].observed_ms;
        let first = wait_for("a look", LIMIT, || Some(looks(0)).filter(|at| *at != 0));
        wait_for("five more cycles", LIMIT, || (looks(0) > first + 1500).then_some(()));
        assert_eq!(pool(&instance).status, PoolStatus::Ok, "one answers");
        instance.stop().expect("stop");
    }
    wait_for("all descriptors closed", LIMIT, || (descriptors() == before).then_some(()));

    let web = Web::start("127.0.0.1");
    let instance = watching(&[format!("http:127.0.0.1:{}/status", web.port), format!("http:{}", refusing())]);
    wait_for("a look", LIMIT, || node(&instance, 0).checkpoints[0].answers);
    assert_eq!(pool(&instance).status, PoolStatus::Ok);
    drop(web);
    wait_for("FAIL", LIMIT, || (pool(&instance).status == PoolStatus::Fail).then_some(()));
    let text = instance.explain("p").expect("words");
    assert!(text.contains("nothing listens on the port") && text.contains("recover pool:p"), "{text}");
}
