//! From what happened to a cause.

use super::cause::Cause;
use super::membership;
use super::observation::{Channel, Facts, Flavour, ThreadState};
use crate::engine::time::Duration;
use crate::wire::{ServerError, Transport};

/// Numbers of the operating system, Linux's: they come in as numbers and go out as numbers.
pub(super) mod errno {
    pub const ENOENT: i32 = 2;
    pub const EAGAIN: i32 = 11;
    pub const EPIPE: i32 = 32;
    pub const ENETUNREACH: i32 = 101;
    pub const ECONNABORTED: i32 = 103;
    pub const ECONNRESET: i32 = 104;
    pub const ETIMEDOUT: i32 = 110;
    pub const ECONNREFUSED: i32 = 111;
    pub const EHOSTDOWN: i32 = 112;
    pub const EHOSTUNREACH: i32 = 113;
}

/// Whether a socket's error means that the peer broke the connection.
pub(super) fn is_reset(errno: i32) -> bool {
    matches!(errno, errno::ECONNRESET | errno::ECONNABORTED | errno::EPIPE)
}

/// The cause behind a socket's error.
///
/// Everything that is not known to come from the network or the peer is our own fault, which is never counted
/// against a node. ENETUNREACH may be a router's word or our own missing route: it counts as `unreachable`, which is
/// slow and which an isolated prober abstains from; ENETDOWN can only be ours.
pub(super) fn of_errno(errno: i32, transport: Transport) -> (Cause, &'static str) {
    use errno::*;
    match (errno, transport) {
        (ECONNREFUSED, Transport::Plain) => (Cause::Refused, "nothing listens on the port"),
        (ECONNREFUSED, Transport::Unix) => (Cause::Refused, "nothing listens on the socket"),
        (ENOENT, Transport::Unix) => (Cause::Refused, "the socket does not exist"),
        (EAGAIN, Transport::Unix) => {
            (Cause::NoReply, "the server accepts no more connections: the socket's queue is full")
        }
        (ECONNRESET | ECONNABORTED | EPIPE, _) => (Cause::Reset, "the connection was reset"),
        (ETIMEDOUT, _) => (Cause::NoAck, "nothing acknowledges"),
        (EHOSTUNREACH | ENETUNREACH | EHOSTDOWN, _) => {
            (Cause::Unreachable, "the network has no way to the host")
        }
        _ => (Cause::Local, "the prober itself cannot connect"),
    }
}

/// Error packets that end a session and say nothing of the server: KILL, idle time, a broken or slow line.
///
/// 1053 is among them although it says "server shutdown in progress": MySQL has no other number for a killed
/// connection. Whether the server shuts down shows at the next connect.
pub(super) fn ends_session(code: u16) -> bool {
    matches!(code, 1053 | 1080 | 1152 | 1158..=1161 | 1184 | 1317 | 1927 | 3169 | 4031)
}

/// Error number of a server that shuts down.
pub(super) const SHUTDOWN: u16 = 1053;

/// The cause and the sentence of a server's error packet.
pub(super) fn of_server_error(error: &ServerError, flavour: Option<Flavour>) -> (Cause, String) {
    let cause = match error.code {
        1040 | 1203 | 1226 => Cause::TooManyConnections,
        // Wrong or missing password, unknown account or plugin, locked, expired.
        1044 | 1045 | 1251 | 1275 | 1524 | 1698 | 1820 | 1862 | 3118 | 3955 | 4151 => Cause::AuthDenied,
        1129 | 1130 => Cause::HostBlocked,
        SHUTDOWN => Cause::ShuttingDown,
        // 6400 is 3032 of a newer server, which says why.
        3032 | 6400 => Cause::OfflineMode,
        3159 => Cause::TlsError,
        _ => Cause::QueryFailed,
    };
    let advice = match (error.code, flavour) {
        (1227, Some(Flavour::MariaDb)) => "; grant SLAVE MONITOR, BINLOG MONITOR to the probe's account",
        (1227, _) => "; grant REPLICATION CLIENT to the probe's account",
        (1142, Some(Flavour::MySql)) => membership::GRANT,
        (1129, _) => {
            "; once the reason is found, unblock it by FLUSH HOSTS or TRUNCATE performance_schema.host_cache"
        }
        (3159, _) => "; the server demands TLS",
        _ => "",
    };
    (cause, format!("{error}{advice}"))
}

/// Error of a Galera member that takes no statements.
const NOT_PREPARED: u16 = 1047;

/// What is behind the refusal of a statement by a member that has just said why it takes none.
pub(super) fn of_unready_member(error: &ServerError, facts: &Facts) -> Option<(Cause, String)> {
    let group = facts.group.as_ref().filter(|_| error.code == NOT_PREPARED)?;
    let (cause, _, message) = group.verdict();
    (cause != Cause::Ok).then_some((cause, message))
}

/// The cause, number and sentence that a complete set of facts amounts to.
pub(super) fn of_facts(facts: &Facts, max_lag: Option<Duration>) -> (Cause, u32, String) {
    if let Some(group) = &facts.group {
        // What a member receives and applies is the group's affair; its channels are none of the pool's.
        return group.verdict();
    }
    let channels = facts.channels.as_deref().unwrap_or_default();
    for channel in channels {
        if channel.sql == ThreadState::Stopped {
            return stopped("SQL", channel.sql_errno, channel);
        }
    }
    for channel in channels {
        if channel.io == ThreadState::Stopped {
            return stopped("IO", channel.io_errno, channel);
        }
    }
    let worst =
        channels.iter().filter_map(|channel| Some((channel.lag?, channel))).max_by_key(|(lag, _)| *lag);
    if let (Some((lag, channel)), Some(max)) = (worst, max_lag)
        && lag > max
    {
        let message =
            format!("{} s behind {}{}, {:?} are allowed", lag.as_secs(), channel.source, named(channel), max);
        return (Cause::ReplicationLag, 0, message);
    }
    (Cause::Ok, 0, String::new())
}

fn named(channel: &Channel) -> String {
    if channel.name.is_empty() { String::new() } else { format!(" (channel '{}')", channel.name) }
}

fn stopped(thread: &str, errno: u32, channel: &Channel) -> (Cause, u32, String) {
    let mut message = format!("the {thread} thread for {}{} is stopped", channel.source, named(channel));
    if errno != 0 {
        // Error texts quote whole statements.
        let text: String =
            channel.error.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
        message.push_str(&format!(": error {errno}: {text}"));
    }
    (Cause::ReplicationStopped, errno, message)
}
