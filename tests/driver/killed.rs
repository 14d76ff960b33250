//! A host that is killed at random, 200 times over one cache: the next start has the old or the new state, no epoch is
//! used twice, and a node that was being failed waits for `recover`.
//!
//! `PRIMACY_TEST_SEED` gives the same moments again, `PRIMACY_TEST_KILLS` another number of them.

use crate::support::*;
use primacy::engine::EventKind;
use primacy::instance::{Durability, EventFilter, HostObservation, Instance};
use primacy::pool::State;
use primacy::probe::{Cause, Facts};
use primacy::store;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const PLACE: &str = "PRIMACY_TEST_KILLED_PLACE";
const LIFE: &str = "PRIMACY_TEST_KILLED_LIFE";
const NODES: [&str; 3] = ["10.9.8.7:3306", "10.9.8.8:3306", "10.9.8.9:3306"];

/// splitmix64, for moments and choices that a seed gives again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// One line at once, so that nothing said is lost with the process.
fn say(line: String) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("@{line}\n").as_bytes()).and_then(|()| out.flush()).expect("somebody listens");
}

/// One life of the host: switches without end, each told as soon as it is published.
#[test]
#[ignore = "runs in processes that another test makes"]
fn host_without_end() {
    let place = std::path::PathBuf::from(std::env::var_os(PLACE).expect("started by another test"));
    let life: u64 = std::env::var(LIFE).expect("started by another test").parse().expect("a number");
    let mut random = Random(life);
    let top = format!("cache_file = \"{}\"", place.join("cache").display());
    let instance = instance(&NODES.map(String::from), &top, "probe = \"external\"");
    let events = instance.subscribe(EventFilter::default(), 10_000).expect("events");
    // The first use reads the cache.
    let pool = pool(&instance);
    let names = |wanted: &dyn Fn(&primacy::engine::NodeSnapshot) -> bool| -> String {
        let names: Vec<&str> = pool.nodes.iter().filter(|n| wanted(n)).map(|n| n.name.as_str()).collect();
        if names.is_empty() { "-".into() } else { names.join(",") }
    };
    let active = names(&|n| n.state == State::Active);
    let held = names(&|n| n.waits_for_recover && n.state.is_failed());
    say(format!("start {active} {held}"));
    // Every second life writes in the background, as an agent does.
    if life % 2 == 1 {
        instance.start().expect("start");
    }
    let observe = |instance: &Instance, node: usize, cause: Cause| {
        let observation =
            HostObservation { cause, errno: 0, message: String::new(), facts: Facts::default() };
        instance.observe("p", NODES[node], observation).expect("observe");
        while let Some(event) = events.next() {
            if event.kind == EventKind::Switch {
                say(format!("epoch {} {}", event.epoch, event.node));
            }
            if event.kind == EventKind::State
                && event.old_state == State::Active
                && event.new_state.is_failed()
            {
                say(format!("failed {}", event.node));
            }
        }
    };
    loop {
        let victim = random.below(3) as usize;
        for _ in 0..random.below(7) {
            observe(&instance, victim, Cause::Refused);
            (0..3).filter(|&i| i != victim).for_each(|i| observe(&instance, i, Cause::Ok));
        }
        for (i, node) in NODES.iter().enumerate() {
            observe(&instance, i, Cause::Ok);
            let failed = primacy_state(&instance, i).is_failed();
            if failed && random.below(2) == 0 {
                say(format!("recover {node}"));
                let _ = instance.recover_node("p", node, Durability::NoWait);
            }
        }
    }
}

fn primacy_state(instance: &Instance, index: usize) -> State {
    node(instance, index).state
}

/// What a life said before it was killed.
fn live(place: &Path, life: u64, span: Duration) -> Vec<String> {
    let mut host = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "killed::host_without_end", "--ignored", "--nocapture", "--test-threads=1"])
        .env(PLACE, place)
        .env(LIFE, life.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the host");
    let mut lines = BufReader::new(host.stdout.take().expect("its output"))
        .lines()
        .map_while(Result::ok)
        // The test's runner may have begun the line.
        .filter_map(|line| line.split_once('@').map(|(_, said)| said.to_owned()));
    let mut said: Vec<String> = lines.by_ref().take(1).collect();
    assert!(
        said.first().is_some_and(|line| line.starts_with("start ")),
        "life {life} did not begin: {said:?}"
    );
    std::thread::sleep(span);
    host.kill().expect("SIGKILL");
    said.extend(lines);
    host.wait().expect("its end");
    said
}

#[test]
fn a_host_killed_two_hundred_times_uses_no_epoch_twice_and_releases_nobody() {
    let _alone = alone();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("PRIMACY_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()) * 7919);
    let kills = number("PRIMACY_TEST_KILLS").unwrap_or(200);
    println!("PRIMACY_TEST_SEED={seed}");
    let mut random = Random(seed);
    // What a killed process wrote survives it on any file system; on one in memory it gets on faster.
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let place = tempfile::tempdir_in(parent).expect("a folder");
    let cache = place.path().join("cache");
    let mut epochs: BTreeSet<u64> = BTreeSet::new();
    // Nodes of which it was told that they failed as ACTIVE, and no `recover` was begun since.
    let mut failed: BTreeSet<String> = BTreeSet::new();
    let (mut marked_starts, mut switches) = (0, 0);
    for life in 0..kills {
        // What the life before left behind: whole, and maybe with a mark.
        let marked: Vec<String> = match std::fs::read(&cache) {
            Ok(bytes) => {
                let document = store::decode(&bytes, "the cache")
                    .unwrap_or_else(|e| panic!("seed {seed}, life {life}: {e}"));
                let nodes = document.pools.into_iter().flat_map(|p| p.nodes);
                nodes.filter(|n| n.intent || n.waits_for_recover).map(|n| n.name).collect()
            }
            Err(_) => Vec::new(),
        };
        let span = Duration::from_micros(random.below(60_000));
        let said = live(place.path(), (seed << 9 | life) ^ (life & 1), span);
        let what = format!("seed {seed}, life {life}: {said:?}, marked {marked:?}, failed {failed:?}");
        let mut start = said[0].split(' ').skip(1);
        let (active, held) = (start.next().unwrap_or_default(), start.next().unwrap_or_default());
        let held: BTreeSet<String> = held.split(',').filter(|n| *n != "-").map(String::from).collect();
        for node in &marked {
            assert!(held.contains(node), "{node} was marked and does not wait: {what}");
        }
        marked_starts += u32::from(!marked.is_empty());
        // With writes in the background the disk may lag behind what was told.
        let in_step = life == 0 || (life - 1) % 2 == 0;
        if in_step {
            assert!(!failed.contains(active), "{active} failed and is ACTIVE again: {what}");
            for node in &failed {
                assert!(held.contains(node), "{node} failed as ACTIVE and does not wait: {what}");
            }
        }
        failed = held;
        for line in &said[1..] {
            let mut words = line.split(' ');
            match (words.next(), words.next()) {
                (Some("epoch"), Some(epoch)) => {
                    let epoch: u64 = epoch.parse().expect("a number");
                    assert!(epochs.last().is_none_or(|last| *last < epoch), "epoch {epoch} again: {what}");
                    epochs.insert(epoch);
                    switches += 1;
                }
                (Some("failed"), Some(node)) => drop(failed.insert(node.into())),
                (Some("recover"), Some(node)) => drop(failed.remove(node)),
                // The last line may be cut off.
                _ => {}
            }
        }
    }
    println!("{kills} kills, {switches} switches, {marked_starts} starts with a node that waits");
    assert!(switches > kills / 2, "too few switches to prove anything: {switches}");
    assert!(
        u64::from(marked_starts) > kills / 10,
        "too few kills in the middle of a failure: {marked_starts}"
    );
}
