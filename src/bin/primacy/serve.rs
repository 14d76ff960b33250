//! The agent: an instance in the foreground, its log, reload, and its word to the service manager.

use crate::args::Args;
use crate::failure::{Exit, Failure};
use crate::live::{QUEUE, drain, print_events};
use crate::notify::{Manager, Watchdog};
use crate::read::plural;
use crate::terminal::{logged, note, warn};
use crate::{Outcome, load, terminal};
use primacy::config::{Config, Listen, ListenAddress, OnLocked, ProbeMode};
use primacy::console::{Signals, wait};
use primacy::engine::{Answer, Severity};
use primacy::instance::respond::Responder;
use primacy::instance::{EventFilter, Instance};
use primacy::{Error, ErrorCode};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How often the agent looks whether its engine is well, should nothing wake it.
const LOOK: Duration = Duration::from_secs(1);

pub fn run(args: &Args) -> Outcome {
    let config = load::config(args)?;
    let manager = Manager::from_environment();
    let mut watchdog = Watchdog::from_environment();
    let kept = match &config.cache_file {
        Some(path) => format!("cache {}", path.display()),
        None => {
            warn(
                "no cache_file is set: state, epochs and failed nodes are forgotten at the end of this process",
            );
            "no cache".to_string()
        }
    };
    warn_of_external(&config);
    let watched = watched(&config);
    let first = first_pool(&config);
    let socket = config.control_path();
    let waits = config.on_locked == OnLocked::Wait;
    let listen = config.listen.clone();
    let instance = Instance::new(config)?;
    let events = instance.subscribe(EventFilter::default(), QUEUE)?;
    if waits {
        manager.status("waiting for the lock of the cache, should another process hold it");
    }
    instance.start()?;
    // Until here a signal ends the process at once, which loses nothing: a wait for the lock can be given up.
    let signals = Signals::take()?;
    let responder = Arc::new(Responder::start(&instance, &listen)?);
    let mut reload = Reload::new(args, first, Arc::clone(&responder), listen.clone())?;
    let commands = match socket.filter(|path| path.symlink_metadata().is_ok()) {
        Some(path) => format!("commands at {}", path.display()),
        None => "no commands from other processes".to_string(),
    };
    say(Severity::Info, &format!("{watched}, {kept}, {commands}"));
    if let Some(places) = answering(&listen) {
        say(Severity::Info, &places);
    }
    manager.ready(&summary(&instance));
    let end = loop {
        let pace = watchdog.as_ref().map_or(LOOK, |dog| dog.pace().min(LOOK));
        wait(&[signals.fd(), events.fd(), reload.fd()], pace);
        let turns = instance.heartbeat();
        if let Some(dog) = &mut watchdog {
            dog.see(turns, &manager);
        }
        if print_events(&events, true).1 > 0 {
            manager.status(&summary(&instance));
        }
        match signals.next() {
            Some("SIGHUP") => {
                say(Severity::Info, "SIGHUP: reading the configuration again");
                manager.reloading();
                reload.begin(&instance);
            }
            Some(signal) => break Ok(signal),
            None => {}
        }
        if let Some(outcome) = reload.outcome() {
            // What it changed stands in the log before its outcome.
            drain(&events, true);
            reload.tell(outcome);
            if !reload.goes_on(&instance) {
                manager.ready(&summary(&instance));
            }
        }
        // The state stays readable after a defect of the engine; an explanation does not.
        if let Err(e) = instance.explain(&reload.first)
            && e.code() == ErrorCode::Panic
        {
            break Err(e);
        }
        if !responder.is_well() {
            break Err(Error::new(
                ErrorCode::Panic,
                "the thread that answers load balancers hit a defect of its own; report this",
            ));
        }
    };
    manager.stopping();
    // A check that finds nobody fails; one that finds an engine at its end could be told anything.
    responder.stop();
    if let Ok(signal) = end {
        say(Severity::Info, &format!("{signal}: stopping"));
    }
    // It ends within a second, so that a second signal has nothing to add: it stays blocked.
    let stopped = instance.stop();
    let stored = drain(&events, true);
    end.map_err(|e| match e.code() {
        ErrorCode::Panic => Failure::new(Exit::Unreachable, format!("the agent ends: {e}")),
        _ => e.into(),
    })?;
    stopped?;
    say(Severity::Info, "stopped");
    Ok(if stored { Exit::Done } else { Exit::Unreachable })
}

/// The reload of a SIGHUP, in a thread of its own: files and names may take their time, and the watchdog none.
struct Reload {
    /// The name of a pool in the configuration in force.
    first: String,
    responder: Arc<Responder>,
    /// Where load balancers are answered.
    listen: Listen,
    path: PathBuf,
    cache: Option<PathBuf>,
    under_way: bool,
    /// Asked for while one was under way.
    again: bool,
    sender: Sender<Result<Reloaded, Failure>>,
    receiver: Receiver<Result<Reloaded, Failure>>,
    /// A byte comes with each outcome.
    wake: UnixStream,
    woken: UnixStream,
}

struct Reloaded {
    config: Config,
    answer: Answer,
}

impl Reload {
    fn new(args: &Args, first: String, responder: Arc<Responder>, listen: Listen) -> Result<Reload, Failure> {
        let failed = |e: std::io::Error| {
            Failure::new(Exit::Unreachable, format!("the system gives no descriptors: {e}"))
        };
        let (wake, woken) = UnixStream::pair().map_err(failed)?;
        woken.set_nonblocking(true).map_err(failed)?;
        let (sender, receiver) = channel();
        let (path, cache) = (args.config(), args.cache.clone());
        Ok(Reload {
            first,
            responder,
            listen,
            path,
            cache,
            under_way: false,
            again: false,
            sender,
            receiver,
            wake,
            woken,
        })
    }

    /// Readable when an outcome is there.
    fn fd(&self) -> RawFd {
        self.woken.as_raw_fd()
    }

    /// Begins one, or another one after that under way, which may have read what was there before.
    fn begin(&mut self, instance: &Instance) {
        if self.under_way {
            self.again = true;
            return;
        }
        let (path, cache) = (self.path.clone(), self.cache.clone());
        let (instance, sender) = (instance.clone(), self.sender.clone());
        let responder = Arc::clone(&self.responder);
        let wake = self.wake.try_clone();
        let work = move || {
            let outcome = reload(&instance, &responder, &path, cache);
            // The instance ends with its last reference, which is not to be this one.
            drop((instance, responder));
            let _ = sender.send(outcome);
            if let Ok(mut wake) = wake {
                let _ = wake.write_all(&[0]);
            }
        };
        match std::thread::Builder::new().name("primacy-reload".into()).spawn(work) {
            Ok(_) => self.under_way = true,
            Err(e) => {
                let failure = Failure::new(Exit::Unreachable, format!("the system gives no thread: {e}"));
                let _ = self.sender.send(Err(failure));
            }
        }
    }

    /// The outcome of the one under way, if it has ended.
    fn outcome(&mut self) -> Option<Result<Reloaded, Failure>> {
        let _ = (&self.woken).read(&mut [0; 16]);
        let outcome = self.receiver.try_recv().ok()?;
        self.under_way = false;
        Some(outcome)
    }

    /// Begins the one that was asked for meanwhile.
    fn goes_on(&mut self, instance: &Instance) -> bool {
        let again = core::mem::take(&mut self.again);
        if again {
            self.begin(instance);
        }
        again
    }

    /// Says how a reload ended.
    fn tell(&mut self, outcome: Result<Reloaded, Failure>) {
        match outcome {
            // The event has told what changed.
            Ok(Reloaded { config, answer }) => {
                warn_of_external(&config);
                self.first = first_pool(&config);
                say(Severity::Info, &format!("reloaded (rule {})", answer.rule));
                if config.listen != self.listen {
                    let nowhere = || "answering load balancers nowhere".to_string();
                    say(Severity::Info, &answering(&config.listen).unwrap_or_else(nowhere));
                    self.listen = config.listen;
                }
            }
            Err(failure) => {
                say(Severity::Alarm, &format!("not reloaded, nothing has changed: {}", failure.text))
            }
        }
    }
}

fn reload(
    instance: &Instance,
    responder: &Responder,
    path: &std::path::Path,
    cache: Option<PathBuf>,
) -> Result<Reloaded, Failure> {
    let mut config = load::file(path)?;
    if cache.is_some() {
        config.cache_file = cache;
    }
    // What cannot be had is found out before anything has changed.
    let prepared = responder.prepare(&config.listen)?;
    let answer = instance.reload(config.clone())?;
    responder.adopt(prepared)?;
    Ok(Reloaded { config, answer })
}

fn warn_of_external(config: &Config) {
    for pool in config.pools.iter().filter(|pool| pool.probe_mode == ProbeMode::External) {
        warn(&format!("pool {} has probe = \"external\": this agent does not watch it", pool.name));
    }
}

/// Where load balancers are answered; `None` if nowhere.
fn answering(listen: &Listen) -> Option<String> {
    let list = |what: &str, addresses: &[ListenAddress]| {
        let names: Vec<String> = addresses.iter().map(ListenAddress::to_string).collect();
        (!names.is_empty()).then(|| format!("{what} at {}", names.join(", ")))
    };
    let places: Vec<String> =
        list("HTTP", &listen.http).into_iter().chain(list("agent-checks", &listen.agent_check)).collect();
    (!places.is_empty()).then(|| format!("answering {}", places.join("; ")))
}

fn first_pool(config: &Config) -> String {
    config.pools.first().map_or_else(String::new, |pool| pool.name.clone())
}

/// What this agent is there for.
fn watched(config: &Config) -> String {
    let names: Vec<&str> = config.vips.iter().map(|vip| vip.name.as_str()).collect();
    let vips = match names.as_slice() {
        [one] => format!("the floating address {one}"),
        few @ [] | few @ [_, _, ..] if few.len() <= 8 => format!("the floating addresses {}", few.join(", ")),
        many => format!("{} floating addresses", many.len()),
    };
    let pools = plural(config.pools.len(), "pool");
    match (config.pools.is_empty(), names.is_empty()) {
        (_, true) => format!("watching {pools}"),
        (true, false) => format!("sharing {vips}"),
        (false, false) => format!("watching {pools}, sharing {vips}"),
    }
}

/// Who is ACTIVE and who owns, in a line.
fn summary(instance: &Instance) -> String {
    let Ok(snapshot) = instance.snapshot() else { return "no state".into() };
    let mut parts: Vec<String> = snapshot
        .pools
        .iter()
        .map(|pool| match pool.active.and_then(|i| pool.nodes.get(i)) {
            Some(node) => format!("{}: {} {}", pool.name, node.name, node.status),
            None => format!("{}: nobody is ACTIVE", pool.name),
        })
        .collect();
    if let Ok(status) = instance.vip_status() {
        parts.extend(status.vips.iter().map(|vip| match &vip.owner {
            Some(owner) => format!("{}: {owner} owns", vip.name),
            None => format!("{}: no owner is known", vip.name),
        }));
    }
    parts.join("; ")
}

/// A line of the agent's own in its log.
fn say(severity: Severity, text: &str) {
    let word = match severity {
        Severity::Info => "info   ",
        Severity::Warning => "warning",
        Severity::Alarm => "ALARM  ",
    };
    note(&logged(severity, &format!("{} {word} - agent: {text}\n", terminal::date(terminal::wall_ms()))));
}
