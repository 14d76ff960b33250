//! Waiting for sockets and deadlines: epoll, with a timerfd inside where the host's loop watches it.
//!
//! The thread of our own waits with the deadline as the timeout of the wait itself and so spends no call on
//! arming a timer. A host watches one descriptor, so there the deadline must be a descriptor too. Timer and wake
//! descriptors are edge-triggered: nobody has to read them to silence them.

use super::clock;
use super::descriptor::{Fd, Registry, checked, owned};
use super::wake::Wake;
use crate::engine::Time;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

/// What happened at a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    /// The token that the descriptor was added with.
    pub(crate) token: u64,
    /// There is something to read: bytes, the end, or an error.
    pub(crate) readable: bool,
    /// It can be written, or the connection attempt ended.
    pub(crate) writable: bool,
}

/// Where the driver registers what it waits for.
pub(crate) trait Poller: Send + std::fmt::Debug {
    /// Watches a descriptor for input, and for output too if asked.
    fn add(&mut self, fd: RawFd, token: u64, output: bool) -> io::Result<()>;
    /// Changes whether output is watched.
    fn change(&mut self, fd: RawFd, token: u64, output: bool) -> io::Result<()>;
    /// Ends watching. Needed before close: a forked child may hold the same open file.
    fn remove(&mut self, fd: RawFd);
    /// Sees to it that a wait ends at this time at the latest.
    fn set_deadline(&mut self, at: Option<Time>) -> io::Result<()>;
    /// Takes what is ready now. Whether the batch was full, so that more may be waiting.
    fn poll(&mut self, into: &mut Vec<Ready>) -> io::Result<bool>;
}

/// Token of the wake descriptor and of the timer: nothing to do but look around.
const NOTHING: u64 = u64::MAX;

/// Most events taken at once.
const BATCH: usize = 64;

#[derive(Debug)]
enum Deadline {
    /// The waiting thread passes it to its wait. `sleeping` is what it passed last.
    Waiter { wake: Arc<Wake>, sleeping: Option<Time>, wanted: Option<Time> },
    /// A timer inside the epoll descriptor. `armed` is when it will fire.
    Timer { fd: Fd, armed: Option<Time> },
}

/// The poller over epoll.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: Arc<Fd>,
    deadline: Deadline,
}

impl Epoll {
    /// For a thread that waits by a [`Waiter`]; `wake` ends its sleep.
    pub(crate) fn for_thread(registry: &Arc<Registry>, wake: Arc<Wake>) -> io::Result<Epoll> {
        let fd = create(registry)?;
        control(&fd, libc::EPOLL_CTL_ADD, wake.fd(), NOTHING, libc::EPOLLIN | libc::EPOLLET)?;
        Ok(Epoll { fd, deadline: Deadline::Waiter { wake, sleeping: None, wanted: None } })
    }

    /// For a host that watches the descriptor; the deadline is a timer inside it.
    pub(crate) fn for_host(registry: &Arc<Registry>, wake: &Wake) -> io::Result<Epoll> {
        let fd = create(registry)?;
        control(&fd, libc::EPOLL_CTL_ADD, wake.fd(), NOTHING, libc::EPOLLIN | libc::EPOLLET)?;
        // SAFETY: no pointer is passed.
        let timer =
            unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        let timer = registry.adopt(owned(timer)?);
        control(&fd, libc::EPOLL_CTL_ADD, timer.number(), NOTHING, libc::EPOLLIN | libc::EPOLLET)?;
        Ok(Epoll { fd, deadline: Deadline::Timer { fd: timer, armed: None } })
    }

    /// The descriptor that is readable while there is something to do.
    pub(crate) fn fd(&self) -> RawFd {
        self.fd.number()
    }

    /// What the thread waits with.
    pub(crate) fn waiter(&self) -> Waiter {
        Waiter { fd: Arc::clone(&self.fd), precise: cfg!(target_pointer_width = "64") }
    }
}

impl Poller for Epoll {
    fn add(&mut self, fd: RawFd, token: u64, output: bool) -> io::Result<()> {
        control(&self.fd, libc::EPOLL_CTL_ADD, fd, token, interest(output))
    }

    fn change(&mut self, fd: RawFd, token: u64, output: bool) -> io::Result<()> {
        control(&self.fd, libc::EPOLL_CTL_MOD, fd, token, interest(output))
    }

    fn remove(&mut self, fd: RawFd) {
        // Fails only if the descriptor was never added, and then there is nothing to remove.
        let _ = control(&self.fd, libc::EPOLL_CTL_DEL, fd, 0, 0);
    }

    fn set_deadline(&mut self, at: Option<Time>) -> io::Result<()> {
        match &mut self.deadline {
            Deadline::Waiter { wake, sleeping, wanted } => {
                *wanted = at;
                // Only a sleeper that would oversleep is woken; `None` sleeps for ever.
                if let (Some(at), Some(until)) = (at, *sleeping) {
                    if at < until {
                        *sleeping = Some(at);
                        wake.raise();
                    }
                }
                Ok(())
            }
            Deadline::Timer { fd, armed } => {
                let Some(at) = at else { return Ok(()) };
                if armed.is_some_and(|armed| armed == at && armed > clock::mono()) {
                    return Ok(());
                }
                set_timer(fd.number(), at)?;
                *armed = Some(at);
                Ok(())
            }
        }
    }

    fn poll(&mut self, into: &mut Vec<Ready>) -> io::Result<bool> {
        wait(self.fd.number(), into, Some(core::time::Duration::ZERO), false)
    }
}

#[cfg(feature = "cli")]
impl Epoll {
    /// Watches a descriptor for exactly this; errors and the end of both sides are always told. `first`: it is not
    /// watched yet.
    pub(crate) fn watch(
        &mut self,
        fd: RawFd,
        token: u64,
        (input, output): (bool, bool),
        first: bool,
    ) -> io::Result<()> {
        let operation = if first { libc::EPOLL_CTL_ADD } else { libc::EPOLL_CTL_MOD };
        let bits = if input { libc::EPOLLIN | libc::EPOLLRDHUP } else { 0 };
        control(&self.fd, operation, fd, token, bits | if output { libc::EPOLLOUT } else { 0 })
    }
}

impl Epoll {
    /// The thread is about to sleep: how long it may. `None` is for ever.
    pub(crate) fn fall_asleep(&mut self) -> Option<Time> {
        match &mut self.deadline {
            Deadline::Waiter { sleeping, wanted, .. } => {
                *sleeping = Some(wanted.unwrap_or(Time::NEVER));
                *wanted
            }
            Deadline::Timer { .. } => None,
        }
    }

    /// The thread is awake and will look at the deadlines itself.
    pub(crate) fn wake_up(&mut self) {
        if let Deadline::Waiter { sleeping, .. } = &mut self.deadline {
            *sleeping = None;
        }
    }
}

/// The thread's side of the poller: sleeps without the instance's lock.
#[derive(Debug)]
pub(crate) struct Waiter {
    fd: Arc<Fd>,
    precise: bool,
}

impl Waiter {
    /// Waits for events until `until`. Whether the batch was full.
    pub(crate) fn wait(&mut self, into: &mut Vec<Ready>, until: Option<Time>) -> io::Result<bool> {
        let timeout = until.map(|at| at.since(clock::mono()));
        match wait(self.fd.number(), into, timeout, self.precise) {
            // Kernels before 5.11 do not know the precise wait, and filters may forbid it.
            Err(error)
                if self.precise && matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) =>
            {
                self.precise = false;
                wait(self.fd.number(), into, timeout, false)
            }
            other => other,
        }
    }
}

fn create(registry: &Arc<Registry>) -> io::Result<Arc<Fd>> {
    // SAFETY: no pointer is passed.
    let fd = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    Ok(Arc::new(registry.adopt(fd)))
}

const fn interest(output: bool) -> i32 {
    libc::EPOLLIN | libc::EPOLLRDHUP | if output { libc::EPOLLOUT } else { 0 }
}

fn control(epoll: &Fd, operation: i32, fd: RawFd, token: u64, events: i32) -> io::Result<()> {
    let mut event = libc::epoll_event { events: events as u32, u64: token };
    // SAFETY: `event` is a live variable; the kernel checks the numbers.
    checked(unsafe { libc::epoll_ctl(epoll.number(), operation, fd, &mut event) })
}

fn set_timer(fd: RawFd, at: Time) -> io::Result<()> {
    // A zero value would disarm the timer.
    let nanos = at.0.max(1).min(i64::MAX as u64);
    let value = libc::timespec {
        tv_sec: (nanos / 1_000_000_000) as libc::time_t,
        tv_nsec: (nanos % 1_000_000_000) as libc::c_long,
    };
    let spec = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
    // SAFETY: `spec` is a live variable; a null old value is allowed.
    checked(unsafe { libc::timerfd_settime(fd, libc::TFD_TIMER_ABSTIME, &spec, core::ptr::null_mut()) })
}

fn wait(
    epoll: RawFd,
    into: &mut Vec<Ready>,
    timeout: Option<core::time::Duration>,
    precise: bool,
) -> io::Result<bool> {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
    let result = if precise {
        let spec = timeout.map(|t| libc::timespec {
            tv_sec: t.as_secs().min(i32::MAX as u64) as libc::time_t,
            tv_nsec: t.subsec_nanos() as libc::c_long,
        });
        let spec = spec.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
        // SAFETY: the buffer holds BATCH events, `spec` is null or live, a null signal mask is allowed. The
        // kernel's timespec is libc's on the 64-bit targets that `precise` is limited to.
        unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                epoll,
                events.as_mut_ptr(),
                BATCH as libc::c_int,
                spec,
                core::ptr::null::<libc::sigset_t>(),
                0usize,
            ) as libc::c_int
        }
    } else {
        // Rounded up: a wait that ends early would spin until the deadline.
        let millis =
            timeout.map_or(-1, |t| i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        // SAFETY: the buffer holds BATCH events.
        unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), BATCH as libc::c_int, millis) }
    };
    if result < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) };
    }
    let count = result as usize;
    let errors = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
    into.extend(events.iter().take(count).filter(|e| { e.u64 } != NOTHING).map(|e| {
        let (bits, token) = (e.events, e.u64);
        Ready {
            token,
            readable: bits & ((libc::EPOLLIN | libc::EPOLLRDHUP) as u32 | errors) != 0,
            writable: bits & (libc::EPOLLOUT as u32 | errors) != 0,
        }
    }));
    Ok(count == BATCH)
}
