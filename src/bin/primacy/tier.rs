//! The tier as lines: hosts, then each address with what every host is for it.
//!
//! `vip status` prints them and `watch` draws them. They are made of the agent's document, whose keys are a contract: what an older agent does
//! not say is left out.

use crate::terminal::{age, printable};
use serde::Deserialize;
use serde_json::Value;

const UNKNOWN: &str = "-";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    tier: View,
    vips: Vec<OwnVip>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct View {
    own: String,
    hosts: Vec<Host>,
    vips: Vec<SharedVip>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Host {
    name: String,
    known: bool,
    age_ms: Option<u64>,
    agent: Option<String>,
    standby: bool,
    stands_by: bool,
    in_step: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SharedVip {
    name: String,
    wanted: Option<String>,
    owners: Vec<String>,
    hosts: Vec<Standing>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Standing {
    host: String,
    known: bool,
    role: String,
    local: Health,
    backend: Health,
    score: u8,
    epoch: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Health {
    verdict: String,
    words: String,
}

/// This host's part.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OwnVip {
    name: String,
    addresses: Vec<String>,
    interface: String,
    ownership: String,
    owner: Option<String>,
    stage: String,
    score_rule: u16,
    score_reason: String,
    place_rule: u16,
    place_reason: String,
    failures: u32,
    barred_ms: Option<u64>,
    epoch: u64,
    highest_epoch: u64,
    lease: Option<Lease>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lease {
    valid_ms: Option<u64>,
    trouble: Option<String>,
}

/// How a line is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The head of a part.
    Head,
    /// As it should be.
    Plain,
    /// The owner.
    Owner,
    /// Something is wrong.
    Bad,
}

/// The tier.
#[derive(Debug, Default)]
pub struct Tier {
    /// The host that sees it so.
    pub own: String,
    view: View,
    vips: Vec<OwnVip>,
}

/// Cells under each other, the last one as long as it is.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("  {}", cells.collect::<Vec<String>>().join("  ")).trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

impl Tier {
    /// Reads the agent's document.
    ///
    /// # Errors
    /// One sentence, if it is none.
    pub fn read(document: &Value) -> Result<Tier, String> {
        let read: Document = serde_json::from_value(document.clone()).map_err(|e| {
            format!("what the agent says of the tier cannot be read: {e}; use the command of its release")
        })?;
        Ok(Tier { own: read.tier.own.clone(), view: read.tier, vips: read.vips })
    }

    /// All of it as lines.
    pub fn lines(&self) -> Vec<(Weight, String)> {
        let mut lines = vec![(Weight::Head, format!("hosts, seen from {}", printable(&self.own)))];
        self.hosts(&mut lines);
        for vip in &self.vips {
            self.vip(vip, &mut lines);
        }
        lines
    }

    /// The same as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (weight, line) in self.lines() {
            if weight == Weight::Head && !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    fn hosts(&self, lines: &mut Vec<(Weight, String)>) {
        let mut rows = vec![["HOST", "STATE", "AGENT", "HEARD", "ORDERS"].map(str::to_string).to_vec()];
        let mut weights = vec![Weight::Plain];
        for host in &self.view.hosts {
            let heard = match host.age_ms {
                None => "never".to_string(),
                Some(_) if host.name == self.own => "here".to_string(),
                Some(ms @ 0..=9_999) => format!("{ms}ms ago"),
                Some(ms) => format!("{} ago", age(ms)),
            };
            let state = match (host.known, host.standby, host.stands_by) {
                (false, true, _) => "not heard, standby",
                (false, false, _) => "not heard",
                (true, true, true) => "standby",
                (true, true, false) => "online, ordered to standby",
                (true, false, true) => "standby, ordered back",
                (true, false, false) => "online",
            };
            let orders = if host.in_step { "in step" } else { "not in step" };
            weights.push(if host.known { Weight::Plain } else { Weight::Bad });
            rows.push(vec![
                printable(&host.name),
                state.to_string(),
                host.agent.as_deref().map_or_else(|| UNKNOWN.into(), printable),
                heard,
                orders.to_string(),
            ]);
        }
        lines.extend(weights.into_iter().zip(aligned(&rows)));
    }

    fn vip(&self, own: &OwnVip, lines: &mut Vec<(Weight, String)>) {
        let shared = self.view.vips.iter().find(|vip| vip.name == own.name);
        let epoch = own.epoch.max(own.highest_epoch);
        lines.push((
            Weight::Head,
            format!(
                "{}: {} on {}, {}",
                printable(&own.name),
                own.addresses.join(", "),
                printable(&own.interface),
                own.ownership
            ),
        ));
        match shared.map(|vip| vip.owners.as_slice()).unwrap_or_default() {
            owners @ [_, _, ..] => lines.push((
                Weight::Bad,
                format!(
                    "  owners {}: a CONFLICT, epoch {epoch}",
                    owners.iter().map(|o| printable(o)).collect::<Vec<_>>().join(" and ")
                ),
            )),
            _ => match &own.owner {
                Some(owner) => {
                    lines.push((Weight::Owner, format!("  owner {}, epoch {epoch}", printable(owner))))
                }
                None => lines.push((Weight::Bad, format!("  no owner is known, epoch {epoch}"))),
            },
        }
        if let Some(wanted) = shared.and_then(|vip| vip.wanted.as_ref()) {
            lines.push((
                Weight::Plain,
                format!("  moved to {} by an operator, until `primacy vip clear`", printable(wanted)),
            ));
        }
        if let Some(lease) = &own.lease {
            let valid = lease
                .valid_ms
                .map_or_else(|| "no lease here".to_string(), |ms| format!("lease good for {ms}ms"));
            let trouble = lease.trouble.as_ref().map(|why| format!(", etcd: {}", printable(why)));
            let weight = if trouble.is_some() { Weight::Bad } else { Weight::Plain };
            lines.push((weight, format!("  {valid}{}", trouble.unwrap_or_default())));
        }
        self.standings(own, shared, lines);
        let mut here = format!(
            "  here {}: {} (rule {}); {} (rule {})",
            own.stage, own.score_reason, own.score_rule, own.place_reason, own.place_rule
        );
        if own.failures > 0 {
            here.push_str(&format!("; {} failures count", own.failures));
        }
        if let Some(ms) = own.barred_ms {
            here.push_str(&format!(", barred for {}", age(ms)));
        }
        lines.push((Weight::Plain, here));
    }

    fn standings(&self, own: &OwnVip, shared: Option<&SharedVip>, lines: &mut Vec<(Weight, String)>) {
        let Some(shared) = shared else { return };
        let mut rows = vec![
            ["HOST", "ROLE", "SCORE", "EPOCH", "FAILED", "LOCAL", "BACKEND"].map(str::to_string).to_vec(),
        ];
        let mut weights = vec![Weight::Plain];
        for standing in &shared.hosts {
            let health = |health: &Health| match health.words.as_str() {
                "" => health.verdict.clone(),
                words => format!("{}: {}", health.verdict, printable(words)),
            };
            // Each host counts its own failures, and tells them by its score.
            let failed = if standing.host == self.own { own.failures.to_string() } else { UNKNOWN.into() };
            let role = if standing.known { standing.role.clone() } else { format!("{}?", standing.role) };
            weights.push(match (standing.known, standing.role.as_str()) {
                (false, _) | (_, "fault") => Weight::Bad,
                (true, "owner") => Weight::Owner,
                _ if standing.local.verdict == "fail" => Weight::Bad,
                _ => Weight::Plain,
            });
            rows.push(vec![
                printable(&standing.host),
                role,
                standing.score.to_string(),
                standing.epoch.to_string(),
                failed,
                health(&standing.local),
                health(&standing.backend),
            ]);
        }
        lines.extend(weights.into_iter().zip(aligned(&rows)));
    }
}

#[cfg(test)]
mod tests {
    use super::{Tier, Weight};
    use serde_json::json;

    #[test]
    fn owners_conflicts_orders_and_silence_are_seen() {
        let host = |name: &str, known: bool| {
            json!({"name": name, "known": known, "age_ms": 120, "agent": "0.1.0", "standby": name == "rt3",
                   "stands_by": name == "rt3", "in_step": true})
        };
        let standing = |host: &str, role: &str, score: u8| {
            json!({"host": host, "known": true, "role": role, "score": score, "epoch": 7,
                   "local": {"verdict": "ok", "words": "all\u{1b} good"}, "backend": {"verdict": "unknown", "words": ""}})
        };
        let document = |owners: &[&str]| {
            json!({
                "tier": {
                    "own": "rt1",
                    "hosts": [host("rt1", true), host("rt2", false), host("rt3", true)],
                    "vips": [{"name": "front", "wanted": "rt1", "owners": owners,
                              "hosts": [standing("rt1", "owner", 150), standing("rt3", "out", 0)]}],
                },
                "vips": [{"name": "front", "addresses": ["10.0.0.101/16"], "interface": "eth0", "ownership": "vrrp",
                          "owner": "rt1", "stage": "held", "epoch": 7, "failures": 2, "barred_ms": 42_000}],
                "a key of a later release": 1,
            })
        };
        let text = Tier::read(&document(&["rt1"])).unwrap().text();
        for part in [
            "hosts, seen from rt1",
            "front: 10.0.0.101/16 on eth0, vrrp",
            "owner rt1, epoch 7",
            "moved to rt1 by an operator",
            "2 failures count, barred for 42s",
            "ok: all  good",
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
        assert!(text.lines().any(|line| line.starts_with("  rt2") && line.contains("not heard")), "{text}");
        assert!(text.lines().any(|line| line.starts_with("  rt3") && line.contains("standby")), "{text}");
        assert!(!text.contains("CONFLICT"));
        let two = Tier::read(&document(&["rt1", "rt3"])).unwrap();
        assert!(
            two.lines()
                .iter()
                .any(|(weight, line)| *weight == Weight::Bad && line.contains("rt1 and rt3: a CONFLICT"))
        );
        assert!(Tier::read(&json!({"tier": 3})).is_err());
        // An agent that says less is shown as far as it goes.
        assert_eq!(Tier::read(&json!({})).unwrap().lines().len(), 2);
    }
}
