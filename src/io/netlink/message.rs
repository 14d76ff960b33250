//! Netlink messages as bytes: building requests, reading answers (netlink(7); linux/netlink.h). Native byte order,
//! everything aligned to four bytes. Nothing here makes a system call, and no length in a message is believed.

/// Length of a message's header: length, type, flags, sequence number, port.
pub(super) const HEADER: usize = 16;
/// Length of an attribute's header: length, type.
const ATTRIBUTE: usize = 4;
/// The bits of an attribute's type that are its type; the others say "nested" and "network byte order".
const TYPE: u16 = 0x3fff;

const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

/// One or several requests, ready to be sent.
#[derive(Debug, Default)]
pub(super) struct Builder {
    bytes: Vec<u8>,
    /// Where the message begins that is being built.
    start: usize,
}

impl Builder {
    /// Begins a message. `body` is the fixed structure of its family (`ifaddrmsg` and the like).
    pub(super) fn begin(&mut self, kind: u16, flags: u16, sequence: u32, body: &[u8]) {
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(body);
        self.finish();
    }

    /// Adds an attribute to the message. Values are far shorter than the 64 KiB that a length can tell.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = (ATTRIBUTE + value.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.finish();
    }

    /// A string with the zero byte that the kernel wants behind it.
    pub(super) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Pads, and writes the length into the header.
    fn finish(&mut self) {
        self.bytes.resize(aligned(self.bytes.len()), 0);
        let length = (self.bytes.len() - self.start) as u32;
        for (to, from) in self.bytes.iter_mut().skip(self.start).zip(length.to_ne_bytes()) {
            *to = from;
        }
    }
}

/// A message that came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) body: &'a [u8],
}

/// The messages of a datagram. Ends at the first that does not fit, with `torn` set.
#[derive(Debug)]
pub(super) struct Messages<'a> {
    rest: &'a [u8],
    /// Bytes were left that are no message.
    pub(super) torn: bool,
}

impl<'a> Messages<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Messages<'a> {
        Messages { rest: bytes, torn: false }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let read = || {
            let length = usize::try_from(u32_at(self.rest, 0)?).ok()?;
            let message = Message {
                kind: u16_at(self.rest, 4)?,
                flags: u16_at(self.rest, 6)?,
                sequence: u32_at(self.rest, 8)?,
                body: self.rest.get(HEADER..length)?,
            };
            Some((message, self.rest.get(aligned(length)..).unwrap_or_default()))
        };
        let Some((message, rest)) = read() else {
            self.torn = true;
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        Some(message)
    }
}

/// The attributes behind a fixed structure. Ends at the first that does not fit: what came before it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Those of a body whose fixed structure has this length.
    pub(super) fn after(body: &'a [u8], fixed: usize) -> Attributes<'a> {
        Attributes { rest: body.get(aligned(fixed)..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = usize::from(u16_at(self.rest, 0)?);
        let kind = u16_at(self.rest, 2)? & TYPE;
        let value = self.rest.get(ATTRIBUTE..length)?;
        self.rest = self.rest.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The string of an attribute, up to its zero byte. What is no UTF-8 is replaced.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

pub(super) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_ne_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_ne_bytes)
}

pub(super) fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    array_at(bytes, at).map(i32::from_ne_bytes)
}

pub(super) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
