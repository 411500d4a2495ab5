//! Sums in registers.

use std::array::from_fn;

use super::TOGETHER;
use crate::network::kernel::real::Real;
use crate::network::kernel::vector::{Simd, Vector};

/// What a tap reads at each of some positions; nothing where it reads padding.
pub(super) type Read<'a, T, const L: usize> = [&'a [[T; L]]; TOGETHER];

/// All that a position reads.
#[derive(Clone, Copy)]
pub(super) struct Window<'a, T, const L: usize> {
    /// The position that each tap reads, none where it reads padding.
    pub sources: &'a [Option<usize>],
    /// `[position][channel]`, from the first channel that is read.
    pub x: &'a [[T; L]],
    /// How far it is from a position to the next.
    pub stride: usize,
    /// How many channels are read.
    pub inner: usize,
}

/// Two groups of R rows at a position.
#[inline(always)]
pub(super) fn of_groups<V: Vector, const R: usize, const C: usize, const L: usize>(
    simd: Simd<V>,
    Window { sources, x, stride, inner }: Window<'_, V::Number, L>,
    weights: [&[V::Number]; 2],
) -> [[[V; C]; R]; 2] {
    let weights = weights.map(|weights| weights.as_chunks::<R>().0);
    let mut sums = [[[simd.splat(V::Number::ZERO); C]; R]; 2];
    for (tap, source) in sources.iter().enumerate() {
        let Some(source) = *source else { continue };
        let weights = weights.map(|weights| &weights[tap * inner..][..inner]);
        for (k, x) in x[source * stride..][..inner].iter().enumerate() {
            let x = read::<V, C, L>(simd, x);
            for (sums, weights) in sums.iter_mut().zip(weights) {
                step(simd, sums, &x, &weights[k]);
            }
        }
    }
    sums
}

/// R rows at a position, each sum in so many parts that none waits for the last.
#[inline(always)]
pub(super) fn of_parts<
    V: Vector,
    const D: usize,
    const R: usize,
    const C: usize,
    const L: usize,
>(
    simd: Simd<V>,
    Window { sources, x, stride, inner }: Window<'_, V::Number, L>,
    weights: &[V::Number],
) -> [[V; C]; R] {
    let weights = weights.as_chunks::<R>().0;
    let mut parts = [[[simd.splat(V::Number::ZERO); C]; R]; D];
    for (tap, source) in sources.iter().enumerate() {
        let Some(source) = *source else { continue };
        let (x, x_rest) = x[source * stride..][..inner].as_chunks::<D>();
        let (weights, weights_rest) = weights[tap * inner..][..inner].as_chunks::<D>();
        for (x, weights) in x.iter().zip(weights) {
            for (part, (x, weights)) in parts.iter_mut().zip(x.iter().zip(weights)) {
                step(simd, part, &read::<V, C, L>(simd, x), weights);
            }
        }
        for (part, (x, weights)) in parts.iter_mut().zip(x_rest.iter().zip(weights_rest)) {
            step(simd, part, &read::<V, C, L>(simd, x), weights);
        }
    }
    let mut sums = parts[0];
    for part in &parts[1..] {
        for (sums, part) in sums.iter_mut().zip(part) {
            for (sum, &part) in sums.iter_mut().zip(part) {
                *sum = *sum + part;
            }
        }
    }
    sums
}

/// R rows at several positions, by what the taps read there.
#[inline(always)]
pub(super) fn of_positions<V: Vector, const R: usize, const C: usize, const L: usize>(
    simd: Simd<V>,
    taps: &[Read<'_, V::Number, L>],
    weights: &[V::Number],
) -> [[[V; C]; TOGETHER]; R] {
    let zero = simd.splat(V::Number::ZERO);
    let mut sums = [[[zero; C]; TOGETHER]; R];
    let weights = weights.as_chunks::<R>().0;
    let inner = weights.len() / taps.len();
    for (reads, weights) in taps.iter().zip(weights.chunks_exact(inner.max(1))) {
        if reads.iter().all(|x| x.len() == weights.len()) {
            for (k, weights) in weights.iter().enumerate() {
                let mut columns = [[zero; C]; TOGETHER];
                for (column, x) in columns.iter_mut().zip(reads) {
                    *column = read::<V, C, L>(simd, &x[k]);
                }
                for (sums, &weight) in sums.iter_mut().zip(weights) {
                    add(simd, sums.as_flattened_mut(), columns.as_flattened(), weight);
                }
            }
            continue;
        }
        for (p, x) in reads.iter().enumerate() {
            for (x, weights) in x.iter().zip(weights) {
                let x = read::<V, C, L>(simd, x);
                for (sums, &weight) in sums.iter_mut().zip(weights) {
                    add(simd, &mut sums[p], &x, weight);
                }
            }
        }
    }
    sums
}

/// A column of x.
#[inline(always)]
fn read<V: Vector, const C: usize, const L: usize>(simd: Simd<V>, x: &[V::Number; L]) -> [V; C] {
    from_fn(|c| simd.load(&x[c * V::LEN..]))
}

/// Adds a column of x, times a weight of each row, to their sums.
#[inline(always)]
fn step<V: Vector, const R: usize, const C: usize>(
    simd: Simd<V>,
    sums: &mut [[V; C]; R],
    x: &[V; C],
    weights: &[V::Number; R],
) {
    for (sums, &weight) in sums.iter_mut().zip(weights) {
        add(simd, sums, x, weight);
    }
}

/// Adds x, times a weight.
#[inline(always)]
fn add<V: Vector>(simd: Simd<V>, sums: &mut [V], x: &[V], weight: V::Number) {
    let weight = simd.splat(weight);
    for (sum, &x) in sums.iter_mut().zip(x) {
        *sum = V::mul_add(x, weight, *sum);
    }
}
