//! The peer channel: a file of orders; datagrams from outside, and those of a peer that has the key and says anything.

use super::input::Input;
use hmac::{Hmac, KeyInit, Mac};
use primacy::engine::Time;
use primacy::engine::time::Duration;
use primacy::vip::peer::{
    Channel, Keys, LARGEST, Order, OwnState, PeerAddress, PeerInput, Registers, Role, Settings, VipState,
};
use primacy::wire::Secret;
use sha2::Sha256;
use std::net::SocketAddr;

const KEY: &[u8] = b"a key of sixteen";

/// The first byte chooses.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 2 {
        0 => file(input.take(usize::MAX)),
        _ => talk(&mut input),
    }
}

fn file(bytes: &[u8]) {
    match Registers::decode(bytes, "orders") {
        Ok(registers) => {
            let again = registers.encode();
            assert_eq!(Registers::decode(again.as_bytes(), "again").as_ref(), Ok(&registers));
        }
        Err(error) => assert!(error.message().starts_with("orders: ") && !error.message().contains('\n')),
    }
}

/// The peer rt1, as the layout in the documentation has it.
struct Peer {
    counter: u64,
    challenge: [u8; 16],
}

impl Peer {
    fn datagram(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        self.counter += 1;
        let mut out = b"PVIP\x01".to_vec();
        out.extend_from_slice(&[kind, 1, 0]);
        out.extend_from_slice(&[9; 16]);
        out.extend_from_slice(&self.counter.to_be_bytes());
        out.extend_from_slice(&[5; 16]);
        out.extend_from_slice(&self.challenge);
        out.extend_from_slice(b"\x03rt1\x03rt2");
        out.extend_from_slice(&(body.len() as u16).to_be_bytes());
        out.extend_from_slice(body);
        let mac = Hmac::<Sha256>::new_from_slice(KEY).expect("a key").chain_update(&out);
        out.extend_from_slice(&mac.finalize().into_bytes());
        out
    }
}

fn drain(channel: &mut Channel, peer: &mut Peer) {
    for count in 0.. {
        let Some((to, bytes)) = channel.poll_transmit() else { return };
        assert!(count < 1000, "it talks without end");
        assert!(bytes.len() <= LARGEST && to == address(1), "{} bytes to {to}", bytes.len());
        peer.challenge.copy_from_slice(&bytes[32..48]);
    }
}

fn address(host: u8) -> SocketAddr {
    SocketAddr::new([10, 0, 0, host].into(), 5405)
}

fn talk(input: &mut Input<'_>) {
    let settings = Settings {
        name: "rt2".into(),
        peers: vec![PeerAddress { name: "rt1".into(), address: address(1) }],
        interval: Duration::from_millis(500),
    };
    let keys = Keys::new(Secret::new(KEY), None).expect("a key");
    let mut now = Time::from_millis(1000);
    let mut channel = Channel::new(now, settings, keys, Registers::default(), [3; 32]).expect("a channel");
    let mut peer = Peer { counter: 0, challenge: [0; 16] };
    channel.handle_timer(now);
    drain(&mut channel, &mut peer);
    let hello = peer.datagram(1, b"");
    let news = channel.handle_datagram(now, address(1), &hello);
    assert!(matches!(&news[..], [PeerInput::Found { .. }]), "the layout is another one: {news:?}");
    let mut last = hello;
    for _ in 0..200 {
        drain(&mut channel, &mut peer);
        let (choice, mut news) = (input.byte(), Vec::new());
        match choice {
            0..8 => {
                let length = usize::from(input.number());
                last = peer.datagram(choice, input.take(length.min(LARGEST)));
                news = channel.handle_datagram(now, address(1), &last);
            }
            8..16 => {
                let length = usize::from(input.number());
                news = channel.handle_datagram(now, address(choice % 2), input.take(length));
            }
            16 => {
                now = now + Duration::from_millis(u64::from(input.byte()) * 10);
                news = channel.handle_timer(now);
                assert!(channel.poll_timeout() > now, "the timer stands still");
            }
            17 => {
                let vip =
                    VipState { role: Role::Owner, epoch: u64::from(input.byte()), ..VipState::default() };
                let vips = (0..input.byte()).map(|n| (format!("v{n}"), vip.clone())).collect();
                let state = OwnState { agent: "x".into(), standby: false, vips };
                channel.set_state(now, state).expect("a state");
            }
            18 => {
                let order = Order::Standby { host: "rt1".into(), standby: input.byte() % 2 == 0 };
                channel.order(now, &order).expect("an order");
            }
            19 => drop(channel.hand_over(now, "web", "rt1", u64::from(input.byte()))),
            _ => {
                let refused = channel.rejects("rt1").expect("a peer").total();
                news = channel.handle_datagram(now, address(1), &last);
                assert!(channel.rejects("rt1").expect("a peer").total() > refused, "it was taken twice");
                assert!(!news.iter().any(|n| !matches!(n, PeerInput::Trouble { .. })), "{news:?}");
            }
        }
        for news in &news {
            let words = news.to_string();
            assert!(!words.is_empty() && !words.chars().any(char::is_control), "{words:?}");
        }
        if input.is_empty() {
            break;
        }
    }
    let json = channel.view(now).to_json();
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    let kept = channel.registers().encode();
    assert_eq!(Registers::decode(kept.as_bytes(), "kept").as_ref(), Ok(channel.registers()));
}
