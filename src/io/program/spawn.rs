//! From a plan to a running process.
//!
//! A child made by fork(2) copies the page tables of its parent: in a host with gigabytes of memory that takes tens
//! of milliseconds, in which an owner of an address announces nothing. So the child shares our memory and we sleep
//! until it has executed the program (`CLONE_VM | CLONE_VFORK`, as posix_spawn(3) does), which takes as long in a
//! big host as in a small one. posix_spawn itself would not do: it gives no pidfd, and one that is opened afterwards
//! may be a stranger's if the host reaps or ignores its children. `CLONE_PIDFD` (Linux 5.2) makes both in one step.
//!
//! Between clone and execve the child runs on a stack of its own, makes system calls and nothing else.

use super::super::descriptor::{checked, owned};
use super::super::thread::Mask;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Room for one frame that makes system calls, many times over.
const STACK: usize = 64 * 1024;

/// Descriptors that are closed one by one where close_range(2) is missing (before Linux 5.9).
const MOST_CLOSED: u64 = 1 << 16;

/// The kernel's set of signals: 64 bits.
const SIGNALS: libc::c_int = 64;
const SET_SIZE: usize = 8;

/// A process that runs the program.
#[derive(Debug)]
pub(super) struct Spawned {
    /// Its number, which is its group's too.
    pub(super) pid: libc::pid_t,
    /// Readable once the process has ended.
    pub(super) pidfd: OwnedFd,
}

/// What the child works from and answers in. It lives in the parent, which sleeps meanwhile.
struct Plan {
    file: *const libc::c_char,
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
    stdio: [RawFd; 3],
    close_below: RawFd,
    /// The error of the step that failed; 0 if the program was executed.
    error: libc::c_int,
}

/// Runs `file` with these arguments, environment and standard descriptors; none of the latter may be below 3.
///
/// # Errors
/// What clone(2) or a step of the child answered, most often that of execve(2).
pub(super) fn spawn(
    file: &CStr,
    argv: &[CString],
    environment: &[CString],
    stdio: [RawFd; 3],
) -> io::Result<Spawned> {
    let (argv, envp) = (pointers(argv), pointers(environment));
    let mut plan = Plan {
        file: file.as_ptr(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        stdio,
        close_below: close_below(),
        error: 0,
    };
    // u128 for the alignment that every platform's stack needs.
    let mut stack = vec![0u128; STACK / size_of::<u128>()];
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // A handler of the host that ran in the child would run on the host's memory.
    let mask = Mask::block()?;
    // SAFETY: `stack` (which grows down from its end), `plan` and what it points to, and `pidfd` outlive the child's
    // use of them: CLONE_VFORK holds this thread until the child has executed a program or ended.
    let pid = unsafe {
        libc::clone(
            child,
            stack.as_mut_ptr_range().end.cast(),
            flags,
            (&raw mut plan).cast(),
            &raw mut pidfd,
            core::ptr::null_mut::<libc::c_void>(),
            core::ptr::null_mut::<libc::c_void>(),
        )
    };
    let cloned = checked(pid.min(0));
    drop(mask);
    cloned?;
    if pidfd < 0 {
        // A kernel before 5.2 ignores the flag.
        // SAFETY: no pointer is passed but a null status, which is allowed; the child is ours and not yet waited for.
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, core::ptr::null_mut(), 0);
        }
        return Err(io::Error::new(io::ErrorKind::Unsupported, "running programs needs Linux 5.4 or newer"));
    }
    // SAFETY: the kernel has just made this descriptor for us, close-on-exec, and nobody else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    if plan.error != 0 {
        // It has ended already or is about to; the wait is short.
        while wait(&pidfd, 0).is_err_and(|e| e.kind() == io::ErrorKind::Interrupted) {}
        return Err(io::Error::from_raw_os_error(plan.error));
    }
    Ok(Spawned { pid, pidfd })
}

/// How a process ended, in the words of waitid(2): the code and the status of `siginfo_t`. `None` if it has not.
/// `options` besides WEXITED: WNOHANG, WNOWAIT.
///
/// # Errors
/// ECHILD if somebody else has waited for the process, or the host ignores its children.
pub(super) fn wait(
    pidfd: &impl AsRawFd,
    options: libc::c_int,
) -> io::Result<Option<(libc::c_int, libc::c_int)>> {
    let id =
        libc::id_t::try_from(pidfd.as_raw_fd()).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: `siginfo_t` is plain data, and all zero is a valid value that says "nobody".
    let mut info: libc::siginfo_t = unsafe { core::mem::zeroed() };
    // SAFETY: `info` is live and writable. P_PIDFD waits for this one process and never for a child of the host.
    checked(unsafe { libc::waitid(libc::P_PIDFD, id, &mut info, libc::WEXITED | options) })?;
    // SAFETY: waitid has filled in the fields of a child's end, or left zeros.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((pid != 0).then_some((info.si_code, status)))
}

/// A duplicate with a number of 3 or more, close-on-exec: a host may have closed its standard descriptors, and then
/// ours get their numbers.
pub(super) fn above_stdio(fd: &impl AsRawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    owned(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) })
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([core::ptr::null()]).collect()
}

fn close_below() -> RawFd {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is live and writable.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    RawFd::try_from(limit.rlim_cur.min(MOST_CLOSED)).unwrap_or(RawFd::MAX)
}

/// The child's life before the program. It must not panic, allocate, lock or return through frames of the parent.
extern "C" fn child(plan: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `spawn` passes a live `Plan` that nobody else touches while the parent sleeps. Raw system calls are
    // used where the C library's wrappers lock or filter; all pointers are to live variables of the size told.
    unsafe {
        let plan = &mut *plan.cast::<Plan>();
        prepare(plan);
        if plan.error == 0 {
            libc::execve(plan.file, plan.argv, plan.envp);
            plan.error = errno();
        }
        libc::_exit(127)
    }
}

/// Makes the child what a program may expect. The first step that fails ends it and is told.
unsafe fn prepare(plan: &mut Plan) {
    // SAFETY: see `child`; file descriptors, dispositions and directory are the child's own copies.
    unsafe {
        if libc::setpgid(0, 0) != 0 {
            plan.error = errno();
            return;
        }
        // All zero is SIG_DFL with no flags and an empty mask, in every layout of the kernel's structure. KILL and
        // STOP answer an error, rightly.
        let default = [0u64; 8];
        let no_old = core::ptr::null_mut::<libc::c_void>();
        for signal in 1..=SIGNALS {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), no_old, SET_SIZE);
        }
        for (target, fd) in (0..).zip(plan.stdio) {
            if libc::dup2(fd, target) < 0 {
                plan.error = errno();
                return;
            }
        }
        if libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) != 0 {
            for fd in 3..plan.close_below {
                libc::close(fd);
            }
        }
        if libc::chdir(c"/".as_ptr()) != 0 {
            plan.error = errno();
            return;
        }
        // A thread that must keep its beat may run ahead of all others; what it starts must not.
        if matches!(libc::sched_getscheduler(0), libc::SCHED_FIFO | libc::SCHED_RR) {
            let usual: libc::sched_param = core::mem::zeroed();
            libc::sched_setscheduler(0, libc::SCHED_OTHER, &usual);
        }
        // Last: from here on a signal ends the child.
        let nothing = 0u64;
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const nothing, no_old, SET_SIZE);
    }
}

unsafe fn errno() -> libc::c_int {
    // SAFETY: the location is valid in every thread; the child shares its sleeping parent's.
    unsafe { *libc::__errno_location() }
}
