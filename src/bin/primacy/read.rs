//! Commands that only look, at the agent or at the cache: no lock, no probe.

use crate::args::{Args, NodeArgs};
use crate::failure::{Exit, Failure};
use crate::terminal::{print, warn};
use crate::view::{Source, View};
use crate::{Outcome, agent, find, json, load, table, terminal};
use primacy::config::Config;
use primacy::control::Ask;
use primacy::engine::{Engine, NodeRef};
use primacy::instance::secrets;
use primacy::metrics::{self as figures, Figures};
use primacy::policy::serving::{AgentWord, Role};
use primacy::policy::{budget as budgets, serving};
use primacy::pool::State;
use std::path::Path;

pub fn check(file: &Path, text_only: bool) -> Outcome {
    let config = load::file(file)?;
    if !text_only {
        secrets::check_secrets(&config)?;
    }
    let nodes: usize = config.pools.iter().map(|pool| pool.nodes.len()).sum();
    print(&format!(
        "{}: good: {}, {}\n",
        file.display(),
        plural(config.pools.len(), "pool"),
        plural(nodes, "node")
    ))?;
    if config.cache_file.is_none() {
        warn("no cache_file is set: state does not outlive the process, and only `run` works without one");
    }
    Ok(Exit::Done)
}

pub fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub fn status(args: &Args, as_json: bool) -> Outcome {
    let config = load::config(args)?;
    let view = View::of(&config, None)?.with_cache(&config);
    let text = if as_json { json::status(&view) } else { table::status(&view, primacy::console::width()) };
    print(&text)?;
    Ok(Exit::Done)
}

/// A node of the command line in the cache, with a warning if nobody keeps that up to date.
fn look(args: &Args, asked: &NodeArgs) -> Result<(Config, View, NodeRef), Failure> {
    let name = find::address(&asked.words)?;
    let config = load::config(args)?;
    let place = find::node(&config, &name, asked.pool.as_deref())?;
    let view = View::of(&config, Some(place.pool))?;
    match view.staleness() {
        Some(stale) if asked.require_agent => return Err(Failure::new(Exit::Unreachable, stale)),
        Some(stale) => warn(&stale),
        None => {}
    }
    Ok((config, view, place))
}

fn name_of(config: &Config, place: NodeRef) -> String {
    config.pools[place.pool].nodes[place.node].address.to_string()
}

pub fn report(args: &Args, asked: &NodeArgs) -> Outcome {
    let (config, view, place) = look(args, asked)?;
    let name = name_of(&config, place);
    let pool = &config.pools[place.pool];
    let line = match view.node(place.pool, &name) {
        None => format!(
            "{}/{} ({}) : removed by an operator",
            "FAIL", "UNKNOWN", pool.nodes[place.node].node_type
        ),
        Some((_, node)) => {
            let label = node.label;
            let message = terminal::printable(&node.message);
            format!("{label}/{} ({}) : {message}", node.state, node.node_type)
        }
    };
    print(&format!("{}\n", line.trim_end()))?;
    Ok(Exit::Done)
}

pub fn is_active(args: &Args, asked: &NodeArgs) -> Outcome {
    let (config, view, place) = look(args, asked)?;
    let name = name_of(&config, place);
    let (policy, pool) = (config.pools[place.pool].policy, &view.snapshot.pools[place.pool]);
    let yes = view.node(place.pool, &name).is_some_and(|(index, node)| {
        serving::is_active(policy, pool.active == Some(index), node.state, node.status)
    });
    explain_silent_active(&view, place, &name);
    print(if yes { "OK\n" } else { "NO\n" })?;
    Ok(if yes { Exit::Done } else { Exit::No })
}

pub fn up(args: &Args, asked: &NodeArgs) -> Outcome {
    let (config, view, place) = look(args, asked)?;
    let name = name_of(&config, place);
    let policy = config.pools[place.pool].policy;
    let yes =
        view.node(place.pool, &name).is_some_and(|(_, node)| serving::is_up(policy, node.state, node.status));
    explain_silent_active(&view, place, &name);
    print(if yes { "UP\n" } else { "DOWN\n" })?;
    Ok(if yes { Exit::Done } else { Exit::No })
}

/// `up` for a balancer that tells roles apart, or sets weights.
pub fn up_for(args: &Args, asked: &NodeArgs, role: Role, misc_dynamic: bool) -> Outcome {
    let (config, view, place) = look(args, asked)?;
    let name = name_of(&config, place);
    let pool = &view.snapshot.pools[place.pool];
    let node = view.node(place.pool, &name);
    let word = node
        .and_then(|(index, _)| serving::View::of(pool, index))
        .map_or(AgentWord::Down, |seen| serving::serve(&seen).agent_for(role));
    // What is left of a byte above "success" and "failure".
    let weight = node.map_or(0, |(_, node)| u8::try_from(node.weight).unwrap_or(u8::MAX).min(253));
    explain_silent_active(&view, place, &name);
    let word = if weight == 0 && word == AgentWord::Up { AgentWord::Drain } else { word };
    Ok(match word {
        AgentWord::Up => {
            print("UP\n")?;
            if misc_dynamic { Exit::Weight(weight) } else { Exit::Done }
        }
        AgentWord::Drain => {
            print("DRAIN\n")?;
            if misc_dynamic { Exit::Weight(0) } else { Exit::No }
        }
        AgentWord::Down => {
            print("DOWN\n")?;
            Exit::No
        }
    })
}

/// An ACTIVE node that does not serve is the pool's last one: say since when and why.
fn explain_silent_active(view: &View, place: NodeRef, name: &str) {
    let pool = &view.snapshot.pools[place.pool];
    let silent = view.node(place.pool, name).filter(|(_, node)| node.state == State::Active);
    if let Some((index, _)) = silent
        && pool.active == Some(index)
        && let Some(why) = serving::not_serving(pool)
    {
        warn(&format!("pool {}: {why}", pool.name));
    }
}

pub fn explain(args: &Args, pool: Option<&str>) -> Outcome {
    let config = load::config(args)?;
    let wanted = find::pools(&config, pool)?;
    let said: Option<Vec<String>> =
        wanted.iter().map(|&index| agent::explain(&config, &config.pools[index].name)).collect();
    if let Some(said) = said {
        print(&said.join("\n"))?;
        return Ok(Exit::Done);
    }
    let file = load::cache(&config)?;
    let cache = file.read()?;
    let now = terminal::now();
    let mut text = format!(
        "as of the last change in the cache, {}; observations and facts are known to the agent alone, so nothing here \
         is newer\n",
        terminal::date(cache.written_ms)
    );
    let engine = Engine::new(config, Some(&cache), 0, now);
    for index in wanted {
        text.push('\n');
        text.push_str(&engine.explain(now, index));
    }
    print(&text)?;
    Ok(Exit::Done)
}

pub fn route(args: &Args, ask: Ask, as_json: bool) -> Outcome {
    let config = load::config(args)?;
    let done = agent::route(&config, ask)?;
    let nobody = done.body["clients"].as_array().is_none_or(|all| all.iter().any(|c| c["node"].is_null()));
    let line = |line: &str| format!("{}\n", terminal::printable(line));
    let text = if as_json { format!("{}\n", done.body) } else { done.message.lines().map(line).collect() };
    print(&text)?;
    Ok(if nobody { Exit::No } else { Exit::Done })
}

pub fn metrics(args: &Args, require_agent: bool) -> Outcome {
    let config = load::config(args)?;
    if let Some(text) = agent::metrics(&config) {
        print(&text)?;
        return Ok(Exit::Done);
    }
    if require_agent {
        return Err(Failure::new(
            Exit::Unreachable,
            "no agent answers, and what it counts is known to nobody else",
        ));
    }
    let view = View::from_cache(&config)?;
    let written_ms = match &view.source {
        Source::Cache(note) => note.written_ms,
        Source::Engine | Source::Agent { .. } => 0,
    };
    let stale = view.staleness();
    warn(stale.as_deref().unwrap_or("the agent does not answer; these figures are what its cache knows"));
    print(&figures::text(&Figures { snapshot: view.snapshot, written_ms, life: None }))?;
    Ok(Exit::Done)
}

pub fn budget(args: &Args, pool: Option<&str>) -> Outcome {
    let config = load::config(args)?;
    let tables: Vec<String> = find::pools(&config, pool)?
        .into_iter()
        .map(|index| budgets::budget(&config.pools[index]).to_string())
        .collect();
    print(&tables.join("\n"))?;
    Ok(Exit::Done)
}
