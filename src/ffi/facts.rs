//! Facts of a probe, into the engine's form and out of it.

use super::slice::{c_string, optional_text, struct_in, text};
use super::structs::*;
use crate::engine::time::Duration;
use crate::error::{Error, ErrorCode, Result};
use crate::gtid::Gtids;
use crate::probe::{Channel, Facts, Flavour, ServerVersion, ThreadState};
use core::ffi::c_char;
use std::ffi::CString;

/// More channels than any server has.
const MOST_CHANNELS: u32 = 256;

const KNOWN_FACTS: u64 = PRIMACY_FACT_FLAVOUR
    | PRIMACY_FACT_VERSION
    | PRIMACY_FACT_SERVER_ID
    | PRIMACY_FACT_SERVER_UUID
    | PRIMACY_FACT_READ_ONLY
    | PRIMACY_FACT_SUPER_READ_ONLY
    | PRIMACY_FACT_GTIDS
    | PRIMACY_FACT_CHANNELS
    | PRIMACY_FACT_THREADS_CONNECTED
    | PRIMACY_FACT_MAX_CONNECTIONS
    | PRIMACY_FACT_ROUND_TRIP;

fn invalid(text: String) -> Error {
    Error::new(ErrorCode::Invalid, text)
}

/// 0 or 1 as the contract spells truth.
pub(super) fn truth(value: i32, name: &str) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(invalid(format!("`{name}` is {other}; it must be 0 or 1"))),
    }
}

/// Facts from a host's observation.
///
/// # Safety
/// The strings and channels of `given` are as the header says.
pub(super) unsafe fn take(given: &primacy_observation) -> Result<Facts> {
    let unknown = given.facts & !KNOWN_FACTS;
    if unknown != 0 || given.reserved != 0 {
        return Err(Error::new(
            ErrorCode::Unsupported,
            format!(
                "`observation`: this version does not know the facts {unknown:#x}, and `reserved` must be zero"
            ),
        ));
    }
    let has = |bit: u64| given.facts & bit != 0;
    let flavour = match has(PRIMACY_FACT_FLAVOUR) {
        false => None,
        true => Some(
            Flavour::from_number(given.flavour)
                .ok_or_else(|| invalid(format!("`flavour`: {} is no primacy_flavour", given.flavour)))?,
        ),
    };
    let gtids = match has(PRIMACY_FACT_GTIDS) {
        false => None,
        true => {
            // SAFETY: the caller's word for the strings.
            let text = unsafe { text(given.gtids, "gtids") }?;
            Some(match flavour {
                Some(Flavour::MySql) => Gtids::parse_mysql(text)?,
                Some(Flavour::MariaDb) => Gtids::parse_mariadb(text)?,
                None => {
                    let text = "`gtids` can only be read with PRIMACY_FACT_FLAVOUR, as MySQL and MariaDB write them differently";
                    return Err(invalid(text.into()));
                }
            })
        }
    };
    let server_uuid = match has(PRIMACY_FACT_SERVER_UUID) {
        false => None,
        // SAFETY: the caller's word for the strings.
        true => Some(unsafe { text(given.server_uuid, "server_uuid") }?.to_owned()),
    };
    let channels = match has(PRIMACY_FACT_CHANNELS) {
        false => None,
        // SAFETY: the caller's word for the channels.
        true => Some(unsafe { take_channels(given.channels, given.channel_count) }?),
    };
    let when = |bit: u64, value: u32| has(bit).then_some(value);
    Ok(Facts {
        flavour,
        version: has(PRIMACY_FACT_VERSION).then(|| version(given.version)),
        server_id: when(PRIMACY_FACT_SERVER_ID, given.server_id),
        server_uuid,
        read_only: match has(PRIMACY_FACT_READ_ONLY) {
            false => None,
            true => Some(truth(given.read_only, "read_only")?),
        },
        super_read_only: match has(PRIMACY_FACT_SUPER_READ_ONLY) {
            false => None,
            true => Some(truth(given.super_read_only, "super_read_only")?),
        },
        gtids,
        channels,
        // A host tells by `read_only` who may write.
        group: None,
        threads_connected: when(PRIMACY_FACT_THREADS_CONNECTED, given.threads_connected),
        max_connections: when(PRIMACY_FACT_MAX_CONNECTIONS, given.max_connections),
        backend: None,
        round_trip: has(PRIMACY_FACT_ROUND_TRIP).then(|| Duration::from_micros(given.round_trip_us)),
    })
}

/// # Safety
/// `channels` is NULL or points to `count` pointers, each NULL or as [`struct_in`] wants it.
unsafe fn take_channels(channels: *const *const primacy_channel, count: u32) -> Result<Vec<Channel>> {
    if count > MOST_CHANNELS {
        return Err(invalid(format!("`channel_count` is {count}; at most {MOST_CHANNELS} are taken")));
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    if channels.is_null() || !channels.is_aligned() {
        return Err(invalid("`channels` is NULL or not aligned, but `channel_count` is not zero".into()));
    }
    // SAFETY: the caller's word for `count` pointers.
    let pointers = unsafe { core::slice::from_raw_parts(channels, count as usize) };
    pointers
        .iter()
        // SAFETY: the caller's word for each of them.
        .map(|at| unsafe { take_channel(&struct_in(*at, "channels")?) })
        .collect()
}

/// # Safety
/// The strings of `given` are as the header says.
unsafe fn take_channel(given: &primacy_channel) -> Result<Channel> {
    let unknown = given.known & !(PRIMACY_CHANNEL_LAG | PRIMACY_CHANNEL_APPLIED_ALL);
    if unknown != 0 || given.reserved != 0 {
        let text =
            format!("`channels`: `known` has the unknown bits {unknown:#x}, or `reserved` is not zero");
        return Err(Error::new(ErrorCode::Unsupported, text));
    }
    let thread = |number: i32| {
        ThreadState::from_number(number)
            .ok_or_else(|| invalid(format!("`channels`: {number} is no primacy_thread_state")))
    };
    // SAFETY: the caller's word for the strings.
    let string = |at: *const c_char, name: &str| -> Result<String> {
        Ok(unsafe { optional_text(at, name) }?.unwrap_or("").to_owned())
    };
    Ok(Channel {
        name: string(given.name, "channel.name")?,
        source: string(given.source, "channel.source")?,
        io: thread(given.io_state)?,
        sql: thread(given.sql_state)?,
        io_errno: given.io_error,
        sql_errno: given.sql_error,
        error: string(given.error, "channel.error")?,
        lag: (given.known & PRIMACY_CHANNEL_LAG != 0).then(|| Duration::from_millis(given.lag_ms)),
        applied_all: match given.known & PRIMACY_CHANNEL_APPLIED_ALL {
            0 => None,
            _ => Some(truth(given.applied_all, "channel.applied_all")?),
        },
        received: None,
    })
}

fn version(number: u32) -> ServerVersion {
    let part = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    ServerVersion(part(number / 10_000), part(number / 100 % 100), part(number % 100))
}

fn version_number(version: ServerVersion) -> u32 {
    u32::from(version.0) * 10_000 + u32::from(version.1.min(99)) * 100 + u32::from(version.2.min(99))
}

/// One channel with its strings, ready to be handed out.
pub(super) struct ChannelOut {
    channel: primacy_channel,
    _name: CString,
    _source: CString,
    _error: CString,
}

impl ChannelOut {
    fn new(channel: &Channel) -> ChannelOut {
        let (name, source, error) =
            (c_string(&channel.name), c_string(&channel.source), c_string(&channel.error));
        let mut known = 0;
        if channel.lag.is_some() {
            known |= PRIMACY_CHANNEL_LAG;
        }
        if channel.applied_all.is_some() {
            known |= PRIMACY_CHANNEL_APPLIED_ALL;
        }
        let out = primacy_channel {
            size: 0,
            known,
            io_state: channel.io as i32,
            sql_state: channel.sql as i32,
            io_error: channel.io_errno,
            sql_error: channel.sql_errno,
            applied_all: i32::from(channel.applied_all.unwrap_or(false)),
            reserved: 0,
            lag_ms: channel.lag.map_or(0, |lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
            name: name.as_ptr(),
            source: source.as_ptr(),
            error: error.as_ptr(),
        };
        // The heap memory of the strings stays where it is when the structure moves.
        ChannelOut { channel: out, _name: name, _source: source, _error: error }
    }

    pub(super) fn channel(&self) -> &primacy_channel {
        &self.channel
    }
}

/// The strings and channels of a node's facts.
pub(super) struct FactsOut {
    server_uuid: CString,
    gtids: CString,
    pub(super) channels: Vec<ChannelOut>,
}

impl FactsOut {
    pub(super) fn new(facts: &Facts) -> FactsOut {
        FactsOut {
            server_uuid: c_string(facts.server_uuid.as_deref().unwrap_or("")),
            gtids: c_string(&facts.gtids.as_ref().map(Gtids::to_string).unwrap_or_default()),
            channels: facts.channels.iter().flatten().map(ChannelOut::new).collect(),
        }
    }

    /// Fills the fields of a node that tell facts.
    pub(super) fn fill(&self, node: &mut primacy_node, facts: &Facts) {
        let bits = [
            (PRIMACY_FACT_FLAVOUR, facts.flavour.is_some()),
            (PRIMACY_FACT_VERSION, facts.version.is_some()),
            (PRIMACY_FACT_SERVER_ID, facts.server_id.is_some()),
            (PRIMACY_FACT_SERVER_UUID, facts.server_uuid.is_some()),
            (PRIMACY_FACT_READ_ONLY, facts.read_only.is_some()),
            (PRIMACY_FACT_SUPER_READ_ONLY, facts.super_read_only.is_some()),
            (PRIMACY_FACT_GTIDS, facts.gtids.is_some()),
            (PRIMACY_FACT_CHANNELS, facts.channels.is_some()),
            (PRIMACY_FACT_THREADS_CONNECTED, facts.threads_connected.is_some()),
            (PRIMACY_FACT_MAX_CONNECTIONS, facts.max_connections.is_some()),
            (PRIMACY_FACT_ROUND_TRIP, facts.round_trip.is_some()),
        ];
        node.facts = bits.iter().filter(|(_, known)| *known).map(|(bit, _)| bit).sum();
        node.flavour = facts.flavour.map_or(0, |flavour| flavour as i32);
        node.version = facts.version.map_or(0, version_number);
        node.server_id = facts.server_id.unwrap_or(0);
        node.server_uuid = self.server_uuid.as_ptr();
        node.gtids = self.gtids.as_ptr();
        node.read_only = i32::from(facts.read_only.unwrap_or(false));
        node.super_read_only = i32::from(facts.super_read_only.unwrap_or(false));
        node.channel_count = u32::try_from(self.channels.len()).unwrap_or(u32::MAX);
        node.threads_connected = facts.threads_connected.unwrap_or(0);
        node.max_connections = facts.max_connections.unwrap_or(0);
        node.round_trip_us =
            facts.round_trip.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}
