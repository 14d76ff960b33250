//! Choosing in proportion to weights in constant time: Vose's alias method (M. D. Vose, "A linear algorithm for generating random
//! numbers with a given distribution", 1991), in whole numbers.

/// One column: itself below the threshold, else the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Of 2^32; the last value stands for "always".
    threshold: u32,
    other: u32,
}

/// The columns for weights, of which at least one must be above 0; empty else.
pub fn columns(weights: &[u32]) -> Vec<Column> {
    let sum: u64 = weights.iter().map(|w| u64::from(*w)).sum();
    let count = weights.len() as u64;
    if sum == 0 {
        return Vec::new();
    }
    // Each column holds `sum`; what a weight has, times the number of columns, is spread over them.
    let mut left: Vec<u64> = weights.iter().map(|w| u64::from(*w) * count).collect();
    let mut columns: Vec<Column> =
        (0..weights.len()).map(|i| Column { threshold: u32::MAX, other: i as u32 }).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..weights.len()).partition(|&i| left[i] < sum);
    while let (Some(&giver), Some(taker)) = (large.last(), small.pop()) {
        columns[taker] = Column { threshold: threshold(left[taker], sum), other: giver as u32 };
        left[giver] -= sum - left[taker];
        if left[giver] < sum {
            large.pop();
            small.push(giver);
        }
    }
    columns
}

/// `part / whole` of 2^32, rounded down; `part` is less than `whole`.
fn threshold(part: u64, whole: u64) -> u32 {
    ((u128::from(part) << 32) / u128::from(whole)) as u32
}

/// The weight's index for 64 random bits; 0 without columns.
#[inline]
pub fn choose(columns: &[Column], random: u64) -> usize {
    let at = (((random >> 32) * columns.len() as u64) >> 32) as usize;
    let Some(column) = columns.get(at) else { return 0 };
    // Nobody can foretell this outcome, so it is no branch.
    let own = usize::from((random as u32) < column.threshold) | usize::from(column.threshold == u32::MAX);
    super::pick::one_of(own, at, column.other as usize)
}
