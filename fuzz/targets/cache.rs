//! The cache document: as it comes, with its checksum put right, and as the state that a new life begins from.

use super::engine_world::{World, configuration};
use primacy::store::{Cache, decode, encode};

const CHECKSUM: &str = "checksum = crc64 ";

pub fn run(data: &[u8]) {
    take(data);
    take(&sealed(data));
}

fn take(bytes: &[u8]) {
    match decode(bytes, "origin") {
        Ok(cache) => {
            let text = encode(&cache);
            assert_eq!(decode(text.as_bytes(), "again").as_ref(), Ok(&cache), "{text}");
            begin(cache);
        }
        Err(error) => assert!(error.message().starts_with("origin: byte "), "{error}"),
    }
}

/// Any state may be what a life begins from, whoever wrote it.
fn begin(cache: Cache) {
    for choice in 0..4 {
        let mut world = World::new(configuration(&[choice, choice, 1, 0]), Some(cache.clone()));
        for turn in 0..6u8 {
            world.act(0, [turn, turn / 4, turn]);
            world.act(6, [0; 3]);
        }
    }
}

/// The text with the checksum of what is before its last line; with one more line if it has none.
fn sealed(data: &[u8]) -> Vec<u8> {
    let find = |w: &[u8]| w == CHECKSUM.as_bytes();
    let end = data.windows(CHECKSUM.len()).rposition(find).unwrap_or(data.len());
    let mut text = data[..end].to_vec();
    text.extend_from_slice(format!("{CHECKSUM}{:016x}\n", crc64(&data[..end])).as_bytes());
    text
}

/// CRC-64/XZ, bit by bit.
fn crc64(bytes: &[u8]) -> u64 {
    !bytes.iter().fold(u64::MAX, |crc, &byte| {
        (0..8)
            .fold(crc ^ u64::from(byte), |c, _| (c >> 1) ^ if c & 1 == 1 { 0xC96C_5795_D787_0F42 } else { 0 })
    })
}
