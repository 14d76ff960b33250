//! What agents ask for: steps in the kernel, programs.

use super::{Event, World};
use crate::host::{Running, vip_name};
use crate::plan::{Fault, MS, SECOND};
use primacy::vip::hooks::HookEnd;
use primacy::vip::step::Step;

impl World {
    pub(super) fn run_hook(
        &mut self,
        host: usize,
        vip: usize,
        job: Option<u64>,
        call: &primacy::vip::hooks::Call,
    ) {
        let life = self.hosts[host].life;
        self.note(|| format!("rt{}: runs {} for epoch {}", host + 1, call.kind.name(), call.epoch));
        if let Some(job) = job {
            self.judge_hook(host, vip, call);
            self.hosts[host].running.push(Running { vip, job, kind: call.kind });
        }
        let bad = self.r.chance(self.plan.hook_bad);
        let (after, end) = match (bad, self.r.below(3)) {
            (false, _) => (self.plan.hook_time * MS, HookEnd::Exit(0, String::new())),
            (true, 0) => (self.plan.hook_timeout(), HookEnd::TimedOut),
            (true, 1) => (0, HookEnd::Failed("no such program".into())),
            (true, _) => (self.plan.hook_time * MS, HookEnd::Exit(2, "no".into())),
        };
        self.at(self.now + after, Event::HookOver { host, life, vip, job, end });
    }

    /// One step in the kernel; `None` if its end is never told.
    pub(super) fn step(&mut self, host: usize, vip: usize, step: Step) -> Option<Result<u32, String>> {
        self.note(|| format!("rt{} {}: {step:?}", host + 1, vip_name(vip)));
        if let Some((name, count)) = self.hosts[host].steps_fail
            && name == step.name()
            && count > 0
        {
            self.hosts[host].steps_fail = (count > 1).then_some((name, count - 1));
            self.judge.excuse(self.now, self.now + 2 * self.plan.double_bound());
            self.judge_failed_step(host, vip, step);
            return Some(Err("EPERM".into()));
        }
        match step {
            Step::Ask => {
                for other in (0..self.plan.hosts).filter(|other| *other != host) {
                    let there = self.hosts[other].kernel[vip].until.is_some();
                    if there && self.way(host, other).is_some() {
                        let at = self.way(other, host);
                        let Some(at) = at else { continue };
                        self.at(at, Event::Claimed { vip, by: other, to: host });
                    }
                }
            }
            Step::Add { lifetime } | Step::Refresh { lifetime } => {
                let lifetime = if self.plan.fault == Fault::NoLifetime { 60 } else { lifetime };
                let late = self.r.below(250 * MS);
                let until = self.now + self.hosts[host].span(u64::from(lifetime) * SECOND) + late;
                let kernel = &mut self.hosts[host].kernel[vip];
                kernel.generation += 1;
                kernel.until = Some(until);
                if matches!(step, Step::Add { .. }) {
                    (kernel.blocked, kernel.destroyed) = (false, false);
                }
                let generation = kernel.generation;
                self.at(until, Event::KernelEnd { host, vip, generation });
            }
            Step::Announce => {
                if self.plan.fault == Fault::NoAnnouncement {
                    return Some(Ok(1));
                }
                for to in (0..self.plan.hosts).filter(|to| *to != host).chain([self.clients()]) {
                    match self.way(host, to) {
                        Some(at) => self.at(at, Event::Claimed { vip, by: host, to }),
                        None if to == self.clients() => self.judge.missed(vip),
                        None => {}
                    }
                }
            }
            Step::Block => self.hosts[host].kernel[vip].blocked = true,
            Step::Destroy if self.plan.fault == Fault::RemoveFirst => {
                self.judge_remove(host, vip);
                self.hosts[host].kernel[vip].until = None;
            }
            Step::Destroy => {
                if !self.hosts[host].kernel[vip].blocked {
                    self.judge.object(self.now, format!("rt{}: destroys before it blocks", host + 1));
                }
                self.hosts[host].kernel[vip].destroyed = true;
            }
            Step::Remove => {
                self.judge_remove(host, vip);
                if self.plan.fault == Fault::NoReleased {
                    self.hosts[host].kernel[vip].until = None;
                    return None;
                }
                if self.plan.fault != Fault::NotRemoved {
                    self.hosts[host].kernel[vip].until = None;
                }
            }
        }
        Some(Ok(1))
    }
}
