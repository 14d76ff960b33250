//! A check of a router's port under the contract with its driver: everything a peer, a kernel and a clock may do, in any
//! order.
//!
//! The first byte chooses the check; then each byte is an act, and what it needs follows it.

use super::input::Input;
use super::wire::SEED;
use primacy::engine::time::{Duration, Time};
use primacy::probe::{Action, Cause, Check, CheckRequest, PeerSign, Protocol, Role, SessionConfig, Verdict};
use primacy::wire::{Encryption, RsaPolicy, Secret, Transport};

const REQUEST: CheckRequest =
    CheckRequest { timeout: Duration::from_millis(250), check_timeout: Duration::from_millis(1000) };

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    Down,
    Connecting,
    Up,
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte();
    let transport = if kind & 8 == 0 { Transport::Plain } else { Transport::Unix };
    let config = SessionConfig {
        group: false,
        user: "primacy".into(),
        password: Some(Secret::new("s3cret")),
        transport,
        encryption: if kind & 16 == 0 { Encryption::Off } else { Encryption::IfOffered },
        rsa: RsaPolicy::Refuse,
        max_packet: if kind & 4 == 0 { 1 << 16 } else { 200 },
    };
    let check = match kind & 3 {
        0 => Check::tcp(transport),
        1 => Check::x(config),
        2 => Check::router(config, Protocol::Classic, Role::Rw),
        _ => Check::router(config, Protocol::X, Role::RoStrict),
    };
    let mut driver =
        Driver { check, now: Time::from_millis(1), link: Link::Down, began: None, handshake: false };
    while !input.is_empty() {
        driver.act(&mut input);
    }
}

struct Driver {
    check: Check,
    now: Time,
    link: Link,
    /// When the check under way began.
    began: Option<Time>,
    /// A TLS handshake is under way.
    handshake: bool,
}

impl Driver {
    fn act(&mut self, input: &mut Input<'_>) {
        let now = self.now;
        match input.byte() % 10 {
            0 => {
                self.began.get_or_insert(now);
                self.check.begin(now, REQUEST);
            }
            1 if self.link == Link::Connecting => {
                self.link = Link::Up;
                self.check.handle_connected(now, SEED);
            }
            2 if self.link == Link::Connecting => {
                self.link = Link::Down;
                self.check.handle_connect_failed(now, i32::from(input.byte()));
            }
            1 | 2 => {}
            3 if self.handshake => {
                self.handshake = false;
                match input.byte() & 1 {
                    0 => self.check.handle_tls_up(now),
                    _ => self.check.handle_tls_failed(now, "no"),
                }
            }
            // Whole packets of either protocol, one longer than it says.
            3..=5 => {
                let packet = input.packet();
                if !self.handshake {
                    self.check.handle_bytes(now, packet);
                }
            }
            6 => {
                let length = usize::from(input.byte());
                let bytes = input.take(length);
                if !self.handshake {
                    self.check.handle_bytes(now, bytes);
                }
            }
            7 => match input.byte() {
                0 => self.check.handle_eof(now),
                errno => self.check.handle_reset(now, i32::from(errno)),
            },
            8 => {
                if let Some(end) = self.check.poll_timeout() {
                    self.now = now.max(end);
                }
                let sign = match input.byte() % 2 {
                    0 => PeerSign::NotAcknowledged,
                    _ => PeerSign::Acknowledged,
                };
                let sign = if self.link == Link::Connecting { PeerSign::Connecting } else { sign };
                self.check.handle_timeout(self.now, sign);
            }
            _ => match input.byte() {
                0 => {
                    self.began = None;
                    self.check.shut();
                }
                steps => self.now = now + Duration::from_millis(u64::from(steps) * 50),
            },
        }
        self.drain();
        assert_eq!(self.check.is_checking(), self.began.is_some());
        let deadline = self.began.map(|began| began + REQUEST.check_timeout);
        assert!(self.check.poll_timeout() <= deadline, "a phase ends after the check");
        assert_eq!(self.check.has_connection(), self.link != Link::Down);
    }

    fn drain(&mut self) {
        while let Some(action) = self.check.poll_action() {
            match action {
                Action::Connect => {
                    assert_eq!(self.link, Link::Down);
                    self.link = Link::Connecting;
                }
                Action::StartTls => {
                    assert_eq!(self.link, Link::Up);
                    self.handshake = true;
                }
                Action::Send(bytes) => {
                    assert_eq!(self.link, Link::Up);
                    assert!(!bytes.is_empty());
                }
                Action::Close => {
                    assert_ne!(self.link, Link::Down);
                    self.link = Link::Down;
                    self.handshake = false;
                }
                Action::Lost => panic!("no check says so"),
                Action::Done(end) => {
                    assert_eq!(Some(end.started), self.began.take(), "one end for each check");
                    assert!(end.started <= end.ended);
                    assert_eq!(end.kind, self.check.kind());
                    let well = end.cause == Cause::Ok && end.backend != Verdict::Bad;
                    assert_eq!(
                        end.message.is_empty(),
                        well && !end.message.contains("does not say"),
                        "{end:?}"
                    );
                    assert!(end.cause != Cause::Ok || end.local == Verdict::Good, "{end:?}");
                    assert!(!format!("{end:?}").contains("s3cret"), "{end:?}");
                }
            }
        }
    }
}
