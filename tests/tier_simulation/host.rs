//! A host: its agent with a whole [`Tier`], a model of its kernel, its clock.

use crate::plan::{Fault, MS, Plan, SECOND};
use crate::random::Random;
use primacy::config::{
    ChecksumV4, HookConfig, LeaseConfig, NoQuorum, OwnershipConfig, VipAddress, VipConfig, VrrpConfig,
};
use primacy::engine::Now;
use primacy::engine::time::{Duration, Time};
use primacy::policy::safe::table::Rule;
use primacy::vip::group::Group;
use primacy::vip::hooks::{HookEnd, HookKind};
use primacy::vip::lease::{self, Lease};
use primacy::vip::machine::Vip;
use primacy::vip::ownership::Ownership;
use primacy::vip::peer::{Channel, Keys, PeerAddress, Registers, Settings};
use primacy::vip::tier::Tier;
use primacy::vip::vrrp::table::{Action, DECISIONS, View};
use primacy::vip::vrrp::{Family, Password, Setup, Version, VirtualRouter};
use primacy::vip::who::Who;
use primacy::wire::Secret;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Mutex;

/// Something that reaches an agent.
#[derive(Clone, Debug)]
pub enum In {
    Packet { vip: usize, family: Family, source: IpAddr, destination: IpAddr, bytes: Rc<[u8]> },
    Datagram { from: SocketAddr, bytes: Rc<[u8]> },
    Answered { vip: usize, job: u64, answer: lease::Answer },
    HookEnded { vip: usize, job: Option<u64>, end: HookEnd },
    Rival { vip: usize },
    Vanished { vip: usize },
    Link(bool),
    Local(bool),
    Backend(bool),
    EngineFailed,
    Stop,
}

/// One VIP in a kernel.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// When the kernel takes it off, in the world's time.
    pub until: Option<u64>,
    pub blocked: bool,
    pub destroyed: bool,
    /// What the agent asked for last, to tell apart from older ends.
    pub generation: u64,
}

/// A program that runs.
#[derive(Clone, Debug)]
pub struct Running {
    pub vip: usize,
    pub job: u64,
    pub kind: HookKind,
}

pub struct Host {
    pub name: String,
    pub tier: Option<Tier>,
    /// Numbers the lives of agents.
    pub life: u64,
    pub boot: u64,
    pub ppm: i64,
    pub offset: u64,
    /// Until when the agent does nothing.
    pub stalled: u64,
    /// When it was stopped last, and when it went on.
    pub pause: (u64, u64),
    pub inbox: Vec<In>,
    pub kernel: Vec<Kernel>,
    pub link: bool,
    pub good: bool,
    pub backend: bool,
    pub orders: Registers,
    pub running: Vec<Running>,
    pub timer: u64,
    pub spins: u32,
    pub steps_fail: Option<(&'static str, u32)>,
    pub kill_at: Option<u32>,
    /// The last claim by this host, over all its lives; the highest number that this life knew.
    pub epochs: Vec<u64>,
    pub highest: Vec<u64>,
    /// The score and place that were counted last.
    pub counted: Vec<(u16, u16, u16)>,
    /// It ended by order.
    pub ended: bool,
}

impl Host {
    pub fn new(plan: &Plan, index: usize, r: &mut Random) -> Host {
        Host {
            name: format!("rt{}", index + 1),
            tier: None,
            life: 0,
            boot: 0,
            ppm: plan.ppm[index],
            offset: r.below(100) * SECOND,
            stalled: 0,
            pause: (0, 0),
            inbox: Vec::new(),
            kernel: vec![Kernel::default(); plan.vips],
            link: true,
            good: true,
            backend: true,
            orders: Registers::default(),
            running: Vec::new(),
            timer: 0,
            spins: 0,
            steps_fail: None,
            kill_at: None,
            epochs: vec![0; plan.vips],
            highest: vec![0; plan.vips],
            counted: vec![(0, 0, 0); plan.vips],
            ended: false,
        }
    }

    pub fn clock(&self, now: u64) -> Now {
        let shift = (i128::from(now) * i128::from(self.ppm) / 1_000_000) as i64;
        let mono = Time((now + self.offset).saturating_add_signed(shift));
        Now { mono, wall_ms: 1_000_000 + now / MS }
    }

    /// The world's time at which this host's clock will have come to `at`.
    pub fn world(&self, at: Time) -> u64 {
        if at == Time::NEVER {
            return u64::MAX;
        }
        let local = i128::from(at.0) - i128::from(self.offset);
        let world = local * 1_000_000 / (1_000_000 + i128::from(self.ppm));
        u64::try_from(world.max(0)).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// The world's span of so much of this host's time.
    pub fn span(&self, nanos: u64) -> u64 {
        (i128::from(nanos) * 1_000_000 / (1_000_000 + i128::from(self.ppm))) as u64
    }

    pub fn runs(&self, now: u64) -> bool {
        self.tier.is_some() && self.stalled <= now
    }

    /// Whether the agent says that it owns this VIP.
    pub fn owns(&self, vip: usize) -> bool {
        self.tier.as_ref().is_some_and(|tier| tier.vips().nth(vip).is_some_and(|(_, who)| who.owns()))
    }

    /// Its score, 0 for a dead one.
    pub fn score(&self, vip: usize) -> u8 {
        let of = |tier: &Tier| tier.vips().nth(vip).map(|(vip, _)| vip.score().0.0);
        self.tier.as_ref().and_then(of).unwrap_or(0)
    }

    pub fn address(index: usize) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::new(10, 0, 0, index as u8 + 1).into(), 7777)
    }

    pub fn index_of(address: SocketAddr) -> usize {
        match address.ip() {
            IpAddr::V4(ip) => usize::from(ip.octets()[3]) - 1,
            IpAddr::V6(_) => unreachable!("hosts speak IPv4 on the channel"),
        }
    }
}

pub fn vip_name(vip: usize) -> String {
    format!("vip{vip}")
}

/// A table without one row; made once for each number.
fn table_without(number: u16) -> &'static [Rule<View, Action>] {
    static MADE: Mutex<BTreeMap<u16, &'static [Rule<View, Action>]>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap();
    made.entry(number).or_insert_with(|| {
        let rows: Vec<Rule<View, Action>> =
            DECISIONS.iter().filter(|r| r.number != number).cloned().collect();
        assert!(rows.len() < DECISIONS.len(), "no row {number}");
        rows.leak()
    })
}

fn config(plan: &Plan, index: usize, vip: usize) -> VipConfig {
    let mut addresses = Vec::new();
    if plan.v4 {
        addresses.push(VipAddress { ip: Ipv4Addr::new(10, 0, 0, 101 + vip as u8).into(), prefix: 16 });
    }
    if plan.v6 {
        addresses.push(VipAddress {
            ip: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x101 + vip as u16).into(),
            prefix: 64,
        });
        addresses.push(VipAddress {
            ip: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x101 + vip as u16).into(),
            prefix: 64,
        });
    }
    let program = |wanted: bool, name: &str| if wanted { vec![name.to_string()] } else { Vec::new() };
    let ownership = match plan.lease {
        true => OwnershipConfig::Lease(LeaseConfig {
            endpoints: vec!["http://10.0.0.200:2379".into()],
            key_prefix: "/primacy/vip/".into(),
            ttl: Duration::from_secs(plan.ttl),
            margin: Duration::from_millis(100),
            no_quorum: if plan.ignore { NoQuorum::Ignore } else { NoQuorum::Release },
            ca: None,
            certificate: None,
            user: String::new(),
            password_file: None,
        }),
        false => OwnershipConfig::Vrrp(VrrpConfig {
            vrid: 51 + vip as u8,
            version: 3,
            advert_interval: Duration::from_millis(plan.interval),
            checksum_v4: ChecksumV4::Compat,
            auth_password_file: None,
            unicast: Vec::new(),
            address_owner: plan.address_owner && index == 0,
        }),
    };
    VipConfig {
        name: vip_name(vip),
        addresses,
        interface: "eth0".into(),
        prefix_route: false,
        source: false,
        pool: Some("routers".into()),
        ownership,
        self_fence: None,
        last_host: plan.last_host,
        migration_threshold: plan.threshold,
        failure_timeout: Duration::from_millis(plan.failure_timeout),
        location: plan.scores[index],
        locations: BTreeMap::new(),
        stickiness: plan.stickiness,
        preempt_delay: Duration::from_millis(plan.preempt_delay),
        restart: program(plan.restart, "restart"),
        restart_interval: Duration::from_millis(plan.restart_interval),
        hooks: HookConfig {
            on_claim: program(plan.hooks, "on_claim"),
            on_release: program(plan.hooks, "on_release"),
            on_fault: program(plan.hooks, "on_fault"),
            order: plan.order,
            timeout: Duration::from_nanos(plan.hook_timeout()),
            failure: plan.failure,
        },
        announce_interval: Duration::from_secs(60),
    }
}

fn routers(plan: &Plan, index: usize, config: &VipConfig) -> Group {
    let mut members = Vec::new();
    let mut odd = if index == 0 { plan.odd } else { 0 };
    for (wanted, family) in [(plan.v4, Family::V4), (plan.v6, Family::V6)] {
        if !wanted {
            continue;
        }
        let source: IpAddr = match family {
            Family::V4 => Ipv4Addr::new(10, 0, 0, index as u8 + 1).into(),
            Family::V6 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, index as u16 + 1).into(),
        };
        let mut addresses: Vec<IpAddr> =
            config.addresses.iter().map(|a| a.ip).filter(|ip| Family::of(*ip) == family).collect();
        if odd == 2 {
            addresses.push(match family {
                Family::V4 => Ipv4Addr::new(10, 0, 0, 199).into(),
                Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x199).into(),
            });
        }
        let OwnershipConfig::Vrrp(vrrp) = &config.ownership else { unreachable!("asked for vrrp alone") };
        let setup = Setup {
            version: if odd == 3 { Version::V2 } else { Version::V3 },
            vrid: vrrp.vrid,
            interval: vrrp.advert_interval,
            addresses,
            source,
            peers: Vec::new(),
            checksum_v4: if odd == 1 { ChecksumV4::Rfc9568 } else { ChecksumV4::Compat },
            password: (odd == 3).then(|| Password::new("secret").unwrap()),
            stickiness: config.stickiness,
            preempt_delay: config.preempt_delay,
            address_owner: vrrp.address_owner,
        };
        let router = match plan.fault {
            Fault::Without(number) => VirtualRouter::with_table(setup, table_without(number)),
            _ => VirtualRouter::new(setup),
        };
        members.push((source, router.unwrap()));
        if family == Family::V4 && odd == 1 {
            odd = 0;
        }
    }
    Group::new(members)
}

/// A new life of an agent.
pub fn tier(plan: &Plan, host: &Host, index: usize, now: u64) -> Tier {
    let clock = host.clock(now);
    let mut vips = Vec::new();
    for vip in 0..plan.vips {
        let config = config(plan, index, vip);
        let who = if plan.lease {
            Who::Lease(Box::new(Lease::new(lease::Settings {
                key: format!("/primacy/vip/{}", config.name),
                host: host.name.clone(),
                place: format!("{} {}", host.name, host.boot),
                life: host.life.to_string(),
                ttl: Duration::from_secs(plan.ttl),
                margin: Duration::from_millis(100),
                no_quorum: if plan.ignore { NoQuorum::Ignore } else { NoQuorum::Release },
            })))
        } else {
            Who::Vrrp(routers(plan, index, &config))
        };
        let down = who.down_interval();
        vips.push((Vip::new(config, &host.name, plan.hosts - 1, down), who));
    }
    let peers = (0..plan.hosts)
        .filter(|other| *other != index)
        .map(|other| PeerAddress { name: format!("rt{}", other + 1), address: Host::address(other) })
        .collect();
    let settings =
        Settings { name: host.name.clone(), peers, interval: Duration::from_millis(plan.peers * 500) };
    let keys =
        Keys::new(Secret::new(vec![if plan.odd == 4 && index == 0 { 8 } else { 7 }; 32]), None).unwrap();
    let mut seed = [0u8; 32];
    seed[..8].copy_from_slice(&plan.seed.to_be_bytes());
    seed[8..16].copy_from_slice(&host.life.to_be_bytes());
    seed[16] = index as u8;
    let channel = Channel::new(clock.mono, settings, keys, host.orders.clone(), seed).unwrap();
    Tier::new(&host.name, "1", vips, channel)
}
