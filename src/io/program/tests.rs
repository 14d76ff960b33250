//! Real programs on the real kernel.

use super::*;
use crate::io::clock;
use std::process::Command;
use std::time::Instant;

/// Says which part a process plays that a test starts: dispositions and standard descriptors belong to a whole process.
const ROLE: &str = "PRIMACY_TEST_PROGRAM_ROLE";

fn spec(argv: &[&str], timeout_ms: u64) -> Spec {
    Spec {
        argv: argv.iter().map(|s| (*s).to_owned()).collect(),
        environment: Vec::new(),
        timeout: Duration::from_millis(timeout_ms),
        grace: Duration::from_millis(500),
    }
}

/// Long enough for a program that needs no time, on a loaded machine.
const AMPLE: u64 = 20_000;

fn start(spec: &Spec) -> io::Result<Program> {
    Program::start(&Registry::new(16), spec, clock::mono())
}

/// Waits as a driver does. The end, and how often the program had to be looked at.
fn finish(program: &mut Program) -> (Ended, u32) {
    let until = Instant::now() + std::time::Duration::from_secs(60);
    let mut turns = 0;
    loop {
        let now = clock::mono();
        if let Some(ended) = program.turn(now) {
            assert_eq!(program.deadline(), Time::NEVER);
            return (ended, turns);
        }
        turns += 1;
        let left = program.deadline().since(clock::mono()).as_millis() as i32 + 1;
        let mut poll = libc::pollfd { fd: program.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live structure.
        unsafe { libc::poll(&mut poll, 1, left) };
        assert!(Instant::now() < until, "the program never ends: {program:?}");
    }
}

fn run(spec: &Spec) -> Ended {
    finish(&mut start(spec).expect("starts")).0
}

fn printed(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.output.kept).into_owned()
}

/// Whether a process of that number runs. A zombie that was left to the machine's first process does not.
fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + std::time::Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < until, "never came to be: {what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Whether this process still has a child of that number, dead or alive.
fn is_child(pid: i32) -> bool {
    let mut info: libc::siginfo_t = unsafe { core::mem::zeroed() };
    // SAFETY: `info` is live; WNOWAIT takes nothing away.
    let found = unsafe {
        libc::waitid(libc::P_PID, pid as libc::id_t, &mut info, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)
    };
    found == 0
}

#[test]
fn tells_code_output_and_errors() {
    let ended = run(&spec(&["sh", "-c", "echo one; echo two; echo bad >&2; exit 7"], AMPLE));
    assert_eq!((ended.how, ended.stopped), (How::Exited(7), None));
    assert_eq!(printed(&ended), "one\ntwo\n");
    assert_eq!((ended.output.first_line(), ended.errors.first_line()), ("one".into(), "bad".into()));
    assert_eq!((ended.output.total, ended.errors.total), (8, 4));
    let ended = run(&spec(&["sh", "-c", "kill -9 $$"], AMPLE));
    assert_eq!(ended.how, How::Signalled(9));
}

#[test]
fn no_shell_reads_the_arguments() {
    let ended = run(&spec(&["printf", "%s|", "$HOME; exit 3", "", "*", "ä"], AMPLE));
    assert_eq!((printed(&ended).as_str(), ended.how), ("$HOME; exit 3||*|ä|", How::Exited(0)));
}

#[test]
fn the_environment_is_what_was_given_and_a_path() {
    let mut spec = spec(&["env"], AMPLE);
    spec.environment = vec![("VIP".into(), "10.0.0.101/16".into()), ("EPOCH".into(), "7".into())];
    let ended = run(&spec);
    assert_eq!(printed(&ended), format!("VIP=10.0.0.101/16\nEPOCH=7\nPATH={PATH}\n"));
    spec.argv = vec!["/usr/bin/env".into()];
    spec.environment = vec![("PATH".into(), "/nowhere".into())];
    assert_eq!(printed(&run(&spec)), "PATH=/nowhere\n");
    spec.argv = vec!["env".into()];
    assert_eq!(start(&spec).expect_err("not in that PATH").kind(), io::ErrorKind::NotFound);
}

#[test]
fn signals_group_folder_and_input_are_fresh() {
    // On a thread as the driver's, which has nearly all signals blocked; the test runner ignores SIGPIPE.
    let thread =
        crate::io::thread::spawn("test", 1 << 20, || run(&spec(&["cat", "/proc/self/status"], AMPLE)));
    let ended = thread.expect("a thread").join().expect("no panic");
    for name in ["SigBlk", "SigIgn", "SigCgt"] {
        assert!(printed(&ended).contains(&format!("\n{name}:\t0000000000000000\n")), "{}", printed(&ended));
    }

    let ended = run(&spec(&["sh", "-c", "pwd; cat; cut -d' ' -f5 /proc/$$/stat; echo $$"], AMPLE));
    let words = printed(&ended);
    let lines: Vec<_> = words.lines().collect();
    assert_eq!((lines[0], lines[1]), ("/", lines[2]), "folder, group and process: {words}");
}

#[test]
fn no_descriptor_of_the_host_reaches_it() {
    // One that stays open across execve, as a careless host's.
    let file = std::fs::File::open("/dev/zero").expect("opens");
    // SAFETY: no pointer is passed.
    let stray = owned(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD, 100) }).expect("a descriptor");
    let ended = run(&spec(&["sh", "-c", "for f in /proc/$$/fd/*; do echo ${f##*/}; done"], AMPLE));
    drop(stray);
    // The fourth is the shell's own, of the folder that it reads.
    assert_eq!(printed(&ended), "0\n1\n2\n3\n");
}

#[test]
fn one_that_takes_too_long_is_asked_to_end() {
    let mut program = start(&spec(&["sleep", "600"], 100)).expect("starts");
    let pid = program.pid().expect("runs");
    let (ended, turns) = finish(&mut program);
    assert_eq!((ended.how, ended.stopped), (How::Signalled(libc::SIGTERM), Some(Stopped::Timeout)));
    assert!(ended.took >= Duration::from_millis(100), "{:?}", ended.took);
    assert!(turns < 20, "looked {turns} times: it spins");
    assert!(!is_child(pid), "a zombie is left");
}

#[test]
fn one_that_cleans_up_when_asked_has_its_grace() {
    let script = "trap 'echo tidy; exit 5' TERM; echo ready; while :; do sleep 0.02; done";
    let mut spec = spec(&["sh", "-c", script], 1000);
    spec.grace = Duration::from_secs(20);
    let ended = run(&spec);
    assert_eq!((ended.how, ended.stopped), (How::Exited(5), Some(Stopped::Timeout)));
    assert_eq!(printed(&ended), "ready\ntidy\n");
}

#[test]
fn the_whole_group_of_one_that_does_not_listen_is_killed() {
    let script = "trap '' TERM; sleep 600 & echo $!; sleep 600";
    let ended = run(&spec(&["sh", "-c", script], 1500));
    assert_eq!((ended.how, ended.stopped), (How::Signalled(libc::SIGKILL), Some(Stopped::Timeout)));
    let other: i32 = ended.output.first_line().parse().expect("a number");
    wait_until("the background process is killed", || !runs(other));
}

#[test]
fn a_group_whose_leader_listens_is_killed_too() {
    // The leader dies at SIGTERM, the other ignores it and holds the output.
    let script = "(trap '' TERM; sleep 600) & echo $!; exec sleep 600";
    let mut program = start(&spec(&["sh", "-c", script], 1500)).expect("starts");
    let (ended, turns) = finish(&mut program);
    assert_eq!(ended.how, How::Signalled(libc::SIGTERM));
    let other: i32 = ended.output.first_line().parse().expect("a number");
    wait_until("the background process is killed", || !runs(other));
    assert!(turns < 20, "looked {turns} times: it spins");
}

#[test]
fn whoever_keeps_the_output_open_does_not_hold_the_end_back() {
    let mut program = start(&spec(&["sh", "-c", "sleep 600 & echo $!"], AMPLE)).expect("starts");
    let (ended, turns) = finish(&mut program);
    assert_eq!((ended.how, ended.stopped), (How::Exited(0), None));
    assert!(ended.took < Duration::from_secs(15), "{:?}", ended.took);
    assert!(turns < 20, "looked {turns} times: it spins");
    // What it left running on purpose runs on.
    let other: i32 = ended.output.first_line().parse().expect("a number");
    assert!(runs(other));
    // SAFETY: no pointer is passed.
    unsafe { libc::kill(other, libc::SIGKILL) };
}

#[test]
fn endless_output_is_bounded_and_counted() {
    let ended = run(&spec(&["yes", "0123456789"], 1000));
    assert_eq!(ended.stopped, Some(Stopped::Timeout));
    assert_eq!(ended.output.kept.len(), KEPT);
    assert!(ended.output.total > 2 * KEPT as u64, "{}", ended.output.total);
    assert_eq!(ended.output.first_line(), "0123456789");
    let ended = run(&spec(&["sh", "-c", "head -c 1000000 /dev/zero >&2; echo end"], AMPLE));
    assert_eq!((ended.errors.total, ended.errors.kept.len()), (1_000_000, KEPT));
    assert_eq!((ended.how, printed(&ended).as_str()), (How::Exited(0), "end\n"));
}

#[test]
fn stopped_on_request() {
    let mut program = start(&spec(&["sleep", "600"], 600_000)).expect("starts");
    assert_eq!(program.turn(clock::mono()), None);
    program.stop(clock::mono());
    let (ended, _) = finish(&mut program);
    assert_eq!((ended.how, ended.stopped), (How::Signalled(libc::SIGTERM), Some(Stopped::Asked)));
}

#[test]
fn dropped_while_it_runs_nothing_is_left() {
    let registry = Registry::new(16);
    let spec = spec(&["sh", "-c", "trap '' TERM; sleep 600 & echo $!; sleep 600"], AMPLE);
    let mut program = Program::start(&registry, &spec, clock::mono()).expect("starts");
    let pid = program.pid().expect("runs");
    wait_until("it has printed", || {
        assert_eq!(program.turn(clock::mono()), None);
        program.output.output.total > 0
    });
    let other: i32 = program.output.output.first_line().parse().expect("a number");
    drop(program);
    wait_until("it is reaped", || {
        reap_left();
        !is_child(pid)
    });
    wait_until("its group is gone", || !runs(other));
    assert_eq!(registry.open(), 0, "descriptors are left");
    assert_eq!(reap_left(), 0);
}

#[test]
fn what_cannot_be_run_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("text");
    std::fs::write(&text, "no program\n").expect("written");
    let text = text.to_str().expect("UTF-8");
    let chmod = |mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(text, std::fs::Permissions::from_mode(mode)).expect("allowed");
    };
    let fails = |argv: &[&str]| {
        let registry = Registry::new(16);
        let error = Program::start(&registry, &spec(argv, AMPLE), clock::mono()).expect_err("cannot run");
        assert_eq!(registry.open(), 0, "descriptors are left");
        let name = argv.first().copied().unwrap_or_default();
        assert!(error.to_string().contains(&format!("'{name}'")), "{error}");
        error
    };
    assert_eq!(fails(&[]).kind(), io::ErrorKind::InvalidInput);
    assert_eq!(fails(&[""]).kind(), io::ErrorKind::InvalidInput);
    assert_eq!(fails(&["true", "a\0b"]).kind(), io::ErrorKind::InvalidInput);
    assert_eq!(fails(&["/no/such/program"]).kind(), io::ErrorKind::NotFound);
    assert_eq!(fails(&["no-such-program-anywhere"]).kind(), io::ErrorKind::NotFound);
    assert_eq!(fails(&[folder.path().to_str().expect("UTF-8")]).kind(), io::ErrorKind::PermissionDenied);
    chmod(0o644);
    assert_eq!(fails(&[text]).kind(), io::ErrorKind::PermissionDenied);
    chmod(0o755);
    assert!(fails(&[text]).to_string().contains("Exec format error"));
}

#[test]
fn children_of_the_host_are_not_touched() {
    let mut own = Command::new("sh").args(["-c", "exit 9"]).spawn().expect("starts");
    wait_until("the host's child is dead", || !runs(own.id() as i32));
    assert_eq!(run(&spec(&["true"], AMPLE)).how, How::Exited(0));
    assert_eq!(own.wait().expect("still there").code(), Some(9));
}

/// Runs this very test in a process of its own that plays `role`.
fn in_a_process_of_its_own(test: &str, role: &str) -> bool {
    if std::env::var(ROLE).is_ok_and(|r| r == role) {
        return false;
    }
    let name = format!("{}::{test}", module_path!().split_once("::").expect("a crate").1);
    let result = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .output()
        .expect("starts");
    let text =
        String::from_utf8_lossy(&result.stdout).into_owned() + &String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success() && text.contains("1 passed"), "{text}");
    true
}

#[test]
fn a_host_that_ignores_its_children() {
    if in_a_process_of_its_own("a_host_that_ignores_its_children", "ignores") {
        return;
    }
    // SAFETY: no pointer is passed; the process is this test's own.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let ended = run(&spec(&["sh", "-c", "echo said; exit 7"], AMPLE));
    assert_eq!((ended.how, printed(&ended).as_str()), (How::Unknown, "said\n"));
    let script = "(trap '' TERM; sleep 600) & echo $!; exec sleep 600";
    let mut spec = spec(&["sh", "-c", script], 1500);
    spec.grace = Duration::from_millis(200);
    let ended = run(&spec);
    assert_eq!((ended.how, ended.stopped), (How::Unknown, Some(Stopped::Timeout)));
    let other: i32 = ended.output.first_line().parse().expect("a number");
    // Where the kernel can signal a group by a pidfd (6.9).
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) >= (Some(6), Some(9)) {
        wait_until("the rest of the group is killed", || !runs(other));
    } else {
        // SAFETY: no pointer is passed.
        unsafe { libc::kill(other, libc::SIGKILL) };
    }
    assert_eq!(start(&self::spec(&["/no/such"], AMPLE)).expect_err("fails").kind(), io::ErrorKind::NotFound);
}

static HEARD: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

extern "C" fn hear(_: libc::c_int) {
    HEARD.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
}

#[test]
fn a_hosts_own_handler_stays_and_never_runs_in_the_child() {
    if in_a_process_of_its_own("a_hosts_own_handler_stays_and_never_runs_in_the_child", "handler") {
        return;
    }
    let handler = hear as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler is a function of the right type that only adds to an atomic.
    unsafe {
        libc::signal(libc::SIGCHLD, handler);
        libc::signal(libc::SIGUSR1, handler);
    }
    for _ in 0..20 {
        assert_eq!(run(&spec(&["true"], AMPLE)).how, How::Exited(0));
    }
    assert!(HEARD.load(std::sync::atomic::Ordering::SeqCst) > 0, "the host hears of its children as ever");
    let mut old: libc::sigaction = unsafe { core::mem::zeroed() };
    // SAFETY: a null action asks for the one in force.
    unsafe { libc::sigaction(libc::SIGCHLD, core::ptr::null(), &mut old) };
    assert_eq!(old.sa_sigaction, handler);
    // The mask of the calling thread is as before.
    let mut mask: libc::sigset_t = unsafe { core::mem::zeroed() };
    // SAFETY: a null set asks for the one in force.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, core::ptr::null(), &mut mask);
        assert_eq!(libc::sigismember(&mask, libc::SIGUSR1), 0);
    }
}

#[test]
fn a_host_without_standard_descriptors() {
    if in_a_process_of_its_own("a_host_without_standard_descriptors", "closed") {
        return;
    }
    let saved: Vec<_> = (0..3)
        // SAFETY: no pointer is passed.
        .map(|fd| owned(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 50) }).expect("a copy"))
        .collect();
    // SAFETY: no pointer is passed; nothing is printed meanwhile.
    (0..3).for_each(|fd| unsafe {
        libc::close(fd);
    });
    let ended = run(&spec(&["sh", "-c", "cat; echo out; echo err >&2"], AMPLE));
    for (fd, saved) in (0..).zip(&saved) {
        // SAFETY: no pointer is passed.
        unsafe { libc::dup2(saved.as_raw_fd(), fd) };
    }
    assert_eq!((ended.output.first_line(), ended.errors.first_line()), ("out".into(), "err".into()));
}
