//! Events as the body of an answer, and back.

use super::snapshot::{Object, bad};
use crate::engine::{Event, EventKind, Severity, Time};
use crate::error::Result;
use crate::pool::{State, Status};
use crate::probe::Cause;
use serde_json::{Value, json};

/// What a question for events brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// In the order in which they happened.
    pub events: Vec<Event>,
    /// The number to ask with next time.
    pub next: u64,
    /// How many of those asked for are not kept any more.
    pub lost: u64,
}

impl Told {
    /// The body.
    pub fn encode(&self) -> Value {
        let events: Vec<Value> = self.events.iter().map(event).collect();
        json!({"events": events, "next": self.next, "lost": self.lost})
    }

    /// Reads a body. A kind of event that this version does not know is read as words for a log.
    ///
    /// # Errors
    /// [`crate::ErrorCode::Unsupported`] if a key is missing, or has a value that this version does not know.
    pub fn decode(body: &Value) -> Result<Told> {
        let body = Object::of(body, "body")?;
        Ok(Told {
            events: body.list("events")?.iter().map(read_event).collect::<Result<_>>()?,
            next: body.number("next")?,
            lost: body.number("lost")?,
        })
    }
}

fn event(event: &Event) -> Value {
    json!({
        "kind": event.kind.name(),
        "severity": event.severity.name(),
        "sequence": event.sequence,
        "mono_ns": event.mono.0,
        "wall_ms": event.wall_ms,
        "pool": event.pool,
        "node": event.node,
        "epoch": event.epoch,
        "rule": event.rule,
        "old_state": event.old_state.name(),
        "new_state": event.new_state.name(),
        "old_status": event.old_status.name(),
        "new_status": event.new_status.name(),
        "cause": event.cause.name(),
        "message": event.message,
        "count": event.count,
    })
}

fn read_event(value: &Value) -> Result<Event> {
    let event = Object::of(value, "event")?;
    Ok(Event {
        kind: EventKind::from_name(event.text("kind")?).unwrap_or(EventKind::Log),
        severity: event.word("severity", Severity::from_name)?,
        sequence: event.number("sequence")?,
        mono: Time(event.number("mono_ns")?),
        wall_ms: event.number("wall_ms")?,
        pool: event.text("pool")?.into(),
        node: event.text("node")?.into(),
        epoch: event.number("epoch")?,
        rule: event.number("rule")?,
        old_state: event.word("old_state", State::from_name)?,
        new_state: event.word("new_state", State::from_name)?,
        old_status: event.word("old_status", Status::from_name)?,
        new_status: event.word("new_status", Status::from_name)?,
        cause: Cause::from_name(event.text("cause")?).ok_or_else(|| bad("cause"))?,
        message: event.text("message")?.into(),
        count: event.number("count")?,
    })
}
