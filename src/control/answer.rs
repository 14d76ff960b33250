//! Answers.

use super::VERSION;
use super::request::Id;
use crate::error::{Error, ErrorCode, Result};
use serde_json::{Map, Value, json};

/// What a request brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Words for people: what was done, an explanation, a budget. May be empty.
    pub message: String,
    /// The rule that allowed it, 0 for none.
    pub rule: u16,
    /// What the request's documentation says, else null.
    pub body: Value,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request's id; `None` if it could not be read.
    pub id: Option<Id>,
    /// How it ended.
    pub outcome: Result<Done>,
}

impl Answer {
    /// The document.
    pub fn encode(&self) -> String {
        let id = self.id.map(|id| id.to_string());
        let whole = match &self.outcome {
            Ok(done) => json!({
                "version": VERSION,
                "id": id,
                "ok": {"message": done.message, "rule": done.rule, "body": done.body},
            }),
            Err(error) => json!({
                "version": VERSION,
                "id": id,
                "error": {"code": error.code() as i32, "name": error.code().name(), "text": error.message()},
            }),
        };
        whole.to_string()
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`] for bytes that are no answer, or one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Answer> {
        let bad = |text: String| Error::new(ErrorCode::Unsupported, text);
        let document: Map<String, Value> = serde_json::from_slice(bytes).map_err(|e| {
            bad(format!("what listens on the control socket does not speak its protocol: {e}"))
        })?;
        match document.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => {
                return Err(bad(format!(
                    "the instance answers in version {other} of the control protocol, and this program reads \
                     {VERSION}: use the command of the release that the instance runs"
                )));
            }
            None => return Err(bad("the instance's answer has no version".into())),
        }
        let id = match document.get("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => {
                Some(Id::parse(text).ok_or_else(|| bad("the answer's id is no id".into()))?)
            }
            Some(_) => return Err(bad("the answer's id is no text".into())),
        };
        let outcome = match (document.get("ok"), document.get("error")) {
            (Some(Value::Object(done)), None) => Ok(Done {
                message: text(done, "message"),
                rule: done
                    .get("rule")
                    .and_then(Value::as_u64)
                    .and_then(|n| u16::try_from(n).ok())
                    .unwrap_or(0),
                body: done.get("body").cloned().unwrap_or_default(),
            }),
            (None, Some(Value::Object(error))) => Err(read_error(error)),
            _ => return Err(bad("the instance's answer is neither a result nor an error".into())),
        };
        Ok(Answer { id, outcome })
    }
}

fn text(map: &Map<String, Value>, key: &str) -> String {
    map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A number that this version does not know keeps its name in the words.
fn read_error(error: &Map<String, Value>) -> Error {
    let number = error.get("code").and_then(Value::as_i64);
    let known = ErrorCode::ALL.into_iter().find(|code| Some(i64::from(*code as i32)) == number);
    let (name, words) = (text(error, "name"), text(error, "text"));
    match known {
        Some(code) => Error::new(code, words),
        None => Error::new(ErrorCode::Unsupported, format!("{name}: {words}")),
    }
}
