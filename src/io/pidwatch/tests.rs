use super::*;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

struct Sleeper(Child);

impl Sleeper {
    fn start() -> Sleeper {
        Sleeper(Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("starts"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn with(content: &[u8]) -> Place {
        let place = Place(tempfile::tempdir().expect("a folder"));
        std::fs::write(place.file(), content).expect("written");
        place
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("router.pid")
    }

    fn open(&self, name: Option<&str>) -> Result<PidWatch, NoProcess> {
        PidWatch::open(&Registry::new(4), &self.file(), name)
    }
}

fn readable(fd: RawFd, timeout_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one live structure.
    unsafe { libc::poll(&mut poll, 1, timeout_ms) > 0 }
}

#[test]
fn a_death_is_known_at_once() {
    let mut sleeper = Sleeper::start();
    let place = Place::with(format!("{}\n", sleeper.0.id()).as_bytes());
    let watch = place.open(None).expect("alive");
    assert_eq!(watch.pid(), sleeper.0.id());
    assert!(!watch.is_dead() && !readable(watch.fd(), 20));
    sleeper.0.kill().expect("killed");
    let begun = Instant::now();
    // Nobody has waited for it yet: it is a zombie, and counts as dead.
    assert!(readable(watch.fd(), 10_000) && watch.is_dead());
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    assert!(matches!(place.open(None), Err(NoProcess::Gone(..))), "a zombie is no process to watch");
    sleeper.0.wait().expect("reaped");
    let error = place.open(None).expect_err("gone");
    assert!(matches!(error, NoProcess::Gone(..)) && error.is_dead(), "{error}");
}

#[test]
fn a_number_that_went_to_another() {
    let sleeper = Sleeper::start();
    let place = Place::with(format!("{}", sleeper.0.id()).as_bytes());
    assert!(place.open(Some("sleep")).is_ok());
    let error = place.open(Some("mysqlrouter")).expect_err("another name");
    assert!(matches!(&error, NoProcess::OtherName { found, .. } if found == "sleep"), "{error}");
    // Written long before the process was started.
    let file = OpenOptions::new().write(true).open(place.file()).expect("opens");
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("set");
    let error = place.open(None).expect_err("younger than its file");
    assert!(matches!(error, NoProcess::Reused(..)) && error.is_dead(), "{error}");
    // A clock that was set forward looks the same: the name settles it.
    assert!(place.open(Some("sleep")).is_ok());
}

#[test]
fn long_names_are_compared_as_the_kernel_keeps_them() {
    assert!(bears(b"mysqlrouter_lon", "mysqlrouter_longer"));
    assert!(bears(b"mysqlrouter", "mysqlrouter"));
    assert!(!bears(b"mysqlrouter", "mysql"));
    assert!(!bears(b"mysqlrouter_lon", "mysqlrouter_lo"));
}

#[test]
fn files_that_name_nobody() {
    for (content, dead) in [
        (&b""[..], false),
        (b"\n", false),
        (b"12a", false),
        (b"-1", false),
        (b"0", false),
        (b"2147483648", false),
        (b"99999999999999999999999", false),
        (b"12 13", false),
        (b"\xff\xfe", false),
        (&[b'1'; 65], false),
        // Above the largest number of any Linux: 2^22.
        (b"2147483647", true),
    ] {
        let error = Place::with(content).open(None).expect_err("nobody");
        assert_eq!(error.is_dead(), dead, "{error}");
        assert!(dead || matches!(error, NoProcess::Garbage(..)), "{error}");
        assert!(error.to_string().contains("router.pid"), "{error}");
    }
    let place = Place::with(b"1");
    std::fs::remove_file(place.file()).expect("removed");
    assert!(matches!(place.open(None), Err(NoProcess::Missing(_))));
    std::fs::create_dir(place.file()).expect("made");
    assert!(matches!(place.open(None), Err(NoProcess::Garbage(..))));
    std::fs::remove_dir(place.file()).expect("removed");
    assert!(Command::new("mkfifo").arg(place.file()).status().expect("runs").success());
    assert!(matches!(place.open(None), Err(NoProcess::Garbage(..))), "a FIFO does not hold us");
}

#[test]
fn names_of_every_kind_in_stat() {
    let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21";
    for comm in ["sleep", "a) b", "((", "", ") S 1 ("] {
        let stat = parse_stat(format!("77 ({comm}) {rest}\n").as_bytes()).expect("well formed");
        assert_eq!((stat.comm.as_slice(), stat.start), (comm.as_bytes(), 4242));
    }
    let whole = format!("77 (x) {rest}");
    for cut in 0..whole.find("4242").expect("there") {
        assert_eq!(parse_stat(&whole.as_bytes()[..cut]), None, "cut at {cut}");
    }
    let own = read_stat(std::process::id()).expect("there");
    let age = SystemTime::now().duration_since(started(own.start).expect("a rate")).expect("in the past");
    assert!(age < Duration::from_secs(3600), "{age:?}");
}
