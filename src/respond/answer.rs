//! What is answered: from a node's standing and the serve matrix to a page or a line.

use super::ask::{AgentAsk, Page};
use super::http::Fault;
use crate::engine::Standing;
use crate::policy::serving::{self, Absent, AgentWord, Role};
use core::time::Duration;
use serde_json::{Value, json};
use std::sync::Arc;

/// Longest reason behind an agent-check's `down`; HAProxy shows it in its statistics.
const REASON_MAX: usize = 120;

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 200, or why not.
    pub status: u16,
    /// The Content-Type.
    pub kind: &'static str,
    /// The text. Large ones are shared by all who ask at the time.
    pub body: Arc<str>,
}

const JSON: &str = "application/json";

impl Response {
    /// A document.
    pub fn json(status: u16, value: &Value) -> Response {
        Response { status, kind: JSON, body: format!("{value}\n").into() }
    }

    /// A document that was made before.
    pub fn document(body: Arc<str>) -> Response {
        Response { status: 200, kind: JSON, body }
    }

    /// Figures in the format of Prometheus.
    pub fn figures(body: Arc<str>) -> Response {
        Response { status: 200, kind: "text/plain; version=0.0.4; charset=utf-8", body }
    }

    /// A request that is not answered, and why.
    pub fn fault(fault: &Fault) -> Response {
        Response::json(fault.status, &json!({ "error": fault.text }))
    }
}

/// Why there is nothing to say about a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// No node was named, or it is in several pools; what to do.
    Unclear(String),
    /// A row of the matrix, and what was asked.
    Absent(&'static Absent, String),
}

/// What a service makes of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seated {
    /// The service in full.
    pub service: String,
    /// New clients go there.
    pub takes: bool,
    /// The clients that it has may stay.
    pub stays: bool,
    /// The share of the clients, in percent of weight 1.
    pub percent: u64,
    /// The row of the services' table, and its sentence.
    pub rule: u16,
    /// See `rule`.
    pub sentence: &'static str,
}

/// What is known of a node, and what the service makes of it that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The node.
    pub node: Standing,
    /// `None` where no service was named.
    pub seated: Option<Seated>,
}

impl From<Standing> for Known {
    fn from(node: Standing) -> Known {
        Known { node, seated: None }
    }
}

/// A node, or why none.
pub type Found = Result<Known, Miss>;

/// A page about no node.
pub fn plain(found: Result<Value, Miss>) -> Response {
    match found {
        Ok(value) => Response::json(200, &value),
        Err(miss) => missed(&miss),
    }
}

fn missed(miss: &Miss) -> Response {
    match miss {
        Miss::Unclear(text) => Response::json(400, &json!({ "error": text })),
        Miss::Absent(row, about) => {
            Response::json(row.http, &json!({ "error": about, "rule": row.number, "reason": row.sentence }))
        }
    }
}

/// A page about a node.
pub fn node_page(page: Page, found: &Found, lag: Option<Duration>) -> Response {
    let node = match found {
        Ok(Known { node, seated: Some(seated) }) => {
            let mut told = told(node, seated.rule, seated.sentence);
            if let Value::Object(map) = &mut told {
                map.insert("service".into(), seated.service.as_str().into());
            }
            return Response::json(if seated.takes { 200 } else { 503 }, &told);
        }
        Ok(Known { node, .. }) => node,
        Err(miss) => return missed(miss),
    };
    let row = serving::rule_for(&node.view);
    let answers = row.then;
    let mut status = match page {
        Page::Primary => answers.primary(),
        Page::Replica => answers.replica(),
        Page::ReadOnly => answers.read_only(),
        _ => answers.health(),
    };
    let mut reason = row.sentence.to_string();
    // The ACTIVE node is behind nobody.
    if status == 200
        && !answers.is_active
        && let Some(why) = behind(node, lag)
    {
        (status, reason) = (503, why);
    }
    Response::json(status, &told(node, row.number, &reason))
}

/// Why a node lags too far behind for this caller.
fn behind(node: &Standing, most: Option<Duration>) -> Option<String> {
    let most = most?;
    match node.lag {
        Some(lag) if lag <= most => None,
        Some(lag) => Some(format!("its lag of {} ms is above the {} ms asked for", ms(lag), ms(most))),
        None => Some("its lag is not known, and a limit was asked for".into()),
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn told(node: &Standing, rule: u16, reason: &str) -> Value {
    let moment = |ms: u64| Some(ms).filter(|ms| *ms != 0);
    json!({
        "pool": node.pool,
        "node": node.name,
        "type": node.node_type.name(),
        "state": node.view.state.name(),
        "status": node.view.status.name(),
        "class": node.view.class.map(|class| class.name()),
        "rule": rule,
        "reason": reason,
        "message": node.message,
        "weight": node.weight,
        "lag_ms": node.lag.map(ms),
        "paused": node.view.paused,
        "maintenance": node.view.maintenance,
        "observed_ms": moment(node.observed_ms),
        "changed_ms": moment(node.changed_ms),
    })
}

/// The answer to an agent-check, with its end; `None` for no answer at all.
///
/// What cannot be read or meant is `down` with the reason, which HAProxy shows: a server that nobody can vouch for gets no
/// clients.
pub fn agent_line(ask: &Result<AgentAsk, String>, found: &Found) -> Option<String> {
    let (ask, node) = match (ask, found) {
        (Err(problem), _) | (_, Err(Miss::Unclear(problem))) => return Some(down(problem)),
        (_, Err(Miss::Absent(row, about))) => {
            return row.agent.map(|_| down(about));
        }
        (_, Ok(Known { seated: Some(seated), .. })) => {
            return Some(match (seated.takes, seated.stays) {
                (true, _) => format!("ready up {}%\n", seated.percent),
                (false, true) => format!("{}\n", AgentWord::Drain.line(1)),
                (false, false) => down(&format!("{}: {}", seated.service, seated.sentence)),
            });
        }
        (Ok(ask), Ok(Known { node, .. })) => (ask, node),
    };
    let answers = serving::serve(&node.view);
    let mut word = answers.agent_for(ask.role);
    if word == AgentWord::Up && !answers.is_active && behind(node, ask.lag).is_some() {
        word = AgentWord::Drain;
    }
    Some(match word {
        AgentWord::Down => {
            let view = &node.view;
            let why = match (ask.role, answers.agent) {
                (Role::Primary, AgentWord::Up | AgentWord::Drain) => "it is not the node that takes writes",
                _ => &node.message,
            };
            down(&format!("{} {}, {why}", view.state, view.status))
        }
        // Clients that write have one node to go to, whatever its weight.
        AgentWord::Up if ask.role == Role::Primary => format!("{}\n", word.line(1)),
        word => format!("{}\n", word.line(node.weight)),
    })
}

/// `down` with its reason. A number sign begins it and a line's end ends it, so neither may be inside.
fn down(why: &str) -> String {
    let printable = |c: char| if c == '#' || !(' '..='~').contains(&c) { ' ' } else { c };
    let why: String = why.chars().map(printable).take(REASON_MAX).collect();
    format!("{} #{}\n", AgentWord::Down.line(0), why.trim())
}
