//! Sorted lists of disjoint intervals: the arithmetic below GTID sets.
//!
//! A list is *normal* when its intervals are sorted, do not overlap and do not touch; every function here takes
//! normal lists and returns one, in time linear in their lengths.

/// The transaction numbers `first..=last`; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    /// The lowest number in it.
    pub first: u64,
    /// The highest number in it, at least `first`.
    pub last: u64,
}

impl Interval {
    /// How many numbers it holds; `u64::MAX` where that does not fit.
    pub fn count(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

/// Makes any list normal. Sorted runs make it linear, the worst case is n log n.
pub(super) fn normalise(list: &mut Vec<Interval>) {
    // The stable sort finds the runs that concatenated lists consist of.
    list.sort();
    let mut merged: Vec<Interval> = Vec::with_capacity(list.len());
    for &next in list.iter() {
        match merged.last_mut() {
            Some(open) if next.first <= open.last.saturating_add(1) => open.last = open.last.max(next.last),
            _ => merged.push(next),
        }
    }
    merged.shrink_to_fit();
    *list = merged;
}

/// Whether every number of `part` is in `whole`.
pub(super) fn contains(whole: &[Interval], part: &[Interval]) -> bool {
    let mut rest = whole.iter().peekable();
    part.iter().all(|need| {
        while rest.next_if(|have| have.last < need.first).is_some() {}
        // As `whole` does not touch itself, one interval of it must cover the need.
        rest.peek().is_some_and(|have| have.first <= need.first && need.last <= have.last)
    })
}

/// Whether every number of `need` is in `list`.
pub(super) fn covers(list: &[Interval], need: Interval) -> bool {
    let at = list.partition_point(|i| i.last < need.first);
    list.get(at).is_some_and(|i| i.first <= need.first && need.last <= i.last)
}

/// Whether `number` is in `list`.
pub(super) fn contains_number(list: &[Interval], number: u64) -> bool {
    let at = list.partition_point(|i| i.last < number);
    list.get(at).is_some_and(|i| i.first <= number)
}

/// The numbers of `a` that are not in `b`.
pub(super) fn subtract(a: &[Interval], b: &[Interval]) -> Vec<Interval> {
    let mut out = Vec::new();
    let mut cuts = b.iter().peekable();
    for whole in a {
        let mut first = whole.first;
        while cuts.next_if(|cut| cut.last < first).is_some() {}
        let mut eaten = false;
        while let Some(&&cut) = cuts.peek() {
            if cut.first > whole.last {
                break;
            }
            if cut.first > first {
                out.push(Interval { first, last: cut.first - 1 });
            }
            if cut.last >= whole.last {
                // The cut stays: it may reach into the next interval.
                eaten = true;
                break;
            }
            first = cut.last + 1;
            cuts.next();
        }
        if !eaten {
            out.push(Interval { first, last: whole.last });
        }
    }
    out
}

/// The numbers that are in both.
pub(super) fn intersect(a: &[Interval], b: &[Interval]) -> Vec<Interval> {
    let mut out = Vec::new();
    let (mut left, mut right) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(&&l), Some(&&r)) = (left.peek(), right.peek()) {
        let (first, last) = (l.first.max(r.first), l.last.min(r.last));
        if first <= last {
            out.push(Interval { first, last });
        }
        if l.last <= r.last {
            left.next();
        } else {
            right.next();
        }
    }
    out
}
