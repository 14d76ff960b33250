//! Instances of one cache with `on_locked = "follow"`: one decides, the others show their clients what it decides.
//!
//! Two instances of one process stand for two processes here, for the lock keeps them apart all the same; `tests/c/prefork.c` has
//! processes that are killed.

use crate::real_server::{MariaDb, good};
use crate::support::*;
use primacy::ErrorCode;
use primacy::config::Config;
use primacy::engine::{EventKind, ReportOutcome};
use primacy::instance::{Durability, EventFilter, HostObservation, Instance, Selector, SelectorOptions};
use primacy::probe::{Cause, Facts};
use primacy::select::{Backend, Wish};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const NODES: [&str; 2] = ["10.9.8.7:3306", "10.9.8.8:3306"];
const LONG: Duration = Duration::from_secs(20);

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a folder"))
    }

    fn top(&self) -> String {
        format!("on_locked = \"follow\"\ncache_file = \"{}\"", self.0.path().join("cache").display())
    }

    fn tables(&self) -> PathBuf {
        self.0.path().join("cache.tables")
    }

    fn config(&self, more: &str) -> Config {
        config(&NODES.map(String::from), &self.top(), &format!("probe = \"external\"\n{more}"))
    }

    fn started(&self) -> Instance {
        let instance = Instance::new(self.config("")).expect("an instance");
        instance.start().expect("start");
        instance
    }
}

fn observe(instance: &Instance, node: usize, cause: Cause) -> Result<(), primacy::Error> {
    let seen = HostObservation { cause, errno: 0, message: String::new(), facts: Facts::default() };
    instance.observe("p", NODES[node], seen)
}

/// The role is the first node's.
fn settle(decider: &Instance) {
    for _ in 0..2 {
        (0..2).for_each(|node| observe(decider, node, Cause::Ok).expect("the decider observes"));
    }
    assert_eq!(pool(decider).active, Some(0));
}

/// The ACTIVE node fails, and the other one has the role.
fn fail(decider: &Instance, node: usize) {
    for _ in 0..20 {
        observe(decider, node, Cause::Refused).expect("observe");
        observe(decider, 1 - node, Cause::Ok).expect("observe");
    }
}

fn selector(instance: &Instance, service: &str) -> Selector {
    instance.selector(service, SelectorOptions::default()).expect("a selector")
}

fn slot(selector: &mut Selector) -> Option<u32> {
    selector.select(&Wish::default()).ok().map(|backend| backend.slot)
}

fn until_slot(selector: &mut Selector, wanted: u32) -> Backend {
    wait_for("the role at a follower", LONG, || {
        selector.select(&Wish::default()).ok().filter(|backend| backend.slot == wanted)
    })
}

#[test]
fn a_follower_selects_what_the_decider_decides_within_milliseconds() {
    let _alone = alone();
    let place = Place::new();
    let (decider, follower) = (place.started(), place.started());
    let events = follower.subscribe(EventFilter::default(), 10_000).expect("events");
    settle(&decider);
    let (mut here, mut there) = (selector(&decider, "rw"), selector(&follower, "p.rw"));
    until_slot(&mut there, 0);
    let mut took = Vec::new();
    for round in 0..20usize {
        let (from, to) = (round % 2, 1 - round % 2);
        let mut began = Instant::now();
        for _ in 0..50 {
            observe(&decider, 1 - from, Cause::Ok).expect("observe");
            began = Instant::now();
            observe(&decider, from, Cause::Refused).expect("observe");
            if slot(&mut here) == Some(to as u32) {
                break;
            }
        }
        let backend = until_slot(&mut there, to as u32);
        took.push(began.elapsed());
        // The very same backend, to the last bit.
        assert_eq!(Ok(backend), here.select(&Wish::default()));
        decider.recover_node("p", NODES[from], Durability::NoWait).expect("recover");
        (0..2).for_each(|node| observe(&decider, node, Cause::Ok).expect("observe"));
    }
    took.sort();
    eprintln!("a follower sees a switch after {:?} (median), {:?} (longest of 20)", took[10], took[19]);
    // By itself it takes a fraction of a millisecond; a machine with more to do than processors adds its own.
    assert!(took[10] < Duration::from_millis(20), "{took:?}");
    // Its events are the decider's.
    let switches = wait_for("the switches", LONG, {
        let mut seen = Vec::new();
        move || {
            seen.extend(std::iter::from_fn(|| events.next()).filter(|event| event.kind == EventKind::Switch));
            (seen.len() >= 20).then(|| seen.clone())
        }
    });
    assert!(
        switches.windows(2).all(|pair| pair[0].epoch < pair[1].epoch && pair[0].sequence < pair[1].sequence)
    );
}

#[test]
fn a_follower_passes_on_what_only_the_decider_can_do() {
    let _alone = alone();
    let place = Place::new();
    let (decider, follower) = (place.started(), place.started());
    let seen = follower.subscribe(EventFilter::default(), 100).expect("events");
    settle(&decider);
    fail(&decider, 0);
    assert_eq!(pool(&follower).active, Some(1));
    assert_eq!(pool(&follower).epoch, pool(&decider).epoch);
    assert_eq!(follower.explain("p").expect("words"), decider.explain("p").expect("words"));
    assert!(follower.metrics_text().expect("figures").contains("primacy_"));
    let answer = follower.recover_node("p", NODES[0], Durability::Wait).expect("recovered");
    assert!(answer.rule > 0, "{answer:?}");
    assert!(!node(&decider, 0).state.is_failed());
    follower.freeze("p", "work", None, Durability::Wait).expect("frozen");
    assert_eq!(pool(&decider).frozen.map(|freeze| freeze.reason), Some("work".into()));
    let refused = follower.freeze("p", "more", None, Durability::Wait).map(|_| ());
    assert_eq!(refused, decider.freeze("p", "more", None, Durability::Wait).map(|_| ()));
    assert_eq!(
        follower.recover_node("p", "10.1.1.1", Durability::Wait).expect_err("none").code(),
        ErrorCode::NotFound
    );
    // What is not for a follower names who it is for.
    let error = observe(&follower, 0, Cause::Ok).expect_err("it follows");
    assert_eq!(error.code(), ErrorCode::Locked);
    assert!(error.message().contains(&format!("process {} decides", std::process::id())), "{error}");
    assert_eq!(follower.cycle("p", None).expect_err("it follows").code(), ErrorCode::Locked);
    // A freeze of the decider's is told here.
    wait_for("the decider's event", LONG, || {
        std::iter::from_fn(|| seen.next())
            .any(|e| e.kind == EventKind::Command && e.message.contains("work"))
            .then_some(())
    });
}

#[test]
fn another_configuration_is_refused_and_a_reload_goes_first_to_the_decider() {
    let _alone = alone();
    let place = Place::new();
    let (decider, follower) = (place.started(), place.started());
    settle(&decider);
    let other = || place.config("fall = 5");
    let stranger = Instance::new(other()).expect("an instance");
    let error = stranger.start().expect_err("another configuration");
    assert_eq!(error.code(), ErrorCode::ConfigDiffers);
    assert!(error.message().contains("by another configuration"), "{error}");
    assert_eq!(follower.reload(other()).expect_err("not yet").code(), ErrorCode::ConfigDiffers);
    let events = follower.subscribe(EventFilter::default(), 100).expect("events");
    decider.reload(other()).expect("reloaded");
    wait_for("the warning", LONG, || {
        std::iter::from_fn(|| events.next())
            .any(|e| e.kind == EventKind::Follows && e.message.contains("reload"))
            .then_some(())
    });
    // It goes on following meanwhile.
    let mut rw = selector(&follower, "rw");
    fail(&decider, 0);
    until_slot(&mut rw, 1);
    follower.reload(other()).expect("the same now");
    drop(decider);
    wait_for("a decider", LONG, || observe(&follower, 0, Cause::Ok).ok());
}

#[test]
fn a_follower_takes_over_where_the_decider_ended() {
    let _alone = alone();
    let place = Place::new();
    let (decider, follower, third) = (place.started(), place.started(), place.started());
    let events = follower.subscribe(EventFilter::default(), 1000).expect("events");
    settle(&decider);
    let mut rw = selector(&follower, "rw");
    let ended = until_slot(&mut rw, 0);
    fail(&decider, 0);
    let stays = until_slot(&mut rw, 1);
    let epoch = pool(&decider).epoch;
    let gone = Instant::now();
    decider.stop().expect("stopped");
    // Its end is none of the service: clients go on at once.
    assert_eq!(slot(&mut rw), Some(1));
    let decides = |instance: &Instance| observe(instance, 1, Cause::Ok).is_ok();
    let next = wait_for("another decider", LONG, || [&follower, &third].into_iter().find(|i| decides(i)));
    eprintln!("another decider after {:?}", gone.elapsed());
    let other = if std::ptr::eq(next, &follower) { &third } else { &follower };
    assert!(!decides(other), "one decider");
    let word = |rw: &Selector, backend: &Backend| format!("{:?}", rw.session(backend));
    assert_eq!((word(&rw, &stays), word(&rw, &ended)), ("Some(Stays)".into(), "Some(Ends)".into()));
    assert_eq!(until_slot(&mut rw, 1).generation, stays.generation);
    assert_eq!(pool(next).active, Some(1));
    assert!(pool(next).epoch >= epoch);
    // The next switch is above all that were, and seen by both.
    other.recover_node("p", NODES[0], Durability::Wait).expect("recovered by a follower");
    fail(next, 1);
    let back = until_slot(&mut selector(other, "rw"), 0);
    assert!(back.epoch > epoch && back.generation > ended.generation, "{back:?}");
    assert_eq!((word(&rw, &stays), word(&rw, &ended)), ("Some(Ends)".into(), "Some(Ends)".into()));
    let told: Vec<String> = std::iter::from_fn(|| events.next())
        .filter(|event| event.kind == EventKind::Follows)
        .map(|event| event.message)
        .collect();
    assert!(told.iter().any(|text| text.contains("from now on")), "{told:?}");
}

#[test]
fn the_host_s_loop_follows_and_leads_too() {
    let _alone = alone();
    let place = Place::new();
    let decider = place.started();
    settle(&decider);
    let follower = Instance::new(place.config("")).expect("an instance");
    // Before it runs it shows what there is.
    assert_eq!(slot(&mut selector(&follower, "rw")), Some(0));
    assert_eq!(pool(&follower).active, Some(0));
    let fd = follower.fd().expect("a descriptor");
    let mut rw = selector(&follower, "rw");
    fail(&decider, 0);
    wait_for("the switch", LONG, || {
        readable(fd, Duration::from_millis(50));
        follower.dispatch().expect("dispatch");
        (slot(&mut rw) == Some(1)).then_some(())
    });
    drop(decider);
    wait_for("the lock", LONG, || {
        readable(fd, Duration::from_millis(50));
        follower.dispatch().expect("dispatch");
        observe(&follower, 1, Cause::Ok).ok()
    });
    assert_eq!(follower.fd().expect("a descriptor"), fd);
    follower.stop().expect("stopped");
    assert_eq!(rw.select(&Wish::default()).expect_err("stopped").code(), ErrorCode::Stopped);
}

#[test]
fn a_hostile_file_of_tables_changes_nothing() {
    let _alone = alone();
    let place = Place::new();
    let (decider, follower) = (place.started(), place.started());
    settle(&decider);
    let mut rw = selector(&follower, "rw");
    let backend = until_slot(&mut rw, 0);
    let events = follower.subscribe(EventFilter::default(), 1000).expect("events");
    let whole = std::fs::read(place.tables()).expect("the file");
    for hostile in [&b""[..], &b"x"[..], &[0xff; 40_000], &whole[..200], &whole[..300]] {
        // In place, as somebody would who means harm.
        let mut file =
            std::fs::OpenOptions::new().write(true).truncate(true).open(place.tables()).expect("the file");
        file.write_all(hostile).expect("a write");
        assert_eq!(Ok(backend), rw.select(&Wish::default()));
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(Ok(backend), rw.select(&Wish::default()));
    }
    wait_for("an alarm", LONG, || {
        std::iter::from_fn(|| events.next()).any(|e| e.message.contains("cache.tables: ")).then_some(())
    });
    // The next change puts it right.
    fail(&decider, 0);
    until_slot(&mut rw, 1);
    // Removed: made anew, for those who come.
    std::fs::remove_file(place.tables()).expect("the file");
    wait_for("a new file", LONG, || place.tables().exists().then_some(()));
    let late = place.started();
    assert_eq!(slot(&mut selector(&late, "rw")), Some(1));
    decider.recover_node("p", NODES[0], Durability::NoWait).expect("recovered");
    fail(&decider, 1);
    until_slot(&mut selector(&late, "rw"), 0);
    until_slot(&mut rw, 0);
}

#[test]
fn a_report_to_a_follower_makes_the_decider_look_early() {
    let _alone = alone();
    let server = MariaDb::start();
    let place = Place::new();
    let address = format!("127.0.0.1:{}", server.port);
    let top = format!("{}\n{}", place.top(), server.top());
    let timing = "interval = \"10m\"\nlogin_interval = \"10m\"\nconfirm_interval = \"20ms\"";
    let make = || instance(std::slice::from_ref(&address), &top, timing);
    let (decider, follower) = (make(), make());
    decider.start().expect("start");
    follower.start().expect("start");
    good(&decider);
    let mut rw = selector(&follower, "rw");
    let backend = until_slot(&mut rw, 0);
    // What says nothing about reaching the node brings no look.
    let looked = node(&decider, 0).observed_ms;
    std::thread::sleep(Duration::from_millis(100));
    rw.report(&backend, ReportOutcome::SessionFailed).expect("taken");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(node(&decider, 0).observed_ms, looked);
    rw.report(&backend, ReportOutcome::ConnectFailed).expect("taken");
    wait_for("an early look", LONG, || (node(&decider, 0).observed_ms > looked).then_some(()));
    // The same by name, without a selector.
    let looked = node(&decider, 0).observed_ms;
    follower.report("p", &address, ReportOutcome::ConnectFailed).expect("taken");
    wait_for("another early look", LONG, || (node(&decider, 0).observed_ms > looked).then_some(()));
    assert_eq!(
        follower.report("p", "10.1.1.1", ReportOutcome::ConnectFailed).expect_err("none").code(),
        ErrorCode::NotFound
    );
}

#[test]
fn reports_to_followers_hold_clients_away_from_a_node() {
    let _alone = alone();
    let place = Place::new();
    let (decider, follower) = (place.started(), place.started());
    settle(&decider);
    let mut ro = selector(&follower, "ro");
    let backend = until_slot(&mut ro, 1);
    for _ in 0..20 {
        ro.report(&backend, ReportOutcome::ConnectFailed).expect("taken");
    }
    // The fallback is the last way but one: the node that is held comes after it.
    until_slot(&mut ro, 0);
    assert_eq!(slot(&mut selector(&decider, "ro")), Some(0));
    assert!(selector(&decider, "ro").reason().contains("rule 615"), "{}", ro.reason());
}
