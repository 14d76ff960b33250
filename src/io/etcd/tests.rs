//! Machines and clients against a real etcd, and against servers that are none.

use super::*;
use crate::config::vip::NoQuorum;
use crate::engine::Time;
use crate::io::clock;
use crate::vip::lease::{Failure, Lease};
use crate::vip::ownership::{Leaving, Output, Ownership, Score};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The shortest lease that the configuration allows.
const TTL: u64 = 2;

/// How long anything may take on a loaded machine that takes no time on an idle one.
const AMPLE: Duration = Duration::from_secs(20);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

/// A member of its own cluster.
struct Etcd {
    child: Child,
    folder: tempfile::TempDir,
    scheme: &'static str,
    client: u16,
    peer: u16,
    more: Vec<String>,
}

impl Etcd {
    fn start() -> Etcd {
        Etcd::with("http", |_| Vec::new())
    }

    fn with(scheme: &'static str, more: impl Fn(&Path) -> Vec<String>) -> Etcd {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("primacy-etcd").tempdir_in(place).expect("a folder");
        let more = more(folder.path());
        let (client, peer) = (free_port(), free_port());
        let child = Etcd::spawn(folder.path(), scheme, client, peer, &more);
        let etcd = Etcd { child, folder, scheme, client, peer, more };
        etcd.wait();
        etcd
    }

    fn spawn(folder: &Path, scheme: &str, client: u16, peer: u16, more: &[String]) -> Child {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log");
        let (client, peer) = (format!("{scheme}://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let arguments = [
            ("--name", "a"),
            ("--data-dir", &*folder.join("data").to_string_lossy()),
            ("--listen-client-urls", &client),
            ("--advertise-client-urls", &client),
            ("--listen-peer-urls", &peer),
            ("--initial-advertise-peer-urls", &peer),
            ("--initial-cluster", &format!("a={peer}")),
            ("--heartbeat-interval", "50"),
            ("--election-timeout", "500"),
        ]
        .iter()
        .flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()])
        .chain(more.iter().cloned())
        .collect::<Vec<_>>();
        Command::new("etcd")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a copy"))
            .stderr(log)
            .spawn()
            .expect("etcd is not installed: run tests/tools/deps.sh")
    }

    /// Until it takes connections.
    fn wait(&self) {
        let until = Instant::now() + AMPLE;
        while std::net::TcpStream::connect(("127.0.0.1", self.client)).is_err() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "etcd does not start: {log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.client)
    }

    fn signal(&self, signal: i32) {
        // SAFETY: no pointer is passed; the child is ours and not yet waited for.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        self.child.wait().expect("killed");
    }

    fn restart(&mut self) {
        self.child = Etcd::spawn(self.folder.path(), self.scheme, self.client, self.peer, &self.more);
        self.wait();
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
        let _ = self.child.wait();
    }
}

fn config(endpoints: &[String]) -> LeaseConfig {
    LeaseConfig {
        endpoints: endpoints.to_vec(),
        key_prefix: "/primacy/vip/".into(),
        ttl: Duration::from_secs(TTL),
        margin: Duration::from_millis(100),
        no_quorum: NoQuorum::Release,
        ca: None,
        certificate: None,
        user: String::new(),
        password_file: None,
    }
}

/// One host: a machine, its client, and an address that needs no kernel.
struct Agent {
    lease: Lease,
    client: EtcdClient,
    wake: Arc<Wake>,
    epoch: Option<u64>,
    /// When it owned, and lost, and by which row.
    owned: Vec<(Time, u16)>,
    lost: Vec<(Time, u16)>,
    renewals: u32,
}

impl Agent {
    fn start(host: &str, config: &LeaseConfig, score: u8) -> Agent {
        let wake = lone_wake();
        let settings = Settings {
            key: format!("{}web", config.key_prefix),
            host: host.into(),
            place: format!("place of {host}"),
            life: format!("{:?}", entropy::bytes::<8>().expect("random")),
            ttl: config.ttl,
            margin: config.margin,
            no_quorum: config.no_quorum,
        };
        let mut agent = Agent {
            lease: Lease::new(settings),
            client: EtcdClient::start(config, &wake).expect("starts"),
            wake,
            epoch: None,
            owned: Vec::new(),
            lost: Vec::new(),
            renewals: 0,
        };
        agent.lease.wish(clock::boot(), Score(score));
        agent
    }

    fn turn(&mut self) {
        self.wake.lower();
        while let Some(Answered { job, answer, .. }) = self.client.answer() {
            self.lease.handle_answer(clock::boot(), job, answer);
        }
        let now = clock::boot();
        if self.lease.poll_timeout() <= now {
            self.lease.handle_timer(now);
        }
        while let Some(output) = self.lease.poll() {
            match output {
                Output::Do(ask) => self.client.ask(0, ask),
                Output::Own { rule, epoch, .. } => {
                    assert!(epoch > self.epoch, "the term grows");
                    self.epoch = epoch;
                    self.owned.push((now, rule));
                }
                Output::Lose { rule, .. } => {
                    self.lost.push((now, rule));
                    self.lease.released(now);
                }
                Output::Valid { .. } => self.renewals += 1,
                Output::Announce { .. } | Output::Notice(_) => {}
            }
        }
    }

    fn owns(&self) -> bool {
        self.lease.owns() && self.lease.valid_until().is_some_and(|until| clock::boot() < until)
    }
}

/// Turns the agents until something has come to be.
fn until(agents: &mut [Agent], what: &str, mut condition: impl FnMut(&mut [Agent]) -> bool) {
    let end = Instant::now() + AMPLE;
    while !condition(agents) {
        assert!(Instant::now() < end, "never came to be: {what}");
        step(agents);
    }
}

fn step(agents: &mut [Agent]) {
    agents.iter_mut().for_each(Agent::turn);
    assert!(agents.iter().filter(|agent| agent.owns()).count() <= 1, "two owners");
    let mut polls: Vec<libc::pollfd> = agents
        .iter()
        .map(|agent| libc::pollfd { fd: agent.wake.fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    // SAFETY: the vector is live and of the length that is passed.
    unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, 2) };
}

fn run_for(agents: &mut [Agent], time: Duration) {
    let end = Instant::now() + time;
    until(agents, "time passes", |_| Instant::now() >= end);
}

fn owner(agents: &[Agent]) -> Option<usize> {
    agents.iter().position(Agent::owns)
}

fn settled(etcd: &Etcd, hosts: usize) -> Vec<Agent> {
    let config = config(&[etcd.url()]);
    let mut agents: Vec<Agent> =
        (0..hosts).map(|i| Agent::start(&format!("rt{}", i + 1), &config, 100 + i as u8)).collect();
    until(&mut agents, "one owns", |agents| owner(agents).is_some());
    // Everybody has a lease in stock.
    run_for(&mut agents, Duration::from_millis(600));
    agents
}

/// Asks by a client of its own.
fn ask(config: &LeaseConfig, request: Request) -> Answer {
    let client = EtcdClient::start(config, &lone_wake()).expect("starts");
    client.ask(3, Ask { job: 9, request, timeout: Duration::from_secs(5) });
    let answered = client.answers.recv_timeout(AMPLE).expect("every question is answered");
    assert_eq!((answered.vip, answered.job), (3, 9));
    client.end(AMPLE);
    answered.answer
}

fn look(config: &LeaseConfig) -> Answer {
    ask(config, Request::Look { key: "/primacy/vip/web".into() })
}

fn trouble(answer: &Answer) -> Option<Trouble> {
    match answer {
        Answer::Failed(Failure { trouble, words }) => {
            assert!(!words.is_empty() && words.len() < 400, "{words}");
            Some(*trouble)
        }
        _ => None,
    }
}

#[test]
fn one_owns_others_wait_and_a_move_is_quick() {
    let etcd = Etcd::start();
    let mut agents = settled(&etcd, 3);
    let first = owner(&agents).expect("one owns");
    let Answer::Held(holder) = look(&config(&[etcd.url()])) else { panic!("the key is held") };
    assert!(holder.value.contains(&format!("\"host\":\"rt{}\"", first + 1)), "{}", holder.value);
    // Longer than the lease: it is renewed.
    let renewals = agents[first].renewals;
    run_for(&mut agents, Duration::from_millis(2500));
    assert_eq!((owner(&agents), agents[first].lost.len()), (Some(first), 0));
    assert!(agents[first].renewals > renewals + 1, "{}", agents[first].renewals);

    let mut moves = Vec::new();
    for _ in 0..10 {
        let from = owner(&agents).expect("one owns");
        let heir = (from + 1) % 3;
        let now = clock::boot();
        agents[from].lease.leave(now, Leaving::ToHeir);
        agents[from].turn();
        assert!(!agents[from].lease.owns());
        // Told as soon as the address is gone: the end of the old lease may be on its way still.
        agents[heir].lease.claim(clock::boot());
        until(&mut agents, "the heir owns", |agents| agents[heir].lease.owns());
        assert_eq!(agents[heir].owned.last().map(|(_, rule)| *rule), Some(761));
        assert!(agents[heir].epoch > agents[from].epoch, "the term grows over all hosts");
        moves.push(agents[heir].owned.last().map_or(0, |(at, _)| at.since(now).as_micros()));
        run_for(&mut agents, Duration::from_millis(50));
    }
    moves.sort_unstable();
    println!("planned moves, us: {moves:?}");
    assert!(moves[moves.len() / 2] < 300_000, "{moves:?}");
}

#[test]
fn a_dead_owner_is_followed_within_the_lease_and_a_second() {
    let etcd = Etcd::start();
    let mut agents = settled(&etcd, 2);
    // Killed: it gives nothing back.
    let dead = agents.remove(owner(&agents).expect("one owns"));
    let valid = dead.lease.valid_until().expect("valid");
    drop(dead);
    let begun = clock::boot();
    until(&mut agents, "the other owns", |agents| agents[0].owns());
    let took = clock::boot().since(begun);
    println!("taken over after {took:?}");
    assert!(clock::boot() > valid, "not before the lease of the dead ran out");
    assert!(took < Duration::from_secs(TTL + 3), "{took:?}");
    // It comes back, with other words, and waits.
    agents.push(Agent::start("rt9", &config(&[etcd.url()]), 200));
    run_for(&mut agents, Duration::from_secs(1));
    assert_eq!(owner(&agents), Some(0));
}

#[test]
fn the_death_of_etcd_is_survived_by_nobodys_ownership() {
    let mut etcd = Etcd::start();
    let mut agents = settled(&etcd, 2);
    let first = owner(&agents).expect("one owns");
    etcd.kill();
    let valid = agents[first].lease.valid_until().expect("valid");
    until(&mut agents, "the owner lets go", |agents| !agents[first].lost.is_empty());
    let (at, rule) = agents[first].lost[0];
    assert_eq!(rule, 758);
    assert!(at >= valid && at.since(valid) < Duration::from_secs(2), "{at} {valid}");
    assert_eq!(owner(&agents), None);
    etcd.restart();
    until(&mut agents, "one owns again", |agents| owner(agents).is_some());
    run_for(&mut agents, Duration::from_secs(1));
    assert!(owner(&agents).is_some());
}

#[test]
fn a_slow_etcd_costs_nothing_a_hanging_one_the_ownership() {
    let etcd = Etcd::start();
    let mut agents = settled(&etcd, 2);
    let first = owner(&agents).expect("one owns");
    for _ in 0..3 {
        etcd.signal(libc::SIGSTOP);
        run_for(&mut agents, Duration::from_millis(300));
        etcd.signal(libc::SIGCONT);
        run_for(&mut agents, Duration::from_millis(700));
    }
    assert_eq!((owner(&agents), agents[first].lost.len()), (Some(first), 0), "held through short stops");
    etcd.signal(libc::SIGSTOP);
    until(&mut agents, "the owner lets go", |agents| !agents[first].lost.is_empty());
    assert_eq!(agents[first].lost[0].1, 758);
    run_for(&mut agents, Duration::from_millis(500));
    etcd.signal(libc::SIGCONT);
    until(&mut agents, "one owns again", |agents| owner(agents).is_some());
}

#[test]
fn a_lease_revoked_by_hand_and_a_key_removed() {
    let etcd = Etcd::start();
    let config = config(&[etcd.url()]);
    let mut agents = vec![Agent::start("rt1", &config, 100)];
    until(&mut agents, "it owns", |agents| agents[0].owns());
    let Answer::Held(holder) = look(&config) else { panic!("the key is held") };
    assert_eq!(ask(&config, Request::Revoke { lease: holder.lease }), Answer::NoLease);
    until(&mut agents, "it notices", |agents| !agents[0].lost.is_empty());
    assert!(matches!(agents[0].lost[0].1, 755 | 756), "{:?}", agents[0].lost);
    until(&mut agents, "it owns again", |agents| agents[0].owns());
    assert_eq!(agents[0].owned.len(), 2);
    // What does not exist is told as that.
    assert_eq!(ask(&config, Request::KeepAlive { lease: holder.lease }), Answer::NoLease);
    assert_eq!(ask(&config, Request::Remaining { lease: holder.lease }), Answer::NoLease);
    assert_eq!(ask(&config, Request::Revoke { lease: holder.lease }), Answer::NoLease);
    let (key, value) = ("/primacy/vip/other".to_owned(), "x".to_owned());
    let claim = Request::Claim { key: key.clone(), value: value.clone(), lease: holder.lease };
    assert_eq!(ask(&config, claim), Answer::NoLease);
    assert_eq!(ask(&config, Request::Look { key: key.clone() }), Answer::Free);
    let Answer::Granted { lease, .. } = ask(&config, Request::Grant { seconds: 60 }) else {
        panic!("granted")
    };
    let claim = Request::Claim { key: key.clone(), value: value.clone(), lease };
    let Answer::Claimed { revision } = ask(&config, claim.clone()) else { panic!("claimed") };
    let held = Answer::Held(crate::vip::lease::Holder { value: value.clone(), lease, revision });
    assert_eq!(ask(&config, claim), held);
    let stale = Request::TakeOver { key: key.clone(), value: value.clone(), lease, revision: revision - 1 };
    assert_eq!(ask(&config, stale), held);
    let take = Request::TakeOver { key, value, lease, revision };
    assert!(matches!(ask(&config, take), Answer::Claimed { revision: later } if later > revision));
}

#[test]
fn a_process_takes_over_what_its_predecessor_left() {
    let etcd = Etcd::start();
    let config = config(&[etcd.url()]);
    let mut agents = vec![Agent::start("rt1", &config, 100)];
    until(&mut agents, "it owns", |agents| agents[0].owns());
    let before = agents[0].epoch;
    agents.clear();
    let begun = Instant::now();
    agents.push(Agent::start("rt1", &config, 100));
    until(&mut agents, "its successor owns", |agents| agents[0].owns());
    println!("taken over after {:?}", begun.elapsed());
    assert_eq!(agents[0].owned[0].1, 766);
    assert!(agents[0].epoch > before);
}

#[test]
fn the_other_endpoint_is_asked() {
    let etcd = Etcd::start();
    // One refuses, one takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("http://{}", silent.local_addr().expect("bound"));
    let refusing = format!("http://127.0.0.1:{}", free_port());
    for first in [refusing, silent] {
        let config = config(&[first, etcd.url()]);
        assert!(matches!(look(&config), Answer::Free));
        let mut agents = vec![Agent::start("rt1", &config, 100)];
        until(&mut agents, "it owns", |agents| agents[0].owns());
        run_for(&mut agents, Duration::from_millis(2500));
        assert!(agents[0].owns() && agents[0].lost.is_empty());
        let now = clock::boot();
        agents[0].lease.wish(now, Score(0));
        agents[0].turn();
        until(&mut agents, "the key is given back", |_| look(&config) == Answer::Free);
    }
}

/// A server that says the same to whoever connects, and then closes or hangs.
fn server(says: Vec<u8>, hangs: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut question = [0; 4096];
            let _ = stream.read(&mut question);
            let _ = stream.write_all(&says);
            if hangs {
                std::thread::spawn(move || std::thread::sleep(Duration::from_secs(30)));
                std::mem::forget(stream);
            }
        }
    });
    format!("http://{address}")
}

#[test]
fn servers_that_are_none() {
    let refused = format!("http://127.0.0.1:{}", free_port());
    let begun = Instant::now();
    assert_eq!(trouble(&look(&config(&[refused]))), Some(Trouble::Unreachable));
    assert!(begun.elapsed() < AMPLE / 2);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let huge = format!("{head}\r\n{}", " ".repeat(1 << 20)).into_bytes();
    let endless_chunks =
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", "fff\r\n".repeat(9)).into_bytes();
    for (says, expected) in [
        (b"".to_vec(), Trouble::Unreachable),
        (b"SSH-2.0-OpenSSH_9\r\n".to_vec(), Trouble::Garbage),
        (b"\x15\x03\x01\x00\x02\x02\x50".to_vec(), Trouble::Garbage),
        (format!("{head}Content-Length: 5\r\n\r\nhello").into_bytes(), Trouble::Garbage),
        (format!("{head}Content-Length: 2\r\n\r\n{{}}").into_bytes(), Trouble::Garbage),
        (format!("{head}Content-Length: 50\r\n\r\n{{\"header\":{{}}").into_bytes(), Trouble::Garbage),
        (format!("{head}Content-Length: 9999999\r\n\r\n").into_bytes(), Trouble::Garbage),
        (huge, Trouble::Garbage),
        (endless_chunks, Trouble::Garbage),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n".to_vec(),
            Trouble::Garbage,
        ),
    ] {
        let shown = String::from_utf8_lossy(says.get(..60).unwrap_or(&says)).into_owned();
        let answer = look(&config(&[server(says, false)]));
        assert_eq!(trouble(&answer), Some(expected), "{shown:?}: {answer:?}");
    }
}

#[test]
fn half_an_answer_ends_by_its_time() {
    let url = server(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"header\":".to_vec(), true);
    let client = EtcdClient::start(&config(&[url]), &lone_wake()).expect("starts");
    let begun = Instant::now();
    // More than there are threads: those that wait are answered by their time, too.
    for job in 0..6 {
        let request = Request::KeepAlive { lease: 7 };
        client.ask(0, Ask { job, request, timeout: Duration::from_millis(400) });
    }
    for _ in 0..6 {
        let answered = client.answers.recv_timeout(AMPLE).expect("answered");
        assert_eq!(trouble(&answered.answer), Some(Trouble::Unreachable));
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn endpoints_that_cannot_be() {
    for bad in [
        "ftp://a:1",
        "http://",
        "http://:1",
        "http://a:0",
        "http://a:x",
        "http://a:70000",
        "http://a/b",
        "http://::1:2379",
        "http://a b",
    ] {
        let error = EtcdClient::start(&config(&[bad.into()]), &lone_wake()).map(|_| ()).expect_err("refused");
        assert_eq!(error.code(), ErrorCode::Config, "{bad}");
        assert!(error.message().contains(bad), "{error}");
    }
    for good in ["http://127.0.0.1", "http://[::1]:2379", "http://etcd-1.example:2379/", "http://[::1]"] {
        EtcdClient::start(&config(&[good.into()]), &lone_wake()).map(|_| ()).expect(good);
    }
}

#[test]
fn accounts() {
    let mut etcd = Etcd::start();
    let post = |path: &str, body: &str| {
        let mut link = None;
        let endpoints = exchange::endpoints(&config(&[etcd.url()])).expect("parses");
        let until = Instant::now() + AMPLE;
        let reply = endpoints[0].exchange(&mut link, path, None, body, until, ANSWER_MAX).expect("answers");
        assert_eq!(reply.status, 200, "{path}: {}", String::from_utf8_lossy(&reply.body));
    };
    post("/v3/auth/user/add", r#"{"name":"root","password":"s3cret word"}"#);
    post("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#);
    post("/v3/auth/enable", "{}");
    let file = etcd.folder.path().join("password");
    let with = |user: &str, password: &str| {
        std::fs::write(&file, password).expect("written");
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("allowed");
        LeaseConfig { user: user.into(), password_file: Some(file.clone()), ..config(&[etcd.url()]) }
    };
    assert_eq!(trouble(&look(&config(&[etcd.url()]))), Some(Trouble::Denied), "nobody");
    let answer = look(&with("root", "wr0ng word"));
    assert_eq!(trouble(&answer), Some(Trouble::Denied));
    assert!(!format!("{answer:?}").contains("wr0ng"), "{answer:?}");
    let right = with("root", "s3cret word");
    assert_eq!(look(&right), Answer::Free);
    let mut agents = vec![Agent::start("rt1", &right, 100)];
    until(&mut agents, "it owns", |agents| agents[0].owns());
    // A new life of the server knows none of its tokens.
    etcd.kill();
    etcd.restart();
    let renewals = agents[0].renewals;
    until(&mut agents, "it is renewed, or owns again", |agents| {
        agents[0].owns() && agents[0].renewals > renewals + 1
    });
}

#[cfg(feature = "tls")]
mod encrypted {
    use super::*;

    fn openssl(folder: &Path, arguments: &str) {
        let result = Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output();
        let result = result.expect("openssl is not installed: run tests/tools/deps.sh");
        assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
    }

    fn certificates(folder: &Path) -> PathBuf {
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(folder, &format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=ca -days 2"));
        openssl(folder, &format!("req -x509 {key} -keyout other.key -out other.pem -subj /CN=other -days 2"));
        std::fs::write(folder.join("ext"), "subjectAltName=IP:127.0.0.1\n").expect("written");
        for name in ["server", "client"] {
            openssl(folder, &format!("req -new {key} -keyout {name}.key -out {name}.csr -subj /O={name}"));
            openssl(
                folder,
                &format!(
                    "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile ext"
                ),
            );
        }
        folder.to_owned()
    }

    #[test]
    fn certificates_are_looked_at_on_both_sides() {
        let etcd = Etcd::with("https", |folder| {
            let folder = certificates(folder);
            let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
            vec![
                format!("--cert-file={}", file("server.pem")),
                format!("--key-file={}", file("server.key")),
                format!("--trusted-ca-file={}", file("ca.pem")),
                "--client-cert-auth".into(),
            ]
        });
        let file = |name: &str| etcd.folder.path().join(name);
        let own = Some((file("client.pem"), file("client.key")));
        let plain = config(&[etcd.url()]);
        let good = LeaseConfig { ca: Some(file("ca.pem")), certificate: own.clone(), ..plain.clone() };
        let end = Instant::now() + AMPLE;
        while look(&good) != Answer::Free {
            assert!(Instant::now() < end, "{:?}", look(&good));
        }
        let mut agents = vec![Agent::start("rt1", &good, 100)];
        until(&mut agents, "it owns", |agents| agents[0].owns());
        let foreign = LeaseConfig { ca: Some(file("other.pem")), ..good.clone() };
        assert_eq!(trouble(&look(&foreign)), Some(Trouble::Denied), "an authority that did not sign it");
        let bare = LeaseConfig { certificate: None, ..good.clone() };
        assert!(
            matches!(trouble(&look(&bare)), Some(Trouble::Denied | Trouble::Unreachable)),
            "without our own"
        );
        let error = EtcdClient::start(&plain, &lone_wake()).map(|_| ()).expect_err("no authority");
        assert!(error.message().contains("etcd_ca"), "{error}");
        // Plain HTTP to a port that speaks TLS, and TLS to one that does not.
        let mixed = config(&[etcd.url().replace("https", "http")]);
        assert!(trouble(&look(&mixed)).is_some());
        let other = server(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), false).replace("http", "https");
        let other = LeaseConfig { endpoints: vec![other], ..good };
        assert_eq!(trouble(&look(&other)), Some(Trouble::Denied));
    }
}
