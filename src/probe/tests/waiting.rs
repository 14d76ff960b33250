//! Deadlines, servers that hang, and fresh logins.

use super::*;

#[test]
fn hung_is_told_from_silent() {
    let mut rig = Rig::new();
    assert_eq!(rig.begin(PROBE).late(PeerSign::Connecting).cause(), (Cause::NoAck, 0));
    assert_eq!((rig.now, rig.asks().as_str()), (Time::from_millis(5250), "connect close done"));

    let mut rig = Rig::new();
    assert_eq!(rig.begin(PROBE).connected().late(PeerSign::Acknowledged).cause(), (Cause::NoReply, 0));
    assert_eq!(rig.asks(), "connect done", "the connection is waited for");

    for (sign, cause, asks) in [
        (PeerSign::Acknowledged, Cause::NoReply, "send done"),
        (PeerSign::NotAcknowledged, Cause::NoAck, "send close done"),
    ] {
        let mut rig = Rig::kept();
        rig.begin(PROBE);
        rig.session.handle_timeout(rig.now, sign);
        assert!(rig.drain().done.is_empty(), "the deadline has not come");
        assert_eq!(rig.late(sign).cause(), (cause, 0));
        assert_eq!(rig.asks(), asks);
    }
    let mut unix = Rig::with(config("a", None, Transport::Unix));
    assert_eq!(unix.begin(PROBE).late(PeerSign::Connecting).cause(), (Cause::NoReply, 0));
}

#[test]
fn a_hung_server_is_waited_for_and_asked_again_when_it_wakes() {
    let name = "mariadb-10.11-replica";
    let mut rig = Rig::kept();
    for _ in 0..3 {
        assert_eq!(rig.begin(PROBE).late(PeerSign::Acknowledged).cause(), (Cause::NoReply, 0));
    }
    assert_eq!(rig.asks(), "send done done done", "one question is out, and no new connection");
    rig.begin(PROBE);
    rig.sent.clear();
    // The old answer comes: the server lives, but how is it now?
    rig.play(name, 6, 7);
    assert_eq!(rig.asks(), "send");
    rig.play(name, 5, 7);
    assert_eq!((rig.cause(), rig.asks().as_str()), ((Cause::Ok, 0), "done"));

    // It wakes between probes: the next one asks as usual.
    let mut rig = Rig::kept();
    rig.begin(PROBE).late(PeerSign::Acknowledged).take();
    rig.sent.clear();
    rig.play(name, 6, 7);
    assert!(rig.done.is_empty());
    rig.asks();
    rig.begin(PROBE).play(name, 5, 7);
    assert_eq!((rig.cause(), rig.asks().as_str()), ((Cause::Ok, 0), "send done"));

    // It is killed while it hangs: a fresh connect tells.
    let mut rig = Rig::kept();
    rig.begin(PROBE).late(PeerSign::Acknowledged).take();
    assert_eq!(rig.begin(PROBE).reset(104).failed(111).cause(), (Cause::Refused, 111));
}

/// What proves that the host was there is older than a probe that sends nothing and hears nothing.
#[test]
fn a_probe_that_only_waits_reaches_nobody() {
    let mut rig = Rig::kept();
    let asked = rig.now;
    let end = rig.begin(PROBE).late(PeerSign::Acknowledged).take();
    assert_eq!((end.reached, end.proves_path_at()), (Some(asked), Some(end.started)));
    assert_eq!(end.message, "the host acknowledges, the server did not answer within 250 ms");
    let end = rig.wait(MS(250)).begin(PROBE).late(PeerSign::Acknowledged).take();
    assert_eq!((end.started.since(asked), end.proves_path_at()), (MS(500), Some(asked)));
    assert_eq!(
        end.message,
        "the server still did not answer within 250 ms; its host acknowledged what was sent 500 ms before that"
    );
    // A part of the answer does.
    rig.begin(PROBE).wait(MS(100));
    let some = recording("mariadb-10.11-replica").remove(6);
    let Event::Server(some) = some else { panic!() };
    let heard = rig.now;
    let end = rig.bytes(&some[..9]).late(PeerSign::Acknowledged).take();
    assert_eq!((end.reached, end.proves_path_at()), (Some(heard), Some(end.started)));
    // So does a new connection, and silence nothing.
    let end = rig.begin(FRESH).wait(MS(10)).connected().late(PeerSign::Acknowledged).take();
    assert_eq!(end.reached, Some(end.started + MS(10)));
    let end = rig.begin(PROBE).late(PeerSign::Connecting).take();
    assert_eq!((end.cause, end.proves_path_at()), (Cause::NoAck, None));
    // Nor is a unix socket any path.
    let mut unix = Rig::with(config("a", None, Transport::Unix));
    unix.begin(PROBE).connected().late(PeerSign::Acknowledged).take();
    unix.begin(PROBE).late(PeerSign::Acknowledged);
    assert!(unix.take().message.starts_with("the host acknowledges"));
}

#[test]
fn an_unanswered_handshake_is_repeated_a_few_times_and_then_not_before_patience_ends() {
    let mut rig = Rig::new();
    rig.begin(FRESH).connected().late(PeerSign::Acknowledged).take();
    for _ in 0..Session::RETRIES {
        rig.begin(FRESH);
        assert!(rig.asks().ends_with("close connect"), "the greeting may have been lost");
        assert_eq!(rig.connected().late(PeerSign::Acknowledged).cause(), (Cause::NoReply, 0));
    }
    let last_began = rig.now;
    let mut connects = 1;
    let mut first_after = None;
    for _ in 0..30 {
        rig.wait(MS(250)).begin(FRESH);
        if rig.asks().ends_with("close connect") {
            connects += 1;
            first_after.get_or_insert(rig.now);
            rig.connected();
        }
        assert_eq!(rig.late(PeerSign::Acknowledged).cause(), (Cause::NoReply, 0));
    }
    assert_eq!(connects, 2);
    let waited = first_after.unwrap().since(last_began);
    assert!(waited >= Session::PATIENCE && waited <= Session::PATIENCE + MS(500), "{waited:?}");

    // It wakes between probes and completes the login: that login serves the next probe, even a fresh one.
    let mut rig = Rig::new();
    rig.begin(FRESH).connected().late(PeerSign::Acknowledged).take();
    rig.play("mariadb-10.11-replica", 0, 3).asks();
    rig.begin(FRESH).play("mariadb-10.11-replica", 3, 5);
    assert_eq!((rig.cause(), rig.asks().as_str()), ((Cause::Ok, 0), "send done"));
}

#[test]
fn deadlines() {
    // A byte every 10 ms: the phase's deadline ends it, not the pauses.
    let mut rig = Rig::new();
    rig.begin(PROBE).connected();
    let Event::Server(greeting) = recording("mariadb-10.11-replica").remove(0) else { panic!() };
    for byte in &greeting[..20] {
        rig.wait(MS(10)).bytes(&[*byte]);
    }
    let end = rig.late(PeerSign::Acknowledged).take();
    assert_eq!((end.cause, end.ended), (Cause::NoReply, Time::from_millis(5250)));
    assert!(end.message.contains("did not complete its greeting within 250 ms"), "{end:?}");

    // Each phase has its own time, the probe as a whole ends earlier.
    let tight = ProbeRequest { probe_timeout: MS(600), ..PROBE };
    let mut rig = Rig::new();
    rig.begin(tight).wait(MS(200)).connected();
    assert_eq!(rig.session.poll_timeout(), Some(Time::from_millis(5450)));
    rig.wait(MS(200)).play("mariadb-10.11-replica", 0, 4);
    assert_eq!(rig.session.poll_timeout(), Some(Time::from_millis(5600)));
    rig.late(PeerSign::Acknowledged);
    assert_eq!(rig.cause(), (Cause::NoReply, 0));

    // A reconnect does not make the probe longer.
    let mut rig = Rig::kept();
    rig.begin(tight).wait(MS(240)).eof();
    let begun = Time::from_millis(5000);
    assert_eq!(rig.session.poll_timeout(), Some(begun + MS(490)));
    rig.wait(MS(240)).connected();
    assert_eq!(rig.session.poll_timeout(), Some(begun + MS(600)));
}

#[test]
fn a_fresh_login_says_goodbye_first() {
    let mut rig = Rig::kept();
    rig.begin(FRESH);
    assert_eq!(rig.asks(), "send close connect");
    assert_eq!(rig.sent.remove(0), [1, 0, 0, 0, 1], "COM_QUIT");
    rig.connected().play("mysql-9.7-fast", 0, 5);
    let end = rig.take();
    assert_eq!(
        (end.cause, end.facts.flavour),
        (Cause::Ok, Some(Flavour::MySql)),
        "nothing of the old login stays"
    );
    rig.asks();
    rig.session.shut();
    rig.drain();
    assert_eq!((rig.asks().as_str(), rig.session.has_connection()), ("send close", false));
}

#[test]
fn a_login_whose_question_failed_is_not_fresh() {
    let mut rig = Rig::with(config("nog", None, Transport::Plain));
    rig.begin(PROBE).connected().play("mariadb-10.11-no-grant", 0, 5);
    assert_eq!(rig.cause(), (Cause::QueryFailed, 1227));
    assert_eq!(rig.asks(), "connect send send done");
    // A session has the grants of its login, so a grant made since shows by a new one alone.
    rig.begin(FRESH);
    assert_eq!(rig.asks(), "send close connect");
}
