//! When each of many things wants to be looked at: setting, taking back and asking for the first cost little,
//! however many there are.

use super::time::Time;
use std::collections::BTreeSet;

/// At most one deadline for each index.
#[derive(Clone, Debug, Default)]
pub struct Deadlines {
    order: BTreeSet<(Time, usize)>,
    set: Vec<Option<Time>>,
}

impl Deadlines {
    /// Sets, moves or, with `None`, takes back the deadline of an index.
    pub fn set(&mut self, index: usize, at: Option<Time>) {
        if self.set.len() <= index {
            if at.is_none() {
                return;
            }
            self.set.resize(index + 1, None);
        }
        let Some(known) = self.set.get_mut(index) else { return };
        if *known == at {
            return;
        }
        if let Some(old) = core::mem::replace(known, at) {
            self.order.remove(&(old, index));
        }
        if let Some(at) = at {
            self.order.insert((at, index));
        }
    }

    /// The first of all deadlines.
    pub fn first(&self) -> Option<Time> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out an index whose deadline has come; the earliest first, of equal ones the lowest index.
    pub fn take_due(&mut self, now: Time) -> Option<usize> {
        let (_, index) = self.order.first().copied().filter(|(at, _)| *at <= now)?;
        self.set(index, None);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// As a plain list of deadlines would answer.
        #[test]
        fn answers_as_a_list_does(steps in prop::collection::vec((0usize..6, prop::option::of(0u64..20), 0u64..20), 0..60)) {
            let mut deadlines = Deadlines::default();
            let mut list: Vec<Option<Time>> = vec![None; 6];
            for (index, at, now) in steps {
                deadlines.set(index, at.map(Time));
                list[index] = at.map(Time);
                prop_assert_eq!(deadlines.first(), list.iter().flatten().min().copied());
                let due = list.iter().enumerate().filter_map(|(i, at)| Some(((*at)?, i))).filter(|(at, _)| at.0 <= now).min();
                prop_assert_eq!(deadlines.take_due(Time(now)), due.map(|(_, i)| i));
                if let Some((_, i)) = due {
                    list[i] = None;
                }
            }
        }
    }
}
