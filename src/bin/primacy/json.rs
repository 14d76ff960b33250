//! `status --json`: the document of a snapshot, and where it comes from. The keys are a contract, documented in
//! docs/command.md; keys are only ever added.

use crate::view::{CacheNote, Source, View};
use primacy::control::document;
use serde_json::{Value, json};

/// The whole view as one JSON text.
pub fn status(view: &View) -> String {
    let (source, cache, agent) = match &view.source {
        Source::Engine => ("engine", Value::Null, Value::Null),
        Source::Agent { cache: Some(note), .. } => ("agent", cache(note), holder(note)),
        Source::Agent { pid, .. } => {
            ("agent", Value::Null, json!({"pid": pid, "program": "", "since_ms": 0}))
        }
        Source::Cache(note) => ("cache", cache(note), holder(note)),
    };
    let mut whole = document(&view.snapshot);
    whole.insert("source".into(), source.into());
    whole.insert("cache".into(), cache);
    whole.insert("agent".into(), agent);
    let whole = Value::Object(whole);
    format!("{whole:#}\n")
}

fn cache(note: &CacheNote) -> Value {
    json!({
        "file": note.file.to_string_lossy(),
        "sequence": note.sequence,
        "written_ms": note.written_ms,
    })
}

fn holder(note: &CacheNote) -> Value {
    match &note.agent {
        Ok(Some(h)) => json!({"pid": h.pid, "program": h.program, "since_ms": h.since_ms}),
        Ok(None) | Err(_) => Value::Null,
    }
}
