//! The running agent, or any host of the library, at its control socket.

use crate::failure::{Exit, Failure};
use crate::terminal::{print, warn};
use crate::{Outcome, load};
use primacy::config::Config;
use primacy::control::{Ask, Change, Done, Seen};
use primacy::instance::control::{Client, NoClient, new_id};
use primacy::{Error, ErrorCode};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A reader has the cache to fall back to.
pub const LOOK: Duration = Duration::from_millis(500);
/// Longer than the agent waits for the disk.
const CHANGE: Duration = Duration::from_secs(7);
/// For an agent that is starting, and for a turn at a crowded socket.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(50);

/// Asks without changing anything; `None` if nobody answers, with a warning where somebody should have.
fn look(config: &Config, wanted: Ask) -> Option<Done> {
    ask(config, wanted).unwrap_or_else(|what| {
        warn(&format!("{what}; the answer comes from the cache"));
        None
    })
}

/// The same, without a word of its own: `Err` says why somebody who listens does not answer.
pub fn ask(config: &Config, ask: Ask) -> Result<Option<Done>, String> {
    let Some(path) = config.control_path() else { return Ok(None) };
    let unheard = |what: &str| Err(what.to_string());
    let mut client = match Client::connect(&path, LOOK) {
        Ok(Ok(client)) => client,
        // No agent, or one that does not listen to this user: the cache says the same.
        Ok(Err(NoClient::Nobody | NoClient::Forbidden)) => return Ok(None),
        Ok(Err(NoClient::Silent)) => {
            return unheard(&format!("the agent does not take connections at {}", path.display()));
        }
        Err(e) => return unheard(&e.to_string()),
    };
    match new_id().and_then(|id| client.ask(id, ask, LOOK)) {
        Ok(Ok(done)) => Ok(Some(done)),
        // Who may not command may still read the cache.
        Ok(Err(e)) if e.code() == ErrorCode::Refused => Ok(None),
        Ok(Err(e)) | Err(e) => unheard(&e.to_string()),
    }
}

/// The state of one pool, or of all, as the agent has it now.
pub fn seen(config: &Config, pool: Option<&str>) -> Option<Seen> {
    let done = look(config, Ask::Snapshot { pool: pool.map(str::to_owned) })?;
    match Seen::decode(&done.body) {
        Ok(seen) => Some(seen),
        Err(e) => {
            warn(&format!("{e}; the answer comes from the cache"));
            None
        }
    }
}

/// Why a pool is as it is, as the agent has it now.
pub fn explain(config: &Config, pool: &str) -> Option<String> {
    look(config, Ask::Explain { pool: pool.to_owned() }).map(|done| done.message)
}

/// Which backends clients of a service would get. The cache knows nothing of that.
pub fn route(config: &Config, ask: Ask) -> Result<Done, Failure> {
    let path = config.control_path();
    let nobody = || {
        "no agent answers, and where clients go is decided in the process that runs the library".to_string()
    };
    let mut client = match path.map(|path| Client::connect(&path, LOOK)) {
        Some(Ok(Ok(client))) => client,
        Some(Err(error)) => return Err(error.into()),
        _ => return Err(Failure::new(Exit::Unreachable, nobody())),
    };
    Ok(client.ask(new_id()?, ask, LOOK)??)
}

/// Figures for monitoring, as the agent has them now.
pub fn metrics(config: &Config) -> Option<String> {
    look(config, Ask::Metrics).map(|done| done.message)
}

/// Who was reached with a change.
enum Given {
    /// The agent, and it has done it.
    Done(Done),
    /// Nobody; why the one who may hold the cache cannot be reached.
    Nobody(String),
}

/// Gives a change to the agent; without one `offline` works on the cache under its lock. Between the two there may
/// be an agent that has the lock and does not listen yet.
pub fn change(config: &Config, change: &Change, offline: impl Fn() -> Outcome) -> Outcome {
    let until = Instant::now() + PATIENCE;
    loop {
        let why = match give(config, change)? {
            Given::Done(done) => {
                print(&format!("{} (rule {})\n", done.message, done.rule))?;
                return Ok(Exit::Done);
            }
            Given::Nobody(why) => why,
        };
        match offline() {
            Err(failure) if failure.exit == Exit::Locked && Instant::now() < until => sleep(PAUSE),
            Err(failure) => return Err(load::unreached(failure, &why)),
            done => return done,
        }
    }
}

/// Gives an order to the agent, without which nobody could carry it out.
pub fn order(config: &Config, change: &Change) -> Outcome {
    let until = Instant::now() + PATIENCE;
    loop {
        match give(config, change)? {
            Given::Done(done) => {
                print(&format!("{} (rule {})\n", done.message, done.rule))?;
                return Ok(Exit::Done);
            }
            // It may be starting.
            Given::Nobody(_) if Instant::now() < until => sleep(PAUSE),
            Given::Nobody(why) => {
                return Err(Failure::new(
                    Exit::Unreachable,
                    format!("no agent answers: {why}; only an agent owns addresses"),
                ));
            }
        }
    }
}

fn give(config: &Config, change: &Change) -> Result<Given, Failure> {
    let Some(path) = config.control_path() else {
        return Ok(Given::Nobody("this configuration has no control_socket".into()));
    };
    let id = new_id()?;
    let until = Instant::now() + PATIENCE;
    // Set once the agent may have begun to carry it out.
    let mut broken: Option<Error> = None;
    loop {
        let mut client = match Client::connect(&path, PATIENCE)? {
            Ok(client) => client,
            Err(no) => {
                return match broken {
                    None => Ok(Given::Nobody(unreachable(&path, no))),
                    Some(e) => Err(Failure::new(
                        Exit::Unreachable,
                        format!("{e}; `primacy status` tells whether the command was carried out"),
                    )),
                };
            }
        };
        // The same id: what was carried out is not carried out again.
        match client.ask(id, Ask::Change { change: change.clone(), wait: true }, CHANGE) {
            Ok(Ok(done)) => return Ok(Given::Done(done)),
            Ok(Err(e)) if e.code() == ErrorCode::Busy && Instant::now() < until => sleep(PAUSE),
            Ok(Err(e)) => return Err(e.into()),
            Err(e) if e.code() == ErrorCode::Io && Instant::now() < until => {
                broken = Some(e);
                sleep(PAUSE);
            }
            Err(e) => {
                return Err(Failure::new(
                    Exit::Unreachable,
                    format!("{e}; `primacy status` tells whether the command was carried out"),
                ));
            }
        }
    }
}

fn unreachable(path: &Path, no: NoClient) -> String {
    let path = path.display();
    match no {
        NoClient::Nobody => format!("nobody listens at its control socket {path}"),
        NoClient::Forbidden => format!(
            "its control socket {path} is not for this user: run this as root or as the agent's user, or name this user \
             in control_users"
        ),
        NoClient::Silent => format!("it takes no connections at its control socket {path}"),
    }
}
