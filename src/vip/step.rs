//! What is done to an address in the kernel, in which order, and the rows that tell of it.

use core::fmt;

/// One step for all addresses of a VIP. The driver carries it out at once and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Asks the network whether somebody has the addresses: ARP probe, neighbour solicitation. Answers come later.
    Ask,
    /// Adds the addresses, for so many seconds.
    Add {
        /// The kernel takes them off after that.
        lifetime: u32,
    },
    /// Sets the lifetime anew.
    Refresh {
        /// In seconds.
        lifetime: u32,
    },
    /// Tells the network: gratuitous ARP, unsolicited neighbour advertisement.
    Announce,
    /// Lets no new connection to the addresses be made.
    Block,
    /// Ends the connections to the addresses, so that their clients get a reset at once.
    Destroy,
    /// Takes the addresses off, and what `Block` left.
    Remove,
}

/// The order in which an address leaves. Removed first, clients would hang; destroyed first, new ones could come in between.
pub const RELEASE: [Step; 3] = [Step::Block, Step::Destroy, Step::Remove];

impl Step {
    /// The word in events.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Ask => "ask",
            Step::Add { .. } => "add",
            Step::Refresh { .. } => "refresh",
            Step::Announce => "announce",
            Step::Block => "block",
            Step::Destroy => "destroy",
            Step::Remove => "remove",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! address_rows {
    ($( $(#[$meta:meta])* $name:ident = $number:literal, $sentence:literal; )+) => {
        $( $(#[$meta])* pub const $name: u16 = $number; )+
        /// What happens to an address beside who owns it: number and sentence.
        pub const ADDRESS: &[(u16, &str)] = &[$( ($number, $sentence) ),+];
    };
}

address_rows! {
    /// Claimed.
    CLAIMED = 770, "this host owns the address: it is added and announced";
    /// Released.
    RELEASED = 771, "the address has left this host";
    /// Somebody answered at start-up.
    ANSWERED = 772, "somebody has the address while this host starts: it is asked for again before it is added here";
    /// Claimed against an answer.
    CLAIMED_ANYWAY = 773, "somebody still has the address after the time in which a dead agent's would have gone: it is added here all the same";
    /// The kernel refused.
    ADD_FAILED = 774, "the address could not be added: this host gives it up";
    /// Gone by hand.
    VANISHED = 775, "the address was taken off this host by somebody else: it is added again";
    /// A rival.
    RIVAL = 776, "another host answers for the address: it is announced from here again";
    /// A rival is silent.
    RIVAL_SILENT = 777, "the rival is silent: the address is announced again";
    /// A step of the release failed.
    RELEASE_FAILED = 778, "a step of the release failed";
    /// The address stays behind.
    REMOVE_FAILED = 779, "the address could not be taken off: the others are told nothing before its lifetime ends";
    /// A refresh failed.
    REFRESH_FAILED = 780, "the lifetime of the address could not be set anew: the kernel will take it off at its end";
    /// `on_claim` failed.
    HOOK_FAILED = 781, "a program that was told failed";
    /// `on_claim` failed, and that counts.
    CLAIM_HOOK_FAILED = 782, "on_claim failed: this host gives the address up";
    /// A release hook that came too late.
    HOOK_SKIPPED = 783, "a newer claim is known: on_release is not run, or ended";
    /// The service failed.
    SERVICE_FAILED = 784, "the service on this host failed";
    /// The service is back.
    SERVICE_BACK = 785, "the service on this host is in order again";
    /// The service is brought back.
    RESTART = 786, "the program that brings the service back is run";
    /// The program that brings the service back failed.
    RESTART_FAILED = 787, "the program that brings the service back failed";
    /// The backend changed.
    BACKEND = 788, "what the service leads to changed: that never moves the address";
    /// The link changed.
    LINK = 789, "the interface changed";
    /// A wish changed.
    SCORED = 790, "this host's score changed";
    /// An operator's order.
    ORDERED = 791, "an operator's order";
    /// A peer is heard or not.
    PEER = 792, "a host of the tier is heard, or is not heard any more";
    /// A peer's configuration.
    PEER_TROUBLE = 793, "what comes from a host of the tier is not taken";
    /// Crash marks.
    CLEANED = 794, "what an earlier life of this agent left was cleaned up";
    /// An heir was told.
    HANDED_OVER = 795, "the address is off this host, and the heir is told";
    /// An heir that cannot be told.
    HEIR_UNKNOWN = 796, "the heir is not heard any more: the others come by themselves";
    /// Two hosts.
    TWO_OWNERS = 797, "two hosts say that they own the address";
    /// The tier's own machine failed.
    TIER_FAILED = 798, "the part that owns addresses has failed: it takes off what it holds and ends";
    /// Another host claimed later.
    OUTRUN = 799, "another host claimed the address after this one did, while they could not hear each other: it is announced again";
}

/// The sentence of a row.
pub fn sentence(rule: u16) -> &'static str {
    ADDRESS.iter().find(|row| row.0 == rule).map_or("", |row| row.1)
}
