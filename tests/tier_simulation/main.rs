//! The whole tier in virtual time: two to four hosts, each with a whole `Tier`, and everything that can go wrong between them.
//!
//! `PRIMACY_TIER_SEED=n` runs one schedule and prints it; `PRIMACY_TIER_SCHEDULES=n` that many; `PRIMACY_TIER_FIRST=n` from there on.

mod coverage;
mod faults;
mod host;
mod judge;
mod plan;
mod random;
mod store;
mod world;

use plan::{Fault, MS, Plan};
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::{Fired, World};

/// What one schedule came to.
struct Outcome {
    objection: Option<String>,
    fired: Fired,
    events: u64,
    longest: [u64; 3],
    log: Vec<String>,
}

fn run(seed: u64, fault: Fault, verbose: bool) -> Outcome {
    let mut world = World::new(Plan::new(seed, fault), verbose);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    let objection = match result {
        Ok(result) => result.err(),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
            Some(format!("a panic: {}", words.unwrap_or_default()))
        }
    };
    let log = world.log.take().unwrap_or_default();
    Outcome { objection, fired: world.fired, events: world.count, longest: world.judge.longest, log }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

#[test]
fn schedules() {
    if let Some(seed) = number("PRIMACY_TIER_SEED") {
        println!("{:#?}", Plan::new(seed, Fault::None));
        let outcome = run(seed, Fault::None, true);
        outcome.log.iter().for_each(|line| println!("{line}"));
        println!("{} events", outcome.events);
        assert_eq!(outcome.objection, None, "seed {seed}");
        return;
    }
    let first = number("PRIMACY_TIER_FIRST").unwrap_or(0);
    let count = number("PRIMACY_TIER_SCHEDULES").unwrap_or(100_000);
    let threads = 2;
    let began = std::time::Instant::now();
    let work = |thread: u64| {
        let mut fired: Fired = [0; 100];
        let (mut events, mut longest, mut wrong) = (0, [0u64; 3], Vec::new());
        for seed in (first..first + count).filter(|seed| seed % threads == thread) {
            let outcome = run(seed, Fault::None, false);
            fired.iter_mut().zip(outcome.fired).for_each(|(sum, n)| *sum += n);
            longest.iter_mut().zip(outcome.longest).for_each(|(most, n)| *most = (*most).max(n));
            events += outcome.events;
            if let Some(objection) = outcome.objection {
                wrong.push(format!("seed {seed}: {objection}"));
            }
        }
        (fired, events, longest, wrong)
    };
    let parts: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    });
    let mut fired: Fired = [0; 100];
    let (mut events, mut longest, mut wrong) = (0, [0u64; 3], Vec::new());
    for part in parts {
        fired.iter_mut().zip(part.0).for_each(|(sum, n)| *sum += n);
        events += part.1;
        longest.iter_mut().zip(part.2).for_each(|(most, n)| *most = (*most).max(n));
        wrong.extend(part.3);
    }
    println!("{count} schedules, {events} events, {:.1?}", began.elapsed());
    println!(
        "longest: nobody {} ms, two {} ms, planned move {} ms",
        longest[0] / MS,
        longest[1] / MS,
        longest[2] / MS
    );
    coverage::check(&fired, count);
    let shown = wrong.iter().take(30).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        wrong.is_empty(),
        "{} schedules went wrong; run one with PRIMACY_TIER_SEED:\n{shown}",
        wrong.len()
    );
}
