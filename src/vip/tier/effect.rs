//! What a tier asks of the outside.

use crate::vip::hooks::Call;
use crate::vip::ownership::Notice;
use crate::vip::peer::Registers;
use crate::vip::step::Step;
use crate::vip::{lease, vrrp};
use std::net::SocketAddr;

/// What is asked of the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Do that to the addresses of this VIP, and answer at once with [`Input::Stepped`].
    Step {
        /// The VIP's index.
        vip: usize,
        /// Which one.
        step: Step,
    },
    /// Send an advertisement on the interface of this VIP.
    Advert {
        /// The VIP's index.
        vip: usize,
        /// What.
        send: vrrp::Send,
    },
    /// Ask etcd; the answer is [`Input::Answered`] with the same number.
    Ask {
        /// The VIP's index.
        vip: usize,
        /// What.
        ask: lease::Ask,
    },
    /// Send a datagram of the peer channel.
    Datagram {
        /// To whom.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Run a program; its end is [`Input::HookEnded`].
    Run {
        /// The VIP's index.
        vip: usize,
        /// Its number; `None` for the one that restarts the service.
        job: Option<u64>,
        /// Which one and why.
        call: Call,
    },
    /// End a program.
    Cancel {
        /// The VIP's index.
        vip: usize,
        /// Its number.
        job: u64,
    },
    /// Write the operators' orders down.
    Save(Registers),
    /// Tell people: of this VIP, or of the tier.
    Tell {
        /// The VIP's index.
        vip: Option<usize>,
        /// What.
        notice: Notice,
    },
}
