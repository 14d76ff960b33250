//! VRRP sockets: one for each interface, family and way of sending, shared by the VIPs there, whose packets are told apart by their number.

use crate::config::{OwnershipConfig, VipConfig};
use crate::io::descriptor::Registry;
use crate::io::netlink::Interface;
use crate::io::poller::{Epoll, Poller};
use crate::io::vrrp::{Drained, VrrpError, VrrpSocket};
use crate::vip::vrrp::{Family, Packet, Send, vrid_of};
use std::net::IpAddr;
use std::sync::Arc;

/// One socket.
#[derive(Debug)]
struct Ear {
    socket: VrrpSocket,
    /// Whether it hears the group.
    group: bool,
    /// The VIPs that use it, and their numbers.
    users: Vec<(usize, u8)>,
}

/// All sockets.
#[derive(Debug)]
pub(super) struct Ears {
    /// For each VIP: its number, and whether it speaks to the group; `None` for a lease.
    wants: Vec<Option<(u8, bool)>>,
    ears: Vec<Ear>,
    token: u64,
}

impl Ears {
    pub(super) fn new(configs: &[VipConfig]) -> Ears {
        let wants = configs.iter().map(|config| match &config.ownership {
            OwnershipConfig::Vrrp(vrrp) => Some((vrrp.vrid, vrrp.unicast.is_empty())),
            OwnershipConfig::Lease(_) => None,
        });
        Ears { wants: wants.collect(), ears: Vec::new(), token: 0 }
    }

    /// Whether the VIP speaks VRRP.
    pub(super) fn is_needed(&self, vip: usize) -> bool {
        matches!(self.wants.get(vip), Some(Some(_)))
    }

    /// The VIP's interface is gone: sockets that nobody else uses are closed.
    pub(super) fn forget(&mut self, epoll: &mut Epoll, vip: usize) {
        for ear in &mut self.ears {
            ear.users.retain(|(user, _)| *user != vip);
        }
        self.close_unused(epoll);
    }

    fn close_unused(&mut self, epoll: &mut Epoll) {
        self.ears.retain(|ear| {
            if ear.users.is_empty() {
                epoll.remove(ear.socket.number());
            }
            !ear.users.is_empty()
        });
    }

    /// Opens what the VIP needs on this interface; sockets on an earlier one are closed.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn open(
        &mut self,
        registry: &Arc<Registry>,
        epoll: &mut Epoll,
        first_token: u64,
        vip: usize,
        interface: &Interface,
        sources: &[IpAddr],
    ) -> Result<(), String> {
        let Some(Some((vrid, group))) = self.wants.get(vip).copied() else { return Ok(()) };
        for ear in &mut self.ears {
            if ear.socket.index() != interface.index || ear.socket.check().is_err() {
                ear.users.retain(|(user, _)| *user != vip);
            }
        }
        self.close_unused(epoll);
        for family in sources.iter().map(|source| Family::of(*source)) {
            let fits = |ear: &&mut Ear| {
                ear.socket.index() == interface.index && ear.socket.family() == family && ear.group == group
            };
            if let Some(ear) = self.ears.iter_mut().find(fits) {
                if !ear.users.contains(&(vip, vrid)) {
                    ear.users.push((vip, vrid));
                }
                continue;
            }
            let socket =
                VrrpSocket::open(registry, &interface.name, family, group).map_err(|e| e.to_string())?;
            self.token += 1;
            epoll.add(socket.number(), first_token + self.token, false).map_err(|e| e.to_string())?;
            self.ears.push(Ear { socket, group, users: vec![(vip, vrid)] });
        }
        Ok(())
    }

    /// Hands in the packets that wait, at most `most` of each socket, for each VIP whom they may concern; whether more may wait.
    pub(super) fn receive(&self, most: usize, mut take: impl FnMut(usize, &Packet<'_>)) -> bool {
        let mut more = false;
        for ear in &self.ears {
            let drained = ear.socket.receive(most, |packet| {
                let number = vrid_of(packet.bytes);
                // One VIP at least hears what names nobody: it counts what is wrong with it.
                let named = ear.users.iter().any(|(_, vrid)| Some(*vrid) == number);
                for (index, (vip, vrid)) in ear.users.iter().enumerate() {
                    if Some(*vrid) == number || (!named && index == 0) {
                        take(*vip, packet);
                    }
                }
            });
            more |= matches!(drained, Ok(Drained::More));
        }
        more
    }

    /// Sends an advertisement of a VIP.
    ///
    /// # Errors
    /// What the system says; nothing went out.
    pub(super) fn send(&self, vip: usize, send: &Send) -> Result<(), VrrpError> {
        let family = Family::of(send.source);
        let mine =
            |ear: &&Ear| ear.socket.family() == family && ear.users.iter().any(|(user, _)| *user == vip);
        match self.ears.iter().find(mine) {
            Some(ear) => ear.socket.send(send.source, send.destination, &send.bytes),
            None => Err(VrrpError::Gone { interface: String::new() }),
        }
    }
}
