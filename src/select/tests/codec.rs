//! Tables and headers as bytes and back, whole and damaged.

use super::*;
use crate::error::ErrorCode;
use crate::gtid::Gtids;
use crate::select::codec::{decode, encode};
use crate::select::header::{Header, SIZE};
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

const MS: Duration = Duration::from_millis(1);

/// Every service that a configuration can ask for, over nodes of three sites.
fn world(seed: u8) -> World {
    let mut services = Vec::new();
    for (at, strategy) in Strategy::ALL.iter().enumerate() {
        let role = Role::ALL[(at + seed as usize) % 3];
        services.push(ServiceConfig {
            same_site_first: at % 2 == 0,
            slow_start: Duration::from_secs(1),
            fallback: (at % 3 == 0 && role != Role::Any).then_some(Role::Any),
            ..service(&format!("s{at}"), role, *strategy)
        });
    }
    let mut w = World::new(4, &services);
    for (at, node) in w.nodes.iter_mut().enumerate() {
        node.site = ["", "ams", "fra"][at % 3];
        node.weight = 1 + at as u32 * 1_000_000;
    }
    w.nodes[3].address = Address::parse("unix:/run/db.sock").expect("an address");
    w.nodes[2].address = Address::parse("[2001:db8::3]:3306").expect("an address");
    w.look();
    w
}

/// What the world shows, with transactions, as all processes see it.
fn tables(w: &World, gtids: u8) -> Vec<ServiceTable> {
    let sets = [
        None,
        Gtids::parse_mysql("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7-9").ok(),
        Gtids::parse_mariadb("0-1-100,1-2-5").ok(),
        Gtids::parse_mariadb_state("0-1-100,0-2-110").ok(),
    ];
    let mut tables: Vec<ServiceTable> = w.tables.values().map(|table| (**table).clone()).collect();
    for table in &mut tables {
        for (at, slot) in table.slots.iter_mut().enumerate() {
            slot.gtids = sets[(at + gtids as usize) % 4].clone().map(Arc::new);
        }
    }
    tables
}

/// Something happens to a node, or time passes.
fn act(w: &mut World, what: u8, node: u8) {
    let at = node as usize % w.nodes.len();
    match what % 8 {
        0 => w.set(at, State::FailedOffline),
        1 => w.set(at, State::Standby),
        2 => (0..w.nodes.len()).for_each(|i| w.set(i, if i == at { State::Active } else { State::Standby })),
        3 => (0..5).for_each(|_| w.report(at, ReportOutcome::ConnectFailed)),
        4 => w.nodes[at].maintenance ^= true,
        5 => w.nodes[at].removed ^= true,
        6 => w.nodes.iter_mut().for_each(|n| n.view.paused ^= true),
        _ => w.pass(MS * 700 * u32::from(node)),
    }
    w.look();
}

proptest! {
    #[test]
    fn what_was_written_is_read(seed in any::<u8>(), acts in prop::collection::vec(any::<(u8, u8)>(), 0..20)) {
        let mut w = world(seed);
        for (what, node) in acts {
            act(&mut w, what, node);
            let tables = tables(&w, node);
            let read = decode(&encode(&tables)).expect("good bytes");
            prop_assert_eq!(read, tables);
        }
    }

    #[test]
    fn damaged_bytes_are_an_error_or_tables(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut w = world(1);
        act(&mut w, 3, 1);
        let mut bytes = encode(&tables(&w, 1));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        match decode(&bytes) {
            // Whatever it says, it can be handed to selectors.
            Ok(tables) => {
                let mut position = Position::new(1);
                for table in &tables {
                    let picked = pick(table.strategy, &table.all, &mut position, &w.book).backend();
                    prop_assert!(picked.is_none_or(|backend| table.slot(backend.slot).is_some()));
                }
                prop_assert_eq!(decode(&encode(&tables)).expect("good bytes"), tables);
            }
            Err(error) => {
                prop_assert_eq!(error.code(), ErrorCode::Cache);
                prop_assert!(error.message().starts_with("byte "), "{}", error);
            }
        }
    }
}

#[test]
fn bytes_that_end_too_early_are_an_error_wherever_they_end() {
    let bytes = encode(&tables(&world(2), 1));
    for length in 0..bytes.len() {
        let error = decode(&bytes[..length]).expect_err("cut short");
        assert_eq!(error.code(), ErrorCode::Cache, "{length}: {error}");
    }
    let more = [&bytes[..], &[0]].concat();
    assert!(decode(&more).expect_err("too long").message().contains("bytes after the last table"));
    // A count that nobody could have written takes no memory.
    assert!(decode(&[0xff; 8]).is_err());
    assert!(decode(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).is_err());
}

#[test]
fn a_stop_is_told_to_nobody_else() {
    let w = world(0);
    let stopped: Vec<ServiceTable> =
        tables(&w, 0).iter().map(|table| table.closed(Closed::Stopped)).collect();
    assert_eq!(decode(&encode(&stopped)), Ok(vec![]));
    let gone: Vec<ServiceTable> = tables(&w, 0).iter().map(|table| table.closed(Closed::Gone)).collect();
    assert_eq!(decode(&encode(&gone)), Ok(gone));
}

#[test]
fn a_header_is_whole_or_an_error() {
    let header = Header {
        fingerprint: 1,
        pid: 2,
        since_ms: 3,
        capacity: 1 << 14,
        sequence: 5,
        length: 6,
        checksum: 7,
        pulse: 8,
        events_before: 9,
        events: 10,
        moved: true,
    };
    let bytes = header.encode();
    assert_eq!(Header::decode(&bytes), Ok(header));
    assert_eq!(header.half(5), 256 + (1 << 14));
    for length in 0..SIZE {
        assert!(Header::decode(&bytes[..length]).is_err(), "{length}");
    }
    for at in 0..SIZE {
        let mut damaged = bytes;
        damaged[at] ^= 1 << (at % 8);
        let error = Header::decode(&damaged).expect_err("damaged");
        // Another version is no damage.
        let wanted = if (8..16).contains(&at) { ErrorCode::Unsupported } else { ErrorCode::Cache };
        assert_eq!(error.code(), wanted, "{at}: {error}");
    }
    let lengths = Header { length: 1 << 15, ..header }.encode();
    assert!(Header::decode(&lengths).expect_err("too long").message().contains("lengths"));
}

#[test]
fn a_new_decider_ends_nobody_and_revives_nobody() {
    let rw = service("rw", Role::Active, Strategy::FirstAvailable);
    let mut before = World::new(3, std::slice::from_ref(&rw));
    before.switch(0, State::FailedOffline, 1);
    assert_eq!((before.seat("rw", 0), before.seat("rw", 1)), ((Seat::Ended, 2), (Seat::Serves, 1)));
    // One that finds the same state leaves all as it is.
    let tables = decode(&encode(before.tables.values().map(|table| &**table))).expect("good bytes");
    let mut after = World::new(3, &[rw]);
    after.set(0, State::FailedOffline);
    after.set(1, State::Active);
    after.selection = PoolSelection::new(&[service("rw", Role::Active, Strategy::FirstAvailable)]);
    after.selection.adopt(after.now, "orders", &tables);
    after.look();
    assert_eq!((after.seat("rw", 0), after.seat("rw", 1)), ((Seat::Ended, 2), (Seat::Serves, 1)));
    // A session that drained goes on draining, and has an end.
    let mut before = World::new(2, &[service("rw", Role::Active, Strategy::FirstAvailable)]);
    before.switch(0, State::Standby, 1);
    assert_eq!(before.seat("rw", 0), (Seat::Drains, 1));
    let tables = decode(&encode(before.tables.values().map(|table| &**table))).expect("good bytes");
    before.selection = PoolSelection::new(&[service("rw", Role::Active, Strategy::FirstAvailable)]);
    before.selection.adopt(before.now, "orders", &tables);
    before.look();
    assert_eq!(before.seat("rw", 0), (Seat::Drains, 1));
    before.pass(Duration::from_secs(30));
    assert_eq!(before.seat("rw", 0), (Seat::Ended, 2));
}
