//! Overrides, freezes and maintenance in time: role, limits, restarts (rule 13 of the design).

use super::world::{World, ms, node};
use crate::engine::time::Duration;
use crate::engine::{Answer, Command, EventKind, Severity};
use crate::error::{ErrorCode, Result};
use crate::pool::{MaintenanceRole, Override, State, Status};
use crate::probe::Cause;

const MINUTE: Duration = Duration::from_secs(60);

fn set(world: &mut World, of: usize, state: State, limit: Option<Duration>) -> Result<Answer> {
    let set = Override { state: Some(state), ..Override::default() };
    world.command(Command::Override { node: node(of), set, reason: "a test".into(), limit })
}

fn maintain(world: &mut World, of: usize, role: MaintenanceRole) -> Result<Answer> {
    world.command(Command::Maintenance { node: node(of), role, reason: "new disk".into(), limit: None })
}

fn freeze(world: &mut World, limit: Option<Duration>) {
    world.command(Command::Freeze { pool: 0, reason: "new switch".into(), limit }).expect("freeze");
}

fn healthy(nodes: usize, keys: &[(&str, &str)]) -> World {
    let mut world = World::new(nodes, keys);
    world.run(ms(3000));
    assert_eq!(world.active(), Some(0));
    world
}

fn refused(answer: Result<Answer>, rule: u16) {
    let error = answer.expect_err("it is refused");
    assert_eq!(error.code(), ErrorCode::Refused, "{error}");
    assert!(error.to_string().contains(&format!("rule {rule}")), "{error}");
}

/// Rules of the orders' events since a point of the list.
fn rules(world: &World, since: usize, kind: EventKind) -> Vec<u16> {
    world.told(since, kind).iter().map(|e| e.rule).collect()
}

#[test]
fn an_override_to_active_moves_the_role_in_one_evaluation_and_holds_it() {
    let mut world = healthy(3, &[]);
    let (told, epoch) = (world.events.len(), world.pool().epoch);
    let answer = set(&mut world, 1, State::Active, None).expect("set");
    assert_eq!(answer.rule, 271);
    assert_eq!((world.active(), world.node(0).state), (Some(1), State::Standby));
    assert_eq!(rules(&world, told, EventKind::Switch), [271]);
    assert_eq!(world.pool().epoch, epoch + 1);
    refused(set(&mut world, 2, State::Active, None), 272);
    // It fails, and keeps the role with one alarm that names who could have it.
    let told = world.events.len();
    world.set(1, Cause::Refused);
    world.run(Duration::from_secs(30));
    assert_eq!((world.active(), world.node(1).status), (Some(1), Status::Fail));
    let alarms = world.told(told, EventKind::LastNode);
    assert_eq!(alarms.len(), 1);
    assert_eq!((alarms[0].rule, alarms[0].severity), (255, Severity::Alarm));
    assert!(alarms[0].message.contains("10.0.0.1:3306 could take over"), "{}", alarms[0].message);
    let words = world.engine.explain(world.now(), 0);
    assert!(words.contains("an operator fixed the role on 10.0.0.2:3306"), "{words}");
    assert!(words.contains("without an operator's order: FAILED_OFFLINE, rule 245"), "{words}");
    // The end moves nothing by itself: the node must be seen bad as often as ever.
    let (told, probes) = (world.events.len(), world.probes[1]);
    world.command(Command::ClearOverride(node(1))).expect("unset");
    assert_eq!(world.active(), Some(1));
    world.run_until(ms(3000), |w| w.active() == Some(0));
    assert!(world.probes[1] - probes >= 4, "{} probes", world.probes[1] - probes);
    assert_eq!(rules(&world, told, EventKind::Switch), [245]);
    refused(world.command(Command::ClearOverride(node(1))), 277);
}

#[test]
fn an_operator_may_force_the_role_on_a_node_that_does_not_answer_and_is_told() {
    let mut world = healthy(2, &[]);
    world.set(1, Cause::Refused);
    world.run(ms(5000));
    let told = world.events.len();
    let answer = set(&mut world, 1, State::Active, None).expect("set");
    assert!(answer.message.contains("by the rules it could not take over"), "{}", answer.message);
    assert_eq!(world.active(), Some(1));
    assert_eq!(world.told(told, EventKind::Command)[0].severity, Severity::Warning);
}

#[test]
fn a_fixed_stand_in_never_takes_over_and_its_release_lets_it() {
    let mut world = healthy(2, &[]);
    set(&mut world, 1, State::Standby, None).expect("set");
    world.set(0, Cause::Refused);
    world.run(MINUTE);
    assert_eq!(world.active(), Some(0), "an order says that nobody else may have the role");
    let alarm = world.told(0, EventKind::LastNode);
    assert!(alarm[0].message.contains("an operator fixed it as STANDBY"), "{}", alarm[0].message);
    world.command(Command::ClearOverride(node(1))).expect("unset");
    assert_eq!(world.active(), Some(1), "the operator's command is what moves it");
}

#[test]
fn a_time_limit_warns_a_minute_before_and_switches_nothing() {
    for failback in ["auto", "after-recover", "manual"] {
        let mut world = healthy(2, &[("failback", failback)]);
        let told = world.events.len();
        let start = world.clock;
        set(&mut world, 1, State::Active, Some(10 * MINUTE)).expect("set");
        world.run(2 * 60 * MINUTE);
        let ends: Vec<(u16, u64)> = world
            .told(told, EventKind::Command)
            .iter()
            .map(|e| (e.rule, e.mono.since(start).as_secs()))
            .collect();
        assert_eq!(ends, [(271, 0), (286, 540), (285, 600)]);
        assert_eq!(world.active(), Some(1), "failback {failback}");
        assert_eq!(rules(&world, told, EventKind::Switch), [271]);
        assert!(world.node(1).override_.is_none());
        let words = world.engine.explain(world.now(), 0);
        assert!(words.contains("no hand-back begins by itself"), "{words}");
        world.command(Command::ActivatePrimary(0)).expect("activate-primary");
        world.run_until(ms(2000), |w| w.active() == Some(0));
    }
}

#[test]
fn a_fixed_failure_of_the_active_gives_its_role_away_and_waits_for_recover() {
    let mut world = healthy(2, &[]);
    set(&mut world, 0, State::FailedOffline, None).expect("set");
    assert_eq!((world.active(), world.node(0).state), (Some(1), State::FailedOffline));
    world.run(MINUTE);
    assert_eq!(world.node(0).state, State::FailedOffline, "it answers, and an operator says otherwise");
    refused(world.command(Command::RecoverNode(node(0))), 284);
    world.command(Command::ClearOverride(node(0))).expect("unset");
    world.run(MINUTE);
    assert!(world.node(0).waits_for_recover && world.node(0).state.is_failed());
    world.command(Command::RecoverNode(node(0))).expect("recover");
    world.run_until(Duration::from_secs(10), |w| w.active() == Some(0));
}

#[test]
fn nobody_takes_the_last_node_s_role_but_its_faults_can_be_silenced() {
    let mut world = healthy(2, &[]);
    world.set(1, Cause::Refused);
    world.run(ms(5000));
    for state in [State::Standby, State::Unknown, State::FailedOnline] {
        refused(set(&mut world, 0, state, None), 273);
    }
    refused(maintain(&mut world, 0, MaintenanceRole::Move), 273);
    let told = world.events.len();
    assert_eq!(maintain(&mut world, 0, MaintenanceRole::Stay).expect("stay").rule, 283);
    world.set(0, Cause::Refused);
    world.run(MINUTE);
    assert_eq!(world.active(), Some(0));
    let loud: Vec<_> = world.events[told..].iter().filter(|e| e.severity != Severity::Info).collect();
    assert!(loud.is_empty(), "{loud:?}");
}

#[test]
fn maintenance_hands_the_role_over_with_proof_and_ends_with_a_normal_rise() {
    let mut world = healthy(2, &[]);
    world.servers[0].has[0] = 100;
    let told = world.events.len();
    let answer = maintain(&mut world, 0, MaintenanceRole::Move).expect("maintenance");
    assert_eq!((answer.rule, world.active(), world.pool().paused), (282, Some(0), true));
    world.run(ms(500));
    assert_eq!((world.active(), world.pool().paused), (Some(1), false));
    assert_eq!(rules(&world, told, EventKind::HandOver), [256, 241]);
    assert_eq!(world.node(0).state, State::Unknown);
    // The server is away for an hour, and nobody is woken for it.
    let told = world.events.len();
    world.set(0, Cause::Refused);
    world.run(60 * MINUTE);
    world.set(0, Cause::Ok);
    world.run(MINUTE);
    let loud: Vec<_> = world.events[told..]
        .iter()
        .filter(|e| e.node.starts_with("10.0.0.1") && e.severity != Severity::Info)
        .collect();
    assert!(loud.is_empty(), "{loud:?}");
    assert_eq!((world.active(), world.node(0).state), (Some(1), State::Unknown));
    world.command(Command::ClearOverride(node(0))).expect("end");
    world.run(ms(3000));
    assert_eq!((world.active(), world.node(0).state), (Some(1), State::Standby));
}

#[test]
fn maintenance_waits_for_an_heir_that_has_everything() {
    let mut world = healthy(2, &[]);
    world.cut_replication(1);
    let mut has = 100;
    maintain(&mut world, 0, MaintenanceRole::Move).expect("maintenance");
    for _ in 0..300 {
        has += 1;
        world.servers[0].has[0] = has;
        world.run(ms(100));
        assert_eq!(world.active(), Some(0), "the role moved without proof");
    }
    assert!(rules(&world, 0, EventKind::HandOver).starts_with(&[256, 244, 256]));
    // Meanwhile rules judge it as ever: it serves.
    world.replication_runs();
    world.run(MINUTE);
    assert_eq!(world.active(), Some(1));
    // And if it fails before, it has failed.
    let mut world = healthy(2, &[]);
    world.cut_replication(1);
    world.servers[0].has[0] = 7;
    maintain(&mut world, 0, MaintenanceRole::Move).expect("maintenance");
    world.run(ms(200));
    world.set(0, Cause::Refused);
    world.run(ms(5000));
    assert_eq!(world.active(), Some(1));
    assert!(world.node(0).waits_for_recover && world.node(0).override_.is_some());
}

#[test]
fn a_frozen_pool_changes_nothing_and_says_what_it_would() {
    let mut world = healthy(3, &[]);
    freeze(&mut world, None);
    assert_eq!(world.pool().frozen.expect("frozen").reason, "new switch");
    let told = world.events.len();
    world.set(0, Cause::Refused);
    world.set(2, Cause::Refused);
    world.run(MINUTE);
    let states: Vec<State> = world.pool().nodes.iter().map(|n| n.state).collect();
    assert_eq!(states, [State::Active, State::Standby, State::Standby]);
    assert_eq!(rules(&world, told, EventKind::LastNode), [257]);
    let would: Vec<String> = world
        .told(told, EventKind::Log)
        .iter()
        .map(|e| format!("{} {}", e.node, e.message.split(':').next().unwrap_or_default()))
        .collect();
    assert!(
        would.contains(&"10.0.0.2:3306 but for an operator's order it would be ACTIVE by rule 245".into()),
        "{would:?}"
    );
    assert!(
        would.iter().any(|w| w.starts_with("10.0.0.3:3306") && w.ends_with("FAILED_OFFLINE by rule 223")),
        "{would:?}"
    );
    assert_eq!(would.len(), 3, "each once: {would:?}");
    refused(world.command(Command::ActivatePrimary(0)), 264);
    // An operator's word still counts.
    set(&mut world, 1, State::Active, None).expect("set");
    assert_eq!(world.active(), Some(1));
    world.command(Command::ClearOverride(node(1))).expect("unset");
    world.set(1, Cause::Refused);
    world.set(0, Cause::Ok);
    world.run(ms(5000));
    assert_eq!(world.active(), Some(1));
    // The counts begin anew.
    let probes = world.probes[1];
    world.command(Command::Unfreeze(0)).expect("unfreeze");
    assert_eq!(world.active(), Some(1));
    refused(world.command(Command::Unfreeze(0)), 280);
    world.run(ms(20_000));
    assert!(world.node(1).state.is_failed() && world.probes[1] - probes >= 4);
}

#[test]
fn a_freeze_ends_by_time_without_a_switch_at_that_moment() {
    let mut world = healthy(2, &[]);
    freeze(&mut world, Some(5 * MINUTE));
    world.set(0, Cause::Refused);
    let told = world.events.len();
    world.run(10 * MINUTE);
    assert_eq!(rules(&world, told, EventKind::Command), [286, 285]);
    let ended = world.told(told, EventKind::Command)[1].mono;
    let switched = world.told(told, EventKind::Switch);
    assert_eq!(switched.len(), 1, "rules decide again");
    assert!(switched[0].mono.since(ended) >= ms(60), "{:?} after the end", switched[0].mono.since(ended));
}

#[test]
fn the_role_of_a_removed_node_moves_in_a_frozen_pool_too() {
    let mut world = healthy(2, &[]);
    freeze(&mut world, None);
    set(&mut world, 0, State::Active, None).expect("set");
    world.command(Command::RemoveNode(node(0))).expect("remove");
    let pool = world.pool();
    assert_eq!((pool.nodes.len(), pool.nodes[0].state), (1, State::Active));
    assert!(pool.nodes[0].override_.is_none());
    refused(set(&mut world, 0, State::Standby, None), 287);
}

#[test]
fn orders_outlive_the_process_and_a_clock_set_back_prolongs_none() {
    let mut world = healthy(3, &[]);
    set(&mut world, 1, State::Active, Some(60 * MINUTE)).expect("set");
    maintain(&mut world, 2, MaintenanceRole::Move).expect("maintenance");
    freeze(&mut world, None);
    world.run(10 * MINUTE);
    let before = world.pool();
    let asked = world.asked.clone();
    world.restart(asked);
    let after = world.pool();
    for (was, is) in before.nodes.iter().zip(&after.nodes) {
        assert_eq!((&was.override_, was.state), (&is.override_, is.state));
    }
    assert_eq!(before.frozen, after.frozen);
    world.command(Command::Unfreeze(0)).expect("unfreeze");
    world.set(1, Cause::Refused);
    world.run(MINUTE);
    assert_eq!((world.active(), world.node(2).state), (Some(1), State::Unknown));
    refused(set(&mut world, 0, State::Active, None), 272);
    // The clock goes back by a day, and the process starts again.
    let left = |w: &World| {
        let until = w.node(1).override_.and_then(|o| o.until_ms).expect("a limit");
        until.saturating_sub(w.now().wall_ms) / 1000
    };
    assert_eq!(left(&world), 49 * 60);
    let asked = world.asked.clone();
    world.epoch_ms -= 24 * 3_600_000;
    world.restart(asked);
    let written = left(&world);
    assert!(written <= 50 * 60 + 1, "{written} s are left");
    let told = world.events.len();
    world.run(50 * MINUTE + ms(5000));
    assert_eq!(rules(&world, told, EventKind::Command), [286, 285]);
}

#[test]
fn what_ran_out_while_nobody_was_there_ends_at_the_start_without_a_switch() {
    let mut world = healthy(2, &[("failback", "auto")]);
    set(&mut world, 1, State::Active, Some(5 * MINUTE)).expect("set");
    world.run(ms(100));
    let asked = world.asked.clone();
    world.clock = world.clock + 60 * MINUTE;
    let told = world.events.len();
    world.restart(asked);
    assert_eq!(rules(&world, told, EventKind::Command), [285]);
    world.run(60 * MINUTE);
    assert_eq!(world.active(), Some(1));
    assert!(world.told(told, EventKind::Switch).is_empty());
    // That a hand-back waits outlives the process as well.
    let asked = world.asked.clone();
    world.restart(asked);
    world.run(60 * MINUTE);
    assert_eq!(world.active(), Some(1));
}
