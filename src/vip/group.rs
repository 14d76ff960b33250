//! Virtual routers that move together: the IPv4 and the IPv6 one of a VIP.
//!
//! RFC 9568 keeps them apart (section 1: a virtual router is of one family), and without a group a host could be left with half of its
//! address. What one owns or loses, all do.

use super::ownership::{Leaving, Output, Ownership, Score};
use super::vrrp::{Family, Packet, Send, VirtualRouter};
use crate::engine::time::{Duration, Time};
use std::collections::VecDeque;
use std::net::IpAddr;

/// One virtual router, and the source of its advertisements.
struct Member {
    source: IpAddr,
    router: VirtualRouter,
}

/// The routers of one VIP: at most one for each family.
pub struct Group {
    members: Vec<Member>,
    owns: bool,
    now: Time,
    outputs: VecDeque<Output<Send>>,
}

impl Group {
    /// A group of these, each with the source of its advertisements.
    pub fn new(routers: Vec<(IpAddr, VirtualRouter)>) -> Group {
        let members = routers.into_iter().map(|(source, router)| Member { source, router }).collect();
        Group { members, owns: false, now: Time(0), outputs: VecDeque::new() }
    }

    /// The routers.
    pub fn routers(&self) -> impl Iterator<Item = &VirtualRouter> {
        self.members.iter().map(|member| &member.router)
    }

    /// A packet of one of the families; others hear it too, and know that it is not theirs.
    pub fn packet(&mut self, now: Time, packet: &Packet<'_>) {
        for member in &mut self.members {
            if Family::of(member.source) == packet.family {
                member.router.packet(now, packet);
            }
        }
        self.gather(now);
    }

    /// The sources of advertisements, one for each family.
    ///
    /// # Errors
    /// One sentence, if one cannot be a source; what came before it is taken.
    pub fn set_sources(&mut self, sources: &[IpAddr]) -> Result<(), String> {
        for source in sources {
            for member in self.members.iter_mut().filter(|m| Family::of(m.source) == Family::of(*source)) {
                if member.source != *source {
                    member.router.set_source(*source).map_err(|e| e.to_string())?;
                    member.source = *source;
                }
            }
        }
        Ok(())
    }

    /// An advertisement from this source could not be sent.
    pub fn send_failed(&mut self, source: IpAddr) {
        for member in self.members.iter_mut().filter(|member| member.source == source) {
            member.router.send_failed();
        }
    }

    /// Takes what the members say, and lets each follow the others.
    fn gather(&mut self, now: Time) {
        self.now = now;
        // A member that follows says so in its turn, which is nothing new.
        for _ in 0..2 * self.members.len() {
            let mut turned = None;
            for member in &mut self.members {
                while let Some(output) = member.router.poll() {
                    match output {
                        Output::Own { .. } if self.owns => {}
                        Output::Lose { .. } if !self.owns => {}
                        Output::Own { .. } => {
                            self.owns = true;
                            turned = Some(true);
                            self.outputs.push_back(output);
                        }
                        Output::Lose { .. } => {
                            self.owns = false;
                            turned = Some(false);
                            self.outputs.push_back(output);
                        }
                        other => self.outputs.push_back(other),
                    }
                }
            }
            match turned {
                None => return,
                Some(true) => self.members.iter_mut().for_each(|m| m.router.claim(now)),
                // Not for anyone: who hears the farewell of one family should not hurry to the other before its owner does.
                Some(false) => self.members.iter_mut().for_each(|m| m.router.leave(now, Leaving::ToHeir)),
            }
        }
    }
}

impl Ownership for Group {
    type Action = Send;

    fn wish(&mut self, now: Time, score: Score) {
        self.members.iter_mut().for_each(|m| m.router.wish(now, score));
        self.gather(now);
    }

    fn leave(&mut self, now: Time, leaving: Leaving) {
        self.members.iter_mut().for_each(|m| m.router.leave(now, leaving));
        self.gather(now);
    }

    fn released(&mut self, now: Time) {
        self.members.iter_mut().for_each(|m| m.router.released(now));
        self.gather(now);
    }

    fn claim(&mut self, now: Time) {
        self.members.iter_mut().for_each(|m| m.router.claim(now));
        self.gather(now);
    }

    fn handle_timer(&mut self, now: Time) {
        self.members.iter_mut().for_each(|m| m.router.handle_timer(now));
        self.gather(now);
    }

    fn poll(&mut self) -> Option<Output<Send>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Time {
        self.routers().map(Ownership::poll_timeout).min().unwrap_or(Time::NEVER)
    }

    fn owns(&self) -> bool {
        self.owns
    }

    fn down_interval(&self) -> Duration {
        self.routers().map(Ownership::down_interval).max().unwrap_or_default()
    }
}
