//! Locks between real processes: this test binary started again, and forks of it.

use super::*;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;

const ROLE: &str = "PRIMACY_TEST_LOCK_ROLE";
const PLACE: &str = "PRIMACY_TEST_LOCK_PLACE";

fn place() -> (TempDir, PathBuf, CacheFolder) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("cache");
    let cache = CacheFolder::open(&path).unwrap();
    (dir, path, cache)
}

/// Another process, which answers line by line and ends with its input.
struct Other {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Other {
    fn start(role: &str, path: &Path) -> Other {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "io::lock::tests::child_process",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ROLE, role)
            .env(PLACE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        Other { process, input, output }
    }

    /// The next line that the role printed (the test harness prints too).
    fn says(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the other process ended");
            // The harness prints the test's name without ending the line.
            if let Some((_, said)) = line.split_once('@') {
                return said.trim_end().to_owned();
            }
        }
    }

    fn go_on(&mut self) {
        writeln!(self.input.as_mut().unwrap()).unwrap();
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn end(mut self) {
        self.input = None;
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn outcome(result: Result<CacheLock>) -> String {
    match result {
        Ok(_) => "locked".into(),
        Err(e) => format!("{}: {e}", e.code().name()),
    }
}

/// What a process of its own finds when it tries.
fn seen_by_another(path: &Path) -> String {
    let mut other = Other::start("try", path);
    let said = other.says();
    other.end();
    said
}

#[test]
#[ignore = "runs in processes that other tests make"]
fn child_process() {
    let role = std::env::var(ROLE).expect("started by another test");
    let path = PathBuf::from(std::env::var_os(PLACE).expect("started by another test"));
    let cache = CacheFolder::open(&path).unwrap();
    let say = |text: &str| println!("@{text}");
    let pause = || std::io::stdin().read_line(&mut String::new()).unwrap();
    match role.as_str() {
        "try" => say(&outcome(CacheLock::acquire(&cache))),
        "hold" => {
            let lock = CacheLock::acquire(&cache).unwrap();
            say("held");
            while pause() > 0 {}
            drop(lock);
        }
        "fork" => {
            let lock = CacheLock::acquire(&cache).unwrap();
            // SAFETY: this process has two threads at most and the other one sleeps in the harness; the child makes
            // system calls and takes locks that nobody held at the fork.
            match unsafe { libc::fork() } {
                0 => {
                    assert!(!lock.is_in_force(&cache));
                    drop(lock);
                    say(&format!("dropped {}", std::process::id()));
                    pause();
                    say(&outcome(CacheLock::acquire(&cache)));
                    // SAFETY: sleeping and ending touch no memory.
                    unsafe {
                        libc::sleep(60);
                        libc::_exit(0)
                    }
                }
                -1 => panic!("{}", io::Error::last_os_error()),
                _ => loop {
                    thread::sleep(Duration::from_secs(1));
                    assert!(lock.is_in_force(&cache));
                },
            }
        }
        other => panic!("no such role: {other}"),
    }
}

#[test]
fn a_lock_is_taken_and_given_back() {
    let (_dir, path, cache) = place();
    assert_eq!(CacheLock::holder(&cache).unwrap(), None);
    for _ in 0..3 {
        let lock = CacheLock::acquire(&cache).unwrap();
        assert!(lock.is_in_force(&cache));
        assert_eq!(CacheLock::holder(&cache).unwrap().unwrap().pid, std::process::id());
        drop(lock);
        assert_eq!(CacheLock::holder(&cache).unwrap(), None);
        assert_eq!(seen_by_another(&path), "locked");
    }
    let note = fs::read_to_string(path.with_extension("lock")).unwrap();
    assert!(
        note.starts_with("pid = ") && note.contains("\nprogram = ") && note.contains("\nsince_ms = "),
        "{note}"
    );
}

#[test]
fn one_process_gets_one_lock_by_any_spelling() {
    let (dir, path, cache) = place();
    let lock = CacheLock::acquire(&cache).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    for spelling in [path.clone(), link.join("cache"), dir.path().join("sub/../cache")] {
        let cache = CacheFolder::open(&spelling).unwrap();
        let error = CacheLock::acquire(&cache).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Locked);
        assert!(error.message().contains("another instance of this process"), "{error}");
        let error = CacheLock::wait(&cache, None, &AtomicBool::new(false)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Locked);
    }
    // None of the attempts opened and closed the file: the lock still keeps others out.
    cache.write("text").unwrap();
    assert!(cache.read().is_err());
    assert!(seen_by_another(&path).starts_with("PRIMACY_E_LOCKED"));
    let elsewhere = CacheFolder::open(&dir.path().join("other")).unwrap();
    drop(CacheLock::acquire(&elsewhere).unwrap());
    drop(lock);
    assert_eq!(seen_by_another(&path), "locked");
}

#[test]
fn the_holder_is_named() {
    let (_dir, path, cache) = place();
    let before = SystemTime::now();
    let mut other = Other::start("hold", &path);
    assert_eq!(other.says(), "held");
    let holder = CacheLock::holder(&cache).unwrap().unwrap();
    assert_eq!(holder.pid, other.process.id());
    assert_eq!(holder.program, program());
    let since = UNIX_EPOCH + Duration::from_millis(holder.since_ms + 1);
    assert!(since >= before && since <= SystemTime::now() + Duration::from_millis(1));
    let error = CacheLock::acquire(&cache).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Locked);
    assert_eq!(
        error.message(),
        format!(
            "the cache {} is held by process {} ({}) since {}; stop it, or set on_locked = \"wait\" or \"follow\"",
            path.display(),
            holder.pid,
            holder.program,
            format_utc(holder.since_ms).unwrap()
        )
    );
    // A note that contradicts the kernel, breaks its line or is no text at all.
    for note in [&b"pid = 1\nprogram = liar\n"[..], b"", &[0xff; 2000], b"pid = x\nprogram\n"] {
        fs::write(path.with_extension("lock"), note).unwrap();
        let found = CacheLock::holder(&cache).unwrap().unwrap();
        assert_eq!(found, Holder { pid: holder.pid, ..Holder::default() });
    }
    fs::write(path.with_extension("lock"), format!("pid = {}\nprogram = \u{1b}[2Jx\n", holder.pid)).unwrap();
    assert_eq!(CacheLock::holder(&cache).unwrap().unwrap().program, "?[2Jx");
    other.end();
    assert_eq!(outcome(CacheLock::acquire(&cache)), "locked");
}

#[test]
fn a_killed_holder_holds_nothing() {
    let (_dir, path, cache) = place();
    let mut other = Other::start("hold", &path);
    assert_eq!(other.says(), "held");
    assert!(CacheLock::acquire(&cache).is_err());
    other.kill();
    assert_eq!(outcome(CacheLock::acquire(&cache)), "locked");
}

#[test]
fn another_process_is_told_about_this_one() {
    let (_dir, path, cache) = place();
    let _lock = CacheLock::acquire(&cache).unwrap();
    let said = seen_by_another(&path);
    assert!(
        said.contains(&format!("is held by process {} ({}) since 2", std::process::id(), program())),
        "{said}"
    );
}

#[test]
fn a_forked_worker_neither_keeps_nor_drops_the_lock() {
    let (_dir, path, cache) = place();
    let mut other = Other::start("fork", &path);
    let said = other.says();
    let worker: libc::pid_t = said.strip_prefix("dropped ").unwrap().parse().unwrap();
    // The worker's drop left the parent's lock alone …
    let error = CacheLock::acquire(&cache).unwrap_err();
    assert!(error.message().contains(&format!("held by process {} ", other.process.id())), "{error}");
    // … the worker itself sees its parent as another process …
    other.go_on();
    let said = other.says();
    assert!(said.contains(&format!("held by process {} ", other.process.id())), "{said}");
    // … and after the parent's end the living worker does not keep the lock.
    other.kill();
    // SAFETY: signal 0 only asks whether the process is there.
    assert_eq!(unsafe { libc::kill(worker, 0) }, 0, "the worker lives");
    assert_eq!(outcome(CacheLock::acquire(&cache)), "locked");
    // SAFETY: the worker is a process that this test made.
    unsafe { libc::kill(worker, libc::SIGKILL) };
}

#[test]
fn a_waiter_gets_the_lock_when_the_holder_ends() {
    let (_dir, path, cache) = place();
    let mut other = Other::start("hold", &path);
    assert_eq!(other.says(), "held");
    thread::scope(|scope| {
        let waiter = scope.spawn(|| CacheLock::wait(&cache, None, &AtomicBool::new(false)));
        thread::sleep(Duration::from_millis(250));
        assert!(!waiter.is_finished());
        other.kill();
        let lock = waiter.join().unwrap().unwrap();
        assert!(lock.is_in_force(&cache));
        assert!(seen_by_another(&path).starts_with("PRIMACY_E_LOCKED"));
    });
    assert_eq!(seen_by_another(&path), "locked");
}

/// Two waiters in one process: one gets the lock, and the other one's attempts do not take it away again.
#[test]
fn two_waiters_do_not_disturb_each_other() {
    let (_dir, path, cache) = place();
    let mut other = Other::start("hold", &path);
    assert_eq!(other.says(), "held");
    thread::scope(|scope| {
        let wait = || CacheLock::wait(&cache, None, &AtomicBool::new(false));
        let waiters = [scope.spawn(wait), scope.spawn(wait)];
        thread::sleep(Duration::from_millis(250));
        other.kill();
        let results = waiters.map(|waiter| waiter.join().unwrap());
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1, "{results:?}");
        assert!(results.iter().flat_map(|r| r.as_ref().err()).all(|e| e.code() == ErrorCode::Locked));
        assert!(seen_by_another(&path).starts_with("PRIMACY_E_LOCKED"));
    });
}

#[test]
fn waiting_ends_by_deadline_and_by_stop() {
    let (_dir, path, cache) = place();
    let mut other = Other::start("hold", &path);
    assert_eq!(other.says(), "held");
    let begin = Instant::now();
    let error = CacheLock::wait(&cache, Some(begin + Duration::from_millis(150)), &AtomicBool::new(false))
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Locked);
    assert!(error.message().contains(&format!("process {}", other.process.id())), "{error}");
    assert!(begin.elapsed() >= Duration::from_millis(150));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| CacheLock::wait(&cache, None, &stop));
        thread::sleep(Duration::from_millis(150));
        assert!(!waiter.is_finished());
        stop.store(true, Ordering::Release);
        let begin = Instant::now();
        assert_eq!(waiter.join().unwrap().unwrap_err().code(), ErrorCode::Stopped);
        assert!(begin.elapsed() < Duration::from_secs(1));
    });
    assert!(seen_by_another(&path).contains(&format!("process {}", other.process.id())));
}

#[test]
fn a_removed_lock_file_is_noticed() {
    let (_dir, path, cache) = place();
    let lock = CacheLock::acquire(&cache).unwrap();
    fs::remove_file(path.with_extension("lock")).unwrap();
    assert!(!lock.is_in_force(&cache));
    // Another one can now lock a new file; this one's end does not harm it.
    let second = CacheLock::acquire(&cache).unwrap();
    assert!(second.is_in_force(&cache));
    drop(lock);
    assert!(seen_by_another(&path).starts_with("PRIMACY_E_LOCKED"));
}

#[test]
fn a_lock_file_that_is_a_link_is_refused() {
    let (dir, path, cache) = place();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), path.with_extension("lock")).unwrap();
    let error = CacheLock::acquire(&cache).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Io);
    assert!(error.message().contains("symbolic link"), "{error}");
    assert!(!dir.path().join("elsewhere").exists());
}
