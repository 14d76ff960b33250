//! The whole tier as this host sees it: plain data, for `primacy vip status`, `watch`, JSON and the C ABI.

use super::channel::{Channel, milliseconds};
use super::message::{Health, Role, VipState};
use super::seal::Which;
use crate::engine::time::Time;
use serde::Serialize;
use std::collections::BTreeMap;

/// The tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TierView {
    /// The host that sees it so.
    pub own: String,
    /// Every configured host, by name; this one among them.
    pub hosts: Vec<HostView>,
    /// Every address that any host told of, by name.
    pub vips: Vec<VipView>,
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostView {
    /// Its name.
    pub name: String,
    /// Where it is spoken to; `None` for this host.
    pub address: Option<String>,
    /// Whether it was heard lately; true for this host.
    pub known: bool,
    /// Milliseconds since it was heard last; `None` before it was, 0 for this host.
    pub age_ms: Option<u64>,
    /// The version of its agent, as it said last.
    pub agent: Option<String>,
    /// Whether an order of standby is out for it.
    pub standby: bool,
    /// Whether it says that it stands by.
    pub stands_by: bool,
    /// Whether it has the same orders as this host.
    pub in_step: bool,
    /// The key of its last datagram: `current` or `previous`.
    pub key: Option<&'static str>,
    /// How many of its datagrams were taken.
    pub taken: u64,
    /// How many were not, by reason; those that happened.
    pub rejected: BTreeMap<&'static str, u64>,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VipView {
    /// Its name.
    pub name: String,
    /// The host to which an operator moved it.
    pub wanted: Option<String>,
    /// The hosts that say they own it, of those that are known. More than one is a conflict.
    pub owners: Vec<String>,
    /// Whether two say that they own it.
    pub conflict: bool,
    /// What each host says of it, by name.
    pub hosts: Vec<Standing>,
}

/// What a host says of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The host.
    pub host: String,
    /// Whether it was heard lately: else this is what it said last.
    pub known: bool,
    /// Milliseconds since it said so.
    pub age_ms: u64,
    /// What it is for the address.
    pub role: Role,
    /// Its own router.
    pub local: Health,
    /// What the router's ports lead to.
    pub backend: Health,
    /// Whether it may own the address.
    pub eligible: bool,
    /// Its score, 0 to 255.
    pub score: u8,
    /// Whom it believes to be the owner.
    pub owner: Option<String>,
    /// The number of the ownership that it knows last.
    pub epoch: u64,
}

impl VipView {
    /// An address from what hosts say of it.
    pub(super) fn new(name: String, wanted: Option<String>, hosts: Vec<Standing>) -> VipView {
        let own = |standing: &&Standing| standing.known && standing.role == Role::Owner;
        let owners: Vec<String> = hosts.iter().filter(own).map(|s| s.host.clone()).collect();
        VipView { name, wanted, conflict: owners.len() > 1, owners, hosts }
    }
}

impl TierView {
    /// The addresses that two hosts say they own.
    pub fn conflicts(&self) -> impl Iterator<Item = &VipView> {
        self.vips.iter().filter(|vip| vip.conflict)
    }

    /// The view as one line of JSON.
    pub fn to_json(&self) -> String {
        String::from_utf8(super::pages::json(self)).unwrap_or_default()
    }
}

impl Channel {
    /// The whole tier as this host sees it.
    pub fn view(&self, now: Time) -> TierView {
        let mut hosts = vec![HostView {
            name: self.name.clone(),
            address: None,
            known: true,
            age_ms: Some(0),
            agent: Some(self.state.agent.clone()),
            standby: self.registers.standby(&self.name),
            stands_by: self.state.standby,
            in_step: true,
            key: None,
            taken: 0,
            rejected: BTreeMap::new(),
        }];
        hosts.extend(self.peers.iter().map(|peer| HostView {
            name: peer.name.clone(),
            address: Some(peer.address.to_string()),
            known: peer.known,
            age_ms: peer.heard.map(|heard| milliseconds(now.since(heard))),
            agent: peer.said.as_ref().map(|said| said.agent.clone()),
            standby: self.registers.standby(&peer.name),
            stands_by: peer.said.as_ref().is_some_and(|said| said.standby),
            in_step: peer.said.as_ref().is_some_and(|said| said.digest == self.registers.digest()),
            key: peer.key.map(Which::name),
            taken: peer.taken,
            rejected: peer.rejects.iter().filter(|(_, n)| *n > 0).map(|(r, n)| (r.name(), n)).collect(),
        }));
        hosts.sort_by(|a, b| a.name.cmp(&b.name));
        let mut vips: BTreeMap<&String, Vec<Standing>> = BTreeMap::new();
        for (name, vip) in &self.state.vips {
            vips.entry(name).or_default().push(standing(&self.name, true, 0, vip));
        }
        for peer in &self.peers {
            for (name, (vip, at)) in peer.said.iter().flat_map(|said| &said.vips) {
                let age = milliseconds(now.since(*at));
                vips.entry(name).or_default().push(standing(&peer.name, peer.known, age, vip));
            }
        }
        let vips = vips.into_iter().map(|(name, mut hosts)| {
            hosts.sort_by(|a, b| a.host.cmp(&b.host));
            VipView::new(name.clone(), self.registers.wanted(name).map(str::to_string), hosts)
        });
        TierView { own: self.name.clone(), hosts, vips: vips.collect() }
    }
}

fn standing(host: &str, known: bool, age_ms: u64, vip: &VipState) -> Standing {
    Standing {
        host: host.to_string(),
        known,
        age_ms,
        role: vip.role,
        local: vip.local.clone(),
        backend: vip.backend.clone(),
        eligible: vip.eligible,
        score: vip.score,
        owner: vip.owner.clone(),
        epoch: vip.epoch,
    }
}
