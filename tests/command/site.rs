//! A folder with a configuration and a cache, and the command run in it.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What one run of the command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Asserts the exit code, with all that was said on failure.
    #[track_caller]
    pub fn exits(self, code: i32) -> Said {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }

    #[track_caller]
    pub fn complains(self, parts: &[&str]) -> Said {
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is missing in standard error: {self:?}");
        }
        self
    }

    /// Exactly one message on standard error, and nothing on standard output.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) -> Said {
        let said = self.exits(code).complains(parts);
        assert!(said.out.is_empty(), "{said:?}");
        assert!(said.err.starts_with("primacy: "), "{said:?}");
        assert_eq!(said.err.matches("primacy: ").count(), 1, "one message: {said:?}");
        said
    }
}

pub struct Site {
    dir: tempfile::TempDir,
}

pub const PRIMACY: &str = env!("CARGO_BIN_EXE_primacy");

impl Site {
    pub fn new(config: &str) -> Site {
        let site = Site { dir: tempfile::TempDir::new().unwrap() };
        site.write("primacy.toml", &format!("cache_file = {:?}\n{config}", site.path("cache")));
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn cache(&self) -> Vec<u8> {
        fs::read(self.path("cache")).unwrap()
    }

    pub fn command(&self) -> Command {
        self.command_as(Path::new(PRIMACY))
    }

    pub fn command_as(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("PRIMACY_CONFIG", self.path("primacy.toml"))
            .env_remove("NO_COLOR")
            .current_dir(self.dir.path());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Said {
        said(self.command().args(arguments))
    }

    /// The agent, once it watches and has stored what it saw first.
    pub fn agent(&self) -> Agent {
        self.agent_with(|_, _| {})
    }

    /// The same, with more in its environment; the log is its standard error.
    pub fn agent_with(&self, add: impl FnOnce(&mut Command, &fs::File)) -> Agent {
        let log = self.path("agent.log");
        let file = fs::File::create(&log).unwrap();
        let mut command = self.command();
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"] {
            command.env_remove(name);
        }
        add(&mut command, &file);
        let child = command.arg("run").stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let mut agent = Agent { child, log };
        agent.wait_for("agent: watching");
        wait_until(|| self.path("cache").exists(), || agent.log());
        agent
    }
}

pub fn said(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running agent; a test that fails leaves none behind.
pub struct Agent {
    pub child: Child,
    log: PathBuf,
}

impl Agent {
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.log().contains(text) {
            assert!(Instant::now() < end, "{text:?} did not come: {}", self.log());
            assert_eq!(self.child.try_wait().unwrap(), None, "the agent ended: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal and gives the exit code and the time until the end.
    pub fn end(&mut self, signal: i32) -> (Option<i32>, Duration) {
        let begin = Instant::now();
        // SAFETY: the child has not been waited for, so its number is its own.
        assert_eq!(unsafe { libc::kill(self.child.id() as libc::pid_t, signal) }, 0);
        let status = self.child.wait().unwrap();
        (status.code(), begin.elapsed())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for what another process does; `why` explains if it does not come.
#[track_caller]
pub fn wait_until(mut condition: impl FnMut() -> bool, why: impl Fn() -> String) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "{}", why());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A pool of two refused ports, quick to settle.
pub fn gone_pool(name: &str) -> (String, [String; 2]) {
    // Port 1 (tcpmux) refuses on every machine, and the system never hands it out to a test that binds port 0.
    let nodes = ["127.0.0.1:1", "127.0.0.2:1"].map(String::from);
    let text = format!(
        "[pool.{name}]\nprobe = {{ interval = \"50ms\", confirm_interval = \"5ms\" }}\nnodes = [\n  {{ address = \
         \"{}\", type = \"primary\" }},\n  {{ address = \"{}\" }},\n]\n",
        nodes[0], nodes[1]
    );
    (text, nodes)
}

/// Reads a whole pipe.
pub fn read_all(mut pipe: impl Read) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}
