//! Sessions against recorded servers and against every way in which a connection can end; here the driver that
//! plays them.

mod broken;
mod contract;
mod groups;
mod recorded;
mod tls;
mod waiting;

use super::observation::{Flavour, Observation, ServerVersion, ThreadState};
use super::*;
use crate::engine::time::{Duration, Time};
use crate::wire::recording::{Event, SEED, recording};
use crate::wire::{Encryption, RsaPolicy, Secret, Transport};

const MS: fn(u64) -> Duration = Duration::from_millis;

const PROBE: ProbeRequest = ProbeRequest {
    fresh: false,
    timeout: MS_250,
    probe_timeout: MS_1000,
    max_lag: Some(Duration::from_secs(10)),
};
const MS_250: Duration = Duration::from_millis(250);
const MS_1000: Duration = Duration::from_millis(1000);
const FRESH: ProbeRequest = ProbeRequest { fresh: true, ..PROBE };

/// A driver without a socket: it writes down what the session asks.
struct Rig {
    session: Session,
    now: Time,
    asked: Vec<String>,
    sent: Vec<Vec<u8>>,
    done: Vec<Observation>,
}

fn config(user: &str, password: Option<&str>, transport: Transport) -> SessionConfig {
    SessionConfig {
        group: false,
        user: user.into(),
        password: password.map(Secret::new),
        transport,
        encryption: Encryption::Off,
        rsa: RsaPolicy::FromServer,
        max_packet: SessionConfig::MAX_PACKET,
    }
}

impl Rig {
    fn new() -> Rig {
        Rig::with(config("primacy", Some("s3cret"), Transport::Plain))
    }

    fn with(config: SessionConfig) -> Rig {
        let session = Session::new(config);
        Rig { session, now: Time::from_millis(5000), asked: vec![], sent: vec![], done: vec![] }
    }

    fn drain(&mut self) -> &mut Rig {
        while let Some(action) = self.session.poll_action() {
            self.asked.push(
                match action {
                    Action::Connect => "connect",
                    Action::Send(bytes) => {
                        self.sent.push(bytes.to_vec());
                        "send"
                    }
                    Action::StartTls => "tls",
                    Action::Close => "close",
                    Action::Lost => "lost",
                    Action::Done(observation) => {
                        self.done.push(observation);
                        "done"
                    }
                }
                .into(),
            );
        }
        self
    }

    fn begin(&mut self, request: ProbeRequest) -> &mut Rig {
        self.session.begin(self.now, request);
        self.drain()
    }

    fn connected(&mut self) -> &mut Rig {
        self.session.handle_connected(self.now, SEED);
        self.drain()
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Rig {
        self.session.handle_bytes(self.now, bytes);
        self.drain()
    }

    fn tls_up(&mut self) -> &mut Rig {
        self.session.handle_tls_up(self.now);
        self.drain()
    }

    fn tls_failed(&mut self, what: &str) -> &mut Rig {
        self.session.handle_tls_failed(self.now, what);
        self.drain()
    }

    fn eof(&mut self) -> &mut Rig {
        self.session.handle_eof(self.now);
        self.drain()
    }

    fn reset(&mut self, errno: i32) -> &mut Rig {
        self.session.handle_reset(self.now, errno);
        self.drain()
    }

    fn failed(&mut self, errno: i32) -> &mut Rig {
        self.session.handle_connect_failed(self.now, errno);
        self.drain()
    }

    /// Lets the deadline come.
    fn late(&mut self, sign: PeerSign) -> &mut Rig {
        self.now = self.session.poll_timeout().expect("no deadline");
        self.session.handle_timeout(self.now, sign);
        self.drain()
    }

    fn wait(&mut self, time: Duration) -> &mut Rig {
        self.now = self.now + time;
        self
    }

    /// Plays the events of a recording from `from` to before `to`, comparing what is sent.
    fn play(&mut self, name: &str, from: usize, to: usize) -> &mut Rig {
        for (index, event) in recording(name).into_iter().enumerate().take(to).skip(from) {
            match event {
                Event::Server(bytes) => {
                    self.bytes(&bytes);
                }
                Event::Client(bytes) => {
                    let sent = self.sent.remove(0);
                    assert_eq!(sent, bytes, "{name}, event {index}");
                }
                Event::Close => {
                    self.eof();
                }
            }
        }
        self
    }

    /// A session with a kept connection after one good probe.
    fn kept() -> Rig {
        let mut rig = Rig::new();
        rig.begin(PROBE).connected().play("mariadb-10.11-replica", 0, 5);
        assert_eq!(rig.take().cause, Cause::Ok);
        assert_eq!(rig.asks(), "connect send send done");
        rig
    }

    /// What was asked since the last time.
    fn asks(&mut self) -> String {
        std::mem::take(&mut self.asked).join(" ")
    }

    /// The one observation there is.
    fn take(&mut self) -> Observation {
        assert_eq!(self.done.len(), 1, "{:?}", self.asked);
        assert!(!self.session.is_probing() && self.session.poll_timeout().is_none());
        self.done.remove(0)
    }

    fn cause(&mut self) -> (Cause, u32) {
        let end = self.take();
        assert_eq!(end.message.is_empty(), end.cause == Cause::Ok, "{end:?}");
        (end.cause, end.errno)
    }
}

fn once(name: &str, config: SessionConfig) -> Observation {
    let mut rig = Rig::with(config);
    let events = recording(name);
    let last = events.iter().rposition(|e| matches!(e, Event::Server(_))).unwrap();
    rig.begin(PROBE).connected().play(name, 0, last + 1).take()
}

fn primacy(name: &str) -> Observation {
    once(name, config("primacy", Some("s3cret"), Transport::Plain))
}
