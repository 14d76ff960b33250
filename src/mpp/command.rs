//! The commands: `MPP SHOW ALL`, `MPP INITIALIZE node TYPE t`, `MPP SET node TYPE|STATE|STATUS|WEIGHT v`.
//!
//! Letter case does not matter, words are divided by white space, one semicolon may end a command.

use crate::pool::{Address, NodeType, State, Status};
use core::fmt;
use core::str::FromStr;

/// Longest text of a command, in bytes; the longest address takes 253.
pub const LONGEST: usize = 1024;

/// The largest weight, as in a configuration.
const HEAVIEST: u32 = 1000;

/// What is said of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// PRIMARY or SECONDARY.
    Type(NodeType),
    /// UNKNOWN, STANDBY, ACTIVE, FAILED_ONLINE, FAILED_OFFLINE; the original's FAIL_ONLINE and FAIL_OFFLINE are read too.
    State(State),
    /// OK, OK_INFO, OK_WARN, OK_CRITICAL, FAIL; without `OK_` before them the middle three are read too.
    Status(Status),
    /// Share of the clients, 0 to 1000.
    Weight(u32),
}

impl Element {
    /// The word before the value.
    pub fn name(&self) -> &'static str {
        match self {
            Element::Type(_) => "TYPE",
            Element::State(_) => "STATE",
            Element::Status(_) => "STATUS",
            Element::Weight(_) => "WEIGHT",
        }
    }

    /// Reads a value for an element's name.
    ///
    /// # Errors
    /// One sentence with the words that may stand there.
    pub fn parse(name: &str, value: &str) -> Result<Element, String> {
        let (found, allowed) = match name.to_ascii_uppercase().as_str() {
            "TYPE" => (NodeType::from_name(value).map(Element::Type), words(NodeType::ALL)),
            "STATE" => (state(value).map(Element::State), words(State::ALL)),
            "STATUS" => (status(value).map(Element::Status), words(Status::ALL)),
            "WEIGHT" => (weight(value).map(Element::Weight), format!("a number from 0 to {HEAVIEST}")),
            _ => return Err(format!("{} is no element; TYPE, STATE, STATUS and WEIGHT are", quote(name))),
        };
        found.ok_or_else(|| format!("{} is no {}: give {allowed}", quote(value), name.to_ascii_uppercase()))
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Type(t) => write!(f, "TYPE {t}"),
            Element::State(s) => write!(f, "STATE {s}"),
            Element::Status(s) => write!(f, "STATUS {s}"),
            Element::Weight(n) => write!(f, "WEIGHT {n}"),
        }
    }
}

/// A state by its word, the original's two spellings of a failed one included.
pub(super) fn state(word: &str) -> Option<State> {
    match word.to_ascii_uppercase().as_str() {
        "FAIL_ONLINE" => Some(State::FailedOnline),
        "FAIL_OFFLINE" => Some(State::FailedOffline),
        word => State::from_name(word),
    }
}

/// A status by its word, also as the original's command line abbreviates it.
pub(super) fn status(word: &str) -> Option<Status> {
    match word.to_ascii_uppercase().as_str() {
        "INFO" => Some(Status::OkInfo),
        "WARN" => Some(Status::OkWarn),
        "CRITICAL" => Some(Status::OkCritical),
        word => Status::from_name(word),
    }
}

/// A weight: decimal digits without a sign.
pub(super) fn weight(word: &str) -> Option<u32> {
    let digits = !word.is_empty() && word.len() <= 10 && word.bytes().all(|b| b.is_ascii_digit());
    word.parse().ok().filter(|n| digits && *n <= HEAVIEST)
}

fn words<T: fmt::Display>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// Quotes a word for an error, escaped and cut where it is long.
fn quote(word: &str) -> String {
    const MOST: usize = 60;
    let cut: String = word.chars().take(MOST).flat_map(char::escape_debug).collect();
    let more = if word.chars().nth(MOST).is_some() { "…" } else { "" };
    format!("\"{cut}{more}\"")
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Every node with what proxy and MPP say of it.
    ShowAll,
    /// Makes a node of the proxy known to MPP, with its type; its state is UNKNOWN then.
    Initialize {
        /// The node, as one of the proxy's backends.
        node: Address,
        /// Its type.
        node_type: NodeType,
    },
    /// Sets one element of a node that was initialized.
    Set {
        /// The node.
        node: Address,
        /// What is set.
        element: Element,
    },
}

impl Command {
    /// Reads a command. The first word is `MPP`.
    ///
    /// # Errors
    /// One sentence: which part is missing, not known, or too much, and what to write.
    pub fn parse(text: &str) -> Result<Command, String> {
        if text.len() > LONGEST {
            return Err(format!("the command has {} bytes, {LONGEST} are allowed", text.len()));
        }
        let text = text.trim();
        let text = text.strip_suffix(';').unwrap_or(text);
        let mut words = text.split_whitespace();
        match words.next() {
            None => return Err("the command is empty: it begins with MPP".into()),
            Some(word) if word.eq_ignore_ascii_case("MPP") => {}
            Some(word) => return Err(format!("{} is no MPP command: it begins with MPP", quote(word))),
        }
        let Some(action) = words.next() else {
            return Err("MPP alone says nothing: SHOW ALL, INITIALIZE or SET follows".into());
        };
        let words: Vec<&str> = words.collect();
        match action.to_ascii_uppercase().as_str() {
            "SHOW" => show(&words),
            "INITIALIZE" => initialize(&words),
            "SET" => set(&words),
            _ => Err(format!("{} is no MPP command; SHOW ALL, INITIALIZE and SET are", quote(action))),
        }
    }
}

fn show(words: &[&str]) -> Result<Command, String> {
    match words {
        [all] if all.eq_ignore_ascii_case("ALL") => Ok(Command::ShowAll),
        [] => Err("SHOW wants to know what: MPP SHOW ALL".into()),
        [other] => Err(format!("{} cannot be shown: MPP SHOW ALL", quote(other))),
        [_, extra, ..] => Err(format!("{} is too much: MPP SHOW ALL", quote(extra))),
    }
}

const INITIALIZE: &str = "MPP INITIALIZE node TYPE PRIMARY|SECONDARY";
const SET: &str = "MPP SET node TYPE|STATE|STATUS|WEIGHT value";

fn initialize(words: &[&str]) -> Result<Command, String> {
    let (node, element) = parts(words, INITIALIZE)?;
    match element {
        Element::Type(node_type) => Ok(Command::Initialize { node, node_type }),
        other => Err(format!("a node is initialized by its TYPE, not by its {}: {INITIALIZE}", other.name())),
    }
}

fn set(words: &[&str]) -> Result<Command, String> {
    let (node, element) = parts(words, SET)?;
    Ok(Command::Set { node, element })
}

fn parts(words: &[&str], form: &str) -> Result<(Address, Element), String> {
    let missing = |what: &str| Err(format!("{what} is missing: {form}"));
    match words {
        [] => missing("the node"),
        [node] => node_of(node).and_then(|_| missing("the element")),
        [node, name] => node_of(node).and_then(|_| missing(&format!("the value of {}", quote(name)))),
        [node, name, value] => Ok((node_of(node)?, Element::parse(name, value)?)),
        [_, _, _, extra, ..] => Err(format!("{} is too much: {form}", quote(extra))),
    }
}

/// A node's name: an address in any spelling, or a bare path as MySQL Proxy has it for unix sockets.
pub(super) fn node_of(word: &str) -> Result<Address, String> {
    match word.starts_with('/') {
        true => Address::parse(&format!("unix:{word}")),
        false => Address::parse(word),
    }
}

impl FromStr for Command {
    type Err = String;
    fn from_str(text: &str) -> Result<Command, String> {
        Command::parse(text)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::ShowAll => f.write_str("MPP SHOW ALL"),
            Command::Initialize { node, node_type } => write!(f, "MPP INITIALIZE {node} TYPE {node_type}"),
            Command::Set { node, element } => write!(f, "MPP SET {node} {element}"),
        }
    }
}
