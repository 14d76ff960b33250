//! Setting lifetimes anew in a thread of its own.
//!
//! The kernel changes addresses under one lock for all interfaces and all network namespaces of the machine. Whoever takes it for long, a container that
//! is made for instance, would keep an owner from advertising if its own loop waited for it several times a second.

use crate::engine::Time;
use crate::io::clock;
use crate::io::netlink::{Kernel, NetResult, Placed};
use crate::io::thread;
use crate::io::wake::Wake;
use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::time::Duration;

const STACK: usize = 256 * 1024;

/// A refresh that took longer gave the address more than it was meant to have, and is made anew with what is left.
const LATE: Duration = Duration::from_millis(200);

/// Whether addresses may be refreshed: the number changes when they are removed, under the lock, so that no refresh brings one back.
pub(super) type Gate = Arc<Mutex<u64>>;

/// One refresh.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) vip: usize,
    pub(super) placed: Vec<Placed>,
    /// In seconds, from `asked`.
    pub(super) lifetime: u32,
    pub(super) asked: Time,
    pub(super) gate: Gate,
    /// What the gate must still say.
    pub(super) ticket: u64,
}

/// How one ended.
#[derive(Debug)]
pub(super) struct Refreshed {
    pub(super) vip: usize,
    pub(super) lifetime: u32,
    pub(super) outcome: Result<u32, String>,
}

/// The way to the thread. Dropped, it lets the thread end after the refresh at hand.
#[derive(Debug)]
pub(super) struct Refresher {
    jobs: Sender<Job>,
    answers: Receiver<Refreshed>,
}

impl Refresher {
    /// Starts the thread; `kernel` was opened in the network namespace of the addresses. `wake` is raised after each answer.
    pub(super) fn start(mut kernel: Kernel, wake: Arc<Wake>) -> io::Result<Refresher> {
        let (jobs, work) = unbounded::<Job>();
        let (answer, answers) = unbounded();
        thread::spawn("primacy-fence", STACK, move || {
            for job in work {
                let outcome = refresh(&mut kernel, &job).map_err(|e| e.to_string());
                // The driver may have gone.
                let _ = answer.send(Refreshed { vip: job.vip, lifetime: job.lifetime, outcome });
                wake.raise();
            }
        })?;
        Ok(Refresher { jobs, answers })
    }

    /// Asks for a refresh. Whether somebody will do it.
    pub(super) fn ask(&self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }

    /// The next answer; `None` if there is none now.
    pub(super) fn answer(&self) -> Option<Refreshed> {
        self.answers.try_recv().ok()
    }
}

/// How many were refreshed: none if they were removed since.
fn refresh(kernel: &mut Kernel, job: &Job) -> NetResult<u32> {
    let gate = job.gate.lock();
    if *gate != job.ticket {
        return Ok(0);
    }
    // Twice late is a machine in trouble; the owner itself goes when its time is over.
    for _ in 0..2 {
        let began = clock::boot();
        let waited = began.since(job.asked);
        let left = Duration::from_secs(job.lifetime.into()).saturating_sub(waited);
        // The kernel counts whole seconds: a moment is no reason to take one off.
        let seconds = if waited < LATE { job.lifetime } else { left.as_secs() as u32 };
        job.placed.iter().try_for_each(|placed| kernel.refresh(placed, Some(seconds.max(1))))?;
        if clock::boot().since(began) < LATE {
            break;
        }
    }
    Ok(job.placed.len() as u32)
}
