//! What no caller of the first release can show: structures that have grown since, and texts at their limits.

use super::slice::{StructOut, TextOut, c_string, cut, struct_in};
use super::structs::Border;
use crate::error::ErrorCode;
use core::ffi::c_char;

/// A structure of a later release: the first one had it up to `a`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
struct Grown {
    size: u32,
    a: u32,
    b: u64,
    c: u64,
}

// SAFETY: repr(C), size first, no padding (4 + 4 + 8 + 8), numbers only.
unsafe impl Border for Grown {
    const ENDS: &'static [usize] = &[4, 8, 16, 24];
    const LEAST_OUT: usize = 8;
    const LEAST_IN: usize = 4;
}

/// Room for a structure of any size, with a pattern in it.
#[repr(C, align(8))]
struct Room([u8; 64]);

fn room(size: u32) -> Room {
    let mut room = Room([0xa5; 64]);
    room.0[..4].copy_from_slice(&size.to_ne_bytes());
    room
}

fn put(room: &mut Room) -> Result<(), ErrorCode> {
    let value = Grown { size: 0, a: 0x0101_0101, b: 0x0202_0202_0202_0202, c: 0x0303_0303_0303_0303 };
    // SAFETY: every size that the tests name is at most that of the room, or is refused.
    let out = unsafe { StructOut::<Grown>::new(room.0.as_mut_ptr().cast(), "out") };
    out.map(|out| out.put(&value)).map_err(|error| error.code())
}

#[test]
fn an_older_caller_gets_whole_fields() {
    for (size, expected) in [
        (8, vec![(4, 8, 1u8)]),
        (12, vec![(4, 8, 1), (8, 12, 0)]),
        (16, vec![(4, 8, 1), (8, 16, 2)]),
        (23, vec![(4, 8, 1), (8, 16, 2), (16, 23, 0)]),
        (24, vec![(4, 8, 1), (8, 16, 2), (16, 24, 3)]),
        (40, vec![(4, 8, 1), (8, 16, 2), (16, 24, 3), (24, 40, 0)]),
    ] {
        let mut room = room(size);
        assert_eq!(put(&mut room), Ok(()), "size {size}");
        assert_eq!(room.0[..4], size.to_ne_bytes(), "size {size} was overwritten");
        for (from, to, byte) in expected {
            assert!(
                room.0[from..to].iter().all(|b| *b == byte),
                "size {size}, bytes {from}..{to}: {:?}",
                room.0
            );
        }
        assert!(room.0[size as usize..].iter().all(|b| *b == 0xa5), "size {size}: wrote behind it");
    }
}

#[test]
fn a_size_that_cannot_be_is_refused() {
    for size in [0, 4, 7, 65537, 0xa5a5_a5a5] {
        let mut room = room(size);
        assert_eq!(put(&mut room), Err(ErrorCode::Size), "size {size}");
        assert!(room.0[4..].iter().all(|b| *b == 0xa5), "size {size}: wrote all the same");
    }
}

fn take(room: &Room) -> Result<Grown, ErrorCode> {
    // SAFETY: every size that the tests name is at most that of the room, or is refused.
    unsafe { struct_in::<Grown>(room.0.as_ptr().cast(), "in") }.map_err(|error| error.code())
}

#[test]
fn missing_fields_are_zero_and_unknown_bytes_must_be() {
    let (a, b) = (0xa5a5_a5a5, 0xa5a5_a5a5_a5a5_a5a5);
    assert_eq!(take(&room(4)), Ok(Grown { size: 4, a: 0, b: 0, c: 0 }));
    assert_eq!(take(&room(8)), Ok(Grown { size: 8, a, b: 0, c: 0 }));
    assert_eq!(take(&room(16)), Ok(Grown { size: 16, a, b, c: 0 }));
    assert_eq!(take(&room(24)), Ok(Grown { size: 24, a, b, c: b }));
    for size in [0, 3, 5, 12, 23, 70_000] {
        assert_eq!(take(&room(size)), Err(ErrorCode::Size), "size {size}");
    }
    let mut longer = room(32);
    assert_eq!(take(&longer), Err(ErrorCode::Unsupported));
    longer.0[24..32].fill(0);
    assert_eq!(take(&longer), Ok(Grown { size: 32, a, b, c: b }));
}

#[test]
fn texts_are_cut_between_characters() {
    let text = "a\u{e4}\u{20ac}\u{1f511}z";
    for room in 0..=text.len() + 2 {
        let part = cut(text, room);
        assert!(part.len() <= room && text.starts_with(part));
        assert!(part.len() + 3 >= room.min(text.len()), "too short at {room}");
        let mut buffer = [0x5au8; 32];
        // SAFETY: the buffer is longer than `room`.
        let out = unsafe { TextOut::new(buffer.as_mut_ptr().cast::<c_char>(), room) }.unwrap();
        assert_eq!(out.put(text).unwrap() as usize, text.len());
        assert!(buffer[room..].iter().all(|b| *b == 0x5a), "wrote behind {room} bytes");
        if room > 0 {
            let end = buffer.iter().position(|b| *b == 0).unwrap();
            assert_eq!(&buffer[..end], cut(text, room - 1).as_bytes());
        }
    }
    assert_eq!(c_string("a\0b").to_bytes(), b"a b");
}
