//! An ICMP echo: the request, and whether a message is its reply (RFC 792; RFC 4443, section 4; checksum by RFC 1071).

/// Which ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// ICMP for IPv4.
    V4,
    /// ICMPv6.
    V6,
}

/// What tells our echo from everybody else's; it comes back in the reply.
pub type Nonce = [u8; 16];

/// Type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;

impl Family {
    const fn request(self) -> u8 {
        match self {
            Family::V4 => 8,
            Family::V6 => 128,
        }
    }

    const fn reply(self) -> u8 {
        match self {
            Family::V4 => 0,
            Family::V6 => 129,
        }
    }
}

/// An echo request. The kernel puts its own identifier in for a datagram socket, and ICMPv6's checksum for both kinds.
pub fn request(family: Family, sequence: u16, nonce: &Nonce) -> [u8; HEADER + 16] {
    let mut message = [0u8; HEADER + 16];
    let [s1, s2] = sequence.to_be_bytes();
    let header = [family.request(), 0, 0, 0, nonce[0], nonce[1], s1, s2];
    for (to, from) in message.iter_mut().zip(header.iter().chain(nonce)) {
        *to = *from;
    }
    if family == Family::V4 {
        let [c1, c2] = checksum(&message).to_be_bytes();
        (message[2], message[3]) = (c1, c2);
    }
    message
}

/// Whether a message is the reply to an echo with this nonce. `with_header` says that an IPv4 header stands before it,
/// as on a raw socket; ICMPv6 never has one (RFC 3542, section 3).
pub fn is_reply(family: Family, with_header: bool, message: &[u8], nonce: &Nonce) -> bool {
    let body = match (family, with_header) {
        (Family::V4, true) => {
            // The header's length in words is in the low half of its first byte.
            let length = message.first().map_or(0, |b| usize::from(b & 0x0f) * 4);
            message.get(length..).unwrap_or_default()
        }
        _ => message,
    };
    match body {
        [kind, 0, _, _, _, _, _, _, data @ ..] => *kind == family.reply() && data.starts_with(nonce),
        _ => false,
    }
}

/// The one's complement of the one's complement sum of all 16-bit words.
fn checksum(message: &[u8]) -> u16 {
    let words = message.chunks(2).map(|pair| match pair {
        [a, b] => u32::from(u16::from_be_bytes([*a, *b])),
        [a] => u32::from(u16::from_be_bytes([*a, 0])),
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: Nonce = *b"0123456789abcdef";

    #[test]
    fn the_checksum_of_the_rfc() {
        // RFC 1071, section 3: the sum of its example is ddf2.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(
            checksum(&request(Family::V4, 7, &NONCE)),
            0,
            "a message sums up to nothing with its checksum"
        );
    }

    #[test]
    fn only_the_reply_is_the_reply() {
        for family in [Family::V4, Family::V6] {
            let mut message = request(family, 1, &NONCE).to_vec();
            assert!(!is_reply(family, false, &message, &NONCE), "our own request comes back on loopback");
            message[0] = family.reply();
            assert!(is_reply(family, false, &message, &NONCE));
            assert!(!is_reply(family, false, &message, b"0123456789abcdeX"));
            assert!(!is_reply(family, false, &message[..23], &NONCE));
            let mut code = message.clone();
            code[1] = 1;
            assert!(!is_reply(family, false, &code, &NONCE));
        }
        let mut packet = vec![0x46u8; 24];
        let mut message = request(Family::V4, 1, &NONCE);
        message[0] = 0;
        packet.extend_from_slice(&message);
        assert!(is_reply(Family::V4, true, &packet, &NONCE), "behind a header with options");
        assert!(!is_reply(Family::V4, false, &packet, &NONCE));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..80), header: bool, six: bool) {
            let family = if six { Family::V6 } else { Family::V4 };
            // Sixteen random bytes are not ours.
            prop_assert!(!is_reply(family, header, &bytes, &NONCE));
        }
    }
}
