//! From a configuration to a driver that is ready to run.

use super::ears::Ears;
use super::place::{Place, nobody};
use super::refresher::Refresher;
use super::{Message, Outlet, PEER, TierDriver, WATCH};
use crate::config::{ChecksumV4, Config, OwnershipConfig, VipConfig, VrrpConfig};
use crate::engine::Time;
use crate::error::{Error, ErrorCode, Result};
use crate::io::descriptor::Registry;
use crate::io::etcd::{self, EtcdClient};
use crate::io::file::read_secret;
use crate::io::netlink::{Kernel, Watch};
use crate::io::peer::{PeerSocket, bind, keys, settings};
use crate::io::poller::{Epoll, Poller};
use crate::io::wake::Wake;
use crate::io::{clock, entropy};
use crate::vip::group::Group;
use crate::vip::lease::Lease;
use crate::vip::machine::Vip;
use crate::vip::ownership::Ownership;
use crate::vip::peer::{Channel, Keys, Registers, Settings};
use crate::vip::tier::Tier;
use crate::vip::vrrp::{self, Family, Password, Setup, VirtualRouter};
use crate::vip::who::Who;
use crate::wire::Secret;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// A driver, and the way to it.
pub(crate) struct Opened {
    /// The driver, for the thread that runs it.
    pub(crate) driver: TierDriver,
    /// Messages for it.
    pub(crate) outbox: crossbeam_channel::Sender<Message>,
    /// To be raised after a message.
    pub(crate) wake: Arc<Wake>,
}

fn system(what: &str, error: impl core::fmt::Display) -> Error {
    Error::new(ErrorCode::Io, format!("{what}: {error}"))
}

fn wrong(problem: impl Into<String>) -> Error {
    Error::new(ErrorCode::Config, problem)
}

/// The name that the system gives this host, up to its first dot.
fn host_name() -> Result<String> {
    let text =
        std::fs::read_to_string("/proc/sys/kernel/hostname").map_err(|e| system("the host's name", e))?;
    Ok(text.trim().split('.').next().unwrap_or_default().to_string())
}

/// This host's name in the tier.
pub(crate) fn host_of(config: &Config) -> Result<String> {
    if config.tier.host.is_empty() { host_name() } else { Ok(config.tier.host.clone()) }
}

/// Opens sockets, reads keys, and makes the machines; `orders` are those of operators, kept from an earlier life.
///
/// # Errors
/// [`ErrorCode::Config`], [`ErrorCode::Secret`], [`ErrorCode::Io`]. An interface that is not there is no error: its VIP waits for it.
pub(crate) fn open(
    config: &Config,
    registry: &Arc<Registry>,
    orders: Registers,
    outlet: Box<dyn Outlet>,
) -> Result<Opened> {
    let host = host_of(config)?;
    let now = clock::boot();
    let wake = Arc::new(Wake::new(registry).map_err(|e| system("the tier's wake-up", e))?);
    let mut epoll =
        Epoll::for_thread(registry, Arc::clone(&wake)).map_err(|e| system("the tier's epoll", e))?;
    let mut kernel = Kernel::open(registry).map_err(|e| system("the tier's netlink", e))?;
    let watch = Watch::open(registry, &mut kernel).map_err(|e| system("the tier's watch", e))?;
    epoll.add(watch.number(), WATCH, false).map_err(|e| system("the tier's watch", e))?;
    let (peer, channel) = channel(config, &host, registry, &mut epoll, now, orders)?;
    let others = config.tier.hosts.iter().filter(|known| known.name != host).count();
    let (mut vips, mut places, mut stores) = (Vec::new(), Vec::new(), Vec::new());
    for vip in &config.vips {
        let place = Place::new(vip);
        let (who, store) = match &vip.ownership {
            OwnershipConfig::Vrrp(vrrp) => (Who::Vrrp(group(vip, vrrp, &place)?), None),
            OwnershipConfig::Lease(lease) => {
                let settings = etcd::settings(vip, lease, &host)?;
                (Who::Lease(Box::new(Lease::new(settings))), Some(EtcdClient::start(lease, &wake)?))
            }
        };
        let down = who.down_interval();
        vips.push((Vip::new(vip.clone(), &host, others, down), who));
        places.push(place);
        stores.push(store);
    }
    let second = Kernel::open(registry).map_err(|e| system("the tier's netlink", e))?;
    let refresher =
        Refresher::start(second, Arc::clone(&wake)).map_err(|e| system("the tier's second thread", e))?;
    let tier = Tier::new(&host, env!("CARGO_PKG_VERSION"), vips, channel);
    let (outbox, inbox) = crossbeam_channel::unbounded();
    let driver = TierDriver {
        registry: Arc::clone(registry),
        tier,
        configs: config.vips.clone(),
        ears: Ears::new(&config.vips),
        places,
        kernel,
        watch,
        peer,
        stores,
        refresher,
        refreshing: BTreeSet::new(),
        programs: BTreeMap::new(),
        last_program: 0,
        epoll,
        inbox,
        outlet,
        owners: vec![None; config.vips.len()],
        stopping: None,
        shown: None,
        failing: BTreeMap::new(),
        #[cfg(feature = "testing")]
        planted: false,
    };
    Ok(Opened { driver, outbox, wake })
}

/// The peer channel; without other hosts one that speaks to nobody.
fn channel(
    config: &Config,
    host: &str,
    registry: &Arc<Registry>,
    epoll: &mut Epoll,
    now: Time,
    orders: Registers,
) -> Result<(Option<PeerSocket>, Channel)> {
    let seed = entropy::bytes::<32>().map_err(|e| system("random bytes", e))?;
    let begin = |settings: Settings, keys: Keys| {
        Channel::new(now, settings, keys, orders, seed).map_err(|what| wrong(format!("tier: {what}")))
    };
    if config.tier.hosts.is_empty() {
        let alone = Settings { name: host.into(), peers: Vec::new(), interval: config.tier.interval };
        let key = entropy::bytes::<32>().map_err(|e| system("random bytes", e))?;
        let keys = Keys::new(Secret::new(key), None).map_err(wrong)?;
        return Ok((None, begin(alone, keys)?));
    }
    let (address, settings) = settings(&config.tier, host)?;
    let channel = begin(settings, keys(&config.tier)?)?;
    let socket = bind(registry, host, address)?;
    epoll.add(socket.number(), PEER, false).map_err(|e| system("the peer channel", e))?;
    Ok((Some(socket), channel))
}

/// The virtual routers of a VIP. Their sources are not known before its interface was looked at.
fn group(vip: &VipConfig, vrrp: &VrrpConfig, place: &Place) -> Result<Group> {
    let password = match &vrrp.auth_password_file {
        None => None,
        Some(path) => {
            let secret = read_secret(path)?;
            let text = core::str::from_utf8(secret.expose()).ok().and_then(Password::new);
            let problem = || {
                let path = path.display();
                Error::new(
                    ErrorCode::Secret,
                    format!(
                        "{path}: a VRRP password has 1 to 8 bytes (auth_password_file of vip {})",
                        vip.name
                    ),
                )
            };
            Some(text.ok_or_else(problem)?)
        }
    };
    let mut routers = Vec::new();
    for family in place.families() {
        let source = nobody(family);
        let of_family = |ip: &IpAddr| Family::of(*ip) == Family::of(source);
        let setup = Setup {
            version: if vrrp.version == 2 { vrrp::Version::V2 } else { vrrp::Version::V3 },
            vrid: vrrp.vrid,
            interval: vrrp.advert_interval,
            addresses: vip.addresses.iter().map(|address| address.ip).filter(of_family).collect(),
            source,
            peers: vrrp.unicast.iter().copied().filter(of_family).collect(),
            checksum_v4: match vrrp.checksum_v4 {
                ChecksumV4::Compat => vrrp::ChecksumV4::Compat,
                ChecksumV4::Rfc9568 => vrrp::ChecksumV4::Rfc9568,
            },
            password,
            stickiness: vip.stickiness,
            preempt_delay: vip.preempt_delay,
            address_owner: vrrp.address_owner,
        };
        let router = VirtualRouter::new(setup).map_err(|e| wrong(format!("vip {}: {e}", vip.name)))?;
        routers.push((source, router));
    }
    Ok(Group::new(routers))
}
