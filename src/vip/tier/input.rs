//! What can happen to a tier.

use crate::vip::hooks::HookEnd;
use crate::vip::step::Step;
use crate::vip::{lease, vrrp};
use std::net::{IpAddr, SocketAddr};

/// What happens.
#[derive(Debug)]
pub enum Input<'a> {
    /// The tier begins: addresses are asked for, adverts are listened to.
    Start,
    /// The time that [`Tier::poll_timeout`] named has come, and all that was received before is handed in.
    Timer,
    /// A VRRP packet, on the interface of this VIP.
    Packet {
        /// The VIP's index.
        vip: usize,
        /// The packet.
        packet: vrrp::Packet<'a>,
    },
    /// An advertisement could not be sent.
    SendFailed {
        /// The VIP's index.
        vip: usize,
        /// The source of the packet.
        source: IpAddr,
    },
    /// A datagram of the peer channel.
    Datagram {
        /// Who sent it.
        from: SocketAddr,
        /// What it holds.
        bytes: &'a [u8],
    },
    /// An answer of etcd.
    Answered {
        /// The VIP's index.
        vip: usize,
        /// The number of the question.
        job: u64,
        /// The answer.
        answer: lease::Answer,
    },
    /// A step was carried out.
    Stepped {
        /// The VIP's index.
        vip: usize,
        /// Which one.
        step: Step,
        /// How: what was counted, or why not.
        outcome: Result<u32, String>,
    },
    /// A program ended.
    HookEnded {
        /// The VIP's index.
        vip: usize,
        /// Its number; `None` for the one that restarts the service.
        job: Option<u64>,
        /// How.
        end: HookEnd,
    },
    /// Somebody else has an address of this VIP.
    Rival {
        /// The VIP's index.
        vip: usize,
        /// Who, in words.
        who: String,
    },
    /// An address of this VIP is not on its interface any more.
    Vanished {
        /// The VIP's index.
        vip: usize,
        /// Which one.
        what: String,
    },
    /// The interface of this VIP changed.
    Link {
        /// The VIP's index.
        vip: usize,
        /// Whether it is there, up, and has a carrier.
        usable: bool,
        /// In words.
        words: String,
    },
    /// What the service on this host is.
    Local {
        /// The VIP's index.
        vip: usize,
        /// In order or not; `None` for not known yet.
        good: Option<bool>,
        /// In words.
        words: String,
    },
    /// What it leads to.
    Backend {
        /// The VIP's index.
        vip: usize,
        /// In order or not; `None` for not known.
        good: Option<bool>,
        /// In words.
        words: String,
    },
    /// The engine that judges services has failed.
    EngineFailed,
    /// The agent ends.
    Stop,
}
