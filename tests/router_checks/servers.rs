//! Two MySQL servers and a MySQL Router from the tree of tests/tools/mysql97.sh, on loopback, in a temporary folder.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Waits with a limit that a loaded machine keeps.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    const LIMIT: Duration = Duration::from_secs(60);
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The unpacked packages.
struct Tree {
    root: PathBuf,
}

impl Tree {
    fn fetch() -> Tree {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/mysql97.sh");
        let done = Command::new(&tool).output().expect("tests/tools/mysql97.sh");
        assert!(done.status.success(), "no MySQL 9.7: {}", String::from_utf8_lossy(&done.stderr));
        Tree { root: PathBuf::from(String::from_utf8_lossy(&done.stdout).trim()) }
    }

    /// A command that runs `program` through the tree's own loader.
    fn command(&self, program: &str, more_libraries: &[&str]) -> Command {
        let (loader, machine) = match std::env::consts::ARCH {
            "x86_64" => ("usr/lib64/ld-linux-x86-64.so.2", "x86_64"),
            "aarch64" => ("usr/lib/ld-linux-aarch64.so.1", "aarch64"),
            other => panic!("MySQL 9.7 is not packaged for {other}"),
        };
        let own = format!("usr/lib/{machine}-linux-gnu");
        let libraries: Vec<String> = more_libraries
            .iter()
            .copied()
            .chain([own.as_str()])
            .map(|folder| self.root.join(folder).display().to_string())
            .collect();
        let mut command = Command::new(self.root.join(loader));
        command.arg("--library-path").arg(libraries.join(":")).arg(self.root.join(program));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn mysqld(&self, data: &Path) -> Command {
        let root = self.root.display();
        let mut command = self.command("usr/sbin/mysqld", &[]);
        command
            .args(["--no-defaults", "--secure-file-priv=", "--user=root", "--skip-name-resolve"])
            .arg(format!("--basedir={root}/usr"))
            .arg(format!("--lc-messages-dir={root}/usr/share/mysql"))
            .arg(format!("--character-sets-dir={root}/usr/share/mysql/charsets"))
            .arg(format!("--plugin-dir={root}/usr/lib/mysql/plugin"))
            .args(["--innodb-redo-log-capacity=8M", "--innodb-buffer-pool-size=32M"])
            .args(["--innodb-use-native-aio=OFF", "--max-connections=60", "--performance-schema=OFF"])
            .arg(format!("--datadir={}", data.display()));
        command
    }
}

/// A process of ours.
pub struct Process(Child);

impl Process {
    pub fn signal(&self, signal: i32) {
        // SAFETY: no pointer is passed; the process is our child and not yet waited for.
        assert_eq!(unsafe { libc::kill(self.0.id() as libc::pid_t, signal) }, 0);
    }

    /// Stops it, and waits until it has: a signal is not done when it is sent.
    pub fn stop(&self) {
        self.signal(libc::SIGSTOP);
        let stat = format!("/proc/{}/stat", self.0.id());
        wait_for("a stopped process", || {
            std::fs::read_to_string(&stat)
                .is_ok_and(|s| s.rsplit(')').next().is_some_and(|s| s.starts_with(" T")))
        });
    }

    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server: its process and its two ports.
pub struct Server {
    pub process: Process,
    pub port: u16,
    pub x_port: u16,
}

/// All of them. The first server takes writes, the second is read-only.
pub struct Tier {
    pub servers: [Server; 2],
    pub router: Process,
    pub ports: Ports,
    _folder: tempfile::TempDir,
}

/// The router's ports.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Classic, `first-available`: the first server, then the second.
    pub rw: u16,
    /// Classic, `round-robin`: the second server.
    pub ro: u16,
    /// Classic, the router's own login, to the first server.
    pub own: u16,
    /// X, to the first server.
    pub x_rw: u16,
    /// Classic, to the first server, for one connection at a time.
    pub few: u16,
}

impl Tier {
    pub fn start() -> Tier {
        let tree = Tree::fetch();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let template = path.join("template");
        let made = tree
            .mysqld(&template)
            .arg("--initialize-insecure")
            .arg(format!("--log-error={}", path.join("initialise.log").display()))
            .status();
        assert!(made.is_ok_and(|status| status.success()), "{}", log(&path.join("initialise.log")));
        let servers = [1, 2].map(|number| start_server(&tree, path, &template, number));
        for server in &servers {
            wait_for("a server", || {
                TcpStream::connect(local(server.port)).is_ok()
                    && TcpStream::connect(local(server.x_port)).is_ok()
            });
        }
        let ports =
            Ports { rw: free_port(), ro: free_port(), own: free_port(), x_rw: free_port(), few: free_port() };
        let router = start_router(&tree, path, &servers, ports);
        for port in [ports.rw, ports.ro, ports.own, ports.x_rw, ports.few] {
            wait_for("the router", || TcpStream::connect(local(port)).is_ok());
        }
        Tier { servers, router, ports, _folder: folder }
    }
}

fn log(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn start_server(tree: &Tree, folder: &Path, template: &Path, number: u32) -> Server {
    let data = folder.join(format!("data{number}"));
    let copied = Command::new("cp")
        .args(["-a", "--reflink=auto", "--sparse=always"])
        .arg(template)
        .arg(&data)
        .status();
    assert!(copied.is_ok_and(|status| status.success()));
    // Each server makes an identity of its own.
    std::fs::remove_file(data.join("auto.cnf")).expect("auto.cnf");
    let statements = folder.join(format!("init{number}.sql"));
    let read_only = if number == 2 { "SET GLOBAL super_read_only = 1;\n" } else { "" };
    let account = "SET sql_log_bin = 0;\nCREATE USER primacy@'127.0.0.1' IDENTIFIED WITH caching_sha2_password BY 's3cret';\n";
    std::fs::write(&statements, format!("{account}{read_only}")).expect("a file");
    let (port, x_port) = (free_port(), free_port());
    let place = |name: &str| folder.join(format!("{name}{number}")).display().to_string();
    let process = tree
        .mysqld(&data)
        .args(["--bind-address=127.0.0.1", "--mysqlx-bind-address=127.0.0.1"])
        .arg(format!("--server-id={number}"))
        .arg(format!("--port={port}"))
        .arg(format!("--mysqlx-port={x_port}"))
        .arg(format!("--socket={}", place("s")))
        .arg(format!("--mysqlx-socket={}", place("x")))
        .arg(format!("--pid-file={}", place("pid")))
        .arg(format!("--log-error={}", place("log")))
        .arg(format!("--init-file={}", statements.display()))
        .spawn()
        .expect("mysqld");
    Server { process: Process(process), port, x_port }
}

fn start_router(tree: &Tree, folder: &Path, servers: &[Server; 2], ports: Ports) -> Process {
    let [first, second] = servers;
    let data = folder.join("router");
    std::fs::create_dir(&data).expect("a folder");
    let (root, data) = (tree.root.display(), data.display());
    let mut text = format!(
        "[DEFAULT]\nplugin_folder={root}/usr/lib/mysqlrouter/plugin\nlogging_folder={data}\nruntime_folder={data}\n\
         data_folder={data}\n[logger]\nlevel=info\n"
    );
    let mut route = |name: &str, port: u16, protocol: &str, strategy: &str, to: &[u16], more: &str| {
        let to: Vec<String> = to.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        text.push_str(&format!(
            "[routing:{name}]\nbind_address=127.0.0.1\nbind_port={port}\nprotocol={protocol}\nrouting_strategy={strategy}\n\
             destinations={}\n{more}\n",
            to.join(",")
        ));
    };
    route("rw", ports.rw, "classic", "first-available", &[first.port, second.port], "");
    route("ro", ports.ro, "classic", "round-robin", &[second.port], "");
    let own = "client_ssl_mode=DISABLED\nserver_ssl_mode=PREFERRED";
    route("own", ports.own, "classic", "first-available", &[first.port], own);
    route("xrw", ports.x_rw, "x", "first-available", &[first.x_port], "");
    route("few", ports.few, "classic", "first-available", &[first.port], "max_connections=1");
    let file = folder.join("router.conf");
    std::fs::write(&file, text).expect("a file");
    let process = tree
        .command("usr/bin/mysqlrouter", &["usr/lib/mysql-router"])
        .arg("-c")
        .arg(file)
        .spawn()
        .expect("mysqlrouter");
    Process(process)
}
