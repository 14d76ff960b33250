//! Why a pool is as it is: the facts, the rules that judged them, and what would change the decision.

use super::pool_machine::PoolMachine;
use super::time::{Duration, Now};
use crate::config::LastResort;
use crate::policy::safe::restart::BARRED_BY_INTENT;
use crate::policy::safe::{Bar, Model, Pin};
use crate::policy::{mpp, rule_sentence};
use crate::pool::{Judge, Status};
use crate::probe::ThreadState;
use crate::store::utc::format_utc;
use core::fmt::Write;

/// The pool in words, one fact a line.
pub fn explain(pool: &PoolMachine, now: Now) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut text, pool, now);
    text
}

fn write_all(text: &mut String, pool: &PoolMachine, now: Now) -> core::fmt::Result {
    let config = &pool.config;
    writeln!(
        text,
        "pool {}: kind {}, policy {}, status {}, epoch {}",
        config.name, config.kind, config.policy, pool.status, pool.epoch
    )?;
    match pool.judge.active() {
        Some(a) if pool.heir().is_some() => {
            writeln!(text, "ACTIVE is {}; routing pauses for a hand-over", pool.nodes[a].name)?;
        }
        Some(a) => writeln!(text, "ACTIVE is {}", pool.nodes[a].name)?,
        None => writeln!(text, "no node is ACTIVE")?,
    }
    if let Some(freeze) = &pool.orders.frozen {
        write!(text, "frozen: no rule changes a state or the role")?;
        write_order(text, &freeze.order.reason, freeze.order.since_ms, freeze.left(now.mono))?;
    }
    for i in (0..pool.nodes.len()).filter(|&i| !pool.judge.is_removed(i)) {
        write_node(text, pool, i, now)?;
    }
    writeln!(text, "what would change it:")?;
    match &pool.judge {
        Judge::Safe { .. } if pool.following.is_some() => pool.explain_following(text)?,
        Judge::Safe { .. } if pool.owner.is_some() => pool.explain_owned(text)?,
        Judge::Safe { model, .. } => write_facts(text, pool, model, now)?,
        Judge::Mpp { members, settings } => write_orders(text, pool, members, settings)?,
    }
    let names: Vec<&str> = pool.nodes.iter().map(|n| n.name.as_str()).collect();
    let cycles = matches!(pool.judge, Judge::Mpp { .. });
    for change in pool.would_change(now) {
        writeln!(text, "  {}", change.sentence(&pool.config.name, &names, cycles))?;
    }
    Ok(())
}

fn write_node(text: &mut String, pool: &PoolMachine, i: usize, now: Now) -> core::fmt::Result {
    let node = &pool.nodes[i];
    let (state, status) = (pool.judge.state(i), pool.status_of(i));
    writeln!(text, "node {} ({}): {state}, {status}", node.name, pool.type_of(i))?;
    if let Some(standing) = pool.orders.nodes.get(i).and_then(Option::as_ref) {
        write!(text, "  {}", standing.order)?;
        write_order(text, &standing.order.reason, standing.order.since_ms, standing.left(now.mono))?;
        if standing.order.set.status.is_some() {
            writeln!(text, "  the rules have its status at {}", pool.judge.status(i))?;
        }
    }
    if let Some((rule, state)) = pool.orders.would.get(i).copied().flatten() {
        let sentence = rule_sentence(rule).unwrap_or_default();
        writeln!(text, "  without an operator's order: {state}, rule {rule}: {sentence}")?;
    }
    if node.rule != 0 {
        let sentence = rule_sentence(node.rule).unwrap_or_default();
        writeln!(text, "  rule {}: {sentence}", node.rule)?;
    }
    match &node.last {
        None => writeln!(text, "  not observed yet")?,
        Some(o) => {
            let ago = now.mono.since(o.ended);
            write!(text, "  last observation {} ms ago: {} (class {})", ago.as_millis(), o.cause, o.class())?;
            if o.errno != 0 {
                write!(text, ", error {}", o.errno)?;
            }
            if !o.message.is_empty() {
                write!(text, ": {}", o.message)?;
            }
            writeln!(text)?;
        }
    }
    for line in pool.checkpoint_lines(i, now.mono) {
        writeln!(text, "  {line}")?;
    }
    let facts = &node.facts;
    if let (Some(flavour), Some(version)) = (facts.flavour, facts.version) {
        writeln!(text, "  server {flavour} {version}")?;
    }
    if let Some(read_only) = facts.read_only {
        writeln!(text, "  read_only = {}", u8::from(read_only))?;
    }
    if let Some(backend) = &facts.backend {
        let words = if backend.good { "good" } else { backend.words.as_str() };
        writeln!(text, "  behind its ports: {words}")?;
        for seen in &backend.servers {
            writeln!(text, "  port {} leads to {seen}", seen.port)?;
        }
    }
    pool.explain_member(text, i)?;
    for c in facts.channels.iter().flatten() {
        let word = |t: ThreadState| t.name();
        write!(text, "  replicates from {}: IO {}, SQL {}", c.source, word(c.io), word(c.sql))?;
        match c.lag {
            Some(lag) => writeln!(text, ", {} s behind", lag.as_secs())?,
            None => writeln!(text, ", lag unknown")?,
        }
    }
    if node.intent && pool.judge.waits_for_recover(i) {
        writeln!(text, "  {}", rule_sentence(BARRED_BY_INTENT).unwrap_or_default())?;
    } else if node.intent {
        writeln!(
            text,
            "  its intent to fail is on record: the next bad observation could take its role, so after a crash now it would wait for `recover`"
        )?;
    }
    if pool.judge.waits_for_recover(i) {
        match pool.config.auto_recover {
            None => writeln!(text, "  waits for `recover`")?,
            Some(limit) if pool.bucket.has_token(now.mono, limit) => writeln!(
                text,
                "  waits for `recover`, or until it is in good order and the ACTIVE node has all its transactions"
            )?,
            Some(limit) => {
                writeln!(text, "  waits for `recover`: auto_recover ({limit}) is used up for now")?;
            }
        }
        write_stranded(text, pool, i)?;
    }
    Ok(())
}

/// The reason of an order, its age in words of the clock, and its end.
fn write_order(text: &mut String, reason: &str, since_ms: u64, left: Option<Duration>) -> core::fmt::Result {
    let since = format_utc(since_ms).unwrap_or_default();
    write!(text, ", since {since}, reason: {reason}; ")?;
    match left {
        Some(left) => writeln!(text, "ends in {} s, without a switch", left.as_secs()),
        None => writeln!(text, "until an operator ends it"),
    }
}

fn write_stranded(text: &mut String, pool: &PoolMachine, i: usize) -> core::fmt::Result {
    let Some(active) = pool.judge.active().filter(|&a| a != i) else { return Ok(()) };
    match &pool.nodes[i].stranded {
        Some(missing) if !missing.is_empty() => {
            writeln!(text, "  holds what {} lacks: {missing}", pool.nodes[active].name)
        }
        _ => Ok(()),
    }
}

/// What holds the decision up where no observation or command of its own would change it.
fn write_facts(text: &mut String, pool: &PoolMachine, model: &Model, now: Now) -> core::fmt::Result {
    if model.frozen {
        writeln!(text, "  an operator froze the pool: `primacy unfreeze` lets the rules decide again")?;
    }
    if model.failback_waits {
        writeln!(
            text,
            "  no hand-back begins by itself: an order's time ran out; `primacy activate-primary` begins one"
        )?;
    }
    if let Some(a) = model.active() {
        let name = &pool.nodes[a].name;
        match model.members[a].pin {
            Pin::Fixed => {
                writeln!(
                    text,
                    "  an operator fixed the role on {name}: `primacy unset {name}` changes that"
                )?;
            }
            Pin::Leave => writeln!(
                text,
                "  {name} hands the role over for maintenance, as soon as a node that may take over has proven that it has everything"
            )?,
            Pin::Free => {}
        }
        let ordered = model.frozen || model.members[a].pin == Pin::Fixed;
        if ordered && pool.held_since.is_none() && pool.judge.status(a) == Status::Fail {
            writeln!(text, "  {name} has failed, and keeps the role by an operator's order")?;
        }
    }
    if pool.cut_off {
        writeln!(
            text,
            "  the prober itself may be cut off: a reply from any node or checkpoint of any pool changes that"
        )?;
    }
    if let Some(a) = model.active().filter(|_| pool.held_since.is_some()) {
        let name = &pool.nodes[a].name;
        writeln!(text, "  {name} has failed, but is {}", pool.hearers_in_words(now.mono))?;
        writeln!(text, "  proof that {name} is gone, or replicas that no longer hear it, change that")?;
    }
    if pool.barred_since.is_some() {
        match pool.config.last_resort {
            LastResort::After(_) => {
                let left = pool.last_resort_timer(now.mono).map(|at| at.since(now.mono)).unwrap_or_default();
                writeln!(
                    text,
                    "  last_resort lets a good node that waits for `recover` take over in {} s",
                    left.as_secs()
                )?;
            }
            LastResort::Alarm | LastResort::Never => {
                writeln!(
                    text,
                    "  `recover` of a good node that waits for it changes that; last_resort = \"after=…\" would in time"
                )?;
            }
        }
    }
    for i in (0..pool.nodes.len()).filter(|&i| Some(i) != model.active() && !model.members[i].removed) {
        let name = &pool.nodes[i].name;
        match model.bar(i) {
            None => writeln!(text, "  {name} may take over")?,
            Some(bar) => writeln!(text, "  {name} may not take over: {}{}", bar.sentence(), remedy(bar))?,
        }
    }
    Ok(())
}

/// What makes its next observation a good one, where the server has to change.
fn remedy(bar: Bar) -> &'static str {
    match bar {
        Bar::NotApplying => "; starting its replication (SQL) thread changes that",
        Bar::Lag => "; catching up changes that",
        Bar::ReadOnly => "; SET GLOBAL read_only = 0 on it changes that",
        Bar::Pinned(_) => "; ending the order with `primacy unset` changes that",
        Bar::Removed => "; a start with an empty cache changes that",
        _ => "",
    }
}

/// What an operator's order holds up under `mpp`.
fn write_orders(
    text: &mut String,
    pool: &PoolMachine,
    members: &[mpp::Member],
    settings: &mpp::Settings,
) -> core::fmt::Result {
    if settings.frozen {
        writeln!(text, "  an operator froze the pool: `primacy unfreeze` lets the table decide again")?;
    }
    for (i, m) in members.iter().enumerate().filter(|(_, m)| !m.removed && m.fixed) {
        let name = &pool.nodes[i].name;
        writeln!(text, "  an operator fixed {name} as {}: `primacy unset {name}` changes that", m.state)?;
    }
    Ok(())
}
