//! How an address comes and leaves: claim, lifetimes, release, and what follows from each step.

use super::{Effect, KERNEL_LATE, REMOVE_AGAIN, Stage, Vip};
use crate::config::ClaimOrder;
use crate::engine::time::{Duration, Time};
use crate::vip::hooks::HookKind;
use crate::vip::ownership::{Ownership, Urgency};
use crate::vip::step::{self, RELEASE, Step};

impl<M> Vip<M> {
    pub(super) fn own(&mut self, now: Time, rule: u16, why: &str) {
        self.release_reason = (0, String::new());
        self.heir = None;
        self.tell(step::CLAIMED, Urgency::Warning, format!(", epoch {}: {why} (rule {rule})", self.epoch));
        if self.asked {
            self.begin_claim(now);
        } else {
            // Who answered before may have been the owner that left for this host.
            self.stage = Stage::Asking;
            self.asks_again = None;
            self.ask(now);
        }
    }

    pub(super) fn begin_claim(&mut self, now: Time) {
        let before = self.config.hooks.order == ClaimOrder::Before && !self.config.hooks.on_claim.is_empty();
        if before {
            self.stage = Stage::Hooking;
            self.call(HookKind::Claim, step::CLAIMED, step::sentence(step::CLAIMED));
        } else {
            // Once the address is there: what cannot be had needs no program.
            self.hook_due = true;
            self.add(now);
        }
    }

    pub(super) fn add(&mut self, now: Time) {
        self.stage = Stage::Adding;
        // The kernel counts whole seconds: with less than one left it would keep the address beyond the lease.
        self.waits = self.valid.is_some_and(|until| until.since(now) < Duration::from_secs(1));
        if self.waits {
            return;
        }
        let lifetime = self.lifetime(now);
        self.effects.push_back(Effect::Step(Step::Add { lifetime }));
    }

    /// For how many seconds the kernel is to keep the address. Never longer than a lease is valid.
    fn lifetime(&mut self, now: Time) -> u32 {
        let span = match self.valid {
            Some(until) => until.since(now),
            // The kernel counts whole seconds; without a lease a longer time is no harm.
            None => self.fence + Duration::from_millis(999),
        };
        let seconds = u32::try_from(span.as_secs()).unwrap_or(u32::MAX).max(1);
        self.kernel = Some(now + Duration::from_secs(u64::from(seconds)) + KERNEL_LATE);
        self.next_refresh = match self.valid {
            Some(_) => Time::NEVER,
            None => now + self.fence / 4,
        };
        seconds
    }

    pub(super) fn refresh(&mut self, now: Time) {
        if self.valid.is_some_and(|until| until.since(now) < Duration::from_secs(1)) {
            // What the kernel has ends before, or as early as it can.
            self.next_refresh = Time::NEVER;
            return;
        }
        let lifetime = self.lifetime(now);
        self.effects.push_back(Effect::Step(Step::Refresh { lifetime }));
    }

    pub(super) fn lose<W: Ownership<Action = M>>(&mut self, now: Time, who: &mut W) {
        self.announcements.ended();
        self.hooks.lost();
        self.pass_hooks();
        match self.stage {
            Stage::Absent | Stage::Asking | Stage::Hooking => self.gone(now, who),
            Stage::Adding | Stage::Held => {
                self.stage = Stage::Releasing(0);
                self.effects.push_back(Effect::Step(RELEASE[0]));
            }
            Stage::Releasing(_) | Stage::Stuck => {}
        }
    }

    /// A step was carried out; `Ok` holds what was counted, if anything.
    pub fn stepped<W: Ownership<Action = M>>(
        &mut self,
        now: Time,
        wall_ms: u64,
        step: Step,
        outcome: Result<u32, String>,
        who: &mut W,
    ) {
        match (step, self.stage, outcome) {
            (Step::Add { .. }, Stage::Adding, Ok(_)) => {
                self.stage = Stage::Held;
                self.claims += 1;
                self.announcements.claimed(now);
                self.effects.push_back(Effect::Step(Step::Announce));
                if core::mem::take(&mut self.hook_due) {
                    self.call(HookKind::Claim, step::CLAIMED, step::sentence(step::CLAIMED));
                }
            }
            (Step::Add { .. }, Stage::Adding, Err(why)) => {
                self.tell(step::ADD_FAILED, Urgency::Alarm, format!(": {why}"));
                self.call(HookKind::Fault, step::ADD_FAILED, &why);
                self.address_failed = Some(now + self.config.failure_timeout.max(Duration::from_secs(1)));
            }
            (Step::Refresh { .. }, Stage::Held, Err(why)) => {
                self.tell(step::REFRESH_FAILED, Urgency::Alarm, format!(": {why}"));
            }
            (Step::Remove, Stage::Releasing(_) | Stage::Stuck, Ok(_)) => self.gone(now, who),
            (Step::Remove, Stage::Releasing(_) | Stage::Stuck, Err(why)) => {
                let over = self.kernel.is_none_or(|end| end <= now);
                if self.stage != Stage::Stuck {
                    self.tell(step::REMOVE_FAILED, Urgency::Alarm, format!(": {why}"));
                }
                self.stage = Stage::Stuck;
                self.stuck_until = now + REMOVE_AGAIN;
                if over {
                    self.gone(now, who);
                }
            }
            (_, Stage::Releasing(index), outcome) => {
                if let Err(why) = outcome {
                    self.tell(step::RELEASE_FAILED, Urgency::Warning, format!(" ({step}): {why}"));
                }
                let next = index + 1;
                if RELEASE.get(index) == Some(&step)
                    && let Some(following) = RELEASE.get(next)
                {
                    self.stage = Stage::Releasing(next);
                    self.effects.push_back(Effect::Step(*following));
                }
            }
            _ => {}
        }
        self.drive(now, wall_ms, who);
    }

    /// The address is off this host: the others may know.
    fn gone<W: Ownership<Action = M>>(&mut self, now: Time, who: &mut W) {
        let was_here = matches!(self.stage, Stage::Releasing(_) | Stage::Stuck);
        self.stage = Stage::Absent;
        (self.kernel, self.valid, self.next_refresh) = (None, None, Time::NEVER);
        (self.waits, self.hook_due) = (false, false);
        if let Some(heir) = self.heir.take() {
            self.effects.push_back(Effect::HandOver { heir, epoch: self.epoch });
        }
        who.released(now);
        let (rule, why) = core::mem::take(&mut self.release_reason);
        if was_here {
            self.releases += 1;
        }
        self.tell(step::RELEASED, Urgency::Warning, format!(": {why} (rule {rule})"));
        self.call(HookKind::Release, rule, &why);
        if let Some((rule, why)) = self.owned_again.take() {
            self.own(now, rule, &why);
        }
    }
}
