//! Addresses of an interface: adding them with a lifetime after which the kernel removes them, refreshing it, removing
//! them, listing them.
//!
//! **Never a source address unless asked.** A host that leaves by an address which moves loses those connections with
//! it. What keeps the kernel from choosing one differs by family:
//!
//! - IPv4: an address in the network of another that stood on the interface before becomes its *secondary*
//!   (IFA_F_SECONDARY), and those are never chosen. Its scope must be that of the primary. Where there is none, the
//!   address would be a primary: a route to its network would name it as source, and it would be chosen as the first
//!   of its interface. So it is added as /32 of scope *host*, which is chosen for nothing that leaves the machine and
//!   has no network, so that a primary that comes later is neither made secondary to it nor refused. The price:
//!   `arp_ignore` 2 and 3 do not answer for such an address.
//! - IPv6: a preferred lifetime of 0 makes it deprecated, and every other address of fitting scope is chosen before
//!   it (RFC 6724, section 5, rule 3).
//!
//! **Lifetimes.** Seconds from now. The kernel removes the address when they are over, whatever became of us. To have
//! less to do it may come a quarter of a second late (ADDRCONF_TIMER_FUZZ). And after it has looked at all addresses of
//! a family, as it does whenever one of them is added or refreshed, it does not look again for a second: where another
//! address is changed in the last second of a lifetime, the end comes up to a second late. So whoever counts on the end
//! refreshes every address while more than a second is left of it, and counts in the quarter.

use super::error::{NetError, NetResult};
use super::link::Interface;
use super::message::{Attributes, Builder, Message, text, u8_at, u32_at};
use super::socket::{CREATE, REPLACE};
use super::{Kernel, LABEL_MARK, MARK};
use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length of `struct ifaddrmsg`.
const FIXED: usize = 8;
/// IFA_PROTO of linux/if_addr.h.
const IFA_PROTO: u16 = 11;
/// A lifetime without end (INFINITY_LIFE_TIME).
const FOR_EVER: u32 = u32::MAX;
/// Scopes of linux/rtnetlink.h.
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_HOST: u8 = 254;
/// Most bytes of a label.
pub(crate) const LONGEST_LABEL: usize = libc::IFNAMSIZ - 1;

/// An address to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressSpec<'a> {
    pub(crate) interface: &'a Interface,
    pub(crate) ip: IpAddr,
    /// Length of the network's prefix: 0 to 32, or to 128.
    pub(crate) prefix: u8,
    /// Seconds after which the kernel removes it, at least 1; `None`: never.
    pub(crate) valid_lifetime: Option<u32>,
    /// IPv4 only: at most 15 bytes that begin with the interface's name. `None`: the name and [`LABEL_MARK`], if they fit.
    pub(crate) label: Option<&'a str>,
    /// No route to the address's network comes with it. IPv6 addresses in the network of another address of the interface
    /// never bring one: it would share the other's route, and some kernels put the lifetime onto that.
    pub(crate) noprefixroute: bool,
    /// The host may choose it as source of what it sends.
    pub(crate) source: bool,
}

/// An address that was added: all that its refresh needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    index: u32,
    interface: String,
    ip: IpAddr,
    prefix: u8,
    scope: u8,
    flags: u32,
    label: Option<String>,
    source: bool,
    protocol: u8,
}

#[cfg(test)]
impl Placed {
    pub(crate) fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The prefix it really has: 32 where an IPv4 address found no network to be secondary in.
    pub(crate) fn prefix(&self) -> u8 {
        self.prefix
    }
}

/// An address that an interface has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) index: u32,
    pub(crate) ip: IpAddr,
    pub(crate) prefix: u8,
    /// RT_SCOPE_*.
    pub(crate) scope: u8,
    /// IFA_F_*.
    pub(crate) flags: u32,
    /// Seconds left; `None`: for ever.
    pub(crate) valid: Option<u32>,
    /// Seconds left in which it may be chosen as source (IPv6); 0: deprecated; `None`: for ever.
    pub(crate) preferred: Option<u32>,
    /// IPv4's label; equal to the interface's name unless somebody set one.
    pub(crate) label: Option<String>,
    /// IFA_PROTO; 0 where nothing is known.
    pub(crate) protocol: u8,
}

impl Address {
    /// Reads RTM_NEWADDR or RTM_DELADDR. `None` if it is cut off or of another family.
    pub(super) fn of(message: &Message<'_>) -> Option<Address> {
        let body = message.body;
        let family = i32::from(u8_at(body, 0)?);
        let index = u32_at(body, 4)?;
        let mut flags = u32::from(u8_at(body, 2)?);
        let (mut local, mut address, mut label, mut protocol) = (None, None, None, 0);
        let (mut valid, mut preferred) = (None, None);
        for (attribute, value) in Attributes::after(body, FIXED) {
            match attribute {
                libc::IFA_LOCAL => local = ip_of(family, value),
                libc::IFA_ADDRESS => address = ip_of(family, value),
                libc::IFA_LABEL => label = Some(text(value)),
                libc::IFA_FLAGS => flags = u32_at(value, 0).unwrap_or(flags),
                libc::IFA_CACHEINFO => {
                    preferred = u32_at(value, 0).filter(|seconds| *seconds != FOR_EVER);
                    valid = u32_at(value, 4).filter(|seconds| *seconds != FOR_EVER);
                }
                IFA_PROTO => protocol = u8_at(value, 0).unwrap_or(0),
                _ => {}
            }
        }
        // On a point-to-point link IFA_ADDRESS is the peer's.
        let ip = local.or(address)?;
        Some(Address {
            index,
            ip,
            prefix: u8_at(body, 1)?,
            scope: u8_at(body, 3)?,
            flags,
            valid,
            preferred,
            label,
            protocol,
        })
    }

    /// Whether we have added it.
    pub(crate) fn is_marked(&self) -> bool {
        self.protocol == MARK || self.label.as_ref().is_some_and(|label| label.ends_with(LABEL_MARK))
    }

    /// Whether the host chooses it for nothing (IPv4).
    pub(crate) fn is_secondary(&self) -> bool {
        self.ip.is_ipv4() && self.flags & libc::IFA_F_SECONDARY != 0
    }
}

impl Kernel {
    /// Adds an address, or takes over and refreshes the one that is there. There is no detection of duplicates by the
    /// kernel, hence no delay: whoever adds has asked before, or must not wait.
    ///
    /// To be called again, instead of [`Kernel::refresh`], after any address of the interface has gone: the place of
    /// this one among them may have changed.
    ///
    /// # Errors
    /// [`NetError::Capability`] without CAP_NET_ADMIN; [`NetError::Invalid`] for a label or prefix that cannot be;
    /// [`NetError::Refused`] with the kernel's reason otherwise.
    pub(crate) fn add_address(&mut self, spec: &AddressSpec<'_>) -> NetResult<Placed> {
        check(spec)?;
        let there = self.addresses(Some(spec.interface.index))?;
        let placed = place(spec, &there);
        self.refresh(&placed, spec.valid_lifetime)?;
        // One that the kernel made a primary when its own primary went would be a source.
        for old in
            there.iter().filter(|old| old.ip == spec.ip && old.prefix != placed.prefix && old.is_marked())
        {
            self.delete(&spec.interface.name, old)?;
        }
        Ok(placed)
    }

    /// Sets the lifetime of an address that was added to this many seconds from now. One that has gone comes back.
    pub(crate) fn refresh(&mut self, placed: &Placed, valid_lifetime: Option<u32>) -> NetResult<()> {
        let valid = valid_lifetime.unwrap_or(FOR_EVER);
        let preferred = if placed.source { valid } else { 0 };
        self.put(placed, valid, preferred)
    }

    /// Removes an address, with whatever prefix it has. `false`: it was not there.
    ///
    /// # Errors
    /// [`NetError::Capability`] without CAP_NET_ADMIN.
    pub(crate) fn remove_address(&mut self, interface: &Interface, ip: IpAddr) -> NetResult<bool> {
        let mut removed = false;
        for address in self.addresses(Some(interface.index))?.iter().filter(|address| address.ip == ip) {
            removed |= self.delete(&interface.name, address)?;
        }
        Ok(removed)
    }

    /// The addresses of one interface, or of all.
    pub(crate) fn addresses(&mut self, index: Option<u32>) -> NetResult<Vec<Address>> {
        // The kernel lists all; to be asked for one interface it needs an option that old ones do not know.
        self.route.list(format_args!("list addresses"), libc::RTM_GETADDR, &[0; FIXED], None, |message| {
            let address = (message.kind == libc::RTM_NEWADDR).then(|| Address::of(message)).flatten();
            address.filter(|address| index.is_none_or(|index| address.index == index))
        })
    }

    /// Whether the interface has this address.
    pub(crate) fn is_present(&mut self, interface: &Interface, ip: IpAddr) -> NetResult<bool> {
        Ok(self.addresses(Some(interface.index))?.iter().any(|address| address.ip == ip))
    }

    /// Takes an address away and adds it again as it was: the only way to make the kernel renew what hangs on it.
    pub(super) fn renew(&mut self, interface: &Interface, address: &Address) -> NetResult<()> {
        self.delete(&interface.name, address)?;
        let placed = Placed {
            index: address.index,
            interface: interface.name.clone(),
            ip: address.ip,
            prefix: address.prefix,
            scope: address.scope,
            flags: address.flags & (libc::IFA_F_NODAD | libc::IFA_F_NOPREFIXROUTE),
            label: address.label.clone(),
            source: false,
            protocol: address.protocol,
        };
        self.put(&placed, address.valid.unwrap_or(FOR_EVER), address.preferred.unwrap_or(FOR_EVER))
    }

    fn put(&mut self, placed: &Placed, valid: u32, preferred: u32) -> NetResult<()> {
        let Placed { ip, prefix, interface, .. } = placed;
        self.route.request(
            format_args!("add {ip}/{prefix} to {interface}"),
            libc::RTM_NEWADDR,
            CREATE | REPLACE,
            |builder, kind, flags, sequence| {
                let body = fixed(*ip, *prefix, placed.flags, placed.scope, placed.index);
                builder.begin(kind, flags, sequence, &body);
                ip_attribute(builder, libc::IFA_LOCAL, *ip);
                ip_attribute(builder, libc::IFA_ADDRESS, *ip);
                if let Some(label) = placed.label.as_deref().filter(|_| ip.is_ipv4()) {
                    builder.text(libc::IFA_LABEL, label);
                }
                builder.attribute(libc::IFA_FLAGS, &placed.flags.to_ne_bytes());
                // struct ifa_cacheinfo: preferred, valid, and two times that only the kernel sets.
                let mut lifetimes = [0u8; 16];
                for (to, from) in
                    lifetimes.iter_mut().zip(preferred.to_ne_bytes().into_iter().chain(valid.to_ne_bytes()))
                {
                    *to = from;
                }
                builder.attribute(libc::IFA_CACHEINFO, &lifetimes);
                builder.attribute(IFA_PROTO, &[placed.protocol]);
            },
            |_| {},
        )
    }

    /// Removes exactly this address. `false`: it was not there.
    pub(super) fn delete(&mut self, interface: &str, address: &Address) -> NetResult<bool> {
        let Address { ip, prefix, .. } = address;
        let result = self.route.request(
            format_args!("remove {ip}/{prefix} from {interface}"),
            libc::RTM_DELADDR,
            0,
            |builder, kind, flags, sequence| {
                builder.begin(kind, flags, sequence, &fixed(*ip, *prefix, 0, 0, address.index));
                ip_attribute(builder, libc::IFA_LOCAL, *ip);
                // Without this IPv4 takes the first with any prefix.
                ip_attribute(builder, libc::IFA_ADDRESS, *ip);
            },
            |_| {},
        );
        match result {
            Ok(()) => Ok(true),
            // It has gone meanwhile, alone or with its interface.
            Err(error) if matches!(error.errno(), Some(libc::EADDRNOTAVAIL | libc::ENODEV | libc::ENXIO)) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// What no kernel would take, told in better words.
fn check(spec: &AddressSpec<'_>) -> NetResult<()> {
    let wrong = |reason: fmt::Arguments<'_>| {
        let task = format!("add {}/{} to {}", spec.ip, spec.prefix, spec.interface.name);
        Err(NetError::Invalid { task, reason: reason.to_string() })
    };
    let longest = if spec.ip.is_ipv4() { 32 } else { 128 };
    if spec.prefix > longest {
        return wrong(format_args!("the prefix is longer than {longest}"));
    }
    if spec.valid_lifetime == Some(0) {
        return wrong(format_args!("a lifetime of 0 is none"));
    }
    if let Some(label) = spec.label {
        if spec.ip.is_ipv6() {
            return wrong(format_args!("only IPv4 addresses have labels"));
        }
        if label.len() > LONGEST_LABEL || label.contains('\0') || !label.starts_with(&spec.interface.name) {
            return wrong(format_args!(
                "the label {label:?} must begin with the interface's name and be at most {LONGEST_LABEL} bytes long"
            ));
        }
    }
    Ok(())
}

/// Decides with which prefix, scope and flags an address goes among those that are there.
fn place(spec: &AddressSpec<'_>, there: &[Address]) -> Placed {
    let mut placed = Placed {
        index: spec.interface.index,
        interface: spec.interface.name.clone(),
        ip: spec.ip,
        prefix: spec.prefix,
        scope: SCOPE_UNIVERSE,
        flags: if spec.ip.is_ipv6() { libc::IFA_F_NODAD } else { 0 },
        label: spec.label.map(str::to_owned),
        source: spec.source,
        protocol: MARK,
    };
    if spec.noprefixroute {
        placed.flags |= libc::IFA_F_NOPREFIXROUTE;
    }
    if spec.ip.is_ipv4() && placed.label.is_none() {
        let label = format!("{}{LABEL_MARK}", spec.interface.name);
        placed.label = Some(label).filter(|label| label.len() <= LONGEST_LABEL);
    }
    let mate = there.iter().find(|other| {
        other.ip != spec.ip
            && other.prefix == spec.prefix
            && !other.is_secondary()
            // Another floating address may go, and the route with it.
            && !(other.ip.is_ipv6() && other.is_marked())
            && network(other.ip, other.prefix) == network(spec.ip, spec.prefix)
    });
    match (spec.ip, mate) {
        (IpAddr::V4(_), Some(primary)) => placed.scope = primary.scope,
        (IpAddr::V4(_), None) if !spec.source => {
            placed.prefix = 32;
            placed.scope = SCOPE_HOST;
        }
        (IpAddr::V6(_), Some(_)) => placed.flags |= libc::IFA_F_NOPREFIXROUTE,
        _ => {}
    }
    // The one that is there is refreshed; beside it there would be a second one with another prefix. Unless somebody
    // has set up a primary since, or the other way round.
    if let Some(same) = there.iter().find(|other| other.ip == spec.ip) {
        let is_source = spec.ip.is_ipv4() && !same.is_secondary() && same.scope != SCOPE_HOST;
        if !is_source || spec.source || !same.is_marked() {
            placed.prefix = same.prefix;
            placed.scope = same.scope;
        }
    }
    placed
}

/// The network of an address, as a number.
fn network(ip: IpAddr, prefix: u8) -> (bool, u128) {
    let (bits, width) = match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128u32),
    };
    let host = width.saturating_sub(u32::from(prefix));
    (ip.is_ipv4(), bits.checked_shr(host).unwrap_or(0))
}

fn fixed(ip: IpAddr, prefix: u8, flags: u32, scope: u8, index: u32) -> [u8; FIXED] {
    let [i0, i1, i2, i3] = index.to_ne_bytes();
    // The flags that do not fit here come in IFA_FLAGS.
    [family(ip), prefix, flags as u8, scope, i0, i1, i2, i3]
}

pub(super) fn family(ip: IpAddr) -> u8 {
    (if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

pub(super) fn ip_attribute(builder: &mut Builder, kind: u16, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => builder.attribute(kind, &ip.octets()),
        IpAddr::V6(ip) => builder.attribute(kind, &ip.octets()),
    }
}

pub(super) fn ip_of(family: i32, value: &[u8]) -> Option<IpAddr> {
    match family {
        libc::AF_INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()),
        libc::AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()),
        _ => None,
    }
}
