//! The tables: every row decides somewhere, and none can be left out.

use crate::vip::lease::rows::{OWNER, OwnerView, RIVAL, RivalView, Row, first};
use std::collections::BTreeSet;

fn owner_views() -> Vec<OwnerView> {
    (0..256)
        .map(|n| OwnerView {
            out: n & 1 != 0,
            leave: n & 2 != 0,
            other_holds: n & 4 != 0,
            lease_gone: n & 8 != 0,
            key_gone: n & 16 != 0,
            detached: n & 32 != 0,
            over: n & 64 != 0,
            ignore: n & 128 != 0,
        })
        .collect()
}

fn rival_views() -> Vec<RivalView> {
    (0..128)
        .map(|n| RivalView {
            free: n & 1 != 0,
            heir: n & 2 != 0,
            holding_back: n & 4 != 0,
            own_lease: n & 8 != 0,
            own_life: n & 16 != 0,
            own_place: n & 32 != 0,
            own_name: n & 64 != 0,
        })
        .collect()
}

fn check<V, T: PartialEq + Copy>(table: &'static [Row<V, T>], views: &[V]) {
    let mut fired = BTreeSet::new();
    for view in views {
        fired.insert(first(table, view).expect("some row matches").number);
    }
    for (index, row) in table.iter().enumerate() {
        assert!(fired.contains(&row.number), "row {} never decides", row.number);
        assert!((751..=769).contains(&row.number) && !row.sentence.is_empty() && !row.condition.is_empty());
        let needed = index + 1 == table.len()
            || views.iter().any(|view| {
                let without = table.iter().enumerate().find(|(i, r)| *i != index && (r.when)(view));
                (row.when)(view)
                    && first(table, view).is_some_and(|r| r.number == row.number)
                    && without.is_none_or(|(_, r)| r.number != row.number)
            });
        assert!(needed, "row {} can be left out", row.number);
    }
    let numbers: BTreeSet<u16> = table.iter().map(|row| row.number).collect();
    assert_eq!(numbers.len(), table.len(), "a number stands twice");
}

#[test]
fn every_row_decides_somewhere() {
    check(OWNER, &owner_views());
    check(RIVAL, &rival_views());
}
