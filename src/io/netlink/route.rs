//! Blocking an address: it stays, so that what is left to send goes out under it, but nothing gets to it any more.
//!
//! A route of type *prohibit* in the table `local` stands before the one that the kernel keeps for the address. It
//! keeps packets from coming in to the address and local programs from connecting to it. It does not keep packets from
//! leaving *from* it, so resets reach their clients.
//!
//! - IPv4: ours is put in front of the kernel's, which stays. Taking ours away restores what was.
//! - IPv6: the kernel keeps its route at metric 0, where no other can go. Ours waits behind it, then the kernel's is
//!   taken away. To restore it, the address itself is renewed.
//!
//! Neither kind of route hangs on the interface, so it outlives a crash and the interface; it carries [`MARK`].

use super::address::{family, ip_attribute};
use super::error::{NetError, NetResult};
use super::link::Interface;
use super::message::Builder;
use super::socket::CREATE;
use super::{Kernel, MARK};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long the kernel may take for the route of an IPv6 address that it has just got. It is a job of a work queue.
const SETTLING: Duration = Duration::from_millis(500);

/// A route of an address, as the table `local` has it.
struct Route {
    kind: u8,
    protocol: u8,
    /// The interface, where it tells routes apart.
    output: Option<u32>,
}

impl Kernel {
    /// Lets nothing in to the address any more: packets of open connections are dropped as well, so
    /// [`Kernel::destroy`] follows at once.
    ///
    /// # Errors
    /// [`super::NetError::Capability`] without CAP_NET_ADMIN.
    pub(crate) fn block(&mut self, interface: &Interface, ip: IpAddr) -> NetResult<()> {
        let ours = Route { kind: libc::RTN_PROHIBIT, protocol: MARK, output: None };
        let task = format_args!("block {ip}");
        let result = self.route.request(
            task,
            libc::RTM_NEWROUTE,
            // Neither "exclusive" nor "append": IPv4 puts it in front.
            CREATE,
            |builder, kind, flags, sequence| ours.write(builder, kind, flags, sequence, ip),
            |_| {},
        );
        let new = match result {
            Ok(()) => true,
            // It is there, from an earlier attempt.
            Err(error) if error.errno() == Some(libc::EEXIST) => false,
            Err(error) => return Err(error),
        };
        if ip.is_ipv4() {
            return Ok(());
        }
        let kernels =
            Route { kind: libc::RTN_LOCAL, protocol: libc::RTPROT_KERNEL, output: Some(interface.index) };
        // The kernel makes its route a moment after the address: what is not there now would come still.
        let begun = Instant::now();
        while !self.remove_route(&kernels, ip)? {
            if !new || !self.is_present(interface, ip)? {
                break;
            }
            if begun.elapsed() > SETTLING {
                return Err(NetError::NoAnswer { task: task.to_string() });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets everybody in again, if the address is still there. `false`: it was not blocked.
    ///
    /// # Errors
    /// [`super::NetError::Capability`] without CAP_NET_ADMIN.
    pub(crate) fn unblock(&mut self, interface: &Interface, ip: IpAddr) -> NetResult<bool> {
        if !self.remove_block(ip)? {
            return Ok(false);
        }
        if ip.is_ipv6() {
            let there = self.addresses(Some(interface.index))?;
            if let Some(address) = there.iter().find(|address| address.ip == ip) {
                self.renew(interface, address)?;
            }
        }
        Ok(true)
    }

    /// Removes our route alone. `false`: there was none.
    pub(crate) fn remove_block(&mut self, ip: IpAddr) -> NetResult<bool> {
        self.remove_route(&Route { kind: libc::RTN_PROHIBIT, protocol: MARK, output: None }, ip)
    }

    fn remove_route(&mut self, route: &Route, ip: IpAddr) -> NetResult<bool> {
        let result = self.route.request(
            format_args!("remove the route of {ip}"),
            libc::RTM_DELROUTE,
            0,
            |builder, kind, flags, sequence| route.write(builder, kind, flags, sequence, ip),
            |_| {},
        );
        match result {
            Ok(()) => Ok(true),
            // ENETUNREACH and ENODEV: the interface has gone, and its routes with it.
            Err(error)
                if matches!(
                    error.errno(),
                    Some(libc::ESRCH | libc::ENOENT | libc::ENETUNREACH | libc::ENODEV)
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl Route {
    fn write(&self, builder: &mut Builder, kind: u16, flags: u16, sequence: u32, ip: IpAddr) {
        let length = if ip.is_ipv4() { 32 } else { 128 };
        // In a removal this scope stands for any.
        let scope = if kind == libc::RTM_DELROUTE { libc::RT_SCOPE_NOWHERE } else { 0 };
        // struct rtmsg: family, lengths of destination and source, service, table, origin, scope, type, flags.
        let body =
            [family(ip), length, 0, 0, libc::RT_TABLE_LOCAL, self.protocol, scope, self.kind, 0, 0, 0, 0];
        builder.begin(kind, flags, sequence, &body);
        ip_attribute(builder, libc::RTA_DST, ip);
        if let Some(index) = self.output {
            builder.attribute(libc::RTA_OIF, &index.to_ne_bytes());
        }
    }
}
