//! Commands on the stored state, under the cache's lock, that need no look at a server.

use crate::args::Args;
use crate::failure::{Exit, Failure};
use crate::terminal::{event_line, logged, note, print, warn};
use crate::{Outcome, agent, find, load, terminal};
use primacy::config::Config;
use primacy::control::Change;
use primacy::engine::Command;

pub fn init(args: &Args, force: bool) -> Outcome {
    let config = load::config(args)?;
    let file = load::cache(&config)?;
    let path = file.path().display().to_string();
    let locked = file.lock().map_err(|e| load::with_advice(e.into(), args, "init"))?;
    let kept = locked.init(&config, force, terminal::now())?;
    print(&format!("created the cache {path}\n"))?;
    if let Some(kept) = kept {
        warn(&format!("the old cache is kept as {}", kept.display()));
    }
    Ok(Exit::Done)
}

pub fn recover(args: &Args, target: &str, in_pool: Option<&str>) -> Outcome {
    let config = load::config(args)?;
    let (command, change) = match target.strip_prefix("pool:") {
        Some(_) if in_pool.is_some() => {
            return Err(Failure::usage("pool:NAME names the pool already: leave --pool out"));
        }
        Some(name) => {
            (Command::RecoverPool(find::pool(&config, name)?), Change::RecoverPool { pool: name.to_owned() })
        }
        None => {
            let place = find::node(&config, target, in_pool)?;
            let (pool, node) = find::names(&config, place);
            (Command::RecoverNode(place), Change::Recover { pool, node })
        }
    };
    agent::change(&config, &change, || {
        carry_out(args, &config, &format!("recover {target}"), command.clone())
    })
}

/// Carries out a command on the stored state. `words`: as the operator would type it again.
pub fn carry_out(args: &Args, config: &Config, words: &str, command: Command) -> Outcome {
    let locked = load::cache(config)?.lock().map_err(|e| load::with_advice(e.into(), args, words))?;
    let (answer, events) = locked.command(config, terminal::now(), command)?;
    events.iter().for_each(|event| note(&logged(event.severity, &event_line(event))));
    print(&format!("{} (rule {})\n", answer.message, answer.rule))?;
    Ok(Exit::Done)
}
