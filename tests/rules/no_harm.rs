//! Rule 15: the prober does no harm.

use super::world::{RING, World, ms, node};
use primacy::config::ConfigBuilder;
use primacy::engine::{Command, EventKind, Input};
use primacy::policy::budget::budget;
use primacy::pool::State;
use primacy::probe::Cause;

/// The time between probes of a node, in milliseconds.
fn pauses(w: &World, of: usize, since: primacy::engine::Time) -> Vec<u128> {
    w.probes_of(of, since).windows(2).map(|p| p[1].since(p[0]).as_millis()).collect()
}

/// A ring whose stand-in has failed and is dead.
fn dead_stand_in() -> World {
    let mut w = World::new(&[RING], &[]);
    w.set(&[1], Cause::Refused);
    w.run_until(ms(5_000), |w| w.state(1).is_failed());
    w
}

#[test]
fn a_failed_node_is_probed_ever_more_slowly() {
    let mut w = dead_stand_in();
    let since = w.clock;
    w.run(ms(60_000));
    let p = pauses(&w, 1, since);
    for (pause, longest) in p.iter().zip([2_000, 4_000, 5_000, 5_000, 5_000]) {
        assert!((longest - 50..=longest).contains(pause), "{p:?}");
    }
    // The ACTIVE node keeps its pace.
    assert!(pauses(&w, 0, since).iter().all(|&p| (450..=500).contains(&p)));
}

#[test]
fn a_good_observation_ends_the_back_off() {
    let mut w = dead_stand_in();
    w.run(ms(60_000));
    w.set(&[1], Cause::Ok);
    let took = w.run_until(ms(8_000), |w| w.state(1) == State::Standby);
    assert!(took <= ms(5_000 + 3 * 500 + 10), "{took:?}");
}

#[test]
fn a_hint_ends_the_back_off() {
    let mut w = dead_stand_in();
    w.run(ms(60_000));
    let since = w.clock;
    w.give(Input::ConnectionLost { node: node(1) });
    w.run(ms(3_100));
    let p = w.probes_of(1, since);
    assert!(p.len() >= 3, "{p:?}");
    assert!(p[0].since(since) <= ms(1), "{p:?}");
}

#[test]
fn recover_ends_the_back_off() {
    let mut w = dead_stand_in();
    w.run(ms(60_000));
    let since = w.clock;
    w.command(Command::RecoverNode(node(1))).expect("it failed");
    w.run(ms(1_600));
    let p = w.probes_of(1, since);
    assert!(p.len() >= 4, "{p:?}");
}

#[test]
fn logins_are_fresh_every_login_interval_and_in_every_burst() {
    let mut w = World::new(&[RING], &[("probe.login_interval", "5s")]);
    w.run(ms(60_000));
    for n in 0..2 {
        let logins: Vec<_> = w.asked.iter().filter(|a| a.node == node(n) && a.fresh).map(|a| a.at).collect();
        assert!((12..=14).contains(&logins.len()), "{logins:?}");
        let pauses: Vec<u128> = logins.windows(2).map(|l| l[1].since(l[0]).as_millis()).collect();
        // The first pause is any, so that many nodes are not logged in to at once; then a tenth off at most.
        assert!(pauses[0] < 5_500 && pauses[1..].iter().all(|p| (4_500..5_500).contains(p)), "{pauses:?}");
    }
    w.set(&[0], Cause::NoReply);
    w.run_until(ms(5_000), |w| w.state(1) == State::Active);
    let doubt = w.told(EventKind::Doubt)[0].mono;
    let burst: Vec<_> = w.asked.iter().filter(|a| a.at >= doubt && a.node == node(0)).collect();
    assert!(burst.len() >= 3 && burst[..3].iter().all(|a| a.fresh), "{burst:?}");
    let first = w.asked.iter().find(|a| a.at >= doubt && a.node == node(1));
    assert!(first.is_some_and(|a| a.fresh), "{first:?}");
}

#[test]
fn probes_do_not_march_in_step() {
    let mut w = World::new(&["name:p;primary:10.0.0.1;secondary:10.0.0.2;secondary:10.0.0.3"], &[]);
    w.run(ms(60_000));
    let all: Vec<_> = (0..3).map(|n| w.probes_of(n, primacy::engine::Time(0))).collect();
    let together = all[0].iter().filter(|t| all[1].contains(t) || all[2].contains(t)).count();
    assert!(together < all[0].len() / 4, "{together} of {}", all[0].len());
}

#[test]
fn the_budget_shows_connections_and_logins() {
    let mut builder = ConfigBuilder::new();
    builder.add_pool(RING).expect("a pool");
    builder.set("pool.p.probe.login_interval", "3s").expect("a key");
    let config = builder.build().expect("a configuration");
    let text = budget(&config.pools[0]).to_string();
    let line = "  connections kept at each node: 1; a fresh login every 3s and with each probe of a doubt; \
                a failed node is probed every 5s at the slowest\n";
    assert!(text.ends_with(line), "{text}");
}
