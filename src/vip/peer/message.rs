//! The layout of a datagram, and what it can say.
//!
//! ```text
//!  0   4  "PVIP"
//!  4   1  version, 1
//!  5   1  kind: 1 hello, 2 state, 3 hand-over, 4 orders
//!  6   1  number of seals, 1 or 2
//!  7   1  0
//!  8  16  life of the sender: random, new with each start
//! 24   8  counter of the sender towards this receiver, from 1
//! 32  16  challenge of the sender to this receiver
//! 48  16  challenge of the receiver that the sender heard last, zeros before it heard any
//! 64   1  length of the sender's name, 1 to 64, then the name
//!      1  length of the receiver's name, then the name
//!      2  length of the body, then the body: JSON, nothing in a hello
//!  …  32  a seal over all bytes before the first seal; once for each key that the sender holds
//! ```
//!
//! Numbers are big-endian. Fields of the JSON that a version does not know are ignored by it, and so are kinds.

use super::reject::Reject;
use super::session::{Challenge, Life};
use crate::pool::state::words;
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// The most bytes of a datagram: with the headers of IPv6 and UDP it fits into one frame of every usual network.
pub const LARGEST: usize = 1400;
/// The version that is spoken.
pub const VERSION: u8 = 1;
/// Longest name of a host or address.
pub const LONGEST_NAME: usize = 64;
/// The most addresses of a tier.
pub const MOST_VIPS: usize = 256;
/// Longest sentence about a health, in bytes of UTF-8 as JSON has it; longer ones are cut.
pub const LONGEST_WORDS: usize = 160;

const MAGIC: &[u8; 4] = b"PVIP";
/// Bytes up to the sender's name.
const FIXED: usize = 64;
/// Bytes of a seal.
pub(super) const SEAL: usize = 32;
/// The most bytes of a body, whatever the names and the number of seals.
pub(super) const LARGEST_BODY: usize = LARGEST - FIXED - 2 * (1 + LONGEST_NAME) - 2 - 2 * SEAL;

/// Asks who is there, or answers that: only header and names.
pub(super) const HELLO: u8 = 1;
/// A page of the sender's state.
pub(super) const STATE: u8 = 2;
/// Names the receiver as heir.
pub(super) const HAND_OVER: u8 = 3;
/// Orders of operators.
pub(super) const ORDERS: u8 = 4;

/// Whether hosts and addresses may be called so: 1 to 64 letters, digits, `.`, `-`, `_`, as the configuration has it.
pub fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=LONGEST_NAME).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

words! {
    /// A verdict about a router or what is behind it.
    Verdict {
        /// Not looked at yet; also what another version says that this one has no word for.
        Unknown = 0 => "unknown",
        /// In order.
        Ok = 1 => "ok",
        /// In order, with something to look at.
        Warning = 2 => "warning",
        /// Not in order.
        Fail = 3 => "fail",
    }
}

words! {
    /// What a host is for an address.
    Role {
        /// Not told yet; also what another version says that this one has no word for.
        Unknown = 0 => "unknown",
        /// Does not stand for it.
        Out = 1 => "out",
        /// Stands by.
        Backup = 2 => "backup",
        /// On the way in: hooks, announcement.
        Claiming = 3 => "claiming",
        /// Owns it.
        Owner = 4 => "owner",
        /// On the way out: sessions, hooks.
        Releasing = 5 => "releasing",
        /// Cannot own it: an interface is gone, a right is missing.
        Fault = 6 => "fault",
    }
}

macro_rules! as_word {
    ($($name:ident),+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                let word = String::deserialize(from)?;
                Ok($name::from_name(&word).unwrap_or($name::Unknown))
            }
        }
    )+};
}
as_word!(Verdict, Role);

/// A verdict with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, one sentence; at most [`LONGEST_WORDS`] bytes travel.
    #[serde(default)]
    pub words: String,
}

impl Default for Health {
    fn default() -> Health {
        Health { verdict: Verdict::Unknown, words: String::new() }
    }
}

/// What a host says of one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipState {
    /// Its own router: process, port, handshake.
    pub local: Health,
    /// What the router's ports lead to.
    pub backend: Health,
    /// What the host is for the address.
    pub role: Role,
    /// Whether it may own the address now.
    #[serde(default)]
    pub eligible: bool,
    /// Its score, 0 to 255.
    #[serde(default)]
    pub score: u8,
    /// Whom it believes to be the owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// The number of the ownership that it knows last.
    #[serde(default)]
    pub epoch: u64,
}

impl Default for VipState {
    fn default() -> VipState {
        VipState {
            local: Health::default(),
            backend: Health::default(),
            role: Role::Unknown,
            eligible: false,
            score: 0,
            owner: None,
            epoch: 0,
        }
    }
}

/// What this host says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnState {
    /// The version of the agent.
    pub agent: String,
    /// Whether the host stands by, as it understands its orders.
    pub standby: bool,
    /// Its addresses by name.
    pub vips: BTreeMap<String, VipState>,
}

/// A sentence as it may travel and be shown: no characters that a terminal obeys, and not too long.
pub(super) fn clean(words: &str) -> String {
    let (mut out, mut length) = (String::new(), 0);
    for c in words.chars() {
        let c = if hides(c) { ' ' } else { c };
        length += c.len_utf8() + usize::from(matches!(c, '"' | '\\'));
        if length > LONGEST_WORDS {
            break;
        }
        out.push(c);
    }
    out
}

/// Controls, line and paragraph separators, marks of direction.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl VipState {
    /// The state as it may travel and be shown; `None` if it names an owner that cannot be one.
    pub(super) fn cleaned(&self) -> Option<VipState> {
        let health = |health: &Health| Health { verdict: health.verdict, words: clean(&health.words) };
        self.owner.as_deref().is_none_or(is_name).then(|| VipState {
            local: health(&self.local),
            backend: health(&self.backend),
            role: self.role,
            eligible: self.eligible,
            score: self.score,
            owner: self.owner.clone(),
            epoch: self.epoch,
        })
    }
}

/// The body of a state: the addresses after one name up to another, so that each page stands for itself, and a name that is missing
/// between its ends is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StateBody {
    /// Rises with each change of the state.
    pub revision: u64,
    /// How often the sender sends, in milliseconds.
    pub interval_ms: u64,
    /// Over all orders that the sender knows.
    pub digest: u64,
    pub agent: String,
    pub standby: bool,
    /// How many addresses all pages hold together.
    pub count: usize,
    /// The page begins after this name, the first one with nothing.
    #[serde(default)]
    pub after: Option<String>,
    /// The page ends with this name, the last one with nothing.
    #[serde(default)]
    pub until: Option<String>,
    pub vips: BTreeMap<String, VipState>,
}

/// The body of a hand-over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HandOverBody {
    pub vip: String,
    pub heir: String,
    pub epoch: u64,
}

/// The body of orders: lines as in [`super::registers`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OrdersBody {
    pub orders: Vec<String>,
}

/// What stands at the head of a datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub kind: u8,
    pub life: Life,
    pub counter: u64,
    pub challenge: Challenge,
    pub echo: Challenge,
    pub from: &'a str,
    pub to: &'a str,
}

/// A datagram taken apart. Nothing in it is to be believed before its seal was looked at.
pub(super) struct Packet<'a> {
    pub head: Head<'a>,
    pub body: &'a [u8],
    /// What the seals are over.
    pub sealed: &'a [u8],
    /// One or two seals.
    pub seals: &'a [u8],
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without challenges and seals.
        let head = &self.head;
        write!(f, "Packet {} {} of {} to {}", head.kind, head.counter, head.from, head.to)
    }
}

/// Puts a datagram together, up to its seals. The names and the body are bounded by who calls.
pub(super) fn encode(head: &Head<'_>, body: &[u8], seals: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIXED + 4 + head.from.len() + head.to.len() + body.len() + seals * SEAL);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[VERSION, head.kind, seals as u8, 0]);
    out.extend_from_slice(&head.life.0);
    out.extend_from_slice(&head.counter.to_be_bytes());
    out.extend_from_slice(&head.challenge.0);
    out.extend_from_slice(&head.echo.0);
    for name in [head.from, head.to] {
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// Takes a datagram apart.
pub(super) fn decode(bytes: &[u8]) -> Result<Packet<'_>, Reject> {
    if bytes.len() > LARGEST {
        return Err(Reject::TooLong);
    }
    let mut rest = Rest(bytes);
    if rest.take(4)? != MAGIC {
        return Err(Reject::Foreign);
    }
    let [version, kind, seals, zero] = rest.array()?;
    if version != VERSION {
        return Err(Reject::Version);
    }
    if !matches!(seals, 1 | 2) || zero != 0 {
        return Err(Reject::Malformed);
    }
    let life = Life(rest.array()?);
    let counter = u64::from_be_bytes(rest.array()?);
    let (challenge, echo) = (Challenge(rest.array()?), Challenge(rest.array()?));
    let (from, to) = (rest.name()?, rest.name()?);
    let length = usize::from(u16::from_be_bytes(rest.array()?));
    let body = rest.take(length)?;
    let sealed = bytes.get(..bytes.len() - rest.0.len()).ok_or(Reject::Malformed)?;
    let seals = rest.take(usize::from(seals) * SEAL)?;
    if !rest.0.is_empty() || counter == 0 {
        return Err(Reject::Malformed);
    }
    Ok(Packet { head: Head { kind, life, counter, challenge, echo, from, to }, body, sealed, seals })
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Reject> {
        let (front, rest) = self.0.split_at_checked(count).ok_or(Reject::Truncated)?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        self.take(N)?.try_into().map_err(|_| Reject::Truncated)
    }

    fn name(&mut self) -> Result<&'a str, Reject> {
        let [length] = self.array()?;
        let name = core::str::from_utf8(self.take(length.into())?).map_err(|_| Reject::Malformed)?;
        if is_name(name) { Ok(name) } else { Err(Reject::Malformed) }
    }
}
