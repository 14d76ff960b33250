//! What becomes of sessions and of new clients when nodes change.

use super::*;

fn rw() -> ServiceConfig {
    service("rw", Role::Active, Strategy::FirstAvailable)
}

fn ro() -> ServiceConfig {
    ServiceConfig { fallback: Some(Role::Active), ..service("ro", Role::Standby, Strategy::RoundRobin) }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn an_active_node_that_failed_ends_its_writers_and_leaves_readers_alone() {
    let mut w = World::new(3, &[rw(), ro()]);
    let before = w.seat("ro", 2);
    assert_eq!(w.seat("rw", 0), (Seat::Serves, 1));
    assert_eq!(w.pick("rw").expect("a node").slot, 0);
    w.switch(0, State::FailedOffline, 1);
    assert_eq!(w.seat("rw", 0), (Seat::Ended, 2));
    assert_eq!((w.seat("rw", 1), w.pick("rw").expect("a node").slot), ((Seat::Serves, 1), 1));
    // Readers: of the third node nothing changed; those of the second stay on the node that was promoted.
    assert_eq!(w.seat("ro", 2), before);
    assert_eq!(w.seat("ro", 1).0, Seat::Serves);
    assert_eq!(w.spread("ro", 4), [0, 0, 4]);
}

#[test]
fn a_planned_move_drains_until_the_deadline() {
    let mut w = World::new(2, &[rw()]);
    w.switch(0, State::Standby, 1);
    assert_eq!(w.seat("rw", 0), (Seat::Drains, 1));
    assert_eq!(w.selection.deadline(w.now), Some(w.now + Duration::from_secs(30)));
    w.pass(Duration::from_millis(29_999));
    assert_eq!(w.seat("rw", 0), (Seat::Drains, 1));
    w.pass(MS);
    assert_eq!(w.seat("rw", 0), (Seat::Ended, 2));
    // The role comes back: new sessions of a new generation.
    w.switch(1, State::Standby, 0);
    assert_eq!((w.seat("rw", 0), w.pick("rw").expect("a node").generation), ((Seat::Serves, 2), 2));
}

#[test]
fn kill_and_drain_say_what_they_say_for_every_loss() {
    for (on_demotion, left, seat) in [
        (OnDemotion::Kill, State::Standby, Seat::Ended),
        (OnDemotion::Kill, State::FailedOffline, Seat::Ended),
        (OnDemotion::Drain, State::Standby, Seat::Drains),
        (OnDemotion::Drain, State::FailedOffline, Seat::Drains),
        (OnDemotion::Auto, State::Unknown, Seat::Drains),
        (OnDemotion::Auto, State::FailedOnline, Seat::Ended),
    ] {
        let mut w = World::new(2, &[ServiceConfig { on_demotion, ..rw() }]);
        w.switch(0, left, 1);
        assert_eq!(w.seat("rw", 0).0, seat, "{on_demotion} {left}");
    }
}

#[test]
fn nobody_stands_in_while_the_role_is_handed_over() {
    let mut w = World::new(2, &[ServiceConfig { fallback: Some(Role::Standby), ..rw() }]);
    w.nodes.iter_mut().for_each(|n| n.view.paused = true);
    w.look();
    let table = w.table("rw");
    assert!(w.pick("rw").is_none());
    assert!(table.nobody.as_ref().is_some_and(|nobody| nobody.paused), "{table:?}");
    assert_eq!(w.seat("rw", 0).0, Seat::Serves);
}

#[test]
fn a_last_node_that_does_not_answer_is_named() {
    let mut w = World::new(1, &[rw()]);
    w.nodes[0].view.status = Status::Fail;
    w.look();
    let nobody = w.table("rw").nobody.clone().expect("nobody");
    assert!(!nobody.paused && nobody.text.contains("the last node does not answer"), "{}", nobody.text);
    // Its sessions may yet be answered.
    assert_eq!(w.seat("rw", 0), (Seat::Serves, 1));
}

#[test]
fn readers_fall_back_to_the_active_node_and_return() {
    let mut w = World::new(2, &[ro()]);
    w.set(1, State::FailedOffline);
    w.look();
    let backend = w.pick("ro").expect("the ACTIVE node");
    assert_eq!(
        (backend.slot, backend.reason, backend.flags),
        (0, Reason::Fallback as i32, backend::flags::FALLBACK)
    );
    assert_eq!(w.seat("ro", 1), (Seat::Ended, 2));
    w.set(1, State::Standby);
    w.look();
    assert_eq!(w.pick("ro").map(|b| (b.slot, b.generation)), Some((1, 2)));
    // Whoever went to the ACTIVE node meanwhile may stay there.
    assert_eq!(w.seat("ro", 0).0, Seat::Serves);
}

#[test]
fn a_bad_look_makes_a_node_the_second_choice() {
    let mut w = World::new(3, &[ro()]);
    w.nodes[1].view.class = Some(Class::Hung);
    w.look();
    assert_eq!(w.spread("ro", 4), [0, 0, 4]);
    w.nodes[2].view.class = Some(Class::Gone);
    w.look();
    assert_eq!(w.spread("ro", 4), [0, 2, 2]);
    assert_eq!(w.pick("ro").map(|b| b.reason), Some(Reason::Spare as i32));
}

#[test]
fn weight_zero_maintenance_and_lag_keep_new_clients_away() {
    let mut w = World::new(4, &[ServiceConfig { max_lag: Duration::from_secs(1), ..ro() }]);
    w.nodes[1].weight = 0;
    w.nodes[2].maintenance = true;
    w.nodes[3].lag = Some(Duration::from_secs(2));
    w.look();
    // Lag costs nobody the session; an operator's wish does, in time.
    assert_eq!((w.seat("ro", 1).0, w.seat("ro", 2).0), (Seat::Drains, Seat::Drains));
    assert_eq!(w.seat("ro", 3).0, Seat::Serves);
    assert_eq!(w.spread("ro", 3), [3, 0, 0, 0]);
    w.pass(Duration::from_secs(30));
    assert_eq!((w.seat("ro", 1), w.seat("ro", 2)), ((Seat::Ended, 2), (Seat::Ended, 2)));
    w.nodes[1].weight = 1;
    w.look();
    assert_eq!(w.seat("ro", 1), (Seat::Serves, 2));
}

#[test]
fn a_removed_node_ends_its_sessions_and_keeps_its_number() {
    let mut w = World::new(3, &[ro()]);
    let gone = w.nodes.remove(1);
    w.look();
    assert_eq!(w.seat("ro", 1), (Seat::Ended, 2));
    w.nodes.push(gone);
    w.look();
    assert_eq!(w.table("ro").slots[1].node, "10.0.0.2:3306");
    assert_eq!(w.seat("ro", 1), (Seat::Serves, 2));
}

#[test]
fn nothing_is_published_while_nothing_changes() {
    let mut w = World::new(3, &[rw(), ro()]);
    for _ in 0..5 {
        w.now = w.now + MS;
        assert_eq!(w.look(), 0);
    }
    w.nodes[2].weight = 3;
    assert_eq!(w.look(), 2);
}

#[test]
fn a_changed_configuration_keeps_seats_and_ends_what_left() {
    let mut w = World::new(2, &[rw(), ro()]);
    w.switch(0, State::FailedOffline, 1);
    let closed = w.selection.reconfigure(&[ServiceConfig { strategy: Strategy::RoundRobin, ..rw() }]);
    assert_eq!(
        closed.iter().map(|t| (t.service.as_str(), t.closed)).collect::<Vec<_>>(),
        [("ro", Some(Closed::Gone))]
    );
    assert_eq!(w.look(), 1);
    assert_eq!((w.seat("rw", 0), w.table("rw").strategy), ((Seat::Ended, 2), Strategy::RoundRobin));
}

#[test]
fn another_decider_goes_on_with_the_generations() {
    let mut w = World::new(2, &[rw()]);
    w.switch(0, State::FailedOffline, 1);
    let last = w.table("rw");
    let mut next = PoolSelection::new(&[rw()]);
    next.adopt(w.now, "orders", &[(*last).clone()]);
    w.selection = next;
    w.look();
    assert_eq!((w.seat("rw", 0), w.seat("rw", 1)), ((Seat::Ended, 2), (Seat::Serves, 1)));
}

#[test]
fn hosts_that_cannot_reach_a_node_hold_it_and_one_client_tries() {
    use ReportOutcome::{ConnectFailed, Connected};
    let mut w = World::new(3, &[service("ro", Role::Standby, Strategy::RoundRobin)]);
    w.report(1, ConnectFailed);
    w.report(1, ConnectFailed);
    assert_eq!(w.spread("ro", 4), [0, 2, 2]);
    w.report(1, ConnectFailed);
    assert_eq!(w.spread("ro", 4), [0, 0, 4]);
    w.pass(Duration::from_secs(1));
    // One trial, whoever asks.
    assert_eq!(w.spread("ro", 6), [0, 1, 5]);
    w.report(1, ConnectFailed);
    w.pass(Duration::from_millis(1999));
    assert_eq!(w.spread("ro", 4), [0, 0, 4]);
    w.pass(MS);
    assert_eq!(w.spread("ro", 4), [0, 1, 3]);
    w.report(1, Connected);
    assert_eq!(w.spread("ro", 4), [0, 2, 2]);
    // The next hold is longer, as the last one is not forgotten yet; after ten times its length it is.
    for _ in 0..3 {
        w.report(1, ConnectFailed);
    }
    assert_eq!(w.selection.deadline(w.now), Some(w.now + Duration::from_secs(4)));
    w.pass(Duration::from_secs(4));
    w.report(1, Connected);
    w.pass(Duration::from_secs(41));
    for _ in 0..3 {
        w.report(1, ConnectFailed);
    }
    assert_eq!(w.selection.deadline(w.now), Some(w.now + Duration::from_secs(1)));
}

#[test]
fn the_last_node_of_a_service_is_never_held_back() {
    let mut w = World::new(2, &[service("ro", Role::Standby, Strategy::RoundRobin), rw()]);
    for _ in 0..9 {
        w.report(1, ReportOutcome::ConnectTimedOut);
        w.report(0, ReportOutcome::ConnectTimedOut);
    }
    assert_eq!(w.pick("ro").map(|b| (b.slot, b.reason)), Some((1, Reason::Held as i32)));
    assert_eq!(w.pick("rw").map(|b| (b.slot, b.reason)), Some((0, Reason::Held as i32)));
}

/// While the one client that tries is on its way, the others are not turned away.
#[test]
fn a_trial_of_the_last_node_is_for_all() {
    let mut w = World::new(2, &[service("ro", Role::Standby, Strategy::RoundRobin), rw()]);
    for _ in 0..3 {
        w.report(1, ReportOutcome::ConnectFailed);
        w.report(0, ReportOutcome::ConnectFailed);
    }
    w.pass(Duration::from_secs(1));
    for service in ["ro", "rw"] {
        for _ in 0..3 {
            let backend = w.pick(service).expect("nobody else is left");
            assert_eq!((backend.reason, backend.flags), (Reason::Held as i32, 0), "{service}");
        }
    }
    w.report(0, ReportOutcome::Connected);
    assert_eq!(w.pick("rw").map(|b| b.reason), Some(Reason::Role as i32));
}

#[test]
fn a_trial_leaves_the_others_the_next_tier() {
    let mut w = World::new(2, &[ro()]);
    for _ in 0..3 {
        w.report(1, ReportOutcome::ConnectFailed);
    }
    w.pass(Duration::from_secs(1));
    let mut reasons: Vec<i32> = (0..3).map(|_| w.pick("ro").expect("somebody").reason).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, [Reason::Fallback, Reason::Fallback, Reason::Trial].map(|reason| reason as i32));
}

#[test]
fn a_trial_at_a_site_leaves_its_clients_the_other_sites() {
    let ro = service("ro", Role::Standby, Strategy::RoundRobin);
    let mut w = World::new(3, &[ServiceConfig { same_site_first: true, ..ro }]);
    (w.nodes[1].site, w.nodes[2].site) = ("east", "west");
    assert_eq!(w.look(), 1);
    assert_eq!(w.table("ro").list("east").entries.len(), 1);
    for _ in 0..3 {
        w.report(1, ReportOutcome::ConnectFailed);
    }
    w.pass(Duration::from_secs(1));
    let table = w.table("ro");
    assert!(table.slots[1].trial.is_some());
    let mut went = [0; 3];
    for _ in 0..4 {
        let picked = pick(table.strategy, table.list("east"), &mut w.position, &w.book);
        went[picked.backend().expect("somebody").slot as usize] += 1;
    }
    assert_eq!(went, [0, 1, 3]);
}

#[test]
fn a_node_that_comes_back_starts_slowly() {
    let slow_start = Duration::from_secs(10);
    let mut w =
        World::new(3, &[ServiceConfig { slow_start, ..service("ro", Role::Standby, Strategy::RoundRobin) }]);
    assert_eq!(w.spread("ro", 20), [0, 10, 10]);
    w.set(2, State::FailedOffline);
    w.look();
    w.set(2, State::Standby);
    w.look();
    assert_eq!(w.spread("ro", 22), [0, 20, 2]);
    assert_eq!(w.selection.deadline(w.now), Some(w.now + Duration::from_secs(1)));
    w.pass(Duration::from_secs(5));
    assert_eq!(w.spread("ro", 32), [0, 20, 12]);
    w.pass(Duration::from_secs(5));
    assert_eq!(w.spread("ro", 20), [0, 10, 10]);
    assert_eq!(w.selection.deadline(w.now), None);
}

#[test]
fn next_available_does_not_come_back_until_it_must() {
    let mut w = World::new(3, &[service("any", Role::Any, Strategy::NextAvailable)]);
    assert_eq!(w.pick("any").map(|b| b.slot), Some(0));
    w.switch(0, State::FailedOffline, 1);
    w.set(0, State::Standby);
    w.look();
    assert_eq!(w.pick("any").map(|b| b.slot), Some(1));
    w.switch(1, State::FailedOffline, 2);
    assert_eq!(w.pick("any").map(|b| b.slot), Some(2));
    w.set(2, State::FailedOffline);
    w.look();
    assert_eq!(w.pick("any").map(|b| b.slot), Some(0), "the list begins anew");
}

#[test]
fn a_client_that_reaches_none_of_its_nodes_gets_the_next_best() {
    use super::pick::pick_with;
    let mut w = World::new(4, &[ro()]);
    w.nodes[2].view.class = Some(Class::Hung);
    w.look();
    let table = w.table("ro");
    let mut pick = |avoid: &[u32]| {
        let wish = Wish { avoid, ..Wish::default() };
        let picked = pick_with(&table, &table.all, &mut w.position, &w.book, &wish).expect("no garbage");
        picked.backend().map(|b| (b.slot, b.reason))
    };
    assert!(matches!(pick(&[1]), Some((3, _))));
    assert_eq!(pick(&[1, 3]), Some((2, Reason::Spare as i32)));
    assert_eq!(pick(&[1, 3, 2]), Some((0, Reason::Fallback as i32)));
    assert_eq!(pick(&[0, 1, 2, 3]), None);
}
