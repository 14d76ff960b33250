//! Pools of kind `group`: what the members say, and who of them is believed.

use super::world::{World, ms, node};
use primacy::engine::{Command, EventKind, Input, Severity};
use primacy::pool::{MaintenanceRole, State, Status};
use primacy::probe::{Cause, Facts, Flavour, Group, GroupKind, GroupMember};

const THREE: &str = "name:p;primary:10.0.0.1;secondary:10.0.0.2;secondary:10.0.0.3";
const GROUP: &[(&str, &str)] = &[("pool.p.kind", "group")];

/// Group Replication as it stands.
#[derive(Clone)]
struct View {
    id: &'static str,
    number: u64,
    /// State and whether it is primary, by node; `None` is no member of it.
    members: [Option<(&'static str, bool)>; 3],
}

const ALL: View = View {
    id: "1700",
    number: 3,
    members: [Some(("ONLINE", true)), Some(("ONLINE", false)), Some(("ONLINE", false))],
};

/// What a server answers in a view of its group.
fn member(me: usize, view: &View) -> (Cause, Facts) {
    let members: Vec<GroupMember> = view
        .members
        .iter()
        .enumerate()
        .filter_map(|(i, m)| {
            let (state, primary) = (*m)?;
            let id = format!("uuid-{i}");
            Some(GroupMember { id, address: format!("10.0.0.{}:3306", i + 1), state: state.into(), primary })
        })
        .collect();
    let (state, primary) = view.members[me].unwrap_or(("OFFLINE", false));
    let reachable = members.iter().filter(|m| matches!(m.state.as_str(), "ONLINE" | "RECOVERING")).count();
    let group = Group {
        kind: GroupKind::GroupReplication,
        id: view.id.into(),
        view: view.number,
        state: state.into(),
        majority: 2 * reachable > members.len(),
        size: members.len() as u32,
        ready: true,
        members,
    };
    let cause = match (group.is_believed(), state) {
        (true, _) => Cause::Ok,
        (false, "RECOVERING") => Cause::ReplicationLag,
        (false, _) => Cause::ReplicationStopped,
    };
    let facts = Facts {
        flavour: Some(Flavour::MySql),
        server_uuid: Some(format!("uuid-{me}")),
        read_only: Some(!primary),
        super_read_only: Some(!primary),
        group: Some(group),
        ..Facts::default()
    };
    (cause, facts)
}

fn galera(state: &str, conf: u64, primary: bool) -> (Cause, Facts) {
    let group = Group {
        kind: GroupKind::Galera,
        id: "cluster".into(),
        view: conf,
        state: state.into(),
        majority: primary,
        size: 3,
        ready: primary,
        members: vec![],
    };
    let cause = if group.is_believed() { Cause::Ok } else { Cause::ReplicationStopped };
    let facts = Facts {
        flavour: Some(Flavour::MariaDb),
        read_only: Some(false),
        group: Some(group),
        ..Facts::default()
    };
    (cause, facts)
}

impl World {
    fn says(&mut self, of: usize, (cause, facts): (Cause, Facts)) {
        let server = self.servers.get_mut(&node(of)).expect("a node");
        (server.cause, server.facts) = (cause, facts);
    }

    fn all_say(&mut self, nodes: &[usize], view: &View) {
        nodes.iter().for_each(|&n| self.says(n, member(n, view)));
    }

    fn active(&self) -> Option<usize> {
        (0..self.engine.config().pools[0].nodes.len()).find(|&n| self.state(n) == State::Active)
    }

    fn forget(&mut self) {
        self.events.clear();
        self.asked.clear();
    }
}

fn started(view: &View) -> World {
    let mut w = World::asleep(&[THREE], GROUP);
    w.all_say(&[0, 1, 2], view);
    w.give(Input::Start);
    w.run(ms(3_000));
    w
}

fn galeras(states: [&str; 3]) -> World {
    let mut w = World::asleep(&[THREE], GROUP);
    for (n, state) in states.into_iter().enumerate() {
        w.says(n, galera(state, 3, true));
    }
    w.give(Input::Start);
    w.run(ms(3_000));
    w
}

/// View 4 after node 0 is gone: node 1 is primary.
fn without_first() -> View {
    View { number: 4, members: [None, Some(("ONLINE", true)), Some(("ONLINE", false))], ..ALL }
}

#[test]
fn the_groups_primary_is_active_whatever_its_type() {
    let mut view = ALL;
    view.members = [Some(("ONLINE", false)), Some(("ONLINE", false)), Some(("ONLINE", true))];
    let mut w = World::asleep(&[THREE], GROUP);
    w.all_say(&[0, 1, 2], &view);
    w.give(Input::Start);
    // As soon as it has said so: the group has no other.
    let took = w.run_until(ms(1_000), |w| w.active() == Some(2));
    assert!(took < ms(50), "{took:?}");
    assert_eq!(w.node(2).rule, 312);
    w.run(ms(5_000));
    assert_eq!(w.told(EventKind::Switch).len(), 1);
    assert!(w.explain().contains("says that writes go to 10.0.0.3:3306"), "{}", w.explain());
}

#[test]
fn a_killed_primary_stays_at_fail_until_the_group_decides() {
    let mut w = started(&ALL);
    assert_eq!(w.active(), Some(0));
    w.forget();
    w.set(&[0], Cause::Refused);
    w.run(ms(5_000));
    assert_eq!((w.active(), w.node(0).status), (Some(0), Status::Fail));
    assert!(w.told(EventKind::Switch).is_empty(), "the group has not decided");
    let alarm = w.told(EventKind::LastNode);
    assert_eq!((alarm.len(), alarm[0].rule, alarm[0].severity), (1, 309, Severity::Alarm));
    // UNREACHABLE is no decision yet either.
    let unreachable = View { members: [Some(("UNREACHABLE", true)), ALL.members[1], ALL.members[2]], ..ALL };
    w.all_say(&[1, 2], &unreachable);
    w.run(ms(2_000));
    assert_eq!(w.active(), Some(0));
    w.all_say(&[1, 2], &without_first());
    let took = w.run_until(ms(2_000), |w| w.active() == Some(1));
    assert!(took <= ms(540), "one interval: {took:?}");
    assert!([303, 304].contains(&w.node(1).rule));
    assert_eq!((w.state(0), w.node(0).waits_for_recover), (State::FailedOffline, false));
    // It comes back, heals by itself, and the group leaves the role where it is.
    let back = View {
        number: 5,
        members: [Some(("ONLINE", false)), Some(("ONLINE", true)), Some(("ONLINE", false))],
        ..ALL
    };
    w.all_say(&[0, 1, 2], &back);
    w.run(ms(20_000));
    assert_eq!((w.state(0), w.node(0).status, w.active()), (State::Standby, Status::Ok, Some(1)));
    assert_eq!(w.told(EventKind::Switch).len(), 1);
}

/// As it was recorded: the old primary is cut off from the others, and the prober reaches everybody.
#[test]
fn an_isolated_primary_is_not_believed() {
    let mut w = started(&ALL);
    w.forget();
    // The others have decided; it says as before that it is primary and all are there.
    w.all_say(&[1, 2], &without_first());
    let took = w.run_until(ms(2_000), |w| w.active() == Some(1));
    assert!(took <= ms(540), "{took:?}");
    assert_eq!(w.node(1).rule, 303);
    assert_eq!(w.state(0), State::Standby);
    // It notices that it is alone.
    w.says(
        0,
        member(
            0,
            &View {
                members: [ALL.members[0], Some(("UNREACHABLE", false)), Some(("UNREACHABLE", false))],
                ..ALL
            },
        ),
    );
    w.run(ms(10_000));
    assert_eq!((w.active(), w.state(0)), (Some(1), State::FailedOnline));
    // The network heals: for a while it takes itself for the primary of all again, in its old view.
    w.says(0, member(0, &ALL));
    w.run(ms(30_000));
    assert_eq!(w.active(), Some(1));
    // And if nobody else can be asked, its old word still does not count: nobody follows back.
    w.set(&[2], Cause::Refused);
    w.run(ms(5_000));
    assert_eq!((w.active(), w.told(EventKind::Switch).len()), (Some(1), 1));
}

#[test]
fn a_minority_alone_has_no_active_node() {
    let mut w = started(&ALL);
    w.forget();
    w.set(&[1, 2], Cause::NoAck);
    w.says(
        0,
        member(
            0,
            &View {
                members: [ALL.members[0], Some(("UNREACHABLE", false)), Some(("UNREACHABLE", false))],
                ..ALL
            },
        ),
    );
    w.run(ms(10_000));
    assert_eq!((w.active(), w.node(0).rule != 0), (None, true));
    let switches = w.told(EventKind::Switch);
    assert_eq!((switches.len(), switches[0].rule, switches[0].severity), (1, 307, Severity::Alarm));
    assert_eq!(w.state(0), State::FailedOnline, "{}", w.explain());
    // All are back in the old view: at once, though the node has not been good for long.
    w.all_say(&[0, 1, 2], &ALL);
    let took = w.run_until(ms(6_000), |w| w.active() == Some(0));
    assert!(took <= ms(540), "{took:?}");
}

/// The cut-off primary knows before the others have decided: the majority's word holds, and there is one switch.
#[test]
fn a_confession_alone_does_not_hurry_the_group() {
    let mut w = started(&ALL);
    w.forget();
    let lost = Some(("UNREACHABLE", false));
    w.says(0, member(0, &View { members: [ALL.members[0], lost, lost], ..ALL }));
    let suspicious = View { members: [Some(("UNREACHABLE", true)), ALL.members[1], ALL.members[2]], ..ALL };
    w.all_say(&[1, 2], &suspicious);
    w.run(ms(5_000));
    assert_eq!((w.active(), w.told(EventKind::Switch).len()), (Some(0), 0));
    let alarm = w.told(EventKind::Writers);
    assert_eq!((alarm.len(), alarm[0].rule, alarm[0].severity), (1, 318, Severity::Alarm));
    w.all_say(&[1, 2], &without_first());
    let took = w.run_until(ms(2_000), |w| w.active() == Some(1));
    assert!(took <= ms(540), "{took:?}");
    assert_eq!(w.told(EventKind::Switch).len(), 1);
}

#[test]
fn a_planned_move_in_one_view_is_one_switch() {
    let mut w = started(&ALL);
    w.forget();
    let mut moved = ALL;
    moved.members = [Some(("ONLINE", false)), Some(("ONLINE", true)), Some(("ONLINE", false))];
    w.all_say(&[0, 1, 2], &moved);
    let took = w.run_until(ms(2_000), |w| w.active() == Some(1));
    assert!(took <= ms(540), "{took:?}");
    w.run(ms(5_000));
    assert_eq!(w.told(EventKind::Switch).len(), 1, "{:?}", w.told(EventKind::Switch));
    assert_eq!((w.state(0), w.node(0).status), (State::Standby, Status::Ok));
    assert_eq!(w.told(EventKind::Switch)[0].severity, Severity::Info);
}

#[test]
fn the_new_primary_is_followed_once_it_is_writable() {
    let mut w = started(&ALL);
    w.set(&[0], Cause::Refused);
    w.all_say(&[1, 2], &without_first());
    let (cause, mut facts) = member(1, &without_first());
    facts.super_read_only = Some(true);
    w.says(1, (cause, facts));
    w.run(ms(5_000));
    assert_eq!(w.active(), None, "the group has taken the role from the dead one: {}", w.explain());
    w.all_say(&[1], &without_first());
    let took = w.run_until(ms(2_000), |w| w.active() == Some(1));
    assert!(took <= ms(540), "{took:?}");
}

#[test]
fn a_named_node_that_does_not_answer_is_not_followed() {
    let mut w = started(&ALL);
    w.forget();
    w.set(&[1], Cause::Refused);
    w.run(ms(1_000));
    let mut moved = ALL;
    moved.members = [Some(("ONLINE", false)), Some(("ONLINE", true)), Some(("ONLINE", false))];
    w.all_say(&[0, 2], &moved);
    w.run_until(ms(5_000), |w| w.active().is_none());
    assert_eq!(w.told(EventKind::Switch)[0].rule, 307);
    w.all_say(&[1], &moved);
    w.run_until(ms(8_000), |w| w.active() == Some(1));
}

#[test]
fn two_groups_are_an_alarm_and_no_choice() {
    let mut w = started(&ALL);
    w.forget();
    // Somebody has bootstrapped a second group on node 2.
    let second = View { id: "1800", number: 1, members: [None, None, Some(("ONLINE", true))] };
    w.all_say(&[2], &second);
    w.all_say(&[0, 1], &View { number: 4, members: [ALL.members[0], ALL.members[1], None], ..ALL });
    w.run(ms(5_000));
    assert_eq!((w.active(), w.told(EventKind::Switch).len()), (Some(0), 0));
    let alarm = w.told(EventKind::Writers);
    assert_eq!((alarm.len(), alarm[0].rule, alarm[0].severity), (1, 301, Severity::Alarm));
    assert!(
        alarm[0].message.contains("10.0.0.1:3306 takes writes; 10.0.0.3:3306 takes writes"),
        "{}",
        alarm[0].message
    );
}

#[test]
fn a_recovering_member_is_behind_and_does_not_fail() {
    let mut w = started(&ALL);
    w.says(
        2,
        member(2, &View { members: [ALL.members[0], ALL.members[1], Some(("RECOVERING", false))], ..ALL }),
    );
    w.run(ms(60_000));
    assert_eq!(
        (w.state(2), w.node(2).status, w.node(2).cause),
        (State::Standby, Status::OkWarn, Some(Cause::ReplicationLag))
    );
    w.says(2, member(2, &View { members: [ALL.members[0], ALL.members[1], None], number: 4, ..ALL }));
    w.run(ms(10_000));
    assert_eq!(w.state(2), State::FailedOnline);
    assert_eq!(w.active(), Some(0));
}

#[test]
fn operators_do_not_choose() {
    let mut w = started(&ALL);
    let refused = w.command(Command::ActivatePrimary(0)).expect_err("refused");
    assert!(refused.message().contains("rule 321"), "{refused}");
    let refused = w.command(Command::RemoveNode(node(0))).expect_err("refused");
    assert!(refused.message().contains("rule 322"), "{refused}");
    w.command(Command::RemoveNode(node(2))).expect("a stand-in");
    let refused = w.command(Command::RecoverNode(node(1))).expect_err("not failed");
    assert!(refused.message().contains("rule 262"), "{refused}");
}

#[test]
fn orders_of_operators_outrank_the_group() {
    let mut w = started(&ALL);
    w.forget();
    let reason = || "a test".to_string();
    w.command(Command::Freeze { pool: 0, reason: reason(), limit: None }).expect("a freeze");
    let mut moved = ALL;
    moved.members = [Some(("ONLINE", false)), Some(("ONLINE", true)), Some(("ONLINE", false))];
    w.all_say(&[0, 1, 2], &moved);
    w.run(ms(5_000));
    assert_eq!((w.active(), w.told(EventKind::Switch).len()), (Some(0), 0), "frozen");
    w.command(Command::Unfreeze(0)).expect("the end of it");
    w.run_until(ms(2_000), |w| w.active() == Some(1));
    let maintain = |node, role| Command::Maintenance { node, role, reason: "a test".into(), limit: None };
    let refused = w.command(maintain(node(1), MaintenanceRole::Move)).expect_err("refused");
    assert!(refused.message().contains("rule 323"), "{refused}");
    w.command(maintain(node(1), MaintenanceRole::Stay)).expect("it stays");
    w.command(maintain(node(2), MaintenanceRole::Move)).expect("a stand-in");
    moved.members = [Some(("ONLINE", false)), Some(("ONLINE", false)), Some(("ONLINE", true))];
    w.all_say(&[0, 1, 2], &moved);
    w.run(ms(5_000));
    assert_eq!(w.active(), Some(1), "fixed");
    w.command(Command::ClearOverride(node(1))).expect("the end of it");
    w.run(ms(5_000));
    assert_eq!(w.active(), None, "the one that takes writes is in maintenance: {}", w.explain());
    w.command(Command::ClearOverride(node(2))).expect("the end of it");
    w.run_until(ms(5_000), |w| w.active() == Some(2));
}

// --- Galera -------------------------------------------------------------------------------------------------------------

#[test]
fn galera_prefers_the_primary_and_keeps_whom_it_has() {
    let mut w = galeras(["Synced"; 3]);
    assert_eq!(w.active(), Some(0));
    w.forget();
    w.set(&[0], Cause::Refused);
    let took = w.run_until(ms(2_000), |w| w.active() == Some(1));
    assert!(took <= ms(600), "any member may write, so nothing has to be waited for: {took:?}");
    assert_eq!((w.node(1).rule, w.state(0), w.node(0).waits_for_recover), (304, State::FailedOffline, false));
    for n in 0..3 {
        w.says(n, galera("Synced", 5, true));
    }
    w.run(ms(30_000));
    assert_eq!((w.active(), w.state(0)), (Some(1), State::Standby));
    assert_eq!(w.told(EventKind::Switch).len(), 1);
}

#[test]
fn galera_waits_for_the_preferred_one_at_the_start() {
    let mut w = World::asleep(&[THREE], GROUP);
    w.set(&[0], Cause::NoReply);
    for n in [1, 2] {
        w.says(n, galera("Synced", 3, true));
    }
    w.give(Input::Start);
    w.run(ms(300));
    assert_eq!(w.active(), None);
    assert!([0, 313].contains(&w.node(1).rule) || w.node(1).rule < 300);
    w.run(ms(3_000));
    assert_eq!(w.active(), Some(1), "it has had its chances");
}

#[test]
fn a_member_outside_of_the_primary_component_loses_the_role() {
    let mut w = galeras(["Synced"; 3]);
    w.forget();
    w.says(0, galera("Initialized", 0, false));
    w.says(1, galera("Synced", 4, true));
    w.says(2, galera("Synced", 4, true));
    let took = w.run_until(ms(2_000), |w| w.active() == Some(1));
    assert!(took <= ms(540), "{took:?}");
    assert_eq!(w.node(1).rule, 303);
    w.run(ms(5_000));
    assert_eq!((w.told(EventKind::Switch).len(), w.state(0)), (1, State::FailedOnline));
    // Nobody is in a Primary component: nobody is ACTIVE.
    w.says(1, galera("Initialized", 0, false));
    w.says(2, galera("Initialized", 0, false));
    w.run_until(ms(2_000), |w| w.active().is_none());
}

#[test]
fn a_donor_gives_way_to_a_synced_member() {
    let mut w = galeras(["Synced"; 3]);
    w.says(0, galera("Donor/Desynced", 3, true));
    w.run_until(ms(2_000), |w| w.active() == Some(1));
    assert_eq!((w.node(1).rule, w.state(0), w.node(0).status), (305, State::Standby, Status::Ok));
    // All are donors: the one that has the role keeps it.
    for n in [0, 2, 1] {
        w.says(n, galera("Donor/Desynced", 3, true));
        w.run(ms(1_000));
    }
    w.run(ms(5_000));
    assert_eq!(w.active(), Some(1));
    // At the start a donor is better than nobody.
    let w = galeras(["Joining", "Donor/Desynced", "Joining"]);
    assert_eq!(w.active(), Some(1));
}

#[test]
fn a_read_only_member_gives_way() {
    let mut w = galeras(["Synced"; 3]);
    let (cause, mut facts) = galera("Synced", 3, true);
    facts.read_only = Some(true);
    w.says(0, (cause, facts.clone()));
    w.says(1, (cause, facts.clone()));
    w.run_until(ms(2_000), |w| w.active() == Some(2));
    assert_eq!(w.node(2).rule, 305);
    w.says(2, (cause, facts));
    w.run(ms(5_000));
    assert_eq!(w.active(), Some(2), "nobody else could do better");
}

/// A member with an older view than others know is not chosen: it may be cut off.
#[test]
fn an_old_view_is_no_ground_to_follow() {
    let mut w = galeras(["Synced"; 3]);
    w.says(2, galera("Synced", 4, true));
    w.run(ms(600));
    w.says(0, galera("Initialized", 0, false));
    w.run_until(ms(2_000), |w| w.active() == Some(2));
    assert!(w.explain().contains("another member knows a newer view"), "{}", w.explain());
}

/// A host that observes for itself says by `read_only` who may write.
#[test]
fn a_host_says_who_may_write() {
    let mut w = World::asleep(&[THREE], &[("pool.p.kind", "group"), ("pool.p.probe.mode", "external")]);
    w.give(Input::Start);
    let observe = |w: &mut World, n: usize, read_only: bool| {
        let facts = Facts { read_only: Some(read_only), ..Facts::default() };
        let mut observation = primacy::probe::Observation::new(Cause::Ok, "", w.clock);
        observation.facts = facts;
        w.give(Input::Observed { node: node(n), observation });
    };
    for (n, read_only) in [(0, true), (1, false), (2, true)] {
        observe(&mut w, n, read_only);
    }
    assert_eq!(w.active(), Some(1));
    observe(&mut w, 1, true);
    observe(&mut w, 2, false);
    assert_eq!(w.active(), Some(1), "the first one has not been heard since");
    observe(&mut w, 0, true);
    assert_eq!(w.active(), Some(2));
    assert_eq!(w.told(EventKind::Switch).len(), 2);
}
