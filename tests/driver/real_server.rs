//! Against a real MariaDB server: kept connections, and faults of a server that was well.

use crate::support::*;
use primacy::config::Config;
use primacy::engine::EventKind;
use primacy::instance::{EventFilter, Instance};
use primacy::pool::State;
use primacy::probe::Cause;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct MariaDb {
    folder: tempfile::TempDir,
    process: Child,
    pub port: u16,
}

impl MariaDb {
    pub fn start() -> MariaDb {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let install = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", &format!("--datadir={}", data.display())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("mariadb-install-db; `make deps` installs it");
        assert!(install.success());
        let port = refusing().port();
        let process = Command::new("/usr/sbin/mariadbd")
            .args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args(["--innodb-buffer-pool-size=16M", "--server-id=1", "--log-bin=bin"])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--port={port}"))
            .arg(format!("--socket={}", folder.path().join("s").display()))
            .stderr(std::fs::File::create(folder.path().join("log")).expect("a log"))
            .spawn()
            .expect("mariadbd; `make deps` installs it");
        let server = MariaDb { folder, process, port };
        wait_for("the server", Duration::from_secs(30), || server.try_sql("SELECT 1"));
        server.sql(
            "CREATE USER primacy@'127.0.0.1' IDENTIFIED BY 's3cret'; \
             GRANT REPLICATION CLIENT, SLAVE MONITOR, BINLOG MONITOR ON *.* TO primacy@'127.0.0.1'",
        );
        let password = server.folder.path().join("password");
        std::fs::write(&password, "s3cret\n").expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&password, mode).expect("a mode");
        server
    }

    fn try_sql(&self, text: &str) -> Option<String> {
        let socket = format!("--socket={}", self.folder.path().join("s").display());
        let output = Command::new("mariadb")
            .args(["--no-defaults", "-uroot", "-N", "-B", &socket, "-e", text])
            .stderr(Stdio::null())
            .output()
            .expect("mariadb");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub fn sql(&self, text: &str) -> String {
        self.try_sql(text).unwrap_or_else(|| panic!("failed: {text}"))
    }

    /// The server's ids of the probe's sessions.
    pub fn sessions(&self) -> Vec<String> {
        let text = "SELECT id FROM information_schema.processlist WHERE user = 'primacy'";
        self.sql(text).lines().map(String::from).collect()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: no pointer is passed; the process is our child and not yet waited for.
        assert_eq!(unsafe { libc::kill(self.process.id() as libc::pid_t, signal) }, 0);
    }

    /// The file with the probe's password.
    pub fn password(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    /// The probe's account, for a configuration.
    pub fn top(&self) -> String {
        format!("[probe]\nuser = \"primacy\"\npassword_file = \"{}\"", self.password().display())
    }

    pub fn config(&self, timing: &str) -> Config {
        let top = self.top();
        config(&[format!("127.0.0.1:{}", self.port), refusing().to_string()], &top, timing)
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn good(instance: &Instance) {
    wait_for("a good observation", Duration::from_secs(5), || {
        (node(instance, 0).cause == Some(Cause::Ok)).then_some(())
    });
}

#[test]
fn a_server_that_was_well() {
    let _alone = alone();
    let server = MariaDb::start();

    // One connection is kept, and a probe on it costs the process little.
    let instance = Instance::new(server.config("interval = \"20ms\"\nlogin_interval = \"1d\"")).expect("new");
    instance.start().expect("start");
    good(&instance);
    let sessions = server.sessions();
    assert_eq!(sessions.len(), 1);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.sessions(), sessions, "the same connection");
    let facts = node(&instance, 0).facts;
    assert!(facts.round_trip.is_some() && facts.version.is_some(), "{facts:?}");
    instance.stop().expect("stop");
    wait_for("the session's end", Duration::from_secs(2), || server.sessions().is_empty().then_some(()));
    assert_eq!(server.sql("SHOW GLOBAL STATUS LIKE 'Aborted_clients'"), "Aborted_clients\t0", "it said QUIT");

    // A lost connection is noticed while nothing is asked, and answered by an early probe that settles it.
    let instance = Instance::new(server.config("interval = \"1h\"\nlogin_interval = \"1d\"")).expect("new");
    let events = instance.subscribe(EventFilter::default(), 100).expect("events");
    instance.start().expect("start");
    good(&instance);
    let before = node(&instance, 0).observed_ms;
    std::thread::sleep(Duration::from_millis(100));
    let session = server.sessions().pop().expect("a session");
    server.sql(&format!("KILL {session}"));
    wait_for("the early probe", Duration::from_secs(2), || {
        (node(&instance, 0).observed_ms > before).then_some(())
    });
    good(&instance);
    assert_ne!(server.sessions(), vec![session]);
    let switches = std::iter::from_fn(|| events.next()).filter(|e| e.kind == EventKind::Switch).count();
    assert!(switches <= 1, "no switch but the first");
    drop(instance);

    // Stopped: hung, not silent and not gone; well again after SIGCONT.
    let instance = Instance::new(server.config("interval = \"50ms\"\ntimeout = \"100ms\"")).expect("new");
    instance.start().expect("start");
    good(&instance);
    server.signal(libc::SIGSTOP);
    wait_for("hung", Duration::from_secs(3), || {
        (node(&instance, 0).cause == Some(Cause::NoReply)).then_some(())
    });
    server.signal(libc::SIGCONT);
    good(&instance);

    // Killed: the kept connection tells at once, long before the next interval.
    drop(instance);
    let instance = Instance::new(server.config("interval = \"1h\"")).expect("new");
    instance.start().expect("start");
    good(&instance);
    wait_for("the role", Duration::from_secs(2), || {
        (node(&instance, 0).state == State::Active).then_some(())
    });
    let start = Instant::now();
    server.signal(libc::SIGKILL);
    let gone = wait_for("gone", Duration::from_secs(2), || {
        node(&instance, 0).cause.filter(|c| c.class() == primacy::probe::Class::Gone)
    });
    assert!(start.elapsed() < Duration::from_secs(1), "{gone} after {:?}", start.elapsed());
}
