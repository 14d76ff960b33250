//! Network interfaces: what they are called, whether they can carry anything.

use super::Kernel;
use super::error::{NetError, NetResult};
use super::message::{Attributes, Message, array_at, i32_at, text, u16_at, u32_at};

/// Length of `struct ifinfomsg`.
const FIXED: usize = 16;
/// IFLA_EXT_MASK: no counters, which would be most of the answer.
const SKIP_STATISTICS: u32 = 1 << 3;

/// A network interface as it was when asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// `None` for what is no Ethernet: loopback, tunnels. There nobody asks for neighbours.
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) mtu: u32,
    /// Switched on by its administrator.
    pub(crate) up: bool,
    /// Can carry packets: up, and the line is there.
    pub(crate) running: bool,
}

impl Interface {
    /// Reads RTM_NEWLINK or RTM_DELLINK. `None` if it is cut off, or comes from a bridge that speaks of its ports by
    /// the same types.
    pub(super) fn of(message: &Message<'_>) -> Option<Interface> {
        let body = message.body;
        let (family, kind) = (u16_at(body, 0)?.to_ne_bytes()[0], u16_at(body, 2)?);
        if i32::from(family) != libc::AF_UNSPEC {
            return None;
        }
        let index = u32::try_from(i32_at(body, 4)?).ok()?;
        let flags = u32_at(body, 8)?;
        // The structure's last word must be there too.
        u32_at(body, 12)?;
        let mut interface = Interface {
            index,
            name: String::new(),
            mac: None,
            mtu: 0,
            up: flags & libc::IFF_UP as u32 != 0,
            running: flags & libc::IFF_RUNNING as u32 != 0,
        };
        for (attribute, value) in Attributes::after(body, FIXED) {
            match attribute {
                libc::IFLA_IFNAME => interface.name = text(value),
                libc::IFLA_MTU => interface.mtu = u32_at(value, 0).unwrap_or(0),
                libc::IFLA_ADDRESS if kind == libc::ARPHRD_ETHER && value.len() == 6 => {
                    interface.mac = array_at(value, 0);
                }
                _ => {}
            }
        }
        Some(interface)
    }
}

impl Kernel {
    /// Looks an interface up by its name.
    ///
    /// # Errors
    /// [`NetError::NoInterface`] if there is none.
    pub(crate) fn interface(&mut self, name: &str) -> NetResult<Interface> {
        let task = format_args!("look up the interface {name}");
        let missing = || NetError::NoInterface { name: name.to_owned() };
        // The kernel would refuse a longer name by another error number.
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains('\0') {
            return Err(missing());
        }
        let mut found = None;
        let result = self.route.request(
            task,
            libc::RTM_GETLINK,
            0,
            |builder, kind, flags, sequence| {
                builder.begin(kind, flags, sequence, &[0; FIXED]);
                builder.text(libc::IFLA_IFNAME, name);
                builder.attribute(libc::IFLA_EXT_MASK, &SKIP_STATISTICS.to_ne_bytes());
            },
            |message| found = found.take().or_else(|| new_link(message)),
        );
        match result {
            Ok(()) => found.ok_or_else(|| NetError::Malformed { task: task.to_string() }),
            Err(error) if error.errno() == Some(libc::ENODEV) => Err(missing()),
            Err(error) => Err(error),
        }
    }

    /// All interfaces.
    pub(crate) fn interfaces(&mut self) -> NetResult<Vec<Interface>> {
        self.route.list(
            format_args!("list the interfaces"),
            libc::RTM_GETLINK,
            &[0; FIXED],
            Some((libc::IFLA_EXT_MASK, &SKIP_STATISTICS.to_ne_bytes())),
            new_link,
        )
    }
}

fn new_link(message: &Message<'_>) -> Option<Interface> {
    (message.kind == libc::RTM_NEWLINK).then(|| Interface::of(message)).flatten()
}
