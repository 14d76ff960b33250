//! What `explain` says would change a decision, applied in the engine, changes it; and one observation less does not.

use super::restarts::{act, apply, keys};
use super::world::{World, ms, node};
use crate::engine::change::{Change, Outcome, Sight, Step};
use crate::engine::{Command, Effect, Engine, EventKind, Input, Now};
use crate::pool::{Judge, Status};
use crate::probe::{Cause, Facts, Observation};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The engine after the steps, a microsecond apart, and the rules of hand-overs that were told.
fn after(engine: &Engine, mut now: Now, steps: &[Step], bad: Cause) -> (Engine, Vec<u16>) {
    let mut engine = engine.clone();
    while engine.poll_effect().is_some() {}
    let cycles = engine.has_cycles(0);
    for step in steps {
        match *step {
            Step::Seen { node: n, sight, times } => {
                for _ in 0..times {
                    now.mono.0 += 1000;
                    let cause = if sight == Sight::Good { Cause::Ok } else { bad };
                    let mut observation = Observation::new(cause, "", now.mono);
                    if sight == Sight::Good {
                        observation.facts = Facts { read_only: Some(false), ..Facts::default() };
                    }
                    engine.handle(now, Input::Observed { node: node(n), observation });
                    if cycles {
                        engine.handle(now, Input::Cycle { pool: 0, pool_status: None });
                    }
                }
            }
            Step::Wait(time) => {
                now.mono = now.mono + time;
                engine.handle(now, Input::Timer);
            }
            command => {
                let command = match command {
                    Step::Recover(n) => Command::RecoverNode(node(n)),
                    Step::RecoverPool => Command::RecoverPool(0),
                    _ => Command::ActivatePrimary(0),
                };
                engine.command(now, command).expect("a command that explain named");
            }
        }
    }
    let mut told = Vec::new();
    while let Some(effect) = engine.poll_effect() {
        if let Effect::Emit(event) = effect
            && event.kind == EventKind::HandOver
        {
            told.push(event.rule);
        }
    }
    (engine, told)
}

/// Whether the outcome is there; `None` if it is, but by another rule.
fn holds(engine: &Engine, told: &[u16], change: &Change) -> Option<bool> {
    let pool = &engine.pools[0];
    let by = |n: usize| pool.nodes[n].rule == change.rule;
    let (there, right) = match change.then {
        Outcome::Active(n) => (pool.judge.active() == Some(n), by(n)),
        Outcome::KeptAtFail(n) => {
            (pool.judge.active() == Some(n) && pool.judge.status(n) == Status::Fail, by(n))
        }
        Outcome::Becomes(n, state) => (pool.judge.state(n) == state, by(n)),
        Outcome::Reaches(n, status) => (pool.judge.status(n) == status, by(n)),
        Outcome::MayTakeOver(n) => match &pool.judge {
            Judge::Safe { model, .. } => (model.bar(n).is_none(), true),
            Judge::Mpp { .. } => (false, false),
        },
        Outcome::HandOver(n) => (pool.heir() == Some(n), told.contains(&change.rule)),
        Outcome::Pool(status) => (pool.status == status, true),
    };
    if there && !right { None } else { Some(there) }
}

/// The steps without the last thing that is asked for.
fn one_less(steps: &[Step]) -> Vec<Step> {
    let mut steps = steps.to_vec();
    match steps.pop() {
        Some(Step::Seen { node, sight, times }) if times > 1 => {
            steps.push(Step::Seen { node, sight, times: times - 1 });
        }
        Some(Step::Wait(time)) => steps.push(Step::Wait(time - ms(1).min(time))),
        _ => {}
    }
    steps
}

fn kind(then: Outcome) -> &'static str {
    match then {
        Outcome::Active(_) => "active",
        Outcome::KeptAtFail(_) => "kept",
        Outcome::Becomes(..) => "becomes",
        Outcome::Reaches(..) => "reaches",
        Outcome::MayTakeOver(_) => "may",
        Outcome::HandOver(_) => "hand-over",
        Outcome::Pool(_) => "pool",
    }
}

/// Holds every statement about the world's pool to account.
fn check(
    world: &World,
    bad: Cause,
    seen: &mut BTreeMap<(&'static str, u16), u32>,
) -> Result<(), TestCaseError> {
    let (engine, now) = (&world.engine, world.now());
    let text = engine.explain(now, 0);
    let changes = engine.would_change(now, 0);
    let alive = (0..engine.pools[0].nodes.len()).any(|i| !engine.pools[0].judge.is_removed(i));
    prop_assert!(!alive || !changes.is_empty(), "nothing would change anything: {}", text);
    let names: Vec<&str> = engine.pools[0].nodes.iter().map(|n| n.name.as_str()).collect();
    for change in &changes {
        let sentence = change.sentence("p", &names, engine.has_cycles(0));
        prop_assert!(text.contains(&sentence), "{:?} is not said", change);
        let (then, told) = after(engine, now, &change.steps, bad);
        prop_assert_eq!(
            holds(&then, &told, change),
            Some(true),
            "{}\nbefore: {}\nafter: {}",
            sentence,
            text,
            then.explain(now, 0)
        );
        let (then, told) = after(engine, now, &one_less(&change.steps), bad);
        prop_assert_ne!(
            holds(&then, &told, change),
            Some(true),
            "one less does it too: {}\n{}",
            sentence,
            text
        );
        *seen.entry((kind(change.then), change.rule)).or_insert(0) += 1;
    }
    Ok(())
}

/// Histories that are the same in every run must bring about every kind of statement; others are new each time.
fn run(policy: &'static str, cases: u32, expected: &[(&'static str, u16)]) {
    let config = ProptestConfig { cases, ..ProptestConfig::with_source_file(file!()) };
    let known = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let seen = histories(policy, TestRunner::new_with_rng(config.clone(), known));
    for what in expected {
        assert!(seen.contains_key(what), "{what:?} was never said: {seen:?}");
    }
    histories(policy, TestRunner::new(config));
}

/// Which statements were made, and how often.
fn histories(policy: &'static str, mut runner: TestRunner) -> BTreeMap<(&'static str, u16), u32> {
    let seen = RefCell::new(BTreeMap::new());
    let inputs = (1..=4usize, any::<u8>(), any::<bool>(), proptest::collection::vec(act(true), 1..60));
    let outcome = runner.run(&inputs, |(nodes, choice, hung, acts)| {
        let mut keys = keys(choice);
        keys.push(("policy", policy));
        if policy == "mpp" {
            keys.retain(|(key, _)| !matches!(*key, "fall" | "rise" | "failback" | "fail_on"));
        } else if choice % 4 == 0 {
            keys.push(("last_resort", "after=30s"));
        }
        let mut world = World::new(nodes, &keys);
        for act in &acts {
            apply(&mut world, act);
            if policy == "mpp" {
                // Between two cycles, or at the beginning of one: findings that wait would count with those of a step.
                world.run_until(ms(10_000), |w| w.engine.pools[0].findings.iter().all(Option::is_none));
            }
            let mut paused = world.engine.clone();
            if policy == "mpp" {
                paused.handle(world.now(), Input::Stop);
            }
            std::mem::swap(&mut world.engine, &mut paused);
            // Where packets get lost a hung node counts as silent.
            let losing = world.engine.pools[0].nodes.iter().any(|n| n.is_losing(world.now().mono));
            let bad = if hung && !losing { Cause::NoReply } else { Cause::Refused };
            check(&world, bad, &mut seen.borrow_mut())?;
            std::mem::swap(&mut world.engine, &mut paused);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    seen.into_inner()
}

#[test]
fn what_would_change_a_decision_does() {
    run(
        "safe",
        150,
        &[
            ("active", 245),
            ("active", 248),
            ("kept", 246),
            ("kept", 247),
            ("becomes", 221),
            ("becomes", 223),
            ("becomes", 227),
            ("reaches", 212),
            ("may", 0),
            ("hand-over", 251),
        ],
    );
}

#[test]
fn what_would_change_a_decision_of_the_original_does() {
    run(
        "mpp",
        60,
        &[("becomes", 102), ("becomes", 112), ("becomes", 119), ("becomes", 122), ("becomes", 123)],
    );
}

/// Time alone changes a decision where `last_resort` waits.
#[test]
fn a_wait_that_would_change_a_decision_does() {
    let mut world = World::new(2, &[("last_resort", "after=30s")]);
    world.run(ms(3000));
    world.set(0, Cause::Refused);
    world.run(ms(2000));
    world.set(0, Cause::Ok);
    world.run(ms(8000));
    world.set(1, Cause::Refused);
    world.run(ms(8000));
    let mut seen = BTreeMap::new();
    check(&world, Cause::Refused, &mut seen).expect("every statement holds");
    assert!(seen.contains_key(&("active", 254)), "{seen:?}");
}
