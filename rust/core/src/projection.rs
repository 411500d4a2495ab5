//! Orthogonal projection of a long vector: Gram-Schmidt against a whole family at once.

use std::ops::Range;

use crate::error::Error;
use crate::scalar::Scalar;
use crate::vector::{
    BLOCK, add_combination, add_entries, block_product, combine, gram, require_one_length, tree_sum,
};

/// x − P x, where P is the orthogonal projection onto the span of `against`.
///
/// The vectors of `against` may have any lengths and angles, and may depend on each other. Their
/// coefficients in P x solve the normal equations A'A c = A'x; a second pass does the same to x − A c,
/// without which the result keeps a cosine of about ε ‖x‖ / ‖x − P x‖ with the span. No intermediate
/// vector is stored, and only the result is rounded to S.
///
/// For a vector inside the span the result is rounding noise; compare norms to detect that.
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
    let factors = Cholesky::of(&gram(against)?, against.len());
    require_one_length(&[&[x], against].concat())?;
    // The residual as the combination x − A c₁ − A c₂. Adding c₁ to c₂ first would round the second
    // correction away.
    let (mut vectors, mut coefficients) = (vec![x], vec![1.0]);
    for _pass in 0..2 {
        let projection = factors.solve(products_with_combination(against, &vectors, &coefficients));
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

/// The factors L D L' = G of a Gram matrix, L unit lower triangular, D diagonal.
struct Cholesky {
    lower: Vec<Vec<f64>>,
    /// Dᵢ, the squared distance of vector i to the span of the earlier ones; None where that is
    /// rounding noise, and the vector is left out.
    pivots: Vec<Option<f64>>,
}

impl Cholesky {
    fn of(gram: &[f64], size: usize) -> Self {
        let mut factors = Self { lower: vec![vec![0.0; size]; size], pivots: vec![None; size] };
        for i in 0..size {
            for j in 0..i {
                let rest = gram[i * size + j] - factors.explained(i, j);
                factors.lower[i][j] = factors.pivots[j].map_or(0.0, |pivot| rest / pivot);
            }
            let squared_norm = gram[i * size + i];
            let squared_distance = squared_norm - factors.explained(i, i);
            let noise = 4.0 * size as f64 * f64::EPSILON * squared_norm;
            // Written so that NaN is kept, not left out: it belongs into the result.
            factors.pivots[i] =
                if squared_distance <= noise { None } else { Some(squared_distance) };
        }
        factors
    }

    /// The part of Gᵢⱼ that lies in the span of the vectors before j: Σ_{k<j} Lᵢₖ Dₖ Lⱼₖ.
    fn explained(&self, i: usize, j: usize) -> f64 {
        let term = |k| Some(self.lower[i][k] * self.pivots[k]? * self.lower[j][k]);
        (0..j).filter_map(term).sum()
    }

    /// c with G c = b over the independent vectors, and 0 for the others.
    fn solve(&self, mut b: Vec<f64>) -> Vec<f64> {
        for i in 0..b.len() {
            b[i] -= (0..i).map(|j| self.lower[i][j] * b[j]).sum::<f64>();
        }
        for (value, pivot) in b.iter_mut().zip(&self.pivots) {
            *value = pivot.map_or(0.0, |pivot| *value / pivot);
        }
        for i in (0..b.len()).rev().filter(|&i| self.pivots[i].is_some()) {
            b[i] -= (i + 1..b.len()).map(|j| self.lower[j][i] * b[j]).sum::<f64>();
        }
        b
    }
}
