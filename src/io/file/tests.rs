//! Real files, real processes that die, a real full disk.

use super::*;
use crate::pool::{NodeType, PoolStatus, State, Status};
use crate::store::{StoredNode, StoredPool, encode};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const ROLE: &str = "PRIMACY_TEST_FILE_ROLE";
const PLACE: &str = "PRIMACY_TEST_FILE_PLACE";

fn document(sequence: u64) -> Cache {
    document_of(sequence, 20)
}

fn document_of(sequence: u64, message_len: usize) -> Cache {
    Cache {
        sequence,
        written_ms: 1_763_724_297_123,
        pools: vec![StoredPool {
            name: "main".into(),
            epoch: sequence,
            epoch_reserved: sequence + 1000,
            status: PoolStatus::Ok,
            frozen: None,
            failback_waits: false,
            removed: vec![],
            nodes: vec![StoredNode {
                name: "10.0.1.11:3306".into(),
                node_type: NodeType::Primary,
                state: State::Active,
                status: Status::Ok,
                count: Some(0),
                waits_for_recover: false,
                owed: false,
                intent: false,
                rule: 1,
                observed_ms: 0,
                changed_ms: 0,
                message: "m".repeat(message_len),
                override_: None,
            }],
        }],
    }
}

fn place() -> (TempDir, PathBuf, CacheFolder) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("cache");
    let folder = CacheFolder::open(&path).unwrap();
    (dir, path, folder)
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// This test binary once more, as a process of its own that runs `child` with the given role.
fn child(role: &str, place: &Path, own_namespace: bool) -> Command {
    let binary = std::env::current_exe().unwrap();
    let mut command = if own_namespace {
        let mut command = Command::new("unshare");
        // Root may mount in a mount namespace of its own; anybody else needs to become root of a user namespace first.
        let root = fs::metadata("/proc/self").unwrap().uid() == 0;
        command.arg(if root { "-m" } else { "-rm" }).arg(binary);
        command
    } else {
        Command::new(binary)
    };
    command.args([
        "--exact",
        "io::file::tests::child_process",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env(ROLE, role).env(PLACE, place).stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> (ExitStatus, String) {
    let out = command.output().unwrap();
    (out.status, format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

fn read_cache(path: &Path) -> Result<Option<Cache>> {
    CacheFolder::open(path)?.read()
}

#[test]
#[ignore = "runs in processes that other tests make"]
fn child_process() {
    let role = std::env::var(ROLE).expect("started by another test");
    let place = PathBuf::from(std::env::var_os(PLACE).expect("started by another test"));
    let path = place.join("cache");
    match role.as_str() {
        "write once" => CacheFolder::open(&path).unwrap().write(&encode(&document(2))).unwrap(),
        "file size limit" => {
            // SAFETY: ignoring a signal touches no memory of ours.
            unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
            let error = CacheFolder::open(&path).unwrap().write(&encode(&document(2))).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Io);
            assert!(error.message().contains("the old state in the file is kept"), "{error}");
        }
        "write on" => {
            let folder = CacheFolder::open(&path).unwrap();
            for sequence in 1.. {
                folder.write(&encode(&document_of(sequence, 3000))).unwrap();
                println!("@{sequence}");
            }
        }
        step if step.starts_with("dies at ") => dies_at(step, &path),
        "full disk" => full_disk(&place),
        "chroot" => chroot(&place),
        other => panic!("no such role: {other}"),
    }
}

#[test]
fn a_document_is_written_and_read() {
    let (dir, path, folder) = place();
    assert_eq!(folder.read().unwrap(), None);
    assert_eq!(read_cache(&path).unwrap(), None);
    for sequence in 1..4 {
        folder.write(&encode(&document(sequence))).unwrap();
        assert_eq!(folder.read().unwrap(), Some(document(sequence)));
        assert_eq!(read_cache(&path).unwrap(), Some(document(sequence)));
        assert_eq!(names(dir.path()), ["cache"]);
    }
    assert_eq!(
        fs::metadata(&path).unwrap().mode() & 0o027,
        0,
        "others see nothing, the group does not write"
    );
}

#[test]
fn the_folder_s_name_does_not_matter_once_it_is_open() {
    let dir = TempDir::new().unwrap();
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    fs::create_dir(&before).unwrap();
    let folder = CacheFolder::open(&before.join("cache")).unwrap();
    fs::rename(&before, &after).unwrap();
    folder.write(&encode(&document(1))).unwrap();
    assert_eq!(folder.read().unwrap(), Some(document(1)));
    assert_eq!(read_cache(&after.join("cache")).unwrap(), Some(document(1)));
}

#[test]
fn reading_and_writing_go_on_after_chroot() {
    let (dir, path, _) = place();
    let (status, said) = run(child("chroot", dir.path(), true));
    assert!(status.success(), "{said}");
    assert_eq!(read_cache(&path).unwrap(), Some(document(7)));
}

fn chroot(place: &Path) {
    let folder = CacheFolder::open(&place.join("cache")).unwrap();
    let jail = TempDir::new().unwrap();
    let name = CString::new(jail.path().to_str().unwrap()).unwrap();
    // SAFETY: the name ends with NUL.
    assert_eq!(unsafe { libc::chroot(name.as_ptr()) }, 0, "{}", io::Error::last_os_error());
    std::env::set_current_dir("/").unwrap();
    assert!(!place.exists());
    folder.write(&encode(&document(6))).unwrap();
    folder.write(&encode(&document(7))).unwrap();
    assert_eq!(folder.read().unwrap(), Some(document(7)));
    // The jail is gone from sight; its owner removes it from outside.
    std::mem::forget(jail);
}

#[test]
fn leftovers_of_every_length_do_no_harm() {
    let (dir, _, folder) = place();
    let new = encode(&document(2));
    for len in 0..=new.len() {
        folder.write(&encode(&document(1))).unwrap();
        fs::write(dir.path().join("cache.tmp"), &new.as_bytes()[..len]).unwrap();
        assert_eq!(folder.read().unwrap(), Some(document(1)));
        folder.write(&encode(&document(3))).unwrap();
        assert_eq!(folder.read().unwrap(), Some(document(3)));
        assert_eq!(names(dir.path()), ["cache"]);
    }
}

/// The kernel kills the writer when its file would grow beyond a limit: at every byte, in the middle of the real write.
#[test]
fn a_writer_killed_at_any_byte_leaves_the_old_document() {
    let (dir, path, folder) = place();
    let len = encode(&document(2)).len() as u64;
    folder.write(&encode(&document(1))).unwrap();
    for limit in 0..len {
        let mut command = child("write once", dir.path(), false);
        // SAFETY: setrlimit is async-signal-safe and reads structures on its own stack.
        unsafe { command.pre_exec(move || limit_file_size(limit)) };
        let (status, said) = run(command);
        assert_eq!(status.signal(), Some(libc::SIGXFSZ), "limit {limit}: {said}");
        assert_eq!(fs::metadata(dir.path().join("cache.tmp")).unwrap().len(), limit, "it died elsewhere");
        assert_eq!(read_cache(&path).unwrap(), Some(document(1)), "limit {limit}");
    }
    let mut command = child("write once", dir.path(), false);
    // SAFETY: as above.
    unsafe { command.pre_exec(move || limit_file_size(len)) };
    let (status, said) = run(command);
    assert!(status.success(), "{said}");
    assert_eq!(read_cache(&path).unwrap(), Some(document(2)));
    assert_eq!(names(dir.path()), ["cache"]);
}

/// The system calls of a write, in order, each with whether it concerns the folder and what is in the cache when the
/// kernel kills the writer as it asks for that one.
const STEPS: [(&str, libc::c_long, bool, u64); 7] = [
    ("dies at removing the leftover", libc::SYS_unlinkat, true, 1),
    ("dies at making the file", libc::SYS_openat, true, 1),
    ("dies at the mode", libc::SYS_fchmod, false, 1),
    ("dies at writing", libc::SYS_write, false, 1),
    ("dies at syncing the file", libc::SYS_fsync, false, 1),
    ("dies at renaming", libc::SYS_renameat, true, 1),
    ("dies at syncing the folder", libc::SYS_fsync, true, 2),
];

#[test]
fn a_writer_killed_at_any_system_call_leaves_the_old_document_or_the_new_one() {
    for (step, _, _, left) in STEPS {
        let (dir, path, folder) = place();
        folder.write(&encode(&document(1))).unwrap();
        let (status, said) = run(child(step, dir.path(), false));
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{step}: {said}");
        assert_eq!(read_cache(&path).unwrap(), Some(document(left)), "{step}");
        // What it left behind is in nobody's way.
        folder.write(&encode(&document(3))).unwrap();
        assert_eq!(read_cache(&path).unwrap(), Some(document(3)), "{step}");
        assert_eq!(names(dir.path()), ["cache"], "{step}");
    }
}

/// Lets the kernel kill this process as soon as it asks for one of [`STEPS`].
fn dies_at(step: &str, path: &Path) {
    use std::os::fd::AsFd;
    use std::os::fd::AsRawFd;
    let folder = CacheFolder::open(path).unwrap();
    let number = folder.folder().as_fd().as_raw_fd() as u32;
    let &(_, call, of_folder, _) = STEPS.iter().find(|s| s.0 == step).expect("a step");
    let text = encode(&document(2));
    let rule = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    // struct seccomp_data: the call's number at 0, the lower half of its first argument at 16.
    let (for_folder, for_other) = if of_folder { (0, 1) } else { (1, 0) };
    let filter = [
        rule(load, 0, 0, 0),
        rule(equal, 0, 3, call as u32),
        rule(load, 0, 0, 16),
        rule(equal, for_folder, for_other, number),
        rule(answer, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        rule(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program and what it points to live through the calls, which change nothing but this process's rights.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER as libc::c_ulong;
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program), 0);
    }
    folder.write(&text).unwrap();
}

/// The same limit as an error: a write that is cut short and then fails.
#[test]
fn a_short_write_keeps_the_old_document() {
    let (dir, path, folder) = place();
    folder.write(&encode(&document(1))).unwrap();
    let mut command = child("file size limit", dir.path(), false);
    // SAFETY: setrlimit is async-signal-safe and reads structures on its own stack.
    unsafe { command.pre_exec(|| limit_file_size(100)) };
    let (status, said) = run(command);
    assert!(status.success(), "{said}");
    assert_eq!(read_cache(&path).unwrap(), Some(document(1)));
    assert_eq!(names(dir.path()), ["cache"]);
}

fn limit_file_size(bytes: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both structures live through the calls.
    let rc =
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &no_core) | libc::setrlimit(libc::RLIMIT_FSIZE, &limit) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A writer that is killed leaves a document that is no older than the last one it reported as written.
#[test]
fn a_writer_killed_at_any_time_leaves_a_whole_document() {
    let (dir, path, _) = place();
    for round in 0..40u32 {
        let mut writer = child("write on", dir.path(), false)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut reported = BufReader::new(writer.stdout.take().unwrap())
            .lines()
            .map_while(core::result::Result::ok)
            .filter_map(|line| line.strip_prefix('@').and_then(|n| n.parse::<u64>().ok()));
        let first = reported.next().expect("the writer writes");
        // Steps that share no factor with a write's time: another phase of the write in every round.
        std::thread::sleep(Duration::from_micros(u64::from(round) * 137));
        writer.kill().unwrap();
        let last = reported.last().unwrap_or(first);
        writer.wait().unwrap();
        let found = read_cache(&path).unwrap().expect("there was a document").sequence;
        assert!((last..=last + 1).contains(&found), "round {round}: reported {last}, found {found}");
    }
    CacheFolder::open(&path).unwrap().write(&encode(&document(1))).unwrap();
    assert_eq!(names(dir.path()), ["cache"]);
}

#[test]
fn a_full_disk_keeps_the_old_document() {
    let dir = TempDir::new().unwrap();
    let (status, said) = run(child("full disk", dir.path(), true));
    assert!(status.success(), "{said}");
}

fn full_disk(place: &Path) {
    let target = CString::new(place.to_str().unwrap()).unwrap();
    // SAFETY: all strings end with NUL; this process has a mount namespace of its own.
    let rc = unsafe {
        let options = c"size=64k".as_ptr().cast();
        libc::mount(c"primacy".as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), 0, options)
    };
    assert_eq!(rc, 0, "{}", io::Error::last_os_error());
    let folder = CacheFolder::open(&place.join("cache")).unwrap();
    let old = document_of(1, 30_000);
    folder.write(&encode(&old)).unwrap();
    let error = folder.write(&encode(&document_of(2, 50_000))).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Io);
    for part in [place.join("cache").to_str().unwrap(), "No space left", "the old state in the file is kept"]
    {
        assert!(error.message().contains(part), "{error}");
    }
    assert_eq!(folder.read().unwrap(), Some(old));
    assert_eq!(names(place), ["cache"], "the full disk got its space back");
    folder.write(&encode(&document_of(3, 20_000))).unwrap();
    assert_eq!(folder.read().unwrap(), Some(document_of(3, 20_000)));
}

#[test]
fn mode_and_owner_of_the_file_stay() {
    let (_dir, path, folder) = place();
    folder.write(&encode(&document(1))).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if root {
        std::os::unix::fs::chown(&path, Some(4242), Some(4343)).unwrap();
    }
    let before = fs::metadata(&path).unwrap();
    folder.write(&encode(&document(2))).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_ne!(before.ino(), after.ino());
    assert_eq!((before.mode(), before.uid(), before.gid()), (after.mode(), after.uid(), after.gid()));
}

#[test]
fn what_is_no_cache_file_is_refused() {
    let (dir, path, folder) = place();
    let io = |what: &str| {
        let error = folder.read().unwrap_err();
        assert_eq!(error.code(), ErrorCode::Io, "{error}");
        assert!(
            error.message().contains(path.to_str().unwrap()) && error.message().contains(what),
            "{error}"
        );
    };
    fs::create_dir(&path).unwrap();
    io("not a regular file");
    let error = folder.write(&encode(&document(1))).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Io, "{error}");
    assert_eq!(names(dir.path()), ["cache"]);
    fs::remove_dir(&path).unwrap();
    symlink("/etc/passwd", &path).unwrap();
    io("symbolic link");
    fs::remove_file(&path).unwrap();
    let fifo = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the name ends with NUL.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    io("not a regular file");
    fs::remove_file(&path).unwrap();

    fs::write(&path, &encode(&document(1)).as_bytes()[..100]).unwrap();
    let error = folder.read().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cache);
    assert!(error.message().starts_with(&format!("{}: byte 100: ", path.display())), "{error}");
    File::create(&path).unwrap().set_len(LARGEST_CACHE + 1).unwrap();
    assert_eq!(folder.read().unwrap_err().code(), ErrorCode::Cache);

    let error = CacheFolder::open(&dir.path().join("none/cache")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Io);
    assert!(error.message().contains("mkdir"), "{error}");
    for nameless in ["/", "", "..", "a\0b"] {
        assert_eq!(
            CacheFolder::open(Path::new(nameless)).unwrap_err().code(),
            ErrorCode::Invalid,
            "{nameless:?}"
        );
    }
}

fn secret_file(dir: &Path, content: &[u8], mode: u32) -> PathBuf {
    let path = dir.join("password");
    let _ = fs::remove_file(&path);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn passwords_are_read() {
    let dir = TempDir::new().unwrap();
    for (content, password) in [
        (&b"s3cret\n"[..], &b"s3cret"[..]),
        (b"s3cret", b"s3cret"),
        (b"s3cret\r\n", b"s3cret"),
        (b" s3 cret ", b" s3 cret "),
        (&[0xff, 0xfe, b'\n'], &[0xff, 0xfe]),
        (&[b'x'; 4096], &[b'x'; 4096]),
    ] {
        for mode in [0o600, 0o640, 0o400] {
            let path = secret_file(dir.path(), content, mode);
            assert_eq!(read_secret(&path).unwrap().expose(), password);
        }
    }
    let link = dir.path().join("link");
    symlink(secret_file(dir.path(), b"s3cret\n", 0o600), &link).unwrap();
    let secret = read_secret(&link).unwrap();
    assert_eq!(secret.expose(), b"s3cret");
    assert_eq!(format!("{secret:?}"), "[secret]");
}

#[test]
fn doubtful_password_files_are_refused() {
    let dir = TempDir::new().unwrap();
    let refused = |path: &Path, what: &str| {
        let error = read_secret(path).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Secret, "{error}");
        assert!(
            error.message().contains(path.to_str().unwrap()) && error.message().contains(what),
            "{error}"
        );
        assert!(!error.message().contains("s3cret"), "{error}");
    };
    refused(&dir.path().join("none"), "no such file");
    refused(dir.path(), "not a regular file");
    for mode in [0o604, 0o644, 0o602, 0o666] {
        refused(&secret_file(dir.path(), b"s3cret", mode), "run `chmod o= ");
    }
    for (content, what) in [
        (&b""[..], "it is empty"),
        (b"\n", "it is empty"),
        (b"\r\n", "it is empty"),
        (b"s3cret\n\n", "more than one line"),
        (b"user\ns3cret\n", "more than one line"),
        (b"s3cret\0\n", "more than one line or a NUL"),
        (&[b'x'; 4097], "larger than 4096 bytes"),
    ] {
        refused(&secret_file(dir.path(), content, 0o600), what);
    }
}
