//! Real messages of the kernel, cut off and garbled.

use super::super::address::Address;
use super::super::link::Interface;
use super::super::message::{Builder, Message, Messages};
use super::super::socket::{Answer, Netlink, Protocol};
use super::address::spec;
use super::*;

type Raw = (u16, u16, Vec<u8>);

/// What the kernel answers to listings of links and addresses, and its refusal of a request.
fn real_messages() -> Vec<Raw> {
    let (host, _peer) = pair();
    host.with(|kernel, eth0| {
        for vip in [VIP4, VIP6] {
            kernel.add_address(&spec(eth0, ip(vip), Some(60))).expect("added");
        }
        let mut netlink = Netlink::open(&registry(), Protocol::Route).expect("a socket");
        let mut all: Vec<Raw> = Vec::new();
        for (kind, length) in [(libc::RTM_GETLINK, 16), (libc::RTM_GETADDR, 8)] {
            let body = vec![0; length];
            let found = netlink.list(format_args!("list"), kind, &body, None, |message| {
                Some((message.kind, message.flags, message.body.to_vec()))
            });
            all.extend(found.expect("a listing"));
        }
        all
    })
}

/// Everything that reads what the kernel sends.
fn read_all(bytes: &[u8]) -> (usize, bool) {
    let mut messages = Messages::of(bytes);
    let mut read = 0;
    for message in messages.by_ref() {
        read += usize::from(Interface::of(&message).is_some());
        read += usize::from(Address::of(&message).is_some());
        for kind in [2, 3] {
            for flags in [0, 0x100, 0x200, 0x300] {
                let _ = Answer::of(&Message { kind, flags, ..message });
            }
        }
    }
    (read, messages.torn)
}

#[test]
fn cut_off_at_every_byte() {
    as_root(|| {
        let messages = real_messages();
        assert!(messages.len() >= 8, "{}", messages.len());
        for (kind, flags, body) in &messages {
            let mut builder = Builder::default();
            builder.begin(*kind, *flags, 1, body);
            let whole = builder.bytes();
            assert_eq!(read_all(whole), (read_all(whole).0, false));
            assert!(read_all(whole).0 > 0, "type {kind} is understood");
            for length in 1..whole.len() {
                // The datagram ends early: the message is not believed.
                let (read, torn) = read_all(&whole[..length]);
                assert!(torn || length >= 16 + body.len(), "{length} of {} bytes", whole.len());
                assert!(read == 0 || length >= 16 + body.len(), "{length} of {} bytes", whole.len());
            }
            for length in 0..body.len() {
                // The message itself is shorter than what it is made of.
                let mut builder = Builder::default();
                builder.begin(*kind, *flags, 1, &body[..length]);
                read_all(builder.bytes());
            }
        }
    });
}

#[test]
fn garbled_at_every_byte() {
    as_root(|| {
        let mut builder = Builder::default();
        for (kind, flags, body) in real_messages().iter().rev().take(4) {
            builder.begin(*kind, *flags, 1, body);
        }
        let whole = builder.bytes().to_vec();
        for at in 0..whole.len() {
            for value in [0, 1, 3, 4, 0x7f, 0x80, 0xff] {
                let mut other = whole.clone();
                other[at] = value;
                read_all(&other);
            }
        }
    });
}

#[test]
fn acknowledgements() {
    let message = |kind, flags, body| Message { kind, flags, sequence: 1, body };
    let refusal = |errno: i32, words: &str| {
        let mut body = (-errno).to_ne_bytes().to_vec();
        body.extend_from_slice(&16u32.to_ne_bytes());
        body.extend_from_slice(&[0; 12]);
        let mut builder = Builder::default();
        builder.begin(2, 0x300, 1, &body);
        builder.text(1, words);
        builder.bytes()[16..].to_vec()
    };
    let body = refusal(libc::EINVAL, "Invalid scope value");
    let whole = Answer { errno: libc::EINVAL, reason: "Invalid scope value".to_owned() };
    assert_eq!(Answer::of(&message(2, 0x300, &body)), Some(whole));
    for length in 0..body.len() {
        let answer = Answer::of(&message(2, 0x300, &body[..length]));
        assert_eq!(answer.is_some(), length >= 4, "{length} bytes");
    }
    // Numbers that cannot be.
    let lowest = i32::MIN.to_ne_bytes();
    assert_eq!(Answer::of(&message(2, 0, &lowest)), None);
    assert_eq!(Answer::of(&message(3, 0, &[])), Some(Answer { errno: 0, reason: String::new() }));
    assert_eq!(Answer::of(&message(2, 0, &[])), None, "an acknowledgement has a number");
}
