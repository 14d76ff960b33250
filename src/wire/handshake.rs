//! The server's greeting and our answer to it.

use super::packet::shown;
use super::server_error::WireError;
use mysql_common::constants::CapabilityFlags as Flags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, HandshakePacket, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;

/// Length of the nonce of every plugin that we know.
pub(super) const NONCE: usize = 20;

/// What we would like to speak; a capability is used only if the server has it too.
const WANTED: Flags = Flags::CLIENT_LONG_PASSWORD
    .union(Flags::CLIENT_PROTOCOL_41)
    .union(Flags::CLIENT_TRANSACTIONS)
    .union(Flags::CLIENT_SECURE_CONNECTION)
    .union(Flags::CLIENT_MULTI_STATEMENTS)
    .union(Flags::CLIENT_MULTI_RESULTS)
    .union(Flags::CLIENT_PLUGIN_AUTH)
    .union(Flags::CLIENT_DEPRECATE_EOF);

/// Without these no conversation of ours is possible. Every server since MySQL 5.0 has them.
const NEEDED: Flags = Flags::CLIENT_PROTOCOL_41.union(Flags::CLIENT_SECURE_CONNECTION);

/// What the server said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The version as the server writes it, such as `5.5.5-10.11.6-MariaDB-log`.
    pub version: String,
    /// The server's number for this connection, as KILL takes it.
    pub connection_id: u32,
    /// Whether one COM_QUERY may hold several statements.
    pub multi_statements: bool,
    /// Whether the server would speak TLS.
    pub tls: bool,
    pub(super) flags: Flags,
    pub(super) nonce: [u8; NONCE],
    pub(super) plugin: String,
}

/// Reads a greeting's payload. An error packet in its place is the caller's business.
///
/// `mysql_common` does the parsing, behind checks of ours: it computes with the nonce's length as a signed byte.
pub(super) fn parse_greeting(payload: &[u8]) -> Result<Greeting, String> {
    match payload.first() {
        Some(10) => {}
        Some(11) if payload.get(1) == Some(&8) => {
            return Err("got a notice of the X protocol; give the port of the classic protocol".into());
        }
        _ => return Err(format!("got {}", shown(payload))),
    }
    let after_version = payload.iter().position(|&byte| byte == 0).ok_or("its version has no end")? + 1;
    // Connection id 4, nonce 8, filler 1, capabilities 2, collation 1, status 2, capabilities 2, then the length.
    let nonce_length = *payload.get(after_version + 20).ok_or("it is cut short")?;
    if nonce_length > 127 {
        return Err(format!("its nonce has an impossible length of {nonce_length}"));
    }
    let packet: HandshakePacket<'_> =
        ParseBuf(payload).parse(()).map_err(|_| "it is cut short".to_string())?;
    let flags = packet.capabilities();
    if !flags.contains(NEEDED) {
        return Err("the server is older than MySQL 5.0, whose logins are not supported".into());
    }
    let nonce = packet
        .nonce()
        .get(..NONCE)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or("its nonce is cut short")?;
    Ok(Greeting {
        version: packet.server_version_str().chars().filter(|c| !c.is_control()).take(128).collect(),
        connection_id: packet.connection_id(),
        multi_statements: flags.contains(Flags::CLIENT_MULTI_STATEMENTS | Flags::CLIENT_MULTI_RESULTS),
        tls: flags.contains(Flags::CLIENT_SSL),
        flags: flags & WANTED,
        nonce,
        plugin: packet
            .auth_plugin_name_str()
            .map(|name| name.trim_end_matches('\0').to_string())
            .unwrap_or_default(),
    })
}

impl Greeting {
    /// Whether results end in an OK packet instead of an EOF packet.
    pub(super) fn deprecates_eof(&self) -> bool {
        self.flags.contains(Flags::CLIENT_DEPRECATE_EOF)
    }

    /// The short first half of our answer, after which TLS begins.
    pub(super) fn tls_request(&mut self, max_packet: usize) -> Vec<u8> {
        /// utf8mb4_general_ci, as in the response.
        const COLLATION: u8 = 45;
        self.flags |= Flags::CLIENT_SSL;
        let max_packet = u32::try_from(max_packet).unwrap_or(u32::MAX);
        let mut payload = Vec::with_capacity(32);
        SslRequest::new(self.flags, max_packet, COLLATION).serialize(&mut payload);
        payload
    }

    /// Our half of the handshake: `plugin`'s first answer for `user`.
    pub(super) fn response(
        &self,
        user: &str,
        plugin: &str,
        answer: &[u8],
        max_packet: usize,
    ) -> Result<Vec<u8>, WireError> {
        if user.contains('\0') {
            return Err(WireError::login(
                "the probe's user name holds a zero byte, which the protocol cannot carry",
            ));
        }
        let plugin =
            self.flags.contains(Flags::CLIENT_PLUGIN_AUTH).then(|| AuthPlugin::from_bytes(plugin.as_bytes()));
        let response = HandshakeResponse::new(
            Some(answer),
            // Only chooses the collation: utf8mb4 is everywhere that GTIDs are.
            (5, 5, 3),
            Some(user.as_bytes()),
            None::<&[u8]>,
            plugin,
            self.flags,
            None,
            u32::try_from(max_packet).unwrap_or(u32::MAX),
        );
        let mut payload = Vec::with_capacity(128);
        response.serialize(&mut payload);
        Ok(payload)
    }
}
