//! Members of groups, as recorded: what they say, and what a probe makes of it.

use super::*;
use crate::probe::membership;

fn member(name: &str) -> Observation {
    once(name, SessionConfig { group: true, ..config("primacy", Some("s3cret"), Transport::Plain) })
}

fn group(end: &Observation) -> Group {
    end.facts.group.clone().expect("it was asked and answered")
}

fn states(group: &Group) -> Vec<&str> {
    let mut states: Vec<&str> = group.members.iter().map(|m| m.state.as_str()).collect();
    states.sort_unstable();
    states
}

#[test]
fn group_replication_as_recorded() {
    let end = member("mysql-9.7-group-primary");
    assert_eq!((end.cause, end.message.as_str()), (Cause::Ok, ""));
    assert_eq!((end.facts.read_only, end.facts.super_read_only), (Some(false), Some(false)));
    let first = group(&end);
    assert_eq!((first.kind, first.state.as_str(), first.size), (GroupKind::GroupReplication, "ONLINE", 3));
    assert!(first.majority && first.ready && first.is_believed() && !first.is_donor());
    assert!(first.view >= 3 && !first.id.is_empty() && !first.id.contains(':'));
    assert_eq!(states(&first), ["ONLINE"; 3]);
    let primary = first.members.iter().find(|m| m.primary).expect("one is primary");
    assert_eq!(Some(&primary.id), end.facts.server_uuid.as_ref());
    assert!(primary.address.starts_with("10.99.1.2:"), "{primary:?}");

    let end = member("mysql-9.7-group-secondary");
    assert_eq!((end.cause, end.facts.super_read_only), (Cause::Ok, Some(true)));
    let second = group(&end);
    assert_eq!((&second.id, second.view, &second.state), (&first.id, first.view, &first.state));
    assert_eq!(second.members.iter().filter(|m| m.primary).map(|m| &m.id).collect::<Vec<_>>(), [&primary.id]);
}

/// A cut-off primary, before and after the others have gone on without it, and when it meets them again.
#[test]
fn a_minority_as_recorded() {
    let first = group(&member("mysql-9.7-group-primary"));
    let end = member("mysql-9.7-group-minority");
    assert_eq!(end.cause, Cause::ReplicationStopped);
    assert_eq!(
        end.message,
        "the member's view lacks the majority: 1 of 3 members are reachable, itself included"
    );
    let alone = group(&end);
    assert_eq!((alone.view, alone.state.as_str(), alone.majority), (first.view, "ONLINE", false));
    assert_eq!(states(&alone), ["ONLINE", "UNREACHABLE", "UNREACHABLE"]);
    assert!(!alone.is_believed());

    let new = group(&member("mysql-9.7-group-new-primary"));
    assert_eq!((&new.id, new.view, new.size), (&first.id, first.view + 1, 2));
    assert!(new.is_believed());

    // The trap: it is ONLINE, the primary, and sees all the others. Only its view is the old one.
    let end = member("mysql-9.7-group-stale-primary");
    let stale = group(&end);
    assert_eq!((end.cause, stale.view, stale.size), (Cause::Ok, first.view, 3));
    assert!(stale.is_believed() && stale.view < new.view);

    let end = member("mysql-9.7-group-expelled");
    assert_eq!(end.cause, Cause::ReplicationStopped);
    assert_eq!(end.message, "the member is ERROR in its group: START GROUP_REPLICATION brings it back");
    assert!(!group(&end).is_believed());
}

#[test]
fn who_may_not_or_cannot_tell_says_why() {
    let end = once(
        "mysql-9.7-group-no-grant",
        SessionConfig { group: true, ..config("nog", Some("s3cret"), Transport::Plain) },
    );
    assert_eq!((end.cause, end.errno, end.facts.group), (Cause::QueryFailed, 1142, None));
    let wanted = "grant SELECT ON performance_schema.replication_group_members and SELECT ON \
                  performance_schema.replication_group_member_stats to the probe's account";
    assert!(end.message.ends_with(wanted), "{}", end.message);

    let end = member("mysql-9.7-group-no-plugin");
    assert_eq!(end.cause, Cause::ReplicationStopped);
    assert_eq!(end.message, "the server is in no group: the plugin group_replication is not active");

    let end = member("mariadb-10.11-galera-off");
    assert_eq!(end.cause, Cause::ReplicationStopped);
    assert_eq!(end.message, "the server is in no cluster: wsrep_on is OFF, or wsrep_provider is none");
}

#[test]
fn galera_as_recorded() {
    let end = member("mariadb-10.11-galera-synced");
    assert_eq!((end.cause, end.facts.read_only), (Cause::Ok, Some(false)));
    let synced = group(&end);
    assert_eq!((synced.kind, synced.state.as_str(), synced.size), (GroupKind::Galera, "Synced", 3));
    assert!(synced.is_believed() && !synced.is_donor() && synced.id.len() == 36 && synced.view > 0);

    let end = member("mariadb-10.11-galera-donor");
    let donor = group(&end);
    assert_eq!((end.cause, donor.state.as_str(), &donor.id), (Cause::Ok, "Donor/Desynced", &synced.id));
    assert!(donor.is_believed() && donor.is_donor());

    let end = member("mariadb-10.11-galera-non-primary");
    assert_eq!(end.cause, Cause::ReplicationStopped);
    assert_eq!(end.message, "the member is not in the Primary component of its cluster (Initialized)");
    let outside = group(&end);
    assert_eq!((outside.view, outside.majority, outside.ready), (0, false, false));
}

/// What no recording shows: states in between, and servers without the column MEMBER_ROLE.
#[test]
fn states_in_between() {
    let believed = group(&member("mysql-9.7-group-primary"));
    let recovering = Group { state: "RECOVERING".into(), ..believed.clone() };
    let verdict = recovering.verdict();
    assert_eq!((verdict.0, recovering.is_believed()), (Cause::ReplicationLag, false));
    assert_eq!(verdict.2, "the member is RECOVERING: it catches up with its group");

    let synced = group(&member("mariadb-10.11-galera-synced"));
    for (state, cause) in [
        ("Joining", Cause::ReplicationLag),
        ("Joined", Cause::ReplicationLag),
        ("Initialized", Cause::ReplicationStopped),
    ] {
        let there = Group { state: state.into(), ..synced.clone() };
        assert_eq!((there.verdict().0, there.is_believed()), (cause, false), "{state}");
    }
    let unready = Group { ready: false, ..synced };
    assert_eq!(unready.verdict().2, "wsrep_ready is OFF (Synced)");

    let old = membership::statement(Flavour::MySql, Some(ServerVersion(5, 7, 44)));
    assert!(!old.contains("MEMBER_ROLE") && old.contains("group_replication_primary_member"));
    assert!(membership::statement(Flavour::MySql, None).contains("m.MEMBER_ROLE"));
}

/// A statement that a member refuses because it is out of order tells of its order, not of the statement.
#[test]
fn a_refused_statement_of_an_unready_member() {
    let mut rig =
        Rig::with(SessionConfig { group: true, ..config("primacy", Some("s3cret"), Transport::Plain) });
    let name = "mariadb-10.11-galera-non-primary";
    let events = recording(name);
    let Some(Event::Server(answer)) = events.last() else { panic!("the answer is last") };
    // The answer up to the end of the group's status; then, in place of the rest, an error packet.
    let at = answer.windows(11).rposition(|w| w == b"wsrep_ready").expect("the status");
    let mut end = 0;
    let mut sequence = 0;
    while end < at || answer[end + 4] != 0xfe {
        sequence = answer[end + 3];
        end += 4 + usize::from(answer[end]) + (usize::from(answer[end + 1]) << 8);
    }
    sequence = sequence.wrapping_add(1);
    let length = 4 + usize::from(answer[end]);
    let mut cut = answer[..end + length].to_vec();
    let message = b"#08S01WSREP has not yet prepared node for application use";
    cut.extend([3 + message.len() as u8, 0, 0, sequence.wrapping_add(1), 0xff, 0x17, 0x04]);
    cut.extend_from_slice(message);
    let end = rig.begin(PROBE).connected().play(name, 0, events.len() - 1).bytes(&cut).take();
    assert_eq!((end.cause, end.errno), (Cause::ReplicationStopped, 1047));
    assert!(end.message.starts_with("the member is not in the Primary component"), "{}", end.message);
    assert!(end.message.contains("has not yet prepared node"), "{}", end.message);
}
