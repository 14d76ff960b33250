//! The client of etcd: asks by HTTP on threads of its own, because a store may take its time or hang.
//!
//! Questions go in by a channel; answers come back by a channel and raise a wake descriptor. Every question is answered by its time, if
//! need be with a failure. Endpoints are tried in turn, the last one that answered first.

#[cfg(test)]
use super::descriptor::Registry;
use super::thread;
use super::wake::Wake;
use super::{entropy, file};
use crate::config::vip::{LeaseConfig, VipConfig};
use crate::error::{Error, ErrorCode, Result};
use crate::vip::lease::etcd::{ANSWER_MAX, failure, login, wants_login};
use crate::vip::lease::{Answer, Ask, Request, Settings, Trouble};
use crate::wire::Secret;
use crossbeam_channel::{Receiver, Sender, unbounded};
use exchange::{Endpoint, Link, NoAnswer};
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

mod exchange;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;

/// The resolver may load modules of the host's C library that are free with their stack.
const STACK: usize = 1 << 20;

/// Two, so that one question that hangs holds up no other at once.
const WORKERS: usize = 2;

/// An answer for the machine of one VIP.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The VIP, by the number under which it asked.
    pub(crate) vip: usize,
    /// The question's number.
    pub(crate) job: u64,
    /// The answer.
    pub(crate) answer: Answer,
}

#[derive(Debug)]
struct Job {
    vip: usize,
    ask: Ask,
    until: Instant,
}

/// The client of one store. Dropped, it lets its threads end after the question at hand, and does not wait.
#[derive(Debug)]
pub(crate) struct EtcdClient {
    jobs: Sender<Job>,
    answers: Receiver<Answered>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads share.
#[derive(Debug)]
struct Store {
    endpoints: Vec<Endpoint>,
    /// The one that answered last.
    preferred: AtomicUsize,
    /// User and password.
    account: Option<(String, Secret)>,
    token: Mutex<Option<Arc<str>>>,
}

impl EtcdClient {
    /// Reads the files that the settings name and starts the threads. Nothing is asked yet. `wake` is raised at every answer.
    ///
    /// # Errors
    /// [`ErrorCode::Secret`] for a file that cannot be used, [`ErrorCode::Config`] for an endpoint that cannot, [`ErrorCode::Io`]
    /// if a thread cannot be started.
    pub(crate) fn start(config: &LeaseConfig, wake: &Arc<Wake>) -> Result<EtcdClient> {
        let password = config.password_file.as_deref().map(file::read_secret).transpose()?;
        let store = Arc::new(Store {
            endpoints: exchange::endpoints(config)?,
            preferred: AtomicUsize::new(0),
            account: password.map(|password| (config.user.clone(), password)),
            token: Mutex::new(None),
        });
        let (jobs, inbox) = unbounded::<Job>();
        let (outbox, answers) = unbounded();
        let worker = || {
            let (store, inbox, outbox) = (Arc::clone(&store), inbox.clone(), outbox.clone());
            let wake = Arc::clone(wake);
            thread::spawn("primacy-etcd", STACK, move || {
                let mut links = Vec::new();
                for job in inbox {
                    let (vip, number) = (job.vip, job.ask.job);
                    let work = AssertUnwindSafe(|| store.answer(&mut links, &job.ask.request, job.until));
                    let answer = catch_unwind(work).unwrap_or_else(|_| {
                        links.clear();
                        failure(Trouble::Garbage, "the client of etcd hit a defect of its own")
                    });
                    if outbox.send(Answered { vip, job: number, answer }).is_err() {
                        return;
                    }
                    wake.raise();
                }
            })
        };
        let threads = (0..WORKERS).map(|_| worker()).collect::<std::io::Result<_>>();
        let threads =
            threads.map_err(|e| Error::new(ErrorCode::Io, format!("cannot start a thread for etcd: {e}")))?;
        Ok(EtcdClient { jobs, answers, threads })
    }

    /// Asks for the VIP of this number.
    pub(crate) fn ask(&self, vip: usize, ask: Ask) {
        let until = Instant::now() + ask.timeout;
        // The receivers live as long as the threads, which end only when this sender is gone.
        let _ = self.jobs.send(Job { vip, ask, until });
    }

    /// The next answer; `None` if there is none now.
    pub(crate) fn answer(&self) -> Option<Answered> {
        self.answers.try_recv().ok()
    }

    /// Ends the threads after what was asked; waits for at most `timeout`. For a host that goes down and has just given a lease back.
    pub(crate) fn end(self, timeout: Duration) {
        drop(self.jobs);
        let until = Instant::now() + timeout;
        while self.answers.recv_deadline(until).is_ok() {}
        for thread in self.threads {
            if thread.is_finished() || Instant::now() < until {
                let _ = thread.join();
            }
        }
    }
}

impl Store {
    fn answer(&self, links: &mut Vec<Option<Link>>, request: &Request, until: Instant) -> Answer {
        let (path, body) = request.encode();
        let mut reply = self.ask(links, path, &body, until);
        if self.account.is_some() && reply.as_ref().is_ok_and(|(status, _)| wants_login(*status)) {
            // Refused before it was carried out. Tokens end with the server's life, and by age.
            *self.token.lock() = None;
            reply = self.ask(links, path, &body, until);
        }
        match reply {
            Ok((status, body)) => request.decode(status, &body),
            Err(answer) => answer,
        }
    }

    /// One question with our token, at whichever endpoint answers.
    fn ask(
        &self,
        links: &mut Vec<Option<Link>>,
        path: &str,
        body: &str,
        until: Instant,
    ) -> core::result::Result<(u16, Vec<u8>), Answer> {
        let token = self.token(links, until)?;
        self.post(links, path, token.as_deref(), body, until)
    }

    fn token(
        &self,
        links: &mut Vec<Option<Link>>,
        until: Instant,
    ) -> core::result::Result<Option<Arc<str>>, Answer> {
        let Some((user, password)) = &self.account else { return Ok(None) };
        if let Some(token) = self.token.lock().clone() {
            return Ok(Some(token));
        }
        let (path, body) = login::encode(user, &String::from_utf8_lossy(password.expose()));
        let body = Secret::new(body);
        let text = core::str::from_utf8(body.expose()).unwrap_or_default();
        let (status, answer) = self.post(links, path, None, text, until)?;
        let token: Arc<str> = login::decode(status, &answer)?.into();
        *self.token.lock() = Some(Arc::clone(&token));
        Ok(Some(token))
    }

    fn post(
        &self,
        links: &mut Vec<Option<Link>>,
        path: &str,
        token: Option<&str>,
        body: &str,
        until: Instant,
    ) -> core::result::Result<(u16, Vec<u8>), Answer> {
        links.resize_with(self.endpoints.len(), || None);
        let count = self.endpoints.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = None;
        for index in (0..count).map(|i| (first + i) % count) {
            let (Some(endpoint), Some(link)) = (self.endpoints.get(index), links.get_mut(index)) else {
                continue;
            };
            let now = Instant::now();
            if now >= until {
                break;
            }
            // One that hangs must leave time for another.
            let part = if last.is_none() && count > 1 { now + (until - now) / 2 } else { until };
            match endpoint.exchange(link, path, token, body, part, ANSWER_MAX) {
                Ok(reply) if reply.status < 500 || count == 1 => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok((reply.status, reply.body));
                }
                // It has no leader, or cannot reach it: another member may.
                Ok(reply) => last = Some(Ok((reply.status, reply.body))),
                Err(error) => last = Some(Err(told(endpoint, error))),
            }
        }
        // Whoever is asked next begins elsewhere.
        self.preferred.store((first + 1) % count.max(1), Ordering::Relaxed);
        last.unwrap_or_else(|| {
            Err(failure(Trouble::Unreachable, "the store is too slow: earlier questions took all the time"))
        })
    }
}

fn told(endpoint: &Endpoint, error: NoAnswer) -> Answer {
    let (trouble, words) = match error {
        NoAnswer::Unreachable(words) => (Trouble::Unreachable, words),
        NoAnswer::Garbage(words) => (Trouble::Garbage, words),
        NoAnswer::Denied(words) => (Trouble::Denied, words),
    };
    failure(trouble, format!("{}: {words}", endpoint.name()))
}

/// What the machine of a VIP is told about this host.
///
/// # Errors
/// [`ErrorCode::Io`] where the kernel gives no random numbers.
pub(crate) fn settings(vip: &VipConfig, lease: &LeaseConfig, host: &str) -> Result<Settings> {
    let random = entropy::bytes::<16>()
        .map_err(|e| Error::new(ErrorCode::Io, format!("the kernel gives no random numbers: {e}")))?;
    let life: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Settings {
        key: format!("{}{}", lease.key_prefix, vip.name),
        host: host.to_owned(),
        // Where the place cannot be told nobody shares it.
        place: place().unwrap_or_else(|| life.clone()),
        life,
        ttl: lease.ttl,
        margin: lease.margin,
        no_quorum: lease.no_quorum,
    })
}

/// This machine's start and network namespace.
fn place() -> Option<String> {
    let boot = std::fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id")).ok()?;
    let net = std::fs::read_link("/proc/thread-self/ns/net").ok()?;
    Some(format!("{} {}", boot.trim(), net.display()))
}

/// A wake descriptor of its own, for a client that no driver has.
#[cfg(test)]
fn lone_wake() -> Arc<Wake> {
    Arc::new(Wake::new(&Registry::new(2)).expect("a descriptor"))
}
