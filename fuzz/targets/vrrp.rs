//! VRRP: packets, and a virtual router that hears them while time passes.
//!
//! The first byte chooses family and checksum form, then come packets: a byte of length, and the payload. What decodes is written and
//! read again. Every third packet gets a checksum that fits, so that what lies behind it is reached.

use super::input::Input;
use primacy::engine::time::{Duration, Time};
use primacy::vip::ownership::{Leaving, Output, Ownership, Score};
use primacy::vip::vrrp::{Advert, ChecksumV4, Family, Packet, Setup, Version, VirtualRouter};
use std::net::IpAddr;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.byte();
    let (family, own, other) = match choice & 1 {
        0 => (Family::V4, IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 3])),
        _ => {
            let host = |n| IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, n]);
            (Family::V6, host(2), host(3))
        }
    };
    let checksum_v4 = if choice & 2 == 0 { ChecksumV4::Compat } else { ChecksumV4::Rfc9568 };
    let setup = Setup {
        version: if choice & 4 != 0 && family == Family::V4 { Version::V2 } else { Version::V3 },
        vrid: 7,
        interval: Duration::from_secs(1),
        addresses: vec![own],
        source: own,
        peers: Vec::new(),
        checksum_v4,
        password: None,
        stickiness: input.byte(),
        preempt_delay: Duration::from_millis(u64::from(input.byte())),
        address_owner: choice & 8 != 0,
    };
    let mut router = VirtualRouter::new(setup).expect("a router");
    let mut now = Time(1);
    router.wish(now, Score(input.byte()));
    let mut owned = false;
    let mut lost = false;
    while !input.is_empty() {
        let step = input.byte();
        now = now + Duration::from_millis(u64::from(input.byte()) * 8);
        match step % 8 {
            0 => router.wish(now, Score(input.byte())),
            1 => router.leave(now, if step & 8 == 0 { Leaving::ToHeir } else { Leaving::ToAnyone }),
            2 if lost => {
                lost = false;
                router.released(now);
            }
            2 => router.claim(now),
            3 => router.handle_timer(now),
            _ => {
                let length = usize::from(input.byte());
                let mut bytes = input.take(length).to_vec();
                if step & 16 != 0 {
                    mend(&mut bytes, other, family, step & 32 != 0);
                }
                let hops = if step & 64 != 0 { step } else { 255 };
                let packet =
                    Packet { family, source: other, destination: family.group(), hops, bytes: &bytes };
                again(&packet, checksum_v4);
                router.packet(now, &packet);
            }
        }
        while let Some(output) = router.poll() {
            match output {
                Output::Own { .. } => {
                    assert!(!owned && !lost, "owned twice, or before what was lost is off");
                    owned = true;
                }
                Output::Lose { .. } => {
                    assert!(owned, "lost what is not owned");
                    (owned, lost) = (false, true);
                }
                Output::Do(send) => {
                    let Advert { priority, vrid, .. } = decoded(&send.bytes, send.source, send.destination);
                    assert!(vrid == 7 && (priority < 255 || choice & 8 != 0), "{priority}");
                }
                Output::Valid { .. } => panic!("VRRP knows no validity"),
                _ => {}
            }
        }
        assert_eq!(router.owns(), owned);
    }
}

fn decoded(bytes: &[u8], source: IpAddr, destination: IpAddr) -> Advert {
    let packet = Packet { family: Family::of(source), source, destination, hops: 255, bytes };
    Advert::decode(&packet).expect("our own packet").0
}

/// What is read can be written, and is the same then.
fn again(packet: &Packet<'_>, form: ChecksumV4) {
    if let Ok((advert, _)) = Advert::decode(packet) {
        let bytes = advert.encode(packet.source, packet.destination, form).expect("what was read");
        assert_eq!(decoded(&bytes, packet.source, packet.destination), advert);
    }
}

/// Puts in a checksum that fits: RFC 1071 over the payload, and over the pseudo-header unless `plain`.
fn mend(bytes: &mut [u8], source: IpAddr, family: Family, plain: bool) {
    let Some(field) = bytes.get_mut(6..8) else { return };
    field.fill(0);
    let octets = |address: IpAddr| match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    let mut summed = bytes.to_vec();
    summed.resize(bytes.len().next_multiple_of(2), 0);
    if !plain {
        summed.extend(octets(source));
        summed.extend(octets(family.group()));
        summed.extend([0, bytes.len() as u8, 0, 112]);
    }
    let mut sum: u32 = summed.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[6..8].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}
