//! The header of a file of tables: which half holds the tables in force, whose they are, and when their decider last turned.
//!
//! The file is this header, twice as large as it need be, and two halves of equal size. The writer fills the half that is not in force and
//! then replaces the header as a whole; it has a checksum of its own and holds that of the half, so that a reader who comes in the midst
//! of a write sees that and looks again. No reader maps the file: one that was cut short could not hurt more than a read that
//! fails.

use super::codec::FORMAT;
use crate::error::{Error, ErrorCode, Result};
use crate::store::checksum::crc64;

/// What such a file begins with.
const MAGIC: [u8; 8] = *b"PRIMACYT";

/// Where the first half begins.
pub const ROOM: u64 = 256;

/// A larger half is none.
pub const LARGEST: u64 = 64 << 20;

const WORDS: usize = 12;

/// Bytes of a header.
pub const SIZE: usize = 8 * (WORDS + 2);

/// What stands at the beginning of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Fingerprint of the decider's configuration.
    pub fingerprint: u64,
    /// The decider's process, as it sees itself.
    pub pid: u64,
    /// When its life began, milliseconds since the Unix epoch: with the pid it tells lives apart.
    pub since_ms: u64,
    /// Bytes of each half.
    pub capacity: u64,
    /// Counts the tables that were written; its lowest bit says in which half they are.
    pub sequence: u64,
    /// Bytes of the tables in force.
    pub length: u64,
    /// Their CRC-64/XZ.
    pub checksum: u64,
    /// When the decider last turned, CLOCK_MONOTONIC in nanoseconds.
    pub pulse: u64,
    /// How many events the decider had when this life began, and has now, as the control protocol counts them.
    pub events_before: u64,
    /// The same, now.
    pub events: u64,
    /// The file was replaced: look at its name again.
    pub moved: bool,
}

impl Header {
    /// Where a half begins.
    pub fn half(&self, sequence: u64) -> u64 {
        ROOM + (sequence & 1) * self.capacity
    }

    /// Whether both are of the same life of the same decider.
    pub fn same_life(&self, other: &Header) -> bool {
        (self.pid, self.since_ms) == (other.pid, other.since_ms)
    }

    /// The bytes.
    pub fn encode(&self) -> [u8; SIZE] {
        let words: [u64; WORDS] = [
            u64::from(FORMAT),
            self.fingerprint,
            self.pid,
            self.since_ms,
            self.capacity,
            self.sequence,
            self.length,
            self.checksum,
            self.pulse,
            self.events_before,
            self.events,
            u64::from(self.moved),
        ];
        let mut bytes = [0; SIZE];
        let mut put = |at: usize, word: [u8; 8]| {
            if let Some(place) = bytes.get_mut(at * 8..at * 8 + 8) {
                place.copy_from_slice(&word);
            }
        };
        put(0, MAGIC);
        for (at, word) in words.iter().enumerate() {
            put(at + 1, word.to_le_bytes());
        }
        let checksum = crc64(bytes.get(..SIZE - 8).unwrap_or_default());
        if let Some(place) = bytes.get_mut(SIZE - 8..) {
            place.copy_from_slice(&checksum.to_le_bytes());
        }
        bytes
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// [`ErrorCode::Cache`] for what is no header, or damaged; [`ErrorCode::Unsupported`] for one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Header> {
        let bad = |what: &str| Error::new(ErrorCode::Cache, what.to_owned());
        let word = |at: usize| -> Result<u64> {
            let bytes = bytes.get(at * 8..at * 8 + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u64::from_le_bytes).ok_or_else(|| bad("it is shorter than its header"))
        };
        if word(0)? != u64::from_le_bytes(MAGIC) {
            return Err(bad("this is no file of tables"));
        }
        let format = word(1)?;
        if format != u64::from(FORMAT) {
            let text = format!(
                "its format is {format}, and this version reads {FORMAT}: all processes that share a cache must use one release"
            );
            return Err(Error::new(ErrorCode::Unsupported, text));
        }
        if word(WORDS + 1)? != crc64(bytes.get(..SIZE - 8).unwrap_or_default()) {
            return Err(bad("its header is damaged"));
        }
        let header = Header {
            fingerprint: word(2)?,
            pid: word(3)?,
            since_ms: word(4)?,
            capacity: word(5)?,
            sequence: word(6)?,
            length: word(7)?,
            checksum: word(8)?,
            pulse: word(9)?,
            events_before: word(10)?,
            events: word(11)?,
            moved: word(12)? != 0,
        };
        match header.length <= header.capacity && header.capacity <= LARGEST {
            true => Ok(header),
            false => Err(bad("its header names lengths that cannot be")),
        }
    }
}
