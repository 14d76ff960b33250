//! The desk of the control socket: carries requests of other processes to the engine and outcomes back.

use super::names;
use super::shared::Core;
use crate::config::{Config, ControlSocket};
use crate::control::{Answer, Ask, Change, Done, Id, Memory, Request, Seen, Terms};
use crate::engine::{self, Command, Input, Now, ReportOutcome, Severity};
use crate::error::{Error, ErrorCode, Result};
use crate::io::control::{Asked, ClientId, ControlSetup};
use crate::io::entropy;
use crate::io::file::CacheFolder;
use crate::io::place::Place;
use crate::io::users;
use std::sync::Arc;
use std::time::Duration;

pub use crate::io::control_client::{Client, NoClient, new_id};

/// How long an answer waits for the disk.
const DURABLE: Duration = Duration::from_secs(5);

/// A caller that waits until its command is on disk.
#[derive(Debug)]
struct Waiting {
    client: ClientId,
    id: Id,
    answer: engine::Answer,
}

/// What the desk remembers.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) memory: Memory<Result<engine::Answer>>,
    waiting: Vec<Waiting>,
    /// Callers that wait for the tier.
    pub(super) asking: Vec<super::tier_desk::Asking>,
    /// The newest state that is on disk, and the newest that could not be written.
    confirmed: u64,
    failed: Option<(u64, String)>,
}

/// What the configuration says about the socket, with users as numbers. Blocks on the system's user database.
pub(super) fn setup(config: &Config, cache: Option<&Arc<CacheFolder>>) -> Result<Option<ControlSetup>> {
    let Some(path) = config.control_path() else { return Ok(None) };
    let named = matches!(config.control_socket, ControlSocket::At(_));
    let place = match cache.filter(|_| !named) {
        Some(folder) => Place::beside(path, Arc::clone(folder)),
        None => Place::at(path),
    };
    Ok(Some(ControlSetup { place, named, users: users::numbers(&config.control_users)? }))
}

/// Whether the tier carries it out, and not the engine.
fn is_for_tier(change: &Change) -> bool {
    matches!(change, Change::VipMove { .. } | Change::VipClear { .. } | Change::VipStandby { .. })
}

fn done(answer: engine::Answer) -> Done {
    Done { message: answer.message, rule: answer.rule, body: serde_json::Value::Null }
}

impl Desk {
    /// How durable a state is: `None` as long as that is open.
    fn durable(&self, sequence: u64) -> Option<Result<()>> {
        if self.confirmed >= sequence {
            return Some(Ok(()));
        }
        let (_, words) = self.failed.as_ref().filter(|(failed, _)| *failed >= sequence)?;
        Some(Err(Error::new(ErrorCode::Io, format!("the command is in force, but only in memory: {words}"))))
    }
}

impl Core {
    /// Opens the socket, if there is to be one. One that nobody named may fail: deciding does not hang on it.
    pub(super) fn open_control(&mut self, now: Now) -> Result<()> {
        let (Some(setup), Some(driver)) = (&self.control, &mut self.driver) else { return Ok(()) };
        match driver.open_control(setup) {
            Err(error) if !setup.named => {
                let text = format!("no other process can give commands to this one: {error}");
                self.hub.say(Severity::Warning, (now.mono, now.wall_ms), ("", ""), text);
                Ok(())
            }
            other => other,
        }
    }

    /// Answers what was asked since the last turn. The driver bounds how much that can be.
    pub(super) fn serve(&mut self, now: Now) {
        self.settle_tier(now);
        while let Some(asked) = self.driver.as_mut().and_then(|driver| driver.next_asked()) {
            match asked {
                Asked::Request(client, Ok(request)) => self.attend(now, client, request),
                Asked::Request(client, Err((id, error))) => {
                    let error = Err(error);
                    self.count_request(None, &error);
                    self.answer(now, client, Answer { id, outcome: error });
                }
                Asked::Overdue(client) => {
                    if self.give_up_tier(now, client) {
                        continue;
                    }
                    let Some(at) = self.desk.waiting.iter().position(|w| w.client == client) else {
                        continue;
                    };
                    let id = self.desk.waiting.swap_remove(at).id;
                    let error = Error::new(
                        ErrorCode::Timeout,
                        format!(
                            "the command is in force, but the cache did not take it within {DURABLE:?}; look at the disk"
                        ),
                    );
                    self.answer(now, client, Answer { id: Some(id), outcome: Err(error) });
                }
            }
        }
    }

    pub(super) fn answer(&mut self, now: Now, client: ClientId, answer: Answer) {
        if let Some(driver) = &mut self.driver {
            driver.answer(now.mono, client, &answer);
        }
    }

    fn attend(&mut self, now: Now, client: ClientId, request: Request) {
        let Request { id, ask } = request;
        let command = Some(ask.name());
        let to_tier = match &ask {
            Ask::Vip => self.ask_tier(now, client, id, ask.name()).map(|()| true),
            Ask::Change { change, .. } if is_for_tier(change) => match self.desk.memory.recall(id, change) {
                Ok(None) => self.order_tier(now, client, id, ask.name(), change.clone()).map(|()| true),
                // It was carried out before, and its answer did not arrive.
                Ok(Some(outcome)) => {
                    self.answer(now, client, Answer { id: Some(id), outcome: outcome.map(done) });
                    return;
                }
                Err(error) => Err(error),
            },
            _ => Ok(false),
        };
        match to_tier {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                let outcome = Err(error);
                self.count_request(command, &outcome);
                self.answer(now, client, Answer { id: Some(id), outcome });
                return;
            }
        }
        let outcome = match ask {
            Ask::Change { change, wait } => match self.change(now, id, change) {
                Ok(answer) if wait && answer.sequence > 0 => match self.desk.durable(answer.sequence) {
                    Some(durable) => durable.map(|()| done(answer)),
                    None => {
                        // It is carried out; how its answer fares is the disk's matter.
                        self.count_request(command, &Ok(Done::default()));
                        self.desk.waiting.push(Waiting { client, id, answer });
                        if let Some(driver) = &mut self.driver {
                            driver.hold(client, now.mono + DURABLE);
                        }
                        return;
                    }
                },
                other => other.map(done),
            },
            Ask::Report { pool, node, service, outcome } => {
                self.reported(now, &pool, &node, service, outcome)
            }
            look => self.look_for(now, look),
        };
        self.count_request(command, &outcome);
        self.answer(now, client, Answer { id: Some(id), outcome });
    }

    /// Carries out a change once for each id.
    fn change(&mut self, now: Now, id: Id, change: Change) -> Result<engine::Answer> {
        if let Some(outcome) = self.desk.memory.recall(id, &change)? {
            return outcome;
        }
        let outcome = self.command_of(&change).and_then(|command| self.carry_out(now, command));
        self.desk.memory.keep(id, change, outcome.clone());
        outcome
    }

    pub(super) fn command_of(&self, change: &Change) -> Result<Command> {
        Ok(match change {
            Change::Recover { pool, node } => Command::RecoverNode(names::node(&self.config, pool, node)?),
            Change::RecoverPool { pool } => Command::RecoverPool(names::pool(&self.config, pool)?),
            Change::ActivatePrimary { pool } => Command::ActivatePrimary(names::pool(&self.config, pool)?),
            Change::Remove { pool, node } => Command::RemoveNode(names::node(&self.config, pool, node)?),
            Change::Override { pool, node, set, terms: Terms { reason, limit } } => Command::Override {
                node: names::node(&self.config, pool, node)?,
                set: *set,
                reason: reason.clone(),
                limit: *limit,
            },
            Change::ClearOverride { pool, node } => {
                Command::ClearOverride(names::node(&self.config, pool, node)?)
            }
            Change::Freeze { pool, terms: Terms { reason, limit } } => Command::Freeze {
                pool: names::pool(&self.config, pool)?,
                reason: reason.clone(),
                limit: *limit,
            },
            Change::Unfreeze { pool } => Command::Unfreeze(names::pool(&self.config, pool)?),
            Change::Maintenance { pool, node, role, terms: Terms { reason, limit } } => {
                Command::Maintenance {
                    node: names::node(&self.config, pool, node)?,
                    role: *role,
                    reason: reason.clone(),
                    limit: *limit,
                }
            }
            Change::VipMove { .. } | Change::VipClear { .. } | Change::VipStandby { .. } => {
                return Err(Error::new(ErrorCode::State, "an order to the tier is none to the engine"));
            }
        })
    }

    /// A host's report. It says nothing about the node's health, so there is nothing to answer.
    fn reported(
        &mut self,
        now: Now,
        pool: &str,
        node: &str,
        service: Option<String>,
        outcome: ReportOutcome,
    ) -> Result<Done> {
        let node = names::node(&self.config, pool, node)?;
        self.give(now, Input::Report { node, service, outcome })?;
        Ok(Done::default())
    }

    fn look_for(&mut self, now: Now, ask: Ask) -> Result<Done> {
        match ask {
            Ask::Snapshot { pool } => {
                if let Some(pool) = &pool {
                    names::pool(&self.config, pool)?;
                }
                let mut snapshot = self.guarded(|engine| engine.snapshot(now))?;
                snapshot.pools.retain(|p| pool.as_ref().is_none_or(|name| *name == p.name));
                let seen = Seen { snapshot, fingerprint: self.fingerprint, pid: std::process::id() };
                Ok(Done { body: seen.encode(), ..Done::default() })
            }
            Ask::Metrics => {
                let message = self.metrics_text(now)?;
                Ok(Done { message, ..Done::default() })
            }
            Ask::Events { after } => Ok(Done { body: self.hub.told(after).encode(), ..Done::default() }),
            Ask::Explain { pool } => {
                let index = names::pool(&self.config, &pool)?;
                let message = self.guarded(|engine| engine.explain(now, index))?;
                Ok(Done { message, ..Done::default() })
            }
            Ask::Budget { pool } => {
                let index = names::pool(&self.config, &pool)?;
                let budget = self.config.pools.get(index).map(crate::policy::budget::budget);
                Ok(Done { message: budget.map(|b| b.to_string()).unwrap_or_default(), ..Done::default() })
            }
            Ask::Route { service, count, min_gtid, site } => {
                let seed = entropy::bytes::<8>().map_or(1, u64::from_ne_bytes);
                let site = site.unwrap_or_else(|| self.config.site.clone());
                self.services.route(&service, count, min_gtid.as_deref(), &site, seed)
            }
            Ask::Change { .. } | Ask::Report { .. } | Ask::Vip => {
                Err(Error::new(ErrorCode::State, "a change is no look"))
            }
        }
    }

    /// An operator's command, and all that follows from it.
    pub(super) fn carry_out(&mut self, now: Now, command: Command) -> Result<engine::Answer> {
        let removed = match command {
            Command::RemoveNode(node) => Some(node),
            _ => None,
        };
        let answer = self.guarded(|engine| engine.command(now, command))?;
        // A refusal has effects too: the engine may say so in an event.
        self.pump(now, usize::MAX)?;
        let answer = answer?;
        if let Some(node) = removed {
            self.forget_node(now, node);
        }
        self.set_deadline();
        Ok(answer)
    }

    /// Hears of every write that ended.
    pub(super) fn hear(&mut self, now: Now, input: &Input) {
        self.count_write(now, input);
        let Input::Persisted { sequence, outcome } = input else { return };
        match outcome {
            Ok(()) => self.desk.confirmed = self.desk.confirmed.max(*sequence),
            Err(words) => self.desk.failed = Some((*sequence, words.clone())),
        }
        let mut at = 0;
        while let Some(waiting) = self.desk.waiting.get(at) {
            let Some(durable) = self.desk.durable(waiting.answer.sequence) else {
                at += 1;
                continue;
            };
            let Waiting { client, id, answer } = self.desk.waiting.swap_remove(at);
            self.answer(now, client, Answer { id: Some(id), outcome: durable.map(|()| done(answer)) });
        }
    }

    /// Tells those who wait that no confirmation will come any more.
    pub(super) fn dismiss(&mut self, now: Now) {
        self.dismiss_tier(now);
        for Waiting { client, id, .. } in core::mem::take(&mut self.desk.waiting) {
            let error = Error::new(
                ErrorCode::Stopped,
                "the command was in force, but the instance stopped before it was on disk",
            );
            self.answer(now, client, Answer { id: Some(id), outcome: Err(error) });
        }
    }
}
