//! A VIP in the kernel: its interface, the addresses that were added, and the steps that move them.

use super::refresher::{Gate, Job};
use crate::config::VipConfig;
use crate::engine::Time;
use crate::io::descriptor::Registry;
use crate::io::neighbour::{Family, Neighbours};
use crate::io::netlink::{AddressSpec, Cleaned, Interface, Kernel, NetResult, Placed};
use crate::vip::step::Step;
use crate::wire::arp::Form;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Where a VIP's addresses are put.
#[derive(Debug)]
pub(super) struct Place {
    config: VipConfig,
    pub(super) interface: Option<Interface>,
    placed: Vec<Placed>,
    gate: Gate,
    /// The neighbours of the interface, for each family that the VIP has.
    pub(super) neighbours: Vec<Neighbours>,
}

impl Place {
    pub(super) fn new(config: &VipConfig) -> Place {
        Place {
            config: config.clone(),
            interface: None,
            placed: Vec::new(),
            gate: Gate::default(),
            neighbours: Vec::new(),
        }
    }

    fn ips(&self) -> Vec<IpAddr> {
        self.config.addresses.iter().map(|address| address.ip).collect()
    }

    /// Whether the address is one of the VIP's.
    pub(super) fn has(&self, ip: IpAddr) -> bool {
        self.config.addresses.iter().any(|address| address.ip == ip)
    }

    /// The families of its addresses.
    pub(super) fn families(&self) -> Vec<Family> {
        [Family::V4, Family::V6]
            .into_iter()
            .filter(|family| self.config.addresses.iter().any(|a| Family::of(a.ip) == *family))
            .collect()
    }

    /// The interface is this one from now on, or none; what was open on another is closed.
    ///
    /// # Errors
    /// Where the neighbours cannot be spoken to.
    pub(super) fn set_interface(
        &mut self,
        registry: &Arc<Registry>,
        interface: Option<Interface>,
    ) -> NetResult<()> {
        let same = match (&self.interface, &interface) {
            (Some(a), Some(b)) => a.index == b.index && a.mac == b.mac && a.name == b.name,
            _ => false,
        };
        self.interface = interface;
        if same && !self.neighbours.is_empty() {
            return Ok(());
        }
        self.neighbours.clear();
        if let Some(interface) = &self.interface {
            for family in self.families() {
                self.neighbours.push(Neighbours::open(registry, interface, family)?);
            }
        }
        Ok(())
    }

    /// The source of what is sent for an address of this family: the interface's first address that is nobody's VIP, over IPv6 the
    /// link-local one.
    pub(super) fn source(&self, kernel: &mut Kernel, family: Family) -> NetResult<Option<IpAddr>> {
        let Some(interface) = &self.interface else { return Ok(None) };
        let mine = |ip: &IpAddr| !self.has(*ip);
        let fits = |ip: &IpAddr| match (ip, family) {
            (IpAddr::V4(_), Family::V4) => true,
            (IpAddr::V6(ip), Family::V6) => ip.segments()[0] & 0xffc0 == 0xfe80,
            _ => false,
        };
        let found = kernel.addresses(Some(interface.index))?;
        Ok(found
            .iter()
            .filter(|a| !a.is_marked() && !a.is_secondary())
            .map(|a| a.ip)
            .find(|ip| mine(ip) && fits(ip)))
    }

    /// Removes what an earlier life left.
    pub(super) fn clean_up(&self, kernel: &mut Kernel) -> NetResult<Cleaned> {
        match &self.interface {
            Some(interface) => kernel.clean_up(interface, &self.ips()),
            None => Ok(Cleaned::default()),
        }
    }

    /// Carries a step out; what was counted, or why not.
    pub(super) fn carry_out(&mut self, kernel: &mut Kernel, step: Step) -> Result<u32, String> {
        let Some(interface) = self.interface.clone() else {
            return match step {
                // With the interface all that was on it is gone.
                Step::Block | Step::Destroy | Step::Remove => {
                    self.placed.clear();
                    self.unblock_anywhere(kernel)
                }
                _ => Err(format!("there is no interface {}", self.config.interface)),
            };
        };
        let done = match step {
            Step::Ask => self.each_neighbour(|neighbours, ip| neighbours.ask(ip)),
            Step::Announce => self.each_neighbour(|neighbours, ip| {
                neighbours.announce(ip, Form::Request)?;
                match ip {
                    // Some systems believe the one form only, some the other.
                    IpAddr::V4(_) => neighbours.announce(ip, Form::Reply),
                    IpAddr::V6(_) => Ok(()),
                }
            }),
            Step::Add { lifetime } => self.add(kernel, &interface, lifetime),
            // The thread of the refresher does it.
            Step::Refresh { .. } => Ok(0),
            Step::Block => self.ips().iter().try_for_each(|ip| kernel.block(&interface, *ip)).map(|()| 0),
            Step::Destroy => self.ips().iter().try_fold(0, |sum, ip| Ok(sum + kernel.destroy(*ip)? as u32)),
            Step::Remove => self.remove(kernel, &interface),
        };
        done.map_err(|e| e.to_string())
    }

    fn each_neighbour(&self, act: impl Fn(&Neighbours, IpAddr) -> NetResult<()>) -> NetResult<u32> {
        let families = self.families();
        for ip in self.ips() {
            let at = families.iter().position(|family| *family == Family::of(ip));
            if let Some(neighbours) = at.and_then(|at| self.neighbours.get(at)) {
                act(neighbours, ip)?;
            }
        }
        Ok(0)
    }

    fn add(&mut self, kernel: &mut Kernel, interface: &Interface, lifetime: u32) -> NetResult<u32> {
        self.placed.clear();
        for address in &self.config.addresses {
            let spec = AddressSpec {
                interface,
                ip: address.ip,
                prefix: address.prefix,
                valid_lifetime: Some(lifetime),
                label: None,
                noprefixroute: !self.config.prefix_route,
                source: self.config.source,
            };
            // A block that a crash of the step before left would keep everybody out.
            kernel.unblock(interface, address.ip)?;
            self.placed.push(kernel.add_address(&spec)?);
        }
        Ok(self.placed.len() as u32)
    }

    /// The refresh of the addresses as they are now.
    pub(super) fn refresh(&self, vip: usize, lifetime: u32, asked: Time) -> Job {
        let ticket = *self.gate.lock();
        Job { vip, placed: self.placed.clone(), lifetime, asked, gate: Arc::clone(&self.gate), ticket }
    }

    /// All of them, even if one fails: the last error tells.
    fn remove(&mut self, kernel: &mut Kernel, interface: &Interface) -> NetResult<u32> {
        // A refresh under way ends first, and one that waits will not begin: it would bring the address back.
        *self.gate.lock() += 1;
        self.placed.clear();
        let (mut count, mut failed) = (0, None);
        for ip in self.ips() {
            match kernel
                .remove_address(interface, ip)
                .and_then(|was| kernel.unblock(interface, ip).map(|_| was))
            {
                Ok(was) => count += u32::from(was),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(count), Err)
    }

    /// Blocks outlive the interface.
    fn unblock_anywhere(&self, kernel: &mut Kernel) -> Result<u32, String> {
        for ip in self.ips() {
            kernel.remove_block(ip).map_err(|e| e.to_string())?;
        }
        Ok(0)
    }

    /// Which of the VIP's addresses the interface lacks.
    pub(super) fn missing(&self, kernel: &mut Kernel) -> NetResult<Vec<IpAddr>> {
        let Some(interface) = &self.interface else { return Ok(self.ips()) };
        let there = kernel.addresses(Some(interface.index))?;
        Ok(self.ips().into_iter().filter(|ip| there.iter().all(|address| address.ip != *ip)).collect())
    }
}

/// What stands for a source that is not known yet: nobody answers to it, and nothing is sent while it stands.
pub(super) fn nobody(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}
