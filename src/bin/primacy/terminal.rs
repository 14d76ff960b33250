//! Text on its way out: once, complete, and without commands to the terminal.

use crate::failure::{Exit, Failure};
use primacy::engine::{Event, EventKind, Now, Severity, Time};
use primacy::store::utc::format_utc;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes to standard output. A reader that has gone away (`| head`) is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Unreachable, format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// Writes one message to standard error.
pub fn complain(text: &str) {
    note(&marked(ERROR, &format!("primacy: {text}\n")));
}

/// A message that does not end the command.
pub fn warn(text: &str) {
    note(&marked(WARNING, &format!("primacy: warning: {text}\n")));
}

/// Levels of syslog(3), as sd-daemon(3) wants them in front of a line.
const CRITICAL: u8 = 2;
const ERROR: u8 = 3;
const WARNING: u8 = 4;
const INFORMATIONAL: u8 = 6;

/// Lines of a log, marked with their severity if the journal reads them.
pub fn logged(severity: Severity, text: &str) -> String {
    let level = match severity {
        Severity::Info => INFORMATIONAL,
        Severity::Warning => WARNING,
        Severity::Alarm => CRITICAL,
    };
    marked(level, text)
}

fn marked(level: u8, text: &str) -> String {
    static JOURNAL: OnceLock<bool> = OnceLock::new();
    if !JOURNAL.get_or_init(reaches_journal) {
        return text.to_string();
    }
    text.split_inclusive('\n').flat_map(|line| [format!("<{level}>"), line.to_string()]).collect()
}

/// Whether standard error is the stream that the service manager opened to the journal: JOURNAL_STREAM names its device
/// and inode (systemd.exec(5)); after a redirection it is another one.
fn reaches_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let stream = io::stderr().as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
    stream.is_ok_and(|stream| named == format!("{}:{}", stream.dev(), stream.ino()))
}

/// Text to standard error as it is. If nobody reads there, nobody can be told.
pub fn note(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether standard output shows colours: a terminal, and the user has not said no (no-color.org).
pub fn has_colour() -> bool {
    let off = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
    !off && !dumb && io::stdout().is_terminal()
}

/// Text without control characters: server messages reach the terminal through this.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Milliseconds since the Unix epoch.
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The moment of a command on stored state, where only the wall clock has a meaning.
pub fn now() -> Now {
    Now { mono: Time(0), wall_ms: wall_ms() }
}

/// A time of the cache or an event.
pub fn date(ms: u64) -> String {
    format_utc(ms).unwrap_or_else(|| format!("{ms} ms after 1970"))
}

/// `12s`, `5m`, `3h`, `2d`: the largest whole unit, cut.
pub fn age(ms: u64) -> String {
    match ms / 1000 {
        s @ 0..=119 => format!("{s}s"),
        s @ 120..=7199 => format!("{}m", s / 60),
        s @ 7200..=172_799 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

/// One event as a line of a log: time, severity, place, kind, rule, words.
pub fn event_line(event: &Event) -> String {
    let place = match (event.pool.as_str(), event.node.as_str()) {
        // The tier as a whole, on this host.
        ("", node) if matches!(event.kind, EventKind::Vip | EventKind::Peer) && !node.is_empty() => {
            node.to_string()
        }
        ("", _) => "-".to_string(),
        (pool, "") => pool.to_string(),
        (pool, node) => format!("{pool}/{node}"),
    };
    let severity = match event.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Alarm => "ALARM",
    };
    let rule = if event.rule == 0 { String::new() } else { format!(" rule {}", event.rule) };
    format!(
        "{} {severity:<7} {place} {}{rule}: {}\n",
        date(event.wall_ms),
        event.kind,
        printable(&event.message)
    )
}

#[cfg(test)]
mod tests {
    use super::{age, printable};

    #[test]
    fn ages_are_cut_not_rounded() {
        for (ms, text) in
            [(0, "0s"), (119_999, "119s"), (120_000, "2m"), (7_199_999, "119m"), (172_800_000, "2d")]
        {
            assert_eq!(age(ms), text);
        }
    }

    #[test]
    fn a_server_cannot_command_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc\u{9b}1m"), "a [2Jb c 1m");
    }
}
