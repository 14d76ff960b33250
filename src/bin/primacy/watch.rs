//! `watch`: the pools live in the terminal, from the control socket of whoever decides, else from the cache.

use crate::args::Args;
use crate::failure::{Exit, Failure};
use crate::screen::{Model, render};
use crate::terminal::{has_colour, wall_ms};
use crate::tier::Tier;
use crate::view::View;
use crate::{Outcome, agent, load};
use primacy::config::Config;
use primacy::console::Signals;
use primacy::control::{Ask, Seen, Told};
use primacy::engine::{Event, PoolSnapshot};
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::io::{IsTerminal, stdin, stdout};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Between two looks at the agent.
const LOOK: Duration = Duration::from_millis(250);
/// How long a key, a new size or a signal may wait.
const TICK: Duration = Duration::from_millis(100);
/// Lines that a page key moves.
const PAGE: usize = 10;

/// One look.
struct Looked {
    pools: Vec<PoolSnapshot>,
    tier: Option<Tier>,
    source: String,
    trouble: String,
    events: Vec<Event>,
    explained: Option<(String, String)>,
}

pub fn watch(args: &Args) -> Outcome {
    let config = load::config(args)?;
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Err(Failure::usage(
            "watch needs a terminal for its keys and its picture; use `primacy status`, or --json for programs",
        ));
    }
    // The first look is made before the screen is taken: what is wrong is said as by every other command.
    let mut looker = Looker { config, next: 0 };
    let first = looker.look(None)?;
    let signals = Signals::take()?;
    let failed = |e: std::io::Error| Failure::new(Exit::Unreachable, format!("the terminal fails: {e}"));
    let (wanted, asked) = channel::<Option<String>>();
    let (sender, looks) = channel();
    std::thread::spawn(move || keep_looking(looker, &asked, &sender));
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let mut model = Model { colour: has_colour(), ..Model::default() };
    take(&mut model, first);
    let outcome = turn(&mut terminal, &mut model, &signals, &wanted, &looks);
    ratatui::try_restore().map_err(failed)?;
    outcome.map_err(failed)?;
    Ok(Exit::Done)
}

fn turn(
    terminal: &mut ratatui::DefaultTerminal,
    model: &mut Model,
    signals: &Signals,
    wanted: &Sender<Option<String>>,
    looks: &Receiver<Result<Looked, String>>,
) -> std::io::Result<()> {
    loop {
        while let Ok(looked) = looks.try_recv() {
            match looked {
                Ok(looked) => take(model, looked),
                Err(trouble) => model.trouble = trouble,
            }
        }
        model.now_ms = wall_ms();
        terminal.draw(|frame| render(model, frame.area(), frame.buffer_mut()))?;
        // SIGHUP too: the terminal has gone.
        if signals.next().is_some() {
            return Ok(());
        }
        if event::poll(TICK)?
            && let event::Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
        {
            if !obey(model, key) {
                return Ok(());
            }
            let pool = model.explain.is_some().then(|| model.pools.get(model.chosen)).flatten();
            let _ = wanted.send(pool.map(|pool| pool.name.clone()));
        }
    }
}

/// What a key does; false to end.
fn obey(model: &mut Model, key: KeyEvent) -> bool {
    let before = model.chosen;
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Down | KeyCode::Right | KeyCode::Tab | KeyCode::Char('j') => model.choose(1),
        KeyCode::Up | KeyCode::Left | KeyCode::BackTab | KeyCode::Char('k') => model.choose(-1),
        KeyCode::Char('e') => {
            let text = if model.explain.is_none() { Some("asking".to_string()) } else { None };
            model.explain = text;
            model.scroll = 0;
        }
        // Older events are above, and so is the beginning of an explanation.
        KeyCode::PageUp if model.explain.is_none() => model.scroll += PAGE,
        KeyCode::PageDown if model.explain.is_none() => model.scroll = model.scroll.saturating_sub(PAGE),
        KeyCode::PageUp => model.scroll = model.scroll.saturating_sub(PAGE),
        KeyCode::PageDown => model.scroll += PAGE,
        _ => {}
    }
    if model.chosen != before && model.explain.is_some() {
        model.explain = Some("asking".into());
    }
    true
}

fn take(model: &mut Model, looked: Looked) {
    // The chosen pool stays chosen when others come or go.
    let name = model.pools.get(model.chosen).map(|pool| pool.name.clone());
    let place = name.and_then(|name| looked.pools.iter().position(|pool| pool.name == name));
    model.chosen = place.unwrap_or(model.chosen.min(looked.pools.len().saturating_sub(1)));
    model.pools = looked.pools;
    model.tier = looked.tier.map(|tier| tier.lines()).unwrap_or_default();
    model.source = looked.source;
    model.trouble = looked.trouble;
    model.add(looked.events);
    if let (Some((pool, text)), Some(shown)) = (looked.explained, &mut model.explain)
        && model.pools.get(model.chosen).is_some_and(|chosen| chosen.name == pool)
    {
        *shown = text;
    }
}

/// Asks in a thread of its own: an agent that hangs must not hold up the keys.
fn keep_looking(
    mut looker: Looker,
    asked: &Receiver<Option<String>>,
    sender: &Sender<Result<Looked, String>>,
) {
    let mut explain: Option<String> = None;
    loop {
        match asked.recv_timeout(LOOK) {
            Ok(pool) => explain = pool,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
        }
        let looked = looker.look(explain.as_deref()).map_err(|failure| failure.text);
        if sender.send(looked).is_err() {
            return;
        }
    }
}

struct Looker {
    config: Config,
    /// The number of the next event.
    next: u64,
}

impl Looker {
    fn look(&mut self, explain: Option<&str>) -> Result<Looked, Failure> {
        let trouble = match agent::ask(&self.config, Ask::Snapshot { pool: None }) {
            Ok(Some(done)) => match Seen::decode(&done.body) {
                Ok(seen) => return Ok(self.more(seen, explain)),
                Err(e) => e.to_string(),
            },
            Ok(None) => String::new(),
            Err(words) => words,
        };
        let view = View::from_cache(&self.config)?;
        let trouble = match view.staleness() {
            _ if !trouble.is_empty() => trouble,
            Some(stale) => stale,
            None => "the agent does not listen to this user: only what is in the cache is shown".into(),
        };
        // Who is in the tier stands in no cache.
        let tier = None;
        let source = format!("cache {}", load::cache_path(&self.config)?.display());
        let explained = explain.map(|pool| (pool.to_string(), "only the agent can explain".to_string()));
        Ok(Looked { tier, pools: view.snapshot.pools, source, trouble, events: Vec::new(), explained })
    }

    fn more(&mut self, seen: Seen, explain: Option<&str>) -> Looked {
        let mut trouble = String::new();
        let mut events = Vec::new();
        match agent::ask(&self.config, Ask::Events { after: self.next }) {
            Ok(Some(done)) => match Told::decode(&done.body) {
                Ok(told) => {
                    self.next = told.next;
                    events = told.events;
                }
                Err(e) => trouble = e.to_string(),
            },
            Ok(None) => {}
            // An agent of an earlier release has none to tell.
            Err(words) => trouble = words,
        }
        let explained = explain.and_then(|pool| {
            let done = agent::ask(&self.config, Ask::Explain { pool: pool.to_string() });
            let text = match done {
                Ok(done) => done?.message,
                Err(words) => words,
            };
            Some((pool.to_string(), text))
        });
        let source = format!("process {}", seen.pid);
        let mut tier = None;
        if !self.config.vips.is_empty() {
            match agent::ask(&self.config, Ask::Vip) {
                Ok(Some(done)) => match Tier::read(&done.body) {
                    Ok(read) => tier = Some(read),
                    Err(words) => trouble = words,
                },
                Ok(None) => {}
                Err(words) => trouble = words,
            }
        }
        Looked { tier, pools: seen.snapshot.pools, source, trouble, events, explained }
    }
}
