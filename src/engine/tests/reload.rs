//! A new configuration in a running engine: what stays, what comes and goes, what is refused.

use super::world::{World, config, ms, node};
use crate::config::{Config, ConfigBuilder};
use crate::engine::time::Duration;
use crate::engine::{
    Command, Effect, Engine, Event, EventKind, Input, NodeRef, NodeSnapshot, Now, Severity, Time,
};
use crate::error::ErrorCode;
use crate::policy::reload::FIXED;
use crate::pool::{MaintenanceRole, NodeType, Override, State, Status};
use crate::probe::{Cause, Observation};
use proptest::prelude::*;

/// One pool of these nodes, the first one PRIMARY, with keys of the pool.
fn of(nodes: &[usize], keys: &[(&str, &str)]) -> Config {
    let mut text = String::from("[pool.p]\nnodes = [\n");
    for (i, n) in nodes.iter().enumerate() {
        let node_type = if i == 0 { "primary" } else { "secondary" };
        text.push_str(&format!("{{ address = \"10.0.0.{n}\", type = \"{node_type}\" }},\n"));
    }
    text.push_str("]\n");
    let mut builder = ConfigBuilder::new();
    builder.load_text(&text, "test").expect("a text");
    for (key, value) in keys {
        let key = if key.contains('/') { key.replace('/', "") } else { format!("pool.p.{key}") };
        builder.set(&key, value).expect("a key");
    }
    builder.build().expect("a configuration")
}

fn named(world: &World, n: usize) -> Option<NodeSnapshot> {
    world.pool().nodes.into_iter().find(|node| node.name == format!("10.0.0.{n}:3306"))
}

/// Name, type, state, status and count of every node, by name.
fn states(world: &World) -> Vec<(String, State, Status, Option<u32>)> {
    let mut all: Vec<_> =
        world.pool().nodes.into_iter().map(|n| (n.name, n.state, n.status, n.count)).collect();
    all.sort();
    all
}

fn settled(nodes: usize, keys: &[(&str, &str)]) -> World {
    let mut world = World::new(nodes, keys);
    world.run_until(Duration::from_secs(5), |w| w.active() == Some(0));
    world.run(ms(1_500));
    world
}

#[test]
fn nodes_come_and_go_and_the_others_notice_nothing() {
    let mut world = settled(3, &[]);
    world.set(2, Cause::AuthDenied);
    world.run(ms(1_200));
    let (epoch, active) = (world.pool().epoch, named(&world, 1));
    let told = world.events.len();
    // Node 2 leaves, node 4 comes, node 3 changes places with it.
    let done = world.reload(of(&[1, 4, 3], &[])).expect("a reload");
    assert_eq!(done.moved, [(node(0), node(0)), (node(2), node(2))]);
    let events = world.told(told, EventKind::Reload);
    assert_eq!((events.len(), events[0].rule, events[0].severity), (1, 910, Severity::Info));
    assert!(events[0].message.contains("10.0.0.4:3306 comes"), "{}", events[0].message);
    assert!(events[0].message.contains("10.0.0.2:3306 leaves"), "{}", events[0].message);
    assert_eq!(world.pool().epoch, epoch);
    assert_eq!(named(&world, 1), active);
    assert!(named(&world, 2).is_none());
    assert_eq!(named(&world, 4).map(|n| (n.state, n.count)), Some((State::Unknown, None)));
    let refused = named(&world, 3).expect("node 3");
    assert_eq!((refused.cause, refused.state), (Some(Cause::AuthDenied), State::Standby));
    assert!(refused.count.is_some_and(|n| n > 0), "the count goes on");
    world.run(ms(3_000));
    assert_eq!(named(&world, 4).map(|n| n.state), Some(State::Standby));
    assert_eq!((world.active(), world.pool().epoch), (Some(0), epoch));
    // The new one is a stand-in like any other.
    world.set(2, Cause::Ok);
    world.run(ms(4_000));
    world.set(0, Cause::Refused);
    world.run_until(Duration::from_secs(2), |w| w.active() == Some(1));
    assert!(world.pool().epoch > epoch);
}

#[test]
fn an_active_node_leaves_only_if_another_may_take_over() {
    let mut world = settled(2, &[]);
    let before = (world.pool(), world.asked.clone(), world.events.len(), world.engine.config().clone());
    // A stranger in its place does not do: nobody has looked at it.
    let error = world.reload(of(&[3, 4], &[])).expect_err("nobody stays");
    assert_eq!(error.code(), ErrorCode::Refused);
    for part in ["rule 908", "10.0.0.1:3306", "nobody may take over", "stays in force"] {
        assert!(error.message().contains(part), "{part} is missing: {error}");
    }
    world.set(1, Cause::AuthDenied);
    world.run(ms(1_000));
    world.reload(of(&[2, 4], &[])).expect_err("the other is not good");
    world.set(1, Cause::Ok);
    assert_eq!(world.engine.config(), &before.3);
    world.run(ms(5_000));
    assert_eq!((world.pool().epoch, world.active()), (before.0.epoch, Some(0)));
    let told = world.events.len();
    world.reload(of(&[2, 4], &[])).expect("the other may take over");
    assert_eq!(world.active(), Some(0));
    assert_eq!(named(&world, 2).map(|n| (n.state, n.node_type)), Some((State::Active, NodeType::Primary)));
    let switches = world.told(told, EventKind::Switch);
    assert_eq!(switches.len(), 1, "one change, never told as lost first: {switches:?}");
    assert!(switches[0].message.contains("10.0.0.1:3306, is 10.0.0.2:3306"), "{}", switches[0].message);
    assert!(world.pool().epoch > before.0.epoch);
    world.run(ms(3_000));
    assert_eq!(named(&world, 4).map(|n| n.state), Some(State::Standby));
}

#[test]
fn under_mpp_too_the_role_is_not_left_to_nobody() {
    let mut world = settled(2, &[("policy", "mpp")]);
    world.set(1, Cause::Refused);
    world.run(Duration::from_secs(5));
    let keys = [("policy", "mpp")];
    let error = world.reload(of(&[2], &keys)).expect_err("the other has failed");
    assert!(error.message().contains("rule 908"), "{error}");
    world.set(1, Cause::Ok);
    world.command(Command::RecoverNode(node(1))).expect("recover");
    world.run(Duration::from_secs(2));
    assert_eq!(world.node(1).state, State::Standby);
    world.reload(of(&[2, 3], &keys)).expect("the other is a stand-in");
    world.run(Duration::from_secs(2));
    assert_eq!(world.node(0).state, State::Active, "the next cycle gave it the role");
}

#[test]
fn an_mpp_cycle_that_waited_for_who_has_left_closes() {
    let mut world = settled(3, &[("policy", "mpp")]);
    world.servers[0].cause = Cause::Refused;
    world.servers[2].cause = Cause::NoReply;
    let asked = world.probes[2];
    world.run_until(ms(2_000), |w| w.probes[2] > asked);
    world.run(ms(20));
    assert_eq!(world.node(0).count, Some(0), "the cycle waits for the third");
    world.reload(of(&[1, 2], &[("policy", "mpp")])).expect("a reload");
    assert_eq!(world.node(0).count, Some(1), "judged at once");
    let probes = world.probes.clone();
    world.run(ms(1_100));
    assert!(world.probes[0] > probes[0] && world.probes[1] > probes[1], "cycles go on");
}

#[test]
fn fixed_settings_are_refused_by_name_and_rule() {
    let mut world = settled(2, &[]);
    let old = world.engine.config().clone();
    let changed: [(&[(&str, &str)], &str); 8] = [
        (&[("/cache_file", "/elsewhere")], "cache_file"),
        (&[("/control_socket", "/elsewhere.sock")], "control_socket"),
        (&[("/control_users", "nobody")], "control_users"),
        (&[("/on_locked", "wait")], "on_locked"),
        (&[("kind", "router")], "pool.p.kind"),
        (&[("policy", "mpp")], "pool.p.policy"),
        (&[("probe", "external")], "pool.p.probe.mode"),
        (&[("/tier.interval", "700ms")], "tier"),
    ];
    for (row, (keys, name)) in FIXED.iter().zip(changed) {
        let config = match name {
            // No other kind has landed here, which is an error of its own.
            "pool.p.kind" => {
                let mut config = old.clone();
                config.pools[0].kind = crate::pool::PoolKind::Group;
                config
            }
            _ => of(&[1, 2], keys),
        };
        let error = world.reload(config).expect_err(name);
        assert_eq!(error.code(), ErrorCode::Refused);
        for part in [&format!("rule {}", row.number), name, row.sentence, "stays in force"] {
            assert!(error.message().contains(part), "{part} is missing: {error}");
        }
        assert_eq!(world.engine.config(), &old);
    }
}

#[test]
fn new_lengths_of_the_ladder_fail_nobody_and_hold_from_then_on() {
    let mut world = settled(2, &[("fall", "8")]);
    world.set(1, Cause::AuthDenied);
    world.run(ms(4_000));
    let was = world.node(1);
    assert_eq!(was.status, Status::OkCritical);
    world.reload(of(&[1, 2], &[("fall", "2")])).expect("a reload");
    assert_eq!((world.node(1).status, world.node(1).state), (was.status, was.state));
    // Two refused connections and it is over; they were eight before.
    let begin = world.clock;
    world.set(0, Cause::Refused);
    world.servers[1].cause = Cause::Ok;
    world.run_until(Duration::from_secs(2), |w| w.active() == Some(1));
    assert!(world.clock.since(begin) < ms(60), "{:?}", world.clock.since(begin));
}

#[test]
fn who_was_removed_comes_back_by_leaving_and_coming_again() {
    let mut world = settled(2, &[]);
    world.command(Command::RemoveNode(node(1))).expect("remove");
    world.reload(of(&[1, 2], &[])).expect("a reload");
    assert_eq!(world.pool().nodes.len(), 1, "an operator's word outlives a reload");
    world.reload(of(&[1], &[])).expect("a reload");
    world.reload(of(&[1, 2], &[])).expect("a reload");
    assert_eq!(named(&world, 2).map(|n| n.state), Some(State::Unknown));
    world.run(ms(2_000));
    assert_eq!(named(&world, 2).map(|n| n.state), Some(State::Standby));
}

#[test]
fn a_doubt_goes_on_where_it_was() {
    let mut world = settled(3, &[]);
    world.set(0, Cause::NoReply);
    world.run_until(Duration::from_secs(2), |w| w.node(0).status == Status::OkWarn);
    let status = world.node(0).status;
    world.reload(of(&[3, 1, 4], &[])).expect("a reload");
    assert_eq!(named(&world, 1).map(|n| (n.state, n.status)), Some((State::Active, status)));
    assert_eq!(named(&world, 3).map(|n| n.state), Some(State::Standby));
    let begin = world.clock;
    world.run_until(Duration::from_secs(3), |w| w.active() == Some(0));
    assert!(world.clock.since(begin) < ms(1_200), "the two steps that were left: {:?}", world.clock);
}

#[test]
fn a_hand_over_goes_on_or_ends_with_its_heir() {
    for (nodes, ends) in [(&[3, 2, 1][..], true), (&[1, 4, 2][..], false)] {
        let mut world = settled(2, &[("failback", "manual")]);
        world.set(0, Cause::Refused);
        world.run_until(Duration::from_secs(2), |w| w.active() == Some(1));
        world.set(0, Cause::Ok);
        world.servers[1].has[1] = 9;
        world.cut_replication(0);
        world.command(Command::RecoverNode(node(0))).expect("recover");
        world.run(ms(4_000));
        world.command(Command::ActivatePrimary(0)).expect("a hand-over begins");
        assert!(world.pool().paused);
        world.reload(of(nodes, &[("failback", "manual")])).expect("a reload");
        assert_eq!(world.pool().paused, !ends, "{nodes:?}");
        assert_eq!(named(&world, 2).map(|n| n.state), Some(State::Active));
        if !ends {
            world.replication_runs();
            // In the new ring node 1 comes behind node 2.
            world
                .run_until(Duration::from_secs(2), |w| named(w, 1).is_some_and(|n| n.state == State::Active));
        }
    }
}

/// Services are no part of what the engine decides: all of them may change, and the event says which ones did.
#[test]
fn services_and_the_site_change_and_nobody_notices() {
    let mut world = settled(2, &[]);
    let before = (world.pool().epoch, states(&world));
    let told = world.events.len();
    let done = world
        .reload(of(&[1, 2], &[("service.rw.role", "active"), ("service.x.role", "any"), ("/site", "ams")]));
    let wanted = "pool p: service x comes; pool p: service ro leaves; site changes from \"\" to \"ams\"";
    let message = done.expect("a reload").message;
    assert!(message.ends_with(&format!(": {wanted}")), "{message}");
    assert_eq!(world.told(told, EventKind::Reload)[0].message, message);
    let again = &[
        ("service.rw.role", "active"),
        ("service.x.role", "any"),
        ("service.x.on_demotion", "drain"),
        ("/site", "ams"),
    ];
    let message = world.reload(of(&[1, 2], again)).expect("a reload").message;
    assert!(message.ends_with(": pool p: service x changes"), "{message}");
    let message = world.reload(of(&[1, 2], again)).expect("a reload").message;
    assert!(message.ends_with("nothing differs from the one before"), "{message}");
    assert_eq!((world.pool().epoch, states(&world)), before);
}

/// Two pools that their host observes, at the engine's border.
#[test]
fn pools_come_and_go_and_epochs_never_come_back() {
    let text = |pools: &[&str]| -> Config {
        let mut builder = ConfigBuilder::new();
        for name in pools {
            builder.add_pool(&format!("name:{name};primary:10.0.0.1;secondary:10.0.0.2")).expect("a pool");
            builder.set(&format!("pool.{name}.probe"), "external").expect("a key");
        }
        builder.build().expect("a configuration")
    };
    let drain = |engine: &mut Engine| -> Vec<Event> {
        let effects = std::iter::from_fn(|| engine.poll_effect());
        effects.filter_map(|e| if let Effect::Emit(event) = e { Some(event) } else { None }).collect()
    };
    // The clock stands still, so that nothing but the memory of the engine keeps epochs apart.
    let now = Now { mono: Time::from_millis(5), wall_ms: 1_000 };
    let elect = |engine: &mut Engine, pool: usize| {
        for node in 0..2 {
            let observation = Observation::new(Cause::Ok, "", now.mono);
            engine.handle(now, Input::Observed { node: NodeRef { pool, node }, observation });
        }
    };
    let mut engine = Engine::new(text(&["a", "b"]), None, 1, now);
    engine.handle(now, Input::Start);
    elect(&mut engine, 0);
    elect(&mut engine, 1);
    drain(&mut engine);
    let first = engine.snapshot(now).pools;
    assert!(first.iter().all(|pool| pool.active == Some(0)));
    let done = engine.reconfigure(now, text(&["c", "b"])).expect("a reload");
    assert!(done.message.contains("pool c comes; pool a leaves"), "{}", done.message);
    let pools = engine.snapshot(now).pools;
    assert_eq!(pools[1], first[1], "b keeps all it had");
    assert_eq!((pools[0].name.as_str(), pools[0].active), ("c", None));
    drain(&mut engine);
    engine.reconfigure(now, text(&["b", "a"])).expect("a reload");
    elect(&mut engine, 1);
    let switches: Vec<Event> =
        drain(&mut engine).into_iter().filter(|e| e.kind == EventKind::Switch).collect();
    assert_eq!((switches.len(), switches[0].pool.as_str()), (1, "a"));
    assert!(switches[0].epoch > first[0].epoch, "{} after {}", switches[0].epoch, first[0].epoch);
    assert_eq!(engine.cache(now).pools.len(), 2);
}

/// What a random life consists of.
#[derive(Clone, Debug)]
enum Step {
    Run(u64),
    Set(usize, Cause),
    Recover(usize),
    Remove(usize),
    /// An operator's order above the rules, or its end.
    Order(usize, usize),
    /// Nodes in a new order, the first one PRIMARY; `fall` and `rise`.
    Reload(Vec<usize>, u32, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let causes = [Cause::Ok, Cause::Ok, Cause::Refused, Cause::NoReply, Cause::NoAck, Cause::AuthDenied];
    let order = Just(vec![1usize, 2, 3, 4, 5]).prop_shuffle();
    let step = prop_oneof![
        4 => (1u64..3_000).prop_map(Step::Run),
        3 => (0usize..5, proptest::sample::select(causes.to_vec())).prop_map(|(n, c)| Step::Set(n, c)),
        1 => (0usize..5).prop_map(Step::Recover),
        1 => (0usize..5).prop_map(Step::Remove),
        1 => (0usize..5, 0usize..8).prop_map(|(node, which)| Step::Order(node, which)),
        3 => (order, 1usize..=5, 1u32..9, 1u32..9).prop_map(|(mut nodes, count, fall, rise)| {
            nodes.truncate(count);
            Step::Reload(nodes, fall, rise)
        }),
    ];
    proptest::collection::vec(step, 1..40)
}

fn order(n: usize, which: usize) -> Command {
    let state = |state| Override { state: Some(state), ..Override::default() };
    let limit = (which % 2 == 0).then(|| Duration::from_secs(2));
    let reason = || "a test".to_string();
    let set = |set| Command::Override { node: node(n), set, reason: reason(), limit };
    match which {
        0 => set(state(State::Active)),
        1 => set(state(State::Standby)),
        2 => set(Override { node_type: Some(NodeType::Primary), ..Override::default() }),
        3 => Command::Maintenance { node: node(n), role: MaintenanceRole::Move, reason: reason(), limit },
        4 => Command::Maintenance { node: node(n), role: MaintenanceRole::Stay, reason: reason(), limit },
        5 => Command::ClearOverride(node(n)),
        6 => Command::Freeze { pool: 0, reason: reason(), limit },
        _ => Command::Unfreeze(0),
    }
}

fn go(world: &mut World, step: &Step, policy: &str) {
    let count = world.servers.len();
    match step {
        Step::Run(span) => world.run(ms(*span)),
        Step::Set(n, cause) if *n < count => world.set(*n, *cause),
        Step::Recover(n) if *n < count => drop(world.command(Command::RecoverNode(node(*n)))),
        Step::Remove(n) if *n < count => drop(world.command(Command::RemoveNode(node(*n)))),
        Step::Order(n, which) if *n < count => drop(world.command(order(*n, *which))),
        Step::Set(..) | Step::Recover(_) | Step::Remove(_) | Step::Order(..) => {}
        Step::Reload(nodes, fall, rise) => {
            let (fall, rise) = (fall.to_string(), rise.to_string());
            let keys = match policy {
                "mpp" => vec![("policy", "mpp"), ("levels", fall.as_str())],
                _ => vec![("fall", fall.as_str()), ("rise", rise.as_str())],
            };
            let (before, old, epoch) = (states(world), world.pool(), world.pool().epoch);
            let active = old.active.map(|a| old.nodes[a].name.clone());
            match world.reload(of(nodes, &keys)) {
                Err(error) => {
                    assert!(error.message().contains("rule 908"), "{error}");
                    assert_eq!(states(world), before, "a refused reload changes nothing");
                    assert_eq!(world.pool(), old);
                }
                Ok(_) => {
                    let after = states(world);
                    assert!(world.pool().epoch >= epoch);
                    for is in &after {
                        // Who may have got the role from one that left is another matter.
                        if let Some(was) = before.iter().find(|was| was.0 == is.0)
                            && is.1 != State::Active
                            && policy != "mpp"
                        {
                            assert_eq!((is.1, is.3), (was.1, was.3), "{}", is.0);
                        }
                    }
                    let stays = active.as_ref().is_some_and(|name| after.iter().any(|n| n.0 == *name));
                    if stays && policy != "mpp" {
                        let pool = world.pool();
                        assert_eq!(pool.active.map(|a| pool.nodes[a].name.clone()), active, "the role stays");
                        assert_eq!(pool.epoch, epoch);
                    } else if active.is_some() && policy != "mpp" {
                        assert!(world.pool().active.is_some(), "the role was left to nobody");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(120) })]

    /// Whatever happens in between: at most one ACTIVE, epochs that grow, one probe of a node at a time, no timer that is
    /// due already (the world holds the engine to these after every input), and what stays keeps its state.
    #[test]
    fn random_reloads_keep_every_promise(steps in steps(), mpp in proptest::bool::weighted(0.25)) {
        let policy = if mpp { "mpp" } else { "safe" };
        let mut world = World::new(3, &[("policy", policy)]);
        for step in &steps {
            go(&mut world, step, policy);
        }
        world.run(ms(10_000));
        // Nothing hangs: every node that is in the pool is looked at.
        let probes: Vec<u64> = world.probes.clone();
        world.run(Duration::from_secs(12));
        let removed = world.engine.cache(world.now()).pools[0].removed.len();
        let idle = probes.iter().zip(&world.probes).filter(|(was, is)| was == is).count();
        prop_assert!(idle <= removed, "{idle} nodes are not looked at, {removed} are removed");
    }

    /// A reload of the same configuration, at any moment of any life, changes nothing at all.
    #[test]
    fn the_same_configuration_again_changes_nothing(steps in steps(), at in 0usize..40, after in 1u64..5_000) {
        let (mut world, mut twin) = (World::new(3, &[]), World::new(3, &[]));
        for step in steps.iter().take(at) {
            go(&mut world, step, "safe");
            go(&mut twin, step, "safe");
        }
        let told = world.events.len();
        let timer = world.engine.poll_timeout();
        world.reload(world.engine.config().clone()).expect("nothing can refuse it");
        prop_assert_eq!(world.events[told..].iter().map(|e| e.kind).collect::<Vec<_>>(), [EventKind::Reload]);
        // A reload sets every timer anew; one that was set too early is never set earlier.
        prop_assert!(world.engine.poll_timeout() >= timer);
        world.run(ms(after));
        twin.run(ms(after));
        prop_assert_eq!(world.pool(), twin.pool());
        prop_assert_eq!(world.engine.cache(world.now()), twin.engine.cache(twin.now()));
        let decisions = |world: &World| -> Vec<String> {
            world.journal.iter().filter(|line| !line.contains("Emit")).cloned().collect()
        };
        prop_assert_eq!(decisions(&world), decisions(&twin));
    }

    /// The order of nodes is the order of preference and nothing else: states go with the names.
    #[test]
    fn a_new_order_keeps_every_state(steps in steps(), at in 0usize..40, shift in 1usize..3) {
        let mut world = World::new(3, &[]);
        for step in steps.iter().take(at) {
            go(&mut world, step, "safe");
        }
        let old = world.engine.config().pools[0].clone();
        let before = states(&world);
        let active = world.pool().active.map(|a| world.pool().nodes[a].name.clone());
        let mut config = world.engine.config().clone();
        let count = old.nodes.len();
        config.pools[0].nodes.rotate_left(shift % count);
        let told = world.events.len();
        world.reload(config).expect("nobody leaves");
        prop_assert_eq!(states(&world), before);
        prop_assert_eq!(world.pool().active.map(|a| world.pool().nodes[a].name.clone()), active);
        prop_assert!(world.told(told, EventKind::Switch).is_empty());
    }
}

#[test]
fn operators_orders_go_with_their_nodes_and_end_with_them() {
    let mut world = settled(3, &[]);
    let set = Override { state: Some(State::Active), weight: Some(7), ..Override::default() };
    let limit = Some(Duration::from_secs(90));
    world.command(Command::Override { node: node(1), set, reason: "a test".into(), limit }).expect("set");
    world
        .command(Command::Maintenance {
            node: node(2),
            role: MaintenanceRole::Stay,
            reason: "new disk".into(),
            limit: None,
        })
        .expect("maintenance");
    let orders = |world: &World, n: usize| {
        let stored = world.engine.cache(world.now()).pools.remove(0).nodes;
        stored
            .into_iter()
            .find(|node| node.name == format!("10.0.0.{n}:3306"))
            .and_then(|node| node.override_)
    };
    let before = (orders(&world, 2), orders(&world, 3));
    assert!(before.0.is_some() && before.1.is_some());
    world.reload(of(&[3, 1, 4, 2], &[])).expect("a reload");
    assert_eq!((orders(&world, 2), orders(&world, 3)), before);
    assert!(orders(&world, 1).is_none() && orders(&world, 4).is_none());
    assert_eq!(named(&world, 2).map(|n| (n.state, n.weight)), Some((State::Active, 7)));
    // Its time goes on; in maintenance the other is no candidate.
    world.run(Duration::from_secs(95));
    assert!(orders(&world, 2).is_none() && orders(&world, 3).is_some());
    world.set(3, Cause::Refused);
    world.run_until(Duration::from_secs(3), |w| named(w, 2).is_some_and(|n| n.state.is_failed()));
    assert_ne!(named(&world, 3).map(|n| n.state), Some(State::Active));
    // What was ordered of a node is forgotten with it.
    world.reload(of(&[1, 2], &[])).expect("a reload");
    world.reload(of(&[1, 2, 3], &[])).expect("a reload");
    assert!(orders(&world, 3).is_none());
}

#[test]
fn the_pool_of_this_test_is_the_worlds() {
    assert_eq!(of(&[1, 2, 3], &[]), config(3, &[]));
}
