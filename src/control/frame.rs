//! Frames: a length of 32 bits, big endian, and as many bytes.

use crate::error::{Error, ErrorCode, Result};

/// Largest request in bytes.
pub const LARGEST_REQUEST: usize = 64 * 1024;
/// Largest answer in bytes: the figures of thousands of nodes.
pub const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

const HEADER: usize = 4;

/// Puts a document into a frame.
///
/// # Errors
/// [`ErrorCode::Unsupported`] if it has more than `limit` bytes.
pub fn frame(document: &str, limit: usize) -> Result<Vec<u8>> {
    let length = u32::try_from(document.len()).ok().filter(|_| document.len() <= limit);
    let Some(length) = length else {
        return Err(Error::new(
            ErrorCode::Unsupported,
            format!(
                "a message of {} bytes is longer than the {limit} that the other side takes",
                document.len()
            ),
        ));
    };
    let mut bytes = Vec::with_capacity(HEADER + document.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(document.as_bytes());
    Ok(bytes)
}

/// Puts frames together from bytes as they come. Memory is taken for bytes that came, never for a length that
/// was announced.
#[derive(Clone, Debug)]
pub struct FrameReader {
    limit: usize,
    buffer: Vec<u8>,
}

impl FrameReader {
    /// For documents of at most `limit` bytes.
    pub fn new(limit: usize) -> FrameReader {
        FrameReader { limit, buffer: Vec::new() }
    }

    /// Takes bytes. The answer is the document, once it is whole; bytes that follow it are kept.
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`] for a length above the limit. The stream has no further frames then.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>> {
        self.buffer.extend_from_slice(bytes);
        let Some((header, rest)) = self.buffer.split_first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_be_bytes(*header) as usize;
        if length > self.limit {
            return Err(Error::new(
                ErrorCode::Unsupported,
                format!("a message of {length} bytes is announced; at most {} are taken", self.limit),
            ));
        }
        let Some(document) = rest.get(..length) else { return Ok(None) };
        let document = document.to_vec();
        self.buffer.drain(..HEADER + length);
        if self.buffer.is_empty() {
            // A large frame must not keep its memory for ever.
            self.buffer = Vec::new();
        }
        Ok(Some(document))
    }

    /// Whether part of a frame has come.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// How many bytes it takes at once before it has a whole frame or an error.
    pub fn room(&self) -> usize {
        (HEADER + self.limit).saturating_sub(self.buffer.len()).max(1)
    }
}
