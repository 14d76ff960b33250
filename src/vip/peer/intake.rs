//! What becomes of a datagram that came in.

use super::channel::{Channel, Said};
use super::message::{
    self, HAND_OVER, HELLO, HandOverBody, MOST_VIPS, ORDERS, OrdersBody, Packet, STATE, StateBody, VipState,
    clean, is_name,
};
use super::news::PeerInput;
use super::reject::Reject;
use super::session::Taken;
use super::settings::{INTERVALS, plain};
use crate::engine::time::{Duration, Time};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Hand-overs of an address that are remembered, so that each is acted on once.
const REMEMBERED: usize = 16;
impl Channel {
    /// A datagram came in.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) -> Vec<PeerInput> {
        let Some(at) = self.peers.iter().position(|peer| plain(peer.address) == plain(from)) else {
            self.strangers = self.strangers.saturating_add(1);
            return Vec::new();
        };
        let mut news = Vec::new();
        let outcome = self.take(now, at, bytes, &mut news);
        let Some(peer) = self.peers.get_mut(at) else { return news };
        match outcome {
            Ok(()) => peer.troubles.well(),
            Err(reject) => {
                peer.rejects.count(reject);
                if let Some(words) = peer.troubles.told(now, reject, &peer.name) {
                    news.push(PeerInput::Trouble { peer: peer.name.clone(), words });
                }
            }
        }
        news
    }

    fn take(&mut self, now: Time, at: usize, bytes: &[u8], news: &mut Vec<PeerInput>) -> Result<(), Reject> {
        let Some(peer) = self.peers.get_mut(at) else { return Err(Reject::Stranger) };
        let Packet { head, body, sealed, seals } = message::decode(bytes)?;
        if head.from == self.name {
            return Err(Reject::Reflected);
        }
        if head.from != peer.name {
            return Err(Reject::Sender);
        }
        if head.to != self.name {
            return Err(Reject::Receiver);
        }
        let key = self.keys.verify(sealed, seals).ok_or(Reject::Seal)?;
        let taken = match peer.session.take(head.life, head.counter, head.challenge, head.echo) {
            Ok(taken) => taken,
            Err(reject) => {
                if reject == Reject::Stale {
                    self.answer(now, at, key, head.challenge, bytes.len());
                }
                return Err(reject);
            }
        };
        peer.taken = peer.taken.saturating_add(1);
        peer.key = Some(key);
        let restarted = taken == Taken::New && peer.heard.is_some();
        peer.heard = Some(now);
        if !peer.known || restarted {
            peer.known = true;
            news.push(PeerInput::Found { peer: peer.name.clone(), restarted });
        }
        if taken == Taken::New {
            // What the earlier life said is not this one's.
            peer.said = None;
            let challenge = self.draw();
            if let Some(peer) = self.peers.get_mut(at) {
                peer.session.renew(now, challenge);
            }
        }
        match (taken, head.kind) {
            // It knows nothing of us.
            (Taken::New, _) => self.send_state(now, at),
            // It did not take what we sent last.
            (Taken::Same, HELLO) => self.soon(now, at),
            _ => {}
        }
        match head.kind {
            HELLO => Ok(()),
            STATE => self.take_state(now, at, body, news),
            HAND_OVER => self.take_hand_over(at, body, news),
            ORDERS => self.take_orders(now, body, news),
            _ => Err(Reject::Kind),
        }
    }

    fn take_state(
        &mut self,
        now: Time,
        at: usize,
        body: &[u8],
        news: &mut Vec<PeerInput>,
    ) -> Result<(), Reject> {
        let page: StateBody = serde_json::from_slice(body).map_err(|_| Reject::Body)?;
        if page.vips.len().max(page.count) > MOST_VIPS {
            return Err(Reject::Bounds);
        }
        let inside = |name: &str| {
            page.after.as_deref().is_none_or(|after| after < name)
                && page.until.as_deref().is_none_or(|until| name <= until)
        };
        let mut vips = BTreeMap::new();
        for (name, vip) in &page.vips {
            let vip = vip.cleaned().filter(|_| is_name(name) && inside(name)).ok_or(Reject::Body)?;
            vips.insert(name.clone(), (vip, now));
        }
        let Some(peer) = self.peers.get_mut(at) else { return Err(Reject::Stranger) };
        let said = peer.said.get_or_insert_with(|| Said {
            agent: String::new(),
            standby: false,
            vips: BTreeMap::new(),
            revision: 0,
            interval: Duration::ZERO,
            digest: 0,
        });
        if page.revision < said.revision {
            // Overtaken on the way.
            return Ok(());
        }
        let agent = clean(&page.agent);
        let states = |of: &BTreeMap<String, (VipState, Time)>| -> Vec<(String, VipState)> {
            of.iter()
                .filter(|(name, _)| inside(name))
                .map(|(name, (vip, _))| (name.clone(), vip.clone()))
                .collect()
        };
        let changed =
            said.agent != agent || said.standby != page.standby || states(&said.vips) != states(&vips);
        said.vips.retain(|name, _| !inside(name));
        said.vips.append(&mut vips);
        // Pages of an older state may have left names beyond the new count; the next round clears them.
        while said.vips.len() > MOST_VIPS {
            said.vips.pop_last();
        }
        said.agent = agent;
        said.standby = page.standby;
        said.revision = page.revision;
        said.interval = Duration::from_millis(page.interval_ms).min(INTERVALS.1);
        let first = said.digest != page.digest && page.digest != self.registers.digest();
        said.digest = page.digest;
        if changed {
            news.push(PeerInput::Changed { peer: peer.name.clone() });
        }
        if first {
            // It has other orders than we do: exchange them now.
            self.soon(now, at);
        }
        Ok(())
    }

    fn take_hand_over(&mut self, at: usize, body: &[u8], news: &mut Vec<PeerInput>) -> Result<(), Reject> {
        let HandOverBody { vip, heir, epoch } = serde_json::from_slice(body).map_err(|_| Reject::Body)?;
        if !is_name(&vip) || heir != self.name {
            return Err(Reject::Body);
        }
        if !self.acted.contains_key(&vip) && self.acted.len() >= MOST_VIPS {
            return Err(Reject::Bounds);
        }
        let acted = self.acted.entry(vip.clone()).or_default();
        if !acted.contains(&epoch) {
            if acted.len() >= REMEMBERED {
                acted.pop_front();
            }
            acted.push_back(epoch);
            let peer = self.peers.get(at).map(|peer| peer.name.clone()).unwrap_or_default();
            news.push(PeerInput::HandOver { peer, vip, epoch });
        }
        Ok(())
    }

    fn take_orders(&mut self, now: Time, body: &[u8], news: &mut Vec<PeerInput>) -> Result<(), Reject> {
        let OrdersBody { orders } = serde_json::from_slice(body).map_err(|_| Reject::Body)?;
        let (mut changed, mut refused) = (false, false);
        for line in &orders {
            match self.registers.merge_line(line) {
                Some(new) => changed |= new,
                // A later version's order, or one too many: the others count all the same.
                None => refused = true,
            }
        }
        if changed {
            self.renew_bodies();
            self.state_soon(now);
            news.push(PeerInput::Orders);
        }
        if refused { Err(Reject::Bounds) } else { Ok(()) }
    }
}
