//! Standard normal variates from a counter-based generator, with the same bits on every platform and any
//! number of threads.
//!
//! The generator maps (seed, stream, position) to random bits without any state, so a stream can be read
//! from any position and filled in parallel. Normals come from the Box-Muller
//! transform with the logarithm, sine and cosine of the `libm` crate: plain IEEE operations in a
//! fixed order, where a platform's own mathematical library differs in the last bits.

use std::f64::consts::TAU;

use rayon::prelude::*;

use crate::scalar::Scalar;
use crate::threads::install;

/// Pairs of normals of one parallel task: enough to hide the cost of starting it.
const PAIRS_PER_TASK: usize = 1 << 12;

/// An endless stream of independent standard normal numbers, named by a seed and a stream number.
///
/// Position 2i and 2i + 1 hold the Box-Muller pair of the uniform numbers u, w in (0, 1] x [0, 1)
/// that Philox computes from the counter (i, stream) under the key `seed`:
///
/// √(−2 ln u) cos 2πw  and  √(−2 ln u) sin 2πw.
///
/// # Reference
/// Salmon, Moraes, Dror, Shaw (2011), *Parallel random numbers: as easy as 1, 2, 3*, section 3.2;
/// Box and Muller (1958), *A note on the generation of random normal deviates*.
///
/// # Example
/// ```
/// let stream = landscape_core::Gaussian::new(7, 0);
/// let (mut whole, mut slice) = ([0.0; 10], [0.0; 4]);
/// stream.fill(0, &mut whole);
/// stream.fill(3, &mut slice);
/// assert_eq!(slice, whole[3..7]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gaussian {
    seed: u64,
    stream: u64,
}

impl Gaussian {
    /// The stream `stream` of the seed: one for every direction or probe.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { seed, stream }
    }

    /// Writes the numbers at positions `first`, `first + 1`, … to `out`.
    pub fn fill<S: Scalar>(&self, first: u64, out: &mut [S]) {
        // A position is half of a pair: an odd start first finishes the pair that it cuts.
        let (start, rest) = out.split_at_mut(out.len().min((first % 2) as usize));
        if let [second_half] = start {
            *second_half = S::narrow(self.pair(first / 2)[1]);
        }
        let first_pair = first.div_ceil(2);
        let fill_task = |(task, values): (usize, &mut [S])| {
            let task_pair = first_pair + (task * PAIRS_PER_TASK) as u64;
            for (pair, halves) in (task_pair..).zip(values.chunks_mut(2)) {
                for (half, normal) in halves.iter_mut().zip(self.pair(pair)) {
                    *half = S::narrow(normal);
                }
            }
        };
        install(|| rest.par_chunks_mut(2 * PAIRS_PER_TASK).enumerate().for_each(fill_task));
    }

    /// The uniform numbers u in (0, 1] and w in [0, 1) behind a pair of normals.
    pub(crate) fn uniforms(&self, index: u64) -> [f64; 2] {
        let [a, b, c, d] = philox(words(index, self.stream), halves(self.seed));
        // (0, 1] for the logarithm's sake; a 53-bit integer and its scaling are both exact.
        let u = (fraction_bits(a, b) + 1) as f64 * TWO_TO_MINUS_53;
        let w = fraction_bits(c, d) as f64 * TWO_TO_MINUS_53;
        [u, w]
    }

    fn pair(&self, index: u64) -> [f64; 2] {
        let [u, w] = self.uniforms(index);
        let radius = (-2.0 * libm::log(u)).sqrt();
        let (sine, cosine) = libm::sincos(TAU * w);
        [radius * cosine, radius * sine]
    }
}

const TWO_TO_MINUS_53: f64 = f64::EPSILON / 2.0;

fn fraction_bits(high: u32, low: u32) -> u64 {
    ((u64::from(high) << 32) | u64::from(low)) >> 11
}

#[expect(clippy::cast_possible_truncation, reason = "splitting into words is the purpose")]
fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

fn words(low: u64, high: u64) -> [u32; 4] {
    let ([a, b], [c, d]) = (halves(low), halves(high));
    [a, b, c, d]
}

/// Philox4x32-10: ten rounds of multiply, swap and mix, a bijection of the counter for every key.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const ROUNDS: usize = 10;
    const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..ROUNDS {
        let [low_0, high_0] = halves(MULTIPLIERS[0] * u64::from(counter[0]));
        let [low_1, high_1] = halves(MULTIPLIERS[1] * u64::from(counter[2]));
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers that the authors publish with Random123 (`kat_vectors`, philox4x32 10).
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }
}
