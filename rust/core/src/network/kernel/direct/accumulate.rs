//! Micro-kernels of direct summation: tiles of sums in registers.

use crate::network::kernel::micro_tile::{TILE_POSITIONS, TapRead};
use crate::network::kernel::number::Number;
use crate::network::kernel::simd::{Simd, Vector, add_multiple, load_column};

/// The input of a product, by position and channel.
#[derive(Clone, Copy)]
pub(super) struct InputChannels<'a, T, const L: usize> {
    /// `[position][channel]`, from the first channel that is read.
    pub x: &'a [[T; L]],
    /// The stride between positions, in channels.
    pub stride: usize,
    /// The number of channels that are read.
    pub inner: usize,
}

impl<'a, T, const L: usize> InputChannels<'a, T, L> {
    /// The channels at a position.
    #[inline(always)]
    fn channels(&self, position: usize) -> &'a [[T; L]] {
        &self.x[position * self.stride..][..self.inner]
    }
}

/// Sums of two groups of R rows at one position.
#[inline(always)]
pub(super) fn sum_two_groups<V: Vector, const R: usize, const C: usize, const L: usize>(
    simd: Simd<V>,
    source: InputChannels<'_, V::Number, L>,
    taps: &[Option<usize>],
    weights: [&[V::Number]; 2],
) -> [[[V; C]; R]; 2] {
    let weights = weights.map(|weights| weights.as_chunks::<R>().0);
    let mut sums = [[[simd.splat(V::Number::ZERO); C]; R]; 2];
    for (tap, position) in taps.iter().enumerate() {
        let Some(position) = *position else { continue };
        let weights = weights.map(|weights| &weights[tap * source.inner..][..source.inner]);
        for (k, x) in source.channels(position).iter().enumerate() {
            let x = load_column::<V, C, L>(simd, x);
            for (sums, weights) in sums.iter_mut().zip(weights) {
                add_column(simd, sums, &x, &weights[k]);
            }
        }
    }
    sums
}

/// Sums of R rows at one position, each split into D partial sums so that additions do not wait for
/// each other.
#[inline(always)]
pub(super) fn sum_split<
    V: Vector,
    const D: usize,
    const R: usize,
    const C: usize,
    const L: usize,
>(
    simd: Simd<V>,
    source: InputChannels<'_, V::Number, L>,
    taps: &[Option<usize>],
    weights: &[V::Number],
) -> [[V; C]; R] {
    let weights = weights.as_chunks::<R>().0;
    let mut parts = [[[simd.splat(V::Number::ZERO); C]; R]; D];
    for (tap, position) in taps.iter().enumerate() {
        let Some(position) = *position else { continue };
        let (x, x_rest) = source.channels(position).as_chunks::<D>();
        let weights = &weights[tap * source.inner..][..source.inner];
        let (weights, weights_rest) = weights.as_chunks::<D>();
        for (x, weights) in x.iter().zip(weights) {
            for (part, (x, weights)) in parts.iter_mut().zip(x.iter().zip(weights)) {
                add_column(simd, part, &load_column::<V, C, L>(simd, x), weights);
            }
        }
        for (part, (x, weights)) in parts.iter_mut().zip(x_rest.iter().zip(weights_rest)) {
            add_column(simd, part, &load_column::<V, C, L>(simd, x), weights);
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

/// Sums of R rows at the positions of a tile.
#[inline(always)]
pub(super) fn sum_tile<V: Vector, const R: usize, const C: usize, const L: usize>(
    simd: Simd<V>,
    source: InputChannels<'_, V::Number, L>,
    reads: &[TapRead],
    weights: &[V::Number],
) -> [[[V; C]; TILE_POSITIONS]; R] {
    let mut sums = [[[simd.splat(V::Number::ZERO); C]; TILE_POSITIONS]; R];
    let weights = weights.as_chunks::<R>().0;
    for read in reads {
        let weights = &weights[read.tap * source.inner..][..source.inner];
        // With the set of readers as a constant, the sums stay in registers.
        match read.readers {
            0b1111 => add_reads::<V, 0b1111, R, C, L>(simd, source, read, weights, &mut sums),
            0b0011 => add_reads::<V, 0b0011, R, C, L>(simd, source, read, weights, &mut sums),
            0b1100 => add_reads::<V, 0b1100, R, C, L>(simd, source, read, weights, &mut sums),
            0b0101 => add_reads::<V, 0b0101, R, C, L>(simd, source, read, weights, &mut sums),
            0b1010 => add_reads::<V, 0b1010, R, C, L>(simd, source, read, weights, &mut sums),
            0b0001 => add_reads::<V, 0b0001, R, C, L>(simd, source, read, weights, &mut sums),
            0b0010 => add_reads::<V, 0b0010, R, C, L>(simd, source, read, weights, &mut sums),
            0b0100 => add_reads::<V, 0b0100, R, C, L>(simd, source, read, weights, &mut sums),
            _ => add_reads::<V, 0b1000, R, C, L>(simd, source, read, weights, &mut sums),
        }
    }
    sums
}

/// Adds the terms of one tap for a constant set of readers.
#[inline(always)]
fn add_reads<V: Vector, const READERS: usize, const R: usize, const C: usize, const L: usize>(
    simd: Simd<V>,
    source: InputChannels<'_, V::Number, L>,
    read: &TapRead,
    weights: &[[V::Number; R]],
    sums: &mut [[[V; C]; TILE_POSITIONS]; R],
) {
    let mut x = [[].as_slice(); TILE_POSITIONS];
    for (x, &position) in x.iter_mut().zip(&read.sources) {
        *x = &source.channels(position)[..weights.len()];
    }
    for (k, weights) in weights.iter().enumerate() {
        let mut columns = [[simd.splat(V::Number::ZERO); C]; TILE_POSITIONS];
        for (p, column) in columns.iter_mut().enumerate() {
            if READERS >> p & 1 == 1 {
                *column = load_column::<V, C, L>(simd, &x[p][k]);
            }
        }
        for (sums, &weight) in sums.iter_mut().zip(weights) {
            let weight = simd.splat(weight);
            for (p, (sum, x)) in sums.iter_mut().zip(&columns).enumerate() {
                if READERS >> p & 1 == 1 {
                    add_multiple(sum, weight, x);
                }
            }
        }
    }
}

/// sums[row] += weights[row] · x.
#[inline(always)]
fn add_column<V: Vector, const R: usize, const C: usize>(
    simd: Simd<V>,
    sums: &mut [[V; C]; R],
    x: &[V; C],
    weights: &[V::Number; R],
) {
    for (sums, &weight) in sums.iter_mut().zip(weights) {
        add_multiple(sums, simd.splat(weight), x);
    }
}
