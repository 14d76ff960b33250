//! Histograms of durations: whole microseconds in fixed buckets.

use core::time::Duration;

/// Upper bounds of the buckets in microseconds, each included; one more bucket takes what is longer.
///
/// Below a millisecond lie probes in one data centre; a second and more are `timeout` and `probe_timeout`.
pub const BOUNDS: [u32; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000,
];

/// How many durations fell into which bucket, and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BOUNDS.len() + 1],
    sum: u64,
}

impl Histogram {
    /// Takes a duration in, rounded up to whole microseconds so that it never falls below a bound that it exceeds.
    pub fn record(&mut self, span: Duration) {
        let micros = u64::try_from(span.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|&bound| u64::from(bound) < micros);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(micros);
    }

    /// Takes in what another one holds.
    pub fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many durations were taken in.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum in microseconds.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Each bound with the number of durations up to it, from the shortest; without the last bucket, whose number is
    /// [`Histogram::count`].
    pub fn up_to(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        BOUNDS.iter().zip(self.counts).scan(0, |sum, (&bound, count)| {
            *sum += count;
            Some((bound, *sum))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_every_bucket_that_it_does_not_exceed() {
        for (nanos, first) in [
            (0, 100),
            (100_000, 100),
            (100_001, 250),
            (999_999, 1_000),
            (1_000_000, 1_000),
            (5_000_000_000, 5_000_000),
        ] {
            let mut histogram = Histogram::default();
            histogram.record(Duration::from_nanos(nanos));
            for (bound, count) in histogram.up_to() {
                assert_eq!(count, u64::from(bound >= first), "{nanos} ns, up to {bound}");
            }
            assert_eq!((histogram.count(), histogram.sum()), (1, nanos.div_ceil(1000)));
        }
        let mut long = Histogram::default();
        long.record(Duration::from_nanos(5_000_000_001));
        long.record(Duration::MAX);
        assert!(long.up_to().all(|(_, count)| count == 0));
        assert_eq!((long.count(), long.sum()), (2, u64::MAX), "no overflow");
        let mut both = long;
        both.record(Duration::from_micros(7));
        both.add(&both.clone());
        assert_eq!((both.count(), both.up_to().next()), (6, Some((100, 2))));
    }
}
