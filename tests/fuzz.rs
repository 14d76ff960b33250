//! Every fuzz target over its corpus, then over seeded mutations of it.
//!
//! A failure prints what repeats it: `PRIMACY_FUZZ_SEED` and the target; the input is kept under `target/fuzz`. With
//! `PRIMACY_FUZZ_SECONDS` every target is run for so long instead of a fixed number of times.

#[path = "../fuzz/mutate.rs"]
mod mutate;
#[path = "../fuzz/targets/mod.rs"]
mod targets;

use mutate::Mutator;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use targets::TARGETS;

/// Mutations of each target.
const ROUNDS: u64 = 6000;

/// A target stops early here, however slow the machine is; its corpus has been run by then.
const AT_MOST: Duration = Duration::from_millis(2500);

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a corpus entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    let read = |p: PathBuf| (std::fs::read(&p).unwrap_or_else(|e| panic!("{}: {e}", p.display())), p);
    paths.into_iter().map(read).map(|(bytes, path)| (path, bytes)).collect()
}

/// Runs one input; if it fails, says what it was.
fn run(target: &str, function: fn(&[u8]), input: &[u8], origin: &str) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| function(input))) else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz");
    let kept = folder.join(format!("crash-{target}"));
    let saved = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&kept, input));
    eprintln!(
        "target {target} fails on {origin}; input {saved:?} in {}: {}",
        kept.display(),
        input.escape_ascii()
    );
    resume_unwind(panic);
}

fn fuzz(target: &str) {
    let (_, function) = *TARGETS.iter().find(|t| t.0 == target).expect("a target of that name");
    let corpus = corpus(target);
    for (path, bytes) in &corpus {
        run(target, function, bytes, &path.display().to_string());
    }
    let seed = std::env::var("PRIMACY_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_121);
    let seconds = std::env::var("PRIMACY_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    let (rounds, longest) = match seconds {
        Some(seconds) => (u64::MAX, Duration::from_secs(seconds)),
        None => (ROUNDS, AT_MOST),
    };
    let pool: Vec<Vec<u8>> = corpus.into_iter().map(|c| c.1).collect();
    let mut mutator = Mutator::new(seed);
    let began = Instant::now();
    let mut done = 0;
    while done < rounds && began.elapsed() < longest {
        let input = mutator.mutate(&pool);
        run(target, function, &input, &format!("mutation {done} of PRIMACY_FUZZ_SEED={seed}"));
        done += 1;
    }
    let rate = done as f64 / began.elapsed().as_secs_f64();
    println!("{target}: {} corpus entries, {done} mutations, {rate:.0} a second", pool.len());
}

macro_rules! targets {
    ($($name:ident),+) => {
        $(#[test] fn $name() { fuzz(stringify!($name)); })+

        #[test]
        fn every_target_is_run() {
            let names = [$(stringify!($name)),+];
            assert_eq!(TARGETS.map(|t| t.0), names);
        }
    };
}

targets!(
    wire,
    session,
    x,
    check,
    gtid,
    config,
    pool_string,
    address,
    cache,
    control,
    checkpoint,
    tables,
    mpp,
    peer,
    vrrp,
    engine
);
