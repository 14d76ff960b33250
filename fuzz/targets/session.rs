//! A probe session under the contract with its driver: everything a server, a kernel and a clock may do, in any order.
//!
//! The first byte chooses the connection's kind; then each byte is an act, and what it needs follows it.

use super::input::Input;
use super::wire::SEED;
use primacy::engine::time::{Duration, Time};
use primacy::probe::{Action, Cause, PeerSign, ProbeRequest, Session, SessionConfig};
use primacy::wire::{Encryption, RsaPolicy, Secret, Transport};

const TIMEOUT: Duration = Duration::from_millis(250);
const PROBE_TIMEOUT: Duration = Duration::from_millis(1000);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    Down,
    Connecting,
    Up,
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte();
    let mut driver = Driver {
        session: Session::new(SessionConfig {
            group: kind & 8 != 0,
            user: "primacy".into(),
            password: Some(Secret::new("s3cret")),
            transport: if kind & 1 == 0 { Transport::Plain } else { Transport::Unix },
            encryption: Encryption::Off,
            rsa: if kind & 2 == 0 { RsaPolicy::FromServer } else { RsaPolicy::Refuse },
            max_packet: if kind & 4 == 0 { 1 << 16 } else { 200 },
        }),
        now: Time::from_millis(1),
        link: Link::Down,
        began: None,
    };
    while !input.is_empty() {
        driver.act(&mut input);
    }
}

struct Driver {
    session: Session,
    now: Time,
    link: Link,
    /// When the probe under way began.
    began: Option<Time>,
}

impl Driver {
    fn act(&mut self, input: &mut Input<'_>) {
        let now = self.now;
        match input.byte() % 12 {
            act @ (0 | 1) => {
                self.began.get_or_insert(now);
                self.session.begin(
                    now,
                    ProbeRequest {
                        fresh: act == 1,
                        timeout: TIMEOUT,
                        probe_timeout: PROBE_TIMEOUT,
                        max_lag: Some(Duration::from_secs(10)),
                    },
                );
            }
            2 if self.link == Link::Connecting => {
                self.link = Link::Up;
                self.session.handle_connected(now, SEED);
            }
            3 if self.link == Link::Connecting => {
                self.link = Link::Down;
                self.session.handle_connect_failed(now, i32::from(input.byte()));
            }
            2 | 3 => {}
            // The commonest: one packet, whole.
            4..=6 => {
                let packet = input.packet();
                self.session.handle_bytes(now, packet);
            }
            7 => {
                let length = usize::from(input.byte());
                let bytes = input.take(length);
                self.session.handle_bytes(now, bytes);
            }
            8 => match input.byte() {
                0 => self.session.handle_eof(now),
                errno => self.session.handle_reset(now, i32::from(errno)),
            },
            9 => {
                if let Some(end) = self.session.poll_timeout() {
                    self.now = now.max(end);
                }
                let sign = match input.byte() % 3 {
                    0 => PeerSign::Connecting,
                    1 => PeerSign::NotAcknowledged,
                    _ => PeerSign::Acknowledged,
                };
                self.session.handle_timeout(self.now, sign);
                assert!(self.session.poll_timeout().is_none(), "a deadline that came ends the probe");
            }
            10 => self.now = now + Duration::from_millis(u64::from(input.number()) % 12_000),
            _ => {
                self.began = None;
                self.session.shut();
            }
        }
        self.drain();
        assert_eq!(self.session.is_probing(), self.began.is_some());
        let deadline = self.began.map(|began| began + PROBE_TIMEOUT);
        assert_eq!(self.session.poll_timeout().is_some(), deadline.is_some());
        assert!(self.session.poll_timeout() <= deadline, "a probe's phase ends after the probe");
        assert_eq!(self.session.has_connection(), self.link != Link::Down);
    }

    fn drain(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Connect => {
                    assert_eq!(self.link, Link::Down);
                    self.link = Link::Connecting;
                }
                Action::StartTls => panic!("encryption is off"),
                Action::Send(bytes) => {
                    assert_eq!(self.link, Link::Up);
                    assert!(!bytes.is_empty());
                }
                Action::Close => {
                    assert_ne!(self.link, Link::Down);
                    self.link = Link::Down;
                }
                Action::Lost => assert_eq!((self.link, self.began), (Link::Down, None)),
                Action::Done(end) => {
                    assert_eq!(Some(end.started), self.began.take(), "one observation for each probe");
                    assert!(end.started <= end.ended);
                    assert_eq!(end.message.is_empty(), end.cause == Cause::Ok, "{end:?}");
                    assert!(!format!("{end:?}").contains("s3cret"), "{end:?}");
                }
            }
        }
    }
}
