//! What happens from outside.

use super::{Event, World};
use crate::host::{In, Kernel, vip_name};
use crate::plan::{Act, Fault, MS, SECOND};
use primacy::vip::peer::Order;

impl World {
    fn isolate(&mut self, host: usize, with_etcd: bool) {
        for other in 0..self.cut.len() {
            if other != self.etcd() || with_etcd {
                self.cut[host][other] = true;
                self.cut[other][host] = true;
            }
        }
    }

    fn order(&mut self, by: usize, order: &Order) {
        let by = if self.hosts[by].runs(self.now) { by } else { (by + 1) % self.plan.hosts };
        if !self.hosts[by].runs(self.now) || self.plan.fault == Fault::DeafToOrders {
            if let (Fault::DeafToOrders, Order::Standby { host, standby }) = (self.plan.fault, order) {
                self.judge.ordered_standby(host, *standby);
            }
            return;
        }
        let clock = self.hosts[by].clock(self.now);
        let Some(tier) = &mut self.hosts[by].tier else { return };
        let answer = tier.order(clock, order);
        self.note(|| format!("rt{}: order {order:?}: {answer:?}", by + 1));
        self.drain(by, false);
        self.look(by);
        self.plan_timer(by, false);
    }

    pub(super) fn act(&mut self, act: Act) {
        let name = |host: usize| format!("rt{}", host + 1);
        if !matches!(
            act,
            Act::Local(..) | Act::Backend(..) | Act::Move(_) | Act::Unmove | Act::Standby(..) | Act::Clear(_)
        ) {
            self.judge.rough(self.now);
        }
        match act {
            Act::Cut(from, to) => self.cut[from][to] = from != to,
            Act::Isolate(host, with_etcd) => self.isolate(host, with_etcd),
            Act::Heal => {
                self.cut.iter_mut().for_each(|row| row.fill(false));
                (self.loss, self.delay, self.duplicate) = (0, self.plan.delay, 0);
                if self.now >= SECOND + self.plan.calm_at {
                    (self.store.down, self.store.leaderless) = (false, false);
                    for host in 0..self.plan.hosts {
                        self.hosts[host].steps_fail = None;
                        self.hosts[host].kill_at = None;
                    }
                }
            }
            Act::Loss(percent) => self.loss = percent,
            Act::Delay(nanos) => self.delay = nanos,
            Act::Duplicate(percent) => self.duplicate = percent,
            Act::Stall(host, ms) => {
                let it = &mut self.hosts[host];
                if it.tier.is_none() || it.stalled > self.now {
                    return;
                }
                it.stalled = self.now + ms * MS;
                it.pause.0 = self.now;
                let (until, life) = (it.stalled, it.life);
                let held = (0..self.plan.vips)
                    .any(|v| self.hosts[host].kernel[v].until.is_some() || self.hosts[host].owns(v));
                if held {
                    let fenced = self.now + self.plan.double_bound();
                    self.judge.excuse(self.now, until.min(fenced));
                    self.judge.excuse(until, until + 20 * MS + 2 * self.plan.delay);
                }
                self.at(until, Event::Resume { host, life });
            }
            Act::Kill(host) if self.hosts[host].tier.is_some() => self.kill(host),
            Act::KillAtStep(host, n) => self.hosts[host].kill_at = Some(n),
            Act::Crash(host) => {
                if self.hosts[host].tier.is_some() {
                    self.kill(host);
                }
                let it = &mut self.hosts[host];
                it.boot += 1;
                it.good = true;
                for kernel in &mut it.kernel {
                    *kernel = Kernel { generation: kernel.generation + 1, ..Kernel::default() };
                }
            }
            Act::Start(host) => self.start(host),
            Act::Local(host, good) => {
                self.hosts[host].good = good;
                self.deliver(host, In::Local(good));
            }
            Act::Backend(host, good) => {
                self.hosts[host].backend = good;
                self.deliver(host, In::Backend(good));
            }
            Act::Move(host) => {
                let order = Order::Want { vip: vip_name(0), host: Some(name(host)) };
                self.order(self.plan.hosts - 1 - host, &order);
            }
            Act::Unmove => self.order(0, &Order::Want { vip: vip_name(0), host: None }),
            Act::Standby(host, standby) => self.order(0, &Order::Standby { host: name(host), standby }),
            Act::Clear(host) => self.order(0, &Order::ClearFailures { vip: vip_name(0), host: name(host) }),
            Act::Link(host, up) => {
                self.hosts[host].link = up;
                self.deliver(host, In::Link(up));
            }
            Act::StepsFail(host, step, count) => self.hosts[host].steps_fail = Some((step, count)),
            Act::RemoveByHand(host) => {
                if self.hosts[host].kernel[0].until.take().is_some() {
                    self.deliver(host, In::Vanished { vip: 0 });
                }
            }
            Act::Stranger(times) => {
                for host in 0..self.plan.hosts {
                    for i in 0..times {
                        let life = self.hosts[host].life;
                        self.at(
                            self.now + i * 150 * MS,
                            Event::In { host, life, input: In::Rival { vip: 0 } },
                        );
                    }
                }
            }
            Act::EngineFails(host) => self.deliver(host, In::EngineFailed),
            Act::Stop(host) => {
                self.hosts[host].ended = true;
                self.deliver(host, In::Stop);
            }
            Act::StoreDown(down) => self.store.down = down,
            Act::Leaderless(leaderless) => self.store.leaderless = leaderless,
            Act::NewLeader => self.store.new_leader(self.now),
            Act::RevokeByHand | Act::DeleteByHand => {
                let key = format!("/primacy/vip/{}", vip_name(0));
                if act == Act::RevokeByHand {
                    self.store.revoke(&key)
                } else {
                    self.store.delete(&key)
                }
                self.judge.meddled(self.now + (self.plan.ttl + 2) * SECOND);
            }
            Act::Kill(_) => {}
        }
    }
}
