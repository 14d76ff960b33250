//! `status` for people.

use crate::terminal::{age, date, has_colour, printable};
use crate::view::{CacheNote, Source, View};
use core::fmt::Write;
use primacy::engine::{NodeSnapshot, PoolSnapshot};
use primacy::policy::serving::not_serving;
use primacy::pool::{Freeze, State, Status};
use std::time::Duration;

const UNKNOWN: &str = "-";
const HEADS: [&str; 15] = [
    "POOL", "TYPE", "NODE", "STATE", "STATUS", "COUNT", "RULE", "FOR", "SEEN", "LAG", "RTT", "SERVER",
    "ORDER", "EPOCH", "MESSAGE",
];
const STATE: usize = 3;
const STATUS: usize = 4;
/// Columns that are left out when no node has a value: a cache holds no facts, and orders are rare.
const OPTIONAL: core::ops::RangeInclusive<usize> = 8..=12;
/// The last column is cut to the terminal's width, but not below this.
const SHORTEST_MESSAGE: usize = 20;

/// The table, and below it what a person must know. `width`: of the terminal, if it is one.
pub fn status(view: &View, width: Option<usize>) -> String {
    let mut rows: Vec<Vec<String>> = vec![HEADS.iter().map(ToString::to_string).collect()];
    for pool in &view.snapshot.pools {
        rows.extend(pool.nodes.iter().map(|node| row(view, pool, node)));
    }
    let shown: Vec<usize> = (0..HEADS.len())
        .filter(|c| !OPTIONAL.contains(c) || rows.iter().skip(1).any(|row| row[*c] != UNKNOWN))
        .collect();
    let widths: Vec<usize> =
        shown.iter().map(|c| rows.iter().map(|row| row[*c].chars().count()).max().unwrap_or(0)).collect();
    let colour = has_colour();
    let mut text = String::new();
    for (n, row) in rows.iter().enumerate() {
        let mut line = String::new();
        let mut used = 0;
        for (column, cell_width) in shown.iter().zip(&widths) {
            let cell = &row[*column];
            if *column == HEADS.len() - 1 {
                let room = width.map(|w| w.saturating_sub(used).max(SHORTEST_MESSAGE));
                line.push_str(&cut(cell, room));
                continue;
            }
            let padding = " ".repeat(cell_width - cell.chars().count() + 2);
            match paint(*column, cell).filter(|_| colour && n > 0) {
                Some(code) => line.push_str(&format!("\x1b[{code}m{cell}\x1b[0m{padding}")),
                None => line.push_str(&format!("{cell}{padding}")),
            }
            used += cell_width + 2;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    // Writing to a string cannot fail.
    let _ = remarks(&mut text, view);
    text
}

fn row(view: &View, pool: &PoolSnapshot, node: &NodeSnapshot) -> Vec<String> {
    let now = view.snapshot.wall_ms;
    let since = |ms: u64| if ms == 0 { UNKNOWN.to_string() } else { age(now.saturating_sub(ms)) };
    let live = !matches!(view.source, Source::Cache(_));
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_string());
    let facts = &node.facts;
    let lag = facts.channels.iter().flatten().filter_map(|c| c.lag).max();
    let rule = Some(node.rule).filter(|r| *r != 0);
    vec![
        pool.name.clone(),
        node.node_type.to_string(),
        node.name.clone(),
        node.state.to_string(),
        node.status.to_string(),
        or_unknown(node.count.map(|n| n.to_string())),
        or_unknown(rule.map(|n| n.to_string())),
        since(node.changed_ms),
        // A cache is written on changes alone: its time of observation says nothing about the last one.
        if live { since(node.observed_ms) } else { UNKNOWN.to_string() },
        or_unknown(lag.map(|lag| format!("{}s", lag.as_secs()))),
        or_unknown(facts.round_trip.map(short)),
        or_unknown(facts.flavour.zip(facts.version).map(|(flavour, version)| format!("{flavour} {version}"))),
        or_unknown(order(pool, node)),
        pool.epoch.to_string(),
        printable(&node.message),
    ]
}

/// What an operator ordered, in a word; the remarks say it in full.
fn order(pool: &PoolSnapshot, node: &NodeSnapshot) -> Option<String> {
    let own = node.override_.as_ref().map(|order| match order.maintenance {
        Some(_) => "maintenance",
        None => "override",
    });
    let words: Vec<&str> = own.into_iter().chain(pool.frozen.as_ref().map(|_| "frozen")).collect();
    (!words.is_empty()).then(|| words.join("+"))
}

/// Since when an order holds, how long it still does, and why.
fn terms(now: u64, since_ms: u64, until_ms: Option<u64>, reason: &str) -> String {
    let until = until_ms.map_or_else(String::new, |until| {
        format!(", until {} ({} left)", date(until), age(until.saturating_sub(now)))
    });
    format!("since {}{until}: {}", date(since_ms), printable(reason))
}

fn short(span: Duration) -> String {
    match span.as_micros() {
        us @ 0..=9_999 => format!("{us}us"),
        us => format!("{}ms", us / 1000),
    }
}

fn cut(text: &str, room: Option<usize>) -> String {
    match room {
        Some(room) if text.chars().count() > room => {
            text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
        }
        _ => text.to_string(),
    }
}

/// The colour of a cell (SGR, ECMA-48 8.3.117).
fn paint(column: usize, cell: &str) -> Option<&'static str> {
    match column {
        STATE => match State::from_name(cell)? {
            State::Active => Some("1;32"),
            State::Standby => Some("32"),
            State::Unknown => Some("33"),
            State::FailedOnline | State::FailedOffline => Some("31"),
        },
        STATUS => match Status::from_name(cell)? {
            Status::Ok => None,
            Status::OkInfo | Status::OkWarn => Some("33"),
            Status::OkCritical | Status::Fail => Some("1;31"),
        },
        _ => None,
    }
}

fn remarks(text: &mut String, view: &View) -> core::fmt::Result {
    let now = view.snapshot.wall_ms;
    writeln!(text)?;
    for pool in &view.snapshot.pools {
        let name = &pool.name;
        if let Some(why) = not_serving(pool) {
            writeln!(text, "pool {name}: {why}")?;
        }
        if let Some(Freeze { reason, since_ms, until_ms }) = &pool.frozen {
            writeln!(text, "pool {name}: frozen {}", terms(now, *since_ms, *until_ms, reason))?;
        }
        for node in &pool.nodes {
            let Some(order) = &node.override_ else { continue };
            let terms = terms(now, order.since_ms, order.until_ms, &order.reason);
            writeln!(text, "pool {name}: {}: {order} {terms}", node.name)?;
        }
        for node in pool.nodes.iter().filter(|node| node.waits_for_recover) {
            writeln!(text, "pool {name}: {} waits for `primacy recover {}`", node.name, node.name)?;
        }
        let removed = &pool.removed;
        if !removed.is_empty() {
            writeln!(text, "pool {name}: removed by an operator: {}", removed.join(", "))?;
        }
    }
    let cache = match &view.source {
        Source::Engine => None,
        Source::Agent { cache, .. } => cache.as_ref(),
        Source::Cache(note) => Some(note),
    };
    if let Some(CacheNote { file, sequence, written_ms, agent }) = cache {
        let ago = age(now.saturating_sub(*written_ms));
        let file = file.display();
        writeln!(text, "cache {file}: change {sequence}, {} ({ago} ago)", date(*written_ms))?;
        match agent {
            Ok(Some(holder)) => writeln!(text, "agent: {}", describe(holder))?,
            Ok(None) => writeln!(text, "agent: none holds the cache; nobody watches the pools now")?,
            Err(e) => writeln!(text, "agent: unknown: {e}")?,
        }
    }
    if let Source::Agent { pid, cache, differs } = &view.source {
        if cache.is_none() {
            writeln!(text, "agent: process {pid}")?;
        }
        if *differs {
            writeln!(
                text,
                "the agent runs with another configuration than this one; reload or restart it to take this one over"
            )?;
        }
    }
    Ok(())
}

fn describe(holder: &primacy::instance::cache_file::Holder) -> String {
    let mut text = match holder.pid {
        0 => "a process outside of this PID namespace".to_string(),
        pid => format!("process {pid}"),
    };
    if !holder.program.is_empty() {
        text.push_str(&format!(" ({})", printable(&holder.program)));
    }
    if holder.since_ms != 0 {
        text.push_str(&format!(" since {}", date(holder.since_ms)));
    }
    text
}
