//! Commands that probe: one cycle, moves that need a look at the servers, and the agent.

use crate::args::Args;
use crate::failure::{Exit, Failure, exit_of};
use crate::terminal::{event_line, logged, note, print, warn};
use crate::view::{Source, View};
use crate::{Outcome, agent, find, load, offline, table, terminal};
use primacy::Error;
use primacy::config::{Config, OnLocked, PoolConfig, ProbeMode};
use primacy::control::Change;
use primacy::engine::{Answer, Command, EventKind, PoolSnapshot, Severity, Snapshot};
use primacy::instance::{Durability, EventFilter, Instance, Subscription};
use primacy::policy::serving;
use primacy::pool::{PolicyName, State};
use std::path::Path;
use std::time::Duration;

/// Events that may wait for a slow terminal.
pub const QUEUE: usize = 16_384;

/// An instance for one command: it does not wait for the lock, for cron would pile up its jobs there.
fn open(args: &Args, config: &Config, command: &str) -> Result<(Instance, Subscription), Failure> {
    load::cache_path(config)?;
    let mut config = config.clone();
    config.on_locked = OnLocked::Error;
    let instance = Instance::new(config)?;
    let events = instance.subscribe(EventFilter::default(), QUEUE)?;
    // The first use takes the lock and reads the cache.
    instance.snapshot().map_err(|e| load::with_advice(e.into(), args, command))?;
    Ok((instance, events))
}

/// Prints what has happened; the answer is whether the cache could be written. `log`: with what is only for the record.
pub fn drain(events: &Subscription, log: bool) -> bool {
    print_events(events, log).0
}

/// The same, and how much has happened.
pub fn print_events(events: &Subscription, log: bool) -> (bool, usize) {
    let (mut stored, mut count) = (true, 0);
    let mut text = String::new();
    while let Some(event) = events.next() {
        if event.kind == EventKind::Store {
            stored = event.severity < Severity::Alarm;
        }
        count += 1;
        if log || event.kind != EventKind::Log || event.severity > Severity::Warning {
            text.push_str(&logged(event.severity, &event_line(&event)));
        }
    }
    if !text.is_empty() {
        note(&text);
    }
    (stored, count)
}

/// Whether the cache holds what was decided. Events alone do not tell: a write may still fail while an instance ends.
fn is_stored(config: &Config, decided: &Snapshot) -> bool {
    let exists = config.cache_file.as_deref().is_some_and(|path| path.symlink_metadata().is_ok());
    if !exists {
        // Nothing is written before something was seen: a name that does not resolve is nothing.
        return decided.pools.iter().flat_map(|pool| &pool.nodes).all(|node| node.state == State::Unknown);
    }
    let Ok(stored) = View::from_cache(config) else { return false };
    let essence = |snapshot: &Snapshot| -> Vec<_> {
        let nodes = |pool: &PoolSnapshot| -> Vec<_> {
            pool.nodes.iter().map(|node| (node.state, node.status, node.waits_for_recover)).collect()
        };
        snapshot.pools.iter().map(|pool| (pool.epoch, pool.status, nodes(pool))).collect()
    };
    essence(&stored.snapshot) == essence(decided)
}

/// What is said of a decision that is not in the cache.
fn not_stored(config: &Config) -> Failure {
    let path = config.cache_file.as_deref().unwrap_or(Path::new("")).display();
    Failure::new(
        Exit::Unreachable,
        format!(
            "the outcome is not in the cache {path}, which keeps its old state: make room or repair it, and run this again"
        ),
    )
}

/// Longer than any cycle of the pool takes if nothing is wrong with this machine.
fn patience(pool: &PoolConfig) -> Duration {
    let steps = match pool.policy {
        PolicyName::Safe => pool.fall.saturating_add(pool.rise),
        PolicyName::Mpp => 1,
    };
    let slowest = |of: fn(&PoolConfig, usize) -> Duration| {
        (0..pool.nodes.len()).map(|i| of(pool, i)).max().unwrap_or_default()
    };
    let probe = slowest(|pool, i| pool.nodes[i].probe.probe_timeout);
    let silence = slowest(|pool, i| pool.nodes[i].probe.silence);
    probe
        .saturating_mul(steps)
        .saturating_add(silence)
        .saturating_add(pool.handback_deadline)
        .saturating_add(Duration::from_secs(5))
}

pub fn poll(args: &Args, pool: Option<&str>, timeout: Option<Duration>, verbose: bool) -> Outcome {
    let config = load::config(args)?;
    let mut wanted = find::pools(&config, pool)?;
    let external = |i: &usize| config.pools[*i].probe_mode == ProbeMode::External;
    if let Some(outside) = wanted.iter().copied().find(external) {
        let name = &config.pools[outside].name;
        if pool.is_some() || wanted.iter().all(external) {
            return Err(Failure::usage(format!(
                "pool {name} has probe = \"external\": its host measures health and closes its cycles, so there is \
                 nothing to probe here"
            )));
        }
        warn(&format!("pool {name} has probe = \"external\" and is left out"));
        wanted.retain(|i| !external(i));
    }
    let (instance, events) = open(args, &config, "poll")?;
    let mut exit = Exit::Done;
    for &index in &wanted {
        let pool = &config.pools[index];
        if let Err(e) = instance.run_cycle(&pool.name, timeout.unwrap_or_else(|| patience(pool))) {
            terminal::complain(&format!("pool {}: {e}", pool.name));
            exit = exit_of(e.code());
        }
    }
    let snapshot = instance.snapshot()?;
    let stopped = instance.stop();
    drain(&events, false);
    stopped?;
    if !is_stored(&config, &snapshot) {
        return Err(not_stored(&config));
    }
    for &index in &wanted {
        if let Some(why) = snapshot.pools.get(index).and_then(serving::not_serving) {
            terminal::complain(&format!("pool {}: {why}", config.pools[index].name));
            exit = if exit == Exit::Done { Exit::No } else { exit };
        }
    }
    if verbose {
        let view = View { snapshot, source: Source::Engine };
        print(&table::status(&view, primacy::console::width()))?;
    }
    Ok(exit)
}

pub fn activate_primary(args: &Args, pool: Option<&str>) -> Outcome {
    let config = load::config(args)?;
    let index = find::pool_or_only(&config, pool)?;
    let name = config.pools[index].name.clone();
    let words = format!("activate-primary --pool {name}");
    agent::change(&config, &Change::ActivatePrimary { pool: name.clone() }, || {
        act(args, &config, index, &words, Command::ActivatePrimary(index), |instance| {
            instance.activate_primary(&name, Durability::Wait)
        })
    })
}

pub fn remove(args: &Args, node: &str, in_pool: Option<&str>) -> Outcome {
    let config = load::config(args)?;
    let place = find::node(&config, node, in_pool)?;
    let (name, address) = find::names(&config, place);
    let words = format!("remove {address} --pool {name}");
    agent::change(&config, &Change::Remove { pool: name.clone(), node: address.clone() }, || {
        act(args, &config, place.pool, &words, Command::RemoveNode(place), |instance| {
            instance.remove_node(&name, &address, Durability::Wait)
        })
    })
}

/// A move that rules judge by what the servers say now: look, move, and see it through. A pool that its host observes
/// has nobody to look; there the stored state must do.
pub fn act(
    args: &Args,
    config: &Config,
    pool: usize,
    words: &str,
    command: Command,
    carry_out: impl FnOnce(&Instance) -> Result<Answer, Error>,
) -> Outcome {
    let pool = &config.pools[pool];
    if pool.probe_mode == ProbeMode::External {
        return offline::carry_out(args, config, words, command);
    }
    let (instance, events) = open(args, config, words)?;
    let looked = instance.run_cycle(&pool.name, patience(pool));
    let answer = looked.and_then(|()| carry_out(&instance));
    // A hand-over begins with the command and ends in the next cycle.
    let ended = if answer.is_ok() { instance.run_cycle(&pool.name, patience(pool)) } else { Ok(()) };
    let decided = instance.snapshot();
    let stopped = instance.stop();
    drain(&events, false);
    let answer = answer?;
    ended.and(stopped)?;
    if !is_stored(config, &decided?) {
        return Err(not_stored(config));
    }
    print(&format!("{} (rule {})\n", answer.message, answer.rule))?;
    Ok(Exit::Done)
}
