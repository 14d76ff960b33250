//! Seeded mutations of corpus entries, for runs without a fuzzer: the same seed gives the same inputs.

/// A source of inputs.
pub struct Mutator(u64);

/// Longer inputs find nothing that shorter ones do not.
const LONGEST: usize = 8192;

/// Bytes at which parsers turn.
const EDGES: [u8; 16] = [0, 1, 2, 3, 0x7f, 0x80, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, b':', b'-', b'"', b'\n'];

impl Mutator {
    pub fn new(seed: u64) -> Mutator {
        Mutator(seed)
    }

    /// The next number below `bound` (splitmix64).
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }

    /// A piece of the text, most often a short one.
    fn piece(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let longest = if self.below(4) == 0 { bytes.len() } else { 16 };
        let start = self.below(bytes.len() + 1);
        start..(start + self.below(longest + 1)).min(bytes.len())
    }

    /// One to eight changes to an entry of the pool.
    pub fn mutate(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut out = pool[self.below(pool.len())].clone();
        for _ in 0..=self.below(8) {
            let at = self.below(out.len());
            match self.below(9) {
                0 if !out.is_empty() => out[at] ^= 1 << self.below(8),
                1 if !out.is_empty() => out[at] = self.below(256) as u8,
                2 if !out.is_empty() => out[at] = EDGES[self.below(EDGES.len())],
                3 if !out.is_empty() => out[at] = out[at].wrapping_add([1, 255, 16, 240][self.below(4)]),
                4 => {
                    let byte = if self.below(2) == 0 { EDGES[self.below(16)] } else { self.below(256) as u8 };
                    out.insert(at, byte);
                }
                5 => drop(out.drain(self.piece(&out.clone()))),
                6 => {
                    let piece = self.piece(&out.clone());
                    let copy = out[piece].to_vec();
                    out.splice(at..at, copy);
                }
                7 => {
                    let other = &pool[self.below(pool.len())];
                    let piece = self.piece(other);
                    out.splice(at..at, other[piece].iter().copied());
                }
                _ => out.truncate(if self.below(4) == 0 { at } else { out.len() }),
            }
        }
        out.truncate(LONGEST);
        out
    }
}
