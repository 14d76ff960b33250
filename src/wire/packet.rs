//! Framing: three bytes of length, one of sequence, the payload; and the integers inside payloads.
//!
//! Source: MySQL Internals, "MySQL Packets" and "Protocol Basics: Data Types".

/// Bytes before each payload.
pub(super) const HEADER: usize = 4;

/// What the front of a byte stream holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// Less than a whole packet, and nothing wrong so far.
    Partial,
    /// A whole packet, `used` bytes long with its header.
    Whole { sequence: u8, payload: &'a [u8], used: usize },
    /// The declared length is above the cap; told as soon as the length is known, before anything is kept.
    OverCap { declared: usize },
}

/// Looks at the first packet of `bytes`.
pub(super) fn first_frame(bytes: &[u8], cap: usize) -> Frame<'_> {
    let &[a, b, c, ref rest @ ..] = bytes else { return Frame::Partial };
    let declared = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
    if declared > cap {
        return Frame::OverCap { declared };
    }
    let Some((&sequence, body)) = rest.split_first() else { return Frame::Partial };
    match body.get(..declared) {
        Some(payload) => Frame::Whole { sequence, payload, used: HEADER + declared },
        None => Frame::Partial,
    }
}

/// Appends a packet. What we send is always far below the 16 MiB at which packets are split.
pub(super) fn push_frame(out: &mut Vec<u8>, sequence: u8, payload: &[u8]) {
    let [a, b, c, _] = (payload.len() as u32).to_le_bytes();
    out.extend_from_slice(&[a, b, c, sequence]);
    out.extend_from_slice(payload);
}

/// Takes a length-encoded integer off the front. `None` for a truncated one and for the markers of NULL and error.
#[inline]
pub(super) fn take_lenenc_int(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    let width = match first {
        0..=0xFA => {
            *bytes = rest;
            return Some(u64::from(first));
        }
        0xFC => 2,
        0xFD => 3,
        0xFE => 8,
        0xFB | 0xFF => return None,
    };
    let (number, rest) = rest.split_at_checked(width)?;
    *bytes = rest;
    Some(number.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

/// Takes a length-encoded string off the front.
#[inline]
pub(super) fn take_lenenc_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = match **bytes {
        // Nearly every string of a status; three hundred of them are in each answer.
        [length @ 0..=0xFA, ref rest @ ..] => (usize::from(length), rest),
        _ => {
            let mut rest = *bytes;
            (usize::try_from(take_lenenc_int(&mut rest)?).ok()?, rest)
        }
    };
    let (taken, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// At most 24 bytes for an error text: printable ones as they are, the rest escaped.
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 24;
    let more = if bytes.len() > MOST { "…" } else { "" };
    format!("'{}{more}'", bytes[..bytes.len().min(MOST)].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_at_every_length() {
        let mut bytes = Vec::new();
        push_frame(&mut bytes, 7, b"abc");
        for end in 0..bytes.len() {
            assert_eq!(first_frame(&bytes[..end], 100), Frame::Partial, "{end} bytes");
        }
        bytes.push(99);
        assert_eq!(first_frame(&bytes, 100), Frame::Whole { sequence: 7, payload: b"abc", used: 7 });
        assert_eq!(first_frame(&[0, 0, 0, 3], 100), Frame::Whole { sequence: 3, payload: b"", used: 4 });
    }

    #[test]
    fn the_cap_holds_before_the_body_comes() {
        assert_eq!(first_frame(&[0x00, 0x2D, 0x31], 1 << 20), Frame::OverCap { declared: 0x312D00 });
        assert_eq!(first_frame(&[101, 0, 0], 100), Frame::OverCap { declared: 101 });
        assert_eq!(first_frame(&[100, 0, 0], 100), Frame::Partial);
    }

    #[test]
    fn integers_and_strings() {
        let cases: [(&[u8], Option<u64>); 9] = [
            (&[0xFA], Some(250)),
            (&[0xFB], None),
            (&[0xFC, 0x34, 0x12], Some(0x1234)),
            (&[0xFC, 0x34], None),
            (&[0xFD, 1, 2, 3], Some(0x030201)),
            (&[0xFE, 1, 0, 0, 0, 0, 0, 0, 0x80], Some(0x8000_0000_0000_0001)),
            (&[0xFE, 1, 0, 0, 0, 0, 0, 0], None),
            (&[0xFF], None),
            (&[], None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(take_lenenc_int(&mut &bytes[..]), expected, "{bytes:?}");
        }
        let mut bytes: &[u8] = b"\x03abcd";
        assert_eq!(take_lenenc_bytes(&mut bytes), Some(&b"abc"[..]));
        assert_eq!(bytes, b"d");
        let huge = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];
        assert_eq!(take_lenenc_bytes(&mut &huge[..]), None);
    }

    #[test]
    fn shown_is_short_and_printable() {
        assert_eq!(shown(b"HTTP/1.1 400\r\n"), r"'HTTP/1.1 400\r\n'");
        assert_eq!(shown(&[0; 30]).matches("\\x00").count(), 24);
        assert!(shown(&[0; 30]).ends_with("…'"));
    }
}
