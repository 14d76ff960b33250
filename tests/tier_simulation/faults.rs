//! Faults that are planted into agents, kernel, network and etcd: each must be found.

use crate::plan::Fault;
use crate::run;

/// A fault, what finds it (a piece of the judge's sentence), and in words.
const FAULTS: &[(Fault, &[&str], &str)] = &[
    (
        Fault::NoLifetime,
        &["hosts by lease"],
        "lifetimes are ignored, or the address is refreshed by who does not own it any more",
    ),
    (
        Fault::RemoveFirst,
        &["connections still live"],
        "the address is removed before its connections are destroyed",
    ),
    (Fault::NoAnnouncement, &["clients believe"], "nothing is announced"),
    (Fault::NoReleased, &["nobody has", "planned move", "moved to"], "the end of a release is not told"),
    (
        Fault::NotRemoved,
        &["hosts by lease", "is on hosts", "standby and has"],
        "an address is said to be off and is not",
    ),
    (Fault::FromAnswer, &["hosts by lease"], "validity counts from the answer, not from the question"),
    (Fault::SameEpoch, &["claims epoch"], "the number of ownerships does not rise"),
    (Fault::TwoHolders, &["hosts by lease"], "a lease is claimed that another holds"),
    (Fault::TimerFirst, &["goes on, and takes"], "the timer is judged before the socket is drained"),
    (
        Fault::FastClock,
        &["hosts by lease", "is on hosts"],
        "a clock runs a third too fast: its skew is too short",
    ),
    (Fault::TwoHooks, &["is run beside"], "a cancelled program goes on beside the next"),
    (Fault::BackendCounts, &["because of the backend"], "the backend moves the address"),
    (Fault::DeafToOrders, &["in standby"], "an order is not obeyed"),
    (Fault::Without(725), &["is on hosts"], "an owner gives no way to a better one (no row 725)"),
    (Fault::Without(727), &["is on hosts"], "an owner does not contradict a lower one (no row 727)"),
    (Fault::Without(736), &["nobody has", "in the past"], "nobody takes over by himself (no row 736)"),
    (
        Fault::Without(746),
        &["moved to", "standby", "nobody has", "in the past"],
        "nobody leaves (no row 746)",
    ),
    (Fault::Without(747), &["planned move"], "the heir does not claim (no row 747)"),
];

/// The most schedules that may be needed.
const MOST: u64 = 6000;

#[test]
fn planted_faults_are_found() {
    let mut missed = Vec::new();
    for (fault, pieces, words) in FAULTS {
        let found = (0..MOST).find_map(|seed| {
            let objection = run(seed, *fault, false).objection?;
            pieces.iter().any(|piece| objection.contains(piece)).then_some((seed, objection))
        });
        match found {
            Some((seed, objection)) => println!("{fault:?}: {words}: seed {seed}: {objection}"),
            None => missed.push(format!("{fault:?}: {words}: not found in {MOST} schedules")),
        }
    }
    // The world in which a late answer matters is as sound as any other.
    for seed in 0..300 {
        assert_eq!(run(seed, Fault::SlowAnswers, false).objection, None, "seed {seed}");
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
