//! A model of etcd: keys on leases, a revision that rises, and leases that are looked through twice a second.

use crate::plan::{MS, SECOND};
use primacy::engine::time::Duration;
use primacy::vip::lease::etcd::Failure;
use primacy::vip::lease::{Answer, Holder, Request, Trouble};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Store {
    /// End and length by number.
    leases: BTreeMap<i64, (u64, u64)>,
    keys: BTreeMap<String, Holder>,
    revision: u64,
    last: i64,
    /// It answers nobody, or says that it has no leader.
    pub down: bool,
    pub leaderless: bool,
    /// Planted: the revision of every claim is the same; a claim is granted although the key is held.
    pub frozen_revision: bool,
    pub generous: bool,
}

pub fn failed(trouble: Trouble, words: &str) -> Answer {
    Answer::Failed(Failure { trouble, words: words.into() })
}

impl Store {
    /// `None`: nothing comes back.
    pub fn answer(&mut self, now: u64, request: &Request) -> Option<Answer> {
        if self.down {
            return None;
        }
        if self.leaderless {
            return Some(failed(Trouble::NoQuorum, "etcdserver: no leader"));
        }
        Some(match request {
            Request::Grant { seconds } => {
                self.last += 1;
                self.leases.insert(self.last, (now + seconds * SECOND, seconds * SECOND));
                Answer::Granted { lease: self.last, ttl: Duration::from_secs(*seconds) }
            }
            Request::KeepAlive { lease } => match self.leases.get_mut(lease) {
                Some((until, ttl)) if now < *until => {
                    *until = now + *ttl;
                    Answer::Alive { ttl: Duration::from_nanos(*ttl) }
                }
                _ => Answer::NoLease,
            },
            Request::Revoke { lease } => {
                self.end(*lease);
                Answer::NoLease
            }
            Request::Remaining { lease } => self.leases.get(lease).map_or(Answer::NoLease, |(until, _)| {
                Answer::Left { time: Duration::from_secs(until.saturating_sub(now) / SECOND) }
            }),
            Request::Look { key } => self.held(key),
            Request::Claim { key, value, lease } if self.generous || !self.keys.contains_key(key) => {
                self.put(key, value, *lease)
            }
            Request::TakeOver { key, value, lease, revision }
                if self.keys.get(key).is_some_and(|k| k.revision == *revision) =>
            {
                self.put(key, value, *lease)
            }
            Request::Claim { key, .. } | Request::TakeOver { key, .. } => self.held(key),
        })
    }

    fn held(&self, key: &str) -> Answer {
        self.keys.get(key).cloned().map_or(Answer::Free, Answer::Held)
    }

    fn put(&mut self, key: &str, value: &str, lease: i64) -> Answer {
        // One that has run out and was not looked through yet still takes a key.
        if !self.leases.contains_key(&lease) {
            return Answer::NoLease;
        }
        if !self.frozen_revision || self.revision == 0 {
            self.revision += 1;
        }
        self.keys.insert(key.into(), Holder { value: value.into(), lease, revision: self.revision });
        Answer::Claimed { revision: self.revision }
    }

    fn end(&mut self, lease: i64) {
        self.leases.remove(&lease);
        let before = self.keys.len();
        self.keys.retain(|_, key| key.lease != lease);
        if self.keys.len() != before && !self.frozen_revision {
            self.revision += 1;
        }
    }

    /// Ends what has run out.
    pub fn sweep(&mut self, now: u64) {
        if self.down || self.leaderless {
            return;
        }
        let over: Vec<i64> = self.leases.iter().filter(|(_, l)| l.0 <= now).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|lease| self.end(lease));
    }

    /// A new leader gives every lease its whole time again.
    pub fn new_leader(&mut self, now: u64) {
        self.leases.values_mut().for_each(|(until, ttl)| *until = now + *ttl + 10 * MS);
    }

    /// An operator revokes the lease that a key hangs on.
    pub fn revoke(&mut self, key: &str) {
        if let Some(lease) = self.keys.get(key).map(|holder| holder.lease) {
            self.end(lease);
        }
    }

    /// An operator deletes a key.
    pub fn delete(&mut self, key: &str) {
        self.keys.remove(key);
        self.revision += 1;
    }
}
