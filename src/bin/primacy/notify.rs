//! The word to the service manager: sd_notify(3), by datagrams to the socket that NOTIFY_SOCKET names.
//!
//! Of our own, for the protocol is one line of text and the crates for it know no abstract sockets, which is what containers are
//! given.

use primacy::console::monotonic_us;
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The service manager, if there is one that listens.
#[derive(Debug)]
pub struct Manager {
    socket: Option<UnixDatagram>,
}

impl Manager {
    /// The one of NOTIFY_SOCKET. A socket that cannot be reached is no reason not to run.
    pub fn from_environment() -> Manager {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        Manager { socket: name.and_then(|name| connect(&name).ok()) }
    }

    /// Says one or more assignments, a line each. The manager that does not read its socket is not waited for.
    fn tell(&self, lines: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(lines.as_bytes());
        }
    }

    /// Start or reload is complete.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}\n", one_line(status)));
    }

    /// A reload begins. The time tells it from one before (Type=notify-reload).
    pub fn reloading(&self) {
        self.tell(&format!(
            "RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reading the configuration\n",
            monotonic_us()
        ));
    }

    /// What `systemctl status` shows.
    pub fn status(&self, status: &str) {
        self.tell(&format!("STATUS={}\n", one_line(status)));
    }

    /// The end begins.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping\n");
    }
}

fn connect(name: &OsStr) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(name)?,
    }
    Ok(socket)
}

/// Words from servers could hold line ends, and with them assignments.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

/// The watchdog of WATCHDOG_USEC: fed at half of its time, and only with turns of the engine's own loop.
#[derive(Debug)]
pub struct Watchdog {
    every: Duration,
    fed: Instant,
    turns: u64,
}

impl Watchdog {
    /// The one that the service manager keeps for this process.
    pub fn from_environment() -> Option<Watchdog> {
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let limit = number("WATCHDOG_USEC").filter(|us| *us > 0)?;
        let own = u64::from(std::process::id());
        if std::env::var_os("WATCHDOG_PID").is_some() && number("WATCHDOG_PID") != Some(own) {
            return None;
        }
        Some(Watchdog { every: Duration::from_micros(limit) / 2, fed: Instant::now(), turns: 0 })
    }

    /// How often it wants to be shown the loop's turns.
    pub fn pace(&self) -> Duration {
        (self.every / 4).max(Duration::from_millis(1))
    }

    /// Feeds it if its time has come and the loop has turned since the last time.
    pub fn see(&mut self, turns: u64, manager: &Manager) {
        if turns != self.turns && self.fed.elapsed() + self.pace() >= self.every {
            manager.tell("WATCHDOG=1\n");
            self.fed = Instant::now();
            self.turns = turns;
        }
    }
}
