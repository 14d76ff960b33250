//! The contract between session and driver under random inputs.

use super::*;
use proptest::prelude::*;

/// Something that may happen to a session.
#[derive(Clone, Debug)]
enum Input {
    Begin(bool),
    Connected,
    Failed(i32),
    Recorded(usize),
    Bytes(Vec<u8>),
    Eof,
    TlsUp,
    TlsFailed,
    Reset(i32),
    Timeout(PeerSign),
    Wait(u64),
    Shut,
}

fn input() -> impl Strategy<Value = Input> {
    let sign = prop_oneof![
        Just(PeerSign::Connecting),
        Just(PeerSign::NotAcknowledged),
        Just(PeerSign::Acknowledged)
    ];
    prop_oneof![
        3 => any::<bool>().prop_map(Input::Begin),
        4 => Just(Input::Connected),
        1 => (0..140).prop_map(Input::Failed),
        8 => (0..7usize).prop_map(Input::Recorded),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Input::Bytes),
        1 => Just(Input::Eof),
        2 => Just(Input::TlsUp),
        1 => Just(Input::TlsFailed),
        1 => (0..140).prop_map(Input::Reset),
        2 => sign.prop_map(Input::Timeout),
        1 => (0..12_000u64).prop_map(Input::Wait),
        1 => Just(Input::Shut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: no panic, one observation per probe, no writing without a connection.
    #[test]
    fn the_drivers_contract_holds(inputs in prop::collection::vec(input(), 0..40), tls in any::<bool>()) {
        let events = recording(if tls { "mysql-9.7-fast" } else { "mariadb-10.11-replica" });
        let encryption = if tls { Encryption::Always } else { Encryption::Off };
        let config = SessionConfig { encryption, ..config("primacy", Some("s3cret"), Transport::Plain) };
        let mut session = Session::new(config);
        let (mut now, mut link, mut owed) = (Time::from_millis(1), 0, 0);
        for input in inputs {
            match input {
                Input::Begin(fresh) => {
                    if owed == 0 { owed = 1; }
                    session.begin(now, ProbeRequest { fresh, ..PROBE });
                }
                Input::Connected if link == 1 => { link = 2; session.handle_connected(now, SEED) }
                Input::Failed(errno) if link == 1 => { link = 0; session.handle_connect_failed(now, errno) }
                Input::Connected | Input::Failed(_) => {}
                Input::Recorded(at) => if let Some(Event::Server(bytes)) = events.get(at) { session.handle_bytes(now, bytes) },
                Input::Bytes(bytes) => session.handle_bytes(now, &bytes),
                Input::TlsUp => session.handle_tls_up(now),
                Input::TlsFailed => session.handle_tls_failed(now, "no"),
                Input::Eof => session.handle_eof(now),
                Input::Reset(errno) => session.handle_reset(now, errno),
                Input::Timeout(sign) => {
                    if let Some(end) = session.poll_timeout() { now = now.max(end); }
                    session.handle_timeout(now, sign);
                    prop_assert!(session.poll_timeout().is_none(), "a deadline that came ends the probe");
                }
                Input::Wait(ms) => now = now + MS(ms),
                Input::Shut => { owed = 0; session.shut() }
            }
            while let Some(action) = session.poll_action() {
                match action {
                    Action::Connect => { prop_assert_eq!(link, 0); link = 1; }
                    Action::Send(bytes) => { prop_assert_eq!(link, 2); prop_assert!(!bytes.is_empty()); }
                    Action::StartTls => { prop_assert_eq!((link, tls), (2, true)); }
                    Action::Close => { prop_assert!(link != 0); link = 0; }
                    Action::Lost => prop_assert_eq!((link, owed), (0, 0)),
                    Action::Done(end) => {
                        prop_assert_eq!(owed, 1);
                        prop_assert!(end.started <= end.ended);
                        owed = 0;
                    }
                }
            }
            prop_assert_eq!(session.is_probing(), owed == 1);
            prop_assert_eq!(session.poll_timeout().is_some(), owed == 1);
            prop_assert_eq!(session.has_connection(), link != 0);
        }
    }
}
