//! Packets: what is written is read, and what is not in order has its reason.

use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

const V4: (&str, &str) = ("10.0.0.3", "224.0.0.18");
const V6: (&str, &str) = ("fe80::3", "ff02::12");

fn advert(addresses: &[&str]) -> Advert {
    Advert {
        version: Version::V3,
        vrid: 7,
        priority: 100,
        interval: MS(1000),
        addresses: addresses.iter().map(|a| ip(a)).collect(),
        password: None,
    }
}

fn read((source, destination): (&str, &str), bytes: &[u8]) -> Result<(Advert, Form), Reject> {
    let source = ip(source);
    Advert::decode(&Packet {
        family: Family::of(source),
        source,
        destination: ip(destination),
        hops: 255,
        bytes,
    })
}

fn write((source, destination): (&str, &str), advert: &Advert, form: ChecksumV4) -> Vec<u8> {
    advert.encode(ip(source), ip(destination), form).expect("an advert")
}

/// Corrects the checksum of a packet that a test has changed.
fn resummed((source, destination): (&str, &str), mut bytes: Vec<u8>, plain: bool) -> Vec<u8> {
    bytes[6..8].fill(0);
    let sum = checksum::Sum::default().add(&bytes);
    let sum = if plain { sum } else { sum.pseudo_header(ip(source), ip(destination), bytes.len()) };
    bytes[6..8].copy_from_slice(&sum.checksum());
    bytes
}

#[test]
fn bytes_of_version_3() {
    // 31 07 64 01 | 0064 + checksum | address; the sums were taken by hand.
    let bytes = write(V4, &advert(&["10.0.0.101"]), ChecksumV4::Rfc9568);
    assert_eq!(bytes, [0x31, 7, 100, 1, 0, 100, 0x60, 0x2e, 10, 0, 0, 101]);
    let bytes = write(V4, &advert(&["10.0.0.101"]), ChecksumV4::Compat);
    // The pseudo-header adds 0a00 + 0003 + e000 + 0012 + 000c + 0070 = ea91.
    assert_eq!(bytes[6..8], (!folded(u32::from(!0x602eu16) + 0xea91)).to_be_bytes());
    assert_eq!(read(V4, &bytes), Ok((advert(&["10.0.0.101"]), Form::Like(ChecksumV4::Compat))));
}

fn folded(sum: u32) -> u16 {
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[test]
fn bytes_of_version_2() {
    let mut advert = advert(&["10.0.0.101"]);
    advert.version = Version::V2;
    advert.password = Password::new("geheim");
    let bytes = write(V4, &advert, ChecksumV4::Compat);
    assert_eq!(bytes[..6], [0x21, 7, 100, 1, 1, 1]);
    assert_eq!(bytes[8..], *b"\x0a\0\0\x65geheim\0\0");
    assert_eq!(read(V4, &bytes), Ok((advert.clone(), Form::Only)));
    assert!(!format!("{advert:?}").contains("geheim"));
    assert_eq!(Password::new("123456789"), None);
    assert_eq!(Password::new(""), None);
}

#[test]
fn each_reason() {
    let good = write(V4, &advert(&["10.0.0.101", "10.0.0.102"]), ChecksumV4::Rfc9568);
    assert!(read(V4, &good).is_ok());
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        read(V4, &resummed(V4, bytes, true)).map(|_| ())
    };
    assert_eq!(changed(0, 0x41), Err(Reject::Version));
    assert_eq!(changed(0, 0x11), Err(Reject::Version));
    assert_eq!(changed(0, 0x32), Err(Reject::Type));
    assert_eq!(changed(0, 0x30), Err(Reject::Type));
    assert_eq!(changed(1, 0), Err(Reject::VridZero));
    assert_eq!(changed(2, 0), Ok(()), "priority 0 is a farewell");
    assert_eq!(changed(3, 0), Err(Reject::AddressCount));
    assert_eq!(changed(3, 1), Err(Reject::AddressCount));
    assert_eq!(changed(3, 3), Err(Reject::Truncated));
    assert_eq!(changed(5, 0), Err(Reject::IntervalZero));
    assert_eq!(changed(4, 0xf0), Ok(()), "reserved bits are ignored");
    let mut forged = good.clone();
    forged[7] ^= 1;
    assert_eq!(read(V4, &forged), Err(Reject::Checksum));
    for end in 0..good.len() {
        assert_eq!(read(V4, &good[..end]), Err(Reject::Truncated), "{end}");
    }

    let packet = |source: &str, to: &str, hops: u8| {
        let packet =
            Packet { family: Family::V4, source: ip(source), destination: ip(to), hops, bytes: &good };
        Advert::decode(&packet).map(|_| ())
    };
    assert_eq!(packet("10.0.0.3", "224.0.0.18", 255), Ok(()));
    assert_eq!(packet("10.0.0.3", "224.0.0.18", 254), Err(Reject::HopLimit));
    assert_eq!(packet("10.0.0.3", "224.0.0.5", 255), Err(Reject::Destination));
    assert_eq!(packet("10.0.0.3", "255.255.255.255", 255), Err(Reject::Destination));
    assert_eq!(packet("0.0.0.0", "224.0.0.18", 255), Err(Reject::Source));
    assert_eq!(packet("224.0.0.18", "224.0.0.18", 255), Err(Reject::Source));
    assert_eq!(packet("fe80::3", "224.0.0.18", 255), Err(Reject::Family));

    let six = write(V6, &advert(&["fe80::101", "fd00::101"]), ChecksumV4::Rfc9568);
    assert_eq!(read(V6, &six).map(|r| r.1), Ok(Form::Only));
    assert_eq!(read(("fd00::3", "ff02::12"), &six), Err(Reject::Source));
    assert_eq!(
        read(V6, &resummed(V6, six.clone(), true)),
        Err(Reject::Checksum),
        "IPv6 is summed with its header"
    );
    let mut two = six;
    two[0] = 0x21;
    assert_eq!(read(V6, &resummed(V6, two, true)), Err(Reject::Version), "there is no version 2 of IPv6");

    let mut old = advert(&["10.0.0.101"]);
    old.version = Version::V2;
    old.password = Password::new("geheim");
    let old = write(V4, &old, ChecksumV4::Compat);
    for end in 0..old.len() {
        assert_eq!(read(V4, &old[..end]), Err(Reject::Truncated), "{end}");
    }
    let changed = |at: usize, value: u8| {
        let mut bytes = old.clone();
        bytes[at] = value;
        read(V4, &resummed(V4, bytes, true)).map(|_| ())
    };
    assert_eq!(changed(4, 2), Err(Reject::AuthType));
    assert_eq!(changed(5, 0), Err(Reject::IntervalZero));
    assert_eq!(read(V4, &resummed(V4, old, false)), Err(Reject::Checksum), "version 2 is summed without");
}

#[test]
fn what_cannot_be_sent() {
    let encode = |change: fn(&mut Advert)| {
        let mut advert = advert(&["10.0.0.101"]);
        change(&mut advert);
        advert.encode(ip(V4.0), ip(V4.1), ChecksumV4::Compat).map(|_| ())
    };
    assert_eq!(encode(|_| ()), Ok(()));
    assert_eq!(encode(|a| a.vrid = 0), Err(Unsendable::VridZero));
    assert_eq!(encode(|a| a.addresses.clear()), Err(Unsendable::AddressCount));
    assert_eq!(encode(|a| a.addresses = vec![ip("10.0.0.1"); 256]), Err(Unsendable::AddressCount));
    assert_eq!(encode(|a| a.addresses.push(ip("fe80::1"))), Err(Unsendable::Family));
    assert_eq!(encode(|a| a.interval = MS(4)), Err(Unsendable::Interval));
    assert_eq!(encode(|a| a.interval = MS(40_960)), Err(Unsendable::Interval));
    assert_eq!(encode(|a| a.password = Password::new("x")), Err(Unsendable::Password));
    assert_eq!(encode(|a| (a.version, a.interval) = (Version::V2, MS(100))), Err(Unsendable::Interval));
    let six = advert(&["fe80::1"]);
    assert_eq!(six.encode(ip("fe80::2"), ip(V4.1), ChecksumV4::Compat), Err(Unsendable::Family));
    let old = Advert { version: Version::V2, ..six };
    assert_eq!(old.encode(ip("fe80::2"), ip("ff02::12"), ChecksumV4::Compat), Err(Unsendable::Family));
}

fn any_advert() -> impl Strategy<Value = (Advert, IpAddr, IpAddr)> {
    let four = (prop::collection::vec(any::<[u8; 4]>(), 1..=255), any::<[u8; 2]>(), any::<bool>()).prop_map(
        |(list, [a, b], group)| {
            let to = if group { advert::GROUP_V4 } else { Ipv4Addr::new(10, 1, a, b) };
            let list: Vec<IpAddr> = list.into_iter().map(IpAddr::from).collect();
            (list, IpAddr::from([10, 2, a, b]), IpAddr::V4(to))
        },
    );
    let six = (prop::collection::vec(any::<[u8; 16]>(), 1..=255), any::<u16>(), any::<bool>()).prop_map(
        |(list, n, group)| {
            let to = if group { advert::GROUP_V6 } else { Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 9, n) };
            let list: Vec<IpAddr> = list.into_iter().map(IpAddr::from).collect();
            (list, IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 8, n)), IpAddr::V6(to))
        },
    );
    let password = prop::option::of("[a-z]{1,8}");
    let list = prop_oneof![four, six];
    (list, 1..=255u8, any::<u8>(), 1..=4095u64, any::<bool>(), password).prop_map(
        |((addresses, source, to), vrid, priority, interval, old, password)| {
            let old = old && source.is_ipv4();
            let advert = Advert {
                version: if old { Version::V2 } else { Version::V3 },
                vrid,
                priority,
                interval: if old { Duration::from_secs(interval % 255 + 1) } else { MS(interval * 10) },
                addresses,
                password: password.filter(|_| old).and_then(|p| Password::new(&p)),
            };
            (advert, source, to)
        },
    )
}

proptest! {
    #[test]
    fn round_trip((advert, source, destination) in any_advert(), compat in any::<bool>(), bit in any::<usize>()) {
        let own = if compat { ChecksumV4::Compat } else { ChecksumV4::Rfc9568 };
        let bytes = advert.encode(source, destination, own).unwrap();
        prop_assert!(bytes.len() <= advert::MAX_LENGTH);
        let packet = |bytes| Packet { family: Family::of(source), source, destination, hops: 255, bytes };
        let (read, form) = Advert::decode(&packet(&bytes)).unwrap();
        prop_assert_eq!(&read, &advert);
        prop_assert!(!form.contradicts(own));
        // Whatever is cut off, or turned over by one bit, is not heard. (Of version 2 the data of authentication may be missing.)
        let optional = advert.version == Version::V2 && advert.password.is_none();
        for end in (0..bytes.len()).filter(|end| !(optional && end + 8 == bytes.len())) {
            prop_assert!(Advert::decode(&packet(&bytes[..end])).is_err(), "{}", end);
        }
        let mut flipped = bytes.clone();
        let bit = bit % (bytes.len() * 8);
        flipped[bit / 8] ^= 1 << (bit % 8);
        let flip = Advert::decode(&packet(&flipped));
        // Once in a while the other form fits.
        let caught = flip.as_ref().map_or(true, |(_, form)| form.contradicts(own));
        prop_assert!(caught, "bit {}: {:?}", bit, flip);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), six in any::<bool>(), plain in any::<bool>(), begin in 0..3usize) {
        let ends = if six { V6 } else { V4 };
        let _ = read(ends, &bytes);
        // The same with a version and a checksum that let it get further.
        let mut bytes = bytes;
        if bytes.len() >= 8 {
            bytes[0] = [0x31, 0x21, bytes[0]][begin];
            let bytes = resummed(ends, bytes, plain);
            if let Ok((advert, _)) = read(ends, &bytes) {
                prop_assert!(advert.vrid != 0 && !advert.interval.is_zero() && !advert.addresses.is_empty());
            }
        }
    }
}
