//! What is said when the kernel refuses.

use super::super::{AddressSpec, NetError};
use super::address::spec;
use super::*;
use crate::error::{Error, ErrorCode};
use crate::io::neighbour::{Family, Neighbours};

/// Gives up every right of the calling thread alone (capset(2)).
fn drop_capabilities() {
    // _LINUX_CAPABILITY_VERSION_3, this thread; then effective, permitted, inheritable, twice 32 bits.
    let header: [u32; 2] = [0x2008_0522, 0];
    let none = [0u32; 6];
    // SAFETY: both arrays are laid out as the kernel's structures of version 3, which it only reads.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    assert_eq!(result, 0, "capset: {}", std::io::Error::last_os_error());
}

#[test]
fn a_missing_capability_is_named() {
    as_root(|| {
        let (host, peer) = pair();
        host.with(|kernel, eth0| {
            kernel.add_address(&spec(eth0, ip("10.0.0.7"), None)).expect("added");
        });
        let listener = host.run(|| std::net::TcpListener::bind("10.0.0.7:0").expect("a port"));
        let target = listener.local_addr().expect("an address");
        let _client = peer.run(move || std::net::TcpStream::connect(target).expect("connected"));
        host.with(|kernel, eth0| {
            drop_capabilities();
            let said = |result: Result<(), NetError>| result.expect_err("not allowed").to_string();
            let vip = ip(VIP4);
            assert_eq!(
                said(kernel.add_address(&spec(eth0, vip, Some(60))).map(drop)),
                "CAP_NET_ADMIN is needed to add 10.0.0.101/16 to eth0"
            );
            assert_eq!(
                said(kernel.remove_address(eth0, ip("10.0.0.7")).map(drop)),
                "CAP_NET_ADMIN is needed to remove 10.0.0.7/16 from eth0"
            );
            assert_eq!(said(kernel.block(eth0, vip)), "CAP_NET_ADMIN is needed to block 10.0.0.101");
            assert_eq!(
                said(kernel.destroy(ip("10.0.0.7")).map(drop)),
                "CAP_NET_ADMIN is needed to end the connections of 10.0.0.7"
            );
            for family in [Family::V4, Family::V6] {
                assert_eq!(
                    said(Neighbours::open(&registry(), eth0, family).map(drop)),
                    "CAP_NET_RAW is needed to speak to the neighbours on eth0"
                );
            }
            // To look needs no right.
            assert!(kernel.is_present(eth0, ip("10.0.0.7")).expect("a listing"));
            super::super::Watch::open(&registry(), kernel).expect("a watch");
        });
    });
}

#[test]
fn a_missing_interface_is_named() {
    as_root(|| {
        let (host, _peer) = pair();
        host.with(|kernel, eth0| {
            for name in ["eth7", "", "a-name-longer-than-fits", "a\0b"] {
                let error = kernel.interface(name).expect_err("there is none");
                assert_eq!(error, NetError::NoInterface { name: name.to_owned() });
            }
            let error: Error = kernel.interface("eth7").expect_err("there is none").into();
            assert_eq!(
                (error.code(), error.message()),
                (ErrorCode::NotFound, "there is no network interface \"eth7\"")
            );
            let lo = kernel.interface("lo").expect("lo");
            assert_eq!((lo.mac, lo.up), (None, true));
            assert_eq!((eth0.mtu, eth0.up, eth0.running), (1500, true, true));
            let all: Vec<String> =
                kernel.interfaces().expect("a listing").into_iter().map(|link| link.name).collect();
            assert_eq!(all, ["lo", "eth0"]);
            // It goes between the look-up and the use.
            let gone = Interface { index: 4711, ..eth0.clone() };
            let error = kernel.add_address(&spec(&gone, ip(VIP4), Some(60))).expect_err("it has gone");
            assert_eq!(error.errno(), Some(libc::ENODEV), "{error}");
            assert!(!kernel.remove_address(&gone, ip(VIP4)).expect("nothing to remove"));
        });
    });
}

#[test]
fn the_kernel_s_own_words_are_passed_on() {
    as_root(|| {
        let (host, _peer) = pair();
        host.run(|| std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1").expect("a setting"));
        host.with(|kernel, eth0| {
            let error = kernel.add_address(&spec(eth0, ip(VIP6), Some(60))).expect_err("IPv6 is off");
            let text = error.to_string();
            assert!(text.starts_with("cannot add fd00::101/64 to eth0: "), "{text}");
            assert!(text.contains("the kernel says: "), "{text}");
            let multicast = AddressSpec { prefix: 128, ..spec(eth0, ip("ff02::1"), None) };
            let text = kernel.add_address(&multicast).expect_err("a group").to_string();
            assert!(text.contains("cannot add ff02::1/128 to eth0: "), "{text}");
        });
    });
}
