//! What a tier is like, as data: for `primacy vip status`, `primacy watch`, JSON and the C ABI.

use super::lease::Trouble;
use super::machine::Vip;
use super::ownership::Ownership;
use super::peer::TierView;
use super::placement::{PLACE, SCORE};
use super::who::{Action, Who};
use crate::engine::time::{Duration, Time};
use crate::pool::state::words;
use core::fmt;
use serde::Serialize;
use std::collections::BTreeMap;

words! {
    /// Where an address is, seen from one host.
    VipStage {
        /// Not here.
        Absent = 0 => "absent",
        /// Owned; the network is asked first.
        Asking = 1 => "asking",
        /// Owned; `on_claim` runs first.
        Hooking = 2 => "hooking",
        /// Owned; it is being added.
        Adding = 3 => "adding",
        /// Owned and here.
        Held = 4 => "held",
        /// Not owned any more; it is being taken off.
        Releasing = 5 => "releasing",
        /// Not owned any more, and could not be taken off yet.
        Stuck = 6 => "stuck",
    }
}

/// The tier, seen from this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TierStatus {
    /// All hosts and VIPs, as the peer channel knows them.
    pub tier: TierView,
    /// This host's part in each VIP, in configuration order.
    pub vips: Vec<VipStatus>,
}

/// This host's part in a VIP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VipStatus {
    /// Its name.
    pub name: String,
    /// Its addresses with prefixes.
    pub addresses: Vec<String>,
    /// The interface that gets them.
    pub interface: String,
    /// `vrrp` or `lease`.
    pub ownership: &'static str,
    /// Who owns it as far as this host knows.
    pub owner: Option<String>,
    /// Where the address is: `absent`, `asking`, `hooking`, `adding`, `held`, `releasing`, `stuck`.
    pub stage: &'static str,
    /// Whether this host owns it.
    pub owns: bool,
    /// This host's score.
    pub score: u8,
    /// The row that gave it, and its sentence.
    pub score_rule: u16,
    /// The sentence of that row.
    pub score_reason: String,
    /// The row by which it stays or leaves.
    pub place_rule: u16,
    /// The sentence of that row.
    pub place_reason: String,
    /// The service on this host: `true`, `false`, or not known.
    pub local: Option<bool>,
    /// In words.
    pub local_words: String,
    /// What it leads to.
    pub backend: Option<bool>,
    /// In words.
    pub backend_words: String,
    /// Failures that count.
    pub failures: u32,
    /// For how long they still bar this host, in milliseconds.
    pub barred_ms: Option<u64>,
    /// The number of this host's ownership, or of its last one.
    pub epoch: u64,
    /// The highest number that is known of any host.
    pub highest_epoch: u64,
    /// How often the address came to this host.
    pub claims: u64,
    /// How often it left.
    pub releases: u64,
    /// For how long others may be silent before this host comes in, in milliseconds.
    pub down_interval_ms: u64,
    /// The virtual routers, for ownership by VRRP.
    pub routers: Vec<RouterStatus>,
    /// The lease, for ownership by lease.
    pub lease: Option<LeaseStatus>,
}

/// A virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouterStatus {
    /// `initialize`, `backup`, `active` or `leaving`.
    pub state: &'static str,
    /// Adverts that went out.
    pub sent: u64,
    /// Adverts that were heard.
    pub heard: u64,
    /// Of those with the checksum that `checksum_v4` does not say.
    pub other_checksum: u64,
    /// Packets that were not heard, by reason; those that happened.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Who was heard last.
    pub last_source: Option<String>,
    /// Its priority.
    pub last_priority: Option<u8>,
    /// Milliseconds since then.
    pub last_age_ms: Option<u64>,
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeaseStatus {
    /// For how long this host's is still good, in milliseconds.
    pub valid_ms: Option<u64>,
    /// What is wrong with etcd.
    pub trouble: Option<&'static str>,
}

/// Whole milliseconds.
pub(super) fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl VipStatus {
    /// Of a VIP as it is now.
    pub(super) fn new(now: Time, vip: &Vip<Action>, who: &Who, owner: Option<String>) -> VipStatus {
        let config = vip.config();
        let (score, score_rule) = vip.score();
        let place_rule = vip.place();
        let sentence = |found: Option<&'static str>| found.unwrap_or_default().to_string();
        let (failures, barred) = vip.failures();
        let (epoch, highest_epoch) = vip.epoch();
        let (claims, releases) = vip.moves();
        let (ownership, routers, lease) = match who {
            Who::Vrrp(group) => {
                ("vrrp", group.routers().map(|router| router_status(now, router)).collect(), None)
            }
            Who::Lease(lease) => {
                let status = LeaseStatus {
                    valid_ms: lease.valid_until().map(|until| milliseconds(until.since(now))),
                    trouble: lease.trouble().map(trouble_name),
                };
                ("lease", Vec::new(), Some(status))
            }
        };
        VipStatus {
            name: config.name.clone(),
            addresses: config.addresses.iter().map(ToString::to_string).collect(),
            interface: config.interface.clone(),
            ownership,
            owner,
            stage: vip.stage().name(),
            owns: who.owns(),
            score: score.0,
            score_rule,
            score_reason: sentence(SCORE.iter().find(|row| row.number == score_rule).map(|row| row.sentence)),
            place_rule,
            place_reason: sentence(PLACE.iter().find(|row| row.number == place_rule).map(|row| row.sentence)),
            local: vip.local().good,
            local_words: vip.local().words.clone(),
            backend: vip.backend().good,
            backend_words: vip.backend().words.clone(),
            failures,
            barred_ms: barred.filter(|until| *until > now).map(|until| milliseconds(until.since(now))),
            epoch,
            highest_epoch,
            claims,
            releases,
            down_interval_ms: milliseconds(who.down_interval()),
            routers,
            lease,
        }
    }
}

const fn trouble_name(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Unreachable => "unreachable",
        Trouble::NoQuorum => "no_quorum",
        Trouble::Denied => "denied",
        Trouble::Garbage => "garbage",
        Trouble::Refused => "refused",
    }
}

fn router_status(now: Time, router: &super::vrrp::VirtualRouter) -> RouterStatus {
    let counters = router.counters();
    let heard = router.heard();
    RouterStatus {
        state: router.state().name(),
        sent: counters.sent,
        heard: counters.heard,
        other_checksum: counters.other_checksum,
        rejected: counters
            .rejects
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(reason, n)| (reason.key(), n))
            .collect(),
        last_source: heard.map(|heard| heard.source.to_string()),
        last_priority: heard.map(|heard| heard.priority),
        last_age_ms: heard.map(|heard| milliseconds(now.since(heard.at))),
    }
}

impl VipStatus {
    /// The stage as a word of its list.
    pub fn stage(&self) -> VipStage {
        VipStage::from_name(self.stage).unwrap_or(VipStage::Absent)
    }
}

impl TierStatus {
    /// This host's part in the VIP of that name.
    pub fn vip(&self, name: &str) -> Option<&VipStatus> {
        self.vips.iter().find(|vip| vip.name == name)
    }

    /// The status as one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
