//! Servers that misbehave, configurations, and waiting with a limit.

use parking_lot::{Mutex, MutexGuard};
use primacy::config::ConfigBuilder;
use primacy::engine::{NodeSnapshot, PoolSnapshot};
use primacy::instance::Instance;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

static SERIAL: Mutex<()> = Mutex::new(());

/// The tests count descriptors and threads of the process, so one runs at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    SERIAL.lock()
}

/// What a server does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Accepts and says nothing.
    Silent,
    /// Accepts and resets.
    Reset,
    /// Accepts and closes.
    Close,
    /// Says something that is not MySQL.
    Http,
}

/// A TCP server of few words.
pub struct Server {
    pub address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(behaviour: Behaviour) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let thread = std::thread::spawn(move || {
            let mut kept: Vec<TcpStream> = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut first = [0u8; 1];
                stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
                // The end of the test says "!" first; a probe waits for the server's greeting.
                if matches!(stream.peek(&mut first), Ok(1)) && first[0] == b'!' {
                    return;
                }
                match behaviour {
                    Behaviour::Silent => kept.push(stream),
                    Behaviour::Close => drop(stream),
                    Behaviour::Http => {
                        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
                    }
                    Behaviour::Reset => {
                        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
                        // SAFETY: the structure is live and the length is its own.
                        unsafe {
                            libc::setsockopt(
                                stream.as_raw_fd(),
                                libc::SOL_SOCKET,
                                libc::SO_LINGER,
                                (&raw const linger).cast(),
                                size_of::<libc::linger>() as libc::socklen_t,
                            )
                        };
                    }
                }
            }
        });
        Server { address, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.write_all(b"!").expect("the server reads");
        self.thread.take().expect("once").join().expect("the server's thread");
    }
}

/// An address at which nobody listens.
pub fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address")
}

/// An instance of one pool `p` of these nodes; `more` is TOML for the pool's table, timing for its probes.
pub fn instance(nodes: &[String], top: &str, more: &str) -> Instance {
    Instance::new(config(nodes, top, more)).expect("an instance")
}

pub fn config(nodes: &[String], top: &str, more: &str) -> primacy::config::Config {
    let list: Vec<String> = nodes
        .iter()
        .enumerate()
        .map(|(i, n)| {
            let kind = if i == 0 { "primary" } else { "secondary" };
            format!("{{ address = \"{n}\", type = \"{kind}\" }}")
        })
        .collect();
    let timing = |line: &&str| line.contains("interval =") || line.contains("timeout =");
    let probe: String = more.lines().filter(timing).flat_map(|l| [l, "\n"]).collect();
    let rest: String = more.lines().filter(|l| !timing(l)).flat_map(|l| [l, "\n"]).collect();
    let table = if probe.is_empty() { "" } else { "[pool.p.probe]" };
    let text = format!("{top}\n[pool.p]\n{rest}nodes = [{}]\n{table}\n{probe}", list.join(", "));
    let mut builder = ConfigBuilder::new();
    builder.load_text(&text, "test.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
    builder.build().unwrap_or_else(|e| panic!("{e}\n{text}"))
}

pub fn pool(instance: &Instance) -> PoolSnapshot {
    instance.snapshot().expect("a snapshot").pools.remove(0)
}

pub fn node(instance: &Instance, index: usize) -> NodeSnapshot {
    pool(instance).nodes.remove(index)
}

/// Waits until `done` gives something.
pub fn wait_for<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a descriptor becomes readable within `limit`.
pub fn readable(fd: RawFd, limit: Duration) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one live structure.
    let count = unsafe { libc::poll(&mut poll, 1, limit.as_millis() as i32) };
    count == 1 && poll.revents & libc::POLLIN != 0
}

/// The numbers of this process's open descriptors, with what they are.
pub fn descriptors() -> Vec<(RawFd, String)> {
    let mut list: Vec<(RawFd, String)> = std::fs::read_dir("/proc/self/fd")
        .expect("/proc")
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.parse().ok()?;
            // The descriptor of this very listing is gone by the time its link is read.
            Some((number, std::fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
        })
        .filter(|(_, what)| !what.contains("/proc/"))
        .collect();
    list.sort();
    list
}

/// The kernel's names of this process's threads.
pub fn threads() -> Vec<(String, String)> {
    std::fs::read_dir("/proc/self/task")
        .expect("/proc")
        .filter_map(|task| {
            let path = task.ok()?.path();
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            let status = std::fs::read_to_string(path.join("status")).ok()?;
            Some((name.trim().to_owned(), status))
        })
        .collect()
}
