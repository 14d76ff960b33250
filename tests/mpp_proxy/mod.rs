//! The admin port of a proxy that speaks MPP, as bytes: for what no real one can be brought to do on demand.
//!
//! It answers as the original's script does (refusals are results whose column is called ERROR) or with error packets.

#![allow(dead_code, unreachable_pub)]

pub mod tcp;

use std::collections::BTreeMap;

/// How the script answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Error packets, all words.
    Modern,
    /// Results called ERROR, FAIL_ONLINE, and no weights: the script breaks on them and the proxy answers with an error packet.
    Original,
}

/// A node's values, once it was initialized: type, state, status, weight.
pub type Values = [String; 4];

/// What all connections share.
#[derive(Debug)]
pub struct Proxy {
    pub dialect: Dialect,
    /// The backends, and what MPP knows of them.
    pub nodes: BTreeMap<String, Option<Values>>,
    /// Commands in the order in which they came.
    pub log: Vec<String>,
    pub user: String,
    /// Answers to everything from now on, in place of the truth.
    pub instead: Option<Vec<u8>>,
    pub logins: usize,
}

const ELEMENTS: [&str; 4] = ["type", "state", "status", "weight"];

impl Proxy {
    pub fn new(dialect: Dialect, backends: &[&str]) -> Proxy {
        let nodes = backends.iter().map(|name| (name.to_string(), None)).collect();
        Proxy { dialect, nodes, log: Vec::new(), user: "admin".into(), instead: None, logins: 0 }
    }

    /// What is known of a node, divided by blanks.
    pub fn of(&self, node: &str) -> String {
        self.nodes.get(node).cloned().flatten().map_or_else(String::new, |values| values.join(" "))
    }

    /// The nodes that are ACTIVE.
    pub fn active(&self) -> Vec<&str> {
        let is = |values: &Option<Values>| values.as_ref().is_some_and(|v| v[1] == "ACTIVE");
        self.nodes.iter().filter(|(_, values)| is(values)).map(|(name, _)| name.as_str()).collect()
    }

    /// Forgets what it was told, as a proxy that was started anew.
    pub fn forget(&mut self) {
        self.nodes.values_mut().for_each(|values| *values = None);
    }

    fn refuse(&self, text: &str) -> Vec<u8> {
        match self.dialect {
            Dialect::Modern => packets(1, &[error(1105, "07000", text)]),
            Dialect::Original => result(&["ERROR - a command"], &[vec![text]]),
        }
    }

    /// The answer's packets.
    pub fn answer(&mut self, query: &str) -> Vec<u8> {
        self.log.push(query.to_string());
        if let Some(instead) = &self.instead {
            return instead.clone();
        }
        let words: Vec<String> = query.split_whitespace().map(str::to_string).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["MPP", "SHOW", "ALL"] => {
                let mut rows: Vec<Vec<&str>> = Vec::new();
                for (name, values) in &self.nodes {
                    match (values, self.dialect) {
                        (None, Dialect::Original) => continue,
                        (None, Dialect::Modern) => rows.push(vec![name, "mpp", "type", "uninitialized"]),
                        (Some(values), _) => {
                            for (element, value) in ELEMENTS.iter().zip(values) {
                                rows.push(vec![name, "mpp", element, value]);
                            }
                        }
                    }
                    rows.push(vec![name, "proxy", "state", "BACKEND_STATE_UP"]);
                }
                result(&["nodename", "group", "element", "value"], &rows)
            }
            ["MPP", "INITIALIZE", node, "TYPE", node_type] => match self.nodes.get_mut(node) {
                Some(values) => {
                    *values = Some([node_type, "UNKNOWN", "UNKNOWN", "1"].map(str::to_string));
                    result(&[query], &[vec!["SUCCESS"]])
                }
                None => self.refuse(&format!("ERROR: node {node} is not configured in MySQL Proxy.")),
            },
            ["MPP", "SET", _, "WEIGHT", _] if self.dialect == Dialect::Original => {
                packets(1, &[error(1064, "42000", "You have an error in your SQL syntax")])
            }
            ["MPP", "SET", _, "STATE", value]
                if self.dialect == Dialect::Original && value.starts_with("FAILED") =>
            {
                self.refuse(&format!("ERROR: STATE of {value} not valid."))
            }
            ["MPP", "SET", node, element, value] => {
                let place = ELEMENTS.iter().position(|e| e.eq_ignore_ascii_case(element));
                match (self.nodes.get_mut(node), place) {
                    (Some(Some(values)), Some(place)) => {
                        values[place] = value.to_string();
                        result(&[query], &[vec!["SUCCESS"]])
                    }
                    (_, Some(_)) => {
                        self.refuse(&format!("Cannot set elements of an uninitialized node {node}."))
                    }
                    (_, None) => self.refuse("Unrecognized element cannot be set"),
                }
            }
            _ => packets(1, &[error(1064, "42000", "You have an error in your SQL syntax")]),
        }
    }
}

/// One connection.
#[derive(Debug, Default)]
pub struct Session {
    input: Vec<u8>,
    logged_in: bool,
    pub closed: bool,
}

impl Session {
    /// The first bytes.
    pub fn greeting() -> Vec<u8> {
        let mut payload = vec![10];
        payload.extend_from_slice(b"5.0.99-agent-admin\0");
        payload.extend_from_slice(&7u32.to_le_bytes());
        payload.extend_from_slice(b"abcdefgh\0");
        // PROTOCOL_41, SECURE_CONNECTION, as MySQL Proxy's admin plugin has it.
        payload.extend_from_slice(&0x8200u16.to_le_bytes());
        payload.push(8);
        payload.extend_from_slice(&2u16.to_le_bytes());
        payload.extend_from_slice(&[0; 13]);
        payload.extend_from_slice(b"ijklmnopqrst\0");
        packets(0, &[payload])
    }

    /// Takes what came and gives what goes back.
    pub fn take(&mut self, proxy: &mut Proxy, bytes: &[u8]) -> Vec<u8> {
        self.input.extend_from_slice(bytes);
        let mut out = Vec::new();
        while self.input.len() >= 4 && !self.closed {
            let length = usize::from(self.input[0]) | usize::from(self.input[1]) << 8;
            if self.input.len() < 4 + length {
                break;
            }
            let packet: Vec<u8> = self.input.drain(..4 + length).skip(4).collect();
            if !self.logged_in {
                let user: Vec<u8> = packet[32..].iter().copied().take_while(|b| *b != 0).collect();
                self.logged_in = user == proxy.user.as_bytes();
                let answer = match self.logged_in {
                    true => vec![0, 0, 0, 2, 0, 0, 0],
                    false => error(1045, "28000", "Access denied for user"),
                };
                self.closed = !self.logged_in;
                proxy.logins += usize::from(self.logged_in);
                out.extend(packets(2, &[answer]));
            } else if packet.first() == Some(&3) {
                out.extend(proxy.answer(&String::from_utf8_lossy(&packet[1..])));
            } else {
                self.closed = true;
            }
        }
        out
    }
}

/// Payloads as packets, numbered from `first`.
pub fn packets(first: u8, payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (sequence, payload) in (first..).zip(payloads) {
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes()[..3]);
        out.push(sequence);
        out.extend_from_slice(payload);
    }
    out
}

pub fn error(code: u16, state: &str, text: &str) -> Vec<u8> {
    let mut payload = vec![0xFF];
    payload.extend_from_slice(&code.to_le_bytes());
    payload.extend_from_slice(format!("#{state}{text}").as_bytes());
    payload
}

fn string(out: &mut Vec<u8>, text: &str) {
    assert!(text.len() < 251);
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

/// A whole result of strings, with EOF packets.
pub fn result(columns: &[&str], rows: &[Vec<&str>]) -> Vec<u8> {
    let mut payloads = vec![vec![columns.len() as u8]];
    for column in columns {
        let mut payload = Vec::new();
        for part in ["def", "", "", "", column, ""] {
            string(&mut payload, part);
        }
        payload.extend_from_slice(&[12, 8, 0, 255, 0, 0, 0, 254, 0, 0, 0, 0, 0]);
        payloads.push(payload);
    }
    let eof = vec![0xFE, 0, 0, 2, 0];
    payloads.push(eof.clone());
    for row in rows {
        let mut payload = Vec::new();
        row.iter().for_each(|value| string(&mut payload, value));
        payloads.push(payload);
    }
    payloads.push(eof);
    packets(1, &payloads)
}
