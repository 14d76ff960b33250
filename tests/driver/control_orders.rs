//! Operators' orders and hosts' reports over the control socket of a running instance.

use crate::control::{LONG, OTHER, Place, Running, recover};
use crate::support::*;
use primacy::ErrorCode;
use primacy::control::{Ask, Change, Done, Seen, Terms};
use primacy::engine::ReportOutcome;
use primacy::instance::control::new_id;
use primacy::pool::{MaintenanceRole, Override, State};
use std::time::Duration;

fn terms(reason: &str, limit: Option<u64>) -> Terms {
    Terms { reason: reason.into(), limit: limit.map(Duration::from_secs) }
}

fn change(place: &Place, change: Change) -> primacy::Result<Done> {
    place.client().ask(new_id().unwrap(), Ask::Change { change, wait: true }, LONG).expect("an answer")
}

fn seen(place: &Place) -> Seen {
    let ask = Ask::Snapshot { pool: None };
    let done = place.client().ask(new_id().unwrap(), ask, LONG).expect("an answer").expect("a snapshot");
    Seen::decode(&done.body).expect("a body")
}

fn stored(place: &Place) -> primacy::store::Cache {
    let bytes = std::fs::read(place.path("cache")).expect("the cache");
    primacy::store::decode(&bytes, "cache").expect("whole")
}

#[test]
fn both_loops_carry_orders_out_and_store_them_before_they_answer() {
    let _alone = alone();
    for host_loop in [false, true] {
        let place = Place::new();
        let running = Running::start(place.instance(""), host_loop);
        running.fail_first();
        let (pool, node) = (|| "p".to_string(), || OTHER.to_string());
        let set = Override { weight: Some(9), ..Override::default() };
        let order = Change::Override { pool: pool(), node: node(), set, terms: terms("disk", Some(60)) };
        let done = change(&place, order).expect("set");
        assert!(done.message.contains("disk") && done.message.contains(OTHER) && done.rule > 0, "{done:?}");
        let order = stored(&place).pools[0].nodes[1].override_.clone().expect("in the cache");
        assert_eq!((order.set, order.reason.as_str()), (set, "disk"), "host_loop {host_loop}");
        assert_eq!(order.until_ms, Some(order.since_ms + 60_000));
        change(&place, Change::Freeze { pool: pool(), terms: terms("work", None) }).expect("frozen");
        assert_eq!(stored(&place).pools[0].frozen.as_ref().map(|f| f.reason.as_str()), Some("work"));
        // What crosses is what the instance has.
        let mut own = running.instance.snapshot().expect("the instance's own");
        let told = seen(&place).snapshot;
        own.wall_ms = told.wall_ms;
        assert_eq!(told, own);
        assert!(own.pools[0].frozen.is_some() && own.pools[0].nodes[1].override_.is_some());
        change(&place, Change::Unfreeze { pool: pool() }).expect("unfrozen");
        let error = change(&place, Change::Unfreeze { pool: pool() }).expect_err("nothing is frozen");
        assert_eq!(error.code(), ErrorCode::Refused);
        let role = MaintenanceRole::Stay;
        let order = Change::Maintenance { pool: pool(), node: node(), role, terms: terms("memory", None) };
        change(&place, order).expect("in maintenance");
        let order = seen(&place).snapshot.pools[0].nodes[1].override_.clone().expect("it shows");
        assert_eq!((order.maintenance, order.set), (Some(role), Override::default()), "one order at a time");
        change(&place, Change::ClearOverride { pool: pool(), node: node() }).expect("ended");
        assert_eq!(stored(&place).pools[0].nodes[1].override_, None);

        let empty = Change::Override {
            pool: pool(),
            node: node(),
            set: Override::default(),
            terms: terms("r", None),
        };
        assert_eq!(change(&place, empty).expect_err("nothing is set").code(), ErrorCode::Invalid);
        let endless = Change::Freeze { pool: pool(), terms: terms("r", Some(u64::from(u32::MAX))) };
        assert_eq!(change(&place, endless).expect_err("too long").code(), ErrorCode::Invalid);
        let unknown = Change::Freeze { pool: "q".into(), terms: terms("r", None) };
        assert_eq!(change(&place, unknown).expect_err("no pool q").code(), ErrorCode::NotFound);
    }
}

#[test]
fn an_order_that_comes_again_is_not_given_again() {
    let _alone = alone();
    let place = Place::new();
    let running = Running::start(place.instance(""), false);
    running.fail_first();
    let id = new_id().unwrap();
    let freeze = |reason: &str| Ask::Change {
        change: Change::Freeze { pool: "p".into(), terms: terms(reason, None) },
        wait: true,
    };
    let first = place.client().ask(id, freeze("work"), LONG).expect("an answer").expect("frozen");
    change(&place, Change::Unfreeze { pool: "p".into() }).expect("unfrozen");
    let second = place.client().ask(id, freeze("work"), LONG).expect("an answer").expect("the first answer");
    assert_eq!(first, second);
    assert_eq!(pool(&running.instance).frozen, None, "not frozen again");
    // Another reason is another command.
    let error =
        place.client().ask(id, freeze("other work"), LONG).expect("an answer").expect_err("a stolen id");
    assert_eq!(error.code(), ErrorCode::Invalid);
}

/// A busy host's reports must not make a command that comes again a second one.
#[test]
fn reports_take_no_command_out_of_the_memory() {
    let _alone = alone();
    let place = Place::new();
    let running = Running::start(place.instance(""), false);
    running.fail_first();
    let id = new_id().unwrap();
    let first = place.client().ask(id, recover(), LONG).expect("an answer").expect("recovered");
    running.fail_first();
    let mut client = place.client();
    for n in 0..300 {
        let outcome = ReportOutcome::ALL[n % ReportOutcome::ALL.len()];
        let ask = Ask::Report { pool: "p".into(), node: OTHER.into(), service: None, outcome };
        let done = client.ask(new_id().unwrap(), ask, LONG).expect("an answer").expect("taken");
        assert_eq!(done, Done::default());
    }
    let second = place.client().ask(id, recover(), LONG).expect("an answer").expect("the first answer");
    assert_eq!(first, second);
    assert_eq!(node(&running.instance, 0).state, State::FailedOffline, "not recovered again");
    let ask = Ask::Report {
        pool: "p".into(),
        node: "10.1.1.1".into(),
        service: None,
        outcome: ReportOutcome::ConnectFailed,
    };
    let error = client.ask(new_id().unwrap(), ask, LONG).expect("an answer").expect_err("no such node");
    assert_eq!(error.code(), ErrorCode::NotFound);
}
