//! What a new configuration may change while an instance runs: rows that refuse, and what follows otherwise.

use crate::config::{Config, TierConfig};
use crate::pool::{Judge, State, Status};

use super::safe::command;
use super::{Refusal, mpp};

/// A row that refuses: what is compared, and where it differs.
pub struct Row {
    /// The rule.
    pub number: u16,
    /// The condition, in words.
    pub condition: &'static str,
    /// The keys that differ, in full.
    pub differs: fn(&Config, &Config) -> Vec<String>,
    /// What it says.
    pub sentence: &'static str,
}

fn key(name: &str, differs: bool) -> Vec<String> {
    if differs { vec![name.to_string()] } else { Vec::new() }
}

/// The key in every pool of both configurations in which it differs.
fn in_pools(
    old: &Config,
    new: &Config,
    name: &str,
    differs: impl Fn(&crate::config::PoolConfig, &crate::config::PoolConfig) -> bool,
) -> Vec<String> {
    let both = old.pools.iter().filter_map(|was| Some((was, new.pool(&was.name)?)));
    both.filter(|(was, is)| differs(was, is)).map(|(was, _)| format!("pool.{}.{name}", was.name)).collect()
}

/// Settings that stay as long as an instance lives, first match named first.
///
/// Services and the site are none of them: rules never ask for them, only selections do.
pub static FIXED: [Row; 8] = [
    Row {
        number: 901,
        condition: "cache_file differs",
        differs: |old, new| key("cache_file", old.cache_file != new.cache_file),
        sentence: "the cache and its lock belong to an instance for all its life",
    },
    Row {
        number: 902,
        condition: "control_socket differs",
        differs: |old, new| key("control_socket", old.control_socket != new.control_socket),
        sentence: "the control socket is made when an instance starts",
    },
    Row {
        number: 903,
        condition: "control_users differs",
        differs: |old, new| key("control_users", old.control_users != new.control_users),
        sentence: "who may give commands is settled when the control socket is made",
    },
    Row {
        number: 904,
        condition: "on_locked differs",
        differs: |old, new| key("on_locked", old.on_locked != new.on_locked),
        sentence: "the cache is locked already",
    },
    Row {
        number: 905,
        condition: "a pool's kind differs",
        differs: |old, new| in_pools(old, new, "kind", |was, is| was.kind != is.kind),
        sentence: "what is known of a pool of one kind says nothing about one of another kind",
    },
    Row {
        number: 906,
        condition: "a pool's policy differs",
        differs: |old, new| in_pools(old, new, "policy", |was, is| was.policy != is.policy),
        sentence: "a pool's state belongs to the rule table that made it",
    },
    Row {
        number: 907,
        condition: "a pool's probe.mode differs",
        differs: |old, new| in_pools(old, new, "probe.mode", |was, is| was.probe_mode != is.probe_mode),
        sentence: "who observes a pool is settled when an instance is made",
    },
    Row {
        number: 912,
        condition: "[tier] or a [vip] differs",
        differs: |old, new| {
            // Keys are read anew at every reload, and may come from other files.
            let fixed =
                |tier: &TierConfig| TierConfig { key_file: None, previous_key_file: None, ..tier.clone() };
            let tier = key("tier", fixed(&old.tier) != fixed(&new.tier));
            let vips = old.vips.iter().chain(&new.vips);
            let mut names: Vec<&str> = vips.map(|vip| vip.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            // Their order is the order in which they are shown, and numbers them.
            let moved = old.vips.len() == new.vips.len()
                && old.vips.iter().zip(&new.vips).any(|(was, is)| was.name != is.name);
            let differs = |name: &&str| moved || old.vip(name) != new.vip(name);
            tier.into_iter()
                .chain(names.into_iter().filter(differs).map(|name| format!("vip.{name}")))
                .collect()
        },
        sentence: "addresses are owned as the agent was started to own them: restart the agent to change [tier] or [vip]",
    },
];

/// The ACTIVE node is not in the new configuration, and nobody may take over.
pub const ACTIVE_LEAVES_REFUSED: u16 = 908;
/// A node is not in the new configuration.
pub const LEAVES: u16 = 909;
/// The new configuration is in force.
pub const RELOADED: u16 = 910;
/// A node gets the role of one that left the configuration.
pub const INHERITS: u16 = 911;

/// Rows beside [`FIXED`], with their sentences.
pub const STEPS: [(u16, &str); 4] = [
    (
        ACTIVE_LEAVES_REFUSED,
        "the ACTIVE node can leave the configuration only while another of its pool that stays may take over",
    ),
    (LEAVES, "the node is not in the configuration any more"),
    (RELOADED, "the new configuration is in force; what stays in it keeps its state"),
    (
        INHERITS,
        "the ACTIVE node left the configuration, and the most preferred good one that stays takes over",
    ),
];

/// The first row that refuses, with every key that it is about.
pub fn refusal(old: &Config, new: &Config) -> Option<(&'static Row, Vec<String>)> {
    FIXED.iter().map(|row| (row, (row.differs)(old, new))).find(|(_, keys)| !keys.is_empty())
}

/// Takes nodes out of a pool, the ACTIVE one last, so that only who stays can take over. Returns who got the role
/// by that. An error leaves it half done: the caller tries it on a copy.
///
/// # Errors
/// [`ACTIVE_LEAVES_REFUSED`], if the ACTIVE node is among them and nobody who stays may take over.
pub fn take_out(judge: &mut Judge, leaving: &[usize]) -> Result<Option<usize>, Refusal> {
    let mut heir = None;
    let active = judge.active();
    let is_last = |node: &usize| Some(*node) == active;
    let others = leaving.iter().copied().filter(|node| !is_last(node));
    let ordered: Vec<usize> = others.chain(leaving.iter().copied().filter(is_last)).collect();
    for node in ordered {
        if node >= judge.len() || judge.is_removed(node) {
            continue;
        }
        let refused = |reason: String| Refusal { rule: ACTIVE_LEAVES_REFUSED, reason };
        match judge {
            Judge::Safe { model, .. } => {
                heir = command::leave(model, node).map_err(|no| refused(no.reason))?.or(heir);
            }
            Judge::Mpp { members, .. } => {
                // The original moves the role with its next cycle: somebody must be there to get it.
                let fit = |m: &mpp::Member| {
                    !m.removed
                        && (m.state == State::Active
                            || (m.state == State::Standby && m.status != Status::Fail))
                };
                let stays = members.iter().enumerate().any(|(i, m)| i != node && fit(m));
                if active == Some(node) && !stays {
                    return Err(refused(
                        "the node is ACTIVE and no other is ACTIVE or a good STANDBY".into(),
                    ));
                }
                mpp::remove(members, node).map_err(|no| refused(no.reason))?;
            }
        }
    }
    Ok(heir)
}
