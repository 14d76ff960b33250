//! What real servers said, and what a session makes of it.

use super::*;

#[test]
fn a_mariadb_replica_first_and_again() {
    for name in ["mariadb-10.11-replica", "mariadb-10.11-eof"] {
        let mut rig = Rig::new();
        rig.begin(PROBE).wait(MS(1)).connected().wait(MS(2)).play(name, 0, 4).wait(MS(3)).play(name, 4, 5);
        let first = rig.take();
        assert_eq!((first.cause, first.errno, first.message.as_str()), (Cause::Ok, 0, ""));
        assert_eq!((first.started, first.ended), (Time::from_millis(5000), Time::from_millis(5006)));
        let facts = &first.facts;
        assert_eq!((facts.flavour, facts.version), (Some(Flavour::MariaDb), Some(ServerVersion(10, 11, 19))));
        assert_eq!((facts.server_id, facts.max_connections), (Some(2), Some(151)));
        assert!(facts.threads_connected.is_some_and(|n| n >= 1) && facts.server_uuid.is_none());
        assert_eq!((facts.read_only, facts.super_read_only), (Some(false), None));
        assert_eq!(facts.round_trip, Some(MS(3)));
        assert_eq!(facts.gtids.as_ref().map(|g| g.to_string()).as_deref(), Some("1-1-5"));
        let channel = &facts.channels.as_ref().unwrap()[0];
        assert_eq!((channel.name.as_str(), channel.source.as_str()), ("", "127.0.0.1:13501"));
        assert_eq!((channel.io, channel.sql), (ThreadState::Running, ThreadState::Running));
        assert_eq!((channel.io_errno, channel.sql_errno, channel.error.as_str()), (0, 0, ""));
        assert_eq!((channel.lag, channel.applied_all), (Some(Duration::ZERO), Some(true)));
        assert_eq!(rig.asks(), "connect send send done");

        rig.wait(MS(500)).begin(PROBE).play(name, 5, 6).wait(MS(1)).play(name, 6, 7);
        let again = rig.take();
        assert_eq!(rig.asks(), "send done", "a kept connection is one round trip");
        assert_eq!(again.facts.round_trip, Some(MS(1)));
        let same = Facts { round_trip: facts.round_trip, ..again.facts.clone() };
        assert_eq!(&same, facts, "what was learnt at the login stays");
    }
}

#[test]
fn a_mysql_replica_over_every_login() {
    let mut uuid = None;
    for (name, transport) in [
        ("mysql-9.7-rsa", Transport::Plain),
        ("mysql-9.7-fast", Transport::Plain),
        ("mysql-9.7-unix", Transport::Unix),
    ] {
        let mut rig = Rig::with(config("primacy", Some("s3cret"), transport));
        let events = recording(name);
        let answer = |e: &Event| matches!(e, Event::Server(b) if b.len() > 2000);
        let first = events.iter().position(answer).unwrap();
        let end = rig.begin(PROBE).connected().play(name, 0, first + 1).take();
        assert_eq!((end.cause, end.message.as_str()), (Cause::Ok, ""), "{name}");
        let facts = end.facts;
        assert_eq!((facts.flavour, facts.version), (Some(Flavour::MySql), Some(ServerVersion(9, 7, 4))));
        assert_eq!((facts.server_id, facts.max_connections), (Some(2), Some(60)));
        assert_eq!((facts.read_only, facts.super_read_only), (Some(false), Some(false)));
        assert_eq!(facts.server_uuid.as_ref().map(String::len), Some(36));
        assert_eq!(*uuid.get_or_insert(facts.server_uuid.clone()), facts.server_uuid);
        let executed = facts.gtids.map(|g| g.to_string()).unwrap();
        // Before the recording over the unix socket, FLUSH PRIVILEGES left a transaction of the replica's own.
        let errant = if name == "mysql-9.7-unix" { ",c7eb42ce-e59f-11f1-8d74-02fc00000001:1" } else { "" };
        assert_eq!(executed, format!("c6453505-e59f-11f1-9204-02fc00000001:1-6{errant}"), "{name}");
        let channel = &facts.channels.unwrap()[0];
        assert_eq!((channel.source.as_str(), channel.applied_all), ("127.0.0.1:13511", Some(true)));
        assert_eq!(
            (channel.io, channel.sql, channel.lag),
            (ThreadState::Running, ThreadState::Running, Some(MS(0)))
        );
    }
}

#[test]
fn replication_as_recorded() {
    let end = primacy("mariadb-10.11-sql-stopped");
    assert_eq!((end.cause, end.errno), (Cause::ReplicationStopped, 1950));
    assert!(
        end.message.starts_with("the SQL thread for 127.0.0.1:13501 is stopped: error 1950: An attempt"),
        "{end:?}"
    );
    assert_eq!(end.facts.channels.unwrap()[0].applied_all, Some(false));

    // Its source is dead: the replica is as good as it was.
    let end = primacy("mariadb-10.11-connecting");
    assert_eq!((end.cause, end.message.as_str()), (Cause::Ok, ""));
    let channel = &end.facts.channels.unwrap()[0];
    assert_eq!(
        (channel.io, channel.sql, channel.io_errno),
        (ThreadState::Connecting, ThreadState::Running, 2003)
    );
    assert!(channel.error.contains("error connecting to master"));
    assert_eq!(channel.lag, None);

    let end = primacy("mariadb-10.11-two-sources");
    assert_eq!(end.cause, Cause::ReplicationStopped);
    let channels = end.facts.channels.unwrap();
    let names: Vec<(&str, &str)> = channels.iter().map(|c| (c.name.as_str(), c.source.as_str())).collect();
    assert_eq!(names, [("", "127.0.0.1:13999"), ("second", "[::1]:1")]);

    let end = primacy("mariadb-10.11-no-source");
    assert_eq!((end.cause, end.facts.channels), (Cause::Ok, Some(vec![])));
}

#[test]
fn refusals_as_recorded() {
    let end = once("mariadb-10.11-denied", config("primacy", Some("wrong"), Transport::Plain));
    assert_eq!((end.cause, end.errno), (Cause::AuthDenied, 1045));
    assert!(end.message.contains("Access denied for user 'primacy'"), "{end:?}");
    for name in ["mariadb-10.11-too-many", "mysql-9.7-too-many"] {
        let end = primacy(name);
        assert_eq!(
            (end.cause, end.errno, end.message.as_str()),
            (Cause::TooManyConnections, 1040, "error 1040: Too many connections")
        );
    }
    assert_eq!(primacy("mysql-9.7-offline").cause, Cause::OfflineMode);
    // The account's plugin wants the whole password, over plain TCP.
    let refuse = SessionConfig { rsa: RsaPolicy::Refuse, ..config("olds", Some("s3cret"), Transport::Plain) };
    let end = once("mysql-9.7-sha256", refuse);
    assert_eq!(end.cause, Cause::AuthDenied);
    assert!(end.message.contains("(sha256_password)"), "{end:?}");
    for (name, grant) in [
        ("mariadb-10.11-no-grant", "grant SLAVE MONITOR, BINLOG MONITOR"),
        ("mysql-9.7-no-grant", "grant REPLICATION CLIENT"),
    ] {
        let end = once(name, config("nog", None, Transport::Plain));
        assert_eq!((end.cause, end.errno), (Cause::QueryFailed, 1227), "{name}");
        assert!(end.message.contains(grant), "{end:?}");
        assert_eq!(
            (end.facts.server_id, end.facts.read_only),
            (Some(2), Some(false)),
            "what was answered is kept"
        );
    }
}

/// A recorded healthy answer with another lag in place of the 0.
fn with_lag(lag: u8, max_lag: Option<Duration>) -> Observation {
    let mut rig = Rig::kept();
    rig.begin(ProbeRequest { max_lag, ..PROBE });
    let Some(Event::Server(mut answer)) = recording("mariadb-10.11-replica").into_iter().nth(6) else {
        panic!()
    };
    // Master_SSL_Key is empty, then the lag, then Master_SSL_Verify_Server_Cert; Until_Log_File looks alike before.
    let at = answer.windows(6).rposition(|w| w == b"\0\x010\x02No").unwrap();
    answer[at + 2] = lag;
    rig.bytes(&answer).take()
}

#[test]
fn lag_is_judged_by_the_request() {
    let ten = Some(Duration::from_secs(5));
    assert_eq!(with_lag(b'5', ten).cause, Cause::Ok);
    let end = with_lag(b'6', ten);
    assert_eq!(
        (end.cause, end.message.as_str()),
        (Cause::ReplicationLag, "6 s behind 127.0.0.1:13501, 5s are allowed")
    );
    assert_eq!(with_lag(b'9', None).cause, Cause::Ok);
    assert_eq!(with_lag(b'9', None).facts.channels.unwrap()[0].lag, Some(Duration::from_secs(9)));
}

#[test]
fn flavour_and_version() {
    use crate::probe::statements::{Statements, identify};
    for (text, flavour, version) in [
        ("5.5.5-10.11.6-MariaDB-0+deb12u1-log", Flavour::MariaDb, Some(ServerVersion(10, 11, 6))),
        ("11.4.2-MariaDB-ubu2404", Flavour::MariaDb, Some(ServerVersion(11, 4, 2))),
        ("5.5.68-MariaDB", Flavour::MariaDb, Some(ServerVersion(5, 5, 68))),
        ("9.7.4-2", Flavour::MySql, Some(ServerVersion(9, 7, 4))),
        ("8.0.36-28.1", Flavour::MySql, Some(ServerVersion(8, 0, 36))),
        ("5.7.44-log", Flavour::MySql, Some(ServerVersion(5, 7, 44))),
        ("8.4", Flavour::MySql, Some(ServerVersion(8, 4, 0))),
        ("99999.1.1", Flavour::MySql, None),
        ("", Flavour::MySql, None),
    ] {
        assert_eq!(identify(text), (flavour, version), "{text}");
    }
    let ask = |version| Statements::new(Flavour::MySql, Some(version), false).again().to_string();
    assert!(ask(ServerVersion(8, 0, 22)).ends_with("; SHOW REPLICA STATUS"));
    assert!(ask(ServerVersion(8, 0, 21)).ends_with("; SHOW SLAVE STATUS"));
    assert!(ask(ServerVersion(5, 7, 7)).find("super_read_only").is_none());
    assert_eq!(ask(ServerVersion(5, 5, 60)), "SELECT @@global.read_only; SHOW SLAVE STATUS");
}

/// A change of the token says that the source was heard: by an event, or by a heartbeat where the server counts them.
#[test]
fn what_was_received_has_a_token() {
    let answer = |from: &[u8], to: &[u8]| {
        let mut rig = Rig::kept();
        rig.begin(PROBE);
        let Some(Event::Server(mut bytes)) = recording("mariadb-10.11-replica").into_iter().nth(6) else {
            panic!()
        };
        let at = bytes.windows(from.len()).rposition(|w| w == from).expect("in the recorded row");
        bytes[at..at + to.len()].copy_from_slice(to);
        let channels = rig.bytes(&bytes).take().facts.channels.expect("channels");
        channels[0].received.expect("a token")
    };
    let same = |text: &[u8]| answer(text, text);
    let plain = same(b"0.0.1");
    assert_eq!(plain, same(b"13501"), "the same row has the same token");
    for (what, from, to) in [
        ("file", &b"\x0ca-bin.000001\x041104"[..], &b"\x0ca-bin.000002\x041104"[..]),
        ("position", b"\x0ca-bin.000001\x041104", b"\x0ca-bin.000001\x041105"),
        ("heartbeats", b"\x0221\x0630.000", b"\x0222\x0630.000"),
        ("GTID", b"Slave_Pos\x051-1-5", b"Slave_Pos\x051-1-6"),
    ] {
        assert_ne!(plain, answer(from, to), "{what}");
    }
    // What is applied, the lag and the replica's own log say nothing about the source.
    for (from, to) in [
        (&b"\x04None\x00\x010\x02No"[..], &b"\x04None\x00\x019\x02No"[..]),
        (b"\x041399", b"\x041400"),
        (b"\x010\x041104\x041704", b"\x010\x041100\x041704"),
    ] {
        assert_eq!(plain, answer(from, to), "{from:?}");
    }
    let channels = primacy("mariadb-10.11-no-source").facts.channels.expect("asked");
    assert!(channels.is_empty());
}
