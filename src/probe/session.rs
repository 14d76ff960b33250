//! One node's probe connection as a pure machine.

use super::exchange::{Action, PeerSign, ProbeRequest, SessionConfig};
use crate::engine::time::Time;

/// The probe machine of one node. It is kept across probes, and keeps its connection across probes.
#[derive(Debug)]
pub struct Session {
    _config: SessionConfig,
}

impl Session {
    /// A session without a connection.
    pub fn new(config: SessionConfig) -> Session {
        Session { _config: config }
    }

    /// Starts a probe. Ignored while one is running.
    pub fn begin(&mut self, _now: Time, _request: ProbeRequest) {
        unimplemented!()
    }

    /// The connection that `Action::Connect` asked for is up. `seed` is 20 fresh unpredictable bytes; they pad
    /// a password that goes out by RSA.
    pub fn handle_connected(&mut self, _now: Time, _seed: [u8; 20]) {
        unimplemented!()
    }

    /// The connection that `Action::Connect` asked for failed; `errno` as connect(2) or SO_ERROR gave it.
    /// Also for a socket that could not be made at all (EMFILE, ENOBUFS and so on).
    pub fn handle_connect_failed(&mut self, _now: Time, _errno: i32) {
        unimplemented!()
    }

    /// Bytes came in; read what is there before judging a deadline.
    pub fn handle_bytes(&mut self, _now: Time, _bytes: &[u8]) {
        unimplemented!()
    }

    /// The peer closed its side.
    pub fn handle_eof(&mut self, _now: Time) {
        unimplemented!()
    }

    /// Reading or writing failed with `errno`.
    pub fn handle_reset(&mut self, _now: Time, _errno: i32) {
        unimplemented!()
    }

    /// The time of `poll_timeout` came. Does nothing if it did not.
    pub fn handle_timeout(&mut self, _now: Time, _sign: PeerSign) {
        unimplemented!()
    }

    /// Ends the session politely: COM_QUIT, close. A running probe ends without an observation.
    pub fn shut(&mut self) {
        unimplemented!()
    }

    /// The next thing to do; drain until `None` after every input.
    pub fn poll_action(&mut self) -> Option<Action<'_>> {
        unimplemented!()
    }

    /// When `handle_timeout` wants to be called; `None` while no probe is running.
    pub fn poll_timeout(&self) -> Option<Time> {
        unimplemented!()
    }

    /// Whether a probe is running.
    pub fn is_probing(&self) -> bool {
        unimplemented!()
    }

    /// Whether a connection is being made or kept.
    pub fn has_connection(&self) -> bool {
        unimplemented!()
    }
}
