//! What a proxy answers: SUCCESS, a refusal, or the rows of `MPP SHOW ALL`.
//!
//! The original refuses by a result whose column is called `ERROR - …`; an error packet says the same here. Both may say
//! that a node is uninitialized, which its caller can mend.

use super::command::{node_of, state, status, weight};
use crate::pool::{NodeType, State, Status};
use crate::wire::Results;
use std::collections::BTreeMap;

/// Longest text of a refusal that is repeated, in characters.
const SHOWN: usize = 300;

/// An answer, detached from the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Names of the columns; none for a plain OK.
    pub columns: Vec<String>,
    /// The rows; a NULL is empty.
    pub rows: Vec<Vec<String>>,
    /// The error packet in place of all that.
    pub error: Option<String>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// The proxy does not know the node yet: it wants `MPP INITIALIZE`. The text is the proxy's.
    Uninitialized(String),
    /// It was refused, in the proxy's words.
    Refused(String),
}

/// One row of `MPP SHOW ALL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The node as the proxy spells it.
    pub node: String,
    /// `proxy` or `mpp`.
    pub group: String,
    /// What the value is.
    pub element: String,
    /// The value.
    pub value: String,
}

/// What a proxy holds of a node in the group `mpp`; none for what it does not say or what has no meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The type.
    pub node_type: Option<NodeType>,
    /// The state.
    pub state: Option<State>,
    /// The status.
    pub status: Option<Status>,
    /// The weight.
    pub weight: Option<u32>,
}

impl Held {
    /// Whether the node was initialized: it has a type.
    pub fn is_initialized(&self) -> bool {
        self.node_type.is_some()
    }
}

impl Reply {
    /// Of the first statement's answer.
    pub(super) fn of(results: &Results) -> Reply {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let mut reply =
            Reply { error: results.error().map(|error| printable(&error.to_string())), ..Reply::default() };
        if let Some(set) = results.sets().next() {
            reply.columns = (0..set.columns()).map(|column| text(set.name(column))).collect();
            let row = |row| (0..set.columns()).map(|column| text(set.value(row, column))).collect();
            reply.rows = (0..set.rows()).map(row).collect();
        }
        reply
    }

    /// How an INITIALIZE or SET ended.
    pub fn outcome(&self) -> Outcome {
        let said = match &self.error {
            Some(error) => error.clone(),
            None => {
                let title = self.columns.first().map(String::as_str).unwrap_or_default();
                let first = self.rows.first().and_then(|row| row.first()).map(String::as_str);
                let first = first.unwrap_or_default();
                let is_error = |text: &str| {
                    text.trim_start().get(..5).is_some_and(|word| word.eq_ignore_ascii_case("error"))
                };
                let uninitialized = first.to_ascii_lowercase().contains("uninitialized");
                if !is_error(title) && !is_error(first) && !uninitialized {
                    return Outcome::Done;
                }
                printable(if first.is_empty() { title } else { first })
            }
        };
        match said.to_ascii_lowercase().contains("uninitialized") {
            true => Outcome::Uninitialized(said),
            false => Outcome::Refused(said),
        }
    }

    /// The rows of `MPP SHOW ALL`, whatever the order of the columns.
    ///
    /// # Errors
    /// One sentence: the proxy's refusal, or what the answer lacks.
    pub fn shown(&self) -> Result<Vec<Row>, String> {
        if let Some(error) = &self.error {
            return Err(format!("it does not answer MPP SHOW ALL: {error}"));
        }
        let place = |name: &str| {
            self.columns.iter().position(|column| column.eq_ignore_ascii_case(name)).ok_or_else(|| {
                let seen: Vec<String> = self.columns.iter().take(8).map(|c| printable(c)).collect();
                format!(
                    "its answer to MPP SHOW ALL has no column {name}; it has {}",
                    if seen.is_empty() { "none".into() } else { seen.join(", ") }
                )
            })
        };
        let (node, group, element, value) =
            (place("nodename")?, place("group")?, place("element")?, place("value")?);
        let cell = |row: &[String], at: usize| row.get(at).cloned().unwrap_or_default();
        let read = |row: &Vec<String>| Row {
            node: cell(row, node),
            group: cell(row, group),
            element: cell(row, element),
            value: cell(row, value),
        };
        Ok(self.rows.iter().map(read).collect())
    }
}

/// What the rows of the group `mpp` say of each node, by its canonical name. A node that only the proxy knows holds nothing;
/// a name that is no address stays as it is.
pub fn held(rows: &[Row]) -> BTreeMap<String, Held> {
    let mut nodes: BTreeMap<String, Held> = BTreeMap::new();
    for row in rows {
        let name = node_of(&row.node).map_or_else(|_| row.node.clone(), |address| address.to_string());
        let held = nodes.entry(name).or_default();
        if !row.group.eq_ignore_ascii_case("mpp") {
            continue;
        }
        match row.element.to_ascii_lowercase().as_str() {
            "type" => held.node_type = NodeType::from_name(&row.value),
            "state" => held.state = state(&row.value),
            "status" => held.status = status(&row.value),
            "weight" => held.weight = weight(&row.value),
            _ => {}
        }
    }
    nodes
}

/// Somebody else's words on one line of bounded length.
pub(super) fn printable(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}
