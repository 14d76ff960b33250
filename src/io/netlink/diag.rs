//! Ending the open TCP connections of an address (sock_diag(7), SOCK_DESTROY): both ends learn it at once, the peer by a
//! reset, instead of waiting for an answer that never comes. Listening sockets stay.

use super::Kernel;
use super::error::{NetError, NetResult};
use super::message::{Message, array_at, u8_at};
use super::socket::{ACK, REQUEST};
use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
/// INET_DIAG_REQ_BYTECODE: which sockets to list.
const BYTECODE: u16 = 1;
/// Of linux/inet_diag.h: jump; does the source, or the destination, fit the address behind the operation.
const JUMP: u8 = 1;
const SOURCE: u8 = 7;
const DESTINATION: u8 = 8;
/// Length of an operation, and of the head of the address behind it.
const OPERATION: u16 = 4;
const HOST: u16 = 8;
/// All states of a connection in tcp_states.h but TIME_WAIT (6), CLOSE (7), LISTEN (10): nothing is open in those.
const STATES: u32 = 0x1ffe & !(1 << 6) & !(1 << 7) & !(1 << 10);
/// Length of `struct inet_diag_sockid`: ports, addresses, interface, cookie.
const ID: usize = 48;
/// Where it lies in `struct inet_diag_msg`, and its length.
const ID_AT: usize = 4;
const FOUND: usize = 72;
/// How many are ended by one call.
const BATCH: usize = 64;
/// Rounds: one that was listed as half open may have become whole meanwhile.
const ROUNDS: usize = 3;

/// A connection's socket, as SOCK_DESTROY takes it. The cookie in it keeps a successor from being hit.
type Id = [u8; ID];

impl Kernel {
    /// Ends every TCP connection that has this address on either side, in this network namespace: of servers that
    /// listen on it, IPv4 behind IPv6 sockets too, and of local programs that are connected to it. How many were ended.
    ///
    /// # Errors
    /// [`NetError::Capability`] without CAP_NET_ADMIN; [`NetError::Unsupported`] where the kernel was built without
    /// CONFIG_INET_DIAG_DESTROY.
    pub(crate) fn destroy(&mut self, ip: IpAddr) -> NetResult<usize> {
        let task = format_args!("end the connections of {ip}");
        let families: &[i32] =
            if ip.is_ipv4() { &[libc::AF_INET, libc::AF_INET6] } else { &[libc::AF_INET6] };
        let mut ended = 0;
        for _ in 0..ROUNDS {
            let mut found = 0;
            for family in families {
                let ids = self.connections(task, *family as u8, ip)?;
                found += ids.len();
                for part in ids.chunks(BATCH) {
                    ended += self.destroy_all(task, *family as u8, part)?;
                }
            }
            if found == 0 {
                break;
            }
        }
        Ok(ended)
    }

    fn connections(&mut self, task: fmt::Arguments<'_>, family: u8, ip: IpAddr) -> NetResult<Vec<Id>> {
        let result = self.diag.list(
            task,
            SOCK_DIAG_BY_FAMILY,
            &request(family, STATES, &[0; ID]),
            Some((BYTECODE, &filter(ip))),
            |message| connection(message, ip),
        );
        match result {
            // A kernel without this family has no sockets of it, but also one without the module to list them.
            Err(error) if error.errno() == Some(libc::ENOENT) => Err(NetError::Unsupported {
                task: task.to_string(),
                reason: "the kernel cannot list TCP sockets; load its module tcp_diag".to_owned(),
            }),
            other => other,
        }
    }

    fn destroy_all(&mut self, task: fmt::Arguments<'_>, family: u8, ids: &[Id]) -> NetResult<usize> {
        let (mut ended, mut failed) = (0, None);
        self.diag.batch(
            task,
            ids.len(),
            |builder, index, sequence| {
                if let Some(id) = ids.get(index) {
                    builder.begin(SOCK_DESTROY, REQUEST | ACK, sequence, &request(family, 0, id));
                }
            },
            |_, answer| match answer.errno {
                0 => ended += 1,
                // It has ended by itself.
                libc::ENOENT => {}
                _ => failed = failed.take().or(Some(answer)),
            },
        )?;
        match failed {
            None => Ok(ended),
            Some(answer) if matches!(answer.errno, libc::EOPNOTSUPP | libc::EINVAL) => {
                Err(NetError::Unsupported {
                    task: task.to_string(),
                    reason: "the kernel was built without CONFIG_INET_DIAG_DESTROY".to_owned(),
                })
            }
            Some(answer) => Err(NetError::of(task, answer.errno, answer.reason, super::Capability::NetAdmin)),
        }
    }
}

/// `struct inet_diag_req_v2`.
fn request(family: u8, states: u32, id: &Id) -> Vec<u8> {
    let mut body = vec![family, libc::IPPROTO_TCP as u8, 0, 0];
    body.extend_from_slice(&states.to_ne_bytes());
    body.extend_from_slice(id);
    body
}

/// The kernel's own filter: the address is the source, or the destination. An IPv4 address fits IPv4 behind IPv6 too.
/// A jump beyond the end by four bytes says "no".
fn filter(ip: IpAddr) -> Vec<u8> {
    let (family, bytes) = match ip {
        IpAddr::V4(ip) => (libc::AF_INET as u8, ip.octets().to_vec()),
        IpAddr::V6(ip) => (libc::AF_INET6 as u8, ip.octets().to_vec()),
    };
    let length = OPERATION + HOST + bytes.len() as u16;
    let mut code = Vec::new();
    let mut condition = |operation: u8, no: u16| {
        code.extend_from_slice(&[operation, length as u8]);
        code.extend_from_slice(&no.to_ne_bytes());
        // struct inet_diag_hostcond: family, length of the prefix, any port.
        code.extend_from_slice(&[family, bytes.len() as u8 * 8, 0, 0]);
        code.extend_from_slice(&(-1i32).to_ne_bytes());
        code.extend_from_slice(&bytes);
        if operation == SOURCE {
            // Fits: on to the end.
            code.extend_from_slice(&[JUMP, OPERATION as u8]);
            code.extend_from_slice(&(OPERATION + length).to_ne_bytes());
        }
    };
    condition(SOURCE, length + OPERATION);
    condition(DESTINATION, length + 4);
    code
}

/// The socket of a listed connection, if it really has the address: nothing is ended on the filter's word alone.
fn connection(message: &Message<'_>, ip: IpAddr) -> Option<Id> {
    let body = message.body.get(..FOUND).filter(|_| message.kind == SOCK_DIAG_BY_FAMILY)?;
    let family = i32::from(u8_at(body, 0)?);
    let state = u8_at(body, 1)?;
    let id: Id = array_at(body, ID_AT)?;
    // Two ports of two bytes, then the addresses.
    let is_ours = |at: usize| address(family, &id, at) == Some(ip);
    (1u32.checked_shl(state.into())? & STATES != 0 && (is_ours(4) || is_ours(20))).then_some(id)
}

fn address(family: i32, id: &Id, at: usize) -> Option<IpAddr> {
    match family {
        libc::AF_INET => array_at::<4>(id, at).map(|bytes| Ipv4Addr::from(bytes).into()),
        libc::AF_INET6 => {
            array_at::<16>(id, at).map(|bytes| IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_listens_among_the_states() {
        for (state, open) in
            [(1, true), (2, true), (3, true), (4, true), (5, true), (6, false), (7, false), (8, true)]
        {
            assert_eq!(STATES & (1 << state) != 0, open, "{state}");
        }
        for (state, open) in [(9, true), (10, false), (11, true), (12, true), (13, false)] {
            assert_eq!(STATES & (1 << state) != 0, open, "{state}");
        }
    }

    #[test]
    fn a_listed_connection_is_believed_only_whole_and_ours() {
        let mut body = vec![0u8; FOUND];
        body[0] = libc::AF_INET6 as u8;
        body[1] = 1;
        let mapped = "10.0.0.101".parse::<Ipv4Addr>().expect("an address").to_ipv6_mapped();
        body[ID_AT + 4..ID_AT + 20].copy_from_slice(&mapped.octets());
        let ip = "10.0.0.101".parse().expect("an address");
        fn message(body: &[u8]) -> Message<'_> {
            Message { kind: SOCK_DIAG_BY_FAMILY, flags: 0, sequence: 1, body }
        }
        assert!(connection(&message(&body), ip).is_some(), "IPv4 behind IPv6");
        assert!(connection(&message(&body), "10.0.0.102".parse().expect("an address")).is_none());
        for length in 0..body.len() {
            assert!(connection(&message(&body[..length]), ip).is_none(), "{length} bytes");
        }
        body[1] = 10;
        assert!(connection(&message(&body), ip).is_none(), "it listens");
        body[1] = 255;
        assert!(connection(&message(&body), ip).is_none(), "no such state");
    }
}
