//! Rule 13: operators outrank rules; what they may set, and what becomes of it under both policies.

use super::world::{RING, World, ms, node};
use primacy::engine::{Command, EventKind, LONGEST_LIMIT, LONGEST_REASON};
use primacy::pool::{MaintenanceRole, NodeType, Override, State, Status};
use primacy::probe::Cause;
use primacy::{ErrorCode, Result, engine::Answer};
use std::time::Duration;

const NOTHING: Override = Override { state: None, status: None, node_type: None, weight: None };

fn set(w: &mut World, of: usize, set: Override) -> Result<Answer> {
    w.command(Command::Override { node: node(of), set, reason: "a test".into(), limit: None })
}

fn state(state: State) -> Override {
    Override { state: Some(state), ..NOTHING }
}

fn rule(answer: Result<Answer>) -> u16 {
    answer.expect("it is not refused").rule
}

fn refused(answer: Result<Answer>, rule: u16) {
    let error = answer.expect_err("it is refused");
    assert!(error.to_string().contains(&format!("refused by rule {rule}:")), "{error}");
}

/// Every state but ACTIVE can be fixed on a stand-in, stays whatever is observed, and is kept when that ends.
#[test]
fn a_state_stays_what_it_was_set_to() {
    for fixed in [State::Unknown, State::Standby, State::FailedOnline, State::FailedOffline] {
        for cause in [Cause::Ok, Cause::Refused, Cause::NoReply, Cause::ReplicationStopped, Cause::Dns] {
            let mut w = World::new(&[RING], &[]);
            assert_eq!(rule(set(&mut w, 1, state(fixed))), 270);
            w.set(&[1], cause);
            w.run(ms(30_000));
            assert_eq!((w.state(0), w.state(1)), (State::Active, fixed), "{cause}");
            assert_eq!(w.node(1).rule, 229);
            w.set(&[0], Cause::Refused);
            w.run(ms(10_000));
            assert_eq!((w.state(0), w.state(1)), (State::Active, fixed), "{cause}");
            w.set(&[0, 1], Cause::Ok);
            assert_eq!(rule(w.command(Command::ClearOverride(node(1)))), 276);
            assert_eq!(w.state(1), fixed, "the end alone changes nothing");
            w.run(ms(60_000));
            assert_eq!((w.state(0), w.state(1)), (State::Active, State::Standby), "{cause}");
        }
    }
}

#[test]
fn a_status_is_for_those_who_look_and_rules_go_on() {
    let mut w = World::new(&[RING], &[]);
    assert_eq!(
        rule(set(&mut w, 0, Override { status: Some(Status::OkWarn), weight: Some(0), ..NOTHING })),
        274
    );
    assert_eq!((w.node(0).status, w.node(0).weight), (Status::OkWarn, 0));
    w.set(&[0], Cause::Refused);
    w.run_until(ms(2_000), |w| w.state(1) == State::Active);
    assert!(w.state(0).is_failed());
    assert_eq!(w.node(0).status, Status::OkWarn);
    assert!(w.explain().contains("the rules have its status at FAIL"), "{}", w.explain());
    w.command(Command::ClearOverride(node(0))).expect("unset");
    assert_eq!((w.node(0).status, w.node(0).weight), (Status::Fail, 1));
}

#[test]
fn a_type_decides_who_is_preferred_and_there_is_one_primary() {
    let keys = [("pool.p.failback", "auto"), ("pool.p.hold_down", "0ms")];
    let mut w = World::new(&[RING], &keys);
    let primary = Override { node_type: Some(NodeType::Primary), ..NOTHING };
    assert_eq!(rule(set(&mut w, 1, primary)), 274);
    assert_eq!((w.node(0).node_type, w.node(1).node_type), (NodeType::Secondary, NodeType::Primary));
    refused(set(&mut w, 0, primary), 275);
    w.run_until(ms(5_000), |w| w.state(1) == State::Active);
    assert_eq!(w.told(EventKind::HandOver).iter().map(|e| e.rule).collect::<Vec<_>>(), [251, 241]);
    w.command(Command::ClearOverride(node(1))).expect("unset");
    assert_eq!((w.node(0).node_type, w.node(1).node_type), (NodeType::Primary, NodeType::Secondary));
    w.run_until(ms(5_000), |w| w.state(0) == State::Active);
}

/// One override or maintenance for each node: a later one takes the place of the earlier.
#[test]
fn the_last_word_counts() {
    let mut w = World::new(&[RING], &[]);
    set(&mut w, 1, state(State::FailedOffline)).expect("set");
    set(&mut w, 1, Override { weight: Some(3), ..NOTHING }).expect("set");
    assert_eq!((w.state(1), w.node(1).weight), (State::FailedOffline, 3));
    w.run(ms(30_000));
    assert_eq!(w.state(1), State::Standby, "nothing fixes its state any more");
    let over = w.node(1).override_.expect("an override");
    assert_eq!((over.set.state, over.set.weight, over.reason.as_str()), (None, Some(3), "a test"));
    let role = MaintenanceRole::Stay;
    let maintenance = Command::Maintenance { node: node(1), role, reason: "disk".into(), limit: None };
    assert_eq!(rule(w.command(maintenance)), 281);
    assert_eq!((w.state(1), w.node(1).weight), (State::Unknown, 1));
    assert_eq!(rule(set(&mut w, 1, state(State::Active))), 271);
    assert_eq!((w.state(0), w.state(1)), (State::Standby, State::Active));
    assert_eq!(w.node(1).override_.expect("an override").maintenance, None);
}

#[test]
fn reason_and_limit_are_looked_at() {
    let mut w = World::new(&[RING], &[]);
    let long = "x".repeat(LONGEST_REASON + 1);
    let second = Duration::from_secs(1);
    let orders = [
        (NOTHING, "a reason", None),
        (state(State::Standby), "", None),
        (state(State::Standby), " \n", None),
        (state(State::Standby), long.as_str(), None),
        (state(State::Standby), "a reason", Some(Duration::ZERO)),
        (state(State::Standby), "a reason", Some(LONGEST_LIMIT + second)),
    ];
    for (set, reason, limit) in orders {
        let order = Command::Override { node: node(1), set, reason: reason.into(), limit };
        assert_eq!(w.command(order).expect_err("out of range").code(), ErrorCode::Invalid);
    }
    let order = Command::Override {
        node: node(7),
        set: state(State::Standby),
        reason: "why".into(),
        limit: Some(second),
    };
    assert_eq!(w.command(order).expect_err("no such node").code(), ErrorCode::NotFound);
    let order = Command::Freeze { pool: 3, reason: "why".into(), limit: None };
    assert_eq!(w.command(order).expect_err("no such pool").code(), ErrorCode::NotFound);
    assert!(w.events.is_empty() && w.node(1).override_.is_none());
}

const MPP: [(&str, &str); 1] = [("pool.p.policy", "mpp")];

#[test]
fn under_mpp_an_override_to_active_holds_against_the_table() {
    let mut w = World::new(&[RING], &MPP);
    assert_eq!(rule(set(&mut w, 1, state(State::Active))), 132);
    assert_eq!((w.state(0), w.state(1)), (State::Standby, State::Active));
    refused(set(&mut w, 0, state(State::Active)), 133);
    refused(w.command(Command::ActivatePrimary(0)), 125);
    w.run(ms(60_000));
    assert_eq!((w.state(0), w.state(1)), (State::Standby, State::Active));
    w.set(&[1], Cause::Refused);
    w.run(ms(60_000));
    assert_eq!((w.state(1), w.node(1).status), (State::Active, Status::Fail));
    assert_eq!(rule(w.command(Command::ClearOverride(node(1)))), 137);
    assert_eq!((w.state(1), w.node(1).count), (State::Active, Some(0)));
    // By the table the PRIMARY takes the role of a SECONDARY that has failed.
    w.run_until(ms(10_000), |w| w.state(0) == State::Active && w.state(1).is_failed());
}

#[test]
fn under_mpp_freeze_and_maintenance_work_too() {
    let mut w = World::new(&[RING], &MPP);
    w.command(Command::Freeze { pool: 0, reason: "why".into(), limit: Some(ms(120_000)) }).expect("freeze");
    w.set(&[0], Cause::Refused);
    w.run(ms(119_000));
    assert_eq!((w.state(0), w.state(1), w.node(0).rule), (State::Active, State::Standby, 129));
    w.run(ms(3_000));
    let rules: Vec<u16> = w.told(EventKind::Command).iter().map(|e| e.rule).collect();
    assert_eq!(rules, [139, 146, 145]);
    w.run_until(ms(10_000), |w| w.state(1) == State::Active);
    w.set(&[0], Cause::Ok);
    w.command(Command::RecoverNode(node(0))).expect("recover");
    w.run_until(ms(10_000), |w| w.state(0) == State::Active && w.state(1) == State::Standby);
    w.run(ms(3_000));
    let role = MaintenanceRole::Move;
    let maintenance = Command::Maintenance { node: node(0), role, reason: "disk".into(), limit: None };
    assert_eq!(rule(w.command(maintenance)), 142);
    assert_eq!((w.state(0), w.state(1)), (State::Unknown, State::Active));
    refused(w.command(Command::RecoverNode(node(0))), 144);
    w.run(ms(60_000));
    assert_eq!((w.state(0), w.state(1)), (State::Unknown, State::Active));
    assert!(w.explain().contains("an operator fixed 10.0.0.1:3306 as UNKNOWN"), "{}", w.explain());
    w.command(Command::ClearOverride(node(0))).expect("end");
    w.run_until(ms(20_000), |w| w.state(0) == State::Active && w.state(1) == State::Standby);
}
