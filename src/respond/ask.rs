//! What is asked: from the target of a request, a balancer's own header, or the line of an agent-check.

use super::http::{Fault, Request};
use crate::config::parse_duration;
use crate::policy::serving::Role;
use core::time::Duration;

/// The node that is asked about, as it was named.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// Any spelling of its address; `None` means the one that the configuration gives.
    pub node: Option<String>,
    /// Its pool, needed where the node is in several.
    pub pool: Option<String>,
    /// The service that is asked for: its name, or `POOL.SERVICE`, which names the pool too.
    pub service: Option<String>,
}

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/primary`, `/read-write`: may clients that write go there?
    Primary,
    /// `/replica`: may clients that want a STANDBY go there?
    Replica,
    /// `/read-only`: may clients that only read go there, ACTIVE or STANDBY?
    ReadOnly,
    /// `/backend`: may clients of a service go there?
    Backend,
    /// `/health`: may the clients that are there stay? Without a node, and none in the configuration: [`Page::Liveness`].
    Health,
    /// `/liveness`: does the engine of this agent turn?
    Liveness,
    /// `/metrics`.
    Metrics,
    /// `/status`.
    Status,
}

/// The paths, for those who ask for another one.
const PATHS: &str =
    "/primary, /read-write, /replica, /read-only, /backend, /health, /liveness, /metrics and /status";

impl Page {
    fn of(path: &str) -> Option<Page> {
        Some(match path {
            "primary" | "read-write" => Page::Primary,
            "replica" => Page::Replica,
            "read-only" => Page::ReadOnly,
            "backend" => Page::Backend,
            "health" => Page::Health,
            "liveness" => Page::Liveness,
            "metrics" => Page::Metrics,
            "status" => Page::Status,
            _ => return None,
        })
    }

    /// Whether it is about one node.
    pub const fn wants_node(self) -> bool {
        matches!(self, Page::Primary | Page::Replica | Page::ReadOnly | Page::Backend | Page::Health)
    }

    /// Whether a limit of lag means anything to it.
    pub const fn takes_lag(self) -> bool {
        matches!(self, Page::Replica | Page::ReadOnly)
    }
}

/// What a request asks: the page, the node, and the most lag that it may have.
///
/// The node is the rest of the path (`/primary/10.0.1.11:3306`), the parameter `node`, or else the address and port in
/// `X-Haproxy-Server-State`, which HAProxy sends with `http-check send-state`. Parameters that are not known are ignored
/// only if they are not ours to know: one that is misspelled is an error.
///
/// # Errors
/// 404 for another path, 400 for parameters that cannot be meant.
pub fn http_ask(request: &Request) -> Result<(Page, Who, Option<Duration>), Fault> {
    let (path, query) = match request.target.split_once('?') {
        Some((path, query)) => (path, query),
        None => (request.target.as_str(), ""),
    };
    let path = path.strip_prefix('/').unwrap_or(path);
    let (first, rest) = match path.split_once('/') {
        Some((first, rest)) => (first, rest),
        None => (path, ""),
    };
    let Some(page) = Page::of(first) else {
        return Err(Fault::new(404, format!("there is no such page; there are {PATHS}")));
    };
    let mut who = Who::default();
    let mut lag = None;
    if !rest.is_empty() {
        if !page.wants_node() {
            return Err(Fault::new(404, format!("nothing lies below /{first}")));
        }
        who.node = Some(decode(rest)?);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value)?;
        let twice = || Fault::new(400, format!("{name} is given twice"));
        match name {
            "node" if page.wants_node() => match who.node.replace(value) {
                None => {}
                Some(_) => return Err(twice()),
            },
            "pool" if page.wants_node() => match who.pool.replace(value) {
                None => {}
                Some(_) => return Err(twice()),
            },
            "service" if page == Page::Backend => match who.service.replace(value) {
                None => {}
                Some(_) => return Err(twice()),
            },
            "lag" if page.takes_lag() => match lag.replace(span(&value).map_err(|e| Fault::new(400, e))?) {
                None => {}
                Some(_) => return Err(twice()),
            },
            _ if page.wants_node() => {
                let takes = match page {
                    Page::Backend => "node, pool and service",
                    _ if page.takes_lag() => "node, pool and lag",
                    _ => "node and pool",
                };
                return Err(Fault::new(400, format!("/{first} takes the parameters {takes} alone")));
            }
            // What a scraper adds to the address of /metrics changes nothing.
            _ => {}
        }
    }
    if page.wants_node() && who.node.is_none() {
        who.node = request.server.clone();
    }
    if page == Page::Backend && who.service.is_none() {
        return Err(Fault::new(400, "no service is named: ask for /backend/NODE?service=NAME"));
    }
    Ok((page, who, lag))
}

/// What the line of an agent-check asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentAsk {
    /// The node.
    pub who: Who,
    /// What its server is for.
    pub role: Role,
    /// The most lag that a STANDBY may have.
    pub lag: Option<Duration>,
}

/// Reads `NODE [pool=NAME] [service=NAME]`, or `NODE [pool=NAME] [role=primary|replica|any] [lag=DURATION]`.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn agent_ask(line: &str) -> Result<AgentAsk, String> {
    let mut ask = AgentAsk::default();
    let mut role = None;
    for word in line.split_ascii_whitespace() {
        match word.split_once('=') {
            None if ask.who.node.is_none() => ask.who.node = Some(word.to_owned()),
            None => return Err("two nodes are named".into()),
            Some(("pool", name)) => ask.who.pool = Some(name.to_owned()),
            Some(("role", name)) => {
                role = Some(Role::from_name(name).ok_or("role is primary, replica or any")?);
            }
            Some(("service", name)) => ask.who.service = Some(name.to_owned()),
            Some(("lag", text)) => ask.lag = Some(span(text)?),
            Some(_) => {
                return Err("beside the node there may be pool=, service=, role= and lag= alone".into());
            }
        }
    }
    if ask.who.service.is_some() && (role.is_some() || ask.lag.is_some()) {
        return Err(
            "a service has its role and max_lag in the configuration: leave role= and lag= out".into()
        );
    }
    ask.role = role.unwrap_or_default();
    Ok(ask)
}

fn span(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|problem| format!("lag: {problem}"))
}

/// Takes percent signs out (RFC 3986, section 2.1).
fn decode(text: &str) -> Result<String, Fault> {
    let bad = || Fault::new(400, "a percent sign is not followed by two hexadecimal digits of UTF-8 text");
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(bad()) };
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out).map_err(|_| bad())
}
