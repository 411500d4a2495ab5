//! Long vectors: sums that are the same bits on any number of threads, and what is built of them.
//!
//! Every sum runs over blocks of fixed length, eight accumulators a block, and the block sums meet
//! pairwise in a tree that depends on the length alone. Threads only choose who computes a branch.
//! The pairwise order also keeps the rounding error at O(ε log n) instead of O(ε n).

use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Error, require};
use crate::scalar::Scalar;

/// Entries that one leaf of a sum covers: 16 KiB of f64, so a block stays in the first-level cache.
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
    let length = require_one_length(vectors)?;
    require!(
        coefficients.len() == vectors.len(),
        "got {} coefficients for {} vectors; pass one coefficient a vector",
        coefficients.len(),
        vectors.len()
    );
    let mut combination = vec![S::default(); length];
    combination.par_chunks_mut(BLOCK).enumerate().for_each(|(block, out)| {
        let range = block * BLOCK..block * BLOCK + out.len();
        let mut sum = [0.0; BLOCK];
        add_combination(&mut sum, vectors, coefficients, range);
        for (value, total) in out.iter_mut().zip(sum) {
            *value = S::round(total);
        }
    });
    Ok(combination)
}

/// The Gram matrix Gᵢⱼ = ⟨vᵢ, vⱼ⟩, row-major (k, k), read from memory in one pass.
///
/// # Errors
/// [`Error::Invalid`] when there is no vector or the lengths differ.
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

/// x − P x, where P projects orthogonally onto the span of `against`.
///
/// The vectors of `against` may have any lengths and angles, and may depend on each other. Their
/// coefficients in P x solve the normal equations A'A c = A'x; a second pass does the same to x − A c,
/// without which the result keeps a cosine of about ε ‖x‖ / ‖x − P x‖ with the span. No intermediate
/// vector is stored, and only the result is rounded to S.
///
/// What is left of a vector inside the span is rounding noise; compare norms to notice.
///
/// # Errors
/// [`Error::Invalid`] when the lengths differ.
///
/// # Reference
/// Giraud, Langou, Rozložník (2005), *The loss of orthogonality in the Gram-Schmidt
/// orthogonalization process*: "twice is enough".
///
/// # Example
/// ```
/// let left = landscape_core::orthogonalise(&[3.0, 4.0], &[&[0.0, 2.0]])?;
/// assert_eq!(left, [3.0, 0.0]);
/// # Ok::<(), landscape_core::Error>(())
/// ```
pub fn orthogonalise<S: Scalar>(x: &[S], against: &[&[S]]) -> Result<Vec<S>, Error> {
    let factor = Cholesky::of(&gram(against)?, against.len());
    require_one_length(&[&[x], against].concat())?;
    // The residual as the combination x − A c₁ − A c₂. Adding c₁ to c₂ first would round the second
    // correction away.
    let (mut vectors, mut coefficients) = (vec![x], vec![1.0]);
    for _pass in 0..2 {
        let projection = factor.solve(products_with_combination(against, &vectors, &coefficients));
        coefficients.extend(projection.iter().map(|coefficient| -coefficient));
        vectors.extend(against);
    }
    combine(&vectors, &coefficients)
}

/// ⟨aᵢ, Σⱼ cⱼ vⱼ⟩ for every aᵢ, the combination existing only one block at a time and in f64.
fn products_with_combination<S: Scalar>(
    against: &[&[S]],
    vectors: &[&[S]],
    coefficients: &[f64],
) -> Vec<f64> {
    let products = |range: Range<usize>| {
        let mut sum = [0.0; BLOCK];
        add_combination(&mut sum, vectors, coefficients, range.clone());
        against.iter().map(|a| block_product(&a[range.clone()], &sum[..range.len()])).collect()
    };
    tree_sum(0..vectors[0].len(), BLOCK, &products, &add_entries)
}

fn add_combination<S: Scalar>(
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
    let product = |range: Range<usize>| block_product(&x[range.clone()], &y[range]);
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
    let (left, right) = rayon::join(
        || tree_sum(range.start..middle, grain, leaf, add),
        || tree_sum(middle..range.end, grain, leaf, add),
    );
    add(left, right)
}

fn add_entries(mut left: Vec<f64>, right: Vec<f64>) -> Vec<f64> {
    for (sum, term) in left.iter_mut().zip(right) {
        *sum += term;
    }
    left
}

/// ⟨x, y⟩ over one block, in eight interleaved partial sums: a fixed order that vector units like.
fn block_product<X: Scalar, Y: Scalar>(x: &[X], y: &[Y]) -> f64 {
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

fn require_one_length<S: Scalar>(vectors: &[&[S]]) -> Result<usize, Error> {
    let length = vectors.first().map_or(0, |vector| vector.len());
    if let Some(other) = vectors.iter().find(|vector| vector.len() != length) {
        return Err(Error::Invalid(format!(
            "got vectors of {length} and of {} entries; pass vectors of one length",
            other.len()
        )));
    }
    Ok(length)
}

/// The factors L D L' = G of a Gram matrix, unit lower triangular L, with the vectors that depend on
/// earlier ones left out.
struct Cholesky {
    lower: Vec<Vec<f64>>,
    /// Squared distance of each vector to the span of the earlier ones; None where it is rounding.
    pivots: Vec<Option<f64>>,
}

impl Cholesky {
    fn of(gram: &[f64], size: usize) -> Self {
        let mut lower = vec![vec![0.0; size]; size];
        let mut pivots: Vec<Option<f64>> = Vec::with_capacity(size);
        for i in 0..size {
            for j in 0..i {
                let earlier: f64 =
                    (0..j).filter_map(|k| Some(lower[i][k] * lower[j][k] * pivots[k]?)).sum();
                lower[i][j] = pivots[j].map_or(0.0, |pivot| (gram[i * size + j] - earlier) / pivot);
            }
            let squared_norm = gram[i * size + i];
            let explained: f64 =
                (0..i).filter_map(|k| Some(lower[i][k] * lower[i][k] * pivots[k]?)).sum();
            let pivot = squared_norm - explained;
            let rounding = 4.0 * size as f64 * f64::EPSILON * squared_norm;
            pivots.push((pivot > rounding).then_some(pivot));
        }
        Self { lower, pivots }
    }

    /// c with G c = b over the independent vectors, and 0 for the others.
    fn solve(&self, mut b: Vec<f64>) -> Vec<f64> {
        for i in 0..b.len() {
            b[i] -= (0..i).map(|j| self.lower[i][j] * b[j]).sum::<f64>();
        }
        for (value, pivot) in b.iter_mut().zip(&self.pivots) {
            *value = pivot.map_or(0.0, |pivot| *value / pivot);
        }
        for i in (0..b.len()).rev() {
            if self.pivots[i].is_some() {
                b[i] -= (i + 1..b.len()).map(|j| self.lower[j][i] * b[j]).sum::<f64>();
            }
        }
        b
    }
}
