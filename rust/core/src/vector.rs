//! Sums and linear combinations of long vectors, with the same bits on any number of threads.
//!
//! Every sum runs over blocks of fixed length, eight accumulators a block, and the block sums are added
//! pairwise in a tree that depends on the length alone. Threads only decide who computes a branch.
//! The pairwise order also keeps the rounding error at O(ε log n) instead of O(ε n).

#![allow(clippy::inline_always, reason = "a loop is compiled with its caller's instruction set")]

use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Error, require};
use crate::isa::Isa;
use crate::scalar::Scalar;
use crate::threads::{install, join};

/// Entries of a leaf of the tree: 16 KiB of f64, which stay in the L1 cache.
pub(crate) const BLOCK: usize = 1 << 11;

/// ⟨x, y⟩ = Σᵢ xᵢ yᵢ, accumulated in f64.
///
/// # Errors
/// [`Error::Invalid`] when the lengths differ.
pub fn dot<S: Scalar>(x: &[S], y: &[S]) -> Result<f64, Error> {
    require_one_length(&[x, y])?;
    Ok(inner_product(x, y))
}

/// ‖x‖ = √⟨x, x⟩, accumulated in f64.
#[must_use]
pub fn norm<S: Scalar>(x: &[S]) -> f64 {
    inner_product(x, x).sqrt()
}

/// Σᵢ cᵢ vᵢ, summed in f64 and rounded once.
///
/// # Errors
/// [`Error::Invalid`] when there is no vector, the lengths differ, or the coefficients are not one a
/// vector.
pub fn combine<S: Scalar>(vectors: &[&[S]], coefficients: &[f64]) -> Result<Vec<S>, Error> {
    require!(!vectors.is_empty(), "got no vectors to combine; pass at least one");
    let length = require_one_length(vectors)?;
    require!(
        coefficients.len() == vectors.len(),
        "got {} coefficients for {} vectors; pass one coefficient a vector",
        coefficients.len(),
        vectors.len()
    );
    let mut combination = vec![S::default(); length];
    let fill = |(block, out): (usize, &mut [S])| {
        let range = block * BLOCK..block * BLOCK + out.len();
        let mut sum = [0.0; BLOCK];
        add_combination(&mut sum, vectors, coefficients, range);
        for (value, total) in out.iter_mut().zip(sum) {
            *value = S::narrow(total);
        }
    };
    install(|| combination.par_chunks_mut(BLOCK).enumerate().for_each(fill));
    Ok(combination)
}

/// The Gram matrix Gᵢⱼ = ⟨vᵢ, vⱼ⟩, row-major (k, k), read from memory in one pass.
///
/// # Errors
/// [`Error::Invalid`] when the lengths differ.
pub fn gram<S: Scalar>(vectors: &[&[S]]) -> Result<Vec<f64>, Error> {
    let length = require_one_length(vectors)?;
    let count = vectors.len();
    let pairs: Vec<_> = (0..count).flat_map(|i| (0..=i).map(move |j| (i, j))).collect();
    let products = |range: Range<usize>| {
        let product = |&(i, j): &(usize, usize)| {
            block_product(&vectors[i][range.clone()], &vectors[j][range.clone()])
        };
        pairs.iter().map(product).collect()
    };
    let lower = tree_sum(0..length, BLOCK, &products, &add_entries);
    let entry = |i: usize, j: usize| lower[i.max(j) * (i.max(j) + 1) / 2 + i.min(j)];
    Ok((0..count * count).map(|index| entry(index / count, index % count)).collect())
}

/// Adds one block of a combination to `sum`.
pub(crate) fn add_combination<S: Scalar>(
    sum: &mut [f64],
    vectors: &[&[S]],
    coefficients: &[f64],
    range: Range<usize>,
) {
    for (vector, coefficient) in vectors.iter().zip(coefficients) {
        for (total, value) in sum.iter_mut().zip(&vector[range.clone()]) {
            *total += coefficient * value.widen();
        }
    }
}

/// ⟨x, y⟩ of vectors known to be equally long.
pub(crate) fn inner_product<S: Scalar>(x: &[S], y: &[S]) -> f64 {
    let isa = Isa::detect();
    let product = |range: Range<usize>| {
        let (x, y) = (&x[range.clone()], &y[range]);
        isa.run(
            #[inline(always)]
            || block_product(x, y),
        )
    };
    tree_sum(0..x.len(), BLOCK, &product, &|left, right| left + right)
}

/// Sums `leaf` over consecutive pieces of `grain` indices, in a binary tree that depends on the range
/// and the grain alone.
pub(crate) fn tree_sum<T: Send>(
    range: Range<usize>,
    grain: usize,
    leaf: &(impl Fn(Range<usize>) -> T + Sync),
    add: &(impl Fn(T, T) -> T + Sync),
) -> T {
    if range.len() <= grain {
        return leaf(range);
    }
    let middle = range.start + range.len().div_ceil(grain).div_ceil(2) * grain;
    let (left, right) = join(
        || tree_sum(range.start..middle, grain, leaf, add),
        || tree_sum(middle..range.end, grain, leaf, add),
    );
    add(left, right)
}

/// The element-wise sum, as a way to join two branches of a tree.
pub(crate) fn add_entries(mut left: Vec<f64>, right: Vec<f64>) -> Vec<f64> {
    for (sum, term) in left.iter_mut().zip(right) {
        *sum += term;
    }
    left
}

/// ⟨x, y⟩ over one block, in eight interleaved partial sums: a fixed order that vector units like.
#[inline(always)]
pub(crate) fn block_product<X: Scalar, Y: Scalar>(x: &[X], y: &[Y]) -> f64 {
    const LANES: usize = 8;
    let (x_rows, x_rest) = x.as_chunks::<LANES>();
    let (y_rows, y_rest) = y.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (x_row, y_row) in x_rows.iter().zip(y_rows) {
        for lane in 0..LANES {
            sums[lane] += x_row[lane].widen() * y_row[lane].widen();
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(x_rest.iter().zip(y_rest)) {
        *sum += a.widen() * b.widen();
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

/// The length that all vectors share.
pub(crate) fn require_one_length<S: Scalar>(vectors: &[&[S]]) -> Result<usize, Error> {
    let length = vectors.first().map_or(0, |vector| vector.len());
    if let Some(other) = vectors.iter().find(|vector| vector.len() != length) {
        return Err(Error::Invalid(format!(
            "got vectors of {length} and of {} entries; pass vectors of one length",
            other.len()
        )));
    }
    Ok(length)
}
