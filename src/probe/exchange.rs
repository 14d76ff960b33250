//! What passes between a probe session and the driver that owns its socket.

use super::observation::Observation;
use crate::engine::time::Duration;
use crate::wire::{Encryption, RsaPolicy, Secret, Transport};

/// Who probes, and over what kind of connection. Fixed for the life of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// The account's name.
    pub user: String,
    /// The account's password; none and an empty one are the same.
    pub password: Option<Secret>,
    /// Whether the driver connects over a unix socket or TCP.
    pub transport: Transport,
    /// Whether TLS is asked for over TCP.
    pub encryption: Encryption,
    /// Whether a password may go out by RSA over a plain connection, and with whose key.
    pub rsa: RsaPolicy,
    /// The server is one of a group, and is asked about it too.
    pub group: bool,
    /// The largest packet, and roughly the largest answer, that is accepted, in bytes.
    pub max_packet: usize,
}

impl SessionConfig {
    /// The default of `max_packet`: room for a badly fragmented GTID set, and a bound on what a hostile server
    /// makes us hold.
    pub const MAX_PACKET: usize = 1 << 20;
}

/// One probe, as the engine asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// Log in anew even if a connection is kept. A connection whose login is still unanswered is as fresh as
    /// a new one and is waited for.
    pub fresh: bool,
    /// For each phase: connect, handshake, answer.
    pub timeout: Duration,
    /// For the probe as a whole, a reconnect included.
    pub probe_timeout: Duration,
    /// Lag above this is `replication_lag`; none never judges lag.
    pub max_lag: Option<Duration>,
}

/// What the kernel knew of the peer when a deadline passed, from TCP_INFO. The only thing that tells a server
/// that hangs from a host that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerSign {
    /// The connection is not established: SYN_SENT.
    Connecting,
    /// Established, and something is not acknowledged yet (`tcpi_unacked` is not 0), could not even be sent (SIOCOUTQNSD,
    /// as where our own interface or route is gone), or had to be sent again before it was (`tcpi_total_retrans`): the network loses packets.
    NotAcknowledged,
    /// Established, and all that was sent is acknowledged. Always the answer for a unix socket.
    Acknowledged,
}

/// What a session, or another machine that looks at a node (`E` is what it brings home), asks of its driver. The driver
/// drains them after every input, in order.
#[derive(Debug, PartialEq)]
pub enum Action<'a, E = Observation> {
    /// Open a connection. Answered by `handle_connected` or `handle_connect_failed`.
    Connect,
    /// Write these bytes, keeping what the socket does not take yet.
    Send(&'a [u8]),
    /// Do the TLS handshake as the client; what comes and goes from now on is inside. Answered by `handle_tls_up` or
    /// `handle_tls_failed`.
    StartTls,
    /// Try to write what is kept, then close the connection, or stop connecting. No answer is expected, and
    /// nothing that the old connection still says may be handed in.
    Close,
    /// The kept connection fell while no probe was running: a hint to probe early, never proof.
    Lost,
    /// The probe that `begin` started has ended. Exactly one per `begin`.
    Done(E),
}
