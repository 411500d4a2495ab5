//! Sums in registers.

use std::array::from_fn;

use smallvec::SmallVec;

use super::TOGETHER;
use crate::network::kernel::real::Real;
use crate::network::kernel::vector::{Simd, Vector, add_multiple, column};

/// What some positions read together, by tap.
pub(super) struct Reads<'a, T, const L: usize> {
    /// How many channels are read.
    inner: usize,
    /// Through taps that none of them reads padding through.
    all: SmallVec<[Tap<[Channels<'a, T, L>; TOGETHER]>; 9]>,
    /// What each of them reads through other taps.
    some: [SmallVec<[Tap<Channels<'a, T, L>>; 9]>; TOGETHER],
}

/// A tap, and what is read through it.
type Tap<R> = (usize, R);

/// The channels at a position.
type Channels<'a, T, const L: usize> = &'a [[T; L]];

impl<'a, T, const L: usize> Reads<'a, T, L> {
    /// What positions with these windows read.
    #[inline(always)]
    pub fn new(windows: &[Window<'a, T, L>; TOGETHER]) -> Self {
        let inner = windows[0].inner;
        let some = from_fn(|_| SmallVec::new());
        let mut reads = Self { inner, all: SmallVec::new(), some };
        for tap in 0..windows[0].sources.len() {
            let mut read = [None; TOGETHER];
            for (read, window) in read.iter_mut().zip(windows) {
                if let Some(source) = window.sources[tap] {
                    *read = Some(&window.x[source * window.stride..][..inner]);
                }
            }
            if let [Some(a), Some(b), Some(c), Some(d)] = read {
                reads.all.push((tap, [a, b, c, d]));
                continue;
            }
            for (some, read) in reads.some.iter_mut().zip(read) {
                some.extend(read.map(|read| (tap, read)));
            }
        }
        reads
    }
}

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
            let x = column::<V, C, L>(simd, x);
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
                step(simd, part, &column::<V, C, L>(simd, x), weights);
            }
        }
        for (part, (x, weights)) in parts.iter_mut().zip(x_rest.iter().zip(weights_rest)) {
            step(simd, part, &column::<V, C, L>(simd, x), weights);
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
    reads: &Reads<'_, V::Number, L>,
    weights: &[V::Number],
) -> [[[V; C]; TOGETHER]; R] {
    let zero = simd.splat(V::Number::ZERO);
    let mut sums = [[[zero; C]; TOGETHER]; R];
    let (weights, inner) = (weights.as_chunks::<R>().0, reads.inner);
    for &(tap, [a, b, c, d]) in &reads.all {
        let weights = &weights[tap * inner..][..inner];
        let (a, b, c, d) = (&a[..inner], &b[..inner], &c[..inner], &d[..inner]);
        for (k, weights) in weights.iter().enumerate() {
            let mut columns = [[zero; C]; TOGETHER];
            for (read, x) in columns.iter_mut().zip([a, b, c, d]) {
                *read = column::<V, C, L>(simd, &x[k]);
            }
            for (sums, &weight) in sums.iter_mut().zip(weights) {
                add_multiple(sums.as_flattened_mut(), simd.splat(weight), columns.as_flattened());
            }
        }
    }
    // A number that is known keeps the sums in registers.
    others::<V, 0, R, C, L>(simd, reads, weights, &mut sums);
    others::<V, 1, R, C, L>(simd, reads, weights, &mut sums);
    others::<V, 2, R, C, L>(simd, reads, weights, &mut sums);
    others::<V, 3, R, C, L>(simd, reads, weights, &mut sums);
    sums
}

/// Adds what position P reads that not all do.
#[inline(always)]
fn others<V: Vector, const P: usize, const R: usize, const C: usize, const L: usize>(
    simd: Simd<V>,
    reads: &Reads<'_, V::Number, L>,
    weights: &[[V::Number; R]],
    sums: &mut [[[V; C]; TOGETHER]; R],
) {
    for (tap, x) in &reads.some[P] {
        for (x, weights) in x.iter().zip(&weights[tap * reads.inner..]) {
            let x = column::<V, C, L>(simd, x);
            for (sums, &weight) in sums.iter_mut().zip(weights) {
                add_multiple(&mut sums[P], simd.splat(weight), &x);
            }
        }
    }
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
        add_multiple(sums, simd.splat(weight), x);
    }
}
