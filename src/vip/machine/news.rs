//! What is learnt from outside: of the service, of operators and other hosts, of network and kernel, of programs.

use super::{Effect, Health, KERNEL_LATE, Peer, Stage, Vip};
use crate::config::HookFailure;
use crate::engine::time::Time;
use crate::vip::hooks::{HookEnd, HookKind};
use crate::vip::ownership::Urgency;
use crate::vip::step::{self, Step};

impl<M> Vip<M> {
    // What is known of the service.

    /// What the service on this host is said to be. `None` for "not known yet", which counts as not in order without being a failure.
    pub fn set_local(&mut self, now: Time, good: Option<bool>, words: &str) {
        let before = self.local.good;
        if before == good {
            self.local.words = words.into();
            return;
        }
        self.local = Health { good, words: words.into() };
        match good {
            Some(false) if before == Some(true) => {
                self.fail(now);
                self.tell(step::SERVICE_FAILED, Urgency::Alarm, format!(": {words}"));
                self.call(HookKind::Fault, step::SERVICE_FAILED, words);
                self.restart(now);
            }
            Some(true) => {
                self.next_failure = Time::NEVER;
                self.tried = false;
                if before == Some(false) {
                    self.tell(step::SERVICE_BACK, Urgency::Info, "");
                }
            }
            _ => {}
        }
    }

    pub(super) fn fail(&mut self, now: Time) {
        if self.last_failure.is_none_or(|at| at + self.config.failure_timeout <= now) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(now);
    }

    pub(super) fn restart(&mut self, now: Time) {
        self.next_failure = now + self.config.restart_interval;
        if !self.config.restart.is_empty() && !self.restarting {
            self.restarting = true;
            self.tell(step::RESTART, Urgency::Info, "");
            let words = self.local.words.clone();
            self.call(HookKind::Restart, step::RESTART, &words);
        }
    }

    /// What the service leads to; never moves the address.
    pub fn set_backend(&mut self, good: Option<bool>, words: &str) {
        if self.backend.good != good {
            if let Some(good) = good.filter(|good| !good || self.backend.good == Some(false)) {
                let urgency = if good { Urgency::Info } else { Urgency::Warning };
                let now = if good { "in order again" } else { "not in order" };
                self.tell(step::BACKEND, urgency, format!(": {now}: {words}"));
            }
        }
        self.backend = Health { good, words: words.into() };
    }

    /// The engine that judges the service failed.
    pub fn set_engine_failed(&mut self) {
        self.engine_failed = true;
    }

    /// Whether the interface is there, up, and has a carrier.
    pub fn set_link(&mut self, usable: bool, words: &str) {
        if self.link != usable {
            self.link = usable;
            let urgency = if usable { Urgency::Info } else { Urgency::Alarm };
            self.tell(step::LINK, urgency, format!(": {}: {words}", self.config.interface));
        }
    }

    /// The agent ends: the address leaves.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    // Operators.

    /// Whether this host is out.
    pub fn set_standby(&mut self, standby: bool) {
        self.standby = standby;
    }

    /// The host to which the address was moved.
    pub fn set_wanted(&mut self, host: Option<&str>) {
        self.wanted = host.map(str::to_string);
    }

    /// Forgets the failures of this host.
    pub fn clear(&mut self) {
        (self.failures, self.last_failure, self.address_failed) = (0, None, None);
        self.tried = false;
    }

    /// What the other hosts say.
    pub fn set_peers(&mut self, peers: Vec<Peer>) {
        let highest = peers.iter().map(|p| p.epoch.max(p.owns.unwrap_or(0))).max().unwrap_or(0);
        if highest > self.highest {
            self.highest = highest;
        }
        let newer = peers.iter().any(|p| p.owns.is_some_and(|epoch| epoch > self.epoch));
        if newer && self.stage != Stage::Held && self.hooks.overtaken() {
            self.tell(step::HOOK_SKIPPED, Urgency::Info, "");
            self.pass_hooks();
        }
        self.peers = peers;
        if self.stage != Stage::Held {
            return;
        }
        // Somebody claimed the address after this host did, and clients may still believe it, although it may have left without having been
        // heard as a rival: both were cut off from each other. Once for each host that knows of it: the claimer may be heard last.
        let mut news = false;
        for peer in self.peers.iter().filter(|peer| peer.epoch > self.epoch) {
            let known = self.outrun.insert(peer.name.clone(), peer.epoch);
            news |= known.is_none_or(|known| known < peer.epoch);
        }
        if news {
            self.tell(
                step::OUTRUN,
                Urgency::Warning,
                format!(" (epoch {} after {})", self.highest, self.epoch),
            );
            self.effects.push_back(Effect::Step(Step::Announce));
        }
    }

    /// A host of the tier is heard for the first time or again: what it, or clients behind the same part of the network, believe of the address
    /// may be old.
    pub fn peer_found(&mut self) {
        if self.stage == Stage::Held {
            self.effects.push_back(Effect::Step(Step::Announce));
        }
    }

    // What the network and the kernel say.

    /// Somebody else answers for the address, or announces it.
    pub fn rival(&mut self, now: Time, who: &str) {
        if matches!(self.stage, Stage::Absent | Stage::Asking) {
            self.answered = true;
            return;
        }
        let (new, announce) = self.announcements.rival(now);
        if new {
            self.tell(step::RIVAL, Urgency::Alarm, format!(" ({who})"));
            self.call(HookKind::Fault, step::RIVAL, who);
        }
        if announce {
            self.effects.push_back(Effect::Step(Step::Announce));
        }
    }

    /// An address is not there any more, and it was not this agent that took it off.
    pub fn vanished(&mut self, now: Time, what: &str) {
        if self.stage == Stage::Held {
            // At the end of its lifetime it is the kernel that took it off: this process was stopped, or the store did not answer.
            if self.kernel.is_none_or(|end| now + KERNEL_LATE < end) {
                self.tell(step::VANISHED, Urgency::Warning, format!(" ({what})"));
            }
            self.add(now);
        }
    }

    /// An owner named this host as its heir and says that the address is off it: nobody needs to be asked any more.
    pub fn handed_over(&mut self, now: Time) {
        if !self.asked {
            (self.answered, self.ask_until, self.asks_again) = (false, Some(now), None);
        }
    }

    /// A program ended; `None` for the one that restarts the service.
    pub fn hook_ended(&mut self, now: Time, job: Option<u64>, end: &HookEnd) {
        let Some(job) = job else {
            self.restarting = false;
            if !end.is_good() {
                self.tell(step::RESTART_FAILED, Urgency::Alarm, format!(": {}", end.words()));
            }
            return;
        };
        let call = self.hooks.ended(job);
        self.pass_hooks();
        let Some(call) = call else { return };
        if !end.is_good() {
            let heavy = call.kind == HookKind::Claim && self.config.hooks.failure == HookFailure::Release;
            let rule = if heavy { step::CLAIM_HOOK_FAILED } else { step::HOOK_FAILED };
            self.tell(rule, Urgency::Alarm, format!(": on_{}: {}", call.kind.name(), end.words()));
            if heavy && call.epoch == self.epoch {
                self.address_failed = Some(now + self.config.failure_timeout);
                return;
            }
        }
        if self.stage == Stage::Hooking && call.kind == HookKind::Claim && call.epoch == self.epoch {
            self.add(now);
        }
    }
}
