//! Pools of kind `router`: nothing is held, nothing replicates, and what is behind moves nobody.

use super::world::{World, config, ms, node};
use crate::engine::{Command, EventKind, Input};
use crate::pool::{MaintenanceRole, State, Status};
use crate::probe::{BackendSeen, Cause, Facts, Observation};

fn routers(nodes: usize, keys: &[(&str, &str)]) -> World {
    let keys: Vec<(&str, &str)> = [("kind", "router")].iter().chain(keys).copied().collect();
    let mut world = World::new(nodes, &keys);
    for server in &mut world.servers {
        server.backend = Some(true);
    }
    world.run(ms(3000));
    assert_eq!(world.active(), Some(0), "the PRIMARY has the role");
    world
}

fn tell(world: &mut World, at: usize, cause: Cause) {
    let observation = Observation::new(cause, "", world.clock);
    world.give(Input::Observed { node: node(at), observation });
}

#[test]
fn an_ended_process_is_the_whole_ladder() {
    let mut world = routers(2, &[]);
    let told = world.events.len();
    world.servers[0].cause = Cause::ProcessExit;
    tell(&mut world, 0, Cause::ProcessExit);
    assert_eq!(world.node(0).status, Status::Fail);
    assert_eq!(world.told(told, EventKind::Doubt)[0].rule, 296);
    assert!(!world.engine.local_verdict(0, 0).good);
    // The stand-in is looked at once more, and takes over.
    let time = world.run_until(ms(1000), |w| w.active() == Some(1));
    assert!(time <= ms(25), "{time:?}");
    assert_eq!(world.node(0).state, State::FailedOffline);
    assert_eq!(world.told(told, EventKind::Switch)[0].rule, 245);
    // The process ends in other pools too; there it is one step of many.
    let mut ring = World::new(2, &[]);
    ring.run(ms(3000));
    tell(&mut ring, 0, Cause::ProcessExit);
    assert_eq!((ring.node(0).status, ring.node(0).rule), (Status::OkInfo, 203));
}

#[test]
fn a_router_heals_by_itself_and_gives_no_role_back() {
    let mut world = routers(2, &[]);
    world.set(0, Cause::Refused);
    let time = world.run_until(ms(1000), |w| w.active() == Some(1));
    assert!(time <= ms(90), "{time:?}");
    assert!(!world.node(0).waits_for_recover);
    world.run(ms(20_000));
    assert_eq!(world.node(0).state, State::FailedOffline);
    world.servers[0].cause = Cause::Ok;
    world.run_until(ms(10_000), |w| w.node(0).state == State::Standby);
    world.run(ms(60_000));
    assert_eq!(world.active(), Some(1), "failback is manual");
    world.command(Command::ActivatePrimary(0)).expect("it is healthy");
    world.run_until(ms(3000), |w| w.active() == Some(0));
    assert_eq!(world.node(1).state, State::Standby);
}

#[test]
fn no_word_of_the_servers_behind_matters() {
    let mut world = routers(2, &[]);
    // Read-only, far behind, replication broken: all of it is behind the router.
    for server in &mut world.servers {
        (server.read_only, server.sql, server.io) = (true, false, false);
    }
    world.servers[0].has[0] = 7;
    world.run(ms(5000));
    assert_eq!((world.node(0).status, world.node(1).status), (Status::Ok, Status::Ok));
    tell(&mut world, 0, Cause::ReplicationStopped);
    assert_eq!((world.node(0).status, world.node(0).rule), (Status::Ok, 212));
    world.set(0, Cause::Refused);
    world.run_until(ms(1000), |w| w.active() == Some(1));
    // A planned move asks for no transactions.
    world.servers[0].cause = Cause::Ok;
    world.run_until(ms(10_000), |w| w.node(0).state == State::Standby);
    world.command(Command::ActivatePrimary(0)).expect("it is healthy");
    world.run_until(ms(3000), |w| w.active() == Some(0));
}

#[test]
fn a_dead_backend_is_shown_and_moves_nothing() {
    let mut world = routers(3, &[]);
    let told = world.events.len();
    world.servers.iter_mut().for_each(|server| server.backend = Some(false));
    world.run(ms(30_000));
    assert_eq!(world.active(), Some(0));
    for i in 0..3 {
        let seen = world.node(i);
        assert_eq!((seen.status, seen.rule), (Status::OkWarn, 297), "node {i}");
        assert!(world.engine.local_verdict(0, i).good);
        let backend = world.engine.backend_verdict(0, i).expect("known");
        assert_eq!((backend.good, backend.words.as_str()), (false, "port 3306 reaches nobody"));
        let warned = world.told(told, EventKind::Status).into_iter().filter(|e| e.rule == 297).count();
        assert!(warned >= 3, "{warned} events");
    }
    assert!(world.told(told, EventKind::Switch).is_empty());
    assert!(world.told(told, EventKind::State).is_empty());
    assert!(world.told(told, EventKind::Doubt).is_empty());
    let text = world.engine.explain(world.now(), 0);
    assert!(text.contains("behind its ports: port 3306 reaches nobody"), "{text}");
    // The ACTIVE router dies meanwhile: a stand-in takes over, and the dead one heals, whatever is behind.
    world.set(0, Cause::Refused);
    world.run_until(ms(1000), |w| w.active() == Some(1));
    world.servers[0].cause = Cause::Ok;
    world.run_until(ms(10_000), |w| w.node(0).state == State::Standby);
    assert_eq!(world.node(0).status, Status::OkWarn);
    // What nobody reached is not known.
    world.set(2, Cause::Refused);
    world.run(ms(2000));
    assert_eq!(world.engine.backend_verdict(0, 2), None);
    world.servers.iter_mut().for_each(|server| (server.cause, server.backend) = (Cause::Ok, Some(true)));
    world.run(ms(30_000));
    assert!((0..3).all(|i| world.node(i).status == Status::Ok));
}

#[test]
fn what_is_refused_fails_nobody() {
    let mut world = routers(2, &[]);
    world.set(0, Cause::AuthDenied);
    world.run(ms(60_000));
    assert_eq!((world.active(), world.node(0).status), (Some(0), Status::OkCritical));
    assert!(world.engine.local_verdict(0, 0).good);
}

#[test]
fn a_crash_leaves_no_mark_and_the_role_where_it_was() {
    let mut world = routers(2, &[]);
    world.servers[1].rtt = ms(100);
    world.set(0, Cause::Refused);
    world.run(ms(50));
    let cache = world.asked.clone().expect("something was written");
    assert!(cache.pools[0].nodes.iter().all(|n| !n.intent && !n.waits_for_recover), "{cache:?}");
    world.servers[0].cause = Cause::Ok;
    world.restart(Some(cache));
    world.run(ms(1000));
    assert!((0..2).all(|i| !world.node(i).waits_for_recover));
    assert!(world.active().is_some());
}

#[test]
fn a_verdict_is_bad_until_the_first_good_observation() {
    let mut world = World::new(2, &[("kind", "router")]);
    assert_eq!(world.engine.local_verdict(0, 0).words, "not observed yet");
    assert!(!world.engine.local_verdict(0, 9).good && !world.engine.local_verdict(9, 0).good);
    world.run(ms(1000));
    let cache = world.on_disk.clone().expect("written");
    assert!(world.engine.local_verdict(0, 0).good);
    // ACTIVE in the last life: that says nothing about this one.
    world.restart(Some(cache));
    assert_eq!(world.node(0).state, State::Active);
    assert!(!world.engine.local_verdict(0, 0).good);
    world.run(ms(10));
    assert!(world.engine.local_verdict(0, 0).good);
    // Maintenance, and an end of it.
    let order = |role| Command::Maintenance { node: node(0), role, reason: "r".into(), limit: None };
    world.command(order(MaintenanceRole::Stay)).expect("an order");
    assert!(world.engine.local_verdict(0, 0).good, "it is to stay");
    world.command(Command::ClearOverride(node(0))).expect("ended");
    world.command(order(MaintenanceRole::Move)).expect("an order");
    assert_eq!(world.engine.local_verdict(0, 0).words, "the node is in maintenance");
    world.run(ms(3000));
    assert_eq!(world.active(), Some(1));
    world.command(Command::ClearOverride(node(0))).expect("ended");
    world.run(ms(3000));
    assert!(world.engine.local_verdict(0, 0).good);
}

/// Who holds the address is ACTIVE, in whatever order it is told, whatever becomes of the routers.
#[test]
fn the_owner_is_active() {
    let mut world = routers(3, &[]);
    let own = |world: &mut World, at: Option<usize>| world.give(Input::Owner { pool: 0, node: at });
    own(&mut world, None);
    assert_eq!((world.active(), world.node(0).rule, world.node(0).state), (None, 328, State::Standby));
    world.run(ms(5000));
    assert_eq!(world.active(), None, "nobody elects");
    let told = world.events.len();
    own(&mut world, Some(2));
    assert_eq!((world.active(), world.node(2).rule), (Some(2), 327));
    let switch = world.told(told, EventKind::Switch)[0];
    assert_eq!((switch.node.as_str(), switch.rule), ("10.0.0.3:3306", 327));
    own(&mut world, Some(2));
    assert_eq!(world.told(told, EventKind::Switch).len(), 1, "told twice");
    // Its router dies. The address has not moved, so neither does the role, and somebody is told once.
    world.servers[2].cause = Cause::ProcessExit;
    tell(&mut world, 2, Cause::ProcessExit);
    world.run(ms(10_000));
    assert_eq!((world.active(), world.node(2).status), (Some(2), Status::Fail));
    assert_eq!(world.told(told, EventKind::LastNode).len(), 1);
    assert_eq!(world.told(told, EventKind::LastNode)[0].rule, 326);
    assert!(!world.engine.local_verdict(0, 2).good);
    own(&mut world, Some(0));
    assert_eq!((world.active(), world.node(2).state), (Some(0), State::FailedOffline));
    // An address that goes to a host with a dead router: ACTIVE, and no better for it.
    own(&mut world, Some(2));
    assert_eq!((world.active(), world.node(2).status), (Some(2), Status::Fail));
    own(&mut world, Some(7));
    assert_eq!(world.active(), None, "a host without a node in the pool");
    world.servers[2].cause = Cause::Ok;
    world.run_until(ms(10_000), |w| w.node(2).state == State::Standby);
    // No command moves the role: the address has to move.
    own(&mut world, Some(1));
    let refused = world.command(Command::ActivatePrimary(0)).expect_err("refused");
    assert!(
        refused.message().contains("rule 264") && refused.message().contains("holds the address"),
        "{refused}"
    );
    let text = world.engine.explain(world.now(), 0);
    assert!(text.contains("the host of 10.0.0.2:3306 holds the address"), "{text}");
}

#[test]
fn operators_outrank_the_owner() {
    let mut world = routers(3, &[]);
    let own = |world: &mut World, at: Option<usize>| world.give(Input::Owner { pool: 0, node: at });
    own(&mut world, Some(0));
    world.command(Command::Freeze { pool: 0, reason: "r".into(), limit: None }).expect("frozen");
    own(&mut world, Some(1));
    assert_eq!(world.active(), Some(0));
    world.command(Command::Unfreeze(0)).expect("ended");
    assert_eq!(world.active(), Some(1), "the role follows at once");
    // Who is in maintenance is not ACTIVE, even with the address.
    let stay = MaintenanceRole::Move;
    world
        .command(Command::Maintenance { node: node(2), role: stay, reason: "r".into(), limit: None })
        .expect("an order");
    own(&mut world, Some(2));
    assert_eq!(world.active(), None);
    world.command(Command::ClearOverride(node(2))).expect("ended");
    world.run(ms(3000));
    assert_eq!(world.active(), Some(2));
    // The ACTIVE one is to leave: the address goes first, and the role with it.
    world
        .command(Command::Maintenance { node: node(2), role: stay, reason: "r".into(), limit: None })
        .expect("an order");
    assert_eq!((world.active(), world.engine.local_verdict(0, 2).good), (Some(2), false));
    own(&mut world, Some(1));
    assert_eq!((world.active(), world.node(2).state), (Some(1), State::Unknown));
}

#[test]
fn a_reload_keeps_the_owner_with_its_node() {
    let mut world = routers(3, &[]);
    world.give(Input::Owner { pool: 0, node: Some(2) });
    let mut next = config(3, &[("kind", "router")]);
    next.pools[0].nodes.swap(0, 2);
    world.reload(next).expect("reloaded");
    assert_eq!(world.active(), Some(0));
    world.run(ms(3000));
    assert_eq!(world.active(), Some(0));
    // In a ring nobody owns anything.
    let mut ring = World::new(2, &[]);
    ring.run(ms(1000));
    ring.give(Input::Owner { pool: 0, node: Some(1) });
    assert_eq!(ring.active(), Some(0));
    let facts = Facts { backend: Some(BackendSeen::default()), ..Facts::default() };
    let observation = Observation { facts, ..Observation::new(Cause::Ok, "", ring.clock) };
    ring.give(Input::Observed { node: node(0), observation });
    assert_eq!(ring.node(0).rule, 212, "the row is about routers alone");
}
