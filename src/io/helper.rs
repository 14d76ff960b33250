//! The helper thread: name resolution and cache writes, which block for as long as they please.
//!
//! It holds no engine state. Jobs go in by a channel; answers come back by a channel and raise the driver's wake
//! descriptor.

use super::clock;
use super::thread;
use super::wake::Wake;
use super::writer::{Outcome, Writer};
use crate::engine::Time;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The resolver may load modules of the host's C library (NSS) that are free with their stack.
const STACK: usize = 1 << 20;

/// Something that blocks.
#[derive(Debug)]
enum Job {
    /// Resolve a name for the link of this index.
    Resolve { link: usize, host: String, port: u16 },
    /// Write what is pending.
    Write(Arc<Writer>),
}

/// How a job ended.
#[derive(Debug)]
pub(crate) enum JobResult {
    /// The addresses of a name, or the resolver's words.
    Resolved { link: usize, name: (String, u16), answer: Result<Vec<SocketAddr>, String> },
    /// A write ended; none if there was nothing left to write.
    Written(Option<Outcome>),
}

/// The handle of the helper thread. Dropping it lets the thread end after the job at hand, and does not wait: a
/// resolver can hang for half a minute.
#[derive(Debug)]
pub(crate) struct Helper {
    jobs: Sender<Job>,
    results: Receiver<JobResult>,
    thread: JoinHandle<()>,
    /// When the jobs were handed in that are not done, oldest first: the thread takes one after the other.
    waiting: VecDeque<Time>,
}

impl Helper {
    /// Starts the thread.
    pub(crate) fn start(wake: Arc<Wake>) -> io::Result<Helper> {
        let (jobs, inbox) = unbounded::<Job>();
        let (outbox, results) = unbounded();
        let thread = thread::spawn("primacy-helper", STACK, move || {
            for job in inbox {
                let result = match job {
                    Job::Resolve { link, host, port } => {
                        let answer = resolve(&host, port);
                        JobResult::Resolved { link, name: (host, port), answer }
                    }
                    Job::Write(writer) => JobResult::Written(writer.write()),
                };
                if outbox.send(result).is_err() {
                    return;
                }
                wake.raise();
            }
        })?;
        Ok(Helper { jobs, results, thread, waiting: VecDeque::new() })
    }

    /// Resolves a name.
    pub(crate) fn resolve(&mut self, link: usize, host: String, port: u16) {
        // The receiver lives as long as the thread, which ends only when this sender is gone.
        self.waiting.push_back(clock::mono());
        let _ = self.jobs.send(Job::Resolve { link, host, port });
    }

    /// Writes what is pending at the writer.
    pub(crate) fn write(&mut self, writer: Arc<Writer>) {
        self.waiting.push_back(clock::mono());
        let _ = self.jobs.send(Job::Write(writer));
    }

    /// Ends the thread after the jobs at hand; waits for at most `timeout`.
    pub(crate) fn end(self, timeout: Duration) {
        drop(self.jobs);
        let until = Instant::now() + timeout;
        loop {
            match self.results.recv_deadline(until) {
                Ok(_) => {}
                // The thread has dropped its end: it is on its last lines.
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.thread.join();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => return,
            }
        }
    }

    /// The next result; `None` if there is none now.
    pub(crate) fn result(&mut self) -> Option<JobResult> {
        let result = self.results.try_recv().ok()?;
        self.waiting.pop_front();
        Some(result)
    }

    /// Since when the oldest job waits to be done.
    pub(crate) fn waiting_since(&self) -> Option<Time> {
        self.waiting.front().copied()
    }
}

/// Resolves a name by the host's resolver, in its order. Blocks.
pub(crate) fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    (host, port).to_socket_addrs().map(Iterator::collect).map_err(|e| format!("{host} does not resolve: {e}"))
}
